"""Very many runs as the answer to a question, held equal to few."""

from __future__ import annotations

import math
import pickle
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gittrack import annotations, answers, commits, listing, refs
from gittrack.errors import RunNotFound
from gittrack.events import Change, set_tag
from gittrack.git import Identity, Repo
from gittrack.recorded import Runs
from gittrack.records import Run

ADA = Identity("Ada", "ada@example.org")
NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
PARAMS: list[dict[str, Any]] = [
    {"lr": 0.1, "opt": "adam", "none": None},
    {"lr": "auto", "fast": True, "big": 2**70},
    {"layers": [1, {"a": 2}], "none": None},
    {},
]


def record(place: Path, number: int, **more: Any) -> None:
    repo = Repo.open(place)
    started = NOON + timedelta(minutes=number)
    given: dict[str, Any] = {
        "command": ("python", "a b.py", f"--n={number}"),
        "params": PARAMS[number % len(PARAMS)],
        "metrics": {"acc": number / 10, "loss": math.nan if number % 2 else 0.5},
    }
    run = Run(
        id=f"{number:032x}", name=f"run-{number:06d}", experiment="default", status="finished",
        started=started, ended=started + timedelta(seconds=1.5), exit_code=0, **(given | more),
    )  # fmt: skip
    commits.write(repo, run, tree=repo.empty_tree(), author=ADA)


def say(place: Path, name: str, *changes: Change) -> None:
    repo = Repo.open(place)
    [ref] = [ref for ref in refs.all_runs(repo) if ref.name == name]
    [run] = commits.listing(repo, [ref]).runs
    annotations.append(repo, run, changes, now=NOON, random=lambda count: bytes(range(count)))


@pytest.fixture
def place(repo_dir: Path) -> Path:
    """Twelve runs, one archived, one deleted, one with a tag and a note, one with a twin."""
    for number in range(12):
        record(repo_dir, number)
    say(repo_dir, "run-000003", Change("archive"))
    say(repo_dir, "run-000004", Change("delete"))
    say(repo_dir, "run-000005", set_tag("team", "red"), Change("note", value="good"))
    subprocess.run(
        ["git", "update-ref", "refs/runs/twins/run-000006", "runs/default/run-000006"],
        cwd=repo_dir,
        check=True,
    )
    return repo_dir


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three runs are very many."""
    monkeypatch.setattr(answers, "MOST_AT_ONCE", 2)
    yield


def both(monkeypatch: pytest.MonkeyPatch, place: Path, **asked: Any) -> tuple[Runs, Runs]:
    """The answer as few runs, and as very many."""
    few = listing.runs(directory=place, **asked)
    with monkeypatch.context() as patch:
        patch.setattr(answers, "MOST_AT_ONCE", 2)
        return few, listing.runs(directory=place, **asked)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"archived": True, "deleted": True},
        {"sort": "acc"},
        {"sort": ["-loss", "name"]},
        {"limit": 5},
        {"limit": 2},
        {"limit": 0},
        {"experiment": "twins"},
    ],
)
def test_very_many_runs_are_the_same_answer_as_few(
    monkeypatch: pytest.MonkeyPatch, place: Path, asked: dict[str, Any]
) -> None:
    """Nobody may have to know how many runs make a table another way."""
    few, many = both(monkeypatch, place, **asked)
    assert many == few and hash(many) == hash(few) and len(many) == len(few)
    assert [run.params for run in many] == [run.params for run in few]
    assert [repr(run.metrics) for run in many] == [repr(run.metrics) for run in few]
    assert [(r.tags, r.notes, r.archived) for r in many] == [
        (r.tags, r.notes, r.archived) for r in few
    ]
    assert repr(many) == repr(few) and many._repr_html_() == few._repr_html_()
    for frame in ("to_pandas", "to_polars"):
        one, other = getattr(few, frame)(), getattr(many, frame)()
        assert list(one.columns) == list(other.columns) and one.equals(other)
        assert list(one.dtypes) == list(other.dtypes)


@pytest.mark.usefixtures("many")
def test_a_part_of_very_many_is_a_table_of_that_part(place: Path) -> None:
    """In its own order, with the columns that it has itself."""
    found = listing.runs(directory=place)
    names = [run.name for run in found]
    for part in (found[3:6], found[::-1], found[:0], found[-2:]):
        assert part.to_pandas()["name"].tolist() == [run.name for run in part]
    assert found[::-1].to_polars()["name"].to_list() == names[::-1]
    assert "params.opt" not in listing.runs(directory=place)[1:2].to_pandas().columns


@pytest.mark.usefixtures("many")
def test_what_is_said_later_is_seen_when_a_run_is_looked_at(place: Path) -> None:
    """The answer stays of the same runs; one that was deleted meanwhile says so."""
    found = listing.runs(directory=place)
    names = found.to_pandas()["name"].tolist()
    last = names[-1]
    say(place, last, Change("delete"), set_tag("late", "yes"))
    record(place, 50)
    assert len(found) == len(names) and found[-1].deleted and found[-1].tags == {"late": "yes"}
    frame = found.to_pandas()
    assert frame["name"].tolist() == names and frame["deleted"].tolist()[-1] is True


@pytest.mark.usefixtures("many")
def test_a_run_that_is_gone_is_an_error_and_not_another(place: Path, git: Any) -> None:
    """`git track gc` may remove what was found a day ago."""
    found = listing.runs(directory=place)
    git(place, "update-ref", "-d", "refs/runs/default/run-000000")
    for look in (lambda: found[-1], found.to_pandas, lambda: list(found)):
        with pytest.raises(RunNotFound, match="run-000000 is gone"):
            look()
    assert found[0].name == "run-000011" and found[:2].to_pandas().shape[0] == 2


@pytest.mark.usefixtures("many")
def test_very_many_go_to_other_processes(place: Path) -> None:
    """Whole, as few do."""
    found = listing.runs(directory=place)
    again = pickle.loads(pickle.dumps(found))
    assert again == found and again.to_pandas().equals(found.to_pandas())
