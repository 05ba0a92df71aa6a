"""What is too long for a record: the part that it keeps, and the whole as an artifact.

Knows what is too long, and what each whole is called. Knows nothing of how a run is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gittrack import commits, record, secrets
from gittrack.errors import GittrackError
from gittrack.git import Repo
from gittrack.records import Artifact, Run
from gittrack.series import Table

__all__ = ["CURVES", "MASKED", "with_curves", "with_output"]

CURVES, MASKED = "curves", "masked"
"""Files that stand in a run's directory while the wholes are on their way into the cache."""

_MOST_SERIES, _THIN = 128 << 20, 16 << 20
_MOST_WHOLE = 4 << 30


def with_output(repo: Repo, directory: Path, run: Run) -> Run:
    """The run with the whole of a long output as an artifact, secrets masked."""
    if run.output_bytes <= record.LOG_LIMIT:
        return run
    masked = directory / MASKED

    def write() -> None:
        record.write_masked(directory / "output", masked, mask=secrets.mask_text)

    return _with_whole(repo, run, commits.OUTPUT, "the whole output", masked, write)


def with_curves(repo: Repo, directory: Path, run: Run, rows: Table) -> tuple[Run, Table]:
    """The run with very long curves as an artifact, and those that its record keeps.

    Long is what makes a table of more than 128 MiB. A whole of more than 4 GiB is not kept: such
    has many metrics that are hardly ever logged, and little but empty cells.
    """
    size = rows.size()
    if size <= _MOST_SERIES:
        return run, rows
    thin = rows.thinned(max(1, _THIN * len(rows) // size))
    fault = f"of the curves the record keeps {len(thin):,} of {len(rows):,} rows"
    if size > _MOST_WHOLE:
        fault = f"{fault}: the whole would be a table of {size >> 30:,} GiB, and is not kept"
        return replace(run, faults=(*run.faults, fault)), thin
    curves = directory / CURVES

    def write() -> None:
        with open(curves, "wb") as file:
            file.writelines(rows.pieces())

    kept = _with_whole(repo, run, commits.CURVES, "the whole of the curves", curves, write)
    if len(kept.artifacts) > len(run.artifacts):
        fault = f"{fault}; the whole is the artifact '{commits.CURVES}'"
    return replace(kept, faults=(*kept.faults, fault)), thin


def _with_whole(
    repo: Repo, run: Run, name: str, what: str, place: Path, write: Callable[[], None]
) -> Run:
    """The run with an artifact that is `what` of a record is only a part, written to `place`."""
    from gittrack import setup
    from gittrack.cache import open_cache

    try:
        write()
        got = open_cache(repo, setup.read(repo)).add(place)
    except (OSError, GittrackError) as error:
        reason = error.message if isinstance(error, GittrackError) else error.strerror
        return replace(run, faults=(*run.faults, f"{what} is not kept: {reason}"))
    finally:
        place.unlink(missing_ok=True)
    taken = {kept.path for kept in run.artifacts}
    if name in taken or any(path.startswith(f"{name}/") for path in taken):
        fault = f"{what} is not kept: an artifact is called '{name}'"
        return replace(run, faults=(*run.faults, fault))
    kept = Artifact(name, got.md5, got.size)
    artifacts = sorted((*run.artifacts, kept), key=lambda item: item.path)
    return replace(run, artifacts=tuple(artifacts))
