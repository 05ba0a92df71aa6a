"""Work trees beside the user's own, and the branches that are made for them.

All of it is the executable's, because a checkout means filters, attributes and sparse patterns.
Knows nothing of which commit is worth a look.
"""

from __future__ import annotations

import os
from pathlib import Path

from gittrack.errors import GitFailed, UsageError
from gittrack.git.executable import Executable, text

__all__ = ["Worktrees"]

# Husky's hooks, pre-commit's and DVC's do what files of the new work tree tell them.
_NO_HOOKS = ("core.hooksPath=/dev/null",)


class Worktrees(Executable):
    """The linked work trees of a repository."""

    def check_tree(self, tree: str) -> None:
        """Make sure that Git would check a tree out; nothing is written.

        Raises:
            GitFailed: it, or one within it, is missing, or holds a path that Git refuses: `.git`
                in any spelling, `..`.
        """
        import tempfile

        with tempfile.TemporaryDirectory(prefix="gittrack-") as scratch:
            index = os.path.join(scratch, "index")
            self.git("read-tree", "--dry-run", tree, env={"GIT_INDEX_FILE": index})

    def create_branch(self, name: str, commit: str) -> str:
        """Make a branch that nothing checks out -> its name, as `git branch` understands it.

        Raises:
            UsageError: Git takes no such name for a branch.
            GitFailed: there is a branch of this name, or the commit is missing.
        """
        try:
            said = self.git("check-ref-format", "--branch", name)
        except GitFailed as error:
            raise UsageError(f"'{name}' is not a valid branch name") from error
        branch = text(said).removesuffix("\n")
        self.git("branch", "--no-track", "--", branch, commit)
        return branch

    def add_worktree(self, directory: Path, commit: str, *, branch: str | None = None) -> None:
        """Check a commit out into a new directory, on a new branch or on none; all or nothing.

        `directory` is absolute; what is missing above it is made. No hook runs. Submodules stay
        empty, as `git worktree add` leaves them.

        Raises:
            UsageError: Git takes no such name for a branch.
            GitFailed: the branch is there already, the directory cannot be used, or Git refuses
                what is in the commit.
        """
        if branch is None:
            self._add(directory, "--detach", commit)
            return
        made = self.create_branch(branch, commit)
        try:
            self._add(directory, None, made)
        except BaseException:
            self.git("update-ref", "-d", f"refs/heads/{made}", commit)
            raise

    def _add(self, directory: Path, option: str | None, what: str) -> None:
        place = os.fspath(directory)
        ours = not os.path.lexists(directory / ".git")
        words = ["worktree", "add", *([option] if option else []), "--", place, what]
        try:
            # Git would fill the index of the hook that runs us instead of the new work tree's.
            self.git(*words, env={"GIT_INDEX_FILE": None}, config=_NO_HOOKS)
        except GitFailed:
            # Git has taken away what it had made.
            raise
        except BaseException:
            # Git did not get to it: after a Ctrl-C it is given a quarter of a second.
            if ours:
                self.git("worktree", "remove", "-ff", "--", place, accept=(0, 128))
            raise
