"""What a query means for these runs: keys, types, times, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import binding, language, vocabulary
from gittrack.binding import uses
from gittrack.conditions import (
    Absolute,
    All,
    Among,
    Compare,
    Curve,
    Field,
    Holds,
    In,
    Like,
    Match,
    Minus,
    Missing,
    Not,
    Spelled,
    Sum,
    Value,
)
from gittrack.errors import GitFailed, QueryError, RunNotFound
from questions import Known, bound, find, refusal
from summaries import run

RUNS = [
    run("a", params={"lr": 0.1, "opt": "adam", "amp": True, "mix": 1, "both": 1, "l": [1]},
        metrics={"acc": 0.9, "train/loss": 0.1, "both": 2, "val loss": 3}, tags={"t": "x",
        "n.m": "1"}),
    run("b", params={"lr": 1, "opt": "sgd", "amp": False, "mix": "one", "learning-rate": 3,
                     "run.lr": 5, "name": "x", "$(rm -rf /)\n'\"": 1},
        title="best", metrics={"a": 1, "b": 2, "a-b": 3}),
]  # fmt: skip
ACC, LR, OPT = (
    Field("metrics.acc", "number"),
    Field("params.lr", "mixed"),
    Field("params.opt", "mixed"),
)
SECOND = 1_000_000
FEBRUARY = 1769904000 * SECOND


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("", All(())),
        ("acc > 0.9", Compare(">", ACC, Value(0.9))),
        ("1 < acc", Compare(">", ACC, Value(1))),
        ("lr < -1", Compare("<", LR, Value(-1))),
        ("acc < lr", Compare("<", ACC, LR)),
        ("opt != 'adam'", Compare("!=", OPT, Value("adam"))),
        ("opt < 'b'", Compare("<", OPT, Value("b"))),
        ("lr = '1'", Compare("=", Spelled(LR), Value("1"))),
        ("opt in ('a', 'b')", In(OPT, ("a", "b"))),
        ("opt not in ('a')", Not(In(OPT, ("a",)))),
        ("mix like '1%'", Like(Spelled(Field("params.mix", "mixed")), "1%", False)),
        ("opt ilike 'A%'", Like(OPT, "A%", True)),
        ("opt =~ 'a|b'", Match(OPT, "a|b")),
        ("opt is not null", Not(Missing(OPT))),
        ("dirty", Holds("dirty")),
        ("amp", Holds("params.amp")),
        ("params.amp = true", Compare("=", Field("params.amp", "mixed"), Value(True))),
        ("dirty != false", Compare("!=", Field("dirty", "boolean"), Value(False))),
        ("status = 'FINISHED'", Compare("=", Field("status", "text"), Value("finished"))),
        ("status like 'FIN%'", Like(Field("status", "text"), "FIN%", True)),
        ("age > '2026-02-01'", Compare(">", Field("started", "time"), Value(FEBRUARY))),
        ("time < '2m'", Compare("<", Field("duration", "number"), Value(120.0))),
        ("start_time > 1769904000000",
         Compare(">=", Field("started", "time"), Value(FEBRUARY + 1000))),
        ("start_time <= 1.5", Compare("<", Field("started", "time"), Value(2000))),
        ("start_time < 1.5", Compare("<", Field("started", "time"), Value(2000))),
        ("created > '2026-02-01'", Compare(">", Field("started", "time"), Value(FEBRUARY))),
        ("base = '3d02a6c'", Like(Field("base", "text"), "3d02a6c%", False)),
        ("base = '3D02A6C'", Like(Field("base", "text"), "3d02a6c%", False)),
        pytest.param(
            f"commit = '{'AB' * 20}'",
            Compare("=", Field("commit", "text"), Value("ab" * 20)),
            id="a whole hash",
        ),
        ("max(acc) > 0", Compare(">", Curve("max", "acc"), Value(0))),
        ("last('val loss') > 0", Compare(">", Curve("last", "val loss"), Value(0))),
        ("min(both) > 0", Compare(">", Curve("min", "both"), Value(0))),
        ("max(train/loss) > 0", Compare(">", Curve("max", "train/loss"), Value(0))),
        ("max(metrics.train/loss) > 0", Compare(">", Curve("max", "train/loss"), Value(0))),
        ("abs(-lr) > 0", Compare(">", Absolute(Minus(LR)), Value(0))),
        ("acc - lr > 0", Compare(">", Sum("-", ACC, LR), Value(0))),
        ("train/loss > 0", Compare(">", Field("metrics.train/loss", "number"), Value(0))),
        ("learning-rate > 0", Compare(">", Field("params.learning-rate", "mixed"), Value(0))),
        ("param.learning-rate > 0", Compare(">", Field("params.learning-rate", "mixed"), Value(0))),
        ("a-b > 0", Compare(">", Field("metrics.a-b", "number"), Value(0))),
        ("a - b > 0",
         Compare(">", Sum("-", Field("metrics.a", "number"), Field("metrics.b", "number")),
         Value(0))),
        ("a/b > 0",
         Compare(">", Sum("/", Field("metrics.a", "number"), Field("metrics.b", "number")),
         Value(0))),
        ("run.lr > 0", Compare(">", Field("params.run.lr", "mixed"), Value(0))),
        ("tags.n.m = '1'", Compare("=", Field("tags.n.m", "text"), Value("1"))),
        ("name = 'x'", Compare("=", Field("name", "text"), Value("x"))),
        ("params.name = 'x'", Compare("=", Field("params.name", "mixed"), Value("x"))),
        ("run_id = 'x'", Compare("=", Field("id", "text"), Value("x"))),
        ("opt = 'x'' or 1=1 --'", Compare("=", OPT, Value("x' or 1=1 --"))),
        ("`$(rm -rf /)\n'\"` = 1",
         Compare("=", Field("params.$(rm -rf /)\n'\"", "mixed"), Value(1))),
        ("lr in ('0.1', '1')", In(Spelled(LR), ("0.1", "1"))),
    ],
)  # fmt: skip
def test_a_query_means(query: str, meant: Any) -> None:
    """Full keys, types, and values of those types."""
    assert bound(query, RUNS) == meant


def test_a_list_of_numbers_and_texts_is_both() -> None:
    """A param may be either, from run to run."""
    assert find("mix in ('one', 5, 1)", RUNS) == ["a", "b"]
    assert find("lr in ('0.1', 1)", RUNS) == ["a", "b"]
    assert find("lr in ('0.1', 2)", RUNS) == ["a"]


@pytest.mark.parametrize(
    ("query", "message", "place", "hint"),
    [
        ("ac > 1", "no param, metric, tag or attribute named 'ac'", "ac", "did you mean"),
        ("metrics.opt > 1", "no param, metric, tag or attribute named 'metrics.opt'",
         "metrics.opt", ""),
        ("both > 1", "'both' is ambiguous: params.both and metrics.both", "both", "in full"),
        ("attributes.foo = 1", "runs have no attribute 'foo'", "attributes.foo", "there are name"),
        ("attr.statuss = 'x'", "runs have no attribute 'statuss'", "attr.statuss", "'status'"),
        ("train/los > 1", "no param, metric, tag or attribute named 'train/los'", "train/los",
         "'metrics.train/loss'"),
        ("acc = adam", "no param, metric, tag or attribute named 'adam'", "adam", ""),
        ("opt = adam", "no param, metric, tag or attribute named 'adam'", "adam", "quotes: 'adam'"),
        ("opt > 3", "no run has a number in 'opt', which holds texts", "opt > 3", "quotes"),
        ("lr < 'b'", "no run has a text in 'lr', which holds numbers", "lr < 'b'", "no quotes"),
        ("lr = 'adam'", "no run has a text in 'lr', which holds numbers", "lr = 'adam'", ""),
        ("amp = 1", "no run has a number in 'amp', which holds truth values", "amp = 1", "true"),
        ("l = 1", "no run has a number in 'l', which holds lists", "l = 1", "is not null"),
        ("acc > '1'", "'acc' is a number, '1' a text", "acc > '1'", "no quotes"),
        ("tags.t = 1", "'tags.t' is a text, 1 a number", "tags.t = 1", "quotes"),
        ("dirty = 'true'", "'dirty' is a truth value, 'true' a text", "dirty = 'true'", "without"),
        ("dirty > true", "truth values have no order", "dirty > true", ""),
        ("amp > true", "truth values have no order", "amp > true", ""),
        ("dirty < archived", "truth values have no order", "dirty < archived", ""),
        ("base = 'zzzz'", "'zzzz' is no hash of a commit", "'zzzz'", "hexadecimal"),
        ("commit != 'main'", "'main' is no hash of a commit", "'main'", "commit in main..topic"),
        ("base in ('abcd', 'abc')", "'abc' is no hash of a commit", "'abc'", "4 to 40"),
        ("name = acc", "a text does not compare to a number", "name = acc", ""),
        ("started = lr", "a time does not compare to a param", "started = lr", ""),
        ("acc = opt", "no run has a number in 'opt', which holds texts", "acc = opt", ""),
        ("acc", "'acc' is a number, and no condition by itself", "acc", "as in acc > 0.5, or"),
        (
            "opt and acc > 1",
            "'opt' is a param, and no condition by itself",
            "opt",
            "as in opt = 'adam',",
        ),
        ("true", "a condition is expected, such as lr < 0.1", "true", ""),
        ("1 = 1", "neither side names anything of a run", "1 = 1", ""),
        ("'a' like 'a'", "neither side names anything of a run", "'a' like 'a'", ""),
        ("'a%' like opt", "the name stands left of 'like', the text right of it", "'a%' like opt",
         ""),
        ("opt like opt", "'like' is followed by a text in quotes", "opt", ""),
        ("opt like 3", "'like' is followed by a text in quotes", "opt like 3", ""),
        ("acc like '1'", "'acc' is a number, 'like' is for texts", "acc like '1'", ""),
        ("opt =~ '(('", "the expression '((' cannot be read: missing ) at position 2",
         "opt =~ '(('",
         "re.html"),
        ("(acc > 1) + 1 > 1", "a name or a value is expected here, not a condition", "(acc > 1)",
         ""),
        ("(acc > 1) = true", "a name or a value is expected here, not a condition", "(acc > 1)",
         ""),
        ("opt + 1 > 1", "no run has a number in 'opt', which holds texts", "opt", ""),
        ("name * 2 > 1", "'name' is a text, and no number", "name", ""),
        ("-'a' = acc", "'-'a'' is no number", "-'a'", ""),
        ("max(lr) > 1", "max() takes a metric, 'lr' is none", "lr", ""),
        ("max(3) > 1", "max() takes a metric", "3", ""),
        ("max(los) > 1", "no param, metric, tag or attribute named 'los'", "los", ""),
        ("started > 3", "3 is no time", "3", "'2 weeks ago'"),
        ("started > 'x'", "'x' is no time", "'x'", "'2 weeks ago'"),
        ("started > ''", "'' is no time", "''", "'2 weeks ago'"),
        ("duration > 'x'", "'x' is no length of time", "'x'", "'1h30m'"),
        ("duration > ''", "'' is no length of time", "''", "'1h30m'"),
        ("duration > '" + "1" * 60_000 + "'", "'" + "1" * 79 + "... is no length of time",
         "'" + "1" * 60_000 + "'", ""),
        ("status = 'finshed'", "no run can have the status 'finshed'", "'finshed'", "'finished'"),
        ("name in a..b", "a range of commits goes with 'commit'", "name", "in ('a', 'b')"),
        ("notes is null", "notes cannot be asked for in a query", "notes", ""),
        ("dataset.name < 'a'", "data sets are not compared with '<'", "dataset.name", "like"),
        ("dataset.name = 3", "data sets are compared with texts", "3", "like"),
        ("dataset.name in ('a', 3)", "data sets are compared with texts", "'a'", "like"),
        ("dataset.name = opt", "data sets are compared with texts", "opt", "like"),
        ("dataset.context = 'a'", "no data set has a 'dataset.context'", "dataset.context", "name"),
        ("dataset.name is null", "data sets can only be compared", "dataset.name", "name"),
        ("reads('no')", "no run reads 'no'", "reads('no')", "lineage"),
        ("3 is null", "'is null' asks of a name", "3 is null", ""),
        ("`a\nb\x1b` = 1", "no param, metric, tag or attribute named 'a\\nb\\x1b'", "`a\nb\x1b`",
         ""),
        ("a" * 300 + " = 1", "no param, metric, tag or attribute is named so (300 characters)",
         "a" * 300, ""),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_makes_no_sense_is_told_with_its_place(
    query: str, message: str, place: str, hint: str
) -> None:
    """A failed question never gets an empty answer."""
    with pytest.raises(QueryError) as caught:
        bound(query, RUNS)
    error = caught.value
    assert error.reason == message
    assert query[error.start : error.end] == place
    assert hint in (error.hint or "")


def test_functions_are_asked_with_their_words() -> None:
    """Once each, for all runs."""
    functions = Known(
        RUNS, commit=["c"], touches=["t"], ancestor=["a"], descendant=[], keeps=["k"], uses=["u"]
    )
    query = (
        "commit in a..b and base not in a...b and touches('x y', latest~1) and ancestor(best:acc)"
        " and descendant(z) and keeps(model.*) and uses('numpy<2,>1')"
        " and dataset.name not in ('a', 'b') and 'c' = dataset.digest"
    )
    tree = bound(query, RUNS, functions)
    assert functions.asked == [
        ("commit", ("a..b",)),
        ("commit", ("a...b",)),
        ("touches", ("x y", "latest~1")),
        ("ancestor", ("best:acc",)),
        ("descendant", ("z",)),
        ("keeps", ("model.*",)),
        ("uses", ("numpy<2,>1",)),
        ("dataset", ("name", "not in", "a", "b")),
        ("dataset", ("digest", "=", "c")),
    ]
    assert isinstance(tree, All) and tree.parts[0] == Among("base", frozenset("c"))
    assert tree.parts[1] == Not(Among("base", frozenset("c")))


@pytest.mark.parametrize(
    "error",
    [RunNotFound("no run 'z'", selector="z", hint="`git track ls`."), GitFailed("bad\nrevision")],
)
def test_what_a_function_refuses_is_told_with_its_place(error: Exception) -> None:
    """Whoever looks it up knows why, the query knows where."""

    def functions(name: str, arguments: tuple[str, ...]) -> Among:
        raise error

    known: Any = functions
    said = refusal("acc > 1 and ancestor(z)", RUNS, known)
    drawn = "    acc > 1 and ancestor(z)\n                ^^^^^^^^^^^"
    assert said.startswith(f"{str(error).splitlines()[0][:3]}") and drawn in said
    assert said.count("\n") == 2 + bool(getattr(error, "hint", None))


@pytest.mark.parametrize(
    ("query", "needed"),
    [
        ("", set()),
        ("acc > lr and not dirty", {"metrics.acc", "params.lr", "dirty"}),
        ("max(acc) > 1", {"curves"}),
        ("last(acc) > 1", {"metrics.acc"}),
        ("lr = '1' or opt is null or name =~ 'x'", {"params.lr", "params.opt", "name"}),
        ("commit in a..b", {"base"}),
        ("abs(-acc + 1) in (1, 2)", {"metrics.acc"}),
        ("run_name = 'x'", {"title", "name"}),
    ],
)
def test_a_query_says_what_it_needs(query: str, needed: set[str]) -> None:
    """The index reads no more, and knows what to be quick for."""
    assert uses(bound(query, RUNS, Known(RUNS, commit=[]))) == needed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90s", 90), ("1.5h", 5400), ("1h30m", 5400), (" 1 h 30 min ", 5400),
        ("2 days", 172800), ("1w", 604800), ("250ms", 0.25), ("1 hour 1 second", 3601), (".5m", 30),
    ],
)  # fmt: skip
def test_a_length_of_time_is_written_as_people_do(text: str, seconds: float) -> None:
    """As `git track ls` itself shows it, too."""
    tree = bound(f"duration > '{text}'", RUNS)
    assert isinstance(tree, Compare) and tree.right == Value(seconds)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("acc", ACC),
        ("run_name", Field("name", "text")),
        ("dirty", Field("dirty", "boolean")),
        ("started", Field("started", "time")),
        ("acc / lr", Sum("/", ACC, LR)),
        ("max(acc)", Curve("max", "acc")),
        ("learning-rate", Field("params.learning-rate", "mixed")),
    ],
)
def test_a_key_to_sort_by_is_a_value(text: str, term: Any) -> None:
    """Attributes, params, metrics, curves, and what is calculated of them."""
    tree, _ = language.parse_order(text)
    assert binding.bind_value(tree, text, vocabulary.of_summaries(RUNS)) == term


@pytest.mark.parametrize("text", ["acx", "touches(a)", "(acc > 1)", "(a and b)", "'a'", "1 + 2"])
def test_runs_cannot_be_sorted_by_conditions(text: str) -> None:
    """Nor by names that no run knows, nor by what is the same of all."""
    with pytest.raises(QueryError):
        tree, _ = language.parse_order(text)
        binding.bind_value(tree, text, vocabulary.of_summaries(RUNS))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("run_name = 'base'", ["base-1pnhtg"]),
        ("run_name != 'base'", ["base-two-1pnhtg", "based-1pnhtg", "untold-1pnhtg"]),
        ("run_name in ('base', 'Two words')", ["base-1pnhtg", "untold-1pnhtg"]),
        ("run_name not in ('base', 'based-1pnhtg')", ["base-two-1pnhtg", "untold-1pnhtg"]),
        ("run_name = 'untold'", []),
        ("run_name = ''", []),
        ("name = 'base'", []),
    ],
)
def test_a_run_is_found_by_the_name_that_was_asked_for(query: str, found: list[str]) -> None:
    """`start_run(run_name="base")` makes base-1pnhtg of it; who comes from MLflow asks for base."""
    names = ("base-1pnhtg", "base-two-1pnhtg", "based-1pnhtg")
    runs = [*map(run, names), run("untold-1pnhtg", title="Two words")]
    assert sorted(find(query, runs)) == found


def test_times_of_mlflow_are_whole_milliseconds() -> None:
    """It never saw our microseconds: what is equal there is equal here."""
    one = run("a", started=run().started.replace(microsecond=123_999))
    ms = int(one.started.timestamp()) * 1000 + 123
    for op, holds in {
        "=": True,
        "!=": False,
        "<": False,
        "<=": True,
        ">": False,
        ">=": True,
    }.items():
        assert (find(f"start_time {op} {ms}", [one]) == ["a"]) is holds
    assert find(f"start_time = {ms + 1}", [one]) == []
    assert find(f"start_time > {ms - 0.5} and start_time < {ms + 0.5}", [one]) == ["a"]
    assert find("start_time > -inf and not start_time >= inf", [one]) == ["a"]
    assert find(f"start_time != {ms + 1} and end_time is not null", [one]) == ["a"]


WORDS = st.sampled_from(
    ["acc", "lr", "opt", "amp", "mix", "dirty", "status", "started", "duration", "train/loss", "l",
     "start_time", "run_name", "tags.t", "max(acc)", "1", "-2.5", "'adam'", "'1'", "true", "inf",
     "base", "exit_code", "a-b", "dataset.name", "title", "nothing", "commit", "'2026-01-01'"]
)  # fmt: skip
OPERATORS = st.sampled_from(
    [" = ", " != ", " < ", " >= ", " like ", " ilike ", " =~ ", " + ", " - ", " / ", " and ",
    " or ",
     " in (1, 'a', true) or ", " is null and ", " not in ('x') or ", " in a..b and not "]
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(WORDS, OPERATORS), min_size=1, max_size=4), WORDS)
def test_any_query_has_an_answer_or_an_error_that_points_into_it(
    parts: list[tuple[str, str]], last: str
) -> None:
    """Never a traceback; and what has an answer has the opposite one with `not`."""
    query = "".join(word + operator for word, operator in parts) + last
    try:
        found = find(query, RUNS, Known(RUNS, commit=[]))
    except QueryError as error:
        assert 0 <= error.start < error.end <= len(query) or error.end == len(query)
        return
    others = find(f"not ({query})", RUNS, Known(RUNS, commit=[]))
    assert sorted(found + others) == ["a", "b"]


@pytest.mark.parametrize("query, is_run", [
    ("wine@production", True), (" latest ", True), ("latest and acc > 1", False), ("acx", False),
])  # fmt: skip
def test_where_a_run_is_named_instead_of_a_query_it_is_said(query: str, is_run: bool) -> None:
    """`git track ls wine@production`: most commands take a run there, this one a query."""
    with pytest.raises(QueryError) as caught:
        bound(query, RUNS)
    told = f"`git track show {query.strip()}` shows one run." in (caught.value.hint or "")
    assert told is is_run
