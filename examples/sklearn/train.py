"""Search a classifier of breast cancers: one line logs what scikit-learn does."""

import argparse

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gittrack
from gittrack.integrations.sklearn import autolog


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.01, 0.1, 1.0, 10.0])
    options = parser.parse_args()

    autolog(log_models=True)
    train_x, test_x, train_y, test_y = train_test_split(
        *load_breast_cancer(return_X_y=True), test_size=0.3, random_state=0
    )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(model, {"logisticregression__C": options.strengths}, cv=3)
    with gittrack.start_run(run_name="search"):
        search.fit(train_x, train_y)
        gittrack.log_metric("test_accuracy", search.score(test_x, test_y))
    print(f"best: {search.best_params_}")


if __name__ == "__main__":
    main()
