"""What a run reads is found, hashed once, and looked at again at the end."""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import hashing, inode, inputs, memory, setup
from gittrack.cache import open_cache
from gittrack.errors import BadFile, BadPath
from gittrack.git import Repo
from gittrack.quoting import quote_path
from gittrack.records import Data
from gittrack.stats import Stats

# Run once, in one process: `dvc add` and `dvc repro` in two projects, copied and linked.
DVC = """
import os, subprocess, sys
from dvc.repo import Repo
for name, link in (("copied", "copy"), ("linked", "symlink")):
    os.makedirs(os.path.join(sys.argv[1], name, "data", "img"))
    os.chdir(os.path.join(sys.argv[1], name))
    subprocess.run(["git", "init", "-q"], check=True)
    repo = Repo.init()
    with repo.config.edit() as config:
        config["cache"]["type"] = [link] if link == "copy" else link
    repo.close()
    repo = Repo()
    for path, text in (("x.csv", "a,b\\n"), ("img/1", "one"), ("img/2", "two"), ("old", "old")):
        with open(os.path.join("data", path), "w") as file:
            file.write(text)
    repo.add(["data/x.csv", "data/img", "data/old"])
    with open("dvc.yaml", "w") as file:
        file.write("stages: {make: {cmd: cp data/x.csv out.csv, outs: [out.csv]}}")
    repo.reproduce()
    repo.close()
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-q", "-m", "Add data"], check=True)
"""


@pytest.fixture(scope="session")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`copied` and `linked`: projects whose data the real DVC added. Not to be changed."""
    top = tmp_path_factory.mktemp("added")
    os.chmod(top, 0o755)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DVC, str(top)],
        env={**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(top / "site")},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return top


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "none"))


def md5(content: bytes | str) -> str:
    return hashlib.md5(content.encode() if isinstance(content, str) else content).hexdigest()


def write(file: Path, text: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def pointer(file: Path, said: str) -> None:
    """A `.dvc` file beside the data that says it has this MD5."""
    write(
        file.with_name(file.name + ".dvc"),
        f"outs:\n- md5: {said}\n  hash: md5\n  path: {file.name}\n",
    )


@pytest.fixture
def project(repo_dir: Path, git: Any) -> Path:
    """A project as `dvc add` leaves it: `data/x.csv` and `data/img` with pointers, ignored."""
    write(repo_dir / ".dvc" / "config", "")
    for path, text in (("x.csv", "a,b\n"), ("img/1", "one"), ("img/sub/2", "two")):
        write(repo_dir / "data" / path, text)
    write(repo_dir / "data" / ".gitignore", "/x.csv\n/img\n")
    pointer(repo_dir / "data" / "x.csv", md5("a,b\n"))
    pointer(repo_dir / "data" / "img", hashing.of(repo_dir / "data" / "img").md5)
    git(repo_dir, "add", "-A")
    git(repo_dir, "commit", "-q", "-m", "Add data")
    return repo_dir


Begin = Callable[..., tuple[Data, ...]]


def begin(
    root: Path,
    *words: str,
    paths: Sequence[str] = (),
    at: str = "",
    faults: list[str] | None = None,
) -> tuple[Data, ...]:
    repo = Repo.open(root)
    tree = repo.git("rev-parse", "HEAD^{tree}").decode().strip()
    return inputs.begin(
        repo,
        setup.read(repo),
        paths=paths,
        words=words,
        directory=root / at,
        tree=tree,
        faults=faults,
    )


def again(root: Path, data: Sequence[Data]) -> tuple[Data, ...]:
    repo = Repo.open(root)
    return inputs.again(repo, setup.read(repo), data)


X = Data("data/x.csv", md5("a,b\n"), 4, pointer="data/x.csv.dvc")


def img(root: Path) -> Data:
    found = hashing.of(root / "data" / "img")
    return Data("data/img", found.md5, 6, 2, pointer="data/img.dvc")


# -- words that name data -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "at"),
    [
        ("data/x.csv", ""),
        ("./data/../data/x.csv", ""),
        ("--data=data/x.csv", ""),
        ("data.path=data/x.csv", ""),
        ("x.csv", "data"),
        ("../data/x.csv", "src"),
        ("data/x.csv", "src"),
        ("--in=data/x.csv", "notes/ideas"),
    ],
)
def test_a_word_that_names_tracked_data_makes_it_an_input(
    project: Path, word: str, at: str
) -> None:
    """Seen from where the command runs, or from the root, alone or after a `=`."""
    assert begin(project, "python", "train.py", word, at=at) == (X,)
    assert begin(project, str(project / "data" / "x.csv"), word, at=at) == (X,)


def test_a_directory_and_a_file_in_it_are_inputs(project: Path) -> None:
    """By DVC's hash of the directory, and by the file's own."""
    assert begin(project, "data/img", "data/x.csv") == (img(project), X)
    inner = Data("data/img/sub/2", md5("two"), 3, pointer="data/img.dvc")
    assert begin(project, "data/img/sub/2") == (inner,)


@pytest.mark.parametrize(
    "word",
    ["train.py", "src", "data", ".", "", "nothing", "loose.bin", "a=b=c", "x" * 9000, "a\0b"],
)
def test_other_words_are_no_data(project: Path, word: str) -> None:
    """Code is in the snapshot; what no pointer names is nobody's data until --data says so."""
    write(project / "loose.bin", "?")
    assert begin(project, word) == ()


def test_named_data_that_is_not_here_is_no_input(project: Path) -> None:
    """The command may be about to make it."""
    (project / "data" / "x.csv").unlink()
    assert begin(project, "data/x.csv") == ()


def test_an_output_in_dvc_lock_is_data(project: Path) -> None:
    """`dvc repro` made it; it has no `.dvc` file."""
    write(project / "model.bin", "m")
    write(project / ".git" / "info" / "exclude", "/model.bin\n")
    said = f"[{{path: model.bin, hash: md5, md5: {md5('m')}}}]"
    write(project / "dvc.lock", f"schema: '2.0'\nstages: {{fit: {{cmd: x, outs: {said}}}}}\n")
    assert begin(project, "model.bin") == (Data("model.bin", md5("m"), 1, pointer="dvc.lock"),)


def test_a_broken_pointer_of_named_data_is_an_error(project: Path) -> None:
    """Else the run would be recorded without its data, in silence."""
    write(project / "data" / "x.csv.dvc", "<<<<<<< x.csv\n")
    with pytest.raises(BadFile, match=r"data/x\.csv\.dvc"):
        begin(project, "data/x.csv")
    assert begin(project, "data/img") == (img(project),)


def test_a_run_that_names_no_data_asks_git_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither do words that name something where there is no DVC at all."""
    asked: list[str] = []
    real = Repo.git

    def spy(repo: Repo, *arguments: str, **more: Any) -> bytes:
        asked.append(arguments[0])
        return real(repo, *arguments, **more)

    monkeypatch.setattr(Repo, "git", spy)
    begin(project, "python", "train.py", "--lr=0.1", "src")
    assert "ls-files" not in asked
    begin(project, "data/x.csv")
    assert "ls-files" in asked


def test_a_project_below_the_root_is_known(repo_dir: Path, git: Any) -> None:
    """`dvc init --subdir`, several of them."""
    for name in ("one", "two"):
        write(repo_dir / name / ".dvc" / "config", "")
        write(repo_dir / name / "x.csv", name)
        write(repo_dir / name / ".gitignore", "/x.csv\n")
        pointer(repo_dir / name / "x.csv", md5(name))
    git(repo_dir, "add", "-A")
    git(repo_dir, "commit", "-q", "-m", "Two projects")
    expected = Data("two/x.csv", md5("two"), 3, pointer="two/x.csv.dvc")
    assert begin(repo_dir, "x.csv", at="two") == (expected,)


# -- data that is given -------------------------------------------------------------------------


def test_given_data_needs_no_pointer(repo_dir: Path) -> None:
    """Nor DVC, nor a commit: its hash is kept."""
    write(repo_dir / "raw" / "a.bin", "a")
    write(repo_dir / "raw" / "b.bin", "bb")
    directory = hashing.of(repo_dir / "raw")
    assert begin(repo_dir, paths=["raw", "raw/a.bin", "./raw/"]) == (
        Data("raw", directory.md5, 3, 2),
        Data("raw/a.bin", md5("a"), 1),
    )
    assert begin(repo_dir, paths=["a.bin"], at="raw") == (Data("raw/a.bin", md5("a"), 1),)
    assert begin(repo_dir, paths=["train.py"])[0].path == "train.py"


def test_given_data_inside_is_named_once(project: Path) -> None:
    """By hand, by its pointer, by the command: one entry."""
    assert begin(project, "data/x.csv", "data/img/1", paths=["data/x.csv", "data/img"]) == (
        img(project),
        X,
    )
    data = begin(project, "data/x.csv", paths=["data/x"]) if write(project / "data/x", "") else ()
    assert [item.path for item in data] == ["data/x", "data/x.csv"]


def test_what_differs_from_its_pointer_is_modified(project: Path) -> None:
    """The score belongs to the bytes that were read, not to those that were committed."""
    write(project / "data" / "x.csv", "a,b\n1,2\n")
    write(project / "data" / "img" / "3", "three")
    found = {item.path: item for item in begin(project, "data/x.csv", "data/img")}
    assert found["data/x.csv"].md5 == md5("a,b\n1,2\n") and found["data/x.csv"].modified
    assert found["data/img"].modified and found["data/img"].nfiles == 3
    write(project / "data" / "x.csv", "a,b\n")
    assert begin(project, "data/x.csv") == (X,)


def test_a_part_of_a_directory_is_compared_with_that_part(project: Path) -> None:
    """Of `dvc add data/img`, `data/img/sub` is what it was until a file in it is another."""
    repo = Repo.open(project)
    open_cache(repo, setup.read(repo)).add(project / "data" / "img")
    faults: list[str] = []

    def modified() -> bool:
        (found,) = begin(project, paths=["data/img/sub"], faults=faults)
        return found.modified

    assert not modified()
    write(project / "data" / "img" / "1", "another, elsewhere")
    assert not modified()
    write(project / "data" / "img" / "sub" / "3", "three")
    assert modified()
    (project / "data" / "img" / "sub" / "3").unlink()
    write(project / "data" / "img" / "sub" / "2", "another")
    assert modified() and faults == []
    write(project / "data" / "img" / "new" / "4", "not in the listing")
    (found,) = begin(project, paths=["data/img/new"])
    assert found.modified


def test_what_cannot_be_compared_is_said(project: Path) -> None:
    """Without the listing nobody knows: that is no change, and no reason to trust it either."""
    faults: list[str] = []
    (found,) = begin(project, paths=["data/img/sub"], faults=faults)
    assert not found.modified
    assert faults == ["'data/img/sub' was not compared with data/img.dvc: its listing is not here"]


def test_a_pointer_of_dvc_2_does_not_call_data_modified(project: Path) -> None:
    """Its MD5 is that of a text with other line ends: nobody can tell."""
    write(project / "data" / "x.csv.dvc", f"outs:\n- md5: {'f' * 32}\n  path: x.csv\n")
    assert begin(project, "data/x.csv") == (X,)


def test_data_named_in_the_configuration_is_read_by_every_run(project: Path, git: Any) -> None:
    """From the root, wherever the command runs; a step that makes it first may lack it."""
    write(project / "more.bin", "m")
    for path in ("data/x.csv", "more.bin", "not/there"):
        git(project, "config", "--add", "track.data", path)
    assert begin(project, at="src") == (X, Data("more.bin", md5("m"), 1))


def test_missing_data_is_an_error_that_helps(project: Path) -> None:
    """Before the training, not after."""
    with pytest.raises(BadPath, match="there is no data 'nope'") as caught:
        begin(project, paths=["nope"])
    assert caught.value.path == "nope" and caught.value.hint
    (project / "data" / "x.csv").unlink()
    with pytest.raises(BadPath, match="only its pointer") as caught:
        begin(project, paths=["data/x.csv"])
    assert caught.value.hint == "`dvc pull data/x.csv.dvc` brings it."
    (project / "data" / "x.csv").symlink_to(project / ".dvc" / "cache" / "gone")
    with pytest.raises(BadPath, match="only its pointer"):
        begin(project, paths=["data/x.csv"])


def test_what_cannot_be_read_is_refused(repo_dir: Path) -> None:
    """One line each, and nothing hangs."""
    (repo_dir / "broken").symlink_to("nowhere")
    (repo_dir / "cycle").symlink_to("cycle")
    os.mkfifo(repo_dir / "pipe")
    os.chdir(repo_dir)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    listener.close()
    for path in ("broken", "cycle", "pipe", "socket", "", ".", ".git", ".git/HEAD", "a\0b"):
        with pytest.raises(BadPath) as caught:
            begin(repo_dir, paths=[path])
        assert "\n" not in caught.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_data_is_refused(repo_dir: Path) -> None:
    """Before the training."""
    write(repo_dir / "locked", "x").chmod(0)
    with pytest.raises(BadPath, match="locked"):
        begin(repo_dir, paths=["locked"])


def test_data_outside_needs_a_word(repo_dir: Path, git: Any) -> None:
    """An absolute path means something on this machine alone."""
    outside = write(repo_dir.parent / "big.bin", "big")
    for path in ("../big.bin", str(outside)):
        with pytest.raises(BadPath, match="outside of the repository") as caught:
            begin(repo_dir, paths=[path])
        assert caught.value.hint and "track.dataOutside" in caught.value.hint
    git(repo_dir, "config", "track.dataOutside", "true")
    for path in ("../big.bin", str(outside)):
        assert begin(repo_dir, paths=[path]) == (Data(str(outside), md5("big"), 3),)
    assert again(repo_dir, begin(repo_dir, paths=["../big.bin"]))[0].changed is False


def test_a_symlink_to_data_elsewhere_is_inside(repo_dir: Path) -> None:
    """Its name is; and so is that of data under a root that was reached by way of a symlink."""
    write(repo_dir.parent / "big" / "x", "x")
    (repo_dir / "data").symlink_to(repo_dir.parent / "big")
    (repo_dir.parent / "alias").symlink_to(repo_dir)
    expected = (Data("data/x", md5("x"), 1),)
    assert begin(repo_dir, paths=["data/x"]) == expected
    alias = repo_dir.parent / "alias"
    assert begin(alias, paths=["data/x"]) == expected
    assert begin(repo_dir, paths=[str(alias / "data" / "x")]) == expected


def test_odd_names_are_kept(repo_dir: Path) -> None:
    """Quoted as Git quotes them, and found again under that name."""
    names = [b"caf\xe9", b'a"b\\', "é".encode(), b"new\nline", b"-x", b"a\tb"]
    try:
        for name in names:
            write(repo_dir / os.fsdecode(name), name)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    data = begin(repo_dir, paths=[os.fsdecode(name) for name in names])
    assert {item.path: item.md5 for item in data} == {quote_path(n): md5(n) for n in names}
    assert again(repo_dir, data) == data


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=20).filter(lambda raw: b"\0" not in raw))
def test_a_quoted_name_is_read_back(raw: bytes) -> None:
    """Any bytes that a file may be called."""
    assert inputs._unquoted(quote_path(raw)) == raw


# -- at the end ---------------------------------------------------------------------------------


def test_data_is_looked_at_again(project: Path) -> None:
    """Changed, gone, replaced by a directory: the start's hash stays, and the change is said."""
    write(project / "a", "a")
    write(project / "b", "b")
    write(project / "c", "c")
    data = begin(project, "data/x.csv", "data/img", paths=["a", "b", "c"])
    assert again(project, data) == data
    write(project / "a", "A")
    (project / "b").unlink()
    (project / "c").unlink()
    write(project / "c" / "inner", "c")
    os.utime(project / "data" / "x.csv", (1, 1))
    write(project / "data" / "img" / "1", "ONE")
    seen = again(project, data)
    assert {item.path for item in seen if item.changed} == {"a", "b", "c", "data/img"}
    assert [item.md5 for item in seen] == [item.md5 for item in data]


def test_unchanged_data_is_not_read_again(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten gigabytes cost a `stat`, at the end of this run and in all later ones."""
    old = write(repo_dir / "big.bin", "x" * 1000)
    os.utime(old, (10**9, 10**9))
    data = begin(repo_dir, paths=["big.bin"])
    known = Stats(Repo.open(repo_dir).state / "cache" / "md5.sqlite")
    assert known.get(old.stat()) == data[0].md5
    known.put(old.stat(), "0" * 32, when=2 * 10**18)
    known.flush()
    assert begin(repo_dir, paths=["big.bin"])[0].md5 == "0" * 32
    assert again(repo_dir, data)[0].changed


# -- what a trace saw ---------------------------------------------------------------------------


def traced(root: Path, *paths: str, given: Sequence[Data] = ()) -> tuple[Data, ...]:
    repo = Repo.open(root)
    return inputs.traced(repo, setup.read(repo), [root / path for path in paths], given=given)


def test_traced_files_become_data(project: Path) -> None:
    """A file of a tracked directory stands for that directory; what is gone, or given, is not."""
    write(project / "a", "a")
    assert traced(project, "a", "gone", "data/x.csv", "data/img/1", "data/img/sub/2") == (
        Data("a", md5("a"), 1),
        img(project),
        X,
    )
    given = begin(project, paths=["data"])
    assert traced(project, "a", "data/x.csv", "data/img/1", given=given) == (
        Data("a", md5("a"), 1),
    )


def test_thousands_of_traced_files_are_their_directories(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record is no file listing."""
    monkeypatch.setattr(inputs, "_MOST_TRACED", 10)
    names = [f"many/{part}/{number}" for part in "ab" for number in range(8)]
    for name in names:
        write(project / name, name)
    write(project / "one", "1")
    assert [item.path for item in traced(project, *names, "one")] == ["many/a", "many/b", "one"]
    assert len(traced(project, *names[:9])) == 9


# -- what DVC knows already ---------------------------------------------------------------------


@pytest.fixture
def remembered(added: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Added more than a minute ago, as far as anybody can tell."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(added / "site"))
    monkeypatch.setattr(inode, "_REST", 0)
    yield added


@pytest.mark.parametrize("kind", ["copied", "linked"])
def test_what_dvc_added_or_made_is_recognised(remembered: Path, kind: str) -> None:
    """With its pointers, by the same hashes that DVC wrote into them."""
    root = remembered / kind
    data = begin(root, "data/x.csv", "--images=data/img", "out.csv")
    assert [(item.path, item.pointer, item.modified) for item in data] == [
        ("data/img", "data/img.dvc", False),
        ("data/x.csv", "data/x.csv.dvc", False),
        ("out.csv", "dvc.lock", False),
    ]
    assert [item.md5 for item in data[1:]] == [md5("a,b\n")] * 2
    assert data[0].md5 in (root / "data" / "img.dvc").read_text()
    assert again(root, data) == data


@pytest.mark.parametrize("kind", ["copied", "linked"])
def test_what_dvc_hashed_is_not_hashed_again(
    remembered: Path, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its pointer and DVC's own memory, or the link into its cache, tell."""
    monkeypatch.setattr(inputs.cache, "open_stats", lambda repo: stats)
    stats = Stats(tmp_path / "stats")
    known: dict[str, str | None] = {}
    real = hashing.of

    def spy(path: Path, **more: Any) -> hashing.Hashed:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        known.update({file.name: stats.get(file.stat()) for file in files})
        return real(path, **more)

    monkeypatch.setattr(hashing, "of", spy)
    begin(remembered / kind, "data/x.csv", "data/img", "out.csv")
    assert known == {
        "x.csv": md5("a,b\n"),
        "1": md5("one"),
        "2": md5("two"),
        "out.csv": md5("a,b\n"),
    }


def test_dvcs_memory_is_believed_only_of_what_it_saw(
    remembered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inode, time and size must be the same; a file that was touched is read.

    Also one whose mtime was put back: DVC would take the new content for the old one.
    """
    root, stats = remembered / "copied", Stats(tmp_path / "stats")
    found = setup.read(Repo.open(root))
    assert memory.recall(found, root / "data", stats) == 4
    old = root / "data" / "old"
    before = old.stat()
    assert stats.get(before) == md5("old")
    old.write_text("new")
    assert memory.recall(found, old, Stats(tmp_path / "other")) == 0
    monkeypatch.setattr(memory, "_AT_ONCE", 10_000_000)
    os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert memory.recall(found, old, Stats(tmp_path / "third")) == 0
    assert memory.recall(found, root / "data" / "im", stats) == 0
    assert memory.recall(found, root / "train.py", stats) == 0


def _databases(top: Path) -> list[Path]:
    return list((top / "site").glob("repo/*/hashes/local/cache.db"))


def test_a_memory_that_others_may_write_is_not_believed(remembered: Path, tmp_path: Path) -> None:
    """/var/tmp is for everybody: what lies there is believed only if nobody else can write it."""
    root = remembered / "copied"
    found = setup.read(Repo.open(root))
    assert memory.recall(found, root / "out.csv", Stats(tmp_path / "a")) == 1
    for database in _databases(remembered):
        for place in (database, database.parent):
            mode = place.stat().st_mode
            place.chmod(mode | 0o002)
            assert memory.recall(found, root / "out.csv", Stats(tmp_path / "b")) == 0 or (
                "copied" not in str(_root_of(database))
            )
            place.chmod(mode)


def _root_of(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        return str(connection.execute("SELECT min(key) FROM Cache").fetchone()[0])


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, None])
def test_a_memory_that_is_broken_is_none(
    remembered: Path, tmp_path: Path, content: bytes | None
) -> None:
    """The file is read then, which always works."""
    root = remembered / "copied"
    found = setup.read(Repo.open(root))
    saved = {database: database.read_bytes() for database in _databases(remembered)}
    try:
        for database in saved:
            database.unlink()
            if content is not None:
                database.write_bytes(content)
        assert memory.recall(found, root / "out.csv", Stats(tmp_path / "a")) == 0
        assert begin(root, "out.csv")[0].md5 == md5("a,b\n")
    finally:
        for database, before in saved.items():
            database.write_bytes(before)


@pytest.mark.parametrize(
    "value",
    [
        "{}",
        "[]",
        "5",
        "{",
        "[" * 100_000,
        '{"version": 2, "checksum": "%", "hash_info": {"md5": "%"}}',
        '{"version": 1, "checksum": "1", "hash_info": {"md5": "00000000000000000000000000000000"}}',
        '{"version": 1, "checksum": "%", "hash_info": {"md5": "../x"}}',
        '{"version": 1, "checksum": "%", "hash_info": {"md5": null}}',
        '{"version": 1, "checksum": "%", "hash_info": []}',
    ],
)
def test_an_entry_that_makes_no_sense_is_none(tmp_path: Path, value: str) -> None:
    """Whatever a later DVC may write there."""
    file = write(tmp_path / "x", "x")
    said = value.replace("%", memory._token(file.stat()))
    assert memory._believed(str(file), said, 0) is None
    good = {"version": 1, "checksum": memory._token(file.stat()), "hash_info": {"md5": md5("x")}}
    import json

    assert memory._believed(str(file), json.dumps(good), 0)
