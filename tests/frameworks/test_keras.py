"""Keras itself, called back: its trainings are in the record."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from trainings import Trained, train

PROGRAM = """\
import os
os.environ["KERAS_BACKEND"] = "torch"
import numpy, keras
import gittrack
from gittrack.integrations.keras import GittrackCallback

keras.utils.set_random_seed(7)
x = numpy.random.default_rng(0).normal(size=(96, 4)).astype("float32")
y = (x[:, 0] > 0).astype("int32")

def made(**told):
    model = keras.Sequential([
        keras.layers.Input((4,)), keras.layers.Dense(3, "relu"),
        keras.layers.Dense(1, "sigmoid"),
    ], name="small")
    model.compile(loss="binary_crossentropy", metrics=["accuracy"], **told)
    return model

def fit(model, callback, **more):
    return model.fit(x, y, verbose=0, callbacks=[callback], **{"batch_size": 16, **more})

with gittrack.start_run(name="validated"):
    callback = GittrackCallback(log_every=3, log_model=True)
    model = made(optimizer=keras.optimizers.Adam(0.05))
    known = fit(model, callback, epochs=3, validation_data=(x[:32], y[:32])).history
    model.evaluate(x[32:], y[32:], verbose=0, callbacks=[callback])
    gittrack.log_dict(known, "known.json")
with gittrack.start_run(name="scheduled"):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=6, decay_rate=0.5)
    model = made(optimizer=keras.optimizers.SGD(schedule))
    callback = GittrackCallback(monitor="accuracy")
    fit(model, callback, epochs=2)
    fit(model, callback, epochs=4, initial_epoch=2, batch_size=None)
with gittrack.start_run(name="hostile"):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(1, "sigmoid")
        def call(self, x):
            return self.inner(x)
        def save(self, path):
            raise OSError("no such disk")
        def count_params(self):
            raise ValueError("not yet")
    model = Model()
    model.compile(optimizer="sgd", loss="mse")
    fit(model, GittrackCallback(log_model=True), epochs=1)
class Broken(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyError("mine")
try:
    with gittrack.start_run(name="failed"):
        fit(made(optimizer="sgd"), GittrackCallback(), epochs=1)
        made(optimizer="sgd").fit(x, y, verbose=0, callbacks=[GittrackCallback(), Broken()])
except KeyError as error:
    print("raised", error)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("keras"), PROGRAM)


def test_a_training_is_a_curve_for_each_metric(trained: Trained) -> None:
    """Exactly what Keras itself remembers, and what the training was told."""
    run = trained["validated"]
    told = {
        "epochs": 3, "steps": 6, "batch_size": 16, "model.name": "small", "model.parameters": 19,
        "optimizer.name": "adam", "loss": "binary_crossentropy",
    }  # fmt: skip
    assert told.items() <= run.params.items()
    assert run.params["optimizer.learning_rate"] == pytest.approx(0.05)
    known = json.loads(trained.kept("validated", "known.json").read_text())
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert trained.curve("validated", name) == list(enumerate(known[name]))
    best = min(known["val_loss"])
    assert run.metrics["best_val_loss"] == best
    assert known["val_loss"][int(run.metrics["best_epoch"])] == best
    assert len(trained.curve("validated", "test_loss")) == 1
    assert run.faults == () and run.status == "finished"


def test_batches_are_logged_where_that_was_asked_for(trained: Trained) -> None:
    """Each third of 18, counted over all epochs; otherwise none."""
    assert [step for step, _ in trained.curve("validated", "batch/loss")] == [3, 6, 9, 12, 15, 18]
    assert trained.curve("scheduled", "batch/loss") == []


def test_the_model_is_one_that_keras_loads(trained: Trained) -> None:
    """The whole of it, with its optimizer."""
    with zipfile.ZipFile(trained.kept("validated", "model.keras")) as kept:
        assert {"config.json", "model.weights.h5"} <= set(kept.namelist())


def test_the_learning_rate_is_that_of_the_schedule(trained: Trained) -> None:
    """And a training that goes on counts epochs where it left off, which is no fault."""
    run = trained["scheduled"]
    rates = trained.curve("scheduled", "learning_rate")
    assert [step for step, _ in rates] == [0, 1, 2, 3]
    # Six batches each of the first two epochs; then three of 32, which halve it every other epoch.
    assert [value for _, value in rates] == pytest.approx([0.05, 0.025, 0.0177, 0.0125], rel=0.01)
    assert run.params["epochs"] == 4 and run.params["batch_size"] == 32
    assert "best_accuracy" in run.metrics and run.faults == ()


def test_what_goes_wrong_on_our_side_is_a_fault(trained: Trained) -> None:
    """The training goes on, its curves with it."""
    run = trained["hostile"]
    assert run.status == "finished" and len(trained.curve("hostile", "loss")) == 1
    assert [fault.partition(":")[0] for fault in run.faults] == [
        "params not logged", "model not kept",
    ]  # fmt: skip


def test_what_goes_wrong_in_the_training_goes_through(trained: Trained) -> None:
    """The run is failed, and the script sees its own exception."""
    assert trained["failed"].status == "failed" and trained.out == "raised 'mine'\n"


def test_without_a_run_the_training_begins_one(tmp_path: Path) -> None:
    """As `log_metric` does; in a run of the command it is that."""
    program = PROGRAM.split("with ")[0] + (
        "fit(made(optimizer='sgd'), GittrackCallback(), epochs=1)\n"
        "gittrack.log_metric('after', 1)\n"
    )
    for track, source in ((False, "api"), (True, "cli")):
        (run,) = train(tmp_path / source, program, track=track).all
        assert (run.source, run.params["epochs"], run.metrics["after"]) == (source, 1, 1)
