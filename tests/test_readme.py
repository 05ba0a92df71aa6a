"""The README's tour, typed as it stands: what we promise first must work first."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Git, Track

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
TOUR = re.search(r"^## Ten minutes.*?^## ", README, flags=re.DOTALL | re.MULTILINE)
TRAIN = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--n-estimators", type=int)
parser.add_argument("--max-features", type=float)
given = parser.parse_args()
print("accuracy:", 1 - 1 / (given.n_estimators + 10))
print("f1:", given.max_features)
"""


def _typed() -> list[str]:
    assert TOUR is not None
    return re.findall(r"^    \$ (.+)$", TOUR[0], flags=re.MULTILINE)


@pytest.fixture
def place(repo_dir: Path, git: Git) -> Path:
    (repo_dir / "train.py").write_text(TRAIN)
    git(repo_dir, "add", "--all")
    git(repo_dir, "commit", "--quiet", "--message", "Classify wines")
    return repo_dir


def test_every_command_of_the_tour_works(place: Path, track: Track) -> None:
    """In the order in which a reader types them, in one repository."""
    assert len(_typed()) >= 10
    for line in _typed():
        words = shlex.split(line)
        if words[:2] == ["git", "track"]:
            python = [sys.executable if word == "python" else word for word in words[2:]]
            track(place, *python, check=0)
        else:
            subprocess.run(["sh", "-c", line], cwd=place, check=True, env=dict(os.environ))
    listed = track(place, "ls", "--csv", check=0).stdout
    assert len(listed.splitlines()) == 4


def test_plain_git_answers_as_the_readme_says(place: Path, track: Track, git: Git) -> None:
    """The commands under 'What is stored' need nothing of ours."""
    words = [sys.executable, "train.py", "--n-estimators", "10", "--max-features", "1"]
    track(place, "run", "--", *words, check=0)
    (command,) = re.findall(r"^    git (for-each-ref .+)$", README, flags=re.MULTILINE)
    name, _, value = git(place, *shlex.split(command)).splitlines()[-1].partition(" ")
    assert re.fullmatch(r"default/[a-z]+-[a-z]+-[0-9a-z]{6}", name)
    assert value == "0.95"
