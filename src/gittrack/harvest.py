"""What a run read and kept, gathered when it has ended and written into its journal.

Knows the order: data checked again, traced files hashed, `--out` put into the cache, the whole of a
long output too. Safe to do again after a crash. Knows nothing of commits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gittrack import artifacts, inputs, journal, setup
from gittrack.artifacts import Outs
from gittrack.cache import open_cache
from gittrack.errors import GittrackError
from gittrack.git import Repo
from gittrack.journal import Writer
from gittrack.meter import SILENT, Meter
from gittrack.quoting import one_line
from gittrack.records import Data
from gittrack.setup import Setup
from gittrack.story import plain_artifact, plain_data, told_data

__all__ = ["gather"]


def gather(
    repo: Repo, directory: Path, *, latest: float | None = None, meter: Meter = SILENT
) -> None:
    """Write what the run in `directory` read and kept into its journal; the bytes come first.

    The event `gathered` tells that this was done.

    `latest` (seconds since the epoch) is the last sign of life of a run that was lost; None: it
    ended just now. Ctrl-C ends the gathering, not the run: what is missing then is said.

    Raises:
        OSError: the journal cannot be written.
    """
    story = journal.read(directory)
    if story is None:
        return
    writer = Writer(directory)
    try:
        try:
            for event in _events(repo, story.begin, directory, latest, meter):
                writer.append(event)
        except GittrackError as error:
            writer.append({"fault": f"data and artifacts are recorded in part: {error.message}"})
        except KeyboardInterrupt:
            writer.append({"fault": "data and artifacts are recorded in part: interrupted"})
        writer.append({"gathered": True})
    finally:
        writer.close()


def _events(
    repo: Repo, begin: Mapping[str, Any], directory: Path, latest: float | None, meter: Meter
) -> Iterator[dict[str, Any]]:
    found = setup.read(repo)
    given = tuple(told_data(item) for item in begin.get("data", ()))
    if begin.get("outs"):
        yield from _kept(repo, found, begin, latest, meter)
    if given:
        yield from _read(inputs.again(repo, found, given, meter=meter))
    if begin.get("trace"):
        yield from _traced(repo, found, directory, given, meter)


def _kept(
    repo: Repo, found: Setup, begin: Mapping[str, Any], latest: float | None, meter: Meter
) -> Iterator[dict[str, Any]]:
    outs = Outs(tuple(begin["outs"]["patterns"]), begin["outs"]["before"])
    assert repo.root is not None
    collected = artifacts.collect(
        open_cache(repo, found), outs, root=repo.root, latest=latest, meter=meter
    )
    for kept in collected.artifacts:
        yield {"artifact": plain_artifact(kept)}
    for fault in collected.faults:
        yield {"fault": fault}


def _read(again: tuple[Data, ...]) -> Iterator[dict[str, Any]]:
    changed = [item for item in again if item.changed]
    if changed:
        yield {"data": [plain_data(item) for item in changed]}
    for item in changed:
        yield {"fault": f"'{one_line(item.path)}' changed while the run ran"}


def _traced(
    repo: Repo, found: Setup, directory: Path, given: tuple[Data, ...], meter: Meter
) -> Iterator[dict[str, Any]]:
    from gittrack import trace

    seen = trace.read(directory)
    data = inputs.traced(repo, found, seen.read, given=given, meter=meter)
    if data:
        yield {"data": [plain_data(item) for item in data]}
