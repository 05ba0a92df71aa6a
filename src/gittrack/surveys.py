"""What the refs are now, compared with what the tables of the index say that they were.

Reads loose refs and `packed-refs` by itself, in the order in which Git changes them, and only what
a stamp says has changed. What is odd about a ref, Git is asked. Knows nothing of commits.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from gittrack import refs, stamps, tables
from gittrack.errors import GitFailed
from gittrack.git import Ref
from gittrack.refs import RunRef
from gittrack.whereabouts import Place

if TYPE_CHECKING:
    import sqlite3

__all__ = ["NOTES", "Survey", "heads", "look"]

NOTES = "refs/notes/runs"
"""Where annotations are kept."""

_RUNS = refs.ROOT.rstrip("/")
_PACKED = "packed-refs"
_OWN = "gittrack/annotations"
_OBJECTS = "objects/"
_HEX = re.compile(rb"[0-9a-f]{40}")
_ZERO = b"0" * 40
_ALL = (
    "SELECT number, 'refs/runs/' || experiment || '/' || name, oid, stamp FROM runs",
    "SELECT NULL, ref, oid, stamp FROM others",
)
_LOOSE = (
    "SELECT number, 'refs/runs/' || experiment || '/' || name, oid, stamp FROM runs"
    " WHERE experiment = ? AND stamp IS NOT NULL"
)
_NAMED = (
    "SELECT number, 'refs/runs/' || experiment || '/' || name, oid, stamp FROM runs"
    " WHERE name IN ({}) AND experiment = ?"
)
_OTHERS = "SELECT NULL, ref, oid, stamp FROM others WHERE ref > ? AND ref < ?"


class _Known(NamedTuple):
    """A ref as the tables have it: in the row of this number, or among the others."""

    number: int | None
    oid: str | None
    stamp: int | None


_Before: TypeAlias = "dict[str, _Known]"
_After: TypeAlias = "dict[str, tuple[str | None, int | None]]"


class Survey(NamedTuple):
    """What is to be done. Refs are full names, an oid None where a ref points nowhere.

    `new` are refs that no row is of, as runs where they have our form. `gone` are
    the numbers of rows, `lost` other refs that are no more. `restamped` are stamps with the numbers
    of their rows, `stamps` those of loose refs. `looked` are the places that were looked at, with
    their stamps from before. `said_changed`: so may have annotations. `retry`: what could not be
    read may be readable now.
    """

    new: list[tuple[str, RunRef | None, str | None]]
    gone: list[int]
    lost: list[str]
    restamped: list[tuple[int | None, int]]
    stamps: Mapping[str, int]
    looked: Mapping[str, str]
    said_changed: bool
    retry: bool


def look(database: sqlite3.Connection, place: Place, stored: Mapping[str, str]) -> Survey:
    """Compare the refs with the tables; `stored` are the places that were looked at last.

    Raises:
        GitFailed: they cannot be read.
    """
    top, now = place.common_dir, time.time_ns()
    # Whoever packs refs writes the file before he removes the loose ones: so it is looked at last.
    listed = {path: stamps.stamp(f"{top}/{path}", now) for path in stamps.directories(top, _RUNS)}
    said = {path: stamps.stamp(f"{top}/{path}", now) for path in stamps.directories(top, NOTES)}
    said[_OWN] = stamps.stamp(f"{top}/{_OWN}", now)
    listed[_PACKED] = said[_PACKED] = stamps.stamp(f"{top}/{_PACKED}", now)
    changed = [path for path in listed if not listed[path] or listed[path] != stored.get(path)]
    changed += [path for path in stored.keys() - listed.keys() if path.startswith(_RUNS)]
    if _PACKED in changed:
        before, after = _all(database, place, now)
    else:
        before, after = _some(database, place, changed, now)
        if stamps.stamp(f"{top}/{_PACKED}") != listed[_PACKED]:
            # A ref that no row is of was packed before its directory was looked at.
            before, after = _all(database, place, now)
    watched = {path: was for path, was in stored.items() if path.startswith(_OBJECTS)}
    return _compared(
        before,
        after,
        looked={**listed, **said},
        said_changed=any(not s or stored.get(path) != s for path, s in said.items())
        or any(path.startswith(NOTES) for path in stored.keys() - said.keys()),
        retry=bool(watched) and not _is_idle(database, top, watched),
    )


def _is_idle(database: sqlite3.Connection, top: str, watched: Mapping[str, str]) -> bool:
    return stamps.are_unchanged(top, watched) and not tables.is_overdue(tables.facts(database))


def _compared(
    before: _Before,
    after: _After,
    *,
    looked: Mapping[str, str],
    said_changed: bool,
    retry: bool,
) -> Survey:
    new, restamped, gone, lost = [], [], [], []
    for full, (oid, stamp) in after.items():
        known = before.get(full)
        if known is None or known.oid != oid:
            new.append((full, refs.parse(Ref(full, oid or "")), oid))
            if known is not None and known.number is not None:
                gone.append(known.number)
        elif known.stamp != stamp and known.number is not None:
            restamped.append((stamp, known.number))
    for full in before.keys() - after.keys():
        lost.append(full)
        number = before[full].number
        if number is not None:
            gone.append(number)
    loose = {full: stamp for full, (_, stamp) in after.items() if stamp is not None}
    return Survey(new, gone, lost, restamped, loose, looked, said_changed, retry)


# -- all of them ----------------------------------------------------------------------------------


def _all(database: sqlite3.Connection, place: Place, now: int) -> tuple[_Before, _After]:
    before = dict(_known(row) for query in _ALL for row in database.execute(query))
    loose: _After = {}
    for path in stamps.directories(place.common_dir, _RUNS):
        files = stamps.listed(f"{place.common_dir}/{path}", now).files
        loose.update(_loose(place, path, files, before))
    after: _After = {full: (oid, None) for full, oid in _packed(place, refs.ROOT)}
    after.update(loose)
    return before, after


def _known(row: tuple[int | None, str, bytes | None, int | None]) -> tuple[str, _Known]:
    number, full, oid, stamp = row
    name = full if full.isascii() else tables.unspelled(full)
    return name, _Known(number, None if oid is None else oid.hex(), stamp)


def _packed(place: Place, prefix: str) -> Iterator[tuple[str, str]]:
    """The packed refs below a prefix, each with its target."""
    pattern = rb"^([0-9a-f]{40}) (" + re.escape(prefix.encode()) + rb"[^\n]+)$"
    for oid, name in re.findall(pattern, _packed_refs(place), re.MULTILINE):
        yield name.decode("utf-8", "surrogateescape"), oid.decode()


def _packed_of(place: Place, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of some refs that are packed, each with its target."""
    wanted = {name.encode("utf-8", "surrogateescape"): name for name in names}
    for line in _packed_refs(place).split(b"\n") if wanted else ():
        name = wanted.get(line[41:])
        if name is not None and _HEX.fullmatch(line[:40]):
            yield name, line[:40].decode()


def _packed_refs(place: Place) -> bytes:
    try:
        with open(f"{place.common_dir}/{_PACKED}", "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise GitFailed(
            f"'{place.common_dir}/{_PACKED}' cannot be read: {error.strerror}"
        ) from error


def _loose(place: Place, path: str, files: Mapping[str, int], before: _Before) -> _After:
    """The refs of these files in a directory; those that are as they were are not read.

    What is packed or deleted by now is left out: packed refs are read after this.
    """
    found: _After = {}
    for name, stamp in files.items():
        full = f"{path}/{name}"
        known = before.get(full)
        if known is not None and known.stamp == stamp != stamps.YOUNG:
            found[full] = (known.oid, stamp)
            continue
        try:
            found[full] = (_target(place, full), stamp)
        except FileNotFoundError:
            continue
    return found


def _target(place: Place, full: str) -> str | None:
    """Where a loose ref points, None if nowhere.

    Raises:
        FileNotFoundError: it is not there any more.
    """
    try:
        with open(f"{place.common_dir}/{full}", "rb") as file:
            data = file.read(128)
    except FileNotFoundError:
        raise
    except OSError:
        data = b""
    is_plain = full.isascii() and (refs.parse(Ref(full, "")) or full.startswith(NOTES))
    if is_plain and _HEX.fullmatch(data.rstrip()) and data[:40] != _ZERO:
        return data[:40].decode()
    return place.repo.ref(full)


# -- those in places that changed -----------------------------------------------------------------


def _some(
    database: sqlite3.Connection, place: Place, changed: Iterable[str], now: int
) -> tuple[_Before, _After]:
    before: _Before = {}
    after: _After = {}
    for path in changed:
        # Listed once: what a second list has and the first had not is new only as a file. As a
        # packed ref it may have a row, which nobody looked up, and got another one beside it.
        files = stamps.listed(f"{place.common_dir}/{path}", now).files
        known = dict(_right_in(database, path, files))
        before.update(known)
        after.update(_loose(place, path, files, known))
    # Git writes packed-refs before it removes a loose ref: what was not loose a moment ago, and is
    # not packed now, is gone. libgit2 would not see that file changed twice within a tick.
    for full, oid in _packed_of(place, before.keys() - after.keys()):
        after[full] = (oid, None)
    return before, after


def _right_in(
    database: sqlite3.Connection, path: str, names: Iterable[str]
) -> Iterator[tuple[str, _Known]]:
    """The refs right in a directory that are loose, or have one of these names."""
    ends = (tables.spelled(f"{path}/"), tables.spelled(f"{path}0"))
    for row in database.execute(_OTHERS, ends):
        full, known = _known(row)
        if full.rpartition("/")[0] == path:
            yield full, known
    above, _, experiment = path.rpartition("/")
    if above != _RUNS or not experiment.isascii():
        return
    yield from map(_known, database.execute(_LOOSE, [experiment]))
    for part in tables.batches(name for name in names if name.isascii()):
        query = _NAMED.format(tables.marks(part))
        yield from map(_known, database.execute(query, [*part, experiment]))


# -- notes ----------------------------------------------------------------------------------------


def heads(place: Place, prefix: str) -> dict[str, str]:
    """The refs of annotations, each with its target.

    Raises:
        GitFailed: they cannot be read.
    """
    loose: dict[str, str] = {}
    for path in stamps.directories(place.common_dir, prefix.rstrip("/")):
        files = stamps.listed(f"{place.common_dir}/{path}", 0).files
        for full, (oid, _) in _loose(place, path, files, {}).items():
            if oid is not None:
                loose[full] = oid
    return {**dict(_packed(place, prefix)), **loose}
