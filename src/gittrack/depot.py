"""The one door to DVC: a data remote, opened, and what passes through it.

Knows how DVC stores, asks and fails, and its file systems: none of them speaks beside our own
words, and their exceptions come out as ours. Its configuration is that of the user's own work tree,
never of a fetched one. Knows no cache and no run, and nothing of what a hash stands for.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from gittrack.errors import DataFailed, DataMissing
from gittrack.meter import Meter
from gittrack.quoting import one_line
from gittrack.secrets import mask_words
from gittrack.setup import Setup

__all__ = ["Count", "Depot", "measured", "open_depot"]

_NOISY = (
    *("dvc", "dvc_data", "dvc_objects", "fsspec", "asyncio", "aiohttp", "urllib3"),
    *("s3fs", "boto3", "botocore", "aiobotocore", "gcsfs", "adlfs", "azure", "paramiko"),
)
"""Loggers that would write beside our own words; what they say comes back as an exception too."""


# -- how far it is -------------------------------------------------------------------------------


class Count:
    """Adds up what DVC's threads report, and tells one meter, from one thread at a time."""

    def __init__(self, meter: Meter, total: int, unit: str) -> None:
        self._meter = meter
        self._lock = threading.Lock()
        self._left = total
        self.in_bytes = unit == "B"

    def add(self, count: int) -> None:
        """Tell of so many more, never beyond the total; any thread may."""
        with self._lock:
            # A retried transfer reports its bytes again.
            count = min(count, self._left)
            if count > 0:
                self._left -= count
                self._meter.advance(count)


@contextmanager
def measured(meter: Meter, what: str, total: int, unit: str = "B") -> Iterator[Count]:
    """Begin a piece of work that `meter` watches, and end it; `what` and `unit` as for `Meter`."""
    meter.start(what, total, unit)
    try:
        yield Count(meter, total, unit)
    finally:
        meter.end()


# -- a data remote -------------------------------------------------------------------------------


def open_depot(setup: Setup, name: str) -> Depot:
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
        return Depot(name, url, _object_store(setup.directory, name))


def _object_store(directory: Path | None, name: str) -> Any:
    with _own_streams():
        settings = import_module("dvc.config").Config(os.fspath(directory) if directory else None)
        kind, options, path = import_module("dvc.fs").get_cloud_fs(settings, name=name)
        if options.get("worktree") or options.get("version_aware"):
            raise DataFailed(
                f"data remote '{name}' keeps versions of its own (version_aware or worktree), and "
                "no objects by their hash",
                hint="`dvc remote add NAME URL` without these options sets one that does.",
            )
        return import_module("dvc.data_cloud").Remote(name, path, kind(**options), **options).odb


class Depot:
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
        with measured(meter, f"asking {self.name}", len(md5s), "objects") as count, self._dvc():
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
        self, files: Mapping[str, Path], sizes: Mapping[str, int], count: Count
    ) -> dict[str, BaseException]:
        """Store files under these hashes -> what was refused, and why.

        Each appears there whole. The files are not checked, nor is it asked whether it has them.

        Raises:
            DataFailed: nothing could be asked of it.
        """
        localfs = import_module("dvc.fs").localfs
        paths = {os.fspath(path): sizes[md5] for md5, path in files.items()}
        return self._transfer(self._store, localfs, paths, list(files), count)

    def get(
        self, md5s: Sequence[str], staging: Path, sizes: Mapping[str, int], count: Count
    ) -> dict[str, BaseException]:
        """Put these objects into a directory, each as a file of its hash -> what was refused.

        What came is not checked. An object that never arrived is refused with `FileNotFoundError`.

        Raises:
            DataFailed: nothing could be asked of it.
        """
        localfs = import_module("dvc.fs").localfs
        paths = {self._store.oid_to_path(md5): sizes.get(md5, 0) for md5 in md5s}
        flat = _flat(localfs, os.fspath(staging))
        refused = self._transfer(flat, self._store.fs, paths, md5s, count)
        lost = FileNotFoundError(errno.ENOENT, "it did not arrive")
        absent = {md5: lost for md5 in md5s if not (staging / md5).is_file()}
        return absent | refused

    def _transfer(
        self, store: Any, source: Any, paths: Mapping[str, int], md5s: Sequence[str], count: Count
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


# -- what DVC is handed --------------------------------------------------------------------------


def _steps(count: Count) -> Callable[..., None]:
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
    base: Any = import_module("dvc_data.hashfile.db.local").LocalHashFileDB

    class Flat(base):  # type: ignore[misc]
        def oid_to_path(self, oid: str) -> str:
            return os.path.join(directory, oid)

        def path_to_oid(self, path: str) -> str:
            return os.path.basename(path)

        def _init(self, dname: str) -> None:
            """There is nothing to make."""

    return Flat(localfs, directory)


def _progress(sizes: Mapping[str, int], count: Count) -> Any:
    """A callback of fsspec's form that adds up bytes, or objects where sizes are unknown."""
    base: Any = import_module("fsspec.callbacks").Callback

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


# -- its silence ---------------------------------------------------------------------------------


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
def _own_streams() -> Iterator[None]:
    """Keep our stdout and stderr: DVC's import lets colorama put its own before them."""
    streams = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


# -- its refusals --------------------------------------------------------------------------------


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
    elif isinstance(error, FileNotFoundError):
        missing = "is a disk not mounted, or was it moved?" if kind == "local" else "was it moved?"
        hint = (
            f"{missing} `dvc remote list` names all data remotes, --remote takes another one; "
            f"`dvc remote modify {one_line(name)} url ADDRESS` says where it is now."
        )
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
