"""One value as SQLite keeps it, and back: so that numbers sort before texts, and all else after.

Numbers and texts are SQLite's own. What it has no type for are BLOBs that begin with a letter: `T`
and `F` booleans, `N` a param that is None, `I` an integer beyond 64 bits, `J` JSON; `nan` is NaN,
the greatest of all. NULL is the absent value. Pure: knows nothing of tables and queries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

__all__ = [
    "ABSENT",
    "NAN",
    "NONE",
    "Stored",
    "decode",
    "decoded",
    "encode",
    "encoded",
    "kind",
    "sortable",
]

Stored: TypeAlias = "int | float | str | bytes | None"
"""What a column of SQLite holds."""

ABSENT = None
NAN = b"nan"
NONE = b"N"

_TRUE, _FALSE = b"T", b"F"
_LARGEST = (1 << 63) - 1
_MOST_DIGITS = 4000
_BIG = "0x"


def encode(value: Any) -> Stored:
    """A param's, metric's or tag's value for a column; `decode` gives an equal one back.

    Raises:
        TypeError, ValueError: it is none that a record can hold.
    """
    kind = type(value)
    if kind is float:
        return value if value == value else NAN
    if kind is str:
        return _text(value)
    if kind is int:
        return value if -_LARGEST <= value <= _LARGEST else _large(value)
    return _other(value)


def encoded(values: Sequence[Any], absent: object = None) -> Sequence[Stored]:
    """As `encode`, of a whole column at once, in which `absent` stands for no value.

    Of one kind of values, it costs next to nothing.
    """
    kinds = set(map(type, values))
    if len(kinds) == 1 and _is_uniform(kinds.pop(), values):
        return values
    return [None if value is absent else encode(value) for value in values]


def _is_uniform(kind: type, values: Sequence[Any]) -> bool:
    """Whether SQLite takes all of these as they are."""
    if kind is float:
        total = sum(values)
        return bool(total == total)
    if kind is int:
        return bool(max(values) <= _LARGEST and min(values) >= -_LARGEST)
    return kind is str and "".join(values).isascii()


def _text(value: str) -> Stored:
    # SQLite takes no lone surrogate, which JSON can say.
    return value if value.isascii() or _is_plain(value) else b"J" + json.dumps(value).encode()


def _is_plain(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _large(value: int) -> Stored:
    # Python refuses to write very long integers in decimal.
    digits = str(value) if value.bit_length() < 3 * _MOST_DIGITS else hex(value)
    return b"I" + digits.encode()


def _other(value: Any) -> Stored:
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    if value is None:
        return NONE
    if isinstance(value, (list, tuple, dict)):
        return b"J" + json.dumps(value, separators=(",", ":")).encode()
    if isinstance(value, Mapping):
        return b"J" + json.dumps(dict(value), separators=(",", ":")).encode()
    for base in (int, float, str):
        if isinstance(value, base):
            return encode(base(value))
    raise TypeError(f"a {type(value).__name__} is no value of a record")


def decode(stored: Stored) -> Any:
    """The value that a column keeps; what is absent is None.

    Raises:
        ValueError: it is nothing that `encode` gives.
    """
    return _read(stored) if type(stored) is bytes else stored


def decoded(column: Sequence[Stored]) -> list[Any]:
    """As `decode`, of a whole column at once: one that holds no BLOB costs next to nothing."""
    if bytes not in set(map(type, column)):
        return list(column)
    return [_read(stored) if type(stored) is bytes else stored for stored in column]


def _read(stored: bytes) -> Any:
    try:
        return _READERS[stored[:1]](stored)
    except KeyError:
        raise ValueError(f"no value of a record: {stored[:20]!r}") from None


def _read_large(stored: bytes) -> int:
    text = stored[1:].decode("ascii")
    return int(text, 16 if _BIG in text[:3] else 10)


_READERS: Mapping[bytes, Callable[[bytes], Any]] = {
    b"T": lambda _: True,
    b"F": lambda _: False,
    b"N": lambda _: None,
    b"n": lambda _: float("nan"),
    b"I": _read_large,
    b"J": lambda stored: json.loads(stored[1:]),
}


def kind(stored: Stored) -> str:
    """Which of `numbers`, `texts`, `booleans` and `others` a value counts among, or `absent`."""
    if type(stored) is bytes:
        return "texts" if stored[:2] == b'J"' else _KINDS.get(stored[:1], "others")
    if stored is None:
        return "absent"
    return "texts" if type(stored) is str else "numbers"


_KINDS: Mapping[bytes, str] = {b"T": "booleans", b"F": "booleans", b"n": "numbers", b"I": "numbers"}


def sortable(stored: Stored) -> Stored:
    """What a value is sorted as: an integer beyond 64 bits among the numbers, near enough."""
    if type(stored) is not bytes or stored[:1] != b"I":
        return stored
    value = _read_large(stored)
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
