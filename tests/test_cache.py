"""Content is stored once, atomically, and comes out as what its hash says or not at all."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import hashing, intake, manifest, placing, reading
from gittrack.cache import Cache, open_cache, open_stats
from gittrack.errors import BadFile, BadPath, DataDamaged, DataMissing, WriteFailed
from gittrack.stats import Stats

OLD = 1_600_000_000_123_456_789
LARGE = 2_500_000


def _md5(data: bytes) -> str:
    return md5(data).hexdigest()


def _write(path: Path, content: bytes | str = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, ns=(OLD, OLD))
    return path


def _files(directory: Path) -> dict[str, bytes]:
    """Everything below a directory; also what should not be there."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", stats=Stats(tmp_path / "md5.sqlite"), sync=False)


@pytest.fixture
def synced(tmp_path: Path) -> Cache:
    """One that waits for the disk, as is the default."""
    return Cache(tmp_path / "cache", stats=Stats(tmp_path / "md5.sqlite"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory with small, large, equal and empty files."""
    for number in range(25):
        _write(tmp_path / "data" / f"{number % 3}" / f"{number}.txt", str(number % 20))
    _write(tmp_path / "data" / "large.bin", b"large" * (LARGE // 5))
    _write(tmp_path / "data" / "again.bin", b"large" * (LARGE // 5))
    _write(tmp_path / "data" / "empty")
    return tmp_path / "data"


# -- putting in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"hello\n", b"a\r\n", b"x" * LARGE])
def test_a_file_goes_where_dvc_looks_for_it(cache: Cache, tmp_path: Path, content: bytes) -> None:
    """files/md5/ab/cdef..., read-only: the layout and the mode of DVC 3."""
    found = cache.add(_write(tmp_path / "file", content))
    name = _md5(content)
    assert (found.md5, found.size, found.nfiles) == (name, len(content), None)
    assert _files(cache.directory) == {f"files/md5/{name[:2]}/{name[2:]}": content}
    assert stat.S_IMODE(cache.path(name).stat().st_mode) == 0o444
    assert cache.holds(name)


def test_a_directory_is_one_listing_and_its_files(cache: Cache, data: Path) -> None:
    """Equal files are one object; the listing is what DVC would write."""
    found = cache.add(data)
    assert found == hashing.of(data)
    contents = {_md5(content): content for content in _files(data).values()}
    assert len(contents) == 22
    contents[found.md5] = manifest.encode(found.members)
    assert {f"files/md5/{m[:2]}/{m[2:]}": c for m, c in contents.items()} == _files(cache.directory)
    assert {stat.S_IMODE(status.st_mode) for _, status in cache.objects()} == {0o444}
    assert cache.members(found.md5) == tuple(found.members)


def test_the_real_dvc_takes_our_cache_for_its_own(cache: Cache, data: Path, tmp_path: Path) -> None:
    """The strongest test of a format is the other program."""
    found = cache.add(data)
    place = tmp_path / "project"
    place.mkdir()
    pointer = f"outs:\n- md5: {found.md5}\n  hash: md5\n  path: back\n"
    (place / "back.dvc").write_text(pointer)
    env = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONWARNINGS": "ignore"}
    code = (
        "import sys; from dvc.repo import Repo; repo = Repo.init('.', no_scm=True);"
        "w = repo.config.edit(); c = w.__enter__(); c['cache']['dir'] = sys.argv[1];"
        "w.__exit__(None, None, None); repo = Repo('.'); repo.checkout(); print(repo.status())"
    )
    words = [sys.executable, "-c", code, os.fspath(cache.directory)]
    done = subprocess.run(words, cwd=place, env=env, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "{}"
    assert _files(place / "back") == _files(data)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_the_mode_does_not_depend_on_the_umask(cache: Cache, tmp_path: Path, umask: int) -> None:
    """DVC trusts an object that has exactly 0444, and hashes any other each time."""
    path = _write(tmp_path / "file", "x")
    large = _write(tmp_path / "large", b"x" * LARGE)
    before = os.umask(0o022)
    cache.add(_write(tmp_path / "first", "makes the directories"))
    for name in (_md5(b"x"), _md5(b"x" * LARGE)):
        cache.path(name).parent.mkdir(exist_ok=True)
    os.umask(umask)
    try:
        found = [cache.add(path), cache.add(large)]
    finally:
        os.umask(before)
    assert {stat.S_IMODE(cache.path(one.md5).stat().st_mode) for one in found} == {0o444}


@pytest.mark.parametrize("links", [("hardlink",), ("symlink",), ("reflink",), ("copy",)])
@pytest.mark.parametrize("size", [10, LARGE])
def test_the_source_is_never_linked_into_the_cache(
    tmp_path: Path, links: tuple[str, ...], size: int
) -> None:
    """Whoever writes into their file later would change what the run kept."""
    cache = Cache(tmp_path / "cache", links=links)
    path = _write(tmp_path / "file", b"x" * size)
    before = path.stat()
    found = cache.add(path)
    after = path.stat()
    assert (after.st_mode, after.st_nlink, after.st_mtime_ns) == (
        before.st_mode,
        1,
        before.st_mtime_ns,
    )
    with path.open("r+b") as file:
        file.write(b"changed in place")
    cache.check(found.md5)


def test_the_same_bytes_are_stored_once(cache: Cache, data: Path) -> None:
    """Also under another name, from another directory, by somebody who knows nothing of it."""
    cache.add(data)
    before = {md5: status.st_ino for md5, status in cache.objects()}
    _write(data.parent / "other" / "copy", "7")
    cache.add(data)
    Cache(cache.directory, sync=False).add(data)
    cache.add(data.parent / "other" / "copy")
    Cache(cache.directory).add_bytes(b"7")
    assert {md5: status.st_ino for md5, status in cache.objects()} == before
    assert list(cache.leftovers()) == []


def test_what_is_known_and_there_is_not_read(
    cache: Cache, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint directory is logged again and again, mostly unchanged."""
    first = cache.add(data)

    def read(*_: object, **__: object) -> object:
        raise AssertionError("read again")

    monkeypatch.setattr(reading, "pour", read)
    monkeypatch.setattr(reading, "small", read)
    monkeypatch.setattr(intake, "Incoming", read)
    again = Cache(cache.directory, stats=Stats(data.parent / "md5.sqlite"))
    monkeypatch.setattr(again, "_listed", lambda _: True)
    assert again.add(data) == first
    assert again.add(data / "large.bin").md5 == _md5(b"large" * (LARGE // 5))


@pytest.mark.parametrize("known", [False, True])
def test_one_lost_object_of_many_comes_back(cache: Cache, data: Path, known: bool) -> None:
    """The memory says what a file is, never that the cache has it."""
    found = cache.add(data)
    for lost in (_md5(b"7"), _md5(b"large" * (LARGE // 5)), found.md5):
        cache.discard(lost)
        assert not cache.holds(found.md5)
        again = cache if known else Cache(cache.directory)
        assert again.add(data) == found
        assert again.holds(found.md5)


def test_a_file_is_read_once_however_it_ends(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading twice doubles the cost of large files, and opens a gap between hash and copy."""
    path = _write(tmp_path / "large", b"x" * LARGE)
    read = []
    pour = reading.pour

    def poured(*words: object) -> str:
        read.append(1)
        return pour(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "pour", poured)
    cache.add(path)
    assert len(read) == 1


def _pour_and(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object], times: int) -> None:
    pour = reading.pour
    calls = []

    def poured(*words: object) -> str:
        found = pour(*words)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) <= times:
            change()
        return found

    monkeypatch.setattr(reading, "pour", poured)


@pytest.mark.parametrize("after", [b"y" * LARGE, b"short", b"z" * (LARGE + 9)])
def test_a_file_that_changes_while_it_is_copied_is_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bytes
) -> None:
    """What is stored was the file's content at one time."""
    cache = Cache(tmp_path / "cache", links=("copy",))
    path = _write(tmp_path / "file", b"x" * LARGE)
    _pour_and(monkeypatch, lambda: _write(path, after), 1)
    assert cache.add(path).md5 == _md5(after)
    assert [md5 for md5, _ in cache.objects()] == [_md5(after)]
    assert cache.read(_md5(after), limit=9_000_000) == after


def test_a_file_that_always_changes_is_given_up_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a log is not what anybody wants to keep."""
    cache = Cache(tmp_path / "cache", links=("copy",))
    path = _write(tmp_path / "data" / "log", b"x" * LARGE)

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"y")

    _pour_and(monkeypatch, grow, 99)
    for name in (path, path.parent):
        with pytest.raises(BadPath, match="changes while"):
            cache.add(name)
    assert _files(cache.directory) == {}


@pytest.mark.parametrize("name", ["git~1", "a/.GIT/config", "a\\..\\b"])
def test_a_directory_that_could_not_be_given_back_is_refused(
    cache: Cache, tmp_path: Path, name: str
) -> None:
    """Better now, with the files at hand, than when somebody wants them."""
    _write(tmp_path / "data" / "fine")
    _write(tmp_path / "data" / name)
    with pytest.raises(BadPath, match="refused"):
        cache.add(tmp_path / "data")
    assert _files(cache.directory) == {}


@pytest.mark.parametrize("name", ["missing", "broken", "cycle", "pipe", "device"])
def test_what_has_no_content_is_refused(cache: Cache, tmp_path: Path, name: str) -> None:
    """As hashing does; none may hang."""
    os.symlink("nowhere", tmp_path / "broken")
    os.symlink("cycle", tmp_path / "cycle")
    os.symlink("/dev/zero", tmp_path / "device")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadPath):
        cache.add(tmp_path / name)
    assert _files(cache.directory) == {}


# -- whole or not at all ------------------------------------------------------------------------


def _refusing(code: int) -> Callable[..., int]:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        (name, call)
        for name in ("data", "data/large.bin", "data/empty")
        for call in ("write", "rename", "fsync", "mkdir")
        # Of an empty file nothing is written.
        if (name, call) != ("data/empty", "write")
    ],
)
def test_a_disk_that_refuses_leaves_nothing_behind(
    synced: Cache, data: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str, name: str
) -> None:
    """A full disk is when people tidy up by hand: no half objects may lie about."""
    synced.links = ("copy",)
    monkeypatch.setattr(intake, "_sync_all", lambda _: False)
    with monkeypatch.context() as patch:
        patch.setattr(intake.os, call, _refusing(code))
        with pytest.raises(WriteFailed, match=os.strerror(code)) as caught:
            synced.add(data.parent / name)
    if code in (errno.ENOSPC, errno.EDQUOT):
        assert "git track gc" in str(caught.value.hint)
    assert _files(synced.directory) == {}
    assert synced.holds(synced.add(data.parent / name).md5)


def test_a_real_limit_on_files_leaves_nothing_behind(cache: Cache, data: Path) -> None:
    """Not simulated: the kernel refuses in the middle of a write."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
        try:
            Cache(cache.directory, sync=False).add(data)
        except WriteFailed as error:
            os._exit(0 if "large" in str(error.__cause__) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert _files(cache.directory) == {}


def test_a_place_that_is_no_directory_is_named(data: Path, tmp_path: Path) -> None:
    """`cache.dir` may point anywhere."""
    _write(tmp_path / "file")
    with pytest.raises(WriteFailed, match="cannot write"):
        Cache(tmp_path / "file").add(data)


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("step", [1, 2, 5, 23, 24, 25, 30, 47, 48, 49])
def test_killed_at_any_step_no_object_is_there_in_part(
    cache: Cache, data: Path, step: int, sync: bool
) -> None:
    """What is there under a hash has that content; a listing is there only after its files."""
    child = os.fork()
    if child == 0:
        _die_at(step)
        Cache(cache.directory, sync=sync).add(data)
        os._exit(0)
    os.waitpid(child, 0)
    for name, _ in cache.objects():
        cache.check(name)
        assert not name.endswith(".dir") or cache.holds(name)
    for path, _ in cache.leftovers():
        path.unlink()
    found = cache.add(data)
    assert cache.holds(found.md5)
    assert len(_files(cache.directory)) == 23


def _die_at(step: int) -> None:
    """Have this process killed by SIGKILL at its step-th write or rename."""
    seen = []

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*words: object, **more: object) -> object:
            seen.append(1)
            if len(seen) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*words, **more)

        return call

    intake.os.write = counted(os.write)  # type: ignore[assignment]
    intake.os.rename = counted(os.rename)  # type: ignore[assignment]


@pytest.mark.parametrize("few", [False, True])
def test_bytes_are_on_the_disk_before_a_name_leads_to_them(
    synced: Cache, data: Path, monkeypatch: pytest.MonkeyPatch, few: bool
) -> None:
    """After a power cut, a renamed file whose bytes were not synced is empty."""
    said: list[str] = []
    rename, one = os.rename, intake._sync_one
    everything = intake._sync_all

    def renamed(old: str, new: str) -> None:
        said.append("rename")
        rename(old, new)

    def synced_one(path: str) -> None:
        said.append("files" if intake.TEMPORARY in path else "directories")
        one(path)

    def synced_all(path: str) -> bool:
        done = everything(path)
        if done:
            said.append("all")
        return done

    monkeypatch.setattr(intake.os, "rename", renamed)
    monkeypatch.setattr(intake, "_sync_one", synced_one)
    monkeypatch.setattr(intake, "_sync_all", synced_all)
    synced.add(data / "large.bin" if few else data)
    kinds = [kind for kind, before in zip(said, ["", *said], strict=False) if kind != before]
    listing = ["files", "rename", "directories"]
    if few:
        assert kinds == listing
    elif "all" in kinds:
        assert kinds == ["all", "rename", "all", *listing]
    else:
        assert kinds == listing * 2


def test_without_sync_nothing_waits_for_the_disk(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`track.fsync` is false where somebody prefers speed."""
    monkeypatch.setattr(intake.os, "fsync", _refusing(errno.EIO))
    monkeypatch.setattr(intake, "_sync_all", _refusing(errno.EIO))
    cache = Cache(tmp_path / "cache", sync=False)
    assert cache.holds(cache.add(data).md5)


def test_many_files_go_in_several_batches(
    cache: Cache, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory of a million files must not keep them all under other names till the end."""
    monkeypatch.setattr(intake, "_MOST", 4)
    assert cache.holds(cache.add(data).md5)
    assert list(cache.leftovers()) == []


def test_many_processes_add_the_same_at_once(cache: Cache, data: Path) -> None:
    """Runs of a sweep keep the same files at the same time."""
    code = (
        "import sys; from pathlib import Path; from gittrack.cache import Cache\n"
        "print(Cache(Path(sys.argv[1])).add(Path(sys.argv[2])).md5)"
    )
    words = [sys.executable, "-c", code, os.fspath(cache.directory), os.fspath(data)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {process.communicate(timeout=60)[0] for process in running}
    assert said == {hashing.of(data).md5 + "\n"}
    for name, _ in cache.objects():
        cache.check(name)
    assert len(_files(cache.directory)) == 23


def test_memory_stays_flat(tmp_path: Path) -> None:
    """A model may be larger than memory."""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(200_000_000)
    _write(tmp_path / "little", b"x" * LARGE)
    code = (
        "import sys, resource; from pathlib import Path; from gittrack.cache import Cache\n"
        "cache = Cache(Path(sys.argv[1]) / 'cache', sync=False)\n"
        "found = cache.add(Path(sys.argv[2])); cache.check(found.md5)\n"
        "cache.place(found.md5, Path(sys.argv[1]) / 'back')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = [
        int(
            subprocess.check_output(
                [sys.executable, "-c", code, os.fspath(tmp_path), os.fspath(tmp_path / name)]
            )
        )
        for name in ("little", "huge")
    ]
    assert peaks[1] - peaks[0] < 8_000


# -- objects that are not what they should be ---------------------------------------------------


def _damage(cache: Cache, md5: str, content: bytes, *, mode: int = 0o444) -> None:
    path = cache.path(md5)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (b"", 0o444),
        (b"conten", 0o444),
        (b"much longer than it", 0o644),
        (b"!ontent.", 0o644),
        (b"!ontent.", 0o444),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_a_damaged_object_is_replaced_when_the_content_is_at_hand(
    tmp_path: Path, content: bytes, mode: int, known: bool
) -> None:
    """By its size, or because somebody could write to it; nobody else notices for months.

    Where the source is read, also without such a sign.
    """
    stats = Stats(tmp_path / "md5.sqlite") if known else None
    cache = Cache(tmp_path / "cache", stats=stats)
    path = _write(tmp_path / "data" / "file", "content.")
    listing = cache.add(path.parent).md5
    for source in (path, path.parent):
        _damage(cache, _md5(b"content."), content, mode=mode)
        if mode == 0o444 and len(content) == len(b"content."):
            os.utime(path)
        with pytest.raises(DataDamaged):
            cache.check(_md5(b"content."))
        cache.add(source)
        cache.check(_md5(b"content."))
    _damage(cache, listing, b"[]")
    cache.add(path.parent)
    cache.check(listing)


def test_a_large_file_that_was_read_replaces_a_damaged_object(cache: Cache, tmp_path: Path) -> None:
    """The good bytes were thrown away, and the run said that it kept them."""
    path = _write(tmp_path / "file", b"x" * LARGE)
    name = cache.add(path).md5
    _damage(cache, name, b"y" * LARGE)
    os.utime(path)
    assert cache.add(path).md5 == name
    cache.check(name)


def test_a_sound_object_that_lost_its_mode_gets_it_back(cache: Cache, tmp_path: Path) -> None:
    """DVC would hash it each time; some file systems and copies lose modes."""
    path = _write(tmp_path / "file", "x")
    name = cache.add(path).md5
    inode = cache.path(name).stat().st_ino
    cache.path(name).chmod(0o644)
    cache.add(path)
    status = cache.path(name).stat()
    assert (stat.S_IMODE(status.st_mode), status.st_ino) == (0o444, inode)


def test_check_reads_what_a_look_cannot_see(cache: Cache, tmp_path: Path) -> None:
    """Same size, read-only, the old time: bit rot."""
    name = cache.add(_write(tmp_path / "file", "content.")).md5
    cache.check(name)
    _damage(cache, name, b"!ontent.")
    with pytest.raises(DataDamaged) as caught:
        cache.check(name)
    assert caught.value.md5 == name
    assert name in caught.value.message and os.fspath(cache.path(name)) in caught.value.message
    with pytest.raises(DataDamaged):
        cache.read(name, limit=100)
    cache.discard(name)
    for asked in (lambda: cache.check(name), lambda: cache.read(name, limit=100)):
        with pytest.raises(DataMissing) as missing:
            asked()
        assert missing.value.md5s == (name,)


def test_a_damaged_listing_is_never_followed(cache: Cache, data: Path) -> None:
    """It would name other files."""
    name = cache.add(data).md5
    _damage(cache, name, manifest.encode([]))
    for ask in (lambda: cache.members(name), lambda: cache.missing([name])):
        with pytest.raises(DataDamaged):
            ask()
    assert not cache.holds(name)


def test_a_hostile_listing_under_its_right_hash_is_refused(cache: Cache) -> None:
    """Whoever pushes data chooses its bytes, and so its hash."""
    listing = b'[{"md5": "' + b"0" * 32 + b'", "relpath": "../.git/hooks/post-checkout"}]'
    name = cache.add_bytes(listing).md5
    cache.path(name).rename(cache.path(name + ".dir"))
    with pytest.raises(BadFile, match="could lead out"):
        cache.members(name + ".dir")
    assert not cache.holds(name + ".dir")


@pytest.mark.parametrize("bad", ["", "..", "../../etc/passwd", "0" * 31, "G" * 32, "0" * 32 + "/x"])
def test_what_is_no_hash_names_no_file(cache: Cache, bad: str) -> None:
    """Hashes come from pointers that others wrote."""
    for ask in (cache.path, cache.size, cache.discard, cache.check, cache.members):
        with pytest.raises(BadFile):
            ask(bad)
    with pytest.raises(BadFile):
        cache.missing([bad])
    with pytest.raises(BadFile):
        cache.place(bad, cache.directory / "x")


# -- asking -------------------------------------------------------------------------------------


def test_what_is_missing_is_named_once(cache: Cache, data: Path) -> None:
    """It is what will be fetched: files of a directory count, twice the same does not."""
    found = cache.add(data)
    lost, other = _md5(b"3"), "1" * 32
    assert cache.missing([found.md5]) == []
    cache.discard(lost)
    assert cache.missing([found.md5, other, found.md5, lost, other]) == [lost, other]
    cache.discard(found.md5)
    assert cache.missing([found.md5]) == [found.md5]


def test_an_empty_cache_has_nothing_and_is_not_made_by_asking(cache: Cache) -> None:
    """Reading changes nothing."""
    assert list(cache.objects()) == list(cache.leftovers()) == []
    assert cache.missing(["0" * 32]) == ["0" * 32]
    assert (cache.size("0" * 32), cache.discard("0" * 32), cache.holds("0" * 32)) == (
        None,
        None,
        False,
    )
    assert not cache.directory.exists()


def test_objects_are_told_from_what_else_lies_there(cache: Cache, data: Path) -> None:
    """DVC, people and interrupted writers leave other things in a cache."""
    found = cache.add(data)
    expected = {md5: len(c) for c in _files(data).values() for md5 in [_md5(c)]}
    expected[found.md5] = len(manifest.encode(found.members))
    objects = cache.directory / "files" / "md5"
    for name in ("README", "ab/.DS_Store", "abc/" + "0" * 30, "zz/" + "0" * 30):
        _write(objects / name)
    _write(objects / "ab" / ("0" * 30 + ".unpacked"))
    _write(objects / f"{intake.TEMPORARY}1")
    _write(objects / "ab" / f"{intake.TEMPORARY}2")
    assert {md5: status.st_size for md5, status in cache.objects()} == expected
    assert {path.name[-1] for path, _ in cache.leftovers()} == {"1", "2"}


def test_an_object_removed_is_gone_and_its_bytes_are_told(cache: Cache, tmp_path: Path) -> None:
    """The sum is what `gc` prints."""
    name = cache.add(_write(tmp_path / "file", "12345")).md5
    assert (cache.holds(name), cache.size(name)) == (True, 5)
    assert (cache.discard(name), cache.discard(name), cache.holds(name)) == (5, None, False)


def test_no_more_is_read_than_asked_for(cache: Cache, tmp_path: Path) -> None:
    """A size in a pointer may lie."""
    name = cache.add(_write(tmp_path / "file", b"x" * 1000)).md5
    assert cache.read(name, limit=1000) == b"x" * 1000
    with pytest.raises(BadFile, match="more than 999 bytes"):
        cache.read(name, limit=999)


@pytest.mark.parametrize("age", [1, 1800, 10**9])
@pytest.mark.parametrize("known", [False, True])
def test_what_is_added_again_is_young_again(tmp_path: Path, known: bool, age: int) -> None:
    """A cleaning at the same time goes by age, and must spare what a run just kept."""
    stats = Stats(tmp_path / "md5.sqlite") if known else None
    cache = Cache(tmp_path / "cache", stats=stats)
    _write(tmp_path / "data" / "file", "x")
    cache.add(tmp_path / "data")
    for source in (tmp_path / "data" / "file", tmp_path / "data"):
        for _, status in cache.objects():
            assert status.st_mtime <= time.time()
        for name, _ in list(cache.objects()):
            os.utime(cache.path(name), (time.time() - age, time.time() - age))
        before = time.time() - 0.1
        added = cache.add(source)
        assert cache.path(added.md5).stat().st_mtime > before
        assert cache.path(_md5(b"x")).stat().st_mtime > before


@pytest.mark.parametrize("known", [False, True])
def test_what_cannot_be_made_young_is_stored_anew(
    tmp_path: Path, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shared cache it may be another user's, and then a cleaning would take it."""
    stats = Stats(tmp_path / "md5.sqlite") if known else None
    cache = Cache(tmp_path / "cache", stats=stats)
    path = _write(tmp_path / "data" / "file", "x")
    listing = cache.add(path.parent).md5
    before = {name: status.st_ino for name, status in cache.objects()}
    # So that no inode's number comes again.
    for name in before:
        os.link(cache.path(name), tmp_path / name)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    assert cache.add(path.parent).md5 == listing
    after = {name: status.st_ino for name, status in cache.objects()}
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)


@pytest.mark.parametrize("name", ["data/file", "data"])
def test_what_is_kept_while_it_is_taken_away_is_there(
    cache: Cache, tmp_path: Path, name: str
) -> None:
    """A run that keeps it finds it gone and stores it anew, however the cleaning goes on."""
    _write(tmp_path / "data" / "file", "x")
    cache.add(tmp_path / "data")
    for spared in (False, True):

        def keep(_: os.stat_result, spared: bool = spared) -> bool:
            cache.add(tmp_path / name)
            return spared

        assert cache.discard(_md5(b"x"), spare=keep) == (None if spared else 1)
        cache.check(_md5(b"x"))
        assert list(cache.leftovers()) == []


def test_a_cleaning_that_was_killed_is_undone(cache: Cache, tmp_path: Path) -> None:
    """Whoever needs the object by then must not miss it for ever."""
    name = cache.add(_write(tmp_path / "file", "x")).md5
    child = os.fork()
    if not child:
        cache.discard(name, spare=lambda _: os._exit(0))
    os.waitpid(child, 0)
    assert (cache.holds(name), len(list(cache.leftovers()))) == (False, 1)
    cache.restore()
    cache.restore()
    assert (cache.read(name, limit=1), list(cache.leftovers())) == (b"x", [])


def test_a_failure_while_an_object_is_taken_away_puts_it_back(cache: Cache, tmp_path: Path) -> None:
    """To ask who needs it may fail."""
    name = cache.add(_write(tmp_path / "file", "x")).md5
    with pytest.raises(ZeroDivisionError):
        cache.discard(name, spare=lambda _: 1 // 0 == 1)
    assert (cache.holds(name), list(cache.leftovers())) == (True, [])


@pytest.mark.parametrize("known", [False, True])
def test_what_others_remove_while_a_directory_is_added_is_stored_again(
    tmp_path: Path, known: bool
) -> None:
    """`dvc gc` heeds no time: a listing is not there without its files."""
    stats = Stats(tmp_path / "md5.sqlite") if known else None
    cache = Cache(tmp_path / "cache", stats=stats)
    for name in "abc":
        _write(tmp_path / "data" / name, name)
    cache.add(tmp_path / "data")
    _write(tmp_path / "data" / "d", "d")

    class Meanwhile:
        def start(self, what: str, total: int | None, unit: str = "B") -> None: ...

        def advance(self, count: int) -> None: ...

        def end(self) -> None:
            cache.path(_md5(b"a")).unlink(missing_ok=True)
            self.end = lambda: None  # type: ignore[method-assign]

    found = cache.add(tmp_path / "data", meter=Meanwhile())
    assert cache.missing([found.md5]) == []


@settings(deadline=None, max_examples=25)
@given(st.binary(max_size=2000))
def test_bytes_come_back_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """The round trip, by hash and by place."""
    cache = Cache(tmp_path_factory.mktemp("cache"), sync=False)
    found = cache.add_bytes(content)
    assert (found.md5, found.size) == (_md5(content), len(content))
    assert cache.read(found.md5, limit=2000) == content
    cache.place(found.md5, cache.directory / "back")
    assert (cache.directory / "back").read_bytes() == content


def test_a_file_that_was_checked_is_adopted(cache: Cache, tmp_path: Path) -> None:
    """As it came from a remote: renamed, in an object's mode, also over one that was damaged."""
    name = cache.add_bytes(b"content").md5
    _damage(cache, name, b"!ontent")
    came = _write(cache.directory / "came", "content")
    inode = came.stat().st_ino
    assert cache.adopt(came, name) == 7
    assert cache.path(name).read_bytes() == b"content"
    assert cache.path(name).stat().st_ino == inode
    assert stat.S_IMODE(cache.path(name).stat().st_mode) == 0o444
    assert list(_files(cache.directory)) == [f"files/md5/{name[:2]}/{name[2:]}"]
    listing = _write(cache.directory / "came", "[]")
    assert cache.adopt(listing, f"{_md5(b'[]')}.dir") == 2
    assert cache.members(f"{_md5(b'[]')}.dir") == ()


def test_what_cannot_be_adopted_becomes_no_object(cache: Cache, tmp_path: Path) -> None:
    """No hash names it, nothing is there, the place is taken by a directory: said as ours."""
    came = _write(cache.directory / "came", "content")
    with pytest.raises(BadFile):
        cache.adopt(came, "../../came")
    name = _md5(b"content")
    with pytest.raises(WriteFailed, match="gone"):
        cache.adopt(cache.directory / "gone", name)
    _write(cache.path(name) / "inside", "x")
    with pytest.raises(WriteFailed):
        cache.adopt(came, name)
    assert (cache.path(name) / "inside").read_bytes() == b"x"


# -- getting out --------------------------------------------------------------------------------

WAYS = ["reflink", "hardlink", "symlink", "copy"]


def _can_clone(place: Path) -> bool:
    _write(place / "clone-from", b"x" * 4096)
    with (place / "clone-from").open("rb") as source, (place / "clone-to").open("wb") as target:
        return intake.clone(source.fileno(), target.fileno())


def _linked(tmp_path: Path, way: str) -> Cache:
    if way == "reflink" and not _can_clone(tmp_path):
        pytest.skip("this file system shares no blocks")
    return Cache(tmp_path / "cache", links=(way,), stats=Stats(tmp_path / "md5.sqlite"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("content", [b"", b"content", b"x" * LARGE])
def test_an_object_is_placed_in_each_of_the_four_ways(
    tmp_path: Path, way: str, content: bytes
) -> None:
    """As `cache.type` says: links are read-only and save space, copies are the user's own."""
    cache = _linked(tmp_path, way)
    name = cache.add_bytes(content).md5
    target = tmp_path / "target"
    for _ in range(2):
        cache.place(name, target)
        assert target.read_bytes() == content
    inode = cache.path(name).stat().st_ino
    assert (target.stat().st_ino == inode) == (
        way == "symlink" or (way == "hardlink" and content != b"")
    )
    assert target.is_symlink() == (way == "symlink")
    if target.stat().st_ino != inode:
        assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert {path.name for path in tmp_path.iterdir() if "tmp" in path.name} == set()


@pytest.mark.parametrize("way", ["reflink", "copy"])
def test_a_placed_copy_may_be_written_to(tmp_path: Path, way: str) -> None:
    """The object stays what it is."""
    cache = _linked(tmp_path, way)
    name = cache.add_bytes(b"x" * LARGE).md5
    cache.place(name, tmp_path / "target")
    with (tmp_path / "target").open("r+b") as file:
        file.write(b"changed")
    cache.check(name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("there", ["file", "symlink", "broken symlink", "hard link", "read-only"])
def test_what_stands_there_is_replaced_and_not_followed(
    tmp_path: Path, way: str, there: str
) -> None:
    """A symlink in the way of an artifact would let whoever made it write anywhere."""
    cache = _linked(tmp_path, way)
    name = cache.add_bytes(b"content").md5
    outside = _write(tmp_path / "outside", "precious")
    target = tmp_path / "place" / "target"
    _write(target, "before")
    if there == "read-only":
        target.chmod(0o444)
    elif there != "file":
        target.unlink()
        if there == "hard link":
            os.link(outside, target)
        else:
            os.symlink(outside if there == "symlink" else tmp_path / "nowhere", target)
    cache.place(name, target)
    assert target.read_bytes() == b"content"
    assert outside.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()
    assert os.listdir(target.parent) == ["target"]


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_object_reaches_nobody(tmp_path: Path, way: str) -> None:
    """Named with its hash and its file; what was at the target stays."""
    cache = _linked(tmp_path, way)
    name = cache.add_bytes(b"content").md5
    target = _write(tmp_path / "place" / "target", "before")
    cache.place(name, tmp_path / "place" / "other")
    (tmp_path / "place" / "other").unlink()
    _damage(cache, name, b"!ontent")
    with pytest.raises(DataDamaged) as caught:
        cache.place(name, target)
    assert caught.value.md5 == name
    assert os.fspath(cache.path(name)) in caught.value.message
    assert target.read_bytes() == b"before"
    assert os.listdir(target.parent) == ["target"]
    cache.discard(name)
    with pytest.raises(DataMissing):
        cache.place(name, target)
    cache.path(name).mkdir()
    with pytest.raises(DataDamaged):
        cache.place(name, target)
    assert os.listdir(target.parent) == ["target"]


@pytest.mark.parametrize("way", WAYS)
def test_a_target_that_cannot_be_is_named(tmp_path: Path, way: str) -> None:
    """A directory is not replaced; one that is missing is not made."""
    cache = _linked(tmp_path, way)
    name = cache.add_bytes(b"content").md5
    (tmp_path / "directory").mkdir()
    _write(tmp_path / "file")
    for target in ("directory", "missing/x", "file/x"):
        with pytest.raises(BadPath, match=target):
            cache.place(name, tmp_path / target)
    assert not list(tmp_path.glob(f"**/*{intake.TEMPORARY}*"))


@pytest.mark.parametrize("way", WAYS)
def test_placing_below_an_open_directory_cannot_be_led_astray(tmp_path: Path, way: str) -> None:
    """A parent that is swapped for a symlink after it was opened no longer matters."""
    cache = _linked(tmp_path, way)
    name = cache.add_bytes(b"content").md5
    (tmp_path / "place").mkdir()
    (tmp_path / "evil").mkdir()
    opened = os.open(tmp_path / "place", os.O_RDONLY | os.O_DIRECTORY)
    (tmp_path / "place").rename(tmp_path / "moved")
    os.symlink("evil", tmp_path / "place")
    cache.place(name, Path("target"), dir_fd=opened)
    os.close(opened)
    assert (tmp_path / "moved" / "target").read_bytes() == b"content"
    assert os.listdir(tmp_path / "evil") == []


def test_the_next_way_is_taken_where_one_does_not_work(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file system, too many links, no permission: as DVC goes on to the next."""
    name = cache.add_bytes(b"content").md5
    monkeypatch.setattr(placing.os, "link", _refusing(errno.EXDEV))
    monkeypatch.setattr(placing, "clone", lambda *_: False)
    cache.links = ("hardlink", "reflink", "copy")
    cache.place(name, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"content"
    assert not (tmp_path / "target").is_symlink()
    cache.links = ("hardlink", "reflink")
    with pytest.raises(WriteFailed, match="hardlink or reflink") as caught:
        cache.place(name, tmp_path / "other")
    assert "cache.type" in str(caught.value.hint)
    assert not (tmp_path / "other").exists()


def test_where_no_blocks_can_be_shared_is_found_out_once(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each of ten thousand files; another file system is asked anew."""
    names = [cache.add_bytes(str(number).encode()).md5 for number in range(3)]
    tried: list[int] = []
    monkeypatch.setattr(placing, "clone", lambda *_: bool(tried.append(1)))
    devices = {"here": 1, "there": 2}
    real = os.stat

    def elsewhere(path: Path, **options: int) -> os.stat_result:
        found = real(path, **options)
        fields = list(found)
        fields[stat.ST_DEV] = devices.get(Path(path).name, found.st_dev)
        return os.stat_result(fields)

    for place in devices:
        (tmp_path / place).mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(placing.os, "stat", elsewhere)
            for name in names:
                cache.place(name, tmp_path / place / name)
        assert len(_files(tmp_path / place)) == 3
        assert len(tried) == devices[place]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_leaves_the_target_as_it_was(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Nothing half-written, nothing left beside it."""
    name = cache.add_bytes(b"content").md5
    target = _write(tmp_path / "place" / "target", "before")
    monkeypatch.setattr(placing.os, "write", _refusing(code))
    cache.links = ("copy",)
    with pytest.raises(WriteFailed, match=os.strerror(code)):
        cache.place(name, target)
    assert _files(target.parent) == {"target": b"before"}


@pytest.mark.parametrize("way", ["hardlink", "symlink"])
def test_an_object_is_hashed_once_for_many_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A new hard link changes the ctime of the object, and that was ourselves."""
    cache = _linked(tmp_path, way)
    name = cache.add_bytes(b"x" * LARGE).md5
    os.utime(cache.path(name), ns=(OLD, OLD))
    read = []
    pour = reading.pour
    monkeypatch.setattr(placing, "pour", lambda *words: read.append(1) or pour(*words))
    for number in range(3):
        cache.place(name, tmp_path / f"target{number}")
    assert len(read) == 1


@pytest.mark.parametrize("way", ["copy", "reflink"])
def test_a_kill_while_placing_leaves_nothing(tmp_path: Path, way: str) -> None:
    """What lay there would be data of the next run."""
    cache = Cache(tmp_path / "cache", links=[way, "copy"])
    name = cache.add(_write(tmp_path / "file", b"x" * LARGE)).md5
    (tmp_path / "target").mkdir()
    try:
        os.close(os.open(tmp_path / "target", os.O_TMPFILE | os.O_WRONLY))
    except (AttributeError, OSError):
        pytest.skip("every file has a name here")

    class Kills:
        def start(self, what: str, total: int | None, unit: str = "B") -> None: ...

        def advance(self, count: int) -> None:
            os._exit(9)

        def end(self) -> None: ...

    child = os.fork()
    if not child:
        cache.place(name, tmp_path / "target" / "x", meter=Kills())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert os.listdir(tmp_path / "target") == []


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
@pytest.mark.parametrize("there", [False, True])
def test_a_placed_copy_has_the_mode_of_any_new_file(
    tmp_path: Path, umask: int, there: bool
) -> None:
    """However it was made."""
    cache = Cache(tmp_path / "cache", links=["copy"])
    name = cache.add(_write(tmp_path / "file", "x")).md5
    if there:
        _write(tmp_path / "target", "old")
    before = os.umask(umask)
    try:
        cache.place(name, tmp_path / "target")
    finally:
        os.umask(before)
    status = (tmp_path / "target").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_nlink) == (0o666 & ~umask, 1)


def test_where_every_file_needs_a_name_it_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS, or where /proc is not mounted."""
    cache = Cache(tmp_path / "cache", links=["reflink", "copy"])
    name = cache.add(_write(tmp_path / "file", "x")).md5

    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "no /proc")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        cache.place(name, tmp_path / "first")
    monkeypatch.setattr(placing, "_NAMELESS", os.O_WRONLY)
    cache.place(name, tmp_path / "second")
    for target in ("first", "second"):
        assert (tmp_path / target).read_text() == "x"
    assert not list(tmp_path.glob(".tmp-*"))


def test_what_the_killed_left_is_swept_and_what_the_living_make_is_not(tmp_path: Path) -> None:
    """Another host's processes cannot be seen; its files stay for two days."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    own = placing._unfinished()
    dead = own.replace(f"-{os.getpid()}-", f"-{child}-")
    foreign = dead.replace(placing._host(), "00000000")
    for name in (own, dead, foreign, ".tmp-gittrack-odd", "file"):
        _write(tmp_path / name)
    opened = os.open(tmp_path, os.O_RDONLY)
    try:
        placing.sweep(opened)
    finally:
        os.close(opened)
    assert set(os.listdir(tmp_path)) == {own, foreign, ".tmp-gittrack-odd", "file"}


def test_a_listing_is_not_placed_as_if_it_were_a_file(cache: Cache, data: Path) -> None:
    """Its members are; whoever calls for it made a mistake."""
    with pytest.raises(ValueError, match="members"):
        cache.place(cache.add(data).md5, data.parent / "x")


# -- sharing blocks -----------------------------------------------------------------------------


def test_a_large_file_shares_its_blocks_where_the_file_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is copied, and the hash is of the clone: of one instant of the source."""
    cache = _linked(tmp_path, "reflink")
    monkeypatch.setattr(intake.Incoming, "write", _refusing(errno.EIO))
    path = _write(tmp_path / "file", b"x" * LARGE)
    pour = reading.pour

    def poured(*words: object) -> str:
        _write(path, "changed after it was cloned")
        return pour(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "pour", poured)
    found = cache.add(path)
    assert (found.md5, found.size) == (_md5(b"x" * LARGE), LARGE)
    cache.check(found.md5)


# -- the cache of a repository ------------------------------------------------------------------


def test_the_cache_of_a_repository_remembers_in_its_git_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening makes nothing; what is learned lies where it may be deleted."""
    from gittrack.git import Repo
    from gittrack.setup import Setup

    subprocess.run(["git", "init", "-q", tmp_path / "repo"], check=True)
    repo = Repo.open(tmp_path / "repo")
    setup = Setup(directory=None, cache=tmp_path / "kept", links=("copy",), remotes={}, remote=None)
    cache = open_cache(repo, setup)
    assert (cache.directory, cache.links) == (tmp_path / "kept", ("copy",))
    assert not cache.directory.exists()
    cache.add(_write(tmp_path / "repo" / "data", "x"))
    assert (repo.state / "cache" / "md5.sqlite").exists()
    stats, known = open_stats(repo), os.stat(_write(tmp_path / "known"))
    stats.put(known, "0" * 32, when=known.st_ctime_ns + 10**10)
    stats.flush()
    assert cache.stats is not None and cache.stats.get(known) == "0" * 32
