"""How many bytes a run takes after `git gc`, beside the curves themselves.

python benchmarks/size.py
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import generate
from measure import Claim, arguments, ground, report, unpack

_LIMIT = 1536
_B = "bytes"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where the target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=100)
    given = parser.parse_args(argv)
    claims = []
    with ground() as place:
        for digits, limit in ((6, 1.0), (17, None)):
            found = _measure(place / str(digits), given.runs, given.points, digits)
            what = f"a run, metrics of {digits} digits"
            claims += [
                Claim(f"{what}: objects without curves", "1.5 KB", found.record, _LIMIT, limit, _B),
                Claim(f"{what}: all below .git", "its curves", found.whole, found.curves, None, _B),
            ]
    title = f"Size of {given.runs:,} runs, 10 params, 10 metrics of {given.points} points"
    return report(title, claims)


class _Size(NamedTuple):
    """Bytes of one run, on average: its record in the pack, its curves there, all that it takes."""

    record: float
    curves: float
    whole: float


def _measure(place: Path, runs: int, points: int, digits: int) -> _Size:
    generate.generate(place, runs=0)
    before = _collected(place)
    generate.generate(place, runs=runs, points=points, digits=digits)
    # Git tries no deltas between objects that came in one pack.
    unpack(place)
    whole = _collected(place) - before
    curves = _curves(place)
    return _Size((_objects(place) - curves) / runs, curves / runs, whole / runs)


def _collected(place: Path) -> int:
    """Bytes of all that is below `.git` after `git gc`."""
    subprocess.run(["git", "gc", "--quiet", "--prune=now"], cwd=place, check=True)
    return sum(path.lstat().st_size for path in (place / ".git").rglob("*") if path.is_file())


def _objects(place: Path) -> int:
    """Bytes of all packs, without the indexes that Git builds from them."""
    packs = (place / ".git" / "objects" / "pack").glob("*.pack")
    return sum(pack.stat().st_size for pack in packs)


def _curves(place: Path) -> int:
    """Bytes that all `metrics.tsv` take in the pack."""
    listed = _git(place, "rev-list", "--objects", "--all", "--no-object-names", "--filter=tree:0")
    asked = "\n".join(f"{commit}:.gittrack/metrics.tsv" for commit in listed.split())
    sizes = _git(
        place, "cat-file", "--batch-check=%(objecttype) %(objectsize:disk)", given=asked + "\n"
    )
    return sum(int(line.split()[1]) for line in sizes.split("\n") if line.startswith("blob "))


def _git(place: Path, *words: str, given: str | None = None) -> str:
    done = subprocess.run(
        ["git", *words], cwd=place, check=True, input=given, capture_output=True, text=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
