"""Decisions about models: what each asks for, what it refuses, which tags it leaves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import KINDS
from copies import copied
from gittrack import (
    assignments,
    inscriptions,
    manifest,
    refs,
    registrar,
    registry,
    tags,
    whereabouts,
)
from gittrack.annotations import append
from gittrack.commits import load, summarize
from gittrack.errors import (
    BadName,
    BadPath,
    BrokenRecord,
    DataMissing,
    GittrackError,
    ModelNotFound,
    QueryError,
    RegistryChanged,
    RunNotFound,
    StageRefused,
    VersionExists,
)
from gittrack.events import Change as Said
from gittrack.git import Repo
from gittrack.records import Artifact
from gittrack.refs import RunRef
from gittrack.registrar import Outcome
from gittrack.registry import Model, Registry, Version
from gittrack.tags import Tag
from recorded_runs import record

NAMES = ("amber-otter-aaaaaa", "blue-heron-bbbbbb", "calm-lynx-cccccc", "deep-newt-dddddd")
MODEL = Artifact("model.joblib", "1" * 32, 20)
NOW = 1_800_000_000


class World:
    """A repository with runs, and what is asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repo = Repo.open(root)

    def run(self, number: int, **more: Any) -> RunRef:
        record(self.root, number, NAMES[number], **{"artifacts": (MODEL,), **more})
        found = refs.find(self.repo, more.get("experiment", "default"), NAMES[number])
        assert found is not None
        return found

    @property
    def known(self) -> Registry:
        return registry.read(whereabouts.of(Repo.open(self.root)))

    def model(self, name: str = "churn") -> Model:
        return self.known.models[name]

    def version(self, selector: str) -> Version:
        return registry.find_version(self.known, selector)

    def promote(self, selector: str, stage: str, **more: Any) -> Outcome:
        return registrar.promote(self.repo, self.version(selector), stage, **more)

    def holders(self, name: str = "churn") -> dict[str, str]:
        return {one.stage: one.version for one in self.model(name).holdings}

    def trailers(self, git: Any, tag: str) -> dict[str, str]:
        text = git(self.root, "cat-file", "tag", tag).partition("\n\n")[2]
        return dict(inscriptions.read(text).trailers)


@pytest.fixture
def world(repo_dir: Path) -> World:
    return World(repo_dir)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1.0.0 to 1.0.2 of `churn`, for copies."""
    world = World(KINDS["plain"](tmp_path_factory.mktemp("three")).root)
    for number in range(3):
        ref = world.run(number, metrics={"f1": 0.5 + number / 10})
        assert registrar.register(world.repo, ref, "churn").status == "done"
    return world.root


@pytest.fixture
def three(untouched: Path, tmp_path: Path) -> World:
    """Versions 1.0.0 to 1.0.2 of `churn`."""
    return World(copied(untouched, tmp_path / "repo"))


# -- registering ----------------------------------------------------------------------------------


def test_a_version_is_a_tag_on_the_run_that_plain_git_reads(world: World, git: Any) -> None:
    """Who made it, of what, with which result: the answer must not need us."""
    ref = world.run(0, metrics={"f1": 0.93, "loss/val": 0.25, "n": 3}, experiment="default")
    done = registrar.register(world.repo, ref, "churn", message="The audit's own.\n\nReason: none")
    assert (done.status, done.tags, done.stage) == ("done", ("churn@v1.0.0",), None)
    assert done.version == world.version("churn@1.0.0") == done.known.models["churn"].latest
    assert git(world.root, "rev-parse", "churn@v1.0.0^{commit}").strip() == ref.commit
    listed = git(world.root, "tag", "-n", "--list", "churn*")
    assert listed == "churn@v1.0.0    Register churn 1.0.0: model.joblib of amber-otter-aaaaaa\n"
    assert git(world.root, "log", "-1", "--format=%s", "churn@v1.0.0").startswith("amber-otter")
    message = git(world.root, "for-each-ref", "--format=%(contents)", "refs/tags/churn@v1.0.0")
    assert message.strip() == (
        "Register churn 1.0.0: model.joblib of amber-otter-aaaaaa\n\n"
        "The audit's own.\n\n  Reason: none\n\n"
        f"Artifact: model.joblib\nArtifact-Hash: {'1' * 32}\nArtifact-Size: 20\n"
        f"Run: default/{NAMES[0]}\n"
        f"Run-Id: {'0' * 32}\nVersion: 1.0.0\nMetric-f1: 0.93\nMetric-loss-val: 0.25\nMetric-n: 3"
    )
    who = git(world.root, "for-each-ref", "--format=%(taggername) %(taggeremail)", "refs/tags")
    assert who == "Ada Lovelace <ada@example.org>\n"
    assert "tag" not in git(world.root, "fsck", "--strict")


@pytest.mark.parametrize(
    ("used", "asked", "answer"),
    [
        ([], {}, "1.0.0"),
        ([], {"version": "0.1.0"}, "0.1.0"),
        ([], {"bump": "major"}, "1.0.0"),
        (["1.0.0"], {}, "1.0.1"),
        (["1.0.0"], {"bump": "minor"}, "1.1.0"),
        (["1.9.9", "1.10.0"], {"bump": "major"}, "2.0.0"),
        (["1.9.9", "1.10.0"], {}, "1.10.1"),
        (["2.0.0"], {"version": "v1.5.0"}, "1.5.0"),
        (["2.0.0-rc.1"], {}, "2.0.0"),
        (["1.0.0+a"], {"version": "1.0.0+b"}, "1.0.0+b"),
    ],
)
def test_the_next_number(
    world: World, used: Sequence[str], asked: dict[str, Any], answer: str
) -> None:
    """After the highest that was ever used: numbers say what came after what."""
    for number, version in enumerate(used):
        registrar.register(world.repo, world.run(number), "churn", version=version)
    done = registrar.register(world.repo, world.run(3), "churn", **asked)
    assert done.tags == (f"churn@v{answer}",)


def test_a_number_is_used_once(three: World, git: Any) -> None:
    """Whoever pinned 1.0.2 must get those bytes or nothing."""
    registrar.unregister(three.repo, three.version("churn@1.0.2"))
    git(three.root, "tag", "churn@v1.0.7")
    again = refs.find(three.repo, "default", NAMES[2])
    assert again is not None
    for number, word in [("1.0.2", "taken back"), ("1.0.0", "already"), ("1.0.7", "already")]:
        with pytest.raises(VersionExists, match=word):
            registrar.register(three.repo, again, "churn", version=number)
    assert registrar.register(three.repo, again, "churn").tags == ("churn@v1.0.8",)


def test_a_run_is_one_live_version_of_a_model(world: World) -> None:
    """GTO knows a version by its commit, and two names for one thing make two histories."""
    ref = world.run(0, artifacts=(MODEL, Artifact("scaler.joblib", "2" * 32, 3)))
    first = registrar.register(world.repo, ref, "churn", artifact="model.joblib")
    for version in (None, "1.0.0", "v1.0.0"):
        again = registrar.register(
            world.repo, ref, "churn", artifact="./model.joblib", version=version
        )
        assert (again.status, again.tags, again.version) == ("notneeded", (), first.version)
    with pytest.raises(VersionExists, match=r"churn@v1\.0\.0 already, with model\.joblib"):
        registrar.register(world.repo, ref, "churn", artifact="scaler.joblib")
    with pytest.raises(VersionExists):
        registrar.register(world.repo, ref, "churn", artifact="model.joblib", version="2.0.0")
    other = registrar.register(world.repo, ref, "scaler", artifact="scaler.joblib")
    assert other.tags == ("scaler@v1.0.0",)


@pytest.mark.parametrize(
    "path",
    [
        "my model.joblib",
        "größe/模型.pkl",
        "a: b",
        "'x' \"y\"",
        "-n",
        "Version: 2.0.0",
        "a  b",
        "é\u0301/\u200b",
    ],
)
def test_any_path_of_an_artifact_comes_back(world: World, path: str) -> None:
    """It is what `fetch` will look for."""
    ref = world.run(0, artifacts=(Artifact(path, "2" * 32, 3),))
    done = registrar.register(world.repo, ref, "churn")
    assert done.version is not None
    assert (done.version.artifact, done.version.version) == (path, "1.0.0")


class Boxes:
    """Directories in the cache, as DVC lists them."""

    def __init__(self, world: World) -> None:
        from gittrack import setup
        from gittrack.cache import open_cache

        self.cache = open_cache(world.repo, setup.read(world.repo))

    def keep(self, path: str, files: dict[str, bytes]) -> Artifact:
        found = [
            manifest.Member(name, self.cache.add_bytes(data).md5) for name, data in files.items()
        ]
        listing = manifest.encode(found)
        md5 = manifest.digest(found)
        place = self.cache.path(md5)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(listing)
        return Artifact(path, md5, sum(map(len, files.values())), len(files))


MLFLOW = b"flavors:\n  sklearn:\n    sklearn_version: 1.5.0\n  python_function:\n    loader: x\n"


def test_the_artifact_that_is_a_package_is_the_model(world: World) -> None:
    """What MLflow's users log stands beside plots and tables."""
    boxes = Boxes(world)
    plots = boxes.keep("plots", {"a.png": b"1"})
    model = boxes.keep("model", {"MLmodel": MLFLOW, "model.pkl": b"2"})
    done = registrar.register(world.repo, world.run(0, artifacts=(MODEL, plots, model)), "churn")
    assert done.version is not None and done.version.artifact == "model"
    assert done.version.registered.trailers["flavors"] == "python_function, sklearn"
    both = (plots, model, boxes.keep("other", {"MLmodel": MLFLOW}))
    with pytest.raises(BadPath, match="3 artifacts") as raised:
        registrar.register(world.repo, world.run(1, artifacts=both), "churn")
    assert raised.value.hint is not None and "it kept model, other, plots" in raised.value.hint


def test_a_file_in_a_directory_that_was_kept(world: World) -> None:
    """`--out build/` keeps all of it, and one file of it is the model."""
    box = Boxes(world).keep("build", {"best/model.pkl": b"2", "best/x": b"3", "log": b""})
    ref = world.run(0, artifacts=(box, MODEL))
    done = registrar.register(world.repo, ref, "churn", artifact="build/best/model.pkl")
    assert done.version is not None
    said = done.version.registered.trailers
    assert (said["artifact"], said["artifact-hash"]) == (
        "build/best/model.pkl",
        "c81e728d9d4c2f636f067f89cc14862c",
    )
    done = registrar.register(world.repo, ref, "folder", artifact="build/best/")
    assert done.version is not None
    assert done.version.registered.trailers["artifact-hash"].endswith(".dir")
    for path in ("build/nothing", "build/best/model", "nothing", "model.joblib/x"):
        with pytest.raises(BadPath, match="kept no"):
            registrar.register(world.repo, ref, "other", artifact=path)
    gone = world.run(1, artifacts=(Artifact("d", "3" * 32 + ".dir", 5, 2), MODEL))
    with pytest.raises(DataMissing, match="not known here"):
        registrar.register(world.repo, gone, "other", artifact="d/x")


def test_a_run_without_artifacts_is_registered_on_demand_only(world: World) -> None:
    """Most likely the `--out` was forgotten."""
    ref = world.run(0, artifacts=())
    with pytest.raises(BadPath, match="kept no artifacts") as raised:
        registrar.register(world.repo, ref, "churn")
    assert raised.value.hint is not None and "--no-artifact" in raised.value.hint
    done = registrar.register(world.repo, ref, "churn", allow_none=True)
    assert done.version is not None and done.version.artifact is None


@pytest.mark.parametrize(
    "name",
    ["", "a b", "-a", "a-", "a@b", "a#b", "a..b", "a/", "../a", "x" * 101, "ü", "a\nb", "a.lock/b"],
)
def test_a_name_that_no_model_may_have(world: World, name: str, git: Any) -> None:
    """Tags are for ever, and other tools must be able to read them."""
    with pytest.raises(BadName):
        registrar.register(world.repo, world.run(0), name)
    assert git(world.root, "tag") == ""


@pytest.mark.parametrize(
    ("there", "new"), [("churn", "Churn"), ("team/a", "Team/b"), ("a/b", "A"), ("EU", "eu/x")]
)
def test_names_that_differ_in_case_alone(world: World, there: str, new: str) -> None:
    """On a disk that folds case, a clone of such tags loses some of them."""
    registrar.register(world.repo, world.run(0), there)
    with pytest.raises(BadName, match="case alone"):
        registrar.register(world.repo, world.run(1), new)


@pytest.mark.parametrize("name", ["team/churn", "models/eu:churn", "a_b-c", "0"])
def test_names_that_models_may_have(world: World, name: str) -> None:
    """Teams share a registry by directories, GTO's users by colons."""
    registrar.register(world.repo, world.run(0), name)
    world.promote(f"{name}@1.0.0", "production")
    assert world.holders(name) == {"production": "1.0.0"}


def test_a_version_that_is_none(world: World) -> None:
    with pytest.raises(BadName, match="no version"):
        registrar.register(world.repo, world.run(0), "churn", version="1.0")


def test_a_deleted_or_broken_run_is_no_new_version(world: World, git: Any) -> None:
    """What will be cleaned away, or cannot be read, is nothing to deploy."""
    ref = world.run(0)
    run = summarize(load(world.repo, ref))
    now = datetime.now(timezone.utc)
    append(world.repo, run, [Said("delete")], now=now, random=os.urandom)
    with pytest.raises(RunNotFound, match="was deleted") as raised:
        registrar.register(world.repo, ref, "churn")
    assert raised.value.hint is not None and "git track restore" in raised.value.hint
    head = git(world.root, "rev-parse", "HEAD").strip()
    for commit in (head, git(world.root, "rev-parse", "HEAD^{tree}").strip()):
        with pytest.raises(BrokenRecord):
            registrar.register(world.repo, RunRef("default", NAMES[1], commit), "churn")
    with pytest.raises(BrokenRecord):
        registrar.register(world.repo, world.run(2, status="odd"), "churn")


def test_secrets_do_not_reach_a_tag(three: World, git: Any) -> None:
    """A pushed tag cannot be taken back."""
    token = "ghp_" + "k3J9xQ2mZ7vB4nT8wL5cR1yH6dF0sG3pK9aE"
    done = registrar.register(three.repo, three.run(3), "churn", message=f"with {token}")
    assert done.version is not None
    registrar.promote(three.repo, done.version, "staging", reason=f"see {token}")
    registrar.demote(three.repo, three.version("churn@staging"), reason=token)
    told = git(three.root, "for-each-ref", "--format=%(contents)", "refs/tags")
    assert token not in told and told.count("***") == 3


# -- stages ---------------------------------------------------------------------------------------


def test_a_promotion_writes_what_follows_from_it(three: World, git: Any) -> None:
    """The state follows from the first tag; the others are there for GTO and for readers."""
    three.promote("churn@1.0.0", "production", now=NOW)
    three.promote("churn@1.0.1", "staging", now=NOW)
    done = three.promote("churn@1.0.1", "production", reason="passed\nthe audit", now=NOW)
    assert done.tags == ("churn#production#3", "churn#staging!#4", "churn#production!#5")
    assert done.version is not None and done.former is not None
    assert (done.version.stage, done.former.name, done.former.stage, done.stage) == (
        "production", "churn@v1.0.0", None, "production",
    )  # fmt: skip
    assert done.known == three.known
    commits = [git(three.root, "rev-parse", f"{tag}^{{commit}}").strip() for tag in done.tags]
    assert commits == [done.version.commit, done.version.commit, done.former.commit]
    given, left, lost = (three.trailers(git, tag) for tag in done.tags)
    assert given == {
        "version": "1.0.1", "run-id": f"{1:032x}", "previous": "churn#production#1",
        "reason": "passed the audit",
    }  # fmt: skip
    assert left == {
        "version": "1.0.1", "run-id": f"{1:032x}", "previous": "churn#staging#2",
        "because": "churn#production#3",
    }  # fmt: skip
    assert lost["version"] == "1.0.0" and lost["previous"] == "churn#production#1"
    listed = git(three.root, "tag", "-n", "--list", "churn#production*")
    assert [line.split(maxsplit=1)[1] for line in listed.splitlines()] == [
        "Demote churn 1.0.0 from production",
        "Promote churn 1.0.0 to production",
        "Promote churn 1.0.1 to production",
    ]


def test_the_former_holder_is_archived_on_demand(three: World) -> None:
    """MLflow's archive_existing_versions."""
    three.promote("churn@1.0.0", "production")
    done = three.promote("churn@1.0.1", "production", archive_existing=True)
    assert done.tags == ("churn#production#2", "churn#production!#3", "churn#archived#4")
    assert done.former is not None and done.former.stage == "archived"
    three.promote("churn@1.0.2", "archived")
    assert [one.version for one in three.model().holdings if one.stage == "archived"] == [
        "1.0.0",
        "1.0.2",
    ]
    done = three.promote("churn@1.0.0", "production", archive_existing=True)
    assert done.tags[:2] == ("churn#production#6", "churn#archived!#7")
    assert {one.version for one in three.model().holdings if one.stage == "archived"} == {
        "1.0.1",
        "1.0.2",
    }


def test_archiving_has_one_word(three: World, git: Any) -> None:
    """Whether it was asked for or only followed from a promotion: `git tag -n` says `Archive`."""
    three.promote("churn@1.0.0", "production")
    three.promote("churn@1.0.1", "production", archive_existing=True)
    three.promote("churn@1.0.2", "archived")
    listed = git(three.root, "tag", "-n", "--list", "churn#archived#*")
    assert [line.split(maxsplit=1)[1] for line in listed.splitlines()] == [
        "Archive churn 1.0.0",
        "Archive churn 1.0.2",
    ]


def test_what_is_so_already_needs_no_tag(three: World, git: Any) -> None:
    """A script may be run again; a history of nothing is noise."""
    three.promote("churn@1.0.0", "production")
    before = git(three.root, "tag")
    assert three.promote("churn@1.0.0", "production").status == "notneeded"
    assert registrar.demote(three.repo, three.version("churn@1.0.1")).status == "notneeded"
    assert registrar.unalias(three.repo, three.model(), "champion").status == "notneeded"
    assert git(three.root, "tag") == before
    registrar.unregister(three.repo, three.version("churn@1.0.2"))
    assert registrar.unregister(three.repo, three.version("churn@1.0.2")).status == "notneeded"
    registrar.deprecate(three.repo, three.model())
    assert registrar.deprecate(three.repo, three.model()).status == "notneeded"


def test_again_decides_anew(three: World, git: Any) -> None:
    """It ends a contest: two clones promoted at once, and their tags met."""
    three.promote("churn@1.0.0", "production")
    made = three.repo.write_tag(
        "churn#production#2", three.version("churn@1.0.1").commit,
        "Promote\n\nVersion: 1.0.1\nPrevious: none\n",
        tagger=three.repo.identity(), moment=NOW,
    )  # fmt: skip
    git(three.root, "update-ref", "refs/tags/churn#production#2", made)
    held = three.model().holding("production")
    assert held is not None and held.contested
    done = three.promote("churn@1.0.1", "production", again=True)
    held = three.model().holding("production")
    assert done.status == "done" and done.tags[0] == "churn#production#3"
    assert held is not None and not held.contested and held.version == "1.0.1"


def test_what_cannot_have_a_stage(three: World) -> None:
    registrar.alias(three.repo, three.version("churn@1.0.0"), "champion")
    for stage in ("champion", "Production", "v1", "1.0.0", "latest", "a b", "", "none"):
        with pytest.raises(BadName):
            three.promote("churn@1.0.0", stage)
    registrar.unregister(three.repo, three.version("churn@1.0.1"))
    with pytest.raises(StageRefused, match="taken back"):
        three.promote("churn@1.0.1", "production")
    registrar.deprecate(three.repo, three.model(), reason="no use")
    with pytest.raises(StageRefused, match="since churn@deprecated by Ada Lovelace: no use"):
        three.promote("churn@1.0.0", "production")
    with pytest.raises(StageRefused, match=": no use"):
        registrar.register(three.repo, three.run(3), "churn")
    with pytest.raises(StageRefused, match=": no use"):
        registrar.alias(three.repo, three.version("churn@1.0.0"), "best")


def test_what_ends_still_ends_for_a_deprecated_model(three: World) -> None:
    """Retiring comes first, clearing up after it."""
    three.promote("churn@1.0.0", "production")
    registrar.alias(three.repo, three.version("churn@1.0.0"), "champion")
    registrar.deprecate(three.repo, three.model())
    registrar.demote(three.repo, three.version("churn@production"))
    registrar.unalias(three.repo, three.model(), "champion")
    registrar.unregister(three.repo, three.version("churn@1.0.0"))
    assert three.holders() == {}


def test_a_stage_that_gto_named_goes_on(three: World, git: Any) -> None:
    """Its users write `Prod`."""
    git(three.root, "tag", "-a", "-m", "x", "churn#Prod#1", "churn@v1.0.0^{}")
    done = three.promote("churn@1.0.1", "Prod")
    assert done.tags == ("churn#Prod#2", "churn#Prod!#3")
    assert three.holders() == {"Prod": "1.0.1"}


def test_a_condition_gates_a_promotion(three: World, git: Any) -> None:
    """And the tag keeps what it was judged by."""
    three.promote("churn@1.0.2", "staging", require=["metrics.f1 >= 0.7", "f1 < 1"])
    said = three.trailers(git, "churn#staging#1")["require"]
    assert said.startswith("metrics.f1 >= 0.7 (metrics.f1 = 0.7); f1 < 1 (")
    with pytest.raises(StageRefused, match=r"f1"):
        three.promote("churn@1.0.0", "staging", require=["metrics.f1 >= 0.7"])
    with pytest.raises(QueryError):
        three.promote("churn@1.0.0", "staging", require=["metrics.nothing > 1"])
    git(three.root, "config", "track.stage.production.require", "metrics.f1 > 0.6")
    three.repo = Repo.open(three.root)
    with pytest.raises(StageRefused, match=r"f1"):
        three.promote("churn@1.0.1", "production")
    assert three.holders() == {"staging": "1.0.2"}


def test_a_condition_is_asked_of_who_holds_the_stage_too(three: World, git: Any) -> None:
    """A nightly job that asks for f1 >= 0.99 must not end well as nothing was to be done. The rule
    of the stage is for those who come."""
    three.promote("churn@1.0.0", "production")
    git(three.root, "config", "track.stage.production.require", "metrics.f1 > 0.99")
    three.repo = Repo.open(three.root)
    before = git(three.root, "tag")
    for dry in (False, True):
        with pytest.raises(StageRefused, match=r"does not meet metrics\.f1 >= 0\.99"):
            three.promote("churn@1.0.0", "production", require=["metrics.f1 >= 0.99"], dry_run=dry)
        for nonsense in ("metrics.f1 >", "", "metrics.nothing > 1"):
            with pytest.raises(QueryError):
                three.promote("churn@1.0.0", "production", require=[nonsense], dry_run=dry)
    done = three.promote("churn@1.0.0", "production", require=["metrics.f1 > 0"])
    assert done.status == three.promote("churn@1.0.0", "production").status == "notneeded"
    assert git(three.root, "tag") == before


def test_the_rules_are_asked_first(three: World, git: Any) -> None:
    (three.root / ".gittrackconfig").write_text(
        '[track]\n stages = staging, production\n[track "stage.production"]\n'
        " allow = <2.0\n from = staging\n"
    )
    with pytest.raises(StageRefused, match="no stage of this repository"):
        three.promote("churn@1.0.0", "canary")
    with pytest.raises(StageRefused, match="staging only"):
        three.promote("churn@1.0.0", "production", require=["nonsense ("])
    three.promote("churn@1.0.0", "staging")
    three.promote("churn@1.0.0", "production")
    three.promote("churn@1.0.0", "archived")
    registrar.register(three.repo, three.run(3), "churn", version="2.0.0")
    three.promote("churn@2.0.0", "staging")
    with pytest.raises(StageRefused, match=r"not within '<2\.0'"):
        three.promote("churn@2.0.0", "production")


def test_a_dry_run_asks_all_and_writes_nothing(three: World, git: Any) -> None:
    before = git(three.root, "for-each-ref")
    done = three.promote("churn@1.0.0", "production", dry_run=True)
    assert done.tags == ("churn#production#1",) and done.status == "done"
    assert done.version is not None and done.version.stage == "production"
    ref = three.run(3)
    new = registrar.register(three.repo, ref, "churn", dry_run=True)
    assert new.tags == ("churn@v1.0.3",)
    assert git(three.root, "for-each-ref", "refs/tags", "refs/notes") in before
    with pytest.raises(StageRefused):
        three.promote("churn@1.0.0", "production", require=["metrics.f1 > 1"], dry_run=True)


def test_demote_takes_the_stage(three: World, git: Any) -> None:
    three.promote("churn@1.0.0", "production")
    done = registrar.demote(three.repo, three.version("churn@production"), reason="bias")
    assert (done.tags, done.stage) == (("churn#production!#2",), "production")
    assert three.trailers(git, done.tags[0]) == {
        "version": "1.0.0", "run-id": f"{0:032x}", "previous": "churn#production#1",
        "reason": "bias",
    }  # fmt: skip
    assert three.holders() == {} and not three.model().history[-4].contested


def test_unregister_takes_all_that_it_held(three: World) -> None:
    """GTO's `show` would go on naming it otherwise."""
    three.promote("churn@1.0.0", "production")
    registrar.alias(three.repo, three.version("churn@1.0.0"), "champion")
    done = registrar.unregister(three.repo, three.version("churn@1.0.0"), reason="leak")
    assert done.tags == ("churn@v1.0.0!", "churn#champion!#3", "churn#production!#4")
    assert done.version is not None and not done.version.is_live
    assert three.holders() == {}
    after = three.promote("churn@1.0.1", "production")
    assert after.former is None and after.tags == ("churn#production#5",)
    assert not [one for one in three.model().history if one.contested]


def test_aliases_are_free_and_move(three: World, git: Any) -> None:
    three.promote("churn@1.0.0", "production")
    registrar.alias(three.repo, three.version("churn@1.0.0"), "champion")
    done = registrar.alias(three.repo, three.version("churn@1.0.1"), "champion", reason="won")
    assert done.tags == ("churn#champion#3", "churn#champion!#4")
    assert done.former is not None and done.former.version == "1.0.0"
    assert three.holders() == {"champion": "1.0.1", "production": "1.0.0"}
    said = three.trailers(git, done.tags[0])
    assert (said["kind"], said["previous"]) == ("alias", "churn#champion#2")
    assert three.trailers(git, done.tags[1])["kind"] == "alias"
    for name in ("production", "staging", "latest", "1.0.0", "A"):
        with pytest.raises(BadName):
            registrar.alias(three.repo, three.version("churn@1.0.1"), name)
    with pytest.raises(BadName, match="demote"):
        try:
            registrar.unalias(three.repo, three.model(), "production")
        except BadName as error:
            raise BadName(f"{error.message} {error.hint}") from error
    gone = registrar.unalias(three.repo, three.model(), "champion")
    assert gone.tags == ("churn#champion!#5",) and three.holders() == {"production": "1.0.0"}
    assert gone.version is not None and gone.version.version == "1.0.1"


# -- going back -----------------------------------------------------------------------------------


def _play(world: World, words: str) -> None:
    """`0` to `2` promote it, `d` demotes who holds it, `<` rolls back, `x0` takes it back."""
    for word in words.split():
        if word.startswith("x"):
            registrar.unregister(world.repo, world.version(f"churn@1.0.{word[1]}"))
        elif word == "d":
            registrar.demote(world.repo, world.version("churn@production"))
        elif word == "<":
            registrar.rollback(world.repo, world.model(), "production")
        else:
            world.promote(f"churn@1.0.{word}", "production", again=True)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("0 1 <", "0"),
        ("0 1 2 <", "1"),
        ("0 1 2 < <", "0"),
        ("0 1 2 < < <", None),
        ("0 <", None),
        ("0 1 1 <", "0"),
        ("0 1 2 x1 <", "0"),
        ("0 1 2 x0 x1 <", None),
        ("0 1 d <", "1"),
        ("0 d 1 <", "0"),
        ("0 1 2 < 2 <", "1"),
        ("0 1 2 < 2 < <", "0"),
        ("0 1 < 2 <", "0"),
        ("0 1 < 2 < <", None),
        ("0 1 0 <", "1"),
        ("0 1 0 < <", "0"),
    ],
)
def test_rollback(three: World, words: str, answer: str | None) -> None:
    """Back to who served before, and further back the second time; never to what was left."""
    if answer is None:
        *before, last = words.split()
        assert last == "<"
        _play(three, " ".join(before))
        with pytest.raises(StageRefused, match="nobody held production"):
            _play(three, "<")
        return
    _play(three, words)
    assert three.holders()["production"] == f"1.0.{answer}"
    assert not [one.tag for one in three.model().history if one.contested]


def test_a_rollback_of_another_stage_does_not_empty_production(three: World) -> None:
    """A version that was promoted from staging is what staging had before; it serves customers."""
    three.promote("churn@1.0.0", "staging")
    three.promote("churn@1.0.0", "production")
    for _ in range(2):
        with pytest.raises(StageRefused, match=r"staging of 'churn' was v1\.0\.0 before, which ho"):
            registrar.rollback(three.repo, three.model(), "staging")
        three.promote("churn@1.0.1", "staging", again=True)
    assert three.holders() == {"production": "1.0.0", "staging": "1.0.1"}


def test_an_alias_is_not_rolled_back(three: World) -> None:
    """It is no stage, and its user is told the verb that moves it."""
    registrar.alias(three.repo, three.version("churn@1.0.0"), "champion")
    registrar.alias(three.repo, three.version("churn@1.0.1"), "champion")
    with pytest.raises(BadName, match="is an alias of 'churn'"):
        registrar.rollback(three.repo, three.model(), "champion")
    assert three.holders() == {"champion": "1.0.1"}


def test_rollbacks_of_rollbacks_have_no_depth(three: World) -> None:
    """Anybody may write tags each of which brings back the one before."""
    commit, who = three.version("churn@1.0.1").commit, three.repo.identity()

    def assigned(number: int) -> Tag:
        name, back = f"churn#production#{number}", f"churn#production#{number - 1}"
        text = f"x\n\nVersion: 1.0.1\nRestores: {back}\n"
        return Tag(name, "0" * 40, True, name, commit, "commit", who.name, who.email, NOW, text)

    read = tags.read(whereabouts.of(three.repo))
    model = registry.fold([*read, *map(assigned, range(1, 3000))]).models["churn"]
    assert assignments.predecessor(model, "production") is None


def test_a_rollback_says_what_it_brings_back(three: World, git: Any) -> None:
    _play(three, "0 1")
    three.promote("churn@1.0.0", "staging")
    done = registrar.rollback(three.repo, three.model(), "production", reason="latency")
    assert done.tags == ("churn#production#5", "churn#staging!#6", "churn#production!#7")
    assert three.trailers(git, done.tags[0]) == {
        "version": "1.0.0", "run-id": f"{0:032x}", "previous": "churn#production#2",
        "restores": "churn#production#1", "reason": "latency",
    }  # fmt: skip
    assert done.former is not None and done.former.version == "1.0.1"
    subject = git(three.root, "tag", "-l", "--format=%(subject)", done.tags[0]).strip()
    assert subject == "Roll production of churn back to 1.0.0"


def test_a_rollback_asks_the_range_and_nothing_else(three: World, git: Any) -> None:
    """At night nobody wants to hear that it did not come from staging."""
    _play(three, "0 1")
    git(three.root, "config", "track.stage.production.from", "staging")
    git(three.root, "config", "track.stage.production.require", "metrics.f1 > 1")
    three.repo = Repo.open(three.root)
    registrar.rollback(three.repo, three.model(), "production")
    _play_back = registrar.demote(three.repo, three.version("churn@production"))
    assert _play_back.status == "done"
    git(three.root, "config", "track.stage.production.allow", ">=2")
    three.repo = Repo.open(three.root)
    with pytest.raises(StageRefused, match="not within"):
        registrar.rollback(three.repo, three.model(), "production")


# -- what was decided upon ------------------------------------------------------------------------


def _stale(world: World, selector: str, change: Callable[[], object]) -> tuple[Version, Model]:
    seen, model = world.version(selector), world.model()
    change()
    return seen, model


def test_what_changed_since_it_was_seen_is_not_decided_upon(three: World) -> None:
    """Two people act on the same page; the second one must look again."""
    repo = three.repo
    seen, model = _stale(three, "churn@1.0.0", lambda: three.promote("churn@1.0.0", "staging"))
    with pytest.raises(RegistryChanged, match=r"went to staging meanwhile, by Ada Lovelace"):
        registrar.promote(repo, seen, "production")
    with pytest.raises(RegistryChanged):
        registrar.demote(repo, seen)
    with pytest.raises(RegistryChanged):
        registrar.unregister(repo, seen)
    with pytest.raises(RegistryChanged):
        registrar.rollback(repo, model, "staging")
    assert registrar.promote(repo, seen, "production", again=True).status == "done"

    seen, _ = _stale(three, "churn@production", lambda: _play(three, "d"))
    with pytest.raises(RegistryChanged, match="lost production meanwhile"):
        registrar.demote(repo, seen)
    seen, model = _stale(
        three, "churn@1.0.1", lambda: registrar.unregister(repo, three.version("churn@1.0.1"))
    )
    with pytest.raises(RegistryChanged, match="taken back meanwhile"):
        registrar.promote(repo, seen, "production")
    assert registrar.unregister(repo, seen).status == "notneeded"

    registrar.alias(repo, three.version("churn@1.0.0"), "champion")
    _, model = _stale(
        three,
        "churn@1.0.0",
        lambda: registrar.alias(repo, three.version("churn@1.0.2"), "champion"),
    )
    with pytest.raises(RegistryChanged, match=r"champion of churn went to v1\.0\.2"):
        registrar.unalias(repo, model, "champion")


def test_what_is_gone_is_not_found(three: World, git: Any) -> None:
    seen, model = three.version("churn@1.0.0"), three.model()
    git(three.root, "tag", "-d", "churn@v1.0.0")
    with pytest.raises(ModelNotFound):
        registrar.promote(three.repo, seen, "production")
    git(three.root, "tag", "-d", "churn@v1.0.1", "churn@v1.0.2")
    for act in (
        lambda: registrar.demote(three.repo, seen),
        lambda: registrar.unregister(three.repo, seen),
        lambda: registrar.deprecate(three.repo, model),
        lambda: registrar.unalias(three.repo, model, "x"),
        lambda: registrar.rollback(three.repo, model, "production"),
        lambda: registrar.alias(three.repo, seen, "x"),
    ):
        with pytest.raises(ModelNotFound):
            act()


WORDS = st.sampled_from(["0", "1", "2", "s0", "s1", "a2", "d", "<", "c0", "c1"])


@settings(deadline=None, max_examples=12)
@given(words=st.lists(WORDS, max_size=7))
def test_whatever_is_decided_is_uncontested_and_numbered_on(
    tmp_path_factory: pytest.TempPathFactory, git: Any, words: list[str]
) -> None:
    """One clone by itself: every `Previous` is right, no number twice, each decision counts."""
    root = tmp_path_factory.mktemp("world")
    git(root, "init", "-q", ".")
    world = World(root)
    for number in range(3):
        registrar.register(world.repo, world.run(number), "churn")
    for word in words:
        try:
            if word[0] in "sac" and len(word) == 2:
                found = world.version(f"churn@1.0.{word[1]}")
                if word[0] == "c":
                    registrar.alias(world.repo, found, "champion")
                else:
                    stage = "staging" if word[0] == "s" else "archived"
                    registrar.promote(world.repo, found, stage)
            else:
                _play(world, word)
        except (StageRefused, ModelNotFound):
            continue
    model = world.model()
    staged = [one for one in model.history if one.counter]
    assert [one.counter for one in staged] == list(range(1, len(staged) + 1))
    assert [one.tag for one in model.history if one.contested] == []
    assert world.known.problems == ()
    moments = [one.moment or 0 for one in staged]
    assert moments == sorted(moments)
    held = [one.version for one in model.holdings if not one.is_alias]
    assert len(held) == len(set(held))


# -- everywhere -----------------------------------------------------------------------------------


def test_in_every_kind_of_repository(every_repo: Any, git: Any) -> None:
    world = World(every_repo.path)
    done = registrar.register(world.repo, world.run(0), "churn")
    assert done.status == "done"
    assert world.promote("churn@1.0.0", "production").status == "done"
    assert world.holders() == {"production": "1.0.0"}
    assert git(every_repo, "tag").split() == ["churn#production#1", "churn@v1.0.0"]


def test_in_a_bare_repository(three: World, git: Any, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--mirror", str(three.root), "hub.git")
    hub = World(tmp_path / "hub.git")
    assert hub.promote("churn@1.0.1", "production").status == "done"
    assert registrar.unregister(hub.repo, hub.version("churn@1.0.1")).status == "done"


def test_in_a_plain_clone_that_has_no_runs(three: World, git: Any, tmp_path: Path) -> None:
    """Its tags bring the commits; the refs of runs stay behind."""
    git(tmp_path, "clone", "-q", three.root.as_uri(), "plain")
    clone = World(tmp_path / "plain")
    assert refs.all_runs(clone.repo) == []
    done = clone.promote("churn@1.0.2", "production", require=["metrics.f1 > 0.6"])
    assert done.status == "done"
    clone.promote("churn@1.0.1", "production")
    registrar.rollback(clone.repo, clone.model(), "production")
    registrar.alias(clone.repo, clone.version("churn@1.0.1"), "champion")
    registrar.unregister(clone.repo, clone.version("churn@1.0.0"))
    assert clone.holders() == {"production": "1.0.2", "champion": "1.0.1"}


def test_without_a_user_name(three: World, git: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision is by somebody, even where Git was never told whom."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    three.repo = Repo.open(three.root)
    done = three.promote("churn@1.0.0", "production")
    assert done.version is not None and done.version.since is not None
    assert done.version.since.by and done.version.since.email


def test_a_promotion_does_not_need_the_record(three: World, git: Any) -> None:
    """Nor that nobody deleted the run: the version stands behind its own tag."""
    run = summarize(load(three.repo, refs.all_runs(three.repo)[0]))
    now = datetime.now(timezone.utc)
    append(three.repo, run, [Said("delete")], now=now, random=os.urandom)
    assert three.promote("churn@1.0.0", "staging").status == "done"
    head = git(three.root, "rev-parse", "HEAD").strip()
    git(three.root, "tag", "-a", "-m", "by hand", "churn@v3.0.0", head)
    assert three.promote("churn@3.0.0", "production").status == "done"
    with pytest.raises(GittrackError, match="no run"):
        three.promote("churn@3.0.0", "staging", require=["metrics.f1 > 0"])


def test_a_foreign_tag_of_the_name_is_said(three: World, git: Any) -> None:
    """It does not count, and stands where ours would: nobody may overwrite it."""
    git(three.root, "tag", "churn@v1.0.0!")
    with pytest.raises(GittrackError, match="lightweight"):
        registrar.unregister(three.repo, three.version("churn@1.0.0"))
    git(three.root, "tag", "churn#production#999999999")
    with pytest.raises(GittrackError, match="999999999"):
        three.promote("churn@1.0.0", "production")
