"""The file of the index: made once, shared, thrown away where it is no good."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gittrack import access, tables, whereabouts
from gittrack.meter import SILENT
from gittrack.tables import Tables


def made(place: Path) -> Tables:
    """Tables that are always up to date."""
    return Tables(whereabouts.find(place), lambda database, path: None)


def test_what_former_versions_left_is_removed(repo_dir: Path) -> None:
    """It would lie there forever."""
    state = Path(whereabouts.find(repo_dir).state)
    state.mkdir(exist_ok=True)
    for name in ("index-1.sqlite", "index-1.sqlite.lock"):
        (state / name).touch()
    made(repo_dir).close()
    assert [path.name for path in state.glob("index-*")] == [tables.NAME]


def test_a_file_that_another_process_removes_is_made_again(repo_dir: Path) -> None:
    """SQLite says that it is read-only; what is there by now is as good as any."""
    removed = []

    def refresh(database: sqlite3.Connection, path: str | None) -> None:
        if not removed:
            removed.append(path)
            Path(path or "").unlink()
        database.execute("INSERT INTO facts VALUES ('a', 1)")

    found = Tables(whereabouts.find(repo_dir), refresh)
    assert found.apology is None and tables.facts(found.database) == {"a": 1}
    found.close()


@pytest.mark.parametrize("broken", [False, True], ids=["file", "memory"])
def test_another_connection_can_change_nothing(repo_dir: Path, broken: bool) -> None:
    """`git track sql` takes statements from anybody."""
    if broken:
        state = Path(whereabouts.find(repo_dir).state)
        state.mkdir(exist_ok=True)
        (state / tables.NAME).mkdir()
    found = made(repo_dir)
    assert found.in_memory is broken
    found.database.execute("INSERT INTO facts VALUES ('a', 1)")
    other = found.connect_read_only()
    assert other.execute("SELECT value FROM facts WHERE name = 'a'").fetchone() == (1,)
    assert other.execute("SELECT gittrack_command('a', NULL)").fetchone() == ("a",)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        other.execute("DELETE FROM facts")
    other.close()
    found.close()


def test_a_path_that_means_something_in_an_address(tmp_path: Path) -> None:
    """The file is opened by a URI, in which some characters do."""
    place = tmp_path / "a?mode=memory#b%20c"
    place.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=place, check=True)
    found = made(place)
    found.connect_read_only().close()
    assert found.apology is None
    found.close()


WRONG = {
    "SELECT absent FROM runs": True,
    "SELECT 1 FROM nowhere": True,
    "SELECT gittrack_fails()": False,
    "SELECT": False,
    "SELECT " + "(" * 2000 + "1" + ")" * 2000: False,
    "SELECT " + "+".join(["1"] * 5000): False,
}


@pytest.mark.parametrize("query", WRONG, ids=lambda query: query[:24])
def test_what_is_damage_and_what_a_bad_question(repo_dir: Path, query: str) -> None:
    """A regular expression that was stopped must not cost a million rows."""
    found = made(repo_dir)

    def fail() -> None:
        raise ValueError

    found.database.create_function("gittrack_fails", 0, fail)
    found.database.execute("INSERT INTO facts VALUES ('kept', 1)")
    with pytest.raises(sqlite3.Error):
        found.ask(query)
    kept = bool(found.ask("SELECT 1 FROM facts WHERE name = 'kept'"))
    assert kept is not WRONG[query]
    found.close()


def test_half_a_transaction_is_none(repo_dir: Path) -> None:
    """Rows of a run that was begun must not be taken for all of it."""
    found = made(repo_dir)
    with pytest.raises(ZeroDivisionError), tables.transaction(found.database):
        tables.set_fact(found.database, "a", 1)
        raise ZeroDivisionError
    assert tables.facts(found.database) == {}
    found.close()


_HOLD = """
import sys
from gittrack import tables
with tables.alone(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_waits_for_another(tmp_path: Path) -> None:
    """Two that read a million runs at once would both read a million."""
    path = str(tmp_path / "file")
    words = [sys.executable, "-c", _HOLD, path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        entered = threading.Event()

        def wait() -> None:
            with tables.alone(path):
                entered.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not entered.wait(0.1)
        holder.stdin.close()
        assert entered.wait(10)
        waiting.join()


def test_one_that_makes_no_progress_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been stopped with Ctrl-Z."""
    monkeypatch.setattr(tables, "_PATIENCE", 0.05)
    path = str(tmp_path / "file")
    words = [sys.executable, "-c", _HOLD, path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        holder.stdout.readline()
        with tables.alone(path):
            pass
        holder.stdin.close()


def test_paths_that_are_no_text_are_kept(repo_dir: Path) -> None:
    """Git takes any bytes for a ref."""
    looked = {"refs/runs/\udcff": "1:2", "packed-refs": "-"}
    found = made(repo_dir)
    tables.set_places(found.database, looked)
    assert tables.places(tables.facts(found.database)) == looked
    found.close()


def filled(repo_dir: Path, count: int) -> Any:
    """Tables with so many rows of three numbers."""
    found = made(repo_dir)
    for name in ("p_00000000000a", "p_00000000000b"):
        found.database.execute(f"ALTER TABLE runs ADD COLUMN {name}")
    lines = [(n, n, (n * 7919) % count, n % 1000) for n in range(count)]
    insert = (
        "INSERT INTO runs (number, started, p_00000000000a, p_00000000000b) VALUES (?, ?, ?, ?)"
    )
    with tables.transaction(found.database):
        found.database.executemany(insert, lines)
        tables.make_indexes(found.database)
    return found


@pytest.mark.parametrize(
    "where", ["1", "p_00000000000b = 7", "p_00000000000b = 5000", "p_00000000000b % 2 = 0"]
)
def test_both_ways_to_a_few_rows_lead_to_the_same(repo_dir: Path, where: str) -> None:
    """Which of them is sooner must not show."""
    found = filled(repo_dir, 20_000)
    database = found.database
    access.prepare(database, ["runs.p_00000000000a", "runs.p_00000000000b"], SILENT)
    index = access.index_of("runs.p_00000000000a")
    assert index in access.present(database)
    query = "SELECT number FROM runs{} WHERE {} ORDER BY {}p_00000000000a DESC LIMIT 50"
    walk, search = query.format(f" INDEXED BY {index}", where, ""), query.format("", where, "+")
    expected = database.execute(search).fetchall()
    assert access.race(database, walk, search, ()) == expected
    assert database.execute(walk).fetchall() == expected
    found.close()


def test_patience_ends(repo_dir: Path) -> None:
    """A count of a million rows is not worth waiting for."""
    found = filled(repo_dir, 20_000)
    seen = 0
    with access.bounded(found.database, 10_000) as is_over:
        for _ in found.database.execute("SELECT 1 FROM runs WHERE p_00000000000b < 900"):
            seen += 1
    assert is_over() and 0 < seen < 18_000
    with access.bounded(found.database, 10_000_000) as is_over:
        seen = len(found.ask("SELECT 1 FROM runs"))
    assert not is_over() and seen == 20_000
    found.close()
