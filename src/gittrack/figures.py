"""Numbers and moments as text, the same wherever they are written: short for people, times exact.

Moments as numbers, too. Pure, and apart from `message` because a listing has to load in no time.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gittrack.summaries import Number

__all__ = ["moment", "short", "since_epoch", "time_text"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


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
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")[:26] + "Z"


def moment(microseconds: int) -> datetime:
    """So many microseconds after the epoch, as a moment in UTC.

    Raises:
        OverflowError: it is beyond what a calendar has.
    """
    return _EPOCH + timedelta(microseconds=microseconds)


def since_epoch(moment: datetime) -> int:
    """The microseconds from the epoch to a moment, negative before it."""
    return (moment - _EPOCH) // _MICROSECOND
