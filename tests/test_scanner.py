"""Output lines give the metrics that they state, exactly, and prose gives none."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.errors import UsageError
from gittrack.records import Row
from gittrack.scanner import LONGEST_LINE, Scanner, check_patterns


def scan(output: str | bytes) -> list[tuple[int | None, dict[str, Any]]]:
    data = output.encode() if isinstance(output, str) else output
    scanner = Scanner()
    rows = scanner.feed(data, 1.0) + scanner.close(2.0)
    return [(row.step, dict(row.values)) for row in rows]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("accuracy: 0.98", {"accuracy": 0.98}),
        ("acc=0.93", {"acc": 0.93}),
        ("acc = 0.93", {"acc": 0.93}),
        ("  acc : 0.93  ", {"acc": 0.93}),
        ("n: 12", {"n": 12}),
        ("loss: -1.5e-3", {"loss": -0.0015}),
        ("loss: nan", {"loss": math.nan}),
        ("loss: -inf, acc: NaN", {"loss": -math.inf, "acc": math.nan}),
        ("loss:0.25 train-rmse:0.5", {"loss": 0.25, "train-rmse": 0.5}),
        ("loss=1,acc=2", {"loss": 1, "acc": 2}),
        ("loss: 1, acc: 2", {"loss": 1, "acc": 2}),
        ("loss: 1 acc: 2", {"loss": 1, "acc": 2}),
        ("loss: 1 | acc: 2", {"loss": 1, "acc": 2}),
        ("loss: 1; acc: 2;", {"loss": 1, "acc": 2}),
        ("loss: 1 - acc: 2", {"loss": 1, "acc": 2}),
        ("loss: 1\tacc: 2", {"loss": 1, "acc": 2}),
        ("val/acc@5: .5", {"val/acc@5": 0.5}),
        ("top-1.acc_%: 5", {"top-1.acc_%": 5}),
        ("Test accuracy: 0.9", {"Test_accuracy": 0.9}),
        ("best val loss: 0.3, val loss: 0.4", {"best_val_loss": 0.3, "val_loss": 0.4}),
        ('{"loss": 0.1, "n": 3, "x": NaN}', {"loss": 0.1, "n": 3, "x": math.nan}),
        ('{"Größe": 1, "a b": 2}', {"Größe": 1, "a b": 2}),
        ("{'loss': 0.1, 'lr': 5e-05}", {"loss": 0.1, "lr": 5e-05}),
        ("x: 0.1000000000000000055511151231257827", {"x": 0.1}),
        ("n: 12345678901234567890", {"n": 12345678901234567890}),
    ],
)
def test_lines_that_state_metrics(line: str, values: dict[str, Any]) -> None:
    """A user's own print is enough to be tracked."""
    [(step, found)] = scan(line + "\n")
    assert step is None
    assert repr(found) == repr(values)


@pytest.mark.parametrize(
    "line",
    [
        "Loaded 3 files: 12",
        "http://host:8080",
        "host:8080",
        "12:30",
        "12:30:45",
        "at: 12:30",
        "date: 2024-01-01",
        "Error: 5 things",
        "Total: 5 items",
        "Total: 5.",
        "version: 1.2.3",
        "version: 1.2",
        "port: 8080",
        "lr: 0.1 (was 0.2)",
        "acc: 93%",
        "acc: 93 %",
        "time: 3.2s",
        "size: 12 MB",
        "loss: 1,000",
        "loss: 1_000",
        "loss: 0x10",
        "The loss: 0.3",
        "Number of parameters: 12",
        "This run has accuracy: 0.3",
        "loss: 0.3 acc",
        "loss 0.3",
        "loss:",
        "loss: ",
        "=5",
        ": 5",
        "5: 5",
        "loss: 1 loss: 2",
        "shape: (3, 4)",
        "ids: [1, 2]",
        "- total: 5",
        "# total: 5",
        "loss: 0.1 -> 0.2",
        "loss = 0.3 + 0.1",
        "2024-01-01 12:00:00 INFO loss: 0.2",
        "Downloading: 100%|████| 3/3 [00:00<00:00]",
        "{}",
        "{",
        "}",
        '{"loss": true}',
        '{"loss": "0.1"}',
        '{"loss": null}',
        '{"a": {"loss": 0.1}}',
        '{"loss": 0.1, "note": "x"}',
        '{"loss": 0.1, "loss": 0.2}',
        '{"": 0.1}',
        '{"a\\n": 0.1}',
        '[{"loss": 0.1}]',
        '{"loss": 0.1} {"loss": 0.2}',
        "{'loss': True}",
        "{'loss': 0.1 'x': 2}",
        "{'loss', 3}",
        "{loss: 0.1}",
        "Traceback (most recent call last):",
        "Epoch 3: loading 5",
        "Step 1: 5",
        "epoch 3 of the story",
        "n: " + "9" * 400,
        "lo\u017fs: 1",
        "loss: \u0663",
        "",
        "=" * 80,
    ],
)
def test_prose_states_none(line: str) -> None:
    """One false metric in the table costs more trust than a missed one."""
    assert scan(line + "\n") == []
    assert scan(line + "\nreal: 1\n") == [(None, {"real": 1})]


@pytest.mark.parametrize(
    ("output", "rows"),
    [
        ("epoch 3: loss=0.2\n", [(3, {"loss": 0.2})]),
        ("Epoch 3/10\nloss: 1\nEpoch 4/10\nloss: 2\n", [(3, {"loss": 1}), (4, {"loss": 2})]),
        ("[epoch 3] loss: 0.2\n", [(3, {"loss": 0.2})]),
        ("Epoch [1/5], Step [100/600], Loss: 0.2\n", [(100, {"epoch": 1, "Loss": 0.2})]),
        ("Epoch 3 of 10 | loss: 0.2\n", [(3, {"loss": 0.2})]),
        ("Epoch 3 - loss: 0.2 - acc: 1\n", [(3, {"loss": 0.2, "acc": 1})]),
        ("=== Epoch 3 ===\nloss: 1\n", [(3, {"loss": 1})]),
        ("Epoch 3:\nloss: 1\nacc: 2\n", [(3, {"loss": 1}), (3, {"acc": 2})]),
        ("step=3\nloss: 1\n", [(3, {"loss": 1})]),
        ("loss: 0.2 step: 7\nacc: 1\n", [(7, {"loss": 0.2}), (7, {"acc": 1})]),
        ("global_step: 5, step: 2, loss: 1\n", [(5, {"step": 2, "loss": 1})]),
        ("iter 5 loss: 1\nIteration: 6, loss: 2\n", [(5, {"loss": 1}), (6, {"loss": 2})]),
        ('{"step": 4, "loss": 1}\n', [(4, {"loss": 1})]),
        ('{"step": 4}\nloss: 1\n', [(4, {"loss": 1})]),
        ('epoch 3: {"loss": 0.2}\n', [(3, {"loss": 0.2})]),
        ("{'loss': 1, 'epoch': 0.5}\n", [(None, {"loss": 1, "epoch": 0.5})]),
        ("loss: 1\nepoch: 1\nloss: 2\n", [(None, {"loss": 1}), (1, {"loss": 2})]),
        ("epoch: 1\n", []),
        ("epoch: 2.0\nstep: 5, epoch: 2\nglobal step 9, step=5\n", []),
        ('{"step": 5, "epoch": 1}\nloss: 1\n', [(5, {"loss": 1})]),
        (f"step: {2**63}, loss: 1\n", [(None, {"step": 2**63, "loss": 1})]),
    ],
)
def test_the_step_is_on_the_line_or_before_it(output: str, rows: list[Any]) -> None:
    """So a printed loss is a curve."""
    assert scan(output) == rows


@pytest.mark.parametrize(
    "name", ["Step", "global step", "GLOBAL_STEP", "epoch", "Iteration", "iter"]
)
@pytest.mark.parametrize("form", ["{} 3", "{}: 3", "{}=3", "[{} 3/9]", "{} #3", "{}[3]", "{}\t3:"])
def test_a_step_is_announced_in_many_ways(name: str, form: str) -> None:
    """On a line of its own, which is no metric itself."""
    assert scan(form.format(name) + "\nloss: 1\n") == [(3, {"loss": 1})]


@pytest.mark.parametrize(
    "output",
    [
        b"\x1b[32mloss: 0.5\x1b[0m\n",
        b"\x1b]0;title\x07loss: 0.5\n",
        b"\x1b[2K\x1b[1Gloss\x1b[1m: 0.5\x1b(B\x1b[m  \n",
        b"10%\r50%\rloss: 0.5\n",
        b"loss: 0.1\rloss: 0.5\r\n",
        b"loss: 0.5\r\r\n",
        b"x" * 10_000 + b"\rloss: 0.5\n",
        b"loss: 0.5",
        b"\xff\xfe garbage 5\nloss: 0.5\n",
        b"\r  0%|          | 0/3 [00:00<?, ?it/s]loss: 0.5\r\n\r 33%|###3    ",
        "\rfit: 33%|███▎  | 1.2k/3.6k [00:01<00:02, 1.3it/s, lr=0.1]  loss: 0.5\n".encode(),
        b"\r7it [00:01,  6.98it/s]loss: 0.5\n",
        "\r\x1b[2KWork \x1b[31m━━━╸━━━\x1b[0m  33% \x1b[36m0:00:02\x1b[0mloss: 0.5\n".encode(),
        b"\rloss\x1b[1m:\x1b[0m \x1b[32m0.5",
        b"x" * 10_000 + b"\nloss: 0.5\n",
    ],
)
def test_what_is_seen_on_the_terminal_counts(output: bytes) -> None:
    """Colours and progress bars must not hide a metric, nor an overwritten state be one."""
    assert scan(output) == [(None, {"loss": 0.5})]


def test_a_step_stands_before_the_metric_behind_a_bar() -> None:
    """`print` inside a loop over tqdm, both on one terminal."""
    bar = " {:>3}%|###       | {}/3 [00:00<00:01, 2.0it/s]"
    lines = [f"\r{bar.format(n, n)}epoch {n} loss: {n}.5\r\n" for n in range(3)]
    assert scan("".join(lines)) == [(n, {"loss": n + 0.5}) for n in range(3)]
    assert scan(bar.format(3, 3) + "\n" + bar.format(3, 3) + "done: 5 things\n") == []


def test_a_line_over_the_limit_is_no_metric() -> None:
    """However it is cut into pieces; one byte less is."""
    line = b"a" * (LONGEST_LINE - 3) + b"=12"
    assert len(scan(line[1:] + b"\n")) == 0, "a key that long is none either"
    padded = b" " * (LONGEST_LINE - 3) + b"a=1"
    assert scan(padded + b"\r\r\r\n") == [(None, {"a": 1})]
    assert scan(b" " + padded + b"\n") == []
    scanner = Scanner()
    assert scanner.feed(b" " + padded[:5], 0) + scanner.feed(padded[5:] + b"\n", 0) == []


_piece = st.sampled_from(
    [b"loss: 1", b"\n", b"\r", b"\r\n", b"epoch 3", b", ", b"acc=2", b"\x1b[0m", b"x", b" " * 4090,
     b'{"a": 1}', b"\xc3", b"\xa9", b" ", b" 5%| | 1/3 [0<1, 2/s]", b"=\x1b[1mna", b"n", b"inf",
     b"epoch  a", b"1 2", b"[1]\tb:2", b"{'c': '1', 'epoch': '2'}"]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(_piece, max_size=12).map(b"".join), st.lists(st.integers(0, 9000), max_size=6))
def test_how_the_output_is_cut_changes_nothing(output: bytes, cuts: list[int]) -> None:
    """The kernel cuts where it likes."""
    scanner, rows, start = Scanner(), [], 0
    for cut in [*sorted(cuts), len(output)]:
        rows += scanner.feed(output[start:cut], 1.0)
        start = max(start, cut)
    rows += scanner.close(2.0)
    assert [(row.step, dict(row.values)) for row in rows] == scan(output)


@settings(deadline=None)
@given(st.floats(), st.integers(-(10**30), 10**30))
def test_numbers_are_exact(real: float, whole: int) -> None:
    """What was printed with all its digits is kept with all of them."""
    [(_, found)] = scan(f"real: {real!r}, whole={whole}\n")
    assert repr(found) == repr({"real": real, "whole": whole})
    [(_, found)] = scan(json.dumps({"real": real, "whole": whole}) + "\n")
    assert repr(found) == repr({"real": real, "whole": whole})


def test_rows_have_the_time_of_their_line() -> None:
    """A line counts when it ends."""
    scanner = Scanner()
    assert scanner.feed(b"loss: 1\nlo", 1.0) == [Row(None, 1.0, {"loss": 1})]
    assert scanner.feed(b"ss: 2", 2.0) == []
    assert scanner.feed(b"\n", 3.0) == [Row(None, 3.0, {"loss": 2})]
    assert scanner.close(4.0) == []


def test_an_endless_line_takes_no_memory() -> None:
    """A progress bar may never end its line; a binary stream may have no lines at all."""
    scanner = Scanner()
    for _ in range(1000):
        scanner.feed(b"x" * 10_000, 0.0)
        assert len(scanner._partial) <= LONGEST_LINE + 1
    for n in range(1000):
        scanner.feed(b"\r%d/1000 " % n + b"#" * 100, 0.0)
        assert len(scanner._partial) <= LONGEST_LINE + 1
    assert scanner.feed(b"\rloss: 1\n", 0.0) == [Row(None, 0.0, {"loss": 1})]


PROSE = (
    b"2024-01-01 12:00:00,123 INFO worker 7: loaded 12 files in 3.2 s from /data/train/part-0001\n"
    b"This sentence: tells of 5 things and ends in a number like 12\n"
    b"Downloading shards: 100%|##########| 3/3 [00:00<00:00, 12.3it/s]\n"
    b"    at module.function (file.py:12) with information: none\n"
)


HOSTILE = [
    b"a:" * 1500 + b"1\n",
    b"train " * 600 + b"1\n",
    b"{" * 3000 + b"1}\n",
    b"a=1 " * 900 + b"x 1\n",
    b"{'a':1," * 500 + b"}\n",
    b"\x1b]" * 2000 + b"1\n",
    b"epoch " * 600 + b"1\n",
    b"0%|| 0/0 [" * 400 + b"1\n",
    b"n " * 2000 + b"1\n",
]


SHORT = b"y\nso many words and 12 more of them\nitem 1234\n56\nprocessing 12 of 5000\n"


@pytest.mark.parametrize("line", [PROSE, SHORT, *HOSTILE])
def test_a_megabyte_of_prose_costs_little(line: bytes) -> None:
    """The scanner stands between the program and the user's terminal."""
    output = line * (1_000_000 // len(line))
    best = math.inf
    for _ in range(3):
        scanner = Scanner()
        began = time.process_time()
        assert scanner.feed(output, 0.0) == []
        best = min(best, time.process_time() - began)
    assert best < (1.0 if line in HOSTILE else 0.1 if line is PROSE else 0.05)


# -- the user's own expressions -----------------------------------------------------------------


def own(output: str | bytes, *patterns: str) -> list[tuple[int | None, dict[str, Any]]]:
    data = output.encode() if isinstance(output, str) else output
    scanner = Scanner(patterns)
    rows = scanner.feed(data, 1.0) + scanner.close(2.0)
    assert scanner.troubles() == []
    return [(row.step, dict(row.values)) for row in rows]


_PAIRS = r"(?P<name>[\w/]+) is (?P<value>\S+)"


@pytest.mark.parametrize(
    ("pattern", "output", "rows"),
    [
        ("loss=(?P<loss>[0-9.]+)", "so loss=0.2 s\n", [(None, {"loss": 0.2})]),
        (r"loss (?P<loss>\S+)", "loss 1e-3\n", [(None, {"loss": 1e-3})]),
        (r"loss (?P<loss>\S+)", "loss nan\n", [(None, {"loss": math.nan})]),
        (r"r(?P<step>\d+) (?P<loss>\S+)", "r7 0.5\n", [(7, {"loss": 0.5})]),
        (r"(?P<epoch>\d)/(?P<step>\d) (?P<l>\S)", "1/7 5\n", [(7, {"epoch": 1, "l": 5})]),
        (r"round (?P<step>\d+) of", "round 3 of 5\nloss: 1\n", [(3, {"loss": 1})]),
        (_PAIRS, "a/b is 1 c is 2.5\n", [(None, {"a/b": 1, "c": 2.5})]),
        (_PAIRS + r"|@(?P<step>\d+)", "a is 1 b is 2 @9 x\n", [(9, {"a": 1, "b": 2})]),
        ("(?P<name>[0-9]+)x", "12x\n", [(None, {"name": 12})]),
        ("acc (?P<acc>[0-9.]+)%", "acc 93.5%\n", [(None, {"acc": 93.5})]),
        ("loss: (?P<train>[0-9.]+)", "loss: 1\n", [(None, {"train": 1})]),
        ("loss (?P<loss>[0-9.]+)", "loss: 1\n", [(None, {"loss": 1})]),
        ("a(?P<a>[0-9]) (?:b(?P<b>[0-9]))?", "a1 c\n", [(None, {"a": 1})]),
        ("l(?P<l>[0-9])", "l1 l2\n", [(None, {"l": 2})]),
        ("l(?P<l>[0-9])", "l1\rl2\n", [(None, {"l": 2})]),
        ("l(?P<l>[0-9])", "\x1b[1ml\x1b[0m3\nl4", [(None, {"l": 3}), (None, {"l": 4})]),
        ("l(?P<l>[0-9])", b"\xff l1 \xfe\n", [(None, {"l": 1})]),
        ("^(?P<l>[0-9])$", "1\n2 x\n\n3\n", [(None, {"l": 1}), (None, {"l": 3})]),
        ("Verlust (?P<Größe>[0-9]+)", "Verlust 3\n", [(None, {"Größe": 3})]),
    ],
)
def test_the_users_expressions_come_first(
    pattern: str, output: str | bytes, rows: list[Any]
) -> None:
    """What a line means is theirs to say; other lines mean what they always do."""
    assert repr(own(output, pattern)) == repr(rows)


def test_several_expressions_may_meet_on_a_line() -> None:
    """One for the step, one for each kind of number."""
    rows = own("a=1 @9 x\n", r"(?P<name>\w+)=(?P<value>\d+)", r"@(?P<step>\d+)")
    assert rows == [(9, {"a": 1})]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("loss=([0-9]+)", "no named group"),
        ("", "no named group"),
        ("(?P<loss", "cannot be read"),
    ],
)
def test_an_expression_that_gives_nothing_is_refused(pattern: str, why: str) -> None:
    """Before the command starts: afterwards the hours are gone."""
    check_patterns(["(?P<x>a)"])
    for refuse in (lambda: check_patterns(["(?P<x>a)", pattern]), lambda: Scanner([pattern])):
        with pytest.raises(UsageError, match=why) as caught:
            refuse()
        assert caught.value.hint


def test_what_is_no_number_is_said_once() -> None:
    """An expression that is nearly right would be silent for ever."""
    scanner = Scanner([r"loss=(?P<loss>\S+)", r"(?P<name>\S*) is (?P<value>\d+)"])
    rows = scanner.feed(b"so loss=0.5,\nloss=high\nloss=1\nso  is 5\n", 0.0)
    assert [dict(row.values) for row in rows] == [{"loss": 1}]
    first, second = scanner.troubles()
    assert "'0.5,' for 'loss', which is no number" in first
    assert "which is no name" in second
    assert scanner.feed(b"loss=high\n", 0.0) == [] and scanner.troubles() == []


def test_an_expression_that_takes_too_long_is_given_up() -> None:
    """The program must not wait for us; a second in all is what it may cost."""
    scanner = Scanner([".*?" * 60 + "(?P<x>b)[c]", "loss=(?P<loss>[0-9]+)"])
    began = time.process_time()
    for _ in range(100):
        scanner.feed(b"ab" * 2000 + b"\n", 0.0)
        said = scanner.troubles()
        if said:
            break
    assert len(said) == 1 and "not looked for any more" in said[0]
    rows = scanner.feed((b"ab" * 2000 + b"\nloss=1\n") * 1000, 0.0)
    assert len(rows) == 1000
    assert time.process_time() - began < 6


@pytest.mark.parametrize("line", [PROSE, SHORT])
def test_expressions_cost_little_on_other_lines(line: bytes) -> None:
    """A search of each expression in each line is what it takes; the peer does only that."""
    expressions = [r"loss=(?P<loss>[0-9.]+)", r"accuracy\s+(?P<acc>\S+)"]
    output = line * (250_000 // len(line))

    def ours() -> float:
        scanner = Scanner(expressions)
        began = time.process_time()
        assert scanner.feed(output, 0.0) == []
        return time.process_time() - began

    def peer() -> float:
        made = [regex.compile(expression) for expression in expressions]
        began = time.process_time()
        for text in output.split(b"\n"):
            assert not any(one.search(text.decode(), timeout=1) for one in made)
        return time.process_time() - began

    rounds = [(ours(), peer()) for _ in range(3)]
    assert min(cost for cost, _ in rounds) < 4 * min(cost for _, cost in rounds)


def test_an_expression_that_is_a_little_slow_on_each_of_many_lines_is_given_up() -> None:
    """Whoever prints waits for whoever looks: no single line takes long, a hundred thousand do."""
    scanner = Scanner(["(a+)+(?P<loss>[0-9]+)$", "x=(?P<x>[0-9]+)"])
    line = b"a" * 40 + b"! x=1\n"
    start, lines = time.perf_counter(), 0
    troubles: list[str] = []
    while not troubles and time.perf_counter() - start < 12:
        assert [row.values["x"] for row in scanner.feed(line * 100, 0.0)] == [1] * 100
        lines += 100
        troubles = scanner.troubles()
    assert lines > 1000
    assert ["takes too long on this output" in sentence for sentence in troubles] == [True]
