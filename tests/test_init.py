"""`git track init` prepares a clone and DVC in it, says what it did, and may be repeated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gittrack.git import Repo


def test_init_is_safe_to_repeat(repo_dir: Path, track, git) -> None:
    """The first says what it set, the second that it is there; both name the same writer."""
    first = track(repo_dir, "init", check=0)
    writer = git(repo_dir, "config", "track.writer").strip()
    assert writer.startswith("ada-lovelace-")
    assert first.stdout.startswith(f"set up {repo_dir}/.git")
    assert writer in first.stdout and first.stderr == ""
    config = (repo_dir / ".git" / "config").read_bytes()
    second = track(repo_dir, "init", check=0)
    assert "is set up already" in second.stdout and writer in second.stdout
    assert (repo_dir / ".git" / "config").read_bytes() == config
    assert (repo_dir / ".git" / "gittrack").is_dir()


def test_init_begins_dvc_and_leaves_all_else_alone(every_repo, track, git) -> None:
    """What `dvc init` makes, unstaged, in any kind of repository: index and refs stay."""

    def look() -> list[object]:
        index = Repo.open(every_repo.path).git_dir / "index"
        return [git(every_repo, "for-each-ref"), index.read_bytes() if index.exists() else None]

    def files() -> set[str]:
        found = every_repo.root.rglob("*")
        return {
            os.path.relpath(path, every_repo.root) for path in found if ".git" not in path.parts
        }

    before, there = look(), files()
    done = track(every_repo, "init", check=0)
    assert look() == before
    made = files() - there
    made -= {".dvc/config.local"} if every_repo.kind == "worktree" else {".dvc/cache"}
    assert made == {".dvc", ".dvc/config", ".dvc/.gitignore", ".dvcignore"}
    assert ".dvc, unstaged: " in done.stdout and done.stderr == ""
    assert track(every_repo, "init", check=0).stdout.count("\n") == 1
    assert look() == before


def test_init_moves_what_was_kept_and_says_so(repo_dir: Path, track) -> None:
    """From inside of .git to where stock DVC looks."""
    kept = repo_dir / ".git" / "gittrack" / "dvc" / "files" / "md5" / "ac"
    kept.mkdir(parents=True)
    (kept / "bd18db4cc2f85cedef654fccc4a4d8").write_bytes(b"foo")
    done = track(repo_dir, "init", check=0)
    assert done.stdout.splitlines()[2] == f"moved 1 object into {repo_dir}/.dvc/cache"
    moved = repo_dir / ".dvc" / "cache" / "files" / "md5" / "ac" / "bd18db4cc2f85cedef654fccc4a4d8"
    assert moved.read_bytes() == b"foo"


def test_init_names_a_broken_configuration(repo_dir: Path, track) -> None:
    """One line that leads to the fault."""
    (repo_dir / ".dvc").mkdir()
    (repo_dir / ".dvc" / "config").write_text("[cache]\ntype = none\n")
    done = track(repo_dir, "init", check=1)
    assert f"error: DVC's configuration {repo_dir}/.dvc/config, line 2: type is" in done.stderr


def test_init_works_in_a_bare_repository(bare_dir: Path, track, git) -> None:
    """There annotations are written too; DVC needs a work tree, and that is said."""
    done = track(bare_dir, "init", check=0)
    assert git(bare_dir, "config", "track.writer").startswith("ada-lovelace-")
    assert done.stderr == "no work tree, so DVC is not set up here; a clone has one\n"


def test_init_outside_of_a_repository_says_so(tmp_path: Path, track) -> None:
    """One line and what helps."""
    done = track(tmp_path, "init", check=1)
    assert done.stdout == ""
    assert done.stderr.startswith("error: '") and "git init" in done.stderr


@pytest.mark.parametrize("said", ["2.35.9", "1.9"])
def test_init_refuses_a_git_that_is_too_old(repo_dir: Path, track, said: str) -> None:
    """Said once and clearly, instead of a strange failure later."""
    old = repo_dir.parent / "bin"
    old.mkdir()
    (old / "git").write_text(f"#!/bin/sh\necho git version {said}\n")
    (old / "git").chmod(0o755)
    done = track(repo_dir, "init", env={"PATH": f"{old}:{os.environ['PATH']}"}, check=1)
    assert done.stderr.startswith(f"error: Git {said} is too old")
