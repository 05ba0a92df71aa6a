"""Semantic versions: in which order they come, which is next, and which lie in a range.

The order is Semantic Versioning 2.0.0, section 11; ranges are those of the library
semantic-version, which is loaded when there is one. Versions are texts without a `v`; pure.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

from gittrack.errors import BadName, UsageError

__all__ = [
    "FIRST",
    "Bump",
    "check_range",
    "following",
    "is_version",
    "is_within",
    "key",
    "parse",
]

Bump: TypeAlias = Literal["major", "minor", "patch"]

FIRST = "1.0.0"
"""What a model's first version is called unless somebody says otherwise."""

_LONGEST = 100
_LONGEST_READ = 1000  # of longer numbers Python makes no integers
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PART = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PART}(?:\.{_PART})*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)


def is_version(text: str) -> bool:
    """Whether a text (without `v`) is a semantic version."""
    return len(text) <= _LONGEST_READ and _VERSION.fullmatch(text) is not None


def parse(text: str) -> str:
    """The version that a user means: `1.2.0`, or `v1.2.0`.

    Raises:
        BadName: it is no semantic version.
    """
    found = text.removeprefix("v")
    # Git has no tag of which a part ends so.
    is_lock = found.endswith(".lock")
    if len(found) > _LONGEST or is_lock or _VERSION.fullmatch(found) is None:
        raise BadName(
            f"'{text}' is no version",
            hint="three numbers, such as 1.2.0 or 1.2.0-rc.1 (semver.org).",
        )
    return found


def key(version: str) -> tuple[Any, ...]:
    """By this, versions sort in the order of precedence; of equal ones, by what was built.

    A text that is no version comes before all that are.
    """
    found = _VERSION.fullmatch(version) if len(version) <= _LONGEST_READ else None
    if found is None:
        return (0, version)
    numbers = tuple(int(found[place]) for place in (1, 2, 3))
    # Without a pre-release it is later; numbers come before words, fewer parts before more.
    before = tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in (found[4] or "").split(".")
        if part
    )
    return (1, numbers, not before, before, found[5] or "")


def following(version: str, bump: Bump) -> str:
    """The version after one; after a pre-release that is the version that it was one of."""
    found = _VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f"no version: {version!r}")
    major, minor, patch = (int(found[place]) for place in (1, 2, 3))
    if bump == "major":
        stays = found[4] and minor == patch == 0
        return f"{major if stays else major + 1}.0.0"
    if bump == "minor":
        stays = found[4] and patch == 0
        return f"{major}.{minor if stays else minor + 1}.0"
    return f"{major}.{minor}.{patch if found[4] else patch + 1}"


def check_range(text: str) -> None:
    """Make sure that `text` is a range: `<2.0`, `<=1` (all of 1.x), `>=1.2,<2`, `^1.2`.

    Raises:
        UsageError: it is none.
    """
    _range(text)


def is_within(version: str, text: str) -> bool:
    """Whether a version lies in a range.

    Raises:
        UsageError: `text` is none.
    """
    from semantic_version import Version

    return Version(version) in _range(text)


def _range(text: str) -> Any:
    from semantic_version import SimpleSpec

    try:
        return SimpleSpec("".join(text.split()))
    except ValueError as error:
        raise UsageError(
            f"'{text}' is no range of versions", hint="such as '<2.0', '<=1' or '>=1.2,<2'."
        ) from error
