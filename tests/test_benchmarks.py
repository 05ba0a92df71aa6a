"""The benchmarks run: what nobody starts for months must still start then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
_NO_PEERS = ["--dvc", "false", "--mlflow", "false"]
SMALL = {
    "compaction": ["--rounds", "1", "--runs", "30"],
    "closing": ["--rounds", "1", "--points", "2000", "--runs", "3", "--each", "500"],
    "lifetime": ["--rounds", "1", "--files", "20"],
    "startup": ["--rounds", "1"],
    "read": ["--rounds", "1", "--runs", "3"],
    "registry": ["--rounds", "1", "--runs", "60", "--tags", "40", "--gto", "false"],
    "run_overhead": ["--rounds", "1", "--files", "20", "--runs", "3", *_NO_PEERS],
    "scale": ["--rounds", "1", "--runs", "10,20"],
    "search": [
        *("--rounds", "1", "--runs", "200", "--more", "201", "--many", "202", "--experiments", "2"),
        *_NO_PEERS,
    ],
    "snapshot": ["--rounds", "1", "--files", "20", "--changed", "2"],
    "size": ["--runs", "3", "--points", "3"],
    "data": ["--rounds", "1", "--files", "20", "--megabytes", "1", "--dvc", "false"],
    "points": ["--rounds", "1", "--points", "1000", "--long", "2000", "--peers", "false"],
    "trace": ["--rounds", "1", "--files", "20"],
    "write": ["--rounds", "1", "--bulk", "3"],
}


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_prints_its_table(name: str) -> None:
    """Exit code 1 says that a target was missed, which so small a case may."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", *SMALL[name]], capture_output=True, text=True
    )
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    header, *rows = done.stdout.strip().split("\n")[1:]
    assert header.split()[:2] == ["cost", "peer"]
    assert rows and all(row.count(".") >= 1 for row in rows)


def test_every_benchmark_is_run_here() -> None:
    """Those that others import have no table of their own."""
    files = {path.stem for path in BENCHMARKS.glob("*.py")}
    assert files - {"generate", "measure", "peers", "synthetic"} == SMALL.keys()


@pytest.mark.parametrize("loose", [False, True])
def test_synthetic_runs_are_runs(tmp_path: Path, loose: bool) -> None:
    """What is measured on them would else be measured on something that nobody has."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import synthetic; from pathlib import Path\n"
        "place = Path(sys.argv[2]); repo = synthetic.repository(place, runs=5)\n"
        "more = synthetic.drawn(5, first=5, base=repo.head()[0])\n"
        f"synthetic.add(place, more, count=5, loose={loose})\n"
        "from gittrack import commits, refs\n"
        "found = commits.listing(repo, refs.all_runs(repo))\n"
        "assert not found.problems, found.problems\n"
        "runs = {run.started: run for run in found.runs}\n"
        "assert len(runs) == 10 and all(len(run.params) == 10 for run in found.runs)\n"
        "repo.git('fsck', '--strict', '--connectivity-only')\n"
    )
    words = [sys.executable, "-c", program, BENCHMARKS, tmp_path / "made"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
