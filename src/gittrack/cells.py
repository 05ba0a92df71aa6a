"""Single values as text: numbers, durations, ages and sizes for people, and what JSON can hold.

Knows how wide a text is on a terminal. Whatever a record holds is escaped here before a terminal
sees it. Knows nothing of tables and files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gittrack.figures import short, time_text
from gittrack.quoting import one_line

if TYPE_CHECKING:
    from gittrack.records import Run
    from gittrack.summaries import Number

__all__ = [
    "ABSENT",
    "WIDEST",
    "age",
    "align",
    "bold",
    "cell",
    "closing",
    "cut",
    "duration",
    "finite",
    "is_number",
    "jsonable",
    "numbers",
    "plain",
    "size",
    "status_text",
    "width_of",
]

ABSENT = "·"
"""What stands in a cell where a run has nothing."""

WIDEST = 40
"""The terminal columns that a value may take in a table."""

_COLORS = {"finished": "32", "failed": "31", "killed": "31", "running": "33"}


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
    import json

    return one_line(json.dumps(jsonable(value), ensure_ascii=False))


def cell(value: Any) -> str:
    """A value for a table cell: as `plain`, with floats of four digits and long texts cut."""
    if is_number(value):
        return _number(value)
    return cut(plain(value), WIDEST)


def is_number(value: Any) -> bool:
    """Whether a value is a number to people: a truth value is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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


def closing(run: Run, how: Sequence[str] | None = None) -> str:
    """The line that a run ends with: its name, `how` it ended, up to four of its metrics."""
    seconds = ((run.ended or run.started) - run.started).total_seconds()
    leading = sorted(run.metrics.items())[:4]
    values = [f"{cut(one_line(key), WIDEST)} {short(value)}" for key, value in leading]
    return "  ".join([run.name, *(how or [run.status, duration(seconds)]), *values])


def width_of(text: str) -> int:
    """How many terminal columns a text takes; East Asian wide characters and emoji take two."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if char.isascii():
        return 1
    import unicodedata

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
    each number for itself. An integer of at most 64 bits has all its digits.
    """
    if all(isinstance(value, int) for value in values):
        return [_number(value) for value in values]
    sizes = [abs(value) for value in values if value and finite(value)]
    big, small = max(sizes, default=1), min(sizes, default=1)
    if big >= 10**9 or small < 10**-5:
        return [_number(value) for value in values]
    count = max(_decimals(float(big), 4), _decimals(float(small), 2))
    fixed = [f"{value:.{count}f}" if finite(value) else None for value in values]
    spare = min((len(text) - len(text.rstrip("0")) for text in fixed if text), default=0)
    spare = min(spare, count - 1) if count else 0
    return [
        short(value) if text is None else text[: len(text) - spare]
        for value, text in zip(values, fixed, strict=True)
    ]


def _number(value: Number) -> str:
    """A number by itself: counts, seeds and ids are none without their last digits."""
    return str(value) if isinstance(value, int) and abs(value) < 1 << 64 else short(value)


def _decimals(value: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(value)))


def jsonable(value: Any) -> Any:
    """A value or a record as JSON can hold it; `exports.as_json` says how.

    Anything else that JSON has no form for comes back as it is.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE[str(value)]
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    fields = getattr(type(value), "__dataclass_fields__", None) or getattr(value, "_fields", None)
    if fields is None and isinstance(value, (list, tuple)):
        return [jsonable(inner) for inner in value]
    if fields is not None:
        made = {name: jsonable(getattr(value, name)) for name in fields}
        if "started" in made and "ended" in made:
            over = value.ended is not None
            made["duration"] = (value.ended - value.started).total_seconds() if over else None
        return made
    return value


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
