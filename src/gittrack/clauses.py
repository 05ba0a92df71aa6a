"""A query as a clause of SQL: a bound tree as text with question marks, and the values for them.

Knows how `atoms` keeps values, and so how each comparison is said that an index can answer, and
which of `routines` says what SQLite has no words for. Only expressions that the caller gives are
part of the text; whatever a user wrote is a value. Knows nothing of tables, and of runs only that
one has a name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from gittrack import conditions, scalars
from gittrack.atoms import NONE, Stored, decode, encode
from gittrack.errors import UsageError
from gittrack.routines import Calls, functions

__all__ = ["Calls", "Clause", "functions", "term", "where"]

Clause: TypeAlias = "tuple[str, list[Stored]]"
"""SQL, and a value for each of its question marks."""

Expression: TypeAlias = Callable[[str], str]

Few: TypeAlias = "Callable[[str, Sequence[str]], tuple[str, Sequence[Stored]]]"

_FALSE: Clause = ("0", [])
_TRUE: Clause = ("1", [])
_FLIPPED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
# How atoms keeps integers beyond 64 bits, and texts that are no UTF-8: see there.
_LARGEST = (1 << 63) - 1
_LARGE = ("x'49'", "x'4A'")
_LARGE_POSITIVE = ("x'4930'", "x'493A'")
_LARGE_NEGATIVE = ("x'492D'", "x'492E'")
_ODD_TEXT = ("x'4A22'", "x'4A23'")
_BLOBS = "x''"
_T, _F = "x'54'", "x'46'"
_LISTED = 100
# SQLite's parser has a stack of 100 entries, and takes 32,766 values.
_DEEPEST = 60
_MOST_VALUES = 32_000
_MOST_NAMES = 90
_TOGETHER = 50


# -- the clause -----------------------------------------------------------------------------------


def where(
    bound: conditions.Bound,
    expression: Expression,
    odd: Callable[[str], bool] = lambda key: True,
    few: Few | None = None,
) -> Clause:
    """What stands after WHERE: true where the query holds, else false or NULL.

    `expression` gives SQL for a full key's value as `atoms` keeps it, attributes as themselves
    (times in microseconds, booleans as 0 and 1), `curve.FUNCTION.METRIC` for what is known of a
    curve; in parentheses where it has operators. `odd` tells of such a key whether a run may have
    an integer beyond 64 bits or a text that is no UTF-8 there: where none has, one range of an
    index answers every comparison. `few` gives a condition by which an index finds the runs that
    have one of a few values. The statement needs what `functions` registers.

    Raises:
        UsageError: the query is more than SQLite takes at once.
    """
    text, values = _Writer(expression, odd, few).condition(_plain(bound, True), 0)
    if len(values) > _MOST_VALUES:
        raise UsageError(
            f"the query compares with {len(values):,} values, at most {_MOST_VALUES:,} can be",
            hint="`KEY in (...)` counts as one.",
        )
    return text, values


def term(bound: conditions.Term, expression: Expression) -> Clause:
    """SQL for a value, as `atoms` keeps it, to sort by; NULL where it is missing.

    Raises:
        UsageError: it has more names than SQLite takes at once.
    """
    return _Writer(expression, lambda key: True).value(bound)


def _plain(bound: Any, positive: bool) -> Any:
    """The same condition with `Not` only around single tests, and no `All` directly within one."""
    if isinstance(bound, conditions.Not):
        return _plain(bound.part, not positive)
    if isinstance(bound, (conditions.All, conditions.Any)):
        kind = conditions.All if isinstance(bound, conditions.All) is positive else conditions.Any
        parts: list[Any] = []
        for part in bound.parts:
            made = _plain(part, positive)
            parts += made.parts if isinstance(made, kind) else [made]
        return kind(tuple(parts)) if len(parts) != 1 else parts[0]
    return bound if positive else conditions.Not(bound)


class _Writer:
    """Writes clauses with one caller's expressions."""

    def __init__(
        self, expression: Expression, odd: Callable[[str], bool], few: Few | None = None
    ) -> None:
        self._expression = expression
        self._odd = odd
        self._few = few

    # -- logic ----------------------------------------------------------------------------------

    def condition(self, bound: Any, depth: int) -> Clause:
        if depth > _DEEPEST:
            raise UsageError(
                f"the query nests 'and' within 'or' more than {_DEEPEST} times",
                hint="`KEY in (...)` and `not` may help to write it flatter.",
            )
        if isinstance(bound, conditions.Not):
            text, values = self.condition(bound.part, depth + 1)
            return f"({text}) IS NOT TRUE", values
        if isinstance(bound, conditions.All):
            return self._joined(bound.parts, " AND ", _TRUE, depth)
        if isinstance(bound, conditions.Any):
            return self._joined(bound.parts, " OR ", _FALSE, depth)
        return _WRITERS[type(bound)](self, bound)

    def _joined(self, parts: Sequence[Any], word: str, empty: Clause, depth: int) -> Clause:
        made = [
            (isinstance(p, (conditions.All, conditions.Any)), self.condition(p, depth + 1))
            for p in parts
        ]
        # What nests first stands first: the parser has to remember less.
        made.sort(key=lambda one: not one[0])
        return _balanced([clause for _, clause in made], word) if made else empty

    # -- values ---------------------------------------------------------------------------------

    def value(self, bound: Any) -> Clause:
        if isinstance(bound, conditions.Value):
            return "?", [encode(bound.value)]
        if isinstance(bound, _FORMULAS):
            return self._formula(bound)
        if isinstance(bound, conditions.Spelled):
            return f"gittrack_spelled({self._column(bound.operand)})", []
        if _is_flag(bound):
            column = self._column(bound)
            return f"CASE {column} WHEN 1 THEN {_T} WHEN 0 THEN {_F} END", []
        return self._column(bound), []

    def _column(self, bound: Any) -> str:
        return self._expression(_key(bound))

    def _formula(self, bound: Any, other: Any = None, op: str | None = None) -> Clause:
        """One call of ours for a formula, however deep, and for what it is compared with."""
        program: list[Any] = []
        columns: dict[str, int] = {}
        self._program(bound, program, columns)
        if op is not None:
            self._program(other, program, columns)
            program.append(op)
        if len(columns) > _MOST_NAMES:
            raise UsageError(f"a formula may have {_MOST_NAMES} names at most, not {len(columns)}")
        given = "".join(f", {column}" for column in columns)
        return f"gittrack_formula(?{given})", [_dumped(program)]

    def _program(self, bound: Any, program: list[Any], columns: dict[str, int]) -> None:
        """Write down how a formula is worked out with a stack: operands first."""
        if isinstance(bound, conditions.Value):
            program.append([bound.value])
        elif isinstance(bound, conditions.Sum):
            self._program(bound.left, program, columns)
            self._program(bound.right, program, columns)
            program.append(bound.op)
        elif isinstance(bound, conditions.Minus):
            self._program(bound.operand, program, columns)
            program.append("negative")
        elif isinstance(bound, conditions.Absolute):
            self._program(bound.operand, program, columns)
            program.append("absolute")
        elif isinstance(bound, conditions.Spelled):
            self._program(bound.operand, program, columns)
            program.append("spelled")
        else:
            column, _ = self.value(bound)
            program.append(columns.setdefault(column, len(columns)))

    # -- single tests ---------------------------------------------------------------------------

    def compare(self, bound: conditions.Compare) -> Clause:
        op, left, right = bound.op, bound.left, bound.right
        if isinstance(left, conditions.Value) and not isinstance(right, conditions.Value):
            op, left, right = _FLIPPED[op], right, left
        if (
            isinstance(left, conditions.Spelled)
            and isinstance(right, conditions.Value)
            and op == "="
        ):
            return self._spelled(left, [right.value])
        if not isinstance(left, _COLUMNS) or not isinstance(right, conditions.Value):
            return self._formula(left, right, op)
        value, column, odd = right.value, self._column(left), self._odd(_key(left))
        if isinstance(value, bool):
            return _compare_flag(op, column, value, _is_flag(left))
        if isinstance(value, str):
            if _is_numeric(left) or _is_flag(left):
                return _FALSE
            return _compare_text(op, column, value, odd) or self._formula(left, right, op)
        if _is_flag(left) or value != value:
            return _FALSE
        if op in ("=", "!="):
            return _equal_number(op, column, value)
        others = self._large(op, column, left, right) if odd and not _is_attribute(left) else None
        return _in_order(*_nearest(op, value), column, "''", others)

    def _large(self, op: str, column: str, left: Any, right: Any) -> Clause:
        """The same comparison of integers beyond 64 bits."""
        if -_LARGEST <= right.value <= _LARGEST:
            first, last = _LARGE_POSITIVE if op in (">", ">=") else _LARGE_NEGATIVE
            return f"({column} >= {first} AND {column} < {last})", []
        call, values = self._formula(left, right, op)
        return f"({column} >= {_LARGE[0]} AND {column} < {_LARGE[1]} AND {call})", values

    def _spelled(self, bound: conditions.Spelled, texts: Sequence[Any]) -> Clause:
        """Whether a param is written as one of these texts: 1 and 1.0 are equal, and are not."""
        column = self._column(bound.operand)
        wanted = [text for text in texts if isinstance(text, str)]
        near = [each for text in wanted for value in _spellings(text) for each in _equals(value)]
        first, values = _listed(column, near)
        again, given = _listed(f"gittrack_spelled({column})", list(map(encode, wanted)))
        return f"({first} AND {again})", values + given

    def among(self, bound: conditions.In) -> Clause:
        if isinstance(bound.operand, conditions.Spelled):
            return self._spelled(bound.operand, bound.values)
        if _is_flag(bound.operand):
            flags = {value for value in bound.values if isinstance(value, bool)}
            return _listed(self._column(bound.operand), [int(flag) for flag in sorted(flags)])
        numeric = _is_numeric(bound.operand)
        values = [v for v in bound.values if not (numeric and isinstance(v, str))]
        text, given = self.value(bound.operand)
        found, options = _listed(text, [each for value in values for each in _equals(value)])
        return found, given + options

    def one_of(self, bound: conditions.Among) -> Clause:
        values = sorted(bound.values)
        if self._few is not None and 0 < len(values) <= _LISTED:
            text, given = self._few(bound.key, values)
            return f"({text})", list(given)
        return _listed(self._expression(bound.key), list(values))

    def like(self, bound: conditions.Like) -> Clause:
        pattern = bound.pattern
        given: list[Stored] = [encode(pattern), int(bound.fold)]
        start = "" if bound.fold else scalars.prefix(pattern)
        column, values = self.value(bound.operand)
        call = f"gittrack_like({column}, ?, ?)"
        if not isinstance(bound.operand, _COLUMNS) or not start or not _is_plain(start):
            return call, [*values, *given]
        if start == pattern:
            return f"{column} = ?", [pattern]
        above = _after(start)
        there = f"{column} >= ? AND {column} < {_BLOBS if above is None else '?'}"
        values = [start] if above is None else [start, above]
        if pattern != start + "%":
            there, values = f"{there} AND {call}", [*values, *given]
        if not self._odd(_key(bound.operand)):
            return f"({there})", values
        odd = f"({column} >= {_ODD_TEXT[0]} AND {column} < {_ODD_TEXT[1]} AND {call})"
        return f"(({there}) OR {odd})", [*values, *given]

    def match(self, bound: conditions.Match) -> Clause:
        text, values = self.value(bound.operand)
        name = self._expression("name")
        return f"gittrack_match({text}, ?, {name})", [*values, encode(bound.expression)]

    def missing(self, bound: conditions.Missing) -> Clause:
        text, values = self.value(bound.operand)
        if isinstance(bound.operand, conditions.Field) and bound.operand.key.startswith("params."):
            return f"({text} IS NULL OR {text} = x'{NONE.hex()}')", values
        return f"{text} IS NULL", values

    def holds(self, bound: conditions.Holds) -> Clause:
        flag = "." not in bound.key
        return f"{self._expression(bound.key)} = {1 if flag else _T}", []


_COLUMNS = (conditions.Field, conditions.Curve)
_FORMULAS = (conditions.Sum, conditions.Minus, conditions.Absolute)
_WRITERS: dict[type, Callable[[_Writer, Any], Clause]] = {
    conditions.Compare: _Writer.compare,
    conditions.In: _Writer.among,
    conditions.Among: _Writer.one_of,
    conditions.Like: _Writer.like,
    conditions.Match: _Writer.match,
    conditions.Missing: _Writer.missing,
    conditions.Holds: _Writer.holds,
}


def _key(bound: conditions.Field | conditions.Curve) -> str:
    if isinstance(bound, conditions.Field):
        return bound.key
    last = bound.function == "last"
    return f"metrics.{bound.metric}" if last else f"curve.{bound.function}.{bound.metric}"


def _is_attribute(bound: Any) -> bool:
    return isinstance(bound, conditions.Field) and "." not in bound.key


def _is_flag(bound: Any) -> bool:
    """Whether it is an attribute that is 0 or 1: the truth values of params are BLOBs."""
    return _is_attribute(bound) and bound.kind == "boolean"


def _is_numeric(bound: Any) -> bool:
    """Whether no run can have a text there; SQLite might take '5' for a number then."""
    if _is_attribute(bound):
        return bound.kind in ("number", "time")
    return not isinstance(bound, conditions.Field) or bound.key.startswith("metrics.")


def _balanced(clauses: Sequence[Clause], word: str) -> Clause:
    """Clauses joined in groups: a thousand in a row are more than SQLite takes."""
    while len(clauses) > _TOGETHER:
        parts = range(0, len(clauses), _TOGETHER)
        clauses = [_balanced(clauses[n : n + _TOGETHER], word) for n in parts]
    if len(clauses) == 1:
        return clauses[0]
    text = word.join(text for text, _ in clauses)
    return f"({text})", [value for _, values in clauses for value in values]


def _compare_flag(op: str, column: str, value: bool, attribute: bool) -> Clause:
    if op not in ("=", "!="):
        return _FALSE
    flag = value is (op == "=")
    if attribute:
        return f"{column} = {int(flag)}", []
    return f"{column} = {_T if flag else _F}", []


def _compare_text(op: str, column: str, value: str, odd: bool) -> Clause | None:
    """A comparison with a text; None where SQLite has no such text."""
    if not _is_plain(value):
        return None
    if op == "=":
        return f"{column} = ?", [value]
    others = f"{column} >= {_ODD_TEXT[0]} AND {column} < {_ODD_TEXT[1]}"
    if op == "!=":
        told = f"({column} < {_BLOBS} OR {others})" if odd else f"{column} < {_BLOBS}"
        return f"({column} >= '' AND {column} <> ? AND {told})", [value]
    call = f"({others} AND gittrack_formula(?, {column}))"
    program: list[Stored] = [_dumped([0, [value], op])]
    more = (call, program) if odd else None
    return _in_order(op, value, column, _BLOBS, more)


def _equal_number(op: str, column: str, value: int | float) -> Clause:
    same, values = _listed(column, _equals(value))
    if op == "=":
        return same, values
    there = f"{column} < '' OR ({column} >= {_LARGE[0]} AND {column} < {_LARGE[1]})"
    return f"(({there}) AND NOT {same})", values


def _in_order(op: str, value: Any, column: str, above: str, others: Clause | None) -> Clause:
    """A comparison by order, of values below `above` alone, and of `others` kept as BLOBs.

    Numbers, texts and BLOBs follow one another: a range of an index holds those of one type.
    """
    if op in ("<", "<="):
        least = "" if above == "''" else f"{column} >= '' AND "
        there = f"{least}{column} {op} ?"
        if others is None:
            return f"({there})", [value]
        return f"(({there}) OR {others[0]})", [value, *others[1]]
    if others is None:
        return f"({column} {op} ? AND {column} < {above})", [value]
    return f"({column} {op} ? AND ({column} < {above} OR {others[0]}))", [value, *others[1]]


def _nearest(op: str, value: int | float) -> tuple[str, int | float]:
    """The same comparison for all numbers that SQLite has, with one that it has."""
    if isinstance(value, float) or -_LARGEST <= value <= _LARGEST:
        return op, value
    try:
        near = float(value)
    except OverflowError:
        near = float("inf") if value > 0 else float("-inf")
    if near == value:
        return op, near
    upwards, downwards = (">", "<=") if near < value else (">=", "<")
    return upwards if op in (">", ">=") else downwards, near


def _equals(value: Any) -> list[Stored]:
    """What a column may hold where it equals `value`: large numbers are kept in two ways."""
    if value is None or value != value:
        return []
    found: list[Stored] = [encode(value)]
    if isinstance(value, float) and abs(value) >= _LARGEST and value - value == 0:
        found.append(encode(int(value)))
    elif isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        try:
            near = float(value)
        except OverflowError:
            return found
        found += [near] if near == value else []
    return found


def _listed(text: str, values: Sequence[Stored]) -> Clause:
    """Whether an expression is one of some values; many of them are one value to SQLite."""
    if not values:
        return _FALSE
    if len(values) == 1:
        return f"{text} = ?", [values[0]]
    if len(values) <= _LISTED:
        return f"{text} IN ({','.join('?' * len(values))})", list(values)
    items = _dumped([_dumped([decode(value)]) for value in values])
    return f"{text} IN (SELECT gittrack_atom(value) FROM json_each(?))", [items]


def _spellings(text: str) -> list[Any]:
    """The values that may be written so, and at times more."""
    found: list[Any] = [text]
    for kind in (int, float):
        try:
            found.append(kind(text))
        except (ValueError, OverflowError):
            pass
    return found + [flag for flag in (True, False) if str(flag) == text]


def _is_plain(text: str) -> bool:
    return isinstance(encode(text), str)


def _after(start: str) -> str | None:
    """The least text above all that begin with `start`; None if there is none."""
    for place in range(len(start) - 1, -1, -1):
        code = ord(start[place]) + 1
        if code <= 0x10FFFF:
            return start[:place] + chr(0xE000 if 0xD800 <= code < 0xE000 else code)
    return None


def _dumped(value: Any) -> str:
    import json

    return json.dumps(value)
