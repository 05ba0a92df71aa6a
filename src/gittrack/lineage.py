"""What came from what: the runs that a run was built from, and those that were built from it.

Knows how equal bytes link runs, how the links are followed, and when a run has fallen behind its
inputs. Asks the index and opens no commit. Knows nothing of drawing and of selectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gittrack.errors import GittrackError
from gittrack.git import Repo
from gittrack.index import Index, Used, open_index
from gittrack.message import time_text
from gittrack.records import Data, Input

__all__ = ["inputs_of"]

_MOST_LISTINGS = 16
_MOST_MEMBERS = 10_000
_EMPTY = frozenset({"d41d8cd98f00b204e9800998ecf8427e", "d751713988987e9331980363e24189ce.dir"})
"""No file and no directory is the work of anybody: all empty ones are alike."""


# -- inputs of a new run --------------------------------------------------------------------------


def inputs_of(
    repo: Repo, data: Sequence[Data], *, before: datetime | None = None
) -> tuple[Input, ...]:
    """The runs that kept the bytes which `data` says were read, in the order of `data`.

    Each run stands once for each artifact that was read of it. Of several runs that kept the same
    bytes it is the one that kept them under the path they were read from; then one that finished;
    then the one that began last, by name where two began at once. Those that began after `before`,
    the start of the reader, come after all others. Deleted runs are left out, empty files lead
    nowhere. A file is also found in a directory that a run kept, where this clone has the
    directory's listing and its last name stands in the file's path.

    Costs a millisecond once the index knows the runs.

    Raises:
        GitFailed: Git cannot list the refs.
    """
    wanted = [item for item in data if item.size and item.md5 not in _EMPTY]
    if not wanted:
        return ()
    moment = None if before is None else time_text(before)
    with open_index(repo) as index:
        kept = index.producers(item.md5 for item in wanted)
        folders = _Folders(repo, index, [item for item in wanted if item.md5 not in kept])
        found: dict[tuple[str, str], Input] = {}
        for item in wanted:
            candidates = kept.get(item.md5) or folders.with_file(item.path, item.md5)
            if candidates:
                used = _likeliest(candidates, item.path, moment)
                run = used.run
                one = Input(run.short, run.id, run.commit, used.path)
                found.setdefault((run.commit, used.path), one)
    return tuple(found.values())


def _likeliest(candidates: Sequence[Used], path: str, before: str | None) -> Used:
    """The first of equals, who come newest first."""

    def unlikely(used: Used) -> tuple[bool, bool, bool]:
        late = before is not None and used.run.started > before
        elsewhere = path != used.path and not path.startswith(used.path + "/")
        return late, elsewhere, used.run.status != "finished"

    return min(candidates, key=unlikely)


class _Folders:
    """The directories that runs kept and that may hold some of these files."""

    def __init__(self, repo: Repo, index: Index, files: Sequence[Data]) -> None:
        names = {name for item in files for name in item.path.split("/")[:-1] if name}
        self._repo = repo
        self._known = index.folders(sorted(names)) if names else []
        self._listings: dict[str, dict[str, str]] = {}

    def with_file(self, path: str, md5: str) -> list[Used]:
        """Those that hold this file under this path."""
        return [
            used for used, inner in self._places(path) if self._listing(used.md5).get(inner) == md5
        ]

    def _places(self, path: str) -> list[tuple[Used, str]]:
        """Where the file would be in each: newest first, of 16 different listings at most."""
        found: list[tuple[Used, str]] = []
        seen: set[str] = set()
        for used in self._known:
            inner = _inner(path, used.path)
            if inner and (used.md5 in seen or len(seen) < _MOST_LISTINGS):
                seen.add(used.md5)
                found.append((used, inner))
        return found

    def _listing(self, md5: str) -> dict[str, str]:
        """The files of a directory, path -> md5; none where it is not here, or has too many."""
        if md5 not in self._listings:
            self._listings[md5] = {}
            try:
                from gittrack import cache, setup

                opened = cache.open_cache(self._repo, setup.read(self._repo))
                members = opened.members(md5)
            except GittrackError:
                return {}
            if len(members) <= _MOST_MEMBERS:
                self._listings[md5] = {member.path: member.md5 for member in members}
        return self._listings[md5]


def _inner(path: str, folder: str) -> str:
    """Where in a directory of that name the file would be, empty if it cannot be there."""
    if path.startswith(folder + "/"):
        return path[len(folder) + 1 :]
    last = folder.rpartition("/")[2]
    return f"/{path}".partition(f"/{last}/")[2]
