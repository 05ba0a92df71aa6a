"""How records look to people and to programs."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import report
from gittrack.errors import UnknownKey
from gittrack.records import Summary
from gittrack.report import Column

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
HOSTILE = (
    "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "a\rb", "a\nb", "a\tb", "\b\b", "a\u202eb", "\u200b",
    "\ud800", "\x00", "\u2028", "\U000e0041",
)  # fmt: skip
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ud800-\udfff\U000e0041]"
)


def run(name: str = "blue-heron-aaaaaa", **more: Any) -> Summary:
    fields: dict[str, Any] = {
        "id": "0" * 32, "experiment": "default", "status": "finished", "started": NOON,
        "ended": NOON + timedelta(seconds=4.2), "user": "Ada",
    }  # fmt: skip
    return Summary(name=name, **fields | more)


def drawn(*found: Summary, **more: Any) -> list[str]:
    columns = more.pop("columns", None) or report.varying_columns(found)
    return report.table(found, columns, **more).text.splitlines()


# -- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (4.2, "4.2s"),
        (59.94, "59.9s"),
        (59.96, "1m00s"),
        (185, "3m05s"),
        (3599.6, "1h00m"),
        (7500, "2h05m"),
        (86399.9, "1d00h"),
        (86400 * 5 + 3 * 3600, "5d03h"),
        (86400 * 400, "400d00h"),
        (-1, "0.0s"),
        (None, "·"),
        (math.nan, "·"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """Sixty seconds are a minute, however they were rounded."""
    assert report.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just"), (59, "just"), (-500, "just"), (60, "1m"), (3599, "59m"), (3600, "1h"),
        (86399, "23h"), (86400, "1d"), (86400 * 999, "999d"), (86400 * 1000, "2y"),
    ],
)  # fmt: skip
def test_ages(seconds: int, text: str) -> None:
    """A clock that is ahead is no reason for a negative age."""
    assert report.age(NOON, NOON + timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, 100], ["1", "100"]),
        ([0.5, 5.0], ["0.5", "5.0"]),
        ([0.98, 0.93333333], ["0.9800", "0.9333"]),
        ([0.1, 0.001], ["0.100", "0.001"]),
        ([0.25, 1], ["0.25", "1.00"]),
        ([1234.5678, 2.0], ["1234.6", "2.0"]),
        ([1.0, 2.0], ["1.0", "2.0"]),
        ([100.0, 250.0], ["100.0", "250.0"]),
        ([1e-9, 1.0], ["1e-09", "1"]),
        ([1e12, 1.5], ["1e+12", "1.5"]),
        ([0.5, math.nan, math.inf], ["0.5", "nan", "inf"]),
        ([math.nan], ["nan"]),
        ([0.0, -0.5], ["0.0", "-0.5"]),
        ([10**400, 0.5], ["1e+400", "0.5"]),
        ([-(10**400)], ["-1e+400"]),
    ],
    ids=[f"case{n}" for n in range(15)],
)
def test_numbers_of_one_column_have_the_same_decimals(values: list[Any], texts: list[str]) -> None:
    """Points under points: the eye compares; too far apart, each stands for itself."""
    assert report.numbers(values) == texts


@given(st.lists(st.one_of(st.floats(), st.integers()), min_size=1, max_size=6))
@settings(deadline=None)
def test_no_number_fails(values: list[float]) -> None:
    """A fetched record holds any number."""
    assert len(report.numbers(values)) == len(values)


@given(st.text(max_size=60), st.integers(2, 40))
@settings(deadline=None)
def test_a_cut_text_is_no_wider_than_asked(text: str, width: int) -> None:
    """Wide characters count twice, combining ones nothing."""
    kept = report.cut(text, width)
    assert report.width_of(kept) <= width
    assert kept == text or kept.endswith("…")


# -- tables -----------------------------------------------------------------------------------


def test_a_table_as_in_the_tour() -> None:
    """Names left, numbers right under each other, what is absent a dot, relative times."""
    now = NOON + timedelta(minutes=3)
    found = (
        run(params={"n": 100, "same": 1}, metrics={"acc": 0.98}, started=now),
        run("calm-lynx-bbbbbb", params={"n": 1, "same": 1}, status="failed", ended=None),
    )
    assert drawn(*found, now=now) == [
        "NAME               AGE   STATUS    TIME    n   acc",
        "blue-heron-aaaaaa  just  finished  0.0s  100  0.98",
        "calm-lynx-bbbbbb   3m    failed       ·    1     ·",
    ]


def test_times_are_iso_where_no_now_is_given() -> None:
    """A file is read at another time than it was written."""
    assert "2026-01-01T12:00:00Z" in drawn(run())[1]


def test_what_never_varies_is_hidden_unless_there_is_one_run() -> None:
    """Two runs differ in something; of one, all is news."""
    one, two = run(params={"a": 1, "b": 1}), run("x-bbbbbb", params={"a": 1, "b": 2})
    assert "a" in drawn(one)[0].split()
    assert "a" not in drawn(one, two)[0].split()
    assert "b" in drawn(one, two)[0].split()
    assert [c.key for c in report.varying_columns([one, two], everything=True)].count("params.a")


@pytest.mark.parametrize(
    ("one", "other", "varies"),
    [
        (1, 1.0, True),
        (True, 1, True),
        (None, 0, True),
        ("a", "a", False),
        (math.nan, math.nan, False),
    ],
)
def test_what_varies(one: Any, other: Any, varies: bool) -> None:
    """`1` and `1.0` look different in a table; NaN and NaN do not."""
    columns = report.varying_columns([run(params={"k": one}), run("b", params={"k": other})])
    assert ("params.k" in [c.key for c in columns]) is varies


def test_experiment_and_user_stand_where_they_vary() -> None:
    """The usual repository has one of each, and the width is dear."""
    assert "EXPERIMENT" not in drawn(run(), run("b"))[0]
    assert "EXPERIMENT" in drawn(run(), run("b", experiment="trees"))[0]
    assert "USER" in drawn(run(), run("b", user="Grace"))[0]


@pytest.mark.parametrize("width", range(1, 140, 3))
def test_a_table_fits_its_width(width: int) -> None:
    """Columns go, least informative first, until the rest fits; the name stays."""
    found = [
        run(f"run-{n}-aaaaaa", experiment=f"e{n}", user=f"u{n}",
            params={f"p{k}": n + k for k in range(6)}, metrics={f"m{k}": n + k for k in range(6)})
        for n in range(3)
    ]  # fmt: skip
    columns = report.varying_columns(found)
    made = report.table(found, columns, now=NOON, width=width)
    head = made.text.splitlines()[0].split()
    assert head[0] == "NAME"
    assert head == ["NAME"] or max(map(report.width_of, made.text.splitlines())) <= width
    assert len(head) + len(made.dropped) == len(columns)
    if made.dropped:
        assert "USER" in made.dropped


def test_chosen_columns_are_dropped_from_the_right() -> None:
    """Who asked for an order has said what matters."""
    columns = [Column("user", "USER"), Column("name", "NAME"), Column("status", "STATUS")]
    made = report.table([run()], columns, width=24, fixed=True)
    assert made.dropped == ("STATUS",)


def test_wide_characters_align() -> None:
    """An emoji takes two columns, an accent of its own none."""
    lines = drawn(run(title="模型🎉"), run("b", title="e\u0301"), run("c", title="plain"))
    places = {report.width_of(line[: line.index("2026")]) for line in lines[1:]}
    assert len(places) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_record_reaches_the_terminal_raw(text: str) -> None:
    """A fetched run must not clear the screen, set the clipboard or hide a line."""
    found = [
        run(title=text, user=text, experiment=text, branch=text, command=(text,), notes=(text,),
            params={text: text, "list": [text], "x": 1}, metrics={text: 1.0}, tags={text: text}),
        run("b", params={"x": 2}),
    ]  # fmt: skip
    for columns in (report.varying_columns(found, everything=True), report.full_columns(found)):
        assert not UNSAFE.search(report.table(found, columns, now=NOON).text)
        assert not UNSAFE.search(report.markdown(found, columns))
        assert report.as_json(found).isascii()
        assert "\x1b" not in report.as_json(found)


def test_a_value_of_ten_thousand_columns_is_cut() -> None:
    """One long value must not push the others off the screen."""
    lines = drawn(run(params={"k" * 10000: "x" * 10000}))
    assert max(map(len, lines)) < 160
    assert "…" in lines[1]


def test_colour_only_if_asked() -> None:
    """And it does not shift the columns."""
    plain, colored = drawn(run()), drawn(run(), color=True)
    assert "\x1b[32mfinished\x1b[m" in colored[1]
    assert [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in colored] == plain


# -- keys and order ---------------------------------------------------------------------------


def test_a_bare_key_means_what_it_can_mean() -> None:
    """`lr` is a param if nothing else is called so; where it is two things, both are named."""
    known = {"params": ["lr", "acc", "a.b"], "metrics": ["acc", "name"], "tags": []}
    assert report.name_key("lr", known) == "params.lr"
    assert report.name_key("a.b", known) == "params.a.b"
    assert report.name_key("metrics.acc", known) == "metrics.acc"
    assert report.name_key("name", known) == "name"
    assert report.name_key("age", known) == "started"
    with pytest.raises(UnknownKey, match=r"params\.acc and metrics\.acc"):
        report.name_key("acc", known)
    with pytest.raises(UnknownKey) as caught:
        report.name_key("lrr", known)
    assert caught.value.hint == "did you mean 'params.lr'?"


def test_sorting_puts_absent_and_nan_last_both_ways() -> None:
    """`--sort -acc` asks for the best, not for the runs that have none."""
    values = {"a": 0.5, "b": math.nan, "c": 0.9, "d": None, "e": -math.inf}
    found = [run(n, metrics={} if v is None else {"acc": v}) for n, v in values.items()]
    names = [r.name for r in report.sort(found, "metrics.acc")]
    assert names == ["e", "a", "c", "b", "d"]
    names = [r.name for r in report.sort(found, "metrics.acc", descending=True)]
    assert names == ["c", "a", "e", "b", "d"]


def test_values_of_many_kinds_sort() -> None:
    """A param may be a number in one run and a text in the next."""
    values: list[Any] = ["x", 3, True, [1], None, 2.5, {"a": 1}, "a"]
    found = [run(str(n), params={"k": v}) for n, v in enumerate(values)]
    ordered = [lookup.params["k"] for lookup in report.sort(found, "params.k")]
    assert ordered[:3] == [True, 2.5, 3]
    assert ordered[-1] is None


# -- data -------------------------------------------------------------------------------------

_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.text(min_size=1, max_size=9), _values, max_size=4))
@settings(deadline=None)
def test_json_is_one_ascii_document(params: dict[str, Any]) -> None:
    """Every parser must read it: no NaN, which JSON has not."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    text = report.as_json([run(params=params)])
    assert text.isascii()
    (read,) = json.loads(text, parse_constant=refuse)
    assert set(read["params"]) == set(params)
    assert read["duration"] == 4.2


def test_numbers_that_json_lacks_are_texts() -> None:
    """As protobuf's JSON mapping spells them, which MLflow does too."""
    metrics = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.1}
    read = json.loads(report.as_json(run(metrics=metrics)))["metrics"]
    assert read == {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.1}


@given(
    st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=20), min_size=1, max_size=4)
)
@settings(deadline=None)
def test_csv_comes_back(params: dict[str, str]) -> None:
    """RFC 4180, whatever the cells hold; only the guard against formulas is added."""
    found = [run(params=params)]
    text = report.csv_text(found, [Column(f"params.{key}", key) for key in params])
    head, line = csv.reader(io.StringIO(text, newline=""))
    risky = ("=", "+", "-", "@", "\t", "\r")
    expected = [("'" + v if v.startswith(risky) else v) for v in params.values()]
    assert line == expected
    assert len(head) == len(params)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), (-1.5, "-1.5"), (-1, "-1"),
        (0.1 + 0.2, "0.30000000000000004"), (True, "true"), (None, ""), (math.nan, "nan"), ("", ""),
    ],
)  # fmt: skip
def test_a_spreadsheet_runs_no_cell(value: Any, text: str) -> None:
    """Texts are guarded; numbers stay numbers, in full."""
    made = report.csv_text([run(params={"k": value})], [Column("params.k", "k")])
    assert made.splitlines()[1].strip('"') == text


def test_markdown_is_a_table_and_nothing_else() -> None:
    """A pipe must not end a cell, a tag must not be one."""
    found = [run(params={"k": "a|b <img src=x> [x](javascript:1) `c`"})]
    made = report.markdown(found, [Column("name", "NAME"), Column("params.k", "k")])
    lines = made.splitlines()
    assert lines[:2] == ["| NAME | k |", "|---|---|"]
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 3
    assert "<" not in lines[2] and "\\[x\\]" in lines[2]


# -- curves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("color", [True, False])
def test_curves_fit_and_name_their_runs(color: bool) -> None:
    """The legend is ours: the library's covers the curves."""
    points = [(float(n), n / 7) for n in range(50)]
    made = report.curves({"one": points, "two": points}, "loss", "step", 60, 16, color=color)
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
    assert report.curves({"one": points}, "m", "step", 40, 12, color=False)


def test_a_long_curve_keeps_its_peak() -> None:
    """A spike of one step in 100,000 is what one looks for."""
    from gittrack.report import _thinned

    points = [(float(n), 0.0) for n in range(100_000)]
    points[54_321] = (54_321.0, 9.0)
    kept = _thinned(points)
    assert len(kept) <= 2000
    assert (54_321.0, 9.0) in kept


def test_a_table_of_replaced_runs_is_pure() -> None:
    """Drawing twice gives the same text: nothing is kept between calls."""
    found = [run(), replace(run("b"), params={"k": 1})]
    assert drawn(*found) == drawn(*found)
