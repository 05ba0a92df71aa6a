"""What nothing needs any more: runs long deleted, what they left, data that nobody claims.

Knows what is old enough to go, and what keeps it all the same. Knows nothing of the terminal.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from gittrack import claims, commits, index, journal, refs, sessions, setup, upkeep
from gittrack.annotations import overlay
from gittrack.cache import Cache, open_cache
from gittrack.data import left_behind
from gittrack.errors import CannotClean, GitFailed, RunChanged, WriteFailed
from gittrack.git import Ref, Repo
from gittrack.meter import SILENT, Meter
from gittrack.refs import RunRef

if TYPE_CHECKING:
    from gittrack.git.reachability import Reachability
    from gittrack.setup import Setup

__all__ = ["GRACE", "Item", "Kind", "Outcome", "gc"]

GRACE = "2.weeks.ago"
"""What `track.gcGrace` is where it is not set."""

Kind = Literal["run", "output", "snapshot", "live", "memory", "object", "fragment"]
"""A deleted run's ref; the whole of a long output; the code of a run that is over; what a run
published that gave no sign for a day; an old cache of ours; an object of the data cache; what an
interrupted writer left there."""

_MARKS = "deleted"
_LOCK = "gc.lock"
_LAG = 1.0
_SILENCE = 86400.0


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that goes: a run's or ref's name, a path or a hash, and the bytes that it frees."""

    kind: Kind
    name: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What went, or would go; and sentences about what stays although somebody wants it gone."""

    items: tuple[Item, ...]
    kept: tuple[str, ...]
    packed: int = 0
    """How many refs of runs had files of their own, and are in one file now."""


class _Step(NamedTuple):
    item: Item
    remove: Callable[[], bool]
    """Does it, unless the thing was needed or gone meanwhile: then False."""


def gc(
    repo: Repo,
    *,
    data: bool = False,
    shared: bool = False,
    dry_run: bool = False,
    now: float,
    before: float | None = None,
    meter: Meter = SILENT,
) -> Outcome:
    """Remove what nothing needs any more and what is older than the grace period.

    A deleted run goes when this clone has known it as deleted for that long (by its own clock:
    other people's may be wrong) and no run that stays names it as input and no tag points to it.
    With `data` the objects of the cache go that no commit, index, work tree or running run names,
    wherever refs and reflogs lead. `before` is the moment before which a thing is old, None for
    what `track.gcGrace` says; `now` is seconds since the epoch. With `shared` also from a cache
    outside of the work trees. With `dry_run` nothing is written.

    May be interrupted anywhere: each thing goes whole or stays, listings before their files.
    Runs may go on meanwhile: what they add or use again is younger than their beginning, and each
    object is looked at once more after it was taken aside. `dvc` is kept waiting. At the end the
    refs of runs are put into one file where many have files of their own.

    Raises:
        CannotClean: what is needed cannot be known, or others may need it; nothing was removed.
        UsageError: `track.gcGrace` is no date.
        WriteFailed: another cleaning is at work, or something cannot be removed.
        RunChanged: a deleted run's ref moved meanwhile.
    """
    with ExitStack() as stack:
        if not dry_run:
            stack.enter_context(_alone(repo))
            sessions.discard_leftovers(repo.state)
        if before is None:
            before = repo.expiry("track.gcGrace", default=GRACE)
        gone, kept = _deleted_runs(repo, before=before, now=now, remember=not dry_run)
        stale = _stale_snapshots(repo)
        silent = _silent(repo, now)
        # Whatever comes after this moment is younger, though a file's time lags behind the clock.
        settled = min(before, now - _LAG)
        steps = [*_runs(gone), *_snapshots(repo, stale, "snapshot")]
        steps += [*_snapshots(repo, silent, "live"), *_outputs(repo, gone, settled)]
        steps += _memories(repo, settled)
        if data:
            found = setup.read(repo)
            if not dry_run:
                stack.enter_context(_dvc_waits(found))
            without = {ref.full for ref in gone} | {ref.name for ref in (*stale, *silent)}
            caches = _caches(repo, found, shared=shared)
            if not dry_run:
                for cache in caches:
                    cache.restore()
            steps += _data(repo, caches, without=without, before=settled, meter=meter)
        if dry_run:
            return Outcome(tuple(step.item for step in steps), tuple(kept), upkeep.to_pack(repo))
        if gone:
            refs.delete(repo, gone)
        meter.start("removing", len(steps), "things")
        done = []
        for step in steps:
            if step.remove():
                done.append(step.item)
            meter.advance(1)
        meter.end()
        packed = _pack_refs(repo, kept)
        return Outcome(tuple(done), tuple(kept), packed)


def _pack_refs(repo: Repo, kept: list[str]) -> int:
    """Put the refs of runs into one file; why not, where it fails, is among the `kept`."""
    try:
        return upkeep.pack_refs(repo)
    except GitFailed as error:
        kept.append(f"the refs of runs in files of their own: {error.message}")
        return 0


# -- runs ---------------------------------------------------------------------------------------


def _runs(gone: Iterable[RunRef]) -> Iterator[_Step]:
    for ref in gone:
        # Their refs go before, all or none.
        yield _Step(Item("run", ref.short), lambda: True)


def _deleted_runs(
    repo: Repo, *, before: float, now: float, remember: bool
) -> tuple[list[RunRef], list[str]]:
    """The deleted runs whose time has come, and why the others stay."""
    known = overlay(repo, commits.listing(repo, refs.all_runs(repo)).runs)
    deleted = [run for run in known if run.deleted]
    marked = _marks(repo)
    since = {run.id: min(marked.get(run.id, now), now) for run in deleted}
    if remember and since != marked:
        _write_marks(repo, since)
    ripe = [run for run in deleted if since[run.id] < before]
    waits = [since[run.id] for run in deleted if since[run.id] >= before]
    kept = [_waiting(waits, before=before, now=now)] if waits else []
    if not ripe:
        return [], kept
    needed = _needed_runs(repo, {run.id for run in ripe})
    pointed = _reachability(repo).targets("refs/tags/", "refs/heads/", "refs/remotes/")
    gone = []
    for run in ripe:
        if run.id in needed:
            kept.append(f"{run.name}: it is an input of a run that stays")
        elif run.commit in pointed:
            kept.append(f"{run.name}: a tag or branch points to it")
        else:
            gone.append(RunRef(run.experiment, run.name, run.commit or ""))
    return gone, kept


def _waiting(waits: list[float], *, before: float, now: float) -> str:
    count = f"{len(waits)} deleted run{'s' * (len(waits) > 1)}"
    if before <= 0:
        return f"{count}: track.gcGrace is 'never'"
    day = time.strftime("%Y-%m-%d", time.localtime(min(waits) + max(0.0, now - before)))
    return f"{count}, until {day} or later: `git track restore` undoes it"


def _needed_runs(repo: Repo, ripe: Collection[str]) -> set[str]:
    """The ids of the runs that others than the ripe ones have as inputs, over any distance."""
    reachable = _reachability(repo)
    ids = reachable.trailers(refs.ROOT, "Run-Id")
    given = reachable.trailers(refs.ROOT, "Input")
    inputs: dict[str, set[str]] = {}
    for name, values in given.items():
        words = {word for value in values for word in value.split(" ")}
        for id in ids.get(name, ()):
            inputs.setdefault(id, set()).update(words)
    # A run under way says in its journal what it reads.
    waiting = [*claims.of_live_runs(repo)]
    waiting += [word for id, words in inputs.items() if id not in ripe for word in words]
    needed: set[str] = set()
    while waiting:
        id = waiting.pop()
        if id not in needed:
            needed.add(id)
            waiting += inputs.get(id, ())
    return needed


def _marks(repo: Repo) -> Mapping[str, float]:
    """Run id -> when this clone first saw it deleted; damage means that it never did."""
    try:
        found = json.loads((repo.state / _MARKS).read_bytes())
        return {str(id): float(since) for id, since in found.items()}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return {}


def _write_marks(repo: Repo, since: Mapping[str, float]) -> None:
    target = repo.state / _MARKS
    temporary = target.with_name(_MARKS + ".new")
    try:
        temporary.write_text(json.dumps(since, indent=0, sort_keys=True))
        os.replace(temporary, target)
    except OSError as error:
        raise _cannot_write(target, error) from error


# -- what runs left -----------------------------------------------------------------------------


def _stale_snapshots(repo: Repo) -> list[Ref]:
    """The refs that hold the code of runs which are over."""
    # The refs first: a directory is made before its ref and removed after it.
    held = repo.refs(refs.SNAPSHOTS)
    under_way = _under_way(repo)
    return [ref for ref in held if ref.name.removeprefix(refs.SNAPSHOTS) not in under_way]


def _under_way(repo: Repo) -> set[str]:
    try:
        names = os.listdir(repo.state / "live")
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise CannotClean(f"'{repo.state / 'live'}' cannot be read: {error.strerror}") from error
    return {name.removeprefix(".new-") for name in names}


def _silent(repo: Repo, now: float) -> list[Ref]:
    """What runs published that gave no sign for a day, by the clocks of their own hosts."""
    published = refs.live(repo)
    under_way = _under_way(repo)
    return [
        Ref(there.full, there.run.commit)
        for there in published
        if now - there.moment > _SILENCE and there.run.name not in under_way
    ]


def _snapshots(repo: Repo, stale: Iterable[Ref], kind: Kind) -> Iterator[_Step]:
    for ref in stale:
        yield _Step(Item(kind, ref.name), partial(_let_go, repo, ref))


def _let_go(repo: Repo, ref: Ref) -> bool:
    try:
        repo.delete_refs([ref])
    except RunChanged:
        return False
    return True


def _outputs(repo: Repo, gone: Collection[RunRef], before: float) -> Iterator[_Step]:
    """Whole outputs whose runs are gone: with them, or long ago."""
    going = {ref.name for ref in gone}
    full = {ref.full for ref in gone}
    stay = {ref.name for ref in refs.all_runs(repo) if ref.full not in full} | _under_way(repo)
    for path, status in _files(repo.state / "output"):
        name = path.name.removesuffix(".log")
        if name not in stay and (name in going or _age(status) < before):
            yield _file("output", path, status)


def _memories(repo: Repo, before: float) -> Iterator[_Step]:
    """Answers that were remembered long ago, and indexes of other versions of gittrack."""
    for path, status in _files(repo.state / "cache"):
        if path.suffix == ".json" and _age(status) < before:
            yield _file("memory", path, status)
    for path, status in _files(repo.state):
        other = path.name.startswith("index-") and not path.name.startswith(index.NAME)
        if other and _age(status) < before:
            yield _file("memory", path, status)


def _files(directory: Path) -> list[tuple[Path, os.stat_result]]:
    """The plain files in a directory, by name."""
    found = []
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return []
    for entry in entries:
        try:
            if entry.is_file(follow_symlinks=False):
                found.append((Path(entry.path), entry.stat(follow_symlinks=False)))
        except OSError:
            continue
    return found


def _file(kind: Kind, path: Path, status: os.stat_result) -> _Step:
    def remove() -> bool:
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise WriteFailed(f"cannot remove '{path}': {error.strerror}") from error
        return True

    return _Step(Item(kind, os.fspath(path), _freed(status)), remove)


def _age(status: os.stat_result) -> float:
    """When a file came to be as it is. `dvc add` keeps the time of the content, not so of this."""
    return max(status.st_mtime, status.st_ctime)


def _freed(status: os.stat_result) -> int:
    return status.st_size if status.st_nlink == 1 else 0


# -- data ---------------------------------------------------------------------------------------


def _caches(repo: Repo, found: Setup, *, shared: bool) -> list[Cache]:
    """The caches that are ours to clean.

    Raises:
        CannotClean: one lies outside of this repository, or another repository inside uses it,
            and nobody said that this is all right.
    """
    caches = [open_cache(repo, found)]
    caches += [Cache(former) for former in found.formers]
    if not shared:
        with claims.certain():
            own = [repo.common_dir, *_reachability(repo).worktree_roots()]
        for cache in caches:
            if cache.directory.exists() and not _is_within(cache.directory, own):
                raise CannotClean(
                    f"the cache '{cache.directory}' lies outside of this repository: "
                    "other projects may keep data there",
                    hint="`git track gc --data --shared` removes from it whatever this repository "
                    "does not name.",
                )
        other = claims.neighbour(_reachability(repo).worktree_roots(), caches)
        if other is not None:
            raise CannotClean(
                f"the repository in '{other}' uses the same cache",
                hint="`git track gc --data --shared` removes whatever this repository does not "
                "name, also what that one does.",
            )
    return caches


def _is_within(path: Path, places: Iterable[Path]) -> bool:
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(place)) for place in places)


def _data(
    repo: Repo, caches: Iterable[Cache], *, without: Collection[str], before: float, meter: Meter
) -> list[_Step]:
    """Objects and fragments that are old and that nobody names; listings before their files."""
    before = min(before, _earliest(repo))
    # The objects first: whatever comes later is young.
    old = [
        (cache, {md5: status for md5, status in cache.objects() if _age(status) < before})
        for cache in caches
    ]
    steps = [
        _file("fragment", path, status)
        for cache, _ in old
        for path, status in cache.leftovers()
        if _age(status) < before
    ]
    steps += [step for cache in caches for step in _fragments(cache, before)]
    if not any(found for _, found in old):
        return steps
    journals = _Journals(repo)
    needed = claims.named(repo, caches, without=without, meter=meter)
    for cache, found in old:
        unnamed = sorted(found.keys() - needed, key=lambda md5: (not md5.endswith(".dir"), md5))
        steps += [_object(cache, md5, found[md5], before, journals) for md5 in unnamed]
    return steps


def _fragments(cache: Cache, before: float) -> Iterator[_Step]:
    """What fetches left that were killed long ago."""
    for path in left_behind(cache.directory):
        inside = _files(path)
        try:
            newest = max(_age(status) for status in [path.lstat(), *(s for _, s in inside)])
        except FileNotFoundError:
            continue
        if newest < before and path.is_dir() and not path.is_symlink():
            size = sum(_freed(status) for _, status in inside)
            yield _Step(Item("fragment", os.fspath(path), size), partial(_tree_removed, path))


def _tree_removed(path: Path) -> bool:
    import shutil

    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise WriteFailed(f"cannot remove '{path}': {error.strerror}") from error
    return True


def _object(
    cache: Cache, md5: str, status: os.stat_result, before: float, journals: _Journals
) -> _Step:
    def remove() -> bool:
        try:
            now = cache.path(md5).lstat()
        except FileNotFoundError:
            return False
        if _age(now) >= before:
            return False

        def spare(seen: os.stat_result) -> bool:
            other = (seen.st_ino, seen.st_mtime_ns) != (now.st_ino, now.st_mtime_ns)
            return other or md5 in journals.named()

        return cache.discard(md5, spare=spare) is not None

    return _Step(Item("object", md5, _freed(status)), remove)


class _Journals:
    """What the runs name that began after all that is needed was looked for."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._runs = _under_way(repo)
        self._named: set[str] = set()

    def named(self) -> set[str]:
        """Their hashes; looked for again whenever another run has begun."""
        now = _under_way(self._repo)
        if not now <= self._runs:
            self._runs |= now
            self._named |= claims.of_live_runs(self._repo)
        return self._named


def _earliest(repo: Repo) -> float:
    """When the oldest run under way began: what is younger it may have put there."""
    moments = [float("inf")]
    for directory in sessions.live(repo.state):
        story = journal.read(directory, points=False)
        began = None if story is None else story.begin.get("started")
        if not isinstance(began, (int, float)):
            if directory.exists():
                raise CannotClean(
                    f"{directory.name} is under way, and how it began cannot be read",
                    hint="`git track doctor` tells more.",
                )
            continue
        moments.append(float(began))
    return min(moments)


def _reachability(repo: Repo) -> Reachability:
    from gittrack.git.reachability import Reachability

    return Reachability(repo)


# -- alone --------------------------------------------------------------------------------------


@contextmanager
def _alone(repo: Repo) -> Iterator[None]:
    """Keep other cleanings of this repository out."""
    path = repo.state / _LOCK
    try:
        repo.state.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WriteFailed(
                "another `git track gc` is at work in this repository",
                hint="let it end; nothing was removed.",
            ) from error
        yield
    finally:
        os.close(handle)


@contextmanager
def _dvc_waits(found: Setup) -> Iterator[None]:
    """Hold DVC's own lock: it puts objects into the cache before it writes their pointers.

    Source: dvc/lock.py and zc.lockfile; `.dvc/tmp` is ignored by Git.
    """
    handle = -1
    try:
        if found.directory is not None:
            try:
                (found.directory / "tmp").mkdir(exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                handle = os.open(found.directory / "tmp" / "lock", flags, 0o666)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CannotClean(
                    f"DVC is at work in '{found.directory}'", hint="let it end."
                ) from error
            except OSError as error:
                raise _cannot_write(found.directory / "tmp" / "lock", error) from error
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def _cannot_write(path: Path, error: OSError) -> WriteFailed:
    return WriteFailed(
        f"cannot write '{path}': {error.strerror}",
        hint="is the disk full, or the repository read-only? Nothing was removed.",
    )
