"""Format 1 is frozen: what was written then is read now, and would be written again alike."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def load() -> ModuleType:
    place = Path(__file__).parent / "golden" / "make.py"
    spec = importlib.util.spec_from_file_location("golden_make", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load()


@pytest.fixture(scope="module", params=make.GOLDENS, ids=lambda golden: golden.name)
def golden(request: pytest.FixtureRequest) -> Any:
    """One of the frozen repositories."""
    return request.param


@pytest.fixture(scope="module")
def imported(golden: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frozen stream as a repository."""
    place: Path = tmp_path_factory.mktemp("golden")
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=place, check=True)
    with golden.stream.open("rb") as stream:
        subprocess.run(["git", "fast-import", "--quiet"], cwd=place, stdin=stream, check=True)
    return place


def test_the_stream_gives_the_frozen_commits(golden: Any, imported: Path) -> None:
    """A run survives `fast-export | fast-import` with its id."""
    assert make.ids(imported) == golden.ids.read_text()
    assert make.ids(imported).count("refs/runs/default/") == golden.runs


def test_the_reader_reads_what_was_frozen(golden: Any, imported: Path) -> None:
    """Every field of every run, the curves, the output and the listing's summary."""
    assert make.records(imported, golden.later) == golden.records.read_text()


def test_the_writer_writes_what_was_frozen(golden: Any, tmp_path: Path) -> None:
    """The same run gives the same bytes, hence the same commit, on every machine."""
    golden.build(tmp_path)
    assert make.ids(tmp_path) == golden.ids.read_text()


def test_git_finds_nothing_wrong(imported: Path, git) -> None:
    """Hosts check pushed objects strictly."""
    git(imported, "fsck", "--strict", "--full", "--no-dangling")
