"""What can stand where the shell asks: runs, experiments, metrics, columns.

Called while the user types: whatever fails here is silence.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from gittrack.errors import GittrackError
from gittrack.records import Summary

__all__ = ["columns", "experiments", "metrics", "run_names"]


def run_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of runs and `latest`; the part after `..` of a range."""
    from gittrack import refs
    from gittrack.git import Repo

    head, dots, start = incomplete.rpartition("..")
    try:
        known = [ref.name for ref in refs.all_runs(Repo.open())]
    except GittrackError:
        return []
    names = ["latest", *dict.fromkeys(known)]
    return [CompletionItem(head + dots + name) for name in names if name.startswith(start)]


def experiments(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of experiments."""
    from gittrack import refs
    from gittrack.git import Repo

    try:
        known = {ref.experiment for ref in refs.all_runs(Repo.open())}
    except GittrackError:
        return []
    return [CompletionItem(name) for name in sorted(known) if name.startswith(incomplete)]


def metrics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of metrics that any run has."""
    names = sorted({name for run in _runs() for name in run.metrics})
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def columns(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of columns, in full; behind a comma the next one, behind a sign a sort key."""
    from gittrack import report

    head, comma, last = incomplete.rpartition(",")
    sign = last[:1] if last[:1] in ("-", "+") else ""
    known = report.keys_of(_runs())
    keys = [*report.ATTRIBUTES, *(f"{group}.{key}" for group in known for key in known[group])]
    return [
        CompletionItem(head + comma + sign + key)
        for key in keys
        if key.startswith(last.removeprefix(sign)) and key.isprintable()
    ]


def _runs() -> tuple[Summary, ...]:
    from gittrack import revisions
    from gittrack.git import Repo

    try:
        return revisions.catalogue(Repo.open(), live=False).runs
    except GittrackError:
        return ()
