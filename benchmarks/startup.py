"""What it costs to start: `git track -h` beside `import click`, `import gittrack` beside nothing.

python benchmarks/startup.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from measure import Claim, arguments, ground, median_costs, process, report

_IMPORTS = {"pass": "pass", "click": "import click", "gittrack": "import gittrack"}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    given = arguments(__doc__).parse_args(argv)
    with ground() as place:
        cases = {
            name: process([sys.executable, "-c", code], place) for name, code in _IMPORTS.items()
        }
        cases["help"] = process(["git-track", "-h"], place)
        cases["verb help"] = process(["git-track", "run", "-h"], place)
        cost = {name: found.cpu for name, found in median_costs(cases, rounds=given.rounds).items()}
    peer = "python -c 'import click'"
    return report(
        "Start-up",
        [
            Claim("git track -h", peer, cost["help"], cost["click"], 1.5),
            Claim("git track run -h", peer, cost["verb help"], cost["click"], None),
            Claim("import gittrack", "python -c pass", cost["gittrack"], cost["pass"], None),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
