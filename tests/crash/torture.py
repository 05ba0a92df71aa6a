"""Processes that log are killed at random points, and so is who records them afterwards.

Knows what each of them had logged when a call returned: it says so in a file of its own. Expects
exactly these points in the record, each once, and at most one more of each: the one on its way.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gittrack
from crash.ptrace import fork, reap
from crash.world import Expected, World, aftermath, shown
from gittrack import commits, execute, recovery, refs
from gittrack.git import Repo

__all__ = ["WAYS", "torture"]

_DEADLINE = 30.0

# What the command of a joined run does; the path comes as its argument.
_SCRIPT = """\
import os, sys
import gittrack
told = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for step in range(10**9):
    gittrack.log_metric("main", step, step=step)
    os.write(told, b"main %d\\n" % step)
"""


def _log(told: int, who: str, met: Callable[[], object] | None = None) -> None:
    """Log until we are killed, and say after each call that it has returned.

    `met` is called after the first one.
    """
    for step in range(10**9):
        gittrack.log_metric(who, step, step=step)
        os.write(told, b"%b %d\n" % (who.encode(), step))
        if met is not None and not step:
            met()


def _own(told: int) -> None:
    gittrack.start_run()
    _log(told, "main")


def _threads(told: int) -> None:
    gittrack.start_run()
    for number in range(3):
        threading.Thread(target=_log, args=(told, f"thread{number}"), daemon=True).start()
    _log(told, "main")


def _workers(told: int) -> None:
    gittrack.start_run()
    heard, began = os.pipe()
    waits, go = os.pipe()
    for number in range(2):
        if not os.fork():
            try:
                _log(told, f"worker{number}", lambda: os.write(began, b".") and os.read(waits, 1))
            finally:
                os._exit(1)
    # On a slow machine one would log all that is waited for before the other has begun.
    for _ in range(2):
        os.read(heard, 1)
    os.write(go, b"..")
    _log(told, "main")


WAYS: dict[str, Callable[[int], None] | None] = {
    "own": _own,
    "threads": _threads,
    "workers": _workers,
    "joined": None,
}
"""An own run; one that threads log to; one with forked workers; one that `git track run` records.
"""


def torture(world: World, place: Path, way: str, trials: int, seed: int = 1) -> list[str]:
    """Kill as often as `trials` says -> what was wrong."""
    rand = random.Random(f"{way} {seed}")
    wrong: list[str] = []
    for trial in range(trials):
        told = place / f"told-{way}-{trial}"
        told.touch()
        found = _trial(world, told, way, rand)
        wrong += [f"{way}, trial {trial}: {sentence}" for sentence in found]
        told.unlink()
    return wrong


def _trial(world: World, told: Path, way: str, rand: random.Random) -> list[str]:
    before = shown(world)
    pid = fork(lambda: _work(world, told, way))
    _wait(told, pid, rand.choice([0, 1, rand.randrange(50), rand.randrange(2000)]))
    time.sleep(rand.random() * 0.002)
    os.killpg(pid, signal.SIGKILL)
    reap(pid)
    _killed_recovery(world, rand)
    said = told.read_text().splitlines()
    wrong = aftermath(world, Expected("", "", {}), before, optional=not said)
    for ref in refs.all_runs(world.repo):
        if ref.full not in before:
            wrong += _compare(world, ref, said)
    return wrong


def _work(world: World, told: Path, way: str) -> None:
    """Begin a run and log to it, in a forked child."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.chdir(world.path)
    log = WAYS[way]
    if log is None:
        argv = [sys.executable, "-c", _SCRIPT, os.fspath(told)]
        execute.command(Repo.open(world.path), replace(world.request, argv=argv))
    else:
        log(os.open(told, os.O_WRONLY | os.O_APPEND))


def _wait(told: Path, pid: int, lines: int) -> None:
    """Wait until about so many points are logged; a run with none may not have begun."""
    end = time.monotonic() + _DEADLINE
    # A line has at least seven bytes.
    while lines and told.stat().st_size < 7 * lines and time.monotonic() < end:
        time.sleep(0.0005)
    if time.monotonic() >= end:
        raise TimeoutError(f"process {pid} logs nothing")


def _killed_recovery(world: World, rand: random.Random) -> None:
    """Begin to record what is lost, and kill that at any moment, or let it be done."""
    pid = fork(lambda: _recover(world))
    time.sleep(rand.random() * 0.06)
    os.killpg(pid, signal.SIGKILL)
    reap(pid)


def _recover(world: World) -> None:
    os.environ["GITTRACK_RECOVER"] = "1"
    recovery.recover(Repo.open(world.path))


def _compare(world: World, ref: refs.RunRef, said: list[str]) -> list[str]:
    """What is missing from a record, or stands there more than once, or was never logged."""
    logged: dict[str, int] = Counter(line.split()[0] for line in said)
    found: dict[str, list[tuple[int | None, object]]] = {}
    for row in commits.load_series(world.repo, ref):
        for name, value in row.values.items():
            found.setdefault(name, []).append((row.step, value))
    return list(_differences(logged, found))


def _differences(
    logged: dict[str, int], found: dict[str, list[tuple[int | None, object]]]
) -> Iterator[str]:
    for name in {*logged, *found}:
        points = found.get(name, [])
        if points != [(step, step) for step in range(len(points))]:
            yield f"the points of {name} are not those that were logged"
        if not 0 <= len(points) - logged.get(name, 0) <= 1:
            yield f"{name} has {len(points)} points, {logged.get(name, 0)} calls returned"
