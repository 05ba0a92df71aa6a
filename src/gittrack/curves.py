"""Curves of metrics, drawn in characters for a terminal. Prints nothing.

Knows plotext, and alone does. Knows nothing of runs, Git or options.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from gittrack.cells import bold, finite
from gittrack.quoting import one_line
from gittrack.summary import Number

__all__ = ["Curve", "draw", "spark"]

Curve = Sequence[tuple[float, Number]]
"""Points (x, y) in the order of x."""

_PALETTE = (12, 10, 9, 13, 14, 11, 4, 2, 1, 5, 6, 3)
_LETTERS = "*+ox#@%&"
_MOST_POINTS = 2000
_LARGEST = 1e300
_BARS = "▁▂▃▄▅▆▇█"


def draw(
    series: Mapping[str, Curve], metric: str, x: str, width: int, height: int, *, color: bool
) -> str:
    """One metric of one or several runs, drawn in characters `width` wide and `height` high.

    `series` has the points of each run by its name, `x` names what they are drawn over. Points
    that are not finite have no place. A single curve is drawn in blocks, several without colour
    each by its own letter.
    """
    import plotext

    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear()
    figure.plot_size(max(width, 24), max(height, 6) - len(series) - 1)
    legend = [bold(one_line(metric), color)]
    for number, (name, points) in enumerate(series.items()):
        hue = _PALETTE[number % len(_PALETTE)]
        letter = _LETTERS[number % len(_LETTERS)]
        blocks = color or len(series) == 1
        drawn = _thinned([(a, b) for a, b in points if finite(b) and abs(b) < _LARGEST])
        if drawn:
            marker = plotext.marker("hd" if blocks else letter, hue)
            xs, ys = ([float(point[part]) for point in drawn] for part in (0, 1))
            signal = figure.signal(xs, ys, marker=marker)
            figure.draw(signal.lines())
        sign = f"\x1b[38;5;{hue}m━━\x1b[m" if color else "━━" if blocks else f"{letter} "
        legend.append(f"{sign} {one_line(name)}")
    places = [at for points in series.values() for at, _ in points]
    if ticks := _whole_ticks(places, width):
        figure.ruler("x", "lower").ticks(ticks, [f"{tick:.0f}" for tick in ticks])
    figure.label(x, axis="x")
    picture = str(figure.build().string()).rstrip("\n")
    picture = _on_any_background(picture) if color else str(plotext.uncolorize(picture))
    lines = [*legend, *(line.rstrip() for line in picture.split("\n"))]
    return "\n".join(lines) + "\n"


def spark(values: Sequence[Number], width: int) -> str:
    """The values as one line of bars, the lowest to the highest, at most `width` characters.

    Where there are more values than that, each bar is the mean of a stretch. What is not finite
    has a blank; values that are all equal stand in the middle.
    """
    count = min(width, len(values))
    edges = [place * len(values) // count for place in range(count + 1)] if count else [0]
    means: list[float | None] = []
    for start, stop in pairwise(edges):
        part = [float(v) for v in values[start:stop] if finite(v) and abs(v) < _LARGEST]
        means.append(math.fsum(part) / len(part) if part else None)
    known = [mean for mean in means if mean is not None]
    if not known:
        return " " * count
    low, spread = min(known), max(known) - min(known)
    top = len(_BARS) - 1
    return "".join(
        " " if mean is None else _BARS[round((mean - low) / spread * top) if spread else top // 2]
        for mean in means
    )


def _whole_ticks(places: Sequence[float], width: int) -> list[float]:
    """Round whole numbers to mark on an axis of whole numbers; none for any other."""
    if not places or not all(math.isfinite(at) and at.is_integer() for at in places):
        return []
    low, high = min(places), max(places)
    # A number of seven digits and air need a dozen columns.
    least = max(1.0, (high - low) / max(2, width // 12))
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _on_any_background(picture: str) -> str:
    """Take out white backgrounds and black axes: the terminal's own colours fit the terminal."""
    import re

    return re.sub(r"\x1b\[(48;5;[0-9]+|38;5;0)m", "", picture)


def _thinned(points: Curve) -> Curve:
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
