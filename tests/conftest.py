"""The ground that every test stands on: a hermetic environment, and a repository of every kind.

Nothing of the machine reaches a test but its programs: no Git configuration, no settings, no
terminal. The time zone is odd (UTC+5:45), the user is Ada Lovelace.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

_KEPT = ("PATH", "TMPDIR", "USER", "LOGNAME", "SHELL", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "CI")
_KEPT_FAMILIES = (
    "PYTHON",
    "PYTEST_",
    "HYPOTHESIS_",
    "COV",
    "PIP_",
    "SSL_CERT_",
    "CRASH_",
    "TORTURE_",
)
_DROPPED = ("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONWARNINGS", "PYTHONUNBUFFERED")

_GITCONFIG = """\
[user]
\tname = Ada Lovelace
\temail = ada@example.org
[init]
\tdefaultBranch = main
"""

_FILES = {
    "train.py": 'print("accuracy: 0.9375")\n',
    "params.yaml": "epochs: 3\nlr: 0.1\n",
    "src/model.py": "DEPTH = 3\n",
    "notes/ideas/first.md": "Try more trees.\n",
    ".gitignore": "*.log\n",
}

_home = pytest.StashKey[str]()


# -- the environment ----------------------------------------------------------------------------
# Set while pytest starts, not in a fixture: gittrack reads the environment when it is imported,
# which collection does before any fixture runs.


def pytest_configure(config: pytest.Config) -> None:
    home = tempfile.mkdtemp(prefix="gittrack-home-")
    config.stash[_home] = home
    (Path(home) / "gitconfig").write_text(_GITCONFIG)
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name in _KEPT or name.startswith(_KEPT_FAMILIES)) and name not in _DROPPED
    }
    scripts = os.path.dirname(sys.executable)
    os.environ.clear()
    os.environ.update(
        kept,
        HOME=home,
        PATH=os.pathsep.join([scripts, kept.get("PATH", os.defpath)]),
        LC_ALL="C.UTF-8",
        TERM="xterm-256color",
        TZ="Asia/Kathmandu",
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.path.join(home, "gitconfig"),
    )
    time.tzset()


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_home], ignore_errors=True)


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Give every test the environment and directory that the one before it got."""
    before, place = dict(os.environ), os.getcwd()
    yield
    os.chdir(place)
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)
    time.tzset()


# -- commands -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """A repository: `path` is where the user stands, `root` the top of the work tree."""

    path: Path
    root: Path
    kind: str


Place = World | Path | str


class Git(Protocol):
    def __call__(self, place: Place, *arguments: str) -> str: ...


class Track(Protocol):
    def __call__(
        self,
        place: Place,
        *arguments: str,
        check: int | None = None,
        input: str | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> subprocess.CompletedProcess[str]: ...


def _directory(place: Place) -> Path:
    return place.path if isinstance(place, World) else Path(place)


def _run_git(place: Place, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=_directory(place),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def _run_track(
    place: Place,
    *arguments: str,
    check: int | None = None,
    input: str | None = None,
    env: Mapping[str, str | None] | None = None,
) -> subprocess.CompletedProcess[str]:
    changed = {**os.environ, **(env or {})}
    done = subprocess.run(
        [sys.executable, "-m", "gittrack", *arguments],
        cwd=_directory(place),
        input=input or "",
        env={name: value for name, value in changed.items() if value is not None},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
    )
    if check is not None and done.returncode != check:
        pytest.fail(
            f"git track {' '.join(arguments)} ended with {done.returncode}, not {check}\n"
            f"{done.stdout}{done.stderr}"
        )
    return done


@pytest.fixture(scope="session")
def git() -> Git:
    """`git(place, *arguments)` runs real Git there -> its stdout; a failure fails the test."""
    return _run_git


@pytest.fixture(scope="session")
def track() -> Track:
    """`track(place, *arguments)` runs the real command line as a child process.

    `check` is the exit code that must come back; `env` is laid over the environment, None takes a
    variable out.
    """
    return _run_track


def _until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """`until(condition)` waits for another process, and fails after 20 seconds."""
    return _until


State = Mapping[str, tuple[int, int, str]]


def _state_of(place: Place) -> State:
    root = Path(_run_git(place, "rev-parse", "--show-toplevel").removesuffix("\n"))
    common = _run_git(root, "rev-parse", "--path-format=absolute", "--git-common-dir")
    found = dict(_states(root, "work tree", skip=lambda name: name == ".git", times=True))
    # Made by the first run: gittrack's own directory, its refs, and nothing else.
    own = ("objects", "gittrack", "refs/runs", "refs/gittrack")
    found.update(
        _states(Path(common.removesuffix("\n")), "git", skip=lambda name: name in own, times=False)
    )
    return found


def _states(
    top: Path, label: str, *, skip: Callable[[str], bool], times: bool
) -> Iterator[tuple[str, tuple[int, int, str]]]:
    for here, directories, files in os.walk(top):
        below = {name: os.path.relpath(os.path.join(here, name), top) for name in directories}
        directories[:] = [name for name in directories if not skip(below[name])]
        yield _state(here, f"{label}: {os.path.relpath(here, top)}", times)
        for name in [*files, *directories]:
            path = os.path.join(here, name)
            if name in files or os.path.islink(path):
                # Git itself touches a shared index whenever it reads it, so that it is kept.
                timed = not name.startswith("sharedindex.")
                yield _state(path, f"{label}: {os.path.relpath(path, top)}", timed)


def _state(path: str, label: str, times: bool) -> tuple[str, tuple[int, int, str]]:
    seen = os.lstat(path)
    content = ""
    if stat.S_ISLNK(seen.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(seen.st_mode):
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
    return label, (seen.st_mode, seen.st_mtime_ns if times else 0, content)


@pytest.fixture(scope="session")
def state_of() -> Callable[[Place], State]:
    """`state_of(place)` is all that a run must leave as it was, down to times and modes.

    The work tree, HEAD, index, branches, reflogs, configuration: everything but Git's objects,
    gittrack's own directory and the refs of runs.
    """
    return _state_of


# -- repositories -------------------------------------------------------------------------------


def _fill(root: Path) -> Path:
    """Two commits, the second one changing a file of the first."""
    for name, text in _FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    _run_git(root, "add", "-A")
    _run_git(root, "commit", "-q", "-m", "Train a model")
    (root / "params.yaml").write_text("epochs: 5\nlr: 0.1\n")
    _run_git(root, "commit", "-q", "-a", "-m", "Train longer")
    return root


def _new(root: Path) -> Path:
    root.mkdir(parents=True)
    _run_git(root, "init", "-q")
    return root


def _plain(tmp: Path) -> World:
    root = _fill(_new(tmp / "repo"))
    return World(root, root, "plain")


def _worktree(tmp: Path) -> World:
    main = _plain(tmp)
    root = tmp / "linked"
    _run_git(main, "worktree", "add", "-q", "-b", "linked", str(root))
    return World(root, root, "worktree")


def _detached(tmp: Path) -> World:
    root = _plain(tmp).root
    _run_git(root, "checkout", "-q", "--detach", "HEAD~1")
    return World(root, root, "detached")


def _empty(tmp: Path) -> World:
    """No commit yet, but files: the first thing that many a user does is to try a run."""
    root = _new(tmp / "repo")
    (root / "train.py").write_text(_FILES["train.py"])
    (root / "params.yaml").write_text(_FILES["params.yaml"])
    return World(root, root, "empty")


def _subdirectory(tmp: Path) -> World:
    root = _plain(tmp).root
    path = root / "notes" / "ideas"
    shutil.copy(root / "train.py", path)
    _run_git(root, "add", "-A")
    _run_git(root, "commit", "-q", "-m", "Train here too")
    return World(path, root, "subdirectory")


def _submodule(tmp: Path) -> World:
    inner, outer = _plain(tmp), _new(tmp / "outer")
    allow = ("-c", "protocol.file.allow=always")
    _run_git(outer, *allow, "submodule", "--quiet", "add", str(inner.root), "inner")
    _run_git(outer, "commit", "-q", "-m", "Add the inner repository")
    root = outer / "inner"
    return World(root, root, "submodule")


def _shallow(tmp: Path) -> World:
    origin, root = _plain(tmp), tmp / "shallow"
    _run_git(tmp, "clone", "-q", "--depth", "1", origin.root.as_uri(), str(root))
    return World(root, root, "shallow")


def _sparse(tmp: Path) -> World:
    root = _plain(tmp).root
    _run_git(root, "sparse-checkout", "set", "--cone", "src")
    assert not (root / "notes").exists()
    return World(root, root, "sparse")


def _odd_path(tmp: Path) -> World:
    root = _fill(_new(tmp / "a b\nü 'x' 模"))
    return World(root, root, "odd-path")


def _bytes_path(tmp: Path) -> World:
    try:
        root = _new(tmp / os.fsdecode(b"caf\xe9-\xff"))
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    return World(_fill(root), root, "bytes-path")


def _packed(tmp: Path) -> World:
    root = _plain(tmp).root
    _run_git(root, "gc", "-q")
    assert (root / ".git" / "packed-refs").exists()
    return World(root, root, "packed")


KINDS: Mapping[str, Callable[[Path], World]] = {
    "plain": _plain,
    "worktree": _worktree,
    "detached": _detached,
    "empty": _empty,
    "subdirectory": _subdirectory,
    "submodule": _submodule,
    "shallow": _shallow,
    "sparse": _sparse,
    "odd-path": _odd_path,
    "bytes-path": _bytes_path,
    "packed": _packed,
}


@pytest.fixture
def repo_dir(tmp_path: Path) -> Path:
    """A fresh repository with two commits: train.py, params.yaml, src/, notes/, .gitignore."""
    return _plain(tmp_path).root


@pytest.fixture
def bare_dir(tmp_path: Path) -> Path:
    """A bare repository with the commits of `repo_dir`'s kind."""
    root = tmp_path / "bare.git"
    origin = _plain(tmp_path / "origin")
    _run_git(origin, "clone", "-q", "--bare", str(origin.root), str(root))
    return root


@pytest.fixture(params=list(KINDS))
def every_repo(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Each kind of repository with a work tree in turn: what holds in one holds in all."""
    return KINDS[request.param](tmp_path)
