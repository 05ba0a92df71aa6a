"""What is wrong or risky about DVC, the cache and the data remote, and what mends it.

One check each; `doctor` knows when which is asked. Changes nothing.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from gittrack import pointers, setup
from gittrack.cells import size
from gittrack.errors import (
    BadFile,
    DataDamaged,
    DataFailed,
    DataMissing,
)
from gittrack.findings import Case, Finding, count, from_error, members, ok, quoted
from gittrack.git import Repo
from gittrack.quoting import one_line
from gittrack.setup import Setup

_MOST = 5
_MOST_POINTERS = 2_000
_MOST_LISTINGS = 200
_LARGEST_POINTER = 1 << 20

__all__ = [
    "absent",
    "cache_state",
    "damaged",
    "dvc_gc",
    "dvc_state",
    "lacking",
    "unasked",
    "unfilled",
]


def dvc_state(case: Case) -> Iterator[Finding]:
    """Whether DVC is set up, has a data remote, and is of a version that fits."""
    found = case.setup
    kept = len({name for names in case.artifacts.values() for name in names})
    if found.directory is None and kept and not case.repo.is_bare:
        yield Finding(
            "risky",
            "dvc",
            f"{count(kept, 'run keeps', 'runs keep')} artifacts and DVC is not set up here: they "
            "lie in the Git directory, and `dvc` sees none of them",
            "git track init",
        )
    if found.former is not None:
        what = f"objects in '{found.former}' are still to be moved into DVC's cache"
        yield Finding("risky", "dvc", what, "git track init")
    if setup.is_apart(case.repo, found) and found.directory is not None:
        yield _apart(found, found.directory)
    if found.remote is None and any(length is not None for length in case.sizes.values()):
        yield Finding(
            "risky",
            "dvc",
            f"no data remote is set: {_here(case)} of {count(kept, 'run')} are on this disk only",
            "dvc remote add -d NAME URL" if found.directory else "git track init",
        )
    if found.remote is not None and found.remote not in found.remotes:
        what = f"the default data remote {one_line(found.remote)!r} has no URL"
        yield Finding("wrong", "dvc", what, f"dvc remote add -d {shlex.quote(found.remote)} URL")
    yield from _dvc_version(bool(case.artifacts or found.directory))


def _apart(found: Setup, directory: Path) -> Finding:
    """Two caches in a linked work tree, and what makes them one."""
    own = directory / "cache"
    what = f"in this work tree `dvc` keeps data in '{own}', gittrack and others in '{found.cache}'"
    mend = "git track init"
    if own.exists() or (directory / "config.local").exists():
        mend = f"dvc config --local cache.dir {quoted(found.cache)}"
    if own.exists():
        # Objects are what they are called, so none is in the way of another.
        shared = quoted(found.cache)
        mend = f"mkdir -p {shared} && cp -Rn {quoted(own)}/. {shared}/ && {mend}"
    return Finding("wrong", "dvc", what, mend)


def dvc_gc(case: Case) -> Iterator[Finding]:
    """What no set-up changes: DVC's own cleaning looks at branches and tags at most."""
    kept = len({name for names in case.artifacts.values() for name in names})
    if case.setup.directory is not None and kept:
        what = f"never run `dvc gc` here: it deletes the artifacts of {count(kept, 'run')}"
        yield Finding("note", "dvc", f"{what}; `git track gc --data` is the safe way")


def _dvc_version(needed: bool) -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("dvc")
    except PackageNotFoundError:
        if needed:
            what = "DVC is not installed beside gittrack: data remotes cannot be reached"
            yield Finding("risky", "dvc", what, "pip install 'dvc>=3'")
        return
    if installed.split(".")[0] in ("0", "1", "2"):
        what = f"DVC {installed} keeps data where DVC 3 does not look for it"
        yield Finding("wrong", "dvc", what, "pip install 'dvc>=3'")
    else:
        yield ok("dvc", f"DVC {installed}")


def _here(case: Case) -> str:
    """How many bytes of artifacts the cache holds, in words."""
    present = {md5: length for md5, length in case.sizes.items() if length is not None}
    listings = [md5 for md5 in present if md5.endswith(".dir")]
    for md5 in listings[:_MOST_LISTINGS]:
        for one in members(case.cache, md5):
            present[one] = case.cache.size(one) or 0
    least = "at least " if len(listings) > _MOST_LISTINGS else ""
    return f"{least}{size(sum(present.values()))}"


def cache_state(case: Case) -> Iterator[Finding]:
    """Whether the cache can be written, and what its links may cost."""
    cache, links = case.cache, case.setup.links
    place = cache.directory
    there = next(above for above in (place, *place.parents) if above.exists())
    if there not in (place, place.parent) and not _is_ours(case.repo, place):
        what = f"the data cache '{place}' is not there, nor is '{place.parent}'"
        mend = f"mount it, or mkdir -p {quoted(place)}"
        yield Finding("wrong", "cache", what, mend)
        return
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = f"the data cache '{place}' cannot be written: no artifact can be kept"
        yield Finding("wrong", "cache", what, f"ls -ld {quoted(there)}")
    if there != place:
        yield ok("cache", f"'{place}' is made when there is something for it")
        return
    if risky := [link for link in links if link in ("hardlink", "symlink")]:
        yield Finding(
            "risky",
            "cache",
            f"cache.type has {' and '.join(risky)}: whoever writes into such a file in place "
            "damages the object in the cache",
            "dvc config --unset cache.type, or `dvc unprotect FILE` before writing",
        )
    root = case.repo.root
    if root is not None and os.stat(root).st_dev != os.stat(cache.directory).st_dev:
        yield ok("cache", "it is on another disk than the work tree: files are copied out of it")


def _is_ours(repo: Repo, place: Path) -> bool:
    """Whether a path lies in this repository, or in the work tree here."""
    real = Path(os.path.realpath(place))
    own = [repo.common_dir, *([repo.root] if repo.root else [])]
    return any(real.is_relative_to(os.path.realpath(one)) for one in own)


def absent(case: Case) -> Iterator[Finding]:
    """Artifacts that are not in the cache; of a directory the listing is looked for."""
    gone = [md5 for md5, length in case.sizes.items() if length is None]
    if not gone:
        return
    names = sorted({name for md5 in gone for name in case.artifacts[md5]})
    what = f"{count(len(gone), 'artifact')} of {count(len(names), 'run')}"
    example = f"git track get {names[0]}"
    if case.setup.remote is not None:
        yield ok("data", f"{what}: not here; `{example}` asks the data remote")
    else:
        what = f"{what} ({names[0]}{', ...' if len(names) > 1 else ''}) are not in the cache"
        yield Finding(
            "wrong", "data", f"{what}, and no data remote is set", "dvc remote add -d NAME URL"
        )


def unfilled(case: Case) -> Iterator[Finding]:
    """Tracked pointers of the work tree whose data is neither there nor in the cache."""
    root = case.repo.root
    if root is None:
        return
    from gittrack.git.reachability import Reachability

    listed = Reachability(case.repo).staged_files(
        root, (":(glob)**/*.dvc", ":(glob)**/dvc.lock", ":(exclude,glob)**/.dvc/**")
    )
    gone = []
    for file in sorted(set(listed.values()))[:_MOST_POINTERS]:
        try:
            gone += [p for p in _named(root, file) if not _has(case, root, p)]
        except BadFile as error:
            yield from_error("data", error)
    if gone:
        example = f"'{one_line(gone[0].path)}'{', ...' if len(gone) > 1 else ''}"
        what = f"{count(len(gone), 'path')} that DVC tracks ({example}): neither here nor in cache"
        yield Finding("risky", "data", what, "dvc pull")


def _named(root: Path, file: str) -> tuple[pointers.Pointer, ...]:
    try:
        with open(root / file, "rb") as opened:
            data = opened.read(_LARGEST_POINTER + 1)
    except OSError:
        return ()
    return pointers.parse(data, file)


def _has(case: Case, root: Path, pointer: pointers.Pointer) -> bool:
    return os.path.lexists(root / pointer.path) or case.cache.path(pointer.md5).exists()


def damaged(case: Case) -> Iterator[Finding]:
    """Every object read and compared with its hash."""
    found = [(md5, status.st_size) for md5, status in case.cache.objects()]
    bad: dict[str, str] = {}
    case.meter.start("reading the cache", sum(size for _, size in found))
    try:
        for md5, length in found:
            try:
                case.cache.check(md5)
            except DataDamaged as error:
                bad[md5] = error.message
            except DataMissing:
                # Somebody cleans up meanwhile.
                pass
            case.meter.advance(length)
    finally:
        case.meter.end()
    there = _at_remote(case, list(bad)) if bad else set()
    for md5, message in bad.items():
        yield Finding("wrong", "cache", message, _mend_of(case, md5, md5 in there))
    yield ok("cache", f"{count(len(found), 'object')} read")


def _at_remote(case: Case, md5s: list[str]) -> set[str]:
    """Which of these objects can be had again from the data remote."""
    if case.remote is None:
        return set()
    from gittrack.depot import open_depot

    try:
        return open_depot(case.setup, case.remote).there(md5s, case.meter)
    except DataFailed:
        # Another check says so.
        return set()


def _mend_of(case: Case, md5: str, at_remote: bool) -> str:
    """What makes an object whole; never by way of removing the only one there is.

    A read-only object is trusted, by DVC as by us: with `chmod` it is looked at and replaced.
    """
    name, path = case.keepers.get(md5, ("", ""))
    if at_remote and name:
        # Into a new directory: where a file has the right content, nothing would be read.
        return f'git track get {name} {one_line(shlex.quote(path))} -o "$(mktemp -d)"'
    free = f"chmod u+w {quoted(case.cache.path(md5))}"
    if at_remote:
        return f"{free} && dvc fetch"
    if name:
        return f"{free}, then run the step of {name} again, which kept it"
    return f"{free}, then `dvc add` the file again, or run again what made it"


def lacking(case: Case) -> Iterator[Finding]:
    """What the data remote lacks of the runs, as it says itself."""
    if case.remote is None:
        return
    from gittrack import shipment
    from gittrack.depot import open_depot

    where = f"data remote '{one_line(case.remote)}'"
    try:
        there = open_depot(case.setup, case.remote).is_there()
        packed = shipment.pack(case.repo, case.setup, case.runs, meter=case.meter)
    except DataFailed as error:
        yield Finding("wrong", "data", error.message, error.hint or "dvc remote list")
        return
    found = packed.lacking
    if found.md5s:
        what = f"{where} lacks {count(len(found.md5s), 'object')} ({size(found.size)}) of runs"
        empty = "" if there else ": there is nothing at its address"
        yield Finding("risky", "data", what + empty, "git track send --all")
    for name, paths in list(packed.absent.items())[:_MOST]:
        what = f"{count(len(paths), 'artifact')} of {name} ({one_line(paths[0])})"
        mend = f"`git track send {name}` in a clone that has it, or run it again"
        yield Finding("wrong", "data", f"{what}: neither here nor in {where}", mend)
    if not found.md5s and not packed.absent:
        yield ok("data", f"{where} has what runs kept and read")


def unasked(case: Case) -> Iterator[Finding]:
    """What only a deep examination tells."""
    if case.remote is not None and case.artifacts:
        where = f"data remote '{one_line(case.remote)}'"
        yield ok("data", f"whether {where} has what runs kept, only --deep asks")
