"""The message of a registry's tag: a sentence, the user's own words, trailers; written and read.

Knows how nothing that a user says can be taken for a trailer, and that what it reads may be
hostile. Knows nothing of what the trailers mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gittrack.errors import UsageError
from gittrack.quoting import one_line, printable, utf8

__all__ = ["LARGEST", "Inscription", "compose", "read"]

LARGEST = 64 << 10
"""The most characters that a message may have, with its signature; a longer one is not read."""

_LONGEST = LARGEST // 2
_TRAILER = re.compile(r"^([A-Za-z0-9][A-Za-z0-9-]*):[ \t]*(.*)$", re.MULTILINE)
_LIKE = r"[A-Za-z0-9-]+[ \t]*:|---"
_NO_KEY = r"[^A-Za-z0-9-]"
# By these Git knows that a signature begins, and by the last of them where.
_SIGNATURES = (
    "\n-----BEGIN PGP SIGNATURE-----",
    "\n-----BEGIN PGP MESSAGE-----",
    "\n-----BEGIN SSH SIGNATURE-----",
    "\n-----BEGIN SIGNED MESSAGE-----",
)


class Inscription(NamedTuple):
    """What a message says: its first line, what people wrote beneath, and its last paragraph.

    `trailers` have lower-case keys; of several with one key the first counts.
    """

    subject: str
    body: str
    trailers: Mapping[str, str]


def compose(subject: str, body: str, trailers: Iterable[tuple[str, str]]) -> str:
    """The message of a tag.

    Values come back from `read` as they were: one that a line cannot show is written as JSON.
    Empty ones are left out. What is no letter, digit or `-` in a key becomes a `-`.

    Raises:
        UsageError: it is too long.
    """
    parts = [one_line(utf8(subject))]
    text = printable(utf8(body.replace("\r\n", "\n"))).strip()
    if text:
        lines = [line.rstrip() for line in text.split("\n")]
        parts.append("\n".join("  " + line if re.match(_LIKE, line) else line for line in lines))
    parts.append("\n".join(f"{_key(key)}: {_value(value)}" for key, value in trailers if value))
    message = "\n\n".join(part for part in parts if part) + "\n"
    if len(message) > _LONGEST:
        raise UsageError(
            f"what the tag is to say has {len(message):,} characters",
            hint=f"{_LONGEST:,} is the most: say it shorter.",
        )
    return message


def _key(text: str) -> str:
    found = re.sub(_NO_KEY, "-", text).lstrip("-")
    if not found:
        raise ValueError(f"no key of a trailer: {text!r}")
    return found


def _value(text: str) -> str:
    plain = text.strip() == text and one_line(text) == text
    if plain and not (text.startswith('"') and text.endswith('"')):
        return text
    from json import dumps

    return dumps(text)


def read(message: str) -> Inscription:
    """What the message of any tag says; a signature at its end is no part of it."""
    if "\r" in message:
        message = message.replace("\r\n", "\n")
    if "-----BEGIN " in message:
        text = "\n" + message
        found = max(text.rfind(mark) for mark in _SIGNATURES)
        message = text[1:found] if found >= 0 else message
    text = message.strip()
    above, gap, last = text.rpartition("\n\n")
    trailers = _trailers(last) if gap else {}
    subject, _, body = (above if trailers else text).partition("\n")
    return Inscription(subject.strip(), body.strip("\n"), trailers)


def _trailers(paragraph: str) -> dict[str, str]:
    """The trailers in a paragraph; none if any line of it is something else."""
    found = _TRAILER.findall(paragraph)
    if len(found) <= paragraph.count("\n"):
        found = _continued(paragraph)
    trailers: dict[str, str] = {}
    for key, value in found:
        name = key.lower()
        if name not in trailers:
            trailers[name] = _unquoted(value) if value.startswith('"') else value.strip()
    return trailers


def _continued(paragraph: str) -> list[tuple[str, str]]:
    """Trailers where lines that begin with a blank go on with the one above, as Git has it."""
    found: list[tuple[str, str]] = []
    for line in paragraph.split("\n"):
        here = _TRAILER.fullmatch(line)
        if here is not None:
            found.append((here[1], here[2]))
        elif found and line[:1] in (" ", "\t"):
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        else:
            return []
    return found


def _unquoted(text: str) -> str:
    from json import loads

    try:
        found = loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, str) else text
