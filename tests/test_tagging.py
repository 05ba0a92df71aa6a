"""Names of the registry's tags: what GTO takes for one we do, and nothing else."""

from __future__ import annotations

import pytest

from gittrack.tagging import Event, compose, parse


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("churn@v1.2.0", Event("churn", "register", "1.2.0")),
        ("churn@v1.2.0!", Event("churn", "unregister", "1.2.0")),
        ("churn@v1.2.0#3", Event("churn", "register", "1.2.0", counter=3)),
        ("churn#production#7", Event("churn", "assign", stage="production", counter=7)),
        ("churn#production!#8", Event("churn", "unassign", stage="production", counter=8)),
        ("churn@deprecated", Event("churn", "deprecate")),
        ("models/eu=churn@v1.0.0", Event("models/eu:churn", "register", "1.0.0")),
        ("churn#production#07", None),
        ("churn@1.2.0", None),
    ],
)
def test_a_name_says_one_thing(tag: str, expected: Event | None) -> None:
    """A tag of somebody else's that is taken for a version would be a model that nobody made."""
    assert parse(tag) == expected
    if expected is not None:
        assert compose(expected) == tag
