"""The values that pass the door to Git: who writes, what a ref says, what objects hold.

Frozen, and the same whichever back end made them. Knows nothing of how Git is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ZERO", "Commit", "Entry", "Identity", "Ref", "Tag", "is_id"]

ZERO = "0" * 40
_DIGITS = frozenset("0123456789abcdef")


def is_id(text: str) -> bool:
    """Whether a text is an object id in full: 40 hexadecimal digits, or 64 of SHA-256."""
    return len(text) in (40, 64) and _DIGITS.issuperset(text)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes a commit."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A full ref name and the 40-digit id of what it points to."""

    name: str
    target: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as it stands in the object store; bytes that are not UTF-8 are replaced."""

    id: str
    tree: str
    parents: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Tag:
    """An annotated tag as it stands in the object store: what it is on, and since when.

    `kind` is `commit`, `tree`, `blob` or `tag`; `moment` seconds since the epoch, None if it does
    not say, or not in a year of four digits.
    """

    id: str
    target: str
    kind: str
    moment: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree: `kind` is `blob`, `tree` or `commit`; `mode` Git's octal number."""

    name: bytes
    id: str
    kind: str
    mode: int
