"""`git track init`: prepare this clone, and say what was done."""

from __future__ import annotations

import os

import click

from gittrack.cli.main import open_repo

__all__ = ["init"]


@click.command()
@click.pass_context
def init(ctx: click.Context) -> None:
    """Set up this repository for gittrack; running it again is safe.

    Nothing has to be set up before the first run: this only chooses, once and for all work trees
    of this clone, the name under which it writes annotations (track.writer). Work tree, index and
    branches stay untouched.

    \b
        $ git track init
    """
    from gittrack.annotations import ROOT, writer
    from gittrack.quoting import one_line

    repo = open_repo(ctx)
    before = repo.config.get("track.writer")
    name = writer(repo, random=os.urandom)
    place = one_line(os.fspath(repo.common_dir))
    if before:
        click.echo(f"{place} is set up already: annotations go to {ROOT}{name}")
    else:
        click.echo(f"set up {place}: annotations go to {ROOT}{name} (track.writer)")
