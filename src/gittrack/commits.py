"""A run as one commit: written whole, read back with suspicion, listed without opening records.

Knows where in the commit the record stands. Knows nothing of how a run comes about, nor of
selectors and tables. What only a whole record needs (YAML above all) is loaded with the first one,
because a listing opens none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gittrack import message, names, refs
from gittrack.errors import BadFile, BrokenRecord, GitFailed, GittrackError
from gittrack.git import Commit, Entry, Identity, Ref, Repo
from gittrack.quoting import one_line, utf8
from gittrack.records import Row, Run
from gittrack.refs import RunRef
from gittrack.summaries import Number, Summary

__all__ = [
    "CURVES",
    "OUTPUT",
    "RECORD",
    "Listing",
    "cells",
    "identify",
    "listing",
    "load",
    "load_curve",
    "load_series",
    "output",
    "store",
    "strays",
    "summarize",
    "write",
]

RECORD = ".gittrack"
"""The directory of the record in a run's tree."""

OUTPUT = "output.log"
"""The artifact that is the whole of an output longer than a record's."""

CURVES = "metrics.tsv"
"""The artifact that is the whole of curves longer than a record's."""

_CELLS = "cells.py"
_CELLS_LIMIT = 16 << 20
_SERIES_LIMIT = 256 << 20
_MOST_STRAYS = 5
_SHORT = 12
_POINTER_LIMIT = 64 << 10
_DEEPEST = 64
_BLOB, _TREE = 0o100644, 0o040000
_NEEDED = ("run.yaml", "params.yaml", "metrics.yaml", "environment.yaml", "data.yaml")


def write(
    repo: Repo,
    run: Run,
    *,
    tree: str,
    author: Identity,
    rows: Sequence[Row] = (),
    system: Sequence[Row] = (),
    log: bytes = b"",
    cells: str = "",
    sign: bool = False,
) -> RunRef:
    """Record a run: its objects, read back from the store, then its ref, created exclusively.

    The run exists from the moment that the ref does; a failure before leaves nothing but
    unreachable objects. `tree` is the snapshot that the record joins.

    Raises:
        RunExists: another run has this name.
        WriteFailed: something could not be stored.
        GitFailed: signing failed.
    """
    commit = store(
        repo,
        run,
        tree=tree,
        author=author,
        rows=rows,
        system=system,
        log=log,
        cells=cells,
        sign=sign,
    )
    return refs.create(repo, experiment=run.experiment, name=run.name, commit=commit)


def store(
    repo: Repo,
    run: Run,
    *,
    tree: str,
    author: Identity,
    rows: Sequence[Row] = (),
    system: Sequence[Row] = (),
    log: bytes = b"",
    cells: str = "",
    sign: bool = False,
    at: float | None = None,
) -> str:
    """Store a run's objects, to which no ref points yet -> the commit's id.

    `at` is the commit's date in seconds since the epoch, by default the end of the run.

    Raises:
        WriteFailed: something could not be stored, or cannot be read back.
        GitFailed: signing failed.
    """
    from gittrack import record

    files = record.encode(run, rows=rows, system=system, log=log, cells=cells)
    blobs = {name: (repo.write_blob(data), _BLOB) for name, data in files.items()}
    trees: list[str] = []
    directory = _nested(repo, blobs, trees)
    root = repo.write_tree({RECORD: (directory, _TREE)}, base=tree)
    ended = run.ended or run.started
    commit = repo.write_commit(
        tree=root,
        parents=[run.code.base] if run.code.base else [],
        message=message.compose(run),
        author=author,
        started=run.started.timestamp(),
        ended=ended.timestamp() if at is None else at,
        sign=sign,
    )
    repo.verify([*(oid for oid, _ in blobs.values()), *trees, root, commit])
    return commit


def _nested(repo: Repo, blobs: Mapping[str, tuple[str, int]], trees: list[str]) -> str:
    """Store a tree of blobs by their paths -> its id, put into `trees` like those within it."""
    entries: dict[str, tuple[str, int]] = {}
    inner: dict[str, dict[str, tuple[str, int]]] = {}
    for path, blob in blobs.items():
        top, slash, rest = path.partition("/")
        if slash:
            inner.setdefault(top, {})[rest] = blob
        else:
            entries[top] = blob
    for top, below in inner.items():
        entries[top] = (_nested(repo, below, trees), _TREE)
    trees.append(repo.write_tree(entries))
    return trees[-1]


def load(repo: Repo, ref: RunRef) -> Run:
    """Read a run's record.

    Raises:
        BrokenRecord: the commit is no run of ours, or its record is missing, malformed, too large
            or of a newer format; the message names the run and the file.
    """
    from gittrack import formats, record

    entries = _entries(repo, ref)
    files = {}
    for name in _NEEDED:
        data = _file(repo, ref, entries, name, formats.LIMIT)
        if data is not None:
            files[name] = data
    _pointers(repo, ref, entries.get(record.ARTIFACTS.rstrip("/").encode()), files)
    try:
        return record.decode(files, experiment=ref.experiment, name=ref.name, commit=ref.commit)
    except BadFile as error:
        raise _broken(ref, error.message, error.hint) from error


def identify(repo: Repo, commit: str) -> RunRef | None:
    """Which run a commit is by its own record, ref or no ref; None if it is none.

    Raises:
        BrokenRecord: it says that it is a run, and its record does not say which one.
    """
    from gittrack import formats

    place = RunRef("", "", commit)
    short = commit[:_SHORT]
    try:
        found = repo.read_commit(commit)
        if not message.is_run(found.message) or repo.entry(found.tree, RECORD) is None:
            # A run's message stays with a commit that was made of it by `git cherry-pick`.
            return None
        data = _file(repo, place, _entries(repo, place), "run.yaml", formats.LIMIT)
        fields = formats.load_untrusted(data or b"{}", "run.yaml")
        experiment = names.check(fields["experiment"], "experiment")
        return RunRef(experiment, names.check(fields["name"], "run"), commit)
    except GittrackError as error:
        reason = error.message.removeprefix(f"{place.short}: ")
        hint = error.hint if error.hint and place.short not in error.hint else None
    except (TypeError, LookupError):
        reason, hint = "run.yaml: it does not say which run it is", None
    advice = hint or f"`git show {short}` shows what Git has."
    raise BrokenRecord(f"{short}: {reason}", where=short, hint=advice)


def load_series(repo: Repo, ref: RunRef, *, system: bool = False) -> Sequence[Row]:
    """A run's curves; one row of its last values where the record has no table.

    With `system` the samples of system metrics, by the names of `vitals.UNITS`; none where none
    were taken.

    Raises:
        BrokenRecord: the table is malformed or larger than 256 MiB, or there is no record.
    """
    from gittrack import tsv

    name = "system.tsv" if system else "metrics.tsv"
    data = _file(repo, ref, _entries(repo, ref), name, _SERIES_LIMIT)
    if data is None:
        return () if system else _last_row(load(repo, ref))
    try:
        return tsv.load(data, name)
    except BadFile as error:
        raise _broken(ref, error.message, error.hint) from error


def load_curve(
    repo: Repo, ref: RunRef, metric: str, *, system: bool = False
) -> list[tuple[int | None, float, Number]]:
    """One metric's points (step, seconds since the start, value), none if the run has none of it.

    In a fraction of the time that all curves take. Where the record has no table, the last value.

    Raises:
        BrokenRecord: as `load_series`.
    """
    from gittrack import series, tsv

    name = "system.tsv" if system else "metrics.tsv"
    data = _file(repo, ref, _entries(repo, ref), name, _SERIES_LIMIT)
    if data is None:
        return [] if system else series.points(_last_row(load(repo, ref)), metric)
    try:
        return tsv.curve(data, metric, name)
    except BadFile as error:
        raise _broken(ref, error.message, error.hint) from error


def _last_row(run: Run) -> tuple[Row, ...]:
    seconds = (run.ended - run.started).total_seconds() if run.ended else 0.0
    return (Row(None, seconds, run.metrics),) if run.metrics else ()


def output(repo: Repo, ref: RunRef) -> bytes:
    """The kept output of a run, empty if there was none.

    Raises:
        BrokenRecord: it is larger than a record's may be, or there is no record.
    """
    from gittrack import record

    entries = _entries(repo, ref)
    return _file(repo, ref, entries, "output.log", 2 * record.LOG_LIMIT) or b""


def cells(repo: Repo, ref: RunRef) -> int:
    """How many cells of a notebook the record kept as they ran; 0 if it kept none.

    Raises:
        BrokenRecord: they are longer than 16 MiB, or there is no record.
    """
    import re

    kept = _file(repo, ref, _entries(repo, ref), _CELLS, _CELLS_LIMIT) or b""
    return len(re.findall(rb"^# %% \[[0-9]+\]$", kept, re.MULTILINE))


def _entries(repo: Repo, ref: RunRef) -> dict[bytes, Entry]:
    try:
        commit = _commit(repo, ref)
        if not message.is_run(commit.message):
            raise _broken(ref, "the commit is not a run that gittrack recorded")
        message.check_format(commit.message, ref.short)
        entry = repo.entry(commit.tree, RECORD)
        if entry is None or entry.kind != "tree":
            raise _broken(ref, f"its tree has no directory {RECORD}")
        return {item.name: item for item in repo.tree(entry.id)}
    except GitFailed as error:
        raise _broken(ref, error.message, error.hint) from error


def _commit(repo: Repo, ref: RunRef) -> Commit:
    try:
        return repo.read_commit(ref.commit)
    except GitFailed as error:
        if not repo.exists(ref.commit):
            raise _broken(
                ref, f"its commit {ref.commit[:7]} is missing", "`git fsck` tells what else is."
            ) from error
        raise _broken(ref, error.message, error.hint) from error


def _file(
    repo: Repo, ref: RunRef, entries: dict[bytes, Entry], name: str, limit: int
) -> bytes | None:
    entry = entries.get(name.encode())
    return None if entry is None else _blob(repo, ref, entry, name, limit)


def _blob(repo: Repo, ref: RunRef, entry: Entry, name: str, limit: int) -> bytes:
    if entry.kind != "blob" or entry.mode not in (_BLOB, 0o100755):
        raise _broken(ref, f"{one_line(name)}: it is no plain file")
    try:
        return repo.read_blob(entry.id, limit=limit)
    except GitFailed as error:
        raise _broken(ref, f"{one_line(name)}: {error.message}", error.hint) from error


def _pointers(repo: Repo, ref: RunRef, top: Entry | None, files: dict[str, bytes]) -> None:
    """Read the pointers to artifacts into `files`; what else stands there is not ours."""
    if top is None:
        return
    from gittrack import record
    from gittrack.manifest import MOST_ARTIFACTS

    waiting = [(record.ARTIFACTS.rstrip("/"), top)]
    count = 0
    while waiting:
        where, entry = waiting.pop()
        if where.count("/") > _DEEPEST or count > MOST_ARTIFACTS:
            raise _broken(ref, f"{one_line(where)[:80]}: it is too deep, or one of too many")
        if entry.kind == "tree":
            try:
                found = repo.tree(entry.id)
            except GitFailed as error:
                raise _broken(ref, f"{one_line(where)}: {error.message}", error.hint) from error
            waiting += [(f"{where}/{os.fsdecode(item.name)}", item) for item in found]
        elif where.endswith(".dvc"):
            count += 1
            files[where] = _blob(repo, ref, entry, where, _POINTER_LIMIT)


def _broken(ref: RunRef, reason: str, hint: str | None = None) -> BrokenRecord:
    advice = hint or f"`git show {ref.short}` shows what Git has."
    return BrokenRecord(f"{ref.short}: {reason}", where=ref.short, hint=advice)


class Listing(NamedTuple):
    """Runs as a listing knows them, and one sentence for each that cannot be read as it should.

    A run whose summary alone is damaged is among both.
    """

    runs: tuple[Summary, ...]
    problems: tuple[BrokenRecord, ...]


def listing(repo: Repo, found: Iterable[RunRef]) -> Listing:
    """Summaries of the runs among `found`; refs whose commits are not ours are left out.

    One bad run does not hide the others: it is among the problems.
    """
    good: list[Summary] = []
    bad: list[BrokenRecord] = []
    for ref in found:
        try:
            known = _summary(repo, ref, bad)
        except BrokenRecord as error:
            bad.append(error)
            continue
        if known is not None:
            good.append(known)
    return Listing(tuple(good), tuple(bad))


def strays(repo: Repo, others: Iterable[Ref], unreadable: Iterable[str]) -> list[BrokenRecord]:
    """What stands beside the runs and should not: one sentence each for the first five.

    `others` are refs whose names are not of our form: those on commits of ours are said, as are
    those whose objects are missing. `unreadable` are refs that point nowhere.
    """
    found = []
    for ref in others:
        try:
            ours = message.is_run(repo.read_commit(ref.target).message)
        except GitFailed:
            if not repo.exists(ref.target):
                found.append((ref.name, f"its commit {ref.target[:7]} is missing"))
            continue
        if ours:
            found.append((ref.name, "a run under a name that gittrack does not use; not listed"))
    found += [(name, "a broken ref: it points nowhere") for name in unreadable]
    said = [BrokenRecord(f"{name}: {words}", where=name) for name, words in found[:_MOST_STRAYS]]
    if more := len(found) - len(said):
        words = f"{more} more ref{'s' * (more > 1)} below {refs.ROOT} are no good runs"
        said.append(BrokenRecord(words, where=refs.ROOT))
    return said


def _summary(repo: Repo, ref: RunRef, bad: list[BrokenRecord]) -> Summary | None:
    """What the commit says of the run, or its record where it says nothing that makes sense."""
    commit = _commit(repo, ref)
    if not message.is_run(commit.message):
        return None
    try:
        known = message.summary(
            commit.message, experiment=ref.experiment, name=ref.name, commit=ref.commit
        )
    except BrokenRecord as error:
        whole = summarize(load(repo, ref))
        words = f"{error.message}; its record was read instead"
        bad.append(BrokenRecord(words, where=ref.short))
        return whole
    return known or summarize(load(repo, ref))


def summarize(run: Run) -> Summary:
    """What a listing knows of a run."""
    return Summary(
        id=run.id,
        name=run.name,
        experiment=run.experiment,
        status=run.status,
        started=run.started,
        ended=run.ended,
        exit_code=run.exit_code,
        title=run.title,
        experiment_title=run.experiment_title,
        user=run.user,
        command=tuple(utf8(word) for word in run.command),
        base=run.code.base,
        branch=run.code.branch,
        dirty=run.code.dirty,
        parent=run.parent,
        params=run.params,
        metrics=run.metrics,
        tags=run.tags,
        fingerprint=run.fingerprint,
        data={item.path: item.md5 for item in run.data},
        artifacts={kept.path: kept.md5 for kept in run.artifacts},
        source=run.source,
        commit=run.commit,
    )
