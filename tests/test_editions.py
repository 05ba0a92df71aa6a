"""Runs as CSV, JSON lines and Parquet: each value with its type, each run once."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Git
from gittrack import editions, parquet, whereabouts
from gittrack.editions import as_csv, as_jsonl, as_parquet
from gittrack.extracts import Extract, fit, kind_of
from gittrack.records import Environment, Run
from gittrack.search import Question, open_search
from gittrack.summaries import Summary
from recorded_runs import record, various


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> tuple[Path, list[Run]]:
    root = tmp_path_factory.mktemp("editions") / "repo"
    root.mkdir()
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    return root, various(root)


@contextmanager
def extract(place: Path, **question: Any) -> Iterator[Extract]:
    here = whereabouts.find(str(place))
    with open_search(here) as search:
        yield Extract(here, search, Question(**question))


@pytest.fixture
def written(made: tuple[Path, list[Run]], tmp_path: Path) -> Path:
    with extract(made[0]) as source:
        as_parquet(source, tmp_path)
    return tmp_path


def _rows(directory: Path) -> dict[str, dict[str, Any]]:
    partitioning = ds.partitioning(flavor="hive")
    table = ds.dataset(directory / "runs", partitioning=partitioning).to_table()
    return {row["name"].split("-")[0]: row for row in table.to_pylist()}


def test_parquet_has_every_run_with_typed_columns(
    written: Path, made: tuple[Path, list[Run]]
) -> None:
    """What was a number is one, NaN and infinities stay, what is missing is null."""
    rows = _rows(written)
    assert len(rows) == len(made[1])
    amber, blue, calm, deep = (rows[name] for name in ("amber", "blue", "calm", "deep"))
    assert (amber["params.fast"], blue["params.fast"], deep["params.fast"]) == (True, False, None)
    assert (amber["params.layers"], blue["params.layers"]) == (3.0, 1e30)
    assert (blue["params.seed"], calm["params.seed"]) == (1 << 60, 2)
    assert math.isnan(blue["metrics.acc"]) and blue["metrics.loss"] == math.inf
    assert deep["metrics.acc"] is None
    assert calm["metrics.a b/ü"] == 1.0
    assert calm["tags.who's"] == 'Žofie, "Z"\nline'
    assert deep["params.nested"] == '[1, "two"]'
    assert "params.none" not in deep
    assert amber["started"] == made[1][0].started
    assert (amber["duration"], amber["exit_code"], deep["status"]) == (4.0, 0, "failed")
    assert amber["command"] == "python train.py"


def test_a_column_of_numbers_and_texts_is_of_texts(written: Path) -> None:
    """None of its values is lost, and each says what it was."""
    told = {name: row["params.lr"] for name, row in _rows(written).items()}
    assert told == {
        "amber": "0.1", "blue": "1", "calm": "auto", "deep": "0.01", "eager": None, "fond": None,
    }  # fmt: skip


def test_a_column_has_one_type_in_all_partitions(written: Path) -> None:
    """Else an engine that reads them together fails, or casts in silence."""
    files = sorted((written / "runs").rglob("*.parquet"))
    assert [file.parent.name for file in files] == [
        "experiment=2024", "experiment=default", "experiment=sweep-2",
    ]  # fmt: skip
    (schema,) = {pq.read_schema(file) for file in files}
    assert schema.field("metrics.acc").type == "double"
    assert schema.field("params.seed").type == "int64"
    assert "experiment" not in schema.names


def test_curves_are_a_data_set_of_points(written: Path, made: tuple[Path, list[Run]]) -> None:
    """Keyed as in SQL, so that the same joins work."""
    table = ds.dataset(written / "series", partitioning="hive").to_table().to_pylist()
    own = [row for row in table if row["run"] == made[1][0].id and row["key"] == "acc"]
    assert [(row["step"], row["time"], row["value"]) for row in own] == [
        (n, float(n), n / 10) for n in range(5)
    ]
    assert {row["run"] for row in table} == {run.id for run in made[1] if run.metrics}


def test_parts_are_written_when_enough_waits(
    made: tuple[Path, list[Run]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand runs need no more memory than a thousand."""
    monkeypatch.setattr(parquet, "_MOST_BYTES", 1)
    monkeypatch.setattr("gittrack.extracts._BATCH", 1)
    with extract(made[0]) as source:
        as_parquet(source, tmp_path)
    parts = [file.name for file in sorted((tmp_path / "runs/experiment=default").iterdir())]
    assert parts == ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
    assert len(_rows(tmp_path)) == len(made[1])


def test_without_curves_there_are_runs_alone(made: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """Curves may be a thousand times as large."""
    with extract(made[0], experiment="sweep-2") as source:
        as_parquet(source, tmp_path, curves=False)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert set(_rows(tmp_path)) == {"calm", "deep"}


def test_only_what_an_export_writes_may_be_overwritten(written: Path) -> None:
    """A directory that holds anything else is somebody's work."""
    assert editions.foreign(written) is None
    for name in ("notes.txt", "runs/x", "runs/experiment=default/x.csv", "series/y/part-0.parquet"):
        path = written / name
        there = path.parent.exists()
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert editions.foreign(written) is not None, name
        path.unlink()
        if not there:
            path.parent.rmdir()
    (written / "runs/experiment=default/part-9.parquet").symlink_to("part-0.parquet")
    assert editions.foreign(written) == "runs/experiment=default/part-9.parquet"


def test_csv_has_the_columns_of_all_runs(made: tuple[Path, list[Run]]) -> None:
    """Those of a run in the last line stand in the first one, too."""
    file = io.StringIO()
    with extract(made[0]) as source:
        as_csv(source, file.write)
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(file.getvalue()))}
    assert len(rows) == len(made[1])
    assert rows["amber-otter-aaaaaa"]["params.lr"] == "0.1"
    assert rows["calm-lynx-cccccc"]["params.größe 'x'"] == "'=1+1"
    assert rows["blue-heron-bbbbbb"]["params.layers"] == str(10**30)
    assert rows["blue-heron-bbbbbb"]["metrics.acc"] == "nan"
    assert rows["eager-crab-eeeeee"]["params.größe 'x'"] == ""


def test_json_lines_are_the_runs_of_a_listing(made: tuple[Path, list[Run]]) -> None:
    """One object a line, in ASCII, with the names and types that it has there."""
    lines: list[str] = []
    with extract(made[0]) as source:
        as_jsonl(source, lines.append, curves=True)
    runs = [json.loads(line) for line in "".join(lines).splitlines()]
    assert [run["name"] for run in runs] == [run.name for run in reversed(made[1])]
    assert "".join(lines).isascii()
    blue, amber = runs[4], runs[5]
    assert blue["params"]["layers"] == 10**30
    assert blue["metrics"] == {"acc": "NaN", "loss": "Infinity"}
    assert amber["series"]["acc"] == [[n, float(n), n / 10] for n in range(5)]


def test_runs_come_in_the_order_of_the_question(made: tuple[Path, list[Run]]) -> None:
    """Though they are read some at once, by their ids."""
    with extract(made[0], sort=("name",)) as source:
        names = [run.name for batch in source.batches() for run in batch]
    assert names == sorted(run.name for run in made[1])


def test_packages_are_those_of_each_run(repo_dir: Path) -> None:
    """An environment that many runs share is read once, and another one is not taken for it."""
    for number, version in enumerate(("1", "2", "1"), 1):
        known = Environment(packages={"numpy": version})
        record(repo_dir, number, f"calm-lynx-cccccc{number}", environment=known)
    with extract(repo_dir) as source:
        runs = [run for batch in source.batches() for run in batch]
        assert [source.packages(run)["numpy"] for run in runs] == ["1", "2", "1"]


_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.lists(st.integers(), max_size=2), st.integers(-(1 << 64), 1 << 64), st.just(10**400),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(_values, max_size=6))
def test_every_value_fits_the_kind_of_its_column(values: list[Any]) -> None:
    """And what one type can hold comes through unchanged."""
    kind = kind_of(values)
    present = [value for value in values if value is not None]
    if kind is None:
        assert not present
        return
    fitted = [fit(value, kind) for value in values]
    types = {"boolean": bool, "integer": int, "number": float, "text": str}
    assert {type(value) for value in fitted if value is not None} == {types[kind]}
    assert [value is None for value in fitted] == [value is None for value in values]
    if kind in ("boolean", "integer"):
        assert fitted == values
        assert kind == "boolean" or all(-(1 << 63) <= value < 1 << 63 for value in present)
    if kind == "text":
        told = [value if not isinstance(value, str) else None for value in present]
        for before, after in zip(told, [f for f in fitted if f is not None], strict=True):
            if before is not None and before == before:
                assert json.loads(after.replace("inf", "Infinity")) == before


def test_a_value_that_changed_its_type_is_an_error_not_another_value(
    made: tuple[Path, list[Run]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running run may set a param anew between the look at the types and the writing."""
    from gittrack.errors import GittrackError

    whole = Extract.batches

    def changed(self: Extract) -> Iterator[list[Summary]]:
        for batch in whole(self):
            yield [replace(run, params={"fast": "yes"}) for run in batch]

    monkeypatch.setattr(Extract, "batches", changed)
    with extract(made[0]) as source, pytest.raises(GittrackError, match=r"params\.fast"):
        as_parquet(source, tmp_path)


def test_pyarrow_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is large, and few need it."""
    import sys

    from gittrack.errors import LibraryMissing

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LibraryMissing) as caught:
        parquet.require()
    assert caught.value.hint == "pip install 'gittrack[parquet]'"


def test_times_before_the_epoch_are_times(tmp_path: Path) -> None:
    """A clock that stood at its beginning is common on small machines."""
    data = parquet.Dataset(tmp_path / "x", {"at": "time"}, key="k")
    moment = datetime.fromisoformat("1969-12-31T23:59:59.999999+00:00")
    data.add("a/b c", [[moment, None]])
    data.close()
    (file,) = (tmp_path / "x").rglob("*.parquet")
    assert file.parent.name == "k=a%2Fb%20c"
    assert pq.read_table(file).to_pylist()[0]["at"] == moment
