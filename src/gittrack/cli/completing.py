"""What can stand where the shell asks: runs, experiments, metrics, columns.

Called while the user types: whatever fails here is silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from gittrack.cli.asking import ALIAS
from gittrack.errors import GittrackError, UnknownKey
from gittrack.vocabulary import ATTRIBUTES, GROUPS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from gittrack.summary import Summary
    from gittrack.vocabulary import Vocabulary

__all__ = [
    "columns",
    "deleted_runs",
    "experiments",
    "metrics",
    "queries",
    "run_names",
    "running_names",
    "saved",
]

_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=", "=~", "like", "ilike", "in", "is", "between")
_LEADING_WORDS = ("and", "or", "not", "(")
_FUNCTIONS = ("min(", "max(", "first(", "last(", "touches(", "ancestor(", "descendant(", "uses(")


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
    return _items(head + dots + name for name in dict.fromkeys(found) if name.startswith(start))


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
    return _items(name for name in names if name.startswith(incomplete))


def deleted_runs(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of deleted runs, which answer to nothing else."""
    names = dict.fromkeys(run.name for run in _runs() if run.deleted)
    return _items(name for name in names if name.startswith(incomplete))


def experiments(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of experiments."""
    known = {run.experiment for run in _runs()}
    return _items(name for name in sorted(known) if name.startswith(incomplete))


def metrics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of metrics that any run has."""
    known = _vocabulary()
    names = known.keys("metrics") if known is not None else []
    return _items(name for name in names if name.startswith(incomplete))


def columns(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of columns, bare and in full; behind a comma the next one, behind a sign a sort key.

    In full only where the group's name is begun, or where the bare key means something else too.
    Inside the brackets of a function too.
    """
    head = incomplete[: max(incomplete.rfind(mark) for mark in ",(") + 1]
    last = incomplete[len(head) :]
    sign = last[:1] if last[:1] in ("-", "+") else ""
    head, start = head + sign, last.removeprefix(sign)
    return _items(head + key for key in _keys(start))


def queries(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The next word of a query: a key where a value begins, behind a key what compares it.

    Behind a comparison's value `and` and `or`.
    """
    head = incomplete[: max(incomplete.rfind(mark) for mark in " (") + 1]
    start = incomplete[len(head) :]
    before = head.replace("(", " ( ").split()
    last = before[-1].lower() if before else "and"
    if last in _LEADING_WORDS:
        words = [*_keys(start), *(["not "] if last != "not" else []), *_FUNCTIONS]
    elif last in _COMPARISONS or last.endswith(","):
        words = []
    elif len(before) > 1 and before[-2].lower() in _COMPARISONS:
        words = ["and ", "or "]
    else:
        words = [*_COMPARISONS, "and ", "or "]
    return _items(head + word for word in words if word.startswith(start))


def saved(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of saved queries."""
    from gittrack import whereabouts

    try:
        settings = whereabouts.find().settings
    except GittrackError:
        return []
    names = [key.removeprefix(ALIAS) for key in settings if key.startswith(ALIAS)]
    return _items(name for name in sorted(names) if name.startswith(incomplete))


def _keys(start: str) -> list[str]:
    """The keys that begin so, as somebody would write them."""
    known = _vocabulary()
    if known is None:
        return []
    keys = list(ATTRIBUTES)
    for group in GROUPS:
        for key in known.keys(group):
            full = f"{group}.{key}"
            bare = _means(key, full, known)
            keys += [key] if bare else []
            keys += [full] if not bare or _wants(start, group) else []
    return [key for key in keys if key.startswith(start) and key.isprintable()]


def _means(key: str, full: str, known: Vocabulary) -> bool:
    try:
        return known.resolve(key) == full
    except UnknownKey:
        return False


def _wants(start: str, group: str) -> bool:
    """Whether what is typed may be the beginning of the group's name."""
    return bool(start) and f"{group}.".startswith(start[: len(group) + 1])


def _items(texts: Iterable[str]) -> list[CompletionItem]:
    """What is offered; loaded only here, as every command that completes loads this module."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(text) for text in texts]


def _vocabulary() -> Vocabulary | None:
    from gittrack import whereabouts
    from gittrack.search import open_search

    try:
        with open_search(whereabouts.find()) as search:
            return search.vocabulary
    except GittrackError:
        return None


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
