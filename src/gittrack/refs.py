"""Where runs live: the grammar of `refs/runs/<experiment>/<name>`, and the refs themselves.

The one place that spells such a ref. Knows nothing about what a run contains.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gittrack.errors import BadName, RunChanged, RunExists
from gittrack.git import Ref, Repo
from gittrack.names import check

__all__ = [
    "LIVE",
    "ROOT",
    "SNAPSHOTS",
    "LiveRef",
    "RunRef",
    "all_runs",
    "create",
    "create_many",
    "delete",
    "divided",
    "drop_live",
    "find",
    "foreign",
    "hold_snapshot",
    "live",
    "parse",
    "publish_live",
    "release_snapshot",
    "retire_live",
    "unreadable",
]

ROOT = "refs/runs/"
SNAPSHOTS = "refs/gittrack/snapshots/"
"""Trees of runs that still run, so that no `git gc` takes their code away."""
LIVE = "refs/gittrack/live/"
"""Runs that still run, as they stood a moment ago: `LIVE<experiment>/<name>`, moved and removed."""


@dataclass(frozen=True, slots=True)
class RunRef:
    """A run's place: `refs/runs/<experiment>/<name>`, pointing to `commit`."""

    experiment: str
    name: str
    commit: str

    @property
    def full(self) -> str:
        """The full ref name."""
        return f"{ROOT}{self.experiment}/{self.name}"

    @property
    def short(self) -> str:
        """What plain Git resolves and people read: `runs/<experiment>/<name>`."""
        return f"runs/{self.experiment}/{self.name}"


class LiveRef(NamedTuple):
    """A published run that still runs, or did: `run.commit` is how it stood at `moment` (epoch)."""

    run: RunRef
    moment: float

    @property
    def full(self) -> str:
        """The full ref name."""
        return f"{LIVE}{self.run.experiment}/{self.run.name}"


def parse(ref: Ref) -> RunRef | None:
    """The run ref that a Git ref is, None if it has not our form (others use `refs/runs/` too)."""
    parts = ref.name.removeprefix(ROOT).split("/")
    if not ref.name.startswith(ROOT) or len(parts) != 2:
        return None
    try:
        return RunRef(_experiment(parts[0]), check(parts[1], "run"), ref.target)
    except BadName:
        return None


@lru_cache(maxsize=1024)
def _experiment(name: str) -> str:
    """The name, checked once for all runs that follow one another."""
    return check(name, "experiment")


def all_runs(repo: Repo, *, experiment: str | None = None) -> list[RunRef]:
    """Every ref of our form, or those of one experiment, sorted by experiment and name.

    The commits are not opened: whether one is a run, only its message tells.
    """
    return divided(repo, experiment=experiment)[0]


def divided(repo: Repo, *, experiment: str | None = None) -> tuple[list[RunRef], list[Ref]]:
    """What `all_runs` gives, and the refs beside them whose names are not of our form."""
    prefix = ROOT if experiment is None else f"{ROOT}{check(experiment, 'experiment')}/"
    ours, others = [], []
    for ref in repo.refs(prefix):
        run = parse(ref)
        if run is None:
            others.append(ref)
        else:
            ours.append(run)
    return ours, others


def unreadable(repo: Repo, known: Iterable[str]) -> list[str]:
    """Full names, sorted, of the refs that Git leaves out of its lists: empty, torn, dangling.

    `known` are the full names that it lists. Starts no process: such refs are always loose files.
    """
    root = repo.common_dir / ROOT
    listed = set(known)
    found = []
    for directory, _, files in os.walk(root):
        above = os.path.join(os.path.relpath(directory, repo.common_dir), "")
        # Git takes neither a lock nor a hidden file for a ref.
        names = [name for name in files if not name.startswith(".") and not name.endswith(".lock")]
        found += [above + name for name in names if above + name not in listed]
    # One that was made since the list is a good one.
    return sorted(name for name in found if repo.ref(name) is None)


def foreign(repo: Repo) -> list[Ref]:
    """The refs below `refs/runs/` whose names are not of our form."""
    return divided(repo)[1]


def find(repo: Repo, experiment: str, name: str) -> RunRef | None:
    """The ref of exactly this name, None if there is none or it can be no run's."""
    try:
        full = f"{ROOT}{check(experiment, 'experiment')}/{check(name, 'run')}"
    except BadName:
        return None
    target = repo.ref(full)
    return None if target is None else RunRef(experiment, name, target)


def create(repo: Repo, *, experiment: str, name: str, commit: str) -> RunRef:
    """Point a new run ref at `commit`; the run exists from this instant.

    Atomic across processes. A run ref is written once: nothing here moves it.

    Raises:
        BadName: experiment or name is not of the grammar.
        RunExists: the name is taken by another commit; `.commit` is where it points.
        WriteFailed: the ref could not be written.
    """
    made = RunRef(check(experiment, "experiment"), check(name, "run"), commit)
    try:
        repo.create_ref(made.full, commit)
    except RunExists as error:
        if error.commit != commit:
            raise
    return made


def create_many(repo: Repo, made: Sequence[RunRef]) -> None:
    """Create many run refs in one transaction: all or none.

    Raises:
        BadName: one is not of the grammar.
        GitFailed: one exists, or could not be written.
    """
    for run in made:
        check(run.experiment, "experiment")
        check(run.name, "run")
    repo.create_refs([Ref(run.full, run.commit) for run in made])


def delete(repo: Repo, gone: Iterable[RunRef]) -> None:
    """Delete run refs that still point where the caller saw them: all or none.

    Raises:
        RunChanged: one points elsewhere, or is gone.
    """
    repo.delete_refs([Ref(run.full, run.commit) for run in gone])


def hold_snapshot(repo: Repo, name: str, tree: str) -> None:
    """Keep the tree of a run that has begun from being collected as garbage.

    Raises:
        RunExists: a run of this name is running.
        WriteFailed: the ref could not be written.
    """
    repo.create_ref(f"{SNAPSHOTS}{check(name, 'run')}", tree)


def release_snapshot(repo: Repo, name: str) -> None:
    """Let go of what `hold_snapshot` kept; nothing happens if it was not held."""
    full = f"{SNAPSHOTS}{check(name, 'run')}"
    target = repo.ref(full)
    if target is not None:
        repo.delete_refs([Ref(full, target)])


def live(repo: Repo) -> list[LiveRef]:
    """The published runs that still run, as far as anybody knows here, sorted by name."""
    told = repo.git("for-each-ref", "--format=%(objectname) %(committerdate:unix) %(refname)", LIVE)
    found = []
    for line in told.decode("utf-8", "surrogateescape").splitlines():
        commit, moment, name = line.split(" ", 2)
        run = parse(Ref(f"{ROOT}{name.removeprefix(LIVE)}", commit))
        if run is not None:
            found.append(LiveRef(run, float(moment or 0)))
    return found


def publish_live(
    repo: Repo, *, experiment: str, name: str, commit: str, before: str | None
) -> LiveRef:
    """Point a running run's own ref at how it stands now, if it still points at `before`.

    Atomic across processes; `before` is None where there is none yet.

    Raises:
        BadName: experiment or name is not of the grammar.
        RunChanged: somebody else was there first.
    """
    run = RunRef(check(experiment, "experiment"), check(name, "run"), commit)
    made = LiveRef(run, 0.0)
    repo.move_ref(made.full, commit, before=before)
    return made


def drop_live(repo: Repo, gone: Iterable[LiveRef]) -> None:
    """Remove published runs that still stand where the caller saw them: all or none.

    Raises:
        RunChanged: one was published again meanwhile, or is gone.
    """
    found = [Ref(there.full, there.run.commit) for there in gone]
    if found:
        repo.delete_refs(found)


def retire_live(repo: Repo, name: str) -> None:
    """Remove what was published of a run that has been recorded, whatever experiment it was of.

    Who publishes it at this very moment sees that it is recorded, and takes it away himself.
    """
    try:
        drop_live(repo, [there for there in live(repo) if there.run.name == name])
    except RunChanged:
        pass
