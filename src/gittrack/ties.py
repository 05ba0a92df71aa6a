"""What every run read and kept, asked for by content, path or run: the questions of lineage.

Knows the tables of files and inputs, and how to find a run by commit or id. What follows from the
answers is `lineage`'s to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import atoms, rows
from gittrack.figures import moment, time_text
from gittrack.quoting import utf8
from gittrack.tables import Tables, batches, marks

if TYPE_CHECKING:
    from gittrack.records import Input
    from gittrack.summaries import Status

__all__ = ["Known", "Ties", "Used"]

_LATEST = 100
_TURNED = str.maketrans("0123456789", "9876543210")
_SELECT = (
    "SELECT runs.experiment, runs.name, runs.oid, runs.id, runs.status, runs.started,"
    " (SELECT words.text FROM words WHERE words.number = runs.command), runs.blanks,"
    " runs.archived, runs.deleted{more}"
    " FROM {join} runs WHERE {where}"
)
_FIRST = 10
_NEWEST = " ORDER BY runs.started DESC, runs.name, runs.experiment{}"
_RECORDED_LAST = f" ORDER BY files.rowid DESC LIMIT {_LATEST}"
_OF_COMMIT = "substr(runs.oid, 1, 5) IN ({}) AND runs.oid IN ({})"
_OF_ID = "substr(runs.id, 1, 5) IN ({}) AND runs.id IN ({})"
_STATUSES: tuple[Status, ...] = ("finished", "failed", "killed", "running")
_DAMAGED = (ValueError, TypeError, LookupError, OverflowError, AttributeError)


class Known(NamedTuple):
    """A run as lineage knows it.

    `started` is a moment as `figures.time_text` writes it, which sorts as text.
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
        from gittrack.refs import RunRef

        return RunRef(self.experiment, self.name, self.commit).short

    @property
    def step(self) -> tuple[str, tuple[str, ...]]:
        """What it has in common with the runs that did the same work before and after it."""
        return self.experiment, self.command


class Used(NamedTuple):
    """A file or directory that `run` kept, or read, under `path`."""

    run: Known
    path: str
    md5: str


class Ties:
    """Answers about runs that are recorded here; a run that cannot be read is in none.

    Newest first, of two that began at once by name. Keys are looked up 500 at a time, so that any
    number may be asked for.
    """

    _tables: Tables

    def mend(self) -> None:
        """Go on with tables made anew."""
        self._tables.mend()

    def all(self) -> list[Known]:
        """Every run, deleted ones marked."""
        return [run for run, _ in self._rows("1")]

    def by_commits(self, commits: Iterable[str]) -> dict[str, Known]:
        """The runs at these commits, deleted ones marked; of two refs to one, the first by name."""
        found: dict[str, Known] = {}
        for run in self._each(_OF_COMMIT, commits):
            found.setdefault(run.commit, run)
        return found

    def by_ids(self, ids: Iterable[str]) -> dict[str, Known]:
        """The runs of these ids, deleted ones marked; of several with one id, the newest."""
        found: dict[str, Known] = {}
        for run in self._each(_OF_ID, ids):
            found.setdefault(run.id, run)
        return found

    def named(
        self,
        start: str,
        *,
        length: int | None = None,
        experiments: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[tuple[str, str, str, int]]:
        """The runs whose names begin so, by name, deleted ones left out; of all these experiments.

        Of each its experiment, name, commit, and the microseconds from the epoch to its start.
        """
        within = "".join(" AND experiment = ?" for _ in experiments)
        lines = self._tables.ask(
            "SELECT experiment, name, oid, started FROM runs WHERE name >= ? AND name < ?"
            f" AND (? IS NULL OR length(name) = ?) AND NOT deleted{within}"
            " ORDER BY name, experiment LIMIT ?",
            [start, start[:-1] + chr(ord(start[-1]) + 1), length, length, *experiments,
             -1 if limit is None else limit],
        )  # fmt: skip
        return [(experiment, name, oid.hex(), started) for experiment, name, oid, started in lines]

    def is_one_of(self, key: str, values: Sequence[str]) -> tuple[str, list[Any]]:
        """A condition: the run's `commit`, `id` or `base` is one of these, found by an index."""
        wanted = [rows.packed(value) for value in dict.fromkeys(values)]
        if key == "base":
            query = f"SELECT number FROM words WHERE text IN ({marks(values)})"
            wanted += [number for (number,) in self._tables.ask(query, values)]
            return f"runs.base IN ({marks(wanted)})", wanted
        where = {"commit": _OF_COMMIT, "id": _OF_ID}[key].format(marks(wanted), marks(wanted))
        return where, [*(one[:5] for one in wanted), *wanted]

    def begins(self, key: str, digits: str) -> tuple[str, list[Any]]:
        """A condition: the run's `commit` or `id` begins with these hexadecimal digits."""
        name = {"commit": "oid", "id": "id"}[key]
        # A part of its own, so that no order makes SQLite walk through all runs instead.
        part = f"substr({name}, 1, 5) BETWEEN ? AND ? AND substr(lower(hex({name})), 1, ?) = ?"
        first, last = (bytes.fromhex(digits[:10].ljust(10, end)) for end in "0f")
        where = f"runs.number IN (SELECT number FROM runs WHERE {part})"
        return where, [first, last, len(digits), digits]

    def with_fingerprint(self, wanted: str) -> list[Known]:
        """The finished runs to which the same went in, deleted ones left out."""
        found = self._rows("runs.fingerprint = ?", [rows.packed(wanted)])
        return [run for run, _ in found if run.status == "finished" and not run.deleted]

    def producers(self, md5s: Iterable[str]) -> dict[str, list[Used]]:
        """Who kept these bytes as an artifact, deleted runs left out.

        Of runs without number that kept the same, the 100 that were recorded last.
        """
        wanted = dict.fromkeys(md5s)
        return {md5: found for md5 in wanted if (found := self._latest("md5", rows.digest(md5)))}

    def readers(self, md5s: Iterable[str]) -> dict[str, list[Used]]:
        """Who read these bytes, deleted runs left out."""
        keys = map(rows.digest, md5s)
        return _by_md5(self._used("files.kept = 0 AND files.md5 IN ({})", keys))

    def keepers_of(self, path: str) -> list[Used]:
        """Who kept an artifact of this path, whatever was in it; deleted runs left out."""
        return self._used("files.kept = 1 AND files.path IN ({})", [utf8(path)])

    def readers_of(self, path: str) -> list[Used]:
        """Who read this path, a directory above it or a file below it; deleted runs left out."""
        path = utf8(path)
        found = self._used("files.kept = 0 AND files.path IN ({})", _and_above(path))
        # Not LIKE, to which letters of either case are the same and '_' is any character.
        below = "files.kept = 0 AND files.path > ? AND files.path < ?"
        found += self._alive(self._rows(below, (path + "/", path + "0"), files=True))
        return sorted(found, key=lambda used: _newest_first(used.run))

    def folders(self, names: Iterable[str]) -> list[Used]:
        """Who kept a directory whose path ends in one of these names; deleted runs left out.

        Of each name the 100 that were recorded last.
        """
        wanted = dict.fromkeys(map(utf8, names))
        found = [used for name in wanted for used in self._latest("last", name)]
        return sorted(found, key=lambda used: _newest_first(used.run))

    def files(self, commits: Iterable[str], *, kept: bool) -> dict[str, dict[str, str]]:
        """What each of these runs kept, or else read, if anything: path -> md5, by path."""
        found: dict[str, dict[str, str]] = {}
        query = (
            "SELECT runs.oid, files.path, files.md5 FROM runs JOIN files"
            f" ON files.run = runs.number WHERE files.kept = {int(kept)} AND {{}}"
            " ORDER BY files.path"
        )
        for where, keys in _split(_OF_COMMIT, commits):
            for oid, path, md5 in self._tables.ask(query.format(where), keys):
                there = found.setdefault(oid.hex(), {})
                there[atoms.decode(path)] = rows.undigested(md5)
        return found

    def inputs(self, commits: Iterable[str] | None = None) -> dict[str, list[Input]]:
        """The input runs of these runs (None: of all) that have any, as they recorded them."""
        from gittrack.records import Input

        query = (
            "SELECT runs.oid, inputs.given, inputs.id, inputs.oid, inputs.path FROM runs"
            " JOIN inputs ON inputs.run = runs.number WHERE {} ORDER BY inputs.rowid"
        )
        lines = self._tables.ask(query.format("1")) if commits is None else []
        for where, keys in _split(_OF_COMMIT, commits or ()):
            lines += self._tables.ask(query.format(where), keys)
        found: dict[str, dict[Input, None]] = {}
        for oid, *given in lines:
            found.setdefault(oid.hex(), {})[Input(*given)] = None
        return {commit: list(given) for commit, given in found.items()}

    def dependants(self, sources: Iterable[Known]) -> list[tuple[Known, Input]]:
        """The runs that name one of these as an input, by commit or by id, each with that input.

        Deleted runs are left out.
        """
        from gittrack.records import Input

        known = list(sources)
        found: dict[tuple[str, str, str | None], tuple[Known, Input]] = {}
        for column, keys in (
            ("oid", [run.commit for run in known]),
            ("id", [run.id for run in known]),
        ):
            for part in batches(map(utf8, keys)):
                where = f"inputs.{column} IN ({marks(part)})"
                for run, given in self._rows(where, part, inputs=True):
                    one = Input(*given)
                    found.setdefault((run.short, one.commit, one.path), (run, one))
        alive = [pair for pair in found.values() if not pair[0].deleted]
        return sorted(alive, key=lambda pair: _newest_first(pair[0]))

    # -- rows -------------------------------------------------------------------------------------

    def _each(self, where: str, keys: Iterable[str]) -> list[Known]:
        parts = list(_split(where, keys))
        found = [run for text, values in parts for run, _ in self._rows(text, values)]
        return found if len(parts) < 2 else sorted(found, key=_newest_first)

    def _used(self, where: str, keys: Iterable[Any]) -> list[Used]:
        parts = list(batches(keys))
        found: list[Used] = []
        for part in parts:
            found += self._alive(self._rows(where.format(marks(part)), part, files=True))
        if len(parts) > 1:
            found.sort(key=lambda used: _newest_first(used.run))
        return found

    def _latest(self, column: str, key: Any) -> list[Used]:
        where = f"files.kept = 1 AND files.{column} = ?"
        found = self._alive(self._rows(where, [key], files=True, latest=True))
        return sorted(found, key=lambda used: _newest_first(used.run))

    def _alive(self, lines: Iterable[tuple[Known, tuple[Any, ...]]]) -> list[Used]:
        return [
            Used(run, atoms.decode(path), rows.undigested(md5))
            for run, (path, md5) in lines
            if not run.deleted
        ]

    def _rows(
        self,
        where: str,
        values: Sequence[Any] = (),
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
            return _read_rows(self._tables.ask(query, values))
        except _DAMAGED:
            self.mend()
        return _read_rows(self._tables.ask(query, values))


def _read_rows(lines: Sequence[tuple[Any, ...]]) -> list[tuple[Known, tuple[Any, ...]]]:
    return [(_known(line), tuple(line[_FIRST:])) for line in lines]


def _known(line: Sequence[Any]) -> Known:
    experiment, name, oid, run_id, status, started, template, blanks, archived, deleted = line[:10]
    return Known(
        experiment,
        name,
        oid.hex(),
        rows.unpacked(run_id),
        _STATUSES[status],
        time_text(moment(started)),
        rows.command(template, blanks),
        archived=bool(archived),
        deleted=bool(deleted),
    )


def _split(where: str, keys: Iterable[str]) -> Iterable[tuple[str, list[Any]]]:
    """The clause for some ids at a time, and its values."""
    for part in batches(rows.packed(key) for key in keys):
        # What SQLite makes of it is what it is compared with.
        heads = [key[:5] if key is not None else None for key in part]
        yield where.format(marks(part), marks(part)), [*heads, *part]


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
