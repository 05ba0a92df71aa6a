"""Mistakes that a writer of runs could make, each to be noticed by the tests of crashes.

A fault replaces a function of gittrack, in the forked child that applies it and nowhere else.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from crash.world import Fault
from gittrack import commits, journal, names, recovery, refs, sessions, story
from gittrack.errors import RunExists, WriteFailed
from gittrack.git import Repo
from gittrack.journal import Story, Writer
from gittrack.refs import RunRef
from gittrack.sessions import Session

__all__ = ["CAUGHT_BY"]

_gittrack_annotations: Any = import_module("gittrack.annotations")
_gittrack_ledger: Any = import_module("gittrack.ledger")


def _replace(owner: Any, **functions: Any) -> None:
    for name, function in functions.items():
        setattr(owner, name, function)


# -- from the journal to the commit --------------------------------------------------------------


def ref_before_objects() -> None:
    """The ref is made first and moved to the commit when that is stored."""

    def write(repo: Repo, run: Any, **parts: Any) -> RunRef:
        made = refs.create(repo, experiment=run.experiment, name=run.name, commit=run.code.base)
        commit = commits.store(repo, run, **parts)
        repo.set_ref(made.full, commit)
        return RunRef(made.experiment, made.name, commit)

    _replace(commits, write=write)


def directory_before_ref() -> None:
    """The session ends before the run exists."""
    original = recovery._write

    def write(repo: Repo, session: Session, *rest: Any) -> Any:
        create = refs.create

        def late(*arguments: Any, **named: Any) -> RunRef:
            session.end()
            return create(*arguments, **named)

        _replace(refs, create=late)
        return original(repo, session, *rest)

    _replace(recovery, _write=write)


def no_look_for_the_ref() -> None:
    """Recovery writes without looking whether the run is there, each time a little differently."""
    original = story.tell

    def tell(story: Story, **named: Any) -> Any:
        run, rows = original(story, **named)
        return replace(run, host=str(time.time_ns())), rows

    _replace(recovery, tell=tell)
    _replace(refs, find=lambda *_: None)


def random_names() -> None:
    """Where a name is taken, another is drawn, which nobody can find again after a crash."""

    def drawn(story: Story) -> Iterator[str]:
        yield story.begin["name"]
        while True:
            yield names.generate(os.urandom(6))

    _replace(recovery, _names=drawn)


def locks_stay() -> None:
    """The lock of a killed writer is nobody's business."""
    _replace(recovery, _remove_stale_locks=lambda *_: None)


def snapshot_stays_held() -> None:
    """Recovery leaves the snapshot's ref where the run is there already."""
    original: Any = recovery._same_run

    def same(*arguments: Any) -> Any:
        found = original(*arguments)
        if found is not None:
            _replace(refs, release_snapshot=lambda *_: None)
        return found

    _replace(recovery, _same_run=same)


def removed_in_place() -> None:
    """A directory that a crash leaves half removed looks like a run."""

    def remove(directory: Path) -> None:
        (directory / "begin").unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)

    _replace(sessions, _remove=remove)


def leftovers_stay() -> None:
    """Nobody clears up after runs that never began, or were recorded."""
    _replace(sessions, discard_leftovers=lambda *_: None)


def adopted_by_nobody() -> None:
    """A run whose lock file is there is taken for alive."""
    _replace(sessions, is_lost=lambda directory: not (directory / "lock").exists())


# -- the beginning -------------------------------------------------------------------------------


def visible_before_begun() -> None:
    """The directory gets its final name before how the run begins is written down."""
    original = Session.begin

    def begin(self: Session, known: Mapping[str, Any]) -> None:
        final = self.directory.with_name(self.directory.name.removeprefix(".new-"))
        os.rename(self.directory, final)
        self.directory = final
        original(self, known)

    _replace(Session, begin=begin)


def empty_directories_stay() -> None:
    """A directory without a lock might be in use: it is left for an hour."""
    original = sessions._discard

    def discard(directory: Path, *, begun: bool) -> None:
        if (directory / "lock").exists() or begun:
            original(directory, begun=begun)

    _replace(sessions, _discard=discard)


# -- logging -------------------------------------------------------------------------------------


def buffered() -> None:
    """Lines wait in this process until there are some."""
    waiting: list[Mapping[str, Any]] = []
    original = Writer.append

    def append(self: Writer, event: Mapping[str, Any]) -> None:
        waiting.append(event)
        if len(waiting) >= 8:
            for kept in waiting:
                original(self, kept)
            waiting.clear()

    _replace(Writer, append=append)


def two_writes() -> None:
    """A line and its end are written apart, so that a crash leaves a line that looks torn."""

    def append(self: Writer, event: Mapping[str, Any]) -> None:
        line = journal.frame({"t": time.time(), **event})
        os.write(self._descriptor, line[: len(line) // 2])
        os.write(self._descriptor, line[len(line) // 2 :])

    _replace(Writer, append=append)


def rewritten() -> None:
    """The whole file is written anew for each line."""
    lines: list[bytes] = []

    def append(self: Writer, event: Mapping[str, Any]) -> None:
        lines.append(journal.frame({"t": time.time(), **event}))
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, b"".join(lines))

    _replace(Writer, append=append)


# -- annotations ---------------------------------------------------------------------------------


def said_after_it_returned() -> None:
    """An annotation is kept in memory and written with the next one."""
    module = _gittrack_annotations
    original, waiting = module.append, []

    def append(*arguments: Any, **named: Any) -> None:
        waiting.append((arguments, named))
        if len(waiting) > 1:
            for kept, words in waiting:
                original(*kept, **words)
            waiting.clear()

    _replace_append(append)


def note_replaced() -> None:
    """Events stand in the note alone, and that is taken away before it is written anew."""
    waiting: list[tuple[str, str]] = []

    def keep(self: Any, repo: Repo, lines: list[tuple[str, str]]) -> int:
        waiting.extend(lines)
        return 0

    def publish(self: Any, repo: Repo, ref: str, targets: set[str], *, others: bool) -> None:
        for target in targets:
            note = repo.notes(ref).get(target)
            there = repo.read_blob(note, limit=1 << 20) if note else b""
            repo.git("update-ref", "-d", ref)
            lines = [line for place, line in waiting if place == target]
            repo.set_note(ref, target, there + "\n".join([*lines, ""]).encode(), repo.identity())
        waiting.clear()

    _replace(_gittrack_ledger.Ledger, _keep=keep, _publish=publish)


def lock_by_existence() -> None:
    """The lock is a file whose existence counts, which a crash leaves behind."""
    from contextlib import contextmanager

    @contextmanager
    def alone(repo: Repo) -> Iterator[None]:
        place = repo.state / "annotating"
        try:
            os.close(os.open(place, os.O_CREAT | os.O_EXCL))
        except FileExistsError as error:
            raise WriteFailed("somebody else annotates") from error
        yield
        place.unlink()

    _replace(_gittrack_ledger, _alone=alone)


def _replace_append(append: Callable[..., None]) -> None:
    import crash.scenarios

    _replace(_gittrack_annotations, append=append)
    _replace(crash.scenarios, append=append)


# -- a full disk ---------------------------------------------------------------------------------


def no_room_for_the_end() -> None:
    """How the command ended is written to the journal only."""

    def keep_end(self: Session, event: Mapping[str, Any]) -> None:
        raise OSError(errno.ENOSPC, "no room was kept")

    _replace(Session, keep_end=keep_end)


def given_up() -> None:
    """A run that cannot be recorded now is forgotten."""
    _replace(Session, release=Session.end)


def stump_swallows() -> None:
    """After a failed write the next line is glued to the stump, and failures are not told."""

    def append(self: Writer, event: Mapping[str, Any]) -> None:
        try:
            os.write(self._descriptor, journal.frame({"t": time.time(), **event}))
        except OSError:
            pass

    _replace(Writer, append=append)


# -- races ---------------------------------------------------------------------------------------


def forced() -> None:
    """A ref is made whether or not there is one."""

    def create_ref(self: Repo, name: str, target: str) -> None:
        self._handle.create_reference(name, target, force=True)

    _replace(Repo, create_ref=create_ref)


def looked_then_written() -> None:
    """A look shows that the ref is free; by the time it is written, it need not be."""

    def create_ref(self: Repo, name: str, target: str) -> None:
        place = self.common_dir / name
        there = self.ref(name)
        if there is not None:
            raise RunExists(f"{name} exists already", commit=there)
        time.sleep(random.random() / 500)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(target + "\n")

    _replace(Repo, create_ref=create_ref)


def one_name_only() -> None:
    """A run whose name is taken has no other."""

    def only(story: Story) -> Iterator[str]:
        yield story.begin["name"]

    _replace(recovery, _names=only)


def unlocked() -> None:
    """Who finds a run takes it, whether or not its recorder lives."""

    def adopt(directory: Path) -> Session:
        return Session(directory, os.open(directory / "lock", os.O_RDWR))

    _replace(sessions, adopt=adopt)


CAUGHT_BY: Mapping[str, tuple[Fault, ...]] = {
    "finishing": (
        ref_before_objects,
        directory_before_ref,
        no_look_for_the_ref,
        locks_stay,
        removed_in_place,
        leftovers_stay,
        adopted_by_nobody,
    ),
    "finishing-held": (snapshot_stays_held, no_look_for_the_ref, directory_before_ref),
    "finishing-taken": (random_names, directory_before_ref, one_name_only),
    "finishing-killed": (ref_before_objects, directory_before_ref, no_look_for_the_ref),
    "beginning": (visible_before_begun, empty_directories_stay, leftovers_stay),
    "logging": (buffered, two_writes, rewritten),
    "annotating": (said_after_it_returned, note_replaced, lock_by_existence),
    "recovering": (no_look_for_the_ref, locks_stay, snapshot_stays_held),
    "recovering-again": (random_names, one_name_only, leftovers_stay),
    "full disk": (no_room_for_the_end, given_up, stump_swallows),
    "race": (forced, looked_then_written, one_name_only, unlocked),
}
"""The name of a scenario or test -> the faults that it must notice."""
