"""Objects of the cache to a data remote, and back.

Knows which objects a hash stands for, in which order they travel, and that each is checked on its
way. Knows nothing of DVC, nor of runs.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gittrack import cells, hashing, manifest
from gittrack.cache import Cache, open_cache
from gittrack.depot import Count, Depot, measured, open_depot
from gittrack.errors import DataDamaged, DataFailed, DataMissing
from gittrack.git import Repo
from gittrack.intake import refused
from gittrack.meter import SILENT, Meter
from gittrack.quoting import one_line
from gittrack.setup import Setup

__all__ = ["Fetched", "Lacking", "Sent", "carry", "fetch", "lacking", "left_behind", "mend", "send"]

_LISTING = ".dir"
_STAGING = ".fetching-"
_STALE = 2 * 86400
_BATCH = 256
_MOST_SIZED = 1000


@dataclass(frozen=True, slots=True)
class Sent:
    """What a data remote got: the objects that it lacked, their bytes, and its name."""

    objects: int
    size: int
    remote: str


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a data remote lacks: `md5s` are here, `size` bytes together, `absent` are not.

    A directory's listing is not among `md5s` where one of its files is absent: one that is there
    says that they are, too.
    """

    remote: str
    md5s: tuple[str, ...] = ()
    size: int = 0
    absent: tuple[str, ...] = ()


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
    found = lacking(repo, setup, md5s, remote=remote, meter=meter)
    if found.absent:
        raise DataMissing(
            f"{_named(found.absent)} neither in the cache nor in data remote "
            f"'{one_line(found.remote)}'",
            md5s=found.absent,
            hint="nothing was sent; a clone that has it can send it.",
        )
    return carry(repo, setup, found, meter=meter)


def lacking(
    repo: Repo,
    setup: Setup,
    md5s: Iterable[str],
    *,
    remote: str | None = None,
    meter: Meter = SILENT,
) -> Lacking:
    """What a data remote lacks of these objects; a directory stands for its files too.

    Nothing is sent. Where nothing is asked for, no remote is needed.

    Raises:
        DataFailed: no data remote is set, none has this name, or it refused to say.
        DataDamaged: a listing here is not what its hash says.
        BadFile: one of `md5s` is no hash.
    """
    cache = open_cache(repo, setup)
    wanted = _with_files(cache, md5s)
    name = remote or setup.remote
    if not wanted:
        return Lacking(name or "")
    if name is None:
        raise _no_remote(setup, _stays(cache, wanted))
    gone = set(wanted) - open_depot(setup, name).there(wanted, meter)
    absent = gone.intersection(cache.missing(sorted(gone)))
    ready = [md5 for md5 in sorted(gone - absent) if not _needs(cache, md5, absent)]
    return Lacking(
        name, tuple(ready), sum(cache.size(md5) or 0 for md5 in ready), tuple(sorted(absent))
    )


def _needs(cache: Cache, md5: str, absent: set[str]) -> bool:
    """Whether an object is a directory's listing that names one of these."""
    if not absent or not md5.endswith(_LISTING):
        return False
    return any(member.md5 in absent for member in cache.members(md5))


def carry(repo: Repo, setup: Setup, found: Lacking, *, meter: Meter = SILENT) -> Sent:
    """Give a data remote what it was found lacking, in the way and with the errors of `send`.

    What is absent stays so: only without any may refs be pushed afterwards.
    """
    if not found.md5s:
        return Sent(0, 0, found.remote)
    return _carry(open_depot(setup, found.remote), open_cache(repo, setup), found.md5s, meter)


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


def _carry(depot: Depot, cache: Cache, md5s: Sequence[str], meter: Meter) -> Sent:
    """Send objects, listings last, a batch at a time; a refusal ends it after its batch."""
    sizes = {md5: cache.size(md5) or 0 for md5 in md5s}
    done = 0
    files = [md5 for md5 in md5s if not md5.endswith(_LISTING)]
    listings = [md5 for md5 in md5s if md5.endswith(_LISTING)]
    with measured(meter, f"sending to {depot.name}", sum(sizes.values())) as count:
        for batch in [*_batches(files), *_batches(listings)]:
            for md5 in batch:
                cache.check(md5)
            refused = depot.put({md5: cache.path(md5) for md5 in batch}, sizes, count)
            done += len(batch) - len(refused)
            if refused:
                error = next(iter(refused.values()))
                raise depot.refusal(error, f"{done} of {len(md5s)} objects sent") from error
    return Sent(len(md5s), sum(sizes.values()), depot.name)


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
    most: Mapping[str, int] | None = None,
    meter: Meter = SILENT,
) -> Fetched:
    """Bring these objects into the cache from a data remote, as far as they are not there already.

    A directory stands for its files too; without `files`, for its listing alone. Each object is
    checked against its hash before the cache has it: a wrong one is thrown away and fetched once
    more. What came before a failure stays. Where the cache has all, no remote is asked or needed.

    `most` says how many bytes an object may have at most, or any file of a directory. Whether it
    has more is asked before anything is fetched, unless there are thousands to ask for; the cache
    gets none that has.

    Raises:
        DataMissing: no data remote is set, or it has not all of them; `md5s` are those.
        DataFailed: the remote refused, or none has this name.
        DataDamaged: the remote holds something else under a hash, or more than `most` allows.
        BadFile: a listing names paths that no directory could have.
        WriteFailed: the cache cannot be written.
    """
    cache = open_cache(repo, setup)
    asked = sorted(set(md5s))
    objects, size = 0, 0
    depot: Depot | None = None
    # A listing says which files there are only once it is here.
    for listings in (True, False) if files else (True,):
        found = _missing(cache, asked, lambda md5: mend(repo, setup, md5, remote=remote))
        missing = [md5 for md5 in found if md5.endswith(_LISTING) == listings]
        if not files:
            missing = [md5 for md5 in missing if md5 in asked]
        if not missing:
            continue
        depot = depot or _depot_for(repo, setup, remote, missing)
        size += _bring(depot, cache, missing, meter, most=_bounds(cache, most or {}, missing))
        objects += len(missing)
    return Fetched(objects, size, depot.name if depot else None)


def _bounds(cache: Cache, most: Mapping[str, int], md5s: Iterable[str]) -> dict[str, int]:
    """How many bytes each of these objects may have at most, where that is known."""
    found = {md5: manifest.LARGEST for md5 in md5s if md5.endswith(_LISTING)}
    for md5, size in most.items():
        inside = [md5]
        if md5.endswith(_LISTING):
            known = cache.size(md5) is not None
            inside = [member.md5 for member in cache.members(md5)] if known else []
        for one in inside:
            found[one] = max(size, found.get(one, 0))
    return found


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
        _bring(_depot_for(repo, setup, remote, [md5]), cache, [md5], meter)
    except DataMissing as error:
        raise DataDamaged(
            f"the object {md5} in the cache has another content, and no data remote has it",
            md5=md5,
            hint="`git track doctor` tells what else is damaged.",
        ) from error


def _depot_for(repo: Repo, setup: Setup, remote: str | None, missing: Sequence[str]) -> Depot:
    name = remote or setup.remote
    if name is not None:
        return open_depot(setup, name)
    said = f"{_named(missing)} not in the cache, and no data remote is"
    if setup.remotes:
        raise DataMissing(f"{said} the default", md5s=missing, hint="--remote names one.")
    where = "the work tree has no .dvc/config"
    if setup.directory is not None:
        where = f"{one_line(str(setup.directory / 'config'))} names none"
    hint = "`dvc remote add -d NAME URL` sets the one that has it."
    commit, branch = repo.head()
    if commit is not None and branch is None:
        # A pipeline on a tag has the tree of a run, which may be from before the data remote.
        hint = (
            f"the work tree is that of {commit[:12]}, not of a branch: `git checkout BRANCH` brings"
            f" a .dvc/config that names one, if the branch has it; {hint}"
        )
    raise DataMissing(f"{said} set: {where}", md5s=missing, hint=hint)


def _bring(
    depot: Depot,
    cache: Cache,
    md5s: Sequence[str],
    meter: Meter,
    *,
    most: Mapping[str, int] | None = None,
) -> int:
    """Fetch objects into the cache -> their bytes."""
    sizes = depot.sizes(md5s) if len(md5s) <= _MOST_SIZED else {}
    bounds = most or {}
    if not sizes and bounds and len(md5s) <= _MOST_SIZED:
        there = sorted(depot.there(md5s, SILENT))
        _check_sizes(depot, depot.sizes(there) if there else {}, bounds)
    _check_sizes(depot, sizes, bounds)
    total, unit = (sum(sizes.values()), "B") if sizes else (len(md5s), "objects")
    brought = 0
    with (
        measured(meter, f"fetching from {depot.name}", total, unit) as count,
        _staging(cache.directory) as staging,
    ):
        for batch in _batches(md5s):
            brought += _bring_batch(depot, cache, batch, staging, sizes, bounds, count)
    return brought


def _check_sizes(depot: Depot, sizes: Mapping[str, int], most: Mapping[str, int]) -> None:
    """Refuse what is larger than it may be.

    Raises:
        DataDamaged: an object is.
    """
    for md5, size in sizes.items():
        if size > most.get(md5, size):
            raise DataDamaged(
                f"{md5} has {size:,} bytes in data remote '{depot.name}', "
                f"and no more than {most[md5]:,} are recorded",
                md5=md5,
                hint="it was not fetched; whoever recorded this may know more.",
            )


def _bring_batch(
    depot: Depot,
    cache: Cache,
    md5s: Sequence[str],
    staging: Path,
    sizes: Mapping[str, int],
    most: Mapping[str, int],
    count: Count,
) -> int:
    brought = 0
    waiting = list(md5s)
    for last in (False, True):
        refused = depot.get(waiting, staging, sizes, count)
        wrong = []
        for md5 in waiting:
            if md5 in refused:
                continue
            place = staging / md5
            _check_sizes(depot, {md5: place.stat().st_size}, most)
            if hashing.file(place).md5 == md5.removesuffix(_LISTING):
                brought += cache.adopt(place, md5)
            else:
                place.unlink()
                wrong.append(md5)
        if refused:
            raise _not_brought(depot, refused)
        if not wrong:
            break
        if last:
            raise DataDamaged(
                f"data remote '{depot.name}' holds something else under {wrong[0]}",
                md5=wrong[0],
                hint="fetched twice and thrown away; a clone that has it must send it again, after "
                f"`{depot.path_of(wrong[0])}` was removed there.",
            )
        waiting = wrong
    return brought


def _not_brought(depot: Depot, refused: Mapping[str, BaseException]) -> DataMissing | DataFailed:
    for error in refused.values():
        if not isinstance(error, FileNotFoundError):
            return depot.refusal(error)
    if not depot.is_there():
        return depot.refusal(FileNotFoundError(errno.ENOENT, "there is nothing at this address"))
    return DataMissing(
        f"{_named(list(refused))} neither in the cache nor in data remote '{depot.name}'",
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
        raise refused(directory, error) from error
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def left_behind(directory: Path) -> list[Path]:
    """The directories of fetches, killed or at work, beside the objects of a cache."""
    return sorted(directory.glob(f"{_STAGING}*"))


def _sweep(directory: Path) -> None:
    """Remove what fetches that were killed left, when surely none of them still lives."""
    for left in left_behind(directory):
        try:
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            pass
