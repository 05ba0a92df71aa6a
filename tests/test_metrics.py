"""Output lines and files give the metrics that they state, exactly, and prose gives none."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import metrics
from gittrack.errors import BadFile
from gittrack.metrics import Scanner
from gittrack.records import Row


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
    line = b"a" * (metrics.LONGEST_LINE - 3) + b"=12"
    assert len(scan(line[1:] + b"\n")) == 0, "a key that long is none either"
    padded = b" " * (metrics.LONGEST_LINE - 3) + b"a=1"
    assert scan(padded + b"\r\r\r\n") == [(None, {"a": 1})]
    assert scan(b" " + padded + b"\n") == []
    scanner = Scanner()
    assert scanner.feed(b" " + padded[:5], 0) + scanner.feed(padded[5:] + b"\n", 0) == []


_piece = st.sampled_from(
    [b"loss: 1", b"\n", b"\r", b"\r\n", b"epoch 3", b", ", b"acc=2", b"\x1b[0m", b"x", b" " * 4090,
     b'{"a": 1}', b"\xc3", b"\xa9", b" ", b" 5%| | 1/3 [0<1, 2/s]", b"=\x1b[1mna", b"n", b"inf"]
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
        assert len(scanner._partial) <= metrics.LONGEST_LINE + 1
    for n in range(1000):
        scanner.feed(b"\r%d/1000 " % n + b"#" * 100, 0.0)
        assert len(scanner._partial) <= metrics.LONGEST_LINE + 1
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


# Files.


def rows_of(path: Path) -> list[tuple[int | None, float, dict[str, Any]]]:
    return [(r.step, r.time, dict(r.values)) for r in metrics.from_file(path, time=9.0)[0]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", '{"acc": 0.9, "val": {"n": 3, "ok": true}, "note": "x", "l": [1], "z": null}'),
        ("m.yaml", "acc: 0.9\nval: {n: 3, ok: true}\nnote: x\nl: [1]\nz:\n"),
        ("m.yml", "acc: 0.9\nval.n: 3\n"),
        ("m.toml", "acc = 0.9\nval.n = 3\n"),
        ("m.csv", "acc,val.n\n0.9,3\n"),
        ("m.TSV", "acc\tval.n\n0.9\t3\n"),
    ],
)
def test_every_kind_of_file_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    """Only numbers are metrics; a truth value is none."""
    (tmp_path / name).write_text(text)
    assert rows_of(tmp_path / name) == [(None, 9.0, {"acc": 0.9, "val.n": 3})]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "Step,loss,acc\n1,0.5,\n2,,0.9\n\n3,,\n"),
        ("m.csv", "\ufeffstep , loss,acc\r\n1, 0.5 ,\r\n2,,0.9\r\n"),
        ("m.csv", ',step,loss,acc\n0,1.0,0.5,\n1,2.0,,"0.9"\n'),
        ("m.tsv", "acc\tstep\tloss\n\t1\t0.5\n0.9\t2\n"),
        ("m.json", '[{"step": 1, "loss": 0.5}, {"step": 2, "acc": 0.9}]'),
        ("m.json", '{"step": 1, "loss": 0.5}\n{"step": 2, "acc": 0.9}\n'),
        ("m.jsonl", '{"iter": 1, "loss": 0.5}\n\n{"iter": 2, "acc": 0.9}'),
        ("m.yaml", "- {epoch: 1, loss: 0.5}\n- {epoch: 2, acc: 0.9}\n"),
    ],
)
def test_series_have_steps(tmp_path: Path, name: str, text: str) -> None:
    """A table or a list of points is a curve."""
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert rows_of(tmp_path / name) == [(1, 9.0, {"loss": 0.5}), (2, 9.0, {"acc": 0.9})]


def test_the_finest_step_is_the_step_and_time_is_the_time(tmp_path: Path) -> None:
    """Lightning writes epoch and step side by side."""
    (tmp_path / "m.csv").write_text("epoch,step,Time,loss\n0,10,1.5,0.1\n1,20,3,nan\n")
    [first, second] = rows_of(tmp_path / "m.csv")
    assert first == (10, 1.5, {"epoch": 0, "loss": 0.1})
    assert second[:2] == (20, 3.0) and math.isnan(second[2]["loss"])


def test_a_mapping_keeps_its_epoch(tmp_path: Path) -> None:
    """At the end of a run, `epoch: 7` is a result: how long it took."""
    (tmp_path / "m.json").write_text('{"epoch": 7, "time": 3.5, "acc": NaN}')
    [(step, at, values)] = rows_of(tmp_path / "m.json")
    assert (step, at, list(values)) == (None, 9.0, ["epoch", "time", "acc"])


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("m.csv", b"step,loss\n1,low\n2,high\n", "line 2, column 'loss': 'low'"),
        ("m.csv", b"b\nTrue\n", "line 2, column 'b'"),
        ("m.csv", b"a,b\n1,2,3\n", "line 2 has 3 cells"),
        ("m.csv", b"a,a\n1,2\n", "two columns 'a'"),
        ("m.csv", b"a,b\n", "no number"),
        ("m.csv", b"", "no number"),
        ("m.csv", b'a\n"1\n', "line 2"),
        ("m.csv", b"a\n1_000\n", "'1_000'"),
        ("m.csv", b"a\n" + b"9" * 400, "no number"),
        ("m.csv", b"a\n" + b"9" * 200_000, "line 2"),
        ("m.csv", b"a\x1b\n1\n", "character"),
        ("m.csv", b"a\n\xff\n", "UTF-8 (line 2)"),
        ("m.csv", b"a\n1e400\n", "'1e400' is no number"),
        ("m.json", b"{}", "no number"),
        ("m.json", b'{"a": "x"}', "no number"),
        ("m.json", b"[1, 2]", "neither a mapping"),
        ("m.json", b"3", "neither a mapping"),
        ("m.json", b'{"a": 1,}', "line 1"),
        ("m.json", b'{"a": 1e400}', "'a' is too large"),
        ("m.jsonl", b'{"a"\n', "line 1"),
        ("m.json", b'{"a": 1}\n{"a": x\n', "line 2"),
        ("m.json", b'{"a": 1, "a": 2}', "'a' stands twice"),
        ("m.json", b'{"a.b": 1, "a": {"b": 2}}', "'a.b'"),
        ("m.json", b'{"a":' * 100_000, "deep"),
        ("m.jsonl", b"1\n2\n", "neither a mapping"),
        ("m.yaml", b"a: [1\n", ""),
        ("m.yaml", b"# nothing\n", "neither a mapping"),
        ("m.yaml", b"- 1\n", "neither a mapping"),
        ("m.txt", b"a: 1", "is no .yaml, .json, .csv or .tsv file"),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    """One line that names the file and the place; no traceback."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadFile) as caught:
        metrics.from_file(path, time=0.0)
    assert says in caught.value.message
    assert name in caught.value.message and caught.value.path == str(path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "text", "rows", "says"),
    [
        (
            "m.csv",
            "step,loss,acc\n1,abc,0.5\n2,0.25,\n3,x,y\n",
            [(1, {"acc": 0.5}), (2, {"loss": 0.25})],
            "line 2, column 'loss': 'abc' is no number; 3 entries were left out",
        ),
        ("m.csv", "a,b\n1e400,2\n", [(None, {"b": 2})], "'a': '1e400' is no number; 1 entry was"),
        ("m.csv", "a,b\n1,2,3\n4,5\n", [(None, {"a": 4, "b": 5})], "line 2 has 3 cells, but"),
        ("m.csv", "a,\n1,2\n", [(None, {"a": 1})], "line 2: column 2 has no name; 1 entry"),
        ("m.csv", "a\x1b,b\n1,2\n", [(None, {"b": 2})], "character"),
        ("m.csv", "time,a\ninf,1\n", [(None, {"a": 1})], "line 2: its time is not finite"),
        ("m.csv", 'a\n1\n"2\n', [(None, {"a": 1})], "after line 2 is no table"),
        (
            "m.csv",
            "step,acc,loss\n1,0.5,2\n3,0.",
            [(1, {"acc": 0.5, "loss": 2})],
            "line 3 breaks off; 1 entry",
        ),
        ("m.json", '{"a": 1e400, "b": 2}', [(None, {"b": 2})], "'a' is too large; 1 entry"),
        ("m.json", '{"a": 1%s, "b": 2}' % ("0" * 400), [(None, {"b": 2})], "'a' is too large"),
        ("m.json", '{"a\\n": 1, "b": 2}', [(None, {"b": 2})], "character"),
        ("m.json", '[{"step": 1, "a": 2}, 3]', [(1, {"a": 2})], "item 2 is no mapping; 1 entry"),
        ("m.json", '{"a": 1}\n{"a": }\n', [(None, {"a": 1})], "line 2 cannot be read as"),
        ("m.jsonl", '{"a": 1}\n\n{"a"', [(None, {"a": 1})], "line 3 cannot be read as JSON; 1"),
    ],
)
def test_what_can_be_read_of_a_broken_file_is_kept(
    tmp_path: Path, name: str, text: str, rows: list[Any], says: str
) -> None:
    """One bad cell must not cost a day of training; one sentence says what is missing."""
    (tmp_path / name).write_text(text)
    found, [fault] = metrics.from_file(name, time=9.0, directory=tmp_path)
    assert [(row.step, dict(row.values)) for row in found] == rows
    assert all(row.time == 9.0 for row in found)
    assert fault.startswith(f"in the metrics file '{name}', ") and says in fault
    assert fault.endswith(" left out") and "\n" not in fault


def test_what_makes_sense_has_no_fault(tmp_path: Path) -> None:
    """Texts and lists beside the numbers are no mistake, nor is a comma at the end of each line."""
    (tmp_path / "m.json").write_text('{"a": 1, "note": "x", "l": [1], "ok": true, "z": null}')
    (tmp_path / "m.csv").write_text("a,b,\n1,,\n")
    for name in ("m.json", "m.csv"):
        assert metrics.from_file(name, time=9.0, directory=tmp_path) == (
            [Row(None, 9.0, {"a": 1})],
            [],
        )


def test_what_can_never_be_a_metrics_file_is_refused_at_once(tmp_path: Path) -> None:
    """In the words of who typed it; one that is not there yet is what the run is to write."""
    (tmp_path / "out.csv").mkdir()
    for name, says in [("out.csv", "is a directory"), ("t.py", "is no .yaml, .json, .csv or .tsv")]:
        with pytest.raises(BadFile, match=rf"^the metrics file '{name}' {says}"):
            metrics.check_file(name, directory=tmp_path)
    for name in ("new.json", "new.YAML", "new.jsonl", "../new.tsv"):
        metrics.check_file(name, directory=tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """An option that names a file must not be ignored."""
    with pytest.raises(BadFile, match=r"no metrics file '.*m\.csv'"):
        metrics.from_file(tmp_path / "m.csv", time=0.0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2**62), st.floats(), st.integers()), min_size=1))
def test_tables_come_back(tmp_path_factory: Any, points: list[tuple[int, float, int]]) -> None:
    """Floats exact, integers whole."""
    path = tmp_path_factory.mktemp("m") / "m.csv"
    path.write_text("step,real,whole\n" + "".join(f"{s},{r!r},{w}\n" for s, r, w in points))
    found = [(row.step, dict(row.values)) for row in metrics.from_file(path, time=0.0)[0]]
    assert repr(found) == repr([(s, {"real": r, "whole": w}) for s, r, w in points])


def test_last_takes_the_last_value_of_each() -> None:
    """A listing shows one number per metric."""
    rows = [Row(1, 0.0, {"a": 1, "b": 2}), Row(2, 1.0, {"a": 3}), Row(0, 2.0, {"c": math.inf})]
    assert metrics.last(rows) == {"a": 3, "b": 2, "c": math.inf}
    assert metrics.last([]) == {}
