"""What a record that somebody else wrote must never make us do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conftest import Git, Track
from gittrack.errors import GitFailed
from gittrack.git import Repo


def test_a_record_gives_git_no_options(
    repo_dir: Path, git: Git, track: Track, tmp_path: Path
) -> None:
    """`git diff --output=FILE` overwrites any file: a base must be an id and nothing else."""
    target = tmp_path / "precious"
    target.write_text("precious")
    track(repo_dir, "run", "--", sys.executable, "-c", "print('acc: 1.0')", check=0)
    name = git(repo_dir, "for-each-ref", "--format=%(refname)", "refs/runs").strip()
    record = git(repo_dir, "show", f"{name}:.gittrack/run.yaml")
    base = next(line for line in record.splitlines() if line.startswith("  base: "))
    forged = record.replace(base, f"  base: --output={target}")
    (repo_dir / "run.yaml").write_text(forged)
    blob = git(repo_dir, "hash-object", "-w", "run.yaml").strip()
    (repo_dir / "run.yaml").unlink()
    entry = f"100644 blob {blob}\trun.yaml\n"
    (tmp_path / "inner").write_text(entry)
    repo = Repo.open(repo_dir)
    inner = repo.write_tree({"run.yaml": (blob, 0o100644)})
    root = repo.write_tree({".gittrack": (inner, 0o040000)})
    commit = repo.write_commit(
        tree=root,
        parents=[],
        message=repo.read_commit(repo.ref(name) or "").message,
        author=repo.identity(),
        started=1.7e9,
        ended=1.7e9,
    )
    repo.create_ref("refs/runs/default/evil-000001", commit)
    for command in (("show",), ("show", "--patch"), ("show", "--json"), ("diff",)):
        track(repo_dir, *command, "evil-000001", check=1)
    assert target.read_text() == "precious"


@pytest.mark.parametrize("word", ["--output=x", "-O", "main", "HEAD", "", "0" * 39, "main:a.txt"])
def test_only_ids_are_compared(repo_dir: Path, word: str) -> None:
    """Whoever calls: the door itself lets nothing else through."""
    repo = Repo.open(repo_dir)
    good = repo.head()[0] or ""
    with pytest.raises(GitFailed, match="no object id"):
        repo.patch(word, good, without=".gittrack")
    with pytest.raises(GitFailed, match="no object id"):
        repo.changes(good, word, without=".gittrack")
