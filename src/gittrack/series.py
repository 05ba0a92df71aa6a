"""Curves as one wide table of tab-separated values: `metrics.tsv`.

Knows how rows become text and come back exactly. Knows nothing of runs or YAML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from gittrack.errors import BadFile
from gittrack.records import Number, Row

__all__ = ["column", "dump", "last", "load", "points", "worth_keeping"]


_FIRST = ["step", "time"]
_MARKED = r"(?:metrics\.)*(?:step|time)"


def column(metric: str) -> str:
    """The column of a metric: its name, but `metrics.step` and `metrics.time` for these two.

    No two have one: a metric called `metrics.step` has the column `metrics.metrics.step`.
    """
    return f"metrics.{metric}" if re.fullmatch(_MARKED, metric) else metric


def _metric(column: str) -> str:
    return column.removeprefix("metrics.") if re.fullmatch(_MARKED, column) else column


def worth_keeping(rows: Sequence[Row]) -> bool:
    """Whether the last values alone would lose something: a second point, or a step."""
    seen: set[str] = set()
    for row in rows:
        if row.step is not None or not seen.isdisjoint(row.values):
            return True
        seen.update(row.values)
    return False


def last(rows: Iterable[Row]) -> dict[str, Number]:
    """The value that was logged last, for each metric."""
    values: dict[str, Number] = {}
    for row in rows:
        values.update(row.values)
    return values


def points(rows: Iterable[Row], metric: str) -> list[tuple[int | None, float, Number]]:
    """One metric's points (step, seconds since start, value), in the order of logging."""
    return [(row.step, row.time, row.values[metric]) for row in rows if metric in row.values]


def dump(rows: Sequence[Row]) -> bytes:
    """The table: a header, then a line per row; columns `step`, `time`, then metrics by name.

    A cell is empty where nothing was logged. Times are seconds since the run's start, to the
    microsecond; values are written so that they read back exactly. A metric called `step` or
    `time` has the column `metrics.step` or `metrics.time`, so that no two have one name.
    """
    metrics = sorted({name for row in rows for name in row.values})
    lines = ["\t".join([*_FIRST, *map(column, metrics)])]
    for row in rows:
        step = "" if row.step is None else str(row.step)
        cells = [_number(row.values[name]) if name in row.values else "" for name in metrics]
        lines.append("\t".join([step, _seconds(row.time), *cells]))
    return ("\n".join(lines) + "\n").encode()


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _number(value: Number) -> str:
    return repr(value)


def load(data: bytes, where: str) -> tuple[Row, ...]:
    """Read the table back.

    Raises:
        BadFile: it is no such table; `where` is its path, and the line stands in the message.
    """
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise BadFile(f"{where}: not UTF-8 ({error.reason})", path=where) from error
    header = lines[0].split("\t")
    if header[:2] != _FIRST or len(set(header[2:])) != len(header) - 2:
        raise BadFile(f"{where}: line 1: no table of 'step', 'time' and metrics", path=where)
    if lines[-1] != "":
        raise BadFile(f"{where}: line {len(lines)}: the last line is not complete", path=where)
    header[2:] = map(_metric, header[2:])
    rows = []
    for number, line in enumerate(lines[1:-1], 2):
        cells = line.split("\t")
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells under {len(header)} columns")
            rows.append(_row(cells, header))
        except ValueError as error:
            reason = str(error)[:200]
            raise BadFile(f"{where}: line {number}: {reason}", path=where) from error
    return tuple(rows)


def _row(cells: Sequence[str], header: Sequence[str]) -> Row:
    time = float(cells[1])
    if not math.isfinite(time):
        raise ValueError(f"no time: {cells[1]!r}")
    values: Mapping[str, Number] = {
        name: _value(cell) for name, cell in zip(header[2:], cells[2:], strict=True) if cell
    }
    return Row(int(cells[0]) if cells[0] else None, time, values)


def _value(cell: str) -> Number:
    try:
        return int(cell)
    except ValueError:
        return float(cell)
