"""Curves of metrics, drawn in characters for a terminal. Prints nothing.

Knows plotext, and alone does. Knows nothing of runs, Git or options.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from gittrack.cells import bold, cut, finite
from gittrack.figures import short
from gittrack.panels import Panel, log_marks
from gittrack.quoting import one_line
from gittrack.summaries import Number

__all__ = ["draw", "spark"]

_PALETTE = (12, 10, 9, 13, 14, 11, 4, 2, 1, 5, 6, 3)
_LETTERS = "*+ox#@%&"
_LARGEST = 1e300
_BARS = "▁▂▃▄▅▆▇█"


def draw(panel: Panel, width: int, height: int, *, color: bool) -> str:
    """One metric of one or several runs, drawn in characters `width` wide and `height` high.

    A single curve is drawn in blocks, several without colour each by its own letter. Curves that
    were smoothed are drawn so, without what they were before.
    """
    import plotext

    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear()
    figure.plot_size(max(width, 24), max(height, 6) - len(panel.lines) - 1)
    legend = [bold(one_line(panel.title), color)]
    for number, line in enumerate(panel.lines):
        hue = _PALETTE[number % len(_PALETTE)]
        letter = _LETTERS[number % len(_LETTERS)]
        blocks = color or len(panel.lines) == 1
        if line.points:
            marker = plotext.marker("hd" if blocks else letter, hue)
            xs = [at for at, _ in line.points]
            ys = [math.log10(y) if panel.log else float(y) for _, y in line.points]
            figure.draw(figure.signal(xs, ys, marker=marker).lines())
        sign = f"\x1b[38;5;{hue}m━━\x1b[m" if color else "━━" if blocks else f"{letter} "
        legend.append(f"{sign} {cut(one_line(line.label), max(width, 24) - 3)}")
    places = [at for line in panel.lines for at, _ in line.points]
    if ticks := _whole_ticks(places, width):
        figure.ruler("x", "lower").ticks(ticks, [f"{tick:.0f}" for tick in ticks])
    if panel.log:
        marks = log_marks([float(y) for line in panel.lines for _, y in line.points])
        figure.ruler("y", "left").ticks(
            [math.log10(mark) for mark in marks], list(map(short, marks))
        )
    figure.label(panel.x, axis="x")
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
