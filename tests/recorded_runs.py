"""A few runs with every kind of value, recorded, for the tests of what is asked and exported."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from gittrack import commits, whereabouts
from gittrack.git import Identity, Repo
from gittrack.records import Artifact, Code, Data, Environment, Input, Row, Run
from gittrack.search import Found, Question, open_search

__all__ = ["NOON", "found", "record", "various"]

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
_ADA = Identity("Ada Lovelace", "ada@example.org")


def found(repo: Repo, **asked: Any) -> Found:
    """The runs that answer a question, asked by the fields of `Question`."""
    with open_search(whereabouts.of(repo)) as search:
        return search.find(Question(**asked))


def record(place: Path, number: int, name: str, rows: Any = (), **more: Any) -> Run:
    """Write a run that began `number` minutes after noon, and whose id is `number`."""
    repo = Repo.open(place)
    began = NOON + timedelta(minutes=number)
    made: dict[str, Any] = {
        "id": f"{number:032x}", "experiment": "default", "status": "finished", "started": began,
        "ended": began + timedelta(seconds=4), "exit_code": 0, "user": "Ada",
        "command": ("python", "train.py"), "code": Code(base=repo.head()[0], branch="main"),
    }  # fmt: skip
    run = Run(name=name, **made | more)
    commits.write(repo, run, tree=repo.empty_tree(), author=_ADA, rows=rows)
    return run


def various(place: Path) -> list[Run]:
    """Record six runs in two experiments, the oldest first: mixed types, odd names, curves."""
    rows = [Row(n, float(n), {"acc": n / 10, "loss": 1 / (n + 1)}) for n in range(5)]
    first = record(
        place, 1, "amber-otter-aaaaaa", rows,
        params={"lr": 0.1, "opt": "adam", "layers": 3, "fast": True},
        metrics={"acc": 0.4, "loss": 0.2},
        environment=Environment(python="3.11.7", packages={"numpy": "2.0.1", "torch": "2.6"}),
        data=(Data("data/raw.csv", "1" * 32, 10),),
        artifacts=(Artifact("model.bin", "2" * 32, 20),),
        tags={"stage": "dev"},
    )  # fmt: skip
    return [
        first,
        record(
            place, 2, "blue-heron-bbbbbb",
            params={"lr": 1, "opt": "adam", "layers": 10**30, "fast": False, "seed": 1 << 60},
            metrics={"acc": math.nan, "loss": math.inf},
            inputs=(Input("default/amber-otter-aaaaaa", first.id, "c" * 40, "model.bin"),),
        ),
        record(
            place, 3, "calm-lynx-cccccc", experiment="sweep-2", experiment_title="Sweep Nº 2",
            params={"lr": "auto", "opt": "lamb", "fast": True, "größe 'x'": "=1+1", "seed": 2},
            metrics={"acc": 0.9, "a b/ü": 1},
            tags={"who's": "Žofie, \"Z\"\nline"},
        ),
        record(
            place, 4, "deep-newt-dddddd", experiment="sweep-2", experiment_title="Sweep Nº 2",
            status="failed", exit_code=1,
            params={"lr": 0.01, "layers": 4, "nested": [1, "two"], "none": None},
        ),
        record(place, 5, "eager-crab-eeeeee", metrics={"acc": 1}, params={"fast": True}),
        record(place, 6, "fond-wolf-ffffff", experiment="2024", params={"opt": 5}),
    ]  # fmt: skip
