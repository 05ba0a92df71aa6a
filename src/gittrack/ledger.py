"""What people say of objects afterwards, line by line: in Git notes, and in a file of this clone.

Knows the refs of one kind of notes, who writes which, and how an event survives a crash and a fetch
that overwrites the notes. What an event does, `events` knows; which objects there are, whoever
keeps the ledger.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from gittrack import names
from gittrack.errors import BadValue, GitFailed, GittrackError, WriteFailed
from gittrack.events import LARGEST_COUNTER, Change, Event, State, compose, fold, parse, resembles
from gittrack.git import Repo
from gittrack.message import time_text

__all__ = ["LARGEST", "Entry", "Ledger", "Said", "state_of", "writer"]

LARGEST = 1 << 20
"""The most bytes that a note may have."""

_STALE_SECONDS = 3.0
_LONGEST_SLUG = 40


@dataclass(frozen=True, slots=True)
class Said:
    """The lines about one object: events by line, people's remarks, sentences about bad lines."""

    events: dict[str, Event] = field(default_factory=dict)
    remarks: dict[str, None] = field(default_factory=dict)
    faults: dict[str, None] = field(default_factory=dict)

    def read(self, data: bytes, where: str) -> None:
        """Add what a note says; `where` it is, for the sentences about bad lines."""
        for line in data.decode("utf-8", "replace").split("\n"):
            event = parse(line)
            if event is not None:
                self.events[event.line] = event
            elif resembles(line):
                self.faults[f"{where}: a damaged event: {line[:60]!r}"] = None
            elif line.strip():
                self.remarks[line.rstrip()] = None

    def add(self, lines: Iterable[str]) -> None:
        """Add those of the lines that are events."""
        found = (parse(line) for line in lines)
        self.events.update({event.line: event for event in found if event is not None})


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be said of something: of `about`, 32 hexadecimal digits; in the note on `target`.

    `where` are the objects whose notes count for it, None: all that have any. `name` is what it is
    called in errors; `of` what the line calls it for people, None: its digits are enough.
    """

    about: str
    target: str
    changes: Sequence[Change]
    name: str
    where: Set[str] | None
    of: str | None = None


def state_of(about: str, said: Iterable[Said]) -> State:
    """What the lines add up to that are about this."""
    return fold(event for one in said for event in one.events.values() if event.run == about)


class Ledger:
    """Notes below `root`, and the file `own` in the `state` of a repository with this clone's.

    A line there is `OBJECT EVENT`. `on_commits` says that all objects are commits: many notes are
    then one commit.
    """

    def __init__(self, root: str, own: str, *, on_commits: bool) -> None:
        self.root = root
        self.own = own
        self._published = f"{own}.published"
        self._on_commits = on_commits

    # -- reading ----------------------------------------------------------------------------------

    def gather(self, repo: Repo, targets: Set[str] | None, faults: list[str]) -> dict[str, Said]:
        """All that is said of some objects, None: of all; what cannot be read goes to `faults`."""
        said: dict[str, Said] = {}
        if targets is not None and not targets:
            return said
        for ref in repo.refs(self.root):
            try:
                notes = repo.notes(ref.name)
            except GitFailed as error:
                faults.append(f"{ref.name}: {error.message}")
                continue
            for target in notes.keys() if targets is None else targets & notes.keys():
                try:
                    data = repo.read_blob(notes[target], limit=LARGEST)
                except GitFailed as error:
                    faults.append(f"{ref.name}: the note on {target[:12]}: {error.message}")
                    continue
                said.setdefault(target, Said()).read(data, ref.name.removeprefix(self.root))
        try:
            own = self._own(repo)
        except OSError as error:
            faults.append(f"'{repo.state / self.own}' cannot be read: {error.strerror}")
            own = {}
        for target in own.keys() if targets is None else targets & own.keys():
            said.setdefault(target, Said()).events.update(own[target])
        return said

    def _own(self, repo: Repo) -> dict[str, dict[str, Event]]:
        """This clone's own events by object and line; a torn last line is none.

        Raises:
            OSError: they are there and cannot be read.
        """
        try:
            data = (repo.state / self.own).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        found: dict[str, dict[str, Event]] = {}
        for line in data.decode("utf-8", "replace").split("\n"):
            target, _, text = line.partition(" ")
            event = parse(text)
            if event is not None:
                found.setdefault(target, {})[event.line] = event
        return found

    # -- writing ----------------------------------------------------------------------------------

    def append(
        self,
        repo: Repo,
        entries: Sequence[Entry],
        *,
        now: datetime,
        random: Callable[[int], bytes],
    ) -> None:
        """Say all of it, or on an error none.

        Safe against other processes. The events are flushed to a file of this repository before
        they go into the notes, so neither a crash nor a fetch that overwrites the notes loses them:
        what a note lacks counts all the same, and the next call puts it back.

        Raises:
            BadValue: more was said of something than a note may hold.
            BadName: `track.writer` is no name.
            WriteFailed: the repository is read-only or full, or a ref is in the way of the notes.
            GitFailed: Git refused to write the notes.
        """
        if not entries:
            return
        self._make_way(repo)
        with _alone(repo):
            ref = self.root + _writer(repo, random)
            lines = self._lines(repo, entries, now, random)
            whole = self._is_published(repo, ref)
            before = self._keep(repo, lines)
            try:
                self._publish(repo, ref, {entry.target for entry in entries}, others=not whole)
            except GittrackError:
                os.truncate(repo.state / self.own, before)
                raise

    def _lines(
        self,
        repo: Repo,
        entries: Sequence[Entry],
        now: datetime,
        random: Callable[[int], bytes],
    ) -> list[tuple[str, str]]:
        """The new events, each with the object that its note is on."""
        places = [entry.where for entry in entries]
        every = None if None in places else {one for where in places for one in where or ()}
        known = self.gather(repo, every, [])
        tops: dict[str, int] = {}
        for entry in entries:
            where = known.keys() if entry.where is None else entry.where & known.keys()
            tops[entry.about] = state_of(entry.about, (known[target] for target in where)).top
        by, at = repo.identity().name, time_text(now)
        lines = []
        for entry in entries:
            about = entry.about
            if tops[about] + len(entry.changes) > LARGEST_COUNTER:
                raise BadValue(f"'{entry.name}' cannot take more events: its counter is used up")
            for change in entry.changes:
                tops[about] += 1
                line = compose(
                    tops[about], random(16).hex(), about, change, by=by, at=at, of=entry.of
                )
                lines.append((entry.target, line))
        return lines

    def _make_way(self, repo: Repo) -> None:
        """`git notes --ref=runs add` makes a ref beneath which there can be no others."""
        there = self.root.removesuffix("/")
        if repo.ref(there) is not None:
            raise WriteFailed(
                f"the notes ref {there} is in the way of {self.root}*",
                hint=f"move it: `git update-ref refs/notes/remarks {there} && "
                f"git update-ref -d {there}`.",
            )

    def _keep(self, repo: Repo, lines: Iterable[tuple[str, str]]) -> int:
        """Append to the file of own events and flush it -> the size to go back to."""
        text = "".join(f"{target} {line}\n" for target, line in lines)
        try:
            handle = os.open(
                repo.state / self.own, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666
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

    def _is_published(self, repo: Repo, ref: str) -> bool:
        """Whether the note holds all own events: ref and file are as our last call left them."""
        try:
            memory = (repo.state / self._published).read_text("utf-8", "replace")
        except OSError:
            return False
        return memory == self._fingerprint(repo, ref)

    def _fingerprint(self, repo: Repo, ref: str) -> str:
        try:
            size = (repo.state / self.own).stat().st_size
        except FileNotFoundError:
            size = 0
        return f"{ref} {repo.ref(ref)} {size}\n"

    def _publish(self, repo: Repo, ref: str, targets: Set[str], *, others: bool) -> None:
        """Put our own events on `targets` into their notes, and on `others` what theirs lack."""
        own = self._own(repo)
        try:
            notes = repo.notes(ref)
        except GitFailed as error:
            raise WriteFailed(
                f"{ref} cannot be read: {error.message}", hint="`git fsck` tells more."
            ) from error
        new = {}
        # What was lost before comes first: if that fails, nothing of this call is in a note yet.
        for target in [*(own.keys() - targets if others else ()), *targets]:
            there = repo.read_blob(notes[target], limit=LARGEST) if target in notes else b""
            merged = _merged(there, own[target])
            if len(merged) > LARGEST and target in targets:
                raise BadValue(f"the notes on {target[:12]} would have more than 1 MiB")
            if there != merged and len(merged) <= LARGEST and repo.exists(target):
                new[target] = merged
        if new:
            _remove_stale_lock(repo, ref)
        if len(new) > 1 and self._on_commits:
            repo.set_notes(ref, new, repo.identity())
        else:
            for target, merged in new.items():
                repo.set_note(ref, target, merged, repo.identity())
        try:
            (repo.state / self._published).write_text(self._fingerprint(repo, ref), "utf-8")
        except OSError:
            # Only a short cut: the next call looks at every note instead.
            pass


# -- who writes ---------------------------------------------------------------------------------


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


def _write_all(handle: int, data: bytes, before: int) -> None:
    try:
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, before)
        raise


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


def _merged(note: bytes, events: Mapping[str, Event]) -> bytes:
    """A note with the events that it lacks after what stands in it."""
    there = {line.rstrip() for line in note.split(b"\n")}
    new = [line for event in events.values() if (line := event.line.encode()) not in there]
    if not new:
        return note
    head = note if not note or note.endswith(b"\n") else note + b"\n"
    return head + b"\n".join(new) + b"\n"
