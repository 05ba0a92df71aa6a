"""The run that the first rank of a parallel program begins, waited for by the others.

Knows by what a run of the same program is told from others. Knows nothing of how it began, nor of
what becomes of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from gittrack import ranks, sessions
from gittrack.errors import NoActiveRun
from gittrack.git import Repo
from gittrack.journal import unframe

__all__ = ["begin_of", "job", "join", "waits"]

_TIMEOUT = 60.0


def job() -> str | None:
    """What the ranks of the program that this process is one of have in common; None outside."""
    return ranks.job(os.environ)


def waits() -> bool:
    """Whether this process is a rank that leaves it to the first one to begin runs."""
    return job() is not None and bool(ranks.rank(os.environ))


def join(repo: Repo, *, left: Collection[Path]) -> tuple[Path, dict[str, Any]]:
    """Wait for the run of our program -> its directory, and how it began.

    One that is in `left` is not meant: we were in it already.

    Raises:
        NoActiveRun: it does not come within `track.rankTimeout` seconds (60).
        UsageError: that setting is no number of seconds.
    """
    patience = repo.seconds("track.rankTimeout", default=_TIMEOUT)
    deadline = time.monotonic() + patience
    while True:
        found = _look(repo, left)
        if found is not None:
            return found
        if time.monotonic() >= deadline:
            raise NoActiveRun(
                f"rank 0 began no run within {patience:g} seconds: start all ranks inside of one, "
                "'git track run -- torchrun ...'"
            )
        time.sleep(0.05)


def _look(repo: Repo, left: Collection[Path]) -> tuple[Path, dict[str, Any]] | None:
    ours = job()
    for directory in sessions.live(repo.state):
        if directory in left:
            continue
        known = begin_of(directory)
        if known.get("job") == ours and not sessions.is_lost(directory):
            return directory, known
    return None


def begin_of(directory: Path) -> dict[str, Any]:
    """How the run of a directory began; empty where that cannot be read."""
    try:
        events, _ = unframe((directory / "begin").read_bytes())
    except OSError:
        return {}
    return events[0] if events else {}
