"""A query's tree with the names and types of these runs.

Knows which key a name means, what may be compared with what, how times and durations are written,
and MLflow's words. Functions over Git are looked up here, once for all runs. Knows nothing of how
runs are kept, and evaluates nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeGuard

from gittrack import syntax
from gittrack.conditions import (
    All,
    Among,
    Any,
    Bound,
    Compare,
    Curve,
    Field,
    Holds,
    In,
    Like,
    Match,
    Missing,
    Not,
    Scalar,
    Spelled,
    Term,
    Value,
)
from gittrack.constants import KINDS, kind, of_milliseconds, seconds, spellings
from gittrack.errors import GittrackError, QueryError, UsageError
from gittrack.frozen import Frozen
from gittrack.keys import nearest
from gittrack.quoting import one_line
from gittrack.terms import INSTEAD, OF_DATASETS, Terms, Typed
from gittrack.tokens import OF_WORDS
from gittrack.vocabulary import Vocabulary

__all__ = ["Functions", "Moment", "bind", "bind_value", "uses"]

Functions: TypeAlias = Callable[[str, tuple[str, ...]], Among]
"""A function over Git or lineage by name, and its arguments -> the runs for which it holds.

`commit` is the one behind `commit in A..B`, with the range as its argument. `dataset` is about any
of the files that a run reads: `name` (the path) or `digest` (the MD5), then one of = != like ilike
in `not in`, then texts.
"""

Moment: TypeAlias = Callable[[str], int | None]
"""A date in Git's words -> microseconds since the epoch; None if it is none."""


_FLIPPED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_HEX = r"[0-9a-f]{4,40}"
_WHOLE = 40
_NO_ORDER = "truth values have no order"


def bind(
    tree: syntax.Node, text: str, vocabulary: Vocabulary, *, functions: Functions, moment: Moment
) -> Bound:
    """Understand the tree of a query `text` as a condition on runs.

    Raises:
        QueryError: a name that no run has, values that cannot be compared, a function's refusal.
    """
    return _Binder(text, vocabulary, functions, moment).condition(tree)


def bind_value(tree: syntax.Node, text: str, vocabulary: Vocabulary) -> Term:
    """Understand a tree as a value of a run, to sort by or to show.

    Raises:
        QueryError: as `bind`.
    """
    terms = Terms(text, vocabulary)
    term = terms.term(tree).term
    if not uses(term):
        raise terms.refusal(f"{terms.written(tree)} names nothing of a run", tree)
    return term


def uses(bound: Frozen) -> frozenset[str]:
    """What must be known of runs: full keys, and `curves` where the message does not tell."""
    if isinstance(bound, (Field, Holds, Among)):
        return frozenset((bound.key,))
    if isinstance(bound, Curve):
        return frozenset((f"metrics.{bound.metric}",) if bound.function == "last" else ("curves",))
    if isinstance(bound, Value):
        return frozenset()
    parts = bound.parts if isinstance(bound, (All, Any)) else bound.fields()
    return frozenset().union(*(uses(part) for part in parts if isinstance(part, Frozen)))


class _Binder(Terms):
    def __init__(
        self, text: str, vocabulary: Vocabulary, functions: Functions, moment: Moment
    ) -> None:
        super().__init__(text, vocabulary)
        self.functions = functions
        self.moment = moment

    # -- conditions ---------------------------------------------------------------------------

    def condition(self, node: syntax.Node) -> Bound:
        match node:
            case syntax.And(operands):
                return All(tuple(map(self.condition, operands)))
            case syntax.Or(operands):
                return Any(tuple(map(self.condition, operands)))
            case syntax.Not(operand):
                return Not(self.condition(operand))
            case syntax.Comparison():
                return self.either(node, node.left) or self.comparison(node)
            case syntax.Member():
                return self.either(node, node.operand) or self.member(node)
            case syntax.Null():
                return self.either(node, node.operand) or self.null(node)
            case syntax.Range():
                return self.range(node)
            case syntax.Call(function, arguments) if function in OF_WORDS:
                return self.ask(function, tuple(map(self.argument, arguments)), node)
        return self.flag(node)

    def flag(self, node: syntax.Node) -> Bound:
        """A value where a condition is wanted: a truth value is one."""
        if _is_constant(node):
            raise self.refusal("a condition is expected, such as lr < 0.1", node)
        typed = self.term(node)
        if typed.kind == "boolean" or self.vocabulary.count(typed.key).booleans:
            return Holds(typed.key)
        name = self.written(node)
        raise self.refusal(
            f"'{name}' is {KINDS[typed.kind]}, and no condition by itself",
            node,
            f"compare it, as in {name} {self.example(typed)}, or write {name} is not null.",
        )

    def example(self, typed: Typed) -> str:
        """What such values may be compared with."""
        if typed.kind == "time":
            return "> '2 weeks ago'"
        number = typed.kind == "number" or self.vocabulary.count(typed.key).numbers
        return "> 0.5" if number else "= 'adam'"

    def either(self, node: syntax.Node, operand: syntax.Node) -> Bound | None:
        """A test of MLflow's run_name: of the title if the run has one, or else of its name.

        A name is also equal without what was added to it to make it unique.
        """
        if not isinstance(operand, syntax.Name) or self.attribute(operand) != "run_name":
            return None
        title, name = (
            self.condition(_with_operand(node, operand.changed(group="attributes", key=key)))
            for key in ("title", "name")
        )
        begun = tuple(map(_begun, _equals(node)))
        if begun:
            differs = isinstance(node, syntax.Comparison) and node.op == "!="
            negated = differs or (isinstance(node, syntax.Member) and node.negated)
            name = All((name, Not(Any(begun)))) if negated else Any((name, *begun))
        untitled = Missing(Field("title", "text"))
        return Any((All((Not(untitled), title)), All((untitled, name))))

    def comparison(self, node: syntax.Comparison) -> Bound:
        op, left, right = node.op, node.left, node.right
        if _is_constant(left):
            if _is_constant(right):
                raise self.refusal("neither side names anything of a run", node)
            if op not in _FLIPPED:
                raise self.refusal(f"the name stands left of '{op}', the text right of it", node)
            op, left, right = _FLIPPED[op], right, left
        if _is_dataset(left):
            return self.dataset(left, op, right)
        typed = self.term(left)
        if _is_constant(right):
            return self.against(typed, op, right, node)
        if op not in _FLIPPED:
            raise self.refusal(f"'{op}' is followed by a text in quotes", right)
        return self.between(typed, op, self.other(typed, right), node)

    def other(self, left: Typed, node: syntax.Node) -> Typed:
        """The right side of a comparison; an unknown name there is often a text without quotes."""
        try:
            return self.term(node)
        except QueryError as error:
            if not isinstance(node, syntax.Name) or left.kind not in ("text", "mixed", "time"):
                raise
            hint = f"a text stands in quotes: '{self.written(node)}'."
            raise self.refusal(error.reason, node, hint)

    def between(self, left: Typed, op: str, right: Typed, node: syntax.Comparison) -> Bound:
        kinds = {left.kind, right.kind} - {"mixed"}
        if len(kinds) > 1 or (kinds == {"time"} and left.kind != right.kind):
            raise self.refusal(f"{KINDS[left.kind]} does not compare to {KINDS[right.kind]}", node)
        for side in (left, right):
            if kinds and side.kind == "mixed":
                self.check(side, kinds.copy().pop(), node)
        if kinds == {"boolean"} and op not in ("=", "!="):
            raise self.refusal(_NO_ORDER, node)
        return Compare(op, left.term, right.term)

    def against(self, left: Typed, op: str, right: syntax.Node, node: syntax.Node) -> Bound:
        """A comparison with what stands in the query itself."""
        value = self.constant(right)
        if op not in _FLIPPED:
            return self.likeness(left, op, value, node)
        if left.milliseconds and not isinstance(value, (str, bool)):
            return of_milliseconds(op, left.term, value)
        if left.kind == "mixed" and isinstance(value, str):
            return self.of_param(left, op, value, node)
        value = self.converted(left, value, right, node)
        if isinstance(value, bool) and op not in ("=", "!="):
            raise self.refusal(_NO_ORDER, node)
        if left.key in ("commit", "base") and op in ("=", "!="):
            return self.of_hash(left.term, op, str(value), right)
        return Compare(op, left.term, Value(value))

    def of_hash(self, term: Term, op: str, value: str, right: syntax.Node) -> Bound:
        """A commit beside its hash, or four digits at least of the beginning."""
        digits = value.lower()
        if not re.fullmatch(_HEX, digits):
            raise self.refusal(
                f"{self.written(right)} is no hash of a commit",
                right,
                "it has 4 to 40 hexadecimal digits; of branches there is `commit in main..topic`.",
            )
        if len(digits) >= _WHOLE:
            return Compare(op, term, Value(digits))
        begins = Like(term, f"{digits}%", False)
        return begins if op == "=" else All((Not(Missing(term)), Not(begins)))

    def of_param(self, left: Typed, op: str, value: str, node: syntax.Node) -> Bound:
        """A param beside a quoted text, which as in MLflow is also a number that is spelled so."""
        order = op not in ("=", "!=")
        if order or len(spellings(value)) == 1:
            self.check(left, "text", node)
        return Compare(op, left.term if order else self.as_text(left), Value(value))

    def as_text(self, typed: Typed) -> Term:
        """A param as MLflow keeps it, where that may differ from what it is."""
        count = self.vocabulary.count(typed.key)
        plain = typed.kind == "text" or not (count.numbers or count.booleans)
        return typed.term if plain or not isinstance(typed.term, Field) else Spelled(typed.term)

    def converted(
        self, left: Typed, value: Scalar, right: syntax.Node, node: syntax.Node
    ) -> Scalar:
        """What stands in the query, as the type that a value of runs has."""
        is_a = kind(value)
        if left.kind == "mixed":
            self.check(left, is_a, node)
        elif left.kind == "time":
            return self.time(value, right)
        elif left.key == "duration" and isinstance(value, str):
            return self.seconds(value, right)
        elif left.kind != is_a:
            raise self.refusal(
                f"'{self.written(left.node)}' is {KINDS[left.kind]},"
                f" {self.written(right)} {KINDS[is_a]}",
                node,
                INSTEAD.get((left.kind, kind(value))),
            )
        elif left.key == "status":
            return self.status(str(value), right)
        return value

    def likeness(self, left: Typed, op: str, value: Scalar, node: syntax.Node) -> Bound:
        if not isinstance(value, str):
            raise self.refusal(f"'{op}' is followed by a text in quotes", node)
        if left.kind not in ("text", "mixed"):
            name = self.written(left.node)
            raise self.refusal(f"'{name}' is {KINDS[left.kind]}, '{op}' is for texts", node)
        term = self.as_text(left)
        if op != "=~":
            return Like(term, value, op == "ilike" or left.key == "status")
        from gittrack import expressions

        try:
            expressions.expression(value)
        except UsageError as error:
            raise self.refusal(one_line(error.message), node, error.hint)
        return Match(term, value)

    def member(self, node: syntax.Member) -> Bound:
        if _is_dataset(node.operand):
            return self.dataset(node.operand, "not in" if node.negated else "in", *node.options)
        found: list[Bound] = []
        values: dict[Term, list[Scalar]] = {}
        typed = self.term(node.operand)
        for option in node.options:
            test = self.against(typed, "=", option, node)
            if isinstance(test, Compare) and isinstance(test.right, Value):
                values.setdefault(test.left, []).append(test.right.value)
            else:
                found.append(test)
        found += [In(term, tuple(options)) for term, options in values.items()]
        whole = found[0] if len(found) == 1 else Any(tuple(found))
        return Not(whole) if node.negated else whole

    def null(self, node: syntax.Null) -> Bound:
        if _is_constant(node.operand):
            raise self.refusal("'is null' asks of a name", node)
        missing = Missing(self.term(node.operand).term)
        return Not(missing) if node.negated else missing

    # -- Git and lineage ----------------------------------------------------------------------

    def range(self, node: syntax.Range) -> Bound:
        operand = node.operand
        if not isinstance(operand, syntax.Name) or self.attribute(operand) not in (
            "commit",
            "base",
        ):
            hint = "write x in ('a', 'b')."
            raise self.refusal("a range of commits goes with 'commit'", operand, hint)
        text = f"{node.first.text}{'...' if node.symmetric else '..'}{node.last.text}"
        found = self.ask("commit", (text,), node)
        return Not(found) if node.negated else found

    def dataset(self, left: syntax.Name, op: str, *right: syntax.Node) -> Bound:
        """MLflow's data sets: what a run reads, by path or hash; it may be any of them."""
        if left.key not in ("name", "digest"):
            raise self.refusal(f"no data set has a '{self.written(left)}'", left, OF_DATASETS)
        if op in ("<", "<=", ">", ">=", "=~"):
            raise self.refusal(f"data sets are not compared with '{op}'", left, OF_DATASETS)
        values = [self.constant(node) if _is_constant(node) else None for node in right]
        texts = tuple(value for value in values if isinstance(value, str))
        if len(texts) < len(right):
            raise self.refusal("data sets are compared with texts", right[0], OF_DATASETS)
        return self.ask("dataset", (left.key, op, *texts), right[0])

    def argument(self, node: syntax.Node) -> str:
        if isinstance(node, syntax.Word):
            return node.text
        if isinstance(node, syntax.Literal) and isinstance(node.value, str):
            return node.value
        raise self.refusal("a text in quotes is expected here", node)

    def ask(self, function: str, arguments: tuple[str, ...], node: syntax.Node) -> Bound:
        try:
            return self.functions(function, arguments)
        except QueryError:
            raise
        except GittrackError as error:
            raise self.refusal(one_line(error.message), node, error.hint)

    # -- what stands in the query -------------------------------------------------------------

    def constant(self, node: syntax.Node) -> Scalar:
        if isinstance(node, syntax.Literal):
            return node.value
        assert isinstance(node, syntax.Negative) and isinstance(node.operand, syntax.Literal)
        value = node.operand.value
        if isinstance(value, (str, bool)):
            raise self.refusal(f"'{self.written(node)}' is no number", node)
        return -value

    def time(self, value: Scalar, node: syntax.Node) -> int:
        hint = "write it as Git does: '2 weeks ago', 'yesterday', '2026-01-31 12:00'."
        if not isinstance(value, str):
            raise self.refusal(f"{self.written(node)} is no time", node, hint)
        found = self.moment(value) if value.strip() and "\0" not in value else None
        if found is None:
            raise self.refusal(f"{self.written(node)} is no time", node, hint)
        return found

    def seconds(self, value: str, node: syntax.Node) -> float:
        found = seconds(value)
        if found is None:
            hint = "write seconds, or '90s', '5m', '1h30m', '2 days'."
            raise self.refusal(f"{self.written(node)} is no length of time", node, hint)
        return found

    def status(self, value: str, node: syntax.Node) -> str:
        from gittrack.summaries import STATUSES

        if value.lower() not in (*STATUSES, "scheduled"):
            near = nearest(value, STATUSES)
            hint = f"did you mean '{near}'?" if near else f"there are {', '.join(STATUSES)}."
            raise self.refusal(f"no run can have the status {self.written(node)}", node, hint)
        return value.lower()


def _is_constant(node: syntax.Node) -> bool:
    inner = node.operand if isinstance(node, syntax.Negative) else node
    return isinstance(inner, syntax.Literal)


def _is_dataset(node: syntax.Node) -> TypeGuard[syntax.Name]:
    return isinstance(node, syntax.Name) and node.group == "datasets"


def _equals(node: syntax.Node) -> Sequence[str]:
    """The texts that something is to be equal to, or not."""
    options: Sequence[syntax.Node] = ()
    if isinstance(node, syntax.Member):
        options = node.options
    elif isinstance(node, syntax.Comparison) and node.op in ("=", "!="):
        options = (node.right,)
    literals = [option.value for option in options if isinstance(option, syntax.Literal)]
    return [value for value in literals if isinstance(value, str)]


def _begun(text: str) -> Bound:
    """Names that are this text, a dash and the six letters that make it unique."""
    name = Field("name", "text")
    within = (Compare(">=", name, Value(f"{text}-")), Compare("<", name, Value(f"{text}.")))
    return All((*within, Like(name, "_" * (len(text) + 7), False)))


def _with_operand(node: syntax.Node, operand: syntax.Name) -> syntax.Node:
    if isinstance(node, syntax.Comparison):
        return node.changed(left=operand)
    assert isinstance(node, (syntax.Member, syntax.Null))
    return node.changed(operand=operand)
