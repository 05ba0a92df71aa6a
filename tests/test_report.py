"""How runs look to people: tables."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gittrack import report
from gittrack.cells import width_of
from gittrack.cli.ls import leading
from gittrack.errors import UnknownKey
from gittrack.report import Column
from gittrack.summaries import Summary
from gittrack.vocabulary import of_summaries
from summaries import HOSTILE, NOON, UNSAFE, run


def drawn(*found: Summary, **more: Any) -> list[str]:
    columns = more.pop("columns", None) or report.varying_columns(found)
    return report.table(found, columns, **more).text.splitlines()


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


def test_of_very_many_columns_those_that_most_runs_have_lead() -> None:
    """Runs of several experiments in one listing have little in common but their names."""
    found = [
        run(
            f"r{n}-x", experiment=f"e{n % 3}", user="Ada",
            params={f"only{n}.{k}": n for k in range(20)} | {"lr": n},
            metrics={f"m{k}": n for k in range(8)},
        )
        for n in range(9)
    ]  # fmt: skip
    columns = report.varying_columns(found)
    kept, others = leading(found, columns, keep=("params.only8.7",))
    assert {"NAME", "STATUS", "TIME", "EXPERIMENT", "lr", "only8.7"} <= {c.title for c in kept}
    groups = [column.key.partition(".")[0] for column in kept]
    assert (groups.count("params"), groups.count("metrics")) == (6 + 1, 6)
    assert sorted([*kept, *others], key=columns.index) == columns
    assert kept == sorted(kept, key=columns.index)
    few = columns[:40]
    assert leading(found, few) == (few, [])


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
    assert head == ["NAME"] or max(map(width_of, made.text.splitlines())) <= width
    assert len(head) + len(made.dropped) == len(columns)
    if made.dropped:
        assert "USER" in made.dropped


def test_what_few_runs_have_goes_first() -> None:
    """A param of one run among many is the least that a narrow table can tell."""
    found = [run(f"r-{n}", params={"lr": n, **({"aux": 1} if not n else {})}) for n in range(4)]
    made = report.table(found, report.varying_columns(found), now=NOON, width=30)
    assert made.dropped[-1] == "aux"
    assert "lr" in made.text.splitlines()[0]


def test_what_never_varies_is_hidden_only_where_there_is_some() -> None:
    """A sentence about columns that are not there sends people to look for them."""
    for more, hidden in (({}, False), ({"seed": 1}, True)):
        found = [run(f"r-{n}", params={"lr": n, **more}) for n in range(2)]
        assert report.hides(found, report.varying_columns(found)) is hidden


def test_chosen_columns_are_dropped_from_the_right() -> None:
    """Who asked for an order has said what matters."""
    columns = [Column("user", "USER"), Column("name", "NAME"), Column("status", "STATUS")]
    made = report.table([run()], columns, width=24, fixed=True)
    assert made.dropped == ("STATUS",)


def test_a_param_and_a_metric_of_one_name_are_told_apart() -> None:
    """Two columns `lr` side by side say nothing."""
    found = [run(params={"lr": n, "k": n}, metrics={"lr": n}) for n in range(2)]
    assert drawn(*found)[0].split()[-3:] == ["k", "params.lr", "metrics.lr"]
    columns = report.chosen_columns(["metrics.lr", "params.*"], found)
    assert [column.title for column in columns] == ["metrics.lr", "k", "params.lr"]
    assert [column.title for column in report.chosen_columns(["params.lr"], found)] == ["lr"]


def test_wide_characters_align() -> None:
    """An emoji takes two columns, an accent of its own none."""
    lines = drawn(run(title="模型🎉"), run("b", title="e\u0301"), run("c", title="plain"))
    places = {width_of(line[: line.index("2026")]) for line in lines[1:]}
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


# -- chosen columns ---------------------------------------------------------------------------


def test_columns_are_chosen_by_patterns() -> None:
    """In the order that was asked for, each once; a star stands for what these runs have."""
    found = [run(params={"opt": 1, "opt.b": 2, "a[0]": 3}, metrics={"val_loss": 1, "loss": 2})]
    known = of_summaries([*found, run(metrics={"old_loss": 1})])

    def keys(*names: str) -> list[str]:
        return [c.key for c in report.chosen_columns(names, found, vocabulary=known)]

    assert keys("*loss*", "name") == ["metrics.loss", "metrics.val_loss", "name"]
    assert keys("loss", "metrics.*") == ["metrics.loss", "metrics.val_loss"]
    assert keys("params.opt*") == ["params.opt", "params.opt.b"]
    assert keys("a[0]", "metrics.old_loss") == ["params.a[0]", "metrics.old_loss"]
    # What is asked for is not left out without a word.
    assert keys("old*") == ["metrics.old_loss"]
    with pytest.raises(UnknownKey, match=r"is like 'los\?\?'"):
        keys("los??")
    with pytest.raises(UnknownKey, match="named 'los'"):
        keys("los")


def test_columns_that_are_computed_stand_among_the_others() -> None:
    """`max(acc)` is no key of a run: its values come along."""
    found = [run(metrics={"acc": 1}), run("b-bbbbbb")]
    columns = report.chosen_columns(["max(acc)", "name"], found, more=["max(acc)"])
    made = report.table(found, columns, more={"max(acc)": [0.5, None]}).text.splitlines()
    assert made == ["max(acc)  NAME", "     0.5  blue-heron-aaaaaa", "       ·  b-bbbbbb"]


def test_a_sheet_is_a_table_of_any_values() -> None:
    """Groups of runs look as runs do."""
    columns = [Column("params.k", "k"), Column("", "RUNS"), Column("duration", "mean(duration)")]
    values: list[list[Any]] = [["a\x1b", None], [10, 9], [61.0, None]]
    made = report.sheet(columns, values).text.splitlines()
    assert made == ["k      RUNS  mean(duration)", "a\\x1b    10           1m01s",
                    "·         9               ·"]  # fmt: skip
    assert report.sheet_markdown(columns, values).count("\n") == 4
    narrow = report.sheet(columns, values, width=12, spare=[1])
    assert (narrow.text.split()[0], narrow.dropped) == ("k", ("mean(duration)", "RUNS"))
    assert report.sheet(columns, values, width=25, spare=[1]).dropped == ("RUNS",)


# -- Markdown ---------------------------------------------------------------------------------


def markdown(*found: Summary, columns: list[Column]) -> list[list[str]]:
    """The cells of each line of a Markdown table."""
    lines = report.markdown(found, columns).splitlines()
    assert all(line.startswith("|") and line.endswith("|") for line in lines)
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_is_a_table_and_nothing_else() -> None:
    """A pipe must not end a cell, a tag must not be one; numbers stand right."""
    found = [
        run(params={"k": "a|b <img src=x> [x](javascript:1) `c`", "n": 1.5, "t": "1.50"}),
        run("x-bbbbbb", params={"n": 20.0, "t": "007"}),
    ]
    columns = [Column("name", "NAME"), *(Column(f"params.{key}", key) for key in "knt")]
    head, rule, first, second = markdown(*found, columns=columns)
    assert head == ["NAME", "k", "n", "t"]
    assert [re.fullmatch(r":?-+:?", mark) is not None for mark in rule] == [True] * 4
    assert [mark.endswith(":") for mark in rule] == [False, False, True, False]
    assert first[0] == "blue-heron-aaaaaa" and first[2:] == ["1.5", "1.50"]
    assert "<" not in first[1] and "\\[x\\]" in first[1] and "a\\|b" in first[1]
    assert second == ["x-bbbbbb", "·", "20.0", "007"]


def test_markdown_of_nothing_is_no_error() -> None:
    """`--columns 'params.*'` of runs without params asks for nothing and gets it."""
    assert not re.search("[^|\n]", report.markdown([run(), run("b")], []))
    assert markdown(columns=[Column("name", "NAME")])[0] == ["NAME"]


def test_a_table_of_replaced_runs_is_pure() -> None:
    """Drawing twice gives the same text: nothing is kept between calls."""
    found = [run(), replace(run("b"), params={"k": 1})]
    assert drawn(*found) == drawn(*found)


def test_a_lost_run_that_is_not_recorded_yet_says_so() -> None:
    """Recording many takes a while; until then the listing must not look final."""
    assert "killed (recovering)" in drawn(run(status="killed", commit=None))[1]
    assert "recovering" not in drawn(run(status="running", commit=None))[1]


def test_a_run_that_is_running_has_a_time_only_where_somebody_looks_at_the_clock() -> None:
    """What was recorded does not change because it is looked at later."""
    over = run()
    alive = replace(over, status="running", ended=None)
    columns = [Column("duration", "TIME")]
    later = NOON + timedelta(seconds=60)
    assert [line.strip() for line in drawn(over, alive, columns=columns, clock=later)] == [
        "TIME", "4.2s", "1m00s",
    ]  # fmt: skip
    assert "1m00s" not in "".join(drawn(over, alive, columns=columns))


def test_columns_of_fifty_thousand_metrics_are_found_at_once() -> None:
    """A run may have as many, and `git track ls` looks at all of them."""
    found = (run(metrics={f"m{i}": 1 for i in range(50_000)}), run("calm-lynx-bbbbbb"))
    start = time.process_time()
    assert len(report.varying_columns(found)) > 50_000
    assert time.process_time() - start < 5
