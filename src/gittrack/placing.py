"""One object of the cache put where somebody wants it: linked or copied, checked, atomically.

Also the way back, from a link to a file that may be written to.

Knows DVC's four ways (`cache.type`). Knows nothing of hashes but that they must be right.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gittrack.errors import BadPath, DataDamaged, WriteFailed
from gittrack.inode import numbers
from gittrack.intake import UNFINISHED, clone, refused
from gittrack.meter import SILENT, Meter
from gittrack.reading import open_source, pour
from gittrack.stats import Stats

__all__ = ["Placing", "damaged", "part", "sweep"]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_NAMELESS = getattr(os, "O_TMPFILE", 0) and os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
_PIECE = 1 << 20
_STALE = 2 * 86400

# For DVC these mean that a kind of link is not possible here (dvc_objects/fs/generic.py).
_UNABLE = {
    errno.EPERM,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EXDEV,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EINVAL,
    errno.EAGAIN,
    errno.EMLINK,
}


def damaged(md5: str, path: str) -> DataDamaged:
    """The error for an object that is not what its hash says."""
    return DataDamaged(
        f"the object {md5} is damaged: '{path}' has another content",
        md5=md5,
        hint="remove that file; `git track get` or `dvc pull` brings it again from a data remote.",
    )


def part(path: Path) -> bool:
    """Put a file of its own, writable and with the same content and times, in the place of a link.

    Atomic; a reflink where possible. False where the link led to nothing: then it is gone.

    Raises:
        WriteFailed: it cannot be read or written; the link stays.
    """
    temporary = path.parent / _unfinished()
    try:
        if not os.path.exists(path):
            path.unlink()
            return False
        try:
            _copy_to(path, temporary)
            os.rename(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise refused(path, error, hint="make it and its directory writable.") from error
    return True


def _unfinished() -> str:
    """A name that tells which process of which host makes the file."""
    return f"{UNFINISHED}{_host()}-{os.getpid()}-{os.urandom(6).hex()}"


def _host() -> str:
    from zlib import crc32

    return f"{crc32(os.uname().nodename.encode()):08x}"


def sweep(directory: int) -> None:
    """Remove what processes that were killed left in an open directory.

    Never what one of this host makes that still lives; another host's, or one of unknown origin,
    when it is two days old.
    """
    for name in os.listdir(directory):
        if name.startswith(UNFINISHED) and _is_left(directory, name):
            try:
                os.unlink(name, dir_fd=directory)
            except OSError:
                continue


def _is_left(directory: int, name: str) -> bool:
    try:
        if time.time() - os.stat(name, dir_fd=directory, follow_symlinks=False).st_ctime > _STALE:
            return True
        host, pid, _ = name.removeprefix(UNFINISHED).split("-")
        if host == _host():
            os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return False


def _copy_to(path: Path, target: Path) -> None:
    from shutil import copyfileobj

    with open(path, "rb") as old, open(os.open(target, _NEW, 0o666), "wb") as new:
        if not clone(old.fileno(), new.fileno()):
            copyfileobj(old, new, _PIECE)
        new.flush()
        seen = os.fstat(old.fileno())
        os.utime(new.fileno(), ns=(seen.st_atime_ns, seen.st_mtime_ns))


@dataclass
class Placing:
    """One object on its way to one place.

    `unshared` holds pairs of devices, the object's and the target's, between which no reflink was
    possible. All placings of a cache share it: else each file would be made twice.
    """

    md5: str
    object: str
    target: Path
    dir_fd: int | None
    links: Sequence[str]
    stats: Stats | None
    unshared: set[tuple[int, int]]
    meter: Meter
    _source: int = field(init=False, default=-1)
    _status: os.stat_result = field(init=False)
    _temporary: str = field(init=False)
    _linked: bool = field(init=False, default=False)
    _nameless: bool = field(init=False, default=bool(_NAMELESS))
    _verified: bool = field(init=False, default=False)

    def run(self) -> None:
        """Make it without a name where that is possible, else under another one; then rename.

        Raises:
            FileNotFoundError: there is no such object.
            DataDamaged: it is not what its hash says.
            BadPath: the target is a directory, or its directory does not exist.
            WriteFailed: it cannot be written; nothing of it is there.
        """
        self._source, self._status = self._open_object()
        self._temporary = os.path.join(self.target.parent, _unfinished())
        try:
            self._make()
            os.rename(self._temporary, self.target, src_dir_fd=self.dir_fd, dst_dir_fd=self.dir_fd)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise BadPath(
                f"cannot put a file at '{self.target}': {error.strerror}",
                path=os.fspath(self.target),
            ) from error
        except OSError as error:
            raise refused(self.target, error, hint="make its directory writable.") from error
        else:
            self._remove_temporary()
            if self._linked:
                # A new link changed the ctime of the object: that was us, the content is the same.
                self._known(os.fstat(self._source))
        finally:
            self._remove_temporary()
            os.close(self._source)

    def _remove_temporary(self) -> None:
        """Also after success: renaming a file onto a hard link of itself leaves both names."""
        try:
            os.unlink(self._temporary, dir_fd=self.dir_fd)
        except OSError:
            pass

    def _open_object(self) -> tuple[int, os.stat_result]:
        try:
            return open_source(self.object)
        except BadPath as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise error.__cause__
            raise damaged(self.md5, self.object) from error

    def _make(self) -> None:
        ways = {
            "reflink": self._reflink,
            "hardlink": self._hardlink,
            "symlink": self._symlink,
            "copy": self._copy,
        }
        for link in self.links:
            if link in ways and ways[link]():
                return
        raise WriteFailed(
            f"cannot put a file at '{self.target}' by {' or '.join(self.links)}",
            hint="`dvc config cache.type reflink,copy` allows a copy as well.",
        )

    def _copy(self) -> bool:
        descriptor = self._open()
        try:
            os.lseek(self._source, 0, os.SEEK_SET)
            # Each byte is told once, although a link that was tried first had it verified.
            meter = SILENT if self._verified else self.meter
            self._compare(pour(self._source, _writer(descriptor), meter))
            named = self._name(descriptor)
        finally:
            os.close(descriptor)
        return named or self._copy()

    def _reflink(self) -> bool:
        devices = self._status.st_dev, os.stat(self.target.parent, dir_fd=self.dir_fd).st_dev
        if devices in self.unshared:
            return False
        descriptor = self._open()
        try:
            if clone(self._source, descriptor):
                self._verify()
                return self._name(descriptor) or self._reflink()
        finally:
            os.close(descriptor)
        self._remove_temporary()
        self.unshared.add(devices)
        return False

    def _hardlink(self) -> bool:
        if not self._status.st_size:
            # One inode for every empty file would soon have too many links (as in DVC).
            return self._copy()
        self._verify()
        path = os.path.realpath(self.object)
        try:
            os.link(path, self._temporary, dst_dir_fd=self.dir_fd)
            self._linked = True
        except OSError as error:
            return _next(error)
        return True

    def _symlink(self) -> bool:
        self._verify()
        try:
            os.symlink(self.object, self._temporary, dir_fd=self.dir_fd)
        except OSError as error:
            return _next(error)
        return True

    def _open(self) -> int:
        """A new file, without a name if the file system can do that: a kill leaves nothing then."""
        if self._nameless:
            try:
                return os.open(self.target.parent, _NAMELESS, 0o666, dir_fd=self.dir_fd)
            except OSError:
                self._nameless = False
        return os.open(self._temporary, _NEW, 0o666, dir_fd=self.dir_fd)

    def _name(self, descriptor: int) -> bool:
        """Give a file its temporary name; False if it must be made again, under that name."""
        if not self._nameless:
            return True
        try:
            # Without a `src_dir_fd` Python calls link(2), which would link the symlink in /proc.
            os.link(
                f"/proc/self/fd/{descriptor}",
                self._temporary,
                src_dir_fd=descriptor,
                dst_dir_fd=self.dir_fd,
            )
        except OSError:
            self._nameless = False
        return self._nameless

    def _verify(self) -> None:
        """See that the object is what its hash says, by its `stat` if that is known.

        Raises:
            DataDamaged: it is not.
        """
        if self._verified:
            return
        if self.stats and self.stats.get(self._status) == self.md5:
            self.meter.advance(self._status.st_size)
        else:
            os.lseek(self._source, 0, os.SEEK_SET)
            self._compare(pour(self._source, None, self.meter))
            self._known(self._status)
        self._verified = True

    def _compare(self, found: str) -> None:
        if found != self.md5:
            raise damaged(self.md5, self.object)

    def _known(self, status: os.stat_result) -> None:
        same = numbers(status)[:4] == numbers(self._status)[:4]
        if self.stats and same:
            self.stats.put(status, self.md5, when=time.time_ns())


def _next(error: OSError) -> bool:
    """False where another way may work; anything else is raised again."""
    if error.errno in _UNABLE:
        return False
    raise error


def _writer(descriptor: int) -> Callable[[memoryview], None]:
    def write(piece: memoryview) -> None:
        done = os.write(descriptor, piece)
        while done < len(piece):
            done += os.write(descriptor, piece[done:])

    return write
