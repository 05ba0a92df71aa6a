"""What `stat` says: each change of a place is seen, also those that a clock does not tell apart."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack import stamps
from gittrack.errors import GitFailed

LONG_AGO = 1_700_000_000 * 10**9 + 5


def age(path: Path) -> None:
    """Let it have changed long ago."""
    os.utime(path, ns=(LONG_AGO, LONG_AGO))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file more": lambda place: (place / "b").touch(),
    "a file less": lambda place: (place / "a").unlink(),
    "another directory": lambda place: (
        place.rename(f"{place}-old").parent.joinpath("place").mkdir()
    ),
    "gone": lambda place: place.rename(f"{place}-old"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(tmp_path: Path, change: str) -> None:
    """This is all that a fresh index goes by."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "a").touch()
    age(place)
    seen = {"place": stamps.stamp(str(place), time.time_ns())}
    assert seen["place"] and stamps.are_unchanged(str(tmp_path), seen)
    CHANGES[change](place)
    assert not stamps.are_unchanged(str(tmp_path), seen)


def test_what_changed_a_moment_ago_is_equal_to_nothing(tmp_path: Path) -> None:
    """Another change within the same tick of the clock would leave no trace."""
    now = time.time_ns()
    os.utime(tmp_path, ns=(now, now))
    assert stamps.stamp(str(tmp_path), now + 10_000_000) == ""
    assert stamps.stamp(str(tmp_path), now + 60_000_000) != ""
    assert not stamps.are_unchanged(str(tmp_path), {".": ""})


def test_file_systems_that_count_whole_seconds(tmp_path: Path) -> None:
    """There the same time is borne for two seconds."""
    whole = time.time_ns() // 10**9 * 10**9
    os.utime(tmp_path, ns=(whole, whole))
    assert stamps.stamp(str(tmp_path), whole + 1_900_000_000) == ""
    assert stamps.stamp(str(tmp_path), whole + 2_100_000_000) != ""


def test_a_clock_that_was_put_back(tmp_path: Path) -> None:
    """What will change in the future is looked at each time."""
    later = time.time_ns() + 3600 * 10**9
    os.utime(tmp_path, ns=(later, later))
    assert stamps.stamp(str(tmp_path), time.time_ns()) == ""


def test_a_time_that_was_set_back(tmp_path: Path) -> None:
    """Whoever restores a backup restores the times as well."""
    file = tmp_path / "file"
    file.write_text("a")
    age(file)
    before = stamps.stamp(str(file))
    file.write_text("b")
    age(file)
    assert stamps.stamp(str(file)) != before


def test_what_is_not_there_has_a_stamp(tmp_path: Path) -> None:
    """That it comes is a change."""
    for name in ("none", "no\0name", "x" * 5000):
        assert stamps.stamp(str(tmp_path / name)) == stamps.ABSENT
    seen = {"none": stamps.ABSENT}
    assert stamps.are_unchanged(str(tmp_path), seen)
    (tmp_path / "none").touch()
    assert not stamps.are_unchanged(str(tmp_path), seen)


def test_what_lies_in_a_directory(tmp_path: Path) -> None:
    """Neither locks nor what is hidden; a stamp says whether a file may be as it was."""
    for name in ("old", "new", "one.lock", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    age(tmp_path / "old")
    found = stamps.listed(str(tmp_path), time.time_ns())
    assert found.directories == ["inner"]
    assert found.files.keys() == {"old", "new", "dangling"}
    assert found.files["old"] != stamps.YOUNG == found.files["new"] == found.files["dangling"]
    assert stamps.listed(str(tmp_path), time.time_ns()).files["old"] == found.files["old"]
    assert stamps.listed(str(tmp_path / "none"), 0) == stamps.listed(str(tmp_path / "old"), 0)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """An empty answer would drop every run."""
    with pytest.raises(GitFailed, match="cannot be read"):
        stamps.listed(str(tmp_path / ("x" * 5000)), 0)


def test_directories_within(tmp_path: Path) -> None:
    """Runs of ours lie two deep; what others put deeper is a problem to be told."""
    (tmp_path / "refs/runs/one/deep").mkdir(parents=True)
    (tmp_path / "refs/runs/two").mkdir()
    assert stamps.directories(str(tmp_path), "refs/runs") == [
        "refs/runs", "refs/runs/one", "refs/runs/two", "refs/runs/one/deep",
    ]  # fmt: skip
