"""The door to DVC: what it lets through, what it keeps in, in whose words it fails."""

from __future__ import annotations

import errno
import inspect
import os
import subprocess
import sys
import threading
from hashlib import md5
from importlib import import_module
from pathlib import Path

import pytest

from gittrack import depot, setup
from gittrack.depot import Depot, open_depot
from gittrack.errors import DataFailed, DataMissing
from gittrack.git import Repo
from gittrack.meter import SILENT, Meter
from remotes import directory_config, fill, set_up

FILES = {md5(text.encode()).hexdigest(): text for text in ("one\n", "two\n", "three, too\n")}
SIZES = {name: len(text) for name, text in FILES.items()}
ABSENT = "0" * 32


class Watch:
    """A meter that remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int | None, str]] = []
        self.heard: list[int] = []

    def start(self, what: str, total: int | None, unit: str = "B") -> None:
        self.told.append((what, total, unit))

    def advance(self, count: int) -> None:
        self.heard.append(count)

    def end(self) -> None:
        self.told.append(("end", None, ""))


@pytest.fixture
def here(tmp_path: Path) -> dict[str, Path]:
    """Files by the hash of their content."""
    fill(tmp_path / "here", FILES)
    return {name: tmp_path / "here" / name for name in FILES}


@pytest.fixture
def store(repo_dir: Path, tmp_path: Path) -> Depot:
    """A directory as data remote, with nothing in it."""
    set_up(repo_dir, directory_config(tmp_path / "store"))
    return open_depot(setup.read(Repo.open(repo_dir)), "store")


def put(store: Depot, files: dict[str, Path], meter: Meter = SILENT) -> dict[str, BaseException]:
    with depot.measured(meter, "putting", sum(SIZES.values())) as count:
        return store.put(files, SIZES, count)


def get(store: Depot, names: list[str], staging: Path) -> dict[str, BaseException]:
    staging.mkdir()
    with depot.measured(SILENT, "getting", len(names), "objects") as count:
        return store.get(names, staging, {}, count)


# -- what passes through ------------------------------------------------------------------------


def test_files_pass_through_as_they_are(
    store: Depot, here: dict[str, Path], tmp_path: Path
) -> None:
    """Under DVC's names there, under their hashes here."""
    assert not store.is_there() and store.there([*FILES, ABSENT], SILENT) == set()
    assert put(store, here) == {}
    assert store.is_there() and store.there([*FILES, ABSENT], SILENT) == FILES.keys()
    for name, text in FILES.items():
        assert Path(store.path_of(name)) == tmp_path / f"store/files/md5/{name[:2]}/{name[2:]}"
        assert Path(store.path_of(name)).read_text() == text
    assert store.sizes(list(FILES)) == SIZES
    assert get(store, list(FILES), tmp_path / "back") == {}
    assert {name: (tmp_path / "back" / name).read_text() for name in FILES} == FILES
    assert len(os.listdir(tmp_path / "back")) == len(FILES)


def test_where_a_remote_is_gone_the_hint_helps(store: Depot) -> None:
    """A disk that is not mounted is no reason to look for a fault in the run."""
    error = store.refusal(FileNotFoundError(errno.ENOENT, "there is nothing at this address"))
    assert str(error.hint).startswith("is a disk not mounted, or was it moved? `dvc remote list`")
    assert "`dvc remote modify store url ADDRESS`" in str(error.hint)
    assert store.refusal(PermissionError(errno.EACCES, "Permission denied")).hint is None


def test_what_does_not_arrive_is_named(store: Depot, here: dict[str, Path], tmp_path: Path) -> None:
    """And all that is there arrives nevertheless."""
    put(store, here)
    refused = get(store, [*FILES, ABSENT], tmp_path / "back")
    assert refused.keys() == {ABSENT} and isinstance(refused[ABSENT], FileNotFoundError)
    assert {file.name for file in (tmp_path / "back").iterdir()} == FILES.keys()
    assert store.sizes([*FILES, ABSENT]) == {}


def test_what_cannot_leave_is_named(store: Depot, here: dict[str, Path]) -> None:
    """With its reason; the others leave."""
    lost = next(iter(here))
    here[lost].unlink()
    refused = put(store, here)
    assert refused.keys() == {lost} and isinstance(refused[lost], FileNotFoundError)
    assert store.there(list(FILES), SILENT) == FILES.keys() - {lost}


def test_a_meter_hears_of_all_that_passes(store: Depot, here: dict[str, Path]) -> None:
    """Of the bytes, although DVC says nothing of those that it clones."""
    watch = Watch()
    put(store, here, watch)
    assert watch.told == [("putting", sum(SIZES.values()), "B"), ("end", None, "")]
    assert sum(watch.heard) == sum(SIZES.values())


def test_a_name_nobody_gave_is_no_remote(repo_dir: Path, tmp_path: Path) -> None:
    """And those that there are, are listed; letters large or small are one name, as for DVC."""
    set_up(repo_dir, directory_config(tmp_path / "store", "Store"))
    found = setup.read(Repo.open(repo_dir))
    assert open_depot(found, "STORE").name == "STORE"
    with pytest.raises(DataFailed, match="no data remote is named 'spare'") as no:
        open_depot(found, "spare")
    assert no.value.hint == "there is 'store'."


# -- silence ------------------------------------------------------------------------------------


NOISE = """
import logging
import dvc.data_cloud
from gittrack import depot
def noise(word):
    for name in ("dvc.fs", "dvc_objects.db", "s3fs", "asyncio"):
        logging.getLogger(name).critical(word)
noise("before")
with depot._quiet():
    noise("meanwhile")
noise("afterwards")
"""


def test_what_dvc_logs_is_not_heard() -> None:
    """But its loggers speak again afterwards: a script may use DVC by itself."""
    said = subprocess.run([sys.executable, "-c", NOISE], capture_output=True, text=True, check=True)
    assert "meanwhile" not in said.stderr + said.stdout
    assert said.stderr.count("before") == said.stderr.count("afterwards") >= 3


def test_a_meter_hears_one_thread_at_a_time_and_never_too_much() -> None:
    """DVC reports from many, and reports what it had to repeat twice."""
    together = threading.Barrier(2)
    heard = []

    class Slow(Watch):
        def advance(self, count: int) -> None:
            heard.append(count)
            with pytest.raises(threading.BrokenBarrierError):
                together.wait(0.1)

    count = depot.Count(Slow(), 15, "B")
    threads = [threading.Thread(target=count.add, args=(10,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count.add(1)
    assert heard == [10, 5]


# -- refusals -------------------------------------------------------------------------------------


def _foreign() -> list[type[BaseException]]:
    """Every exception that DVC and its parts define."""
    modules = ("dvc.exceptions", "dvc.config", "dvc_objects.errors", "dvc_objects.fs.errors",
               "dvc_data.hashfile.cache", "dvc_data.hashfile.tree")  # fmt: skip
    found = {
        value
        for name in modules
        for value in vars(import_module(name)).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    found |= {OSError, PermissionError, TimeoutError, ValueError, KeyError, ImportError}
    return sorted(found, key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("kind", _foreign(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("words", [("first line\nsecond",), ()])
def test_every_foreign_exception_comes_out_as_ours(
    kind: type[Exception], words: tuple[str, ...]
) -> None:
    """Each with one line that names the remote, and the cause chained."""
    error = kind.__new__(kind, *words)
    Exception.__init__(error, *words)
    with (
        pytest.raises(DataFailed) as ours,
        depot._translated("store", "s3://team/data"),
    ):
        raise error
    assert ours.value.message.startswith("data remote 'store' (s3://team/data): ")
    assert len(ours.value.message.splitlines()) == 1
    assert ours.value.__cause__ is error


def test_our_own_exceptions_pass_through() -> None:
    """They have been translated already; and Ctrl-C is nobody's error."""
    for error in (DataMissing("x", md5s=["y"]), KeyboardInterrupt()):
        with pytest.raises(type(error)) as same, depot._translated("store", "url"):
            raise error
        assert same.value is error
