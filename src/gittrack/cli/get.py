"""`git track get`: what a run kept, back on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import Command, json_option

if TYPE_CHECKING:
    from gittrack.retrieve import Retrieved

__all__ = ["fields", "get", "line", "placing_options"]


def _kept_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The artifacts of the run that stands before; silence if there is no such run."""
    from gittrack import commits, revisions
    from gittrack.errors import GittrackError
    from gittrack.git import Repo

    try:
        repo = Repo.open()
        kept = commits.load(repo, revisions.resolve(repo, ctx.params["selector"])).artifacts
    except (GittrackError, KeyError):
        return []
    return [CompletionItem(item.path) for item in kept if item.path.startswith(incomplete)]


def placing_options(command: Command) -> Command:
    """Add what commands that write kept files take: `--output`, `--force`, `-n`, `--remote`."""
    for option in (
        click.option(
            "--remote", metavar="NAME", help="Fetch from this data remote, not the default one."
        ),
        click.option("-n", "--dry-run", is_flag=True, help="Only say what would be written."),
        click.option(
            "-f", "--force", is_flag=True, help="Replace files that have another content."
        ),
        click.option(
            "-o",
            "--output",
            "target",
            metavar="DIR",
            default=".",
            help="Write below DIR instead of here; it is made if need be.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("selector", metavar="RUN", shell_complete=run_names)
@click.argument("names", metavar="[ARTIFACT]...", nargs=-1, shell_complete=_kept_names)
@placing_options
@json_option
@click.pass_context
def get(
    ctx: click.Context,
    selector: str,
    names: Sequence[str],
    target: str,
    force: bool,
    dry_run: bool,
    remote: str | None,
    as_json: bool,
) -> None:
    """Write the artifacts of a run into a directory.

    Each goes under the path that it was kept under. ARTIFACT may also name a directory of several,
    or a file inside one that is a directory, or be a pattern in quotes; without it, all are
    written. What is not in the cache comes from the data remote. A file that is there with another
    content stays, unless --force.

    \b
    $ git track get amber-otter
    $ git track get best:accuracy model.joblib -o ../serving
    $ git track get latest 'reports/*' --force
    """
    from gittrack import retrieve, revisions
    from gittrack.cli.progress import bar

    repo = open_repo(ctx)
    ref = revisions.resolve(repo, selector)
    with bar() as meter:
        found = retrieve.get(
            repo,
            ref,
            names,
            target=Path(target),
            force=force,
            dry_run=dry_run,
            remote=remote,
            meter=meter,
        )
    if as_json:
        from gittrack.exports import as_json as document

        click.echo(document([fields(item) for item in found]), nl=False)
        return
    for item in found:
        click.echo(line(item, dry_run))


def fields(item: Retrieved) -> dict[str, object]:
    """One artifact for programs."""
    return {
        "name": item.name,
        "path": os.fspath(item.path),
        "md5": item.md5,
        "size": item.size,
        "nfiles": item.nfiles,
        "outcome": item.outcome,
    }


def line(item: Retrieved, dry_run: bool) -> str:
    """One artifact for people: where it is, how large, what happened to it."""
    from gittrack.cells import size
    from gittrack.quoting import one_line

    amount = size(item.size)
    if item.nfiles is not None:
        amount += f" in {item.nfiles:,} file{'' if item.nfiles == 1 else 's'}"
    parts = [one_line(os.fspath(item.path)), amount, item.md5[:7]]
    if item.outcome == "up to date":
        parts.append("up to date")
    elif dry_run:
        parts.append("would replace" if item.outcome == "replaced" else "would write")
    elif item.outcome == "replaced":
        parts.append("replaced")
    return "  ".join(parts)
