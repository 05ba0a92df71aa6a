"""What a user types to name a run: a name, an id, `latest`, `best:METRIC`, a model, a revision.

Knows the order in which the readings of a selector are tried, and what an error says. Knows nothing
of what is done with the run.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence

from gittrack import commits, names, refs
from gittrack.errors import AmbiguousRun, RunNotFound, UnknownKey
from gittrack.git import Repo
from gittrack.keys import nearest
from gittrack.refs import RunRef
from gittrack.roster import Roster, key_of, ref_of
from gittrack.summaries import Summary

__all__ = [
    "resolve",
    "resolve_many",
    "resumable",
    "running",
    "running_one",
]

_LATEST = re.compile(r"latest(?:~([0-9]{0,9}))?|(-)")
_EXTREME = re.compile(r"(best|worst):(.+)", re.DOTALL)
_HEX = re.compile(r"[0-9a-f]{4,40}")
_WHOLE = 40
_SHOWN = 10
_MOST_NEAR = 3_000


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
    if selector is None:
        return alive[0] if alive else None
    group, _, start = selector.rpartition("/")
    if not alive or not start or (selector != "latest" and _is_computed(selector)):
        return None
    known = [run for run in alive if group in ("", run.experiment)]
    exact = next((run for run in known if start in (run.name, run.id)), None)
    if exact is not None:
        return exact
    with Roster(repo) as roster:
        if selector == "latest":
            return alive[0] if roster.newest() is None else None
        begun = [run for run in known if run.name.startswith(start)]
        done = _beginning(roster, selector)
        if not begun and not done and _HEX.fullmatch(selector.lower()):
            begun = [run for run in alive if run.id.startswith(selector.lower())]
            done = roster.identified(selector.lower(), _SHOWN + 1) if begun else []
    return _one_of(selector, begun, done) if begun else None


def _one_of(selector: str, begun: Sequence[Summary], done: Sequence[RunRef]) -> Summary | None:
    """The running one among those that answer, some of them recorded; None if it is recorded."""
    start = selector.rpartition("/")[2]
    # One that has just been recorded may be among both.
    known = list(dict.fromkeys([*(run.name for run in begun), *(ref.name for ref in done)]))
    if start in known:
        return None
    whole = [name for name in known if names.stem(name) == start]
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
    ending goes before longer names; the beginning of a run's id or commit id, at least 4 digits;
    `MODEL@VERSION` (with or without `v`), `MODEL@STAGE`, `MODEL@ALIAS`, `MODEL@latest`, unless
    there is no such model and a Git revision is called so; a Git revision. One that is the commit
    of a run, such as a tag of the registry, means this run, also where no ref in `refs/runs/` leads
    to it, as in a plain clone. Any other means the newest run of the first commit that has one,
    walking first parents; but a tag of the registry on a commit that is no run means none.

    `best` is the highest value and `worst` the lowest, of equal ones the newest; NaN is neither.
    Deleted runs answer only to their exact name or ref, archived ones also to prefixes and ids.
    A ref whose name has no random ending, which gittrack never writes, answers to the ref alone:
    else one named `latest` would be taken for the latest run.
    `experiment` looks at one experiment only.

    Raises:
        RunNotFound: no run answers; ModelNotFound where a model was meant.
        AmbiguousRun: more than one does.
        UnknownKey: no run has the METRIC.
        BadName: `experiment` is no name.
        BrokenRecord: a commit that no ref leads to says that it is a run, and not which one.
        GitFailed: Git cannot list the refs or the tags.
    """
    with Roster(repo, experiment) as roster:
        return _Reading(repo, roster, experiment).one(selector)


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
        with Roster(repo) as roster:
            called = roster.of_stem(name, group or None)
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
    with Roster(repo, experiment) as roster:
        reading = _Reading(repo, roster, experiment)
        found = [ref for selector in selectors for ref in reading.some(selector)]
    return list(dict.fromkeys(found))


class _Reading:
    """The readings of selectors, one after the other."""

    def __init__(self, repo: Repo, roster: Roster, experiment: str | None) -> None:
        self._repo = repo
        self._roster = roster
        self._experiment = experiment

    # -- one ------------------------------------------------------------------------------------

    def one(self, selector: str) -> RunRef:
        found = (
            self._exact(selector)
            or self._computed(selector)
            or self._prefix(selector)
            or self._hexadecimal(selector)
            or self._version(selector)
            or self._revision(selector)
            or self._foreign(selector)
        )
        if found is None:
            raise self._missing(selector)
        return found

    def _exact(self, selector: str) -> RunRef | None:
        if _is_generated(selector) and (named := self._roster.called(selector)):
            return _only(selector, named)
        group, slash, name = _path(selector).partition("/")
        if not slash or self._experiment not in (None, group):
            return None
        # That it is no run of ours, opening it will say.
        return refs.find(self._repo, group, name)

    def _foreign(self, selector: str) -> RunRef | None:
        """A ref of our form by its name alone, whatever it points to: opening it says that.

        Else a run without a ref, whose name a tag of the registry says.
        """
        if not _is_generated(selector):
            return None
        every = refs.all_runs(self._repo, experiment=self._experiment)
        found = _only(selector, [ref for ref in every if ref.name == selector])
        if found is None:
            from gittrack import provenance

            found = provenance.called(self._repo, selector)
        return found if found and self._experiment in (None, found.experiment) else None

    def _computed(self, selector: str) -> RunRef | None:
        if latest := _LATEST.fullmatch(selector):
            back = 1 if latest[2] or latest[1] == "" else int(latest[1] or 0)
            found = self._roster.newest(back)
            if found is None:
                raise self._too_few(selector)
            return found
        if extreme := _EXTREME.fullmatch(selector):
            return self._extreme(selector, extreme[1], extreme[2])
        return None

    def _too_few(self, selector: str) -> RunNotFound:
        count = self._roster.count()
        runs_text = {0: "no runs", 1: "1 run"}.get(count, f"{count} runs")
        oldest = f"the oldest is latest~{count - 1}."
        return RunNotFound(
            f"there is no '{selector}': {self._where()} has {runs_text}",
            selector=selector,
            hint=oldest if count else "`git track run -- COMMAND` records one.",
        )

    def _where(self) -> str:
        return f"experiment '{self._experiment}'" if self._experiment else "this repository"

    def _extreme(self, selector: str, which: str, metric: str) -> RunRef:
        found = self._roster.extreme(metric, highest=which == "best")
        if found is None:
            near = nearest(metric, set(self._roster.metrics()) - {metric})
            listed = "`git track ls --all-columns` shows the metrics."
            hint = f"did you mean '{which}:{near}'?" if near else listed
            raise UnknownKey(f"no run has a metric '{metric}'", key=metric, hint=hint)
        if math.isnan(found.metrics[metric]):
            raise RunNotFound(f"'{metric}' is NaN in every run that has it", selector=selector)
        return ref_of(found)

    def _prefix(self, selector: str) -> RunRef | None:
        found = _beginning(self._roster, selector)
        start = selector.rpartition("/")[2]
        whole = [ref for ref in found if names.stem(ref.name) == start]
        return whole[0] if len(whole) == 1 else _only(selector, found)

    def _hexadecimal(self, selector: str) -> RunRef | None:
        digits = selector.lower()
        if not _HEX.fullmatch(digits):
            return None
        exact = self._roster.at(digits) if len(digits) == _WHOLE else []
        return _only(selector, exact or self._roster.identified(digits, _SHOWN + 1))

    def _version(self, selector: str) -> RunRef | None:
        if "@" not in selector:
            return None
        from gittrack import provenance

        version = provenance.version(self._repo, selector)
        if version is None:
            return None
        found = self._at(selector, version.commit)
        if found is None:
            raise provenance.no_run(selector, version.name, version.commit)
        return found

    def _at(self, selector: str, commit: str) -> RunRef | None:
        """The run that this commit is, with a ref or without one; None if it is none."""
        if own := self._roster.at(commit):
            return own[0]
        self._check_live(selector, commit)
        found = commits.identify(self._repo, commit)
        if found is not None and self._experiment not in (None, found.experiment):
            raise RunNotFound(
                f"'{selector}' is {found.experiment}/{found.name}, and so not in {self._where()}",
                selector=selector,
            )
        return found

    def _revision(self, selector: str) -> RunRef | None:
        if not selector or selector.startswith("-") or "\0" in selector:
            return None
        commit = self._repo.resolve(selector)
        if commit is None:
            self._check_target(selector)
            return None
        found = self._at(selector, commit)
        if found is not None:
            return found
        if "@" in selector or "#" in selector:
            from gittrack import provenance

            provenance.check(self._repo, selector, commit)
        if self._roster.newest() is not None:
            found = self._roster.newest_on(self._repo.first_parents(commit))
            if found is not None:
                return found
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

    def _missing(self, selector: str) -> RunNotFound:
        message = f"no run named '{selector}' in {self._where()}"
        if any(run.name.startswith(selector) for run in running(self._repo)):
            return RunNotFound(
                f"'{selector}' is still running",
                selector=selector,
                hint="`git track show`, `watch` and `logs` show it; all else when it has ended.",
            )
        from gittrack import provenance

        known = self._roster.all_names(_MOST_NEAR)
        if advice := provenance.advice(self._repo, selector):
            hint = advice
        elif not known and self._roster.is_empty():
            hint = "there are no runs yet: `git track run -- COMMAND`."
        elif near := names.near(selector, known):
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
        ends = [self._end(end) if end else None for end in (first, last)]
        oldest, newest = (None if end is None else end.started for end in ends)
        if oldest is not None and newest is not None and oldest > newest:
            raise _backwards(selector, first, last)
        known = self._roster.between(oldest, newest)
        places = {key_of(run): number for number, run in enumerate(known)}
        start = 0 if ends[0] is None else places[key_of(ends[0])]
        stop = len(known) - 1 if ends[1] is None else places[key_of(ends[1])]
        if start > stop and first and last:
            raise _backwards(selector, first, last)
        # Archived runs stay out unless they were named.
        return [
            ref_of(run)
            for number, run in enumerate(known[start : stop + 1], start)
            if not run.archived or number in (start, stop)
        ]

    def _end(self, selector: str) -> Summary:
        found = self._roster.run(self.one(selector))
        if found is None:
            raise RunNotFound(
                f"'{selector}' is deleted, unreadable or has no ref: it can be no end of a range",
                selector=selector,
            )
        return found


def _backwards(selector: str, first: str, last: str) -> RunNotFound:
    return RunNotFound(
        f"'{selector}' holds no run: '{first}' began after '{last}'",
        selector=selector,
        hint=f"'{last}..{first}' holds some.",
    )


def _beginning(roster: Roster, selector: str) -> list[RunRef]:
    """The runs whose names begin so, those that are called so but for the ending first."""
    group, slash, start = _path(selector).rpartition("/")
    if not start or (slash and not group):
        return []
    whole = roster.of_stem(start, group or None, _SHOWN + 1)
    more = roster.beginning(start, group or None, _SHOWN + 1)
    return list({ref.full: ref for ref in [*whole, *more]}.values())


def _path(selector: str) -> str:
    return selector.removeprefix("refs/").removeprefix("runs/")


def _is_computed(selector: str) -> bool:
    return bool(_LATEST.fullmatch(selector) or _EXTREME.fullmatch(selector))


def _only(selector: str, found: Sequence[RunRef]) -> RunRef | None:
    if len(found) < 2:
        return found[0] if found else None
    same = len({ref.name for ref in found}) < len(found)
    raise _ambiguous(
        selector, [f"{ref.experiment}/{ref.name}" if same else ref.name for ref in found]
    )


def _is_generated(name: str) -> bool:
    return names.SUFFIX.search(name) is not None
