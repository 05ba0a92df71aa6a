"""What a run reads: the data it names, and the data that its command names and DVC knows.

Knows which words are data, which pointer tells of it, and whether it still is what it was. Hashes
through `hashing`, which remembers; stores nothing and fetches nothing.
"""

from __future__ import annotations

import os
import posixpath
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gittrack import cache, hashing, manifest, memory, pointers
from gittrack.cache import Cache
from gittrack.errors import BadFile, BadPath, DataDamaged, DataMissing, GitFailed
from gittrack.git import Repo
from gittrack.manifest import Member
from gittrack.meter import SILENT, Meter
from gittrack.pointers import Pointer
from gittrack.quoting import one_line, quote_path, utf8
from gittrack.records import Data
from gittrack.setup import Setup
from gittrack.stats import Stats

__all__ = ["again", "altered_after", "begin", "place", "traced", "written_after"]

_LONGEST = 4096
_MOST_TRACED = 1000


@dataclass(frozen=True, slots=True)
class _Place:
    """Where data is: `path` on the disk, and its name in the record before quoting.

    The name is relative to the work tree's root if it is `inside`, else absolute.
    """

    path: Path
    name: str
    inside: bool


# -- at the start -------------------------------------------------------------------------------


def begin(
    repo: Repo,
    setup: Setup,
    *,
    paths: Sequence[str],
    words: Sequence[str],
    directory: Path,
    tree: str,
    faults: list[str] | None = None,
    meter: Meter = SILENT,
) -> tuple[Data, ...]:
    """Find and hash what a run is about to read; `faults` gets a sentence of what stayed unknown.

    That is `paths`, seen from `directory`, each of which must be there; those of `track.data`, seen
    from the work tree's root, as far as they are there; and what one of `words` names, where a
    `.dvc` file or a `dvc.lock` knows it and it is there: the word itself, or what stands after its
    `=`, seen from `directory` or from the root. What `tree`, the snapshot, holds is code.

    Unchanged data costs a `stat` for each file, once its hash is known: from an earlier look, or
    from DVC's own memory of what `dvc add` and `dvc repro` hashed.

    Raises:
        BadPath: one of the paths is missing, unreadable, no file or directory, or outside of the
            repository while `track.dataOutside` does not allow it.
        BadFile: a pointer that would name the data cannot be understood.
    """
    root = _root(repo)
    directory = Path(os.path.realpath(directory))
    outside = repo.flag("track.dataoutside", default=False)
    given = {place.name: place for place in (_given(root, directory, p, outside) for p in paths)}
    for path in repo.config_all("track.data"):
        place = _given(root, root, path, outside)
        if os.path.lexists(place.path):
            given.setdefault(place.name, place)
    named = [place for place in _named(root, directory, words) if not _covered(place.name, given)]
    named = [place for place in named if not _is_code(repo, tree, place.name)]
    places = [*given.values(), *named]
    known = _pointers(repo, setup, root, [place.name for place in places if place.inside])
    for place in given.values():
        _check_there(place, known.get(place.name))
    stats = cache.open_stats(repo)
    data = [
        _data(repo, setup, place, known.get(place.name), stats, faults, meter)
        for place in places
        if place.name in given or place.name in known
    ]
    stats.flush()
    return tuple(sorted(data, key=lambda item: item.path))


def _root(repo: Repo) -> Path:
    assert repo.root is not None
    return Path(os.path.realpath(repo.root))


def _given(root: Path, directory: Path, path: str, outside: bool) -> _Place:
    """Where a path that the user gave lies.

    Raises:
        BadPath: it is empty, Git's own, the whole work tree, or outside.
    """
    shown = one_line(path)
    if not path or "\0" in path:
        raise BadPath(f"'{shown}' is no path to data", path=shown)
    place = _place(root, directory, path)
    if not place.inside and not outside:
        raise BadPath(
            f"the data '{shown}' lies outside of the repository",
            path=shown,
            hint="`git config track.dataOutside true` allows that; the record names it by its "
            "absolute path then.",
        )
    if place.inside and (place.name == "." or ".git" in place.name.split("/")):
        what = "the whole work tree" if place.name == "." else "Git's own"
        raise BadPath(f"'{shown}' is {what}, and no data", path=shown, hint="name the data alone.")
    return place


def _place(root: Path, directory: Path, path: str) -> _Place:
    """A path by its own name: a symlink that DVC put in the place of data is not followed."""
    here = Path(os.path.normpath(os.path.join(directory, path)))
    if not here.is_relative_to(root):
        # The root itself may have been named by way of a symlink.
        ways = [above for above in here.parents if os.path.realpath(above) == os.fspath(root)]
        if not ways:
            return _Place(here, os.fspath(here), inside=False)
        here = root / here.relative_to(ways[0])
    return _Place(here, here.relative_to(root).as_posix(), inside=True)


def _named(root: Path, directory: Path, words: Iterable[str]) -> Iterator[_Place]:
    """The places inside the work tree that words name and where something is, each once."""
    seen: set[str] = set()
    for word in words:
        for path in (word, word.partition("=")[2]):
            if not path or len(path) > _LONGEST or "\n" in path or "\0" in path:
                continue
            for start in (directory, root):
                place = _place(root, start, path)
                if not place.inside or place.name == "." or place.name in seen:
                    continue
                if _is_there(place.path):
                    seen.add(place.name)
                    yield place


def _is_there(path: Path) -> bool:
    try:
        os.stat(path)
    except (OSError, ValueError):
        return False
    return True


def _covered(name: str, given: Iterable[str]) -> bool:
    return any(name == other or name.startswith(f"{other}/") for other in given)


def _is_code(repo: Repo, tree: str, name: str) -> bool:
    """Whether the snapshot holds this path, as a file or as a directory."""
    try:
        name.encode()
        return name.startswith(".git/") or repo.entry(tree, name) is not None
    except (UnicodeEncodeError, GitFailed):
        return False


def _pointers(repo: Repo, setup: Setup, root: Path, names: list[str]) -> dict[str, Pointer]:
    """The pointers of these paths; Git is asked for them only where there is a `.dvc` at all."""
    places = {Path(name).parent for name in names}
    around = {above for place in places for above in (place, *place.parents)}
    if setup.directory is None and not any((root / place / ".dvc").is_dir() for place in around):
        return {}
    return dict(pointers.found(repo, names))


def _check_there(place: _Place, pointer: Pointer | None) -> None:
    if _is_there(place.path):
        return
    shown = one_line(place.name)
    if pointer is not None:
        raise BadPath(
            f"the data '{shown}' is not here, only its pointer {one_line(pointer.file)}",
            path=shown,
            hint=f"`dvc pull {one_line(pointer.file)}` brings it.",
        )
    if os.path.lexists(place.path):
        raise BadPath(f"the data '{shown}' is a broken symbolic link", path=shown)
    raise BadPath(
        f"there is no data '{shown}'", path=shown, hint="paths of --data are relative to here."
    )


# -- one piece of data --------------------------------------------------------------------------


def _data(
    repo: Repo,
    setup: Setup,
    place: _Place,
    pointer: Pointer | None,
    stats: Stats,
    faults: list[str] | None,
    meter: Meter,
) -> Data:
    if pointer is not None:
        _learn(repo, setup, place, pointer, stats)
    got = hashing.of(place.path, stats=stats, meter=meter)
    told = None
    if pointer is not None:
        try:
            told = _told(repo, setup, pointer, place.name)
        except (DataMissing, DataDamaged, BadFile):
            if faults is not None:
                shown, file = one_line(place.name), one_line(pointer.file)
                faults.append(f"'{shown}' was not compared with {file}: its listing is not here")
    return Data(
        path=quote_path(os.fsencode(place.name)),
        md5=got.md5,
        size=got.size,
        nfiles=got.nfiles,
        pointer=None if pointer is None else utf8(pointer.file),
        modified=told is not None and told != got.md5,
    )


def _learn(repo: Repo, setup: Setup, place: _Place, pointer: Pointer, stats: Stats) -> None:
    """Spare the hashing of what DVC has hashed: by its own memory, or as a link into its cache.

    A link is known by its inode, and trusted if the object is write-protected, as DVC trusts it.
    """
    memory.recall(setup, place.path, stats)
    if not {"hardlink", "symlink"}.intersection(setup.links) or pointer.dos2unix:
        return
    store = cache.open_cache(repo, setup)
    for inner, md5 in _files(store, pointer):
        name = posixpath.join(pointer.path, inner)
        if not (name == place.name or _covered(name, [place.name])):
            continue
        try:
            seen, object_ = os.stat(_root(repo) / name), os.stat(store.path(md5))
        except OSError:
            continue
        if os.path.samestat(seen, object_) and not seen.st_mode & 0o222:
            stats.put(seen, md5, when=time.time_ns())


def _files(store: Cache, pointer: Pointer) -> Iterator[tuple[str, str]]:
    """The files that a pointer names, seen from its path, as far as the cache tells."""
    if not pointer.md5.endswith(".dir"):
        yield "", pointer.md5
        return
    try:
        yield from ((member.path, member.md5) for member in store.members(pointer.md5))
    except (DataMissing, DataDamaged, BadFile):
        return


def _told(repo: Repo, setup: Setup, pointer: Pointer, name: str) -> str | None:
    """What the pointer says that the content is; None where it does not tell, "" for nothing.

    Raises:
        DataMissing, DataDamaged, BadFile: it names a directory whose listing cannot be read.
    """
    if pointer.dos2unix:
        return None
    if pointer.path == name or not pointer.md5.endswith(".dir"):
        return pointer.md5
    inner = name.removeprefix(f"{pointer.path}/")
    members = cache.open_cache(repo, setup).members(pointer.md5)
    below = [
        Member(member.path.removeprefix(f"{inner}/"), member.md5)
        for member in members
        if member.path.startswith(f"{inner}/")
    ]
    if below:
        return manifest.digest(sorted(below))
    return next((member.md5 for member in members if member.path == inner), "")


# -- at the end ---------------------------------------------------------------------------------


def again(
    repo: Repo, setup: Setup, data: Sequence[Data], *, meter: Meter = SILENT
) -> tuple[Data, ...]:
    """Look at data once more -> the same, `changed` where its content is another one or gone.

    Free for what `stat` shows to be unchanged. The hash stays that of the start: what the run read.
    """
    root = _root(repo)
    stats = cache.open_stats(repo)
    seen = tuple(replace(item, changed=_has_changed(root, item, stats, meter)) for item in data)
    stats.flush()
    return seen


def _has_changed(root: Path, item: Data, stats: Stats, meter: Meter) -> bool:
    path = root / os.fsdecode(_unquoted(item.path))
    try:
        return hashing.of(path, stats=stats, meter=meter).md5 != item.md5
    except BadPath:
        return True


def place(repo: Repo, item: Data) -> Path:
    """Where data of a record is in this work tree."""
    return _root(repo) / os.fsdecode(_unquoted(item.path))


def written_after(path: Path, moment: int) -> bool:
    """Whether a file, or one in a directory, was written after a moment (ns since the epoch).

    By the ctime, which no program can set: what was put back with its old time is noticed. False of
    what is not there.
    """
    try:
        if not path.is_dir():
            return _written(path) > moment
        late = [name for name, row in hashing.scan(path).rows() if row[4] > moment]
        return any(_written(path / name) > moment for name in late)
    except (OSError, BadPath):
        return False


def _written(path: Path) -> int:
    """When a file was written last, in ns since the epoch; 0 if that cannot be told."""
    status = os.stat(path)
    if not status.st_mode & 0o222 and (status.st_nlink > 1 or path.is_symlink()):
        # An object of a cache, which gets a new time whenever somebody wants it.
        return 0
    # A new link sets the ctime alone.
    return status.st_ctime_ns if status.st_nlink == 1 else status.st_mtime_ns


def altered_after(path: Path, moment: int) -> bool:
    """As `written_after`; also whether a file was removed from where it was, or came there."""
    if written_after(path, moment):
        return True
    while not os.path.lexists(path):
        path = path.parent
        if path.is_dir():
            return path.stat().st_mtime_ns > moment
    return any(os.stat(top).st_mtime_ns > moment for top, _, _ in os.walk(path))


_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


def _unquoted(path: str) -> bytes:
    """The bytes that `quote_path` wrote."""
    raw = path.encode("utf-8", "surrogateescape")
    if not (len(raw) > 1 and raw.startswith(b'"') and raw.endswith(b'"')):
        return raw
    return re.sub(rb"\\([0-7]{3}|.)", _unescape, raw[1:-1])


def _unescape(found: re.Match[bytes]) -> bytes:
    said = found[1]
    return bytes([int(said, 8) if len(said) == 3 else _ESCAPES.get(said, said[0])])


def traced(
    repo: Repo,
    setup: Setup,
    paths: Sequence[Path],
    *,
    given: Sequence[Data] = (),
    faults: list[str] | None = None,
    meter: Meter = SILENT,
) -> tuple[Data, ...]:
    """Hash the files that a run was seen to read, as they are now; `faults` as `begin` has it.

    Left out is what `given` holds, alone or in a directory, and what is gone. Files of a directory
    that a pointer names are that directory. Of more than a thousand files, those that share a
    directory are that directory.
    """
    root = _root(repo)
    held = [os.fsdecode(_unquoted(item.path)) for item in given]
    places = {
        place.name: place
        for place in (_place(root, root, os.fspath(path)) for path in paths)
        if place.name != "." and not _covered(place.name, held) and _is_there(place.path)
    }
    known = _pointers(repo, setup, root, [name for name, place in places.items() if place.inside])
    folded = _folded({known[name].path if name in known else name for name in places})
    stats = cache.open_stats(repo)
    data = []
    for name in sorted(folded):
        place = places.get(name) or _place(root, root, name)
        pointer = known.get(name) or next((p for p in known.values() if p.path == name), None)
        try:
            data.append(_data(repo, setup, place, pointer, stats, faults, meter))
        except BadPath:
            continue
    stats.flush()
    return tuple(data)


def _folded(names: set[str]) -> set[str]:
    """At most a thousand names, as far as their directories allow."""
    while len(names) > _MOST_TRACED:
        above = {posixpath.dirname(name) or name for name in names}
        outer = {name for name in above if not any(p in above for p in _above(name))}
        if len(outer) == len(names):
            break
        names = outer
    return names


def _above(name: str) -> Iterator[str]:
    while posixpath.dirname(name) not in ("", "/", name):
        name = posixpath.dirname(name)
        yield name
