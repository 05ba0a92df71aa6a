"""Fork a process and kill it just before the system call of a given number.

Linux only. The child is forked warm, with everything imported, so a trial takes milliseconds. What
the child starts itself (`git`) is not traced; it lives on as an orphan, or dies with its group.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Death", "Failed", "fork", "isolated", "kill_at", "orphans_are_ours", "reap"]

T = TypeVar("T")

_TRACEME, _SYSCALL, _SETOPTIONS = 0, 24, 0x4200
_SYSGOOD, _EXITKILL = 1, 1 << 20
_WALL = 0x40000000
_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Death:
    """How a traced child ended: after how many system calls, killed or not, and what it told.

    `fault` is the traceback of an exception, empty if there was none.
    """

    calls: int
    killed: bool
    told: bytes
    fault: str


class Failed(Exception):
    """Something raised in an isolated child; the text is its traceback."""


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    return libc


_LIBC = _libc()


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    if _LIBC.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace: {os.strerror(number)}")


@contextmanager
def orphans_are_ours() -> Iterator[None]:
    """Become the parent of orphaned grandchildren, so that their end can be waited for."""
    _LIBC.prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        _LIBC.prctl(_SUBREAPER, 0, 0, 0, 0)


def reap(group: int) -> None:
    """Wait for every process of a group."""
    while True:
        try:
            os.waitpid(-group, _WALL)
        except ChildProcessError:
            return


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a forked child, in a process group of its own -> its pid."""
    with warnings.catch_warnings():
        # Python 3.12 warns where there are threads, as under pytest-xdist; theirs hold no lock
        # that our child takes.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def isolated(work: Callable[[], T]) -> T:
    """Run `work` in a fresh child to its end -> what it returned.

    Raises:
        Failed: it raised, or died.
    """
    reader, writer = os.pipe()

    def report() -> None:
        os.close(reader)
        answer: tuple[bool, Any]
        try:
            answer = True, work()
        except BaseException:
            answer = False, traceback.format_exc()
        with os.fdopen(writer, "wb") as file:
            pickle.dump(answer, file)

    pid = fork(report)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    if not data:
        raise Failed("the child died")
    fine, value = pickle.loads(data)
    if not fine:
        raise Failed(value)
    return value  # type: ignore[no-any-return]


def kill_at(
    point: int | None,
    prepare: Callable[[], T],
    act: Callable[[T, Callable[[bytes], None]], object],
    *,
    group: bool = False,
) -> Death:
    """Let a child `prepare` undisturbed, then `act`, and kill it before its `point`-th call.

    `point` counts from 1; None lets it live, to count its calls. What `act` tells has arrived even
    if the child dies right after. `group` kills what the child started too; otherwise that is
    waited for. Call it within `orphans_are_ours`.
    """
    reader, writer = os.pipe()
    faults, fault_writer = os.pipe()

    def work() -> None:
        os.close(reader)
        os.close(faults)
        try:
            ready = prepare()
            _ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            act(ready, lambda said: _tell(writer, said))
        except BaseException:
            os.write(fault_writer, traceback.format_exc().encode()[:60_000])
            os._exit(1)
        os._exit(0)

    pid = fork(work)
    os.close(writer)
    os.close(fault_writer)
    calls, killed = _follow(pid, point, group)
    reap(pid)
    with os.fdopen(reader, "rb") as told, os.fdopen(faults, "rb") as said:
        return Death(calls, killed, told.read(), said.read().decode("utf-8", "replace"))


def _tell(descriptor: int, said: bytes) -> None:
    os.write(descriptor, said)


def _follow(pid: int, point: int | None, group: bool) -> tuple[int, bool]:
    """Step through the child's system calls -> how many it began, and whether it was killed."""
    _, status = os.waitpid(pid, _WALL | os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        return 0, False
    _ptrace(_SETOPTIONS, pid, _SYSGOOD | _EXITKILL)
    calls, inside, pending = 0, False, 0
    while True:
        _ptrace(_SYSCALL, pid, pending)
        _, status = os.waitpid(pid, _WALL)
        if not os.WIFSTOPPED(status):
            return calls, os.WIFSIGNALED(status)
        pending = os.WSTOPSIG(status)
        if pending != signal.SIGTRAP | 0x80:
            continue
        pending, inside = 0, not inside
        calls += inside
        if inside and calls == point:
            (os.killpg if group else os.kill)(pid, signal.SIGKILL)
            os.waitpid(pid, _WALL)
            return calls, True
