"""Functions of ours that statements of SQL call: for what SQLite has no words, or other ones.

Knows how a formula, a pattern or an expression reaches such a function, and how an error gets out
of one. What values mean to each other is `scalars`' to know. Knows nothing of tables and runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

from gittrack import scalars
from gittrack.atoms import Stored, decode, encode
from gittrack.errors import GittrackError

__all__ = ["Calls", "Connection", "functions"]


class Connection(Protocol):
    """What is needed of a connection to SQLite."""

    def create_function(
        self, name: str, narg: int, func: Any, /, *, deterministic: bool = False
    ) -> None:
        """Offer a function to statements."""


def functions(connection: Connection) -> Calls:
    """Register what clauses call on a connection, once -> what statements are to be run within.

    Such a statement must be run, and its rows fetched, inside of `with`; nothing else may be asked
    of the connection meanwhile that raises.
    """
    return Calls(connection)


class Calls:
    """The functions of a connection, and the error that stopped one of them.

    SQLite only knows that a function failed; leaving `with` raises what it was.
    """

    def __init__(self, connection: Connection) -> None:
        self._error: GittrackError | None = None
        for name, count, function in (
            ("gittrack_formula", -1, _formula),
            ("gittrack_like", 3, _like),
            ("gittrack_match", 3, self._match),
            ("gittrack_atom", 1, _atom),
            ("gittrack_spelled", 1, _spelled),
        ):
            connection.create_function(name, count, function, deterministic=True)

    def __enter__(self) -> Calls:
        self._error = None
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise what stopped a function.

        Raises:
            GittrackError: the search for an expression took too long; it names run and expression.
        """
        told, self._error = self._error, None
        if error is not None and told is not None:
            raise told from None

    def _match(self, stored: Stored, expression: str, run: str) -> int:
        value = decode(stored)
        if not isinstance(value, str):
            return 0
        try:
            return int(scalars.search(decode(expression), value, run))
        except GittrackError as error:
            self._error = error
            raise


def _like(stored: Stored, pattern: Stored, fold: int) -> int:
    value = decode(stored)
    return int(isinstance(value, str) and scalars.like(decode(pattern), bool(fold))(value))


def _spelled(stored: Stored) -> Stored:
    found = scalars.spelled(decode(stored))
    return None if found is None else encode(found)


def _atom(text: str) -> Stored:
    return encode(_loaded(text)[0])


def _loaded(text: str) -> Any:
    import json

    return json.loads(text)


def _formula(program: str, *columns: Stored) -> Stored:
    """Work a formula out: numbers are columns, lists hold a constant, words say what to do."""
    stack: list[Any] = []
    for step in _steps(program):
        if isinstance(step, int):
            stack.append(decode(columns[step]))
        elif isinstance(step, list):
            stack.append(step[0])
        elif step in _UNARY:
            stack.append(_UNARY[step](stack.pop()))
        else:
            right, left = stack.pop(), stack.pop()
            if step in "+-*/":
                stack.append(scalars.calculate(step, left, right))
            else:
                return int(scalars.compare(step, left, right))
    return None if stack[0] is None else encode(stack[0])


@lru_cache(maxsize=256)
def _steps(program: str) -> tuple[Any, ...]:
    return tuple(_loaded(program))


_UNARY: dict[str, Callable[[Any], Any]] = {
    "negative": scalars.negative,
    "absolute": scalars.absolute,
    "spelled": scalars.spelled,
}
