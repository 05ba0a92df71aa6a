"""A senseless event costs itself, never the record of its run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Track
from gittrack import commits, journal, refs
from gittrack.git import Repo
from gittrack.testimony import sound

GOOD: list[dict[str, Any]] = [
    {"t": 1.5, "params": {"a": [1, {"b": None}]}, "tags": {"a": "b"}},
    {"t": 2, "fault": "x", "title": None, "status": "failed", "experiment": "e"},
    {"t": 3, "summary": {"a": 1, "b": float("nan")}, "notebook": "a.ipynb", "dropped": 3},
    {"t": 4, "cells": [[1, "a"], [None, "b"]], "child": [1, 2.0, "x"], "end": ["killed", None]},
    {"t": 5, "artifact": {"path": "m", "md5": "0" * 32, "size": 1, "nfiles": None}},
    {"t": 6, "data": [{"path": "d", "md5": "0" * 32, "size": 1, "pointer": None, "changed": True}]},
    {"t": 7, "inputs": [{"run": "r", "id": "i", "commit": "c", "path": None}]},
    {"t": 8, "environment": {"python": None, "gpus": [], "packages": {"a": "1"}}},
    {"t": 9, "gathered": True, "colour": {"anything": 1}},
]


@pytest.mark.parametrize("event", GOOD)
def test_what_makes_sense_stays_as_it_is(event: dict[str, Any]) -> None:
    """Keys of a later version too."""
    assert sound(event, 0.0) == event


BAD: list[tuple[str, Any]] = [
    ("params", [1]),
    ("tags", 5),
    ("fault", 5),
    ("title", 5),
    ("message", 5),
    ("status", 1),
    ("experiment", 5),
    ("experiment_title", 5),
    ("summary", 5),
    ("summary", {"a": "x"}),
    ("summary", {"a": True}),
    ("notebook", 5),
    ("cells", 5),
    ("cells", [1]),
    ("cells", [[1, 2]]),
    ("cells", [[1, "a", 3]]),
    ("dropped", "x"),
    ("artifact", {"path": "m", "md5": 5, "size": 1}),
    ("artifact", {"path": "m", "md5": "x", "size": "x"}),
    ("data", 5),
    ("data", [{}]),
    ("data", [{"path": "d", "md5": "x", "size": 1, "colour": 1}]),
    ("inputs", [5]),
    ("inputs", [{"id": "i"}]),
    ("environment", 5),
    ("environment", {"gpus": 5}),
    ("environment", {"python": "3", "x": 1}),
    ("child", [1]),
    ("end", 5),
    ("end", ["odd", 0]),
    ("end", [["killed"], 0]),
    ("end", ["finished", "x"]),
    ("rank", "x"),
    ("params", json.loads("[" * 60 + "]" * 60)),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_what_makes_none_is_left_out_and_said(key: str, value: Any) -> None:
    """The rest of the line counts."""
    event = sound({"t": 1.0, key: value, "colour": "red"}, 0.0)
    fault = event.pop("fault")
    assert event == {"t": 1.0, "colour": "red"}
    assert fault == f"a line of a journal makes no sense: its '{key}' was left out"


@pytest.mark.parametrize("time", ["x", None, True, -1, 1e300, float("nan"), 10**400, [1]])
def test_a_time_that_is_none_is_that_of_the_line_before(time: Any) -> None:
    """Its order in the file is known."""
    assert sound({"t": time, "tags": {}}, 7.5) == {"t": 7.5, "tags": {}}


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    """As docs/journal.md says; also where it is said how the run ended."""
    assert sound({"end": ["killed", 1]}, 7.5) == {"t": 7.5, "end": ["killed", 1]}


def test_a_tag_that_is_no_text_costs_itself() -> None:
    """A record with such a tag cannot be read back."""
    said = sound({"t": 1, "tags": {"a": 1, "b": "c"}}, 0.0)
    assert said["tags"] == {"b": "c"} and said["fault"].endswith("its 'tags' was left out in part")


def test_half_a_character_is_spelled_out() -> None:
    """JSON can say it, a Git object cannot hold it."""
    said = sound({"t": 1, "params": {"a\ud800": ["b\udfff", 1]}}, 0.0)
    assert list(said["params"].values()) == [['"b\\355\\277\\277"', 1]]
    json.dumps(said, ensure_ascii=False).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(sorted({key for key, _ in BAD} | {"t", "system", "metrics", "step"}))


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(KEYS | st.text(), JSON, max_size=4))
def test_no_event_breaks_it(event: dict[str, Any]) -> None:
    """Whatever JSON can say."""
    once = sound(event, 1.0)
    assert repr(sound(once, 1.0)) == repr(once)


SCRIPT = """\
import json, os, sys, zlib
for n, event in enumerate(json.load(sys.stdin)):
    text = json.dumps(event).encode()
    with open(f"{os.environ['GITTRACK_RUN']}/{n}-aa.journal", "wb") as file:
        file.write(b"%08x %s\\n" % (zlib.crc32(text), text))
"""


def test_a_run_with_senseless_lines_is_recorded(repo_dir: Path, track: Track) -> None:
    """Every command tries to record what is left over: one such line would stop them all."""
    (repo_dir / "train.py").write_text(SCRIPT)
    events = [{"t": 2e9, key: value} for key, value in BAD]
    events += [
        {"tags": {"a": 1, "b": None, "c": ["x"], "good": "text"}},
        {"end": ["finished", 0]},
        {"t": 1e18, "end": ["finished", 0]},
        {"params": {"a\ud800": "b\udfff"}},
        {"params": {"deep": json.loads("[" * 45 + "]" * 45)}},
        {"t": 1e300, "tags": {"a": "b"}},
        {"t": 1e300, "metrics": {"a": 1}},
        {"metrics": {"b": 2}, "step": "x"},
        {"metrics": {"c": "x", "d": 1, "e\n": 1, "": 1}},
        {"metrics": [1]},
        {"params": {"a\nb": 1, "good": 1}},
    ]
    done = track(repo_dir, "run", "--", "python", "train.py", input=json.dumps(events), check=0)
    repo = Repo.open(repo_dir)
    [ref] = refs.all_runs(repo)
    run = commits.load(repo, ref)
    assert run.status == "finished" and run.params["good"] == 1
    assert run.tags == {"a": "b", "good": "text"}
    assert run.metrics["b"] == 2 and run.metrics["d"] == 1
    assert (
        sum("makes no sense" in fault for fault in run.faults) >= len({key for key, _ in BAD}) - 1
    )
    assert "bug" not in done.stderr and journal.RUN_VARIABLE not in done.stderr
    for words in (("ls",), ("show", "latest"), ("plot", "b")):
        assert "bug" not in track(repo_dir, *words).stderr
