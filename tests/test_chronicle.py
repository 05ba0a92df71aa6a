"""The order of a model's changes, and what is said of them."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import chronicle, inscriptions, registry
from gittrack.registry import Change, Model
from gittrack.tags import Tag

START = 1_767_268_800


def tag(name: str, commit: str, moment: int | None = START, **trailers: str) -> Tag:
    """An annotated tag of the registry; `previous="none"` is the trailer `Previous: none`."""
    pairs = [(key.capitalize(), value) for key, value in trailers.items()]
    message = inscriptions.compose("It is so", "", pairs)
    id = hashlib.sha1(name.encode()).hexdigest()
    target = commit.encode().hex().ljust(40, "0")
    return Tag(name, id, True, name, target, "commit", "Ada", "ada@example.org", moment, message)


def model(*tags: Tag, name: str = "churn") -> Model:
    return registry.fold(tags).models[name]


def names(changes: list[Change]) -> list[str]:
    return [one.tag.removeprefix("churn") for one in changes]


def test_a_registration_stands_where_its_date_says() -> None:
    """Between the promotions before and after it, which have counters and it has none."""
    found = chronicle.ordered(
        model(
            tag("churn@v1.0.0", "A", START),
            tag("churn#production#1", "A", START + 10),
            tag("churn@v1.1.0", "B", START + 20),
            tag("churn#production#2", "B", START + 30),
            tag("churn@deprecated", "B", START + 40),
        )
    )
    assert names(found) == [
        "@v1.0.0", "#production#1", "@v1.1.0", "#production#2", "@deprecated",
    ]  # fmt: skip


def test_no_date_moves_what_counters_order() -> None:
    """A clock that is a year ahead must not put a promotion behind the one that replaced it."""
    year = 365 * 86400
    found = chronicle.ordered(
        model(
            tag("churn@v1.0.0", "A", START),
            tag("churn#production#1", "A", START + year),
            tag("churn#production#2", "A", START + 10),
            tag("churn#staging#3", "A", START + 20),
            tag("churn@v1.1.0", "B", START + 30),
        )
    )
    assert names(found) == [
        "@v1.0.0", "#production#1", "#production#2", "#staging#3", "@v1.1.0",
    ]  # fmt: skip


def test_a_version_is_registered_before_anything_is_done_with_it() -> None:
    """Whatever its tag's date says: a promotion of what is not there would be read as an error."""
    found = chronicle.ordered(
        model(
            tag("churn@v1.0.0", "A", START + 1000),
            tag("churn#production#1", "A", START),
            tag("churn@v1.0.0!", "A", None),
        )
    )
    assert names(found) == ["@v1.0.0", "@v1.0.0!", "#production#1"]


def test_a_registration_with_a_counter_stands_by_it() -> None:
    """GTO can number these too, and a number says more than a date."""
    found = chronicle.ordered(
        model(
            tag("churn@v1.0.0", "A", START),
            tag("churn#production#1", "A", START),
            tag("churn#staging#3", "A", START),
            tag("churn@v1.1.0#2", "B", START + 99),
        )
    )
    assert names(found) == ["@v1.0.0", "#production#1", "@v1.1.0#2", "#staging#3"]


EVENTS = st.sampled_from(
    [(version, stage) for version in ("A", "B", "C") for stage in ("production", "staging")]
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(EVENTS, st.integers(0, 9)), max_size=12),
    st.lists(st.none() | st.integers(0, 9), min_size=4, max_size=4),
)
def test_the_order_contradicts_no_counter(
    staged: list[tuple[tuple[str, str], int]], dates: list[int | None]
) -> None:
    """With any dates: nothing is lost, counters rise, registrations come first."""
    numbers = {"A": "1.0.0", "B": "1.1.0", "C": "1.2.0"}
    tags = [
        tag(f"churn@v{number}", commit, None if date is None else START + date)
        for (commit, number), date in zip(numbers.items(), dates, strict=False)
    ]
    tags.append(tag("churn@v1.1.0!", "B", dates[3] and START + dates[3]))
    tags += [
        tag(f"churn#{stage}#{counter}", commit, START + date)
        for counter, ((commit, stage), date) in enumerate(staged, 1)
    ]
    known = model(*tags)
    found = chronicle.ordered(known)
    assert sorted(found) == sorted(known.history) if all(dates) else len(found) == len(tags)
    counters = [one.counter for one in found if one.counter is not None]
    assert all(before < after for before, after in pairwise(counters))
    seen: set[str | None] = set()
    for one in found:
        if one.action == "register":
            seen.add(one.version)
        assert one.version in seen


# -- decisions and their consequences -------------------------------------------------------------

PROMOTED = (
    tag("churn@v1.0.0", "A", START),
    tag("churn@v1.1.0", "B", START + 1),
    tag("churn#production#1", "A", START + 2, previous="none"),
    tag("churn#staging#2", "B", START + 3, previous="none"),
    tag("churn#production#3", "B", START + 4, previous="churn#production#1", reason="better"),
    tag("churn#staging!#4", "B", START + 5, because="churn#production#3"),
    tag("churn#production!#5", "A", START + 6, because="churn#production#3"),
)


def test_consequences_are_told_with_their_decision() -> None:
    """Three tags are one thing that somebody did."""
    first, *others = chronicle.deeds(model(*PROMOTED))
    assert first.words == "v1.1.0 to production (before: v1.0.0)"
    assert names(list(first.consequences)) == ["#staging!#4", "#production!#5"]
    assert [deed.words for deed in others] == [
        "v1.1.0 to staging (before: nobody)",
        "v1.0.0 to production (before: nobody)",
        "v1.1.0 registered",
        "v1.0.0 registered",
    ]
    full = chronicle.deeds(model(*PROMOTED), full=True)
    assert [deed.words for deed in full[:3]] == [
        "v1.0.0 left production",
        "v1.1.0 left staging",
        "v1.1.0 to production (before: v1.0.0)",
    ]
    assert [deed.cause for deed in full[:3]] == ["churn#production#3"] * 2 + [None]
    assert chronicle.last(model(*PROMOTED)) == first.change


@pytest.mark.parametrize(
    "because",
    ["churn#production#9", "churn#production!#5", "churn#staging!#4", "other#production#1", "x"],
)
def test_what_follows_from_nothing_stands_by_itself(because: str) -> None:
    """Nobody can hide a change by saying that it follows from one that is not there, or later."""
    known = model(*PROMOTED[:4], tag("churn#staging!#4", "B", START + 5, because=because))
    first = chronicle.deeds(known)[0]
    assert first.change.tag == "churn#staging!#4" and first.cause is None
    assert first.words == "v1.1.0 left staging"


WORDS = {
    "given": (("churn#production#2", "B"), {}, "v1.1.0 to production (before: v1.0.0)"),
    "again": (("churn#production#2", "A"), {}, "v1.0.0 keeps production"),
    "archived": (("churn#archived#2", "B"), {}, "v1.1.0 archived"),
    "taken": (("churn#production!#2", "A"), {}, "v1.0.0 left production"),
    "not held": (
        ("churn#production!#2", "B"), {}, "v1.1.0 left production (no effect)",
    ),
    "rolled back": (
        ("churn#production#2", "B"), {"restores": "churn#production#0"},
        "production back to v1.1.0 (before: v1.0.0)",
    ),
    "alias": (("churn#champion#2", "B"), {"kind": "alias"}, "champion points at v1.1.0"),
    "unalias": (
        ("churn#champion!#2", "B"), {"kind": "alias"},
        "champion points at v1.1.0 no more (no effect)",
    ),
    "taken back": (("churn@v1.1.0!", "B"), {}, "v1.1.0 taken back"),
    "deprecated": (("churn@deprecated", "B"), {}, "deprecated: not to be used any more"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "trailers", "words"), WORDS.values(), ids=WORDS)
def test_each_change_has_words(made: tuple[str, str], trailers: dict[str, str], words: str) -> None:
    """What a table says in a line is what the fold made of the tag."""
    known = model(*PROMOTED[:3], tag(*made, START + 60, **trailers))
    assert chronicle.deeds(known)[0].words == words


def test_the_changes_of_several_models_are_told_together() -> None:
    """By their dates, and each model's in its own order, even if its dates say otherwise."""
    one = model(
        tag("churn@v1.0.0", "A", START),
        tag("churn#production#1", "A", START + 9),
        tag("churn#staging#2", "A", START + 3),
    )
    other = model(tag("wine@v1.0.0", "C", START + 5), name="wine")
    told = [deed.change.tag for deed in chronicle.all_deeds([one, other])]
    assert told == ["wine@v1.0.0", "churn#staging#2", "churn#production#1", "churn@v1.0.0"]


def test_nothing_follows_from_what_came_later() -> None:
    """Whoever writes a tag tonight must not be able to hide one of this morning beneath it."""
    known = model(
        *PROMOTED[:4],
        tag("churn#staging!#4", "B", START + 5, because="churn#production#5"),
        tag("churn#production#5", "B", START + 6, previous="churn#production#1"),
    )
    later, earlier, *_ = chronicle.deeds(known)
    assert later.consequences == () and earlier.change.tag == "churn#staging!#4"
    assert earlier.cause is None
