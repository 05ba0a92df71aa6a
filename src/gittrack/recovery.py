"""From a run's directory to its commit: by the process that ran it, or by who comes after a crash.

Knows how a run is recorded once and not twice, whoever does it and however often it is tried.
Knows nothing of commands and terminals.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gittrack import commits, excerpts, journal, names, own, record, refs, secrets, sessions
from gittrack.errors import GittrackError, RunExists, WriteFailed
from gittrack.git import Identity, Repo
from gittrack.journal import Story
from gittrack.masking import masked
from gittrack.records import Run
from gittrack.refs import RunRef
from gittrack.series import Table
from gittrack.sessions import Session
from gittrack.story import cells, system_rows, tell
from gittrack.story import experiment as group
from gittrack.summaries import Summary

__all__ = [
    "finish",
    "recover",
    "running",
    "running_run",
    "signs",
    "store_as_it_stands",
    "undisturbed",
    "waiting",
]

# About a second's work: bytes of journals, and what a run costs beside them.
_RECOVER_AT_ONCE, _EACH = 16 << 20, 256 << 10
_APART = "GITTRACK_RECOVER"
# Python complains of a process that nobody knows any more and nobody waited for.
_started: list[object] = []
_MOST_LIVE_ROWS = 2000
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LOST, _NEW = "lost", "lost.new"
_NO_SIGNS = {"lock", excerpts.CURVES, excerpts.MASKED, _NEW}


def finish(repo: Repo, session: Session, story: Story | None = None) -> tuple[Run, RunRef]:
    """Record the run that a session's directory tells of, then remove the directory.

    `story` is what it tells, if that was read already.

    Whoever holds the session may call it, again after a crash: the ref is looked for first, so no
    run is recorded twice.
    """
    story = story or _whole_story(repo, session.directory)
    experiment = group(story)[0]
    for name in _names(story):
        _remove_stale_locks(repo, experiment, name)
        there = refs.find(repo, experiment, name)
        try:
            if there is None:
                run, there = _write(repo, session, story, name)
            elif (known := _same_run(repo, there, story)) is not None:
                run = known
            else:
                continue
        except RunExists:
            continue
        refs.release_snapshot(repo, story.begin["name"])
        if story.begin.get("live"):
            refs.retire_live(repo, story.begin["name"])
        session.end()
        return run, there
    raise WriteFailed(f"every name for the run '{story.begin['name']}' is taken")


def _whole_story(repo: Repo, directory: Path) -> Story:
    """What the directory tells, after what the run read and kept was gathered too."""
    story = journal.read(directory)
    if story is not None and _is_due(story):
        _gather(repo, directory)
        story = journal.read(directory)
    if story is None:
        raise WriteFailed(f"'{directory}' does not say how its run began")
    return story


def _gather(repo: Repo, directory: Path) -> None:
    from gittrack import harvest

    _pin_last_sign(directory)
    harvest.gather(repo, directory, latest=_last_sign(directory))


def _is_due(story: Story) -> bool:
    """Whether a run has data or artifacts that its recorder did not come to gather."""
    wanted = any(story.begin.get(key) for key in ("data", "outs", "trace"))
    return wanted and not any("gathered" in event for event in story.events)


def _names(story: Story) -> Iterator[str]:
    """The run's name, then those it takes where somebody else's run came to it meanwhile.

    They follow from its id, so that whoever goes on after a crash finds the run under any of them.
    """
    begin = story.begin
    yield begin["name"]
    import hashlib

    for attempt in range(15):
        seed = f"{begin['id']} {attempt}".encode()
        yield names.generate(hashlib.sha256(seed).digest()[:6], begin.get("prefix"))


def _same_run(repo: Repo, there: RunRef, story: Story) -> Run | None:
    try:
        run = commits.load(repo, there)
    except GittrackError:
        return None
    return run if run.id == story.begin["id"] else None


def _remove_stale_locks(repo: Repo, experiment: str, name: str) -> None:
    """Remove the locks that a killed writer left on this run's own refs.

    Only who holds the run's session writes these refs, and that is us.
    """
    for ref in (f"{refs.ROOT}{experiment}/{name}", f"{refs.SNAPSHOTS}{name}"):
        (repo.common_dir / f"{ref}.lock").unlink(missing_ok=True)


def _write(repo: Repo, session: Session, story: Story, name: str) -> tuple[Run, RunRef]:
    run, rows, log = _told(session.directory, story)
    run = excerpts.with_output(repo, session.directory, replace(run, name=name))
    run, rows = excerpts.with_curves(repo, session.directory, run, rows)
    run, parts = _joined(repo, run, story, rows, log)
    # As set now, not then: a run whose signing failed can still be recorded without.
    ref = commits.write(repo, run, **parts, sign=signs(repo))
    own.note(repo, ref.commit)
    return replace(run, commit=ref.commit), ref


def store_as_it_stands(repo: Repo, directory: Path, *, at: float) -> Run | None:
    """Store a running run as it would be recorded now, without a ref -> it, with its commit.

    Its status is `running`, `at` (seconds since the epoch) the date of the commit; secrets are
    masked as ever. Of its curves at most 2,000 rows are kept: this is done again and again. None
    where it cannot be read, most likely because it has just been recorded.

    Raises:
        WriteFailed: something could not be stored.
    """
    story = journal.read(directory)
    if story is None:
        return None
    # A line that is just being written is no damage.
    story = replace(story, damaged=0)
    run, rows, log = _told(directory, story)
    run = replace(run, status="running", ended=None, exit_code=None)
    run, parts = _joined(repo, run, story, rows.thinned(_MOST_LIVE_ROWS), log)
    # Unsigned: what stands for a minute is not worth a passphrase.
    return replace(run, commit=commits.store(repo, run, **parts, at=at))


def _told(directory: Path, story: Story) -> tuple[Run, Table, bytes]:
    """The run, its curves and its output, without secrets."""
    log, size, hidden = record.read_log(directory / "output", mask=secrets.mask_text)
    run, rows = tell(story, log_size=size, last_sign=_last_sign(directory))
    if hidden:
        count = f"{hidden} secret" if hidden == 1 else f"{hidden} secrets"
        run = replace(run, faults=(*run.faults, f"masked {count} in the output"))
    return *masked(run, rows), log


def _joined(
    repo: Repo, run: Run, story: Story, rows: Table, log: bytes
) -> tuple[Run, dict[str, Any]]:
    """What is recorded of the run, and the parts that its commit takes beside that."""
    run = _with_inputs(repo, run, story.begin)
    run, tree = _with_code(repo, run, story.begin["tree"])
    return run, {
        "tree": _with_setup(repo, run, tree),
        "author": Identity(story.begin["user"], story.begin["email"]),
        "rows": rows,
        "system": system_rows(story),
        "log": log,
        "cells": secrets.mask_words(cells(story)),
    }


def _with_code(repo: Repo, run: Run, tree: str) -> tuple[Run, str]:
    """The run and the tree that it can have: somebody may have pruned what nothing pointed to."""
    base = run.code.base
    if base is not None and not repo.stored(base):
        fault = f"the commit {base} that it stood on is gone from the repository"
        base, run = None, replace(run, faults=(*run.faults, fault))
        run = replace(run, code=replace(run.code, base=None))
    if repo.stored(tree):
        return run, tree
    fault = "its code is lost: the snapshot was pruned (git gc --prune=now?) before it was recorded"
    run = replace(run, faults=(*run.faults, fault))
    return run, repo.read_commit(base).tree if base else repo.empty_tree()


def _with_inputs(repo: Repo, run: Run, begin: Mapping[str, Any]) -> Run:
    """The run with the runs whose artifacts it read, found by their content."""
    if not run.data:
        return run
    from gittrack import lineage

    # What was named was read from the start on; what was only seen, at any time.
    named = {item["path"] for item in begin.get("data", ())}
    given = [item for item in run.data if item.path in named]
    seen = [item for item in run.data if item.path not in named]
    try:
        found = [
            *lineage.inputs_of(repo, given, before=run.started),
            *lineage.inputs_of(repo, seen, before=run.ended),
        ]
    except GittrackError as error:
        fault = f"the runs that it was built from are not known: {error.message}"
        return replace(run, faults=(*run.faults, fault))
    there = {(i.id, i.path) for i in run.inputs}
    more = [i for i in found if (i.id, i.path) not in there and i.id != run.id]
    known = {i.id for i in more}
    told = [i for i in run.inputs if i.path is not None or i.id not in known]
    return replace(run, inputs=(*told, *more))


def _with_setup(repo: Repo, run: Run, tree: str) -> str:
    """The tree with the little of DVC's set-up without which DVC cannot read its pointers."""
    if not (run.data or run.artifacts) or repo.entry(tree, ".dvc/config") is not None:
        return tree
    from gittrack import setup

    config = setup.config_for_run(repo, setup.read(repo))
    if config is None:
        return tree
    there = repo.entry(tree, ".dvc")
    inner = there.id if there is not None and there.kind == "tree" else None
    directory = repo.write_tree({"config": (repo.write_blob(config), 0o100644)}, base=inner)
    return repo.write_tree({".dvc": (directory, 0o040000)}, base=tree)


def signs(repo: Repo) -> bool:
    """Whether run commits are signed: by `track.sign`, else as Git signs commits.

    Raises:
        UsageError: the setting is no truth value.
    """
    return repo.flag("track.sign", default=repo.flag("commit.gpgsign", default=False))


def _last_sign(directory: Path) -> float:
    """The last moment (seconds since the epoch) at which anything of the run was written."""
    pinned = _time(directory / _LOST)
    if pinned:
        return pinned
    signs = (path for path in directory.glob("*") if path.name not in _NO_SIGNS)
    return max(map(_time, signs), default=0.0)


def _time(path: Path) -> float:
    """When a file was written last; 0 if it is gone: its run has just been recorded."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _pin_last_sign(directory: Path) -> None:
    """Keep the last sign as the time of a file: from here on recovery itself writes there."""
    if not _time(directory / _LOST):
        latest = _last_sign(directory)
        new = directory / _NEW
        new.touch()
        os.utime(new, (latest, latest))
        os.rename(new, directory / _LOST)


def recover(repo: Repo) -> list[RunRef]:
    """Record the runs whose recorder and command are both dead, each as it ended -> their refs.

    Safe at any time and from several processes at once. What is more than about a second of work
    is left to a process of its own, of which there is one at a time. Costs one look at a directory
    where there is nothing to recover.

    Raises:
        GittrackError: a lost run cannot be recorded now; it stays as it is, the others are
            recorded.
    """
    if not (repo.state / "live").is_dir():
        return []
    apart = bool(os.environ.get(_APART))
    with _alone(repo.state) if apart else nullcontext(True) as alone:
        return _recover_all(repo, apart=apart) if alone else []


def _recover_all(repo: Repo, *, apart: bool) -> list[RunRef]:
    sessions.discard_leftovers(repo.state)
    found = []
    failure: GittrackError | None = None
    room = _RECOVER_AT_ONCE
    for directory in sessions.live(repo.state):
        cost = 0 if apart else _EACH + journal.size(directory)
        if cost > room:
            if sessions.is_lost(directory):
                _recover_apart(repo)
                break
            continue
        try:
            ref = _recover_one(repo, directory)
        except GittrackError as error:
            failure = failure or error
            continue
        if ref is not None:
            found.append(ref)
            room -= cost
    if failure is not None:
        raise failure
    return found


@contextmanager
def _alone(state: Path) -> Iterator[bool]:
    """Be the one process that recovers much, as long as this lasts; False if there is another."""
    import fcntl

    try:
        file = open(state / "recovering", "ab")  # noqa: SIM115
    except OSError:
        yield False
        return
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def _recover_one(repo: Repo, directory: Path) -> RunRef | None:
    session = sessions.adopt(directory)
    if session is None:
        return None
    repo.sync(repo.flag("track.fsync", default=True))
    try:
        # This may take long, and who is interrupted goes on the next time.
        story = _whole_story(repo, directory)
        with undisturbed():
            return finish(repo, session, story)[1]
    except OSError as error:
        raise waiting(repo, directory.name, str(error)) from error
    except GittrackError as error:
        raise waiting(repo, directory.name, error.message) from error
    finally:
        session.release()


def waiting(repo: Repo, name: str, reason: str) -> WriteFailed:
    """The error for a run that has ended and cannot be recorded now; it stays as it is.

    Or is lost, where somebody removed its directory.
    """
    if _is_gone(repo.state / "live" / name):
        return WriteFailed(
            f"{name} is not recorded: somebody removed its directory while it went on",
            hint=f"'{repo.state}' is gittrack's own; all that a run logs is there until it ends.",
        )
    way = " `git config track.sign false` records it unsigned." if signs(repo) else ""
    return WriteFailed(
        f"{name} has ended and waits to be recorded: {reason}",
        hint=f"nothing is lost: once that is mended, the next git track command records it.{way}",
    )


def _is_gone(directory: Path) -> bool:
    try:
        os.stat(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _recover_apart(repo: Repo) -> None:
    """Start the process that recovers much, unless it is at work."""
    with _alone(repo.state) as alone:
        if not alone:
            return
    import subprocess

    env = {name: value for name, value in os.environ.items() if name != journal.RUN_VARIABLE}
    git_dir = os.path.abspath(repo.git_dir)
    started = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "-C", git_dir, "ls", "-n", "0"],
        env={**env, _APART: "1"},
        # Not where the user stands: `-m` looks for modules there.
        cwd=repo.state,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _started.append(started)


def running(repo: Repo) -> list[Summary]:
    """The runs that have begun and are not recorded yet, with what they have logged so far.

    One whose processes are all dead, and which waits to be recorded, has the status that it will
    have.
    """
    found = (_as_it_stands(directory)[0] for directory in sessions.live(repo.state))
    return [commits.summarize(run) for run in found if run is not None]


def running_run(repo: Repo, name: str) -> tuple[Run, str] | None:
    """What is known so far of a run of `running`, secrets masked, and the tree of its code.

    What only its end tells is not there; of the metrics the latest values are. None if it has been
    recorded.
    """
    directory = repo.state / "live" / name
    run, begin = _as_it_stands(directory)
    if run is None:
        return None
    with suppress(OSError):
        run = replace(run, output_bytes=(directory / "output").stat().st_size)
    return masked(run, Table())[0], begin["tree"]


def _as_it_stands(directory: Path) -> tuple[Run | None, Mapping[str, Any]]:
    """The run, None if it is gone, and how it began."""
    from gittrack.glance import Glance

    glance = Glance(directory)
    glance.refresh()
    run = glance.run(last_sign=_last_sign(directory))
    if run is not None and not sessions.is_lost(directory):
        run = replace(run, status="running", ended=None, exit_code=None)
    return run, glance.begin or {}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back signals for the moment that recording takes; they arrive afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
