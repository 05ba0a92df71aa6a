"""The lines of a journal read back: points by column, and everything else as events.

Knows the frame of a line and checks every one's sum. Most lines are points of one form, and are
read many at once; all others go through JSON one by one, and both ways tell the same. Knows
nothing of files, of runs, and of what an event means.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

__all__ = ["Block", "Log", "Reader", "unframe"]

_BLOCK = 8192
_GREATEST = 10**308
_LATEST = 1e11
"""The year 5138, in seconds since the epoch: a later time is none."""
_POINT_KEYS = frozenset({"t", "metrics", "step", "scan"})

_PLAIN = rb'[^"\\\x00-\x1f]*'
_KEY = _PLAIN + rb"(?:\\[^\x00-\x1f]" + _PLAIN + rb")*"
_WHOLE = rb"-?(?!0[0-9])[0-9]+"
_NUMBER = _WHOLE + rb"(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_TIME = rb"[1-9][0-9]{9}(?:\.[0-9]+)?"
_LONGEST, _LONG = 300, 64 << 10
_POINT = b',"metrics":{'
# One value, as by far the most lines say it; a kind of it that is rarer costs all of them time.
_ONE = (
    rb'^([0-9a-f]{8}) (\{"t":(' + _TIME + rb'),"metrics":\{"(' + _KEY + rb')":(' + _NUMBER + rb")\}"
    rb'(?:,"step":(' + _WHOLE + rb"))?\})\n"
)
_GROUPS = 6
_ANY = _NUMBER + rb"|NaN|-?Infinity"
_PAIR = rb'"(' + _KEY + rb')":(' + _ANY + rb")"
_SEVERAL = (
    rb'([0-9a-f]{8}) (\{"t":(' + _TIME + rb'),"metrics":\{("' + _KEY + rb'":(?:' + _ANY + rb")"
    rb'(?:,"' + _KEY + rb'":(?:' + _ANY + rb'))*)\}(?:,"step":(' + _WHOLE + rb"|null))?"
    rb'(,"scan":true)?\})'
)
_NO_POINT = (
    rb'(?:.{8} \{"t":[0-9.]+,"metrics":\{[^{}\n]*\}'
    rb'(?:,"step":[-0-9nul]+)?(?:,"scan":true)?\}|(.+))\n'
)

_QUICKLY = rb'\n(?!.{9}\{"t":[0-9.]{1,32},"metrics":\{|\n)(.+)'
_MORE_THAN_POINTS = rb'\},"(?!step":|scan":)'


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


class Block(NamedTuple):
    """Up to some thousand points of one process, by column.

    `times` are as they were said (seconds since the epoch), `order` are the same but never going
    back. `steps` has a line each, empty where none was said; `cells` too, the values of one call
    with tabs between. `kinds` tells by number which metrics they are; one number where all are
    of a kind.
    """

    times: array[float]
    order: array[float]
    steps: bytes
    kinds: array[int] | int
    cells: bytes


class Log:
    """The points of one file in their order; `shapes` are the metrics of each kind of call."""

    def __init__(
        self,
        rank: int | None = None,
        shapes: Sequence[tuple[str, ...]] = (),
        blocks: Sequence[Block] = (),
    ) -> None:
        self.rank = rank
        self.shapes, self.blocks = list(shapes), list(blocks)


class _Columns:
    """A log while it is read: lists until there are enough for a block."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.times: list[float] = []
        self.order: list[float] = []
        self.steps: list[bytes] = []
        self.kinds: list[int] = []
        self.cells: list[bytes] = []
        self._named: dict[tuple[str, ...], int] = {}
        self._spelled: dict[tuple[bytes, ...], int | None] = {}

    def spelled(self, keys: tuple[bytes, ...]) -> int | None:
        """The number of a kind of call by its keys as JSON spells them.

        None where one cannot be read, or stands there twice.
        """
        if keys not in self._spelled:
            try:
                names = tuple(json.loads(b'"%b"' % key) for key in keys)
            except ValueError:
                names = ("", "")
            good = len(set(names)) == len(names)
            self._spelled[keys] = self.kind(names) if good else None
        return self._spelled[keys]

    def kind(self, names: tuple[str, ...]) -> int:
        """The number of a kind of call."""
        known = self._named.get(names)
        if known is None:
            known = self._named[names] = len(self.log.shapes)
            self.log.shapes.append(names)
        return known

    def pack(self) -> None:
        """Make a block of what there is."""
        if not self.times:
            return
        one = self.kinds[0]
        same = self.kinds.count(one) == len(self.kinds)
        times = array("d", self.times)
        order = times if self.order == self.times else array("d", self.order)
        kinds = one if same else array("L", self.kinds)
        self.log.blocks.append(
            Block(times, order, b"\n".join(self.steps), kinds, b"\n".join(self.cells))
        )
        for column in (self.times, self.order, self.steps, self.kinds, self.cells):
            column.clear()


class Reader:
    """Takes the bytes of one file in, a piece at a time; `done` ends it.

    `events` are those that are no points, each after the greatest time until then: within one
    file its order is the truth. `damaged` counts lines that were torn or whose sum is wrong.
    """

    def __init__(self, *, rank: int | None = None, points: bool = True) -> None:
        """`points=False` passes over points, their sums unchecked: a fraction of the work."""
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.damaged = 0
        self.said, self.scanned = Log(rank), Log(rank)
        self._columns = _Columns(self.said), _Columns(self.scanned)
        self._latest = 0.0
        self._rest: list[bytes] = []
        self._points = points
        self._single: dict[bytes, int | None] = {}
        self._refused: set[str] = set()

    def feed(self, data: bytes) -> None:
        """Take in the next piece; a line that it ends in is kept for the one after."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._rest.append(data)
            return
        lines = b"".join((*self._rest, data[:end])) if self._rest else data[:end]
        self._rest = [data[end:]] if end < len(data) else []
        if self._points:
            self._take(lines)
        else:
            more = re.search(_MORE_THAN_POINTS, lines)
            found = re.findall(_NO_POINT, lines) if more else re.findall(_QUICKLY, b"\n" + lines)
            for line in filter(None, found):
                self._odd(line)

    def done(self) -> None:
        """There is no more: a line without an end may still be whole."""
        if self._rest:
            self.feed(b"\n")
        for columns in self._columns:
            columns.pack()

    # Compiled where a point is read, because most runs that a command line starts log none.
    @cached_property
    def _one(self) -> re.Pattern[bytes]:
        return re.compile(_ONE, re.MULTILINE)

    @cached_property
    def _several(self) -> re.Pattern[bytes]:
        return re.compile(_SEVERAL)

    @cached_property
    def _pair(self) -> re.Pattern[bytes]:
        return re.compile(_PAIR)

    def _take(self, lines: bytes) -> None:
        """Take in whole lines: those of the common form many at once, what is between apart."""
        found: list[Any] = self._one.split(lines) if _POINT in lines else [lines]
        between = found[:: _GROUPS + 1]
        sums, texts, moments, keys, values, steps = (
            found[place :: _GROUPS + 1] for place in range(1, _GROUPS + 1)
        )
        bad = _wrong(sums, texts)
        kinds = list(map(self._single.get, keys))
        if None in kinds:
            kinds = self._new_kinds(keys)
            if None in kinds:
                bad |= {place for place, kind in enumerate(kinds) if kind is None}
        bad |= (
            {place for place, value in enumerate(values) if len(value) > _LONGEST}
            if (max(map(len, values), default=0) > _LONGEST)
            else set()
        )
        if any(between):
            breaks = bad | {place for place, other in enumerate(between) if other}
        else:
            breaks = bad
        start, end = 0, len(sums)
        for stop in sorted(breaks):
            if stop > start:
                self._many(moments, steps, kinds, values, slice(start, stop))
            for line in filter(None, between[stop].split(b"\n")):
                self._odd(line)
            start = stop
            if stop in bad:
                self._odd(b"%b %b" % (sums[stop], texts[stop]))
                start += 1
        if start < end:
            self._many(moments, steps, kinds, values, slice(start, end))

    def _new_kinds(self, keys: Sequence[bytes]) -> list[int | None]:
        for key in dict.fromkeys(keys):
            if key not in self._single:
                self._single[key] = self._columns[0].spelled((key,))
        return [self._single[key] for key in keys]

    def _many(
        self,
        moments: Sequence[bytes],
        steps: Sequence[bytes | None],
        kinds: Sequence[Any],
        values: Sequence[bytes],
        part: slice,
    ) -> None:
        """Take in calls that said one value each."""
        columns = self._columns[0]
        times = list(map(float, moments[part]))
        order = times
        if times[0] < self._latest or sorted(times) != times:
            order = list(accumulate(times, max, initial=self._latest))[1:]
        self._latest = order[-1]
        said = steps[part]
        columns.times += times
        columns.order += order
        columns.steps += [step or b"" for step in said] if None in said else said  # type: ignore
        columns.kinds += kinds[part]
        columns.cells += values[part]
        if len(columns.times) >= _BLOCK:
            columns.pack()

    def _odd(self, line: bytes) -> None:
        """Take in a line that is not of the commonest form."""
        if _POINT in line and len(line) <= _LONG:
            match = self._several.fullmatch(line)
            if match is not None and self._measures(*match.groups()):
                return
        event = _event(line)
        if event is None and line[:1] == b"\0":
            # What a power cut left empty, with what was appended after it.
            self.damaged += 1
            line = line.lstrip(b"\0")
            if not line:
                return
            event = _event(line)
        if event is None:
            self.damaged += 1
        else:
            self.take(event)

    def _measures(
        self, told: bytes, text: bytes, at: bytes, pairs: bytes, step: bytes | None, scan: Any
    ) -> bool:
        """Take in a call that said several values, or which were scanned; False: JSON has to."""
        if int(told, 16) != zlib.crc32(text):
            return False
        found = self._pair.findall(pairs)
        columns = self._columns[scan is not None]
        kind = columns.spelled(tuple(key for key, _ in found))
        if kind is None or any(len(value) > _LONGEST for _, value in found):
            return False
        cells = b"\t".join([value for _, value in found])
        if b"N" in cells or b"I" in cells:
            cells = cells.replace(b"NaN", b"nan").replace(b"Infinity", b"inf")
        said = b"" if step is None or step == b"null" else step
        self._point(columns, float(at), said, kind, cells)
        return True

    def _point(
        self, columns: _Columns, moment: float, step: bytes, kind: int, cells: bytes
    ) -> None:
        self._latest = max(self._latest, moment)
        columns.times.append(moment)
        columns.order.append(self._latest)
        columns.steps.append(step)
        columns.kinds.append(kind)
        columns.cells.append(cells)
        if len(columns.times) >= _BLOCK:
            columns.pack()

    def take(self, event: dict[str, Any]) -> None:
        """Take in an event that was read already."""
        moment = _moment(event.get("t"), self._latest)
        metrics = event.get("metrics")
        if self._points and isinstance(metrics, dict):
            self._measured(event, metrics, moment)
            if event.keys() <= _POINT_KEYS:
                return
            event = {key: value for key, value in event.items() if key not in ("metrics", "step")}
        self._latest = max(self._latest, moment)
        self.events.append((self._latest, event))

    def _measured(self, event: Mapping[str, Any], metrics: Mapping[str, Any], at: float) -> None:
        good = {name: value for name, value in metrics.items() if _is_number(value)}
        for name in metrics if len(good) < len(metrics) else ():
            if name in good or name in self._refused:
                continue
            self._refused.add(name)
            words = f"values of {name[:80]!a} were left out: they are no numbers"
            self.events.append((self._latest, {"fault": words}))
        if not good:
            self._latest = max(self._latest, at)
            return
        said = _step(event.get("step"))
        columns = self._columns[bool(event.get("scan"))]
        cells = b"\t".join(repr(value).encode() for value in good.values())
        self._point(columns, at, said, columns.kind(tuple(good)), cells)


def _wrong(sums: Sequence[bytes], texts: Sequence[bytes]) -> set[int]:
    """The places of the lines whose sum is not that of their text."""
    said = array("I", bytes.fromhex(b"".join(sums).decode()))
    if sys.byteorder == "little":
        # The first digit of a number is its greatest.
        said.byteswap()
    found = array("I", map(zlib.crc32, texts))
    if said == found:
        return set()
    return {place for place, pair in enumerate(zip(said, found, strict=True)) if pair[0] != pair[1]}


def _is_number(value: Any) -> bool:
    """Whether a value may be a metric's, as `points.is_number` has it."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < _GREATEST)


def _step(value: Any) -> bytes:
    """A step as text; none where it is no whole number, or has more digits than a number may."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _GREATEST:
        return b""
    return b"%d" % value


def _moment(value: Any, otherwise: float) -> float:
    """Seconds since the epoch; `otherwise` where what is said is no time."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return otherwise
    try:
        moment = float(value)
    except OverflowError:
        return otherwise
    return moment if abs(moment) <= _LATEST else otherwise
