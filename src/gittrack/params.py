"""What a command line and params files say the parameters are.

Knows options, overrides and the types of words. Refuses to know what the program makes of its
arguments: a default that was never said is no param, and the argument list in the record is the
authority. Masking is done before, by `secrets`; `launchers` tells where the arguments begin.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from functools import cache
from typing import Any

from gittrack.documents import load, too_deep
from gittrack.errors import BadFile, BadName, UsageError
from gittrack.keys import check_key, flatten
from gittrack.launchers import arguments
from gittrack.summaries import Value

__all__ = [
    "LARGEST_FILE",
    "LARGEST_VALUE",
    "from_assignments",
    "from_command",
    "from_file",
    "merge",
    "parse_value",
]

LARGEST_FILE = 8 << 20
"""Bytes that a params file may have."""

LARGEST_VALUE = 10_000
"""Characters of a list or mapping that is still taken apart."""

_DEEPEST = 20


# What a word means.

# Patterns are texts here: starting a command must not wait for those that it has no word for.
_INT = r"-?(?:0|[1-9][0-9]*)"
_FLOAT = r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_LAST_OF_NUMBERS = frozenset("0123456789.")
_MOST_DIGITS = 4300
_WORDS: Mapping[str, Value] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "None"), None),
    **dict.fromkeys(("nan", "NaN", ".nan"), float("nan")),
    **dict.fromkeys(("inf", ".inf", "Infinity"), float("inf")),
    **dict.fromkeys(("-inf", "-.inf", "-Infinity"), float("-inf")),
}
_SPECIAL_TOKEN = r"\[[A-Z][A-Z0-9_]*\]"


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def parse_value(text: str) -> Value:
    """Read one word of a command line as the value it stands for.

    An int, a float (`1e-3`, `nan`, `-inf`), `true` or `false`, `null` or `None`; a list or mapping
    as JSON, Python or Hydra write it (`[1, 2]`, `{'a': 1}`, `[conv, relu]`). All else is the text
    exactly as given: `007`, `+5`, `1_000`, `0x10`, `NO`, `none`, `~`, `12:30:45`, `2024-01-01`,
    `(1, 2)`, a token like `[PAD]`, and any number that a float would turn into infinity or zero.
    """
    if text[:1] in ("[", "{") and text[-1:] in ("]", "}"):
        return _parse_collection(text)
    return _parse_scalar(text)


def _parse_scalar(text: str) -> Value:
    if text in _WORDS:
        return _WORDS[text]
    if text[-1:] not in _LAST_OF_NUMBERS:
        return text
    if _pattern(_INT).fullmatch(text):
        return int(text) if len(text.lstrip("-")) <= _MOST_DIGITS else text
    if _pattern(_FLOAT).fullmatch(text):
        number = float(text)
        return text if _overflowed(number) or _underflowed(number, text) else number
    return text


def _overflowed(number: float) -> bool:
    return number in (float("inf"), float("-inf"))


def _underflowed(number: float, text: str) -> bool:
    return number == 0 and re.search("[1-9]", re.split("[eE]", text)[0]) is not None


def _parse_collection(text: str) -> Value:
    if len(text) > LARGEST_VALUE or _pattern(_SPECIAL_TOKEN).fullmatch(text):
        return text
    parser = _Collection(text)
    try:
        value = parser.value(0)
        return value if parser.at == len(text) else text
    except ValueError:
        return text


class _Collection:
    """A reader of lists and mappings, in JSON's, Python's and Hydra's spelling at once.

    One grammar for the three, so that a bare `0x10` or `007` is text inside a list as outside.
    """

    _SPACE = r"\s*"
    _QUOTED = r'"(?:[^"\\]|\\[^\n])*"|' + r"'(?:[^'\\]|\\['\\])*'"
    _BARE = r"[^\s\[\]{}(),\"']+"
    _BARE_KEY = r"[^\s\[\]{}(),\"':]+"

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def value(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise ValueError("too deep")
        if self._take("["):
            return self._items("]", lambda: self.value(depth + 1))
        if self._take("{"):
            return self._mapping(lambda: self._pair(depth))
        return self._word(self._BARE)

    def _mapping(self, pair: Callable[[], tuple[str, Value]]) -> dict[str, Value]:
        pairs = self._items("}", pair)
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            raise ValueError("a key stands twice")
        return mapping

    def _pair(self, depth: int) -> tuple[str, Value]:
        start = self.at
        key = self._word(self._BARE_KEY)
        if not isinstance(key, str):
            key = self.text[start : self.at]
        if not self._take(":"):
            raise ValueError("no colon")
        return key, self.value(depth + 1)

    def _items(self, end: str, item: Callable[[], Any]) -> list[Any]:
        items: list[Any] = []
        while not self._take(end):
            items.append(item())
            if not self._take(","):
                if not self._take(end):
                    raise ValueError("no comma")
                return items
        return items

    def _word(self, bare: str) -> Value:
        if quoted := _pattern(self._QUOTED).match(self.text, self.at):
            self._move(quoted.end())
            return _unquote(quoted.group())
        if word := _pattern(bare).match(self.text, self.at):
            self._move(word.end())
            return _parse_scalar(word.group())
        raise ValueError("no value")

    def _take(self, char: str) -> bool:
        if not self.text.startswith(char, self.at):
            return False
        self._move(self.at + 1)
        return True

    def _move(self, to: int) -> None:
        space = _pattern(self._SPACE).match(self.text, to)
        # Space after the last bracket is part of a text, not of a list.
        self.at = space.end() if space and space.end() < len(self.text) else to


def _unquote(quoted: str) -> str:
    if quoted[0] == '"':
        return str(json.loads(quoted, strict=False))
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])


# What the arguments say.

_DASH_NUMBER = r"-(?:\.?[0-9]|\.?inf\b|nan\b|Infinity\b)"
_OVERRIDE = r"\+{0,2}([A-Za-z_][\w./@\[\]-]*)=(.*)"
_OPTION = r"--?([A-Za-z0-9_][^=\s]*)(?:=(.*))?"
_ATTACHED = r"-[A-Za-z][0-9.]+"
_HYDRA_FLAGS = ("-m", "--multirun", "-r", "--run", "--resolve")


def from_command(argv: Sequence[str]) -> dict[str, Value]:
    """Read the params that a command line gives to the program that it runs.

    Options (`--lr 0.1`, `--lr=0.1`, `-n 5`, `-lr 0.1`, `--flag`) and Hydra's overrides
    (`model.lr=0.1`, `+a=1`, `++a=1`); `--n-estimators` is `n_estimators`. What the launchers
    before the program get is none (`arguments`). These are decisions, because only the program
    knows its grammar:

    - an option takes the next word unless that starts with a dash that begins no number; a lone
      dash (standard input) is taken; without a value it is True, and `--no-x` is `no_x`: True;
    - it takes one word only: of `--layers 64 64 32` the param is 64;
    - an option given again makes the list of its values; the last of several overrides holds;
    - a mapping is a param for each of its entries: `opt={lr: 0.1}` is `opt.lr`;
    - `-n5` could be a cluster of flags: it is no param, and takes no word;
    - after `--` nothing is one.

    Never raises: a word that cannot be a key is none, bytes that are not UTF-8 are escaped.
    """
    params: dict[str, Value] = {}
    repeated: set[str] = set()
    words = [_text(word) for word in arguments(argv)]
    at = 0
    while at < len(words) and words[at] != "--":
        word = words[at]
        at += 1
        if override := _override(word):
            if _is_key(override[1]):
                params[override[1]] = parse_value(override[2])
                repeated.discard(override[1])
            continue
        option = None if _is_value(word) else _option(word)
        if not option:
            continue
        value: Value = True
        if option[2] is not None:
            value = parse_value(option[2])
        elif at < len(words) and _follows(word, words[at]):
            value = parse_value(words[at])
            at += 1
        key = option[1].replace("-", "_")
        if _is_key(key):
            _add(params, key, value, repeated)
    flat: dict[str, Value] = {}
    for key, value in params.items():
        try:
            flat.update(_leaves(key, value))
        except BadName:
            continue
    return flat


def _leaves(key: str, value: Value) -> dict[str, Value]:
    """A param, or those that a mapping stands for: one for each of its entries.

    Raises:
        BadName: one of them cannot be a key, or stands there twice.
    """
    if not isinstance(value, Mapping):
        return {check_key(key): value}
    return {check_key(name): leaf for name, leaf in flatten({key: value}).items()}


def _add(params: dict[str, Value], key: str, value: Value, repeated: set[str]) -> None:
    if key not in params:
        params[key] = value
    elif key in repeated:
        params[key] = [*params[key], value]
    else:
        params[key] = [params[key], value]
        repeated.add(key)


def _override(word: str) -> re.Match[str] | None:
    return _pattern(_OVERRIDE).fullmatch(word) if "=" in word else None


def _option(word: str) -> re.Match[str] | None:
    return None if _pattern(_ATTACHED).fullmatch(word) else _pattern(_OPTION).fullmatch(word)


def _is_value(word: str) -> bool:
    return not word.startswith("-") or word == "-" or bool(_pattern(_DASH_NUMBER).match(word))


def _follows(option: str, word: str) -> bool:
    if option in _HYDRA_FLAGS and _override(word):
        return False
    return _is_value(word)


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except BadName:
        return False
    return True


def _text(word: str) -> str:
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def from_assignments(assignments: Iterable[str]) -> dict[str, Value]:
    """Read `key=value` texts; of one key given twice, the last holds.

    A mapping is a param for each of its entries: `opt={lr: 0.1}` is `opt.lr`.

    Raises:
        UsageError: a text has no `=`.
        BadName: a key is none (`keys.check_key`).
    """
    params: dict[str, Value] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(
                f"the param {assignment!r} has no value", hint="give it as key=value, as lr=0.1"
            )
        params.update(_leaves(check_key(key.strip()), parse_value(_text(value))))
    return params


def merge(*sources: Mapping[str, Value]) -> dict[str, Value]:
    """Lay flat sources over one another: the later one wins, by dotted key.

    A later `model` replaces an earlier `model.lr`, and the other way round. Within one source both
    may stand, as Hydra's `model=resnet model.lr=0.1`.
    """
    merged: dict[str, Value] = {}
    for source in sources:
        above = {key[:n] for key in source for n, char in enumerate(key) if char == "."}
        for key in [key for key in merged if key in above or _under(key, source)]:
            del merged[key]
        merged.update(source)
    return merged


def _under(key: str, source: Mapping[str, Value]) -> bool:
    return any(key[:n] in source for n, char in enumerate(key) if char == "." and n)


# What a file says.


def from_file(
    path: str | os.PathLike[str], *, directory: str | os.PathLike[str] = ""
) -> dict[str, Value]:
    """Read the params of a YAML, JSON or TOML file, told apart by suffix; dates become ISO text.

    An empty YAML or TOML file has no params. A relative path is one in `directory`.

    Raises:
        BadFile: it is missing, too big, not UTF-8, of another kind, broken, or not a mapping.
    """
    name = os.fspath(path)
    content = load(name, "params", LARGEST_FILE, directory=os.fspath(directory))
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise BadFile(
            f"the params file '{name}' holds {_kind(content)}, not a mapping",
            path=name,
            hint="write it as key: value",
        )
    try:
        return {check_key(key): _plain(value) for key, value in flatten(content).items()}
    except BadName as error:
        raise BadFile(f"in the params file '{name}', {error.message}", path=name, hint=error.hint)
    except RecursionError as error:
        raise too_deep(name, "params") from error


def _plain(value: Any) -> Value:
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", int: "a number"}
    return names.get(type(value), "a number" if isinstance(value, float) else "something else")
