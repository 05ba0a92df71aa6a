"""`git track model unregister` and `deprecate`: what is not to be used any more."""

from __future__ import annotations

import click

from gittrack.cli.completing import models, versions
from gittrack.cli.decisions import dry_option, model_named, reason_option, tell, version_named
from gittrack.cli.main import open_place
from gittrack.cli.output import json_option

__all__ = ["deprecate", "unregister"]


@click.command()
@click.argument("version", metavar="NAME@VERSION", shell_complete=versions)
@reason_option
@dry_option
@json_option
@click.pass_context
def unregister(ctx: click.Context, version: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Take a version back for ever.

    It then holds nothing, and its number is not used again; its run and its tags stay, as the
    history does. The version is named by its number: a stage may have another holder tomorrow.

    \b
    $ git track model unregister churn@v1.0.0 --reason "Trained on the test set."
    """
    from gittrack import registrar

    place = open_place(ctx)
    found = version_named(place, version, by_number=True)
    outcome = registrar.unregister(place.repo, found, reason=reason, dry_run=dry_run)
    if outcome.status == "notneeded":
        sentence = f"{found.name} is taken back already"
    else:
        held = [one for one in (found.stage, *found.aliases) if one is not None]
        lost = f" (it held {', '.join(held)})" if held else ""
        sentence = f"{found.name} {'would be' if dry_run else 'is'} taken back{lost}"
    tell(place, outcome, sentence, as_json=as_json, dry_run=dry_run)


@click.command()
@click.argument("name", shell_complete=models)
@reason_option
@dry_option
@json_option
@click.pass_context
def deprecate(ctx: click.Context, name: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Say that a model is not to be used.

    It gets no new versions and no promotions, and `git track model ls` leaves it out; what is there
    can still be fetched.

    \b
    $ git track model deprecate churn --reason "Replaced by churn-2."
    """
    from gittrack import registrar

    place = open_place(ctx)
    model = model_named(place, name)
    outcome = registrar.deprecate(place.repo, model, reason=reason, dry_run=dry_run)
    verb, already = "would be" if dry_run else "is", ""
    if outcome.status == "notneeded":
        verb, already = "is", " already"
    tell(place, outcome, f"{name} {verb} deprecated{already}", as_json=as_json, dry_run=dry_run)
