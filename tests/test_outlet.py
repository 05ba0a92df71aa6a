"""Output on its way to a disk that is slow, full, or well: a pipe stands for a disk that stalls."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gittrack.outlet import Outlet

Until = Callable[..., None]


def test_a_piece_is_written_when_the_call_returns(tmp_path: Path) -> None:
    """A SIGKILL then does not undo it."""
    with open(tmp_path / "output", "ab", buffering=0) as file:
        outlet = Outlet(lambda data: os.write(file.fileno(), data), print)
        outlet.put(b"one\n")
        assert (tmp_path / "output").read_bytes() == b"one\n"
        assert outlet.finish(1.0) == 0
        outlet.put(b"two\n")
    assert (tmp_path / "output").read_bytes() == b"one\n"


def test_a_disk_that_stalls_holds_nobody_up_and_loses_nothing(until: Until) -> None:
    """A script that prints goes on; when the disk comes back, all is there, in order."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    said: list[str] = []
    outlet = Outlet(lambda data: os.write(writing, data), said.append)
    pieces = [b"%06d " % number + b"x" * 993 + b"\n" for number in range(2_000)]
    took = []
    for piece in pieces:
        began = time.monotonic()
        outlet.put(piece)
        took.append(time.monotonic() - began)
    assert sum(took) < 5 and len(said) == 1, said
    seen = bytearray()

    def read() -> None:
        while data := os.read(reading, 1 << 16):
            seen.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: outlet._backlog is None)
    assert outlet.finish(1.0) == 0
    os.close(writing)
    reader.join()
    os.close(reading)
    assert bytes(seen) == b"".join(pieces)


def test_a_full_disk_is_said_once_and_what_is_lost_is_counted() -> None:
    """Nothing raises where a script prints."""
    full = os.open("/dev/full", os.O_WRONLY)
    said: list[str] = []
    outlet = Outlet(lambda data: os.write(full, data), said.append)
    for _ in range(5):
        outlet.put(b"piece\n")
    assert outlet.finish(0.1) == 5
    os.close(full)
    assert len(said) == 1 and "No space left on device" in said[0]


def test_what_the_disk_takes_again_is_written_at_once_again(tmp_path: Path, until: Until) -> None:
    """One hiccup is not for ever."""
    refuses = [True]

    def write(data: bytes) -> int:
        if refuses[0]:
            raise OSError(28, "No space left on device")
        with open(tmp_path / "output", "ab") as file:
            return file.write(data)

    outlet = Outlet(write, lambda _: None)
    outlet.put(b"one\n")
    refuses[0] = False
    until(lambda: (tmp_path / "output").exists())
    until(lambda: outlet._backlog is None)
    outlet.put(b"two\n")
    assert (tmp_path / "output").read_bytes() == b"one\ntwo\n"


def test_a_forked_child_writes_for_itself(tmp_path: Path) -> None:
    """Whatever its parent's threads were about to do."""
    full = [True]
    target = os.open(tmp_path / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nowhere = os.open("/dev/full", os.O_WRONLY)
    outlet = Outlet(lambda data: os.write(nowhere if full[0] else target, data), lambda _: None)
    outlet.put(b"parent\n")
    child = os.fork()
    if not child:
        full[0] = False
        outlet.renew()
        outlet.put(b"child\n")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / "output").read_bytes() == b"child\n"
    outlet.finish(0)
    os.close(target)
    os.close(nowhere)
