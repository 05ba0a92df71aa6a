"""Where it is kept what was said of runs after they ended: Git notes, and a file of this clone.

Knows the refs under `refs/notes/runs/`, who writes which, and how an event survives a crash and a
fetch that overwrites the notes. What an event says and what it does to a run is `events`' to know;
knows nothing of selectors, tables and the terminal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from gittrack import commits, names, refs
from gittrack.errors import BadValue, GitFailed, GittrackError, WriteFailed
from gittrack.events import LARGEST_COUNTER, Change, Event, State, compose, fold, parse, resembles
from gittrack.git import Repo
from gittrack.message import time_text
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
LARGEST = 1 << 20
"""The most bytes that a note may have."""

_STALE_SECONDS = 3.0
_LONGEST_SLUG = 40


# -- reading ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Said:
    """The lines about one commit: events by line, people's remarks, sentences about bad lines."""

    events: dict[str, Event] = field(default_factory=dict)
    remarks: dict[str, None] = field(default_factory=dict)
    faults: dict[str, None] = field(default_factory=dict)

    def read(self, data: bytes, where: str) -> None:
        for line in data.decode("utf-8", "replace").split("\n"):
            event = parse(line)
            if event is not None:
                self.events[event.line] = event
            elif resembles(line):
                self.faults[f"{where}: a damaged event: {line[:60]!r}"] = None
            elif line.strip():
                self.remarks[line.rstrip()] = None


def overlay(repo: Repo, summaries: Iterable[Summary]) -> list[Summary]:
    """The runs as they stand after all that was said of them.

    Title and tags are the current ones; archived, deleted and notes are filled in, people's own
    remarks after the notes. What cannot be read is left out here and named by `problems`.
    """
    found = list(summaries)
    said = _gather(repo, {run.commit for run in found if run.commit}, [])
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
    said = _Said()
    for data in notes:
        said.read(data, "")
    found = (parse(line) for line in own)
    said.events.update({event.line: event for event in found if event is not None})
    return _applied(run, said)


def problems(repo: Repo) -> list[str]:
    """Sentences about annotations that are ignored: damaged, misplaced, quarantined, unreadable.

    Opens every run; a run whose own record is broken is `commits.listing`'s to report.
    """
    faults: list[str] = []
    known = commits.listing(repo, refs.all_runs(repo)).runs
    said = _gather(repo, {run.commit for run in known if run.commit}, faults)
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


def _state(run: Summary, said: _Said) -> State:
    return fold(event for event in said.events.values() if event.run == run.id)


def _applied(run: Summary, said: _Said) -> Summary:
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


def _gather(repo: Repo, commits: set[str], faults: list[str]) -> dict[str, _Said]:
    """Everything said about some commits; what cannot be read goes to `faults`."""
    said: dict[str, _Said] = {}
    if not commits:
        return said
    for ref in repo.refs(ROOT):
        try:
            notes = repo.notes(ref.name)
        except GitFailed as error:
            faults.append(f"{ref.name}: {error.message}")
            continue
        for commit in commits & notes.keys():
            try:
                data = repo.read_blob(notes[commit], limit=LARGEST)
            except GitFailed as error:
                faults.append(f"{ref.name}: the note on {commit[:12]}: {error.message}")
                continue
            said.setdefault(commit, _Said()).read(data, ref.name.removeprefix(ROOT))
    try:
        own = _own(repo)
    except OSError as error:
        faults.append(f"'{repo.state / OWN}' cannot be read: {error.strerror}")
        own = {}
    for commit in commits & own.keys():
        said.setdefault(commit, _Said()).events.update(own[commit])
    return said


# -- writing ------------------------------------------------------------------------------------

_PUBLISHED = "annotations.published"


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

    Safe against other processes. The events are flushed to a file of this repository before they
    go into the notes, so neither a crash nor a fetch that overwrites the notes loses them: what a
    note lacks counts all the same, and the next call puts it back.

    Raises:
        BadValue: a run is still running, or more was said of one than a note may hold.
        BadName: `track.writer` is no name.
        WriteFailed: the repository is read-only or full, or `refs/notes/runs` is in the way.
        GitFailed: Git refused to write the notes.
    """
    asked: list[tuple[Summary, str, Sequence[Change]]] = []
    for run, changes in said:
        if run.commit is None:
            raise BadValue(f"'{run.name}' is still running", hint="annotate it when it has ended.")
        if changes:
            asked.append((run, run.commit, changes))
    if not asked:
        return
    _make_way(repo)
    with _alone(repo):
        ref = ROOT + _writer(repo, random)
        targets = {commit for _, commit, _ in asked}
        known = _gather(repo, targets, [])
        tops = {c: _state(run, known.get(c, _Said())).top for run, c, _ in asked}
        by, at = repo.identity().name, time_text(now)
        lines = []
        for run, commit, changes in asked:
            if tops[commit] + len(changes) > LARGEST_COUNTER:
                raise BadValue(f"'{run.name}' cannot take more events: its counter is used up")
            for change in changes:
                tops[commit] += 1
                line = compose(tops[commit], random(16).hex(), run.id, change, by=by, at=at)
                lines.append((commit, line))
        whole = _is_published(repo, ref)
        before = _keep(repo, lines)
        try:
            _publish(repo, ref, targets, others=not whole)
        except GittrackError:
            os.truncate(repo.state / OWN, before)
            raise


def writer(repo: Repo, *, random: Callable[[int], bytes]) -> str:
    """The name under which this clone annotates: `track.writer`, made up at first use.

    Work trees of one clone share it.

    Raises:
        BadName: the setting is no name.
        WriteFailed: it could not be written.
    """
    if repo.config.get("track.writer"):
        return _writer(repo, random)
    with _alone(repo):
        return _writer(repo, random)


def _writer(repo: Repo, random: Callable[[int], bytes]) -> str:
    known = repo.config.get("track.writer")
    if not known:
        # Another process may have set it since our configuration was read.
        asked = repo.git("config", "--includes", "track.writer", accept=(0, 1))
        known = asked.decode("utf-8", "surrogateescape").strip()
    if known:
        return names.check(known, "writer")
    slug = names.suggest(repo.identity().name[:_LONGEST_SLUG]) or "writer"
    made = names.generate(random(6), slug)
    try:
        repo.set_config("track.writer", made)
    except GitFailed as error:
        raise WriteFailed(f"track.writer cannot be set: {error.message}") from error
    return made


def _make_way(repo: Repo) -> None:
    """`git notes --ref=runs add` makes a ref beneath which there can be no others."""
    there = ROOT.removesuffix("/")
    if repo.ref(there) is not None:
        raise WriteFailed(
            f"the notes ref {there} is in the way of {ROOT}*",
            hint=f"move it: `git update-ref refs/notes/remarks {there} && "
            f"git update-ref -d {there}`.",
        )


@contextmanager
def _alone(repo: Repo) -> Iterator[None]:
    import fcntl

    try:
        repo.state.mkdir(parents=True, exist_ok=True)
        handle = os.open(repo.state / "annotations.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    except OSError as error:
        raise _unwritable(repo, error) from error
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _unwritable(repo: Repo, error: OSError) -> WriteFailed:
    return WriteFailed(
        f"cannot write to '{repo.state}': {error.strerror}",
        hint="is the disk full, or the repository read-only? Nothing was changed.",
    )


def _own(repo: Repo) -> dict[str, dict[str, Event]]:
    """This clone's own events by commit and line; a torn last line is none.

    Raises:
        OSError: they are there and cannot be read.
    """
    try:
        data = (repo.state / OWN).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found: dict[str, dict[str, Event]] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        commit, _, text = line.partition(" ")
        event = parse(text)
        if event is not None:
            found.setdefault(commit, {})[event.line] = event
    return found


def _keep(repo: Repo, lines: Iterable[tuple[str, str]]) -> int:
    """Append to the file of own events and flush it -> the size to go back to."""
    text = "".join(f"{commit} {line}\n" for commit, line in lines)
    try:
        handle = os.open(
            repo.state / OWN, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666
        )
        try:
            before = os.fstat(handle).st_size
            torn = before > 0 and os.pread(handle, 1, before - 1) != b"\n"
            _write_all(handle, (("\n" if torn else "") + text).encode(), before)
        finally:
            os.close(handle)
    except OSError as error:
        raise _unwritable(repo, error) from error
    return before


def _write_all(handle: int, data: bytes, before: int) -> None:
    try:
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, before)
        raise


def _is_published(repo: Repo, ref: str) -> bool:
    """Whether the note holds all own events: ref and file are as our last call left them."""
    try:
        memory = (repo.state / _PUBLISHED).read_text("utf-8", "replace")
    except OSError:
        return False
    return memory == _fingerprint(repo, ref)


def _fingerprint(repo: Repo, ref: str) -> str:
    try:
        size = (repo.state / OWN).stat().st_size
    except FileNotFoundError:
        size = 0
    return f"{ref} {repo.ref(ref)} {size}\n"


def _remove_stale_lock(repo: Repo, ref: str) -> None:
    """Remove the lock that a killed `git notes` left on our own ref.

    We hold this clone's lock on annotations, so a living holder can only be a `git` started by
    hand, which needs milliseconds: a lock that has stood for seconds is nobody's.
    """
    lock = repo.common_dir / f"{ref}.lock"
    patience = time.monotonic() + _STALE_SECONDS
    while time.monotonic() < patience:
        try:
            if time.time() - lock.stat().st_mtime > _STALE_SECONDS:
                break
        except OSError:
            return
        time.sleep(0.05)
    try:
        lock.unlink(missing_ok=True)
    except OSError:
        # Git will say what is in the way.
        pass


def _publish(repo: Repo, ref: str, commits: Set[str], *, others: bool) -> None:
    """Put our own events on `commits` into their notes, and on `others` what their notes lack."""
    own = _own(repo)
    try:
        notes = repo.notes(ref)
    except GitFailed as error:
        raise WriteFailed(
            f"{ref} cannot be read: {error.message}", hint="`git fsck` tells more."
        ) from error
    new = {}
    for target in [*commits, *(own.keys() - commits if others else ())]:
        there = repo.read_blob(notes[target], limit=LARGEST) if target in notes else b""
        merged = _merged(there, own[target])
        if len(merged) > LARGEST and target in commits:
            raise BadValue(f"the notes on {target[:12]} would have more than 1 MiB")
        if there != merged and len(merged) <= LARGEST and repo.exists(target):
            new[target] = merged
    if new:
        _remove_stale_lock(repo, ref)
    if len(new) > 1:
        repo.set_notes(ref, new, repo.identity())
    elif new:
        repo.set_note(ref, *new.popitem(), repo.identity())
    try:
        (repo.state / _PUBLISHED).write_text(_fingerprint(repo, ref), "utf-8")
    except OSError:
        # Only a short cut: the next call looks at every note instead.
        pass


def _merged(note: bytes, events: Mapping[str, Event]) -> bytes:
    """A note with the events that it lacks after what stands in it."""
    there = {line.rstrip() for line in note.split(b"\n")}
    new = [line for event in events.values() if (line := event.line.encode()) not in there]
    if not new:
        return note
    head = note if not note or note.endswith(b"\n") else note + b"\n"
    return head + b"\n".join(new) + b"\n"
