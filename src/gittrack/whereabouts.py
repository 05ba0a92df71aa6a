"""Where the repository is and what is set there, found without libgit2, which takes long to load.

Knows the plain case by itself: `.git` here or above, ours, of the first format, or a linked work
tree. Whatever is odd (`GIT_DIR`, bare, another owner, extensions) is for `git` to say. Whoever
needs objects opens the repository through here. Knows nothing of runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gittrack.errors import GitFailed

if TYPE_CHECKING:
    from gittrack.git import Repo

__all__ = ["Place", "find", "of"]

_DIRECTED = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
)
_LONGEST = 1 << 20


class Place:
    """A repository's directories, absolute texts: `git_dir` is this work tree's own, `common_dir`
    what all work trees share, `root` the work tree, None in a bare one. `state` is where gittrack
    keeps what is no Git object; it may not exist yet.
    """

    __slots__ = ("_repo", "_settings", "common_dir", "git_dir", "root", "state")

    def __init__(
        self, git_dir: str, common_dir: str, root: str | None, repo: Repo | None = None
    ) -> None:
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.root = root
        self.state = os.path.join(common_dir, "gittrack")
        self._repo = repo
        self._settings: Mapping[str, str] | None = None

    @property
    def repo(self) -> Repo:
        """The repository, opened when it is first asked for.

        Raises:
            RepositoryError: it cannot be used.
            GitTooOld: the installed Git is too old.
        """
        if self._repo is None:
            from gittrack.git import Repo

            repo = Repo.open(self.root or self.git_dir)
            repo.check_version()
            self._repo = repo
        return self._repo

    @property
    def settings(self) -> Mapping[str, str]:
        """Git's configuration, the last value of each key; keys as `git config --list` prints them.

        Raises:
            GitFailed: Git cannot read it.
        """
        if self._repo is not None:
            return self._repo.config
        if self._settings is None:
            self._settings = _settings(self.root or self.git_dir)
        return self._settings

    def setting(self, name: str) -> str | None:
        """The value of a setting; None if there is none. `name` in lower case, as in `settings`."""
        return self.settings.get(name)

    def ask(self, *arguments: str, input: bytes = b"") -> bytes | None:
        """What `git ARGUMENTS...` prints here, None if it fails; its complaints go nowhere.

        `input` is for it to read, at most 16,000 bytes, which any pipe holds.

        Raises:
            GitFailed: there is no Git.
        """
        return _git(self.root or self.git_dir, *arguments, input=input)

    def moment(self, words: str) -> int | None:
        """The seconds since the epoch that Git takes words for, whatever they say.

        Raises:
            GitFailed: there is no Git.
        """
        key = "track.nothing.moment"
        told = self.ask("config", "--type=expiry-date", "--default", words, "--get", key)
        return int(told) if told else None


def find(start: str | os.PathLike[str] = ".") -> Place:
    """The repository at or above `start`, found as Git finds it.

    Raises:
        RepositoryError: there is none, or it cannot be used; as `Repo.open`.
    """
    if not any(os.environ.get(name) for name in _DIRECTED):
        place = _plain(os.path.abspath(os.fspath(start)))
        if place is not None:
            return place
    from gittrack.git import Repo

    repo = Repo.open(start)
    repo.check_version()
    return of(repo)


def of(repo: Repo) -> Place:
    """The place of a repository that is open."""
    root = None if repo.root is None else os.fspath(repo.root)
    return Place(os.fspath(repo.git_dir), os.fspath(repo.common_dir), root, repo)


def _plain(start: str) -> Place | None:
    """The repository, if nothing about it is odd."""
    try:
        here, device = start, os.stat(start).st_dev
        while True:
            if os.path.lexists(os.path.join(here, ".git")):
                return _at(here)
            above = os.path.dirname(here)
            # A bare repository, the top, or another file system.
            bare = os.path.exists(os.path.join(here, "HEAD"))
            if bare or above == here or os.stat(above).st_dev != device:
                return None
            here = above
    except (OSError, ValueError):
        return None


def _at(root: str) -> Place | None:
    path = os.path.join(root, ".git")
    git_dir = common_dir = path
    if os.path.isfile(path):
        told = _read(path)
        if not told.startswith("gitdir: "):
            return None
        git_dir = os.path.join(root, told[8:].rstrip("\r\n"))
        above = _read(os.path.join(git_dir, "commondir")).rstrip("\r\n")
        common_dir = os.path.join(git_dir, above)
    owners = {os.stat(place).st_uid for place in (root, git_dir, common_dir)}
    known = os.path.isfile(os.path.join(git_dir, "HEAD"))
    if owners != {os.geteuid()} or not known or not _is_usual(os.path.join(common_dir, "config")):
        return None
    return Place(os.path.realpath(git_dir), os.path.realpath(common_dir), os.path.realpath(root))


def _is_usual(config: str) -> bool:
    """Whether a repository's own configuration leaves everything where it is looked for."""
    for line in _read(config).lower().split("\n"):
        words = line.replace("=", " ").split()
        if not words:
            continue
        if words[0].startswith(("[extensions", "[include", "worktree")):
            return False
        if words[0] in ("bare", "repositoryformatversion") and words[1:] not in (["false"], ["0"]):
            return False
        if words[0].startswith("[core") and len(words) > 1:
            # A section and its settings may stand on one line.
            return False
    return True


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read(_LONGEST)


def _settings(place: str) -> dict[str, str]:
    told = _git(place, "config", "--list", "-z", "--includes")
    if told is None:
        raise GitFailed("git cannot read its configuration", hint="`git config --list` says why.")
    found = {}
    for item in told.split(b"\0"):
        key, _, value = os.fsdecode(item).partition("\n")
        if key:
            found[key] = value
    return found


def _git(place: str, *arguments: str, input: bytes = b"") -> bytes | None:
    """Ask Git, without `subprocess`, which takes longer to load than Git to answer; None: failed.

    Raises:
        GitFailed: there is no Git.
    """
    reading, writing = os.pipe()
    given: int | None = None
    try:
        words = ["git", "-C", place, *arguments]
        actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, writing, 1)]
        if input:
            given, giving = os.pipe()
            os.write(giving, input)
            os.close(giving)
            actions.append((os.POSIX_SPAWN_DUP2, given, 0))
        actions += [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]  # type: ignore[list-item]
        try:
            child = os.posix_spawnp("git", words, os.environ, file_actions=actions)
        except OSError as error:
            raise GitFailed(f"git cannot be started: {error.strerror}") from error
        finally:
            os.close(writing)
            if given is not None:
                os.close(given)
        with open(reading, "rb", closefd=False) as file:
            told = file.read()
    finally:
        os.close(reading)
    _, status = os.waitpid(child, 0)
    return None if status else told
