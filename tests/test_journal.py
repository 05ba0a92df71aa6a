"""The files of a running run: what is torn or damaged costs one line, and who is dead is known."""

from __future__ import annotations

import functools
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import journal
from gittrack.errors import RunExists, WriteFailed
from gittrack.journal import Owner, Session, Writer
from gittrack.records import Row

NAME = "amber-otter-7f3kq2"
EVENTS = [
    {"t": 1.5, "metrics": {"loss": 0.1}, "step": 1},
    {"t": 2.5, "params": {"lr": 0.1, "text": "ü\n\x1b"}},
    {"t": 3.5, "metrics": {"loss": -1e-300}, "step": 2},
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "gittrack"


@pytest.fixture
def session(state: Path) -> Iterator[Session]:
    made = Session.open(state, NAME)
    made.begin({"id": "1"})
    yield made
    made.release()


def elsewhere(work: Callable[[], object]) -> int:
    """Run `work` in a forked process -> its exit code: 0 for true, 1 for false."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def events(directory: Path) -> list[Any]:
    story = journal.read(directory)
    assert story is not None
    return list(story.events)


# -- lines --------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(), JSON))
@settings(deadline=None)
def test_an_event_comes_back_as_it_went(event: dict[str, Any]) -> None:
    """A record is only as exact as the journal it is made of; text because NaN is not NaN."""
    found, damaged = journal.unframe(journal.frame(event))
    assert repr(found) == repr([event])
    assert damaged == 0


def test_a_file_cut_anywhere_keeps_the_lines_before() -> None:
    """A power cut ends a file at any byte."""
    data, ends = b"", [0]
    for event in EVENTS:
        data += journal.frame(event)
        ends.append(len(data))
    for size in range(len(data) + 1):
        # The end of the line itself may be missing.
        whole = [event for event, end in zip(EVENTS, ends[1:], strict=True) if end <= size + 1]
        torn = not any(size in (end - 1, end) for end in ends)
        assert journal.unframe(data[:size]) == (whole, torn)


def test_no_flipped_bit_makes_a_wrong_record() -> None:
    """A checksum is there so that a bad disk costs a line and invents none."""
    data = b"".join(journal.frame(event) for event in EVENTS)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        found, _ = journal.unframe(bytes(flipped))
        assert all(event in EVENTS for event in found)
        assert len(found) >= 1


@pytest.mark.parametrize(
    "line",
    [b"", b"zzzzzzzz {}", b"00000000 {}", b"\xff" * 40, b"[" * 100_000, b"00000000", b" " * 9],
    ids=repr,
)
def test_no_bytes_are_too_strange(line: bytes) -> None:
    """The file may be anything; what follows it counts."""
    found, _ = journal.unframe(line + b"\n" + journal.frame({"t": 1}))
    assert found == [{"t": 1}]


@pytest.mark.parametrize("text", [b"[1]", b"null", b'"x"', b"[" * 50_000], ids=lambda t: t[:8])
def test_a_line_that_is_no_event_is_damaged(text: bytes) -> None:
    """A right checksum does not make it a mapping."""
    import zlib

    assert journal.unframe(b"%08x %s\n" % (zlib.crc32(text), text)) == ([], 1)


# -- writing ------------------------------------------------------------------------------------


def test_each_append_is_in_the_file_when_it_returns(session: Session) -> None:
    """SIGKILL takes what a process has not yet given to the kernel."""
    writer = Writer(session.directory)
    for number, event in enumerate(EVENTS, 1):
        writer.append(event)
        assert events(session.directory) == EVENTS[:number]
    writer.close()
    writer.close()


def test_two_writers_do_not_mix(session: Session) -> None:
    """Data loaders and ranks log at the same moment, each to a file of its own."""
    for who in range(2):
        assert elsewhere(functools.partial(_log, session.directory, who)) == 0
    assert sorted(event["n"] for event in events(session.directory)) == list(range(200))


def _log(directory: Path, who: int) -> bool:
    writer = Writer(directory)
    for number in range(100):
        writer.append({"n": who * 100 + number})
    return True


def test_threads_share_a_writer(session: Session) -> None:
    """A callback may log from any thread."""
    writer = Writer(session.directory)

    def log(who: int) -> None:
        for number in range(100):
            writer.append({"n": who * 100 + number})

    threads = [threading.Thread(target=log, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(event["n"] for event in events(session.directory)) == list(range(400))


def test_a_fork_doubles_nothing(session: Session) -> None:
    """A buffered file would be flushed by parent and child alike."""
    writer = Writer(session.directory)
    writer.append({"n": 1})

    def child() -> bool:
        writer.abandon()
        return True

    assert elsewhere(child) == 0
    assert elsewhere(lambda: True) == 0
    writer.append({"n": 2})
    writer.close()
    assert [event["n"] for event in events(session.directory)] == [1, 2]


@pytest.mark.parametrize(
    "event",
    [
        {"metrics": {"x": math.nan, "y": math.inf, "z": -math.inf}},
        {"step": -1},
        {"step": 2**63},
        {"text": "x" * (1 << 20)},
        {"metrics": {f"key{n}": n for n in range(100_000)}},
        {"text": "\ud800"},
    ],
    ids=["nan", "step -1", "step 2^63", "1 MB", "100,000 keys", "surrogate"],
)
def test_odd_events_come_back(session: Session, event: dict[str, Any]) -> None:
    """Nothing logged is lost for being large or strange."""
    writer = Writer(session.directory)
    writer.append({"t": 1.0, **event})
    writer.close()
    assert repr(events(session.directory)) == repr([{"t": 1.0, **event}])


def test_a_clock_that_goes_back_does_not_reorder_a_file(session: Session) -> None:
    """Within one file its order is the truth; clocks are set by people."""
    writer = Writer(session.directory)
    for number, moment in enumerate([100.0, 50.0, 101.0]):
        writer.append({"t": moment, "n": number})
    other = Writer(session.directory)
    other.append({"t": 100.5, "n": 9})
    assert [event["n"] for event in events(session.directory)] == [0, 1, 9, 2]


def test_a_full_disk_costs_the_lines_that_did_not_fit(session: Session) -> None:
    """Whatever size is left at each append, the lines before and after are there."""
    line = len(journal.frame({"t": 0, "n": 1000}))

    def work() -> bool:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = Writer(session.directory)
        kept = []
        for left in range(2 * line):
            size = writer.path.stat().st_size
            for limit, number in (
                (size + left, 1000 + left),
                (resource.RLIM_INFINITY, 2000 + left),
            ):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                try:
                    writer.append({"t": 0, "n": number})
                except OSError:
                    continue
                kept.append(number)
        found = [event["n"] for event in events(session.directory)]
        # A line that lacks only its end counts, though the call that wrote it failed.
        extra = [number for number in found if number not in kept]
        rest = [number for number in found if number in kept]
        return rest == kept and len(extra) <= 2 and 2 * line < len(kept) < 4 * line

    assert elsewhere(work) == 0


def test_the_end_has_room_on_a_full_disk(session: Session) -> None:
    """A run that finished must not be recorded as killed because its last line did not fit."""

    def work() -> bool:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
        session.keep_end({"t": 5.0, "end": ["finished", 0]})
        return True

    assert elsewhere(work) == 0
    assert events(session.directory) == [{"t": 5.0, "end": ["finished", 0]}]
    story = journal.read(session.directory)
    assert story is not None and story.damaged == 0
    with pytest.raises(OSError, match="no room"):
        session.keep_end({"fault": "x" * 600})


# -- who is alive -------------------------------------------------------------------------------


def test_a_run_is_not_lost_while_its_recorder_lives(session: Session) -> None:
    """Neither to another process nor to this one, whose own lock would not keep it out."""
    assert elsewhere(lambda: journal.is_lost(session.directory)) == 1
    assert not journal.is_lost(session.directory)
    assert journal.adopt(session.directory) is None
    assert elsewhere(lambda: journal.adopt(session.directory)) == 1


def test_looking_does_not_drop_the_lock(session: Session) -> None:
    """POSIX drops a process's lock when it closes any descriptor of the file."""
    journal.is_lost(session.directory)
    assert elsewhere(lambda: journal.is_lost(session.directory)) == 1


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
    assert journal.is_lost(state / "live" / NAME)
    os.close(writer)


def test_a_run_is_not_lost_while_its_command_lives(session: Session) -> None:
    """The recorder may be killed alone; what the command still logs belongs to the run."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(child.pid)
    writer = Writer(session.directory)
    writer.append({"child": [owner.pid, owner.start, owner.boot]})
    writer.close()
    session.release()
    assert not journal.is_lost(session.directory)
    child.communicate(b"\n")
    assert journal.is_lost(session.directory)


def test_another_process_with_the_same_pid_is_not_the_command(session: Session) -> None:
    """Pids come again, sooner in a container; start time and boot tell them apart."""
    own = Owner.of(os.getpid())
    assert own.is_alive()
    assert not Owner(own.pid, own.start + "1", own.boot).is_alive()
    assert not Owner(own.pid, own.start, "another boot").is_alive()
    assert not Owner(own.pid, "", own.boot).is_alive()
    assert not Owner(2**22 + 1, "", own.boot).is_alive()


def test_a_zombie_does_not_live() -> None:
    """A parent that never waits must not keep the run of a dead child open."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(child.pid)
    assert owner.is_alive()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not owner.is_alive()
    child.communicate()


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
                mine = journal.adopt(made.directory)
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
    assert journal.live(state) == []
    made.begin({"id": "1"})
    assert journal.live(state) == [state / "live" / NAME]
    made.end()
    assert os.listdir(state / "live") == []
    assert journal.live(state) == []


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
    journal.discard_leftovers(state)
    assert sorted(os.listdir(live)) == [".new-alive", NAME]
    alive.end()


def test_a_run_goes_at_once_though_its_namesake_is_still_going(
    session: Session, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emptied in its place, it would look like a run without a beginning to who comes by."""
    (state / "live" / f".done-{NAME}" / "inside").mkdir(parents=True)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    session.end()
    assert journal.live(state) == []


def test_a_run_that_vanishes_while_it_is_read_is_no_error(session: Session) -> None:
    """Another process may record it between our look and our reading."""
    directory = session.directory
    session.end()
    assert journal.read(directory) is None
    assert journal.size(directory) == 0
    assert not journal.is_lost(directory)
    assert journal.adopt(directory) is None
    assert not directory.exists()


@pytest.mark.parametrize("begin", [b"", b"torn", b"00000000 {}\n"], ids=repr)
def test_an_unreadable_beginning_is_no_story(session: Session, begin: bytes) -> None:
    """Who reads decides what to say; nobody crashes."""
    (session.directory / "begin").write_bytes(begin)
    assert journal.read(session.directory) is None


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """One line, not a traceback."""
    (tmp_path / "live").touch()
    with pytest.raises(WriteFailed, match="cannot write"):
        Session.open(tmp_path, NAME)


def test_calls_of_one_step_share_a_row() -> None:
    """Loss and accuracy of an epoch stand in one line of the table, whoever logged them."""
    said = [
        {"t": 11.0, "metrics": {"loss": 1.0}, "step": 1},
        {"t": 11.5, "metrics": {"acc": 0.5}, "step": 1},
        {"t": 12.0, "metrics": {"acc": 0.75}, "step": 1},
        {"t": 9.0, "metrics": {"loss": 0.5}},
        {"t": 13.0, "metrics": {"loss": 0.25}},
        {"t": 14.0, "metrics": {}},
    ]
    assert journal.rows(said, 10.0) == [
        Row(1, 1.0, {"loss": 1.0, "acc": 0.5}),
        Row(1, 2.0, {"acc": 0.75}),
        Row(None, 0.0, {"loss": 0.5}),
        Row(None, 3.0, {"loss": 0.25}),
    ]
