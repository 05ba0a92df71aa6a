"""The index: what it answers, when it looks again, and that nothing done to its file shows."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from conftest import Git
from gittrack import commits, index, refs, tables, whereabouts
from gittrack.annotations import append
from gittrack.events import Change
from gittrack.git import Identity, Repo
from gittrack.index import Index, Known
from gittrack.records import Artifact, Code, Data, Input, Run
from gittrack.refs import RunRef

ADA = Identity("Ada Lovelace", "ada@example.org")
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
HOUR_AGO = 1_700_000_000


def md5(text: str) -> str:
    """A made-up hash that can be told from others."""
    return text.encode().hex().ljust(32, "0")[:32]


def record(place: Path | Repo, number: int, name: str, **more: Any) -> RunRef:
    """Write a run that began `number` minutes after noon; `data` and `kept` map paths to texts."""
    repo = place if isinstance(place, Repo) else Repo.open(place)
    started = NOON + timedelta(minutes=number)
    data = {path: md5(text) for path, text in more.pop("data", {}).items()}
    kept = {path: md5(text) for path, text in more.pop("kept", {}).items()}
    folders = more.pop("folders", {})
    fields: dict[str, Any] = {
        "id": f"{number:032x}", "experiment": "default", "status": "finished", "started": started,
        "ended": started, "command": ("python", f"{name.rpartition('-')[0]}.py"),
        "code": Code(base=repo.head()[0]),
        "data": tuple(Data(path, text, 9) for path, text in data.items()),
        "artifacts": (
            *(Artifact(path, text, 9) for path, text in kept.items()),
            *(Artifact(path, text, 9, 2) for path, text in folders.items()),
        ),
    }  # fmt: skip
    run = Run(name=name, **fields | more)
    return commits.write(repo, run, tree=repo.empty_tree(), author=ADA)


def given(ref: RunRef, number: int, path: str | None = None) -> Input:
    """That run as an input."""
    return Input(ref.short, f"{number:032x}", ref.commit, path)


def age(repo: Repo) -> None:
    """Let everything that the index looks at have changed long ago."""
    for here, directories, files in os.walk(repo.common_dir / "refs"):
        for name in [*directories, *files]:
            os.utime(os.path.join(here, name), (HOUR_AGO, HOUR_AGO + 0.5))
    for name in ("packed-refs", "refs", "gittrack/annotations"):
        if (repo.common_dir / name).exists():
            os.utime(repo.common_dir / name, (HOUR_AGO, HOUR_AGO + 0.5))


def open_index(repo: Repo, **more: Any) -> Index:
    return index.open_index(whereabouts.of(repo), **more)


def names(place: Path | Repo) -> list[str]:
    """Every run that the index knows and that is not deleted, newest first."""
    repo = place if isinstance(place, Repo) else Repo.open(place)
    with open_index(repo) as found:
        return [run.name for run in found.all() if not run.deleted]


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    found = Repo.open(repo_dir)
    found.sync(False)
    return found


# -- answers ------------------------------------------------------------------------------------


def test_any_number_of_columns_is_read_at_once(repo: Repo) -> None:
    """One statement of SQLite's has 2,000, and a repository may know more params than that."""
    params = {f"p{number}": number for number in range(2500)}
    record(repo, 1, "wide-aaaaaa", params=params)
    record(repo, 2, "bare-bbbbbb")
    keys = [*(f"params.{key}" for key in params), "name"]
    with open_index(repo) as found:
        columns = found.columns(keys=keys)
        assert found.columns(keys=keys, where=("0", [])) == {key: [] for key in keys}
    assert columns.pop("name") == ["bare-bbbbbb", "wide-aaaaaa"]
    assert columns == {f"params.{key}": [None, value] for key, value in params.items()}


def test_what_a_run_read_and_kept_is_found_by_content_and_by_path(repo: Repo) -> None:
    """These are the questions of lineage."""
    load = record(repo, 1, "load-aaaaaa", data={"raw.csv": "raw"}, kept={"out/a.csv": "a"})
    record(repo, 2, "train-bbbbbb", data={"out/a.csv": "a"}, inputs=(given(load, 1),))
    with open_index(repo) as found:
        assert [u.run.name for u in found.producers([md5("a")])[md5("a")]] == ["load-aaaaaa"]
        assert [u.run.name for u in found.readers([md5("a")])[md5("a")]] == ["train-bbbbbb"]
        assert found.producers([md5("raw"), "', DROP TABLE runs"]) == {}
        assert [u.path for u in found.readers_of("raw.csv")] == ["raw.csv"]
        assert [u.path for u in found.readers_of("out")] == ["out/a.csv"]
        assert [u.path for u in found.readers_of("raw.csv/inner")] == ["raw.csv"]
        assert found.readers_of("ra_.csv") == found.readers_of("OUT") == []
        assert [u.run.name for u in found.keepers_of("out/a.csv")] == ["load-aaaaaa"]
        known = found.by_ids([f"{1:032x}"])[f"{1:032x}"]
        assert known == Known(
            "default", "load-aaaaaa", load.commit, f"{1:032x}", "finished",
            "2026-01-01T12:01:00.000000Z", ("python", "load.py"),
        )  # fmt: skip
        assert found.by_commits([load.commit, "0" * 40]) == {load.commit: known}
        (one,) = found.dependants([known])
        assert (one[0].name, one[1]) == ("train-bbbbbb", given(load, 1))
        assert found.inputs([one[0].commit]) == found.inputs() == {one[0].commit: [given(load, 1)]}
        assert found.files([load.commit], kept=False) == {load.commit: {"raw.csv": md5("raw")}}


def test_more_keys_than_a_statement_takes(repo: Repo) -> None:
    """SQLite takes a limited number of values at once."""
    for number in range(3):
        record(repo, number, f"load-{number}aaaaa", kept={"a": "a"}, data={"b": "b"})
    many = [md5("b"), *(md5(str(number)) for number in range(40_000))]
    with open_index(repo) as found:
        assert [u.run.name[5] for u in found.readers(many)[md5("b")]] == ["2", "1", "0"]


def test_a_run_without_a_summary_is_read_from_its_record(repo: Repo) -> None:
    """Above 64 KB the message has none."""
    params = {f"key{number}": "x" * 1000 for number in range(100)}
    load = record(repo, 1, "load-aaaaaa", params=params, kept={"a": "a"})
    record(repo, 2, "train-bbbbbb", params=params, inputs=(given(load, 1, "a"),))
    with open_index(repo) as found:
        assert found.producers([md5("a")])
        assert list(found.inputs().values()) == [[given(load, 1, "a")]]


def test_a_run_of_the_year_one(repo: Repo) -> None:
    """Whoever forges a date must not stop lineage for everybody."""
    ref = record(repo, 1, "one-aaaaaa")
    text = repo.read_commit(ref.commit).message.replace("2026-01-01T12:01", "0001-01-01T00:00")
    commit = repo.write_commit(
        tree=repo.read_commit(ref.commit).tree, parents=[], message=text, author=ADA,
        started=1.7e9, ended=1.7e9,
    )  # fmt: skip
    forged = refs.create(repo, experiment="default", name="old-aaaaaa", commit=commit)
    assert names(repo) == ["one-aaaaaa", "old-aaaaaa"]
    say(repo, "old-aaaaaa", "archive")
    with open_index(repo) as found:
        assert found.by_commits([forged.commit])[forged.commit].started.startswith("0001-01-01")


def test_fingerprints_of_finished_runs(repo: Repo) -> None:
    """What --reuse asks: failed runs and deleted ones are none to reuse."""
    record(repo, 1, "one-aaaaaa", fingerprint="f" * 32)
    record(repo, 2, "two-aaaaaa", fingerprint="f" * 32, status="failed")
    record(repo, 3, "three-aaaaaa")
    with open_index(repo) as found:
        assert [run.name for run in found.with_fingerprint("f" * 32)] == ["one-aaaaaa"]
        assert found.with_fingerprint("e" * 32) == []


# -- freshness ----------------------------------------------------------------------------------


def _more(repo: Repo) -> None:
    record(repo, 9, "new-aaaaaa")


def _other_experiment(repo: Repo) -> None:
    record(repo, 9, "new-aaaaaa", experiment="other")


def _fewer(repo: Repo) -> None:
    repo.delete_refs([ref for ref in repo.refs(refs.ROOT) if "one" in ref.name])


def _packed(repo: Repo) -> None:
    repo.git("pack-refs", "--all")


def _packed_and_fewer(repo: Repo) -> None:
    repo.git("pack-refs", "--all")
    _fewer(repo)


def _moved(repo: Repo) -> None:
    """Not ours to do, but anybody can."""
    one, two = sorted(ref.target for ref in repo.refs(refs.ROOT))
    for ref in repo.refs(refs.ROOT):
        repo.set_ref(ref.name, two if ref.target == one else one)


def _broken(repo: Repo) -> None:
    """As a crash leaves it; a file that is overwritten in place, as Git never does, nobody sees."""
    (repo.common_dir / "empty").write_text("")
    (repo.common_dir / "refs/runs/default").mkdir(exist_ok=True)
    (repo.common_dir / "empty").replace(repo.common_dir / "refs/runs/default/one-aaaaaa")


def _foreign(repo: Repo) -> None:
    repo.create_ref("refs/runs/default/code-aaaaaa", str(repo.head()[0]))
    repo.create_ref("refs/runs/Not/ours", str(repo.head()[0]))


CHANGES = [_more, _other_experiment, _fewer, _packed, _packed_and_fewer, _moved, _broken, _foreign]


@pytest.mark.parametrize("old", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("before", [lambda repo: None, _packed], ids=["loose", "packed"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_of_refs_is_noticed(
    repo: Repo, change: Callable[[Repo], None], before: Callable[[Repo], None], old: bool
) -> None:
    """Whoever makes it: the index has what a new one would have, twice in a row."""
    record(repo, 1, "one-aaaaaa")
    record(repo, 2, "two-aaaaaa")
    before(repo)
    if old:
        age(repo)
    assert names(repo) == names(repo) == ["two-aaaaaa", "one-aaaaaa"]
    change(repo)
    seen = names(repo)
    assert names(repo) == seen
    shutil.copy(repo.state / index.NAME, repo.state / "kept")
    (repo.state / index.NAME).unlink()
    assert seen == names(repo)
    good = {r.name for r in refs.all_runs(repo) if commits.listing(repo, [r]).runs}
    assert set(seen) == good


def test_a_change_within_one_tick_of_the_clock_is_noticed(repo: Repo) -> None:
    """The directory bears the same time before and after it."""
    record(repo, 1, "one-aaaaaa")
    directory = repo.common_dir / "refs/runs/default"
    now = time.time_ns()
    os.utime(directory, ns=(now, now))
    assert names(repo) == ["one-aaaaaa"]
    record(repo, 2, "two-aaaaaa")
    os.utime(directory, ns=(now, now))
    assert names(repo) == ["two-aaaaaa", "one-aaaaaa"]


def test_refs_whose_names_are_no_text(repo: Repo) -> None:
    """Git takes any bytes; SQLite takes none that are not UTF-8."""
    ref = record(repo, 1, "one-aaaaaa")
    strange = os.fsdecode(b"\xff\xfe")
    for name in (
        f"refs/runs/{strange}/x",
        f"refs/runs/default/{strange}",
        f"refs/runs/{strange}x",
        f"refs/notes/runs/{strange}/x",
        f"refs/notes/runs/{strange}y",
    ):
        repo.set_ref(name, ref.commit)
    for _ in range(2):
        assert names(repo) == ["one-aaaaaa"]
    with open_index(repo) as found:
        assert not found._tables.in_memory
    age(repo)
    assert names(repo) == names(repo) == ["one-aaaaaa"]


def test_rows_of_runs_that_are_gone_go(repo: Repo) -> None:
    """Else the file would only grow."""
    record(repo, 1, "one-aaaaaa", kept={"a": "a"}, data={"b": "b"})
    names(repo)
    _fewer(repo)
    assert names(repo) == []
    database = sqlite3.connect(repo.state / index.NAME)
    for table in ("others", "runs", "files", "inputs"):
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    database.close()


def test_a_fresh_index_asks_git_for_nothing(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost does not grow with history: nothing is listed and no commit is opened."""
    record(repo, 1, "one-aaaaaa", kept={"a": "a"})
    names(repo)
    age(repo)
    assert names(repo) == ["one-aaaaaa"]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked")

    for name in ("git", "refs", "ref", "read_commit", "messages", "notes"):
        monkeypatch.setattr(Repo, name, refuse)
    assert names(repo) == ["one-aaaaaa"]
    with open_index(repo) as found:
        assert len(found.producers([md5("a")])) == 1


def test_one_new_run_does_not_list_the_others(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is recorded among 100,000 as among ten."""
    record(repo, 1, "one-aaaaaa")
    names(repo)
    age(repo)
    names(repo)
    record(repo, 2, "two-aaaaaa")
    read: list[str] = []
    real = Repo.messages
    monkeypatch.setattr(Repo, "refs", None)

    def watched(self: Repo, oids: Iterable[str]) -> Iterator[str | None]:
        wanted = list(oids)
        read.extend(wanted)
        return real(self, wanted)

    monkeypatch.setattr(Repo, "messages", watched)
    assert names(repo) == ["two-aaaaaa", "one-aaaaaa"]
    assert len(read) == 1


def test_a_run_whose_commit_arrives_later_is_read_then(repo: Repo) -> None:
    """A missing object is no property of the run: the ref did not change when it came."""
    ref = record(repo, 1, "one-aaaaaa")
    file = repo.common_dir / "objects" / ref.commit[:2] / ref.commit[2:]
    file.rename(repo.common_dir / "away")
    age(repo)
    place = repo.root or Path()
    assert names(Repo.open(place)) == names(Repo.open(place)) == []
    (repo.common_dir / "away").rename(file)
    assert names(Repo.open(place)) == ["one-aaaaaa"]


def test_two_refs_to_one_commit(repo: Repo) -> None:
    """Both are runs; when one goes, the other stays."""
    ref = record(repo, 1, "one-aaaaaa", kept={"a": "a"})
    repo.create_ref("refs/runs/default/same-aaaaaa", ref.commit)
    assert names(repo) == ["one-aaaaaa", "same-aaaaaa"]
    repo.delete_refs([r for r in repo.refs(refs.ROOT) if "one" in r.name])
    assert names(repo) == ["same-aaaaaa"]
    with open_index(repo) as found:
        assert found.producers([md5("a")])


def test_work_trees_share_it(repo: Repo, git: Git, tmp_path: Path) -> None:
    """It lies where the refs lie."""
    record(repo, 1, "one-aaaaaa")
    git(repo.root or "", "worktree", "add", "-q", str(tmp_path / "linked"))
    linked = Repo.open(tmp_path / "linked")
    assert names(linked) == names(repo) == ["one-aaaaaa"]
    record(linked, 2, "two-aaaaaa")
    assert names(repo) == ["two-aaaaaa", "one-aaaaaa"]
    assert [path.name for path in tmp_path.rglob("index-*.sqlite")] == [index.NAME]


def test_a_bare_repository(bare_dir: Path) -> None:
    """Lineage is asked on servers, too."""
    record(bare_dir, 1, "one-aaaaaa")
    assert names(bare_dir) == ["one-aaaaaa"]


# -- annotations --------------------------------------------------------------------------------


def say(repo: Repo, name: str, what: str) -> None:
    """Delete, restore or archive a run."""
    run = next(r for r in commits.listing(repo, refs.all_runs(repo)).runs if r.name == name)
    append(repo, run, [Change(what)], now=NOON, random=os.urandom)


def test_deleted_runs_produce_nothing_until_restored(repo: Repo) -> None:
    """As everywhere else."""
    record(repo, 1, "one-aaaaaa", kept={"a": "a"})
    record(repo, 2, "two-aaaaaa")
    assert names(repo) == ["two-aaaaaa", "one-aaaaaa"]
    age(repo)
    for what, there in (("delete", False), ("restore", True), ("delete", False)):
        say(repo, "one-aaaaaa", what)
        for _ in range(2):
            assert ("one-aaaaaa" in names(repo)) is there
            with open_index(repo) as found:
                assert bool(found.producers([md5("a")])) is there
                assert found.by_ids([f"{1:032x}"])
        repo.git("pack-refs", "--all")
        age(repo)


def test_a_note_that_came_before_its_run(repo: Repo) -> None:
    """A pull may bring a colleague's deletion first."""
    record(repo, 1, "one-aaaaaa")
    say(repo, "one-aaaaaa", "delete")
    (ref,) = refs.all_runs(repo)
    refs.delete(repo, [ref])
    record(repo, 2, "two-aaaaaa")
    assert names(repo) == ["two-aaaaaa"]
    age(repo)
    names(repo)
    refs.create(repo, experiment="default", name="one-aaaaaa", commit=ref.commit)
    assert names(repo) == ["two-aaaaaa"]


def test_archived_is_marked(repo: Repo) -> None:
    """Bytes of an archived run are its bytes all the same."""
    record(repo, 1, "one-aaaaaa", kept={"a": "a"})
    say(repo, "one-aaaaaa", "archive")
    with open_index(repo) as found:
        assert [run.archived for run in found.all()] == [True]
        assert found.producers([md5("a")])


# -- the file -----------------------------------------------------------------------------------


def _garbage(file: Path) -> None:
    file.write_bytes(random.Random(0).randbytes(50_000))


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _damaged_pages(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    file.write_bytes(data)


def _newer(file: Path) -> None:
    """Who knows what its tables mean: here, other things."""
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("DELETE FROM files")
    database.close()


def _without_a_column(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("ALTER TABLE runs RENAME COLUMN command TO words")
    database.close()


def _without_a_table(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE files")
    database.close()


def _wrong_types(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("UPDATE runs SET command = NULL, blanks = 'no json'")
    database.close()


def _link(file: Path) -> None:
    """SQLite would make its tables in an empty file."""
    other = file.with_name("precious")
    other.touch()
    file.unlink()
    file.symlink_to(other)


def _dangling_link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("nowhere"))


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _wrong_journal(file: Path) -> None:
    """SQLite would play what another process left into the file."""
    file.with_name(file.name + "-journal").write_bytes(random.Random(1).randbytes(5000))


DAMAGES = [
    _garbage, _truncated, _empty, _damaged_pages, _newer, _without_a_column, _without_a_table,
    _wrong_types, _link, _dangling_link, _directory, _wrong_journal,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_whatever_becomes_of_the_file_the_answers_are_right(
    repo: Repo, damage: Callable[[Path], None]
) -> None:
    """It is derived: a command that dies of it, or believes it, would be worse than none."""
    record(repo, 1, "one-aaaaaa", kept={"a": "a"})
    record(repo, 2, "two-aaaaaa", data={"a": "a"})
    age(repo)
    assert names(repo) == names(repo) == ["two-aaaaaa", "one-aaaaaa"]
    damage(repo.state / index.NAME)
    for _ in range(2):
        assert names(repo) == ["two-aaaaaa", "one-aaaaaa"]
        with open_index(repo) as found:
            assert [u.run.name for u in found.producers([md5("a")])[md5("a")]] == ["one-aaaaaa"]
            assert [u.run.name for u in found.readers([md5("a")])[md5("a")]] == ["two-aaaaaa"]
    precious = repo.state / "precious"
    assert not precious.exists() or precious.read_bytes() == b""


@pytest.mark.parametrize(
    "change",
    ["column = '\\'", "column = 'p_000000000000'", "key = x'ff'", "key = 'other'", "place = 'x'",
     "numbers = 'many'"],
)  # fmt: skip
def test_a_key_that_is_none_is_no_part_of_a_question(repo: Repo, change: str) -> None:
    """What the table of keys says becomes SQL: damaged, each command would stop at a bad query."""
    record(repo, 1, "one-aaaaaa", params={"lr": 0.1})
    age(repo)
    names(repo)
    with sqlite3.connect(repo.state / index.NAME) as database:
        database.execute(f"UPDATE keys SET {change}")
    database.close()
    for _ in range(2):
        with open_index(repo) as found:
            assert found.vocabulary.keys("params") == ["lr"]
            (run,) = found.page((f"{found.expression('params.lr')} = 0.1", []))
            assert run.params == {"lr": 0.1}


def test_a_directory_that_cannot_be_written(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only clone answers as well; `root` may write anything, so the place is a file."""
    record(repo, 1, "one-aaaaaa")
    shutil.rmtree(repo.state, ignore_errors=True)
    repo.state.write_text("in the way")
    assert names(repo) == ["one-aaaaaa"]


def test_a_file_that_another_process_holds(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds it too long is not waited for."""
    record(repo, 1, "one-aaaaaa")
    assert names(repo) == ["one-aaaaaa"]
    monkeypatch.setattr(tables, "_PATIENCE", 0.01)
    holder = sqlite3.connect(repo.state / index.NAME, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        record(repo, 2, "two-aaaaaa")
        assert names(repo) == ["two-aaaaaa", "one-aaaaaa"]
    finally:
        holder.close()
    assert names(repo) == ["two-aaaaaa", "one-aaaaaa"]


_BUILD = """
import sys
import time
from gittrack import whereabouts
from gittrack.index import open_index
with open_index(whereabouts.find(sys.argv[1])) as found:
    print(len(found.all()), found._tables.in_memory)
"""


def test_processes_that_build_it_at_once(repo: Repo) -> None:
    """The first `lineage` after a big pull may be asked in two terminals."""
    for number in range(40):
        record(repo, number, f"one-{number:06}")
    (repo.state / index.NAME).unlink(missing_ok=True)
    for damage in (None, _garbage):
        if damage:
            damage(repo.state / index.NAME)
        words = [sys.executable, "-c", _BUILD, str(repo.root)]
        children = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        assert [child.communicate()[0] for child in children] == ["40 False\n"] * 4


@pytest.mark.parametrize("path", ["a\udc80b", "\ud800", "a\x00b", "x" * 5000, "a'b\"c", "ü\n"])
def test_any_text_is_kept(repo: Repo, path: str) -> None:
    """Records are hostile until read; a path is a text and nothing else."""
    with open_index(repo) as found:
        assert found.readers_of(path) == found.keepers_of(path) == []


def test_a_meter_sees_the_first_reading(repo: Repo) -> None:
    """10,000 runs take a second, which somebody waits for."""
    for number in range(3):
        record(repo, number, f"one-{number:06}")
    told: list[object] = []

    class Told:
        def start(self, what: str, total: int | None, unit: str = "B") -> None:
            told.append((what, total, unit))

        def advance(self, count: int) -> None:
            told.append(count)

        def end(self) -> None:
            told.append("end")

    open_index(repo, meter=Told()).close()
    assert told == [("reading runs", 3, "runs"), 1, 1, 1, "end"]
    told.clear()
    open_index(repo, meter=Told()).close()
    assert told == []
