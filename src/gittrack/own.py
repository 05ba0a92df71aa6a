"""Which runs this clone recorded itself, rather than took from somebody else.

Knows a list of commits in the common Git directory. A run that came from a remote may claim
anything of itself; what was recorded here was seen here.
"""

from __future__ import annotations

import os

from gittrack.git import Repo

__all__ = ["is_own", "note"]

_NAME = "own"


def note(repo: Repo, commit: str) -> None:
    """Remember that this clone recorded the run of this commit; a failure to is none."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        descriptor = os.open(repo.state / _NAME, flags, 0o666)
    except OSError:
        return
    try:
        os.write(descriptor, f"{commit}\n".encode())
    except OSError:
        pass
    finally:
        os.close(descriptor)


def is_own(repo: Repo, commit: str) -> bool:
    """Whether this clone recorded the run of this commit, as far as it remembers."""
    try:
        return f"{commit}\n".encode() in (repo.state / _NAME).read_bytes()
    except OSError:
        return False
