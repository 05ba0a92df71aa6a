"""The one door to Git: objects, refs, notes, configuration, the private index.

Only below it is pygit2 imported and `git` run. libgit2 reads and writes objects and refs; the
executable does what only Git itself does right: filters, signatures, notes, patches, its own
configuration. Knows nothing of runs.

Each module gives `Repo` one side. A second back end would stand in for `objects`, `commits`,
`references` and `opening`, the only ones that hold libgit2's handle.
"""

from __future__ import annotations

import os

from gittrack.git.commits import Commits
from gittrack.git.comparison import Comparison
from gittrack.git.configuration import Configuration
from gittrack.git.executable import OLDEST_GIT
from gittrack.git.notes import Notes
from gittrack.git.opening import find
from gittrack.git.values import ZERO, Commit, Entry, Identity, Ref, Tag, is_id
from gittrack.git.worktrees import Worktrees

__all__ = ["OLDEST_GIT", "ZERO", "Commit", "Entry", "Identity", "Ref", "Repo", "Tag", "is_id"]


class Repo(Configuration, Notes, Commits, Comparison, Worktrees):
    """An open repository. Cheap to pass around; not for use from several threads at once."""

    @classmethod
    def open(cls, start: str | os.PathLike[str] = ".") -> Repo:
        """Open the repository at or above `start`, found as Git finds it (`GIT_DIR` included).

        Raises:
            NotARepository: there is none.
            UntrustedRepository: another user owns it and `safe.directory` does not name it.
            UnsupportedRepository: libgit2 cannot read it (SHA-256, reftable).
        """
        return cls(*find(start))
