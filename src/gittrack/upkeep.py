"""The little that recording many runs owes to the repository: Git's own tidying up, begun in time.

Knows when. What is done, and whether, Git's settings say.
"""

from __future__ import annotations

import os
from pathlib import Path

from gittrack import refs
from gittrack.errors import GittrackError
from gittrack.git import Repo

__all__ = ["MANY", "loose_runs", "maintain", "pack_refs", "to_pack"]

MANY = 300
"""From how many files of their own on the refs of runs are put into one."""

_PACK_REFS = ("pack-refs", "--all")
"""As `git gc` does, which packs all refs; `--include` came with Git 2.42."""


def maintain(repo: Repo) -> None:
    """Let Git tidy up in the background: when many loose objects or refs have gathered.

    libgit2 never does. Git's own settings (`gc.auto`, `maintenance.auto`, `gc.packRefs`) decide.
    """
    try:
        # Git's own estimate: objects/17 holds one in 256 (gc.c, too_many_loose_objects).
        gathered = len(os.listdir(repo.common_dir / "objects" / "17"))
    except OSError:
        gathered = 0
    try:
        many = loose_runs(repo, most=MANY) >= MANY
        if not (gathered > 27 or many) or not repo.flag("maintenance.auto", default=True):
            return
        if many and _may_pack(repo):
            repo.spawn(*_PACK_REFS)
        if gathered > 27:
            repo.spawn("maintenance", "run", "--auto", "--quiet")
    except (OSError, GittrackError):
        # The run is recorded; Git itself will complain of its setting.
        return


def pack_refs(repo: Repo) -> int:
    """Put the refs of runs into one file, where `MANY` have files of their own -> how many had.

    Safe beside whoever writes refs meanwhile. Nothing happens where `gc.packRefs` says so.

    Raises:
        GitFailed: Git cannot write the file, or another process is writing it.
        UsageError: `gc.packRefs` is no boolean.
    """
    before = to_pack(repo)
    if before:
        repo.git(*_PACK_REFS)
    return before


def to_pack(repo: Repo) -> int:
    """How many refs `pack_refs` would put into one file.

    Raises:
        UsageError: `gc.packRefs` is no boolean.
    """
    before = loose_runs(repo)
    return before if before >= MANY and _may_pack(repo) else 0


def loose_runs(repo: Repo, *, most: int | None = None) -> int:
    """How many refs of runs are files of their own, counted up to about `most`."""
    count = 0
    for directory in _directories(repo.common_dir / refs.ROOT):
        try:
            count += len(os.listdir(directory))
        except FileNotFoundError:
            # Git removes a directory when it has packed all that was in it.
            continue
        if most is not None and count >= most:
            break
    return count


def _directories(top: Path) -> list[str]:
    try:
        with os.scandir(top) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _may_pack(repo: Repo) -> bool:
    """Git's own setting: `notbare` says no where there is no work tree (git-config(1))."""
    if repo.config.get("gc.packrefs") == "notbare":
        return not repo.is_bare
    return repo.flag("gc.packrefs", default=True)
