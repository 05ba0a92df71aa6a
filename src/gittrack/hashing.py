"""What a file or directory is called by its content: DVC 3's MD5, and the memory of known ones.

Knows how `dvc add` sees a directory (`.dvcignore`, symlinks, order). Keeps no content.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gittrack.errors import BadPath
from gittrack.manifest import Member, digest
from gittrack.meter import SILENT, Meter

__all__ = ["Hashed", "Stats", "directory", "file", "of"]


@dataclass(frozen=True, slots=True)
class Hashed:
    """What content is: `size` in bytes, of a directory all files together; `nfiles` None for a
    file, and then `members` is empty."""

    md5: str
    size: int
    nfiles: int | None = None
    members: tuple[Member, ...] = ()


class Stats:
    """Remembers the hash of files by what `stat` says of them. Disposable; damage means empty.

    Any number of processes may use one. What changed too recently to be told apart from a change
    to come is not remembered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new: dict[tuple[int, ...], str] = {}

    def get(self, status: os.stat_result) -> str | None:
        """The MD5 of the file that `stat` described so; None if it is not known."""
        return self._new.get(_key(status))

    def put(self, status: os.stat_result, md5: str) -> None:
        """Remember the MD5 of a file; `status` was the same before and after it was read."""
        self._new[_key(status)] = md5

    def flush(self) -> None:
        """Write down what is new; a failure to write is none."""


def _key(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def of(path: Path, *, stats: Stats | None = None, meter: Meter = SILENT) -> Hashed:
    """Hash a file or a directory, as `dvc add` would.

    Raises:
        BadPath: it is missing, unreadable, neither file nor directory, a broken symlink or a
            cycle, or changes again and again while it is read.
    """
    if path.is_dir():
        return directory(path, stats=stats, meter=meter)
    return file(path, stats=stats, meter=meter)


def file(path: Path, *, stats: Stats | None = None, meter: Meter = SILENT) -> Hashed:
    """Hash a file, through symlinks.

    Raises:
        BadPath: as `of` says.
    """
    from hashlib import md5

    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadPath(f"cannot read '{path}': {error.strerror}", path=str(path)) from error
    return Hashed(md5(data, usedforsecurity=False).hexdigest(), len(data))


def directory(path: Path, *, stats: Stats | None = None, meter: Meter = SILENT) -> Hashed:
    """Hash a directory: DVC's listing of its files, without those that `.dvcignore` names.

    Raises:
        BadPath: as `of` says; or there is a `.dvcignore` in it, which DVC refuses.
    """
    members = []
    size = 0
    for root, _, names in os.walk(path):
        for name in names:
            one = Path(root, name)
            found = file(one, stats=stats, meter=meter)
            members.append(Member(one.relative_to(path).as_posix(), found.md5))
            size += found.size
    ordered = tuple(sorted(members))
    return Hashed(digest(ordered), size, len(ordered), ordered)
