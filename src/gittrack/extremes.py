"""What is known of each curve of a table `metrics.tsv`: where it begins and ends, how far it went.

Knows how to find it in little memory, however many rows there are. Pure; knows nothing of runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import NamedTuple

from gittrack import tsv
from gittrack.errors import BadFile
from gittrack.series import number
from gittrack.summaries import Number

__all__ = ["Extremes", "extremes", "of_points"]

_LARGEST_HEADER = 8 << 20
_MOST_METRICS = 50_000
_PART = 1 << 20


class Extremes(NamedTuple):
    """A curve's first, last, least and greatest value, their steps, and how many points it has.

    NaN is neither least nor greatest: both are None where all points are NaN. Where several points
    have a value, its step is the earliest. A step is None where the point has none.
    """

    first: Number
    last: Number
    min: Number | None
    max: Number | None
    count: int  # type: ignore[assignment]
    first_step: int | None = None
    last_step: int | None = None
    min_step: int | None = None
    max_step: int | None = None


def extremes(data: bytes, where: str) -> dict[str, Extremes]:
    """What is known of each curve of a table `metrics.tsv`; memory does not grow with its rows.

    Raises:
        BadFile: it is no such table, or has more than 50,000 metrics; `where` is its path.
    """
    start = data.find(b"\n") + 1
    if data[-1:] != b"\n" or start > _LARGEST_HEADER or data.count(b"\t", 0, start) > _MOST_METRICS:
        raise BadFile(f"{where}: its header or its last line is no table's", path=where)
    metrics = tsv.names(data[:start], where)
    found: dict[str, Extremes] = {}
    try:
        for lines in _lines(data, start):
            for metric, steps, values in _columns(lines, metrics):
                part = of_points(steps, values)
                known = found.get(metric)
                found[metric] = part if known is None else _joined(known, part)
    except ValueError as error:
        tsv.load(data, where)
        raise BadFile(f"{where}: {error}", path=where) from error
    return found


def _lines(data: bytes, start: int) -> Iterator[list[bytes]]:
    """Whole lines, about a mebibyte at a time."""
    while start < len(data):
        end = data.rfind(b"\n", start, start + _PART) + 1 or data.index(b"\n", start) + 1
        yield data[start : end - 1].split(b"\n")
        start = end


def _columns(
    lines: Sequence[bytes], metrics: Sequence[str]
) -> Iterator[tuple[str, list[int | None], list[Number]]]:
    """The metrics of some rows that have a value there: their steps and values.

    Raises:
        ValueError: they are no rows of this table.
    """
    width = len(metrics) + 2
    if {width - 1} != {line.count(b"\t") for line in lines}:
        raise ValueError("not as many cells as columns")
    flat = b"\t".join(lines).split(b"\t")
    if not all(map(isfinite, map(float, flat[1::width]))):
        raise ValueError("no time")
    steps = [int(step) if step else None for step in flat[::width]]
    for place, metric in enumerate(metrics, 2):
        cells = flat[place::width]
        their = steps
        if b"" in cells:
            their = [step for step, cell in zip(steps, cells, strict=True) if cell]
            cells = list(filter(None, cells))
        if cells:
            # A cell with a point is a float's; with two it is no number at all.
            floats = b"\t".join(cells).count(b".") == len(cells)
            yield metric, their, list(map(float if floats else number, cells))


def of_points(steps: Sequence[int | None], values: Sequence[Number]) -> Extremes:
    """What is known of a curve, given as the steps and the values of its points, at least one."""
    some = [value for value in values if value == value]
    least, greatest = (min(some), max(some)) if some else (None, None)
    return Extremes(
        values[0],
        values[-1],
        least,
        greatest,
        len(values),
        steps[0],
        steps[-1],
        _earliest(steps, values, least),
        _earliest(steps, values, greatest),
    )


def _earliest(
    steps: Sequence[int | None], values: Sequence[Number], value: Number | None
) -> int | None:
    """The least step of the points with this value."""
    if value is None:
        return None
    if values.count(value) == 1:
        return steps[values.index(value)]
    return _least(step for step, one in zip(steps, values, strict=True) if one == value)


def _least(steps: Iterable[int | None]) -> int | None:
    return min((step for step in steps if step is not None), default=None)


def _joined(a: Extremes, b: Extremes) -> Extremes:
    """The extremes of a curve whose earlier points have `a`, the later ones `b`."""
    least, least_step = _better(a.min, a.min_step, b.min, b.min_step, lower=True)
    most, most_step = _better(a.max, a.max_step, b.max, b.max_step, lower=False)
    return Extremes(
        a.first,
        b.last,
        least,
        most,
        a.count + b.count,
        a.first_step,
        b.last_step,
        least_step,
        most_step,
    )


def _better(
    a: Number | None, a_step: int | None, b: Number | None, b_step: int | None, *, lower: bool
) -> tuple[Number | None, int | None]:
    if a is None or b is None:
        return (b, b_step) if a is None else (a, a_step)
    if a == b:
        return a, _least((a_step, b_step))
    return (a, a_step) if (a < b) == lower else (b, b_step)
