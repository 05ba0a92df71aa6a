"""`git track best`, by the real command."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from in_process import track_here
from recorded_runs import record


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


METRICS: list[dict[str, float]] = [
    {"acc": 0.75, "val_loss": 0.5},
    {"acc": 0.875, "val_loss": 0.25},
    {"acc": math.nan, "val_loss": 0.125},
    {"acc": 0.875, "val_loss": 1.0},
    {"val_loss": 2.0},
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, git: Any) -> Path:
    """Five runs, the oldest first: a-, b-, c- with NaN, d- as good as b-, e- without accuracy."""
    place = tmp_path_factory.mktemp("best")
    git(place, "init", "-q", ".")
    for number, metrics in enumerate(METRICS):
        record(
            place, number, f"{'abcde'[number]}-aaaaa{number}", metrics=metrics,
            experiment="other" if number == 4 else "default",
            status="failed" if number == 3 else "finished",
            params={"opt": "adam" if number % 2 else "sgd", "lr": number / 2, "size": 3},
        )  # fmt: skip
    return place


def test_the_winner_is_shown_with_its_params_and_margin(world: Path, track: Any) -> None:
    """All that one asks of a winner; of equal ones the newest, NaN never."""
    done = track(world, "best", "acc", check=0)
    assert done.stdout == (
        "d-aaaaa3  failed  acc 0.875  (highest of 3 runs, as good as b-aaaaa1)\n"
        "  lr    1.5\n"
        "  opt   adam\n"
        "  size  3\n"
    )
    assert done.stderr == ""


def test_the_margin_is_the_distance_to_the_next(world: Path, track: Any) -> None:
    """In the direction that was asked for."""
    done = track(world, "best", "val_loss", "--lowest", check=0)
    said = "c-aaaaa2  val_loss 0.125  (lowest of 5 runs, 0.125 below b-aaaaa1)"
    assert done.stdout.splitlines()[0] == said
    done = track(world, "best", "metrics.val_loss", "--highest", check=0)
    said = "e-aaaaa4  val_loss 2  (highest of 5 runs, 1 above d-aaaaa3)"
    assert done.stdout.splitlines()[0] == said and done.stderr == ""
    done = track(world, "best", "acc", "-x", "other", check=1)
    assert done.stderr == "error: the one run has no number as acc\n"


def test_a_direction_that_is_only_likely_is_asked_about(world: Path, track: Any, git: Any) -> None:
    """A guess would be wrong one day and nobody would see it; the setting ends the question."""
    done = track(world, "best", "val_loss", check=0)
    assert done.stdout.startswith("e-aaaaa4  val_loss 2")
    assert done.stderr == (
        "note: the highest val_loss is taken for the best; --lowest takes the lowest, and "
        "`git config --add track.lowest 'val_loss'` always\n"
    )
    git(world, "config", "--add", "track.lowest", "rmse")
    git(world, "config", "--add", "track.lowest", "*loss")
    try:
        done = track(world, "best", "val_loss", check=0)
        assert done.stdout.startswith("c-aaaaa2  val_loss 0.125  (lowest of 5 runs")
        assert done.stderr == ""
        assert track(world, "best", "val_loss", "--highest", check=0).stdout.startswith("e-aaaaa4")
        assert track(world, "best", "acc", check=0).stdout.startswith("d-aaaaa3")
    finally:
        git(world, "config", "--unset-all", "track.lowest")


def test_several_winners_are_a_table(world: Path, track: Any) -> None:
    """With the params that vary between them; one that never varies tells nothing."""
    done = track(world, "best", "acc", "-n", "9", check=0)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines == [
        ["NAME", "acc", "MARGIN", "NEXT", "lr", "opt"],
        ["d-aaaaa3", "0.875", "0.000", "b-aaaaa1", "1.5", "adam"],
        ["b-aaaaa1", "0.875", "0.125", "a-aaaaa0", "0.5", "adam"],
        ["a-aaaaa0", "0.750", "·", "·", "0.0", "sgd"],
    ]
    assert done.stderr == "highest acc of 3 runs · 2 without\n"


def test_each_group_has_its_best(world: Path, track: Any) -> None:
    """The best group first; a bare name is enough."""
    done = track(world, "best", "acc", "--group-by", "opt", "--csv", check=0)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["params.opt"], row["name"], row["margin"], row["runs"]) for row in rows] == [
        ("adam", "d-aaaaa3", "0.0", "2"), ("sgd", "a-aaaaa0", "", "1"),
    ]  # fmt: skip
    done = track(world, "best", "val_loss", "--group-by", "opt,experiment", "--highest", check=0)
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["opt", "EXPERIMENT", "NAME"],
        ["sgd", "other", "e-aaaaa4"],
        ["adam", "default", "d-aaaaa3"],
        ["sgd", "default", "a-aaaaa0"],
    ]


def test_groups_may_be_computed(world: Path, track: Any) -> None:
    """`0.5*lr` is what it is called, whatever stands behind its dot."""
    done = track(world, "best", "acc", "--group-by", "0.5*duration", check=0)
    assert done.stdout.split()[:2] == ["0.5*duration", "NAME"]


def test_json_has_everything_in_full(world: Path, track: Any) -> None:
    """Stable names, nothing rounded."""
    (first, second) = json.loads(track(world, "best", "acc", "-n", "2", "--json", check=0).stdout)
    assert first == {
        "name": "d-aaaaa3", "experiment": "default", "id": f"{3:032x}", "commit": first["commit"],
        "status": "failed", "metric": "metrics.acc", "lowest": False, "value": 0.875, "rank": 1,
        "margin": 0.0, "next": "b-aaaaa1", "group": {}, "runs": 3,
        "params": {"lr": 1.5, "opt": "adam", "size": 3},
    }  # fmt: skip
    assert len(first["commit"]) == 40 and second["rank"] == 2


def test_markdown_is_a_table(world: Path, track: Any) -> None:
    """For a report."""
    lines = track(world, "best", "acc", "-n", "2", "--md", check=0).stdout.splitlines()
    assert lines[0].startswith("| NAME") and len(lines) == 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["acuracy"], 2, "no param, metric, tag or attribute named 'acuracy'"),
        (["val_los"], 2, "did you mean 'metrics.val_loss'"),
        (["opt"], 2, "'params.opt' is no number in any run"),
        (["name"], 2, "'name' is no number in any run"),
        (["acc", "-n", "0"], 2, "0 is not in the range"),
        (["acc", "--lowest", "--highest"], 2, "--lowest and --highest do not go together"),
        (["acc", "--json", "--csv"], 2, "--json and --csv do not go together"),
        (["acc", "--group-by", "modell"], 2, "named 'modell'"),
        (["acc", "-x", "nope"], 2, "no run is of experiment 'nope'"),
        ([], 2, "missing argument 'METRIC'"),
    ],
)
def test_what_cannot_be_asked_is_said(
    world: Path, track: Any, words: list[str], code: int, said: str
) -> None:
    """Never an empty answer."""
    done = track(world, "best", *words, check=code)
    assert done.stdout == "" and done.stderr.startswith("error: ") and said in done.stderr


def test_a_repository_without_runs_has_no_winner(repo_dir: Path, track: Any) -> None:
    """And says so."""
    done = track(repo_dir, "best", "acc", check=2)
    assert "named 'acc'" in done.stderr


def test_a_duration_can_win_too(world: Path, track: Any) -> None:
    """Anything that is a number."""
    done = track(world, "best", "duration", "--lowest", check=0)
    assert "duration 4" in done.stdout


def test_a_query_says_which_runs_take_part(world: Path, track: Any, git: Any) -> None:
    """As in `git track ls`, saved ones too; where none is left that is an error."""
    done = track(world, "best", "acc", "params.opt = 'sgd'", check=0)
    assert done.stdout.startswith("a-aaaaa0  acc 0.75  (the only run that has one)\n")
    git(world, "config", "track.alias.good", "status = 'finished'")
    done = track(world, "best", "acc", "-q", "good", check=0)
    assert done.stdout.startswith("b-aaaaa1  acc 0.875  (highest of 2 runs, 0.125 above a-aaaaa0)")
    done = track(world, "best", "acc", "lr > 100", check=1)
    assert done.stderr == "error: no run matches\n"
    done = track(world, "best", "acc", "lrr > 100", check=2)
    assert "    lrr > 100\n    ^^^\n" in done.stderr


def test_a_computation_can_be_what_is_compared(world: Path, track: Any, git: Any) -> None:
    """Of a curve the setting for its metric counts; of several numbers nothing but the options."""
    done = track(world, "best", "acc - val_loss", check=0)
    assert done.stdout.startswith("b-aaaaa1  acc - val_loss 0.625  (highest of 3 runs")
    git(world, "config", "--add", "track.lowest", "val_loss")
    try:
        done = track(world, "best", "min(val_loss)", check=0)
        assert done.stdout.startswith("c-aaaaa2  min(val_loss) 0.125  (lowest of 5 runs")
        done = track(world, "best", "min(metrics.val_loss)", "--highest", check=0)
        assert done.stdout.startswith("e-aaaaa4  ")
    finally:
        git(world, "config", "--unset-all", "track.lowest")


def test_a_query_in_pieces_is_told_whole(world: Path, track: Any) -> None:
    """With the verb and the metric as they were typed: what is said can be pasted."""
    done = track(world, "best", "max(acc)", "lr", "0.5", check=2)
    assert done.stderr == (
        "error: a query is one argument, and here are 2\n"
        "hint: put quotes around it: `git track best 'max(acc)' 'lr 0.5'`\n"
    )
