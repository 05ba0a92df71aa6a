"""How single values look to people."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import cells

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


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
    assert cells.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just"), (59, "just"), (-500, "just"), (60, "1m"), (3599, "59m"), (3600, "1h"),
        (86399, "23h"), (86400, "1d"), (86400 * 999, "999d"), (86400 * 1000, "2y"),
    ],
)  # fmt: skip
def test_ages(seconds: int, text: str) -> None:
    """A clock that is ahead is no reason for a negative age."""
    assert cells.age(NOON, NOON + timedelta(seconds=seconds)) == text


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
        ([16780123, 7], ["16780123", "7"]),
        ([-(2**63), 2**63 - 1], ["-9223372036854775808", "9223372036854775807"]),
        ([2**53 + 1, 0.5], ["9007199254740993", "0.5"]),
    ],
    ids=[f"case{n}" for n in range(18)],
)
def test_numbers_of_one_column_have_the_same_decimals(values: list[Any], texts: list[str]) -> None:
    """Points under points: the eye compares; too far apart, each stands for itself."""
    assert cells.numbers(values) == texts


@given(st.lists(st.one_of(st.floats(), st.integers()), min_size=1, max_size=6))
@settings(deadline=None)
def test_no_number_fails(values: list[float]) -> None:
    """A fetched record holds any number."""
    assert len(cells.numbers(values)) == len(values)


@given(st.text(max_size=60), st.integers(2, 40))
@settings(deadline=None)
def test_a_cut_text_is_no_wider_than_asked(text: str, width: int) -> None:
    """Wide characters count twice, combining ones nothing."""
    kept = cells.cut(text, width)
    assert cells.width_of(kept) <= width
    assert kept == text or kept.endswith("…")


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("é", 1), ("e\u0301", 1), ("模型", 4), ("🎉", 2), ("Ａ", 2), ("·…", 2)],
)
def test_a_width_is_what_a_terminal_takes(text: str, width: int) -> None:
    """Source: Unicode Standard Annex 11; ambiguous characters are narrow, as outside East Asia."""
    assert cells.width_of(text) == width
    assert cells.align(text, 6) == text + " " * (6 - width)
    assert cells.align(text, 6, right=True) == " " * (6 - width) + text
