"""Classify wines with scikit-learn, and keep the model: `model.joblib`, two numbers at the end.

A plain script: it imports nothing of gittrack. `run.sh` records it, registers and promotes.
"""

import argparse

import joblib
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n-estimators", type=int, default=100, help="how many trees")
    options = parser.parse_args()

    wines = load_wine()
    train_x, test_x, train_y, test_y = train_test_split(
        wines.data, wines.target, test_size=0.4, random_state=7, stratify=wines.target
    )
    forest = RandomForestClassifier(n_estimators=options.n_estimators, random_state=0)
    guessed = forest.fit(train_x, train_y).predict(test_x)
    joblib.dump(forest, "model.joblib")

    print(f"accuracy: {float(accuracy_score(test_y, guessed))!r}")
    print(f"f1: {float(f1_score(test_y, guessed, average='macro'))!r}")


if __name__ == "__main__":
    main()
