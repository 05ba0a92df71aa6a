"""What it costs to store the code as it stands, beside `git stash create`.

python benchmarks/snapshot.py
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import Claim, arguments, ground, median_costs, process, report, work_tree

from gittrack import snapshot
from gittrack.git import Repo


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--changed", type=int, default=100)
    given = parser.parse_args(argv)
    with ground() as place:
        tree = work_tree(place / "tree", given.files, dirty=given.changed)
        for number in range(10):
            (tree / f"new{number}.py").write_text(f"new = {number}\n")
        process(["git", "status"], tree)()
        cases = {"peer": process(["git", "stash", "create"], tree)}
        for mode in ("all", "tracked"):
            cases[mode] = lambda mode=mode: _take(tree, mode)  # type: ignore[misc]
        cost = median_costs(cases, rounds=given.rounds)
    what = f"snapshot, {given.files:,} files, {given.changed} changed"
    both = [
        (f"{what}, 10 untracked", cost["all"], 1.3),
        (f"{what}, tracked only", cost["tracked"], 1.3),
    ]
    claims = [
        Claim(words, "git stash create", found.cpu, cost["peer"].cpu, limit)
        for words, found, limit in both
    ]
    claims += [
        Claim(f"{words}, by the clock", "git stash create", found.clock, cost["peer"].clock, None)
        for words, found, _ in both
    ]
    return report("Storing the code", claims)


def _take(tree: Path, mode: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        snapshot.take(Repo.open(tree), mode=mode, scratch=Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
