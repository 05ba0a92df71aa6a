"""`ls`, `show`, `diff`, `plot`, `logs` and completion, by the real command in real repositories."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest

from gittrack import revisions, runs
from gittrack.annotations import append
from gittrack.events import Change
from gittrack.git import Repo
from gittrack.records import Code, Environment, Run

_made = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "generate.py"))
generate, AUTHOR, START = _made["generate"], _made["AUTHOR"], _made["START"]


def record(place: Path, number: int, name: str, **more: Any) -> None:
    """Write a run that began `number` minutes after noon."""
    repo = Repo.open(place)
    started = START + timedelta(minutes=number)
    fields: dict[str, Any] = {
        "id": f"{number:032x}", "experiment": "default", "status": "finished", "started": started,
        "ended": started, "code": Code(base=repo.head()[0]),
    }  # fmt: skip
    rows = more.pop("rows", ())
    made = Run(name=name, **fields | more)
    runs.write(repo, made, tree=repo.empty_tree(), author=AUTHOR, rows=rows)


def say(place: Path, name: str, what: str) -> None:
    """Annotate the run of this name."""
    repo = Repo.open(place)
    run = next(r for r in revisions.catalogue(repo, deleted=True).runs if r.name == name)
    append(repo, run, [Change(what)], now=START, random=os.urandom)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Sixty runs with curves; `world.made` are they, oldest first."""

    class World:
        path = tmp_path_factory.mktemp("world") / "r"
        made = generate(path, runs=60, params=3, metrics=3, points=20)

    return World


def on_terminal(place: Path, *arguments: str, rows: int = 100, columns: int = 100) -> str:
    """What a person sees, without colours; the pager is `cat`, and says so in front."""
    env = os.environ | {"GIT_PAGER": "sed s/^/PAGED:/", "LINES": str(rows), "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "gittrack", *arguments]
    text = pexpect.run(
        " ".join(f"'{word}'" for word in command), cwd=str(place), env=env, timeout=30,
        dimensions=(rows, columns),
    )  # fmt: skip
    return re.sub("\x1b\\[[0-9;]*m", "", text.decode().replace("\r\n", "\n"))


def test_ls_in_a_pipe_has_every_run_and_iso_times(world: Any, track: Any) -> None:
    """The answer to stdout, the talk to stderr."""
    done = track(world.path, "ls", check=0)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [run.name for run in reversed(world.made)]
    assert re.search(r"2026-01-01T12:59:\d\dZ", lines[1])
    assert done.stderr.startswith("60 runs")


def test_ls_on_a_terminal_is_short_and_says_what_it_left_out(world: Any) -> None:
    """The newest fifty, ages, the columns that fit."""
    lines = on_terminal(world.path, "ls", columns=70).splitlines()
    assert len(lines) == 52
    assert max(map(len, lines[:-1])) <= 70
    assert lines[0].split()[:3] == ["NAME", "AGE", "STATUS"]
    assert lines[-1].startswith("50 of 60 runs (-n shows more) · too narrow for ")


def test_a_long_answer_goes_through_gits_pager(world: Any) -> None:
    """And a short one does not."""
    assert on_terminal(world.path, "ls", rows=20).startswith("PAGED:NAME")
    assert on_terminal(world.path, "ls", "-n", "3", rows=20).startswith("NAME")


def test_ls_sorts_and_limits(world: Any, track: Any) -> None:
    """Sort first, then take: the best five, not the newest five in order."""
    done = track(world.path, "ls", "--sort", "-accuracy", "-n", "5", "--json", check=0)
    values = [run["metrics"]["accuracy"] for run in json.loads(done.stdout)]
    best = sorted((run.metrics["accuracy"] for run in world.made), reverse=True)
    assert values == best[:5]


def test_ls_of_one_experiment(world: Any, track: Any) -> None:
    """A misspelt one is an error, never an empty table."""
    done = track(world.path, "ls", "-x", "group-1", "--json", check=0)
    assert {run["experiment"] for run in json.loads(done.stdout)} == {"group-1"}
    done = track(world.path, "ls", "-x", "gruop-1", check=2)
    assert "did you mean 'group-1'?" in done.stderr
    done = track(world.path, "ls", "--columns", "name,acuracy", check=2)
    assert "did you mean 'metrics.accuracy'?" in done.stderr


def test_ls_without_runs(repo_dir: Path, track: Any) -> None:
    """Nothing to list is no error; JSON is still a document."""
    done = track(repo_dir, "ls", check=0)
    assert done.stdout == ""
    assert "git track run -- COMMAND" in done.stderr
    assert json.loads(track(repo_dir, "ls", "--json", check=0).stdout) == []


def test_json_has_every_float_exactly(world: Any, track: Any) -> None:
    """What was logged comes back."""
    read = json.loads(track(world.path, "ls", "--json", check=0).stdout)
    assert [run["metrics"] for run in reversed(read)] == [dict(r.metrics) for r in world.made]


def test_show_is_the_latest_run(world: Any, track: Any) -> None:
    """Everything, in full precision."""
    last = world.made[-1]
    text = track(world.path, "show", check=0).stdout
    for word in (last.name, last.status, last.id, "Ada Lovelace@engine", "python train.py"):
        assert word in text
    assert repr(last.metrics["accuracy"]) in text
    read = json.loads(track(world.path, "show", "--json", check=0).stdout)
    assert (read["id"], read["params"]) == (last.id, dict(last.params))
    assert track(world.path, "logs", check=0).stdout.startswith("accuracy: ")


def test_diff_of_two_runs(world: Any, track: Any) -> None:
    """Values side by side, the delta behind; the JSON says the same."""
    one, two = world.made[-2:]
    text = track(world.path, "diff", check=0).stdout
    assert text.split()[:2] == [one.name, two.name]
    read = json.loads(track(world.path, "diff", one.name, two.name, "--json", check=0).stdout)
    line = read["metrics"]["different"]["accuracy"]
    assert line["values"] == {r.name: r.metrics["accuracy"] for r in (one, two)}
    assert line["delta"] == two.metrics["accuracy"] - one.metrics["accuracy"]
    track(world.path, "diff", "latest", "latest", "--exit-code", check=0)
    track(world.path, "diff", "--exit-code", check=1)


def test_diff_of_a_run_that_stands_twice(world: Any, track: Any, git: Any) -> None:
    """Two names of one run are no bug of ours, but the reader should know."""
    one, two = world.made[-2:]
    done = track(world.path, "diff", "latest", two.name, "latest~1", check=0)
    assert done.stdout.split()[:3] == [two.name, two.name, one.name]
    cells = re.search(r"  accuracy +(\S+) +(\S+) +(\S+)", done.stdout)
    assert cells is not None and cells[1] == cells[2] != cells[3]
    assert done.stderr == f"note: 'latest' and '{two.name}' are the same run ({two.name})\n"


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (3, 0, "3 only in a-aaaaaa (--json lists them)"),
        (0, 107, "107 only in b-bbbbbb (--json lists them)"),
        (1, 30, "29 differ (--json lists them)"),
        (1, 3, ""),
    ],
)
def test_diff_counts_packages_that_are_too_many(
    repo_dir: Path, track: Any, one: int, other: int, said: str
) -> None:
    """A run without an environment says nothing of each package of the other."""
    for number, (name, count) in enumerate((("a-aaaaaa", one), ("b-bbbbbb", other))):
        packages = {f"p{n}": "1" for n in range(count)}
        record(repo_dir, number, name, environment=Environment(packages=packages))
    text = track(repo_dir, "diff", "a-a", "b-b", check=0).stdout
    line = next(line for line in text.splitlines() if line.startswith("packages"))
    assert line.removeprefix("packages").strip() == said
    assert ("  p2" in text) is not bool(said)


def test_plot_draws_and_gives_the_points(world: Any, track: Any) -> None:
    """The last point of a curve is the run's metric."""
    last = world.made[-1]
    text = track(world.path, "plot", "accuracy", "latest~1..latest", check=0).stdout
    assert "┌" in text and last.name in text
    read = json.loads(track(world.path, "plot", "accuracy", "--json", check=0).stdout)
    assert read[0]["points"][-1]["value"] == last.metrics["accuracy"]
    assert len(read[0]["points"]) == 20
    done = track(world.path, "plot", "acuracy", check=2)
    assert "did you mean 'accuracy'?" in done.stderr


def test_reading_changes_nothing(world: Any, track: Any, git: Any) -> None:
    """A question leaves no trace in the repository."""

    def state() -> tuple[str, str, str]:
        return (
            git(world.path, "for-each-ref"),
            git(world.path, "status", "--porcelain"),
            git(world.path, "count-objects"),
        )

    before = state()
    for words in (["ls"], ["show", "-p"], ["diff", "--code"], ["plot", "loss"], ["logs"]):
        track(world.path, *words, check=0)
    assert state() == before


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("git track sh", {"show"}),
        ("git-track sh", {"show"}),
        ("git track diff latest~1 late", {"latest"}),
        ("git track plot acc", {"accuracy"}),
        ("git track ls --columns name,metrics.a", {"name,metrics.accuracy"}),
        ("git track run -- sh", set()),
        ("git track run -- python --na", set()),
        ("git track ls --all", {"--all-columns"}),
    ],
)
def test_completion_in_a_real_bash(world: Any, line: str, expected: set[str]) -> None:
    """`_git_track` is what Git's own completion calls for `git track <TAB>`."""
    function = "_git_track" if line.startswith("git ") else "_gittrack_line"
    script = (
        f'eval "$({sys.executable} -m gittrack completion bash)"\n'
        f'git-track() {{ {sys.executable} -m gittrack "$@"; }}\n'
        f"COMP_LINE='{line}' COMP_POINT={len(line)}; {function}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=world.path, capture_output=True, text=True
    )
    assert set(done.stdout.split()) == expected, done.stderr
