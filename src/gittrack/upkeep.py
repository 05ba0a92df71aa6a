"""The little that recording many runs owes to the repository: Git's own tidying up, begun in time.

Knows when. What is done, and whether, Git's settings say.
"""

from __future__ import annotations

import os

from gittrack.errors import GittrackError
from gittrack.git import Repo

__all__ = ["maintain"]


def maintain(repo: Repo) -> None:
    """Let Git tidy up in the background when many loose objects have gathered, as `git gc --auto`.

    libgit2 never does. Git's own settings (`gc.auto`, `maintenance.auto`) decide.
    """
    try:
        # Git's own estimate: objects/17 holds one in 256 (gc.c, too_many_loose_objects).
        gathered = len(os.listdir(repo.common_dir / "objects" / "17"))
        if gathered > 27 and repo.flag("maintenance.auto", default=True):
            repo.spawn("maintenance", "run", "--auto", "--quiet")
    except (OSError, GittrackError):
        # The run is recorded; Git itself will complain of its setting.
        return
