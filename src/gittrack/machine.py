"""What a run runs on, written into its journal as soon as it is known.

Knows when the answers are in, and which lock files belong to the snapshot. Knows nothing of who
logs what else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gittrack import environment
from gittrack.environment import Pending
from gittrack.git import Repo
from gittrack.story import plain_environment

__all__ = ["Machine"]


class Machine:
    """The environment of one run, on its way into the journal: once told, it outlives us there."""

    def __init__(
        self,
        repo: Repo,
        tree: str,
        pending: Pending,
        append: Callable[[Mapping[str, Any]], None],
    ) -> None:
        """`tree` is the run's snapshot, `append` writes an event into its journal."""
        self._repo = repo
        self._tree = tree
        self._pending: Pending | None = pending
        self._append = append

    def tell(self, *, wait: bool = False) -> None:
        """Write it down if it is known and was not written yet; `wait` until it is.

        Raises:
            OSError: `append` does.
        """
        if self._pending is not None and (wait or self._pending.is_ready):
            self._append(self._event(self._pending))
            self._pending = None

    def forget(self) -> None:
        """Stop asking; what is not known by now will not be in the record."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _event(self, pending: Pending) -> dict[str, Any]:
        found = replace(pending.result(), lock_files=_lock_files(self._repo, self._tree))
        event: dict[str, Any] = {"environment": plain_environment(found)}
        return event | ({"fault": pending.fault} if pending.fault else {})


def _lock_files(repo: Repo, tree: str) -> dict[str, str]:
    """The lock files at the root of a snapshot, with their blobs."""
    return {
        os.fsdecode(item.name): item.id
        for item in repo.tree(tree)
        if item.kind == "blob" and environment.is_lock_file(os.fsdecode(item.name))
    }
