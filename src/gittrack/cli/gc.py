"""`git track gc`: remove what nothing needs any more, and say what and how much."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gittrack.cli.main import open_repo
from gittrack.cli.output import json_option

if TYPE_CHECKING:
    from gittrack.prune import Item, Outcome

__all__ = ["gc"]

_MOST_NAMED = 10
_WORDS = {
    "run": ("deleted run", "deleted runs"),
    "output": ("whole output", "whole outputs"),
    "snapshot": ("snapshot of a run that is over", "snapshots of runs that are over"),
    "live": ("published run that is silent", "published runs that are silent"),
    "memory": ("old memory", "old memories"),
    "object": ("data object", "data objects"),
    "fragment": ("half-written data object", "half-written data objects"),
}


@click.command()
@click.option("--data", is_flag=True, help="Clean the data cache, too.")
@click.option("--shared", is_flag=True, help="Clean a data cache that others may use, too.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
@click.pass_context
def gc(ctx: click.Context, data: bool, shared: bool, dry_run: bool, as_json: bool) -> None:
    """Remove what nothing needs any more.

    Removed are deleted runs that this clone has known as deleted for two weeks, what runs left
    behind, and what running runs published if they gave no sign for a day. With --data also the
    objects of the data cache that no commit, branch, tag, run, reflog or work tree names; `dvc gc`
    would take the artifacts of runs, this does not. What was made or used within the last two weeks
    stays, as does whatever a run under way keeps. The refs of runs become one file, as with
    `git gc`, once 300 of them are files of their own; gc.packRefs says whether.

    How long is long is Git's kind of date in track.gcGrace: 2.weeks.ago, now, never. What a
    removed run alone held in Git, `git gc` removes in its own time.

    \b
        $ git track gc --data --dry-run
        $ git -c track.gcGrace=3.days.ago track gc --data
    """
    from gittrack import prune
    from gittrack.cli.progress import bar
    from gittrack.errors import UsageError

    if shared and not data:
        raise UsageError("--shared is about the data cache", hint="it goes with --data.")
    repo = open_repo(ctx)
    with bar() as meter:
        done = prune.gc(
            repo, data=data, shared=shared, dry_run=dry_run, now=time.time(), meter=meter
        )
    if as_json:
        click.echo(_json(done, dry_run))
    else:
        _print(done, dry_run)


def _json(done: Outcome, dry_run: bool) -> str:
    import json

    items = [{"kind": item.kind, "name": item.name, "bytes": item.size} for item in done.items]
    total = sum(item.size for item in done.items)
    answer = {
        "dry_run": dry_run,
        "items": items,
        "bytes": total,
        "kept": list(done.kept),
        "packed": done.packed,
    }
    return json.dumps(answer, indent=2)


def _print(done: Outcome, dry_run: bool) -> None:
    from gittrack.quoting import one_line

    verb = "would remove" if dry_run else "removed"
    for kind in _WORDS:
        found = [item for item in done.items if item.kind == kind]
        if found:
            click.echo(f"{verb} {one_line(_count(kind, found))}")
    if done.packed:
        words = f"{done.packed:,} refs of runs into one file"
        click.echo(f"{'would put' if dry_run else 'put'} {words}")
    if not done.items:
        click.echo("nothing to remove")
    for sentence in done.kept:
        click.echo(f"{'would keep' if dry_run else 'kept'} {one_line(sentence)}")


def _count(kind: str, found: Sequence[Item]) -> str:
    from gittrack.cells import size

    words = f"{len(found)} {_WORDS[kind][len(found) > 1]}"
    if kind == "run":
        names = [item.name.rpartition("/")[2] for item in found[:_MOST_NAMED]]
        more = ["..."] if len(found) > _MOST_NAMED else []
        return f"{words}: {', '.join(names + more)}"
    total = sum(item.size for item in found)
    return f"{words} ({size(total)})" if total or kind == "object" else words
