"""What differs between runs: params, metrics, data, artifacts, environment and more. Pure.

Knows how values are compared, and a plain table of them. Knows nothing of code, which Git compares,
nor of terminals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gittrack.quoting import one_line
from gittrack.records import Artifact, Data, Environment, Run
from gittrack.summaries import Number

__all__ = ["Difference", "Line", "Part", "Source", "compare", "equal"]

_WIDEST = 40  # characters of a value in a table
_MOST_PACKAGES = 10  # named in a table, rather than counted


@dataclass(frozen=True, slots=True)
class Line:
    """One key whose values differ: run name -> value, without the runs that have none.

    `delta` is the second number less the first, None unless there are two finite numbers.
    """

    key: str
    values: Mapping[str, Any]
    delta: Number | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A run that another one read: the same where its id is, whatever it is called."""

    run: str = field(compare=False)
    id: str


@dataclass(frozen=True, slots=True)
class Part:
    """One group of keys: those that differ, and how many are the same in all runs."""

    name: str
    lines: tuple[Line, ...]
    same: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between `runs`: names in the order asked for, `experiment/name` where two runs
    of different experiments share one.
    """

    runs: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not any(part.lines for part in self.parts)

    def part(self, name: str) -> Part:
        """The part of this name."""
        return next(part for part in self.parts if part.name == name)

    def __str__(self) -> str:
        """A table: the runs side by side, a line per key that differs, and the numbers' deltas."""
        rows = [("", list(self.runs), "")]
        for part in self.parts:
            if part.name == "packages" and len(part.lines) > _MOST_PACKAGES:
                rows.append((f"packages, {len(part.lines)} of them", [], ""))
                continue
            if part.lines:
                rows.append((part.name, [], ""))
            for line in part.lines:
                cells = [_cell(line.values[n]) if n in line.values else "·" for n in self.runs]
                delta = "" if line.delta is None else f"{line.delta:+.4g}"
                rows.append((f"  {line.key}", cells, delta))
        if self.empty:
            rows.append(("nothing differs", [], ""))
        head = max(len(key) for key, _, _ in rows)
        columns_of = zip(*(cells for _, cells, _ in rows if cells), strict=True)
        widths = [max(map(len, column)) for column in columns_of]
        text = []
        for key, cells, delta in rows:
            columns = [cell.rjust(width) for cell, width in zip(cells, widths, strict=False)]
            text.append("   ".join([key.ljust(head), *columns, delta]).rstrip())
        return "\n".join(text)


def compare(runs: Sequence[Run]) -> Difference:
    """Compare two or more runs, each key on its own.

    Numbers are the same if they are equal, so `1` and `1.0` are; NaN is the same as NaN. Text and
    numbers, `true` and `1` differ. When, where and by whom a run was made is not compared.
    """
    found = [
        ("outcome", [_outcome(run) for run in runs]),
        ("params", [run.params for run in runs]),
        ("metrics", [run.metrics for run in runs]),
        ("tags", [run.tags for run in runs]),
        ("data", [_contents(run.data) for run in runs]),
        ("artifacts", [_contents(run.artifacts) for run in runs]),
        ("inputs", [_inputs(run) for run in runs]),
        ("environment", [_environment(run.environment) for run in runs]),
        ("packages", [run.environment.packages if run.environment else {} for run in runs]),
    ]
    names = _told_apart(runs)
    parts = tuple(_part(name, names, values) for name, values in found)
    return Difference(names, parts)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Source):
        value = value.run
    elif isinstance(value, Mapping) and "md5" in value:
        value = value["md5"][:7]
    elif isinstance(value, tuple):
        value = " ".join(map(str, value))
    text = one_line(str(value))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _told_apart(runs: Sequence[Run]) -> tuple[str, ...]:
    """The runs' names, with the experiment where different runs bear one name."""
    places = {(run.experiment, run.name) for run in runs}
    names = [name for _, name in places]
    return tuple(
        f"{run.experiment}/{run.name}" if names.count(run.name) > 1 else run.name for run in runs
    )


def _outcome(run: Run) -> Mapping[str, Any]:
    return {
        "status": run.status,
        "exit code": run.exit_code,
        "command": run.command,
        "directory": run.directory,
    }


def _contents(found: Sequence[Data | Artifact]) -> Mapping[str, Any]:
    """Path -> what is there; `changed` only where it became another content while the run ran."""
    made = {}
    for item in found:
        made[item.path] = {"md5": item.md5, "size": item.size}
        if isinstance(item, Data) and item.changed:
            made[item.path]["changed"] = True
    return made


def _inputs(run: Run) -> Mapping[str, tuple[Source, ...]]:
    """Path of the artifact that was read, or the run's name where only that is known -> whose."""
    found: dict[str, tuple[Source, ...]] = {}
    for given in sorted(run.inputs, key=lambda given: given.id):
        name = given.run.rpartition("/")[2]
        key = given.path or name
        found[key] = (*found.get(key, ()), Source(name, given.id))
    return found


def _environment(there: Environment | None) -> Mapping[str, Any]:
    if there is None:
        return {}
    known: dict[str, Any] = {
        "python": there.python,
        "platform": there.platform,
        "cpu": there.cpu,
        "cores": there.cores,
        "memory": there.memory,
        "gpus": there.gpus,
    }
    known |= {f"${name}": value for name, value in there.variables.items()}
    known |= {path: blob[:7] for path, blob in there.lock_files.items()}
    return {key: value for key, value in known.items() if value not in (None, "", 0, ())}


def _part(name: str, runs: Sequence[str], found: Sequence[Mapping[str, Any]]) -> Part:
    lines = []
    same = 0
    for key in sorted({key for values in found for key in values}):
        # A tuple, because one run may be asked for twice under one name.
        there = [
            (run, values[key]) for run, values in zip(runs, found, strict=True) if key in values
        ]
        if len(there) == len(runs) and all(equal(there[0][1], value) for _, value in there[1:]):
            same += 1
        else:
            lines.append(Line(key, dict(there), _delta([value for _, value in there], len(runs))))
    return Part(name, tuple(lines), same)


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same to a comparison of runs; `compare` says when."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def _delta(values: Sequence[Any], runs: int) -> Number | None:
    if runs != 2 or len(values) != 2:
        return None
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
    try:
        delta: Number = values[1] - values[0]
        return delta if math.isfinite(delta) else None
    except OverflowError:
        # An integer beyond every float, beside a float.
        return None
