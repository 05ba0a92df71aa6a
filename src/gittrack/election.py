"""Which of several versions or runs is the best by one value, and why each other one is not.

Knows who stands, that only what was measured on the same data compares, and the words for losing.
What is promoted, and by which rules, is the registrar's and the policy's to know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import grouping, semver
from gittrack.figures import short
from gittrack.quoting import one_line
from gittrack.semver import Bump
from gittrack.tagging import ARCHIVED
from gittrack.vocabulary import Vocabulary, of_summaries

if TYPE_CHECKING:
    from gittrack.conditions import Term
    from gittrack.registry import Change, Model, Version
    from gittrack.search import Question, Search
    from gittrack.summaries import Number, Summary
    from gittrack.whereabouts import Place

__all__ = [
    "OTHER_DATA",
    "Candidate",
    "Election",
    "Limit",
    "Reference",
    "elect",
    "measured",
    "next_number",
    "of_runs",
    "of_versions",
    "reference",
    "rules",
    "vocabulary",
]

OTHER_DATA = "other data"
"""How the reason of whoever was measured on other data begins."""

_DIGITS = 7


class Candidate(NamedTuple):
    """A version of a model, or a run that could become one.

    `run` is None where a version's commit is no run that can be read; `number` the version that it
    is, or would be. `reason` is why it cannot win or did not, None of the winner.
    """

    run: Summary | None
    version: Version | None
    number: str
    value: Any = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """As a selector: `churn@v1.2.0`, or the run's name."""
        if self.version is not None:
            return self.version.name
        return "" if self.run is None else self.run.name


class Limit(NamedTuple):
    """A range that versions must lie in; `source` is which rule says so, "" if the user does."""

    range: str
    source: str = ""


class Reference(NamedTuple):
    """What others must have been measured on: paths -> MD5; `name` is whose data that is."""

    name: str
    data: Mapping[str, str]


class Election(NamedTuple):
    """`winner` is None where nobody could win; `others` are sorted by how near they came.

    `compared` is how many had values to be compared, the winner included, `reference` the data
    upon which: None where any would do or nobody was left.
    """

    winner: Candidate | None
    others: tuple[Candidate, ...]
    compared: int
    reference: Reference | None


# -- who stands -----------------------------------------------------------------------------------


def of_versions(place: Place, search: Search, model: Model) -> list[Candidate]:
    """The versions of a model that were not taken back, the highest first.

    Their runs are known from the index, or where no ref here leads to them, from their commits.
    """
    live = [one for one in model.versions if one.is_live]
    runs = _runs_of(place, search, live)
    return [Candidate(runs.get(one.commit), one, one.version) for one in live]


def of_runs(
    search: Search, question: Question, model: Model | None, *, bump: Bump | None = None
) -> list[Candidate]:
    """The runs that answer a question, the newest first; as versions of the model if they are.

    Of several versions that a run is the highest counts.

    Raises:
        UnknownKey, QueryError: the question makes no sense here.
    """
    following = next_number(model, bump)
    known: dict[str, Version] = {}
    for one in () if model is None else model.versions:
        if one.is_live:
            known.setdefault(one.commit, one)
    found = []
    for run in search.find(question._replace(sort=(), limit=None, counted=False)).runs:
        version = known.get(run.commit or "")
        found.append(Candidate(run, version, following if version is None else version.version))
    return found


def next_number(model: Model | None, bump: Bump | None) -> str:
    """The version that a run would become: after the highest number that was ever used."""
    if model is None or not model.versions:
        return semver.FIRST
    highest = max((one.version for one in model.versions), key=semver.key)
    return semver.following(highest, bump or "patch")


def _runs_of(place: Place, search: Search, versions: Sequence[Version]) -> dict[str, Summary]:
    """The runs that versions are, by commit, as they stand after what was said of them."""
    if not versions:
        return {}
    where = search.index.is_one_of("commit", [one.commit for one in versions])
    found = {run.commit or "": run for run in search.index.page(where, deleted=True)}
    others = {one.commit: one for one in versions if one.commit not in found}
    if not others:
        return found
    from gittrack import commits, provenance
    from gittrack.annotations import overlay

    repo = place.repo
    named = [ref for one in others.values() if (ref := provenance.named(place, one)) is not None]
    behind = overlay(repo, commits.listing(repo, named).runs)
    return found | {run.commit or "": run for run in behind}


def vocabulary(search: Search, standing: Sequence[Candidate]) -> Vocabulary:
    """The names of all runs here, and of those that stand; many a one may be behind a tag alone."""
    listed = search.index.by_commits([one.run.commit or "" for one in standing if one.run])
    others = [one.run for one in standing if one.run and one.run.commit not in listed]
    known = search.vocabulary
    return known.joined(of_summaries(others)) if others else known


# -- what they have -------------------------------------------------------------------------------


def measured(
    place: Place,
    search: Search,
    standing: Sequence[Candidate],
    key: str,
    known: Vocabulary,
    question: Question | None = None,
) -> list[Candidate]:
    """The same candidates with their values of a full key or an expression.

    `question` is what they answered, if that is why they stand.

    Raises:
        UnknownKey, QueryError: the key makes no sense here.
    """
    if question is not None:
        columns = search.columns(question._replace(sort=(), limit=None), [key, "id"])
        values = dict(zip(columns["id"], columns[key], strict=True))
        return [one._replace(value=values.get(one.run.id if one.run else "")) for one in standing]
    from gittrack import predicate

    term = _term(key, known)
    return [
        one
        if one.run is None
        else one._replace(value=predicate.value(term, one.run, _curves(place, one.run)))
        for one in standing
    ]


def _term(key: str, known: Vocabulary) -> Term:
    from gittrack.conditions import Field

    if known.has(key):
        return Field(key, "mixed")
    from gittrack import binding, language

    return binding.bind_value(language.parse_value(key), key, known)


def _curves(place: Place, run: Summary) -> Any:
    def known(metric: str) -> Mapping[str, Number | None] | None:
        from gittrack import gate
        from gittrack.refs import RunRef

        ref = RunRef(run.experiment, run.name, run.commit or "")
        return gate.curve(place.repo, ref, metric, run.metrics.get(metric))

    return known


def reference(place: Place, search: Search, versions: Sequence[Version]) -> Reference | None:
    """The data of the first of these versions that is a run; None where none is."""
    runs = _runs_of(place, search, versions)
    for one in versions:
        run = runs.get(one.commit)
        if run is not None:
            return Reference(one.name, run.data)
    return None


def rules(
    place: Place, stage: str | None, model: Model | None = None
) -> tuple[list[Limit], Callable[[Candidate], str | None]]:
    """Which versions may have a stage: ranges, and what says why a candidate may not.

    Conditions on runs are not asked: who is best is a question before whether that is good enough.
    What a rollback took the stage of this model from is not chosen again by its number.

    Raises:
        StageRefused: there is no such stage.
        UsageError: a rule makes no sense.
    """
    if stage is None:
        return [], lambda one: None
    from gittrack import assignments, policy
    from gittrack.errors import StageRefused

    known = policy.read(place)
    known.check_stage(stage)
    allow = known.rule(stage).allow
    ended = {} if model is None else assignments.rolled_back(model, stage)

    def refused(one: Candidate) -> str | None:
        if one.version is not None and one.number in ended:
            return _rolled_back(ended[one.number], stage)
        former = None if one.version is None else one.version.stage
        try:
            known.check(one.number, stage, former)
        except StageRefused as error:
            return error.message
        return None

    return [] if allow is None else [Limit(allow, f"track.stage.{stage}.allow")], refused


def _rolled_back(change: Change, stage: str) -> str:
    from gittrack import catalog

    moment = catalog.moment(change)
    date = "" if moment is None else f" on {moment:%Y-%m-%d}"
    who = f" by {one_line(change.by)}" if change.by else ""
    why = f": {one_line(change.reason)}" if change.reason else ""
    return f"rolled back from {stage}{date}{who}{why}"


# -- who wins -------------------------------------------------------------------------------------


def elect(
    standing: Sequence[Candidate],
    *,
    title: str,
    lowest: bool,
    limits: Sequence[Limit] = (),
    refused: Callable[[Candidate], str | None] = lambda one: None,
    reference: Reference | None = None,
    any_data: bool = False,
) -> Election:
    """Choose the best of those who stand, the newest first, by their values.

    Only what was measured on the data of `reference` compares: without one, on that of the newest
    that could win. Of equal ones the newest wins. `title` is what the value is called, `refused` a
    rule that says why somebody cannot win, or None.

    Raises:
        UsageError: a limit is no range.
    """
    fit: list[Candidate] = []
    unfit: list[Candidate] = []
    for one in standing:
        reason = _unfit(one, limits) or refused(one) or _worthless(one.value, title)
        (unfit if reason else fit).append(one._replace(reason=reason))
    if any_data or not fit:
        reference = None
    elif reference is None:
        reference = Reference(fit[0].name, _data(fit[0]))
    others: list[Candidate] = []
    if reference is not None:
        told = [one._replace(reason=_other_data(_data(one), reference)) for one in fit]
        fit, others = (
            [one for one in told if (one.reason is None) is is_same] for is_same in (True, False)
        )
    # Of equal ones the first stays first.
    fit.sort(key=lambda one: one.value, reverse=not lowest)
    if not fit:
        return Election(None, (*others, *unfit), 0, reference)
    winner, *rest = fit
    behind = [one._replace(reason=_behind(one.value, winner.value, lowest)) for one in rest]
    return Election(winner, (*behind, *others, *unfit), len(fit), reference)


def _unfit(one: Candidate, limits: Sequence[Limit]) -> str | None:
    """Why somebody cannot win, whatever the value."""
    if one.run is None:
        return "no run"
    if one.run.deleted:
        return "deleted"
    if one.run.status != "finished":
        return f"not finished ({one.run.status})"
    if one.version is not None and one.version.stage == ARCHIVED:
        return "archived"
    for limit in limits:
        if not semver.is_within(one.number, limit.range):
            would = "" if one.version is not None else f"would be v{one.number}, "
            source = f" ({limit.source})" if limit.source else ""
            return f"{would}not within {limit.range}{source}"
    return None


def _worthless(value: Any, title: str) -> str | None:
    if value is None:
        return f"no {title}"
    if grouping.comparable(value):
        return None
    return f"{title} is NaN" if value != value else f"{title} is no number"


def _data(one: Candidate) -> Mapping[str, str]:
    return {} if one.run is None else one.run.data


def _other_data(own: Mapping[str, str], wanted: Reference) -> str | None:
    """What differs between the data of two; None where nothing but names of files does."""
    there = wanted.data
    told = [
        f"{one_line(path)} {_hash(own[path])}, not {_hash(there[path])}"
        for path in sorted(own.keys() & there.keys())
        if own[path] != there[path]
    ]
    more, less = (sorted(a.keys() - b.keys()) for a, b in ((own, there), (there, own)))
    if sorted(own[path] for path in more) != sorted(there[path] for path in less):
        told += [f"{one_line(path)}, not read by {one_line(wanted.name)}" for path in more]
        told += [f"{one_line(path)} {_hash(there[path])} not read" for path in less]
    if not told:
        return None
    return f"{OTHER_DATA}: {told[0]}" + (f", and {len(told) - 1} more" if len(told) > 1 else "")


def _hash(md5: str) -> str:
    return md5[:_DIGITS]


def _behind(value: Number, best: Number, lowest: bool) -> str:
    if value == best:
        return "equal, but older"
    texts = short(value), short(best)
    if texts[0] == texts[1]:
        texts = repr(value), repr(best)
    return f"{texts[0]}, {'higher' if lowest else 'lower'} than {texts[1]}"
