"""Which runs answer a question: recorded and running ones in one order, counted, as columns."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gittrack
from gittrack import commits, names, refs, search, tables, whereabouts
from gittrack.errors import QueryError, UnknownKey
from gittrack.git import Identity, Repo
from gittrack.message import moment
from gittrack.records import Run
from gittrack.search import Question

_START = 1_700_000_000
_ADA = Identity("Ada", "ada@example.org")


def _record(repo: Repo, number: int, **more: object) -> str:
    name = f"run{number}-{names.generate(bytes([number] * 6)).rpartition('-')[2]}"
    fields: dict[str, object] = {
        "experiment": "default",
        "status": "finished",
        "started": moment(_START + number),
        "ended": moment(_START + number + 60),
    }
    run = Run(id=f"{number:032x}", name=name, **(fields | more))  # type: ignore[arg-type]
    base, _ = repo.head()
    assert base is not None
    tree = repo.read_commit(base).tree
    commits.write(repo, run, tree=tree, author=_ADA)
    return name


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    """Five runs: acc 0.1 to 0.5, a param that is a number or a text, one failed, one elsewhere."""
    repo = Repo.open(repo_dir)
    values: list[object] = [1, 2.5, "adam", True, None]
    for number in range(1, 6):
        _record(
            repo,
            number,
            status="failed" if number == 2 else "finished",
            experiment="other" if number == 3 else "default",
            experiment_title="The Other" if number == 3 else None,
            params={"p": values[number - 1]},
            metrics={"acc": number / 10, **({"loss": float("nan")} if number == 4 else {})},
            tags={"team": "blue"} if number % 2 else {},
        )
    return repo


def _asked(repo: Repo, query: str | None = None, **more: object) -> list[str]:
    """The runs that answer, each by what stands before its random ending."""
    with search.open_search(whereabouts.of(repo)) as asked:
        found = asked.find(Question(query, **more))  # type: ignore[arg-type]
    return [names.SUFFIX.sub("", run.name) for run in found.runs]


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        (None, ["run5", "run4", "run3", "run2", "run1"]),
        ("  ", ["run5", "run4", "run3", "run2", "run1"]),
        ("acc > 0.3", ["run5", "run4"]),
        ("acc > 0.3 or status = 'failed'", ["run5", "run4", "run2"]),
        ("not tags.team = 'blue'", ["run4", "run2"]),
        ("tags.team != 'blue'", []),
        ("p is null", ["run5"]),
        ("p = true", ["run4"]),
        ("p > 1", ["run2"]),
        ("params.p = '1'", ["run1"]),
        ("started < '2023-11-14T22:13:23Z'", ["run2", "run1"]),
        ("loss > 0 or loss <= 0", []),
    ],
)
def test_a_query_finds_its_runs(repo: Repo, query: str | None, runs: list[str]) -> None:
    """What the language means is held elsewhere; here, that it reaches the index whole."""
    assert _asked(repo, query) == runs


@pytest.mark.parametrize(
    ("sort", "runs"),
    [
        (("acc",), ["run1", "run2", "run3", "run4", "run5"]),
        (("-metrics.acc",), ["run5", "run4", "run3", "run2", "run1"]),
        (("acc desc",), ["run5", "run4", "run3", "run2", "run1"]),
        (("status", "-acc"), ["run2", "run5", "run4", "run3", "run1"]),
        (("loss",), ["run5", "run4", "run3", "run2", "run1"]),
        (("tags.team", "acc"), ["run1", "run3", "run5", "run2", "run4"]),
        (("-abs(acc - 0.3)",), ["run5", "run1", "run4", "run2", "run3"]),
        (("max(acc)",), ["run1", "run2", "run3", "run4", "run5"]),
    ],
)
def test_runs_come_in_the_order_that_is_asked_for(
    repo: Repo, sort: tuple[str, ...], runs: list[str]
) -> None:
    """What is missing or NaN comes last, of equal ones the newest first."""
    assert _asked(repo, sort=sort) == runs


def test_a_limit_leaves_the_count_whole(repo: Repo) -> None:
    """The footer of a listing says how many there are."""
    with search.open_search(whereabouts.of(repo)) as asked:
        found = asked.find(Question("acc > 0.1", sort=("acc",), limit=2))
        assert (len(found.runs), found.total, found.exact) == (2, 4, True)
        assert found.order == [("metrics.acc", False)]
        assert asked.find(Question(limit=0)).total == 5


def test_an_experiment_is_a_name_or_a_title(repo: Repo) -> None:
    """MLflow's experiments have titles; people know both."""
    assert _asked(repo, experiment="other") == _asked(repo, experiment="The Other") == ["run3"]
    with pytest.raises(UnknownKey, match="no run is of experiment 'othr'") as raised:
        _asked(repo, experiment="othr")
    assert raised.value.hint == "did you mean 'other'?"


@pytest.mark.parametrize("sort", ["ac", "zzz", "-zzz", "max(", "acc +"])
def test_an_unknown_key_is_no_order(repo: Repo, sort: str) -> None:
    """Sorted by nothing, the first run would be taken for the best."""
    with pytest.raises((UnknownKey, QueryError)):
        _asked(repo, sort=(sort,))


def test_columns_are_those_of_the_runs_that_are_found(repo: Repo) -> None:
    """Tables of many runs are made of columns, without a value for each run."""
    keys = ["name", "started", "params.p", "metrics.loss", "max(acc)", "dirty", "duration"]
    with search.open_search(whereabouts.of(repo)) as asked:
        table = asked.columns(Question("acc > 0.15", sort=("acc",), limit=3), keys)
    assert list(table) == keys
    assert table["started"] == [(_START + number) * 10**6 for number in (2, 3, 4)]
    assert table["params.p"] == [2.5, "adam", True]
    assert table["metrics.loss"][:2] == [None, None] and table["metrics.loss"][2] != 0
    assert table["max(acc)"] == [0.2, 0.3, 0.4]
    assert table["dirty"] == [False] * 3 and table["duration"] == [60.0] * 3


# -- running runs ---------------------------------------------------------------------------------


@pytest.fixture
def running(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repo]:
    """One that runs, newer than all, with acc at last 0.25 and at most 0.9."""
    assert repo.root is not None
    monkeypatch.chdir(repo.root)
    gittrack.start_run(run_name="alive")
    gittrack.log_param("p", 7)
    for step, value in enumerate((0.3, 0.9, 0.25)):
        gittrack.log_metric("acc", value, step=step)
    gittrack.log_metric("fresh", 1.0)
    yield repo
    gittrack.end_run()


@pytest.mark.parametrize(
    ("query", "more", "runs"),
    [
        (None, {"limit": 2}, ["alive", "run5"]),
        ("status = 'running'", {}, ["alive"]),
        ("acc < 0.35", {"sort": ("-acc",)}, ["run3", "alive", "run2", "run1"]),
        ("acc < 0.35", {"sort": ("acc",), "limit": 3}, ["run1", "run2", "alive"]),
        ("max(acc) > 0.45", {"sort": ("-max(acc)",)}, ["alive", "run5"]),
        ("max_step(acc) = 1", {}, ["alive"]),
        ("params.p = '7'", {}, ["alive"]),
        ("fresh > 0", {}, ["alive"]),
        (None, {"live": False, "limit": 1}, ["run5"]),
        (None, {"experiment": "other"}, ["run3"]),
    ],
)
def test_running_runs_are_among_the_answers(
    running: Repo, query: str | None, more: dict[str, object], runs: list[str]
) -> None:
    """Whoever asks for the best so far means those that still run, too."""
    assert _asked(running, query, **more) == runs


def test_columns_of_running_runs_stand_in_the_same_order(running: Repo) -> None:
    """Rows that do not belong together would be a wrong answer that looks right."""
    question = Question("acc >= 0.2", sort=("-acc",), limit=4)
    with search.open_search(whereabouts.of(running)) as asked:
        runs = asked.find(question).runs
        table = asked.columns(question, ["id", "metrics.acc", "max(acc)", "params.p"])
    assert table["id"] == [run.id for run in runs]
    assert table["metrics.acc"] == [run.metrics["acc"] for run in runs] == [0.5, 0.4, 0.3, 0.25]
    assert table["max(acc)"] == [0.5, 0.4, 0.3, 0.9]
    assert table["params.p"] == [None, True, "adam", 7]


def test_a_run_that_ends_while_it_is_asked_is_there_once(running: Repo) -> None:
    """Between two looks it moves from where runs run to where they are kept."""
    with search.open_search(whereabouts.of(running)) as asked:
        assert [run.commit for run in asked.find(Question("p = 7")).runs] == [None]
        gittrack.end_run()
        with search.open_search(whereabouts.of(running)) as again:
            ended = again.find(Question("p = 7")).runs
    assert [run.status for run in ended] == ["finished"] and ended[0].commit is not None
    gittrack.start_run()


@pytest.mark.parametrize("width", [1, 250])
def test_runs_that_come_while_it_is_asked_have_all_that_they_say(repo: Repo, width: int) -> None:
    """Another process gave their keys columns: without these, a run would lack some of its params.

    Beyond 200 keys, one that is unknown looked like damage, and all was read again.
    """
    _record(repo, 7, params={f"k{n}": n for n in range(width)})
    place = whereabouts.of(repo)
    with search.open_search(place) as asked:
        asked.find(Question())
        _record(repo, 8, params={"other": 1, "p": 2})
        with search.open_search(place) as again:
            again.index.database.execute("INSERT INTO facts VALUES ('kept', 1)")
        (run,) = asked.find(Question("p = 2", sort=("-p",))).runs
        assert run.params == {"other": 1, "p": 2}
    with search.open_search(place) as again:
        assert again.index.database.execute("SELECT 1 FROM facts WHERE name = 'kept'").fetchone()


def test_a_run_recorded_in_the_middle_of_a_question_is_no_part_of_it(
    running: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows and their order are asked for one after the other, and must be of the same runs."""
    place = whereabouts.of(running)
    whole = search.Search._page

    def page(self: search.Search, *args: Any) -> Any:
        found = whole(self, *args)
        monkeypatch.undo()
        monkeypatch.setattr(tables, "_PATIENCE", 0.1)
        _record(running, 8)
        search.open_search(place).close()
        return found

    with search.open_search(place) as asked:
        before = [run.name for run in asked.find(Question()).runs]
        monkeypatch.setattr(search.Search, "_page", page)
        assert [run.name for run in asked.find(Question()).runs] == before


def test_nothing_is_opened_to_ask_what_is_known(repo: Repo) -> None:
    """The repository itself is opened for what is new only: that is half the time of a command."""
    place = whereabouts.find(repo.root or ".")
    refs = Path(repo.common_dir, "refs", "runs")
    for directory in (refs, *refs.iterdir()):
        os.utime(directory, (time.time() - 60,) * 2)
    search.open_search(place).close()
    fresh = whereabouts.find(repo.root or ".")
    with search.open_search(fresh) as asked:
        assert asked.find(Question("acc > 0.3", limit=1)).total == 2
    assert fresh._repo is None


def test_a_run_whose_curves_cannot_be_read_is_named(repo: Repo) -> None:
    """It has no extremes, which must not look as if it never had curves."""
    tree, mode = repo.empty_tree(), 0o040000
    table = repo.write_blob(b"step\ttime\tacc\nx\ty\tz\n")
    record = repo.write_tree({"metrics.tsv": (table, 0o100644)})
    broken = repo.write_tree({".gittrack": (record, mode)}, base=tree)
    run = next(ref for ref in refs.all_runs(repo) if ref.name.startswith("run5"))
    message = repo.read_commit(run.commit).message
    commit = repo.write_commit(
        tree=broken, parents=[], message=message, author=_ADA, started=_START, ended=_START
    )
    refs.create(repo, experiment="default", name="broken-000000", commit=commit)
    with search.open_search(whereabouts.of(repo)) as asked:
        assert asked.find(Question("acc = 0.5")).problems == ()
        found = asked.find(Question("max(acc) > 0.4"))
        assert [names.SUFFIX.sub("", run.name) for run in found.runs] == ["run5"]
        (problem,) = found.problems
    assert problem.message.startswith("runs/default/broken-000000: metrics.tsv: ")
