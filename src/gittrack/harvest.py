"""What a run read and kept, gathered when it has ended and written into its journal.

Knows the order: data checked again, traced files hashed, `--out` put into the cache, the whole of a
long output too. Safe to do again after a crash. Knows nothing of commits.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gittrack import artifacts, inputs, journal, setup, trace
from gittrack.artifacts import Outs
from gittrack.cache import open_cache
from gittrack.errors import BadPath, GittrackError
from gittrack.git import Repo
from gittrack.journal import Story, Writer
from gittrack.meter import SILENT, Meter
from gittrack.quoting import command_line, one_line
from gittrack.records import Data
from gittrack.setup import Setup
from gittrack.story import plain_artifact, plain_data, told_data
from gittrack.trace import Seen

__all__ = ["gather"]

_MOST_OFFERED = 10
# How many seconds after its last sign of life a lost run may still have been at work.
_SLACK = 2.0


def gather(
    repo: Repo, directory: Path, *, latest: float | None = None, meter: Meter = SILENT
) -> tuple[str, ...]:
    """Write what the run in `directory` read and kept into its journal; the bytes come first.

    Gives sentences for the user about what could have been kept.

    The event `gathered` tells that this was done.

    `latest` (seconds since the epoch) is the last sign of life of a run that was lost; None: it
    ended just now. Then Ctrl-C ends the gathering, not the run, and what is missing is said; who
    gathers for a lost run is interrupted, and the next one does it again.

    Raises:
        OSError: the journal cannot be written.
        BadFile: DVC's configuration cannot be understood; once it is mended, nothing is lost.
    """
    story = journal.read(directory, points=False)
    if story is None:
        return ()
    offered: list[str] = []
    said = {event["fault"] for event in story.events if "fault" in event}
    found = _setup(repo, story.begin)
    writer = Writer(directory)
    try:
        try:
            for event in _events(repo, story, found, directory, latest, offered, meter):
                # Who was killed here before may have said it.
                if event.get("fault") not in said:
                    writer.append(event)
        except GittrackError as error:
            writer.append({"fault": f"data and artifacts are recorded in part: {error.message}"})
        except KeyboardInterrupt:
            if latest is not None:
                raise
            writer.append({"fault": "data and artifacts are recorded in part: interrupted"})
        writer.append({"gathered": True})
    finally:
        writer.close()
    return tuple(offered)


def _events(
    repo: Repo,
    story: Story,
    found: Setup | None,
    directory: Path,
    latest: float | None,
    offered: list[str],
    meter: Meter,
) -> Iterator[dict[str, Any]]:
    begin = story.begin
    repo = _home(repo, begin)
    found = found or setup.read(repo)
    given = tuple(told_data(item) for item in begin.get("data", ()))
    kept = {event["artifact"]["path"] for event in story.events if "artifact" in event}
    if begin.get("outs"):
        for event in _kept(repo, found, begin, latest, meter):
            kept |= {event["artifact"]["path"]} if "artifact" in event else set()
            yield event
    if given:
        again = inputs.again(repo, found, given, meter=meter)
        yield from _read(repo, again, begin.get("looked"), latest)
    if begin.get("trace"):
        seen = trace.read(directory, tracked=repo.paths(begin["tree"]))
        yield from _traced(repo, found, seen, given, latest, meter)
        offered += _offers(repo, seen, kept)
        if not seen.processes:
            yield {"fault": "nothing was traced: no Python process of this command noted anything"}


def _setup(repo: Repo, begin: Mapping[str, Any]) -> Setup | None:
    """How DVC is set up where the run stood; None if that place is gone."""
    try:
        home = _home(repo, begin)
    except GittrackError:
        return None
    return setup.read(home)


def _home(repo: Repo, begin: Mapping[str, Any]) -> Repo:
    """The repository with the work tree that the run stood in: recovery may stand in another one.

    Raises:
        NotARepository: that work tree is gone.
        BadPath: something else is in its place.
    """
    where = begin["where"]
    root = os.path.realpath(where)
    for _ in begin["directory"].split("/") if begin["directory"] else ():
        root = os.path.dirname(root)
    if repo.root is not None and root == os.path.realpath(repo.root):
        return repo
    home = Repo.open(where)
    if home.root is None or not os.path.samefile(home.common_dir, repo.common_dir):
        raise BadPath(f"'{one_line(where)}' is not the work tree any more", path=where)
    return home


def _kept(
    repo: Repo, found: Setup, begin: Mapping[str, Any], latest: float | None, meter: Meter
) -> Iterator[dict[str, Any]]:
    outs = Outs(tuple(begin["outs"]["patterns"]), begin["outs"]["before"])
    assert repo.root is not None
    collected = artifacts.collect(
        open_cache(repo, found),
        outs,
        root=repo.root,
        started=begin["started"],
        latest=latest,
        meter=meter,
    )
    for kept in collected.artifacts:
        yield {"artifact": plain_artifact(kept)}
    for fault in collected.faults:
        yield {"fault": fault}


def _read(
    repo: Repo, again: tuple[Data, ...], looked: int | None, latest: float | None
) -> Iterator[dict[str, Any]]:
    """What became of the data since `looked` (ns): by others too, after a run was lost."""
    end = None if latest is None else _end(latest)
    for item in again:
        name, path = one_line(item.path), inputs.place(repo, item)
        if item.changed and end is not None and inputs.altered_after(path, end):
            yield {"fault": f"'{name}' changed since the last sign of this run"}
        elif item.changed:
            yield {"data": [plain_data(item)]}
            yield {"fault": f"'{name}' changed while the run ran"}
        elif looked is None or not inputs.written_after(path, looked):
            continue
        elif end is None or not inputs.written_after(path, end):
            yield {"fault": f"'{name}' was written while the run ran, and is the same now"}


def _traced(
    repo: Repo,
    found: Setup,
    seen: Seen,
    given: tuple[Data, ...],
    latest: float | None,
    meter: Meter,
) -> Iterator[dict[str, Any]]:
    # What was read and then written again is not there any more: its hash would be the output's.
    both = set(seen.read) & set(seen.written)
    known = {item.path for item in given}
    read = [path for path in seen.read if path not in both]
    faults: list[str] = []
    late = [name for name in _late(repo, seen, read, latest) if not _covered(name, known)]
    data = inputs.traced(repo, found, read, given=given, faults=faults, meter=meter)
    data = tuple(item for item in data if not any(_within(name, item.path) for name in late))
    yield from ({"fault": fault} for fault in faults)
    if data:
        yield {"data": [plain_data(item) for item in data]}
    for name in sorted({_shown(repo, path) for path in both} - known):
        yield {"fault": f"'{name}' was read and then written again: what was read is not known"}
    for name in late:
        yield {"fault": f"'{name}' changed after it was read: what was read is not known"}
    for path in seen.gone:
        yield {"fault": f"'{_shown(repo, path)}' was read, and is not there any more"}
    if not seen.complete:
        yield {"fault": "more files were opened than could be noted: the data is recorded in part"}


def _late(repo: Repo, seen: Seen, read: Sequence[Path], latest: float | None) -> Iterator[str]:
    """The files that somebody wrote after the run had read them, or after it was lost."""
    end = None if latest is None else _end(latest)
    for path in read:
        moments = [moment for moment in (seen.read_at.get(path), end) if moment is not None]
        if moments and inputs.written_after(path, min(moments)):
            yield _shown(repo, path)


def _end(latest: float) -> int:
    """By when a lost run was not at work any more, in nanoseconds since the epoch."""
    return int((latest + _SLACK) * 1e9)


def _covered(name: str, paths: Collection[str]) -> bool:
    return any(_within(name, path) for path in paths)


def _offers(repo: Repo, seen: Seen, kept: Collection[str]) -> list[str]:
    """A sentence about the files that were written and not kept."""
    names = [_shown(repo, path) for path in seen.written]
    rest = [name for name in names if not any(_within(name, above) for above in kept)]
    if not rest:
        return []
    more = f" and {len(rest) - _MOST_OFFERED} more" if len(rest) > _MOST_OFFERED else ""
    named = ", ".join(rest[:_MOST_OFFERED])
    return [f"written, not kept: {named}{more} (--out {command_line([rest[0]])} keeps it)"]


def _shown(repo: Repo, path: Path) -> str:
    root = repo.root or repo.git_dir
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return one_line(inside.as_posix())


def _within(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}/")
