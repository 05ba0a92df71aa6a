"""A child process that behaves as if we were not there, while we keep a copy of what it prints.

Knows children and signals, and nothing of runs, files or Git. The child stays in our session and
process group and reads our own standard input, so the kernel gives it the keyboard's signals, job
control and prompts directly. Only what it prints takes a detour (`channels`): through one
pseudo-terminal (`terminal`) where we print to a terminal, through a pipe where we do not.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from gittrack.channels import Channel, destination, standard_descriptors_taken, wait
from gittrack.errors import CommandNotStarted
from gittrack.terminal import Terminal, in_foreground

__all__ = ["Exit", "die_as", "run"]

_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_STOPS = (signal.SIGTSTP, signal.SIGTTIN)
_NEWS = (signal.SIGCHLD, signal.SIGCONT, signal.SIGWINCH)

_PATIENCE = 1.0
"""Seconds that whoever reads our output gets when the child has ended after a signal to us."""


class Exit(NamedTuple):
    """How the child ended.

    `code` is what a shell shows: 128 + n after signal n. `signal` is n when the child died of it,
    or exited with 128 + n after n had reached us too. `seen` are the signals that reached us, each
    once, in order of first arrival. `foreground`: at the end we were the terminal's foreground
    group. `undelivered` counts bytes that our own stdout or stderr did not take (disk full,
    terminal gone, reader gone); `on_output` had them all the same. `refusal` is the errno of why,
    None where only readers left, or did not read in time.
    """

    code: int
    signal: int | None
    seen: tuple[int, ...]
    foreground: bool
    undelivered: int = 0
    refusal: int | None = None


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | None = None,
    on_output: Callable[[bytes, int], None],
    on_tick: Callable[[], None] | None = None,
    tick: float = 1.0,
    on_start: Callable[[int], None] | None = None,
) -> Exit:
    """Run `argv` to its end, its output passed on at once and given to `on_output` in order.

    A program without a slash is looked up in the PATH of `env`, seen from `cwd`. `on_output` gets
    the bytes and 1 or 2; where both streams go to the same place they are one, and it is 1. A
    closed stream stays closed. `on_start` gets the child's pid. `on_tick` is called every
    `tick` seconds. A callback that raises is not called again: the child is served to its end, then
    the exception is raised.

    Meanwhile SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 go on to the child; SIGINT, SIGQUIT and SIGTSTP
    too, unless they come from the keyboard, whose signals the kernel has given to the child
    already. None of them ends us while the child lives. We stop when the child stops. What was
    ignored before stays ignored, here and in the child.

    In the foreground each SIGINT and SIGQUIT is taken for the keyboard's, so `kill -INT` of us
    alone does not reach the child then; SIGTERM does. They cannot be told apart: the `git` above
    us sends us the keyboard's SIGINT once more, just as `kill` would. It may come late: a signal
    of the keyboard's that reached us stays without effect after the return, until `die_as`.

    The child's terminal settings (made on its stdout, as curses does) reach the real terminal, and
    are taken back at the end. Output of a process that outlives the child is not waited for.

    For the main thread only, because Python handles signals there.

    Raises:
        CommandNotStarted: the program is not found (127), or is but cannot be executed (126).
        OSError: we may open no more files, or start no more processes.
        ValueError: called outside the main thread.
    """
    with ExitStack() as stack:
        stack.enter_context(standard_descriptors_taken())
        relay = _Relay(_Callbacks(on_output, on_tick, on_start), tick)
        stack.enter_context(relay.listening())
        stack.callback(relay.close)
        relay.start(argv, env, cwd)
        return relay.serve()


def die_as(exit: Exit) -> int:
    """Die of the keyboard's SIGINT or SIGQUIT if the child did; otherwise return its exit code.

    A shell stops its `for` loop only when the command died of the signal. The rest of our process
    group has had the signal from the terminal: nobody else is sent one. Flushes Python's stdout
    and stderr, runs no `finally` and no `atexit`, leaves no core file of ours.
    """
    if exit.signal in _KEYBOARD and exit.foreground:
        import resource

        for file in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                file.flush()
        with suppress(OSError, ValueError):
            resource.setrlimit(
                resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
            )
        signal.signal(exit.signal, signal.SIG_DFL)
        os.kill(os.getpid(), exit.signal)
    return exit.code


class _Callbacks:
    """The caller's functions; the first exception of one is kept until the child has ended."""

    def __init__(
        self,
        on_output: Callable[[bytes, int], None],
        on_tick: Callable[[], None] | None,
        on_start: Callable[[int], None] | None,
    ) -> None:
        self._functions: dict[str, Callable[..., None] | None] = {
            "output": on_output,
            "tick": on_tick,
            "start": on_start,
        }
        self.fault: BaseException | None = None

    def call(self, name: str, *args: object) -> None:
        function = self._functions[name]
        if function is None:
            return
        try:
            function(*args)
        except BaseException as error:  # the child must not suffer from a fault of its recorder
            self._functions[name] = None
            self.fault = self.fault or error


class _Relay:
    """One child, its channels, and the signals that reach us meanwhile."""

    def __init__(self, callbacks: _Callbacks, tick: float) -> None:
        self._callbacks = callbacks
        self._tick = tick
        self._tick_at = time.monotonic() + tick
        self._pid: int | None = None
        self._status: int | None = None
        self._halted: int | None = None
        self._stop_along = False
        self._continued = False
        self._resized = False
        self._abandoned = False
        self._give_up_at: float | None = None
        self._early: list[int] = []
        self._seen: list[int] = []
        self._channels: list[Channel] = []
        self._terminals: list[Terminal] = []
        self._childs: list[int] = []
        self._wake = -1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle signals here from now on, and give them back at the end."""
        self._wake, sender = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(sender, False)
        before: dict[int, Any] = {}
        try:
            waker = signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
        except ValueError:
            os.close(self._wake)
            os.close(sender)
            raise
        try:
            before[signal.SIGPIPE] = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            for number in (*_NEWS, *_KEYBOARD, *_PASSED_ON, *_STOPS):
                if number in _NEWS or signal.getsignal(number) != signal.SIG_IGN:
                    before[number] = signal.signal(number, self._hear)
            yield
        finally:
            for heard, handler in before.items():
                if heard in _KEYBOARD and heard in self._seen and self._ended_in_foreground():
                    handler = _unheard
                # A handler that Python did not install reads as None and cannot be put back.
                signal.signal(heard, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(waker)
            os.close(self._wake)
            os.close(sender)

    def _ended_in_foreground(self) -> bool:
        return self._status is not None and in_foreground()

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        """Answer a signal. Runs between any two instructions, also within a blocking write."""
        if number == signal.SIGWINCH:
            self._resized = True
        elif number == signal.SIGCONT:
            self._continued = True
            self._stop_along = False
        elif number != signal.SIGCHLD:
            self._answer(number)

    def _answer(self, number: int) -> None:
        if number not in _STOPS and number not in self._seen:
            self._seen.append(number)
        if self._pid is None:
            self._early.append(number)
        elif self._status is not None:
            self._abandoned = self._abandoned or number not in _STOPS
        elif number in _PASSED_ON or (number != signal.SIGTTIN and not in_foreground()):
            self._send(number)

    def _send(self, number: int) -> None:
        if self._pid is not None and self._status is None:
            with suppress(OSError):  # ended already, or another user's now
                os.kill(self._pid, number)

    def start(self, argv: Sequence[str], env: Mapping[str, str], cwd: str | None) -> None:
        """Start the child. A signal that came before is sent after, whoever sent it: even the
        keyboard cannot have reached a child that was not there."""
        ends = self._open_channels()
        try:
            # The caller's inheritable descriptors, such as bash's <(...), are the child's too.
            child = subprocess.Popen(
                argv, env=env, cwd=cwd, stdout=ends.get(1), stderr=ends.get(2), close_fds=False
            )
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN):
                raise  # a limit of ours, which says nothing of the program
            raise _not_started(error, argv[0], cwd) from error
        finally:
            for end in self._childs:
                os.close(end)
            self._childs = []
        child.returncode = 0  # we wait for it ourselves
        self._pid = child.pid
        early, self._early = self._early, []
        for number in early:
            self._send(number)
        self._callbacks.call("start", child.pid)

    def _open_channels(self) -> dict[int, int]:
        """Open the ways for stdout and stderr; the result maps 1 and 2 to the child's ends."""
        ends: dict[int, int] = {}
        places: dict[object, int] = {}
        for target, file in ((1, sys.__stdout__), (2, sys.__stderr__)):
            place = None if file is None else destination(target)
            if place is not None:
                if place not in places:
                    places[place] = self._open_channel(target)
                ends[target] = places[place]
        return ends

    def _open_channel(self, target: int) -> int:
        """Open the way to our own descriptor `target`, and return the child's end of it."""
        output = partial(self._callbacks.call, "output")
        if os.isatty(target):
            with suppress(OSError):  # no pseudo-terminal to be had: a pipe must do
                terminal = Terminal(target)
                self._terminals.append(terminal)
                self._channels.append(Channel(terminal.master, target, output, terminal))
                return terminal.slave
        source, end = os.pipe()
        os.set_blocking(source, False)
        self._childs.append(end)
        self._channels.append(Channel(source, target, output, None))
        return end

    def close(self) -> None:
        """Close all channels, and give the terminal back as it was."""
        for channel in self._channels:
            channel.close()
        for terminal in self._terminals:
            if in_foreground():
                terminal.restore()
            os.close(terminal.slave)

    def serve(self) -> Exit:
        """Carry output and signals until the child has ended and its output is passed on."""
        self._reap()
        while self._status is None or not all(channel.over for channel in self._channels):
            self._turn()
        if self._callbacks.fault is not None:
            raise self._callbacks.fault
        return self._exit(self._status)

    def _turn(self) -> None:
        ready = self._wait()
        if self._wake in ready:
            with suppress(BlockingIOError):
                os.read(self._wake, 65536)
        self._reap()
        self._react()
        for channel in self._channels:
            channel.step(ready)
        self._tick_if_due()
        if self._stop_along:
            self._stop()

    def _wait(self) -> Collection[int]:
        """Sleep until a descriptor is ready, a signal came, or a tick is due."""
        open_channels = [channel for channel in self._channels if channel.source is not None]
        reads = [self._wake]
        reads += [c.source for c in open_channels if c.source is not None and not c.pending]
        writes = [channel.target for channel in self._channels if channel.pending]
        watched = [c.target for c in open_channels if c.fifo and not c.pending]
        return wait(reads, writes, watched, self._timeout())

    def _timeout(self) -> float:
        if any(channel.eager for channel in self._channels):
            return 0
        due = self._tick_at if self._give_up_at is None else min(self._tick_at, self._give_up_at)
        return max(0.0, due - time.monotonic())

    def _reap(self) -> None:
        """Learn what became of the child: stopped, continued or ended."""
        while self._status is None and self._pid is not None:
            flags = os.WNOHANG | os.WUNTRACED | os.WCONTINUED
            pid, status = os.waitpid(self._pid, flags)
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                self._halted = os.WSTOPSIG(status)
                # SIGTTOU has stopped us as well; SIGSTOP was meant for the child alone.
                self._stop_along = self._halted in _STOPS
            elif os.WIFCONTINUED(status):
                self._halted = None
                self._stop_along = False
            else:
                self._status = status
                if self._seen:
                    self._give_up_at = time.monotonic() + _PATIENCE
                for channel in self._channels:
                    channel.ending = True

    def _react(self) -> None:
        """Do what the signals since the last turn ask for."""
        late = self._give_up_at is not None and time.monotonic() >= self._give_up_at
        if self._abandoned or late:
            for channel in self._channels:
                channel.abandon()
        if self._continued:
            self._continued = False
            self._continue()
        if self._resized:
            self._resized = False
            self._resize()

    def _resize(self) -> None:
        # The kernel told the whole group before the size was here, so tell it again. We hear it
        # too, and find nothing new.
        if sum(terminal.resize() for terminal in self._terminals):
            os.killpg(os.getpgrp(), signal.SIGWINCH)

    def _stop(self) -> None:
        """Stop as the child did, when what it printed last is out, so that the shell sees it."""
        for channel in self._channels:
            channel.drain()
        if self._stop_along and self._halted is not None:
            self._stop_along = False
            number = signal.Signals(self._halted)
            handler = signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            signal.signal(number, handler)

    def _continue(self) -> None:
        self._reap()
        if self._halted is not None:
            self._send(signal.SIGCONT)
        if self._terminals and in_foreground():
            for terminal in self._terminals:
                terminal.again()
        self._resize()

    def _tick_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick_at = now + self._tick
            self._callbacks.call("tick")

    def _exit(self, status: int) -> Exit:
        seen = tuple(self._seen)
        if os.WIFSIGNALED(status):
            number: int | None = os.WTERMSIG(status)
            code = 128 + os.WTERMSIG(status)
        else:
            code = os.WEXITSTATUS(status)
            number = code - 128 if code - 128 in seen else None
        undelivered = sum(channel.undelivered for channel in self._channels)
        refusal = next((c.refusal for c in self._channels if c.refusal is not None), None)
        return Exit(code, number, seen, in_foreground(), undelivered, refusal)


def _unheard(_number: int, _frame: FrameType | None) -> None:
    """Answer a signal by nothing; unlike one that is ignored, it is not ignored by children."""


def _not_started(error: OSError, program: str, cwd: str | None) -> CommandNotStarted:
    """Say why `program` could not be executed, with the exit code that a shell would give."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if cwd is not None and not os.path.isdir(cwd):
        message = f"cannot start '{program}' in '{cwd}': {reason}"
        return CommandNotStarted(message, exit_code=126)
    path = os.path.join(cwd or "", program)
    if error.errno == errno.ENOENT and not ("/" in program and os.path.exists(path)):
        return CommandNotStarted(
            f"command '{program}' not found", exit_code=127, hint=_not_found_hint(program, path)
        )
    if error.errno == errno.ENOENT:
        hint = "The program that its first line names, or its loader, is not there."
        return CommandNotStarted(f"cannot execute '{program}'", exit_code=126, hint=hint)
    return CommandNotStarted(
        f"cannot execute '{program}': {reason}", exit_code=126, hint=_refused_hint(error, path)
    )


def _not_found_hint(program: str, path: str) -> str:
    if "/" in program:
        return "No such file. Relative paths start in the directory of the command."
    if os.path.isfile(path):
        start = f"python {program}" if program.endswith(".py") else f"./{program}"
        return f"A file of that name is here: start it as '{start}'."
    return f"PATH has no such program. 'type {program}' in your shell tells if it is an alias."


def _refused_hint(error: OSError, path: str) -> str | None:
    if os.path.isdir(path):
        return "It is a directory."
    if error.errno == errno.ENOEXEC:
        return "A script needs a first line such as '#!/bin/sh', or its interpreter before it."
    if error.errno == errno.EACCES and path.endswith(".py"):
        return f"Start it as 'python {path}', or make it executable: chmod +x {path}"
    if error.errno == errno.EACCES:
        return f"Make it executable: chmod +x {path}"
    return None
