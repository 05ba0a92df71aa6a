"""Which params matter: ranks, levels, what few runs cannot tell; and what a forest adds."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gittrack import cells
from gittrack.effects import (
    Effect,
    chance,
    correlation,
    features,
    ranks,
    share,
    study,
    weighed,
)
from gittrack.importance import forest

NAN = math.nan
NUMBERS = st.one_of(
    st.integers(-5, 5), st.integers(), st.floats(allow_nan=False), st.sampled_from([0.5, 1e300])
)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=2), st.integers()),
)  # fmt: skip


def one(values: list[Any], target: list[Any], *, lowest: bool = False) -> Effect:
    """The effect of the only param."""
    (effect,) = study(target, {"p": values}, lowest=lowest).effects
    return effect


# -- against scipy, which comes with scikit-learn -------------------------------------------------


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40))
@settings(deadline=None)
def test_ranks_and_their_correlation_are_scipys(pairs: list[tuple[float, float]]) -> None:
    """Ties share the mean of their places; nobody should have to trust our own arithmetic."""
    from scipy import stats

    first, second = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    assert ranks(first) == stats.rankdata(first).tolist()
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert correlation(first, second) is None
        return
    expected = stats.spearmanr(ranks(first), ranks(second)).statistic
    assert correlation(first, second) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=5, max_size=60))
@settings(deadline=None)
def test_the_share_is_that_of_kruskal_and_wallis(pairs: list[tuple[int, int]]) -> None:
    """(H - k + 1) / (n - k), not below 0."""
    from scipy import stats

    groups = [group for group, _ in pairs]
    values = [float(value) for _, value in pairs]
    parts = [[v for g, v in zip(groups, values, strict=True) if g == one] for one in set(groups)]
    assume(1 < len(parts) < len(pairs) and len(set(values)) > 1)
    h = stats.kruskal(*parts).statistic
    expected = max(0.0, (h - len(parts) + 1) / (len(pairs) - len(parts)))
    assert share(ranks(values), groups) == pytest.approx(expected, abs=1e-9)


# -- kinds of params ------------------------------------------------------------------------------


def test_a_param_that_rises_with_the_target() -> None:
    """Each of few values is a level, and the best is the one with the best mean."""
    effect = one([1, 2, 3, 1, 2, 3], [1.0, 2.0, 3.0, 2.0, 3.0, 4.0])
    assert effect.kind == "number" and effect.values == 3 and effect.runs == 6
    assert effect.correlation == pytest.approx(0.8616, abs=1e-3)
    assert [(level.low, level.runs, level.mean) for level in effect.levels] == [
        (1, 2, 1.5), (2, 2, 2.5), (3, 2, 3.5),
    ]  # fmt: skip
    assert effect.levels[0].std == pytest.approx(math.sqrt(0.5))
    assert (effect.best.low, effect.best.best) == (3, 4.0)
    low = one([1, 2, 3, 1, 2, 3], [1.0, 2.0, 3.0, 2.0, 3.0, 4.0], lowest=True)
    assert (low.best.low, low.best.best) == (1, 1.0)


def test_one_lucky_run_is_not_the_best() -> None:
    """Where others have two runs, the mean of one says nothing; where none has, there is no choice.

    Runs without the param are a level like any other.
    """
    assert one([1, 1, 2, 2, 3], [1.0, 2.0, 3.0, 4.0, 9.0]).best.low == 2
    assert one([1, 1, 2, 2, None], [1.0, 2.0, 3.0, 4.0, 9.0]).best.low == 2
    assert one([1, 1, 2, None, None], [1.0, 2.0, 3.0, 4.0, 9.0]).best.kind == "absent"
    assert one([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0]).best.low == 4


def test_a_valley_is_seen_where_the_correlation_is_blind() -> None:
    """Most learning rates are best in the middle."""
    rates = [10.0 ** (-n / 10) for n in range(60)]
    effect = one(rates, [-abs(math.log10(rate) + 3) for rate in rates])
    assert effect.correlation is not None and abs(effect.correlation) < 0.1
    assert effect.share is not None and effect.share > 0.8
    assert effect.best.low < 1e-3 < effect.best.high


def test_many_numbers_become_ranges_of_as_many_runs() -> None:
    """And a frequent value does not stand in two of them."""
    values = [*range(80), *[40] * 40]
    levels = one(values, [float(n) for n in range(120)]).levels
    assert [level.kind for level in levels].count("range") >= 4
    assert sum(level.runs for level in levels) == 120
    edges = [(level.low, level.high if level.kind == "range" else level.low) for level in levels]
    assert all(a[1] < b[0] for a, b in pairwise(edges))


def test_texts_are_categories_and_the_rarest_are_taken_together() -> None:
    """Twelve rows can be read."""
    values = [f"m{n}" for n in range(20)] * 2 + ["often"] * 10
    levels = one(values, [float(n % 7) for n in range(50)]).levels
    assert levels[0].low == "often" and levels[0].runs == 10
    assert levels[-1].kind == "others" and levels[-1].low == 10 and levels[-1].runs == 20
    assert len(levels) == 12


@pytest.mark.parametrize(
    ("values", "kind", "named"),
    [
        ([True, False, True, False], "category", ("True", "False")),
        ([1, True, 1, True], "category", ("1", "True")),
        ([1, "1", 1, "1"], "category", ("1", "'1'")),
        ([0.1, "auto", 0.1, 0.2], "category", ("0.1", "'auto'", "0.2")),
        ([1, 1.0, 2, 2], "number", ("1", "2")),
        ([None, 0.1, None, 0.1], "category", ("None", "0.1")),
        ([None, 0.1, 0.2, 0.1], "number", ("None", "0.1", "0.2")),
        ([[1], [2], [1], [2]], "category", ("[1]", "[2]")),
        ([{"a": 1}, {"a": 2}, {"a": 1}, None], "category", ("{'a': 1}", "{'a': 2}", "None")),
        ([math.inf, 1.0, -math.inf, 1], "number", ("inf", "1.0", "-inf")),
    ],
)
def test_values_of_any_type_are_compared(
    values: list[Any], kind: str, named: tuple[str, ...]
) -> None:
    """A param that is now a number and now a text is no reason to stop."""
    effect = one(values, [1.0, 2.0, 3.0, 4.0])
    assert effect.kind == kind
    assert {repr(level.low) for level in effect.levels} == set(named)


def test_nan_as_a_value_is_a_level_of_its_own() -> None:
    """It has no rank, so the correlation leaves it out."""
    effect = one([NAN, 1.0, 2.0, NAN, 3.0, 4.0], [9.0, 1.0, 2.0, 9.0, 3.0, 4.0])
    assert effect.correlation == 1.0
    assert [(level.runs, level.mean) for level in effect.levels if level.low != level.low] == [
        (2, 9.0)
    ]


def test_a_param_that_some_runs_lack_is_compared_with_its_absence() -> None:
    """Whether dropout was set at all may be what matters."""
    effect = one([None, None, 0.5, 0.5, None], [1.0, 1.0, 2.0, 2.0, 1.0])
    assert [(level.kind, level.runs) for level in effect.levels] == [("value", 2), ("absent", 3)]
    assert effect.runs == 2 and effect.values == 1 and effect.share == pytest.approx(1.0)


# -- what cannot be told --------------------------------------------------------------------------


def test_runs_without_a_target_do_not_count() -> None:
    """Nor do those whose target is NaN, a text or a truth value; an infinite one does."""
    made = study([1.0, NAN, None, "2", True, math.inf], {"p": [1, 2, 3, 4, 5, 6]})
    assert (made.runs, made.without) == (2, 4)
    assert [level.runs for level in made.effects[0].levels] == [1, 1]


def test_infinite_targets_have_ranks_but_no_deviation() -> None:
    """A run that diverged is the worst, not an error."""
    effect = one(["a", "a", "b", "b"], [math.inf, 1.0, 0.5, 0.7], lowest=True)
    assert effect.best.low == "b"
    assert (effect.levels[0].mean, effect.levels[0].std) == (math.inf, None)
    both = one(["a", "a", "b", "b"], [math.inf, -math.inf, 0.5, 0.7])
    assert math.isnan(both.levels[0].mean) and both.best.low == "b"


def test_huge_targets_are_summed_without_overflow() -> None:
    """The largest floats, and integers beyond them."""
    effect = one(["a", "a", "b", "b"], [1.7e308, 1.7e308, 10**400, 1.0])
    assert effect.levels[0].mean == pytest.approx(1.7e308)
    assert effect.levels[1].mean == math.inf


def test_params_that_do_not_vary_or_name_each_run_are_left_out_and_said() -> None:
    """A log directory explains every result perfectly, and nothing."""
    made = study(
        [1.0, 2.0, 3.0, 4.0],
        {"same": [1, 1, 1, 1], "dir": ["a", "b", "c", "d"], "never": [None] * 4,
         "seed": [1, 2, 3, 4]},
    )  # fmt: skip
    assert made.constant == ("same",) and made.labels == ("dir",)
    assert [effect.param for effect in made.effects] == ["seed"]


def test_params_that_change_together_are_said() -> None:
    """Their effects are one effect."""
    made = study(
        [1.0, 2.0, 3.0, 4.0],
        {"opt": ["a", "b", "a", "b"], "momentum": [0, 0.9, 0, 0.9], "lr": [1, 1, 2, 2]},
    )
    assert made.together == (("opt", "momentum"),)


def test_a_constant_target_is_seen() -> None:
    """No param can matter then, and nothing is divided by zero."""
    made = study([0.5] * 5, {"p": [1, 2, 3, 4, 5]})
    assert not made.varies
    assert made.effects[0].correlation is None and made.effects[0].share is None


def test_of_fewer_runs_less_is_told() -> None:
    """With four runs nothing is beyond chance, with a hundred a weak correlation is."""
    assert [round(chance(n), 2) for n in (1, 4, 5, 101)] == [1.0, 1.0, 1.0, 0.2]


@given(
    st.lists(st.tuples(st.one_of(NUMBERS, st.just(NAN), st.none()), VALUES, VALUES), max_size=30),
    st.booleans(),
)
@settings(deadline=None, max_examples=200)
def test_whatever_is_compared_adds_up(rows: list[tuple[Any, Any, Any]], lowest: bool) -> None:
    """No value stops it; every run is in one level of each param; numbers are in their bounds."""
    made = study(
        [row[0] for row in rows], {"a": [r[1] for r in rows], "b": [r[2] for r in rows]},
        lowest=lowest,
    )  # fmt: skip
    assert made.runs + made.without == len(rows)
    for effect in made.effects:
        assert sum(level.runs for level in effect.levels) == made.runs
        assert effect.best in effect.levels or math.isnan(effect.best.mean)
        assert effect.correlation is None or -1 <= effect.correlation <= 1
        assert effect.share is None or 0 <= effect.share <= 1
        assert 0 <= effect.strength <= 1
    strengths = [effect.strength for effect in made.effects]
    assert strengths == sorted(strengths, reverse=True)
    json.dumps(cells.jsonable([effect._asdict() for effect in made.effects]))


# -- the forest, and real data --------------------------------------------------------------------


def _diabetes(count: int = 442) -> tuple[list[float], dict[str, list[Any]]]:
    """scikit-learn's own: ten measures of patients, and how their diabetes went on."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    columns = {
        name: data.data[:count, place].tolist() for place, name in enumerate(data.feature_names)
    }
    columns["sex"] = ["one" if value > 0 else "other" for value in columns["sex"]]
    return data.target[:count].tolist(), columns


def test_on_real_data_the_known_answer_comes_out() -> None:
    """Body mass and a blood lipid (s5) lead, as is well known; sex does not."""
    target, columns = _diabetes()
    made = study(target, columns)
    assert {effect.param for effect in made.effects[:2]} == {"bmi", "s5"}
    by_name = {effect.param: effect for effect in made.effects}
    assert by_name["bmi"].correlation == pytest.approx(0.561, abs=0.005)
    assert by_name["s3"].correlation is not None and by_name["s3"].correlation < -0.3
    assert by_name["sex"].kind == "category" and (by_name["sex"].share or 0) < 0.02
    found = forest(target, columns)
    again = weighed(made, found.importances)
    assert {effect.param for effect in again.effects[:2]} == {"bmi", "s5"}
    assert found.importances["bmi"] > 3 * found.chance > found.importances["sex"]


def test_the_forest_is_the_same_each_time_and_adds_up() -> None:
    """A fixed seed; what chance took of importance is missing from the sum."""
    target, columns = _diabetes(120)
    one_time, other = forest(target, columns), forest(target, columns)
    assert one_time == other
    assert 1 - 3 * one_time.chance <= sum(one_time.importances.values()) + 1e-9 < 1


def test_a_forest_says_how_far_it_is() -> None:
    """It takes a second or more, and nobody likes a terminal that stands still."""

    class Told:
        def __init__(self) -> None:
            self.said: list[Any] = []

        def start(self, what: str, total: int | None, unit: str = "B") -> None:
            self.said += [total]

        def advance(self, count: int) -> None:
            self.said += [count]

        def end(self) -> None:
            self.said += ["end"]

    meter = Told()
    forest([1.0, 2.0, 3.0, 4.0], {"p": [1, 2, 3, 4]}, meter=meter)
    assert meter.said[0] == sum(meter.said[1:-1]) and len(meter.said) > 5
    assert meter.said[-1] == "end"


def test_a_forest_takes_any_values() -> None:
    """Missing ones, texts, infinities, integers that no float can hold."""
    values: dict[str, list[Any]] = {
        "odd": [None, "a", 1, True, [1], NAN] * 3,
        "wide": [10**400, -(10**400), math.inf, 0.0, None, NAN] * 3,
    }
    found = forest([10**400, -math.inf, 1.0, 2.0, 3.0, 4.0] * 3, values)
    assert set(found.importances) == {"odd", "wide"}
    assert all(0 <= value <= 1 for value in found.importances.values())


def test_features_tell_what_is_absent() -> None:
    """A tree can ask for it."""
    assert features([3, None, 1, 2]) == [[3.0, 0.0, 1.0, 2.0], [1.0, 0.0, 1.0, 1.0]]
    assert features([2, 1]) == [[2.0, 1.0]]
    assert sorted(features(["a", "b", "a"])) == [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]


def test_ten_thousand_runs_are_compared_in_two_seconds() -> None:
    """Twenty params; without the forest, which looks at a thousand of the runs."""
    source = random.Random(1)
    count = 10_000
    columns: dict[str, list[Any]] = {
        f"p{n}": [source.random() if n % 2 else source.choice("abc") for _ in range(count)]
        for n in range(20)
    }
    target = [source.random() for _ in range(count)]
    start = time.process_time()
    study(target, columns)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("module", ["effects", "ranking", "importance", "panels", "pictures"])
def test_heavy_libraries_wait_until_they_are_asked(module: str) -> None:
    """scikit-learn takes a second to load, matplotlib half of one."""
    code = (
        f"import sys, gittrack.{module}; "
        "print([m for m in ('sklearn', 'numpy', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path.cwd()
    )
    assert done.stdout == "[]\n"
