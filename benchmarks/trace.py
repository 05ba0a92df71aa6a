"""What `git track run --trace` costs a Python program: the same program with and without it.

The hook alone is measured; what happens before and after the command is not here. All files are
small and in the page cache, where opening one is cheapest and the hook's share the greatest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import Claim, arguments, ground, median_costs, report

from gittrack import trace

_PARSED = """\
import csv, os
rows = 0
for entry in sorted(os.listdir("data")):
    with open("data/" + entry, newline="") as file:
        rows += sum(1 for row in csv.DictReader(file))
"""
_READ = """\
import os
for entry in sorted(os.listdir("data")):
    with open("data/" + entry) as file:
        file.read()
"""
_AGAIN = """\
for _ in range({files}):
    with open("data/00000.csv") as file:
        file.read()
"""
_WRITTEN = """\
import os
os.makedirs("out", exist_ok=True)
for number in range({files}):
    with open(f"out/{{number}}.txt", "w") as file:
        file.write("x")
"""
_LINES = """\
with open("data/00000.csv") as file:
    for _ in range(30 * {files}):
        file.seek(0)
        file.readline()
"""
PROGRAMS = {
    "{files:,} CSV files of {rows} rows, opened and parsed": (_PARSED, 1.03),
    "{files:,} files, opened and read": (_READ, None),
    "one file, opened and read {files:,} times": (_AGAIN, None),
    "{files:,} files, written": (_WRITTEN, None),
    "one open file, read often": (_LINES, 1.03),
    "an empty program": ("pass", None),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=20, help="of each CSV file")
    given = parser.parse_args(argv)
    with ground() as place:
        _write(place / "data", given.files, given.rows)
        cases: dict[str, Callable[[], None]] = {}
        for number, (name, (program, _)) in enumerate(PROGRAMS.items()):
            script = place / f"program{number}.py"
            script.write_text(program.format(files=given.files) if "{" in program else program)
            cases[name] = _case(script, place, traced=False)
            cases[name + " traced"] = _case(script, place, traced=True)
        cost = {name: found.cpu for name, found in median_costs(cases, rounds=given.rounds).items()}
    claims = [
        Claim(
            name.format(files=given.files, rows=given.rows),
            "without --trace",
            cost[name + " traced"],
            cost[name],
            limit,
        )
        for name, (_, limit) in PROGRAMS.items()
    ]
    return report("Tracing", claims)


def _write(place: Path, files: int, rows: int) -> None:
    place.mkdir()
    lines = [f"{n},{n * 0.37:.3f},{n % 3},name{n}\n" for n in range(rows)]
    for number in range(files):
        text = "".join(["id,value,class,name\n", *lines])
        (place / f"{number:05}.csv").write_text(text)


def _case(script: Path, place: Path, *, traced: bool) -> Callable[[], None]:
    """The program in a process of its own; traced, it notes into a new directory each time."""

    def run() -> None:
        env = dict(os.environ)
        if traced:
            notes = place / f"run-{os.urandom(4).hex()}"
            notes.mkdir()
            env |= trace.environment(env, notes, [place])
        subprocess.run([sys.executable, script], cwd=place, env=env, check=True)

    return run


if __name__ == "__main__":
    sys.exit(main())
