"""Make the golden repositories: format 1, frozen as streams of `git fast-export`.

Run by hand, and only while what a repository shows is not final:
`python tests/golden/make.py NAME`. What was released is frozen: new fields get a repository of
their own. The test beside this holds that today's reader and writer agree with what was frozen.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ZONE = "Asia/Kathmandu"
START = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)


class Golden(NamedTuple):
    """A repository that is frozen: how it was made, the runs in it, the fields unknown then."""

    name: str
    build: Callable[[Path], None]
    runs: int
    later: frozenset[str] = frozenset()

    @property
    def stream(self) -> Path:
        """The repository, for `git fast-import`."""
        return HERE / f"{self.name}.fast-export"

    @property
    def ids(self) -> Path:
        """Its refs and their commits."""
        return HERE / f"{self.name}.ids"

    @property
    def records(self) -> Path:
        """Its runs, as JSON."""
        return HERE / f"{self.name}.json"


def _begin(place: Path) -> tuple[Any, Any, str, str]:
    """A repository with one code commit -> itself, its author, the commit and the tree."""
    from gittrack.git import Identity, Repo

    assert os.environ["TZ"] == ZONE
    subprocess.run(["git", "init", "-q", "-b", "main", os.fspath(place)], check=True)
    repo = Repo.open(place)
    ada = Identity("Ada Lovelace", "ada@example.org")
    tree = repo.write_tree({"train.py": (repo.write_blob(_PROGRAM), 0o100755)})
    began = START.timestamp()
    base = repo.write_commit(
        tree=tree, parents=[], message="Train a model\n", author=ada, started=began, ended=began
    )
    repo.set_ref("refs/heads/main", base)
    return repo, ada, base, tree


_PROGRAM = b'print("accuracy: 0.98")\n'


def _run(base: str, number: int, name: str, **fields: Any) -> Any:
    from gittrack.records import Code, Run

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


# -- what a run was and said --------------------------------------------------------------------


def build(place: Path) -> None:
    """Fill an empty directory with five runs that name no data and keep nothing."""
    from gittrack import commits

    repo, ada, base, tree = _begin(place)
    changed = repo.write_tree({"features.py": (repo.write_blob(b"N = 3\n"), 0o100644)}, base=tree)
    trees = [changed, tree, tree, repo.empty_tree(), tree]
    for run, rows, log, snapshot in zip(*_runs(base), trees, strict=True):
        commits.write(repo, run, tree=snapshot, author=ada, rows=rows, log=log)


def _runs(base: str) -> tuple[list[Any], list[Any], list[bytes]]:
    from gittrack.records import Code, Environment, Input, Row, Skipped

    def run(number: int, name: str, **fields: Any) -> Any:
        return _run(base, number, name, **fields)

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


# -- what it read and kept ----------------------------------------------------------------------

_CONFIG = b"""[core]
    remote = store
['remote "store"']
    url = s3://team/data
    region = eu-north-1
"""
_EMPTY, _NO_FILES = "d41d8cd98f00b204e9800998ecf8427e", "d751713988987e9331980363e24189ce.dir"


def build_data(place: Path) -> None:
    """Fill an empty directory with four runs that read data and one another's artifacts."""
    from gittrack import commits

    repo, ada, base, tree = _begin(place)

    def config(content: bytes) -> str:
        inner = repo.write_tree({"config": (repo.write_blob(content), 0o100644)})
        return str(repo.write_tree({".dvc": (inner, 0o040000)}, base=tree))

    def write(run: Any, snapshot: str, log: bytes = b"") -> Any:
        return commits.write(repo, run, tree=snapshot, author=ada, log=log)

    first = _trained(base)
    ref = write(first, config(_CONFIG), b"accuracy: 0.98\n[... 2097152 bytes left out ...]\nend\n")
    write(_judged(base, first, ref), config(b""))
    write(_odd(base, first), tree)
    write(_first_ever(), repo.empty_tree())


def _trained(base: str) -> Any:
    """Data of every kind that pointers name, and artifacts of every kind."""
    from gittrack.records import Artifact, Data

    return _run(
        base,
        1,
        "amber-otter-7f3kq2",
        command=("python", "train.py", "data/raw.csv"),
        params={"lr": 0.1},
        metrics={"accuracy": 0.98},
        data=(
            Data("data/images", "1" * 32 + ".dir", 2**40, 10_000, "dvc.lock", modified=True),
            Data("data/labels", "2" * 32 + ".dir", 512, 1),
            Data("data/raw.csv", "3" * 32, 1024, None, "data/raw.csv.dvc"),
            Data("params.bin", "4" * 32, 3),
        ),
        artifacts=(
            Artifact("model.pkl", "5" * 32, 2_400_000),
            Artifact("output.log", "6" * 32, 2_097_200),
            Artifact("plots/roc.png", "7" * 32, 9),
            Artifact("predictions", "8" * 32 + ".dir", 300, 3),
        ),
        fingerprint="f" * 32,
        output_bytes=2_097_200,
    )


def _judged(base: str, first: Any, ref: Any) -> Any:
    """Reads what another run kept, twice, and a run that was only named."""
    from gittrack.records import Data, Input

    return _run(
        base,
        2,
        "blue-heron-q2zm8d",
        status="failed",
        exit_code=1,
        data=(
            Data("/mnt/shared/test.csv", "9" * 32, 7),
            Data('"caf\\351/x.csv"', "a" * 32, 7, changed=True),
            Data("model.pkl", "5" * 32, 2_400_000),
            Data("predictions", "8" * 32 + ".dir", 300, 3, modified=True, changed=True),
        ),
        inputs=(
            Input(ref.short, first.id, ref.commit, "model.pkl"),
            Input(ref.short, first.id, ref.commit, "predictions"),
            Input("runs/other/calm-lynx-0xw8nc", "e" * 32, base),
        ),
        fingerprint="0123456789abcdef" * 2,
    )


def _odd(base: str, first: Any) -> Any:
    """Did what the first did; keeps nothing, under names that YAML or DVC could take amiss."""
    from gittrack.records import Artifact, Data

    names = ["1e3", "Model.PKL", "a b: c", "a-b", "a.b", "deep/er/and/deeper.bin", "no",
             "\u00fc\u6a21/\U0001f600", "x.dvc", "~"]  # fmt: skip
    return _run(
        base,
        3,
        "calm-lynx-0xw8nc",
        status="killed",
        exit_code=None,
        data=tuple(Data(name, _EMPTY, 0) for name in names),
        artifacts=(
            *(Artifact(name, _EMPTY, 0) for name in names),
            Artifact("nothing", _NO_FILES, 0, 0),
        ),
        fingerprint=first.fingerprint,
    )


def _first_ever() -> Any:
    """Before there was any commit."""
    from gittrack.records import Artifact, Code

    kept = (Artifact("table.json", "b" * 32, 2),)
    return _run("", 4, "dry-mole-00000z", code=Code(), source="api", artifacts=kept)


# -- what is frozen -----------------------------------------------------------------------------

_SINCE_DATA = frozenset(("code.notebook", "parent_name"))
"""Fields that no frozen repository knew."""

GOLDENS = (
    Golden("golden", build, 5, _SINCE_DATA | {"artifacts", "data", "fingerprint"}),
    Golden("golden-data", build_data, 4, _SINCE_DATA),
)


def ids(place: Path) -> str:
    """Every ref of the repository at `place` with its commit, a line each."""
    form = "--format=%(objectname) %(refname)"
    return _git(place, "for-each-ref", form).decode()


def records(place: Path, later: frozenset[str]) -> str:
    """Every run of the repository at `place` as our reader sees it, as JSON.

    Without those of the fields `later` that are empty.
    """
    from gittrack import commits, refs
    from gittrack.git import Repo

    repo = Repo.open(place)
    known = {
        ref.short: {
            "run": _known(asdict(commits.load(repo, ref)), later),
            "series": [asdict(row) for row in commits.load_series(repo, ref)],
            "output": commits.output(repo, ref).decode(),
            "summary": _known(_summary(repo, ref), later | {"parent"}),
        }
        for ref in refs.all_runs(repo)
    }
    return json.dumps(known, indent=1, sort_keys=True, default=str) + "\n"


def _summary(repo: Any, ref: Any) -> dict[str, Any]:
    from gittrack import commits

    return asdict(commits.listing(repo, [ref]).runs[0])


def _known(fields: dict[str, Any], later: frozenset[str], inside: str = "") -> dict[str, Any]:
    return {
        key: _known(value, later, f"{key}.") if key == "code" else value
        for key, value in fields.items()
        if f"{inside}{key}" not in later or value
    }


def export(place: Path) -> bytes:
    """The repository at `place` as a stream."""
    return _git(place, "fast-export", "--all", "--reencode=no")


def _git(place: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=place, check=True, capture_output=True).stdout


def main() -> None:
    """Write the files of the repositories that are named anew."""
    os.environ["TZ"] = ZONE
    time.tzset()
    for golden in [golden for golden in GOLDENS if golden.name in sys.argv[1:]]:
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            golden.build(place)
            golden.stream.write_bytes(export(place))
            golden.ids.write_text(ids(place))
            golden.records.write_text(records(place, golden.later))
        sys.stdout.write(golden.ids.read_text())


if __name__ == "__main__":
    main()
