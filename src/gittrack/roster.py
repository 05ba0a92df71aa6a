"""Which runs answer to a name, a beginning, an id, a commit or a place in time: asked of the index.

Costs the same however many runs there are. Knows that a run may be unreadable or deleted. What a
user means by a text, and what an error says, is `revisions`' to know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any, TypeAlias

from gittrack import names, refs, whereabouts
from gittrack.figures import since_epoch
from gittrack.git import Repo
from gittrack.index import Index, open_index
from gittrack.names import check
from gittrack.refs import RunRef
from gittrack.summaries import Summary

__all__ = ["Roster", "key_of", "ref_of"]

_Where: TypeAlias = tuple[str, list[Any]]
_PART = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_ENDING = 7
_FIRST_STEPS, _MOST_STEPS = 1, 4096
_FEW = 64


class Roster:
    """The runs of a repository, or of one experiment, to be asked; closed by `with`.

    Raises:
        BadName: `experiment` is no name.
        GitFailed: Git cannot list the refs.
    """

    def __init__(self, repo: Repo, experiment: str | None = None) -> None:
        self._repo = repo
        self._experiment = None if experiment is None else check(experiment, "experiment")
        self._index: Index = open_index(whereabouts.of(repo))

    def __enter__(self) -> Roster:
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()

    # -- names ------------------------------------------------------------------------------------

    def called(self, name: str) -> list[RunRef]:
        """The runs of exactly this name, deleted and unreadable ones too."""
        if not _PART.fullmatch(name):
            return []
        found = self._page(self._is("name", name), deleted=True)
        return self._with_unreadable(map(ref_of, found), lambda ref: ref.name == name)

    def of_stem(self, stem: str, group: str | None = None, most: int | None = None) -> list[RunRef]:
        """The runs called so before their random ending, newest first; no deleted ones.

        Of more than `most` some. Unreadable ones come last.
        """
        if not _PART.fullmatch(stem):
            return []
        limit = None if most is None else most + _FEW
        found = self._named(f"{stem}-", group, limit, length=len(stem) + _ENDING)
        return self._with_unreadable(found, lambda ref: _stem(ref.name) == stem, group)

    def beginning(self, start: str, group: str | None, most: int) -> list[RunRef]:
        """Up to `most` runs whose names begin so and end at random, by name; no deleted ones."""
        if not _PART.fullmatch(start):
            return []
        found = self._named(start, group, most + _FEW)
        if len(found) < most:
            # Names that no run of ours has may have taken the place of others.
            found = self._named(start, group, None)
        found.sort(key=lambda ref: (ref.name, ref.experiment))
        every = self._with_unreadable(found, lambda ref: ref.name.startswith(start), group)
        return every[:most]

    def _named(
        self, start: str, group: str | None, limit: int | None, *, length: int | None = None
    ) -> list[RunRef]:
        """The runs whose names begin so and end at random, newest first."""
        lines = self._index.named(
            start, length=length, experiments=self._within(group), limit=limit
        )
        lines.sort(key=lambda line: (-line[3], line[1], line[0]))
        return [RunRef(*line[:3]) for line in lines if _stem(line[1])]

    def all_names(self, most: int) -> list[str]:
        """What the newest runs are called, and the unreadable ones; deleted runs, too."""
        where = self._and(None, None)
        told = self._index.columns(where, (), most, ["name"], deleted=True)
        known = {*told["name"], *(ref.name for ref in self._unreadable)}
        return sorted(filter(_stem, known))

    # -- ids and commits --------------------------------------------------------------------------

    def at(self, commit: str) -> list[RunRef]:
        """The runs at this commit, deleted and unreadable ones too, by experiment and name."""
        found = self._page(self._index.is_one_of("commit", [commit]), deleted=True)
        every = self._with_unreadable(map(ref_of, found), lambda ref: ref.commit == commit)
        return sorted(every, key=lambda ref: (ref.experiment, ref.name))

    def identified(self, digits: str, most: int) -> list[RunRef]:
        """Up to `most` runs whose id or commit id begins with these; no deleted ones."""
        (of_ids, ids), (of_commits, commits) = (
            self._index.begins(key, digits) for key in ("id", "commit")
        )
        found = self._page((f"({of_ids} OR {of_commits})", [*ids, *commits]), limit=most)
        return sorted(map(ref_of, found), key=lambda ref: (ref.experiment, ref.name))

    def newest_on(self, line: Iterable[str]) -> RunRef | None:
        """The newest run that stood on the first of these commits that any stood on."""
        for steps in _growing(line):
            here = self._index.is_one_of("base", steps)
            found = self._current(here, limit=1)
            if found and len(steps) > 1:
                told = self._index.columns(self._and(here, None), keys=["base"], archived=False)
                stood = set(told["base"])
                first = [step for step in steps if step in stood][:1]
                found = self._current(self._index.is_one_of("base", first), limit=1)
            if found:
                return ref_of(found[0])
        return None

    # -- order ------------------------------------------------------------------------------------

    def newest(self, back: int = 0) -> RunRef | None:
        """The run that began last of those in use, or the one so many before it."""
        keys, where = ("experiment", "name", "commit"), self._and(None, None)
        found = self._index.columns(where, (), back + 1, keys, archived=False)
        last = [found[key][back : back + 1] for key in keys]
        return RunRef(*(value for [value] in last)) if all(last) else None

    def count(self) -> int:
        """How many runs are in use: neither deleted nor archived."""
        where = self._and(None, None)
        return self._index.count(where, archived=False, deleted=False, patience=None)[0]

    def is_empty(self) -> bool:
        """Whether there is no run at all, deleted and unreadable ones included."""
        return not self._page(deleted=True, limit=1) and not self._unreadable

    def extreme(self, metric: str, *, highest: bool) -> Summary | None:
        """The run in use of the highest or lowest value, of equal ones the newest.

        NaN is neither; where there is nothing else, a run of that; None if no run has the metric.
        """
        key = f"metrics.{metric}"
        if not self._index.vocabulary.count(key).total:
            return None
        self._index.need([key])
        value = self._index.expression(key)
        found = self._current((f"{value} IS NOT NULL", []), [(value, highest)], 1)
        return found[0] if found else None

    def metrics(self) -> list[str]:
        """The metrics that runs have."""
        return self._index.vocabulary.keys("metrics")

    def run(self, ref: RunRef) -> Summary | None:
        """What is known of a run; None if it is deleted, cannot be read, or has no ref here."""
        found = self._page(self._is("name", ref.name), group=ref.experiment)
        return found[0] if found and found[0].commit == ref.commit else None

    def between(self, oldest: datetime | None, newest: datetime | None) -> list[Summary]:
        """The runs that began then, both moments included, oldest first; no deleted ones."""
        started = self._index.expression("started")
        parts = [
            (f"{started} {sign} ?", [since_epoch(moment)])
            for sign, moment in ((">=", oldest), ("<=", newest))
            if moment is not None
        ]
        where = (" AND ".join(sql for sql, _ in parts), [value for _, [value] in parts])
        return self._page(where if parts else None)[::-1]

    # -- asking -----------------------------------------------------------------------------------

    @cached_property
    def _unreadable(self) -> list[RunRef]:
        """The runs that cannot be read, as far as their refs have a commit."""
        found = []
        for problem in self._index.problems:
            top, _, path = (problem.where or "").partition("/")
            experiment, slash, name = path.partition("/")
            if top == "runs" and slash and self._experiment in (None, experiment):
                ref = refs.find(self._repo, experiment, name)
                found += [] if ref is None else [ref]
        # A run whose summary alone is damaged was read all the same.
        read = self._index.by_commits([ref.commit for ref in found])
        return [ref for ref in found if ref.commit not in read]

    def _with_unreadable(
        self,
        found: Iterable[RunRef],
        wanted: Callable[[RunRef], bool],
        group: str | None = None,
    ) -> list[RunRef]:
        """Runs whose names end at random, and those of them that cannot be read."""
        every = {ref.full: ref for ref in found}
        for ref in self._unreadable:
            if _stem(ref.name) and group in (None, ref.experiment) and wanted(ref):
                every.setdefault(ref.full, ref)
        return list(every.values())

    def _current(
        self,
        where: _Where | None = None,
        order: Sequence[tuple[str, bool]] = (),
        limit: int | None = None,
    ) -> list[Summary]:
        return self._page(where, order, limit, archived=False)

    def _page(
        self,
        where: _Where | None = None,
        order: Sequence[tuple[str, bool]] = (),
        limit: int | None = None,
        *,
        group: str | None = None,
        archived: bool = True,
        deleted: bool = False,
    ) -> list[Summary]:
        whole = self._and(where, group)
        return self._index.page(whole, order, limit, archived=archived, deleted=deleted)

    def _and(self, where: _Where | None, group: str | None) -> _Where | None:
        """The same, in one experiment."""
        parts = [self._is("experiment", name) for name in self._within(group)]
        parts += [] if where is None else [where]
        if not parts:
            return None
        return " AND ".join(sql for sql, _ in parts), [v for _, values in parts for v in values]

    def _within(self, group: str | None) -> list[str]:
        """The experiments that a run must all be of: none, one, or two, which no run is."""
        return [name for name in dict.fromkeys([group, self._experiment]) if name is not None]

    def _is(self, key: str, value: str) -> _Where:
        return f"{self._index.expression(key)} = ?", [value]


def _growing(line: Iterable[str]) -> Iterator[list[str]]:
    """The commits in parts, each larger than the one before."""
    steps, size = iter(line), _FIRST_STEPS
    while part := list(islice(steps, size)):
        yield part
        size = min(size * 64, _MOST_STEPS)


def _stem(name: str) -> str | None:
    """What stands before the random ending; None where there is none."""
    return names.stem(name) if names.SUFFIX.search(name) else None


def key_of(run: Summary | RunRef) -> tuple[str, str]:
    """What no two runs have in common at a time."""
    return run.experiment, run.name


def ref_of(run: Summary) -> RunRef:
    """The ref of a run that is recorded."""
    assert run.commit is not None
    return RunRef(run.experiment, run.name, run.commit)
