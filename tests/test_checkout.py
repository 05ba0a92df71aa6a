"""The code of a run, given back as a plain commit."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, World
from gittrack import checkout, commits
from gittrack.errors import BadPath, GitFailed, GittrackError, UsageError
from gittrack.git import Identity, Repo
from gittrack.records import Artifact, Code, Run
from gittrack.refs import RunRef

AUTHOR = Identity("Ada Lovelace", "ada@example.org")
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
BLOB, TREE = 0o100644, 0o040000


def recorded(repo: Repo, files: dict[str, str], **more: Any) -> RunRef:
    """A run on HEAD whose code is HEAD's with these files put in at the top."""
    base = repo.head()[0]
    blobs = {name: (repo.write_blob(text.encode()), BLOB) for name, text in files.items()}
    tree = repo.write_tree(blobs, base=repo.read_commit(base).tree if base else None)
    return written(repo, tree, **more)


def written(repo: Repo, tree: str, **more: Any) -> RunRef:
    """A run on HEAD with this tree."""
    fields: dict[str, Any] = {
        "id": "1" * 32, "name": "amber-otter-7f3kq2", "experiment": "default",
        "status": "finished", "started": NOON, "ended": NOON + timedelta(seconds=4),
        "command": ("python", "train.py", "--lr", "0.1"), "code": Code(base=repo.head()[0]),
    }  # fmt: skip
    return commits.write(repo, Run(**fields | more), tree=tree, author=AUTHOR)


def files_of(place: Path) -> dict[str, str]:
    """Every file below a work tree, Git's own left out."""
    return {
        os.path.relpath(os.path.join(here, name), place): Path(here, name).read_text()
        for here, _, names in os.walk(place)
        for name in names
        if name != ".git"
    }


def test_the_code_comes_back_as_it_ran(
    every_repo: World, git: Git, state_of: Callable[..., Any], tmp_path: Path
) -> None:
    """In every kind of repository, and nothing of the user's moves."""
    repo = Repo.open(every_repo.path)
    (every_repo.root / "train.py").write_text("something else by now")
    ref = recorded(repo, {"train.py": "print(1)\n", "new.py": "NEW = 1\n"})
    before = {k: v for k, v in state_of(every_repo).items() if k != "git: ."}
    place = tmp_path / "deep" / "place"
    made = checkout.as_worktree(repo, ref, place, author=AUTHOR)
    found = files_of(place)
    assert (found["train.py"], found["new.py"]) == ("print(1)\n", "NEW = 1\n")
    assert not (place / ".gittrack").exists()
    assert git(place, "status", "--porcelain") == ""
    assert git(place, "rev-parse", "HEAD").strip() == made.commit
    parents = git(place, "rev-list", "--parents", "-1", "HEAD").split()[1:]
    assert parents == ([made.base] if made.base else [])
    assert made.base == repo.head()[0]
    after = state_of(every_repo)
    assert {k: v for k, v in after.items() if k in before} == before
    assert all(k == "git: ." or k.startswith("git: worktrees") for k in after.keys() - before)


def test_unchanged_code_is_the_base_itself(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """A commit that changes nothing says less than the one that is there."""
    repo = Repo.open(repo_dir)
    made = checkout.as_worktree(repo, recorded(repo, {}), tmp_path / "x", author=AUTHOR)
    assert made.commit == made.base == repo.head()[0]
    assert git(tmp_path / "x", "rev-parse", "--abbrev-ref", "HEAD") == "HEAD\n"


def test_the_commit_says_which_run(repo_dir: Path, git: Git) -> None:
    """And is no run itself; made twice it is one commit."""
    repo = Repo.open(repo_dir)
    ref = recorded(repo, {"new.py": ""}, command=("python", "x\nRun-Id: 2", "\x1b[2J"))
    made = [checkout.as_branch(repo, ref, name, author=AUTHOR) for name in ("a", "b")]
    assert made[0].commit == made[1].commit != ref.commit
    message = repo.read_commit(made[0].commit).message
    assert message.startswith("Code of amber-otter-7f3kq2\n\n")
    trailers = git(repo_dir, "log", "-1", "--format=%(trailers:key=Run-Id,valueonly)", "a")
    assert trailers.strip() == "1" * 32
    assert "\x1b" not in message
    assert [
        ref.name for ref in commits.listing(repo, [RunRef("e", "x", made[0].commit)]).runs
    ] == []


def test_a_branch_alone_checks_nothing_out(
    repo_dir: Path, git: Git, state_of: Callable[..., Any]
) -> None:
    """Who wants a branch may not want to leave the one he is on."""
    repo = Repo.open(repo_dir)
    ref = recorded(repo, {"new.py": ""})
    before = state_of(repo_dir)
    made = checkout.as_branch(repo, ref, "try/again", author=AUTHOR)
    assert (made.branch, made.worktree) == ("try/again", None)
    assert git(repo_dir, "rev-parse", "try/again").strip() == made.commit
    changed = {k for k, v in state_of(repo_dir).items() if before.get(k) != v}
    own = ("refs/heads", "logs/refs/heads")
    assert all(k.removeprefix("git: ").startswith(own) for k in changed)


def test_a_work_tree_on_a_branch(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """Commits made there must stay somewhere; a tag of that name is no branch."""
    repo = Repo.open(repo_dir)
    git(repo_dir, "tag", "again", "HEAD~1")
    ref = recorded(repo, {"new.py": ""})
    made = checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR, branch="again")
    assert git(tmp_path / "x", "symbolic-ref", "HEAD") == "refs/heads/again\n"
    assert git(tmp_path / "x", "rev-parse", "HEAD").strip() == made.commit
    assert git(tmp_path / "x", "status", "--porcelain") == ""


def test_a_bare_repository_gets_a_work_tree(bare_dir: Path, git: Git, tmp_path: Path) -> None:
    """A server may hold the runs of everybody."""
    repo = Repo.open(bare_dir)
    ref = recorded(repo, {"new.py": ""})
    assert checkout.usual_place(repo, ref) == tmp_path / "bare-amber-otter-7f3kq2"
    checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR)
    assert "new.py" in files_of(tmp_path / "x")


def test_the_usual_place_is_beside_the_repository(
    every_repo: World, git: Git, tmp_path: Path
) -> None:
    """Within it, it would be an untracked directory; from any of its work trees it is the same."""
    repo = Repo.open(every_repo.path)
    name = {"worktree": "repo", "submodule": "inner"}.get(every_repo.kind, every_repo.root.name)
    ref = RunRef("default", "amber-otter-7f3kq2", "")
    place = checkout.usual_place(repo, ref)
    assert place.name == f"{name}-amber-otter-7f3kq2"
    assert not place.is_relative_to(every_repo.root)


# -- .dvc/config --------------------------------------------------------------------------------


def with_config(repo: Repo, *others: str) -> str:
    """HEAD's tree with `.dvc/config` and other empty files in `.dvc`."""
    names = ("config", *others)
    inner = repo.write_tree({name: (repo.write_blob(b""), BLOB) for name in names})
    base = repo.head()[0] or ""
    return repo.write_tree({".dvc": (inner, TREE)}, base=repo.read_commit(base).tree)


@pytest.mark.parametrize("others", [(), (".gitignore",)])
def test_what_gittrack_added_for_dvc_stays_out(
    repo_dir: Path, tmp_path: Path, others: tuple[str, ...]
) -> None:
    """It is no code of the user's; what `dvc init` made is."""
    repo = Repo.open(repo_dir)
    ref = written(repo, with_config(repo, *others))
    checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR)
    assert (tmp_path / "x" / ".dvc" / "config").exists() == bool(others)
    assert checkout.own_files(repo, ref) == (() if others else (".dvc/config",))


def test_a_config_that_the_base_has_is_the_users(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """However few files there are in `.dvc`."""
    (repo_dir / ".dvc").mkdir()
    (repo_dir / ".dvc" / "config").write_text("")
    git(repo_dir, "add", "-A")
    git(repo_dir, "commit", "-q", "-m", "dvc")
    repo = Repo.open(repo_dir)
    ref = recorded(repo, {"new.py": ""})
    checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR)
    assert (tmp_path / "x" / ".dvc" / "config").exists()
    assert checkout.own_files(repo, ref) == ()


def test_pointers_to_artifacts_stay_out_too(repo_dir: Path, tmp_path: Path) -> None:
    """They are the record's."""
    repo = Repo.open(repo_dir)
    base = repo.read_commit(repo.head()[0] or "").tree
    ref = written(repo, base, artifacts=(Artifact("out/model.bin", "0" * 32, 4),))
    made = checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR)
    assert made.commit == made.base


# -- refusals -----------------------------------------------------------------------------------


def refused(repo: Repo, git: Git, run: Callable[[], object]) -> GittrackError:
    """What is raised, when nothing may be left behind."""
    assert repo.root is not None

    def state() -> tuple[str, ...]:
        listings = (("worktree", "list"), ("for-each-ref",), ("status", "--porcelain"))
        return tuple(git(repo.root or "", *words) for words in listings)

    before = state()
    with pytest.raises(GittrackError) as caught:
        run()
    assert state() == before
    return caught.value


def test_a_place_that_is_taken(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """What stands there is somebody's; an empty directory is nobody's."""
    repo = Repo.open(repo_dir)
    ref = recorded(repo, {"new.py": ""})
    full, file, dangling = tmp_path / "full", tmp_path / "file", tmp_path / "dangling"
    full.mkdir()
    (full / "x").write_text("mine")
    file.write_text("mine")
    dangling.symlink_to(tmp_path / "nowhere")
    for place in (full, file, dangling, repo_dir, repo_dir / ".git" / "new"):
        error = refused(
            repo, git, lambda place=place: checkout.as_worktree(repo, ref, place, author=AUTHOR)
        )
        assert isinstance(error, BadPath) and os.fspath(place) in error.message
        assert error.hint is not None and "--worktree DIR" in error.hint
    assert (full / "x").read_text() == file.read_text() == "mine"
    (tmp_path / "empty").mkdir()
    checkout.as_worktree(repo, ref, tmp_path / "empty", author=AUTHOR)
    assert (tmp_path / "empty" / "new.py").exists()


def test_a_branch_that_exists_stays_where_it_is(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """Also where it points to the very commit that the work tree would get."""
    repo = Repo.open(repo_dir)
    for ref in (recorded(repo, {}), recorded(repo, {"new.py": ""}, name="b-aaaaaa", id="2" * 32)):
        for make in (
            lambda ref=ref: checkout.as_branch(repo, ref, "main", author=AUTHOR),
            lambda ref=ref: checkout.as_worktree(
                repo, ref, tmp_path / "x", author=AUTHOR, branch="main"
            ),
        ):
            error = refused(repo, git, make)
            assert error.message == "a branch named 'main' already exists"
            assert error.hint == "choose another name for the branch."
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["", "-x", "a b", "a..b", "HEAD", "x.lock", "\x1b", "@{-1}"])
def test_a_branch_that_git_would_not_take(repo_dir: Path, git: Git, name: str) -> None:
    """Nothing that stands for an option, or for another branch."""
    repo = Repo.open(repo_dir)
    ref = recorded(repo, {"new.py": ""})
    error = refused(repo, git, lambda: checkout.as_branch(repo, ref, name, author=AUTHOR))
    assert isinstance(error, (UsageError, GitFailed))


def hostile(repo: Repo, git: Git, name: str) -> str:
    """A tree with `NAME/config` and one good file, as only somebody who means harm writes it."""
    blob = repo.write_blob(b"[core]\n\thooksPath = /tmp\n")
    inner = repo.write_tree({"config": (blob, BLOB)})
    body = b""
    for entry, mode, oid in sorted([(b"a.py", b"100644", blob), (name.encode(), b"40000", inner)]):
        body += mode + b" " + entry + b"\0" + bytes.fromhex(oid)
    file = repo.common_dir.parent.parent / "tree"
    file.write_bytes(body)
    return git(
        repo.common_dir, "hash-object", "-t", "tree", "-w", "--literally", os.fspath(file)
    ).strip()


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", "..", "."])
def test_a_tree_that_git_refuses(repo_dir: Path, git: Git, tmp_path: Path, name: str) -> None:
    """Checked before anything is made: a branch of it would be a trap for later."""
    repo = Repo.open(repo_dir)
    ref = written(repo, hostile(repo, git, name))
    for make in (
        lambda: checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR, branch="x"),
        lambda: checkout.as_branch(repo, ref, "x", author=AUTHOR),
    ):
        error = refused(repo, git, make)
        assert "cannot be checked out: invalid path" in error.message
    assert not (tmp_path / "x").exists()


def test_a_checkout_that_fails_leaves_no_branch(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """A filter that refuses, like a full disk, is found in the middle."""
    repo = Repo.open(repo_dir)
    git(repo_dir, "config", "filter.picky.smudge", "false")
    git(repo_dir, "config", "filter.picky.required", "true")
    ref = recorded(repo, {".gitattributes": "new.py filter=picky\n", "new.py": "x\n"})
    error = refused(
        repo,
        git,
        lambda: checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR, branch="x"),
    )
    assert "smudge filter picky failed" in error.message
    assert not (tmp_path / "x").exists()


def test_an_interrupted_checkout_leaves_nothing(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """Half a work tree looks like one whose files somebody deleted."""
    repo = Repo.open(repo_dir)
    git(repo_dir, "config", "filter.slow.smudge", f"kill -INT {os.getpid()}; cat")
    ref = recorded(repo, {".gitattributes": "new.py filter=slow\n", "new.py": "x\n"})
    before = git(repo_dir, "worktree", "list"), git(repo_dir, "for-each-ref")
    with pytest.raises(KeyboardInterrupt):
        checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR, branch="x")
    assert (git(repo_dir, "worktree", "list"), git(repo_dir, "for-each-ref")) == before
    assert not (tmp_path / "x").exists()


def test_a_base_that_is_not_here(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """In a shallow clone; a commit on nothing would look like the whole project was new."""
    repo = Repo.open(repo_dir)
    ref = recorded(repo, {"new.py": ""})
    shallow = tmp_path / "shallow"
    git(tmp_path, "init", "-q", str(shallow))
    git(shallow, "fetch", "-q", "--depth", "1", repo_dir.as_uri(), f"{ref.full}:{ref.full}")
    there = Repo.open(shallow)
    error = refused(
        there, git, lambda: checkout.as_worktree(there, ref, tmp_path / "x", author=AUTHOR)
    )
    assert "is not here" in error.message and "--unshallow" in (error.hint or "")


# -- Git's own traps ----------------------------------------------------------------------------


def test_no_hook_is_started(repo_dir: Path, tmp_path: Path) -> None:
    """Many do what a file in the work tree tells them, and this one is somebody else's."""
    repo = Repo.open(repo_dir)
    hook = repo_dir / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\n")
    hook.chmod(0o755)
    checkout.as_worktree(repo, recorded(repo, {"n.py": ""}), tmp_path / "x", author=AUTHOR)
    assert not (tmp_path / "started").exists()


def test_within_a_hook_the_index_of_the_user_stays(
    repo_dir: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`git worktree add` fills whatever index GIT_INDEX_FILE names."""
    index = tmp_path / "index"
    index.write_bytes((repo_dir / ".git" / "index").read_bytes())
    before = index.read_bytes()
    monkeypatch.setenv("GIT_INDEX_FILE", str(index))
    repo = Repo.open(repo_dir)
    checkout.as_worktree(repo, recorded(repo, {"n.py": ""}), tmp_path / "x", author=AUTHOR)
    assert index.read_bytes() == before
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert git(tmp_path / "x", "status", "--porcelain") == ""


def test_submodules_stay_empty(repo_dir: Path, git: Git, tmp_path: Path) -> None:
    """As `git worktree add` leaves them: to fill them would ask other hosts."""
    allow = ("-c", "protocol.file.allow=always")
    outer = tmp_path / "outer"
    git(tmp_path, "init", "-q", str(outer))
    git(outer, *allow, "submodule", "--quiet", "add", str(repo_dir), "inner")
    git(outer, "commit", "-q", "-m", "inner")
    repo = Repo.open(outer)
    checkout.as_worktree(repo, recorded(repo, {"n.py": ""}), tmp_path / "x", author=AUTHOR)
    assert os.listdir(tmp_path / "x" / "inner") == []


# -- the cache of DVC ---------------------------------------------------------------------------


def of_project(repo: Repo, **files: tuple[str, int]) -> RunRef:
    """A run whose code has a `.dvc` with these files, and is otherwise empty."""
    blobs = {name.replace("__", "."): (repo.write_blob(text.encode()), mode)
             for name, (text, mode) in files.items()}  # fmt: skip
    return written(repo, repo.write_tree({".dvc": (repo.write_tree(blobs), TREE)}))


def test_dvc_in_the_new_work_tree_is_told_of_the_cache(bare_dir: Path, tmp_path: Path) -> None:
    """Whatever the code's own configuration says, which may be anybody's and is not even read."""
    repo = Repo.open(bare_dir)
    ref = of_project(repo, config=("[cache\n dir = /etc\n", BLOB), __gitignore=("", BLOB))
    checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR)
    local = tmp_path / "x" / ".dvc" / "config.local"
    assert local.read_text() == f'[cache]\n    dir = "{repo.state}/dvc"\n'


def test_dvc_is_told_nothing_where_it_was_told(repo_dir: Path, tmp_path: Path) -> None:
    """Or where the code knows no DVC."""
    repo = Repo.open(repo_dir)
    ref = of_project(repo, config=("", BLOB), config__local=("[core]\n", BLOB))
    checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR)
    assert (tmp_path / "x" / ".dvc" / "config.local").read_text() == "[core]\n"
    plain = recorded(repo, {"new.py": ""}, name="b-aaaaaa", id="2" * 32)
    checkout.as_worktree(repo, plain, tmp_path / "y", author=AUTHOR)
    assert not (tmp_path / "y" / ".dvc").exists()


def test_no_symlink_leads_what_dvc_is_told_astray(repo_dir: Path, tmp_path: Path) -> None:
    """The code of a run may be a stranger's."""
    repo, victim = Repo.open(repo_dir), tmp_path / "victim"
    victim.mkdir()
    (victim / "config").write_text("")
    link = (repo.write_blob(os.fsencode(victim)), 0o120000)
    ref = written(repo, repo.write_tree({".dvc": link}))
    checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR)
    assert os.listdir(victim) == ["config"]
    assert (tmp_path / "x" / ".dvc").is_symlink()


def test_a_configuration_that_cannot_be_read_stops_no_checkout(
    repo_dir: Path, tmp_path: Path
) -> None:
    """The code is what was asked for."""
    repo = Repo.open(repo_dir)
    ref = of_project(repo, config=("", BLOB), __gitignore=("", BLOB))
    (repo_dir / ".dvc").mkdir()
    (repo_dir / ".dvc" / "config").write_text("[cache\n")
    checkout.as_worktree(repo, ref, tmp_path / "x", author=AUTHOR)
    assert (tmp_path / "x" / ".dvc" / "config").exists()
