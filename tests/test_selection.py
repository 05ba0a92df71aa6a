"""Statements over the tables of runs: what they say, and that they can only read."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import vocabulary
from gittrack.errors import UsageError
from gittrack.records import Environment, Input, Row, Run
from gittrack.registry import Change, Version
from gittrack.relations import EXTREMES, RELATIONS
from gittrack.report import lookup
from gittrack.selection import Selection
from gittrack.summaries import Summary
from gittrack.tuples import store
from summaries import run


class Held:
    """Runs at hand as a source of tables; `asked` are the parts that were read."""

    def __init__(self, *runs: Summary, rows: Sequence[Row] = (), kept: Run | None = None) -> None:
        self.runs = list(runs)
        self.vocabulary = vocabulary.of_summaries(runs)
        self.total = len(runs)
        self.asked: list[str] = []
        self._rows = rows
        self._kept = kept

    def columns(self, keys: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        self.asked += keys
        found: dict[str, list[Any]] = {}
        for key in keys:
            values = [lookup(run, key) for run in self.runs]
            if key in ("started", "ended"):
                values = [v and round(v.timestamp() * 1e6) for v in values]
            if key == "command":
                values = [" ".join(v or ()) or None for v in values]
            found[key] = values
        return found

    def batches(self) -> Iterator[Sequence[Summary]]:
        yield self.runs[:1]
        yield self.runs[1:]

    def rows(self, run: Summary) -> Sequence[Row]:
        self.asked.append("rows")
        return self._rows

    def curve(self, metric: str) -> Mapping[str, Sequence[Any]]:
        self.asked.append("curve")
        known = dict(zip(EXTREMES, (0.5, 0.25, 0.75, 3, 0, 2, 1, 2), strict=True))
        return {
            "run": [run.id for run in self.runs],
            "value": [run.metrics.get(metric) for run in self.runs],
            **{name: [value] * len(self.runs) for name, value in known.items()},
        }

    def inputs(self, run: Summary) -> Sequence[Input]:
        return () if self._kept is None else self._kept.inputs

    def packages(self, run: Summary) -> Mapping[str, str]:
        environment = None if self._kept is None else self._kept.environment
        return {} if environment is None else environment.packages

    def models(self) -> Sequence[tuple[Version, str | None]]:
        return [
            (
                _version("1.0.0", "c" * 40, 0, stage="production", aliases=("a", "b")),
                self.runs[0].id,
            ),
            (_version("2.0.0", "d" * 40, None, unregistered=True), None),
        ]


def _version(number: str, commit: str, at: int | None, **more: Any) -> Version:
    made = Change(
        f"m@v{number}", "e" * 40, "m", "register", number, None, False, None, commit, at,
        "Ada", "ada@example.org", "", "", {},
    )  # fmt: skip
    ended = made if more.pop("unregistered", False) else None
    return Version("m", number, made, ended, **more)


RUNS = (
    run("a", id="a" * 32, params={"lr": 0.1, "opt": "adam"}, metrics={"acc": 0.5}, dirty=True),
    run("b", id="b" * 32, params={"lr": 1}, metrics={"acc": math.nan, "loss": math.inf}),
    run("c", id="c" * 32, status="running", ended=None, tags={"it's": "x"}, notes=("one", "two")),
)


def ask(statement: str, *runs: Summary, **more: Any) -> list[tuple[Any, ...]]:
    with Selection(Held(*(runs or RUNS), **more)) as selection:
        return list(selection.ask(statement).rows)


def refused(statement: str, *runs: Summary) -> UsageError:
    with pytest.raises(UsageError) as caught:
        ask(statement, *runs)
    return caught.value


# -- the tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "select name, status, dirty from runs",
            [("a", "finished", 1), ("b", "finished", 0), ("c", "running", 0)],
        ),
        (
            "select started, ended, duration from runs where name = 'a'",
            [("2026-01-01T12:00:00.000000Z", "2026-01-01T12:00:04.200000Z", 4.2)],
        ),
        ("select ended, duration from runs where name = 'c'", [(None, None)]),
        ("select count(*) from runs", [(3,)]),
        (
            "select value, type from params where key = 'lr' order by value",
            [(0.1, "number"), (1, "number")],
        ),
        ("select r.name from runs r join params p on p.run = r.id where p.key = 'opt'", [("a",)]),
        (
            "select run, value from metrics where key = 'acc' order by 1",
            [("a" * 32, 0.5), ("b" * 32, None)],
        ),
        ("select value from metrics where key = 'loss'", [(math.inf,)]),
        ("select key, value from tags", [("it's", "x")]),
        ("select number, text from notes", [(1, "one"), (2, "two")]),
        ("with n as (select name from runs) select max(name) from n", [("c",)]),
        ("values (1, 'x')", [(1, "x")]),
        ("select julianday(ended) - julianday(started) > 0 from runs where name = 'a'", [(1,)]),
        ("select json_extract(value, '$[1]') from params where type = 'json'", []),
        ("-- a remark\nselect 1 /* another */;", [(1,)]),
    ],
)  # fmt: skip
def test_a_statement_is_answered(statement: str, expected: list[Any]) -> None:
    """What the documentation says of each table, as SQLite sees it."""
    assert ask(statement) == expected


def test_curves_records_and_files_have_tables_too() -> None:
    """What only the record knows is read for those that ask for it."""
    kept = Run(
        id="a" * 32, name="a", experiment="default", status="finished", started=RUNS[0].started,
        environment=Environment(packages={"numpy": "2.0"}),
        inputs=(Input(run="default/load-fox-aaaaaa", id="d" * 32, commit="e" * 40, path="x.csv"),),
    )  # fmt: skip
    rows = [Row(1, 0.5, {"acc": 0.25}), Row(None, 1.0, {"acc": math.nan, "loss": 2})]
    one = replace(RUNS[0], data={"raw.csv": "1" * 32}, artifacts={"model.bin": "2" * 32})

    def told(statement: str) -> list[tuple[Any, ...]]:
        return ask(statement, one, rows=rows, kept=kept)

    assert told("select key, step, time, value from series") == [
        ("acc", 1, 0.5, 0.25), ("acc", None, 1.0, None), ("loss", None, 1.0, 2.0),
    ]  # fmt: skip
    assert told("select min, max, count, last_step from metrics") == [(0.25, 0.75, 3, 2)]
    assert told("select path, md5 from data") == [("raw.csv", "1" * 32)]
    assert told("select path, md5 from artifacts") == [("model.bin", "2" * 32)]
    assert told("select input, name, path from inputs") == [("d" * 32, "load-fox-aaaaaa", "x.csv")]
    assert told("select name, version from packages") == [("numpy", "2.0")]
    assert told("select * from models") == [
        ("m", "1.0.0", "m@v1.0.0", "a" * 32, "c" * 40, "1970-01-01T00:00:00.000000Z", 0,
         "production", "a b"),
        ("m", "2.0.0", "m@v2.0.0", None, "d" * 40, None, 1, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("select name from runs", {"name"}),
        ("select count(*) from runs", {"id"}),
        ("select key, value from metrics", {"id", "metrics.acc", "metrics.loss"}),
        ("select max from metrics", {"curve"}),
        ("select count(*) from series", {"rows"}),
        ("select 1", set()),
    ],
)
def test_only_what_a_statement_reads_is_read(statement: str, read: set[str]) -> None:
    """Curves of a hundred thousand runs are not opened for a question about names."""
    source = Held(*RUNS)
    with Selection(source) as selection:
        list(selection.ask(statement).rows)
    assert set(source.asked) == read


def test_a_second_statement_fills_what_the_first_did_not_read() -> None:
    """Else a column that is null because nobody asked would be taken for an answer."""
    with Selection(Held(*RUNS)) as selection:
        assert list(selection.ask("select name from runs limit 1").rows) == [("a",)]
        assert list(selection.ask("select status, name from runs limit 1").rows) == [
            ("finished", "a")
        ]
        assert next(selection.ask("select value from metrics where key = 'acc'").rows) == (0.5,)
        assert next(selection.ask("select max from metrics where key = 'acc'").rows) == (0.75,)
        assert list(selection.ask("select count(*) from runs").rows) == [(3,)]


_values = st.one_of(
    st.integers(), st.booleans(), st.text(), st.floats(), st.lists(st.integers(), max_size=3),
    st.just(10**400), st.just("\ud800"), st.just("'; drop table runs; --"),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(min_size=1, max_size=8), _values, max_size=5))
def test_any_param_is_a_value_of_its_type(params: dict[str, Any]) -> None:
    """Names and values of others are data, whatever they look like."""
    found = ask("select key, value, type from params", run(params=params))
    assert len(found) == len(params)
    for (_, stored, kind), value in zip(found, _in_order(params), strict=True):
        if isinstance(value, bool):
            assert (stored, kind) == (int(value), "boolean")
        elif isinstance(value, (int, float)):
            assert kind == "number"
            assert stored is None if value != value else _close(stored, value)
        elif isinstance(value, str):
            assert kind == "text"
            assert stored == value or "\ud800" in value or not value.isprintable()
        else:
            assert (json.loads(stored), kind) == (value, "json")


def _in_order(params: dict[str, Any]) -> list[Any]:
    return [params[key] for key in sorted(params)]


def _close(stored: Any, value: Any) -> bool:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return stored == (math.inf if value > 10**308 else float(value))
    return bool(stored == value)


def test_what_json_has_no_word_for_is_a_text() -> None:
    """A list with NaN in it would be a list that nothing can take apart."""
    params = {"x": [math.nan, math.inf, 1.5], "y": {"z": -math.inf}}
    found = ask(
        "select key, json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
        " json_extract(value, '$[2]'), json_extract(value, '$.z') from params",
        run(params=params),
    )
    assert found == [("x", "NaN", "Infinity", 1.5, None), ("y", None, None, None, "-Infinity")]


def test_lists_are_taken_apart() -> None:
    """SQLite's own two tables for it; others of its tables tell of more than runs."""
    assert ask(
        "select j.value from params, json_each(params.value) j order by 1",
        run(params={"layers": [64, 32]}),
    ) == [(32,), (64,)]
    assert ask("select count(*) from json_tree('[1, [2]]')", run()) == [(4,)]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 of Python 3.10 has no limits")
@pytest.mark.parametrize("value", ["randomblob(1e9)", "zeroblob(1e9)", "hex(zeroblob(4e7))"])
def test_no_value_fills_the_memory(value: str) -> None:
    """A slip of three digits is an error, and no machine that swaps."""
    with pytest.raises(UsageError, match="more than 64 MiB"):
        ask(f"select {value}", run())


# -- reading only ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "insert into runs (id) values ('x')",
        "update runs set name = 'x'",
        "delete from runs",
        "drop table runs",
        "create table x (a)",
        "create temp view v as select 1",
        "attach 'FILE' as other",
        "detach main",
        "vacuum",
        "vacuum into 'FILE'",
        "pragma query_only = 0",
        "pragma table_info(runs)",
        "select * from pragma_table_info('runs')",
        "select load_extension('x')",
        "begin",
        "commit",
        "savepoint x",
        "reindex",
        "analyze",
        "alter table runs add x",
        "create trigger t after insert on runs begin select 1; end",
        "with x as (select 1) insert into runs (id) select * from x",
        "explain select 1",
    ],
)
def test_a_statement_can_only_read(statement: str, tmp_path: Path) -> None:
    """Whoever pastes a statement from a page must not lose a file by it, nor write one."""
    file = tmp_path / "file"
    refused(statement.replace("FILE", str(file)))
    assert not file.exists()


@pytest.mark.parametrize("statement", ["select 1; select 2", "select 1; vacuum into '/x'", ";", ""])
def test_one_statement_is_run_at_a_time(statement: str) -> None:
    """What stands behind the first would be left out in silence."""
    refused(statement)


@pytest.mark.parametrize(
    ("statement", "words", "hint"),
    [
        ("select * from rnus", "no such table: rnus", "'runs'"),
        ("select stauts from runs", "no such column: stauts", "'status'"),
        ("select r.stauts from runs r", "no such column: r.stauts", "'status'"),
        ("select acc from runs", "no such column: acc", "from metrics where key = 'acc'"),
        ("select commit from runs", 'near "commit": syntax error', '"commit"'),
        ("select stdev(1)", "no such function: stdev", "stddev"),
        ("select ?", "parameter", "write the value"),
        ("select :x", "parameter", "write the value"),
        ("selct 1", "syntax error", "lists the tables"),
        ("select 'a' from runs where", "incomplete input", "lists the tables"),
        ("select \0 1", "", ""),
        ("select '\ud800'", "", ""),
        ("select " + "(" * 5000, "", ""),
        ("select sum(9223372036854775807) from runs", "integer overflow", ""),
        ("select name from runs where name regexp '('", "cannot be read", "docs.python.org"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_in_a_line(statement: str, words: str, hint: str) -> None:
    """SQLite's own words, and what most probably was meant."""
    error = refused(statement)
    assert words in error.message
    assert hint in (error.hint or "")
    assert "\n" not in error.message


def test_an_expression_that_explodes_is_given_up() -> None:
    """A pattern of the user's own must not take an hour."""
    error = refused("select name from runs where name regexp '(a+)+$'", run("a" * 5000 + "b"))
    assert "takes too long" in error.message


def test_a_fault_far_down_is_told_like_one_at_the_start() -> None:
    """Rows are made as they are taken, and so are their faults."""
    runs = [run(f"r{n}", exit_code=n) for n in range(3000)]
    with Selection(Held(*runs)) as selection:
        answer = selection.ask(
            "select abs(case exit_code when 2999 then -9223372036854775807 - 1 end) from runs"
        )
        with pytest.raises(UsageError, match="integer overflow"):
            list(answer.rows)


def test_functions_that_sqlite_lacks_are_there() -> None:
    """Deviation and median are what a table of repeated runs is for."""
    runs = [run(str(n), exit_code=n) for n in (1, 2, 4, 9)]
    assert ask("select stddev(exit_code), median(exit_code) from runs", *runs) == [
        (pytest.approx(3.5590, abs=1e-4), 3.0)
    ]
    assert ask("select stddev(1), median(null), stddev('x')") == [(None, None, None)]
    assert ask("select count(*) from runs where name regexp '^[12]$'", *runs) == [(2,)]


# -- a file of all --------------------------------------------------------------------------------


def test_a_file_holds_what_statements_see(tmp_path: Path) -> None:
    """One set of tables, whoever asks."""
    path = tmp_path / "runs.db"
    store(Held(*RUNS, rows=[Row(1, 0.5, {"acc": 0.25})]), path, without=("packages",))
    file = sqlite3.connect(path)
    try:
        names = [
            name for (name,) in file.execute("select name from sqlite_master where type = 'table'")
        ]
        assert names == [relation.name for relation in RELATIONS if relation.name != "packages"]
        for relation in RELATIONS:
            if relation.name != "packages":
                told = ask(f"select * from {relation.name}", rows=[Row(1, 0.5, {"acc": 0.25})])
                cursor = file.execute(f"select * from {relation.name}")
                assert list(cursor) == told
                assert [c[0] for c in cursor.description] == [c.name for c in relation.columns]
    finally:
        file.close()


def test_extremes_are_columns_of_metrics() -> None:
    """The two lists are matched by position."""
    (metrics,) = (relation for relation in RELATIONS if relation.name == "metrics")
    assert tuple(column.name for column in metrics.columns[3:]) == EXTREMES


def test_a_misspelt_name_in_quotes_is_no_text() -> None:
    """SQLite would answer with the name itself in each row."""
    assert refused('select "nosuch" from runs', run()).message == "no such column: nosuch"
    assert ask('select "name" from "runs" -- it\'s "nosuch"', run()) == [(run().name,)]
    assert ask('select \'a "b"\' as "x ""y`", `name` from runs', run()) == [('a "b"', run().name)]
    assert ask('select /* "nosuch */ [name] from runs', run()) == [(run().name,)]
