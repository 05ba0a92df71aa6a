"""The runs that this process began: kept alive, and ended with it, whatever it comes to.

Knows what a process does for its own runs, and how each end is told: a status, an exit code, an
output that holds the traceback. Knows nothing of how a run begins, nor of what is logged. Nothing
here raises into the program.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from gittrack import active, endings, notebooks, recovery, upkeep
from gittrack.active import Active
from gittrack.capture import Capture
from gittrack.errors import GittrackError
from gittrack.git import Repo
from gittrack.inheritance import hand_down, inherited
from gittrack.machine import Machine
from gittrack.outlet import Outlet
from gittrack.records import Run
from gittrack.refs import RunRef
from gittrack.sessions import Session
from gittrack.summaries import Status

__all__ = ["Life", "Pulse", "discard", "end", "take", "undivided"]

_BEAT = 1.0
_LAST_WAIT = 10.0
_MOST_NAMED = 3

_lock = threading.RLock()
"""Held while a run begins, beats or ends: libgit2's handles are for one thread at a time."""

_lives: dict[Path, Life] = {}
"""The runs that this process began and has to end, the oldest first."""

_outputs: dict[Path, Outlet] = {}
"""Where their output goes; forked children write there, too."""

_outside: str | None = None
"""What the environment named before the first run of this process."""

_clock: _Clock | None = None
_capture: Capture | None = None
_waits = False


class Pulse(Protocol):
    """What is due once a second while a run goes on (`heartbeat.Heartbeat`)."""

    def beat(self) -> None:
        """Do what is due."""

    def hold(self) -> None:
        """Keep the code of the run."""

    def finish(self) -> None:
        """Write down what there still is."""


def undivided() -> AbstractContextManager[object]:
    """What to hold while a run begins: none beats or ends in another thread meanwhile."""
    return _lock


class Life:
    """One run of this process, from its beginning to its record."""

    def __init__(
        self,
        repo: Repo,
        session: Session,
        entered: Active,
        *,
        pulse: Pulse,
        machine: Machine,
    ) -> None:
        """The run of `session`, which this process has `entered`.

        Raises:
            UsageError: `track.capture` or `track.quiet` is no truth value.
        """
        self.repo = repo
        self.session = session
        self.active = entered
        self.captures = repo.flag("track.capture", default=True)
        self.quiet = repo.flag("track.quiet", default=False)
        self._pulse = pulse
        self._machine = machine
        self.outlet = Outlet(session.write_output, self._trouble)
        self._unwatch = self._watched()

    def _watched(self) -> Callable[[], None]:
        """Keep the cells of the notebook that this is, those that ran and those to come."""
        notebook = notebooks.here()
        if notebook is None:
            return lambda: None
        self.active.append({"cells": [list(cell) for cell in notebook.cells()]})
        return notebook.watch(self._cell)

    def _cell(self, number: int, source: str) -> None:
        self.active.append({"cells": [[number, source]]})
        if _capture is not None:
            _capture.renew()

    def beat(self) -> None:
        """Once a second: what is due."""
        try:
            self.session.sync_output()
            self._machine.tell()
        except Exception:  # the outermost frame of a helper: the run itself goes on
            pass
        self._pulse.beat()

    def print(self, text: str) -> None:
        """Keep what this process printed. Raises nothing."""
        self.outlet.put(text.encode("utf-8", "backslashreplace"))

    def _trouble(self, sentence: str) -> None:
        active.complain(f"output: {sentence}")

    def end(
        self, status: Status, code: int | None, *, now: float, wait: bool
    ) -> tuple[Run, RunRef]:
        """Write down how it ended, and record it.

        Raises:
            OSError, GittrackError: it cannot be recorded now; it stays, for the next command.
        """
        self._unwatch()
        self._pulse.finish()
        if wait:
            self._machine.tell(wait=True)
        self._machine.forget()
        told: dict[str, object] = {"t": now, "end": [status, code]}
        lost = self.outlet.finish(_LAST_WAIT if wait else _BEAT)
        if lost:
            some = "1 piece of output is" if lost == 1 else f"{lost:,} pieces of output are"
            told["fault"] = f"{some} lost: the disk did not take them in time"
        self.session.keep_end(told)
        active.leave(self.active)
        if self.active.lost:
            # Where a disk is full, there is no other room.
            self.session.keep_end({**told, "dropped": self.active.lost})
        return recovery.finish(self.repo, self.session)

    def vanish(self) -> None:
        """Leave nothing of it: it was never meant to be."""
        self._unwatch()
        self.outlet.finish(0)
        active.leave(self.active)
        self._machine.forget()
        self.session.end()

    def give_up(self) -> None:
        """Leave it to the next command: its code held, its directory as it is."""
        self.outlet.finish(0)
        active.leave(self.active)
        self._machine.forget()
        self._pulse.hold()
        self.session.release()


def take(life: Life) -> None:
    """Have the process take care of a run: from here on its end is the run's end."""
    global _clock, _capture, _outside
    directory = life.session.directory
    if not _lives:
        _outside = inherited()
        endings.watch(_die, _flush)
        _at_exit()
    _lives[directory] = life
    hand_down(os.fspath(directory))
    if life.captures:
        _outputs[directory] = life.outlet
        _capture = _capture or Capture(_heard)
    if _clock is None:
        _clock = _Clock()


def _dismiss(life: Life) -> None:
    """The process has one run less to take care of; `_release` follows when that is recorded."""
    global _clock, _capture
    directory = life.session.directory
    _lives.pop(directory, None)
    _outputs.pop(directory, None)
    if inherited() == os.fspath(directory):
        hand_down(os.fspath([*_lives][-1]) if _lives else _outside)
    if not _outputs and _capture is not None:
        _capture.stop()
        _capture = None
    if not _lives and _clock is not None:
        _clock.stop()
        _clock = None


def _release() -> None:
    """With the last run, the process ends as if we had never watched it.

    Not before that run is recorded: a signal is held back in the main thread alone, and by default
    it kills whichever thread gets it.
    """
    if not _lives:
        endings.unwatch()


class _Clock:
    """The thread in which the runs of this process beat, once a second."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        thread = threading.Thread(target=self._beat, name="gittrack-heartbeat", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No more threads, as while the interpreter exits: the run goes on without signs.
            return

    def stop(self) -> None:
        """Beat no more; does not wait."""
        self._stopped.set()

    def _beat(self) -> None:
        while not self._stopped.wait(_BEAT):
            with _lock:
                lives = [] if self._stopped.is_set() else [*_lives.values()]
                for life in lives:
                    life.beat()


def _heard(text: str) -> None:
    """Keep what was printed in the output of the run that printed it."""
    now = active.current()
    outlet = None if now is None else _outputs.get(now.directory)
    if outlet is not None:
        outlet.put(text.encode("utf-8", "backslashreplace"))


# -- ending ---------------------------------------------------------------------------------------


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
    now = time.time()
    with _lock:
        life = _lives.get(ended.directory)
        if life is None or life.active is not ended:
            _part(ended, status, error)
            return None
        with endings.deferred(interrupts=True):
            return _close(life, *_verdict(status, exit_code, error), error, now=now)


def discard(begun: Active) -> None:
    """Take back a run that this process has just begun: nothing of it stays."""
    with _lock:
        life = _lives.get(begun.directory)
        if life is not None and life.active is begun:
            _dismiss(life)
            _release()
            life.vanish()


def _part(joined: Active, status: Status | None, error: BaseException | None) -> None:
    if joined.ended:
        return
    said, _ = _verdict(status, None, error)
    if status is not None or said != "finished":
        try:
            joined.append({"status": said})
        except GittrackError:
            pass  # it is over, and what the run's own end was counts
    active.leave(joined)


def _close(
    life: Life,
    status: Status,
    code: int | None,
    error: BaseException | None,
    *,
    now: float,
    wait: bool = True,
) -> RunRef | None:
    try:
        if error is not None:
            _print_error(life, error)
        _dismiss(life)
        with recovery.undisturbed():
            run, ref = life.end(status, code, now=now, wait=wait)
    except KeyboardInterrupt:
        life.give_up()
        return None
    except Exception as failure:  # the outermost frame: whoever ends a run goes on
        life.give_up()
        _say_waiting(life, failure)
        return None
    finally:
        _release()
    if not life.quiet:
        from gittrack.cells import closing

        for line in (closing(run), *_faults(run)):
            _say(line)
    upkeep.maintain(life.repo)
    return ref


def _faults(run: Run) -> list[str]:
    """What the user should know of a run, as `git track run` says it; less what was said."""
    from gittrack.quoting import one_line

    new = [f"  {one_line(fault)}" for fault in run.faults if not active.has_said(fault)]
    more = len(new) - _MOST_NAMED
    tail = [f"  {more} more: git track show {run.name}"] if more > 0 else []
    return [*new[:_MOST_NAMED], *tail]


def _verdict(
    status: Status | None, code: int | None, error: BaseException | None
) -> tuple[Status, int | None]:
    """How a run ended, and with which exit code."""
    if status is not None:
        codes: dict[str, int | None] = {"finished": 0, "failed": 1, "killed": None}
        return status, codes[status] if code is None else code
    if isinstance(error, SystemExit):
        code = _code_of(error)
    elif isinstance(error, KeyboardInterrupt):
        return "killed", 130
    elif error is not None and not isinstance(error, GeneratorExit):
        code = 1
    return ("failed", code) if code else ("finished", 0)


def _code_of(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


def _print_error(life: Life, error: BaseException) -> None:
    """Put the traceback into the output, unless it was printed there."""
    if isinstance(error, GeneratorExit):
        return
    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            life.print(f"{error.code}\n")
        return
    printed = error is getattr(sys, "last_value", None)
    if printed and life.captures and _capture is not None and _capture.hears(sys.stderr):
        return
    import traceback

    life.print("".join(traceback.format_exception(error)))


def _say_waiting(life: Life, failure: Exception) -> None:
    if isinstance(failure, GittrackError):
        reason = failure.message
    elif isinstance(failure, OSError):
        reason = f"cannot write: {failure.strerror}"
    else:
        reason = f"{type(failure).__name__}: {failure}"
    _say(f"gittrack: {recovery.waiting(life.repo, life.active.name, reason).message}")


def _say(line: str) -> None:
    """Say it on stderr, if there is one: a terminal may have gone. No run's output has it."""
    try:
        with nullcontext() if _capture is None else _capture.unheard():
            print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError, RuntimeError):
        pass  # closed, none, or in the midst of another write when a signal came


# -- the end of the process -----------------------------------------------------------------------


def _at_exit() -> None:
    """See to it that our runs end with the process, also where multiprocessing leaves it."""
    global _waits
    if _waits:
        return
    _waits = True
    atexit.register(_end_all)
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        # Its children leave by `os._exit`, after calling this.
        from multiprocessing.util import Finalize

        Finalize(None, _end_all, exitpriority=100)


def _end_all() -> None:
    """The process leaves: end its runs, the innermost first."""
    error = endings.reason()
    by_keyboard = isinstance(error, KeyboardInterrupt)
    try:
        _join_children()
    except KeyboardInterrupt as interrupt:
        error = error or interrupt
    for life in [*_lives.values()][::-1]:
        try:
            end(life.active, error=error)
        except KeyboardInterrupt:
            # It came while this one was recorded, and was held back until then.
            continue
    if by_keyboard:
        endings.interrupted()


def _join_children() -> None:
    """Wait for the processes that multiprocessing would wait for after us: they may still log."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is None or not _lives:
        return
    for child in multiprocessing.active_children():
        if not child.daemon:
            child.join()


def _die(signum: int) -> None:
    """The process is about to die of a signal: record its runs first."""
    now = time.time()
    # A second one waits, too.
    with _lock, endings.deferred():
        for life in [*_lives.values()][::-1]:
            _close(life, "killed", 128 + signum, None, now=now, wait=False)


def _flush() -> None:
    """A signal came, and what comes of it is not ours to say: what was logged gets to the disk."""
    for life in [*_lives.values()]:
        life.active.flush()


def _forget() -> None:
    """A forked child has begun no run: its parent's are its parent's, who ends them."""
    global _lock, _clock, _waits
    _lock = threading.RLock()
    for outlet in _outputs.values():
        outlet.renew()
    _lives.clear()
    _clock = None
    _waits = False


os.register_at_fork(after_in_child=_forget)
