"""The examples of frameworks, run as their READMEs say."""

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


@pytest.mark.parametrize(
    "name, runs, metric, artifacts",
    [
        ("sklearn", 1, "test_accuracy", ["cv_results.csv", "model.joblib"]),
        ("xgboost", 1, "accuracy", ["feature_importance.json", "model.json"]),
        ("lightgbm", 1, "best_score", ["feature_importance.json", "model.txt"]),
        ("optuna", 9, "best_value", []),
    ],
)
def test_what_the_readme_says_works(
    name: str, runs: int, metric: str, artifacts: list[str], tmp_path: Path, git: Git, track: Track
) -> None:
    """Typed as it stands; what it promises is there."""
    pytest.importorskip(name)
    place = tmp_path / name
    shutil.copytree(EXAMPLES / name, place)
    git(place, "init", "-q")
    git(place, "add", ".")
    git(place, "commit", "-qm", "An example")
    typed = re.findall(r"^    (.+)$", (place / "README.md").read_text(), re.MULTILINE)
    assert typed.pop(0) == "pip install -r requirements.txt"
    for words in map(shlex.split, typed):
        if words[:2] == ["git", "track"]:
            track(place, *words[2:], check=0)
        else:
            done = subprocess.run(
                [sys.executable, *words[1:]], cwd=place, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
    repo = Repo.open(place)
    found = [commits.load(repo, ref) for ref in refs.all_runs(repo)]
    assert len(found) == runs
    assert all((run.status, run.faults) == ("finished", ()) for run in found)
    whole = [run for run in found if metric in run.metrics]
    assert len(whole) == (1 if name == "optuna" else runs)
    for run in whole:
        assert [item.path for item in run.artifacts] == artifacts
