"""Keys are one grammar, and dotted keys are nested mappings and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import keys
from gittrack.errors import BadName

# Keys.


@pytest.mark.parametrize("key", ["a", "model.lr", "val/acc@5", "Größe", "a b", "x" * 250, "-", "."])
def test_ordinary_keys_are_accepted(key: str) -> None:
    """People name things in their own words and scripts."""
    assert keys.check_key(key) == key


@pytest.mark.parametrize("key", ["", "a\tb", "a\nb", "\x1b[2J", "\x9b", "\x7f", "\u2028", "\udcff"])
def test_keys_that_break_a_table_or_a_terminal_are_refused(key: str) -> None:
    """A key stands in a column header, a trailer and a file."""
    with pytest.raises(BadName) as caught:
        keys.check_key(key)
    assert caught.value.hint
    assert "\n" not in caught.value.message and "\x1b" not in caught.value.message


def test_a_key_of_a_megabyte_is_refused_in_one_short_line() -> None:
    """The message must not repeat the megabyte."""
    with pytest.raises(BadName) as caught:
        keys.check_key("k" * 1_000_000)
    assert len(caught.value.message) < 120
    with pytest.raises(BadName):
        keys.check_key("k" * 251)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("acuracy", "accuracy"), ("LOSS", "loss"), ("n_estimator", "n_estimators"), ("zzz", None)],
)
def test_nearest_suggests_only_what_is_close(key: str, nearest: str | None) -> None:
    """A far-fetched suggestion is worse than none."""
    assert keys.nearest(key, ["accuracy", "loss", "n_estimators"]) == nearest


# Nesting.


def test_flatten_joins_with_dots_and_keeps_leaves() -> None:
    """An empty mapping and a list are values, else they would vanish from the record."""
    nested = {"a": {"b": 1, "c": {}, "d": [{"x": 1}]}, "e": None, 3: {True: "y", None: 0}}
    assert keys.flatten(nested) == {
        "a.b": 1,
        "a.c": {},
        "a.d": [{"x": 1}],
        "e": None,
        "3.true": "y",
        "3.null": 0,
    }
    assert list(keys.flatten({"a": {"b": 1}, "c": 2, "d": {"e": 3}})) == ["a.b", "c", "d.e"]
    assert keys.flatten({}) == {}


def test_flatten_refuses_one_name_for_two_values() -> None:
    """Either value would silently hide the other."""
    with pytest.raises(BadName, match=r"'a\.b'"):
        keys.flatten({"a": {"b": 1}, "a.b": 2})


def test_flatten_survives_any_depth() -> None:
    """A hostile file must not overflow the stack."""
    deep: dict[str, Any] = {"a": 1}
    for _ in range(3000):
        deep = {"a": deep}
    assert list(keys.flatten(deep).values()) == [1]


def test_flatten_refuses_a_mapping_that_holds_itself() -> None:
    """What a script logs may: it was walked for ever, the training with it."""
    inner: dict[str, Any] = {"b": 1}
    inner["c"] = {"d": inner}
    with pytest.raises(BadName, match=r"'a\.c\.d' holds itself"):
        keys.flatten({"a": inner})
    twice = {"x": 1}
    assert keys.flatten({"a": twice, "b": {"c": twice}}) == {"a.x": 1, "b.c.x": 1}


@pytest.mark.parametrize(
    ("flat", "nested"),
    [
        ({"a.b": 1, "a.c": 2}, {"a": {"b": 1, "c": 2}}),
        ({"a": 1, "a.b": 2}, {"a": 1, "a.b": 2}),
        ({"a.b": 2, "a": {}}, {"a.b": 2, "a": {}}),
        ({"a.b": 1, "a.b.c": 2, "a.d": 3}, {"a": {"b": 1, "d": 3}, "a.b.c": 2}),
        ({".a": 1, "a.": 2, "a..b": 3, ".": 4}, {".a": 1, "a.": 2, "a..b": 3, ".": 4}),
    ],
)
def test_nest_leaves_flat_what_would_be_lost(flat: dict[str, Any], nested: dict[str, Any]) -> None:
    """A key below a scalar has no place in a tree."""
    assert keys.nest(flat) == nested


_leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers()), st.just({})
)


@settings(deadline=None)
@given(st.dictionaries(st.text(alphabet="ab.", max_size=6), _leaves))
def test_flatten_undoes_nest(flat: dict[str, Any]) -> None:
    """The record keeps the nested form, and everything else asks for the flat one."""
    assert keys.flatten(keys.nest(flat)) == flat
