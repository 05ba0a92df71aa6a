"""How records look to programs."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import exports
from gittrack.records import Artifact, Data, Input, Run
from gittrack.report import Column
from summaries import HOSTILE, NOON, UNSAFE, run

_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.text(min_size=1, max_size=9), _values, max_size=4))
@settings(deadline=None)
def test_json_is_one_ascii_document(params: dict[str, Any]) -> None:
    """Every parser must read it: no NaN, which JSON has not."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    text = exports.as_json([run(params=params)])
    assert text.isascii()
    (read,) = json.loads(text, parse_constant=refuse)
    assert set(read["params"]) == set(params)
    assert read["duration"] == 4.2


def test_numbers_that_json_lacks_are_texts() -> None:
    """As protobuf's JSON mapping spells them, which MLflow does too."""
    metrics = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.1}
    read = json.loads(exports.as_json(run(metrics=metrics)))["metrics"]
    assert read == {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.1}


@given(
    st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=20), min_size=1, max_size=4)
)
@settings(deadline=None)
def test_csv_comes_back(params: dict[str, str]) -> None:
    """RFC 4180, whatever the cells hold; only the guard against formulas is added."""
    found = [run(params=params)]
    text = exports.csv_text(found, [Column(f"params.{key}", key) for key in params])
    head, line = csv.reader(io.StringIO(text, newline=""))
    risky = ("=", "+", "-", "@", "\t", "\r")
    plain = [value.replace("\0", "\\x00") for value in params.values()]
    expected = [("'" + v if v.startswith(risky) else v) for v in plain]
    assert line == expected
    assert len(head) == len(params)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), (-1.5, "-1.5"), (-1, "-1"),
        (0.1 + 0.2, "0.30000000000000004"), (True, "true"), (None, ""), (math.nan, "nan"), ("", ""),
    ],
)  # fmt: skip
def test_a_spreadsheet_runs_no_cell(value: Any, text: str) -> None:
    """Texts are guarded; numbers stay numbers, in full."""
    made = exports.csv_text([run(params={"k": value})], [Column("params.k", "k")])
    assert made.splitlines()[1].strip('"') == text


@pytest.mark.parametrize("text", HOSTILE)
def test_json_is_no_way_to_the_terminal(text: str) -> None:
    """JSON goes to terminals too: ASCII, and control characters are written in letters."""
    made = exports.as_json([run(title=text, command=(text,), params={text: text, "list": [text]})])
    assert made.isascii()
    assert not UNSAFE.search(made)


def test_json_of_a_run_has_its_files_in_full() -> None:
    """What `show --json` prints is enough to find each byte again."""
    made = Run(
        id="0" * 32,
        name="a",
        experiment="e",
        status="finished",
        started=NOON,
        data=(Data("d", "1" * 32 + ".dir", 5, 2, pointer="d.dvc", modified=True, changed=True),),
        artifacts=(Artifact("m", "2" * 32, 6),),
        inputs=(Input("r", "3" * 32, "4" * 40, "m"),),
    )
    read = json.loads(exports.as_json(made))
    assert read["data"] == [
        {
            "path": "d",
            "md5": "1" * 32 + ".dir",
            "size": 5,
            "nfiles": 2,
            "pointer": "d.dvc",
            "modified": True,
            "changed": True,
        }
    ]
    assert read["artifacts"] == [{"path": "m", "md5": "2" * 32, "size": 6, "nfiles": None}]
    assert read["inputs"] == [{"run": "r", "id": "3" * 32, "commit": "4" * 40, "path": "m"}]
