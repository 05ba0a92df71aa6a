"""The code of a run as a plain commit: on a branch, or in a work tree of its own.

Knows what of a run's tree is the user's and what gittrack put there. Touches neither the work tree
that the user stands in nor its index and HEAD.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gittrack import commits, groundwork, setup
from gittrack.errors import BadFile, BadPath, GitFailed, WriteFailed
from gittrack.git import Commit, Identity, Repo
from gittrack.records import Run
from gittrack.refs import RunRef

__all__ = [
    "DVC_CONFIG",
    "Checkout",
    "as_branch",
    "as_worktree",
    "own_files",
    "usual_place",
]

DVC_CONFIG = ".dvc/config"
"""What gittrack adds to the tree of a run that keeps artifacts, where the code has none."""

_TREE = 0o040000
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where the code of a run is now.

    `commit` has no record in it and is the commit `base` itself where the run changed nothing;
    `base` is None where the run was made before the first commit. `worktree` is an absolute path,
    None where nothing was checked out; `branch` None where none was made.
    """

    commit: str
    base: str | None
    worktree: Path | None = None
    branch: str | None = None


def as_worktree(
    repo: Repo, ref: RunRef, directory: Path, *, author: Identity, branch: str | None = None
) -> Checkout:
    """Check the code of a run out into a new directory: on a new branch, or on none.

    All or nothing. What is missing above the directory is made; an empty directory may be there.
    No hook runs: many do what the code of the run tells them. Submodules stay empty, as with
    `git worktree add`. Where the code has a `.dvc`, DVC is told there of the cache of this
    repository, unless that cannot be written: then it goes on without.

    Raises:
        BadPath: there is something in the directory, or it lies in Git's own.
        BrokenRecord: the commit is no run of ours, or parts of it are missing.
        UsageError: Git takes no such name for a branch.
        GitFailed: the branch is there already; Git refuses a path of the run's, or the directory;
            the commit that the run was made on is not here.
        WriteFailed: the commit could not be stored.
    """
    directory = Path(os.path.abspath(directory))
    _check_place(repo, directory)
    made, base = _commit(repo, ref, author, branch=branch is not None)
    try:
        repo.add_worktree(directory, made, branch=branch)
    except GitFailed as error:
        raise _refused(error, branch) from error
    _share_cache(repo, made, directory)
    return Checkout(made, base, directory, branch)


def _share_cache(repo: Repo, commit: str, root: Path) -> None:
    """Tell DVC in a new work tree of the cache; `git track doctor` there says if it could not be.

    Its own configuration came with the code and may be anybody's: it is not asked.
    """
    try:
        found = setup.read(repo)
        inner = DVC_CONFIG.partition("/")[0]
        if found.directory and repo.root and found.directory.is_relative_to(repo.root):
            inner = found.directory.relative_to(repo.root).as_posix()
        # Git follows no symlink: what is an entry of its tree lies within the new work tree.
        if repo.entry(commit, f"{inner}/config") is not None:
            groundwork.share(found, root, inner)
    except (BadFile, WriteFailed):
        pass


def as_branch(repo: Repo, ref: RunRef, name: str, *, author: Identity) -> Checkout:
    """Make a branch of the code of a run, which nothing checks out.

    Raises:
        BrokenRecord, UsageError, GitFailed, WriteFailed: as `as_worktree`.
    """
    made, base = _commit(repo, ref, author, branch=True)
    try:
        return Checkout(made, base, None, repo.create_branch(name, made))
    except GitFailed as error:
        raise _refused(error, name) from error


def own_files(repo: Repo, *refs: RunRef) -> tuple[str, ...]:
    """What gittrack put into the trees of runs, apart from the record: `.dvc/config` or nothing.

    It is the user's where the code that a run was made on has one, or where it stands among other
    files of `.dvc`, as `dvc init` makes them; and one that is the user's in any of the runs counts
    as theirs in all.

    Raises:
        GitFailed: a commit or tree is missing or damaged.
    """
    own = False
    for ref in refs:
        whole = repo.read_commit(ref.commit)
        base = _known(repo, whole.parents[0]) if whole.parents else None
        if _has_own_config(repo, whole, base):
            own = True
        elif repo.entry(whole.tree, DVC_CONFIG.partition("/")[0]) is not None:
            return ()
    return (DVC_CONFIG,) if own else ()


def usual_place(repo: Repo, ref: RunRef) -> Path:
    """Where the code of a run goes if nobody says: `REPOSITORY-RUN` beside the repository."""
    top = repo.common_dir
    if top.name == ".git":
        top = top.parent
    elif repo.root is not None and repo.git_dir == top:
        top = repo.root
    return Path(os.path.abspath(top.with_name(f"{top.name.removesuffix('.git')}-{ref.name}")))


def _commit(repo: Repo, ref: RunRef, author: Identity, *, branch: bool) -> tuple[str, str | None]:
    """Store the code of a run as a commit on its base -> its id, and the base's.

    Where the run changed nothing it is the base itself. The dates are those of the run, so that
    one author gets the same commit each time; that of a branch is signed if Git's commits are.
    """
    run = commits.load(repo, ref)
    whole = repo.read_commit(ref.commit)
    base = _base(repo, ref, whole)
    _check_tree(repo, ref, whole)
    tree = _plain_tree(repo, whole, base)
    if base is not None and base.tree == tree:
        return base.id, base.id
    made = repo.write_commit(
        tree=tree,
        parents=[base.id] if base else [],
        message=_message(run, base),
        author=author,
        started=run.started.timestamp(),
        ended=(run.ended or run.started).timestamp(),
        sign=branch and repo.flag("commit.gpgsign", default=False),
    )
    return made, base.id if base else None


def _check_tree(repo: Repo, ref: RunRef, whole: Commit) -> None:
    try:
        repo.check_tree(whole.tree)
    except GitFailed as error:
        raise GitFailed(
            f"the code of {ref.short} cannot be checked out: {_reason(error)}",
            stderr=error.stderr,
            hint=f"`git ls-tree -r {ref.short}` lists what is in it.",
        ) from error


def _base(repo: Repo, ref: RunRef, whole: Commit) -> Commit | None:
    if not whole.parents:
        return None
    base = _known(repo, whole.parents[0])
    if base is None:
        raise GitFailed(
            f"{ref.short}: the base commit {whole.parents[0][:7]} is not here, so nothing can "
            "stand on it",
            hint="in a shallow clone, `git fetch --unshallow` brings it.",
        )
    return base


def _known(repo: Repo, oid: str) -> Commit | None:
    return repo.read_commit(oid) if repo.exists(oid) else None


def _plain_tree(repo: Repo, whole: Commit, base: Commit | None) -> str:
    """Store the run's tree without what gittrack put there -> its id."""
    gone = [commits.RECORD]
    if _has_own_config(repo, whole, base):
        gone.append(DVC_CONFIG.partition("/")[0])
    return repo.write_tree(dict.fromkeys(gone, ("", 0)), base=whole.tree)


def _has_own_config(repo: Repo, whole: Commit, base: Commit | None) -> bool:
    directory, _, name = DVC_CONFIG.partition("/")
    if base is not None and repo.entry(base.tree, directory) is not None:
        return False
    there = repo.entry(whole.tree, directory)
    if there is None or there.mode != _TREE:
        return False
    return [item.name for item in repo.tree(there.id)] == [name.encode()]


def _message(run: Run, base: Commit | None) -> str:
    from gittrack.quoting import command_line, one_line

    place = f"on {base.id[:7]}" if base else "before the first commit"
    lines = [
        f"Code of {run.name}",
        "",
        f"As it stood when the run began, {place}.",
        "",
        # Indented, so that no line of it is taken for a trailer.
        "    " + (command_line(run.command) or one_line(run.source))[:_LONGEST],
        "",
        f"Run: {run.experiment}/{run.name}",
        f"Run-Id: {run.id}",
    ]
    return "\n".join(lines) + "\n"


def _check_place(repo: Repo, directory: Path) -> None:
    """Refuse a place for a work tree in which something is, or in which Git keeps its own."""
    real = Path(os.path.realpath(directory))
    if real.is_relative_to(os.path.realpath(repo.common_dir)):
        raise BadPath(
            f"'{directory}' is in the directory of Git's own",
            path=os.fspath(directory),
            hint="--worktree DIR chooses another place.",
        )
    try:
        with os.scandir(directory) as entries:
            taken = next(entries, None) is not None
    except FileNotFoundError:
        taken = os.path.lexists(directory)
    except NotADirectoryError:
        taken = True
    except OSError as error:
        raise BadPath(f"'{directory}': {error.strerror}", path=os.fspath(directory)) from error
    if taken:
        raise BadPath(
            f"'{directory}' is there already",
            path=os.fspath(directory),
            hint="--worktree DIR chooses another place; `git worktree remove` takes a work tree "
            "away.",
        )


def _refused(error: GitFailed, branch: str | None) -> GitFailed:
    reason = _reason(error)
    if branch is not None and "already exists" in reason and "branch" in reason:
        return GitFailed(reason, stderr=error.stderr, hint="choose another name for the branch.")
    if "already registered" in reason:
        hint = "`git worktree prune` forgets work trees whose directories are gone."
        return GitFailed(reason, stderr=error.stderr, hint=hint)
    return GitFailed(reason, stderr=error.stderr, hint="--worktree DIR chooses another place.")


def _reason(error: GitFailed) -> str:
    return error.message.partition(" failed: ")[2] or error.message
