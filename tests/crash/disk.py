"""A disk that is full: a limit on the size of files, or a small tmpfs with so many free blocks.

The limit needs no privileges and lets small files through where large ones fail, so it finds
objects that are missing under refs that are not. The tmpfs is what users meet.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from crash.ptrace import Failed, isolated
from crash.world import (
    Expected,
    Fault,
    World,
    aftermath,
    begin,
    cleanliness,
    facts,
    make_world,
    nothing,
    session_of,
    shown,
)
from gittrack import execute, recovery
from gittrack.errors import GittrackError, WriteFailed
from gittrack.git import Repo
from gittrack.refs import ROOT, RunRef
from small_disk import mounted

__all__ = ["FILLS", "Sizes", "full", "sweep"]

FILLS = ("limit", "tmpfs")
_BLOCK = 4096
_SCRIPT = (
    "sh",
    "-c",
    ": > {marker}; i=0; while [ $i -lt 40 ]; do echo accuracy: 0.$i; i=$((i+1)); done; exit 3",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """A world whose disk takes only so much: `fill(size)` is applied around what a child does.

    `largest` is the size at which everything fits; `marker` lies on another disk, or is empty.
    """

    world: World
    marker: Path
    largest: int
    fill: Callable[[int], None]
    free: Callable[[], None]


@contextmanager
def full(kind: str, world: World, place: Path) -> Iterator[Sizes]:
    """The disk to fill; skips the test where it cannot be made."""
    marker = place / "started"
    if kind == "limit":
        yield Sizes(world, marker, 3000, _limit, lambda: None)
        return
    with mounted(place / "small", 16) as mount:
        filler = mount / "filler"
        yield Sizes(
            make_world(mount / "repo"),
            marker,
            60,
            lambda blocks: _fill(filler, blocks),
            lambda: filler.unlink(missing_ok=True),
        )


def _limit(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _fill(filler: Path, blocks: int) -> None:
    """Leave that many blocks free."""
    seen = os.statvfs(filler.parent)
    size = seen.f_bavail * seen.f_frsize - blocks * _BLOCK
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(size, 1))


def sweep(sizes: Sizes, wanted: int, *, fault: Fault = nothing) -> list[str]:
    """Try `wanted` sizes -> what went wrong at the first at which something did."""
    wrong: list[str] = []
    for number in range(wanted):
        size = round(number * sizes.largest / (wanted - 1))
        work = _finish if number % 2 else _command
        wrong = [f"with {size} free: {line}" for line in work(sizes, number, size, fault)]
        if wrong:
            break
    return wrong or cleanliness(sizes.world)


def _finish(sizes: Sizes, seed: int, size: int, fault: Fault) -> list[str]:
    """A run that ended is recorded on the full disk, or afterwards."""
    world = sizes.world
    before = shown(world)
    expected = begin(world, seed, "finished")

    def work() -> None:
        repo, session = session_of(world, expected, fault)
        sizes.fill(size)
        try:
            recovery.finish(repo, session)
        except (GittrackError, OSError):
            session.release()

    wrong = _child(work)
    sizes.free()
    return wrong + aftermath(world, expected, before, fault=fault)


def _command(sizes: Sizes, seed: int, size: int, fault: Fault) -> list[str]:
    """A command is run and recorded on the full disk, or refused, or recorded afterwards."""
    world = sizes.world
    before = shown(world)
    sizes.marker.unlink(missing_ok=True)
    argv = [word.format(marker=sizes.marker) for word in _SCRIPT]
    request = replace(world.request, argv=argv)

    def work() -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        fault()
        repo = Repo.open(world.path)
        sizes.fill(size)
        try:
            execute.command(repo, request)
        except GittrackError as error:
            if sizes.marker.exists() and not isinstance(error, WriteFailed):
                raise

    wrong = _child(work)
    sizes.free()
    ran = sizes.marker.exists()
    known = {"status": "failed", "exit_code": "3", "tags": repr({"team": "blue"})}
    wrong += aftermath(world, Expected("", "", known), before, fault=fault, optional=not ran)
    return wrong + _silence(world, before)


def _silence(world: World, before: dict[str, str]) -> list[str]:
    """Metrics that are missing without a word about it."""
    wrong = []
    for ref, commit in shown(world).items():
        if ref not in before and ref.startswith(ROOT):
            experiment, name = ref.removeprefix(ROOT).split("/")
            found = facts(world.repo, RunRef(experiment, name, commit))
            whole = found["rows"].count("accuracy") == 40 and found["output"].count("0.") == 40
            if not whole and found["faults"] == "()":
                wrong.append(f"{ref} lacks metrics or output and does not say so: {found}")
    return wrong


def _child(work: Callable[[], None]) -> list[str]:
    try:
        isolated(work)
    except Failed as failed:
        return [f"the writer fails: {failed}"]
    return []
