"""Runs that continue one another: the curve of a resumed run and of those before it as one.

Knows how a run names the one that it resumed, and where the points of that one end. Knows nothing
of selectors, nor of how a curve is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from gittrack import commits, message, refs, series
from gittrack.errors import GittrackError, UnknownKey
from gittrack.git import Repo
from gittrack.keys import nearest
from gittrack.names import SUFFIX
from gittrack.records import Input, Run
from gittrack.refs import RunRef
from gittrack.summaries import Number
from gittrack.vitals import PREFIX

__all__ = [
    "Inheritance",
    "Point",
    "curve",
    "inherit",
    "joined",
    "missing",
    "names_of",
    "predecessors",
]

Point: TypeAlias = tuple[int | None, float, Number]
"""Step (None if none was given), seconds since the run's start, value."""

_LONGEST = 1000


class Inheritance(NamedTuple):
    """What a run that goes on from `run` has from it, where it does not say otherwise.

    `input` is its first input; `prefix` begins its name; `last_step` is the greatest step so far,
    None where there was none.
    """

    run: Run
    input: Input
    prefix: str
    last_step: int | None


def inherit(repo: Repo, ref: RunRef) -> Inheritance:
    """What goes on in a run that resumes a recorded one.

    Raises:
        BrokenRecord: its record cannot be read.
    """
    run = commits.load(repo, ref)
    steps = (row.step for row in commits.load_series(repo, ref) if row.step is not None)
    prefix = SUFFIX.sub("", run.name)
    given = Input(ref.short, run.id, ref.commit)
    return Inheritance(run, given, prefix, max(steps, default=None))


def curve(repo: Repo, ref: RunRef, metric: str) -> list[Point]:
    """A recorded run's points of one metric, after those of the runs that it continues.

    Empty where none has the metric; else see `joined`. A metric `system/NAME` is one of those that
    were sampled while it ran.

    Raises:
        BrokenRecord: the run's own record cannot be read.
    """
    own = _points(repo, ref, metric)
    run = _continuing(repo, ref)
    return own if run is None else joined(repo, run, own, metric)


def joined(repo: Repo, run: Run, own: Sequence[Point], metric: str) -> list[Point]:
    """A run's own points of one metric, after those of the runs that it continues.

    Of a run before, only what it logged below the first step after it: what came later was done
    again. Points without a step are all kept. Times are seconds since the start of `run`, negative
    before it. A run before it whose record is gone, or cannot be read, ends the curve there.
    """
    found = list(own)
    for ref, before in predecessors(repo, run):
        try:
            earlier = _points(repo, ref, metric)
        except GittrackError:
            break
        shift = (run.started - before.started).total_seconds()
        first = min((step for step, _, _ in found if step is not None), default=None)
        found[:0] = [
            (step, round(time - shift, 6), value)
            for step, time, value in earlier
            if step is None or first is None or step < first
        ]
    return found


def predecessors(repo: Repo, run: Run) -> Iterator[tuple[RunRef, Run]]:
    """The runs that this one continues, the nearest first, as far as they can be read."""
    seen = {run.id}
    while run.continues is not None and run.continues not in seen and len(seen) < _LONGEST:
        seen.add(run.continues)
        found = _predecessor(repo, run, run.continues)
        if found is None:
            return
        yield found
        run = found[1]


def _predecessor(repo: Repo, run: Run, wanted: str) -> tuple[RunRef, Run] | None:
    """The run of this id that is among the inputs: by its commit, else by its name."""
    for given in run.inputs:
        if given.id != wanted:
            continue
        experiment, _, name = given.run.removeprefix("runs/").rpartition("/")
        for ref in (RunRef(experiment, name, given.commit), refs.find(repo, experiment, name)):
            try:
                before = None if ref is None else commits.load(repo, ref)
            except GittrackError:
                continue
            # A name can have gone to another run, an id cannot.
            if ref is not None and before is not None and before.id == wanted:
                return ref, before
    return None


def _continuing(repo: Repo, ref: RunRef) -> Run | None:
    """The run's record if it continues another; most do not, and their trailers tell it."""
    if message.inputs(repo.read_commit(ref.commit).message) == ():
        return None
    run = commits.load(repo, ref)
    return None if run.continues is None else run


def _points(repo: Repo, ref: RunRef, metric: str) -> list[Point]:
    found = commits.load_curve(repo, ref, metric)
    if found or not metric.startswith(PREFIX):
        return found
    return commits.load_curve(repo, ref, metric.removeprefix(PREFIX), system=True)


def names_of(repo: Repo, ref: RunRef) -> list[str]:
    """The metrics that a recorded run has points of, those of the system with their prefix.

    Raises:
        BrokenRecord: its record cannot be read.
    """
    own = series.last(commits.load_series(repo, ref))
    sampled = series.last(commits.load_series(repo, ref, system=True))
    return sorted(own) + sorted(PREFIX + name for name in sampled)


def missing(metric: str, known: Iterable[str], names: Sequence[str]) -> UnknownKey:
    """The error for a metric that none of the runs called `names` has; `known` are those that they
    have, as `names_of` gives them.
    """
    there = set(known)
    of_system = metric.startswith(PREFIX)
    have = sorted(name for name in there if name.startswith(PREFIX) == of_system)
    near = PREFIX + metric if PREFIX + metric in there else nearest(metric, have)
    alone = len(names) == 1
    if have:
        has = f"{'it has' if alone else 'they have'} {', '.join(have[:10])}."
    elif of_system:
        has = "samples begin after 10 s, unless track.system is off."
    else:
        has = f"{'it has' if alone else 'they have'} no metrics."
    hint = f"did you mean '{near}'? {has[0].upper()}{has[1:]}" if near else has
    which = f"{names[0]} has no" if alone else f"none of the {len(names)} runs has a"
    return UnknownKey(f"{which} metric '{metric}'", key=metric, hint=hint)
