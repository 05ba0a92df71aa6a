"""Runs as HTML for a notebook: nothing of a record is markup, and there is never too much of it."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import commits, journal, portrait
from gittrack.git import Identity, Repo
from gittrack.records import Row, Run
from summaries import HOSTILE, UNSAFE
from summaries import run as summary

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
TAGS = {
    "div", "span", "b", "table", "caption", "tr", "td", "th", "svg", "path",
}  # fmt: skip
ATTRIBUTES = {
    "style", "colspan", "width", "height", "viewbox", "d", "fill", "stroke", "stroke-width",
    "stroke-linecap", "stroke-linejoin",
}  # fmt: skip
MARKUP = (
    "<script>alert(1)</script>", "</script><script>", "<img src=x onerror=alert(1)>",
    "javascript:alert(1)", "\"><svg onload=alert(1)>",
    "' onmouseover='x", "<!--", "]]>", "${{7*7}}",
    "{{7*7}}", "</td></table>", "</style>", "&lt;b&gt;", "<a href=//evil>", *HOSTILE,
)  # fmt: skip


class Page(HTMLParser):
    """What a browser would see: texts; anything but our own elements fails the test."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.texts: list[str] = []
        self.paths: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert {name for name, _ in attrs} <= ATTRIBUTES
        assert "url(" not in str(attrs)
        self.paths += [value or "" for name, value in attrs if name == "d"]
        self.open.append(tag)
        if tag == "path":
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def run(**more: Any) -> Run:
    fields: dict[str, Any] = {
        "id": "0" * 32, "name": "blue-heron-aaaaaa", "experiment": "default",
        "status": "finished", "started": NOON, "ended": NOON.replace(second=4),
    }  # fmt: skip
    return Run(**fields | more)


def curve(*values: float, name: str = "loss") -> list[Row]:
    return [Row(step, float(step), {name: value}) for step, value in enumerate(values)]


def test_a_run_shows_how_it_went_and_what_went_in_and_came_out() -> None:
    """The first look, and mostly the last one that is needed."""
    made = run(params={"lr": 0.1, "opt": "adam"}, metrics={"loss": 0.25}, tags={"team": "vision"})
    page = Page(portrait.html(made, curve(1.0, 0.5, 0.25)))
    said = " ".join(page.texts)
    for words in ("blue-heron-aaaaaa", "finished", "4.0s", "lr 0.1", "opt adam", "loss 0.25"):
        assert words in said
    assert "team vision" in said and "0.25 to 1" in said
    assert len(page.paths) == 1


def test_a_curve_goes_from_corner_to_corner() -> None:
    """The lowest value is at the bottom, the highest at the top; SVG counts downwards."""
    page = Page(portrait.html(run(), curve(0.0, 1.0)))
    assert page.paths == ["M4.0 76.0h0L216.0 4.0"]


def test_a_metric_of_one_point_has_no_curve() -> None:
    """It stands among the values."""
    assert Page(portrait.html(run(metrics={"loss": 1.0}), curve(1.0))).paths == []


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ((0.0, math.nan, 1.0), "M4.0 76.0h0M216.0 4.0h0"),
        ((0.0, 1.0, math.inf), "M4.0 76.0h0L110.0 4.0"),
        ((2.0, 2.0), "M4.0 40.0h0L216.0 40.0"),
        ((-1.7e308, 1.7e308), "M4.0 76.0h0L216.0 4.0"),
        ((10**400, 0, 1), "M110.0 76.0h0L216.0 4.0"),
    ],
)
def test_values_that_cannot_be_drawn_leave_a_gap(values: tuple[float, ...], path: str) -> None:
    """And what can be drawn is: a point alone, a flat line, a range beyond every float."""
    assert Page(portrait.html(run(), curve(*values))).paths == [path]


def test_values_that_cannot_be_drawn_are_counted() -> None:
    """A curve that diverged may not look like a short one."""
    said = "".join(Page(portrait.html(run(), curve(1.0, math.nan, math.inf))).texts)
    assert "loss inf" in said and "(2 not finite)" in said
    only = Page(portrait.html(run(), curve(math.nan, math.nan)))
    assert only.paths == [] and "(2 not finite)" in "".join(only.texts)


def test_points_stand_where_their_steps_are() -> None:
    """In the order of steps, whatever the order of logging; by time where one has no step."""
    rows = [Row(10, 0.0, {"m": 1.0}), Row(0, 1.0, {"m": 0.0})]
    assert Page(portrait.html(run(), rows)).paths == ["M4.0 76.0h0L216.0 4.0"]
    rows = [replace(row, step=None) for row in rows]
    assert Page(portrait.html(run(), rows)).paths == ["M4.0 4.0h0L216.0 76.0"]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(), min_size=2, max_size=2000))
def test_thinning_keeps_ends_and_extremes(values: list[float]) -> None:
    """A spike of one point among thousands is what somebody looks for."""
    points = [(float(place), value) for place, value in enumerate(values)]
    kept = portrait.thinned(points)
    assert len(kept) <= 200
    assert kept[0] == points[0] or math.isnan(values[0])
    assert [x for x, _ in kept] == sorted({x for x, _ in kept})
    assert kept[-1][0] == points[-1][0]
    good = [value for value in values if math.isfinite(value)]
    left = [value for _, value in kept if math.isfinite(value)]
    assert (min(good, default=0), max(good, default=0)) == (
        min(left, default=0),
        max(left, default=0),
    )


@pytest.mark.parametrize("text", MARKUP)
def test_nothing_of_a_record_is_markup(text: str) -> None:
    """A run comes from a colleague, and a notebook runs what it shows."""
    made = run(
        name=text, experiment=text, experiment_title=text, title=text, params={text: text},
        tags={text: text}, metrics={text: 1.0},
    )  # fmt: skip
    page = Page(portrait.html(made, [*curve(1, 2, name=text)]))
    assert not UNSAFE.search("".join(page.texts))
    one = summary(
        text, title=text, params={text: text}, metrics={text: 1.0}, experiment=text, user=text
    )
    other = summary(text + "b", params={text: "other"})
    page = Page(portrait.table([one, other]))
    assert not UNSAFE.search("".join(page.texts))


@settings(deadline=None, max_examples=100)
@given(st.text(), st.text(), st.one_of(st.text(), st.floats(), st.lists(st.text()), st.none()))
def test_any_text_is_text(name: str, key: str, value: Any) -> None:
    """Whatever the parser makes of it, it finds no element that is not ours."""
    Page(portrait.html(run(name=name, params={key: value}), curve(1, 2, name=key)))
    Page(portrait.table([summary(name, params={key: value})]))


def test_nothing_is_fetched_and_both_themes_can_be_read() -> None:
    """No address at all; texts have the colour of the page, except for the status."""
    text = portrait.html(run(params={"a": 1}), curve(1, 2)) + portrait.table([summary()])
    assert not re.search(r"https?:|//|@import|url\(|<style|class=", text)
    assert set(re.findall(r"[^-]color:([^;\"]+)", text)) == {"#2e9e4f"}


def test_there_is_never_too_much() -> None:
    """A page of megabytes for each cell makes a notebook that cannot be opened."""
    many = {f"key{n:05}": "v" * 10_000 for n in range(10_000)}
    rows = [
        Row(step, 0.0, {f"m{n:03}": float(step % 97) for n in range(40)}) for step in range(999)
    ]
    made = run(params=many, tags=many, metrics=dict.fromkeys(many, 1.0), title="t" * 10_000)
    text = portrait.html(made, rows)
    page = Page(text)
    said = "".join(page.texts)
    assert len(page.paths) == 12 and "and 28 more metrics" in said
    assert all(len(re.findall("[ML]", path)) <= 200 for path in page.paths)
    assert said.count("and 9,950 more") == 3
    assert len(text) < 100_000
    found = [summary(f"run-{n}", params={f"k{n % 200}": "v" * 10_000}) for n in range(1000)]
    text = portrait.table(found)
    said = "".join(Page(text).texts)
    assert "50 of 1,000 runs" in said and re.search(r"\d+ more columns", said)
    assert len(text) < 400_000


def test_a_table_without_runs() -> None:
    """An answer all the same."""
    assert "".join(Page(portrait.table([])).texts) == "0 runs"
    assert "1 run" in "".join(Page(portrait.table([summary()])).texts)


# -- a running run ------------------------------------------------------------------------------

BEGIN = {
    "id": "0" * 32, "name": "blue-heron-aaaaaa", "experiment": "default", "started": 1e9,
    "params": {"lr": 0.1}, "tags": {}, "faults": [], "message": None, "command": ["train"],
    "directory": "", "user": "Ada", "host": "h", "files": {}, "asked": False, "data": [],
    "code": {"base": None, "branch": None, "dirty": False, "included": [], "skipped": [],
             "hidden": []},
}  # fmt: skip


def live(place: Path, *events: Any) -> Path:
    """The directory of a run that is under way, and has said `events`."""
    directory = place / "blue-heron-aaaaaa"
    directory.mkdir()
    (directory / "begin").write_bytes(journal.frame(BEGIN))
    lines = [journal.frame({"t": 1e9 + n, **event}) for n, event in enumerate(events)]
    (directory / "1-a.journal").write_bytes(b"".join(lines))
    return directory


def test_a_running_run_is_drawn_as_it_stands(tmp_path: Path) -> None:
    """With what this process logged last, which is not always flushed to where others read."""
    directory = live(tmp_path, *({"metrics": {"loss": n}, "step": n} for n in range(3)))
    page = Page(portrait.of_live(directory, {"accuracy": 0.5}))
    said = " ".join(page.texts)
    assert "running" in said and "lr 0.1" in said and "accuracy 0.5" in said and "loss 2" in said
    assert len(page.paths) == 1


def test_of_a_very_long_journal_no_curve_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Showing a run in the middle of training must not take a minute."""
    directory = live(tmp_path, *({"metrics": {"loss": n}, "step": n} for n in range(3)))
    monkeypatch.setattr(portrait, "_LARGEST_JOURNAL", 10)
    page = Page(portrait.of_live(directory, {"loss": 2}))
    assert page.paths == [] and "loss 2" in " ".join(page.texts)


def test_a_run_that_has_ended_is_drawn_from_its_record(repo_dir: Path) -> None:
    """The cell that shows the run is run again after the end."""
    repo = Repo.open(repo_dir)
    rows = curve(1.0, 0.5)
    author = Identity("Ada", "ada@example.org")
    commits.write(repo, run(params={"lr": 0.1}), tree=repo.empty_tree(), author=author, rows=rows)
    page = Page(portrait.of_live(repo.state / "live" / "blue-heron-aaaaaa", {"loss": 9.0}))
    said = " ".join(page.texts)
    assert "finished" in said and "lr 0.1" in said and "9" not in said
    assert len(page.paths) == 1
    assert "other has ended" in portrait.of_live(repo.state / "live" / "other")


def test_a_run_that_has_ended_meanwhile_says_so(tmp_path: Path) -> None:
    """A cell that is run again after the end shows a line, no traceback."""
    assert "".join(Page(portrait.of_live(tmp_path / "<gone>")).texts) == "<gone> has ended"
    directory = live(tmp_path)
    (directory / "begin").write_bytes(b"torn")
    assert "has ended" in portrait.of_live(directory)
    assert os.listdir(directory)
