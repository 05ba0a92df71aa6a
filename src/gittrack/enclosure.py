"""A directory that nothing is read or written outside of, whatever lies in it or happens meanwhile.

Every step goes down from an open directory (openat(2)) and through no symlink, so that nobody can
slip one in between a check and its use. Knows nothing of what the files are.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from gittrack.errors import BadPath, WriteFailed
from gittrack.manifest import check_path

__all__ = ["Enclosure"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_DIRECTORY = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)


class Enclosure:
    """The directory `root`, which may be missing, and what lies below it. Not for two threads.

    Paths are relative to it, with `/`, and refused unless `manifest.check_path` lets them pass.
    A symlink to `root` itself is the user's word and followed; below it none is.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._last: tuple[str, int] | None = None

    def __enter__(self) -> Enclosure:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._forget()

    def look(self, path: str) -> os.stat_result | None:
        """What stands at `path`, None if nothing does; of a symlink the link itself.

        Raises:
            BadPath: a part of the path above it is no directory, or a symlink.
        """
        parent, name = _split(path)
        try:
            return os.stat(name, dir_fd=self._open(parent, path), follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(path, error) from error

    def link(self, path: str) -> str:
        """What the symlink at `path` says; empty if there is none any more."""
        parent, name = _split(path)
        try:
            return os.readlink(name, dir_fd=self._open(parent, path))
        except OSError:
            return ""

    @contextmanager
    def reading(self, path: str) -> Iterator[int | None]:
        """A descriptor of the plain file at `path`; None if it cannot be read, or is no such file.

        Raises:
            BadPath: a part of the path above it is no directory, or a symlink.
        """
        parent, name = _split(path)
        try:
            opened = os.open(name, _FILE, dir_fd=self._open(parent, path))
        except OSError:
            yield None
            return
        try:
            yield opened if stat.S_ISREG(os.fstat(opened).st_mode) else None
        finally:
            os.close(opened)

    def parent(self, path: str) -> tuple[int, str]:
        """The open directory that `path` lies in, made if need be, and its name there.

        The descriptor is good until the next question.

        Raises:
            BadPath: a part of the path above it is no directory, or a symlink.
            WriteFailed: a directory cannot be made.
        """
        parent, name = _split(path)
        return self._open(parent, path, make=True), name

    def make(self, path: str) -> None:
        """Make the directory `path`, and those above it, unless they are there.

        Raises:
            BadPath: a part of the path is no directory, or a symlink.
            WriteFailed: a directory cannot be made.
        """
        self._open(check_path(path), path, make=True)

    def _open(self, directory: str, path: str, *, make: bool = False) -> int:
        if self._last is not None and self._last[0] == directory:
            return self._last[1]
        self._forget()
        try:
            opened = self._top(make)
            for part in directory.split("/") if directory else ():
                above = opened
                try:
                    opened = _down(above, part, make)
                finally:
                    os.close(above)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._refused(path, error) from error
        self._last = directory, opened
        return opened

    def _top(self, make: bool) -> int:
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _forget(self) -> None:
        if self._last is not None:
            os.close(self._last[1])
            self._last = None

    def _refused(self, path: str, error: OSError) -> BadPath | WriteFailed:
        where = self.root / path
        if error.errno in _NO_DIRECTORY or isinstance(error, FileExistsError):
            return BadPath(
                f"'{where}' cannot be written: a part of its path is a symlink or no directory",
                path=os.fspath(where),
                hint="move that out of the way, or choose another directory.",
            )
        return WriteFailed(
            f"cannot write '{where}': {error.strerror}",
            hint="is the disk full, or the directory another user's?",
        )


def _split(path: str) -> tuple[str, str]:
    parent, _, name = check_path(path).rpartition("/")
    return parent, name


def _down(above: int, part: str, make: bool) -> int:
    try:
        return os.open(part, _DIRECTORY, dir_fd=above)
    except FileNotFoundError:
        if not make:
            raise
    try:
        os.mkdir(part, dir_fd=above)
    except FileExistsError:
        pass
    return os.open(part, _DIRECTORY, dir_fd=above)
