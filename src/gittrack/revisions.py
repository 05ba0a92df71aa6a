"""What a user types to name a run: names, prefixes, ids, `latest`, `best:METRIC`, Git revisions.

Knows the order in which the readings of a selector are tried, and what an error says. Knows nothing
of what is done with the run.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from gittrack import commits, names, refs
from gittrack.annotations import overlay
from gittrack.commits import Listing
from gittrack.errors import AmbiguousRun, RunNotFound, UnknownKey
from gittrack.git import Repo
from gittrack.keys import nearest
from gittrack.refs import RunRef
from gittrack.summary import Summary

__all__ = [
    "catalogue",
    "is_listed",
    "of_experiment",
    "resolve",
    "resolve_many",
    "resumable",
    "running",
    "running_one",
]

_LATEST = re.compile(r"latest(?:~([0-9]{0,9}))?|(-)")
_EXTREME = re.compile(r"(best|worst):(.+)", re.DOTALL)
_HEX = re.compile(r"[0-9a-f]{4,40}")
_SHOWN = 10


def catalogue(
    repo: Repo,
    *,
    experiment: str | None = None,
    deleted: bool = False,
    archived: bool = True,
    live: bool = True,
) -> Listing:
    """All runs as they stand after annotation, newest first; of two that began at once, by name.

    `deleted` adds the deleted runs, archived or not, `archived` the archived ones that are not
    deleted, and `live` those that still run. Runs that cannot be read are among the problems, and
    so are runs of ours under other names, and refs that point nowhere.

    Raises:
        BadName: `experiment` is no name.
    """
    ours, others = refs.divided(repo, experiment=experiment)
    found = commits.listing(repo, ours)
    known = overlay(repo, found.runs)
    if live:
        done = {run.id for run in known}
        known += [
            run
            for run in running(repo)
            if run.id not in done and experiment in (None, run.experiment)
        ]
    shown = [run for run in known if is_listed(run, deleted=deleted, archived=archived)]
    names_of_all = [*(ref.full for ref in ours), *(ref.name for ref in others)]
    broken = refs.unreadable(repo, names_of_all) if experiment is None else []
    return Listing(_newest_first(shown), (*found.problems, *commits.strays(repo, others, broken)))


def is_listed(run: Summary, *, deleted: bool, archived: bool) -> bool:
    """Whether a listing that was asked for such runs, too, shows this one."""
    return deleted if run.deleted else archived or not run.archived


def of_experiment(found: Iterable[Summary], experiment: str) -> list[Summary]:
    """The runs of an experiment, called by its name or by its title.

    Raises:
        UnknownKey: none is of it.
    """
    runs = list(found)
    kept = [run for run in runs if experiment in (run.experiment, run.experiment_title)]
    if not kept:
        known = sorted({run.experiment for run in runs})
        near = nearest(experiment, known)
        listed = f"there are: {', '.join(known[:10]) or 'none'}."
        hint = f"did you mean '{near}'?" if near else listed
        raise UnknownKey(f"no run is of experiment '{experiment}'", key=experiment, hint=hint)
    return kept


def _newest_first(found: Iterable[Summary]) -> tuple[Summary, ...]:
    by_name = sorted(found, key=lambda run: (run.name, run.experiment))
    return tuple(sorted(by_name, key=lambda run: run.started, reverse=True))


def running(repo: Repo) -> list[Summary]:
    """The runs that are running now, without a commit yet."""
    try:
        if not os.listdir(repo.state / "live"):
            return []
    except OSError:
        return []
    from gittrack import recovery

    return recovery.running(repo)


def running_one(repo: Repo, selector: str | None) -> Summary | None:
    """The running run that a selector names; None if it names none, and so perhaps a recorded one.

    By its name or a prefix of it, also behind `EXPERIMENT/`, or by its id or the beginning of that,
    at least 4 digits. None as the selector means the newest, and so does `latest` where no run is
    recorded yet.

    Raises:
        AmbiguousRun: a prefix that other runs have, too.
    """
    alive = _newest_first(running(repo))
    if selector is None or (alive and selector == "latest" and not _Book(repo, None).current):
        return alive[0] if alive else None
    group, _, start = selector.rpartition("/")
    if not alive or not start or _LATEST.fullmatch(selector) or _EXTREME.fullmatch(selector):
        return None
    known = [run for run in alive if group in ("", run.experiment)]
    exact = next((run for run in known if start in (run.name, run.id)), None)
    if exact is not None:
        return exact
    book = _Book(repo, None)
    begun = [run for run in known if run.name.startswith(start)]
    done = book.beginning(selector)
    if not begun and not done and _HEX.fullmatch(selector.lower()):
        begun = [run for run in alive if run.id.startswith(selector.lower())]
        done = book.identified(selector.lower()) if begun else []
    return _one_of(selector, begun, done) if begun else None


def _one_of(selector: str, begun: Sequence[Summary], done: Sequence[RunRef]) -> Summary | None:
    """The running one among those that answer, some of them recorded; None if it is recorded."""
    start = selector.rpartition("/")[2]
    # One that has just been recorded may be among both.
    known = list(dict.fromkeys([*(run.name for run in begun), *(ref.name for ref in done)]))
    if start in known:
        return None
    whole = [name for name in known if _stem(name) == start]
    if len(whole) == 1:
        return next((run for run in begun if run.name == whole[0]), None)
    if len(known) == 1:
        return begun[0]
    raise _ambiguous(selector, known)


def _ambiguous(selector: str, candidates: Sequence[str]) -> AmbiguousRun:
    more = ", ..." if len(candidates) > _SHOWN else ""
    count = f"more than {_SHOWN}" if more else str(len(candidates))
    return AmbiguousRun(
        f"'{selector}' could be any of {count} runs",
        selector=selector,
        candidates=candidates,
        hint=", ".join(candidates[:_SHOWN]) + more,
    )


def resolve(repo: Repo, selector: str, *, experiment: str | None = None) -> RunRef:
    """The run that `selector` names.

    Tried in this order: an exact name; a ref (`runs/EXPERIMENT/NAME`, `EXPERIMENT/NAME`);
    `latest`, `latest~N`, `-` (the one before the latest), `best:METRIC`, `worst:METRIC`; a unique
    prefix of a name, also behind `EXPERIMENT/`, of which one that is all of a name but its random
    ending goes before longer names; the beginning of a run's id or commit id, at least 4 digits; a
    Git revision, which means the newest run of the first commit that has one, walking
    first parents.

    `best` is the highest value and `worst` the lowest, of equal ones the newest; NaN is neither.
    Deleted runs answer only to their exact name or ref, archived ones also to prefixes and ids.
    A ref whose name has no random ending, which gittrack never writes, answers to the ref alone:
    else one named `latest` would be taken for the latest run.
    `experiment` looks at one experiment only.

    Raises:
        RunNotFound: no run answers.
        AmbiguousRun: more than one does.
        UnknownKey: no run has the METRIC.
        BadName: `experiment` is no name.
    """
    return _Book(repo, experiment).one(selector)


def resumable(repo: Repo, selector: str) -> RunRef:
    """The run that a selector names to go on from.

    As `resolve`; where the runs that are called so continue one another, the newest: a job that was
    preempted twice goes on where it stopped the second time.

    Raises:
        RunNotFound, AmbiguousRun, UnknownKey: as `resolve`.
    """
    try:
        return resolve(repo, selector)
    except AmbiguousRun:
        group, _, name = selector.rpartition("/")
        called = [
            _ref(run)
            for run in catalogue(repo).runs
            if _stem(run.name) == name and group in ("", run.experiment)
            if run.commit is not None
        ]
        if not called or not {ref.commit for ref in called} <= _chain(repo, called[0]):
            raise
        return called[0]


def _chain(repo: Repo, newest: RunRef) -> set[str]:
    """The commits of a run and of those that it continues."""
    from gittrack import succession

    before = succession.predecessors(repo, commits.load(repo, newest))
    return {newest.commit, *(ref.commit for ref, _ in before)}


def resolve_many(
    repo: Repo, selectors: Sequence[str], *, experiment: str | None = None
) -> list[RunRef]:
    """The runs that the selectors name, in their order; one named twice stands once.

    `A..B` are the runs from A to B in the order of their start, both included; A or B left out
    is the oldest or the latest.

    Raises:
        RunNotFound, AmbiguousRun, UnknownKey, BadName: as `resolve`.
    """
    book = _Book(repo, experiment)
    found: dict[str, RunRef] = {}
    for selector in selectors:
        for ref in book.some(selector):
            found.setdefault(ref.full, ref)
    return list(found.values())


class _Book:
    """The runs of a repository, read only as far as a selector needs it."""

    def __init__(self, repo: Repo, experiment: str | None) -> None:
        self._repo = repo
        self._experiment = experiment

    @cached_property
    def refs(self) -> list[RunRef]:
        return refs.all_runs(self._repo, experiment=self._experiment)

    @cached_property
    def runs(self) -> tuple[Summary, ...]:
        """What is not deleted, newest first."""
        return catalogue(self._repo, experiment=self._experiment, live=False).runs

    @cached_property
    def current(self) -> list[Summary]:
        """What is neither deleted nor archived, newest first."""
        return [run for run in self.runs if not run.archived]

    # -- one ------------------------------------------------------------------------------------

    def one(self, selector: str) -> RunRef:
        found = (
            self._exact(selector)
            or self._computed(selector)
            or self._prefix(selector)
            or self._hexadecimal(selector)
            or self._revision(selector)
        )
        if found is None:
            raise self._missing(selector)
        return found

    def _exact(self, selector: str) -> RunRef | None:
        named = [ref for ref in self.refs if ref.name == selector and _is_generated(ref)]
        if not named:
            path = selector.removeprefix("refs/").removeprefix("runs/")
            named = [ref for ref in self.refs if f"{ref.experiment}/{ref.name}" == path]
        # A single one is named exactly: that it is no run of ours, opening it will say.
        return self._only(selector, self._ours(named) if len(named) > 1 else named)

    def _computed(self, selector: str) -> RunRef | None:
        if latest := _LATEST.fullmatch(selector):
            back = 1 if latest[2] or latest[1] == "" else int(latest[1] or 0)
            if back < len(self.current):
                return _ref(self.current[back])
            raise self._too_few(selector, back)
        if extreme := _EXTREME.fullmatch(selector):
            return self._extreme(selector, extreme[1], extreme[2])
        return None

    def _too_few(self, selector: str, back: int) -> RunNotFound:
        count = len(self.current)
        runs_text = {0: "no runs", 1: "1 run"}.get(count, f"{count} runs")
        place = f"experiment '{self._experiment}'" if self._experiment else "this repository"
        oldest = f"the oldest is latest~{count - 1}."
        return RunNotFound(
            f"there is no '{selector}': {place} has {runs_text}",
            selector=selector,
            hint=oldest if count else "`git track run -- COMMAND` records one.",
        )

    def _extreme(self, selector: str, which: str, metric: str) -> RunRef:
        having = [run for run in self.current if metric in run.metrics]
        if not having:
            known = {key for run in self.current for key in run.metrics}
            near = nearest(metric, known)
            listed = "`git track ls --all-columns` shows the metrics."
            hint = f"did you mean '{which}:{near}'?" if near else listed
            raise UnknownKey(f"no run has a metric '{metric}'", key=metric, hint=hint)
        comparable = [run for run in having if not math.isnan(run.metrics[metric])]
        if not comparable:
            raise RunNotFound(f"'{metric}' is NaN in every run that has it", selector=selector)
        # Both take the first of equals, and the newest comes first.
        choose = max if which == "best" else min
        return _ref(choose(comparable, key=lambda run: run.metrics[metric]))

    def _prefix(self, selector: str) -> RunRef | None:
        found = self.beginning(selector)
        start = selector.rpartition("/")[2]
        whole = [ref for ref in found if _stem(ref.name) == start]
        return whole[0] if len(whole) == 1 else self._only(selector, found)

    def beginning(self, selector: str) -> list[RunRef]:
        """The runs whose names begin so; those that are called so but for the ending come first."""
        path = selector.removeprefix("refs/").removeprefix("runs/")
        group, slash, start = path.rpartition("/")
        if not start or (slash and not group):
            return []
        matching = [
            ref
            for ref in self.refs
            if ref.name.startswith(start)
            and (not slash or ref.experiment == group)
            and _is_generated(ref)
        ]
        return self._undeleted(sorted(matching, key=lambda ref: _stem(ref.name) != start))

    def _undeleted(self, found: Iterable[RunRef]) -> list[RunRef]:
        """Those that are runs and not deleted; a broken one counts, so that it can be named."""
        kept = []
        for ref in found:
            listed = commits.listing(self._repo, [ref])
            known = overlay(self._repo, listed.runs)
            if (not listed.runs and listed.problems) or any(not run.deleted for run in known):
                kept.append(ref)
                if len(kept) > _SHOWN:
                    break
        return kept

    def _ours(self, found: Iterable[RunRef]) -> list[RunRef]:
        """Those that are runs; refs of our form on commits that are not ours are nobody's."""
        kept = []
        for ref in found:
            listed = commits.listing(self._repo, [ref])
            if listed.runs or listed.problems:
                kept.append(ref)
        return kept

    def _hexadecimal(self, selector: str) -> RunRef | None:
        digits = selector.lower()
        if not _HEX.fullmatch(digits):
            return None
        exact = self._ours(ref for ref in self.refs if ref.commit == digits)
        if exact:
            return self._only(selector, exact)
        return self._only(selector, self.identified(digits))

    def identified(self, digits: str) -> list[RunRef]:
        """The runs whose id or commit id begins with these."""
        ids = {_key(run) for run in self.runs if run.id.startswith(digits)}
        alive = {_key(run) for run in self.runs}
        return [
            ref
            for ref in self.refs
            if (ref.experiment, ref.name) in ids
            or (ref.commit.startswith(digits) and (ref.experiment, ref.name) in alive)
        ]

    def _revision(self, selector: str) -> RunRef | None:
        if not selector or selector.startswith("-") or "\0" in selector:
            return None
        commit = self._repo.resolve(selector)
        if commit is None:
            self._check_target(selector)
            return None
        own = self._ours(ref for ref in self.refs if ref.commit == commit)
        if own:
            return own[0]
        self._check_live(selector, commit)
        newest: dict[str, Summary] = {}
        for run in self.current:
            if run.base is not None:
                newest.setdefault(run.base, run)
        if newest:
            for step in self._repo.first_parents(commit):
                if step in newest:
                    return _ref(newest[step])
        raise RunNotFound(
            f"no run was made on '{selector}' ({commit[:7]}) or on a commit before it",
            selector=selector,
            hint="`git track run -- COMMAND` there records one.",
        )

    def _check_live(self, selector: str, commit: str) -> None:
        """Raise RunNotFound where `selector` is what a running run published: that is no record."""
        for run in commits.listing(self._repo, [RunRef("live", selector, commit)]).runs:
            if run.status == "running":
                raise RunNotFound(
                    f"'{selector}' is a run that still runs, as it stood a moment ago",
                    selector=selector,
                    hint="`git track watch` shows it; it can be named when it has ended.",
                )

    def _check_target(self, selector: str) -> None:
        """Raise RunNotFound where `selector` is a ref that leads to a commit which is not here."""
        for place in ("", "refs/", "refs/heads/", "refs/tags/", "refs/remotes/"):
            target = self._repo.ref(place + selector)
            if target is not None and not self._repo.exists(target):
                raise RunNotFound(
                    f"the commit of '{selector}', {target[:7]}, is missing",
                    selector=selector,
                    hint="`git fsck` tells what else is.",
                )

    def _only(self, selector: str, found: Sequence[RunRef]) -> RunRef | None:
        if len(found) < 2:
            return found[0] if found else None
        same = len({ref.name for ref in found}) < len(found)
        candidates = [f"{ref.experiment}/{ref.name}" if same else ref.name for ref in found]
        raise _ambiguous(selector, candidates)

    def _missing(self, selector: str) -> RunNotFound:
        place = f"experiment '{self._experiment}'" if self._experiment else "this repository"
        message = f"no run named '{selector}' in {place}"
        if any(run.name.startswith(selector) for run in running(self._repo)):
            return RunNotFound(
                f"'{selector}' is still running",
                selector=selector,
                hint="`git track show`, `watch` and `logs` show it; all else when it has ended.",
            )
        ours = self._ours(self.refs)
        if not ours:
            return RunNotFound(
                message,
                selector=selector,
                hint="there are no runs yet: `git track run -- COMMAND`.",
            )
        near = names.near(selector, [ref.name for ref in ours if _is_generated(ref)])
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        else:
            hint = "`git track ls` lists the runs."
        return RunNotFound(message, selector=selector, hint=hint)

    # -- several --------------------------------------------------------------------------------

    def some(self, selector: str) -> list[RunRef]:
        first, dots, last = selector.partition("..")
        if not dots:
            return [self.one(selector)]
        if first.endswith("/") or last.startswith(("/", ".")):
            # A path, or the three dots of Git: its halves would be names that nobody typed.
            raise self._missing(selector)
        known = self.runs[::-1]
        places = {_key(run): number for number, run in enumerate(known)}
        start = self._place(first, places) if first else 0
        stop = self._place(last, places) if last else len(known) - 1
        if start > stop and first and last:
            raise RunNotFound(
                f"'{selector}' holds no run: '{first}' began after '{last}'",
                selector=selector,
                hint=f"'{last}..{first}' holds some.",
            )
        # Archived runs stay out unless they were named.
        return [
            _ref(run)
            for number, run in enumerate(known[start : stop + 1], start)
            if not run.archived or number in (start, stop)
        ]

    def _place(self, selector: str, places: Mapping[tuple[str, str], int]) -> int:
        ref = self.one(selector)
        place = places.get((ref.experiment, ref.name))
        if place is None:
            raise RunNotFound(
                f"'{selector}' is deleted or unreadable and can be no end of a range",
                selector=selector,
            )
        return place


def _is_generated(ref: RunRef) -> bool:
    return names.SUFFIX.search(ref.name) is not None


def _stem(name: str) -> str:
    """What stands before the random ending."""
    return names.SUFFIX.sub("", name)


def _key(run: Summary) -> tuple[str, str]:
    return run.experiment, run.name


def _ref(run: Summary) -> RunRef:
    assert run.commit is not None
    return RunRef(run.experiment, run.name, run.commit)
