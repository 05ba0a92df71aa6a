"""Runs written into the tables of the index, and taken out: columns given to keys, values counted.

Knows which key has which column, and how many values of which type it has. Everything happens
within a transaction of the caller's. Knows nothing of where runs come from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import atoms, rows
from gittrack.quoting import utf8
from gittrack.rows import COLUMNS, GROUPS, Words
from gittrack.tables import batches, marks, set_fact

if TYPE_CHECKING:
    import sqlite3

    from gittrack.records import Input

__all__ = ["FILES", "RARE", "Entry", "Register"]

FILES, RARE = 1, 2
"""What `more` says of a run: it has files; it has keys without a column."""

_MOST_COLUMNS = 200
_MOST_WORDS = 5000
_FILE_PARTS = 5
_ABSENT = object()
_NOTHING: Mapping[str, Any] = {}
_KINDS = ("numbers", "texts", "booleans", "others")
_LARGE = 4
_COLUMN = re.compile(r"[a-z]_[0-9a-f]{12}")
_INSERT_FILE = "INSERT INTO files VALUES (?, ?, ?, ?, ?)"
_INSERT_INPUT = "INSERT INTO inputs VALUES (?, ?, ?, ?, ?)"
_UPDATE_KEY = (
    "UPDATE keys SET numbers = ?, texts = ?, booleans = ?, others = ?, large = ? WHERE number = ?"
)


class Entry(NamedTuple):
    """A run to be written: `run` as `rows.fixed` takes it, the ref's `stamp` if it is loose.

    `number` is that of the row that it replaces, None for a new one; then `inputs` are left alone.
    """

    experiment: str
    name: str
    oid: bytes
    run: Mapping[str, Any]
    inputs: Sequence[Input] = ()
    stamp: int | None = None
    number: int | None = None


class _Key:
    """A key: its number, its column if it has one, and how many values of each kind there are."""

    __slots__ = ("column", "counts", "number")

    def __init__(self, number: int, column: str | None, counts: list[int]) -> None:
        self.number = number
        self.column = column
        self.counts = counts


class Register:
    """The runs in the tables, for as long as one transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        known = database.execute("SELECT text, number FROM words")
        self._words = Words(dict(known), _MOST_WORDS)
        self._keys: dict[tuple[str, str], _Key] = {}
        self._columns = 0
        for place, key, number, column, *counts in database.execute(
            "SELECT place, key, number, column, numbers, texts, booleans, others, large FROM keys"
        ):
            if place not in GROUPS or (column and not _COLUMN.fullmatch(column)):
                raise ValueError(f"no column of ours: {column!r}")
            self._keys[place, atoms.decode(key)] = _Key(number, column, counts)
            self._columns += column is not None
        self._dirty: set[tuple[str, str]] = set()

    # -- writing ----------------------------------------------------------------------------------

    def write(self, entries: Sequence[Entry]) -> None:
        """Put runs into the tables; those with a number take the place of what that row said."""
        if not entries:
            return
        replaced = [entry.number for entry in entries if entry.number is not None]
        self._forget(replaced)
        self._allot(entries)
        self._fill(entries, self._numbers(entries))
        self._save()

    def _fill(self, entries: Sequence[Entry], numbers: Sequence[int]) -> None:
        """Write the rows, column by column, which is much faster than one by one."""
        runs = [entry.run for entry in entries]
        names = ["number", "experiment", "name", "oid", *COLUMNS[3:]]
        columns: list[Sequence[Any]] = [numbers, *zip(*(e[:3] for e in entries), strict=True)]
        columns += rows.fixed(runs, self._words)
        groups = {group: [run.get(group) or _NOTHING for run in runs] for group in GROUPS}
        columns_of_keys = []
        for group, there in groups.items():
            known = {k: one.column for (g, k), one in self._keys.items() if g == group}
            keys = [key for key, column in known.items() if column is not None]
            names += [column for column in known.values() if column is not None]
            for key, found in zip(keys, _values(there, keys), strict=True):
                values = atoms.encoded(found, _ABSENT)
                self._count(group, key, values, 1)
                columns_of_keys.append(values)
        rare = self._rare(numbers, groups)
        held = {run for run, _, _ in rare}
        columns.append(
            [
                (FILES if run.get("data") or run.get("artifacts") else 0)
                | (RARE if number in held else 0)
                for number, run in zip(numbers, runs, strict=True)
            ]
        )
        columns.append([entry.stamp for entry in entries])
        columns += columns_of_keys
        insert = f"INSERT OR REPLACE INTO runs ({', '.join(names)}) VALUES ({marks(names)})"
        self._database.executemany(insert, zip(*columns, strict=True))
        self._database.executemany("INSERT INTO rare VALUES (?, ?, ?)", rare)
        self._database.executemany("INSERT INTO words VALUES (?, ?)", self._words.taken())
        new = [pair for pair in zip(numbers, entries, strict=True) if pair[1].number is None]
        files = [line for number, entry in new for line in _files(number, entry.run)]
        inputs = [_input(number, one) for number, entry in new for one in entry.inputs]
        self._database.executemany(_INSERT_FILE, files)
        self._database.executemany(_INSERT_INPUT, inputs)

    def _numbers(self, entries: Sequence[Entry]) -> list[int]:
        """A number for each: one that no run ever had, because others keep things by them."""
        facts = dict(self._database.execute("SELECT name, value FROM facts WHERE name = 'next'"))
        following = first = facts.get("next", 1)
        numbers = []
        for entry in entries:
            numbers.append(following if entry.number is None else entry.number)
            following += entry.number is None
        if following != first:
            set_fact(self._database, "next", following)
            self._grow(following - first)
        return numbers

    def _grow(self, count: int) -> None:
        """There are so many runs more, or less."""
        facts = dict(self._database.execute("SELECT name, value FROM facts WHERE name = 'total'"))
        set_fact(self._database, "total", facts.get("total", 0) + count)

    def _allot(self, entries: Iterable[Entry]) -> None:
        """Give columns to new keys, to those of the most runs first, as long as there are some."""
        seen: Counter[tuple[str, str]] = Counter()
        for group in GROUPS:
            held = [entry.run[group] for entry in entries if entry.run.get(group)]
            keys = [key for key in set().union(*held) if (group, key) not in self._keys]
            seen.update({(group, key): sum(key in there for there in held) for key in keys})
        new = [place for place, _ in sorted(seen.items(), key=lambda one: (-one[1], one[0]))]
        taken = {known.column for known in self._keys.values()}
        for group, key in new:
            column: str | None = rows.column(group, key)
            if self._columns >= _MOST_COLUMNS or column in taken:
                column = None
            else:
                self._database.execute(f"ALTER TABLE runs ADD COLUMN {column}")
                taken.add(column)
                self._columns += 1
            done = self._database.execute(
                "INSERT INTO keys VALUES (NULL, ?, ?, ?, 0, 0, 0, 0, 0)",
                (group, atoms.encode(key), column),
            )
            self._keys[group, key] = _Key(done.lastrowid or 0, column, [0] * 5)

    def _rare(
        self, numbers: Sequence[int], groups: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> list[tuple[int, int, Any]]:
        """What has no column: run, key, value."""
        without = [place for place, known in self._keys.items() if known.column is None]
        if not without:
            return []
        found = []
        for group, held in groups.items():
            keys = {key: self._keys[group, key].number for place, key in without if place == group}
            for number, there in zip(numbers, held, strict=True):
                for key in there.keys() & keys.keys() if keys else ():
                    value = atoms.encode(there[key])
                    found.append((number, keys[key], value))
                    self._count(group, key, [value], 1)
        return found

    # -- taking out -------------------------------------------------------------------------------

    def drop(self, numbers: Iterable[int]) -> None:
        """Take runs out of the tables."""
        gone = list(dict.fromkeys(numbers))
        if not gone:
            return
        self._forget(gone)
        self._grow(-len(gone))
        for table, column in (("files", "run"), ("inputs", "run"), ("runs", "number")):
            command = f"DELETE FROM {table} WHERE {column} = ?"
            self._database.executemany(command, [(number,) for number in gone])
        self._save()

    def _forget(self, numbers: Iterable[int]) -> None:
        """Take what these runs have off the counts, and out of the table of rare keys."""
        columns = [(*place, known.column) for place, known in self._keys.items() if known.column]
        by_number = {known.number: place for place, known in self._keys.items()}
        names = ", ".join(["number", *(column for _, _, column in columns)])
        for part in batches(numbers):
            query = f"SELECT {names} FROM runs WHERE number IN ({marks(part)})"
            lines = self._database.execute(query, part).fetchall()
            for position, (group, key, _) in enumerate(columns, 1):
                self._count(group, key, [line[position] for line in lines], -1)
            query = f"SELECT key, value FROM rare WHERE run IN ({marks(part)})"
            for number, value in self._database.execute(query, part).fetchall():
                self._count(*by_number[number], [value], -1)
            self._database.execute(f"DELETE FROM rare WHERE run IN ({marks(part)})", part)

    # -- counts -----------------------------------------------------------------------------------

    def _count(self, group: str, key: str, values: Sequence[Any], sign: int) -> None:
        counts = self._keys[group, key].counts
        types = Counter(map(type, values))
        counts[0] += sign * (types[float] + types[int])
        counts[1] += sign * types[str]
        if types[bytes]:
            for value in values:
                if type(value) is bytes:
                    counts[_KINDS.index(atoms.kind(value))] += sign
                    counts[_LARGE] += sign * (value[:1] == b"I" or value[:2] == b'J"')
        if len(types) > (type(None) in types):
            self._dirty.add((group, key))

    def _save(self) -> None:
        changed = [self._keys[place] for place in self._dirty]
        lines = [(*known.counts, known.number) for known in changed]
        self._database.executemany(_UPDATE_KEY, lines)
        self._dirty.clear()


def _values(held: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Sequence[Sequence[Any]]:
    """A column for each key; where every run has all of them, each run is looked at once only."""
    if len(keys) > 1:
        try:
            return list(zip(*map(itemgetter(*keys), held), strict=True))
        except KeyError:
            pass
    return [[there.get(key, _ABSENT) for there in held] for key in keys]


def _files(number: int, run: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    data, artifacts = run.get("data") or {}, run.get("artifacts") or {}
    made: list[tuple[Any, ...]] = [
        (number, 0, atoms.encode(path), rows.digest(md5), None) for path, md5 in data.items()
    ]
    for path, md5 in artifacts.items():
        last = utf8(path).rpartition("/")[2] if md5.endswith(".dir") else None
        made.append((number, 1, atoms.encode(path), rows.digest(md5), last))
    return made


def _input(number: int, one: Input) -> tuple[Any, ...]:
    path = None if one.path is None else utf8(one.path)
    return number, utf8(one.run), utf8(one.id), utf8(one.commit), path
