"""Versions in their order, the next one, and ranges of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from semantic_version import Version

from gittrack import semver
from gittrack.errors import BadName, UsageError

_number = st.one_of(st.integers(0, 3), st.integers(0, 10**12)).map(str)
_word = st.from_regex(r"[0-9]*[a-zA-Z-][0-9a-zA-Z-]{0,3}", fullmatch=True)
_before = st.lists(st.one_of(_number, _word), max_size=3).map(".".join)
_built = st.lists(st.from_regex(r"[0-9a-zA-Z-]{1,3}", fullmatch=True), max_size=2).map(".".join)
_versions = st.builds(
    lambda numbers, before, built: (
        ".".join(numbers) + (f"-{before}" if before else "") + (f"+{built}" if built else "")
    ),
    st.tuples(_number, _number, _number),
    _before,
    _built,
)

LADDER = [
    "0.0.1", "0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
    "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "2.0.0",
]  # fmt: skip


def test_the_order_is_that_of_the_standard() -> None:
    """The example of semver.org, section 11: `latest` is the last of it."""
    assert sorted(random.Random(1).sample(LADDER, len(LADDER)), key=semver.key) == LADDER


@settings(deadline=None, max_examples=500)
@given(_versions, _versions)
def test_the_order_is_that_of_the_library(one: str, other: str) -> None:
    """Ranges are the library's, so that its order and ours must be the same."""
    mine, theirs = semver.key(one), semver.key(other)
    a, b = Version(one), Version(other)
    if a.precedence_key[:-1] != b.precedence_key[:-1] and a != b:
        assume((a < b) != (b < a))
        assert (mine < theirs) == (a < b)
    else:
        assert mine[:-1] == theirs[:-1]


@settings(deadline=None, max_examples=300)
@given(_versions)
def test_what_is_a_version_is_one_to_the_library(text: str) -> None:
    """A version that cannot be asked for its range cannot be promoted under a rule."""
    assert semver.is_version(text)
    if len(text) <= 100:
        assert semver.parse("v" + text) == text
    assert semver.is_within(text, "*") in (True, False)


@pytest.mark.parametrize(
    "text",
    ["", "v", "1", "1.2", "1.2.3.4", "01.2.3", "1.02.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.3 ",
     "1.2.3\n", "vv1.2.3", "V1.2.3", "1.2.x", "latest", "1.2.3-a..b", "１.2.3",
     "1.2.3-rc.lock", "1.2.3+b.lock", f"1.2.{'9' * 100}"],
)  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    """It would be a tag that GTO and we do not read."""
    with pytest.raises(BadName, match="is no version"):
        semver.parse(text)


@pytest.mark.parametrize("text", ["", "x", "1.2", f"1.0.{'9' * 5000}"])
def test_what_is_no_version_comes_first(text: str) -> None:
    """Another tool's tag must not be an exception, and never the latest."""
    assert semver.key(text) < semver.key("0.0.0-0")


@pytest.mark.parametrize(
    ("version", "bump", "expected"),
    [
        ("1.2.3", "patch", "1.2.4"),
        ("1.2.3", "minor", "1.3.0"),
        ("1.2.3", "major", "2.0.0"),
        ("1.2.3+built", "patch", "1.2.4"),
        ("1.2.3-rc.1", "patch", "1.2.3"),
        ("1.2.3-rc.1", "minor", "1.3.0"),
        ("1.2.0-rc.1", "minor", "1.2.0"),
        ("1.2.0-rc.1", "major", "2.0.0"),
        ("2.0.0-rc.1", "major", "2.0.0"),
    ],
)
def test_the_next_version(version: str, bump: semver.Bump, expected: str) -> None:
    """`--bump` is what most people type; after a candidate comes what it was one of."""
    assert semver.following(version, bump) == expected


@settings(deadline=None, max_examples=200)
@given(_versions, st.sampled_from(["major", "minor", "patch"]))
def test_the_next_version_is_higher(version: str, bump: semver.Bump) -> None:
    """Else it would be taken already, or not be the latest."""
    following = semver.following(version, bump)
    assert Version(following) > Version(version)
    assert semver.parse(following) == following or len(following) > 100


@pytest.mark.parametrize(
    ("version", "text", "expected"),
    [
        ("1.9.9", "<=1", True),
        ("2.0.0", "<=1", False),
        ("2.0.0-rc.1", "<=1", False),
        ("1.9.9", "<2.0", True),
        ("2.0.0", "<2.0", False),
        ("2.0.0-rc.1", "<2.0", False),
        ("1.2.0", ">= 1.2, < 2", True),
        ("1.3.0", "^1.2", True),
        ("2.0.0", "^1.2", False),
        ("1.2.9", "~1.2", True),
        ("1.3.0", "~1.2", False),
        ("1.2.0", "==1.2.0", True),
        ("1.2.0", "1.2", True),
        ("1.2.0", "*", True),
    ],
)
def test_a_range_says_which_versions(version: str, text: str, expected: bool) -> None:
    """`<=1` lets all of 1.x into production, and nothing of 2, candidates neither."""
    semver.check_range(text)
    assert semver.is_within(version, text) is expected


@pytest.mark.parametrize("text", ["", ">>1", "one", "1.x.y.z", "<", "1 ||", "<2.0; rm", ">v1.2"])
def test_what_is_no_range_is_refused(text: str) -> None:
    """A rule that nobody understands must not let everything through."""
    with pytest.raises(UsageError, match="is no range of versions"):
        semver.check_range(text)
