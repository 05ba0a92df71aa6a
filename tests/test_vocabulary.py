"""The names that runs know: what a bare name means, what fits a pattern, what is near."""

from __future__ import annotations

import pytest

from gittrack.errors import UnknownKey
from gittrack.vocabulary import ATTRIBUTES, Count, Vocabulary, of_summaries
from summaries import run

KNOWN = Vocabulary(
    {
        "params": {"lr": Count(numbers=3), "a.b": Count(texts=1), "acc": Count(numbers=1)},
        "metrics": {"acc": Count(numbers=2), "val loss": Count(numbers=2), "loss": Count(1)},
        "tags": {"team": Count(texts=2), "name": Count(texts=1)},
    }
)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("lr", "params.lr"),
        ("a.b", "params.a.b"),
        ("params.a.b", "params.a.b"),
        ("metrics.acc", "metrics.acc"),
        ("val loss", "metrics.val loss"),
        ("team", "tags.team"),
        ("name", "name"),
        ("tags.name", "tags.name"),
        ("age", "started"),
        ("time", "duration"),
    ],
)
def test_a_name_means_one_key(name: str, full: str) -> None:
    """What is bare is looked for among attributes first, which are the same in every repository."""
    assert KNOWN.resolve(name) == full


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("acc", "'acc' is ambiguous: params.acc and metrics.acc", "write one in full."),
        ("los", "no param, metric, tag or attribute named 'los'", "'metrics.loss' (metric, 1 run)"),
        ("metrics.lss", "no param, metric, tag or attribute named 'metrics.lss'", "metrics.loss"),
        ("statsu", "no param, metric, tag or attribute named 'statsu'", "'status'?"),
        ("lrr", "no param, metric, tag or attribute named 'lrr'", "'params.lr'"),
        ("zzz", "no param, metric, tag or attribute named 'zzz'", "--all-columns"),
        ("params.", "no param, metric, tag or attribute named 'params.'", ""),
        ("", "no param, metric, tag or attribute named ''", ""),
    ],
)
def test_what_means_nothing_is_an_error_with_the_nearest(
    name: str, message: str, hint: str
) -> None:
    """An unknown name must not become an empty table."""
    with pytest.raises(UnknownKey) as raised:
        KNOWN.resolve(name)
    assert raised.value.message == message
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("metrics.*", ["metrics.acc", "metrics.loss", "metrics.val loss"]),
        ("*loss*", ["metrics.loss", "metrics.val loss"]),
        ("params.a*", ["params.a.b", "params.acc"]),
        ("start*", ["started"]),
        ("[lr]*", ["params.lr", "metrics.loss"]),
        ("nothing*", []),
        pytest.param("[x" * 15_000, [], id="long"),
    ],
)
def test_patterns_fit_keys_with_and_without_their_group(pattern: str, keys: list[str]) -> None:
    """Like a shell's, because that is what people know."""
    assert KNOWN.match(pattern) == keys


def test_a_star_is_everything() -> None:
    """Attributes come first, in the order of a full table."""
    assert KNOWN.match("*")[: len(ATTRIBUTES)] == list(ATTRIBUTES)


def test_runs_say_how_many_values_of_which_type_they_have() -> None:
    """A comparison that no value can meet is an error, and this is where it is seen."""
    runs = [
        run(params={"a": 1, "b": True}, metrics={"m": 0.5}, tags={"t": "x"}),
        run(params={"a": "one", "b": None, "c": [1]}, metrics={"m": float("nan")}),
    ]
    known = of_summaries(runs)
    assert known.count("params.a") == Count(numbers=1, texts=1)
    assert known.count("params.b") == Count(booleans=1, others=1)
    assert known.count("params.c") == Count(others=1)
    assert known.count("metrics.m") == Count(numbers=2) and known.count("metrics.m").total == 2
    assert known.count("tags.t") == Count(texts=1)
    assert known.count("params.zzz").total == 0 and known.count("status").total == 0
    assert known.keys("params") == ["a", "b", "c"]


def test_a_short_name_gets_the_suggestion_that_it_gets_in_full() -> None:
    """Of three letters one that is right has to do, as `metrics.` before them makes them alike."""
    known = Vocabulary({"metrics": {"acc": Count(1), "f1": Count(1)}})
    for name in ("akk", "metrics.akk"):
        with pytest.raises(UnknownKey) as raised:
            known.resolve(name)
        assert raised.value.hint == "did you mean 'metrics.acc' (metric, 1 run)?"
    with pytest.raises(UnknownKey) as raised:
        known.resolve("zzz")
    assert "did you mean" not in (raised.value.hint or "")
