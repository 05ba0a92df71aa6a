"""Columns of values as groups, pivots and distinct values; pure.

Knows which values are one and the same, and what may be said of many numbers. Knows nothing of
runs, names or tables.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from gittrack.summaries import Number

__all__ = [
    "AGGREGATES",
    "Group",
    "Pivot",
    "aggregate",
    "aggregates",
    "as_float",
    "comparable",
    "groups",
    "identity",
    "pivot",
    "rank",
    "varies",
]

_PLAIN = {int, float, str, type(None)}

AGGREGATES: tuple[str, ...] = ("mean", "std", "min", "max", "median", "sum", "count")
"""What may be said of the numbers of a group."""


class Group(NamedTuple):
    """The rows that have these `values` in common, by their places in the columns, in order."""

    values: tuple[Any, ...]
    rows: tuple[int, ...]

    def of(self, column: Sequence[Any]) -> list[Any]:
        """The values of one more column in this group."""
        return list(map(column.__getitem__, self.rows))


class Pivot(NamedTuple):
    """A table of groups: `cells[r][c]` are the places of the rows with both values, maybe none."""

    rows: tuple[Any, ...]
    columns: tuple[Any, ...]
    cells: tuple[tuple[tuple[int, ...], ...], ...]


def groups(columns: Sequence[Sequence[Any]]) -> list[Group]:
    """Gather the rows that have the same values in all `columns`; by value, absent ones last.

    1 and 1.0 are one value, 1 and true are two. All NaN are one.
    """
    found: defaultdict[Hashable, list[int]] = defaultdict(list)
    for row, values in enumerate(zip(*map(_identities, columns), strict=True)):
        found[values].append(row)
    made = [
        Group(tuple(column[rows[0]] for column in columns), tuple(rows)) for rows in found.values()
    ]
    return sorted(made, key=lambda group: tuple(map(rank, group.values)))


def pivot(down: Sequence[Any], across: Sequence[Any]) -> Pivot:
    """Gather rows by two columns: the values of `down` make the lines, those of `across` columns.

    Both in the order of `groups`.
    """
    lines, columns = groups([down]), groups([across])
    places = {row: place for place, column in enumerate(columns) for row in column.rows}
    cells = []
    for line in lines:
        here: list[list[int]] = [[] for _ in columns]
        for row in line.rows:
            here[places[row]].append(row)
        cells.append(tuple(map(tuple, here)))
    return Pivot(
        tuple(line.values[0] for line in lines),
        tuple(column.values[0] for column in columns),
        tuple(cells),
    )


def identity(value: Any) -> Hashable:
    """What two values share if, and only if, they are one value to a user."""
    if type(value) in _PLAIN:
        return value if value == value else ("nan",)
    if isinstance(value, bool):
        return ("truth", value)
    if isinstance(value, float) and math.isnan(value):
        return ("nan",)
    if isinstance(value, Mapping):
        return ("mapping", frozenset((key, identity(inner)) for key, inner in value.items()))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(map(identity, value)))
    return value if isinstance(value, Hashable) else ("other", repr(value))


def varies(column: Sequence[Any]) -> bool:
    """Whether a column has two values that are not one and the same."""
    if not column:
        return False
    first = identity(column[0])
    return any(identity(value) != first for value in column)


def _identities(column: Sequence[Any]) -> Sequence[Hashable]:
    """The identity of each value; of plain ones that is the value, and costs next to nothing."""
    kinds = set(map(type, column))
    if not kinds <= _PLAIN:
        return list(map(identity, column))
    if float not in kinds:
        return column
    return [("nan",) if value != value else value for value in column]


def rank(value: Any) -> tuple[int, Any]:
    """By what any values sort: numbers, times, texts, others, and last NaN and what is absent."""
    if value is None:
        return 6, 0
    if isinstance(value, float) and math.isnan(value):
        return 5, 0
    if isinstance(value, (int, float)):
        return 0, value
    if isinstance(value, str):
        return 2, value
    if hasattr(value, "isoformat"):
        return 1, value
    return 3, repr(value)


# -- numbers --------------------------------------------------------------------------------------


def comparable(value: Any) -> bool:
    """Whether a value is a number, infinite or not, but neither NaN nor a truth value."""
    if isinstance(value, float):
        return value == value
    return isinstance(value, int) and not isinstance(value, bool)


def as_float(value: Number) -> float:
    """The nearest float; an infinity where an integer is beyond all others."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def aggregate(name: str, values: Sequence[Any]) -> Number | None:
    """One of `AGGREGATES` over the numbers among `values`; what is no number, or NaN, is left out.

    `std` is the sample's standard deviation (n - 1), None of fewer than two numbers. Of no numbers
    `count` is 0 and everything else None.
    """
    return aggregates([name], values)[0]


def aggregates(names: Iterable[str], values: Sequence[Any]) -> list[Number | None]:
    """Several of them, for not much more than one costs."""
    real = _Numbers(_numbers(values))
    return [_AGGREGATES[name](real) for name in names]


def _numbers(values: Sequence[Any]) -> Sequence[Number]:
    """The numbers among values; of many that are all floats without a look at each."""
    kinds = set(map(type, values))
    if kinds == {int} or (kinds == {float} and not math.isnan(sum(values))):
        return values
    return [value for value in values if comparable(value)]


class _Numbers:
    """Numbers, none of them NaN, and what is known of all of them, worked out once."""

    def __init__(self, values: Sequence[Number]) -> None:
        self.values = values

    @property
    def count(self) -> int:
        return len(self.values)

    @cached_property
    def least(self) -> Number | None:
        return min(self.values, default=None)

    @cached_property
    def greatest(self) -> Number | None:
        return max(self.values, default=None)

    @cached_property
    def total(self) -> Number | None:
        return _sum(self.values) if self.values else None

    @cached_property
    def mean(self) -> float | None:
        if self.least is None or self.greatest is None or self.total is None:
            return None
        mean = _ratio(self.total, self.count)
        if math.isinf(mean) and all(map(math.isfinite, map(as_float, self.values))):
            mean = math.fsum(as_float(value) / self.count for value in self.values)
        # Rounding must not carry it past the values that it is the mean of.
        least, greatest = as_float(self.least), as_float(self.greatest)
        return mean if math.isnan(mean) else min(max(mean, least), greatest)

    @property
    def std(self) -> float | None:
        if self.count < 2 or self.mean is None:
            return None
        if not math.isfinite(self.mean):
            return math.nan
        # `dist` scales what it squares: the squares of large numbers are beyond any float.
        mean = [self.mean] * self.count
        try:
            apart = math.dist(self.values, mean)
        except OverflowError:
            apart = math.dist(list(map(as_float, self.values)), mean)
        return apart / math.sqrt(self.count - 1)

    @property
    def median(self) -> Number | None:
        if not self.values:
            return None
        ordered, middle = sorted(self.values), self.count // 2
        if self.count % 2:
            return ordered[middle]
        return _Numbers(ordered[middle - 1 : middle + 1]).mean


def _sum(values: Sequence[Number]) -> Number:
    if all(isinstance(value, int) for value in values):
        return sum(values)
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        # Beyond the largest float, or infinities of both signs.
        return sum(map(as_float, values))


def _ratio(value: Number, count: int) -> float:
    try:
        return value / count
    except OverflowError:
        return math.inf if value > 0 else -math.inf


_AGGREGATES: Mapping[str, Callable[[_Numbers], Number | None]] = {
    "mean": lambda numbers: numbers.mean,
    "std": lambda numbers: numbers.std,
    "min": lambda numbers: numbers.least,
    "max": lambda numbers: numbers.greatest,
    "median": lambda numbers: numbers.median,
    "sum": lambda numbers: numbers.total,
    "count": lambda numbers: numbers.count,
}
