"""Regular expressions of the user's, searched for in bounded time; pure.

Knows Python's syntax (its own parser reads it) less lookaround and back references, and finds what
`re` finds. `re` itself may need hours for a line, holds the interpreter's lock meanwhile, and knows
no limit: in a training process that would stop the training. Here no state is tried twice at one
place, so time grows with the line and with the expression, and a limit holds besides.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias

from gittrack.errors import UsageError

__all__ = ["LONGEST_EXPRESSION", "MOST_STEPS", "Expression", "TooLong", "expression"]

LONGEST_EXPRESSION = 2000
"""Instructions of an expression, counted repetitions written out."""

MOST_STEPS = 200_000
"""What is tried in one text, before it is given up: less than a quarter of a second."""

_CHAR, _SPLIT, _JUMP, _SAVE, _AT, _MATCH = range(6)
_Code: TypeAlias = list[list[Any]]
_Match: TypeAlias = tuple[int, int, dict[int, int]]
_MOST_KNOWN = 4096
_REFUSED = {
    "ASSERT": "looks around",
    "ASSERT_NOT": "looks around",
    "GROUPREF": "refers back",
    "GROUPREF_IGNORE": "refers back",
    "GROUPREF_EXISTS": "refers back",
    "ATOMIC_GROUP": "has an atomic group",
    "POSSESSIVE_REPEAT": "has a possessive repetition",
}


class TooLong(Exception):
    """A text in which the search was given up."""


@cache
def expression(text: str) -> Expression:
    """Compile an expression.

    Raises:
        UsageError: it is none, it is too large, or time cannot be bounded for what it uses.
    """
    return Expression(text)


class Expression:
    """A compiled expression: `names` are its named groups, `literal` what no match is without."""

    def __init__(self, text: str) -> None:
        self.text = text
        parsed, flags = _parsed(text)
        groups: dict[str, int] = parsed.state.groupdict
        self.names: tuple[str, ...] = tuple(groups)
        self.literal = "" if flags & re.IGNORECASE else _literal(parsed)
        writer = _Writer(text, set(groups.values()))
        writer.sequence(parsed, flags)
        writer.put(_MATCH)
        self._code = writer.code
        self._groups = groups
        self._first = _first(self._code)

    def search(self, text: str) -> Iterator[dict[str, str]]:
        """What the named groups are in each match, from left to right, as `re.finditer` has it.

        A group that takes no part in a match is not there.

        Raises:
            TooLong: after `MOST_STEPS`.
        """
        steps, start, taken = [0], 0, -1
        while (match := self._match(text, start, taken, steps)) is not None:
            begun, start, saved = match
            # An empty match does not count twice at one place.
            taken = start if begun == start else -1
            yield {
                name: text[saved[2 * group] : saved[2 * group + 1]]
                for name, group in self._groups.items()
                if 2 * group + 1 in saved
            }

    def _match(self, text: str, start: int, taken: int, steps: list[int]) -> _Match | None:
        """The leftmost match from `start` on that does not end at `taken`."""
        tried: set[int] = set()
        for at in range(start, len(text) + 1):
            if self._first is not None:
                if at == len(text):
                    return None
                if not any(group[text[at]] for group in self._first):
                    continue
            found = self._try(text, at, taken, tried, steps)
            if found is not None:
                return found
        return None

    def _try(
        self, text: str, at: int, taken: int, tried: set[int], steps: list[int]
    ) -> _Match | None:
        """A match that begins here. What was tried at a place, and failed, fails there again."""
        code, size = self._code, len(text)
        saved: Any = None
        waiting: list[tuple[int, int, Any]] = [(0, at, None)]
        begun, count = at, steps[0]
        while waiting:
            here, at, saved = waiting.pop()
            while True:
                count += 1
                if count > MOST_STEPS:
                    raise TooLong
                kind, first, second = code[here]
                if kind == _CHAR:
                    if at >= size or not first[text[at]]:
                        break
                    at += 1
                    here += 1
                elif kind == _SPLIT:
                    key = here * (size + 1) + at
                    if key in tried:
                        break
                    tried.add(key)
                    waiting.append((second, at, saved))
                    here = first
                elif kind == _JUMP:
                    here = first
                elif kind == _SAVE:
                    saved = (first, at, saved)
                    here += 1
                elif kind == _AT:
                    if not first(text, at):
                        break
                    here += 1
                elif at == taken:
                    break
                else:
                    steps[0] = count
                    return begun, at, _unfold(saved)
        steps[0] = count
        return None


def _unfold(saved: Any) -> dict[int, int]:
    found: dict[int, int] = {}
    while saved is not None:
        slot, at, saved = saved
        found.setdefault(slot, at)
    return found


# -- from the text to instructions --------------------------------------------------------------


def _parsed(text: str) -> tuple[Any, int]:
    """What Python's own parser makes of an expression, and its flags."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
            try:
                parser = import_module("re._parser")
            except ImportError:
                parser = import_module("sre_parse")  # before Python 3.11
            parsed = parser.parse(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"the expression {text[:80]!r} cannot be read: {error}",
            hint="it is one of Python's `re`, as 'loss=(?P<loss>[0-9.]+)'.",
        ) from error
    return parsed, parsed.state.flags


class _Writer:
    """Writes the instructions of an expression: Thompson's, tried in the order of preference."""

    def __init__(self, text: str, groups: set[int]) -> None:
        self.code: _Code = []
        self._text = text
        self._groups = groups

    def put(self, kind: int, first: Any = None, second: Any = None) -> int:
        if len(self.code) >= LONGEST_EXPRESSION:
            raise UsageError(
                f"the expression {self._text[:80]!r} is too large",
                hint=f"repetitions written out, it has more than {LONGEST_EXPRESSION} parts.",
            )
        self.code.append([kind, first, second])
        return len(self.code) - 1

    def sequence(self, items: Any, flags: int) -> None:
        for op, av in items:
            self._one(str(op), av, flags)

    def _one(self, op: str, av: Any, flags: int) -> None:
        if op in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
            self.put(_CHAR, _Group(op, av, flags))
        elif op == "BRANCH":
            self._branch(av[1], flags)
        elif op == "SUBPATTERN":
            group, add, remove, inner = av
            self._group(group, inner, (flags | add) & ~remove)
        elif op in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, inner = av
            self._repeat(least, most, inner, flags, greedy=op == "MAX_REPEAT")
        elif op == "AT":
            self.put(_AT, _place(str(av), flags))
        else:
            raise UsageError(
                f"the expression {self._text[:80]!r} {_REFUSED.get(op, 'is of a kind')}"
                ", for which no time can be promised",
                hint="named groups, classes, repetitions and alternatives can be used.",
            )

    def _branch(self, branches: Sequence[Any], flags: int) -> None:
        ends = []
        for branch in branches[:-1]:
            split = self.put(_SPLIT)
            self.code[split][1] = split + 1
            self.sequence(branch, flags)
            ends.append(self.put(_JUMP))
            self.code[split][2] = len(self.code)
        self.sequence(branches[-1], flags)
        for end in ends:
            self.code[end][1] = len(self.code)

    def _group(self, group: int | None, inner: Any, flags: int) -> None:
        named = group in self._groups
        if named and group is not None:
            self.put(_SAVE, 2 * group)
        self.sequence(inner, flags)
        if named and group is not None:
            self.put(_SAVE, 2 * group + 1)

    def _repeat(self, least: int, most: Any, inner: Any, flags: int, *, greedy: bool) -> None:
        for _ in range(least):
            self.sequence(inner, flags)
        splits = []
        endless = str(most) == "MAXREPEAT"
        for _ in range(1 if endless else most - least):
            splits.append(self.put(_SPLIT))
            self.sequence(inner, flags)
        if endless:
            self.put(_JUMP, splits[0])
        for split in splits:
            ways = split + 1, len(self.code)
            self.code[split][1:] = ways if greedy else ways[::-1]


def _literal(items: Any) -> str:
    """The longest text that every match holds."""
    longest = run = ""
    for op, av in items:
        if str(op) == "LITERAL":
            run += chr(av)
            longest = max(longest, run, key=len)
            continue
        run = ""
        if str(op) == "SUBPATTERN" and not av[1]:
            longest = max(longest, _literal(av[3]), key=len)
        elif str(op) in ("MAX_REPEAT", "MIN_REPEAT") and av[0]:
            longest = max(longest, _literal(av[2]), key=len)
    return longest


def _first(code: _Code) -> list[_Group] | None:
    """What the first character of a match may be; None if it may be empty, or asks for a place."""
    groups, waiting, seen = [], [0], set()
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        kind, first, second = code[here]
        if kind == _CHAR:
            groups.append(first)
        elif kind == _SPLIT:
            waiting += [first, second]
        elif kind == _JUMP:
            waiting.append(first)
        elif kind == _SAVE:
            waiting.append(here + 1)
        else:
            return None
    return groups


# -- characters and places ----------------------------------------------------------------------


class _Group(dict[str, bool]):
    """Whether a character is one of a group, remembered for those that were met."""

    def __init__(self, op: str, av: Any, flags: int) -> None:
        super().__init__()
        self._negated = op == "NOT_LITERAL"
        self._tests: list[Callable[[str], bool]] = []
        self._folds = bool(flags & re.IGNORECASE)
        items = av if op == "IN" else [(op.removeprefix("NOT_"), av)]
        for kind, value in items:
            if str(kind) == "NEGATE":
                self._negated = True
            else:
                self._tests.append(_test(str(kind), value, flags))

    def __missing__(self, char: str) -> bool:
        forms = {char, char.lower(), char.upper()} if self._folds else {char}
        found = any(test(form) for test in self._tests for form in forms) is not self._negated
        if len(self) < _MOST_KNOWN:
            self[char] = found
        return found


def _test(kind: str, value: Any, flags: int) -> Callable[[str], bool]:
    if kind == "LITERAL":
        return chr(value).__eq__
    if kind == "RANGE":
        low, high = chr(value[0]), chr(value[1])
        return lambda char: low <= char <= high
    if kind == "ANY":
        return lambda char: char != "\n" or bool(flags & re.DOTALL)
    name = str(value).removeprefix("CATEGORY_")
    test = (_ASCII if flags & re.ASCII else _UNICODE)[name.removeprefix("NOT_")]
    wanted = not name.startswith("NOT_")
    return lambda char: test(char) is wanted


_UNICODE: dict[str, Callable[[str], bool]] = {
    "DIGIT": str.isdecimal,
    "SPACE": str.isspace,
    "WORD": lambda char: char.isalnum() or char == "_",
}
_ASCII: dict[str, Callable[[str], bool]] = {
    "DIGIT": lambda char: char.isascii() and char.isdigit(),
    "SPACE": lambda char: char in " \t\n\r\f\v",
    "WORD": lambda char: char.isascii() and (char.isalnum() or char == "_"),
}


def _place(name: str, flags: int) -> Callable[[str, int], bool]:
    """A test of a place in a text of one line."""
    if name in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
        return lambda text, at: at == 0
    if name in ("AT_END", "AT_END_STRING"):
        return lambda text, at: at == len(text)
    word = (_ASCII if flags & re.ASCII else _UNICODE)["WORD"]
    wanted = name == "AT_BOUNDARY"

    def holds(text: str, at: int) -> bool:
        before = at > 0 and word(text[at - 1])
        return (before is not (at < len(text) and word(text[at]))) is wanted

    return holds
