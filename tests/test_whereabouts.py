"""Where the repository is: the same answer as Git's, in the plain case without asking it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import World
from gittrack import whereabouts
from gittrack.errors import NotARepository, UnsupportedRepository
from gittrack.git import Repo


def _git(place: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=place, check=True, capture_output=True)


def _same(start: Path) -> whereabouts.Place:
    """Make sure that both ways lead to the same directories."""
    place, repo = whereabouts.find(start), Repo.open(start)
    assert os.path.samefile(place.git_dir, repo.git_dir)
    assert os.path.samefile(place.common_dir, repo.common_dir)
    assert place.state == os.path.join(place.common_dir, "gittrack")
    if repo.root is None or place.root is None:
        assert repo.root is None and place.root is None
    else:
        assert os.path.samefile(place.root, repo.root)
    assert dict(place.settings) == dict(repo.config)
    return place


def _plain(top: Path) -> Path:
    return top


def _below(top: Path) -> Path:
    (top / "src" / "deep er").mkdir(parents=True)
    return top / "src" / "deep er"


def _linked(top: Path) -> Path:
    _git(top, "worktree", "add", "-q", "../linked", "-b", "side")
    return top.parent / "linked"


def _bare(top: Path) -> Path:
    _git(top, "clone", "-q", "--bare", ".", "../bare.git")
    return top.parent / "bare.git"


def _inside_git_dir(top: Path) -> Path:
    return top / ".git" / "refs"


def _submodule(top: Path) -> Path:
    _git(top.parent, "clone", "-q", str(top), "other")
    _git(top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", "../other", "sub")
    return top / "sub"


def _moved_work_tree(top: Path) -> Path:
    (top.parent / "elsewhere").mkdir()
    _git(top, "config", "core.worktree", "../../elsewhere")
    return top


def _separate(top: Path) -> Path:
    _git(top.parent, "init", "-q", "--separate-git-dir", "apart.git", "work")
    return top.parent / "work"


def _through_link(top: Path) -> Path:
    (top.parent / "link").symlink_to(top)
    return top.parent / "link"


def _worktree_config(top: Path) -> Path:
    _git(top, "config", "extensions.worktreeConfig", "true")
    return top


def _on_one_line(top: Path) -> Path:
    with open(top / ".git" / "config", "a") as file:
        file.write("[core] bare = true\n")
    return top / ".git"


@pytest.mark.parametrize(
    "make",
    [
        _plain,
        _below,
        _linked,
        _bare,
        _inside_git_dir,
        _submodule,
        _moved_work_tree,
        _separate,
        _through_link,
        _worktree_config,
        _on_one_line,
    ],
)
def test_it_is_where_git_says(repo_dir: Path, make: Callable[[Path], Path]) -> None:
    """An index of another repository would answer for this one."""
    _same(make(repo_dir))


def test_git_dir_in_the_environment_counts(
    repo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks and `git --git-dir` set it."""
    monkeypatch.setenv("GIT_DIR", str(repo_dir / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repo_dir))
    assert os.path.samefile(whereabouts.find(tmp_path).common_dir, repo_dir / ".git")


def test_what_git_refuses_is_refused(tmp_path: Path) -> None:
    """The short way must not find what the long way cannot open."""
    with pytest.raises(NotARepository):
        whereabouts.find(tmp_path)
    (tmp_path / ".git").mkdir()
    with pytest.raises(NotARepository):
        whereabouts.find(tmp_path)
    _git(tmp_path, "init", "-q", "--object-format=sha256", "new")
    with pytest.raises(UnsupportedRepository):
        whereabouts.find(tmp_path / "new")


def test_a_repository_of_somebody_else_is_left_to_git(repo_dir: Path) -> None:
    """`safe.directory` protects from configuration that another user wrote."""
    if os.geteuid():
        place = whereabouts._plain("/")
        assert place is None
        return
    os.chown(repo_dir / ".git", 12345, -1)
    assert whereabouts._plain(str(repo_dir)) is None
    os.chown(repo_dir / ".git", 0, -1)
    assert whereabouts._plain(str(repo_dir)) is not None


def test_settings_are_those_that_git_gives(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Includes, `git -c` and values of several lines count."""
    (repo_dir / "more").write_text("[track]\n\tcolumns = name\n")
    _git(repo_dir, "config", "include.path", "../more")
    _git(repo_dir, "config", "track.alias.good", "metrics.acc > 0.9 and\nnot dirty")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "track.experiment")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "über")
    place = _same(repo_dir)
    assert place.setting("track.columns") == "name"
    assert place.setting("track.alias.good") == "metrics.acc > 0.9 and\nnot dirty"
    assert place.setting("track.experiment") == "über"
    assert place.setting("track.nothing") is None


def test_the_plain_case_needs_neither_libgit2_nor_a_process(repo_dir: Path) -> None:
    """That is what it is for: loading libgit2 takes longer than the whole answer."""
    program = (
        "import sys; from gittrack import whereabouts; p = whereabouts.find(); p.settings\n"
        "print({'pygit2', 'subprocess', 'pathlib', 'dataclasses'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repo_dir, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_repository_is_opened_once(repo_dir: Path) -> None:
    """Whoever asks for objects gets the same handle as the one before."""
    place = whereabouts.find(repo_dir)
    assert place.repo is place.repo
    assert whereabouts.of(place.repo).repo is place.repo


def test_every_kind_of_repository_is_found(every_repo: World) -> None:
    """What is plain here may be odd there: paths that are no UTF-8, sparse and shallow clones."""
    _same(every_repo.path)
