"""XGBoost itself, called back: its trainings are in the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainings import Trained, train

pytest.importorskip("xgboost")

PROGRAM = """\
import os
import gittrack, numpy, xgboost
from gittrack.integrations.xgboost import GittrackCallback

chance = numpy.random.default_rng(0)
x = chance.normal(size=(300, 4))
y = (x[:, 0] + chance.normal(size=300) > 0).astype(int)
data, held = xgboost.DMatrix(x[:200], y[:200]), xgboost.DMatrix(x[200:], y[200:])
told = {"objective": "binary:logistic", "eta": 0.3, "max_depth": 2, "nthread": 1}

with gittrack.start_run(name="stopped"):
    xgboost.train(
        {**told, "eval_metric": ["auc", "logloss"]}, data, 100, verbose_eval=False,
        evals=[(data, "train"), (held, "held")], early_stopping_rounds=3,
        callbacks=[GittrackCallback(log_model=True)],
    )
with gittrack.start_run(name="estimator"):
    callback = GittrackCallback(log_feature_importance=False)
    model = xgboost.XGBClassifier(n_estimators=4, max_depth=3, n_jobs=1, callbacks=[callback])
    model.fit(x[:200], y[:200], eval_set=[(x[200:], y[200:])], verbose=False)
with gittrack.start_run(name="validated"):
    xgboost.cv(told, data, 5, callbacks=[GittrackCallback(log_model=True)])
with gittrack.start_run(name="linear"):
    xgboost.train(
        {"booster": "gblinear", "nthread": 1}, data, 2, callbacks=[GittrackCallback()],
        evals=[(held, "held")], verbose_eval=False,
    )
with gittrack.start_run(name="custom"):
    def odd(guess, data):
        return "n" * 300, 1.0
    xgboost.train(
        told, data, 3, custom_metric=odd, evals=[(held, "held")], verbose_eval=False,
        callbacks=[GittrackCallback(importance_type="no such")],
    )
try:
    with gittrack.start_run(name="failed"):
        def broken(guess, data):
            raise KeyError("mine")
        xgboost.train(told, data, 3, obj=broken, callbacks=[GittrackCallback()])
except KeyError as error:
    print("raised", error)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("boosted"), PROGRAM)


def test_a_training_is_a_curve_for_each_metric(trained: Trained) -> None:
    """Of each data set, a point for each round, and what the booster was told."""
    run = trained["stopped"]
    params = {"eta": 0.3, "max_depth": 2, "objective": "binary:logistic", "booster": "gbtree"}
    assert params.items() <= run.params.items() and "num_trees" not in run.params
    curve = trained.curve("stopped", "held-auc")
    best = int(run.metrics["best_iteration"])
    assert [step for step, _ in curve] == list(range(best + 4))
    assert len(trained.curve("stopped", "train-logloss")) == len(curve)
    losses = [value for _, value in trained.curve("stopped", "held-logloss")]
    assert losses.index(min(losses)) == best and run.metrics["best_score"] == min(losses)


def test_what_mattered_and_the_model_are_kept(trained: Trained) -> None:
    """A model can be loaded by XGBoost alone."""
    import xgboost

    importance = json.loads(trained.kept("stopped", "feature_importance.json").read_text())
    assert max(importance, key=lambda name: importance[name]) == "f0"
    booster = xgboost.Booster(model_file=trained.kept("stopped", "model.json"))
    best = trained["stopped"].metrics["best_iteration"]
    assert booster.num_boosted_rounds() == best + 4


def test_an_estimator_is_a_training(trained: Trained) -> None:
    """With the names that XGBoost gives to its data sets."""
    assert trained["estimator"].params["max_depth"] == 3
    curve = trained.curve("estimator", "validation_0-logloss")
    assert [step for step, _ in curve] == [0, 1, 2, 3]
    assert trained["estimator"].artifacts == ()


def test_a_cross_validation_has_means_and_deviations(trained: Trained) -> None:
    """And no model."""
    run = trained["validated"]
    assert set(run.metrics) == {
        f"{data}-logloss-{of}" for data in ("train", "test") for of in ("mean", "std")
    }
    assert len(trained.curve("validated", "test-logloss-mean")) == 5
    assert run.params["max_depth"] == 2 and run.artifacts == ()


def test_a_linear_booster_is_one_too(trained: Trained) -> None:
    """It has weights where trees have gains."""
    run = trained["linear"]
    assert run.params["booster"] == "gblinear" and "held-rmse" in run.metrics
    assert run.faults == ("feature importance not logged: " + run.faults[0].partition(": ")[2],)


def test_what_goes_wrong_on_our_side_is_a_fault(trained: Trained) -> None:
    """A name that no metric can have, and an importance that there is not."""
    run = trained["custom"]
    assert run.status == "finished" and len(trained.curve("custom", "held-logloss")) == 3
    assert any("305 characters" in fault for fault in run.faults)
    assert any("feature importance not logged" in fault for fault in run.faults)


def test_what_goes_wrong_in_the_training_goes_through(trained: Trained) -> None:
    """The run is failed, and the script sees its own exception."""
    assert trained["failed"].status == "failed" and trained.out == "raised 'mine'\n"


def test_without_a_run_the_training_begins_one(tmp_path: Path) -> None:
    """As `log_metric` does; in a run of the command it is that."""
    program = PROGRAM.split("with ")[0] + (
        "xgboost.train(told, data, 3, callbacks=[GittrackCallback()])\n"
        "gittrack.log_metric('after', 1)\n"
    )
    for track, source in ((False, "api"), (True, "cli")):
        (run,) = train(tmp_path / source, program, track=track).all
        assert (run.source, run.params["eta"], run.metrics["after"]) == (source, 0.3, 1)
    outside = program.replace("xgboost.train", "os.chdir('/')\nxgboost.train")
    assert "gittrack.errors.NotARepository" in train(tmp_path / "outside", outside, code=1).err
