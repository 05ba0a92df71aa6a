"""Runs as values for Python: one with its record read when it is asked for, and many as a table.

Knows what a run has and what a table of runs has. Where it all is read, `origin` knows; what may be
asked of a repository, `listing`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from gittrack import answers, commits, refs, revisions
from gittrack.active import current
from gittrack.annotations import overlay
from gittrack.errors import BrokenRecord, GittrackError, RunNotFound
from gittrack.git import Repo
from gittrack.origin import Origin
from gittrack.pages import Pages
from gittrack.records import Artifact, Code, Data, Environment, Input, Run
from gittrack.refs import RunRef
from gittrack.search import Question
from gittrack.summaries import Number, Status, Summary, Value

if TYPE_CHECKING:
    from gittrack.difference import Difference
    from gittrack.succession import Point

__all__ = ["RecordedRun", "Runs", "compared", "find", "found", "opened", "place_of"]

_Path: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RecordedRun:
    """A run as it stood when it was asked for; `commit` is None if it was running.

    What a listing knows is there at once, with the current title and tags. The rest of its record
    (`environment`, `data`, `artifacts`, `series`, ...) is read when it is first asked for, and
    raises BrokenRecord where it cannot be read. Equal are two of one id and commit.
    """

    id: str
    name: str
    experiment: str
    status: Status
    started: datetime
    ended: datetime | None
    exit_code: int | None
    title: str | None
    experiment_title: str | None
    user: str
    command: tuple[str, ...]
    base: str | None
    branch: str | None
    dirty: bool
    parent: str | None
    params: Mapping[str, Value]
    metrics: Mapping[str, Number]
    tags: Mapping[str, str]
    fingerprint: str | None
    source: str
    commit: str | None
    archived: bool
    deleted: bool
    notes: tuple[str, ...]
    _source: Origin = field(repr=False)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; None while it runs."""
        return self._source.known.duration

    @property
    def record(self) -> Run:
        """The whole record as it was written: without later titles, tags and notes."""
        return self._source.record()

    @property
    def message(self) -> str | None:
        """The text that was given with the run (`-m`)."""
        return self.record.message

    @property
    def code(self) -> Code:
        """The code as it ran, seen from the commit that it stood on."""
        return self.record.code

    @property
    def directory(self) -> str:
        """Where in the repository it was started, empty at the top."""
        return self.record.directory

    @property
    def host(self) -> str:
        """The machine that it ran on."""
        return self.record.host

    @property
    def environment(self) -> Environment | None:
        """Interpreter, packages and machine; None where nobody could tell."""
        return self.record.environment

    @property
    def data(self) -> tuple[Data, ...]:
        """The files and directories that it read."""
        return self.record.data

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files and directories that it kept."""
        return self.record.artifacts

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The runs whose artifacts it read."""
        return self.record.inputs

    @property
    def continues(self) -> str | None:
        """The id of the run that it resumed."""
        return self.record.continues

    @property
    def parent_name(self) -> str | None:
        """What the run that it is nested in is called."""
        return self.record.parent_name

    @property
    def output_bytes(self) -> int:
        """The size of all that it wrote to the terminal; 0 while it runs."""
        return self.record.output_bytes

    @property
    def faults(self) -> tuple[str, ...]:
        """Sentences about what could not be recorded as asked."""
        return self.record.faults

    def series(self, metric: str) -> list[Point]:
        """The points of a metric, (step, seconds since the start, value), in the order of logging.

        The step is None where none was given. Of a run that resumed another, the points of that one
        below its own first step come first, at negative times. `system/NAME` is what was sampled of
        the machine while it ran.

        Raises:
            UnknownKey: it has no such metric; the hint names the nearest.
        """
        return self._source.points(metric)

    def output(self) -> str:
        """What it wrote to the terminal; of more than 1 MiB the first and the last part.

        The whole of a longer one is its artifact `output.log`. Bytes that are not UTF-8 are written
        as `\\xff`.
        """
        return self._source.output().decode("utf-8", "backslashreplace")

    def load_artifact(self, path: _Path) -> Path:
        """Find an artifact of this run -> where it lies on this disk, fetched if need be.

        Only to be read. Inside of a run of the same repository, that run gets this one as an input.

        Raises:
            BadPath: the run has no such artifact.
            DataMissing: neither the cache nor the data remote has it.
            DataDamaged: its content is not what the run recorded.
            RunNotFound: the run still runs.
        """
        from gittrack import keeping

        ref = self._source.ref()
        if ref is None:
            raise RunNotFound(
                f"'{self.name}' is still running",
                selector=self.name,
                hint="its artifacts can be loaded when it has ended.",
            )
        repo = self._source.repo()
        elsewhere = None if _is_of_active(repo) else self._source.place
        there = refs.find(repo, ref.experiment, ref.name)
        named = ref.short if there == ref else ref.commit
        return keeping.load_artifact(named, path, repo=elsewhere)

    def diff(self, *others: RecordedRun | str) -> Difference:
        """What differs between this run and others, given as such or as `get_run` takes them.

        Without any it is the latest. Raises as `get_run`.
        """
        return compared(self._source.repo(), [self, *(others or ("latest",))])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecordedRun):
            return NotImplemented
        return (self.id, self.commit) == (other.id, other.commit)

    def __hash__(self) -> int:
        return hash((self.id, self.commit))

    def __reduce__(self) -> Any:
        known = self._source.known
        # As dicts: the mapping that stands for an empty one cannot be pickled.
        maps = {key: dict(getattr(known, key)) for key in _MAPPINGS}
        told = {part.name: getattr(known, part.name) for part in fields(known)}
        return _restored, (told | maps, os.fspath(self._source.place))

    def __repr__(self) -> str:
        return f"<RecordedRun {self.name} {self.status}>"

    def _repr_html_(self) -> str:
        from gittrack import portrait

        return portrait.html(self._source.known, self._source.rows())


def _is_of_active(repo: Repo) -> bool:
    active = current()
    return active is not None and active.directory.parent == repo.state / "live"


_MAPPINGS = ("params", "metrics", "tags", "data", "artifacts")
_TAKEN = [part.name for part in fields(RecordedRun) if part.name != "_source"]


def _recorded(known: Summary, place: Path) -> RecordedRun:
    told = {name: getattr(known, name) for name in _TAKEN}
    # Copies: what somebody does to one run's params is not seen in another's.
    told |= {name: dict(told[name]) for name in ("params", "metrics", "tags")}
    return RecordedRun(**told, _source=Origin(known, place))


def _restored(told: Mapping[str, Any], place: str) -> RecordedRun:
    return _recorded(Summary(**told), Path(place))


# -- many runs ----------------------------------------------------------------------------------


class Runs(Sequence[RecordedRun]):
    """Runs in order, as `runs` found them: a sequence that nothing changes; a slice is one too.

    `problems` are the runs that could not be read. Of very many runs each is read when somebody
    looks at it: RunNotFound where it has been removed since.
    """

    __slots__ = ("_found", "_place", "_problems", "_question")

    def __init__(
        self,
        found: Iterable[Summary],
        place: Path,
        problems: Iterable[BrokenRecord] = (),
        question: Question | None = None,
    ) -> None:
        self._found = found if isinstance(found, Pages) else tuple(found)
        self._place = place
        self._problems = tuple(problems)
        self._question = question or Question()

    @property
    def problems(self) -> tuple[BrokenRecord, ...]:
        """One sentence for each run of the repository that cannot be read, and so is not here."""
        return self._problems

    @overload
    def __getitem__(self, index: int) -> RecordedRun: ...

    @overload
    def __getitem__(self, index: slice) -> Runs: ...

    def __getitem__(self, index: int | slice) -> RecordedRun | Runs:
        if isinstance(index, slice):
            return Runs(self._found[index], self._place, self._problems, self._question)
        return _recorded(self._found[index], self._place)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[RecordedRun]:
        return (_recorded(known, self._place) for known in self._found)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Runs):
            return NotImplemented
        return answers.marks(self._found) == answers.marks(other._found)

    def __hash__(self) -> int:
        return hash(tuple(answers.marks(self._found)))

    def to_pandas(self) -> Any:
        """A pandas DataFrame, a row for each run: its attributes, then `params.K`, `metrics.K` and
        `tags.K`, the columns of `git track ls --csv`.

        What a run does not have is NaN (NaT, None); times are in UTC, `duration` in seconds. See
        `frames.pandas` for the types.

        Raises:
            LibraryMissing: pandas is not installed.
        """
        from gittrack import frames

        return frames.pandas(self._columns(), moments=answers.MOMENTS)

    def to_polars(self) -> Any:
        """A polars DataFrame, as `to_pandas`; what a run does not have is null.

        Raises:
            LibraryMissing: polars is not installed.
        """
        from gittrack import frames

        return frames.polars(self._columns(), moments=answers.MOMENTS)

    def _columns(self) -> Mapping[str, Sequence[Any]]:
        return answers.columns(self._place, self._question, self._found)

    def __reduce__(self) -> Any:
        problems = [(p.message, p.where, p.hint) for p in self._problems]
        told = [run.__reduce__()[1][0] for run in self]
        return _restored_runs, (told, os.fspath(self._place), problems)

    def __repr__(self) -> str:
        shown = [known.name for known in self._found[:3]]
        shown += ["..."] if len(self) > 3 else []
        count = f"{len(self):,} run{'s' * (len(self) != 1)}"
        bad = f" ({len(self._problems)} unreadable)" if self._problems else ""
        return f"<Runs: {count}{bad}{': ' if shown else ''}{', '.join(shown)}>"

    def _repr_html_(self) -> str:
        from gittrack import portrait

        return portrait.table(self._found)


def _restored_runs(
    told: Iterable[Mapping[str, Any]], place: str, problems: Iterable[tuple[str, str, str | None]]
) -> Runs:
    said = [BrokenRecord(words, where=where, hint=hint) for words, where, hint in problems]
    return Runs((Summary(**fields) for fields in told), Path(place), said)


# -- found --------------------------------------------------------------------------------------


def find(repo: Repo, selector: str) -> RecordedRun:
    """The run that `selector` names (`revisions.resolve`); one that is running by its name or its
    id, or the beginning of one.

    Raises:
        RunNotFound: no run answers.
        AmbiguousRun: more than one does.
        UnknownKey: no run has the metric.
        BrokenRecord: its commit cannot be read.
    """
    known = revisions.running_one(repo, selector)
    if known is not None:
        return _recorded(known, repo.git_dir)
    return found(repo, revisions.resolve(repo, selector))


def found(repo: Repo, ref: RunRef) -> RecordedRun:
    """The run at a commit, whether a ref leads to it or not.

    Raises:
        RunNotFound: the commit is no run of ours.
        BrokenRecord: it cannot be read.
    """
    listed = commits.listing(repo, [ref])
    if not listed.runs:
        raise next(iter(listed.problems), RunNotFound(f"{ref.short} is no run", selector=ref.name))
    return _recorded(overlay(repo, listed.runs)[0], repo.git_dir)


def place_of(run: RecordedRun) -> tuple[Repo, RunRef | None]:
    """The repository of a run, opened, and where it is recorded, None while it runs.

    Raises:
        RunNotFound: it is gone.
    """
    return run._source.repo(), run._source.ref()


def opened(directory: _Path | None) -> Repo:
    """The repository that Python asks: at or above `directory`, without it that of the active run.

    Else the one at or above the current directory. Runs that died unrecorded are recorded first.

    Raises:
        RepositoryError: there is none, or it cannot be used.
    """
    active = current() if directory is None else None
    repo = Repo.open(directory or (active and active.begin.get("where")) or ".")
    try:
        if os.listdir(repo.state / "live"):
            from gittrack import recovery

            recovery.recover(repo)
    except (OSError, GittrackError):
        # What is asked does not depend on it, and the next git track command tries again.
        pass
    return repo


def compared(repo: Repo, runs: Sequence[RecordedRun | str]) -> Difference:
    """What differs between two or more runs, given as such or as `find` takes them.

    Raises:
        As `find`; BrokenRecord also where a record cannot be read.
    """
    from gittrack.difference import compare

    given = [find(repo, run) if isinstance(run, str) else run for run in runs]
    return compare([run.record for run in given])
