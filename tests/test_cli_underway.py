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


def test_show_of_a_running_run_has_what_is_known_so_far(underway: Underway, track: Track) -> None:
    """Who wants to know with which settings the training goes on need not wait for its end."""
    text = track(underway.place, "show", "slow", check=0).stdout
    assert re.match(rf"{underway.name}  running  [0-9.]+s\n", text)
    for line in (
        r"  when        \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0545 \(just now\)",
        r"  code        [0-9a-f]{7} on main \+ train\.py \+\d+ -1, 1 new file \(--patch shows it\)",
        r"  new files   new\.py",
        r"  output      \d+ B \(--log shows it\)",
        r"  lr        0\.1",
        r"  opt\.name  adam",
        r"  loss  0\.3333333333333333",
        r"  stage  warm",
        r"  metric 'loss' not recorded: 'no number' is no number",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), line
    assert "ended" not in text
    assert not re.search("^  commit", text, re.MULTILINE)
    assert track(underway.place, "show", check=0).stdout.startswith(underway.name)


def test_a_running_run_as_data_has_the_fields_of_a_recorded_one(
    underway: Underway, track: Track
) -> None:
    """A program that reads both need not ask which it has; what is not known yet is null."""
    before = json.loads(track(underway.place, "show", underway.name, "--json", check=0).stdout)
    assert (before["status"], before["params"]["lr"]) == ("running", 0.1)
    assert [before[key] for key in ("ended", "duration", "exit_code", "commit")] == [None] * 4
    underway.end()
    after = json.loads(track(underway.place, "show", underway.name, "--json", check=0).stdout)
    assert after["status"] == "finished"
    assert before.keys() == after.keys()
    assert (before["params"], before["tags"], before["faults"]) == (
        after["params"], after["tags"], after["faults"],
    )  # fmt: skip


def test_the_output_and_the_patch_of_a_running_run(underway: Underway, track: Track) -> None:
    """What the code is that runs just now, after the files have been edited again."""
    (underway.place / "train.py").write_text("edited since\n")
    text = track(underway.place, "show", "slow", "--log", "--patch", check=0).stdout
    assert "begun\n" in text
    assert "+new = True\n" in text
    assert "edited since" not in text


def test_a_recorded_run_and_a_running_one_side_by_side(underway: Underway, track: Track) -> None:
    """In the order in which they were asked for; and `latest` is still the recorded one."""
    track(underway.place, "run", "--name", "quick", "--", "true", check=0)
    both = json.loads(track(underway.place, "show", "slow", "latest", "--json", check=0).stdout)
    assert [run["status"] for run in both] == ["running", "finished"]
    assert track(underway.place, "show", check=0).stdout.startswith("quick-")


@pytest.mark.parametrize("words", [("diff", "slow"), ("plot", "loss", "slow")])
def test_what_needs_a_record_says_that_the_run_is_still_running(
    words: tuple[str, ...], underway: Underway, track: Track
) -> None:
    """`no run named slow` would be a lie."""
    done = track(underway.place, *words, check=1)
    assert done.stderr.startswith("error: 'slow' is still running\n")
    assert "`git track show`" in done.stderr
