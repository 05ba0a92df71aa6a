"""Whether a condition holds for a run: the reading that everything else must agree with."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.conditions import (
    Absolute,
    All,
    Among,
    Compare,
    Curve,
    Field,
    Holds,
    In,
    Like,
    Match,
    Minus,
    Missing,
    Not,
    Spelled,
    Sum,
    Value,
)
from gittrack.conditions import Any as AnyOf
from gittrack.errors import UsageError
from gittrack.predicate import holds, value
from summaries import run

NAN, INF = math.nan, math.inf
PARAM = Field("params.x", "mixed")
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**63, 2**63 + 1, 10**400, 0.0, -0.0, 1.0, 0.1, 2.0**63, NAN, INF,
    -INF, "", "0", "1", "1.0", "True", "a", "A", "é", "\U0001f600", "\uffff", [], [1], {"a": 1},
]  # fmt: skip
NUMBERS = [v for v in VALUES if isinstance(v, (int, float)) and not isinstance(v, bool)]


def of(found: Any) -> Any:
    """A run that has a param x, or none."""
    return run(params={} if found is None else {"x": found})


def curves(metric: str) -> None:
    return None


def says(condition: Any, found: Any) -> bool:
    return holds(condition, of(found), curves)


def kind(found: Any) -> str:
    if isinstance(found, bool):
        return "boolean"
    if isinstance(found, (int, float)):
        return "number"
    return "text" if isinstance(found, str) else "other"


CONSTANTS = [v for v in VALUES if kind(v) != "other"]


@pytest.mark.parametrize("constant", CONSTANTS, ids=repr)
@pytest.mark.parametrize("found", VALUES, ids=lambda v: repr(v)[:20])
def test_only_what_is_of_one_type_compares(found: Any, constant: Any) -> None:
    """Exactly one of < = > for numbers and texts; = or != for truth values; else nothing at all."""
    true = {
        op
        for op in ("=", "!=", "<", "<=", ">", ">=")
        if says(Compare(op, PARAM, Value(constant)), found)
    }
    if kind(found) != kind(constant) or found != found or constant != constant:
        assert true == set()
    elif kind(found) == "boolean":
        assert true == {"=" if found is constant else "!="}
    elif found == constant:
        assert true == {"=", "<=", ">="}
    else:
        assert true == ({"!=", "<", "<="} if found < constant else {"!=", ">", ">="})
    assert says(In(PARAM, (constant,)), found) == ("=" in true)


@pytest.mark.parametrize("found", VALUES, ids=lambda v: repr(v)[:20])
def test_not_is_true_exactly_where_the_rest_is_not(found: Any) -> None:
    """Two values, and no third one."""
    for condition in (
        Compare("!=", PARAM, Value(1)),
        Like(PARAM, "%", False),
        In(PARAM, (1, "a")),
        Missing(PARAM),
        Holds("params.x"),
    ):
        assert says(Not(condition), found) is not says(condition, found)


@pytest.mark.parametrize("found", VALUES, ids=lambda v: repr(v)[:20])
def test_only_what_is_not_there_is_missing(found: Any) -> None:
    """NaN, an empty text and an empty list are there; None as a param's value is not."""
    assert says(Missing(PARAM), found) == (found is None)
    assert holds(Missing(PARAM), run(params={"x": None}), curves)
    assert says(Holds("params.x"), found) == (found is True)


def test_all_and_any_of_nothing() -> None:
    """An empty query holds for every run."""
    assert says(All(()), 1) and not says(AnyOf(()), 1)
    yes, no = Missing(Field("params.y", "mixed")), Holds("dirty")
    for parts in product((yes, no), repeat=2):
        assert says(All(parts), 1) == (parts == (yes, yes))
        assert says(AnyOf(parts), 1) == (parts != (no, no))


@pytest.mark.parametrize(
    ("pattern", "fold", "fits", "fails"),
    [
        ("a%", False, ["a", "ab", "a\nb", "a%"], ["", "ba", "A"]),
        ("%b", False, ["b", "ab", "bb"], ["ba", "B"]),
        ("a_c", False, ["abc", "a\nc", "a\U0001f600c"], ["ac", "abbc"]),
        ("%a%b%", False, ["ab", "xaxbx"], ["ba", "a"]),
        ("", False, [""], ["a"]),
        ("%", False, ["", "a"], []),
        ("a.c\\", False, ["a.c\\"], ["abc\\"]),
        ("É%", True, ["éa", "ÉA"], ["e"]),
        ("a%a", False, ["aa", "aba"], ["a"]),
    ],
)
def test_a_pattern_is_about_the_whole_text(
    pattern: str, fold: bool, fits: list[str], fails: list[str]
) -> None:
    """`%` is any text, `_` one character, everything else is itself."""
    for text in fits:
        assert says(Like(PARAM, pattern, fold), text)
    for text in (*fails, 1, True, None, ["a"]):
        assert not says(Like(PARAM, pattern, fold), text)


def test_an_expression_is_searched_for_anywhere() -> None:
    """As `re.search` has it."""
    assert says(Match(PARAM, "b+$"), "abb")
    assert not says(Match(PARAM, "^b"), "abb")
    assert not says(Match(PARAM, "1"), 1)


def test_an_expression_that_explodes_is_stopped_and_told() -> None:
    """With what stopped, and at which run."""
    with pytest.raises(UsageError, match=r"\(a\|aa\).*blue-heron") as caught:
        says(Match(PARAM, "^(a|aa)+$"), "a" * 200 + "b")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("found", "spelled"),
    [("a", "a"), (1, "1"), (1.0, "1.0"), (0.01, "0.01"), (True, "True"), (INF, "inf"),
     (-0.0, "-0.0"), (1e-7, "1e-07"), (10**400, "1" + "0" * 400),
     (NAN, None), (None, None), ([1], None), ({}, None)],
)  # fmt: skip
def test_a_param_is_spelled_as_mlflow_keeps_it(found: Any, spelled: str | None) -> None:
    """There, whatever is logged becomes its str()."""
    assert value(Spelled(PARAM), of(found), curves) == spelled


def test_an_integer_too_long_to_be_written_is_not_spelled() -> None:
    """Python refuses, where that would take long."""
    assert value(Spelled(PARAM), of(10**5000), curves) is None


@settings(deadline=None)
@given(st.sampled_from("+-*/"), st.sampled_from(VALUES), st.sampled_from(VALUES))
def test_arithmetic_is_of_numbers(op: str, left: Any, right: Any) -> None:
    """Anything else is missing, and so is a division by zero; nothing is raised."""
    made = value(
        Sum(op, PARAM, Field("params.y", "mixed")), run(params={"x": left, "y": right}), curves
    )
    if {kind(left), kind(right)} != {"number"} or (op == "/" and right == 0):
        assert made is None
        return
    assert kind(made) == "number"
    if max(abs(left), abs(right)) < 2**53:
        plain = {"+": left + right, "-": left - right, "*": left * right, "/": left / (right or 1)}[
            op
        ]
        assert made == plain or made != made


@pytest.mark.parametrize("number", NUMBERS, ids=lambda v: repr(v)[:20])
def test_signs(number: Any) -> None:
    """The sign turned, and left away."""
    turned, size = (value(f(PARAM), of(number), curves) for f in (Minus, Absolute))
    assert (turned == -number and size == abs(number)) or number != number


@pytest.mark.parametrize("found", [None, True, "1", [1]])
def test_only_numbers_have_a_sign(found: Any) -> None:
    """-True is not -1."""
    assert value(Minus(PARAM), of(found), curves) is None
    assert value(Absolute(PARAM), of(found), curves) is None


def test_attributes_are_read_as_documented() -> None:
    """Times are whole microseconds, a command is one line, a duration seconds."""
    began = datetime(2026, 1, 1, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=5)))
    one = run(
        "calm-lynx", started=began, ended=began + timedelta(microseconds=1_500_001), dirty=True,
        command=("python", "a b.py"), exit_code=3, base="b" * 40,
    )  # fmt: skip
    found = {
        key: value(Field(key, ""), one, curves)
        for key in (
            "started",
            "ended",
            "duration",
            "command",
            "exit_code",
            "dirty",
            "name",
            "title",
        )
    }
    assert found == {
        "started": 1767211323456789,
        "ended": 1767211324956790,
        "duration": 1.500001,
        "command": "python 'a b.py'",
        "exit_code": 3,
        "dirty": True,
        "name": "calm-lynx",
        "title": None,
    }
    early = run(started=datetime(1969, 12, 31, tzinfo=timezone.utc), ended=None)
    assert value(Field("started", "time"), early, curves) == -86_400_000_000
    assert value(Field("command", "text"), early, curves) is None
    assert value(Field("duration", "number"), early, curves) is None


def test_a_curve_is_asked_for_once_it_is_needed() -> None:
    """The last value is in the run itself."""
    asked: list[str] = []

    def known(metric: str) -> dict[str, int] | None:
        asked.append(metric)
        return {"max": 7} if metric == "loss" else None

    one = run(metrics={"loss": 3})
    assert value(Curve("last", "loss"), one, known) == 3 and asked == []
    assert value(Curve("max", "loss"), one, known) == 7
    assert value(Curve("min", "loss"), one, known) is None
    assert value(Curve("max", "acc"), one, known) is None
    assert asked == ["loss", "loss", "acc"]


def test_among_looks_at_the_key_that_it_names() -> None:
    """A run that is running has no commit, and is in no set of them."""
    one = run(base="b" * 40, commit=None)
    assert holds(Among("base", frozenset(("b" * 40,))), one, curves)
    assert not holds(Among("commit", frozenset(("b" * 40,))), one, curves)
