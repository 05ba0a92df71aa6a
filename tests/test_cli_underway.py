"""`ls`, `show`, `diff` and `plot` of a run that is running: real runs that wait at a gate."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import Track

SCRIPT = """
import os, pathlib, sys, time
import gittrack
gittrack.log_params({"lr": 0.1, "opt": {"name": "adam"}})
gittrack.set_tag("stage", "warm")
for step in range(3):
    gittrack.log_metric("loss", 1 / (step + 1), step=step)
gittrack.log_metric("loss", "no number")
print("begun", flush=True)
end = time.monotonic() + 60
while not pathlib.Path(sys.argv[1]).exists() and time.monotonic() < end:
    time.sleep(0.005)
"""


class Underway:
    """A repository with a run that has said all that it says, and waits to be let go."""

    def __init__(self, place: Path, gate: Path, until: Callable[..., None]) -> None:
        self.place = place
        self.gate = gate
        (place / "train.py").write_text(SCRIPT)
        (place / "new.py").write_text("new = True\n")
        self.child = subprocess.Popen(
            [
                sys.executable, "-m", "gittrack", "run", "--name", "slow", "--",
                sys.executable, "train.py", str(gate),
            ],
            cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        live = place / ".git" / "gittrack" / "live"
        until(lambda: any(b"begun" in path.read_bytes() for path in live.glob("slow-*/output")))
        self.name = next(live.glob("slow-*")).name

    def end(self) -> None:
        self.gate.touch()
        self.child.wait(timeout=30)


@pytest.fixture
def underway(repo_dir: Path, tmp_path: Path, until: Callable[..., None]) -> Iterator[Underway]:
    made = Underway(repo_dir, tmp_path / "gate", until)
    yield made
    made.end()


def test_ls_says_how_long_a_running_run_has_been_running(underway: Underway, track: Track) -> None:
    """The first question about a training; data says what is known, and its end is not."""
    row = track(underway.place, "ls", check=0).stdout.splitlines()[1]
    assert re.search(r"running  +[0-9.]+s ", row)
    (told,) = json.loads(track(underway.place, "ls", "--json", check=0).stdout)
    assert (told["status"], told["ended"], told["duration"]) == ("running", None, None)
