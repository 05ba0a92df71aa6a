"""The code as it ran, in a tree; and the user's repository, which never notices."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack import snapshot
from gittrack.errors import GitFailed, UnsupportedRepository, UsageError
from gittrack.git import Repo
from gittrack.intake import UNFINISHED
from gittrack.records import Skipped, Snapshot

KEY = "ghp_" + "R4nD0mLk3yZ9qW7eT5uI1oP8aS6dF2gH0jKx"
UNPRIVILEGED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Root reads everything; without these capabilities it is like anybody else."""


def take(place: Path, scratch: Path, mode: str = "all") -> Snapshot:
    scratch.mkdir(exist_ok=True)
    return snapshot.take(Repo.open(place), mode=mode, scratch=scratch)


def run_git(place: Path, *arguments: str, env: dict[str, str] | None = None) -> bytes:
    done = subprocess.run(
        ["git", *arguments], cwd=place, env={**os.environ, **(env or {})}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def files(place: Path, tree: str) -> dict[bytes, str]:
    """Path -> mode and blob of every file of a tree."""
    listed = run_git(place, "ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")
    return {line.split(b"\t", 1)[1]: line.split(b"\t")[0].decode() for line in listed if line}


def content(place: Path, tree: str, path: bytes) -> bytes:
    return run_git(place, "cat-file", "-p", files(place, tree)[path].split()[2])


def as_git_adds(place: Path, tmp_path: Path, *without: str) -> str:
    """The tree that `git add -A` would make, by a copy of the index with the index's own time."""
    index = Path(run_git(place, "rev-parse", "--git-path", "index").decode().strip())
    copy = tmp_path / "index-of-the-test"
    if (place / index).exists():
        shutil.copy2(place / index, copy)
    env = {"GIT_INDEX_FILE": str(copy)}
    top = run_git(place, "rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape")[:-1]
    left_out = [f":(exclude,top,literal){path}" for path in without]
    config = ("-c", "core.splitIndex=false", "-c", "core.safecrlf=false")
    run_git(Path(top), *config, "add", "-A", "--sparse", "--", ":/", *left_out, env=env)
    written = run_git(Path(top), *config, "write-tree", env=env).decode().strip()
    copy.unlink()
    return written


def dirty(root: Path) -> None:
    """A bit of everything that a work tree can be."""
    (root / "train.py").write_text("print('changed')\n")
    (root / "staged.py").write_text("1\n")
    run_git(root, "add", "staged.py")
    (root / "staged.py").write_text("2\n")
    (root / "new file.py").write_text("3\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("train.py")
    (root / "nowhere").symlink_to("not/there")
    (root / "wished-for.py").write_text("4\n")
    run_git(root, "add", "--intent-to-add", "wished-for.py")
    (root / "ignored.log").write_text("5\n")
    (root / "fresh" / "deep").mkdir(parents=True)
    (root / "fresh" / "deep" / "x.py").write_text("6\n")


# -- what is in it ------------------------------------------------------------------------------


def test_holds_what_git_add_would_and_touches_nothing(every_repo, tmp_path, state_of) -> None:
    """Git itself says what the code is; and HEAD, index, reflogs and files stay byte for byte."""
    dirty(every_repo.root)
    if (every_repo.root / ".gitignore").exists():
        assert b"ignored.log" not in run_git(every_repo.root, "status", "-z", "--porcelain")
    before = state_of(every_repo)
    taken = take(every_repo.path, tmp_path / "scratch")
    assert state_of(every_repo) == before
    assert taken.tree == as_git_adds(every_repo.root, tmp_path)
    assert taken.code.dirty and taken.code.skipped == ()
    assert {"new file.py", "link", "nowhere", "run.sh"} <= set(taken.code.included)
    assert content(every_repo.root, taken.tree, b"staged.py") == b"2\n"


def test_tracked_changes_equal_a_stash(every_repo, tmp_path, state_of) -> None:
    """`git stash create` is Git's own word for uncommitted work."""
    if every_repo.kind == "empty":
        pytest.skip("git stash needs a commit")
    root = every_repo.root
    (root / "train.py").unlink()
    (root / "params.yaml").write_text("epochs: 9\n")
    (root / "src" / "model.py").chmod(0o755)
    (root / "untracked.py").write_text("1\n")
    before = state_of(every_repo)
    taken = take(every_repo.path, tmp_path / "scratch", mode="tracked")
    assert state_of(every_repo) == before
    stash = run_git(root, "stash", "create").decode().strip()
    assert taken.tree == run_git(root, "rev-parse", stash + "^{tree}").decode().strip()
    assert set(taken.changed) == {"train.py", "params.yaml", "src/model.py"}
    assert taken.code.included == ()


def test_a_clean_tree_is_its_commit(every_repo, tmp_path, state_of) -> None:
    """Nothing is written where nothing changed."""
    if every_repo.kind == "empty":
        pytest.skip("it has no commit")
    before = state_of(every_repo)
    taken = take(every_repo.path, tmp_path / "scratch")
    assert state_of(every_repo) == before
    assert taken.tree == run_git(every_repo.root, "rev-parse", "HEAD^{tree}").decode().strip()
    assert not taken.code.dirty
    assert taken.code.base == run_git(every_repo.root, "rev-parse", "HEAD").decode().strip()
    expected = {"detached": None, "worktree": "linked"}.get(every_repo.kind, "main")
    if every_repo.kind != "submodule":
        assert taken.code.branch == expected


def test_an_empty_repository_without_files(tmp_path, git) -> None:
    """The very first thing that somebody may do."""
    (tmp_path / "r").mkdir()
    git(tmp_path / "r", "init", "-q")
    taken = take(tmp_path / "r", tmp_path / "scratch")
    assert files(tmp_path / "r", taken.tree) == {}
    assert taken.code.base is None and not taken.code.dirty


@pytest.mark.parametrize("mode", ["tracked", "off"])
def test_less_is_taken_on_demand(repo_dir, tmp_path, mode) -> None:
    """`track.snapshot` is for repositories where a work tree holds what must not be kept."""
    dirty(repo_dir)
    taken = take(repo_dir, tmp_path / "scratch", mode=mode)
    kept = files(repo_dir, taken.tree)
    assert b"new file.py" not in kept
    if mode == "off":
        assert taken.tree == run_git(repo_dir, "rev-parse", "HEAD^{tree}").decode().strip()
    else:
        assert content(repo_dir, taken.tree, b"train.py") == b"print('changed')\n"
        assert content(repo_dir, taken.tree, b"wished-for.py") == b"4\n"


def test_an_unknown_mode_is_refused(repo_dir, tmp_path) -> None:
    """A misspelt setting must not quietly mean another."""
    with pytest.raises(UsageError, match=r"track\.snapshot is 'everything'"):
        take(repo_dir, tmp_path / "scratch", mode="everything")


def test_a_bare_repository_has_no_code(bare_dir, tmp_path) -> None:
    """One clear line instead of an empty snapshot."""
    with pytest.raises(UnsupportedRepository, match="bare"):
        take(bare_dir, tmp_path / "scratch")


def test_a_file_becomes_a_directory_and_the_other_way(repo_dir, tmp_path) -> None:
    """The index cannot hold both, so the old entry must go before the new one comes."""
    (repo_dir / "train.py").unlink()
    (repo_dir / "train.py").mkdir()
    (repo_dir / "train.py" / "main.py").write_text("1\n")
    shutil.rmtree(repo_dir / "notes")
    (repo_dir / "notes").write_text("2\n")
    shutil.rmtree(repo_dir / "src")
    (repo_dir / "src").symlink_to(tmp_path)
    (repo_dir / "params.yaml").unlink()
    (repo_dir / "params.yaml").symlink_to("train.py")
    taken = take(repo_dir, tmp_path / "scratch")
    assert taken.tree == as_git_adds(repo_dir, tmp_path)
    kept = files(repo_dir, taken.tree)
    assert {b"train.py/main.py", b"notes", b"src", b"params.yaml"} <= set(kept)
    assert kept[b"src"].startswith("120000") and kept[b"params.yaml"].startswith("120000")


def test_a_file_that_git_hides_gives_way_to_a_directory(repo_dir, tmp_path) -> None:
    """Its entry is in nobody's list of changes, and would make the new one impossible."""
    run_git(repo_dir, "update-index", "--assume-unchanged", "train.py")
    (repo_dir / "train.py").unlink()
    (repo_dir / "train.py").mkdir()
    (repo_dir / "train.py" / "main.py").write_text("1\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert b"train.py/main.py" in files(repo_dir, taken.tree)


def test_a_file_that_is_no_longer_tracked(repo_dir, tmp_path) -> None:
    """`git rm --cached` is how people take out what is large or secret: it must not come back."""
    for name in ("big.bin", ".env", "kept.py", "data.log"):
        (repo_dir / name).write_bytes(b"#" * (snapshot.FILE_LIMIT + 1 if "big" in name else 1))
    run_git(repo_dir, "add", "-A", "--force")
    run_git(repo_dir, "commit", "-q", "-m", "all")
    run_git(repo_dir, "rm", "-q", "--cached", "big.bin", ".env", "kept.py", "data.log")
    taken = take(repo_dir, tmp_path / "scratch")
    assert set(taken.changed) == {"big.bin", ".env", "kept.py", "data.log"} and taken.code.dirty
    assert taken.code.included == ("kept.py",)
    assert reasons(taken.code.skipped) == {"big.bin": "over 1 MiB", ".env": "looks secret"}
    assert taken.tree == as_git_adds(repo_dir, tmp_path, "big.bin", ".env")


def test_an_unmerged_index_is_resolved_by_the_work_tree(repo_dir, tmp_path, state_of) -> None:
    """In the middle of a merge people run things too; the conflict stays theirs."""
    run_git(repo_dir, "checkout", "-q", "-b", "other")
    (repo_dir / "train.py").write_text("other\n")
    (repo_dir / "src" / "model.py").unlink()
    run_git(repo_dir, "commit", "-q", "-a", "-m", "other")
    run_git(repo_dir, "checkout", "-q", "main")
    (repo_dir / "train.py").write_text("main\n")
    (repo_dir / "src" / "model.py").write_text("DEPTH = 5\n")
    run_git(repo_dir, "commit", "-q", "-a", "-m", "main")
    done = subprocess.run(["git", "merge", "other"], cwd=repo_dir, capture_output=True)
    assert done.returncode == 1
    before = state_of(repo_dir)
    taken = take(repo_dir, tmp_path / "scratch")
    assert state_of(repo_dir) == before
    assert b"<<<<<<< HEAD" in content(repo_dir, taken.tree, b"train.py")
    assert taken.tree == as_git_adds(repo_dir, tmp_path)
    assert set(taken.changed) == {"train.py", "src/model.py"}


def test_names_of_every_kind(repo_dir, tmp_path) -> None:
    """Names go to Git NUL-terminated, and to the record as Git quotes them."""
    names = [
        b"a b.py",
        b"-n.py",
        b"new\nline.py",
        b"tab\t.py",
        b'"q".py',
        b"\xfc.py",
        b"back\\s.py",
    ]
    names += ["模.py".encode(), b":(glob)x.py", b"*.py", b" lead", b"trail ", b"\x1b[2J.py"]
    for name in names:
        (repo_dir / os.fsdecode(name)).write_bytes(name)
    taken = take(repo_dir, tmp_path / "scratch")
    for name in names:
        assert content(repo_dir, taken.tree, name) == name
    assert taken.tree == as_git_adds(repo_dir, tmp_path)
    assert '"new\\nline.py"' in taken.code.included and '"\\374.py"' in taken.code.included
    assert '"\\033[2J.py"' in taken.code.included
    for path in taken.code.included:
        path.encode()


def test_names_that_git_takes_for_its_own_directory(repo_dir, tmp_path) -> None:
    """`git add` passes them over silently: the record must not claim to hold them."""
    (repo_dir / "git~1").write_text("1\n")
    (repo_dir / "src" / ".GIT").mkdir()
    (repo_dir / "src" / ".GIT" / "x").write_text("1\n")
    (repo_dir / "git~10").write_text("1\n")
    (repo_dir / ".github").mkdir()
    (repo_dir / ".github" / "x.yml").write_text("1\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert set(taken.code.included) == {"git~10", ".github/x.yml"}
    assert set(taken.code.included) <= {path.decode() for path in files(repo_dir, taken.tree)}
    assert {item.path for item in taken.code.skipped} == {"git~1", "src/.GIT/x"}


def test_many_untracked_files(repo_dir, tmp_path) -> None:
    """As many as a directory of small code files ever has; the rest is counted, not listed."""
    (repo_dir / "many").mkdir()
    (repo_dir / "many" / "0000.py").touch()
    for number in range(1, 5_003):
        os.link(repo_dir / "many" / "0000.py", repo_dir / "many" / f"{number:04}.py")
    taken = take(repo_dir, tmp_path / "scratch")
    assert len(taken.code.included) == 5_000
    assert {item.path for item in taken.code.skipped} == {f"many/500{n}.py" for n in range(3)}
    assert len(files(repo_dir, taken.tree)) == 5_000 + len(run_git(repo_dir, "ls-files").split())


# -- what stays out, and that it is said --------------------------------------------------------


def reasons(skipped: tuple[Skipped, ...]) -> dict[str, str]:
    return {item.path: item.reason for item in skipped}


def test_a_large_untracked_file_stays_out(repo_dir, tmp_path) -> None:
    """One byte decides; tracked files have no limit, because the user chose to track them."""
    (repo_dir / "at.bin").write_bytes(bytes(snapshot.FILE_LIMIT))
    (repo_dir / "over.bin").write_bytes(bytes(snapshot.FILE_LIMIT + 1))
    (repo_dir / "train.py").write_bytes(bytes(snapshot.FILE_LIMIT + 1))
    taken = take(repo_dir, tmp_path / "scratch")
    assert taken.code.included == ("at.bin",)
    assert reasons(taken.code.skipped) == {"over.bin": "over 1 MiB"}
    assert taken.tree == as_git_adds(repo_dir, tmp_path, "over.bin")


def test_what_get_has_not_finished_is_no_code(repo_dir, tmp_path) -> None:
    """Half a file would go into every snapshot until somebody removed it."""
    (repo_dir / "code.py").write_text("1\n")
    (repo_dir / "new").mkdir()
    for name in (UNFINISHED + "1", f"new/{UNFINISHED}2"):
        (repo_dir / name).write_text("half")
    taken = take(repo_dir, tmp_path / "scratch")
    assert (taken.code.included, taken.code.skipped) == (("code.py",), ())


def test_ten_mebibytes_in_all_code_first(repo_dir, tmp_path) -> None:
    """Where not all fits, code matters more than data, and small files more than large ones."""
    size = snapshot.FILE_LIMIT
    for number in range(11):
        (repo_dir / f"{number:02}.bin").write_bytes(bytes(size - 11 + number))
    (repo_dir / "zz.py").write_bytes(b"#" * size)
    taken = take(repo_dir, tmp_path / "scratch")
    assert "zz.py" in taken.code.included and len(taken.code.included) == 10
    assert reasons(taken.code.skipped) == {
        "09.bin": "over 10 MiB in all",
        "10.bin": "over 10 MiB in all",
    }


@pytest.mark.parametrize("name", [".env", ".env.local", "id_rsa", "server.pem", "my-credentials"])
def test_a_secret_name_stays_out(repo_dir, tmp_path, name) -> None:
    """FlorDB committed `.env.local`."""
    (repo_dir / "conf").mkdir()
    (repo_dir / "conf" / name).write_text("PASSWORD=x\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert reasons(taken.code.skipped) == {f"conf/{name}": "looks secret"}
    assert f"conf/{name}".encode() not in files(repo_dir, taken.tree)


def test_secret_content_stays_out_of_the_object_store(repo_dir, tmp_path) -> None:
    """What was once in an object is pushed one day; the reason names the line, not the key."""
    (repo_dir / "setup.py").write_text(f"import os\nTOKEN = '{KEY}'\n")
    (repo_dir / "clean.py").write_text("import os\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert reasons(taken.code.skipped) == {
        "setup.py": "holds what looks secret (GitHub token, line 2)"
    }
    assert taken.code.included == ("clean.py",)
    blob = run_git(repo_dir, "hash-object", "setup.py").decode().strip()
    assert not Repo.open(repo_dir).exists(blob)


def test_a_secret_in_a_tracked_file_is_said(repo_dir, tmp_path) -> None:
    """It is the user's own commit soon; an old one, that was there before, is no news."""
    (repo_dir / "old.py").write_text(f"TOKEN = '{KEY}'\n")
    run_git(repo_dir, "add", "old.py")
    run_git(repo_dir, "commit", "-q", "-m", "oh")
    (repo_dir / "old.py").write_text(f"TOKEN = '{KEY}'\nMORE = 1\n")
    (repo_dir / "train.py").write_text(f"\n\nTOKEN = '{KEY}'\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert taken.secrets == ("train.py:3 holds what looks secret (GitHub token)",)
    assert KEY not in "".join(taken.secrets)


def test_a_nested_repository_is_named(repo_dir, tmp_path, git) -> None:
    """Git sees only a directory there, and would record a link to nowhere."""
    (repo_dir / "vendor").mkdir()
    git(repo_dir / "vendor", "init", "-q")
    (repo_dir / "vendor" / "x.py").write_text("1\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert reasons(taken.code.hidden) == {"vendor/": "nested repository"}
    assert not any(path.startswith(b"vendor") for path in files(repo_dir, taken.tree))


def test_submodules(repo_dir, tmp_path, git, state_of) -> None:
    """Its commit is recorded as in `git add`; what is uncommitted inside is named."""
    git(tmp_path, "clone", "-q", str(repo_dir), "lib")
    allow = ("-c", "protocol.file.allow=always")
    for name in ("clean", "dirty", "moved"):
        git(repo_dir, *allow, "submodule", "--quiet", "add", str(tmp_path / "lib"), name)
    git(repo_dir, "commit", "-q", "-m", "Add them")
    (repo_dir / "dirty" / "train.py").write_text("changed\n")
    git(repo_dir / "moved", "commit", "-q", "--allow-empty", "-m", "move")
    before = state_of(repo_dir)
    taken = take(repo_dir, tmp_path / "scratch")
    assert state_of(repo_dir) == before
    assert taken.changed == ("moved",)
    assert reasons(taken.code.hidden) == {"dirty": "submodule with uncommitted changes"}
    assert taken.tree == as_git_adds(repo_dir, tmp_path)
    moved = git(repo_dir / "moved", "rev-parse", "HEAD").strip()
    assert files(repo_dir, taken.tree)[b"moved"] == f"160000 commit {moved}"


def test_what_git_was_told_not_to_see_is_named(repo_dir, tmp_path) -> None:
    """Otherwise a run would claim code that it did not run."""
    run_git(repo_dir, "update-index", "--assume-unchanged", "train.py")
    run_git(repo_dir, "update-index", "--skip-worktree", "params.yaml")
    for name in ("train.py", "params.yaml"):
        (repo_dir / name).write_text("changed\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert reasons(taken.code.hidden) == {
        "train.py": "assume-unchanged",
        "params.yaml": "skip-worktree",
    }
    assert taken.tree == run_git(repo_dir, "rev-parse", "HEAD^{tree}").decode().strip()


def test_a_sparse_checkout_keeps_what_is_not_there(repo_dir, tmp_path) -> None:
    """Files outside of the cone are not deleted, and not worth a word."""
    run_git(repo_dir, "sparse-checkout", "set", "--cone", "src")
    (repo_dir / "src" / "model.py").write_text("DEPTH = 9\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert taken.code.hidden == ()
    assert content(repo_dir, taken.tree, b"notes/ideas/first.md") == b"Try more trees.\n"
    assert content(repo_dir, taken.tree, b"src/model.py") == b"DEPTH = 9\n"


def test_special_files(repo_dir, tmp_path) -> None:
    """A FIFO would make Git wait or fail; the run goes on without it, and says so."""
    os.mkfifo(repo_dir / "pipe")
    (repo_dir / "train.py").unlink()
    os.mkfifo(repo_dir / "train.py")
    (repo_dir / "params.yaml").write_text("epochs: 9\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert reasons(taken.code.hidden) == {"train.py": "no regular file any more"}
    kept = files(repo_dir, taken.tree)
    assert b"pipe" not in kept
    assert kept[b"train.py"] == files(repo_dir, "HEAD")[b"train.py"]
    assert content(repo_dir, taken.tree, b"params.yaml") == b"epochs: 9\n"


def test_unreadable_files(repo_dir, tmp_path) -> None:
    """One file without permission must not cost a run."""
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and there is no setpriv")
    (repo_dir / "train.py").write_text("changed\n")
    (repo_dir / "new.py").write_text("1\n")
    (repo_dir / "fine.py").write_text("1\n")
    (repo_dir / "train.py").chmod(0)
    (repo_dir / "new.py").chmod(0)
    code = (
        "import sys; from pathlib import Path; from gittrack import snapshot, git\n"
        "taken = snapshot.take(git.Repo.open(), mode='all', scratch=Path(sys.argv[1]))\n"
        "print([*taken.code.skipped, *taken.code.hidden], taken.code.included)"
    )
    prefix = () if os.getuid() else UNPRIVILEGED
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, str(tmp_path)],
        cwd=repo_dir,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "[Skipped(path='new.py', reason='unreadable'),"
        " Skipped(path='train.py', reason='unreadable')] ('fine.py',)\n"
    )


def test_the_record_of_an_earlier_run_is_no_code(repo_dir, tmp_path) -> None:
    """Who checked a run out has its record in the work tree; the new one replaces it."""
    (repo_dir / ".gittrack").mkdir()
    (repo_dir / ".gittrack" / "run.yaml").write_text("format: 1\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert taken.code.included == taken.code.skipped == () and not taken.code.dirty


def test_what_is_left_out_is_counted_beyond_a_hundred(repo_dir, tmp_path) -> None:
    """A forgotten data directory must not become a record of megabytes."""
    (repo_dir / "data").mkdir()
    for number in range(150):
        (repo_dir / "data" / f"{number:03}.pem").touch()
    skipped = take(repo_dir, tmp_path / "scratch").code.skipped
    assert len(skipped) == 101 and skipped[-1] == Skipped("data/*", "50 more files")


# -- Git's own subtleties -----------------------------------------------------------------------


def test_a_racily_clean_file_is_seen(repo_dir, tmp_path) -> None:
    """Same size, same time as in the index: only the index's own time tells that it may differ.

    A copy of the index with a newer time would make the change invisible (git's
    Documentation/technical/racy-git.txt).
    """
    file, moment = repo_dir / "train.py", 1_700_000_000_000_000_000
    file.write_text("print(1)\n")
    os.utime(file, ns=(moment, moment))
    run_git(repo_dir, "add", "train.py")
    file.write_text("print(2)\n")
    os.utime(file, ns=(moment, moment))
    os.utime(repo_dir / ".git" / "index", ns=(moment, moment))
    (repo_dir / "params.yaml").write_text("epochs: 9\n")
    taken = take(repo_dir, tmp_path / "scratch")
    assert "train.py" in taken.changed
    assert content(repo_dir, taken.tree, b"train.py") == b"print(2)\n"


def test_line_endings_are_git_s(repo_dir, tmp_path, state_of) -> None:
    """autocrlf decides what is stored; and a warning that Git makes an error costs no run."""
    run_git(repo_dir, "config", "core.autocrlf", "true")
    run_git(repo_dir, "config", "core.safecrlf", "true")
    (repo_dir / "train.py").write_bytes(b"a\r\nb\r\n")
    (repo_dir / "new.py").write_bytes(b"a\nb\n")
    before = state_of(repo_dir)
    taken = take(repo_dir, tmp_path / "scratch")
    assert state_of(repo_dir) == before
    assert content(repo_dir, taken.tree, b"train.py") == b"a\nb\n"
    assert taken.tree == as_git_adds(repo_dir, tmp_path)


def test_a_clean_filter_stores_the_pointer(repo_dir, tmp_path) -> None:
    """As Git LFS does it: the bytes go elsewhere, the tree holds a pointer."""
    script = tmp_path / "clean filter.sh"
    script.write_text('#!/bin/sh\nprintf "pointer %s\\n" "$(wc -c | tr -d " ")"\n')
    script.chmod(0o755)
    run_git(repo_dir, "config", "filter.big.clean", f"'{script}'")
    run_git(repo_dir, "config", "filter.big.required", "true")
    (repo_dir / ".gitattributes").write_text("*.bin filter=big\n")
    (repo_dir / "old.bin").write_bytes(b"x" * 10)
    run_git(repo_dir, "add", "-A")
    run_git(repo_dir, "commit", "-q", "-m", "large files")
    (repo_dir / "old.bin").write_bytes(b"y" * 77)
    (repo_dir / "new.bin").write_bytes(b"z" * 88)
    taken = take(repo_dir, tmp_path / "scratch")
    assert content(repo_dir, taken.tree, b"old.bin") == b"pointer 77\n"
    assert content(repo_dir, taken.tree, b"new.bin") == b"pointer 88\n"


def test_a_filter_that_fails_is_said(repo_dir, tmp_path) -> None:
    """Where the code cannot be stored, a run must not pretend that it was."""
    run_git(repo_dir, "config", "filter.big.clean", "false")
    run_git(repo_dir, "config", "filter.big.required", "true")
    (repo_dir / ".gitattributes").write_text("*.bin filter=big\n")
    (repo_dir / "new.bin").write_bytes(b"z")
    with pytest.raises(GitFailed, match=r"cannot be stored: new\.bin"):
        take(repo_dir, tmp_path / "scratch")


@pytest.mark.parametrize(
    "setting",
    [
        "core.splitIndex=true",
        "core.untrackedCache=true",
        "index.version=4",
        "feature.manyFiles=true",
    ],
)
def test_kinds_of_index(repo_dir, tmp_path, state_of, setting) -> None:
    """Each has extensions of its own, which a copy must carry or drop."""
    run_git(repo_dir, "config", *setting.split("="))
    run_git(repo_dir, "update-index", "--force-write-index")
    run_git(repo_dir, "status")
    dirty(repo_dir)
    before = state_of(repo_dir)
    taken = take(repo_dir, tmp_path / "scratch")
    assert state_of(repo_dir) == before
    assert taken.tree == as_git_adds(repo_dir, tmp_path)


def test_a_file_system_monitor_hook(repo_dir, tmp_path, state_of) -> None:
    """A monitor tells Git what to look at; our private index is none of its business."""
    hook = tmp_path / "monitor"
    hook.write_text('#!/bin/sh\nprintf "token\\0/\\0"\n')
    hook.chmod(0o755)
    run_git(repo_dir, "config", "core.fsmonitor", str(hook))
    run_git(repo_dir, "update-index", "--fsmonitor")
    run_git(repo_dir, "status")
    dirty(repo_dir)
    before = state_of(repo_dir)
    taken = take(repo_dir, tmp_path / "scratch")
    assert state_of(repo_dir) == before
    assert taken.tree == as_git_adds(repo_dir, tmp_path)


def test_no_hook_runs(repo_dir, tmp_path) -> None:
    """A hook on index changes would take our private index for the user's."""
    hook = repo_dir / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch hook-ran\n")
    hook.chmod(0o755)
    (repo_dir / "train.py").write_text("changed\n")
    take(repo_dir, tmp_path / "scratch")
    assert not (repo_dir / "hook-ran").exists()
    run_git(repo_dir, "add", "train.py")
    assert (repo_dir / "hook-ran").exists()


def test_somebody_s_lock_on_the_index_is_no_hindrance(repo_dir, tmp_path) -> None:
    """An editor's Git or a crashed one may hold it; we neither take nor wait for it."""
    dirty(repo_dir)
    (repo_dir / ".git" / "index.lock").touch()
    taken = take(repo_dir, tmp_path / "scratch")
    assert (repo_dir / ".git" / "index.lock").exists()
    assert content(repo_dir, taken.tree, b"train.py") == b"print('changed')\n"


def test_the_index_of_an_outer_hook_counts(repo_dir, tmp_path, monkeypatch) -> None:
    """`git commit -a` and `git commit FILE` give their hooks an index of their own."""
    other = tmp_path / "hook-index"
    shutil.copy2(repo_dir / ".git" / "index", other)
    (repo_dir / "only-there.py").write_text("1\n")
    run_git(repo_dir, "add", "only-there.py", env={"GIT_INDEX_FILE": str(other)})
    run_git(repo_dir, "rm", "--cached", "-q", "train.py", env={"GIT_INDEX_FILE": str(other)})
    monkeypatch.setenv("GIT_INDEX_FILE", str(other))
    before = other.read_bytes(), other.stat().st_mtime_ns
    taken = take(repo_dir, tmp_path / "scratch", mode="tracked")
    assert (other.read_bytes(), other.stat().st_mtime_ns) == before
    kept = files(repo_dir, taken.tree)
    assert b"only-there.py" in kept and b"train.py" not in kept
    monkeypatch.delenv("GIT_INDEX_FILE")
    taken = take(repo_dir, tmp_path / "scratch", mode="tracked")
    assert b"only-there.py" not in files(repo_dir, taken.tree)


def test_a_partial_clone_fetches_nothing(repo_dir, tmp_path, git) -> None:
    """The objects that are not there are not needed: a run on a train has no network."""
    git(repo_dir, "config", "uploadpack.allowFilter", "true")
    options = ("--filter=blob:none", "--no-checkout", "-q")
    git(tmp_path, "clone", *options, repo_dir.as_uri(), "partial")
    place = tmp_path / "partial"
    git(place, "sparse-checkout", "set", "--no-cone", "/train.py", "/.gitignore")
    git(place, "checkout", "-q", "main")
    shutil.move(repo_dir, tmp_path / "away")
    (place / "train.py").write_text("changed\n")
    (place / "new.py").write_text("1\n")
    taken = take(place, tmp_path / "scratch")
    listed = files(place, taken.tree)
    assert {b"new.py", b"train.py", b"notes/ideas/first.md"} <= set(listed)
    assert content(place, taken.tree, b"train.py") == b"changed\n"


def test_modes_and_times_of_the_work_tree_stay(repo_dir, tmp_path) -> None:
    """A read-only file, a directory without write permission: nothing is ever written there."""
    (repo_dir / "train.py").write_text("changed\n")
    (repo_dir / "train.py").chmod(0o444)
    (repo_dir / "src").chmod(0o555)
    before = {p: p.lstat() for p in sorted(repo_dir.rglob("*")) if ".git" not in p.parts}
    take(repo_dir, tmp_path / "scratch")
    for path, seen in before.items():
        now = path.lstat()
        assert (now.st_mtime_ns, now.st_ctime_ns) == (seen.st_mtime_ns, seen.st_ctime_ns), path
    assert stat.S_IMODE((repo_dir / "src").stat().st_mode) == 0o555
    (repo_dir / "src").chmod(0o755)


def test_nothing_stays_in_the_scratch_directory(repo_dir, tmp_path) -> None:
    """It is the run's directory, whose files each mean something."""
    dirty(repo_dir)
    take(repo_dir, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []
