"""The rows of the index are what reading every commit gives, whatever changed and however often."""

from __future__ import annotations

import json
import math
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gittrack import commits, message, refs, tables, vocabulary, whereabouts
from gittrack.annotations import append, overlay
from gittrack.events import Change, set_tag
from gittrack.git import Identity, Repo
from gittrack.index import Index, open_index
from gittrack.records import Artifact, Code, Data, Run
from gittrack.refs import RunRef
from gittrack.summaries import Summary

ADA = Identity("Ada Lovelace", "ada@example.org")
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
VALUES: list[Any] = [
    0, 1, -1, 1.0, 0.5, -0.0, 1e308, math.inf, -math.inf, math.nan, 2**63, -(2**63), 10**30, True,
    False, None, "", "adam", "O'Hara", '"', "%_", "x\ny", "ünï", "12", "NaN", [1, "a"], [],
    {"a": 1},
]  # fmt: skip
KEYS = ["lr", "opt", "a.b", 'it\'s "odd"', "sp ace", "ü", "acc", "loss", "status", "x" * 200]


class World:
    """A repository, and what reading every commit of it gives."""

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.repo = Repo.open(path)
        self.repo.sync(False)
        self.dice = random.Random(seed)
        self.count = 0

    def record(self, **more: Any) -> RunRef:
        """Write a random run."""
        dice, number = self.dice, self.count
        self.count += 1
        started = NOON + timedelta(seconds=dice.randrange(9), microseconds=dice.randrange(10**6))
        md5 = f"{dice.randrange(16**32):032x}"
        fields: dict[str, Any] = {
            "id": f"{dice.randrange(16**32):032x}", "experiment": dice.choice(("one", "two-b")),
            "status": dice.choice(("finished", "failed", "killed")), "started": started,
            "ended": dice.choice((started, started + timedelta(seconds=1.5), None)),
            "exit_code": dice.choice((None, 0, 1, 137)), "title": dice.choice((None, "T ü", "")),
            "experiment_title": dice.choice((None, "The First")), "user": dice.choice(("", "Ada")),
            "command": dice.choice(((), ("python", "a.py", "--lr=0.10"), ("a b", "\x01", "ü", ""))),
            "code": Code(base=self.repo.head()[0], branch=dice.choice((None, "main", "f/1")),
                         dirty=dice.random() < 0.5),
            "params": self.some(VALUES),
            "metrics": self.some([v for v in VALUES if type(v) in (int, float)]),
            "tags": self.some(["", "yes", "ü'"]),
            "data": (Data("raw data.csv", md5, 9),) if number % 3 else (),
            "artifacts": (Artifact("out/ü", md5 + ".dir", 9, 2),) if number % 4 == 0 else (),
            "fingerprint": dice.choice((None, md5)), "source": dice.choice(("cli", "python")),
        }  # fmt: skip
        run = Run(name=f"run-{number:06}", **fields | more)
        return commits.write(self.repo, run, tree=self.repo.empty_tree(), author=ADA)

    def some(self, values: list[Any]) -> dict[str, Any]:
        """A random mapping."""
        keys = self.dice.sample(KEYS, self.dice.randrange(5))
        return {key: self.dice.choice(values) for key in keys}

    def annotate(self) -> None:
        """Say something of a random run."""
        dice = self.dice
        run = dice.choice(commits.listing(self.repo, refs.all_runs(self.repo)).runs)
        what = dice.choice(("archive", "unarchive", "delete", "restore"))
        tag = set_tag(dice.choice(KEYS), dice.choice((None, "new", "yes")))
        change = dice.choice(
            (Change(what), tag, Change("note", value="n ü"), Change("title", value="t"))
        )
        append(self.repo, run, [change], now=NOON, random=dice.randbytes)

    def remove(self) -> None:
        """Delete a random run's ref."""
        found = refs.all_runs(self.repo)
        refs.delete(self.repo, [self.dice.choice(found)])

    def pack(self) -> None:
        """Pack all refs."""
        self.repo.git("pack-refs", "--all")

    def truth(self) -> list[Summary]:
        """Every run, newest first."""
        found = overlay(self.repo, commits.listing(self.repo, refs.all_runs(self.repo)).runs)
        found.sort(key=lambda run: (run.name, run.experiment))
        return sorted(found, key=lambda run: run.started, reverse=True)

    def troubles(self) -> list[str]:
        """Every problem."""
        # libgit2 remembers what was there.
        repo = Repo.open(self.repo.git_dir)
        ours, others = refs.divided(repo)
        known = [*(ref.full for ref in ours), *(ref.name for ref in others)]
        strays = commits.strays(repo, others, refs.unreadable(repo, known))
        return [str(e) for e in (*commits.listing(repo, ours).problems, *strays)]

    def index(self) -> Index:
        """The index as it is now."""
        return open_index(whereabouts.of(Repo.open(self.repo.git_dir)))


def alike(found: list[Summary], expected: list[Summary]) -> bool:
    """Equal to the type and the last bit; mappings in any order."""
    return [told(run) for run in found] == [told(run) for run in expected]


def told(run: Summary) -> str:
    parts = ((name, getattr(run, name)) for name in Summary.__slots__)
    return repr([(n, sorted(v.items()) if hasattr(v, "items") else v) for n, v in parts])


def check(world: World) -> None:
    """The index says what the commits say."""
    truth = world.truth()
    with world.index() as index:
        assert index.apology is None
        assert alike(index.page(deleted=True), truth)
        expected = vocabulary.of_summaries(truth)
        for group in vocabulary.GROUPS:
            assert index.vocabulary.keys(group) == expected.keys(group)
            for key in expected.keys(group):
                full = f"{group}.{key}"
                assert index.vocabulary.count(full) == expected.count(full)
        assert index.count(deleted=True) == (len(truth), True)
        shown = [run for run in truth if not run.deleted and not run.archived]
        assert index.count(archived=False) == (len(shown), True)
        assert alike(index.page(archived=False), shown)
        assert [str(problem) for problem in index.problems] == world.troubles()


@pytest.fixture
def world(repo_dir: Path) -> World:
    return World(repo_dir)


# -- the same as the commits ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_rows_are_the_runs_whatever_happens(repo_dir: Path, seed: int) -> None:
    """Recorded, removed, annotated, packed, in any order: asked in between, or only at the end."""
    world = World(repo_dir, seed)
    for _ in range(12):
        world.record()
    check(world)
    deeds: list[Callable[[], object]]
    deeds = [world.record, world.record, world.annotate, world.annotate, world.remove, world.pack]
    for _ in range(6):
        for _ in range(world.dice.randrange(1, 4)):
            world.dice.choice(deeds)()
        check(world)


@pytest.mark.parametrize("name", ["golden", "golden-data"])
def test_the_rows_are_the_frozen_runs(name: str, tmp_path: Path) -> None:
    """Runs of every version of gittrack stay what they were."""
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    with (Path(__file__).parent / f"golden/{name}.fast-export").open("rb") as stream:
        subprocess.run(["git", "fast-import", "--quiet"], cwd=tmp_path, stdin=stream, check=True)
    world = World(tmp_path)
    assert world.truth()
    check(world)


def forge(world: World, edit: Callable[[dict[str, Any]], Any], name: str) -> None:
    """A run whose summary says something else than its record."""
    commit = world.repo.read_commit(world.record().commit)
    head, _, rest = commit.message.partition("Gittrack-Summary: ")
    known = json.loads(rest.split("\n")[0])
    made: Any = edit(known)
    text = made if isinstance(made, str) else json.dumps(known if made is None else made)
    oid = world.repo.write_commit(
        tree=commit.tree, parents=[], message=f"{head}Gittrack-Summary: {text}\n", author=ADA,
        started=1.7e9, ended=1.7e9,
    )  # fmt: skip
    refs.create(world.repo, experiment="forged", name=name, commit=oid)


FORGERIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no-json": lambda known: "{",
    "no-mapping": lambda known: [1],
    "deep": lambda known: "[" * 30_000,
    "no-id": lambda known: known.pop("id") and None,
    "odd-id": lambda known: known.update(id="\ud800 no id"),
    "id-like-json": lambda known: known.update(id="4a22" + "0" * 28),
    "odd-status": lambda known: known.update(status="odd"),
    "odd-time": lambda known: known.update(started="yesterday"),
    "year-one": lambda known: known.update(started="0001-01-01T00:00:00.000000Z"),
    "wrong-types": lambda known: known.update(exit_code="0", tags={"a": 1}),
    "a-flag-for-a-code": lambda known: known.update(exit_code=True),
    "large-code": lambda known: known.update(exit_code=1 << 70),
    "odd-words": lambda known: known.update(command=["\ud800", "a\x00b"], user="\udfff"),
    "odd-keys": lambda known: known.update(params={"\ud800": "\udfff", "": 1}),
    "odd-paths": lambda known: known.update(data={"\udc80": "no md5", "a": 'J"' + "x" * 14}),
    "nothing": lambda known: known.update(user=None),
    "numbers-by-name": lambda known: known.update(metrics={"a": "NaN", "b": "-Infinity", "c": 1}),
    "no-numbers": lambda known: known.update(metrics={"a": True}),
    "from-tomorrow": lambda known: known.update(unheard={"of": 1}),
    "said-by-itself": lambda known: known.update(deleted=True, archived=True, notes=["n"]),
    "no-notes": lambda known: known.update(notes=1),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_hostile_summaries(world: World, name: str) -> None:
    """Whatever the listing makes of them, the index does."""
    forge(world, FORGERIES[name], "it-is-aaaaaa")
    check(world)
    check(world)


def test_what_stands_beside_the_runs(world: World) -> None:
    """Each problem is said as often as it is asked, until it is gone."""
    first = world.record()
    repo = world.repo
    head = str(repo.head()[0])
    repo.set_ref("refs/runs/one/code-aaaaaa", head)
    repo.set_ref("refs/runs/Not/ours", first.commit)
    repo.set_ref("refs/runs/deep/er/name", first.commit)
    (repo.common_dir / "refs/runs/one/empty-aaaaaa").write_text("")
    for _ in range(2):
        check(world)
    lost = world.record()
    (repo.common_dir / "objects" / lost.commit[:2] / lost.commit[2:]).unlink()
    for _ in range(2):
        check(world)
    world.pack()
    check(world)
    repo.git("update-ref", "-d", "refs/runs/Not/ours")
    (repo.common_dir / "refs/runs/one/empty-aaaaaa").unlink()
    check(world)


def test_more_keys_than_columns(world: World) -> None:
    """A run with thousands of keys must not take the columns of all others' away, nor be lost."""
    for number in range(3):
        keys = {f"k{number * 100 + i}": i for i in range(150)}
        world.record(params=keys, metrics={"acc": 0.5}, tags={"t": "x"})
    check(world)
    world.annotate()
    check(world)
    with world.index() as index:
        assert "SELECT" in index.expression("params.k349") or "runs." in index.expression(
            "params.k0"
        )
        where = (f"{index.expression('params.k320')} = ?", [120])
        assert len(index.page(where, deleted=True)) == 1
    world.remove()
    check(world)


def test_remarks_of_people_and_notes_of_others(world: World) -> None:
    """Whoever wrote them, under whatever ref: they are laid over the run, and taken off again."""
    run = world.record()
    check(world)
    for ref, text in (("runs/bob", "looks good"), ("runs/ann", "a remark")):
        world.repo.git("notes", "--ref", ref, "add", "-f", "-m", text, run.commit)
        check(world)
    with world.index() as index:
        assert index.page()[0].notes == ("a remark", "looks good")
    world.repo.git("update-ref", "-d", "refs/notes/runs/bob")
    check(world)
    with world.index() as index:
        assert index.page()[0].notes == ("a remark",)


# -- how it is read -------------------------------------------------------------------------------


class Told:
    """A meter that remembers, and may have enough."""

    def __init__(self, most: int | None = None) -> None:
        self.total: int | None = None
        self.done = 0
        self.most = most

    def start(self, what: str, total: int | None, unit: str = "B") -> None:
        self.total = total

    def advance(self, count: int) -> None:
        self.done += count
        if self.most is not None and self.done > self.most:
            raise KeyboardInterrupt

    def end(self) -> None:
        pass


def test_an_interrupted_reading_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loses patience with a million runs has not waited for nothing."""
    monkeypatch.setattr("gittrack.census._BATCH", 10)
    monkeypatch.setattr("gittrack.census._AT_ONCE", 20)
    for _ in range(45):
        world.record()
    with pytest.raises(KeyboardInterrupt):
        open_index(whereabouts.of(world.repo), meter=Told(25))
    rest = Told()
    open_index(whereabouts.of(world.repo), meter=rest).close()
    assert (rest.total, rest.done) == (25, 25)
    check(world)


def test_two_that_read_at_once_by_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is a help, not what it depends on: without it, the turn tells."""
    monkeypatch.setattr("gittrack.census._BATCH", 5)
    monkeypatch.setattr("gittrack.census._AT_ONCE", 5)
    for _ in range(30):
        world.record()
    begun = 0

    @contextmanager
    def interrupted(database: sqlite3.Connection) -> Iterator[None]:
        nonlocal begun
        begun += 1
        if begun == 4:
            open_index(whereabouts.of(Repo.open(world.repo.git_dir))).close()
        with transaction(database):
            yield

    transaction = tables.transaction
    open_index(whereabouts.of(world.repo)).close()
    for _ in range(30):
        world.record()
    monkeypatch.setattr(tables, "alone", lambda path, ending="": nullcontext())
    monkeypatch.setattr(tables, "transaction", interrupted)
    open_index(whereabouts.of(world.repo)).close()
    assert begun > 10
    check(world)


def test_what_is_said_while_two_read_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts again after another was faster has to read again what he had read."""
    monkeypatch.setattr("gittrack.census._BATCH", 5)
    monkeypatch.setattr("gittrack.census._AT_ONCE", 5)
    for _ in range(12):
        world.record()
    said = commits.listing(world.repo, refs.all_runs(world.repo)).runs
    append(world.repo, said[0], [Change("archive")], now=NOON, random=world.dice.randbytes)
    begun = 0

    @contextmanager
    def interrupted(database: sqlite3.Connection) -> Iterator[None]:
        nonlocal begun
        begun += 1
        if begun == 3:
            open_index(whereabouts.of(Repo.open(world.repo.git_dir))).close()
            append(world.repo, said[1], [Change("delete")], now=NOON, random=world.dice.randbytes)
            # Only this clone's own file says it.
            for ref in world.repo.refs("refs/notes/"):
                world.repo.git("update-ref", "-d", ref.name)
            time.sleep(0.06)  # Until nothing is too young to be trusted.
        with transaction(database):
            yield

    transaction = tables.transaction
    monkeypatch.setattr(tables, "alone", lambda path, ending="": nullcontext())
    monkeypatch.setattr(tables, "transaction", interrupted)
    open_index(whereabouts.of(Repo.open(world.repo.git_dir))).close()
    assert begun > 5
    check(world)


_ASK = """
import sys
from gittrack.index import open_index
from gittrack.whereabouts import find
with open_index(find(sys.argv[1])) as index:
    print(index.count()[0], len(index.page(None, [], 50)))
heavy = {"pygit2", "yaml", "gittrack.git", "gittrack.records", "subprocess", "gittrack.census"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_fresh_index_loads_next_to_nothing(world: World) -> None:
    """libgit2 alone takes as long as the whole answer."""
    world.record()
    (world.repo.common_dir / "refs/notes/runs").mkdir(parents=True)
    until = time.monotonic() + 10
    said = ""
    while not said.endswith("[]\n") and time.monotonic() < until:
        # The first ones see directories that are too young to be trusted.
        words = [sys.executable, "-c", _ASK, str(world.repo.root)]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said == "1 1\n[]\n"


_WRITE = """
import random, subprocess, sys, time
place, log, first, second = sys.argv[1:]
dice = random.Random(1)
there = set()
def say(*words):
    with open(log, "a") as file:
        print(*words, file=file)
for number in range(250):
    name = f"refs/runs/race/run-{number % 40:06}"
    deed = dice.randrange(5)
    if deed == 0 and there:
        name, commit = dice.choice(sorted(there)), "-"
        words = ["update-ref", "-d", name]
        there.discard(name)
    elif deed == 1:
        words = ["pack-refs", "--all"]
    else:
        commit = dice.choice((first, second))
        words = ["update-ref", name, commit]
        there.add(name)
    if deed != 1:
        say("begins", name)
    subprocess.run(["git", "-C", place, *words], check=True)
    if deed != 1:
        say(commit, name)
    time.sleep(dice.random() / 200)
"""


def test_no_change_is_missed(world: World, tmp_path: Path) -> None:
    """What was so before the question began, and until it was answered, is so in the answer."""
    log = tmp_path / "log"
    log.touch()
    first, second = world.record().commit, world.record().commit
    words = [sys.executable, "-c", _WRITE, str(world.repo.root), str(log), first, second]
    place, asked, wrong = whereabouts.of(world.repo), 0, list[str]()
    with subprocess.Popen(words) as writer:
        while writer.poll() is None:
            before = states(log.read_text())
            found: dict[str, list[str]] = {}
            with open_index(place) as index:
                for r in index.all():
                    found.setdefault(f"refs/runs/{r.experiment}/{r.name}", []).append(r.commit)
            after = states(log.read_text())
            for name, (commit, count) in before.items():
                if commit != "begins" and after[name][1] == count:
                    told = found.get(name, ["-"])
                    wrong += [f"{asked}: {name} is {commit}, not {told}"] * (told != [commit])
            asked += 1
    assert writer.returncode == 0 and asked > 50 and wrong == []
    with open_index(place) as index:
        race = {f"refs/runs/race/{r.name}": r.commit for r in index.all() if r.experiment == "race"}
    last = states(log.read_text()).items()
    assert race == {name: commit for name, (commit, _) in last if commit != "-"}


def states(text: str) -> dict[str, tuple[str, int]]:
    """Where each ref points, `-` for none, `begins` while it may be either way; and its lines."""
    found: dict[str, tuple[str, int]] = {}
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            state, name = line.split()
            found[name] = (state, found.get(name, ("", 0))[1] + 1)
    return found


# -- where the file cannot be used ----------------------------------------------------------------


_UNWRITABLE = """
import os, resource, sys
from gittrack.index import open_index
from gittrack.whereabouts import find
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_index(find(sys.argv[1])) as index:
    print(index.count()[0], len(index.page()), bool(index.apology))
"""


@pytest.mark.parametrize("size", [0, 50_000])
def test_a_full_disk(world: World, size: int) -> None:
    """Answers come, slower, and say why."""
    for _ in range(3):
        world.record()
    words = [sys.executable, "-c", _UNWRITABLE, str(world.repo.root), str(size)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said == "3 3 True\n"
    check(world)


@pytest.fixture
def read_only(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A file that takes nothing; `root` may write to any, so SQLite is told."""
    world.record()
    check(world)
    original = tables._connect

    def connect(path: str | None) -> Any:
        database = original(path)
        if path is not None:
            database.execute("PRAGMA query_only = ON")
        return database

    monkeypatch.setattr(tables, "_connect", connect)
    yield world


def test_a_read_only_file_is_copied_rather_than_made_anew(read_only: World) -> None:
    """Only what is new is read."""
    read_only.record()
    told = Told()
    with open_index(whereabouts.of(read_only.repo), meter=told) as index:
        assert "cannot be used" in (index.apology or "")
        assert len(index.page(deleted=True)) == 2
    assert told.total == 1


def test_a_file_that_was_copied_elsewhere(world: World, tmp_path: Path) -> None:
    """Stamps hold nowhere else: all is compared again, and nothing is read twice."""
    for _ in range(3):
        world.record()
    check(world)
    shutil.copytree(world.repo.git_dir, tmp_path / "copy.git")
    told = Told()
    with open_index(whereabouts.of(Repo.open(tmp_path / "copy.git")), meter=told) as index:
        assert len(index.page(deleted=True)) == 3
    assert told.total is None


def test_the_summary_of_a_message_is_taken_as_it_is(world: World) -> None:
    """The short way and the long way say the same, or the short one says nothing."""
    for _ in range(30):
        ref = world.record()
        text = world.repo.read_commit(ref.commit).message
        found = message.excerpt(text)
        if found is not None:
            known = message.summary(text, experiment="e", name="n", commit=ref.commit)
            assert known is not None and found[1] == message.inputs(text)
            for name in ("id", "status", "user", "dirty", "params", "metrics", "tags", "data"):
                assert repr(found[0].get(name, getattr(known, name))) == repr(getattr(known, name))
