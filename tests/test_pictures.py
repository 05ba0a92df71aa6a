"""Curves prepared for drawing, and drawn into the bytes of a file."""

from __future__ import annotations

import math
import os
import re
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import curves, pictures
from gittrack.errors import UnknownKey, UsageError
from gittrack.panels import Line, Point, log_marks, panel, smoothed, thinned

RISING: Sequence[Point] = [(n, n / 2, 0.1 + n) for n in range(40)]
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: bytes) -> list[str]:
    """What is written in an SVG."""
    root = ElementTree.fromstring(picture)
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def drawn(points: Mapping[str, Sequence[Point]], metric: str = "loss", **how: Any) -> list[str]:
    return texts(pictures.draw([panel(metric, points, **how)], "svg"))


# -- one preparation for both --------------------------------------------------------------------


def test_points_are_put_in_order_and_those_without_a_place_left_out() -> None:
    """NaN and the infinities are logged all the time; steps may come back."""
    made = panel("m", {"a": [(3, 0.0, 1.0), (1, 1.0, math.nan), (2, 2.0, 5), (0, 3.0, math.inf),
                             (5, 4.0, 10**400)]})  # fmt: skip
    assert made.lines == (Line("a", [(2.0, 5), (3.0, 1.0)]),)
    assert (made.title, made.x, made.lost) == ("m", "step", 0)


def test_without_steps_a_curve_is_drawn_over_time() -> None:
    """Where only one run has none, too: one axis has one meaning."""
    made = panel("m", {"a": [(1, 0.5, 1.0)], "b": [(None, 2.5, 2.0)]})
    assert made.x == "time (seconds)"
    assert [line.points for line in made.lines] == [[(0.5, 1.0)], [(2.5, 2.0)]]
    with pytest.raises(UnknownKey, match="'m' was logged without steps"):
        panel("m", {"b": [(None, 2.5, 2.0)]}, over="step")


def test_a_logarithmic_scale_has_no_place_for_zero() -> None:
    """What is lost is counted; where nothing is left it is an error."""
    made = panel("m", {"a": [(0, 0.0, 0.0), (1, 1.0, 0.1), (2, 2.0, -1.0)]}, log=True)
    assert made.lost == 2 and made.lines[0].points == [(1.0, 0.1)]
    with pytest.raises(UsageError, match="'m' has no value above 0"):
        panel("m", {"a": [(0, 0.0, 0.0), (1, 1.0, -0.1)]}, log=True)


def test_a_system_metric_bears_its_unit() -> None:
    """50 of what?"""
    assert panel("system/cpu", {"a": RISING}).title == "system/cpu (%)"


def test_smoothing_keeps_the_first_value_and_a_constant() -> None:
    """As TensorBoard has it, the beginning is not drawn towards zero."""
    flat = [(float(n), 2.0) for n in range(50)]
    assert [y for _, y in smoothed(flat, 0.9)] == pytest.approx([2.0] * 50)
    noisy = [(float(n), float(n % 2)) for n in range(200)]
    assert smoothed(noisy, 0.99)[0] == (0.0, 0.0)
    assert smoothed(noisy, 0.99)[-1][1] == pytest.approx(0.5, abs=0.1)
    assert smoothed(noisy, 0.0) == noisy
    made = panel("m", {"a": [(int(x), x, y) for x, y in noisy]}, smooth=0.9)
    assert made.lines[0].raw == noisy and made.lines[0].points != noisy


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=20))
@settings(deadline=None)
def test_a_logarithmic_axis_has_a_few_marks_within_it(values: list[float]) -> None:
    """Whatever it spans."""
    marks = log_marks(values)
    assert 1 <= len(marks) <= 14
    assert all(min(values) <= mark <= max(values) for mark in marks)
    assert marks == sorted(marks)


@given(st.lists(st.floats(-1e299, 1e299), max_size=5000))
@settings(deadline=None, max_examples=20)
def test_thinning_keeps_the_extremes(values: list[float]) -> None:
    """A spike of one step is what one looks for."""
    points = [(float(n), y) for n, y in enumerate(values)]
    kept = thinned(points)
    assert len(kept) <= 2000 and set(kept) <= set(points)
    if values:
        assert max(y for _, y in kept) == max(values)
        assert min(y for _, y in kept) == min(values)


def test_the_terminal_marks_a_logarithmic_axis_as_numbers() -> None:
    """Not their logarithms."""
    falling = panel("m", {"a": [(n, 0.0, 10.0**-n) for n in range(5)]}, log=True)
    lines = curves.draw(falling, 60, 20, color=False).splitlines()
    marks = [line.split("┤")[0].strip() for line in lines if "┤" in line]
    assert marks == ["1", "0.1", "0.01", "0.001", "0.0001"]


# -- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", pictures.SUFFIXES)
def test_equal_panels_give_equal_bytes(suffix: str) -> None:
    """A picture under version control changes only when its curves do: in another process too."""
    code = (
        "import sys; from gittrack import panels, pictures; "
        "rising = [(n, n / 2, 0.1 + n) for n in range(40)]; "
        "made = panels.panel('loss', {'a': rising, 'b': rising}, log=True); "
        f"sys.stdout.buffer.write(pictures.draw([made], {suffix!r}))"
    )
    env = os.environ | {"PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1", "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=env)
    made = panel("loss", {"a": RISING, "b": RISING}, log=True)
    assert pictures.draw([made], suffix) == done.stdout
    other = panel("loss", {"a": RISING, "b": RISING[1:]}, log=True)
    assert pictures.draw([other], suffix) != done.stdout


def test_each_kind_is_what_its_name_says() -> None:
    """Looked at by their first bytes; a PNG is as large as it should be."""
    made = {suffix: pictures.draw([panel("loss", {"a": RISING})], suffix)
            for suffix in pictures.SUFFIXES}  # fmt: skip
    assert made["pdf"].startswith(b"%PDF-") and b"CreationDate" not in made["pdf"]
    assert made["svg"].startswith(b"<?xml") and b"<dc:date>" not in made["svg"]
    png = made["png"]
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert width == 1125 and 400 < height < 700
    assert zlib.crc32(png[12:29]) == int.from_bytes(png[29:33], "big")


def test_a_picture_says_what_it_shows() -> None:
    """The metric, what it is drawn over, which curve is whose."""
    said = drawn({"amber  lr 0.1": RISING, "blue  lr 0.2": RISING})
    assert {"loss", "step", "amber  lr 0.1", "blue  lr 0.2"} <= set(said)


@pytest.mark.parametrize(
    "name",
    ["$x^2$", "$", "_hidden", "\\alpha", "a_b^{c", "<b>&amp;", "名前 größe", "🦦", "'\"", "%d {0}"],
)
def test_a_name_is_a_name_and_no_formula(name: str) -> None:
    """matplotlib would set `$` as a formula, and leave out a label that begins with `_`."""
    said = drawn({name: RISING, "other": RISING}, f"m{name}")
    assert name in said and f"m{name}" in said


def test_what_a_terminal_or_a_page_must_not_see_is_escaped() -> None:
    """An SVG stands in pages; a name may come from anybody."""
    picture = pictures.draw(
        [panel("a\x00b", {"\x1b[31m<script>": RISING, "\ud800": RISING})], "svg"
    )
    assert b"<script" not in picture and b"\x1b" not in picture
    assert {"a\\x00b", "\\x1b[31m<script>", "\\ud800"} <= set(texts(picture))


def test_a_very_long_name_is_cut() -> None:
    """Or there would be no room for the curve."""
    said = drawn({"x" * 10_000: RISING})
    assert max(map(len, said)) <= 80


def test_several_metrics_share_colours_and_one_legend() -> None:
    """A run has one colour, also where it lacks the first metric."""
    made = [panel("loss", {"b": RISING}), panel("acc", {"a": RISING, "b": RISING})]
    said = texts(pictures.draw(made, "svg"))
    assert said.count("a") == said.count("b") == 1
    assert said.count("step") == 1
    mixed = [made[0], panel("gpu", {"b": [(None, at, y) for _, at, y in RISING]})]
    assert {"step", "time (seconds)"} <= set(texts(pictures.draw(mixed, "svg")))


def test_a_legend_of_many_runs_ends() -> None:
    """A hundred names would push the curves out of the picture."""
    said = drawn({f"run {n}": RISING for n in range(100)})
    assert "run 19" in said and "run 20" not in said and "and 80 more" in said


def test_a_logarithmic_axis_is_marked_without_formulas() -> None:
    """Else `$\\mathdefault{10^{-2}}$` would stand there."""
    said = drawn({"a": [(n, 0.0, 10.0 ** (-n / 10)) for n in range(40)]}, log=True)
    assert {"1", "0.1", "0.01", "0.001"} <= set(said)
    assert not any("$" in text for text in said)


@pytest.mark.parametrize(
    "values",
    [[math.nan, 1.0, 2.0], [math.nan] * 3, [1e299, -1e299, 3.0], [10**400, 2], [5, 5, 5], [0.0],
     [1e-320, 2e-320], [1, 2], [10**200, 10**201]],
    ids=[f"case{n}" for n in range(9)],
)  # fmt: skip
@pytest.mark.parametrize("log", [False, True])
def test_no_value_stops_a_picture(values: list[float], log: bool) -> None:
    """Nor makes matplotlib talk."""
    points = [(n, float(n), value) for n, value in enumerate(values)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            made = panel("m", {"a": points}, log=log, smooth=0.5)
        except UsageError:
            assert log and not any(0 < value < 1e300 for value in values)
            return
        assert pictures.draw([made], "png")
        assert curves.draw(made, 40, 12, color=False)


def test_the_users_own_settings_do_not_count(tmp_path: Any) -> None:
    """A picture looks the same for a colleague, and a foreign back end is no reason to fail."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "matplotlibrc").write_text("axes.facecolor: red\nxtick.labelsize: 40\n")
    code = (
        "import sys; from gittrack import panels, pictures; "
        "made = panels.panel('loss', {'a': [(n, 0.0, n) for n in range(9)]}); "
        "sys.stdout.buffer.write(pictures.draw([made], 'svg'))"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, cwd=place,
            env=os.environ | more,
        ).stdout
        for place, more in ((tmp_path, {}), (tmp_path / "own", {"MPLBACKEND": "pdf"}))
    ]  # fmt: skip
    assert made[0] == made[1] and re.search(rb"</svg>\s*$", made[0])
