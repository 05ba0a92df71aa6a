"""What a point of a curve is made of: its numbers, and the step that it belongs to.

Knows which texts are numbers and which names count steps, and is exact: what no float comes near to
is no number. Knows nothing of the lines and files that hold them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from gittrack.records import Row
from gittrack.summaries import Number

__all__ = ["STEPS", "is_number", "last", "number", "take_step"]

STEPS = ("global_step", "step", "iteration", "iter", "epoch")
"""The names that count steps, the one that counts finest first."""

_NUMBER = (
    r"[+-]?(?:(?P<int>[0-9]+)|[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?"
    r"|[0-9]+[eE][+-]?[0-9]+|(?:nan|inf|infinity))"
)
_MOST_DIGITS = 308


@cache
def _form() -> re.Pattern[str]:
    """Compiled when first needed: most runs say no number."""
    return re.compile(_NUMBER, re.IGNORECASE | re.ASCII)


def number(text: str) -> Number | None:
    """Read a number exactly; None where it is none, or an int that no float can come near to."""
    match = _form().fullmatch(text)
    if match is None:
        return None
    if match["int"] is None:
        return float(text)
    return int(text) if len(match["int"]) <= _MOST_DIGITS else None


def is_number(value: Any) -> bool:
    """Whether a value may be a metric's: no truth value, and no int that no float comes near to."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**_MOST_DIGITS)


def take_step(values: dict[str, Number]) -> int | None:
    """Take the finest step out of `values`; a coarser one, as an epoch's, stays a metric."""
    names = {key.lower(): key for key in values}
    for name in STEPS:
        key = names.get(name)
        if key is not None and _is_step(values[key]):
            return int(values.pop(key))
    return None


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def last(rows: Iterable[Row]) -> dict[str, Number]:
    """The last value of each metric, in the order in which the metrics first appear."""
    values: dict[str, Number] = {}
    for row in rows:
        values.update(row.values)
    return values
