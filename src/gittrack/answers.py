"""The runs that answer a question, however many: each read when looked at, all of them as columns.

Knows that a run may be recorded, annotated or removed after it was found. How a question is
answered is `search`'s to know, how runs look in Python `recorded`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import whereabouts
from gittrack.errors import RunNotFound
from gittrack.figures import since_epoch
from gittrack.git import Repo
from gittrack.pages import Pages
from gittrack.quoting import command_line
from gittrack.search import Question, Search, open_search
from gittrack.vocabulary import ATTRIBUTES, GROUPS

if TYPE_CHECKING:
    from gittrack.errors import BrokenRecord
    from gittrack.summaries import Summary

__all__ = ["MOMENTS", "MOST_AT_ONCE", "columns", "found", "marks"]

MOST_AT_ONCE = 2000
"""Of so many runs all are read as soon as they are found."""

MOMENTS = ("started", "ended")
"""The columns that are times."""

_EVERY = Question(archived=True, deleted=True)


class _Mark(NamedTuple):
    """What a run that was found is known by; `commit` is None while it runs."""

    id: str
    commit: str | None
    experiment: str
    name: str


def found(
    search: Search, question: Question, place: Path
) -> tuple[Sequence[Summary], tuple[BrokenRecord, ...]]:
    """The runs that answer, and one sentence for each run that cannot be read.

    Of more than MOST_AT_ONCE the rest is read from the repository at `place` when somebody looks,
    as it stands then; looking raises RunNotFound where a run has been removed since.

    Raises:
        QueryError, UnknownKey: as `Search.find`.
    """
    told = search.find(question._replace(limit=0))
    if min(told.total, MOST_AT_ONCE + 1 if question.limit is None else question.limit) > (
        MOST_AT_ONCE
    ):
        table = search.columns(question, _Mark._fields)
        marks = list(map(_Mark._make, _rows(table)))
        return Pages(marks, partial(_read, place), {}), told.problems
    some = search.find(question)
    return some.runs, some.problems


def _mark(run: Summary) -> _Mark:
    return _Mark(run.id, run.commit, run.experiment, run.name)


def _read(place: Path, marks: Sequence[_Mark]) -> dict[_Mark, Summary]:
    """The runs as they stand now, without those that are gone; one that ran may be recorded.

    Raises:
        RunNotFound: a single one is asked for, and gone.
    """
    with open_search(whereabouts.of(Repo.open(place))) as search:
        there = search.by_ids({mark.id for mark in marks})
    exact = {_mark(run): run for run in there}
    by_id = {run.id: run for run in there}
    read = {}
    for mark in marks:
        run = exact.get(mark) or by_id.get(mark.id)
        if run is not None:
            read[mark] = run
        elif len(marks) == 1:
            raise _gone(mark)
    return read


def _gone(mark: _Mark) -> RunNotFound:
    return RunNotFound(
        f"the run {mark.name} is gone", selector=mark.name, hint="ask for the runs again."
    )


def marks(found: Sequence[Summary]) -> list[tuple[str, str | None]]:
    """The id and the commit of each run; reads none."""
    if isinstance(found, Pages):
        return [mark[:2] for mark in found.keys]
    return [(run.id, run.commit) for run in found]


def columns(place: Path, question: Question, found: Sequence[Summary]) -> dict[str, Sequence[Any]]:
    """The columns of a full table of runs that `found` gave, None where a run has nothing.

    Attributes, then params, metrics and tags that any of them has. Times are microseconds since the
    epoch, a command is one line of shell, notes are lines. Raises as looking at the runs does.
    """
    if not isinstance(found, Pages):
        return _of_runs(found)
    with open_search(whereabouts.of(Repo.open(place))) as search:
        return _of_marks(search, question, found.keys)


def _of_marks(
    search: Search, question: Question, marks: Sequence[_Mark]
) -> dict[str, Sequence[Any]]:
    keys = [*ATTRIBUTES, *_keys(search)]
    table = search.columns(question, keys)
    places: Sequence[int] | None = None
    if _rows(table) != marks:
        # Some were annotated since, or a part is wanted.
        table = search.columns(_EVERY, keys)
        places = _places(list(map(_Mark._make, _rows(table))), marks)
    kept = {
        key: values if places is None else [values[place] for place in places]
        for key, values in table.items()
    }
    kept["notes"] = [_lines(notes) for notes in kept["notes"]]
    return {
        key: values
        for key, values in kept.items()
        if key in ATTRIBUTES or search.vocabulary.count(key).others or _has_any(values)
    }


def _keys(search: Search) -> list[str]:
    return [f"{group}.{key}" for group in GROUPS for key in search.vocabulary.keys(group)]


def _rows(table: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """What the marks are of; equal to them, too."""
    return list(zip(*(table[key] for key in _Mark._fields), strict=True))


def _places(there: Sequence[_Mark], wanted: Sequence[_Mark]) -> list[int]:
    exact = {mark: place for place, mark in enumerate(there)}
    by_id = {mark.id: place for place, mark in enumerate(there)}
    places = []
    for mark in wanted:
        place = exact.get(mark, by_id.get(mark.id))
        if place is None:
            raise _gone(mark)
        places.append(place)
    return places


def _has_any(values: Sequence[Any]) -> bool:
    return any(value is not None for value in values)


def _lines(notes: Any) -> str | None:
    """Notes as one text."""
    return notes if notes is None or isinstance(notes, str) else "\n".join(notes) or None


# -- runs at hand ---------------------------------------------------------------------------------


def _of_runs(found: Sequence[Summary]) -> dict[str, Sequence[Any]]:
    made: dict[str, Sequence[Any]] = {
        name: list(map(attrgetter(name), found)) for name in ATTRIBUTES
    }
    for name in MOMENTS:
        made[name] = [at if at is None else since_epoch(at) for at in made[name]]
    words: dict[str, str] = {}
    made["command"] = [_line(command, words) for command in made["command"]]
    made["notes"] = [_lines(notes) for notes in made["notes"]]
    for group in GROUPS:
        having = list(map(attrgetter(group), found))
        keys = sorted({key: None for values in having for key in values})
        made |= {f"{group}.{key}": [values.get(key) for values in having] for key in keys}
    return made


def _line(command: Sequence[str], words: dict[str, str]) -> str | None:
    """A command as one line; `words` remembers each word as a shell reads it."""
    for word in command:
        if word not in words:
            words[word] = command_line([word])
    return " ".join([words[word] for word in command]) or None
