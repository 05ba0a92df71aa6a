"""Params are what a command line and params files say, typed; what a launcher was told is none."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import keys, params
from gittrack.errors import BadFile, BadName, UsageError

# Values.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("5", 5),
        ("-5", -5),
        ("0.1", 0.1),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5", -0.5),
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("-1e+3", -1000.0),
        ("0.0", 0.0),
        ("0e5", 0.0),
        ("inf", math.inf),
        ("-inf", -math.inf),
        (".inf", math.inf),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("False", False),
        ("FALSE", False),
        ("None", None),
        ("null", None),
        ("[]", []),
        ("{}", {}),
        ("[1,2,3]", [1, 2, 3]),
        ("[1, 2.5, -3]", [1, 2.5, -3]),
        ("[64,]", [64]),
        ("[a,b]", ["a", "b"]),
        ("[conv]", ["conv"]),
        ("['a', \"b c\"]", ["a", "b c"]),
        ("[true, None, null]", [True, None, None]),
        ("[[1,2],[3]]", [[1, 2], [3]]),
        ('{"a": 1, "b": [2]}', {"a": 1, "b": [2]}),
        ("{'a': 1}", {"a": 1}),
        ("{lr: 0.1, opt: adam}", {"lr": 0.1, "opt": "adam"}),
        ("{1: a}", {"1": "a"}),
        ("[s3://b/k, 12:30]", ["s3://b/k", "12:30"]),
        ('["\\u00e9\\n"]', ["é\n"]),
        (r"['it\'s']", ["it's"]),
        ("[007, 0x10, 1_000]", ["007", "0x10", "1_000"]),
    ],
)
def test_words_that_stand_for_a_value(text: str, value: Any) -> None:
    """A query compares numbers as numbers."""
    found = params.parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    """A learning rate of nan is a mistake worth finding again."""
    assert math.isnan(params.parse_value("nan")) and math.isnan(params.parse_value("NaN"))


_TEXTS = """
    007 +5 1_000 0x10 0o17 NO no yes on off none NULL ~ tRUE 12:30:45 2024-01-01 1e999 -1e999
    1e-999 1.2.3 1e 1e5.0 e5 . - -- 1,000 ٣ adam (1,2) [PAD] [MASK] [1,2 1,2] [a b] [a,,b] [,]
    {a} {a,b} [(1,2),(3,4)] {1:2}x [don't] {a:1,a:2} [1,2]] "x" 'x' 5kg 0.1.. 1e-3x ***
    [1]trailing [1]2[3]
"""
_SPACED = [
    "", " 5", "5 ", "5\n", "hello world", "[a note] and more", "[1] ", "[hello world, b]", "[1 2]",
]  # fmt: skip


@pytest.mark.parametrize("text", [*_TEXTS.split(), *_SPACED])
def test_everything_else_is_text_exactly_as_given(text: str) -> None:
    """A version, a date or a zip code must come back as it was typed."""
    assert params.parse_value(text) == text
    assert isinstance(params.parse_value(text), str)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 4301,
        "[" * 100_000,
        "[" * 30 + "]" * 30,
        "[" + "9" * 4301 + "]x",
        "[" + "a," * 9000 + "]",
    ],
)
def test_hostile_words_stay_text(text: str) -> None:
    """Neither the interpreter's digit limit nor its stack is the user's to reach."""
    assert params.parse_value(text) == text


def test_as_many_digits_as_python_prints_are_a_number() -> None:
    """Beyond that nothing could print the record."""
    assert params.parse_value("9" * 4300) == int("9" * 4300)


@settings(deadline=None)
@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_python_spelling_of_scalars_comes_back(value: Any) -> None:
    """Sweeps build command lines with str()."""
    found = params.parse_value(str(value))
    assert found == value and type(found) is type(value)


_json = st.recursive(
    st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.one_of(st.lists(_json, max_size=4), st.dictionaries(st.text(), _json, max_size=4)))
def test_json_comes_back(value: Any) -> None:
    """JSON is what programs write for programs."""
    import json

    text = json.dumps(value)
    if len(text) <= params.LARGEST_VALUE:
        assert params.parse_value(text) == value


@settings(deadline=None)
@given(st.text(alphabet="[]{},:'\"\\ a1.", max_size=30))
def test_no_word_raises(text: str) -> None:
    """A command line is never refused for its looks."""
    params.parse_value(text)


# Command lines.


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("--lr 0.1", {"lr": 0.1}),
        ("--lr=0.1", {"lr": 0.1}),
        ("-n 5", {"n": 5}),
        ("-n=5", {"n": 5}),
        ("-lr 0.1", {"lr": 0.1}),
        ("--n-estimators 100", {"n_estimators": 100}),
        ("--model.weight-decay 1", {"model.weight_decay": 1}),
        ("--flag", {"flag": True}),
        ("--no-flag --x", {"no_flag": True, "x": True}),
        ("--flag --lr 1", {"flag": True, "lr": 1}),
        ("--a -5 --b -1e-3 --c -.5", {"a": -5, "b": -0.001, "c": -0.5}),
        ("--d -inf --flag -x", {"d": -math.inf, "flag": True, "x": True}),
        ("--out - --in -", {"out": "-", "in": "-"}),
        ("--x 1 --x 2 --x 3", {"x": [1, 2, 3]}),
        ("--x [1] --x [2]", {"x": [[1], [2]]}),
        ("--x [1,2]", {"x": [1, 2]}),
        ("-v -v", {"v": [True, True]}),
        ("--layers 64 64 32 --k 1", {"layers": 64, "k": 1}),
        ("-n5 data.csv -j8 -O2", {}),
        ("-vv", {"vv": True}),
        ("--a 1 -- --b 2 c=3", {"a": 1}),
        ("data.csv 3 -5", {}),
        ("--name=", {"name": ""}),
        ("--eq a=b", {"eq": "a=b"}),
        ("--eq=a=b", {"eq": "a=b"}),
        ("--password ***", {"password": "***"}),
        ("model.lr=0.1 +model.x=1 ++a=b ~key ~k=v", {"model.lr": 0.1, "model.x": 1, "a": "b"}),
        ("model=resnet model.lr=0.1", {"model": "resnet", "model.lr": 0.1}),
        ("db@backup=mysql model/opt=adam", {"db@backup": "mysql", "model/opt": "adam"}),
        ("lr=0.1 lr=0.2", {"lr": 0.2}),
        ("lr= layers=[1,2]", {"lr": "", "layers": [1, 2]}),
        ("-m lr=0.1,0.2", {"m": True, "lr": "0.1,0.2"}),
        ("--multirun lr=1", {"multirun": True, "lr": 1}),
        ("http://host?a=b s3://x/a=b =c", {}),
        ("--", {}),
        ("---x --=5 -", {}),
        ("", {}),
    ],
)
def test_options_of_the_program(command: str, expected: dict[str, Any]) -> None:
    """The params are what was said, typed, under the names that the program uses."""
    assert params.from_command(["python", "train.py", *command.split()]) == expected


def test_what_launchers_are_told_is_no_param() -> None:
    """Else every run on a cluster would seem to differ in its ports and node counts."""
    line = "env A=1 srun --n 2 torchrun --nproc_per_node 4 train.py --lr 0.1 m.x=1"
    assert params.from_command(line.split()) == {"lr": 0.1, "m.x": 1}
    assert params.from_command(["uv", "pip", "install", "--pre"]) == {"pre": True}


def test_bytes_that_are_not_utf8_are_escaped() -> None:
    """The record is UTF-8; the file name that the user gave may not be."""
    found = params.from_command(["t", "--f", os.fsdecode(b"a\xff"), os.fsdecode(b"--\xfe=1")])
    assert found["f"] == "a\\xff"
    for key, value in found.items():
        f"{key}{value}".encode()


def test_a_word_that_cannot_be_a_key_is_no_param() -> None:
    """A long word on a command line is no mistake of the user's."""
    assert params.from_command(["t", "--" + "k" * 251, "1", "--ok", "2", "k" * 251 + "=1"]) == {
        "ok": 2
    }


_word = st.text(alphabet="-=+~ab.1[]m", max_size=6)
_launch = st.sampled_from(
    ["python", "torchrun", "srun", "uv", "run", "-m", "env", "mpirun", "--mca"]
)


@settings(deadline=None)
@given(st.lists(st.one_of(_word, _launch), max_size=8))
def test_no_command_line_raises(argv: list[str]) -> None:
    """Recording must never stand in the way of running."""
    for key in params.from_command(argv):
        keys.check_key(key)


# Assignments and merging.


def test_a_mapping_is_a_param_for_each_entry() -> None:
    """Params are flat, wherever they come from: `opt.lr` is one column of the table."""
    text = "opt={name: adam, by: {lr: 1e-4}, no: {}, l: [{a: 1}]}"
    flat = {"opt.name": "adam", "opt.by.lr": 1e-4, "opt.no": {}, "opt.l": [{"a": 1}]}
    assert params.from_assignments(["opt.name=x", text]) == flat
    assert params.from_command(["python", "t.py", text]) == flat
    assert params.from_command(["python", "t.py", "--opt", text[4:], "--lr", "1"]) == {
        **flat, "lr": 1
    }  # fmt: skip
    wrong = ['opt={"a\\nb": 1}', "x={a.b: 1, a: {b: 2}}"]
    assert params.from_command(["train", *wrong, "n=1"]) == {"n": 1}
    with pytest.raises(BadName):
        params.from_assignments(['opt={"a\\nb": 1}'])


def test_assignments_are_typed() -> None:
    """-P is how one says what no option says."""
    given_ = ["lr=0.1", "model.name=bert", "eq=a=b", "empty=", " k = v"]
    assert params.from_assignments(given_) == {
        "lr": 0.1,
        "model.name": "bert",
        "eq": "a=b",
        "empty": "",
        "k": " v",
    }


@pytest.mark.parametrize("text", ["lr", "", "=1", "a\nb=1", "k" * 251 + "=1"])
def test_assignments_without_key_or_value_are_wrong_usage(text: str) -> None:
    """The exit code tells a script that the request was malformed."""
    with pytest.raises(UsageError) as caught:
        params.from_assignments([text])
    assert caught.value.hint and "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("sources", "merged"),
    [
        ([], {}),
        ([{"a": 1}, {"a": 2, "b": 3}], {"a": 2, "b": 3}),
        ([{"m.lr": 1, "m.x": 2}, {"m.lr": 3}], {"m.lr": 3, "m.x": 2}),
        ([{"m.lr": 1, "m.x.y": 2, "mx": 5}, {"m": "off"}], {"m": "off", "mx": 5}),
        ([{"m": "off"}, {"m.lr": 1}], {"m.lr": 1}),
        ([{"m": {}}, {"m.a.b": 1}], {"m.a.b": 1}),
        ([{"m.a": 1}, {"m": 2, "m.b": 3}], {"m": 2, "m.b": 3}),
        ([{".a": 1, "": 2}, {"a": 3}], {".a": 1, "": 2, "a": 3}),
    ],
)
def test_the_later_source_wins(sources: list[dict[str, Any]], merged: dict[str, Any]) -> None:
    """What stood closest to the run is what it ran with."""
    before = [dict(source) for source in sources]
    assert params.merge(*sources) == merged
    assert sources == before


# Files.


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", "lr: 0.1\nmodel:\n  layers: [1, 2]\n  drop: {}\nday: '2024-01-01'\n"),
        ("p.YML", "lr: 0.1\nmodel: {layers: [1, 2], drop: {}}\nday: 2024-01-01\n"),
        ("p.json", '\ufeff{"lr":0.1,"model":{"layers":[1,2],"drop":{}},"day":"2024-01-01"}'),
        ("p.toml", "lr = 0.1\nday = 2024-01-01\n[model]\nlayers = [1, 2]\ndrop = {}\n"),
    ],
)
def test_three_kinds_of_file_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    """Which syntax a project likes must not show in its runs."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert params.from_file(path) == {
        "lr": 0.1,
        "model.layers": [1, 2],
        "model.drop": {},
        "day": "2024-01-01",
    }


def test_times_inside_lists_become_text(tmp_path: Path) -> None:
    """TOML has dates as values; the record has none."""
    path = tmp_path / "p.toml"
    path.write_text("at = [1979-05-27T07:32:00Z, 07:32:00]\n")
    assert params.from_file(path) == {"at": ["1979-05-27T07:32:00+00:00", "07:32:00"]}


def test_json_has_nan(tmp_path: Path) -> None:
    """Python writes it, so people have it."""
    path = tmp_path / "p.json"
    path.write_text('{"a": NaN, "b": -Infinity}')
    found = params.from_file(path)
    assert math.isnan(found["a"]) and found["b"] == -math.inf


@pytest.mark.parametrize(
    ("name", "text"), [("p.yaml", "# nothing\n"), ("p.toml", ""), ("p.json", "{}")]
)
def test_an_empty_file_has_no_params(tmp_path: Path, name: str, text: str) -> None:
    """A project starts with an empty params.yaml."""
    path = tmp_path / name
    path.write_text(text)
    assert params.from_file(path) == {}


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("p.yaml", b"- 1\n- 2\n", "a list"),
        ("p.yaml", b"hello", "a text"),
        ("p.yaml", b"a: 1\na: 2\n", ""),
        ("p.yaml", b"a: [1\n", ""),
        ("p.yaml", b"a: !!python/object/apply:os.system [id]\n", ""),
        ("p.yaml", b"a: \xff\n", ""),
        ("p.yaml", b"[" * 100_000, ""),
        ("p.yaml", b"a.b: 1\na: {b: 2}\n", "'a.b'"),
        ("p.yaml", b"'': 1\n", "empty"),
        ("p.json", b"[1]", "a list"),
        ("p.json", b"3", "a number"),
        ("p.json", b"null-", "line 1"),
        ("p.json", b"", "line 1"),
        ("p.json", b'{"a": 1,\n "a": 2}', "'a' stands twice"),
        ("p.json", b'{\n"a": }', "line 2"),
        ("p.json", b'{"a": 1e999}', "too large"),
        ("p.json", b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        ("p.json", b'{"a":' * 100_000, "deep"),
        ("p.json", b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}", "deep"),
        ("p.json", b'{"a": 1,\n"b": "\xff"}', "UTF-8 (line 2)"),
        ("p.json", '{"a": 1}'.encode("utf-16"), "UTF-8"),
        ("p.json", b'{"a\\u001b": 1}', "character"),
        ("p.toml", b"a = \n", "line 1"),
        ("p.toml", b"a = 1\na = 2\n", "line 2"),
        ("p.toml", b"a = \xff", "UTF-8"),
        ("p.ini", b"a = 1", "no .yaml, .json or .toml file"),
        ("p", b"a: 1", "no .yaml, .json or .toml file"),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    """One line that names the file and the place; no traceback."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadFile) as caught:
        params.from_file(path)
    assert says in caught.value.message
    assert name in caught.value.message
    assert caught.value.path == str(path)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300 + len(str(path))


def test_a_path_is_named_as_it_was_given(tmp_path: Path) -> None:
    """Who typed `bad.yaml` looks for just that."""
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    (tmp_path / "bad.json").write_text("[1]")
    (tmp_path / "good.toml").write_text("a = 1")
    assert params.from_file("good.toml", directory=tmp_path) == {"a": 1}
    for name in ("bad.yaml", "bad.json", "none.toml"):
        with pytest.raises(BadFile) as caught:
            params.from_file(name, directory=tmp_path)
        assert name in caught.value.message and str(tmp_path) not in caught.value.message
        assert caught.value.path == name


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    """A pipe would block, a directory would raise, a huge file would fill the memory."""
    huge, pipe, folder = tmp_path / "h.json", tmp_path / "f.json", tmp_path / "d.json"
    with open(huge, "wb") as file:
        file.truncate(params.LARGEST_FILE + 1)
    os.mkfifo(pipe)
    folder.mkdir()
    for path, says in [
        (huge, "larger than 8 MB"),
        (pipe, "no ordinary file"),
        (folder, "is a directory"),
        (tmp_path / "no.json", "there is no params file"),
    ]:
        with pytest.raises(BadFile, match=says):
            params.from_file(path)
