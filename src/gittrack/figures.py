"""Numbers and moments as text, the same wherever they are written: short for people, times exact.

Pure, and apart from `message` because a listing has to load in no time.
"""

from __future__ import annotations

from datetime import datetime, timezone

from gittrack.summaries import Number

__all__ = ["short", "time_text"]


def short(value: Number) -> str:
    """A number for people: four significant digits, integers in full up to a million."""
    if isinstance(value, int) and abs(value) < 10**6:
        return str(value)
    try:
        return f"{value:.4g}"
    except OverflowError:
        # An integer beyond the largest float, which 64 bits cannot show.
        return f"{'-' if value < 0 else ''}1e+{len(str(abs(value))) - 1}"


def time_text(moment: datetime) -> str:
    """A moment in UTC to the microsecond, as `2026-01-31T12:00:00.000000Z` (RFC 3339)."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
