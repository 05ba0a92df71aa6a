"""A prototype of packed runs on a remote: an archive that keeps runs reachable without their refs.

python benchmarks/compaction.py --runs 100000

A segment is a commit: its tree holds the summaries of a thousand runs as JSON lines, its parents
are the segment before and the commits of these runs. One ref leads to the last of them. Measured:
what a fetch and a push of code cost beside a remote that has a ref for each run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import generate
import synthetic
from measure import Claim, Cost, arguments, cost_of, ground, report

from gittrack import refs
from gittrack.git import Repo
from gittrack.refs import RunRef

_RUNS = "refs/runs/"
_ARCHIVE = "refs/gittrack/packed/ada"
_SEGMENT = 1000
_NEW = 10
_BLOB, _TREE = 0o100644, 0o040000


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    given = parser.parse_args(argv)
    with ground() as place:
        here = place / "here"
        synthetic.repository(here, runs=given.runs)
        loose, packed = _remote(place, here, "loose.git"), _remote(place, here, "packed.git")
        made = cost_of(lambda: compact(packed))
        grown = _size(packed) - _size(loose)
        claims = [
            *_beside(place, here, loose, packed, given.rounds),
            Claim("runs made an archive", "1 ms a run", made.cpu, given.runs / 1000, None),
            Claim("the archive's objects", "the runs' own", grown, _size(loose), None, "bytes"),
        ]
    return report(f"{given.runs:,} runs as an archive", claims)


def compact(place: Path) -> str:
    """Put every run of a repository into an archive, and take their refs away -> its commit."""
    repo = Repo.open(place)
    repo.sync(False)
    waiting = iter(refs.all_runs(repo))
    last: str | None = None
    with repo.packed():
        while part := list(islice(waiting, _SEGMENT)):
            last = _segment(repo, part, last)
    assert last is not None
    repo.set_ref(_ARCHIVE, last)
    # What a host does when a push deletes them.
    path = place / "packed-refs"
    lines = path.read_text().split("\n")
    path.write_text("\n".join(line for line in lines if f" {_RUNS}" not in line))
    return last


def _segment(repo: Repo, runs: Sequence[RunRef], before: str | None) -> str:
    data = b"".join(_line(repo, run) for run in runs)
    name = f"{runs[0].experiment}-{runs[0].name}.jsonl"
    tree = repo.write_tree({name: (repo.write_blob(data), _BLOB)})
    return repo.write_commit(
        tree=tree,
        parents=[*filter(None, [before]), *dict.fromkeys(run.commit for run in runs)],
        message=f"{len(runs)} runs\n",
        author=generate.AUTHOR,
        started=generate.START.timestamp(),
        ended=generate.START.timestamp(),
    )


def _line(repo: Repo, run: RunRef) -> bytes:
    """A run's summary as its commit's message has it, with its place and its commit."""
    text = repo.read_commit(run.commit).message.rpartition("Gittrack-Summary: ")[2]
    place = {"commit": run.commit, "experiment": run.experiment, "name": run.name}
    return json.dumps({**place, **json.loads(text)}, separators=(",", ":")).encode() + b"\n"


# -- measured -------------------------------------------------------------------------------------


def _remote(place: Path, here: Path, name: str) -> Path:
    subprocess.run(["git", "clone", "-q", "--mirror", here, name], cwd=place, check=True)
    return place / name


def _beside(place: Path, here: Path, loose: Path, packed: Path, rounds: int) -> Iterable[Claim]:
    _git(here, "remote", "add", "loose", os.fspath(loose))
    _git(here, "remote", "add", "packed", os.fspath(packed))
    # As `git gc` leaves them.
    for there in (here, loose, packed):
        _git(there, "commit-graph", "write", "--reachable")
    seen: dict[str, list[Cost]] = {}
    for name, spec in (
        ("loose", "+refs/runs/*:refs/runs/*"),
        ("packed", f"+{_ARCHIVE}:{_ARCHIVE}"),
    ):
        _git(here, "fetch", "-q", name, spec)
        fetches = sorted(
            cost_of(lambda n=name, s=spec: _git(here, "fetch", "-q", n, s))  # type: ignore[misc]
            for _ in range(min(max(rounds, 1), 5))
        )
        listed = _git(here, "ls-remote", name, spec.split(":")[0].removeprefix("+"))
        advertised = _git(loose if name == "loose" else packed, "for-each-ref")
        _git(here, "commit", "-q", "--allow-empty", "-m", f"Code for {name}")
        push = cost_of(lambda n=name: _git(here, "push", "-q", n, "main"))  # type: ignore[misc]
        whole = place / f"whole-{name}"
        clone = cost_of(lambda n=name, w=whole: _git(place, "clone", "-q", f"{n}.git", w))  # type: ignore[misc]
        shutil.rmtree(whole)
        seen[name] = [
            fetches[len(fetches) // 2],
            Cost(len(listed), len(listed)),
            push,
            Cost(len(advertised), len(advertised)),
            clone,
        ]
    whats = (
        ("a fetch of nothing new", "ms"),
        ("what it lists", "bytes"),
        ("a push of code", "ms"),
        ("what it is told", "bytes"),
        ("a clone of the code", "ms"),
    )
    for place_, (what, unit) in enumerate(whats):
        one, other = seen["packed"][place_].cpu, seen["loose"][place_].cpu
        yield Claim(what, "a ref for each run", one, other, None, unit)


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in (place / "objects").rglob("*.pack"))


def _git(place: Path, *words: str | os.PathLike[str]) -> bytes:
    done = subprocess.run(
        ["git", "-c", "gc.auto=0", *words], cwd=place, check=True, capture_output=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
