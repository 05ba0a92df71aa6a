"""Kept content at hand under its own file name: links into the cache, for whoever only reads.

Knows where they stand and how they come to be whole at once, and that MLflow refuses a model whose
files are symlinks out of its directory. Fetches and checks nothing.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from gittrack.cache import Cache
from gittrack.errors import WriteFailed

__all__ = ["put"]

_MODEL = "MLmodel"


def put(cache: Cache, shelves: Path, md5: str, name: str, inner: Mapping[str, str]) -> Path:
    """Make a file or directory of symlinks into the cache, at a place that hash and name give.

    `inner` maps the paths of a directory's files to their md5; of a file it is its own under the
    empty path. A model of MLflow's gets hard links, or copies where there can be none. Appears at
    once, is left if it is whole; several may make it at the same time.

    Raises:
        WriteFailed: it cannot be written.
    """
    found = shelves / md5 / name
    if not _is_whole(cache, found, inner):
        try:
            _shelve(cache, found, inner)
        except OSError as error:
            raise WriteFailed(f"cannot write '{shelves}': {error.strerror}") from error
    return found


def _links(cache: Cache, found: Path, inner: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    for path, md5 in inner.items():
        yield found / path if path else found, os.path.abspath(cache.path(md5))


def _is_whole(cache: Cache, found: Path, inner: Mapping[str, str]) -> bool:
    try:
        if not inner:
            return found.is_dir()
        same = _is_same if _MODEL in inner else _leads
        return all(same(link, there) for link, there in _links(cache, found, inner))
    except OSError:
        return False


def _leads(link: Path, there: str) -> bool:
    return os.readlink(link) == there


def _is_same(link: Path, there: str) -> bool:
    """Whether a file is another one, or was copied from it and not written to."""
    here, other = os.lstat(link), os.stat(there)
    alike = (here.st_size, here.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
    return os.path.samestat(here, other) or (alike and stat.S_ISREG(here.st_mode))


def _shelve(cache: Cache, found: Path, inner: Mapping[str, str]) -> None:
    """Make the links beside `found` and put them in its place at once."""
    found.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".tmp-", dir=found.parent))
    try:
        if not inner:
            (made / "new").mkdir()
        for link, there in _links(cache, made / "new", inner):
            link.parent.mkdir(parents=True, exist_ok=True)
            if _MODEL in inner:
                _place(there, link)
            else:
                link.symlink_to(there)
        if os.path.lexists(found):
            found.rename(made / "old")
        (made / "new").rename(found)
    except OSError:
        # Another process may have been quicker.
        if not _is_whole(cache, found, inner):
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _place(there: str, link: Path) -> None:
    try:
        os.link(there, link)
    except OSError:
        # Another file system, or another owner's file (fs.protected_hardlinks).
        shutil.copy2(there, link)
