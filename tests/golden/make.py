"""Make the golden repositories: format 1, frozen as streams of `git fast-export`.

Run by hand, and only while what a repository shows is not final:
`python tests/golden/make.py NAME`. What was released is frozen: new fields get a repository of
their own. The test beside this holds that today's reader and writer agree with what was frozen.
"""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ZONE = "Asia/Kathmandu"
START = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)


class Golden(NamedTuple):
    """A repository that is frozen: how it was made, the runs in it, the fields unknown then.

    `read` says what our reader sees in it, as JSON.
    """

    name: str
    build: Callable[[Path], None]
    runs: int
    later: frozenset[str]
    read: Callable[[Path, frozenset[str]], str]

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
        """What is in it, as JSON."""
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


# -- which models there are ---------------------------------------------------------------------

_BOB = "Bob <bob@example.org>"
_MLMODEL = "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n  sklearn: {}\n"


def build_registry(place: Path) -> None:
    """Fill an empty directory with models: every kind of tag, also such as do not count."""
    _, ada, base, tree = _begin(place)
    settings = {"user.name": ada.name, "user.email": ada.email, "track.writer": "ada"}
    for key, value in (settings | {"track.fsync": "false"}).items():
        _git(place, "config", key, value)
    models = _Models(place, base, tree)
    _wine(models)
    _described(models)
    _churn(models)
    _others(models)
    _by_gto(models)
    _odd_tags(models)


class _Models:
    """Five runs in a repository, and a clock that each decision takes a minute of."""

    def __init__(self, place: Path, base: str, tree: str) -> None:
        from gittrack.git import Repo

        self.repo = Repo.open(place)
        self.place, self.base = place, base
        self.now = int(START.timestamp()) + 3600
        self.runs = [self._write(number, tree) for number in range(1, 6)]

    def _write(self, number: int, tree: str) -> Any:
        from gittrack import commits
        from gittrack.records import Artifact

        names = ("amber-otter-7f3kq2", "blue-heron-q2zm8d", "calm-lynx-0xw8nc", "dry-mole-00000z",
                 "eager-newt-zzzzzz")  # fmt: skip
        kept: tuple[Artifact, ...] = (Artifact("model.joblib", f"{number}" * 32, 2_400_000),)
        if number == 4:
            kept = (Artifact("a/n\u00e4me: #1", "b" * 32, 7), self._package())
        if number == 5:
            kept = ()
        metrics = {"accuracy": 0.9 + number / 100, "loss": 1e-06, "per class/\u00fc": math.nan}
        run = _run(self.base, number, names[number - 1], metrics=metrics, artifacts=kept)
        author = self.repo.identity()
        return commits.write(self.repo, run, tree=tree, author=author)

    def _package(self) -> Any:
        from gittrack import setup
        from gittrack.cache import open_cache
        from gittrack.records import Artifact

        with tempfile.TemporaryDirectory() as directory:
            package = Path(directory, "package")
            package.mkdir()
            (package / "MLmodel").write_text(_MLMODEL)
            (package / "model.pkl").write_bytes(b"model")
            found = open_cache(self.repo, setup.read(self.repo)).add(package)
        return Artifact("package", found.md5, found.size, found.nfiles)

    def find(self, selector: str) -> Any:
        from gittrack import registry, whereabouts

        return registry.find_version(registry.read(whereabouts.of(self.repo)), selector)

    def model(self, name: str) -> Any:
        from gittrack import registry, whereabouts

        return registry.read(whereabouts.of(self.repo)).models[name]

    def decide(self, what: str, *subjects: Any, **more: Any) -> None:
        """One of the registrar's decisions; a text with `@` is a version, a number a run."""
        from gittrack import registrar

        self.now += 60
        meant = [
            self.runs[one - 1] if isinstance(one, int)
            else self.find(one) if isinstance(one, str) and "@" in one
            else one
            for one in subjects
        ]  # fmt: skip
        done = getattr(registrar, what)(self.repo, *meant, now=self.now, **more)
        assert done.status == "done"

    def tag(self, name: str, on: int, message: str, who: str = _BOB, zone: str = "+0000") -> None:
        """A tag that somebody else makes, on a run or, with 0, on the code."""
        self.now += 60
        target = self.runs[on - 1].commit if on else self.base
        self.body(name, target, "commit", f"tagger {who} {self.now} {zone}\n", message)

    def body(self, name: str, target: str, kind: str, tagger: str, message: str) -> None:
        """A tag as it is stored."""
        data = f"object {target}\ntype {kind}\ntag {name}\n{tagger}\n{message}".encode(
            "utf-8", "surrogateescape"
        )
        words = ("hash-object", "-t", "tag", "-w", "--literally", "--stdin")
        made = _git(self.place, *words, data=data)
        _git(self.place, "update-ref", f"refs/tags/{name}", made.decode().strip())


def _wine(models: _Models) -> None:
    """Everything that can be decided, one after the other."""
    words = "Trained on all of it.\n\nVersion: 9.9.9\n\x1b[2J\u202e caf\u00e9 \U0001f377"
    models.decide("register", 1, "wine", message=words)
    models.decide("promote", "wine@1.0.0", "staging", reason="a first one")
    rules = ["metrics.accuracy >= 0.9 and not dirty", "status = 'finished'"]
    models.decide("promote", "wine@1.0.0", "production", require=rules)
    models.decide("register", 2, "wine", bump="minor")
    models.decide("promote", "wine@1.1.0", "staging")
    models.decide("alias", "wine@1.0.0", "champion", reason="best so far")
    models.decide("promote", "wine@1.1.0", "production", archive_existing=True,
                  reason="passed: the \"audit\"\nof March")  # fmt: skip
    models.decide("alias", "wine@1.1.0", "champion")
    models.decide("alias", "wine@1.0.0", "fallback")
    models.decide("rollback", models.model("wine"), "production", reason="1.1.0 is slow")
    models.decide("unalias", models.model("wine"), "fallback", reason="not wanted")
    models.decide("promote", "wine@1.1.0", "archived")
    models.decide("register", 3, "wine", version="2.0.0-rc.1+build.7")
    models.decide("promote", "wine@2.0.0-rc.1+build.7", "integration")
    models.decide("unregister", "wine@2.0.0-rc.1+build.7", reason="trained on the test data")
    models.decide("register", 3, "wine", version="2.0.0")
    models.decide("promote", "wine@2.0.0", "integration")
    models.decide("demote", "wine@2.0.0", reason="freeze")


def _described(models: _Models) -> None:
    """Models and versions of which somebody said something, also that it is to be forgotten."""
    from gittrack import descriptions

    texts = [(models.model("wine"), "Which wine is it?\nBy the \U0001f347."),
             (models.find("wine@1.0.0"), "The first."), (models.find("wine@1.1.0"), "Slow."),
             (models.find("wine@1.1.0"), ""),
             (models.find("wine@1.0.0"), "The first one.")]  # fmt: skip
    before = dict(os.environ)
    try:
        for number, (what, text) in enumerate(texts):
            moment = START + timedelta(hours=3, minutes=number)
            for who in ("AUTHOR", "COMMITTER"):
                os.environ[f"GIT_{who}_DATE"] = f"{int(moment.timestamp())} +0545"
            random = partial(_bytes, number)
            descriptions.describe(models.repo, what, text, now=moment, random=random)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _bytes(number: int, length: int) -> bytes:
    return bytes([number]) * length


def _churn(models: _Models) -> None:
    """Two clones decide at once: one contest lasts, another is decided anew."""
    models.decide("register", 1, "churn")
    models.decide("register", 2, "churn", bump="major")
    models.decide("promote", "churn@1.0.0", "production")
    models.decide("promote", "churn@1.0.0", "eu-west")
    models.decide("promote", "churn@1.0.0", "production")
    for stage, mine, alias in (
        ("production", "staging", "challenger"),
        ("staging", "qa", "candidate"),
    ):
        with tempfile.TemporaryDirectory() as directory:
            clone = Path(directory, "clone")
            shutil.copytree(models.place, clone)
            other = copy.copy(models)
            other.repo, other.place = type(models.repo).open(clone), clone
            other.decide("alias", "churn@2.0.0", alias)
            other.decide("promote", "churn@2.0.0", stage)
            models.decide("promote", "churn@1.0.0", mine)
            _git(models.place, "fetch", "-q", str(clone), "refs/tags/*:refs/tags/*")
        if stage == "production":
            models.decide("promote", "churn@2.0.0", "production", again=True)


def _others(models: _Models) -> None:
    """A package in a directory, a run that kept nothing, and a model that is no longer used."""
    models.decide("register", 4, "models/eu:score", message="Scores, all of them")
    models.decide("promote", "models/eu:score@1.0.0", "production")
    models.decide("register", 4, "inner", artifact="package/model.pkl")
    models.decide("register", 5, "rules", allow_none=True, version="0.1.0")
    models.decide("register", 1, "old")
    models.decide("promote", "old@1.0.0", "staging")
    models.decide("deprecate", models.model("old"), reason="see wine")


def _by_gto(models: _Models) -> None:
    """The messages are those of GTO."""
    said = "{0} stage {1} {2} artifact 'gto-model' version v{3}"
    models.tag("gto-model@v0.0.1", 0, "Registering artifact gto-model version v0.0.1\n")
    models.tag("gto-model@v0.1.0", 1, "Registering artifact gto-model version v0.1.0\n")
    models.tag("gto-model@v0.2.0", 2, "Registering artifact gto-model version v0.2.0\n")
    models.tag("gto-model#dev#1", 1, said.format("Assigning", "dev", "to", "0.1.0"))
    models.tag("gto-model#dev#2", 2, said.format("Assigning", "dev", "to", "0.2.0"))
    models.tag("gto-model#dev!#3", 2, said.format("Unassigning", "dev", "from", "0.2.0"))
    models.tag("gto-model#simple", 1, said.format("Assigning", "simple", "to", "0.1.0"))
    models.tag("gto-model#d/e_v#4", 0, said.format("Assigning", "d/e_v", "to", "0.0.1"))
    models.tag("gto-model@v0.2.0!", 2, "Deregistering artifact gto-model version v0.2.0\n")
    models.tag("gto-old@v1.0.0#1", 3, "Registering artifact gto-old version v1.0.0\n")
    models.tag("gto-old@deprecated", 3, "Deprecating artifact 'gto-old'\n")
    models.decide("promote", "gto-model@0.1.0", "production", reason="by us")


def _odd_tags(models: _Models) -> None:
    """Such as do not count, or count for less than they say; and some that are nobody's."""
    forged = "Register hers\n\nVersion: 1.0.0\nPrevious: none\n\nVersion: 7\nKind: alias\nKind: x"
    models.tag("hers@v1.0.0", 1, forged + "\nArtifact: ../\x1b]0;x\x07\nRUN-ID: \"a\\nb\"\n",
               "E\x1bve\u202e <e@x>", "-0930")  # fmt: skip
    models.tag("hers@v2.0.0", 2, "caf\udce9\r\n\r\nVersion: 2.0.0\r\nArtifact: m.bin\r\n", " <>")
    models.tag("hers@v1.0.0#2", 3, "Register it again\n\nVersion: 1.0.0\n")
    models.tag("hers@v3.0.0!", 3, "Take back what is not there\n")
    models.tag("hers#production#007", 1, "Zeros\n\nVersion: 1.0.0\n")
    models.tag("hers#production#9999999999", 1, "Too large\n\nVersion: 1.0.0\n")
    models.tag("hers#production#999999998", 1, "Large\n\nVersion: v1.0.0\nPrevious: none\n")
    models.tag("hers#staging#3", 0, "On code\n\nVersion: 1.0.0\n")
    models.tag("hers#staging#4", 1, "Of another\n\nVersion: 2.0.0\n")
    models.tag("hers#staging!#5", 2, "Nobody had it\n\nVersion: 2.0.0\nPrevious: none\n")
    models.tag("hers#production#6", 2, "Earlier\n\nVersion: 2.0.0\nPrevious: hers#qa#1\n")
    models.tag("hers#archived#8", 1, "Kind of\n\nVersion: 1.0.0\nKind: alias\n")
    models.tag("fix#123", 1, "Somebody else's\n")
    models.tag("v1.0", 0, "Version 1.0\n")
    models.body("hers#silent#10", models.runs[1].commit, "commit", "", "Nobody\n\nVersion: 2.0.0\n")
    blob = models.repo.write_blob(b"no commit")
    models.body("hers@v4.0.0", blob, "blob", "tagger Eve <e@x> 99999999999999 +0000\n", "A blob\n")
    models.body("hers@v0.9.0", models.runs[3].commit, "commit",
                "tagger Eve <e@x> 99999999999999 +0000\n", "In some million years\n")  # fmt: skip
    _git(models.place, "tag", "hers@v5.0.0", models.base)


# -- what is frozen -----------------------------------------------------------------------------

_SINCE_DATA = frozenset(("code.notebook", "parent_name"))
"""Fields that no frozen repository knew."""


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


def models(place: Path, later: frozenset[str]) -> str:
    """Every model of the repository at `place` as our reader sees it, as JSON.

    Why a tag is ignored or contested is told to people, in words that may change.
    """
    from gittrack import descriptions, registry, whereabouts
    from gittrack.git import Repo

    there = whereabouts.of(Repo.open(place))
    known = registry.read(there)
    seen = {
        "models": {name: _model(model) for name, model in known.models.items()},
        "problems": [one.tag for one in known.problems],
        "descriptions": dict(descriptions.read(there, known)),
    }
    return json.dumps(_known(seen, later), indent=1, sort_keys=True) + "\n"


_CHANGE = ("tag", "action", "version", "stage", "is_alias", "counter", "commit", "moment", "by",
           "email", "subject", "body", "replaced", "has_effect")  # fmt: skip


def _model(model: Any) -> dict[str, Any]:
    return {
        "latest": model.latest and model.latest.version,
        "deprecated": model.deprecated and model.deprecated.tag,
        "top": model.top,
        "versions": {
            one.version: {
                "tag": one.registered.tag,
                "unregistered": one.unregistered and one.unregistered.tag,
                "stage": one.stage,
                "since": one.since and one.since.tag,
                "aliases": list(one.aliases),
                "run": one.run_id,
                "artifact": one.artifact,
            }
            for one in model.versions
        },
        "holdings": [
            {
                "stage": one.stage,
                "version": one.version,
                "alias": one.is_alias,
                "contested": [change.tag for change in one.contested],
            }
            for one in model.holdings
        ],
        "contested": [one.tag for one in model.contested],
        "history": [
            {field: getattr(one, field) for field in _CHANGE}
            | {"trailers": dict(one.trailers), "contested": one.contested is not None}
            for one in model.history
        ],
    }


GOLDENS = (
    Golden("golden", build, 5, _SINCE_DATA | {"artifacts", "data", "fingerprint"}, records),
    Golden("golden-data", build_data, 4, _SINCE_DATA, records),
    Golden("golden-registry", build_registry, 5, frozenset(), models),
)


def export(place: Path) -> bytes:
    """The repository at `place` as a stream."""
    return _git(place, "fast-export", "--all", "--reencode=no")


def _git(place: Path, *words: str, data: bytes = b"") -> bytes:
    return subprocess.run(
        ["git", *words], cwd=place, check=True, capture_output=True, input=data
    ).stdout


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
            golden.records.write_text(golden.read(place, golden.later))
        sys.stdout.write(golden.ids.read_text())


if __name__ == "__main__":
    main()
