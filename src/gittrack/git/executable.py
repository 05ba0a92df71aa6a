"""Git's own executable, run in one repository: the only module that starts `git`.

Knows where a repository lies, what a child's environment must say, and how Git's failures become
our errors. Knows nothing of what Git is asked to do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gittrack.errors import GitFailed, GitTooOld, NotARepository

__all__ = ["OLDEST_GIT", "Executable", "first_line", "run", "text"]

OLDEST_GIT = (2, 36)

# Git would answer from a replacement, libgit2 never does: both read the real object.
os.environ.setdefault("GIT_NO_REPLACE_OBJECTS", "1")


class Executable:
    """A place where Git keeps things, and its executable to ask about them.

    `git_dir` is this work tree's own directory, `common_dir` the one that all work trees share,
    `root` the work tree, None in a bare repository. `state` is where gittrack keeps what is no
    Git object; it may not exist yet.
    """

    def __init__(self, git_dir: Path, root: Path | None) -> None:
        self.git_dir = git_dir
        self.common_dir = _common_dir(git_dir)
        self.root = root
        self.state = self.common_dir / "gittrack"

    @property
    def is_bare(self) -> bool:
        """Whether there is no work tree to take code from."""
        return self.root is None

    def check_version(self) -> None:
        """Make sure that the installed Git is recent enough; asked once, then remembered.

        Raises:
            GitTooOld: it is older than `OLDEST_GIT`.
        """
        import shutil

        found = shutil.which("git")
        if found is None:
            raise GitTooOld("no 'git' on PATH", hint="install Git 2.36 or later.")
        seen = os.stat(found)
        key = f"{found} {seen.st_size} {seen.st_mtime_ns} "
        memory = self.state / "git-version"
        try:
            said = memory.read_text("utf-8")
        except (OSError, ValueError):
            said = ""
        if not said.startswith(key):
            said = key + text(run("--version", program=found).stdout).strip()
            try:
                memory.write_text(said, "utf-8")
            except OSError:
                pass
        version = said[len(key) :].split()[2] if len(said[len(key) :].split()) > 2 else "0"
        if _version(version) < OLDEST_GIT:
            oldest = ".".join(map(str, OLDEST_GIT))
            raise GitTooOld(
                f"Git {version} is too old: gittrack needs {oldest} or later",
                hint="install a newer Git, or put one first on PATH.",
            )

    def git(
        self,
        *arguments: str,
        input: bytes | None = None,
        env: Mapping[str, str | None] | None = None,
        config: Sequence[str] = (),
        accept: Sequence[int] = (0,),
    ) -> bytes:
        """Run `git` in the work tree's root (if bare: in the Git directory) -> its stdout.

        `env` is laid over the environment; None takes a variable out.

        Raises:
            GitFailed: it ended with a status that is not in `accept`.
        """
        words = [word for setting in config for word in ("-c", setting)]
        place = self.root or self.git_dir
        done = run(*words, *arguments, cwd=place, input=input, env=self._env(env))
        if done.returncode not in accept:
            said = text(done.stderr).strip()
            raise GitFailed(
                f"git {arguments[0]} failed: {_reason(said) or f'exit {done.returncode}'}",
                stderr=said,
            )
        return done.stdout

    def dialogue(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `git` to be asked line by line; it ends when its input is closed."""
        return subprocess.Popen(
            ["git", *arguments],
            cwd=self.root or self.git_dir,
            env=self._env(None),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is not for it, nor what a notebook's kernel does to its children.
            start_new_session=True,
        )

    def spawn(self, *arguments: str) -> None:
        """Start `git` in the background, detached from us and our terminal, and forget it."""
        subprocess.Popen(
            ["git", *arguments],
            cwd=self.root or self.git_dir,
            env=self._env(None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _env(self, extra: Mapping[str, str | None] | None) -> dict[str, str]:
        env = dict(os.environ)
        # A hook's GIT_INDEX_FILE is relative to where the hook runs, and so is GIT_DIR.
        env["GIT_DIR"] = os.fspath(self.git_dir)
        if self.root is not None:
            env["GIT_WORK_TREE"] = os.fspath(self.root)
        if "GIT_INDEX_FILE" in env:
            env["GIT_INDEX_FILE"] = os.path.abspath(env["GIT_INDEX_FILE"])
        for name, value in (extra or {}).items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env

    def index_file(self) -> Path:
        """Where the index that Git would use lies; it may not exist."""
        named = os.environ.get("GIT_INDEX_FILE")
        return Path(os.path.abspath(named)) if named else self.git_dir / "index"


def run(
    *words: str,
    program: str = "git",
    cwd: str | os.PathLike[str] | None = None,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run `git` (or the `program` that is one) in `cwd` to its end, whatever its status.

    Raises:
        NotARepository: `cwd` cannot be entered.
        GitTooOld: there is no `git` at all.
    """
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    try:
        return subprocess.run([program, *words], cwd=cwd, env=env, capture_output=True, **given)
    except OSError as error:
        if cwd is not None and not (os.path.isdir(cwd) and os.access(cwd, os.X_OK)):
            raise NotARepository(f"cannot enter '{os.fspath(cwd)}': {error.strerror}") from error
        if not isinstance(error, FileNotFoundError):
            raise
        raise GitTooOld("no 'git' on PATH", hint="install Git 2.36 or later.") from error


def text(data: bytes) -> str:
    """What Git said, as text; bytes that are not UTF-8 survive as surrogates."""
    return data.decode("utf-8", "surrogateescape")


def _reason(said: str) -> str:
    """The line of Git's words that says why: the first that is marked as fatal or an error."""
    for mark in ("fatal: ", "error: "):
        for line in said.split("\n"):
            if line.startswith(mark):
                return line.removeprefix(mark)
    return first_line(said)


def first_line(said: str) -> str:
    """The first line of what Git said, without its end."""
    return said.split("\n", 1)[0]


def _common_dir(git_dir: Path) -> Path:
    """The directory that linked work trees share. Source: gitrepository-layout(5), commondir."""
    try:
        named = (git_dir / "commondir").read_text("utf-8", "surrogateescape").strip()
    except OSError:
        return git_dir
    return Path(os.path.normpath(git_dir / named))


def _version(said: str) -> tuple[int, ...]:
    parts = said.split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)
