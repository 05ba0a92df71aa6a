"""Whether one run meets conditions in the language of queries, and what it was that decided.

Reads the run's own record, which needs no index and no ref: a clone that has the run behind a tag
alone judges like any other. The index is asked for names that other runs must explain, and for
lineage. Fails closed: what is said of a metric that the run lacks, or has as NaN, is neither true
nor false here. Who needs the answer, and for which stage, is the registrar's to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gittrack import binding, commits, conditions, language, predicate
from gittrack.annotations import overlay
from gittrack.conditions import Among, Bound
from gittrack.errors import QueryError, StageRefused
from gittrack.figures import time_text
from gittrack.frozen import Frozen
from gittrack.quoting import one_line
from gittrack.refs import RunRef
from gittrack.syntax import And, Node
from gittrack.vocabulary import GROUPS, Count, Vocabulary, of_summaries

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.index import Index
    from gittrack.summaries import Number, Summary
    from gittrack.whereabouts import Place

__all__ = ["curve", "evidence"]

_MOST_VALUES = 12
_LONGEST_CONDITION = 400
_LONGEST_VALUE = 40
_FETCH = "`git fetch origin 'refs/runs/*:refs/runs/*'` brings the runs."


def evidence(
    place: Place, commit: str, conditions: Sequence[str], *, called: str | None = None
) -> list[str]:
    """Make sure that the run of a commit meets all conditions; for each, a line that says why.

    Such as `metrics.f1 >= 0.9 and not dirty (metrics.f1 = 0.93, dirty = false)`: the condition as
    it was written, on one line, and the values that it is about. They are those of the record, laid
    over with what was said of the run afterwards. The run may be behind a tag alone. Nothing is
    opened where there are no conditions. `metrics.f1 > 0.5` is neither met nor not where the run
    has no such number; then `not` of it is neither, too.

    `called` is what a hint calls the run, such as a version of it.

    Raises:
        StageRefused: one is not met, or cannot be told here; it names the part and the values.
        QueryError: one is blank, makes no sense, or has a name that no run knows.
        BrokenRecord: the run's record cannot be read.
    """
    if not conditions:
        return []
    trees = [_parsed(text) for text in conditions]
    said: list[str] = []
    failed: list[str] = []
    with _Subject(place, commit) as subject:
        for text, tree in zip(conditions, trees, strict=True):
            bounds = [(part, subject.bound(part, text)) for part in _parts(tree)]
            failed += [
                f"{_short(text[part.start : part.end])} ({subject.values([bound])})"
                + subject.unknown(bound)
                for part, bound in bounds
                if not subject.meets(bound)
            ]
            said.append(f"{_short(text)} ({subject.values([bound for _, bound in bounds])})")
    if failed:
        raise StageRefused(
            f"{one_line(subject.run.name)} does not meet {'; '.join(failed)}",
            hint=f"`git track show {one_line(called or commit[:12])}` shows what it has.",
        )
    return said


def _parsed(text: str) -> Node:
    if not text.strip():
        # A variable of a script that was not set would let everything through.
        raise QueryError("the condition is blank", text=text, start=0, end=1)
    return language.parse(text)


def _parts(tree: Node) -> Iterator[Node]:
    """The conditions that must hold, each by itself."""
    if isinstance(tree, And):
        for operand in tree.operands:
            yield from _parts(operand)
    else:
        yield tree


class _Names(Vocabulary):
    """A run's own names; notes when a short one is asked for, which others may make ambiguous."""

    __slots__ = ("has_short",)

    def __init__(self, groups: Mapping[str, Mapping[str, Count]]) -> None:
        super().__init__(groups)
        self.has_short = False

    def resolve(self, name: str) -> str:
        found = super().resolve(name)
        self.has_short = self.has_short or found != name
        return found


class _Subject:
    """The run that is judged."""

    def __init__(self, place: Place, commit: str) -> None:
        self._place = place
        self._commit = commit
        self._asked: list[tuple[Among, str]] = []
        self._unknown: list[str] = []
        repo = place.repo
        self._ref = _run_at(repo, commit)
        self.run: Summary = overlay(repo, [commits.summarize(commits.load(repo, self._ref))])[0]

    # -- what a condition means ---------------------------------------------------------------

    def bound(self, tree: Node, text: str) -> Bound:
        """Understand a condition, by the run's own names if they are enough."""
        own = _Names(self._own)
        try:
            found = self._bind(tree, text, own)
            return self._bind(tree, text, self._every) if own.has_short else found
        except QueryError:
            # What this run lacks others may have: then it is not met, rather than nonsense.
            return self._bind(tree, text, self._every)

    def _bind(self, tree: Node, text: str, known: Vocabulary) -> Bound:
        return binding.bind(tree, text, known, functions=self._function, moment=self._moment)

    def _moment(self, words: str) -> int | None:
        from gittrack import dates

        return dates.microseconds(self._place, words)

    @cached_property
    def _own(self) -> Mapping[str, Mapping[str, Count]]:
        known = of_summaries([self.run])
        return {
            group: {key: known.count(f"{group}.{key}") for key in known.keys(group)}
            for group in GROUPS
        }

    @cached_property
    def _every(self) -> Vocabulary:
        """The names of all runs that are known here, those behind tags alone included."""
        known = self._index.vocabulary
        return known if self._is_listed else known.joined(of_summaries(self._tagged()))

    def _tagged(self) -> list[Summary]:
        from gittrack import registry

        repo = self._place.repo
        models = registry.read(self._place).models.values()
        others = {one.commit for model in models for one in model.versions}
        found = [RunRef("default", "run", other) for other in sorted(others - {self._commit})]
        return [*commits.listing(repo, found).runs, self.run]

    @cached_property
    def _index(self) -> Index:
        from gittrack.index import open_index

        return open_index(self._place)

    def __enter__(self) -> _Subject:
        return self

    def __exit__(self, *_: object) -> None:
        if "_index" in self.__dict__:
            self._index.close()

    @cached_property
    def _is_listed(self) -> bool:
        return self._commit in self._index.by_commits([self._commit])

    def _function(self, name: str, arguments: tuple[str, ...]) -> Among:
        """What `binding` asks of Git and lineage; nothing but a range is known without the run."""
        from gittrack import topology

        if name != "commit" and not self._is_listed:
            self._unknown.append(f"{name}()" if name != "dataset" else "datasets")
            return Among("commit", frozenset())
        found = topology.functions(self._place, self._index)(name, arguments)
        written = ", ".join(f"'{argument}'" for argument in arguments)
        self._asked.append((found, f"{name}({written})"))
        return found

    # -- whether it is met --------------------------------------------------------------------

    def meets(self, bound: Bound) -> bool:
        """Whether a condition holds for the run: that it does not, or cannot be told, is the same.

        Raises:
            StageRefused: only a clone that has the runs can tell.
        """
        if self._unknown:
            raise StageRefused(
                f"{self._unknown[0]} cannot be told of {one_line(self.run.name)}: its ref is not"
                " in this clone",
                hint=_FETCH,
            )
        return self._truth(bound) is True

    def unknown(self, bound: Bound) -> str:
        """The end of a sentence: which metrics a condition needs that are no numbers here."""
        if self._truth(bound) is not None:
            return ""
        lost = dict.fromkeys(name for term in _compared(bound) for name in self._lost(term))
        return ": " + ", ".join(lost)

    def _truth(self, bound: Bound) -> bool | None:
        """Whether a condition holds; None where that depends on what is no number here (Kleene)."""
        match bound:
            case conditions.All(parts):
                found = {self._truth(part) for part in parts}
                return False if False in found else None if None in found else True
            case conditions.Any(parts):
                found = {self._truth(part) for part in parts}
                return True if True in found else None if None in found else False
            case conditions.Not(part):
                inner = self._truth(part)
                return None if inner is None else not inner
        if any(self._lost(term) for term in _compared(bound)):
            return None
        return predicate.holds(bound, self.run, self._curve)

    def _lost(self, term: Frozen) -> list[str]:
        """What keeps a term from being a number, in words; nothing if it has no metric."""
        names = list(_measured(term))
        found = [text for one in names if (text := self._fault(one, _name(one)))]
        return found or [text for text in [self._fault(term, "a value")] if names and text]

    def _fault(self, term: Any, name: str) -> str:
        found = predicate.value(term, self.run, self._curve)
        if found is None:
            return f"{name} is not known of this run"
        return f"{name} is NaN in this run" if found != found else ""

    def _curve(self, metric: str) -> Mapping[str, Number | None] | None:
        return curve(self._place.repo, self._ref, metric, self.run.metrics.get(metric))

    # -- what it was --------------------------------------------------------------------------

    def values(self, bounds: Sequence[Bound]) -> str:
        """What conditions are about, and what the run has there."""
        found = list(dict.fromkeys(text for bound in bounds for text in self._told(bound)))
        more = [f"and {len(found) - _MOST_VALUES} more"] if len(found) > _MOST_VALUES else []
        return ", ".join(found[:_MOST_VALUES] + more)

    def _told(self, part: Frozen) -> Iterator[str]:
        match part:
            case conditions.Field() | conditions.Curve():
                yield self._value(part)
            case conditions.Holds(key):
                yield self._value(conditions.Field(key, "boolean"))
            case Among():
                call = next((text for found, text in self._asked if found is part), part.key)
                yield f"{_short(call)} = {_plain(predicate.holds(part, self.run, self._curve))}"
            case conditions.Value():
                pass
            case _:
                for inner in part.fields():
                    several = inner if isinstance(inner, tuple) else (inner,)
                    for one in several:
                        if isinstance(one, Frozen):
                            yield from self._told(one)

    def _value(self, term: conditions.Field | conditions.Curve) -> str:
        name = _name(term)
        match term:
            case conditions.Field(key, "time"):
                moment = getattr(self.run, key)
                return f"no {name}" if moment is None else f"{name} = {time_text(moment)}"
        value = predicate.value(term, self.run, self._curve)
        return f"no {name}" if value is None else f"{name} = {_plain(value)}"


def curve(
    repo: Repo, ref: RunRef, metric: str, last: Number | None
) -> Mapping[str, Number | None] | None:
    """What is known of a curve, by the fields of `Extremes`; None if there is none.

    A metric that has no table is the one point `last`.

    Raises:
        BrokenRecord: the table cannot be read.
    """
    from gittrack.extremes import of_points

    points = [(point[0], point[2]) for point in commits.load_curve(repo, ref, metric)]
    if not points and last is not None:
        points = [(None, last)]
    if not points:
        return None
    return of_points([step for step, _ in points], [value for _, value in points])._asdict()


def _run_at(repo: Repo, commit: str) -> RunRef:
    """The run of a commit, with or without a ref.

    Raises:
        StageRefused: the commit is no run.
        BrokenRecord: it cannot be read, or does not say which run it is.
    """
    found = commits.identify(repo, commit)
    if found is None:
        raise StageRefused(
            f"commit {commit[:12]} is no run, so no condition can be met",
            hint="`git track model register RUN NAME` registers a run.",
        )
    return found


def _compared(bound: Bound) -> Iterator[conditions.Term]:
    """The values that a condition compares; not those of which it asks whether they are there."""
    match bound:
        case conditions.All(parts) | conditions.Any(parts):
            for part in parts:
                yield from _compared(part)
        case conditions.Not(part):
            yield from _compared(part)
        case conditions.Compare(_, left, right):
            yield from (left, right)
        case conditions.In() | conditions.Like() | conditions.Match():
            yield bound.operand


def _measured(term: Frozen) -> Iterator[conditions.Field | conditions.Curve]:
    """The metrics in a value, and numbers of their curves."""
    match term:
        case conditions.Curve():
            yield term
        case conditions.Field(key, _):
            if key.startswith("metrics."):
                yield term
        case _:
            for inner in term.fields():
                if isinstance(inner, Frozen):
                    yield from _measured(inner)


def _name(term: conditions.Field | conditions.Curve) -> str:
    if isinstance(term, conditions.Curve):
        return one_line(f"{term.function}({term.metric})")
    return one_line(term.key)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = one_line(value)
        return f"'{text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '...'}'"
    if isinstance(value, float) and value != value:
        return "NaN"
    text = one_line(str(value))
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def _short(text: str) -> str:
    """A text of the user's on one line, and not without end."""
    text = one_line(" ".join(text.split()))
    return text if len(text) <= _LONGEST_CONDITION else text[:_LONGEST_CONDITION] + "..."
