"""Config and summary: what is read is what was said, and what is said is told once."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack import keys
from gittrack.errors import BadValue, NoActiveRun
from gittrack.views import Config, Summary, settings


@dataclass
class Options:
    lr: float = 0.1
    opt: dict[str, Any] = field(default_factory=lambda: {"name": "adam"})


class Model:
    def model_dump(self) -> dict[str, Any]:
        return {"lr": 0.1}


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def config(told: list[Any]) -> Config:
    tree = {"lr": 0.1, "opt": {"name": "adam", "deep": {"beta": 0.9}}}
    return Config(lambda: tree, lambda values, allow: told.append((values, allow)))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"a": 1}, {"a": 1}),
        (argparse.Namespace(a=1, b="x"), {"a": 1, "b": "x"}),
        (SimpleNamespace(a=1, _hidden=2), {"a": 1}),
        (Options(), {"lr": 0.1, "opt": {"name": "adam"}}),
        (Model(), {"lr": 0.1}),
    ],
)
def test_what_holds_settings(given: Any, found: dict[str, Any]) -> None:
    """What people parse their command line into."""
    assert settings(given) == found


@pytest.mark.parametrize("given", [1, "text", [1], None, Options, len])
def test_what_holds_none(given: Any) -> None:
    """A list of settings has no names to record them under."""
    with pytest.raises(BadValue):
        settings(given)


def test_read_by_item_and_attribute(config: Config) -> None:
    """Nested settings are views of their own; what is not there is said as Python says it."""
    assert config.lr == config["lr"] == 0.1
    assert config.opt.deep.beta == config["opt"]["deep"]["beta"] == 0.9
    assert list(config) == ["lr", "opt"] and len(config) == 2 and "lr" in config
    assert config.get("x", 3) == 3 and dict(config.opt.deep) == {"beta": 0.9}
    assert repr(config) == repr(config.as_dict())
    with pytest.raises(KeyError):
        config["x"]
    with pytest.raises(AttributeError, match="there is no 'x'"):
        _ = config.x
    assert not hasattr(config, "__array__")


def test_set_by_item_and_attribute(config: Config, told: list[Any]) -> None:
    """Each way is told with its whole path, as nested as it is."""
    config.lr = 0.2
    config["new"] = {"a": 1}
    config.opt.name = "sgd"
    config.opt["deep"].update({"gamma": 1}, allow_val_change=True)
    config.update(Options(lr=0.5), epochs=3)
    config.setdefaults({"lr": 9, "seed": 1})
    assert told == [
        ({"lr": 0.2}, False),
        ({"new": {"a": 1}}, False),
        ({"opt": {"name": "sgd"}}, False),
        ({"opt": {"deep": {"gamma": 1}}}, True),
        ({"lr": 0.5, "opt": {"name": "adam"}, "epochs": 3}, False),
        ({"seed": 1}, False),
    ]
    assert config.as_dict() == {
        "lr": 0.5, "opt": {"name": "adam", "deep": {"beta": 0.9, "gamma": 1}}, "new": {"a": 1},
        "epochs": 3, "seed": 1,
    }  # fmt: skip
    with pytest.raises(TypeError):
        del config["lr"]


def test_a_copy_is_nobodys_but_the_takers(config: Config, told: list[Any]) -> None:
    """Who changes a dict that was given, or got, changes no record behind its back."""
    mine = {"a": {"b": 1}}
    config.update(mine)
    mine["a"]["b"] = 2
    config.as_dict()["lr"] = 7
    assert config.a.b == 1 and config.lr == 0.1
    assert told == [({"a": {"b": 1}}, False)]


def test_without_a_run_an_attribute_says_so() -> None:
    """`gittrack.config.lr` before there is a run; and a debugger may look at it all the same."""

    def none() -> Any:
        raise NoActiveRun("no run is active")

    config = Config(none, none)
    with pytest.raises(AttributeError, match="no run is active"):
        _ = config.lr
    with pytest.raises(NoActiveRun):
        config["lr"] = 1
    assert not hasattr(config, "_repr_html_")


NESTED = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.text(min_size=1), inner), max_leaves=8
)


@given(st.dictionaries(st.text(min_size=1), NESTED))
def test_what_is_set_is_what_is_there(values: dict[str, Any]) -> None:
    """Whatever the keys are called; what is told is the same."""
    tree: dict[str, Any] = {}
    said: list[Any] = []
    config = Config(lambda: tree, lambda given, allow: said.append(given))
    config.update(values)
    assert config.as_dict() == values
    assert said == ([values] if values else [])
    try:
        flat = keys.flatten(values)
    except Exception:
        return
    assert keys.flatten(config.as_dict()) == flat


def test_a_summary_tells_what_is_set() -> None:
    """And shows what its run has."""
    values: dict[str, Any] = {"acc": 0.5}
    said: list[Any] = []
    summary = Summary(lambda: values, said.append)
    assert summary.acc == summary["acc"] == 0.5 and dict(summary) == values and len(summary) == 1
    summary.best = 0.9
    summary["worst"] = 0.1
    summary.update({"a": 1}, b=2)
    assert said == [{"best": 0.9}, {"worst": 0.1}, {"a": 1, "b": 2}]
    assert repr(summary) == repr(values)
