"""Where the parts of a run are read, whether it is recorded or still runs.

Knows that a run which was running a moment ago may be recorded now. Knows nothing of what is asked,
nor of how the answer looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gittrack import commits, journal, whereabouts
from gittrack.errors import RunNotFound
from gittrack.git import Repo
from gittrack.index import open_index
from gittrack.records import Row, Run
from gittrack.refs import RunRef
from gittrack.summaries import Summary
from gittrack.vitals import PREFIX

if TYPE_CHECKING:
    from gittrack.succession import Point

__all__ = ["Origin"]

_Part = TypeVar("_Part")


class Origin:
    """Where the parts of one run are read: its record, or its directory while it runs.

    `known` is what a listing said of it, `place` its repository. Everything here raises
    BrokenRecord where a record cannot be read, and RunNotFound where the run is gone.
    """

    def __init__(self, known: Summary, place: Path) -> None:
        self.known = known
        self.place = place
        self._record: Run | None = None
        self._ref: RunRef | None = None
        if known.commit is not None:
            self._ref = RunRef(known.experiment, known.name, known.commit)

    def repo(self) -> Repo:
        """Its repository, opened."""
        return Repo.open(self.place)

    def ref(self) -> RunRef | None:
        """Where the run is recorded; None while it runs."""
        if self._ref is None:
            repo = self.repo()
            if not self._is_there(self._directory(repo)):
                self._ref = self._recorded(repo)
        return self._ref

    def record(self) -> Run:
        """The whole record, read once; of one that runs what it has said so far."""
        if self._record is None:
            found = self._part(commits.load, lambda directory: self._told(directory)[0])
            if found.commit is None:
                return found
            self._record = found
        return self._record

    def rows(self) -> Sequence[Row]:
        """All its curves."""
        return self._part(commits.load_series, lambda directory: self._told(directory)[1])

    def points(self, metric: str) -> list[Point]:
        """The points of a metric, after those of the runs that it continues.

        Raises:
            UnknownKey: it has none.
        """
        from gittrack import series, succession

        def logged(directory: Path) -> list[Point]:
            run, rows = self._told(directory)
            own = series.points(rows, metric)
            if not own and metric.startswith(PREFIX):
                own = series.points(self._sampled(directory), metric.removeprefix(PREFIX))
            return succession.joined(self.repo(), run, own, metric)

        found = self._part(lambda repo, ref: succession.curve(repo, ref, metric), logged)
        if not found:
            known = self._part(
                succession.names_of, lambda directory: list(series.last(self._told(directory)[1]))
            )
            raise succession.missing(metric, known, [self.known.name])
        return found

    def output(self) -> bytes:
        """What it wrote to the terminal, as a record keeps it: secrets masked, the middle cut."""
        from gittrack import record, secrets

        return self._part(
            commits.output,
            lambda directory: record.read_log(directory / "output", mask=secrets.mask_text)[0],
        )

    def _part(
        self, of_record: Callable[[Repo, RunRef], _Part], of_directory: Callable[[Path], _Part]
    ) -> _Part:
        """What one of the two reads; the record's, too, if it was made while the other read."""
        repo = self.repo()
        ref = self.ref()
        if ref is None:
            directory = self._directory(repo)
            try:
                found = of_directory(directory)
            except FileNotFoundError:
                pass
            else:
                if self._is_there(directory):
                    return found
            ref = self._ref = self._recorded(repo)
        return of_record(repo, ref)

    def _directory(self, repo: Repo) -> Path:
        return repo.state / "live" / self.known.name

    def _is_there(self, directory: Path) -> bool:
        """Whether the run has not been recorded yet, and its directory is not another's."""
        try:
            begun, _ = journal.unframe((directory / "begin").read_bytes())
        except OSError:
            return False
        return bool(begun) and begun[0].get("id") == self.known.id

    def _recorded(self, repo: Repo) -> RunRef:
        """Where it is now that it has ended: perhaps in an experiment that its script named."""
        with open_index(whereabouts.of(repo)) as index:
            found = index.by_ids([self.known.id]).get(self.known.id)
        if found is None:
            raise RunNotFound(f"the run {self.known.name} is gone", selector=self.known.name)
        return RunRef(found.experiment, found.name, found.commit)

    def _told(self, directory: Path) -> tuple[Run, Sequence[Row]]:
        """The run as its directory tells it now.

        Raises:
            FileNotFoundError: it has just been recorded.
        """
        from gittrack import story

        told = journal.read(directory)
        if told is None:
            raise FileNotFoundError(directory)
        known = self.known
        run, rows = story.tell(told, log_size=0, last_sign=known.started.timestamp())
        return replace(run, status=known.status, ended=known.ended, exit_code=known.exit_code), rows

    def _sampled(self, directory: Path) -> Sequence[Row]:
        from gittrack import story

        told = journal.read(directory, points=False)
        return () if told is None else story.system_rows(told)
