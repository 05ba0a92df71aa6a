"""Names of the registry's tags: what GTO takes for one we do, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from gto.tag import parse_name
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gittrack.errors import BadName
from gittrack.tagging import (
    MOST_COUNTER,
    STAGES,
    Action,
    Event,
    check_model,
    check_new_model,
    check_stage,
    compose,
    parse,
    resembled,
)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("churn@v1.2.0", Event("churn", "register", "1.2.0")),
        ("churn@v1.2.0!", Event("churn", "unregister", "1.2.0")),
        ("churn@v1.2.0#3", Event("churn", "register", "1.2.0", counter=3)),
        ("churn@v1.2.0!#3", Event("churn", "unregister", "1.2.0", counter=3)),
        ("churn@v1.2.0-rc.1+b.5", Event("churn", "register", "1.2.0-rc.1+b.5")),
        ("churn#production#7", Event("churn", "assign", stage="production", counter=7)),
        ("churn#production!#8", Event("churn", "unassign", stage="production", counter=8)),
        ("churn#production", Event("churn", "assign", stage="production")),
        ("churn#production!", Event("churn", "unassign", stage="production")),
        ("churn#Prod/EU#7", Event("churn", "assign", stage="Prod/EU", counter=7)),
        ("churn@deprecated", Event("churn", "deprecate")),
        ("churn@deprecated#5", Event("churn", "deprecate", counter=5)),
        ("models/eu=churn@v1.0.0", Event("models/eu:churn", "register", "1.0.0")),
        ("eu/churn#s#999999999", Event("eu/churn", "assign", stage="s", counter=MOST_COUNTER)),
        ("churn#production#07", None),
        ("churn#production#0", None),
        ("churn#production#1000000000", None),
        ("churn#production#٣", None),
        ("churn@1.2.0", None),
        ("churn@v1.2", None),
        ("churn@v01.2.0", None),
        ("churn@created", None),
        ("churn@v1.2.0#production", None),
        ("churn@v1.2.0\n", None),
        ("-churn@v1.2.0", None),
        ("v1.2.0", None),
        ("", None),
        ("chürn@v1.2.0", None),
        (f"churn@v1.2.{'9' * 2000}", None),
    ],
)
def test_a_name_says_one_thing(tag: str, expected: Event | None) -> None:
    """A tag of somebody else's that is taken for a version would be a model that nobody made."""
    assert parse(tag) == expected
    if expected is not None:
        assert compose(expected) == tag


_ACTIONS: Mapping[str, Action] = {
    "register": "register", "deregister": "unregister", "assign": "assign",
    "unassign": "unassign", "deprecate": "deprecate",
}  # fmt: skip


@settings(deadline=None, max_examples=1000)
@given(
    st.one_of(
        st.from_regex(r"[a-z./=-]{1,4}[@#][a-zA-Z0-9@#!v./+-]{1,14}", fullmatch=True),
        st.from_regex(r"[a-z]{1,2}@v[0-9.a-z+-]{5,12}!?(#[0-9]{1,3})?", fullmatch=True),
        st.from_regex(r"([a-z/.]{1,3}=)?[a-z/]{1,3}#[a-zA-Z/_-]{1,5}!?(#[0-9]{1,10})?").map(
            str.strip
        ),
    )
)  # fmt: skip
@example("a=b=c@v1.0.0")
@example("a@deprecated!")
def test_what_gto_takes_for_one_we_do(tag: str) -> None:
    """Counters aside: GTO reads `07` and numbers without end; here each has one spelling."""
    theirs, mine = parse_name(tag, raise_on_fail=False), parse(tag)
    counter = tag.rpartition("#")[2] if theirs.get("counter") is not None else "1"
    if not theirs or "action" not in theirs or counter[0] == "0" or len(counter) > 9:
        assert mine is None
        return
    version = theirs.get("version")
    assert mine == Event(
        theirs["name"], _ACTIONS[theirs["action"].value], version and version[1:],
        theirs.get("stage"), theirs.get("counter"),
    )  # fmt: skip
    assert compose(mine) == tag


@pytest.mark.parametrize(
    ("tag", "model"),
    [
        ("churn@1.2.0", "churn"),
        ("churn@v1.2", "churn"),
        ("churn@created", "churn"),
        ("churn@deprecated!", "churn"),
        ("churn#production#07", "churn"),
        ("a=b@v1", "a:b"),
        ("v1.2.0", None),
        ("release/2024", None),
        ("fix#12", None),
        ("churn@main", None),
        ("", None),
    ],
)
def test_what_nearly_is_one_is_recognised(tag: str, model: str | None) -> None:
    """Whoever mistypes a tag is told so; other people's tags are none of our business."""
    assert resembled(tag) == model


@pytest.mark.parametrize(
    "name", ["churn", "a", "eu/churn", "models/eu:churn", "A-b_c/9", "x" * 100]
)
def test_a_model_may_be_called_so(name: str) -> None:
    """Each of them is a tag that Git and GTO take."""
    check_model(name)
    tag = compose(Event(name, "register", "1.0.0"))
    assert parse(tag) == Event(name, "register", "1.0.0")
    assert parse_name(tag)["name"] == name


@pytest.mark.parametrize(
    "name",
    ["", "-a", "a-", "/a", "a/", "a//b", "a b", "a@b", "a#b", "a=b", "a:b:c", ":a", "a:", "chürn",
     "a..b:c", "a.lock/b:c", ".a:b", "-a:b", "a.:b", "a\nb", "a\n", "x" * 101, "a^b", "a\x1b"],
)  # fmt: skip
def test_a_model_may_not_be_called_so(name: str) -> None:
    """Git would refuse the tag, or somebody would read another one."""
    with pytest.raises(BadName, match="is no name for a model"):
        check_model(name)


@pytest.mark.parametrize(
    "name", ["HEAD", "refs/a", "refs/tags/a", "tags/a", "heads/a", "remotes/a/b"]
)
def test_a_new_model_may_not_be_called_as_git_calls_something(name: str) -> None:
    """`git show HEAD@v1.0.0` must be nobody's riddle; one that GTO made goes on."""
    with pytest.raises(BadName, match="Git has another meaning"):
        check_new_model(name)
    check_model(name)
    for near in ("head", "HEADS", "tags", "team/refs/a", "refs"):
        check_new_model(near)


@pytest.mark.parametrize("name", [*STAGES, "champion", "qa-1", "a", "int_2", "test"])
def test_a_stage_may_be_called_so(name: str) -> None:
    """Any team has its own words."""
    check_stage(name)
    assert parse(f"churn#{name}#1") == Event("churn", "assign", stage=name, counter=1)


@pytest.mark.parametrize(
    "name",
    ["", "Production", "a b", "a/b", "-a", "a-", "latest", "none", "deprecated", "v1", "1", "1.0.0",
     "v1.0.0", "head", "greatest", "x" * 101, "é", "a!", "a#1", "a\n"],
)  # fmt: skip
def test_a_stage_may_not_be_called_so(name: str) -> None:
    """`churn@latest` and `churn@1.0.0` must go on meaning versions."""
    with pytest.raises(BadName, match="is no name for a stage"):
        check_stage(name)
