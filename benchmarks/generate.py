"""A seeded generator of repositories with N runs, for benchmarks and tests alike.

    python benchmarks/generate.py DIRECTORY --runs 1000

The same arguments give the same runs, ids and commits.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from gittrack import commits, names, refs
from gittrack.git import Identity, Repo
from gittrack.records import Code, Environment, Row, Run
from gittrack.refs import RunRef
from gittrack.summaries import Status

__all__ = ["AUTHOR", "START", "generate", "make"]

AUTHOR = Identity("Ada Lovelace", "ada@example.org")
START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=timezone.utc)
_STATUSES: Sequence[Status] = ("finished",) * 8 + ("failed", "killed")


def generate(
    path: str | os.PathLike[str],
    *,
    runs: int = 10,
    seed: int = 0,
    experiments: int = 3,
    params: int = 10,
    metrics: int = 10,
    points: int = 0,
    digits: int = 17,
) -> list[Run]:
    """Make a repository at `path` (or use the one there) and record runs in it, oldest first.

    A tenth failed, a tenth was killed. `points` is the length of each curve; 0 writes none.
    `digits` is how many significant digits a metric has, 17 all that a float can have.
    """
    place = Path(path)
    if not (place / ".git").exists():
        _start(place)
    repo = Repo.open(place)
    base, branch = repo.head()
    tree = repo.read_commit(base).tree if base else repo.empty_tree()
    dice = random.Random(seed)
    made, found = [], []
    repo.state.mkdir(exist_ok=True)
    repo.sync(False)
    with repo.packed():
        for number in range(runs):
            run = make(
                dice,
                number,
                experiments=experiments,
                params=params,
                metrics=metrics,
                base=base,
                branch=branch,
                digits=digits,
            )
            rows = _curves(dice, run, points, digits)
            commit = _store(repo, run, tree, rows)
            made.append(run)
            found.append(RunRef(run.experiment, run.name, commit))
    refs.create_many(repo, found)
    repo.sync(True)
    return made


def _store(repo: Repo, run: Run, tree: str, rows: Sequence[Row]) -> str:
    log = f"accuracy: {next(iter(run.metrics.values()), 0)}\n".encode()
    return commits.store(repo, run, tree=tree, author=AUTHOR, rows=rows, log=log)


def make(
    dice: random.Random,
    number: int,
    *,
    experiments: int = 3,
    params: int = 10,
    metrics: int = 10,
    base: str | None = None,
    branch: str | None = "main",
    digits: int = 17,
) -> Run:
    """The run of this number: a minute after the one before, its values drawn by `dice`."""
    started = START + timedelta(minutes=number, microseconds=dice.randrange(10**6))
    status = dice.choice(_STATUSES)
    return Run(
        id=names.run_id(dice.randbytes(16)),
        name=names.generate(dice.randbytes(6)),
        experiment=("default", *(f"group-{n}" for n in range(1, experiments)))[
            dice.randrange(max(experiments, 1))
        ],
        status=status,
        started=started,
        ended=started + timedelta(seconds=dice.uniform(0.1, 5000)),
        exit_code={"finished": 0, "failed": 1, "killed": 137}[status],
        command=("python", "train.py", "--seed", str(number)),
        user="Ada Lovelace",
        host="engine",
        code=Code(base=base, branch=branch),
        params={_param(n): _value(dice, n) for n in range(params)},
        metrics={_metric(n): _rounded(dice.random(), digits) for n in range(metrics)},
        environment=Environment(
            python="3.11.7",
            platform="Linux-x86_64",
            cpu="Analytical",
            cores=4,
            memory=8 << 30,
            packages={"numpy": f"2.{dice.randrange(3)}.0", "scikit-learn": "1.5.0"},
        ),
    )


def _param(number: int) -> str:
    known = ("lr", "depth", "optimizer", "model.dropout", "seed")
    return known[number] if number < len(known) else f"param_{number}"


def _metric(number: int) -> str:
    known = ("accuracy", "f1", "loss")
    return known[number] if number < len(known) else f"metric_{number}"


def _value(dice: random.Random, number: int) -> float | int | str:
    if number == 2:
        return dice.choice(("adam", "sgd", "lamb"))
    if number % 2:
        return dice.randrange(1, 200)
    return round(10 ** dice.uniform(-4, 0), 6)


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _curves(dice: random.Random, run: Run, points: int, digits: int) -> list[Row]:
    """Curves that end at the run's last values."""
    rows = []
    for step in range(points):
        left = points - 1 - step
        values = {
            name: _rounded(
                last + math.exp(-step / 20) * dice.uniform(-0.1, 0.1) * bool(left), digits
            )
            for name, last in run.metrics.items()
        }
        rows.append(Row(step, float(step), values))
    return rows


def _start(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / "train.py").write_text('print("accuracy: 0.9")\n')
    env = os.environ | {
        "GIT_AUTHOR_NAME": AUTHOR.name,
        "GIT_AUTHOR_EMAIL": AUTHOR.email,
        "GIT_COMMITTER_NAME": AUTHOR.name,
        "GIT_COMMITTER_EMAIL": AUTHOR.email,
        "GIT_AUTHOR_DATE": "@1767200000 +0000",
        "GIT_COMMITTER_DATE": "@1767200000 +0000",
    }
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "Train a model"],
    ):
        subprocess.run(["git", *words], cwd=place, env=env, check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a repository with N runs.")
    parser.add_argument("path")
    for option, default in (("runs", 1000), ("seed", 0), ("experiments", 3), ("params", 10)):
        parser.add_argument(f"--{option}", type=int, default=default)
    for option, default in (("metrics", 10), ("points", 0), ("digits", 17)):
        parser.add_argument(f"--{option}", type=int, default=default)
    given = vars(parser.parse_args())
    generate(given.pop("path"), **given)
