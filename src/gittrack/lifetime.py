"""Runs whose command is this process: begun in it, or joined, and ended.

Knows which run a process is to begin: its own, one within another, one that goes on from an earlier
one; or which it joins. Knows nothing of what is logged. `custody` keeps what has begun.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import (
    active,
    custody,
    endings,
    environment,
    invocation,
    muster,
    notebooks,
    outset,
    recovery,
    sessions,
)
from gittrack.active import Active
from gittrack.errors import GittrackError, NotARepository, RunActive
from gittrack.git import Repo
from gittrack.heartbeat import Heartbeat
from gittrack.inheritance import hand_down
from gittrack.machine import Machine
from gittrack.outset import Begun, Request
from gittrack.refs import RunRef
from gittrack.summaries import Status, Value

if TYPE_CHECKING:
    from gittrack.succession import Inheritance

__all__ = ["discard", "end", "start"]

_joined: list[Active] = []
"""The runs of other processes that this one has joined."""


def start(
    *,
    experiment: str | None = None,
    experiment_title: str | None = None,
    name: str | None = None,
    title: str | None = None,
    message: str | None = None,
    params: Mapping[str, Value] | None = None,
    tags: Mapping[str, str] | None = None,
    nested: bool = False,
    parent: str | None = None,
    resume: str | None = None,
    directory: Path | None = None,
) -> Active:
    """Begin a run that is this process, or join the one that it was started in.

    Joined is the run that the environment names, the first time; or, in a rank other than the first
    of a parallel program, the run that the first one begins. There what is given is told to the
    run that is there, `name` as its title. Everything else begins a run of its own, in the
    repository of `directory` (that of the process): `nested` in the current one, of which it is a
    child, or with `parent`, a selector or an id of another; with `resume`, a selector, it goes on
    where a recorded run ended, which is its first input.

    `params` are flat, their keys and values such as a record can hold. The code is stored before
    this returns. From then on the run is on disk: if this process is killed, the next gittrack
    command records it.

    Raises:
        RunActive: a run is under way in this context, and this one is not nested.
        NoActiveRun: the first rank's run does not come, within `track.rankTimeout` seconds.
        RunNotFound, AmbiguousRun: of `parent` or `resume`.
        GittrackError: something given is wrong, this is no repository that can be used, or the
            code cannot be stored.
    """
    given = _Given(experiment, experiment_title, name, title, message, params or {}, tags or {})
    place = _working_directory() if directory is None else directory
    with custody.undivided(), endings.deferred():
        if nested or parent is not None:
            return _begin(place, given, active.current() or _left(), parent, resume)
        return _join_or_begin(place, given, resume)


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise NotARepository(
            f"the current directory cannot be used ({error.strerror})",
            hint="`os.chdir` into the repository first.",
        ) from error


def _join_or_begin(place: Path, given: _Given, resume: str | None) -> Active:
    now = _around()
    if now is not None and (now.owned or now in _joined):
        raise RunActive(
            f"the run {now.name} is active",
            name=now.name,
            hint="end it first, or begin one within it: start_run(nested=True).",
        )
    if resume is not None:
        return _begin(place, given, now or _left(), None, resume)
    if now is not None:
        return _join(now, given)
    if muster.waits():
        found, known = muster.join(Repo.open(place), left={one.directory for one in _joined})
        hand_down(os.fspath(found))
        return _join(active.enter(found, known, owned=False), given)
    return _begin(place, given, _left(), None, None)


@dataclass(frozen=True, slots=True)
class _Given:
    """What the script says of the run that it begins."""

    experiment: str | None
    experiment_title: str | None
    name: str | None
    title: str | None
    message: str | None
    params: Mapping[str, Value] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def events(self) -> list[dict[str, Any]]:
        """It all, as told to a run that has begun already."""
        said: list[dict[str, Any]] = []
        if self.experiment is not None:
            told = {"experiment": self.experiment, "experiment_title": self.experiment_title}
            said.append(told)
        title = self.title or self.name
        if title is not None:
            said.append({"title": title})
        if self.message is not None:
            said.append({"message": self.message})
        if self.params:
            said.append({"params": dict(self.params)})
        if self.tags:
            said.append({"tags": dict(self.tags)})
        return said


def _around() -> Active | None:
    """The run that this context is in: not one that another thread or task began for itself."""
    inner = active.innermost()
    if inner is not None:
        return inner
    found = active.current()
    return None if found is None or found.owned else found


def _join(now: Active, given: _Given) -> Active:
    assert now.begin is not None  # read while it is there
    _joined.append(now)
    for event in given.events():
        now.append(event)
    return now


def _left() -> Active | None:
    """The run that this process has joined and left: what it begins now happens within that."""
    return _joined[-1] if _joined else None


def _begin(
    place: Path,
    given: _Given,
    outer: Active | None,
    parent: str | None,
    resume: str | None,
) -> Active:
    repo = Repo.open(place)
    repo.check_version()
    repo.sync(repo.flag("track.fsync", default=True))
    recovery.signs(repo)  # a bad setting is refused now rather than after the training
    _recover(repo)
    request, last_step = _request(repo, place, given, outer, parent, resume)
    begun = outset.begin(
        repo, request, outset.prepare(repo, request), now=time.time, random=os.urandom
    )
    assert isinstance(begun, Begun)
    known = begun.known if last_step is None else {**begun.known, "last_step": last_step}
    entered = active.enter(begun.session.directory, known, owned=True)
    try:
        life = custody.Life(
            repo,
            begun.session,
            entered,
            pulse=Heartbeat(repo, begun.session, known, entered.append, pid=os.getpid()),
            machine=_machine(repo, known["tree"], entered),
        )
    except BaseException:
        active.leave(entered)
        begun.session.end()
        raise
    custody.take(life)
    return entered


def _machine(repo: Repo, tree: str, entered: Active) -> Machine:
    pending = environment.begin(
        [sys.executable], env=os.environ, cwd=os.getcwd(), cache=repo.state / "cache"
    )
    machine = Machine(repo, tree, pending, entered.append)
    machine.tell()
    return machine


def _recover(repo: Repo) -> None:
    """Record what was lost before us; what cannot be, the next command says."""
    try:
        recovery.recover(repo)
    except (GittrackError, OSError):
        pass


def _request(
    repo: Repo,
    place: Path,
    given: _Given,
    outer: Active | None,
    parent: str | None,
    resume: str | None,
) -> tuple[Request, int | None]:
    """What there is to begin, and the last step of the run that it goes on from."""
    before = None if resume is None else _before(repo, resume)
    experiment, title, name = given.experiment, given.experiment_title, given.name
    if before is not None:
        name = name or before.prefix
        if experiment is None:
            experiment, title = before.run.experiment, before.run.experiment_title
    above = _parent(repo, outer, parent)
    if experiment is None and above is not None:
        experiment, title = above.experiment, above.experiment_title
    notebook = notebooks.here()
    request = Request(
        argv=invocation.words(),
        directory=place,
        experiment=experiment,
        experiment_title=title,
        name=name,
        title=given.title,
        message=given.message,
        tags=given.tags,
        given=given.params,
        inherited={} if before is None else before.run.params,
        guess=invocation.is_program(),
        source="api",
        parent=None if above is None else (above.id, above.name),
        continues=None if before is None else before.input,
        notebook=None if notebook is None else notebook.path_within(repo.root),
        job=muster.job(),
    )
    return request, None if before is None else before.last_step


class _Parent(NamedTuple):
    """The run that one is nested in, and the experiment of both unless another is named."""

    id: str
    name: str
    experiment: str | None
    experiment_title: str | None


def _parent(repo: Repo, outer: Active | None, asked: str | None) -> _Parent | None:
    """The run that this one is nested in: one under way, or a recorded one."""
    if asked is None:
        if outer is None or outer.directory.parents[1].resolve() != repo.state.resolve():
            return None
        known: Mapping[str, Any] = outer.begin
        return _under_way(known) if "id" in known else None
    for directory in sessions.live(repo.state):
        known = muster.begin_of(directory)
        if known and asked in (known.get("id"), known.get("name")):
            return _under_way(known)
    from gittrack import commits, revisions

    run = commits.load(repo, revisions.resolve(repo, asked))
    return _Parent(run.id, run.name, run.experiment, run.experiment_title)


def _under_way(begin: Mapping[str, Any]) -> _Parent:
    experiment, title = begin.get("experiment"), begin.get("experiment_title")
    return _Parent(begin["id"], begin["name"], experiment, title)


def _before(repo: Repo, resume: str) -> Inheritance:
    """What the run has from the one that it goes on from."""
    from gittrack import revisions, succession

    return succession.inherit(repo, revisions.resumable(repo, resume))


def end(
    ended: Active,
    *,
    status: Status | None = None,
    exit_code: int | None = None,
    error: BaseException | None = None,
) -> RunRef | None:
    """End a run: record it if this process began it, else only this process's part of it.

    How it ended is `status`, else what `error` says (Ctrl-C is `killed`, an exception `failed`,
    leaving with a code that is not 0 too), else `exit_code`. The traceback of `error` joins the
    output. A run that has ended already, or that a forked child has from its parent, is left alone.

    None is given where nothing was recorded. Raises nothing: what cannot be recorded now is said on
    stderr, and waits for the next gittrack command.
    """
    return custody.end(ended, status=status, exit_code=exit_code, error=error)


def discard(begun: Active) -> None:
    """Take back what `start` has just done: a run that began here leaves nothing behind.

    One that was joined can be joined again; what it was told stays.
    """
    if begun in _joined:
        _joined.remove(begun)
    else:
        custody.discard(begun)


def _forget() -> None:
    """A forked child has joined nothing yet."""
    _joined.clear()


os.register_at_fork(after_in_child=_forget)
