"""Whatever is killed, and whenever: each point whose call had returned is recorded, once.

`.ci/torture` kills 1,000 times; here is a part of them, in seconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("orphans are adopted as Linux has it", allow_module_level=True)

from crash.ptrace import orphans_are_ours
from crash.torture import WAYS, torture
from crash.world import World, cleanliness, make_world
from gittrack import appender, journal, lines, weaving

TRIALS = int(os.environ.get("TORTURE_TRIALS", "40"))
# A joined run starts an interpreter each time.
SHARE = {"own": 0.4, "threads": 0.25, "workers": 0.25, "joined": 0.1}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with orphans_are_ours():
        yield make_world(tmp_path / "repo")


@pytest.mark.parametrize("way", WAYS)
def test_what_was_logged_is_recorded_once(world: World, tmp_path: Path, way: str) -> None:
    """SIGKILL asks nobody, neither who logs nor who records it."""
    assert torture(world, tmp_path, way, max(1, round(TRIALS * SHARE[way]))) == []
    assert cleanliness(world) == []


def _late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points are kept in memory for a while, as a buffered file keeps them."""
    waiting: list[bytes] = []
    put = appender.Appender._put

    def hold(self: appender.Appender, line: bytes, *rest: object, **more: object) -> None:
        waiting.append(line)
        if len(waiting) > 5:
            put(self, waiting.pop(0), *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(appender.Appender, "_put", hold)


def _twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read once is read again."""
    feed = lines.Reader.feed

    def again(self: lines.Reader, data: bytes) -> None:
        feed(self, data)
        feed(self, data)

    monkeypatch.setattr(lines.Reader, "feed", again)


def _first_file_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers have files of their own."""
    journals = journal._journals
    monkeypatch.setattr(journal, "_journals", lambda directory: journals(directory)[:1])


def _blocks_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that are open at the end are forgotten."""
    monkeypatch.setattr(weaving._Loom, "_close", lambda self: None)


@pytest.mark.parametrize(
    ("way", "fault"),
    [("own", _late), ("own", _twice), ("workers", _first_file_only), ("own", _blocks_lost)],
)
def test_a_faulty_logger_or_reader_is_noticed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, fault: object
) -> None:
    """A torture that never fails proves nothing; children are forked, and so have the fault."""
    assert callable(fault)
    fault(monkeypatch)
    # What a kill comes upon is chance: a slow machine has workers killed before their first point.
    assert any(torture(world, tmp_path, way, 6, seed) for seed in range(10))
