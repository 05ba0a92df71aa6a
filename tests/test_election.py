"""Who is the best of versions or runs, and why each other one is not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recorded_runs
import summaries
from conftest import Git
from gittrack import election, refs, registry, semver, whereabouts
from gittrack.election import Candidate, Election, Limit, Reference
from gittrack.errors import StageRefused, UsageError
from gittrack.records import Data, Row
from gittrack.registry import Change, Version
from gittrack.search import Question, open_search

_TRAIN = {"data/train.csv": "3" * 32}


def _version(number: str, stage: str | None = None, **trailers: str) -> Version:
    change = Change(
        f"m@v{number}", "0" * 40, "m", "register", number, None, False, None, "c" * 40, 0,
        "Ada", "ada@example.org", "", "", trailers,
    )  # fmt: skip
    return Version("m", number, change, stage=stage)


def _candidate(number: str, value: Any, stage: str | None = None, **run: Any) -> Candidate:
    return Candidate(
        summaries.run(f"run-{number}", **{"data": _TRAIN, **run}),
        _version(number, stage),
        number,
        value,
    )


def _elect(*standing: Candidate, **more: Any) -> Election:
    asked: dict[str, Any] = {"title": "f1", "lowest": False}
    return election.elect(standing, **asked | more)


def _reasons(found: Election) -> dict[str, str | None]:
    return {one.number: one.reason for one in found.others}


_WHY: dict[str, tuple[Candidate, dict[str, Any], str]] = {
    "value": (_candidate("1.0.0", 0.91), {}, "0.91, lower than 0.93"),
    "hardly": (_candidate("1.0.0", 0.9299999), {}, "0.9299999, lower than 0.93"),
    "equal": (_candidate("1.0.0", 0.93), {}, "equal, but older"),
    "infinite": (_candidate("1.0.0", -math.inf), {}, "-inf, lower than 0.93"),
    "range": (_candidate("2.0.0", 0.99), {"limits": [Limit("<=1")]}, "not within <=1"),
    "rule": (
        _candidate("2.0.0", 0.99),
        {"limits": [Limit("<9"), Limit("<2.0", "track.stage.production.allow")]},
        "not within <2.0 (track.stage.production.allow)",
    ),
    "other rule": (
        _candidate("1.9.9", 0.99),
        {"refused": lambda one: "it is in no stage" if one.number == "1.9.9" else None},
        "it is in no stage",
    ),
    "nothing": (_candidate("1.0.0", None), {}, "no f1"),
    "nan": (_candidate("1.0.0", math.nan), {}, "f1 is NaN"),
    "text": (_candidate("1.0.0", "high"), {}, "f1 is no number"),
    "truth": (_candidate("1.0.0", True), {}, "f1 is no number"),
    "failed": (_candidate("1.0.0", 0.99, status="failed"), {}, "not finished (failed)"),
    "running": (_candidate("1.0.0", 0.99, status="running"), {}, "not finished (running)"),
    "deleted": (_candidate("1.0.0", 0.99, deleted=True), {}, "deleted"),
    "archived": (_candidate("1.0.0", 0.99, "archived"), {}, "archived"),
    "no run": (Candidate(None, _version("1.0.0"), "1.0.0"), {}, "no run"),
    "a run": (
        Candidate(summaries.run("new-run", data=_TRAIN), None, "2.0.0", 0.99),
        {"limits": [Limit("<2")]},
        "would be v2.0.0, not within <2",
    ),
    "data": (
        _candidate("1.0.0", 0.99, data={"data/train.csv": "8" * 32}),
        {},
        "other data: data/train.csv 8888888, not 3333333",
    ),
    "more data": (
        _candidate("1.0.0", 0.99, data={**_TRAIN, "more.csv": "4" * 32}),
        {},
        "other data: more.csv, not read by m@v1.5.0",
    ),
    "less data": (
        _candidate("1.0.0", 0.99, data={}),
        {},
        "other data: data/train.csv 3333333 not read",
    ),
    "much other data": (
        _candidate("1.0.0", 0.99, data={"data/train.csv": "8" * 32, "a\x1b": "1" * 32}),
        {},
        "other data: data/train.csv 8888888, not 3333333, and 1 more",
    ),
}


@pytest.mark.parametrize(("loser", "more", "reason"), _WHY.values(), ids=list(_WHY))
def test_each_loser_is_told_why(loser: Candidate, more: dict[str, Any], reason: str) -> None:
    """Whoever trained it wants to know whether a rule, the data or the value was against it."""
    found = _elect(_candidate("1.5.0", 0.93), loser, **more)
    assert found.winner is not None and found.winner.number == "1.5.0"
    assert [one.reason for one in found.others] == [reason]
    assert found.winner.reason is None


def test_the_lowest_wins_where_that_is_asked_for() -> None:
    """Of losses, and of infinities, the least."""
    found = _elect(_candidate("2.0.0", math.inf), _candidate("1.0.0", 0.2), lowest=True)
    assert found.winner is not None and found.winner.number == "1.0.0"
    assert _reasons(found) == {"2.0.0": "inf, higher than 0.2"}


def test_of_equal_ones_the_first_and_so_newest_wins() -> None:
    """Not by time: who stands is given in an order that is the same in every clone."""
    found = _elect(*(_candidate(f"1.{n}.0", 0.5) for n in (3, 2, 1)))
    assert found.winner is not None and found.winner.number == "1.3.0"
    assert list(_reasons(found)) == ["1.2.0", "1.1.0"]


def test_without_a_reference_the_newest_that_could_win_decides_on_the_data() -> None:
    """A version that is out for another reason says nothing about the data to compare on."""
    other = {"data/train.csv": "8" * 32}
    found = _elect(
        _candidate("3.0.0", 0.99, data=other),
        _candidate("2.0.0", 0.9),
        _candidate("1.0.0", 0.8),
        limits=[Limit("<3")],
    )
    assert found.winner is not None and found.winner.number == "2.0.0"
    assert found.reference == Reference("m@v2.0.0", _TRAIN)
    assert found.compared == 2


def test_a_reference_decides_though_the_newest_has_other_data() -> None:
    """Production is replaced by what was measured as production was."""
    other = {"data/train.csv": "8" * 32}
    standing = [_candidate("2.0.0", 0.99, data=other), _candidate("1.0.0", 0.8)]
    found = _elect(*standing, reference=Reference("m@v0.9.0", _TRAIN))
    assert found.winner is not None and found.winner.number == "1.0.0"
    found = _elect(*standing, reference=Reference("m@v0.9.0", _TRAIN), any_data=True)
    assert found.winner is not None and found.winner.number == "2.0.0"
    assert found.reference is None and found.compared == 2
    found = _elect(*standing, reference=Reference("m@v0.9.0", {"x": "1" * 32}))
    assert found.winner is None and found.compared == 0 and len(found.others) == 2


@pytest.mark.parametrize(
    ("own", "same"),
    [
        ({"data/train.csv": "3" * 32, "data/test.csv": "4" * 32}, True),
        ({"train.csv": "3" * 32, "data/test.csv": "4" * 32}, True),
        ({"a.csv": "4" * 32, "b.csv": "3" * 32}, True),
        ({"data/train.csv": "4" * 32, "data/test.csv": "3" * 32}, False),
        ({"data/train.csv": "3" * 32, "b.csv": "3" * 32}, False),
        ({"data/train.csv": "3" * 32}, False),
        ({}, False),
    ],
)
def test_a_new_name_is_no_other_data_but_a_swap_is(own: dict[str, str], same: bool) -> None:
    """Whoever trains on the test set has read the same bytes, and measured something else."""
    wanted = Reference("m@v0.9.0", {"data/train.csv": "3" * 32, "data/test.csv": "4" * 32})
    found = _elect(_candidate("1.0.0", 0.9, data=own), reference=wanted)
    assert (found.winner is not None) is same


_CANDIDATES = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(width=16), st.integers(-3, 3), st.booleans()),
        st.sampled_from(["3", "8"]),
        st.sampled_from(["finished", "finished", "failed"]),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(_CANDIDATES, st.booleans(), st.booleans())
def test_nobody_is_lost_and_nobody_beats_the_winner(
    made: list[tuple[Any, str, str]], lowest: bool, any_data: bool
) -> None:
    """Each who stands is the winner or has a reason; what compares is no better than the winner."""
    standing = [
        _candidate(f"1.{len(made) - n}.0", value, data={"d": digit * 32}, status=status)
        for n, (value, digit, status) in enumerate(made)
    ]
    found = _elect(*standing, lowest=lowest, any_data=any_data)
    everyone = [*([found.winner] if found.winner else []), *found.others]
    assert sorted(one.number for one in everyone) == sorted(one.number for one in standing)
    assert all(one.reason for one in found.others)
    behind = [
        one for one in found.others if "than" in str(one.reason) or "equal" in str(one.reason)
    ]
    assert found.compared == len(behind) + (found.winner is not None)
    for one in behind:
        assert found.winner is not None and found.winner.run and one.run
        better, worse = (one, found.winner) if lowest else (found.winner, one)
        assert better.value >= worse.value
        assert any_data or one.run.data == found.winner.run.data
    fit = [
        value
        for value, _, status in made
        if status == "finished" and type(value) in (int, float) and value == value
    ]
    assert (found.winner is None) is (not fit)


# -- ranges ---------------------------------------------------------------------------------------

_RANGES = {
    "<=1": "0.9.0 1.0.0-rc.1 1.0.0 1.9.9-rc.1 1.9.9 1.9.9+b.1",
    "<2.0": "0.9.0 1.0.0-rc.1 1.0.0 1.9.9-rc.1 1.9.9 1.9.9+b.1",
    "1": "1.0.0 1.9.9-rc.1 1.9.9 1.9.9+b.1",
    "^1": "1.0.0 1.9.9-rc.1 1.9.9 1.9.9+b.1",
    ">=1.2, <2": "1.9.9-rc.1 1.9.9 1.9.9+b.1",
    ">1": "2.0.0 2.1.0-rc.1",
    ">=2": "2.0.0 2.1.0-rc.1",
    ">=2.0.0-rc.1": "2.0.0-rc.1 2.0.0 2.1.0-rc.1",
    "*": "0.9.0 1.0.0-rc.1 1.0.0 1.9.9-rc.1 1.9.9 1.9.9+b.1 2.0.0-rc.1 2.0.0 2.1.0-rc.1",
}
_VERSIONS = _RANGES["*"].split()


@pytest.mark.parametrize(("text", "within"), _RANGES.items(), ids=list(_RANGES))
def test_ranges_are_as_documented(text: str, within: str) -> None:
    """`<=1` is all of 1.x and what was before; a pre-release of 2.0.0 is within no `<2.0`, which
    would let it into production."""
    assert [one for one in _VERSIONS if semver.is_within(one, text)] == within.split()
    found = _elect(*(_candidate(one, 1.0) for one in _VERSIONS), limits=[Limit(text)])
    refused = {one.number for one in found.others if one.reason == f"not within {text}"}
    assert refused == set(_VERSIONS) - set(within.split())


@pytest.mark.parametrize("text", ["1.x.y.z", "new", "", "<=v1", ">=1 <2", "<=1 || >3"])
def test_what_is_no_range_is_an_error(text: str) -> None:
    """A rule that nobody understands must not let everything in."""
    with pytest.raises(UsageError, match="is no range of versions"):
        _elect(_candidate("1.0.0", 1.0), limits=[Limit(text)])


# -- real repositories ----------------------------------------------------------------------------


def _register(git: Git, place: Path, number: str, run: str, *lines: str) -> None:
    text = "\n".join(("Register m", "", *(lines or (f"Run: default/{run}",))))
    commit = git(place, "rev-parse", f"refs/runs/default/{run}").strip()
    git(place, "tag", "-a", "-m", text, f"m@v{number}", commit)


@pytest.fixture
def models(repo_dir: Path, git: Git) -> Path:
    """`m` with three versions, the newest of which another tool made on a commit without a run."""
    train = (Data("data/train.csv", "3" * 32, 10),)
    rows = [Row(n, float(n), {"f1": (9 - n) / 10}) for n in range(3)]
    recorded_runs.record(
        repo_dir, 1, "amber-otter-aaaaaa", rows, metrics={"f1": 0.7}, data=train, params={"a": 1}
    )
    recorded_runs.record(repo_dir, 2, "blue-heron-bbbbbb", metrics={"f1": 0.8}, data=train)
    recorded_runs.record(repo_dir, 3, "calm-lynx-cccccc", metrics={"f1": 0.6})
    _register(git, repo_dir, "1.0.0", "amber-otter-aaaaaa")
    _register(git, repo_dir, "1.1.0", "blue-heron-bbbbbb", "Made-By: another tool")
    git(repo_dir, "tag", "-a", "-m", "By GTO", "m@v2.0.0", "HEAD")
    return repo_dir


def _standing(place: Path, key: str) -> dict[str, tuple[str | None, Any]]:
    where = whereabouts.find(place)
    model = registry.read(where).models["m"]
    with open_search(where) as search:
        found = election.of_versions(where, search, model)
        known = election.vocabulary(search, found)
        return {
            one.number: (one.run.name if one.run else None, one.value)
            for one in election.measured(where, search, found, key, known)
        }


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("metrics.f1", (None, 0.8, 0.7)),
        ("max(f1)", (None, 0.8, 0.9)),
        ("params.a", (None, None, 1)),
        ("duration", (None, 4.0, 4.0)),
        ("f1 * 2", (None, 1.6, 1.4)),
    ],
)
def test_a_plain_clone_knows_the_same_of_versions(
    models: Path, tmp_path: Path, git: Git, key: str, values: tuple[Any, ...]
) -> None:
    """Production chooses in a clone that has tags alone: the commits say what the index would."""
    names = (None, "blue-heron-bbbbbb", "amber-otter-aaaaaa")
    wanted = dict(zip(["2.0.0", "1.1.0", "1.0.0"], zip(names, values, strict=True), strict=True))
    assert _standing(models, key) == wanted
    clone = tmp_path / "clone"
    git(models, "clone", "-q", str(models), str(clone))
    assert refs.all_runs(whereabouts.find(clone).repo) == []
    assert _standing(clone, key) == wanted


def test_runs_that_answer_stand_as_the_versions_that_they_are(models: Path) -> None:
    """Others stand for the number that they would get, the newest first."""
    place = whereabouts.find(models)
    model = registry.read(place).models["m"]
    with open_search(place) as search:
        found = election.of_runs(search, Question(query="f1 > 0.5"), model)
        assert [(one.name, one.number) for one in found] == [
            ("calm-lynx-cccccc", "2.0.1"),
            ("m@v1.1.0", "1.1.0"),
            ("m@v1.0.0", "1.0.0"),
        ]
        for bump, number in (("minor", "2.1.0"), ("major", "3.0.0")):
            found = election.of_runs(search, Question(query="f1 = 0.6"), model, bump=bump)  # type: ignore[arg-type]
            assert [one.number for one in found] == [number]
        found = election.of_runs(search, Question(), None)
        assert {one.number for one in found} == {"1.0.0"}
        question = Question(query="f1 > 0.65")
        found = election.of_runs(search, question, model)
        measured = election.measured(
            place, search, found, "max(f1)", election.vocabulary(search, found), question
        )
        assert [one.value for one in measured] == [0.8, 0.9]


def test_whose_data_it_is_compared_upon(models: Path) -> None:
    """A holder that is no run has none, and then the newest candidate decides."""
    place = whereabouts.find(models)
    model = registry.read(place).models["m"]
    with open_search(place) as search:
        told = [election.reference(place, search, [one]) for one in model.versions]
    assert told == [None, Reference("m@v1.1.0", _TRAIN), Reference("m@v1.0.0", _TRAIN)]


def test_rules_of_a_stage_say_who_may_have_it(models: Path, git: Git) -> None:
    """The range, where a version comes from, and which stages there are at all."""
    place = whereabouts.find(models)
    assert election.rules(place, None)[0] == []
    git(models, "config", "track.stage.production.allow", "<2.0")
    git(models, "config", "track.stage.production.from", "staging")
    limits, refused = election.rules(whereabouts.find(models), "production")
    assert limits == [Limit("<2.0", "track.stage.production.allow")]
    said = {stage: refused(_candidate("1.0.0", 1.0, stage)) for stage in (None, "staging", "qa")}
    assert said["staging"] is None
    assert said[None] == (
        "version 1.0.0 is in no stage, and production is open to those from staging only"
    )
    assert said["qa"] == "version 1.0.0 is in qa, and production is open to those from staging only"
    # Who holds it already needs no way in.
    assert refused(_candidate("1.0.0", 1.0, "production")) is None
    git(models, "config", "track.stages", "staging, production")
    with pytest.raises(StageRefused, match="'qa' is no stage"):
        election.rules(whereabouts.find(models), "qa")
