"""Points in time as users write them: Git's words, ISO 8601, and nothing that is neither."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from gittrack import dates, whereabouts
from gittrack.whereabouts import Place

_DAY = 86_400 * 10**6


@pytest.fixture
def place(repo_dir: Path) -> Place:
    return whereabouts.find(repo_dir)


def _utc(*parts: int) -> int:
    return round(datetime(*parts, tzinfo=timezone.utc).timestamp() * 10**6)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", _utc(2026, 1, 31, 12)),
        ("2026-01-31T12:00:00.25Z", _utc(2026, 1, 31, 12) + 250_000),
        ("2026-01-31T12:00:00.1234567+02:00", _utc(2026, 1, 31, 10) + 123_456),
        # The tests live in a zone of UTC+5:45.
        ("2026-01-31 12:00", _utc(2026, 1, 31, 6, 15)),
        ("  2026-01-31  ", _utc(2026, 1, 30, 18, 15)),
        ("1767225600", _utc(2026, 1, 1)),
    ],
)
def test_what_is_exact_is_read_exactly(place: Place, text: str, moment: int) -> None:
    """Git would add the time of day to a date, so that it means another moment each time."""
    assert dates.microseconds(place, text) == moment


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("2 weeks ago", 14 * _DAY),
        ("yesterday", _DAY),
        ("3 days 2 hours ago", 3 * _DAY + 7_200 * 10**6),
        ("Two.Weeks.Ago", 14 * _DAY),
        ("now", 0),
        ("a week ago", 7 * _DAY),
        ("5.minutes.ago", 300 * 10**6),
    ],
)
def test_gits_words_mean_what_they_mean_to_git(place: Place, text: str, back: int) -> None:
    """`git log --since` has taught them to everybody."""
    found = dates.microseconds(place, text)
    assert found is not None
    assert abs(time.time_ns() // 1000 - back - found) < 60 * 10**6


@pytest.mark.parametrize(
    "text",
    ["2025/12/31", "2025.12.31", "31.12.2025", "31-12-2025", "12/31/2025", "31 dec 2025",
       "December 31st, 2025"],
)  # fmt: skip
def test_a_date_without_a_time_is_its_first_moment(place: Place, text: str) -> None:
    """To Git it is that day at the time that it is now, so that an answer depends on when it is."""
    assert dates.microseconds(place, text) == dates.microseconds(place, "2025-12-31")


@pytest.mark.parametrize("text", ["last friday", "noon yesterday", "10 jan 2026", "12/31/2025"])
def test_more_of_gits_words_are_moments(place: Place, text: str) -> None:
    """Whatever Git reads without guessing may be written."""
    found = dates.microseconds(place, text)
    assert found is not None and found < time.time_ns() // 1000


def test_today_begins_at_midnight(place: Place) -> None:
    """In the zone of whoever asks."""
    found = dates.microseconds(place, "today")
    assert found is not None
    here = datetime.fromtimestamp(found / 10**6)
    assert (here.hour, here.minute, here.date()) == (0, 0, datetime.now().date())


@pytest.mark.parametrize(
    "text",
    [
        *("banana", "2 wekes ago", "hello 5", "5", "never", "all", "false", "zwei wochen"),
        *("1.5 hours ago", "1,000 days ago", "25:00", "13:77", "-1 day", "one", "last", "+1"),
        *("32 january", "99999-01-01", "2026-11", "november", "1 1 1", "26-11-21", "11/21"),
        *("2026-13-45", "2026-02-30", "2026-01-31T25:00", "2026-01-31x", "9" * 40),
        *("", " ", "1 week ago; rm", "--get", "'", "\u0665"),
    ],
)
def test_what_git_would_guess_is_no_moment(place: Place, text: str) -> None:
    """Git takes `2 wekes ago` for a date, and the answer would look right."""
    assert dates.microseconds(place, text) is None
