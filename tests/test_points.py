"""Numbers are exact or none, steps are whole and finest first."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import points
from gittrack.records import Row


@settings(deadline=None)
@given(st.floats() | st.integers(-(10**30), 10**30))
def test_numbers_come_back(value: float | int) -> None:
    """From what Python prints, digit by digit, and as the kind that they were."""
    assert repr(points.number(repr(value))) == repr(value)
    assert points.is_number(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("+3", 3), ("007", 7), (".5", 0.5), ("5.", 5.0), ("-1E3", -1000.0), ("INF", math.inf),
        ("-infinity", -math.inf), ("1e999", math.inf), ("9" * 308, int("9" * 308)),
        ("9" * 309, None), ("", None), (" 1", None), ("1\n", None), ("1_0", None), ("0x1", None),
        ("e5", None), (".", None), ("1e", None), ("--1", None), ("\u0663", None), ("nano", None),
    ],
)  # fmt: skip
def test_what_is_a_number_in_text(text: str, value: float | None) -> None:
    """Neither more nor less than a program writes."""
    assert repr(points.number(text)) == repr(value)


@pytest.mark.parametrize("value", [True, False, "1", None, [1], 10**308, -(10**308), 1j])
def test_what_is_no_number(value: Any) -> None:
    """A truth value is none, nor is a whole number that would be infinite as a float."""
    assert not points.is_number(value)


@pytest.mark.parametrize(
    ("values", "step", "rest"),
    [
        ({"step": 3, "loss": 1}, 3, {"loss": 1}),
        ({"Global_Step": 9, "step": 3, "epoch": 1}, 9, {"step": 3, "epoch": 1}),
        ({"epoch": 1, "iter": 4}, 4, {"epoch": 1}),
        ({"epoch": 0.5}, None, {"epoch": 0.5}),
        ({"epoch": 0.5, "step": 2**63}, None, {"epoch": 0.5, "step": 2**63}),
        ({"step": True}, None, {"step": True}),
        ({"steps": 3}, None, {"steps": 3}),
        ({}, None, {}),
    ],
)
def test_the_finest_step_is_taken(
    values: dict[str, Any], step: int | None, rest: dict[str, Any]
) -> None:
    """A coarser one stays: an epoch is worth seeing, too."""
    assert points.take_step(values) == step
    assert values == rest


def test_last_takes_the_last_value_of_each() -> None:
    """A listing shows one number per metric."""
    rows = [Row(1, 0.0, {"a": 1, "b": 2}), Row(2, 1.0, {"a": 3}), Row(0, 2.0, {"c": math.inf})]
    assert points.last(rows) == {"a": 3, "b": 2, "c": math.inf}
    assert points.last([]) == {}
