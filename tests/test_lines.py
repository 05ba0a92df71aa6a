"""Many lines read at once tell what each tells by itself; damage costs a line and invents none."""

from __future__ import annotations

import json
import math
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import lines
from gittrack.journal import frame
from gittrack.lines import Log, Reader

Point = tuple[float, float, Any, dict[str, Any]]


def framed(text: str | bytes) -> bytes:
    """A line with a right sum, whatever it says."""
    data = text if isinstance(text, bytes) else text.encode()
    return b"%08x %b\n" % (zlib.crc32(data), data)


def points_of(log: Log) -> list[Point]:
    """Order, time, step and values of each point."""
    found: list[Point] = []
    for block in log.blocks:
        kinds = block.kinds
        kinds = [kinds] * len(block.times) if isinstance(kinds, int) else list(kinds)
        steps, cells = block.steps.split(b"\n"), block.cells.split(b"\n")
        for at, time, step, kind, cell in zip(
            block.order, block.times, steps, kinds, cells, strict=True
        ):
            texts = [text.decode() for text in cell.split(b"\t")]
            values = [float(t) if not t.lstrip("-").isdigit() else int(t) for t in texts]
            named = dict(zip(log.shapes[kind], values, strict=True))
            found.append((at, time, int(step) if step else None, named))
    return found


def quickly(data: bytes, size: int = 1 << 20, **how: Any) -> tuple[Any, ...]:
    reader = Reader(**how)
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    reader.done()
    said, scanned = points_of(reader.said), points_of(reader.scanned)
    return said, scanned, reader.events, reader.damaged


def plainly(data: bytes) -> tuple[Any, ...]:
    """What `quickly` must find, a line at a time and nothing but JSON."""
    said: list[Point] = []
    scanned: list[Point] = []
    events: list[tuple[float, dict[str, Any]]] = []
    damaged, latest = 0, 0.0
    for line in filter(None, data.split(b"\n")):
        found, bad = lines.unframe(line)
        damaged += bad
        if bad and line.startswith(b"\0") and line.strip(b"\0"):
            found, bad = lines.unframe(line.lstrip(b"\0"))
            damaged += bad
        if not found:
            continue
        event = found[0]
        t: Any = event.get("t")
        good = isinstance(t, (int, float)) and not isinstance(t, bool) and math.isfinite(t)
        time = float(t) if good else latest
        metrics = event.get("metrics")
        if isinstance(metrics, dict):
            values = {k: v for k, v in metrics.items() if type(v) in (int, float)}
            for name in [name for name in metrics if name not in values]:
                words = f"values of {name[:80]!a} were left out: they are no numbers"
                if all(event.get("fault") != words for _, event in events):
                    events.append((latest, {"fault": words}))
            step = event.get("step")
            if values:
                latest = max(latest, time)
                whole = isinstance(step, int) and not isinstance(step, bool)
                point = (latest, time, step if whole else None, values)
                (scanned if event.get("scan") else said).append(point)
            if event.keys() <= {"t", "metrics", "step", "scan"}:
                latest = max(latest, time)
                continue
            event = {k: v for k, v in event.items() if k not in ("metrics", "step")}
        latest = max(latest, time)
        events.append((latest, event))
    return said, scanned, events, damaged


# -- what a journal may hold ----------------------------------------------------------------------

keys = st.one_of(
    st.sampled_from(["loss", "acc", "val/loss", "größe", 'a"b', "a\\b", "\n", "", "\ud800", "}"]),
    st.text(max_size=4),
)
ODD_NUMBERS = """
    0 -0 1 01 1. .5 +1 1e5 1E5 1e+300 1e999 -1e-300 NaN Infinity -Infinity nan 1_0 0x1 true "1" null
    [1] 12345678901234567890 1.5e 0.1000
"""
number_texts = st.one_of(
    st.sampled_from(ODD_NUMBERS.split()),
    st.floats().map(json.dumps),
    st.integers(-(10**20), 10**20).map(str),
)
times = st.one_of(
    st.floats(1.7e9, 1.8e9).map(lambda t: f"{t:.6f}"),
    st.sampled_from(
        ["1.5", "01700000000", "1700000000", "1e9", "-1", "NaN", "null", "1e400", '"x"']
    ),
)
steps = st.one_of(
    st.integers(-1, 2**64).map(str), st.sampled_from(["01", "-0", "1.0", "null", "true", "-1"])
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """An event as anybody may spell it."""
    pairs = draw(st.lists(st.tuples(keys, number_texts), min_size=1, max_size=3))
    ascii_only = draw(st.booleans())
    metrics = ",".join(
        f"{json.dumps(key, ensure_ascii=ascii_only)}:{value}" for key, value in pairs
    )
    parts = [f'"t":{draw(times)}', f'"metrics":{{{metrics}}}']
    if draw(st.booleans()):
        parts.append(f'"step":{draw(steps)}')
    if draw(st.integers(0, 4)) == 0:
        parts.append('"scan":true')
    if draw(st.integers(0, 9)) == 0:
        parts.append('"params":{"a":1}')
    if draw(st.integers(0, 9)) == 0:
        parts = draw(st.permutations(parts))
    return "{" + draw(st.sampled_from([",", ",", ",", ", "])).join(parts) + "}"


common = st.builds(
    lambda t, key, value, step: f'{{"t":{t:.6f},"metrics":{{"{key}":{value!r}}},"step":{step}}}',
    st.floats(1.7e9, 1.8e9),
    st.sampled_from(["loss", "acc"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-1, 10**6),
)
whole_lines = st.one_of(
    common.map(framed),
    common.map(framed),
    texts().map(lambda text: framed(text.encode("utf-8", "surrogatepass"))),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2).map(frame),
    st.sampled_from(
        [b"\n", b"\0\0\n", b"\0\0" + frame({"n": 1}), b"x\n", b"00000000 {}\n", framed("[1]")]
    ),
    common.map(lambda text: framed(text)[:9].upper() + framed(text)[9:]),
    common.map(lambda text: b"00000000" + framed(text)[8:]),
    common.map(lambda text: framed(framed(text)[:-1])),
)


@given(st.lists(whole_lines, max_size=12), st.integers(1, 300), st.binary(max_size=20))
@settings(deadline=None, max_examples=400)
def test_lines_read_at_once_tell_what_each_tells(
    journal: list[bytes], size: int, torn: bytes
) -> None:
    """The quick way is for speed only; compared as text, because NaN is not NaN."""
    data = b"".join(journal) + torn
    assert repr(quickly(data, size)) == repr(plainly(data))


@given(st.lists(whole_lines, max_size=12))
@settings(deadline=None)
def test_passing_over_points_finds_all_other_events(journal: list[bytes]) -> None:
    """Whether a child lives, and what was kept, is asked far more often than for the curves."""
    data = b"".join(journal)
    found = [event for _, event in quickly(data, points=False)[2] if "metrics" not in event]
    all_others = [event for _, event in quickly(data)[2]]
    mixed = [event for event in all_others if "fault" not in event]
    rest = [event for event in found if "fault" not in event]
    assert [e for e in mixed if "scan" not in e and "params" not in e] == [
        e for e in rest if "scan" not in e and "params" not in e
    ]


def test_what_stands_beside_points_is_not_passed_over() -> None:
    """A journal in another language may say more in one line than ours do."""
    data = framed('{"t":1700000000.5,"metrics":{"a":1},"params":{"lr":1}}')
    assert [event["params"] for _, event in quickly(data, points=False)[2]] == [{"lr": 1}]
    assert [event["params"] for _, event in quickly(data)[2]] == [{"lr": 1}]


# -- damage ---------------------------------------------------------------------------------------

SMALL = b"".join(
    [
        framed('{"t":1700000000.500000,"metrics":{"loss":0.5},"step":1}'),
        framed('{"t":1700000001.500000,"metrics":{"loss":0.25},"step":2}'),
        framed('{"t":1700000001.600000,"metrics":{"acc":1,"loss":2e-5},"step":2}'),
        frame({"t": 1700000002.5, "params": {"lr": 0.1}}),
        framed('{"t":1700000003.500000,"metrics":{"loss":NaN}}'),
        frame({"t": 1700000004.5, "metrics": {"loss": 0.125}, "step": 4, "scan": True}),
    ]
)


def told(found: tuple[Any, ...]) -> list[str]:
    """Every point and event as text, without what depends on those before."""
    said, scanned, events, _ = found
    points = [repr(point[1:]) for point in (*said, *scanned)]
    return [*points, *(repr(event) for _, event in events)]


@pytest.mark.parametrize("read", [quickly, plainly])
def test_no_flipped_bit_makes_a_wrong_value(read: Any) -> None:
    """A checksum is there so that a bad disk costs a line, or two if it is their break."""
    whole = told(read(SMALL))
    assert len(whole) == 6
    for bit in range(len(SMALL) * 8):
        flipped = bytearray(SMALL)
        flipped[bit // 8] ^= 1 << bit % 8
        found = read(bytes(flipped))
        assert set(told(found)) <= set(whole), bit
        # The sum's own digits may be capitals.
        assert len(told(found)) >= 4 and found[3] >= 6 - len(told(found)) - 1, bit


@pytest.mark.parametrize("read", [quickly, plainly])
def test_no_truncation_makes_a_wrong_value(read: Any) -> None:
    """A power cut ends a file at any byte."""
    whole, ends = told(read(SMALL)), [0]
    for line in SMALL.splitlines(keepends=True):
        ends.append(ends[-1] + len(line))
    for size in range(len(SMALL) + 1):
        found = read(SMALL[:size])
        count = sum(end <= size + 1 for end in ends[1:])
        assert len(told(found)) == count and set(told(found)) <= set(whole)
        assert found[3] == (not any(size in (end - 1, end) for end in ends))


def test_zeros_cost_what_they_replaced_and_no_more() -> None:
    """After a power cut a file may be longer than what was written of it."""
    line = framed('{"t":1700000000.500000,"metrics":{"loss":0.5},"step":1}')
    said, _, _, damaged = quickly(line + b"\0" * 5000 + line + b"\0" * 5000)
    assert (len(said), damaged) == (2, 2)


def test_a_million_keys_and_a_line_of_megabytes() -> None:
    """Strange, but nothing that was logged is lost for that."""
    names = [f"key{n}" for n in range(1_000_000)]
    said = ",".join([f'"{name}":1' for name in names])
    reader = Reader()
    reader.feed(framed(f'{{"t":1700000000,"metrics":{{{said}}},"step":1}}'))
    reader.feed(frame({"t": 1.7e9, "x": "y" * 2**20}))
    reader.done()
    (shape,), (block,) = reader.said.shapes, reader.said.blocks
    assert shape == tuple(names)
    assert block.cells == b"\t".join([b"1"] * len(names))
    assert len(reader.events) == 1 and reader.damaged == 0


@pytest.mark.parametrize(
    ("step", "found"),
    [(-1, -1), (2**63, 2**63), (2**64 + 1, 2**64 + 1), (10**400, None), (1.5, None), (True, None)],
    ids=str,
)
def test_steps_are_whole_numbers(step: Any, found: Any) -> None:
    """A table in which a step is none cannot be read; the value counts all the same."""
    data = framed(json.dumps({"t": 1.7e9, "metrics": {"a": 1}, "step": step}))
    assert [point[2] for point in quickly(data)[0]] == [found]


@pytest.mark.parametrize("t", ["null", "NaN", "Infinity", '"x"', "true", "[]"])
def test_a_time_that_is_none_is_that_of_the_line_before(t: str) -> None:
    """It happened after it, and before what comes then."""
    data = b"".join(framed(f'{{"t":{t},"metrics":{{"a":1}}}}') for t in ("1700000000.5", t))
    assert [point[1] for point in quickly(data)[0]] == [1700000000.5] * 2


def test_times_that_go_back_keep_the_order_of_the_file() -> None:
    """Clocks are set by people."""
    moments = [1700000100.0, 1700000050.0, 1700000101.0]
    data = b"".join(framed(f'{{"t":{t:.6f},"metrics":{{"a":1}}}}') for t in moments)
    said = quickly(data)[0]
    assert [point[1] for point in said] == moments
    assert [point[0] for point in said] == [1700000100.0, 1700000100.0, 1700000101.0]
