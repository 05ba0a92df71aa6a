"""Values as SQLite keeps them: each comes back as it was, and they sort as a listing sorts."""

from __future__ import annotations

import math
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import atoms

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs", "L"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


def alike(left: Any, right: Any) -> bool:
    """Equal, and of one type all the way down; NaN is like itself."""
    return repr(left) == repr(right)


@given(VALUES)
@settings(deadline=None)
def test_every_value_comes_back(value: Any) -> None:
    """The index answers with what was recorded, to the last bit, through SQLite itself."""
    database = sqlite3.connect(":memory:")
    stored = database.execute("SELECT ?", [atoms.encode(value)]).fetchone()[0]
    database.close()
    assert alike(atoms.decode(stored), value)
    assert alike(atoms.decoded([None, stored, 1]), [None, value, 1])


LARGE = [1 << 62, 1 << 63, -(1 << 63), -(1 << 63) - 1, 10**400, 1 << 20_000, -(1 << 20_000)]


@pytest.mark.parametrize("value", LARGE, ids=lambda value: str(value.bit_length()))
def test_integers_beyond_64_bits(value: int) -> None:
    """Python has them, JSON has them, SQLite has not; very long ones Python does not print."""
    assert atoms.decode(atoms.encode(value)) == value


def test_the_order_of_a_column() -> None:
    """What is absent, then numbers, texts, all else, and NaN after everything."""
    values = [math.nan, [1], True, False, "b", "a", "", math.inf, 2, 1.5, -math.inf, None]
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (v)")
    database.executemany("INSERT INTO t VALUES (?)", [[atoms.encode(v)] for v in values[:-1]])
    found = [atoms.decode(v) for (v,) in database.execute("SELECT v FROM t ORDER BY v")]
    database.close()
    assert repr(found) == "[-inf, 1.5, 2, inf, '', 'a', 'b', False, [1], True, nan]"


@pytest.mark.parametrize("stored", [b"", b"x", b"Ix", b"J{", b"J\xff"])
def test_what_no_value_gives_is_said(stored: bytes) -> None:
    """A damaged file must not be taken at its word."""
    with pytest.raises(ValueError):
        atoms.decode(stored)


def test_what_counts_among_what() -> None:
    """This is what a query's types are checked against."""
    values = [1, 1.5, math.nan, 1 << 80, "a", "\ud800", True, None, [1], {"a": 1}]
    assert [atoms.kind(atoms.encode(value)) for value in values] == [
        *["numbers"] * 4, "texts", "texts", "booleans", *["others"] * 3,
    ]  # fmt: skip
    assert atoms.kind(atoms.ABSENT) == "absent"


@pytest.mark.parametrize("value", [b"bytes", object(), {1, 2}])
def test_what_no_record_holds_is_refused(value: object) -> None:
    """It cannot have come from a record."""
    with pytest.raises(TypeError):
        atoms.encode(value)
