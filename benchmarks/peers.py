"""The stores of other trackers, filled fast: what their own interfaces would take hours for.

Knows the tables of MLflow's SQLite store, and how DVC keeps experiments as refs.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import generate
import synthetic

from gittrack.git import Repo
from gittrack.git.values import Ref

__all__ = ["MLFLOW", "dvc_experiments", "mlflow_store"]

_BEGIN = """
import logging
logging.disable(logging.INFO)
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("one")
with mlflow.start_run():
    mlflow.log_metric("accuracy", 0.5)
    mlflow.log_param("lr", 0.1)
"""
_FILL = """
import json, sqlite3, sys
database = sqlite3.connect("mlflow.db")
for line in sys.stdin:
    run = json.loads(line)
    id, began, ended = run["id"], run["started"] * 1000, run["ended"] * 1000
    database.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id,"
        " status, start_time, end_time, source_version, lifecycle_stage, artifact_uri,"
        " experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', 'ada', 'FINISHED', ?, ?, '', 'active',"
        " 'mlruns', 1)",
        [id, run["name"], began, ended],
    )
    for key, value in run["params"].items():
        database.execute("INSERT INTO params VALUES (?, ?, ?)", [key, str(value), id])
    for key, value in run["metrics"].items():
        database.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, 0, 0)", [key, value, ended, id])
        database.execute(
            "INSERT INTO latest_metrics VALUES (?, ?, ?, 0, 0, ?)", [key, value, ended, id]
        )
    for key, value in (("mlflow.runName", run["name"]), ("mlflow.user", "ada")):
        database.execute("INSERT INTO tags VALUES (?, ?, ?)", [key, value, id])
database.commit()
"""
MLFLOW = """
import logging
logging.disable(logging.INFO)
import mlflow, time
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.get_experiment_by_name("one")
began = time.process_time()
found = mlflow.search_runs(
    experiment_names=["one"],
    filter_string="metrics.accuracy > 0.9 and params.lr = '0.01'",
    order_by=["metrics.accuracy DESC"],
    max_results=50,
)
spent = time.process_time() - began
assert len(found), found
print(spent)
"""
"""Asks what the benchmark asks, and prints the CPU seconds that it took, imports left out."""


def mlflow_store(python: str, place: Path, *, runs: int) -> None:
    """Make an SQLite store with so many runs in `place`."""
    place.mkdir()
    subprocess.run([python, "-c", _BEGIN], cwd=place, check=True, capture_output=True)
    lines = "\n".join(json.dumps(run) for run in _told(runs))
    words = [python, "-c", _FILL]
    subprocess.run(words, cwd=place, check=True, input=lines, capture_output=True, text=True)


def _told(runs: int) -> Iterator[dict[str, object]]:
    """The runs of `synthetic`, as mappings."""
    for one in synthetic.drawn(runs):
        summary = json.loads(one.message.rpartition("Gittrack-Summary: ")[2])
        yield {
            "id": summary["id"],
            "name": one.name,
            "started": one.started,
            "ended": one.ended,
            "params": summary["params"],
            "metrics": summary["metrics"],
        }


def dvc_experiments(python: str, place: Path, *, count: int) -> None:
    """Make a DVC project with so many experiments on one commit: a commit and a ref for each."""
    generate.generate(place, runs=0)
    (place / "params.yaml").write_text("lr: 0.1\n")
    (place / "metrics.json").write_text("{}\n")
    (place / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: python train.py\n    deps: [train.py]\n"
        "    params: [lr]\n    metrics:\n    - metrics.json:\n        cache: false\n"
    )
    for words in (
        [python, "-m", "dvc", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "Set DVC up"],
    ):
        subprocess.run(words, cwd=place, check=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})
    repo = Repo.open(place)
    repo.sync(False)
    base, _ = repo.head()
    assert base is not None
    tree = repo.read_commit(base).tree
    found = []
    with repo.packed():
        for number, one in enumerate(_told(count)):
            files = {
                "params.yaml": json.dumps(one["params"]) + "\n",
                "metrics.json": json.dumps(one["metrics"]) + "\n",
            }
            entries = {
                name: (repo.write_blob(text.encode()), 0o100644) for name, text in files.items()
            }
            commit = repo.write_commit(
                tree=repo.write_tree(entries, base=tree),
                parents=[base],
                message=f"dvc: commit experiment {number}\n",
                author=generate.AUTHOR,
                started=generate.START.timestamp(),
                ended=generate.START.timestamp(),
            )
            found.append(Ref(f"refs/exps/{base[:2]}/{base[2:]}/{one['name']}", commit))
    repo.create_refs(found)
