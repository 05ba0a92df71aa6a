"""By what a file is known without reading it: five numbers that `stat` gives.

Pure. Knows when these numbers can be relied upon, and no file.
"""

from __future__ import annotations

import os
from typing import TypeAlias

__all__ = ["Numbers", "numbers", "settled"]

Numbers: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime, both in nanoseconds.

The ctime is there because nobody can set it: a tool that writes in place and puts the mtime back
(`touch -r`, `rsync -t`) is noticed; a chmod or a new hard link costs one needless hash.
"""

# Linux sets the mtime of a file that is mapped (np.memmap) at the first write to each of its pages,
# and not again until that page was written back: 30 s after the write (dirty_expire_centisecs), by
# a thread that wakes every 5 s. This is also far above the tick of any file system's clock.
_REST = 60_000_000_000


def numbers(status: os.stat_result) -> Numbers:
    """What a file is known by."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def settled(file: Numbers, *, when: int) -> bool:
    """Whether any write after `when`, in nanoseconds, would show in the file's times.

    It does if the file had rested for a minute by then. The mtime decides: a write sets it, while
    a new link or mode only sets the ctime.
    """
    return file[3] + _REST < when
