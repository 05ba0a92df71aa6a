"""`git track init`: prepare this clone and DVC in it, and say what was done."""

from __future__ import annotations

import os

import click

from gittrack.cli.main import open_repo

__all__ = ["init"]


@click.command()
@click.pass_context
def init(ctx: click.Context) -> None:
    """Set up this repository for gittrack and DVC; running it again is safe.

    Nothing has to be set up before the first run. This chooses the name under which this clone
    writes annotations (track.writer), and begins DVC in the work tree as `dvc init` does, but
    stages nothing: artifacts that were kept inside of .git move into DVC's cache, where stock DVC
    finds them, and data remotes can be added. Index and branches stay untouched.

    \b
        $ git track init
        $ dvc remote add -d storage s3://bucket/path
    """
    from gittrack.annotations import ROOT, writer
    from gittrack.groundwork import initialize
    from gittrack.quoting import one_line

    repo = open_repo(ctx)
    before = repo.config.get("track.writer")
    name = writer(repo, random=os.urandom)
    place = one_line(os.fspath(repo.common_dir))
    if before:
        click.echo(f"{place} is set up already: annotations go to {ROOT}{name}")
    else:
        click.echo(f"set up {place}: annotations go to {ROOT}{name} (track.writer)")
    if repo.is_bare:
        click.echo("no work tree, so DVC is not set up here; a clone has one", err=True)
        return
    for done in initialize(repo):
        click.echo(done)
