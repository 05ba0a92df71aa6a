"""Lines that a disk did not take at once: none is lost, doubled or out of order."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import backlog
from gittrack.backlog import Backlog


class Disk:
    """Takes of each write what its plan says: so many bytes, None for an error, then all."""

    def __init__(self, plan: list[int | None]) -> None:
        self.plan = plan
        self.data = b""
        self.open = threading.Event()

    def write(self, data: bytes) -> int:
        self.open.wait(20)
        share = self.plan.pop(0) if self.plan else len(data)
        if share is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.data += data[:share]
        return min(share, len(data))


def begun(disk: Disk, said: list[str], ended: threading.Event | None = None) -> Backlog:
    """A backlog before a disk that takes nothing until `disk.open` is set, and not over before."""

    def end(made: Backlog) -> bool:
        if not (disk.open.is_set() and made.empty):
            return False
        if ended is not None:
            ended.set()
        return True

    return Backlog(
        disk.write,
        counted=lambda lost: b"lost %d\n" % lost,
        end=end,
        trouble=lambda kind, sentence: said.append(sentence),
    )


@pytest.fixture(autouse=True, scope="module")
def hurried() -> Iterator[None]:
    """A disk is asked again after a moment, not after a tenth of a second."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(backlog, "_PAUSE", 0.0002)
        patched.setattr(backlog, "_IDLE", 0.01)
        yield


@given(
    st.lists(st.integers(0, 30) | st.none(), max_size=12), st.lists(st.integers(1, 20), max_size=9)
)
@settings(deadline=None, max_examples=60)
def test_whatever_a_disk_takes_of_each_write_all_arrives(
    plan: list[int | None], sizes: list[int]
) -> None:
    """Pieces of lines, several at once, and refusals in between."""
    disk = Disk(plan)
    ended = threading.Event()
    made = begun(disk, [], ended)
    lines = [bytes([65 + number]) * size + b"\n" for number, size in enumerate(sizes)]
    for line in lines:
        made.add(line, 1)
    disk.open.set()
    assert ended.wait(20)
    assert disk.data == b"".join(lines)
    assert made.empty and made.finish(1) == 0


def test_what_was_dropped_is_told_after_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the telling itself is torn: it is told again, on a line of its own."""
    monkeypatch.setattr(backlog, "_ROOM", 20)
    said: list[str] = []
    disk = Disk([20, 3])
    ended = threading.Event()
    made = begun(disk, said, ended)
    for _ in range(5):
        place = made.add(b"123456789\n", 2)
    assert made.add(b"rare\n", 1, rare=True) == place + 5
    made.wait(place)
    disk.open.set()
    assert ended.wait(20)
    assert disk.data.split(b"\n") == [b"123456789"] * 2 + [b"rar", b"e", b"lost 6", b""] or (
        disk.data == b"123456789\n" * 2 + b"rare\n\nlost 6\n"
    )
    assert said == [
        "the disk is slow; what is logged waits in memory",
        "the disk takes nothing: points are dropped, and counted",
    ]


def test_a_caller_waits_until_its_own_line_is_written() -> None:
    """Not until all are: others go on adding."""
    disk = Disk([])
    made = begun(disk, [])
    place = made.add(b"one\n", 1)
    disk.open.set()
    made.wait(place)
    assert disk.data == b"one\n"
    assert made.finish(20) == 0


def test_the_end_does_not_wait_for_ever() -> None:
    """A disk that hangs must not keep a process from ending; what is lost is counted."""
    disk = Disk([None] * 1000)
    disk.open.set()
    said: list[str] = []
    made = begun(disk, said)
    for _ in range(3):
        made.wait(made.add(b"line\n", 2))
    assert made.finish(20) == 6
    assert said[0] == (
        "the disk takes nothing: No space left on device; what is logged waits in memory"
    )


def test_without_a_thread_the_callers_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the interpreter exits there are no new ones."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    disk = Disk([None])
    disk.open.set()
    made = begun(disk, [])
    made.wait(made.add(b"one\n", 1))
    assert disk.data == b""
    made.wait(made.add(b"two\n", 1))
    assert disk.data == b"one\ntwo\n"
    made.add(b"three\n", 1)
    assert made.finish(0) == 0
    assert disk.data == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_polling_ends_in_time(seconds: float) -> None:
    """And looks once at least."""
    looked: list[int] = []

    def never() -> bool:
        looked.append(1)
        return False

    condition: Callable[[], bool] = never
    backlog.poll(condition, seconds)
    assert looked
