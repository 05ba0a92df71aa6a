"""`git track get`: what people type and what they see."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gittrack import data, setup
from gittrack.git import Repo
from in_process import track_here
from remotes import cache_of, directory_config, fill, keep, record, set_up


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


MODEL = "m" * 4_100
THINGS = {"model.joblib": MODEL, "out/processed": {"train.csv": "a\n", "deep/test.csv": "b\n"}}


@pytest.fixture
def repo(repo_dir: Path, tmp_path: Path) -> Repo:
    found = Repo.open(repo_dir)
    kept = keep(found, tmp_path / "made", THINGS)
    record(found, "calm-lynx-0xw8nc", artifacts=kept)
    return found


def test_all_artifacts_come_here_a_line_each(repo: Repo, track: Any) -> None:
    """Where it is, how large, its hash; the second time there is nothing to do."""
    done = track(repo.root, "get", "calm", check=0)
    model = cache_of(repo).add_bytes(MODEL.encode()).md5
    lines = done.stdout.splitlines()
    assert lines[0] == f"model.joblib  4.1 kB  {model[:7]}"
    assert lines[1].startswith("out/processed  4 B in 2 files  ")
    assert done.stderr == ""
    assert (repo.root / "model.joblib").read_text() == MODEL
    assert (repo.root / "out/processed/deep/test.csv").read_text() == "b\n"
    again = track(repo.root, "get", "calm", check=0)
    assert all(line.endswith("  up to date") for line in again.stdout.splitlines())


def test_some_go_into_another_directory(repo: Repo, track: Any, tmp_path: Path) -> None:
    """Seen from where the user stands."""
    place = repo.root / "src"
    done = track(place, "get", "latest", "model.joblib", "-o", "../../new/place", check=0)
    assert done.stdout.startswith("../../new/place/model.joblib  4.1 kB  ")
    assert os.listdir(repo.root.parent / "new/place") == ["model.joblib"]


def test_different_files_stay_unless_force(repo: Repo, track: Any) -> None:
    """Two lines say which, and how."""
    (repo.root / "model.joblib").write_text("mine")
    done = track(repo.root, "get", "calm", check=1)
    assert done.stdout == ""
    assert done.stderr == (
        "error: 'model.joblib' exists with another content; nothing was written\n"
        "hint: --force replaces what is there, -o DIR writes elsewhere.\n"
    )
    assert (repo.root / "model.joblib").read_text() == "mine"
    shown = track(repo.root, "get", "calm", "--force", "-n", check=0)
    assert [line.split("  ")[-1] for line in shown.stdout.splitlines()] == [
        "would replace",
        "would write",
    ]
    assert (repo.root / "model.joblib").read_text() == "mine"
    done = track(repo.root, "get", "calm", "--force", check=0)
    assert done.stdout.splitlines()[0].endswith("  replaced")
    assert (repo.root / "model.joblib").read_text() == MODEL


def test_json_leaves_nothing_out(repo: Repo, track: Any) -> None:
    """For programs."""
    done = track(repo.root, "get", "calm", "model.joblib", "--json", check=0)
    model = cache_of(repo).add_bytes(MODEL.encode()).md5
    assert json.loads(done.stdout) == [
        {
            "name": "model.joblib",
            "path": "model.joblib",
            "md5": model,
            "size": 4100,
            "nfiles": None,
            "outcome": "new",
        }
    ]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("calm", "nothing"), "'calm-lynx-0xw8nc' kept no 'nothing'",
         "it kept model.joblib, out/processed."),
        (("bold",), "'bold-crow-0xw8nc' kept no artifacts", "--out PATH"),
        (("calm", "-o", ".git"), "'.git' is Git's own directory", "-o DIR"),
        (("calm", "../x"), "the path '../x' is refused", "stay below"),
        (("nobody",), "no run named 'nobody'", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_an_error(
    words: tuple[str, ...], message: str, hint: str, repo: Repo, track: Any
) -> None:
    """Never an empty answer."""
    record(repo, "bold-crow-0xw8nc")
    done = track(repo.root, "get", *words, check=1)
    assert done.stdout == ""
    assert message in done.stderr.splitlines()[0] and hint in done.stderr


def test_from_a_named_remote(repo_dir: Path, track: Any, tmp_path: Path) -> None:
    """What neither the cache nor that one has is said with the remote's name."""
    spare = f"['remote \"spare\"']\n    url = {tmp_path / 'spare'}\n"
    set_up(repo_dir, directory_config(tmp_path / "store") + spare)
    repo = Repo.open(repo_dir)
    kept = keep(repo, tmp_path / "made", THINGS)
    record(repo, "calm-lynx-0xw8nc", artifacts=kept)
    data.send(repo, setup.read(repo), [item.md5 for item in kept], remote="spare")
    shutil.rmtree(cache_of(repo).directory)
    fill(tmp_path / "store", {"other": "x"})
    fill(tmp_path / "store" / "files" / "md5" / "ab", {"cd": "x"})
    done = track(repo_dir, "get", "calm", check=1)
    assert "neither in the cache nor in data remote 'store'" in done.stderr
    track(repo_dir, "get", "calm", "--remote", "spare", check=0)
    assert (repo_dir / "model.joblib").read_text() == MODEL


def test_a_bare_repository_has_artifacts_too(
    repo: Repo, track: Any, git: Any, tmp_path: Path
) -> None:
    """On a server; there -o is needed, because the directory itself is Git's."""
    bare = tmp_path / "bare.git"
    git(repo.root, "clone", "-q", "--bare", ".", str(bare))
    git(bare, "fetch", "-q", str(repo.root), "refs/runs/*:refs/runs/*")
    shutil.copytree(cache_of(repo).directory, bare / "gittrack" / "dvc")
    done = track(bare, "get", "calm", check=1)
    assert "is Git's own directory" in done.stderr
    track(bare, "get", "calm", "-o", "../out", check=0)
    assert (tmp_path / "out" / "model.joblib").read_text() == MODEL


def test_the_shell_completes_runs_and_then_artifacts(repo: Repo, track: Any) -> None:
    """Of that run."""
    from click.shell_completion import ShellComplete

    from gittrack.cli.get import get

    os.chdir(repo.root)
    complete = ShellComplete(get, {}, "get", "_X")
    assert "calm-lynx-0xw8nc" in [item.value for item in complete.get_completions([], "calm")]
    found = complete.get_completions(["calm"], "")
    assert [item.value for item in found] == ["model.joblib", "out/processed"]
    assert complete.get_completions(["nobody"], "m") == []


def test_hostile_names_do_not_reach_the_terminal() -> None:
    """A colleague's artifact may be called anything."""
    from gittrack.cli.get import line
    from gittrack.retrieve import Retrieved

    item = Retrieved("x", Path("a\x1b[2Jb"), "0" * 32, 1, None, "new")
    assert line(item, dry_run=False) == "a\\x1b[2Jb  1 B  0000000"


def test_starting_it_loads_no_dvc(repo: Repo) -> None:
    """What is in the cache is copied without a second of imports."""
    import subprocess
    import sys

    code = (
        "import sys; from gittrack.cli.main import cli\n"
        "cli(['get', 'calm'], standalone_mode=False)\n"
        "print([name for name in sys.modules if name.startswith(('dvc', 'fsspec'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repo.root, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
