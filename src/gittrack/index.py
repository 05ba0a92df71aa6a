"""What every run read and kept, asked for by content, path or run, without opening a commit.

Knows the questions of lineage and of reuse, and how annotations bear upon them. Where the answers
are kept, and how they stay fresh, is `tables`' to know; what follows from them, `lineage`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gittrack import message
from gittrack.annotations import ROOT, overlay
from gittrack.git import Repo
from gittrack.meter import SILENT, Meter
from gittrack.records import Input
from gittrack.refs import RunRef
from gittrack.summary import Status, Summary
from gittrack.tables import NAME, Tables, batches, marks

__all__ = ["NAME", "Index", "Known", "Used", "open_index"]

_LATEST = 100
_OWN_EVENTS = "annotations"
_TURNED = str.maketrans("0123456789", "9876543210")
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
        self._tables = Tables(repo, notes=ROOT, own=_OWN_EVENTS, meter=meter)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; nothing can be asked any more."""
        self._tables.close()

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
        for part in batches(commits):
            for oid, path, md5 in self._tables.ask(
                "SELECT runs.oid, files.path, files.md5 FROM runs JOIN files"
                f" ON files.run = runs.number WHERE runs.oid IN ({marks(part)})"
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
        rows = self._tables.ask(query.format("")) if commits is None else []
        for part in batches(commits or ()):
            rows += self._tables.ask(query.format(f" WHERE runs.oid IN ({marks(part)})"), part)
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
            for part in batches(keys):
                where = f"inputs.{column} IN ({marks(part)})"
                for run, given in self._rows(where, part, inputs=True):
                    one = Input(*given)
                    found.setdefault((run.short, one.commit, one.path), (run, one))
        alive = [pair for pair in found.values() if not pair[0].deleted]
        return sorted(alive, key=lambda pair: _newest_first(pair[0]))

    # -- rows -------------------------------------------------------------------------------------

    def _each(self, where: str, keys: Iterable[str]) -> list[Known]:
        parts = list(batches(keys))
        found = [r for part in parts for r, _ in self._rows(where.format(marks(part)), part)]
        return found if len(parts) < 2 else sorted(found, key=_newest_first)

    def _used(self, where: str, keys: Iterable[str]) -> list[Used]:
        parts = list(batches(keys))
        found: list[Used] = []
        for part in parts:
            found += self._alive(self._rows(where.format(marks(part)), part, files=True))
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
            return self._read_rows(self._tables.ask(query, values))
        except (ValueError, TypeError):
            self._tables.mend()
        return self._read_rows(self._tables.ask(query, values))

    def _read_rows(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Known, tuple[Any, ...]]]:
        standing = self._standing(rows)
        return [(_known(row, standing.get(row[2], row[7])), tuple(row[9:])) for row in rows]

    def _standing(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, int]:
        """How the runs of these rows stand after annotation, where their rows do not know it."""
        if not self._tables.annotated:
            return {row[2]: _CURRENT for row in rows if row[7]}
        open_ones = {row[2]: row for row in rows if row[8] != self._tables.epoch}
        if not open_ones:
            return {}
        found = {
            run.commit or "": _DELETED if run.deleted else _ARCHIVED if run.archived else _CURRENT
            for run in overlay(self._repo, map(_bare_summary, open_ones.values()))
        }
        self._tables.remember(found)
        return found


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
