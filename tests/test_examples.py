"""The pipeline of examples/pipeline, run as its README says, with scikit-learn and stock DVC."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack import commits, data, refs, setup
from gittrack.git import Repo

EXAMPLE = Path(__file__).parents[1] / "examples" / "pipeline"
STEPS = ["load", "scaled", "train-scaled", "binned", "train-binned"]


def run_chain(place: Path) -> list[tuple[str, bool]]:
    """./run.sh -> the step of each line of result, and whether it was run."""
    done = subprocess.run(["./run.sh"], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stderr.splitlines() if not line.startswith(" ")]
    return [(name.rpartition("-")[0], status == "finished") for name, status, *_ in words]


def named(place: Path) -> dict[str, Any]:
    """The newest run of each step."""
    repo = Repo.open(place)
    found = sorted(
        (commits.load(repo, ref) for ref in refs.all_runs(repo)), key=lambda r: r.started
    )
    return {run.name.rpartition("-")[0]: run for run in found}


def predictions(place: Path, model: Path) -> str:
    words = [sys.executable, "predict.py", str(model), "data/raw.csv"]
    return subprocess.run(words, cwd=place, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    """The example in a repository with a DVC remote, its five steps run."""
    top = tmp_path_factory.mktemp("pipeline")
    place = top / "work"
    shutil.copytree(EXAMPLE, place)
    git(place, "init", "-q")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=place, check=True)
    subprocess.run(
        [sys.executable, "-m", "dvc", "remote", "add", "-q", "-d", "team", str(top / "remote")],
        cwd=place,
        check=True,
    )
    git(place, "add", ".")
    git(place, "commit", "-qm", "A pipeline")
    assert run_chain(place) == [(step, True) for step in STEPS]
    return place


def test_only_what_is_new_is_run(chain: Path, track: Track) -> None:
    """Nothing the second time; after an edit of one variant, that and the model built on it."""
    assert run_chain(chain) == [(step, False) for step in STEPS]
    variant = chain / "binned.py"
    before = variant.read_text()
    variant.write_text(before.replace("n_quantiles=5", "n_quantiles=9"))
    for name in ("data", "steps", "models"):
        shutil.rmtree(chain / name)
    edited = ["binned", "train-binned"]
    assert run_chain(chain) == [(step, step in edited) for step in STEPS]
    assert sorted(os.listdir(chain / "models")) == [
        "binned.joblib",
        "scaled.joblib",
    ]
    variant.write_text(before)
    assert run_chain(chain) == [(step, False) for step in STEPS]


def test_the_graph_is_known_though_nobody_typed_an_id(chain: Path, track: Track) -> None:
    """Load, process, train: found by the content that passed between them."""
    found = named(chain)
    names = {run.id: step for step, run in found.items()}
    edges = {(step, names[i.id]) for step, run in found.items() for i in run.inputs}
    assert edges == {
        ("scaled", "load"), ("train-scaled", "scaled"), ("binned", "load"),
        ("train-binned", "binned"),
    }  # fmt: skip
    drawn = track(chain, "lineage", found["train-scaled"].name, check=0).stdout
    for word in ("train-scaled", "scaled", "load", "data/raw.csv"):
        assert word in drawn
    down = track(chain, "lineage", "--down", "data/raw.csv", check=0).stdout
    for step in STEPS[1:]:
        assert step in down
    told = json.loads(track(chain, "lineage", found["train-scaled"].name, "--json", check=0).stdout)
    assert {"nodes", "edges"} <= told.keys()


def test_a_second_clone_gets_model_and_data_back(
    chain: Path, tmp_path: Path, track: Track, git: Git
) -> None:
    """Byte for byte, with gittrack and with stock DVC alone; the model predicts from raw rows."""
    repo = Repo.open(chain)
    found = named(chain)
    train, load = found["train-scaled"], found["load"]
    kept = {a.md5 for run in found.values() for a in run.artifacts}
    sent = data.send(repo, setup.read(repo), kept)
    assert sent.objects == len(kept)
    assert data.send(repo, setup.read(repo), kept).objects == 0
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(chain), str(clone))
    git(clone, "fetch", "-q", "origin", "refs/runs/*:refs/runs/*")
    model, raw = "models/scaled.joblib", "data/raw.csv"
    track(clone, "get", train.name, model, check=0)
    track(clone, "get", load.name, raw, check=0)
    for path in (model, raw):
        assert (clone / path).read_bytes() == (chain / path).read_bytes()
    said = predictions(clone, clone / model)
    assert said == predictions(chain, chain / model) and "of 569" in said

    stock = tmp_path / "stock.joblib"
    rev = f"refs/runs/{train.experiment}/{train.name}"
    env = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    words = ["get", str(clone), f".gittrack/artifacts/{model}", "--rev", rev, "-o", str(stock)]
    done = subprocess.run([sys.executable, "-m", "dvc", *words], env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert stock.read_bytes() == (chain / model).read_bytes()
