"""`git track send`: what runs kept and read, to a data remote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import json_option, say

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.shipment import Shipment
    from gittrack.summaries import Summary

__all__ = ["send"]

_MOST_NAMED = 5


@click.command()
@click.argument("selectors", metavar="[RUN]...", nargs=-1, shell_complete=run_names)
@click.option("--all", "everything", is_flag=True, help="Send what all runs kept.")
@click.option("--remote", metavar="NAME", help="Send to this data remote, not the default one.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be sent.")
@json_option
@click.pass_context
def send(
    ctx: click.Context,
    selectors: Sequence[str],
    everything: bool,
    remote: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send what runs kept to the data remote.

    Without RUN and --all, that of the latest run. With the artifacts go the data that the runs
    read, as far as the data cache has it. What the remote has already is not sent again, so what
    was interrupted goes on where it was. The exit code is 1 if an artifact is neither here nor
    there; all else was sent.

    The runs themselves are refs of Git. They go after the data, so that nobody gets a run whose
    files are nowhere:

    \b
    $ git push REMOTE 'refs/runs/*:refs/runs/*'

    \b
    $ git track send
    $ git track send amber-otter best:accuracy --remote storage
    $ git track send --all && git push origin 'refs/runs/*:refs/runs/*'
    """
    from gittrack import data, setup, shipment
    from gittrack.cli.progress import bar
    from gittrack.errors import UsageError

    if everything and selectors:
        raise UsageError("--all means every run", hint="name runs, or say --all.")
    repo = open_repo(ctx)
    runs = _all(repo) if everything else _named(repo, selectors or ("latest",))
    found = setup.read(repo)
    with bar() as meter:
        packed = shipment.pack(repo, found, runs, remote=remote, meter=meter)
        if not dry_run:
            data.carry(repo, found, packed.lacking, meter=meter)
    if as_json:
        click.echo(_json(packed, runs, dry_run))
    else:
        click.echo(_line(packed, runs, dry_run))
    _warn(packed)
    if packed.absent:
        ctx.exit(1)


def _all(repo: Repo) -> Sequence[Summary]:
    """Every run that is not deleted; of those that cannot be read it is said."""
    from gittrack import whereabouts
    from gittrack.search import Question, open_search

    with open_search(whereabouts.of(repo)) as search:
        found = search.find(Question(live=False))
    for problem in found.problems:
        say(f"warning: {problem.message}")
    return found.runs


def _named(repo: Repo, selectors: Sequence[str]) -> Sequence[Summary]:
    """The runs that these name.

    Raises:
        RunNotFound: one names no run.
        BrokenRecord: one of them cannot be read.
    """
    from gittrack import commits, revisions
    from gittrack.errors import RunNotFound

    try:
        refs = revisions.resolve_many(repo, selectors)
    except RunNotFound as error:
        error.hint = _of_model(repo, error.selector) or error.hint
        raise
    found = commits.listing(repo, refs)
    if len(found.runs) < len(refs) and found.problems:
        raise found.problems[0]
    return found.runs


def _of_model(repo: Repo, selector: str) -> str | None:
    """What is meant where a selector is the name of a model alone."""
    from gittrack import registry, whereabouts

    known = registry.read(whereabouts.of(repo)).models.get(selector)
    if known is None:
        return None
    latest = known.latest.name if known.latest else f"{selector}@VERSION"
    return f"that is a model: `git track send {latest}` sends what a version of it kept."


def _line(packed: Shipment, runs: Sequence[Summary], dry_run: bool) -> str:
    """One line: how many objects, how large, whose, where to."""
    from gittrack.cells import size
    from gittrack.quoting import one_line

    found = packed.lacking
    whose = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    if not packed.objects:
        return f"nothing to send: {whose} kept nothing" if runs else "nothing to send: no runs"
    where = one_line(found.remote)
    if packed.absent and not found.md5s:
        return f"nothing else to send to {where}"
    if not found.md5s:
        return f"nothing to send: {where} has what {whose} kept"
    number = f"{len(found.md5s):,} object{'' if len(found.md5s) == 1 else 's'}"
    verb = "would send" if dry_run else "sent"
    return f"{verb} {number} ({size(found.size)}) of {whose} to {where}"


def _warn(packed: Shipment) -> None:
    """Say which artifacts nobody has, of a few runs."""
    from gittrack.cells import plain

    where = f"in {packed.lacking.remote}" if packed.lacking.remote else "elsewhere"
    for name, paths in list(packed.absent.items())[:_MOST_NAMED]:
        more = f" and {len(paths) - 1} more are" if len(paths) > 1 else " is"
        say(f"warning: {name}: {plain(paths[0])}{more} neither here nor {where}")
    if len(packed.absent) > _MOST_NAMED:
        say(f"warning: so it is with {len(packed.absent) - _MOST_NAMED} more runs")


def _json(packed: Shipment, runs: Sequence[Summary], dry_run: bool) -> str:
    import json

    found = packed.lacking
    answer = {
        "remote": found.remote or None,
        "objects": len(found.md5s),
        "bytes": found.size,
        "dry_run": dry_run,
        "runs": [run.name for run in runs],
        "absent": {name: list(paths) for name, paths in packed.absent.items()},
    }
    return json.dumps(answer, indent=2)
