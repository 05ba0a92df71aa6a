"""A run and what it kept, typed together."""

from __future__ import annotations

import runpy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import commits, parcel
from gittrack.errors import (
    AmbiguousRun,
    BadPath,
    GittrackError,
    RunNotFound,
    UnknownKey,
    UsageError,
)
from gittrack.git import Repo
from gittrack.records import Artifact, Code, Run

_made = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "generate.py"))
AUTHOR, START = _made["AUTHOR"], _made["START"]


def record(repo: Repo, number: int, name: str, kept: str = "", **more: Any) -> Any:
    """Write a run that kept files of these names; one with `/` at its end is a directory."""
    started = START + timedelta(minutes=number)
    artifacts = tuple(
        Artifact(path.rstrip("/"), "2" * 32, 20, 3 if path.endswith("/") else None)
        for path in kept.split()
    )
    run = Run(
        id=f"{number:04x}" + "0" * 28, name=name, experiment="default", status="finished",
        started=started, ended=started, code=Code(base=repo.head()[0]), artifacts=artifacts, **more,
    )  # fmt: skip
    return commits.write(repo, run, tree=repo.empty_tree(), author=AUTHOR)


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    """Three runs, the first with the best f1 and the last one with the best `f1:b`."""
    repo = Repo.open(repo_dir)
    record(repo, 1, "amber-aaaaaa", "m a:b models/ x:y:z", metrics={"f1": 0.9, "f1:b": 0.1})
    record(repo, 2, "brave-bbbbbb", "m only-here.bin b", metrics={"f1": 0.5, "f1:b": 0.2})
    record(repo, 3, "calm-cccccc", "b train.py", metrics={"f1": 0.1, "f1:b": 0.9})
    return repo


@pytest.mark.parametrize(
    ("text", "run", "artifact"),
    [
        ("amber", "amber-aaaaaa", None),
        ("amber:m", "amber-aaaaaa", "m"),
        ("amber-aaaaaa:m", "amber-aaaaaa", "m"),
        ("default/amber:m", "amber-aaaaaa", "m"),
        ("runs/default/amber-aaaaaa:m", "amber-aaaaaa", "m"),
        ("00010000:m", "amber-aaaaaa", "m"),
        ("latest~1:m", "brave-bbbbbb", "m"),
        ("-:m", "brave-bbbbbb", "m"),
        ("main:train.py", "calm-cccccc", "train.py"),
        ("HEAD:train.py", "calm-cccccc", "train.py"),
        ("amber:a:b", "amber-aaaaaa", "a:b"),
        ("amber:x:y:z", "amber-aaaaaa", "x:y:z"),
        ("amber:models", "amber-aaaaaa", "models"),
        ("amber:models/", "amber-aaaaaa", "models/"),
        ("amber:models/deep/x:1", "amber-aaaaaa", "models/deep/x:1"),
        ("best:f1", "amber-aaaaaa", None),
        ("best:f1:m", "amber-aaaaaa", "m"),
        ("worst:f1:train.py", "calm-cccccc", "train.py"),
        ("best:f1:a:b", "amber-aaaaaa", "a:b"),
        ("best:f1:b:train.py", "calm-cccccc", "train.py"),
        # The run with the best f1 kept no b, so the metric f1:b is meant.
        ("best:f1:b", "calm-cccccc", None),
        ("HEAD^{/longer}:b", "calm-cccccc", "b"),
        ("main@{0}:b", "calm-cccccc", "b"),
    ],
)
def test_the_one_reading_that_there_is(repo: Repo, text: str, run: str, artifact: str) -> None:
    """Runs are named in many ways, and both parts may hold colons."""
    ref, path = parcel.parted(repo, text)
    assert (ref.name, path) == (run, artifact)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        # Which run a file is of is never guessed.
        ("only-here.bin", RunNotFound, "no run named 'only-here.bin'"),
        ("models", RunNotFound, "no run named 'models'"),
        # A file of the commit is none of a run, though Git has it there.
        ("HEAD:params.yaml", BadPath, "'calm-cccccc' has no artifact 'params.yaml'"),
        ("brave:only-here", BadPath, "'brave-bbbbbb' has no artifact 'only-here'"),
        ("amber:only-here.bin", BadPath, "'amber-aaaaaa' has no artifact 'only-here.bin'"),
        ("amber:m/inside", BadPath, "has no artifact 'm/inside'"),
        ("amber:model", BadPath, "has no artifact 'model'"),
        ("amber:b", BadPath, "has no artifact 'b'"),
        ("amber:../m", BadPath, "has no artifact '../m'"),
        ("best:f1:nothing", BadPath, "'amber-aaaaaa' has no artifact 'nothing'"),
        ("nobody:m", RunNotFound, "no run named 'nobody'"),
        ("best:m", UnknownKey, "no run has a metric 'm'"),
        ("best:f2:m", UnknownKey, "no run has a metric 'f2'"),
        ("amber:", UsageError, "is no RUN:ARTIFACT"),
        (":m", UsageError, "':m' is no RUN:ARTIFACT"),
        (":", UsageError, "':' is no RUN:ARTIFACT"),
        ("main..latest:m", RunNotFound, "no run named 'main..latest'"),
        ("amber" + ":m" * 17, UsageError, "more than 16 colons"),
        (":" * 100_000, UsageError, "more than 16 colons"),
    ],
)
def test_what_has_no_reading(repo: Repo, text: str, error: type[Exception], said: str) -> None:
    """The error is about what was meant most probably."""
    with pytest.raises(error) as caught:
        parcel.parted(repo, text)
    assert said in str(caught.value)


def test_what_was_kept_is_offered(repo: Repo) -> None:
    """The nearest name, else all of them."""
    for path, hint in (("model", "did you mean 'models'?"), ("zzz", "it kept a:b, m, models, x:y:z."
    )):  # fmt: skip
        with pytest.raises(BadPath) as caught:
            parcel.parted(repo, f"amber:{path}")
        assert caught.value.hint == hint


def test_two_readings_are_none(repo: Repo, git: Any) -> None:
    """Whichever was taken, it would be the wrong run for somebody."""
    record(repo, 0, "amber-dddddd", "b", metrics={"f1": 0.95})
    with pytest.raises(AmbiguousRun, match="'best:f1:b' could mean b of amber-dddddd or calm-cccc"):
        parcel.parted(repo, "best:f1:b")
    assert parcel.parted(repo, "amber-dddddd:b")[0].name == "amber-dddddd"
    # A run whose name begins with the word.
    record(repo, 0, "best-eeeeee", "f1")
    with pytest.raises(AmbiguousRun):
        parcel.parted(repo, "best:f1")


def test_a_name_of_several_runs_is_ambiguous_with_an_artifact_too(repo: Repo) -> None:
    """That only one of them kept it settles nothing."""
    record(repo, 0, "amber-dddddd", "another")
    for text in ("amber", "amber:another", "amber:m"):
        with pytest.raises(AmbiguousRun, match="'amber' could be any of 2 runs"):
            parcel.parted(repo, text)


@given(
    text=st.lists(
        st.sampled_from(
            ["amber", "best", "f1", "b", ":", "a", "x:y:z", "m", "main", "@", "{", "/"]
        ),
        max_size=6,
    ).map("".join)
)
def test_an_answer_is_what_was_typed(text: str, shared: Repo) -> None:
    """Whatever comes back, its two parts with a colon between them are the text."""
    try:
        ref, path = parcel.parted(shared, text)
    except GittrackError:
        return
    assert path is None or text.endswith(f":{path}")
    kept = {one.path for one in commits.load(shared, ref).artifacts}
    assert path is None or path.partition("/")[0] in kept


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, git: Any) -> Repo:
    """One repository for all examples."""
    place = tmp_path_factory.mktemp("shared")
    git(place, "init", "-q")
    git(place, "commit", "-q", "--allow-empty", "-m", "Begin")
    repo = Repo.open(place)
    record(repo, 1, "amber-aaaaaa", "m a:b f1 x:y:z", metrics={"f1": 0.9, "f1:b": 0.1, "b": 1})
    record(repo, 3, "calm-cccccc", "b a", metrics={"f1": 0.1, "f1:b": 0.9})
    return repo
