"""A piece of a test in another process: what a fork shares, and what only the other one sees."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

__all__ = ["elsewhere"]


def elsewhere(work: Callable[[], object]) -> int:
    """Run `work` in a forked process -> its exit code: 0 for true, 1 for false."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
