"""How a version of a model stands, in the words of a line: what it holds, since when, by whom, why.

Knows how far away a date may be. Knows nothing of tables.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gittrack.quoting import one_line

if TYPE_CHECKING:
    from gittrack.registry import Change, Version

__all__ = ["ago", "signed", "standing", "who"]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def standing(version: Version) -> str:
    """What stands behind a version's name: ` production  since Tuesday, 'passed the audit'`."""
    held = [name for name in (version.stage, *version.aliases) if name]
    text = f" {', '.join(map(one_line, held))}" if held else ""
    if not version.is_live:
        text += " taken back"
    since = version.since
    if since is None:
        return text
    when = _local(since)
    parts = [] if when is None else [f"since {_day(when)}"]
    if since.reason:
        parts.append(f"'{one_line(since.reason)}'")
    return f"{text}  {', '.join(parts)}" if parts else text


def who(change: Change) -> str:
    """When, by whom and why: `3d ago by Ada Lovelace: passed the audit`."""
    why = f": {one_line(' '.join(change.reason.split()))}" if change.reason else ""
    return f"{ago(change)} by {_name(change)}{why}"


def _name(change: Change) -> str:
    return one_line(change.by) or "somebody"


def ago(change: Change) -> str:
    """How long ago a change was made."""
    from gittrack.catalog import moment
    from gittrack.cells import age

    when = moment(change)
    if when is None:
        return "nobody knows when"
    text = age(when, datetime.now(timezone.utc))
    return "just now" if text == "just" else f"{text} ago"


def signed(change: Change) -> str:
    """When and by whom a tag was made, in full: the local time, the address."""
    when = _local(change)
    date = "" if when is None else f"{when:%Y-%m-%d %H:%M:%S %z} "
    address = f" <{one_line(change.email)}>" if change.email else ""
    return f"{date}({ago(change)}) by {_name(change)}{address}"


def _local(change: Change) -> datetime | None:
    from gittrack.catalog import moment

    when = moment(change)
    try:
        return None if when is None else when.astimezone()
    except (OverflowError, OSError, ValueError):
        # The last hours of the year 9999 are in no calendar further east.
        return when


def _day(when: datetime) -> str:
    """A day as people call it: the hour of today, a weekday of the last six, else the date."""
    days = (datetime.now(timezone.utc).astimezone().date() - when.date()).days
    if days == 0:
        return f"{when:%H:%M}"
    return _DAYS[when.weekday()] if 0 < days < 7 else f"{when:%Y-%m-%d}"
