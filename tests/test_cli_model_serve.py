"""`git track model serve`: what MLflow's server is started with, and what is said when it cannot.

MLflow itself is a program that writes down its arguments, and looks at what it is given.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack import commits, data, retrieve, setup
from gittrack.git import Repo
from gittrack.refs import RunRef
from registered import RUN, Wine
from remotes import cache_of, directory_config, set_up
from test_mlmodel import real

PROGRAM = """\
#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done
sha1sum < "$4/MLmodel"
find "$4" -type l
exit 3
"""


@pytest.fixture
def served(repo_dir: Path, tmp_path: Path) -> Wine:
    """Two runs that kept a model in MLflow's form; a version of the first."""
    set_up(repo_dir, directory_config(tmp_path / "store"))
    made = Wine(repo_dir, tmp_path / "scratch", {"model": real("sklearn"), "notes.txt": "x"})
    made.register("1.0.0", artifact="model")
    made.tag("wine#production#1", version="1.0.0", previous="none")
    return made


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str | None]:
    """A PATH on which MLflow stands first."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "mlflow").write_text(PROGRAM)
    (place / "mlflow").chmod(0o755)
    return {"PATH": f"{place}{os.pathsep}{os.environ['PATH']}"}


def test_the_model_is_handed_to_mlflow(served: Wine, track: Track, env: Any) -> None:
    """What stands behind -- is for MLflow alone, and its exit code is ours."""
    more = ("--port", "5001", "--", "--env-manager", "local", "--port", "x y")
    done = track(served.root, "model", "serve", "wine@production", *more, check=3, env=env)
    *words, digest = done.stdout.splitlines()
    assert words[:3] == ["models", "serve", "-m"] and os.path.isabs(words[3])
    assert words[4:] == ["--port", "5001", "--env-manager", "local", "--port", "x y"]
    assert digest.split()[0] == hashlib.sha1(real("sklearn")["MLmodel"]).hexdigest()
    assert done.stderr == ""


@pytest.mark.parametrize("links", [True, False])
def test_no_file_of_the_model_is_a_symlink(
    served: Wine, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """MLflow 3 reads none that leads out of the directory; the cache may be on another disk."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    repo = Repo.open(served.root)
    ref = RunRef("default", RUN, served.commits[RUN])
    found = retrieve.load(repo, ref, "model")
    assert {file.name: file.read_bytes() for file in found.iterdir()} == real("sklearn")
    assert not any(file.is_symlink() for file in found.iterdir())
    known = {file.name: file.stat().st_ino for file in found.iterdir()}
    retrieve.load(repo, ref, "model")
    assert {file.name: file.stat().st_ino for file in found.iterdir()} == known
    (found / "MLmodel").unlink()
    (found / "MLmodel").write_text("evil")
    assert (retrieve.load(repo, ref, "model") / "MLmodel").read_bytes() == real("sklearn")[
        "MLmodel"
    ]
    assert retrieve.load(repo, ref, "notes.txt").is_symlink()


def test_a_plain_clone_fetches_the_model_first(
    served: Wine, track: Track, git: Git, env: Any, tmp_path: Path
) -> None:
    """A server that serves has the tags, and no run's ref and no cache."""
    repo = Repo.open(served.root)
    ref = RunRef("default", RUN, served.commits[RUN])
    kept = commits.load(repo, ref).artifacts
    data.send(repo, setup.read(repo), [item.md5 for item in kept])
    shutil.rmtree(cache_of(repo).directory)
    git(served.root, "add", "-A")
    git(served.root, "commit", "-q", "-m", "Set DVC up")
    git(tmp_path, "clone", "-q", served.root.as_uri(), "clone")
    done = track(tmp_path / "clone", "model", "serve", "wine@v1.0.0", check=3, env=env)
    assert done.stdout.startswith("models\nserve\n-m\n")


def test_without_mlflow_one_line_says_how_to_install_it(served: Wine, track: Track) -> None:
    """It is no dependency; and no file of that name in the repository is run instead."""
    (served.root / "mlflow.py").write_text("print('evil')")
    done = track(served.root, "model", "serve", "wine@production", check=1)
    assert done.stdout == "" and done.stderr == (
        "error: MLflow, which serves models, is not installed\n"
        "hint: `pip install mlflow` installs it.\n"
    )


@pytest.mark.parametrize(
    "selector, said",
    [
        ("wine@v1.1.0", "'notes.txt' of wine@v1.1.0 has no file MLmodel: MLflow cannot serve it"),
        ("wine@v1.2.0", "wine@v1.2.0 has no artifact"),
        ("wine@v1.3.0", "which is no run"),
        ("wine@v1.4.0", "'../../etc' of wine@v1.4.0 has no file MLmodel"),
        ("wine@staging", "there is no 'staging' of 'wine'"),
        ("beer@production", "there is no model 'beer'"),
    ],
)
def test_what_cannot_be_served_says_why(
    served: Wine, track: Track, git: Git, env: Any, selector: str, said: str
) -> None:
    """A server that starts and then fails at the first request is found out too late."""
    served.register("1.1.0", artifact="notes.txt")
    served.tag("wine@v1.2.0")
    served.commits["head"] = git(served.root, "rev-parse", "HEAD").strip()
    served.tag("wine@v1.3.0", "head", artifact="model")
    served.register("1.4.0", artifact="../../etc")
    done = track(served.root, "model", "serve", selector, check=1, env=env)
    assert said in done.stderr and done.stdout == ""


def test_a_version_or_model_that_is_not_to_be_used_is_served_with_a_warning(
    served: Wine, track: Track, env: Any
) -> None:
    """Somebody may have to look at it once more."""
    served.tag("wine@v1.0.0!")
    served.tag("wine@deprecated")
    done = track(served.root, "model", "serve", "wine@v1.0.0", check=3, env=env)
    assert done.stderr.splitlines() == [
        "warning: the model 'wine' is deprecated",
        "warning: wine@v1.0.0 was taken back",
    ]
