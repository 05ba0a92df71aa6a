"""Runs survive what kills their writer: a signal at any system call, a full disk, a race.

`.ci/crash-long` tries every point; here is a part of them, in seconds.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pygit2
import pytest

if sys.platform != "linux":
    pytest.skip("ptrace is driven as Linux has it", allow_module_level=True)

from crash import disk, race
from crash.faults import CAUGHT_BY, locks_stay
from crash.kept import KEPT
from crash.kept_faults import NOTICED_BY
from crash.ptrace import orphans_are_ours
from crash.scenarios import SCENARIOS, sweep
from crash.swept import SWEPT
from crash.world import Fault, World, make_world

# Together about 300; a scenario's share is what it costs to miss a call in it.
POINTS = {
    "finishing": 60,
    "finishing-held": 30,
    "finishing-taken": 40,
    "finishing-killed": 20,
    "beginning": 50,
    "logging": 30,
    "annotating": 20,
    "recovering": 30,
    "recovering-again": 30,
}
# Together about 130.
BYTES = {**KEPT, **SWEPT}
BYTES_POINTS = {
    "beginning-with-data": 14,
    "gathering": 8,
    "gathering-again": 6,
    "logging-artifacts": 14,
    "caching": 18,
    "placing": 20,
    "getting": 14,
    "moving": 16,
    "moving-elsewhere": 16,
    "cleaning": 8,
    "indexing": 14,
}
CASES = [(name, fault) for name, faults in CAUGHT_BY.items() for fault in faults]
KILLED = [case for case in CASES if case[0] in SCENARIOS]
NOTICED = [(name, faults[0]) for name, faults in NOTICED_BY.items()]


def named(faults: list[tuple[str, Fault]]) -> list[str]:
    return [f"{name}-{fault.__name__}" for name, fault in faults]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory if there is room: the calls are the same, and syncing costs nothing."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 256 << 20:
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(prefix="gittrack-", dir=memory))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def world(place: Path) -> Iterator[World]:
    with orphans_are_ours():
        yield make_world(place / "repo")


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_at_any_call_loses_nothing(world: World, name: str) -> None:
    """SIGKILL asks nobody: what was logged must be on disk, and what is half must be seen to be."""
    killed, wrong = sweep(world, SCENARIOS[name], POINTS[name])
    assert wrong == []
    assert killed > POINTS[name] * 0.8


@pytest.mark.parametrize(("name", "fault"), KILLED, ids=named(KILLED))
def test_a_faulty_writer_is_noticed_when_killed(world: World, name: str, fault: Fault) -> None:
    """A test of crashes that never fails proves nothing."""
    if fault is locks_stay and not hasattr(pygit2.Repository, "transaction"):
        pytest.skip("this pygit2 cannot lock a ref, so git does, and a kill of us spares its lock")
    _, wrong = sweep(world, SCENARIOS[name], 60, fault=fault)
    assert wrong


@pytest.mark.parametrize("name", BYTES)
def test_a_kill_at_any_call_leaves_nothing_half(world: World, name: str) -> None:
    """Bytes that are kept, moved, fetched or cleaned away are whole, or not there."""
    killed, wrong = sweep(world, BYTES[name], BYTES_POINTS[name])
    assert wrong == []
    # Fewer than above: what a cache knows already takes fewer calls than the dry run.
    assert killed > BYTES_POINTS[name] * 0.5


@pytest.mark.parametrize(("name", "fault"), NOTICED, ids=named(NOTICED))
def test_half_a_thing_is_noticed(world: World, name: str, fault: Fault) -> None:
    """Whatever leaves bytes half, twice or nowhere must be seen by the test above."""
    _, wrong = sweep(world, BYTES[name], 40, fault=fault)
    assert wrong


def test_every_test_has_three_faults() -> None:
    """Fewer would be luck. What spoils an index mostly makes it read the runs anew."""
    assert {*SCENARIOS, "full disk", "race"} == CAUGHT_BY.keys()
    assert BYTES.keys() == NOTICED_BY.keys() == BYTES_POINTS.keys()
    assert all(len(faults) >= 3 for faults in CAUGHT_BY.values())
    assert all(len(faults) >= 3 for name, faults in NOTICED_BY.items() if name != "indexing")


@pytest.mark.parametrize("fill", disk.FILLS)
def test_a_full_disk_loses_nothing(world: World, place: Path, fill: str) -> None:
    """It fills up while the run runs; the run is recorded once there is room again."""
    with disk.full(fill, world, place) as sizes:
        assert disk.sweep(sizes, 40) == []


@pytest.mark.parametrize("fault", CAUGHT_BY["full disk"], ids=lambda fault: fault.__name__)
def test_a_faulty_writer_is_noticed_on_a_full_disk(world: World, place: Path, fault: Fault) -> None:
    """A test of full disks that never fails proves nothing."""
    with disk.full("limit", world, place) as sizes:
        assert disk.sweep(sizes, 60, fault=fault)


def test_racing_writers_lose_nothing(world: World) -> None:
    """16 writers, some after the same names, while Git packs refs and collects garbage."""
    assert race.run(world, writers=16, each=6) == []


@pytest.mark.parametrize("fault", CAUGHT_BY["race"], ids=lambda fault: fault.__name__)
def test_a_faulty_writer_is_noticed_in_a_race(world: World, fault: Fault) -> None:
    """A test of races that never fails proves nothing; a race may need a few rounds to be lost."""
    assert any(race.run(world, writers=16, each=6, fault=fault, seed=n) for n in range(8))
