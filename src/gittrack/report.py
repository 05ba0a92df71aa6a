"""Records as text: tables, JSON, CSV, Markdown, curves. Prints nothing.

Knows how values look to people and to programs. Whatever a record holds is escaped here before a
terminal sees it. Knows nothing of selectors, Git or options.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from gittrack.errors import UnknownKey
from gittrack.keys import nearest
from gittrack.message import short, time_text
from gittrack.quoting import command_line, one_line
from gittrack.records import Number, Run, Summary

__all__ = [
    "ABSENT",
    "ATTRIBUTES",
    "Column",
    "Curve",
    "Table",
    "age",
    "align",
    "as_json",
    "bold",
    "cell",
    "chosen_columns",
    "csv_rows",
    "csv_text",
    "curves",
    "cut",
    "duration",
    "finite",
    "full_columns",
    "keys_of",
    "lookup",
    "markdown",
    "name_key",
    "numbers",
    "plain",
    "size",
    "sort",
    "status_text",
    "table",
    "varying_columns",
    "width_of",
]

ABSENT = "·"
"""What stands in a cell where a run has nothing."""

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
_WIDEST_CELL = 40
_GAP = "  "
_COLORS = {"finished": "32", "failed": "31", "killed": "31", "running": "33"}


# -- single values --------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """A length of time for people: `0.3s`, `4.2s`, `3m05s`, `2h05m`, `5d03h`."""
    if seconds is None or not finite(seconds):
        return ABSENT
    if seconds < 59.95:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def age(moment: datetime, now: datetime) -> str:
    """How long ago, for people: `just` (under a minute, or ahead of us), `2m`, `3h`, `5d`, `4y`."""
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return "just"
    if seconds < 3600:
        return f"{int(seconds // 60)}m"
    if seconds < 86400:
        return f"{int(seconds // 3600)}h"
    days = int(seconds // 86400)
    return f"{days}d" if days < 1000 else f"{int(days / 365.25)}y"


def size(count: int) -> str:
    """A number of bytes for people, in powers of 1000: `512 B`, `1.2 MB`."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95 or unit == "TB":
            break
    return f"{value:.1f} {unit}"


def plain(value: Any) -> str:
    """A value in full on one line, made safe for a terminal: floats exact, lists as JSON."""
    if isinstance(value, str):
        return one_line(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, (int, float)):
        return repr(value)
    return one_line(json.dumps(_jsonable(value), ensure_ascii=False))


def cell(value: Any) -> str:
    """A value for a table cell: as `plain`, with floats of four digits and long texts cut."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return short(value)
    return cut(plain(value), _WIDEST_CELL)


def finite(value: Number) -> bool:
    """Whether a number is a finite float, or fits into one."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def cut(text: str, width: int) -> str:
    """The text, with an ellipsis for its end where it is wider than `width` columns."""
    if len(text) * 2 <= width or width_of(text) <= width:
        return text
    used = 0
    for place, char in enumerate(text):
        used += _char_width(char)
        if used > width - 1:
            return text[:place] + "…"
    return text


def width_of(text: str) -> int:
    """How many terminal columns a text takes; East Asian wide characters and emoji take two."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def align(text: str, width: int, *, right: bool = False) -> str:
    """The text filled with blanks to `width` terminal columns."""
    if text.isascii():
        return text.rjust(width) if right else text.ljust(width)
    blanks = " " * max(0, width - width_of(text))
    return blanks + text if right else text + blanks


def status_text(status: str, color: bool) -> str:
    """A status, green, red or yellow if wanted."""
    start = _COLORS.get(status)
    return f"\x1b[{start}m{status}\x1b[m" if color and start else status


def bold(text: str, color: bool) -> str:
    """The text, bold if wanted."""
    return f"\x1b[1m{text}\x1b[m" if color else text


def numbers(values: Sequence[Number]) -> list[str]:
    """Numbers that stand in one column: the same count of decimals.

    As many as give the largest four digits and the smallest two; where those are too far apart,
    each number for itself.
    """
    if all(isinstance(value, int) for value in values):
        return [short(value) for value in values]
    sizes = [abs(value) for value in values if value and finite(value)]
    big, small = max(sizes, default=1), min(sizes, default=1)
    if big >= 10**9 or small < 10**-5:
        return [short(value) for value in values]
    count = max(_decimals(float(big), 4), _decimals(float(small), 2))
    fixed = [f"{value:.{count}f}" if finite(value) else None for value in values]
    spare = min((len(text) - len(text.rstrip("0")) for text in fixed if text), default=0)
    spare = min(spare, count - 1) if count else 0
    return [
        short(value) if text is None else text[: len(text) - spare]
        for value, text in zip(values, fixed, strict=True)
    ]


def _decimals(value: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(value)))


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


def chosen_columns(names: Sequence[str], found: Sequence[Summary]) -> list[Column]:
    """The columns that somebody asked for; `params.*` and the like stand for all of a group.

    Raises:
        UnknownKey: as `name_key`.
    """
    known = keys_of(found)
    columns = []
    for name in names:
        group = name.removesuffix(".*")
        if name == "*":
            columns += full_columns(found)
        elif name != group and group in known:
            columns += [Column(f"{group}.{key}", key) for key in known[group]]
        else:
            columns.append(_column(name_key(name, known)))
    return list({column.key: column for column in columns}.values())


def full_columns(found: Sequence[Summary]) -> list[Column]:
    """Every attribute, param, metric and tag, under its full key."""
    known = keys_of(found)
    keys = [f"{group}.{key}" for group in _GROUPS for key in known[group]]
    return [Column(key, key) for key in (*ATTRIBUTES, *keys)]


def _column(key: str) -> Column:
    name = key.partition(".")[2]
    if name:
        return Column(key, name)
    return Column(key, {"duration": "TIME"}.get(key, key.upper()))


def varying_columns(found: Sequence[Summary], *, everything: bool = False) -> list[Column]:
    """What tells these runs apart: who, when, how it went, and the params and metrics that vary.

    A single run has all its params and metrics, and so do several with `everything`.
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
    return [_column(key) for key in keys]


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
    width: int | None = None,
    color: bool = False,
    fixed: bool = False,
) -> Table:
    """Runs as lines of aligned columns.

    With `now`, times are relative to it, else ISO. Where `width` is too narrow, columns are
    dropped: user, experiment and title first, then from the longer of params and metrics; with
    `fixed` from the right.
    """
    drawn = {column: _draw(found, column, now) for column in columns}
    kept = list(columns)
    dropped: list[str] = []
    while width is not None and len(kept) > 1 and _total(kept, drawn) > width:
        victim = kept[-1] if fixed else _least(kept)
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


def _draw(found: Sequence[Summary], column: Column, now: datetime | None) -> _Drawn:
    title = column.title
    if column.key == "started" and now is not None and title == "STARTED":
        title = "AGE"
    values = _values(found, column.key)
    cells = [cut(one_line(title), _WIDEST_CELL), *_cells(values, column.key, now)]
    real = [value for value in values if value is not None]
    right = column.key == "duration" or (bool(real) and all(map(_is_number, real)))
    return _Drawn(tuple(cells), max(map(width_of, cells)), right)


def _cells(values: Sequence[Any], key: str, now: datetime | None) -> list[str]:
    real = [value for value in values if value is not None]
    if key == "duration":
        return [duration(value) for value in values]
    if real and all(map(_is_number, real)):
        drawn = iter(numbers(real))
        return [ABSENT if value is None else next(drawn) for value in values]
    return [ABSENT if value is None else _text(value, key, now) for value in values]


def _text(value: Any, key: str, now: datetime | None) -> str:
    if isinstance(value, datetime):
        return age(value, now) if now is not None else f"{time_text(value)[:19]}Z"
    if key == "name":
        return one_line(value)
    if key == "command":
        return cut(command_line(value), _WIDEST_CELL)
    if key in ("base", "commit", "id"):
        return one_line(value)[:7]
    return cell(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
            for word, text in zip(drawn.cells[1:], cells, strict=True)
        ]
    return [bold(title, color), *cells]


def markdown(found: Sequence[Summary], columns: Sequence[Column]) -> str:
    """Runs as a table of GitHub's Markdown, whatever could be markup or HTML escaped."""
    drawn = [_draw(found, column, None) for column in columns]
    lines = []
    for number in range(len(found) + 1):
        lines.append("| " + " | ".join(_escaped(d.cells[number]) for d in drawn) + " |")
    rule = "|" + "|".join("---:" if d.right else "---" for d in drawn) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


_MARKUP = str.maketrans(
    {char: "\\" + char for char in "\\|`*[]!"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


def _escaped(text: str) -> str:
    return text.translate(_MARKUP)


def csv_text(found: Sequence[Summary], columns: Sequence[Column]) -> str:
    """Runs as CSV (RFC 4180), numbers in full; a text that a spreadsheet would run begins with `'`.

    What a run does not have is an empty field.
    """
    head = [column.key for column in columns]
    return csv_rows([head, *([lookup(run, c.key) for c in columns] for run in found)])


def csv_rows(rows: Iterable[Sequence[Any]]) -> str:
    """Any rows as CSV by the rules of `csv_text`."""
    import csv
    import io

    sheet = io.StringIO()
    writer = csv.writer(sheet)
    for row in rows:
        writer.writerow([_field(value) for value in row])
    return sheet.getvalue()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if _is_number(value):
        return repr(value)
    if isinstance(value, tuple):
        value = command_line(value)
    text = value if isinstance(value, str) else plain(value)
    # Source: OWASP, "CSV Injection".
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


# -- JSON -----------------------------------------------------------------------------------------


def as_json(value: Any) -> str:
    """Records as one JSON document in ASCII.

    A record is an object with the names of its fields, a run also has `duration` in seconds.
    Times are RFC 3339 in UTC. NaN and the infinities, which JSON has not, are the texts `NaN`,
    `Infinity` and `-Infinity`.
    """
    return json.dumps(_jsonable(value), indent=2, allow_nan=False) + "\n"


def _jsonable(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE[str(value)]
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(inner) for inner in value]
    if hasattr(type(value), "__dataclass_fields__"):
        made = {part.name: _jsonable(getattr(value, part.name)) for part in fields(value)}
        if isinstance(value, Summary):
            made["duration"] = value.duration
        elif isinstance(value, Run):
            made["duration"] = (
                (value.ended - value.started).total_seconds() if value.ended else None
            )
        return made
    return value


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


# -- curves ---------------------------------------------------------------------------------------

Curve = Sequence[tuple[float, Number]]
"""Points (x, y) in the order of x."""

_PALETTE = (12, 10, 9, 13, 14, 11, 4, 2, 1, 5, 6, 3)
_LETTERS = "*+ox#@%&"
_MOST_POINTS = 2000
_LARGEST = 1e300


def curves(
    series: Mapping[str, Curve], metric: str, x: str, width: int, height: int, *, color: bool
) -> str:
    """One metric of one or several runs, drawn in characters `width` wide and `height` high.

    `series` has the points of each run by its name, `x` names what they are drawn over. Points
    that are not finite have no place. A single curve is drawn in blocks, several without colour
    each by its own letter.
    """
    import plotext

    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear()
    figure.plot_size(max(width, 24), max(height, 6) - len(series) - 1)
    legend = [bold(one_line(metric), color)]
    for number, (name, points) in enumerate(series.items()):
        hue = _PALETTE[number % len(_PALETTE)]
        letter = _LETTERS[number % len(_LETTERS)]
        blocks = color or len(series) == 1
        drawn = _thinned([(a, b) for a, b in points if finite(b) and abs(b) < _LARGEST])
        if drawn:
            marker = plotext.marker("hd" if blocks else letter, hue)
            xs, ys = ([float(point[part]) for point in drawn] for part in (0, 1))
            signal = figure.signal(xs, ys, marker=marker)
            figure.draw(signal.lines())
        sign = f"\x1b[38;5;{hue}m━━\x1b[m" if color else "━━" if blocks else f"{letter} "
        legend.append(f"{sign} {one_line(name)}")
    figure.label(x, axis="x")
    picture = str(figure.build().string()).rstrip("\n")
    picture = _on_any_background(picture) if color else str(plotext.uncolorize(picture))
    lines = [*legend, *(line.rstrip() for line in picture.split("\n"))]
    return "\n".join(lines) + "\n"


def _on_any_background(picture: str) -> str:
    """Take out white backgrounds and black axes: the terminal's own colours fit the terminal."""
    import re

    return re.sub(r"\x1b\[(48;5;[0-9]+|38;5;0)m", "", picture)


def _thinned(points: Curve) -> Curve:
    """At most 2,000 points: the lowest and the highest of each stretch, so that peaks stay."""
    if len(points) <= _MOST_POINTS:
        return points
    stretch = math.ceil(len(points) / (_MOST_POINTS // 2))
    kept: list[tuple[float, Number]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        low, high = (choose(part, key=lambda point: point[1]) for choose in (min, max))
        kept += [low] if low == high else sorted([low, high])
    return kept
