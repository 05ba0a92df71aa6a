"""`git track checkout`, by the real command in real repositories."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack import setup
from gittrack.cache import open_cache
from gittrack.git import Repo
from gittrack.records import Code, Data, Skipped
from gittrack.refs import RunRef
from in_process import track_here
from remotes import set_up
from test_checkout import recorded


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


NAME = "amber-otter-7f3kq2"


@pytest.fixture
def run(repo_dir: Path) -> RunRef:
    """A run of a script that the repository does not have, in a directory below the root."""
    repo = Repo.open(repo_dir)
    command = ("python3", "../new.py", "it's\x1b")
    return recorded(repo, {"new.py": "print('again')\n"}, command=command, directory="src")


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_what_it_says_can_be_typed(repo_dir: Path, run: RunRef, track: Track) -> None:
    """The last line runs the run again, in its own directory, whatever its arguments."""
    done = track(repo_dir, "checkout", "amber", check=0)
    first, last = lines(done.stdout)
    base = Repo.open(repo_dir).head()[0] or ""
    where = f"../repo-{NAME}"
    assert re.fullmatch(
        f"{re.escape(where)}  code of {NAME} \\([0-9a-f]{{7}}, on {base[:7]}\\)", first
    )
    assert last == f"  cd {where}/src && python3 ../new.py $'it\\'s\\x1b'"
    again = subprocess.run(["bash", "-c", last], cwd=repo_dir, capture_output=True, text=True)
    assert again.stdout == "again\n"
    assert done.stderr == ""


def test_code_that_is_the_base(repo_dir: Path, track: Track) -> None:
    """Nothing is said to stand on anything; a run that ran no command has no command."""
    recorded(Repo.open(repo_dir), {}, command=(), source="api")
    done = track(repo_dir, "checkout", NAME, "--worktree", "../a b", check=0)
    base = Repo.open(repo_dir).head()[0] or ""
    assert lines(done.stdout) == [f"../a b  code of {NAME} ({base[:7]})", "  cd '../a b'"]


def test_from_a_subdirectory_paths_are_those_of_the_user(
    repo_dir: Path, run: RunRef, track: Track
) -> None:
    """`--worktree` is relative to where one stands, as every path in a shell."""
    done = track(repo_dir / "src", "checkout", NAME, "--worktree", "../../x", check=0)
    assert done.stdout.startswith("../../x  ")
    assert (repo_dir.parent / "x" / "new.py").exists()
    done = track(repo_dir, "-C", "src", "checkout", NAME, "--worktree", "-x", check=0)
    assert "  cd ./-x/src && " in done.stdout
    assert (repo_dir / "src" / "-x" / "new.py").exists()
    assert done.stderr.startswith("note: ./-x is inside of this work tree")


def test_a_branch_alone(repo_dir: Path, run: RunRef, git: Git, track: Track) -> None:
    """It is made, and how to go there is said; nothing is checked out."""
    done = track(repo_dir, "checkout", NAME, "-b", "again", check=0)
    first, last = lines(done.stdout)
    assert first.startswith(f"branch again  code of {NAME} (") and last == "  git switch again"
    assert git(repo_dir, "symbolic-ref", "--short", "HEAD") == "main\n"
    assert len(git(repo_dir, "worktree", "list").splitlines()) == 1
    done = track(repo_dir, "checkout", NAME, "-b", "again", check=1)
    assert done.stderr.startswith("error: a branch named 'again' already exists\nhint: ")
    done = track(repo_dir, "checkout", NAME, "-b", "", check=2)
    assert "is not a valid branch name" in done.stderr


def test_a_work_tree_on_a_branch(repo_dir: Path, run: RunRef, git: Git, track: Track) -> None:
    """Both are named in one line."""
    done = track(repo_dir, "checkout", NAME, "-b", "again", "--worktree", "../x", check=0)
    assert done.stdout.startswith(f"../x, branch again  code of {NAME} (")
    assert git(repo_dir.parent / "x", "symbolic-ref", "--short", "HEAD") == "again\n"


def test_twice_is_refused(repo_dir: Path, run: RunRef, track: Track) -> None:
    """What somebody changed there meanwhile is theirs; the way out is said."""
    track(repo_dir, "checkout", NAME, check=0)
    done = track(repo_dir, "checkout", NAME, check=1)
    place = repo_dir.parent / f"repo-{NAME}"
    assert lines(done.stderr)[0] == f"error: '{place}' is there already"
    assert "`git worktree remove`" in done.stderr
    assert done.stdout == ""


def test_before_the_first_commit(tmp_path: Path, git: Git, track: Track) -> None:
    """A commit without a parent is better than no code; it says so."""
    root = tmp_path / "r"
    git(tmp_path, "init", "-q", str(root))
    recorded(Repo.open(root), {"new.py": "x = 1\n"})
    done = track(root, "checkout", NAME, check=0)
    assert ", without a parent)" in done.stdout
    assert (tmp_path / f"r-{NAME}" / "new.py").read_text() == "x = 1\n"


def test_a_directory_that_leads_outside_is_not_entered(repo_dir: Path, track: Track) -> None:
    """A record may say anything."""
    recorded(Repo.open(repo_dir), {}, directory="../../..")
    done = track(repo_dir, "checkout", NAME, "--worktree", "../x", check=0)
    assert "  cd ../x && " in done.stdout


def test_submodules_are_said_to_be_empty(repo_dir: Path, git: Git, track: Track) -> None:
    """Else the next line that is typed fails for no visible reason."""
    outer = repo_dir.parent / "outer"
    git(repo_dir.parent, "init", "-q", str(outer))
    allow = ("-c", "protocol.file.allow=always")
    git(outer, *allow, "submodule", "--quiet", "add", str(repo_dir), "inner")
    git(outer, "commit", "-q", "-m", "inner")
    recorded(Repo.open(outer), {})
    done = track(outer, "checkout", NAME, check=0)
    assert "git submodule update --init" in done.stderr


def test_code_that_was_not_recorded_is_said(repo_dir: Path, track: Track) -> None:
    """Who looks for a file that the run had should know why it is not there."""
    repo = Repo.open(repo_dir)
    code = Code(base=repo.head()[0], skipped=(Skipped("big.bin", "over 1 MiB"),))
    recorded(repo, {}, code=code)
    done = track(repo_dir, "checkout", NAME, check=0)
    assert done.stderr == (
        f"note: 1 path was not recorded as the run saw it (git track show {NAME})\n"
    )


def test_a_place_inside_is_said(repo_dir: Path, run: RunRef, track: Track) -> None:
    """It shows up in `git status`, and is a step from being deleted; not so where it is ignored."""
    done = track(repo_dir / "src", "checkout", NAME, "--worktree", "in", check=0)
    assert done.stderr == (
        "note: in is inside of this work tree and untracked: `git clean -ffd` would take it, "
        "a line in .git/info/exclude hides it\n"
    )
    (repo_dir / ".git" / "info").mkdir(exist_ok=True)
    (repo_dir / ".git" / "info" / "exclude").write_text("/src/in\n/other/\n")
    for place in ("other/one", "../beside"):
        assert track(repo_dir, "checkout", NAME, "--worktree", place, check=0).stderr == ""


def test_completion_offers_runs(repo_dir: Path, run: RunRef, track: Track) -> None:
    """As for every verb that takes one."""
    env = {
        "GITTRACK_WORDS": "checkout",
        "GITTRACK_CURRENT": "am",
        "_GIT_TRACK_COMPLETE": "answer_bash",
    }
    assert NAME in track(repo_dir, env=env).stdout


# -- data ---------------------------------------------------------------------------------------


def with_data(place: Path, contents: dict[str, bytes], *more: Data, **fields: Any) -> list[Data]:
    """A run that read these files, whose contents the cache has; and `more` that it has not."""
    repo = Repo.open(place)
    cache = open_cache(repo, setup.read(repo))
    found = []
    for path, content in contents.items():
        hashed = cache.add_bytes(content)
        found.append(Data(path, hashed.md5, hashed.size))
    recorded(repo, {"new.py": ""}, data=(*found, *more), **fields)
    return found


def test_data_comes_along(repo_dir: Path, track: Track) -> None:
    """Byte for byte, at the paths that the run read."""
    raw, table = with_data(repo_dir, {"data/raw/a.bin": b"\0\1" * 600, "table.csv": b"1,2\r\n"})
    done = track(repo_dir, "checkout", NAME, "--worktree", "../x", "--data", check=0)
    place = repo_dir.parent / "x"
    assert (place / "data/raw/a.bin").read_bytes() == b"\0\1" * 600
    assert (place / "table.csv").read_bytes() == b"1,2\r\n"
    assert lines(done.stdout)[1:3] == [
        f"  data/raw/a.bin  {raw.md5[:7]}  1.2 kB",
        f"  table.csv  {table.md5[:7]}  5 B",
    ]
    assert lines(done.stdout)[3].startswith("  cd ../x && ")
    assert not (repo_dir / "data").exists() and not (repo_dir / "table.csv").exists()


def test_data_that_nobody_has_is_said(repo_dir: Path, track: Track) -> None:
    """The rest comes, and the exit code says that something is missing."""
    gone = Data("gone.csv", "1" * 32, 5, pointer="gone.csv.dvc")
    never = Data("never.csv", "3" * 32, 5)
    outside = Data("/srv/big.csv", "2" * 32, 5)
    with_data(repo_dir, {"table.csv": b"1,2\n"}, gone, never, outside)
    done = track(repo_dir, "checkout", NAME, "--worktree", "../x", "--data", check=1)
    assert (repo_dir.parent / "x" / "table.csv").read_bytes() == b"1,2\n"
    assert lines(done.stderr) == [
        "warning: gone.csv is neither in the cache nor in a data remote",
        "warning: never.csv was not under DVC: its hash is on record (3333333), its content not",
        "warning: /srv/big.csv is outside of the repository, and stays what it is now",
    ]


def test_data_that_git_has_is_there_already(repo_dir: Path, track: Track) -> None:
    """Small tables are often committed: they are neither missing nor in any cache."""
    content = b"epochs: 5\nlr: 0.1\n"
    assert (repo_dir / "params.yaml").read_bytes() == content
    same = Data("params.yaml", hashlib.md5(content).hexdigest(), len(content))
    other = Data("train.py", "1" * 32, 5)
    recorded(Repo.open(repo_dir), {}, data=(same,))
    done = track(repo_dir, "checkout", NAME, "--data", check=0)
    assert lines(done.stdout)[1] == f"  params.yaml  {same.md5[:7]}  18 B" and done.stderr == ""
    recorded(Repo.open(repo_dir), {}, data=(same, other), name="b-aaaaaa", id="2" * 32)
    done = track(repo_dir, "checkout", "b-aaaaaa", "--data", check=1)
    assert "warning: train.py was not under DVC" in done.stderr


def test_stock_dvc_finds_the_data_there(repo_dir: Path, git: Git, track: Track) -> None:
    """It would look into a cache of the new work tree's own, and miss everything."""
    set_up(repo_dir, "")
    (repo_dir / ".dvc" / "config.local").write_text("[cache]\n    dir = elsewhere\n")
    repo = Repo.open(repo_dir)
    hashed = open_cache(repo, setup.read(repo)).add_bytes(b"1,2\n")
    pointer = f"outs:\n- md5: {hashed.md5}\n  size: 4\n  hash: md5\n  path: raw.csv\n"
    (repo_dir / "raw.csv.dvc").write_text(pointer)
    git(repo_dir, "add", ".dvc", "raw.csv.dvc")
    git(repo_dir, "commit", "-q", "-m", "data")
    recorded(repo, {}, data=(Data("raw.csv", hashed.md5, 4, pointer="raw.csv.dvc"),))
    track(repo_dir, "checkout", NAME, "--worktree", "../x", "--data", check=0)
    place = repo_dir.parent / "x"
    local = (place / ".dvc" / "config.local").read_text()
    assert local == f'[cache]\n    dir = "{repo_dir}/.dvc/elsewhere"\n'
    assert git(place, "status", "--porcelain") == "?? raw.csv\n"
    dvc = [sys.executable, "-m", "dvc", "data", "status", "--json"]
    assert subprocess.run(dvc, cwd=place, capture_output=True, text=True).stdout == "{}\n"


def test_a_run_without_data(repo_dir: Path, run: RunRef, track: Track) -> None:
    """Nothing to bring is no failure, but it is said."""
    done = track(repo_dir, "checkout", NAME, "--data", check=0)
    assert done.stderr == f"note: {NAME} has no data on record\n"


def test_data_needs_a_work_tree(repo_dir: Path, run: RunRef, git: Git, track: Track) -> None:
    """Known before a branch is made."""
    done = track(repo_dir, "checkout", NAME, "--data", "-b", "again", check=2)
    assert "--data needs a work tree: add --worktree DIR" in done.stderr
    assert git(repo_dir, "branch", "--list", "again") == ""


@pytest.mark.parametrize("path", ["../evil", ".git/config", "a/../../evil", ".git"])
def test_data_with_a_hostile_path(repo_dir: Path, track: Track, path: str) -> None:
    """A record of somebody else's writes nothing outside of the new work tree, nor into Git."""
    with_data(repo_dir, {path: b"evil"})
    done = track(repo_dir, "checkout", NAME, "--worktree", "../x", "--data", check=1)
    assert done.stderr.startswith("error: ")
    assert "evil" not in os.listdir(repo_dir.parent)
    assert (repo_dir.parent / "x" / ".git").read_text() != "evil"
