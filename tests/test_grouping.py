"""Groups, pivots and what is said of many numbers."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import grouping
from gittrack.grouping import AGGREGATES, aggregate, groups, pivot

NAN, INF = math.nan, math.inf

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, -0.0, 1.0, 2.5, NAN, INF]),
    st.sampled_from(["", "1", "a", "é"]), st.lists(st.integers(0, 2), max_size=2),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 1)),
)  # fmt: skip


# -- groups -----------------------------------------------------------------------------------


def test_groups_stand_by_value_and_know_their_rows() -> None:
    """Numbers as numbers: 10 after 9; whoever has nothing comes last."""
    found = groups([[10, 9, None, 9, "x"]])
    assert found == [((9,), (1, 3)), ((10,), (0,)), (("x",), (4,)), ((None,), (2,))]
    assert found[0].of("abcde") == ["b", "d"]


def test_two_columns_group_by_both() -> None:
    """As GROUP BY a, b."""
    found = groups([["a", "b", "a", "a"], [1, 1, 2, 1]])
    assert found == [(("a", 1), (0, 3)), (("a", 2), (2,)), (("b", 1), (1,))]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (True, 1, False),
        (False, 0.0, False),
        (NAN, -NAN, True),
        (NAN, None, False),
        ("1", 1, False),
        ([1, 2], (1, 2), True),
        ([True], [1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": [NAN]}, {"a": [NAN]}, True),
        ([["truth", True]], [True], False),
        ("e\u0301", "é", False),
    ],
)
def test_what_is_one_value(one: Any, other: Any, same: bool) -> None:
    """True is no 1 to a user, though it is to Python; a run's list is a value like any other."""
    assert len(groups([[one, other]])) == 2 - same


def test_no_rows_make_no_groups() -> None:
    """`--group-by` with a query that nothing answers."""
    assert groups([[], []]) == []
    assert pivot([], []) == ((), (), ())


@settings(deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=12))
def test_every_row_is_in_one_group(rows: list[tuple[Any, Any]]) -> None:
    """Else a count would lie."""
    columns = [[row[n] for row in rows] for n in range(2)]
    found = groups(columns)
    assert sorted(row for group in found for row in group.rows) == list(range(len(rows)))
    for group in found:
        for row in group.rows:
            here = tuple(column[row] for column in columns)
            assert tuple(map(grouping.identity, here)) == tuple(
                map(grouping.identity, group.values)
            )


@settings(deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=12))
def test_a_pivot_holds_what_groups_by_both_hold(rows: list[tuple[Any, Any]]) -> None:
    """The same runs, laid out in two dimensions."""
    columns = [[row[n] for row in rows] for n in range(2)]
    table = pivot(*columns)
    filled = {cell for line in table.cells for cell in line if cell}
    assert filled == {group.rows for group in groups(columns)}
    assert all(len(line) == len(table.columns) for line in table.cells)
    assert len(table.cells) == len(table.rows)


# -- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("mean", [1, 2, 6], 3.0),
        ("mean", [True, 4, "7", None, NAN], 4.0),
        ("mean", [1e308, 1e308], 1e308),
        ("mean", [INF, 1], INF),
        ("mean", [INF, -INF], NAN),
        ("mean", [10**400, 10**400], INF),
        ("std", [1, 2, 6], math.sqrt(7)),
        ("std", [4], None),
        ("std", [4, 4], 0.0),
        ("std", [0.1, 0.1, 0.1], 0.0),
        ("std", [1e200, -1e200], math.sqrt(2) * 1e200),
        ("std", [INF, 1], NAN),
        ("min", [3, 1.5, NAN], 1.5),
        ("max", [3, 10**400], 10**400),
        ("median", [5, 1, 3], 3),
        ("median", [4, 1, 3, 2], 2.5),
        ("sum", [1, 2], 3),
        ("sum", [10**30, 1], 10**30 + 1),
        ("sum", [0.1] * 10, 1.0),
        ("count", [1, None, NAN, "x", True, INF], 2),
        ("count", [], 0),
        ("mean", [], None),
        ("max", ["x"], None),
    ],
)
def test_aggregates(name: str, values: list[Any], expected: Any) -> None:
    """Exact where that is possible, and no run of any kind of value breaks them."""
    found = aggregate(name, values)
    if expected is None or isinstance(expected, int):
        assert found == expected and type(found) is type(expected)
    else:
        assert found is not None
        assert found == pytest.approx(expected, rel=1e-15, nan_ok=True)


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text())))
def test_many_are_told_as_each_alone(values: list[Any]) -> None:
    """They share what is worked out, and a column of one type is not looked at value by value."""
    together = grouping.aggregates(AGGREGATES, values)
    mixed = [aggregate(name, [*values, None, "x"]) for name in AGGREGATES]
    assert repr(together) == repr(mixed)


@settings(deadline=None)
@given(st.lists(VALUES, max_size=6))
def test_what_varies_has_two_groups(column: list[Any]) -> None:
    """1 and 1.0 do not vary, 1 and true do."""
    assert grouping.varies(column) == (len(groups([column])) > 1)


NUMBERS = st.lists(
    st.one_of(st.floats(-1e100, 1e100), st.integers(-(10**20), 10**20)), min_size=2, max_size=20
)


@settings(deadline=None)
@given(NUMBERS)
def test_aggregates_are_those_of_the_standard_library(values: list[float]) -> None:
    """Which is exact, and too slow to load for a listing."""
    scale = max(map(abs, values), default=0)
    assert aggregate("mean", values) == pytest.approx(statistics.mean(values), abs=scale * 1e-14)
    assert aggregate("std", values) == pytest.approx(statistics.stdev(values), abs=scale * 1e-7)
    assert aggregate("median", values) == pytest.approx(
        statistics.median(values), abs=scale * 1e-14
    )


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(), st.integers(), st.just(10**400)), max_size=8))
def test_no_numbers_break_an_aggregate(values: list[float]) -> None:
    """A mean lies between the least and the greatest; overflow is an infinity, not an error."""
    found = {name: aggregate(name, values) for name in AGGREGATES}
    least, mean, greatest = found["min"], found["mean"], found["max"]
    if least is None or mean is None or greatest is None:
        assert found["count"] == 0
    elif not math.isnan(mean):
        # The mean is a float, which an integer need not be.
        assert least <= mean <= greatest or mean in (_float(least), _float(greatest))


def _float(value: float) -> float:
    return grouping.aggregate("mean", [value]) or 0.0
