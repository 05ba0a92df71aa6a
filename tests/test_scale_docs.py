"""docs/scale.md, 'Other engines': every command run, in the order of the document."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Git, Track
from recorded_runs import various

TEXT = (Path(__file__).parents[1] / "docs" / "scale.md").read_text("utf-8")
SECTION = re.search(r"^## Other engines\n.*?(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
assert SECTION is not None
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```(\w+)\n(.*?)^```$", SECTION[0], re.DOTALL | re.MULTILINE
)
SCRIPTS = [text for kind, text in BLOCKS if kind == "python"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, git: Git, track: Track) -> Path:
    """A repository in which the export commands were typed."""
    root = tmp_path_factory.mktemp("scale") / "repo"
    root.mkdir()
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    various(root)
    (commands,) = (text for kind, text in BLOCKS if kind == "sh")
    for line in commands.splitlines():
        words = shlex.split(line)
        assert words[:3] == ["git", "track", "export"]
        track(root, *words[2:], check=0)
    return root


def test_every_export_is_there(place: Path) -> None:
    """What the rest of the section reads."""
    made = {"export", "runs.db", "good.csv", "runs.jsonl"}
    assert made <= set(os.listdir(place))
    file = sqlite3.connect(place / "runs.db")
    assert file.execute("select count(*) from metrics").fetchone()[0] > 0
    file.close()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_runs_and_finds_something(place: Path, script: str) -> None:
    """As it stands in the document; its output names what our runs have."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=place, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"otter|default|adam", done.stdout), done.stdout


def test_the_file_of_sqlite_is_read_by_what_every_python_has() -> None:
    """Nothing to install, nothing from the net."""
    plain = [text for text in SCRIPTS if re.findall(r"^import (\w+)", text, re.M) == ["sqlite3"]]
    assert any("runs.db" in text for text in plain)
    assert all(kind in ("python", "sh") for kind, _ in BLOCKS)


def test_the_two_engines_of_the_issue_are_shown() -> None:
    """DuckDB on one machine, Dask on many."""
    assert sum("import duckdb" in script for script in SCRIPTS) >= 2
    assert sum("dask.dataframe" in script for script in SCRIPTS) >= 2
