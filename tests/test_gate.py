"""Conditions on one run: a stage is not given to a run that does not meet them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import recorded_runs
from conftest import KINDS, Git
from gittrack import events, gate, index, refs, whereabouts
from gittrack.annotations import append
from gittrack.errors import BrokenRecord, QueryError, StageRefused
from gittrack.records import Artifact, Data, Environment, Row
from gittrack.summaries import Summary

Judge = Callable[..., list[str]]

_NAME = "brave-crane-5hk2tv"


def _runs(place: Path) -> None:
    """The run that is judged, and one that has what it lacks."""
    recorded_runs.record(
        place, 1, _NAME, [Row(n, float(n), {"f1": n / 10, "loss": 1.0 - n / 10}) for n in range(5)],
        params={"lr": 0.1, "opt": "adam", "text": "a'b\x1b[2J", "f2": 5, "long": "x" * 500},
        metrics={"f1": 0.4, "loss": 0.6, "odd": math.nan, "f2": 0.7},
        tags={"reviewed": "yes"},
        data=(Data("data/train.csv", "1" * 32, 10),),
        artifacts=(Artifact("model.bin", "2" * 32, 20),),
        environment=Environment(python="3.11.7", packages={"numpy": "2.0.1"}),
    )  # fmt: skip
    recorded_runs.record(
        place, 2, "other-run-aaaaaa", params={"seed": 3, "lr": "auto"}, metrics={"auc": 0.5}
    )


def _commit(place: Path, name: str = _NAME) -> str:
    repo = whereabouts.find(place).repo
    return next(run.commit for run in refs.all_runs(repo) if run.name == name)


@pytest.fixture(scope="module", params=["with its ref", "behind a tag alone"])
def judge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, git: Git
) -> Judge:
    """`judge(*conditions)` of the run, where its ref is, and in a plain clone; it only reads."""
    tmp_path = tmp_path_factory.mktemp("judged")
    repo_dir = KINDS["plain"](tmp_path).root
    _runs(repo_dir)
    commit, here = _commit(repo_dir), repo_dir
    if request.param != "with its ref":
        for number, name in enumerate([_NAME, "other-run-aaaaaa"]):
            version = f"m@v1.{number}.0"
            git(repo_dir, "tag", "-a", "-m", "Register m", version, _commit(repo_dir, name))
        here = tmp_path / "clone"
        git(repo_dir, "clone", "-q", str(repo_dir), str(here))
        assert git(here, "for-each-ref", "refs/runs") == ""
    return lambda *conditions: gate.evidence(whereabouts.find(here), commit, conditions)


_MET = {
    "metrics.f1 >= 0.4 and not dirty": "metrics.f1 = 0.4, dirty = false",
    "f1 > 0.3": "metrics.f1 = 0.4",
    "max(f1) = 0.4 and max_step(f1) = 4": "max(f1) = 0.4, max_step(f1) = 4",
    "min(loss) < 0.7 or f1 > 1": "min(loss) = 0.6, metrics.f1 = 0.4",
    "max(odd) is null": "no max(odd)",
    "first(f1) = 0 and count(f1) = 5": "first(f1) = 0.0, count(f1) = 5",
    "max(metrics.f2) = 0.7": "max(f2) = 0.7",
    "metrics.odd is not null": "metrics.odd = NaN",
    "params.opt in ('adam', 'lamb')": "params.opt = 'adam'",
    "params.lr = '0.1'": "params.lr = 0.1",
    "tags.reviewed = 'yes'": "tags.reviewed = 'yes'",
    "status = 'finished' and exit_code = 0": "status = 'finished', exit_code = 0",
    "duration < '5s'": "duration = 4.0",
    "started > '2026-01-01 00:00'": "started = 2026-01-01T12:01:00.000000Z",
    f"name = '{_NAME}' and experiment = 'default'": f"name = '{_NAME}', experiment = 'default'",
    "metrics.auc is null": "no metrics.auc",
    "commit in HEAD~1..HEAD": "commit('HEAD~1..HEAD') = true",
    "metrics.f1 - min(f1) = 0.4": "metrics.f1 = 0.4, min(f1) = 0.0",
    "params.text like 'a%'": "params.text = 'a'b\\x1b[2J'",
    "metrics.f1\n  >= 0.4": "metrics.f1 = 0.4",
}  # fmt: skip


@pytest.mark.parametrize(("condition", "values"), _MET.items(), ids=list(_MET))
def test_what_is_met_is_told_with_its_values(judge: Judge, condition: str, values: str) -> None:
    """The evidence stands in the tag: years later it says what somebody looked at."""
    assert judge(condition) == [f"{' '.join(condition.split())} ({values})"]


_REFUSED = {
    "metrics.f1 >= 0.9": "metrics.f1 >= 0.9 (metrics.f1 = 0.4)",
    "metrics.f1 > 0.3 and metrics.f2 > 0.9": "metrics.f2 > 0.9 (metrics.f2 = 0.7)",
    "f1 > 1 and (loss < 0 or dirty)": (
        "f1 > 1 (metrics.f1 = 0.4); loss < 0 or dirty (metrics.loss = 0.6, dirty = false)"
    ),
    "metrics.auc > 0.1": "metrics.auc > 0.1 (no metrics.auc): metrics.auc is not known of this run",
    "auc < 100": "auc < 100 (no metrics.auc): metrics.auc is not known of this run",
    "metrics.odd < 100": "metrics.odd < 100 (metrics.odd = NaN): metrics.odd is NaN in this run",
    "not (metrics.f1 > 0.3)": "not (metrics.f1 > 0.3) (metrics.f1 = 0.4)",
    "params.lr = 'auto'": "params.lr = 'auto' (params.lr = 0.1)",
    "seed = 3": "seed = 3 (no params.seed)",
    "dirty": "dirty (dirty = false)",
    "status = 'failed'": "status = 'failed' (status = 'finished')",
    "params.long = 'y'": f"params.long = 'y' (params.long = '{'x' * 40}...')",
}


@pytest.mark.parametrize(("condition", "said"), _REFUSED.items(), ids=list(_REFUSED))
def test_what_is_not_met_is_refused_with_its_part_and_values(
    judge: Judge, condition: str, said: str
) -> None:
    """Whoever promotes has to see which part failed, and by how much. What other runs alone have
    is not nonsense, but not met."""
    with pytest.raises(StageRefused) as caught:
        judge(condition)
    # The braces of a group belong to the group.
    said = said.replace("loss < 0 or dirty (", "(loss < 0 or dirty) (")
    assert caught.value.message == f"{_NAME} does not meet {said}"
    assert caught.value.exit_code == 1


_OPEN = [
    "not (metrics.auc > 0.5)", "not auc > 0.5", "not (not (auc > 0.5))", "auc not in (0.1, 0.2)",
    "not (metrics.odd > 1)", "metrics.odd != 1", "not (max(auc) > 0)", "not (max(odd) > 0)",
    "not (auc + 1 > f1)", "not abs(auc) < 1", "not (f1 > 0.3 and auc > 0)",
    "not (f1 > 0.9 or auc > 0)", "auc > 0 or dirty", "not (f1 / first(f1) > 1)",
]  # fmt: skip


@pytest.mark.parametrize("condition", _OPEN)
def test_what_was_not_measured_opens_no_gate(judge: Judge, condition: str) -> None:
    """A run that never logged its error rate is not better than one with a bad one: `not` of what
    nobody knows is not known either."""
    with pytest.raises(StageRefused, match=r"is not known of this run|is NaN in this run"):
        judge(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "f1 > 0.3 or auc > 0.9", "auc > 0.9 or f1 > 0.3", "not (f1 > 0.9 and auc > 0.9)",
        "auc is null", "not (auc is not null)", "auc is null or auc > 0.9",
        "metrics.odd is not null", "not (params.seed = 4)", "not (tags.reviewed = 'no')",
    ],
)  # fmt: skip
def test_what_is_known_decides_alone(judge: Judge, condition: str) -> None:
    """Whether it was measured can be answered; params and tags stay as the listing has them."""
    assert len(judge(condition)) == 1


_NONSENSE = {
    "metrics.accuracy > 0.9": "no param, metric, tag or attribute named 'metrics.accuracy'",
    "nothing > 3": "no param, metric, tag or attribute named 'nothing'",
    "metrics.f1 >": "the query ends: a name or a value is expected here",
    "metrics.f1": "'metrics.f1' is a number, and no condition by itself",
    "status = 'done'": "no run can have the status 'done'",
    "f2 > 0.5": "'f2' is ambiguous: params.f2 and metrics.f2",
    "commit in nowhere..HEAD": "'nowhere' is no commit of this repository",
    "": "the condition is blank",
    "  \n ": "the condition is blank",
}


@pytest.mark.parametrize(("condition", "said"), _NONSENSE.items(), ids=map(repr, _NONSENSE))
def test_nonsense_is_an_error_and_lets_nobody_through(
    judge: Judge, condition: str, said: str
) -> None:
    """A misspelt name or an unset variable must not open the gate; the caret shows where it is."""
    with pytest.raises(QueryError) as caught:
        judge(condition)
    assert caught.value.reason == said
    assert "^" in caught.value.message


def test_a_short_name_means_the_same_as_in_a_listing(repo_dir: Path) -> None:
    """A run with a param called as a metric of others must not pass by what it was told."""
    recorded_runs.record(repo_dir, 1, "cheat-run-aaaaaa", params={"score": 0.99})
    recorded_runs.record(repo_dir, 2, "other-run-aaaaaa", metrics={"score": 0.5})
    place = whereabouts.find(repo_dir)
    commit = _commit(repo_dir, "cheat-run-aaaaaa")
    with pytest.raises(QueryError, match="'score' is ambiguous"):
        gate.evidence(place, commit, ["score > 0.9"])
    with pytest.raises(StageRefused, match=r"no metrics\.score"):
        gate.evidence(place, commit, ["metrics.score > 0.9"])


def test_several_conditions_are_all_looked_at(judge: Judge) -> None:
    """One line of evidence for each; of several that fail none is kept for the next try."""
    assert judge("metrics.f1 > 0.3", "not dirty") == [
        "metrics.f1 > 0.3 (metrics.f1 = 0.4)",
        "not dirty (dirty = false)",
    ]
    with pytest.raises(StageRefused) as caught:
        judge("metrics.f1 > 0.5", "not dirty", "metrics.loss < 0.1")
    assert "metrics.f1 > 0.5 (metrics.f1 = 0.4); metrics.loss < 0.1" in caught.value.message


def test_no_condition_costs_nothing(tmp_path: Path) -> None:
    """Most promotions have none, and need no record, nor a repository."""
    place = whereabouts.Place(str(tmp_path), str(tmp_path), None)
    assert gate.evidence(place, "0" * 40, []) == []


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("reads('data/train.csv')", True),
        ("datasets.name = 'data/train.csv'", True),
        ("keeps('model.bin')", True),
        ("uses('numpy<2')", False),
        ("touches('train.py')", None),
    ],
)
def test_lineage_is_asked_where_the_run_is_listed(
    repo_dir: Path, tmp_path: Path, git: Git, condition: str, met: bool | None
) -> None:
    """A clone without refs of runs cannot tell, and says so rather than 'no'."""
    _runs(repo_dir)
    commit = _commit(repo_dir)
    place = whereabouts.find(repo_dir)
    if met:
        assert gate.evidence(place, commit, [condition])[0].endswith("= true)")
    else:
        with pytest.raises(StageRefused if met is False else (StageRefused, QueryError)):
            gate.evidence(place, commit, [condition])
    git(repo_dir, "tag", "x", commit)
    clone = tmp_path / "clone"
    git(repo_dir, "clone", "-q", str(repo_dir), str(clone))
    with pytest.raises(StageRefused) as caught:
        gate.evidence(whereabouts.find(clone), commit, [condition])
    assert "cannot be told" in caught.value.message and "git fetch" in str(caught.value.hint)


def test_what_was_said_afterwards_counts(repo_dir: Path) -> None:
    """A review is a tag that is set after the run ended."""
    _runs(repo_dir)
    place, commit = whereabouts.find(repo_dir), _commit(repo_dir)
    with pytest.raises(QueryError):
        gate.evidence(place, commit, ["tags.audit = 'passed'"])
    run = recorded_runs.found(place.repo, query=f"commit = '{commit}'").runs[0]
    append(
        place.repo,
        run,
        [events.Change("tag", "audit", "passed")],
        now=datetime(2026, 2, 1, tzinfo=timezone.utc),
        random=lambda count: b"\1" * count,
    )
    assert gate.evidence(place, commit, ["tags.audit = 'passed'"]) == [
        "tags.audit = 'passed' (tags.audit = 'passed')"
    ]


def test_full_names_of_the_run_need_no_index(
    repo_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred thousand runs that nobody listed yet, one promotion must not read all."""
    _runs(repo_dir)
    place, commit = whereabouts.find(repo_dir), _commit(repo_dir)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the index was opened")

    monkeypatch.setattr(index, "open_index", never)
    assert gate.evidence(place, commit, ["metrics.f1 > 0.3 and max(f1) < 1 and not dirty"])
    with pytest.raises(StageRefused):
        gate.evidence(place, commit, ["metrics.f1 > 0.9"])
    with pytest.raises(AssertionError, match="the index was opened"):
        gate.evidence(place, commit, ["f1 > 0.3"])


def test_a_commit_that_is_no_run_meets_nothing(repo_dir: Path, git: Git) -> None:
    """Other tools register any commit; there is no value to look at."""
    head = git(repo_dir, "rev-parse", "HEAD").strip()
    with pytest.raises(StageRefused, match="is no run"):
        gate.evidence(whereabouts.find(repo_dir), head, ["not dirty"])
    with pytest.raises(BrokenRecord, match="1111111"):
        gate.evidence(whereabouts.find(repo_dir), "1" * 40, ["not dirty"])


def test_the_record_counts_and_not_the_message(repo_dir: Path, git: Git) -> None:
    """The summary in a commit's message is an excerpt; whoever forges it gets through no gate."""
    _runs(repo_dir)
    commit = _commit(repo_dir)
    text = git(repo_dir, "cat-file", "commit", commit)
    assert '"f1":0.4' in text
    forged = text.replace('"f1":0.4', '"f1":0.99').partition("\n\n")[2]
    tree = git(repo_dir, "rev-parse", f"{commit}^{{tree}}").strip()
    message = repo_dir.parent / "message"
    message.write_text(forged)
    made = git(repo_dir, "commit-tree", tree, "-F", str(message)).strip()
    place = whereabouts.find(repo_dir)
    with pytest.raises(StageRefused, match=r"metrics\.f1 = 0\.4"):
        gate.evidence(place, made, ["metrics.f1 > 0.9"])


def _again(root: Path, git: Git, tree: str) -> str:
    """A commit with the message of the run, upon another tree."""
    text = git(root, "cat-file", "commit", _commit(root)).partition("\n\n")[2]
    (root.parent / "message").write_text(text)
    return git(root, "commit-tree", tree, "-F", str(root.parent / "message")).strip()


def test_a_run_whose_record_is_broken_is_an_error(repo_dir: Path, git: Git) -> None:
    """What cannot be read is neither met nor missed."""
    _runs(repo_dir)
    (repo_dir.parent / "broken").write_text("name: [")
    blob = git(repo_dir, "hash-object", "-w", str(repo_dir.parent / "broken")).strip()
    git(repo_dir, "read-tree", _commit(repo_dir))
    git(repo_dir, "update-index", "--cacheinfo", f"100644,{blob},.gittrack/run.yaml")
    made = _again(repo_dir, git, git(repo_dir, "write-tree").strip())
    with pytest.raises(BrokenRecord):
        gate.evidence(whereabouts.find(repo_dir), made, ["not dirty"])


def test_the_message_of_a_run_makes_no_run(repo_dir: Path, git: Git) -> None:
    """A commit that `git cherry-pick` made of a run has its message, and no record."""
    _runs(repo_dir)
    made = _again(repo_dir, git, git(repo_dir, "rev-parse", "HEAD^{tree}").strip())
    with pytest.raises(StageRefused, match="is no run"):
        gate.evidence(whereabouts.find(repo_dir), made, ["not dirty"])


def test_curves_are_what_the_index_says(repo_dir: Path) -> None:
    """Whether a run is judged here or in a clone, `max(f1)` is one number."""
    _runs(repo_dir)
    place = whereabouts.find(repo_dir)
    repo = place.repo
    ref = next(run for run in refs.all_runs(repo) if run.name == _NAME)
    run: Summary = recorded_runs.found(repo, query=f"name = '{_NAME}'").runs[0]
    for metric in ("f1", "loss", "odd", "f2"):
        mine = gate.curve(repo, ref, metric, run.metrics[metric])
        assert mine is not None
        for function, value in mine.items():
            if value is None:
                query = f"{function}(metrics.{metric}) is null"
            elif value != value:
                continue
            else:
                query = f"{function}(metrics.{metric}) = {value!r}"
            names = [one.name for one in recorded_runs.found(repo, query=query).runs]
            assert _NAME in names, query


def test_evidence_is_one_line_of_bounded_length(repo_dir: Path) -> None:
    """It becomes a trailer of a tag, where a line break would begin another."""
    _runs(repo_dir)
    place, commit = whereabouts.find(repo_dir), _commit(repo_dir)
    parts = " or ".join(f"metrics.f1 > {n}" for n in range(100))
    many = " and ".join(f"params.{key} is not null" for key in ("lr", "opt", "text", "f2", "long"))
    for condition in (f"not ({parts})\n\nand {many}", "params.text = 'x\ny\x1b' or not dirty"):
        try:
            (line,) = gate.evidence(place, commit, [condition])
        except StageRefused as error:
            line = error.message
        assert "\n" not in line and "\x1b" not in line and len(line) < 1000


def test_a_hint_calls_the_run_as_the_user_did(repo_dir: Path) -> None:
    """Whoever promoted a version never saw its commit."""
    _runs(repo_dir)
    place, commit = whereabouts.find(repo_dir), _commit(repo_dir)
    with pytest.raises(StageRefused) as no:
        gate.evidence(place, commit, ["metrics.f1 > 0.9"], called="wine@v1.1.0")
    assert no.value.hint == "`git track show wine@v1.1.0` shows what it has."
