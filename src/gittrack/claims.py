"""Who still wants which data: every hash that a pointer, a record or a journal names.

Knows where such names stand, and refuses to answer where one may be overlooked. Looks for them as
text and parses nothing: a pointer full of conflict markers still names both of its contents. Knows
nothing of what becomes of the rest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack import journal, sessions, setup
from gittrack.cache import Cache
from gittrack.errors import BadFile, CannotClean, DataDamaged, DataMissing, GitFailed
from gittrack.git import Repo, is_id
from gittrack.meter import SILENT, Meter
from gittrack.quoting import one_line

if TYPE_CHECKING:
    from gittrack.git.reachability import Reachability

__all__ = ["certain", "named", "neighbour", "of_live_runs"]

_HASH = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?:\.dir)?(?![0-9a-f])")
_POINTERS = (
    "*.dvc",
    "*dvc.lock",
    "*Dvcfile",
    "*.gittrack/data.yaml",
    # `*.dvc` names the directory too, with the cache in it.
    ":(exclude,glob)**/.dvc/**",
)
_DVC_DIRECTORY = (".dvc/",)
_LARGEST = 64 << 20


def named(
    repo: Repo,
    caches: Iterable[Cache],
    *,
    without: Collection[str] = (),
    meter: Meter = SILENT,
) -> set[str]:
    """Every hash that somebody may still want, directories with their files as far as known.

    Looked through are the pointers, lock files and records in all that refs (but for those of
    `without`), HEADs, reflogs, indexes and work trees hold, and the journals and code of runs under
    way.
    More than is needed may be named, never less: any text that looks like a hash counts.

    Raises:
        CannotClean: something of all that cannot be read, or history was cut off.
    """
    from gittrack.git.reachability import Reachability

    reachable = Reachability(repo)
    if reachable.is_shallow:
        raise CannotClean(
            "this clone is shallow: what its missing history names cannot be known",
            hint="`git fetch --unshallow` brings it.",
        )
    meter.start("looking for what is needed", None, "files")
    found = of_live_runs(repo)
    trees = _snapshots(repo)
    for data in _pointers(repo, reachable, without, trees):
        found |= _hashes(data)
        meter.advance(1)
    meter.end()
    return found | _members(caches, found)


def _hashes(data: bytes) -> set[str]:
    return {found.decode() for found in _HASH.findall(data)}


def _snapshots(repo: Repo) -> set[str]:
    """The code of the runs under way: one that has just begun, or is lost, may have no ref."""
    found = set()
    for directory in sessions.live(repo.state):
        story = journal.read(directory, points=False)
        tree = None if story is None else story.begin.get("tree")
        if isinstance(tree, str) and is_id(tree) and repo.exists(tree):
            found.add(tree)
    return found


def _pointers(
    repo: Repo, reachable: Reachability, without: Collection[str], trees: Collection[str]
) -> Iterator[bytes]:
    files: list[Path] = []
    with certain():
        blobs = reachable.kept_files(_POINTERS, without=without, trees=trees)
        for root in reachable.worktree_roots():
            blobs |= reachable.staged_files(root, _POINTERS)
            files += reachable.present_files(root, _POINTERS, skip=_DVC_DIRECTORY)
    for oid, path in blobs.items():
        try:
            yield repo.read_blob(oid, limit=_LARGEST)
        except GitFailed as error:
            raise CannotClean(
                f"what '{one_line(path)}' names cannot be known: {error.message}",
                hint="in a partial clone, `git fetch --refetch --no-filter` brings what is "
                "missing; `git fsck` tells what is damaged.",
            ) from error
    for file in files:
        yield from _content(file)


def _content(file: Path) -> Iterator[bytes]:
    """The bytes of a pointer in a work tree; a directory of such a name has none."""
    try:
        if file.is_file():
            if file.stat().st_size > _LARGEST:
                raise CannotClean(f"'{file}' is too large for a pointer to data")
            yield file.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotClean(
            f"what '{file}' names cannot be known: {error.strerror}",
            hint="make it readable, or remove it.",
        ) from error


def _members(caches: Iterable[Cache], found: Collection[str]) -> set[str]:
    """The files of the directories among `found` whose listings are here."""
    members: set[str] = set()
    for cache in caches:
        for md5 in found:
            if not md5.endswith(".dir"):
                continue
            try:
                members |= {member.md5 for member in cache.members(md5)}
            except DataMissing:
                # Without it here the directory is not whole here either.
                continue
            except (DataDamaged, BadFile) as error:
                raise CannotClean(
                    f"what the directory {md5} consists of cannot be known: {error.message}",
                    hint=f"remove '{cache.path(md5)}', and `git track get` brings it again.",
                ) from error
    return members


def of_live_runs(repo: Repo) -> set[str]:
    """All that looks like a hash or a run's id in what runs under way wrote down.

    Raises:
        CannotClean: something of it cannot be read.
    """
    found: set[str] = set()
    try:
        for top, _, names in os.walk(repo.state / "live", onerror=_unless_gone):
            for name in names:
                if name not in ("output", "masked"):
                    found |= _journal_hashes(Path(top, name))
    except OSError as error:
        raise CannotClean(f"'{error.filename}' cannot be read: {error.strerror}") from error
    return found


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _journal_hashes(file: Path) -> set[str]:
    try:
        return _hashes(file.read_bytes())
    except FileNotFoundError:
        # Its run was recorded meanwhile; refs are listed after this.
        return set()


def neighbour(roots: Iterable[Path], caches: Iterable[Cache]) -> Path | None:
    """A repository inside of these work trees, a submodule or not, whose DVC uses such a cache.

    Directories that cannot be read are passed over, as Git passes over them.

    Raises:
        CannotClean: the configuration of one cannot be understood.
    """
    own = {os.path.realpath(root) for root in roots}
    used = {os.path.realpath(cache.directory) for cache in caches}
    for root in own:
        for top, inner, _ in os.walk(root):
            if top not in own and ".dvc" in inner and os.path.lexists(f"{top}/.git"):
                try:
                    cache = setup.cache_of(Path(top, ".dvc"))
                except BadFile as error:
                    raise CannotClean(
                        f"which cache '{one_line(top)}' uses cannot be known: {error.message}",
                        hint=error.hint,
                    ) from error
                if os.path.realpath(cache) in used:
                    return Path(top)
            inner[:] = [name for name in inner if name not in (".git", ".dvc")]
    return None


@contextmanager
def certain() -> Iterator[None]:
    """Within it, what Git cannot tell is a refusal to clean.

    Raises:
        CannotClean: Git failed.
    """
    try:
        yield
    except GitFailed as error:
        raise CannotClean(
            f"what is needed cannot be known: {error.message}",
            hint=error.hint or "`git fsck` and `git track doctor` tell more.",
        ) from error
