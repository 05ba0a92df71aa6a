"""`--reuse`: what was done is not done again, and only what was."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack import reuse
from gittrack.errors import UsageError
from gittrack.git import Repo
from gittrack.records import Data

STEP = "import pathlib, sys; pathlib.Path('out.txt').write_text(open('in.txt').read().upper())"


@pytest.fixture
def step(repo_dir: Path, git: Git, track: Track) -> Any:
    """Run the step `shout`, which makes out.txt of in.txt -> its name and whether it was reused."""
    (repo_dir / "in.txt").write_text("a")
    (repo_dir / "shout.py").write_text(STEP)
    (repo_dir / ".gitignore").write_text("in.txt\nout.txt\n")
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "shout")

    def run(*options: str, command: tuple[str, ...] = ("shout.py",)) -> tuple[str, bool]:
        done = track(
            repo_dir, "run", "--reuse", "--data", "in.txt", "--out", "out.txt", *options,
            "--", sys.executable, *command, check=0,
        )  # fmt: skip
        first = done.stderr.split("\n")[0].split()
        return first[0], first[1] == "reused"

    return run


def listed(track: Track, place: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(track(place, "ls", "--json", check=0).stdout)
    return found


def test_the_same_again_is_the_run_that_was(step: Any, repo_dir: Path, track: Track) -> None:
    """No second run exists, and its file is there as if the command had run."""
    name, reused = step()
    assert not reused
    (repo_dir / "out.txt").unlink()
    assert step() == (name, True)
    assert (repo_dir / "out.txt").read_text() == "A"
    assert len(listed(track, repo_dir)) == 1


@pytest.mark.parametrize("change", ["code", "data", "params", "words"])
def test_whatever_goes_in_makes_it_another(step: Any, repo_dir: Path, change: str) -> None:
    """A result of other code, data or params would be a wrong answer that looks right."""
    name, _ = step()
    if change == "code":
        (repo_dir / "shout.py").write_text(STEP + "  # louder")
    elif change == "data":
        (repo_dir / "in.txt").write_text("b")
    options = ("-P", "x=1") if change == "params" else ()
    command = ("shout.py", "--twice") if change == "words" else ("shout.py",)
    other, reused = step(*options, command=command)
    assert not reused and other != name
    if change == "data":
        (repo_dir / "in.txt").write_text("a")
        assert step() == (name, True)
        assert (repo_dir / "out.txt").read_text() == "A"


def test_only_the_code_that_counts_counts(step: Any, repo_dir: Path) -> None:
    """Else editing one step of a chain would run them all again."""
    name, _ = step("--code", "shout.py")
    (repo_dir / "train.py").write_text("print('another step')")
    assert step("--code", "shout.py") == (name, True)
    assert step()[1] is False
    (repo_dir / "shout.py").write_text(STEP + "\n")
    assert step("--code", "shout.py")[1] is False


def test_the_code_that_counts_may_be_configured(step: Any, repo_dir: Path, git: Git) -> None:
    """`track.code` stands for `--code`, and may be given several times."""
    git(repo_dir, "config", "--add", "track.code", "shout.py")
    git(repo_dir, "config", "--add", "track.code", "src")
    name, _ = step()
    (repo_dir / "train.py").write_text("print('another step')")
    assert step() == (name, True)
    (repo_dir / "src" / "model.py").write_text("DEPTH = 4")
    assert step()[1] is False


def test_failed_and_deleted_runs_do_not_count(step: Any, repo_dir: Path, track: Track) -> None:
    """A failure may be gone by now, and who deleted a run does not want its result."""
    fails = ("-c", "raise SystemExit(3)")
    for _ in range(2):
        track(repo_dir, "run", "--reuse", "--", sys.executable, *fails, check=3)
    assert len(listed(track, repo_dir)) == 2
    name, _ = step()
    track(repo_dir, "rm", name, check=0)
    again, reused = step()
    assert not reused and again != name


def test_a_run_without_its_files_cannot_stand_in(step: Any, repo_dir: Path) -> None:
    """It is run again, and the reason is said."""
    name, _ = step()
    (repo_dir / "out.txt").unlink()
    for path in (repo_dir / ".git" / "gittrack" / "dvc" / "files").rglob("*"):
        if path.is_file():
            path.unlink()
    again, reused = step()
    assert not reused and again != name
    assert (repo_dir / "out.txt").read_text() == "A"


def test_a_path_that_is_no_code_is_an_error(repo_dir: Path) -> None:
    """A typo would make every run the same as every other."""
    repo = Repo.open(repo_dir)
    tree = repo.read_commit(repo.git("rev-parse", "HEAD").decode().strip()).tree
    with pytest.raises(UsageError, match=r"no 'trian.py' in the code"):
        reuse.fingerprint(
            repo, tree=tree, code=["trian.py"], command=["x"], directory="", params={}, data=()
        )


def test_a_fingerprint_is_of_everything_that_goes_in(repo_dir: Path) -> None:
    """1 and '1', 1 and 1.0 and True are different params."""
    repo = Repo.open(repo_dir)
    tree = repo.read_commit(repo.git("rev-parse", "HEAD").decode().strip()).tree

    def made(**changed: Any) -> str:
        known: dict[str, Any] = {
            "tree": tree, "code": [], "command": ["a", "b"], "directory": "", "params": {"x": 1},
            "data": [Data("d", "0" * 32, 1)],
        }  # fmt: skip
        return reuse.fingerprint(repo, **(known | changed))

    others = [
        made(tree=repo.empty_tree()), made(code=["src"]), made(command=["a b"]),
        made(directory="src"), made(params={"x": "1"}), made(params={"x": 1.0}),
        made(params={"x": True}), made(params={}), made(data=()),
        made(data=[Data("d", "1" * 32, 1)]), made(data=[Data("e", "0" * 32, 1)]),
    ]  # fmt: skip
    assert made() == made() and len({made(), *others}) == len(others) + 1
    assert made(code=["src", "train.py"]) == made(code=["train.py", "src", "src"])
