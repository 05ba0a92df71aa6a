"""What tags add up to: the table of docs/registry.md, and that nothing but the set decides.

A tag is written here as its name, the commit that it is on, and its trailers:
`churn#production#7 A Previous=none`.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import inscriptions, registry
from gittrack.errors import ModelNotFound
from gittrack.registry import Model, Registry
from gittrack.tagging import ARCHIVED, STAGES, parse
from gittrack.tags import Tag

START = 1_767_268_800


def said(text: str, moment: int | None = START) -> Tag:
    """The annotated tag that a line of these tests stands for."""
    name, commit, *trailers = text.split(" ")
    pairs = [(key, value) for key, _, value in (item.partition("=") for item in trailers)]
    message = inscriptions.compose("It is so", "", pairs)
    target = commit.encode().hex().ljust(40, "0")
    id = hashlib.sha1(text.encode("utf-8", "surrogateescape")).hexdigest()
    return Tag(name, id, True, name, target, "commit", "Ada", "ada@example.org", moment, message)


def folded(*lines: str) -> Model:
    """The model `churn`, of which these tags are."""
    return registry.fold(map(said, lines)).models["churn"]


def held(known: Model) -> str:
    """Who holds what: `production=1.0.0 champion=~1.1.0`, where `~` marks an alias."""
    return " ".join(
        f"{one.stage}={'~' if one.is_alias else ''}{one.version}" for one in known.holdings
    )


def disputed(known: Model) -> str:
    return " ".join(one.tag.removeprefix("churn") for one in known.contested)


# A is of 1.0.0, B of 1.1.0, C of 1.2.0; the tags of each case are added to these.
VERSIONS = ("churn@v1.0.0 A", "churn@v1.1.0 B", "churn@v1.2.0 C")

TABLE = {
    # -- giving and taking
    "nothing is held before anything is given": ([], ""),
    "who is given a stage holds it": (["churn#production#1 A"], "production=1.0.0"),
    "the next one holds it alone": (
        ["churn#production#1 A", "churn#production#2 B"],
        "production=1.1.0",
    ),
    "the counter decides, not the number of digits": (
        ["churn#production#10 A", "churn#production#9 B"],
        "production=1.0.0",
    ),
    "what is taken is held by nobody": (["churn#production#1 A", "churn#production!#2 A"], ""),
    "who held it before does not come back": (
        ["churn#production#1 A", "churn#production#2 B", "churn#production!#3 B"],
        "",
    ),
    "taking from one who holds it no more changes nothing": (
        ["churn#production#1 A", "churn#production#2 B", "churn#production!#3 A"],
        "production=1.1.0",
    ),
    "taking before giving changes nothing": (
        ["churn#production!#1 A", "churn#production#2 A"],
        "production=1.0.0",
    ),
    "gaps between counters are nothing": (
        ["churn#production#5 A", "churn#production#900000000 B"],
        "production=1.1.0",
    ),
    # -- one stage at a time
    "a version that goes on leaves its stage": (
        ["churn#staging#1 A", "churn#production#2 A"],
        "production=1.0.0",
    ),
    "and goes back": (
        ["churn#staging#1 A", "churn#production#2 A", "churn#staging#3 A"],
        "staging=1.0.0",
    ),
    "the stage that it left is empty": (
        ["churn#staging#1 B", "churn#staging#2 A", "churn#production#3 A"],
        "production=1.0.0",
    ),
    "its own consequence changes nothing more": (
        [
            "churn#staging#1 A",
            "churn#production#2 B",
            "churn#production#3 A",
            "churn#staging!#4 A Because=churn#production#3",
            "churn#production!#5 B Because=churn#production#3",
        ],
        "production=1.0.0",
    ),
    "stages of different versions are their own": (
        ["churn#staging#1 A", "churn#production#2 B", "churn#qa/eu#3 C"],
        "production=1.1.0 qa/eu=1.2.0 staging=1.0.0",
    ),
    # -- archived
    "archived holds many": (
        ["churn#archived#1 A", "churn#archived#2 B"],
        "archived=1.0.0 archived=1.1.0",
    ),
    "archiving ends the stage": (["churn#production#1 A", "churn#archived#2 A"], "archived=1.0.0"),
    "out of the archive into a stage": (
        ["churn#archived#1 A", "churn#archived#2 B", "churn#staging#3 A"],
        "archived=1.1.0 staging=1.0.0",
    ),
    "one of many is taken": (
        ["churn#archived#1 A", "churn#archived#2 B", "churn#archived!#3 A"],
        "archived=1.1.0",
    ),
    # -- aliases
    "an alias ends no stage": (
        ["churn#production#1 A", "churn#champion#2 A Kind=alias"],
        "champion=~1.0.0 production=1.0.0",
    ),
    "an alias moves": (
        ["churn#champion#1 A Kind=alias", "churn#champion#2 B Kind=alias"],
        "champion=~1.1.0",
    ),
    "a version has any number of aliases": (
        ["churn#champion#1 A Kind=alias", "churn#eu#2 A Kind=alias"],
        "champion=~1.0.0 eu=~1.0.0",
    ),
    "an alias stays when the version goes on": (
        ["churn#champion#1 A Kind=alias", "churn#staging#2 A", "churn#production#3 A"],
        "champion=~1.0.0 production=1.0.0",
    ),
    "an alias is taken": (
        ["churn#champion#1 A Kind=alias", "churn#champion!#2 A Kind=alias"],
        "",
    ),
    "what another tool gives is a stage": (
        ["churn#production#1 A", "churn#champion#2 A"],
        "champion=1.0.0",
    ),
    "the first stages are never aliases": (
        ["churn#staging#1 A", "churn#production#2 A Kind=alias"],
        "production=1.0.0",
    ),
    # -- equal counters
    "of equal counters giving comes first": (
        ["churn#production#1 A", "churn#production!#1 A"],
        "",
    ),
    "then the name decides": (
        ["churn#staging#1 A", "churn#production#1 A"],
        "staging=1.0.0",
    ),
    # -- versions that end
    "a version that was taken back holds nothing": (
        ["churn#production#1 A", "churn#champion#2 A Kind=alias", "churn@v1.0.0! A"],
        "",
    ),
    "and who held it before holds nothing either": (
        ["churn#production#1 A", "churn#production#2 B", "churn@v1.1.0! B"],
        "",
    ),
    "what it is given later changes nothing for it": (
        ["churn@v1.1.0!#1 B", "churn#production#2 A", "churn#production#3 B"],
        "",
    ),
    "a version is used once": (
        ["churn@v1.0.0!#1 A", "churn@v1.0.0#2 A", "churn#production#3 A"],
        "",
    ),
    "a retired model's versions hold what they hold": (
        ["churn#production#1 A", "churn@deprecated A"],
        "production=1.0.0",
    ),
    # -- which version a commit means
    "of two versions on a commit the trailer decides": (
        ["churn@v2.0.0 A", "churn#production#1 A Version=1.0.0"],
        "production=1.0.0",
    ),
    "with a v too": (
        ["churn@v2.0.0 A", "churn#production#1 A Version=v1.0.0"],
        "production=1.0.0",
    ),
    "without one the highest is meant": (
        ["churn@v2.0.0 A", "churn@v2.0.0-rc.1 A", "churn#production#1 A"],
        "production=2.0.0",
    ),
    "taken back or not": (
        ["churn@v2.0.0 A", "churn@v2.0.0! A", "churn#production#1 A"],
        "",
    ),
    "what takes without saying from whom takes from each on the commit": (
        ["churn@v2.0.0 A", "churn#production#1 A Version=1.0.0", "churn#production!#2 A"],
        "",
    ),
    "a version of another commit is not meant": (
        ["churn#production#1 A", "churn#production#2 A Version=1.1.0"],
        "production=1.0.0",
    ),
    "what is no version names none": (
        ["churn#production#1 A Version=final"],
        "production=1.0.0",
    ),
    "a commit without a version gives nothing": (
        ["churn#production#1 A", "churn#production#2 Z"],
        "production=1.0.0",
    ),
    "a second registration elsewhere holds nothing, but ends what it ends": (
        ["churn@v1.0.0#9 Z", "churn#production#1 B", "churn#production#2 Z Version=1.0.0"],
        "",
    ),
    # -- GTO
    "tags without a counter come first": (
        ["churn#production A", "churn#production#1 B"],
        "production=1.1.0",
    ),
    "and count": (["churn#production A"], "production=1.0.0"),
    "taken without a counter": (["churn#production A", "churn#production! A"], ""),
    "GTO's capitals and slashes are stages": (
        ["churn#Prod/EU#1 A", "churn#v1#2 B"],
        "Prod/EU=1.0.0 v1=1.1.0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lines,expected", TABLE.values(), ids=TABLE)
def test_tags_add_up_to_who_holds_what(lines: Sequence[str], expected: str) -> None:
    """This is the table of docs/registry.md; whoever deploys relies on each line of it."""
    tags = [*VERSIONS, *lines]
    assert held(folded(*tags)) == expected
    # In the other direction too: Git lists them by name, a fold must not know that.
    assert held(folded(*reversed(tags))) == expected


DOCS = (Path(__file__).parents[1] / "docs" / "registry.md").read_text("utf-8")
EXAMPLES = re.findall(r"^\| (`[#@].*?) \| (.*?) \|$", DOCS, re.MULTILINE)


@pytest.mark.parametrize("tags,expected", EXAMPLES, ids=[tags for tags, _ in EXAMPLES])
def test_the_table_in_the_docs_is_what_happens(tags: str, expected: str) -> None:
    """Whoever reads tags with another program goes by it."""
    found = re.findall(r"`(.*?)` ([A-C])( \(alias\))?", tags)
    lines = [f"churn{tag} {run}{' Kind=alias' if alias else ''}" for tag, run, alias in found]
    known = folded(*VERSIONS, *lines)
    assert ", ".join(f"{one.stage} {one.version}" for one in known.holdings) == (
        "" if expected == "nobody" else expected
    )


def test_the_docs_have_examples() -> None:
    """Else the test above would ask nothing."""
    assert len(EXAMPLES) == 11


CONTESTED = {
    "decided upon what was there": (["#production#1 A Previous=none"], ""),
    "decided upon the one before": (
        ["#production#1 A Previous=none", "#production#2 B Previous=churn#production#1"],
        "",
    ),
    "decided when it was free": (
        ["#production#1 A Previous=none", "#production#2 B Previous=none"],
        "#production#2",
    ),
    "decided upon one that was over": (
        ["#production#1 A", "#production!#2 A", "#production#3 B Previous=churn#production#1"],
        "#production#3",
    ),
    "decided upon no tag": (["#production#1 A Previous=what"], "#production#1"),
    "taken from another than was meant": (
        ["#production#1 A", "#production#2 B", "#production!#3 A Previous=churn#production#1"],
        "#production!#3",
    ),
    "a consequence is no decision": (
        [
            "#staging#1 A",
            "#production#2 A",
            "#staging!#3 A Previous=none Because=churn#production#2",
        ],
        "",
    ),
    "a consequence of what was lost: another has its name": (
        [
            "#staging#1 B",
            "#production#2 A Previous=none",
            "#staging!#3 B Previous=churn#staging#1 Because=churn#production#2",
        ],
        "#staging!#3",
    ),
    "a consequence of what does not count": (
        [
            "#production#1 A",
            "#production#2 D Version=1.3.0 Previous=churn#production#1",
            "#production!#3 A Previous=churn#production#1 Because=churn#production#2",
        ],
        "#production!#3",
    ),
    "a consequence of taking a version back": (
        ["#production#1 A", "@v1.0.0! A", "#production!#2 A Because=churn@v1.0.0!"],
        "",
    ),
    "a consequence of what was lost, decided anew": (
        [
            "#staging#1 B",
            "#staging!#3 B Previous=churn#staging#1 Because=churn#production#2",
            "#staging#4 B Previous=none",
        ],
        "",
    ),
    "archived has no holder to be replaced": (
        ["#archived#1 A Previous=none", "#archived#2 B Previous=churn#archived#7"],
        "",
    ),
    "GTO says nothing of what was before": (["#production#1 A", "#production#2 B"], ""),
    "one number, one stage": (
        ["#production#1 A", "#production!#1 A"],
        "#production#1 #production!#1",
    ),
    "one number, one version": (
        ["#production#1 A", "#staging#1 A"],
        "#production#1 #staging#1",
    ),
    "one number, nothing in common": (["#production#1 A", "#staging#1 B"], ""),
    "one number, a stage and an alias": (["#production#1 A", "#champion#1 A Kind=alias"], ""),
    "decided anew": (
        [
            "#production#1 A Previous=none",
            "#production#2 B Previous=none",
            "#production#3 B Previous=churn#production#2",
        ],
        "",
    ),
    "decided anew by taking it": (
        ["#production#2 B Previous=churn#production#7", "#production!#3 B"],
        "",
    ),
    "not decided anew by what follows from it": (
        [
            "#production#2 B Previous=churn#production#7",
            "#production!#3 A Because=churn#production#2",
        ],
        "#production#2",
    ),
    "not ended by what changes nothing": (
        ["#production#2 B Previous=churn#production#7", "#production!#3 A"],
        "#production#2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lines,expected", CONTESTED.values(), ids=CONTESTED)
def test_what_was_decided_upon_something_else_is_contested(
    lines: Sequence[str], expected: str
) -> None:
    """Two who promote at once must learn of one another, until somebody decides again."""
    known = folded(*VERSIONS, *("churn" + line for line in lines))
    assert disputed(known) == expected
    for one in known.holdings:
        here = [each for each in known.contested if each.stage == one.stage]
        assert list(one.contested) == here
    assert all(one.contested for one in known.contested)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["#production#1 A"], [(None, True)]),
        (["#production#1 A", "#production#2 B"], [(None, True), ("#production#1", True)]),
        (["#production#1 A", "#production#2 A"], [(None, True), ("#production#1", False)]),
        (["#production#1 A", "#production!#2 A"], [(None, True), ("#production#1", True)]),
        (["#production#1 A", "#production!#2 B"], [(None, True), (None, False)]),
        (["#archived#1 A", "#archived#2 B"], [(None, True), (None, True)]),
        (["#archived#1 A", "#archived#2 A"], [(None, True), ("#archived#1", False)]),
        (["#staging#1 A", "#production#2 A"], [(None, True), (None, True)]),
    ],
)
def test_a_change_says_what_it_replaced_and_whether_it_changed_anything(
    lines: Sequence[str], expected: Sequence[tuple[str | None, bool]]
) -> None:
    """A rollback follows these backwards: a wrong one brings back the wrong model."""
    known = folded(*VERSIONS, *("churn" + line for line in lines))
    found = [one for one in known.history if one.stage is not None]
    assert [
        (one.replaced and one.replaced.removeprefix("churn"), one.has_effect) for one in found
    ] == expected


def test_a_version_knows_what_it_holds() -> None:
    """`model show` reads it from here."""
    known = folded(
        *VERSIONS, "churn#production#1 B", "churn#champion#2 B Kind=alias", "churn@v1.2.0! C"
    )
    one = known.version("1.1.0")
    assert one is not None and one.since is not None
    assert (one.stage, one.aliases, one.since.tag) == (
        "production", ("champion",), "churn#production#1",
    )  # fmt: skip
    gone = known.version("1.2.0")
    assert gone is not None and not gone.is_live and gone.stage is None
    assert known.latest == one
    assert [one.version for one in known.versions] == ["1.2.0", "1.1.0", "1.0.0"]


# -- tags that are not right ----------------------------------------------------------------------

GOOD = [said(line) for line in (*VERSIONS, "churn#staging#1 B", "churn#production#2 A")]

FAULTS: Mapping[str, tuple[Tag, str | None]] = {
    "lightweight": (
        said("churn@v2.0.0 A")._replace(is_annotated=False, kind=""),
        "it is a lightweight tag: nobody says who made it, and when",
    ),
    "on a tree": (said("churn@v2.0.0 A")._replace(kind="tree"), "it is on a tree, not on a commit"),
    "on a tag": (
        said("churn#production#9 B")._replace(kind="tag"),
        "it is on a tag, not on a commit",
    ),
    "a copy": (
        said("churn#production#9 B")._replace(own_name="churn#production#3"),
        "the tag was made under another name",
    ),
    "broken": (
        said("churn#production#9 B")._replace(kind="broken", is_annotated=False),
        "it cannot be read",
    ),
    "too long": (
        said("churn#production#9 B")._replace(message="x" * 70_000),
        "its message is longer than 64 KiB",
    ),
    "no commit of a version": (
        said("churn#production#9 Z"),
        "no version of 'churn' is on its commit",
    ),
    "another commit's version": (
        said("churn#production#9 B Version=1.2.0"),
        "it names version 1.2.0, which is not on its commit",
    ),
    "a number again": (
        said("churn@v1.0.0#7 Z"),
        "version 1.0.0 is registered already, by 'churn@v1.0.0'",
    ),
    "an end of nothing": (
        said("churn@v7.0.0! B"),
        "it takes back version 7.0.0, which is not registered",
    ),
    "no v": (said("churn@1.5.0 B"), "its name is not of the registry's form"),
    "two numbers": (said("churn@v1.5 B"), "its name is not of the registry's form"),
    "a counter with a zero": (
        said("churn#production#07 B"),
        "its name is not of the registry's form",
    ),
    "a counter too great": (
        said("churn#production#1000000000 B"),
        "its name is not of the registry's form",
    ),
    "a creation": (said("churn@created B"), "its name is not of the registry's form"),
    "a name without end": (
        said(f"churn@v1.0.{'9' * 5000} B"),
        "its name is not of the registry's form",
    ),
    "a version of an unknown model": (
        said("other@v1.0.0 B")._replace(is_annotated=False),
        "it is a lightweight tag: nobody says who made it, and when",
    ),
    "a bug's number": (said("fix#123 B"), None),
    "a bug's number, twice": (said("fix#12#3 B"), None),
    "a package's version": (said("package@2.0.0 B"), None),
    "a release": (said("v2.0.0 B"), None),
    "a name that is no text": (said("caf\udce9#production#9 B"), None),
}  # fmt: skip


@pytest.mark.parametrize("bad,reason", FAULTS.values(), ids=FAULTS)
def test_a_tag_that_is_not_right_is_named_and_changes_nothing_else(
    bad: Tag, reason: str | None
) -> None:
    """Whoever may push a tag would else decide what everybody's production is."""
    before, after = registry.fold(GOOD), registry.fold([*GOOD, bad])
    assert after.problems == (() if reason is None else ((bad.name, reason, "cannot" in reason),))
    model = after.models["churn"]
    assert model._replace(top=0) == before.models["churn"]._replace(top=0)
    assert list(after.models) == ["churn"]


def test_the_next_counter_is_beyond_every_tag() -> None:
    """A name that is taken, by a tag that counts or not, cannot be written again."""
    bad = said("churn#production#41 B")._replace(is_annotated=False)
    assert registry.fold([*GOOD, bad]).models["churn"].top == 41


def test_a_tag_for_several_versions_is_doubtful() -> None:
    """It counts, but whoever made it may have meant another one."""
    lines = (*VERSIONS, "churn@v3.0.0 B", "churn#qa#9 B", "churn#staging#1 B Version=1.1.0")
    known = registry.fold(map(said, lines))
    # What it takes, it takes from both.
    assert held(known.models["churn"]) == "qa=3.0.0"
    assert known.problems == (
        ("churn#qa#9", "on its commit are versions 1.1.0, 3.0.0: 3.0.0 is meant", False),
    )


# -- the set decides ------------------------------------------------------------------------------

MODELS = ("churn", "models/eu=churn")
COMMITS = "ABCD"
NUMBERS = ("1.0.0", "1.1.0", "2.0.0-rc.1", "2.0.0")
NAMES = (*STAGES, "champion", "Prod/EU")

_counters = st.one_of(st.none(), st.integers(1, 12))
_trailers = st.fixed_dictionaries(
    {},
    optional={
        "Version": st.sampled_from([*NUMBERS, "v1.0.0", "final", "9.9.9"]),
        "Previous": st.sampled_from(["none", "churn#production#1", "churn#staging#2", "x"]),
        "Kind": st.sampled_from(["alias", "stage"]),
        "Because": st.sampled_from(["churn#production#1", "x"]),
    },
)


@st.composite
def _tags(draw: st.DrawFn, whats: Sequence[str] = ("stage", "version", "end")) -> Tag:
    model, commit = draw(st.sampled_from(MODELS)), draw(st.sampled_from(COMMITS))
    what, counter = draw(st.sampled_from(whats)), draw(_counters)
    end = draw(st.sampled_from(["", "", "", "!"]))
    if what == "stage":
        name = f"{model}#{draw(st.sampled_from(NAMES))}{end}"
    elif what == "version":
        name = f"{model}@v{draw(st.sampled_from(NUMBERS))}{end}"
    else:
        name = f"{model}@deprecated"
    name += "" if counter is None else f"#{counter}"
    pairs = [f"{key}={value}" for key, value in draw(_trailers).items()]
    moment = draw(st.one_of(st.none(), st.sampled_from([START, START + 1, START + 31_536_000])))
    return said(" ".join([name, commit, *pairs]), moment)


_sets = st.lists(_tags(), max_size=25, unique_by=lambda tag: tag.name)


def _dateless(known: Registry) -> object:
    """All that a registry says but when."""
    text = repr(known._replace(models=dict(known.models)))
    for moment in (START, START + 1, START + 31_536_000, 0, None):
        text = text.replace(f"moment={moment!r}", "moment").replace(
            f"latest_moment={moment!r}", "latest_moment"
        )
    return text


@settings(deadline=None, max_examples=150)
@given(_sets, st.randoms(use_true_random=False))
def test_the_order_in_which_tags_arrive_is_nothing(tags: list[Tag], chance: random.Random) -> None:
    """Every clone gets them in another order, and all must name the same production."""
    expected = registry.fold(tags)
    mixed = chance.sample(tags, len(tags))
    assert registry.fold(mixed) == expected
    assert repr(registry.fold(mixed)) == repr(expected)
    # Two clones that share some, and come together again.
    cut = chance.randint(0, len(tags))
    one, other = tags[:cut], mixed[cut // 2 :]
    both = {*one, *other, *tags}
    assert registry.fold(both) == expected


@settings(deadline=None, max_examples=150)
@given(_sets, st.randoms(use_true_random=False))
def test_dates_are_nothing(tags: list[Tag], chance: random.Random) -> None:
    """Clocks are a year apart, and a hundred changes fit into one second."""
    moments = [None, START, START + 1, START + 31_536_000]
    other = [tag._replace(moment=chance.choice(moments)) for tag in tags]
    assert _dateless(registry.fold(other)) == _dateless(registry.fold(tags))


@settings(deadline=None, max_examples=250)
@given(_sets, _tags())
def test_a_tag_that_comes_later_brings_nobody_back(tags: list[Tag], late: Tag) -> None:
    """A former holder returns by a decision for it alone: not by what is taken, registered anew."""
    if any(tag.name == late.name for tag in tags):
        return
    before, after = registry.fold(tags), registry.fold([*tags, late])
    event = parse(late.name)
    assert event is not None
    for name, model in after.models.items():
        old = before.models.get(name)
        was = {(one.stage, one.version) for one in old.holdings} if old else set()
        for stage, version in {(one.stage, one.version) for one in model.holdings} - was:
            if event.action == "assign":
                assert (event.model, event.stage) == (name, stage)
            else:
                # It waited for its registration.
                assert event.action == "register" and event.model == name
                assert event.version == version


@settings(deadline=None, max_examples=150)
@given(_sets)
def test_the_rules_hold_whatever_the_tags_are(tags: list[Tag]) -> None:
    """One holder, one stage, nothing for a version that was taken back."""
    for model in registry.fold(tags).models.values():
        live = {one.version for one in model.versions if one.is_live}
        stages = [one.stage for one in model.holdings if one.stage != ARCHIVED]
        own = [one.version for one in model.holdings if not one.is_alias]
        assert len(stages) == len(set(stages)) and len(own) == len(set(own))
        assert live.issuperset(one.version for one in model.holdings)
        for one in model.versions:
            mine = [each for each in model.holdings if each.version == one.version]
            assert {one.stage} - {None} == {each.stage for each in mine if not each.is_alias}
            assert set(one.aliases) == {each.stage for each in mine if each.is_alias}
        assert model.top == max(parse(t.name).counter or 0 for t in _of(model, tags))  # type: ignore[union-attr]


def _of(model: Model, tags: Iterable[Tag]) -> list[Tag]:
    found = [(tag, parse(tag.name)) for tag in tags]
    return [tag for tag, event in found if event is not None and event.model == model.name]


_odd = st.text(alphabet=st.characters(codec=None), max_size=40)
_hostile = st.builds(
    Tag,
    name=st.one_of(
        _odd,
        st.from_regex(r"[a-z]{1,3}[@#][a-z@#!v0-9.]{1,12}", fullmatch=True),
        st.sampled_from(["churn@v1.0.0", "churn#production#1", "churn@deprecated"]),
    ),
    id=st.sampled_from(["", "a" * 40, "b" * 40]),
    is_annotated=st.booleans(),
    own_name=st.sampled_from(["churn@v1.0.0", "churn#production#1", ""]),
    target=st.sampled_from(["", "a" * 40]),
    kind=st.sampled_from(["commit", "commit", "tree", "blob", "tag", "broken", "", "\x1b"]),
    by=_odd,
    email=_odd,
    moment=st.one_of(st.none(), st.integers(0, 2**40)),
    message=st.one_of(
        _odd,
        st.builds(lambda key, value: f"x\n\n{key}: {value}\n", st.sampled_from(
            ["Version", "Previous", "Kind", "Because"]), _odd),
    ),
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(_hostile, max_size=12))
def test_no_set_of_tags_is_an_error(tags: list[Tag]) -> None:
    """What somebody pushed must never keep the others from asking who is in production."""
    named = [tag._replace(own_name=tag.name) for tag in tags]
    for some in (tags, named):
        assert registry.fold(some) == registry.fold(reversed(some))


def test_very_many_tags_in_one_place_take_no_longer() -> None:
    """A hostile set has one counter for all, a stage for each, all archived, all on one commit."""
    count = 5000
    for pattern in ("churn#s{0}#1 A", "churn#archived#{0} A Version=1.{0}.0", "churn#s{0}#{0} A"):
        lines = [f"churn@v1.{n}.0 A" for n in range(1, count)]
        tags = [said(line) for line in lines + [pattern.format(n) for n in range(1, count)]]
        start = time.process_time()
        registry.fold(tags)
        assert time.process_time() - start < 3.0


# -- what a user names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "version"),
    [
        ("churn@1.0.0", "1.0.0"),
        ("churn@v1.0.0", "1.0.0"),
        ("churn@production", "1.0.0"),
        ("churn@staging", "1.1.0"),
        ("churn@champion", "1.1.0"),
        ("churn@latest", "1.1.0"),
        ("churn", "1.1.0"),
        ("churn@v1.2.0", "1.2.0"),
        ("churn@v1", "1.0.0"),
        ("churn@1", "1.1.0"),
    ],
)
def test_a_selector_names_one_version(selector: str, version: str) -> None:
    """Stages that GTO let somebody call `v1` or `1` are found, and hide no version."""
    lines = [
        *VERSIONS, "churn@v1.2.0! C", "churn#production#1 A", "churn#staging#2 B",
        "churn#champion#3 B Kind=alias", "churn#v1#4 A Kind=alias", "churn#1#5 B Kind=alias",
    ]  # fmt: skip
    known = registry.fold(map(said, lines))
    assert registry.find_version(known, selector).version == version


@pytest.mark.parametrize(
    ("selector", "message", "hint"),
    [
        ("chrun@latest", "there is no model 'chrun'", "did you mean 'churn'?"),
        ("wine", "there is no model 'wine'", "`git track model ls` lists the models."),
        ("churn@v9.0.0", "there is no 'v9.0.0' of 'churn'", "it has staging, v1.2.0, v1.1.0"),
        ("churn@production", "no version of 'churn' holds 'production' now", "it has staging,"),
        ("churn@qa", "there is no 'qa' of 'churn'", "it has staging, v1.2.0"),
        ("gone@latest", "no version of 'gone' is left", "`git track model history`"),
    ],
)
def test_what_nobody_is_called_is_an_error(selector: str, message: str, hint: str) -> None:
    """An answer that is nearly what was asked would be the wrong model, deployed."""
    lines = [
        *VERSIONS, "churn#staging#1 A", "churn#production#2 B", "churn#production!#3 B",
        "gone@v1.0.0 A", "gone@v1.0.0! A",
    ]  # fmt: skip
    with pytest.raises(ModelNotFound) as caught:
        registry.find_version(registry.fold(map(said, lines)), selector)
    assert str(caught.value) == message and (caught.value.hint or "").startswith(hint)
    assert caught.value.selector in (selector, selector.partition("@")[0])


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("churn@1.0.0", ("churn", "1.0.0")),
        ("models/eu:churn@production", ("models/eu:churn", "production")),
        ("churn", None),
        ("main@{1}", None),
        ("@", None),
        ("@{upstream}", None),
        ("churn@", None),
    ],
)
def test_what_git_means_by_an_at_sign_stays_gits(
    selector: str, expected: tuple[str, str] | None
) -> None:
    """`main@{1}` names a commit, and must not become a complaint about models."""
    assert registry.parse(selector) == expected


# -- why somebody has to look at it ---------------------------------------------------------------

GIVEN = ("churn#production#1 A Previous=none",)


@pytest.mark.parametrize(
    "lines, why",
    [
        (["churn#production#2 B Previous=none"],
         "Bob gave v1.1.0 production when nobody held it; v1.0.0 did by then (Ada)"),
        (["churn#production#2 B", "churn#production#3 C Previous=churn#production#1"],
         "Bob gave v1.2.0 production when v1.0.0 held it; v1.1.0 did by then (Ada)"),
        (["churn#production#2 A", "churn#production!#3 A Previous=churn#production#1"],
         "Bob took production from v1.0.0 when v1.0.0 held it;"
         " it had been given it anew by then (Ada)"),
        (["churn#production!#2 A", "churn#production#3 B Previous=churn#production#1"],
         "Bob gave v1.1.0 production when v1.0.0 held it; nobody did by then"),
        (["churn#production#3 B Previous=churn#production#2"],
         "Bob gave v1.1.0 production when the version of churn#production#2 held it, a tag that"
         " does not count here; v1.0.0 did by then (Ada)"),
        (["churn#staging#2 B", "churn#production#3 B Previous=churn#staging#2"],
         "Bob gave v1.1.0 production when the version of churn#staging#2 held it, a tag that"
         " does not count here; v1.0.0 did by then (Ada)"),
        (["churn#production#2 B Previous=yesterday"],
         "Bob gave v1.1.0 production; what it was decided upon is no tag of the registry"),
        (["churn#champion#2 A Kind=alias", "churn#champion#3 B Kind=alias Previous=none"],
         "Bob pointed champion at v1.1.0 when nobody held it; v1.0.0 did by then (Ada)"),
        (["churn#production!#43 A Previous=churn#production#1",
          "churn#production#43 B Previous=churn#production#1"],
         "Bob gave v1.1.0 production when v1.0.0 held it; under the same number 43"
         " Ada took production from v1.0.0"),
        (["churn#production!#2 A Because=churn#production#9"],
         "Bob took production from v1.0.0 because of churn#production#9,"
         " which is missing here or says something else"),
    ],
)  # fmt: skip
def test_a_contest_says_who_decided_what_upon_which_holder(lines: list[str], why: str) -> None:
    """The names of tags alone say nothing to whoever has to settle it; Bob made the last one."""
    tags = [said(line) for line in (*VERSIONS, *GIVEN, *lines)]
    tags[-1] = tags[-1]._replace(by="Bob")
    known = registry.fold(tags).models["churn"]
    assert [one.contested for one in known.contested if one.by == "Bob"] == [why]


def test_a_name_in_a_contest_is_one_short_line() -> None:
    """Anybody can choose it, and it stands in the middle of a sentence."""
    rival = said("churn#production#2 B Previous=none")._replace(by="Bo\nb" + "b" * 5_000)
    (one,) = registry.fold([*map(said, (*VERSIONS, *GIVEN)), rival]).models["churn"].contested
    assert one.contested is not None and one.contested.startswith("Bo\\nbbb")
    assert len(one.contested) < 150


# -- numbers that no tag has ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines, gaps, words",
    [
        ([], (), None),
        (["churn#production#1 A"], (), None),
        (["churn#production A", "churn#production#1 B"], (), None),
        (["churn#production#2 A"], ((1, 1),), "1"),
        (["churn#staging#1 A", "churn#production#2 A", "churn#canary#8 B", "churn#canary!#10 B"],
         ((3, 7), (9, 9)), "3 to 7, 9"),
        (["churn#production#1 A", "churn#production#2 nobody", "churn#production#3 B"], (), None),
        (["churn#production#1 A", "churn#production#999999999 nobody"], (), None),
        ([f"churn#production#{number} A" for number in (2, 4, 6, 1_000, 1_002)],
         ((1, 1), (3, 3), (5, 5), (7, 999), (1_001, 1_001)), "1, 3, 5 and 994 more"),
    ],
)  # fmt: skip
def test_numbers_that_no_tag_has_are_known(
    lines: list[str], gaps: tuple[tuple[int, int], ...], words: str | None
) -> None:
    """A clone with some of the tags cannot tell who holds what; a tag that does not count says
    nothing of others."""
    known = folded(*VERSIONS, *lines)
    assert (known.gaps, known.lacking) == (gaps, words)


def test_of_many_versions_it_is_said_how_many_are_not_named() -> None:
    """Dots would look like the end of the list."""
    known = registry.fold([said(f"churn@v1.{minor}.0 A") for minor in range(8)])
    with pytest.raises(ModelNotFound) as no:
        registry.find_version(known, "churn@production")
    assert no.value.hint == "it has v1.7.0, v1.6.0, v1.5.0, v1.4.0, v1.3.0, and 3 more."
