"""Curves as a picture in a file's bytes, the same each time: the door to matplotlib.

Imports it only when a picture is drawn. What the user's matplotlibrc says does not count: a picture
looks the same for a colleague. Knows nothing of runs and files.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from gittrack.cells import cut
from gittrack.errors import LibraryMissing
from gittrack.figures import short
from gittrack.panels import Panel, log_marks
from gittrack.quoting import one_line

__all__ = ["SUFFIXES", "draw"]

SUFFIXES = ("svg", "png", "pdf")
"""The kinds of picture, as a file's name ends."""

_WIDTH, _HEIGHT, _LINE, _DPI = 7.5, 3.4, 0.18, 150
_SHOWN = 20
_LONGEST = 80
_STYLES = ("-", "--", ":", "-.")
_METADATA: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None, "Creator": "gittrack"},
    "pdf": {"CreationDate": None, "Creator": "gittrack", "Producer": None},
    "png": {"Software": None},
}
_SETTINGS = {
    "backend": "agg",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    # Names are names: `$` and `_` begin no formula.
    "text.parse_math": False,
    "text.usetex": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "gittrack",
    "pdf.fonttype": 42,
}
_FALLBACKS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Hiragino Sans",
    "Arial Unicode MS",
    "Symbola",
)


def draw(panels: Sequence[Panel], suffix: str) -> bytes:
    """The panels below one another, with one legend, as a file whose name ends in `suffix`.

    Equal panels give equal bytes where the same matplotlib and fonts are installed. Of more than 20
    runs the first 20 are in the legend.

    Raises:
        LibraryMissing: matplotlib is not installed.
        KeyError: `suffix` is none of `SUFFIXES`.
    """
    metadata = _METADATA[suffix]
    try:
        library: Any = import_module("matplotlib")
        figures: Any = import_module("matplotlib.figure")
    except ImportError as error:
        raise LibraryMissing(
            "matplotlib is not installed", library="matplotlib", hint="pip install 'gittrack[plot]'"
        ) from error
    with library.rc_context(), warnings.catch_warnings():
        # A letter without a glyph is a box in the picture, and no reason to talk.
        warnings.simplefilter("ignore")
        library.rcdefaults()
        library.rcParams.update({**_SETTINGS, "font.family": _families()})
        looks = _looks(panels)
        height = _HEIGHT * len(panels) + _LINE * min(len(looks), _SHOWN + 1)
        figure = figures.Figure((_WIDTH, height), dpi=_DPI, layout="constrained")
        shared = len({panel.x for panel in panels}) == 1
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=shared)
        for number, panel in enumerate(panels, 1):
            _draw_panel(axes[number - 1][0], panel, looks)
            if number == len(panels) or not shared:
                axes[number - 1][0].set_xlabel(panel.x)
        _draw_legend(figure, looks)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, metadata=metadata)
    return buffer.getvalue()


def _families() -> list[str]:
    """The fonts that letters are looked for in, the first that has one."""
    manager: Any = import_module("matplotlib.font_manager")
    known = {font.name for font in manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _FALLBACKS if name in known)]


def _looks(panels: Sequence[Panel]) -> dict[str, tuple[str, str]]:
    """The colour and style of each label: a run has one in all panels."""
    labels = dict.fromkeys(line.label for panel in panels for line in panel.lines)
    return {
        label: (f"C{number % 10}", _STYLES[number // 10 % len(_STYLES)])
        for number, label in enumerate(labels)
    }


def _draw_panel(axes: Any, panel: Panel, looks: Mapping[str, tuple[str, str]]) -> None:
    ticker: Any = import_module("matplotlib.ticker")
    for line in panel.lines:
        color, style = looks[line.label]
        for points, strength in ((line.raw, 0.25), (line.points, 1.0)):
            xs, ys = [x for x, _ in points], [float(y) for _, y in points]
            marker = "o" if len(points) == 1 else None
            axes.plot(
                xs, ys, color=color, linestyle=style, alpha=strength, linewidth=1.3, marker=marker
            )
    axes.set_ylabel(_short(panel.title))
    if panel.x == "step":
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    if panel.log:
        drawn = [float(y) for line in panel.lines for _, y in (*line.points, *line.raw)]
        axes.set_yscale("log")
        # matplotlib itself would write powers as formulas, which nothing may be here.
        axes.yaxis.set_major_locator(ticker.FixedLocator(log_marks(drawn)))
        axes.yaxis.set_major_formatter(lambda value, _: short(value))
        axes.yaxis.set_minor_locator(ticker.NullLocator())


def _draw_legend(figure: Any, looks: Mapping[str, tuple[str, str]]) -> None:
    lines: Any = import_module("matplotlib.lines")
    shown = list(looks.items())[:_SHOWN]
    handles = [lines.Line2D([], [], color=color, linestyle=style) for _, (color, style) in shown]
    texts = [_short(label) for label, _ in shown]
    if len(looks) > _SHOWN:
        handles.append(lines.Line2D([], [], linestyle="none"))
        texts.append(f"and {len(looks) - _SHOWN} more")
    # A label that begins with `_` would be left out, so the texts come afterwards.
    legend = figure.legend(handles, ["x"] * len(handles), loc="outside lower center", ncols=1)
    for place, text in zip(legend.get_texts(), texts, strict=True):
        place.set_text(text)


def _short(text: str) -> str:
    return cut(one_line(text), _LONGEST)
