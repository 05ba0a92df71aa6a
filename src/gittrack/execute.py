"""Begin a run, execute its command, write down what happens, and have it recorded.

Knows the order in which things happen, so that a run exists whole or not at all and nothing that
was logged is lost. Prints nothing but the child's own output.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gittrack import environment, metrics, names, params, refs, secrets
from gittrack import snapshot as snapshots
from gittrack.environment import Pending
from gittrack.errors import BadFile, GittrackError, RunExists, WriteFailed
from gittrack.git import Repo
from gittrack.journal import RUN_VARIABLE, Writer
from gittrack.keys import check_key
from gittrack.owner import Owner
from gittrack.process import Exit
from gittrack.process import run as run_process
from gittrack.quoting import utf8
from gittrack.records import Row, Run, Snapshot, Status, Value
from gittrack.recovery import finish, signs, undisturbed, waiting
from gittrack.refs import RunRef
from gittrack.sessions import Session
from gittrack.story import plain_code, plain_environment, stamp

__all__ = [
    "Outcome",
    "Request",
    "command",
    "maintain",
]

DEFAULT_EXPERIMENT = "default"
_HOLD_AFTER = 60.0
_SIGN_EVERY = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to execute and how to record it.

    `params` are `key=value` texts; `params_files` and `metrics_files` None mean: the default files
    of the directory, if there are any. `directory` is where the command runs.
    """

    argv: Sequence[str]
    directory: Path
    experiment: str | None = None
    name: str | None = None
    message: str | None = None
    params: Sequence[str] = ()
    params_files: Sequence[str] | None = None
    metrics_files: Sequence[str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A recorded run, how its command ended, and sentences that the user should read."""

    run: Run
    ref: RunRef
    exit: Exit
    snapshot: Snapshot
    notices: tuple[str, ...]


# -- a command, from its start to its record ----------------------------------------------------


def command(
    repo: Repo,
    request: Request,
    *,
    now: Callable[[], float] = time.time,
    random: Callable[[int], bytes] = os.urandom,
) -> Outcome:
    """Execute a command and record it as a run, however it ends.

    The code is stored before the command starts. From then on the run is on disk: if this process
    is killed, the next one to call `recover` records it. The child's signals, terminal and exit
    code are its own (`process.run`).

    Raises:
        GittrackError: something about the request is wrong, or the code cannot be stored; the
            command was not started, and nothing is recorded.
        CommandNotStarted: the command cannot be executed; nothing is recorded.
        WriteFailed: the command ran and its record cannot be written now; what is known of it
            stays, and the next gittrack command tries again.
    """
    repo.check_version()
    repo.sync(repo.flag("track.fsync", default=True))
    signs(repo)  # a bad setting is refused now rather than after the training
    prepared = _prepare(repo, request)
    session, known, taken = _open(repo, request, prepared, now=now, random=random)
    recorder: _Recorder | None = None
    try:
        pending = environment.begin(
            request.argv,
            env=os.environ,
            cwd=request.directory,
            cache=repo.state / "cache",
        )
        try:
            recorder = _Recorder(repo, session, known, pending, scan=_scans(repo), now=now)
            ended = run_process(
                request.argv,
                env={**os.environ, RUN_VARIABLE: os.fspath(session.directory)},
                cwd=os.fspath(request.directory),
                on_output=recorder.output,
                on_tick=recorder.tick,
                on_start=recorder.started,
            )
        except BaseException:
            pending.cancel()
            raise
    except BaseException as error:
        if recorder is not None and recorder.began:
            # What is known of it stays, for `recover`.
            recorder.writer.abandon()
            session.release()
            raise
        session.end()
        if isinstance(error, OSError):
            raise WriteFailed(f"cannot write: {error.strerror}") from error
        raise
    with undisturbed():
        recorder.ended(ended)
        try:
            recorder.close()
            run, ref = finish(repo, session)
        except OSError as error:
            recorder.hold()
            session.release()
            raise waiting(repo, known["name"], f"cannot write: {error.strerror}") from error
        except GittrackError as error:
            recorder.hold()
            session.release()
            raise waiting(repo, known["name"], error.message) from error
    return Outcome(run, ref, ended, taken, (*prepared.notices, *_notices(taken), *run.faults))


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What can be known, and refused, before anything is stored."""

    experiment: str
    argv: tuple[str, ...]
    params: Mapping[str, Value]
    files: Mapping[str, str]
    faults: tuple[str, ...]
    notices: tuple[str, ...]


def _prepare(repo: Repo, request: Request) -> _Prepared:
    experiment = request.experiment or repo.config.get("track.experiment") or DEFAULT_EXPERIMENT
    names.check(experiment, "experiment")
    if request.name is not None:
        names.generate(bytes(6), request.name)
    for key in request.tags:
        check_key(key)
    masked, hidden = secrets.mask_argv(request.argv)
    assignments, hidden_assignments = secrets.mask_argv(request.params)
    from_files, faults = _params_files(repo, request)
    merged = params.merge(
        from_files, params.from_command(masked), params.from_assignments(assignments)
    )
    hidden_words = ", ".join(dict.fromkeys((*hidden, *hidden_assignments)))
    notices = [f"masked in the record: {hidden_words}"] if hidden_words else []
    return _Prepared(
        experiment=experiment,
        argv=tuple(masked),
        params=_storable(merged),
        files=_metrics_files(request),
        faults=tuple(faults),
        notices=tuple(notices),
    )


def _params_files(repo: Repo, request: Request) -> tuple[dict[str, Value], list[str]]:
    """Params of the files asked for; where none was, those of `params.yaml` if it makes sense."""
    if request.params_files is not None:
        found = [
            params.from_file(path, directory=request.directory) for path in request.params_files
        ]
        return params.merge(*found), []
    default = request.directory / "params.yaml"
    if not default.is_file() or not repo.flag("track.params", default=True):
        return {}, []
    try:
        return params.from_file(default.name, directory=request.directory), []
    except BadFile as error:
        return {}, [f"params not read: {error.message}"]


def _metrics_files(request: Request) -> dict[str, str]:
    """The metrics files to look at afterwards, with what tells whether the run wrote them."""
    asked = request.metrics_files
    for path in asked or ():
        metrics.check_file(path, directory=request.directory)
    paths = metrics.DEFAULT_FILES if asked is None else asked
    return {path: stamp(request.directory / path) for path in paths}


def _storable(values: Mapping[str, Value]) -> dict[str, Value]:
    return {utf8(key): utf8(v) if isinstance(v, str) else v for key, v in values.items()}


def _scans(repo: Repo) -> bool:
    return repo.flag("track.scan", default=True)


def _open(
    repo: Repo,
    request: Request,
    prepared: _Prepared,
    *,
    now: Callable[[], float],
    random: Callable[[int], bytes],
) -> tuple[Session, dict[str, Any], Snapshot]:
    """Take the snapshot and begin; on any failure nothing stays behind."""
    session = _session(repo, request.name, random)
    try:
        mode = repo.config.get("track.snapshot", "all")
        taken = snapshots.take(repo, mode=mode, scratch=session.directory)
        known = _known(repo, request, prepared, taken, session, now(), random(16))
        session.begin(known)
    except OSError as error:
        session.end()
        raise WriteFailed(
            f"cannot write to '{repo.state}': {error.strerror}",
            hint="is the disk full, or the repository read-only? The command was not started.",
        ) from error
    except BaseException:
        session.end()
        raise
    return session, known, taken


def _session(repo: Repo, prefix: str | None, random: Callable[[int], bytes]) -> Session:
    for attempt in range(16):
        try:
            return Session.open(repo.state, names.generate(random(6), prefix))
        except RunExists:
            if attempt == 15:
                raise
    raise AssertionError("unreachable")


def _known(
    repo: Repo,
    request: Request,
    prepared: _Prepared,
    taken: Snapshot,
    session: Session,
    started: float,
    random: bytes,
) -> dict[str, Any]:
    """How the run begins, as plain values: all that a later process needs to record it."""
    who = repo.identity()
    assert repo.root is not None
    directory = os.path.relpath(os.path.realpath(request.directory), os.path.realpath(repo.root))
    return {
        "id": names.run_id(random),
        "name": session.directory.name.removeprefix(".new-"),
        "prefix": request.name,
        "experiment": prepared.experiment,
        "started": started,
        "message": None if request.message is None else utf8(request.message),
        "command": [utf8(word) for word in prepared.argv],
        "directory": "" if directory == "." else utf8(directory),
        "user": who.name,
        "email": who.email,
        "host": os.uname().nodename,
        "tree": taken.tree,
        "code": plain_code(taken.code),
        "params": dict(prepared.params),
        "tags": {utf8(key): utf8(value) for key, value in request.tags.items()},
        "faults": [*prepared.faults, *taken.secrets],
        "files": dict(prepared.files),
        "where": os.path.abspath(request.directory),
        "asked": request.metrics_files is not None,
    }


class _Recorder:
    """Writes down what happens while the command runs. No failure here may disturb the command."""

    def __init__(
        self,
        repo: Repo,
        session: Session,
        known: Mapping[str, Any],
        pending: Pending,
        *,
        scan: bool,
        now: Callable[[], float],
    ) -> None:
        self.writer = Writer(session.directory)
        self._repo = repo
        self._session = session
        self._known = known
        self._pending: Pending | None = pending
        self._scanners = {stream: metrics.Scanner() for stream in (1, 2)} if scan else {}
        self._now = now
        self.began = False
        self._signed = 0.0
        self._held = False
        self._full = False
        self._missed = 0

    def started(self, pid: int) -> None:
        """Remember the child, so that nobody takes the run for lost while it lives."""
        self.began = True
        owner = Owner.of(pid)
        self._append({"child": [owner.pid, owner.start, owner.boot]})
        self._machine()

    def output(self, data: bytes, stream: int) -> None:
        """Keep what the child printed, and the metrics in it."""
        try:
            if not self._full:
                self._session.keep_output(data)
        except OSError as error:
            self._full = True
            self._append({"fault": f"output is kept only in part: {error.strerror}"})
        if self._scanners:
            self._rows(self._scanners[stream].feed(data, self._now()))

    def tick(self) -> None:
        """Once a second: flush to the disk; after a minute, keep the code from `git gc`."""
        self._machine()
        now = self._now()
        try:
            self._session.sync_output()
            self.writer.sync()
            if now - self._signed >= _SIGN_EVERY:
                self._signed = now
                self._session.give_sign()
        except OSError:
            pass
        if now - self._known["started"] > _HOLD_AFTER:
            self.hold()

    def hold(self) -> None:
        """Keep the code from `git gc --prune=now`, as far as that is possible."""
        if self._held:
            return
        self._held = True
        try:
            refs.hold_snapshot(self._repo, self._known["name"], self._known["tree"])
        except GittrackError:
            pass

    def ended(self, ended: Exit) -> None:
        """Write down how the child ended."""
        for scanner in self._scanners.values():
            self._rows(scanner.close(self._now()))
        event: dict[str, Any] = {"t": self._now(), "end": [_status(ended), ended.code]}
        if self._missed:
            event["fault"] = f"{self._missed} events were not kept: the disk was full"
        try:
            self.writer.append(event)
        except OSError:
            try:
                self._session.keep_end(event)
            except OSError:
                pass

    def close(self) -> None:
        """Complete the journal, waiting for what is still being found out.

        Raises:
            OSError: it cannot be written, the disk being full.
        """
        if self._pending is not None:
            self.writer.append(self._environment(self._pending))
            self._pending = None
        self.writer.close()

    def _machine(self) -> None:
        """Write the environment down as soon as it is known: it outlives us then."""
        if self._pending is not None and self._pending.is_ready:
            event = self._environment(self._pending)
            self._pending = None
            self._append(event)

    def _environment(self, pending: Pending) -> dict[str, Any]:
        found = replace(pending.result(), lock_files=_lock_files(self._repo, self._known["tree"]))
        event: dict[str, Any] = {"environment": plain_environment(found)}
        return event | ({"fault": pending.fault} if pending.fault else {})

    def _rows(self, found: Sequence[Row]) -> None:
        for row in found:
            self._append(
                {"t": row.time, "metrics": dict(row.values), "step": row.step, "scan": True}
            )

    def _append(self, event: Mapping[str, Any]) -> None:
        try:
            self.writer.append({"t": self._now(), **event})
        except OSError:
            # The disk is full: the command goes on, and what was written stays.
            self._missed += 1


def _status(ended: Exit) -> Status:
    if ended.signal is not None:
        return "killed"
    return "finished" if ended.code == 0 else "failed"


def _lock_files(repo: Repo, tree: str) -> dict[str, str]:
    """The lock files at the root of a snapshot, with their blobs."""
    return {
        os.fsdecode(item.name): item.id
        for item in repo.tree(tree)
        if item.kind == "blob" and environment.is_lock_file(os.fsdecode(item.name))
    }


def _notices(taken: Snapshot) -> tuple[str, ...]:
    named = [*taken.code.skipped, *taken.code.hidden]
    if not named:
        return ()
    shown = ", ".join(f"{item.path} ({item.reason})" for item in named[:3])
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return (f"not in the snapshot: {shown}{more}",)


def maintain(repo: Repo) -> None:
    """Let Git tidy up in the background when many loose objects have gathered, as `git gc --auto`.

    libgit2 never does. Git's own settings (`gc.auto`, `maintenance.auto`) decide.
    """
    try:
        # Git's own estimate: objects/17 holds one in 256 (gc.c, too_many_loose_objects).
        gathered = len(os.listdir(repo.common_dir / "objects" / "17"))
        if gathered > 27 and repo.flag("maintenance.auto", default=True):
            repo.spawn("maintenance", "run", "--auto", "--quiet")
    except (OSError, GittrackError):
        # The run is recorded; Git itself will complain of its setting.
        return
