"""Refs of runs: one grammar, created once, never moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from gittrack import refs
from gittrack.errors import BadName, GitFailed, RunChanged, RunExists
from gittrack.git import Ref, Repo

NAME = "calm-lynx-0xw8nc"


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    return Repo.open(repo_dir)


@pytest.fixture
def commits(git, repo: Repo) -> list[str]:
    return [repo.resolve(name) or "" for name in ("HEAD", "HEAD~1")]


def test_a_run_ref_is_created_found_and_listed(repo: Repo, commits: list[str]) -> None:
    """`git show runs/default/<name>` works by Git's own look-up rule."""
    made = refs.create(repo, experiment="default", name=NAME, commit=commits[0])
    assert made.full == f"refs/runs/default/{NAME}"
    assert repo.resolve(made.short) == commits[0]
    assert refs.find(repo, "default", NAME) == made
    assert refs.all_runs(repo) == [made] == refs.all_runs(repo, experiment="default")
    assert refs.all_runs(repo, experiment="defaul") == []


def test_a_run_ref_is_written_once(repo: Repo, commits: list[str]) -> None:
    """A run never changes; the same commit again is no change, for recovery after a crash."""
    made = refs.create(repo, experiment="default", name=NAME, commit=commits[0])
    assert refs.create(repo, experiment="default", name=NAME, commit=commits[0]) == made
    with pytest.raises(RunExists) as caught:
        refs.create(repo, experiment="default", name=NAME, commit=commits[1])
    assert caught.value.commit == commits[0]
    assert refs.find(repo, "default", NAME) == made


@pytest.mark.parametrize(
    "bad", ["", "A", "a/b", "../x", "a..b", "a.lock", "-a", "a\nb", "con", "a b"]
)
def test_bad_names_never_reach_git(repo: Repo, commits: list[str], bad: str) -> None:
    """Written as a ref they would be there for good."""
    for experiment, name in ((bad, NAME), ("default", bad)):
        with pytest.raises(BadName):
            refs.create(repo, experiment=experiment, name=name, commit=commits[0])
        assert refs.find(repo, experiment, name) is None
    assert repo.refs(refs.ROOT) == []


@pytest.mark.parametrize("ugly", [
    "-x", ";id", "$(id)", "`id`", "'q'", "<b>", "HEAD", "\x9b31m", "\u202ex", "\U0001f600",
    "x" * 200, "a/b/c", "one", "caf\udce9",
])  # fmt: skip
def test_foreign_refs_are_foreign_and_hide_no_run(
    repo: Repo, git, commits: list[str], ugly: str
) -> None:
    """Others use refs/runs/ too, and Git accepts nearly everything."""
    made = refs.create(repo, experiment="default", name=NAME, commit=commits[0])
    full = f"refs/runs/{ugly}" if ugly == "one" else f"refs/runs/default/{ugly}"
    git(repo.root, "update-ref", full, commits[0])
    assert refs.all_runs(repo) == [made]
    assert [ref.name for ref in refs.foreign(repo)] == [full]


def test_broken_refs_hide_no_run(repo: Repo, commits: list[str]) -> None:
    """A zero-length ref file is what a crash of the machine leaves."""
    made = refs.create(repo, experiment="default", name=NAME, commit=commits[0])
    for name, content in (
        ("empty-000000", ""),
        ("short-000000", "1234\n"),
        ("x-000000", "\0" * 41),
    ):
        (repo.common_dir / "refs/runs/default" / name).write_text(content)
        assert refs.find(repo, "default", name) is None
    assert refs.all_runs(repo) == [made]


def test_many_are_created_all_or_none(repo: Repo, commits: list[str]) -> None:
    """A bulk import that stops half way would be neither here nor there."""
    some = [refs.RunRef("e", f"n{number}-000000", commits[0]) for number in range(3)]
    refs.create(repo, experiment="e", name=some[2].name, commit=commits[1])
    with pytest.raises(GitFailed):
        refs.create_many(repo, some)
    assert [ref.name for ref in refs.all_runs(repo)] == [some[2].name]
    refs.create_many(repo, some[:2])
    assert len(refs.all_runs(repo)) == 3


def test_only_what_was_seen_is_deleted(repo: Repo, commits: list[str]) -> None:
    """Somebody may have put another run there."""
    made = refs.create(repo, experiment="e", name=NAME, commit=commits[0])
    with pytest.raises(RunChanged):
        refs.delete(repo, [refs.RunRef("e", NAME, commits[1])])
    assert refs.find(repo, "e", NAME) == made
    refs.delete(repo, [made])
    assert refs.find(repo, "e", NAME) is None


def test_a_held_snapshot_survives_gc(repo: Repo, git) -> None:
    """A run may train for a week while Git collects garbage."""
    blob = repo.write_blob(b"code as it ran")
    tree = repo.write_tree({"a": (blob, 0o100644)})
    refs.hold_snapshot(repo, NAME, tree)
    git(repo.root, "gc", "-q", "--prune=now")
    assert Repo.open(repo.root or "").exists(blob)
    refs.release_snapshot(repo, NAME)
    refs.release_snapshot(repo, NAME)
    git(repo.root, "gc", "-q", "--prune=now")
    assert not Repo.open(repo.root or "").exists(blob)


@pytest.mark.parametrize(
    "name", ["refs/heads/runs/e/n", "refs/runs/n", "refs/runs//n", "refs/runs/e/"]
)
def test_what_has_not_our_form_is_no_run(name: str) -> None:
    """Exactly two levels below refs/runs."""
    assert refs.parse(Ref(name, "0" * 40)) is None
