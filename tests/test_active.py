"""The run that a process logs to: found, lost, forked, and never in the way."""

from __future__ import annotations

import asyncio
import contextvars
import io
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forks import elsewhere
from gittrack import active, journal
from gittrack.active import Active
from gittrack.errors import BadName, BadValue, GittrackError, NoActiveRun


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


# -- which run ----------------------------------------------------------------------------------


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`begin(name, ...)` enters a run of this process; whatever is entered is left at the end."""
    monkeypatch.delenv(journal.RUN_VARIABLE, raising=False)
    monkeypatch.setattr(active, "_complained", False)
    active._close()
    made: list[Active] = []

    def enter(name: str = "one", *, owned: bool = True, **known: Any) -> Active:
        (tmp_path / name).mkdir(exist_ok=True)
        made.append(active.enter(tmp_path / name, {"name": name, **known}, owned=owned))
        return made[-1]

    yield enter
    for one in reversed(made):
        active.leave(one)
    active._close()


def in_thread(call: Any) -> Any:
    """What a new thread, which has a context of its own, gets from a call."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def test_runs_nest(begin: Any) -> None:
    """What is logged belongs to the innermost run that has not ended."""
    assert active.current() is None is active.innermost()
    outer = begin("outer")
    inner = begin("inner")
    assert active.current() is inner is active.require()
    assert (inner.owned, inner.ended, inner.name) == (True, False, "inner")
    active.leave(inner)
    active.leave(inner)
    assert (active.current(), inner.ended) == (outer, True)
    active.leave(outer)
    assert active.current() is None


def test_an_outer_run_may_end_first(begin: Any) -> None:
    """Somebody forgets an end; what goes on goes on."""
    outer, inner = begin("outer"), begin("inner")
    active.leave(outer)
    assert active.current() is inner
    active.leave(inner)
    assert active.current() is None


def test_a_thread_logs_to_the_run_of_its_process(begin: Any) -> None:
    """Callbacks of a framework know nothing of the thread that began the run."""
    assert in_thread(active.current) is None
    root = begin("root")
    nested = begin("nested")
    assert active.current() is nested
    assert in_thread(active.current) is root
    assert in_thread(active.innermost) is None
    assert in_thread(lambda: active.leave(nested)) is None
    assert active.current() is root, "left in another thread"


def test_threads_have_runs_of_their_own(begin: Any) -> None:
    """A search with a pool of threads has one run in each."""
    root = begin("root")
    together = threading.Barrier(4)
    found: dict[str, bool] = {}

    def work(name: str) -> None:
        own = begin(name)
        together.wait()
        for number in range(100):
            active.require().log_metric("m", number, number)
        found[name] = active.current() is own
        active.leave(own)
        found[name] &= active.current() is root

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {f"t{n}": True for n in range(4)}
    for n in range(4):
        said = events(root.directory.with_name(f"t{n}"))
        assert [event["step"] for event in said] == list(range(100))


def test_tasks_have_runs_of_their_own(begin: Any) -> None:
    """asyncio switches between them at each await."""
    root = begin("root")

    async def work(name: str) -> bool:
        assert active.current() is root
        own = begin(name)
        for number in range(20):
            active.require().log_metric("m", number)
            await asyncio.sleep(0)
        right = active.current() is own
        active.leave(own)
        return right and active.current() is root

    async def main() -> list[bool]:
        return await asyncio.gather(*(work(f"a{n}") for n in range(5)))

    assert asyncio.run(main()) == [True] * 5
    for n in range(5):
        assert len(events(root.directory.with_name(f"a{n}"))) == 20
    assert active.current() is root


def test_a_copied_context_that_outlives_its_run_logs_to_the_one_around(begin: Any) -> None:
    """A callback that was planned within a run may come after it."""
    outer, inner = begin("outer"), begin("inner")
    copied = contextvars.copy_context()
    active.leave(inner)
    assert copied.run(active.current) is outer
    assert copied.run(active.innermost) is outer


def test_a_joined_run_is_left_for_good(run: Path) -> None:
    """After `end_run` the script is done with it, whatever the environment goes on saying."""
    joined = active.require()
    assert (joined.directory, joined.owned, joined.begin["id"]) == (run, False, "a" * 32)
    assert in_thread(active.current) is joined
    active.leave(joined)
    assert active.current() is None is in_thread(active.current)
    with pytest.raises(NoActiveRun):
        active.append({})


def test_an_own_run_within_a_joined_one(run: Path, tmp_path: Path) -> None:
    """And the environment, which names the own run for children, never leads back to it."""
    joined = active.current()
    (tmp_path / "own").mkdir()
    own = active.enter(tmp_path / "own", {}, owned=True)
    os.environ[journal.RUN_VARIABLE] = os.fspath(tmp_path / "own")
    assert active.current() is own
    active.leave(own)
    assert active.current() in (joined, None)
    os.environ[journal.RUN_VARIABLE] = os.fspath(run)
    assert active.current() is joined


# -- what is logged -----------------------------------------------------------------------------

WRONG: list[tuple[Any, Any, Any, str]] = [
    ("m", "0.5", None, "is no number"),
    ("m", None, None, "is no number"),
    ("m", True, None, "is no number"),
    ("m", 1j, None, "is no number"),
    ("m", [1, 2], None, "is no single number; log its mean, or each of its elements under a key"),
    ("m", memoryview(b"ab"), None, "memoryview of shape (2,) is no number"),
    ("m", 2**1025, None, "an integer of more than 1024 bits"),
    ("", 1, None, "a key is empty"),
    ("a\nb", 1, None, "holds the character"),
    ("x" * 10_000, 1, None, "has 10000 characters"),
    (3, 1, None, "a key is a string, not int"),
    ([], 1, None, "a key is a string, not list"),
    ("m", 1, 1.5, "step 1.5 is no whole number"),
    ("m", 1, 2**63, "a step has at most 64 bits"),
    ("m", 1, "1", "step '1' is no whole number"),
]


@pytest.mark.parametrize("known", [False, True], ids=["first", "later"])
@pytest.mark.parametrize(("key", "value", "step", "why"), WRONG)
def test_what_is_wrong_raises_only_where_that_is_asked_for(
    begin: Any,
    capsys: pytest.CaptureFixture[str],
    known: bool,
    key: Any,
    value: Any,
    step: Any,
    why: str,
) -> None:
    """`track.strict` is for tests and CI; and a name that was good before excuses nothing."""
    strict, lenient = begin("strict", strict=True), begin("lenient")
    for one in (strict, lenient) if known else ():
        one.log_metric("m", 0.5, 0)
        one.log_metrics({"m": 0.5}, 0)
    with pytest.raises((BadName, BadValue)) as caught:
        strict.log_metric(key, value, step)
    assert why in caught.value.message
    lenient.log_metric(key, value, step)
    lenient.log_metric(key, value, step)
    faults = [event["fault"] for event in events(lenient.directory) if "fault" in event]
    assert len(faults) == 2 and why in str(faults[0])
    assert capsys.readouterr().err == f"gittrack: {faults[0]}\n"
    assert not any("fault" in event for event in events(strict.directory))


@pytest.mark.parametrize("step", [None, 0, -1, 5, 3, 3, -(2**63), 2**63 - 1])
def test_the_fast_way_says_what_the_careful_one_does(begin: Any, step: int | None) -> None:
    """The second time a name is seen it takes another way through the code."""
    run = begin()
    for value in (0.1, 7, -0.0, math.inf, -math.inf, math.nan, 2**63, -(2**64), 2**1024 - 1):
        for _ in range(3):
            run.log_metric("m", value, step)
            run.log_metrics({"m": value, "n": 1}, step)
    said = [repr(event) for event in events(run.directory)]
    assert len(said) == 54
    for start in range(0, 54, 6):
        assert said[start : start + 2] * 3 == said[start : start + 6]
    assert repr(run.latest) == repr({"m": 2**1024 - 1, "n": 1})


def test_numpy_scalars_are_what_they_hold(begin: Any) -> None:
    """A loss is one more often than not, and some of them look like Python's own."""
    np = pytest.importorskip("numpy")
    run = begin()
    for value in (np.float64(0.1), np.float32(0.5), np.int64(3), np.array([2.5]), np.array(7)):
        for _ in range(2):
            run.log_metric("m", value, np.int32(4))
    found = [event["metrics"]["m"] for event in events(run.directory)]  # type: ignore[index]
    assert found == [0.1, 0.1, 0.5, 0.5, 3, 3, 2.5, 2.5, 7, 7]
    assert {type(value) for value in found} == {float, int}
    assert {event["step"] for event in events(run.directory)} == {4}


def test_steps_may_repeat_and_go_back(begin: Any) -> None:
    """They are what the script says; whoever draws a curve decides."""
    run = begin()
    for step in (5, 5, 3, -1):
        run.log_metric("m", 1.0, step)
    assert [event["step"] for event in events(run.directory)] == [5, 5, 3, -1]


def test_logging_after_the_end_is_said_once(begin: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A thread that nobody stopped must not raise in an empty place, nor write into a record."""
    run, strict = begin("run"), begin("strict", strict=True)
    for one in (run, strict):
        one.log_metric("m", 1)
        active.leave(one)
    for _ in range(2):
        run.log_metric("m", 2)
        run.append({"params": {}})
    assert capsys.readouterr().err == "gittrack: not recorded: run run has ended\n"
    for call in (lambda: strict.log_metric("m", 2), lambda: strict.fault("x")):
        with pytest.raises(NoActiveRun, match="run strict has ended"):
            call()
    assert events(run.directory) == [{"metrics": {"m": 1}}]


def test_a_directory_that_is_gone_never_raises_once_the_run_has_begun(
    begin: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody cleans up, and hours of training would go with it."""
    run = begin()
    shutil.rmtree(run.directory)
    for _ in range(2):
        run.log_metric("m", 1)
        run.fault("x")
    said = "gittrack: not recorded: run one cannot be used: No such file or directory\n"
    assert capsys.readouterr().err == said


class Raw(io.StringIO):
    """Text that goes to a file at once."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self.file = file

    def write(self, text: str) -> int:
        return self.file.write(text.encode())


def test_nobody_to_complain_to(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon has no stderr, and a terminal may be gone."""
    run = begin()
    closed = io.StringIO()
    closed.close()
    reader, writer = os.pipe()
    os.close(reader)
    broken = io.FileIO(writer, "w")
    for stream in (None, closed, Raw(broken)):
        monkeypatch.setattr(active, "_complained", False)
        monkeypatch.setattr(sys, "stderr", stream)
        run.log_metric("m", "bad")
    assert len(events(run.directory)) == 3
    broken.close()


def test_how_often_to_flush_stands_where_the_run_began(
    begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`track.syncInterval` is read once, by whoever begins the run."""
    flushed: list[int] = []
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    begin("each", sync=0).log_metric("m", 1)
    assert len(flushed) == 1
    begin("never", sync=None).flush()
    assert len(flushed) == 1


def test_a_rank_writes_a_file_of_its_own(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same metric from several ranks is not one curve."""
    monkeypatch.setenv("RANK", "2")
    run = begin()
    run.log_metric("m", 1)
    (path,) = run.directory.glob("*.journal")
    assert path.name.startswith(f"r2-{os.getpid()}-")


# -- other processes ----------------------------------------------------------------------------


def test_a_forked_child_owns_nothing(begin: Any) -> None:
    """Else the end of a data loader's worker would end the training's run."""
    run = begin()
    run.log_metric("m", 1)

    def child() -> bool:
        active.require().log_metric("m", 2)
        active.require().log_metric("m", 3)
        return active.current() is run and not run.owned

    assert elsewhere(child) == 0
    run.log_metric("m", 4)
    assert run.owned
    assert sorted(len(journal.unframe(p.read_bytes())[0]) for p in run.directory.iterdir()) == [
        2,
        2,
    ]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_join(tmp_path: Path, method: str) -> None:
    """Each with a file of its own, and all that it logged on the disk when it is done."""
    (tmp_path / "script.py").write_text(
        """
import multiprocessing, os, sys
from gittrack import active

def work(number):
    for step in range(50):
        active.require().log_metric(f"m{number}", step / 7, step)
    appender = active.require()._appender
    os.fdatasync = lambda _: open(os.environ["FLUSHED"], "a").write("x")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    active.require().log_metric("main", 1)
    workers = [context.Process(target=work, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(max(worker.exitcode for worker in workers))
"""
    )
    place = tmp_path / "run"
    place.mkdir()
    (place / "begin").write_bytes(journal.frame({"id": "a" * 32, "sync": 60}))
    flushed = tmp_path / "flushed"
    env = {**os.environ, journal.RUN_VARIABLE: os.fspath(place), "FLUSHED": os.fspath(flushed)}
    command = [sys.executable, "-W", "ignore", os.fspath(tmp_path / "script.py"), method]
    done = subprocess.run(command, env=env, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = [event["metrics"] for event in events(place)]
    assert len(found) == 101 and len(list(place.glob("*.journal"))) == 3
    assert flushed.read_text() == "xx"


def test_errors_are_ours(begin: Any) -> None:
    """Who catches GittrackError around a strict run catches all of them."""
    with pytest.raises(GittrackError):
        begin(strict=True).log_metric("m", object())
