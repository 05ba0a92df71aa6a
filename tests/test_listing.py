"""Reading from Python: which runs there are, one of them, how some differ; in real repositories."""

from __future__ import annotations

import csv
import json
import math
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, fields
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import World
from gittrack import annotations, commits, difference, exports, listing
from gittrack.errors import (
    AmbiguousRun,
    BadPath,
    BrokenRecord,
    GittrackError,
    NotARepository,
    QueryError,
    RunNotFound,
    UnknownKey,
    UsageError,
)
from gittrack.events import Change
from gittrack.git import Identity, Repo
from gittrack.listing import RecordedRun, Runs
from gittrack.records import Code, Data, Environment, Input, Row, Run
from gittrack.summaries import Summary
from recorded_runs import found

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
ADA = Identity("Ada Lovelace", "ada@example.org")


def record(
    place: Path, number: int, name: str, rows: Any = (), log: bytes = b"", **more: Any
) -> Run:
    """Write a run that began `number` minutes after noon."""
    repo = Repo.open(place)
    began = NOON + timedelta(minutes=number)
    made: dict[str, Any] = {
        "id": f"{number:032x}", "experiment": "default", "status": "finished", "started": began,
        "ended": began + timedelta(seconds=4), "user": "Ada", "code": Code(base=repo.head()[0]),
    }  # fmt: skip
    run = Run(name=name, **made | more)
    commits.write(repo, run, tree=repo.empty_tree(), author=ADA, rows=rows, log=log)
    return run


def say(place: Path, name: str, what: str, value: str | None = None) -> None:
    """Annotate the run of this name."""
    repo = Repo.open(place)
    run = next(r for r in found(repo, deleted=True).runs if r.name == name)
    annotations.append(repo, run, [Change(what, value=value)], now=NOON, random=os.urandom)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five runs, the newest last; one is archived, one deleted."""
    root = tmp_path_factory.mktemp("reading") / "repo"
    root.mkdir()
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    record(
        root,
        0,
        "baseline-aaaaaa",
        params={"lr": 0.1, "opt.name": "adam", "seed": 1, "fast": True},
        metrics={"acc": 0.5, "loss": math.nan},
        tags={"team": "vision", "n": "1"},
    )
    record(
        root,
        1,
        "blue-heron-bbbbbb",
        params={"lr": 0.1, "seed": 1.0, "fast": 1},
        metrics={"acc": 0.9},
        status="failed",
        exit_code=1,
        user="Grace",
    )
    record(
        root,
        2,
        "amber-otter-cccccc",
        params={"lr": 0.2},
        metrics={"acc": 0.7},
        experiment="churn",
        experiment_title="My Churn Model",
    )
    record(root, 3, "calm-lynx-dddddd", params={"lr": 0.3}, tags={"team": "nlp"})
    record(root, 4, "brave-crane-eeeeee", params={"lr": 0.4})
    say(root, "calm-lynx-dddddd", "archive")
    say(root, "brave-crane-eeeeee", "delete")
    return root  # fmt: skip


ALL = ["calm-lynx-dddddd", "amber-otter-cccccc", "blue-heron-bbbbbb", "baseline-aaaaaa"]


def named(found: Runs) -> list[str]:
    return [run.name.partition("-")[0] for run in found]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "amber blue baseline"),
        ({"archived": True}, "calm amber blue baseline"),
        ({"deleted": True}, "brave amber blue baseline"),
        ({"archived": True, "deleted": True}, "brave calm amber blue baseline"),
        ({"experiment": "default"}, "blue baseline"),
        ({"experiment": "churn"}, "amber"),
        ({"experiment": "My Churn Model"}, "amber"),
        ({"status": "failed"}, "blue"),
        ({"status": ["failed", "finished"]}, "amber blue baseline"),
        ({"status": "running"}, ""),
        ({"status": []}, ""),
        ({"name": "baseline"}, "baseline"),
        ({"name": "baseline-aaaaaa"}, "baseline"),
        ({"name": "calm-lynx"}, ""),
        ({"user": "Grace"}, "blue"),
        ({"tags": {"team": "vision"}}, "baseline"),
        ({"tags": {"team": "nlp"}}, ""),
        ({"tags": {"n": 1}}, "baseline"),
        ({"params": {"lr": 0.1}}, "blue baseline"),
        ({"params": {"seed": 1}}, "blue baseline"),
        ({"params": {"fast": True}}, "baseline"),
        ({"params": {"fast": 1}}, "blue"),
        ({"params": {"lr": 0.1, "opt": {"name": "adam"}}}, "baseline"),
        ({"params": {"opt.name": "adam"}}, "baseline"),
        ({"params": {"lr": 0.123}}, ""),
        ({"sort": "started"}, "baseline blue amber"),
        ({"sort": "-acc"}, "blue amber baseline"),
        ({"sort": "metrics.acc"}, "baseline amber blue"),
        ({"sort": ["lr", "-started"]}, "blue baseline amber"),
        ({"sort": "-loss"}, "amber blue baseline"),
        ({"sort": None}, "amber blue baseline"),
        ({"limit": 2}, "amber blue"),
        ({"limit": 0}, ""),
        ({"limit": 9}, "amber blue baseline"),
        ({"experiment": "default", "status": "finished", "params": {"lr": 0.1}}, "baseline"),
    ],
)  # fmt: skip
def test_runs_are_those_that_have_all_that_is_asked(
    place: Path, asked: dict[str, Any], found: str
) -> None:
    """Newest first; a value that no run has is an empty answer, for `have I tried this?`."""
    assert named(listing.runs(directory=place, **asked)) == found.split()


@pytest.mark.parametrize(
    ("asked", "kind", "message", "hint"),
    [
        ({"experiment": "defualt"}, UnknownKey, "no run is of experiment 'defualt'",
         "did you mean 'default'?"),
        ({"experiment": "x"}, UnknownKey, "no run is of experiment 'x'",
         "there are: churn, default."),
        ({"status": "finnished"}, UsageError, "'finnished' is no status",
         "did you mean 'finished'?"),
        ({"status": "done"}, UsageError, "'done' is no status",
         "there are: running, finished, failed, killed."),
        ({"status": ["failed", "FINISHED"]}, UsageError, "'FINISHED' is no status",
         "did you mean 'finished'?"),
        ({"name": "basline"}, RunNotFound, "no run is called 'basline'",
         "did you mean baseline-aaaaaa?"),
        ({"name": "base"}, RunNotFound, "no run is called 'base'",
         "did you mean baseline-aaaaaa?"),
        ({"name": "zzz"}, RunNotFound, "no run is called 'zzz'", "runs() gives them all."),
        ({"user": "Gracie"}, UnknownKey, "no run is of user 'Gracie'", "did you mean 'Grace'?"),
        ({"tags": {"taem": "x"}}, UnknownKey, "no run has a tag 'taem'", "did you mean 'team'?"),
        ({"params": {"Lr": 1}}, UnknownKey, "no run has a param 'Lr'", "did you mean 'lr'?"),
        ({"params": {"x": 1}}, UnknownKey, "no run has a param 'x'",
         "there are: fast, lr, opt.name, seed."),
        ({"sort": "-accc"}, UnknownKey, "no param, metric, tag or attribute named 'accc'",
         "did you mean 'metrics.acc' (metric, 3 runs)?"),
        ({"limit": -1}, UsageError, "limit is -1, not a count of runs", None),
        ({"limit": True}, UsageError, "limit is True, not a count of runs", None),
    ],
)  # fmt: skip
def test_what_no_run_has_is_an_error_and_no_empty_answer(
    place: Path, asked: dict[str, Any], kind: type[GittrackError], message: str, hint: str | None
) -> None:
    """A misspelt question would be answered with nothing, and believed."""
    with pytest.raises(kind) as caught:
        listing.runs(directory=place, **asked)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("query", "more", "found"),
    [
        ("metrics.acc > 0.6", {}, "amber blue"),
        ("acc > 0.6 and params.lr = 0.1", {}, "blue"),
        (" ", {}, "amber blue baseline"),
        ("metrics.acc > 0.6", {"status": "finished"}, None),
        ("acc < 0.9", {"params": {"lr": 0.1}}, "baseline"),
        ("not acc > 0.6", {"sort": "acc"}, "baseline"),
        ("acc > 0", {"limit": 2, "sort": "-acc"}, "blue amber"),
        ("acc > 100", {}, ""),
    ],
)
def test_a_query_is_that_of_the_command(
    place: Path, track: Any, query: str, more: dict[str, Any], found: str | None
) -> None:
    """The same text gives the same runs; what else is asked narrows further."""
    runs = listing.runs(query, directory=place, **more)
    if found is not None:
        assert named(runs) == found.split()
    if not more:
        told = json.loads(track(place, "ls", query, "--json", check=0).stdout)
        assert [run["name"] for run in told] == [run.name for run in runs]


def test_a_query_that_makes_no_sense_is_an_error(place: Path) -> None:
    """Never an empty answer."""
    for query in ("acuracy > 0.9", "acc >", "acc = 'x"):
        with pytest.raises(QueryError):
            listing.runs(query, directory=place)
    with pytest.raises(UsageError, match="query is 3, not a text"):
        listing.runs(3, directory=place)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes since 3.11")
def test_a_traceback_ends_with_the_hint(place: Path) -> None:
    """In a notebook it is all that somebody sees of an error."""
    program = "import gittrack; gittrack.runs(experiment='defualt')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=place, capture_output=True, text=True
    )
    assert done.stderr.endswith(
        "UnknownKey: no run is of experiment 'defualt'\nhint: did you mean 'default'?\n"
    )


def test_runs_are_a_sequence_that_nothing_changes(place: Path) -> None:
    """Slices are runs too; equal are those of equal runs in one order."""
    found = listing.runs(directory=place)
    assert isinstance(found[1:], Runs) and named(found[1:]) == ["blue", "baseline"]
    assert found[-1].name == "baseline-aaaaaa" and found[0] in found
    assert found == listing.runs(directory=place) and hash(found) == hash(found[:])
    assert found != found[::-1] and found != list(found)
    assert found[:0] == Runs([], place)
    with pytest.raises(TypeError):
        found[0] = found[1]  # type: ignore[index]
    with pytest.raises(IndexError):
        found[3]
    with pytest.raises(AttributeError):
        found.other = 1  # type: ignore[attr-defined]


def test_a_run_cannot_be_changed(place: Path) -> None:
    """Nor can what is done to its params be seen in another."""
    run = listing.get_run("baseline", directory=place)
    with pytest.raises(FrozenInstanceError):
        run.status = "failed"  # type: ignore[misc]
    run.params["lr"] = 7  # type: ignore[index]
    assert listing.get_run("baseline", directory=place).params["lr"] == 0.1
    found = listing.runs(directory=place)
    found[0].params["lr"] = 7  # type: ignore[index]
    assert found[0].params["lr"] == 0.2


def test_a_run_knows_all_that_a_listing_knows(place: Path) -> None:
    """And every field of a record, under the record's own names."""
    names_of = {part.name for part in (*fields(Summary), *fields(Run))}
    run = listing.runs(directory=place)[0]
    assert {name for name in names_of if not hasattr(run, name)} == set()
    assert run.duration == 4.0 and run.experiment_title == "My Churn Model"


def test_titles_and_tags_are_the_current_ones(repo_dir: Path) -> None:
    """And the record's are in the record."""
    record(repo_dir, 1, "blue-heron-aaaaaa", tags={"a": "1"}, title="old")
    say(repo_dir, "blue-heron-aaaaaa", "title", "new")
    for run in (listing.get_run("blue", directory=repo_dir), listing.runs(directory=repo_dir)[0]):
        assert (run.title, run.record.title) == ("new", "old")


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ("latest", "amber-otter-cccccc"),
        ("latest~1", "blue-heron-bbbbbb"),
        ("best:acc", "blue-heron-bbbbbb"),
        ("calm", "calm-lynx-dddddd"),
        ("brave-crane-eeeeee", "brave-crane-eeeeee"),
        (f"{2:032x}", "amber-otter-cccccc"),
        ("churn/amber", "amber-otter-cccccc"),
        ("main", "amber-otter-cccccc"),
        ("HEAD", "amber-otter-cccccc"),
    ],
)
def test_a_run_is_named_as_for_the_commands(place: Path, selector: str, name: str) -> None:
    """One grammar to learn."""
    subprocess.run(["git", "branch", "-M", "main"], cwd=place, check=True)
    assert listing.get_run(selector, directory=place).name == name


def test_a_run_that_cannot_be_named_is_an_error(place: Path) -> None:
    """Never another one, and never None."""
    with pytest.raises(RunNotFound, match="no run named 'nope'"):
        listing.get_run("nope", directory=place)
    with pytest.raises(RunNotFound):
        listing.get_run("", directory=place)
    with pytest.raises(AmbiguousRun):
        listing.get_run("b", directory=place)


def test_where_no_repository_is(tmp_path: Path) -> None:
    """Said in one line, as by the commands."""
    for ask in (listing.runs, listing.get_run, listing.diff):
        with pytest.raises(NotARepository):
            ask(directory=tmp_path)


def test_the_repository_is_that_of_the_current_directory(place: Path, tmp_path: Path) -> None:
    """A run stays that of its repository wherever the process goes later."""
    os.chdir(place)
    found = listing.runs()
    os.chdir(tmp_path)
    assert found[0].record.name == "amber-otter-cccccc"
    with pytest.raises(NotARepository):
        listing.runs()


def test_in_every_kind_of_repository(every_repo: World) -> None:
    """The parts of a record are read by way of the Git directory, which worktrees share in part."""
    record(every_repo.root, 1, "blue-heron-aaaaaa", rows=[Row(1, 0.0, {"m": 1.0})], log=b"hello\n")
    os.chdir(every_repo.path)
    run = listing.runs()[0]
    os.chdir("/")
    assert run.series("m") == [(1, 0.0, 1.0)] and run.output() == "hello\n"
    assert run == listing.get_run(directory=every_repo.path)


def test_in_a_bare_repository(bare_dir: Path) -> None:
    """Where the team's runs may lie."""
    record(bare_dir, 1, "blue-heron-aaaaaa")
    assert listing.get_run(directory=bare_dir).record.name == "blue-heron-aaaaaa"


# -- one run ------------------------------------------------------------------------------------


@pytest.fixture
def full(repo_dir: Path) -> Path:
    """A run that has something of everything."""
    record(
        repo_dir, 1, "blue-heron-aaaaaa", log=b"a\xff\n", message="tried it", directory="src",
        parent_name="p-heron-aaaaaa",
        host="h", params={"lr": 0.1}, metrics={"loss": 0.5},
        rows=[Row(n, n / 2, {"loss": 1.0 - n}) for n in range(3)],
        environment=Environment(python="3.11.7", packages={"numpy": "2.0"}),
        data=(Data("data.csv", "0" * 32, 5),), faults=("something",), parent="f" * 32,
        inputs=(Input("runs/default/x-aaaaaa", "e" * 32, "1" * 40, "model"),), source="api",
    )  # fmt: skip
    return repo_dir


def test_the_rest_of_a_record_is_there_when_it_is_asked_for(full: Path) -> None:
    """Under the names that the record has."""
    run = listing.runs(directory=full)[0]
    assert run.environment is not None and run.environment.packages == {"numpy": "2.0"}
    assert [item.path for item in run.data] == ["data.csv"] and run.artifacts == ()
    assert [item.path for item in run.inputs] == ["model"]
    assert (run.message, run.directory, run.host) == ("tried it", "src", "h")
    assert (run.faults, run.continues, run.source) == (("something",), None, "api")
    assert run.code.base is not None and run.record.parent == run.parent == "f" * 32
    assert run.series("loss") == [(0, 0.0, 1.0), (1, 0.5, 0.0), (2, 1.0, -1.0)]
    assert run.output() == "a\\xff\n"


def test_a_metric_that_it_does_not_have(full: Path) -> None:
    """Named with the nearest, as `git track plot` does."""
    with pytest.raises(UnknownKey) as caught:
        listing.get_run(directory=full).series("los")
    assert caught.value.hint == "did you mean 'loss'? It has loss."


def test_a_record_that_is_broken_costs_only_itself(full: Path, git: Any) -> None:
    """The others are listed, and what the summary of the broken one says is there too."""
    tree = git(full, "mktree").strip()
    text = git(full, "cat-file", "commit", "runs/default/blue-heron-aaaaaa")
    words = re_tree(text, tree)
    (full / "commit").write_text(words)
    oid = git(full, "hash-object", "-t", "commit", "-w", "commit").strip()
    git(full, "update-ref", "refs/runs/default/empty-heron-bbbbbb", oid)
    found = listing.runs(directory=full)
    assert sorted(named(found)) == ["blue", "empty"]
    empty = next(run for run in found if run.name.startswith("empty"))
    assert empty.params == {"lr": 0.1}
    for ask in (lambda: empty.environment, empty.output, lambda: empty.series("loss")):
        with pytest.raises(BrokenRecord, match=r"runs/default/empty-heron-bbbbbb: .*no directory"):
            ask()


def re_tree(text: str, tree: str) -> str:
    """A commit's text with another tree."""
    return f"tree {tree}\n" + text.partition("\n")[2]


def test_runs_that_cannot_be_read_are_counted(full: Path, git: Any) -> None:
    """One bad run does not hide the others, nor itself."""
    record(full, 2, "amber-otter-bbbbbb")
    oid = git(full, "rev-parse", "runs/default/amber-otter-bbbbbb").strip()
    (full / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    found = listing.runs(directory=full)
    assert named(found) == ["blue"]
    assert [problem.where for problem in found.problems] == ["runs/default/amber-otter-bbbbbb"]
    assert repr(found) == "<Runs: 1 run (1 unreadable): blue-heron-aaaaaa>"
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert [str(p) for p in again.problems] == [str(p) for p in found.problems]


def test_runs_go_to_other_processes_and_come_back(full: Path) -> None:
    """joblib and Dask do that; what was not read yet is read there."""
    run = listing.get_run(directory=full)
    for one in (run, listing.runs(directory=full)[0]):
        again = pickle.loads(pickle.dumps(one))
        assert again == one and hash(again) == hash(one) and again is not one
        assert again.params == one.params and again.notes == one.notes
        assert again.series("loss") == one.series("loss")
    assert len({run, listing.get_run(directory=full)}) == 1
    assert run != run.id


def test_what_it_looks_like(full: Path) -> None:
    """Short in a terminal, a picture in a notebook."""
    run = listing.get_run(directory=full)
    assert repr(run) == "<RecordedRun blue-heron-aaaaaa finished>"
    assert "<svg" in run._repr_html_() and "0.1" in run._repr_html_()
    found = listing.runs(directory=full)
    assert repr(found) == "<Runs: 1 run: blue-heron-aaaaaa>" and "<table" in found._repr_html_()
    assert repr(found[:0]) == "<Runs: 0 runs>"


# -- differences --------------------------------------------------------------------------------


def test_a_difference_is_the_one_that_the_command_shows(place: Path, track: Any) -> None:
    """Whether runs are given by name or as values."""
    blue = listing.get_run("blue", directory=place)
    made = listing.diff("baseline", blue, directory=place)
    one = listing.get_run("baseline", directory=place)
    # As text: a NaN differs from itself.
    same = [one.diff(blue), one.diff("blue"), difference.compare([one.record, blue.record])]
    assert {repr(made)} == {*map(repr, same)}
    told = json.loads(track(place, "diff", "baseline", "blue", "--json", check=0).stdout)
    for part in made.parts:
        assert told[part.name]["same"] == part.same
        assert list(told[part.name]["different"]) == [line.key for line in part.lines]


def test_what_is_not_named_is_the_latest(place: Path) -> None:
    """As for the command."""
    assert listing.diff(directory=place).runs == ("blue-heron-bbbbbb", "amber-otter-cccccc")
    assert listing.diff("baseline", directory=place).runs[1] == "amber-otter-cccccc"
    assert len(listing.diff("baseline", "blue", "amber", directory=place).runs) == 3
    run = listing.get_run("baseline", directory=place)
    assert run.diff().runs == ("baseline-aaaaaa", "amber-otter-cccccc")


# -- as a table ---------------------------------------------------------------------------------


def test_a_frame_has_a_row_for_each_run_and_the_columns_of_csv(place: Path, track: Any) -> None:
    """With types: a param that one run lacks is NaN, times are times."""
    found = listing.runs(directory=place)
    frame = found.to_pandas()
    head = track(place, "ls", "--csv", check=0).stdout.splitlines()[0]
    assert list(frame.columns) == next(csv.reader([head]))
    assert frame["name"].tolist() == [run.name for run in found]
    assert frame["metrics.acc"].tolist() == [0.7, 0.9, 0.5]
    assert frame["params.opt.name"].isna().tolist() == [True, True, False]
    assert str(frame.dtypes["started"]).startswith("datetime64")
    assert frame["duration"].tolist() == [4.0, 4.0, 4.0]
    assert frame["params.seed"].dtype == "float64" and frame["archived"].dtype == "bool"
    assert frame["tags.n"].tolist()[-1] == "1"
    lazy = found.to_polars()
    assert lazy.columns == list(frame.columns) and lazy["params.lr"].to_list() == [0.2, 0.1, 0.1]
    assert lazy["metrics.loss"].is_null().to_list() == [True, True, False]
    assert found[:0].to_pandas().shape[0] == 0 and found[:0].to_polars().height == 0


def test_a_command_is_one_line_and_notes_are_lines(repo_dir: Path) -> None:
    """As they are read elsewhere."""
    record(repo_dir, 1, "blue-heron-aaaaaa", command=("python", "a b.py", "--x=1"))
    say(repo_dir, "blue-heron-aaaaaa", "note", "looks good")
    frame = listing.runs(directory=repo_dir).to_pandas()
    assert frame["command"][0] == "python 'a b.py' --x=1"
    assert frame["notes"][0] == "looks good"


def test_a_hundred_thousand_runs_are_a_frame_in_about_a_second() -> None:
    """Columns are built, not rows."""
    params = [{f"p{n}": n * i for n in range(10)} for i in range(1000)]
    metrics = [{f"m{n}": n / (i + 1) for n in range(10)} for i in range(1000)]
    found = Runs(
        (
            Summary(
                id=f"{i:032x}", name=f"run-{i}", experiment="default", status="finished",
                started=NOON, ended=NOON, params=params[i % 1000], metrics=metrics[i % 1000],
                command=("python", "train.py", f"--seed={i}"),
            )
            for i in range(100_000)
        ),
        Path(),
    )  # fmt: skip
    pd.DataFrame({"a": [NOON]})
    began = time.process_time()
    frame = found.to_pandas()
    spent = time.process_time() - began
    assert frame.shape[0] == 100_000 and frame["params.p9"].dtype == "int64"
    assert spent < 3


# -- running runs -------------------------------------------------------------------------------

TRAIN = """\
import os, sys, time
import gittrack
gittrack.log_param("lr", 0.5)
for step in range(3):
    gittrack.log_metric("loss", 1.0 - step, step=step)
from gittrack import active
active.append({"system": {"cpu": 50.0}})
print("hello", flush=True)
open("ready", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
"""


@pytest.fixture
def under_way(repo_dir: Path, until: Callable[..., None]) -> Iterator[Path]:
    """A repository in which a run is going on until a file `go` is there."""
    (repo_dir / "live.py").write_text(TRAIN)
    words = [sys.executable, "-m", "gittrack", "run", "--", sys.executable, "live.py"]
    child = subprocess.Popen(words, cwd=repo_dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until((repo_dir / "ready").exists)
        yield repo_dir
    finally:
        (repo_dir / "go").touch()
        assert child.wait(20) == 0
        child.stderr.close()  # type: ignore[union-attr]


def test_a_run_that_is_under_way_is_among_them(under_way: Path, until: Callable[..., None]) -> None:
    """With what it has logged so far; when it has ended the same value reads the record."""
    record(under_way, 1, "old-heron-aaaaaa")
    found = listing.runs(directory=under_way, status="running")
    assert len(found) == 1 and len(listing.runs(directory=under_way)) == 2
    run = found[0]
    assert (run.commit, run.ended, run.duration, run.exit_code) == (None, None, None, None)
    assert run.params["lr"] == 0.5
    until(lambda: "hello" in run.output())
    assert [(step, value) for step, _, value in run.series("loss")] == [
        (0, 1.0),
        (1, 0.0),
        (2, -1.0),
    ]
    assert [value for _, _, value in run.series("system/cpu")] == [50.0]
    assert run.record.status == "running" and run.record.ended is None
    assert "running" in run._repr_html_() and "<svg" in run._repr_html_()
    with pytest.raises(UnknownKey):
        run.series("los")
    with pytest.raises(RunNotFound, match="still running"):
        run.load_artifact("model.bin")
    stem = run.name.rpartition("-")[0]
    record(under_way, 0, f"{stem}s-aaaaaa")
    for selector in (run.name, run.name[:-3], stem, run.id, run.id[:9], run.id[:9].upper()):
        assert listing.get_run(selector, directory=under_way) == run
    old = listing.get_run(directory=under_way)
    assert old.name == "old-heron-aaaaaa"
    with pytest.raises(BadPath, match="kept no 'model") as no:
        old.load_artifact("model.bin")
    assert no.value.hint == "it kept nothing."
    assert {part.name for part in run.diff("old").parts} >= {"params"}
    assert found.to_pandas()["ended"].isna().tolist() == [True]
    fresh = listing.runs(directory=under_way, status="running")[0]
    (under_way / "go").touch()
    until(lambda: not listing.runs(directory=under_way, status="running"))
    for one in (fresh, run):
        assert "hello" in one.output() and one.record.status == "finished"
        assert [value for _, _, value in one.series("loss")] == [1.0, 0.0, -1.0]
        assert [value for _, _, value in one.series("system/cpu")] == [50.0]
    assert fresh != listing.get_run(directory=under_way)
    assert fresh.id == listing.get_run(directory=under_way).id


def test_a_run_that_died_is_recorded_first(repo_dir: Path, until: Callable[..., None]) -> None:
    """As any command does: Python must not see less than `git track ls`."""
    (repo_dir / "live.py").write_text(TRAIN)
    words = [sys.executable, "-m", "gittrack", "run", "--", sys.executable, "live.py"]
    child = subprocess.Popen(words, cwd=repo_dir, start_new_session=True, stderr=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)  # fmt: skip
    until((repo_dir / "ready").exists)
    os.killpg(child.pid, 9)
    child.wait(20)
    for group in (repo_dir / "go",):
        group.touch()
    until(lambda: listing.runs(directory=repo_dir)[0].commit is not None)
    assert listing.get_run(directory=repo_dir).status == "killed"


# -- inside of a run ----------------------------------------------------------------------------


def test_a_script_reads_the_runs_of_its_own_repository(repo_dir: Path, track: Any) -> None:
    """Wherever it went; and what it loads of another run makes that one an input."""
    (repo_dir / "make.py").write_text(
        "import gittrack\ngittrack.log_text('weights', 'model.txt')\n"
    )
    (repo_dir / "use.py").write_text(
        "import os\nfrom gittrack import listing\nos.chdir('/')\n"
        "run = listing.runs(name='make')[0]\n"
        "print(run.load_artifact('model.txt').read_text())\n"
    )
    track(repo_dir, "run", "--name", "make", "--", sys.executable, "make.py", check=0)
    done = track(repo_dir, "run", "--name", "use", "--", sys.executable, "use.py", check=0)
    assert "weights" in done.stdout
    used = listing.get_run("use", directory=repo_dir)
    made = listing.get_run("make", directory=repo_dir)
    assert [(item.id, item.path) for item in used.inputs] == [(made.id, "model.txt")]
    assert made.load_artifact("model.txt").read_text() == "weights"


def test_python_says_what_the_commands_say(place: Path, track: Any) -> None:
    """The same answer everywhere."""
    told = json.loads(track(place, "ls", "--json", check=0).stdout)
    ours = [exports.as_json(run._source.known) for run in listing.runs(directory=place)]
    assert [json.loads(text) for text in ours] == told
    assert isinstance(listing.runs(directory=place)[0], RecordedRun)
