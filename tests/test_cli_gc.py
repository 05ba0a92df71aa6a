"""`git track gc`, as typed."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gittrack.cli.gc import gc
from gittrack.cli.main import VERBS
from in_process import track_here


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


@pytest.fixture
def place(repo_dir: Path, track, git) -> Path:
    """A repository with a run that kept a file, and a deleted one that kept another."""
    git(repo_dir, "config", "track.fsync", "false")
    for name, text in (("stays", "a"), ("goes", "bb")):
        command = ("sh", "-c", f"printf {text} > model.bin")
        track(repo_dir, "run", "--name", name, "--out", "model.bin", "--", *command, check=0)
    track(repo_dir, "rm", "goes", check=0)
    return repo_dir


def objects(place: Path) -> list[Path]:
    return [path for path in (place / ".git/gittrack/dvc").rglob("*") if path.is_file()]


def test_the_help_is_the_line_in_the_table() -> None:
    """One sentence, in both places."""
    assert gc.help is not None and gc.help.split("\n")[0] == VERBS["gc"].line


def test_a_deleted_run_and_its_file_go_when_the_time_has_come(
    place: Path, track, git, until
) -> None:
    """First it is said how long they stay, then what would go, then what went; then nothing."""
    waits = track(place, "gc", "--data", check=0).stdout
    assert re.fullmatch(
        r"nothing to remove\n"
        r"kept 1 deleted run, until \d{4}-\d\d-\d\d or later: `git track restore` undoes it\n",
        waits,
    )
    git(place, "config", "track.gcGrace", "now")

    def ready() -> bool:
        # What is less than a second old may be in use.
        return "data" in track(place, "gc", "--data", "-n", check=0).stdout

    until(ready)
    would = track(place, "gc", "--data", "--dry-run", check=0).stdout
    assert would.splitlines()[0].startswith("would remove 1 deleted run: goes-")
    assert "would remove 1 data object (2 B)" in would.splitlines()
    assert len(objects(place)) == 2
    did = track(place, "gc", "--data", check=0).stdout
    assert did == would.replace("would remove", "removed")
    assert [path.read_bytes() for path in objects(place)] == [b"a"]
    assert track(place, "gc", "--data", check=0).stdout == "nothing to remove\n"
    listed = json.loads(track(place, "ls", "--deleted", "--json", check=0).stdout)
    assert [run["name"].split("-")[0] for run in listed] == ["stays"]


def test_json_names_everything(place: Path, track, git, until) -> None:
    """For a script that asks before it cleans."""
    git(place, "config", "track.gcGrace", "now")
    track(place, "gc", "-n", check=0)

    def answer() -> dict[str, object]:
        said = track(place, "gc", "--data", "--dry-run", "--json", check=0)
        assert said.stderr == ""
        return json.loads(said.stdout)

    until(lambda: any(item["kind"] == "object" for item in answer()["items"]))
    found = answer()
    assert found["dry_run"] is True and found["kept"] == []
    assert found["bytes"] == sum(item["bytes"] for item in found["items"])
    assert {"kind", "name", "bytes"} == set(found["items"][0])


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("gc", "--shared"), 2, "error: --shared is about the data cache"),
        (("gc", "RUN"), 2, "error: got unexpected extra argument (RUN)"),
    ],
)
def test_wrong_usage_is_one_line(repo_dir: Path, track, words, code: int, line: str) -> None:
    """And a hint."""
    said = track(repo_dir, *words, check=code)
    assert said.stderr.splitlines()[0] == line and said.stdout == ""


def test_a_bad_date_removes_nothing(place: Path, git, track) -> None:
    """Git's approximate dates take nonsense for now."""
    git(place, "config", "track.gcGrace", "nonsense")
    said = track(place, "gc", "--data", check=2)
    assert said.stderr.startswith("error: bad date 'nonsense' for 'track.gcGrace'\nhint: ")
    assert len(objects(place)) == 2


def test_a_bare_repository_is_cleaned_too(bare_dir: Path, track) -> None:
    """A server's, for example."""
    assert track(bare_dir, "gc", "--data", check=0).stdout == "nothing to remove\n"


def test_what_stays_can_be_got(place: Path, track, git, tmp_path: Path, until) -> None:
    """Whole, and by its name."""
    git(place, "config", "track.gcGrace", "now")
    until(lambda: "data" in track(place, "gc", "--data", check=0).stdout)
    run = json.loads(track(place, "ls", "--json", check=0).stdout)[0]["name"]
    track(place, "get", run, "-o", str(tmp_path / "got"), check=0)
    assert [p.read_bytes() for p in (tmp_path / "got").rglob("*") if p.is_file()] == [b"a"]
    assert subprocess.run(["git", "fsck"], cwd=place, capture_output=True).returncode == 0
