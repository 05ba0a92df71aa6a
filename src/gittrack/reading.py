"""One file read whole, or why it cannot be: MD5s, changes noticed, kinds that hold no content.

Knows a single file at a time. Knows nothing of directories or caches.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from gittrack.errors import BadPath
from gittrack.inode import Numbers, numbers
from gittrack.meter import SILENT, Meter

__all__ = ["Source", "look", "no_file", "open_source", "pour", "small", "unreadable"]

_TRIES = 3
# Stays in the processor's cache from reading to writing: a third faster than pieces of 1 MB.
_PIECE = 1 << 18
_SMALL = 1 << 20
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Source:
    """A file opened to be read whole, once, while nobody changes it.

    `status` is what `stat` said before it was read, and still said afterwards; `when` the time of
    that second look, in nanoseconds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = -1
        self.when = 0

    def __enter__(self) -> Source:
        self.descriptor, self.status = open_source(self.path)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def each_time(self, read: Callable[[], str]) -> str:
        """Have `read` read it from the start, again where it changed meanwhile -> the last result.

        Raises:
            BadPath: it cannot be read, or changed each time.
        """
        for _ in range(_TRIES):
            try:
                os.lseek(self.descriptor, 0, os.SEEK_SET)
                self.status = os.fstat(self.descriptor)
                result = read()
                self.when = time.time_ns()
                after = os.fstat(self.descriptor)
            except OSError as error:
                raise unreadable(self.path, error) from error
            if numbers(after) == numbers(self.status):
                return result
        raise BadPath(
            f"'{self.path}' changes while it is read",
            path=os.fspath(self.path),
            hint="name it when nothing writes to it any more, or leave it out.",
        )


def open_source(path: Path | str) -> tuple[int, os.stat_result]:
    """Open a regular file for reading, through symlinks; never waits, as at a pipe.

    Raises:
        BadPath: it cannot be opened, or is no regular file.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise unreadable(path, error) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise no_file(path, status.st_mode)
    return descriptor, status


def pour(source: int, write: Callable[[memoryview], object] | None, meter: Meter = SILENT) -> str:
    """Read a descriptor to its end -> the MD5 of what it gave, each piece also handed to `write`.

    Raises:
        OSError: it cannot be read.
    """
    from hashlib import md5

    hasher = md5(usedforsecurity=False)
    buffer = memoryview(bytearray(_PIECE))
    with io.FileIO(source, closefd=False) as reader:
        while count := reader.readinto(buffer):
            piece = buffer[:count]
            if write:
                write(piece)
            hasher.update(piece)
            meter.advance(count)
    return hasher.hexdigest()


def small(path: str, row: Numbers) -> tuple[str, bytes] | None:
    """Read and hash a small file that is as `stat` saw it -> MD5 and content; None otherwise.

    Raises:
        BadPath: it cannot be read.
    """
    from hashlib import md5

    if row[2] >= _SMALL:
        return None
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        data = os.read(descriptor, row[2] + 1)
        same = len(data) == row[2] and numbers(os.fstat(descriptor)) == row
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(descriptor)
    return (md5(data, usedforsecurity=False).hexdigest(), data) if same else None


def look(path: Path | str) -> os.stat_result:
    """What `stat` says of a file or a directory, through symlinks.

    Raises:
        BadPath: there is none, it cannot be seen, or it is of another kind.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise no_file(path, status.st_mode)
    return status


def unreadable(path: Path | str, error: OSError | ValueError) -> BadPath:
    """The error for a path that the system refuses, with its reason."""
    code = getattr(error, "errno", None)
    name = os.fspath(path)
    hint = None
    if code == errno.ENOENT and os.path.islink(path):
        what = f"'{name}' is a symlink to nothing"
        hint = "if DVC made it, `dvc pull` brings what it points to."
    elif code == errno.ENOENT:
        what = f"there is no '{name}'"
    elif code == errno.ELOOP:
        what = f"'{name}' is a symlink that leads back to itself"
    elif code == errno.ENXIO:
        what = f"'{name}' is neither a file nor a directory"
    else:
        what = f"cannot read '{name}': {getattr(error, 'strerror', None) or error}"
    return BadPath(what, path=name, hint=hint)


def no_file(path: Path | str, mode: int) -> BadPath:
    """The error for what is there and holds no content."""
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    kind = kinds.get(stat.S_IFMT(mode), "no regular file")
    return BadPath(
        f"'{os.fspath(path)}' is {kind}, and has no content to hash", path=os.fspath(path)
    )
