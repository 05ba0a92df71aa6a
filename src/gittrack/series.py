"""Curves as one wide table of tab-separated values: `metrics.tsv`.

Knows how rows become text and come back exactly, and how to hold millions of them in little memory.
Knows nothing of runs or YAML.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import eq
from typing import NamedTuple, overload

from gittrack.records import Row
from gittrack.summaries import Number

__all__ = ["Table", "column", "dump", "last", "metric", "number", "points", "worth_keeping"]


_FIRST = ["step", "time"]
_MARKED = r"(?:metrics\.)*(?:step|time)"
_PART = 8192


class _Part(NamedTuple):
    """Some thousand rows by column: what is text has a line a row."""

    times: array[float]
    steps: bytes
    kinds: array[int] | int
    cells: bytes

    def kind_of_each(self) -> Sequence[int]:
        kinds = self.kinds
        return [kinds] * len(self.times) if isinstance(kinds, int) else kinds

    def rows(self) -> Iterator[tuple[float, bytes, int, bytes]]:
        return zip(
            self.times,
            self.steps.split(b"\n"),
            self.kind_of_each(),
            self.cells.split(b"\n"),
            strict=True,
        )


def column(metric: str) -> str:
    """The column of a metric: its name, but `metrics.step` and `metrics.time` for these two.

    No two have one: a metric called `metrics.step` has the column `metrics.metrics.step`.
    """
    return f"metrics.{metric}" if re.fullmatch(_MARKED, metric) else metric


def metric(column: str) -> str:
    """The metric of a column."""
    return column.removeprefix("metrics.") if re.fullmatch(_MARKED, column) else column


class Table(Sequence[Row]):
    """Rows in little memory, each made when it is asked for; appended to, else unchanged.

    Values are kept as the text that they will be in the table. About 40 bytes a row of one value.
    """

    def __init__(self) -> None:
        """No rows."""
        self._shapes: list[tuple[str, ...]] = []
        self._kinds: dict[tuple[str, ...], int] = {}
        self._parts: list[_Part] = []
        self._count = 0

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Table:
        """The same rows."""
        if isinstance(rows, Table):
            return rows
        table = cls()
        waiting = iter(rows)
        while some := list(islice(waiting, _PART)):
            table.add(
                array("d", (row.time for row in some)),
                [b"" if row.step is None else b"%d" % row.step for row in some],
                [table.kind(tuple(row.values)) for row in some],
                [b"\t".join([_text(value) for value in row.values.values()]) for row in some],
            )
        return table

    def kind(self, metrics: tuple[str, ...]) -> int:
        """The number that stands for rows with these metrics, in this order."""
        known = self._kinds.get(metrics)
        if known is None:
            known = self._kinds[metrics] = len(self._shapes)
            self._shapes.append(metrics)
        return known

    def shape(self, kind: int) -> tuple[str, ...]:
        """The metrics of a kind of row."""
        return self._shapes[kind]

    def add(
        self,
        times: array[float],
        steps: Sequence[bytes],
        kinds: Sequence[int] | int,
        cells: Sequence[bytes],
    ) -> None:
        """Append rows by column: seconds since the start, texts of steps, kinds, texts of values.

        `cells` has an item a row, tabs between its values. One number as `kinds`: all are of it.
        """
        packed = kinds if isinstance(kinds, int) else array("L", kinds)
        self._parts.append(_Part(times, b"\n".join(steps), packed, b"\n".join(cells)))
        self._count += len(times)

    def share(self, times: array[float], steps: bytes, kinds: int, cells: bytes) -> None:
        """Append rows of one kind whose columns are joined already, a line each."""
        self._parts.append(_Part(times, steps, kinds, cells))
        self._count += len(times)

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Row]:
        for part in self._parts:
            yield from self._rows(part)

    def _rows(self, part: _Part) -> Iterator[Row]:
        for time, step, kind, cells in part.rows():
            values = list(map(number, cells.split(b"\t"))) if cells else ()
            named = dict(zip(self._shapes[kind], values, strict=True))
            yield Row(int(step) if step else None, round(time, 6), named)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            places = range(*index.indices(self._count))
            if not places:
                return []
            ordered = places if places.step > 0 else places[::-1]
            found = list(islice(self, ordered[0], ordered[-1] + 1, ordered.step))
            return found if places.step > 0 else found[::-1]
        place = range(self._count)[index]
        for part in self._parts:
            if place < len(part.times):
                return next(islice(self._rows(part), place, None))
            place -= len(part.times)
        raise IndexError(index)

    def rows(self) -> Iterator[tuple[float, bytes, int, bytes]]:
        """Time, step, kind and cells of each row, as text."""
        for part in self._parts:
            yield from part.rows()

    def metrics(self) -> dict[str, None]:
        """The metrics in the order in which they first appear."""
        found: dict[str, None] = {}
        for kind in self._used():
            found.update(dict.fromkeys(self._shapes[kind]))
        return found

    def _used(self) -> dict[int, None]:
        """The kinds that rows are of, in the order in which they first appear."""
        used: dict[int, None] = {}
        for part in self._parts:
            used.update(
                {part.kinds: None} if isinstance(part.kinds, int) else dict.fromkeys(part.kinds)
            )
        return used

    def last(self) -> dict[str, Number]:
        """The last value of each metric, in the order in which the metrics first appear."""
        found: dict[str, Number] = {}
        missing = set(names := self.metrics())
        for part in reversed(self._parts):
            if not missing:
                break
            cells = part.cells.split(b"\n")
            kinds = part.kinds
            ends = {kinds: len(cells) - 1} if isinstance(kinds, int) else dict(_counted(kinds))
            for kind, place in sorted(ends.items(), key=lambda end: -end[1]):
                some = missing.intersection(self._shapes[kind])
                if some:
                    values = zip(self._shapes[kind], cells[place].split(b"\t"), strict=True)
                    found.update((name, number(text)) for name, text in values if name in some)
                    missing -= some
        return {name: found[name] for name in names}

    def unstepped(self) -> set[str]:
        """The metrics of which some value has no step."""
        kinds: set[int] = set()
        for part in self._parts:
            steps = part.steps.split(b"\n")
            if b"" in steps:
                each = part.kind_of_each()
                kinds.update(kind for step, kind in zip(steps, each, strict=True) if not step)
        return {name for kind in kinds for name in self._shapes[kind]}

    def points(self, metric: str) -> Iterator[tuple[int | None, float, Number]]:
        """One metric's points: step, seconds since the start, value."""
        places = {k: s.index(metric) for k, s in enumerate(self._shapes) if metric in s}
        for part in self._parts:
            if isinstance(part.kinds, int) and part.kinds not in places:
                continue
            for time, step, kind, cells in part.rows():
                place = places.get(kind)
                if place is not None:
                    value = number(cells.split(b"\t")[place])
                    yield int(step) if step else None, round(time, 6), value

    def counts(self) -> dict[str, int]:
        """How many points each metric has."""
        calls = Counter(kind for part in self._parts for kind in part.kind_of_each())
        found: Counter[str] = Counter()
        for kind, count in calls.items():
            found.update(dict.fromkeys(self._shapes[kind], count))
        return found

    def size(self) -> int:
        """How many bytes the table has as text, but for a few in each row."""
        columns = len(self.metrics())
        text = sum(len(part.steps) + len(part.cells) for part in self._parts)
        return text + self._count * (columns + 12)

    def mapped(self, rename: Callable[[str], str | None]) -> Table:
        """The same rows with other names for metrics; None leaves one out, with rows of it alone.

        Where two of a row get one name, the latter counts.
        """
        made = Table()
        kinds: list[tuple[int, list[int] | None]] = []
        for shape in self._shapes:
            named = {new: at for at, name in enumerate(shape) if (new := rename(name)) is not None}
            kept = None if len(named) == len(shape) else list(named.values())
            kinds.append((made.kind(tuple(named)), kept))
        for part in self._parts:
            one = part.kinds
            if isinstance(one, int) and kinds[one][1] is None:
                made.share(part.times, part.steps, kinds[one][0], part.cells)
            else:
                made._project(part, kinds)
        return made

    def _project(self, part: _Part, kinds: Sequence[tuple[int, list[int] | None]]) -> None:
        times, steps, numbers, texts = array("d"), [], [], []
        for time, step, kind, cells in part.rows():
            new, kept = kinds[kind]
            if kept is not None:
                if not kept:
                    continue
                values = cells.split(b"\t")
                cells = b"\t".join([values[place] for place in kept])
            times.append(time)
            steps.append(step)
            numbers.append(new)
            texts.append(cells)
        if times:
            self.add(times, steps, numbers, texts)

    def thinned(self, most: int) -> Table:
        """At most about `most` rows, evenly chosen among those of each kind; all if that many.

        Of a kind that has few all stay. So do the first, last, smallest and greatest value of each
        metric, unless these alone could take half of the room.
        """
        if self._count <= most:
            return self
        counts: Counter[int] = Counter()
        for part in self._parts:
            one = part.kinds
            counts.update({one: len(part.times)} if isinstance(one, int) else one)
        ends = self._ends() if 8 * len(self.metrics()) <= most else frozenset()
        strides = _strides(counts, most - len(ends))
        kept = sum(-(-count // strides[kind]) for kind, count in counts.items())
        # Where there are more kinds than room, not every one of them can stay.
        again = -(-kept // most)
        chosen = 0
        seen = dict.fromkeys(counts, 0)
        made = Table()
        made._shapes, made._kinds = self._shapes, self._kinds
        place = 0
        for part in self._parts:
            keep = []
            for kind in part.kind_of_each():
                stays = seen[kind] % strides[kind] == 0
                keep.append((stays and chosen % again == 0) or place in ends)
                chosen += stays
                seen[kind] += 1
                place += 1
            made._keep(part, keep)
        return made

    def _keep(self, part: _Part, keep: Sequence[bool]) -> None:
        kept = [row for row, stays in zip(part.rows(), keep, strict=True) if stays]
        if kept:
            times, steps, kinds, cells = zip(*kept, strict=True)
            self.add(array("d", times), steps, kinds, cells)

    def _ends(self) -> frozenset[int]:
        """The places of the rows with each metric's first, last, smallest and greatest value."""
        first: dict[str, int] = {}
        latest: dict[str, int] = {}
        low: dict[str, tuple[float, int]] = {}
        high: dict[str, tuple[float, int]] = {}
        for place, (_, _, kind, cells) in enumerate(self.rows()):
            for name, text in zip(self._shapes[kind], cells.split(b"\t"), strict=False):
                value = float(text)
                first.setdefault(name, place)
                latest[name] = place
                if name not in low or value < low[name][0] or low[name][0] != low[name][0]:
                    low[name] = value, place
                if name not in high or value > high[name][0] or high[name][0] != high[name][0]:
                    high[name] = value, place
        ends = (place for found in (low, high) for _, place in found.values())
        return frozenset((*first.values(), *latest.values(), *ends))

    def pieces(self) -> Iterator[bytes]:
        """The table as `dump` gives it, a piece at a time."""
        metrics = sorted(self.metrics())
        yield "\t".join([*_FIRST, *map(column, metrics)]).encode() + b"\n"
        places = {name: place for place, name in enumerate(metrics)}
        layouts: dict[int, _Layout] = {}
        for part in self._parts:
            steps = part.steps.split(b"\n")
            if not metrics:
                yield _lines(part.times, steps, None)
                continue
            kinds, texts = part.kinds, part.cells.split(b"\n")
            for kind in (kinds,) if isinstance(kinds, int) else set(kinds):
                if kind not in layouts:
                    layouts[kind] = _Layout.of(self._shapes[kind], places)
            if not isinstance(kinds, int):
                texts = [layouts[k].fill(t) for k, t in zip(kinds, texts, strict=True)]
            elif not layouts[kinds].plain:
                texts = list(map(layouts[kinds].fill, texts))
            yield _lines(part.times, steps, texts)


class _Layout(NamedTuple):
    """Where the values of a kind of row stand: as they are between two runs of tabs, or each."""

    before: bytes
    after: bytes
    order: tuple[int, ...] | None

    @property
    def plain(self) -> bool:
        """Whether the values are the whole row."""
        return self.order is None and not self.before and not self.after

    @classmethod
    def of(cls, shape: Sequence[str], places: Mapping[str, int]) -> _Layout:
        wanted = [places[name] for name in shape]
        if wanted and wanted == list(range(wanted[0], wanted[0] + len(wanted))):
            return cls(b"\t" * wanted[0], b"\t" * (len(places) - 1 - wanted[-1]), None)
        order = [-1] * len(places)
        for at, place in enumerate(wanted):
            order[place] = at
        return cls(b"", b"", tuple(order))

    def fill(self, cells: bytes) -> bytes:
        if self.order is None:
            return self.before + cells + self.after
        # The last of these is the empty one.
        values = [*cells.split(b"\t"), b""]
        return b"\t".join([values[at] for at in self.order])


def _lines(times: array[float], steps: Sequence[bytes], texts: Sequence[bytes] | None) -> bytes:
    """Lines of step, time, and what follows; microseconds without the zeros at their end."""
    text = b"%.6f\n" * len(times) % tuple(times)
    while b"0\n" in text:
        text = text.replace(b"0\n", b"\n")
    moments = text.replace(b".\n", b"\n").split(b"\n")[:-1]
    columns = (steps, moments) if texts is None else (steps, moments, texts)
    return b"\n".join(map(b"\t".join, zip(*columns, strict=True))) + b"\n"


def _counted(kinds: Sequence[int]) -> Iterator[tuple[int, int]]:
    return ((kind, place) for place, kind in enumerate(kinds))


def _strides(counts: Mapping[int, int], most: int) -> dict[int, int]:
    """Every how manieth row of each kind stays, so that about `most` do in all."""
    room, waiting = most, len(counts)
    strides = {}
    for kind, count in sorted(counts.items(), key=lambda item: item[1]):
        share = max(1, room // waiting)
        strides[kind] = -(-count // share)
        room -= -(-count // strides[kind])
        waiting -= 1
    return strides


def worth_keeping(rows: Iterable[Row]) -> bool:
    """Whether the last values alone would lose something: a second point, or a step."""
    if isinstance(rows, Table):
        # As many rows as that can have no metric in common, if they are short.
        return len(rows) > len(rows.metrics()) or _worth_keeping(rows)
    return _worth_keeping(rows)


def _worth_keeping(rows: Iterable[Row]) -> bool:
    seen: set[str] = set()
    for row in rows:
        if row.step is not None or not seen.isdisjoint(row.values):
            return True
        seen.update(row.values)
    return False


def last(rows: Iterable[Row]) -> dict[str, Number]:
    """The value that was logged last, for each metric."""
    if isinstance(rows, Table):
        return rows.last()
    values: dict[str, Number] = {}
    for row in rows:
        values.update(row.values)
    return values


def points(rows: Iterable[Row], metric: str) -> list[tuple[int | None, float, Number]]:
    """One metric's points (step, seconds since start, value), in the order of logging."""
    if isinstance(rows, Table):
        return list(rows.points(metric))
    return [(row.step, row.time, row.values[metric]) for row in rows if metric in row.values]


def dump(rows: Sequence[Row]) -> bytes:
    """The table: a header, then a line per row; columns `step`, `time`, then metrics by name.

    A cell is empty where nothing was logged. Times are seconds since the run's start, to the
    microsecond; values are written so that they read back exactly. A metric called `step` or
    `time` has the column `metrics.step` or `metrics.time`, so that no two have one name.
    """
    return b"".join(Table.of(rows).pieces())


def _text(value: Number) -> bytes:
    return repr(value).encode()


def number(cell: bytes) -> Number:
    """The value that a cell holds.

    Raises:
        ValueError: it is no number.
    """
    if b"." not in cell:
        try:
            return int(cell)
        except ValueError:
            pass
    return float(cell)
