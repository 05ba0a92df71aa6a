"""Which runs answer a question: the one way in, for the terminal, Python and selectors.

Knows that runs are recorded or running, and that a question has a query, an order and a limit. The
index answers for what is recorded, `predicate` for what runs, and here both become one answer.
Where runs are kept, what a query means and how it looks are for others to know.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack.errors import UnknownKey
from gittrack.index import open_index
from gittrack.meter import SILENT, Meter
from gittrack.vocabulary import Vocabulary, of_summaries

if TYPE_CHECKING:
    from gittrack.atoms import Stored
    from gittrack.binding import Functions
    from gittrack.conditions import Among, Bound, Term
    from gittrack.errors import BrokenRecord
    from gittrack.index import Index
    from gittrack.routines import Calls
    from gittrack.summaries import Number, Summary
    from gittrack.whereabouts import Place

__all__ = ["Found", "Question", "Search", "open_search"]

_MANY = 20_000
_PATIENCE, _PATIENCE_OF_MANY = 400_000, 35_000
"""Steps of SQLite's machine that counting may take: of many runs about ten milliseconds."""

_NEWEST = ("started", "name", "experiment")


class Question(NamedTuple):
    """What is asked of the runs.

    `query` is in the language of `query.peg`; None and an empty one mean all. `experiment` is a
    name or a title. `sort` are keys or expressions as `git track ls --sort` takes them, the
    weightiest first; without any, the newest run comes first. `limit` is how many runs are wanted,
    None for all. Not `counted`, `total` is that of the runs found, which spares the greater part of
    the time.
    """

    query: str | None = None
    experiment: str | None = None
    archived: bool = True
    deleted: bool = False
    live: bool = True
    sort: tuple[str, ...] = ()
    limit: int | None = None
    counted: bool = True


class Found(NamedTuple):
    """The runs that were found, at most as many as wanted.

    `total` is how many there are in all, or where it is not `exact`, at least. `order` is what they
    are sorted by, full keys or expressions, and whether downwards.
    """

    runs: list[Summary]
    total: int
    exact: bool
    problems: tuple[BrokenRecord, ...]
    order: list[tuple[str, bool]]


class _Asked(NamedTuple):
    """A question understood: its condition, its order, and the running runs that answer."""

    bound: Bound | None
    order: list[tuple[str, bool]]
    terms: dict[str, Term]
    alive: list[Summary]


class Search:
    """The runs of a repository as they are now, to be asked any number of times.

    Recorded runs are those of the moment when it was opened, and so are running ones.
    """

    def __init__(self, place: Place, meter: Meter = SILENT) -> None:
        self._place = place
        # Before the index: a run that ends in between is then in both, and not in neither.
        alive = _running(place)
        self._index: Index = open_index(place, meter=meter)
        recorded = self._index.by_ids([run.id for run in alive]) if alive else {}
        self._alive = [run for run in alive if run.id not in recorded]
        self._calls: tuple[object, Calls] | None = None
        self._functions: Functions | None = None
        self._vocabulary: Vocabulary | None = None

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    @property
    def apology(self) -> str | None:
        """Why the index could not be used, and so the answer took long; None if it was."""
        return self._index.apology

    @property
    def index(self) -> Index:
        """The recorded runs alone."""
        return self._index

    @property
    def vocabulary(self) -> Vocabulary:
        """The keys of all runs, deleted and running ones too."""
        if self._vocabulary is None:
            known = self._index.vocabulary
            self._vocabulary = known.joined(of_summaries(self._alive)) if self._alive else known
        return self._vocabulary

    # -- questions --------------------------------------------------------------------------------

    def find(self, question: Question) -> Found:
        """The runs that answer.

        Raises:
            UnknownKey: no run is of the experiment, or has a key that is asked for.
            QueryError: the query makes no sense here; it says where.
            UsageError: a search for a regular expression took too long.
        """
        asked = self._understood(question)
        with self._index.still():
            runs = self._page(asked, question)
            total, exact = len(runs), True
            if question.limit is not None and len(runs) >= question.limit:
                total, exact = self._count(asked, question) if question.counted else (total, False)
            if asked.alive:
                total += len(asked.alive)
                runs = self._together(asked, question, runs)
        total = max(total, len(runs))
        return Found(runs, total, exact, self._index.problems, asked.order)

    def columns(self, question: Question, keys: Sequence[str]) -> dict[str, list[Any]]:
        """The values of the runs that answer, by full key or expression, in the runs' order.

        Times are microseconds since the epoch, a duration seconds, a command one line of shell;
        None is what a run has not.

        Raises:
            As `find`.
        """
        asked = self._understood(question)
        if not asked.alive:
            return self._recorded(asked, question, keys)
        ranked = [*_NEWEST, *asked.terms]
        table = self._recorded(asked, question, [*dict.fromkeys([*keys, *ranked])])
        terms = {key: self._term(key) for key in table}
        for run in asked.alive:
            for key, term in terms.items():
                table[key].append(self._value(term, run))
        rows = _sorted(table, asked.order)[: question.limit]
        return {key: [table[key][row] for row in rows] for key in keys}

    def by_ids(self, ids: Collection[str]) -> list[Summary]:
        """The runs of these ids, deleted and running ones too, in no order."""
        recorded = self._index.page(self._index.is_one_of("id", sorted(ids)), deleted=True)
        return recorded + [run for run in self._alive if run.id in ids]

    def _understood(self, question: Question) -> _Asked:
        self._check_experiment(question.experiment)
        bound = self._bound(question.query)
        order, terms = self._order(question.sort)
        self._prepare(bound, terms.values())
        alive = [
            run
            for run in (self._alive if question.live else ())
            if question.experiment in (None, run.experiment, run.experiment_title)
            and (bound is None or self._holds(bound, run))
        ]
        return _Asked(bound, order, terms, alive)

    def _check_experiment(self, experiment: str | None) -> None:
        """Raise UnknownKey where no run is of it."""
        if experiment is None:
            return
        here = any(experiment in (run.experiment, run.experiment_title) for run in self._alive)
        if here or self._index.page(limit=1, experiment=experiment, deleted=True):
            return
        from gittrack.keys import nearest

        names = self._index.columns(keys=["experiment"], deleted=True)["experiment"]
        known = sorted({*names, *(run.experiment for run in self._alive)})
        near = nearest(experiment, known)
        listed = f"there are: {', '.join(known[:10]) or 'none'}."
        hint = f"did you mean '{near}'?" if near else listed
        raise UnknownKey(f"no run is of experiment '{experiment}'", key=experiment, hint=hint)

    def _bound(self, query: str | None) -> Bound | None:
        if query is None or not query.strip():
            return None
        from gittrack import binding, language

        def functions(name: str, arguments: tuple[str, ...]) -> Among:
            if self._functions is None:
                from gittrack import topology

                self._functions = topology.functions(self._place, self._index)
            return self._functions(name, arguments)

        def moment(text: str) -> int | None:
            from gittrack import dates

            return dates.microseconds(self._place, text)

        tree = language.parse(query)
        return binding.bind(tree, query, self.vocabulary, functions=functions, moment=moment)

    def _order(self, sort: Iterable[str]) -> tuple[list[tuple[str, bool]], dict[str, Term]]:
        """What to sort by, each once: full keys or expressions with their direction, and terms."""
        order: dict[str, bool] = {}
        terms: dict[str, Term] = {}
        for text in sort:
            key, descending = self._sort_key(text.strip())
            if key not in order:
                order[key], terms[key] = descending, self._term(key)
        return list(order.items()), terms

    def _sort_key(self, text: str) -> tuple[str, bool]:
        known = self.vocabulary
        bare = text.removeprefix("+")
        words = bare.rsplit(None, 1)
        down = len(words) == 2 and words[1].lower() == "desc"
        plain = words[0] if len(words) == 2 and words[1].lower() in ("asc", "desc") else bare
        for name, descending in (
            (bare, False),
            (text[1:] if text.startswith("-") else text, text.startswith("-")),
            (plain, down),
        ):
            # What is no name at all may be an expression: `resolve` would look for a near one.
            if known.knows(name):
                return known.resolve(name), descending
        if not any(sign in text for sign in "()*/+\"'`") and " - " not in text:
            # Nothing but a name, of which the vocabulary says what is near.
            known.resolve(plain.removeprefix("-"))
        from gittrack import language

        _, descending = language.parse_order(text)
        return plain.removeprefix("-") if text.startswith("-") else plain, descending

    def _term(self, key: str) -> Term:
        """A full key, or an expression, as a value of a run.

        Raises:
            QueryError, UnknownKey: it makes no sense here.
        """
        from gittrack.conditions import Field

        if self.vocabulary.has(key):
            return Field(key, "mixed")
        from gittrack import binding, language

        return binding.bind_value(language.parse_value(key), key, self.vocabulary)

    def _prepare(self, bound: Bound | None, terms: Iterable[Term]) -> None:
        """Have the index get ready for what is filtered and sorted by."""
        asked = [*([] if bound is None else [bound]), *terms]
        if asked:
            from gittrack import binding

            self._index.need(frozenset[str]().union(*map(binding.uses, asked)))

    # -- recorded ---------------------------------------------------------------------------------

    def _where(self, bound: Bound | None) -> tuple[str, Sequence[Stored]] | None:
        if bound is None:
            return None
        from gittrack import clauses

        index = self._index
        return clauses.where(bound, index.expression, index.odd, index.is_one_of)

    def _expression(self, term: Term) -> str:
        """A value as SQL without question marks."""
        from gittrack import clauses, conditions

        if isinstance(term, conditions.Field):
            return self._index.expression(term.key)
        text, values = clauses.term(term, self._index.expression)
        first, *others = text.split("?")
        pairs = zip(map(_literal, values), others, strict=True)
        return first + "".join(value + part for value, part in pairs)

    def _sql_order(self, asked: _Asked) -> list[tuple[str, bool]]:
        return [(self._expression(asked.terms[key]), down) for key, down in asked.order]

    def _page(self, asked: _Asked, question: Question) -> list[Summary]:
        where, order = self._where(asked.bound), self._sql_order(asked)
        with self._routines(asked):
            return self._index.page(where, order, question.limit, **_picked(question))

    def _count(self, asked: _Asked, question: Question) -> tuple[int, bool]:
        where = self._where(asked.bound)
        with self._routines(asked):
            patience = _PATIENCE_OF_MANY if self._index.total > _MANY else _PATIENCE
            return self._index.count(where, patience=patience, **_picked(question))

    def _recorded(
        self, asked: _Asked, question: Question, keys: Sequence[str]
    ) -> dict[str, list[Any]]:
        computed = {key: self._term(key) for key in keys if not self.vocabulary.has(key)}
        self._prepare(None, computed.values())
        where, order = self._where(asked.bound), self._sql_order(asked)
        texts = {key: self._expression(term) for key, term in computed.items()}
        with self._routines(asked, *computed):
            return self._index.columns(
                where, order, question.limit, keys, computed=texts, **_picked(question)
            )

    def _routines(self, asked: _Asked, *computed: str) -> Any:
        """What a statement is to be run within."""
        from contextlib import nullcontext

        if asked.bound is None and not asked.terms and not computed:
            return nullcontext()
        from gittrack import routines

        database = self._index.database
        if self._calls is None or self._calls[0] is not database:
            self._calls = (database, routines.functions(database))
        return self._calls[1]

    # -- running ----------------------------------------------------------------------------------

    def _holds(self, bound: Bound, run: Summary) -> bool:
        from gittrack import predicate

        return predicate.holds(bound, run, self._curves(run))

    def _value(self, term: Term, run: Summary) -> Any:
        from gittrack import predicate

        return predicate.value(term, run, self._curves(run))

    def _curves(self, run: Summary) -> Any:
        """What is known of the curves of a running run, read when it is asked for."""

        def known(metric: str) -> Mapping[str, Number | None] | None:
            from pathlib import Path

            from gittrack.errors import GittrackError
            from gittrack.extremes import of_points
            from gittrack.origin import Origin

            try:
                points = Origin(run, Path(self._place.git_dir)).points(metric)
            except GittrackError:
                return None
            if not points:
                return None
            return of_points([p[0] for p in points], [p[2] for p in points])._asdict()

        return known

    def _together(
        self, asked: _Asked, question: Question, runs: Sequence[Summary]
    ) -> list[Summary]:
        """Recorded and running runs in one order."""
        keys = [*_NEWEST, *asked.terms]
        table = self._recorded(asked, question, keys)
        for run in asked.alive:
            for key in table:
                table[key].append(self._value(self._term(key), run))
        everyone = [*runs, *asked.alive]
        return [everyone[row] for row in _sorted(table, asked.order)[: question.limit]]


def open_search(place: Place, *, meter: Meter = SILENT) -> Search:
    """Ask the runs of a repository; what is new is read first, which `meter` shows.

    Raises:
        GitFailed: the refs cannot be read.
    """
    return Search(place, meter)


def _running(place: Place) -> list[Summary]:
    try:
        if not os.listdir(os.path.join(place.state, "live")):
            return []
    except OSError:
        return []
    from gittrack import revisions

    return revisions.running(place.repo)


def _picked(question: Question) -> dict[str, Any]:
    return {
        "experiment": question.experiment,
        "archived": question.archived,
        "deleted": question.deleted,
    }


def _literal(value: Stored) -> str:
    """A value as SQL spells it."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else repr(value).replace("inf", "9e999")


def _sorted(table: Mapping[str, Sequence[Any]], order: Sequence[tuple[str, bool]]) -> list[int]:
    """The numbers of the rows in their order: what is missing or NaN last, the newest first."""
    started, names, experiments = (table[key] for key in _NEWEST)
    rows = sorted(range(len(names)), key=lambda row: (-started[row], names[row], experiments[row]))
    for key, descending in reversed(order):
        values = table[key]
        there = [row for row in rows if _is_there(values[row])]
        missing = [row for row in rows if not _is_there(values[row])]
        there.sort(key=lambda row: _rank(values[row]), reverse=descending)
        rows = there + missing
    return rows


def _is_there(value: Any) -> bool:
    return value is not None and value == value


def _rank(value: Any) -> tuple[int, Any]:
    """As SQLite sorts what `atoms` makes of values: numbers, texts, the rest."""
    from gittrack.atoms import encode

    stored = encode(value)
    if isinstance(stored, bytes):
        return (0, value) if isinstance(value, int) and value is not True else (2, stored)
    return (1, stored) if isinstance(stored, str) else (0, stored)
