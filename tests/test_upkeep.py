"""Refs stay few files, and none is lost on the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack import prune, refs, upkeep
from gittrack.errors import GitFailed, UsageError
from gittrack.git import Ref, Repo
from gittrack.refs import RunRef

Git = Callable[..., str]


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    opened = Repo.open(repo_dir)
    opened.sync(False)
    return opened


def make(repo: Repo, count: int, first: int = 0) -> list[RunRef]:
    """So many refs in two experiments, each a file of its own."""
    commit = repo.head()[0]
    assert commit is not None
    made = [
        RunRef(("default", "other")[number % 2], f"run-{number:06}", commit)
        for number in range(first, first + count)
    ]
    refs.create_many(repo, made)
    return made


def everything(git: Git, place: Path) -> str:
    return git(place, "for-each-ref") + git(place, "rev-parse", "HEAD")


def test_a_few_refs_stay_as_they_are(repo: Repo) -> None:
    """Packing costs more than it gives where little was recorded."""
    make(repo, upkeep.MANY - 1)
    assert upkeep.to_pack(repo) == upkeep.pack_refs(repo) == 0
    assert upkeep.loose_runs(repo) == upkeep.MANY - 1


def test_many_refs_become_one_file(repo: Repo, git: Git) -> None:
    """Whoever lists them reads one file then; what they say is the same."""
    made = make(repo, upkeep.MANY)
    assert repo.root is not None
    before = everything(git, repo.root)
    assert upkeep.to_pack(repo) == upkeep.MANY
    assert upkeep.pack_refs(repo) == upkeep.MANY
    assert upkeep.loose_runs(repo) == upkeep.to_pack(repo) == 0
    assert everything(git, repo.root) == before
    assert refs.all_runs(repo) == sorted(made, key=lambda ref: ref.full)


def test_a_count_ends_where_it_is_known_to_be_enough(repo: Repo) -> None:
    """It is counted after each run."""
    make(repo, 20)
    assert upkeep.loose_runs(repo) == 20
    assert upkeep.loose_runs(repo, most=10) in (10, 20)
    assert upkeep.loose_runs(repo, most=7) == 10


@pytest.mark.parametrize("value, packs", [("false", False), ("true", True), ("notbare", True)])
def test_gits_own_setting_decides(repo_dir: Path, git: Git, value: str, packs: bool) -> None:
    """Who told Git to leave the refs alone told us."""
    git(repo_dir, "config", "gc.packRefs", value)
    repo = Repo.open(repo_dir)
    make(repo, upkeep.MANY)
    assert upkeep.pack_refs(repo) == upkeep.MANY * packs


def test_notbare_means_no_in_a_bare_repository(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """As git-config(1) has it."""
    git(tmp_path, "clone", "-q", "--bare", repo_dir, "bare")
    git(tmp_path / "bare", "config", "gc.packRefs", "notbare")
    repo = Repo.open(tmp_path / "bare")
    make(repo, upkeep.MANY)
    assert upkeep.pack_refs(repo) == 0


def test_a_bad_setting_is_an_error(repo_dir: Path, git: Git) -> None:
    """It names the setting, and nothing was packed."""
    git(repo_dir, "config", "gc.packRefs", "perhaps")
    repo = Repo.open(repo_dir)
    make(repo, upkeep.MANY)
    with pytest.raises(UsageError, match=r"(?i)gc\.packrefs"):
        upkeep.pack_refs(repo)
    upkeep.maintain(repo)
    assert upkeep.loose_runs(repo) == upkeep.MANY


def test_without_runs_there_is_nothing_to_count(repo: Repo) -> None:
    """No directory of runs is no error."""
    assert upkeep.loose_runs(repo) == 0
    upkeep.maintain(repo)


def test_after_many_runs_they_are_packed_in_the_background(repo: Repo, git: Git, until) -> None:
    """Nobody has to think of it."""
    assert repo.root is not None
    make(repo, upkeep.MANY)
    before = everything(git, repo.root)
    program = "from gittrack import git, upkeep; upkeep.maintain(git.Repo.open('.'))"
    subprocess.run([sys.executable, "-c", program], cwd=repo.root, check=True)
    until(lambda: upkeep.loose_runs(repo) == 0)
    assert everything(git, repo.root) == before


def test_who_wants_no_maintenance_gets_none(repo_dir: Path, git: Git) -> None:
    """`maintenance.auto` is Git's own word for it."""
    git(repo_dir, "config", "maintenance.auto", "false")
    repo = Repo.open(repo_dir)
    make(repo, upkeep.MANY)
    spawned: list[object] = []
    repo.spawn = lambda *words: spawned.append(words)  # type: ignore[method-assign]
    upkeep.maintain(repo)
    assert not spawned


def test_cleaning_packs_and_says_so(repo: Repo, track, git: Git) -> None:
    """First it only says so."""
    make(repo, upkeep.MANY)
    place = repo.root
    would = track(place, "gc", "-n", check=0).stdout.split("\n")
    assert would[0] == "would put 300 refs of runs into one file"
    assert upkeep.loose_runs(repo) == upkeep.MANY
    did = track(place, "gc", check=0).stdout.split("\n")
    assert did[0] == "put 300 refs of runs into one file"
    assert upkeep.loose_runs(repo) == 0
    assert track(place, "gc", check=0).stdout == "nothing to remove\n"


def test_a_lock_of_somebody_else_is_no_failure(repo: Repo) -> None:
    """What else was to be removed is removed; the refs wait for the next time."""
    make(repo, upkeep.MANY)
    (repo.common_dir / "packed-refs.lock").write_text("")
    with pytest.raises(GitFailed):
        upkeep.pack_refs(repo)
    done = prune.gc(repo, now=0.0, before=0.0)
    assert done.packed == 0 and "packed-refs.lock" in done.kept[0]
    assert upkeep.loose_runs(repo) == upkeep.MANY


_WRITER = """
import sys
from gittrack import refs
from gittrack.git import Repo
repo = Repo.open(sys.argv[1])
repo.sync(False)
commit = repo.head()[0]
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    refs.create(repo, experiment=f"group-{number % 3}", name=f"run-{number:06}", commit=commit)
    print(number, flush=True)
"""


def test_no_ref_is_lost_to_a_race(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two write new runs, each into directories that packing empties and removes; a third deletes.

    Whoever was told that a run exists must find it.
    """
    monkeypatch.setattr(upkeep, "MANY", 1)
    old = make(repo, 40)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(repo.root), str(first), str(first + 400)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for first in (1000, 2000)
    ]
    packed = 0
    try:
        while any(writer.poll() is None for writer in writers):
            packed += upkeep.pack_refs(repo)
            if old:
                refs.delete(repo, [old.pop()])
    finally:
        for writer in writers:
            said = writer.communicate()[1]
            assert writer.returncode == 0, said.decode()
    assert packed > 100
    upkeep.pack_refs(repo)
    there = {ref.name for ref in refs.all_runs(repo)}
    wanted = {f"run-{n:06}" for first in (1000, 2000) for n in range(first, first + 400)}
    assert there == wanted | {ref.name for ref in old}
    assert repo.ref("refs/heads/main") == repo.head()[0]


def test_packed_and_loose_are_the_same_to_who_deletes(repo: Repo) -> None:
    """A deleted run must not come back out of the file."""
    made = make(repo, upkeep.MANY)
    upkeep.pack_refs(repo)
    refs.delete(repo, made[:1])
    assert repo.ref(made[0].full) is None
    repo.delete_refs([Ref(made[1].full, made[1].commit)])
    assert len(refs.all_runs(repo)) == upkeep.MANY - 2
