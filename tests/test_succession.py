"""The curve of a resumed run and of those before it, from real records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gittrack import commits, refs, succession
from gittrack.git import Identity, Repo
from gittrack.records import Input, Row, Run
from gittrack.refs import RunRef

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
ADA = Identity("Ada Lovelace", "ada@example.org")
NAMES = ("first-heron-aaaaaa", "second-heron-bbbbbb", "third-heron-cccccc")


def write(
    repo: Repo,
    number: int,
    rows: Sequence[Row] = (),
    *,
    after: RunRef | None = None,
    inputs: tuple[Input, ...] = (),
    system: Sequence[Row] = (),
    **more: Any,
) -> RunRef:
    """A run that began `number` hours after noon; with `after` it continues that one."""
    if after is not None:
        old = commits.load(repo, after)
        inputs = (Input(after.short, old.id, after.commit), *inputs)
        more = {"continues": old.id} | more
    began = NOON + timedelta(hours=number)
    run = Run(
        id=f"{number + 1:032x}", name=NAMES[number], experiment="default", status="finished",
        started=began, ended=began + timedelta(minutes=1), inputs=inputs, **more,
    )  # fmt: skip
    return commits.write(repo, run, tree=repo.empty_tree(), author=ADA, rows=rows, system=system)


def steps(*numbers: int | None, name: str = "loss") -> list[Row]:
    """A row a second, its value the step."""
    return [Row(n, float(at), {name: n if n is not None else -1}) for at, n in enumerate(numbers)]


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    return Repo.open(repo_dir)


def curve(repo: Repo, ref: RunRef, metric: str = "loss") -> list[int | None]:
    return [step for step, _, _ in succession.curve(repo, ref, metric)]


def test_a_curve_follows_on_where_the_resumed_run_took_over(repo: Repo) -> None:
    """What came after the checkpoint was done again: two values at one step would be a saw."""
    old = write(repo, 0, steps(0, 1, 2, 3, 4))
    new = write(repo, 1, steps(3, 4, 5), after=old)
    assert succession.curve(repo, new, "loss") == [
        (0, -3600.0, 0), (1, -3599.0, 1), (2, -3598.0, 2), (3, 0.0, 3), (4, 1.0, 4), (5, 2.0, 5),
    ]  # fmt: skip
    assert curve(repo, old) == [0, 1, 2, 3, 4]


def test_a_chain_of_resumed_runs_is_one_curve(repo: Repo) -> None:
    """A preempted training is resumed many times."""
    one = write(repo, 0, steps(0, 1, 2, 3))
    two = write(repo, 1, steps(2, 3, 4), after=one)
    three = write(repo, 2, steps(4, 5), after=two)
    assert curve(repo, three) == [0, 1, 2, 3, 4, 5]
    assert succession.curve(repo, three, "loss")[0] == (0, -7200.0, 0)


def test_one_that_went_further_back_than_its_own_beginning_counts(repo: Repo) -> None:
    """The third run began before the second: of that one nothing is left."""
    one = write(repo, 0, steps(0, 1, 2, 3))
    two = write(repo, 1, steps(2, 3), after=one)
    three = write(repo, 2, steps(1, 2), after=two)
    assert curve(repo, three) == [0, 1, 2]


def test_each_metric_has_a_first_step_of_its_own(repo: Repo) -> None:
    """Epochs and batches are counted apart."""
    old = write(repo, 0, [*steps(0, 100, 200), *steps(1, 2, name="epoch_loss")])
    new = write(repo, 1, [*steps(200, 300), *steps(2, 3, name="epoch_loss")], after=old)
    assert curve(repo, new) == [0, 100, 200, 300]
    assert curve(repo, new, "epoch_loss") == [1, 2, 3]


def test_points_without_steps_are_all_kept(repo: Repo) -> None:
    """Nobody can tell which of them were done again."""
    old = write(repo, 0, steps(None, None))
    new = write(repo, 1, steps(None, None), after=old)
    assert len(curve(repo, new)) == 4


def test_a_metric_that_only_the_run_before_logged_is_there(repo: Repo) -> None:
    """It is one training: what was measured once, at its beginning, belongs to it."""
    old = write(repo, 0, [*steps(0, 1), *steps(0, 0, name="size")])
    new = write(repo, 1, steps(1, 2), after=old)
    assert curve(repo, new, "size") == [0, 0]
    assert curve(repo, new, "other") == []


def test_what_was_sampled_of_the_machine_follows_on_too(repo: Repo) -> None:
    """Under `system/`; a metric of the user's own of that name comes first."""
    sampled = [Row(None, 10.0, {"cpu": 50.0})]
    old = write(repo, 0, steps(0), system=sampled)
    new = write(repo, 1, steps(1), after=old, system=sampled)
    assert succession.curve(repo, new, "system/cpu") == [
        (None, -3590.0, 50.0), (None, 10.0, 50.0),
    ]  # fmt: skip
    assert succession.names_of(repo, new) == ["loss", "system/cpu"]
    own = write(repo, 2, steps(7, 8, name="system/cpu"), system=sampled)
    assert curve(repo, own, "system/cpu") == [7, 8]


def test_an_input_that_was_not_resumed_gives_no_points(repo: Repo) -> None:
    """A model that was loaded is no training that goes on."""
    old = write(repo, 0, steps(0, 1))
    told = Input(old.short, commits.load(repo, old).id, old.commit, "model.bin")
    assert curve(repo, write(repo, 1, steps(5, 6), inputs=(told,))) == [5, 6]


def test_a_run_before_that_is_gone_ends_the_curve(repo: Repo, git: Any) -> None:
    """What is left is shown; a name that somebody else's run has now is not taken for it."""
    gone = Input("runs/default/first-heron-aaaaaa", f"{1:032x}", "1" * 40)
    new = write(repo, 1, steps(3, 4), inputs=(gone,), continues=f"{1:032x}")
    assert curve(repo, new) == [3, 4]
    write(repo, 0, steps(0, 1), tags={"other": "run"})
    assert curve(repo, new) == [0, 1, 3, 4]
    refs.delete(repo, [ref for ref in refs.all_runs(repo) if ref.name == NAMES[0]])
    other = Run(
        id="f" * 32, name=NAMES[0], experiment="default", status="finished", started=NOON,
        ended=NOON,
    )  # fmt: skip
    commits.write(repo, other, tree=repo.empty_tree(), author=ADA, rows=steps(0, 1))
    assert curve(repo, new) == [3, 4]


def test_runs_that_continue_each_other_come_to_an_end(repo: Repo) -> None:
    """No repository of ours has such a circle, but a fetched one may."""
    one = Input(f"runs/default/{NAMES[0]}", f"{1:032x}", "1" * 40)
    two = Input(f"runs/default/{NAMES[1]}", f"{2:032x}", "2" * 40)
    first = write(repo, 0, steps(0, 1), inputs=(two,), continues=two.id)
    write(repo, 1, steps(1, 2), inputs=(one,), continues=one.id)
    assert curve(repo, first) == [0, 1]
    itself = Input(f"runs/default/{NAMES[2]}", f"{3:032x}", "3" * 40)
    assert curve(repo, write(repo, 2, steps(5), inputs=(itself,), continues=itself.id)) == [5]


def test_values_that_are_no_finite_numbers_are_points(repo: Repo) -> None:
    """The place where it diverged is why it was resumed."""
    old = write(repo, 0, [Row(0, 0.0, {"loss": 1.0}), Row(1, 1.0, {"loss": math.nan})])
    new = write(repo, 1, steps(2, 3), after=old)
    assert curve(repo, new) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("metric", "known", "names", "said", "hint"),
    [
        ("los", ["loss", "acc"], ["a"], "a has no metric 'los'",
         "did you mean 'loss'? It has acc, loss."),
        ("x", [], ["a"], "a has no metric 'x'", "it has no metrics."),
        ("x", ["system/cpu"], ["a", "b"], "none of the 2 runs has a metric 'x'",
         "they have no metrics."),
        ("cpu", ["system/cpu", "f1"], ["a"], "a has no metric 'cpu'",
         "did you mean 'system/cpu'? It has f1."),
        ("system/cpus", ["system/cpu"], ["a"], "a has no metric 'system/cpus'",
         "did you mean 'system/cpu'? It has system/cpu."),
        ("system/cpu", ["f1"], ["a"], "a has no metric 'system/cpu'",
         "samples begin after 10 s, unless track.system is off."),
    ],
)  # fmt: skip
def test_a_metric_that_nobody_has_is_answered_with_what_there_is(
    metric: str, known: list[str], names: list[str], said: str, hint: str
) -> None:
    """The same sentence for the command and for Python."""
    error = succession.missing(metric, known, names)
    assert (error.message, error.hint, error.key) == (said, hint, metric)


def test_plot_gives_the_whole_curve(repo: Repo, track: Any) -> None:
    """And not the last day of a week of training."""
    write(repo, 1, steps(2, 3), after=write(repo, 0, steps(0, 1, 2)))
    done = track(repo.root, "plot", "loss", "latest", "--csv", check=0)
    points = [line.split(",")[1] for line in done.stdout.splitlines()[1:]]
    assert points == ["0", "1", "2", "3"]
