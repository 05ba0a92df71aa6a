"""The files of a cache's objects: where each lies, which there are, taken out and put back.

Knows names and times of files, `<objects>/ab/cdef...`. Knows nothing of what they hold, nor of how
they come in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from gittrack import manifest
from gittrack.intake import TEMPORARY, refused

__all__ = ["Stock"]

_PREFIX = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{30}(\.dir)?")
_ASIDE = f"{TEMPORARY}gone-"
"""What the name of an object that a cleaning is about to remove begins with."""


class Stock:
    """The objects below one directory. Any number of processes and threads may use it at once."""

    def __init__(self, objects: Path) -> None:
        """`objects` is an absolute path; nothing need be there yet."""
        self._objects = objects

    def _place(self, md5: str) -> str:
        return f"{self._objects}/{md5[:2]}/{md5[2:]}"

    def objects(self) -> Iterator[tuple[str, os.stat_result]]:
        """Every object that is here, with what `stat` says of its file; in no order."""
        for prefix, entry in self._entries():
            if _REST.fullmatch(entry.name) and _PREFIX.fullmatch(prefix):
                yield prefix + entry.name, entry.stat(follow_symlinks=False)

    def leftovers(self) -> Iterator[tuple[Path, os.stat_result]]:
        """The files of writers that were interrupted, or are at work: no objects."""
        for _, entry in self._entries():
            if entry.name.startswith(TEMPORARY):
                yield Path(entry.path), entry.stat(follow_symlinks=False)

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """What is in the directories of objects, and the files beside these."""
        for entry in _listing(self._objects):
            if entry.is_dir(follow_symlinks=True):
                yield from ((entry.name, inner) for inner in _listing(entry.path))
            else:
                yield "", entry

    def discard(
        self, md5: str, *, spare: Callable[[os.stat_result], bool] | None = None
    ) -> int | None:
        """Remove an object -> the bytes that its file had; None if it was not here, or is spared.

        It is taken aside first; then `spare` decides by its `stat`, and may have it put back. So
        whoever gives it a new time before sees it spared, and whoever does so after finds that it
        is gone. Its ctime has no meaning, because taking it aside sets that.

        Killed in between, it is `restore` that puts it back.

        Raises:
            BadFile: `md5` is no hash.
            WriteFailed: it cannot be removed.
        """
        path = Path(self._place(manifest.check_md5(md5)))
        aside = path.with_name(f"{_ASIDE}{os.urandom(6).hex()}-{path.name}")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused(path, error) from error
        try:
            status = aside.lstat()
            spared = True
            try:
                spared = spare is not None and spare(status)
            finally:
                if spared:
                    _put_back(aside, path)
            if spared:
                return None
            aside.unlink()
        except FileNotFoundError:
            # Another cleaning, of a cache that is shared, put it back.
            return None
        except OSError as error:
            raise refused(path, error) from error
        return status.st_size

    def restore(self) -> None:
        """Put back what cleanings that were killed had taken aside.

        Raises:
            WriteFailed: the cache cannot be written.
        """
        for path, _ in self.leftovers():
            rest = path.name.removeprefix(_ASIDE).partition("-")[2]
            if path.name.startswith(_ASIDE) and _REST.fullmatch(rest):
                try:
                    _put_back(path, path.with_name(rest))
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise refused(path, error) from error


def _put_back(aside: Path, path: Path) -> None:
    """Give an object its name again, unless it is there again; then that one is newer."""
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    aside.unlink()


def _listing(directory: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []
