"""What `git track watch` shows: running runs as they stand, and those that have just ended.

Knows where each is to be looked for, again and again, and that a look costs little. Knows nothing
of how it is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gittrack import commits, refs, revisions, sessions
from gittrack.errors import AmbiguousRun, GittrackError, RunNotFound
from gittrack.git import Repo
from gittrack.glance import Glance
from gittrack.refs import LiveRef, RunRef
from gittrack.summaries import Number

if TYPE_CHECKING:
    from gittrack.records import Run

__all__ = ["Board", "Line"]

_LOOK_FAR_EVERY = 5.0
_RECENT = 240
_SILENT = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One run: `recent` has the last points of each metric, `step` None where none was logged.

    `host` is None for runs of this clone. `status` is that of the run, or `silent` where a
    colleague's gave no sign for five minutes.
    """

    name: str
    experiment: str
    status: str
    started: datetime
    ended: datetime | None = None
    host: str | None = None
    step: int | None = None
    metrics: Mapping[str, Number] = field(default_factory=dict)
    recent: Mapping[str, Sequence[Number]] = field(default_factory=dict)

    def seconds(self, now: float) -> float:
        """How long it has run, or ran."""
        return (now if self.ended is None else self.ended.timestamp()) - self.started.timestamp()

    def fields(self) -> dict[str, Any]:
        """What a program wants to know."""
        return {
            "name": self.name,
            "experiment": self.experiment,
            "host": self.host,
            "status": self.status,
            "started": self.started,
            "ended": self.ended,
            "step": self.step,
            "metrics": dict(self.metrics),
        }


class Board:
    """The runs to show: those that are named, or all that run, from when they were first seen."""

    def __init__(self, repo: Repo, selectors: Sequence[str] = ()) -> None:
        """Find the runs that are named.

        Raises:
            RunNotFound, AmbiguousRun, UnknownKey: one is not there.
        """
        self._repo = repo
        self._glances: dict[str, Glance] = {}
        self._lines: dict[str, Line] = {}
        self._told: dict[str, Run] = {}
        self._far: dict[str, Line] = {}
        self._commits: dict[str, str] = {}
        self._looked = -_LOOK_FAR_EVERY
        self._wanted = {self._named(selector) for selector in selectors}

    def _named(self, selector: str) -> str:
        alive = revisions.running_one(self._repo, selector)
        if alive is not None:
            return alive.name
        group, _, start = selector.rpartition("/")
        far = {
            there.run.name
            for there in refs.live(self._repo)
            if there.run.name.startswith(start) and group in ("", there.run.experiment)
        }
        if start and len(far) == 1:
            return far.pop()
        try:
            ref = revisions.resolve(self._repo, selector)
        except (RunNotFound, AmbiguousRun):
            if len(far) > 1:
                raise AmbiguousRun(
                    f"'{selector}' could be any of {len(far)} runs",
                    selector=selector,
                    candidates=sorted(far),
                    hint=", ".join(sorted(far)[:10]),
                ) from None
            raise
        self._lines[ref.name] = _of_record(self._repo, ref, None)
        return ref.name

    def look(self, now: float) -> list[Line]:
        """The runs as they stand at `now` (seconds since the epoch), the newest first."""
        here = {directory.name: directory for directory in sessions.live(self._repo.state)}
        for name, directory in here.items():
            if self._is_wanted(name):
                self._look_at(self._glances.setdefault(name, Glance(directory)), name, now)
        for name in [name for name in self._glances if name not in here]:
            self._end(name)
        if now - self._looked >= _LOOK_FAR_EVERY or now < self._looked:
            self._looked = now
            self._look_far(now, here.keys() | self._lines.keys())
        found = [*self._lines.values(), *self._far.values()]
        by_name = sorted(found, key=lambda line: line.name)
        return sorted(by_name, key=lambda line: line.started, reverse=True)

    def _is_wanted(self, name: str) -> bool:
        return not self._wanted or name in self._wanted

    # -- of this clone --------------------------------------------------------------------------

    def _look_at(self, glance: Glance, name: str, now: float) -> None:
        told = self._told.get(name)
        if glance.refresh() or told is None:
            fresh = glance.run(last_sign=now)
            if fresh is None:
                return
            told = self._told[name] = fresh
        # With neither an end nor a code it is running, unless nobody is there any more.
        over = told.exit_code is not None or told.status != "killed"
        # Any process that logs can write of an end, and only the run's owner knows.
        if over and told.source == "api":
            over = glance.has_ended
        elif over:
            over = not sessions.command_lives(glance.directory)
        lost = not over and sessions.is_lost(glance.directory)
        self._lines[name] = Line(
            name=name,
            experiment=told.experiment,
            status=told.status if over or lost else "running",
            started=told.started,
            ended=told.ended if over else None,
            step=glance.step,
            metrics=told.metrics,
            recent={key: glance.recent(key) for key in told.metrics},
        )

    def _end(self, name: str) -> None:
        """A run's directory is gone: it is recorded, and its record has the last word."""
        del self._glances[name]
        self._told.pop(name, None)
        line = self._lines.get(name)
        ref = None if line is None else refs.find(self._repo, line.experiment, name)
        if line is None or ref is None:
            return
        try:
            self._lines[name] = _of_record(self._repo, ref, line)
        except GittrackError:
            return

    # -- of others ------------------------------------------------------------------------------

    def _look_far(self, now: float, ours: set[str]) -> None:
        """What colleagues published; of what cannot be read nothing is shown."""
        try:
            found = {
                there.full: there
                for there in refs.live(self._repo)
                if there.run.name not in ours and self._is_wanted(there.run.name)
            }
        except GittrackError:
            return
        for full in self._far.keys() - found.keys():
            self._retire(full)
        for full, there in found.items():
            line = self._far.get(full)
            if line is None or self._commits.get(full) != there.run.commit:
                line = _of_checkpoint(self._repo, there)
                self._commits[full] = there.run.commit
            if line is not None:
                status = "silent" if now - there.moment > _SILENT else "running"
                self._far[full] = replace(line, status=status)

    def _retire(self, full: str) -> None:
        """A colleague's run is not published any more: it may have come as a recorded one."""
        line = self._far[full]
        ref = refs.find(self._repo, line.experiment, line.name)
        if ref is None or line.ended is not None:
            if line.ended is None:
                del self._far[full]
            return
        try:
            self._far[full] = _of_record(self._repo, ref, line)
        except GittrackError:
            del self._far[full]


def _of_record(repo: Repo, ref: RunRef, before: Line | None) -> Line:
    """A recorded run; its points are those that were seen of it, or the last of its record."""
    run = commits.load(repo, ref)
    step, recent = _points(repo, ref, run) if before is None else (before.step, dict(before.recent))
    return Line(
        name=run.name,
        experiment=run.experiment,
        status=run.status,
        started=run.started,
        ended=run.ended,
        host=None if before is None else before.host,
        step=step,
        metrics=run.metrics,
        recent=recent,
    )


def _of_checkpoint(repo: Repo, there: LiveRef) -> Line | None:
    try:
        run = commits.load(repo, there.run)
        step, recent = _points(repo, there.run, run)
    except GittrackError:
        return None
    return Line(
        name=run.name,
        experiment=run.experiment,
        status="running",
        started=run.started,
        host=run.host or "elsewhere",
        step=step,
        metrics=run.metrics,
        recent=recent,
    )


def _points(repo: Repo, ref: RunRef, run: Run) -> tuple[int | None, dict[str, Sequence[Number]]]:
    rows = commits.load_series(repo, ref)
    step = next((row.step for row in reversed(rows) if row.step is not None), None)
    recent: dict[str, list[Number]] = {}
    for row in rows[-_RECENT:]:
        for key, value in row.values.items():
            recent.setdefault(key, []).append(value)
    return step, {key: tuple(values) for key, values in recent.items()}
