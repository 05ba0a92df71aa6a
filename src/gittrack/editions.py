"""Runs in the formats that other engines read: CSV, JSON lines, Parquet; each a row a run.

Knows what a run's columns are called there and how they are typed. Where it all is written to, and
which runs, is for the caller to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gittrack.errors import GittrackError
from gittrack.extracts import Extract, Kind, fit
from gittrack.meter import SILENT, Meter
from gittrack.quoting import command_line, utf8

if TYPE_CHECKING:
    from gittrack.parquet import Dataset
    from gittrack.summaries import Summary

__all__ = ["PARTITION", "as_csv", "as_jsonl", "as_parquet", "foreign"]

PARTITION = "experiment"
"""What the data sets are partitioned by."""

_TYPES = {
    "id": "text",
    "name": "text",
    "experiment_title": "text",
    "title": "text",
    "status": "text",
    "started": "time",
    "ended": "time",
    "duration": "number",
    "exit_code": "integer",
    "user": "text",
    "command": "text",
    "source": "text",
    "base": "text",
    "branch": "text",
    "dirty": "boolean",
    "commit": "text",
    "parent": "text",
    "archived": "boolean",
    "deleted": "boolean",
    "notes": "text",
}
_POINT = {"run": "text", "key": "text", "step": "integer", "time": "number", "value": "number"}
_SETS = ("runs", "series")
_MOST_POINTS = 100_000
_WORD = 1 << 63


def _runs(source: Extract, meter: Meter) -> Iterator[Sequence[Summary]]:
    """The runs in parts; the meter is told of each that is done."""
    meter.start("writing runs", source.total, "runs")
    try:
        for batch in source.batches():
            yield batch
            meter.advance(len(batch))
    finally:
        meter.end()


def as_csv(source: Extract, write: Callable[[str], Any], *, meter: Meter = SILENT) -> None:
    """Write the columns of `git track ls --csv`, those of all runs: attributes, then full keys."""
    from gittrack.exports import csv_rows
    from gittrack.report import lookup
    from gittrack.vocabulary import ATTRIBUTES

    keys = [*ATTRIBUTES, *source.kinds(meter=meter)]
    write(csv_rows([keys]))
    for batch in _runs(source, meter):
        write(csv_rows([lookup(run, key) for key in keys] for run in batch))


def as_jsonl(
    source: Extract, write: Callable[[str], Any], *, curves: bool = False, meter: Meter = SILENT
) -> None:
    """Write an object a run, on a line of its own in ASCII, as `git track ls --json` has them.

    With `curves` it has `series`, too: for each metric a list of [step, seconds, value].
    """
    from gittrack.cells import jsonable

    for batch in _runs(source, meter):
        lines = []
        for run in batch:
            made = jsonable(run)
            if curves:
                made["series"] = _series(source, run)
            lines.append(json.dumps(made, allow_nan=False) + "\n")
        write("".join(lines))


def _series(source: Extract, run: Summary) -> dict[str, list[list[Any]]]:
    from gittrack.cells import jsonable

    found: dict[str, list[list[Any]]] = {}
    for row in source.rows(run):
        for key, value in row.values.items():
            found.setdefault(key, []).append([row.step, row.time, jsonable(value)])
    return found


def as_parquet(
    source: Extract, directory: Path, *, curves: bool = True, meter: Meter = SILENT
) -> None:
    """Fill a directory with the data sets `runs` and, with `curves`, `series`.

    Raises:
        LibraryMissing: pyarrow is not installed.
        OSError: a file cannot be written.
    """
    from gittrack.parquet import Dataset

    kinds = source.kinds(meter=meter)
    names = {key: utf8(key) for key in kinds}
    types = {**_TYPES, **{names[key]: kind for key, kind in kinds.items()}}
    runs = Dataset(directory / "runs", types, key=PARTITION)
    series = Dataset(directory / "series", _POINT, key=PARTITION) if curves else None
    for batch in _runs(source, meter):
        for experiment, part in _by_experiment(batch).items():
            runs.add(experiment, [*_attributes(part), *_keyed(part, kinds)])
        if series is not None:
            for run in batch:
                _add_points(series, source, run)
    runs.close()
    if series is not None:
        series.close()


def _by_experiment(batch: Sequence[Summary]) -> dict[str, list[Summary]]:
    found: dict[str, list[Summary]] = {}
    for run in batch:
        found.setdefault(run.experiment, []).append(run)
    return found


def _attributes(part: Sequence[Summary]) -> Iterator[list[Any]]:
    for name, kind in _TYPES.items():
        values = [getattr(run, name) for run in part]
        if name == "command":
            values = [command_line(words) if words else None for words in values]
        elif name == "notes":
            values = [json.dumps(notes, ensure_ascii=False) if notes else None for notes in values]
        yield [None if v is None else utf8(v) for v in values] if kind == "text" else values


def _keyed(part: Sequence[Summary], kinds: dict[str, Kind]) -> Iterator[list[Any]]:
    for full, kind in kinds.items():
        group, _, key = full.partition(".")
        try:
            yield [fit(getattr(run, group).get(key), kind) for run in part]
        except (TypeError, ValueError) as error:
            raise GittrackError(
                f"{full} of a running run has changed its type meanwhile", hint="try again."
            ) from error


def _add_points(series: Dataset, source: Extract, run: Summary) -> None:
    columns: list[list[Any]] = [[] for _ in _POINT]
    run_ids, keys, steps, times, values = columns
    for row in source.rows(run):
        step = row.step if row.step is None or -_WORD <= row.step < _WORD else None
        for key, value in row.values.items():
            run_ids.append(run.id)
            keys.append(utf8(key))
            steps.append(step)
            times.append(row.time)
            values.append(fit(value, "number"))
        if len(values) >= _MOST_POINTS:
            series.add(run.experiment, columns)
            for column in columns:
                column.clear()
    if values:
        series.add(run.experiment, columns)


def foreign(directory: Path) -> str | None:
    """Something in a directory that `as_parquet` does not write, relative to it; None if there is
    nothing.
    """
    for found in sorted(directory.rglob("*")):
        path = found.relative_to(directory)
        parts = path.parts
        ours = (
            parts[0] in _SETS
            and not found.is_symlink()
            and (len(parts) == 1 or parts[1].startswith(f"{PARTITION}="))
            and (len(parts) < 3 or (parts[2].startswith("part-") and parts[2].endswith(".parquet")))
            and found.is_file() == (len(parts) == 3)
        )
        if not ours:
            return str(path)
    return None
