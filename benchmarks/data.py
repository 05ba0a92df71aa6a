"""What data costs: stored for the first time, looked at again, and how much memory it takes.

    python benchmarks/data.py

The peers are `dvc add`, `openssl md5` with one `cp` (and `sync`, because gittrack waits for the
disk), and `stat` of each file. Both sides get files that nobody has hashed before in every round.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from measure import Claim, Cost, arguments, ground, median_costs, process, report

from gittrack import hashing
from gittrack.hashing import Stats

_ADD = """
import resource, sys
from pathlib import Path
from gittrack.cache import Cache
from gittrack.stats import Stats
Cache(Path("cache"), stats=Stats(Path("md5.sqlite"))).add(Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_BYTES = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.set_defaults(rounds=3)
    parser.add_argument("--files", type=int, default=10_000, help="small files in a directory")
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the large file")
    parser.add_argument("--dvc", default=sys.executable, help="a Python that has dvc")
    given = parser.parse_args(argv)
    with ground() as place:
        os.environ["DVC_SITE_CACHE_DIR"] = os.fspath(place / "site")
        claims = [
            *_many(place, given.files, given.rounds, given.dvc),
            *_large(place, given.megabytes, given.rounds),
            *_unchanged(place, given.files, 3 * given.rounds),
        ]
    return report("Data", claims)


# -- many small files ---------------------------------------------------------------------------


def _many(place: Path, files: int, rounds: int, dvc: str) -> Iterator[Claim]:
    ours = [sys.executable, "-c", _ADD]
    cases = {
        "gittrack": _fresh(place / "ours", files, rounds, ours),
        "gittrack, one": _fresh(place / "our-one", 1, rounds, ours),
    }
    theirs = [dvc, "-m", "dvc"]
    done = subprocess.run([*theirs, "version"], capture_output=True)
    if done.returncode:
        print("no DVC: its rows are left out", file=sys.stderr)
        return
    cases["dvc"] = _fresh(place / "theirs", files, rounds, [*theirs, "add", "-q"], init=theirs)
    cases["dvc, one"] = _fresh(place / "their-one", 1, rounds, [*theirs, "add", "-q"], init=theirs)
    found = median_costs(cases, rounds=rounds)
    here, there = found["gittrack"], found["dvc"]
    what = f"{files:,} small files"
    yield Claim(f"{what} stored", "dvc add", here.cpu, there.cpu, 0.35)
    yield Claim(f"{what} stored, by the clock", "dvc add", here.clock, there.clock, None)
    less = (
        Cost(a.cpu - b.cpu, 0)
        for a, b in ((here, found["gittrack, one"]), (there, found["dvc, one"]))
    )
    yield Claim(
        f"{what} more than one",
        "dvc add, likewise",
        max(next(less).cpu, 0.001),
        max(next(less).cpu, 0.001),
        None,
    )


def _fresh(
    place: Path, files: int, rounds: int, words: Sequence[str], init: Sequence[str] | None = None
) -> Callable[[], None]:
    """A case that adds other files in each round, in a project of their own."""
    projects = []
    for number in range(rounds + 1):
        project = place / str(number)
        _fill(project / "data", files, seed=number)
        if init:
            subprocess.run([*init, "init", "-q", "--no-scm"], cwd=project, check=True)
        projects.append(project)
    number = count()
    return lambda: process([*words, "data"], projects[next(number)])()


def _fill(place: Path, files: int, *, seed: int) -> None:
    dice = random.Random(seed)
    for number in range(files):
        path = place / f"part{number // 100:03}" / f"{number:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(_BYTES))


# -- one large file -----------------------------------------------------------------------------


def _large(place: Path, megabytes: int, rounds: int) -> Iterator[Claim]:
    project = place / "large"
    project.mkdir()
    for name, size in (("large", megabytes), ("little", 1)):
        with (project / name).open("wb") as file:
            for _ in range(size):
                file.write(os.urandom(1_000_000))
    subprocess.run(["sync", project / "large"], check=True)

    def ours() -> None:
        shutil.rmtree(project / "cache", ignore_errors=True)
        (project / "md5.sqlite").unlink(missing_ok=True)
        process([sys.executable, "-c", _ADD, "large"], project)()

    def theirs() -> None:
        (project / "copy").unlink(missing_ok=True)
        for words in (["openssl", "md5", "large"], ["cp", "large", "copy"], ["sync", "copy"]):
            process(words, project)()

    found = median_costs({"ours": ours, "theirs": theirs}, rounds=rounds)
    here, there = found["ours"], found["theirs"]
    what, peer = f"a file of {megabytes:,} MB stored", "openssl md5, cp, sync"
    yield Claim(what, peer, here.cpu, there.cpu, 1.1)
    yield Claim(f"{what}, by the clock", peer, here.clock, there.clock, None)
    little, large = (_peak(project, name) for name in ("little", "large"))
    yield Claim("memory for it, at its peak", "for a file of 1 MB", large, little, 1.25, "kB")
    shutil.rmtree(project)


def _peak(project: Path, name: str) -> int:
    """The peak of a process that stores this file, in kilobytes."""
    shutil.rmtree(project / "cache", ignore_errors=True)
    (project / "md5.sqlite").unlink(missing_ok=True)
    return int(subprocess.check_output([sys.executable, "-c", _ADD, name], cwd=project))


# -- nothing new --------------------------------------------------------------------------------


def _unchanged(place: Path, files: int, rounds: int) -> Iterator[Claim]:
    data = place / "unchanged" / "data"
    _fill(data, files, seed=0)
    old = 1_600_000_000_000_000_001
    paths = [path for path in data.rglob("*") if path.is_file()]
    for path in paths:
        os.utime(path, ns=(old, old))
    stats = Stats(place / "unchanged.sqlite")
    hashing.of(data, stats=stats)
    stats.flush()

    def look() -> None:
        for directory, _, names in os.walk(data):
            for name in names:
                os.stat(f"{directory}/{name}")

    def alone() -> None:
        for path in paths:
            os.stat(path)

    found = median_costs(
        {
            "ours": lambda: hashing.of(data, stats=Stats(place / "unchanged.sqlite")),
            "walk": look,
            "stat": alone,
        },
        rounds=rounds,
    )
    what = f"{files:,} unchanged files hashed"
    yield Claim(what, "os.walk, and os.stat of each", found["ours"].cpu, found["walk"].cpu, 1)
    yield Claim(what, "os.stat of each, names known", found["ours"].cpu, found["stat"].cpu, None)


if __name__ == "__main__":
    raise SystemExit(main())
