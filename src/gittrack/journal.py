"""The files of a run that is running: a lock, how it began, what was logged, what it printed.

Knows the directory, the framing of lines and who is alive. Knows nothing of Git or of what becomes
of it all in the end.

    <state>/live/<name>/lock        held by the recorder as long as it lives, with its pid
    <state>/live/<name>/begin       one line: all that was known at the start
    <state>/live/<name>/end         room for how it ended, for when the disk is full by then
    <state>/live/<name>/*.journal   one file for each process that logs, appended to by it alone
    <state>/live/<name>/output      what the command printed
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Any

from gittrack.errors import RunExists, WriteFailed
from gittrack.records import Row

__all__ = [
    "RUN_VARIABLE",
    "SYNC_SECONDS",
    "Owner",
    "Session",
    "Story",
    "Writer",
    "adopt",
    "discard_leftovers",
    "frame",
    "is_lost",
    "live",
    "read",
    "rows",
    "size",
    "unframe",
]

RUN_VARIABLE = "GITTRACK_RUN"
"""The environment variable that tells a script the directory of its running run."""

SYNC_SECONDS = 1.0
"""What was logged longer ago than this survives a power cut."""

_NEW, _DONE = ".new-", ".done-"
_ROOM = b"\n" * 512

_held: set[tuple[int, int, int]] = set()
"""The locks of this process (pid, device, inode): POSIX ones do not keep their own holder out, and
are lost when it closes any other descriptor of the same file."""


# -- lines ------------------------------------------------------------------------------------


def frame(event: Mapping[str, Any]) -> bytes:
    """One event as a line: eight hexadecimal digits of CRC-32 (zlib's), a space, JSON."""
    text = json.dumps(event, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def unframe(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """The events of a file's bytes, and how many lines were torn or damaged."""
    events, damaged = [], 0
    for line in data.split(b"\n"):
        if not line:
            continue
        event = _event(line)
        if event is None:
            damaged += 1
        else:
            events.append(event)
    return events, damaged


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        if line[8:9] != b" " or int(line[:8], 16) != zlib.crc32(line[9:]):
            return None
        event = json.loads(line[9:])
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


class Writer:
    """Appends events to one file, each in a single `write`, which a SIGKILL of us does not undo.

    For one process; threads may share it. Flushed to the disk once a second while events come.
    """

    def __init__(self, directory: Path) -> None:
        """Open a new file in the run's directory.

        Raises:
            OSError: the directory is gone or not writable.
        """
        self.path = directory / f"{os.getpid()}-{os.urandom(4).hex()}.journal"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o666)
        self._synced = time.monotonic()
        self._torn = False

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event; `t`, seconds since the epoch, is added if it is not there.

        Raises:
            OSError: it could not be written whole; what was there stays readable.
        """
        line = frame({"t": time.time(), **event})
        if self._torn:
            # The stump of a failed write must not swallow this line.
            line = b"\n" + line
        self._torn = True
        written = os.write(self._descriptor, line)
        if written != len(line):
            raise OSError(errno.ENOSPC, "no space for a whole line", os.fspath(self.path))
        self._torn = False
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Flush what was written to the disk."""
        self._synced = time.monotonic()
        _flush(self._descriptor)

    def close(self) -> None:
        """Flush and close; a second call does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            _flush(descriptor)
            os.close(descriptor)

    def abandon(self) -> None:
        """Close without flushing, as a forked child does with its parent's file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _flush(descriptor: int) -> None:
    try:
        getattr(os, "fdatasync", os.fsync)(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


# -- the directory of a running run -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that cannot be mistaken for another: pid, its start, and this boot of this host."""

    pid: int
    start: str
    boot: str

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The process that has this pid now."""
        return cls(pid, _start_of(pid), _boot())

    def is_alive(self) -> bool:
        """Whether that very process still runs here; a zombie does not."""
        return self.boot == _boot() and bool(self.start) and _start_of(self.pid) == self.start


def _start_of(pid: int) -> str:
    """When a process started, in its system's own words; empty if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    except OSError:
        pass
    if os.path.isdir("/proc/self"):
        return ""
    import subprocess

    said = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return said.stdout.strip()


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return os.uname().nodename


class Session:
    """A run's directory, owned by this process until it ends or gives it away.

    Made by `Session.open`, visible to others from `begin` on.
    """

    def __init__(self, directory: Path, lock: int) -> None:
        self.directory = directory
        self._lock = lock
        self._output = -1

    @classmethod
    def open(cls, state: Path, name: str) -> Session:
        """Make and lock a directory for a run that has not begun yet.

        Raises:
            RunExists: a run of this name is running.
            WriteFailed: the directory cannot be made.
        """
        directory = state / "live" / (_NEW + name)
        for _ in range(8):
            try:
                directory.mkdir(parents=True)
                lock = _lock(directory)
            except FileExistsError as error:
                raise RunExists(f"a run named {name} is about to begin", commit="") from error
            except FileNotFoundError:
                # Somebody who tidied up took the still unlocked directory away.
                continue
            except OSError as error:
                raise _cannot_write(directory, error) from error
            if lock is None:
                continue
            made = cls(directory, lock)
            # Looked at only now: while the directory is ours nobody else can begin as `name`.
            if (state / "live" / name).exists():
                made.end()
                raise RunExists(f"a run named {name} is running", commit="")
            return made
        raise WriteFailed(f"cannot make '{directory}'")

    def begin(self, known: Mapping[str, Any]) -> None:
        """Write down how the run begins and make it visible: from here on it will be recorded.

        Raises:
            WriteFailed: it could not be written.
            RunExists: a run of this name has begun meanwhile.
        """
        final = self.directory.with_name(self.directory.name.removeprefix(_NEW))
        try:
            with open(self.directory / "begin", "xb") as file:
                file.write(frame(known))
                file.flush()
                os.fsync(file.fileno())
            (self.directory / "end").write_bytes(_ROOM)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._output = os.open(self.directory / "output", flags, 0o666)
            _sync_directory(self.directory)
            os.rename(self.directory, final)
            self.directory = final
            _sync_directory(final.parent)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                raise RunExists(f"a run named {final.name} is running", commit="") from error
            raise _cannot_write(self.directory, error) from error

    def keep_output(self, data: bytes) -> None:
        """Append to the output.

        Raises:
            OSError: the disk is full, for example.
        """
        view = memoryview(data)
        while view:
            view = view[os.write(self._output, view) :]

    def sync_output(self) -> None:
        """Flush the output to the disk."""
        _flush(self._output)

    def keep_end(self, event: Mapping[str, Any]) -> None:
        """Write down how the run ended in the room kept for it: a full disk does not refuse that.

        Raises:
            OSError: it cannot be written all the same.
        """
        line = frame({"t": time.time(), **event})
        if len(line) > len(_ROOM):
            raise OSError(errno.EFBIG, "no room for a line of this length")
        descriptor = os.open(self.directory / "end", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, line, 0)
            _flush(descriptor)
        finally:
            os.close(descriptor)

    def end(self) -> None:
        """Remove the directory, the run having been recorded (or never having begun)."""
        _remove(self.directory)
        self.release()

    def release(self) -> None:
        """Give the directory up without removing it; whoever comes next may adopt it."""
        if self._output >= 0:
            os.close(self._output)
            self._output = -1
        if self._lock >= 0:
            _unlock(self._lock)
            self._lock = -1


def _remove(directory: Path) -> None:
    """Remove a directory under another name: one that a crash leaves half is seen to be no run."""
    done = directory
    if not directory.name.startswith(_DONE):
        # Another run of this name may be on its way out too.
        name = f"{_DONE}{directory.name.removeprefix(_NEW)}-{os.urandom(4).hex()}"
        done = directory.with_name(name)
        try:
            os.rename(directory, done)
        except OSError:
            done = directory
    shutil.rmtree(done, ignore_errors=True)


def _key(seen: os.stat_result) -> tuple[int, int, int]:
    return os.getpid(), seen.st_dev, seen.st_ino


def _is_ours(directory: Path) -> bool:
    """Whether this very process holds the directory's lock; does not open the file."""
    try:
        return _key(os.stat(directory / "lock")) in _held
    except OSError:
        return False


def _unlock(descriptor: int) -> None:
    _held.discard(_key(os.fstat(descriptor)))
    os.close(descriptor)


def _lock(directory: Path) -> int | None:
    """Lock the directory -> the descriptor that holds the lock, None if another process has it.

    POSIX locks, because a `flock` lives on in forked data loaders and makes a dead run look alive.
    """
    if _is_ours(directory):
        return None
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        seen = os.stat(directory / "lock")
        held = os.fstat(descriptor)
        if (seen.st_dev, seen.st_ino) != (held.st_dev, held.st_ino):
            raise FileNotFoundError(directory)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except PermissionError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    _held.add(_key(held))
    try:
        owner = Owner.of(os.getpid())
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{owner.pid} {owner.start} {owner.boot}\n".encode(), 0)
    except OSError:
        _unlock(descriptor)
        raise
    return descriptor


def live(state: Path) -> list[Path]:
    """The directories of the runs that have begun and are not recorded yet, by name."""
    try:
        names = sorted(os.listdir(state / "live"))
    except OSError:
        return []
    return [state / "live" / name for name in names if not name.startswith(".")]


def is_lost(directory: Path) -> bool:
    """Whether a run has neither a recorder nor a command any more."""
    if _is_ours(directory):
        return False
    try:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return directory.is_dir() and not _child_alive(directory)
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return not _child_alive(directory)


def _child_alive(directory: Path) -> bool:
    for event in _events(directory)[0]:
        child = event.get("child")
        if isinstance(child, list) and len(child) == 3 and Owner(*child).is_alive():
            return True
    return False


def adopt(directory: Path) -> Session | None:
    """Take over the directory of a lost run; None if it is not lost, or another process was first.

    Raises:
        WriteFailed: the directory cannot be written, as in a read-only repository.
    """
    try:
        if not is_lost(directory):
            return None
        lock = _lock(directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot_write(directory, error) from error
    return None if lock is None else Session(directory, lock)


def discard_leftovers(state: Path) -> None:
    """Remove what killed processes left behind: runs that never began, and recorded ones."""
    try:
        names = os.listdir(state / "live")
    except OSError:
        return
    for name in names:
        if name.startswith((_NEW, _DONE)):
            _discard(state / "live" / name, begun=name.startswith(_DONE))


def _discard(directory: Path, *, begun: bool) -> None:
    try:
        if not (directory / "lock").exists():
            # Nearly removed, or just made: who made it makes it again if it is gone.
            if begun:
                shutil.rmtree(directory, ignore_errors=True)
            else:
                os.rmdir(directory)
            return
        lock = _lock(directory)
    except OSError:
        return
    if lock is not None:
        _remove(directory)
        _unlock(lock)


# -- reading ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Story:
    """All that a run's directory tells: how it began, what happened, in order of time.

    `damaged` counts lines that were torn or whose checksum is wrong.
    """

    begin: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    damaged: int


def read(directory: Path) -> Story | None:
    """Read a run's directory; None if how it began cannot be read.

    May be called while others write: a line that is being written counts as damaged.
    """
    try:
        begun, _ = unframe((directory / "begin").read_bytes())
    except OSError:
        return None
    if not begun:
        return None
    events, damaged = _events(directory)
    return Story(begun[0], tuple(events), damaged)


def size(directory: Path) -> int:
    """How many bytes were logged, in all files together."""
    total = 0
    for path in _journals(directory):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def _journals(directory: Path) -> list[Path]:
    """The journals, none if the directory is gone: its run may be recorded at any moment."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [directory / name for name in names if name.endswith(".journal")]


def _events(directory: Path) -> tuple[list[dict[str, Any]], int]:
    streams, damaged = [], 0
    for path in (*_journals(directory), directory / "end"):
        try:
            events, bad = unframe(path.read_bytes())
        except OSError:
            continue
        damaged += bad
        streams.append(_in_order(events))
    merged = [event for _, event in merge(*streams, key=lambda pair: pair[0])]
    return merged, damaged


def _in_order(events: Iterable[dict[str, Any]]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Events with times that never go back: within one file, its order is the truth."""
    latest = 0.0
    for event in events:
        moment = event.get("t")
        if isinstance(moment, (int, float)) and moment > latest:
            latest = float(moment)
        yield latest, event


def rows(events: Iterable[Mapping[str, Any]], started: float) -> list[Row]:
    """The curves that metric events make; times are seconds since `started` (epoch).

    A row is one log call; calls of the same step that follow each other share one.
    """
    made: list[Row] = []
    values: dict[str, Any] = {}
    for event in events:
        logged = event.get("metrics")
        if not isinstance(logged, dict) or not logged:
            continue
        step = event.get("step")
        shared = made and step is not None and made[-1].step == step
        if shared and values.keys().isdisjoint(logged):
            values.update(logged)
        else:
            values = dict(logged)
            made.append(Row(step, max(0.0, round(event.get("t", started) - started, 6)), values))
    return made


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _cannot_write(directory: Path, error: OSError) -> WriteFailed:
    return WriteFailed(
        f"cannot write to '{directory}': {error.strerror}",
        hint="is the disk full, or the repository read-only?",
    )
