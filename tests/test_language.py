"""The text of a query becomes a tree, or an error that points at the place."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import language, syntax, tokens
from gittrack.errors import QueryError, UsageError
from gittrack.language import LONGEST, parse, parse_order


def bare(node: Any) -> Any:
    """A tree without places: the name of each node, and its fields."""
    if isinstance(node, tuple):
        return tuple(map(bare, node))
    if not hasattr(node, "fields"):
        return node
    fields = [bare(field) for field in node.fields()[:-2]]
    if isinstance(node, syntax.Literal):
        fields = fields[:1]
    return (type(node).__name__, *fields)


def name(key: str, group: str | None = None) -> tuple[Any, ...]:
    return ("Name", group, key)


def value(found: Any) -> tuple[Any, ...]:
    return ("Literal", found)


A, B, C = name("a"), name("b"), name("c")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", ("And", ())),
        (" \t\r\n ", ("And", ())),
        ("a", A),
        ("a and b or c", ("Or", (("And", (A, B)), C))),
        ("a or b and not c", ("Or", (A, ("And", (B, ("Not", C)))))),
        ("(a or b) and c", ("And", (("Or", (A, B)), C))),
        ("a AND b Or NOT c", ("Or", (("And", (A, B)), ("Not", C)))),
        ("not not a", A),
        ("not not not a", ("Not", A)),
        ("a>1", ("Comparison", ">", A, value(1))),
        ("a\n>=\t1", ("Comparison", ">=", A, value(1))),
        ("1 < a", ("Comparison", "<", value(1), A)),
        ("a != b", ("Comparison", "!=", A, B)),
        ("a like 'x%'", ("Comparison", "like", A, value("x%"))),
        ("a ILIKE 'x%'", ("Comparison", "ilike", A, value("x%"))),
        ("a =~ '\\d+'", ("Comparison", "=~", A, value("\\d+"))),
        ("a not like 'x'", ("Not", ("Comparison", "like", A, value("x")))),
        ("a not =~ 'x'", ("Not", ("Comparison", "=~", A, value("x")))),
        ("a in (1, -2.5, 'x')",
         ("Member", A, (value(1), ("Negative", value(2.5)), value("x")), False)),
        ("a NOT IN ('x')", ("Member", A, (value("x"),), True)),
        ("a in main..topic", ("Range", A, ("Word", "main"), ("Word", "topic"), False, False)),
        ("a in v1...b/x", ("Range", A, ("Word", "v1"), ("Word", "b/x"), True, False)),
        ("a not in 'HEAD~3..'", ("Range", A, ("Word", "HEAD~3"), ("Word", ""), False, True)),
        ("(a in main..b)", ("Range", A, ("Word", "main"), ("Word", "b"), False, False)),
        ("a is null", ("Null", A, False)),
        ("a Is Not Null", ("Null", A, True)),
        ("a - b - c", ("Arithmetic", "-", ("Arithmetic", "-", A, B), C)),
        ("a + b * c", ("Arithmetic", "+", A, ("Arithmetic", "*", B, C))),
        ("(a + b) / -c", ("Arithmetic", "/", ("Arithmetic", "+", A, B), ("Negative", C))),
        ("- - a", A),
        ("+-+a", ("Negative", A)),
        ("max(a) > ABS(b)", ("Comparison", ">", ("Call", "max", (A,)), ("Call", "abs", (B,)))),
        ("max ( a )", ("Call", "max", (A,))),
        ("max > 1", ("Comparison", ">", name("max"), value(1))),
        ("touches(src/my model.py, latest~1)",
         ("Call", "touches", (("Word", "src/my model.py"), ("Word", "latest~1")))),
        ("reads('a,b') and uses(numpy<2)",
         ("And", (("Call", "reads", (value("a,b"),)), ("Call", "uses", (("Word", "numpy<2"),))))),
        ("reads(md5:3f2a)", ("Call", "reads", (("Word", "md5:3f2a"),))),
        ("ancestor( and )", ("Call", "ancestor", (("Word", "and"),))),
        ("a = 'it''s'", ("Comparison", "=", A, value("it's"))),
        ('a = "say ""x"""', ("Comparison", "=", A, value('say "x"'))),
        ("a = 'C:\\'", ("Comparison", "=", A, value("C:\\"))),
        ("a = ''", ("Comparison", "=", A, value(""))),
        ("a = '\x00\x1b\n😀'", ("Comparison", "=", A, value("\x00\x1b\n😀"))),
        ("a = true", ("Comparison", "=", A, value(True))),
        ("a < Inf", ("Comparison", "<", A, value(math.inf))),
        ("a = 1e3", ("Comparison", "=", A, value(1000.0))),
        ("a = .5", ("Comparison", "=", A, value(0.5))),
        ("a = 5.", ("Comparison", "=", A, value(5.0))),
        ("a = 123456789012345678901", ("Comparison", "=", A, value(123456789012345678901))),
        ("größe@5.x_1", name("größe@5.x_1")),
        ("params.model.lr", name("model.lr", "params")),
        ("model.lr", name("model.lr")),
        ("layers.0.size", name("layers.0.size")),
        ("`val loss`", name("val loss")),
        ("`metrics.x`", name("metrics.x")),
        ("metrics.`val.loss`", name("val.loss", "metrics")),
        ('params."a ""b"""', name('a "b"', "params")),
        ("`metrics`.acc", name("acc", "metrics")),
        ("`metrics`.`a b`", name("a b", "metrics")),
        ('"run name" = "x"', ("Comparison", "=", name("run name"), value("x"))),
        ('"run name" is null', ("Null", name("run name"), False)),
        ("'run name' = 'x'", ("Comparison", "=", value("run name"), value("x"))),
        *(
            (f"{word}.x", name("x", group))
            for word, group in {
                "metric": "metrics", "param": "params", "parameter": "params", "tag": "tags",
                "parameters": "params", "attr": "attributes", "run": "attributes",
                "attribute": "attributes", "dataset": "datasets", "datasets": "datasets",
            }.items()
        ),
    ],
)  # fmt: skip
def test_a_query_is_read(text: str, tree: Any) -> None:
    """The grammar, by examples."""
    assert bare(parse(text)) == tree


def test_a_node_knows_where_it_stands() -> None:
    """Errors that come later point at it, too."""
    text = "  a > 1 and (  max(`b c`) < 2 )"
    tree = parse(text)
    assert isinstance(tree, syntax.And)
    assert [text[n.start : n.end] for n in tree.operands] == ["a > 1", "(  max(`b c`) < 2 )"]
    second = tree.operands[1]
    assert isinstance(second, syntax.Comparison)
    assert text[second.left.start : second.left.end] == "max(`b c`)"
    assert text[second.right.start : second.right.end] == "2"


@pytest.mark.parametrize(
    ("text", "key", "downwards"),
    [
        ("acc", name("acc"), False),
        ("-acc", name("acc"), True),
        ("+acc", name("acc"), False),
        (" acc DESC ", name("acc"), True),
        ("acc asc", name("acc"), False),
        ("desc", name("desc"), False),
        ("-max(acc)", ("Call", "max", (name("acc"),)), True),
        ("-a+b desc", ("Arithmetic", "+", A, B), False),
        ("a - b", ("Arithmetic", "-", A, B), False),
        ("-`a b`", name("a b"), True),
    ],
)
def test_a_key_to_sort_by(text: str, key: Any, downwards: bool) -> None:
    """As `--sort` has it, and as MLflow's `order_by` writes it."""
    tree, found = parse_order(text)
    assert (bare(tree), found) == (key, downwards)


@pytest.mark.parametrize(
    ("text", "message", "place", "hint"),
    [
        ("metrics.acc >", "the query ends: a name or a value is expected here", "", None),
        ("opt = 'adam", "the quote ' is never closed", "'", None),
        ('opt = "adam', 'the quote " is never closed', '"', None),
        ("`a", "the quote ` is never closed", "`", "with the same mark at its end"),
        ("a == 1", "'==' means nothing in a query", "==", "did you mean '='?"),
        ("a <> 1", "'<>' means nothing in a query", "<>", "did you mean '!='?"),
        ("a => 1", "'=>' means nothing in a query", "=>", "did you mean '>='?"),
        ("a && b", "'&&' means nothing in a query", "&&", "did you mean 'and'?"),
        ("a || b", "'||' means nothing in a query", "||", "did you mean 'or'?"),
        ("!a", "'!' means nothing in a query", "!", "did you mean 'not'?"),
        ("a !~ 'x'", "'!~' means nothing in a query", "!~", "not x =~"),
        ("a = “x”", "'“' means nothing in a query", "“", "plain quotes"),
        ("lambda x: x", "':' means nothing in a query", ":", None),
        ("().__class__", "'.' means nothing in a query", ".", None),
        ("a; drop table runs", "';' means nothing in a query", ";", None),
        ("a = 1\x00", "'\\x00' means nothing in a query", "\x00", None),
        ("😀 > 3", "'😀' means nothing in a query", "😀", None),
        ("3f2a > 3", "'3f2a' is neither a number nor a name", "3f2a", "quotes: '3f2a'"),
        ("__import__('os')", "no function named '__import__'", "__import__", "there are min"),
        ("maxx(a)", "no function named 'maxx'", "maxx", "did you mean 'max'?"),
        ("a.b(1)", "no function named 'a.b'", "a.b", None),
        ("min() > 1", "min() takes one argument, not 0", "min()", None),
        ("abs(a, b) > 1", "abs() takes one argument, not 2", "abs(a, b)", None),
        ("touches(a, b, c)", "touches() takes 1 or 2 arguments, not 3", "touches(a, b, c)", None),
        ("touches()", "touches() takes 1 or 2 arguments, not 0", "touches()", None),
        ("5 > a > 3", "'>' is not understood: 'and', 'or' or the end is expected here", ">",
         "two comparisons are joined"),
        ("a > 1 b < 2", "'b' is not understood: 'and', 'or' or the end is expected here", "b",
         "joined with `and` or `or`"),
        ("a > 1)", "')' is not understood: 'and', 'or' or the end is expected here", ")",
         "no '(' that it could close"),
        ("(a > 1", "the query ends: 'and', 'or' or ')' is expected here", "", None),
        ("a b", "'b' is not understood: a comparison such as = or > is expected here", "b", None),
        ("a.b between 0.01 and 0.1", "'between' is not understood: a comparison such as = or > is"
         " expected here", "between", "write a.b >= 0.01 and a.b <= 0.1."),
        ("b > 1 and a not BETWEEN 1 and 2", "'BETWEEN' is not understood: a comparison such as ="
         " or > is expected here", "BETWEEN", "write a < 1 or a > 2."),
        ("started between 'a' and 'b'", "'between' is not understood: a comparison such as = or >"
         " is expected here", "between", "write started >= 'a' and started <= 'b'."),
        ("(a) between -1", "'between' is not understood: a comparison such as = or > is expected"
         " here", "between", "write x >= 1 and x <= 2."),
        ("a = null", "'null' is not understood: a name or a value is expected here", "null",
         "`is null`"),
        ("a is 3", "'3' is not understood: 'null' is expected here", "3", None),
        ("a in ()", "')' is not understood: a name or a value is expected here", ")", None),
        ("a in (b)", "a list holds numbers and texts only", "b", "quotes: 'b'"),
        ("a in b", "a list or a range is expected after 'in'", "b", "in ('a', 'b')"),
        ("and", "'and' is not understood: a name or a value is expected here", "and", None),
        ("(" * 26, "more than 25 parentheses are open here", "(", None),
        ("a = " + "9" * 5000, "a number has too many digits", "9" * 5000, None),
    ],
)  # fmt: skip
def test_what_is_no_query_is_told_with_its_place(
    text: str, message: str, place: str, hint: str | None
) -> None:
    """A reader sees at once what to change."""
    with pytest.raises(QueryError) as caught:
        parse(text)
    error = caught.value
    assert error.reason == message
    assert text[error.start : error.end] == place
    assert (hint or "") in (error.hint or "")
    assert isinstance(error, UsageError) and error.exit_code == 2


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("metrics.acc >", "    metrics.acc >\n                 ^"),
        ("a\n&& b", "    a\\n&& b\n       ^^"),
        ("\x1b[2J == 1", "    \\x1b[2J == 1\n    ^^^^"),
        ("日本 == 1", "    日本 == 1\n         ^^"),
        ("'e\u0301' == 1", "    'e\u0301' == 1\n        ^^"),
        ("\u202e == 1", "    \\u202e == 1\n    ^^^^^^"),
        ("a = 1 " * 40 + "==", "    ..." + ("a = 1 " * 40)[-30:] + "==\n" + " " * 37 + "^"),
        ("== " + "x" * 200, "    == " + "x" * 69 + "...\n    ^^"),
    ],
)
def test_the_place_is_drawn_on_one_line(text: str, drawn: str) -> None:
    """Whatever a query holds: it may come from a stranger, and a terminal shows it."""
    with pytest.raises(QueryError) as caught:
        parse(text)
    _, _, shown = caught.value.message.partition("\n")
    text_line, caret_line = shown.split("\n")
    assert text_line == drawn.split("\n")[0]
    assert caret_line.rstrip("^") == drawn.split("\n")[1].rstrip("^")
    assert caret_line.endswith("^")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a" * (LONGEST + 1), "more than 128 KiB"),
        ("é" * (LONGEST // 2 + 1), "more than 128 KiB"),
        ("x" * 2**20, "more than 128 KiB"),
        ("(" * 10_000 + "a" + ")" * 10_000, "more than 25 parentheses"),
        ("abs(" * 10_000 + "a", "more than 25 parentheses"),
        ("a + " * 300 + "a", "more than 200 terms"),
        (" or ".join(["a>1"] * 2001), "more than 2,000 comparisons"),
        (" and ".join(["a"] * 3000), "more than 2,000 comparisons"),
        (" or ".join(["a like 'b'"] * 51 + ["a =~ 'b'"] * 50), "more than 100 patterns"),
        ("(" * 20 + "a" + ")" * 20 + " or ((((a))))" * 1999, "more than 20,000 words and signs"),
    ],
)
def test_what_is_too_large_is_refused(text: str, reason: str) -> None:
    """In a moment, and with one screen of text."""
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert reason in caught.value.reason
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "text",
    ["not " * 19_000 + "a", "- " * 19_000 + "a", "(" * 25 + "a" + ")" * 25,
     "a in (" + ", ".join(f"'{n}'" for n in range(15_000)) + ")",
     " and ".join(["a"] * 2000), " or ".join(["b in (1, 'and', 'or')"] * 2000),
     " or ".join(["a like 'b'"] * 100)],
)  # fmt: skip
def test_what_is_only_long_is_read(text: str) -> None:
    """Scripts write long queries."""
    parse(text)


# -- whatever is written --------------------------------------------------------------------------

KEYS = st.text("ab.é_", min_size=1, max_size=6).filter(
    lambda key: tokens._TOKEN.fullmatch(key) is not None and key not in tokens._KEYWORDS
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.integers(0, 10**25) | st.floats(0, allow_nan=False, allow_infinity=False)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


names = KEYS.map(lambda key: (f"params.{key}", name(key, "params")))
literals = TEXTS.map(lambda text: (_quoted(text), value(text))) | NUMBERS.map(
    lambda number: (repr(number), value(number))
)


def _terms(inner: Any) -> Any:
    return st.tuples(inner, st.sampled_from("+-*/"), inner).map(
        lambda t: (f"({t[0][0]}) {t[1]} ({t[2][0]})", ("Arithmetic", t[1], t[0][1], t[2][1]))
    ) | inner.map(lambda t: (f"max({t[0]})", ("Call", "max", (t[1],))))


terms = st.recursive(names, _terms, max_leaves=4)
comparisons = st.tuples(
    terms, st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "like", "=~"]), terms | literals
).map(lambda t: (f"{t[0][0]} {t[1]} {t[2][0]}", ("Comparison", t[1], t[0][1], t[2][1])))
members = st.tuples(names, st.lists(literals, min_size=1, max_size=3), st.booleans()).map(
    lambda t: (
        f"{t[0][0]}{' not' * t[2]} in ({', '.join(text for text, _ in t[1])})",
        ("Member", t[0][1], tuple(tree for _, tree in t[1]), t[2]),
    )
)
nulls = st.tuples(terms, st.booleans()).map(
    lambda t: (f"{t[0][0]} is{' not' * t[1]} null", ("Null", t[0][1], t[1]))
)


def _conditions(inner: Any) -> Any:
    several = st.lists(inner, min_size=2, max_size=3)
    return (
        several.map(lambda ts: (" and ".join(f"({t})" for t, _ in ts), ("And", _trees(ts))))
        | several.map(lambda ts: (" or ".join(f"({t})" for t, _ in ts), ("Or", _trees(ts))))
        | inner.filter(lambda t: t[1][0] != "Not").map(lambda t: (f"not ({t[0]})", ("Not", t[1])))
    )


def _trees(found: Any) -> tuple[Any, ...]:
    return tuple(tree for _, tree in found)


@settings(deadline=None, max_examples=150)
@given(st.recursive(comparisons | members | nulls, _conditions, max_leaves=6))
def test_a_tree_that_is_written_is_read_back(written: tuple[str, Any]) -> None:
    """Whatever its shape, and whatever its texts hold."""
    text, tree = written
    assert bare(parse(text)) == tree


ODDS = st.sampled_from(
    ["and ", "or ", "not ", "in ", "is ", "null", "like ", "(", ")", ",", "'", '"', "`", "=", "<",
     ">", "!", "~", "+", "-", "*", "/", ".", "..", " ", "a", "params.", "max", "touches(", "1",
     "1e", "0x", "\n", "\x00", "\ud800", "é", "\u2028", "in main..x"]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(ODDS, max_size=12).map("".join) | st.text(max_size=30))
def test_anything_is_a_query_or_an_error_that_points_into_it(text: str) -> None:
    """Never a traceback; and what is drawn is two lines without control characters."""
    for entrance in (parse, parse_order):
        try:
            entrance(text)
        except QueryError as error:
            assert 0 <= error.start <= error.end <= len(text)
            _, shown, carets = error.message.split("\n")
            assert shown.isprintable() and carets.endswith("^")


def test_the_grammar_explains_itself() -> None:
    """Each kind of token that the rules name is shown in the comments above them."""
    import re
    from pathlib import Path

    text = Path(language.__file__).with_name("query.peg").read_text("utf-8")
    comments = "\n".join(line for line in text.split("\n") if line.startswith("#"))
    rules = "\n".join(line for line in text.split("\n") if not line.startswith("#"))
    named = set(re.findall(r'"(.+?)"', rules))
    assert len(named) > 20
    assert {token for token in named if token not in comments} == set()
