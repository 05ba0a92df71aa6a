"""What it costs to write runs from within Python: one by one and synced, many at once and not.

    python benchmarks/write.py

The peer is libgit2 alone, asked to store the same bytes as objects and to point the same ref at
them, with its own sync on: no record to encode, nothing read back, no run kept from overwriting
another.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import generate
import pygit2
from measure import Claim, arguments, ground, median_costs, report, work_tree

from gittrack import commits, message, record, refs
from gittrack.git import Repo
from gittrack.records import Run
from gittrack.refs import RunRef

_BATCH = 20
_RATE = 500
_LOG = b"accuracy: 0.9\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--bulk", type=int, default=1000, help="how many runs at once")
    given = parser.parse_args(argv)
    with ground() as place:
        here, there = (work_tree(place / name, 100) for name in ("gittrack", "libgit2"))
        written = {
            "gittrack": _one_by_one(Repo.open(here), _batches(), given.rounds + 1),
            "libgit2": _raw(pygit2.Repository(str(there)), _batches(), given.rounds + 1),
        }
        one = median_costs(written, rounds=given.rounds)
        bulk = median_costs({"bulk": _bulk(place / "bulk", given.bulk)}, rounds=3)["bulk"]
    what, peer = f"{_BATCH} runs, each synced", "libgit2, same objects and refs"
    return report(
        "Writing runs in one process",
        [
            Claim(what, peer, one["gittrack"].cpu, one["libgit2"].cpu, 2),
            Claim(f"{what}, by the clock", peer, one["gittrack"].clock, one["libgit2"].clock, 2),
            Claim(
                f"{given.bulk:,} runs as one pack, not synced",
                f"{_RATE} runs in a CPU second",
                bulk.cpu,
                given.bulk / _RATE,
                1,
            ),
        ],
    )


def _batches() -> Callable[[], list[Run]]:
    dice, number = random.Random(1), itertools.count()
    return lambda: [generate.make(dice, next(number)) for _ in range(_BATCH)]


def _one_by_one(repo: Repo, batch: Callable[[], list[Run]], rounds: int) -> Callable[[], None]:
    base, _ = repo.head()
    assert base is not None
    tree = repo.read_commit(base).tree

    def write() -> None:
        repo.sync(True)
        for run in made.pop():
            commits.write(repo, run, tree=tree, author=generate.AUTHOR, log=_LOG)

    made = [batch() for _ in range(rounds)]
    return write


def _raw(
    handle: pygit2.Repository, batch: Callable[[], list[Run]], rounds: int
) -> Callable[[], None]:
    tree = handle[handle.head.target].peel(pygit2.Tree)
    who = pygit2.Signature(generate.AUTHOR.name, generate.AUTHOR.email, 0, 0)

    def write() -> None:
        pygit2.settings.enable_fsync_gitdir(True)
        for run, files, words in prepared.pop():
            _store(handle, tree, who, run, files, words)

    # The bytes are the peer's to store, not to make: they are ready before its time runs.
    prepared = [[_encoded(run) for run in batch()] for _ in range(rounds)]
    return write


def _encoded(run: Run) -> tuple[Run, Mapping[str, bytes], str]:
    return run, record.encode(run, log=_LOG), message.compose(run)


def _store(
    handle: pygit2.Repository,
    tree: pygit2.Tree,
    who: pygit2.Signature,
    run: Run,
    files: Mapping[str, bytes],
    words: str,
) -> None:
    inner, outer = handle.TreeBuilder(), handle.TreeBuilder(tree)
    for name, data in files.items():
        inner.insert(name, handle.create_blob(data), pygit2.enums.FileMode.BLOB)
    outer.insert(commits.RECORD, inner.write(), pygit2.enums.FileMode.TREE)
    commit = handle.create_commit(None, who, who, words, outer.write(), [])
    handle.references.create(RunRef(run.experiment, run.name, "").full, commit)


def _bulk(place: Path, count: int) -> Callable[[], None]:
    dice, number = random.Random(2), itertools.count()
    made = [generate.make(dice, next(number)) for _ in range(count)]
    rounds = itertools.count()

    def write() -> None:
        repo = Repo.open(fresh[next(rounds)])
        repo.sync(False)
        tree = repo.empty_tree()
        with repo.packed():
            found = [
                RunRef(
                    run.experiment,
                    run.name,
                    commits.store(repo, run, tree=tree, author=generate.AUTHOR, log=_LOG),
                )
                for run in made
            ]
        refs.create_many(repo, found)
        repo.sync(True)

    fresh = [place.with_name(f"bulk{n}") for n in range(4)]
    for each in fresh:
        subprocess.run(["git", "init", "-q", each], check=True)
    return write


if __name__ == "__main__":
    sys.exit(main())
