"""What is said of runs after they ended: the event line and the fold."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.errors import BadName, BadValue
from gittrack.events import (
    LARGEST_COUNTER,
    Change,
    Event,
    compose,
    fold,
    parse,
    resembles,
    set_tag,
    set_title,
    take_note,
)
from sayings import event, line, many_events

# -- the line -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "looks good",
        line(1, 1, "archive").replace("1 ", "0 ", 1),
        line(1, 1, "archive").replace("1 ", "01 ", 1),
        line(10**16, 1, "archive"),
        " " + line(1, 1, "archive"),
        line(1, 1, "archive").upper(),
        line(1, 1, "archive") + " x",
        f"1 {1:032x} {1:032x} []",
        f"1 {1:032x} {1:032x} {{}}",
        f'1 {1:032x} {1:032x} {{"what": 1}}',
        f'1 {1:032x} {1:032x} {{"what": "n\u00f6te"}}',
        f"1 {1:032x} {1:032x} " + "[" * 100_000,
        f'1 {1:032x} {1:032x} {{"what":"note","n":' + "9" * 100_000 + "}",
        f"\u0661 {1:032x} {1:032x} {{}}",
    ],
)
def test_what_is_no_event_is_none(text: str) -> None:
    """Notes are written by people too, and fetched from anybody."""
    assert parse(text) is None


def test_a_line_says_all_that_it_holds() -> None:
    """Counter, event, run and body come back; white space at the end is no difference."""
    text = line(7, 3, "tag", key="a", value="\u00fc")
    found = parse(text + " \r")
    assert found == Event(7, f"{3:032x}", f"{1:032x}", text, {})
    assert found is not None and found.body == {"what": "tag", "key": "a", "value": "\u00fc"}


changes = st.builds(
    Change,
    st.sampled_from(["tag", "note", "archive"]),
    st.none() | st.text(max_size=9),
    st.none() | st.text(max_size=9),
)


@given(st.integers(1, LARGEST_COUNTER), st.binary(min_size=16, max_size=16), changes, st.text())
@settings(deadline=None)
def test_a_line_comes_back(counter: int, number: bytes, change: Change, by: str) -> None:
    """Whatever people are called and write: one line of ASCII, for Git's notes are text."""
    text = compose(counter, number.hex(), "a" * 32, change, by=by, at="2026-01-31T12:00:00Z")
    assert text.isascii() and text.isprintable()
    found = parse(text)
    assert found is not None
    assert (found.counter, found.id, found.run) == (counter, number.hex(), "a" * 32)
    said = {"what": change.what, "key": change.key, "value": change.value}
    there = {key: value for key, value in said.items() if value is not None}
    assert found.body == {**there, "by": by, "at": "2026-01-31T12:00:00Z"}


@pytest.mark.parametrize(
    ("text", "damaged"),
    [
        (line(1, 1, "archive")[:-1], True),
        (line(1, 1, "archive") + " x\r", True),
        ("1 looks good", False),
        (line(1, 1, "archive")[1:], False),
        ("", False),
    ],
)
def test_a_damaged_event_is_told_from_a_remark(text: str, damaged: bool) -> None:
    """The one is reported, the other shown as a note."""
    assert parse(text) is None
    assert resembles(text) is damaged


# -- the fold -----------------------------------------------------------------------------------


@given(many_events, st.data())
@settings(deadline=None)
def test_the_fold_knows_neither_order_nor_repetition(
    events: list[Event], data: st.DataObject
) -> None:
    """Notes are merged as sets of lines: whoever merges in whatever order must see one state."""
    again = data.draw(st.permutations(events + events[:3]))
    assert fold(again) == fold(events)


def test_the_counter_decides_and_not_the_time() -> None:
    """A clock that goes wrong must not undo what was said later."""
    early = event(1, 9, "title", value="first", at="2099-01-01T00:00:00Z")
    late = event(2, 1, "title", value="second", at="1970-01-01T00:00:00Z")
    assert fold([late, early]).title == "second"


def test_at_one_counter_the_event_id_decides() -> None:
    """Two people who were offline say different things at the same counter."""
    assert fold([event(1, 2, "delete"), event(1, 1, "restore")]).deleted
    assert not fold([event(1, 1, "delete"), event(1, 2, "restore")]).deleted


def test_each_verb_does_what_it_says() -> None:
    """The whole vocabulary, once forth and once back."""
    forth = [
        event(1, 1, "tag", key="team", value="blue"),
        event(2, 2, "tag", key="old", value=""),
        event(3, 3, "note", value="first\nand second line"),
        event(4, 4, "title", value="The one"),
        event(5, 5, "archive"),
        event(6, 6, "delete"),
    ]
    state = fold(forth)
    assert state.tags == {"team": "blue", "old": ""}
    assert state.notes == ("first\nand second line",)
    assert (state.title, state.archived, state.deleted, state.top) == ("The one", True, True, 6)
    back = [
        event(7, 7, "untag", key="team"),
        event(8, 8, "title", value=""),
        event(9, 9, "unarchive"),
        event(10, 10, "restore"),
        event(11, 11, "promote-to-the-moon"),
    ]
    state = fold(forth + back)
    assert state.tags == {"team": None, "old": ""}
    assert (state.title, state.archived, state.deleted, state.top) == ("", False, False, 11)
    assert state.faults == ()


def test_a_jump_of_the_counter_is_quarantined_with_all_beyond_it() -> None:
    """One hostile line must neither win forever nor use up the counter."""
    good = [event(1, 1, "note", value="good"), event(1_000_001, 2, "note", value="far")]
    state = fold([*good, event(2_000_002, 3, "delete"), event(2_000_003, 4, "delete")])
    assert state.notes == ("good", "far")
    assert not state.deleted and state.top == 1_000_001
    assert state.faults == ("2 events ignored: their counter jumps from 1000001 to 2000002",)


@pytest.mark.parametrize(
    "body",
    [
        {"what": "tag", "key": "a"},
        {"what": "tag", "key": 1, "value": "x"},
        {"what": "untag"},
        {"what": "note", "value": ["x"]},
        {"what": "title", "value": None},
        {"what": "note", "value": "\ud800"},
    ],
)
def test_an_event_without_what_it_needs_changes_nothing(body: dict[str, object]) -> None:
    """A wrong type must not come out where a table expects text."""
    state = fold([event(1, 1, **body)])  # type: ignore[arg-type]
    assert (state.tags, state.notes, state.title) == ({}, (), None)
    assert len(state.faults) == 1


# -- what may be said ---------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [
    lambda: take_note(" \n"), lambda: set_title("a\nb"), lambda: take_note("x" * 40_000),
    lambda: set_tag("k", "x" * 40_000), lambda: set_tag("", "x"), lambda: set_tag("a\nb", "x"),
])  # fmt: skip
def test_what_cannot_be_said_is_refused(wrong: Callable[[], Change]) -> None:
    """Refused where it enters, so that every reader may rely on it."""
    with pytest.raises((BadValue, BadName)):
        wrong()
