"""What is asked of all recorded runs, without opening a commit: by value, by content, by path.

Knows which SQL stands for a key, and by which way a few rows of very many are found at once. What a
query means is `clauses`' to know, how the tables come about `census`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from gittrack import access, atoms, rows, tables
from gittrack.errors import BrokenRecord
from gittrack.meter import SILENT, Meter
from gittrack.rows import COLUMNS, GROUPS
from gittrack.tables import NAME, Tables, batches, marks
from gittrack.ties import Known, Ties, Used
from gittrack.vocabulary import Count, Vocabulary

if TYPE_CHECKING:
    import sqlite3

    from gittrack.summaries import Summary
    from gittrack.whereabouts import Place

__all__ = ["NAME", "Index", "Known", "Used", "open_index"]

Clause: TypeAlias = "tuple[str, Sequence[Any]]"
"""A condition in SQL, and its values."""

_MISSING = "(x'6e616e', x'4e')"
_NEWEST = "runs.started DESC, runs.name, runs.experiment"
_RARE = "(SELECT rare.value FROM rare WHERE rare.run = runs.number AND rare.key = {})"
_FLAGS = frozenset(["archived", "deleted", "dirty"])
_EVEN = _FLAGS | {"duration", "ended", "exit_code", "experiment", "name", "started", "status"}
_INDEXED = frozenset(
    ["branch", "duration", "ended", "exit_code", "experiment", "status", "title", "user"]
)
# Columns of one statement: SQLite takes 2,000.
_AT_ONCE = 1000
_DAMAGED = (ValueError, TypeError, LookupError, OverflowError, AttributeError)
_FILES, _RARELY = 1, 2


def open_index(place: Place, *, meter: Meter = SILENT) -> Index:
    """The index as it is now, to be closed by `with`: what is new was read, what is gone is out.

    Fresh, it costs a few `stat` calls, however many runs there are; the first time each run's
    commit is read, which `meter` shows. Any number of processes may do so at once; what one writes
    the others wait for. Not for use from several threads.

    Raises:
        GitFailed: the refs cannot be read.
    """
    return Index(place, meter)


class Index(Ties):
    """Answers about runs that are recorded here, as they stand after annotation.

    Conditions and orders are SQL over the expressions that `expression` gives.
    """

    def __init__(self, place: Place, meter: Meter = SILENT) -> None:
        self._place = place
        self._meter = meter
        self._keys: dict[str, tuple[int, str | None, tuple[int, ...]]] | None = None
        self._turn = -1
        self._words: dict[int, str] = {}
        self._indexes: set[str] | None = None
        self._has_more = False
        self._tables = Tables(place, self._refresh)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; nothing can be asked any more."""
        self._tables.close()

    def _refresh(self, database: sqlite3.Connection, path: str | None) -> None:
        # Numbers are another file's, if this one was made anew.
        self._keys, self._indexes = None, None
        self._words = {}
        if tables.is_fresh(database, self._place.common_dir):
            return
        from gittrack import census

        census.refresh(database, self._place, path=path, meter=self._meter)

    @property
    def apology(self) -> str | None:
        """Why the index had to be made in memory, and so was slow; None if it was not."""
        return self._tables.apology

    @property
    def database(self) -> sqlite3.Connection:
        """The connection that is asked, for functions of the caller's; not to be written to."""
        return self._tables.database

    def connect_read_only(self) -> sqlite3.Connection:
        """Another connection, which can change nothing, to be closed by the caller."""
        return self._tables.connect_read_only()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Within, every answer is of one moment, whatever other processes write meanwhile.

        They wait for its end. `need` does nothing there.
        """
        database = self.database
        if database.in_transaction:
            yield
            return
        database.execute("BEGIN")
        try:
            if self._keys is not None and self._tables.guarded(_turn) != self._turn:
                self._keys = None
            yield
        finally:
            # Damaged tables were closed, and others made.
            if database is self.database and database.in_transaction:
                database.execute("COMMIT")

    # -- names ------------------------------------------------------------------------------------

    @property
    def _known(self) -> dict[str, tuple[int, str | None, tuple[int, ...]]]:
        """Full key -> number, column, how many numbers, texts, booleans, others and large ones."""
        if self._keys is None:
            self._turn, self._keys = self._tables.guarded(lambda one: (_turn(one), _keys(one)))
        return self._keys

    @property
    def vocabulary(self) -> Vocabulary:
        """The keys that some run has, deleted ones too."""
        groups: dict[str, dict[str, Count]] = {group: {} for group in GROUPS}
        for full, (_, _, counts) in self._known.items():
            if any(counts[:4]):
                group, _, key = full.partition(".")
                groups[group][key] = Count(*counts[:4])
        return Vocabulary(groups)

    def expression(self, key: str) -> str:
        """SQL for the value of a full key, as `atoms` keeps it; NULL for a key that no run has.

        Attributes are texts, times microseconds since the epoch, a duration seconds, booleans 0 and
        1, a command one line of shell. `curve.FUNCTION.METRIC` is what is known of a curve.
        """
        if key in rows.ATTRIBUTES:
            return rows.ATTRIBUTES[key]
        group, _, rest = key.partition(".")
        if group == "curve":
            from gittrack import curvature

            function, _, metric = rest.partition(".")
            last = self.expression(f"metrics.{metric}")
            return curvature.expression(self.database, function, metric, last)
        number, column, _ = self._known.get(key, (0, None, ()))
        if column is not None:
            return f"runs.{column}"
        return _RARE.format(number) if number else "NULL"

    def odd(self, key: str) -> bool:
        """Whether a run may have an integer beyond 64 bits, or a text that is no UTF-8, there."""
        group, dot, _ = key.partition(".")
        if dot and group in GROUPS:
            return bool(self._known.get(key, (0, None, (0,) * 5))[2][4])
        return key not in _EVEN

    @property
    def problems(self) -> tuple[BrokenRecord, ...]:
        """A sentence for each run that cannot be read as it should, and for strays beside them.

        For those whose curves or packages cannot be read, too, once these were needed.
        """
        query = "SELECT message, stands, hint FROM problems ORDER BY rank, ref, rowid"
        found = [
            BrokenRecord(message, where=where, hint=hint)
            for message, where, hint in self._tables.ask(query)
        ]
        return tuple(found + (self._faults() if self._has_more else []))

    def _faults(self) -> list[BrokenRecord]:
        from gittrack import curvature

        told = dict(curvature.faults(self.database))
        found = []
        for part in batches(told):
            query = f"SELECT number, experiment, name FROM runs WHERE number IN ({marks(part)})"
            for number, experiment, name in self._tables.ask(query, part):
                where = f"runs/{experiment}/{name}"
                found.append(BrokenRecord(f"{where}: {told[number]}", where=where))
        return found

    # -- questions --------------------------------------------------------------------------------

    def page(
        self,
        where: Clause | None = None,
        order: Sequence[tuple[str, bool]] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
        archived: bool = True,
        deleted: bool = False,
    ) -> list[Summary]:
        """The runs that a condition holds for, at most `limit`.

        `order` are SQL expressions and whether downwards, the weightiest first; what is missing or
        NaN comes last, always, and of equal ones the newest first. `experiment` is a name or a
        title.
        """
        picked = self._picked(where, experiment, archived, deleted)
        try:
            return self._page(picked, order, limit)
        except _DAMAGED:
            if self._tables.in_memory:
                raise
            self.mend()
        return self._page(picked, order, limit)

    def _page(
        self, picked: tuple[str, list[Any]], order: Sequence[tuple[str, bool]], limit: int | None
    ) -> list[Summary]:
        with self.still():
            known = [(full, *found[:2]) for full, found in self._known.items() if found[1]]
            names = [f"runs.{name}" for name in ("number", *COLUMNS)]
            names += [f"runs.{column}" for _, _, column in known]
            return self._summaries(self._select(names, picked, order, limit), known)

    def columns(
        self,
        where: Clause | None = None,
        order: Sequence[tuple[str, bool]] = (),
        limit: int | None = None,
        keys: Sequence[str] = (),
        *,
        computed: Mapping[str, str] = MappingProxyType({}),
        experiment: str | None = None,
        archived: bool = True,
        deleted: bool = False,
    ) -> dict[str, list[Any]]:
        """The values of full keys, of the runs that `page` would give; None where absent.

        Times are microseconds since the epoch, a duration seconds, a command one line of shell.
        `computed` gives SQL for what is no key.
        """
        picked = self._picked(where, experiment, archived, deleted)
        with self.still():
            names = [computed.get(key) or self.expression(key) for key in keys]
            turned: list[Sequence[Any]] = []
            for start in range(0, len(names), _AT_ONCE):
                part = names[start : start + _AT_ONCE]
                found = self._select(part, picked, order, limit)
                turned += zip(*found, strict=True) if found else [()] * len(part)
        return {
            key: list(map(bool, values)) if key in _FLAGS else atoms.decoded(values)
            for key, values in zip(keys, turned, strict=False)
        }

    def count(
        self,
        where: Clause | None = None,
        *,
        experiment: str | None = None,
        archived: bool = True,
        deleted: bool = False,
        patience: int | None = None,
    ) -> tuple[int, bool]:
        """How many runs a condition holds for, and whether that is exact.

        After about `patience` steps of SQLite's machine it is what was found by then.
        """
        if where is None and experiment is None:
            return self._shown(archived, deleted), True
        text, values = self._picked(where, experiment, archived, deleted)
        if patience is None:
            query = f"SELECT count(*) FROM runs WHERE {text}"
            return int(self._tables.ask(query, values)[0][0]), True

        def counted(database: sqlite3.Connection) -> tuple[int, bool]:
            found = 0
            with access.bounded(database, patience) as is_over:
                for _ in database.execute(f"SELECT 1 FROM runs WHERE {text}", values):
                    found += 1
            return found, not is_over()

        return self._tables.guarded(counted)

    @property
    def total(self) -> int:
        """How many runs there are, deleted ones too."""
        found = self._tables.ask("SELECT value FROM facts WHERE name = 'total'")
        return int(found[0][0]) if found else 0

    def _shown(self, archived: bool, deleted: bool) -> int:
        query = "SELECT archived, deleted, count(*) FROM runs"
        away = self._tables.ask(f"{query} WHERE archived + deleted > 0 GROUP BY archived, deleted")
        hidden = [
            count
            for is_archived, is_deleted, count in away
            if (not deleted if is_deleted else is_archived and not archived)
        ]
        return self.total - int(sum(hidden))

    def need(self, keys: Iterable[str]) -> None:
        """Get ready for questions that filter or sort by these full keys.

        Where there are many runs, columns get an index each, which the meter shows; `curves` and
        `packages` are read.
        """
        wanted = set(keys)
        if self.database.in_transaction:
            return
        if wanted & {"curves", "packages"}:
            from gittrack import curvature

            self._has_more = True
            curvature.fill(
                self.database,
                lambda: self._place.repo,
                curves="curves" in wanted,
                packages="packages" in wanted,
                meter=self._meter,
            )
        if self.total <= access.FEW:
            return
        known = [key for key in sorted(wanted) if key in _INDEXED or "." in key]
        found = [self.expression(key) for key in known if not key.startswith("curve.")]
        columns = [one for one in found if one != "NULL" and "SELECT" not in one]
        access.prepare(self.database, columns, self._meter)
        self._indexes = None

    # -- SQL --------------------------------------------------------------------------------------

    def _picked(
        self, where: Clause | None, experiment: str | None, archived: bool, deleted: bool
    ) -> tuple[str, list[Any]]:
        """The whole condition."""
        texts: list[str] = []
        values: list[Any] = []
        if where is not None:
            texts.append(f"({where[0]})")
            values += where[1]
        if experiment is not None:
            texts.append(f"(runs.experiment = ? OR {rows.ATTRIBUTES['experiment_title']} = ?)")
            values += [experiment, experiment]
        if not deleted:
            texts.append("NOT runs.deleted")
        if not archived:
            texts.append("(runs.deleted OR NOT runs.archived)")
        return " AND ".join(texts) or "1", values

    def _select(
        self,
        names: Sequence[str],
        picked: tuple[str, list[Any]],
        order: Sequence[tuple[str, bool]],
        limit: int | None,
    ) -> list[tuple[Any, ...]]:
        """The rows in their order: those that have the first key before those that have not."""
        text, values = picked
        if not order:
            return self._few(names, picked, "runs.started", _NEWEST, limit)
        (first, descending), *rest = order
        terms = [self._term(first, descending), *(_whole(self._sortable(e), d) for e, d in rest)]
        there = f"{first} < x'6e616e' AND {first} <> x'4e' AND {text}"
        found = self._few(names, (there, values), first, ", ".join([*terms, _NEWEST]), limit)
        left = None if limit is None else limit - len(found)
        if left == 0:
            return found
        gone = f"({first} IS NULL OR {first} IN {_MISSING}) AND {text}"
        return found + self._select(names, (gone, values), rest, left)

    def _term(self, expression: str, descending: bool) -> str:
        return f"{self._sortable(expression)} {'DESC' if descending else 'ASC'}"

    def _sortable(self, expression: str) -> str:
        """The expression, where some values are integers too large for SQLite as a number."""
        if not any(counts[4] for _, _, counts in self._known.values()):
            return expression
        return f"gittrack_order({expression})"

    def _few(
        self,
        names: Sequence[str],
        picked: tuple[str, list[Any]],
        first: str,
        order: str,
        limit: int | None,
    ) -> list[tuple[Any, ...]]:
        """Rows in an order that has `first` first: of many, along its index if that is short."""
        text, values = picked

        def query(by: str, order: str = order) -> str:
            some = "" if limit is None else f" LIMIT {limit}"
            return f"SELECT {', '.join(names)} FROM runs{by} WHERE {text} ORDER BY {order}{some}"

        index = access.index_of(first)
        if limit is None or self.total <= access.FEW or not self._has(index):
            return self._tables.ask(query(""), values)
        walk, search = query(f" INDEXED BY {index}"), query("", f"+{order}")
        return self._tables.guarded(lambda database: access.race(database, walk, search, values))

    def _has(self, index: str) -> bool:
        if self._indexes is None:
            self._indexes = access.present(self.database)
        return index in self._indexes

    # -- rows -------------------------------------------------------------------------------------

    def _summaries(
        self, lines: Sequence[tuple[Any, ...]], known: Sequence[tuple[str, int, str | None]]
    ) -> list[Summary]:
        """The runs of rows: number, the columns that every run has, and those of keys."""
        first = 1 + len(COLUMNS)
        more = 1 + COLUMNS.index("more")
        files = self._files_of([line[0] for line in lines if line[more] & _FILES])
        rare = self._rare_of([line[0] for line in lines if line[more] & _RARELY])
        places = [
            (GROUPS.index(group), key, position)
            for position, (full, _, _) in enumerate(known, first)
            for group, _, key in [full.partition(".")]
        ]
        self._learn(lines)
        found = []
        for line in lines:
            groups: tuple[dict[str, Any], ...] = ({}, {}, {})
            for group, key, position in places:
                value = line[position]
                if value is not None:
                    groups[group][key] = atoms.decode(value) if type(value) is bytes else value
            for group, key, value in rare.get(line[0], ()):
                groups[group][key] = value
            there = files.get(line[0], _NO_FILES)
            found.append(rows.summary(line[1:first], groups, there, self._words.__getitem__))
        return found

    def _learn(self, lines: Sequence[tuple[Any, ...]]) -> None:
        """Look up the words that rows stand for by number."""
        places = [1 + COLUMNS.index(name) for name in ("experiment_title", "command", "base")]
        numbers = {line[place] for line in lines for place in places if type(line[place]) is int}
        for part in batches(numbers - self._words.keys()):
            query = f"SELECT number, text FROM words WHERE number IN ({marks(part)})"
            self._words.update(self._tables.ask(query, part))

    def _files_of(self, numbers: Sequence[int]) -> dict[int, tuple[dict[str, str], dict[str, str]]]:
        found: dict[int, tuple[dict[str, str], dict[str, str]]] = {}
        for part in batches(numbers):
            query = f"SELECT run, kept, path, md5 FROM files WHERE run IN ({marks(part)})"
            for run, kept, path, md5 in self._tables.ask(query, part):
                there = found.setdefault(run, ({}, {}))[kept]
                there[atoms.decode(path)] = rows.undigested(md5)
        return found

    def _rare_of(self, numbers: Sequence[int]) -> dict[int, list[tuple[int, str, Any]]]:
        names = {number: full for full, (number, _, _) in self._known.items()} if numbers else {}
        found: dict[int, list[tuple[int, str, Any]]] = {}
        for part in batches(numbers):
            query = f"SELECT run, key, value FROM rare WHERE run IN ({marks(part)})"
            for run, key, value in self._tables.ask(query, part):
                group, _, name = names[key].partition(".")
                found.setdefault(run, []).append((GROUPS.index(group), name, atoms.decode(value)))
        return found


def _turn(database: sqlite3.Connection) -> int:
    """What is another whenever the rows are."""
    found = database.execute("SELECT value FROM facts WHERE name = 'turn'").fetchone()
    return int(found[0]) if found else 0


def _keys(database: sqlite3.Connection) -> dict[str, tuple[int, str | None, tuple[int, ...]]]:
    """What `Index._known` gives.

    Raises:
        sqlite3.DatabaseError: the table of keys is damaged; SQL made of it could be anything.
    """
    found = {}
    query = "SELECT place, key, number, column, numbers, texts, booleans, others, large FROM keys"
    for place, stored, number, column, *counts in database.execute(query).fetchall():
        try:
            key = atoms.decode(stored)
            damaged = place not in GROUPS or type(key) is not str
            damaged = damaged or column not in (None, rows.column(place, key))
        except (ValueError, UnicodeError):
            damaged = True
        if damaged or any(type(count) is not int for count in counts):
            raise database.DatabaseError("a key that is none")
        found[f"{place}.{key}"] = number, column, tuple(counts)
    return found


_NO_FILES: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})


def _whole(expression: str, descending: bool) -> str:
    """A further term of an order: what is missing last, always."""
    last = f"({expression} IS NULL OR {expression} IN {_MISSING})"
    return f"{last}, {expression} {'DESC' if descending else 'ASC'}"
