"""What `git track run -- true` costs, beside what others take to record the same.

    python benchmarks/run_overhead.py --dvc PYTHON --mlflow PYTHON

`--dvc` and `--mlflow` name a Python that has dvc, or mlflow with sqlalchemy; by default this one.
A peer that is not there is left out, and the table says so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import generate
from measure import Claim, arguments, ground, median_costs, process, report, work_tree

_IMPORTS = "import click, pygit2, yaml"
_MLFLOW = """\
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
with mlflow.start_run():
    mlflow.log_param("lr", 0.1)
    mlflow.log_metric("accuracy", 0.9)
"""
_TRACK = ["git-track", "run", "--", "true"]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=10_000, help="how many runs are there before")
    parser.add_argument("--dvc", metavar="PYTHON", default=sys.executable)
    parser.add_argument("--mlflow", metavar="PYTHON", default=sys.executable)
    given = parser.parse_args(argv)
    with ground() as place:
        clean = work_tree(place / "clean", given.files)
        dirty = work_tree(place / "dirty", given.files, dirty=10)
        full = work_tree(place / "full", given.files)
        generate.generate(full, runs=given.runs)
        cases = {
            "imports": process([sys.executable, "-c", _IMPORTS], place),
            "clean": process(_TRACK, clean),
            "dirty": process(_TRACK, dirty),
            "full": process(_TRACK, full),
        }
        if _has(given.dvc, "dvc"):
            tracked = work_tree(place / "dvc", given.files)
            _prepare_dvc(given.dvc, tracked)
            cases["dvc"] = process([given.dvc, "-m", "dvc", "exp", "save"], tracked)
        if _has(given.mlflow, "mlflow", "sqlalchemy"):
            (place / "mlflow").mkdir()
            cases["mlflow"] = process([given.mlflow, "-c", _MLFLOW], place / "mlflow")
        cost = {name: found.cpu for name, found in median_costs(cases, rounds=given.rounds).items()}
    what = f"git track run -- true, {given.files:,} files"
    imports = f"python -c '{_IMPORTS}'"
    claims = [
        Claim(what, imports, cost["clean"], cost["imports"], 1.7),
        Claim(f"{what}, 10 of them changed", imports, cost["dirty"], cost["imports"], None),
        Claim(f"{what}, after {given.runs:,} runs", imports, cost["full"], cost["imports"], 1.7),
        Claim(f"after {given.runs:,} runs", "after none", cost["full"], cost["clean"], 1.1),
    ]
    for name, words in {"dvc": "dvc exp save", "mlflow": "mlflow, one run to SQLite"}.items():
        if name in cost:
            claims.append(Claim(what, words, cost["clean"], cost[name], 1 / 5))
        else:
            print(f"{words}: not measured, {name} is not installed", file=sys.stderr)
    return report("Recording a run", claims)


def _has(python: str, *modules: str) -> bool:
    code = f"import importlib.util as u; assert all(map(u.find_spec, {modules!r}))"
    return subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def _prepare_dvc(python: str, place: Path) -> None:
    for words in (
        [python, "-m", "dvc", "init", "--quiet"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "Set up DVC"],
    ):
        subprocess.run(words, cwd=place, check=True)


if __name__ == "__main__":
    sys.exit(main())
