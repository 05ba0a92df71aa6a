"""Lines that the disk did not take at once: a bounded queue, and the thread that writes it.

Knows when a caller waits for its line, when the disk is well again, and how many points did not
fit. Knows nothing of what the lines say, nor of the file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic, sleep

__all__ = ["SLOW", "Backlog", "poll"]

SLOW = 0.1
"""Seconds that a write may take on a disk that is well, and that a caller waits on one that is not.
"""

_ROOM = 16 << 20
_CHUNK = 1 << 20
_PAUSE = 0.1
_IDLE = 1.0


class Backlog:
    """A queue of lines on their way to the disk, and its thread; none of the methods raises."""

    def __init__(
        self,
        write: Callable[[bytes], int],
        *,
        counted: Callable[[int], bytes],
        end: Callable[[Backlog], bool],
        trouble: Callable[[str, str], None],
    ) -> None:
        """Begin with an empty queue.

        `write` is `os.write` to the file, and may raise OSError; `counted` makes the line that says
        how many points were dropped; `end`, asked when the disk took all in time, says whether this
        backlog is over; `trouble` gets a kind of trouble and a sentence.
        """
        self._write = write
        self._counted = counted
        self._end = end
        self._trouble = trouble
        self._lines: deque[tuple[bytes, int]] = deque()
        self._more = Event()
        self._closing = False
        self._patient = True
        # Each of these is counted up by one side alone, so that none needs a lock.
        self._taken = self._written = 0
        self._dropped = self._told = 0
        self._thread: Thread | None = Thread(target=self._work, name="gittrack", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # No more threads, as while the interpreter exits: the callers write.
            self._thread = None

    @property
    def empty(self) -> bool:
        """Whether nothing waits, not even the number of what was dropped; asked by `end`."""
        return not self._lines and self._dropped == self._told

    @property
    def over(self) -> bool:
        """Whether nothing is being written any more, as after `finish` on a disk that answers."""
        return self._thread is None or not self._thread.is_alive()

    def add(self, line: bytes, points: int, *, rare: bool = False) -> int:
        """Queue a line -> what to `wait` for; for one caller at a time.

        Over 16 MiB it is dropped, and its points are counted; what is `rare` may use twice that.
        """
        if self._taken + len(line) - self._written > (2 * _ROOM if rare else _ROOM):
            self._dropped += points
        else:
            self._taken += len(line)
            self._lines.append((line, points))
            self._more.set()
        return self._taken

    def wait(self, place: int) -> None:
        """Wait until what was added is written: for 0.1 s, and not after that failed once."""
        if self._thread is None:
            if self._write_all() is not None:
                self._end(self)
        elif self._patient:
            poll(lambda: self._written >= place or not self._patient, SLOW)
            if self._patient and self._written < place:
                self._lose_patience("slow", "the disk is slow")
        if self._dropped:
            self._trouble("dropped", "the disk takes nothing: points are dropped, and counted")

    def finish(self, seconds: float) -> int:
        """Write what is left, for so long at most -> how many points are lost."""
        self._closing = True
        self._more.set()
        if self._thread is None:
            self._write_all()
        else:
            self._thread.join(max(0.0, seconds))
        return self._dropped - self._told + sum(points for _, points in tuple(self._lines))

    def _work(self) -> None:
        while True:
            self._more.wait(_IDLE)
            self._more.clear()
            longest = self._write_all()
            if self._closing:
                return
            if longest is None:
                sleep(_PAUSE)
                self._more.set()
            elif longest < SLOW and self._end(self):
                return

    def _write_all(self) -> float | None:
        """Write what is there -> the seconds that the longest write took, None if not all went."""
        longest = 0.0
        while self._lines or self._dropped > self._told:
            began = monotonic()
            if not (self._write_some() if self._lines else self._confess()):
                return None
            longest = max(longest, monotonic() - began)
        return longest

    def _write_some(self) -> bool:
        batch, size = [], 0
        while self._lines and size < _CHUNK:
            batch.append(self._lines.popleft())
            size += len(batch[-1][0])
        written = self._given(b"".join(line for line, _ in batch))
        rest = written
        while batch and rest >= len(batch[0][0]):
            rest -= len(batch.pop(0)[0])
        if batch:
            line, points = batch[0]
            self._lines.extendleft(reversed([(line[rest:], points), *batch[1:]]))
        self._written += written
        return written > 0

    def _confess(self) -> bool:
        """Write down how many points were dropped."""
        lost = self._dropped - self._told
        # What is left of an attempt that failed in the middle must not swallow this one.
        line = b"\n" + self._counted(lost)
        if self._given(line) < len(line):
            return False
        self._told += lost
        return True

    def _given(self, data: bytes) -> int:
        """Write -> how many bytes went."""
        try:
            written = self._write(data)
        except OSError as error:
            self._lose_patience("refused", f"the disk takes nothing: {error.strerror}")
            return 0
        if not written:
            self._lose_patience("refused", "the disk takes nothing")
        return written

    def _lose_patience(self, kind: str, sentence: str) -> None:
        self._patient = False
        self._trouble(kind, f"{sentence}; what is logged waits in memory")


def poll(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until the condition holds, so long at most.

    It looks again and again, because a signal handler may wait for what it interrupted.
    """
    until = monotonic() + seconds
    while not condition() and monotonic() < until:
        sleep(0.0005)
