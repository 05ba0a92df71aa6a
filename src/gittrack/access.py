"""By which way a few rows of very many are found: SQL indexes, made when they are first needed.

Rows that are wanted in an order are looked for along the index of that order, and where few fit,
by the conditions: whichever is sooner. Knows nothing of what the values mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gittrack.meter import Meter
from gittrack.rows import hashed

if TYPE_CHECKING:
    import sqlite3

__all__ = ["FEW", "START", "bounded", "index_of", "prepare", "present", "race"]

FEW = 5_000
"""As many rows are looked through in no time."""

START = "runs_by_start"
"""The index of the usual order."""

_STEPS = 500
_FIRST = 12_000
_LAST = 2_000_000
_SAMPLE = 1_000


def index_of(expression: str) -> str:
    """The name of the index of an SQL expression, whether it is there or not."""
    if expression == "runs.started":
        return START
    return f"on_{hashed(expression, 16)}"


def present(database: sqlite3.Connection) -> set[str]:
    """The names of the indexes that there are."""
    query = "SELECT name FROM sqlite_master WHERE type = 'index'"
    return {name for (name,) in database.execute(query)}


def prepare(database: sqlite3.Connection, expressions: Sequence[str], meter: Meter) -> None:
    """Make the indexes of these expressions over columns of `runs` that are not there.

    Where they cannot be written, questions are answered without.
    """
    import sqlite3

    there = present(database)
    wanted = [one for one in dict.fromkeys(expressions) if index_of(one) not in there]
    if not wanted:
        return
    meter.start("indexing", len(wanted), "columns")
    try:
        database.execute(f"PRAGMA analysis_limit = {_SAMPLE}")
        for expression in wanted:
            # Within an index, columns have no table.
            name, column = index_of(expression), expression.replace("runs.", "")
            database.execute(f"CREATE INDEX IF NOT EXISTS {name} ON runs ({column})")
            database.execute(f"ANALYZE {name}")
            meter.advance(1)
    except sqlite3.Error:
        # Read-only, full, or in use.
        pass
    finally:
        meter.end()


def race(
    database: sqlite3.Connection, along: str, otherwise: str, values: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """The rows that two statements give alike, from the one that is done sooner.

    Each in turn gets so many steps, and then more: which one is quick depends on the values.
    """
    steps = _FIRST
    while steps <= _LAST:
        for query in (along, otherwise):
            found: list[tuple[Any, ...]] = []
            with bounded(database, steps) as is_over:
                found = database.execute(query, values).fetchall()
            if not is_over():
                return found
        steps *= 4
    return database.execute(otherwise, values).fetchall()


@contextmanager
def bounded(database: sqlite3.Connection, steps: int) -> Iterator[Callable[[], bool]]:
    """Stop what SQLite does after so many steps; the value tells whether it was stopped."""
    import sqlite3

    left = max(steps // _STEPS, 1)
    over = False

    def tick() -> int:
        nonlocal left, over
        left -= 1
        over = left < 0
        return int(over)

    database.set_progress_handler(tick, _STEPS)
    try:
        yield lambda: over
    except sqlite3.OperationalError:
        if not over:
            raise
    finally:
        database.set_progress_handler(None, 0)
