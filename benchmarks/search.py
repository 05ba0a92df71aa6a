"""How fast a question is answered: the whole process, the index alone, and other trackers.

    python benchmarks/search.py --mlflow PYTHON --dvc PYTHON

`PYTHON` is one that has mlflow, or dvc; by default this one. A peer that is not there is left out,
and it says so. `--place DIRECTORY` keeps the repositories there, to be used again: a million runs
take minutes to make.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import peers
import synthetic
from measure import Claim, arguments, cost_of, ground, median_costs, process, report

from gittrack.git import Repo

_PEER = "import click, sqlite3"
_QUERY = "metrics.accuracy > 0.9 and params.lr = 0.01"
_SORT = "-metrics.accuracy"
_NEW = 10
_COLUMNS = 20
_PLAIN, _ASKED, _GROWN = 1.5, 2.5, 1.2
_MICROSECONDS_FRESH, _MS_FOUND, _MS_NEW, _SECONDS_FRAME = 100, 1, 30, 1.5
_COLD_RATE = 15_000
_BYTES = 400

_FRESH = """
import statistics, sys, time
from gittrack import tables, whereabouts
from gittrack.index import open_index
place = whereabouts.find(".")
with open_index(place) as index:
    database, seen = index.database, []
    for _ in range(200):
        began = time.perf_counter()
        assert tables.is_fresh(database, place.common_dir)
        seen.append(time.perf_counter() - began)
assert "pygit2" not in sys.modules
print(statistics.median(seen))
"""
_FOUND = f"""
import statistics, time
from gittrack import whereabouts
from gittrack.search import Question, open_search
question = Question(query={_QUERY!r}, sort=({_SORT!r},), limit=50, counted=COUNTED)
with open_search(whereabouts.find(".")) as search:
    seen = []
    for _ in range(100):
        began = time.perf_counter()
        found = search.find(question)
        seen.append(time.perf_counter() - began)
    assert found.runs
print(statistics.median(seen))
"""
_NEWER = """
import time
from gittrack import whereabouts
from gittrack.index import open_index
from gittrack.git import Repo
place = whereabouts.find(".")
place.repo
began, spent = time.perf_counter(), time.process_time()
with open_index(place):
    pass
print(time.perf_counter() - began, time.process_time() - spent)
"""
_COLD = """
import time
from gittrack import whereabouts
from gittrack.index import open_index
place = whereabouts.find(".")
place.repo
began = time.process_time()
with open_index(place):
    pass
print(time.process_time() - began)
"""
_FRAME = """
import time
import pandas
import gittrack
began = time.perf_counter()
frame = gittrack.runs().to_pandas()
print((time.perf_counter() - began) / len(frame.columns))
"""


class _Grounds(NamedTuple):
    """The repositories: with few runs, with more, with very many."""

    few: Path
    more: Path
    many: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--more", type=int, default=100_000, help="for the frame, and what is new")
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--experiments", type=int, default=1000, help="of DVC")
    parser.add_argument("--place", type=Path, help="where the repositories stay")
    parser.add_argument("--mlflow", metavar="PYTHON", default=sys.executable)
    parser.add_argument("--dvc", metavar="PYTHON", default=sys.executable)
    given = parser.parse_args(argv)
    with ExitStack() as stack:
        place = stack.enter_context(ground())
        kept = place if given.place is None else given.place.absolute()
        counts = (given.runs, given.more, given.many)
        grounds = _Grounds(*(_repository(kept, count) for count in counts))
        claims = [
            *_processes(grounds, counts, given.rounds),
            *_inside(grounds, counts, given.rounds),
            *_mlflow(place, grounds.few, given.runs, given.rounds, given.mlflow),
            *_dvc(place, given.experiments, given.rounds, given.dvc),
        ]
    return report("Finding runs", claims)


def _repository(place: Path, count: int) -> Path:
    made = place / f"runs-{count}"
    if not made.exists():
        print(f"making {count:,} runs", file=sys.stderr)
        waiting = place / f"waiting-{count}"
        synthetic.repository(waiting, runs=count)
        waiting.rename(made)
    return made


# -- ours -----------------------------------------------------------------------------------------


def _list(*words: str) -> list[str]:
    return ["git-track", "ls", *words]


def _processes(grounds: _Grounds, counts: Sequence[int], rounds: int) -> list[Claim]:
    """Whole processes; the first one of each repository makes its index, and is not counted."""
    asked = _list(_QUERY, "--sort", _SORT, "-n", "50")
    cases: dict[str, Callable[[], None]] = {
        "peer": process([sys.executable, "-c", _PEER], grounds.few)
    }
    for name, place in zip(grounds._fields, grounds, strict=True):
        cases[f"ls {name}"] = process(_list("-n", "50"), place)
        cases[f"query {name}"] = process(asked, place)
    cost = {name: found.cpu for name, found in median_costs(cases, rounds=rounds).items()}
    peer = f"python -c '{_PEER}'"
    claims = []
    for name, count in zip(grounds._fields, counts, strict=True):
        plain = f"git track ls, {count:,} runs"
        query = f"git track ls QUERY --sort, {count:,} runs"
        claims.append(Claim(plain, peer, cost[f"ls {name}"], cost["peer"], _PLAIN))
        claims.append(Claim(query, peer, cost[f"query {name}"], cost["peer"], _ASKED))
    few = f"{counts[0]:,} runs"
    for what, name in (("git track ls", "ls"), ("git track ls QUERY --sort", "query")):
        whole = f"{what}, {counts[2]:,} runs"
        claims.append(Claim(whole, few, cost[f"{name} many"], cost[f"{name} few"], _GROWN))
    return claims


def _inside(grounds: _Grounds, counts: Sequence[int], rounds: int) -> list[Claim]:
    """What the index costs inside of a process, by the clock but for the cold one."""
    claims = []
    for place, count in ((grounds.few, counts[0]), (grounds.many, counts[2])):
        fresh, found = _told(place, _FRESH), _told(place, _asking(counted=False))
        unit, limit = "microseconds", _MICROSECONDS_FRESH
        name = f"nothing changed, {count:,} runs"
        claims.append(Claim(name, "100 microseconds", fresh * 1e6, limit, 1, unit))
        name = f"50 of {count:,} runs found"
        claims.append(Claim(name, "1 ms", found * 1e6, _MS_FOUND * 1000, 1, unit))
        both = _told(place, _asking(counted=True))
        counted = f"and all that match counted, {count:,}"
        claims.append(Claim(counted, "1 ms", both * 1e6, _MS_FOUND * 1000, None, unit))
    newer = [_after_new(grounds.more, counts[1], number) for number in range(min(rounds, 5))]
    new = f"{_NEW} new runs, {counts[1]:,} before"
    clock, cpu = (sorted(each)[len(newer) // 2] for each in zip(*newer, strict=True))
    claims.append(Claim(new, "30 ms", clock, _MS_NEW / 1e3, 1))
    claims.append(Claim(f"{new}, by CPU", "30 ms", cpu, _MS_NEW / 1e3, None))
    cold = sorted(_cold(grounds.more) for _ in range(min(rounds, 3)))[min(rounds, 3) // 2]
    rate = f"{_COLD_RATE:,} in a CPU second"
    claims.append(Claim(f"{counts[1]:,} runs, cold", rate, cold, counts[1] / _COLD_RATE, 1))
    for place, count in zip(grounds, counts, strict=True):
        size = sum(path.stat().st_size for path in _index(place))
        name = f"the index of {count:,} runs"
        claims.append(Claim(name, "400 bytes a run", size, _BYTES * count, 1, "bytes"))
    if _has(sys.executable, "pandas"):
        frame = _told(grounds.more, _FRAME) * _COLUMNS
        name = f"{counts[1]:,} runs as a DataFrame, {_COLUMNS} columns of it"
        claims.append(Claim(name, "1.5 s", frame, _SECONDS_FRAME, 1))
    return claims


def _index(place: Path) -> list[Path]:
    return list((place / ".git" / "gittrack").glob("index-*.sqlite"))


def _asking(*, counted: bool) -> str:
    return _FOUND.replace("COUNTED", str(counted))


def _after_new(place: Path, count: int, number: int) -> tuple[float, float]:
    """By the clock and by CPU: the index opened when ten runs arrived, which go again after it."""
    repo = Repo.open(place)
    found = synthetic.drawn(_NEW, first=count + number * _NEW, base=repo.head()[0])
    made = synthetic.add(place, found, count=_NEW, loose=True)
    spent, cpu = _all_told(place, _NEWER)
    for name in made:
        (place / ".git" / name).unlink()
    _all_told(place, _NEWER)
    return spent, cpu


def _cold(place: Path) -> float:
    for path in (place / ".git" / "gittrack").glob("index-*"):
        path.unlink()
    return _told(place, _COLD)


def _told(place: Path, program: str) -> float:
    return _all_told(place, program)[0]


def _all_told(place: Path, program: str) -> list[float]:
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=place, check=True, stdout=subprocess.PIPE, text=True)
    return [float(word) for word in done.stdout.split()]


# -- others ---------------------------------------------------------------------------------------


def _mlflow(place: Path, ours: Path, count: int, rounds: int, python: str) -> list[Claim]:
    """The same question to MLflow, in a process of its own, its import not counted for inside."""
    if not _has(python, "mlflow, sqlalchemy"):
        return []
    store = place / "mlflow"
    peers.mlflow_store(python, store, runs=count)
    inside = sorted(float(_output(python, store, peers.MLFLOW)) for _ in range(min(rounds, 3)))
    whole = median_costs(
        {
            "ours": process(_list(_QUERY, "--sort", _SORT, "-n", "50"), ours),
            "theirs": process([python, "-c", peers.MLFLOW], store),
        },
        rounds=min(rounds, 3),
    )
    found = _told(ours, _asking(counted=False))
    name = f"50 of {count:,} runs found"
    asked = f"git track ls QUERY --sort, {count:,} runs"
    return [
        Claim(name, "mlflow.search_runs, SQLite", found, inside[len(inside) // 2], 0.1),
        Claim(
            asked, "mlflow.search_runs, with import", whole["ours"].cpu, whole["theirs"].cpu, 0.1
        ),
    ]


def _dvc(place: Path, count: int, rounds: int, python: str) -> list[Claim]:
    """DVC has no filter: its table of all experiments beside ours of as many runs."""
    if not _has(python, "dvc"):
        return []
    theirs = place / "dvc"
    peers.dvc_experiments(python, theirs, count=count)
    ours = _repository(place, count)
    process(_list(), ours)()
    show = process([python, "-m", "dvc", "exp", "show", "--json"], theirs)
    cost = cost_of(show).cpu
    listed = json.loads(_output(python, theirs, None))
    there = sum(len(one["experiments"] or ()) for one in listed)
    assert there == count, f"dvc shows {there} experiments"
    mine = median_costs({"ours": process(_list("--json"), ours)}, rounds=min(rounds, 3))
    plain = median_costs({"ours": process(_list(), ours)}, rounds=min(rounds, 3))
    return [
        Claim(
            f"git track ls, {count:,} runs", "dvc exp show --json", plain["ours"].cpu, cost, 0.02
        ),
        Claim(f"git track ls --json, {count:,} runs", "the same", mine["ours"].cpu, cost, None),
    ]


def _output(python: str, place: Path, program: str | None) -> str:
    words = [python, "-m", "dvc", "exp", "show", "--json"]
    if program is not None:
        words = [python, "-c", program]
    done = subprocess.run(words, cwd=place, check=True, capture_output=True, text=True)
    return done.stdout


def _has(python: str, modules: str) -> bool:
    """Whether an interpreter has the modules; says so if not."""
    words = [python, "-c", f"import {modules}"]
    try:
        there = subprocess.run(words, capture_output=True).returncode == 0
    except OSError:
        there = False
    if not there:
        print(f"{modules}: not there, left out", file=sys.stderr)
    return there


if __name__ == "__main__":
    sys.exit(main())
