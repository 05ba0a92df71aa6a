"""The writers in docs/journal.md do what it says, and the example of a shell script too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from conftest import Track
from gittrack import commits, journal, refs
from gittrack.git import Repo
from gittrack.records import Run

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "journal.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", DOCUMENT, re.DOTALL))
PROGRAMS = {"sh": "sh", "perl": "perl", "r": "Rscript", "julia": "julia"}

LOSSES: dict[str, list[tuple[int | None, dict[str, Any]]]] = {
    "sh": [(1, {"loss": 0.1}), (2, {"loss": 0.2}), (3, {"loss": 0.3})],
    "perl": [(n, {"accé": n, "loss": pytest.approx(1 / (n + 3))}) for n in (1, 2, 3)],
    "r": [(n, {"loss": 1 / n}) for n in (1, 2, 3)],
    "julia": [(n, {"loss": 1 / n}) for n in (1, 2, 3)],
}


def recorded(place: Path) -> tuple[Run, list[tuple[int | None, dict[str, Any]]]]:
    repo = Repo.open(place)
    [ref] = refs.all_runs(repo)
    rows = commits.load_series(repo, ref)
    return commits.load(repo, ref), [(row.step, dict(row.values)) for row in rows]


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_writer_in_the_document_is_a_writer(language: str, repo_dir: Path, track: Track) -> None:
    """It is copied by people whose language has no library of ours."""
    if shutil.which(PROGRAMS[language]) is None:
        pytest.skip(f"no {PROGRAMS[language]} here")
    program = BLOCKS[language]
    assert len([line for line in program.splitlines() if line.strip()]) < 30
    (repo_dir / "writer").write_text(program, "utf-8")
    track(repo_dir, "run", "--", PROGRAMS[language], "writer", check=0)
    run, rows = recorded(repo_dir)
    assert run.faults == () and run.params["lr"] == 0.1
    assert rows == LOSSES[language]


@pytest.mark.parametrize("language", ["sh", "perl"])
def test_a_writer_outside_of_a_run_says_so(language: str, tmp_path: Path) -> None:
    """And leaves no file called `-4711.journal` in the root of the disk."""
    (tmp_path / "writer").write_text(BLOCKS[language], "utf-8")
    done = subprocess.run(
        [PROGRAMS[language], "writer"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0 and "no run is under way" in done.stderr
    assert os.listdir(tmp_path) == ["writer"]


def test_a_line_in_the_document_has_the_right_sum() -> None:
    """Who writes a writer compares with it."""
    [line] = re.findall(r'^    (\w{8} \{"t".*\})$', DOCUMENT, re.MULTILINE)
    events, damaged = journal.unframe(line.encode() + b"\n")
    assert events == [{"t": 1700000000.25, "metrics": {"loss": 0.21}, "step": 3}]
    assert damaged == 0
    assert f"{zlib.crc32(b'123456789'):08x}" in DOCUMENT


def test_the_shell_example_is_a_run(repo_dir: Path, track: Track) -> None:
    """Params, tag, a curve, an artifact and a printed metric, from a script without Python."""
    shutil.copy(ROOT / "examples" / "shell" / "train.sh", repo_dir)
    command = repo_dir.parent / "bin" / "git-track"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gittrack "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    track(repo_dir, "run", "--", "sh", "train.sh", "2", env={"PATH": path}, check=0)
    run, rows = recorded(repo_dir)
    assert run.faults == () and run.tags == {"method": "newton"}
    assert (run.params["number"], run.params["steps"]) == (2, 6)
    assert [step for step, values in rows if "guess" in values] == [1, 2, 3, 4, 5, 6]
    assert run.metrics["guess"] == pytest.approx(2**0.5) and run.metrics["error"] < 1e-12
    assert run.metrics["root"] == pytest.approx(2**0.5, abs=1e-5)
    assert [kept.path for kept in run.artifacts] == ["root.txt"]
