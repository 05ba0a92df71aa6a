"""The text of a query as a tree, by the grammar in `query.peg`; the door to parsimonious.

Knows how a query is written, and where in the text each part of it stands. Knows nothing of runs:
which names there are, and what compares to what, is for `binding` to say. Nothing is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

from gittrack.errors import QueryError
from gittrack.syntax import (
    GROUPS,
    And,
    Arithmetic,
    Call,
    Comparison,
    Literal,
    Member,
    Name,
    Negative,
    Node,
    Not,
    Null,
    Or,
    Range,
    Word,
)
from gittrack.tokens import FUNCTIONS, Token, tokens

__all__ = ["LONGEST", "parse", "parse_order", "parse_value"]

LONGEST = 128 * 1024
"""Bytes that a query may have in UTF-8."""

_MOST_TERMS = 200
_MOST: dict[str, tuple[int, tuple[str, ...]]] = {
    "comparisons": (2_000, ("and", "or", "end")),
    "patterns (like, ilike, =~)": (100, ("match",)),
    "words and signs": (20_000, ()),
}
"""What of -> how much a query may have, and the tokens that are counted; none: all."""


# -- entrances ------------------------------------------------------------------------------------


def parse(text: str) -> Node:
    """Read a query; one that is empty or blank holds for all runs.

    Raises:
        QueryError: it is none; the error says where, and what was expected there.
    """
    return _parse(text, "query", 0, len(text))


def parse_order(text: str) -> tuple[Node, bool]:
    """Read what runs are to be sorted by, and whether downwards: `-KEY`, `KEY desc`, `KEY asc`.

    Raises:
        QueryError: as `parse`.
    """
    end = len(text.rstrip())
    start = end - len(text[:end].lstrip())
    sign = text[start : start + 1]
    start += sign in ("-", "+")
    word = re.search(r"\s(asc|desc)\Z", text[start:end], re.IGNORECASE)
    if word:
        end -= len(word[0])
    downwards = (sign == "-") ^ (word is not None and word[1].lower() == "desc")
    return _parse(text, "key", start, end), downwards


def parse_value(text: str) -> Node:
    """Read one value of a run, such as `max(acc) - min(acc)`; a sign before it is its own.

    Raises:
        QueryError: as `parse`.
    """
    return _parse(text, "key", 0, len(text))


def _parse(text: str, rule: str, start: int, end: int) -> Node:
    from parsimonious.exceptions import ParseError

    if len(text) > LONGEST or len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        reason = f"the query has more than {LONGEST // 1024} KiB"
        raise QueryError(reason, text=text, start=0, end=1)
    found = tokens(text, start, end)
    _check_length(text, found)
    try:
        return _Builder(text, found).build(_grammar()[rule].parse(found))
    except ParseError:
        _complain(text, rule, found)
    except RecursionError:
        raise QueryError("the query nests too deep", text=text, start=start, end=end) from None


def _check_length(text: str, found: list[Token]) -> None:
    """Refuse what would take seconds, or a gigabyte; a list is one value, however long.

    Raises:
        QueryError: there is more of something than `_MOST` allows.
    """
    counts = dict.fromkeys(_MOST, 0)
    listed, before = False, ""
    for token in found:
        listed = token.type != ")" if listed else before == "in" and token.type == "("
        before = token.type
        if listed:
            continue
        for name, (most, kinds) in _MOST.items():
            counts[name] += not kinds or before in kinds
            if counts[name] > most:
                hint = "`KEY in (...)` counts as one, however long the list."
                raise QueryError(
                    f"the query has more than {most:,} {name}",
                    text=text,
                    start=token.start,
                    end=token.end,
                    hint=hint if name == "comparisons" else None,
                )


@cache
def _grammar() -> Any:
    from parsimonious.grammar import TokenGrammar

    # `importlib.resources` would cost more than the grammar.
    with open(__file__.removesuffix("language.py") + "query.peg", encoding="utf-8") as file:
        lines = file.read().split("\n")
    # Comments are cut off here: parsimonious takes a millisecond for them.
    return TokenGrammar("\n".join(line for line in lines if line and line[0] != "#"))


# -- from tokens to the tree ----------------------------------------------------------------------


class _Builder:
    """Nodes of parsimonious -> nodes of ours; the methods are called as the rules are."""

    def __init__(self, text: str, found: list[Token]) -> None:
        self.text = text
        self.tokens = found

    def build(self, node: Any) -> Node:
        return getattr(self, node.expr_name)(node)  # type: ignore[no-any-return]

    def span(self, node: Any) -> tuple[int, int]:
        """The characters that the tokens of a node cover."""
        return self.tokens[node.start].start, self.tokens[node.end - 1].end

    def query(self, node: Any) -> Node:
        condition = node.children[0].children
        return self.build(condition[0]) if condition else And((), 0, len(self.text))

    def key(self, node: Any) -> Node:
        return self.build(node.children[0])

    def condition(self, node: Any) -> Node:
        first, more = node.children
        if not more.children:
            return self.build(first)
        operands = [first, *(part.children[1] for part in more.children)]
        return Or(tuple(map(self.build, operands)), *self.span(node))

    def both(self, node: Any) -> Node:
        first, more = node.children
        if not more.children:
            return self.build(first)
        operands = [first, *(part.children[1] for part in more.children)]
        return And(tuple(map(self.build, operands)), *self.span(node))

    def denied(self, node: Any) -> Node:
        nots, operand = node.children
        built = self.build(operand)
        # `not not x` is x, so that no number of them nests.
        return Not(built, *self.span(node)) if len(nots.children) % 2 else built

    def comparison(self, node: Any) -> Node:
        operand, test = node.children
        left = self.build(operand)
        if not test.children:
            return left
        kind = test.children[0].children[0]
        left = _as_name(left)
        if kind.expr_name == "relation":
            return self.relation(left, kind, self.span(node))
        negated = bool(kind.children[0 if kind.expr_name == "member" else 1].children)
        if kind.expr_name == "absence":
            return Null(left, negated, *self.span(node))
        found = kind.children[2].children[0]
        if found.expr_name == "options":
            return Member(left, self.options(found), negated, *self.span(node))
        return self.range(left, self.tokens[found.start], negated, self.span(node))

    def relation(self, left: Node, node: Any, span: tuple[int, int]) -> Node:
        operator, right = node.children
        token = self.tokens[operator.end - 1]
        made = Comparison(token.value, left, self.build(right), *span)
        return Not(made, *span) if operator.end - operator.start > 1 else made

    def options(self, node: Any) -> tuple[Node, ...]:
        _, first, more, _ = node.children
        built = [self.build(n) for n in (first, *(part.children[1] for part in more.children))]
        for option in built:
            plain = option.operand if isinstance(option, Negative) else option
            if not isinstance(plain, Literal):
                self.refuse(
                    "a list holds numbers and texts only", option, _quotes(self.text, plain)
                )
        return tuple(built)

    def range(self, left: Node, token: Token, negated: bool, span: tuple[int, int]) -> Node:
        first, dots, last = token.value.partition("...")
        if not dots:
            first, dots, last = token.value.partition("..")
        if not dots or "\0" in token.value:
            raise QueryError(
                "a list or a range is expected after 'in'",
                text=self.text,
                start=token.start,
                end=token.end,
                hint="write x in ('a', 'b'), or commit in main..topic.",
            )
        ends = token.start + len(first), token.end - len(last)
        return Range(
            left,
            Word(first, token.start, ends[0]),
            Word(last, ends[1], token.end),
            dots == "...",
            negated,
            *span,
        )

    def sum(self, node: Any) -> Node:
        return self.chain(node)

    def product(self, node: Any) -> Node:
        return self.chain(node)

    def chain(self, node: Any) -> Node:
        """Operators of one rank, the leftmost first."""
        first, more = node.children
        made = self.build(first)
        for count, part in enumerate(more.children, 1):
            operator, operand = part.children
            token = self.tokens[operator.start]
            if count >= _MOST_TERMS:
                self.refuse(f"more than {_MOST_TERMS} terms in one calculation", token)
            right = self.build(operand)
            made = Arithmetic(token.value, made, right, made.start, right.end)
        return made

    def signed(self, node: Any) -> Node:
        signs, atom = node.children
        built = self.build(atom.children[0]) if atom.children[0].expr_name else self.leaf(atom)
        minus = sum(self.tokens[sign.start].value == "-" for sign in signs.children)
        return Negative(built, *self.span(node)) if minus % 2 else built

    def leaf(self, node: Any) -> Node:
        token = self.tokens[node.start]
        if token.type == "name":
            return _name(token)
        if token.type == "text":
            value, quote = token.value
            return Literal(value, quote, token.start, token.end)
        return Literal(token.value, "", token.start, token.end)

    def call(self, node: Any) -> Node:
        token = self.tokens[node.start]
        arguments: list[Node] = []
        for given in node.children[2].children:
            first, more = given.children
            found = [first, *(part.children[1] for part in more.children)]
            arguments += [self.argument(one) for one in found]
        least, most = FUNCTIONS[token.value]
        if not least <= len(arguments) <= most:
            wanted = "one argument" if most == 1 else f"{least} or {most} arguments"
            self.refuse(f"{token.value}() takes {wanted}, not {len(arguments)}", node)
        return Call(token.value, tuple(arguments), *self.span(node))

    def argument(self, node: Any) -> Node:
        if node.children[0].expr_name:
            return self.build(node.children[0])
        token = self.tokens[node.start]
        return Word(token.value, token.start, token.end)

    def group(self, node: Any) -> Node:
        built = self.build(node.children[1])
        start, end = self.span(node)
        return built.changed(start=start, end=end)

    def refuse(self, reason: str, node: Any, hint: str | None = None) -> NoReturn:
        start, end = (node.start, node.end) if not hasattr(node, "expr_name") else self.span(node)
        raise QueryError(reason, text=self.text, start=start, end=end, hint=hint)


def _name(token: Token) -> Name:
    head, rest = token.value
    if head in GROUPS:
        return Name(GROUPS[head], rest, token.start, token.end)
    return Name(None, f"{head}.{rest}" if head else rest, token.start, token.end)


def _as_name(node: Node) -> Node:
    """What stands left of a comparison: there, as in MLflow, a key may be in double quotes."""
    if isinstance(node, Literal) and node.quote == '"':
        return Name(None, str(node.value), node.start, node.end)
    return node


def _quotes(text: str, node: Node) -> str | None:
    if isinstance(node, Name):
        return f"a text stands in quotes: '{text[node.start : node.end][:80]}'."
    return None


# -- what was expected ----------------------------------------------------------------------------


class _Asked(str):
    """The type of a token that notes with what it is compared."""

    __slots__ = ("noted",)
    noted: set[str]

    def __new__(cls, word: str) -> _Asked:
        made = super().__new__(cls, word)
        made.noted = set()
        return made

    def __eq__(self, other: object) -> bool:
        self.noted.add(str(other))
        return str(self) == other

    __hash__ = str.__hash__


def _complain(text: str, rule: str, found: list[Token]) -> NoReturn:
    """Parse once more, to see at which token all rules ended, and what each of them wanted."""
    from parsimonious.exceptions import ParseError

    asked = [_Asked(token.type) for token in found]
    for token, type_ in zip(found, asked, strict=True):
        token.type = type_
    try:
        _grammar()[rule].parse(found)
    except ParseError:
        pass
    place = max(n for n, type_ in enumerate(asked) if type_.noted)
    noted = asked[place].noted
    token, before = found[place], found[place - 1] if place else None
    raw = text[token.start : token.end]
    expected = _expected(noted, rule)
    wrong = "the query ends" if token.type == "end" else f"'{raw[:80]}' is not understood"
    raise QueryError(
        f"{wrong}: {expected} is expected here",
        text=text,
        start=token.start,
        end=token.end,
        hint=_between(text, found, place) or _hint(token, before, raw, noted),
    )


def _expected(noted: set[str], rule: str) -> str:
    for token, words in _WANTED:
        if token in noted:
            return words
    return "the end" if rule == "key" else "'and', 'or' or the end"


_WANTED = (
    ("word", "an argument"),
    ("number", "a name or a value"),
    ("match", "a comparison such as = or >"),
    ("null", "'null'"),
    ("revisions", "a list such as ('a', 'b') or a range such as main..topic"),
    ("(", "'('"),
    (",", "',' or ')'"),
    (")", "'and', 'or' or ')'"),
)
"""A type of token -> what to call it and all that may stand in its place."""


def _between(text: str, found: Sequence[Token], place: int) -> str | None:
    """How a range of SQL's is written here; None if it is none."""
    token = found[place]
    if token.type != "name" or text[token.start : token.end].lower() != "between":
        return None
    left = [found[n] for n in (place - 2, place - 1) if n >= 0 and found[n].type != "not"][-1:]
    right = found[place + 1 : place + 4]
    name, low, high = "x", "1", "2"
    if [t.type for t in left] == ["name"]:
        name = text[left[0].start : left[0].end]
    if [t.type for t in right] in (["number", "and", "number"], ["text", "and", "text"]):
        low, high = (text[t.start : t.end] for t in (right[0], right[2]))
    if found[place - 1].type == "not":
        return f"write {name} < {low} or {name} > {high}."
    return f"write {name} >= {low} and {name} <= {high}."


def _hint(token: Token, before: Token | None, raw: str, noted: set[str]) -> str | None:
    if token.type == "end":
        return None
    if token.type == "null":
        return "write `is null`, or `is not null`."
    if token.type == "compare" and before is not None and "and" in noted:
        return "two comparisons are joined: 0.1 < lr and lr < 1."
    if token.type in ("name", "number", "text", "not", "function") and "and" in noted:
        return "conditions are joined with `and` or `or`; a text or a name with spaces has quotes."
    if token.type == ")" and "and" in noted:
        return "there is no '(' that it could close."
    if token.type == "name" and "match" in noted:
        return 'a text stands in quotes, and so does a name with spaces: metrics."val loss".'
    return None
