"""`git track export` in a real repository: every form, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from conftest import Git, Track
from in_process import track_here
from recorded_runs import record, various


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    root = tmp_path_factory.mktemp("export") / "repo"
    root.mkdir()
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    various(root)
    return root


def _count_csv(path: Path) -> int:
    with open(path, newline="", encoding="utf-8") as file:
        return len(list(csv.DictReader(file)))


def _count_jsonl(path: Path) -> int:
    return len(list(map(json.loads, path.read_text("ascii").splitlines())))


def _count_sqlite(path: Path) -> int:
    file = sqlite3.connect(path)
    try:
        (count,) = file.execute("select count(*) from runs").fetchone()
        return int(count)
    finally:
        file.close()


def _count_parquet(path: Path) -> int:
    return int(ds.dataset(path / "runs", partitioning="hive").count_rows())


FORMS: dict[str, Callable[[Path], int]] = {
    "csv": _count_csv,
    "jsonl": _count_jsonl,
    "sqlite": _count_sqlite,
    "parquet": _count_parquet,
}
forms = pytest.mark.parametrize("form", FORMS)


@forms
def test_all_runs_are_written(place: Path, track: Track, tmp_path: Path, form: str) -> None:
    """Into the place that was named, spaces and all, and nothing beside it."""
    target = tmp_path / "a b ü.x"
    told = track(place, "export", f"--{form}", str(target), check=0)
    assert (told.stdout, told.stderr) == ("", f"6 runs written to {target}\n")
    assert FORMS[form](target) == 6
    assert os.listdir(tmp_path) == [target.name]


def test_a_query_says_which_runs(place: Path, track: Track) -> None:
    """In the language of every other command."""
    told = track(place, "export", "--csv", "-", "params.fast or metrics.acc > 0.8", check=0)
    names = {row["name"] for row in csv.DictReader(io.StringIO(told.stdout))}
    assert names == {"amber-otter-aaaaaa", "calm-lynx-cccccc", "eager-crab-eeeeee"}
    told = track(place, "export", "--csv", "-", "metrics.acc > 99", check=1)
    assert (told.stdout, told.stderr.splitlines()[0]) == (
        "", "error: no run matches: nothing was written",
    )  # fmt: skip


@forms
def test_only_force_overwrites(place: Path, track: Track, tmp_path: Path, form: str) -> None:
    """And then as a whole: nothing of the former export is left."""
    target = tmp_path / "x"
    track(place, "export", f"--{form}", str(target), check=0)
    told = track(place, "export", f"--{form}", str(target), "-x", "2024", check=1)
    assert told.stderr.splitlines() == [
        f"error: '{target}' is there already", "hint: --force overwrites it.",
    ]  # fmt: skip
    assert FORMS[form](target) == 6
    track(place, "export", f"--{form}", str(target), "-x", "2024", "--force", check=0)
    assert FORMS[form](target) == 1
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("form", ["csv"])
def test_no_run_is_no_export(place: Path, track: Track, tmp_path: Path, form: str) -> None:
    """A job that waits for the file must hear that there is none."""
    other = tmp_path / "none"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    target = tmp_path / "x"
    told = track(other, "export", f"--{form}", str(target), check=1)
    assert told.stderr.startswith("error: no run matches: nothing was written\n")
    assert not target.exists()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_place_that_cannot_be_is_said(
    place: Path, track: Track, tmp_path: Path, form: str
) -> None:
    """In a line, with the name that was given."""
    target = tmp_path / "none" / "x"
    told = track(place, "export", f"--{form}", str(target), check=1)
    assert told.stderr == f"error: cannot write '{target}': No such file or directory\n"


@pytest.mark.parametrize("form", ["jsonl", "sqlite"])
def test_a_run_that_cannot_be_read_does_not_hide_the_others(
    repo_dir: Path, track: Track, git: Git, tmp_path: Path, form: str
) -> None:
    """It is named, and the rest is written."""
    record(repo_dir, 1, "amber-otter-aaaaaa", metrics={"acc": 0.5})
    head = git(repo_dir, "rev-parse", "HEAD").strip()
    message = "x\n\nGittrack-Run: 9\n"
    made = git(repo_dir, "commit-tree", f"{head}^{{tree}}", "-m", message).strip()
    git(repo_dir, "update-ref", "refs/runs/default/blue-heron-bbbbbb", made)
    target = tmp_path / "x"
    told = track(repo_dir, "export", f"--{form}", str(target), check=0)
    assert "blue-heron-bbbbbb" in told.stderr
    assert told.stderr.startswith("warning: ")
    assert FORMS[form](target) == 1


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_dash_is_standard_output(place: Path, track: Track, form: str) -> None:
    """For a pipe; what is said about it goes elsewhere."""
    told = track(place, "export", f"--{form}", "-", check=0)
    assert told.stderr == "6 runs written to standard output\n"
    if form == "csv":
        assert len(list(csv.DictReader(io.StringIO(told.stdout)))) == 6
    else:
        assert len([json.loads(line) for line in told.stdout.splitlines()]) == 6


def test_curves_are_written_unless_they_are_not_wanted(
    place: Path, track: Track, tmp_path: Path
) -> None:
    """By default where they have a place of their own."""
    track(place, "export", "--parquet", str(tmp_path / "p"), check=0)
    assert sorted(os.listdir(tmp_path / "p")) == ["runs", "series"]
    track(place, "export", "--parquet", str(tmp_path / "q"), "--no-curves", check=0)
    assert os.listdir(tmp_path / "q") == ["runs"]
    told = track(place, "export", "--jsonl", "-", "--curves", "-x", "default", check=0).stdout
    assert json.loads(told.splitlines()[-1])["series"]["acc"][1] == [1, 1.0, 0.1]
    assert "series" not in json.loads(track(place, "export", "--jsonl", "-").stdout.splitlines()[0])
    track(place, "export", "--sqlite", str(tmp_path / "s"), "--no-curves", check=0)
    file = sqlite3.connect(tmp_path / "s")
    names = [name for (name,) in file.execute("select name from sqlite_master")]
    file.close()
    assert "metrics" in names and "series" not in names


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--csv", "a", "--jsonl", "b"],
        ["--csv", ""],
        ["--csv", "a", "--curves"],
        ["--parquet", "-"],
        ["--sqlite", "-"],
        ["--csv", "a", "-x", "none"],
        ["--csv", "a", "one", "two"],
        ["--csv", "a", "metrics.ac > 0.8"],
    ],
)
def test_what_makes_no_sense_is_usage(
    place: Path, track: Track, tmp_path: Path, words: list[str]
) -> None:
    """And nothing is written."""
    before = sorted(os.listdir(place))
    assert track(place, "export", *words, check=2).stderr.startswith("error: ")
    assert sorted(os.listdir(place)) == before


def test_only_a_directory_of_exports_is_overwritten(
    place: Path, track: Track, tmp_path: Path
) -> None:
    """`--force` must not cost a home directory."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    told = track(place, "export", "--parquet", str(tmp_path / "home"), "--force", check=1)
    assert "'thesis.tex'" in told.stderr
    assert (tmp_path / "home" / "thesis.tex").exists()
    told = track(place, "export", "--csv", str(tmp_path / "home"), "--force", check=1)
    assert "is a directory" in told.stderr


@forms
def test_what_is_interrupted_leaves_nothing(
    place: Path, tmp_path: Path, form: str, until: Callable[..., None]
) -> None:
    """Neither half a file nor a temporary one, and what was there before stays."""
    target = tmp_path / "x"
    code = (
        "import os, signal, sys\n"
        "from gittrack import extracts\n"
        "from gittrack.cli.main import main\n"
        "whole, columns = extracts.Extract.batches, extracts.Extract.columns\n"
        "def batches(self):\n"
        "    yield from whole(self)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "extracts.Extract.batches = batches\n"
        f"main(['export', '--{form}', {os.fspath(target)!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert os.listdir(tmp_path) == []


def test_a_pipe_that_closes_ends_it_in_silence(place: Path) -> None:
    """`| head` is no error."""
    done = subprocess.run(
        [f"{sys.executable} -m gittrack export --jsonl - | head -c 1"],
        shell=True, cwd=place, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_said(place: Path, track: Track) -> None:
    """And is no bug of ours."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    done = subprocess.run(
        [f"{sys.executable} -m gittrack export --jsonl - > /dev/full"],
        shell=True, cwd=place, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "No space left" in done.stderr


def test_a_file_that_gets_no_place_is_named(place: Path, tmp_path: Path) -> None:
    """Where the data stood before it had its name, nobody has ever heard of."""
    target = tmp_path / "runs.db"
    command = f"ulimit -f 8; exec {sys.executable} -m gittrack export --sqlite {target}"
    done = subprocess.run(
        ["sh", "-c", f"trap '' XFSZ; {command}"], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"error: cannot write '{target}': " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["--csv", "--jsonl"])
def test_a_standard_output_that_is_closed_is_written_nothing(place: Path, form: str) -> None:
    """`>&-`: Python has no `sys.stdout` then."""
    done = subprocess.run(
        [f"{sys.executable} -m gittrack export {form} - >&-"],
        shell=True, cwd=place, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert "written to standard output" in done.stderr
