"""The changes of a model in one order, in words, each with what followed from it.

Knows how what has a counter and what has only a date stand beside one another: no date ever moves
what counters order. Knows nothing of runs and of the terminal; pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import pairwise
from typing import NamedTuple

from gittrack import tagging
from gittrack.registry import Change, Model

__all__ = ["Deed", "all_deeds", "deeds", "last", "ordered", "words"]


class Deed(NamedTuple):
    """A decision: its change, and the changes that were only its consequences.

    `words` say what it did, without the model's name; `cause` is the tag of the decision that a
    consequence stands apart from.
    """

    change: Change
    words: str
    consequences: tuple[Change, ...] = ()
    cause: str | None = None


def deeds(model: Model, *, full: bool = False) -> list[Deed]:
    """What was done to a model, the latest first; with `full` consequences stand for themselves."""
    changes = ordered(model)
    by_tag = {one.tag: one for one in changes}
    places = {one.tag: place for place, one in enumerate(changes)}
    followed: dict[str, list[Change]] = {}
    decided: list[Change] = []
    for one in changes:
        cause = _cause(one, by_tag, places)
        if cause is None or full:
            decided.append(one)
        else:
            followed.setdefault(cause, []).append(one)
    return [
        Deed(one, words(one, by_tag), tuple(followed.get(one.tag, ())), _cause(one, by_tag, places))
        for one in reversed(decided)
    ]


def all_deeds(models: Iterable[Model], *, full: bool = False) -> Iterator[Deed]:
    """What was done to several models, the latest first; each model's keep their order."""
    return merge(
        *(deeds(model, full=full) for model in models),
        key=lambda deed: (-(deed.change.moment or 0), deed.change.model),
    )


def _cause(change: Change, by_tag: dict[str, Change], places: dict[str, int]) -> str | None:
    """The decision that a change follows from, if it is one, and came before it."""
    cause = change.cause
    seen = by_tag.get(cause or "")
    if cause is None or seen is None or seen.cause is not None:
        return None
    return cause if places[cause] < places[change.tag] else None


def last(model: Model) -> Change | None:
    """The last decision about a model, None if there is none."""
    return next((one for one in reversed(ordered(model)) if one.cause is None), None)


# -- the order ------------------------------------------------------------------------------------


def ordered(model: Model) -> list[Change]:
    """All changes of a model, the first first.

    Changes of stages stand in the order in which they count. What has no place in it (as a rule a
    registration) stands by its counter if it has one, else where the fewest dates contradict it,
    before the first change of its version, and what ends a version after its registration.
    """
    staged = [one for one in model.history if one.stage is not None]
    others = [one for one in model.history if one.stage is None]
    counters = [one.counter or 0 for one in staged]
    dates = [one.moment or 0 for one in staged]
    in_order = all(a <= b for a, b in pairwise(dates))
    first: dict[str | None, int] = {}
    for place, one in enumerate(staged):
        first.setdefault(one.version, place)
    registered: dict[str | None, int] = {}
    placed: list[tuple[int, int, int, str, Change]] = []
    for one in sorted(others, key=_early):
        if one.counter is not None:
            place = bisect_right(counters, one.counter)
        elif in_order:
            place = bisect_right(dates, one.moment or 0)
        else:
            place = _by_date(dates, one.moment or 0)
        if one.action == "register":
            place = min(place, first.get(one.version, place))
            registered[one.version] = place
        place = max(place, registered.get(one.version, 0) if one.action == "unregister" else 0)
        placed.append((place, one.moment or 0, _RANKS[one.action], one.tag, one))
    made = _settled(placed)
    return [
        one
        for place in range(len(staged) + 1)
        for one in [*made.get(place, ()), *staged[place : place + 1]]
    ]


_RANKS = {action: rank for rank, action in enumerate(("register", "unregister", "deprecate"))}


def _early(change: Change) -> tuple[int, int, str]:
    return _RANKS[change.action], change.moment or 0, change.tag


def _by_date(dates: Sequence[int], moment: int) -> int:
    """Where a date contradicts the fewest of those before and after it; of equals the last."""
    wrong = best = sum(date <= moment for date in dates)
    place = 0
    for position, date in enumerate(dates, 1):
        wrong += -1 if date <= moment else 1
        if wrong <= best:
            best, place = wrong, position
    return place


def _settled(placed: Iterable[tuple[int, int, int, str, Change]]) -> dict[int, list[Change]]:
    """The changes of each place by date; what ends a version never before its registration."""
    made: dict[int, list[Change]] = {}
    for place, _, _, _, one in sorted(placed, key=lambda known: known[:4]):
        there = made.setdefault(place, [])
        if one.action == "register":
            ends = (n for n, other in enumerate(there) if other.version == one.version)
            there.insert(next(ends, len(there)), one)
        else:
            there.append(one)
    return made


# -- in words -------------------------------------------------------------------------------------


def words(change: Change, by_tag: dict[str, Change]) -> str:
    """What a change did, without the model's name: `v1.2.0 to production (before: v1.1.0)`.

    `by_tag` are the model's changes, of which one may be what it replaced.
    """
    named = "" if change.version is None else f"v{change.version}"
    if change.action == "deprecate":
        return "deprecated: not to be used any more"
    if change.action == "register":
        return f"{named} registered"
    if change.action == "unregister":
        return f"{named} taken back"
    return _staged(change, named, by_tag)


def _staged(change: Change, named: str, by_tag: dict[str, Change]) -> str:
    stage = change.stage or ""
    if change.action == "unassign":
        left = f"{stage} points at {named} no more" if change.is_alias else f"{named} left {stage}"
        if change.has_effect or _follows(change, by_tag.get(change.cause or "")):
            return left
        return f"{left} (no effect)"
    if stage == tagging.ARCHIVED and not change.is_alias:
        return f"{named} archived"
    former = by_tag.get(change.replaced or "")
    before = f"v{former.version}" if former is not None else "nobody"
    if former is not None and former.version == change.version:
        return f"{stage} still points at {named}" if change.is_alias else f"{named} keeps {stage}"
    if change.is_alias:
        return f"{stage} points at {named}" + (f" (before: {before})" if former else "")
    if change.trailers.get("restores"):
        return f"{stage} back to {named} (before: {before})"
    return f"{named} to {stage} (before: {before})"


def _follows(change: Change, cause: Change | None) -> bool:
    """Whether what a change takes away was taken by the decision already that it names."""
    if cause is None or cause.action != "assign":
        return False
    return change.version == cause.version or change.stage == cause.stage
