"""What a version was before: what a rollback goes back to, and what it took a stage from."""

from __future__ import annotations

import pytest

from gittrack import assignments
from test_registry import VERSIONS, folded

_GIVEN = ("churn#production#1 A", "churn#production#2 B", "churn#production#3 C")
_BACK = "churn#production#4 B Restores=churn#production#2"

_ROLLED_BACK = {
    "no rollback": ((), ""),
    "one": ((_BACK,), "1.2.0"),
    "and one further back": (
        (_BACK, "churn#production#5 A Restores=churn#production#1"),
        "1.1.0 1.2.0",
    ),
    "given again since": ((_BACK, "churn#production#5 C"), ""),
    "given again and taken away": ((_BACK, "churn#production#5 C", "churn#production!#6 C"), ""),
    "given another stage since": ((_BACK, "churn#staging#5 C"), "1.2.0"),
    "others come after it": ((_BACK, "churn#production#5 A"), "1.2.0"),
    "brought back itself": ((_BACK, "churn#production#5 C Restores=churn#production#3"), "1.1.0"),
    "what it took is told by another tag, too": (
        (_BACK, "churn#production!#5 C Because=churn#production#4"),
        "1.2.0",
    ),
    "of another stage": (
        ("churn#qa#4 A", "churn#qa#5 B", "churn#qa#6 A Restores=churn#qa#4"),
        "",
    ),
    "nobody held it any more": (("churn#production!#4 C", _BACK.replace("#4", "#5")), ""),
    "what is brought back has no tag": (("churn#production#4 B Restores=gone",), "1.2.0"),
}


@pytest.mark.parametrize(("more", "expected"), _ROLLED_BACK.values(), ids=list(_ROLLED_BACK))
def test_what_a_rollback_took_a_stage_from_is_known(more: tuple[str, ...], expected: str) -> None:
    """What was found wanting at night must not be chosen again by a number the next night."""
    found = assignments.rolled_back(folded(*VERSIONS, *_GIVEN, *more), "production")
    assert " ".join(sorted(found)) == expected
