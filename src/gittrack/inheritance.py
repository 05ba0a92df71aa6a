"""Which run the children of this process log to: what they are told, and what we were.

Knows the environment variable, and the one way to start a process that hands down another
environment than that of who starts it. Knows nothing of what such a run is.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from gittrack.journal import RUN_VARIABLE

__all__ = ["hand_down", "inherited"]

_KEY = "gittrack_run"

_told: object = None


def inherited() -> str | None:
    """The directory of the run that this process was started in, or of its own; None outside.

    A child of multiprocessing's server (the method `forkserver`, the usual one on Linux since
    Python 3.14) gets into its environment what the process that started it says.
    """
    global _told
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        parent, current = process.parent_process(), process.current_process()
        # The server has the environment of a moment that may be before the run, or in another.
        if parent is not None and current is not _told and parent.pid != os.getppid():
            config = _config(current)
            if _KEY in config:
                _set(config[_KEY])
            _told = current
    return os.environ.get(RUN_VARIABLE)


def hand_down(directory: str | None) -> None:
    """Have children that start from now on log to the run in `directory`; None: to none."""
    _set(directory)
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        _config(process.current_process())[_KEY] = directory


def _set(directory: str | None) -> None:
    if directory is None:
        os.environ.pop(RUN_VARIABLE, None)
    else:
        os.environ[RUN_VARIABLE] = directory


def _config(process: Any) -> dict[str, Any]:
    """What multiprocessing copies to all descendants of a process.

    Source: Lib/multiprocessing/process.py, _MainProcess.
    """
    config = getattr(process, "_config", None)
    return config if isinstance(config, dict) else {}
