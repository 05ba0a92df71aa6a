"""A child process that behaves as if we were not there, while we keep a copy of what it prints.

Knows descriptors, terminals and signals, and nothing of runs, files or Git. The child stays in our
session and process group and reads our own standard input, so the kernel gives it the keyboard's
signals, job control and prompts directly. Only what it prints takes a detour: through one
pseudo-terminal where we print to a terminal, through a pipe where we do not.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from gittrack.errors import CommandNotStarted

__all__ = ["Exit", "die_as", "run"]

_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_STOPS = (signal.SIGTSTP, signal.SIGTTIN)
_NEWS = (signal.SIGCHLD, signal.SIGCONT, signal.SIGWINCH)

_CHUNK = 65536
_LEFTOVER = 1 << 20
"""What is read after the child's end at most: no pipe or terminal holds more of the child's."""

_PATIENCE = 1.0
"""Seconds that whoever reads our output gets when the child has ended after a signal to us."""

_TIOCPKT_STATUS = b"\0"
_EXTPROC = {"linux": 0o200000, "darwin": 0x800}.get(sys.platform, 0)

Modes = tuple[int, int, int, tuple[bytes | int, ...]]
"""Input, output and local flags and control characters, as termios has them."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How the child ended.

    `code` is what a shell shows: 128 + n after signal n. `signal` is n when the child died of it,
    or exited with 128 + n after n had reached us too. `seen` are the signals that reached us, each
    once, in order of first arrival. `foreground`: at the end we were the terminal's foreground
    group. `undelivered` counts bytes that our own stdout or stderr did not take (disk full,
    terminal gone, reader gone); `on_output` had them all the same.
    """

    code: int
    signal: int | None
    seen: tuple[int, ...]
    foreground: bool
    undelivered: int = 0


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
    closed stream stays closed. `on_start` gets the child's pid. `on_tick` is called `tick` seconds
    after output arrived, and not while there is none. A callback that raises is not called again:
    the child is served to its end, then the exception is raised.

    Meanwhile SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 go on to the child; SIGINT, SIGQUIT and SIGTSTP
    too, unless they come from the keyboard, whose signals the kernel has given to the child
    already. None of them ends us while the child lives. We stop when the child stops. What was
    ignored before stays ignored, here and in the child.

    The child's terminal settings (made on its stdout, as curses does) reach the real terminal, and
    are taken back at the end. Output of a process that outlives the child is not waited for.

    For the main thread only, because Python handles signals there.

    Raises:
        CommandNotStarted: the program is not found (127), or is but cannot be executed (126).
        ValueError: called outside the main thread.
    """
    with ExitStack() as stack:
        stack.enter_context(_standard_descriptors_taken())
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


class _Terminal:
    """The pseudo-terminal that stands in for the terminal on descriptor `real`.

    It starts with the real one's settings, except that it changes no byte of the output: the real
    terminal maps newlines. Nothing is ever typed into it, so its echo flag may stay as it is, and
    a child that clears it is noticed.
    """

    def __init__(self, real: int) -> None:
        import fcntl
        import struct
        import termios

        self.real = real
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        attributes = termios.tcgetattr(real)
        self._maps_output = bool(attributes[1] & termios.OPOST)
        attributes[1] &= ~termios.OPOST
        # With EXTPROC and packet mode the master is told of each tcsetattr; nothing else changes.
        attributes[3] |= _EXTPROC
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        fcntl.ioctl(self.master, termios.TIOCPKT, struct.pack("i", 1))
        self.unsettled = 0
        self._size = b""
        self.resize()
        self._first = self._last = self._modes()

    def _modes(self) -> Modes:
        """Return what the child wants of the terminal, our own changes taken out."""
        import termios

        iflag, oflag, _, lflag, _, _, cc = termios.tcgetattr(self.slave)
        # OPOST is ours, so a child that clears it is known by all else that cfmakeraw clears.
        cooked = lflag & (termios.ICANON | termios.ISIG | termios.IEXTEN) or iflag & termios.ICRNL
        oflag &= ~termios.OPOST
        if self._maps_output and cooked:
            oflag |= termios.OPOST
        return iflag, oflag, lflag & ~_EXTPROC, tuple(cc)

    def changed(self) -> None:
        """Follow a change now, or after what is readable now.

        The news overtakes the output written before, and nobody knows how much of the output came
        after. A child that gives the mapping of newlines back is about to print plain lines; one
        that takes it away has printed plain lines.
        """
        if self._modes()[1] & ~self._last[1]:
            self.follow()
        else:
            self.unsettled = _CHUNK

    def passed(self, count: int) -> None:
        """Count output, so that a child that never pauses has its settings followed as well."""
        if self.unsettled or not _EXTPROC:
            self.unsettled -= count
            if self.unsettled <= 0:
                self.follow()

    def follow(self) -> None:
        """Do to the real terminal what the child did to this one since the last look."""
        import termios

        self.unsettled = 0
        now = self._modes()
        before, self._last = self._last, now
        self._impose(before, now)
        attributes = termios.tcgetattr(self.slave)
        if attributes[1] & termios.OPOST or attributes[3] & _EXTPROC != _EXTPROC:
            attributes[1] &= ~termios.OPOST
            attributes[3] |= _EXTPROC
            termios.tcsetattr(self.slave, termios.TCSANOW, attributes)

    def again(self) -> None:
        """Make the real terminal once more what the child made it: a shell may have reset it."""
        self._impose(self._first, self._last)

    def restore(self) -> None:
        """Take back what the child changed through us and left changed."""
        self._impose(self._last, self._first)

    def _impose(self, before: Modes, after: Modes) -> None:
        """Set in the real terminal what differs between the two, and nothing else."""
        import termios

        if before == after:
            return
        with suppress(termios.error):  # the terminal is gone, or not ours any more
            real = termios.tcgetattr(self.real)
            real[0] ^= (real[0] ^ after[0]) & (before[0] ^ after[0])
            real[1] ^= (real[1] ^ after[1]) & (before[1] ^ after[1])
            real[3] ^= (real[3] ^ after[2]) & (before[2] ^ after[2])
            for i, (old, new) in enumerate(zip(before[3], after[3], strict=True)):
                if old != new:
                    real[6][i] = new
            termios.tcsetattr(self.real, termios.TCSANOW, real)

    def resize(self) -> bool:
        """Take over the real terminal's size in characters and pixels; tell whether it is new."""
        import fcntl
        import termios

        with suppress(OSError):
            size = fcntl.ioctl(self.real, termios.TIOCGWINSZ, bytes(8))
            if size != self._size:
                fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
                self._size = size
                return True
        return False


class _Channel:
    """The way of one stream: from the descriptor `source` to our own descriptor `target`."""

    def __init__(
        self, source: int, target: int, callbacks: _Callbacks, terminal: _Terminal | None
    ) -> None:
        self.source: int | None = source
        self.target = target
        self.terminal = terminal
        self.pending = memoryview(b"")
        self.ending = False
        self.deaf = False
        self.arrived = False
        self.undelivered = 0
        self._budget = _LEFTOVER
        self._callbacks = callbacks
        kind = os.fstat(target).st_mode
        never_blocks = stat.S_ISREG(kind) or (stat.S_ISCHR(kind) and terminal is None)
        # A pipe that select calls writable takes this much without blocking.
        self._limit = _CHUNK if never_blocks else select.PIPE_BUF
        self._at_once = never_blocks
        self.fifo = stat.S_ISFIFO(kind)

    @property
    def eager(self) -> bool:
        """Whether to read without waiting for the source to be ready."""
        unsettled = self.terminal is not None and self.terminal.unsettled > 0
        return self.source is not None and not self.pending and (self.ending or unsettled)

    @property
    def over(self) -> bool:
        return not self.pending and (self.source is None or (self.ending and self._budget <= 0))

    def step(self, ready: Collection[int]) -> None:
        if self.pending:
            if self.target in ready:
                self._put()
        elif self.source is not None and (self.eager or self.source in ready):
            self.take()
        elif self.fifo and self.target in ready:  # nobody reads our pipe any more
            self.close()

    def take(self) -> bool:
        """Read what one read gives, record it and begin to pass it on; False: nothing there."""
        data = self._read()
        if not data:
            if self.terminal is not None and self.terminal.unsettled:
                self.terminal.follow()
            if self.ending or data is not None:
                self.close()
            return False
        if self.terminal is not None:
            if data[:1] != _TIOCPKT_STATUS:
                self.terminal.changed()
                return True
            data = data[1:]
        self._record(data)
        if self.terminal is not None:
            self.terminal.passed(len(data))
        return True

    def _read(self) -> bytes | None:
        """Read once: None when there is nothing yet, empty at the end."""
        assert self.source is not None
        try:
            return os.read(self.source, _CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _record(self, data: bytes) -> None:
        self.arrived = True
        if self.ending:
            self._budget -= len(data)
        self._callbacks.call("output", data, 2 if self.target == 2 else 1)
        self.pending = memoryview(data)
        if self.deaf:
            self._drop()
        elif self._at_once:
            self._put()

    def _put(self) -> None:
        """Write to the target what it takes without blocking."""
        try:
            written = os.write(self.target, self.pending[: self._limit])
            self.pending = self.pending[written:]
        except BlockingIOError:
            return
        except OSError as error:
            self._refused(error.errno)

    def _refused(self, reason: int | None) -> None:
        """React to a target that takes nothing: as the child would have had to, where we can."""
        self._drop()
        if reason in (errno.EPIPE, errno.ECONNRESET):
            self.close()
        elif reason in (errno.EIO, errno.ENXIO, errno.EBADF):
            self.deaf = True

    def _drop(self) -> None:
        self.undelivered += len(self.pending)
        self.pending = memoryview(b"")

    def abandon(self) -> None:
        """Pass nothing on any more, and go on recording."""
        self.deaf = True
        self._drop()

    def drain(self) -> None:
        """Pass on what is there already, as far as that works without waiting."""
        for _ in range(_LEFTOVER // select.PIPE_BUF):
            if self.pending:
                if not _ready([], [self.target], [], 0):
                    return
                self._put()
            elif self.source is None or not self.take():
                return

    def close(self) -> None:
        """Read no more; a child that goes on writing to a pipe gets SIGPIPE."""
        if self.source is not None:
            os.close(self.source)
            self.source = None


class _Relay:
    """One child, its channels, and the signals that reach us meanwhile."""

    def __init__(self, callbacks: _Callbacks, tick: float) -> None:
        self._callbacks = callbacks
        self._tick = tick
        self._tick_at: float | None = None
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
        self._channels: list[_Channel] = []
        self._terminals: list[_Terminal] = []
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
                # A handler that Python did not install reads as None and cannot be put back.
                signal.signal(heard, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(waker)
            os.close(self._wake)
            os.close(sender)

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
        elif number in _PASSED_ON or (number != signal.SIGTTIN and not _in_foreground()):
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
            place = None if file is None else _place(target)
            if place is not None:
                if place not in places:
                    places[place] = self._open_channel(target)
                ends[target] = places[place]
        return ends

    def _open_channel(self, target: int) -> int:
        if os.isatty(target):
            with suppress(OSError):  # no pseudo-terminal to be had: a pipe must do
                terminal = _Terminal(target)
                self._terminals.append(terminal)
                self._channels.append(_Channel(terminal.master, target, self._callbacks, terminal))
                return terminal.slave
        source, end = os.pipe()
        os.set_blocking(source, False)
        self._childs.append(end)
        self._channels.append(_Channel(source, target, self._callbacks, None))
        return end

    def close(self) -> None:
        """Close all channels, and give the terminal back as it was."""
        for channel in self._channels:
            channel.close()
        for terminal in self._terminals:
            if _in_foreground():
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
                os.read(self._wake, _CHUNK)
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
        return _ready(reads, writes, watched, self._timeout())

    def _timeout(self) -> float | None:
        if any(channel.eager for channel in self._channels):
            return 0
        due = [moment for moment in (self._tick_at, self._give_up_at) if moment is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

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
        if self._terminals and _in_foreground():
            for terminal in self._terminals:
                terminal.again()
        self._resize()

    def _tick_if_due(self) -> None:
        now = time.monotonic()
        if self._tick_at is not None and now >= self._tick_at:
            self._tick_at = None
            self._callbacks.call("tick")
        for channel in self._channels:
            if channel.arrived:
                channel.arrived = False
                if self._tick_at is None:
                    self._tick_at = now + self._tick

    def _exit(self, status: int) -> Exit:
        seen = tuple(self._seen)
        if os.WIFSIGNALED(status):
            number: int | None = os.WTERMSIG(status)
            code = 128 + os.WTERMSIG(status)
        else:
            code = os.WEXITSTATUS(status)
            number = code - 128 if code - 128 in seen else None
        undelivered = sum(channel.undelivered for channel in self._channels)
        return Exit(code, number, seen, _in_foreground(), undelivered)


@contextmanager
def _standard_descriptors_taken() -> Iterator[None]:
    """Hold closed descriptors below 3, so that none of ours gets such a number.

    The holders close on exec: the child finds them closed, as it would without us.
    """
    held = []
    try:
        while (fd := os.open(os.devnull, os.O_RDWR)) < 3:
            held.append(fd)
        os.close(fd)
        yield
    finally:
        for fd in held:
            os.close(fd)


def _place(fd: int) -> object | None:
    """Name what `fd` leads to, the same for the same file, pipe or terminal; None: nowhere."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    if not os.get_inheritable(fd):  # a holder: the stream was closed
        return None
    if not os.isatty(fd):
        return status.st_dev, status.st_ino
    try:
        os.tcgetpgrp(fd)
    except OSError:
        return status.st_rdev
    return "controlling terminal"  # /dev/tty is another file, and the same terminal


def _in_foreground() -> bool:
    """Tell whether the keyboard's signals go to our process group."""
    try:
        tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(tty) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(tty)


def _ready(
    reads: Iterable[int], writes: Iterable[int], watched: Iterable[int], timeout: float | None
) -> Collection[int]:
    """Wait for descriptors to be readable or writable, or, if watched, to have lost their reader.

    `timeout` in seconds, None for ever.
    """
    if sys.platform == "darwin":  # its poll refuses terminals
        readable, writable, _ = select.select(reads, writes, [], timeout)
        return {*readable, *writable}
    poll = select.poll()
    for fd in watched:
        poll.register(fd, 0)
    for fd in reads:
        poll.register(fd, select.POLLIN)
    for fd in writes:
        poll.register(fd, select.POLLOUT)
    return {fd for fd, _ in poll.poll(None if timeout is None else timeout * 1000)}


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
