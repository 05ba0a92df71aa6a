"""The best runs by one value, in all or in each group, and by how much they are. Pure.

Knows that NaN never wins, and which metrics the user wants low. Knows nothing of runs: values and
groups are columns, an answer names their places.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gittrack import grouping
from gittrack.summaries import Number

__all__ = ["Winner", "best", "is_lowest", "sounds_low"]

_LOW = re.compile(
    "loss|err|error|r?mse|mae|mape|perplexity|ppl|[wc]er|regret|divergence|nll|entropy|brier|fid|latency"
)
_WORDS = re.compile("[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+")


class Winner(NamedTuple):
    """One of the best: its place in the columns, its value, and its rank in its group, from 1.

    `next` is the place of the one behind it, None where nobody is; `margin` how much better it is
    than that, never negative. `group` is what its group has in common, () without groups; `runs`
    how many of it have a value.
    """

    place: int
    value: Number
    rank: int
    next: int | None
    margin: Number | None
    group: tuple[Any, ...]
    runs: int


def best(
    values: Sequence[Any],
    groups: Sequence[Sequence[Any]] = (),
    *,
    lowest: bool = False,
    count: int = 1,
) -> list[Winner]:
    """The best `count` of each group, the group with the best winner first.

    `groups` are columns as long as `values`; what is equal in all of them is one group, None too.
    `count` is 1 at least. Of equal values the earlier place wins. What is no number, and NaN, never
    wins.
    """
    there = [place for place, value in enumerate(values) if grouping.comparable(value)]
    gathered: Sequence[tuple[tuple[Any, ...], Sequence[int]]] = [((), there)] if there else []
    if groups:
        columns = [[column[place] for place in there] for column in groups]
        gathered = [
            (group.values, [there[row] for row in group.rows]) for group in grouping.groups(columns)
        ]
    found = [
        _winners(values, sorted(places, key=values.__getitem__, reverse=not lowest), own, count)
        for own, places in gathered
    ]
    found.sort(key=lambda winners: winners[0].value, reverse=not lowest)
    return [winner for winners in found for winner in winners]


def is_lowest(metric: str, listed: Iterable[str]) -> bool:
    """Whether a metric is among those whose lowest value is the best.

    `listed` are names, full keys or shell patterns, several in one text with commas between.
    """
    from fnmatch import fnmatchcase

    bare = metric.removeprefix("metrics.")
    names = [name.strip() for text in listed for name in text.split(",")]
    return any(fnmatchcase(bare, n) or fnmatchcase(f"metrics.{bare}", n) for n in names if n)


def sounds_low(metric: str) -> bool:
    """Whether a metric's name sounds as if low were better: only good enough for a question."""
    return any(_LOW.fullmatch(word.lower()) for word in _WORDS.findall(metric))


def _winners(
    values: Sequence[Number], places: Sequence[int], group: tuple[Any, ...], count: int
) -> list[Winner]:
    found = []
    for rank, place in enumerate(places[:count]):
        after = places[rank + 1] if rank + 1 < len(places) else None
        margin = None if after is None else _margin(values[place], values[after])
        found.append(Winner(place, values[place], rank + 1, after, margin, group, len(places)))
    return found


def _margin(one: Number, other: Number) -> Number:
    if one == other:
        # Two infinities have no difference.
        return 0 if isinstance(one, int) and isinstance(other, int) else 0.0
    try:
        return abs(one - other)
    except OverflowError:
        return math.inf
