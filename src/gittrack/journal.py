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
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Any

from gittrack.records import Row

__all__ = [
    "RUN_VARIABLE",
    "SYNC_SECONDS",
    "Story",
    "Writer",
    "flush",
    "frame",
    "logged",
    "read",
    "rows",
    "size",
    "unframe",
]

RUN_VARIABLE = "GITTRACK_RUN"
"""The environment variable that tells a script the directory of its running run."""

SYNC_SECONDS = 1.0
"""What was logged longer ago than this survives a power cut."""


def frame(event: Mapping[str, Any]) -> bytes:
    """One event as a line: eight hexadecimal digits of CRC-32 (zlib's), a space, JSON."""
    text = json.dumps(event, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def unframe(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """The events of a file's bytes, and how many lines were torn or damaged."""
    events, damaged = [], 0
    for line in data.split(b"\n"):
        if not line:
            continue
        event = _event(line)
        if event is None:
            damaged += 1
        else:
            events.append(event)
    return events, damaged


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        if line[8:9] != b" " or int(line[:8], 16) != zlib.crc32(line[9:]):
            return None
        event = json.loads(line[9:])
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


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

    `damaged` counts lines that were torn or whose checksum is wrong.
    """

    begin: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    damaged: int


def read(directory: Path) -> Story | None:
    """Read a run's directory; None if how it began cannot be read.

    May be called while others write: a line that is being written counts as damaged.
    """
    try:
        begun, _ = unframe((directory / "begin").read_bytes())
    except OSError:
        return None
    if not begun:
        return None
    events, damaged = logged(directory)
    return Story(begun[0], tuple(events), damaged)


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

    Nothing where the directory is gone.
    """
    streams, damaged = [], 0
    for path in (*_journals(directory), directory / "end"):
        try:
            events, bad = unframe(path.read_bytes())
        except OSError:
            continue
        damaged += bad
        streams.append(_in_order(events))
    merged = [event for _, event in merge(*streams, key=lambda pair: pair[0])]
    return merged, damaged


def _in_order(events: Iterable[dict[str, Any]]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Events with times that never go back: within one file, its order is the truth."""
    latest = 0.0
    for event in events:
        moment = event.get("t")
        if isinstance(moment, (int, float)) and moment > latest:
            latest = float(moment)
        yield latest, event


def rows(events: Iterable[Mapping[str, Any]], started: float) -> list[Row]:
    """The curves that metric events make; times are seconds since `started` (epoch).

    A row is one log call; calls of the same step that follow each other share one.
    """
    made: list[Row] = []
    values: dict[str, Any] = {}
    for event in events:
        logged = event.get("metrics")
        if not isinstance(logged, dict) or not logged:
            continue
        step = event.get("step")
        shared = made and step is not None and made[-1].step == step
        if shared and values.keys().isdisjoint(logged):
            values.update(logged)
        else:
            values = dict(logged)
            made.append(Row(step, max(0.0, round(event.get("t", started) - started, 6)), values))
    return made
