"""A document is read whole and within bounds, or one line says why not.

What each kind of broken content says is tested where files are read: in params and metrics.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from gittrack import documents
from gittrack.errors import BadFile


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    """Spreadsheets write one; it would become part of the first key."""
    path = tmp_path / "t.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\n")
    assert documents.read_text(str(path), "params", 8) == "a\r\n"


def test_the_bound_is_exact(tmp_path: Path) -> None:
    """What fits is read, and one byte more is not, even if the file grows while it is read."""
    path = tmp_path / "t.txt"
    path.write_bytes(b"a" * 8)
    assert documents.read(str(path), "metrics", 8) == b"a" * 8
    with pytest.raises(BadFile, match=r"the metrics file '.*' is larger than"):
        documents.read(str(path), "metrics", 7)


def test_a_name_that_no_file_can_have_is_a_bad_file() -> None:
    """It comes from a command line."""
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(BadFile, match="cannot read the params file"):
            documents.read(name, "params", 8)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody may ever write into it."""
    os.mkfifo(tmp_path / "p.json")
    with pytest.raises(BadFile, match="no ordinary file"):
        documents.load(str(tmp_path / "p.json"), "params", 8)


@pytest.mark.parametrize("name", ["p.yaml", "p.yml", "p.json", "p.JSON", "p.toml"])
def test_the_suffix_tells_the_kind(tmp_path: Path, name: str) -> None:
    """The same content in three languages."""
    texts = {"json": '{"a": 1}', "toml": "a = 1", "yaml": "a: 1", "yml": "a: 1"}
    (tmp_path / name).write_text(texts[name.split(".")[1].lower()])
    assert documents.load(str(tmp_path / name), "params", 100) == {"a": 1}


def test_a_table_counts_lines_not_rows(tmp_path: Path) -> None:
    """A message names the line that an editor shows; a quoted cell may span several."""
    path = tmp_path / "t.csv"
    path.write_bytes(b'a;b\r\n"x\ny";1\n\n2;3')
    rows = list(documents.read_table(str(path), "metrics", 100, delimiter=";"))
    assert rows == [(1, ["a", "b"]), (3, ["x\ny", "1"]), (4, []), (5, ["2", "3"])]


def test_json_as_python_writes_it() -> None:
    """NaN is a value; a number that only rounding makes infinite is a mistake."""
    found = documents.parse_json("[NaN, -Infinity, 1e308]", "f", "params")
    assert math.isnan(found[0]) and found[1:] == [-math.inf, 1e308]
    for text, says in [("1e309", "too large"), ('{"a": 1, "a": 1}', "twice"), ("[", "line 1")]:
        with pytest.raises(BadFile, match=says):
            documents.parse_json(text, "f", "params")


def test_a_file_that_is_not_there_is_missing_whatever_its_name(tmp_path: Path) -> None:
    """`--params nope` is a misspelt path; what its suffix lacks is beside the point."""
    with pytest.raises(BadFile, match="there is no params file 'nope'"):
        documents.load("nope", "params", 100, directory=str(tmp_path))
    (tmp_path / "nope").write_text("a: 1")
    with pytest.raises(BadFile, match=r"is no \.yaml, \.json or \.toml file"):
        documents.load("nope", "params", 100, directory=str(tmp_path))
