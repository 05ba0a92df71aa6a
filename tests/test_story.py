"""Of what many processes logged, one run: rows in order, ranks kept apart, nothing twice."""

from __future__ import annotations

from heapq import merge
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import journal, story, weaving
from gittrack.journal import frame
from gittrack.lines import Reader
from gittrack.records import Row, Run
from gittrack.series import Table

START = 1_700_000_000.0
BEGIN: dict[str, Any] = {
    "id": "a" * 32,
    "name": "amber-otter-7f3kq2",
    "experiment": "default",
    "started": START,
    "message": None,
    "command": ["true"],
    "directory": "",
    "user": "ann",
    "host": "here",
    "code": {
        "base": None, "branch": None, "dirty": False, "included": [], "skipped": [], "hidden": []
    },
    "faults": [],
    "files": {},
    "asked": False,
    "params": {},
    "tags": {},
}  # fmt: skip

Call = dict[str, Any]


def told(tmp_path: Path, files: dict[str, list[Call]], **begin: Any) -> tuple[Run, Table]:
    """The run that these files tell."""
    (tmp_path / "begin").write_bytes(frame({**BEGIN, **begin}))
    for name, events in files.items():
        (tmp_path / f"{name}.journal").write_bytes(b"".join(map(frame, events)))
    found = journal.read(tmp_path)
    assert found is not None
    return story.tell(found, log_size=0, last_sign=START + 100)


def point(at: float, step: int | None = None, **values: float) -> Call:
    said: Call = {"t": START + at, "metrics": values}
    return said if step is None else {**said, "step": step}


# -- rows -----------------------------------------------------------------------------------------


def plainly(files: list[list[Call]]) -> list[Row]:
    """The rows of calls: one by one, as the format's document has it."""
    streams = []
    for calls in files:
        latest, stream = 0.0, []
        for call in calls:
            latest = max(latest, call["t"])
            stream.append((latest, call))
        streams.append(stream)
    rows: list[Row] = []
    values: dict[str, Any] = {}
    for _, call in merge(*streams, key=lambda pair: pair[0]):
        step = call.get("step")
        shared = bool(rows) and step is not None and rows[-1].step == step
        if shared and values.keys().isdisjoint(call["metrics"]):
            values.update(call["metrics"])
        else:
            values = dict(call["metrics"])
            rows.append(Row(step, max(0.0, round(call["t"] - START, 6)), values))
    return rows


calls = st.builds(
    point,
    st.integers(-5, 40).map(lambda quarter: quarter / 4),
    st.one_of(st.none(), st.integers(0, 3)),
).flatmap(
    lambda call: st.dictionaries(
        st.sampled_from(["loss", "acc", "lr"]),
        st.one_of(st.floats(), st.integers(-(10**20), 10**20)),
        min_size=1,
    ).map(lambda values: {**call, "metrics": values})
)


@given(st.lists(st.lists(calls, max_size=12), max_size=3))
@settings(deadline=None, max_examples=150)
def test_rows_are_those_of_the_calls_one_by_one(files: list[list[Call]]) -> None:
    """Millions of points go by column; what comes out is what each call says."""
    logs = []
    for events in files:
        reader = Reader()
        reader.feed(b"".join(map(frame, events)))
        reader.done()
        logs.append(reader.said)
    table = weaving.weave(logs, START)
    assert repr(list(table)) == repr(plainly([events for events in files if events]))


@given(st.lists(calls, max_size=30), st.integers(1, 20))
@settings(deadline=None)
def test_blocks_change_nothing(events: list[Call], size: int) -> None:
    """Where one block ends and the next begins two calls of a step still share a row."""
    reader = Reader()
    for start in range(0, len(events), size):
        reader.feed(b"".join(map(frame, events[start : start + size])))
        for columns in reader._columns:
            columns.pack()
    reader.done()
    table = weaving.weave([reader.said], START)
    assert repr(list(table)) == repr(plainly([events]))


def test_calls_of_one_step_share_a_row() -> None:
    """Loss and accuracy of an epoch stand in one line of the table, whoever logged them."""
    said = [
        point(1.0, 1, loss=1.0),
        point(1.5, 1, acc=0.5),
        point(2.0, 1, acc=0.75),
        point(2.5, loss=0.5),
        point(3.0, loss=0.25),
    ]
    assert plainly([said]) == [
        Row(1, 1.0, {"loss": 1.0, "acc": 0.5}),
        Row(1, 2.0, {"acc": 0.75}),
        Row(None, 2.5, {"loss": 0.5}),
        Row(None, 3.0, {"loss": 0.25}),
    ]


def test_the_last_value_is_the_one_said_last_whatever_the_clock_did(tmp_path: Path) -> None:
    """A clock that was set back by an hour must not bring back an old value."""
    run, rows = told(tmp_path, {"1-a": [point(3600, 1, loss=0.5), point(1, 2, loss=0.25)]})
    assert run.metrics == {"loss": 0.25}
    assert [row.step for row in rows] == [1, 2]


def test_what_the_script_says_counts_before_what_its_output_says(tmp_path: Path) -> None:
    """A metric that is logged is often printed too, rounded."""
    scan = {**point(2.0, 1, loss=0.1, other=7.0), "scan": True}
    run, rows = told(tmp_path, {"1-a": [point(1.0, 1, loss=0.125)], "2-b": [scan]})
    assert run.metrics == {"loss": 0.125, "other": 7.0}
    assert list(rows) == [Row(1, 1.0, {"loss": 0.125}), Row(1, 2.0, {"other": 7.0})]


def test_what_no_metric_may_be_called_is_left_out_and_said(tmp_path: Path) -> None:
    """A tab in a name would shift every column of the table."""
    run, rows = told(tmp_path, {"1-a": [{**point(1), "metrics": {"a\tb": 1, "ok": 2}}]})
    assert run.metrics == {"ok": 2}
    assert list(rows) == [Row(None, 1.0, {"ok": 2})]
    assert any("a metric was left out: the key 'a\\tb'" in fault for fault in run.faults)


def test_what_is_no_number_is_left_out_and_said(tmp_path: Path) -> None:
    """A journal may be written in another language; a bad value must not spoil the record."""
    said = {**point(1), "metrics": {"a": "x", "b": True, "c": None, "d": 1}}
    run, _ = told(tmp_path, {"1-a": [said, said]})
    assert run.metrics == {"d": 1}
    assert sorted(run.faults) == [
        f"values of '{name}' were left out: they are no numbers" for name in "abc"
    ]


@pytest.mark.parametrize("what", ["params", "metrics"])
def test_a_record_holds_no_more_than_can_be_read_back(tmp_path: Path, what: str) -> None:
    """A million keys would make a file that nobody opens, and a run that cannot be shown."""
    many = {f"k{n}": n for n in range(30_000)}
    run, rows = told(tmp_path, {"1-a": [{"t": START, what: many}]})
    assert len(getattr(run, what)) == 20_000
    assert any(f"the first 20,000 of 30,000 {what} are recorded" in fault for fault in run.faults)
    assert len(rows.metrics()) == (30_000 if what == "metrics" else 0)


# -- ranks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "metrics"),
    [
        ({"r0-1-a": "loss", "r1-2-b": "loss"}, {"loss": 0.0, "rank1/loss": 1.0}),
        ({"r1-1-a": "loss", "r2-2-b": "loss"}, {"rank1/loss": 0.0, "rank2/loss": 1.0}),
        ({"r0-1-a": "loss", "r1-2-b": "acc"}, {"loss": 0.0, "acc": 1.0}),
        ({"r3-1-a": "loss"}, {"loss": 0.0}),
        ({"r1-1-a": "loss", "r1-2-b": "loss"}, {"loss": 1.0}),
        ({"1-a": "loss", "2-b": "loss"}, {"loss": 1.0}),
        ({"1-a": "loss", "r1-2-b": "loss"}, {"loss": 0.0, "rank1/loss": 1.0}),
        ({"1-a": "loss", "r0-2-b": "loss"}, {"loss": 1.0}),
        ({"rx-1-a": "loss", "r-2-b": "loss"}, {"loss": 1.0}),
    ],
    ids=str,
)
def test_a_metric_that_several_ranks_log_is_kept_apart(
    tmp_path: Path, files: dict[str, str], metrics: dict[str, float]
) -> None:
    """The loss of each rank is another curve; what one alone logs keeps its name."""
    said = {
        name: [point(at, at, **{metric: float(at)})]
        for at, (name, metric) in enumerate(files.items())
    }
    assert told(tmp_path, said)[0].metrics == metrics


def test_ranks_that_differ_are_said_and_the_lowest_counts(tmp_path: Path) -> None:
    """Each rank logs the same params, nearly; the last to write must not win."""
    files: dict[str, list[Call]] = {
        "r0-1-a": [{"t": START, "params": {"lr": 0.1, "x": float("nan")}, "tags": {"a": "zero"}}],
        "r1-2-b": [{"t": START + 9, "params": {"lr": 0.2, "local": 1, "x": float("nan")}}],
        "r2-3-c": [{"t": START + 9, "params": {"local": 2}, "tags": {"a": "two", "b": "two"}}],
    }
    run, _ = told(tmp_path, files)
    assert {**run.params, "x": 0} == {"lr": 0.1, "local": 1, "x": 0}
    assert run.tags == {"a": "zero", "b": "two"}
    assert run.faults == (
        "ranks differ in the params 'local', 'lr': those of the lowest rank count",
        "ranks differ in the tags 'a': those of the lowest rank count",
    )


def test_processes_without_ranks_say_the_last_word(tmp_path: Path) -> None:
    """Workers of one script are merged by time, as one process would be."""
    files = {
        "1-a": [{"t": START, "params": {"lr": 0.1}}, {"t": START + 2, "params": {"lr": 0.3}}],
        "2-b": [{"t": START + 1, "params": {"lr": 0.2}}],
    }
    run, _ = told(tmp_path, files)
    assert (run.params, run.faults) == ({"lr": 0.3}, ())


@pytest.mark.parametrize(
    ("dropped", "sentence"),
    [
        ([1], "1 point was lost: the disk did not take it"),
        ([1000, 234], "1,234 points were lost: the disk did not take them"),
        ([0, -3], None),
    ],
)
def test_what_was_dropped_is_a_fault(
    tmp_path: Path, dropped: list[int], sentence: str | None
) -> None:
    """The sum of what all processes lost: a curve with a gap must not pass for a whole one."""
    files = {f"{n}-0": [point(1, a=1.0), {"dropped": lost}] for n, lost in enumerate(dropped)}
    run, _ = told(tmp_path, files)
    assert run.faults == ((sentence,) if sentence else ())
