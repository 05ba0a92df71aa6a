"""`git track init` prepares a clone, says what it did, and may be repeated."""

from __future__ import annotations

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


def test_init_leaves_work_tree_index_and_refs_alone(every_repo, track, git) -> None:
    """Nothing asked, nothing written to the work tree, in any kind of repository."""

    def look() -> list[object]:
        index = Repo.open(every_repo.path).git_dir / "index"
        files = sorted(path for path in every_repo.root.rglob("*") if ".git" not in path.parts)
        return [
            git(every_repo, "for-each-ref"),
            git(every_repo, "status", "--porcelain"),
            index.read_bytes() if index.exists() else None,
            files,
        ]

    before = look()
    track(every_repo, "init", check=0)
    assert look() == before


def test_init_works_in_a_bare_repository(bare_dir: Path, track, git) -> None:
    """There annotations are written too."""
    track(bare_dir, "init", check=0)
    assert git(bare_dir, "config", "track.writer").startswith("ada-lovelace-")


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
    import os

    done = track(repo_dir, "init", env={"PATH": f"{old}:{os.environ['PATH']}"}, check=1)
    assert done.stderr.startswith(f"error: Git {said} is too old")
