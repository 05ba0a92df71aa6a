"""What differs between runs."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import pytest

from gittrack.difference import Line, Source, compare
from gittrack.records import Artifact, Data, Environment, Input, Run

NAN = math.nan


def run(name: str = "a", **more: Any) -> Run:
    started = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return Run(id="0" * 32, name=name, experiment="e", status="finished", started=started, **more)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (0.1, 0.1, True),
        (NAN, NAN, True),
        (NAN, 1.0, False),
        (math.inf, math.inf, True),
        (True, 1, False),
        (False, False, True),
        ("1", 1, False),
        (None, None, True),
        (None, "null", False),
        ([1, NAN], [1, NAN], True),
        ([1], [1, 2], False),
        ([True], [1], False),
        ({"a": 1}, {"a": 1}, True),
        pytest.param(10**400, 1.5, False, id="beyond-a-float"),
    ],
)
def test_what_counts_as_the_same_value(one: Any, other: Any, same: bool) -> None:
    """A difference that is none hides those that are."""
    part = compare([run(params={"k": one}), run("b", params={"k": other})]).part("params")
    assert (part.lines == ()) is same
    assert part.same == same


@pytest.mark.parametrize(
    ("one", "other", "delta"),
    [
        (1, 3, 2),
        (0.5, 0.25, -0.25),
        (1, "x", None),
        (True, 2, None),
        (NAN, 1.0, None),
        (1.0, math.inf, None),
        (None, 1, None),
    ],
)
def test_delta_is_second_less_first(one: Any, other: Any, delta: Any) -> None:
    """The sign tells the direction; whether it is better, the reader knows."""
    (line,) = compare([run(params={"k": one}), run("b", params={"k": other})]).part("params").lines
    assert line.delta == delta


def test_a_key_that_one_run_lacks_is_a_difference() -> None:
    """Absent is not null: the line has no value for that run."""
    part = compare([run(metrics={"f1": 1.0}), run("b")]).part("metrics")
    assert part.lines == (Line("f1", {"a": 1.0}, None),)


def test_as_text_it_is_a_table() -> None:
    """`print(gittrack.diff(a, b))` is what everybody types first."""
    packages = {f"p{n}": "1" for n in range(20)}
    params = {"lr": 0.2, "opt": "adam\n"}
    environment = Environment(packages=packages)
    bold = run("bold", params=params, metrics={"f1": 1 / 3}, environment=environment)
    compared = compare([run("calm", params={"lr": 0.1}), bold])
    assert str(compared).splitlines() == [
        "                       calm     bold",
        "params",
        "  lr                    0.1      0.2   +0.1",
        "  opt                     ·   adam\\n",
        "metrics",
        "  f1                      ·   0.3333",
        "packages, 20 of them",
    ]
    assert "nothing differs" in str(compare([run("calm"), run("bold")]))


def test_three_runs_have_no_delta() -> None:
    """A delta is between two."""
    compared = compare([run(n, params={"k": i}) for i, n in enumerate("abc")])
    assert compared.part("params").lines == (Line("k", {"a": 0, "b": 1, "c": 2}, None),)
    assert compared.runs == ("a", "b", "c")


def test_runs_of_one_name_are_told_apart() -> None:
    """Two experiments may each have a `baseline`; neither value may hide the other."""
    started = run().started
    one, two = (
        Run(id=i * 32, name="a", experiment=e, status="finished", started=started, params={"k": k})
        for i, e, k in (("1", "x", 1), ("2", "y", 2))
    )
    compared = compare([one, two])
    assert compared.runs == ("x/a", "y/a")
    assert compared.part("params").lines == (Line("k", {"x/a": 1, "y/a": 2}, 1),)


def test_a_run_is_the_same_as_itself() -> None:
    """`--exit-code` depends on it."""
    whole = run(
        data=(Data("d", "1" * 32, 5, changed=True),), artifacts=(Artifact("m", "2" * 32, 5),),
        params={"x": NAN}, metrics={"m": NAN}, tags={"t": "1"}, command=("true",),
        inputs=(Input("r", "1" * 32, "2" * 40),), environment=Environment(packages={"p": "1"}),
    )  # fmt: skip
    assert compare([whole, whole]).empty


@pytest.mark.parametrize(
    ("more", "part", "key"),
    [
        ({"status": "failed"}, "outcome", "status"),
        ({"exit_code": 3}, "outcome", "exit code"),
        ({"command": ("b",)}, "outcome", "command"),
        ({"tags": {"t": "1"}}, "tags", "t"),
        ({"inputs": (Input("r", "1" * 32, "2" * 40, "m.bin"),)}, "inputs", "m.bin"),
        ({"data": (Data("d.csv", "1" * 32, 5),)}, "data", "d.csv"),
        ({"artifacts": (Artifact("m.bin", "1" * 32, 5),)}, "artifacts", "m.bin"),
        ({"environment": Environment(python="3.12.0")}, "environment", "python"),
        ({"environment": Environment(packages={"numpy": "2"})}, "packages", "numpy"),
        ({"environment": Environment(variables={"SEED": "2"})}, "environment", "$SEED"),
        ({"environment": Environment(lock_files={"uv.lock": "ab"})}, "environment", "uv.lock"),
    ],
)
def test_each_part_is_compared(more: dict[str, Any], part: str, key: str) -> None:
    """What is not compared seems to be the same."""
    given = {"status": "finished"} | more
    other = Run(id="1" * 32, name="b", experiment="e", started=run().started, **given)
    compared = compare([run(), other])
    assert [line.key for line in compared.part(part).lines] == [key]
    assert not compared.empty


ONE, TWO = "1" * 32, "2" * 32


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Data("d", ONE, 5), Data("d", ONE, 5), True),
        (Data("d", ONE, 5), Data("d", TWO, 5), False),
        (Data("d", ONE, 5), Data("d", ONE + ".dir", 5, 2), False),
        (Data("d", ONE, 5, pointer="d.dvc", modified=True), Data("d", ONE, 5), True),
        (Data("d", ONE, 5, changed=True), Data("d", ONE, 5), False),
        (Data("d", ONE, 5), Data("e", ONE, 5), False),
    ],
)
def test_data_is_the_same_where_its_content_is(one: Data, other: Data, same: bool) -> None:
    """How it was tracked does not change a score; that it changed under the run may."""
    part = compare([run(data=(one,)), run("b", data=(other,))]).part("data")
    assert (part.lines == ()) is same


def test_a_path_of_data_has_what_stood_there() -> None:
    """The hash in full, for programs; `changed` only where there is something to say."""
    read = (Data("d", ONE, 5, nfiles=None, pointer="d.dvc"), Data("e", TWO, 6, changed=True))
    compared = compare([run(data=read), run("b", artifacts=(Artifact("d", ONE, 5),))])
    assert compared.part("data").lines == (
        Line("d", {"a": {"md5": ONE, "size": 5}}, None),
        Line("e", {"a": {"md5": TWO, "size": 6, "changed": True}}, None),
    )
    assert compared.part("artifacts").lines == (Line("d", {"b": {"md5": ONE, "size": 5}}, None),)


def test_inputs_are_compared_by_id_and_called_by_name() -> None:
    """Who reads it knows runs by their names; a run that has moved is the same run."""
    one = (
        Input("runs/e/load-a", ONE, "a" * 40, "m.csv"),
        Input("runs/e/hand-a", ONE, "a" * 40),
        Input("runs/e/moved-a", ONE, "a" * 40, "same.csv"),
    )
    other = (
        Input("runs/e/load-b", TWO, "b" * 40, "m.csv"),
        Input("runs/e/load-a", ONE, "a" * 40, "m.csv"),
        Input("runs/f/moved-b", ONE, "b" * 40, "same.csv"),
    )
    part = compare([run(inputs=one), run("b", inputs=other)]).part("inputs")
    assert part.same == 1
    assert part.lines == (
        Line("hand-a", {"a": (Source("hand-a", ONE),)}, None),
        Line(
            "m.csv",
            {"a": (Source("load-a", ONE),), "b": (Source("load-a", ONE), Source("load-b", TWO))},
            None,
        ),
    )
    assert [source.run for source in part.lines[1].values["b"]] == ["load-a", "load-b"]
