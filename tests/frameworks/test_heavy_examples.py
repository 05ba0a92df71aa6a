"""The examples of the heavy frameworks, run as their READMEs say."""

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

EXAMPLES = Path(__file__).parents[2] / "examples"
LEARNED = {
    "accelerate": ("accuracy", 0.8),
    "keras": ("val_accuracy", 0.8),
    "lightning": ("val_accuracy", 0.8),
    "transformers": ("train/epoch", 3),
}


@pytest.mark.parametrize("framework", LEARNED)
def test_what_the_readme_says_works(framework: str, tmp_path: Path, git: Git, track: Track) -> None:
    """Typed as it stands; the model learned, and is kept."""
    place = tmp_path / framework
    shutil.copytree(EXAMPLES / framework, place)
    git(place, "init", "-q")
    typed = re.findall(r"^    (.+)$", (place / "README.md").read_text(), re.MULTILINE)
    assert typed[0] == "pip install -r requirements.txt"
    for line in typed[1:]:
        words = shlex.split(line)
        if words[:2] == ["git", "track"]:
            assert track(place, *words[2:], check=0).stdout
        else:
            done = subprocess.run(
                [sys.executable, *words[1:]], cwd=place, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
    repo = Repo.open(place)
    (run,) = [commits.load(repo, ref) for ref in refs.all_runs(repo)]
    metric, least = LEARNED[framework]
    assert run.faults == () and run.status == "finished" and run.metrics[metric] >= least
    assert run.name.startswith("hidden-16") and bool(run.artifacts) == (framework != "accelerate")
