"""`git track watch`: running runs as a table that is drawn anew while they run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click
from click.shell_completion import CompletionItem

from gittrack.cli.main import open_repo
from gittrack.cli.output import Screen, json_option, page, say, screen

if TYPE_CHECKING:
    from gittrack.cli.board import Board, Line

__all__ = ["watch"]

_GAP = "  "
_SPARK = 12
_WIDEST_TITLE, _WIDEST_HOST, _WIDEST_NUMBER = 24, 20, 24
_MOST_METRICS = 8
_LEAVE = "q or Ctrl-C leaves"


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from gittrack.cli.completing import running_names

    return running_names(ctx, param, incomplete)


@click.command()
@click.argument("selectors", metavar="[RUN]...", nargs=-1, shell_complete=_names)
@click.option(
    "-i",
    "--interval",
    type=click.FloatRange(min=0.1, max=86400),
    default=1.0,
    metavar="SECONDS",
    help="Seconds from one look to the next, 1 by default.",
)
@click.option("--once", is_flag=True, help="Print the table once.")
@json_option
@click.pass_context
def watch(
    ctx: click.Context, selectors: Sequence[str], interval: float, once: bool, as_json: bool
) -> None:
    """Watch running runs: a table that is drawn anew each second.

    Without RUN all that are running, the newest first, and those that begin meanwhile. One that
    ends stays until you leave, by q or Ctrl-C. Beside each metric stand its last points, as bars.
    Colleagues' runs that were started with --live and have been fetched (refs/gittrack/live/*) are
    shown with their host.

    Where stdout is no terminal the table is printed once, as with --once.

    \b
    $ git track watch
    $ git track watch amber-otter -i 5
    $ git track watch --once
    """
    from gittrack.cli.board import Board

    repo = open_repo(ctx)
    board = Board(repo, selectors)
    shown = screen()
    if not (once or as_json) and _can_draw(shown):
        _draw(board, interval)
        return
    now = time.time()
    lines = board.look(now)
    if as_json:
        from gittrack import exports

        page(repo, exports.as_json([line.fields() for line in lines]))
    elif lines:
        page(repo, "".join(f"{text}\n" for text in _table(lines, shown, now)))
    if not lines:
        say("no run is running")


def _can_draw(shown: Screen) -> bool:
    """Whether we may move the cursor: not on a pager, nor on a dumb terminal."""
    return shown.is_terminal and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _draw(board: Board, interval: float) -> None:
    from gittrack.cli.canvas import Canvas

    lines: Sequence[Line] = ()
    due = 0.0
    with Canvas() as canvas:
        while True:
            if time.monotonic() >= due:
                lines = board.look(time.time())
                due = time.monotonic() + interval
            width, height = canvas.size()
            canvas.draw(_frame(lines, Screen(width, height, screen().color), time.time()))
            if canvas.wait(due - time.monotonic()):
                return


def _frame(lines: Sequence[Line], shown: Screen, now: float) -> list[str]:
    """What stands on the screen: the table as far as it fits, and what else there is to say."""
    from gittrack.cells import cut

    width = shown.width or 80
    if not lines:
        return [cut(f"no run is running; waiting for one · {_LEAVE}", width)]
    table = _table(lines, shown, now)
    room = max(1, shown.height - 3)
    hidden = len(lines) - room
    alive = sum(line.status == "running" for line in lines)
    parts = [f"{alive} running", *([f"{hidden} more"] if hidden > 0 else []), _LEAVE]
    return [*table[: room + 1], "", cut(" · ".join(parts), width)][: shown.height]


# -- the table ------------------------------------------------------------------------------------


class _Column(NamedTuple):
    """A column's cells below its title; a spark belongs to the column before it."""

    title: str
    cells: Sequence[str]
    right: bool = False
    is_spark: bool = False

    @property
    def width(self) -> int:
        from gittrack.cells import width_of

        return max(map(width_of, (self.title, *self.cells)))


def _table(lines: Sequence[Line], shown: Screen, now: float) -> list[str]:
    """The table, its title first; metrics for which there is no room are left out, rare ones first.

    Without a terminal's width all stand in it, at most eight.
    """
    from gittrack.cells import align, bold, cut, status_text

    columns = list(_facts(lines, now))
    for metric in _leading(lines):
        more = list(_metric(lines, metric))
        if shown.width is not None and _total([*columns, *more]) > shown.width:
            continue
        columns += more
    fits = shown.width is None or _total(columns) <= shown.width
    color = shown.color and fits
    made = []
    for place in range(-1, len(lines)):
        cells = []
        for column in columns:
            text = column.cells[place] if place >= 0 else column.title
            cell = align(text, column.width, right=column.right)
            if place >= 0 and column.title == "STATUS":
                cell = status_text(text, color) + cell[len(text) :]
            cells.append(cell)
        line = _joined(columns, cells)
        line = bold(line, color) if place < 0 else line
        made.append(line if fits else cut(line, shown.width or 0))
    return made


def _total(columns: Sequence[_Column]) -> int:
    gaps = sum(1 if column.is_spark else len(_GAP) for column in columns[1:])
    return sum(column.width for column in columns) + gaps


def _joined(columns: Sequence[_Column], cells: Sequence[str]) -> str:
    parts = [
        (" " if column.is_spark else _GAP if place else "") + cell
        for place, (column, cell) in enumerate(zip(columns, cells, strict=True))
    ]
    return "".join(parts).rstrip()


def _facts(lines: Sequence[Line], now: float) -> Iterator[_Column]:
    from gittrack.cells import ABSENT, cut, duration
    from gittrack.quoting import one_line

    yield _Column("NAME", [one_line(line.name) for line in lines])
    if any(line.host is not None for line in lines):
        hosts = [ABSENT if line.host is None else one_line(line.host) for line in lines]
        yield _Column("HOST", [cut(host, _WIDEST_HOST) for host in hosts])
    yield _Column("STATUS", [one_line(line.status) for line in lines])
    yield _Column("TIME", [duration(line.seconds(now)) for line in lines], right=True)
    if any(line.step is not None for line in lines):
        steps = [ABSENT if line.step is None else str(line.step) for line in lines]
        yield _Column("STEP", steps, right=True)


def _leading(lines: Sequence[Line]) -> list[str]:
    """The metrics that most of the runs have, by name."""
    counts: dict[str, int] = {}
    for line in lines:
        for key in line.metrics:
            counts[key] = counts.get(key, 0) + 1
    return sorted(counts, key=lambda key: (-counts[key], key))[:_MOST_METRICS]


def _metric(lines: Sequence[Line], metric: str) -> Iterator[_Column]:
    from gittrack.cells import ABSENT, cut, numbers
    from gittrack.curves import spark
    from gittrack.quoting import one_line

    values = [line.metrics.get(metric) for line in lines]
    drawn = iter(numbers([value for value in values if value is not None]))
    cells = [ABSENT if value is None else cut(next(drawn), _WIDEST_NUMBER) for value in values]
    yield _Column(cut(one_line(metric), _WIDEST_TITLE), cells, right=True)
    points = [line.recent.get(metric, ()) for line in lines]
    if any(len(part) > 1 for part in points):
        sparks = [spark(part, _SPARK) if len(part) > 1 else "" for part in points]
        yield _Column("", sparks, is_spark=True)
