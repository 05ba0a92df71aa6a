"""The story of examples/registry, run as its README says, with scikit-learn, GTO and stock DVC."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gto.api import show

from conftest import Git, Track

EXAMPLE = Path(__file__).parents[1] / "examples" / "registry"


def ran(place: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    """The example in a repository with a data remote, its story told."""
    top = tmp_path_factory.mktemp("registry")
    place = top / "work"
    shutil.copytree(EXAMPLE, place)
    git(place, "init", "-q", "-b", "main")
    ran(place, sys.executable, "-m", "dvc", "init", "-q")
    remote = ("remote", "add", "-q", "-d", "team", str(top / "remote"))
    ran(place, sys.executable, "-m", "dvc", *remote)
    git(place, "add", ".")
    git(place, "commit", "-qm", "Wine")
    ran(place, "./run.sh")
    return place


def test_the_gate_holds_and_the_way_back_is_short(work: Path, track: Track, git: Git) -> None:
    """The good version is in production again, and why stands in the history."""
    told = track(work, "model", "history", "wine", check=0).stdout
    for words in ("Passed the audit.", "It has to be fast.", "Growers complained."):
        assert words in told
    assert "Require: accuracy >= 0.95 (" in git(work, "tag", "-n9", "--list", "wine#production#*")
    holder = track(work, "model", "path", "wine@production", check=0).stdout
    assert holder == track(work, "model", "path", "wine@v1.0.0", check=0).stdout


def test_a_plain_clone_tells_the_same_and_predicts(
    work: Path, tmp_path: Path, track: Track, git: Git
) -> None:
    """No ref of a run is there, only tags: Git, GTO and gittrack agree, and the file is right."""
    track(work, "send", "wine@v1.0.0", check=0)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(work), str(clone))
    assert git(clone, "for-each-ref", "refs/runs") == ""
    assert show(str(clone))["wine"]["stage"] == {"production": "v1.0.0"}
    assert git(clone, "tag", "-n") == git(work, "tag", "-n")
    for words in (("ls", "--json"), ("history", "--json")):
        here, there = (track(at, "model", *words, check=0).stdout for at in (work, clone))
        assert here == there
    said = ran(clone, sys.executable, "predict.py")
    assert said == ran(work, sys.executable, "predict.py")
    assert said.startswith("wine@v1.0.0: [0, 0, 0, 0, 0]")
