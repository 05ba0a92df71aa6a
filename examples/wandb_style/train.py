"""Train a small neural network on wines, logged in W&B's words.

`import gittrack as wandb` would do as well: the verbs are called the same.
"""

import argparse
import warnings

from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import gittrack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hidden", type=int, default=16, help="units of the hidden layer")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=20)
    run = gittrack.init(project="wine-network", config=parser.parse_args(), tags=["mlp"])

    wines = load_wine()
    data = StandardScaler().fit_transform(wines.data)
    train_x, test_x, train_y, test_y = train_test_split(
        data, wines.target, test_size=0.4, random_state=7, stratify=wines.target
    )
    model = MLPClassifier((run.config.hidden,), learning_rate_init=run.config.lr, random_state=0)
    warnings.simplefilter("ignore", ConvergenceWarning)
    best = 0.0
    for _ in range(run.config.epochs):
        model.partial_fit(train_x, train_y, classes=[0, 1, 2])
        accuracy = float(accuracy_score(test_y, model.predict(test_x)))
        best = max(best, accuracy)
        run.log({"train": {"loss": model.loss_}, "test": {"accuracy": accuracy}})
    run.summary["best_accuracy"] = best
    run.finish()


if __name__ == "__main__":
    main()
