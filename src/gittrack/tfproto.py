"""The messages in TensorBoard's event files, as far as a scalar needs them; pure.

Knows the few fields of Event, Summary and TensorProto, how protobuf writes them, and the checksum
beside them; distrusts every number. Knows nothing of files, frames or metrics.

    https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from gittrack.summaries import Number

__all__ = ["Value", "checksum", "event", "scalar", "value"]

_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")

_EVENT_TIME, _EVENT_STEP, _EVENT_SUMMARY = 1, 2, 5
_VALUE_TAG, _VALUE_SIMPLE, _VALUE_TENSOR, _VALUE_METADATA = 1, 2, 8, 9
_METADATA_PLUGIN = 1
_TENSOR_KIND, _TENSOR_SHAPE, _TENSOR_CONTENT = 1, 2, 4
# The kinds of number: how tensor_content holds one, and in which field one stands otherwise.
_KINDS = {
    1: (_FLOAT, 5),
    2: (_DOUBLE, 6),
    3: (struct.Struct("<i"), 7),
    4: (struct.Struct("<B"), 7),
    5: (struct.Struct("<h"), 7),
    6: (struct.Struct("<b"), 7),
    9: (struct.Struct("<q"), 10),
    17: (struct.Struct("<H"), 7),
    19: (struct.Struct("<e"), 13),
    22: (struct.Struct("<I"), 16),
    23: (struct.Struct("<Q"), 17),
}


def event(data: bytes) -> tuple[float, int, list[bytes]]:
    """The time, the step and the values of an Event.

    Raises:
        ValueError, struct.error: it is none.
    """
    wall, step, values = 0.0, 0, list[bytes]()
    for field, item in _fields(data):
        if field == _EVENT_TIME:
            wall = _real(_DOUBLE, item)
        elif field == _EVENT_STEP:
            step = _signed(item)
        elif field == _EVENT_SUMMARY:
            values += [_bytes(one) for inner, one in _fields(_bytes(item)) if inner == 1]
    return wall, step, values


class Value(NamedTuple):
    """One of an event's: what it is called, whose it is, and its number or tensor, if it has one.

    `plugin` is None where the value does not say, as all of a tag but the first may not.
    """

    tag: str
    plugin: str | None
    simple: float | None
    tensor: bytes | None


def value(data: bytes) -> Value:
    """A Summary.Value.

    Raises:
        ValueError, struct.error: it is none.
    """
    tag, plugin, simple, tensor = "", None, None, None
    for field, item in _fields(data):
        if field == _VALUE_TAG:
            tag = _bytes(item).decode()
        elif field == _VALUE_SIMPLE:
            simple = _real(_FLOAT, item)
        elif field == _VALUE_TENSOR:
            tensor = _bytes(item)
        elif field == _VALUE_METADATA:
            plugin = _plugin(_bytes(item))
    return Value(tag, plugin, simple, tensor)


def _plugin(metadata: bytes) -> str:
    for field, item in _fields(metadata):
        if field == _METADATA_PLUGIN:
            for inner, name in _fields(_bytes(item)):
                if inner == 1:
                    return _bytes(name).decode()
    return ""


def scalar(tensor: bytes) -> Number | None:
    """The number of a tensor that has just one and no dimensions; None of any other.

    Raises:
        ValueError, struct.error: it is no TensorProto.
    """
    kind, numbers, content = 0, list[tuple[int, int | bytes]](), b""
    for field, item in _fields(tensor):
        if field == _TENSOR_KIND:
            kind = _signed(item)
        elif field == _TENSOR_SHAPE:
            if any(inner in (2, 3) for inner, _ in _fields(_bytes(item))):
                return None
        elif field == _TENSOR_CONTENT:
            content = _bytes(item)
        else:
            numbers.append((field, item))
    if kind not in _KINDS:
        return None
    form, typed = _KINDS[kind]
    if content:
        number: Number = form.unpack(content)[0]
        return number
    for field, item in numbers:
        if field == typed:
            return _typed(form, item)
    # A zero may be left out altogether.
    return form.unpack(bytes(form.size))[0]  # type: ignore[no-any-return]


def _typed(form: struct.Struct, item: int | bytes) -> Number:
    """The first number of a repeated field, packed or not."""
    if form.format in ("<f", "<d"):
        return _real(form, _bytes(item)[: form.size])
    if isinstance(item, bytes):
        item, _ = _varint(item, 0)
    if form.format == "<e":
        half: float = form.unpack(struct.pack("<H", item))[0]
        return half
    return item if form.format in ("<I", "<Q") else _signed(item)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: numbers as they are, all else as bytes.

    Raises:
        ValueError: it is no message.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire == 1:
            size = 8
        elif wire == 5:
            size = 4
        else:
            raise ValueError("a field of an unknown kind")
        if size > end - at:
            raise ValueError("a field is longer than its message")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for byte in data[at : at + 10]:
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise ValueError("a number does not end")


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a number is none")
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a text is none")
    return value


def _real(form: struct.Struct, value: int | bytes) -> float:
    number: float = form.unpack(_bytes(value))[0]
    return number


# -- checksums ----------------------------------------------------------------------------------


@cache
def _table() -> tuple[int, ...]:
    """CRC-32C (Castagnoli), one byte at a time."""
    table = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return tuple(table)


def checksum(data: bytes) -> int:
    """The checksum of a record, turned and shifted as TFRecord has it."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
