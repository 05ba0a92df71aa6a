"""The run that a process logs to: found, lost, forked, and never in the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack import active, journal
from gittrack.errors import NoActiveRun


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a run that this process belongs to and has logged nothing to."""
    active._close()
    monkeypatch.setattr(active, "_complained", False)
    monkeypatch.setenv(journal.RUN_VARIABLE, str(tmp_path))
    (tmp_path / "begin").write_bytes(journal.frame({"id": "a" * 32, "where": "/somewhere"}))
    yield tmp_path
    active._close()


def events(directory: Path) -> list[dict[str, object]]:
    found, damaged = journal.logged(directory)
    assert damaged == 0
    return [{key: value for key, value in event.items() if key != "t"} for event in found]


def test_how_the_run_began_is_read_from_its_directory(run: Path) -> None:
    """What needs more than the journal, such as where the cache lies, stands there."""
    assert active.begun() == {"id": "a" * 32, "where": "/somewhere"}


@pytest.mark.parametrize("damage", ["gone", "torn", "all gone"])
def test_a_run_that_has_ended_is_said_to_have(run: Path, damage: str) -> None:
    """A process that outlives its run keeps an open file that nobody will ever read."""
    active.append({"tags": {"a": "b"}})
    assert active.begun()
    if damage == "torn":
        (run / "begin").write_bytes(b"00000000 {}\n")
    else:
        (run / "begin").unlink()
    if damage == "all gone":
        for path in run.glob("*.journal"):
            path.unlink()
        run.rmdir()
    with pytest.raises(NoActiveRun, match="git track run"):
        active.begun()


@pytest.mark.parametrize(
    "call", [active.begun, lambda: active.append({}), lambda: active.fault("")]
)
def test_without_a_run_nothing_is_logged_into_nowhere(
    monkeypatch: pytest.MonkeyPatch, call: object
) -> None:
    """And the message itself says what to do: a traceback shows no hint."""
    active._close()
    monkeypatch.delenv(journal.RUN_VARIABLE, raising=False)
    assert callable(call)
    with pytest.raises(NoActiveRun, match="git track run"):
        call()


def test_a_process_complains_once_and_records_each_fault(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake in a training loop is made a million times; the terminal shows it once."""
    active.fault("the first")
    active.fault("the second")
    assert events(run) == [{"fault": "the first"}, {"fault": "the second"}]
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "gittrack: the first\n")


def test_a_fork_while_another_thread_opens_the_journal_does_not_hang(run: Path) -> None:
    """The thread that held the lock is not in the child, so nobody would ever let it go."""
    code = """
import os, sys, threading
from gittrack import active
held, go = threading.Event(), threading.Event()
def hold():
    with active.require()._opening:
        held.set(); go.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    active.append({"who": "child"})
    os._exit(0)
status = os.waitpid(child, 0)[1]
go.set()
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=20)
    assert done.returncode == 0
    assert events(run) == [{"who": "child"}]
