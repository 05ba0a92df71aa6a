"""What stands in a query itself: numbers, texts, truth values, lengths of time; pure.

Knows what each is to people, which texts MLflow takes for numbers, and whole milliseconds.
"""

from __future__ import annotations

import re
from math import ceil, floor, isfinite

from gittrack.conditions import All, Bound, Compare, Missing, Not, Scalar, Term, Value

__all__ = ["KINDS", "kind", "of_milliseconds", "seconds", "spellings"]

KINDS = {
    "number": "a number",
    "text": "a text",
    "boolean": "a truth value",
    "time": "a time",
    "mixed": "a param",
}
"""The kinds of values, to people."""

_LENGTH = r"\s*(\d{1,15}\.?\d{0,15}|\.\d{1,15})\s*([a-z]*)"
_UNITS = {
    **dict.fromkeys(("ms",), 0.001),
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
}


def kind(value: Scalar) -> str:
    """What a value is: number, text or boolean."""
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def spellings(text: str) -> tuple[Scalar, ...]:
    """A text, and the number or truth value whose str() it is."""
    if text in ("True", "False"):
        return text, text == "True"
    for number in (int, float):
        try:
            found = number(text)
            if str(found) == text and found == found:
                return text, found
        except ValueError:
            pass
    return (text,)


def seconds(text: str) -> float | None:
    """The length of a time such as `90s`, `5 min` or `1h30m`; None if it is none."""
    part_of = re.compile(_LENGTH)
    total, place, text = 0.0, 0, text.strip().lower()
    while place < len(text):
        part = part_of.match(text, place)
        if part is None or part[2] not in _UNITS:
            return None
        if not part[2] and part[0] != text:  # only a number by itself is seconds
            return None
        total += float(part[1]) * _UNITS[part[2]]
        place = part.end()
    return total if text else None


def of_milliseconds(op: str, term: Term, value: int | float) -> Bound:
    """A time of which MLflow knows whole milliseconds, compared with a number of them."""
    if not isfinite(value):
        return Compare(op, term, Value(value))
    first, after = Value(ceil(value) * 1000), Value((floor(value) + 1) * 1000)
    if op in (">=", "<"):
        return Compare(op, term, first)
    if op in (">", "<="):
        return Compare(">=" if op == ">" else "<", term, after)
    same = All((Compare(">=", term, first), Compare("<", term, after)))
    return same if op == "=" else All((Not(Missing(term)), Not(same)))
