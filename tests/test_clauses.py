"""A query as a clause of SQL: what SQLite finds by it, and how."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import conditions as b
from gittrack import scalars
from gittrack.atoms import decode, encode
from gittrack.clauses import functions, term, where
from gittrack.errors import UsageError

NAN, INF = float("nan"), float("inf")
HOSTILE = "x'; DROP TABLE runs; --"
VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 7, 2**53 + 1, 2**63 - 1, -(2**63) + 1, -(2**63), 2**63, 2**70, -(2**70), 10**400),
    *(-(10**400), 0.0, -0.0, 0.5, 1.0, 1e-5, float(2**53), float(2**63), -float(2**63)),
    *(
        float(2**70),
        1e300,
        NAN,
        INF,
        -INF,
        True,
        False,
        None,
        "",
        "a",
        "A",
        "ab",
        "abc",
        "a%",
        "a_",
    ),
    *(
        "a'b",
        'a"b',
        "1",
        "0.5",
        "True",
        "None",
        "nan",
        HOSTILE,
        "\uffff",
        "\U0010ffff",
        "é",
        "e\u0301",
    ),
    *("\ud800", "a\udfff", "a\x00b", "\ud7ff", "\U0001f600", "abd", [1, "a"], {"a": 1}, []),
)
PARAM = b.Field("params.p", "mixed")


class Table:
    """Runs of one column each for `params.p`, `params.q` and so on, all of them values."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.keys = sorted({key for row in rows for key in row})
        self.columns = {key: f"c{number}" for number, key in enumerate(self.keys)}
        self.connection = sqlite3.connect(":memory:")
        weakref.finalize(self, self.connection.close)
        columns = ", ".join(self.columns.values())
        self.connection.execute(f"CREATE TABLE runs (number INTEGER PRIMARY KEY, {columns})")
        marks = ", ".join("?" * (1 + len(self.keys)))
        for number, row in enumerate(rows):
            stored = [_stored(key, row[key]) if key in row else None for key in self.keys]
            self.connection.execute(f"INSERT INTO runs VALUES ({marks})", [number, *stored])
        self.calls = functions(self.connection)

    def expression(self, key: str) -> str:
        return f"runs.{self.columns[key]}" if key in self.columns else "NULL"

    def find(self, bound: Any, *, odd: bool = True) -> list[int]:
        text, values = where(bound, self.expression, lambda key: odd)
        with self.calls:
            rows = self.connection.execute(
                f"SELECT number FROM runs WHERE {text} ORDER BY number", values
            )
            return [number for (number,) in rows]

    def values(self, bound: Any) -> list[Any]:
        text, values = term(bound, self.expression)
        with self.calls:
            rows = self.connection.execute(f"SELECT {text} FROM runs ORDER BY number", values)
            return [decode(value) for (value,) in rows]

    def plan(self, bound: Any, *, odd: bool = True) -> str:
        text, values = where(bound, self.expression, lambda key: odd)
        rows = self.connection.execute(
            f"EXPLAIN QUERY PLAN SELECT number FROM runs WHERE {text}", values
        )
        return "; ".join(row[3] for row in rows)


def _stored(key: str, value: Any) -> Any:
    if "." in key:
        return encode(value)
    return int(value) if isinstance(value, bool) else value


def everything() -> Table:
    """A run for each value, and one without."""
    rows = [
        {"params.p": value, "name": f"run-{number}", "id": f"{number:032x}"}
        for number, value in enumerate(VALUES)
    ]
    return Table([*rows, {"name": "run-without", "id": "f" * 32}])


@pytest.fixture(scope="module")
def table() -> Table:
    return everything()


# -- comparisons --------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["=", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize(
    "literal", [v for v in VALUES if isinstance(v, (int, float, str))], ids=ascii
)
def test_a_comparison_finds_what_python_would(table: Table, op: str, literal: Any) -> None:
    """Each value beside each literal, of every type, however large, odd or hostile."""
    expected = [
        number for number, value in enumerate(VALUES) if scalars.compare(op, value, literal)
    ]
    assert table.find(b.Compare(op, PARAM, b.Value(literal))) == expected
    flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
    assert table.find(b.Compare(flipped, b.Value(literal), PARAM)) == expected
    rest = [number for number in range(len(VALUES) + 1) if number not in expected]
    assert table.find(b.Not(b.Compare(op, PARAM, b.Value(literal)))) == rest


@pytest.mark.parametrize("op", ["=", "!=", "<", ">="])
def test_two_params_compare(op: str) -> None:
    """Each value beside each other."""
    rows = [{"params.p": left, "params.q": right} for left in VALUES for right in VALUES]
    expected = [n for n, row in enumerate(rows) if scalars.compare(op, *row.values())]
    found = Table(rows).find(b.Compare(op, PARAM, b.Field("params.q", "mixed")))
    assert found == expected


@pytest.mark.parametrize(
    "literals",
    [(), (1,), (1, "1"), (True, 7), VALUES[:38], (*range(1000),), tuple(map(str, range(1000)))],
    ids=len,
)
def test_one_of_several(table: Table, literals: tuple[Any, ...]) -> None:
    """As many comparisons, however many there are."""
    given_values = tuple(value for value in literals if value is not None)
    expected = [
        number
        for number, value in enumerate(VALUES)
        if any(scalars.compare("=", value, literal) for literal in given_values)
    ]
    assert table.find(b.In(PARAM, given_values)) == expected
    assert (len(expected) > 0) == (len(literals) > 0)


def test_a_long_list_holds_every_kind_of_value(table: Table) -> None:
    """It goes to SQLite as one text, in which nothing may get lost."""
    literals = tuple(v for v in VALUES if isinstance(v, (int, float, str))) * 3
    assert len(literals) > 100
    expected = [
        n for n, value in enumerate(VALUES) if any(scalars.compare("=", value, v) for v in literals)
    ]
    assert table.find(b.In(PARAM, literals)) == expected


def test_attributes_are_as_they_are() -> None:
    """Texts, numbers, times, and truth values that are 0 and 1."""
    table = Table(
        [
            {"dirty": True, "exit_code": 0, "branch": "5", "started": 5},
            {"dirty": False, "exit_code": 5, "branch": None, "started": 6},
        ]
    )
    dirty, code = b.Field("dirty", "boolean"), b.Field("exit_code", "number")
    branch, started = b.Field("branch", "text"), b.Field("started", "time")
    assert table.find(b.Holds("dirty")) == [0]
    assert table.find(b.Compare("=", dirty, b.Value(False))) == [1]
    assert table.find(b.Compare("!=", dirty, b.Value(False))) == [0]
    assert table.find(b.Compare("=", dirty, b.Value(1))) == []
    assert table.find(b.In(dirty, (False, 1))) == [1]
    assert table.find(b.Compare("=", dirty, dirty)) == [0, 1]
    assert table.find(b.Compare(">=", code, b.Value(0))) == [0, 1]
    assert table.find(b.Compare("<", code, b.Value(-(10**30)))) == []
    assert table.find(b.Compare("<", code, b.Value(10**30))) == [0, 1]
    assert table.find(b.Compare("=", code, b.Value("5"))) == []
    assert table.find(b.In(code, ("5",))) == []
    assert table.find(b.Compare("=", branch, b.Value(5))) == []
    assert table.find(b.Compare("=", branch, b.Value("5"))) == [0]
    assert table.find(b.Missing(branch)) == [1]
    assert table.find(b.Compare(">", started, b.Value(5))) == [1]
    assert table.find(b.Compare("=", started, code)) == []
    assert table.values(dirty) == [True, False]


# -- what is missing, true, or among many -------------------------------------------------------


def test_what_is_missing(table: Table) -> None:
    """Absent, or None: both are, and nothing else."""
    expected = [VALUES.index(None), len(VALUES)]
    assert table.find(b.Missing(PARAM)) == expected
    assert table.find(b.Missing(b.Field("params.nobody", "mixed"))) == [*range(len(VALUES) + 1)]
    assert table.find(b.Not(b.Missing(PARAM))) == [
        n for n in range(len(VALUES)) if n != expected[0]
    ]


def test_what_is_true(table: Table) -> None:
    """True alone: neither 1 nor 'True'."""
    assert table.find(b.Holds("params.p")) == [n for n, value in enumerate(VALUES) if value is True]


@pytest.mark.parametrize("count", [0, 1, 3, 100_000])
def test_among_as_many_as_there_are(table: Table, count: int) -> None:
    """A range of commits may be a whole history."""
    asked = frozenset(f"{number:032x}" for number in range(count))
    assert table.find(b.Among("id", asked)) == [*range(min(count, len(VALUES)))]


# -- patterns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "%", "a", "a%", "A%", "a_", "%b", "a%b%", "_", "%'%", "\uffff%", "\ud7ff%"),
        *("\U0010ffff%", "\ud800%", "%\udfff", "a\x00%", HOSTILE, HOSTILE + "%", "é%", "*"),
        *("a*", "[a]%", "é"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("fold", [False, True])
def test_patterns_find_texts_only(table: Table, pattern: str, fold: bool) -> None:
    """By case unless it is folded; numbers and truth values are no texts."""
    fits = scalars.like(pattern, fold)
    expected = [n for n, value in enumerate(VALUES) if isinstance(value, str) and fits(value)]
    assert table.find(b.Like(PARAM, pattern, fold)) == expected


@pytest.mark.parametrize("expression", ["a", "^a.?b", "DROP", r"\x00", "(?i)^A$", "1"])
def test_expressions_are_looked_for(table: Table, expression: str) -> None:
    """Anywhere in a text."""
    expected = [
        n
        for n, value in enumerate(VALUES)
        if isinstance(value, str) and scalars.search(expression, value, "x")
    ]
    assert expected
    assert table.find(b.Match(PARAM, expression)) == (expected)


def test_an_expression_that_takes_too_long_is_an_error_of_ours() -> None:
    """It names the run; and the connection can be asked again."""
    table = Table([{"params.p": "x" * 10_000, "name": "calm-lynx-aaaaaa"}])
    for _ in range(2):
        with pytest.raises(UsageError, match=r"\(x\+x\+\)\+y.*run 'calm-lynx-aaaaaa'"):
            table.find(b.Match(PARAM, "(x+x+)+y"))
        assert table.find(b.Match(PARAM, "x+")) == [0]
    with pytest.raises(sqlite3.OperationalError, match="no such table"), table.calls:
        table.connection.execute("SELECT 1 FROM nowhere")


SPELLINGS = (
    *("1", "1.0", "True", "7", "inf", "nan", "None", "a", "0.5", "1e-05", "0.00001", "\ud800"),
    *("-0.0", "0.0", "0", str(2**70), "1e+300", "9.223372036854775807e18", " 1", "1_0"),
)


@pytest.mark.parametrize("text", SPELLINGS, ids=ascii)
def test_params_as_they_are_written(table: Table, text: str) -> None:
    """MLflow keeps params as texts: '1' is the number 1, and not 1.0."""
    spelled = [scalars.spelled(value) for value in VALUES]
    expected = [n for n, value in enumerate(spelled) if value == text]
    found = table.find(b.Compare("=", b.Spelled(PARAM), b.Value(text)))
    assert found == expected
    assert table.find(b.In(b.Spelled(PARAM), (text, "7", "zzz"))) == [
        n for n, value in enumerate(spelled) if value in (text, "7")
    ]
    for op in ("!=", "<", ">="):
        assert table.find(b.Compare(op, b.Spelled(PARAM), b.Value(text))) == [
            n for n, value in enumerate(spelled) if scalars.compare(op, value, text)
        ]
    assert table.find(b.Like(b.Spelled(PARAM), text[:1] + "%", False)) == [
        n for n, value in enumerate(spelled) if value is not None and value.startswith(text[0])
    ]
    assert table.values(b.Spelled(PARAM))[:-1] == spelled


# -- formulas -----------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["+", "-", "*", "/"])
def test_formulas_give_what_python_would(op: str) -> None:
    """Integers stay whole, division is true, and what is no number gives nothing."""
    rows = [{"params.p": left, "params.q": right} for left in VALUES for right in VALUES]
    table = Table(rows)
    sums = b.Sum(op, PARAM, b.Field("params.q", "mixed"))
    expected = [scalars.calculate(op, *row.values()) for row in rows]
    assert list(map(repr, table.values(sums))) == list(map(repr, expected))
    assert table.find(b.Missing(sums)) == [n for n, v in enumerate(expected) if v is None]
    for literal in (0, 2**70, INF):
        assert table.find(b.Compare("<", sums, b.Value(literal))) == [
            n for n, value in enumerate(expected) if scalars.compare("<", value, literal)
        ]
    assert table.find(b.In(sums, (1, 2**64))) == [
        n for n, v in enumerate(expected) if v is not None and v in (1, 2**64)
    ]


def test_formulas_may_be_long(table: Table) -> None:
    """SQLite's parser would not take them."""
    long: Any = PARAM
    for number in range(500):
        long = b.Sum("+", b.Value(number), long)
    wanted = 7 + sum(range(500))
    assert table.find(b.Compare("=", long, b.Value(wanted))) == [VALUES.index(7)]
    assert table.find(b.Compare("=", b.Minus(b.Minus(PARAM)), b.Value(7))) == [VALUES.index(7)]
    assert table.find(b.Compare("=", b.Absolute(PARAM), b.Value(7))) == [VALUES.index(7)]
    wide: Any = PARAM
    for number in range(200):
        wide = b.Sum("+", wide, b.Field(f"params.{number}", "mixed"))
    broad = Table([{f"params.{number}": 1 for number in range(200)}])
    with pytest.raises(UsageError, match="at most"):
        broad.find(b.Compare("=", wide, b.Value(7)))


def test_curves_are_asked_for_by_function() -> None:
    """The last value is the metric's own."""
    table = Table([{"metrics.m": 3, "curve.max.m": 5}])
    last, highest = b.Curve("last", "m"), b.Curve("max", "m")
    assert table.find(b.Compare("=", last, b.Value(3))) == [0]
    assert table.find(b.Compare(">", highest, last)) == [0]
    assert table.find(b.Compare(">", b.Sum("-", highest, last), b.Value(1.5))) == [0]
    assert table.find(b.Missing(b.Curve("min_step", "m"))) == [0]


# -- logic --------------------------------------------------------------------------------------

TESTS = st.sampled_from(
    [
        b.Compare("=", PARAM, b.Value(7)),
        b.Compare(">", PARAM, b.Value(0)),
        b.Missing(PARAM),
        b.Like(PARAM, "a%", False),
        b.Compare("!=", PARAM, b.Value("a")),
    ]
)
TREES = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        inner.map(b.Not),
        st.lists(inner, max_size=4).map(lambda parts: b.All(tuple(parts))),
        st.lists(inner, max_size=4).map(lambda parts: b.Any(tuple(parts))),
    ),
    max_leaves=30,
)


@settings(deadline=None, max_examples=200)
@given(tree=TREES)
def test_logic_has_two_values(tree: Any) -> None:
    """Whatever is missing: not X holds exactly where X does not."""
    table = _EVERYTHING
    known: dict[Any, set[int]] = {}

    def expected(node: Any) -> set[int]:
        if isinstance(node, b.Not):
            return set(range(len(VALUES) + 1)) - expected(node.part)
        if isinstance(node, b.All):
            return set(range(len(VALUES) + 1)).intersection(*map(expected, node.parts))
        if isinstance(node, b.Any):
            return set().union(*map(expected, node.parts))
        if node not in known:
            known[node] = set(table.find(node))
        return known[node]

    assert set(table.find(tree)) == expected(tree)


_EVERYTHING = everything()


def test_deep_and_long_conditions(table: Table) -> None:
    """As far as SQLite can; beyond, a sentence."""
    seven = b.Compare("=", PARAM, b.Value(7))
    deep: Any = seven
    for number in range(50):
        deep = b.Any((seven, deep)) if number % 2 else b.All((deep, b.Not(b.Missing(PARAM))))
    assert table.find(deep) == [VALUES.index(7)]
    for number in range(50):
        deep = b.Any((seven, deep)) if number % 2 else b.All((deep, seven))
    with pytest.raises(UsageError, match="nests"):
        table.find(deep)
    nots: Any = seven
    for _ in range(400):
        nots = b.Not(nots)
    assert table.find(nots) == [VALUES.index(7)]
    many = tuple(b.Compare(">", PARAM, b.Value(number)) for number in range(10_000))
    assert VALUES.index(INF) in table.find(b.Any(many))
    assert table.find(b.Not(b.Any(many)))
    with pytest.raises(UsageError, match="values"):
        table.find(b.Any(many * 5))


# -- that an index helps ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "plan"),
    [
        (b.Compare("=", PARAM, b.Value(7)), "(c=?)"),
        (b.Compare(">", PARAM, b.Value(0.5)), "(c>? AND c<?)"),
        (b.Compare("<=", PARAM, b.Value(0.5)), "(c<?)"),
        (b.Compare(">", PARAM, b.Value("a")), "(c>? AND c<?)"),
        (b.Compare("<", PARAM, b.Value("a")), "(c>? AND c<?)"),
        (b.Like(PARAM, "ab%", False), "(c>? AND c<?)"),
        (b.Like(PARAM, "ab%c", False), "(c>? AND c<?)"),
        (b.In(PARAM, (1, 2, 3)), "(c=?)"),
        (b.Compare("=", b.Spelled(PARAM), b.Value("1")), "(c=?)"),
        (b.Among("params.p", frozenset(map(str, range(500)))), "(c=?)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_index_answers(bound: Any, plan: str) -> None:
    """A million runs are not looked at one by one; most often one range tells."""
    table = everything()
    column = table.columns["params.p"]
    table.connection.execute(f"CREATE INDEX by_p ON runs ({column})")
    said = table.plan(bound, odd=False)
    assert said.startswith("SEARCH") and f"by_p {plan.replace('c', column)}" in said
    assert "SCAN runs" not in table.plan(bound)


def test_where_no_value_is_odd_less_is_asked() -> None:
    """And the same is found."""
    rows = [{"params.p": value} for value in VALUES if not isinstance(encode(value), bytes)]
    table = Table(rows)
    for op in ("=", "!=", "<", "<=", ">", ">="):
        for literal in (v for v in VALUES if isinstance(v, (int, float, str))):
            bound = b.Compare(op, PARAM, b.Value(literal))
            assert table.find(bound, odd=False) == table.find(bound)
    for pattern in ("a%", "a%b", "a", HOSTILE):
        like = b.Like(PARAM, pattern, False)
        assert table.find(like, odd=False) == table.find(like)


def test_one_of_a_few_commits_is_found_by_an_index() -> None:
    """The caller says how; a great many are looked up run by run, in a table of them."""

    def few(key: str, values: Sequence[str]) -> tuple[str, list[str]]:
        return f"few_{key} IN ({','.join('?' * len(values))})", [*values]

    def made(count: int) -> str:
        asked = b.Among("commit", frozenset(map(str, range(count))))
        return where(asked, lambda key: "c", few=few)[0]

    assert made(2) == "(few_commit IN (?,?))"
    assert "json_each" in made(1000) and made(0) == "0"
