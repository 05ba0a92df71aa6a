"""`git track model describe`: what a model, or a version of it, is about.

Turns the user's words into a note. Where notes are, `descriptions` knows.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from gittrack.cli.completing import models
from gittrack.cli.main import open_place

if TYPE_CHECKING:
    from gittrack.registry import Model, Version
    from gittrack.whereabouts import Place

__all__ = ["describe"]


@click.command()
@click.argument("name", metavar="NAME[@VERSION]", shell_complete=models)
@click.option("-m", "--message", metavar="TEXT", multiple=True, help="The description; several: a "
              "blank line between them. An empty one takes it away.")  # fmt: skip
@click.option("-F", "--file", metavar="FILE", help="Take it from a file, '-' for stdin.")
@click.option("--show", is_flag=True, help="Only print the present one.")
@click.pass_context
def describe(
    ctx: click.Context, name: str, message: tuple[str, ...], file: str | None, show: bool
) -> None:
    """Say what a model or a version is about.

    Without -m or -F, Git's editor opens with the present description. The new one replaces it;
    it is kept as a note on the tag of the version, of a model on that of its lowest version.

    \b
    $ git track model describe churn -m "Which customers leave within a month."
    $ git track model describe churn@v1.2.0 -F card.md
    $ git track model describe churn --show
    """
    from gittrack import descriptions, registry
    from gittrack.cli.decisions import model_named, version_named
    from gittrack.errors import GittrackError, UsageError
    from gittrack.quoting import printable

    if bool(message) + (file is not None) + show > 1:
        raise UsageError("-m, -F and --show do not go together")
    place = open_place(ctx)
    about = version_named(place, name) if "@" in name else model_named(place, name)
    present = descriptions.read(place, registry.read(place)).get(about.name, "")
    if show:
        if not present:
            raise GittrackError(
                f"'{about.name}' has no description",
                hint="`git track model describe NAME -m TEXT` gives it one.",
            )
        click.echo(printable(present))
        return
    _write(place, about, present, _text(place, about.name, present, message, file))


def _text(place: Place, name: str, present: str, message: tuple[str, ...], file: str | None) -> str:
    if message:
        return "\n\n".join(message).strip()
    if file is not None:
        from gittrack.cli.annotate import content

        return content(file).strip()
    from gittrack.cli.editing import SCISSORS, above, edited

    form = (
        f"{present}\n\n{SCISSORS}\n# Above this line: what {name} is about; nothing for no text.\n"
    )
    return above(edited(place.repo, form, what="description"))


def _write(place: Place, about: Model | Version, present: str, text: str) -> None:
    """Make the text the description, without what looks like a secret."""
    from datetime import datetime, timezone

    from gittrack import descriptions, secrets
    from gittrack.cli.decisions import share
    from gittrack.ledger import writer

    masked = secrets.mask_words(text)
    if masked == present:
        words = "is described so already" if present else "has no description"
        click.echo(f"{about.name} {words}")
        return
    repo = place.repo
    descriptions.describe(repo, about, masked, now=datetime.now(timezone.utc), random=os.urandom)
    if masked != text:
        click.echo("masked what looks like a secret", err=True)
    click.echo(f"{about.name} {'is described' if masked else 'has no description any more'}")
    share(place, [descriptions.ROOT + writer(repo, random=os.urandom)])
