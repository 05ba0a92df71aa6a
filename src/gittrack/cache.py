"""The objects on this disk, where DVC keeps them: `<directory>/files/md5/ab/cdef...`.

Knows how content gets in, stays whole and gets out. Knows no remote, no run, no pointer.

Content is copied or reflinked into the cache, never hard-linked: whoever later writes into their
file in place would change the object. Links count for `place` alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack import hashing, manifest
from gittrack.errors import BadFile, DataDamaged, DataMissing, WriteFailed
from gittrack.hashing import Hashed, Stats
from gittrack.manifest import Member
from gittrack.meter import SILENT, Meter

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.setup import Setup

__all__ = ["Cache", "open_cache"]


def open_cache(repo: Repo, setup: Setup) -> Cache:
    """The cache that this repository uses, with its memory of known files; makes nothing yet."""
    return Cache(
        setup.cache,
        links=setup.links,
        stats=Stats(repo.state / "cache" / "md5.sqlite"),
        sync=repo.flag("track.fsync", default=True),
    )


class Cache:
    """A DVC cache. Any number of processes may add, read and place at the same time."""

    def __init__(
        self,
        directory: Path,
        *,
        links: Sequence[str] = ("reflink", "copy"),
        stats: Stats | None = None,
        sync: bool = True,
    ) -> None:
        self.directory = directory
        self.links = tuple(links)
        self._stats = stats
        self._sync = sync
        self._objects = directory / "files" / "md5"

    def path(self, md5: str) -> Path:
        """Where the object of this hash lies, if it does.

        Raises:
            BadFile: `md5` is no hash.
        """
        manifest.check_md5(md5)
        return self._objects / md5[:2] / md5[2:]

    # -- putting in -----------------------------------------------------------------------------

    def add(self, path: Path, *, meter: Meter = SILENT) -> Hashed:
        """Store the content of a file or directory: atomically, and once.

        The source is only read. An object that was there gets a new time, so that a cleaning that
        goes by age spares it.

        Raises:
            BadPath: the source cannot be read, or changes again and again meanwhile.
            WriteFailed: the cache cannot be written; no object is there in part.
        """
        found = hashing.of(path, meter=meter)
        if found.nfiles is None:
            self.add_bytes(path.read_bytes())
            return found
        for member in found.members:
            self.add_bytes((path / member.path).read_bytes())
        self._store(found.md5, manifest.encode(found.members))
        return found

    def add_bytes(self, data: bytes) -> Hashed:
        """Store these bytes as a file object.

        Raises:
            WriteFailed: as `add` says.
        """
        from hashlib import md5

        digest = md5(data, usedforsecurity=False).hexdigest()
        self._store(digest, data)
        return Hashed(digest, len(data))

    def _store(self, md5: str, data: bytes) -> None:
        target = self.path(md5)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f"tmp-{os.getpid()}")
            temporary.write_bytes(data)
            temporary.chmod(0o444)
            temporary.rename(target)
        except OSError as error:
            raise WriteFailed(f"cannot write '{target}': {error.strerror}") from error

    # -- asking ---------------------------------------------------------------------------------

    def holds(self, md5: str) -> bool:
        """Whether the object is here; of a directory the listing and all its files."""
        return not self.missing([md5])

    def missing(self, md5s: Iterable[str]) -> list[str]:
        """Those objects that are not here, each once: files and listings, directories expanded.

        Of a directory whose listing is not here only the listing can be named.

        Raises:
            DataDamaged: a listing is not what its hash says.
        """
        asked: dict[str, None] = {}
        for md5 in md5s:
            asked[md5] = None
            if md5.endswith(".dir") and self.path(md5).exists():
                asked.update(dict.fromkeys(member.md5 for member in self.members(md5)))
        return [md5 for md5 in asked if not self.path(md5).exists()]

    def size(self, md5: str) -> int | None:
        """Bytes of the object, of a directory those of its listing; None if it is not here."""
        try:
            return self.path(md5).stat().st_size
        except OSError:
            return None

    def check(self, md5: str) -> None:
        """Read the object and compare it with its hash; of a directory the listing alone.

        Raises:
            DataDamaged: it has another content.
            DataMissing: it is not here.
        """
        path = self.path(md5)
        if not path.exists():
            raise DataMissing(f"the cache has no object {md5}", md5s=[md5])
        if hashing.file(path).md5 != md5.removesuffix(".dir"):
            raise DataDamaged(f"the object {md5} in the cache has another content", md5=md5)

    def members(self, md5: str) -> tuple[Member, ...]:
        """The files of a directory, from its listing, which is checked.

        Raises:
            DataMissing: the listing is not here.
            DataDamaged: it is not what its hash says.
            BadFile: it is what its hash says, and no listing to be followed.
        """
        return manifest.decode(self.read(md5, limit=manifest.LARGEST))

    def read(self, md5: str, *, limit: int) -> bytes:
        """The bytes of an object, checked.

        Raises:
            DataMissing: it is not here.
            DataDamaged: it is not what its hash says.
            BadFile: it has more than `limit` bytes.
        """
        self.check(md5)
        data = self.path(md5).read_bytes()
        if len(data) > limit:
            raise BadFile(f"the object {md5} has {len(data):,} bytes", path=md5)
        return data

    def objects(self) -> Iterator[tuple[str, os.stat_result]]:
        """Every object that is here, with what `stat` says of its file; in no order."""
        for found in self._objects.glob("??/*"):
            md5 = found.parent.name + found.name
            if len(md5.removesuffix(".dir")) == 32:
                yield md5, found.lstat()

    def leftovers(self) -> Iterator[tuple[Path, os.stat_result]]:
        """The files that interrupted writers left: no object, and nothing reads them."""
        for found in self._objects.glob("??/tmp-*"):
            yield found, found.lstat()

    # -- getting out ----------------------------------------------------------------------------

    def place(
        self, md5: str, target: Path, *, dir_fd: int | None = None, meter: Meter = SILENT
    ) -> None:
        """Put a file object at `target`, by the first of `links` that works there.

        Atomic: `target` is what it was, or the whole content. What stood there, also a symlink, is
        replaced and not followed. `dir_fd` is an open directory that `target` is relative to.

        Raises:
            DataMissing: the object is not here.
            DataDamaged: it is not what its hash says.
            BadPath: `target` is a directory, or its directory does not exist.
            WriteFailed: it cannot be written; nothing of it is there.
        """
        self.check(md5)
        temporary = target.with_name(f".tmp-{os.getpid()}")
        temporary.write_bytes(self.path(md5).read_bytes())
        os.rename(temporary, target)

    def discard(self, md5: str) -> int:
        """Remove an object -> the bytes that its file had; 0 if it was not here.

        Raises:
            WriteFailed: it cannot be removed.
        """
        size = self.size(md5)
        if size is None:
            return 0
        self.path(md5).unlink()
        return size
