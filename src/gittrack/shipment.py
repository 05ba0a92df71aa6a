"""What runs kept and read, on its way to a data remote.

Knows which objects of a run others need to have it whole. Knows nothing of how they travel, nor of
refs: those go after the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gittrack import data
from gittrack.cache import Cache, open_cache
from gittrack.errors import BadFile
from gittrack.git import Repo
from gittrack.manifest import check_md5
from gittrack.meter import SILENT, Meter
from gittrack.setup import Setup
from gittrack.summaries import Summary

__all__ = ["Shipment", "pack"]


@dataclass(frozen=True, slots=True)
class Shipment:
    """What a data remote lacks of runs.

    `objects` counts what was asked for, directories as one. `absent` are, by the name of the run,
    the artifacts that neither this clone nor the remote has whole.
    """

    lacking: data.Lacking
    objects: int
    absent: Mapping[str, Sequence[str]]


def pack(
    repo: Repo,
    setup: Setup,
    found: Iterable[Summary],
    *,
    remote: str | None = None,
    meter: Meter = SILENT,
) -> Shipment:
    """Find out what a data remote lacks of these runs; `data.carry` gives it `.lacking`.

    That is what they kept, and of what they read whatever the cache has whole: of data that is not
    under DVC there is nothing but a hash. Nothing is sent.

    Raises:
        DataFailed: there is something to ask for and no data remote is set, none has this name, or
            it refused to say.
        DataDamaged: a listing in the cache is not what its hash says.
    """
    runs = tuple(found)
    cache = open_cache(repo, setup)
    # A summary is what the commit says of itself, and anybody may have written that.
    kept = {md5 for run in runs for md5 in run.artifacts.values() if _is_hash(md5)}
    read = {md5 for run in runs for md5 in run.data.values()}
    wanted = kept | {md5 for md5 in read - kept if cache.holds(md5)}
    lacking = data.lacking(repo, setup, wanted, remote=remote, meter=meter)
    return Shipment(lacking, len(wanted), _absent(cache, runs, set(lacking.absent)))


def _absent(cache: Cache, runs: Iterable[Summary], gone: set[str]) -> Mapping[str, Sequence[str]]:
    absent: dict[str, list[str]] = {}
    for run in runs:
        for path, md5 in run.artifacts.items():
            if not _is_hash(md5) or md5 in gone or _needs(cache, md5, gone):
                absent.setdefault(run.name, []).append(path)
    return MappingProxyType(absent)


def _needs(cache: Cache, md5: str, gone: set[str]) -> bool:
    """Whether a directory has one of these files; if its listing is not here, the remote has it."""
    if not gone or cache.size(md5) is None or not md5.endswith(".dir"):
        return False
    return any(member.md5 in gone for member in cache.members(md5))


def _is_hash(text: str) -> bool:
    try:
        check_md5(text)
    except BadFile:
        return False
    return True
