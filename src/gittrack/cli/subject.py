"""A run that is shown: recorded, or running and known only so far.

Knows where its parts are to be had in either case. Knows nothing of how they look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gittrack import commits, revisions
from gittrack.errors import RunNotFound

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.records import Row, Run
    from gittrack.refs import RunRef
    from gittrack.summaries import Summary

__all__ = ["Subject", "subjects"]


@dataclass(frozen=True, slots=True)
class Subject:
    """`run` is the record, or what is known so far; `now` has what was said of it since.

    `ref` is None while it runs; `code` is the commit or tree that has its code.
    """

    repo: Repo
    run: Run
    now: Summary
    ref: RunRef | None
    code: str

    @property
    def short(self) -> str:
        """What it is called in a message."""
        return self.run.name if self.ref is None else self.ref.short

    def rows(self, *, system: bool = False) -> Sequence[Row]:
        """Its curves, or those of its machine; none while it runs."""
        return () if self.ref is None else commits.load_series(self.repo, self.ref, system=system)

    def output(self) -> bytes:
        """What it wrote to the terminal, as a record keeps it: secrets masked, the middle cut."""
        if self.ref is not None:
            return commits.output(self.repo, self.ref)
        from gittrack import record, secrets

        path = self.repo.state / "live" / self.run.name / "output"
        return record.read_log(path, mask=secrets.mask_text)[0]

    def cells(self) -> int:
        """How many cells of a notebook it kept; 0 while it runs, or where nobody can tell."""
        from gittrack.errors import BrokenRecord

        try:
            return 0 if self.ref is None else commits.cells(self.repo, self.ref)
        except BrokenRecord:
            return 0

    def ended_by(self) -> str | None:
        """The last line of the traceback that ended it; None where that is not how it ended."""
        if self.run.status != "failed":
            return None
        from gittrack.cli.tracebacks import last_line

        return last_line(self.output())


def subjects(repo: Repo, selectors: Sequence[str]) -> list[Subject]:
    """The runs that the selectors name, running ones too, in their order; each stands once.

    Without any the latest one that is recorded, or the newest that is running where none is.

    Raises:
        RunNotFound, AmbiguousRun, UnknownKey, BrokenRecord: one is not there.
    """
    alive = [revisions.running_one(repo, selector) for selector in selectors]
    if selectors and not any(alive):
        return [_recorded(repo, ref) for ref in revisions.resolve_many(repo, selectors)]
    if not selectors:
        try:
            return [_recorded(repo, revisions.resolve(repo, "latest"))]
        except RunNotFound:
            selectors, alive = ["latest"], [revisions.running_one(repo, None)]
    found: dict[str, Subject] = {}
    for selector, known in zip(selectors, alive, strict=True):
        # One that has just been recorded has the same name.
        for one in _running(repo, known) or [
            _recorded(repo, ref)
            for ref in revisions.resolve_many(repo, [selector if known is None else known.name])
        ]:
            found.setdefault(one.run.id, one)
    return [*found.values()]


def _recorded(repo: Repo, ref: RunRef) -> Subject:
    from gittrack.annotations import overlay

    run = commits.load(repo, ref)
    return Subject(repo, run, overlay(repo, [commits.summarize(run)])[0], ref, ref.commit)


def _running(repo: Repo, known: Summary | None) -> list[Subject]:
    if known is None:
        return []
    from gittrack import recovery

    told = recovery.running_run(repo, known.name)
    if told is None:
        return []
    run, tree = told
    return [Subject(repo, run, commits.summarize(run), None, tree)]
