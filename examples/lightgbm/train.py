"""Boost trees with LightGBM: a callback logs the training, `log_summary` what came of it."""

import argparse

import lightgbm
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import gittrack
from gittrack.integrations.lightgbm import GittrackCallback, log_summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaves", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()

    train_x, test_x, train_y, test_y = train_test_split(
        *load_diabetes(return_X_y=True), test_size=0.3, random_state=0
    )
    train = lightgbm.Dataset(train_x, label=train_y)
    test = lightgbm.Dataset(test_x, label=test_y, reference=train)
    params = {
        "objective": "regression",
        "metric": ["l2", "l1"],
        "num_leaves": options.leaves,
        "num_threads": 1,
        "verbose": -1,
    }
    with gittrack.start_run(run_name=f"leaves-{options.leaves}"):
        model = lightgbm.train(
            params,
            train,
            num_boost_round=options.rounds,
            valid_sets=[test],
            callbacks=[GittrackCallback(), lightgbm.early_stopping(5, verbose=False)],
        )
        log_summary(model, log_model=True)
    print(f"best iteration: {model.best_iteration}")


if __name__ == "__main__":
    main()
