"""Curves in characters."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from gittrack.curves import _whole_ticks
from gittrack.curves import draw as draw_panel
from gittrack.panels import panel, thinned


def draw(series: dict[str, Any], metric: str, x: str, width: int, height: int, color: bool) -> str:
    """Curves as they are, drawn."""
    points = {name: [(None, at, value) for at, value in curve] for name, curve in series.items()}
    made = panel(metric, points, over="time")
    return draw_panel(made._replace(x=x), width, height, color=color)


@pytest.mark.parametrize("color", [True, False])
def test_curves_fit_and_name_their_runs(color: bool) -> None:
    """The legend is ours: the library's covers the curves."""
    points = [(float(n), n / 7) for n in range(50)]
    made = draw({"one": points, "two": points}, "loss", "step", 60, 16, color=color)
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in made.splitlines()]
    assert max(map(len, lines)) <= 60
    assert len(lines) <= 16
    assert lines[0] == "loss"
    assert [line.split()[-1] for line in lines[1:3]] == ["one", "two"]
    assert ("\x1b" in made) is color


@pytest.mark.parametrize(
    "values",
    [[math.nan, 1.0, 2.0], [math.inf, 1.0], [math.nan] * 3, [1e308, -1e308, 3.0], [10**400, 2],
     [5, 5, 5], [0.0], [1e-320, 2e-320]],
    ids=[f"case{n}" for n in range(8)],
)  # fmt: skip
def test_no_value_stops_a_drawing(values: list[float]) -> None:
    """plotext 6 aborts the interpreter on NaN: such points have no place in a picture."""
    points = [(float(n), value) for n, value in enumerate(values)]
    assert draw({"one": points}, "m", "step", 40, 12, color=False)


def test_a_long_curve_keeps_its_peak() -> None:
    """A spike of one step in 100,000 is what one looks for."""
    points = [(float(n), 0.0) for n in range(100_000)]
    points[54_321] = (54_321.0, 9.0)
    kept = thinned(points)
    assert len(kept) <= 2000
    assert (54_321.0, 9.0) in kept


@pytest.mark.parametrize(
    ("places", "marks"),
    [
        ([0, 1, 2, 3], ["0", "1", "2", "3"]),
        (range(100), ["0", "20", "40", "60", "80"]),
        ([5], ["5"]),
        ([100_000, 300_000], ["100000", "150000", "200000", "250000", "300000"]),
        ([-3, 0], ["-3", "-2", "-1", "0"]),
    ],
)
def test_steps_are_marked_by_whole_numbers(places: list[int], marks: list[str]) -> None:
    """There is no step 0.75."""
    made = draw({"one": [(float(at), at / 7) for at in places]}, "m", "step", 60, 12, color=False)
    assert made.splitlines()[-2].split() == marks


def test_fractions_of_a_second_are_marked_as_they_are() -> None:
    """Only an axis of whole numbers has whole marks."""
    made = draw({"one": [(0.1, 1.0), (0.9, 2.0)]}, "m", "time", 60, 12, color=False)
    assert "." in made.splitlines()[-2]


@pytest.mark.parametrize("last", [0.0, 1.0, 7.0, 10.0**9, 10.0**18])
def test_there_are_a_few_marks_however_long_the_axis(last: float) -> None:
    """Neither none nor a million."""
    assert 1 <= len(_whole_ticks([0.0, last], 80)) <= 8
