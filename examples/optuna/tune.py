"""Tune a classifier of digits with Optuna: each trial is a run within that of the study."""

import argparse

import optuna
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

import gittrack
from gittrack.integrations.optuna import GittrackCallback


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()

    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        digits.data / 16, digits.target, test_size=0.3, random_state=0
    )

    with gittrack.start_run(run_name="study"):
        tracking = GittrackCallback(metric_name="accuracy")

        @tracking.track_in_trial
        def objective(trial: optuna.Trial) -> float:
            model = SGDClassifier(
                loss=trial.suggest_categorical("loss", ["hinge", "log_loss"]),
                alpha=trial.suggest_float("alpha", 1e-6, 1.0, log=True),
                random_state=0,
            )
            accuracy = 0.0
            for epoch in range(options.epochs):
                model.partial_fit(train_x, train_y, classes=digits.target_names)
                accuracy = model.score(test_x, test_y)
                gittrack.log_metric("train_accuracy", model.score(train_x, train_y), step=epoch)
                trial.report(accuracy, epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned()
            return accuracy

        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        )
        study.optimize(objective, n_trials=options.trials, callbacks=[tracking])
    print(f"best: {study.best_value:.3f} with {study.best_params}")


if __name__ == "__main__":
    main()
