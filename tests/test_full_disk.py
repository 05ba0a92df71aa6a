"""A script that logs while its disk fills: the training goes on, and what had room is recorded.

The disk is a small tmpfs, which says that it is full when a write comes, as real ones do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from small_disk import mounted

SCRIPT = """\
import os, sys
import gittrack

mount = sys.argv[1]
filler = os.path.join(mount, "filler")

def fill():
    seen = os.statvfs(mount)
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, seen.f_bavail * seen.f_frsize)

with gittrack.start_run():
    for step in range(100):
        gittrack.log_metric("before", step, step=step)
    fill()
    for step in range(int(sys.argv[2])):
        gittrack.log_metric("full", step, step=step)
    if sys.argv[3] == "freed":
        os.unlink(filler)
    for step in range(100):
        gittrack.log_metric("after", step, step=step)
print("trained")
"""


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    with mounted(tmp_path / "small", 16) as place:
        yield place


def trained(mount: Path, git: Any, points: int, then: str) -> subprocess.CompletedProcess[str]:
    repo = mount / "repo"
    repo.mkdir()
    (repo / "train.py").write_text(SCRIPT)
    git(repo, "init", "-q", ".")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "code")
    done = subprocess.run(
        [sys.executable, "train.py", os.fspath(mount), str(points), then],
        cwd=repo,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
    assert "Traceback" not in done.stderr
    return done


def points_of(track: Any, repo: Path, metric: str) -> int:
    shown = json.loads(track(repo, "plot", metric, "latest", "--json").stdout)
    return len(shown[0]["points"])


def told_as_lost(shown: Any) -> int:
    """How many points a record says are lost; an event, as of the machine, counts as one."""
    [sentence] = [fault for fault in shown["faults"] if "points were lost" in fault]
    return int(sentence.split()[0].replace(",", ""))


def test_a_disk_that_has_space_again_has_cost_nothing(mount: Path, track: Any, git: Any) -> None:
    """Somebody cleans up within the hour, and the curve has no gap."""
    trained(mount, git, 1000, "freed")
    repo = mount / "repo"
    metrics = ("before", "full", "after")
    assert [points_of(track, repo, metric) for metric in metrics] == [100, 1000, 100]


def test_a_disk_that_stays_full_ends_no_training(mount: Path, track: Any, git: Any) -> None:
    """What had room is recorded once there is room for a record; what had none is said."""
    done = trained(mount, git, 1000, "full")
    repo = mount / "repo"
    assert "gittrack: " in done.stderr
    (mount / "filler").unlink()
    assert track(repo, "ls", "-n", "1").stdout
    assert points_of(track, repo, "before") == 100
    shown = json.loads(track(repo, "show", "latest", "--json").stdout)
    assert shown["status"] == "finished"
    logged = sum(points_of(track, repo, metric) for metric in ("before", "full"))
    assert 0 <= told_as_lost(shown) - (1200 - logged) < 5


def test_a_file_that_may_grow_no_more_is_told_by_the_record(repo_dir: Path, track: Any) -> None:
    """Without a number the curve looks whole; another file has the room to say it."""
    code = "import gittrack\nfor n in range(100): gittrack.log_metric('a', n)"
    for name, before in [("joined", ("run", "--")), ("own", None)]:
        command = ["sh", "-c", 'ulimit -f 2; exec "$0" -c "$1"', sys.executable, code]
        if before is None:
            subprocess.run(command, cwd=repo_dir, check=True, capture_output=True, timeout=60)
        else:
            track(repo_dir, *before, *command)
        shown = json.loads(track(repo_dir, "show", "latest", "--json").stdout)
        kept = points_of(track, repo_dir, "a")
        assert 0 < kept < 100, name
        assert 0 <= told_as_lost(shown) - (100 - kept) < 5, name


WORKER = """\
import os, subprocess, sys
import gittrack

if len(sys.argv) == 1:
    for step in range(1000):
        gittrack.log_metric("full", step, step=step)
    sys.exit()
with gittrack.start_run():
    seen = os.statvfs(sys.argv[1])
    filler = os.path.join(sys.argv[1], "filler")
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, seen.f_bavail * seen.f_frsize)
    subprocess.run([sys.executable, "-B", __file__], check=True)
    os.unlink(filler)
"""


def test_what_a_worker_loses_is_told_by_the_record(mount: Path, track: Any, git: Any) -> None:
    """The end of the run has room kept for its owner alone; the name of a file needs none."""
    repo = mount / "repo"
    repo.mkdir()
    (repo / "train.py").write_text(WORKER)
    git(repo, "init", "-q", ".")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "code")
    command = [sys.executable, "train.py", os.fspath(mount)]
    subprocess.run(command, cwd=repo, check=True, capture_output=True, timeout=60)
    shown = json.loads(track(repo, "show", "latest", "--json").stdout)
    assert 1000 <= told_as_lost(shown) < 1005
