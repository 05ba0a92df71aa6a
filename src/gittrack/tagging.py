"""The names of tags that version models, in GTO's grammar, and the versions that they add up to.

Knows neither the repository nor what a run is. Tags of any other form are nobody's versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Event", "Tagged", "Version", "parse", "versions"]

_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9/_-]*[a-zA-Z0-9])?"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PART = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = r"[0-9a-zA-Z-]+"
_SEMANTIC = (
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PART}(?:\.{_PART})*)?(?:\+{_BUILD}(?:\.{_BUILD})*)?"
)
_EVENT = re.compile(
    rf"(?P<model>(?:[a-zA-Z0-9_./-]+=)?{_NAME})@v(?P<version>{_SEMANTIC})(?P<ends>!?)"
    r"(?:#[1-9][0-9]{0,8})?"
)


class Event(NamedTuple):
    """What the name of a tag says: a version begins, or is taken back."""

    model: str
    version: str
    ends: bool


class Tagged(NamedTuple):
    """An annotated tag: its name, the commit that it is on, seconds since the epoch or None."""

    tag: str
    commit: str
    moment: int | None


class Version(NamedTuple):
    """A version of a model, as it was registered; `is_live` until it is taken back."""

    model: str
    version: str
    tag: str
    commit: str
    moment: int | None
    is_live: bool


def parse(tag: str) -> Event | None:
    """What a tag's name says, None if it is not of our form.

    `churn@v1.2.0` registers, `churn@v1.2.0!` takes back; a counter (`#3`) may follow, as GTO
    writes it. The `=` that stands for the colon of a name is a colon again.
    """
    found = _EVENT.fullmatch(tag)
    if found is None:
        return None
    return Event(found["model"].replace("=", ":"), found["version"], bool(found["ends"]))


def versions(tags: Iterable[Tagged]) -> list[Version]:
    """The versions that tags register, in their order; the order and times decide nothing else."""
    events = [(tag, event) for tag in tags if (event := parse(tag.tag)) is not None]
    ended = {(event.model, event.version) for _, event in events if event.ends}
    return [
        Version(
            event.model, event.version, tag.tag, tag.commit, tag.moment,
            (event.model, event.version) not in ended,
        )
        for tag, event in events
        if not event.ends
    ]  # fmt: skip
