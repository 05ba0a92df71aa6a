"""What a run says while it runs: events, one a line, appended to files and read back.

Knows how a line is framed and checked, and in which order the events of many files happened. Knows
nothing of who owns a run's directory, nor of what becomes of it all in the end.

    <run>/begin       one line: all that was known at the start
    <run>/*.journal   one file for each process that logs, appended to by it alone
    <run>/end         one line: how the command ended
"""

from __future__ import annotations

import errno
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Any

from gittrack.lines import Log, Reader, unframe
from gittrack.testimony import sound

__all__ = [
    "RUN_VARIABLE",
    "SYNC_SECONDS",
    "Story",
    "Writer",
    "flush",
    "frame",
    "logged",
    "loss",
    "read",
    "said",
    "size",
    "unframe",
]

RUN_VARIABLE = "GITTRACK_RUN"
"""The environment variable that tells a script the directory of its running run."""

SYNC_SECONDS = 1.0
"""What was logged longer ago than this survives a power cut."""

_AT_ONCE = 256 << 10


def frame(event: Mapping[str, Any]) -> bytes:
    """One event as a line: eight hexadecimal digits of CRC-32 (zlib's), a space, JSON."""
    text = json.dumps(event, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def loss(points: int) -> str:
    """What is said of points that no disk took, which is an event too: `{"dropped": points}`."""
    if points == 1:
        return "1 point was lost: the disk did not take it"
    return f"{points:,} points were lost: the disk did not take them"


class Writer:
    """Appends events to one file, each in a single `write`, which a SIGKILL of us does not undo.

    For one process; threads may share it. Flushed to the disk once a second while events come.
    """

    def __init__(self, directory: Path) -> None:
        """Open a new file in the run's directory.

        Raises:
            OSError: the directory is gone or not writable.
        """
        self.path = directory / f"{os.getpid()}-{os.urandom(4).hex()}.journal"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o666)
        self._synced = time.monotonic()
        self._torn = False

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event; `t`, seconds since the epoch, is added if it is not there.

        Raises:
            OSError: it could not be written whole; what was there stays readable.
        """
        line = frame({"t": time.time(), **event})
        if self._torn:
            # The stump of a failed write must not swallow this line.
            line = b"\n" + line
        self._torn = True
        written = os.write(self._descriptor, line)
        if written != len(line):
            raise OSError(errno.ENOSPC, "no space for a whole line", os.fspath(self.path))
        self._torn = False
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Flush what was written to the disk."""
        self._synced = time.monotonic()
        flush(self._descriptor)

    def close(self) -> None:
        """Flush and close; a second call does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            flush(descriptor)
            os.close(descriptor)

    def abandon(self) -> None:
        """Close without flushing, as a forked child does with its parent's file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def flush(descriptor: int) -> None:
    """Flush a file to the disk; one that cannot be, a pipe for example, is left as it is.

    Raises:
        OSError: the disk refuses.
    """
    try:
        getattr(os, "fdatasync", os.fsync)(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


@dataclass(frozen=True, slots=True)
class Story:
    """All that a run's directory tells: how it began, what happened, in order of time.

    Points that were logged stand in `logs`, those found in the output in `scanned`, a log for each
    file; `events` are all others, those of a rank with its number as `rank`. `damaged` counts lines
    that were torn or whose checksum is wrong.
    """

    begin: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    damaged: int
    logs: tuple[Log, ...] = ()
    scanned: tuple[Log, ...] = ()


def read(directory: Path, *, points: bool = True) -> Story | None:
    """Read a run's directory; None if how it began cannot be read.

    May be called while others write: a line that is being written counts as damaged.
    `points=False` passes over what was measured, unchecked, in a fraction of the time.
    """
    try:
        begun, _ = unframe((directory / "begin").read_bytes())
    except OSError:
        return None
    if not begun:
        return None
    readers = _readers(directory, points=points)
    return Story(
        begun[0],
        (*_in_order(readers), *_unwritten(directory)),
        sum(reader.damaged for reader in readers),
        tuple(reader.said for reader in readers if reader.said.blocks),
        tuple(reader.scanned for reader in readers if reader.scanned.blocks),
    )


def _unwritten(directory: Path) -> Iterator[dict[str, Any]]:
    """What files say by their names, as no disk took a line: `<pid>-<hex>.<points>.lost`."""
    for path in directory.glob("*.*.lost"):
        points = path.stem.rpartition(".")[2]
        if points.isdecimal() and len(points) < 19:
            with suppress(OSError):
                yield {"t": path.stat().st_mtime, "dropped": int(points)}


def size(directory: Path) -> int:
    """How many bytes were logged, in all files together."""
    total = 0
    for path in _journals(directory):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def _journals(directory: Path) -> list[Path]:
    """The journals, none if the directory is gone: its run may be recorded at any moment."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [directory / name for name in names if name.endswith(".journal")]


def logged(directory: Path) -> tuple[list[dict[str, Any]], int]:
    """The events of all files in order of time, and how many lines were torn or damaged.

    Points too, each as an event of its own, which for many takes long. Nothing where the directory
    is gone.
    """
    streams, damaged = [], 0
    for path in (*_journals(directory), directory / "end"):
        try:
            events, bad = unframe(path.read_bytes())
        except OSError:
            continue
        damaged += bad
        reader = Reader(points=False)
        for event in events:
            reader.take(event)
        streams.append(reader)
    return _in_order(streams), damaged


def said(directory: Path) -> list[dict[str, Any]]:
    """The events of all files that are no points, in order of time; none if it is gone."""
    return _in_order(_readers(directory, points=False))


def _readers(directory: Path, *, points: bool) -> list[Reader]:
    """What each file says."""
    readers = []
    for path in (*_journals(directory), directory / "end"):
        reader = Reader(rank=_rank(path.name), points=points)
        try:
            with open(path, "rb", buffering=0) as file:
                while data := file.read(_AT_ONCE):
                    reader.feed(data)
        except OSError:
            continue
        reader.done()
        readers.append(reader)
    return readers


def _rank(name: str) -> int | None:
    """The rank whose file it is, None if it is no rank's."""
    first = name.partition("-")[0]
    return (
        int(first[1:]) if first[:1] == "r" and first[1:].isascii() and first[1:].isdigit() else None
    )


def _in_order(readers: Iterable[Reader]) -> list[dict[str, Any]]:
    streams = [
        [
            (at, event if reader.said.rank is None else {**event, "rank": reader.said.rank})
            for at, event in reader.events
        ]
        for reader in readers
    ]
    return [sound(event, at) for at, event in merge(*streams, key=lambda pair: pair[0])]
