"""Points of metrics as curves to be drawn: over what, on which scale, how smooth. Pure.

What is drawn in characters and what is drawn into a file is prepared here, and so shows the same.
Knows nothing of runs, nor of any library that draws.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from gittrack.cells import finite
from gittrack.errors import UnknownKey, UsageError
from gittrack.summaries import Number
from gittrack.vitals import PREFIX, unit

__all__ = ["Curve", "Line", "Panel", "Point", "log_marks", "panel", "smoothed", "thinned"]

Point: TypeAlias = "tuple[int | None, float, Number]"
"""Step (None if none was given), seconds since the run's start, value."""

Curve: TypeAlias = Sequence[tuple[float, Number]]
"""Points (x, y) in the order of x."""

_MOST_POINTS = 2000
_LARGEST = 1e300


class Line(NamedTuple):
    """The curve of one run; `raw` is the same before it was smoothed, empty if it was not."""

    label: str
    points: Curve
    raw: Curve = ()


class Panel(NamedTuple):
    """One metric of several runs: what it is called, with its unit, and what it is drawn over.

    `lost` is how many points have no place on a logarithmic scale, because they are not above 0.
    """

    title: str
    x: str
    lines: tuple[Line, ...]
    log: bool
    lost: int


def panel(
    metric: str,
    points: Mapping[str, Sequence[Point]],
    *,
    over: str | None = None,
    log: bool = False,
    smooth: float = 0.0,
) -> Panel:
    """Prepare the points of one metric, by the label of their run, for drawing.

    `over` is `step` or `time`, None means steps where all points have them. Points that are not
    finite have no place, and with `log` none that is not above 0. A long curve is thinned, its
    peaks stay. For `smooth` see `smoothed`.

    Raises:
        UnknownKey: over steps, where a point has none.
        UsageError: with `log`, where no value is above 0.
    """
    stepped = all(step is not None for series in points.values() for step, _, _ in series)
    by_step = stepped if over is None else over == "step"
    if by_step and not stepped:
        raise UnknownKey(
            f"'{metric}' was logged without steps", key="step", hint="--x time draws it over time."
        )
    lines, lost = [], 0
    for label, series in points.items():
        placed = [
            (float(step if by_step and step is not None else at), value)
            for step, at, value in series
        ]
        drawn = [point for point in placed if finite(point[1]) and abs(point[1]) < _LARGEST]
        drawn.sort(key=lambda point: point[0])
        shown = [point for point in drawn if point[1] > 0] if log else drawn
        lost += len(drawn) - len(shown)
        if smooth:
            lines.append(Line(label, thinned(smoothed(shown, smooth)), thinned(shown)))
        else:
            lines.append(Line(label, thinned(shown)))
    there = any(line.points for line in lines)
    if lost and not there:
        raise UsageError(
            f"'{metric}' has no value above 0, and so none on a logarithmic scale",
            hint="without --log it is drawn.",
        )
    x = "step" if by_step else "time (seconds)"
    return Panel(_with_unit(metric), x, tuple(lines), log and there, lost)


def smoothed(points: Curve, weight: float) -> Curve:
    """The exponential moving average, `weight` (0 to 1) being that of what was before.

    As TensorBoard has it: the first points are not drawn towards 0.
    """
    found = []
    last = total = 0.0
    for x, y in points:
        last = last * weight + (1 - weight) * float(y)
        total = total * weight + (1 - weight)
        found.append((x, last / total))
    return found


def thinned(points: Curve) -> Curve:
    """At most 2,000 points: the lowest and the highest of each stretch, so that peaks stay."""
    if len(points) <= _MOST_POINTS:
        return points
    stretch = math.ceil(len(points) / (_MOST_POINTS // 2))
    kept: list[tuple[float, Number]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        low, high = (choose(part, key=lambda point: point[1]) for choose in (min, max))
        kept += [low] if low == high else sorted([low, high])
    return kept


def log_marks(values: Collection[float]) -> list[float]:
    """Round numbers to mark on a logarithmic axis: powers of ten, and between few of them more.

    `values` are what is drawn there, one at least, each above 0.
    """
    low, high = min(values), max(values)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1,) if last - first > 3 else (1, 2, 5)
    apart = max(1, (last - first) // 8)
    marks = [
        float(f"{factor}e{power}") for power in range(first, last + 1, apart) for factor in factors
    ]
    inside = [mark for mark in marks if low <= mark <= high]
    return inside if len(inside) > 1 else sorted({low, high})


def _with_unit(metric: str) -> str:
    """What the curve is called: a system metric with its unit."""
    known = unit(metric.removeprefix(PREFIX)) if metric.startswith(PREFIX) else ""
    return f"{metric} ({known})" if known else metric
