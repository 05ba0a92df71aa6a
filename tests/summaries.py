"""Summaries of runs, good and hostile, for the tests of what is drawn and exported."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

from gittrack.summaries import Summary

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
HOSTILE = (
    "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "a\rb", "a\nb", "a\tb", "\b\b", "a\u202eb", "\u200b",
    "\ud800", "\x00", "\u2028", "\U000e0041",
)  # fmt: skip
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ud800-\udfff\U000e0041]"
)


def run(name: str = "blue-heron-aaaaaa", **more: Any) -> Summary:
    """A finished run of 4.2 seconds; `more` says what is different."""
    fields: dict[str, Any] = {
        "id": "0" * 32, "experiment": "default", "status": "finished", "started": NOON,
        "ended": NOON + timedelta(seconds=4.2), "user": "Ada", "commit": "c" * 40,
    }  # fmt: skip
    return Summary(name=name, **fields | more)
