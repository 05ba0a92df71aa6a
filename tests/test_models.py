"""The registry from Python: what comes back, what may be given, and what goes wrong."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import gittrack
from conftest import KINDS
from copies import copied
from doors import fresh
from gittrack import errors
from gittrack.git import Repo
from recorded_runs import record
from registered import OTHER, RUN, Wine
from remotes import directory_config, keep, set_up


@pytest.fixture(scope="module")
def cellar(tmp_path_factory: pytest.TempPathFactory) -> Wine:
    """Two runs with an artifact each, no version yet; nobody works in it."""
    top = tmp_path_factory.mktemp("cellar")
    return Wine(KINDS["plain"](top).root, top / "scratch")


@pytest.fixture
def repo_dir(cellar: Wine, tmp_path: Path) -> Path:
    """The fixture of that name, with these runs."""
    return copied(cellar.root, tmp_path / "repo")


@pytest.fixture
def wine(cellar: Wine, repo_dir: Path) -> Iterator[Wine]:
    """A copy of `cellar`; this process stands in the repository."""
    made = copy.copy(cellar)
    made.root = repo_dir
    with fresh(repo_dir):
        yield made


# -- registering and promoting --------------------------------------------------------------------


def test_a_run_becomes_a_version_and_holds_a_stage(wine: Wine) -> None:
    """The story of README, in Python."""
    first = gittrack.register_model(RUN, "wine", message="passed the audit")
    assert (first.name, first.version, first.tag) == ("wine", "1.0.0", "wine@v1.0.0")
    assert (first.stage, first.aliases, first.is_live) == (None, (), True)
    assert (first.artifact, first.md5) == ("model.joblib", wine.md5s[RUN])
    assert (first.commit, first.run.name) == (wine.commits[RUN], RUN)
    assert first.registered_by == "Ada Lovelace" and first.registered_at is not None
    assert abs(first.registered_at - datetime.now(timezone.utc)).total_seconds() < 900
    assert first.path().read_text() == RUN
    now = gittrack.promote(first, "production", reason="it is the best")
    assert (now.stage, first.stage) == ("production", None)
    assert gittrack.model("wine@production") == now == first
    second = gittrack.register_model(OTHER, "wine", bump="minor")
    assert second.version == "1.1.0"
    gittrack.promote("wine@1.1.0", "production", archive_existing=True)
    assert gittrack.model("wine@production").version == "1.1.0"
    assert gittrack.model("wine@v1.0.0").stage == "archived"
    assert [gittrack.model(name).version for name in ("wine", "wine@latest")] == ["1.1.0"] * 2


def test_what_is_so_already_stays(wine: Wine, git: Any) -> None:
    """A script may run twice: it registers and promotes once."""
    first = gittrack.register_model(RUN, "wine")
    gittrack.promote(first, "staging")
    before = git(wine.root, "for-each-ref", "refs/tags")
    assert gittrack.register_model(RUN, "wine") == first
    assert gittrack.promote(first, "staging").stage == "staging"
    assert git(wine.root, "for-each-ref", "refs/tags") == before
    gittrack.promote(first, "staging", again=True)
    assert len(git(wine.root, "tag").split()) == 3


@pytest.mark.parametrize("how", ["name", "value", "artifact", "path", "selector"])
def test_a_run_may_be_given_in_any_way(wine: Wine, how: str) -> None:
    """A text as the command takes it, or what `runs` and `get_run` give."""
    run: Any = {"name": RUN, "artifact": f"{RUN}:model.joblib", "selector": f"default/{RUN[:6]}",
                "path": RUN}.get(how, gittrack.get_run(RUN))  # fmt: skip
    given = Path("model.joblib") if how == "path" else None
    made = gittrack.register_model(run, "wine", artifact=given, version="2.0.0")
    assert (made.version, made.run.name, made.artifact) == ("2.0.0", RUN, "model.joblib")


@pytest.mark.parametrize("value", [None, 5, 1.5, b"wine", ["wine"]])
def test_what_is_no_text_is_said_in_our_words(wine: Wine, git: Any, value: Any) -> None:
    """A None from a dictionary must not become an AttributeError three modules away, or pass."""
    gittrack.register_model(RUN, "wine")
    tries: list[Any] = [
        lambda: gittrack.register_model(value, "other"),
        lambda: gittrack.register_model(OTHER, value),
        lambda: gittrack.register_model(OTHER, "wine", message=value),
        lambda: gittrack.model(value),
        lambda: gittrack.promote(value, "staging"),
        lambda: gittrack.promote("wine@1.0.0", value),
        lambda: gittrack.promote("wine@1.0.0", "staging", reason=value),
        lambda: gittrack.promote("wine@1.0.0", "staging", require=[value]),
    ]
    if value is not None:
        tries.append(lambda: gittrack.register_model(OTHER, "wine", version=value))
        tries.append(lambda: gittrack.register_model(OTHER, "wine", artifact=value))
        tries.append(lambda: gittrack.register_model(OTHER, "wine", bump=value))
    if value != ["wine"]:
        tries.append(lambda: gittrack.promote("wine@1.0.0", "staging", require=value))
    for attempt in tries:
        with pytest.raises(errors.UsageError):
            attempt()
    assert git(wine.root, "tag").split() == ["wine@v1.0.0"]


def test_what_is_no_unicode_is_kept_as_git_quotes_it(wine: Wine, git: Any) -> None:
    """Half a character comes from JSON, a byte from a file name; a tag is UTF-8."""
    odd = "a\ud800b\udcff"
    first = gittrack.register_model(RUN, "wine", message=odd)
    gittrack.promote(first, "staging", reason=odd)
    for tag in ("wine@v1.0.0", "wine#staging#1"):
        said = git(wine.root, "cat-file", "tag", tag).replace("\\\\", "\\")
        assert "a\\355\\240\\200b" in said
    for attempt in (
        lambda: gittrack.register_model(odd, "wine"),
        lambda: gittrack.register_model(OTHER, odd),
        lambda: gittrack.register_model(OTHER, "wine", version=odd),
        lambda: gittrack.register_model(OTHER, "wine", artifact=odd),
        lambda: gittrack.model(odd),
        lambda: gittrack.promote("wine@1.0.0", odd),
        lambda: gittrack.promote("wine@1.0.0", "production", require=odd),
    ):
        with pytest.raises(errors.GittrackError):
            attempt()


def test_a_run_that_kept_nothing_may_be_a_version(wine: Wine, git: Any) -> None:
    """A prompt or a set of rules is the code: a typing error in a path must not become that."""
    record(wine.root, 7, "bare-run-aaaaaa")
    with pytest.raises(errors.BadPath):
        gittrack.register_model("bare-run-aaaaaa", "rules")
    made = gittrack.register_model("bare-run-aaaaaa", "rules", allow_none=True)
    assert (made.artifact, made.md5, made.run.name) == (None, None, "bare-run-aaaaaa")
    with pytest.raises(errors.BadPath):
        made.path()
    with pytest.raises(errors.UsageError, match=r"model\.joblib.*allow_none"):
        gittrack.register_model(f"{RUN}:model.joblib", "wine", allow_none=True)
    assert gittrack.register_model(RUN, "wine", allow_none=True).artifact == "model.joblib"


def test_the_repository_may_be_another(wine: Wine, tmp_path: Path, git: Any) -> None:
    """A text means a run of `directory`; a run, a run of its own repository."""
    run = gittrack.get_run(RUN)
    git(tmp_path, "init", "-q", "elsewhere")
    with fresh(tmp_path / "elsewhere"):
        assert gittrack.register_model(run, "wine").version == "1.0.0"
        assert gittrack.register_model(OTHER, "wine", directory=wine.root).version == "1.0.1"
        there = gittrack.model("wine", directory=wine.root)
        assert gittrack.promote(there, "staging").stage == "staging"
        assert there.run.name == OTHER and there.path().read_text() == OTHER
        with pytest.raises(errors.ModelNotFound):
            gittrack.model("wine")


def test_conditions_are_asked(wine: Wine) -> None:
    """One text is one condition, not one for each of its letters."""
    first = gittrack.register_model(RUN, "wine")
    with pytest.raises(errors.GittrackError):
        gittrack.promote(first, "production", require="metrics.f1 > 0.95")
    with pytest.raises(errors.StageRefused):
        gittrack.promote(first, "production", require=["status = 'failed'"])
    assert gittrack.promote(first, "production", require="status = 'finished'").stage


# -- runs that go on ------------------------------------------------------------------------------


def test_a_run_is_registered_after_its_end(wine: Wine, tmp_path: Path) -> None:
    """Within it there is no commit to put a tag on: the error says where to write the line."""
    with gittrack.start_run() as run:
        gittrack.log_metric("f1", 0.9)
        (tmp_path / "m.bin").write_text("weights")
        gittrack.log_artifact(tmp_path / "m.bin")
        for given in (run, run.name, gittrack.run, gittrack.get_run(run.name)):
            with pytest.raises(errors.RunNotFound, match="is still running") as caught:
                gittrack.register_model(given, "wine")
            assert caught.value.hint
    made = gittrack.register_model(run, "wine")
    assert (made.run.id, made.metrics["f1"]) == (run.id, 0.9)
    assert made.path().read_text() == "weights"


def test_a_disabled_run_cannot_be_registered(wine: Wine) -> None:
    """Nothing of it is recorded."""
    with gittrack.init(mode="disabled") as run:
        pass
    with pytest.raises(errors.RunNotFound, match="disabled"):
        gittrack.register_model(run, "wine")


def test_a_model_that_a_run_loads_is_its_input(wine: Wine) -> None:
    """What was made from which version must be seen in its lineage."""
    gittrack.promote(gittrack.register_model(RUN, "wine"), "production")
    with gittrack.start_run() as run:
        assert gittrack.model("wine@production").path().read_text() == RUN
    [read] = gittrack.get_run(run.name).inputs
    assert (read.run, read.commit) == (f"runs/default/{RUN}", wine.commits[RUN])


# -- the value ------------------------------------------------------------------------------------


def test_a_version_is_a_value(wine: Wine) -> None:
    """Frozen, with a name that can be read, equal by its tag, and pickled for a worker."""
    first = gittrack.register_model(RUN, "wine")
    gittrack.promote(first, "production")
    now = gittrack.model("wine@production")
    assert repr(first) == "<ModelVersion wine@v1.0.0>"
    assert repr(now) == "<ModelVersion wine@v1.0.0 production>"
    assert now == first and hash(now) == hash(first) and now != "wine@v1.0.0"
    assert gittrack.register_model(OTHER, "wine") != first
    with pytest.raises(FrozenInstanceError):
        now.stage = "staging"  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(now))
    assert (again, again.stage, again.aliases) == (now, "production", ())
    assert again.path() == now.path() and again.params == now.params == {}


def test_a_notebook_shows_it(wine: Wine, repo_dir: Path) -> None:
    """Whatever stands in a record or a note is text of the page and never markup."""
    kept = keep(Repo.open(repo_dir), repo_dir / ".git" / "x", {"m": "x"})
    record(
        repo_dir, 1, "html-run-aaaaaa", params={"<script>": "<img onerror=x>"}, metrics={"f1": 0.9},
        artifacts=kept,
    )  # fmt: skip
    made = gittrack.register_model("html-run", "wine")
    from gittrack import descriptions, registry, whereabouts

    place = whereabouts.find(repo_dir)
    version = registry.find_version(registry.read(place), "wine@latest")
    descriptions.describe(
        place.repo, version, "By <b>chemistry</b>\x1b[2J\nline", now=datetime.now(timezone.utc),
        random=lambda count: b"\1" * count,
    )  # fmt: skip
    made = gittrack.promote(made, "production")
    assert made.description == "By <b>chemistry</b>\x1b[2J\nline"
    page = made._repr_html_()
    for part in ("wine@v1.0.0", "production", "html-run-aaaaaa", "&lt;script&gt;", "0.9",
                 "By &lt;b&gt;chemistry&lt;/b&gt;"):  # fmt: skip
        assert part in page
    assert "<script" not in page and "<img" not in page and "\x1b" not in page


def test_a_version_of_another_tool_has_no_run(wine: Wine, git: Any) -> None:
    """GTO puts tags on code: the value is there, and says what it cannot have."""
    git(wine.root, "tag", "-a", "-m", "by gto", "cork@v1.0.0", "main")
    git(wine.root, "tag", "-a", "-m", "by gto", "cork#dev#1", "main")
    cork = gittrack.model("cork@dev")
    assert (cork.version, cork.stage, cork.artifact, cork.md5) == ("1.0.0", "dev", None, None)
    for ask in (lambda: cork.run, lambda: cork.metrics, lambda: cork.params):
        with pytest.raises(errors.RunNotFound, match="which is no run"):
            ask()
    with pytest.raises(errors.BadPath, match="names no artifact"):
        cork.path()
    assert "which is no run" in cork._repr_html_()


def test_a_tag_that_says_other_bytes_than_the_run_is_not_served(wine: Wine) -> None:
    """Somebody with the right to push tags must not choose what production loads."""
    wine.tag(
        "wine@v1.0.0", version="1.0.0", artifact="model.joblib", artifact_hash="f" * 32,
        run=f"default/{RUN}",
    )  # fmt: skip
    with pytest.raises(errors.DataDamaged, match="its run kept"):
        gittrack.model("wine@latest").path()


def test_what_is_contested_is_said(wine: Wine) -> None:
    """Two people promoted at once: the value has the holder, and that it must be looked at."""
    wine.register("1.0.0")
    wine.register("1.1.0", on=OTHER)
    wine.tag("wine#production#1", version="1.0.0", previous="none")
    wine.tag("wine#production#2", on=OTHER, version="1.1.0", previous="none")
    [said] = gittrack.model("wine@production").contested
    assert said.startswith("wine#production#2: ")
    assert gittrack.promote("wine@1.1.0", "production", again=True).contested == ()


def test_a_deprecated_model_is_used_with_a_warning(wine: Wine) -> None:
    """It goes on working where it is in use, and whoever looks at the log knows."""
    made = gittrack.register_model(RUN, "wine")
    wine.tag("wine@deprecated")
    assert not made.is_deprecated
    now = gittrack.model("wine")
    assert now.is_deprecated
    with pytest.warns(UserWarning, match="'wine' is deprecated"):
        assert now.path().read_text() == RUN
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.path()


def test_what_was_taken_back_answers_to_its_number_alone(wine: Wine) -> None:
    """It is history, and nobody gets it by asking for the latest."""
    gittrack.register_model(RUN, "wine")
    wine.tag("wine@v1.0.0!", version="1.0.0")
    assert not gittrack.model("wine@1.0.0").is_live
    with pytest.raises(errors.ModelNotFound):
        gittrack.model("wine")
    with pytest.raises(errors.StageRefused):
        gittrack.promote("wine@1.0.0", "production")


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (lambda: gittrack.model("wien@production"), errors.ModelNotFound, "did you mean 'wine'?"),
        (lambda: gittrack.model("wine@nobody"), errors.ModelNotFound, "it has"),
        (lambda: gittrack.model("wine@"), errors.ModelNotFound, "wine@"),
        (lambda: gittrack.promote("wine@1.0.0", "No Stage"), errors.BadName, "no name"),
        (lambda: gittrack.promote("wine@9.0.0", "x"), errors.ModelNotFound, "v1.0.0"),
        (lambda: gittrack.register_model("nosuch", "wine"), errors.RunNotFound, "git track ls"),
        (lambda: gittrack.register_model(RUN, "-rf"), errors.BadName, "no name for a model"),
        (lambda: gittrack.register_model(RUN, "a\nb"), errors.BadName, "no name for a model"),
        (lambda: gittrack.register_model(RUN, "x", version="1.0"), errors.BadName, "1.0"),
        (lambda: gittrack.register_model(RUN, "x", version="1.0.0", bump="major"),
         errors.UsageError, "do not go together"),
        (lambda: gittrack.register_model(RUN, "x", bump="tiny"),  # type: ignore[arg-type]
         errors.UsageError, "major, minor, patch"),
        (lambda: gittrack.register_model(RUN, "x", artifact="nothing"), errors.BadPath, "kept"),
        (lambda: gittrack.register_model(f"{RUN}:model.joblib", "x", artifact="model.joblib"),
         errors.UsageError, "name it once"),
        (lambda: gittrack.register_model(OTHER, "wine", version="1.0.0"),
         errors.VersionExists, "1.0.0"),
        (lambda: gittrack.register_model(object(), "wine"),  # type: ignore[arg-type]
         errors.UsageError, "is no run"),
        (lambda: gittrack.model("wine", directory="/"), errors.NotARepository, ""),
    ],
)  # fmt: skip
def test_each_mistake_has_its_error(
    wine: Wine, git: Any, asked: Any, error: type[errors.GittrackError], said: str
) -> None:
    """And leaves no tag behind."""
    gittrack.register_model(RUN, "wine")
    with pytest.raises(error) as caught:
        asked()
    assert said in f"{caught.value.message} {caught.value.hint}"
    assert git(wine.root, "tag").split() == ["wine@v1.0.0"]


def test_reading_a_model_writes_nothing(wine: Wine, state_of: Any) -> None:
    """Whoever may only read the repository may ask what is in production."""
    wine.register("1.0.0")
    before = state_of(wine.root)
    assert gittrack.model("wine@latest").version == "1.0.0"
    assert state_of(wine.root) == before


# -- a colleague ----------------------------------------------------------------------------------

_SERVE = """
import sys, joblib, gittrack
version = gittrack.model("wine@production")
model = joblib.load(version.path())
print(version.version, version.run.name, *(round(y) for y in model.predict([[0.0], [1.0]])))
"""


def test_a_plain_clone_loads_the_model_that_predicts(
    repo_dir: Path, tmp_path: Path, git: Any, track: Any
) -> None:
    """Issue 6, done when: `git clone`, the data remote, and joblib.load of a real model."""
    import subprocess

    joblib = pytest.importorskip("joblib")
    linear = pytest.importorskip("sklearn.linear_model")
    set_up(repo_dir, directory_config(tmp_path / "store"))
    git(repo_dir, "add", ".dvc")
    git(repo_dir, "commit", "-q", "-m", "Use DVC")
    with fresh(repo_dir):
        with gittrack.start_run() as run:
            model = linear.LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
            joblib.dump(model, tmp_path / "model.joblib")
            gittrack.log_artifact(tmp_path / "model.joblib")
            gittrack.log_metric("r2", model.score([[0.0], [1.0]], [1.0, 3.0]))
        gittrack.promote(gittrack.register_model(run, "wine"), "production", require="r2 > 0.9")
    track(repo_dir, "send", run.name, check=0)
    git(tmp_path, "clone", "-q", str(repo_dir), "clone")
    clone = tmp_path / "clone"
    assert git(clone, "for-each-ref", "refs/runs") == ""
    done = subprocess.run(
        [sys.executable, "-c", _SERVE], cwd=clone, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1.0.0", run.name, "1", "3"]
    assert git(clone, "status", "--porcelain") == ""
