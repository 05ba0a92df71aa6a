"""What is done for a run while it runs, once a second: signs of life, its code held, samples taken.

Knows when each is due. Knows nothing of who calls it, nor of what the run logs itself. Nothing here
may disturb the training: what fails is tried again, or left out.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gittrack import refs
from gittrack.errors import GittrackError
from gittrack.git import Repo
from gittrack.sessions import Session

if TYPE_CHECKING:
    from gittrack.vitals import Sampler

__all__ = ["Heartbeat", "sampling"]

_SIGN_EVERY = 5.0
_HOLD_AFTER = 60.0
_SAMPLE_AFTER = 10.0
_SAMPLE_EVERY = 5.0
_SAMPLES_AT_ONE_PACE = 200
_CHECKPOINT_EVERY = 60.0


def sampling(repo: Repo) -> float | None:
    """Seconds between samples of system metrics by this repository's settings, None for no samples.

    Raises:
        UsageError: `track.system` is no truth value, or `track.systemInterval` no number of seconds
            from 1 to a day.
    """
    if not repo.flag("track.system", default=True):
        return None
    return repo.seconds("track.systemInterval", default=_SAMPLE_EVERY, least=1)


class Heartbeat:
    """Keeps a run alive in the eyes of others, and samples what it costs its machine.

    Each time `beat` is called, and once a second it should be, what is due is done: every 5 seconds
    a sign of life; once, after a minute, the code is kept from `git gc --prune=now`; from the tenth
    second on a sample of system metrics every 5 seconds (`track.systemInterval`), the pace halved
    after every 200 so that a week's are under 2,000; from the first beat on a checkpoint every
    minute, where the run began with `live`.

    `beat`, `hold` and `finish` are for one thread at a time, not always the same one; `append` is
    called in it. `repo` must be one that no other thread uses meanwhile: libgit2's are not safe. A
    sample is taken in a thread of its own, in which every signal is blocked, so that neither a
    driver that hangs nor the loading of psutil holds anything up; the next beat writes it down.
    After a fork all this is the parent's: a child must not call it.
    """

    def __init__(
        self,
        repo: Repo,
        session: Session,
        known: Mapping[str, Any],
        append: Callable[[Mapping[str, Any]], None],
        *,
        pid: int | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Begin with the run `known` (what its `begin` says); nothing is done before a beat.

        `append` writes an event into the run's journal and should not raise. `pid` is the process
        whose tree is sampled; without one there are no samples until `watch` names it.

        Raises:
            UsageError: a setting makes no sense (`sampling`).
        """
        self._repo = repo
        self._session = session
        self._known = known
        self._append = append
        self._now = now
        self._last = now()
        self._elapsed = max(0.0, self._last - known["started"])
        self._signed = -math.inf
        self._held = False
        self._checked = -math.inf
        self._pace = sampling(repo)
        self._taken = 0
        self._due = _SAMPLE_AFTER
        self._sampler: Sampler | None = None
        self._thread: threading.Thread | None = None
        self._found: deque[dict[str, Any]] = deque()
        if pid is not None:
            self.watch(pid)

    def watch(self, pid: int) -> None:
        """Sample this process and all that it starts, from now on."""
        if self._pace is not None:
            from gittrack.vitals import Sampler

            self._sampler = Sampler(pid, directory=self._repo.common_dir)

    def beat(self) -> None:
        """Do what is due. Raises nothing; takes microseconds where nothing is."""
        now = self._now()
        # A clock that was set back, or an injected one that stands still, must not stop everything.
        self._elapsed += now - self._last if now > self._last else 1.0
        self._last = now
        for part in (self._sign, self._keep_code, self._vitals, self._checkpoint):
            try:
                part()
            except Exception:  # the outermost frame of a helper: the run itself goes on
                continue

    def hold(self) -> None:
        """Keep the code from `git gc --prune=now`, as far as that is possible. Raises nothing."""
        if self._held:
            return
        self._held = True
        try:
            # A ref to what was pruned would have `git gc` fail.
            if not self._repo.stored(self._known["tree"]):
                return
            refs.hold_snapshot(self._repo, self._known["name"], self._known["tree"])
        except GittrackError:
            pass

    def finish(self) -> None:
        """Write down what was sampled since the last beat. Raises nothing; waits for nothing."""
        while self._found:
            self._append(self._found.popleft())

    def _sign(self) -> None:
        if self._elapsed - self._signed >= _SIGN_EVERY:
            self._signed = self._elapsed
            self._session.give_sign()

    def _keep_code(self) -> None:
        if self._elapsed > _HOLD_AFTER:
            self.hold()

    def _vitals(self) -> None:
        self.finish()
        if self._sampler is None or self._pace is None or self._elapsed < self._due:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._taken += 1
        if self._taken % _SAMPLES_AT_ONE_PACE == 0:
            self._pace *= 2
        self._due = self._elapsed + self._pace
        self._thread = _started(self._sample, self._sampler)

    def _sample(self, sampler: Sampler) -> None:
        moment = self._now()
        values = sampler.sample()
        if values:
            self._found.append({"t": moment, "system": values})
        elif sampler.fault is not None:
            self._found.append({"t": moment, "fault": sampler.fault})
            self._sampler = None

    def _checkpoint(self) -> None:
        if self._known.get("live") and self._elapsed - self._checked >= _CHECKPOINT_EVERY:
            self._checked = self._elapsed
            from gittrack import checkpoint

            checkpoint.spawn(self._repo, self._session.directory)


def _started(work: Callable[[Sampler], None], sampler: Sampler) -> threading.Thread:
    """A thread that does this work and hears no signal: they are for those who handle them.

    Where recording holds signals back it does so in one thread; another, not holding them back,
    would have the process die of them.
    """
    thread = threading.Thread(target=work, args=(sampler,), name="gittrack-vitals", daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return thread
