"""`git track model promote`, `demote`, `rollback`, `archive`, `alias`: who holds what.

Turns words of the command line into decisions, and what became of them into a sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gittrack.cli.completing import aliases, model_stages, models, restorable, versions
from gittrack.cli.decisions import (
    dry_option,
    found_version,
    model_named,
    number,
    reason_option,
    tell,
    version_named,
)
from gittrack.cli.main import open_place
from gittrack.cli.output import json_option

if TYPE_CHECKING:
    from gittrack.registrar import Outcome
    from gittrack.registry import Version

__all__ = ["alias", "archive", "demote", "promote", "promoted", "rollback"]


@click.command()
@click.argument("version", metavar="NAME@VERSION", shell_complete=versions)
@click.argument("stage", shell_complete=model_stages)
@reason_option
@click.option(
    "--require",
    metavar="QUERY",
    multiple=True,
    help="Only if its run answers this query; several: all of them.",
)
@click.option(
    "--archive-existing/--demote-existing",
    default=False,
    help="Archive who held the stage, or only take it away (the default).",
)
@click.option("--again", is_flag=True, help="Decide anew even if it holds the stage, which ends a "
              "contest.")  # fmt: skip
@dry_option
@json_option
@click.pass_context
def promote(
    ctx: click.Context,
    version: str,
    stage: str,
    reason: str,
    require: tuple[str, ...],
    archive_existing: bool,
    again: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give a version a stage.

    A stage has one holder, and a version one stage; `archived` may be the stage of many. Stages are
    staging, production, archived or any other lower-case name, unless `track.stages` lists those
    that are allowed. --require, and the rules of the stage, must hold for the run that the version
    is; what they saw is kept in the tag.

    \b
    $ git track model promote churn@v1.0.0 production
    $ git track model promote churn@staging production --reason "Passed the audit."
    $ git track model promote churn@v1.1.0 production --require "metrics.f1 >= 0.9 and not dirty"
    """
    from gittrack import registrar, tagging

    tagging.check_stage(stage)
    place = open_place(ctx)
    found, known = found_version(place, version)
    outcome = registrar.promote(
        place.repo,
        found,
        stage,
        upon=known,
        reason=reason,
        require=require,
        archive_existing=archive_existing,
        again=again,
        dry_run=dry_run,
    )
    said = promoted(outcome, stage, dry_run, before=found.stage)
    tell(place, outcome, said, as_json=as_json, dry_run=dry_run)


def promoted(outcome: Outcome, stage: str, dry_run: bool, *, before: str | None = None) -> str:
    """What became of a promotion, in a sentence; `before` is the stage that the version had."""
    from gittrack.tagging import ARCHIVED

    name = "" if outcome.version is None else outcome.version.name
    if stage == ARCHIVED:
        held = f" (before: {before})" if before and outcome.status == "done" else ""
        return f"{name} {_archived(outcome, dry_run)}{held}"
    if outcome.status == "notneeded":
        return f"{name} holds {stage} already"
    former = number(outcome.former)
    if outcome.former is not None and not dry_run and outcome.former.stage not in (None, stage):
        former += f", {outcome.former.stage} now"
    held = f"{name} {'would hold' if dry_run else 'now holds'} {stage} (before: {former})"
    return held + _left(before, stage)


def _left(before: str | None, stage: str) -> str:
    """That a version is no longer in the stage that it had `before`, which nobody holds now."""
    from gittrack.tagging import ARCHIVED

    return "" if before in (None, stage, ARCHIVED) else f"; left {before}"


def _archived(outcome: Outcome, dry_run: bool) -> str:
    if outcome.status == "notneeded":
        return "is archived already"
    return "would be archived" if dry_run else "is now archived"


@click.command()
@click.argument("version", metavar="NAME@VERSION|@STAGE", shell_complete=versions)
@reason_option
@dry_option
@json_option
@click.pass_context
def demote(ctx: click.Context, version: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Take a version's stage away.

    Nobody holds it then; who held it before does not come back: that is `git track model rollback`.

    \b
    $ git track model demote churn@production --reason "Too slow."
    """
    from gittrack import registrar

    place = open_place(ctx)
    found = version_named(place, version)
    _check_no_alias(found, version)
    outcome = registrar.demote(place.repo, found, reason=reason, dry_run=dry_run)
    if outcome.status == "notneeded":
        sentence = f"{found.name} holds no stage"
    else:
        sentence = f"{found.name} {'would lose' if dry_run else 'no longer holds'} {found.stage}"
    tell(place, outcome, sentence, as_json=as_json, dry_run=dry_run)


def _check_no_alias(found: Version, selector: str) -> None:
    """Raise UsageError where an alias is named: its version may hold a stage that nobody meant."""
    from gittrack import registry
    from gittrack.errors import UsageError

    named = registry.parse(selector)
    if named is None or named[1] not in found.aliases:
        return
    holds = f"`git track model demote {found.name}` takes {found.stage} from its version."
    raise UsageError(
        f"'{selector}' is an alias, and no stage",
        hint=f"`git track model alias {found.model} {named[1]} --delete` takes the alias away"
        + (f"; {holds}" if found.stage else "."),
    )


@click.command()
@click.argument("name", shell_complete=models)
@click.argument("stage", shell_complete=restorable)
@reason_option
@dry_option
@json_option
@click.pass_context
def rollback(
    ctx: click.Context, name: str, stage: str, reason: str, dry_run: bool, as_json: bool
) -> None:
    """Give a stage back to who held it before.

    A second rollback goes further back. Versions that were taken back since are left out.

    \b
    $ git track model rollback churn production --reason "v1.1.0 refuses new customers."
    """
    from gittrack import registrar, tagging

    tagging.check_stage(stage)
    place = open_place(ctx)
    found = model_named(place, name)
    outcome = registrar.rollback(place.repo, found, stage, reason=reason, dry_run=dry_run)
    back = "would be back" if dry_run else "is back"
    said = f"{stage} of {name} {back} at {number(outcome.version)}"
    said += f" (before: {number(outcome.former)})"
    seen = outcome.version and found.version(outcome.version.version)
    said += _left(seen and seen.stage, stage)
    tell(place, outcome, said, as_json=as_json, dry_run=dry_run)


@click.command()
@click.argument("version", metavar="NAME@VERSION", shell_complete=versions)
@reason_option
@dry_option
@json_option
@click.pass_context
def archive(ctx: click.Context, version: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Put a version into the archive.

    It gives up the stage that it has. Its tag and its run stay; it can be promoted again.

    \b
    $ git track model archive churn@v1.0.0
    """
    from gittrack import registrar
    from gittrack.tagging import ARCHIVED

    place = open_place(ctx)
    found, known = found_version(place, version)
    outcome = registrar.promote(
        place.repo, found, ARCHIVED, reason=reason, upon=known, dry_run=dry_run
    )
    said = promoted(outcome, ARCHIVED, dry_run, before=found.stage)
    tell(place, outcome, said, as_json=as_json, dry_run=dry_run)


@click.command()
@click.argument("version", metavar="NAME@VERSION", shell_complete=versions)
@click.argument("name", metavar="ALIAS", shell_complete=aliases)
@click.option("-d", "--delete", is_flag=True, help="Take the alias away; NAME alone is enough.")
@reason_option
@dry_option
@json_option
@click.pass_context
def alias(
    ctx: click.Context,
    version: str,
    name: str,
    delete: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let a movable name point at a version.

    An alias is no stage: a version may have several, and keeps its stage. `churn@champion` then
    means that version wherever a model or a run is named.

    \b
    $ git track model alias churn@v1.1.0 champion
    $ git track model alias churn champion --delete
    """
    from gittrack import registrar, tagging

    tagging.check_stage(name)
    place = open_place(ctx)
    if delete:
        model = model_named(place, version.partition("@")[0])
        outcome = registrar.unalias(place.repo, model, name, reason=reason, dry_run=dry_run)
        called = f"{model.name}@{name}"
        if outcome.status == "notneeded":
            sentence = f"there is no {called}"
        else:
            gone = "would be gone" if dry_run else "is gone"
            sentence = f"{called} {gone} (before: {number(outcome.former)})"
    else:
        found = version_named(place, version)
        outcome = registrar.alias(place.repo, found, name, reason=reason, dry_run=dry_run)
        called = f"{found.model}@{name}"
        if outcome.status == "notneeded":
            sentence = f"{called} is {number(found)} already"
        else:
            now = "would be" if dry_run else "is now"
            before = "nothing" if outcome.former is None else number(outcome.former)
            sentence = f"{called} {now} {number(found)} (before: {before})"
    tell(place, outcome, sentence, as_json=as_json, dry_run=dry_run)
