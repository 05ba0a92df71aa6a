"""What `git track ls` and `git track show latest` cost over many runs.

python benchmarks/read.py
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import generate
from measure import Claim, arguments, ground, median_costs, process, report, unpack

_PEER = "import click, pygit2"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    given = parser.parse_args(argv)
    with ground() as place:
        loose, packed = place / "loose", place / "packed"
        for repository in (loose, packed):
            generate.generate(repository, runs=given.runs)
        unpack(loose)
        subprocess.run(["git", "gc", "--quiet"], cwd=packed, check=True)
        cases = {
            "peer": process([sys.executable, "-c", _PEER], place),
            "ls": process(["git-track", "ls"], packed),
            "ls as recorded": process(["git-track", "ls"], loose),
            "ls -n 20": process(["git-track", "ls", "-n", "20"], packed),
            "ls --json": process(["git-track", "ls", "--json"], packed),
            "show latest": process(["git-track", "show", "latest"], packed),
        }
        cost = {name: found.cpu for name, found in median_costs(cases, rounds=given.rounds).items()}
    limits = {"ls": 3, "ls as recorded": 3, "show latest": 3}
    claims = [
        Claim(f"git track {name}", f"python -c '{_PEER}'", cost[name], cost["peer"], limit)
        for name, limit in {name: limits.get(name) for name in cases if name != "peer"}.items()
    ]
    return report(f"Reading {given.runs:,} runs", claims)


if __name__ == "__main__":
    sys.exit(main())
