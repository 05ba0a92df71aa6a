"""What a run says while it runs: what is torn or damaged costs one line, and order is kept."""

from __future__ import annotations

import functools
import math
import resource
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forks import elsewhere
from gittrack import journal
from gittrack.journal import Writer

EVENTS = [
    {"t": 1.5, "metrics": {"loss": 0.1}, "step": 1},
    {"t": 2.5, "params": {"lr": 0.1, "text": "ü\n\x1b"}},
    {"t": 3.5, "metrics": {"loss": -1e-300}, "step": 2},
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of a run that has begun."""
    (tmp_path / "begin").write_bytes(journal.frame({"id": "1"}))
    return tmp_path


def events(directory: Path) -> list[Any]:
    assert journal.read(directory) is not None
    return list(journal.logged(directory)[0])


# -- lines --------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(), JSON))
@settings(deadline=None)
def test_an_event_comes_back_as_it_went(event: dict[str, Any]) -> None:
    """A record is only as exact as the journal it is made of; text because NaN is not NaN."""
    found, damaged = journal.unframe(journal.frame(event))
    assert repr(found) == repr([event])
    assert damaged == 0


def test_a_file_cut_anywhere_keeps_the_lines_before() -> None:
    """A power cut ends a file at any byte."""
    data, ends = b"", [0]
    for event in EVENTS:
        data += journal.frame(event)
        ends.append(len(data))
    for size in range(len(data) + 1):
        # The end of the line itself may be missing.
        whole = [event for event, end in zip(EVENTS, ends[1:], strict=True) if end <= size + 1]
        torn = not any(size in (end - 1, end) for end in ends)
        assert journal.unframe(data[:size]) == (whole, torn)


def test_no_flipped_bit_makes_a_wrong_record() -> None:
    """A checksum is there so that a bad disk costs a line and invents none."""
    data = b"".join(journal.frame(event) for event in EVENTS)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        found, _ = journal.unframe(bytes(flipped))
        assert all(event in EVENTS for event in found)
        assert len(found) >= 1


@pytest.mark.parametrize(
    "line",
    [b"", b"zzzzzzzz {}", b"00000000 {}", b"\xff" * 40, b"[" * 100_000, b"00000000", b" " * 9],
    ids=repr,
)
def test_no_bytes_are_too_strange(line: bytes) -> None:
    """The file may be anything; what follows it counts."""
    found, _ = journal.unframe(line + b"\n" + journal.frame({"t": 1}))
    assert found == [{"t": 1}]


@pytest.mark.parametrize("text", [b"[1]", b"null", b'"x"', b"[" * 50_000], ids=lambda t: t[:8])
def test_a_line_that_is_no_event_is_damaged(text: bytes) -> None:
    """A right checksum does not make it a mapping."""
    import zlib

    assert journal.unframe(b"%08x %s\n" % (zlib.crc32(text), text)) == ([], 1)


# -- writing ------------------------------------------------------------------------------------


def test_each_append_is_in_the_file_when_it_returns(directory: Path) -> None:
    """SIGKILL takes what a process has not yet given to the kernel."""
    writer = Writer(directory)
    for number, event in enumerate(EVENTS, 1):
        writer.append(event)
        assert events(directory) == EVENTS[:number]
    writer.close()
    writer.close()


def test_two_writers_do_not_mix(directory: Path) -> None:
    """Data loaders and ranks log at the same moment, each to a file of its own."""
    for who in range(2):
        assert elsewhere(functools.partial(_log, directory, who)) == 0
    assert sorted(event["n"] for event in events(directory)) == list(range(200))


def _log(directory: Path, who: int) -> bool:
    writer = Writer(directory)
    for number in range(100):
        writer.append({"n": who * 100 + number})
    return True


def test_threads_share_a_writer(directory: Path) -> None:
    """A callback may log from any thread."""
    writer = Writer(directory)

    def log(who: int) -> None:
        for number in range(100):
            writer.append({"n": who * 100 + number})

    threads = [threading.Thread(target=log, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(event["n"] for event in events(directory)) == list(range(400))


def test_a_fork_doubles_nothing(directory: Path) -> None:
    """A buffered file would be flushed by parent and child alike."""
    writer = Writer(directory)
    writer.append({"n": 1})

    def child() -> bool:
        writer.abandon()
        return True

    assert elsewhere(child) == 0
    assert elsewhere(lambda: True) == 0
    writer.append({"n": 2})
    writer.close()
    assert [event["n"] for event in events(directory)] == [1, 2]


@pytest.mark.parametrize(
    "event",
    [
        {"metrics": {"x": math.nan, "y": math.inf, "z": -math.inf}},
        {"step": -1},
        {"step": 2**63},
        {"text": "x" * (1 << 20)},
        {"metrics": {f"key{n}": n for n in range(100_000)}},
        {"text": "\ud800"},
    ],
    ids=["nan", "step -1", "step 2^63", "1 MB", "100,000 keys", "surrogate"],
)
def test_odd_events_come_back(directory: Path, event: dict[str, Any]) -> None:
    """Nothing logged is lost for being large or strange."""
    writer = Writer(directory)
    writer.append({"t": 1.0, **event})
    writer.close()
    assert repr(events(directory)) == repr([{"t": 1.0, **event}])


def test_a_clock_that_goes_back_does_not_reorder_a_file(directory: Path) -> None:
    """Within one file its order is the truth; clocks are set by people."""
    writer = Writer(directory)
    for number, moment in enumerate([100.0, 50.0, 101.0]):
        writer.append({"t": moment, "n": number})
    other = Writer(directory)
    other.append({"t": 100.5, "n": 9})
    assert [event["n"] for event in events(directory)] == [0, 1, 9, 2]


def test_a_full_disk_costs_the_lines_that_did_not_fit(directory: Path) -> None:
    """Whatever size is left at each append, the lines before and after are there."""
    line = len(journal.frame({"t": 0, "n": 1000}))

    def work() -> bool:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = Writer(directory)
        kept = []
        for left in range(2 * line):
            size = writer.path.stat().st_size
            for limit, number in (
                (size + left, 1000 + left),
                (resource.RLIM_INFINITY, 2000 + left),
            ):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                try:
                    writer.append({"t": 0, "n": number})
                except OSError:
                    continue
                kept.append(number)
        found = [event["n"] for event in events(directory)]
        # A line that lacks only its end counts, though the call that wrote it failed.
        extra = [number for number in found if number not in kept]
        rest = [number for number in found if number in kept]
        return rest == kept and len(extra) <= 2 and 2 * line < len(kept) < 4 * line

    assert elsewhere(work) == 0


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [b"", b"torn", b"00000000 {}\n"], ids=repr)
def test_an_unreadable_beginning_is_no_story(directory: Path, begin: bytes) -> None:
    """Who reads decides what to say; nobody crashes."""
    (directory / "begin").write_bytes(begin)
    assert journal.read(directory) is None
