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

# A later write may carry the time of an earlier one when both fall into one tick of the file
# system's clock: at most 10 ms on Linux, 2 s where times are whole seconds.
_TICK = 50_000_000
_COARSE_TICK = 2_000_000_000


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
    """Whether a write after `when`, in nanoseconds, would show in the file's times.

    The mtime decides: a write sets it, while a new link or mode only sets the ctime.
    """
    tick = _TICK if file[4] % 1_000_000_000 else _COARSE_TICK
    return file[3] + tick < when
