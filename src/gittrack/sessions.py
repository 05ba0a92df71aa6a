"""The directory of a run that is running: made, locked, found lost, adopted and removed.

Knows who holds a run and whether it still has a recorder or a command. Of what was logged it reads
only which child was started. Knows nothing of Git, nor of what becomes of it all in the end.

    <state>/live/<name>/lock        held by the recorder as long as it lives, with its pid
    <state>/live/<name>/begin       one line: all that was known at the start
    <state>/live/<name>/end         room for how it ended, for when the disk is full by then
    <state>/live/<name>/*.journal   what was logged
    <state>/live/<name>/*.lost      its name has the number of points that a full disk did not take
    <state>/live/<name>/output      what the command printed
    <state>/live/<name>/lost        made by recovery: its time is the last sign of life
    <state>/live/<name>/masked      made while recording: a long output without its secrets
    <state>/live/<name>/curves      made while recording: curves too long for a record
    <state>/live/<name>/trace/      what Python processes opened, if they were asked
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gittrack.errors import RunExists, WriteFailed
from gittrack.journal import flush, frame, said
from gittrack.owner import Owner

__all__ = ["Session", "adopt", "command_lives", "discard_leftovers", "is_lost", "live"]

_NEW, _DONE = ".new-", ".done-"
_ROOM = b"\n" * 512

_held: set[tuple[int, int, int]] = set()
"""The locks of this process (pid, device, inode): POSIX ones do not keep their own holder out, and
are lost when it closes any other descriptor of the same file."""


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
            view = view[self.write_output(view) :]

    def write_output(self, data: bytes | memoryview) -> int:
        """Append to the output what the disk takes at once -> how many bytes that are.

        Raises:
            OSError: the disk is full, for example.
        """
        return os.write(self._output, data)

    def sync_output(self) -> None:
        """Flush the output to the disk."""
        flush(self._output)

    def give_sign(self) -> None:
        """Leave a sign of life: a run that is killed later ended no earlier than this."""
        os.utime(self.directory / "begin")

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
            flush(descriptor)
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
            with suppress(OSError):
                os.ftruncate(self._lock, 0)
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
        return directory.is_dir() and not command_lives(directory)
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who became another program by exec has no lock, and its child processes may log.
        if _names_the_living(descriptor):
            return False
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return not command_lives(directory)


def _names_the_living(lock: int) -> bool:
    """Whether the process whose words stand in a lock is there; one that gave it up took them."""
    said = os.pread(lock, 200, 0).decode("utf-8", "replace").strip()
    pid, _, rest = said.partition(" ")
    start, _, boot = rest.rpartition(" ")
    return pid.isdecimal() and Owner(int(pid), start, boot).is_alive()


def command_lives(directory: Path) -> bool:
    """Whether the command that a recorder started for a run is still there."""
    for event in said(directory):
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
