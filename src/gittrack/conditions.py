"""A query as it was understood: conditions that hold for a run or not, and values of a run.

`binding` makes them; `predicate` and `clauses` say what they are for a run. Two-valued: where a
value is missing, or of another type than what it is compared with, the condition does not hold,
and `Not` of it does.
"""

from __future__ import annotations

from typing import TypeAlias

from gittrack.frozen import Frozen

__all__ = [
    "Absolute",
    "All",
    "Among",
    "Any",
    "Bound",
    "Compare",
    "Curve",
    "Field",
    "Holds",
    "In",
    "Like",
    "Match",
    "Minus",
    "Missing",
    "Not",
    "Scalar",
    "Spelled",
    "Sum",
    "Term",
    "Value",
]

Scalar: TypeAlias = int | float | str | bool
"""A value in a query; a time is whole microseconds since the epoch."""


# -- values of a run ------------------------------------------------------------------------------


class Field(Frozen):
    """What a run has under a full key; `kind` is number, text, boolean, time or mixed.

    A time is microseconds since the epoch, a duration seconds, `command` one line of shell. Params
    are mixed, and may be None, which is missing, or a list or mapping, which compares to nothing.
    """

    key: str
    kind: str


class Curve(Frozen):
    """One number of a metric's curve; `function` is last, first, min, max, count or NAME_step."""

    function: str
    metric: str


class Value(Frozen):
    """What stands in the query itself."""

    value: Scalar


class Spelled(Frozen):
    """A param as MLflow keeps it: a text as it is, a number or truth value as its str(), or None.

    None, and so missing, where the param is missing, NaN, a list or a mapping.
    """

    operand: Field


class Sum(Frozen):
    """Two numbers, `op` one of + - * / (true division); missing if one is, and where it is x/0."""

    op: str
    left: Term
    right: Term


class Minus(Frozen):
    """A number with its sign turned."""

    operand: Term


class Absolute(Frozen):
    """A number without its sign."""

    operand: Term


Term: TypeAlias = Field | Curve | Value | Spelled | Sum | Minus | Absolute


# -- conditions -----------------------------------------------------------------------------------


class Compare(Frozen):
    """Two values of one type, `op` one of = != < <= > >=; texts by code point, NaN to nothing.

    True is not 1. Of truth values there is no order.
    """

    op: str
    left: Term
    right: Term


class Like(Frozen):
    """A text, the whole of it, and a pattern with % and _; `fold` if case does not count."""

    operand: Term
    pattern: str
    fold: bool


class Match(Frozen):
    """A text in which a regular expression is found."""

    operand: Term
    expression: str


class In(Frozen):
    """A value that equals one of several, each as in `Compare`."""

    operand: Term
    values: tuple[Scalar, ...]


class Missing(Frozen):
    """A value that is not there; NaN is there."""

    operand: Term


class Among(Frozen):
    """What Git or lineage knew already: the run's `key` (commit, base or id) is one of these."""

    key: str
    values: frozenset[str]


class Holds(Frozen):
    """A truth value by itself, such as `dirty`: that it is true."""

    key: str


class All(Frozen):
    """What holds where each part does: everywhere, without any."""

    parts: tuple[Bound, ...]


class Any(Frozen):
    """What holds where one of the parts does: nowhere, without any."""

    parts: tuple[Bound, ...]


class Not(Frozen):
    """What holds exactly where `part` does not."""

    part: Bound


Bound: TypeAlias = Compare | Like | Match | In | Missing | Among | Holds | All | Any | Not
