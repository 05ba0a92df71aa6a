"""What is read beyond the message is read once, right, and never stops a question."""

from __future__ import annotations

import math
import sqlite3
import weakref
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import atoms, commits, curvature, extremes, series
from gittrack.errors import BadFile
from gittrack.extremes import Extremes
from gittrack.git import Identity, Repo
from gittrack.records import Code, Environment, Row, Run

ADA = Identity("Ada Lovelace", "ada@example.org")
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
NAN, INF = math.nan, math.inf


# -- one table ----------------------------------------------------------------------------------


def expected(rows: Sequence[Row], metric: str) -> Extremes:
    """The same, found the obvious way."""
    points = [(row.step, row.values[metric]) for row in rows if metric in row.values]
    some = [point for point in points if point[1] == point[1]]
    ends: list[object] = []
    for choose in (min, max):
        value = choose((value for _, value in some), default=None)
        steps = [step for step, one in some if one == value and step is not None]
        ends.append((value, min(steps, default=None)))
    (least, at_least), (most, at_most) = ends  # type: ignore[misc]
    first, last = points[0], points[-1]
    return Extremes(
        first[1], last[1], least, most, len(points), first[0], last[0], at_least, at_most
    )


NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 0.5, NAN, INF, -INF, 10**30, -(10**30), 2**53 + 1]),
    st.floats(allow_nan=True),
    st.integers(-5, 5),
)
ROWS = st.lists(
    st.builds(
        Row,
        st.one_of(st.none(), st.integers(0, 50)),
        st.floats(0, 1e6),
        st.dictionaries(st.sampled_from(["loss", "acc", "step", "a b"]), NUMBERS, min_size=1),
    ),
    min_size=1,
    max_size=30,
)


@given(ROWS, st.sampled_from([8, 40, 1 << 20]))
@settings(deadline=None, max_examples=200)
def test_extremes_are_those_of_the_points(rows: list[Row], part: int) -> None:
    """However the table is cut into parts, and whatever numbers, gaps and steps it has."""
    data = series.dump(series.Table.of(rows))
    extremes._PART, before = part, extremes._PART
    try:
        found = extremes.extremes(data, "metrics.tsv")
    finally:
        extremes._PART = before
    metrics = {metric for row in rows for metric in row.values}
    assert found.keys() == metrics
    for metric in metrics:
        # repr tells NaN, -0.0 and 1 from 1.0.
        told, wanted = found[metric], expected(rows, metric)
        assert told == wanted or repr(told) == repr(wanted)


BROKEN = {
    "empty": b"",
    "no table": b"hello\n",
    "torn": b"step\ttime\tloss\n1\t0.5\t0.",
    "too few cells": b"step\ttime\tloss\n1\t0.5\n",
    "too many cells": b"step\ttime\tloss\n1\t0.5\t1\t2\n",
    "no number": b"step\ttime\tloss\n1\t0.5\tbad\n",
    "two points": b"step\ttime\tloss\n1\t0.5\t1.2.3\n2\t0.5\t4\n",
    "no step": b"step\ttime\tloss\nx\t0.5\t1\n",
    "no time": b"step\ttime\tloss\n1\tnan\t1\n",
    "time without end": b"step\ttime\tloss\n1\tinf\t1\n",
    "two columns of one name": b"step\ttime\tloss\tloss\n1\t0\t1\t2\n",
    "not UTF-8": b"step\ttime\t\xff\n1\t0\t1\n",
    "a cell that is no text": b"step\ttime\tloss\n1\t0\t\xff\n",
    "an endless step": b"step\ttime\tloss\n" + b"9" * 5000 + b"\t0\t1\n",
    "too many metrics": b"step\ttime" + b"\tm" * 50_001 + b"\n",
    "an endless header": b"step\ttime\t" + b"m" * (9 << 20) + b"\n",
    "an empty line": b"step\ttime\tloss\n\n1\t0\t1\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_is_an_error(name: str) -> None:
    """It came from somebody else: nothing in it may be believed, or take long."""
    with pytest.raises(BadFile):
        extremes.extremes(BROKEN[name], "metrics.tsv")


def test_a_table_without_rows_has_no_curves() -> None:
    """Nor is that an error."""
    assert extremes.extremes(b"step\ttime\tloss\n", "metrics.tsv") == {}


# -- runs in an index ---------------------------------------------------------------------------


class Runs:
    """Some runs and a database that has a row for each."""

    def __init__(self, repo: Repo, path: Path) -> None:
        self.repo = repo
        self.path = path
        self.opened = 0
        self.database = self.connect()
        self.database.execute("CREATE TABLE runs (number INTEGER PRIMARY KEY, oid BLOB, id BLOB)")

    def connect(self, query: str = "") -> sqlite3.Connection:
        address = f"{self.path.as_uri()}{query}"
        database = sqlite3.connect(address, uri=True, isolation_level=None)
        weakref.finalize(self, database.close)
        database.execute("PRAGMA trusted_schema = OFF")
        return database

    def record(
        self,
        rows: Sequence[Row] = (),
        packages: dict[str, str] | None = None,
        **files: bytes | None,
    ) -> int:
        """Record a run -> its number; `files` stand in its record instead of what it says."""
        number = self.database.execute("SELECT count(*) + 1 FROM runs").fetchone()[0]
        values = series.Table.of(rows).last()
        run = Run(
            id=f"{number:032x}",
            name=f"run-{number:06}",
            experiment="default",
            status="finished",
            started=NOON,
            ended=NOON,
            code=Code(),
            metrics=values,
            environment=Environment(python="3.11.7", packages=packages or {"numpy": "2.0.0"}),
        )
        empty = self.repo.empty_tree()
        commit = commits.store(self.repo, run, tree=empty, author=ADA, rows=rows)
        if files:
            commit = self._changed(commit, files)
        return self.add(number, commit)

    def _changed(self, commit: str, files: dict[str, bytes | None]) -> str:
        read = self.repo.read_commit(commit)
        top = self.repo.entry(read.tree, ".gittrack")
        assert top is not None
        entries = {
            name.replace("_", "."): ("", 0)
            if data is None
            else (self.repo.write_blob(data), 0o100644)
            for name, data in files.items()
        }
        record = self.repo.write_tree(entries, base=top.id)
        return self._commit(self.repo.write_tree({".gittrack": (record, 0o040000)}), read.message)

    def _commit(self, tree: str, message: str) -> str:
        return self.repo.write_commit(
            tree=tree, parents=[], message=message, author=ADA, started=0.0, ended=0.0
        )

    def add(self, number: int, commit: str) -> int:
        row = (number, bytes.fromhex(commit), b"id")
        self.database.execute("INSERT INTO runs VALUES (?, ?, ?)", row)
        return number

    def open(self) -> Repo:
        self.opened += 1
        return self.repo

    def fill(self, *what: str) -> None:
        curvature.fill(
            self.database, self.open, curves="curves" in what, packages="packages" in what
        )

    def ask(self, function: str, metric: str, last: str = "NULL") -> dict[int, object]:
        words = curvature.expression(self.database, function, metric, last)
        found = self.database.execute(f"SELECT number, {words} FROM runs")
        return {number: atoms.decode(value) for number, value in found}


@pytest.fixture
def runs(repo_dir: Path, tmp_path: Path) -> Runs:
    repo = Repo.open(repo_dir)
    repo.sync(False)
    return Runs(repo, tmp_path / "index.sqlite")


LOSS = [Row(1, 0.0, {"loss": 3.0}), Row(2, 1.0, {"loss": 0.5}), Row(7, 2.0, {"loss": 1.0})]


def test_each_function_says_what_the_curve_did(runs: Runs) -> None:
    """The ends, how many points, and where."""
    run = runs.record(LOSS)
    runs.fill("curves")
    told = {function: runs.ask(function, "loss")[run] for function in curvature.FUNCTIONS}
    assert told == {
        "count": 3,
        "first": 3.0,
        "first_step": 1,
        "last": 1.0,
        "last_step": 7,
        "max": 3.0,
        "max_step": 1,
        "min": 0.5,
        "min_step": 2,
    }
    assert set(told) == set(Extremes._fields)


def test_what_a_curve_lacks_is_null(runs: Runs) -> None:
    """`min_step(acc) is null` and `min(acc) is null` find it, in SQL too."""
    runs.record([Row(None, 0.0, {"acc": NAN}), Row(None, 1.0, {"acc": NAN})])
    runs.fill("curves")
    for function in ("min", "max", "first_step", "last_step", "min_step", "max_step"):
        words = curvature.expression(runs.database, function, "acc", "NULL")
        found = runs.database.execute(f"SELECT {words} IS NULL FROM runs").fetchall()
        assert found == [(1,)], function


def test_a_metric_without_a_table_has_one_point(runs: Runs) -> None:
    """Its last value is all that there is; the step is not known."""
    run = runs.record([Row(None, 0.0, {"loss": 0.25})])
    runs.fill("curves")
    for function in ("first", "last", "min", "max"):
        assert runs.ask(function, "loss", "0.25") == {run: 0.25}
        assert runs.ask(function, "loss", "NULL") == {run: None}
    assert runs.ask("count", "loss", "0.25") == {run: 1}
    assert runs.ask("count", "loss", "NULL") == {run: None}
    assert runs.ask("min_step", "loss", "0.25") == {run: None}
    nan = "x'6E616E'"
    assert runs.ask("min", "loss", nan) == {run: None}
    assert math.isnan(runs.ask("first", "loss", nan)[run])  # type: ignore[arg-type]


def test_values_are_exact(runs: Runs) -> None:
    """NaN is no extreme, infinities are, and an integer stays one, however large."""
    odd = [NAN, INF, -INF, 2**70, 1]
    run = runs.record([Row(step, 0.0, {"x": value}) for step, value in enumerate(odd)])
    runs.fill("curves")
    assert runs.ask("min", "x")[run] == -INF and runs.ask("max", "x")[run] == INF
    assert math.isnan(runs.ask("first", "x")[run])  # type: ignore[arg-type]
    whole = runs.record([Row(1, 0.0, {"y": 2**70}), Row(2, 0.0, {"y": NAN})])
    nothing = runs.record([Row(1, 0.0, {"y": NAN}), Row(2, 0.0, {"y": NAN})])
    runs.fill("curves")
    assert runs.ask("max", "y")[whole] == 2**70
    assert runs.ask("max", "y", "x'6E616E'")[nothing] is None
    assert runs.ask("count", "y")[nothing] == 2
    assert runs.ask("max_step", "y")[nothing] is None


def test_what_is_known_is_not_read_again(runs: Runs) -> None:
    """A repository is not even opened for it; a new run is read alone."""
    runs.record(LOSS)
    runs.fill("curves")
    runs.fill("packages")
    assert runs.opened == 2
    runs.fill("curves", "packages")
    assert runs.opened == 2
    new = runs.record([Row(1, 0.0, {"loss": 9.0}), Row(2, 0.0, {"loss": 8.0})])
    assert runs.ask("max", "loss")[new] is None
    runs.database.execute("UPDATE curves SET max = 7.0")
    runs.fill("curves")
    assert runs.opened == 3
    assert runs.ask("max", "loss") == {1: 7.0, new: 9.0}


def test_a_run_that_goes_takes_what_was_known_along(runs: Runs) -> None:
    """Its number may be another run's tomorrow."""
    runs.record(LOSS)
    last = runs.record(LOSS)
    runs.fill("curves", "packages")
    runs.database.execute("DELETE FROM runs WHERE number = ?", [last])
    runs.record([Row(1, 0.0, {"loss": 0.125})], {"torch": "2.3.0"})
    runs.fill("curves", "packages")
    assert runs.ask("max", "loss", "0.125")[last] == 0.125
    assert len(curvature.installed(runs.database, "torch")) == 1


HOSTILE: dict[str, dict[str, bytes | None]] = {
    f"table: {name}": {"metrics_tsv": data} for name, data in BROKEN.items() if len(data) < 1 << 20
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_broken_record_is_named_and_hides_no_other(runs: Runs, name: str) -> None:
    """Its curves are missing rather than made up."""
    good = runs.record(LOSS)
    bad = runs.record(LOSS, **HOSTILE[name])
    more = runs.record(LOSS)
    runs.fill("curves")
    for function in curvature.FUNCTIONS:
        told = runs.ask(function, "loss", "1.0")
        assert told[bad] is None and told[good] == told[more] is not None
    ((number, words),) = curvature.faults(runs.database)
    assert number == bad and words.startswith("metrics.tsv: ")
    # What is written in stone is not read again.
    runs.fill("curves")
    assert runs.opened == 1


def test_records_that_are_none(runs: Runs) -> None:
    """No directory, a link, a directory in the table's place, a table that is too large."""
    repo = runs.repo
    blob = repo.write_blob(b"x")
    link = repo.write_tree({"metrics.tsv": (blob, 0o120000)})
    inner = repo.write_tree({"metrics.tsv": (link, 0o040000)})
    trees = [
        {},
        {".gittrack": (blob, 0o100644)},
        {".gittrack": (link, 0o040000)},
        {".gittrack": (inner, 0o040000)},
    ]
    for number, entries in enumerate(trees, 1):
        runs.add(number, runs._commit(repo.write_tree(entries), "no run\n"))
    runs.fill("curves", "packages")
    words = [words for _, words in curvature.faults(runs.database)]
    assert words == [
        "its tree has no directory .gittrack",
        "its tree has no directory .gittrack",
        "metrics.tsv: it is no plain file",
        "metrics.tsv: it is no plain file",
    ]
    assert set(runs.ask("max", "loss", "1.0").values()) == {None}


def test_a_table_that_is_too_large_is_not_opened(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is looked at first."""
    monkeypatch.setattr(curvature, "_LARGEST_TABLE", 10)
    bad = runs.record(LOSS)
    runs.fill("curves")
    ((number, words),) = curvature.faults(runs.database)
    assert number == bad and "at most 10 are read" in words


def test_what_is_missing_is_looked_for_again(runs: Runs) -> None:
    """It may be fetched meanwhile; then it is no fault any more."""
    run = runs.record(LOSS)
    known = runs.repo.read_commit(
        runs.database.execute("SELECT lower(hex(oid)) FROM runs").fetchone()[0]
    )
    top = runs.repo.entry(known.tree, ".gittrack")
    assert top is not None
    path = runs.repo.common_dir / "objects" / top.id[:2] / top.id[2:]
    data = path.read_bytes()
    path.chmod(0o644)
    path.unlink()
    # libgit2 remembers what it read.
    runs.repo = Repo.open(runs.repo.root or "")
    runs.fill("curves")
    assert [number for number, _ in curvature.faults(runs.database)] == [run]
    assert runs.ask("max", "loss", "1.0") == {run: None}
    path.write_bytes(data)
    runs.repo = Repo.open(runs.repo.root or "")
    runs.fill("curves")
    assert curvature.faults(runs.database) == []
    assert runs.ask("max", "loss") == {run: 3.0}


def test_who_is_interrupted_goes_on(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of reading is not lost to a Ctrl-C."""
    monkeypatch.setattr(curvature, "_BATCH", 2)
    for _ in range(7):
        runs.record(LOSS)
    look, seen = curvature._look, []

    def stopped(repo: Repo, run: int, *rest: object, **more: object) -> object:
        seen.append(run)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return look(repo, run, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(curvature, "_look", stopped)
    with pytest.raises(KeyboardInterrupt):
        runs.fill("curves")
    assert not runs.database.in_transaction
    runs.database.close()
    runs.database = runs.connect()
    assert list(runs.ask("max", "loss").values()) == [3.0] * 4 + [None] * 3
    runs.fill("curves")
    assert seen[6:] == [5, 6, 7]
    assert set(runs.ask("max", "loss").values()) == {3.0}


def test_a_file_that_takes_nothing_does_not_stop_it(runs: Runs) -> None:
    """The answer is the same; the next one will have to read again."""
    runs.record(LOSS, {"torch": "2.3.0"})
    for prepared in (False, True):
        if prepared:
            curvature.faults(runs.connect())
        runs.database = runs.connect("?mode=ro")
        runs.fill("curves", "packages")
        assert runs.ask("max", "loss") == {1: 3.0}
        assert [version for _, version in curvature.installed(runs.database, "torch")] == ["2.3.0"]
    database = runs.connect()
    assert database.execute("SELECT count(*) FROM curves").fetchone() == (0,)


def test_a_file_that_is_locked_does_not_stop_it(runs: Runs) -> None:
    """Somebody may hold it for an hour."""
    runs.record(LOSS)
    for prepared in (False, True):
        if prepared:
            curvature.faults(runs.connect())
        holder = runs.connect()
        holder.execute("BEGIN IMMEDIATE")
        runs.database = runs.connect()
        runs.database.execute("PRAGMA busy_timeout = 1")
        runs.fill("curves")
        assert runs.ask("max", "loss") == {1: 3.0}
        holder.execute("ROLLBACK")


def test_two_may_read_at_once(runs: Runs) -> None:
    """Each run is there once, whoever was first; one that was removed meanwhile is not."""
    for _ in range(4):
        runs.record(LOSS)
    other = runs.connect()
    look = curvature._look(runs.repo, 1, *_row(other, 1), curves=True)
    gone = curvature._look(runs.repo, 4, *_row(other, 4), curves=True)
    runs.fill("curves", "packages")
    runs.database.execute("DELETE FROM runs WHERE number = 4")
    curvature._keep(other, [look, gone])
    assert runs.database.execute("SELECT count(*) FROM curves").fetchone() == (3,)
    assert runs.database.execute("SELECT count(*) FROM extras").fetchone() == (3,)


def _row(database: sqlite3.Connection, number: int) -> tuple[bytes, str]:
    (oid,) = database.execute("SELECT oid FROM runs WHERE number = ?", [number]).fetchone()
    return oid, oid.hex()


# -- packages -----------------------------------------------------------------------------------


def test_packages_are_found_by_any_spelling(runs: Runs) -> None:
    """PEP 503: case, dots, dashes and underscores do not tell names apart."""
    first = runs.record(LOSS, {"Scikit_Learn": "1.5.0", "numpy": "2.0.0"})
    runs.record(LOSS, {"numpy": "1.26"})
    runs.fill("packages")
    (commit, _) = _row(runs.database, first)
    for spelled in ("scikit-learn", "scikit.learn", "SCIKIT__LEARN"):
        assert curvature.installed(runs.database, spelled) == [(commit.hex(), "1.5.0")]
    versions = {version for _, version in curvature.installed(runs.database, "NumPy")}
    assert versions == {"2.0.0", "1.26"}
    assert curvature.installed(runs.database, "num") == []
    assert curvature.names(runs.database) == ["numpy", "scikit-learn"]


def test_an_environment_that_runs_share_is_read_once(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """YAML is what costs."""
    for _ in range(5):
        runs.record(LOSS)
    packages, read = curvature._packages, []

    def counted(repo: Repo, blob: str) -> object:
        read.append(blob)
        return packages(repo, blob)

    monkeypatch.setattr(curvature, "_packages", counted)
    runs.fill("packages")
    assert len(read) == 1
    assert len(curvature.installed(runs.database, "numpy")) == 5


@pytest.mark.parametrize(
    "data",
    [
        b"packages: [1, 2]\n",
        b"packages:\n  numpy: 2.0\n",
        b"- a\n",
        b"a: &a [1]\npackages: *a\n",
        b"{" * 100_000,
        b"\xff",
    ],
)
def test_a_hostile_environment_is_a_fault(runs: Runs, data: bytes) -> None:
    """And the others are read."""
    bad = runs.record(LOSS, environment_yaml=data)
    good = runs.record(LOSS)
    runs.fill("curves", "packages")
    ((number, words),) = curvature.faults(runs.database)
    assert number == bad and words.startswith("environment.yaml")
    assert len(curvature.installed(runs.database, "numpy")) == 1
    assert runs.ask("max", "loss") == {bad: 3.0, good: 3.0}


def test_a_run_without_an_environment_has_no_packages(runs: Runs) -> None:
    """That is no fault."""
    runs.record(LOSS, environment_yaml=None)
    runs.fill("packages")
    assert curvature.faults(runs.database) == []
    assert curvature.installed(runs.database, "numpy") == []
    assert runs.database.execute("SELECT what FROM complete").fetchall() == [("packages",)]


def test_progress_is_told(runs: Runs) -> None:
    """The first time may take minutes."""
    told: list[object] = []

    class Meter:
        def start(self, what: str, total: int, unit: str) -> None:
            told.append((what, total, unit))

        def advance(self, amount: int) -> None:
            told.append(amount)

        def end(self) -> None:
            told.append("end")

    runs.record(LOSS)
    runs.record(LOSS)
    curvature.fill(runs.database, runs.open, curves=True, meter=Meter())  # type: ignore[arg-type]
    assert told == [("reading curves", 2, "runs"), 2, "end"]
