"""Values of NumPy, torch, pandas and others as Python's own, by what they offer; imports none.

Knows what turns into a number, a whole number, or what YAML and JSON keep as it is. Knows nothing
of what the values are for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gittrack.errors import BadValue, GittrackError
from gittrack.quoting import one_line, utf8
from gittrack.summaries import Number, Value

__all__ = ["converted", "number", "plain", "shown", "whole", "whole_number"]

Converted = TypeVar("Converted")

_MOST_ITEMS = 1000
_SEVERAL = "log its mean, or each of its elements under a key of its own"
_DEEPEST = 20


def shown(value: object) -> str:
    """A value in a sentence, whatever its own `repr` does."""
    try:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"{type(value).__name__} of shape {one_line(str(tuple(shape)))[:40]}"
        return one_line(repr(value)[:80])
    except Exception:
        return f"of type {type(value).__name__}"


def converted(convert: Callable[[Any], Converted], value: object) -> Converted:
    """`convert(value)`, where all that a foreign object's own methods raise means a wrong value.

    As broad as it is because that code is not ours, and training must go on.

    Raises:
        BadValue: it cannot be converted.
        GittrackError: as `convert` itself says.
    """
    try:
        return convert(value)
    except GittrackError:
        raise
    except Exception as error:
        raise BadValue(f"its value cannot be read ({type(error).__name__})") from error


def number(value: object) -> Number:
    """A Python number that is exactly what was given; a bool or a text is none.

    Raises:
        BadValue: it is no single number, or an integer of more than 1024 bits.
    """
    if type(value) in (float, int):
        return _bounded(value)  # type: ignore[arg-type]
    single = value
    if hasattr(single, "item"):
        try:
            single = single.item()
        except (TypeError, ValueError, RuntimeError):
            raise BadValue(f"{shown(value)} is no single number; {_SEVERAL}") from None
    if isinstance(single, (bool, str, bytes)):
        raise BadValue(f"{shown(value)} is no number")
    if isinstance(single, (list, tuple)):
        raise BadValue(f"{shown(value)} is no single number; {_SEVERAL}")
    if isinstance(single, int):
        return _bounded(int(single))
    try:
        return float(single)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise BadValue(f"{shown(value)} is no number") from None


def whole_number(value: object) -> int | None:
    """The int that equals a number of any type; None if there is none."""
    single: Any = value.item() if hasattr(value, "item") else value
    if type(single) is int:
        return single
    if isinstance(single, (bool, str, bytes)):
        return None
    try:
        exact = int(single)
    except (TypeError, ValueError, OverflowError):
        return None
    return exact if exact == single else None


def _bounded(value: Number) -> Number:
    if isinstance(value, int) and value.bit_length() > 1024:
        raise BadValue("an integer of more than 1024 bits")
    return value


def plain(value: Value, depth: int = 0) -> Value:
    """What YAML keeps as it is: scalars, lists and mappings with text keys.

    An array of up to 1,000 items is a list, a larger one its type and shape. Anything else is its
    `str`, or its type if that tells nothing but where it is in memory.

    Raises:
        BadValue: an integer of more than 1024 bits.
    """
    if value is None or type(value) in (bool, float):
        return value
    if type(value) is int:
        return _bounded(value)
    if isinstance(value, str):
        return utf8(str(value))
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {utf8(str(k)): plain(v, depth + 1) for k, v in value.items()}
    if depth < _DEEPEST and isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        return plain(value.item(), depth + 1) if depth < _DEEPEST else str(value)
    if isinstance(value, (bool, int, float)):
        return float(value) if isinstance(value, float) else int(value)
    if hasattr(value, "tolist") and hasattr(value, "shape"):
        return _plain_array(value, depth)
    text = str(value)
    return utf8(text if not re.search(" at 0x[0-9a-fA-F]{4}", text) else _address(value))


def whole(value: Value, depth: int = 0) -> Value:
    """As `plain`, but an array is a list of all its items, of whatever shape and size.

    Raises:
        BadValue: an integer of more than 1024 bits, or nested more than 20 levels deep.
    """
    if depth > _DEEPEST:
        raise BadValue(f"it is nested more than {_DEEPEST} levels deep")
    if isinstance(value, Mapping):
        return {utf8(str(k)): whole(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [whole(item, depth + 1) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((whole(item, depth + 1) for item in value), key=repr)
    if hasattr(value, "tolist"):
        inner = value.tolist()
        return plain(value) if hasattr(inner, "tolist") else whole(inner, depth + 1)
    return plain(value, depth)


def _plain_array(array: Any, depth: int) -> Value:
    items = 1
    for length in array.shape:
        items *= length
    if items <= _MOST_ITEMS and depth < _DEEPEST:
        return plain(array.tolist(), depth + 1)
    return f"{type(array).__name__} of shape {tuple(array.shape)}"


def _address(value: object) -> str:
    """Where a function or class is defined, else of which type a thing is: the same every run."""
    name = getattr(value, "__qualname__", None)
    return f"{getattr(value, '__module__', '')}.{name}" if name else str(type(value))
