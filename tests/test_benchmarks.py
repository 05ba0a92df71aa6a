"""The benchmarks run: what nobody starts for months must still start then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
_NO_PEERS = ["--dvc", "false", "--mlflow", "false"]
SMALL = {
    "closing": ["--rounds", "1", "--points", "2000", "--runs", "3", "--each", "500"],
    "lifetime": ["--rounds", "1", "--files", "20"],
    "startup": ["--rounds", "1"],
    "read": ["--rounds", "1", "--runs", "3"],
    "run_overhead": ["--rounds", "1", "--files", "20", "--runs", "3", *_NO_PEERS],
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
    assert files - {"generate", "measure"} == SMALL.keys()
