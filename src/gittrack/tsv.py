"""The table of curves read back from text: all of it, or the points of one metric.

Knows what such a table may hold, and refuses any other with its line. Knows nothing of where it
stands.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence

from gittrack.errors import BadFile
from gittrack.series import Table, number
from gittrack.series import metric as metric_of
from gittrack.summaries import Number

__all__ = ["curve", "load", "names"]

_FIRST = ["step", "time"]
_PART = 8192


def load(data: bytes, where: str) -> Table:
    """Read the table back.

    Raises:
        BadFile: it is no such table; `where` is its path, and the line stands in the message.
    """
    header, lines = _parted(data, where)
    table = Table()
    for start in range(0, len(lines), _PART):
        rows = [line.split(b"\t") for line in lines[start : start + _PART]]
        try:
            _add(table, header, rows)
        except ValueError:
            for place, cells in enumerate(rows, start + 2):
                _check(cells, header, f"{where}: line {place}", where)
            raise
    return table


def _add(table: Table, header: Sequence[str], rows: Sequence[Sequence[bytes]]) -> None:
    """Take rows into the table.

    Raises:
        ValueError: one is not of this table.
    """
    if {len(header)} != set(map(len, rows)):
        raise ValueError("not as many cells as columns")
    steps, moments, *columns = zip(*rows, strict=True)
    times = array("d", map(float, moments))
    if not all(map(math.isfinite, times)):
        raise ValueError("no time")
    for step in filter(None, steps):
        int(step)
    for column in columns:
        for _ in map(float, filter(None, column)):
            pass
    metrics = tuple(header[2:])
    if columns and not any(b"" in column for column in columns):
        cells = (
            columns[0] if len(columns) == 1 else list(map(b"\t".join, zip(*columns, strict=True)))
        )
        table.add(times, steps, table.kind(metrics), cells)
        return
    kinds = [
        table.kind(tuple([name for name, cell in zip(metrics, row[2:], strict=True) if cell]))
        for row in rows
    ]
    table.add(times, steps, kinds, [b"\t".join(filter(None, row[2:])) for row in rows])


def _check(cells: Sequence[bytes], header: Sequence[str], line: str, where: str) -> None:
    try:
        _add(Table(), header, [cells])
    except ValueError as error:
        reason = str(error)[:200]
        if len(cells) != len(header):
            reason = f"{len(cells)} cells under {len(header)} columns"
        raise BadFile(f"{line}: {reason}", path=where) from error


def curve(data: bytes, metric: str, where: str) -> list[tuple[int | None, float, Number]]:
    """One metric's points, read from the table without making rows of it; none if it has none.

    Raises:
        BadFile: it is no such table; the numbers of other metrics are not looked at.
    """
    header, lines = _parted(data, where)
    if metric not in header[2:]:
        return []
    place = header.index(metric, 2)
    found: list[tuple[int | None, float, Number]] = []
    try:
        for start in range(0, len(lines), _PART):
            found += _points(lines[start : start + _PART], place, len(header))
    except ValueError as error:
        load(data, where)
        raise BadFile(f"{where}: {error}", path=where) from error
    return found


def _points(
    lines: Sequence[bytes], place: int, width: int
) -> Iterator[tuple[int | None, float, Number]]:
    if {width - 1} != {line.count(b"\t") for line in lines}:
        raise ValueError("not as many cells as columns")
    flat = b"\t".join(lines).split(b"\t")
    steps, moments, cells = flat[::width], flat[1::width], flat[place::width]
    if b"" in cells:
        some = [row for row in zip(steps, moments, cells, strict=True) if row[2]]
        steps, moments, cells = map(list, zip(*some, strict=True)) if some else ([], [], [])
    times = list(map(float, moments))
    if not all(map(math.isfinite, times)):
        raise ValueError("no time")
    numbers = [int(step) if step else None for step in steps]
    values = [float(cell) if b"." in cell else number(cell) for cell in cells]
    return zip(numbers, times, values, strict=True)


def names(data: bytes, where: str) -> list[str]:
    """The metrics of the table.

    Raises:
        BadFile: it is no such table.
    """
    return _parted(data, where)[0][2:]


def _parted(data: bytes, where: str) -> tuple[list[str], list[bytes]]:
    """The header's names, and the lines below."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFile(f"{where}: not UTF-8 ({error.reason})", path=where) from error
    lines = data.split(b"\n")
    header = lines[0].decode().split("\t")
    if header[:2] != _FIRST or len(set(header[2:])) != len(header) - 2:
        raise BadFile(f"{where}: line 1: no table of 'step', 'time' and metrics", path=where)
    if lines[-1] != b"":
        raise BadFile(f"{where}: line {len(lines)}: the last line is not complete", path=where)
    return [*_FIRST, *map(metric_of, header[2:])], lines[1:-1]
