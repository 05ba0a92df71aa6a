"""What can be said in a query: the nodes of its tree.

Each ends in the characters of the text that it was made of, `text[start:end]`. Knows neither how
queries are written nor what they mean.
"""

from __future__ import annotations

from typing import TypeAlias

from gittrack.frozen import Frozen

__all__ = [
    "GROUPS",
    "And",
    "Arithmetic",
    "Call",
    "Comparison",
    "Literal",
    "Member",
    "Name",
    "Negative",
    "Node",
    "Not",
    "Null",
    "Or",
    "Range",
    "Word",
]

GROUPS = {
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attributes"),
    **dict.fromkeys(("metric", "metrics"), "metrics"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "params"),
    **dict.fromkeys(("tag", "tags"), "tags"),
    **dict.fromkeys(("dataset", "datasets"), "datasets"),
}
"""The words before the first dot of a name -> the group that they mean; MLflow's are among them."""


class Literal(Frozen):
    """A number, text or truth value, as it is; `quote` is the mark around a text."""

    value: int | float | str | bool
    quote: str
    start: int
    end: int


class Name(Frozen):
    """A key; `group` is one of the values of `GROUPS`, or None for a bare name."""

    group: str | None
    key: str
    start: int
    end: int


class Word(Frozen):
    """A selector, revision, path or the like that needs no quotes where it stands."""

    text: str
    start: int
    end: int


class Call(Frozen):
    """A function of `FUNCTIONS` with as many arguments as it takes."""

    function: str
    arguments: tuple[Node, ...]
    start: int
    end: int


class Negative(Frozen):
    """A number with a minus before it."""

    operand: Node
    start: int
    end: int


class Arithmetic(Frozen):
    """`op` is one of + - * /."""

    op: str
    left: Node
    right: Node
    start: int
    end: int


class Comparison(Frozen):
    """`op` is one of = != < <= > >= like ilike =~."""

    op: str
    left: Node
    right: Node
    start: int
    end: int


class Member(Frozen):
    """`x in (1, 2)`; the options are literals, or such with a minus."""

    operand: Node
    options: tuple[Node, ...]
    negated: bool
    start: int
    end: int


class Range(Frozen):
    """`x in a..b`, or with `symmetric`, `x in a...b`; an end that is left out is HEAD."""

    operand: Node
    first: Word
    last: Word
    symmetric: bool
    negated: bool
    start: int
    end: int


class Null(Frozen):
    """`x is null`."""

    operand: Node
    negated: bool
    start: int
    end: int


class Not(Frozen):
    """What holds where `operand` does not."""

    operand: Node
    start: int
    end: int


class And(Frozen):
    """What holds where all of `operands` do: everywhere, without any."""

    operands: tuple[Node, ...]
    start: int
    end: int


class Or(Frozen):
    """What holds where one of `operands` does."""

    operands: tuple[Node, ...]
    start: int
    end: int


Node: TypeAlias = (
    Literal
    | Name
    | Word
    | Call
    | Negative
    | Arithmetic
    | Comparison
    | Member
    | Range
    | Null
    | Not
    | And
    | Or
)
