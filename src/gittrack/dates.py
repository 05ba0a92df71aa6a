"""A point in time as a user writes it: ISO 8601, or Git's own words (`2 weeks ago`, `last friday`).

Knows that Git takes any text for a date, guessing, and so which words may reach it. A date
without a time is local midnight, unlike Git's. Knows nothing of queries.
"""

from __future__ import annotations

import re
from datetime import datetime

from gittrack.errors import GitFailed
from gittrack.whereabouts import Place

__all__ = ["microseconds"]

_ISO = re.compile(r"\d{4}-\d\d?-\d\d?(?:$|[T ])")
_FRACTION = re.compile(r"\.(\d+)")
_WORD = re.compile(r"[^\W\d_]+")
_GIT = re.compile(r"[\w:.,/+ -]+")
_WORDS = """
    second seconds minute minutes hour hours day days week weeks month months year years
    one two three four five six seven eight nine ten last a an ago and at
    now today yesterday noon midnight tea am pm st nd rd th utc gmt
"""
_KNOWN = frozenset(re.findall("[a-z]+", _WORDS))
_NAMES = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_LARGEST = 253_402_300_799
_SMALLEST_SECONDS = 100_000_000


def microseconds(place: Place, text: str) -> int | None:
    """The moment that a text names, in microseconds since the epoch; None if it is none.

    Without a zone it is local time. `2026-01-31` is its first moment, a number of nine digits and
    more are seconds since the epoch, as Git reads them.
    """
    words = " ".join(text.split())
    if _ISO.match(words):
        return _iso(words)
    if not _GIT.fullmatch(words) or not all(map(_is_known, _WORD.findall(words.lower()))):
        return None
    if words.lower() in ("now", "today"):
        return _now(midnight=words.lower() == "today")
    if words.isascii() and words.isdigit():
        return int(words) * 10**6 if _SMALLEST_SECONDS <= int(words[:13]) <= _LARGEST else None
    return _asked(place, words)


def _iso(words: str) -> int | None:
    # Before Python 3.11 neither Z nor any number of digits but 3 or 6 is understood.
    plain = words.removesuffix("Z") + "+00:00" * words.endswith("Z")
    plain = _FRACTION.sub(lambda found: f".{found[1][:6]:0<6}", plain, count=1)
    try:
        return round(datetime.fromisoformat(plain).astimezone().timestamp() * 10**6)
    except (ValueError, OverflowError, OSError):
        return None


def _is_known(word: str) -> bool:
    return word in _KNOWN or (len(word) >= 3 and any(name.startswith(word) for name in _NAMES))


def _now(*, midnight: bool) -> int:
    now = datetime.now().astimezone()
    if midnight:
        now = datetime(now.year, now.month, now.day).astimezone()
    return round(now.timestamp() * 10**6)


def _asked(place: Place, words: str) -> int | None:
    try:
        seconds = place.moment(words)
    except GitFailed:
        return None
    return seconds * 10**6 if seconds is not None and 0 < seconds <= _LARGEST else None
