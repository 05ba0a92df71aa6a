"""Runs, and columns of values, as tables: for a terminal, and in Markdown. Prints nothing.

Knows which columns tell runs apart, and tabulate, alone. Knows nothing of selectors, Git or
options.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack.cells import (
    ABSENT,
    WIDEST,
    age,
    align,
    bold,
    cell,
    cut,
    duration,
    is_number,
    numbers,
    status_text,
    width_of,
)
from gittrack.errors import UnknownKey
from gittrack.figures import time_text
from gittrack.quoting import command_line, one_line
from gittrack.vocabulary import ATTRIBUTES, GROUPS, of_summaries

if TYPE_CHECKING:
    from gittrack.summaries import Summary
    from gittrack.vocabulary import Vocabulary

__all__ = [
    "Column",
    "Table",
    "cells_of",
    "chosen_columns",
    "full_columns",
    "hides",
    "lasted",
    "lookup",
    "markdown",
    "sheet",
    "sheet_markdown",
    "table",
    "told_apart",
    "varying_columns",
]

_GAP = "  "
_NOTHING: Mapping[str, Sequence[Any]] = {}


# -- keys and columns -----------------------------------------------------------------------------


class Column(NamedTuple):
    """One column of a table: `key` is an attribute, `params.K`, `metrics.K` or `tags.K`.

    Or it is any other text, under which the values are given with the runs.
    """

    key: str
    title: str


def _keys_of(found: Iterable[Summary]) -> dict[str, list[str]]:
    """The keys of the params, metrics and tags that any of the runs has, sorted in each group."""
    seen: dict[str, dict[str, None]] = {group: {} for group in GROUPS}
    for run in found:
        for group in GROUPS:
            seen[group].update(dict.fromkeys(getattr(run, group)))
    return {group: sorted(keys) for group, keys in seen.items()}


def lookup(run: Summary, key: str) -> Any:
    """A run's value under a full key, None if it has none."""
    group, dot, name = key.partition(".")
    if dot:
        return getattr(run, group).get(name)
    value = getattr(run, key)
    return None if key in ("command", "notes") and not value else value


def _values(
    found: Sequence[Summary], key: str, more: Mapping[str, Sequence[Any]] = _NOTHING
) -> Sequence[Any]:
    """`lookup` for many runs at once, or what is given of them."""
    if key in more:
        return more[key]
    group, dot, name = key.partition(".")
    if dot:
        return [getattr(run, group).get(name) for run in found]
    return [lookup(run, key) for run in found]


def chosen_columns(
    names: Sequence[str],
    found: Sequence[Summary],
    *,
    vocabulary: Vocabulary | None = None,
    more: Iterable[str] = (),
) -> list[Column]:
    """The columns that somebody asked for, in that order; each once.

    A name may be any in `vocabulary`, by default that of `found`, or in `more`. A shell pattern
    stands for what it fits there, as far as `found` has it; for all of that if it has none.

    Raises:
        UnknownKey: no run has it, or a bare name means more than one thing; the hint says which.
    """
    known = of_summaries(found) if vocabulary is None else vocabulary
    there: set[str] | None = None
    columns: dict[str, Column] = {}
    for name in names:
        keys = [name] if name in more else _meant(name, known)
        if keys is None:
            keys = known.match(name)
            if not keys:
                hint = "`git track ls --all-columns` shows them all."
                message = f"no param, metric, tag or attribute is like '{name}'"
                raise UnknownKey(message, key=name, hint=hint)
            if there is None:
                there = {c.key for c in full_columns(found)}
            keys = [key for key in keys if key in there] or keys
        # A pattern that fits everything asks for the data, under the names of the data.
        make = _full if name == "*" or (name in more and not known.has(name)) else _column
        columns |= {key: make(key) for key in keys if key not in columns}
    return told_apart(list(columns.values()))


def _meant(name: str, known: Vocabulary) -> list[str] | None:
    """The key of a name; None of what is no name, but may be a pattern."""
    try:
        return [known.resolve(name)]
    except UnknownKey:
        if not set("*?[") & set(name):
            raise
        return None


def full_columns(found: Sequence[Summary]) -> list[Column]:
    """Every attribute, param, metric and tag, under its full key."""
    known = _keys_of(found)
    keys = [f"{group}.{key}" for group in GROUPS for key in known[group]]
    return [Column(key, key) for key in (*ATTRIBUTES, *keys)]


def told_apart(columns: Sequence[Column]) -> list[Column]:
    """Give columns that would bear one title their full keys as titles."""
    titles = Counter(column.title for column in columns)
    return [
        Column(column.key, column.key) if "." in column.key and titles[column.title] > 1 else column
        for column in columns
    ]


def _full(key: str) -> Column:
    return Column(key, key)


def _column(key: str) -> Column:
    group, _, name = key.partition(".")
    if name and group in GROUPS:
        return Column(key, name)
    if key not in ATTRIBUTES:
        return Column(key, key)
    return Column(key, {"duration": "TIME"}.get(key, key.upper()))


def varying_columns(
    found: Sequence[Summary], *, everything: bool = False, also: Sequence[str] = ()
) -> list[Column]:
    """What tells these runs apart: who, when, how it went, and the params and metrics that vary.

    A single run has all its params and metrics, and so do several with `everything`. The full keys
    in `also` have a column in any case.
    """
    known = _keys_of(found)
    keys = ["name", "started", "status", "duration"]
    if any(run.title for run in found):
        keys.insert(1, "title")
    whole = everything or len(found) == 1
    for group in GROUPS if everything else GROUPS[:2]:
        keys += [f"{group}.{key}" for key in known[group] if whole or _varies(found, group, key)]
    keys += [key for key in ("experiment", "user") if everything or _differs(found, key)]
    if everything:
        keys += [key for key in ("branch", "base", "commit") if any(lookup(r, key) for r in found)]
    return told_apart([_column(key) for key in dict.fromkeys([*keys, *also])])


def hides(found: Sequence[Summary], columns: Sequence[Column]) -> bool:
    """Whether the runs have params or metrics that have no column."""
    there = {column.key for column in columns}
    known = _keys_of(found)
    return any(f"{group}.{key}" not in there for group in GROUPS[:2] for key in known[group])


def _differs(found: Sequence[Summary], key: str) -> bool:
    return len({getattr(run, key) for run in found}) > 1


def _varies(found: Sequence[Summary], group: str, key: str) -> bool:
    missing = object()
    first = getattr(found[0], group).get(key, missing)
    for run in found:
        value = getattr(run, group).get(key, missing)
        if value is not first and (value != first or type(value) is not type(first)):
            return not (_is_nan(value) and _is_nan(first))
    return False


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


# -- tables ---------------------------------------------------------------------------------------


class Table(NamedTuple):
    """A drawn table; `dropped` are the titles of the columns that did not fit."""

    text: str
    dropped: tuple[str, ...]


def table(
    found: Sequence[Summary],
    columns: Sequence[Column],
    *,
    now: datetime | None = None,
    clock: datetime | None = None,
    width: int | None = None,
    color: bool = False,
    fixed: bool = False,
    keep: Sequence[str] = (),
    more: Mapping[str, Sequence[Any]] = _NOTHING,
) -> Table:
    """Runs as lines of aligned columns; `more` are columns of values that overrule the runs' own.

    With `now`, times are relative to it, else ISO. With `clock`, what is running has a duration,
    up to then. Where `width` is too narrow, columns are dropped: user, experiment and title first,
    then of the longer of params and metrics what the fewest runs have; with `fixed` from the right.
    The name and the keys in `keep` go last.
    """

    def next_to_go(kept: Sequence[int]) -> int:
        spare = [place for place in kept if columns[place].key not in keep] or kept
        return spare[-1] if fixed else spare[_least([(columns[n], gaps[n]) for n in spare])]

    drawn = [_draw(found, column, now, clock, more) for column in columns]
    gaps = [part.cells.count(ABSENT) for part in drawn]
    return _laid_out(columns, drawn, width, color, next_to_go)


def sheet(
    columns: Sequence[Column],
    values: Sequence[Sequence[Any]],
    *,
    now: datetime | None = None,
    width: int | None = None,
    color: bool = False,
    spare: Sequence[int] = (),
) -> Table:
    """Columns of values that are no runs' as lines; a column's key says how its values look.

    Where `width` is too narrow, those whose places are in `spare` go, the first first, and then
    others from the right.
    """
    going = list(reversed(spare))

    def next_to_go(kept: Sequence[int]) -> int:
        return going.pop() if going else kept[-1]

    drawn = [_drawn(column, own, now) for column, own in zip(columns, values, strict=True)]
    return _laid_out(columns, drawn, width, color, next_to_go)


def _laid_out(
    columns: Sequence[Column],
    drawn: Sequence[_Drawn],
    width: int | None,
    color: bool,
    next_to_go: Callable[[Sequence[int]], int],
) -> Table:
    kept = list(range(len(columns)))
    total = sum(part.width + len(_GAP) for part in drawn) - len(_GAP)
    dropped: list[str] = []
    while width is not None and len(kept) > 1 and total > width:
        victim = next_to_go(kept)
        kept.remove(victim)
        total -= drawn[victim].width + len(_GAP)
        dropped.append(one_line(columns[victim].title))
    finished = [_finish(drawn[place], columns[place], color) for place in kept]
    lines = [_GAP.join(cells).rstrip() + "\n" for cells in zip(*finished, strict=True)]
    return Table("".join(lines), tuple(reversed(dropped)))


class _Drawn(NamedTuple):
    cells: tuple[str, ...]
    width: int
    right: bool


def _draw(
    found: Sequence[Summary],
    column: Column,
    now: datetime | None,
    clock: datetime | None = None,
    more: Mapping[str, Sequence[Any]] = _NOTHING,
) -> _Drawn:
    values = _values(found, column.key, more)
    if column.key == "status":
        values = [_status(run) for run in found]
    elif column.key == "duration" and clock is not None:
        values = [lasted(run, clock) for run in found]
    return _drawn(column, values, now)


def _drawn(column: Column, values: Sequence[Any], now: datetime | None) -> _Drawn:
    title = column.title
    if column.key == "started" and now is not None and title == "STARTED":
        title = "AGE"
    cells = [cut(one_line(title), WIDEST), *_cells(values, column.key, now)]
    real = [value for value in values if value is not None]
    right = column.key == "duration" or (bool(real) and all(map(is_number, real)))
    return _Drawn(tuple(cells), max(map(width_of, cells)), right)


def lasted(run: Summary, clock: datetime) -> float | None:
    """Seconds that a run took, or those up to `clock` of one that is running."""
    return (clock - run.started).total_seconds() if run.status == "running" else run.duration


def _status(run: Summary) -> str:
    """How it went, and in brackets why it is not in the usual listing, or not recorded yet."""
    marks = [word for word in ("archived", "deleted") if getattr(run, word)]
    if run.commit is None and run.status != "running":
        marks.append("recovering")
    return f"{run.status} ({', '.join(marks)})" if marks else run.status


def _cells(values: Sequence[Any], key: str, now: datetime | None) -> list[str]:
    real = [value for value in values if value is not None]
    if key == "duration":
        return [duration(value) for value in values]
    if real and all(map(is_number, real)):
        drawn = iter(numbers(real))
        return [ABSENT if value is None else next(drawn) for value in values]
    return [ABSENT if value is None else _text(value, key, now) for value in values]


def _text(value: Any, key: str, now: datetime | None) -> str:
    if isinstance(value, datetime):
        return age(value, now) if now is not None else f"{time_text(value)[:19]}Z"
    if key == "name":
        return one_line(value)
    if key == "command":
        return cut(command_line(value), WIDEST)
    if key in ("base", "commit", "id"):
        return one_line(value)[:7]
    return cell(value)


def _least(kept: Sequence[tuple[Column, int]]) -> int:
    """The place of the least informative of the columns that are left, each with its gaps."""
    keys = [column.key for column, _ in kept]
    for key in ("commit", "base", "branch", "user", "experiment", "title"):
        if key in keys:
            return keys.index(key)
    groups = [[n for n, key in enumerate(keys) if key.startswith(f"{group}.")] for group in GROUPS]
    longest = max(groups[::-1], key=lambda group: (len(group), group is groups[0]))
    return max(longest, key=lambda place: (kept[place][1], place)) if longest else len(kept) - 1


def _finish(drawn: _Drawn, column: Column, color: bool) -> list[str]:
    """A column's cells, aligned and coloured."""
    title, *cells = [align(text, drawn.width, right=drawn.right) for text in drawn.cells]
    if color and column.key == "status":
        cells = [
            status_text(word, color) + text[len(word) :]
            for text in cells
            for word in (text.split(" ", 1)[0],)
        ]
    return [bold(title, color), *cells]


def cells_of(found: Sequence[Summary], columns: Sequence[Column]) -> list[list[tuple[str, bool]]]:
    """The lines of a table, titles first: each cell's text, and whether it stands on the right.

    The texts are neither aligned nor escaped for anything but one line.
    """
    drawn = [_draw(found, column, None) for column in columns]
    return [[(d.cells[n], d.right) for d in drawn] for n in range(len(found) + 1)]


# -- Markdown -------------------------------------------------------------------------------------


def markdown(
    found: Sequence[Summary],
    columns: Sequence[Column],
    more: Mapping[str, Sequence[Any]] = _NOTHING,
) -> str:
    """Runs as a table of GitHub's Markdown, whatever could be markup or HTML escaped."""
    drawn = [_draw(found, column, None, more=more) for column in columns]
    return _markdown(drawn, len(found))


def sheet_markdown(columns: Sequence[Column], values: Sequence[Sequence[Any]]) -> str:
    """Columns of values as `markdown` writes runs."""
    drawn = [_drawn(column, own, None) for column, own in zip(columns, values, strict=True)]
    return _markdown(drawn, len(values[0]) if values else 0)


def _markdown(drawn: Sequence[_Drawn], count: int) -> str:
    from tabulate import tabulate

    head, *rows = [[_escaped(d.cells[n]) for d in drawn] for n in range(count + 1)]
    # tabulate 0.9 stumbles over the sides of a table without rows.
    sides = ["right" if d.right else "left" for d in drawn] if rows else None
    return tabulate(rows, head, "pipe", disable_numparse=True, colalign=sides) + "\n"


_MARKUP = str.maketrans(
    {char: "\\" + char for char in "\\|`*[]!"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


def _escaped(text: str) -> str:
    return text.translate(_MARKUP)
