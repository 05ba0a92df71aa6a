"""A point in time as a user writes it: ISO 8601, or Git's own words (`2 weeks ago`, `last friday`).

Knows that Git takes any text for a date, guessing, and so which words may reach it. A date
without a time is local midnight, unlike Git's, however it is written. Knows nothing of queries.
"""

from __future__ import annotations

import re
from datetime import datetime

from gittrack.errors import GitFailed
from gittrack.whereabouts import Place

__all__ = ["microseconds"]

_ISO = re.compile(r"\d{4}-\d\d?-\d\d?(?:$|[T ])")
_FRACTION = re.compile(r"\.(\d+)")
_UNIT = "(?:second|minute|hour|day|week|month|year)s?"
_COUNT = r"(?:\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten|an?)"
_SOME = f"{_COUNT} {_UNIT}"
_WEEKDAY = "(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    "|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DAY = "(?:0?[1-9]|[12][0-9]|3[01])"
_OF_YEAR = "(?:0?[1-9]|1[0-2])"
_YEAR = "[12][0-9]{3}"
_NTH = f"{_DAY}(?:st|nd|rd|th)?"
_DATE = (
    f"(?:{_NTH} {_MONTH}(?:,? {_YEAR})?|{_MONTH} {_NTH}(?:,? {_YEAR})?"
    f"|{_YEAR}[/.]{_OF_YEAR}[/.]{_DAY}|{_DAY}[.-]{_OF_YEAR}[.-]{_YEAR}|{_OF_YEAR}/{_DAY}/{_YEAR})"
)
_AGO = f"(?:{_SOME}(?: (?:and )?{_SOME})*(?: ago)?|last (?:{_UNIT}|{_WEEKDAY})|yesterday|today)"
_CLOCK = (
    "(?:(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?|(?:0?[1-9]|1[0-2]) ?[ap]m"
    "|noon|midnight|tea)"
)
# What else Git takes it guesses at: `1.5 hours ago` is the first of May to it, `25:00` today.
_GIT = re.compile(
    f"(?:{_CLOCK} )?(?:(?P<date>{_DATE})|{_AGO})|{_CLOCK}|(?:{_DATE}|{_AGO}) (?:at )?{_CLOCK}",
    re.ASCII,
)
_BETWEEN_WORDS = re.compile(r"(?<=[a-z])[.](?=[a-z0-9])|(?<=[0-9])[.](?=[a-z])")
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
    if words.isascii() and words.isdigit():
        return int(words) * 10**6 if _SMALLEST_SECONDS <= int(words[:13]) <= _LARGEST else None
    words = _BETWEEN_WORDS.sub(" ", words.lower())
    if words in ("now", "today"):
        return _now(midnight=words == "today")
    found = _GIT.fullmatch(words)
    if found is None:
        return None
    if found["date"] == words:
        words += " 00:00"
    return _asked(place, re.sub(r"\ban?\b", "one", words))


def _iso(words: str) -> int | None:
    # Before Python 3.11 neither Z nor any number of digits but 3 or 6 is understood.
    plain = words.removesuffix("Z") + "+00:00" * words.endswith("Z")
    plain = _FRACTION.sub(lambda found: f".{found[1][:6]:0<6}", plain, count=1)
    try:
        return round(datetime.fromisoformat(plain).astimezone().timestamp() * 10**6)
    except (ValueError, OverflowError, OSError):
        return None


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
