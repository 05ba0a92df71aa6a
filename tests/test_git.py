"""The door to Git holds its promises in every kind of repository, beside others, on a full disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gittrack import git as door
from gittrack.errors import (
    GitFailed,
    NotARepository,
    RepositoryError,
    RunChanged,
    RunExists,
    UnsupportedRepository,
    UsageError,
    WriteFailed,
)
from gittrack.git import Identity, Ref, Repo, Tag
from gittrack.git.reachability import Reachability

ADA = Identity("Ada Lovelace", "ada@example.org")


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    return Repo.open(repo_dir)


def commit(repo: Repo, text: str = "x", **fields: object) -> str:
    known = {"tree": repo.empty_tree(), "parents": [], "author": ADA, "started": 0, "ended": 0}
    return repo.write_commit(message=text, **{**known, **fields})  # type: ignore[arg-type]


# -- opening ------------------------------------------------------------------------------------


def test_every_kind_is_opened_as_git_opens_it(every_repo, git) -> None:
    """Root, Git directory, common directory and HEAD are the ones that Git itself names."""
    repo = Repo.open(every_repo.path)

    def asked(*words: str) -> str:
        return git(every_repo, "rev-parse", "--path-format=absolute", *words).removesuffix("\n")

    assert repo.root is not None and os.path.samefile(repo.root, asked("--show-toplevel"))
    assert os.path.samefile(repo.git_dir, asked("--git-dir"))
    assert os.path.samefile(repo.common_dir, asked("--git-common-dir"))
    assert not repo.is_bare
    head, branch = repo.head()
    if every_repo.kind == "empty":
        assert (head, branch) == (None, "main")
    else:
        assert head == git(every_repo, "rev-parse", "HEAD").strip()
    if every_repo.kind == "detached":
        assert branch is None


def test_every_kind_takes_objects_and_refs(every_repo, git) -> None:
    """What we write Git reads, and the other way round."""
    repo = Repo.open(every_repo.path)
    blob = repo.write_blob(b"a\0b")
    tree = repo.write_tree({"f": (blob, 0o100644)})
    made = commit(repo, "subject\n\ntext\n", tree=tree)
    repo.create_ref("refs/runs/e/n", made)
    repo.verify([blob, tree, made])
    assert git(every_repo.root, "rev-parse", "runs/e/n:f").strip() == blob
    assert repo.read_blob(blob, limit=3) == b"a\0b"
    assert repo.read_commit(made).message == "subject\n\ntext\n"
    assert [entry.name for entry in repo.tree(made)] == [b"f"]
    assert repo.refs("refs/runs/") == [Ref("refs/runs/e/n", made)]
    assert (
        repo.git("status", "--porcelain") == git(every_repo.root, "status", "--porcelain").encode()
    )
    repo.delete_refs(repo.refs("refs/runs/"))
    assert repo.refs("refs/runs/") == [] and repo.ref("refs/runs/e/n") is None


def test_a_bare_repository_has_no_root(bare_dir: Path) -> None:
    """It is read, and annotated."""
    repo = Repo.open(bare_dir)
    assert repo.is_bare and repo.root is None and repo.head()[0] is not None
    repo.git("rev-parse", "--is-bare-repository")


def test_where_there_is_none_one_line_says_so(tmp_path: Path) -> None:
    """The commonest first experience must be a clear one."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(NotARepository) as caught:
            Repo.open(place)
        assert "\n" not in caught.value.message


@pytest.mark.parametrize("named", ["GIT_DIR", "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE"])
def test_what_an_outer_hook_names_is_taken(
    repo_dir: Path, git, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """A hook of one repository sets these, relative to where it runs."""
    monkeypatch.chdir(repo_dir)
    values = {"GIT_DIR": ".git", "GIT_WORK_TREE": ".", "GIT_INDEX_FILE": ".git/index"}
    for name in named.split():
        monkeypatch.setenv(name, values[name])
    repo = Repo.open()
    assert repo.root is not None and os.path.samefile(repo.root, repo_dir)
    monkeypatch.chdir("/" if named == "GIT_DIR" else ".")
    assert repo.git("status", "--porcelain") == b""


def test_ceilings_end_the_search(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People set it to keep Git from slow network directories."""
    inner = repo_dir / "notes" / "ideas"
    Repo.open(inner)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", os.fspath(repo_dir / "notes"))
    with pytest.raises(NotARepository):
        Repo.open(inner)


def test_a_sha256_repository_gets_one_clear_line(tmp_path: Path, git) -> None:
    """libgit2 cannot open it; Git 3 makes it the default."""
    git(tmp_path, "init", "-q", "--object-format=sha256")
    with pytest.raises(UnsupportedRepository, match="SHA-256") as caught:
        Repo.open(tmp_path)
    assert caught.value.hint and "\n" not in caught.value.message


def test_a_reftable_repository_gets_one_clear_line(tmp_path: Path, git) -> None:
    """Written by a newer Git: the installed one may not even know the word."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "core.repositoryformatversion", "1")
    git(tmp_path, "config", "extensions.refStorage", "reftable")
    with pytest.raises(RepositoryError) as caught:
        Repo.open(tmp_path)
    assert isinstance(caught.value, UnsupportedRepository)
    assert "\n" not in caught.value.message


OPEN_AS_OTHER = """
import os, sys
from gittrack.errors import RepositoryError
from gittrack.git import Repo
os.setgid(65534); os.setuid(65534)
try:
    Repo.open(sys.argv[1])
except RepositoryError as error:
    print(error.message); print(error.hint)
else:
    print("opened")
"""


@pytest.fixture
def open_place(repo_dir: Path) -> Iterator[Path]:
    """The repository where every user can go; pytest keeps its own directories closed."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(shutil.copytree(repo_dir, Path(directory) / "repo"))


def opened_by_another(place: Path, config: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AS_OTHER, os.fspath(place)],
        cwd="/",
        text=True,
        capture_output=True,
        env={**os.environ, "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": config},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_a_repository_of_another_user_is_refused_in_gits_words(open_place: Path) -> None:
    """Its configuration could name commands to run; where Git trusts it, so do we."""
    message, hint = opened_by_another(open_place, os.devnull)
    assert message.startswith("detected dubious ownership")
    assert "git config --global --add safe.directory" in hint and str(open_place) in hint
    trusting = open_place.parent / "trusting"
    trusting.write_text(f"[safe]\n\tdirectory = {open_place}\n")
    assert opened_by_another(open_place, os.fspath(trusting)) == ["opened"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_a_directory_that_cannot_be_entered_is_no_repository(open_place: Path) -> None:
    """One line, as for one that is not there."""
    open_place.parent.chmod(0o700)
    assert opened_by_another(open_place, os.devnull)[0].startswith("cannot enter '")


# -- objects ------------------------------------------------------------------------------------


def test_large_and_wrong_objects_are_refused_before_they_are_read(repo: Repo) -> None:
    """400 KB on the wire can be 400 MB."""
    blob = repo.write_blob(b"\0" * 1000)
    with pytest.raises(GitFailed, match="too large: 1000 bytes, at most 999"):
        repo.read_blob(blob, limit=999)
    with pytest.raises(GitFailed, match="is no commit"):
        repo.read_commit(blob)
    with pytest.raises(GitFailed, match="cannot be read"):
        repo.read_blob("1" * 40, limit=10)
    with pytest.raises(GitFailed):
        repo.tree(blob)
    assert not repo.exists("1" * 40) and repo.exists(blob) and repo.size(blob) == 1000


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_damaged_object_is_noticed(repo: Repo, content: bytes | None) -> None:
    """Power cuts leave empty files."""
    blob = repo.write_blob(b"something")
    file = repo.common_dir / "objects" / blob[:2] / blob[2:]
    file.chmod(0o644)
    file.unlink() if content is None else file.write_bytes(content)
    fresh = Repo.open(repo.root or "")
    with pytest.raises(WriteFailed):
        fresh.verify([blob])
    with pytest.raises(GitFailed):
        fresh.read_blob(blob, limit=100)


@pytest.mark.parametrize("name", ["caf\u00e9", "a <b>\nc", "", "...", "\u6a21"])
def test_any_name_makes_a_commit_that_git_accepts(repo: Repo, git, name: str) -> None:
    """A run must not be lost for want of a name."""
    git(repo.root, "config", "user.name", name or " ")
    made = commit(repo, author=Repo.open(repo.root or "").identity())
    repo.create_ref("refs/runs/e/n", made)
    git(repo.root, "fsck", "--strict")


def test_a_name_that_is_not_utf8_makes_a_commit(repo: Repo) -> None:
    """An old configuration in Latin-1."""
    with (repo.git_dir / "config").open("ab") as config:
        config.write(b"[user]\n\tname = caf\xe9\n")
    who = Repo.open(repo.root or "").identity()
    assert who.name == "caf\ufffd"
    commit(repo, author=who)


FULL = """
import resource, sys
from gittrack.errors import WriteFailed
from gittrack.git import Identity, Repo
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
repo = Repo.open(sys.argv[1])
tree, limit = repo.empty_tree(), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    blob = repo.write_blob(bytes(range(256)) * 4)
    made = repo.write_commit(tree=tree, parents=[], message="x" * 300, started=0, ended=0,
                             author=Identity("Ada", "ada@example.org"))
    repo.verify([blob, made])
    repo.create_ref("refs/runs/e/n", made)
except WriteFailed as error:
    print("failed")
else:
    print("written")
"""


@pytest.mark.parametrize("limit", [0, 1, 20, 40, 60, 100, 150, 200, 300, 1_000, 100_000])
def test_a_full_disk_leaves_no_half_of_a_run(repo: Repo, git, limit: int) -> None:
    """libgit2 alone reports success: written means written, failed means no ref and no lock."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", FULL, os.fspath(repo.root or ""), str(limit)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    target = Repo.open(repo.root or "").ref("refs/runs/e/n")
    if done.stdout == "written\n":
        assert target is not None and Repo.open(repo.root or "").read_commit(target)
    else:
        assert done.stdout == "failed\n" and target is None
        assert limit < 100_000
    assert not list(repo.common_dir.glob("refs/**/*.lock"))
    git(repo.root, "fsck", "--no-dangling")


# -- refs ---------------------------------------------------------------------------------------

RACER = """
import sys
from gittrack.errors import RunExists
from gittrack.git import Identity, Repo, ZERO
root, mine, rounds, way = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
repo = Repo.open(root)
create = repo.create_ref if way == "libgit2" else repo._create_ref_by_git
print("ready", flush=True)
sys.stdin.readline()
won = []
for number in range(rounds):
    try:
        create(f"refs/runs/e/n-{number}", mine)
        won.append(str(number))
    except RunExists as error:
        assert error.commit != mine
print(" ".join(won))
"""


@pytest.mark.parametrize(("way", "rounds"), [("libgit2", 40), ("git", 6)])
def test_of_many_who_create_a_ref_one_wins(repo: Repo, git, way: str, rounds: int) -> None:
    """Both ways to write, while `git pack-refs` moves the refs under their feet."""
    commits = [commit(repo, f"writer {number}") for number in range(16)]
    root = os.fspath(repo.root or "")
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, root, mine, str(rounds), way],
            stdin=pipe, stdout=pipe, stderr=pipe, text=True,
        )
        for mine in commits
    ]  # fmt: skip
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    while any(child.poll() is None for child in children):
        subprocess.run(["git", "pack-refs", "--all", "--prune"], cwd=root, capture_output=True)
    winners: dict[str, list[str]] = {}
    for child, mine in zip(children, commits, strict=True):
        out, err = child.communicate()
        assert child.returncode == 0, err
        for number in out.split():
            winners.setdefault(f"refs/runs/e/n-{number}", []).append(mine)
    assert len(winners) == rounds
    assert all(len(won) == 1 for won in winners.values())
    assert {ref.name: [ref.target] for ref in repo.refs("refs/runs/")} == winners


@pytest.mark.parametrize(
    ("there", "wanted", "packed"),
    [
        ("refs/runs/e", "refs/runs/e/n", False),
        ("refs/runs/e", "refs/runs/e/n", True),
        ("refs/runs/e/n/x", "refs/runs/e/n", False),
    ],
)
def test_a_ref_cannot_be_beneath_another(
    repo: Repo, git, there: str, wanted: str, packed: bool
) -> None:
    """A file and a directory of one name; the error says what is in the way."""
    made = commit(repo)
    git(repo.root, "update-ref", there, made)
    if packed:
        git(repo.root, "pack-refs", "--all", "--prune")
    with pytest.raises(WriteFailed, match=there):
        repo.create_ref(wanted, made)
    assert [ref.name for ref in repo.refs("refs/runs/")] == [there]


def test_a_stale_lock_is_named(repo: Repo) -> None:
    """Left by a SIGKILL; no hand should have to look for it."""
    lock = repo.common_dir / "refs" / "runs" / "e" / "n.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("")
    with pytest.raises(WriteFailed, match=r"n\.lock"):
        repo.create_ref("refs/runs/e/n", commit(repo))
    assert repo.ref("refs/runs/e/n") is None


def test_a_ref_to_nothing_is_not_created(repo: Repo) -> None:
    """A run whose commit is missing would break every listing."""
    with pytest.raises(WriteFailed):
        repo.create_ref("refs/runs/e/n", "1" * 40)
    assert repo.refs("refs/runs/") == []


def test_the_same_target_again_is_seen_as_taken(repo: Repo) -> None:
    """Who recovers a run must learn that it is there; `refs.create` decides what it means."""
    made = commit(repo)
    repo.create_ref("refs/runs/e/n", made)
    with pytest.raises(RunExists) as caught:
        repo.create_ref("refs/runs/e/n", made)
    assert caught.value.commit == made


def test_deleting_is_all_or_none(repo: Repo) -> None:
    """Refs that moved since they were seen stay, and so do the others."""
    one, two = commit(repo, "1"), commit(repo, "2")
    repo.create_refs([Ref("refs/runs/e/a", one), Ref("refs/runs/e/b", one)])
    with pytest.raises(RunChanged):
        repo.delete_refs([Ref("refs/runs/e/a", one), Ref("refs/runs/e/b", two)])
    assert len(repo.refs("refs/runs/")) == 2


# -- the rest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "revision", ["-x", "--all", "nothing", "HEAD~99", "a..b", "^HEAD", ":/x", ""]
)
def test_a_revision_that_names_no_commit_is_none(repo: Repo, revision: str) -> None:
    """What a user types reaches git as a revision and never as an option."""
    assert repo.resolve(revision) is None


@pytest.mark.parametrize(
    ("revision", "steps"),
    [
        ("HEAD@{0}", 0), ("@{0}", 0), ("HEAD@{1}", 1), ("HEAD@{0}~1", 1), ("HEAD@{0}^{commit}^", 1),
        ("HEAD@{2099-01-01 10:00}", 0), ("dev@{upstream}", 0), ("dev@{upstream}@{1}", 1),
        ("HEAD@{1}~9", None), ("HEAD@{1}^{nothing}", None), ("HEAD@{0}garbage", None),
        ("HEAD@{0}garbage~1", None), ("HEAD@{0}}", None), ("HEAD@{0}{x}", None),
        ("HEAD@{0}@production", None), ("HEAD@{", None), ("HEAD@{0", None), ("HEAD@{0}:x", None),
    ],
)  # fmt: skip
def test_what_stands_behind_braces_is_no_date(
    repo: Repo, git: Any, revision: str, steps: int | None
) -> None:
    """To Git `main@{0}garbage^{commit}` is `main` as it was once: another commit, unasked."""
    root = repo.root
    assert root is not None
    git(root, "commit", "-q", "--allow-empty", "-m", "2")
    git(root, "branch", "dev", "--track")
    expected = {0: "HEAD", 1: "HEAD~1"}
    wanted = None if steps is None else git(root, "rev-parse", expected[steps]).strip()
    assert repo.resolve(revision) == wanted


def test_replacements_are_not_followed(repo: Repo, git) -> None:
    """A fetched refs/replace would put another's code into the answer."""
    head = repo.head()[0] or ""
    git(repo.root, "replace", head, repo.resolve("HEAD~1") or "")
    assert repo.git("rev-parse", "HEAD^{tree}").decode().strip() == repo.read_commit(head).tree


def test_notes_are_written_byte_for_byte_at_any_fan_out(repo: Repo) -> None:
    """Git splits the notes tree into directories when there are many."""
    targets = [commit(repo, str(number)) for number in range(3)]
    data = b"# one\n\n\n  two  \n"
    for target in targets:
        repo.set_note("refs/notes/runs/ada", target, data, ADA)
    notes = repo.notes("refs/notes/runs/ada")
    assert sorted(notes) == sorted(targets)
    assert {repo.read_blob(blob, limit=100) for blob in notes.values()} == {data}
    one, two = targets[:2]
    inner = repo.write_tree({one[4:]: (notes[one], 0o100644)})
    outer = repo.write_tree({one[2:4]: (inner, 0o040000)})
    split = {one[:2]: (outer, 0o040000)}
    if two[:2] != one[:2]:
        other = repo.write_tree({two[2:]: (notes[two], 0o100644)})
        split[two[:2]] = (other, 0o040000)
    repo.set_ref("refs/notes/split", commit(repo, tree=repo.write_tree(split)))
    assert repo.notes("refs/notes/split").keys() >= {one}
    assert repo.notes("refs/notes/absent") == {}


def test_many_notes_are_written_at_once_or_none_is(repo: Repo, git) -> None:
    """In one commit of the notes ref, byte for byte, whoever writes; others stay."""
    ref = "refs/notes/runs/ada"
    targets = [commit(repo, str(number)) for number in range(300)]
    repo.set_note(ref, targets[0], b"old\n", ADA)
    repo.set_note(ref, targets[1], b"stays\n", ADA)
    said = {target: b"# %d\n\n  \xff\nN inline\n" % n for n, target in enumerate(targets) if n != 1}
    repo.set_notes(ref, said, Identity(" <A>\n", ""))
    found = {name: repo.read_blob(blob, limit=99) for name, blob in repo.notes(ref).items()}
    assert found == said | {targets[1]: b"stays\n"}
    assert git(repo.root, "rev-list", "--count", ref).strip() == "3"
    assert git(repo.root, "log", "-1", "--format=%cn|%ce|%an", ref).strip() == "A||A"
    assert git(repo.root, "notes", "--ref", ref, "show", targets[1]) == "stays\n"
    assert git(repo.root, "status", "--porcelain") == ""
    before = repo.ref(ref)
    with pytest.raises(GitFailed):
        repo.set_notes(ref, {targets[0]: b"new\n", "1" * 40: b"of nothing\n"}, ADA)
    assert repo.ref(ref) == before
    repo.set_notes("refs/notes/runs/new", dict.fromkeys(targets[:2], b"a"), ADA)
    assert len(repo.notes("refs/notes/runs/new")) == 2


def test_a_setting_of_one_call_reaches_git_and_stays_nowhere(repo: Repo) -> None:
    """How refs are flushed, and how long a lock is waited for, is said so."""
    assert repo.git("config", "track.once", config=("track.once=a b", "x.y=z")) == b"a b\n"
    with pytest.raises(GitFailed):
        repo.git("config", "track.once")


def test_a_setting_given_several_times_keeps_all_its_values(repo: Repo, git) -> None:
    """Paths of data are a list; an empty value begins it anew, as in Git's own lists."""
    for value in ("data/a", "data/b c"):
        git(repo.root, "config", "--add", "track.data", value)
    fresh = Repo.open(repo.root or "")
    assert fresh.config_all("track.data") == ("data/a", "data/b c")
    assert fresh.config["track.data"] == "data/b c" and fresh.config_all("track.none") == ()
    for value in ("", "data/d"):
        git(repo.root, "config", "--add", "track.data", value)
    assert Repo.open(repo.root or "").config_all("track.data") == ("data/d",)
    repo.set_config("track.one", "x")
    assert repo.config_all("track.one") == ("x",)


def test_configuration_is_gits_own(repo: Repo, git, monkeypatch: pytest.MonkeyPatch) -> None:
    """Includes, `git -c` and the environment count."""
    (repo.git_dir / "more").write_text("[track]\n\tone = included\n\tbare\n")
    git(repo.root, "config", "include.path", "more")
    repo.set_config("track.two", "a\nb")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "track.three")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "no")
    fresh = Repo.open(repo.root or "")
    assert [fresh.config[f"track.{key}"] for key in ("one", "two", "three")] == [
        "included",
        "a\nb",
        "no",
    ]
    assert fresh.flag("track.bare", default=False) and not fresh.flag("track.three", default=True)
    assert fresh.flag("track.absent", default=True)


@pytest.mark.parametrize("value", ["maybe", "banana", "t", "1.5", "2x", "-"])
def test_a_truth_value_that_is_none_is_refused(repo: Repo, value: str) -> None:
    """Git refuses it, and `track.fsync=maybe` must not silently be one of the two."""
    repo.set_config("track.fsync", value)
    with pytest.raises(UsageError, match=f"bad boolean config value '{value}' for 'track.fsync'"):
        repo.flag("track.fsync", default=True)


@pytest.mark.parametrize("value", ["true", "YES", "On", "1", "2", "-1", "1k", "0", "no", "Off", ""])
def test_truth_values_are_gits_own(repo: Repo, git, value: str) -> None:
    """One rule for all that stands in one file."""
    repo.set_config("track.x", value)
    said = git(repo.root, "config", "--type=bool", "track.x")
    said = said if isinstance(said, str) else said.decode()
    for default in (True, False):
        assert repo.flag("track.x", default=default) is (said.strip() == "true")


@pytest.mark.parametrize(
    ("said", "good"),
    [("2.35.9", False), ("2.36.0", True), ("2.39.5 (Apple Git-154)", True), ("3.0.0", True)],
)
def test_the_version_of_git_is_checked(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, good: bool
) -> None:
    """A Git that is too old would fail later, in words that explain nothing."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text(f"#!/bin/sh\necho git version '{said}'\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for _ in range(2):
        repo.state.mkdir(exist_ok=True)
        if good:
            repo.check_version()
        else:
            with pytest.raises(RepositoryError, match="too old"):
                repo.check_version()
    assert door.OLDEST_GIT == (2, 36)


@pytest.mark.parametrize(
    ("value", "moment"),
    [("never", 0), ("false", 0), ("now", float("inf")), ("all", float("inf"))],
)
def test_a_date_that_git_understands_is_one(repo: Repo, git, value: str, moment: float) -> None:
    """`gc.pruneExpire` has taught people these words."""
    git(repo.root, "config", "track.gcGrace", value)
    assert repo.expiry("track.gcgrace", default="2.weeks.ago") == moment


@pytest.mark.parametrize("value", ["", "garbage", "yes please"])
def test_a_date_that_is_none_is_refused(repo: Repo, git, value: str) -> None:
    """Git's own `--since` takes nonsense for now, and now would remove everything."""
    git(repo.root, "config", "track.gcGrace", value)
    with pytest.raises(UsageError, match="bad date"):
        repo.expiry("track.gcgrace", default="2.weeks.ago")


# -- what is kept -------------------------------------------------------------------------------

POINTERS = ("*.dvc", "*dvc.lock")


def kept(repo: Repo, **options: object) -> set[str]:
    """The contents of all files that Git keeps under a pointer's name."""
    blobs = Reachability(repo).kept_files(POINTERS, **options)  # type: ignore[arg-type]
    return {repo.read_blob(oid, limit=99).decode() for oid in blobs}


def add(git, root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    git(root, "add", "-f", name)


def commit_file(git, root: Path, name: str, text: str) -> str:
    add(git, root, name, text)
    git(root, "commit", "-q", "-m", name)
    return git(root, "rev-parse", "HEAD").strip()


def test_every_place_that_keeps_a_file_is_known(repo: Repo, git, tmp_path: Path) -> None:
    """One that is overlooked costs somebody their data: `dvc gc` overlooks most of them."""
    root = repo.root
    commit_file(git, root, "deep/down/a.dvc", "old")
    commit_file(git, root, "deep/down/a.dvc", "branch")
    git(root, "checkout", "-q", "-b", "side")
    commit_file(git, root, "side.dvc", "side, merged away")
    git(root, "checkout", "-q", "main")
    git(root, "merge", "-q", "-s", "ours", "-m", "m", "side")
    git(root, "branch", "-q", "-D", "side")
    git(root, "checkout", "-q", "-b", "other")
    commit_file(git, root, "other.txt", "other")
    git(root, "checkout", "-q", "main")
    git(root, "merge", "-q", "--no-ff", "--no-commit", "other")
    commit_file(git, root, "merged.dvc", "of the merge alone")
    git(root, "branch", "-q", "-D", "other")
    commit_file(git, root, "merged.dvc", "after it")
    for ref, text in (
        ("refs/tags/light", "tag"),
        ("refs/remotes/origin/x", "remote"),
        ("refs/runs/e/n", "run"),
        ("refs/gittrack/live/e/n", "live"),
    ):
        git(root, "checkout", "-q", "--detach", "main")
        git(root, "update-ref", ref, commit_file(git, root, "sub/dvc.lock", text))
    git(root, "checkout", "-q", "main")
    add(git, root, "x/tree.dvc", "tree")
    git(root, "update-ref", "refs/gittrack/snapshots/n", git(root, "write-tree").strip())
    git(root, "tag", "-a", "-m", "t", "tree", "refs/gittrack/snapshots/n")
    git(root, "update-ref", "-d", "refs/gittrack/snapshots/n")
    git(root, "rm", "-q", "--cached", "x/tree.dvc")
    git(root, "tag", "blob", repo.write_blob(b"blob"))
    add(git, root, "x/stash.dvc", "stash")
    git(root, "stash", "-q")
    git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"), "main")
    commit_file(git, tmp_path / "linked", "l.dvc", "worktree")
    git(root, "reflog", "expire", "--expire=now", "refs/heads/main")
    commit_file(git, root, "gone.dvc", "reflog")
    git(root, "reset", "-q", "--hard", "HEAD~1")
    # A file of the same content whose name is no pointer's hides none.
    commit_file(git, root, "aaa.txt", "twin")
    commit_file(git, root, "zzz.dvc", "twin")
    everything = {"old", "branch", "side, merged away", "tag", "remote", "run", "live", "tree"}
    everything |= {"blob", "stash", "worktree", "reflog", "twin", "of the merge alone", "after it"}
    assert kept(repo) == everything
    git(root, "reflog", "expire", "--expire=now", "--all")
    assert kept(repo, without={"refs/runs/e/n"}) == everything - {"run"}
    (repo.git_dir / "ORIG_HEAD").unlink()
    assert kept(repo, without={"refs/runs/e/n"}) == everything - {"run", "reflog"}


def test_every_kind_of_repository_tells_what_it_keeps(every_repo, git) -> None:
    """Staged, changed since, ignored: wherever one stands."""
    repo = Repo.open(every_repo.path)
    root = every_repo.root
    add(git, root, "src/staged.dvc", "staged")
    (root / "src" / "staged.dvc").write_text("changed")
    (root / ".git-ignored").mkdir()
    (root / ".gitignore").write_text("*.dvc\n")
    (root / ".git-ignored" / "ignored.dvc").write_text("ignored")
    found = Reachability(repo)
    assert any(os.path.samefile(root, place) for place in found.worktree_roots())
    for place in found.worktree_roots():
        if os.path.samefile(root, place):
            assert set(found.staged_files(place, POINTERS).values()) == {"src/staged.dvc"}
            present = {path.read_text() for path in found.present_files(place, POINTERS)}
            assert present == {"changed", "ignored"}
    found.kept_files(POINTERS)


def test_another_work_tree_is_looked_into(repo: Repo, git, tmp_path: Path, monkeypatch) -> None:
    """Also where a hook has set the variables that lead Git to ours."""
    git(repo.root, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    add(git, tmp_path / "linked", "l.dvc", "staged")
    monkeypatch.setenv("GIT_DIR", str(repo.git_dir))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo.git_dir / "index"))
    found = Reachability(repo)
    assert found.worktree_roots() == [repo.root, tmp_path / "linked"]
    assert list(found.staged_files(tmp_path / "linked", POINTERS).values()) == ["l.dvc"]
    assert found.present_files(tmp_path / "linked", POINTERS) == [tmp_path / "linked" / "l.dvc"]
    assert found.staged_files(repo.root, POINTERS) == {}
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    linked = Reachability(Repo.open(tmp_path / "linked"))
    assert {os.path.realpath(path) for path in linked.worktree_roots()} == {
        os.path.realpath(repo.root),
        os.path.realpath(tmp_path / "linked"),
    }


@pytest.mark.parametrize(
    "damage", ["ref", "commit", "tree", "locked work tree", "tagged tree", "torn"]
)
def test_a_doubt_is_an_error(repo: Repo, git, tmp_path: Path, damage: str) -> None:
    """Git itself passes over a broken ref with a warning; who cleans up must not."""
    root = repo.root
    made = commit_file(git, root, "deep/down/a.dvc", "text")
    Reachability(repo).kept_files(POINTERS)

    def lose(oid: str) -> None:
        (repo.common_dir / "objects" / oid[:2] / oid[2:]).unlink()

    if damage == "ref":
        (repo.common_dir / "refs" / "heads" / "torn").write_bytes(b"")
    elif damage == "commit":
        git(root, "update-ref", "refs/runs/e/n", made)
        git(root, "reset", "-q", "--hard", "HEAD~1")
        lose(made)
    elif damage == "tree":
        lose(git(root, "rev-parse", "HEAD:deep/down").strip())
    elif damage in ("tagged tree", "torn"):
        tree = git(root, "rev-parse", "HEAD:deep").strip()
        git(root, "tag", "t", tree)
        git(root, "reset", "-q", "--hard", "HEAD~1")
        git(root, "reflog", "expire", "--expire=now", "--all")
        content = (repo.common_dir / "objects" / tree[:2] / tree[2:]).read_bytes()
        lose(tree)
        if damage == "torn":
            torn = zlib.compress(zlib.decompress(content)[:-5])
            (repo.common_dir / "objects" / tree[:2] / tree[2:]).write_bytes(torn)
    else:
        git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
        git(root, "worktree", "lock", str(tmp_path / "linked"))
        shutil.rmtree(tmp_path / "linked")
    with pytest.raises(GitFailed):
        Reachability(Repo.open(root)).kept_files(POINTERS)


def test_a_symbolic_ref_to_nothing_is_not_broken(repo: Repo, git) -> None:
    """`origin/HEAD` is one wherever the default branch was renamed."""
    git(repo.root, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone")
    Reachability(repo).kept_files(POINTERS)


def test_the_paths_of_a_tree_are_those_of_its_files(repo: Repo) -> None:
    """From a subdirectory too, with names of any bytes, the files of directories included."""
    blob = (repo.write_blob(b"1"), 0o100644)
    inner = repo.write_tree({"ä b": blob, "n\nl": blob})
    tree = repo.write_tree({"d": (inner, 0o040000), "a": blob, "link": (blob[0], 0o120000)})
    assert repo.paths(tree) == {"a", "d/ä b", "d/n\nl", "link"}
    assert repo.paths(repo.empty_tree()) == frozenset()
    with pytest.raises(GitFailed):
        repo.paths("0" * 40)


def test_the_id_of_a_blob_is_known_before_it_is_stored(repo: Repo, git) -> None:
    """The one that Git gives it, and nothing is stored."""
    oid = repo.blob_id(b"never stored")
    assert not repo.exists(oid)
    assert repo.write_blob(b"never stored") == oid


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0.0), ("2.5", 2.5), ("86400", 86400.0), (None, 7.0)]
)
def test_a_time_is_a_number_of_seconds(tmp_path: Path, git, text, seconds) -> None:
    """As the user wrote it, or as it is where nobody set it."""
    git(tmp_path, "init", "-q", ".")
    if text is not None:
        git(tmp_path, "config", "track.someTime", text)
    assert Repo.open(tmp_path).seconds("track.someTime", default=7) == seconds


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "86401", "", "5 s", "1" * 400])
def test_what_is_no_time_is_refused(tmp_path: Path, git, text) -> None:
    """A limit that is not one would hold for ever, or not at all."""
    git(tmp_path, "init", "-q", ".")
    git(tmp_path, "config", "track.someTime", text)
    with pytest.raises(UsageError, match=r"^track\.someTime is .* up to a day") as caught:
        Repo.open(tmp_path).seconds("track.someTime", default=7)
    assert caught.value.hint == "`git config track.someTime 7`"


def test_who_is_asked_line_by_line_is_in_a_session_of_its_own(repo: Repo) -> None:
    """Ctrl-C would end it before the run is recorded; a kernel waits for children of its group."""
    with repo.dialogue("cat-file", "--batch-check") as process:
        assert os.getsid(process.pid) == process.pid


# -- annotated tags -----------------------------------------------------------------------------


def test_annotated_tags_are_read_light_ones_are_none(repo, git) -> None:
    """What a version is on, and since when; a light tag leads to the commit itself."""
    made = commit(repo)
    when = {"GIT_COMMITTER_DATE": "1767268800 +0130", **os.environ}
    subprocess.run(
        ["git", "-c", "user.name=A > 9", "-c", "user.email=a@b", "tag", "-a", "-m",
         "One\n\nobject 1\ntagger x <x> 7 +0000", "one", made],
        cwd=repo.root, env=when, check=True,
    )  # fmt: skip
    git(repo.root, "tag", "-a", "-m", "Two", "two", "one")
    git(repo.root, "tag", "light", made)
    refs = {ref.name.removeprefix("refs/tags/"): ref.target for ref in repo.refs("refs/tags/")}
    one = repo.read_tag(refs["one"])
    assert one == Tag(refs["one"], made, "commit", 1767268800)
    two = repo.read_tag(refs["two"])
    assert two is not None and (two.target, two.kind) == (refs["one"], "tag")
    assert repo.read_tag(refs["light"]) is None
    with pytest.raises(GitFailed):
        repo.read_tag("1" * 40)


@pytest.mark.parametrize(
    ("signature", "moment"),
    [
        ("tagger A <a@b> 0 +0000\n", 0),
        ("tagger A <a@b> 253402300799 +0000\n", 253402300799),
        ("tagger A <a@b> 253402300800 +0000\n", None),
        ("tagger A <a@b> 99999999999999999999 +0000\n", None),
        ("tagger A <a@b> -5 +0000\n", None),
        ("tagger A <a@b> \n", None),
        ("tagger \n", None),
        ("", None),
    ],
)
def test_a_tag_that_does_not_say_when_has_no_time(repo, git, signature, moment) -> None:
    """Old tags have no tagger, hostile ones a time beyond every calendar."""
    made = commit(repo)
    raw = f"object {made}\ntype commit\ntag x\n{signature}\nWords\n"
    file = repo.git_dir / "tag"
    file.write_text(raw)
    oid = git(repo.root, "hash-object", "-t", "tag", "-w", "--literally", str(file))
    tag = repo.read_tag(oid.strip())
    assert tag is not None and (tag.target, tag.moment) == (made, moment)
