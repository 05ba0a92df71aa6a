"""What a file or directory is called by its content: the MD5 that DVC 3 gives it.

Knows how `dvc add` sees a directory: which files, in which order, symlinks to files followed and
those to directories left out. Keeps no content; `stats` remembers what is known.
"""

from __future__ import annotations

import marshal
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gittrack import ignores, manifest
from gittrack.errors import BadPath
from gittrack.ignores import Ignores
from gittrack.inode import Numbers, numbers, settled
from gittrack.intake import UNFINISHED
from gittrack.manifest import Member
from gittrack.meter import SILENT, Meter
from gittrack.reading import Source, look, no_file, pour, small, unreadable
from gittrack.stats import Stats

__all__ = [
    "Hashed",
    "Stats",
    "Tree",
    "directory",
    "each",
    "file",
    "of",
    "remember",
    "remembered",
    "scan",
]


@dataclass(frozen=True, slots=True)
class Hashed:
    """What content is: `size` in bytes, of a directory all files together.

    `nfiles` is None for a file, and `members` empty; of a directory they are in the listing's
    order, built when they are first looked at.
    """

    md5: str
    size: int
    nfiles: int | None = None
    members: Sequence[Member] = ()


def of(path: Path, *, stats: Stats | None = None, meter: Meter = SILENT) -> Hashed:
    """Hash a file or a directory, as `dvc add` would.

    A symlink is followed. `meter` hears the bytes that are read, and nothing of those that `stats`
    knows; `stats` is told what is learned, and not flushed. A file is known only if it had rested
    for a minute when it was read: one that was written since then is read each time.

    Raises:
        BadPath: it is missing, unreadable, neither file nor directory, a broken symlink or a
            cycle, or changes again and again while it is read; of a directory, any of its files.
    """
    if stat.S_ISDIR(look(path).st_mode):
        return directory(path, stats=stats, meter=meter)
    return file(path, stats=stats, meter=meter)


def file(path: Path, *, stats: Stats | None = None, meter: Meter = SILENT) -> Hashed:
    """Hash a file, through symlinks; not read where `stats` knows it.

    Raises:
        BadPath: as `of` says; or it is a directory.
    """
    status = look(path)
    known = stats.get(status) if stats else None
    if known is not None:
        return Hashed(known, status.st_size)
    meter.start(f"hashing {path.name}", status.st_size)
    try:
        with Source(path) as source:
            md5 = source.each_time(lambda: pour(source.descriptor, None, meter))
    finally:
        meter.end()
    if stats:
        stats.put(source.status, md5, when=source.when)
    return Hashed(md5, source.status.st_size)


def directory(path: Path, *, stats: Stats | None = None, meter: Meter = SILENT) -> Hashed:
    """Hash a directory: DVC's listing of its files, without those that `.dvcignore` names.

    Symlinks to directories, and directories with a `.dvc` of their own, are left out as DVC
    leaves them out; so is what `git track get` has not finished, or left when it was killed.

    Raises:
        BadPath: as `of` says; or a `.dvcignore` excludes the directory, or is inside it.
    """
    tree = scan(path)
    whole = remembered(tree, stats)
    if whole is not None:
        return whole
    rows = list(tree.rows())
    known = each(rows, None, stats)
    todo = [index for index, md5 in enumerate(known) if md5 is None]
    same = True
    meter.start(f"hashing {path.name}", sum(rows[index][1][2] for index in todo))
    try:
        for index in todo:
            relative, row = rows[index]
            known[index], seen = _member(tree, relative, row, meter)
            if seen != row:
                rows[index], same = (relative, seen), False
    finally:
        meter.end()
    return remember(tree, rows, known, stats, same=same)


def _member(tree: Tree, relative: str, row: Numbers, meter: Meter) -> tuple[str, Numbers]:
    """Hash one file of a directory -> its MD5, and what it is known by."""
    md5 = small(f"{tree.place}/{relative}", row)
    if md5 is not None:
        meter.advance(row[2])
        return md5[0], row
    with Source(Path(tree.place, relative)) as source:
        found = source.each_time(lambda: pour(source.descriptor, None, meter))
    return found, numbers(source.status)


# -- directories --------------------------------------------------------------------------------


class Tree:
    """The files of a directory as `dvc add` would take them, in the order in which they were found.

    Small enough to hold a million: one string of bytes a directory.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.when = time.time_ns()
        status = os.stat(place)
        self.inode = (status.st_dev, status.st_ino)
        self._parts: list[tuple[str, bytes]] = []

    def add(self, prefix: str, rows: list[tuple[Any, ...]]) -> None:
        """Add the files of one directory, each its name and the five `Numbers`."""
        # Version 2: later ones encode equal values differently, depending on who else has them.
        self._parts.append((prefix, marshal.dumps(rows, 2)))

    def rows(self) -> Iterator[tuple[str, Numbers]]:
        """The files: path relative to the directory, with `/`, and what it is known by."""
        for prefix, rows in self._parts:
            for name, *known in marshal.loads(rows):
                yield prefix + name, tuple(known)

    @property
    def stamp(self) -> bytes:
        """Another value wherever a file came, went or has another `stat`."""
        from hashlib import blake2b

        hasher = blake2b(digest_size=20)
        for prefix, rows in self._parts:
            hasher.update(b"%d %d " % (len(prefix), len(rows)))
            hasher.update(prefix.encode("utf-8", "surrogateescape"))
            hasher.update(rows)
        return hasher.digest()


def scan(path: Path) -> Tree:
    """Find the files of a directory, as `dvc add` would.

    Raises:
        BadPath: as `directory` says.
    """
    rules, called = ignores.of(os.fspath(path))
    if not rules.plain and _left_out(rules, called):
        raise BadPath(
            f"'{path}' is left out by '{ignores.FILE}'",
            path=os.fspath(path),
            hint="change the rule, or name another directory.",
        )
    try:
        tree = Tree(os.fspath(path))
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    waiting = [("", rules)]
    while waiting:
        prefix, rules = waiting.pop()
        _scan_one(tree, prefix, called, rules, waiting)
    return tree


def _left_out(rules: Ignores, called: str) -> bool:
    parts = called.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return any(rules.directory(path, "") for path in above)


def _scan_one(
    tree: Tree, prefix: str, called: str, rules: Ignores, waiting: list[tuple[str, Ignores]]
) -> None:
    """Add the files of the directory at `prefix`, and put those below it with those that wait."""
    place = f"{tree.place}/{prefix}" if prefix else tree.place
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(place, error) from error
    name = ""
    try:
        with os.scandir(descriptor) as listing:
            entries = list(listing)
        names = {entry.name for entry in entries} if prefix else set()
        if ".dvc" in names:
            return
        own = f"{called}/{prefix}"
        rules = _inner(rules, own, place, entries)
        rows = []
        plain = rules.plain
        for entry in entries:
            name = entry.name
            if entry.is_dir():
                if not entry.is_symlink() and not rules.directory(own + name, name):
                    waiting.append((f"{prefix}{name}/", rules))
            elif name.startswith(UNFINISHED):
                continue
            elif name != ".git" if plain else not rules.file(own + name, name):
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise no_file(f"{place.rstrip('/')}/{name}", status.st_mode)
                rows.append(
                    (
                        name,
                        status.st_dev,
                        status.st_ino,
                        status.st_size,
                        status.st_mtime_ns,
                        status.st_ctime_ns,
                    )
                )
    except OSError as error:
        raise unreadable(f"{place.rstrip('/')}/{name}", error) from error
    finally:
        os.close(descriptor)
    if rows:
        tree.add(prefix, rows)


def _inner(rules: Ignores, own: str, place: str, entries: list[os.DirEntry[str]]) -> Ignores:
    """The rules in a directory that is hashed; DVC refuses one that has rules of its own."""
    if not any(entry.name == ignores.FILE for entry in entries):
        return rules
    within = rules.entering(own.rstrip("/"), place)
    if within.file(own + ignores.FILE, ignores.FILE):
        return within
    raise BadPath(
        f"'{place.rstrip('/')}' has a '{ignores.FILE}' of its own, which DVC refuses",
        path=place,
        hint=f"put its rules into the '{ignores.FILE}' of a directory above.",
    )


# -- what is known of directories ---------------------------------------------------------------


def remembered(tree: Tree, stats: Stats | None) -> Hashed | None:
    """What `stats` knows of a directory as a whole; None where any of its files is another now."""
    stored = stats.get_directory(tree.inode, tree.stamp) if stats else None
    return _unpacked(tree, stored) if stored else None


def each(
    rows: Sequence[tuple[str, Numbers]], whole: Hashed | None, stats: Stats | None
) -> list[str | None]:
    """The MD5 of each file of a tree, in the order of its rows; None where it is not known.

    `whole` is what `remembered` said of the tree.
    """
    if whole is not None and isinstance(whole.members, _Members):
        return list(whole.members.in_order())
    return stats.get_all([row for _, row in rows]) if stats else [None] * len(rows)


def _unpacked(tree: Tree, stored: bytes) -> Hashed | None:
    """A directory from what `remember` packed: its MD5, its size in 8 bytes, its files' MD5s."""
    if len(stored) < 24 or len(stored) % 16 != 8:
        return None
    members = _Members(tree, stored[24:])
    size = int.from_bytes(stored[16:24], "big")
    return Hashed(stored[:16].hex() + ".dir", size, len(members), members)


def remember(
    tree: Tree,
    rows: Sequence[tuple[str, Numbers]],
    md5s: Sequence[str | None],
    stats: Stats | None,
    *,
    same: bool,
) -> Hashed:
    """Name a directory whose files are known, and tell `stats` of them.

    `rows` are those of the tree, as the files were when they were read; `same` if none had changed.
    """
    known = [md5 for md5 in md5s if md5 is not None]
    found = _listed([Member(row[0], md5) for row, md5 in zip(rows, known, strict=True)], rows)
    if stats:
        stats.put_all(zip((row for _, row in rows), known, strict=True), when=tree.when)
        if same and all(settled(row, when=tree.when) for _, row in rows):
            packed = bytes.fromhex(found.md5[:32]) + found.size.to_bytes(8, "big")
            stats.put_directory(tree.inode, tree.stamp, packed + bytes.fromhex("".join(known)))
    return found


def _listed(members: Sequence[Member], rows: Sequence[tuple[str, Numbers]]) -> Hashed:
    """Name a directory by its files."""
    ordered = tuple(sorted(members))
    size = sum(row[2] for _, row in rows)
    return Hashed(manifest.digest(ordered), size, len(ordered), ordered)


class _Members(Sequence[Member]):
    """The files of a directory, made when somebody looks: most only ask for its name."""

    def __init__(self, tree: Tree, md5s: bytes) -> None:
        self._tree = tree
        self._md5s = md5s
        self._made: tuple[Member, ...] | None = None

    def _all(self) -> tuple[Member, ...]:
        if self._made is None:
            paths = (path for path, _ in self._tree.rows())
            self._made = tuple(sorted(map(Member, paths, self.in_order())))
        return self._made

    def in_order(self) -> list[str]:
        """The MD5s in the order of the tree."""
        text = self._md5s.hex()
        return [text[start : start + 32] for start in range(0, len(text), 32)]

    def __len__(self) -> int:
        return len(self._md5s) // 16

    def __getitem__(self, index: Any) -> Any:
        return self._all()[index]

    def __iter__(self) -> Iterator[Member]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    __hash__ = None  # type: ignore[assignment]
