"""Names and values in a query, as values of these runs.

Knows which key a name means, MLflow's words for attributes, of which type each value is, and what
can be calculated. Knows nothing of comparisons.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gittrack import syntax
from gittrack.conditions import Absolute, Curve, Field, Minus, Sum, Term, Value
from gittrack.constants import KINDS, kind
from gittrack.errors import QueryError, UnknownKey
from gittrack.keys import nearest
from gittrack.quoting import one_line
from gittrack.tokens import OF_CURVES
from gittrack.vocabulary import ALIASES, ATTRIBUTES, GROUPS, Vocabulary

__all__ = ["INSTEAD", "OF_DATASETS", "Terms", "Typed"]

_NUMBERS = ("duration", "exit_code")
_TIMES = ("started", "ended")
_BOOLEANS = ("dirty", "archived", "deleted")
_MLFLOW = {
    "start_time": "started",
    "created": "started",
    "Created": "started",
    "end_time": "ended",
    "user_id": "user",
    "run_id": "id",
    "run_name": "run_name",
    "run name": "run_name",
    "Run name": "run_name",
    "Run Name": "run_name",
    "experiment_id": "experiment",
}
_MILLISECONDS = ("start_time", "end_time", "created", "Created")

_JOINED = r"[\w@.]+(?:[/-][\w@.]+)+"

INSTEAD = {
    ("text", "number"): "a text stands in quotes.",
    ("text", "boolean"): "a text stands in quotes.",
    ("number", "text"): "numbers have no quotes.",
    ("boolean", "text"): "write true or false, without quotes.",
    ("boolean", "number"): "write true or false.",
}
"""What runs have, what the query has -> what to write instead."""

OF_DATASETS = "write dataset.name = 'data/raw.csv' (=, !=, like, ilike, in), or dataset.digest."
"""What to write of MLflow's data sets."""

_COUNTED = {"number": "numbers", "text": "texts", "boolean": "booleans"}


class Typed(NamedTuple):
    """A value of a run and what compares with it: a number, text, boolean, time or mixed."""

    term: Term
    kind: str
    node: syntax.Node
    milliseconds: bool = False

    @property
    def key(self) -> str:
        """The full key of a field, or ""."""
        return self.term.key if isinstance(self.term, Field) else ""


class Terms:
    """The values in the query `text`, of runs with a vocabulary."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self.text = text
        self.vocabulary = vocabulary

    def refusal(self, reason: str, node: syntax.Node, hint: str | None = None) -> QueryError:
        """The error that a part of the query is."""
        return QueryError(reason, text=self.text, start=node.start, end=node.end, hint=hint)

    def written(self, node: syntax.Node) -> str:
        """A part of the query as it stands there, on one line and not too long."""
        raw = self.text[node.start : node.end]
        return one_line(raw if len(raw) <= 80 else raw[:80] + "...")

    def term(self, node: syntax.Node) -> Typed:
        """A value of a run."""
        match node:
            case syntax.Name():
                return self._named(node)
            case syntax.Literal(value):
                return Typed(Value(value), kind(value), node)
            case syntax.Negative(operand):
                return Typed(Minus(self.number(operand)), "number", node)
            case syntax.Arithmetic():
                return self._arithmetic(node)
            case syntax.Call("abs", (operand,)):
                return Typed(Absolute(self.number(operand)), "number", node)
            case syntax.Call(function, (operand,)) if function in OF_CURVES:
                return Typed(Curve(function, self._metric(function, operand)), "number", node)
        raise self.refusal("a name or a value is expected here, not a condition", node)

    def number(self, node: syntax.Node) -> Term:
        """A value that can be added and multiplied; a time counts in seconds since the epoch."""
        typed = self.term(node)
        if typed.kind == "time":
            divisor = 1_000 if typed.milliseconds else 1_000_000
            return Sum("/", typed.term, Value(divisor))
        if typed.kind == "mixed":
            self.check(typed, "number", node)
        elif typed.kind != "number":
            raise self.refusal(
                f"'{self.written(node)}' is {KINDS[typed.kind]}, and no number", node
            )
        return typed.term

    def _arithmetic(self, node: syntax.Arithmetic) -> Typed:
        joined = self._joined(node)
        if joined:
            return self.field(joined, node)
        try:
            term = Sum(node.op, self.number(node.left), self.number(node.right))
        except QueryError:
            raw = self.text[node.start : node.end]
            if re.fullmatch(_JOINED, raw):
                self._suggest(raw, node)
            raise
        return Typed(term, "number", node)

    def _joined(self, node: syntax.Node) -> str | None:
        """The key that `train/loss` or `learning-rate` is, if it stands there without spaces."""
        raw = self.text[node.start : node.end]
        if not re.fullmatch(_JOINED, raw):
            return None
        group, dot, rest = raw.partition(".")
        raw = f"{syntax.GROUPS[group]}.{rest}" if dot and group in syntax.GROUPS else raw
        if self.vocabulary.has(raw) or any(self.vocabulary.has(f"{g}.{raw}") for g in GROUPS):
            return self._resolve(raw, node)
        return None

    def _suggest(self, raw: str, node: syntax.Node) -> None:
        """Refuse what is nearly a key with a slash or a dash in it."""
        try:
            self.vocabulary.resolve(raw)
        except UnknownKey as error:
            if error.hint and error.hint.startswith("did you mean"):
                raise self.refusal(one_line(error.message), node, error.hint)

    def _metric(self, function: str, node: syntax.Node) -> str:
        raw = self.text[node.start : node.end]
        if isinstance(node, syntax.Name):
            raw = node.key if node.group is None else f"{node.group}.{node.key}"
        elif isinstance(node, syntax.Literal) and isinstance(node.value, str):
            raw = node.value
        elif not isinstance(node, syntax.Arithmetic):
            raise self.refusal(f"{function}() takes a metric", node)
        if self.vocabulary.has(f"metrics.{raw}"):
            return raw
        key = self._resolve(raw, node)
        if not key.startswith("metrics."):
            raise self.refusal(f"{function}() takes a metric, '{self.written(node)}' is none", node)
        return key.removeprefix("metrics.")

    def check(self, typed: Typed, kind: str, node: syntax.Node) -> None:
        """Refuse what compares to nothing: a param that has no value of a type in any run."""
        count = self.vocabulary.count(typed.key)
        if not count.total or getattr(count, _COUNTED[kind]):
            return
        has = max(("text", "number", "boolean"), key=lambda kind: getattr(count, _COUNTED[kind]))
        most = getattr(count, _COUNTED[has])
        name = self.written(typed.node)
        held = f"{_COUNTED[has] if has != 'boolean' else 'truth values'}" if most else "lists"
        hint = INSTEAD.get((has, kind)) if most else f"{name} is not null finds them."
        raise self.refusal(f"no run has {KINDS[kind]} in '{name}', which holds {held}", node, hint)

    # -- names --------------------------------------------------------------------------------

    def attribute(self, node: syntax.Name) -> str | None:
        """The attribute that a name means, whatever params there are."""
        if node.group not in (None, "attributes"):
            return None
        if node.key in ATTRIBUTES:
            return node.key
        return ALIASES.get(node.key) or _MLFLOW.get(node.key)

    def _named(self, node: syntax.Name) -> Typed:
        key = self.attribute(node)
        if key == "run_name":
            key = "name"
        if key is not None:
            return self.field(key, node, node.key in _MILLISECONDS)
        if node.group == "datasets":
            raise self.refusal("data sets can only be compared", node, OF_DATASETS)
        raw = self.text[node.start : node.end]
        if node.group is not None and self.vocabulary.has(raw):
            return self.field(raw, node)
        if node.group == "attributes":
            if any(self.vocabulary.has(f"{group}.{raw}") for group in GROUPS):
                return self.field(self._resolve(raw, node), node)
            near = nearest(node.key, ATTRIBUTES)
            hint = f"did you mean '{near}'?" if near else f"there are {', '.join(ATTRIBUTES)}."
            name = one_line(node.key[:80])
            raise self.refusal(f"runs have no attribute '{name}'", node, hint)
        return self.field(
            self._resolve(node.key if node.group is None else f"{node.group}.{node.key}", node),
            node,
        )

    def _resolve(self, name: str, node: syntax.Node) -> str:
        try:
            return self.vocabulary.resolve(name)
        except UnknownKey as error:
            message = one_line(error.message)
            if len(message) > 200:
                message = f"no param, metric, tag or attribute is named so ({len(name)} characters)"
            hint = error.hint
            if self.text.strip() == name and (name == "latest" or "@" in name):
                hint = (
                    "a query such as 'accuracy > 0.9' is expected here;"
                    f" `git track show {one_line(name)}` shows one run."
                )
            raise QueryError(
                message, text=self.text, start=node.start, end=node.end, hint=hint
            ) from None

    def field(self, key: str, node: syntax.Node, milliseconds: bool = False) -> Typed:
        """What runs have under a full key."""
        group, dot, _ = key.partition(".")
        if dot:
            kind = {"metrics": "number", "tags": "text"}.get(group, "mixed")
        elif key == "notes":
            raise self.refusal("notes cannot be asked for in a query", node)
        elif key in _TIMES:
            kind = "time"
        else:
            kind = "boolean" if key in _BOOLEANS else "number" if key in _NUMBERS else "text"
        return Typed(Field(key, kind), kind, node, milliseconds)
