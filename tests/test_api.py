"""The Python door: what a script says is in the record, and never in the script's way."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gittrack
from doors import fresh
from gittrack import active, commits, journal, refs
from gittrack.errors import NoActiveRun, NotARepository
from gittrack.git import Repo
from gittrack.records import Row, Run


@pytest.fixture(autouse=True)
def fresh_door(tmp_path_factory):
    """As in a process that has logged nothing yet, in no repository."""
    with fresh(tmp_path_factory.mktemp("nowhere")):
        yield


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """Inside of a run: calls go to a directory, `logged()` gives back what is in it."""
    monkeypatch.setenv(journal.RUN_VARIABLE, str(tmp_path))
    return lambda: events(tmp_path)


def events(directory: Path) -> list[dict[str, Any]]:
    found, damaged = [], 0
    for path in sorted(directory.glob("*.journal")):
        more, bad = journal.unframe(path.read_bytes())
        found += [{k: v for k, v in event.items() if k != "t"} for event in more]
        damaged += bad
    assert damaged == 0
    return found


class Array:
    """What NumPy scalars, tensors and arrays look like from outside."""

    def __init__(self, *values: Any) -> None:
        self.values, self.size = values, len(values)

    def item(self) -> Any:
        if len(self.values) != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.values[0]


class Tensor(Array):
    """As torch says it."""

    def item(self) -> Any:
        if len(self.values) != 1:
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self.values[0]


class Text(str):
    """A subclass, such as an enumeration's member."""


# -- metrics ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0.1, 0.1),
        (3, 3),
        (-0.0, -0.0),
        (2**64, 2**64),
        (math.inf, math.inf),
        (Array(0.25), 0.25),
        (Array(7), 7),
        (Tensor(0.5), 0.5),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 3), 1 / 3),
    ],
)
def test_what_turns_into_a_number_is_one(logged, value, kept) -> None:
    """Exactly: integers stay integers, floats their every bit."""
    gittrack.log_metric("m", value)
    (event,) = logged()
    assert event == {"metrics": {"m": kept}}
    assert type(event["metrics"]["m"]) is type(kept)
    assert math.copysign(1, event["metrics"]["m"]) == math.copysign(1, kept)


def test_nan_is_a_value(logged) -> None:
    """A loss that became NaN is the most important thing to see."""
    gittrack.log_metric("m", math.nan)
    assert math.isnan(logged()[0]["metrics"]["m"])


@pytest.mark.parametrize(
    "value",
    [
        *(True, Array(True), "0.5", b"1", None, [1], Array(1, 2), Tensor(1, 2), 1j, object()),
        *(2**1025, 10**5000, Decimal("sNaN"), Array("x")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_number_is_said_once_and_never_raises(logged, capsys, value) -> None:
    """Training must not end because of its logging; nor must the mistake go unnoticed."""
    gittrack.log_metrics({"bad": value, "good": 1.0}, step=2)
    gittrack.log_metric("bad", value)
    found = logged()
    assert [e["metrics"] for e in found if "metrics" in e] == [{"good": 1.0}]
    faults = [e["fault"] for e in found if "fault" in e]
    assert len(faults) == 2 and all(f.startswith("metric 'bad' not recorded: ") for f in faults)
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("gittrack: metric")


@pytest.mark.parametrize(
    ("step", "kept"), [(0, 0), (-1, -1), (Array(5), 5), (3.0, 3), (2**63 - 1, 2**63 - 1)]
)
def test_steps(logged, step, kept) -> None:
    """Whole numbers of any origin; no step is no step."""
    gittrack.log_metric("m", 1, step=step)
    gittrack.log_metric("m", 2)
    assert logged() == [{"metrics": {"m": 1}, "step": kept}, {"metrics": {"m": 2}}]


@pytest.mark.parametrize(
    "step",
    [1.5, "3", True, math.nan, math.inf, [1], 2**63, 10**5000],
    ids=lambda s: type(s).__name__,
)
def test_a_step_that_is_none_costs_no_value(logged, capsys, step) -> None:
    """The value is what matters; the step is said to be wrong."""
    gittrack.log_metric("m", 1, step=step)
    found = logged()
    assert {"metrics": {"m": 1}} in found and len(found) == 2
    said = capsys.readouterr().err
    assert "step" in said
    assert "metric 'm': " in said and "; its value is kept without a step\n" in said


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 251, "\x1b[2J", "caf\udce9", 3, None])
def test_keys_that_are_refused(logged, capsys, key) -> None:
    """The same grammar for all three; a fault that can be printed and stored."""
    gittrack.log_metric(key, 1)
    gittrack.log_param(key, 1)
    gittrack.set_tag(key, "1")
    faults = [event["fault"] for event in logged()]
    assert len(faults) == 3 and all(fault.isprintable() for fault in faults)
    assert capsys.readouterr().err.count("\n") == 1


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1),
        st.floats() | st.integers(-(2**1024) + 1, 2**1024 - 1),
        min_size=1,
        max_size=5,
    ),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)
@settings(deadline=None, max_examples=200)
def test_any_numbers_come_back_exactly(tmp_path_factory, metrics, step) -> None:
    """Shortest round-trip text, for every float and every integer."""
    directory = tmp_path_factory.mktemp("run")
    os.environ[journal.RUN_VARIABLE] = str(directory)
    try:
        gittrack.log_metrics(metrics, step=step)
    finally:
        active._close()
        del os.environ[journal.RUN_VARIABLE]
    (event,) = events(directory)
    assert event.get("step") == step
    assert repr(event["metrics"]) == repr(metrics)


# -- params and tags ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1, 1),
        (0.1, 0.1),
        (True, True),
        (None, None),
        ("text", "text"),
        (Text("text"), "text"),
        ([1, (2, "x")], [1, [2, "x"]]),
        ({}, {}),
        ([{"a": 1}], [{"a": 1}]),
        (Array(0.5), 0.5),
        (Array(1, 2), None),
        (Path("a/b"), "a/b"),
        (Decimal("0.10"), "0.10"),
        ("caf\udce9", '"caf\\351"'),
        (10**5000, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_params_keep_their_types(logged, value, kept) -> None:
    """What YAML knows as it is, anything else as its text: a config object is often in there."""
    gittrack.log_param("p", value)
    gittrack.log_params({"q": 1})
    first, *rest = logged()
    assert rest == [{"params": {"q": 1}}]
    if kept is not None or value is None:
        assert first == {"params": {"p": kept}}
        assert type(first["params"]["p"]) is type(kept)
    else:
        assert "fault" in first or isinstance(first["params"]["p"], str)


def test_a_mapping_is_a_param_for_each_entry(logged) -> None:
    """Params are flat in every listing; what cannot be a key costs its own mapping only."""
    gittrack.log_param("opt", {"name": "adam", "by": {3: 4, "none": {}}, "l": [{"a": 1}]})
    gittrack.log_params({"bad": {"a\nb": 1}, "twice": {"a.b": 1, "a": {"b": 2}}, "good": 1})
    first, bad, twice, last = logged()
    opt = {"opt.name": "adam", "opt.by.3": 4, "opt.by.none": {}, "opt.l": [{"a": 1}]}
    assert first == {"params": opt}
    assert bad["fault"].startswith("param 'bad' not recorded")
    assert twice["fault"].startswith("param 'twice' not recorded")
    assert last == {"params": {"good": 1}}


class Grid:
    """What an array with several items looks like from outside."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def tolist(self) -> list[Any]:
        items: Any = 0.5
        for length in reversed(self.shape):
            items = [items] * length
        return list(items)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Grid(2, 3), [[0.5] * 3] * 2),
        (Grid(1000), [0.5] * 1000),
        (Grid(1001), "Grid of shape (1001,)"),
        (Grid(50, 60), "Grid of shape (50, 60)"),
        (object(), "<class 'object'>"),
        (test_params_keep_their_types, f"{__name__}.test_params_keep_their_types"),
        ([len, Text], ["<built-in function len>", f"<class '{__name__}.Text'>"]),
    ],
    ids=["grid", "row", "long row", "large grid", "object", "function", "list"],
)
def test_objects_are_recorded_as_what_is_the_same_in_the_next_run(logged, value, kept) -> None:
    """A memory address makes two equal runs differ, and ten thousand numbers are no param."""
    gittrack.log_param("p", value)
    assert logged() == [{"params": {"p": kept}}]


def test_hostile_params_never_raise(logged) -> None:
    """Objects whose `str` fails, mappings that contain themselves."""

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    loop: dict[str, Any] = {}
    loop["me"] = loop
    gittrack.log_param("bad", Bad())
    gittrack.log_param("loop", loop)
    gittrack.log_metric("bad", Bad())  # type: ignore[arg-type]
    gittrack.log_metric("m", 1, step=Bad())  # type: ignore[arg-type]
    gittrack.set_tag("bad", Bad())  # type: ignore[arg-type]
    gittrack.log_param("good", 1)
    assert logged()[-1] == {"params": {"good": 1}}


def test_tags_are_text(logged) -> None:
    """A number becomes its text; a later value comes later."""
    gittrack.set_tag("a", "x")
    gittrack.set_tag("a", 3)  # type: ignore[arg-type]
    assert logged() == [{"tags": {"a": "x"}}, {"tags": {"a": "3"}}]


# -- circumstances ------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [False, True])
def test_outside_of_a_run(tmp_path, monkeypatch, gone) -> None:
    """Nothing is logged into nowhere: not where no run can begin, nor to a run that was."""
    if gone:
        monkeypatch.setenv(journal.RUN_VARIABLE, str(tmp_path / "ended"))
    for call in (
        lambda: gittrack.log_metric("m", 1),
        lambda: gittrack.log_param("p", 1),
        lambda: gittrack.set_tag("t", "1"),
    ):
        with pytest.raises(NoActiveRun if gone else NotARepository) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_full_disk_is_said_once(logged, capsys, monkeypatch) -> None:
    """Training goes on; once there is space again, the record has all of it."""
    gittrack.log_metric("m", 1)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[: len(data) // 2]))
    gittrack.log_metric("m", 2)
    gittrack.log_metric("m", 3)
    monkeypatch.setattr(os, "write", real)
    gittrack.log_metric("m", 4)
    active._close()
    assert [event["metrics"]["m"] for event in logged()] == [1, 2, 3, 4]
    assert capsys.readouterr().err.count("\n") == 1


def test_threads_share_one_file(logged, tmp_path) -> None:
    """8 x 1,000 appends: each line whole, each thread's in its order."""
    from threading import Barrier, Thread

    together = Barrier(8)

    def work(number: int) -> None:
        together.wait()
        for step in range(1_000):
            gittrack.log_metric(f"m{number}", step / 7, step=step)

    threads = [Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = logged()
    assert len(found) == 8_000 and len(list(tmp_path.glob("*.journal"))) == 1
    for number in range(8):
        mine = [event for event in found if f"m{number}" in event["metrics"]]
        assert [event["step"] for event in mine] == list(range(1_000))


def test_a_logging_step_costs_one_write(tmp_path) -> None:
    """No Git, no YAML, no click, no lock in the training loop, and as little as can be before."""
    code = """
import os, sys
import gittrack
gittrack.log_param("p", 1)
calls = []
real = os.write
os.write = lambda fd, data: (calls.append(len(data)), real(fd, data))[1]
sys.addaudithook(lambda event, _: calls.append(event) if event == "open" else None)
before = set(sys.modules)
for step in range(100):
    gittrack.log_metric("loss", 0.5, step=step)
new = sorted(set(sys.modules) - before)
heavy = sorted({name.split(".")[0] for name in sys.modules}
               & {"pygit2", "yaml", "click", "subprocess", "tabulate", "numpy", "asyncio"})
print(repr((len(calls), all(type(c) is int for c in calls), new, heavy)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, journal.RUN_VARIABLE: str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(100, True, [], [])\n"


def test_a_forked_child_has_a_file_of_its_own(tmp_path) -> None:
    """One writer per file is what makes a torn line harmless: only its own next one knows."""
    code = """
import os, gittrack
gittrack.log_metric("m", 1)
child = os.fork()
gittrack.log_metric("child" if child == 0 else "parent", 2)
if child: os.waitpid(child, 0)
"""
    env = {**os.environ, journal.RUN_VARIABLE: str(tmp_path)}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, check=True)
    found = [journal.unframe(path.read_bytes())[0] for path in tmp_path.glob("*.journal")]
    said = sorted(["".join(e["metrics"]) for e in events] for events in found)
    assert said == [["child"], ["m", "parent"]]


# -- in a real run ------------------------------------------------------------------------------


def recorded(track, place: Path, code: str, exit_code: int = 0) -> tuple[Run, tuple[Row, ...]]:
    (place / "script.py").write_text(code)
    track(place, "run", "--", sys.executable, "script.py", check=exit_code)
    repo = Repo.open(place)
    (ref,) = refs.all_runs(repo)
    return commits.load(repo, ref), commits.load_series(repo, ref)


def test_what_a_script_logs_is_recorded(repo_dir, track) -> None:
    """Params beside those of files and options, tags beside --tag, every point of a curve."""
    code = """
import gittrack
gittrack.log_param("opt.name", "adam")
gittrack.log_params({"lr": 0.5, "layers": [1, 2]})
gittrack.set_tag("team", "red")
for step in range(10):
    gittrack.log_metrics({"loss": 1 / (step + 1), "acc": step / 10}, step=step)
print("loss: 99")
"""
    run, rows = recorded(track, repo_dir, code)
    assert dict(run.params) == {"epochs": 5, "lr": 0.5, "layers": [1, 2], "opt.name": "adam"}
    assert dict(run.tags) == {"team": "red"} and run.faults == ()
    assert [(r.step, dict(r.values)) for r in rows] == [
        (step, {"loss": 1 / (step + 1), "acc": step / 10}) for step in range(10)
    ]
    assert dict(run.metrics) == {"loss": 0.1, "acc": 0.9}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_log_too(repo_dir, track, method) -> None:
    """Data loaders and ranks: a file for each process, and no line twice after a fork."""
    code = f"""
import multiprocessing, os, gittrack

def work(rank):
    for step in range(50):
        gittrack.log_metric(f"rank{{rank}}", step, step=step)

if __name__ == "__main__":
    gittrack.log_metric("main", 0)
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=work, args=(rank,)) for rank in range(3)]
    for child in children: child.start()
    for child in children: child.join()
    assert all(child.exitcode == 0 for child in children)
    gittrack.log_metric("main", 1)
"""
    run, rows = recorded(track, repo_dir, code)
    assert dict(run.metrics) == {"main": 1, "rank0": 49, "rank1": 49, "rank2": 49}
    for rank in range(3):
        steps = [row.step for row in rows if f"rank{rank}" in row.values]
        assert steps == list(range(50))
    assert [row.values["main"] for row in rows if "main" in row.values] == [0, 1]


@pytest.mark.parametrize(
    ("ending", "code", "status"),
    [
        ("raise ValueError('diverged')", 1, "failed"),
        ("sys.exit('no')", 1, "failed"),
        ("os._exit(3)", 3, "failed"),
        ("os.abort()", 134, "killed"),
        ("os.kill(os.getpid(), 9)", 137, "killed"),
        ("atexit.register(lambda: gittrack.log_metric('m', 3))", 0, "finished"),
    ],
)
def test_nothing_logged_is_lost_however_it_ends(repo_dir, track, ending, code, status) -> None:
    """Each line is in the kernel's hands when the call returns."""
    script = (
        "import atexit, os, sys, gittrack\n"
        "gittrack.log_metric('m', 1)\n"
        "if os.fork() == 0:\n"
        "    gittrack.log_metric('child', 7)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        f"gittrack.log_metric('m', 2)\n{ending}\n"
    )
    run, rows = recorded(track, repo_dir, script, code)
    expected = [1, 2, 3] if "atexit" in ending else [1, 2]
    assert run.status == status
    assert [row.values["m"] for row in rows if "m" in row.values] == expected
    assert run.metrics["child"] == 7 and run.faults == ()


def test_mistakes_are_faults_of_the_run(repo_dir, track) -> None:
    """Who looks at the run in a month sees why a metric is missing."""
    run, _ = recorded(track, repo_dir, "import gittrack; gittrack.log_metric('m', 'high')\n")
    assert run.status == "finished"
    assert run.faults == ("metric 'm' not recorded: 'high' is no number",)


def test_many_points(repo_dir, track) -> None:
    """100,000 points are a long training, and are recorded in a moment."""
    code = (
        "import gittrack\n"
        "for step in range(100_000): gittrack.log_metric('loss', step / 3, step=step)\n"
    )
    run, rows = recorded(track, repo_dir, code)
    assert len(rows) == 100_000 and run.metrics["loss"] == 99_999 / 3
    assert rows[12_345].values == {"loss": 12_345 / 3}
