"""The tables of the index: what the commits of runs say, in rows that may be deleted at any time.

Knows how it notices that refs or annotations changed, and how the rows are made anew. A file that
is damaged, from another version, locked or read-only is replaced, or bypassed by tables in memory;
it never stops a command. Knows nothing of what the rows are asked for.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gittrack import commits, message, refs
from gittrack.errors import BrokenRecord, GitFailed
from gittrack.git import Repo
from gittrack.meter import SILENT, Meter
from gittrack.quoting import utf8
from gittrack.records import Input
from gittrack.refs import RunRef
from gittrack.summary import Summary

if TYPE_CHECKING:
    import sqlite3

_Refs: TypeAlias = dict[tuple[str, str], list[str]]

__all__ = ["NAME", "Tables", "batches", "marks"]

NAME = "index-1.sqlite"
"""The file, in the repository's `state`. Other tables take another number."""

_VERSION = 1
_BATCH = 500
_PATIENCE = 20.0
_YOUNG = 50_000_000
_YOUNG_IN_SECONDS = 2_000_000_000
_PACKED = "packed-refs"
_RUNS = refs.ROOT.rstrip("/")
_TOO_YOUNG = "young"
_NOWHERE = ("", "")
_ALL_REFS = "SELECT experiment, name, oid, stamp FROM refs"
_OIDS = "SELECT oid FROM runs WHERE oid IN ({})"
_REFUSED = ("locked", "unable to open", "readonly", "read-only", "disk i/o", "full", "permission")

_SCHEMA = """
CREATE TABLE places (path TEXT PRIMARY KEY, stamp TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE refs (
  experiment TEXT NOT NULL, name TEXT NOT NULL, oid TEXT NOT NULL, stamp TEXT NOT NULL,
  PRIMARY KEY (experiment, name)) WITHOUT ROWID;
CREATE INDEX refs_by_oid ON refs (oid);
CREATE INDEX refs_loose ON refs (experiment) WHERE stamp <> '';
CREATE TABLE runs (
  number INTEGER PRIMARY KEY, oid TEXT NOT NULL UNIQUE, id TEXT, status TEXT, started TEXT,
  command TEXT, fingerprint TEXT, standing INTEGER, epoch INTEGER);
CREATE INDEX runs_by_id ON runs (id);
CREATE INDEX runs_by_fingerprint ON runs (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE TABLE files (run INTEGER NOT NULL, kept INTEGER NOT NULL, path TEXT NOT NULL,
  md5 TEXT NOT NULL, last TEXT);
CREATE INDEX files_by_run ON files (run, kept);
CREATE INDEX files_by_md5 ON files (md5, kept);
CREATE INDEX files_by_path ON files (path, kept);
CREATE INDEX files_by_last ON files (last, kept) WHERE last IS NOT NULL;
CREATE TABLE inputs (run INTEGER NOT NULL, given TEXT NOT NULL, id TEXT NOT NULL,
  oid TEXT NOT NULL, path TEXT);
CREATE INDEX inputs_by_run ON inputs (run);
CREATE INDEX inputs_by_id ON inputs (id);
CREATE INDEX inputs_by_oid ON inputs (oid);
"""


class Tables:
    """The rows as they are now, to be closed after use; what is new was read, what is gone is out.

    `notes` is the directory of the refs that annotations are kept under, `own` the file in the
    repository's state that holds those of this clone: where either changes, `epoch` does, and what
    a row knows of a run's standing is as old as the epoch that stands beside it. Without
    annotations (`annotated`) no run is archived or deleted.

    Raises (here, and where the file turns out to be damaged):
        GitFailed: Git cannot list the refs.
    """

    def __init__(self, repo: Repo, *, notes: str, own: str, meter: Meter = SILENT) -> None:
        self._repo = repo
        self._notes = notes.rstrip("/")
        self._own = f"{repo.state.name}/{own}"
        self._meter = meter
        self._path = repo.state / NAME
        self.in_memory = False
        self.epoch = 0
        self.annotated = True
        self._database = self._opened()

    def close(self) -> None:
        """Let go of the file; nothing can be asked any more."""
        self._database.close()

    def ask(self, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """All rows; where the file turns out to be damaged, those of one made anew."""
        import sqlite3

        plain = [utf8(value) for value in values]
        try:
            return self._database.execute(query, plain).fetchall()
        except sqlite3.Error:
            self.mend()
        return self._database.execute(query, plain).fetchall()

    def mend(self) -> None:
        """Go on with tables made anew."""
        if self.in_memory:
            raise AssertionError("tables made a moment ago do not answer")
        self._database.close()
        self._discard(_identity(self._path))
        self._database = self._opened()

    def remember(self, standing: Mapping[str, int]) -> None:
        """Keep how runs stand, by commit, until the epoch ends."""
        import sqlite3

        values = [(number, self.epoch, oid) for oid, number in standing.items()]
        update = "UPDATE runs SET standing = ?, epoch = ? WHERE oid = ?"
        try:
            with _transaction(self._database):
                self._database.executemany(update, values)
        except sqlite3.Error:
            # Known for this time; the next one asks again.
            pass

    # -- opening ----------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        """The tables, brought up to date: in the file if at all possible."""
        import sqlite3

        for _ in range(3):
            seen = _identity(self._path)
            if seen is None and os.path.lexists(self._path):
                # A link or a directory leads elsewhere, and is not ours to remove.
                break
            database: sqlite3.Connection | None = None
            try:
                self._repo.state.mkdir(parents=True, exist_ok=True)
                database = _connect(self._path)
                self._refresh(database)
                return database
            except OSError:
                break
            except (sqlite3.Error, ValueError, TypeError) as error:
                if database is not None:
                    database.close()
                if _is_refusal(error):
                    break
                self._discard(seen)
            except BaseException:
                if database is not None:
                    database.close()
                raise
        return self._bypass()

    def _bypass(self) -> sqlite3.Connection:
        """Tables in memory, made anew."""
        self.in_memory = True
        database = _connect(None)
        self._refresh(database)
        return database

    def _discard(self, seen: tuple[int, ...] | None) -> None:
        """Remove the damaged file that we saw, unless another process has replaced it already.

        Its journal goes first: SQLite would play it into the new file.
        """
        import fcntl

        try:
            handle = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            return
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX)
            if seen is not None and _identity(self._path) == seen:
                Path(f"{self._path}-journal").unlink(missing_ok=True)
                self._path.unlink()
        except OSError:
            pass
        finally:
            os.close(handle)

    # -- freshness --------------------------------------------------------------------------------

    def _refresh(self, database: sqlite3.Connection) -> None:
        if self._is_fresh(database):
            return
        with _transaction(database):
            # Whoever held the lock before us may have done it all.
            if not self._is_fresh(database):
                self._update(database)
        self._is_fresh(database)

    def _is_fresh(self, database: sqlite3.Connection) -> bool:
        facts = dict(database.execute("SELECT name, value FROM facts"))
        self.epoch = int(facts.get("epoch", 0))
        self.annotated = bool(facts.get("annotated", 1))
        if facts.get("unread", 1):
            return False
        stored = _stored(database)
        top = self._repo.common_dir
        return bool(stored) and all(_stamp(top / p) == stamp for p, stamp in stored.items())

    def _update(self, database: sqlite3.Connection) -> None:
        """Bring every table up to date; what is stamped now is looked at after."""
        stored = _stored(database)
        top, now = self._repo.common_dir, time.time_ns()
        groups = _directories(top / _RUNS)
        notes = [os.path.normpath(f"{self._notes}/{p}") for p in _below(top / self._notes)]
        said = {path: _stamp(top / path, now) for path in (_PACKED, *notes, self._own)}
        listed = {path: _stamp(top / path, now) for path in (_PACKED, _RUNS)}
        listed |= {f"{_RUNS}/{group}": _stamp(top / _RUNS / group, now) for group in groups}
        if not listed[_PACKED] or listed[_PACKED] != stored.get(_PACKED):
            before, after = self._listed(database, groups, now)
        else:
            before, after = self._looked_up(database, stored, listed, now)
        gone = [ref[0] for place, ref in before.items() if after.get(place, _NOWHERE)[0] != ref[0]]
        new = {place: ref for place, ref in after.items() if before.get(place) != ref}
        _replace(database, before.keys() - after.keys(), new)
        self._read_new(database, new)
        _drop(database, gone)
        if any(not stamp or stored.get(path) != stamp for path, stamp in said.items()):
            self._note(database)
        database.execute("DELETE FROM places")
        rows = [(_spelled(path), stamp) for path, stamp in (said | listed).items()]
        database.executemany("INSERT INTO places VALUES (?, ?)", rows)

    def _listed(
        self, database: sqlite3.Connection, groups: Sequence[str], now: int
    ) -> tuple[_Refs, _Refs]:
        """The refs of the table, and all that Git lists."""
        loose = {group: _loose(self._repo.common_dir / _RUNS / group, now) for group in groups}
        before = {(group, name): ref for group, name, *ref in database.execute(_ALL_REFS)}
        after = {
            (ref.experiment, ref.name): [
                ref.commit,
                loose.get(ref.experiment, {}).get(ref.name, ""),
            ]
            for ref in refs.all_runs(self._repo)
        }
        return before, after

    def _looked_up(
        self,
        database: sqlite3.Connection,
        stored: Mapping[str, str],
        listed: Mapping[str, str],
        now: int,
    ) -> tuple[_Refs, _Refs]:
        """The refs of the table that lie in directories which changed, and what Git says of them.

        A loose ref is a file that is replaced when it changes, so Git is asked only of those whose
        files are not as they were.
        """
        before: _Refs = {}
        after: _Refs = {}
        places = {place for place in (stored.keys() | listed.keys()) if place.startswith(refs.ROOT)}
        for place in places:
            if listed.get(place) and listed.get(place) == stored.get(place):
                continue
            group = place.removeprefix(refs.ROOT)
            loose = _loose(self._repo.common_dir / place, now)
            known = _known_refs(database, group, loose)
            before.update(known)
            for name in {*loose, *(name for _, name in known)}:
                was, stamp = known.get((group, name)), loose.get(name, "")
                if was is not None and stamp not in ("", _TOO_YOUNG) and was[1] == stamp:
                    after[group, name] = was
                elif ref := refs.find(self._repo, group, name):
                    after[group, name] = [ref.commit, stamp]
        return before, after

    def _read_new(self, database: sqlite3.Connection, new: _Refs) -> None:
        """Read the commits that no row knows yet, of these refs and of those that failed before."""
        query = (
            "SELECT experiment, name, oid FROM refs"
            " WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.oid = refs.oid)"
        )
        if dict(database.execute("SELECT name, value FROM facts")).get("unread"):
            waiting = [RunRef(*place) for place in database.execute(query)]
        else:
            known = {
                oid
                for part in batches(ref[0] for ref in new.values())
                for (oid,) in database.execute(_OIDS.format(marks(part)), part)
            }
            waiting = [RunRef(*p, ref[0]) for p, ref in new.items() if ref[0] not in known]
        if not waiting:
            return
        unread = 0
        self._meter.start("reading runs", len(waiting), "runs")
        try:
            for ref in waiting:
                unread += not self._read(database, ref)
                self._meter.advance(1)
        finally:
            self._meter.end()
        # Asked for again each time: what is missing today may be fetched tomorrow.
        _set(database, "unread", unread)

    def _read(self, database: sqlite3.Connection, ref: RunRef) -> bool:
        """Put one run into the tables -> whether its commit could be read."""
        try:
            found = _excerpt(self._repo, ref)
        except (BrokenRecord, GitFailed):
            return False
        insert = (
            "INSERT OR IGNORE INTO runs (oid, id, status, started, command, fingerprint)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        if found is None:
            database.execute(insert, (ref.commit, None, None, None, None, None))
            return True
        run, inputs = found
        fingerprint = run.fingerprint and utf8(run.fingerprint)
        command = json.dumps([utf8(word) for word in run.command])
        # The year 900 has three digits to strftime, and would sort and read back as none.
        started = message.time_text(run.started).rjust(27, "0")
        values = (ref.commit, utf8(run.id), run.status, started, command, fingerprint)
        done = database.execute(insert, values)
        if done.rowcount < 1:
            return True
        number = done.lastrowid
        files: list[tuple[object, ...]]
        files = [(number, 0, utf8(path), utf8(md5), None) for path, md5 in run.data.items()]
        for path, md5 in run.artifacts.items():
            last = utf8(path).rpartition("/")[2] if md5.endswith(".dir") else None
            files.append((number, 1, utf8(path), utf8(md5), last))
        database.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?)", files)
        database.executemany(
            "INSERT INTO inputs VALUES (?, ?, ?, ?, ?)",
            [_input_row(number, one) for one in inputs],
        )
        return True

    def _note(self, database: sqlite3.Connection) -> None:
        """Forget how the runs stand: it is asked for again where it matters."""
        own = self._repo.common_dir / self._own
        annotated = os.path.lexists(own) or bool(self._repo.refs(self._notes + "/"))
        _set(database, "annotated", int(annotated))
        _set(database, "epoch", self.epoch + 1)


# -- what a commit says ---------------------------------------------------------------------------


def _excerpt(repo: Repo, ref: RunRef) -> tuple[Summary, Sequence[Input]] | None:
    """A run's summary and its inputs, None where the commit is not ours.

    Raises:
        GitFailed, BrokenRecord: the commit, or the record that had to be read, cannot be read.
    """
    commit = repo.read_commit(ref.commit)
    if not message.is_run(commit.message):
        return None
    try:
        known = message.summary(
            commit.message, experiment=ref.experiment, name=ref.name, commit=ref.commit
        )
    except BrokenRecord:
        known = None
    inputs = None if known is None else message.inputs(commit.message)
    if known is None or inputs is None:
        run = commits.load(repo, ref)
        return commits.summarize(run), run.inputs
    return known, inputs


def _input_row(number: int | None, one: Input) -> tuple[object, ...]:
    path = None if one.path is None else utf8(one.path)
    return number, utf8(one.run), utf8(one.id), utf8(one.commit), path


# -- the file -------------------------------------------------------------------------------------


def _connect(path: Path | None) -> sqlite3.Connection:
    """Open the tables, made if there are none.

    Raises:
        sqlite3.Error: the file is none of ours, or cannot be used.
    """
    import sqlite3

    database = sqlite3.connect(path or ":memory:", timeout=_PATIENCE, isolation_level=None)
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with _transaction(database):
                # Another process may have been faster.
                if not database.execute("PRAGMA user_version").fetchone()[0]:
                    _create(database)
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"tables of version {version}")
    except BaseException:
        database.close()
        raise
    return database


def _create(database: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {_VERSION}")


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _is_refusal(error: Exception) -> bool:
    """Whether the file is in use or out of reach, rather than damaged."""
    words = str(error).lower()
    return any(word in words for word in _REFUSED)


def _set(database: sqlite3.Connection, name: str, value: int) -> None:
    database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def _stored(database: sqlite3.Connection) -> dict[str, str]:
    """The places that were looked at, and their stamps then."""
    rows = database.execute("SELECT path, stamp FROM places")
    return {os.fsdecode(path.encode("latin-1")): stamp for path, stamp in rows}


def _spelled(path: str) -> str:
    """A path as a text that SQLite takes, a character for a byte: its bytes may be no UTF-8."""
    return os.fsencode(path).decode("latin-1")


def _known_refs(database: sqlite3.Connection, group: str, names: Iterable[str]) -> _Refs:
    """The rows of an experiment's loose refs, and those of these names."""
    query = "SELECT name, oid, stamp FROM refs WHERE experiment = ? AND "
    found = {(group, n): ref for n, *ref in database.execute(query + "stamp <> ''", [group])}
    for part in batches(names):
        rows = database.execute(query + f"name IN ({marks(part)})", [group, *part])
        found |= {(group, name): ref for name, *ref in rows}
    return found


def _replace(
    database: sqlite3.Connection, gone: Iterable[tuple[str, str]], new: Mapping[Any, list[str]]
) -> None:
    database.executemany("DELETE FROM refs WHERE experiment = ? AND name = ?", list(gone))
    rows = [(*place, *ref) for place, ref in new.items()]
    database.executemany("INSERT OR REPLACE INTO refs VALUES (?, ?, ?, ?)", rows)


def _drop(database: sqlite3.Connection, gone: Iterable[str]) -> None:
    """Forget those of these commits to which no ref points any more."""
    for oid in gone:
        if database.execute("SELECT 1 FROM refs WHERE oid = ?", [oid]).fetchone():
            continue
        for (number,) in database.execute(
            "SELECT number FROM runs WHERE oid = ?", [oid]
        ).fetchall():
            database.execute("DELETE FROM files WHERE run = ?", [number])
            database.execute("DELETE FROM inputs WHERE run = ?", [number])
            database.execute("DELETE FROM runs WHERE number = ?", [number])


def marks(part: Sequence[str]) -> str:
    """As many question marks as there are values."""
    return ",".join("?" * len(part))


def batches(keys: Iterable[str]) -> Iterator[list[str]]:
    """The keys, each once, in lists that one statement can take."""
    known = list(dict.fromkeys(keys))
    for start in range(0, len(known), _BATCH):
        yield known[start : start + _BATCH]


# -- stamps ---------------------------------------------------------------------------------------


def _identity(path: Path) -> tuple[int, ...] | None:
    """Which file it is, None where there is no plain one; inode numbers are used again."""
    try:
        seen = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(seen.st_mode):
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _stamp(path: Path, now: int | None = None) -> str:
    """What changes with a file or directory, `-` if there is none.

    With `now` (ns since the epoch) it is empty, and so equal to none, where the last change is so
    young that another one could bear the same time.
    """
    try:
        return _stamp_of(os.stat(path), now)
    except OSError:
        return "-"


def _stamp_of(seen: os.stat_result, now: int | None) -> str:
    # Some file systems count whole seconds, or two.
    young = _YOUNG if seen.st_mtime_ns % 1_000_000_000 else _YOUNG_IN_SECONDS
    if now is not None and now - seen.st_mtime_ns < young:
        return ""
    return f"{seen.st_ino}:{seen.st_mtime_ns}:{seen.st_size}"


def _directories(top: Path) -> list[str]:
    """The experiments that have a directory; names beyond ASCII are none of ours."""
    try:
        with os.scandir(top) as entries:
            return sorted(e.name for e in entries if e.name.isascii() and e.is_dir())
    except OSError:
        return []


def _below(top: Path) -> list[str]:
    """The directory itself (as an empty path) and all those below it."""
    return ["", *(os.path.relpath(here, top) for here, _, _ in os.walk(top) if here != str(top))]


def _loose(directory: Path, now: int) -> dict[str, str]:
    """The files of an experiment's refs, each with its stamp; names beyond ASCII are none."""
    found = {}
    try:
        with os.scandir(directory) as entries:
            for entry in (entry for entry in entries if entry.name.isascii()):
                found[entry.name] = _stamp_of(entry.stat(), now) or _TOO_YOUNG
    except OSError:
        pass
    return found
