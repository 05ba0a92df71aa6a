"""The directory of a running run: one owner at a time, and who is dead is known."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from forks import elsewhere
from gittrack import journal, sessions
from gittrack.errors import RunExists, WriteFailed
from gittrack.journal import Writer
from gittrack.owner import Owner
from gittrack.sessions import Session

NAME = "amber-otter-7f3kq2"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "gittrack"


@pytest.fixture
def session(state: Path) -> Iterator[Session]:
    made = Session.open(state, NAME)
    made.begin({"id": "1"})
    yield made
    made.release()


# -- who is alive -------------------------------------------------------------------------------


def test_a_run_is_not_lost_while_its_recorder_lives(session: Session) -> None:
    """Neither to another process nor to this one, whose own lock would not keep it out."""
    assert elsewhere(lambda: sessions.is_lost(session.directory)) == 1
    assert not sessions.is_lost(session.directory)
    assert sessions.adopt(session.directory) is None
    assert elsewhere(lambda: sessions.adopt(session.directory)) == 1


def test_looking_does_not_drop_the_lock(session: Session) -> None:
    """POSIX drops a process's lock when it closes any descriptor of the file."""
    sessions.is_lost(session.directory)
    assert elsewhere(lambda: sessions.is_lost(session.directory)) == 1


def test_a_forked_worker_does_not_keep_a_dead_run_alive(state: Path) -> None:
    """A `flock` would: data loaders inherit it, and may hang for hours."""
    reader, writer = os.pipe()

    def record() -> bool:
        made = Session.open(state, NAME)
        made.begin({"id": "1"})
        if os.fork() == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        return True

    assert elsewhere(record) == 0
    os.close(reader)
    assert sessions.is_lost(state / "live" / NAME)
    os.close(writer)


EXEC = """
import os, sys
from pathlib import Path
from gittrack.sessions import Session
made = Session.open(Path(sys.argv[1]), sys.argv[2])
made.begin({"id": "1"})
os.execv(sys.executable, [sys.executable, "-c", "print(flush=True); input()"])
"""


def test_a_run_is_not_lost_while_what_its_recorder_became_lives(state: Path) -> None:
    """A script restarts itself by exec, which costs it the lock, and goes on logging."""
    command = [sys.executable, "-c", EXEC, os.fspath(state), NAME]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        assert not sessions.is_lost(state / "live" / NAME)
        process.communicate(b"\n", timeout=60)
    assert sessions.is_lost(state / "live" / NAME)


def test_a_run_that_was_given_up_is_lost_though_its_process_lives(session: Session) -> None:
    """It could not be recorded, and the next command tries again."""
    session.release()
    assert sessions.is_lost(session.directory)
    assert elsewhere(lambda: sessions.adopt(session.directory)) == 0


def test_a_run_is_not_lost_while_its_command_lives(session: Session) -> None:
    """The recorder may be killed alone; what the command still logs belongs to the run."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(child.pid)
    writer = Writer(session.directory)
    writer.append({"child": [owner.pid, owner.start, owner.boot]})
    writer.close()
    session.release()
    assert not sessions.is_lost(session.directory)
    child.communicate(b"\n")
    assert sessions.is_lost(session.directory)


def test_a_lost_run_is_adopted_once(state: Path) -> None:
    """Two commands start at the same moment; a run must not be recorded by both."""
    for number in range(30):
        made = Session.open(state, f"run-{number}")
        made.begin({"id": "1"})
        made.release()
        start, go = os.pipe()
        done, tell = os.pipe()
        pids = []
        for _ in range(2):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                os.close(go)
                os.read(start, 1)
                mine = sessions.adopt(made.directory)
                os.write(tell, b"y" if mine else b"n")
                signal.pause()
            pids.append(pid)
        os.close(go)
        answers = os.read(done, 1) + os.read(done, 1)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for descriptor in (start, done, tell):
            os.close(descriptor)
        assert answers.count(b"y") == 1


# -- the directory ------------------------------------------------------------------------------


def test_a_run_is_visible_from_its_beginning_on(state: Path) -> None:
    """What has not begun cannot be recorded."""
    made = Session.open(state, NAME)
    assert sessions.live(state) == []
    made.begin({"id": "1"})
    assert sessions.live(state) == [state / "live" / NAME]
    made.end()
    assert os.listdir(state / "live") == []
    assert sessions.live(state) == []


def test_a_name_is_given_once(session: Session, state: Path) -> None:
    """Whether the other run has begun or is about to."""
    with pytest.raises(RunExists):
        Session.open(state, NAME)
    assert os.listdir(state / "live") == [NAME]
    other = Session.open(state, "blue-heron-q2zm8d")
    with pytest.raises(RunExists):
        Session.open(state, "blue-heron-q2zm8d")
    other.end()


def test_leftovers_are_discarded_and_the_living_are_not(session: Session, state: Path) -> None:
    """A crash leaves directories in any state of being made or removed."""
    live = state / "live"
    (live / ".new-just-made").mkdir()
    (live / ".new-locked").mkdir()
    (live / ".new-locked" / "lock").touch()
    (live / ".done-half").mkdir()
    (live / ".done-half" / "begin").touch()
    alive = Session.open(state, "alive")
    sessions.discard_leftovers(state)
    assert sorted(os.listdir(live)) == [".new-alive", NAME]
    alive.end()


def test_a_run_goes_at_once_though_its_namesake_is_still_going(
    session: Session, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emptied in its place, it would look like a run without a beginning to who comes by."""
    (state / "live" / f".done-{NAME}" / "inside").mkdir(parents=True)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    session.end()
    assert sessions.live(state) == []


def test_a_run_that_vanishes_while_it_is_read_is_no_error(session: Session) -> None:
    """Another process may record it between our look and our reading."""
    directory = session.directory
    session.end()
    assert journal.read(directory) is None
    assert journal.size(directory) == 0
    assert not sessions.is_lost(directory)
    assert sessions.adopt(directory) is None
    assert not directory.exists()


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """One line, not a traceback."""
    (tmp_path / "live").touch()
    with pytest.raises(WriteFailed, match="cannot write"):
        Session.open(tmp_path, NAME)


def test_the_end_has_room_on_a_full_disk(session: Session) -> None:
    """A run that finished must not be recorded as killed because its last line did not fit."""

    def work() -> bool:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
        session.keep_end({"t": 5.0, "end": ["finished", 0]})
        return True

    assert elsewhere(work) == 0
    assert journal.logged(session.directory) == ([{"t": 5.0, "end": ["finished", 0]}], 0)
    with pytest.raises(OSError, match="no room"):
        session.keep_end({"fault": "x" * 600})
