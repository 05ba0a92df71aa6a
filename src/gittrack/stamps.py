"""What `stat` says of files and directories, so that a change is seen without reading anything.

Knows when a time is too young to be trusted: another change could bear the same. Knows nothing of
what the files hold.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gittrack.errors import GitFailed

__all__ = ["ABSENT", "YOUNG", "Listed", "are_unchanged", "directories", "listed", "stamp"]

ABSENT = "-"
"""The stamp of what is not there."""

YOUNG = 0
"""The stamp of a listed file that may have changed since: equal to none."""

_TICK = 50_000_000
_TICK_IN_SECONDS = 2_000_000_000


class Listed(NamedTuple):
    """What lies in a directory: files with what `stat` says of them, as one number, and others."""

    files: dict[str, int]
    directories: list[str]


def stamp(path: str, now: int | None = None) -> str:
    """What changes with a file or directory, `ABSENT` if there is none.

    With `now` (ns since the epoch, taken before) it is empty, and so equal to none, where the last
    change is so young that another one could bear the same time.
    """
    try:
        seen = os.stat(path)
    except (OSError, ValueError):
        return ABSENT
    if now is not None and _is_young(seen, now):
        return ""
    return f"{seen.st_ino}:{seen.st_mtime_ns}:{seen.st_ctime_ns}:{seen.st_size}"


def are_unchanged(top: str, seen: Mapping[str, str]) -> bool:
    """Whether all of these paths below `top` have the stamps that were taken of them."""
    return all(stamp(f"{top}/{path}") == was for path, was in seen.items())


def _is_young(seen: os.stat_result, now: int) -> bool:
    # Some file systems count whole seconds, or two.
    tick = _TICK if seen.st_mtime_ns % 1_000_000_000 else _TICK_IN_SECONDS
    return now - seen.st_mtime_ns < tick


def listed(directory: str, now: int) -> Listed:
    """The files in a directory, each with a stamp, and its directories; nothing if there is none.

    Neither locks nor hidden files, which are no refs to Git. Links are what they lead to.

    Raises:
        GitFailed: it cannot be read.
    """
    files: dict[str, int] = {}
    inner: list[str] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.endswith(".lock"):
                    continue
                if entry.is_dir():
                    inner.append(entry.name)
                else:
                    files[entry.name] = _number(entry, now)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise GitFailed(f"'{directory}' cannot be read: {error.strerror}") from error
    return Listed(files, sorted(inner))


def _number(entry: os.DirEntry[str], now: int) -> int:
    try:
        seen = entry.stat()
    except OSError:
        return YOUNG
    if _is_young(seen, now):
        return YOUNG
    # The hash of a tuple of integers is the same in every process.
    return hash((seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size)) or 1


def directories(top: str, path: str) -> list[str]:
    """The directory `path` below `top` and all those within it, as paths below `top`."""
    found = [path]
    for here in found:
        found += [f"{here}/{name}" for name in listed(f"{top}/{here}", 0).directories]
    return found
