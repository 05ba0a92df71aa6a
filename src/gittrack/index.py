"""What every run read and kept, remembered beside the repository so that no commit is opened twice.

Knows how it notices that refs or annotations changed, and how it is rebuilt: the tables are derived
from the commits and may be deleted at any time. A file that is damaged, from another version,
locked or read-only is replaced, or bypassed by tables in memory; it never stops a command. Knows
nothing of what follows from the answers.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gittrack import message, refs, runs
from gittrack.annotations import ROOT, overlay
from gittrack.errors import BrokenRecord, GitFailed
from gittrack.git import Repo, is_id
from gittrack.meter import SILENT, Meter
from gittrack.quoting import utf8
from gittrack.records import Input, Status, Summary
from gittrack.refs import RunRef

if TYPE_CHECKING:
    import sqlite3

_Refs: TypeAlias = dict[tuple[str, str], list[str]]

__all__ = ["NAME", "Index", "Known", "Used", "open_index"]

NAME = "index-1.sqlite"
"""The file, in the repository's `state`. Other tables take another number."""

_VERSION = 1
_BATCH = 500
_PATIENCE = 20.0
_YOUNG = 50_000_000
_YOUNG_IN_SECONDS = 2_000_000_000
_PACKED = "packed-refs"
_RUNS = refs.ROOT.rstrip("/")
_NOTES = ROOT.rstrip("/")
_LATEST = 100
_OWN_EVENTS = "annotations"
_INPUT = "Input: "
_TOO_YOUNG = "young"
_NOWHERE = ("", "")
_ALL_REFS = "SELECT experiment, name, oid, stamp FROM refs"
_OIDS = "SELECT oid FROM runs WHERE oid IN ({})"
_TURNED = str.maketrans("0123456789", "9876543210")
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

_SELECT = (
    "SELECT refs.experiment, refs.name, runs.oid, runs.id, runs.status, runs.started,"
    " runs.command, runs.standing, runs.epoch{more}"
    " FROM {join} runs CROSS JOIN refs ON refs.oid = runs.oid"
    " WHERE runs.id IS NOT NULL AND {where}"
)
_NEWEST = " ORDER BY runs.started DESC, refs.name, refs.experiment{}"
_RECORDED_LAST = f" ORDER BY files.rowid DESC LIMIT {_LATEST}"
_CURRENT, _ARCHIVED, _DELETED = range(3)


@dataclass(frozen=True, slots=True)
class Known:
    """A run as the index knows it.

    `started` is a moment as `message.time_text` writes it, which sorts as text.
    """

    experiment: str
    name: str
    commit: str
    id: str
    status: Status
    started: str
    command: tuple[str, ...]
    archived: bool = False
    deleted: bool = False

    @property
    def short(self) -> str:
        """What plain Git resolves: `runs/<experiment>/<name>`."""
        return RunRef(self.experiment, self.name, self.commit).short

    @property
    def step(self) -> tuple[str, tuple[str, ...]]:
        """What it has in common with the runs that did the same work before and after it."""
        return self.experiment, self.command


@dataclass(frozen=True, slots=True)
class Used:
    """A file or directory that `run` kept, or read, under `path`."""

    run: Known
    path: str
    md5: str


def open_index(repo: Repo, *, meter: Meter = SILENT) -> Index:
    """The index as it is now, to be closed by `with`: what is new was read, what is gone is out.

    Fresh, it costs a few `stat` calls, however many runs there are; the first time each run's
    commit is read, which `meter` shows. Any number of processes may do so at once; what one writes
    the others wait for. Not for use from several threads.

    Raises:
        GitFailed: Git cannot list the refs.
    """
    return Index(repo, meter)


class Index:
    """Answers about runs that are recorded here; a run that cannot be read is in none.

    Newest first, of two that began at once by name. Keys are looked up 500 at a time, so that any
    number may be asked for.
    """

    def __init__(self, repo: Repo, meter: Meter = SILENT) -> None:
        self._repo = repo
        self._meter = meter
        self._path = repo.state / NAME
        self._in_memory = False
        self._database = self._opened()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; nothing can be asked any more."""
        self._database.close()

    # -- questions --------------------------------------------------------------------------------

    def all(self) -> list[Known]:
        """Every run, deleted ones marked."""
        return [run for run, _ in self._rows("1")]

    def by_commits(self, commits: Iterable[str]) -> dict[str, Known]:
        """The runs at these commits, deleted ones marked; of two refs to one, the first by name."""
        found: dict[str, Known] = {}
        for run in self._each("runs.oid IN ({})", commits):
            found.setdefault(run.commit, run)
        return found

    def by_ids(self, ids: Iterable[str]) -> dict[str, Known]:
        """The runs of these ids, deleted ones marked; of several with one id, the newest."""
        found: dict[str, Known] = {}
        for run in self._each("runs.id IN ({})", ids):
            found.setdefault(run.id, run)
        return found

    def with_fingerprint(self, wanted: str) -> list[Known]:
        """The finished runs to which the same went in, deleted ones left out."""
        found = self._each("runs.fingerprint IN ({})", [wanted])
        return [run for run in found if run.status == "finished" and not run.deleted]

    def producers(self, md5s: Iterable[str]) -> dict[str, list[Used]]:
        """Who kept these bytes as an artifact, deleted runs left out.

        Of runs without number that kept the same, the 100 that were recorded last.
        """
        return {md5: found for md5 in dict.fromkeys(md5s) if (found := self._latest("md5", md5))}

    def readers(self, md5s: Iterable[str]) -> dict[str, list[Used]]:
        """Who read these bytes, deleted runs left out."""
        return _by_md5(self._used("files.kept = 0 AND files.md5 IN ({})", md5s))

    def keepers_of(self, path: str) -> list[Used]:
        """Who kept an artifact of this path, whatever was in it; deleted runs left out."""
        return self._used("files.kept = 1 AND files.path IN ({})", [path])

    def readers_of(self, path: str) -> list[Used]:
        """Who read this path, a directory above it or a file below it; deleted runs left out."""
        found = self._used("files.kept = 0 AND files.path IN ({})", _and_above(path))
        # Not LIKE, to which letters of either case are the same and '_' is any character.
        below = "files.kept = 0 AND files.path > ? AND files.path < ?"
        found += self._alive(self._rows(below, (path + "/", path + "0"), files=True))
        return sorted(found, key=lambda used: _newest_first(used.run))

    def folders(self, names: Iterable[str]) -> list[Used]:
        """Who kept a directory whose path ends in one of these names; deleted runs left out.

        Of each name the 100 that were recorded last.
        """
        found = [used for name in dict.fromkeys(names) for used in self._latest("last", name)]
        return sorted(found, key=lambda used: _newest_first(used.run))

    def files(self, commits: Iterable[str], *, kept: bool) -> dict[str, dict[str, str]]:
        """What each of these runs kept, or else read, if anything: path -> md5, by path."""
        found: dict[str, dict[str, str]] = {}
        for part in _batches(commits):
            for oid, path, md5 in self._ask(
                "SELECT runs.oid, files.path, files.md5 FROM runs JOIN files"
                f" ON files.run = runs.number WHERE runs.oid IN ({_marks(part)})"
                f" AND files.kept = {int(kept)} ORDER BY files.path",
                part,
            ):
                found.setdefault(oid, {})[path] = md5
        return found

    def inputs(self, commits: Iterable[str] | None = None) -> dict[str, list[Input]]:
        """The input runs of these runs (None: of all) that have any, as they recorded them."""
        query = (
            "SELECT runs.oid, inputs.given, inputs.id, inputs.oid, inputs.path FROM runs"
            " JOIN inputs ON inputs.run = runs.number{} ORDER BY inputs.rowid"
        )
        rows = self._ask(query.format("")) if commits is None else []
        for part in _batches(commits or ()):
            rows += self._ask(query.format(f" WHERE runs.oid IN ({_marks(part)})"), part)
        found: dict[str, list[Input]] = {}
        for oid, *given in rows:
            found.setdefault(oid, []).append(Input(*given))
        return found

    def dependants(self, sources: Iterable[Known]) -> list[tuple[Known, Input]]:
        """The runs that name one of these as an input, by commit or by id, each with that input.

        Deleted runs are left out.
        """
        known = list(sources)
        found: dict[tuple[str, str, str | None], tuple[Known, Input]] = {}
        for column, keys in (
            ("oid", [run.commit for run in known]),
            ("id", [run.id for run in known]),
        ):
            for part in _batches(keys):
                where = f"inputs.{column} IN ({_marks(part)})"
                for run, given in self._rows(where, part, inputs=True):
                    one = Input(*given)
                    found.setdefault((run.short, one.commit, one.path), (run, one))
        alive = [pair for pair in found.values() if not pair[0].deleted]
        return sorted(alive, key=lambda pair: _newest_first(pair[0]))

    # -- rows -------------------------------------------------------------------------------------

    def _each(self, where: str, keys: Iterable[str]) -> list[Known]:
        parts = list(_batches(keys))
        found = [r for part in parts for r, _ in self._rows(where.format(_marks(part)), part)]
        return found if len(parts) < 2 else sorted(found, key=_newest_first)

    def _used(self, where: str, keys: Iterable[str]) -> list[Used]:
        parts = list(_batches(keys))
        found: list[Used] = []
        for part in parts:
            found += self._alive(self._rows(where.format(_marks(part)), part, files=True))
        if len(parts) > 1:
            found.sort(key=lambda used: _newest_first(used.run))
        return found

    def _latest(self, column: str, key: str) -> list[Used]:
        where = f"files.kept = 1 AND files.{column} = ?"
        found = self._alive(self._rows(where, [key], files=True, latest=True))
        return sorted(found, key=lambda used: _newest_first(used.run))

    def _alive(self, rows: Iterable[tuple[Known, tuple[Any, ...]]]) -> list[Used]:
        return [Used(run, *more) for run, more in rows if not run.deleted]

    def _rows(
        self,
        where: str,
        values: Sequence[str] = (),
        *,
        files: bool = False,
        inputs: bool = False,
        latest: bool = False,
    ) -> list[tuple[Known, tuple[Any, ...]]]:
        more = join = last = ""
        if files:
            more = last = ", files.path, files.md5"
            join = "files CROSS JOIN"
            where = f"files.run = runs.number AND {where}"
        elif inputs:
            more = ", inputs.given, inputs.id, inputs.oid, inputs.path"
            join, last = "inputs CROSS JOIN", ", inputs.rowid"
            where = f"inputs.run = runs.number AND {where}"
        order = _RECORDED_LAST if latest else _NEWEST.format(last)
        query = _SELECT.format(more=more, join=join, where=where) + order
        try:
            return self._read_rows(self._ask(query, values))
        except (ValueError, TypeError):
            self._mend()
        return self._read_rows(self._ask(query, values))

    def _read_rows(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Known, tuple[Any, ...]]]:
        standing = self._standing(rows)
        return [(_known(row, standing.get(row[2], row[7])), tuple(row[9:])) for row in rows]

    def _standing(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, int]:
        """How the runs of these rows stand after annotation, where their rows do not know it."""
        if not self._annotated:
            return {row[2]: _CURRENT for row in rows if row[7]}
        open_ones = {row[2]: row for row in rows if row[8] != self._epoch}
        if not open_ones:
            return {}
        found = {
            run.commit or "": _DELETED if run.deleted else _ARCHIVED if run.archived else _CURRENT
            for run in overlay(self._repo, map(_bare_summary, open_ones.values()))
        }
        self._remember(found)
        return found

    def _remember(self, standing: Mapping[str, int]) -> None:
        import sqlite3

        values = [(number, self._epoch, oid) for oid, number in standing.items()]
        update = "UPDATE runs SET standing = ?, epoch = ? WHERE oid = ?"
        try:
            with _transaction(self._database):
                self._database.executemany(update, values)
        except sqlite3.Error:
            # Known for this time; the next one asks again.
            pass

    def _ask(self, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """All rows; where the file turns out to be damaged, those of one made anew."""
        import sqlite3

        plain = [utf8(value) for value in values]
        try:
            return self._database.execute(query, plain).fetchall()
        except sqlite3.Error:
            self._mend()
        return self._database.execute(query, plain).fetchall()

    def _mend(self) -> None:
        """Go on with tables made anew."""
        if self._in_memory:
            raise AssertionError("tables made a moment ago do not answer")
        self._database.close()
        self._discard(_identity(self._path))
        self._database = self._opened()

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
        self._in_memory = True
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
        self._epoch = int(facts.get("epoch", 0))
        self._annotated = bool(facts.get("annotated", 1))
        if facts.get("unread", 1):
            return False
        stored = dict(database.execute("SELECT path, stamp FROM places"))
        top = self._repo.common_dir
        return bool(stored) and all(_stamp(top / p) == stamp for p, stamp in stored.items())

    def _update(self, database: sqlite3.Connection) -> None:
        """Bring every table up to date; what is stamped now is looked at after."""
        stored: dict[str, str] = dict(database.execute("SELECT path, stamp FROM places"))
        top, now = self._repo.common_dir, time.time_ns()
        groups = _directories(top / _RUNS)
        notes = [f"{_NOTES}/{inner}" if inner else _NOTES for inner in _below(top / _NOTES)]
        own = f"{self._repo.state.name}/{_OWN_EVENTS}"
        said = {path: _stamp(top / path, now) for path in (_PACKED, *notes, own)}
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
        database.executemany("INSERT INTO places VALUES (?, ?)", list((said | listed).items()))

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
                for part in _batches(ref[0] for ref in new.values())
                for (oid,) in database.execute(_OIDS.format(_marks(part)), part)
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
        own = self._repo.state / _OWN_EVENTS
        annotated = os.path.lexists(own) or bool(self._repo.refs(ROOT))
        _set(database, "annotated", int(annotated))
        _set(database, "epoch", self._epoch + 1)


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
    inputs = None if known is None else _inputs(commit.message)
    if known is None or inputs is None:
        run = runs.load(repo, ref)
        return runs.summarize(run), run.inputs
    return known, inputs


def _inputs(text: str) -> list[Input] | None:
    """The inputs that a run's trailers name, None where one makes no sense."""
    found = []
    for line in text.rstrip("\n").rpartition("\n\n")[2].split("\n"):
        if line.startswith(_INPUT):
            run, _, rest = line[len(_INPUT) :].rpartition(" ")[0].rpartition(" ")
            commit = line.rpartition(" ")[2]
            if not (run and rest and is_id(commit)):
                return None
            found.append(Input(run, rest, commit))
    return found


def _input_row(number: int | None, one: Input) -> tuple[object, ...]:
    path = None if one.path is None else utf8(one.path)
    return number, utf8(one.run), utf8(one.id), utf8(one.commit), path


def _known(row: Sequence[Any], standing: int | None) -> Known:
    experiment, name, oid, run_id, status, started, command = row[:7]
    return Known(
        experiment,
        name,
        oid,
        run_id,
        status,
        started,
        tuple(json.loads(command)),
        archived=standing == _ARCHIVED,
        deleted=standing == _DELETED,
    )


def _bare_summary(row: Sequence[Any]) -> Summary:
    """As much of a run as annotations need."""
    return Summary(
        experiment=row[0],
        name=row[1],
        commit=row[2],
        id=row[3],
        status=row[4],
        started=message.parse_time(row[5]),
    )


def _newest_first(run: Known) -> tuple[str, str, str]:
    """A key that sorts as the tables do: digits are turned over, which turns times around."""
    return run.started.translate(_TURNED), run.name, run.experiment


def _by_md5(found: Iterable[Used]) -> dict[str, list[Used]]:
    grouped: dict[str, list[Used]] = {}
    for used in found:
        grouped.setdefault(used.md5, []).append(used)
    return grouped


def _and_above(path: str) -> list[str]:
    """The path and the directories above it."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1) if parts[count - 1]]


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


def _known_refs(database: sqlite3.Connection, group: str, names: Iterable[str]) -> _Refs:
    """The rows of an experiment's loose refs, and those of these names."""
    query = "SELECT name, oid, stamp FROM refs WHERE experiment = ? AND "
    found = {(group, n): ref for n, *ref in database.execute(query + "stamp <> ''", [group])}
    for part in _batches(names):
        rows = database.execute(query + f"name IN ({_marks(part)})", [group, *part])
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


def _marks(part: Sequence[str]) -> str:
    return ",".join("?" * len(part))


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
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
    try:
        with os.scandir(top) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []


def _below(top: Path) -> list[str]:
    """The directory itself (as an empty path) and all those below it."""
    return ["", *(os.path.relpath(here, top) for here, _, _ in os.walk(top) if here != str(top))]


def _loose(directory: Path, now: int) -> dict[str, str]:
    """The files of an experiment's refs, each with its stamp."""
    found = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                found[entry.name] = _stamp_of(entry.stat(), now) or _TOO_YOUNG
    except OSError:
        pass
    return found
