"""Format 1 is frozen: what was written then is read now, and would be written again alike."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conftest import Git


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
    restore(place, golden.stream.read_bytes())
    return place


def restore(place: Path, stream: bytes) -> None:
    """Fill an empty directory with the repository that a stream is."""
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=place, check=True)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=place, input=stream, check=True)


def test_the_stream_gives_the_frozen_commits(golden: Any, imported: Path) -> None:
    """A run survives `fast-export | fast-import` with its id."""
    assert make.ids(imported) == golden.ids.read_text()
    assert make.ids(imported).count("refs/runs/default/") == golden.runs


def test_the_reader_reads_what_was_frozen(golden: Any, imported: Path) -> None:
    """Every field of every run, the curves, the output, the summary; of models all that is so."""
    assert golden.read(imported, golden.later) == golden.records.read_text()


def test_another_trip_changes_nothing(golden: Any, imported: Path, tmp_path: Path) -> None:
    """Tags and notes survive `fast-export | fast-import` as runs do: who holds what is the same."""
    restore(tmp_path, make.export(imported))
    assert make.ids(tmp_path) == golden.ids.read_text()
    assert golden.read(tmp_path, golden.later) == golden.records.read_text()


def test_a_plain_clone_knows_the_models(tmp_path: Path, git: Git) -> None:
    """It brings the tags and no ref of a run; what was said of models is in notes, that stay."""
    (golden,) = (one for one in make.GOLDENS if one.name == "golden-registry")
    (tmp_path / "origin").mkdir()
    restore(tmp_path / "origin", golden.stream.read_bytes())
    git(tmp_path, "clone", "-q", "origin", "clone")
    known = json.loads(make.models(tmp_path / "clone", golden.later))
    frozen = json.loads(golden.records.read_text())
    assert known == {**frozen, "descriptions": {}}


def test_the_writer_writes_what_was_frozen(golden: Any, tmp_path: Path) -> None:
    """The same run gives the same bytes, hence the same commit, on every machine."""
    golden.build(tmp_path)
    assert make.ids(tmp_path) == golden.ids.read_text()


def test_git_finds_nothing_wrong(imported: Path, git: Git) -> None:
    """Hosts check pushed objects strictly."""
    git(imported, "fsck", "--strict", "--full", "--no-dangling")
