"""What can stand where the shell asks: runs, experiments, metrics, columns.

Called while the user types: whatever fails here is silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
from click.shell_completion import CompletionItem

from gittrack.errors import GittrackError, UnknownKey
from gittrack.summary import Summary

__all__ = ["columns", "deleted_runs", "experiments", "metrics", "run_names", "running_names"]


def run_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What names a run: names, `latest`, `best:METRIC`, `EXPERIMENT/NAME`, branches.

    Behind the `..` of a range again. `best:` and an experiment's `/` come first, what may stand
    behind them when they are there.
    """
    head, dots, start = incomplete.rpartition("..")
    known = [run for run in _runs() if not run.deleted]
    found = ["latest", *(run.name for run in known)]
    which, colon, _ = start.partition(":")
    if colon and which in ("best", "worst"):
        found = [f"{which}:{name}" for name in sorted({n for run in known for n in run.metrics})]
    elif "/" in start:
        found = [f"{run.experiment}/{run.name}" for run in known]
    else:
        found += ["best:", "worst:", *sorted({f"{run.experiment}/" for run in known})]
    found += _branches()
    return [
        CompletionItem(head + dots + name)
        for name in dict.fromkeys(found)
        if name.startswith(start)
    ]


def running_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of running runs."""
    from gittrack import sessions
    from gittrack.git import Repo

    try:
        names = [directory.name for directory in sessions.live(Repo.open().state)]
    except GittrackError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def deleted_runs(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of deleted runs, which answer to nothing else."""
    names = dict.fromkeys(run.name for run in _runs() if run.deleted)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def experiments(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of experiments."""
    known = {run.experiment for run in _runs()}
    return [CompletionItem(name) for name in sorted(known) if name.startswith(incomplete)]


def metrics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of metrics that any run has."""
    names = sorted({name for run in _runs() for name in run.metrics})
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def columns(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of columns, bare and in full; behind a comma the next one, behind a sign a sort key.

    In full only where the group's name is begun, or where the bare key means something else too.
    """
    from gittrack import report

    head, comma, last = incomplete.rpartition(",")
    sign = last[:1] if last[:1] in ("-", "+") else ""
    start = last.removeprefix(sign)
    known = report.keys_of(_runs())
    keys = list(report.ATTRIBUTES)
    for group in known:
        for key in known[group]:
            full = f"{group}.{key}"
            bare = _means(key, full, known)
            keys += [key] if bare else []
            keys += [full] if not bare or _wants(start, group) else []
    return [
        CompletionItem(head + comma + sign + key)
        for key in keys
        if key.startswith(start) and key.isprintable()
    ]


def _means(key: str, full: str, known: Mapping[str, Sequence[str]]) -> bool:
    from gittrack import report

    try:
        return report.name_key(key, known) == full
    except UnknownKey:
        return False


def _wants(start: str, group: str) -> bool:
    """Whether what is typed may be the beginning of the group's name."""
    return bool(start) and f"{group}.".startswith(start[: len(group) + 1])


def _runs() -> tuple[Summary, ...]:
    """All runs, the deleted ones too."""
    from gittrack import revisions
    from gittrack.git import Repo

    try:
        return revisions.catalogue(Repo.open(), live=False, deleted=True).runs
    except GittrackError:
        return ()


def _branches() -> list[str]:
    from gittrack.git import Repo

    heads = "refs/heads/"
    try:
        return [ref.name.removeprefix(heads) for ref in Repo.open().refs(heads)]
    except GittrackError:
        return []
