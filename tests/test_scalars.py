"""Single values in a query: added, compared, matched."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import scalars
from gittrack.errors import UsageError

NAN, INF = float("nan"), float("inf")
OPS = ("=", "!=", "<", "<=", ">", ">=")
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just([1])
)


@pytest.mark.parametrize(
    ("left", "op", "right", "expected"),
    [
        (1, "=", 1.0, True),
        (2**53 + 1, "=", float(2**53), False),
        (10**400, ">", 1e308, True),
        (10**400, "<", INF, True),
        ("10", "<", "9", True),
        ("\uffff", "<", "\U0001f600", True),
        (True, "=", True, True),
        (True, "!=", False, True),
        (True, "=", 1, False),
        (True, "!=", 1, False),
        (True, ">", False, False),
        (NAN, "!=", NAN, False),
        (NAN, "!=", 1, False),
        (None, "=", None, False),
        (None, "!=", 1, False),
        ("1", "=", 1, False),
        ("1", "!=", 1, False),
        ([1], "=", [1], False),
    ],
)
def test_values_of_one_type_compare(left: Any, op: str, right: Any, expected: bool) -> None:
    """Numbers exactly, texts by code point; what is missing, NaN or of another type never."""
    assert scalars.compare(op, left, right) is expected


@given(left=VALUES, right=VALUES)
def test_a_comparison_and_its_opposite_never_both_hold(left: Any, right: Any) -> None:
    """And both fail only together: where two values do not compare at all."""
    held = {op: scalars.compare(op, left, right) for op in OPS}
    for op, other in (("=", "!="), ("<", ">="), (">", "<=")):
        assert not (held[op] and held[other])
    assert held["<="] == (held["<"] or (held["="] and (held["<="] or held[">="])))
    swapped = {op: scalars.compare(op, right, left) for op in OPS}
    assert held["<"] == swapped[">"] and held["="] == swapped["="] and held["<="] == swapped[">="]


@pytest.mark.parametrize(
    ("left", "op", "right", "expected"),
    [
        (1, "/", 2, 0.5),
        (2**62, "*", 4, 2**64),
        (1e308, "*", 10, INF),
        (10**400, "*", 0.5, INF),
        (-(10**400), "+", 0.5, -INF),
        (10**400, "/", 3, INF),
        (1, "/", 0, None),
        (0.0, "/", -0.0, None),
        (10**400, "/", 0.0, None),
        ("a", "+", "b", None),
        (True, "+", 1, None),
        (None, "*", 0, None),
    ],
)
def test_numbers_are_worked_out_as_in_python(
    left: Any, op: str, right: Any, expected: float | None
) -> None:
    """What Python refuses is missing, or too large to tell."""
    assert scalars.calculate(op, left, right) == expected


def test_signs_are_of_numbers_only() -> None:
    """True is not 1, and so -True is nothing."""
    assert (scalars.negative(2), scalars.absolute(-2.5)) == (-2, 2.5)
    assert scalars.negative(True) is scalars.absolute("x") is scalars.negative(None) is None


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("%", "", True),
        ("a%", "abc", True),
        ("%c", "abc", True),
        ("a%a", "a", False),
        ("%ab%ab%", "abab", True),
        ("%ab%ab%", "aba", False),
        ("a_c", "a\nc", True),
        ("a%c", "a\n\x00c", True),
        ("a_c", "ac", False),
        ("_", "\U0001f600", True),
        ("A%", "abc", False),
        ("a.c", "abc", False),
        (r"\%", "\\x", True),
        ("[a]*", "a", False),
    ],
)
def test_a_pattern_fits_a_whole_text(pattern: str, text: str, expected: bool) -> None:
    """Nothing but % and _ means anything."""
    assert scalars.like(pattern, False)(text) is expected


SHORT = st.text("ab%_A\n", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("\u039f\u03a3%", "\u039f\u03a3\u0391"),
        ("\u03bf\u03c3", "\u039f\u03a3"),
        ("_", "\u0130"),
        ("%\u0130_", "a\u0130B"),
    ],
)
def test_a_letter_is_one_letter_in_either_case(pattern: str, text: str) -> None:
    """Lower case has two sigmas, and two characters for one I with a dot."""
    assert scalars.like(pattern, True)(text)
    assert not scalars.like("__" if pattern == "_" else "_", True)(text)


@settings(max_examples=500)
@given(pattern=SHORT, text=SHORT, fold=st.booleans())
def test_patterns_mean_what_a_regular_expression_would(pattern: str, text: str, fold: bool) -> None:
    """The slow way, written down."""
    said = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern)
    flags = re.DOTALL | (re.IGNORECASE if fold else 0)
    assert scalars.like(pattern, fold)(text) is (re.fullmatch(said, text, flags) is not None)
    if not fold and scalars.like(pattern, fold)(text):
        assert text.startswith(scalars.prefix(pattern))


def test_a_pattern_that_would_explode_does_not() -> None:
    """A regular expression of as many stars would need longer than we live."""
    assert not scalars.like("%a" * 50 + "b", False)("a" * 5000)


def test_a_search_that_takes_too_long_names_the_run() -> None:
    """The user has to know which run it was, and what to change."""
    assert scalars.search("a+b", "xaab", "calm-lynx-aaaaaa")
    assert not scalars.search("^b", "ab", "calm-lynx-aaaaaa")
    with pytest.raises(UsageError, match=r"\(x\+x\+\)\+y.*calm-lynx-aaaaaa.*was stopped"):
        scalars.search("(x+x+)+y", "x" * 10_000, "calm-lynx-aaaaaa")
