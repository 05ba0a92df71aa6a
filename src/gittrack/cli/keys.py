"""Keys as they stand in an option's value: several with commas between them, quoted, in functions.

Knows their spelling. Which of them there are is for the vocabulary to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from gittrack.errors import UnknownKey

if TYPE_CHECKING:
    from gittrack.vocabulary import Vocabulary

__all__ = [
    "Told",
    "is_expression",
    "is_key",
    "plain_key",
    "resolved",
    "several",
    "told",
    "unquoted",
]

_QUOTES = "\"`'"
_OPENS = r"\s*[-+]?\s*(?:\w+\.)?"
_CALL = r"(?s)\s*(\w+)\s*\((.*)\)\s*"


class Told(NamedTuple):
    """A function's name and what stands in its brackets."""

    function: str
    argument: str


def several(texts: Iterable[str], known: Vocabulary) -> list[str]:
    """The keys in the values of an option: between commas that stand in no quotes and no brackets.

    What is the name of a key as it stands is one key, whatever is in it.
    """
    found = []
    for text in texts:
        parts = [text] if _is_known(text.strip().lstrip("+-"), known) else _split(text)
        found += [part.strip() for part in parts if part.strip()]
    return found


def _is_known(name: str, known: Vocabulary) -> bool:
    return "," in name and is_key(name, known)


def _split(text: str) -> list[str]:
    parts, part, depth, quote = [], "", 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES and (depth or re.fullmatch(_OPENS, part)):
            # A quote in the middle of a name is a letter of it.
            quote = char
        elif char == "," and depth <= 0:
            parts.append(part)
            part = ""
            continue
        else:
            depth += (char == "(") - (char == ")")
        part += char
    return [*parts, part]


def unquoted(name: str) -> str:
    """A name without the quotes around it, or around what stands behind its group's."""
    group, dot, rest = name.partition(".")
    for before, inner in (("", name), (group + dot, rest)):
        if len(inner) > 1 and inner[0] in _QUOTES and inner[0] == inner[-1]:
            return before + inner[1:-1]
    return name


def resolved(name: str, known: Vocabulary) -> str:
    """The full key that a name stands for, or the expression as it is.

    Raises:
        UnknownKey: it is no expression, and as `Vocabulary.resolve`.
    """
    return name if is_expression(name, known) else known.resolve(unquoted(name))


def plain_key(name: str, known: Vocabulary) -> str:
    """A name without quotes, which may be a pattern; an expression as it is."""
    return name if is_expression(name, known) else unquoted(name)


def is_expression(name: str, known: Vocabulary) -> bool:
    """Whether this is to be computed, such as `max(acc)`: it calls a function, and is no key."""
    return _call(name) is not None and not is_key(name, known)


def _call(text: str) -> re.Match[str] | None:
    return re.fullmatch(_CALL, text) if text.endswith((")", " ")) else None


def is_key(name: str, known: Vocabulary) -> bool:
    """Whether runs know something by this name."""
    try:
        known.resolve(name)
    except UnknownKey:
        return False
    return True


def told(text: str) -> Told | None:
    """A text as the call of a function with one argument; None if it is none."""
    found = _call(text)
    return None if found is None else Told(found[1].lower(), found[2].strip())
