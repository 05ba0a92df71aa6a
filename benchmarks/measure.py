"""Costs of real programs side by side: rounds of one after the other, medians, tables of ratios.

A cost is CPU time, user and system, of a process and of the children it waited for: it depends far
less than the clock does on what else the machine does. Knows nothing of gittrack.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Claim",
    "Cost",
    "arguments",
    "cost_of",
    "ground",
    "median_costs",
    "process",
    "report",
    "unpack",
    "work_tree",
]

_CONFIG = (
    "[user]\n\tname = Ada Lovelace\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
)
_KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class Cost(NamedTuple):
    """Seconds of CPU and of the clock."""

    cpu: float
    clock: float


class Claim(NamedTuple):
    """That `cost` is at most `limit` times `peer_cost`; None where it only informs."""

    what: str
    peer: str
    cost: float
    peer_cost: float
    limit: float | None
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        return self.cost / self.peer_cost

    @property
    def holds(self) -> bool:
        return self.limit is None or self.ratio <= self.limit


def process(words: Sequence[str], place: Path) -> Callable[[], None]:
    """A case: start this command in `place` and wait for it.

    Raises (when the case runs):
        CalledProcessError: it failed.
    """

    def run() -> None:
        subprocess.run(
            words,
            cwd=place,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    return run


def cost_of(case: Callable[[], object]) -> Cost:
    """What a case costs, in this process and in the children it waited for."""
    gc.collect()
    cpu, clock = _cpu(), time.perf_counter()
    case()
    return Cost(_cpu() - cpu, time.perf_counter() - clock)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def median_costs(cases: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, Cost]:
    """The median cost of each case over rounds in which each runs once; a first round is not
    counted."""
    seen: dict[str, list[Cost]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            cost = cost_of(case)
            if number:
                seen[name].append(cost)
    return {
        name: Cost(*(statistics.median(column) for column in zip(*costs, strict=True)))
        for name, costs in seen.items()
    }


def report(title: str, claims: Sequence[Claim]) -> int:
    """Print the claims as a table -> 0, or 1 where one does not hold."""
    print(f"\n{title}")
    rows = [("", "cost", "peer", "peer's cost", "ratio", "at most", "")]
    rows += [_row(claim) for claim in claims]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, 2, 6) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    return int(not all(claim.holds for claim in claims))


def _row(claim: Claim) -> tuple[str, ...]:
    limit = "" if claim.limit is None else f"{claim.limit:.2f}"
    verdict = "" if claim.limit is None else "ok" if claim.holds else "MISSED"
    cost, peer = (_amount(value, claim.unit) for value in (claim.cost, claim.peer_cost))
    return claim.what, cost, claim.peer, peer, f"{claim.ratio:.2f}", limit, verdict


def _amount(value: float, unit: str) -> str:
    return f"{value * 1000:.1f} ms" if unit == "ms" else f"{value:,.0f} {unit}"


# -- where it happens ---------------------------------------------------------------------------


@contextmanager
def ground() -> Iterator[Path]:
    """A directory that goes again, and an environment without the machine's own settings."""
    before = dict(os.environ)
    place = Path(tempfile.mkdtemp(prefix="gittrack-bench-"))
    (place / "gitconfig").write_text(_CONFIG)
    kept = {name: before[name] for name in _KEPT if name in before}
    scripts = os.path.dirname(sys.executable)
    os.environ.clear()
    # Without PYTHONDONTWRITEBYTECODE: an installed package has its bytecode, and so have we.
    os.environ.update(
        kept,
        HOME=os.fspath(place),
        PATH=os.pathsep.join([scripts, kept.get("PATH", os.defpath)]),
        LC_ALL="C.UTF-8",
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.fspath(place / "gitconfig"),
        DVC_NO_ANALYTICS="1",
    )
    try:
        yield place
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(place, ignore_errors=True)


def work_tree(place: Path, files: int, *, dirty: int = 0, lines: int = 20) -> Path:
    """A repository of so many files in directories of a hundred.

    `dirty` of them have changed since the one commit.
    """
    place.mkdir(parents=True)
    paths = [place / f"part{number // 100:03}" / f"code{number:05}.py" for number in range(files)]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"value = {number}\n" * lines)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Begin"], ["gc", "-q"]):
        # A `git gc` that commit starts in the background would hinder the next one.
        subprocess.run(["git", "-c", "gc.auto=0", *words], cwd=place, check=True)
    for path in paths[:: max(files // dirty, 1)][:dirty] if dirty else ():
        path.write_text(path.read_text() + "changed = True\n")
    return place


def unpack(repository: Path) -> None:
    """Give every object a file of its own, as runs that were recorded one by one have."""
    for pack in (repository / ".git" / "objects" / "pack").glob("*.pack"):
        outside = pack.rename(repository.with_suffix(".pack"))
        with outside.open("rb") as source:
            subprocess.run(
                ["git", "unpack-objects", "-q"], cwd=repository, stdin=source, check=True
            )


def arguments(about: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=11, help="how often each case runs")
    return parser
