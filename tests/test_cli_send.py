"""`git track send`: what people type and what they see."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gittrack.cli.main import VERBS
from gittrack.cli.send import send as command
from gittrack.git import Repo
from gittrack.records import Artifact
from in_process import track_here
from remotes import cache_of, directory_config, keep, record, set_up


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


OLD, NEW = "calm-lynx-0xw8nc", "bold-crow-0xw8nc"


@pytest.fixture
def repo(repo_dir: Path, tmp_path: Path) -> Repo:
    """Two runs, and a directory as data remote."""
    set_up(repo_dir, directory_config(tmp_path / "store"))
    found = Repo.open(repo_dir)
    record(found, OLD, artifacts=keep(found, tmp_path / "old", {"model.bin": "m" * 4100}))
    things = {"out": {"a.csv": "one\n", "b.csv": "two\n"}}
    record(found, NEW, artifacts=keep(found, tmp_path / "new", things))
    return found


def objects(tmp_path: Path) -> int:
    return len(list((tmp_path / "store" / "files" / "md5").glob("??/*")))


def test_the_help_is_the_line_in_the_table_and_tells_of_refs() -> None:
    """Who sends data wants to send the runs, too, and in which order matters."""
    assert command.help is not None and command.help.split("\n")[0] == VERBS["send"].line
    assert "git push REMOTE 'refs/runs/*:refs/runs/*'" in command.help


def test_the_latest_run_then_all_then_nothing(repo: Repo, track: Any, tmp_path: Path) -> None:
    """A line each; a dry run says the same and sends nothing."""
    said = track(repo.root, "send", "-n", check=0)
    assert said.stdout.startswith("would send 3 objects (1") and objects(tmp_path) == 0
    sent = track(repo.root, "send", check=0)
    assert sent.stdout == said.stdout.replace("would send", "sent") and sent.stderr == ""
    assert sent.stdout.endswith(f" B) of {NEW} to store\n") and objects(tmp_path) == 3
    sent = track(repo.root, "send", "--all", check=0)
    assert sent.stdout == "sent 1 object (4.1 kB) of 2 runs to store\n" and objects(tmp_path) == 4
    again = track(repo.root, "send", "--all", check=0)
    assert again.stdout == "nothing to send: store has what 2 runs kept\n"


def test_stock_dvc_and_a_second_clone_have_it_then(
    repo: Repo, git: Any, track: Any, tmp_path: Path
) -> None:
    """That is what it is for: data, then refs, then somebody else."""
    track(repo.root, "send", OLD, check=0)
    clone = tmp_path / "clone"
    git(repo.root, "clone", "-q", ".", str(clone))
    git(clone, "fetch", "-q", "origin", "refs/runs/*:refs/runs/*")
    set_up(clone, directory_config(tmp_path / "store"))
    track(clone, "get", OLD, "-o", "got", check=0)
    assert (clone / "got" / "model.bin").read_text() == "m" * 4100
    done = track(clone, "get", NEW, check=1)
    assert "neither in the cache nor in data remote 'store'" in done.stderr


def test_runs_and_remotes_by_name(repo: Repo, track: Any, tmp_path: Path) -> None:
    """Those runs and no other, there and nowhere else."""
    spare = f"['remote \"Spare\"']\n    url = {tmp_path / 'spare'}\n"
    set_up(repo.root, directory_config(tmp_path / "store") + spare)
    done = track(repo.root, "send", "calm", OLD, "--remote", "Spare", check=0)
    assert done.stdout == f"sent 1 object (4.1 kB) of {OLD} to Spare\n"
    assert objects(tmp_path) == 0 and (tmp_path / "spare" / "files" / "md5").is_dir()


def test_json_leaves_nothing_out(repo: Repo, track: Any) -> None:
    """For programs."""
    done = track(repo.root, "send", OLD, "--json", check=0)
    assert json.loads(done.stdout) == {
        "remote": "store",
        "objects": 1,
        "bytes": 4100,
        "dry_run": False,
        "runs": [OLD],
        "absent": {},
    }


def test_what_nobody_has_is_said_and_the_rest_is_sent(
    repo: Repo, track: Any, tmp_path: Path
) -> None:
    """One run whose files are lost keeps nobody from sending the others; a script sees it."""
    lost = (Artifact("a\x1b[2J", "1" * 32, 4), Artifact("b", "2" * 32, 4))
    record(repo, "gone-crow-0xw8nc", artifacts=lost)
    done = track(repo.root, "send", "--all", check=1)
    assert done.stdout.startswith("sent 4 objects (") and objects(tmp_path) == 4
    assert done.stderr == (
        "warning: gone-crow-0xw8nc: a\\x1b[2J and 1 more are neither here nor in store\n"
    )
    done = track(repo.root, "send", "gone", check=1)
    assert done.stdout == "nothing else to send to store\n"
    found = json.loads(track(repo.root, "send", "--all", "--json", check=1).stdout)
    assert found["absent"] == {"gone-crow-0xw8nc": ["a\x1b[2J", "b"]}
    track(repo.root, "rm", "gone", check=0)
    assert track(repo.root, "send", "--all", check=0).stderr == ""


def test_a_run_that_cannot_be_read_is_said(repo: Repo, git: Any, track: Any) -> None:
    """It is not silently without artifacts."""
    message = "x: finished\n\nGittrack-Run: 1\nRun-Id: " + "1" * 32 + "\n"
    commit = git(repo.root, "commit-tree", "-m", message, "HEAD^{tree}").strip()
    git(repo.root, "update-ref", "refs/runs/default/torn-aaaaaa", commit)
    assert "torn-aaaaaa" in track(repo.root, "send", "torn-aaaaaa", check=1).stderr
    done = track(repo.root, "send", "--all", check=0)
    assert done.stderr.startswith("warning: ") and "torn-aaaaaa" in done.stderr
    assert done.stdout.startswith("sent 4 objects")


def test_without_a_data_remote_the_way_to_one_is_said(
    repo: Repo, track: Any, tmp_path: Path
) -> None:
    """And how much is on this disk alone; a run that kept nothing needs none."""
    shutil.rmtree(repo.root / ".dvc")  # type: ignore[operator]
    fresh = Repo.open(repo.root)
    cache_of(fresh).add_bytes(b"m" * 4100)
    done = track(repo.root, "send", OLD, check=1)
    assert done.stdout == "" and done.stderr == (
        "error: no data remote is set: 4.1 kB in 1 object stays on this disk alone\n"
        "hint: `git track init`, then `dvc remote add -d NAME URL` sets one.\n"
    )
    record(fresh, "idle-crow-0xw8nc")
    done = track(repo.root, "send", "idle", check=0)
    assert done.stdout == "nothing to send: idle-crow-0xw8nc kept nothing\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--all", OLD), 2, "--all means every run"),
        (("nobody",), 1, "no run named 'nobody'"),
        (("--remote", "nowhere"), 1, "no data remote is named 'nowhere'"),
    ],
)
def test_what_cannot_be_met_is_an_error(
    words: tuple[str, ...], code: int, said: str, repo: Repo, track: Any
) -> None:
    """Never an empty answer."""
    done = track(repo.root, "send", *words, check=code)
    assert done.stdout == "" and said in done.stderr


def test_no_runs_at_all(repo_dir: Path, track: Any) -> None:
    """All of none is nothing; the latest of none is nobody."""
    assert track(repo_dir, "send", "--all", check=0).stdout == "nothing to send: no runs\n"
    assert track(repo_dir, "send", check=1).stderr.startswith("error: ")


def test_the_shell_completes_runs(repo: Repo) -> None:
    """Each of them."""
    from click.shell_completion import ShellComplete

    os.chdir(repo.root or "")
    complete = ShellComplete(command, {}, "send", "_X")
    assert [item.value for item in complete.get_completions([OLD], "bo")] == [NEW]


def test_the_name_of_a_model_alone_is_told_from_that_of_a_run(
    repo: Repo, track: Any, git: Any
) -> None:
    """Of a model one version is sent, which a name alone does not say."""
    git(repo.root, "tag", "-a", "-m", "Register wine", "wine@v1.0.0", f"refs/runs/default/{OLD}")
    done = track(repo.root, "send", "wine", check=1)
    assert "`git track send wine@v1.0.0` sends" in done.stderr
    track(repo.root, "send", "wine@v1.0.0", check=0)
    assert "that is a model" not in track(repo.root, "send", "beer", check=1).stderr
