"""Objects gathered into a pack are the objects that libgit2 would have written one by one."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack.errors import WriteFailed
from gittrack.git import Identity, Repo
from gittrack.git.packs import Pack

ADA = Identity("Ada Lovelace", "ada@example.org")
# Few letters, so that names begin with each other, and those that sort around the slash.
NAMES = st.text("a-.0\u00e9", min_size=1, max_size=3).filter(lambda name: name.strip("."))


@given(st.lists(st.binary(max_size=70_000), max_size=20))
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_git_takes_is_what_was_gathered(bare_dir: Path, blobs: list[bytes]) -> None:
    """The size of an object takes one to three bytes: each length has its own spelling."""
    repo = Repo.open(bare_dir)
    with repo.packed():
        made = [repo.write_blob(data) for data in blobs]
    repo.verify(made)
    assert [repo.read_blob(oid, limit=1 << 20) for oid in made] == blobs


@given(st.dictionaries(NAMES, st.booleans(), max_size=12))
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_tree_sorts_as_git_sorts(bare_dir: Path, names: dict[str, bool]) -> None:
    """`a-b` comes before the directory `a`, and after the file `a`."""
    repo = Repo.open(bare_dir)
    file, directory = (repo.write_blob(b""), 0o100644), (repo.empty_tree(), 0o040000)
    entries = {name: directory if is_tree else file for name, is_tree in names.items()}
    expected = repo.write_tree({".gittrack": file}, base=repo.write_tree(entries))
    base = repo.write_tree(entries)
    with repo.packed():
        assert repo.write_tree({".gittrack": file}, base=base) == expected
        assert repo.write_tree({**entries, ".gittrack": file}) == expected


@pytest.mark.parametrize("parents", [0, 1, 2])
def test_a_gathered_commit_has_the_id_of_a_written_one(repo_dir: Path, parents: int) -> None:
    """Two ways to write one format would be two formats."""
    repo = Repo.open(repo_dir)
    head, _ = repo.head()
    assert head is not None
    dice = random.Random(0)
    for _ in range(20):
        started = dice.uniform(1, 4e9)
        values = {
            "tree": repo.read_commit(head).tree,
            "parents": [head] * parents,
            "message": "amber-otter: finished\n\nn\u00e4chste\n",
            "author": ADA,
            "started": started,
            "ended": started + dice.uniform(0, 1e7),
        }
        with repo.packed():
            gathered = repo.write_commit(**values)  # type: ignore[arg-type]
        assert repo.write_commit(**values) == gathered  # type: ignore[arg-type]


def test_nothing_of_a_pack_that_failed_stays(repo_dir: Path) -> None:
    """An import that stops in the middle leaves no half of it, and the next one starts afresh."""
    repo = Repo.open(repo_dir)
    with pytest.raises(ZeroDivisionError), repo.packed():
        lost = repo.write_blob(b"never stored")
        raise ZeroDivisionError
    assert not repo.exists(lost)
    assert repo.exists(repo.write_blob(b"stored again"))


def test_a_commit_of_a_tree_that_is_not_there_is_refused(repo_dir: Path) -> None:
    """Git checks what it takes: that is what stands for reading back."""
    repo = Repo.open(repo_dir)
    values = {"parents": [], "message": "x", "author": ADA, "started": 1.0, "ended": 1.0}
    with pytest.raises(WriteFailed), repo.packed():
        repo.write_commit(tree="1" * 40, **values)  # type: ignore[arg-type]


def test_an_object_that_comes_twice_is_kept_once(tmp_path: Path) -> None:
    """A thousand runs share their environment."""
    pack = Pack()
    assert pack.add("blob", b"same") == pack.add("blob", b"same")
    assert len(pack) == 1
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    taken = subprocess.run(
        ["git", "index-pack", "--stdin"], cwd=tmp_path, input=pack.data(), capture_output=True
    )
    assert taken.returncode == 0, taken.stderr
