"""What it costs to begin and end a run in a process, beside storing the code and one commit.

python benchmarks/lifetime.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import Claim, arguments, ground, median_costs, process, report, work_tree

from gittrack import lifetime, snapshot
from gittrack.git import Identity, Repo

_WHO = Identity("Ada Lovelace", "ada@example.org")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=1_000)
    given = parser.parse_args(argv)
    with ground() as place:
        # Below a directory of another name: nobody's `import` is to find a module of ours there.
        tree = work_tree(place / "tree", given.files, dirty=10)
        process(["git", "config", "track.quiet", "true"], tree)()
        process(["git", "config", "gc.auto", "0"], tree)()
        os.chdir(tree)
        try:
            cost = median_costs(_cases(tree), rounds=given.rounds)
        finally:
            os.chdir(place)
    what = f"start and end of a run, {given.files:,} files"
    peer = "snapshot, one synced commit"
    claims = [
        Claim(what, peer, cost["run"].cpu, cost["peer"].cpu, 2.0),
        Claim(f"{what}, by the clock", peer, cost["run"].clock, cost["peer"].clock, None),
        Claim("import gittrack", "import dataclasses", cost["ours"].cpu, cost["theirs"].cpu, 1.5),
    ]
    return report("Runs of a process", claims)


def _cases(tree: Path) -> dict[str, Callable[[], object]]:
    return {
        "peer": lambda: _snapshot_and_commit(tree),
        "run": _run,
        "theirs": _importing("dataclasses", tree),
        "ours": _importing("gittrack", tree),
    }


def _run() -> None:
    """A run with one metric."""
    run = lifetime.start()
    run.log_metric("loss", 0.5, step=1)
    lifetime.end(run)


def _snapshot_and_commit(tree: Path) -> None:
    """What a run cannot do without: the code as it stands, and a commit that survives a crash."""
    repo = Repo.open(tree)
    repo.sync(True)
    with tempfile.TemporaryDirectory() as scratch:
        taken = snapshot.take(repo, mode="all", scratch=Path(scratch))
    now = time.time()
    record = repo.write_blob(os.urandom(64))
    # A record is a file of a tree, and so there is more than the commit itself.
    inner = repo.write_tree({"record": (record, 0o100644)})
    commit = repo.write_commit(
        tree=repo.write_tree({".gittrack": (inner, 0o040000)}, base=taken.tree),
        parents=[taken.code.base] if taken.code.base else [],
        message="A run\n",
        author=_WHO,
        started=now,
        ended=now,
    )
    repo.create_ref(f"refs/bench/{commit}", commit)


def _importing(module: str, place: Path) -> Callable[[], None]:
    return process([sys.executable, "-c", f"import {module}"], place)


if __name__ == "__main__":
    sys.exit(main())
