"""What can stand where the shell asks: runs, experiments, metrics, columns, models.

Called while the user types: whatever fails here is silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from gittrack.errors import GittrackError, UnknownKey
from gittrack.vocabulary import ATTRIBUTES, GROUPS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from gittrack.registry import Model
    from gittrack.vocabulary import Vocabulary

__all__ = [
    "ALIAS",
    "aliases",
    "columns",
    "deleted_runs",
    "experiments",
    "metrics",
    "model_stages",
    "models",
    "parcels",
    "queries",
    "restorable",
    "run_names",
    "running_names",
    "saved",
    "versions",
]

ALIAS = "track.alias."
"""What the settings with saved queries begin with."""

_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=", "=~", "like", "ilike", "in", "is", "between")
_LEADING_WORDS = ("and", "or", "not", "(")
_FUNCTIONS = ("min(", "max(", "first(", "last(", "touches(", "ancestor(", "descendant(", "uses(")


def run_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What names a run: names, `latest`, `best:METRIC`, `EXPERIMENT/NAME`, `MODEL@`, branches.

    Behind the `..` of a range again. `best:`, an experiment's `/` and a model's `@` come first,
    what may stand behind them when they are there.
    """
    head, dots, start = incomplete.rpartition("..")
    which, colon, _ = start.partition(":")
    if colon and which in ("best", "worst"):
        found = [f"{which}:{name}" for name in _metrics()]
    elif "/" in start:
        found = [f"{experiment}/{name}" for experiment, name in _runs()]
    else:
        known = _runs()
        groups = sorted({f"{experiment}/" for experiment, _ in known})
        found = ["latest", *(name for _, name in known), "best:", "worst:", *groups]
    found += [*_branches(), *_versions(start)]
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
    names = dict.fromkeys(name for _, name in _runs("deleted", deleted=True))
    return _items(name for name in names if name.startswith(incomplete))


def experiments(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of experiments."""
    known = {experiment for experiment, _ in _runs(deleted=True)}
    return _items(name for name in sorted(known) if name.startswith(incomplete))


def metrics(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of metrics that any run has."""
    return _items(name for name in _metrics() if name.startswith(incomplete))


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


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of models."""
    return _items(name for name in _models() if name.startswith(incomplete))


def versions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What names a version: `NAME@`, and behind it versions, stages, aliases, `latest`."""
    return _items(name for name in _versions(incomplete) if name.startswith(incomplete))


def model_stages(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Stages: those that are offered first, and those that any model ever had."""
    from gittrack.tagging import STAGES

    used = _ever_held(is_alias=False)
    return _items(name for name in dict.fromkeys([*STAGES, *used]) if name.startswith(incomplete))


def restorable(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Stages, but for the one that has no former holder."""
    from gittrack.tagging import ARCHIVED

    return [one for one in model_stages(ctx, param, incomplete) if one.value != ARCHIVED]


def aliases(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Aliases that any model ever had."""
    return _items(name for name in _ever_held(is_alias=True) if name.startswith(incomplete))


def parcels(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What names a run, and behind its colon what it kept."""
    run, _, start = incomplete.rpartition(":")
    if run in ("", "best", "worst"):
        return run_names(ctx, param, incomplete)
    from gittrack import commits, revisions
    from gittrack.git import Repo

    try:
        repo = Repo.open()
        kept = commits.load(repo, revisions.resolve(repo, run)).artifacts
    except GittrackError:
        return []
    return _items(f"{run}:{one.path}" for one in kept if one.path.startswith(start))


def _models() -> Mapping[str, Model]:
    from gittrack import registry, whereabouts

    try:
        return registry.read(whereabouts.find()).models
    except GittrackError:
        return {}


def _versions(start: str) -> list[str]:
    """What names versions: before an `@` is typed the models, then what that model has."""
    name, mark, _ = start.rpartition("@")
    known = _models()
    if not mark:
        return [f"{one}@" for one in known]
    if name not in known:
        return []
    held = dict.fromkeys(one.stage for one in known[name].holdings)
    live = [f"v{one.version}" for one in known[name].versions if one.is_live]
    return [f"{name}@{what}" for what in [*live, *held, "latest"]]


def _ever_held(*, is_alias: bool) -> list[str]:
    """The stages or aliases that a model has or had, in the order of their names."""
    every = (change for model in _models().values() for change in model.history)
    return sorted({one.stage for one in every if one.stage and one.is_alias is is_alias})


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


def _metrics() -> list[str]:
    known = _vocabulary()
    return [] if known is None else known.keys("metrics")


def _runs(query: str | None = None, *, deleted: bool = False) -> list[tuple[str, str]]:
    """The experiment and the name of each recorded run that matches, newest first."""
    from gittrack import whereabouts
    from gittrack.search import Question, open_search

    question = Question(query, deleted=deleted, live=False)
    try:
        with open_search(whereabouts.find()) as search:
            found = search.columns(question, ["experiment", "name"])
    except GittrackError:
        return []
    return list(zip(found["experiment"], found["name"], strict=True))


def _branches() -> list[str]:
    from gittrack.git import Repo

    heads = "refs/heads/"
    try:
        return [ref.name.removeprefix(heads) for ref in Repo.open().refs(heads)]
    except GittrackError:
        return []
