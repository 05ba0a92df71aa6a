"""Make the golden repository: format 1, frozen as a stream of `git fast-export`.

Run by hand, and only while the format is not final: `python tests/golden/make.py`. The test beside
it holds that today's reader and writer agree with what was frozen.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STREAM, IDS, RECORDS = HERE / "golden.fast-export", HERE / "golden.ids", HERE / "golden.json"
ZONE = "Asia/Kathmandu"
_LATER = {"artifacts", "data", "fingerprint"}
START = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)


def build(place: Path) -> None:
    """Fill an empty directory with the golden repository: one code commit and five runs."""
    from gittrack import runs
    from gittrack.git import Identity, Repo

    assert os.environ["TZ"] == ZONE
    subprocess.run(["git", "init", "-q", "-b", "main", os.fspath(place)], check=True)
    repo = Repo.open(place)
    ada = Identity("Ada Lovelace", "ada@example.org")
    code = {"train.py": (repo.write_blob(b'print("accuracy: 0.98")\n'), 0o100755)}
    tree = repo.write_tree(code)
    began = START.timestamp()
    base = repo.write_commit(
        tree=tree, parents=[], message="Train a model\n", author=ada, started=began, ended=began
    )
    repo.set_ref("refs/heads/main", base)
    empty = repo.empty_tree()
    changed = repo.write_tree(
        {**code, "features.py": (repo.write_blob(b"N = 3\n"), 0o100644)}, base=tree
    )
    trees = [changed, tree, tree, empty, tree]
    for run, rows, log, snapshot in zip(*_runs(base), trees, strict=True):
        runs.write(repo, run, tree=snapshot, author=ada, rows=rows, log=log)


def _runs(base: str) -> tuple[list[Any], list[Any], list[bytes]]:
    from gittrack.records import Code, Environment, Input, Row, Run, Skipped

    def run(number: int, name: str, **fields: Any) -> Run:
        began = START + timedelta(minutes=number)
        known = {
            "status": "finished",
            "ended": began + timedelta(seconds=4.25),
            "exit_code": 0,
            "user": "Ada Lovelace",
            "host": "engine",
            "code": Code(base=base, branch="main"),
        }
        return Run(
            id=f"{number:x}" * 32,
            name=name,
            experiment="default",
            started=began,
            **{**known, **fields},
        )

    finished = run(
        1,
        "amber-otter-7f3kq2",
        title="The first one",
        experiment_title="Wine / all",
        message="Try more trees\n\nStatus: of the art",
        command=("python", "train.py", "--lr", "0.1", "a b", "it's", "tab\there"),
        directory="notes",
        code=Code(
            base=base,
            branch="main",
            dirty=True,
            included=("features.py",),
            skipped=(Skipped("big.bin", "too large"), Skipped('"caf\\351"', "secret")),
            hidden=(Skipped("vendor", "nested repository"),),
        ),
        params={"lr": 0.1, "n_estimators": 100, "deterministic": True, "name": "NO", "none": None},
        metrics={"accuracy": 0.98, "loss": 1e-06},
        environment=Environment(
            python="3.11.7",
            platform="Linux-6.1-x86_64",
            cpu="AMD EPYC",
            cores=8,
            memory=34359738368,
            gpus=("NVIDIA A100", "NVIDIA A100"),
            packages={"numpy": "2.1.0", "PyYAML": "6.0.2"},
            lock_files={"uv.lock": "0" * 40},
            variables={"CUDA_VISIBLE_DEVICES": "0,1"},
        ),
        tags={"team": "vision", "empty": ""},
        output_bytes=15,
    )
    failed = run(2, "blue-heron-q2zm8d", status="failed", exit_code=1, params={"lr": 1},
                 faults=("metrics.json: line 1: no JSON",))  # fmt: skip
    killed = run(3, "calm-lynx-0xw8nc", status="killed", exit_code=None, parent=finished.id,
                 continues=failed.id, metrics={"loss": math.nan},
                 inputs=(Input(finished.name, finished.id, base, "model.bin"),))  # fmt: skip
    first = run(4, "dry-mole-00000z", code=Code(), source="api")
    nested = run(
        5,
        "eager-newt-zzzzzz",
        params={
            "model.depth": 3,
            "model.act": "relu",
            "a": 1,
            "a.b": 2,
            "empty..part": "x",
            "\u00fc\u6a21": "caf\u00e9 \U0001f600",
            "list": [1, 2.5, "12:30:45", None, [True]],
            "nothing": {},
            "odd": "a\nb\t\x1b[2J\u202e",
            "big": 2**70,
            "small": 5e-324,
        },
        metrics={"nan": math.nan, "up": math.inf, "down": -math.inf, "zero": -0.0, "n": 3},
    )
    curve = [
        Row(0, 0.5, {"loss": 0.5}),
        Row(1, 1.25, {"loss": 1e-06, "accuracy": 0.98}),
        Row(None, 1.250001, {"accuracy": 0.98}),
    ]
    rows = [curve, [], [Row(None, 1.0, {"loss": math.nan})], [], []]
    return (
        [finished, failed, killed, first, nested],
        rows,
        [b"accuracy: 0.98\n", b"", b"", b"", b""],
    )


def ids(place: Path) -> str:
    """Every ref of the repository at `place` with its commit, a line each."""
    form = "--format=%(objectname) %(refname)"
    return _git(place, "for-each-ref", form).decode()


def records(place: Path) -> str:
    """Every run of the repository at `place` as our reader sees it, as JSON."""
    from gittrack import refs, runs
    from gittrack.git import Repo

    repo = Repo.open(place)
    known = {
        ref.short: {
            "run": _known(asdict(runs.load(repo, ref))),
            "series": [asdict(row) for row in runs.load_series(repo, ref)],
            "output": runs.output(repo, ref).decode(),
            "summary": _known(asdict(runs.listing(repo, [ref]).runs[0])),
        }
        for ref in refs.all_runs(repo)
    }
    return json.dumps(known, indent=1, sort_keys=True, default=str) + "\n"


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """Without the fields that came after the freezing, which are empty in these runs."""
    return {key: value for key, value in fields.items() if key not in _LATER or value}


def export(place: Path) -> bytes:
    """The repository at `place` as a stream."""
    return _git(place, "fast-export", "--all", "--reencode=no")


def _git(place: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=place, check=True, capture_output=True).stdout


def main() -> None:
    """Write the three files anew."""
    os.environ["TZ"] = ZONE
    time.tzset()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        build(place)
        STREAM.write_bytes(export(place))
        IDS.write_text(ids(place))
        RECORDS.write_text(records(place))
    sys.stdout.write(IDS.read_text())


if __name__ == "__main__":
    main()
