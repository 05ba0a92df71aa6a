"""Runs as tables: for a terminal, and in Markdown. Prints nothing.

Knows which columns tell runs apart, what a user may call them, how runs are sorted by one, and
tabulate, alone. Knows nothing of selectors, Git or options.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
    plain,
    status_text,
    width_of,
)
from gittrack.errors import UnknownKey
from gittrack.figures import time_text
from gittrack.keys import nearest
from gittrack.quoting import command_line, one_line
from gittrack.summary import Summary

__all__ = [
    "ATTRIBUTES",
    "Column",
    "Table",
    "cells_of",
    "chosen_columns",
    "full_columns",
    "in_order",
    "keys_of",
    "lasted",
    "lookup",
    "markdown",
    "name_key",
    "order",
    "sort",
    "table",
    "varying_columns",
]

ATTRIBUTES: tuple[str, ...] = (
    "name",
    "experiment",
    "status",
    "started",
    "ended",
    "duration",
    "exit_code",
    "title",
    "user",
    "command",
    "base",
    "branch",
    "dirty",
    "source",
    "id",
    "commit",
    "archived",
    "deleted",
    "notes",
    "experiment_title",
)
"""What a run has besides params, metrics and tags, in the order of a full table."""

_GROUPS = ("params", "metrics", "tags")
_ALIASES = {"age": "started", "time": "duration"}
_GAP = "  "


# -- keys and columns -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: `key` is an attribute, `params.K`, `metrics.K` or `tags.K`."""

    key: str
    title: str


def keys_of(found: Iterable[Summary]) -> dict[str, list[str]]:
    """The keys of the params, metrics and tags that any of the runs has, sorted in each group."""
    seen: dict[str, dict[str, None]] = {group: {} for group in _GROUPS}
    for run in found:
        for group in _GROUPS:
            seen[group].update(dict.fromkeys(getattr(run, group)))
    return {group: sorted(keys) for group, keys in seen.items()}


def lookup(run: Summary, key: str) -> Any:
    """A run's value under a full key, None if it has none."""
    group, dot, name = key.partition(".")
    if dot:
        return getattr(run, group).get(name)
    value = getattr(run, key)
    return None if key in ("command", "notes") and not value else value


def _values(found: Sequence[Summary], key: str) -> list[Any]:
    """`lookup` for many runs at once."""
    group, dot, name = key.partition(".")
    if dot:
        return [getattr(run, group).get(name) for run in found]
    return [lookup(run, key) for run in found]


def name_key(name: str, known: Mapping[str, Sequence[str]]) -> str:
    """The full key that a name stands for: `lr` is `params.lr` if nothing else is called so.

    Raises:
        UnknownKey: no run has it, or a bare name means more than one thing; the hint says which.
    """
    if name in ATTRIBUTES:
        return name
    if name in _ALIASES:
        return _ALIASES[name]
    group, dot, rest = name.partition(".")
    if dot and group in known and rest in known[group]:
        return name
    meant = [f"{group}.{name}" for group in known if name in known[group]]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise UnknownKey(
            f"'{name}' is ambiguous: {' and '.join(meant)}", key=name, hint="write one in full."
        )
    everything = {key: key for key in ATTRIBUTES}
    for group in known:
        everything |= {key: f"{group}.{key}" for key in known[group]}
        everything |= {f"{group}.{key}": f"{group}.{key}" for key in known[group]}
    near = nearest(name, everything)
    listed = "`git track ls --all-columns` shows them all."
    hint = f"did you mean '{everything[near]}'?" if near else listed
    raise UnknownKey(f"no param, metric, tag or attribute named '{name}'", key=name, hint=hint)


def chosen_columns(
    names: Sequence[str],
    found: Sequence[Summary],
    *,
    known: Mapping[str, Sequence[str]] | None = None,
) -> list[Column]:
    """The columns that somebody asked for; `params.*` and the like stand for all of a group.

    A name may be any of `known`, by default the keys of `found`; the stars stand for what `found`
    has.

    Raises:
        UnknownKey: as `name_key`.
    """
    there = keys_of(found)
    columns = []
    for name in names:
        group = name.removesuffix(".*")
        if name == "*":
            columns += full_columns(found)
        elif name != group and group in there:
            columns += [Column(f"{group}.{key}", key) for key in there[group]]
        else:
            columns.append(_column(name_key(name, there if known is None else known)))
    return _told_apart(list({column.key: column for column in columns}.values()))


def full_columns(found: Sequence[Summary]) -> list[Column]:
    """Every attribute, param, metric and tag, under its full key."""
    known = keys_of(found)
    keys = [f"{group}.{key}" for group in _GROUPS for key in known[group]]
    return [Column(key, key) for key in (*ATTRIBUTES, *keys)]


def _told_apart(columns: Sequence[Column]) -> list[Column]:
    """The columns, those that would bear one title under their full keys."""
    titles = Counter(column.title for column in columns)
    return [
        Column(column.key, column.key) if "." in column.key and titles[column.title] > 1 else column
        for column in columns
    ]


def _column(key: str) -> Column:
    name = key.partition(".")[2]
    if name:
        return Column(key, name)
    return Column(key, {"duration": "TIME"}.get(key, key.upper()))


def varying_columns(
    found: Sequence[Summary], *, everything: bool = False, also: Sequence[str] = ()
) -> list[Column]:
    """What tells these runs apart: who, when, how it went, and the params and metrics that vary.

    A single run has all its params and metrics, and so do several with `everything`. The full keys
    in `also` have a column in any case.
    """
    known = keys_of(found)
    keys = ["name", "started", "status", "duration"]
    if any(run.title for run in found):
        keys.insert(1, "title")
    whole = everything or len(found) == 1
    for group in _GROUPS if everything else _GROUPS[:2]:
        keys += [f"{group}.{key}" for key in known[group] if whole or _varies(found, group, key)]
    keys += [key for key in ("experiment", "user") if everything or _differs(found, key)]
    if everything:
        keys += [key for key in ("branch", "base", "commit") if any(lookup(r, key) for r in found)]
    return _told_apart([_column(key) for key in dict.fromkeys([*keys, *also])])


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


# -- sorting --------------------------------------------------------------------------------------


def order(keys: Iterable[str], known: Mapping[str, Sequence[str]]) -> list[tuple[str, bool]]:
    """Full keys, the first the weightiest, and whether to sort by them downwards (`-KEY`).

    Raises:
        UnknownKey: as `name_key`.
    """
    found = []
    for key in keys:
        bare = key.removeprefix("+")
        try:
            found.append((name_key(bare, known), False))
        except UnknownKey:
            if not key.startswith("-"):
                raise
            found.append((name_key(key[1:], known), True))
    return found


def in_order(found: Sequence[Summary], keys: Sequence[tuple[str, bool]]) -> Sequence[Summary]:
    """Sort by several keys, as `order` gives them; see `sort`."""
    for key, descending in reversed(keys):
        # The last key first: every sort is stable.
        found = sort(found, key, descending=descending)
    return found


def sort(found: Sequence[Summary], key: str, *, descending: bool = False) -> list[Summary]:
    """Sort by one full key, stably: numbers before texts; what is absent or NaN last, always."""
    having = [(value, run) for run in found if not _last(value := lookup(run, key))]
    missing = [run for run in found if _last(lookup(run, key))]
    having.sort(key=lambda pair: _order(pair[0]), reverse=descending)
    return [run for _, run in having] + missing


def _last(value: Any) -> bool:
    return value is None or _is_nan(value)


def _order(value: Any) -> tuple[int, Any]:
    if isinstance(value, (int, float)):
        return 0, value
    if isinstance(value, datetime):
        return 1, value
    return (2, value) if isinstance(value, str) else (3, plain(value))


# -- tables ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
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
) -> Table:
    """Runs as lines of aligned columns.

    With `now`, times are relative to it, else ISO. With `clock`, what is running has a duration,
    up to then. Where `width` is too narrow, columns are dropped: user, experiment and title first,
    then from the longer of params and metrics; with `fixed` from the right. The name and the keys
    in `keep` go last.
    """
    drawn = {column: _draw(found, column, now, clock) for column in columns}
    kept = list(columns)
    dropped: list[str] = []
    while width is not None and len(kept) > 1 and _total(kept, drawn) > width:
        spare = [column for column in kept if column.key not in keep] or kept
        victim = spare[-1] if fixed else _least(spare)
        kept.remove(victim)
        dropped.append(one_line(victim.title))
    finished = [_finish(drawn[column], column, color) for column in kept]
    lines = [_GAP.join(cells).rstrip() + "\n" for cells in zip(*finished, strict=True)]
    return Table("".join(lines), tuple(reversed(dropped)))


@dataclass(frozen=True, slots=True)
class _Drawn:
    cells: tuple[str, ...]
    width: int
    right: bool


def _draw(
    found: Sequence[Summary], column: Column, now: datetime | None, clock: datetime | None = None
) -> _Drawn:
    title = column.title
    if column.key == "started" and now is not None and title == "STARTED":
        title = "AGE"
    values = _values(found, column.key)
    if column.key == "status":
        values = [_status(run) for run in found]
    elif column.key == "duration" and clock is not None:
        values = [lasted(run, clock) for run in found]
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


def _total(kept: Sequence[Column], drawn: Mapping[Column, _Drawn]) -> int:
    return sum(drawn[column].width for column in kept) + len(_GAP) * (len(kept) - 1)


def _least(kept: Sequence[Column]) -> Column:
    """The least informative column of those that are left."""
    by_key = {column.key: column for column in kept}
    for key in ("commit", "base", "branch", "user", "experiment", "title"):
        if key in by_key:
            return by_key[key]
    groups = [[c for c in kept if c.key.startswith(f"{group}.")] for group in _GROUPS]
    longest = max(groups[::-1], key=lambda group: (len(group), group is groups[0]))
    return longest[-1] if longest else kept[-1]


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


def markdown(found: Sequence[Summary], columns: Sequence[Column]) -> str:
    """Runs as a table of GitHub's Markdown, whatever could be markup or HTML escaped."""
    from tabulate import tabulate

    drawn = [_draw(found, column, None) for column in columns]
    head, *rows = [[_escaped(d.cells[n]) for d in drawn] for n in range(len(found) + 1)]
    # tabulate 0.9 stumbles over the sides of a table without rows.
    sides = ["right" if d.right else "left" for d in drawn] if rows else None
    return tabulate(rows, head, "pipe", disable_numparse=True, colalign=sides) + "\n"


_MARKUP = str.maketrans(
    {char: "\\" + char for char in "\\|`*[]!"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


def _escaped(text: str) -> str:
    return text.translate(_MARKUP)
