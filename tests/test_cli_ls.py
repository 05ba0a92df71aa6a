"""`git track ls` asked for columns, groups, pivots, distinct values and saved queries."""

from __future__ import annotations

import csv
import io
import json
import runpy
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gittrack import commits
from gittrack.cli.completing import queries
from gittrack.cli.footer import counted
from gittrack.cli.keys import is_expression, several, told, unquoted
from gittrack.cli.main import main
from gittrack.git import Repo
from gittrack.records import Run
from gittrack.vocabulary import Count, Vocabulary
from summaries import UNSAFE

_made = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "generate.py"))
AUTHOR, START = _made["AUTHOR"], _made["START"]


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        return [line.split() for line in self.out.splitlines()]


Ask = Callable[..., Said]

NAN = float("nan")
RUNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("a-aaaaaa", {"params": {"model": "rf", "lr": 0.1}, "metrics": {"acc": 0.5, "loss": 2.0}}),
    ("b-aaaaaa", {"params": {"model": "rf", "lr": 0.01}, "metrics": {"acc": 0.9, "loss": 1.0}}),
    ("c-aaaaaa", {"params": {"model": "mlp", "lr": 0.1}, "metrics": {"acc": 0.7, "loss": 3.0}}),
    ("d-aaaaaa", {"params": {"model": "mlp", "lr": 1}, "metrics": {"acc": NAN, "loss": 3.0}}),
    ("e-aaaaaa", {"params": {"lr": 1.0}, "tags": {"note": "x"}, "status": "failed"}),
)


def record(place: Path, number: int, name: str, **more: Any) -> None:
    repo = Repo.open(place)
    started = START + timedelta(minutes=number)
    fields: dict[str, Any] = {
        "id": f"{number:032x}", "experiment": "default", "status": "finished",
        "started": started, "ended": started + timedelta(seconds=number),
    }  # fmt: skip
    run = Run(name=name, **fields | more)
    commits.write(repo, run, tree=repo.empty_tree(), author=AUTHOR)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory, git: Any) -> Path:
    """Five runs of three models, one of them without a model or metrics."""
    place = tmp_path_factory.mktemp("five")
    git(place, "init", "-q")
    for number, (name, more) in enumerate(RUNS):
        record(place, number, name, **more)
    return place


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`ask(place, *words)` is `git track ls` in this process."""

    def asked(place: Path, *words: str, width: int | None = None) -> Said:
        monkeypatch.chdir(place)
        if width is not None:
            monkeypatch.setenv("GIT_PAGER_IN_USE", "1")
            monkeypatch.setenv("COLUMNS", str(width))
            monkeypatch.setenv("NO_COLOR", "1")
        with pytest.raises(SystemExit) as stop:
            main(["ls", *words])
        told = capsys.readouterr()
        assert not UNSAFE.search(told.err)
        return Said(int(stop.value.code or 0), told.out, told.err)

    return asked


# -- columns ----------------------------------------------------------------------------------


def test_columns_by_pattern_in_the_order_asked_for(five: Path, ask: Ask) -> None:
    """`*loss*,name` is an order; a pattern stands for what the shown runs have, if they have any.

    Where they have none of it its columns are empty, rather than missing without a word.
    """
    assert ask(five, "--columns", "*oss*,name", "--columns", "params.*", "-n1").rows == [
        ["loss", "NAME", "lr"], ["·", "e-aaaaaa", "1.0"],
    ]  # fmt: skip
    assert ask(five, "--columns", "*oss*,name", "--columns", "params.*").rows[0] == [
        "loss", "NAME", "lr", "model",
    ]  # fmt: skip
    done = ask(five, "--columns", "x*")
    assert (done.code, done.out) == (2, "")
    assert "is like 'x*'" in done.err


def test_the_settings_choose_the_columns_of_tables(five: Path, ask: Ask, git: Any) -> None:
    """Data stays whole; what nobody has here is told, as the setting may be of all repositories."""
    git(five, "config", "track.columns", "name,metrics.*,nosuch")
    try:
        done = ask(five)
        assert done.rows[0] == ["NAME", "acc", "loss"]
        assert done.err.startswith("warning: track.columns: no param, metric, tag or attribute")
        assert ask(five, "--md").out.split("\n")[0].split() == ["|", "NAME", "|", "acc", "|",
                                                                "loss", "|"]  # fmt: skip
        assert "commit" in ask(five, "--csv").out.split("\n")[0]
        assert ask(five, "--columns", "status").rows[0] == ["STATUS"]
        assert "STATUS" in ask(five, "--all-columns").out
    finally:
        git(five, "config", "--unset", "track.columns")


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        (["a,b", "-c"], ["a", "b", "-c"]),
        ([" a , ,b "], ["a", "b"]),
        (["max(acc),min(f(a,b))"], ["max(acc)", "min(f(a,b))"]),
        (['params."a,b",`c,d`'], ['params."a,b"', "`c,d`"]),
        (['params."a"",b",c'], ['params."a"",b"', "c"]),
        (["-`c,d` desc,x"], ["-`c,d` desc", "x"]),
        (["it's,b"], ["it's", "b"]),
        (["f1,macro"], ["f1,macro"]),
        (["-f1,macro"], ["-f1,macro"]),
        (["a),b"], ["a)", "b"]),
        (['2 * params."a,b",x'], ['2 * params."a,b"', "x"]),
        ([""], []),
    ],
)
def test_keys_between_commas(texts: list[str], parts: list[str]) -> None:
    """A comma in quotes, in brackets, or in a name as it stands parts nothing."""
    known = Vocabulary({"params": {}, "metrics": {"f1,macro": Count(1)}, "tags": {}})
    assert several(texts, known) == parts


def test_quotes_and_calls() -> None:
    """As the query language has them."""
    assert unquoted('params."a b"') == "params.a b"
    assert unquoted('params."a""b"') == 'params.a"b'
    assert unquoted("'it''s'") == "it's"
    assert unquoted("`a.b`") == "a.b"
    assert unquoted("it's") == "it's"
    assert told("Max( acc )") == ("max", "acc")
    assert told("mean(max(acc))") == ("mean", "max(acc)")
    assert told("acc") is None
    assert told("max(acc) - min(acc)") is None


@pytest.mark.parametrize(
    ("text", "computed"),
    [
        ("acc / lr", True),
        ("acc/lr", True),
        ("2*acc", True),
        ("metrics.acc - params.lr", True),
        ("max(acc) - min(acc)", True),
        ("(acc + lr) / 2", True),
        ('params."a,b" * 2', True),
        ("akk / lr", True),
        ("acc / (lr", True),
        ("max(acc)", True),
        ("acc", False),
        ("-acc", False),
        ("train/loss", False),
        ("train/lss", False),
        ("lr - acc", False),
        ("`lr - acc`", False),
        ("a*c", False),
        ("metrics.*", False),
        ("*loss*", False),
        ("", False),
    ],
)
def test_what_is_computed_and_what_is_a_name(text: str, computed: bool) -> None:
    """A key, and a pattern that fits some, win over arithmetic; spaces ask for it."""
    metrics = {"acc": Count(1), "train/loss": Count(1), "lr - acc": Count(1)}
    known = Vocabulary({"params": {"lr": Count(1), "a,b": Count(1)}, "metrics": metrics})
    assert is_expression(text, known) is computed


def test_arithmetic_is_asked_for_wherever_a_key_is(five: Path, ask: Ask) -> None:
    """What sorts can be shown, gathered by, counted and laid out, too; and it keeps its sign."""
    done = ask(five, "--columns", "name,acc / lr,-lr + 1", "--sort", "-acc / lr", "-n", "2")
    assert done.rows[0] == ["NAME", "acc", "/", "lr", "-lr", "+", "1"]
    assert done.rows[1:] == [["b-aaaaaa", "90.0", "0.99"], ["c-aaaaaa", "7.0", "0.90"]]
    done = ask(five, "--group-by", "lr * 10", "--columns", "mean(acc / lr)", "--sort", "-lr * 10")
    assert done.rows[1:] == [
        ["10.0", "2", "·"], ["1.0", "2", "6.0"], ["0.1", "1", "90.0"],
    ]  # fmt: skip
    read = json.loads(ask(five, "--distinct", "lr * 10", "--json").out)
    assert read[0] == {"lr * 10": 0.1, "count": 1}
    assert ask(five, "--pivot", "status,lr * 10,acc / lr").rows[2][-3:] == ["90.0", "6.0", "·"]
    done = ask(five, "--columns", "akk / lr")
    assert done.code == 2 and "    akk / lr\n    ^^^\n" in done.err


def test_a_key_is_never_computed(tmp_path: Path, ask: Ask, git: Any) -> None:
    """`train/loss` is a metric before it is a division."""
    git(tmp_path, "init", "-q")
    metrics = {"train": 4, "loss": 2, "train/loss": 7, "train - loss": 8}
    record(tmp_path, 1, "r-aaaaaa", metrics=metrics)
    done = ask(tmp_path, "--columns", "train/loss,train - loss,train / loss")
    assert done.out.splitlines()[1].split() == ["7", "8", "2.0"]
    assert done.out.splitlines()[0].split() == ["train/loss", "train", "-", "loss",
                                                "train", "/", "loss"]  # fmt: skip


def test_nested_runs_are_asked_for_by_their_parent(tmp_path: Path, ask: Ask, git: Any) -> None:
    """CSV has what JSON has, and a query knows it."""
    git(tmp_path, "init", "-q")
    record(tmp_path, 1, "top-aaaaaa")
    above = f"{1:032x}"
    record(tmp_path, 2, "in-aaaaaa", parent=above, parent_name="top-aaaaaa")
    (row,) = csv.DictReader(io.StringIO(ask(tmp_path, "parent is not null", "--csv").out))
    assert (row["name"], row["parent"]) == ("in-aaaaaa", above)
    assert names(ask(tmp_path, f"parent = '{above}'", "--columns", "name,parent")) == ["i"]
    assert names(ask(tmp_path, "parent is null")) == ["t"]
    assert ask(tmp_path, "--group-by", "parent").rows[1:] == [[above, "1"], ["·", "1"]]


# -- groups -----------------------------------------------------------------------------------


def test_groups_are_counted_and_their_metrics_told(five: Path, ask: Ask) -> None:
    """NaN is no number, and a run without the param is a group of its own."""
    done = ask(five, "--group-by", "params.model")
    assert done.rows == [
        ["model", "RUNS", "mean(acc)", "std(acc)", "min(acc)", "max(acc)",
         "mean(loss)", "std(loss)", "min(loss)", "max(loss)"],
        ["mlp", "2", "0.7", "·", "0.7", "0.7", "3.0", "0.0000", "3.0", "3.0"],
        ["rf", "2", "0.7", "0.2828", "0.5", "0.9", "1.5", "0.7071", "1.0", "2.0"],
        ["·", "1", "·", "·", "·", "·", "·", "·", "·", "·"],
    ]  # fmt: skip
    assert done.err == "3 groups of 5 runs\n"


def test_groups_for_programs(five: Path, ask: Ask) -> None:
    """The same numbers, in full."""
    read = json.loads(ask(five, "--group-by", "model", "--json").out)
    assert read[1] == {
        "params.model": "rf", "count": 2,
        "metrics.acc": {"mean": 0.7, "std": read[1]["metrics.acc"]["std"], "min": 0.5, "max": 0.9},
        "metrics.loss": {"mean": 1.5, "std": 0.5**0.5, "min": 1.0, "max": 2.0},
    }  # fmt: skip
    assert read[2]["params.model"] is None and read[2]["metrics.acc"]["mean"] is None
    rows = list(csv.reader(io.StringIO(ask(five, "--group-by", "model", "--csv").out)))
    assert rows[0][:4] == ["params.model", "count", "mean(metrics.acc)", "std(metrics.acc)"]
    assert [row[:3] for row in rows[1:]] == [["mlp", "2", "0.7"], ["rf", "2", "0.7"], ["", "1", ""]]
    lines = ask(five, "--group-by", "model", "--md").out.splitlines()
    assert len(lines) == 5 and lines[0].startswith("| model")


def test_groups_tell_what_is_asked_for(five: Path, ask: Ask) -> None:
    """One statistic of one metric, or those of a param."""
    done = ask(five, "--group-by", "status", "--columns", "max(acc),count(acc),median(lr)")
    assert done.rows[0] == ["STATUS", "RUNS", "max(acc)", "count(acc)", "median(lr)"]
    assert done.rows[2] == ["finished", "4", "0.9", "3", "0.1"]
    head = ask(five, "--group-by", "status", "--columns", "mean(metrics.*)").rows[0]
    assert head[2:] == ["mean(acc)", "mean(loss)"]
    done = ask(five, "--group-by", "status", "--columns", "duration,max(started)", "--md")
    assert "2026-01-01T12:03:00Z" in done.out and "mean(duration)" in done.out
    done = ask(five, "--group-by", "status", "--columns", "model")
    assert done.code == 2
    assert done.err.startswith("error: 'params.model' has no numbers to calculate with\n")


@pytest.mark.parametrize("name", ["count", "runs"])
def test_how_many_runs_a_group_has_may_be_asked_for(five: Path, ask: Ask, name: str) -> None:
    """It is `count` for programs and RUNS for people, and there in any case."""
    done = ask(five, "--group-by", "model", "--columns", name)
    assert done.rows == [["model", "RUNS"], ["mlp", "2"], ["rf", "2"], ["·", "1"]]
    done = ask(five, "--group-by", "model", "--columns", f"{name},max(acc)", "--json")
    assert json.loads(done.out)[1] == {
        "params.model": "rf", "count": 2, "metrics.acc": {"max": 0.9},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        (["-mean(loss)"], ["mlp", "rf", "·"]),
        (["loss"], ["rf", "mlp", "·"]),
        (["min(acc) desc"], ["mlp", "rf", "·"]),
        (["-max(acc)"], ["rf", "mlp", "·"]),
        (["-model"], ["rf", "mlp", "·"]),
        (["count", "-params.model"], ["·", "rf", "mlp"]),
        (["-count,-model"], ["rf", "mlp", "·"]),
        (["-runs,-model"], ["rf", "mlp", "·"]),
    ],
)
def test_groups_are_sorted(five: Path, ask: Ask, keys: list[str], order: list[str]) -> None:
    """By what they show; absent last both ways; a metric by itself is its mean."""
    words = [word for key in keys for word in ("--sort", key)]
    done = ask(five, "--group-by", "model", *words)
    assert [row[0] for row in done.rows[1:]] == order


def test_groups_by_two_keys_and_no_more_than_asked_for(five: Path, ask: Ask) -> None:
    """1 and 1.0 are one value; what is not shown is counted."""
    done = ask(five, "--group-by", "lr,status", "-n", "2", "--columns", "mean(acc)")
    assert done.rows[1:] == [["0.01", "finished", "1", "0.9"], ["0.10", "finished", "2", "0.6"]]
    assert done.err == "2 of 4 groups (-n shows more) of 5 runs\n"


def test_a_narrow_terminal_keeps_the_means(five: Path, ask: Ask) -> None:
    """The spread goes first, the greatest before the least."""
    done = ask(five, "--group-by", "model", width=60)
    assert done.rows[0] == ["model", "RUNS", "mean(acc)", "std(acc)", "mean(loss)", "std(loss)"]
    assert "3 groups of 5 runs · 4 more columns (--columns)" in done.out
    assert all(len(line) <= 60 for line in done.out.splitlines())
    assert ask(five, "--group-by", "model", width=40).rows[0][:4] == [
        "model", "RUNS", "mean(acc)", "mean(loss)",
    ]  # fmt: skip


def test_distinct_values_with_their_counts(five: Path, ask: Ask) -> None:
    """Which values there are, by value."""
    done = ask(five, "--distinct", "lr")
    assert done.rows == [["lr", "RUNS"], ["0.01", "1"], ["0.10", "2"], ["1.00", "2"]]
    assert done.err == "3 values of params.lr in 5 runs\n"
    assert json.loads(ask(five, "--distinct", "lr", "--json", "--sort", "-count").out)[0] == {
        "params.lr": 0.1, "count": 2,
    }  # fmt: skip
    done = ask(five, "--distinct", "params.*")
    assert done.err == "5 combinations of params.lr and params.model in 5 runs\n"


def test_a_pivot(five: Path, ask: Ask) -> None:
    """Mean by default; a cell without runs is empty."""
    done = ask(five, "--pivot", "lr,model,acc")
    assert done.rows == [
        ["lr", "mlp", "rf", "·"],
        ["0.01", "·", "0.9", "·"],
        ["0.10", "0.7", "0.5", "·"],
        ["1.00", "·", "·", "·"],
    ]
    assert done.err == "mean(acc) by lr and model, 5 runs\n"
    assert ask(five, "--pivot", "status,model,max(loss)").rows[2] == ["finished", "3.0", "2.0", "·"]
    assert ask(five, "--pivot", "status,model,count").rows[1:] == [
        ["failed", "·", "·", "1"], ["finished", "2", "2", "·"],
    ]  # fmt: skip
    read = json.loads(ask(five, "--pivot", "status,model,count(acc)", "--json").out)
    assert read[1] == {
        "status": "finished", "params.model": "mlp", "count(metrics.acc)": 1, "count": 2
    }  # fmt: skip
    assert ask(five, "--pivot", "status,model,loss", "--csv").out.splitlines()[:2] == [
        "status,mlp,rf,", "failed,,,",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pivot", "lr,model"], "a pivot is made of three keys, and here are 2"),
        (["--pivot", "lr,model,status"], "'status' has no numbers to calculate with"),
        (["--pivot", "lr,model,acc", "--sort", "acc"], "--sort and --pivot do not go together"),
        (["--group-by", "lr", "--distinct", "lr"], "--group-by and --distinct do not go together"),
        (["--group-by", ""], "no key is named to group by"),
        (["--distinct", ","], "no key is named to group by"),
        (["--group-by", "lr", "--tree"], "--group-by and --tree do not go together"),
        (["--distinct", "lr", "--stale"], "--distinct and --stale do not go together"),
        (["--group-by", "modle"], "no param, metric, tag or attribute named 'modle'"),
        (["--distinct", "x*"], "no param, metric, tag or attribute named 'x*'"),
        (["--group-by", "lr", "--sort", "modle"], "no param, metric, tag or attribute named"),
    ],
)
def test_what_makes_no_table_is_wrong_usage(
    five: Path, ask: Ask, words: list[str], said: str
) -> None:
    """Two lines, exit 2, nothing on stdout."""
    done = ask(five, *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {said}")


@pytest.mark.parametrize("option", ["--group-by=lr", "--distinct=lr", "--pivot=a,b,c"])
def test_without_runs_there_are_no_groups(tmp_path: Path, ask: Ask, git: Any, option: str) -> None:
    """No name can be known then, so none is wrong."""
    git(tmp_path, "init", "-q")
    done = ask(tmp_path, option)
    assert done == (0, "", "no runs yet: git track run -- COMMAND records one\n")
    assert json.loads(ask(tmp_path, option, "--json").out) == []


def test_odd_names_and_values_are_shown_safely(tmp_path: Path, ask: Ask, git: Any) -> None:
    """Names with quotes, dots, spaces, commas; values that would clear the screen."""
    git(tmp_path, "init", "-q")
    odd = 'a "b".c d,é'
    for number, value in enumerate(("\x1b[2J", "=1+1", "ü|<b>")):
        params = {odd: value, "k": number}
        record(tmp_path, number, f"r{number}-aaaaaa", params=params, metrics={"模型": number})
    for words in ([odd], [f"`{odd}`"], [f"params.`{odd}`"]):
        done = ask(tmp_path, "--group-by", *words)
        assert done.code == 0 and not UNSAFE.search(done.out), done.err
        assert "mean(模型)" in done.out.splitlines()[0] and "\\x1b[2J" in done.out
    assert "'=1+1" in ask(tmp_path, "--distinct", odd, "--csv").out
    assert "<" not in ask(tmp_path, "--distinct", odd, "--md").out
    done = ask(tmp_path, "--pivot", f"k,`{odd}`,count", width=80)
    assert "\\x1b[2J" in done.out and not UNSAFE.search(done.out)


# -- the query --------------------------------------------------------------------------------


def test_a_query_is_one_argument(five: Path, ask: Ask) -> None:
    """Without quotes the shell takes `>` for itself: what is left must not be half a query."""
    done = ask(five, "acc", "0.9")
    assert done == (
        2,
        "",
        "error: a query is one argument, and here are 2\n"
        "hint: put quotes around it: `git track ls 'acc 0.9'`\n",
    )
    assert len(ask(five, " ").rows) == 6


def test_a_saved_query_that_is_not_there(five: Path, ask: Ask, git: Any) -> None:
    """How to save one is said, and which is the nearest."""
    done = ask(five, "-q", "good")
    assert done.code == 2
    assert done.err == (
        "error: no query is saved as 'good'\n"
        "hint: `git config track.alias.NAME 'metrics.acc > 0.9'` saves one.\n"
    )
    git(five, "config", "track.alias.goods", "acc > 0.8")
    try:
        assert "did you mean 'goods'?" in ask(five, "-q", "good").err
    finally:
        git(five, "config", "--unset", "track.alias.goods")


def names(done: Said) -> list[str]:
    assert done.code == 0, done.err
    return [row[0][0] for row in done.rows[1:]]


def test_a_query_chooses_runs(five: Path, ask: Ask) -> None:
    """The footer says that it did; everything else is as without one."""
    done = ask(five, "metrics.acc > 0.6 and params.lr <= 0.1", "--sort", "-acc")
    assert names(done) == ["b", "c"]
    assert done.err.startswith("2 runs match")
    done = ask(five, "loss > 0", "-n", "1")
    assert done.err.startswith("1 of 4 runs match (-n shows more)")
    assert ask(five, "acc > 0.6", "--group-by", "model").rows[1][:2] == ["mlp", "1"]
    assert ask(five, "acc > 0.6", "--distinct", "lr").err == "2 values of params.lr in 2 runs\n"
    assert ask(five, "acc > 0.6", "--pivot", "lr,model,count").rows[0] == ["lr", "mlp", "rf"]


def test_what_is_absent_or_nan_comes_last_both_ways(five: Path, ask: Ask) -> None:
    """`--sort -acc` asks for the best, not for the runs that have none."""
    assert names(ask(five, "--sort", "acc")) == ["a", "c", "b", "e", "d"]
    assert names(ask(five, "--sort", "-acc")) == ["b", "c", "a", "e", "d"]
    assert names(ask(five, "--sort", "lr desc,acc")) == ["e", "d", "a", "c", "b"]


@pytest.mark.parametrize("words", [[], ["--group-by", "lr"], ["--pivot", "lr,model,acc"]])
def test_no_run_may_match(five: Path, ask: Ask, words: list[str]) -> None:
    """That is an answer: exit 0, and for programs an empty list."""
    assert ask(five, "acc > 7", *words) == (0, "", "no run matches\n")
    assert json.loads(ask(five, "acc > 7", *words, "--json").out) == []


def test_a_query_that_makes_no_sense_shows_where(five: Path, ask: Ask) -> None:
    """The text, a caret, the nearest name; nothing on stdout."""
    done = ask(five, "acuracy > 0.9 and accc > 1")
    assert (done.code, done.out) == (2, "")
    assert "    acuracy > 0.9 and accc > 1\n    ^^^^^^^\n" in done.err
    for query in ("acc >", "acc == 1", "model > 3", "(" * 10_000, "\x1b[2J", "é\0"):
        done = ask(five, query)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: ") and "bug" not in done.err


def test_saved_queries_and_the_given_one_must_all_hold(five: Path, ask: Ask, git: Any) -> None:
    """Each is whole by itself: brackets that do not match cannot reach into the next one."""
    git(five, "config", "track.alias.good", "acc > 0.4 or acc > 0.8")
    git(five, "config", "track.alias.odd", "acc > 1) or (acc < 9")
    try:
        assert names(ask(five, "-q", "good", "lr = 0.1")) == ["c", "a"]
        assert names(ask(five, "-q", "GOOD", "-q", "good", "loss > 2 or loss = 1")) == ["c", "b"]
        assert ask(five, "-q", "odd", "lr = 0.1").code == 2
    finally:
        git(five, "config", "--remove-section", "track.alias")


def test_columns_and_keys_that_are_computed(five: Path, ask: Ask) -> None:
    """In tables, in CSV, and in JSON beside the records; they sort, and then have a column."""
    done = ask(five, "--columns", "name,max(loss),params.lr*100", "--sort", "-max(loss)", "-n", "1")
    assert done.rows == [["NAME", "max(loss)", "params.lr*100"], ["d-aaaaaa", "3.0", "100"]]
    done = ask(five, "--columns", "name,max(loss)", "--sort", "-max(loss),name")
    assert done.rows[0] == ["NAME", "max(loss)"]
    assert [row[1] for row in done.rows[1:]] == ["3.0", "3.0", "2.0", "1.0", "·"]
    assert "max(loss)" in ask(five, "--sort", "max(loss)").out.splitlines()[0]
    assert "0.5*loss" in ask(five, "--sort", "0.5*loss").rows[0]
    rows = list(csv.reader(io.StringIO(ask(five, "--columns", "name,max(loss)", "--csv").out)))
    assert rows[:2] == [["name", "max(loss)"], ["e-aaaaaa", ""]]
    read = json.loads(ask(five, "--columns", "name,max(loss)", "--json", "--sort", "name").out)
    assert [run["values"]["max(loss)"] for run in read] == [2.0, 1.0, 3.0, 3.0, None]
    assert ask(five, "--columns", "maxx(loss)").code == 2
    head = ask(five, "--group-by", "status", "--columns", "mean(max(loss)),first(loss)").rows[0]
    assert head[2:4] == ["mean(max(loss))", "mean(first(loss))"]


@pytest.mark.parametrize("key", ["loss * lr", "loss * lr desc", "-loss / lr"])
def test_a_key_that_is_calculated_has_a_column(five: Path, ask: Ask, key: str) -> None:
    """A calculation calls no function, and sorts all the same."""
    done = ask(five, "--sort", key, "-n", "1")
    assert (done.code, done.err.count("error")) == (0, 0)
    assert key.removesuffix(" desc").removeprefix("-") in done.out.splitlines()[0]


@pytest.mark.parametrize(
    ("shown", "total", "exact", "matched", "text"),
    [
        (3, 3, True, False, "3 runs"),
        (1, 1, True, True, "1 run matches"),
        (50, 12345, True, True, "50 of 12,345 runs match (-n shows more)"),
        (50, 5000, False, True, "50 of more than 5,000 runs match (-n shows more)"),
        (50, 60, True, False, "50 of 60 runs (-n shows more)"),
        (0, 1, True, False, "0 of 1 run (-n shows more)"),
    ],
)
def test_how_many_there_are(shown: int, total: int, exact: bool, matched: bool, text: str) -> None:
    """What is not shown is named, never guessed."""
    assert counted(shown, total, exact, matched=matched) == text


def test_words_of_a_query_are_completed(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key where a value begins, then an operator, then what joins comparisons."""
    monkeypatch.chdir(five)

    def offered(text: str) -> list[str]:
        items = queries(None, None, text)  # type: ignore[arg-type]
        return [str(item.value)[len(text) :] for item in items]

    assert offered("metrics.a") == ["cc"]
    assert offered("acc > 0.5 and lo") == ["ss"]
    assert offered("not (mod") == ["el"]
    assert offered("acc > 0.5 ") == ["and ", "or "]
    assert {"=", "in", "like", ">="} <= set(offered("model "))
    assert offered("model = ") == []
    assert "max(" in offered("")
    assert offered("max(ac") == ["c"]


def test_an_index_that_cannot_be_used_is_told(tmp_path: Path, ask: Ask, git: Any) -> None:
    """The answer comes all the same, slower, and why it was slow is one line."""
    git(tmp_path, "init", "-q")
    record(tmp_path, 1, "a-aaaaaa", metrics={"acc": 1})
    assert ask(tmp_path).err.startswith("1 run")
    (index,) = (tmp_path / ".git" / "gittrack").glob("index-*.sqlite")
    for file in index.parent.glob(index.name + "*"):
        file.unlink()
    index.mkdir()
    done = ask(tmp_path, "acc = 1")
    assert names(done) == ["a"]
    assert done.err.startswith("warning: ") and "1 run matches" in done.err
