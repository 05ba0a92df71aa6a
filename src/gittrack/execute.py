"""Begin a run, execute its command, record it; or record what a killed process left behind.

The only writer of runs. Knows the order in which things happen, so that a run exists whole or not
at all and nothing logged is lost. Prints nothing but the child's own output.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gittrack import environment, journal, metrics, names, params, record, refs, runs, secrets
from gittrack import snapshot as snapshots
from gittrack.errors import BadFile, GittrackError, RunExists, WriteFailed
from gittrack.git import Identity, Repo
from gittrack.journal import RUN_VARIABLE, Session, Story, Writer
from gittrack.keys import check_key
from gittrack.process import Exit
from gittrack.process import run as run_process
from gittrack.quoting import utf8
from gittrack.records import Environment, Row, Run, Snapshot, Status, Summary, Value
from gittrack.refs import RunRef
from gittrack.story import plain_code, plain_environment, stamp, tell

__all__ = [
    "Outcome",
    "Request",
    "command",
    "maintain",
    "recover",
    "running",
]

DEFAULT_EXPERIMENT = "default"
_HOLD_AFTER = 60.0
_RECOVER_AT_ONCE = 16 << 20
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


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
    sync = repo.flag("track.fsync", default=True)
    repo.sync(sync)
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
            recorder = _Recorder(repo, session, known, scan=_scans(repo), now=now)
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
    with _undisturbed():
        recorder.ended(ended)
        try:
            machine = _environment(repo, pending, taken)
            recorder.writer.append({"environment": plain_environment(machine)})
            recorder.writer.close()
            run, ref = _finish(repo, session)
        except OSError as error:
            session.release()
            raise _postponed(WriteFailed(f"cannot write: {error.strerror}")) from error
        except GittrackError as error:
            session.release()
            raise _postponed(error) from error
    return Outcome(run, ref, ended, taken, (*prepared.notices, *_notices(taken), *run.faults))


def _postponed(error: GittrackError) -> WriteFailed:
    return WriteFailed(
        f"the command has ended, but its run cannot be recorded yet: {error.message}",
        hint="nothing is lost: once that is mended, the next git track command records it.",
    )


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
    from_files, faults = _params_files(request)
    merged = params.merge(
        from_files, params.from_command(masked), params.from_assignments(assignments)
    )
    notices = [f"masked {what}" for what in (*hidden, *hidden_assignments)]
    return _Prepared(
        experiment=experiment,
        argv=tuple(masked),
        params=_storable(merged),
        files=_metrics_files(request),
        faults=tuple(faults),
        notices=tuple(notices),
    )


def _params_files(request: Request) -> tuple[dict[str, Value], list[str]]:
    """Params of the files asked for; where none was, those of `params.yaml` if it makes sense."""
    if request.params_files is not None:
        found = [params.from_file(request.directory / path) for path in request.params_files]
        return params.merge(*found), []
    default = request.directory / "params.yaml"
    if not default.is_file():
        return {}, []
    try:
        return params.from_file(default), []
    except BadFile as error:
        return {}, [f"params not read: {error.message}"]


def _metrics_files(request: Request) -> dict[str, str]:
    """The metrics files to look at afterwards, with what tells whether the run wrote them."""
    asked = request.metrics_files
    paths = metrics.DEFAULT_FILES if asked is None else asked
    return {os.fspath(request.directory / path): stamp(request.directory / path) for path in paths}


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
        "asked": request.metrics_files is not None,
        "sign": repo.flag("track.sign", default=repo.flag("commit.gpgsign", default=False)),
    }


class _Recorder:
    """Writes down what happens while the command runs. No failure here may disturb the command."""

    def __init__(
        self,
        repo: Repo,
        session: Session,
        known: Mapping[str, Any],
        *,
        scan: bool,
        now: Callable[[], float],
    ) -> None:
        self.writer = Writer(session.directory)
        self._repo = repo
        self._session = session
        self._known = known
        self._scanner = metrics.Scanner() if scan else None
        self._now = now
        self.began = False
        self._held = False
        self._full = False
        self._missed = 0

    def started(self, pid: int) -> None:
        """Remember the child, so that nobody takes the run for lost while it lives."""
        self.began = True
        owner = journal.Owner.of(pid)
        self._append({"child": [owner.pid, owner.start, owner.boot]})

    def output(self, data: bytes, stream: int) -> None:
        """Keep what the child printed, and the metrics in it."""
        try:
            if not self._full:
                self._session.keep_output(data)
        except OSError as error:
            self._full = True
            self._append({"fault": f"output is kept only in part: {error.strerror}"})
        if self._scanner is not None:
            self._rows(self._scanner.feed(data, self._now()))

    def tick(self) -> None:
        """Once a second: flush to the disk; after a minute, keep the code from `git gc`."""
        try:
            self._session.sync_output()
            self.writer.sync()
        except OSError:
            pass
        if not self._held and self._now() - self._known["started"] > _HOLD_AFTER:
            self._held = True
            try:
                refs.hold_snapshot(self._repo, self._known["name"], self._known["tree"])
            except GittrackError:
                pass

    def ended(self, ended: Exit) -> None:
        """Write down how the child ended."""
        if self._scanner is not None:
            self._rows(self._scanner.close(self._now()))
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


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back signals for the moment that recording takes; they arrive afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment(repo: Repo, pending: environment.Pending, taken: Snapshot) -> Environment:
    found = pending.result()
    locks = {
        os.fsdecode(item.name): item.id
        for item in repo.tree(taken.tree)
        if item.kind == "blob" and environment.is_lock_file(os.fsdecode(item.name))
    }
    return replace(found, lock_files=locks)


def _notices(taken: Snapshot) -> tuple[str, ...]:
    named = [*taken.code.skipped, *taken.code.hidden]
    if not named:
        return ()
    shown = ", ".join(f"{item.path} ({item.reason})" for item in named[:3])
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return (f"not in the snapshot: {shown}{more}",)


# -- from the journal to the commit -------------------------------------------------------------


def _finish(repo: Repo, session: Session) -> tuple[Run, RunRef]:
    """Record the run that a session's directory tells of, then remove the directory.

    Whoever holds the session may call it, again after a crash: the ref is looked for first, so no
    run is recorded twice.
    """
    story = journal.read(session.directory)
    if story is None:
        raise WriteFailed(f"'{session.directory}' does not say how its run began")
    experiment = story.begin["experiment"]
    for name in _names(story):
        _remove_stale_locks(repo, experiment, name)
        there = refs.find(repo, experiment, name)
        try:
            if there is None:
                run, there = _write(repo, session, story, name)
            elif (known := _same_run(repo, there, story)) is not None:
                run = known
            else:
                continue
        except RunExists:
            continue
        refs.release_snapshot(repo, story.begin["name"])
        _keep_long_output(repo, session, there)
        session.end()
        return run, there
    raise WriteFailed(f"every name for the run '{story.begin['name']}' is taken")


def _names(story: Story) -> Iterator[str]:
    """The run's name, then those it takes where somebody else's run came to it meanwhile.

    They follow from its id, so that whoever goes on after a crash finds the run under any of them.
    """
    begin = story.begin
    yield begin["name"]
    import hashlib

    for attempt in range(15):
        seed = f"{begin['id']} {attempt}".encode()
        yield names.generate(hashlib.sha256(seed).digest()[:6], begin.get("prefix"))


def _same_run(repo: Repo, there: RunRef, story: Story) -> Run | None:
    try:
        run = runs.load(repo, there)
    except GittrackError:
        return None
    return run if run.id == story.begin["id"] else None


def _remove_stale_locks(repo: Repo, experiment: str, name: str) -> None:
    """Remove the locks that a killed writer left on this run's own refs.

    Only who holds the run's session writes these refs, and that is us.
    """
    for ref in (f"{refs.ROOT}{experiment}/{name}", f"{refs.SNAPSHOTS}{name}"):
        (repo.common_dir / f"{ref}.lock").unlink(missing_ok=True)


def _write(repo: Repo, session: Session, story: Story, name: str) -> tuple[Run, RunRef]:
    log, size = record.read_log(session.directory / "output")
    run, rows = tell(story, log_size=size, last_sign=_last_sign(session.directory))
    text, hidden = secrets.mask_text(log) if log else (log, 0)
    if hidden:
        run = replace(run, faults=(*run.faults, f"masked {hidden} secrets in the output"))
    run = replace(_masked(run), name=name)
    ref = runs.write(
        repo,
        run,
        tree=story.begin["tree"],
        author=Identity(story.begin["user"], story.begin["email"]),
        rows=rows,
        log=text,
        sign=bool(story.begin.get("sign")),
    )
    return replace(run, commit=ref.commit), ref


def _masked(run: Run) -> Run:
    """The run without what looks like secrets in params, tags and message, and a fault for each.

    Wherever they came from: a file, an option, the script itself.
    """
    notes: list[str] = []
    params = {key: _masked_value(key, value, notes) for key, value in run.params.items()}
    tags = {key: _masked_value(key, value, notes) for key, value in run.tags.items()}
    message = run.message
    if message is not None and (found := secrets.mask_text(message.encode()))[1]:
        notes.append("the message")
        message = found[0].decode()
    if not notes:
        return run
    faults = (*run.faults, *(f"masked a secret in {note}" for note in dict.fromkeys(notes)))
    return replace(run, params=params, tags=tags, message=message, faults=faults)


def _masked_value(key: str, value: Value, notes: list[str]) -> Value:
    if isinstance(value, str):
        word = f"{key}={value}"
        masked = secrets.mask_argv([word])[0][0]
        if masked == word:
            return value
        notes.append(key)
        return masked[len(key) + 1 :] if masked.startswith(f"{key}=") else secrets.MASK
    if isinstance(value, list):
        return [_masked_value(key, item, notes) for item in value]
    if isinstance(value, Mapping):
        return {name: _masked_value(str(name), item, notes) for name, item in value.items()}
    return value


def _keep_long_output(repo: Repo, session: Session, ref: RunRef) -> None:
    """Set a whole output aside of which the record holds only parts."""
    whole = session.directory / "output"
    try:
        if whole.stat().st_size > record.LOG_LIMIT:
            kept = runs.whole_output(repo, ref)
            kept.parent.mkdir(exist_ok=True)
            os.replace(whole, kept)
    except OSError:
        # The record has what it promises; this is more than that.
        pass


def _last_sign(directory: Path) -> float:
    """The last moment (seconds since the epoch) at which anything of the run was written."""
    latest = 0.0
    for path in directory.iterdir():
        if path.name != "lock":
            latest = max(latest, path.stat().st_mtime)
    return latest


# -- what killed processes left ---------------------------------------------------------------


def recover(repo: Repo) -> list[RunRef]:
    """Record the runs whose recorder and command are both dead, each as it ended -> their refs.

    Safe at any time and from several processes at once. A run with a very long journal is left to
    a process of its own. Costs one look at a directory where there is nothing to recover.

    Raises:
        GittrackError: a lost run cannot be recorded now; it stays as it is, the others are
            recorded.
    """
    if not (repo.state / "live").is_dir():
        return []
    journal.discard_leftovers(repo.state)
    found = []
    failure: GittrackError | None = None
    for directory in journal.live(repo.state):
        if journal.size(directory) > _RECOVER_AT_ONCE and not os.environ.get("GITTRACK_RECOVER"):
            if journal.is_lost(directory):
                _recover_apart(repo)
            continue
        try:
            ref = _recover_one(repo, directory)
        except GittrackError as error:
            failure = failure or error
            continue
        if ref is not None:
            found.append(ref)
    if failure is not None:
        raise failure
    return found


def _recover_one(repo: Repo, directory: Path) -> RunRef | None:
    session = journal.adopt(directory)
    if session is None:
        return None
    repo.sync(repo.flag("track.fsync", default=True))
    try:
        with _undisturbed():
            return _finish(repo, session)[1]
    except OSError as error:
        raise WriteFailed(f"cannot record the lost run '{directory.name}': {error}") from error
    finally:
        session.release()


def _recover_apart(repo: Repo) -> None:
    import subprocess

    subprocess.Popen(
        [sys.executable, "-m", "gittrack", "-C", os.fspath(repo.git_dir), "ls", "-n", "0"],
        env={**os.environ, "GITTRACK_RECOVER": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def running(repo: Repo) -> list[Summary]:
    """The runs that have begun and are not recorded yet, with what they have logged so far.

    One whose processes are all dead, and which is being recovered, has status `killed`.
    """
    found = []
    for directory in journal.live(repo.state):
        story = journal.read(directory)
        if story is None:
            continue
        run, _ = tell(story, log_size=0, last_sign=story.begin["started"])
        status: Status = "killed" if journal.is_lost(directory) else "running"
        found.append(replace(runs.summarize(run), status=status, ended=None, exit_code=None))
    return found


def maintain(repo: Repo) -> None:
    """Let Git tidy up in the background when many loose objects have gathered, as `git gc --auto`.

    libgit2 never does. Git's own settings (`gc.auto`, `maintenance.auto`) decide.
    """
    try:
        # Git's own estimate: objects/17 holds one in 256 (gc.c, too_many_loose_objects).
        gathered = len(os.listdir(repo.common_dir / "objects" / "17"))
    except OSError:
        return
    if gathered > 27 and repo.flag("maintenance.auto", default=True):
        repo.spawn("maintenance", "run", "--auto", "--quiet")
