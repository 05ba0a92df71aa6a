"""Which events of a journal make sense: what stands under each key is of the kind that it must be.

Journals are written by other programs and other versions too (docs/journal.md), and one senseless
event must not keep a run from being recorded. Knows the keys and their kinds, and nothing of what
they say. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gittrack.quoting import utf8
from gittrack.summaries import STATUSES

__all__ = ["sound"]

_LATEST = 1e11
"""The year 5138: a later time is none."""

_DEEPEST = 50

_Kind = Callable[[Any], bool]


def sound(event: Mapping[str, Any], at: float) -> dict[str, Any]:
    """The event without what makes no sense in it, and with a fault that names it.

    Half a character, which JSON can say and UTF-8 cannot, is spelled out.

    One whose time is none, or that has none, happened `at`. Keys that nobody knows stay.
    """
    good: dict[str, Any] = {} if "t" in event else {"t": at}
    bad = []
    for key, value in event.items():
        if key not in _KINDS:
            good[key] = value
            continue
        try:
            said = _storable(value)
        except ValueError:
            bad.append(key)
            continue
        if _KINDS[key](said):
            good[key] = said
            continue
        bad.append(key)
        if key == "tags" and isinstance(said, dict):
            good[key] = {name: text for name, text in said.items() if _text(text)}
    if "t" in bad:
        good["t"] = at
        bad.remove("t")
    if bad and "fault" not in good:
        named = ", ".join(f"'{key}'" for key in sorted(bad))
        part = " in part" if good.keys() & set(bad) else ""
        good["fault"] = f"a line of a journal makes no sense: its {named} was left out{part}"
    return good


def _storable(value: Any, depth: int = 0) -> Any:
    """A value with texts that can be stored.

    Raises:
        ValueError: it nests deeper than anything that is meant.
    """
    if isinstance(value, str):
        return utf8(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth >= _DEEPEST:
        raise ValueError
    if isinstance(value, list):
        return [_storable(item, depth + 1) for item in value]
    return {utf8(key): _storable(item, depth + 1) for key, item in value.items()}


# -- kinds --------------------------------------------------------------------------------------


def _time(value: Any) -> bool:
    return _number(value) and 0 <= value <= _LATEST


def _number(value: Any) -> bool:
    return _is(int, value) or isinstance(value, float)


def _is(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return _is(int, value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _maybe(kind: _Kind) -> _Kind:
    return lambda value: value is None or kind(value)


def _mapping(kind: _Kind) -> _Kind:
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


def _listing(kind: _Kind) -> _Kind:
    return lambda value: isinstance(value, list) and all(map(kind, value))


def _fields(kinds: Mapping[str, _Kind], *needed: str) -> _Kind:
    """A mapping of these fields, of which the needed ones stand there."""
    return lambda value: (
        isinstance(value, dict)
        and kinds.keys() >= value.keys() >= set(needed)
        and all(kinds[key](item) for key, item in value.items())
    )


def _tuple(*kinds: _Kind) -> _Kind:
    return lambda value: (
        isinstance(value, list)
        and len(value) == len(kinds)
        and all(kind(item) for kind, item in zip(kinds, value, strict=True))
    )


def _any(value: Any) -> bool:
    return True


_KEPT: Mapping[str, _Kind] = {
    "path": _text,
    "md5": _text,
    "size": _whole,
    "nfiles": _maybe(_whole),
}


def _artifact(value: Any) -> bool:
    """Whether nothing in it is of a wrong kind; what is missing or too much, `story` says."""
    known = value.items() if isinstance(value, dict) else ()
    return all(_KEPT[key](item) for key, item in known if key in _KEPT and key != "path")


_READ: Mapping[str, _Kind] = {
    **_KEPT,
    "pointer": _maybe(_text),
    "modified": _flag,
    "changed": _flag,
}
_RUN: Mapping[str, _Kind] = {"run": _text, "id": _text, "commit": _text, "path": _maybe(_text)}
_MACHINE: Mapping[str, _Kind] = {
    "python": _maybe(_text),
    "platform": _text,
    "cpu": _text,
    "cores": _whole,
    "memory": _whole,
    "gpus": _listing(_text),
    "packages": _mapping(_text),
    "lock_files": _mapping(_text),
    "variables": _mapping(_text),
}
_KINDS: Mapping[str, _Kind] = {
    "t": _time,
    "rank": _maybe(_whole),
    "params": _mapping(_any),
    "tags": _mapping(_text),
    "summary": _mapping(_number),
    "title": _maybe(_text),
    "message": _maybe(_text),
    "status": _text,
    "experiment": _text,
    "experiment_title": _maybe(_text),
    "notebook": _maybe(_text),
    "cells": _listing(_tuple(_maybe(_whole), _text)),
    "fault": _text,
    "dropped": _whole,
    "artifact": _artifact,
    "data": _listing(_fields(_READ, "path", "md5", "size")),
    "inputs": _listing(_fields(_RUN, "run", "id", "commit")),
    "environment": _fields(_MACHINE, "gpus"),
    "child": _tuple(_whole, _any, _any),
    "end": _tuple(lambda value: value in STATUSES, _maybe(_whole)),
}
