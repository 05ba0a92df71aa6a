"""Which runs answer a question: the one way in, for the terminal, Python and selectors.

Knows that runs are recorded or running, and that a question has a query, an order and a limit.
Where runs are kept, what a query means and how it looks are for others to know.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import report, revisions, vocabulary
from gittrack.errors import UsageError
from gittrack.meter import SILENT, Meter

if TYPE_CHECKING:
    from gittrack.errors import BrokenRecord
    from gittrack.summary import Summary
    from gittrack.vocabulary import Vocabulary
    from gittrack.whereabouts import Place

__all__ = ["Found", "Question", "Search", "open_search"]


class Question(NamedTuple):
    """What is asked of the runs.

    `query` is in the language of `query.peg`; None and an empty one mean all. `experiment` is a
    name or a title. `sort` are keys as `git track ls --sort` takes them, the weightiest first;
    without any, the newest run comes first. `limit` is how many runs are wanted, None for all.
    """

    query: str | None = None
    experiment: str | None = None
    archived: bool = True
    deleted: bool = False
    live: bool = True
    sort: tuple[str, ...] = ()
    limit: int | None = None


class Found(NamedTuple):
    """The runs that were found, at most as many as wanted.

    `total` is how many there are in all, or where it is not `exact`, at least. `order` are the keys
    that they are sorted by, in full, and whether downwards.
    """

    runs: list[Summary]
    total: int
    exact: bool
    problems: tuple[BrokenRecord, ...]
    order: list[tuple[str, bool]]


class Search:
    """The runs of a repository, to be asked; closed by `with`."""

    def __init__(self, place: Place, meter: Meter = SILENT) -> None:
        self._listing = revisions.catalogue(place.repo, deleted=True)
        self.vocabulary: Vocabulary = vocabulary.of_summaries(self._listing.runs)
        """The keys of all runs, deleted ones too."""

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the index."""

    def find(self, question: Question) -> Found:
        """The runs that answer.

        Raises:
            UnknownKey: no run is of the experiment, or has a key that is asked for.
            QueryError: the query makes no sense here; it says where.
        """
        if question.query is not None and question.query.strip():
            raise UsageError("queries are not there yet")
        whole = self._listing.runs
        if question.experiment is not None:
            whole = tuple(revisions.of_experiment(whole, question.experiment))
        found: Sequence[Summary] = [
            run
            for run in whole
            if revisions.is_listed(run, deleted=question.deleted, archived=question.archived)
            and (question.live or run.commit is not None)
        ]
        order = report.order(question.sort, self.vocabulary) if found else []
        found = report.in_order(found, order)
        shown = list(found if question.limit is None else found[: question.limit])
        return Found(shown, len(found), True, self._listing.problems, order)

    def by_ids(self, ids: Collection[str]) -> list[Summary]:
        """The runs of these ids, deleted and running ones too, in no order."""
        return [run for run in self._listing.runs if run.id in ids]

    def columns(self, question: Question, keys: Sequence[str]) -> dict[str, list[Any]]:
        """The values of the runs that answer, by full key, in their order; None where absent.

        Times are microseconds since the epoch, a duration seconds, a command one line of shell.

        Raises:
            As `find`.
        """
        from gittrack.quoting import command_line

        made: dict[str, list[Any]] = {}
        runs = self.find(question).runs
        for key in keys:
            values = [report.lookup(run, key) for run in runs]
            if key in ("started", "ended"):
                values = [None if v is None else round(v.timestamp() * 1e6) for v in values]
            if key == "command":
                values = [None if value is None else command_line(value) for value in values]
            made[key] = values
        return made


def open_search(place: Place, *, meter: Meter = SILENT) -> Search:
    """Ask the runs of a repository; what is new is read first, which `meter` shows.

    Raises:
        GitFailed: Git cannot list the refs.
    """
    return Search(place, meter)
