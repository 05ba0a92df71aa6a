"""`git track model register`: what a run kept becomes a version of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gittrack.cli.completing import models, parcels
from gittrack.cli.decisions import dry_option, masked, tell
from gittrack.cli.main import open_place
from gittrack.cli.output import json_option

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.refs import RunRef
    from gittrack.semver import Bump

__all__ = ["register"]

_MOST_METRICS = 4


@click.command()
@click.argument("run", metavar="RUN[:ARTIFACT]", shell_complete=parcels)
@click.argument("name", shell_complete=models)
@click.option("--version", metavar="V", help="The version, such as 1.2.0; never used before.")
@click.option(
    "--bump",
    type=click.Choice(["major", "minor", "patch"]),
    help="Which number goes up from the highest version; patch unless said.",
)
@click.option("-m", "--message", metavar="MSG", multiple=True, callback=masked,
              help="What is to be said of it; several: a blank line between them.")  # fmt: skip
@click.option("--no-artifact", is_flag=True, help="Register the run itself, of which nothing was "
              "kept.")  # fmt: skip
@dry_option
@json_option
@click.pass_context
def register(
    ctx: click.Context,
    run: str,
    name: str,
    version: str | None,
    bump: Bump | None,
    message: tuple[str, ...],
    no_artifact: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make what a run kept a version of a model.

    The version is an annotated tag on the commit of the run: `git show churn@v1.0.0` is the run.
    The first one is 1.0.0, and each number is used once. ARTIFACT may be left out where the run
    kept one thing only, or one directory with MLflow's file MLmodel.

    \b
    $ git track model register amber-otter churn
    $ git track model register best:f1:model.joblib churn --bump minor -m "More trees."
    $ git track model register amber-otter:model.joblib churn --version 2.0.0-rc.1
    """
    from gittrack import parcel, registrar, semver, tagging
    from gittrack.errors import UsageError

    if version is not None and bump is not None:
        raise UsageError("--version and --bump do not go together")
    # Names that nothing can have are wrong usage, whatever else is wrong.
    tagging.check_model(name)
    exact = None if version is None else semver.parse(version)
    place = open_place(ctx)
    ref, artifact = parcel.parted(place.repo, run)
    if artifact is not None and no_artifact:
        raise UsageError(f"--no-artifact and '{artifact}' do not go together")
    outcome = registrar.register(
        place.repo,
        ref,
        name,
        artifact=artifact,
        allow_none=no_artifact,
        version=exact,
        bump=bump,
        message="\n\n".join(message),
        dry_run=dry_run,
    )
    made = outcome.version
    is_new = outcome.status == "done"
    if is_new and made and made.artifact and "flavors" not in made.registered.trailers:
        _warn(place.repo, ref, made.artifact)
    called = outcome.version.name if outcome.version is not None else name
    would = "would be" if dry_run and outcome.status == "done" else "is"
    already = " already" if outcome.status == "notneeded" else ""
    tell(
        place,
        outcome,
        f"{called} {would} {ref.name}{already}{_values(place.repo, ref)}",
        as_json=as_json,
        dry_run=dry_run,
    )


def _warn(repo: Repo, ref: RunRef, artifact: str) -> None:
    """Say on stderr that the package cannot be understood: it was registered without flavours."""
    from gittrack import commits, mlmodel
    from gittrack.quoting import one_line

    fault = mlmodel.fault(repo, commits.load(repo, ref), artifact)
    if fault is not None:
        click.echo(f"warning: its flavors are not known: {one_line(fault)}", err=True)


def _values(repo: Repo, ref: RunRef) -> str:
    """That a run did not finish, and its leading metrics, behind its name."""
    from gittrack import commits
    from gittrack.cells import WIDEST, cut
    from gittrack.figures import short
    from gittrack.quoting import one_line

    run = commits.load(repo, ref)
    said: list[str] = [run.status] * (run.status != "finished")
    measured = sorted(run.metrics.items())[:_MOST_METRICS]
    said += [f"{cut(one_line(key), WIDEST)} {short(value)}" for key, value in measured]
    return f" ({', '.join(said)})" if said else ""
