"""What it costs to record what was logged: one long run, many lost ones, one curve read back.

python benchmarks/closing.py
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from measure import Claim, arguments, cost_of, ground, median_costs, report, work_tree

from gittrack import commits, names, outset, recovery, sessions
from gittrack.git import Repo

_RATE, _RATE_LOST = 333_333, 333_333
_SLOWEST = 0.16
_READ = 100_000
_MEMORY = 200 << 10


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.set_defaults(rounds=3)
    parser.add_argument("--points", type=int, default=1_000_000, help="in the long run")
    parser.add_argument("--runs", type=int, default=1000, help="that were lost")
    parser.add_argument("--each", type=int, default=10_000, help="points of each of these")
    given = parser.parse_args(argv)
    with ground() as place:
        repo = Repo.open(work_tree(place / "repo", 20))
        known = _known(repo)
        # First: a child counts what we had in memory when it was forked.
        lost, memory = _lost(repo, known, given.runs, given.each)
        closing = median_costs(
            {"close": _closing(repo, known, given.points, given.rounds + 1)}, rounds=given.rounds
        )["close"]
        reading = median_costs({"read": _reading(repo, known)}, rounds=given.rounds)["read"]
    points = f"{given.points:,} points"
    target = given.points / _RATE
    runs = f"{given.runs:,} lost runs of {given.each:,} points"
    rate = f"{_RATE:,} points a second"
    return report(
        "Recording what was logged",
        [
            Claim(f"a run of {points} closed", rate, closing.cpu, target, 1),
            Claim(f"a run of {points} closed, by the clock", rate, closing.clock, target, 1),
            Claim(f"{runs} recorded", rate, lost, given.runs * given.each / _RATE_LOST, 1),
            Claim("memory for it, at its peak", "200 MB", memory, _MEMORY, 1, "kB"),
            Claim(f"a curve of {_READ:,} points read", "160 ms", reading.cpu, _SLOWEST, 1),
        ],
    )


def _known(repo: Repo) -> Mapping[str, Any]:
    """How a real run begins here."""
    assert repo.root is not None
    request = outset.Request(argv=["true"], directory=repo.root)
    prepared = outset.prepare(repo, request)
    begun = outset.begin(repo, request, prepared, now=time.time, random=os.urandom)
    assert isinstance(begun, outset.Begun)
    begun.session.end()
    return dict(begun.known)


def _lines(points: int, started: float) -> bytes:
    """A journal of so many calls of `log_metric`."""
    dice, found = random.Random(1), []
    for step in range(points):
        said = f'{{"t":{started + step / 1000:.6f},"metrics":{{"loss":{dice.random()!r}}}'
        text = f'{said},"step":{step}}}'.encode()
        found.append(b"%08x %b\n" % (zlib.crc32(text), text))
    return b"".join(found)


def _begin(repo: Repo, known: Mapping[str, Any], lines: bytes) -> sessions.Session:
    name = names.generate(os.urandom(6))
    session = sessions.Session.open(repo.state, name)
    session.begin({**known, "id": names.run_id(os.urandom(16)), "name": name})
    (session.directory / "1-00000000.journal").write_bytes(lines)
    return session


def _closing(
    repo: Repo, known: Mapping[str, Any], points: int, rounds: int
) -> Callable[[], object]:
    lines = _lines(points, known["started"])
    ready = [_begin(repo, known, lines) for _ in range(rounds)]
    for session in ready:
        session.keep_end({"end": ["finished", 0]})
    return lambda: recovery.finish(repo, ready.pop())


def _reading(repo: Repo, known: Mapping[str, Any]) -> Callable[[], object]:
    session = _begin(repo, known, _lines(_READ, known["started"]))
    _, ref = recovery.finish(repo, session)
    return lambda: commits.load_curve(repo, ref, "loss")


def _lost(repo: Repo, known: Mapping[str, Any], runs: int, each: int) -> tuple[float, int]:
    """CPU seconds and peak memory in kB of the process that records what was lost."""
    lines = _lines(each, known["started"])
    for _ in range(runs):
        _begin(repo, known, lines).release()
    words = ["git-track", "-C", os.fspath(repo.git_dir), "ls", "-n", "0"]
    apart = {**os.environ, "GITTRACK_RECOVER": "1"}
    cost = cost_of(lambda: subprocess.run(words, env=apart, check=True, capture_output=True))
    left = sessions.live(repo.state)
    assert not left, f"{len(left)} runs are left"
    return cost.cpu, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


if __name__ == "__main__":
    sys.exit(main())
