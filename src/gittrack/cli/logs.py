"""`git track logs`: what a run wrote to the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import Screen, page, screen

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.refs import RunRef

__all__ = ["logged", "logs"]


@click.command()
@click.argument("selector", metavar="[RUN]", default="latest", shell_complete=run_names)
@click.pass_context
def logs(ctx: click.Context, selector: str) -> None:
    """Print what a run wrote to the terminal.

    Without RUN the latest one. A terminal gets what 'git track show --log RUN' shows, a file or a
    pipe every byte: of a very long output the whole, if it is here ('git track get' fetches it).

    \b
    $ git track logs
    $ git track logs amber-otter
    """
    from gittrack import revisions

    repo = open_repo(ctx)
    ref = revisions.resolve(repo, selector)
    shown = screen()
    if shown.is_terminal:
        page(repo, logged(repo, ref, shown))
    else:
        _copy_log(repo, ref)


def _copy_log(repo: Repo, ref: RunRef) -> None:
    """Write the output to stdout byte for byte; the whole of it where this clone has it."""
    import shutil

    from gittrack import commits

    stdout = sys.stdout.buffer
    whole = _whole_output(repo, ref)
    try:
        if whole is None:
            raise FileNotFoundError
        with open(whole, "rb") as file:
            shutil.copyfileobj(file, stdout)
    except FileNotFoundError:
        stdout.write(commits.output(repo, ref))


def _whole_output(repo: Repo, ref: RunRef) -> Path | None:
    """Where the cache would have the whole of a long output; None if the record has all of it."""
    from gittrack import commits

    kept = next((a for a in commits.load(repo, ref).artifacts if a.path == commits.OUTPUT), None)
    if kept is None:
        return None
    from gittrack import setup
    from gittrack.cache import open_cache

    return open_cache(repo, setup.read(repo)).path(kept.md5)


def logged(repo: Repo, ref: RunRef, shown: Screen) -> str:
    """What a run wrote, as the screen wants it."""
    from gittrack import commits
    from gittrack.quoting import printable

    text = commits.output(repo, ref).decode("utf-8", "backslashreplace")
    # What a progress bar overwrote is of no use to a reader; a file gets it all the same.
    return printable(_settled(text)) if shown.is_terminal else text


def _settled(text: str) -> str:
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
