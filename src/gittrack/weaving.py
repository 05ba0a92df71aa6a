"""The points that several processes logged, woven into the rows of one table.

Knows in which order they happened, which calls share a row, and how ranks of one job are kept
apart. Knows nothing of files, nor of where the points of a metric are looked for.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import accumulate, pairwise

from gittrack.errors import BadName
from gittrack.keys import check_key
from gittrack.lines import Block, Log
from gittrack.series import Table

__all__ = ["apart", "merged", "misnamed", "weave"]

_PART = 8192


def weave(logs: Sequence[Log], started: float) -> Table:
    """The rows that calls make, in the order of time; times are seconds since `started` (epoch).

    A row is one call; calls of the same step that follow each other share one. Within one file its
    order is the truth, whatever the clock did. Metrics that cannot be called so are left out
    (`misnamed`), and those of several ranks are kept `apart`.
    """
    logs = [log for log in logs if log.blocks]
    renames = apart(logs)
    wrong = {name for log in logs for shape in log.shapes for name in shape if not _is_key(name)}
    loom = _Loom(started)
    streams = []
    for log, rename in zip(logs, renames, strict=True):
        kept = _renaming(rename, wrong)
        kinds = [loom.kind_of(shape, kept) for shape in log.shapes]
        streams.append((log, kinds))
    if _follow_each_other(logs):
        for log, kinds in sorted(streams, key=lambda stream: stream[0].blocks[0].order[0]):
            for block in log.blocks:
                loom.take(block, kinds)
    else:
        calls = merge(*(_calls(log, kinds) for log, kinds in streams), key=lambda call: call[0])
        loom.take_each(call[1:] for call in calls)
    return loom.done()


def misnamed(logs: Iterable[Log]) -> list[str]:
    """A sentence for each name that no metric may have, at most ten."""
    names = {name for log in logs for shape in log.shapes for name in shape}
    found = []
    for name in sorted(names):
        try:
            check_key(name)
        except BadName as error:
            found.append(f"a metric was left out: {error.message}")
    more = len(found) - 10
    return [*found[:10], f"and {more} more"] if more > 0 else found


def apart(logs: Sequence[Log]) -> list[dict[str, str]]:
    """What the metrics of each log are called in the record, where that is another name.

    A metric that several ranks logged is kept apart: that of rank 0, or of a process that is no
    rank, keeps its name, the others are `rank<N>/<name>`.
    """
    said: dict[str, set[int]] = {}
    for log in logs:
        for shape in log.shapes:
            for name in shape:
                said.setdefault(name, set()).add(log.rank or 0)
    shared = {name for name, ranks in said.items() if len(ranks) > 1}
    return [
        {name: f"rank{log.rank}/{name}" for shape in log.shapes for name in shape if name in shared}
        if log.rank
        else {}
        for log in logs
    ]


def _renaming(renamed: dict[str, str], wrong: set[str]) -> Callable[[str], str | None]:
    return lambda name: None if name in wrong else renamed.get(name, name)


def _is_key(name: str) -> bool:
    try:
        check_key(name)
    except BadName:
        return False
    return True


def _follow_each_other(logs: Sequence[Log]) -> bool:
    """Whether each log ends before the next begins, so that none need be merged."""
    spans = sorted((log.blocks[0].order[0], log.blocks[-1].order[-1]) for log in logs)
    return all(before[1] < after[0] for before, after in pairwise(spans))


_Kind = tuple[int, "tuple[int, ...] | None"]
_Call = tuple[float, bytes, _Kind, bytes]


def _calls(log: Log, kinds: Sequence[_Kind]) -> Iterator[tuple[float, float, bytes, _Kind, bytes]]:
    for block in log.blocks:
        each = block.kinds
        numbers = [each] * len(block.times) if isinstance(each, int) else each
        yield from zip(
            block.order,
            block.times,
            block.steps.split(b"\n"),
            [kinds[number] for number in numbers],
            block.cells.split(b"\n"),
            strict=True,
        )


class _Loom:
    """Makes rows of calls that come in order; the last row stays open for calls of its step."""

    def __init__(self, started: float) -> None:
        self._table = Table()
        self._started = started
        self._times: list[float] = []
        self._steps: list[bytes] = []
        self._kinds: list[int] = []
        self._cells: list[bytes] = []
        self._open: tuple[float, bytes, list[int], list[bytes]] | None = None
        self._names: set[str] = set()
        self._together: dict[tuple[int, ...], int] = {}

    def kind_of(self, shape: Sequence[str], rename: Callable[[str], str | None]) -> _Kind:
        """The kind of row that calls of a shape make, and which of their values, if not all."""
        named = {new: at for at, name in enumerate(shape) if (new := rename(name)) is not None}
        kept = None if len(named) == len(shape) else tuple(named.values())
        return self._table.kind(tuple(named)), kept

    def take(self, block: Block, kinds: Sequence[_Kind]) -> None:
        """Take in the calls of a block, at once where no two of them can share a row."""
        one = block.kinds
        if not isinstance(one, int) or kinds[one][1] is not None:
            self.take_each(call[1:] for call in _calls(Log(blocks=[block]), kinds))
            return
        first = block.steps.partition(b"\n")[0]
        if first and self._open is not None and self._open[1] == first:
            calls = _calls(Log(blocks=[block]), kinds)
            self.take_each(call[1:] for call in calls)
            return
        self._close()
        self._flush()
        kind, times, steps, cells = kinds[one][0], block.times, block.steps, block.cells
        last = steps.rpartition(b"\n")[2]
        if last:
            # The next block may go on with this step.
            self._open = times[-1], last, [kind], [cells.rpartition(b"\n")[2]]
            times = times[:-1]
            steps, cells = steps.rpartition(b"\n")[0], cells.rpartition(b"\n")[0]
        if times:
            self._table.share(self._since(times), steps, kind, cells)

    def _since(self, times: array[float]) -> array[float]:
        since = array("d", [time - self._started for time in times])
        if min(since) < 0:
            return array("d", [time if time > 0 else 0.0 for time in since])
        return since

    def take_each(self, calls: Iterable[_Call]) -> None:
        """Take in calls one by one."""
        for time, step, (kind, kept), cells in calls:
            if kept is not None:
                if not kept:
                    continue
                values = cells.split(b"\t")
                cells = b"\t".join([values[place] for place in kept])
            row = self._open
            if row is not None and step and step == row[1]:
                names = self._table.shape(kind)
                if not self._names:
                    self._names.update(self._table.shape(row[2][0]))
                if self._names.isdisjoint(names):
                    self._names.update(names)
                    row[2].append(kind)
                    row[3].append(cells)
                    continue
            if row is not None:
                self._close()
            self._open = time, step, [kind], [cells]
            if len(self._times) >= _PART:
                self._flush()

    def _close(self) -> None:
        """No call joins the open row any more."""
        if self._open is None:
            return
        time, step, kinds, cells = self._open
        self._open = None
        if self._names:
            self._names.clear()
        self._times.append(time)
        self._steps.append(step)
        if len(kinds) == 1:
            self._kinds.append(kinds[0])
            self._cells.append(cells[0])
        else:
            self._kinds.append(self._joined(tuple(kinds)))
            self._cells.append(b"\t".join(cells))

    def _joined(self, kinds: tuple[int, ...]) -> int:
        known = self._together.get(kinds)
        if known is None:
            names = tuple(name for kind in kinds for name in self._table.shape(kind))
            known = self._together[kinds] = self._table.kind(names)
        return known

    def _flush(self) -> None:
        if not self._times:
            return
        one = self._kinds[0]
        same = self._kinds.count(one) == len(self._kinds)
        since = self._since(array("d", self._times))
        self._table.add(since, self._steps, one if same else self._kinds, self._cells)
        for column in (self._times, self._steps, self._kinds, self._cells):
            column.clear()

    def done(self) -> Table:
        """The table, there being no more calls."""
        self._close()
        self._flush()
        return self._table


def merged(tables: Sequence[Table]) -> Table:
    """The rows of several tables in the order of time, each keeping its own order.

    The one table itself where the others are empty.
    """
    tables = [table for table in tables if len(table)]
    if len(tables) < 2:
        return tables[0] if tables else Table()
    made = Table()
    times: list[float] = []
    rest: list[tuple[bytes, int, bytes]] = []
    for _, (time, step, kind, cells) in merge(
        *(_ordered(table, made) for table in tables), key=lambda row: row[0]
    ):
        times.append(time)
        rest.append((step, kind, cells))
        if len(times) >= _PART:
            made.add(array("d", times), *zip(*rest, strict=True))
            times, rest = [], []
    if times:
        made.add(array("d", times), *zip(*rest, strict=True))
    return made


def _ordered(table: Table, made: Table) -> Iterator[tuple[float, tuple[float, bytes, int, bytes]]]:
    latest = accumulate((row[0] for row in table.rows()), max)
    for moment, (time, step, kind, cells) in zip(latest, table.rows(), strict=True):
        yield moment, (time, step, made.kind(table.shape(kind)), cells)
