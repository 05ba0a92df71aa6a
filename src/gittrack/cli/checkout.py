"""`git track checkout`: the code of a run, and its data, beside the user's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import say

if TYPE_CHECKING:
    from gittrack.checkout import Checkout
    from gittrack.git import Repo
    from gittrack.records import Run
    from gittrack.refs import RunRef
    from gittrack.retrieve import Retrieved

__all__ = ["checkout"]


@click.command()
@click.argument("selector", metavar="RUN", shell_complete=run_names)
@click.option(
    "--worktree",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Check the code out into DIR (default: beside the repository).",
)
@click.option("-b", "branch", metavar="BRANCH", help="Make a branch of the code.")
@click.option("--data", is_flag=True, help="Bring the data that the run read, too.")
@click.pass_context
def checkout(
    ctx: click.Context, selector: str, worktree: Path | None, branch: str | None, data: bool
) -> None:
    """Check the code of a run out, beside your own.

    The code as it ran, uncommitted changes included, goes into a new work tree: a plain commit on
    the commit that the run was made on, or that commit itself. With -b alone it becomes a branch
    that nothing checks out. Your work tree, index and HEAD stay as they are.

    \b
    $ git track checkout amber-otter
    $ git track checkout best:accuracy --worktree ../best --data
    $ git track checkout amber-otter -b try-again
    """
    from gittrack import commits, revisions

    if data and branch is not None and worktree is None:
        raise click.UsageError("--data needs a work tree: add --worktree DIR", ctx)
    repo = open_repo(ctx)
    ref = revisions.resolve(repo, selector)
    run = commits.load(repo, ref)
    made = _made(repo, ref, worktree, branch)
    click.echo(_said(repo, run, made))
    if made.worktree is None:
        click.echo(f"  git switch {made.branch}")
        return
    complete = not data or _bring(repo, ref, run, made.worktree)
    for note in _notes(repo, run, made):
        say(f"note: {note}")
    click.echo(f"  {_next(run, made.worktree)}")
    if not complete:
        ctx.exit(1)


def _made(repo: Repo, ref: RunRef, worktree: Path | None, branch: str | None) -> Checkout:
    from gittrack import checkout

    author = repo.identity()
    if branch is not None and worktree is None:
        return checkout.as_branch(repo, ref, branch, author=author)
    place = worktree or checkout.usual_place(repo, ref)
    return checkout.as_worktree(repo, ref, place, author=author, branch=branch)


def _said(repo: Repo, run: Run, made: Checkout) -> str:
    """One line: where the code is, whose it is, which commit."""
    from gittrack.quoting import one_line

    parts = [f"branch {made.branch}"] if made.branch else []
    if made.worktree is not None:
        parts.insert(0, _near(made.worktree))
    code = made.commit[:7]
    if made.base != made.commit:
        code += f", on {made.base[:7]}" if made.base else ", without a parent"
    where = one_line(", ".join(parts))
    return f"{where}  code of {run.name} ({code})"


def _bring(repo: Repo, ref: RunRef, run: Run, root: Path) -> bool:
    """Bring the data, say what came and what did not -> whether all of it came."""
    from gittrack import retrieve
    from gittrack.cells import plain, size
    from gittrack.cli.progress import bar

    if not run.data:
        say(f"note: {run.name} has no data on record")
        return True
    # What stands there is the run's own code: the bytes on record are what it read.
    with bar() as meter:
        found = retrieve.get_data(repo, ref, root=root, force=True, meter=meter)
    missing = [item for item in found if item.outcome == "missing" and not _stands(item)]
    outside = {item.path for item in run.data} - {item.name for item in found}
    for item in found:
        if item not in missing:
            click.echo(f"  {plain(item.name)}  {item.md5[:7]}  {size(item.size)}")
    tracked = {item.path for item in run.data if item.pointer}
    for item in missing:
        why = f"was not under DVC: its hash is on record ({item.md5[:7]}), its content not"
        if item.name in tracked:
            why = "is neither in the cache nor in a data remote"
        say(f"warning: {plain(item.name)} {why}")
    for path in sorted(outside):
        say(f"warning: {plain(path)} is outside of the repository, and stays what it is now")
    return not outside and not missing


def _stands(item: Retrieved) -> bool:
    """Whether the content came with the code, because Git has it."""
    from gittrack import hashing
    from gittrack.errors import BadPath

    try:
        return hashing.of(item.path).md5 == item.md5
    except BadPath:
        return False


def _notes(repo: Repo, run: Run, made: Checkout) -> Iterator[str]:
    """What is not there although the run may have had it, and where nobody looks for a tree."""
    if made.worktree is not None and _is_untracked(repo, made.worktree):
        yield (
            f"{_near(made.worktree)} is inside of this work tree and untracked: `git clean -ffd` "
            "would take it, a line in .git/info/exclude hides it"
        )
    if left_out := len(run.code.skipped) + len(run.code.hidden):
        words = "1 path was" if left_out == 1 else f"{left_out} paths were"
        yield f"{words} not recorded as the run saw it (git track show {run.name})"
    if repo.entry(made.commit, ".gitmodules") is not None:
        yield "submodules are empty (git submodule update --init)"


def _is_untracked(repo: Repo, place: Path) -> bool:
    """Whether it lies in the work tree that the user stands in, and Git does not ignore it."""
    from gittrack.errors import GitFailed

    if repo.root is None:
        return False
    inner = Path(os.path.realpath(place))
    if not inner.is_relative_to(os.path.realpath(repo.root)):
        return False
    try:
        repo.git("check-ignore", "-q", "--no-index", "--", os.fspath(inner))
    except GitFailed:
        return True
    return False


def _next(run: Run, worktree: Path) -> str:
    """What to type to run it again there."""
    from gittrack.quoting import command_line

    inner = Path(os.path.normpath(worktree / run.directory))
    place = inner if inner.is_relative_to(worktree) and inner.is_dir() else worktree
    go = command_line(["cd", _near(place)])
    return f"{go} && {command_line(run.command)}" if run.command else go


def _near(place: Path) -> str:
    """The path as one would type it from here."""
    near = os.path.relpath(place)
    near = f"./{near}" if near.startswith("-") else near
    return near if len(near) < len(os.fspath(place)) else os.fspath(place)
