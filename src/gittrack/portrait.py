"""A run, or a table of runs, as HTML for a notebook: values, and small curves drawn as SVG.

Knows what is worth showing and how much of it. Whatever a record holds is escaped here before a
page sees it. No script, nothing from elsewhere, and colours that can be read on light and on dark.
Shows nothing itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

from gittrack import commits, journal, refs, report
from gittrack.cells import cut, duration, finite, is_number, plain
from gittrack.errors import GittrackError
from gittrack.git import Repo
from gittrack.message import short
from gittrack.quoting import one_line, printable
from gittrack.records import Row, Run
from gittrack.report import Column
from gittrack.series import Table
from gittrack.story import tell
from gittrack.summaries import Number, Summary

__all__ = ["card", "html", "of_live", "table", "thinned"]

_Points: TypeAlias = Sequence[tuple[float, float]]

_MOST_CURVES = 12
_MOST_POINTS = 200
_MOST_LINES = 50
_MOST_COLUMNS = 30
_WIDEST_KEY, _WIDEST_VALUE = 48, 96
_LARGEST_JOURNAL = 32 << 20
_WIDTH, _HEIGHT, _EDGE = 220, 80, 4

_COLORS = {"finished": "#2e9e4f", "failed": "#d9534f", "killed": "#d9534f", "running": "#c98a1b"}
_WHOLE = "font-family:sans-serif;font-size:13px;line-height:1.45;max-width:960px"
_ROW = "display:flex;flex-wrap:wrap;gap:8px 28px;align-items:flex-start;margin-top:6px"
_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,.3);padding:1px 10px 1px 0"
_FAINT = "opacity:.65"
_WORDS = "display:flex;flex-wrap:wrap;gap:0 12px"
_LONGEST_TEXT = 2_000


def of_live(directory: Path, latest: Mapping[str, Number] | None = None) -> str:
    """The run whose live directory this is, as it stands now; see `html`.

    `latest` are values that count more than those that were read. Of a journal of more than 32 MiB
    the points are not read, and no curve is drawn. Never raises for what is or is not in the
    directory: of one that is gone the record is drawn, or a line that says so.
    """
    told = _told(directory)
    if told is None:
        ended = f'<div style="{_WHOLE}">{_shown(directory.name)} has ended</div>'
        return _recorded(directory) or ended
    run, rows = told
    return html(replace(run, metrics={**run.metrics, **(latest or {})}), rows)


def _recorded(directory: Path) -> str | None:
    """The run that was in `<common Git directory>/gittrack/live/<name>`."""
    try:
        repo = Repo.open(directory.parents[2])
        found = (ref for ref in refs.all_runs(repo) if ref.name == directory.name)
        for ref in found:
            return html(commits.load(repo, ref), commits.load_series(repo, ref))
    except (GittrackError, IndexError, OSError):
        pass
    return None


def _told(directory: Path) -> tuple[Run, Sequence[Row]] | None:
    told = journal.read(directory, points=journal.size(directory) <= _LARGEST_JOURNAL)
    if told is None:
        return None
    run, rows = tell(told, log_size=0, last_sign=time.time())
    return replace(run, status="running", exit_code=None), rows


def html(run: Run | Summary, rows: Iterable[Row] = ()) -> str:
    """A run: how it went, its params, metrics and tags, and a small curve of each metric in `rows`.

    At most 50 lines a table, 12 curves, and 200 points a curve, those that stand out kept; what is
    left out is counted. Values that are no finite numbers leave a gap.
    """
    groups = [("params", run.params), ("metrics", run.metrics), ("tags", run.tags)]
    tables = "".join(_values(name, values) for name, values in groups if values)
    drawn = _curves(rows)
    parts = [_head(run)]
    if tables:
        parts.append(f'<div style="{_ROW}">{tables}</div>')
    if drawn:
        parts.append(f'<div style="{_ROW}">{drawn}</div>')
    return f'<div style="{_WHOLE}">{"".join(parts)}</div>'


def card(
    title: str,
    words: Iterable[str],
    text: str | None = None,
    groups: Iterable[tuple[str, Mapping[str, Any]]] = (),
) -> str:
    """Something with a name: words beside it, a text beneath, and tables of values."""
    said = [f"<b>{_shown(title)}</b>", *(f"<span>{_shown(word)}</span>" for word in words)]
    parts = [f'<div style="{_WORDS}">{"".join(said)}</div>']
    if text:
        shown = escape(printable(text[:_LONGEST_TEXT]))
        parts.append(f'<div style="white-space:pre-wrap;{_FAINT}">{shown}</div>')
    tables = "".join(_values(name, values) for name, values in groups if values)
    if tables:
        parts.append(f'<div style="{_ROW}">{tables}</div>')
    return f'<div style="{_WHOLE}">{"".join(parts)}</div>'


def _head(run: Run | Summary) -> str:
    seconds = None if run.ended is None else (run.ended - run.started).total_seconds()
    color = _COLORS.get(run.status, "inherit")
    words = [
        f"<b>{_shown(run.name)}</b>",
        f'<span style="color:{color}">{_shown(run.status)}</span>',
        f"<span>{duration(seconds)}</span>",
        f'<span style="{_FAINT}">{_shown(run.experiment_title or run.experiment)}</span>',
    ]
    if run.title:
        words.insert(1, f"<span>{_shown(run.title)}</span>")
    return f'<div style="{_WORDS}">{"".join(words)}</div>'


def _values(name: str, values: Mapping[str, Any]) -> str:
    lines = [
        f'<tr><td style="{_LINE};text-align:left">{_shown(key, _WIDEST_KEY)}</td>'
        f'<td style="{_LINE};text-align:{"right" if is_number(values[key]) else "left"}">'
        f"{_value(values[key])}</td></tr>"
        for key in sorted(values)[:_MOST_LINES]
    ]
    more = len(values) - _MOST_LINES
    if more > 0:
        lines.append(f'<tr><td style="{_LINE};{_FAINT}" colspan="2">and {more:,} more</td></tr>')
    return (
        f'<table style="border-collapse:collapse"><caption style="{_FAINT};text-align:left;'
        f'caption-side:top">{name}</caption>{"".join(lines)}</table>'
    )


def _value(value: Any) -> str:
    return short(value) if is_number(value) else _shown(plain(value), _WIDEST_VALUE)


def _shown(text: str, width: int = _WIDEST_VALUE) -> str:
    """A text of somebody's as text of a page: on one line, cut, escaped."""
    return escape(cut(one_line(text[: 4 * width]), width))


# -- curves -------------------------------------------------------------------------------------


def _curves(rows: Iterable[Row]) -> str:
    """The first curves by name, of the metrics that have more than one point."""
    table = Table.of(rows)
    counts = table.counts()
    names = sorted(table.metrics())[::-1]
    drawn: list[str] = []
    while names and len(drawn) < _MOST_CURVES:
        name = names.pop()
        if counts[name] > 1:
            drawn.append(_curve(name, list(table.points(name))))
    if names:
        drawn.append(f'<div style="{_FAINT}">and {len(names):,} more metrics</div>')
    return "".join(drawn)


def _curve(name: str, series: Sequence[tuple[int | None, float, Number]]) -> str:
    stepped = all(step is not None for step, _, _ in series)
    points = [
        (_float(step if stepped and step is not None else at), _float(value))
        for step, at, value in series
    ]
    points.sort(key=lambda point: point[0])
    good = [value for _, value in points if math.isfinite(value)]
    bad = len(points) - len(good)
    label = f"{_shown(name, _WIDEST_KEY)} <b>{short(series[-1][2])}</b>"
    if bad:
        label += f' <span style="{_FAINT}">({bad:,} not finite)</span>'
    return f'<div style="width:{_WIDTH}px">{label}{_picture(thinned(points), good)}</div>'


def _float(value: Number) -> float:
    return float(value) if finite(value) else math.nan


def thinned(points: _Points, most: int = _MOST_POINTS) -> list[tuple[float, float]]:
    """At most `most` points: of each part of the curve the lowest and the highest, in their order.

    A part without a finite value is one gap; the first and the last point of the curve stay.
    """
    if len(points) <= most:
        return list(points)
    count = most // 2 - 1
    kept = [points[0]]
    inner = points[1:-1]
    for number in range(count):
        part = inner[number * len(inner) // count : (number + 1) * len(inner) // count]
        kept += _extremes(part)
    return [*kept, points[-1]]


def _extremes(part: _Points) -> list[tuple[float, float]]:
    good = [(value, place) for place, (_, value) in enumerate(part) if math.isfinite(value)]
    if not good:
        return [(part[0][0], math.nan)]
    return [part[place] for place in sorted({min(good)[1], max(good)[1]})]


def _picture(points: _Points, good: Sequence[float]) -> str:
    """The curve without axes: the highest and the lowest value stand beside it."""
    if not good:
        return ""
    low, high = min(good), max(good)
    left, right = points[0][0], points[-1][0]
    path = []
    pen = "M"
    for x, y in points:
        if not math.isfinite(y):
            pen = "M"
            continue
        across = _EDGE + _share(x, left, right) * (_WIDTH - 2 * _EDGE)
        down = _HEIGHT - _EDGE - _share(y, low, high) * (_HEIGHT - 2 * _EDGE)
        # A line of no length, so that a point alone is seen.
        path.append(f"{pen}{across:.1f} {down:.1f}" + ("h0" if pen == "M" else ""))
        pen = "L"
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'style="display:block;border:1px solid rgba(128,128,128,.3);border-radius:3px">'
        f'<path d="{"".join(path)}" fill="none" stroke="#3f8fd2" stroke-width="1.5" '
        'stroke-linecap="round" stroke-linejoin="round"/></svg>'
        f'<div style="{_FAINT};font-size:11px">{short(low)} to {short(high)}</div>'
    )


def _share(value: float, low: float, high: float) -> float:
    """How far a value is on the way from `low` to `high`, the middle where there is no way."""
    if low == high:
        return 0.5
    # Quarters, because the difference of two floats can be beyond all of them.
    return (value / 4 - low / 4) / (high / 4 - low / 4)


# -- tables -------------------------------------------------------------------------------------


def table(found: Sequence[Summary], columns: Sequence[Column] | None = None) -> str:
    """Runs as a table, one a line: the first 50, in `columns` or in those that tell them apart.

    At most 30 columns; what is left out is counted beneath.
    """
    part = found[:_MOST_LINES]
    count = f"{len(found):,} run{'s' * (len(found) != 1)}"
    if not part:
        return f'<div style="{_WHOLE}">{count}</div>'
    chosen = report.varying_columns(part) if columns is None else columns
    kept = chosen[:_MOST_COLUMNS]
    head, *rows = report.cells_of(part, kept)
    lines = [_table_line(head, "th"), *(_table_line(row, "td") for row in rows)]
    notes = [count if len(part) == len(found) else f"{len(part)} of {count}"]
    if more := len(chosen) - len(kept):
        notes.append(f"{more:,} more column{'s' * (more != 1)}")
    return (
        f'<div style="{_WHOLE};overflow-x:auto;max-width:100%">'
        f'<table style="border-collapse:collapse">{"".join(lines)}</table>'
        f'<div style="{_FAINT}">{" · ".join(notes)}</div></div>'
    )


def _table_line(cells: Sequence[tuple[str, bool]], tag: str) -> str:
    drawn = (
        f'<{tag} style="{_LINE};text-align:{"right" if right else "left"}">{_shown(text)}</{tag}>'
        for text, right in cells
    )
    return f"<tr>{''.join(drawn)}</tr>"
