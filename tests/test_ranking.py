"""Who wins, by how much, and in which direction."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.grouping import comparable
from gittrack.ranking import best, is_lowest, sounds_low

NAN = math.nan


@pytest.mark.parametrize(
    ("values", "lowest", "winners"),
    [
        ([1, 3.5, 2], False, [(1, 1.5), (2, 1), (0, None)]),
        ([1, 3.5, 2], True, [(0, 1), (2, 1.5), (1, None)]),
        ([NAN, 1, NAN], False, [(1, None)]),
        ([True, "9", None, [9], -5], False, [(4, None)]),
        ([2, 2.0, 1], False, [(0, 0), (1, 1.0), (2, None)]),
        ([math.inf, math.inf, 1.0], False, [(0, 0), (1, math.inf), (2, None)]),
        ([-math.inf, 1.0], False, [(1, math.inf), (0, None)]),
        ([10**400, 0.5], False, [(0, math.inf), (1, None)]),
        ([2**60 + 1, 2**60], False, [(0, 1), (1, None)]),
        ([NAN, None, "x"], False, []),
        ([], False, []),
    ],
)
def test_the_best_come_first_with_their_margin(
    values: list[Any], lowest: bool, winners: list[tuple[int, Any]]
) -> None:
    """NaN, texts and truth values never win; of equal ones the earlier, and so newer, run does."""
    found = best(values, lowest=lowest, count=3)
    assert [(winner.place, winner.margin) for winner in found] == winners
    assert [winner.rank for winner in found] == [1, 2, 3][: len(found)]
    assert all(winner.runs == sum(map(comparable, values)) for winner in found)


def test_each_group_has_its_own_winners() -> None:
    """The best group comes first; what is absent is a group; 1 is 1.0 but not true."""
    models: list[Any] = ["a", "b", "a", None, "b", "b"]
    sizes: list[Any] = [1, 1, 1.0, 1, True, 1]
    found = best([1, 5, 3, 4, 9, NAN], [models, sizes])
    assert [(w.place, w.group, w.next, w.margin, w.runs) for w in found] == [
        (4, ("b", True), None, None, 1),
        (1, ("b", 1), None, None, 1),
        (3, (None, 1), None, None, 1),
        (2, ("a", 1), 0, 2, 2),
    ]


@given(st.lists(st.one_of(st.integers(), st.floats(), st.none(), st.booleans(), st.text())))
@settings(deadline=None)
def test_the_winner_is_beaten_by_nobody(values: list[Any]) -> None:
    """Whatever stands in the column."""
    high, low = best(values), best(values, lowest=True)
    numbers = [value for value in values if comparable(value)]
    assert [winner.value for winner in high] == ([max(numbers)] if numbers else [])
    assert [winner.value for winner in low] == ([min(numbers)] if numbers else [])
    for winner in [*high, *low]:
        assert winner.margin is None or winner.margin >= 0


@pytest.mark.parametrize(
    ("metric", "listed", "is_low"),
    [
        ("val_loss", ["val_loss"], True),
        ("metrics.val_loss", ["val_loss"], True),
        ("val_loss", ["metrics.val_loss"], True),
        ("val_loss", ["rmse", "*loss"], True),
        ("val_loss", ["rmse, val_loss"], True),
        ("Val_loss", ["val_loss"], False),
        ("glossy", ["*loss"], False),
        ("loss", [], False),
        ("loss", ["", " , "], False),
    ],
)
def test_the_user_says_what_is_low(metric: str, listed: list[str], is_low: bool) -> None:
    """Names, full keys and patterns, one a line of the configuration or several."""
    assert is_lowest(metric, listed) is is_low


@pytest.mark.parametrize(
    ("metric", "sounds"),
    [("loss", True), ("valLoss", True), ("val/RMSE", True), ("test_error_rate", True),
     ("WER", True), ("metrics.nll", True), ("glossy", False), ("terror", False),
     ("accuracy", False), ("", False), ("é", False)],
)  # fmt: skip
def test_a_name_only_sounds_low(metric: str, sounds: bool) -> None:
    """Good enough to ask, never to decide: whole words, in any spelling."""
    assert sounds_low(metric) is sounds
