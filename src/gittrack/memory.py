"""What DVC remembers of the files that it hashed, taken over so that nothing is hashed twice.

Knows where DVC 3 keeps its state and how an entry tells that a file is unchanged: inode, mtime and
size. An mtime can be put back, so less is believed here: only of files whose ctime shows that
nobody did, and only what belongs to this user. Where anything is not as known here, DVC remembers
nothing, and the file is read.

Sources: dvc/repo/__init__.py (site_cache_dir), dvc/dirs.py, dvc_data/hashfile/state.py.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG

from gittrack.inode import Numbers, numbers
from gittrack.setup import Setup
from gittrack.stats import Stats

__all__ = ["recall"]

_MD5 = re.compile(r"[0-9a-f]{32}")
# How far apart a write may set the two times, where one of them has whole seconds.
_AT_ONCE = 2_000_000_000


def recall(setup: Setup, path: Path, stats: Stats) -> int:
    """Tell `stats` what DVC knows of a file, or of the files of a directory -> their number.

    Costs a `stat` for each file that DVC knows there. It is believed of a file that has the inode,
    mtime and size that it had when DVC read it, unless its ctime allows that somebody wrote to it
    since and put the mtime back, as `touch -r` and `rsync -t` do.
    """
    if setup.directory is None:
        return 0
    database = _database(setup)
    if database is None:
        return 0
    now = time.time_ns()
    try:
        began = os.stat(_beginning(setup.directory)).st_mtime_ns
    except OSError:
        return 0
    entries = _entries(database, os.fspath(path))
    told = (_believed(name, said, began) for name, said in entries)
    known = [one for one in told if one is not None]
    stats.put_all(known, when=now)
    return len(known)


def _database(setup: Setup) -> Path | None:
    """DVC's state of this project; None where there is none that we can trust."""
    import getpass
    from hashlib import md5

    assert setup.directory is not None
    root = os.path.realpath(setup.directory.parent)
    try:
        began = os.path.getmtime(_beginning(setup.directory))
        token = str((root, None, began, getpass.getuser(), 3, 0)).encode()
        name = md5(token, usedforsecurity=False).hexdigest()
        found = Path(_shared(setup), "repo", name, "hashes", "local", "cache.db")
        for place in (found, *list(found.parents)[:3]):
            # The directory of all users lies in /var/tmp.
            status = os.lstat(place)
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                return None
    except (OSError, KeyError, ImportError):
        return None
    return found


def _beginning(directory: Path) -> Path:
    """The file whose mtime is the time before which DVC had hashed nothing of this project."""
    return directory / "tmp" / "btime"


def _shared(setup: Setup) -> str:
    """The directory that all projects of this machine share."""
    standard = "/Library/Caches/dvc" if sys.platform == "darwin" else "/var/tmp/dvc"
    return os.environ.get("DVC_SITE_CACHE_DIR") or setup.site or standard


def _entries(database: Path, path: str) -> Iterator[tuple[str, str]]:
    """What DVC says of a path and of all below it, as it wrote it down."""
    import sqlite3
    from contextlib import closing
    from urllib.parse import quote

    words = "SELECT key, value FROM Cache WHERE raw = 1 AND (key = ? OR key > ? AND key < ?)"
    try:
        address = f"file:{quote(os.fsencode(database))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=1.0)) as connection:
            # '0' follows '/' in ASCII: all that begins with the directory lies between.
            yield from connection.execute(words, (path, f"{path}/", f"{path}0"))
    except (sqlite3.Error, UnicodeError):
        return


def _believed(name: object, said: object, began: int) -> tuple[Numbers, str] | None:
    """A file and its MD5, if it still is as DVC saw it, which was after `began`."""
    try:
        status = os.lstat(str(name))
        entry = json.loads(str(said))
        if entry["version"] != 1 or entry["checksum"] != _token(status):
            return None
        md5 = entry["hash_info"]["md5"]
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    if not S_ISREG(status.st_mode) or not isinstance(md5, str) or not _MD5.fullmatch(md5):
        return None
    known = numbers(status)
    return (known, md5) if _is_untouched(known, began) else None


def _is_untouched(file: Numbers, since: int) -> bool:
    """Whether the mtime surely is that of the last write, or no write came after `since`.

    DVC writes no time beside its entries.
    """
    *_, mtime, ctime = file
    return ctime < since or mtime <= ctime <= mtime + _AT_ONCE


def _token(status: os.stat_result) -> str:
    """What tells a file's state: fsspec's `tokenize` of inode, time and size, as a number."""
    from hashlib import md5

    seen = str(([status.st_ino, status.st_mtime, status.st_size],)).encode()
    return str(int(md5(seen, usedforsecurity=False).hexdigest(), 16))
