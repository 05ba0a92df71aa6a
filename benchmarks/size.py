"""How many bytes a run takes after `git gc`, beside the curves themselves.

python benchmarks/size.py
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import generate
from measure import Claim, arguments, ground, report

_LIMIT = 1500


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where the target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=100)
    given = parser.parse_args(argv)
    with ground() as place:
        generate.generate(place, runs=0)
        before = _collected(place)
        generate.generate(place, runs=given.runs, points=given.points)
        whole = (_collected(place) - before) / given.runs
        curves = _curves(place) / given.runs
    return report(
        f"Size of {given.runs:,} runs, 10 params, 10 metrics of {given.points} points",
        [
            Claim("a run without its curves", "", whole - curves, _LIMIT, 1, "bytes"),
            Claim("a run, whole", "its curves, packed", whole, curves, None, "bytes"),
        ],
    )


def _collected(place: Path) -> int:
    """Bytes of all that is below `.git` after `git gc`."""
    subprocess.run(["git", "gc", "--quiet", "--prune=now"], cwd=place, check=True)
    return sum(path.lstat().st_size for path in (place / ".git").rglob("*") if path.is_file())


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
