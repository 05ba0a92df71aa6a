"""Metrics files give the numbers that they hold, exactly, and say what makes no sense."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import metrics
from gittrack.errors import BadFile
from gittrack.records import Row


def rows_of(path: Path) -> list[tuple[int | None, float, dict[str, Any]]]:
    return [(r.step, r.time, dict(r.values)) for r in metrics.from_file(path, time=9.0)[0]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", '{"acc": 0.9, "val": {"n": 3, "ok": true}, "note": "x", "l": [1], "z": null}'),
        ("m.yaml", "acc: 0.9\nval: {n: 3, ok: true}\nnote: x\nl: [1]\nz:\n"),
        ("m.yml", "acc: 0.9\nval.n: 3\n"),
        ("m.toml", "acc = 0.9\nval.n = 3\n"),
        ("m.csv", "acc,val.n\n0.9,3\n"),
        ("m.TSV", "acc\tval.n\n0.9\t3\n"),
    ],
)
def test_every_kind_of_file_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    """Only numbers are metrics; a truth value is none."""
    (tmp_path / name).write_text(text)
    assert rows_of(tmp_path / name) == [(None, 9.0, {"acc": 0.9, "val.n": 3})]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "Step,loss,acc\n1,0.5,\n2,,0.9\n\n3,,\n"),
        ("m.csv", "\ufeffstep , loss,acc\r\n1, 0.5 ,\r\n2,,0.9\r\n"),
        ("m.csv", ',step,loss,acc\n0,1.0,0.5,\n1,2.0,,"0.9"\n'),
        ("m.tsv", "acc\tstep\tloss\n\t1\t0.5\n0.9\t2\n"),
        ("m.json", '[{"step": 1, "loss": 0.5}, {"step": 2, "acc": 0.9}]'),
        ("m.json", '{"step": 1, "loss": 0.5}\n{"step": 2, "acc": 0.9}\n'),
        ("m.jsonl", '{"iter": 1, "loss": 0.5}\n\n{"iter": 2, "acc": 0.9}'),
        ("m.yaml", "- {epoch: 1, loss: 0.5}\n- {epoch: 2, acc: 0.9}\n"),
    ],
)
def test_series_have_steps(tmp_path: Path, name: str, text: str) -> None:
    """A table or a list of points is a curve."""
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert rows_of(tmp_path / name) == [(1, 9.0, {"loss": 0.5}), (2, 9.0, {"acc": 0.9})]


def test_the_finest_step_is_the_step_and_time_is_the_time(tmp_path: Path) -> None:
    """Lightning writes epoch and step side by side."""
    (tmp_path / "m.csv").write_text("epoch,step,Time,loss\n0,10,1.5,0.1\n1,20,3,nan\n")
    [first, second] = rows_of(tmp_path / "m.csv")
    assert first == (10, 1.5, {"epoch": 0, "loss": 0.1})
    assert second[:2] == (20, 3.0) and math.isnan(second[2]["loss"])


def test_a_mapping_keeps_its_epoch(tmp_path: Path) -> None:
    """At the end of a run, `epoch: 7` is a result: how long it took."""
    (tmp_path / "m.json").write_text('{"epoch": 7, "time": 3.5, "acc": NaN}')
    [(step, at, values)] = rows_of(tmp_path / "m.json")
    assert (step, at, list(values)) == (None, 9.0, ["epoch", "time", "acc"])


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("m.csv", b"step,loss\n1,low\n2,high\n", "line 2, column 'loss': 'low'"),
        ("m.csv", b"b\nTrue\n", "line 2, column 'b'"),
        ("m.csv", b"a,b\n1,2,3\n", "line 2 has 3 cells"),
        ("m.csv", b"a,a\n1,2\n", "two columns 'a'"),
        ("m.csv", b"a,b\n", "no number"),
        ("m.csv", b"", "no number"),
        ("m.csv", b'a\n"1\n', "line 2"),
        ("m.csv", b"a\n1_000\n", "'1_000'"),
        ("m.csv", b"a\n" + b"9" * 400, "no number"),
        ("m.csv", b"a\n" + b"9" * 200_000, "line 2"),
        ("m.csv", b"a\x1b\n1\n", "character"),
        ("m.csv", b"a\n\xff\n", "UTF-8 (line 2)"),
        ("m.csv", b"a\n1e400\n", "'1e400' is no number"),
        ("m.json", b"{}", "no number"),
        ("m.json", b'{"a": "x"}', "no number"),
        ("m.json", b"[1, 2]", "neither a mapping"),
        ("m.json", b"3", "neither a mapping"),
        ("m.json", b'{"a": 1,}', "line 1"),
        ("m.json", b'{"a": 1e400}', "'a' is too large"),
        ("m.jsonl", b'{"a"\n', "line 1"),
        ("m.json", b'{"a": 1}\n{"a": x\n', "line 2"),
        ("m.json", b'{"a": 1, "a": 2}', "'a' stands twice"),
        ("m.json", b'{"a.b": 1, "a": {"b": 2}}', "'a.b'"),
        ("m.json", b'{"a":' * 100_000, "deep"),
        ("m.jsonl", b"1\n2\n", "neither a mapping"),
        ("m.yaml", b"a: [1\n", ""),
        ("m.yaml", b"# nothing\n", "neither a mapping"),
        ("m.yaml", b"- 1\n", "neither a mapping"),
        ("m.txt", b"a: 1", "is no .yaml, .json, .csv or .tsv file"),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    """One line that names the file and the place; no traceback."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadFile) as caught:
        metrics.from_file(path, time=0.0)
    assert says in caught.value.message
    assert name in caught.value.message and caught.value.path == str(path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "text", "rows", "says"),
    [
        (
            "m.csv",
            "step,loss,acc\n1,abc,0.5\n2,0.25,\n3,x,y\n",
            [(1, {"acc": 0.5}), (2, {"loss": 0.25})],
            "line 2, column 'loss': 'abc' is no number; 3 entries were left out",
        ),
        ("m.csv", "a,b\n1e400,2\n", [(None, {"b": 2})], "'a': '1e400' is no number; 1 entry was"),
        ("m.csv", "a,b\n1,2,3\n4,5\n", [(None, {"a": 4, "b": 5})], "line 2 has 3 cells, but"),
        ("m.csv", "a,\n1,2\n", [(None, {"a": 1})], "line 2: column 2 has no name; 1 entry"),
        ("m.csv", "a\x1b,b\n1,2\n", [(None, {"b": 2})], "character"),
        ("m.csv", "time,a\ninf,1\n", [(None, {"a": 1})], "line 2: its time is not finite"),
        ("m.csv", 'a\n1\n"2\n', [(None, {"a": 1})], "after line 2 is no table"),
        (
            "m.csv",
            "step,acc,loss\n1,0.5,2\n3,0.",
            [(1, {"acc": 0.5, "loss": 2})],
            "line 3 breaks off; 1 entry",
        ),
        ("m.json", '{"a": 1e400, "b": 2}', [(None, {"b": 2})], "'a' is too large; 1 entry"),
        ("m.json", '{"a": 1%s, "b": 2}' % ("0" * 400), [(None, {"b": 2})], "'a' is too large"),
        ("m.json", '{"a\\n": 1, "b": 2}', [(None, {"b": 2})], "character"),
        ("m.json", '[{"step": 1, "a": 2}, 3]', [(1, {"a": 2})], "item 2 is no mapping; 1 entry"),
        ("m.json", '{"a": 1}\n{"a": }\n', [(None, {"a": 1})], "line 2 cannot be read as"),
        ("m.jsonl", '{"a": 1}\n\n{"a"', [(None, {"a": 1})], "line 3 cannot be read as JSON; 1"),
    ],
)
def test_what_can_be_read_of_a_broken_file_is_kept(
    tmp_path: Path, name: str, text: str, rows: list[Any], says: str
) -> None:
    """One bad cell must not cost a day of training; one sentence says what is missing."""
    (tmp_path / name).write_text(text)
    found, [fault] = metrics.from_file(name, time=9.0, directory=tmp_path)
    assert [(row.step, dict(row.values)) for row in found] == rows
    assert all(row.time == 9.0 for row in found)
    assert fault.startswith(f"in the metrics file '{name}', ") and says in fault
    assert fault.endswith(" left out") and "\n" not in fault


def test_what_makes_sense_has_no_fault(tmp_path: Path) -> None:
    """Texts and lists beside the numbers are no mistake, nor is a comma at the end of each line."""
    (tmp_path / "m.json").write_text('{"a": 1, "note": "x", "l": [1], "ok": true, "z": null}')
    (tmp_path / "m.csv").write_text("a,b,\n1,,\n")
    for name in ("m.json", "m.csv"):
        assert metrics.from_file(name, time=9.0, directory=tmp_path) == (
            [Row(None, 9.0, {"a": 1})],
            [],
        )


def test_what_can_never_be_a_metrics_file_is_refused_at_once(tmp_path: Path) -> None:
    """In the words of who typed it; one that is not there yet is what the run is to write."""
    (tmp_path / "out.csv").mkdir()
    for name, says in [("out.csv", "is a directory"), ("t.py", "is no .yaml, .json, .csv or .tsv")]:
        with pytest.raises(BadFile, match=rf"^the metrics file '{name}' {says}"):
            metrics.check_file(name, directory=tmp_path)
    for name in ("new.json", "new.YAML", "new.jsonl", "../new.tsv"):
        metrics.check_file(name, directory=tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """An option that names a file must not be ignored."""
    with pytest.raises(BadFile, match=r"no metrics file '.*m\.csv'"):
        metrics.from_file(tmp_path / "m.csv", time=0.0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2**62), st.floats(), st.integers()), min_size=1))
def test_tables_come_back(tmp_path_factory: Any, points: list[tuple[int, float, int]]) -> None:
    """Floats exact, integers whole."""
    path = tmp_path_factory.mktemp("m") / "m.csv"
    path.write_text("step,real,whole\n" + "".join(f"{s},{r!r},{w}\n" for s, r, w in points))
    found = [(row.step, dict(row.values)) for row in metrics.from_file(path, time=0.0)[0]]
    assert repr(found) == repr([(s, {"real": r, "whole": w}) for s, r, w in points])
