"""The long form of test_crash: every call, recovery killed at every call, whole groups killed.

For `.ci/crash-long`; the suite does not collect it. `CRASH_EVERY` thins out the nested kills.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crash import disk, race
from crash.kept import KEPT, gathering
from crash.kept_faults import NOTICED_BY
from crash.ptrace import fork, orphans_are_ours, reap
from crash.scenarios import SCENARIOS, finishing, recovering, sweep
from crash.swept import SWEPT
from crash.things import cache_of, damage, empty
from crash.world import Expected, Fault, World, aftermath, cleanliness, make_world, shown
from gittrack import commits, execute, heartbeat, refs
from gittrack.cache import Cache
from gittrack.git import Repo

EVERY = int(os.environ.get("CRASH_EVERY", "10"))

# Logs until it is killed, and says on a descriptor of the test's what had been logged by then.
_LOGGER = """\
import os, sys, gittrack
for step in range(10**9):
    gittrack.log_metric("acc", step / 8, step=step)
    os.write({told}, b".")
"""

# The same with artifacts, for a while; what it wrote last is kept by the recorder too.
_KEEPER = """\
import os, gittrack
for number in range({count}):
    with open("made.bin", "wb") as file:
        file.write(bytes([number]) * 300_000)
    gittrack.log_artifact("made.bin", name="copy-%d.bin" % number)
    os.write({told}, b".")
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    memory = Path("/dev/shm")
    room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30
    place = Path(tempfile.mkdtemp(prefix="gittrack-", dir=memory if room else tmp_path))
    with orphans_are_ours():
        yield make_world(place / "repo")
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_at_every_call_loses_nothing(world: World, name: str) -> None:
    """The points that the short form leaves out."""
    _, wrong = sweep(world, SCENARIOS[name], None)
    assert wrong == []


BYTES = {**KEPT, **SWEPT}
NOTICED = [(name, fault) for name, faults in NOTICED_BY.items() for fault in faults]


@pytest.mark.parametrize("name", BYTES)
def test_a_kill_at_every_call_leaves_nothing_half(world: World, name: str) -> None:
    """The points that the short form leaves out."""
    _, wrong = sweep(world, BYTES[name], None)
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "fault"), NOTICED, ids=[f"{name}-{fault.__name__}" for name, fault in NOTICED]
)
def test_half_a_thing_is_noticed(world: World, name: str, fault: Fault) -> None:
    """The faults that the short form leaves out."""
    _, wrong = sweep(world, BYTES[name], 80, fault=fault)
    assert wrong


def test_gathering_killed_twice_keeps_everything_once(world: World) -> None:
    """Whatever the first crash left half kept, a second one leaves nothing worse."""
    calls = gathering("killed")(world, 0, None, lambda: None).death.calls
    number = 0
    for first in range(1, calls + 1, 11 * EVERY):
        scenario = gathering("killed", first)
        number += 1
        inner = scenario(world, number, None, lambda: None).death.calls
        for point in range(1 + first % EVERY, inner + 1, 11 * EVERY):
            number += 1
            trial = scenario(world, number, point, lambda: None)
            assert trial.wrong == [], f"killed at {first}, recovery killed at {point}"
    assert cleanliness(world) == []


@pytest.mark.parametrize("kind", ["held", "taken"])
def test_recovery_killed_at_every_call_recovers(world: World, kind: str) -> None:
    """Whatever the first crash left, a second one in its recovery leaves nothing worse."""
    calls = finishing(kind)(world, 0, None, lambda: None).death.calls
    number = 0
    for first in range(1, calls + 1, EVERY):
        scenario = recovering(kind, first)
        number += 1
        inner = scenario(world, number, None, lambda: None).death.calls
        for point in range(1 + first % EVERY, inner + 1, EVERY):
            number += 1
            trial = scenario(world, number, point, lambda: None)
            assert trial.wrong == [], f"killed at {first}, recovery killed at {point}"
    assert cleanliness(world) == []


def test_a_killed_group_loses_nothing(world: World) -> None:
    """The recorder, the command and every `git` die at one moment, as when a container ends."""
    rand = random.Random(8)
    before_any = 0
    for trial in range(300):
        before = shown(world)
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)

        def work(writer: int = writer) -> None:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            argv = [sys.executable, "-c", _LOGGER.format(told=writer)]
            request = replace(world.request, argv=argv)
            heartbeat._HOLD_AFTER = 0.0
            execute.command(Repo.open(world.path), request)

        pid = fork(work)
        os.close(writer)
        select.select([reader], [], [], rand.random() * 0.5)
        time.sleep(rand.random() * 0.05)
        os.killpg(pid, signal.SIGKILL)
        reap(pid)
        with os.fdopen(reader, "rb") as file:
            told = len(file.read())
        before_any += not told
        wrong = aftermath(world, Expected("", "", {"status": "killed"}), before, optional=not told)
        assert wrong == [], f"trial {trial}"
        for ref in refs.all_runs(world.repo):
            if ref.full not in before:
                rows = commits.load_series(world.repo, ref)
                logged = [row.values["acc"] for row in rows if "acc" in row.values]
                assert logged == [step / 8 for step in range(len(logged))]
                assert len(logged) >= told
    assert 20 < before_any < 280
    assert cleanliness(world) == []


def test_a_killed_group_keeps_nothing_half(world: World) -> None:
    """What a run kept before its container ended is there, and whole."""
    rand = random.Random(9)
    endings = set()
    for trial in range(300):
        before = shown(world)
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        count = rand.randrange(1, 12)

        def work(writer: int = writer, count: int = count) -> None:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            argv = [sys.executable, "-c", _KEEPER.format(told=writer, count=count)]
            request = replace(world.request, argv=argv, outs=["made.bin"])
            execute.command(Repo.open(world.path), request)

        pid = fork(work)
        os.close(writer)
        select.select([reader], [], [], 5)
        time.sleep(rand.random() * 0.2)
        os.killpg(pid, signal.SIGKILL)
        reap(pid)
        with os.fdopen(reader, "rb") as file:
            told = len(file.read())
        wrong = damage(cache_of(world))
        wrong += aftermath(world, Expected("", "", {}), before, optional=not told)
        assert wrong + damage(cache_of(world)) == [], f"trial {trial}"
        for ref in (found for found in refs.all_runs(world.repo) if found.full not in before):
            run = commits.load(world.repo, ref)
            endings.add((run.status, "made.bin" in {kept.path for kept in run.artifacts}))
            assert {f"copy-{n}.bin" for n in range(told)} <= {kept.path for kept in run.artifacts}
            store = Cache(cache_of(world))
            assert all(store.path(kept.md5).is_file() for kept in run.artifacts)
            assert run.faults == ()
        empty(world)
        (world.path / "made.bin").unlink(missing_ok=True)
    assert endings == {("finished", True), ("killed", True)}
    assert cleanliness(world) == []


@pytest.mark.parametrize("fill", disk.FILLS)
def test_a_full_disk_of_every_size_loses_nothing(world: World, tmp_path: Path, fill: str) -> None:
    """Every limit in steps of 5 bytes, every number of free blocks."""
    with disk.full(fill, world, tmp_path) as sizes:
        assert disk.sweep(sizes, 600 if fill == "limit" else 2 * sizes.largest) == []


def test_racing_writers_lose_nothing_again_and_again(world: World) -> None:
    """What goes wrong once in a hundred times goes wrong here."""
    for seed in range(100):
        assert race.run(world, writers=16, each=6, seed=seed) == [], f"round {seed}"
