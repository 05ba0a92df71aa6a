"""Glances at running runs: the newest of them, cheaply, and never anything that was not said."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Track
from gittrack import journal, outset, revisions
from gittrack.execute import Request
from gittrack.git import Repo
from gittrack.glance import Glance
from gittrack.records import Run
from gittrack.story import tell

NOON = 1_770_000_000.0
BEGIN: dict[str, Any] = {
    "id": "0" * 32, "name": "amber-otter-7f3kq2", "experiment": "default", "started": NOON,
    "message": None, "command": ["true"], "directory": "", "user": "Ada", "email": "ada@x",
    "host": "here", "tree": "0" * 40, "params": {"lr": 0.1}, "tags": {}, "faults": [], "files": {},
    "where": "", "asked": False,
    "code": {
        "base": None, "branch": None, "dirty": False, "included": [], "skipped": [], "hidden": [],
    },
}  # fmt: skip


def begin(place: Path, **more: Any) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / "begin").write_bytes(journal.frame({**BEGIN, **more}))
    (place / "end").write_bytes(b"\n" * 512)
    return place


def write(place: Path, *events: dict[str, Any], name: str = "1-a.journal") -> None:
    with open(place / name, "ab") as file:
        for event in events:
            file.write(journal.frame(event))


def points(metric: str, count: int, *, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"t": NOON + step, "metrics": {metric: float(step)}, "step": step}
        for step in range(first, first + count)
    ]


def seen(found: Glance) -> Run:
    run = found.run(last_sign=NOON + 1e6)
    assert run is not None
    return run


def whole(place: Path) -> Run:
    """What all of the files tell."""
    story = journal.read(place)
    assert story is not None
    return tell(story, log_size=0, last_sign=NOON + 1e6)[0]


# -- what it says -------------------------------------------------------------------------------

numbers = st.integers(-5, 5) | st.sampled_from([0.5, float("inf"), -2.25])
events = st.one_of(
    st.fixed_dictionaries(
        {"metrics": st.dictionaries(st.sampled_from(["loss", "acc"]), numbers, min_size=1)},
        optional={"step": st.integers(0, 99), "scan": st.just(True)},
    ),
    st.fixed_dictionaries({"params": st.dictionaries(st.sampled_from("ab"), numbers)}),
    st.fixed_dictionaries({"tags": st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))}),
    st.fixed_dictionaries({"summary": st.dictionaries(st.sampled_from(["loss", "n"]), numbers)}),
    st.fixed_dictionaries({"title": st.sampled_from(["one", "two"])}),
    st.fixed_dictionaries({"status": st.sampled_from(["failed", "finished"])}),
    st.fixed_dictionaries({"end": st.sampled_from([["finished", 0], ["failed", 2]])}),
)
FILES = ("1-a.journal", "2-b.journal", "r0-3-c.journal", "r1-4-d.journal", "r2-5-e.journal")


@given(st.lists(st.tuples(st.sampled_from(FILES), events, st.booleans()), max_size=25))
@settings(deadline=None, max_examples=200)
def test_it_says_what_the_whole_of_the_files_says(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, dict[str, Any], bool]]
) -> None:
    """Whenever it looks, however often, and whichever of several processes and ranks spoke."""
    place = begin(tmp_path_factory.mktemp("run"))
    found = Glance(place)
    for number, (name, event, looks) in enumerate(said):
        write(place, {"t": NOON + number, **event}, name=name)
        if looks:
            found.refresh()
    found.refresh()
    now, all_of_it = seen(found), whole(place)
    assert dict(now.metrics) == dict(all_of_it.metrics)
    assert (dict(now.params), dict(now.tags)) == (dict(all_of_it.params), dict(all_of_it.tags))
    assert (now.status, now.exit_code, now.title) == (
        all_of_it.status, all_of_it.exit_code, all_of_it.title,
    )  # fmt: skip


def test_a_line_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    """Half of it is no value, and nothing is lost when the rest comes."""
    place = begin(tmp_path / "run")
    write(place, *points("loss", 3))
    found = Glance(place)
    assert found.refresh() and dict(seen(found).metrics) == {"loss": 2.0}
    line = journal.frame({"t": NOON + 9, "metrics": {"loss": 7.0}, "step": 9})
    for part in (line[:11], line[11:-1]):
        with open(place / "1-a.journal", "ab") as file:
            file.write(part)
        assert not found.refresh() and dict(seen(found).metrics) == {"loss": 2.0}
    with open(place / "1-a.journal", "ab") as file:
        file.write(line[-1:])
    assert found.refresh()
    assert (dict(seen(found).metrics), found.step) == ({"loss": 7.0}, 9)
    assert found.recent("loss") == (0.0, 1.0, 2.0, 7.0)
    assert not found.refresh()


def test_an_end_that_comes_into_its_room_is_seen(tmp_path: Path) -> None:
    """It is written over what is there, where nothing grows."""
    place = begin(tmp_path / "run")
    found = Glance(place)
    found.refresh()
    assert seen(found).status == "killed"
    with open(place / "end", "r+b") as file:
        file.write(journal.frame({"t": NOON + 5, "end": ["failed", 3]}))
    assert found.refresh()
    assert (seen(found).status, seen(found).exit_code) == ("failed", 3)


@pytest.mark.parametrize(
    "event",
    [
        {"metrics": {"loss": "high", "acc": 0.5, "n": None, "flag": True, "big": 10**400}},
        {"metrics": [1, 2]},
        {"t": "noon", "metrics": {"acc": 0.5}},
        {"params": [1]},
        {"tags": None, "summary": 3},
        {"step": "one", "metrics": {"acc": 0.5}},
        {"unheard-of": {"a": 1}},
    ],
)
def test_what_makes_no_sense_is_passed_over(tmp_path: Path, event: dict[str, Any]) -> None:
    """Other languages write journals, too; a listing does not end over one of their lines."""
    place = begin(tmp_path / "run")
    write(place, {"t": NOON, "metrics": {"acc": 0.25}}, {"t": NOON + 1, **event})
    found = Glance(place)
    found.refresh()
    assert set(seen(found).metrics) <= {"acc"}
    assert all(isinstance(value, float) for value in found.recent("acc"))
    assert found.recent("loss") == ()


def test_ranks_have_curves_of_their_own(tmp_path: Path) -> None:
    """The bars of one must not be made of the points of eight."""
    place = begin(tmp_path / "run")
    for rank in range(3):
        name = f"r{rank}-{rank}-a.journal"
        write(place, {"t": NOON + rank, "metrics": {"loss": float(rank)}}, name=name)
    write(place, {"t": NOON + 9, "metrics": {"val": 1.5}}, name="r1-1-a.journal")
    found = Glance(place)
    found.refresh()
    assert dict(seen(found).metrics) == {
        "loss": 0.0, "rank1/loss": 1.0, "rank2/loss": 2.0, "val": 1.5,
    }  # fmt: skip
    assert found.recent("rank2/loss") == (2.0,) and found.recent("loss") == (0.0,)


def test_a_directory_that_is_gone_or_never_began_has_nothing(tmp_path: Path) -> None:
    """It may be recorded between two looks."""
    place = begin(tmp_path / "run")
    write(place, *points("loss", 2))
    found = Glance(place)
    found.refresh()
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
    assert not found.refresh() and dict(seen(found).metrics) == {"loss": 1.0}
    empty = Glance(tmp_path / "other")
    assert not empty.refresh() and empty.run(last_sign=NOON) is None


# -- how much it reads --------------------------------------------------------------------------


def long(place: Path) -> None:
    """Params, 200,000 points of one metric, and now and then one of others: some 15 MB."""
    sparse = {0: "val", 190_000: "val", 195_000: "rare", 199_999: "val"}
    with open(place / "1-a.journal", "wb") as file:
        file.write(journal.frame({"t": NOON, "params": {"depth": 3}}))
        file.write(journal.frame({"t": NOON, "metrics": {"first": 0.5}, "step": 0}))
        for event in points("loss", 200_000):
            file.write(journal.frame(event))
            if event["step"] in sparse:
                more = {"metrics": {sparse[event["step"]]: event["step"] / 2}}
                file.write(journal.frame({**event, **more}))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = begin(tmp_path_factory.mktemp("large") / "run")
    long(place)
    return place


class Counting:
    """Counts the bytes that are taken apart."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        unframe = journal.unframe

        def counted(data: bytes) -> Any:
            self.bytes += len(data)
            return unframe(data)

        monkeypatch.setattr(journal, "unframe", counted)


def test_of_a_long_journal_the_ends_are_read(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`git track ls` beside a run of a million points is as quick as without."""
    counting = Counting(monkeypatch)
    found = Glance(large)
    assert found.refresh()
    run = seen(found)
    assert run.metrics["loss"] == 199_999.0 and run.metrics["val"] == 99_999.5
    assert dict(run.params) == {"lr": 0.1, "depth": 3} and found.step == 199_999
    assert len(found.recent("loss")) == 240
    assert counting.bytes < 100_000


def test_a_rare_metric_is_sought_further_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One logged each epoch, among thousands of steps."""
    place = begin(tmp_path / "run")
    write(place, {"t": NOON, "metrics": {"val": 0.9}, "step": 0})
    write(place, *points("loss", 5_000))
    write(place, {"t": NOON + 5_000, "metrics": {"val": 0.4}, "step": 5_000})
    write(place, *points("loss", 20_000, first=5_001))
    counting = Counting(monkeypatch)
    found = Glance(place)
    found.refresh()
    assert dict(seen(found).metrics) == {"val": 0.4, "loss": 25_000.0}
    assert counting.bytes < 100_000


def test_after_a_pause_what_came_is_read_whole_or_its_end(tmp_path: Path) -> None:
    """A laptop was shut: what is shown afterwards is the newest again."""
    place = begin(tmp_path / "run")
    write(place, *points("loss", 10))
    found = Glance(place)
    found.refresh()
    write(place, *points("loss", 1_000, first=10))
    assert found.refresh() and found.step == 1_009
    write(place, *points("loss", 70_000, first=1_010))
    assert found.refresh() and found.step == 71_009
    assert dict(seen(found).metrics) == {"loss": 71_009.0}


def test_a_listing_of_a_long_run_is_quick(
    large: Path, repo_dir: Path, track: Track, until: Callable[..., None]
) -> None:
    """The same through the real door, and with the values that it says."""
    repo = Repo.open(repo_dir)
    assert repo.root is not None
    request = Request(argv=["true"], directory=repo.root, name="slow")
    begun = outset.begin(
        repo, request, outset.prepare(repo, request), now=time.time, random=os.urandom
    )
    assert isinstance(begun, outset.Begun)
    try:
        revisions.running(repo)
        began = time.perf_counter()
        revisions.running(repo)
        short = time.perf_counter() - began
        os.link(large / "1-a.journal", begun.session.directory / "1-a.journal")
        times = []
        for _ in range(5):
            began = time.perf_counter()
            (run,) = revisions.running(repo)
            times.append(time.perf_counter() - began)
        assert run.metrics["loss"] == 199_999.0 and run.status == "running"
        assert min(times) - short < 0.1
    finally:
        begun.session.end()
