"""`git track model fetch` and `path`: the file that a version is, on this disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gittrack.cli.completing import versions as complete_versions
from gittrack.cli.get import placing_options
from gittrack.cli.main import open_place
from gittrack.cli.output import json_option, say
from gittrack.cli.progress import bar
from gittrack.cli.standing import who

if TYPE_CHECKING:
    from gittrack.refs import RunRef
    from gittrack.registry import Registry, Version
    from gittrack.whereabouts import Place

__all__ = ["fetch", "path"]


@click.command()
@click.argument("selector", metavar="NAME@VERSION|@STAGE|@ALIAS", shell_complete=complete_versions)
@placing_options
@json_option
@click.pass_context
def fetch(
    ctx: click.Context,
    selector: str,
    target: str,
    force: bool,
    dry_run: bool,
    remote: str | None,
    as_json: bool,
) -> None:
    """Write the artifact of a version into a directory.

    It goes under the path that its run kept it under, as with `git track get`. What is not in the
    cache comes from the data remote. A file that is there with another content stays, unless
    --force. NAME alone means NAME@latest.

    \b
    $ git track model fetch churn@production -o deploy
    """
    from gittrack import retrieve
    from gittrack.cli.get import fields, line

    place = open_place(ctx)
    version, ref, name = _wanted(place, selector)
    with bar() as meter:
        found = retrieve.get(
            place.repo,
            ref,
            [name],
            target=Path(target),
            force=force,
            dry_run=dry_run,
            remote=remote,
            meter=meter,
        )
    if as_json:
        from gittrack.exports import as_json as document

        told = {"model": version.model, "version": version.version, "commit": version.commit}
        click.echo(document([told | fields(item) for item in found]), nl=False)
        return
    for item in found:
        click.echo(line(item, dry_run))


@click.command()
@click.argument("selector", metavar="NAME@VERSION|@STAGE|@ALIAS", shell_complete=complete_versions)
@click.option("--remote", metavar="NAME", help="Fetch from this data remote, not the default one.")
@click.pass_context
def path(ctx: click.Context, selector: str, remote: str | None) -> None:
    """Print where the artifact of a version can be read, fetched and checked first.

    One absolute path, of a file or a directory; it is read-only, and stays until a cleaning takes
    it. NAME alone means NAME@latest.

    \b
    $ python predict.py --model "$(git track model path churn@production)"
    """
    from gittrack import retrieve

    place = open_place(ctx)
    _, ref, name = _wanted(place, selector)
    with bar() as meter:
        found = retrieve.load(place.repo, ref, name, remote=remote, meter=meter)
    # Byte for byte: whoever reads it opens it.
    click.echo(os.fsencode(os.path.abspath(found)))


def _wanted(place: Place, selector: str) -> tuple[Version, RunRef, str]:
    """The version that is meant, its run, and the path of its artifact there.

    Raises:
        ModelNotFound: there is no such version, or nobody holds the stage.
        RunNotFound: it is on a commit that is no run.
        BadPath: it names no artifact.
    """
    from gittrack import provenance, registry
    from gittrack.errors import BadPath

    known = registry.read(place)
    version = registry.find_version(known, selector)
    _warn(known, version)
    ref = provenance.run(place, version)
    if version.artifact is None:
        raise BadPath(
            f"{version.name} names no artifact",
            path="",
            hint=f"`git track get {ref.name}` writes what its run kept.",
        )
    return version, ref, version.artifact


def _warn(known: Registry, version: Version) -> None:
    ended = known.models[version.model].deprecated
    if ended is not None:
        say(f"warning: {version.model} is deprecated, {who(ended)}")
    if version.unregistered is not None:
        say(f"warning: {version.name} was taken back, {who(version.unregistered)}")
