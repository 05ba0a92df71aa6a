"""What was said of runs after they ended, laid over what their records say.

Knows the notes on runs and how a run stands after them. How notes are kept and written is
`ledger`'s to know, what an event says and does to a run `events`'; knows nothing of selectors,
tables and the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from gittrack import commits, refs
from gittrack.errors import BadValue
from gittrack.events import Change, State
from gittrack.git import Repo
from gittrack.ledger import LARGEST, Entry, Ledger, Said, state_of, writer
from gittrack.summaries import Summary

__all__ = [
    "LARGEST",
    "OWN",
    "ROOT",
    "append",
    "append_all",
    "applied",
    "overlay",
    "problems",
    "writer",
]

ROOT = "refs/notes/runs/"
OWN = "annotations"
"""The file in the repository's `state` with what this clone said: `COMMIT EVENT`, a line each."""

_LEDGER = Ledger(ROOT, OWN, on_commits=True)


# -- reading ------------------------------------------------------------------------------------


def overlay(repo: Repo, summaries: Iterable[Summary]) -> list[Summary]:
    """The runs as they stand after all that was said of them.

    Title and tags are the current ones; archived, deleted and notes are filled in, people's own
    remarks after the notes. What cannot be read is left out here and named by `problems`.
    """
    found = list(summaries)
    said = _LEDGER.gather(repo, {run.commit for run in found if run.commit}, [])
    if not said:
        return found
    return [
        _applied(run, said[run.commit]) if run.commit is not None and run.commit in said else run
        for run in found
    ]


def applied(run: Summary, notes: Iterable[bytes], own: Iterable[str]) -> Summary:
    """The run as it stands after these notes on it, and these lines of this clone's own.

    What `overlay` does, for whoever knows already which notes there are.
    """
    said = Said()
    for data in notes:
        said.read(data, "")
    said.add(own)
    return _applied(run, said)


def problems(repo: Repo) -> list[str]:
    """Sentences about annotations that are ignored: damaged, misplaced, quarantined, unreadable.

    Opens every run; a run whose own record is broken is `commits.listing`'s to report.
    """
    faults: list[str] = []
    known = commits.listing(repo, refs.all_runs(repo)).runs
    said = _LEDGER.gather(repo, {run.commit for run in known if run.commit}, faults)
    for run in known:
        lines = said.get(run.commit or "")
        if lines is not None:
            where = f"runs/{run.experiment}/{run.name}"
            wrong = sum(event.run != run.id for event in lines.events.values())
            if wrong:
                faults.append(f"{where}: {wrong} events ignored: they name another run")
            faults += [f"{where}: {fault}" for fault in lines.faults]
            faults += [f"{where}: {fault}" for fault in _state(run, lines).faults]
    return faults


def _state(run: Summary, said: Said) -> State:
    return state_of(run.id, [said])


def _applied(run: Summary, said: Said) -> Summary:
    state = _state(run, said)
    tags = {key: value for key, value in run.tags.items() if key not in state.tags}
    tags |= {key: value for key, value in state.tags.items() if value is not None}
    return replace(
        run,
        title=run.title if state.title is None else state.title or None,
        tags=tags,
        archived=state.archived,
        deleted=state.deleted,
        notes=(*run.notes, *state.notes, *said.remarks),
    )


# -- writing ------------------------------------------------------------------------------------


def append(
    repo: Repo,
    run: Summary,
    changes: Sequence[Change],
    *,
    now: datetime,
    random: Callable[[int], bytes],
) -> None:
    """Say something of a run: all the changes, or on an error none of them; as `append_all`."""
    append_all(repo, [(run, changes)], now=now, random=random)


def append_all(
    repo: Repo,
    said: Iterable[tuple[Summary, Sequence[Change]]],
    *,
    now: datetime,
    random: Callable[[int], bytes],
) -> None:
    """Say something of many runs: all the changes, or on an error none of them.

    Safe against other processes and crashes, as `Ledger.append`.

    Raises:
        BadValue: a run is still running, or more was said of one than a note may hold.
        BadName: `track.writer` is no name.
        WriteFailed: the repository is read-only or full, or `refs/notes/runs` is in the way.
        GitFailed: Git refused to write the notes.
    """
    asked = []
    for run, changes in said:
        if run.commit is None:
            raise BadValue(f"'{run.name}' is still running", hint="annotate it when it has ended.")
        if changes:
            asked.append(Entry(run.id, run.commit, changes, run.name, {run.commit}))
    _LEDGER.append(repo, asked, now=now, random=random)
