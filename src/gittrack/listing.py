"""The Python door for reading: which runs a repository has, one of them, and how some differ.

Reads through the same functions as `git track ls`, `show` and `diff`. A question about what no run
has is an error with the nearest that there is, never an empty answer. Changes no run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from gittrack import answers, names, recorded, whereabouts
from gittrack.errors import RunNotFound, UnknownKey, UsageError
from gittrack.foreign import plain
from gittrack.keys import flatten, nearest
from gittrack.recorded import RecordedRun, Runs
from gittrack.search import Question, Search, open_search
from gittrack.summaries import STATUSES, Summary, Value

if TYPE_CHECKING:
    from gittrack.difference import Difference

__all__ = ["RecordedRun", "Runs", "diff", "get_run", "runs"]

_Path: TypeAlias = str | os.PathLike[str]


def runs(
    query: str | None = None,
    *,
    experiment: str | None = None,
    status: str | Iterable[str] | None = None,
    name: str | None = None,
    user: str | None = None,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, Value] | None = None,
    archived: bool = False,
    deleted: bool = False,
    sort: str | Sequence[str] | None = "-started",
    limit: int | None = None,
    directory: _Path | None = None,
) -> Runs:
    """The runs of this repository that have all that is asked, newest first, running ones too.

    `query` is what `git track ls` takes: `metrics.acc > 0.9 and params.lr = 0.01`. The rest narrows
    further: `experiment` is its name or its title, `status` one or several, `name` a run's whole
    name or what stands before its random ending. `tags` and `params` are what a run must have,
    nested params as mappings or with dots; numbers are compared as numbers, so 1 is 1.0 and True is
    neither. `archived` and `deleted` add such runs. `sort` is as `git track ls --sort` takes it:
    `accuracy`, `-params.lr`, `max(loss)`, or several.

    The repository is the one at or above `directory`; without it, that of the run that this script
    belongs to, else the one at or above the current directory. Runs that cannot be read are among
    the answer's `problems`. Nothing found is an empty answer only where each thing asked for is
    one that some run has.

    Raises:
        QueryError: the query makes no sense here; the message shows where.
        UnknownKey: no run is of the experiment or the user, or has the tag, the param or the key
            to sort by.
        RunNotFound: no run is called `name`.
        UsageError: `query` is no text, `status` is none, or `limit` no count.
        RepositoryError: there is no repository, or it cannot be used.
    """
    if query is not None and not isinstance(query, str):
        raise UsageError(f"query is {query!r}, not a text")
    _check_limit(limit)
    narrowing = _Narrowing(
        None if status is None else _statuses(status),
        name,
        user,
        {key: str(text) for key, text in (tags or {}).items()},
        {key: plain(value) for key, value in flatten(params or {}).items()},
    )
    repo = recorded.opened(directory)
    question = Question(query, experiment, archived, deleted, True, _order(sort))
    with open_search(whereabouts.of(repo)) as search:
        if narrowing == _NOTHING:
            question = question._replace(limit=limit)
            kept, problems = answers.found(search, question, repo.git_dir)
            return Runs(kept, repo.git_dir, problems, question)
        found = search.find(question)
        kept = _narrowed(search, found.runs, narrowing)
        return Runs(kept[:limit], repo.git_dir, found.problems)


def get_run(selector: str = "latest", *, directory: _Path | None = None) -> RecordedRun:
    """The run that `selector` names, as `git track show` takes it: a name or its beginning,
    `latest~2`, `best:accuracy`, an id, a branch.

    One that is running answers to its name, the beginning of it, and its id. `directory` as in
    `runs`.

    Raises:
        RunNotFound: no run answers.
        AmbiguousRun: more than one does.
        UnknownKey: no run has the metric.
        BrokenRecord: its commit cannot be read.
        RepositoryError: there is no repository, or it cannot be used.
    """
    return recorded.find(recorded.opened(directory), selector)


def diff(*found: RecordedRun | str, directory: _Path | None = None) -> Difference:
    """What differs between runs, given as such or as `get_run` takes them; not their code.

    One is compared with the latest, none are the latest two. `Difference.parts` are the params,
    metrics, data and so on: of each the keys that differ, with a value for each run.

    Raises:
        As `get_run`, for each of them; BrokenRecord also where a record cannot be read.
    """
    repo = recorded.opened(directory)
    return recorded.compared(
        repo, found if len(found) > 1 else (*(found or ("latest~1",)), "latest")
    )


def _statuses(status: str | Iterable[str]) -> set[str]:
    wanted = {status} if isinstance(status, str) else set(status)
    for word in sorted(wanted.difference(STATUSES)):
        near = nearest(word, STATUSES)
        listed = f"there are: {', '.join(STATUSES)}."
        raise UsageError(
            f"'{word}' is no status", hint=f"did you mean '{near}'?" if near else listed
        )
    return wanted


def _check_limit(limit: int | None) -> None:
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise UsageError(f"limit is {limit!r}, not a count of runs")


def _order(sort: str | Sequence[str] | None) -> tuple[str, ...]:
    keys = (sort,) if isinstance(sort, str) else tuple(sort or ())
    # As they come: newest first.
    return () if keys == ("-started",) else keys


# -- what is asked beside a query ---------------------------------------------------------------


class _Narrowing(NamedTuple):
    """What the runs of an answer must have besides; None and empty ask for nothing."""

    statuses: set[str] | None
    name: str | None
    user: str | None
    tags: Mapping[str, str]
    params: Mapping[str, Value]


_NOTHING = _Narrowing(None, None, None, {}, {})


def _narrowed(search: Search, found: Sequence[Summary], wanted: _Narrowing) -> Sequence[Summary]:
    if wanted.statuses is not None:
        found = [run for run in found if run.status in wanted.statuses]
    if wanted.name is not None:
        called = _called(search, wanted.name)
        found = [run for run in found if run.name in called]
    if wanted.user is not None:
        users = _known(search, "user")
        _check(wanted.user, users, f"no run is of user '{wanted.user}'")
        found = [run for run in found if run.user == wanted.user]
    for group, asked in (("tags", wanted.tags), ("params", wanted.params)):
        for key, value in asked.items():
            known = search.vocabulary.keys(group)
            _check(key, known, f"no run has a {group.removesuffix('s')} '{key}'")
            found = _having(found, group, key, value)
    return found


def _known(search: Search, attribute: str) -> set[str]:
    """The values that the attribute has in any run, deleted ones too."""
    whole = Question(archived=True, deleted=True)
    return set(search.columns(whole, [attribute])[attribute])


def _called(search: Search, name: str) -> set[str]:
    """The names that `name` stands for.

    Raises:
        RunNotFound: there is none.
    """
    known = _known(search, "name")
    found = {given for given in known if name in (given, names.SUFFIX.sub("", given))}
    if not found:
        near = names.near(name, sorted(known))
        hint = f"did you mean {' or '.join(near)}?" if near else "runs() gives them all."
        raise RunNotFound(f"no run is called '{name}'", selector=name, hint=hint)
    return found


def _check(asked: str, known: Iterable[str], message: str) -> None:
    """Raise UnknownKey with the nearest where `asked` is none of those that are known."""
    there = sorted(known)
    if asked not in there:
        near = nearest(asked, there)
        listed = f"there are: {', '.join(there[:10]) or 'none'}."
        raise UnknownKey(message, key=asked, hint=f"did you mean '{near}'?" if near else listed)


def _having(found: Sequence[Summary], group: str, key: str, value: Value) -> list[Summary]:
    """The runs whose param or tag has this value."""
    from gittrack.difference import equal

    values = attrgetter(group)
    missing = object()
    return [run for run in found if equal(values(run).get(key, missing), value)]
