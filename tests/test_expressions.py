"""The user's expressions find what `re` finds, and never for long."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gittrack import expressions
from gittrack.errors import UsageError
from gittrack.expressions import Expression, TooLong


def found(pattern: str, text: str) -> list[dict[str, str]]:
    return list(Expression(pattern).search(text))


def by_re(pattern: str, text: str) -> list[dict[str, str]]:
    return [
        {name: value for name, value in match.groupdict().items() if value is not None}
        for match in re.finditer(pattern, text)
    ]


ATOMS = st.sampled_from(
    ["a", "b", " ", ".", "[ab]", "[^a]", r"\w", r"\W", r"\d", r"\s", r"\S", "x1", "=", r"\.",
     "[a-c1]", r"\b", r"\B", "^", "$", "é", r"[\d.]", "(?i:A)"]
)  # fmt: skip
REPEATED = st.sampled_from(["a", "b", "[ab]", r"\w", ".", r"\d", "(?:ab|a)", "(?:a|ab)"])
COUNTS = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}"])


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
        st.tuples(REPEATED, inner, COUNTS).map("(?:{0[0]}{0[1]}){0[2]}".format),
        st.tuples(REPEATED, COUNTS).map("".join),
        inner.map("(?P<NAME>{})".format),
    )


PATTERNS = st.recursive(ATOMS, joined, max_leaves=8)


def named(pattern: str) -> str:
    """Each group by a name of its own."""
    parts = pattern.split("NAME")
    return "".join(f"{part}g{n}" for n, part in enumerate(parts[:-1])) + parts[-1]


@settings(deadline=None, max_examples=600)
@given(PATTERNS.map(named), st.text(st.sampled_from("aabbc x1=.éA"), min_size=1, max_size=12))
def test_it_finds_what_re_finds(pattern: str, text: str) -> None:
    """Whoever knows Python's expressions knows these."""
    try:
        re.compile(pattern)
    except re.error:
        assume(False)
    assert found(pattern, text) == by_re(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"loss=(?P<loss>[0-9.]+)", "epoch 3 loss=0.25 loss=0.5"),
        (r"(?P<name>\w+)=(?P<value>\S+)", "loss=0.25 acc=0.5"),
        (r"epoch\s+(?P<epoch>\d+).*?loss[:=]\s*(?P<loss>[\d.e-]+)", "epoch 3/5 | loss: 1e-3"),
        (r"(?i)LOSS (?P<loss>\d+)", "Loss 12"),
        (r"(?x) loss \s (?P<loss> \d+ )  # a comment", "loss 12"),
        (r"(?a)\d+(?P<x>\w)", "٣12é3a"),
        (r"(?s)a.(?P<x>b)", "a\tb"),
        (r"\A(?P<x>a)|(?P<y>b)\Z", "aab"),
        (r"(?P<x>[^\s,;]+)", "a, b;c"),
        (r"(?P<x>[\w.-]+@[\d]{1,3})", "a.b-c@1234"),
        (r"(?P<a>x)?(?P<b>y)?", "xyzyx"),
        (r"(a(?P<x>b)?)+c", "ababac"),
        (r"(?P<x>a*?)$", "baa"),
    ],
)
def test_the_usual_ones(pattern: str, text: str) -> None:
    """Each part of the syntax that a line of output may need."""
    assert found(pattern, text) == by_re(pattern, text) != []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "cannot be read"),
        ("(?P<1>a)", "cannot be read"),
        ("[z-a]", "cannot be read"),
        ("*", "cannot be read"),
        ("(?P<x>" + "a" * 10_000 + ")", "more than 10,000"),
        ("(" * 5000, "cannot be read"),
    ],
)
def test_what_is_no_expression_is_refused(pattern: str, why: str) -> None:
    """Before the command starts, which may take days."""
    with pytest.raises(UsageError, match=why) as caught:
        Expression(pattern)
    assert caught.value.hint and len(caught.value.message) < 300


EXPLODING = [
    (r"(?P<x>(a+)+)$", "a" * 4000 + "b"),
    (r"(?P<x>(a|a)*)b", "a" * 4000),
    (r"(?P<x>(?:a|aa)+)c", "a" * 4000),
    (r".*.*.*.*.*(?P<x>\d)c", "x" * 4000 + "c"),
    (r"(?P<x>(?:\w+\s*)+):", "word " * 800),
    (r"(?P<x>(?:.*,)*)z", "1," * 2000),
]


@pytest.mark.parametrize(("pattern", "text"), EXPLODING)
def test_no_line_takes_long(pattern: str, text: str) -> None:
    """With `re`, the first of these takes longer than the universe is old."""
    began = time.process_time()
    with suppress(TooLong):
        assert found(pattern, text) == []
    assert time.process_time() - began < 1.5


def test_a_search_that_takes_too_long_says_so() -> None:
    """A line without a metric and a line that was not looked at to its end are not the same."""
    with pytest.raises(TooLong):
        found(*EXPLODING[0])


def test_other_threads_go_on_meanwhile() -> None:
    """In a run that the script itself began, the training is one of them; `re` would hold it up."""
    stop, turns = threading.Event(), 0

    def search() -> None:
        while not stop.is_set():
            for pattern, text in EXPLODING:
                try:
                    list(Expression(pattern).search(text))
                except TooLong:
                    pass

    thread = threading.Thread(target=search)
    thread.start()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        turns += 1
        time.sleep(0.001)
    stop.set()
    thread.join()
    assert turns > 20


def test_an_expression_is_compiled_once() -> None:
    """Two streams and the check beforehand want the same one."""
    assert expressions.expression("(?P<x>a)") is expressions.expression("(?P<x>a)")
