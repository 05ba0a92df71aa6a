"""Finding a repository and opening it with libgit2, or saying why it cannot be opened.

Where libgit2 and Git disagree, Git's answer counts, and its refusal becomes our error. Knows
nothing of what is done with a repository once it is open.
"""

from __future__ import annotations

import os
from pathlib import Path

import pygit2

from gittrack.errors import (
    NotARepository,
    RepositoryError,
    UnsupportedRepository,
    UntrustedRepository,
)
from gittrack.git.executable import first_line, run, text

__all__ = ["find"]

_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR")


def find(start: str | os.PathLike[str]) -> tuple[pygit2.Repository, Path | None]:
    """Open the repository at or above `start` -> libgit2's handle and the work tree, if any.

    Raises:
        NotARepository: there is none.
        UntrustedRepository: another user owns it and `safe.directory` does not name it.
        UnsupportedRepository: libgit2 cannot read it (SHA-256, reftable).
    """
    if any(os.environ.get(name) for name in _PLACES):
        return _as_git_says(start)
    ceilings = os.environ.get("GIT_CEILING_DIRECTORIES", "")
    try:
        found = pygit2.discover_repository(os.fspath(start), False, ceilings)
        handle = pygit2.Repository(found) if found else None
    except (pygit2.GitError, KeyError, ValueError, OSError):
        handle = None
    if handle is None:
        return _as_git_says(start)
    return handle, Path(handle.workdir) if handle.workdir else None


def _as_git_says(start: str | os.PathLike[str]) -> tuple[pygit2.Repository, Path | None]:
    git_dir = _ask(start, "--absolute-git-dir")
    bare = _ask(start, "--is-bare-repository") == "true"
    inside = not bare and _ask(start, "--is-inside-work-tree") == "true"
    root = Path(_ask(start, "--show-toplevel")) if inside else None
    try:
        handle = pygit2.Repository(git_dir)
    except pygit2.GitError:
        # Git has just accepted it: by a safe.directory that libgit2 does not see, or it is of
        # a kind that libgit2 does not know.
        pygit2.settings.owner_validation = False
        try:
            handle = pygit2.Repository(git_dir)
        except pygit2.GitError as error:
            raise _unsupported(start, git_dir, str(error)) from error
    return handle, root


def _ask(start: str | os.PathLike[str], question: str) -> str:
    """One answer of `git rev-parse`, or Git's refusal as our error."""
    done = run("rev-parse", question, cwd=start)
    if done.returncode == 0:
        return text(done.stdout).removesuffix("\n")
    raise _refusal(start, text(done.stderr).strip())


def _refusal(start: str | os.PathLike[str], words: str) -> RepositoryError:
    first = first_line(words).removeprefix("fatal: ")
    if "safe.directory" in words:
        command = next((line.strip() for line in words.split("\n") if "git config" in line), "")
        return UntrustedRepository(first, hint=f"if you trust its owner: `{command}`")
    if "extension" in words or "repository format" in words or "ref storage" in words:
        return UnsupportedRepository(first, hint="this Git cannot open it; a newer one may.")
    where = os.path.abspath(start)
    return NotARepository(
        f"'{where}' is not in a Git repository",
        hint="`git init` makes one; gittrack needs nothing else.",
    )


def _unsupported(start: str | os.PathLike[str], git_dir: str, words: str) -> Exception:
    config = text(run("config", "--list", cwd=start).stdout).lower()
    for key, kind in (("extensions.objectformat=sha256", "SHA-256"), ("refstorage=", "reftable")):
        if key in config:
            return UnsupportedRepository(
                f"'{git_dir}' is a {kind} repository, which gittrack cannot open yet",
                hint="SHA-1 repositories with files as ref storage work: `git init "
                "--object-format=sha1`.",
            )
    return UnsupportedRepository(f"'{git_dir}' cannot be opened: {words}")
