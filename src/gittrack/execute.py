"""Execute the command of a run, write down what happens, and have it recorded.

Knows the order in which things happen, so that a run exists whole or not at all and nothing that
was logged is lost. Prints nothing but the child's own output.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gittrack import environment
from gittrack.environment import Pending
from gittrack.errors import GittrackError, WriteFailed
from gittrack.git import Repo
from gittrack.heartbeat import Heartbeat
from gittrack.journal import RUN_VARIABLE, Writer
from gittrack.machine import Machine
from gittrack.meter import SILENT, Meter
from gittrack.outset import Request, Reused, begin, prepare
from gittrack.owner import Owner
from gittrack.process import Exit
from gittrack.process import run as run_process
from gittrack.quoting import command_line, one_line
from gittrack.records import Data, Row, Run, Snapshot
from gittrack.recovery import finish, signs, undisturbed, waiting
from gittrack.refs import RunRef
from gittrack.scanner import Scanner
from gittrack.sessions import Session
from gittrack.summaries import Status

__all__ = [
    "Outcome",
    "Request",
    "command",
]


class Outcome(NamedTuple):
    """A recorded run, how its command ended, and sentences that the user should read.

    `reused`: the run is an earlier one that did the same, and the command was not started; the
    artifacts called `restored` are back where the command would have written them.
    """

    run: Run
    ref: RunRef
    exit: Exit
    snapshot: Snapshot
    notices: tuple[str, ...]
    reused: bool = False
    restored: tuple[str, ...] = ()


# -- a command, from its start to its record ----------------------------------------------------


def command(
    repo: Repo,
    request: Request,
    *,
    now: Callable[[], float] = time.time,
    random: Callable[[int], bytes] = os.urandom,
    meter: Meter = SILENT,
) -> Outcome:
    """Execute a command and record it as a run, however it ends.

    The code is stored before the command starts. From then on the run is on disk: if this process
    is killed, the next one to call `recover` records it. The child's signals, terminal and exit
    code are its own (`process.run`). `meter` is told about long hashing and copying.

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
    begun = begin(repo, request, prepare(repo, request), now=now, random=random, meter=meter)
    if isinstance(begun, Reused):
        exit = Exit(0, None, (), False)
        return Outcome(
            begun.run,
            begun.ref,
            exit,
            begun.snapshot,
            begun.notices,
            reused=True,
            restored=begun.restored,
        )
    session, known, taken = begun.session, begun.known, begun.snapshot
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
                env=_environ(repo, request, session),
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
    offered = recorder.gather(meter)
    with undisturbed():
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
    notices = [
        *begun.notices,
        *_notices(taken),
        *_not_kept(repo, run, request, taken),
        *offered,
        *run.faults,
    ]
    return Outcome(run, ref, ended, taken, tuple(notices))


def _scans(repo: Repo) -> bool:
    return repo.flag("track.scan", default=True)


def _not_kept(repo: Repo, run: Run, request: Request, taken: Snapshot) -> list[str]:
    """A sentence about data whose hash is all that there will be of it."""
    if not run.data:
        return []
    from gittrack import setup
    from gittrack.cache import open_cache

    found = setup.read(repo)
    cache = open_cache(repo, found)
    lost = [
        item
        for item in run.data
        if (item.pointer is None or item.modified)
        and repo.entry(taken.tree, item.path) is None
        and not cache.holds(item.md5)
    ]
    if not lost:
        return []
    first, more = lost[0], f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    how = "not what DVC has" if first.modified else "not under DVC"
    are, its = ("are", "their") if more else ("is", "its")
    way = _way_to_keep(repo, first, request.directory, known=found.directory is not None)
    name = one_line(first.path)
    return [f"'{name}'{more} {are} {how}: {its} hash is kept, {its} content is not{way}"]


def _way_to_keep(repo: Repo, item: Data, directory: Path, *, known: bool) -> str:
    """What to type, from where the user stands; nothing where DVC would refuse."""
    if os.path.isabs(item.path) or repo.root is None:
        return ""
    path = os.path.relpath(os.path.realpath(repo.root / item.path), os.path.realpath(directory))
    command = f"dvc add {command_line([path])}"
    return f" (keep it: {command})" if known else f" (keep it: git track init, then {command})"


def _environ(repo: Repo, request: Request, session: Session) -> dict[str, str]:
    """The child's environment: ours, and where its run is."""
    env = {**os.environ, RUN_VARIABLE: os.fspath(session.directory)}
    if request.trace:
        from gittrack import trace

        env |= trace.environment(env, session.directory, trace.roots(repo))
    return env


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
        self._machine = Machine(repo, known["tree"], pending, self._write)
        patterns = known.get("scans", ())
        self._scanners = {stream: Scanner(patterns) for stream in (1, 2)} if scan else {}
        self._now = now
        self.began = False
        self._heart = Heartbeat(repo, session, known, self._append, now=now)
        self._full = False
        self._missed = 0

    def started(self, pid: int) -> None:
        """Remember the child, so that nobody takes the run for lost while it lives."""
        self.began = True
        owner = Owner.of(pid)
        self._append({"child": [owner.pid, owner.start, owner.boot]})
        self._heart.watch(pid)
        self._tell_machine()

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
        """Once a second: flush to the disk, and do what keeps the run alive in others' eyes."""
        self._tell_machine()
        try:
            self._session.sync_output()
            self.writer.sync()
        except OSError:
            pass
        self._heart.beat()

    def hold(self) -> None:
        """Keep the code from `git gc --prune=now`, as far as that is possible."""
        self._heart.hold()

    def ended(self, ended: Exit) -> None:
        """Write down how the child ended."""
        for scanner in self._scanners.values():
            self._rows(scanner.close(self._now()))
        troubles = [said for scanner in self._scanners.values() for said in scanner.troubles()]
        for said in dict.fromkeys(troubles):
            self._append({"fault": said})
        self._heart.finish()
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

    def gather(self, meter: Meter) -> tuple[str, ...]:
        """Write down what was read and kept -> sentences about what could have been.

        Ctrl-C ends this, and the run is recorded without the rest.
        What fails here, `recovery.finish` does again, and says why it cannot.
        """
        if not any(self._known.get(key) for key in ("outs", "data", "trace")):
            return ()
        from gittrack import harvest

        try:
            return harvest.gather(self._repo, self._session.directory, meter=meter)
        except (OSError, GittrackError, KeyboardInterrupt):
            return ()

    def close(self) -> None:
        """Complete the journal, waiting for what is still being found out.

        Raises:
            OSError: it cannot be written, the disk being full.
        """
        self._machine.tell(wait=True)
        self.writer.close()

    def _tell_machine(self) -> None:
        try:
            self._machine.tell()
        except OSError:
            # The disk is full; the next second, or the end, tries again.
            return

    def _rows(self, found: Sequence[Row]) -> None:
        for row in found:
            self._append(
                {"t": row.time, "metrics": dict(row.values), "step": row.step, "scan": True}
            )

    def _write(self, event: Mapping[str, Any]) -> None:
        self.writer.append({"t": self._now(), **event})

    def _append(self, event: Mapping[str, Any]) -> None:
        try:
            self._write(event)
        except OSError:
            # The disk is full: the command goes on, and what was written stays.
            self._missed += 1


def _status(ended: Exit) -> Status:
    if ended.signal is not None:
        return "killed"
    return "finished" if ended.code == 0 else "failed"


def _notices(taken: Snapshot) -> tuple[str, ...]:
    named = [*taken.code.skipped, *taken.code.hidden]
    if not named:
        return ()
    shown = ", ".join(f"{item.path} ({item.reason})" for item in named[:3])
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return (f"not in the snapshot: {shown}{more}",)
