"""Single values in a query, as Python has them: added, compared, matched.

Knows that only numbers can be added, that values of one type compare, that what is missing or NaN
compares to nothing, and how patterns and expressions match. Pure. Knows nothing of runs and SQL.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from gittrack import expressions
from gittrack.errors import UsageError

__all__ = ["absolute", "calculate", "compare", "like", "negative", "prefix", "search", "spelled"]

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def compare(op: str, left: Any, right: Any) -> bool:
    """Whether `left op right`, for `op` one of = != < <= > >=.

    False where a side is missing (None) or NaN, or where they are not both numbers, texts or
    truth values; of the latter there is no order.
    """
    kind = _kind(left)
    if kind is None or kind != _kind(right) or left != left or right != right:
        return False
    if kind == "boolean" and op not in ("=", "!="):
        return False
    return _COMPARISONS[op](left, right)


def calculate(op: str, left: Any, right: Any) -> int | float | None:
    """`left op right`, for `op` one of + - * /; None where a side is no number, or at x / 0.

    What integers cannot give is a float, infinite where it is too large.
    """
    if _kind(left) != "number" or _kind(right) != "number":
        return None
    if op == "/" and not right:
        return None
    try:
        found: int | float = _ARITHMETIC[op](left, right)
    except OverflowError:
        found = _ARITHMETIC[op](_float(left), _float(right))
    return found


def _float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else None


@lru_cache(maxsize=64)
def like(pattern: str, fold: bool) -> Callable[[str], bool]:
    """What tells whether a whole text fits a pattern: `%` is any text, `_` any one character.

    With `fold`, letters of either case are the same. The time for a text grows with its length and
    the pattern's, never faster.
    """
    if fold:
        pattern = _folded(pattern)
    first, *others = pattern.split("%")
    begins = _part(first)
    if not others:
        return lambda text: begins.fullmatch(_folded(text) if fold else text) is not None
    # Each part is looked for where the one before ended: the first place that fits is enough.
    between, ends, length = (
        [_part(part) for part in others[:-1]],
        _part(others[-1]),
        len(others[-1]),
    )

    def fits(text: str) -> bool:
        if fold:
            text = _folded(text)
        found = begins.match(text)
        for part in between:
            if found is None:
                return False
            found = part.search(text, found.end())
        last = len(text) - length
        return found is not None and last >= found.end() and ends.match(text, last) is not None

    return fits


def _folded(text: str) -> str:
    """The text in lower case, letter by letter: as many as there were, a sigma like any other."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
    return lower.replace("\u03c2", "\u03c3")


def _part(part: str) -> re.Pattern[str]:
    return re.compile("".join("." if c == "_" else re.escape(c) for c in part), re.DOTALL)


def prefix(pattern: str) -> str:
    """What a text that fits `like(pattern, False)` begins with."""
    return re.split("[%_]", pattern, maxsplit=1)[0]


def negative(value: Any) -> int | float | None:
    """A number with its sign turned; None of what is no number."""
    return -value if _kind(value) == "number" else None


def absolute(value: Any) -> int | float | None:
    """A number without its sign; None of what is no number."""
    return abs(value) if _kind(value) == "number" else None


def spelled(value: Any) -> str | None:
    """A value as MLflow keeps a param, a text; None of what is missing, NaN, a list, a mapping."""
    if _kind(value) is None or value != value:
        return None
    try:
        return str(value)
    except ValueError:
        # Python refuses to write very long integers in decimal.
        return None


def search(expression: str, text: str, run: str) -> bool:
    """Whether a regular expression is found anywhere in a text of the run of this name.

    Raises:
        UsageError: it is no expression, or the search takes longer than `expressions` allows.
    """
    compiled = expressions.expression(expression)
    try:
        return next(compiled.search(text), None) is not None
    except expressions.TooLong as error:
        raise UsageError(
            f"the search for {expression[:80]!r} in run '{run}' took more than"
            f" {expressions.MOST_SECONDS} s and was stopped",
            hint="repetitions within repetitions, such as (a+)+, take very long.",
        ) from error
