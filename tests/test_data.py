"""Objects to a data remote and back: exactly what is missing, checked, in the right order."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack import data, setup
from gittrack.cache import Cache
from gittrack.errors import DataDamaged, DataFailed, DataMissing
from gittrack.git import Repo
from remotes import (
    KEYS,
    S3,
    cache_of,
    directory_config,
    fill,
    make_bucket,
    record,
    serve,
    set_up,
)

FILES = {"a.csv": "one\n", "b/c.csv": "two\n", "b/d.csv": "three\n", "b/e.csv": "one\n"}


CHILD = """
import sys
from gittrack import data, setup
from gittrack.git import Repo
repo = Repo.open(".")
getattr(data, sys.argv[1])(repo, setup.read(repo), sys.argv[2:])
"""


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with serve() as started:
        yield started


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    make_bucket(server)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    return Repo.open(repo_dir)


@pytest.fixture
def store(repo_dir: Path, tmp_path: Path) -> Path:
    """A directory as data remote."""
    set_up(repo_dir, directory_config(tmp_path / "store"))
    return tmp_path / "store"


class Watch:
    """A meter that adds up, and sees two threads at once."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int | None, str, int]] = []
        self._busy = threading.Lock()

    def start(self, what: str, total: int | None, unit: str = "B") -> None:
        self.told.append((what, total, unit, 0))

    def advance(self, count: int) -> None:
        assert self._busy.acquire(blocking=False)
        what, total, unit, done = self.told[-1]
        self.told[-1] = (what, total, unit, done + count)
        self._busy.release()

    def end(self) -> None:
        pass


def stored(cache: Cache, tmp_path: Path, files: dict[str, str] = FILES) -> str:
    return cache.add(fill(tmp_path / "made", files)).md5


def objects(place: Path) -> list[str]:
    return sorted(f.parent.name + f.name for f in (place / "files" / "md5").glob("??/*"))


def send(repo: Repo, *md5s: str, **options: object) -> data.Sent:
    return data.send(repo, setup.read(repo), md5s, **options)  # type: ignore[arg-type]


def fetch(repo: Repo, *md5s: str, **options: object) -> data.Fetched:
    return data.fetch(repo, setup.read(repo), md5s, **options)  # type: ignore[arg-type]


def forget(cache: Cache) -> None:
    """Lose the whole cache, as a new clone has none."""
    shutil.rmtree(cache.directory)


# -- there and back -----------------------------------------------------------------------------


def test_a_directory_goes_there_and_comes_back(repo: Repo, store: Path, tmp_path: Path) -> None:
    """Its files too, each object once, byte for byte, and DVC's own layout at the remote."""
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    before = {md5: cache.path(md5).read_bytes() for md5, _ in cache.objects()}
    sizes = sum(len(content) for content in before.values())
    assert send(repo, made, made) == data.Sent(4, sizes, "store")
    assert objects(store) == sorted(before)
    forget(cache)
    assert fetch(repo, made) == data.Fetched(4, sizes, "store")
    assert {md5: cache.path(md5).read_bytes() for md5, _ in cache.objects()} == before
    assert os.listdir(cache.directory) == ["files"]


def test_what_is_there_is_not_sent_again(s3: S3, repo: Repo, tmp_path: Path) -> None:
    """A second run with the same data costs the question, and no byte."""
    set_up(repo.root, s3.config())
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    send(repo, made)
    s3.asked.clear()
    assert send(repo, made) == data.Sent(0, 0, "store")
    assert s3.keys("PUT") == []
    more = stored(cache, tmp_path, {"f.csv": "four\n"})
    assert send(repo, more).objects == 2
    assert s3.keys("PUT") == [cache.add_bytes(b"four\n").md5, more]


def test_a_listing_goes_up_after_its_files(s3: S3, repo: Repo, tmp_path: Path) -> None:
    """A listing that is there promises its files, to DVC and to us."""
    set_up(repo.root, s3.config())
    made = stored(cache_of(repo), tmp_path)
    send(repo, made)
    assert s3.keys("PUT")[-1] == made
    assert len(s3.keys("PUT")) == 4


def test_what_is_here_is_not_asked_for(repo: Repo, tmp_path: Path) -> None:
    """Without a remote, off line, at no cost: as after every run."""
    made = stored(cache_of(repo), tmp_path)
    assert fetch(repo, made) == data.Fetched(0, 0, None)
    assert send(repo) == data.Sent(0, 0, "")


def test_only_what_is_missing_is_fetched(s3: S3, repo: Repo, tmp_path: Path) -> None:
    """A data set of which one file is new must not travel whole."""
    set_up(repo.root, s3.config())
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    send(repo, made)
    gone = cache.add_bytes(b"three\n").md5
    cache.discard(gone)
    assert fetch(repo, made).objects == 1
    assert s3.keys("GET") == [gone]


def test_a_listing_alone_can_be_fetched(s3: S3, repo: Repo, tmp_path: Path) -> None:
    """To find one file of a large directory, not all of them."""
    set_up(repo.root, s3.config())
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    send(repo, made)
    forget(cache)
    assert fetch(repo, made, files=False).objects == 1
    assert [md5 for md5, _ in cache.objects()] == [made]


def test_a_remote_of_the_user_serves_a_project_without_dvc(repo: Repo, tmp_path: Path) -> None:
    """`dvc remote add --global` is a way to have one remote for all projects."""
    home = Path(os.environ["HOME"]) / ".config" / "dvc"
    home.mkdir(parents=True)
    (home / "config").write_text(directory_config(tmp_path / "mine", "mine"))
    try:
        made = stored(cache_of(repo), tmp_path)
        assert send(repo, made).remote == "mine"
    finally:
        shutil.rmtree(home)
    assert made in objects(tmp_path / "mine")
    assert not (repo.root / ".dvc").exists()


def test_another_remote_by_its_name(repo: Repo, store: Path, tmp_path: Path) -> None:
    """In the letters that the user likes: DVC's names have no case."""
    config = (repo.root / ".dvc" / "config").read_text()
    config += f"['remote \"spare\"']\n    url = {tmp_path / 'spare'}\n"
    (repo.root / ".dvc" / "config").write_text(config)
    made = stored(cache_of(repo), tmp_path)
    assert send(repo, made, remote="Spare").objects == 4
    assert made in objects(tmp_path / "spare") and not store.exists()


def test_the_configuration_of_a_runs_tree_is_not_read(repo: Repo, tmp_path: Path) -> None:
    """A colleague's run may name any remote; bytes go only where this work tree says."""
    config = repo.write_blob(directory_config(tmp_path / "theirs").encode())
    inner = repo.write_tree({"config": (config, 0o100644)})
    record(repo, "calm-lynx-0xw8nc", tree=repo.write_tree({".dvc": (inner, 0o040000)}))
    made = stored(cache_of(repo), tmp_path)
    with pytest.raises(DataFailed, match="no data remote is set"):
        send(repo, made)
    assert not (tmp_path / "theirs").exists()


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_progress_adds_up(kind: str, s3: S3, repo: Repo, tmp_path: Path) -> None:
    """To the bytes of what travels, told by one thread at a time, however many DVC uses."""
    set_up(repo.root, s3.config() if kind == "s3" else directory_config(tmp_path / "store"))
    cache = cache_of(repo)
    made = stored(cache, tmp_path, {f"{n}.csv": f"{n}\n" * n for n in range(30)})
    watch = Watch()
    size = send(repo, made, meter=watch).size
    assert watch.told[-1] == ("sending to store", size, "B", size)
    forget(cache)
    watch = Watch()
    assert fetch(repo, made, meter=watch).size == size
    assert sum(done for what, _, _, done in watch.told if what == "fetching from store") == size
    assert all(done == total for _, total, _, done in watch.told)


def test_nothing_is_said_beside_our_words(
    s3: S3, repo: Repo, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """DVC's bars, log lines and tracebacks are not for our users, nor is a wrapped stdout."""
    set_up(repo.root, s3.config())
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    streams = sys.stdout, sys.stderr
    s3.allows = lambda method, key: method != "PUT"
    with pytest.raises(DataFailed):
        send(repo, made)
    s3.allows = lambda method, key: True
    send(repo, made)
    forget(cache)
    s3.allows = lambda method, key: not key.endswith(made[2:])
    with pytest.raises(DataFailed):
        fetch(repo, made)
    assert (sys.stdout, sys.stderr) == streams
    assert capfd.readouterr() == ("", "")


def test_stdout_stays_ours(repo: Repo, store: Path, tmp_path: Path) -> None:
    """DVC's import puts colorama before it, which takes colours out of what we print."""
    made = stored(cache_of(repo), tmp_path)
    code = CHILD.replace("import sys\n", "import sys\nbefore = sys.stdout, sys.stderr\n")
    code += "assert 'dvc.config' in sys.modules and before == (sys.stdout, sys.stderr)\n"
    subprocess.run([sys.executable, "-c", code, "send", made], cwd=repo.root, check=True,
                   capture_output=True)  # fmt: skip


# -- refusals -----------------------------------------------------------------------------------


def test_a_refusal_half_way_keeps_what_went_and_goes_on(s3: S3, repo: Repo, tmp_path: Path) -> None:
    """One line names the remote and its reason; the next call sends the rest, no more."""
    set_up(repo.root, s3.config())
    made = stored(cache_of(repo), tmp_path, {f"{n}.csv": f"{n}\n" for n in range(20)})
    left = [7]

    def some(method: str, key: str) -> bool:
        left[0] -= method == "PUT"
        return left[0] >= 0

    s3.allows = some
    with pytest.raises(DataFailed) as refused:
        send(repo, made)
    assert refused.value.message == "data remote 'store' (s3://team/data): Access Denied"
    assert refused.value.hint == ("7 of 21 objects sent; the same command goes on from there.")
    s3.allows = lambda method, key: True
    assert send(repo, made).objects == 14
    forget(cache_of(repo))
    assert fetch(repo, made).objects == 21


def test_what_is_nowhere_is_named_before_anything_is_sent(
    repo: Repo, store: Path, tmp_path: Path
) -> None:
    """A ref must not promise data that nobody has."""
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    gone = cache.add_bytes(b"three\n").md5
    cache.discard(gone)
    with pytest.raises(DataMissing, match="neither in the cache nor in data remote 'store'") as no:
        send(repo, made)
    assert no.value.md5s == (gone,)
    assert not store.exists()


def test_what_only_the_remote_has_need_not_be_here(repo: Repo, store: Path, tmp_path: Path) -> None:
    """A cleaned cache must not keep anyone from pushing."""
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    send(repo, made)
    forget(cache)
    assert send(repo, made) == data.Sent(0, 0, "store")


def test_a_damaged_object_is_not_sent(repo: Repo, store: Path, tmp_path: Path) -> None:
    """It would poison every clone."""
    cache = cache_of(repo)
    made = cache.add_bytes(b"three\n").md5
    cache.path(made).chmod(0o644)
    cache.path(made).write_bytes(b"eerht\n")
    with pytest.raises(DataDamaged) as no:
        send(repo, made)
    assert no.value.md5 == made
    assert objects(store) == []


def test_without_a_remote_the_bytes_that_stay_are_said(repo: Repo, tmp_path: Path) -> None:
    """And the command that sets one; `dvc` needs to be set up first."""
    made = cache_of(repo).add_bytes(b"x" * 2_400_000).md5
    with pytest.raises(DataFailed) as no:
        send(repo, made)
    said = "no data remote is set: 2.4 MB in 1 object stays on this disk alone"
    assert no.value.message == said
    assert no.value.hint == "`git track init`, then `dvc remote add -d NAME URL` sets one."
    set_up(repo.root, "")
    made = cache_of(repo).add_bytes(b"x").md5
    with pytest.raises(DataFailed) as no:
        send(repo, made)
    assert no.value.hint == "`dvc remote add -d NAME URL` sets one."
    set_up(repo.root, f"['remote \"spare\"']\n    url = {tmp_path}\n")
    with pytest.raises(DataFailed, match="no data remote is the default one: 1 B") as no:
        send(repo, made)
    assert "'spare'" in str(no.value.hint)
    with pytest.raises(DataFailed, match="no data remote is named 'other'") as no:
        send(repo, made, remote="other")
    assert no.value.hint == "there is 'spare'."


def test_what_cannot_be_fetched_is_named(repo: Repo, tmp_path: Path) -> None:
    """Without a remote; where the remote is not there; where it has other things."""
    md5 = "0" * 31 + "1"
    with pytest.raises(DataMissing, match=f"{md5} is not in the cache, and no data remote") as no:
        fetch(repo, md5)
    assert no.value.md5s == (md5,)
    set_up(repo.root, directory_config(tmp_path / "unmounted"))
    with pytest.raises(DataFailed, match="there is nothing at this address"):
        fetch(repo, md5)
    fill(tmp_path / "unmounted", {"files/md5/ab/c": "x"})
    with pytest.raises(DataMissing, match="neither in the cache nor in data remote 'store'"):
        fetch(repo, md5)


def test_a_wrong_object_is_fetched_again_once(s3: S3, repo: Repo, tmp_path: Path) -> None:
    """A bad transfer mends itself."""
    set_up(repo.root, s3.config())
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    send(repo, made)
    forget(cache)
    s3.spoils |= {cache.path(md5).name for md5 in (made, cache.add_bytes(b"two\n").md5)}
    forget(cache)
    assert fetch(repo, made).objects == 4
    for md5, _ in cache.objects():
        cache.check(md5)


def test_what_stays_wrong_is_named_and_not_kept(repo: Repo, store: Path, tmp_path: Path) -> None:
    """Neither the cache nor the work tree may get it."""
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    send(repo, made)
    forget(cache)
    md5 = "8a6d2e0f9c2d7b0fd9a4d8c3a5c2c6c1"
    wrong = store / "files" / "md5" / md5[:2] / md5[2:]
    wrong.parent.mkdir(parents=True, exist_ok=True)
    wrong.write_bytes(b"something else")
    with pytest.raises(DataDamaged, match=f"holds something else under {md5}") as no:
        fetch(repo, md5, made)
    assert no.value.md5 == md5
    assert not cache.path(md5).exists()
    assert os.listdir(cache.directory) == ["files"]


def test_a_damaged_listing_in_the_cache_is_fetched_anew(
    repo: Repo, store: Path, tmp_path: Path
) -> None:
    """Without it nobody could tell what is missing."""
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    send(repo, made)
    cache.path(made).chmod(0o644)
    cache.path(made).write_bytes(b"[]")
    fetch(repo, made)
    assert len(cache_of(repo).members(made)) == 4


def test_mending_needs_a_right_one(repo: Repo, tmp_path: Path) -> None:
    """The wrong one stays until then: it may be all that is left."""
    cache = cache_of(repo)
    made = cache.add_bytes(b"three\n").md5
    cache.path(made).chmod(0o644)
    cache.path(made).write_bytes(b"eerht\n")
    with pytest.raises(DataDamaged, match="no data remote has it"):
        data.mend(repo, setup.read(repo), made)
    assert cache.path(made).read_bytes() == b"eerht\n"


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ("url = gs://team/data", "(gs://team/data): gs is supported", "pip install 'dvc[gs]'"),
        ("url = weird://team", "Unsupported URL type weird://", ""),
        ("url = /tmp/x\n    nonsense = 1", "extra keys not allowed", ""),
        ("url = s3://a/b\n    version_aware = true", "keeps versions of its own", "dvc remote add"),
        ("url = /dev/null/x", "Not a directory", ""),
        ("url = s3://a/b\n    endpointurl = http://127.0.0.1:1", "Could not connect", ""),
        ("url = https://ada:lovelace9@127.0.0.1:1/x", "(https://", ""),
    ],
)
def test_a_remote_that_cannot_be_used_is_one_line(
    options: str, words: str, hint: str, s3: S3, repo: Repo, tmp_path: Path
) -> None:
    """With the remote's name and the reason, no traceback, no password."""
    set_up(repo.root, f"[core]\n    remote = store\n['remote \"store\"']\n    {options}\n")
    made = cache_of(repo).add_bytes(b"x").md5
    with pytest.raises(DataFailed) as no:
        send(repo, made)
    assert no.value.message.startswith("data remote 'store'")
    assert words in no.value.message
    assert "\n" not in no.value.message and "lovelace9" not in str(no.value.message)
    assert hint in str(no.value.hint)


# -- interrupted --------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("way", ["send", "fetch"])
def test_an_interrupted_transfer_leaves_nothing_half_done(
    stop: signal.Signals, way: str, s3: S3, repo: Repo, tmp_path: Path, until
) -> None:
    """Ctrl-C ends it at once; what is anywhere is whole; the next call brings the rest."""
    set_up(repo.root, s3.config())
    cache = cache_of(repo)
    made = stored(cache, tmp_path, {f"{n}.csv": f"{n}\n" for n in range(20)})
    if way == "fetch":
        send(repo, made)
        forget(cache)
    go_on = threading.Event()
    seen: list[str] = []

    def held(method: str, key: str) -> bool:
        if method == ("PUT" if way == "send" else "GET") and "/files/" in key:
            seen.append(key)
            if len(seen) > 5:
                go_on.wait(20)
        return True

    s3.allows = held
    child = subprocess.Popen([sys.executable, "-c", CHILD, way, made], cwd=repo.root,
                             stderr=subprocess.PIPE)  # fmt: skip
    until(lambda: len(seen) > 5)
    child.send_signal(stop)
    said = child.communicate(timeout=10)[1]
    go_on.set()
    assert child.returncode == -stop, said
    s3.allows = lambda method, key: True
    for md5, _ in cache.objects():
        cache.check(md5)
    assert getattr(data, way)(repo, setup.read(repo), [made]).objects > 0
    forget(cache)
    assert fetch(repo, made).objects == 21


def test_what_a_killed_fetch_left_is_swept_away(repo: Repo, store: Path, tmp_path: Path) -> None:
    """Days later: a fetch at work is left alone."""
    cache = cache_of(repo)
    made = stored(cache, tmp_path)
    send(repo, made)
    forget(cache)
    old = fill(cache.directory / ".fetching-old", {"part": "x"})
    fill(cache.directory / ".fetching-new", {"part": "x"})
    os.utime(old, (1, 1))
    fetch(repo, made)
    assert sorted(os.listdir(cache.directory)) == [".fetching-new", "files"]


@pytest.mark.parametrize("lacking", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_what_is_larger_than_was_said_is_not_kept(
    s3: S3,
    repo: Repo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lacking: bool,
    asked: bool,
) -> None:
    """A record of a few bytes may stand for more than a disk holds; best not even fetched."""
    if not asked:
        monkeypatch.setattr(data, "_MOST_SIZED", 0)
    cache = cache_of(repo)
    made = stored(cache, tmp_path, {"small": "x", "large": "x" * 1000})
    large = cache.add_bytes(b"x" * 1000).md5
    set_up(repo.root, s3.config())
    send(repo, made, large)
    forget(cache)
    nowhere = ["0" * 32] if lacking else []
    for md5 in (large, made):
        with pytest.raises(DataDamaged, match=f"{large} has 1,000 bytes.*no more than 999"):
            fetch(repo, md5, *nowhere, most={md5: 999})
        assert cache.size(large) is None
    if asked:
        assert large not in s3.keys("GET")
    assert fetch(repo, made, most={made: 1000}).objects > 0
