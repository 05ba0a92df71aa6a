"""Train a small network with Keras: a callback logs what it was told, its curves, the model."""

import argparse
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import gittrack
from gittrack.integrations.keras import GittrackCallback


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=32, help="units of the hidden layer")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()

    keras.utils.set_random_seed(7)
    x, y = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x / 16, y, random_state=0)
    model = keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(options.hidden, "relu"),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(options.lr),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    callback = GittrackCallback(log_model=True)
    with gittrack.start_run(run_name=f"hidden-{options.hidden}"):
        model.fit(
            train_x,
            train_y,
            epochs=options.epochs,
            validation_data=(test_x, test_y),
            verbose=0,
            callbacks=[callback],
        )
        model.evaluate(test_x, test_y, verbose=0, callbacks=[callback])


if __name__ == "__main__":
    main()
