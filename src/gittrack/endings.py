"""How this process comes to its end: a signal, `sys.exit`, an exception that nobody caught.

Knows what can be told of an end while it happens, and how one is held back until something is done.
Handlers of the user's stay his; a forked child gets back what was there before. Knows nothing of
runs.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

__all__ = ["deferred", "die_of", "interrupted", "reason", "unwatch", "watch"]

_FATAL = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_LAUNCHERS = ("multiprocessing.popen_fork", "multiprocessing.forkserver")

_watching: _Watch | None = None
_depth = 0
_held: list[int] = []


def watch(on_fatal: Callable[[int], None], on_signal: Callable[[], None]) -> None:
    """Notice from now on how this process ends; a second call changes nothing.

    Of SIGTERM, SIGHUP and SIGUSR1, those that would kill us call `on_fatal(signum)` first, in the
    main thread, and then do so. Where the user has a handler, `on_signal` is called and then his:
    he decides. One that he installs later is his alone; if it calls ours after all, `on_signal` is
    called and nothing else happens. Ignored signals stay ignored. SIGUSR1 is left alone below
    Slurm, where frameworks take it to be requeued only if nobody has it.

    Called in another thread than the main one, no signal is noticed until the next call. A handler
    that is not Python's own (`faulthandler.register`) is the user's alone, too.
    """
    global _watching
    if _watching is None:
        _watching = _Watch(on_fatal, on_signal)
    else:
        _watching.handle()


def unwatch() -> None:
    """Put back what `watch` replaced, as far as nobody replaced it again."""
    global _watching
    watching, _watching = _watching, None
    if watching is not None:
        watching.stop()


def reason() -> BaseException | None:
    """What is ending this process, asked while it ends: in an `atexit` handler, or a finalizer.

    The exception under way; of a child of multiprocessing, which has printed its exception by then,
    a `SystemExit` of its exit code; the `SystemExit` that `sys.exit`, `exit` or `quit` raised and
    nobody caught; the exception that Python printed last, if it was the end of the program. None
    where the program came to its last line. A `raise SystemExit(2)` in the program's own words
    cannot be seen from here.
    """
    under_way = sys.exc_info()[1]
    if under_way is not None:
        return under_way
    code = _worker_code()
    if code:
        return SystemExit(code)
    return None if _watching is None else _watching.reason()


def die_of(signum: int) -> NoReturn:
    """Die of a signal, so that who waits for us sees of which."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
    os.kill(os.getpid(), signum)
    # The first process of a container is not killed by what it does not handle.
    os._exit(128 + signum)


def interrupted() -> None:
    """Let Python, which is leaving after a Ctrl-C that nobody caught, die of SIGINT after all.

    A shell's loop goes on with the next command unless this one died of it. CPython forgets that it
    has to where an `atexit` handler imports a module, and learns it again from code that ends so.
    """
    with suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")


@contextmanager
def deferred(*, interrupts: bool = False) -> Iterator[None]:
    """Hold back what we handle until the block is left; with `interrupts` Ctrl-C too, but once.

    Does nothing outside of the main thread: Python handles signals in that one alone.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    holds = interrupts and callable(before) and before is not _hold_interrupt
    if holds:
        signal.signal(signal.SIGINT, _hold_interrupt)
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if holds:
            signal.signal(signal.SIGINT, before)
        if not _depth:
            # Ctrl-C raises here, so it comes last.
            held = sorted(_held, key=lambda signum: signum == signal.SIGINT)
            _held.clear()
            for signum in held:
                signal.raise_signal(signum)


def _hold_interrupt(signum: int, frame: FrameType | None) -> None:
    if signum in _held:
        raise KeyboardInterrupt
    _held.append(signum)


class _Handler:
    """What we install for a signal whose disposition was `before`."""

    def __init__(self, watching: _Watch, before: Any) -> None:
        self.watching = watching
        self.before = before

    def is_installed(self, signum: int) -> bool:
        """Whether nobody has put another in our place."""
        installed: object = signal.getsignal(signum)
        return installed is self

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if callable(self.before):
            self.watching.on_signal()
            self.before(signum, frame)
        elif self.watching.pid != os.getpid():
            die_of(signum)
        elif not self.is_installed(signum):
            self.watching.on_signal()
        elif _depth:
            _held.append(signum)
        else:
            self.watching.on_fatal(signum)
            die_of(signum)


class _Watch:
    """The hooks of one process, and what they saw."""

    def __init__(self, on_fatal: Callable[[int], None], on_signal: Callable[[], None]) -> None:
        self.pid = os.getpid()
        self.on_fatal = on_fatal
        self.on_signal = on_signal
        self.leaving: SystemExit | None = None
        self._raised: weakref.ref[SystemExit] | None = None
        self._printed = _printed()
        self._handlers: dict[int, _Handler] = {}
        self.handle()
        self._hook_exit()

    # -- signals --------------------------------------------------------------------------------

    def handle(self) -> None:
        """Install our handlers, if that was not done and can be done in this thread."""
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        caught = _caught()
        for signum in _FATAL:
            if signum == signal.SIGUSR1 and "SLURM_JOB_ID" in os.environ:
                continue
            before = signal.getsignal(signum)
            if before is None or before is signal.SIG_IGN:
                continue
            if before is signal.SIG_DFL and signum in caught:
                continue
            handler = _Handler(self, before)
            try:
                signal.signal(signum, handler)
            except ValueError:
                # Not the main interpreter.
                return
            self._handlers[signum] = handler

    def stop(self) -> None:
        """Put everything back."""
        for signum, handler in self._handlers.items():
            if handler.is_installed(signum):
                try:
                    signal.signal(signum, handler.before)
                except ValueError:
                    # Called in another thread: the handler stays, and does what it replaced.
                    continue
        self._unhook_exit()

    # -- sys.exit, exit, quit -------------------------------------------------------------------

    def _hook_exit(self) -> None:
        self._exit = original = sys.exit

        def exit(status: Any = None, /) -> NoReturn:
            raise self._seen(status)

        exit.__module__, exit.__qualname__, exit.__doc__ = "sys", "exit", original.__doc__
        self._our_exit: Any = exit
        sys.exit = exit
        main = sys.modules.get("__main__")
        self._imported = main is not None and vars(main).get("exit") is original
        if self._imported:
            vars(main)["exit"] = exit
        self._quitter: Any = type(getattr(builtins, "exit", None))
        self._quit: Any = None
        if self._quitter.__name__ == "Quitter":
            self._quit = quit = self._quitter.__call__

            def call(quitter: Any, code: Any = None) -> NoReturn:
                try:
                    quit(quitter, code)
                except SystemExit as error:
                    status = error.code
                raise self._seen(status)

            self._our_quit: Any = call
            setattr(self._quitter, "__call__", call)  # noqa: B010  mypy takes it for ours

    def _unhook_exit(self) -> None:
        if sys.exit is self._our_exit:
            sys.exit = self._exit
        main = sys.modules.get("__main__")
        if self._imported and main is not None and vars(main).get("exit") is self._our_exit:
            vars(main)["exit"] = self._exit
        if self._quit is not None and self._quitter.__call__ is self._our_quit:
            setattr(self._quitter, "__call__", self._quit)  # noqa: B010

    def _seen(self, status: Any) -> SystemExit:
        raised = _Exit(status)
        raised.watching = self
        self._raised = weakref.ref(raised)
        return raised

    # -- what was it ----------------------------------------------------------------------------

    def reason(self) -> BaseException | None:
        """See the function."""
        if self.leaving is not None:
            return self.leaving
        printed = _printed()
        if printed is not None and printed is not self._printed and _ends_all(printed):
            return printed
        # Neither dropped at the end nor handled and dropped: kept, as in a cycle with its frames.
        raised = None if self._raised is None else self._raised()
        return None if raised is None else SystemExit(raised.code)


def _caught() -> set[int]:
    """The signals that have a handler, be it none that Python knows of; where the system says so.

    Source: proc_pid_status(5), SigCgt.
    """
    try:
        with open("/proc/self/status", "rb") as file:
            mask = next(int(line[7:], 16) for line in file if line.startswith(b"SigCgt:"))
    except (OSError, ValueError, StopIteration):
        return set()
    return {signum for signum in _FATAL if mask >> (signum - 1) & 1}


class _Exit(SystemExit):
    """A `SystemExit` that tells whether it was the end of the program.

    It is dropped when it is handled, or by the interpreter that it ends: then no frame is left.
    """

    watching: _Watch | None = None

    def __del__(self) -> None:
        watching = self.watching
        alone = watching is not None and sys._getframe().f_back is None
        if alone and threading.current_thread() is threading.main_thread():
            assert watching is not None
            watching.leaving = SystemExit(self.code)

    def __reduce__(self) -> tuple[type[SystemExit], tuple[Any, ...]]:
        return SystemExit, self.args


_Exit.__name__ = _Exit.__qualname__ = "SystemExit"


def _worker_code() -> int | None:
    """The exit code of a child of multiprocessing that is leaving; None of any other process.

    Source: popen_fork.py and forkserver.py in Lib/multiprocessing, since Python 3.13. Before, and
    with the method `spawn`, the exception can still be seen.
    """
    frame = sys._getframe().f_back
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if module == "multiprocessing.process":
            # Still at work: what is said to be its code is but what it was set to.
            return None
        if module in _LAUNCHERS and "code" in frame.f_code.co_varnames:
            code = frame.f_locals.get("code")
            return code if isinstance(code, int) else None
        frame = frame.f_back
    return None


def _printed() -> BaseException | None:
    """The exception that Python printed last, if it did."""
    found = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return found if isinstance(found, BaseException) else None


def _ends_all(error: BaseException) -> bool:
    """Whether an exception went through every frame: not one that a callback's caller printed.

    At a prompt they all do, and none is the end.
    """
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return False
    trace: TracebackType | None = error.__traceback__
    return trace is None or trace.tb_frame.f_back is None


_masks: dict[int, set[int]] = {}
"""Which signals a thread that is forking held back before."""


def _about_to_fork() -> None:
    # What kills a child before it has its own handlers back would be lost, and it would live on.
    if _watching is not None:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _FATAL)
        _masks[threading.get_ident()] = {*map(int, blocked)}


def _forked() -> None:
    mask = _masks.pop(threading.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _forget() -> None:
    """A forked child dies of what would have killed it, and leaves as it likes."""
    global _depth
    unwatch()
    _depth = 0
    _held.clear()
    _forked()


os.register_at_fork(before=_about_to_fork, after_in_parent=_forked, after_in_child=_forget)
