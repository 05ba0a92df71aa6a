"""Refs, commits and annotations as the rows of the index, kept as they are now.

Knows which rows are made anew when refs or annotations changed, and how an interrupted reading
goes on: whatever is written is true, and only the last step says that all of it is there. Knows
nothing of what the rows are asked for.
"""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from gittrack import commits, message, refs, rows, stamps, surveys, tables
from gittrack.annotations import LARGEST, OWN, ROOT, applied
from gittrack.errors import BrokenRecord, GitFailed
from gittrack.git import Ref
from gittrack.meter import SILENT, Meter
from gittrack.refs import RunRef
from gittrack.register import Entry, Register
from gittrack.surveys import Survey
from gittrack.whereabouts import Place

if TYPE_CHECKING:
    import sqlite3

    from gittrack.records import Input

__all__ = ["refresh"]

_BATCH = 2500
_AT_ONCE = 5000
_MOST_WATCHED = 64
_BROKEN, _CODE, _STRAY, _NOWHERE = "broken", "code", "stray", "nowhere"
_OF_RUNS, _OF_STRAYS = 0, 1


def refresh(
    database: sqlite3.Connection, place: Place, *, path: str | None = None, meter: Meter = SILENT
) -> None:
    """Bring the rows up to date, in steps that count each by itself; `path` is the tables' file.

    Raises:
        GitFailed: the refs cannot be read.
        sqlite3.Error: the tables are damaged, or cannot be written.
    """
    with nullcontext() if path is None else tables.alone(path):
        _Census(database, place, meter).take()


class _OvertakenError(Exception):
    """Another process changed the tables between two of our steps."""


class _Census:
    def __init__(self, database: sqlite3.Connection, place: Place, meter: Meter) -> None:
        self._database = database
        self._place = place
        self._meter = meter
        self._turn = 0
        self._own: dict[str, list[str]] | None = None

    def take(self) -> None:
        """Do it all, from the start again where somebody else was faster."""
        while not tables.is_fresh(self._database, self._place.common_dir):
            try:
                self._take()
                return
            except _OvertakenError:
                continue

    def _take(self) -> None:
        facts = tables.facts(self._database)
        self._turn = facts.get("turn", 0)
        self._own = None
        survey = surveys.look(self._database, self._place, tables.places(facts))
        waiting = [run for _, run, oid in survey.new if run is not None and oid is not None]
        if survey.retry:
            waiting += self._unread(waiting)
        if len(waiting) <= _AT_ONCE:
            with self._step():
                self._follow(survey, waiting)
        else:
            self._follow(survey, waiting)

    def _follow(self, survey: Survey, waiting: Sequence[RunRef]) -> None:
        with self._step():
            tables.set_fact(self._database, "looked", "")
            if survey.said_changed:
                self._note()
        self._read_all(survey, waiting)
        with self._step():
            self._settle(survey)
        self._lay_over()
        with self._step():
            tables.make_indexes(self._database)
            self._conclude(survey)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """One transaction, or part of the one that has begun; nobody else was in between."""
        if self._database.in_transaction:
            yield
            return
        with tables.transaction(self._database):
            turn = tables.facts(self._database).get("turn", 0)
            if turn != self._turn:
                raise _OvertakenError
            yield
            tables.set_fact(self._database, "turn", turn + 1)
        self._turn = turn + 1

    # -- runs -------------------------------------------------------------------------------------

    def _unread(self, waiting: Iterable[RunRef]) -> list[RunRef]:
        """The runs that could not be read when it was last tried."""
        known = {ref.full for ref in waiting}
        query = "SELECT ref, oid FROM others WHERE kind = ?"
        found = []
        for ref, oid in self._database.execute(query, [_BROKEN]):
            run = refs.parse(Ref(ref, oid.hex()))
            if run is not None and run.full not in known:
                found.append(run)
        return found

    def _read_all(self, survey: Survey, waiting: Sequence[RunRef]) -> None:
        if not waiting:
            return
        # What is read has no cycles, and looking for some takes a tenth of the time.
        collects = gc.isenabled() and len(waiting) > _AT_ONCE
        if collects:
            gc.disable()
        self._meter.start("reading runs", len(waiting), "runs")
        try:
            for start in range(0, len(waiting), _BATCH):
                with self._step():
                    self._read(survey, waiting[start : start + _BATCH])
        finally:
            self._meter.end()
            if collects:
                gc.enable()

    def _read(self, survey: Survey, part: Sequence[RunRef]) -> None:
        """Put some runs into the tables, those that can be read."""
        faults: list[BrokenRecord] = []
        entries, others = [], []
        texts = self._place.repo.messages(ref.commit for ref in part)
        for ref, text in zip(part, texts, strict=True):
            found = _excerpt(self._place, ref, text, faults)
            oid, stamp = bytes.fromhex(ref.commit), survey.stamps.get(ref.full)
            if isinstance(found, str):
                others.append((ref.full, oid, stamp, found))
            else:
                entries.append(Entry(ref.experiment, ref.name, oid, *found, stamp))
            self._meter.advance(1)
        self._forget(ref.full for ref in part)
        self._database.executemany("INSERT INTO others VALUES (?, ?, ?, ?)", others)
        for error in faults:
            self._report(_OF_RUNS, f"refs/{error.where}", error)
        Register(self._database).write(entries)
        self._expect(entry.oid for entry in entries)

    def _report(self, rank: int, ref: str, error: BrokenRecord) -> None:
        hint = None if error.hint is None else _plain(error.hint)
        said = (_plain(error.message), hint, _plain(error.where or ""))
        values = (rank, tables.spelled(ref), *said)
        self._database.execute("INSERT INTO problems VALUES (?, ?, ?, ?, ?)", values)

    def _forget(self, fulls: Iterable[str]) -> None:
        """Take refs out of what is known of those that are no readable runs."""
        lost = [(tables.spelled(ref),) for ref in fulls]
        for table in ("others", "problems"):
            if self._database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone():
                self._database.executemany(f"DELETE FROM {table} WHERE ref = ?", lost)

    def _settle(self, survey: Survey) -> None:
        """Take out what is gone, remember which refs are loose, and what else lies there."""
        Register(self._database).drop(survey.gone)
        self._forget(survey.lost)
        self._database.executemany("UPDATE runs SET stamp = ? WHERE number = ?", survey.restamped)
        strange = [
            (tables.spelled(ref), oid and bytes.fromhex(oid), survey.stamps.get(ref), kind)
            for ref, run, oid in survey.new
            if (kind := _NOWHERE if oid is None else None if run else _STRAY)
        ]
        self._database.executemany("INSERT OR REPLACE INTO others VALUES (?, ?, ?, ?)", strange)
        if strange or survey.lost:
            self._tell_strays()

    def _tell_strays(self) -> None:
        self._database.execute("DELETE FROM problems WHERE rank = ?", [_OF_STRAYS])
        query = "SELECT ref, oid FROM others WHERE kind = ? ORDER BY ref"
        found = self._database.execute(query, [_STRAY]).fetchall()
        others = [Ref(tables.unspelled(ref), oid.hex()) for ref, oid in found]
        broken = [tables.unspelled(ref) for ref, _ in self._database.execute(query, [_NOWHERE])]
        if others or broken:
            for error in commits.strays(self._place.repo, others, broken):
                self._report(_OF_STRAYS, "", error)

    def _conclude(self, survey: Survey) -> None:
        """Say that all of it is there, as it was when it was looked at."""
        watched = dict(survey.looked)
        query = "SELECT oid FROM others WHERE kind = ? LIMIT ?"
        broken = self._database.execute(query, [_BROKEN, _MOST_WATCHED]).fetchall()
        if broken:
            inner = {f"objects/{oid.hex()[:2]}" for (oid,) in broken}
            now = time.time_ns()
            for path in sorted(inner | {"objects/pack"}):
                watched[path] = stamps.stamp(f"{self._place.common_dir}/{path}", now)
        tried = int(time.time()) if broken else 0
        tables.set_fact(self._database, "tried", tried)
        tables.set_places(self._database, watched)

    # -- annotations ------------------------------------------------------------------------------

    def _note(self) -> None:
        """Find out on which commits other things are said than before."""
        facts = tables.facts(self._database)
        heads = surveys.heads(self._place, ROOT)
        known = json.loads(facts.get("heads", "{}"))
        for ref in known.keys() | heads.keys():
            if known.get(ref) == heads.get(ref):
                continue
            try:
                there = self._place.repo.notes(ref) if ref in heads else {}
            except GitFailed:
                # Tried again when it changes; `annotations.problems` names it.
                there = {}
            self._compare(ref, there)
        tables.set_fact(self._database, "heads", json.dumps(heads))
        own = {commit: _md5(lines) for commit, lines in self._own_lines().items()}
        self._compare("", own)

    def _compare(self, ref: str, there: Mapping[str, str]) -> None:
        spelled = tables.spelled(ref)
        query = "SELECT oid, blob FROM notes WHERE ref = ?"
        known = {oid.hex(): blob.hex() for oid, blob in self._database.execute(query, [spelled])}
        new = dict(there.items() - known.items())
        changed = [
            (oid,) for commit in known.keys() - there.keys() | new.keys() if (oid := _oid(commit))
        ]
        gone = [(spelled, oid) for (oid,) in changed]
        self._database.executemany("DELETE FROM notes WHERE ref = ? AND oid = ?", gone)
        lines = [(spelled, oid, bytes.fromhex(b)) for c, b in new.items() if (oid := _oid(c))]
        self._database.executemany("INSERT INTO notes VALUES (?, ?, ?)", lines)
        self._database.executemany("INSERT OR IGNORE INTO due VALUES (?)", changed)

    def _own_lines(self) -> dict[str, list[str]]:
        """What this clone itself said, by commit."""
        if self._own is None:
            self._own = {}
            try:
                with open(f"{self._place.state}/{OWN}", "rb") as file:
                    text = file.read().decode("utf-8", "replace")
            except OSError:
                text = ""
            for line in text.split("\n"):
                commit, _, event = line.partition(" ")
                self._own.setdefault(commit, []).append(event)
        return self._own

    def _expect(self, oids: Iterable[bytes]) -> None:
        """Have annotations laid over those of these new runs that have some."""
        spelled = [ref for (ref,) in self._database.execute("SELECT DISTINCT ref FROM notes")]
        if not spelled:
            return
        for part in tables.batches(oids):
            self._database.execute(
                "INSERT OR IGNORE INTO due SELECT oid FROM notes"
                f" WHERE ref IN ({tables.marks(spelled)}) AND oid IN ({tables.marks(part)})",
                [*spelled, *part],
            )

    def _lay_over(self) -> None:
        """Make the rows of runs of which something was said anew, from what was recorded."""
        while due := self._database.execute(f"SELECT oid FROM due LIMIT {_BATCH}").fetchall():
            with self._step():
                self._apply([oid for (oid,) in due])
                self._database.executemany("DELETE FROM due WHERE oid = ?", due)

    def _apply(self, oids: Sequence[bytes]) -> None:
        entries = []
        tables.make_indexes(self._database)
        query = (
            "SELECT number, experiment, name, stamp FROM runs"
            " WHERE substr(oid, 1, 5) = substr(?1, 1, 5) AND oid = ?1"
        )
        notes = "SELECT blob FROM notes WHERE oid = ? AND ref = ?"
        places = sorted(ref for (ref,) in self._database.execute("SELECT DISTINCT ref FROM notes"))
        for oid in oids:
            for number, experiment, name, stamp in self._database.execute(query, [oid]).fetchall():
                listed = commits.listing(self._place.repo, [RunRef(experiment, name, oid.hex())])
                blobs = [
                    blob.hex()
                    for ref in places
                    if ref
                    for (blob,) in self._database.execute(notes, [oid, ref])
                ]
                said = [data for blob in blobs if (data := self._blob(blob)) is not None]
                own = self._own_lines().get(oid.hex(), ())
                for run in listed.runs:
                    known = rows.known(applied(run, said, own))
                    entries.append(Entry(experiment, name, oid, known, (), stamp, number))
        Register(self._database).write(entries)

    def _blob(self, oid: str) -> bytes | None:
        try:
            return self._place.repo.read_blob(oid, limit=LARGEST)
        except GitFailed:
            return None


# -- what a commit says ---------------------------------------------------------------------------


def _excerpt(
    place: Place, ref: RunRef, text: str | None, faults: list[BrokenRecord]
) -> tuple[Mapping[str, Any], Sequence[Input]] | str:
    """A run as `rows.fixed` takes it and its inputs, or of which kind the ref is otherwise."""
    found = None if text is None else message.excerpt(text)
    if found is not None:
        known = found[0]
        try:
            known["started"] = rows.microseconds(known["started"])
            if "ended" in known:
                known["ended"] = rows.microseconds(known["ended"])
            return found
        except ValueError:
            pass
    return _whole(place, ref, faults)


def _whole(
    place: Place, ref: RunRef, faults: list[BrokenRecord]
) -> tuple[Mapping[str, Any], Sequence[Input]] | str:
    """The same from the run's record, if its message does not say it."""
    listed = commits.listing(place.repo, [ref])
    faults += listed.problems
    if not listed.runs:
        return _BROKEN if listed.problems else _CODE
    try:
        inputs = commits.load(place.repo, ref).inputs
    except BrokenRecord:
        inputs = ()
    return rows.known(listed.runs[0]), inputs


def _oid(commit: str) -> bytes | None:
    try:
        found = bytes.fromhex(commit)
    except ValueError:
        return None
    return found if len(found) == 20 and found.hex() == commit else None


def _md5(lines: Iterable[str]) -> str:
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
