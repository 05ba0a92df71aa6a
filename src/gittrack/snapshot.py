"""The code as it stands now, as a Git tree: tracked changes, and untracked files within bounds.

Asks Git itself through a private copy of the index, so that filters, sparse checkouts, submodules
and ignore rules mean what they mean to Git. Touches neither the user's index nor the work tree.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gittrack.errors import GitFailed, UnsupportedRepository, UsageError
from gittrack.git import Repo
from gittrack.quoting import quote_path
from gittrack.records import Code, Skipped, Snapshot
from gittrack.secrets import find, secret_filename

__all__ = ["FILE_LIMIT", "MODES", "TOTAL_LIMIT", "take"]

FILE_LIMIT = 1 << 20
"""The largest untracked file that is taken, in bytes."""

TOTAL_LIMIT = 10 << 20
"""How many bytes of untracked files are taken in all."""

MODES = ("all", "tracked", "off")
_MOST_FILES = 5_000
_MOST_NAMED = 100
_RECORD = b".gittrack"
_REFUSED = re.compile(rb"(?:^|/)(?:\.git|git~1)[ .]*(?::[^/]*)?(?:/|$)", re.IGNORECASE)
"""What Git takes for its own directory on some system, and so leaves out of every index."""
_CODE = frozenset(
    (
        ".py",
        ".ipynb",
        ".pyx",
        ".r",
        ".jl",
        ".sh",
        ".c",
        ".cc",
        ".cpp",
        ".cu",
        ".h",
        ".rs",
        ".go",
        ".yaml",
        ".yml",
        ".toml",
        ".json",
        ".cfg",
        ".ini",
        ".sql",
        ".md",
        ".txt",
        ".lua",
        ".java",
    )
)
# `intake.UNFINISHED`, which would have to be loaded for it.
_UNFINISHED = re.compile(rb"(^|/)\.tmp-gittrack-[^/]*$")
_QUIET = (
    "core.splitIndex=false",
    "core.fsmonitor=false",
    # An answer to `git add` that would cost the run; and nobody's hook is to see our index.
    "core.safecrlf=false",
    "core.hooksPath=/dev/null",
    "core.fsync=loose-object",
    "core.fsyncMethod=batch",
)


@dataclass(slots=True)
class _Seen:
    """What `git status` says, as bytes."""

    base: str | None = None
    branch: str | None = None
    changed: list[tuple[bytes, str]] = field(default_factory=list)
    removed: list[bytes] = field(default_factory=list)
    untracked: list[bytes] = field(default_factory=list)
    hidden: list[Skipped] = field(default_factory=list)


def take(repo: Repo, *, mode: str, scratch: Path, leave_out: Collection[Path] = ()) -> Snapshot:
    """Store the code as it is -> its tree and what it stands for.

    `mode` is `all`, `tracked` (no untracked files) or `off` (the tree of the base commit).
    `scratch` is a directory of the caller's for the private index. Untracked files at or below a
    path in `leave_out` (absolute, resolved) are no code: data that is read, artifacts to be kept.

    Raises:
        UnsupportedRepository: the repository has no work tree.
        UsageError: there is no such mode.
        GitFailed: Git could not read or store a file.
    """
    if repo.root is None:
        raise _nowhere(repo)
    if mode not in MODES:
        raise UsageError(
            f"track.snapshot is {mode!r}, not one of {', '.join(MODES)}",
            hint="`git config track.snapshot all`",
        )
    seen = _status(repo, untracked=mode == "all")
    seen.hidden += _hidden(repo)
    _set_aside(repo.root, seen)
    seen.untracked = [
        path
        for path in seen.untracked
        if not _UNFINISHED.search(path) and not _below(repo.root, path, leave_out)
    ]
    included, skipped = _select(repo.root, seen.untracked)
    secrets = _new_secrets(repo, seen.changed)
    if mode != "off" and (seen.changed or seen.removed or included):
        try:
            tree = _tree(repo, [path for path, _ in seen.changed] + included, scratch)
        except GitFailed as error:
            raise _not_stored(error) from error
    else:
        tree = repo.read_commit(seen.base).tree if seen.base else repo.empty_tree()
    code = Code(
        base=seen.base,
        branch=seen.branch,
        dirty=bool(seen.changed or seen.removed or seen.untracked),
        included=tuple(quote_path(path) for path in included),
        skipped=_bounded(skipped),
        hidden=_bounded(seen.hidden),
    )
    changed = tuple(quote_path(p) for p in sorted([*(p for p, _ in seen.changed), *seen.removed]))
    return Snapshot(tree, code, changed, secrets)


def _not_stored(error: GitFailed) -> GitFailed:
    lines = [line for line in error.stderr.split("\n") if line.startswith("fatal: ")]
    reason = lines[-1].removeprefix("fatal: ") if lines else error.message
    return GitFailed(
        f"the code cannot be stored: {reason}",
        stderr=error.stderr,
        hint="`git add --dry-run --all` may tell more; `git -c track.snapshot=off track run ...` "
        "records without the changes.",
    )


def _nowhere(repo: Repo) -> UnsupportedRepository:
    """What to say where there is no code: of a bare repository, or outside of the work tree."""
    if repo.flag("core.bare", default=False):
        return UnsupportedRepository(
            f"'{repo.git_dir}' is a bare repository: there is no code here to record",
            hint="record runs in a clone or in a work tree: `git worktree add DIR`.",
        )
    return UnsupportedRepository(
        f"this directory is not in the work tree of '{repo.git_dir}': there is no code here to "
        "record",
        hint="record runs in the work tree itself: `cd` there first.",
    )


def _status(repo: Repo, *, untracked: bool) -> _Seen:
    """One `git status`, which takes no lock: git-status(1), Porcelain Format Version 2."""
    listed = repo.git(
        "status",
        "--porcelain=v2",
        "-z",
        "--branch",
        f"--untracked-files={'all' if untracked else 'no'}",
        "--no-renames",
        "--ignore-submodules=none",
        "--no-ahead-behind",
        env={"GIT_OPTIONAL_LOCKS": "0"},
    )
    seen = _Seen()
    for line in listed.split(b"\0"):
        _status_line(line, seen)
    return seen


def _status_line(line: bytes, seen: _Seen) -> None:
    kind = line[:2]
    if line.startswith(b"# branch.oid ") and not line.endswith(b"(initial)"):
        seen.base = line[13:].decode()
    elif line.startswith(b"# branch.head ") and not line.endswith(b"(detached)"):
        seen.branch = quote_path(line[14:])
    elif kind == b"? ":
        _untracked(line[2:], seen)
    elif kind in (b"1 ", b"u "):
        fields = line.split(b" ", 8 if kind == b"1 " else 10)
        path, submodule = fields[-1], fields[2]
        if path.split(b"/")[0] == _RECORD:
            return
        if submodule[2:3] == b"M" or submodule[3:4] == b"U":
            seen.hidden.append(Skipped(quote_path(path), "submodule with uncommitted changes"))
        if kind == b"1 " and fields[1][:1] == b"D":
            # Not in the index: whether a file that is still there comes along, its rules decide.
            seen.removed.append(path)
        elif submodule[:1] != b"S" or submodule[1:2] == b"C" or fields[1][:1] != b".":
            seen.changed.append((path, fields[6].decode() if kind == b"1 " else ""))


def _untracked(path: bytes, seen: _Seen) -> None:
    if path.split(b"/")[0] == _RECORD:
        return
    if path.endswith(b"/"):
        seen.hidden.append(Skipped(quote_path(path), "nested repository"))
    else:
        seen.untracked.append(path)


def _set_aside(root: Path, seen: _Seen) -> None:
    """Leave changed files that Git cannot read as they are in the index: they are `hidden`."""
    readable = []
    for path, base in seen.changed:
        reason = _unreadable(root / os.fsdecode(path))
        if reason is None:
            readable.append((path, base))
        else:
            seen.hidden.append(Skipped(quote_path(path), reason))
    seen.changed = readable


def _below(root: Path, path: bytes, places: Collection[Path]) -> bool:
    if not places:
        return False
    where = Path(os.path.realpath(root), os.fsdecode(path))
    return any(where == place or place in where.parents for place in places)


def _unreadable(path: Path) -> str | None:
    try:
        mode = os.lstat(path).st_mode
    except PermissionError:
        return "unreadable"
    except OSError:
        return None
    if stat.S_ISREG(mode):
        return None if os.access(path, os.R_OK) else "unreadable"
    return None if stat.S_ISLNK(mode) or stat.S_ISDIR(mode) else "no regular file any more"


def _hidden(repo: Repo) -> list[Skipped]:
    """Tracked files whose changes Git was told not to look for."""
    listed = repo.git("ls-files", "-v", "-z")
    if not re.search(rb"(?:^|\0)(?!H )[^\0]", listed):
        return []
    sparse = repo.flag("core.sparsecheckout", default=False)
    found = []
    for line in listed.split(b"\0"):
        if line[:1].islower():
            found.append(Skipped(quote_path(line[2:]), "assume-unchanged"))
        elif line[:1] == b"S" and not sparse:
            found.append(Skipped(quote_path(line[2:]), "skip-worktree"))
    return found


def _select(root: Path, untracked: Sequence[bytes]) -> tuple[list[bytes], list[Skipped]]:
    """Which untracked files go into the snapshot: code first, then the smallest."""
    candidates: list[tuple[bool, int, bytes]] = []
    skipped: list[Skipped] = []
    for path in untracked:
        size, reason = _look(root, path)
        if reason is None:
            suffix = os.path.splitext(path)[1].decode("ascii", "replace").lower()
            candidates.append((suffix not in _CODE, size, path))
        else:
            skipped.append(Skipped(quote_path(path), reason))
    included: list[bytes] = []
    total = 0
    for _, size, path in sorted(candidates):
        if total + size > TOTAL_LIMIT or len(included) >= _MOST_FILES:
            skipped.append(Skipped(quote_path(path), "over 10 MiB in all"))
        elif (reason := _content_refusal(root, path)) is not None:
            skipped.append(Skipped(quote_path(path), reason))
        else:
            included.append(path)
            total += size
    return sorted(included), sorted(skipped, key=lambda item: item.path)


def _look(root: Path, path: bytes) -> tuple[int, str | None]:
    name = path.decode("utf-8", "surrogateescape")
    if secret_filename(name):
        return 0, "looks secret"
    if _REFUSED.search(path):
        return 0, "Git refuses the name"
    try:
        found = os.lstat(root / name)
    except OSError:
        return 0, "vanished"
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        return 0, "no regular file"
    return found.st_size, "over 1 MiB" if found.st_size > FILE_LIMIT else None


def _content_refusal(root: Path, path: bytes) -> str | None:
    where = root / os.fsdecode(path)
    if where.is_symlink():
        return None
    try:
        found = find(where.read_bytes())
    except OSError:
        return "unreadable"
    return f"holds what looks secret ({found[0].kind}, line {found[0].line})" if found else None


def _new_secrets(repo: Repo, changed: Iterable[tuple[bytes, str]]) -> tuple[str, ...]:
    """A sentence for each changed file that holds more of what looks secret than its base does."""
    assert repo.root is not None
    said = []
    for path, base in changed:
        where = repo.root / os.fsdecode(path)
        try:
            if where.is_symlink() or not where.is_file() or where.stat().st_size > FILE_LIMIT:
                continue
            found = find(where.read_bytes())
        except OSError:
            continue
        if found and len(found) > len(_base_findings(repo, base)):
            first = found[0]
            said.append(f"{quote_path(path)}:{first.line} holds what looks secret ({first.kind})")
    return tuple(said)


def _base_findings(repo: Repo, blob: str) -> Sequence[object]:
    if not blob.strip("0"):
        return ()
    try:
        return find(repo.read_blob(blob, limit=FILE_LIMIT))
    except GitFailed:
        return ()


def _tree(repo: Repo, paths: Sequence[bytes], scratch: Path) -> str:
    """Put paths into a copy of the index and write it as a tree."""
    private = scratch / "index"
    source = repo.index_file()
    if source.exists():
        # Git tells a racily clean entry by the index's own time: a newer copy would hide changes.
        shutil.copyfile(source, private)
        seen = source.stat()
        os.utime(private, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    env = {"GIT_INDEX_FILE": os.fspath(private)}
    assert repo.root is not None
    behind = _behind_symlinks(repo.root, paths)
    rest = [path for path in paths if path not in behind]
    for options, some in (
        (("--force-remove",), sorted(behind)),
        (("--add", "--remove", "--replace"), rest),
    ):
        if some:
            listed = b"\0".join(some) + b"\0"
            repo.git(
                "update-index", *options, "-z", "--stdin", input=listed, env=env, config=_QUIET
            )
    written = repo.git("write-tree", "--missing-ok", env=env, config=_QUIET)
    private.unlink(missing_ok=True)
    return written.decode().strip()


def _behind_symlinks(root: Path, paths: Iterable[bytes]) -> set[bytes]:
    """The paths whose directory has become a symbolic link: gone, and Git wants to be told so."""
    known = {b"": False}
    top = os.fsencode(root)

    def linked(directory: bytes) -> bool:
        if directory not in known:
            above = linked(os.path.dirname(directory))
            known[directory] = above or os.path.islink(os.path.join(top, directory))
        return known[directory]

    return {path for path in paths if linked(os.path.dirname(path))}


def _bounded(skipped: Sequence[Skipped]) -> tuple[Skipped, ...]:
    """At most a hundred by name, the rest counted by directory: a record is no file listing."""
    if len(skipped) <= _MOST_NAMED:
        return tuple(skipped)
    counts: dict[str, int] = {}
    for item in skipped[_MOST_NAMED:]:
        top = item.path.split("/")[0] + "/" if "/" in item.path else "."
        counts[top] = counts.get(top, 0) + 1
    rest = [Skipped(f"{top}*", f"{count} more files") for top, count in sorted(counts.items())]
    return (*skipped[:_MOST_NAMED], *rest[:_MOST_NAMED])
