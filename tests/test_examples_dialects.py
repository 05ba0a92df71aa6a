"""The examples of both dialects, run as their READMEs say."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Git, Track
from gittrack import commits, refs
from gittrack.git import Repo

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(params=["mlflow_style", "wandb_style"])
def place(request: pytest.FixtureRequest, tmp_path: Path, git: Git) -> Path:
    """An example in a repository of its own."""
    pytest.importorskip("sklearn")
    place = tmp_path / request.param
    shutil.copytree(EXAMPLES / request.param, place)
    git(place, "init", "-q")
    git(place, "add", ".")
    git(place, "commit", "-qm", "An example")
    return place


def test_what_the_readme_says_works(place: Path, track: Track) -> None:
    """Typed as it stands; what it promises is there."""
    typed = re.findall(r"^    (.+)$", (place / "README.md").read_text(), re.MULTILINE)
    for line in typed:
        words = shlex.split(line)
        if words[0] == "pip":
            continue
        if words[:2] == ["git", "track"]:
            track(place, *words[2:], check=0)
        else:
            done = subprocess.run(
                [sys.executable, *words[1:]], cwd=place, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
    repo = Repo.open(place)
    runs = {run.name.rpartition("-")[0]: run for run in (
        commits.load(repo, ref) for ref in refs.all_runs(repo)
    )}  # fmt: skip
    assert all(run.faults == () and run.status == "finished" for run in runs.values())
    if place.name == "wandb_style":
        assert [run.params["hidden"] for run in sorted(runs.values(), key=lambda r: r.started)] == [
            16, 64,
        ]  # fmt: skip
        assert all(run.metrics["best_accuracy"] > 0.8 for run in runs.values())
        return
    whole = runs.pop("comparison")
    assert whole.experiment == "digits-mlflow-style" and len(runs) == 3
    assert {run.parent for run in runs.values()} == {whole.id}
    best = max(run.metrics["accuracy"] for run in runs.values())
    assert whole.metrics["accuracy"] == best > 0.8
    for run in runs.values():
        assert [item.path for item in run.artifacts] == ["confusion.json", "first.png"]
