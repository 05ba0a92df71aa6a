"""Boost trees with XGBoost: a callback logs params, a curve for each metric, and the model."""

import argparse

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import gittrack
from gittrack.integrations.xgboost import GittrackCallback


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()

    train_x, test_x, train_y, test_y = train_test_split(
        *load_breast_cancer(return_X_y=True), test_size=0.3, random_state=0
    )
    with gittrack.start_run(run_name=f"depth-{options.depth}"):
        model = xgboost.XGBClassifier(
            max_depth=options.depth,
            n_estimators=options.rounds,
            eval_metric=["logloss", "auc"],
            early_stopping_rounds=5,
            n_jobs=1,
            callbacks=[GittrackCallback(log_model=True)],
        )
        model.fit(train_x, train_y, eval_set=[(test_x, test_y)], verbose=False)
        gittrack.log_metric("accuracy", model.score(test_x, test_y))
    print(f"best iteration: {model.best_iteration}")


if __name__ == "__main__":
    main()
