"""Many lost runs, and long ones: recorded apart, once, in little memory; nobody waits for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crash.world import World, begin, make_world
from gittrack import commits, excerpts, journal, recovery, refs, series, sessions, tsv
from gittrack.journal import frame
from gittrack.message import moment
from gittrack.records import Row, Run
from gittrack.refs import RunRef
from gittrack.series import Table


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "repo")


def runs_of(world: World) -> dict[str, RunRef]:
    return {ref.name: ref for ref in refs.all_runs(world.repo)}


def until(true: Callable[[], bool]) -> None:
    """Wait for another process, for as long as a slow machine may need."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was left to a process apart; that process is not started."""
    found: list[str] = []
    monkeypatch.setattr(recovery, "_recover_apart", lambda repo: found.append("apart"))
    return found


def test_many_small_runs_are_left_to_a_process_apart(
    world: World, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand of them would make whoever comes next wait for half a minute."""
    monkeypatch.setattr(recovery, "_RECOVER_AT_ONCE", 3 * recovery._EACH + 50_000)
    before = runs_of(world)
    names = [begin(world, seed, "killed").name for seed in range(6)]
    assert len(recovery.recover(world.repo)) == 3
    assert started == ["apart"]
    monkeypatch.setenv("GITTRACK_RECOVER", "1")
    assert len(recovery.recover(world.repo)) == 3
    assert runs_of(world).keys() - before.keys() == set(names)


def test_a_running_run_however_long_does_not_keep_others_waiting(
    world: World, started: list[str]
) -> None:
    """It costs nothing: there is nothing to recover of it."""
    session = sessions.Session.open(world.repo.state, "amber-otter-000000")
    session.begin({**world.known, "name": "amber-otter-000000"})
    with open(session.directory / "1-a.journal", "wb") as file:
        file.truncate(recovery._RECOVER_AT_ONCE + 1)
    name = begin(world, 1, "killed").name
    assert [ref.name for ref in recovery.recover(world.repo)] == [name]
    assert started == []
    session.end()


def test_one_process_apart_is_enough(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command would start another one as long as the first is at work."""
    monkeypatch.setenv("GITTRACK_RECOVER", "1")
    begin(world, 1, "killed")
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        with recovery._alone(world.repo.state):
            os.write(writer, b".")
            time.sleep(60)
        os._exit(0)
    try:
        os.read(reader, 1)
        assert recovery.recover(world.repo) == []
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)
    assert len(recovery.recover(world.repo)) == 1


def test_what_is_left_to_a_process_apart_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real process, which nobody waits for."""
    monkeypatch.setattr(recovery, "_RECOVER_AT_ONCE", 0)
    before = runs_of(world)
    names = {begin(world, seed, "killed").name for seed in range(3)}
    assert recovery.recover(world.repo) == []
    until(lambda: runs_of(world).keys() - before.keys() == names)
    until(lambda: not sessions.live(world.repo.state))


# -- curves longer than a record's ----------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that hold little, so that long is what takes no minute to make."""
    monkeypatch.setattr(excerpts, "_MOST_SERIES", 100_000)
    monkeypatch.setattr(excerpts, "_THIN", 20_000)


def recorded(world: World, events: list[bytes]) -> tuple[Run, RunRef]:
    expected = begin(world, 7, "finished")
    directory = world.repo.state / "live" / expected.name
    (directory / "1-long.journal").write_bytes(b"".join(events))
    recovery.recover(world.repo)
    ref = runs_of(world)[expected.name]
    return commits.load(world.repo, ref), ref


def test_long_curves_are_whole_as_an_artifact(world: World, short: None, tmp_path: Path) -> None:
    """A commit of gigabytes is no commit; nothing that was logged is lost for that."""
    values = [(step * 7919 % 10_007) / 7 for step in range(20_000)]
    events = [
        frame({"t": world.known["started"] + step / 100, "metrics": {"a": value}, "step": step})
        for step, value in enumerate(values)
    ]
    run, ref = recorded(world, events)
    thin = commits.load_curve(world.repo, ref, "a")
    assert 300 < len(thin) < 2000
    assert {0, 19_999, values.index(min(values)), values.index(max(values))} <= {
        step for step, _, _ in thin
    }
    assert all(value == values[step or 0] for step, _, value in thin)
    assert [value for _, _, value in commits.load_curve(world.repo, ref, "loss")][-1] == 3
    (kept,) = [kept for kept in run.artifacts if kept.path == "metrics.tsv"]
    path = world.repo.state / "dvc" / "files" / "md5" / kept.md5[:2] / kept.md5[2:]
    whole = tmp_path / "whole.tsv"
    whole.write_bytes(path.read_bytes())
    assert [v for _, _, v in tsv.curve(whole.read_bytes(), "a", "whole")] == values
    assert any("the whole is the artifact 'metrics.tsv'" in fault for fault in run.faults)


def test_a_table_of_nothing_but_empty_cells_is_not_made(
    world: World, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand metrics of one value each, logged one by one: a million empty cells."""
    monkeypatch.setattr(excerpts, "_MOST_WHOLE", 500_000)
    events = [frame({"t": 0, "metrics": {f"metric{n}": n}, "step": n}) for n in range(1000)]
    run, ref = recorded(world, events)
    assert len(run.metrics) == 1001
    assert not [kept for kept in run.artifacts if kept.path == "metrics.tsv"]
    assert any("is not kept" in fault for fault in run.faults)
    assert 0 < len(commits.load_series(world.repo, ref)) < 100


def test_a_full_cache_is_said_and_the_run_recorded(
    world: World, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The curves are thinned then, and no command fails for it."""
    monkeypatch.setattr(Table, "pieces", _no_space)
    directory = world.repo.state / "live" / begin(world, 7, "finished").name
    run = Run(id="", name="", experiment="", status="finished", started=moment(0))
    table = Table.of([Row(n, 0.0, {"a": n}) for n in range(20_000)])
    run, _ = excerpts.with_curves(world.repo, directory, run, table)
    assert any("the whole of the curves is not kept: No space" in fault for fault in run.faults)
    assert not (directory / excerpts.CURVES).exists()


def _no_space(self: object) -> object:
    raise OSError(28, os.strerror(28))


def test_thinning_keeps_what_is_rare() -> None:
    """A value a epoch among a thousand of the loss is what people look at."""
    rows = [Row(n, float(n), {"loss": float(n)}) for n in range(10_000)]
    rows[500::1000] = [Row(n, float(n), {"acc": float(n)}) for n in range(500, 10_000, 1000)]
    thin = Table.of(rows).thinned(200)
    assert [row.step for row in thin if "acc" in row.values] == [*range(500, 10_000, 1000)]
    assert 150 <= len(thin) <= 210
    assert list(Table.of(rows).thinned(10_000)) == rows
    assert [row.time for row in thin] == sorted(row.time for row in thin)


def test_nothing_of_a_journal_is_read_twice_to_see_whether_a_child_lives(tmp_path: Path) -> None:
    """A million points tell nothing about that."""
    line = frame({"t": 1.7e9, "metrics": {"a": 1}, "step": 1})
    (tmp_path / "1-a.journal").write_bytes(
        line * 1000 + frame({"t": 1.7e9, "child": [1, "2", "3"]})
    )
    assert [event["child"] for event in journal.said(tmp_path)] == [[1, "2", "3"]]


def test_series_says_what_it_is_asked() -> None:
    """Rows by column answer as rows one by one do."""
    rows = [Row(1, 0.0, {"a": 1}), Row(None, 1.5, {"b": 2.5, "a": 3}), Row(3, 2.0, {"b": 0.5})]
    table = Table.of(rows)
    assert list(table) == rows and table[1] == rows[1] and table[-1] == rows[-1]
    assert table[::2] == rows[::2] and table[::-1] == rows[::-1] and table[5:] == []
    assert table == rows and table != rows[:2]
    assert series.last(table) == series.last(rows) == {"a": 3, "b": 0.5}
    assert series.points(table, "b") == series.points(rows, "b")
    assert table.unstepped() == {"a", "b"}
    assert list(table.mapped({"a": "x"}.get)) == [Row(1, 0.0, {"x": 1}), Row(None, 1.5, {"x": 3})]
    assert list(table.mapped(lambda name: "x"))[1] == Row(None, 1.5, {"x": 3})
    with pytest.raises(IndexError):
        table[3]
