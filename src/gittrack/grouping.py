"""Columns of values as groups, pivots and distinct values; pure.

Knows which values are one and the same, and what may be said of many numbers. Knows nothing of
runs, names or tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.summary import Number

__all__ = ["AGGREGATES", "Group", "Pivot", "aggregate", "groups", "identity", "pivot", "rank"]

AGGREGATES: tuple[str, ...] = ("mean", "std", "min", "max", "median", "sum", "count")
"""What may be said of the numbers of a group."""


class Group(NamedTuple):
    """The rows that have these `values` in common, by their places in the columns, in order."""

    values: tuple[Any, ...]
    rows: tuple[int, ...]

    def of(self, column: Sequence[Any]) -> list[Any]:
        """The values of one more column in this group."""
        return [column[row] for row in self.rows]


class Pivot(NamedTuple):
    """A table of groups: `cells[r][c]` are the places of the rows with both values, maybe none."""

    rows: tuple[Any, ...]
    columns: tuple[Any, ...]
    cells: tuple[tuple[tuple[int, ...], ...], ...]


def groups(columns: Sequence[Sequence[Any]]) -> list[Group]:
    """Gather the rows that have the same values in all `columns`; by value, absent ones last.

    1 and 1.0 are one value, 1 and true are two. All NaN are one.
    """
    found: dict[Hashable, list[int]] = {}
    for row, values in enumerate(zip(*columns, strict=True)):
        found.setdefault(tuple(map(identity, values)), []).append(row)
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
    if isinstance(value, bool):
        return ("truth", value)
    if isinstance(value, float) and math.isnan(value):
        return ("nan",)
    if isinstance(value, Mapping):
        return ("mapping", frozenset((key, identity(inner)) for key, inner in value.items()))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(map(identity, value)))
    return value if isinstance(value, Hashable) else ("other", repr(value))


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


def aggregate(name: str, values: Iterable[Any]) -> Number | None:
    """One of `AGGREGATES` over the numbers among `values`; what is no number, or NaN, is left out.

    `std` is the sample's standard deviation (n - 1), None of fewer than two numbers. Of no numbers
    `count` is 0 and everything else None.
    """
    real = [value for value in values if _counts(value)]
    if name == "count":
        return len(real)
    if not real or (name == "std" and len(real) < 2):
        return None
    return _AGGREGATES[name](real)


def _counts(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isnan(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _sum(values: Sequence[Number]) -> Number:
    if all(isinstance(value, int) for value in values):
        return sum(values)
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        # Beyond the largest float, or infinities of both signs.
        return sum(map(_float, values))


def _float(value: Number) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _mean(values: Sequence[Number]) -> Number:
    mean = _ratio(_sum(values), len(values))
    if math.isinf(mean) and all(map(math.isfinite, map(_float, values))):
        mean = math.fsum(_float(value) / len(values) for value in values)
    # Rounding must not carry it past the values that it is the mean of.
    least, greatest = _float(min(values)), _float(max(values))
    return mean if math.isnan(mean) else min(max(mean, least), greatest)


def _ratio(value: Number, count: int) -> float:
    try:
        return value / count
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _std(values: Sequence[Number]) -> Number:
    mean = _mean(values)
    if not math.isfinite(mean):
        return math.nan
    apart = [_float(value) - mean for value in values]
    # Scaled first: the squares of large numbers are beyond any float.
    scale = max(map(abs, apart))
    if scale == 0 or math.isinf(scale):
        return scale
    return scale * math.sqrt(math.fsum((a / scale) ** 2 for a in apart) / (len(values) - 1))


def _median(values: Sequence[Number]) -> Number:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else _mean(ordered[middle - 1 : middle + 1])


_AGGREGATES: Mapping[str, Callable[[Sequence[Number]], Number]] = {
    "mean": _mean,
    "std": _std,
    "min": min,
    "max": max,
    "median": _median,
    "sum": _sum,
}
