"""Which params matter: how a target differs with each of them. Pure.

Knows ranks, the levels of a param (its values, or ranges of them), and how little a few runs tell.
Knows nothing of where values come from, of forests, nor of how an answer is shown.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from gittrack.grouping import aggregates, as_float, comparable
from gittrack.summaries import Number, Value

__all__ = [
    "LEAST",
    "Effect",
    "Level",
    "Study",
    "chance",
    "correlation",
    "features",
    "ranks",
    "share",
    "study",
    "weighed",
]

LEAST = 4
"""Of fewer runs nothing is said: any three points look like a trend."""

_MOST_VALUES = 8
_RANGES = 5
_MOST_WORDS = 12

_Key: TypeAlias = tuple[str, Any]


class Level(NamedTuple):
    """One value of a param, or several, and the target of the runs that have it.

    `kind` says which: the value `low`, the range from `low` to `high`, no value at all, or the
    `low` rarest values together. `std` is that of a sample, None for a single run or where a target
    is infinite. `best` is the best target among them.
    """

    kind: Literal["value", "range", "absent", "others"]
    low: Any
    high: Any
    runs: int
    mean: float
    std: float | None
    best: float


class Effect(NamedTuple):
    """What is seen of one param.

    `values` is how many different ones it has, `runs` how many have it. `correlation` is that of
    the ranks (Spearman's rho), None unless the values are numbers. `share` is the part of the
    variance of the target's ranks that the levels account for, less what as many levels get by
    chance, 0 to 1; None where each run has a level of its own. `importance` is a forest's, if one
    was asked. The best of `levels` is the one with the best mean, among those of two runs at least
    where there are any.
    """

    param: str
    kind: Literal["number", "category"]
    values: int
    runs: int
    correlation: float | None
    share: float | None
    importance: float | None
    levels: tuple[Level, ...]
    best: Level

    @property
    def strength(self) -> float:
        """How much it seems to matter, 0 to 1: what effects are ordered by."""
        if self.importance is not None:
            return self.importance
        return max(self.share or 0.0, (self.correlation or 0.0) ** 2)


class Study(NamedTuple):
    """All that is seen: the effects, the strongest first, and what they cannot tell.

    `runs` have a target, `without` have none, or NaN. `constant` are params that all runs have
    alike, `labels` those whose every value, a text, is of one run alone. The params of each part of
    `together` change together and cannot be told apart. `varies` is false where all targets are
    equal: no param matters then.
    """

    lowest: bool
    runs: int
    without: int
    varies: bool
    effects: tuple[Effect, ...]
    constant: tuple[str, ...]
    labels: tuple[str, ...]
    together: tuple[tuple[str, ...], ...]


def study(
    target: Sequence[Any], params: Mapping[str, Sequence[Value]], *, lowest: bool = False
) -> Study:
    """Compare the params of runs, each a column as long as `target`, by their target.

    None is a param that a run does not have. A target that is no number, or NaN, is none, and that
    run counts for nothing. With `lowest` a low target is the better one.
    """
    kept = [place for place, value in enumerate(target) if comparable(value)]
    scores = [as_float(target[place]) for place in kept]
    by_rank = ranks(scores)
    constant, labels, effects = [], [], []
    parts: dict[tuple[int, ...], list[str]] = {}
    for name, column in params.items():
        values = [column[place] for place in kept]
        keys = [_key(value) for value in values]
        count = len(set(keys))
        if count < 2:
            constant += [name] if values and values[0] is not None else []
        elif count == len(keys) and not _are_numbers(keys):
            labels.append(name)
        else:
            effects.append(_effect(name, values, keys, scores, by_rank, lowest))
            parts.setdefault(_partition(keys), []).append(name)
    varies = len(set(scores)) > 1
    together = tuple(tuple(names) for names in parts.values() if len(names) > 1)
    effects.sort(key=lambda effect: (-effect.strength, effect.param))
    return Study(
        lowest, len(kept), len(target) - len(kept), varies, tuple(effects), tuple(constant),
        tuple(labels), together,
    )  # fmt: skip


def weighed(made: Study, importances: Mapping[str, float]) -> Study:
    """The study with a forest's importances, and in their order."""
    known = [effect._replace(importance=importances.get(effect.param)) for effect in made.effects]
    known.sort(key=lambda effect: (-(effect.importance or 0.0), effect.param))
    return made._replace(effects=tuple(known))


def chance(runs: int) -> float:
    """The correlation of ranks that one param in twenty exceeds though it has no effect at all.

    Two standard errors, 2 / sqrt(runs - 1), at most 1.
    """
    return min(1.0, 2 / math.sqrt(runs - 1)) if runs > 1 else 1.0


# -- ranks ----------------------------------------------------------------------------------------


def ranks(values: Sequence[Number]) -> list[float]:
    """The place of each value among all, from 1; equal ones share the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and values[order[stop]] == values[order[start]]:
            stop += 1
        for place in order[start:stop]:
            found[place] = (start + stop + 1) / 2
        start = stop
    return found


def correlation(first: Sequence[Number], second: Sequence[Number]) -> float | None:
    """Spearman's rank correlation, ties shared; None where one of them does not vary.

    Neither may contain NaN.
    """
    return _alike(ranks(first), ranks(second))


def _alike(one: Sequence[float], other: Sequence[float]) -> float | None:
    """The correlation of ranks."""
    middle = (len(one) + 1) / 2
    spread = math.fsum((a - middle) ** 2 for a in one) * math.fsum((b - middle) ** 2 for b in other)
    if not spread:
        return None
    common = math.fsum((a - middle) * (b - middle) for a, b in zip(one, other, strict=True))
    return max(-1.0, min(1.0, common / math.sqrt(spread)))


def share(by_rank: Sequence[float], groups: Sequence[int]) -> float | None:
    """The part of the variance of ranks that lies between groups, beyond what chance puts there.

    Eta squared of Kruskal and Wallis' H: (H - k + 1) / (n - k) for k groups, 0 where that is
    negative. None where each stands alone or nothing varies.
    """
    total = len(by_rank)
    middle = (total + 1) / 2
    sums: dict[int, list[float]] = {}
    for rank, group in zip(by_rank, groups, strict=True):
        entry = sums.setdefault(group, [0.0, 0.0])
        entry[0] += rank - middle
        entry[1] += 1
    whole = math.fsum((rank - middle) ** 2 for rank in by_rank)
    if not whole or total <= len(sums):
        return None
    between = math.fsum(entry[0] ** 2 / entry[1] for entry in sums.values())
    return max(0.0, 1 - (1 - between / whole) * (total - 1) / (total - len(sums)))


# -- one param ------------------------------------------------------------------------------------


def _effect(
    name: str,
    values: Sequence[Value],
    keys: Sequence[_Key],
    scores: Sequence[float],
    by_rank: Sequence[float],
    lowest: bool,
) -> Effect:
    drawn = _numbers(keys) if _are_numbers(keys) else _words(values, keys)
    levels = tuple(_level(part, scores, lowest) for part in drawn)
    groups = [0] * len(keys)
    for number, part in enumerate(drawn):
        for place in part.places:
            groups[place] = number
    numeric = _are_numbers(keys)
    ordered = [place for place, key in enumerate(keys) if key[0] == "number"]
    return Effect(
        param=name,
        kind="number" if numeric else "category",
        values=len({key for key in keys if key[0] != "absent"}),
        runs=sum(key[0] != "absent" for key in keys),
        correlation=_alike(
            ranks([keys[place][1] for place in ordered]),
            by_rank if len(ordered) == len(keys) else ranks([scores[p] for p in ordered]),
        )
        if numeric and len(ordered) >= LEAST
        else None,
        share=share(by_rank, groups),
        importance=None,
        levels=levels,
        best=min(_repeated(levels), key=lambda level: _goodness(level, lowest)),
    )


class _Part(NamedTuple):
    """The runs, by their places, that a level is made of."""

    kind: Literal["value", "range", "absent", "others"]
    low: Any
    high: Any
    places: Sequence[int]


def _numbers(keys: Sequence[_Key]) -> list[_Part]:
    """The levels of a param of numbers, the lowest first: each value, or ranges of them."""
    places = _places(keys)
    numbers = sorted(key[1] for key in places if key[0] == "number")
    others = [_single(key, math.nan, places) for key in places if key[0] == "nan"]
    others += [_Part("absent", None, None, places[key]) for key in places if key[0] == "absent"]
    if len(numbers) <= _MOST_VALUES:
        return [_single(("number", n), n, places) for n in numbers] + others
    return [
        _Part("range", part[0], part[-1], [p for n in part for p in places["number", n]])
        if len(part) > 1
        else _single(("number", part[0]), part[0], places)
        for part in _ranges(numbers, [len(places["number", n]) for n in numbers])
    ] + others


def _ranges(numbers: Sequence[Number], counts: Sequence[int]) -> list[list[Number]]:
    """The numbers in at most five ranges with about as many runs each; equal ones in one."""
    total = sum(counts)
    found: list[list[Number]] = []
    seen, current = 0, -1
    for number, count in zip(numbers, counts, strict=True):
        # By the middle of its runs, so that a frequent value has a range almost to itself.
        which = min(_RANGES - 1, int((seen + count / 2) * _RANGES / total))
        if which != current:
            found.append([])
            current = which
        found[-1].append(number)
        seen += count
    return found


def _words(values: Sequence[Value], keys: Sequence[_Key]) -> list[_Part]:
    """The levels of any other param, the most frequent first; the rarest of many together."""
    places = _places(keys)
    absent = [_Part("absent", None, None, places[key]) for key in places if key[0] == "absent"]
    known = [key for key in places if key[0] != "absent"]
    known.sort(key=lambda key: (-len(places[key]), key[0], key[1]))
    rare = known[_MOST_WORDS - 1 :] if len(known) > _MOST_WORDS else []
    parts = [
        _single(key, values[places[key][0]], places) for key in known[: len(known) - len(rare)]
    ]
    if rare:
        together = [place for key in rare for place in places[key]]
        parts.append(_Part("others", len(rare), None, together))
    return parts + absent


def _single(key: _Key, value: Any, places: Mapping[_Key, Sequence[int]]) -> _Part:
    return _Part("value", value, None, places[key])


def _places(keys: Sequence[_Key]) -> dict[_Key, list[int]]:
    found: dict[_Key, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return found


def _level(part: _Part, scores: Sequence[float], lowest: bool) -> Level:
    own = [scores[place] for place in part.places]
    choose: Callable[[Sequence[float]], float] = min if lowest else max
    mean, std = aggregates(["mean", "std"], own)
    assert mean is not None
    known = std if std is not None and math.isfinite(std) else None
    return Level(part.kind, part.low, part.high, len(own), mean, known, choose(own))


def _repeated(levels: Sequence[Level]) -> Sequence[Level]:
    """The levels of more than one run, if there are any: the mean of one run is luck."""
    return [level for level in levels if level.runs > 1] or levels


def _goodness(level: Level, lowest: bool) -> tuple[bool, float, int]:
    """What the best level has the least of: NaN comes last, of equal means that of more runs."""
    mean = level.mean if lowest else -level.mean
    return math.isnan(mean), 0.0 if math.isnan(mean) else mean, -level.runs


# -- values ---------------------------------------------------------------------------------------


def _key(value: Value) -> _Key:
    """What makes two values the same: 1 is 1.0, but neither `true` nor the text."""
    if value is None:
        return "absent", None
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, (int, float)):
        return ("number", value) if value == value else ("nan", "")
    if isinstance(value, str):
        return "text", value
    return "other", json.dumps(value, sort_keys=True, default=str)


def _are_numbers(keys: Sequence[_Key]) -> bool:
    """Whether a param is one of numbers, two different ones at least, as far as runs have it."""
    kinds = {key[0] for key in keys}
    return kinds <= {"number", "nan", "absent"} and len(_distinct(keys)) > 1


def _distinct(keys: Sequence[_Key]) -> set[Any]:
    return {key[1] for key in keys if key[0] == "number"}


def _partition(keys: Sequence[_Key]) -> tuple[int, ...]:
    """Which runs have equal values, whatever these are."""
    seen: dict[_Key, int] = {}
    return tuple(seen.setdefault(key, len(seen)) for key in keys)


def features(values: Sequence[Value]) -> list[list[float]]:
    """A param as columns of numbers, which a forest can split.

    Numbers as their ranks, and a column of whether there is one where some run has none. Of other
    values a column of whether it is that one, for the eleven most frequent.
    """
    keys = [_key(value) for value in values]
    if not _are_numbers(keys):
        common = [key for key, _ in Counter(keys).most_common(_MOST_WORDS)]
        return [[float(key == one) for key in keys] for one in common]
    there = [place for place, key in enumerate(keys) if key[0] == "number"]
    column = [0.0] * len(keys)
    for place, rank in zip(there, ranks([keys[place][1] for place in there]), strict=True):
        column[place] = rank
    if len(there) == len(keys):
        return [column]
    return [column, [float(key[0] == "number") for key in keys]]
