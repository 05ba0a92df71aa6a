"""The file of the index: its tables, made and thrown away; what stands in them may be lost.

Knows how to open it, whoever else does so at once. A file that is damaged, from another version,
locked or read-only is replaced, or bypassed by tables in memory: it never stops a command. Knows
nothing of what the rows say.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from gittrack import atoms, rows, stamps
from gittrack.whereabouts import Place

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "NAME",
    "Tables",
    "alone",
    "batches",
    "facts",
    "is_damage",
    "is_fresh",
    "is_overdue",
    "make_indexes",
    "marks",
    "places",
    "set_fact",
    "set_places",
    "spelled",
    "transaction",
    "unspelled",
]

_Answer = TypeVar("_Answer")

NAME = "index-2.sqlite"
"""The file, in the repository's `state`. Other tables take another number."""

_VERSION = 2
_FORMER = ("index-1.sqlite", "index-1.sqlite-journal", "index-1.sqlite.lock")
_BATCH = 500
_PATIENCE = 20.0
_RETRY = 60.0
_PAGE = 4096
_CACHE = -32_000
_REFUSED = ("locked", "unable to open", "readonly", "read-only", "disk i/o", "full", "permission")
_HARMLESS = (
    "user-defined function",
    "interrupted",
    "too many",
    "too large",
    "too big",
    "too complex",
    "parser stack",
    "syntax error",
    "incomplete input",
    "out of memory",
    "integer overflow",
    "authoriz",
    "prohibited",
)

_SCHEMA = f"""
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE words (number INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE keys (number INTEGER PRIMARY KEY, place TEXT NOT NULL, key NOT NULL, column TEXT,
  numbers INTEGER NOT NULL, texts INTEGER NOT NULL, booleans INTEGER NOT NULL,
  others INTEGER NOT NULL, large INTEGER NOT NULL);
CREATE TABLE runs (number INTEGER PRIMARY KEY, {", ".join(rows.COLUMNS)});
CREATE TABLE rare (run INTEGER NOT NULL, key INTEGER NOT NULL, value, PRIMARY KEY (run, key))
  WITHOUT ROWID;
CREATE TABLE others (ref TEXT PRIMARY KEY, oid BLOB, stamp INTEGER, kind TEXT NOT NULL)
  WITHOUT ROWID;
CREATE TABLE problems (rank INTEGER NOT NULL, ref TEXT NOT NULL, message TEXT NOT NULL, hint TEXT,
  stands TEXT NOT NULL);
CREATE TABLE files (run INTEGER NOT NULL, kept INTEGER NOT NULL, path TEXT NOT NULL, md5 NOT NULL,
  last TEXT);
CREATE TABLE inputs (run INTEGER NOT NULL, given TEXT NOT NULL, id TEXT NOT NULL,
  oid TEXT NOT NULL, path TEXT);
CREATE TABLE notes (ref TEXT NOT NULL, oid BLOB NOT NULL, blob BLOB NOT NULL,
  PRIMARY KEY (ref, oid)) WITHOUT ROWID;
CREATE TABLE due (oid BLOB PRIMARY KEY) WITHOUT ROWID;
"""

_INDEXES = """
CREATE INDEX IF NOT EXISTS runs_by_oid ON runs (substr(oid, 1, 5));
CREATE INDEX IF NOT EXISTS runs_by_id ON runs (substr(id, 1, 5));
CREATE INDEX IF NOT EXISTS runs_by_name ON runs (name);
CREATE INDEX IF NOT EXISTS runs_by_start ON runs (started DESC);
CREATE INDEX IF NOT EXISTS runs_loose ON runs (experiment) WHERE stamp IS NOT NULL;
CREATE INDEX IF NOT EXISTS runs_by_fingerprint ON runs (fingerprint)
  WHERE fingerprint IS NOT NULL;
CREATE INDEX IF NOT EXISTS runs_put_away ON runs (archived, deleted)
  WHERE archived + deleted > 0;
CREATE INDEX IF NOT EXISTS files_by_run ON files (run, kept);
CREATE INDEX IF NOT EXISTS files_by_md5 ON files (md5, kept);
CREATE INDEX IF NOT EXISTS files_by_path ON files (path, kept);
CREATE INDEX IF NOT EXISTS files_by_last ON files (last, kept) WHERE last IS NOT NULL;
CREATE INDEX IF NOT EXISTS inputs_by_run ON inputs (run);
CREATE INDEX IF NOT EXISTS inputs_by_id ON inputs (id);
CREATE INDEX IF NOT EXISTS inputs_by_oid ON inputs (oid);
"""


class Tables:
    """The tables, brought up to date by `refresh`, to be closed after use.

    `refresh` is called with the database and its path, None in memory, whenever it was opened.
    `apology` is a sentence about why the file cannot be used, None where it is.

    Raises (here, and where the file turns out to be damaged):
        GitFailed: Git cannot list the refs.
    """

    def __init__(
        self, place: Place, refresh: Callable[[sqlite3.Connection, str | None], None]
    ) -> None:
        self._refresh = refresh
        self._state = place.state
        self.path = f"{place.state}/{NAME}"
        self.apology: str | None = None
        self.database = self._opened()

    @property
    def in_memory(self) -> bool:
        """Whether the tables are lost when they are closed."""
        return self.apology is not None

    def close(self) -> None:
        """Let go of the file; nothing can be asked any more."""
        self.database.close()

    def ask(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows; where the file turns out to be damaged, those of one made anew.

        Raises:
            sqlite3.Error: the query makes no sense, or was interrupted.
        """
        return self.guarded(lambda database: database.execute(query, values).fetchall())

    def guarded(self, ask: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        """The same for more than one query.

        Raises:
            sqlite3.Error: as `ask`.
        """
        import sqlite3

        try:
            return ask(self.database)
        except sqlite3.Error as error:
            if not is_damage(error) or self.in_memory:
                raise
            self.mend()
        return ask(self.database)

    def mend(self) -> None:
        """Go on with tables made anew."""
        if self.in_memory:
            raise AssertionError("tables made a moment ago do not answer")
        self.database.close()
        _discard(self.path, _identity(self.path))
        self.database = self._opened()

    # -- opening ----------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        """The tables, brought up to date: in the file if at all possible."""
        import sqlite3

        reason = "it is damaged each time that it is made"
        for _ in range(3):
            seen = _identity(self.path)
            if seen is None and os.path.lexists(self.path):
                # A link or a directory leads elsewhere, and is not ours to remove.
                reason = "it is no plain file"
                break
            database: sqlite3.Connection | None = None
            opened = None
            try:
                if seen is None:
                    self._make_way()
                database = _connect(self.path)
                opened = _identity(self.path)
                self._refresh(database, self.path)
                return database
            except OSError as error:
                reason = error.strerror or str(error)
                break
            except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
                if database is not None:
                    database.close()
                if opened is not None and opened[:2] != (_identity(self.path) or ())[:2]:
                    # Removed by another process, which SQLite takes for a fault of the disk.
                    continue
                if _is_refusal(error):
                    reason = str(error)
                    break
                _discard(self.path, seen)
            except BaseException:
                if database is not None:
                    database.close()
                raise
        return self._bypass(reason)

    def _make_way(self) -> None:
        """Make the directory, and remove what former versions left in it."""
        os.makedirs(self._state, exist_ok=True)
        for name in _FORMER:
            try:
                os.unlink(f"{self._state}/{name}")
            except OSError:
                pass

    def _bypass(self, reason: str) -> sqlite3.Connection:
        """Tables in memory: what the file has if it can be read, brought up to date."""
        import sqlite3

        self.apology = f"the index '{self.path}' cannot be used, which makes this slow: {reason}"
        try:
            database = self._copied()
            self._refresh(database, None)
            return database
        except (sqlite3.Error, ValueError, TypeError, LookupError, OSError):
            database = _connect(None)
            self._refresh(database, None)
            return database

    def _copied(self) -> sqlite3.Connection:
        import sqlite3
        from urllib.parse import quote

        if _identity(self.path) is None:
            raise FileNotFoundError(self.path)
        source = sqlite3.connect(f"file:{quote(self.path)}?mode=ro", uri=True, timeout=1)
        try:
            if source.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                raise ValueError("another version")
            database = _memory()
            source.backup(database)
            _functions(database)
            return database
        finally:
            source.close()

    def connect_read_only(self) -> sqlite3.Connection:
        """Another connection to the tables, which can change nothing, to be closed by the caller.

        Of tables in memory it sees a copy.
        """
        import sqlite3
        from urllib.parse import quote

        if self.in_memory:
            database = _memory()
            self.database.backup(database)
        else:
            name = f"file:{quote(self.path)}?mode=ro"
            database = sqlite3.connect(name, uri=True, timeout=_PATIENCE, isolation_level=None)
        _functions(database)
        database.execute("PRAGMA query_only = ON")
        return database


def _memory() -> sqlite3.Connection:
    import sqlite3

    return sqlite3.connect(":memory:", isolation_level=None)


def _connect(path: str | None) -> sqlite3.Connection:
    """Open the tables, made if there are none.

    Raises:
        sqlite3.Error: the file is none of ours, or cannot be used.
    """
    import sqlite3

    database = sqlite3.connect(path or ":memory:", timeout=_PATIENCE, isolation_level=None)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            database.execute(f"PRAGMA page_size = {_PAGE}")
            with transaction(database):
                # Another process may have been faster.
                if not database.execute("PRAGMA user_version").fetchone()[0]:
                    _create(database)
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"tables of version {version}")
        _functions(database)
    except BaseException:
        database.close()
        raise
    return database


def _functions(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute(f"PRAGMA cache_size = {_CACHE}")
    database.create_function("gittrack_command", 2, rows.shell, deterministic=True)
    database.create_function("gittrack_notes", 1, rows.notes, deterministic=True)
    database.create_function("gittrack_order", 1, atoms.sortable, deterministic=True)


def _create(database: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {_VERSION}")


def make_indexes(database: sqlite3.Connection) -> None:
    """Make what finds rows fast: after the first rows, because each on its way costs more."""
    for statement in _INDEXES.split(";"):
        database.execute(statement)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All that is done within, or nothing of it; other processes wait."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def facts(database: sqlite3.Connection) -> dict[str, Any]:
    """What was written down, by name."""
    return dict(database.execute("SELECT name, value FROM facts"))


def places(known: Mapping[str, Any]) -> dict[str, str]:
    """The places below the common directory that were looked at, and their stamps then.

    None where the tables do not say all that is there.
    """
    text = known.get("looked") or "{}"
    return {os.fsdecode(path.encode("latin-1")): stamp for path, stamp in json.loads(text).items()}


def set_places(database: sqlite3.Connection, looked: Mapping[str, str]) -> None:
    """Write down what was looked at: the tables say all that was there."""
    text = json.dumps({spelled(path): stamp for path, stamp in looked.items()})
    set_fact(database, "looked", text)


def is_fresh(database: sqlite3.Connection, top: str) -> bool:
    """Whether the tables say what refs and annotations are now; `top` is the common directory."""
    known = facts(database)
    looked = places(known)
    return bool(looked) and stamps.are_unchanged(top, looked) and not is_overdue(known)


def is_overdue(known: Mapping[str, Any]) -> bool:
    """Whether it is long ago that runs which cannot be read were tried last."""
    tried = known.get("tried", 0)
    return tried != 0 and not 0 <= time.time() - tried < _RETRY


def spelled(path: str) -> str:
    """A path as a text that SQLite takes, a character for a byte: its bytes may be no UTF-8."""
    return os.fsencode(path).decode("latin-1")


def unspelled(text: str) -> str:
    """The path again."""
    return os.fsdecode(text.encode("latin-1"))


def set_fact(database: sqlite3.Connection, name: str, value: str | int) -> None:
    """Write one fact down, in place of what it was."""
    database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def is_damage(error: Exception) -> bool:
    """Whether an error says something of the file, rather than of what was asked."""
    words = str(error).lower()
    return not any(word in words for word in _HARMLESS)


def _is_refusal(error: Exception) -> bool:
    """Whether the file is in use or out of reach, rather than damaged."""
    words = str(error).lower()
    return any(word in words for word in _REFUSED)


def _identity(path: str) -> tuple[int, ...] | None:
    """Which file it is, None where there is no plain one; inode numbers are used again."""
    try:
        seen = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(seen.st_mode):
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _discard(path: str, seen: tuple[int, ...] | None) -> None:
    """Remove the damaged file that we saw, unless another process has replaced it already.

    Its journal goes first: SQLite would play it into the new file.
    """
    with alone(path, ".discard"):
        if seen is None or _identity(path) != seen:
            return
        for name in (f"{path}-journal", path):
            try:
                os.unlink(name)
            except OSError:
                pass


@contextmanager
def alone(path: str, ending: str = ".writing") -> Iterator[None]:
    """Wait for another process that does the same, as long as it makes progress with the file.

    Where nobody can lock, go on at once: this saves work, and nothing depends on it.
    """
    import fcntl

    try:
        handle = os.open(path + ending, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        yield
        return
    try:
        seen, since = _identity(path), time.monotonic()
        while time.monotonic() - since < _PATIENCE:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                time.sleep(0.005)
            except OSError:
                break
            if (now := _identity(path)) != seen:
                seen, since = now, time.monotonic()
        yield
    finally:
        os.close(handle)


def marks(part: Sequence[Any]) -> str:
    """As many question marks as there are values."""
    return ",".join("?" * len(part))


def batches(keys: Iterable[Any]) -> Iterator[list[Any]]:
    """The keys, each once, in lists that one statement can take."""
    known = list(dict.fromkeys(keys))
    for start in range(0, len(known), _BATCH):
        yield known[start : start + _BATCH]
