"""The ways of a child's output: from what it writes to, past the recorder, to our own descriptors.

Knows pipes, terminals and readers that leave, and when a way is over. Knows no child, no signal,
and nothing of what is recorded.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from gittrack.terminal import Terminal

__all__ = ["Channel", "destination", "standard_descriptors_taken", "wait"]

_CHUNK = 65536
_LEFTOVER = 1 << 20
"""What is read after the child's end at most: no pipe or terminal holds more of the child's."""


class Channel:
    """The way of one stream: from the descriptor `source` to our own descriptor `target`.

    `on_output` gets what arrives, and 1 or 2, before it is passed on. `terminal` is the one whose
    master the source is, if it is one. `source` is None once nothing more is read; `pending` is
    what was read and not yet passed on, and nothing is read meanwhile: memory stays bounded.
    `refusal` is the first errno with which the target took nothing, a reader that left excepted.
    """

    def __init__(
        self,
        source: int,
        target: int,
        on_output: Callable[[bytes, int], None],
        terminal: Terminal | None,
    ) -> None:
        self.source: int | None = source
        self.target = target
        self.terminal = terminal
        self.pending = memoryview(b"")
        self.ending = False
        self.deaf = False
        self.undelivered = 0
        self.refusal: int | None = None
        self._budget = _LEFTOVER
        self._on_output = on_output
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
        """Whether nothing is left to be read or passed on."""
        return self.source is None and not self.pending

    def step(self, ready: Collection[int]) -> None:
        """Do what is possible now, `ready` being the descriptors that `wait` found."""
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
            if self.terminal is not None:
                self.terminal.settle()
            if self.ending or data is not None:
                self.close()
            return False
        if self.terminal is not None:
            output = self.terminal.unpack(data)
            if output is None:
                return True
            data = output
        self._record(data)
        if self.terminal is not None:
            self.terminal.passed(len(data))
        if self.ending and self._budget <= 0:  # a grandchild that never stops writing
            self.close()
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
        if self.ending:
            self._budget -= len(data)
        self._on_output(data, 2 if self.target == 2 else 1)
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
            return
        self.refusal = self.refusal or reason
        if reason in (errno.EIO, errno.ENXIO, errno.EBADF):
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
                if not wait([], [self.target], [], 0):
                    return
                self._put()
            elif self.source is None or not self.take():
                return

    def close(self) -> None:
        """Read no more; a child that goes on writing to a pipe gets SIGPIPE."""
        if self.source is not None:
            os.close(self.source)
            self.source = None


@contextmanager
def standard_descriptors_taken() -> Iterator[None]:
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


def destination(fd: int) -> object | None:
    """Name what our `fd` leads to, the same for the same file, pipe or terminal; None: nowhere."""
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


def wait(
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
