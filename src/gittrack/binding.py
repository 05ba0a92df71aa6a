"""A query's tree with the names and types of these runs.

Knows which key a name means, what may be compared with what, how times and durations are written,
and MLflow's words. Functions over Git are looked up here, once for all runs. Knows nothing of how
runs are kept, and evaluates nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from gittrack.conditions import (
    Absolute,
    All,
    Among,
    Any,
    Bound,
    Compare,
    Curve,
    Field,
    Holds,
    In,
    Like,
    Match,
    Minus,
    Missing,
    Not,
    Spelled,
    Sum,
    Term,
    Value,
)
from gittrack.syntax import Node
from gittrack.vocabulary import Vocabulary

__all__ = [
    "Absolute",
    "All",
    "Among",
    "Any",
    "Bound",
    "Compare",
    "Curve",
    "Field",
    "Functions",
    "Holds",
    "In",
    "Like",
    "Match",
    "Minus",
    "Missing",
    "Moment",
    "Not",
    "Spelled",
    "Sum",
    "Term",
    "Value",
    "bind",
    "bind_value",
    "uses",
]

Functions: TypeAlias = Callable[[str, tuple[str, ...]], Among]
"""A function over Git or lineage by name, and its arguments -> the runs for which it holds.

`commit` is the one behind `commit in A..B`, with the range as its argument.
"""

Moment: TypeAlias = Callable[[str], int | None]
"""A date in Git's words -> microseconds since the epoch; None if it is none."""


def bind(
    tree: Node, text: str, vocabulary: Vocabulary, *, functions: Functions, moment: Moment
) -> Bound:
    """Understand the tree of a query `text` as a condition on runs.

    Raises:
        QueryError: a name that no run has, values that cannot be compared, a function's refusal.
    """
    raise NotImplementedError


def bind_value(tree: Node, text: str, vocabulary: Vocabulary) -> Term:
    """Understand a tree as a value of a run, to sort by or to show.

    Raises:
        QueryError: as `bind`.
    """
    raise NotImplementedError


def uses(bound: Bound | Term) -> frozenset[str]:
    """What must be known of runs: full keys, and `curves` where the message does not tell."""
    if isinstance(bound, (Field, Holds, Among)):
        return frozenset((bound.key,))
    if isinstance(bound, Curve):
        return frozenset((f"metrics.{bound.metric}",) if bound.function == "last" else ("curves",))
    if isinstance(bound, Value):
        return frozenset()
    parts = bound.parts if isinstance(bound, (All, Any)) else bound
    inner = [uses(part) for part in parts if isinstance(part, tuple) and hasattr(part, "_fields")]
    return frozenset().union(*inner)
