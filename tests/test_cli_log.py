"""What a shell script says of its run: typed, all or nothing, cheap, and never into nowhere."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack import commits, journal, refs
from gittrack.git import Repo


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """The directory of a run under way."""
    place = tmp_path / "live"
    place.mkdir()
    (place / "begin").write_bytes(journal.frame({"id": "a" * 32, "where": str(tmp_path)}))
    return place


def said(live: Path) -> list[dict[str, Any]]:
    events, damaged = journal.logged(live)
    assert damaged == 0
    return [{key: value for key, value in event.items() if key != "t"} for event in events]


def inside(live: Path) -> dict[str, str | None]:
    return {journal.RUN_VARIABLE: str(live)}


# -- what is written ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "event"),
    [
        (["log-param", "lr=0.1"], {"params": {"lr": 0.1}}),
        (
            ["log-param", "n=3", "name=a=b", "on=true", "none=null", "x=[1, 2]", "o={lr: 1}"],
            {"params": {"n": 3, "name": "a=b", "on": True, "none": None, "x": [1, 2], "o.lr": 1}},
        ),
        (["log-metric", "loss=0.5"], {"metrics": {"loss": 0.5}}),
        (
            ["log-metric", "loss=-1e-3", "n=12", "--step", "7"],
            {"metrics": {"loss": -0.001, "n": 12}, "step": 7},
        ),
        (["log-metric", "--step=-1", "x=inf"], {"metrics": {"x": math.inf}, "step": -1}),
        (["log-metric", "val/acc@5 = .5"], {"metrics": {"val/acc@5": 0.5}}),
        (["log-tag", "stage=warm up", "n=1"], {"tags": {"stage": "warm up", "n": "1"}}),
    ],
)
def test_pairs_become_one_event(
    words: list[str], event: dict[str, Any], live: Path, track: Track
) -> None:
    """Typed as -P types them; several at once share one line, and one time."""
    done = track(live, *words, env=inside(live), check=0)
    assert (done.stdout, done.stderr) == ("", "")
    assert repr(said(live)) == repr([event])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["log-metric", "good=1", "acc=high"], "'acc=high' has no number"),
        (["log-metric", "acc="], "'acc=' has no number"),
        (["log-metric", "acc=93%"], "'acc=93%' has no number"),
        (["log-metric", "acc=true"], "has no number"),
        (["log-metric", "acc=1_000"], "has no number"),
        (["log-metric", "acc=" + "9" * 400], "has no number"),
        (["log-metric", "acc"], "'acc' is no KEY=VALUE"),
        (["log-metric", "=1"], "a key is empty"),
        (["log-metric", "a\nb=1"], "holds the character"),
        (["log-metric", "x" * 10_000 + "=1"], "10000 characters"),
        (["log-metric"], "missing argument"),
        (["log-metric", "acc=1", "--step", "1.5"], "'1.5' is not a valid integer"),
        (["log-metric", "acc=1", "--step", str(2**63)], "at most 64 bits"),
        (["log-metric", "-", "--step", "1"], "--step does not go with '-'"),
        (["log-param", "good=1", "lr"], "'lr' has no value"),
        (["log-param", "=1"], "a key is empty"),
        (["log-tag", "a"], "'a' is no KEY=VALUE"),
        (["log-artifact"], "missing argument"),
    ],
)
def test_a_wrong_word_writes_nothing(
    words: list[str], complaint: str, live: Path, track: Track
) -> None:
    """Half of a call would be a point that nobody meant."""
    done = track(live, *words, env=inside(live), check=2)
    assert complaint in done.stderr and done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert list(live.glob("*.journal")) == []


WORDS = [
    ["log-param", "a=1"],
    ["log-metric", "a=1"],
    ["log-metric", "-"],
    ["log-tag", "a=b"],
    ["log-artifact", "begin"],
]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("where", [None, "", "gone"])
def test_outside_of_a_run_it_says_how_to_be_inside(
    words: list[str], where: str | None, live: Path, track: Track
) -> None:
    """A script that is tried by hand must not be told of Python, nor that all went well."""
    value = str(live / "gone") if where == "gone" else where
    done = track(live, *words, env={journal.RUN_VARIABLE: value}, input="a=1\n", check=1)
    assert done.stdout == ""
    first, hint = done.stderr.splitlines()
    assert first.startswith("error: ") and hint.startswith("hint: ")
    assert "git track run" in hint


# -- many at once -------------------------------------------------------------------------------


def test_lines_of_stdin_are_points(live: Path, track: Track) -> None:
    """One process for a whole log costs what one point costs."""
    lines = "step=1 loss=0.5\n\n  step=2\tloss=0.25 acc=1  \nloss=nan"
    track(live, "log-metric", "-", env=inside(live), input=lines, check=0)
    assert repr(said(live)) == repr(
        [
            {"metrics": {"loss": 0.5}, "step": 1},
            {"metrics": {"loss": 0.25, "acc": 1}, "step": 2},
            {"metrics": {"loss": math.nan}},
        ]
    )
    assert len(list(live.glob("*.journal"))) == 1


@pytest.mark.parametrize(
    "line", ["step=1 loss=high", "loss", "step=x loss=1", "step=1", "=1", f"step={2**63} a=1"]
)
def test_a_bad_line_of_stdin_is_a_fault_and_the_others_count(
    line: str, live: Path, track: Track
) -> None:
    """Whoever writes the lines would die of SIGPIPE if we stopped reading."""
    done = track(
        live, "log-metric", "-", env=inside(live), input=f"a=1\n{line}\nb=2\n{line}\n", check=0
    )
    first, fault, second, again = said(live)
    assert (first, second) == ({"metrics": {"a": 1}}, {"metrics": {"b": 2}})
    assert list(fault) == list(again) == ["fault"]
    assert fault["fault"].startswith("metric not recorded: ")
    assert done.stderr.count("\n") == 1


def test_a_point_is_there_before_the_next_line_comes(live: Path) -> None:
    """A pipe stays open for the hours of a training; SIGKILL may end it at any time."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "log-metric", "-"],
        stdin=subprocess.PIPE,
        env={**os.environ, journal.RUN_VARIABLE: str(live)},
    )
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(b"loss=1\n")
        stdin.flush()
        end = time.monotonic() + 20
        while not journal.size(live):
            assert time.monotonic() < end, "the point did not arrive"
            time.sleep(0.005)
        process.kill()
    process.wait()
    assert said(live) == [{"metrics": {"loss": 1}}]


def test_params_and_tags_come_from_lines_too(live: Path, track: Track) -> None:
    """Values with blanks in them, one pair a line."""
    track(live, "log-param", "-", env=inside(live), input="a=1\nb=two words\n", check=0)
    track(live, "log-tag", "-", env=inside(live), input="c=three words\n", check=0)
    assert said(live) == [
        {"params": {"a": 1}},
        {"params": {"b": "two words"}},
        {"tags": {"c": "three words"}},
    ]


# -- what it costs ------------------------------------------------------------------------------


def test_a_point_loads_no_more_than_it_needs(live: Path) -> None:
    """A loop calls it a thousand times: no Git, no YAML, no repository."""
    program = (
        "import sys\n"
        # Before Python 3.11 click, by way of uuid and platform, brings subprocess.
        "import click\n"
        "before = set(sys.modules)\n"
        "from gittrack.cli.main import main\n"
        "try:\n    main(['log-metric', 'loss=0.5', '--step', '1'])\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "print(*set(sys.modules) - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, journal.RUN_VARIABLE: str(live)},
        check=True,
        capture_output=True,
        text=True,
    )
    names = done.stdout.split()
    ours = {name for name in names if name.split(".")[0] == "gittrack"}
    assert ours <= {
        "gittrack", "gittrack.active", "gittrack.appender", "gittrack.backlog", "gittrack.cli",
        "gittrack.cli.log", "gittrack.cli.main", "gittrack.cli.output", "gittrack.errors",
        "gittrack.foreign", "gittrack.inheritance", "gittrack.journal", "gittrack.keys",
        "gittrack.lines", "gittrack.points", "gittrack.quoting", "gittrack.ranks",
        "gittrack.records", "gittrack.summaries", "gittrack.testimony",
    }  # fmt: skip
    heavy = {"pygit2", "yaml", "subprocess", "asyncio", "hashlib", "dvc", "numpy"}
    assert heavy.isdisjoint(names)


# -- a whole run --------------------------------------------------------------------------------

SCRIPT = """\
set -e
git track log-param lr=0.1 optimizer=adam
for step in 1 2 3; do
    git track log-metric loss=0.$step --step $step
done
echo weights > model.bin
git track log-artifact model.bin
git track log-artifact model.bin kept/
git track log-tag stage=done
"""


def test_a_shell_script_is_a_run_like_any_other(repo_dir: Path, git: Git, track: Track) -> None:
    """Params, curve, tag and artifacts, in the record that Git keeps."""
    (repo_dir / "train.sh").write_text(SCRIPT)
    bin_ = repo_dir.parent / "bin"
    bin_.mkdir()
    command = bin_ / "git-track"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gittrack "$@"\n')
    command.chmod(0o755)
    path = f"{bin_}:{os.environ['PATH']}"
    done = track(repo_dir, "run", "--", "sh", "train.sh", env={"PATH": path})
    assert done.returncode == 0, done.stderr
    repo = Repo.open(repo_dir)
    [ref] = refs.all_runs(repo)
    run = commits.load(repo, ref)
    assert run.status == "finished" and run.faults == ()
    assert (run.params["lr"], run.params["optimizer"]) == (0.1, "adam")
    assert run.metrics == {"loss": 0.3}
    assert run.tags == {"stage": "done"}
    assert [kept.path for kept in run.artifacts] == ["kept/model.bin", "model.bin"]
    rows = commits.load_series(repo, ref)
    assert [(row.step, dict(row.values)) for row in rows] == [
        (1, {"loss": 0.1}), (2, {"loss": 0.2}), (3, {"loss": 0.3}),
    ]  # fmt: skip
    assert json.loads(track(repo_dir, "show", "latest", "--json", check=0).stdout)


@pytest.mark.parametrize("words", [["log-metric", "a=1"], ["log-param", "a=1"], ["log-tag", "a=1"]])
def test_what_the_disk_did_not_take_is_no_success(live: Path, words: list[str]) -> None:
    """A script under `set -e` would go on as if it were recorded."""
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$0" -m gittrack "$@"', sys.executable, *words],
        env={**os.environ, journal.RUN_VARIABLE: os.fspath(live)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "1 point was lost: the disk did not take it" in done.stderr
    assert "error: not all of it was recorded" in done.stderr
