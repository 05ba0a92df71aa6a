"""The objects on this disk, where DVC keeps them: `<directory>/files/md5/ab/cdef...`.

Knows how content gets in, stays whole and gets out. Knows no remote, no run, no pointer.

Content is copied or reflinked into the cache, never hard-linked: whoever later writes into their
file in place would change the object. Links count for `place` alone.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gittrack import hashing, manifest, reading
from gittrack.errors import BadFile, BadPath, DataDamaged, DataMissing, WriteFailed
from gittrack.hashing import Hashed, Tree
from gittrack.inode import Numbers, numbers
from gittrack.intake import Incoming, Intake, clone, refused
from gittrack.manifest import Member
from gittrack.meter import SILENT, Meter
from gittrack.placing import Placing, damaged
from gittrack.reading import Source
from gittrack.stats import Stats
from gittrack.stock import Stock

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.setup import Setup

__all__ = ["Cache", "open_cache", "open_stats"]

_WRITABLE = 0o222
_TRIES = 5
# Below this, sharing blocks costs more than it saves.
_WORTH_SHARING = 1 << 20


def open_cache(repo: Repo, setup: Setup) -> Cache:
    """The cache that this repository uses, with its memory of known files; makes nothing yet.

    What `git track init` has yet to move into it is read where it lies.
    """
    from gittrack import setup as setups

    return Cache(
        setup.cache,
        links=setup.links,
        stats=open_stats(repo),
        sync=repo.flag("track.fsync", default=True),
        formers=setups.earlier(repo),
    )


def open_stats(repo: Repo) -> Stats:
    """This repository's memory of the hashes of files; makes nothing yet."""
    return Stats(repo.state / "cache" / "md5.sqlite")


class Cache(Stock):
    """A DVC cache. Any number of processes and threads may add, read and place at once."""

    def __init__(
        self,
        directory: Path,
        *,
        links: Sequence[str] = ("reflink", "copy"),
        stats: Stats | None = None,
        sync: bool = True,
        formers: Sequence[Path] = (),
    ) -> None:
        """`formers` are caches that are read too, and whose objects may move into this one."""
        super().__init__(Path(os.path.abspath(directory)) / "files" / "md5")
        self.directory = directory
        self.links = tuple(links)
        self.stats = stats
        self._sync = sync
        self._unshared: set[tuple[int, int]] = set()
        self._formers = [Path(os.path.abspath(former)) / "files" / "md5" for former in formers]

    def path(self, md5: str) -> Path:
        """Where the object of this hash lies, if it does.

        Raises:
            BadFile: `md5` is no hash.
        """
        manifest.check_md5(md5)
        return Path(next(self._found(md5), self._place(md5)))

    def _found(self, md5: str) -> Iterator[str]:
        """Where an object lies; the next place where it was moved away meanwhile."""
        place = self._place(md5)
        if os.path.exists(place):
            yield place
        for former in self._formers:
            if os.path.exists(other := f"{former}/{md5[:2]}/{md5[2:]}"):
                yield other
        # It may have been moved here between these looks.
        if self._formers and os.path.exists(place):
            yield place

    # -- putting in -----------------------------------------------------------------------------

    def add(self, path: Path, *, meter: Meter = SILENT) -> Hashed:
        """Store the content of a file or directory: atomically, and once.

        The source is read in pieces, and never changed or linked to; not at all where it is known
        and unchanged, which no file is that was written within the last minute (`inode.settled`).
        A directory's listing appears after its files. `meter` hears the bytes that are stored.

        What was there already gets a new time, so that a cleaning spares it; what cannot get one is
        stored anew. So is an object of another size, and one whose content is found to be another:
        it is compared where the source was read, or where somebody could write to the object.

        Raises:
            BadPath: the source cannot be read, or changes again and again meanwhile; or it has a
                path that `manifest.check_path` refuses.
            WriteFailed: the cache cannot be written; no object is there in part.
        """
        if stat.S_ISDIR(reading.look(path).st_mode):
            added = _moved_on(lambda: self._add_directory(path, meter))
        else:
            added = _moved_on(lambda: self._add_file(path, meter))
        if self.stats:
            self.stats.flush()
        return added

    def add_bytes(self, data: bytes) -> Hashed:
        """Store these bytes as a file object.

        Raises:
            WriteFailed: as `add` says.
        """
        from hashlib import md5

        digest = md5(data, usedforsecurity=False).hexdigest()

        def store() -> Hashed:
            with self._intake() as intake:
                self._add_data(intake, digest, data)
            return Hashed(digest, len(data))

        return _moved_on(store)

    def adopt(self, path: Path, md5: str) -> int:
        """Make a file that lies in the cache's file system an object -> its bytes.

        By a rename: atomic, nothing is copied, `path` is gone afterwards, and an object that was
        there is replaced. The caller answers for the content, and for nobody else writing to it.
        Does not wait for the disk: what can be adopted can be had again.

        Raises:
            BadFile: `md5` is no hash.
            WriteFailed: the cache cannot be written; what was there stays.
        """
        with Intake(self._objects, sync=False) as intake:
            return intake.take(os.fspath(path), manifest.check_md5(md5))

    def _intake(self) -> Intake:
        return Intake(self._objects, sync=self._sync)

    def _add_file(self, path: Path, meter: Meter) -> Hashed:
        when = time.time_ns()
        row = numbers(reading.look(path))
        md5 = self.stats.get_all([row])[0] if self.stats else None
        if md5 is None or not self._there(md5, row[2]):
            meter.start(f"storing {path.name}", row[2])
            try:
                with self._intake() as intake:
                    md5, row = self._take(intake, os.fspath(path), row, meter)
            finally:
                meter.end()
            if self.stats:
                self.stats.put_all([(row, md5)], when=when)
        return Hashed(md5, row[2])

    def _add_directory(self, path: Path, meter: Meter) -> Hashed:
        tree = hashing.scan(path)
        rows = list(tree.rows())
        for relative, _ in rows:
            manifest.check_path(relative)
        whole = hashing.remembered(tree, self.stats)
        md5s = hashing.each(rows, whole, self.stats)
        absent = [
            index
            for index, (_, row) in enumerate(rows)
            if (md5 := md5s[index]) is None or not self._there(md5, row[2])
        ]
        found = self._complete(tree, rows, md5s, whole, absent, meter)
        for _ in range(_TRIES):
            # `dvc gc` heeds no time.
            gone = [i for i, md5 in enumerate(md5s) if not os.path.exists(self._place(str(md5)))]
            if not gone:
                break
            found = self._complete(tree, rows, md5s, found, gone, meter)
        return found

    def _complete(
        self,
        tree: Tree,
        rows: list[tuple[str, Numbers]],
        md5s: list[str | None],
        whole: Hashed | None,
        absent: Sequence[int],
        meter: Meter,
    ) -> Hashed:
        """Store those files of a directory that are absent, then its listing."""
        with self._intake() as intake:
            same = self._take_all(intake, tree, rows, md5s, absent, meter)
        if whole is None or absent:
            whole = hashing.remember(tree, rows, md5s, self.stats, same=same)
        # Not before its files: who sees a listing may count on what it names.
        if not self._listed(whole.md5):
            with self._intake() as intake:
                intake.add(whole.md5, manifest.encode(whole.members))
        return whole

    def _take_all(
        self,
        intake: Intake,
        tree: Tree,
        rows: list[tuple[str, Numbers]],
        md5s: list[str | None],
        absent: Sequence[int],
        meter: Meter,
    ) -> bool:
        """Store those files of a directory that are absent; `rows` and `md5s` learn of them.

        False where one is not as it was when the directory was looked through.
        """
        same = True
        if not absent:
            return same
        meter.start(f"storing {os.path.basename(tree.place)}", sum(rows[i][1][2] for i in absent))
        try:
            for index in absent:
                relative, row = rows[index]
                md5s[index], seen = self._take(intake, f"{tree.place}/{relative}", row, meter)
                if seen != row:
                    rows[index], same = (relative, seen), False
        finally:
            meter.end()
        return same

    def _take(self, intake: Intake, path: str, row: Numbers, meter: Meter) -> tuple[str, Numbers]:
        """Read a file into the cache -> its MD5, and what it is known by."""
        small = reading.small(path, row)
        if small is None:
            return self._take_large(intake, Path(path), meter)
        self._add_data(intake, *small)
        meter.advance(row[2])
        return small[0], row

    def _add_data(self, intake: Intake, md5: str, data: bytes) -> None:
        if md5 not in intake and not self._there(md5, len(data), data=data):
            intake.add(md5, data)

    def _take_large(self, intake: Intake, path: Path, meter: Meter) -> tuple[str, Numbers]:
        with Source(path) as source:
            incoming = intake.begin()
            try:
                md5 = self._fill(incoming, source, meter)
                size = os.fstat(incoming.descriptor).st_size
                if md5 in intake or self._there(md5, size, read=True):
                    intake.drop(incoming)
                else:
                    intake.keep(incoming, md5)
            except BaseException:
                intake.drop(incoming)
                raise
        return md5, numbers(source.status)

    def _fill(self, incoming: Incoming, source: Source, meter: Meter) -> str:
        """Copy or clone a file -> the MD5 of what is now in the other."""

        def copy() -> str:
            incoming.restart()
            if self._shares(source.status) and clone(source.descriptor, incoming.descriptor):
                return ""
            return reading.pour(source.descriptor, incoming.write, meter)

        # A clone is of one instant: it can be hashed at leisure, whatever becomes of its source.
        md5 = source.each_time(copy)
        if md5:
            return md5
        try:
            return reading.pour(incoming.descriptor, None, meter)
        except OSError as error:
            raise refused(incoming.path, error) from error

    def _shares(self, status: os.stat_result) -> bool:
        return "reflink" in self.links and status.st_size >= _WORTH_SHARING

    def _there(self, md5: str, size: int, *, data: bytes | None = None, read: bool = False) -> bool:
        """Whether a sound object is here that has now got a new time.

        DVC's own rule: an object that nobody may write to is trusted, any other is hashed. With
        `data` at hand it is compared with that, and with `read` it is hashed in any case.
        """
        place = self._place(md5)
        try:
            status = os.stat(place)
        except OSError:
            return False
        if status.st_size != size or not stat.S_ISREG(status.st_mode):
            return False
        writable = bool(status.st_mode & _WRITABLE)
        try:
            if data is not None:
                sound = Path(place).read_bytes() == data
            elif read or writable:
                sound = hashing.file(Path(place), stats=self.stats).md5 == md5
            else:
                sound = True
            if sound and writable:
                os.chmod(place, 0o444)
        except (BadPath, OSError):
            return False
        return sound and _freshen(place)

    def _listed(self, md5: str) -> bool:
        place = self._place(md5)
        try:
            if not _is_sound(place, md5, SILENT):
                return False
        except DataDamaged:
            return False
        return _freshen(place)

    # -- asking ---------------------------------------------------------------------------------

    def holds(self, md5: str) -> bool:
        """Whether the object is here; of a directory the listing and all its files.

        False too where the listing is damaged.
        """
        try:
            return not self.missing([md5])
        except (DataDamaged, BadFile):
            return False

    def missing(self, md5s: Iterable[str]) -> list[str]:
        """Those objects that are not here, each once: files and listings, directories expanded.

        Of a directory whose listing is not here only the listing can be named.

        Raises:
            DataDamaged: a listing is not what its hash says.
            BadFile: an `md5` is no hash, or a listing none to be followed.
        """
        asked: dict[str, None] = {}
        for md5 in md5s:
            asked[manifest.check_md5(md5)] = None
            if md5.endswith(".dir") and self._is_here(md5):
                asked.update(dict.fromkeys(member.md5 for member in self.members(md5)))
        return [md5 for md5 in asked if not self._is_here(md5)]

    def _is_here(self, md5: str) -> bool:
        return next(self._found(md5), None) is not None

    def size(self, md5: str) -> int | None:
        """Bytes of the object, of a directory those of its listing; None if it is not here.

        Raises:
            BadFile: `md5` is no hash.
        """
        try:
            return self.path(md5).stat().st_size
        except OSError:
            return None

    def check(self, md5: str, *, meter: Meter = SILENT) -> None:
        """Read the object and compare it with its hash; of a directory the listing alone.

        Raises:
            DataDamaged: it has another content, or cannot be read.
            DataMissing: it is not here.
        """
        manifest.check_md5(md5)
        for place in self._found(md5):
            if _is_sound(place, md5, meter):
                return
        raise _missing(md5)

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
            DataDamaged: it is not what its hash says, or cannot be read.
            BadFile: it has more than `limit` bytes.
        """
        from hashlib import md5 as hasher

        manifest.check_md5(md5)
        for place in self._found(md5):
            try:
                with open(place, "rb") as file:
                    data = file.read(limit + 1)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise damaged(md5, place) from error
            if len(data) > limit:
                raise BadFile(f"the object {md5} has more than {limit:,} bytes", path=place)
            if hasher(data, usedforsecurity=False).hexdigest() != md5[:32]:
                raise damaged(md5, place)
            return data
        raise _missing(md5)

    # -- getting out ----------------------------------------------------------------------------

    def place(
        self, md5: str, target: Path, *, dir_fd: int | None = None, meter: Meter = SILENT
    ) -> None:
        """Put a file object at `target`, by the first of `links` that works there.

        Atomic: `target` is what it was, or the whole content, checked. What stood there, also a
        symlink, is replaced and not followed. `dir_fd` is an open directory that `target` is
        relative to; then no symlink on the way to it can be swapped in.

        A copy is hashed as it is made. For a link the object is hashed, unless it is known by its
        `stat` since it last was. A file linked hard or softly is the object itself and read-only.
        `meter` hears its bytes as they are read, each once.

        Raises:
            DataMissing: the object is not here.
            DataDamaged: it is not what its hash says.
            BadPath: `target` is a directory, or its directory does not exist.
            WriteFailed: it cannot be written; nothing of it is there.
        """
        if md5.endswith(".dir"):
            raise ValueError("a listing is not placed: place its members")
        manifest.check_md5(md5)
        for place in self._found(md5):
            placing = Placing(
                md5=md5,
                object=place,
                target=target,
                dir_fd=dir_fd,
                # A link to what is about to move would lead nowhere.
                links=self.links if place == self._place(md5) else ("reflink", "copy"),
                stats=self.stats,
                unshared=self._unshared,
                meter=meter,
            )
            with suppress(FileNotFoundError):
                return placing.run()
        raise _missing(md5)


def _moved_on(store: Callable[[], Hashed]) -> Hashed:
    """Store something, again where `git track init` renamed the directory in between."""
    for _ in range(_TRIES):
        try:
            return store()
        except WriteFailed as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
    return store()


def _freshen(place: str) -> bool:
    """Give an object a new time; False where that cannot be, or it has gone meanwhile.

    After this `discard` spares it, in whatever order the two come.
    """
    try:
        os.utime(place)
    except OSError:
        return False
    return True


def _is_sound(place: str, md5: str, meter: Meter) -> bool:
    """Whether a file is what its name says; False where it is gone.

    Raises:
        DataDamaged: it is something else.
    """
    try:
        found = hashing.file(Path(place), meter=meter)
    except BadPath as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        raise damaged(md5, place) from error
    if found.md5 != md5[:32]:
        raise damaged(md5, place)
    return True


def _missing(md5: str) -> DataMissing:
    return DataMissing(f"the object {md5} is not in the cache", md5s=[md5])
