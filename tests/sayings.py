"""Events as a hostile or careless world writes them, for the tests of the fold and of the notes."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from gittrack.events import Event, parse


def line(counter: int, number: int, what: str, *, run: int = 1, **body: object) -> str:
    return f"{counter} {number:032x} {run:032x} {json.dumps({'what': what, **body})}"


def event(counter: int, number: int, what: str, **body: object) -> Event:
    found = parse(line(counter, number, what, **body))
    assert found is not None
    return found


_texts = st.text(max_size=5)
_bodies = st.one_of(
    st.fixed_dictionaries({"what": st.just("tag"), "key": st.sampled_from("ab"), "value": _texts}),
    st.fixed_dictionaries({"what": st.just("untag"), "key": st.sampled_from("ab")}),
    st.fixed_dictionaries({"what": st.sampled_from(["note", "title"]), "value": _texts}),
    st.fixed_dictionaries(
        {"what": st.sampled_from(["archive", "unarchive", "delete", "restore", "purge", "tag"])}
    ),
)
many_events = st.lists(
    st.builds(
        lambda counter, number, body: event(counter, number, **body),
        st.one_of(st.integers(1, 6), st.integers(1, 10**16 - 1)),
        st.integers(0, 4),
        _bodies,
    ),
    max_size=12,
)
