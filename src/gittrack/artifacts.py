"""What a run keeps: the files and directories that its `--out` words name, put into the cache.

Knows which of them the run wrote, and what they are called. Knows nothing of commits and journals.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gittrack import hashing
from gittrack.cache import Cache
from gittrack.errors import BadPath, GittrackError, UsageError
from gittrack.manifest import check_artifact
from gittrack.meter import SILENT, Meter
from gittrack.placing import part
from gittrack.quoting import one_line
from gittrack.records import Artifact
from gittrack.vetting import suspicion

__all__ = ["Collected", "Outs", "collect", "free", "plan"]

_MAGIC = frozenset("*?[")
_KEEP_IT = "gittrack.log_artifact(..., allow_secret=True) keeps it"
_SLACK = 2.0
"""How many seconds after a run's last sign of life a file may still be its own."""


@dataclass(frozen=True, slots=True)
class Outs:
    """What a run is to keep: patterns, absolute, and how that which was there before looked.

    `before` maps an absolute path to a stamp that changes with any file in it.
    """

    patterns: tuple[str, ...]
    before: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Collected:
    """What was kept, and a sentence for each thing that was not."""

    artifacts: tuple[Artifact, ...]
    faults: tuple[str, ...]


def plan(words: Sequence[str], *, directory: Path, root: Path) -> Outs:
    """Find out what is to be kept, before the command starts.

    A word is a path or a pattern with `*`, `?`, `[...]` or `**`, seen from `directory`; one that
    names something there is taken literally.

    Raises:
        BadPath: it names something outside of the work tree at `root`, or of Git's own.
        UsageError: it is empty, or names the whole work tree.
    """
    patterns = tuple(_absolute(word, directory, root) for word in words)
    found = _outermost(path for pattern in patterns for path in _expand(pattern))
    return Outs(patterns, {path: _stamp(path) for path in found.values()})


def _absolute(word: str, directory: Path, root: Path) -> str:
    """A pattern below the real root, whichever way it was written."""
    if not word:
        raise UsageError("--out: the path is empty")
    top = os.path.realpath(root)
    where = os.path.normpath(os.path.join(os.path.realpath(directory), word))
    if not _within(where, top):
        # Written through a symbolic link above the work tree, as /tmp is on macOS.
        parent, name = os.path.split(where)
        where = os.path.join(os.path.realpath(parent), name)
    if where == top:
        raise UsageError(
            f"--out {word}: that is the whole work tree", hint="name the files that the run writes."
        )
    if not _within(where, top):
        raise BadPath(
            f"--out {word}: it lies outside of the repository",
            path=word,
            hint="in the script, `gittrack.log_artifact(path)` keeps files from anywhere.",
        )
    if not _MAGIC & set(word):
        check_artifact(_name(where, top))
    return where


def _within(path: str, top: str) -> bool:
    return path == top or path.startswith(top + os.sep)


def _name(path: str, top: str) -> str:
    return os.path.relpath(path, top).replace(os.sep, "/")


def _outermost(paths: Iterable[str]) -> dict[str, str]:
    """Each path, in order, and the one among them that it lies in, or is."""
    found: dict[str, str] = {}
    last = None
    # Not as text, in which `d-x` stands between `d` and `d/x`.
    for path in sorted(set(paths), key=lambda path: path.split(os.sep)):
        last = path if last is None or not _within(path, last) else last
        found[path] = last
    return found


def _expand(pattern: str) -> list[str]:
    if os.path.lexists(pattern) or not _MAGIC & set(pattern):
        return [pattern] if os.path.lexists(pattern) else []
    return [path.rstrip(os.sep) for path in glob.glob(pattern, recursive=True)]


def _stamp(path: str) -> str:
    """What changes whenever a file, or one in the directory, is written; empty if there is none."""
    seen = _look(path)
    if seen is None:
        return ""
    if not stat.S_ISDIR(seen.st_mode):
        return _mark(seen)
    import hashlib

    digest = hashlib.md5(usedforsecurity=False)
    for inner, found in _walk(path):
        digest.update(os.fsencode(f"{inner}\0{_mark(found)}\0"))
    return digest.hexdigest()


def _look(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _mark(seen: os.stat_result) -> str:
    # The change time cannot be set back, as `cp -p` and rsync do with the other.
    return f"{seen.st_ino} {seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns}"


def _walk(top: str) -> Iterator[tuple[str, os.stat_result]]:
    for directory, inner, files in os.walk(top):
        inner.sort()
        for name in sorted(files):
            found = _look(os.path.join(directory, name))
            if found is not None:
                yield os.path.join(directory, name), found


def free(cache: Cache, outs: Outs, *, meter: Meter = SILENT) -> tuple[str, ...]:
    """Make files of their own of the links into the cache, as `dvc unprotect` does -> which ones.

    A run that writes its outputs again would fail at a hard or symbolic link, or write into the
    object. Looked at is what `outs` names now, also inside of directories; other links, and
    reflinks, stay. Each is replaced atomically, content and time stay. A link whose object is gone
    is removed: writing to it would make a false one. How things looked before has changed then:
    `plan` again.

    Raises:
        WriteFailed: one cannot be replaced.
    """
    named = _outermost(path for pattern in outs.patterns for path in _expand(pattern))
    inside = (path for place in dict.fromkeys(named.values()) for path in _inside(place))
    freed = tuple(p for p in inside if _is_linked(cache, p, meter) and part(Path(p)))
    if cache.stats:
        cache.stats.flush()
    return freed


def _inside(path: str) -> Iterator[str]:
    """The files of a directory, also links to nothing; or the file itself."""
    if os.path.islink(path) or not os.path.isdir(path):
        yield path
    for directory, inner, files in os.walk(path):
        inner.sort()
        yield from (os.path.join(directory, name) for name in sorted(files))


def _is_linked(cache: Cache, path: str, meter: Meter) -> bool:
    """Whether a file is a symbolic link into the cache, or the very file of an object there."""
    try:
        seen = os.lstat(path)
        if stat.S_ISLNK(seen.st_mode):
            return _leads_into(cache, path)
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink < 2:
            return False
        md5 = hashing.file(Path(path), stats=cache.stats, meter=meter).md5
        return os.path.samestat(seen, os.stat(cache.path(md5)))
    except (OSError, BadPath):
        # No object of this content, or one that cannot be read: everybody may read objects.
        return False


def _leads_into(cache: Cache, path: str) -> bool:
    """Whether a symbolic link leads into the cache, wherever it may lead from there."""
    above, name = os.path.split(os.path.join(os.path.dirname(path), os.readlink(path)))
    target = os.path.join(os.path.realpath(above), name)
    return _within(target, os.path.realpath(cache.directory))


def collect(
    cache: Cache,
    outs: Outs,
    *,
    root: Path,
    started: float = 0.0,
    latest: float | None = None,
    meter: Meter = SILENT,
) -> Collected:
    """Put what the run wrote into the cache -> the artifacts, named by their paths below `root`.

    What the run did not touch is not its artifact; of a pattern's matches that goes without saying,
    unless nothing is left. `latest` (seconds since the epoch) is the last sign of life of a run
    that was lost: what was written later may be another run's. Nothing here raises for one bad
    file; the sentences say what was not kept, and why.
    """
    top = os.path.realpath(root)
    named = {pattern: _expand(pattern) for pattern in outs.patterns}
    found = _outermost(path for paths in named.values() for path in paths)
    written = {path: not _is_untouched(path, outs) for path in found.values()}
    kept: list[Artifact] = []
    faults: list[str] = []
    for pattern, paths in named.items():
        faults += _fruitless(pattern, top, [written[found[path]] for path in paths])
    for path in (path for path, new in written.items() if new):
        name = _name(path, top)
        reason = _refusal(path, name, started, latest)
        if reason is None:
            try:
                got = cache.add(Path(path), meter=meter)
            except GittrackError as error:
                reason = error.message
            else:
                kept.append(Artifact(name, got.md5, got.size, got.nfiles))
        if reason is not None:
            faults.append(f"not kept: '{one_line(name)}': {reason}")
    return Collected(tuple(kept), tuple(faults))


def _is_untouched(path: str, outs: Outs) -> bool:
    return path in outs.before and outs.before[path] == _stamp(path)


def _fruitless(pattern: str, top: str, written: Sequence[bool]) -> list[str]:
    """A sentence where nothing can be kept of what one word names: of each, if it was written."""
    name = one_line(_name(pattern, top))
    if not written:
        return [f"not kept: there is no '{name}'"]
    if any(written):
        return []
    many = "" if os.path.lexists(pattern) else "all of "
    return [f"not kept: '{name}': {many}it was there before, and this run did not write it"]


def _refusal(path: str, name: str, started: float, latest: float | None) -> str | None:
    """Why something that the run wrote is not kept."""
    try:
        check_artifact(name)
    except BadPath as error:
        return error.message
    if latest is not None and _is_later(path, started, latest):
        return "it was written again after the run was lost"
    secret = suspicion(Path(path), name)
    return secret and f"{secret} ({_KEEP_IT})"


def _is_later(path: str, started: float, latest: float) -> bool:
    """Whether a file, or one in the directory, came after a run was lost.

    Something that is moved here keeps the time of its content, which then is older than the run:
    its change time tells when it came.
    """
    seen = _look(path)
    if seen is None:
        return False
    inner = [found for _, found in _walk(path)] if stat.S_ISDIR(seen.st_mode) else [seen]
    began = min(started, latest) - _SLACK
    return any(
        max(found.st_mtime, found.st_ctime if found.st_mtime < began else 0.0) > latest + _SLACK
        for found in inner
    )
