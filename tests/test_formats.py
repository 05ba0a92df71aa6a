"""YAML that every reader reads alike, and hostile YAML that is refused in time."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gittrack import formats
from gittrack.errors import BadFile

TRICKY = """
NO on y ~ null .nan 1e3 1e-6 0o17 017 0x1f 1_000 12:30:45 2024-01-01 = << -- --- ... ? ! & * a:b a:
:a #x %s {0} [ ] {} , | > @ ` __class__ Null NaN inf +1 .5 5. 1e999
"""
tricky = st.sampled_from([*TRICKY.split(), "", " "])
text = st.one_of(
    tricky, st.text(st.characters(exclude_categories=("Cs",)), max_size=12), st.text("\n \t-:#'\"")
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), text)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=8,
)
documents = st.dictionaries(text, values, max_size=4)


def exact(value: Any) -> str:
    """Equality that tells 1 from 1.0 and True, and 0.0 from -0.0."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(repr(str(k)) + exact(v) for k, v in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(exact, value)) + "]"
    if isinstance(value, bool) or value is None:
        return repr(value)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind.__name__ + repr(kind(value))
    return f"{type(value)}"


@given(documents)
@settings(deadline=None, max_examples=200)
def test_what_is_dumped_is_read_back_by_us_and_by_yaml_1_1_and_1_2(
    document: dict[str, Any],
) -> None:
    """The record must mean the same to DVC (ruamel), to PyYAML and to us."""
    data = formats.dump(document)
    assert exact(formats.load_untrusted(data, "x")) == exact(document)
    assert exact(yaml.safe_load(data)) == exact(document)
    assert exact(YAML(typ="safe", pure=True).load(data)) == exact(document)
    assert formats.dump(dict(reversed(list(document.items())))) == data


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_are_values(value: float) -> None:
    """A diverged loss is a result."""
    back = formats.load_untrusted(formats.dump({"x": value}), "x")["x"]
    assert repr(back) == repr(value)
    assert repr(yaml.safe_load(formats.dump({"x": value}))["x"]) == repr(value)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE = "a0: &a0 {k: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n  k{n}: 1\n" for n in range(1, 31)
)


@pytest.mark.parametrize(
    "data",
    [
        b"a: !!python/object/apply:os.system [id]",
        b"a: !!binary aGk=",
        b"a: !!set {x}",
        b"a: !foo x",
        BOMB.encode(),
        MERGE.encode(),
        b"[" * 100_000,
        b"[" * 5000 + b"]" * 5000,
        b"{a: " * 100_000,
        b"lr: 1\nlr: 2",
        b"a: " + b"9" * 100_000,
        b"a: 0x" + b"f" * 1_000_000,
        b"a: 0x" + b"f" * 4200,
        b"a: 1e999",
        b"a: 1\n--- \nb: 2",
        b"\xff\xfea\0:\0 \x001\0",
        b"a: \xff",
        b"a: \0",
        b"a:\tb:\tc",
        b"a: *nothing",
        b"a: &a [*a]",
        b"? [1, 2]\n: x",
        "".join(f"k{n}: {n}\n" for n in range(120_000)).encode(),
        b"a: '" + b"x" * (9 << 20) + b"'",
        b"a: [1",
    ],
    ids=lambda data: data[:12].decode("ascii", "replace"),
)
def test_hostile_yaml_is_refused_in_time(data: bytes) -> None:
    """Fetched runs are hostile until read: no crash, no code, no minutes."""
    before = time.process_time()
    with pytest.raises(BadFile, match=r"^params\.yaml: ") as caught:
        formats.load_untrusted(data, "params.yaml")
    assert time.process_time() - before < 2
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("12:30:45", "12:30:45"),
        ("1e3", 1000.0),
        ("1e-3", 0.001),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("~", None),
        ("", None),
        ("true", True),
        ("x" * 1_000_000, "x" * 1_000_000),
    ],
    ids=lambda value: str(value)[:12],
)
def test_scalars_mean_what_yaml_1_2_says(written: str, meant: Any) -> None:
    """People write params by hand; `NO` is Norway."""
    assert exact(formats.load_untrusted(f"a: {written}\n".encode(), "x")["a"]) == exact(meant)


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"\xef\xbb\xbf"])
def test_an_empty_document_is_none(data: bytes) -> None:
    """An empty params.yaml is no mistake."""
    assert formats.load_untrusted(data, "x") is None


@pytest.mark.parametrize("key", ["__class__", "__proto__", "; DROP TABLE runs", 'a"b', "%s", ""])
def test_keys_are_text_and_nothing_else(key: str) -> None:
    """No key has a meaning of its own."""
    assert formats.load_untrusted(formats.dump({key: 1}), "x") == {key: 1}


def test_text_that_is_not_utf8_is_quoted() -> None:
    """An argument with a byte of Latin-1 must not cost the run, nor one with JSON's \\ud800."""
    assert formats.load_untrusted(formats.dump({"a": "caf\udce9"}), "x") == {"a": '"caf\\351"'}
    formats.dump({"a": "\ud800"})


def test_a_repeated_key_is_named_with_its_second_line() -> None:
    """That is the line to take away."""
    for text, line in [(b"b: 1\na: 1\nc: 2\na: 3\n", 4), (b"x:\n  a: 1\n  a: 2\n", 3)]:
        with pytest.raises(BadFile, match=f"line {line}: key 'a' stands twice"):
            formats.load_untrusted(text, where="p.yaml")
