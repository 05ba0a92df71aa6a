"""Curves survive being text, exactly; a table that is none is refused with its line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import series, tsv
from gittrack.errors import BadFile
from gittrack.records import Row

numbers = st.one_of(st.floats(), st.integers(-(10**30), 10**30))
keys = st.one_of(
    st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=6),
    st.sampled_from(["step", "time", "metrics.step", "metrics.metrics.time", "metrics.a"]),
)
rows_ = st.lists(
    st.builds(
        Row,
        st.one_of(st.none(), st.integers(-1, 2**63)),
        st.integers(-(10**9), 10**15).map(lambda micros: micros / 10**6),
        st.dictionaries(keys, numbers, max_size=3),
    ),
    max_size=6,
)


@given(rows_)
@settings(deadline=None)
def test_what_is_written_is_read_back_exactly(rows: list[Row]) -> None:
    """NaN, infinities, negative zero and 30-digit integers are values; int stays int."""
    back = tsv.load(series.dump(rows), "metrics.tsv")
    assert repr([(r.step, sorted(r.values.items())) for r in back]) == repr(
        [(r.step, sorted(r.values.items())) for r in rows]
    )
    assert all(abs(a.time - b.time) < 1e-6 for a, b in zip(rows, back, strict=True))
    assert series.dump(back) == series.dump(rows)


def plainly(rows: list[Row]) -> str:
    """The table, written row by row."""
    metrics = sorted({name for row in rows for name in row.values})
    lines = ["\t".join(["step", "time", *map(series.column, metrics)])]
    for row in rows:
        time = f"{row.time:.6f}".rstrip("0").rstrip(".")
        cells = [repr(row.values[name]) if name in row.values else "" for name in metrics]
        lines.append("\t".join(["" if row.step is None else str(row.step), time, *cells]))
    return "\n".join(lines) + "\n"


@given(rows_)
@settings(deadline=None)
def test_a_table_written_by_column_is_the_one_written_row_by_row(rows: list[Row]) -> None:
    """Many rows at once are for speed only; the bytes are a frozen format."""
    assert series.dump(rows).decode() == plainly(rows)


@given(rows_)
@settings(deadline=None)
def test_one_curve_is_that_of_the_whole_table(rows: list[Row]) -> None:
    """It is read alone because the rest costs time, and says the same."""
    data = series.dump(rows)
    whole = tsv.load(data, "metrics.tsv")
    for metric in {name for row in rows for name in row.values}:
        alone = tsv.curve(data, metric, "metrics.tsv")
        assert repr(alone) == repr(series.points(whole, metric))
    assert tsv.curve(data, "no such metric", "metrics.tsv") == []
    assert tsv.names(data, "metrics.tsv") == sorted({name for row in rows for name in row.values})


def test_no_two_columns_have_one_name() -> None:
    """DVC and pandas read by name, and many log the seconds of an epoch as `time`."""
    table = series.dump([Row(1, 0.5, {"time": 9.5, "step": 2, "loss": 1})])
    assert table == b"step\ttime\tloss\tmetrics.step\tmetrics.time\n1\t0.5\t1\t2\t9.5\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"step\ttime",
        b"time\tstep\n",
        b"step\ttime\ta\ta\n",
        b"step\ttime\ta\n1\t2\n",
        b"step\ttime\ta\n1\t2\t3\t4\n5\t6\n",
        b"step\ttime\ta\n1\t2\t3\t4\n",
        b"step\ttime\ta\n1\tx\t3\n",
        b"step\ttime\ta\n1\tnan\t3\n",
        b"step\ttime\ta\n1.5\t0\t3\n",
        b"step\ttime\ta\n1\t0\tgood\n",
        b"step\ttime\ta\n1\t0\t" + b"9" * 5000 + b"x\n",
        b"step\ttime\ta\n1\t0\t3",
        b"step\ttime\t\xff\n",
        b"\0" * 1000,
    ],
)
def test_a_bad_table_is_refused_with_its_name(data: bytes) -> None:
    """One clear line, whatever a fetched run holds."""
    for read in (tsv.load, lambda data, where: tsv.curve(data, "a", where)):
        with pytest.raises(BadFile, match=r"^metrics\.tsv: ") as caught:
            read(data, "metrics.tsv")
        assert len(caught.value.message) < 300


def test_a_table_is_kept_only_where_it_says_more_than_the_last_values() -> None:
    """Most runs print one accuracy; a table for it would cost an object each."""
    assert not series.worth_keeping([Row(None, 0, {"a": 1}), Row(None, 1, {"b": 1})])
    assert series.worth_keeping([Row(None, 0, {"a": 1}), Row(None, 1, {"a": 1})])
    assert series.worth_keeping([Row(0, 0, {"a": 1})])


def test_last_and_points_follow_the_order_of_logging() -> None:
    """The last value logged is the metric's value, not the one of the highest step."""
    rows = [Row(5, 0.0, {"a": 1}), Row(1, 1.0, {"a": 2, "b": 3})]
    assert series.last(rows) == {"a": 2, "b": 3}
    assert series.points(rows, "a") == [(5, 0.0, 1), (1, 1.0, 2)]


def test_the_points_of_each_metric_are_counted_at_once() -> None:
    """Asked of one metric after the other, a hundred thousand of them take hours."""
    rows = [Row(1, 0.5, {"a": 1, "b": 2}), Row(None, 1.0, {"a": 3}), Row(2, 2.0, {"c": 4})]
    assert series.Table.of(rows).counts() == {"a": 2, "b": 1, "c": 1}
    many = series.Table.of([Row(0, 0.0, {f"k{n}": n for n in range(20_000)})])
    assert set(many.counts().values()) == {1}
