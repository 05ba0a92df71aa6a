"""Pointers as DVC writes them are understood; hostile ones are refused in a line that says why."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.errors import BadFile
from gittrack.formats import dump
from gittrack.git import Repo
from gittrack.pointers import Pointer, found, parse

A, B = "a" * 32, "b" * 32

ADDED = f"""\
outs:
- md5: {A}.dir
  size: 12
  nfiles: 3
  hash: md5
  path: img
"""

IMPORTED = f"""\
md5: {B}
frozen: true
deps:
- path: data/other.csv
  repo:
    url: https://example.org/x
    rev_lock: {"c" * 40}
outs:
- md5: {A}
  size: 5
  hash: md5
  path: x.csv
  desc: bought
meta:
  anything: [1, 2]
"""

SEVERAL = f"""\
wdir: ../raw
outs:
- md5: {A}
  hash: md5
  path: a.csv
- md5: {B}
  hash: md5
  path: ../b.csv
- path: not-yet.csv
- md5: {B}
  hash: md5
  path: /srv/outside.csv
- md5: {B}
  hash: md5
  path: s3://bucket/x
- etag: {B}
  path: cloud.csv
"""

LOCK = f"""\
schema: '2.0'
stages:
  load@1:
    cmd: python load.py
    deps:
    - path: load.py
      hash: md5
      md5: {B}
      size: 9
    params:
      params.yaml:
        year: 2018
    outs:
    - path: data/raw
      hash: md5
      md5: {A}.dir
      size: 7
      nfiles: 1
  none:
    cmd: echo
  train:
    cmd: [a, b]
    outs:
    - path: ../model.pkl
      hash: md5
      md5: {B}
      size: 0
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("data/img.dvc", ADDED, [Pointer("data/img", f"{A}.dir", 12, 3, "data/img.dvc")]),
        ("x.csv.dvc", IMPORTED, [Pointer("x.csv", A, 5, None, "x.csv.dvc")]),
        (
            "sub/all.dvc",
            SEVERAL,
            [
                Pointer("raw/a.csv", A, None, None, "sub/all.dvc"),
                Pointer("b.csv", B, None, None, "sub/all.dvc"),
            ],
        ),
        (
            "sub/dvc.lock",
            LOCK,
            [
                Pointer("sub/data/raw", f"{A}.dir", 7, 1, "sub/dvc.lock"),
                Pointer("model.pkl", B, 0, None, "sub/dvc.lock"),
            ],
        ),
        (
            "old.dvc",
            f"outs:\n- md5: {A}\n  path: old.txt\n",
            [Pointer("old.txt", A, None, None, "old.dvc", dos2unix=True)],
        ),
        ("none.dvc", "", []),
        ("none.dvc", "outs:\n", []),
        ("dvc.lock", "schema: '2.0'\n", []),
        ("dvc.lock", "schema: 2.0\nstages:\n", []),
    ],
)
def test_what_dvc_writes_is_understood(name: str, text: str, expected: list[Pointer]) -> None:
    """Paths from the root, `wdir` followed; no MD5, or outside on purpose, is no data."""
    assert list(parse(text.encode(), name)) == expected


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("../x", ""),
        ("../../x", "sub/"),
        ("a/../../x", ""),
        (".git/hooks/post-checkout", ""),
        ("../.GIT/config", "sub/"),
        ("a/.git", ""),
        ("..\\x", ""),
        ("a\\..\\b", ""),
        ("..", ""),
    ],
)
@pytest.mark.parametrize("key", ["path", "wdir", "lock"])
def test_a_path_that_leads_away_is_refused(path: str, place: str, key: str) -> None:
    """A pointer comes with a clone: nothing outside, and nothing of Git's, is looked at for it."""
    out = {"md5": A, "hash": "md5", "path": path if key != "wdir" else "x"}
    if key == "lock":
        name, value = f"{place}dvc.lock", {"schema": "2.0", "stages": {"s": {"outs": [out]}}}
    else:
        name, value = f"{place}x.dvc", {"outs": [out], **({"wdir": path} if key == "wdir" else {})}
    with pytest.raises(BadFile) as caught:
        parse(dump(value), name)
    assert caught.value.message.startswith(f"{name}: a path ") and caught.value.path == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.dvc", "[1]"),
        ("x.dvc", "outs: {}"),
        ("x.dvc", "outs: [1]"),
        ("x.dvc", "outs: [{md5: 5, path: x}]"),
        ("x.dvc", f"outs: [{{md5: {A.upper()}, path: x}}]"),
        ("x.dvc", "outs: [{md5: ../../etc, path: x}]"),
        ("x.dvc", f"outs: [{{md5: {A}}}]"),
        ("x.dvc", f"outs: [{{md5: {A}, path: [x]}}]"),
        ("x.dvc", f'outs: [{{md5: {A}, path: "x\\0y"}}]'),
        ("x.dvc", f"outs: [{{md5: {A}, path: x, size: -1}}]"),
        ("x.dvc", f"outs: [{{md5: {A}, path: x, size: many}}]"),
        ("x.dvc", f"outs: [{{md5: {A}, path: x, nfiles: true}}]"),
        ("x.dvc", f"outs: [{{md5: {A}, path: x, size: {1 << 63}}}]"),
        ("x.dvc", "wdir: 5"),
        ("x.dvc", "<<<<<<< HEAD\nouts:\n=======\n"),
        ("x.dvc", "outs: !!python/object/apply:os.system [id]"),
        ("x.dvc", "a: 1\na: 2"),
        ("x.dvc", "[" * 100_000),
        ("dvc.lock", "load:\n  cmd: x\n"),
        ("dvc.lock", "schema: '3.0'\nstages: {}"),
        ("dvc.lock", "schema: '2.0'\nstages: [a]"),
        ("dvc.lock", "schema: '2.0'\nstages: {a: b}"),
        ("dvc.lock", "schema: '2.0'\nstages: {a: {outs: b}}"),
    ],
)
def test_what_is_no_pointer_is_refused_in_one_line(name: str, text: str) -> None:
    """A conflict marker, a wrong type, a bomb: the file is named, and no more is done."""
    began = time.monotonic()
    with pytest.raises(BadFile) as caught:
        parse(text.encode(), name)
    assert caught.value.message.startswith(f"{name}: ") and caught.value.message.isprintable()
    assert time.monotonic() - began < 2


_names = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=8)
_paths = st.lists(_names.filter(lambda n: n not in (".", "..") and n.lower() != ".git"), max_size=3)


@settings(deadline=None)
@given(place=_paths, path=_paths.filter(len), size=st.none() | st.integers(0, 1 << 62))
def test_a_pointer_written_is_read_back(
    place: list[str], path: list[str], size: int | None
) -> None:
    """Whatever the data is called."""
    out = {"md5": A, "hash": "md5", "path": "/".join(path)}
    if size is not None:
        out["size"] = size  # type: ignore[assignment]
    name = "/".join([*place, "x.dvc"])
    if "\udc00" in name or "://" in out["path"]:
        return
    (read,) = parse(dump({"outs": [out]}), name)
    assert read == Pointer("/".join([*place, *path]), A, size, None, name)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(["x.dvc", "dvc.lock", "a/b.dvc"]))
def test_any_bytes_give_pointers_or_a_reason(data: bytes, name: str) -> None:
    """Nothing else ever comes out."""
    try:
        assert all(isinstance(pointer, Pointer) for pointer in parse(data, name))
    except BadFile as error:
        assert name in error.message


# -- in a work tree -----------------------------------------------------------------------------


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def pointer(path: str, md5: str = A) -> str:
    return f"outs:\n- md5: {md5}\n  hash: md5\n  path: {path}\n"


def test_the_pointer_of_a_path_is_found(repo_dir: Path, git) -> None:
    """Tracked or new, in a directory or a stage; the nearest one where several hold the path."""
    write(repo_dir / "data" / "img.dvc", pointer("img", f"{A}.dir"))
    git(repo_dir, "add", "data/img.dvc")
    write(repo_dir / "data" / "new.csv.dvc", pointer("new.csv"))
    write(repo_dir / "dvc.lock", LOCK.replace("../model.pkl", "model.pkl"))
    write(repo_dir / "deep" / "er" / "dvc.lock", LOCK.replace("../model.pkl", "m"))
    write(repo_dir / ".gitignore", "/ignored\n")
    write(repo_dir / "ignored" / "x.dvc", pointer("x"))
    asked = ["data/img", "data/img/1/2", "data/new.csv", "data/raw/x", "deep/er/m", "nothing"]
    answer = found(Repo.open(repo_dir), [*asked, "ignored/x", "data"])
    assert {path: (one.path, one.file) for path, one in answer.items()} == {
        "data/img": ("data/img", "data/img.dvc"),
        "data/img/1/2": ("data/img", "data/img.dvc"),
        "data/new.csv": ("data/new.csv", "data/new.csv.dvc"),
        "data/raw/x": ("data/raw", "dvc.lock"),
        "deep/er/m": ("deep/er/m", "deep/er/dvc.lock"),
    }


def test_a_broken_pointer_is_told_only_where_it_matters(repo_dir: Path) -> None:
    """Somebody's unfinished merge must not stop a run that does not need it."""
    write(repo_dir / "a.csv.dvc", "<<<<<<< a.csv b.csv\n")
    write(repo_dir / "b.csv.dvc", pointer("b.csv"))
    repo = Repo.open(repo_dir)
    assert found(repo, ["b.csv"]).keys() == {"b.csv"}
    with pytest.raises(BadFile, match=r"^a\.csv\.dvc: "):
        found(repo, ["a.csv"])
    write(repo_dir / "dvc.lock", "schema: '2.0'\n<<<<<<< c.csv\n")
    with pytest.raises(BadFile, match=r"^dvc\.lock: line"):
        found(repo, ["c.csv"])


def test_a_pointer_that_is_no_file_is_left_alone(repo_dir: Path, git) -> None:
    """A symlink may lead anywhere, a named pipe would wait for ever, a deleted one is gone."""
    import os

    write(repo_dir.parent / "outside.dvc", pointer("a.csv"))
    (repo_dir / "a.csv.dvc").symlink_to(repo_dir.parent / "outside.dvc")
    os.mkfifo(repo_dir / "b.csv.dvc")
    write(repo_dir / "c.csv.dvc", pointer("c.csv"))
    git(repo_dir, "add", "c.csv.dvc")
    (repo_dir / "c.csv.dvc").unlink()
    (repo_dir / "d.csv.dvc").mkdir()
    assert found(Repo.open(repo_dir), ["a.csv", "b.csv", "c.csv", "d.csv"]) == {}


def test_names_that_are_not_ascii_are_found(repo_dir: Path) -> None:
    """YAML may write them out or escaped."""
    write(repo_dir / "é.csv.dvc", pointer("é.csv"))
    write(repo_dir / "x.dvc", pointer('"\\u00fc.csv"'))
    assert found(Repo.open(repo_dir), ["é.csv", "ü.csv"]).keys() == {"é.csv", "ü.csv"}


def test_nothing_asked_costs_nothing(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without data must not pay for DVC's."""
    repo = Repo.open(repo_dir)
    monkeypatch.setattr(Repo, "git", None)
    assert found(repo, []) == {}
