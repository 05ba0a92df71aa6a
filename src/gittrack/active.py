"""The run that this process logs to: its journal file, its complaints, and how it began.

One file for each process that logs, a forked child too; no Git, no network, no lock where something
is appended. Knows nothing of what is logged, nor of how the run is recorded.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from gittrack.errors import NoActiveRun
from gittrack.journal import RUN_VARIABLE, Writer, unframe

__all__ = ["append", "begun", "complain", "fault"]

_START = "start the script with 'git track run -- python ...'"

_writer: Writer | None = None
_opening = Lock()
_complained = False


def append(event: Mapping[str, Any]) -> None:
    """Write one event of the run that this process belongs to, at once (`journal.Writer`).

    A full disk never raises: it is said once on stderr.

    Raises:
        NoActiveRun: this process was not started by `git track run`.
    """
    writer = _writer or _open()
    try:
        writer.append(event)
    except OSError as error:
        complain(f"not recorded: {error.strerror}")


def fault(sentence: str) -> None:
    """Record what could not be recorded as asked; the first such sentence is said on stderr too.

    Raises:
        NoActiveRun: this process was not started by `git track run`.
    """
    complain(sentence)
    append({"fault": sentence})


def complain(sentence: str) -> None:
    """Say on stderr what went wrong, if it is the first thing that this process complains of."""
    global _complained
    if not _complained:
        _complained = True
        print(f"gittrack: {sentence}", file=sys.stderr)


def begun() -> Mapping[str, Any]:
    """All that was known when the run began, read from its directory, and that it still runs.

    Raises:
        NoActiveRun: this process was not started by `git track run`, or the run has ended.
    """
    directory = (_writer or _open()).path.parent
    try:
        events, _ = unframe((directory / "begin").read_bytes())
    except OSError as error:
        raise _gone(directory, error) from error
    if not events:
        raise NoActiveRun(f"how the run in '{directory}' began cannot be read: {_START}")
    return events[0]


def _open() -> Writer:
    global _writer
    with _opening:
        if _writer is None:
            _writer = _new_writer()
        return _writer


def _new_writer() -> Writer:
    directory = os.environ.get(RUN_VARIABLE)
    if not directory:
        # No hint: Python shows its user nothing but the message.
        raise NoActiveRun(f"no run is active: {_START}")
    try:
        return Writer(Path(directory))
    except OSError as error:
        raise _gone(Path(directory), error) from error


def _gone(directory: Path, error: OSError) -> NoActiveRun:
    return NoActiveRun(
        f"the run in '{directory}' has ended, or cannot be used ({error.strerror}): {_START}"
    )


def _forget() -> None:
    """A forked child writes a file of its own: its parent's buffer and offset are not its."""
    global _writer, _opening
    # A thread of the parent's may have held it; that thread is not here.
    _opening = Lock()
    if _writer is not None:
        _writer.abandon()
        _writer = None


def _close() -> None:
    global _writer
    if _writer is not None:
        try:
            _writer.close()
        except OSError:
            pass
        _writer = None


os.register_at_fork(after_in_child=_forget)
atexit.register(_close)
