"""The run that this process logs to: which one it is, its journal file, its complaints.

One file for each process that logs, a forked child too; no Git, no network where something is
appended. Knows what a metric's value may be, and nothing of how a run begins, ends or is recorded.
"""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from threading import RLock
from typing import Any

from gittrack.appender import Appender
from gittrack.errors import BadName, BadValue, GittrackError, NoActiveRun
from gittrack.foreign import converted, number, shown, whole_number
from gittrack.inheritance import inherited
from gittrack.journal import SYNC_SECONDS, unframe
from gittrack.keys import check_key
from gittrack.ranks import rank
from gittrack.summaries import Number

__all__ = [
    "Active",
    "append",
    "begun",
    "complain",
    "current",
    "enter",
    "fault",
    "has_said",
    "innermost",
    "leave",
    "remark",
    "require",
]

_START = "start the script with 'git track run -- python ...'"

_complained = ""
"""What was said first; nothing more is."""
_remarked: set[str] = set()


_WIDE = 2**63
_PLAIN = {float, int}
_MOST_ROWS = 1_000


class Active:
    """A run that is under way, as this process sees it; made by `enter`, or found by `current`.

    `owned` says whether this process began it and has to end it: never true in a forked child.
    `latest` has the last value of each metric that this process logged, `lost` how many
    points the disk did not take, known once it is left. Threads may share it.
    """

    def __init__(self, directory: Path, begin: Mapping[str, Any] | None, *, owned: bool) -> None:
        self.directory = directory
        self.owned = owned
        self.ended = False
        self.latest: dict[str, Number] = {}
        self.lost = 0
        self._rows: set[tuple[str, ...]] = set()
        self._begin = begin
        self._outer: Active | None = None
        self._appender: Appender | None = None
        # Reentrant, as is the other one: a signal handler logs and ends whatever it interrupts.
        self._opening = RLock()
        # What is only found in the environment may be over before anything is logged.
        self._certain = begin is not None

    @property
    def name(self) -> str:
        """What the run is called."""
        return str(self.begin.get("name", self.directory.name))

    @property
    def begin(self) -> Mapping[str, Any]:
        """All that was known when the run began, read once; empty if it cannot be read."""
        if self._begin is None:
            self._begin = _read(self.directory) or {}
        return self._begin

    @property
    def strict(self) -> bool:
        """Whether what is wrong raises (`track.strict`)."""
        return bool(self.begin.get("strict"))

    def log_metric(self, key: str, value: Number, step: int | None = None) -> None:
        """Record one point of a metric, now; what is wrong with it is a fault of the run.

        Raises:
            BadName, BadValue: the key, value or step is wrong, where the run is `strict`.
            NoActiveRun: the run is over, and `strict`.
        """
        appender = self._appender
        if (
            appender is not None
            and type(key) is str
            and key in self.latest
            and (type(value) is float or (type(value) is int and -_WIDE < value < _WIDE))
            and (step is None or (type(step) is int and -_WIDE <= step < _WIDE))
        ):
            appender.point(key, value, step)
            self.latest[key] = value
        else:
            self._log([(key, value)], step)

    def log_metrics(self, values: Mapping[str, Number], step: int | None = None) -> None:
        """Record a point of several metrics, with one time and step; see `log_metric`.

        Raises:
            BadName, BadValue: a key, value or the step is wrong, where the run is `strict`.
            NoActiveRun: the run is over, and `strict`.
        """
        appender = self._appender
        values = dict(values)
        if (
            appender is not None
            and tuple(values) in self._rows
            and set(map(type, values.values())) <= _PLAIN
            and min(values.values()) > -_WIDE
            and max(values.values()) < _WIDE
            and (step is None or (type(step) is int and -_WIDE <= step < _WIDE))
        ):
            appender.points(values, step)
            self.latest.update(values)
        else:
            self._log(values.items(), step)

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event, at once; after the end of the run it is said once that it is lost.

        A full or slow disk never raises, nor does a directory that was removed meanwhile.

        Raises:
            NoActiveRun: the run is over, and `strict`; or it was over before this process logged.
        """
        appender = self._open()
        if appender is not None:
            appender.append(event)

    def fault(self, sentence: str) -> None:
        """Record what could not be recorded as asked; the first one is said on stderr too.

        Raises:
            NoActiveRun: as `append` says.
        """
        complain(sentence)
        self.append({"fault": sentence})

    def flush(self) -> None:
        """Flush to the disk what was logged; nothing raises, and a second is the most it takes."""
        if self._appender is not None:
            self._appender.flush()

    def _log(self, values: Iterable[tuple[Any, Any]], step: object) -> None:
        """Record what may be wrong in any way."""
        good: dict[str, Number] = {}
        for key, value in values:
            try:
                good[_key(key)] = converted(number, value)
            except GittrackError as error:
                self._wrong(error, f"metric {shown(key)} not recorded: {error.message}")
        if not good:
            return
        at = None
        try:
            at = None if step is None else converted(_step, step)
        except GittrackError as error:
            named = "metric " + ", ".join(map(shown, good))
            self._wrong(error, f"{named}: {error.message}; its value is kept without a step")
        appender = self._open()
        if appender is not None:
            appender.points(good, at)
            self.latest.update(good)
            if len(self._rows) < _MOST_ROWS:
                self._rows.add(tuple(good))

    def _wrong(self, error: GittrackError, sentence: str) -> None:
        if self.strict:
            raise error
        self.fault(sentence)

    def _open(self) -> Appender | None:
        """The journal of this process, None if nothing can be logged any more."""
        if self.ended:
            self._over(f"run {self.name} has ended")
            return None
        if self._appender is None:
            with self._opening:
                if self._appender is None and not self.ended:
                    try:
                        self._appender = self._new()
                    except OSError as error:
                        self._over(f"run {self.name} cannot be used: {error.strerror}")
        return self._appender

    def _new(self) -> Appender:
        try:
            made = Appender(
                self.directory,
                rank=rank(os.environ),
                sync=self.begin.get("sync", SYNC_SECONDS),
                trouble=_say,
            )
        except OSError as error:
            if self._certain:
                raise
            raise _gone(self.directory, error) from error
        self._certain = True
        _close_with_worker()
        return made

    def _over(self, sentence: str) -> None:
        if self.strict:
            raise NoActiveRun(f"nothing can be logged: {sentence}")
        complain(f"not recorded: {sentence}")

    def _close(self) -> None:
        with self._opening:
            appender, self._appender = self._appender, None
        if appender is not None:
            lost = appender.close()
            self.lost += lost
            # The end of a run has room kept for it, which is its owner's.
            if lost and not self.owned:
                appender.confess(lost)

    def _forked(self) -> None:
        # A thread of the parent's may have held the lock; that thread is not here.
        self._opening = RLock()
        self.owned = False
        if self._appender is not None:
            self._appender.abandon()
            self._appender = None


_inner: ContextVar[Active | None] = ContextVar("gittrack run", default=None)
_open: list[Active] = []
"""The runs that this process has entered and not left, in that order."""
_joined: Active | None = None
_joining = RLock()
_seen_to = False
_known: weakref.WeakSet[Active] = weakref.WeakSet()


def enter(directory: Path, begin: Mapping[str, Any], *, owned: bool) -> Active:
    """Make a run the current one of this context, until `leave`."""
    global _joined
    active = Active(directory, begin, owned=owned)
    if not owned:
        _joined = active
    active._outer = innermost()
    _known.add(active)
    _open.append(active)
    _inner.set(active)
    return active


def leave(active: Active) -> None:
    """Close this process's journal of a run and make the one around it current again.

    The second time does nothing. May be called from another thread or task than `enter` was.
    """
    active.ended = True
    active._close()
    if active in _open:
        _open.remove(active)
    if _inner.get() is active:
        _inner.set(active._outer)


def innermost() -> Active | None:
    """The run that was entered last in this context (thread, asyncio task) and not left."""
    active = _inner.get()
    while active is not None and active.ended:
        active = active._outer
    return active


def current() -> Active | None:
    """The run that this context logs to, None if there is none.

    It is the innermost of this context; else the first that the process has entered and not left;
    else the one of another process that the environment names, as long as its directory is there.
    """
    active = _inner.get()
    if active is not None and not active.ended:
        return active
    if active is None and not _open and _joined is not None and not _joined.ended:
        # Each point of a process that has joined a run comes by here; the environment is slow.
        return _joined
    return innermost() or (_open[0] if _open else _from_environment())


def require() -> Active:
    """As `current`.

    Raises:
        NoActiveRun: there is none.
    """
    active = current()
    if active is not None:
        return active
    directory = inherited()
    # No hint: Python shows its user nothing but the message.
    if directory:
        raise NoActiveRun(f"the run in '{directory}' has ended: {_START}")
    raise NoActiveRun(f"no run is active: {_START}")


def append(event: Mapping[str, Any]) -> None:
    """Write one event of the current run, at once.

    Raises:
        NoActiveRun: there is none.
    """
    require().append(event)


def fault(sentence: str) -> None:
    """Record what could not be recorded as asked; the first such sentence is said on stderr too.

    Raises:
        NoActiveRun: no run is active.
    """
    require().fault(sentence)


def complain(sentence: str) -> None:
    """Say on stderr what went wrong, if it is the first thing that this process complains of."""
    global _complained
    if not _complained:
        _complained = sentence
        _say(sentence)


def remark(about: str, sentence: str) -> None:
    """Say on stderr what a script should know, once in a process for what it is about.

    Of the ranks of a parallel program, the first one does.
    """
    if about not in _remarked and not rank(os.environ):
        _remarked.add(about)
        _say(sentence)


def has_said(sentence: str) -> bool:
    """Whether this is what the process complained of."""
    return sentence == _complained


def _say(sentence: str) -> None:
    if sys.stderr is None:
        return
    try:
        print(f"gittrack: {sentence}", file=sys.stderr)
    except (OSError, ValueError):
        # A terminal that is gone, or a stream that was closed, must not end a training.
        return


def begun() -> Mapping[str, Any]:
    """All that was known when the run began, read from its directory, and that it still runs.

    Raises:
        NoActiveRun: no run is active, or it has ended.
    """
    directory = require().directory
    try:
        events, _ = unframe((directory / "begin").read_bytes())
    except OSError as error:
        raise _gone(directory, error) from error
    if not events:
        raise NoActiveRun(f"how the run in '{directory}' began cannot be read: {_START}")
    return events[0]


def _from_environment() -> Active | None:
    global _joined
    named = inherited()
    if not named:
        return None
    joined = _joined
    if joined is None or os.fspath(joined.directory) != named:
        with _joining:
            joined = _joined
            if joined is None or os.fspath(joined.directory) != named:
                joined = _joined = _join(Path(named))
    return None if joined is None or joined.ended else joined


def _join(directory: Path) -> Active | None:
    """The run of another process; None if it has ended, or this process has left it."""
    if any(one.ended and one.directory == directory for one in _known) or not directory.is_dir():
        return None
    joined = Active(directory, None, owned=False)
    _known.add(joined)
    return joined


def _read(directory: Path) -> dict[str, Any] | None:
    try:
        events, _ = unframe((directory / "begin").read_bytes())
    except OSError:
        return None
    return events[0] if events else None


def _gone(directory: Path, error: OSError) -> NoActiveRun:
    return NoActiveRun(
        f"the run in '{directory}' has ended, or cannot be used ({error.strerror}): {_START}"
    )


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise BadName(f"a key is a string, not {type(key).__name__}")
    return check_key(key)


def _step(step: object) -> int:
    exact = whole_number(step)
    if exact is None:
        raise BadValue(f"step {shown(step)} is no whole number")
    if not -(2**63) <= exact < 2**63:
        raise BadValue("a step has at most 64 bits")
    return exact


def _forget() -> None:
    """A forked child writes files of its own, and ends no run of its parent's."""
    global _joining, _seen_to
    _joining, _seen_to = RLock(), False
    for active in list(_known):
        active._forked()


def _close_with_worker() -> None:
    """See to it that a child of multiprocessing, which ends without `atexit`, closes too."""
    global _seen_to
    process = sys.modules.get("multiprocessing.process")
    if not _seen_to and process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _close, exitpriority=-1)
        _seen_to = True


def _close() -> None:
    global _joined
    for active in list(_known):
        active._close()
    _joined = None


os.register_at_fork(after_in_child=_forget)
atexit.register(_close)
