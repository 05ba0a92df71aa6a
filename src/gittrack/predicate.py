"""Whether a query holds for a run, and what a value in a query is for it; pure.

The plain reading of `conditions`, one line for each: what the index answers in SQL has to be the
same, and tests hold that it is. Knows nothing of how runs are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from gittrack import conditions, scalars
from gittrack.conditions import Bound, Term
from gittrack.figures import since_epoch
from gittrack.quoting import command_line
from gittrack.summaries import Number, Summary

__all__ = ["Curves", "holds", "value"]

Curves: TypeAlias = Callable[[str], "Mapping[str, Number | None] | None"]
"""A metric -> what is known of its curve by `Curve.function`; None if there is no such curve."""


def holds(bound: Bound, run: Summary, curves: Curves) -> bool:
    """Whether a condition holds for a run.

    Raises:
        UsageError: the search for an expression took too long; it names the run.
    """
    match bound:
        case conditions.All(parts):
            return all(holds(part, run, curves) for part in parts)
        case conditions.Any(parts):
            return any(holds(part, run, curves) for part in parts)
        case conditions.Not(part):
            return not holds(part, run, curves)
        case conditions.Compare(op, left, right):
            return scalars.compare(op, value(left, run, curves), value(right, run, curves))
        case conditions.In(operand, values):
            found = value(operand, run, curves)
            return any(scalars.compare("=", found, one) for one in values)
        case conditions.Like(operand, pattern, fold):
            text = value(operand, run, curves)
            return isinstance(text, str) and scalars.like(pattern, fold)(text)
        case conditions.Match(operand, expression):
            text = value(operand, run, curves)
            return isinstance(text, str) and scalars.search(expression, text, run.name)
        case conditions.Missing(operand):
            return value(operand, run, curves) is None
        case conditions.Among(key, values):
            return _field(key, run) in values
        case conditions.Holds(key):
            return _field(key, run) is True
    raise TypeError(bound)


def value(term: Term, run: Summary, curves: Curves) -> Any:
    """A number, text or truth value, None where it is missing; of a param also a list or mapping.

    A time is whole microseconds since the epoch.
    """
    match term:
        case conditions.Value(constant):
            return constant
        case conditions.Field(key, _):
            return _field(key, run)
        case conditions.Spelled(conditions.Field(key, _)):
            return _spelled(_field(key, run))
        case conditions.Curve("last", metric):
            return run.metrics.get(metric)
        case conditions.Curve(function, metric):
            return (curves(metric) or {}).get(function)
        case conditions.Sum(op, left, right):
            return scalars.calculate(op, value(left, run, curves), value(right, run, curves))
        case conditions.Minus(operand):
            return scalars.negative(value(operand, run, curves))
        case conditions.Absolute(operand):
            return scalars.absolute(value(operand, run, curves))
    raise TypeError(term)


def _field(key: str, run: Summary) -> Any:
    group, dot, name = key.partition(".")
    if dot:
        return getattr(run, group).get(name)
    found = getattr(run, key)
    if key == "command":
        return command_line(found) if found else None
    if key in ("started", "ended"):
        return None if found is None else since_epoch(found)
    return found


def _spelled(found: Any) -> str | None:
    if isinstance(found, str):
        return found
    if not isinstance(found, (bool, int, float)) or found != found:
        return None
    try:
        return str(found)
    except ValueError:  # an integer of more digits than Python writes
        return None
