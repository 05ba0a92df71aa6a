"""The journal of one process: in the kernel when a call returns, and in nobody's way."""

from __future__ import annotations

import asyncio
import fcntl
import json
import math
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forks import elsewhere
from gittrack import appender as module
from gittrack import backlog, journal
from gittrack.appender import Appender

Until = Callable[..., None]


@pytest.fixture
def said() -> list[str]:
    """What the appender complained of."""
    return []


@pytest.fixture
def appender(tmp_path: Path, said: list[str]) -> Iterator[Appender]:
    """An open journal that is never flushed while a test looks."""
    made = Appender(tmp_path, sync=60, trouble=said.append)
    yield made
    made.close()


def lines(path: Path) -> list[dict[str, Any]]:
    """The events of a journal, all of whose lines are whole, without their times."""
    events, damaged = journal.unframe(path.read_bytes())
    assert damaged == 0
    assert all(isinstance(event.pop("t"), float) for event in events)
    return events


def values(path: Path, key: str = "m") -> list[float]:
    return [event["metrics"][key] for event in lines(path) if key in event.get("metrics", {})]


# -- what a line says ---------------------------------------------------------------------------

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=9)
NUMBERS = st.floats() | st.integers(-(2**1024) + 1, 2**1024 - 1)
STEPS = st.none() | st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.tuples(st.dictionaries(KEYS, NUMBERS, min_size=1, max_size=4), STEPS)))
@settings(deadline=None, max_examples=200)
def test_lines_say_what_json_would(tmp_path_factory: Any, calls: list[Any]) -> None:
    """Lines are put together by hand for speed; no reader may see a difference."""
    said: list[str] = []
    made = Appender(tmp_path_factory.mktemp("run"), sync=None, trouble=said.append)
    expected = []
    for metrics, step in calls:
        at = {} if step is None else {"step": step}
        made.points(metrics, step)
        expected.append({"metrics": metrics} | at)
        for key, value in metrics.items():
            made.point(key, value, step)
            expected.append({"metrics": {key: value}} | at)
    made.append({"tags": {"a": "b"}})
    made.close()
    # As text, because NaN is not equal to itself, and -0.0 is to 0.0.
    assert repr(lines(made.path)) == repr([*expected, {"tags": {"a": "b"}}])
    assert said == []


@pytest.mark.parametrize("key", ['"', "\\", "%s %% %d", "{t}", "é\u2603", "\U0001f600", "a/b.c"])
def test_every_key_is_itself(appender: Appender, key: str) -> None:
    """Keys go through two kinds of formatting, each with characters of its own."""
    for _ in range(2):
        appender.point(key, 0.5, 1)
        appender.points({key: 1, "other": 2.5}, None)
    one, two = {"metrics": {key: 0.5}, "step": 1}, {"metrics": {key: 1, "other": 2.5}}
    assert lines(appender.path) == [one, two, one, two]


def test_the_time_is_that_of_the_call(appender: Appender) -> None:
    """To the microsecond, as a curve over time is drawn from it; unless an event says its own."""
    before = time.time()
    appender.point("m", 1.0, None)
    appender.append({"t": 5.0, "tags": {}})
    after = time.time()
    (point, event), _ = journal.unframe(appender.path.read_bytes())
    assert before - 1e-6 <= point["t"] <= after + 1e-6
    assert event["t"] == 5.0


def test_a_million_names_are_not_all_remembered(appender: Appender) -> None:
    """What makes a known name fast must not grow with a script that invents names."""
    for number in range(25_000):
        appender.point(f"m{number}", 1.0, None)
        appender.points({f"m{number}": 1.0, f"n{number}": 2.0}, None)
    assert len(appender._names) <= 10_000 and len(appender._templates) <= 10_000
    assert len(lines(appender.path)) == 50_000


def test_the_name_says_process_and_rank(tmp_path: Path, said: list[str]) -> None:
    """Whoever reads keeps the curves of several ranks apart by it."""
    plain = Appender(tmp_path, trouble=said.append)
    ranked = Appender(tmp_path, rank=3, trouble=said.append)
    assert plain.path.name.startswith(f"{os.getpid()}-")
    assert ranked.path.name.startswith(f"r3-{os.getpid()}-")
    assert {plain.path.suffix, ranked.path.suffix} == {".journal"}
    plain.close()
    ranked.close()


# -- what survives ------------------------------------------------------------------------------


def test_a_returned_point_is_in_the_file(appender: Appender) -> None:
    """The kernel has it, so no end of the process can take it away."""
    for number in range(100):
        appender.point("m", float(number), number)
        assert values(appender.path)[-1] == number


@pytest.mark.parametrize("wait", [0.001, 0.005, 0.02, 0.05])
def test_a_killed_process_loses_nothing_that_it_was_told_is_kept(
    tmp_path: Path, until: Until, wait: float
) -> None:
    """The out-of-memory killer sends SIGKILL, and asks nobody."""
    code = """
import os, sys
from pathlib import Path
from gittrack.appender import Appender
made = Appender(Path(sys.argv[1]), trouble=print)
number = 0
while True:
    made.point("m", number, number)
    os.write(1, b"%d\\n" % number)
    number += 1
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = child.stdout.readline()
        select.select([], [], [], wait)
        child.kill()
        told += child.stdout.read()
    last = int(told.split(b"\n")[-2])
    (path,) = tmp_path.glob("*.journal")
    events, damaged = journal.unframe(path.read_bytes())
    found = [event["metrics"]["m"] for event in events]
    assert found == list(range(len(found))) and len(found) > last and damaged <= 1


def test_threads_do_not_tear_each_others_lines(appender: Appender) -> None:
    """Callbacks log from any thread, at any moment."""
    together = threading.Barrier(8)

    def log(who: int) -> None:
        together.wait()
        for number in range(1_000):
            appender.point(f"m{who}", number / 7, number)
            if number % 10 == 0:
                appender.points({f"a{who}": number, f"b{who}": 0.5}, number)

    threads = [threading.Thread(target=log, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(appender.path)) == 8_800
    for who in range(8):
        assert values(appender.path, f"m{who}") == [number / 7 for number in range(1_000)]


def test_tasks_share_a_journal(appender: Appender) -> None:
    """No call waits for anything, so none blocks the loop."""

    async def log(who: int) -> None:
        for number in range(100):
            appender.point(f"m{who}", number, number)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(log(who) for who in range(5)))

    asyncio.run(main())
    assert [values(appender.path, f"m{who}") for who in range(5)] == [list(range(100))] * 5


def test_a_signal_handler_may_log_whatever_it_interrupts(appender: Appender, until: Until) -> None:
    """SIGTERM comes in the middle of a call, and how the run ended has to be written then."""
    seen: list[int] = []

    def handler(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        seen.append(1)
        appender.append({"tags": {"n": len(seen)}})
        appender.flush()
        signal.setitimer(signal.ITIMER_REAL, 0.002)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        for number in range(20_000):
            appender.point("m", number, number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    until(lambda: appender._backlog is None)
    found = lines(appender.path)
    assert values(appender.path) == list(range(20_000))
    assert seen and sum("tags" in event for event in found) == len(seen)


# -- forks --------------------------------------------------------------------------------------


def test_a_fork_doubles_nothing_and_the_child_has_its_own(
    tmp_path: Path, said: list[str], until: Until
) -> None:
    """A buffer that both have would be written by both; and the child's disk is flushed too."""
    parent = Appender(tmp_path, sync=0.01, trouble=said.append)
    parent.point("m", 1, None)

    def child() -> bool:
        parent.abandon()
        own = Appender(tmp_path, sync=0.01, trouble=said.append)
        own.point("m", 2, None)
        own.flush()
        return own._flusher is not None and own._flusher.is_alive() and not own._dirty

    assert elsewhere(child) == 0
    parent.point("m", 3, None)
    parent.close()
    assert values(parent.path) == [1, 3]
    (other,) = set(tmp_path.glob("*.journal")) - {parent.path}
    assert values(other) == [2]


def test_lines_that_wait_at_a_fork_are_the_parents(
    tmp_path: Path, said: list[str], slow: Slow
) -> None:
    """A child that wrote its parent's queue as well would double each point in it."""
    made = slow.appender()
    slow.block(made)
    for number in range(10):
        made.point("m", number, None)

    def child() -> bool:
        made.abandon()
        return True

    assert elsewhere(child) == 0
    slow.unblock()
    slow.end(made)
    assert slow.values() == [-1, *range(10)]


# -- the disk -----------------------------------------------------------------------------------


def test_flushes_happen_in_a_thread_and_not_more_often(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """A flush takes milliseconds, and a loop may log a hundred thousand times a second."""
    flushed: list[tuple[str, float]] = []
    real = os.fdatasync

    def count(descriptor: int) -> None:
        flushed.append((threading.current_thread().name, time.monotonic()))
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", count)
    made = Appender(tmp_path, sync=0.05, trouble=said.append)
    until(lambda: made.point("m", 1, None) or len(flushed) >= 4)
    assert {name for name, _ in flushed} == {"gittrack"}
    gaps = [later - earlier for (_, earlier), (_, later) in pairwise(flushed)]
    assert min(gaps) > 0.03
    made.close()
    count_at_end = len(flushed)
    made.close()
    assert len(flushed) == count_at_end and said == []


@pytest.mark.parametrize(("sync", "expected"), [(0, 5), (None, 0)])
def test_how_often_is_the_users_choice(
    tmp_path: Path,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    sync: float | None,
    expected: int,
) -> None:
    """0 is for who trusts no power, None for who has no time."""
    flushed: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda _: flushed.append(threading.current_thread().name))
    made = Appender(tmp_path, sync=sync, trouble=said.append)
    for number in range(5):
        made.point("m", number, None)
    made.flush()
    made.close()
    assert flushed == ["MainThread"] * expected


def test_nothing_new_is_not_flushed(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """A process that waits for days must not keep a disk from sleeping."""
    flushed: list[int] = []
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    made = Appender(tmp_path, sync=0.001, trouble=said.append)
    made.point("m", 1, None)
    until(lambda: flushed)
    seen = made._flushed
    until(lambda: made._flushed > seen + 0.01)
    made.close()
    assert len(flushed) == 1


def test_a_disk_that_cannot_be_flushed_is_said_once(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO tells of a disk that dies; the training may be all that is left of it."""

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    made = Appender(tmp_path, sync=60, trouble=said.append)
    for number in range(3):
        made.point("m", number, None)
        made.flush()
    made.close()
    assert said == ["what is logged may not reach the disk: Input/output error"]
    assert values(made.path) == [0, 1, 2]


def test_a_full_disk_costs_nothing_if_there_is_space_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """Whatever space is left at each line: each comes, whole, once and in order."""
    monkeypatch.setattr(backlog, "_PAUSE", 0.001)
    said: list[str] = []

    def work() -> bool:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        made = Appender(tmp_path, sync=None, trouble=said.append)
        made.point("m", 0, None)
        line = made.path.stat().st_size
        for left in range(line + 5):
            size = made.path.stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + left, resource.RLIM_INFINITY))
            for number in range(3):
                made.point("m", 3 * left + number + 1, None)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            until(lambda: made._backlog is None)
        made.close()
        assert values(made.path) == list(range(3 * line + 16))
        assert said == ["the disk takes nothing: File too large; what is logged waits in memory"]
        return True

    assert elsewhere(work) == 0


def test_what_another_thread_wrote_behind_a_torn_line_is_kept(
    appender: Appender, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """Then the rest cannot follow the beginning: the line is written again, whole."""
    real = os.write

    def halved(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", real)
        written = real(descriptor, data[: len(data) // 2])
        real(descriptor, b"\n" + journal.frame({"t": 1.0, "metrics": {"m": 99}}))
        return written

    appender.point("m", 1, None)
    monkeypatch.setattr(os, "write", halved)
    appender.point("m", 2, None)
    appender.point("m", 3, None)
    until(lambda: appender._backlog is None)
    events, damaged = journal.unframe(appender.path.read_bytes())
    assert [event["metrics"]["m"] for event in events] == [1, 99, 2, 3]
    assert damaged == 1


def test_a_disk_that_stays_full_is_told_at_the_end(appender: Appender, said: list[str]) -> None:
    """How many points are lost, for otherwise the curve lies."""
    appender.point("m", 0, None)
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, appender._descriptor)
    os.close(full)
    for number in range(5):
        appender.point("m", number, None)
    appender.points({"m": 1, "n": 2}, None)
    appender.close()
    assert said == [
        "the disk takes nothing: No space left on device; what is logged waits in memory",
        "7 points were lost: the disk did not take them",
    ]
    assert values(appender.path) == [0]


def test_a_directory_that_is_removed_is_said_once(
    tmp_path: Path, said: list[str], until: Until
) -> None:
    """What is logged from then on goes nowhere, and nothing else would tell."""
    place = tmp_path / "run"
    place.mkdir()
    made = Appender(place, sync=0.005, trouble=said.append)
    made.point("m", 1, None)
    shutil.rmtree(place)
    until(lambda: made.point("m", 2, None) or said)
    made.point("m", 3, None)
    made.close()
    assert said == ["the run's directory was removed: what is logged now is lost"]


def test_a_run_that_ended_after_the_last_point_is_no_loss(tmp_path: Path, said: list[str]) -> None:
    """A worker of a pool lives on, and what it logged was read when the run ended."""
    place = tmp_path / "run"
    place.mkdir()
    made = Appender(place, sync=60, trouble=said.append)
    made.point("m", 1, None)
    shutil.rmtree(place)
    made.flush()
    made.close()
    assert said == []


def test_a_directory_that_is_not_there_raises_at_once(tmp_path: Path) -> None:
    """That is the one moment at which somebody can still do something about it."""
    with pytest.raises(FileNotFoundError):
        Appender(tmp_path / "gone", trouble=print)


# -- a slow disk: a pipe that nobody reads blocks a write as a hanging disk does ------------------


class Slow:
    """A pipe in the place of a journal, which blocks when nobody reads it."""

    def __init__(self, place: Path, said: list[str]) -> None:
        self.place, self.said = place, said
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        self.data = b""
        self.thread: threading.Thread | None = None

    def appender(self) -> Appender:
        made = Appender(self.place, sync=60, trouble=self.said.append)
        made.point("m", -1, None)
        self.data = made.path.read_bytes()
        os.dup2(self.writer, made._descriptor)
        os.close(self.writer)
        return made

    def block(self, made: Appender) -> None:
        """Fill the pipe, let one write hang for a moment, and fill it again."""
        os.set_blocking(made._descriptor, False)
        padding = b"\n" * 4096
        os.write(made._descriptor, padding)
        os.set_blocking(made._descriptor, True)
        with made._lock:
            made._doubt()

    def unblock(self) -> None:
        """Read from now on all that comes."""
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        while more := os.read(self.reader, 1 << 16):
            self.data += more

    def end(self, made: Appender) -> None:
        """Close it, and the pipe with it, which else stays open as long as the appender is used."""
        made.close()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, made._descriptor)
        os.close(null)

    def events(self) -> list[dict[str, Any]]:
        """What came, all writers being gone."""
        assert self.thread is not None
        self.thread.join(20)
        events, damaged = journal.unframe(self.data)
        assert damaged == 0
        return events

    def values(self) -> list[float]:
        return [event["metrics"]["m"] for event in self.events() if "metrics" in event]


@pytest.fixture
def slow(tmp_path: Path, said: list[str]) -> Iterator[Slow]:
    """A disk that can hang."""
    made = Slow(tmp_path, said)
    yield made
    os.close(made.reader)


def test_a_hanging_disk_holds_a_loop_up_for_a_tenth_of_a_second(
    slow: Slow, said: list[str], until: Until
) -> None:
    """A network disk that is away for a minute must not cost a minute of eight GPUs."""
    made = slow.appender()
    slow.block(made)
    took = []
    for number in range(2_000):
        before = time.monotonic()
        made.point("m", number, number)
        took.append(time.monotonic() - before)
    assert 0.09 < max(took) < 1.0, "one call waits for its line"
    assert sum(took) - max(took) < 1.0, "and only one"
    assert said == ["the disk is slow; what is logged waits in memory"]
    assert made._backlog is not None and not made._trust(made._backlog), "too early"
    slow.unblock()
    until(lambda: made._backlog is None)
    made.point("m", 2_000, None)
    slow.end(made)
    assert slow.values() == [-1, *range(2_001)], "all of it came, in order"


def test_a_write_that_took_long_is_followed_by_writes_of_a_thread(
    slow: Slow, said: list[str], until: Until
) -> None:
    """If the disk was well again at once, nothing else happens, and nobody hears of it."""
    made = slow.appender()
    os.set_blocking(made._descriptor, False)
    os.write(made._descriptor, b"\n" * 4096)
    os.set_blocking(made._descriptor, True)
    timer = threading.Timer(0.15, slow.unblock)
    timer.start()
    made.point("m", 0, None)
    assert made._backlog is not None
    made.point("m", 1, None)
    assert made._backlog is None or made._backlog.empty
    until(lambda: made._backlog is None)
    slow.end(made)
    timer.join()
    assert slow.values() == [-1, 0, 1] and said == []


def test_what_does_not_fit_into_memory_is_counted(
    slow: Slow, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A curve with a gap must say so; how the run ended is kept all the same."""
    monkeypatch.setattr(backlog, "_ROOM", 10_000)
    made = slow.appender()
    slow.block(made)
    for number in range(500):
        made.point("m", number, None)
    made.points({"m": 500, "n": 500}, None)
    made.append({"end": ["finished", 0]})
    slow.unblock()
    slow.end(made)
    events = slow.events()
    kept = [event["metrics"]["m"] for event in events if "metrics" in event]
    assert kept == list(range(-1, len(kept) - 1)) and 100 < len(kept) < 200
    dropped = [event["dropped"] for event in events if "dropped" in event]
    assert sum(dropped) == 501 - (len(kept) - 1) + 1
    assert any("end" in event for event in events)
    assert said[1:] == ["the disk takes nothing: points are dropped, and counted"]


def test_while_a_flush_hangs_lines_go_on_being_safe(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """A checkpoint of ten gigabytes keeps a disk busy, and that is when memory runs out."""
    monkeypatch.setattr(module, "_LATE", 0.05)
    hangs, go = threading.Event(), threading.Event()

    def hang(_: int) -> None:
        hangs.set()
        go.wait(20)

    monkeypatch.setattr(os, "fdatasync", hang)
    made = Appender(tmp_path, sync=0.01, trouble=said.append)
    made.point("m", 0, None)
    assert hangs.wait(20)
    until(lambda: time.time() > made._alarm)
    for number in range(1, 20):
        made.point("m", number, None)
        assert values(made.path)[-1] == number
    assert made._backlog is not None
    go.set()
    until(lambda: made._backlog is None)
    made.close()
    assert said == [] and len(values(made.path)) == 20


# -- the end ------------------------------------------------------------------------------------


def test_a_thread_that_goes_on_logging_harms_no_other_file(tmp_path: Path, said: list[str]) -> None:
    """The number of a closed file is the next one's; a point in a checkpoint would destroy it."""
    stop = threading.Event()
    made = Appender(tmp_path, sync=None, trouble=said.append)

    def log() -> None:
        while not stop.is_set():
            made.point("m", 1.0, 1)

    thread = threading.Thread(target=log)
    thread.start()
    for _ in range(20):
        other = Appender(tmp_path, sync=None, trouble=said.append)
        other.close()
        del other
    made.close()
    others = [os.open(tmp_path / f"other{n}", os.O_RDWR | os.O_CREAT) for n in range(20)]
    time.sleep(0.02)
    stop.set()
    thread.join()
    assert [os.fstat(descriptor).st_size for descriptor in others] == [0] * 20
    for descriptor in others:
        os.close(descriptor)


def test_an_interpreter_that_exits_is_not_held_up(tmp_path: Path) -> None:
    """Nor does the thread crash it: a minute between two flushes, and no close."""
    code = """
import sys
from pathlib import Path
from gittrack.appender import Appender
made = Appender(Path(sys.argv[1]), sync=60, trouble=print)
made.point("m", 1, 1)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, timeout=20, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (path,) = tmp_path.glob("*.journal")
    assert values(path) == [1]


def test_without_another_thread_the_callers_write_and_flush(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may have all the threads that it is allowed, or be about to exit."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    flushed: list[int] = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    made = Appender(tmp_path, sync=60, trouble=said.append)
    made.point("m", 1, None)
    assert flushed
    with made._lock:
        made._doubt()
    made.point("m", 2, None)
    made.point("m", 3, None)
    made.flush()
    made.close()
    assert values(made.path) == [1, 2, 3] and made._backlog is None


def test_descriptors_go_with_their_appenders(tmp_path: Path, said: list[str]) -> None:
    """A search over ten thousand runs in one process must not run out of them."""
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc") else 0
    for number in range(50):
        made = Appender(tmp_path, sync=60, trouble=said.append)
        made.point("m", number, None)
        made.close()
    del made
    assert not os.path.isdir("/proc") or len(os.listdir("/proc/self/fd")) <= before


def test_numbers_are_json(appender: Appender) -> None:
    """Whatever reads a journal, in whatever language, knows JSON; NaN is Python's way with it."""
    for value in (1e22, 5e-324, -0.0, 2**1023, math.inf, math.nan):
        appender.point("m", value, None)
        body = appender.path.read_bytes().split(b"\n")[-2][9:]
        assert repr(json.loads(body)["metrics"]["m"]) == repr(value)
