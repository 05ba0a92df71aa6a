"""Files and directories to be kept, and what must be true of a cache that holds them.

What they are known by is worked out here anew, never by the code that is tested.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crash.world import World
from gittrack.records import Artifact

__all__ = ["Thing", "cache_of", "damage", "empty", "lacking", "remains", "thing"]

_OBJECT = re.compile(r"files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?")
_TEMPORARY = re.compile(r"files/md5/([0-9a-f]{2}/)?tmp-gittrack-[^/]*")


@dataclass(frozen=True, slots=True)
class Thing:
    """A file, or a directory: `files` maps paths in it to contents, of a file the empty path."""

    path: str
    files: Mapping[str, bytes]

    @property
    def is_file(self) -> bool:
        return "" in self.files

    @property
    def objects(self) -> dict[str, bytes]:
        """All that a cache has of it: hash -> content."""
        found = {_md5(data): data for data in self.files.values()}
        if not self.is_file:
            listed = [{"md5": _md5(d), "relpath": path} for path, d in sorted(self.files.items())]
            data = json.dumps(listed).encode()
            found[f"{_md5(data)}.dir"] = data
        return found

    @property
    def md5(self) -> str:
        return list(self.objects)[-1]

    @property
    def artifact(self) -> Artifact:
        size = sum(map(len, self.files.values()))
        return Artifact(self.path, self.md5, size, None if self.is_file else len(self.files))

    def write(self, top: Path, *, when: float | None = None) -> Path:
        """Write it below `top`, last changed `when` -> its path."""
        for path, data in self.files.items():
            file = top / self.path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_bytes(data)
            if when is not None:
                os.utime(file, (when, when))
        return top / self.path


def thing(seed: str, path: str, *, count: int = 0, size: int = 3000) -> Thing:
    """A file, or with a `count` a directory of so many files; equal seeds give equal bytes."""
    rand = random.Random(f"{seed} {path}")
    names = [f"part-{number}" for number in range(count)] or [""]
    return Thing(path, {name: rand.randbytes(size) for name in names})


def cache_of(world: World) -> Path:
    """Where the objects of a repository without DVC lie."""
    return world.repo.state / "dvc"


def empty(world: World) -> None:
    """Take all objects away."""
    shutil.rmtree(cache_of(world), ignore_errors=True)


def damage(cache: Path, *, but: Collection[Path] = ()) -> list[str]:
    """What is wrong in a cache: half objects, directories without files, strangers."""
    wrong = []
    for place, _, names in os.walk(cache):
        for path in (Path(place, name) for name in names):
            inside = path.relative_to(cache).as_posix()
            if path in but or _TEMPORARY.fullmatch(inside):
                continue
            if not _OBJECT.fullmatch(inside):
                wrong.append(f"{inside} is neither an object nor ever cleaned away")
                continue
            data = path.read_bytes()
            if _md5(data) != (path.parent.name + path.name)[:32]:
                wrong.append(f"{inside} has another content")
            elif path.stat().st_mode & 0o777 != 0o444:
                wrong.append(f"{inside} can be written to")
            elif path.suffix:
                named = [member["md5"] for member in json.loads(data)]
                wrong += [f"{inside} names {md5}" for md5 in named if not _place(cache, md5)]
    return wrong


def lacking(caches: Iterable[Path], things: Iterable[Thing]) -> list[str]:
    """What is in none of these caches, or not as it should be."""
    places = list(caches)
    wrong = []
    for one in things:
        for md5, data in one.objects.items():
            found = [path for cache in places if (path := _place(cache, md5))]
            if not found:
                wrong.append(f"{md5} of {one.path} is nowhere")
            wrong += [f"{path} is not whole" for path in found if path.read_bytes() != data]
    return wrong


def remains(cache: Path) -> list[str]:
    """The files of interrupted writers."""
    return [os.fspath(path) for path in cache.glob("**/tmp-gittrack-*")]


def _place(cache: Path, md5: str) -> Path | None:
    path = cache / "files" / "md5" / md5[:2] / md5[2:]
    return path if path.is_file() else None


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
