"""The newest that a running run has said, read without reading all of it.

Knows where in a long journal the news stand: params at its beginning, the last points at its end,
and whatever came since the last look. Knows nothing of locks, Git or the terminal. What `story`
tells of it is the run as it stands; the points in between only the record has.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from gittrack import journal, weaving
from gittrack.journal import Story
from gittrack.lines import Log, Reader
from gittrack.points import is_number
from gittrack.records import Run
from gittrack.story import tell
from gittrack.summaries import Number
from gittrack.testimony import sound

__all__ = ["Glance"]

_HEAD, _TAIL = 16 << 10, 48 << 10
_AT_ONCE = 4 << 20
_BLOCK, _BLOCKS, _OVERLAP = 1 << 20, 6, 4096
_MOST_SOUGHT = 8
_MOST_KEPT = 10_000
_RECENT = 240
_MERGED = frozenset({"params", "tags", "summary"})
_LEFT_OUT = frozenset({"t", "step", "scan", "system", "cells"})


class Glance:
    """A running run as it stands; `refresh` takes in what was logged since.

    Of a journal larger than 64 KiB the first look reads the head and the tail; of metrics that
    only the head names the last value is sought in the 6 MiB before the tail. So a metric whose
    first and last points both lie between is not seen until it is logged again; nor is a param.
    """

    def __init__(self, directory: Path) -> None:
        """Nothing is read yet."""
        self.directory = directory
        self.begin: Mapping[str, Any] | None = None
        """How the run began, None until that can be read."""
        self.step: int | None = None
        """The step of the newest point that has one."""
        self._files: dict[str, _File] = {}
        self._last: dict[_Curve, tuple[float, Number, int | None]] = {}
        self._recent: dict[_Curve, deque[Number]] = {}
        self._merged: dict[tuple[str, int | None], dict[str, tuple[float, Any]]] = {}
        self._others: deque[Mapping[str, Any]] = deque(maxlen=_MOST_KEPT)
        self._newest = 0.0
        self._ended = False

    def refresh(self) -> bool:
        """Read what is new -> whether there was anything; a directory that is gone has nothing."""
        if self.begin is None:
            self.begin = next(iter(_lines_of(self.directory / "begin")), None)
        found = False
        for name in _names(self.directory):
            file = self._files.setdefault(name, _File(self.directory / name))
            for at, event in file.news():
                self._take(event, at, file.rank)
                found = True
        return self._look_at_end() or found

    def _look_at_end(self) -> bool:
        """Take in the end that was written into the room kept for it, once it is there."""
        if self._ended:
            return False
        events = _lines_of(self.directory / "end")
        for event in events:
            self._take(event, _moment(event), None)
        self._ended = bool(events)
        return self._ended

    @property
    def has_ended(self) -> bool:
        """Whether the run's owner has written down its end in the room that is kept for it."""
        return self._ended

    def recent(self, metric: str) -> tuple[Number, ...]:
        """The last points of a metric, at most 240, oldest first."""
        names = self._names()
        found = [curve for curve in self._recent if names[curve] == metric]
        # What a script logs itself counts before what its output says.
        return tuple(self._recent[min(found, key=lambda curve: curve.scan)]) if found else ()

    def run(self, *, last_sign: float) -> Run | None:
        """The run as it would be recorded now, with the last value of each metric.

        `last_sign` is when it gave a sign of life last, in seconds since the epoch. None where how
        it began cannot be read.
        """
        if self.begin is None:
            return None
        readers: dict[int | None, Reader] = {}
        for curve, (moment, value, step) in self._last.items():
            reader = readers.setdefault(curve.rank, Reader(rank=curve.rank))
            point = {"t": moment, "metrics": {curve.metric: value}, "step": step}
            reader.take({**point, "scan": True} if curve.scan else point)
        for reader in readers.values():
            reader.done()
        story = Story(
            self.begin,
            tuple(self._events()),
            0,
            tuple(reader.said for reader in readers.values() if reader.said.blocks),
            tuple(reader.scanned for reader in readers.values() if reader.scanned.blocks),
        )
        return tell(story, log_size=0, last_sign=last_sign)[0]

    def _names(self) -> dict[_Curve, str]:
        """What the record will call each curve: those of several ranks are kept apart."""
        found: dict[_Curve, str] = {}
        for scan in (False, True):
            curves = [curve for curve in self._last if curve.scan == scan]
            logs = [Log(curve.rank, [(curve.metric,)]) for curve in curves]
            for curve, names in zip(curves, weaving.apart(logs), strict=True):
                found[curve] = names.get(curve.metric, curve.metric)
        return found

    def _events(self) -> list[Mapping[str, Any]]:
        """What was said, in order of time; of what was said again the last."""
        merged: dict[tuple[float, str, int | None], dict[str, Any]] = {}
        for (key, rank), said in self._merged.items():
            for name, (at, value) in said.items():
                merged.setdefault((at, key, rank), {})[name] = value
        found = list(self._others)
        for (at, key, rank), values in merged.items():
            event = {"t": at, key: values}
            found.append(event if rank is None else {**event, "rank": rank})
        return [sound(event, 0.0) for event in sorted(found, key=lambda event: float(event["t"]))]

    def _take(self, event: Mapping[str, Any], at: float, rank: int | None) -> None:
        rest = {key: said for key, said in event.items() if key not in _LEFT_OUT}
        points = rest.pop("metrics", None)
        if isinstance(points, dict):
            self._point(points, at, event, rank)
        for key in _MERGED.intersection(rest):
            said = rest.pop(key)
            merged = self._merged.setdefault((key, rank), {})
            for name, value in said.items() if isinstance(said, dict) else ():
                if name not in merged or merged[name][0] <= at:
                    merged[name] = at, value
        if rest:
            self._others.append({**rest, "t": at})

    def _point(
        self, points: Mapping[str, Any], at: float, event: Mapping[str, Any], rank: int | None
    ) -> None:
        step, scan = event.get("step"), bool(event.get("scan"))
        if not isinstance(step, int):
            step = None
        for key, value in points.items():
            curve = _Curve(key, scan, rank)
            before = self._last.get(curve)
            if is_number(value) and (before is None or before[0] <= at):
                self._last[curve] = at, value, step
                self._recent.setdefault(curve, deque(maxlen=_RECENT)).append(value)
        if step is not None and at >= self._newest:
            self.step, self._newest = step, at


class _Curve(NamedTuple):
    metric: str
    scan: bool
    rank: int | None


class _File:
    """One journal, read from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rank = _rank(path.name)
        self._latest = 0.0
        self._offset = 0
        self._stump = b""

    def news(self) -> list[tuple[float, dict[str, Any]]]:
        """The events since the last look, each with a time that never goes back.

        A line that is not whole yet waits for the next look.
        """
        found = []
        for event in self._events():
            self._latest = max(self._latest, _moment(event))
            found.append((self._latest, event))
        return found

    def _events(self) -> list[dict[str, Any]]:
        try:
            with open(self._path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size - self._offset > _AT_ONCE or (not self._offset and size > _HEAD + _TAIL):
                    return self._ends(file, size)
                file.seek(self._offset)
                return self._lines(file.read(_AT_ONCE))
        except OSError:
            return []

    def _lines(self, data: bytes) -> list[dict[str, Any]]:
        self._offset += len(data)
        lines, newline, self._stump = (self._stump + data).rpartition(b"\n")
        return journal.unframe(lines + newline)[0]

    def _ends(self, file: BinaryIO, size: int) -> list[dict[str, Any]]:
        head = [] if self._offset else journal.unframe(file.read(_HEAD).rpartition(b"\n")[0])[0]
        file.seek(size - _TAIL)
        self._offset, self._stump = size - _TAIL, b""
        tail = self._lines(file.read(_TAIL))
        missing = _metrics(head) - _metrics(tail)
        return [*head, *_sought(file, missing, size - _TAIL), *tail]


def _moment(event: Mapping[str, Any]) -> float:
    said = event.get("t")
    return float(said) if said is not None and is_number(said) else 0.0


def _rank(name: str) -> int | None:
    """The rank whose file it is, None if it is no rank's."""
    first = name.partition("-")[0]
    return int(first[1:]) if first[:1] == "r" and first[1:].isdecimal() else None


def _metrics(events: list[dict[str, Any]]) -> set[str]:
    found = (event.get("metrics") for event in events)
    return {key for points in found if isinstance(points, dict) for key in points}


def _sought(file: BinaryIO, keys: set[str], end: int) -> list[dict[str, Any]]:
    """The last events that have points of these metrics, sought backwards from `end`."""
    wanted = {key: json.dumps(key).encode() + b":" for key in sorted(keys)[:_MOST_SOUGHT]}
    found = []
    for stop in range(end, max(_HEAD, end - _BLOCK * _BLOCKS), -_BLOCK):
        if not wanted:
            break
        start = max(0, stop - _BLOCK)
        file.seek(start)
        block = file.read(stop - start + _OVERLAP)
        for key, needle in list(wanted.items()):
            place = block.rfind(needle)
            line = block[block.rfind(b"\n", 0, max(place, 0)) + 1 :].partition(b"\n")[0]
            events = journal.unframe(line)[0] if place >= 0 else []
            if key in _metrics(events):
                found += events
                del wanted[key]
    return found[::-1]


def _lines_of(path: Path) -> list[dict[str, Any]]:
    try:
        return journal.unframe(path.read_bytes())[0]
    except OSError:
        return []


def _names(directory: Path) -> list[str]:
    """The journals of a run; none where it is gone."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [name for name in names if name.endswith(".journal")]
