"""Files that appear in DVC's cache whole or not at all, many with one wait for the disk.

Knows names, modes, syncing and renaming. Knows nothing of what the files hold.

As Git's `core.fsyncMethod=batch`: written under other names, put on the disk together, renamed.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from types import TracebackType

from gittrack.errors import WriteFailed

__all__ = ["TEMPORARY", "UNFINISHED", "Incoming", "Intake", "clone", "refused"]

TEMPORARY = "tmp-gittrack-"
"""What the name of a file begins with that is not yet an object."""

UNFINISHED = f".{TEMPORARY}"
"""Likewise of a file that is not yet where somebody wants it: it is no data."""

_MODE = 0o444
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_FICLONE = 0x40049409
# Up to here each file is synced by itself; beyond, one syncfs(2) waits for less.
_FEW = 16
_MOST = 10_000
_ELSEWHERE = "make it writable, or name another cache with `dvc cache dir`."


def refused(path: Path | str, error: OSError, *, hint: str = _ELSEWHERE) -> WriteFailed:
    """The error for a file that cannot be written; `hint` helps where rights are missing."""
    advice = None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "the disk is full: `git track gc --data` removes what no run needs."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = hint
    return WriteFailed(f"cannot write '{os.fspath(path)}': {error.strerror}", hint=advice)


def clone(source: int, target: int) -> bool:
    """Give an open, empty file the content of another by sharing its blocks (a reflink).

    False where the file system cannot; the target is then still empty.
    """
    if not sys.platform.startswith("linux"):
        return False
    from fcntl import ioctl

    try:
        ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


class Incoming:
    """A file on its way in: open for writing at `descriptor`, under a name that is no object's."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = os.open(path, _FLAGS, _MODE)

    def write(self, piece: memoryview | bytes) -> None:
        """Append all of it.

        Raises:
            WriteFailed: the disk is full, or refuses.
        """
        try:
            done = os.write(self.descriptor, piece)
            while done < len(piece):
                done += os.write(self.descriptor, piece[done:])
        except OSError as error:
            raise refused(self.path, error) from error

    def restart(self) -> None:
        """Forget what was written.

        Raises:
            WriteFailed: the disk refuses.
        """
        try:
            os.ftruncate(self.descriptor, 0)
            os.lseek(self.descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise refused(self.path, error) from error

    def close(self) -> None:
        """Close it; again does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Intake:
    """Takes files into the directory of objects; a `with` block, at whose end they are there.

    An exception in the block leaves none of those that are still waiting. Used by one thread.
    """

    def __init__(self, objects: Path, *, sync: bool) -> None:
        self._objects = os.fspath(objects)
        self._sync = sync
        self._prefix = f"{TEMPORARY}{os.urandom(6).hex()}-"
        self._count = 0
        self._made: set[str] = set()
        self._waiting: dict[str, str] = {}
        self._masked: bool | None = None

    def __enter__(self) -> Intake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for temporary in self._waiting.values():
                _remove(temporary)
            self._waiting.clear()

    def __contains__(self, md5: str) -> bool:
        return md5 in self._waiting

    def begin(self) -> Incoming:
        """Open a file whose hash is not known yet.

        Raises:
            WriteFailed: the cache cannot be written.
        """
        try:
            self._make("")
            return Incoming(self._temporary(self._objects))
        except OSError as error:
            raise refused(self._objects, error) from error

    def keep(self, incoming: Incoming, md5: str) -> None:
        """Have a written file become the object `md5`.

        Raises:
            WriteFailed: the cache cannot be written.
        """
        try:
            os.fchmod(incoming.descriptor, _MODE)
            incoming.close()
            self._make(md5[:2])
        except OSError as error:
            raise refused(incoming.path, error) from error
        self._wait(md5, incoming.path)

    def take(self, path: str, md5: str) -> int:
        """Have a file that lies in the cache's file system become the object `md5` -> its bytes.

        Raises:
            WriteFailed: the cache cannot be written.
        """
        try:
            os.chmod(path, _MODE)
            size = os.stat(path).st_size
            self._make(md5[:2])
        except OSError as error:
            raise refused(path, error) from error
        self._wait(md5, path)
        return size

    def drop(self, incoming: Incoming) -> None:
        """Give a file up."""
        incoming.close()
        _remove(incoming.path)

    def add(self, md5: str, data: bytes) -> None:
        """Write a whole object.

        Raises:
            WriteFailed: the cache cannot be written.
        """
        temporary = f"{self._objects}/{md5[:2]}"
        try:
            self._make(md5[:2])
            incoming = Incoming(temporary := self._temporary(temporary))
        except OSError as error:
            raise refused(temporary, error) from error
        try:
            if data:
                incoming.write(data)
            self._protect(incoming.descriptor)
            incoming.close()
        except BaseException:
            self.drop(incoming)
            raise
        self._wait(md5, temporary)

    def _protect(self, descriptor: int) -> None:
        """Set the mode of an object, where the umask did not leave it so."""
        if self._masked is None:
            self._masked = stat.S_IMODE(os.fstat(descriptor).st_mode) != _MODE
        if self._masked:
            os.fchmod(descriptor, _MODE)

    def _temporary(self, directory: str) -> str:
        self._count += 1
        return f"{directory}/{self._prefix}{self._count}"

    def _make(self, name: str) -> None:
        """Make a directory of objects, with the group's rights of the one above."""
        if name in self._made:
            return
        if not name:
            os.makedirs(self._objects, exist_ok=True)
        elif not os.path.isdir(path := f"{self._objects}/{name}"):
            self._make("")
            try:
                os.mkdir(path)
            except FileExistsError:
                pass
            else:
                _share(path, self._objects)
        self._made.add(name)

    def _wait(self, md5: str, temporary: str) -> None:
        if md5 in self._waiting:
            _remove(temporary)
            return
        self._waiting[md5] = temporary
        if len(self._waiting) >= _MOST:
            self._finish()

    def _finish(self) -> None:
        """Put the waiting files on the disk, then under their names."""
        waiting, names = self._waiting, list(self._waiting)
        try:
            self._settle(list(waiting.values()))
            for md5 in names:
                os.rename(waiting[md5], f"{self._objects}/{md5[:2]}/{md5[2:]}")
                del waiting[md5]
            self._settle(sorted({f"{self._objects}/{md5[:2]}" for md5 in names}))
        except OSError as error:
            raise refused(self._objects, error) from error

    def _settle(self, paths: list[str]) -> None:
        """Wait until these files or directories are on the disk."""
        if not self._sync or not paths:
            return
        if len(paths) > _FEW and _sync_all(self._objects):
            return
        for path in paths:
            _sync_one(path)


def _share(path: str, above: str) -> None:
    mode = stat.S_IMODE(os.stat(above).st_mode)
    if mode & stat.S_IWGRP:
        os.chmod(path, mode)


def _sync_one(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_all(directory: str) -> bool:
    """Wait for all that was written to the file system; False where there is no syncfs(2)."""
    import ctypes

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)
    return True


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
