"""Keys as they stand in an option's value: several with commas between them, quoted, in functions.

Knows their spelling. Which of them there are is for the vocabulary to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from gittrack.errors import UnknownKey
from gittrack.keys import LONGEST

if TYPE_CHECKING:
    from gittrack.syntax import Node
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
_OPENS = r"(?s)(?:.*\s[-+*/]\s)?\s*[-+]?\s*(?:\w+\.)?"
_CALL = r"(?s)\s*(\w+)\s*\((.*)\)\s*"
_OPERATOR = r"[^\s*]\s*[-+*/]\s*[^\s*]"
_SPACED = r"\s[-+*/]\s"
_WILD = frozenset("*?[")


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
    parts, part, depth, quote, closed = [], "", 0, "", ""
    for char in text:
        before, closed = closed, ""
        if quote:
            quote, closed = ("", char) if char == quote else (quote, "")
        elif char in _QUOTES and (depth or char == before or _opens(part)):
            # A quote in the middle of a name is a letter of it, and a doubled one opens again.
            quote = char
        elif char == "," and depth <= 0:
            parts.append(part)
            part = ""
            continue
        else:
            depth += (char == "(") - (char == ")")
        part += char
    return [*parts, part]


def _opens(before: str) -> bool:
    """Whether a quote behind this text opens a name or a text, and is no letter of one."""
    return re.fullmatch(_OPENS, before[-LONGEST:]) is not None


def unquoted(name: str) -> str:
    """A name without the quotes around it, or around what stands behind its group's."""
    group, dot, rest = name.partition(".")
    for before, inner in (("", name), (group + dot, rest)):
        if len(inner) > 1 and inner[0] in _QUOTES and inner[0] == inner[-1]:
            # As in a query, within quotes one is doubled; there is no backtick within backticks.
            quote = inner[0]
            bare = inner[1:-1]
            return before + (bare if quote == "`" else bare.replace(quote * 2, quote))
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
    """Whether this is to be computed, such as `max(acc)` or `acc / lr`, and is no key or pattern.

    Without spaces, as in `acc/lr`, it is so only where runs know what it computes with.
    """
    if is_key(name, known):
        return False
    return told(name) is not None or _calculates(name, known)


def _calculates(text: str, known: Vocabulary) -> bool:
    if not re.search(_OPERATOR, text) or (_WILD & set(text) and known.match(text)):
        return False
    from gittrack import language, syntax
    from gittrack.errors import QueryError

    spaced = re.search(_SPACED, text) is not None
    try:
        tree = language.parse_value(text)
        return isinstance(tree, syntax.Arithmetic) and (spaced or _is_known_to(tree, text, known))
    except QueryError:
        # Who writes an operator between spaces is to hear what is wrong with it.
        return spaced and unquoted(text) == text


def _is_known_to(tree: Node, text: str, known: Vocabulary) -> bool:
    from gittrack import binding
    from gittrack.errors import QueryError

    try:
        binding.bind_value(tree, text, known)
    except QueryError:
        return False
    return True


def is_key(name: str, known: Vocabulary) -> bool:
    """Whether runs know something by this name."""
    try:
        known.resolve(name)
    except UnknownKey:
        return False
    return True


def told(text: str) -> Told | None:
    """A text as the call of a function with one argument; None if it is none."""
    found = re.fullmatch(_CALL, text) if text.endswith((")", " ")) else None
    return Told(found[1].lower(), found[2].strip()) if found and _is_one(found[2]) else None


def _is_one(argument: str) -> bool:
    """Whether brackets close within it, so that those around it belong together."""
    depth, quote = 0, ""
    for place, char in enumerate(argument):
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES and _opens(argument[:place]):
            quote = char
        else:
            depth += (char == "(") - (char == ")")
            if depth < 0:
                return False
    return True
