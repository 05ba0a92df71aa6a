"""The index and plain Python agree: for random runs and random queries, the same runs in one order.

A query is text, made of a random tree; both sides read and bind it alike. Then one asks SQL of the
index of real commits, and the other each run by itself.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from gittrack import (
    binding,
    clauses,
    commits,
    language,
    predicate,
    whereabouts,
)
from gittrack import refs as run_refs
from gittrack.annotations import append_all, overlay
from gittrack.atoms import decode
from gittrack.conditions import Among
from gittrack.errors import QueryError
from gittrack.events import Change
from gittrack.figures import since_epoch
from gittrack.git import Identity, Repo
from gittrack.index import Index, open_index
from gittrack.records import Code, Row, Run
from gittrack.refs import RunRef
from gittrack.search import Question, open_search
from gittrack.summaries import STATUSES, Summary
from gittrack.whereabouts import Place
from summaries import NOON

ADA = Identity("Ada Lovelace", "ada@example.org")
COUNT = 200
NAN, INF = float("nan"), float("inf")
DROP = "x'; DROP TABLE runs; --"

INTEGERS = (0, 1, -1, 2, 7, 100, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**70, -(2**70))
FLOATS = (0.0, -0.0, 0.01, 0.1, 0.5, 1.0, 1e-5, -2.5, 1e16, float(2**53), float(2**63), 1e300)
ODD_FLOATS = (NAN, INF, -INF)
TEXTS = (
    *("", "adam", "Adam", "ADAM", "lamb", "sgd", "a", "ab", "a%", "a_b", "%", "_", "100%"),
    *("it's", 'say "hi"', "'", '"', "''", DROP, "1", "1.0", "0.01", "True", "true", "None", "null"),
    *(
        "nan",
        "inf",
        "größe",
        "groesse",
        "e\u0301",
        "é",
        "\uffff",
        "\U0001f600",
        "模型",
        "a b",
        " a",
        "\\",
    ),
    *("a\nb", "\t", "not null", "and", "1e-05", "2**70", str(2**70), "x" * 300),
)
OTHERS: tuple[Any, ...] = (None, [1, "a"], [], [0.5], "adam")
POOLS: Mapping[str, Sequence[Any]] = {
    "numbers": (*INTEGERS, *FLOATS),
    "odd": (*INTEGERS, *FLOATS, *ODD_FLOATS),
    "texts": TEXTS,
    "booleans": (True, False),
    "mixed": (*INTEGERS, *FLOATS, *ODD_FLOATS, *TEXTS, True, False, *OTHERS),
}
PARAMS = {
    "lr": "odd",
    "epochs": "numbers",
    "opt": "texts",
    "flag": "booleans",
    "any": "mixed",
    "a b": "mixed",
    'quo"te': "mixed",
    "it's": "texts",
    "model.depth": "mixed",
    DROP: "mixed",
    "größe": "numbers",
    "shared": "mixed",
    "train/loss": "mixed",
    "learning-rate": "numbers",
    "status": "mixed",
    "%": "texts",
    "and": "numbers",
    "min": "numbers",
}
METRICS = {
    "acc": "odd",
    "val loss": "odd",
    "loss": "odd",
    "shared": "odd",
    "recall@5": "numbers",
    'm"m': "odd",
}
TAGS = {"stale": "texts", "new": "texts", "shared": "texts", "a.b": "texts", DROP: "texts"}
GROUPS = {"params": PARAMS, "metrics": METRICS, "tags": TAGS}
NUMBERS = ("duration", "exit_code")
TIMES = ("started", "ended")
FLAGS = ("dirty", "archived", "deleted")
WORDS = (
    *("name", "experiment", "experiment_title", "title", "user", "branch", "base", "source", "id"),
    *("commit", "command"),
)


# -- random runs --------------------------------------------------------------------------------


def make(dice: random.Random, number: int, base: str) -> tuple[Run, list[Row]]:
    """A run with some of everything; many share values, so that queries find several."""

    def some(keys: Mapping[str, str], share: float) -> dict[str, Any]:
        return {k: dice.choice(POOLS[pool]) for k, pool in keys.items() if dice.random() < share}

    status = dice.choice([status for status in STATUSES if status != "running"])
    # Some begin at once: then names decide.
    started = NOON + timedelta(minutes=number // 2, microseconds=dice.choice((0, 1, 999_999)))
    ended = None
    if dice.random() < 0.9:
        ended = started + timedelta(seconds=dice.choice((0, 0.1, 60, 4000.25)))
    metrics = some(METRICS, 0.7)
    run = Run(
        id=f"{dice.getrandbits(128):032x}",
        name=f"{dice.choice(('blue', 'calm'))}-{number:03d}-aaaaaa",
        experiment=dice.choice(("default", "trees", "a.b")),
        status=status,
        started=started,
        ended=ended,
        exit_code=dice.choice((None, 0, 1, 137, -9)),
        title=dice.choice((None, "", "Trees", DROP, "größe")),
        experiment_title=dice.choice((None, "Decision Trees", "it's")),
        command=dice.choice(((), ("python", "train.py"), ("sh", "-c", "echo 'a b'"))),
        user=dice.choice(("", "Ada Lovelace", "Grace O'Hopper")),
        code=Code(
            base=dice.choice((None, base)),
            branch=dice.choice((None, "main", "topic/ä")),
            dirty=dice.random() < 0.5,
        ),
        params=some(PARAMS, 0.6),
        metrics=metrics,
        tags=some(TAGS, 0.5),
        source=dice.choice(("cli", "api", "mlflow")),
    )
    rows = []
    if dice.random() < 0.6 and metrics:
        steps = [dice.choice((None, step)) for step in range(dice.randrange(2, 5))]
        for time, step in enumerate(steps):
            values = {
                key: dice.choice(POOLS[METRICS[key]]) for key in metrics if dice.random() < 0.8
            }
            rows.append(Row(step, float(time), values))
        rows.append(Row(len(steps), float(len(steps)), metrics))
    return run, rows


def extremes(run: Run, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What is known of each curve, the slow way."""
    found = {}
    for key, last in run.metrics.items():
        points = [(row.values[key], row.step) for row in rows if key in row.values]
        points = points or [(last, None)]
        known: dict[str, Any] = {"count": len(points)}
        for name, (value, step) in (("first", points[0]), ("last", points[-1])):
            known |= {name: value, f"{name}_step": step}
        comparable = [value for value, _ in points if value == value]
        for name, choose in (("min", min), ("max", max)):
            best = choose(comparable, default=None)
            steps = [step for one, step in points if one == best and step is not None]
            known |= {name: best, f"{name}_step": min(steps, default=None)}
        found[key] = known
    return found


def said(dice: random.Random) -> list[Change]:
    """What somebody says of a run after its end: of some nothing."""
    changes = [
        Change("archive"),
        Change("delete"),
        Change("title", value=dice.choice(("", "Forests", "it's"))),
        Change("tag", dice.choice(("stale", "new")), dice.choice(("yes", "a%", "1"))),
        Change("untag", "shared"),
        Change("note", value="Good."),
    ]
    return [change for change in changes if dice.random() < 0.2]


@dataclass(frozen=True)
class World:
    """Runs in a repository, newest first, and the index that knows them."""

    place: Place
    index: Index
    calls: clauses.Calls
    runs: Sequence[Summary]
    curves: Mapping[str, Mapping[str, Mapping[str, Any]]]
    vocabulary: Any

    def __repr__(self) -> str:
        return f"World of {len(self.runs)} runs"

    def bind(self, text: str) -> Any:
        tree = language.parse(text)
        commits_of_all = frozenset(run.commit for run in self.runs[::3] if run.commit)

        def functions(name: str, arguments: tuple[str, ...]) -> Among:
            return Among("commit", commits_of_all)

        return binding.bind(
            tree, text, self.vocabulary, functions=functions, moment=lambda text: int(text)
        )

    def curves_of(self, run: Summary) -> Callable[[str], Mapping[str, Any] | None]:
        return self.curves[run.id].get

    def by_python(self, bound: Any) -> list[str]:
        return [r.name for r in self.runs if predicate.holds(bound, r, self.curves_of(r))]

    def by_index(self, bound: Any, odd: Callable[[str], bool]) -> list[str]:
        where = clauses.where(bound, self.index.expression, odd)
        with self.calls:
            return [run.name for run in self.index.page(where, deleted=True)]


def read(repo: Repo) -> list[Summary]:
    """All runs from their commits and notes, the newest first, without the index."""
    known = overlay(repo, commits.listing(repo, run_refs.all_runs(repo)).runs)
    return sorted(known, key=lambda run: (-since_epoch(run.started), run.name, run.experiment))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, git: Any) -> Iterator[World]:
    place = tmp_path_factory.mktemp("property")
    git(place, "init", "-q")
    git(place, "commit", "-q", "--allow-empty", "-m", "Begin")
    repo = Repo.open(place)
    repo.sync(False)
    base, _ = repo.head()
    assert base is not None
    dice, tree = random.Random(5), repo.empty_tree()
    found, curves = [], {}
    with repo.packed():
        for number in range(COUNT):
            run, rows = make(dice, number, base)
            commit = commits.store(repo, run, tree=tree, author=ADA, rows=rows, log=b"")
            found.append(RunRef(run.experiment, run.name, commit))
            curves[run.id] = extremes(run, rows)
    run_refs.create_many(repo, found)
    append_all(
        repo,
        [(run, said(dice)) for run in read(repo)],
        now=NOON,
        random=dice.randbytes,
    )
    runs = read(repo)
    assert len(runs) == COUNT
    assert {(run.archived, run.deleted) for run in runs} >= {(True, False), (False, True)}
    with open_index(whereabouts.of(repo)) as index:
        index.need(["curves"])
        calls = clauses.functions(index.database)
        yield World(whereabouts.of(repo), index, calls, runs, curves, index.vocabulary)


# -- random queries -----------------------------------------------------------------------------


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def spelled(value: Any) -> str:
    """A literal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    return repr(value)


def name_of(group: str, key: str) -> str:
    if re.fullmatch(r"[a-z]\w*", key) and key not in ("and", "min", "status"):
        return f"{group}.{key}"
    return f'{group}."' + key.replace('"', '""') + '"'


def literals(pool: str) -> st.SearchStrategy[Any]:
    """Values that runs have, and some that none has."""
    fine = [v for v in POOLS[pool] if isinstance(v, (int, float, str)) and v == v]
    more: list[st.SearchStrategy[Any]] = [st.sampled_from(fine)]
    if pool in ("numbers", "odd", "mixed"):
        more += [st.integers(), st.floats(allow_nan=False)]
    if pool in ("texts", "mixed"):
        more.append(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
    return st.one_of(more)


KEYS = [(group, key, pool) for group, keys in GROUPS.items() for key, pool in sorted(keys.items())]
OPS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


def of_key(choice: tuple[str, str, str]) -> st.SearchStrategy[str]:
    group, key, pool = choice
    name, values = name_of(group, key), literals(pool)
    tests = [
        st.builds(lambda op, value: f"{name} {op} {spelled(value)}", OPS, values),
        st.builds(lambda value, op: f"{spelled(value)} {op} {name}", values, OPS),
        st.builds(
            lambda no, some: f"{name} {no}in ({', '.join(map(spelled, some))})",
            st.sampled_from(["", "not "]),
            st.lists(values, min_size=1, max_size=5),
        ),
        st.sampled_from([f"{name} is null", f"{name} is not null"]),
    ]
    if pool in ("texts", "mixed"):
        tests.append(
            st.builds(
                lambda op, pattern: f"{name} {op} {quoted(pattern)}",
                st.sampled_from(["like", "ilike", "not like", "LIKE", "=~", "not =~"]),
                st.one_of(
                    st.sampled_from(TEXTS).map(lambda text: text[:2] + "%"),
                    st.text("aAdD%_'\u00e4é. ", max_size=5),
                    st.sampled_from(["^a", "[0-9]", "(a|b)$", "DROP", "", ".", "(?i)ADAM"]),
                ),
            )
        )
    if pool in ("booleans", "mixed"):
        tests += [st.just(name), st.just(f"not {name}")]
    return st.one_of(tests)


NUMERIC = [name_of(group, key) for group, key, pool in KEYS if pool != "texts" and key != "flag"]
CURVES = [
    f"{function}({name_of('metrics', key)})"
    for key in METRICS
    for function in ("min", "max", "first", "last", "count", "min_step", "max_step", "last_step")
]
FORMULAS = st.recursive(
    st.one_of(
        st.sampled_from([*NUMERIC, *CURVES, "duration", "exit_code"]),
        literals("numbers").map(spelled),
    ),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        inner.map("-{}".format),
        inner.map("abs({})".format),
    ),
    max_leaves=6,
)
ATTRIBUTES = st.one_of(
    st.sampled_from(FLAGS),
    st.builds("{} {} {}".format, st.sampled_from(FLAGS), st.sampled_from(["=", "!="]),
              st.sampled_from(["true", "false"])),
    st.builds(
        lambda key, op, moment: f"{key} {op} '{moment}'",
        st.sampled_from(TIMES),
        OPS,
        st.integers(0, COUNT * 30).map(lambda s: int(NOON.timestamp() + s) * 1_000_000),
    ),
    st.builds("{} {} {}".format, st.sampled_from(NUMBERS), OPS,
              st.sampled_from(["0", "1", "137", "-9", "60", "0.1", "1e30", "4000.25"])),
    st.builds(
        lambda key, op, value: f"{key} {op} {quoted(value)}",
        st.sampled_from(WORDS),
        st.one_of(OPS, st.sampled_from(["like", "ilike", "=~", "not like"])),
        st.sampled_from(["", "default", "trees", "Trees", "a%", "main", "Ada%", "blue", "python",
                         "calm%", DROP, "O'Hopper", "it's", "größe", "api", "%"]),
    ),
    st.builds("status {} '{}'".format, st.sampled_from(["=", "!="]),
              st.sampled_from(["finished", "FAILED", "Killed", "running"])),
    st.builds("{} is {}null".format, st.sampled_from([*WORDS, *TIMES, *NUMBERS]),
              st.sampled_from(["", "not "])),
    st.sampled_from(["commit in main..topic", "touches('src')", "not ancestor(latest)"]),
)  # fmt: skip
TESTS = st.one_of(
    st.sampled_from(KEYS).flatmap(of_key),
    st.sampled_from(KEYS).flatmap(of_key),
    st.builds("{} {} {}".format, FORMULAS, OPS, FORMULAS),
    st.builds("{} is null".format, FORMULAS),
    st.builds(
        lambda a, op, b: f"{name_of(*a[:2])} {op} {name_of(*b[:2])}",
        st.sampled_from(KEYS), OPS, st.sampled_from(KEYS),
    ),
    ATTRIBUTES,
)  # fmt: skip
QUERIES = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("{} and {}".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        inner.map("not ({})".format),
    ),
    max_leaves=6,
)


# -- what must hold -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.filter_too_much])
@given(query=QUERIES)
@example(query=f"params.{chr(34)}{DROP}{chr(34)} = {quoted(DROP)}")
@example(query="params.any > 0 or params.any > ''")
@example(query="not (max(acc) - min(acc) > 0.5)")
@example(query="min_step(metrics.shared) is null")
@example(query="")
def test_the_index_answers_as_the_predicate_does(world: World, query: str) -> None:
    """The same runs in the same order, whatever the values, names and operators are."""
    try:
        bound = world.bind(query)
    except QueryError as error:
        event("refused: " + re.sub(r"'.*'", "...", error.reason)[:40])
        assume(False)
    expected = world.by_python(bound)
    event("found " + ("none" if not expected else "all" if len(expected) == COUNT else "some"))
    assert world.by_index(bound, lambda key: True) == expected


@settings(deadline=None, max_examples=40)
@given(query=QUERIES, deleted=st.booleans(), archived=st.booleans())
def test_a_search_finds_the_same(world: World, query: str, deleted: bool, archived: bool) -> None:
    """Through the one way in; deleted and archived runs are asked for apart."""
    assume(not re.search("touches|ancestor|commit in|started|ended", query))
    try:
        bound = world.bind(query)
    except QueryError:
        assume(False)
    shown = {
        run.name for run in world.runs if (deleted if run.deleted else archived or not run.archived)
    }
    with open_search(world.place) as search:
        found = search.find(Question(query, deleted=deleted, archived=archived))
    assert [run.name for run in found.runs] == [n for n in world.by_python(bound) if n in shown]
    assert found.exact and found.total == len(found.runs)


@settings(deadline=None, max_examples=60)
@given(formula=FORMULAS)
def test_a_value_is_the_same(world: World, formula: str) -> None:
    """What runs are sorted by, and columns show."""
    text = formula.strip()
    try:
        tree, _ = language.parse_order(text)
        term = binding.bind_value(tree, text, world.vocabulary)
    except QueryError:
        assume(False)
    sql, values = clauses.term(term, world.index.expression)
    with world.calls:
        query = f"SELECT {world.index.expression('name')}, {sql} FROM runs"
        found = {name: decode(v) for name, v in world.index.database.execute(query, values)}
    expected = {r.name: predicate.value(term, r, world.curves_of(r)) for r in world.runs}
    assert {n: repr(v) for n, v in found.items()} == {n: repr(v) for n, v in expected.items()}
