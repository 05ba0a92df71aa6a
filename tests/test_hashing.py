"""Content is called what `dvc add` calls it, and what is known is not read again."""

from __future__ import annotations

import json
import mmap
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import hashing, reading
from gittrack.errors import BadPath
from gittrack.hashing import Stats
from gittrack.inode import settled
from gittrack.intake import UNFINISHED

OLD = 1_600_000_000_123_456_789


def _write(path: Path, content: bytes | str = b"", *, old: bool = True) -> Path:
    """A file; with the times of one that nobody has touched lately."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if old:
        os.utime(path, ns=(OLD, OLD))
    return path


# -- as dvc add does ----------------------------------------------------------------------------

_ADD = """
import json, sys
from dvc.repo import Repo

said = {}
repo = Repo(".")
for target in sys.argv[1:]:
    try:
        (stage,) = repo.add(target)
        out = stage.outs[0]
        said[target] = [out.hash_info.value, out.meta.size, out.meta.nfiles]
    except Exception as error:
        said[target] = str(error)
print(json.dumps(said))
"""

GOOD = [
    "file.txt",
    "crlf.txt",
    "empty.bin",
    "big.bin",
    "link-to-file",
    "é.txt",
    "plain",
    "nothing",
    "only-directories",
    "ignored-in-part",
    "with-git-inside",
    "with-repository",
    "deep",
    "odd",
    "linked",
    "sub/data",
]
REFUSED = [
    "broken",
    "loop",
    "own-rules",
    "left-out",
    "missing",
    "link-to-directory",
    "socket",
]


@pytest.fixture(scope="session")
def dvc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, object]]]:
    """A directory full of cases, and what the real `dvc add` said of each."""
    root = tmp_path_factory.mktemp("dvc")
    _cases(root)
    words = [sys.executable, "-m", "dvc", "init", "-q", "--no-scm"]
    env = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONWARNINGS": "ignore"}
    subprocess.run(words, cwd=root, check=True, env=env)
    (root / ".dvcignore").write_text(
        "# a comment\n*.tmp\n!keep.tmp\nleft-out\n\nignored-in-part/skip\n/ignored-in-part/*.log\n"
        "build/\n**/cache/*.bin\n\\#hash\nsub/data/x?\n"
    )
    _write(root / "sub" / ".dvcignore", "*.csv\n/data/anchored\ndata/*.parquet\n!two.csv\n")
    done = subprocess.run(
        [sys.executable, "-c", _ADD, *GOOD, *REFUSED],
        cwd=root,
        check=True,
        env=env,
        stdout=subprocess.PIPE,
    )
    yield root, json.loads(done.stdout.splitlines()[-1])


def _cases(root: Path) -> None:
    _write(root / "file.txt", "hello\n")
    _write(root / "crlf.txt", "a\r\nb\r\n")
    _write(root / "empty.bin")
    _write(root / "big.bin", bytes(range(256)) * 12_345)
    os.symlink("file.txt", root / "link-to-file")
    _write(root / "é.txt", "é")
    for number in range(30):
        _write(root / "plain" / f"{number % 3}" / f"{number}.txt", str(number % 7))
    (root / "nothing").mkdir()
    (root / "only-directories" / "a" / "b").mkdir(parents=True)
    for name in ("a.tmp", "keep.tmp", "x.log", "sub/y.log", "skip/z", "build/o", "cache/a.bin"):
        _write(root / "ignored-in-part" / name, name)
    _write(root / "ignored-in-part" / "sub" / "cache" / "deep" / "a.bin", "deep")
    _write(root / "ignored-in-part" / "#hash", "#")
    _write(root / "ignored-in-part" / "build.txt", "build")
    _write(root / "with-git-inside" / ".git" / "config", "[core]")
    _write(root / "with-git-inside" / "sub" / ".git", "gitdir: elsewhere")
    _write(root / "with-git-inside" / ".hg" / "store", "x")
    _write(root / "with-git-inside" / ".gitignore", "*")
    _write(root / "with-git-inside" / "a", "a")
    _write(root / "with-repository" / "inner" / ".dvc" / "config")
    _write(root / "with-repository" / "inner" / "a", "a")
    _write(root / "with-repository" / "b", "b")
    _write(root.joinpath("deep", *"abcdefghijklmnop", "file"), "down")
    for name in (
        'a"b\\c',
        "new\nline",
        "日本.txt",
        "e\u0301",
        "é",
        " blank ",
        "a:b",
        "Z",
        "a",
        "_",
    ):
        _write(root / "odd" / name, name)
    _write(root / "linked" / "real", "real")
    _write(root / "linked" / "directory" / "x", "x")
    os.symlink("real", root / "linked" / "soft")
    os.symlink("../file.txt", root / "linked" / "outside")
    os.symlink("directory", root / "linked" / "to-directory")
    os.symlink(".", root / "linked" / "cycle")
    os.link(root / "linked" / "real", root / "linked" / "hard")
    for name in ("one.csv", "two.csv", "deep/three.csv", "anchored", "deep/anchored", "a.parquet"):
        _write(root / "sub" / "data" / name, name)
    for name in ("deep/a.parquet", "x1", "x12", "deep/x1"):
        _write(root / "sub" / "data" / name, name)
    _write(root / "broken" / "a", "a")
    os.symlink("nowhere", root / "broken" / "b")
    _write(root / "loop" / "a", "a")
    os.symlink("b", root / "loop" / "b")
    _write(root / "own-rules" / "sub" / ".dvcignore", "*.txt")
    _write(root / "left-out" / "a", "a")
    os.symlink("plain", root / "link-to-directory")
    (root / "socket").mkdir()
    here = os.getcwd()
    os.chdir(root / "socket")  # the path of a socket has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("s")
    os.chdir(here)


@pytest.mark.parametrize("name", GOOD)
def test_content_is_called_what_dvc_add_calls_it(
    dvc: tuple[Path, dict[str, object]], name: str, tmp_path: Path
) -> None:
    """A pointer of ours and one of DVC's must name the same object, or nothing is shared."""
    root, said = dvc
    stats = Stats(tmp_path / "stats")
    for known in (None, stats, stats):
        found = hashing.of(root / name, stats=known)
        assert [found.md5, found.size, found.nfiles] == said[name]


def test_the_listing_has_the_bytes_that_dvc_stored(dvc: tuple[Path, dict[str, object]]) -> None:
    """The hash alone could agree by a rule that holds for these cases only."""
    from gittrack import manifest

    root, _ = dvc
    for name in GOOD:
        found = hashing.of(root / name)
        if found.nfiles is not None:
            stored = root / ".dvc/cache/files/md5" / found.md5[:2] / found.md5[2:]
            assert manifest.encode(found.members) == stored.read_bytes(), name


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "link-to-directory"])
def test_what_dvc_add_refuses_is_refused(dvc: tuple[Path, dict[str, object]], name: str) -> None:
    """A hash that DVC cannot reproduce would be worth nothing."""
    root, said = dvc
    assert isinstance(said[name], str), "DVC takes it by now"
    with pytest.raises(BadPath) as caught:
        hashing.of(root / name)
    assert name in caught.value.path


def test_a_symlink_to_a_directory_is_hashed_though_dvc_refuses_to_add_one(
    dvc: tuple[Path, dict[str, object]],
) -> None:
    """Data sets lie on other disks; reading through a link is harmless, replacing it is not."""
    root, said = dvc
    assert "symlink" in str(said["link-to-directory"])
    assert hashing.of(root / "link-to-directory") == hashing.of(root / "plain")


def test_a_name_that_is_no_utf8_is_kept_as_its_bytes(tmp_path: Path) -> None:
    """DVC crashes on one; the listing has surrogates where Python does, and comes back whole."""
    name = os.fsdecode(b"\xff\xfe.txt")
    _write(tmp_path / "data" / name, "x")
    (member,) = hashing.directory(tmp_path / "data").members
    assert os.fsencode(member.path) == b"\xff\xfe.txt"


_segments = st.sampled_from(["a", "b", "ab", "a.c", "x.tmp", "data", "#d", "!e", "[f]"])
_paths = st.lists(_segments, min_size=1, max_size=4).map("/".join)
_rules = st.one_of(
    st.sampled_from(
        ["*", "*.tmp", "a*", "**/b", "a/**", "a/**/b", "/a", "/a/b", "b/", "\\#d", "\\!e"]
    ),
    st.tuples(
        st.sampled_from(["", "!", "/", "!/", "**/"]), _paths, st.sampled_from(["", "/", "/*"])
    ).map("".join),
)


@settings(deadline=None, max_examples=60)
@given(
    files=st.sets(_paths, min_size=1, max_size=12),
    above=st.lists(_rules, max_size=4),
    beside=st.lists(_rules, max_size=4),
)
def test_any_rules_leave_out_what_dvc_leaves_out(
    tmp_path_factory: pytest.TempPathFactory,
    files: set[str],
    above: list[str],
    beside: list[str],
) -> None:
    """Against DVC's own filter: its rules are not Git's in every corner."""
    root = tmp_path_factory.mktemp("rules")
    (root / ".dvc").mkdir()
    for path in files:
        try:
            _write(root / "top" / "data" / path, path)
        except OSError:
            continue  # a file stands where this one has a directory
    _write(root / ".dvcignore", "\n".join(above))
    _write(root / "top" / ".dvcignore", "\n".join(beside))
    expected = _dvc_finds(root, root / "top" / "data")
    try:
        found = {row[0] for row in hashing.scan(root / "top" / "data").rows()}
    except BadPath:
        found = None
    assert found == expected


def _dvc_finds(root: Path, data: Path) -> set[str] | None:
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnoreFilter

    rules = DvcIgnoreFilter(localfs, str(root))
    if rules.is_ignored_dir(str(data)):
        return None
    return {os.path.relpath(path, data) for path in rules.find(localfs, str(data))}


def test_a_rule_that_is_no_pattern_is_named(tmp_path: Path) -> None:
    """DVC ends with a traceback of its pattern library."""
    _write(tmp_path / ".dvcignore", "!\n")
    _write(tmp_path / "data" / "a")
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(BadPath, match="'!'"):
        hashing.of(tmp_path / "data")


def test_rules_that_are_no_text_are_named(tmp_path: Path) -> None:
    """An ignored rule would let files in that somebody wanted out."""
    _write(tmp_path / ".dvcignore", b"\xff\xfe")
    _write(tmp_path / "data" / "a")
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(BadPath, match="not UTF-8"):
        hashing.of(tmp_path / "data")


def test_without_dvc_the_rules_begin_at_the_repository(tmp_path: Path) -> None:
    """So that the hash stays the same when `dvc init` comes later."""
    _write(tmp_path / ".dvcignore", "*.tmp")
    _write(tmp_path / "repo" / "data" / "a.tmp", "1")
    (tmp_path / "repo" / ".git").mkdir()
    assert hashing.of(tmp_path / "repo" / "data").nfiles == 1
    _write(tmp_path / "repo" / ".dvcignore", "*.tmp")
    assert hashing.of(tmp_path / "repo" / "data").nfiles == 0


def test_no_rules_cost_no_pattern_library(tmp_path: Path) -> None:
    """Starting up must stay cheap for those who have no `.dvcignore`, or one of comments."""
    _write(tmp_path / ".dvcignore", "# Add patterns of files dvc should ignore\n")
    (tmp_path / ".dvc").mkdir()
    _write(tmp_path / "data" / "a")
    code = (
        "import sys; from pathlib import Path; from gittrack import hashing\n"
        "assert hashing.of(Path(sys.argv[1])).nfiles == 1\n"
        "print({'pathspec', 'sqlite3', 'dvc'} & sys.modules.keys())"
    )
    words = [sys.executable, "-c", code, os.fspath(tmp_path / "data")]
    assert subprocess.check_output(words, text=True) == "set()\n"


# -- what cannot be hashed ----------------------------------------------------------------------


def _missing(place: Path) -> str:
    return "missing"


def _below_a_file(place: Path) -> str:
    _write(place / "file")
    return "file/below"


def _broken(place: Path) -> str:
    os.symlink("nowhere", place / "broken")
    return "broken"


def _cycle(place: Path) -> str:
    os.symlink("two", place / "one")
    os.symlink("one", place / "two")
    return "one"


def _pipe(place: Path) -> str:
    os.mkfifo(place / "pipe")
    return "pipe"


def _device(place: Path) -> str:
    os.symlink("/dev/null", place / "device")
    return "device"


def _pipe_inside(place: Path) -> str:
    _write(place / "data" / "a")
    os.mkfifo(place / "data" / "pipe")
    return "data"


def _device_inside(place: Path) -> str:
    _write(place / "data" / "a")
    os.symlink("/dev/zero", place / "data" / "zero")
    return "data"


def _closed(place: Path) -> Path:
    path = _write(place / "closed-file")
    path.chmod(0)
    return path


def _unreadable(place: Path) -> str:
    _write(place / "secret", "x").chmod(0)
    return "secret"


def _unreadable_inside(place: Path) -> str:
    _write(place / "data" / "a").chmod(0)
    return "data"


def _closed_directory(place: Path) -> str:
    _write(place / "data" / "closed" / "a").parent.chmod(0)
    return "data"


def _nul(place: Path) -> str:
    return "a\0b"


def _too_long(place: Path) -> str:
    return "x" * 300


CASES: dict[Callable[[Path], str], str] = {
    _missing: "there is no '.*missing'",
    _below_a_file: "Not a directory",
    _broken: "is a symlink to nothing",
    _cycle: "leads back to itself",
    _pipe: "is a pipe",
    _device: "is a device",
    _pipe_inside: "data/pipe' is a pipe",
    _device_inside: "data/zero' is a device",
    _unreadable: "Permission denied",
    _unreadable_inside: "data/a': Permission denied",
    _closed_directory: "closed/?': Permission denied",
    _nul: "null",
    _too_long: "too long",
}


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("remembering", [False, True])
def test_what_has_no_content_ends_in_one_line(
    make: Callable[[Path], str], remembering: bool, tmp_path: Path
) -> None:
    """Each is met in practice; none may hang (a pipe), fill memory (a device) or be a traceback."""
    name = make(tmp_path)
    if "Permission" in CASES[make] and os.access(_closed(tmp_path), os.R_OK):
        pytest.skip("this user may read everything")
    stats = Stats(tmp_path / "stats") if remembering else None
    with pytest.raises(BadPath, match=CASES[make]) as caught:
        hashing.of(tmp_path / name, stats=stats)
    assert "\n" not in caught.value.message


def _changing(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[int], None], *, times: int
) -> list[int]:
    """Have `change` called after a file was read, so many times."""
    calls: list[int] = []
    pour = reading.pour

    def poured(*words: object, **more: object) -> str:
        found = pour(*words, **more)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) <= times:
            change(len(calls))
        return found

    for module in (reading, hashing):
        monkeypatch.setattr(module, "pour", poured)
    return calls


@pytest.mark.parametrize("kind", ["grows", "shrinks", "same size"])
def test_a_file_that_changes_while_it_is_read_is_read_again(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hash of half of one content and half of another would be that of none."""
    path = _write(tmp_path / "file", b"x" * 3_000_000)

    def change(_: int) -> None:
        _write(
            path, {"grows": b"y" * 4_000_000, "shrinks": b"y", "same size": b"y" * 3_000_000}[kind]
        )

    calls = _changing(monkeypatch, change, times=1)
    assert hashing.of(path).md5 == md5(path.read_bytes()).hexdigest()
    assert len(calls) == 2


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_that_always_changes_is_given_up(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a log that is being written."""
    path = _write(tmp_path / "data" / "log", b"x" * 2_000_000)

    def change(count: int) -> None:
        with path.open("ab") as file:
            file.write(b"y")

    _changing(monkeypatch, change, times=99)
    with pytest.raises(BadPath, match="changes while it is read"):
        hashing.of(path.parent if inside else path)


def test_a_file_that_comes_or_goes_below_a_directory_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found, then gone before it is read."""
    path = _write(tmp_path / "data" / "a")
    scan = hashing.scan

    def scanned(place: Path) -> hashing.Tree:
        tree = scan(place)
        path.unlink()
        return tree

    monkeypatch.setattr(hashing, "scan", scanned)
    with pytest.raises(BadPath, match="there is no"):
        hashing.of(tmp_path / "data")


# -- what is remembered -------------------------------------------------------------------------


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were opened to be read."""
    opened: list[str] = []
    real = os.open

    def noted(path: object, flags: int, *more: object, **others: object) -> int:
        if not flags & os.O_DIRECTORY:
            opened.append(os.path.basename(os.fspath(path)))  # type: ignore[call-overload]
        return real(path, flags, *more, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(reading.os, "open", noted)
    return opened


@pytest.mark.parametrize("flushed", [False, True])
def test_what_did_not_change_is_not_read_again(
    flushed: bool, tmp_path: Path, reads: list[str]
) -> None:
    """Unchanged data costs no more than looking at it."""
    for number in range(1200):
        _write(tmp_path / "data" / f"{number % 5}" / f"{number}", str(number))
    _write(tmp_path / "one", b"x" * 2_000_000)
    stats = Stats(tmp_path / "git" / "md5.sqlite")
    first = [hashing.of(tmp_path / name, stats=stats) for name in ("data", "one")]
    assert len(reads) == 1201
    reads.clear()
    if flushed:
        stats.flush()
        stats = Stats(tmp_path / "git" / "md5.sqlite")
    assert [hashing.of(tmp_path / name, stats=stats) for name in ("data", "one")] == first
    assert reads == []


def test_one_changed_file_of_many_is_all_that_is_read(tmp_path: Path, reads: list[str]) -> None:
    """The directory as a whole is unknown then, its other files are not."""
    for number in range(700):
        _write(tmp_path / "data" / f"{number}", str(number))
    stats = Stats(tmp_path / "md5.sqlite")
    hashing.of(tmp_path / "data", stats=stats)
    stats.flush()
    reads.clear()
    _write(tmp_path / "data" / "77", "other")
    _write(tmp_path / "data" / "more", "more")
    (tmp_path / "data" / "5").unlink()
    found = hashing.of(tmp_path / "data", stats=Stats(tmp_path / "md5.sqlite"))
    assert sorted(reads) == ["77", "more"]
    assert found == hashing.of(tmp_path / "data")


def test_a_name_that_changed_makes_another_directory(tmp_path: Path) -> None:
    """Same files, same inodes, same times: only the names tell."""
    for name in ("a", "b"):
        _write(tmp_path / "data" / name, name)
    stats = Stats(tmp_path / "md5.sqlite")
    before = hashing.of(tmp_path / "data", stats=stats)
    (tmp_path / "data" / "a").rename(tmp_path / "data" / "c")
    after = hashing.of(tmp_path / "data", stats=stats)
    assert after == hashing.of(tmp_path / "data") != before


def _in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def _mtime_put_back(path: Path) -> None:
    _in_place(path)
    os.utime(path, ns=(OLD, OLD))


def _replaced(path: Path) -> None:
    _write(path.with_name("new"), "other").replace(path)


@pytest.mark.parametrize("change", [_in_place, _mtime_put_back, _replaced])
@pytest.mark.parametrize("name", ["data", "data/file"])
def test_a_change_of_the_same_size_is_seen(
    change: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    """Also where a tool puts the old mtime back: the ctime cannot be set."""
    path = _write(tmp_path / "data" / "file", "first")
    stats = Stats(tmp_path / "md5.sqlite")
    before = hashing.of(tmp_path / name, stats=stats)
    change(path)
    after = hashing.of(tmp_path / name, stats=stats)
    assert after == hashing.of(tmp_path / name) != before


@pytest.mark.parametrize("name", ["data", "data/file"])
def test_a_file_written_just_now_is_not_remembered(
    name: str, tmp_path: Path, reads: list[str]
) -> None:
    """A second write within one tick of the clock leaves no trace in the times."""
    path = _write(tmp_path / "data" / "file", "first", old=False)
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    stats = Stats(tmp_path / "md5.sqlite")
    hashing.of(tmp_path / name, stats=stats)
    hashing.of(tmp_path / name, stats=stats)
    assert reads == ["file", "file"]


def test_what_get_has_not_finished_is_no_data(tmp_path: Path) -> None:
    """It would become part of a directory that a run reads or keeps."""
    _write(tmp_path / "data" / "in" / "file", "x")
    before = hashing.of(tmp_path / "data")
    _write(tmp_path / "data" / "in" / f"{UNFINISHED}12", "half")
    assert hashing.of(tmp_path / "data") == before


@pytest.mark.parametrize("name", ["data", "data/file"])
def test_a_write_through_a_mapping_is_seen(name: str, tmp_path: Path) -> None:
    """np.memmap writes: only the first one to a page moves the mtime, until it is written back."""
    path = _write(tmp_path / "data" / "file", "first" * 1000)
    stats = Stats(tmp_path / "md5.sqlite")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:1] = b"1"
        lately = time.time_ns() - 20 * 10**9
        os.utime(path, ns=(lately, lately))
        before = hashing.of(tmp_path / name, stats=stats)
        mapped[:1] = b"2"
        assert path.stat().st_mtime_ns == lately
        assert hashing.of(tmp_path / name, stats=stats) == hashing.of(tmp_path / name) != before


@pytest.mark.parametrize(
    ("mtime", "trusted"),
    [(-61_000_000_000, True), (-59_000_000_000, False), (0, False), (60_000_000_000, False)],
)
def test_how_long_a_file_must_rest(mtime: int, trusted: bool) -> None:
    """A minute, whatever the ctime says; never in the future."""
    when = 1_700_000_000_000_000_000
    for ctime in (when, when + mtime, OLD):
        assert settled((1, 2, 3, when + mtime, ctime), when=when) is trusted


def test_numbers_of_64_bits_are_remembered(tmp_path: Path) -> None:
    """Some file systems use every bit of an inode number, and SQLite has a sign."""
    stats = Stats(tmp_path / "md5.sqlite")
    one = (2**64 - 2, 2**63 + 5, 3, OLD, OLD)
    stats.put_all([(one, "0" * 32)], when=time.time_ns())
    stats.flush()
    assert Stats(tmp_path / "md5.sqlite").get_all([one]) == ["0" * 32]


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def _truncated(path: Path) -> None:
    os.truncate(path, 5000)


def _scrambled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x5a" * (len(data) - 4096)
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_tables(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE files (x)")
        connection.execute("PRAGMA user_version = 1")
    connection.close()


def _bad_values(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE files SET md5 = 'x', size = 'y'")
        connection.execute("UPDATE directories SET md5s = x'00'")
    connection.close()


def _later_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _symlink(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    os.symlink("elsewhere", path)


def _no_parent(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("a file")


DAMAGES = [_garbage, _truncated, _scrambled, _empty, _other_tables, _bad_values]
BARRED = [_later_version, _directory, _fifo, _symlink, _no_parent]


@pytest.mark.parametrize("damage", DAMAGES + BARRED)
def test_whatever_happens_to_the_memory_the_hashes_are_right(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """It is a cache: any damage means that it is empty, and a damaged one is made anew."""
    for name in ("a", "b"):
        _write(tmp_path / "data" / name, name)
    memory = tmp_path / "git" / "md5.sqlite"
    first = Stats(memory)
    expected = hashing.of(tmp_path / "data", stats=first)
    first.flush()
    assert memory.exists()
    damage(memory)
    stats = Stats(memory)
    for _ in range(2):
        assert hashing.of(tmp_path / "data", stats=stats) == expected
        stats.flush()
    again = Stats(memory).get((tmp_path / "data" / "a").stat())
    assert (again is not None) == (damage in DAMAGES)


@pytest.mark.parametrize("damage", [_symlink, _later_version])
def test_a_file_that_is_not_ours_to_write_is_left_alone(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """A symlink could lead anywhere; a later version may know more than we do."""
    _write(tmp_path / "data" / "a")
    memory = tmp_path / "git" / "md5.sqlite"
    stats = Stats(memory)
    hashing.of(tmp_path / "data", stats=stats)
    stats.flush()
    damage(memory)
    before = memory.read_bytes()
    stats = Stats(memory)
    _write(tmp_path / "data" / "b")
    hashing.of(tmp_path / "data", stats=stats)
    stats.flush()
    assert memory.read_bytes() == before


def test_a_read_only_repository_is_no_obstacle(tmp_path: Path) -> None:
    """Others' repositories are looked into as well."""
    _write(tmp_path / "data" / "a")
    (tmp_path / "git").mkdir(mode=0o555)
    stats = Stats(tmp_path / "git" / "cache" / "md5.sqlite")
    expected = hashing.of(tmp_path / "data", stats=stats)
    stats.flush()
    assert (tmp_path / "git" / "cache").exists() == os.access(_closed(tmp_path), os.R_OK)
    assert hashing.of(tmp_path / "data", stats=stats) == expected


def test_a_memory_that_somebody_else_is_writing_is_no_obstacle(tmp_path: Path) -> None:
    """Two runs may begin at once; nobody waits for long, and nothing is damaged."""
    _write(tmp_path / "data" / "a")
    memory = tmp_path / "md5.sqlite"
    stats = Stats(memory)
    expected = hashing.of(tmp_path / "data", stats=stats)
    stats.flush()
    other = sqlite3.connect(memory, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    waiting = Stats(memory)
    assert hashing.of(tmp_path / "data", stats=waiting) == expected
    waiting.flush()
    other.execute("ROLLBACK")
    other.close()
    waiting.flush()
    assert Stats(memory).get((tmp_path / "data" / "a").stat()) is not None


def test_many_processes_write_one_memory(tmp_path: Path) -> None:
    """Each tells of its own files; in the end all are known."""
    for number in range(40):
        _write(tmp_path / str(number % 4) / str(number), str(number))
    code = (
        "import sys; from pathlib import Path; from gittrack import hashing\n"
        "place = Path(sys.argv[1]); stats = hashing.Stats(place / 'md5.sqlite')\n"
        "for path in sorted((place / sys.argv[2]).iterdir()):\n"
        "    hashing.of(path, stats=stats); stats.flush()\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, os.fspath(tmp_path), str(number)])
        for number in range(4)
    ]
    assert [process.wait(60) for process in running] == [0] * 4
    stats = Stats(tmp_path / "md5.sqlite")
    known = [stats.get((tmp_path / str(n % 4) / str(n)).stat()) for n in range(40)]
    assert known == [md5(str(number).encode()).hexdigest() for number in range(40)]


def test_a_child_of_fork_and_its_parent_share_no_connection(tmp_path: Path) -> None:
    """SQLite's connections must not be carried across fork; data loaders fork."""
    path = _write(tmp_path / "a", "a")
    other = _write(tmp_path / "b", "b")
    stats = Stats(tmp_path / "md5.sqlite")
    hashing.of(path, stats=stats)
    stats.flush()
    child = os.fork()
    if child == 0:
        hashing.of(other, stats=stats)
        stats.flush()
        os._exit(0 if stats.get(path.stat()) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert stats.get(path.stat()) == stats.get(path.stat()) != stats.get(other.stat())
    assert stats.get(other.stat()) == md5(b"b").hexdigest()


def test_too_large_a_memory_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every content that ever was would stay in it otherwise."""
    from gittrack import stats as module

    monkeypatch.setattr(module, "_LARGEST", 1)
    stats = Stats(tmp_path / "md5.sqlite")
    for name in ("a", "b"):
        hashing.of(_write(tmp_path / name, name), stats=stats)
        stats.flush()
    again = Stats(tmp_path / "md5.sqlite")
    assert again.get((tmp_path / "a").stat()) is None
    assert again.get((tmp_path / "b").stat()) is not None


# -- progress -----------------------------------------------------------------------------------


class Listener:
    """A meter that adds up."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int | None]] = []
        self.done = 0
        self.ended = 0

    def start(self, what: str, total: int | None, unit: str = "B") -> None:
        self.said.append((what, total))

    def advance(self, count: int) -> None:
        self.done += count

    def end(self) -> None:
        self.ended += 1


@pytest.mark.parametrize("name", ["data", "large"])
def test_progress_comes_to_the_total_that_it_began_with(name: str, tmp_path: Path) -> None:
    """A bar that stops at 80 % looks like a hang."""
    _write(tmp_path / "large", b"x" * 3_000_001)
    _write(tmp_path / "data" / "large", b"x" * 2_000_001)
    _write(tmp_path / "data" / "small", b"x" * 17)
    meter = Listener()
    found = hashing.of(tmp_path / name, meter=meter)
    assert meter.said == [(f"hashing {name}", found.size)]
    assert (meter.done, meter.ended) == (found.size, 1)
