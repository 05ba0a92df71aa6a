"""One statement of SQL over the tables of `relations`, which may read them and do nothing else.

Knows which columns a statement reads, and has those alone filled, in a private database that is
gone afterwards. Knows how SQLite's complaints are told, and the few functions that it lacks.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from gittrack.errors import UsageError
from gittrack.keys import nearest
from gittrack.meter import SILENT, Meter
from gittrack.relations import RELATIONS
from gittrack.tuples import Source, create, fill

__all__ = ["Answer", "Selection"]

_TOKEN = re.compile(
    r"'(?:[^']|'')*'" r'|"(?:[^"]|"")*"' r"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)",
    re.DOTALL,
)
_ALL = {relation.name: relation for relation in RELATIONS}
_BATCH = 1000
_STEPS = 20_000
_LARGEST = 64 << 20
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
_FORBIDDEN = ("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer")
_HINT = "`git track sql` without a statement lists the tables and their columns."


class Answer(NamedTuple):
    """What a statement selects: the names of its columns, and its rows, made as they are taken."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


class Selection:
    """The tables of some runs, to be asked; closed by `with`. One thread at a time."""

    def __init__(self, source: Source, *, meter: Meter = SILENT) -> None:
        """Nothing is read before a statement needs it."""
        self._source = source
        self._meter = meter
        self._filled: dict[str, set[str]] = {}
        self._read: dict[str, set[str]] = {}
        self._selects = False
        self._guarding = False
        self._fault: UsageError | None = None
        # A database without a name is a temporary file, which SQLite removes.
        self._connection = sqlite3.connect("", isolation_level=None, cached_statements=0)
        self._connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536"):
            self._connection.execute(f"PRAGMA {pragma}").close()
        for relation in RELATIONS:
            create(self._connection, relation)
        self._add_functions()
        self._connect_json()
        # Python 3.10 cannot set it.
        if hasattr(self._connection, "setlimit"):
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
        # Lets Python see Ctrl-C while SQLite computes.
        self._connection.set_progress_handler(_go_on, _STEPS)
        # Set once: Python 3.10 cannot take an authorizer away.
        self._connection.set_authorizer(self._authorize)

    def __enter__(self) -> Selection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget all rows."""
        self._connection.close()

    def ask(self, statement: str) -> Answer:
        """The answer to one `select`, `with` or `values`; what it reads is filled first.

        Raises:
            UsageError: it is none of these, or makes no sense; so may taking rows.
            KeyboardInterrupt: Ctrl-C, while it computes; so may taking rows.
        """
        if not statement.strip():
            raise UsageError("the statement is empty", hint=_HINT)
        statement = _with_names(statement)
        self._guarding = True
        try:
            self._prepare(statement)
            self._guarding = False
            self._supply()
            self._guarding = True
            cursor = self._run(statement)
            first = self._take(cursor, 1)
        finally:
            self._guarding = False
        columns = tuple(column[0] for column in cursor.description or ())
        return Answer(columns, self._rows(cursor, first))

    def _prepare(self, statement: str) -> None:
        """Find out what a statement reads.

        Raises:
            UsageError: as `ask`.
        """
        self._read.clear()
        self._selects = False
        self._run(f"EXPLAIN {statement}").close()
        # VACUUM INTO would write a file, and no authorizer is asked.
        if not self._selects:
            raise UsageError("the statement selects nothing", hint=_HINT)

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if not self._guarding:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and first in _ALL:
            self._read.setdefault(first, set()).add(second or "")
        if action == sqlite3.SQLITE_FUNCTION:
            forbidden = (second or "").lower() in _FORBIDDEN
            return sqlite3.SQLITE_DENY if forbidden else sqlite3.SQLITE_OK
        self._selects |= action == sqlite3.SQLITE_SELECT
        return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY

    def _supply(self) -> None:
        """Fill what the statement reads and is not filled yet."""
        for name, wanted in self._read.items():
            if name in self._filled and wanted <= self._filled[name]:
                continue
            relation = _ALL[name]
            self._connection.execute("BEGIN")
            self._connection.execute(f'DELETE FROM "{name}"')
            wanted |= self._filled.get(name, set())
            fill(self._connection, self._source, relation, wanted, self._meter)
            self._connection.execute("COMMIT")
            self._filled[name] = wanted

    def _run(self, statement: str) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise self._translated(error) from error

    def _take(self, cursor: sqlite3.Cursor, count: int) -> list[tuple[Any, ...]]:
        try:
            return cursor.fetchmany(count)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise self._translated(error) from error

    def _rows(
        self, cursor: sqlite3.Cursor, rows: list[tuple[Any, ...]]
    ) -> Iterator[tuple[Any, ...]]:
        while rows:
            yield from rows
            rows = self._take(cursor, _BATCH)

    # -- functions that SQLite lacks --------------------------------------------------------------

    def _add_functions(self) -> None:
        connection = self._connection
        connection.create_function("regexp", 2, self._regexp, deterministic=True)
        connection.create_aggregate("stddev", 1, lambda: _Deviation())
        connection.create_aggregate("median", 1, lambda: _Median())

    def _connect_json(self) -> None:
        """Have `json_each` and `json_tree`, which no authorizer lets through at their first use."""
        try:
            self._connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").close()
        except sqlite3.OperationalError:
            # Built without JSON: statements hear so.
            return

    def _regexp(self, pattern: Any, text: Any) -> int | None:
        """`TEXT regexp PATTERN`: whether the pattern is found somewhere in the text."""
        if pattern is None or text is None:
            return None
        from gittrack.expressions import TooLong, expression

        try:
            return int(any(True for _ in expression(str(pattern)).search(str(text))))
        except TooLong as error:
            shown = f"{str(pattern)[:80]!r} takes too long in {str(text)[:40]!r}"
            self._fault = UsageError(f"the expression {shown}")
            raise self._fault from error
        except UsageError as error:
            self._fault = error
            raise

    # -- errors -----------------------------------------------------------------------------------

    def _translated(self, error: Exception) -> BaseException:
        words = str(error)
        if words == "interrupted":
            return KeyboardInterrupt()
        if "not authorized" in words or "prohibited" in words:
            return UsageError("the statement does more than read", hint=_HINT)
        if "one statement at a time" in words:
            return UsageError("these are several statements", hint="one at a time is run.")
        if "binding" in words:
            return UsageError(
                "the statement has a parameter such as `?` or `:name`, and nothing to put there",
                hint="write the value itself.",
            )
        if "too big" in words:
            return UsageError(f"a value of the statement has more than {_LARGEST >> 20} MiB")
        if "user-defined" in words and self._fault is not None:
            return self._fault
        found = re.fullmatch(r"(no such (table|column|function)): (.+)", words, re.DOTALL)
        if found:
            return UsageError(words, hint=self._near(found[2], found[3]))
        if words.startswith('near "commit"'):
            return UsageError(words, hint='`commit` is a word of SQL: write "commit" in quotes.')
        return UsageError(words, hint=_HINT)

    def _near(self, kind: str, name: str) -> str:
        bare = name.rpartition(".")[2]
        if kind == "function":
            return "sqlite.org/lang_corefunc.html has SQLite's; stddev, median, regexp are ours."
        if kind == "table":
            near = nearest(bare, _ALL)
            return f"did you mean '{near}'? {_HINT}" if near else _HINT
        for group in ("params", "metrics", "tags"):
            if bare in self._source.vocabulary.keys(group):
                return (
                    f"a {group[:-1]} is a row: select value from {group} where key = "
                    + "'{}'".format(bare.replace("'", "''"))
                )
        read = [_ALL[table] for table in self._read] or RELATIONS
        near = nearest(bare, [c.name for relation in read for c in relation.columns])
        return f"did you mean '{near}'? {_HINT}" if near else _HINT


def _with_names(statement: str) -> str:
    """The statement with its names in double quotes put into backticks.

    SQLite takes a name in double quotes that it does not know for a text, and so a misspelt column
    for its own name (sqlite.org/quirks.html, 8).
    """
    return _TOKEN.sub(lambda found: _in_backticks(found[0]), statement)


def _in_backticks(token: str) -> str:
    if not token.startswith('"'):
        return token
    return "`" + token[1:-1].replace('""', '"').replace("`", "``") + "`"


def _go_on() -> int:
    return 0


class _Numbers:
    """The numbers of a group; texts, and NaN, which SQLite takes for null, are none."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def step(self, value: Any) -> None:
        """Take one."""
        if isinstance(value, (int, float)):
            self._values.append(value)


class _Deviation(_Numbers):
    """The standard deviation of a sample: null of fewer than two numbers."""

    def finalize(self) -> Any:
        """Say it."""
        from statistics import stdev

        if len(self._values) < 2 or not all(map(math.isfinite, self._values)):
            return None
        return stdev(self._values)


class _Median(_Numbers):
    """The number in the middle, or halfway between the two there: null of none."""

    def finalize(self) -> Any:
        """Say it."""
        from statistics import median

        return median(self._values) if self._values else None
