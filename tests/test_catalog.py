"""What is known of versions: rows of many, everything of one, in a repository and a plain clone."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from gittrack import catalog, inventory, provenance, refs, registrar, registry, whereabouts
from gittrack.annotations import append
from gittrack.commits import load, summarize
from gittrack.events import Change as Said
from gittrack.git import Identity, Repo
from gittrack.records import Artifact, Data
from gittrack.registry import Registry
from gittrack.whereabouts import Place
from recorded_runs import record

NOW = 1_800_000_000
KEPT = Artifact("model.joblib", "1" * 32, 20)
NAMES = ("amber-otter-aaaaaa", "blue-heron-bbbbbb", "calm-lynx-cccccc")
ADA = Identity("Ada Lovelace", "ada@example.org")


class World:
    """A repository, and what is asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def place(self) -> Place:
        return whereabouts.of(Repo.open(self.root))

    @property
    def known(self) -> Registry:
        return registry.read(self.place)

    def dossier(self, selector: str) -> catalog.Dossier:
        known = self.known
        return catalog.open_dossier(self.place, known, registry.find_version(known, selector))

    def board(self, *names: str, **more: Any) -> list[inventory.Overview]:
        return inventory.board(self.place, self.known, names or None, **more)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, git: Any) -> World:
    """Model `churn` of three runs, whose 1.0.0 is in production, and `old`, which is deprecated."""
    root = tmp_path_factory.mktemp("registry") / "repo"
    root.mkdir()
    git(root, "init", "-q", ".")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    repo = Repo.open(root)
    for number, name in enumerate(NAMES):
        record(
            root, number, name, artifacts=(KEPT,), params={"lr": number / 10},
            metrics={"val_loss": 0.5, "acc": 0.9 + number / 100} if number < 2 else {},
            data=(Data("data/raw.csv", "2" * 32, 10),),
        )  # fmt: skip
    made = [refs.find(repo, "default", name) for name in NAMES]
    for number, ref in enumerate(made):
        assert ref is not None
        registrar.register(
            repo, ref, "churn", bump="minor", message=f"try {number}", now=NOW + number
        )
    assert made[0] is not None
    registrar.register(repo, made[0], "old", now=NOW + 3)
    current = World(root)
    for step, (number, stage) in enumerate(
        [("1.0.0", "staging"), ("1.0.0", "production"), ("1.1.0", "staging"), ("1.2.0", "archived")]
    ):
        which = registry.find_version(current.known, f"churn@{number}")
        registrar.promote(repo, which, stage, reason=f"for {stage}", now=NOW + 10 * (step + 1))
    champion = registry.find_version(current.known, "churn@1.1.0")
    registrar.alias(repo, champion, "champion", now=NOW + 60)
    registrar.deprecate(repo, current.known.models["old"], reason="use churn", now=NOW + 70)
    return current


@pytest.fixture(scope="module")
def clone(world: World, tmp_path_factory: pytest.TempPathFactory, git: Any) -> World:
    """What `git clone` makes of it: the tags, and no ref of a run."""
    root = tmp_path_factory.mktemp("clone") / "repo"
    git(world.root, "clone", "-q", "--no-local", ".", str(root))
    assert "refs/runs" not in git(root, "for-each-ref")
    return World(root)


@pytest.fixture(params=["repository", "clone"])
def both(request: pytest.FixtureRequest, world: World, clone: World) -> World:
    """Either in turn: what holds in one holds in the other."""
    return world if request.param == "repository" else clone


def test_a_row_says_who_holds_what_and_how_good_it_is(both: World) -> None:
    """By the version in production, not the latest: that is the one that is at work."""
    (row,) = both.board()
    assert row.fields() == {
        "model": "churn",
        "latest": "1.2.0",
        "stages": {"production": "1.0.0", "staging": "1.1.0"},
        "archived": ["1.2.0"],
        "aliases": {"champion": "1.1.0"},
        "versions": 3,
        "metric": {"name": "acc", "value": 0.9, "version": "1.0.0"},
        "changed": {
            "by": "Ada Lovelace",
            "email": "ada@example.org",
            "at": datetime.fromtimestamp(NOW + 60, timezone.utc),
            "reason": None,
            "tag": "churn#champion#6",
        },
        "contested_stages": [],
        "deprecated": None,
        "description": None,
    }


def test_deprecated_models_are_shown_to_those_who_ask(both: World) -> None:
    """For all of them, or for one by its name."""
    assert [row.model.name for row in both.board(deprecated=True)] == ["churn", "old"]
    (old,) = both.board("old")
    assert old.fields()["deprecated"]["reason"] == "use churn"
    assert old.metric == ("acc", 0.9) and old.measured == "1.0.0"


def test_versions_come_with_their_runs(both: World) -> None:
    """The same names and metrics, whether a ref leads to the run or only the tag."""
    found = inventory.editions(both.place, both.known.models["churn"].versions)
    assert [one.version.version for one in found] == ["1.2.0", "1.1.0", "1.0.0"]
    runs = [one.run for one in found if one.run is not None]
    assert [run.name for run in runs] == list(reversed(NAMES))
    assert [dict(run.metrics) for run in runs] == [
        {},
        {"acc": 0.91, "val_loss": 0.5},
        {"acc": 0.9, "val_loss": 0.5},
    ]
    assert {(run.experiment, run.status) for run in runs} == {("default", "finished")}


def test_everything_of_a_version_is_read_from_its_run(both: World) -> None:
    """Nothing of this is in the tag: data, params, code."""
    found = both.dossier("churn@production")
    told = found.fields()
    assert found.doubts == ()
    assert told["artifact"] == {
        "path": "model.joblib", "md5": "1" * 32, "size": 20, "nfiles": None, "flavors": [],
    }  # fmt: skip
    assert told["params"] == {"lr": 0.0}
    assert told["data"] == {"data/raw.csv": {"md5": "2" * 32}}
    assert told["code"]["branch"] == "main" and told["code"]["dirty"] is False
    assert told["run"]["name"] == NAMES[0] and told["run"]["id"] == f"{0:032x}"
    assert told["registered"]["reason"] == "try 0"
    assert told["promoted"]["reason"] == "for production"
    assert told["promoted"]["tag"] == "churn#production#2"


def test_the_tags_alone_say_the_same_under_the_same_names(both: World) -> None:
    """A pipeline without the run reads `brief` and one with it `details`."""
    known = both.known
    version = registry.find_version(known, "churn@champion")
    short, whole = catalog.brief(known.models["churn"], version), both.dossier("churn@champion")
    told = whole.fields()
    assert short.keys() <= told.keys()
    for key in short.keys() - {"run", "artifact"}:
        assert short[key] == told[key]
    for part in ("run", "artifact"):
        assert short[part].keys() <= told[part].keys()
        said = {key: value for key, value in short[part].items() if value is not None}
        assert said.items() <= told[part].items()
    assert catalog.details(both.place, known, version) == told


def test_a_version_is_its_run_with_or_without_a_ref(both: World) -> None:
    """`churn@v1.1.0` in a clone that has no runs must never be another run."""
    known = both.known
    for number, name in zip(("1.0.0", "1.1.0", "1.2.0"), NAMES, strict=True):
        version = known.models["churn"].version(number)
        assert version is not None
        ref = provenance.locate(both.place, version)
        assert ref is not None and (ref.name, ref.experiment) == (name, "default")
        assert load(both.place.repo, ref).id == version.run_id


def test_a_model_by_itself_is_as_it_is_among_all(both: World) -> None:
    """`show` reads the tags of one model, and none of those whose names begin alike."""
    for name in ("churn", "old"):
        alone = registry.read_named(both.place, name)
        assert list(alone.models) == [name]
        assert alone.models[name] == both.known.models[name]
    for name in ("chur", "none", "a b", "-", ""):
        assert registry.read_named(both.place, name) == both.known


# -- what is odd ----------------------------------------------------------------------------------


def new(tmp_path: Path, git: Any, **more: Any) -> tuple[World, Repo]:
    """A repository with one run."""
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", ".")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    record(root, 0, NAMES[0], **{"artifacts": (KEPT,), "metrics": {"acc": 0.5}, **more})
    return World(root), Repo.open(root)


def say(git: Any, root: Path, name: str, on: str, *trailers: str) -> None:
    git(root, "tag", "-a", "-m", "It is so\n\n" + "\n".join(trailers), name, on)


def test_a_version_that_is_no_run_is_shown_as_what_it_is(tmp_path: Path, git: Any) -> None:
    """GTO tags any commit; the registry has its versions, too."""
    world, _ = new(tmp_path, git)
    git(world.root, "tag", "-a", "-m", "Registering", "plain@v1.0.0", "HEAD")
    found = world.dossier("plain@v1.0.0")
    assert found.run is None and found.fields()["metrics"] is None
    commit = git(world.root, "rev-parse", "HEAD")
    assert found.doubts == (f"its commit {commit[:7]} is no run",)
    (row,) = world.board()
    assert row.metric is None and row.latest == "1.0.0"
    (edition,) = inventory.editions(world.place, world.known.models["plain"].versions)
    assert edition.run is None


def test_a_tag_that_says_what_its_run_does_not_is_doubted(tmp_path: Path, git: Any) -> None:
    """Anybody can write a tag; what counts is the record of the commit that it is on."""
    world, _ = new(tmp_path, git)
    run = f"runs/default/{NAMES[0]}"
    say(
        git, world.root, "churn@v1.0.0", run, "Artifact: model.joblib",
        f"Artifact-Hash: {'9' * 32}", f"Run-Id: {'8' * 32}", "Run: other/else-aaaaaa",
    )  # fmt: skip
    say(git, world.root, "churn@v1.1.0", run, "Artifact: gone.bin", "Run: ../../etc/passwd")
    found = world.dossier("churn@v1.0.0")
    assert found.doubts == (
        "its tag names the run 8888888, its commit is 0000000",
        "its tag says model.joblib is 9999999, its run kept 1111111",
    )
    assert found.fields()["artifact"]["md5"] == "1" * 32
    assert found.fields()["run"]["name"] == NAMES[0]
    assert world.dossier("churn@v1.1.0").doubts == (
        "its tag says gone.bin, and its run kept no such artifact",
    )


def test_parts_and_wholes_of_artifacts_are_no_doubt(tmp_path: Path, git: Any) -> None:
    """An artifact may be a file in a directory that was kept, or a directory of several."""
    kept = (Artifact("out/a.bin", "3" * 32, 1), Artifact("model", "4" * 32 + ".dir", 9, 2))
    world, _ = new(tmp_path, git, artifacts=kept)
    for number, path in enumerate(("out", "model", "model/weights.bin")):
        say(
            git, world.root, f"churn@v1.{number}.0", f"runs/default/{NAMES[0]}",
            f"Artifact: {path}",
        )  # fmt: skip
        assert world.dossier(f"churn@v1.{number}.0").doubts == ()
    assert world.dossier("churn@v1.1.0").fields()["artifact"]["nfiles"] == 2


def test_a_record_that_cannot_be_read_costs_only_itself(tmp_path: Path, git: Any) -> None:
    """The tags still say who promoted it; a listing goes on."""
    world, repo = new(tmp_path, git)
    run = git(world.root, "rev-parse", f"runs/default/{NAMES[0]}").strip()
    message = git(world.root, "log", "-1", "--format=%B", run)
    bad = repo.write_commit(
        tree=repo.empty_tree(), parents=[], message=message, author=ADA, started=0.0, ended=1.0,
        sign=False,
    )  # fmt: skip
    say(git, world.root, "bad@v1.0.0", bad)
    say(git, world.root, "good@v1.0.0", run)
    assert [row.model.name for row in world.board()] == ["bad", "good"]
    found = world.dossier("bad@v1.0.0")
    assert found.run is None and len(found.doubts) == 1


def test_what_was_said_of_the_run_since_is_there(tmp_path: Path, git: Any) -> None:
    """A deleted run may still be in production: that must be seen, and its row be there."""
    world, repo = new(tmp_path, git)
    ref = refs.find(repo, "default", NAMES[0])
    assert ref is not None
    registrar.register(repo, ref, "churn", now=NOW)
    run = summarize(load(repo, ref))
    append(
        repo, run, [Said("delete"), Said("title", value="The one")],
        now=datetime.now(timezone.utc), random=lambda count: b"x" * count,
    )  # fmt: skip
    told = world.dossier("churn@latest").fields()["run"]
    assert told["deleted"] is True and told["title"] == "The one"
    (row,) = world.board()
    assert row.metric == ("acc", 0.5)
    git(world.root, "update-ref", "-d", f"refs/runs/default/{NAMES[0]}")
    (row,) = world.board()
    assert row.metric == ("acc", 0.5)
    assert world.dossier("churn@latest").fields()["run"]["name"] == NAMES[0]


def test_the_leading_metric_is_the_first_that_the_run_has(tmp_path: Path, git: Any) -> None:
    """Of very many keys, of which only other runs have the first ones; NaN is a value."""
    metrics = {f"m{number:02}": number / 2 for number in range(40)}
    world, repo = new(tmp_path, git, metrics=metrics)
    record(world.root, 1, NAMES[1], artifacts=(KEPT,), metrics={"z": math.nan, "zz": 1})
    for name in NAMES[:2]:
        ref = refs.find(repo, "default", name)
        assert ref is not None
        registrar.register(repo, ref, "churn", now=NOW)
    (row,) = world.board()
    assert row.metric is not None and row.metric[0] == "z" and math.isnan(row.metric[1])
    assert inventory.makers(world.place, ()) == {}
