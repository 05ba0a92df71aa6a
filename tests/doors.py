"""The Python door as in a process that has logged nothing yet, for tests that log in their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gittrack import active, journal, live

__all__ = ["fresh"]


@contextmanager
def fresh(place: Path) -> Iterator[None]:
    """Stand in `place`, without a run: where nothing is said of one, none of ours begins."""
    before = os.getcwd()
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv(journal.RUN_VARIABLE, raising=False)
        active._close()
        patched.setattr(active, "_complained", "")
        patched.setattr(active, "_remarked", set())
        for name, empty in (("_runs", {}), ("_last", None), ("_off", None), ("_experiment", None)):
            patched.setattr(live, name, empty)
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(before)
            active._close()
