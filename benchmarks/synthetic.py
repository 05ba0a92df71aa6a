"""Repositories of very many runs, made fast: commits in one pack, one record shared, refs packed.

    python benchmarks/synthetic.py DIRECTORY --runs 1000000

What a listing knows of a run stands in its commit's message and is different in each; the record
in its tree is one run's, the same in all. The same arguments give the same commits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple

import generate

from gittrack import commits, names
from gittrack.git import Repo
from gittrack.message import time_text

__all__ = ["PARAMS", "add", "drawn", "repository"]

PARAMS = ("lr", "depth", "optimizer", "model.dropout", "seed")
_METRICS = ("accuracy", "f1", "loss")
_RATES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_OPTIMIZERS = ("adam", "sgd", "lamb", "adamw")
_USERS = ("Ada Lovelace", "Grace Hopper", "Mary Somerville")


class Drawn(NamedTuple):
    """A run's place and message."""

    experiment: str
    name: str
    started: int
    ended: int
    message: str


def repository(
    path: str | os.PathLike[str],
    *,
    runs: int,
    seed: int = 0,
    experiments: int = 10,
    params: int = 10,
    metrics: int = 10,
) -> Repo:
    """Make a repository with so many runs at `path`, about 20,000 in a second; none may be there.

    `params` and `metrics` are how many a run has.
    """
    place = Path(path)
    generate.generate(place, runs=0)
    repo = Repo.open(place)
    found = drawn(
        runs,
        base=repo.head()[0],
        seed=seed,
        experiments=experiments,
        params=params,
        metrics=metrics,
    )
    add(place, found, count=runs)
    return Repo.open(place)


def drawn(
    runs: int,
    *,
    base: str | None = None,
    first: int = 0,
    seed: int = 0,
    experiments: int = 10,
    params: int = 10,
    metrics: int = 10,
) -> Iterator[Drawn]:
    """So many runs from number `first`, each a minute after the one before."""
    dice = random.Random(f"{seed} {first}")
    p = [*PARAMS, *(f"param_{n}" for n in range(params))][:params]
    m = [*_METRICS, *(f"metric_{n}" for n in range(metrics))][:metrics]
    groups = ["default", *(f"group-{n}" for n in range(1, experiments))]
    for number in range(first, first + runs):
        yield _drawn(dice, number, base, groups[dice.randrange(len(groups))], p, m)


def _drawn(
    dice: random.Random,
    number: int,
    base: str | None,
    experiment: str,
    p: Sequence[str],
    m: Sequence[str],
) -> Drawn:
    started = generate.START + timedelta(minutes=number, microseconds=dice.randrange(10**6))
    ended = started + timedelta(seconds=dice.randrange(1, 5000))
    status = ("failed", "killed", *("finished",) * 8)[dice.randrange(10)]
    identity = names.run_id(dice.randbytes(16))
    name = names.generate(dice.randbytes(6))
    known: dict[str, object] = {key: _param(dice, place) for place, key in enumerate(p)}
    values = {key: round(dice.random(), 6) for key in m}
    words = ["python", "train.py", "--seed", str(number)]
    summary = {
        "id": identity,
        "status": status,
        "started": time_text(started),
        "ended": time_text(ended),
        "exit_code": {"finished": 0, "failed": 1, "killed": 137}[status],
        "user": _USERS[dice.randrange(len(_USERS))],
        "command": words,
        "base": base,
        "branch": "main" if dice.randrange(4) else f"topic-{dice.randrange(20)}",
        "params": known,
        "metrics": values,
    }
    leading = ", ".join(f"{key} {value:.4g}" for key, value in sorted(values.items())[:4])
    lines = [
        f"{name}: {status} {leading}",
        "",
        f"    {' '.join(words)}",
        "",
        "Gittrack-Run: 1",
        f"Run-Id: {identity}",
        f"Experiment: {experiment}",
        f"Status: {status}",
        *(f"Param-{key.replace('.', '-').replace('_', '-')}: {known[key]}" for key in p),
        *(f"Metric-{key.replace('_', '-')}: {values[key]}" for key in m),
        f"Gittrack-Summary: {json.dumps(summary, separators=(',', ':'))}",
        "",
    ]
    return Drawn(
        experiment, name, int(started.timestamp()), int(ended.timestamp()), "\n".join(lines)
    )


def _param(dice: random.Random, place: int) -> object:
    if place == 0:
        return _RATES[dice.randrange(len(_RATES))]
    if place == 2:
        return _OPTIMIZERS[dice.randrange(len(_OPTIMIZERS))]
    return dice.randrange(200) if place % 2 else round(dice.random(), 4)


# -- stored ---------------------------------------------------------------------------------------


def add(place: Path, found: Iterator[Drawn], *, count: int, loose: bool = False) -> list[str]:
    """Put `count` runs into a repository that has code -> their refs' full names.

    Their refs are packed, or, if `loose`, files of their own.
    """
    repo = Repo.open(place)
    top = repo.common_dir
    base, branch = repo.head()
    assert base is not None
    run = generate.make(random.Random(0), 0, base=base, branch=branch)
    tree = repo.read_commit(base).tree
    shared = commits.store(repo, run, tree=tree, author=generate.AUTHOR)
    head = f"tree {repo.read_commit(shared).tree}\nparent {base}\n"
    who = f"{generate.AUTHOR.name} <{generate.AUTHOR.email}>"
    made: dict[str, str] = {}
    path = top / "objects" / "pack" / "gathering.pack"
    with path.open("wb") as file:
        pack = _Pack(file, count)
        for one in found:
            text = f"{head}author {who} {one.started} +0000\ncommitter {who} {one.ended} +0000\n\n"
            oid = pack.add((text + one.message).encode())
            made[f"refs/runs/{one.experiment}/{one.name}"] = oid
        pack.end()
    said = subprocess.run(
        ["git", "index-pack", path], cwd=place, check=True, capture_output=True, text=True
    )
    for file_name in (path, path.with_suffix(".idx")):
        file_name.rename(file_name.with_name(f"pack-{said.stdout.strip()}{file_name.suffix}"))
    if loose:
        _write_loose(top, made)
    else:
        _write_packed(top, made)
    return sorted(made)


class _Pack:
    """A pack of commits on its way to the disk."""

    def __init__(self, file: BinaryIO, count: int) -> None:
        self._file = file
        self._sum = hashlib.sha1()
        self._write(b"PACK" + (2).to_bytes(4, "big") + count.to_bytes(4, "big"))

    def add(self, data: bytes) -> str:
        size = len(data)
        head = bytearray([1 << 4 | size & 15])
        size >>= 4
        while size:
            head[-1] |= 128
            head.append(size & 127)
            size >>= 7
        self._write(bytes(head) + zlib.compress(data, 1))
        return hashlib.sha1(b"commit %d\0" % len(data) + data).hexdigest()

    def end(self) -> None:
        self._file.write(self._sum.digest())

    def _write(self, data: bytes) -> None:
        self._sum.update(data)
        self._file.write(data)


def _write_packed(top: Path, made: dict[str, str]) -> None:
    """All refs of the repository as one file, as `git pack-refs --all` leaves them."""
    subprocess.run(["git", "pack-refs", "--all"], cwd=top, check=True)
    path = top / "packed-refs"
    refs = dict(made)
    for line in path.read_text().split("\n") if path.exists() else ():
        if line and line[0] not in "#^":
            oid, name = line.split(" ")
            refs[name] = oid
    lines = ["# pack-refs with: peeled fully-peeled sorted "]
    lines += [f"{refs[name]} {name}" for name in sorted(refs)]
    waiting = path.with_suffix(".new")
    waiting.write_text("\n".join(lines) + "\n")
    waiting.replace(path)


def _write_loose(top: Path, made: dict[str, str]) -> None:
    for name, oid in made.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{oid}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Make one -> 0."""
    parser = argparse.ArgumentParser(description="Make a repository of very many runs.")
    parser.add_argument("path")
    for option, default in (("runs", 100_000), ("seed", 0), ("experiments", 10)):
        parser.add_argument(f"--{option}", type=int, default=default)
    for option, default in (("params", 10), ("metrics", 10)):
        parser.add_argument(f"--{option}", type=int, default=default)
    given = vars(parser.parse_args(argv))
    repository(given.pop("path"), **given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
