"""LightGBM itself, called back: its trainings are in the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainings import Trained, train

pytest.importorskip("lightgbm")

PROGRAM = """\
import gittrack, lightgbm, numpy
from gittrack.integrations.lightgbm import GittrackCallback, log_summary

chance = numpy.random.default_rng(0)
x = chance.normal(size=(400, 4))
y = (x[:, 0] + chance.normal(size=400) > 0).astype(int)
data = lightgbm.Dataset(x[:200], y[:200], free_raw_data=False)
held = lightgbm.Dataset(x[200:], y[200:], reference=data, free_raw_data=False)
told = {"objective": "binary", "num_leaves": 5, "num_threads": 1, "verbose": -1}

with gittrack.start_run(name="stopped"):
    model = lightgbm.train(
        {**told, "metric": ["binary_logloss", "auc"]}, data, 100,
        valid_sets=[data, held], valid_names=["train", "held"],
        callbacks=[lightgbm.early_stopping(3, True, verbose=False), GittrackCallback()],
    )
    print(model.best_iteration)
with gittrack.start_run(name="summed"):
    log_summary(model, log_model=True)
with gittrack.start_run(name="estimator"):
    model = lightgbm.LGBMClassifier(n_estimators=4, num_leaves=7, n_jobs=1, verbose=-1)
    model.fit(x, y, eval_set=[(x, y)], callbacks=[GittrackCallback()])
    log_summary(model, feature_importance=False)
with gittrack.start_run(name="validated"):
    lightgbm.cv(told, data, 5, callbacks=[GittrackCallback()])
with gittrack.start_run(name="unwatched"):
    log_summary(lightgbm.train(told, data, 3, callbacks=[GittrackCallback()]))
with gittrack.start_run(name="odd"):
    def odd(guess, data):
        return "odd\\nname", 1.0, False
    lightgbm.train(told, data, 3, valid_sets=[held], feval=odd, callbacks=[GittrackCallback()])
    log_summary(object())
try:
    with gittrack.start_run(name="failed"):
        def broken(guess, data):
            raise KeyError("mine")
        lightgbm.train({**told, "objective": broken}, data, 3, callbacks=[GittrackCallback()])
except KeyError as error:
    print("raised", error)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("boosted"), PROGRAM)


def test_a_training_is_a_curve_for_each_metric(trained: Trained) -> None:
    """Also of the iteration that stops it, though LightGBM tells others nothing more then."""
    run = trained["stopped"]
    assert {"num_leaves": 5, "num_iterations": 100}.items() <= run.params.items()
    assert run.params["metric"] == ["binary_logloss", "auc"]
    best = int(trained.out.split()[0])
    curve = trained.curve("stopped", "held-binary_logloss")
    assert [step for step, _ in curve] == list(range(best + 3))
    assert len(trained.curve("stopped", "train-auc")) == len(curve)


def test_the_best_iteration_is_known_without_the_end(trained: Trained) -> None:
    """LightGBM has no callback for the end; held-out data count, and from 1."""
    metrics = trained["stopped"].metrics
    losses = [value for _, value in trained.curve("stopped", "held-binary_logloss")]
    assert metrics["best_iteration"] == int(trained.out.split()[0])
    assert metrics["best_score"] == min(losses) == losses[metrics["best_iteration"] - 1]


def test_a_summary_tells_what_the_model_knows(trained: Trained) -> None:
    """Its scores at its best iteration, what mattered, and itself, for LightGBM alone."""
    import lightgbm

    run, before = trained["summed"], trained["stopped"]
    assert run.metrics["best_iteration"] == before.metrics["best_iteration"]
    assert run.metrics["best_held-binary_logloss"] == before.metrics["best_score"]
    importance = json.loads(trained.kept("summed", "feature_importance.json").read_text())
    assert max(importance, key=lambda name: importance[name]) == "Column_0"
    assert lightgbm.Booster(model_file=trained.kept("summed", "model.txt")).num_trees() > 0


def test_an_estimator_is_a_training(trained: Trained) -> None:
    """Scores on what it was trained on are no best of anything held out."""
    run = trained["estimator"]
    assert run.params["num_leaves"] == 7 and run.artifacts == ()
    (curve,) = {key for key in run.metrics if key.endswith("logloss") and key[:5] != "best_"}
    assert [step for step, _ in trained.curve("estimator", curve)] == [0, 1, 2, 3]


def test_a_cross_validation_has_means_and_deviations(trained: Trained) -> None:
    """With LightGBM's own names."""
    curve = trained.curve("validated", "valid-binary_logloss-mean")
    assert len(curve) == len(trained.curve("validated", "valid-binary_logloss-stdv")) == 5
    assert trained["validated"].metrics["best_score"] == min(value for _, value in curve)


def test_a_training_without_data_to_check_has_params(trained: Trained) -> None:
    """And no curves, which is no fault."""
    run = trained["unwatched"]
    assert run.params["num_leaves"] == 5 and run.metrics == {} and run.faults == ()


def test_what_goes_wrong_on_our_side_is_a_fault(trained: Trained) -> None:
    """A name that no metric can have costs that metric; what is no model has no summary."""
    run = trained["odd"]
    assert run.status == "finished"
    assert len(trained.curve("odd", "valid_0-binary_logloss")) == 3
    assert any("line" in fault or "character" in fault for fault in run.faults)
    assert any(fault.startswith("feature importance not logged") for fault in run.faults)


def test_what_goes_wrong_in_the_training_goes_through(trained: Trained) -> None:
    """The run is failed, and the script sees its own exception."""
    assert trained["failed"].status == "failed" and "raised 'mine'" in trained.out


def test_without_a_run_the_training_begins_one(tmp_path: Path) -> None:
    """As `log_metric` does; in a run of the command it is that."""
    program = (
        PROGRAM.split("with ")[0]
        + "lightgbm.train(told, data, 3, callbacks=[GittrackCallback()])\n"
    )
    for track, source in ((False, "api"), (True, "cli")):
        (run,) = train(tmp_path / source, program, track=track).all
        assert (run.source, run.params["num_leaves"]) == (source, 5)
