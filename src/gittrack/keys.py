"""What a param, metric or tag may be called, and how dotted keys stand for nested mappings.

Knows one grammar and one spelling of nesting. Knows nothing of values, files or command lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gittrack.errors import BadName

__all__ = ["LONGEST", "check_key", "flatten", "nearest", "nest"]

LONGEST = 250
"""Characters that a key may have."""

_DEEPEST = 40


def check_key(key: str) -> str:
    """Give `key` back if a param, metric or tag may be called so.

    Raises:
        BadName: it is empty, longer than `LONGEST` characters, or holds a control character, a
            line break or a byte that is not UTF-8.
    """
    if not key:
        raise BadName("a key is empty", hint="name it with at least one character")
    if len(key) > LONGEST:
        raise BadName(
            f"the key '{key[:40]}...' has {len(key)} characters",
            hint=f"a key has at most {LONGEST}",
        )
    for char in key:
        if _unprintable(char):
            raise BadName(
                f"the key {key!a} holds the character {char!a}",
                hint="a key has no control characters, tabs or line breaks",
            )
    return key


def _unprintable(char: str) -> bool:
    code = ord(char)
    return code < 32 or 127 <= code < 160 or char in "\u2028\u2029" or 0xD800 <= code < 0xE000


def nearest(key: str, known: Iterable[str]) -> str | None:
    """Find the known key that `key` most probably means; None if none is close."""
    from difflib import get_close_matches

    spelled: dict[str, str] = {}
    for name in known:
        spelled.setdefault(name.lower(), name)
    found = get_close_matches(key[:LONGEST].lower(), spelled, n=1, cutoff=0.7)
    return spelled[found[0]] if found else None


def flatten(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """Join the keys of nested mappings with dots; lists and empty mappings are leaves.

    Keys that are no text are spelled as YAML spells them: `1`, `true`, `null`.

    Raises:
        BadName: two entries have the same dotted key, such as `a.b` beside `b` inside `a`; or a
            mapping holds itself.
    """
    flat: dict[str, Any] = {}
    # A stack of our own: how deep a mapping nests is up to whoever wrote it.
    stack = [("", mapping, iter(mapping.items()))]
    around = {id(mapping)}
    while stack:
        prefix, within, items = stack[-1]
        for key, value in items:
            name = prefix + _spell(key)
            if isinstance(value, Mapping) and value:
                if id(value) in around:
                    raise BadName(f"'{name[:LONGEST]}' holds itself")
                around.add(id(value))
                stack.append((name + ".", value, iter(value.items())))
                break
            if name in flat:
                raise BadName(f"'{name}' stands there twice", hint="keep one of the two")
            flat[name] = value
        else:
            stack.pop()
            around.discard(id(within))
    return flat


def _spell(key: Any) -> str:
    if isinstance(key, str):
        return key
    if key is None:
        return "null"
    return str(key).lower() if isinstance(key, bool) else str(key)


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dots into nesting, so that `flatten` gives `flat` back.

    A key stays as it is where nesting would lose something: it has an empty part (`a..b`), or a
    shorter key with a value of its own stands in its way (`a.b` beside `a`), or it would nest so
    deep that nobody reads it back.
    """
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        parts = key.split(".")
        if "" in parts or len(parts) > _DEEPEST or _blocked(parts, flat):
            nested[key] = value
            continue
        inner = nested
        for part in parts[:-1]:
            inner = inner.setdefault(part, {})
        inner[parts[-1]] = value
    return nested


def _blocked(parts: list[str], flat: Mapping[str, Any]) -> bool:
    return any(".".join(parts[:n]) in flat for n in range(1, len(parts)))
