"""No change is missed: what was done before a question began is in its answer.

`.ci/races` asks 10,000 times; here is a part of them, in seconds.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gittrack import commits, refs, stamps, tables, whereabouts
from gittrack.git import Identity, Repo
from gittrack.index import open_index
from gittrack.records import Code, Run
from gittrack.refs import RunRef

RACES = int(os.environ.get("TORTURE_RACES", "300"))
ADA = Identity("Ada Lovelace", "ada@example.org")
_RUNS = 24
_NUMBER = struct.Struct("=Q")

# Each run has a number that is odd while it is created or deleted. Where it is the same before and
# after a question, and even, the run was there all the time (2 mod 4), or never (0 mod 4).
_WRITER = """
import mmap, random, struct, sys, time
from gittrack import refs
from gittrack.git import Repo
from gittrack.refs import RunRef
place, board, *seed = sys.argv[1:]
repo = Repo.open(place)
repo.sync(False)
dice = random.Random(seed[0])
runs = [RunRef(*line.split()) for line in sys.stdin.read().splitlines()]
number = struct.Struct("=Q")
with open(board, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
    def count(place):
        value, = number.unpack_from(memory, 8 * place)
        number.pack_into(memory, 8 * place, value + 1)
        return value
    print("ready", flush=True)
    while True:
        some = dice.sample(range(len(runs)), dice.choice((1, 1, 1, 2, 6)))
        for place in some:
            there = count(place) % 4 == 2
            if there:
                refs.delete(repo, [runs[place]])
            else:
                run = runs[place]
                refs.create(repo, experiment=run.experiment, name=run.name, commit=run.commit)
            count(place)
        if dice.random() < 0.1:
            repo.git("pack-refs", "--all")
        # As long as it takes to ask, or hardly at all, or until directories are no longer young.
        time.sleep(dice.choice((0, 0, 0.001, 0.004, 0.01, 0.06)))
"""


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    opened = Repo.open(repo_dir)
    opened.sync(False)
    return opened


def prepared(repo: Repo) -> list[RunRef]:
    """Runs of three experiments, which no ref points to yet; others are there all the time."""
    from datetime import datetime, timezone

    base, _ = repo.head()
    assert base is not None
    found = []
    for number in range(2 * _RUNS):
        run = Run(
            id=f"{number:032x}",
            name=f"run-{number:06}",
            experiment=f"group-{number % 3}",
            status="finished",
            started=datetime(2026, 1, 1, 0, number, tzinfo=timezone.utc),
            code=Code(base=base),
        )
        tree = repo.read_commit(base).tree
        commit = commits.store(repo, run, tree=tree, author=ADA)
        found.append(RunRef(run.experiment, run.name, commit))
    refs.create_many(repo, found[_RUNS:])
    repo.git("pack-refs", "--all")
    return found[:_RUNS]


class Race:
    """A process that changes refs without pause, and questions asked meanwhile."""

    def __init__(self, repo: Repo, board: Path, seed: int) -> None:
        assert repo.root is not None
        self.repo = repo
        self.runs = prepared(repo)
        board.write_bytes(bytes(8 * len(self.runs)))
        self._file = board.open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), 0)
        words = [sys.executable, "-c", _WRITER, repo.root, board, str(seed)]
        self._writer = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._writer.stdin is not None and self._writer.stdout is not None
        given = "\n".join(f"{run.experiment} {run.name} {run.commit}" for run in self.runs)
        self._writer.stdin.write(given.encode())
        self._writer.stdin.close()
        assert self._writer.stdout.readline() == b"ready\n"

    def close(self) -> None:
        alive = self._writer.poll() is None
        self._writer.kill()
        self._writer.wait()
        assert self._writer.stdout is not None
        self._writer.stdout.close()
        self._memory.close()
        self._file.close()
        assert alive, "who changes the refs gave up"

    def counts(self) -> list[int]:
        return [number for (number,) in _NUMBER.iter_unpack(self._memory[:])]

    def missed(self, questions: int) -> tuple[list[str], int]:
        """What the answers said wrong, and in how many of them something had changed before."""
        place = whereabouts.of(self.repo)
        wrong, races, last = [], 0, self.counts()
        for number in range(questions):
            before = self.counts()
            told = asked(place)
            after = self.counts()
            races += before != last
            last = before
            for run, one, other in zip(self.runs, before, after, strict=True):
                if one == other and one % 2 == 0 and (run.name in told) != (one % 4 == 2):
                    wrong.append(
                        f"question {number}: {run.name} {'is' if one % 4 else 'is not'} there"
                    )
            others = sum(name not in {run.name for run in self.runs} for name in told)
            if others != _RUNS:
                wrong.append(f"question {number}: {others} of {_RUNS} that nobody touched")
        return wrong, races


def asked(place: whereabouts.Place) -> set[str]:
    with open_index(place) as index:
        return {run.name for run in index.page()}


def is_settled(place: whereabouts.Place) -> bool:
    with open_index(place) as index:
        return tables.is_fresh(index.database, place.common_dir)


@pytest.fixture
def race(repo: Repo, tmp_path: Path) -> Iterator[Race]:
    made = Race(repo, tmp_path / "board", seed=random.randrange(1 << 30))
    try:
        yield made
    finally:
        made.close()


def test_no_change_is_missed(race: Race) -> None:
    """A run that was recorded is listed, by the very next question and any later one."""
    asked_for, wrong, races = 0, list[str](), 0
    deadline = time.monotonic() + max(60, RACES / 5)
    while races < RACES and time.monotonic() < deadline:
        found, some = race.missed(50)
        wrong, races, asked_for = wrong + found, races + some, asked_for + 50
    assert wrong == [] and races >= RACES, f"{asked_for} questions, {races} after a change"


def test_a_run_that_is_packed_between_two_looks_is_not_missed(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, until
) -> None:
    """The file of packed refs had not changed yet, and the directory is empty already."""
    runs = prepared(repo)
    place = whereabouts.of(repo)
    assert len(asked(place)) == _RUNS
    # Where nothing is young any more, only what changed is looked at.
    until(lambda: is_settled(place))
    refs.create_many(repo, runs[:1])
    listed = stamps.listed

    def late(directory: str, now: int) -> stamps.Listed:
        if directory.endswith(f"refs/runs/{runs[0].experiment}") and now:
            monkeypatch.setattr(stamps, "listed", listed)
            repo.git("pack-refs", "--all")
        return listed(directory, now)

    monkeypatch.setattr(stamps, "listed", late)
    assert runs[0].name in asked(place)
    assert stamps.listed is listed


def test_a_packed_run_that_moves_between_two_looks_is_there_once(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, until
) -> None:
    """Its file is in no list of the directory yet, but would be in the next: its row is older."""
    runs = prepared(repo)
    refs.create_many(repo, runs[:1])
    repo.git("pack-refs", "--all")
    place = whereabouts.of(repo)
    until(lambda: is_settled(place))
    (beside,) = (run for run in runs[1:4] if run.experiment == runs[0].experiment)
    refs.create_many(repo, [beside])
    listed = stamps.listed

    def early(directory: str, now: int) -> stamps.Listed:
        found = listed(directory, now)
        if directory.endswith(f"refs/runs/{runs[0].experiment}") and now:
            monkeypatch.setattr(stamps, "listed", listed)
            repo.git("update-ref", runs[0].full, beside.commit)
        return found

    monkeypatch.setattr(stamps, "listed", early)
    asked(place)
    assert stamps.listed is listed
    for expected in ([beside.commit], []):
        with open_index(place) as index:
            assert [run.commit for run in index.page() if run.name == runs[0].name] == expected
        repo.git("update-ref", "-d", runs[0].full)


@pytest.mark.parametrize("packed", [True, False])
def test_a_loose_run_is_gone_unless_it_is_packed_as_well(repo: Repo, until, packed: bool) -> None:
    """Who was killed while he packed left both; the file of packed refs stays as it is."""
    runs = prepared(repo)
    refs.create_many(repo, runs[:1])
    if packed:
        repo.git("pack-refs", "--all", "--no-prune")
    place = whereabouts.of(repo)
    until(lambda: is_settled(place))
    assert runs[0].name in asked(place)
    (repo.common_dir / runs[0].full).unlink()
    assert (runs[0].name in asked(place)) == packed


def test_a_planted_fault_is_seen(race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    """If stamps were taken after the look, what happened in between would never be seen."""
    set_places, top = tables.set_places, race.repo.common_dir

    def late(database: object, looked: Mapping[str, str]) -> None:
        now = {path: stamps.stamp(f"{top}/{path}") for path in looked}
        set_places(database, now)  # type: ignore[arg-type]

    monkeypatch.setattr(tables, "set_places", late)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if race.missed(20)[0]:
            return
    raise AssertionError("nobody saw it")
