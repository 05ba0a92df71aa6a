"""What a user types to name a run."""

from __future__ import annotations

import runpy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gittrack import commits, revisions
from gittrack.annotations import append
from gittrack.errors import (
    AmbiguousRun,
    BadName,
    BrokenRecord,
    GittrackError,
    RunNotFound,
    UnknownKey,
)
from gittrack.events import Change
from gittrack.git import Repo
from gittrack.records import Code, Run
from recorded_runs import found

_made = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "generate.py"))
generate, AUTHOR, START = _made["generate"], _made["AUTHOR"], _made["START"]


def record(repo: Repo, number: int, name: str, *, experiment: str = "default", **more: Any) -> Any:
    """Write a run that began `number` minutes after noon."""
    base, _ = repo.head()
    started = START + timedelta(minutes=number)
    given: dict[str, Any] = {"code": Code(base=base)} | more
    run = Run(
        id=f"{number:04x}" + "0" * 28, name=name, experiment=experiment, status="finished",
        started=started, ended=started + timedelta(seconds=5), **given,
    )  # fmt: skip
    return commits.write(repo, run, tree=repo.empty_tree(), author=AUTHOR)


def say(repo: Repo, name: str, what: str) -> None:
    run = next(r for r in found(repo, deleted=True).runs if r.name == name)
    append(repo, run, [Change(what)], now=START, random=lambda count: bytes(range(count)))


@pytest.fixture
def world(repo_dir: Path, git: Any) -> SimpleNamespace:
    """Four runs, oldest first, the last two from a branch `feature` one commit ahead of main."""
    repo = Repo.open(repo_dir)
    record(repo, 1, "blue-heron-aaaaaa", metrics={"acc": 0.5, "f1": 0.1, "loss": float("nan")})
    record(repo, 2, "blue-otter-bbbbbb", metrics={"acc": 0.9})
    git(repo_dir, "checkout", "-q", "-b", "feature")
    git(repo_dir, "commit", "-q", "--allow-empty", "-m", "Try trees")
    record(repo, 3, "calm-lynx-cccccc", experiment="trees", metrics={"acc": 0.9})
    record(
        repo, 4, "calm-lynx-cccccc", metrics={"acc": 0.7, "f1": float("nan"), "loss": float("inf")}
    )
    return SimpleNamespace(repo=repo, dir=repo_dir, git=git)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("blue-heron-aaaaaa", "default/blue-heron-aaaaaa"),
        ("blue-h", "default/blue-heron-aaaaaa"),
        ("trees/calm-lynx-cccccc", "trees/calm-lynx-cccccc"),
        ("trees/calm", "trees/calm-lynx-cccccc"),
        ("runs/trees/calm-lynx-cccccc", "trees/calm-lynx-cccccc"),
        ("refs/runs/trees/calm-lynx-cccccc", "trees/calm-lynx-cccccc"),
        ("refs/runs/trees/calm", "trees/calm-lynx-cccccc"),
        ("latest", "default/calm-lynx-cccccc"),
        ("latest~0", "default/calm-lynx-cccccc"),
        ("latest~", "trees/calm-lynx-cccccc"),
        ("latest~3", "default/blue-heron-aaaaaa"),
        ("-", "trees/calm-lynx-cccccc"),
        ("best:acc", "trees/calm-lynx-cccccc"),
        ("worst:acc", "default/blue-heron-aaaaaa"),
        ("best:loss", "default/calm-lynx-cccccc"),
        ("best:f1", "default/blue-heron-aaaaaa"),
        ("0002", "default/blue-otter-bbbbbb"),
        ("00020000", "default/blue-otter-bbbbbb"),
        ("main", "default/blue-otter-bbbbbb"),
        ("feature", "default/calm-lynx-cccccc"),
        ("feature~1", "default/blue-otter-bbbbbb"),
        ("HEAD", "default/calm-lynx-cccccc"),
    ],
)
def test_each_way_to_name_a_run(world: SimpleNamespace, selector: str, expected: str) -> None:
    """DESIGN's list of selectors; of equal metrics the newest wins, NaN never does."""
    assert revisions.resolve(world.repo, selector).short == f"runs/{expected}"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("pyt", "pyt-0000aa"),
        ("trees/pyt", "pyt-0000bb"),
        ("py", None),
        ("pyt-", "pyt-0000aa"),
        ("pytfd", None),
        ("pytfd-0000a", "pytfd-0000aa"),
        ("pyt-two", None),
        ("trees/pyt-two", "pyt-two-0000cc"),
    ],
)
def test_a_name_that_is_whole_but_for_its_ending_goes_before_longer_ones(
    world: SimpleNamespace, selector: str, expected: str | None
) -> None:
    """Who calls runs `pyt` and `pytfd` means the first by `pyt`, as long as there is one of it."""
    for number, name in enumerate(("pyt-0000aa", "pytfd-0000aa", "pytfd-0000bb"), 10):
        record(world.repo, number, name, experiment="one")
    record(world.repo, 20, "pyt-0000bb", experiment="trees")
    record(world.repo, 21, "pyt-two-0000aa", experiment="one")
    record(world.repo, 22, "pyt-two-0000bb", experiment="one")
    record(world.repo, 23, "pyt-two-0000cc", experiment="trees")
    say(world.repo, "pyt-0000bb", "archive")
    if selector in ("pyt", "pyt-"):
        # Of two that are called so neither is meant.
        with pytest.raises(AmbiguousRun):
            revisions.resolve(world.repo, selector)
        say(world.repo, "pyt-0000bb", "delete")
        say(world.repo, "pyt-two-0000aa", "delete")
        say(world.repo, "pyt-two-0000bb", "delete")
        say(world.repo, "pyt-two-0000cc", "delete")
    if expected is None:
        with pytest.raises(AmbiguousRun):
            revisions.resolve(world.repo, selector)
    else:
        assert revisions.resolve(world.repo, selector).name == expected


def test_a_commit_id_of_a_run_is_that_run(world: SimpleNamespace) -> None:
    """What `git log` shows can be pasted, in full and abbreviated, in either case."""
    ref = revisions.resolve(world.repo, "blue-h")
    for digits in (ref.commit, ref.commit[:12], ref.commit[:12].upper()):
        assert revisions.resolve(world.repo, digits) == ref


def test_a_tag_on_a_run_commit_is_that_run(world: SimpleNamespace) -> None:
    """A registered version is such a tag."""
    ref = revisions.resolve(world.repo, "blue-h")
    world.git(world.dir, "tag", "wine", ref.commit)
    assert revisions.resolve(world.repo, "wine") == ref


def test_a_commit_that_is_not_ours_names_no_run(world: SimpleNamespace) -> None:
    """Others may use refs/runs too: their refs hide no run and are offered to nobody."""
    world.git(world.dir, "update-ref", "refs/runs/default/notours-abcdef", "main")
    world.git(world.dir, "update-ref", "refs/runs/other/blue-heron-aaaaaa", "main")
    head = world.git(world.dir, "rev-parse", "main").strip()
    for selector in ("main", head):
        assert revisions.resolve(world.repo, selector).name == "blue-otter-bbbbbb"
    found = revisions.resolve(world.repo, "blue-heron-aaaaaa")
    assert found.short == "runs/default/blue-heron-aaaaaa"
    with pytest.raises(RunNotFound) as caught:
        revisions.resolve(world.repo, "notuors")
    assert "notours" not in (caught.value.hint or "")
    # Named exactly, it is opened, and that says what is wrong with it.
    named = revisions.resolve(world.repo, "notours-abcdef")
    with pytest.raises(BrokenRecord, match="not a run that gittrack recorded"):
        commits.load(world.repo, named)


def test_a_repository_with_foreign_refs_only_has_no_runs(repo_dir: Path, git: Any) -> None:
    """The hint is for somebody who has recorded nothing yet."""
    git(repo_dir, "update-ref", "refs/runs/default/notours-abcdef", "HEAD")
    with pytest.raises(RunNotFound) as caught:
        revisions.resolve(Repo.open(repo_dir), "nosuch")
    assert "git track run" in (caught.value.hint or "")


@pytest.mark.parametrize("selector", ["../../x", "../x", "a/..", "latest...latest"])
def test_a_path_is_no_range(world: SimpleNamespace, selector: str) -> None:
    """The error says what was typed, not half of it."""
    with pytest.raises(RunNotFound) as caught:
        revisions.resolve_many(world.repo, [selector])
    assert f"'{selector}'" in caught.value.message


def test_deleted_runs_are_listed_archived_or_not(world: SimpleNamespace) -> None:
    """Who looks for what was deleted must find it all."""
    for what in ("archive", "delete"):
        say(world.repo, "blue-heron-aaaaaa", what)
    say(world.repo, "blue-otter-bbbbbb", "archive")

    def listed(**more: bool) -> set[str]:
        return {run.name[:6] for run in found(world.repo, **more).runs}

    assert listed(archived=False) == {"calm-l"}
    assert listed(archived=False, deleted=True) == {"calm-l", "blue-h"}
    assert listed(archived=True) == {"calm-l", "blue-o"}


def test_a_run_hides_a_branch_of_its_name(world: SimpleNamespace) -> None:
    """Precedence: names before Git revisions; the branch is still there under its full name."""
    world.git(world.dir, "branch", "blue-heron-aaaaaa", "main")
    assert revisions.resolve(world.repo, "blue-heron-aaaaaa").name == "blue-heron-aaaaaa"
    there = revisions.resolve(world.repo, "refs/heads/blue-heron-aaaaaa")
    assert there.name == "blue-otter-bbbbbb"


@pytest.mark.parametrize(
    ("selector", "error", "said"),
    [
        ("", RunNotFound, "git track ls"),
        ("nosuch", RunNotFound, "git track ls"),
        ("blue-herno", RunNotFound, "did you mean blue-heron-aaaaaa"),
        ("--all", RunNotFound, "git track ls"),
        ("a\0b", RunNotFound, "git track ls"),
        ("$(id)", RunNotFound, "git track ls"),
        ("latest~4", RunNotFound, "the oldest is latest~3"),
        ("best:ac", UnknownKey, "did you mean 'best:acc'"),
        ("best:nosuch", UnknownKey, "--all-columns"),
        ("blue", AmbiguousRun, "blue-heron-aaaaaa, blue-otter-bbbbbb"),
        ("calm-lynx-cccccc", AmbiguousRun, "default/calm-lynx-cccccc, trees/calm-lynx-cccccc"),
        ("main~1", RunNotFound, "git track run"),
    ],
)
def test_a_selector_that_names_no_run_or_several(
    world: SimpleNamespace, selector: str, error: type[GittrackError], said: str
) -> None:
    """Never an empty answer: the error has the candidates or what helps."""
    with pytest.raises(error) as caught:
        revisions.resolve(world.repo, selector)
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_one_experiment_only(world: SimpleNamespace) -> None:
    """`experiment` narrows every reading, `latest` too."""
    found = revisions.resolve(world.repo, "latest", experiment="trees")
    assert found.short == "runs/trees/calm-lynx-cccccc"
    with pytest.raises(RunNotFound):
        revisions.resolve(world.repo, "blue-h", experiment="trees")
    with pytest.raises(BadName):
        revisions.resolve(world.repo, "latest", experiment="no/slash")


def test_an_archived_run_is_not_latest_but_has_its_name(world: SimpleNamespace) -> None:
    """It is out of the way, not gone."""
    assert revisions.resolve(world.repo, "worst:acc").name == "blue-heron-aaaaaa"
    say(world.repo, "blue-heron-aaaaaa", "archive")
    assert revisions.resolve(world.repo, "worst:acc").name == "calm-lynx-cccccc"
    assert revisions.resolve(world.repo, "blue-h").name == "blue-heron-aaaaaa"


def test_a_deleted_run_answers_only_to_its_full_name(world: SimpleNamespace) -> None:
    """`restore` must find it, nothing else should."""
    say(world.repo, "blue-otter-bbbbbb", "delete")
    assert revisions.resolve(world.repo, "blue").name == "blue-heron-aaaaaa"
    assert revisions.resolve(world.repo, "main").name == "blue-heron-aaaaaa"
    for selector in ("blue-otter-bbbbbb", "runs/default/blue-otter-bbbbbb"):
        assert revisions.resolve(world.repo, selector).name == "blue-otter-bbbbbb"
    for selector in ("blue-o", "0002"):
        with pytest.raises(RunNotFound):
            revisions.resolve(world.repo, selector)


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        (["latest~2..latest"], [2, 3, 4]),
        (["..latest~2"], [1, 2]),
        (["latest~1.."], [3, 4]),
        ([".."], [1, 2, 3, 4]),
        (["latest..latest"], [4]),
        (["main..feature"], [2, 3, 4]),
        (["latest", "blue-h", "latest"], [4, 1]),
        (["latest", ".."], [4, 1, 2, 3]),
    ],
)
def test_ranges_run_in_time_and_no_run_stands_twice(
    world: SimpleNamespace, selectors: list[str], expected: list[int]
) -> None:
    """A plot's legend reads from old to new."""
    found = revisions.resolve_many(world.repo, selectors)
    numbers = [int(commits.load(world.repo, ref).id[:4], 16) for ref in found]
    assert numbers == expected


def test_a_range_backwards_says_so(world: SimpleNamespace) -> None:
    """An empty plot would be a failed question with an empty answer."""
    with pytest.raises(RunNotFound) as caught:
        revisions.resolve_many(world.repo, ["latest..latest~1"])
    assert caught.value.hint == "'latest~1..latest' holds some."


def test_a_repository_without_runs(repo_dir: Path) -> None:
    """The first thing that a new user sees must help."""
    with pytest.raises(RunNotFound) as caught:
        revisions.resolve(Repo.open(repo_dir), "latest")
    assert "git track run" in (caught.value.hint or "")
    assert found(Repo.open(repo_dir)).runs == []


def test_a_listing_is_newest_first_whatever_the_names(tmp_path: Path) -> None:
    """The refs come sorted by experiment and name; people ask for time."""
    made = generate(tmp_path / "r", runs=12, params=1, metrics=1)
    listed = found(Repo.open(tmp_path / "r")).runs
    expected = [replace(commits.summarize(run), commit=None) for run in reversed(made)]
    assert [replace(run, commit=None) for run in listed] == expected


def test_runs_that_began_at_once_stand_by_name(repo_dir: Path) -> None:
    """Equal times must not make the order, and so `latest`, a matter of chance."""
    repo = Repo.open(repo_dir)
    for name in ("b-bbbbbb", "a-aaaaaa", "c-cccccc"):
        record(repo, 1, name)
    assert [run.name[0] for run in found(repo).runs] == ["a", "b", "c"]


def test_every_kind_of_repository_answers(every_repo: Any) -> None:
    """Reading works wherever Git does."""
    repo = Repo.open(every_repo.path)
    ref = record(repo, 1, "blue-heron-aaaaaa")
    assert revisions.resolve(repo, "latest") == ref
    if repo.head()[0]:
        assert revisions.resolve(repo, "HEAD") == ref


def test_a_ref_that_is_named_like_a_selector_is_never_taken_for_one(world: SimpleNamespace) -> None:
    """A hostile or careless remote must not choose what `latest` means."""
    old = revisions.resolve(world.repo, "blue-h")
    newest = revisions.resolve(world.repo, "latest")
    world.git(world.dir, "update-ref", "refs/runs/default/latest", old.commit)
    assert revisions.resolve(world.repo, "latest") == newest
    for selector in ("runs/default/latest", "default/latest", "refs/runs/default/latest"):
        assert revisions.resolve(world.repo, selector).name == "latest"
    with pytest.raises(RunNotFound) as caught:
        revisions.resolve(world.repo, "lates")
    assert "latest?" not in (caught.value.hint or "")


def test_a_branch_whose_commit_is_missing_is_said_to_be(world: SimpleNamespace) -> None:
    """`no run named 'main'` would send people to look for a run."""
    (world.dir / ".git" / "refs" / "heads" / "main").write_text("1" * 40 + "\n")
    for selector in ("main", "heads/main", "refs/heads/main"):
        with pytest.raises(RunNotFound, match=r"the commit of '.*main', 1111111, is missing"):
            revisions.resolve(world.repo, selector)


def test_what_stands_beside_the_runs_is_said_and_hides_none(world: SimpleNamespace) -> None:
    """A run that is left out without a word is a lost run; foreign commits are none of ours."""
    before = found(world.repo)
    assert before.problems == ()
    ours = revisions.resolve(world.repo, "blue-h").commit
    for name in ("default/UPPER-000001", "single"):
        world.git(world.dir, "update-ref", f"refs/runs/{name}", ours)
    world.git(world.dir, "update-ref", "refs/runs/others", "HEAD")
    place = world.dir / ".git" / "refs" / "runs" / "default"
    (place / "empty-000001").write_text("")
    (place / "dangling-000001").write_text("2" * 40 + "\n")
    (place / "symbolic-000001").write_text("ref: refs/runs/default/nowhere\n")
    (place / "held-000001.lock").write_text("")
    (place / ".DS_Store").write_text("x")
    after = found(world.repo)
    assert [run.commit for run in after.runs] == [run.commit for run in before.runs]
    unknown = "a run under a name that gittrack does not use; not listed"
    assert [str(problem) for problem in after.problems] == [
        "runs/default/dangling-000001: its commit 2222222 is missing",
        f"refs/runs/default/UPPER-000001: {unknown}",
        f"refs/runs/single: {unknown}",
        "refs/runs/default/empty-000001: a broken ref: it points nowhere",
        "refs/runs/default/symbolic-000001: a broken ref: it points nowhere",
    ]
    for number in range(4):
        (place / f"torn-00000{number}").write_text("123")
    said = [str(problem) for problem in found(world.repo).problems]
    assert len(said) == 7 and said[-1] == "3 more refs below refs/runs/ are no good runs"
