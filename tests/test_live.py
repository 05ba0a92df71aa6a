"""The run that a script logs to, as an object: what is said to it is in its journal, once."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gittrack
from conftest import Track
from doors import fresh
from gittrack import active, commits, journal, live, refs, revisions
from gittrack.errors import BadName, BadPath, BadValue, NoActiveRun, UsageError
from gittrack.git import Repo
from gittrack.live import Run
from gittrack.records import Code, Row
from gittrack.records import Run as Recorded
from gittrack.story import plain_code
from gittrack.views import RunData, RunInfo


class Joined:
    """A run that another process began, seen from outside."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def begin(self, **more: Any) -> None:
        known = {
            "id": "0" * 32, "name": "amber-otter-7f3kq2", "experiment": "wine", "user": "Ada",
            "started": 1.5, "params": {"epochs": 3, "opt.lr": 0.1}, "tags": {"team": "red"},
            "message": None, "command": ["python"], "directory": "", "host": "vm", "faults": [],
            "where": str(self.directory.parent), "files": {}, "asked": False, "tree": "",
            "code": plain_code(Code()),
        }  # fmt: skip
        self.directory.mkdir(exist_ok=True)
        (self.directory / "begin").write_bytes(journal.frame({**known, **more}))

    @property
    def events(self) -> list[dict[str, Any]]:
        found, damaged = journal.logged(self.directory)
        assert damaged == 0
        return [{key: value for key, value in event.items() if key != "t"} for event in found]

    @property
    def faults(self) -> list[str]:
        return [event["fault"] for event in self.events if "fault" in event]


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    made = Joined(tmp_path / "amber-otter-7f3kq2")
    made.begin()
    with fresh(tmp_path):
        os.environ[journal.RUN_VARIABLE] = os.fspath(made.directory)
        yield made


def current() -> Run:
    run = live.current()
    assert run is not None
    return run


# -- what it is ---------------------------------------------------------------------------------


def test_what_is_known_of_it(joined: Joined) -> None:
    """From how it began, and from what this process said."""
    run = gittrack.start_run()
    run.log_params({"lr": 0.5, "opt": {"name": "adam"}})
    run.log_metric("acc", 0.5)
    run.summary["best"] = 0.75
    run.set_tag("stage", 1)
    assert run is gittrack.active_run() is gittrack.run
    assert (run.id, run.name, run.experiment) == ("0" * 32, "amber-otter-7f3kq2", "wine")
    assert run.project == "wine" and run.status == "running" and run.is_joined
    assert run.params == {"epochs": 3, "opt.lr": 0.1, "lr": 0.5, "opt.name": "adam"}
    assert run.metrics == {"acc": 0.5, "best": 0.75}
    assert run.tags == {"team": "red", "stage": "1"}
    assert run.config.as_dict() == {
        "epochs": 3, "lr": 0.5, "opt": {"lr": 0.1, "name": "adam"}
    }  # fmt: skip
    assert run.data == RunData(run.params, run.metrics, run.tags)
    assert run.info == RunInfo(
        run_id="0" * 32, run_name="amber-otter-7f3kq2", experiment_id="wine", status="RUNNING",
        start_time=1500, end_time=None, user_id="Ada",
    )  # fmt: skip
    assert repr(run) == "<Run amber-otter-7f3kq2 (running)>"
    run.end()
    assert (run.status, run.info.status) == ("finished", "FINISHED")
    assert gittrack.active_run() is None is gittrack.run


def test_its_name_is_a_title_when_it_is_set(joined: Joined) -> None:
    """`wandb.run.name = ...`: a ref never moves, and free text is a title."""
    run = current()
    run.name = "With Adam"
    assert joined.events == [{"title": "With Adam"}] and run.name == "amber-otter-7f3kq2"


def test_a_notebook_shows_it(joined: Joined) -> None:
    """Its params, and its curves so far."""
    for step in range(3):
        gittrack.log_metric("loss", 1 / (step + 1), step=step)
    shown = current()._repr_html_()
    assert "amber-otter" in shown and "loss" in shown


def test_a_notebook_shows_it_after_its_end(script: Script) -> None:
    """As it was recorded: the cell that ends a run is often the one that shows it."""
    told = script("""
import gittrack
with gittrack.start_run(name="shown", params={"depth": 7}) as run:
    for step in range(3): run.log({"loss": step})
print(run._repr_html_())
""")
    assert told.code == 0, told.err
    for word in ("shown-", "finished", "depth", "loss", "<svg"):
        assert word in told.out


# -- params, tags, summary ----------------------------------------------------------------------


def test_a_param_set_twice_keeps_the_last_and_says_so_once(joined: Joined) -> None:
    """Where MLflow raises: a training of a night must not end of it, nor may it go unnoticed."""
    for value in (0.1, 0.1, 0.2, 0.3, 0.1):
        gittrack.log_param("lr", value)
    gittrack.log_params({"nan": math.nan})
    gittrack.log_params({"nan": math.nan, "epochs": 5})
    gittrack.config.update({"lr": 7}, allow_val_change=True)
    assert joined.faults == ["param 'lr' was 0.1, and then 0.2: the last value counts"]
    assert [e["params"]["lr"] for e in joined.events if "lr" in e.get("params", {})][-1] == 7


def test_config_and_params_are_one(joined: Joined) -> None:
    """What is set through one is read through the other; an object stays what it was given as."""
    gittrack.config.shape = (1, 2)
    gittrack.log_param("opt", {"lr": 0.2, "beta": 1})
    assert gittrack.config.opt.beta == 1 and gittrack.config.shape == (1, 2)
    gittrack.log_param("shape", "now text")
    assert gittrack.config.shape == "now text"
    gittrack.config.opt.lr = 0.3
    gittrack.config["seed"] = 1
    assert current().params["opt.lr"] == 0.3 and gittrack.config.seed == 1
    told = [event["params"] for event in joined.events if "params" in event]
    assert told[0] == {"shape": [1, 2]} and told[-2:] == [{"opt.lr": 0.3}, {"seed": 1}]


def test_a_summary_takes_numbers_and_texts(joined: Joined) -> None:
    """A number stands for a metric's last value; a text is a tag; what is neither is a fault."""
    gittrack.log_metric("acc", 0.5)
    gittrack.summary["best"] = 0.9
    gittrack.summary.update({"note": "good", "at": {"step": 3}, "bad": [1, 2]})
    assert dict(gittrack.summary) == {"acc": 0.5, "best": 0.9, "note": "good", "at.step": 3}
    said = [e for e in joined.events if "metrics" not in e and "fault" not in e]
    assert said == [{"summary": {"best": 0.9}}, {"summary": {"at.step": 3}}, {"tags": {
        "note": "good"}}]  # fmt: skip
    assert len(joined.faults) == 1 and "'bad'" in joined.faults[0]


# -- log ----------------------------------------------------------------------------------------


def points(joined: Joined) -> list[tuple[Any, dict[str, Any]]]:
    return [(e.get("step"), e["metrics"]) for e in joined.events if "metrics" in e]


def test_steps_count_up_where_none_is_given(joined: Joined) -> None:
    """As W&B counts: one for each call, unless more of it is to come; from where a step was."""
    run = current()
    run.log({"a": 1})
    run.log({"a": 2, "b": {"c": 3}})
    run.log({"a": 3}, commit=False)
    run.log({"b.c": 4})
    run.log({"a": 5}, step=10)
    run.log({"b.c": 6})
    run.log({"a": 7}, step=20, commit=True)
    run.log({"a": 8})
    run.log({"a": 9}, step=2)
    run.log({"a": 10})
    assert points(joined) == [
        (0, {"a": 1}), (1, {"a": 2, "b.c": 3}), (2, {"a": 3}), (2, {"b.c": 4}), (10, {"a": 5}),
        (10, {"b.c": 6}), (20, {"a": 7}), (21, {"a": 8}), (2, {"a": 9}), (22, {"a": 10}),
    ]  # fmt: skip
    assert run.step == 23


def test_steps_go_on_after_those_of_the_run_that_is_resumed(joined: Joined) -> None:
    """Otherwise the second half of a curve lies over the first."""
    joined.begin(last_step=41)
    gittrack.log({"a": 1})
    assert points(joined) == [(42, {"a": 1})]


def test_threads_get_steps_of_their_own(joined: Joined) -> None:
    """No step twice, none left out."""
    from threading import Thread

    def work() -> None:
        for _ in range(500):
            gittrack.log({"a": 1})

    threads = [Thread(target=work) for _ in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert sorted(step for step, _ in points(joined)) == list(range(2_000))


def test_text_in_log_is_a_fault_that_says_where_it_belongs(joined: Joined) -> None:
    """And the numbers beside it are kept."""
    gittrack.log({"phase": "warmup", "a": 1, "flag": True, "none": None, "empty": {}})
    assert points(joined) == [(0, {"a": 1})]
    assert len(joined.faults) == 3
    assert "'phase' is text" in joined.faults[0] and "set_tag" in joined.faults[0]


@pytest.mark.parametrize("given", [None, 1, "x", [("a", 1)]])
def test_what_is_no_mapping_is_raised(joined: Joined, given: Any) -> None:
    """Wrong at the first step as at the last."""
    for call in (
        gittrack.log, gittrack.log_metrics, gittrack.log_params, gittrack.set_tags
    ):  # fmt: skip
        with pytest.raises(BadValue, match="takes a mapping"):
            call(given)
    assert joined.events == []


def test_what_holds_itself_ends_no_training(joined: Joined) -> None:
    """It was walked for ever, or until the stack was full."""
    endless: dict[str, Any] = {"a": 1}
    endless["more"] = endless
    gittrack.log({"metric": endless, "good": 2})
    gittrack.config.update({"setting": endless})
    gittrack.config.update({"setting": endless}, allow_val_change=True)
    gittrack.summary.update({"last": endless})
    gittrack.log_params({"param": endless})
    assert points(joined) == [(0, {"good": 2})]
    assert len(joined.faults) == 2 and "holds itself" in joined.faults[0]
    assert gittrack.config.setting.more.a == 1


BAD_KEYS = ["", "a\nb", "x" * 10_000, "caf\udce9", 3, None]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_keys_are_faults(joined: Joined, key: Any) -> None:
    """Whatever they name."""
    gittrack.log({key: 1, "good": "text"})
    gittrack.log({key: 1})
    gittrack.set_tags({key: 1})
    gittrack.log_params({key: 1})
    gittrack.summary[key] = 1
    gittrack.log_metric(key, 1, timestamp=5)
    assert len(joined.faults) == 7 and all(fault.isprintable() for fault in joined.faults)
    assert not any("metrics" in e or "summary" in e for e in joined.events)


@pytest.mark.parametrize("key", ["a/b", "../x", "🔥", "a b", ".."])
def test_odd_keys_are_keys(joined: Joined, key: str) -> None:
    """Slashes are common in metrics' names, and no path is made of them."""
    gittrack.log({key: 1})
    assert points(joined) == [(0, {key: 1})] and joined.faults == []


def test_a_time_of_its_own(joined: Joined) -> None:
    """MLflow's `timestamp`, in milliseconds; what is none is left out, and the value kept."""
    gittrack.log_metric("a", 1, step=2, timestamp=1_700_000_000_123)
    gittrack.log_metrics({"a": 2}, timestamp="now")  # type: ignore[arg-type]
    told, _ = journal.logged(joined.directory)
    (first, *_) = [event for event in told if "metrics" in event]
    assert first["t"] == 1_700_000_000.123 and points(joined)[0] == (2, {"a": 1})
    assert points(joined)[1] == (None, {"a": 2}) and "timestamp" in joined.faults[0]
    assert current().metrics == {"a": 2}


def test_strict_runs_raise(joined: Joined) -> None:
    """Who wants to know at once what is wrong (`track.strict`)."""
    joined.begin(strict=True)
    gittrack.log_param("lr", 1)
    wrong: list[Callable[[], Any]] = [
        lambda: gittrack.log_param("lr", 2),
        lambda: gittrack.log_param("a\nb", 2),
        lambda: gittrack.set_tag("", 2),
        lambda: gittrack.log({"a": "text"}),
        lambda: gittrack.log_metric("a", "text"),  # type: ignore[arg-type]
        lambda: gittrack.log_metric("a", 1, timestamp="x"),  # type: ignore[arg-type]
        lambda: gittrack.summary.update({"a": []}),
    ]
    for call in wrong:
        with pytest.raises((BadValue, BadName)):
            call()
    assert joined.faults == []


def test_a_refusal_is_one_traceback(joined: Joined) -> None:
    """A second one above it, of our own inside, hides the line of the script that matters."""
    joined.begin(strict=True)
    for call in (
        lambda: gittrack.log_metric("a", "text"),  # type: ignore[arg-type]
        lambda: gittrack.log_metric("a", None),  # type: ignore[arg-type]
        lambda: gittrack.log_metric("a", [1, 2]),  # type: ignore[arg-type]
        lambda: gittrack.log_artifact("missing"),
        lambda: gittrack.config.missing,
    ):
        with pytest.raises((BadValue, BadPath, AttributeError)) as caught:
            call()
        error = caught.value
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__


# -- files --------------------------------------------------------------------------------------


@pytest.fixture
def kept(joined: Joined, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is handed to `keeping`."""
    from gittrack import keeping

    called: list[tuple[Any, ...]] = []
    for name in ("log_artifact", "log_figure", "log_table", "log_image"):

        def note(value: Any, file: Any = None, *, how: str = name, **_: Any) -> None:
            called.append((how, file))

        monkeypatch.setattr(keeping, name, note)
    return called


def test_figures_images_and_tables_are_kept_by_their_step(
    joined: Joined, kept: list[tuple[Any, ...]]
) -> None:
    """Under the name of the metric that they would be, beside the numbers of that step."""
    pandas, pil = pytest.importorskip("pandas"), pytest.importorskip("PIL.Image")
    figure = SimpleNamespace(savefig=print)
    image = pil.new("L", (2, 2))
    gittrack.log({"a": 1})
    gittrack.log({"plot": figure, "seen": {"one": image, "all": [image, image]}, "a": 2})
    gittrack.log({"rows": pandas.DataFrame({"x": [1]})}, step=9)
    assert kept == [
        ("log_figure", "plot/1.png"),
        ("log_figure", "seen.one/1.png"),
        ("log_figure", "seen.all/1/0.png"),
        ("log_figure", "seen.all/1/1.png"),
        ("log_table", "rows/9.csv"),
    ]
    assert points(joined) == [(0, {"a": 1}), (1, {"a": 2})] and joined.faults == []


def test_a_key_that_is_no_name_of_a_file_is_a_fault(joined: Joined) -> None:
    """As every other thing that is wrong with what is logged."""
    pil = pytest.importorskip("PIL.Image")
    gittrack.log({"../up": pil.new("L", (1, 1)), "a": 1})
    assert points(joined) == [(0, {"a": 1})] and len(joined.faults) == 1


@pytest.mark.parametrize(
    ("words", "options", "called"),
    [
        (["m.pt"], {}, None),
        (["m.pt", "best.pt"], {}, "best.pt"),
        (["m.pt"], {"name": "best.pt"}, "best.pt"),
        (["m.pt"], {"name": "best"}, "best"),
        (["m.pt", "models"], {}, "models/m.pt"),
        (["m.pt", "models/"], {}, "models/m.pt"),
        (["m.pt"], {"artifact_path": "models/v1.0"}, "models/v1.0/m.pt"),
        (["out"], {"artifact_path": "all"}, "all/out"),
        (["out", "all"], {}, "all"),
        (["LICENSE", "license"], {}, "license"),
    ],
)
def test_a_name_or_a_directory(
    joined: Joined,
    kept: list[tuple[Any, ...]],
    tmp_path: Path,
    words: list[str],
    options: dict[str, str],
    called: str | None,
) -> None:
    """What MLflow's second argument means, and what ours does."""
    (tmp_path / "m.pt").write_text("x")
    (tmp_path / "LICENSE").write_text("x")
    (tmp_path / "out").mkdir()
    gittrack.log_artifact(*words, **options)  # type: ignore[arg-type]
    assert kept == [("log_artifact", called)]


def test_an_image_has_a_name_or_a_key(joined: Joined, kept: list[tuple[Any, ...]]) -> None:
    """MLflow's two forms."""
    gittrack.log_image(None, "a/b.png")
    gittrack.log_image(None, key="dog", step=3)
    gittrack.log_image(None, key="dog")
    assert kept == [("log_image", name) for name in ("a/b.png", "dog/3.png", "dog/0.png")]
    for wrong in ({}, {"artifact_file": "a.png", "key": "b"}):
        with pytest.raises(UsageError):
            gittrack.log_image(None, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        gittrack.log_artifact("a", "b", artifact_path="c")


# -- which run it is ----------------------------------------------------------------------------


def test_a_run_of_nothing(joined: Joined, tmp_path: Path) -> None:
    """`mode="disabled"`: everything works, and nothing is anywhere; afterwards all is as before."""
    (tmp_path / "f").write_text("x")
    run = gittrack.init(mode="disabled", config={"lr": 0.1})
    assert gittrack.active_run() is run and not run.is_joined
    run.log({"a": 1})
    gittrack.log_metric("a", 2)
    gittrack.log_param("p", 1)
    gittrack.log_text("x", "x.txt")
    gittrack.log_artifact("f")
    gittrack.log_input("f")
    gittrack.set_tag("t", 1)
    assert run.metrics == {"a": 2} and run.id == "" and run.config == {"lr": 0.1, "p": 1}
    run.finish()
    gittrack.log_metric("a", 3)
    assert joined.events == [{"metrics": {"a": 3}}]


def test_after_the_end_it_is_said_once(joined: Joined, capsys: pytest.CaptureFixture[str]) -> None:
    """No run begins by itself where one has ended: what comes late belongs to that."""
    run = current()
    gittrack.log_metric("a", 1)
    gittrack.end_run()
    gittrack.end_run()
    for late in (
        lambda: gittrack.log_metric("a", 2),
        lambda: run.log({"a": 3}),
        lambda: gittrack.log_param("a", 4),
        lambda: gittrack.log_text("x", "x.txt"),
        lambda: gittrack.log_input(__file__),
    ):
        late()
    assert joined.events == [{"metrics": {"a": 1}}]
    said = capsys.readouterr().err
    assert "has ended" in said and said.count("\n") == 1


@pytest.mark.parametrize("status", ["FAILED", "failed", "KILLED"])
def test_what_a_part_of_a_run_came_to(joined: Joined, status: str) -> None:
    """The process that began the run ends it; this one only says how it went here."""
    current()
    gittrack.end_run(status)
    assert joined.events == [{"status": status.lower()}]


def test_a_part_that_went_well_says_nothing(joined: Joined) -> None:
    """Another part may fail yet."""
    gittrack.start_run()
    gittrack.end_run()
    assert joined.events == []


@pytest.mark.parametrize("status", ["RUNNING", "done", "", None])
def test_a_status_that_is_none(joined: Joined, status: Any) -> None:
    """An ended run is not running."""
    with pytest.raises(UsageError):
        gittrack.end_run(status)


def test_by_its_id(joined: Joined) -> None:
    """MLflow's `run_id=`: the run that goes on, and no other."""
    gittrack.log_metric("a", 1, run_id="0" * 32)
    gittrack.log_params({"p": 1}, run_id="0" * 32)
    assert gittrack.start_run(run_id="0" * 32).id == "0" * 32
    with pytest.raises(NoActiveRun, match="under way in this process"):
        gittrack.log_metric("a", 1, run_id="1" * 32)
    assert joined.events == [{"metrics": {"a": 1}}, {"params": {"p": 1}}]


def test_a_config_needs_a_run(tmp_path: Path) -> None:
    """W&B's, too: what is read would be nothing, and what is set nobody's."""
    with fresh(tmp_path), pytest.raises(NoActiveRun, match="init"):
        gittrack.config["lr"]


# -- runs of the script's own -------------------------------------------------------------------


Script = Callable[[str], "Told"]


class Told:
    """What a script said, and the runs that it left, by the beginning of their names."""

    def __init__(self, place: Path, done: subprocess.CompletedProcess[str]) -> None:
        self.out, self.err, self.code = done.stdout, done.stderr, done.returncode
        self.repo = Repo.open(place)
        self.refs = {ref.name: ref for ref in refs.all_runs(self.repo)}

    def run(self, prefix: str) -> Recorded:
        (found,) = [name for name in self.refs if name.startswith(prefix)]
        return commits.load(self.repo, self.refs[found])

    def rows(self, prefix: str) -> tuple[Row, ...]:
        (found,) = [name for name in self.refs if name.startswith(prefix)]
        return tuple(commits.load_series(self.repo, self.refs[found]))


@pytest.fixture
def script(repo_dir: Path) -> Script:
    """Run Python code as a script of its own in a repository."""

    def run(code: str) -> Told:
        (repo_dir / "script.py").write_text(code)
        words = [sys.executable, "-W", "error", "script.py"]
        return Told(repo_dir, subprocess.run(words, cwd=repo_dir, capture_output=True, text=True))

    return run


def test_the_first_thing_that_is_logged_begins_a_run(script: Script) -> None:
    """A script without a word about runs has one, code and all."""
    told = script(
        "import gittrack\n"
        "gittrack.log_param('lr', 0.1)\n"
        "gittrack.log_metric('acc', 0.5)\n"
        "gittrack.log_text('x', 'x.txt')\n"
    )
    assert told.code == 0, told.err
    (name,) = told.refs
    run = told.run(name)
    assert run.status == "finished" and run.source == "api" and run.params["lr"] == 0.1
    assert run.metrics == {"acc": 0.5} and [a.path for a in run.artifacts] == ["x.txt"]
    assert run.faults == () and name in told.err


def test_threads_that_log_first_begin_one_run(script: Script) -> None:
    """All at once, before there is any."""
    told = script("""
import gittrack
from threading import Barrier, Thread
together = Barrier(8)
def work(n):
    together.wait()
    gittrack.log_metric(f"m{n}", n)
threads = [Thread(target=work, args=(n,)) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
""")
    assert told.code == 0, told.err
    (name,) = told.refs
    assert told.run(name).metrics == {f"m{n}": n for n in range(8)}


def test_free_texts_are_titles(script: Script) -> None:
    """No ref can hold them, and nobody should need to know."""
    told = script("""
import gittrack
gittrack.set_experiment("My Churn Model")
with gittrack.start_run(run_name="First try!", description="why", tags={"a": 1}) as run:
    pass
with gittrack.start_run(name="plain", experiment="other", params={"opt": {"lr": 1}}):
    pass
""")
    first, plain = told.run("first-try"), told.run("plain")
    assert (first.experiment, first.experiment_title) == ("my-churn-model", "My Churn Model")
    assert (first.title, first.message, dict(first.tags)) == ("First try!", "why", {"a": "1"})
    assert (plain.experiment, plain.experiment_title, plain.title) == ("other", None, None)
    assert plain.params["opt.lr"] == 1


def test_names_of_every_kind_make_a_run(script: Script) -> None:
    """What no ref can hold becomes a title of one line; an empty experiment is an error at once."""
    told = script(
        """
import gittrack
for name in ("a\\nb\\x1b[2J", "x" * 10_000, "🔥", "../../etc", "caf\\udce9", "a/b", ""):
    with gittrack.start_run(name=name, experiment=name or None, message=name) as run: pass
for wrong in ({"experiment": ""}, {"tags": [1]}, {"params": 3}, {"parent": "nothing"}):
    try: gittrack.start_run(**wrong)
    except gittrack.errors.GittrackError as error: print(type(error).__name__)
    assert gittrack.active_run() is None
run.name = "a\\nb"
""".replace("import gittrack\n", "import gittrack, gittrack.errors\n")
    )
    assert told.code == 0, told.err
    assert told.out.split() == ["BadName", "BadValue", "BadValue", "RunNotFound"]
    runs = [commits.load(told.repo, ref) for ref in told.refs.values()]
    assert len(runs) == 7 and all(run.status == "finished" for run in runs)
    for run in runs:
        for title in (run.title, run.experiment_title):
            assert title is None or (title.isprintable() and len(title) <= 1000)
    assert {run.title for run in runs} >= {None, "🔥", "../../etc", "a/b"}


def test_each_call_of_a_decorated_function_is_a_run(script: Script) -> None:
    """And its definition none, with or without arguments: nothing is left of what `start` began."""
    told = script("""
import asyncio, os, gittrack

@gittrack.start_run
def plain(n): gittrack.log_metric("n", n)

@gittrack.start_run(name="named")
def named(n): gittrack.log_metric("n", n)

@gittrack.start_run(name="async")
async def waiting(n):
    gittrack.log_metric("n", n); await asyncio.sleep(0.01); gittrack.log_metric("n", 10 * n)

@gittrack.start_run(name="steps")
def steps(n):
    for step in range(3):
        gittrack.log_metric("n", 10 * n + step); yield step

print(os.environ.get("GITTRACK_RUN"), gittrack.active_run())
plain(1); named(1); named(2)
async def both(): await asyncio.gather(waiting(1), waiting(2))
asyncio.run(both())
print(list(zip(steps(1), steps(2))))
try:
    gittrack.start_run(name="busy").__enter__()(plain)
except Exception as error:
    print(type(error).__name__)
""")
    assert told.code == 0, told.err
    assert told.out == "None None\n[(0, 0), (1, 1), (2, 2)]\nUsageError\n"
    loaded = [commits.load(told.repo, ref) for ref in told.refs.values()]
    found = sorted((run.name.rsplit("-", 1)[0], run.metrics.get("n")) for run in loaded)
    named = [pair for pair in found if pair[0] in ("named", "async", "steps", "busy")]
    assert named == [
        ("async", 10), ("async", 20), ("busy", None), ("named", 1), ("named", 2), ("steps", 12),
        ("steps", 22),
    ]  # fmt: skip
    assert len(found) == len(named) + 1
    assert {run.status for run in loaded} == {"finished"}
    assert not list((told.repo.state / "live").iterdir())


def test_what_comes_after_the_end_begins_no_run(script: Script) -> None:
    """A late callback would leave a stray run behind, of one point."""
    told = script("""
import gittrack
with gittrack.start_run(name="whole"):
    gittrack.log_metric("m", 1)
gittrack.log_metric("late", 2)
gittrack.log_param("late", 2)
""")
    assert told.code == 0 and list(told.refs) == [told.run("whole").name]
    assert "has ended" in told.err and told.run("whole").metrics == {"m": 1}


def test_a_function_that_is_only_defined_stands_in_nobodys_way(script: Script) -> None:
    """What is logged without a run begins one, as if it had not been decorated."""
    told = script("""
import gittrack
@gittrack.start_run(name="never")
def never(): pass
gittrack.log_metric("m", 1)
""")
    assert told.code == 0, told.err
    (name,) = told.refs
    assert told.run(name).metrics == {"m": 1} and not name.startswith("never")


def test_two_runs_of_one_process_do_not_mix(script: Script) -> None:
    """A sweep with nested trials: params, points and files each in their own."""
    told = script("""
import gittrack
with gittrack.start_run(name="outer") as outer:
    gittrack.log_text("outer", "a")
    for n in range(2):
        with gittrack.start_run(name=f"inner{n}", nested=True) as inner:
            gittrack.log_param("n", n)
            gittrack.log_text(str(n), "a/b")
            outer.log_metric("done", n)
            inner.log({"x": n})
    gittrack.log({"y": 1})
    gittrack.log_metric("z", 1, run_id=outer.id)
""")
    assert told.code == 0, told.err
    outer = told.run("outer")
    assert dict(outer.metrics) == {"done": 1, "y": 1, "z": 1} and outer.faults == ()
    assert [kept.path for kept in outer.artifacts] == ["a"]
    for n in range(2):
        inner = told.run(f"inner{n}")
        assert (inner.parent, inner.params["n"]) == (outer.id, n) and inner.metrics == {"x": n}
        assert [kept.path for kept in inner.artifacts] == ["a/b"]


def test_data_that_a_script_names(script: Script, repo_dir: Path) -> None:
    """By a path, or by an object that stands for one; each known by its content."""
    (repo_dir / "data.csv").write_text("a,b\n")
    (repo_dir / "parts").mkdir()
    (repo_dir / "parts" / "1").write_text("1")
    told = script("""
import gittrack, pathlib
from types import SimpleNamespace as Object
from gittrack.errors import BadPath, BadValue
gittrack.log_input("data.csv", context="training", tags={"rows": 1})
gittrack.log_input(Object(source=Object(uri=pathlib.Path("parts").absolute().as_uri())))
for wrong in ("s3://bucket/x", "nothing.csv", 3, [1], Object(path=None), "."):
    try: gittrack.log_input(wrong)
    except (BadPath, BadValue) as error: print(type(error).__name__)
""")
    assert told.code == 0, told.err
    assert told.out.split() == [
        "BadValue",
        "BadPath",
        "BadValue",
        "BadValue",
        "BadValue",
        "BadPath",
    ]
    (name,) = told.refs
    run = told.run(name)
    assert [(item.path, item.size, item.nfiles) for item in run.data] == [
        ("data.csv", 4, None),
        ("parts", 1, 1),
    ]
    assert dict(run.tags) == {"data.data.csv": "training", "data.data.csv.rows": "1"}
    assert run.faults == ()


def test_a_script_that_was_started_by_a_command_joins(repo_dir: Path, track: Track) -> None:
    """The same script, either way: one run; a second one is a child of it."""
    (repo_dir / "script.py").write_text("""
import gittrack
gittrack.set_experiment("Wine Study")
with gittrack.start_run(run_name="mine", tags={"a": "b"}) as run:
    gittrack.log_metric("m", 1)
with gittrack.start_run(name="second"):
    gittrack.log_metric("n", 2)
""")
    track(repo_dir, "run", "--", sys.executable, "script.py", check=0)
    repo = Repo.open(repo_dir)
    found = {ref.name.rsplit("-", 1)[0]: commits.load(repo, ref) for ref in refs.all_runs(repo)}
    second = found.pop("second")
    (run,) = found.values()
    assert (run.title, dict(run.tags), dict(run.metrics)) == ("mine", {"a": "b"}, {"m": 1})
    assert (run.experiment, run.experiment_title) == ("wine-study", "Wine Study")
    assert second.parent == run.id and second.metrics == {"n": 2} and run.faults == ()


def test_a_run_goes_on_where_another_ended(script: Script) -> None:
    """`resume`: a new run that has the old one as its first input, and counts on."""
    told = script("""
import gittrack
with gittrack.start_run(name="long", params={"lr": 0.1}) as run:
    for _ in range(3): run.log({"a": 1})
with gittrack.start_run(resume=run.name) as more:
    more.log({"a": 2})
    print(more.params["lr"], more.step)
with gittrack.start_run(run_id=run.id) as third:
    print(third.step)
""")
    assert told.code == 0, told.err
    assert told.out == "0.1 4\n3\n"
    first, *rest = sorted(
        (commits.load(told.repo, ref) for ref in told.refs.values()), key=lambda run: run.started
    )
    assert [run.continues for run in rest] == [first.id] * 2
    assert revisions.resolve(told.repo, "latest").name == rest[-1].name


@pytest.mark.parametrize("place", ["nowhere", "bare"])
def test_where_no_run_can_begin_it_is_raised_at_once(
    place: str, tmp_path: Path, bare_dir: Path
) -> None:
    """Before the training rather than after it; one line that says what helps."""
    code = "import gittrack; gittrack.log_metric('m', 1); print('trained')"
    where = tmp_path if place == "nowhere" else bare_dir
    done = subprocess.run([sys.executable, "-c", code], cwd=where, capture_output=True, text=True)
    assert done.returncode == 1 and "trained" not in done.stdout
    assert "gittrack.errors." in done.stderr.splitlines()[-1] or "hint" in done.stderr


def test_forked_children_log_to_the_run_of_their_parent(script: Script) -> None:
    """And end nothing: neither by leaving, nor by `end_run`."""
    told = script("""
import multiprocessing, gittrack
def work(n):
    gittrack.log_metric(f"child{n}", n)
    gittrack.end_run()
if __name__ == "__main__":
    with gittrack.start_run(name="parent") as run:
        gittrack.log_metric("before", 1)
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=work, args=(n,)) for n in range(3)]
        for child in children: child.start()
        for child in children: child.join()
        gittrack.log_metric("after", 1)
""")
    assert told.code == 0, told.err
    assert dict(told.run("parent").metrics) == {
        "before": 1, "after": 1, "child0": 0, "child1": 1, "child2": 2
    }  # fmt: skip


def test_what_another_has_and_we_have_not_says_what_helps() -> None:
    """Where it is looked for, instead of silence."""
    with pytest.raises(AttributeError, match=r"no attribute 'Artifact': .* the path itself"):
        _ = gittrack.Artifact  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute 'alert': leave it out"):
        _ = gittrack.alert  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute 'log_metirc'$") as raised:
        _ = gittrack.log_metirc  # type: ignore[attr-defined]
    assert (raised.value.name, raised.value.obj) == ("log_metirc", gittrack)  # Python suggests one
    for name in gittrack.__all__:
        assert getattr(gittrack, name) is not None
    assert active.current() is None
