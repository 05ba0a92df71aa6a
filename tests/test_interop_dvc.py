"""Stock DVC reads what gittrack writes, and gittrack what stock DVC sent, byte for byte.

DVC runs as its users run it: in processes of its own, from the repository or from anywhere by URL.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gittrack import data, refs, retrieve, setup
from gittrack.git import Repo
from gittrack.records import Data, Row
from remotes import (
    KEYS,
    S3,
    cache_of,
    directory_config,
    fill,
    keep,
    make_bucket,
    record,
    serve,
    set_up,
)

MODEL = bytes(range(256)) * 5
TABLES = {"train.csv": "a,b\n1,2\n", "deep/test.csv": "c,d\n3,4\n"}
FIRST, SECOND = "calm-lynx-0xw8nc", "bold-crow-2q7kzd"
PLACE = ".gittrack/artifacts"


@dataclass(frozen=True)
class Project:
    """A repository with two runs and a tag; its data is in the remote and nowhere else."""

    root: Path
    elsewhere: Path

    @property
    def url(self) -> str:
        return self.root.as_uri()

    def ref(self, name: str) -> str:
        return f"refs/runs/default/{name}"


def dvc(place: Path, *arguments: str) -> str:
    """Run stock DVC -> its stdout."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=place,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, f"dvc {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done.stdout


def files(top: Path) -> dict[str, str]:
    return {p.relative_to(top).as_posix(): p.read_text() for p in top.rglob("*") if p.is_file()}


def _project(top: Path, config: str | None, git: Any) -> Project:
    """A project; `config` is that of its `.dvc`, None for one without."""
    root = top / "project"
    root.mkdir(parents=True)
    git(root, "init", "-q")
    fill(root, {"train.py": "print(1)\n"})
    if config is not None:
        set_up(root, config)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Train")
    repo = Repo.open(root)
    found = setup.read(repo)
    tree = repo.read_commit(str(repo.head()[0])).tree
    minimal = setup.config_for_run(repo, found)
    if config is None and minimal is not None:
        inner = repo.write_tree({"config": (repo.write_blob(minimal), 0o100644)})
        tree = repo.write_tree({".dvc": (inner, 0o040000)}, base=tree)
    for name, extra, lr in ((FIRST, b"", 0.1), (SECOND, b"2", 0.2)):
        kept = keep(repo, top / name, {"model.joblib": MODEL + extra, "processed": TABLES})
        rows = tuple(Row(step, float(step), {"loss": lr / (step + 1)}) for step in range(3))
        values = {"params": {"opt.lr": lr}, "metrics": {"loss": lr / 3}}
        record(repo, name, tree=tree, rows=rows, artifacts=kept, **values)
        data.send(repo, found, [item.md5 for item in kept])
    git(root, "tag", "wine@v1.0.0", f"refs/runs/default/{SECOND}")
    shutil.rmtree(cache_of(repo).directory)
    elsewhere = top / "elsewhere"
    elsewhere.mkdir()
    return Project(root, elsewhere)


@pytest.fixture(scope="module", autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep DVC's own state out of the machine, and its reports at home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("site")))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        for name, value in KEYS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, git: Any) -> Project:
    """One whose `.dvc` is committed, with a directory as data remote."""
    top = tmp_path_factory.mktemp("directory")
    return _project(top, directory_config(top / "store"), git)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serve() as server:
        make_bucket(server)
        yield server


@pytest.fixture(scope="module")
def in_s3(tmp_path_factory: pytest.TempPathFactory, git: Any, s3: S3) -> Project:
    """One whose data remote is S3."""
    return _project(tmp_path_factory.mktemp("s3"), s3.config(), git)


# -- stock DVC on what we wrote -----------------------------------------------------------------


def test_dvc_get_from_the_repository_by_the_name_of_a_run(project: Project) -> None:
    """`--rev` takes what plain Git resolves."""
    out = project.elsewhere / "model"
    dvc(project.root, "get", ".", f"{PLACE}/model.joblib", "--rev", f"runs/default/{FIRST}", "-o",
        str(out))  # fmt: skip
    assert out.read_bytes() == MODEL


@pytest.mark.parametrize("kind", ["project", "in_s3"])
def test_dvc_get_from_anywhere_by_url_and_tag(kind: str, request: pytest.FixtureRequest) -> None:
    """A colleague without gittrack: a file, and a directory."""
    project: Project = request.getfixturevalue(kind)
    for name in ("model.joblib", "processed"):
        dvc(project.elsewhere, "get", project.url, f"{PLACE}/{name}", "--rev", "wine@v1.0.0")
    assert (project.elsewhere / "model.joblib").read_bytes() == MODEL + b"2"
    assert files(project.elsewhere / "processed") == TABLES


API = """
import sys, dvc.api
with dvc.api.open(sys.argv[1], repo=sys.argv[2], rev=sys.argv[3], mode="rb") as file:
    sys.stdout.buffer.write(file.read())
"""


@pytest.mark.parametrize("kind", ["project", "in_s3"])
def test_dvc_api_open_by_url_and_tag(kind: str, request: pytest.FixtureRequest) -> None:
    """As scripts read data without a work tree."""
    project: Project = request.getfixturevalue(kind)
    arguments = [f"{PLACE}/model.joblib", project.url, "wine@v1.0.0"]
    done = subprocess.run([sys.executable, "-c", API, *arguments], cwd=project.elsewhere,
                          capture_output=True)  # fmt: skip
    assert done.stdout == MODEL + b"2", done.stderr


@pytest.mark.parametrize("where", ["repository", "clone"])
def test_dvc_compares_two_runs(where: str, project: Project, git: Any, tmp_path: Path) -> None:
    """Metrics, params and curves, in the repository and in a clone that fetched the runs."""
    place = project.root
    if where == "clone":
        place = tmp_path / "clone"
        git(tmp_path, "clone", "-q", project.url, str(place))
        git(place, "fetch", "-q", "origin", "refs/runs/*:refs/runs/*")
    two = [project.ref(FIRST), project.ref(SECOND)]
    metrics = json.loads(dvc(place, "metrics", "diff", "--json", *two))
    found = metrics[".gittrack/metrics.yaml"]["loss"]
    assert (found["old"], found["new"]) == (0.1 / 3, 0.2 / 3)
    params = json.loads(dvc(place, "params", "diff", "--json", *two))
    found = params[".gittrack/params.yaml"]["opt.lr"]
    assert (found["old"], found["new"]) == (0.1, 0.2)
    plots = json.loads(dvc(place, "plots", "diff", "--json", *two))
    points = plots["data"]["loss"][0]["content"]["data"]["values"]
    assert {(point["rev"], point["step"], float(point["loss"])) for point in points} == {
        (ref, str(step), lr / (step + 1))
        for step in range(3)
        for ref, lr in zip(two, (0.1, 0.2), strict=True)
    }


def test_a_project_without_dvc_and_a_remote_of_the_users(tmp_path: Path, git: Any, s3: S3) -> None:
    """The run's tree says where the bytes are; stock DVC needs nothing else."""
    home = Path(os.environ["HOME"]) / ".config" / "dvc"
    fill(home, {"config": s3.config("mine")})
    try:
        project = _project(tmp_path, None, git)
    finally:
        shutil.rmtree(home)
    assert not (project.root / ".dvc").exists()
    dvc(project.elsewhere, "get", project.url, f"{PLACE}/processed", "--rev", "wine@v1.0.0")
    assert files(project.elsewhere / "processed") == TABLES


# -- gittrack on what DVC sent, and what we sent ------------------------------------------------


@pytest.mark.parametrize("kind", ["project", "in_s3"])
def test_a_clone_gets_it_back_with_gittrack(
    kind: str, request: pytest.FixtureRequest, git: Any, tmp_path: Path
) -> None:
    """Byte for byte, the same as stock DVC gets."""
    project: Project = request.getfixturevalue(kind)
    git(tmp_path, "clone", "-q", project.url, "clone")
    git(tmp_path / "clone", "fetch", "-q", "origin", "refs/runs/*:refs/runs/*")
    repo = Repo.open(tmp_path / "clone")
    ref = refs.find(repo, "default", FIRST)
    assert ref is not None
    retrieve.get(repo, ref, target=tmp_path / "out")
    assert (tmp_path / "out" / "model.joblib").read_bytes() == MODEL
    assert files(tmp_path / "out" / "processed") == TABLES


def test_data_that_dvc_added_and_pushed_comes_back(git: Any, tmp_path: Path) -> None:
    """`dvc add` and `dvc push` on one side, a run's data on the other."""
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "-q")
    set_up(root, directory_config(tmp_path / "store"))
    fill(root / "data", TABLES)
    git(root, "add", ".dvc")
    git(root, "commit", "-q", "-m", "Set up")
    dvc(root, "add", "-q", "data")
    dvc(root, "push", "-q")
    repo = Repo.open(root)
    pointer = (root / "data.dvc").read_text()
    md5 = pointer.split("md5: ")[1].split()[0]
    run = record(repo, FIRST, data=(Data("data", md5, 16, 2, pointer="data.dvc"),))
    shutil.rmtree(root / ".dvc" / "cache")
    found = retrieve.get_data(repo, run, root=tmp_path / "out")
    assert [item.outcome for item in found] == ["new"]
    assert files(tmp_path / "out" / "data") == TABLES
    shutil.rmtree(root / ".dvc" / "cache")
    made = cache_of(repo).add(fill(tmp_path / "made", TABLES))
    assert made.md5 == md5
    assert data.send(repo, setup.read(repo), [md5]).objects == 0
