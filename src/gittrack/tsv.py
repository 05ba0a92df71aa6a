"""The table of curves read back from text: all of it, or the points of one metric.

Knows what such a table may hold, and refuses any other with its line. Knows nothing of where it
stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gittrack.errors import BadFile
from gittrack.records import Number, Row
from gittrack.series import metric as metric_of
from gittrack.series import number

__all__ = ["curve", "load", "names"]

_FIRST = ["step", "time"]


def load(data: bytes, where: str) -> tuple[Row, ...]:
    """Read the table back.

    Raises:
        BadFile: it is no such table; `where` is its path, and the line stands in the message.
    """
    header, lines = _parted(data, where)
    rows = []
    for place, line in enumerate(lines, 2):
        cells = line.split(b"\t")
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells under {len(header)} columns")
            rows.append(_row(cells, header))
        except ValueError as error:
            reason = str(error)[:200]
            raise BadFile(f"{where}: line {place}: {reason}", path=where) from error
    return tuple(rows)


def curve(data: bytes, metric: str, where: str) -> list[tuple[int | None, float, Number]]:
    """One metric's points, read from the table without making rows of it; none if it has none.

    Raises:
        BadFile: it is no such table; the numbers of other metrics are not looked at.
    """
    header, lines = _parted(data, where)
    if metric not in header[2:]:
        return []
    place = header.index(metric, 2)
    rows = [line.split(b"\t") for line in lines]
    if not {len(header)}.issuperset(map(len, rows)):
        load(data, where)
    some = [cells for cells in rows if cells[place]]
    try:
        times = [float(cells[1]) for cells in some]
        if not all(map(math.isfinite, times)):
            raise ValueError("no time")
        steps = [int(cells[0]) if cells[0] else None for cells in some]
        values = [number(cells[place]) for cells in some]
    except ValueError as error:
        load(data, where)
        raise BadFile(f"{where}: {error}", path=where) from error
    return list(zip(steps, times, values, strict=True))


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


def _row(cells: Sequence[bytes], header: Sequence[str]) -> Row:
    time = float(cells[1])
    if not math.isfinite(time):
        raise ValueError(f"no time: {cells[1].decode()!r}")
    values = {name: number(cell) for name, cell in zip(header[2:], cells[2:], strict=True) if cell}
    return Row(int(cells[0]) if cells[0] else None, time, values)
