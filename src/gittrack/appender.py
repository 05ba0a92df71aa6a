"""One journal file of one process: a line for each point, given to the kernel before the call ends.

Knows what a line of points looks like, when the file is flushed to the disk, and when the disk is
not well. Knows nothing of runs, and raises nothing once the file is open.
"""

from __future__ import annotations

import json
import math
import os
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, RLock, Thread
from time import monotonic, time
from typing import Any
from zlib import crc32

from gittrack.backlog import SLOW, Backlog, poll
from gittrack.journal import flush, frame, loss
from gittrack.summaries import Number

__all__ = ["Appender"]

_LATE = 1.0
_LAST_WAIT = 10.0
_MOST_NAMES = 10_000


class Appender:
    """Appends lines to a new file; threads may share it, a forked child must `abandon` it.

    On a disk that is well, a line is in the kernel when its call returns, so that no SIGKILL of us
    undoes it, and a thread flushes it to the disk within `sync` seconds.

    A disk that refuses a line (full), needs over 0.1 s for one or over 1 s for a flush, is not
    well. Then a thread writes the lines, from a queue, and a call waits for its own for 0.1 s; if
    that was not enough, or the disk refused it, which is said, the calls after it do not wait: what
    they log is in memory, and a SIGKILL costs it, until the disk has taken everything, and in under
    0.1 s. So what can hold a call up is one write that hangs while nothing was wrong before, for as
    long as the kernel lets it hang, and after that 0.1 s. The queue has room for 16 MiB; the points
    that do not fit are dropped, which is said and recorded: `{"dropped": n}`.

    `trouble` is called with a sentence, once for each kind of trouble, from any thread.
    """

    def __init__(
        self,
        directory: Path,
        *,
        rank: int | None = None,
        sync: float | None = 1.0,
        trouble: Callable[[str], None],
    ) -> None:
        """Make the file: `<pid>-<hex>.journal`, of a rank `r<rank>-<pid>-<hex>.journal`.

        `sync` is the number of seconds between flushes to the disk; 0 flushes in each call, which
        then waits for as long as the disk needs; None leaves it to the kernel.

        Raises:
            OSError: the directory is gone or not writable.
        """
        prefix = "" if rank is None else f"r{rank}-"
        self.path = directory / f"{prefix}{os.getpid()}-{os.urandom(4).hex()}.journal"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o666)
        # Not by `close`: another thread may be about to write, and the number be another file's.
        self._release = weakref.finalize(self, os.close, self._descriptor)
        self._release.atexit = False
        self._sync = sync
        self._trouble = trouble
        self._said: set[str] = set()
        self._names: dict[str, bytes] = {}
        self._templates: dict[tuple[str, ...], bytes] = {}
        # Reentrant, because a signal handler that logs may interrupt its own thread in here.
        self._lock = RLock()
        self._backlog: Backlog | None = None
        self._closed = False
        self._dirty = False
        self._flusher: Thread | None = None
        self._routine = False
        """Whether a line that was written in time needs no more than that."""
        self._wake = Event()
        self._flushed = 0.0
        self._gone = False
        self._alarm = math.inf
        """The time from which on the flush that is under way takes too long."""

    # -- lines ----------------------------------------------------------------------------------

    def point(self, key: str, value: Number, step: int | None) -> None:
        """Write one point of a metric; `key` and `value` are valid already."""
        now = time()
        name = self._names.get(key) or self._name(key)
        if value - value != 0:
            self._put(frame({"t": now, "metrics": {key: value}} | _at(step)), now)
            return
        if step is None:
            body = b'{"t":%.6f,"metrics":{%b:%a}}' % (now, name, value)
        else:
            body = b'{"t":%.6f,"metrics":{%b:%a},"step":%d}' % (now, name, value, step)
        self._put(b"%08x %b\n" % (crc32(body), body), now)

    def points(self, values: Mapping[str, Number], step: int | None) -> None:
        """Write a point of each of several metrics as one line; all of it is valid already."""
        now = time()
        keys, numbers = tuple(values), tuple(values.values())
        if not _finite(numbers):
            self._put(frame({"t": now, "metrics": dict(values)} | _at(step)), now, len(keys))
            return
        text = (self._templates.get(keys) or self._template(keys)) % numbers
        if step is None:
            body = b'{"t":%.6f,"metrics":{%b}}' % (now, text)
        else:
            body = b'{"t":%.6f,"metrics":{%b},"step":%d}' % (now, text, step)
        self._put(b"%08x %b\n" % (crc32(body), body), now, len(keys))

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event; `t`, seconds since the epoch, is added if it is not there."""
        now = time()
        self._put(frame({"t": now, **event}), now, rare=True)

    def _name(self, key: str) -> bytes:
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        return self._names.setdefault(key, json.dumps(key).encode())

    def _template(self, keys: tuple[str, ...]) -> bytes:
        if len(self._templates) >= _MOST_NAMES // (1 + len(keys)):
            self._templates.clear()
        text = b",".join(json.dumps(key).replace("%", "%%").encode() + b":%a" for key in keys)
        return self._templates.setdefault(keys, text)

    # -- the file -------------------------------------------------------------------------------

    def _put(self, line: bytes, now: float, points: int = 1, *, rare: bool = False) -> None:
        """Write a line begun at `now`; without a lock, as one `write` is one piece of the file."""
        written = 0
        if self._backlog is None and now < self._alarm:
            try:
                written = os.write(self._descriptor, line)
            except OSError:
                pass
            if written == len(line):
                self._dirty = True
                if self._routine and time() - now < SLOW:
                    return
        self._care(line, written, now, points, rare=rare)

    def _care(self, line: bytes, written: int, now: float, points: int, *, rare: bool) -> None:
        """Do what is not routine: the first line, a disk that is not well, a flush in each call."""
        if written == len(line):
            if self._sync == 0:
                self._flush()
            elif time() - now >= SLOW:
                with self._lock:
                    self._doubt()
        elif self._closed:
            self._say("closed", "what is logged after the end of the run is lost")
        else:
            with self._lock:
                backlog = self._doubt()
                rest = self._rest(line, written)
                # Whatever comes next must not stand in the middle of a line.
                place = backlog.add(rest, points, rare=rare or bool(written))
            backlog.wait(place)
        if self._flusher is None:
            self._start()

    def _rest(self, line: bytes, written: int) -> bytes:
        """What completes a line of which the disk took the beginning."""
        try:
            end = os.fstat(self._descriptor).st_size
            if not written or os.pread(self._descriptor, written, end - written) == line[:written]:
                return line[written:]
        except OSError:
            pass
        return b"\n" + line

    def flush(self) -> None:
        """Flush to the disk what was logged, if that is done at all; waits for a second at most."""
        if self._flusher is None:
            self._flush()
            return
        asked = monotonic()
        self._wake.set()
        poll(lambda: self._flushed >= asked, _LATE)

    def close(self) -> int:
        """Write and flush what is left, waiting for 10 seconds at most; once more does nothing.

        The result is how many points are lost, which is not recorded yet.
        """
        if self._closed:
            return 0
        self._closed = True
        until = monotonic() + _LAST_WAIT
        backlog, flusher = self._backlog, self._flusher
        lost = 0 if backlog is None else backlog.finish(until - monotonic())
        if lost:
            self._say("lost", loss(lost))
        else:
            self._backlog = None
        self._wake.set()
        if flusher is None:
            self._flush()
        else:
            flusher.join(max(0.0, until - monotonic()))
        return lost

    def confess(self, lost: int) -> None:
        """Record, after `close`, what is lost: in another file, or in nothing but its name."""
        if self._backlog is not None and not self._backlog.over:
            return
        path = self.path.with_name(
            f"{self.path.stem.rpartition('-')[0]}-{os.urandom(4).hex()}.journal"
        )
        line = frame({"t": time(), "dropped": lost})
        try:
            with open(path, "xb", buffering=0) as file:
                whole = file.write(line) == len(line)
        except OSError:
            whole = False
        if not whole:
            with suppress(OSError):
                # The name of an empty file needs no room.
                path.rename(path.with_suffix(f".{lost}.lost"))

    def abandon(self) -> None:
        """Close without flushing, as a forked child does with its parent's file."""
        self._closed = True
        self._descriptor = -1
        self._release()

    # -- what the disk does ---------------------------------------------------------------------

    def _write_later(self, data: bytes) -> int:
        written = os.write(self._descriptor, data)
        self._dirty = True
        if self._sync == 0:
            self._flush()
        return written

    def _doubt(self) -> Backlog:
        """The backlog, begun if there is none; to be called with the lock held."""
        if self._backlog is None:
            self._backlog = Backlog(
                self._write_later,
                counted=lambda lost: frame({"t": time(), "dropped": lost}),
                end=self._trust,
                trouble=self._say,
            )
        return self._backlog

    def _trust(self, backlog: Backlog) -> bool:
        """End a backlog if it is empty and no flush takes too long -> whether it has ended."""
        if not self._lock.acquire(timeout=SLOW):
            return False
        try:
            if not backlog.empty or time() >= self._alarm:
                return False
            # It is another one where a signal handler interrupted the making of this.
            if self._backlog is backlog:
                self._backlog = None
            return True
        finally:
            self._lock.release()

    def _start(self) -> None:
        with self._lock:
            if self._flusher is None and not self._closed:
                flusher = Thread(target=self._keep_flushing, name="gittrack", daemon=True)
                try:
                    flusher.start()
                except RuntimeError:
                    # No more threads, as while the interpreter exits.
                    self._flush()
                else:
                    self._flusher = flusher
                    self._routine = self._sync != 0

    def _keep_flushing(self) -> None:
        closed = False
        while not closed:
            self._wake.wait(self._sync or _LATE)
            self._wake.clear()
            closed = self._closed
            began = monotonic()
            self._flush()
            self._flushed = began

    def _flush(self) -> None:
        """Flush what was written since the last time, and see that the file is still there."""
        if not self._dirty:
            return
        self._dirty = False
        self._alarm = time() + _LATE
        try:
            if self._sync is not None:
                flush(self._descriptor)
            was_gone, self._gone = self._gone, not os.fstat(self._descriptor).st_nlink
            if was_gone:  # a run that ended just now took along what was logged before
                self._say("gone", "the run's directory was removed: what is logged now is lost")
        except OSError as error:
            self._say("unflushed", f"what is logged may not reach the disk: {error.strerror}")
        finally:
            self._alarm = math.inf

    def _say(self, kind: str, sentence: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._trouble(sentence)


def _at(step: int | None) -> dict[str, int]:
    return {} if step is None else {"step": step}


def _finite(numbers: tuple[Number, ...]) -> bool:
    """Whether all are for certain; false also where their sum only is not."""
    try:
        total = sum(numbers)
    except OverflowError:
        return False
    return total - total == 0
