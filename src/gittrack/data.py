"""The one door to DVC: objects of the cache to a data remote, and back.

Knows which objects a hash stands for, in which order they travel, and how DVC and its file systems
fail. Its configuration is that of the user's own work tree, never of a fetched one. Knows nothing
of runs.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from gittrack import cells, hashing
from gittrack.cache import Cache, open_cache
from gittrack.errors import DataDamaged, DataFailed, DataMissing, WriteFailed
from gittrack.git import Repo
from gittrack.meter import SILENT, Meter
from gittrack.quoting import one_line
from gittrack.secrets import mask_words
from gittrack.setup import Setup

__all__ = ["Fetched", "Sent", "fetch", "mend", "send"]

_LISTING = ".dir"
_STAGING = ".fetching-"
_STALE = 2 * 86400
_BATCH = 256
_MOST_SIZED = 1000
_NOISY = (
    *("dvc", "dvc_data", "dvc_objects", "fsspec", "asyncio", "aiohttp", "urllib3"),
    *("s3fs", "boto3", "botocore", "aiobotocore", "gcsfs", "adlfs", "azure", "paramiko"),
)
"""Loggers that would write beside our own words; what they say comes back as an exception too."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a data remote got: the objects that it lacked, their bytes, and its name."""

    objects: int
    size: int
    remote: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the cache got; `remote` is None where nothing was missing and nobody was asked."""

    objects: int
    size: int
    remote: str | None


# -- there --------------------------------------------------------------------------------------


def send(
    repo: Repo,
    setup: Setup,
    md5s: Iterable[str],
    *,
    remote: str | None = None,
    meter: Meter = SILENT,
) -> Sent:
    """Give a data remote what it lacks of these objects; a directory stands for its files too.

    When this returns, the remote has all of them. **Only then may refs that name them be pushed**,
    so that nobody ever fetches a run whose data is nowhere: who publishes refs calls this first,
    and publishes nothing if it raises.

    What is there already is not sent again, so a call that was interrupted goes on where it was.
    Each object appears whole, and is checked against its hash before it leaves. A directory's
    listing goes up after all its files, so a listing that is there is complete. Several processes
    may send at once.

    Raises:
        DataFailed: no data remote is set, none has this name, or it refused; what it took before
            stays there.
        DataMissing: an object is neither here nor there; nothing was sent.
        DataDamaged: an object here is not what its hash says; it was not sent.
    """
    cache = open_cache(repo, setup)
    wanted = _with_files(cache, md5s)
    if not wanted:
        return Sent(0, 0, remote or setup.remote or "")
    name = remote or setup.remote
    if name is None:
        raise _no_remote(setup, _stays(cache, wanted))
    door = _open(setup, name)
    lacking = set(wanted) - door.there(wanted, meter)
    if absent := [md5 for md5 in cache.missing(sorted(lacking)) if md5 in lacking]:
        raise DataMissing(
            f"{_named(absent)} neither in the cache nor in data remote '{name}'",
            md5s=absent,
            hint="nothing was sent; a clone that has it can send it.",
        )
    return _carry(door, cache, sorted(lacking), meter)


def _with_files(cache: Cache, md5s: Iterable[str]) -> list[str]:
    """These objects, and the files of every directory among them whose listing is here."""
    asked = set(md5s)
    listings = [md5 for md5 in asked if md5.endswith(_LISTING)]
    gone = set(cache.missing(listings))
    for md5 in listings:
        if md5 not in gone:
            asked.update(member.md5 for member in cache.members(md5))
    return sorted(asked)


def _no_remote(setup: Setup, stays: str) -> DataFailed:
    if setup.remotes:
        listed = ", ".join(f"'{one_line(name)}'" for name in sorted(setup.remotes))
        return DataFailed(
            f"no data remote is the default one: {stays}",
            hint=f"`dvc remote default NAME` chooses one of {listed}; --remote names one.",
        )
    first = "`git track init`, then " if setup.directory is None else ""
    return DataFailed(
        f"no data remote is set: {stays}", hint=f"{first}`dvc remote add -d NAME URL` sets one."
    )


def _stays(cache: Cache, md5s: Sequence[str]) -> str:
    sizes = [cache.size(md5) or 0 for md5 in md5s]
    plural = "s stay" if len(sizes) != 1 else " stays"
    return f"{cells.size(sum(sizes))} in {len(sizes)} object{plural} on this disk alone"


def _carry(door: _Door, cache: Cache, md5s: Sequence[str], meter: Meter) -> Sent:
    """Send objects, listings last, a batch at a time; a refusal ends it after its batch."""
    sizes = {md5: cache.size(md5) or 0 for md5 in md5s}
    done = 0
    files = [md5 for md5 in md5s if not md5.endswith(_LISTING)]
    listings = [md5 for md5 in md5s if md5.endswith(_LISTING)]
    with _measured(meter, f"sending to {door.name}", sum(sizes.values())) as count:
        for batch in [*_batches(files), *_batches(listings)]:
            for md5 in batch:
                cache.check(md5)
            refused = door.put({md5: cache.path(md5) for md5 in batch}, sizes, count)
            done += len(batch) - len(refused)
            if refused:
                error = next(iter(refused.values()))
                raise door.refusal(error, f"{done} of {len(md5s)} objects sent") from error
    return Sent(len(md5s), sum(sizes.values()), door.name)


def _batches(md5s: Sequence[str]) -> list[Sequence[str]]:
    return [md5s[start : start + _BATCH] for start in range(0, len(md5s), _BATCH)]


# -- and back -----------------------------------------------------------------------------------


def fetch(
    repo: Repo,
    setup: Setup,
    md5s: Iterable[str],
    *,
    remote: str | None = None,
    files: bool = True,
    meter: Meter = SILENT,
) -> Fetched:
    """Bring these objects into the cache from a data remote, as far as they are not there already.

    A directory stands for its files too; without `files`, for its listing alone. Each object is
    checked against its hash before the cache has it: a wrong one is thrown away and fetched once
    more. What came before a failure stays. Where the cache has all, no remote is asked or needed.

    Raises:
        DataMissing: no data remote is set, or it has not all of them; `md5s` are those.
        DataFailed: the remote refused, or none has this name.
        DataDamaged: the remote holds something else under a hash.
        BadFile: a listing names paths that no directory could have.
        WriteFailed: the cache cannot be written.
    """
    cache = open_cache(repo, setup)
    asked = sorted(set(md5s))
    objects, size = 0, 0
    door: _Door | None = None
    # A listing says which files there are only once it is here.
    for listings in (True, False) if files else (True,):
        found = _missing(cache, asked, lambda md5: mend(repo, setup, md5, remote=remote))
        missing = [md5 for md5 in found if md5.endswith(_LISTING) == listings]
        if not files:
            missing = [md5 for md5 in missing if md5 in asked]
        if not missing:
            continue
        door = door or _open_for(setup, remote, missing)
        size += _bring(door, cache, missing, meter)
        objects += len(missing)
    return Fetched(objects, size, door.name if door else None)


def _missing(cache: Cache, md5s: Sequence[str], mend: Callable[[str], None]) -> list[str]:
    """The objects that are not here; a damaged listing, which cannot tell, is mended."""
    for _ in md5s:
        try:
            return cache.missing(md5s)
        except DataDamaged as error:
            mend(error.md5)
    return cache.missing(md5s)


def mend(
    repo: Repo, setup: Setup, md5: str, *, remote: str | None = None, meter: Meter = SILENT
) -> None:
    """Fetch an object anew whose content in the cache is wrong, and put it in its place.

    The wrong one stays until a right one has come.

    Raises:
        DataDamaged: no data remote has a right one.
        DataFailed, WriteFailed: as `fetch` does.
    """
    cache = open_cache(repo, setup)
    try:
        _bring(_open_for(setup, remote, [md5]), cache, [md5], meter)
    except DataMissing as error:
        raise DataDamaged(
            f"the object {md5} in the cache has another content, and no data remote has it",
            md5=md5,
            hint="`git track doctor` tells what else is damaged.",
        ) from error


def _open_for(setup: Setup, remote: str | None, missing: Sequence[str]) -> _Door:
    name = remote or setup.remote
    if name is None:
        words = "no data remote is set" if not setup.remotes else "no data remote is the default"
        raise DataMissing(
            f"{_named(missing)} not in the cache, and {words}",
            md5s=missing,
            hint="`dvc remote add -d NAME URL` sets the one that has it."
            if not setup.remotes
            else "--remote names one.",
        )
    return _open(setup, name)


def _bring(door: _Door, cache: Cache, md5s: Sequence[str], meter: Meter) -> int:
    """Fetch objects into the cache -> their bytes."""
    sizes = door.sizes(md5s) if len(md5s) <= _MOST_SIZED else {}
    total, unit = (sum(sizes.values()), "B") if sizes else (len(md5s), "objects")
    brought = 0
    with (
        _measured(meter, f"fetching from {door.name}", total, unit) as count,
        _staging(cache.directory) as staging,
    ):
        for batch in _batches(md5s):
            brought += _bring_batch(door, cache, batch, staging, sizes, count)
    return brought


def _bring_batch(
    door: _Door,
    cache: Cache,
    md5s: Sequence[str],
    staging: Path,
    sizes: Mapping[str, int],
    count: _Count,
) -> int:
    brought = 0
    waiting = list(md5s)
    for last in (False, True):
        refused = door.get(waiting, staging, sizes, count)
        wrong = []
        for md5 in waiting:
            if md5 in refused:
                continue
            place = staging / md5
            if hashing.file(place).md5 == md5.removesuffix(_LISTING):
                brought += _take(cache, place, md5)
            else:
                place.unlink()
                wrong.append(md5)
        if refused:
            raise _not_brought(door, refused)
        if not wrong:
            break
        if last:
            raise DataDamaged(
                f"data remote '{door.name}' holds something else under {wrong[0]}",
                md5=wrong[0],
                hint="fetched twice and thrown away; a clone that has it must send it again, after "
                f"`{door.path_of(wrong[0])}` was removed there.",
            )
        waiting = wrong
    return brought


def _take(cache: Cache, place: Path, md5: str) -> int:
    """Move a file that was checked into the cache, over a damaged one if need be -> its bytes.

    Without waiting for the disk: what a power cut spoils, the next use notices and fetches anew.
    """
    target = cache.path(md5)
    try:
        size = place.stat().st_size
        place.chmod(0o444)
        target.parent.mkdir(parents=True, exist_ok=True)
        place.replace(target)
    except OSError as error:
        raise _not_written(cache.directory, error) from error
    return size


def _not_brought(door: _Door, refused: Mapping[str, BaseException]) -> DataMissing | DataFailed:
    for error in refused.values():
        if not isinstance(error, FileNotFoundError):
            return door.refusal(error)
    if not door.is_there():
        return door.refusal(FileNotFoundError(errno.ENOENT, "there is nothing at this address"))
    return DataMissing(
        f"{_named(list(refused))} neither in the cache nor in data remote '{door.name}'",
        md5s=list(refused),
        hint="a clone that has it can send it there; --remote names another one.",
    )


def _named(md5s: Sequence[str]) -> str:
    """The subject of a sentence about these objects, and its verb."""
    first = md5s[0] if md5s else ""
    return f"{first} is" if len(md5s) == 1 else f"{first} and {len(md5s) - 1} more are"


@contextmanager
def _staging(directory: Path) -> Iterator[Path]:
    """A directory beside the cache for what has not been checked yet, and gone at the end."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _sweep(directory)
        made = tempfile.mkdtemp(prefix=_STAGING, dir=directory)
    except OSError as error:
        raise _not_written(directory, error) from error
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _sweep(directory: Path) -> None:
    """Remove what fetches that were killed left, when surely none of them still lives."""
    for left in directory.glob(f"{_STAGING}*"):
        try:
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            pass


def _not_written(directory: Path, error: OSError) -> WriteFailed:
    return WriteFailed(
        f"cannot write to the cache '{directory}': {error.strerror}",
        hint="is the disk full, or the cache another user's? `git track doctor` looks.",
    )


# -- how far it is ------------------------------------------------------------------------------


class _Count:
    """Adds up what DVC's threads report, and tells one meter, from one thread at a time."""

    def __init__(self, meter: Meter, total: int, unit: str) -> None:
        self._meter = meter
        self._lock = threading.Lock()
        self._left = total
        self.in_bytes = unit == "B"

    def add(self, count: int) -> None:
        with self._lock:
            # A retried transfer reports its bytes again.
            count = min(count, self._left)
            if count > 0:
                self._left -= count
                self._meter.advance(count)


@contextmanager
def _measured(meter: Meter, what: str, total: int, unit: str = "B") -> Iterator[_Count]:
    meter.start(what, total, unit)
    try:
        yield _Count(meter, total, unit)
    finally:
        meter.end()


# -- DVC ----------------------------------------------------------------------------------------


def _open(setup: Setup, name: str) -> _Door:
    """DVC's view of a data remote; nothing is asked of it yet.

    Raises:
        DataFailed: there is none of this name, its settings make no sense, or the part of DVC that
            speaks to its kind is not installed.
    """
    if name.lower() not in {known.lower() for known in setup.remotes}:
        listed = ", ".join(f"'{one_line(known)}'" for known in sorted(setup.remotes))
        raise DataFailed(
            f"no data remote is named '{one_line(name)}'",
            hint=f"there {'is' if len(setup.remotes) == 1 else 'are'} {listed}."
            if listed
            else "`dvc remote add NAME URL` sets one.",
        )
    url = next(url for known, url in setup.remotes.items() if known.lower() == name.lower())
    with _translated(name, url), _quiet():
        return _Door(name, url, _object_store(setup.directory, name))


def _object_store(directory: Path | None, name: str) -> Any:
    with _own_streams():
        settings = _part("dvc.config").Config(os.fspath(directory) if directory else None)
        kind, options, path = _part("dvc.fs").get_cloud_fs(settings, name=name)
        if options.get("worktree") or options.get("version_aware"):
            raise DataFailed(
                f"data remote '{name}' keeps versions of its own (version_aware or worktree), and "
                "no objects by their hash",
                hint="`dvc remote add NAME URL` without these options sets one that does.",
            )
        return _part("dvc.data_cloud").Remote(name, path, kind(**options), **options).odb


def _part(name: str) -> Any:
    """A module of DVC's or its parts', which have no types."""
    return import_module(name)


@contextmanager
def _own_streams() -> Iterator[None]:
    """Keep our stdout and stderr: DVC's import lets colorama put its own before them."""
    streams = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _Door:
    """One data remote, as DVC's object store; its exceptions come out as ours."""

    def __init__(self, name: str, url: str, store: Any) -> None:
        self.name = one_line(name)
        self._url = url
        self._store = store

    def there(self, md5s: Sequence[str], meter: Meter) -> set[str]:
        """Which of these objects it has.

        Raises:
            DataFailed: it refused to say.
        """
        with _measured(meter, f"asking {self.name}", len(md5s), "objects") as count, self._dvc():
            found = self._store.oids_exist(md5s, progress=_steps(count))
            return set(found) & set(md5s)

    def sizes(self, md5s: Sequence[str]) -> dict[str, int]:
        """The sizes of these objects; empty if it has not all of them.

        Raises:
            DataFailed: it refused to say.
        """
        with self._dvc():
            try:
                paths = [self._store.oid_to_path(md5) for md5 in md5s]
                found = self._store.fs.info(paths)
            except FileNotFoundError:
                return {}
            sizes = [entry.get("size") for entry in found]
        if not all(isinstance(size, int) for size in sizes):
            return {}
        return dict(zip(md5s, sizes, strict=True))

    def put(
        self, files: Mapping[str, Path], sizes: Mapping[str, int], count: _Count
    ) -> dict[str, BaseException]:
        """Store files under these hashes -> what was refused, and why."""
        localfs = _part("dvc.fs").localfs
        paths = {os.fspath(path): sizes[md5] for md5, path in files.items()}
        return self._transfer(self._store, localfs, paths, list(files), count)

    def get(
        self, md5s: Sequence[str], staging: Path, sizes: Mapping[str, int], count: _Count
    ) -> dict[str, BaseException]:
        """Put these objects into a directory, each as a file of its hash -> what was refused."""
        localfs = _part("dvc.fs").localfs
        paths = {self._store.oid_to_path(md5): sizes.get(md5, 0) for md5 in md5s}
        flat = _flat(localfs, os.fspath(staging))
        refused = self._transfer(flat, self._store.fs, paths, md5s, count)
        lost = FileNotFoundError(errno.ENOENT, "it did not arrive")
        absent = {md5: lost for md5 in md5s if not (staging / md5).is_file()}
        return absent | refused

    def _transfer(
        self, store: Any, source: Any, paths: Mapping[str, int], md5s: Sequence[str], count: _Count
    ) -> dict[str, BaseException]:
        refused: dict[str, BaseException] = {}
        progress = _progress(paths, count)
        with self._dvc():
            try:
                store.add(
                    list(paths),
                    source,
                    list(md5s),
                    on_error=refused.__setitem__,
                    callback=progress,
                    check_exists=False,
                    batch_size=store.fs.jobs,
                )
            except Exception:
                # DVC stumbles over a file that did not arrive after it has reported that.
                if not refused:
                    raise
        if not refused:
            progress.finish()
        return refused

    def is_there(self) -> bool:
        """Whether anything at all is at its address.

        Raises:
            DataFailed: it refused to say.
        """
        with self._dvc():
            return bool(self._store.fs.exists(self._store.path))

    def path_of(self, md5: str) -> str:
        """Where the remote keeps an object, as its users would write it."""
        with self._dvc():
            return str(self._store.fs.unstrip_protocol(self._store.oid_to_path(md5)))

    def refusal(self, error: BaseException, so_far: str = "") -> DataFailed:
        """What a remote said no with, as our error."""
        return _refusal(self.name, self._url, error, so_far)

    @contextmanager
    def _dvc(self) -> Iterator[None]:
        with _translated(self.name, self._url), _quiet():
            yield


def _steps(count: _Count) -> Callable[..., None]:
    """A callback of the form that DVC's `oids_exist` takes."""
    seen = 0

    def told(phase: str, total: int | None = None, current: int = 0) -> None:
        nonlocal seen
        if phase == "querying" and current > seen:
            count.add(current - seen)
            seen = current

    return told


def _flat(localfs: Any, directory: str) -> Any:
    """DVC's store of objects in a local directory, without its directories of two digits."""
    base: Any = _part("dvc_data.hashfile.db.local").LocalHashFileDB

    class Flat(base):  # type: ignore[misc]
        def oid_to_path(self, oid: str) -> str:
            return os.path.join(directory, oid)

        def path_to_oid(self, path: str) -> str:
            return os.path.basename(path)

        def _init(self, dname: str) -> None:
            """There is nothing to make."""

    return Flat(localfs, directory)


def _progress(sizes: Mapping[str, int], count: _Count) -> Any:
    """A callback of fsspec's form that adds up bytes, or objects where sizes are unknown."""
    base: Any = _part("fsspec.callbacks").Callback

    class OfFile(base):  # type: ignore[misc]
        value: int

        def relative_update(self, inc: int = 1) -> None:
            self.value += inc
            whole.bytes(inc)

        def absolute_update(self, value: int) -> None:
            whole.bytes(value - self.value)
            self.value = value

    class Whole(base):  # type: ignore[misc]
        told = 0

        def branched(self, path_1: str, path_2: str, **_: Any) -> OfFile:
            return OfFile()

        def relative_update(self, inc: int = 1) -> None:
            if not count.in_bytes:
                count.add(inc)

        def bytes(self, inc: int) -> None:
            if count.in_bytes:
                self.told += inc
                count.add(inc)

        def finish(self) -> None:
            """Count what was copied without a word, as small and cloned files are."""
            self.bytes(max(0, sum(sizes.values()) - self.told))

    whole = Whole()
    return whole


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what DVC and its file systems log, and their bars, off the terminal."""
    import warnings

    before = {name: logging.getLogger(name).level for name in _NOISY}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name in _NOISY:
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


@contextmanager
def _translated(name: str, url: str) -> Iterator[None]:
    """Let DVC's exceptions and those of its file systems come out as `DataFailed`.

    As broad as can be: each kind of remote has a library of its own, with exceptions of its own.
    """
    try:
        yield
    except (DataFailed, DataMissing):
        raise
    except Exception as error:
        raise _refusal(name, url, error) from error


def _refusal(name: str, url: str, error: BaseException, so_far: str = "") -> DataFailed:
    words = f"data remote '{one_line(name)}' ({one_line(mask_words(url))}): {_reason(error)}"
    kind = url.partition("://")[0] if "://" in url else "local"
    hint = None
    if isinstance(error, ImportError) or type(error).__name__ == "RemoteMissingDepsError":
        hint = f"`pip install 'dvc[{one_line(kind)}]'` brings what DVC needs for it."
    elif so_far:
        hint = f"{so_far}; the same command goes on from there."
    return DataFailed(words, hint=hint)


def _reason(error: BaseException) -> str:
    """Why, in one line: the words of an exception, or its kind where it has none."""
    words = str(error)
    if isinstance(error, OSError) and error.strerror:
        place = f": {os.fsdecode(error.filename)}" if error.filename else ""
        words = f"{error.strerror}{place}"
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    said = mask_words(lines[0])[:300] if lines else ""
    kind = type(error).__name__
    return one_line(said) if " " in said else one_line(f"{kind}: {said}" if said else kind)
