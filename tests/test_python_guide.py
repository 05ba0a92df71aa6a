"""docs/python.md: its code runs, and what it names is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gittrack
from gittrack import commits, refs
from gittrack.git import Repo

GUIDE = (Path(__file__).parents[1] / "docs" / "python.md").read_text("utf-8")
BLOCKS = re.findall(r"^## (.+?)$|^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
VERBS = [name for name in gittrack.__all__ if name.islower() and not name.startswith("_")]


def _blocks() -> list[tuple[str, str]]:
    found, title = [], ""
    for heading, code in BLOCKS:
        title = heading or title
        if code:
            found.append((title, code))
    return found


@pytest.mark.parametrize(("title", "code"), _blocks(), ids=[title for title, _ in _blocks()])
def test_its_code_runs_and_records(title: str, code: str, repo_dir: Path) -> None:
    """As a script of its own, without a word on stderr but the lines of its runs."""
    (repo_dir / "script.py").write_text(code)
    words = [sys.executable, "-W", "error", "script.py"]
    done = subprocess.run(words, cwd=repo_dir, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    repo = Repo.open(repo_dir)
    runs = [commits.load(repo, ref) for ref in refs.all_runs(repo)]
    assert runs and all(run.faults == () and run.status == "finished" for run in runs)
    assert done.stderr.count("\n") == len(runs)


def test_there_are_blocks_of_every_kind() -> None:
    """A regular expression that finds nothing makes the test above pass."""
    assert len(_blocks()) >= 6
    assert {"In MLflow's words", "In W&B's words"} <= {title for title, _ in _blocks()}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_mentioned(verb: str) -> None:
    """What a guide does not name is found by nobody."""
    assert re.search(rf"\b{verb}\b", GUIDE)
