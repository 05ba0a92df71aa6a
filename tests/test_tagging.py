"""Names of version tags: what GTO takes for one we do, and nothing else."""

from __future__ import annotations

import pytest
from gto.constants import Action
from gto.tag import parse_name
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.tagging import Event, Tagged, Version, parse, versions


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("churn@v1.2.0", Event("churn", "1.2.0", False)),
        ("churn@v1.2.0!", Event("churn", "1.2.0", True)),
        ("churn@v1.2.0#3", Event("churn", "1.2.0", False)),
        ("churn@v1.2.0!#4", Event("churn", "1.2.0", True)),
        ("a@v0.0.1", Event("a", "0.0.1", False)),
        ("team/churn-2_b@v10.20.30", Event("team/churn-2_b", "10.20.30", False)),
        ("models/eu=churn@v1.0.0", Event("models/eu:churn", "1.0.0", False)),
        ("churn@v1.0.0-rc.1+build.5", Event("churn", "1.0.0-rc.1+build.5", False)),
        ("churn@v1.2", None),
        ("churn@1.2.0", None),
        ("churn@v01.2.0", None),
        ("churn@v1.2.0.1", None),
        ("churn@v1.2.0-", None),
        ("churn@v1.2.0-01", None),
        ("churn@v1.2.0+", None),
        ("churn@v1.2.0+a..b", None),
        ("churn@V1.2.0", None),
        ("churn@v1.2.0!!", None),
        ("churn@v1.2.0?", None),
        ("churn@v1.2.0#", None),
        ("churn@v1.2.0#production", None),
        ("churn#production#7", None),
        ("churn@deprecated", None),
        ("churn@latest", None),
        ("@v1.2.0", None),
        ("-churn@v1.2.0", None),
        ("churn-@v1.2.0", None),
        ("ch urn@v1.2.0", None),
        ("ch.urn@v1.2.0", None),
        ("a=b=c@v1.2.0", None),
        ("größe@v1.2.0", None),
        ("churn@v1.2.0\n", None),
        ("churn@v\N{ARABIC-INDIC DIGIT ONE}.2.0", None),
        ("churn@v1.2.0'; drop table runs; --", None),
        ("v1.2.0", None),
        ("", None),
    ],
)
def test_a_name_is_a_version_or_nothing(tag: str, expected: Event | None) -> None:
    """A tag of somebody else's that is taken for a version would be a model that nobody made."""
    assert parse(tag) == expected


@settings(deadline=None, max_examples=500)
@given(st.text("aZ09-_/=@v.!#+ ", max_size=24) | st.from_regex(
    r"\A[aZ0][a/_-]?(=[a0])?@v(0|1|10|01)\.2\.[03](-[a0.-]{1,3})?(\+[a0.]{1,3})?!?(#[1-9][0-9]?)?\Z"
))  # fmt: skip
def test_gto_reads_the_same(tag: str) -> None:
    """The registry must be readable without us, and what GTO wrote must count here."""
    theirs = parse_name(tag, raise_on_fail=False)
    actions = {Action.REGISTER: False, Action.DEREGISTER: True}
    expected = None
    if theirs and theirs.get("action") in actions:
        ends = actions[theirs["action"]]
        expected = Event(theirs["name"], theirs["version"].removeprefix("v"), ends)
    counter = tag.rpartition("#")[2] if expected and "#" in tag else "1"
    if counter.startswith("0") or len(counter) > 9:
        # GTO takes any digits for a counter; ours have one spelling.
        expected = None
    assert parse(tag) == expected


def test_a_long_name_takes_no_time() -> None:
    """Anybody can push a tag; packed refs take names that no file system would."""
    for text in ("a" * 50_000, "a@v1.2.0-" + "0" * 50_000, "a@v1.2.0-" + "a." * 25_000 + "!x"):
        assert parse(text + "\n") is None


def test_versions_are_live_until_they_are_taken_back() -> None:
    """Whichever tag came first, by any clock: the set of tags decides."""
    tags = [
        Tagged("churn@v1.0.0!", "b", 5),
        Tagged("churn@v1.0.0", "a", 9),
        Tagged("churn@v1.1.0", "b", None),
        Tagged("other@v1.1.0!", "b", 1),
        Tagged("v1.0.0", "c", 1),
    ]
    expected = [
        Version("churn", "1.0.0", "churn@v1.0.0", "a", 9, False),
        Version("churn", "1.1.0", "churn@v1.1.0", "b", None, True),
    ]
    assert versions(tags) == expected
    assert versions(reversed(tags)) == expected[::-1]
