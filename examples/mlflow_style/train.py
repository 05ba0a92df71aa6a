"""Compare regularisations of a classifier of digits, logged in MLflow's words.

`import gittrack as mlflow` would do as well: the verbs are called the same.
"""

import argparse

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from sklearn.model_selection import train_test_split

import gittrack


def train(alpha: float, epochs: int) -> float:
    """One trial, a run within the current one -> its accuracy."""
    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        digits.data / 16, digits.target, test_size=0.3, random_state=0
    )
    with gittrack.start_run(run_name=f"alpha {alpha:g}", nested=True):
        gittrack.log_params({"alpha": alpha, "epochs": epochs, "loss": "log_loss"})
        model = SGDClassifier(loss="log_loss", alpha=alpha, random_state=0)
        for epoch in range(epochs):
            model.partial_fit(train_x, train_y, classes=digits.target_names)
            gittrack.log_metrics(
                {
                    "train_loss": log_loss(train_y, model.predict_proba(train_x)),
                    "accuracy": accuracy_score(test_y, model.predict(test_x)),
                },
                step=epoch,
            )
        gittrack.log_image(test_x[0].reshape(8, 8), "first.png")
        counts = confusion_matrix(test_y, model.predict(test_x))
        gittrack.log_dict({"counts": counts}, "confusion.json")
        return float(accuracy_score(test_y, model.predict(test_x)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--alphas", type=float, nargs="+", default=[1e-4, 1e-2, 1.0])
    options = parser.parse_args()

    gittrack.set_experiment("Digits, MLflow style")
    with gittrack.start_run(run_name="comparison", tags={"data": "digits"}):
        accuracies = {alpha: train(alpha, options.epochs) for alpha in options.alphas}
        best = max(accuracies, key=lambda alpha: accuracies[alpha])
        gittrack.log_param("best_alpha", best)
        gittrack.log_metric("accuracy", accuracies[best])
    print(f"alpha {best:g} has the best accuracy: {accuracies[best]:.3f}")


if __name__ == "__main__":
    main()
