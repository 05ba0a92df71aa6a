"""The message of a registry's tag: a sentence, the user's own words, trailers; written and read.

Knows how nothing that a user says can be taken for a trailer, and that what it reads may be
hostile. Knows nothing of what the trailers mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gittrack.quoting import one_line, printable, utf8

__all__ = ["LARGEST", "Inscription", "compose", "read"]

LARGEST = 64 << 10
"""The most characters that a message may have; a longer one is not read."""

_TRAILER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*): ?(.*)")
_LIKE = re.compile(r"[A-Za-z0-9-]+[ \t]*:|---")
_SIGNATURES = (
    "-----BEGIN PGP SIGNATURE-----",
    "-----BEGIN PGP MESSAGE-----",
    "-----BEGIN SSH SIGNATURE-----",
    "-----BEGIN SIGNED MESSAGE-----",
)
_LONGEST_VALUE = 1000


class Inscription(NamedTuple):
    """What a message says: its first line, what people wrote beneath, and its last paragraph.

    `trailers` have lower-case keys; of several with one key the first counts.
    """

    subject: str
    body: str
    trailers: Mapping[str, str]


def compose(subject: str, body: str, trailers: Iterable[tuple[str, str]]) -> str:
    """The message of a tag; values are put on one line, empty ones left out."""
    parts = [one_line(utf8(subject))]
    text = printable(utf8(body.replace("\r\n", "\n"))).strip()
    if text:
        lines = [line.rstrip() for line in text.split("\n")]
        parts.append("\n".join("  " + line if _LIKE.match(line) else line for line in lines))
    said = [(key, _value(value)) for key, value in trailers]
    parts.append("\n".join(f"{key}: {value}" for key, value in said if value))
    return "\n\n".join(part for part in parts if part) + "\n"


def _value(text: str) -> str:
    return one_line(utf8(" ".join(text.split())))[:_LONGEST_VALUE].strip()


def read(message: str) -> Inscription:
    """What the message of any tag says; a signature at its end is no part of it."""
    lines = message.split("\n")
    start = next((n for n, line in enumerate(lines) if line in _SIGNATURES), len(lines))
    text = "\n".join(lines[:start]).strip("\n")
    subject, _, rest = text.partition("\n")
    above, gap, last = rest.rstrip().rpartition("\n\n")
    if not gap:
        above, last = "", rest.strip("\n")
    found = [_TRAILER.fullmatch(line) for line in last.split("\n")]
    if not last or not all(found):
        return Inscription(subject, rest.strip("\n"), {})
    trailers: dict[str, str] = {}
    for one in found:
        if one is not None:
            trailers.setdefault(one[1].lower(), one[2].strip())
    return Inscription(subject, above.strip("\n"), trailers)
