"""DVC begun where it is not: its files written, and the cache that was before moved to its place.

Knows how that is done while runs keep artifacts, so that each object can be read at every instant
and a killed one goes on the next time. What is set up already is `setup`'s to know.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gittrack.errors import GitFailed, UnsupportedRepository, WriteFailed
from gittrack.git import Repo
from gittrack.quoting import one_line
from gittrack.setup import Setup, earlier, is_apart, read

__all__ = ["initialize", "share"]

_ABANDONED = 86_400.0
_LOCK = "setup.lock"
# A run that keeps just then may make the directory again; not for ever.
_TRIES = 100
# An object, or one that a cleaning has taken aside (`Cache.discard`) and may want back.
_OBJECT = re.compile(r"(?:tmp-gittrack-gone-[0-9a-f]+-)?([0-9a-f]{30}(?:\.dir)?)")
_FILES = {
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvcignore": (
        "# Add patterns of files dvc should ignore, which could improve\n"
        "# the performance. Learn more at\n"
        "# https://dvc.org/doc/user-guide/dvcignore\n"
    ),
    ".dvc/config": "",
}


def initialize(repo: Repo) -> tuple[str, ...]:
    """Set DVC up in the work tree, unstaged, and move the kept objects into its cache.

    Makes what `dvc init` makes and stages nothing. Safe to repeat: what is there stays, and what an
    interrupted call left is completed. In a linked work tree the cache stays where all work trees
    share it, and `.dvc/config.local` tells DVC so, unless it has one of its own. Returns sentences
    about what was done; none if everything was there.

    Raises:
        UnsupportedRepository: there is no work tree.
        BadFile: DVC's configuration cannot be understood.
        WriteFailed: a file cannot be written or moved; what was moved stays whole.
    """
    if repo.root is None:
        raise UnsupportedRepository(
            f"'{repo.git_dir}' is a bare repository: DVC is set up in a work tree",
            hint="run it in a clone or in a work tree: `git worktree add DIR`.",
        )
    try:
        with _alone(repo):
            return tuple(_initialize(repo, repo.root))
    except OSError as error:
        raise WriteFailed(
            f"cannot set up DVC in '{repo.root}': {error.strerror or error}",
            hint="what was moved is whole; `git track init` goes on from here.",
        ) from error


def _initialize(repo: Repo, root: Path) -> Iterator[str]:
    found = read(repo)
    if found.directory is None or _is_begun(found, root):
        made = _make(repo, root)
        yield f"set up DVC in {_shown(root / '.dvc')}, unstaged: {', '.join(made)}"
        found = read(repo)
    if _share(repo, found):
        yield f"told DVC there of the cache of all work trees, {_shown(found.cache)}"
    count = _settle(repo, found)
    if count:
        objects = "1 object" if count == 1 else f"{count} objects"
        yield f"moved {objects} into {_shown(found.cache)}"


@contextmanager
def _alone(repo: Repo) -> Iterator[None]:
    """Wait until nobody else sets up this repository."""
    import fcntl

    repo.state.mkdir(parents=True, exist_ok=True)
    handle = os.open(repo.state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_begun(found: Setup, root: Path) -> bool:
    """Whether an interrupted call left the root's `.dvc` without its configuration."""
    return found.directory == root / ".dvc" and not (root / ".dvc" / "config").exists()


def _make(repo: Repo, root: Path) -> list[str]:
    """Write the files of `dvc init` that are not there -> their paths."""
    _not_ignored(repo)
    (root / ".dvc").mkdir(exist_ok=True)
    made = []
    for name, text in _FILES.items():
        if not os.path.lexists(root / name):
            _write(root / name, text)
            made.append(name)
    return made


def _share(repo: Repo, found: Setup) -> bool:
    """Name the shared cache to DVC in a linked work tree that has none of its own."""
    if found.directory is None or not is_apart(repo, found):
        return False
    if os.path.lexists(found.directory / "cache"):
        return False
    return _name_cache(found.directory, found.cache)


def share(setup: Setup, root: Path, directory: str = ".dvc") -> bool:
    """Name the cache of `setup` to DVC in a work tree just made at `root` -> whether it was done.

    It goes into `config.local` of the `.dvc` that `directory` names below the root. One that is
    there stays, and nothing is written through a symlink. What the tree itself says is not read.

    Raises:
        WriteFailed: the file cannot be written, or cannot hold the path.
    """
    place = root / directory
    if place.is_symlink() or not place.is_dir() or not (place / "config").is_file():
        return False
    try:
        return _name_cache(place, setup.cache)
    except OSError as error:
        local = place / "config.local"
        raise WriteFailed(f"cannot write '{_shown(local)}': {error.strerror or error}") from error


def _name_cache(directory: Path, cache: Path) -> bool:
    local = directory / "config.local"
    if os.path.lexists(local):
        return False
    _write(local, f"[cache]\n    dir = {_quoted(cache)}\n")
    return True


def _not_ignored(repo: Repo) -> None:
    try:
        repo.git("check-ignore", "-q", "--no-index", ".dvc/config")
    except GitFailed:
        return
    raise UnsupportedRepository(
        "Git ignores '.dvc', so DVC cannot be set up here",
        hint="`git check-ignore -v .dvc/config` shows the rule; '!.dvc' after it ends it.",
    )


def _quoted(path: Path) -> str:
    text = os.fspath(path)
    if "\n" in text or ('"' in text and "'" in text):
        raise WriteFailed(f"DVC's configuration cannot hold the path {one_line(text)}")
    quote = "'" if '"' in text else '"'
    return f"{quote}{text}{quote}"


def _write(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    new = path.with_name(f"{path.name}.new-{os.getpid()}")
    try:
        new.unlink(missing_ok=True)
        with open(new, "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _settle(repo: Repo, found: Setup) -> int:
    """Move what was kept before into the cache, and lead its old name there -> number of objects.

    The old name leads to the cache before anything is moved: a run under way keeps its artifacts
    where the cache was when it began. What is left aside meanwhile is in `formers`.
    """
    former, aside = earlier(repo)
    if found.cache == former:
        return _move(aside, found.cache)
    found.cache.mkdir(parents=True, exist_ok=True)
    inside = repo.root is not None and found.cache.is_relative_to(repo.root)
    target = os.path.relpath(found.cache, repo.state) if inside else found.cache
    count = 0
    for _ in range(_TRIES):
        if former.is_symlink():
            count += _redirect(former, Path(target), found.cache)
            return count + _move(aside, found.cache, abandoned=0.0)
        if former.is_dir():
            _set_aside(former, aside)
        with suppress(FileExistsError):
            os.symlink(target, former)
        count += _move(aside, found.cache, abandoned=0.0)
    return count + _move(former, found.cache)


def _redirect(former: Path, target: Path, cache: Path) -> int:
    """Have a link lead to the cache that is configured now, with what lies where it led before."""
    before = Path(os.path.realpath(former))
    if before == Path(os.path.realpath(cache)):
        return 0
    count = _move(before, cache)
    new = former.with_name(f"{former.name}.new-{os.getpid()}")
    os.symlink(target, new)
    os.replace(new, former)
    return count + _move(before, cache)


def _set_aside(former: Path, aside: Path) -> None:
    try:
        os.rename(former, aside)
    except FileNotFoundError:
        pass
    except OSError as error:
        # Something was left aside before: it goes first.
        if error.errno not in _not_empty():
            raise


def _not_empty() -> tuple[int, int]:
    import errno

    return errno.ENOTEMPTY, errno.EEXIST


def _move(former: Path, cache: Path, *, abandoned: float = _ABANDONED) -> int:
    """Move every object of one cache into another -> their number.

    An object is at each instant whole in at least one of the two. Files that writers have not
    finished are left for `abandoned` seconds.
    """
    count = 0
    objects = former / "files" / "md5"
    for shard in sorted(objects.glob("??")):
        target = cache / "files" / "md5" / shard.name
        target.mkdir(parents=True, exist_ok=True)
        for entry in sorted(shard.iterdir()):
            # A writer may take its own away at any time.
            with suppress(FileNotFoundError):
                if (named := _OBJECT.fullmatch(entry.name)) and entry.is_file():
                    count += _move_object(entry, target / named[1])
                elif time.time() - entry.lstat().st_mtime >= abandoned:
                    entry.unlink()
        _remove_if_empty(shard)
    _sweep(objects, abandoned)
    for place in (objects, former / "files", former):
        _remove_if_empty(place)
    return count


def _sweep(objects: Path, abandoned: float) -> None:
    """Remove what is on its way in beside the directories of objects."""
    from gittrack.intake import TEMPORARY

    for entry in objects.glob(f"{TEMPORARY}*"):
        with suppress(FileNotFoundError):
            if time.time() - entry.lstat().st_mtime >= abandoned:
                entry.unlink()


def _move_object(source: Path, target: Path) -> int:
    if target.exists() and _is_whole(target):
        # Only now: its size would prove nothing, and this may be the last good copy.
        source.unlink()
        return 1
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != _other_disk():
            raise
        _carry(source, target)
        source.unlink()
    return 1


def _is_whole(target: Path) -> bool:
    """Whether an object is what its name says."""
    from hashlib import md5

    digest = md5(usedforsecurity=False)
    with open(target, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest() == target.parent.name + target.name.removesuffix(".dir")


def _other_disk() -> int:
    import errno

    return errno.EXDEV


def _carry(source: Path, target: Path) -> None:
    """Copy an object to another disk, whole or not at all."""
    from gittrack.intake import TEMPORARY

    # As the cache's own, so that a cleaning finds it after a SIGKILL.
    new = target.with_name(f"{TEMPORARY}{os.urandom(6).hex()}-init")
    try:
        shutil.copyfile(source, new)
        with open(new, "rb+") as file:
            os.fsync(file.fileno())
        shutil.copystat(source, new)
        os.replace(new, target)
    finally:
        new.unlink(missing_ok=True)


def _remove_if_empty(place: Path) -> None:
    try:
        place.rmdir()
    except OSError:
        pass


def _shown(path: Path) -> str:
    return one_line(os.fspath(path))
