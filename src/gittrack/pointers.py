"""DVC's pointers: `.dvc` files and the outputs in `dvc.lock`, and which data they name.

Reads what anybody may have written: bounded YAML, and no path that leaves the repository. Opens
pointers, never the data; knows nothing of caches or remotes.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gittrack.errors import BadFile
from gittrack.git import Repo
from gittrack.quoting import one_line

__all__ = ["Pointer", "found", "parse"]

_LARGEST = 8 << 20
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer says of one file or directory.

    `path` is the data's and `file` the pointer's own, both relative to the work tree's root with
    `/`. `md5` is DVC's; `size` in bytes and `nfiles` where the pointer tells them. `dos2unix`: it
    is of DVC 2, whose MD5 of a text is that with unified line ends, and so not of the bytes.
    """

    path: str
    md5: str
    size: int | None
    nfiles: int | None
    file: str
    dos2unix: bool = False


# -- one pointer --------------------------------------------------------------------------------


def parse(data: bytes, name: str) -> tuple[Pointer, ...]:
    """Read a `.dvc` file or a `dvc.lock`; `name` is its path, relative to the work tree's root.

    Outputs without an MD5 (not computed yet, kept by a cloud's own versions) are left out, and
    those that lie outside of the repository on purpose, by an absolute path or a URL.

    Raises:
        BadFile: it is no pointer, or one with a path that leaves the repository or enters `.git`.
    """
    from gittrack.formats import load_untrusted

    shown = one_line(name)
    document = load_untrusted(data, shown)
    if document is None:
        return ()
    if not isinstance(document, dict):
        raise BadFile(f"{shown}: no mapping, so no pointer of DVC's", path=shown)
    lock = posixpath.basename(name) == "dvc.lock"
    outs = _lock_outs(document, shown) if lock else _outs(document, "outs", shown)
    place = posixpath.dirname(name)
    wdir = document.get("wdir") if not lock else None
    if wdir is not None:
        place = _inside(place, _text(wdir, "wdir", shown), shown)
    pointers = (_pointer(out, place, name, shown) for out in outs)
    return tuple(pointer for pointer in pointers if pointer is not None)


def _lock_outs(document: Mapping[str, Any], shown: str) -> Iterator[Any]:
    if str(document.get("schema")) != "2.0":
        raise BadFile(
            f"{shown}: schema {one_line(str(document.get('schema')))[:20]!r} is not 2.0",
            path=shown,
            hint="`dvc repro` of DVC 2 or later writes it anew.",
        )
    stages = document.get("stages")
    if not isinstance(stages, dict | None):
        raise BadFile(f"{shown}: 'stages' is no mapping", path=shown)
    for stage, said in (stages or {}).items():
        if not isinstance(said, dict):
            raise BadFile(f"{shown}: stage {one_line(stage)[:60]!r} is no mapping", path=shown)
        yield from _outs(said, "outs", shown)


def _outs(said: Mapping[str, Any], key: str, shown: str) -> Sequence[Any]:
    outs = said.get(key)
    if outs is None:
        return ()
    if not isinstance(outs, list):
        raise BadFile(f"{shown}: '{key}' is no list", path=shown)
    return outs


def _pointer(out: object, place: str, name: str, shown: str) -> Pointer | None:
    if not isinstance(out, dict):
        raise BadFile(f"{shown}: an output that is no mapping", path=shown)
    said = _text(out.get("path"), "path", shown)
    if posixpath.isabs(said) or re.match(r"\w+://", said):
        return None
    path = _inside(place, said, shown)
    md5 = out.get("md5")
    if md5 is None:
        return None
    if not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise BadFile(f"{shown}: {one_line(str(md5))[:60]!r} is no MD5", path=shown)
    size, nfiles = (_count(out, key, shown) for key in ("size", "nfiles"))
    return Pointer(path, md5, size, nfiles, name, dos2unix=out.get("hash") != "md5")


def _text(value: object, key: str, shown: str) -> str:
    if isinstance(value, str) and value and "\0" not in value:
        return value
    raise BadFile(f"{shown}: '{key}' is no path: {one_line(str(value))[:60]!r}", path=shown)


def _count(out: Mapping[str, Any], key: str, shown: str) -> int | None:
    value = out.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise BadFile(f"{shown}: '{key}' is {one_line(str(value))[:60]!r}", path=shown)
    return value


def _inside(place: str, path: str, shown: str) -> str:
    """A path seen from `place`, relative to the root -> the same from the root, normal."""
    if "\\" in path:
        # DVC writes `/` on Windows too. To us a backslash is a letter, to others it may lead away.
        raise BadFile(f"{shown}: a path with a backslash: {one_line(path)[:60]!r}", path=shown)
    joined = posixpath.normpath(posixpath.join(place, path))
    parts = joined.split("/")
    if posixpath.isabs(joined) or parts[0] == ".." or any(p.lower() == ".git" for p in parts):
        raise BadFile(f"{shown}: a path that must not be: {one_line(path)[:60]!r}", path=shown)
    return "" if joined == "." else joined


# -- all pointers -------------------------------------------------------------------------------


def found(repo: Repo, paths: Collection[str]) -> Mapping[str, Pointer]:
    """The pointer of each of these paths: the one that names it, or a directory that it is in.

    Paths are relative to the work tree's root. A path that no pointer names is not in the answer.
    One `git ls-files` lists the pointers of the work tree, ignored ones left out; read are only
    those that hold a name which can matter.

    Raises:
        BadFile: a pointer that would name such a path cannot be understood.
    """
    if not paths or repo.root is None:
        return {}
    wanted = {path: [path, *_parents(path)] for path in paths}
    marks = {posixpath.basename(place).encode() for places in wanted.values() for place in places}
    pointers: dict[str, Pointer] = {}
    broken: list[tuple[str, BadFile]] = []
    for name in _listed(repo):
        data = _read(repo.root, name)
        if data is None or not (b"\\" in data or any(mark in data for mark in marks)):
            continue
        try:
            for pointer in parse(data, name):
                pointers.setdefault(pointer.path, pointer)
        except BadFile as error:
            broken.append((name, error))
    answer = {}
    for path, places in wanted.items():
        named = next((pointers[place] for place in places if place in pointers), None)
        if named is not None:
            answer[path] = named
        else:
            _complain(places, broken)
    return answer


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = posixpath.dirname(path)
        yield path


def _listed(repo: Repo) -> list[str]:
    patterns = (":(glob)**/*.dvc", ":(glob)**/dvc.lock", ":(exclude,top,glob).gittrack/**")
    listed = repo.git(
        "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns
    )
    names = {os.fsdecode(path) for path in listed.split(b"\0") if path}
    return sorted(name for name in names if posixpath.basename(name) != ".dvc")


def _read(root: Path, name: str) -> bytes | None:
    """The bytes of a pointer in the work tree; None where there is no ordinary file to read."""
    try:
        if not stat.S_ISREG(os.lstat(root / name).st_mode):
            return None
        with open(root / name, "rb") as file:
            return file.read(_LARGEST + 1)
    except OSError:
        return None


def _complain(places: Iterable[str], broken: Iterable[tuple[str, BadFile]]) -> None:
    beside = {f"{place}.dvc" for place in places}
    for name, error in broken:
        if name in beside or posixpath.basename(name) == "dvc.lock":
            raise BadFile(
                error.message,
                path=error.path,
                hint=error.hint or "`git diff` may show why; `dvc status` must read it too.",
            ) from error
