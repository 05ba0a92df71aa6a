"""`git track compare`, by the real command."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from in_process import track_here
from recorded_runs import record


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, git: Any) -> Path:
    """Twenty-four runs of a grid: the learning rate matters, the optimizer a little, seed not."""
    place = tmp_path_factory.mktemp("compare")
    git(place, "init", "-q", ".")
    for number in range(24):
        rate = (0.001, 0.01, 0.1, 1.0)[number % 4]
        opt = ("sgd", "adam")[number // 4 % 2]
        params = {"lr": rate, "opt": opt, "momentum": opt == "sgd", "seed": number * 7 % 24,
                  "out": f"out/{number}", "layers": 3}  # fmt: skip
        metrics = {"acc": 0.9 - abs(math.log10(rate) + 2) / 5 + 0.05 * (opt == "adam"),
                   "flat": 0.5}  # fmt: skip
        if number < 3:
            metrics["few"] = number
        if number < 4:
            metrics["rare"] = number
        record(place, number, f"run-{number:06}", params=params, metrics=metrics)
    return place


def test_the_weightiest_param_comes_first_with_its_best_value(world: Path, track: Any) -> None:
    """A param of texts or truth values has no rank correlation, but a share."""
    done = track(world, "compare", "--target", "acc", "--no-forest", check=0)
    head, summary, *tables = done.stdout.rstrip("\n").split("\n\n")
    assert head == "acc of 24 runs, the highest is the best"
    lines = [line.split() for line in summary.splitlines()]
    assert lines[0] == ["PARAM", "VALUES", "RHO", "SHARE", "BEST", "MEAN", "RUNS"]
    assert [line[0] for line in lines[1:]] == ["lr", "momentum", "opt", "seed"]
    assert lines[1][:2] == ["lr", "4"] and lines[1][-3:] == ["0.01", "0.925", "6"]
    assert lines[3][:3] == ["opt", "2", "·"] and lines[3][-3] == "adam"
    assert [table.split()[0] for table in tables] == ["lr", "momentum", "opt", "seed"]
    rows = [line.split() for line in tables[0].splitlines()]
    assert [row[:3] for row in rows] == [
        ["lr", "RUNS", "MEAN"], ["0.001", "6", "0.725"], ["0.01", "6", "0.925"],
        ["0.1", "6", "0.725"], ["1", "6", "0.525"],
    ]  # fmt: skip
    assert len(rows[2][-1]) > len(rows[1][-1])


def test_what_the_numbers_cannot_tell_is_said(world: Path, track: Any) -> None:
    """A correlation is no cause; what goes together, what was left out."""
    done = track(world, "compare", "--target", "acc", "--no-forest", check=0)
    assert done.stderr.splitlines() == [
        "24 runs: by chance alone 1 param in 20 exceeds a rho of 0.42; what goes together need not "
        "be a cause",
        "momentum and opt always change together and cannot be told apart",
        "left out, being different in every run: out",
        "left out, being the same in all runs: layers",
    ]
    done = track(world, "compare", "--target", "rare", "--no-forest", check=0)
    assert done.stderr.startswith("warning: 4 runs are few: ")
    assert "20 more have none" in done.stdout.splitlines()[0]


def test_a_forest_is_asked_where_there_is_one(world: Path, track: Any) -> None:
    """It takes a second to load, so only here; tests/test_effects.py asks it more."""
    done = track(world, "compare", "--target", "acc", "--json", check=0)
    found = json.loads(done.stdout)
    first = found["effects"][0]
    assert first["param"] == "lr" and first["importance"] > 0.5
    assert 0 < found["chance"]["importance"] < 0.3
    assert done.stderr == ""


def test_without_scikit_learn_the_rest_is_shown(world: Path) -> None:
    """And the extra is named."""
    code = (
        "import sys; sys.modules['sklearn'] = None; "
        "from gittrack.cli.main import main; main(['compare', '--target', 'acc'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=world, capture_output=True, text=True)
    assert done.returncode == 0 and "RHO" in done.stdout and "FOREST" not in done.stdout
    said = "no forest: scikit-learn is not installed (pip install 'gittrack[compare]')"
    assert done.stderr.splitlines()[-1] == said


def test_low_can_be_good(world: Path, track: Any) -> None:
    """The best value of each param is then the one with the lowest mean."""
    done = track(world, "compare", "--target", "acc", "--lowest", "--no-forest", "--json", check=0)
    found = json.loads(done.stdout)
    assert found["lowest"] is True
    assert found["effects"][0]["best"]["low"] == 1.0


def test_csv_has_a_line_for_each_value(world: Path, track: Any) -> None:
    """Numbers in full."""
    done = track(
        world, "compare", "--target", "acc", "-p", "lr,params.opt", "--no-forest", "--csv", check=0
    )
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["param"], row["low"], row["level_runs"]) for row in rows] == [
        ("lr", "0.001", "6"), ("lr", "0.01", "6"), ("lr", "0.1", "6"), ("lr", "1.0", "6"),
        ("opt", "adam", "12"), ("opt", "sgd", "12"),
    ]  # fmt: skip
    assert float(rows[1]["mean"]) == pytest.approx(0.925)


def test_markdown_has_a_table_for_each_param(world: Path, track: Any) -> None:
    """For a report; bars are for terminals."""
    done = track(world, "compare", "--target", "acc", "--no-forest", "--md", check=0)
    tables = done.stdout.split("\n\n")
    assert len(tables) == 5 and tables[0].startswith("| PARAM") and "█" not in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--target", "few"], 1, "3 runs with few are too few to say which params matter, 4 are"),
        (["--target", "flat"], 1, "all 24 runs have the same flat: no param makes a difference"),
        (["--target", "acc", "-p", "layers"], 1, "no param varies among the 24 runs with acc"),
        (["--target", "acc", "-p", "out"], 1, "but for out, different in each"),
        (["--target", "acc", "-p", "lrr"], 2, "no run has a param 'lrr'"),
        (["--target", "acuracy"], 2, "no param, metric, tag or attribute named 'acuracy'"),
        (["--target", "opt"], 2, "'params.opt' is no number in any run"),
        (["--target", "acc", "-x", "nope"], 2, "no run is of experiment 'nope'"),
    ],
)
def test_where_nothing_can_be_told_that_is_said(
    world: Path, track: Any, words: list[str], code: int, said: str
) -> None:
    """A table of chance would be believed."""
    done = track(world, "compare", *words, check=code)
    assert done.stdout == "" and done.stderr.startswith("error: ") and said in done.stderr


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["acc"], "--target acc"),
        ([], "--target METRIC"),
        (["lr > 0.1"], "'lr > 0.1' --target METRIC"),
    ],
)
def test_a_forgotten_target_is_shown_where_it_goes(
    world: Path, track: Any, words: list[str], whole: str
) -> None:
    """`compare acc` looks like `best acc`: the hint is the command that was meant."""
    done = track(world, "compare", *words, check=2)
    assert done.stderr == (
        "error: missing option '--target'\n"
        f"hint: `git track compare {whole}` judges runs by a metric.\n"
    )


def test_the_best_value_is_not_that_of_a_lucky_run(repo_dir: Path, track: Any) -> None:
    """Where no value has two runs that is said; where one has, a single run does not win."""
    for number in range(6):
        params = {"lr": (1, 1, 2, 2, 3, None)[number], "seed": number}
        params = {key: value for key, value in params.items() if value is not None}
        record(repo_dir, number, f"run-{number:06}", params=params, metrics={"s": number})
    done = track(repo_dir, "compare", "--target", "s", "--no-forest", check=0)
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines()[3:5]}
    assert lines["lr"][-3:] == ["2", "2.5", "2"]
    assert lines["seed"][-3:] == ["5", "5.0", "1"]
    assert "the best value is that of a single run: seed\n" in done.stderr


def test_missing_and_mixed_values_are_compared(repo_dir: Path, track: Any) -> None:
    """NaN has no place among the targets; a param may be absent, a number, a text, a list."""
    drops: list[Any] = [None, 0.5, 0.1, "auto", [1, 2], True]
    for number in range(12):
        params = {"drop": drops[number % 6]} if number % 6 else {}
        score = math.nan if number == 11 else number % 6 + number / 100
        record(repo_dir, number, f"run-{number:06}", params=params, metrics={"s": score})
    done = track(repo_dir, "compare", "--target", "s", "--no-forest", check=0)
    assert done.stdout.startswith("s of 11 runs, the highest is the best, 1 more have none\n")
    firsts = {line.split("  ")[0] for line in done.stdout.split("\n\n")[2].splitlines()[1:]}
    assert firsts == {"0.5", "0.1", "auto", "[1, 2]", "true", "(not set)"}


def test_names_and_values_are_shown_safely(repo_dir: Path, track: Any) -> None:
    """A param may come from anybody."""
    for number in range(6):
        params = {"\x1b[31mred": f"\x1b]0;x\x07{number % 2}"}
        record(repo_dir, number, f"run-{number:06}", params=params, metrics={"s": number})
    for form in ((), ("--md",)):
        done = track(repo_dir, "compare", "--target", "s", "--no-forest", *form, check=0)
        assert "\x1b" not in done.stdout + done.stderr and "red" in done.stdout


def test_a_query_says_which_runs_are_compared(world: Path, track: Any) -> None:
    """Where it holds a param fast, that one varies no more."""
    words = ("compare", "opt = 'adam'", "--target", "max(acc) * 2", "--no-forest", "--json")
    found = json.loads(track(world, *words, check=0).stdout)
    assert found["runs"] == 12 and found["target"] == "max(acc) * 2"
    assert found["constant"] == ["layers", "momentum", "opt"]
    assert found["effects"][0]["best"]["mean"] == pytest.approx(1.9)
    done = track(world, "compare", "lr > 9", "--target", "acc", check=1)
    assert done.stderr == "error: no run matches\n"


def test_a_query_in_pieces_is_told_whole(world: Path, track: Any) -> None:
    """With the verb and the target as they were typed: what is said can be pasted."""
    done = track(world, "compare", "lr", "0.1", "--target", "acc", check=2)
    assert done.stderr == (
        "error: a query is one argument, and here are 2\n"
        "hint: put quotes around it: `git track compare --target acc 'lr 0.1'`\n"
    )
