"""The real GTO reads what we write and we read what it writes; where they differ is in the docs."""

from __future__ import annotations

import copy
import json
import random
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from gto import api
from gto.exceptions import ManyVersions

from conftest import KINDS, Git
from copies import copied
from gittrack import refs, registrar, registry, whereabouts
from gittrack.errors import GittrackError
from gittrack.git import Repo
from gittrack.records import Artifact
from gittrack.registry import Model, Registry
from recorded_runs import record

NAMES = ("amber-otter-aaaaaa", "blue-heron-bbbbbb", "calm-lynx-cccccc", "deep-newt-dddddd")
STAGES = ("staging", "production", "archived", "qa")
START = 1_767_355_200  # a day after the runs

Board = Mapping[str, set[str]]


class World:
    """A repository with three versions of `churn`, a fourth run, and a clock that we wind."""

    def __init__(self, root: Path, git: Git) -> None:
        self.root, self.git = root, git
        for key, value in (("name", "Ada Lovelace"), ("email", "ada@example.org")):
            git(root, "config", f"user.{key}", value)  # GTO looks nowhere else in this process
        self.repo = Repo.open(root)
        self.now = START
        self.commits = []
        for number, name in enumerate(NAMES):
            record(root, number, name, artifacts=(Artifact("model.joblib", "1" * 32, 20),))
            ref = refs.find(self.repo, "default", name)
            assert ref is not None
            self.commits.append(str(ref.commit))
            if number < 3:
                self.ours(registrar.register, ref, "churn")

    def ours(self, decide: Callable[..., Any], *arguments: Any, **more: Any) -> bool:
        """Decide something with us, a second later than what was before -> whether it may be."""
        self.now += 5
        try:
            decide(self.repo, *arguments, now=self.now, **more)
        except GittrackError:
            return False
        return True

    def theirs(self, decide: Callable[..., Any], *arguments: Any, **more: Any) -> bool:
        """Decide something with GTO; its tag gets our clock's time, so that nobody has to wait."""
        self.now += 5
        before = self.tags()
        try:
            decide(str(self.root), "churn", *arguments, **more)
        except Exception as error:  # GTO has many kinds, all for what it refuses.
            assert type(error).__module__.startswith("gto."), error
            return False
        (name,) = self.tags() - before
        self.dated(name, self.now)
        return True

    def tags(self) -> set[str]:
        return set(self.git(self.root, "tag").split())

    def dated(self, name: str, moment: int) -> None:
        """Give a tag another date, as if it had been made then."""
        head, gap, rest = self.git(self.root, "cat-file", "tag", name).partition("> ")
        self.tag(name, head + gap + str(moment) + " " + rest.partition(" ")[2])

    def tag(self, name: str, body: str) -> None:
        done = subprocess.run(
            ["git", "hash-object", "-t", "tag", "-w", "--literally", "--stdin"],
            cwd=self.root, input=body, capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.git(self.root, "update-ref", f"refs/tags/{name}", done.stdout.strip())

    def plain(self, name: str, number: int, moment: int | None = None) -> None:
        """A tag by plain Git on the commit of this run."""
        self.now += 5
        self.tag(
            name,
            f"object {self.commits[number]}\ntype commit\ntag {name}\n"
            f"tagger Ada <ada@example.org> {moment or self.now} +0000\n\nBy hand\n",
        )

    @property
    def known(self) -> Registry:
        return registry.read(whereabouts.of(self.repo))

    @property
    def churn(self) -> Model:
        return self.known.models["churn"]

    def our_board(self) -> Board:
        found: dict[str, set[str]] = {}
        for one in self.churn.holdings:
            found.setdefault(one.stage, set()).add(f"v{one.version}")
        return found

    def their_board(self, per_stage: int = -1) -> Board:
        """What `gto show --vs` says of each stage."""
        shown = api.show(str(self.root), deprecated=True, versions_per_stage=per_stage)
        stages = shown["churn"]["stage"]
        return {stage: set(held.split(", ")) for stage, held in stages.items() if held}

    def any_decision(self, chance: random.Random, who: tuple[str, ...]) -> None:
        """Something that one of these may do, and may be refused."""
        known = self.churn
        version = chance.choice(known.versions)
        stage, alias = chance.choice(STAGES), chance.choice(["champion", "eu"])
        named = {"version": f"v{version.version}"}
        if chance.choice(who) == "gto":
            what = chance.choice(["assign", "assign", "assign", "unassign", "deregister"])
            if what == "deregister":
                if chance.random() < 0.2:
                    self.theirs(api.deregister, **named)
            else:
                self.theirs(getattr(api, what), stage=stage, **named)
            return
        decisions: list[tuple[int, Callable[[], object]]] = [
            (8, lambda: self.ours(
                registrar.promote, version, stage, archive_existing=chance.random() < 0.5)),
            (2, lambda: self.ours(registrar.promote, version, stage, again=True)),
            (3, lambda: self.ours(registrar.demote, version)),
            (3, lambda: self.ours(registrar.alias, version, alias)),
            (1, lambda: self.ours(registrar.unalias, known, alias)),
            (4, lambda: self.ours(registrar.rollback, known, stage)),
            (1, lambda: chance.random() < 0.3 and self.ours(registrar.unregister, version)),
        ]  # fmt: skip
        weights = [weight for weight, _ in decisions]
        chance.choices([decide for _, decide in decisions], weights)[0]()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, git: Git) -> World:
    """What each test gets a copy of."""
    return World(KINDS["plain"](tmp_path_factory.mktemp("world")).root, git)


@pytest.fixture
def world(untouched: World, tmp_path: Path) -> World:
    made = copy.copy(untouched)
    made.root = copied(untouched.root, tmp_path / "repo")
    made.repo = Repo.open(made.root)
    return made


@pytest.mark.parametrize("seed", range(4))
def test_gto_shows_the_same_whatever_we_decided(world: World, seed: int) -> None:
    """Teams that have GTO in their pipelines must deploy what we say is in production."""
    chance = random.Random(seed)
    for _ in range(30):
        world.any_decision(chance, ("us",))
    ours = world.our_board()
    assert world.their_board() == ours
    latest = world.churn.latest
    assert api.show(str(world.root))["churn"]["version"] == (latest and f"v{latest.version}")
    # By default GTO shows one version of each stage: the last one that was archived.
    one_each = {stage: held for stage, held in ours.items() if stage != "archived"}
    board = dict(world.their_board(1))
    assert len(board.pop("archived", {"nobody"})) == 1
    assert board == one_each


def test_gto_reads_each_of_our_tags(world: World) -> None:
    """`gto history` is how an auditor reads them, `gto check-ref` how a pipeline does."""
    chance = random.Random(7)
    for _ in range(15):
        world.any_decision(chance, ("us",))
    known = world.churn
    world.ours(registrar.unregister, known.versions[0])
    world.ours(registrar.deprecate, world.churn)
    model = world.churn
    events = {one["ref"]: one for one in api.history(str(world.root), artifact="churn")}
    assert set(events) == {one.tag for one in model.history} == world.tags()
    words = {
        "register": "registration", "unregister": "deregistration", "assign": "assignment",
        "unassign": "unassignment", "deprecate": "deprecation",
    }  # fmt: skip
    for one in model.history:
        theirs = events[one.tag]
        assert (theirs["event"], theirs["stage"]) == (words[one.action], one.stage)
        assert theirs["commit"] == one.commit and theirs["author"] == one.by
        if one.version is not None:
            assert theirs["version"] == f"v{one.version}"
    for tag in sorted(events)[::5]:
        (event,) = api.check_ref(str(world.root), f"refs/tags/{tag}")
        assert event.ref == tag


@pytest.mark.parametrize("seed", range(3))
def test_where_gto_writes_too_it_shows_what_no_tag_takes_away(world: World, seed: int) -> None:
    """GTO ends nothing but by a tag; what is left open is all that it shows beside us.

    And the next decision of ours about a stage closes it, so that they agree again.
    """
    chance = random.Random(100 + seed)
    for _ in range(25):
        world.any_decision(chance, ("us", "gto", "gto"))
    model, open_ones = world.churn, {}
    for one in model.history:
        if one.stage is not None:
            open_ones[one.stage, one.version] = one.action == "assign"
    live = {one.version for one in model.versions if one.is_live}
    expected: dict[str, set[str]] = {}
    for (stage, version), is_open in open_ones.items():
        if is_open and version in live:
            expected.setdefault(stage, set()).add(f"v{version}")
    theirs, ours = world.their_board(), world.our_board()
    assert theirs == expected
    assert all(held <= theirs[stage] for stage, held in ours.items())
    # The board of one version a stage is right wherever somebody holds it.
    board = world.their_board(1)
    assert {stage: board[stage] for stage in ours if stage != "archived"} == {
        stage: held for stage, held in ours.items() if stage != "archived"
    }
    if model.latest is not None:
        assert world.ours(registrar.promote, model.latest, "production", again=True)
        name = f"v{model.latest.version}"
        theirs = world.their_board()
        assert theirs["production"] == world.our_board()["production"] == {name}
        assert [stage for stage, held in theirs.items() if name in held and stage in STAGES] == [
            "production"
        ]


def test_a_model_that_gto_registered_goes_on_here(world: World) -> None:
    """Nobody should have to begin anew: GTO's versions, simple tags and names of stages count."""
    root = str(world.root)
    world.now += 5
    for number, simple in ((0, True), (1, False)):
        api.register(root, "eu/wine", world.commits[number], simple=simple, version=None)
    api.assign(root, "eu/wine", "Prod", version="v0.0.1", simple=True)
    api.assign(root, "eu/wine", "qa/eu", version="v0.0.2")
    model = world.known.models["eu/wine"]
    assert [one.version for one in model.versions] == ["0.0.2", "0.0.1"]
    assert {one.stage: one.version for one in model.holdings} == {"Prod": "0.0.1", "qa/eu": "0.0.2"}
    api.deregister(root, "eu/wine", version="v0.0.2")
    api.deprecate(root, "eu/wine")
    model = world.known.models["eu/wine"]
    assert [(one.stage, one.version) for one in model.holdings] == [("Prod", "0.0.1")]
    assert model.deprecated is not None and model.latest == model.version("0.0.1")
    assert world.known.problems == ()


# -- where they cannot agree: each is a line of docs/registry.md ----------------------------------


def test_gto_goes_by_the_clock(world: World) -> None:
    """In one second, or by a clock that is behind, GTO names the wrong holder."""
    world.plain("churn#production#1", 0, START + 1000)
    world.plain("churn#production#2", 1, START)
    assert world.our_board() == {"production": {"v1.0.1"}}
    assert world.their_board(1) == {"production": {"v1.0.0"}}
    for number in (10, 9):
        world.plain(f"churn#qa#{number}", number - 8, START)
    assert world.our_board()["qa"] == {"v1.0.2"}
    assert world.their_board(1)["qa"] == {"v1.0.1"}


def test_gto_lets_a_version_be_in_several_stages(world: World) -> None:
    """Here a version that goes on has left the stage that it was in."""
    for stage in ("staging", "production"):
        assert world.theirs(api.assign, stage, version="v1.0.0")
    assert world.our_board() == {"production": {"v1.0.0"}}
    assert world.their_board() == {"production": {"v1.0.0"}, "staging": {"v1.0.0"}}


def test_with_gto_a_former_holder_comes_back(world: World) -> None:
    """Here nobody holds what was taken, until somebody decides."""
    for version in ("v1.0.0", "v1.0.1"):
        assert world.theirs(api.assign, "production", version=version)
    assert world.theirs(api.unassign, stage="production", version="v1.0.1")
    assert world.our_board() == {}
    assert world.their_board(1) == {"production": {"v1.0.0"}}


def test_gto_shows_one_of_those_that_are_archived(world: World) -> None:
    """With `--vs -1` it shows all."""
    for number in range(2):
        world.ours(registrar.promote, world.churn.versions[number], "archived")
    assert world.our_board() == world.their_board() == {"archived": {"v1.0.2", "v1.0.1"}}
    assert world.their_board(1) == {"archived": {"v1.0.1"}}


def test_gto_registers_a_number_again(world: World) -> None:
    """Here a number that was taken back is used up: somebody may have what it was."""
    assert world.theirs(api.deregister, version="v1.0.2")
    assert world.theirs(api.register, world.commits[2], version="v1.0.2", simple=False)
    assert api.show(str(world.root))["churn"]["version"] == "v1.0.2"
    assert world.churn.latest == world.churn.version("1.0.1")
    assert [one.reason for one in world.known.problems] == [
        "version 1.0.2 is registered already, by 'churn@v1.0.2'"
    ]


def test_gto_fails_where_a_commit_has_two_versions(world: World) -> None:
    """As a run has that was taken back, and registered again under another number."""
    world.ours(registrar.unregister, world.churn.versions[0])
    run = refs.find(world.repo, "default", NAMES[2])
    assert run is not None and world.ours(registrar.register, run, "churn")
    assert world.their_board() == {}
    world.ours(registrar.promote, world.churn.versions[0], "production")
    assert world.our_board() == {"production": {"v1.0.3"}}
    with pytest.raises(ManyVersions):
        world.their_board()


def test_gto_brings_a_deprecated_model_back(world: World) -> None:
    """Its next tag of any kind does. Here it stays retired."""
    world.ours(registrar.deprecate, world.churn)
    assert "churn" not in api.show(str(world.root))
    assert world.theirs(api.assign, "production", version="v1.0.0")
    assert "churn" in api.show(str(world.root))
    assert world.churn.deprecated is not None
    assert world.our_board() == {"production": {"v1.0.0"}}


def test_gto_gives_stages_to_commits(world: World) -> None:
    """Here a commit that is no version of the model is nobody: the tag is named and left aside."""
    assert world.theirs(api.assign, "production", ref=world.commits[3], skip_registration=True)
    assert world.their_board() == {"production": {world.commits[3]}}
    assert world.our_board() == {}
    assert [one.reason for one in world.known.problems] == [
        "no version of 'churn' is on its commit"
    ]


def test_gto_fails_where_a_tag_names_nobody(world: World) -> None:
    """One such tag, and GTO answers nothing at all."""
    world.tag(
        "churn#production#1",
        f"object {world.commits[0]}\ntype commit\ntag churn#production#1\n\nBy hand\n",
    )
    assert world.our_board() == {"production": {"v1.0.0"}}
    with pytest.raises(AttributeError):
        world.their_board()


def test_gto_reads_counters_that_we_do_not(world: World) -> None:
    """Here a counter has one spelling, and nine digits at most."""
    world.plain("churn#production#1", 0)
    world.plain("churn#production#02", 1)
    assert world.our_board() == {"production": {"v1.0.0"}}
    assert world.their_board(1) == {"production": {"v1.0.1"}}
    assert [one.tag for one in world.known.problems] == ["churn#production#02"]


def test_what_gto_prints_in_a_plain_clone(world: World, tmp_path: Path, git: Git) -> None:
    """`git clone` brings the tags, and with them all that GTO needs."""
    world.ours(registrar.promote, world.churn.versions[1], "staging")
    world.ours(registrar.promote, world.churn.versions[0], "production", reason="it is better")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", world.root.as_uri(), str(clone))

    def gto(*words: str) -> Any:
        done = subprocess.run(
            ["gto", *words], cwd=clone, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout) if "--json" in words else done.stdout

    assert gto("show", "--json")["churn"]["stage"] == {
        "production": "v1.0.2", "staging": "v1.0.1",
    }  # fmt: skip
    checked = gto("check-ref", "churn#production#2", "--json")
    assert "v1.0.2" in json.dumps(checked)
    assert "churn#production#2" in gto("history", "churn")
