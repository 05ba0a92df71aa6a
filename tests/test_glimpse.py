"""Objects that surely are in the cache: what is seen is there, as `setup` and `cache` know it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from gittrack import glimpse, setup
from gittrack.cache import open_cache
from gittrack.git import Repo

MD5 = "ab" + "1" * 30


def put(cache: Path, md5: str = MD5, data: bytes = b"x") -> None:
    path = cache / "files" / "md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def sees(root: Path, md5: str = MD5) -> bool:
    return glimpse.sees(os.fspath(root / ".git" / "gittrack"), os.fspath(root / ".dvc"), md5)


@pytest.mark.parametrize(
    ("place", "files", "seen"),
    [
        (".git/gittrack/dvc", {}, True),
        (".git/gittrack/dvc.aside", {}, True),
        (".git/gittrack/dvc", {".dvc/config": "[cache]\ndir = ../far\n"}, True),
        (".dvc/cache", {".dvc/config": ""}, True),
        (".dvc/cache", {".dvc/config": "[core]\nremote = here\n"}, True),
        (".dvc/cache", {".dvc/config": "[cache]\nDIR = ../far\n"}, False),
        (".dvc/cache", {".dvc/config.local": "[cache]\ndir = ../far\n"}, False),
        (".dvc/cache", {"home/config": "[cache]\ndir = far\n"}, False),
        ("far", {".dvc/config": "[cache]\ndir = ../far\n"}, False),
    ],
)
def test_what_is_seen_is_in_the_cache(
    tmp_path: Path, git: Any, monkeypatch: pytest.MonkeyPatch,
    place: str, files: dict[str, str], seen: bool,
) -> None:  # fmt: skip
    """Said of a model in production: an object in a cache that is no longer used is not here."""
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "none"))
    git(tmp_path, "init", "-q", ".")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    put(tmp_path / place)
    assert sees(tmp_path) is seen
    repo = Repo.open(tmp_path)
    assert open_cache(repo, setup.read(repo)).holds(MD5) or not seen


def test_a_directory_is_seen_with_all_its_files(tmp_path: Path) -> None:
    """A model of several files of which one is gone cannot be loaded; nor can a damaged one."""
    listing = json.dumps([{"md5": MD5, "relpath": "a"}, {"md5": "c" * 32, "relpath": "b"}]).encode()
    md5 = hashlib.md5(listing).hexdigest() + ".dir"
    cache = tmp_path / ".git" / "gittrack" / "dvc"
    put(cache)
    put(cache, md5, listing)
    assert not sees(tmp_path, md5)
    put(cache, "c" * 32)
    assert sees(tmp_path, md5)
    for data in (listing + b" ", b"", b"1"):
        put(cache, md5, data)
        assert not sees(tmp_path, md5)
        put(cache, other := hashlib.md5(data).hexdigest() + ".dir", data)
        assert sees(tmp_path, other) is (data == listing + b" ")


def test_what_is_no_hash_is_for_the_cache_to_say(tmp_path: Path) -> None:
    """A hash in a tag may be anything."""
    state = tmp_path / ".git" / "gittrack"
    for md5 in (f"{MD5}.dir", "../../x", "AB" + "1" * 30):
        put(state / "dvc", md5)
        assert not sees(tmp_path, md5)
    assert not sees(tmp_path) and not sees(tmp_path, "")
