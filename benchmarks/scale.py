"""Where very many runs begin to hurt: listing, the index, packed refs, gc, fetch, a push of code.

python benchmarks/scale.py --runs 10000,100000,1000000

Each row is beside the same at the smallest number of runs: what grows with history shows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import synthetic
from measure import Claim, Cost, arguments, cost_of, ground, report

from gittrack.git import Repo

_REFSPEC = "+refs/runs/*:refs/runs/*"
_NEW = 10
_LOOSE = 300


class Told(NamedTuple):
    """What something cost, and whether that is in bytes rather than seconds."""

    cost: Cost
    unit: str = "ms"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", default="10000,100000", help="how many, with commas between")
    given = parser.parse_args(argv)
    counts = sorted(int(word) for word in given.runs.split(","))
    seen: dict[int, dict[str, Told]] = {}
    for count in counts:
        with ground() as place:
            print(f"{count:,} runs", file=sys.stderr)
            seen[count] = dict(_measured(place, count, given.rounds))
    claims = []
    for what in seen[counts[0]]:
        for count in counts:
            told, least = seen[count][what], seen[counts[0]][what]
            name = f"{what}, {count:,} runs"
            peer = f"{counts[0]:,} runs"
            row = Claim(name, peer, told.cost.cpu, least.cost.cpu or 1e-9, None, told.unit)
            claims.append(row)
    return report("At any number of runs", claims)


def _measured(place: Path, count: int, rounds: int) -> Iterator[tuple[str, Told]]:
    here = place / "here"
    repo = synthetic.repository(here, runs=count)
    ours, git = _program("git-track", here), _program("git", here)

    yield "index made", _once(ours("ls", "-n", "20"))
    listing = ours("ls", "-n", "20")
    yield "git track ls", _median(listing, rounds)
    sorted_ = ours("ls", "metrics.accuracy > 0.9", "--sort", "-metrics.accuracy", "-n", "50")
    yield "git track ls QUERY --sort", _median(sorted_, rounds)
    _add(here, repo, count, _NEW)
    yield f"git track ls, {_NEW} new runs", _once(listing)
    yield "git for-each-ref refs/runs", _median(git("for-each-ref", "refs/runs"), rounds)

    _add(here, repo, count + _NEW, _LOOSE)
    yield f"git pack-refs, {_LOOSE} loose", _once(git("pack-refs", "--all"))
    yield "git track ls after it", _once(listing)
    yield "git track gc", _once(ours("gc"))

    there = place / "there.git"
    git("clone", "-q", "--mirror", os.fspath(here), os.fspath(there))()
    git("remote", "add", "origin", os.fspath(there))()
    _add(there, Repo.open(there), count + _NEW + _LOOSE, _NEW)
    fetch = git("fetch", "-q", "origin", _REFSPEC)
    yield f"git fetch, {_NEW} new runs", _once(fetch)
    yield "git fetch, nothing new", _median(fetch, min(rounds, 3))
    yield "git fetch of the code alone", _median(git("fetch", "-q", "origin", "main"), rounds)
    one = "+refs/runs/default/*:refs/runs/default/*"
    yield "git fetch of one experiment of ten", _median(git("fetch", "-q", "origin", one), rounds)
    listed = subprocess.run(
        ["git", "ls-remote", "origin", "refs/runs/*"], cwd=here, check=True, capture_output=True
    )
    size = float(len(listed.stdout))
    yield "bytes of refs that each fetch reads", Told(Cost(size, size), "bytes")

    (here / "train.py").write_text("print('accuracy: 0.95')\n")
    git("commit", "-qam", "Train better")()
    push = git("push", "-q", "origin", "main")
    yield "git push of a commit of code", _once(push)

    graph = ("commit-graph", "write", "--reachable")
    yield "git commit-graph write", _once(git(*graph))
    _program("git", there)(*graph)()
    yield "git fetch after it, nothing new", _median(fetch, min(rounds, 3))
    yield "git fetch after it of the code", _median(git("fetch", "-q", "origin", "main"), rounds)
    git("commit", "-q", "--allow-empty", "-m", "Train on")()
    yield "git push after it", _once(push)
    shutil.rmtree(there)


def _add(place: Path, repo: Repo, first: int, count: int) -> None:
    found = synthetic.drawn(count, first=first, base=repo.head()[0])
    synthetic.add(place, found, count=count, loose=True)


def _program(name: str, place: Path) -> Callable[..., Callable[[], None]]:
    def words(*arguments: str) -> Callable[[], None]:
        def run() -> None:
            given = [name, *(("-c", "gc.auto=0") if name == "git" else ()), *arguments]
            subprocess.run(given, cwd=place, check=True, capture_output=True)

        return run

    return words


def _once(case: Callable[[], None]) -> Told:
    return Told(cost_of(case))


def _median(case: Callable[[], None], rounds: int) -> Told:
    found = sorted(cost_of(case) for _ in range(max(rounds, 1)))
    return Told(found[len(found) // 2])


if __name__ == "__main__":
    sys.exit(main())
