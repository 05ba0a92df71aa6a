"""Optuna itself: each trial of a study is a run within it, whatever becomes of the trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainings import Trained, train

pytest.importorskip("optuna")

HEAD = """\
import os, threading
import gittrack, optuna
from gittrack.integrations.optuna import GittrackCallback

optuna.logging.set_verbosity(optuna.logging.CRITICAL)

def objective(trial):
    x = trial.suggest_float("x", -1, 1)
    trial.suggest_categorical("kind", ["a", "b"])
    for step in range(3):
        trial.report(x * x + step, step)
    trial.set_user_attr("note", "z" * 9000)
    if trial.number == 1:
        raise optuna.TrialPruned()
    if trial.number == 2:
        raise ValueError("mine")
    if trial.number == 3:
        return float("nan")
    return x * x

def study(**given):
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(0), **given)
"""

PROGRAM = """\
with gittrack.start_run(name="plain"):
    study().optimize(objective, 5, callbacks=[GittrackCallback("error")], catch=ValueError)
"""

TRACKED = """\
tracking = GittrackCallback(["error"])

@tracking.track_in_trial
def inside(trial):
    \"\"\"Said.\"\"\"
    gittrack.log_metric("seen", trial.number, step=0)
    value = objective(trial)
    gittrack.log_metric("seen", trial.number, step=1)
    return value

assert inside.__doc__ == "Said."
with gittrack.start_run(name="tracked"):
    study().optimize(inside, 5, callbacks=[tracking], catch=ValueError)
    gittrack.log_metric("after", 1)
"""

THREADS = """\
tracking = GittrackCallback()
meet = threading.Barrier(2)

@tracking.track_in_trial
def inside(trial):
    meet.wait(30)
    gittrack.log_metric("seen", trial.number)
    meet.wait(30)
    return trial.suggest_float("x", -1, 1)

with gittrack.start_run(name="outer"):
    with gittrack.start_run(name="threads", nested=True) as run:
        # Made where the study's run is the current one.
        tracking = GittrackCallback()
        inside = tracking.track_in_trial(inside.__wrapped__)
        study().optimize(inside, 6, n_jobs=2, callbacks=[tracking])
"""

SEVERAL = """\
def two(trial):
    x = trial.suggest_int("x", 0, 9)
    if x > 4:
        trial.suggest_int("more", 0, 9)
    return x, -x

tracking = GittrackCallback()
study(directions=["minimize", "minimize"], study_name="Two of them").optimize(
    tracking.track_in_trial(two), 4, callbacks=[tracking]
)
gittrack.end_run()
with gittrack.start_run(name="named"):
    study(directions=["minimize", "minimize"]).optimize(
        two, 2, callbacks=[GittrackCallback(["up", "down"])]
    )
with gittrack.start_run(name="shrinking"):
    # The first has a param that the best one does not have.
    def falling(trial):
        return trial.suggest_int("x", 0, 9) if trial.number else 99 + trial.suggest_int("old", 0, 1)
    study().optimize(falling, 2, callbacks=[GittrackCallback()])
with gittrack.start_run(name="wrong"):
    tracking = GittrackCallback()
    told = tracking.track_in_trial(lambda trial: "no number")
    study().optimize(told, 1, callbacks=[tracking])
    told = tracking.track_in_trial(lambda trial: (1, 2))
    study().optimize(told, 1, callbacks=[tracking])
try:
    with gittrack.start_run(name="raised"):
        tracking = GittrackCallback()
        @tracking.track_in_trial
        def broken(trial):
            raise KeyError("mine")
        study().optimize(broken, 3, callbacks=[tracking])
except KeyError as error:
    print("raised", error)
"""


def trials(found: Trained, name: str) -> list[str]:
    """The names of the runs within a run, in order."""
    within = [run.name for run in found.all if run.parent == found[name].id]
    return sorted(run.rpartition("-")[0] for run in within)


@pytest.fixture(scope="module", params=[PROGRAM, TRACKED], ids=["plain", "tracked"])
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Trained]:
    """Five trials of which one is pruned, one fails and one gives no number, both ways."""
    found = train(tmp_path_factory.mktemp("study"), HEAD + request.param)
    return ("plain" if request.param is PROGRAM else "tracked"), found


def test_each_trial_is_a_run_within_that_of_the_study(study: tuple[str, Trained]) -> None:
    """With its params, its value, and how it ended."""
    name, found = study
    assert trials(found, name) == [f"trial-{number}" for number in range(5)]
    runs = [found[f"trial-{number}"] for number in range(5)]
    assert [run.status for run in runs] == [
        "finished", "finished", "failed", "failed", "finished",
    ]  # fmt: skip
    assert [run.tags["optuna.state"] for run in runs] == [
        "complete", "pruned", "fail", "fail", "complete",
    ]  # fmt: skip
    assert [run.tags["optuna.trial"] for run in runs] == list("01234")
    for run in runs:
        assert set(run.params) == {"x", "kind"} and run.metrics["duration"] >= 0
        assert run.tags["note"] == "z" * 497 + "..."
    square = runs[0].params["x"] ** 2
    assert runs[0].metrics["error"] == square and "error" not in runs[2].metrics
    assert found.curve("trial-0", "intermediate_value") == [
        (step, square + step) for step in range(3)
    ]
    assert runs[1].metrics["error"] == runs[1].params["x"] ** 2 + 2
    assert {run.name: run.faults for run in found.all if run.faults} == {}


def test_the_study_knows_its_best(study: tuple[str, Trained]) -> None:
    """As a curve over its trials, with the params."""
    name, found = study
    values = {number: found[f"trial-{number}"].metrics.get("error") for number in (0, 4)}
    best = min(values, key=lambda number: values[number])
    run = found[name]
    assert run.metrics["best_value"] == values[best] and run.metrics["best_trial"] == best
    assert run.params["best.x"] == found[f"trial-{best}"].params["x"]
    steps = [step for step, _ in found.curve(name, "best_value")]
    assert steps in ([0, 1, 2, 3, 4], [0, 1, 3, 4])
    assert run.status == "finished" and "x" not in run.params


def test_what_an_objective_logs_goes_to_its_trial(tmp_path: Path) -> None:
    """Where it is decorated; after the study it goes to the study again."""
    found = train(tmp_path, HEAD + TRACKED)
    assert found.curve("trial-0", "seen") == [(0, 0), (1, 0)]
    assert found.curve("trial-2", "seen") == [(0, 2)]
    assert found["tracked"].metrics["after"] == 1 and "seen" not in found["tracked"].metrics
    from gittrack import commits, refs

    (ref,) = [ref for ref in refs.all_runs(found.repo) if ref.name == found["trial-2"].name]
    assert "ValueError: mine" in commits.output(found.repo, ref).decode()


def test_threads_have_a_trial_each(tmp_path: Path) -> None:
    """Two at a time: what each logs is its own, and all are within the study's run."""
    found = train(tmp_path, HEAD + THREADS)
    assert trials(found, "threads") == [f"trial-{number}" for number in range(6)]
    assert trials(found, "outer") == ["threads"]
    for number in range(6):
        run = found[f"trial-{number}"]
        assert run.metrics["seen"] == number and run.metrics["value"] == run.params["x"]
    best = min(found[f"trial-{number}"].params["x"] for number in range(6))
    assert found["threads"].params["best.x"] == best
    assert all(run.faults == () for run in found.all)


def test_objectives_of_every_kind(tmp_path: Path) -> None:
    """Several values, params that come and go, no numbers, exceptions, a study without a run."""
    found = train(tmp_path, HEAD + SEVERAL)
    runs = {name: [run for run in found.all if run.parent == found[name].id] for name in (
        "two-of-them", "named", "shrinking", "wrong", "raised",
    )}  # fmt: skip
    assert {name: len(within) for name, within in runs.items()} == {
        "two-of-them": 4, "named": 2, "shrinking": 2, "wrong": 2, "raised": 1,
    }  # fmt: skip
    for run in runs["two-of-them"]:
        assert (run.metrics["value_0"], run.metrics["value_1"]) == (
            run.params["x"], -run.params["x"],
        )  # fmt: skip
    assert set(found["two-of-them"].tags["optuna.best_trials"].split(", ")) == set("0123")
    assert all(run.metrics["up"] == -run.metrics["down"] for run in runs["named"])
    best = found["shrinking"].params
    assert best["best.old"] is None and best["best.x"] == found["shrinking"].metrics["best_value"]
    assert [run.status for run in runs["wrong"]] == ["failed", "failed"]
    assert [run.tags["optuna.state"] for run in runs["wrong"]] == ["fail", "fail"]
    assert runs["raised"][0].status == found["raised"].status == "failed"
    assert found.out == "raised 'mine'\n"
    assert all(run.faults == () for run in found.all)


def test_in_a_run_of_the_command_the_study_is_that(tmp_path: Path) -> None:
    """And where no run can begin, trials that are over are not lost for it."""
    program = HEAD + "study().optimize(objective, 2, callbacks=[GittrackCallback()])\n"
    whole, *within = train(tmp_path / "tracked", program, track=True).all
    assert whole.source == "cli" and {run.parent for run in within} == {whole.id}
    outside = program.replace("study()", "os.chdir('/')\nknown = study()\nknown")
    found = train(tmp_path / "outside", outside + "print(len(known.trials))\n")
    assert found.out == "2\n" and found.all == []
    assert found.err.startswith("gittrack: trial 0 not recorded: ")
