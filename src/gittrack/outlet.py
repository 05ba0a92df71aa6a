"""The output of a run of this process, written down as it comes; a slow disk does not hold it up.

Knows what becomes of a piece that the disk does not take at once. Knows nothing of where it comes
from, nor of runs.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from time import monotonic

from gittrack.backlog import SLOW, Backlog

__all__ = ["Outlet"]


class Outlet:
    """Writes to one file; threads may share it, a forked child must `renew` it. Nothing raises.

    While the disk is well a piece is in the kernel when `put` returns. Once one took over 0.1 s, or
    was refused, the pieces go to a queue of 16 MiB that a thread writes, and a call waits for 0.1 s
    at most, until the disk has taken everything. What does not fit is dropped, and counted.
    """

    def __init__(self, write: Callable[[bytes], int], trouble: Callable[[str], None]) -> None:
        """`write` is `os.write` to the file; `trouble` gets a sentence, once for each kind."""
        self._write = write
        self._trouble = trouble
        self._said: set[str] = set()
        # Reentrant, because a signal handler that prints may interrupt its own thread in here.
        self._lock = RLock()
        self._backlog: Backlog | None = None
        self._closed = False

    def put(self, data: bytes) -> None:
        """Write a piece; after the end nothing happens."""
        with self._lock:
            if self._closed:
                return
            if self._backlog is None:
                data = self._at_once(data)
                if not data:
                    return
                self._backlog = Backlog(
                    self._write, counted=_counted, end=self._well, trouble=self._say
                )
            backlog, place = self._backlog, self._backlog.add(data, 1)
        backlog.wait(place)

    def finish(self, seconds: float) -> int:
        """Write what waits, for so long at most, and nothing more -> how many pieces are lost."""
        with self._lock:
            self._closed = True
            backlog = self._backlog
        return 0 if backlog is None else backlog.finish(seconds)

    def renew(self) -> None:
        """Write as a process of its own: what waits is its parent's."""
        self._lock = RLock()
        self._backlog = None

    def _at_once(self, data: bytes) -> bytes:
        """Write a piece -> what the disk did not take, or takes too long for."""
        began = monotonic()
        while data and monotonic() - began < SLOW:
            try:
                data = data[self._write(data) :]
            except OSError:
                break
        return data

    def _well(self, backlog: Backlog) -> bool:
        """End the backlog if nothing waits."""
        if not self._lock.acquire(timeout=SLOW):
            return False
        try:
            if not backlog.empty:
                return False
            if self._backlog is backlog:
                self._backlog = None
            return True
        finally:
            self._lock.release()

    def _say(self, kind: str, sentence: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._trouble(sentence)


def _counted(lost: int) -> bytes:
    return b"[%d pieces of output are missing here: the disk did not take them]\n" % lost
