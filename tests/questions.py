"""Queries asked of runs at hand, for the tests of what queries mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest

from gittrack import binding, language, predicate, scalars, vocabulary
from gittrack.conditions import Among, Bound
from gittrack.errors import QueryError, UnknownKey
from gittrack.summaries import Summary

__all__ = ["Known", "bound", "find", "refusal"]

Curves = Mapping[str, Mapping[str, Mapping[str, Any]]]


def moment(text: str) -> int | None:
    """An ISO date in UTC, in microseconds; the tests need no more of Git's words."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round(found.replace(tzinfo=timezone.utc).timestamp() * 1_000_000)


class Known:
    """The functions over Git, with answers that are given; `reads` looks into the runs."""

    def __init__(self, runs: Iterable[Summary], **answers: Iterable[str]) -> None:
        self.runs = list(runs)
        self.answers = answers
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, name: str, arguments: tuple[str, ...]) -> Among:
        self.asked.append((name, arguments))
        if name == "dataset":
            found = [
                run.id
                for run in self.runs
                if any(_fits(*arguments, file=f) for f in run.data.items())
            ]
            return Among("id", frozenset(found))
        if name != "reads":
            return Among("base", frozenset(self.answers[name]))
        path = arguments[0]
        known = {
            k for run in self.runs for pair in run.data.items() for k in (pair[0], "md5:" + pair[1])
        }
        if path not in known:
            raise UnknownKey(f"no run reads '{path}'", key=path, hint="`git track lineage` shows.")
        read = [r.id for r in self.runs if path in r.data or path[4:] in r.data.values()]
        return Among("id", frozenset(read))


def _fits(part: str, op: str, *texts: str, file: tuple[str, str]) -> bool:
    text = file[0] if part == "name" else file[1]
    if op in ("like", "ilike"):
        return scalars.like(texts[0], op == "ilike")(text)
    return (text in texts) is (op in ("=", "in"))


def bound(query: str, runs: Sequence[Summary], known: Known | None = None) -> Bound:
    """A query as it is understood of these runs."""
    return binding.bind(
        language.parse(query),
        query,
        vocabulary.of_summaries(runs),
        functions=Known(runs) if known is None else known,
        moment=moment,
    )


def find(
    query: str, runs: Sequence[Summary], known: Known | None = None, curves: Curves | None = None
) -> list[str]:
    """The names of the runs for which a query holds, in their order."""
    tree = bound(query, runs, known)
    return [
        run.name for run in runs if predicate.holds(tree, run, (curves or {}).get(run.name, {}).get)
    ]


def refusal(query: str, runs: Sequence[Summary] = (), known: Known | None = None) -> str:
    """What is said of a query that makes no sense: the message, carets and all, and the hint."""
    with pytest.raises(QueryError) as caught:
        bound(query, runs, known)
    error = caught.value
    assert error.exit_code == 2
    return error.message + (f"\nhint: {error.hint}" if error.hint else "")
