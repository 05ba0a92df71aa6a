"""`git track model ls`: which models there are, who holds which stage, since when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.completing import models as complete_models
from gittrack.cli.footer import foot
from gittrack.cli.main import open_place
from gittrack.cli.output import format_options, page, page_data, say, screen
from gittrack.cli.progress import bar
from gittrack.tagging import ARCHIVED, STAGES

if TYPE_CHECKING:
    from gittrack.inventory import Overview
    from gittrack.registry import Problem, Registry
    from gittrack.report import Column
    from gittrack.whereabouts import Place

__all__ = ["ls"]

_MAGIC = frozenset("*?[")
_FIRST = ("production", "staging")
_MOST_STAGES = 12
_MOST_CONTESTED = 3
_CONTESTED = "*"


@click.command("ls")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_models)
@click.option("--all", "everything", is_flag=True, help="Show deprecated models, too.")
@click.option("--problems", is_flag=True, help="Show the tags that are ignored, and why.")
@format_options
@click.pass_context
def ls(
    ctx: click.Context, names: Sequence[str], everything: bool, problems: bool, form: str | None
) -> None:
    """List models: the latest version of each, and who holds which stage.

    NAME may be a pattern in quotes. METRIC is the leading one of the version in production, else of
    the latest. AGE and BY are those of the last decision. A stage with a * is contested: what
    somebody decided upon was not what came before it.

    \b
    $ git track model ls
    $ git track model ls 'fraud/*' --json
    """
    from gittrack import inventory, registry

    place = open_place(ctx)
    known = registry.read(place)
    if problems:
        _print_problems(place, sorted([*known.problems, *_torn(place, known)]), form)
        for model in known.models.values():
            if model.lacking is not None:
                say(f"numbers {model.lacking} of {model.name} have no tag here")
        return
    wanted = _named(known, names) if names else None
    slow: list[str] = []
    with bar() as meter:
        found = inventory.board(
            place, known, wanted, deprecated=everything, meter=meter, warn=slow.append
        )
    for reason in slow:
        say(f"warning: {reason}")
    if form is not None:
        page_data(place, _data(found, form))
    hidden = len(known.models) - len(found) if wanted is None else 0
    if form is None and found:
        _print(place, found, known, hidden)
    if not found:
        say(_nothing(known, hidden))


def _named(known: Registry, names: Sequence[str]) -> set[str]:
    """The models that are named, or like one of the patterns.

    Raises:
        ModelNotFound: there is none of a name, or none is like a pattern.
    """
    from fnmatch import fnmatchcase

    from gittrack import registry
    from gittrack.errors import ModelNotFound

    found: set[str] = set()
    for name in names:
        if not _MAGIC & set(name):
            found.add(registry.find_model(known, name).name)
            continue
        like = {one for one in known.models if fnmatchcase(one, name)}
        if not like:
            hint = "`git track model ls` lists the models."
            raise ModelNotFound(f"no model is like '{name}'", selector=name, hint=hint)
        found |= like
    return found


def _nothing(known: Registry, hidden: int) -> str:
    if hidden:
        return f"no models (--all shows {hidden:,} deprecated)"
    more = f" ({_ignored(known)})" if known.problems else ""
    return f"no models yet: git track model register RUN NAME registers one{more}"


def _ignored(known: Registry) -> str:
    count = len(known.problems)
    return f"{count:,} tag{'s are' if count > 1 else ' is'} ignored (--problems)"


# -- the table ------------------------------------------------------------------------------------


def _print(place: Place, found: Sequence[Overview], known: Registry, hidden: int) -> None:
    from datetime import datetime, timezone

    from gittrack import report

    shown = screen()
    now = datetime.now(timezone.utc) if shown.is_terminal else None
    columns, values = _table(found, dated=now is None)
    spare = [place for place, column in enumerate(columns) if column.title in ("BY", "ALIASES")]
    drawn = report.sheet(
        columns, values, now=now, width=shown.width, color=shown.color, spare=spare[::-1]
    )
    shown_models = f"{len(found):,} model{'s' * (len(found) != 1)}"
    parts = [shown_models, *([f"{hidden:,} deprecated (--all)"] if hidden else [])]
    parts += [_ignored(known)] if known.problems else []
    footer = foot(
        " · ".join(parts), drawn.dropped, hides=False, width=shown.width, more=" (--json)"
    )
    lines = [footer, *_contested(found)]
    if shown.is_terminal:
        page(place, drawn.text + "".join(f"{line}\n" for line in lines))
    else:
        page(place, drawn.text)
        for line in lines:
            say(line)


def _contested(found: Iterable[Overview]) -> list[str]:
    """A line for each of the first models of which a stage is contested."""
    lines = [
        f"{_CONTESTED} contested: {', '.join(one.contested)} of {one.model.name}:"
        f" git track model history {one.model.name}"
        for one in found
        if one.contested
    ]
    more = len(lines) - _MOST_CONTESTED
    return lines[:_MOST_CONTESTED] + ([f"{_CONTESTED} and {more} more models"] if more > 0 else [])


def _table(found: Sequence[Overview], *, dated: bool) -> tuple[list[Column], list[Sequence[Any]]]:
    """The columns for people."""
    from gittrack.catalog import moment
    from gittrack.report import Column

    parts: list[tuple[str, Sequence[Any]]] = [
        ("MODEL", [_model(one) for one in found]),
        ("LATEST", [one.latest and f"v{one.latest}" for one in found]),
    ]
    for stage in _stages(found)[:_MOST_STAGES]:
        parts.append((stage.upper(), [_holder(one, stage) for one in found]))
    if any(one.aliases for one in found):
        parts.append(("ALIASES", [_aliases(one) for one in found]))
    dates = [None if one.changed is None else moment(one.changed) for one in found]
    parts += [
        ("METRIC", [_metric(one) for one in found]),
        ("WHEN" if dated else "AGE", dates),
        ("BY", [one.changed and one.changed.by for one in found]),
    ]
    return [Column("", title) for title, _ in parts], [values for _, values in parts]


def _stages(found: Iterable[Overview]) -> list[str]:
    """The stages that are held or contested: the usual ones first, the others by name."""
    found = list(found)
    there = {stage for one in found for stage in one.holders}
    doubted = (change for one in found for change in one.model.contested if not change.is_alias)
    there |= {change.stage for change in doubted if change.stage not in (None, ARCHIVED)}
    first = [stage for stage in (*_FIRST, *STAGES) if stage in there]
    return list(dict.fromkeys([*first, *sorted(there)]))


def _model(one: Overview) -> str:
    return f"{one.model.name} (deprecated)" if one.model.deprecated else one.model.name


def _holder(one: Overview, stage: str) -> str | None:
    version = one.holders.get(stage)
    if stage in one.contested:
        return f"v{version}{_CONTESTED}" if version else f"nobody{_CONTESTED}"
    return version and f"v{version}"


def _aliases(one: Overview) -> str | None:
    named = (
        f"{name} v{version}{_CONTESTED * (name in one.contested)}"
        for name, version in one.aliases.items()
    )
    return ", ".join(named) or None


def _metric(one: Overview) -> str | None:
    if one.metric is None:
        return None
    from gittrack.figures import short

    name, value = one.metric
    return f"{name} {short(value)}"


# -- for programs ---------------------------------------------------------------------------------


def _data(found: Sequence[Overview], form: str) -> str:
    from gittrack import exports, report

    if form == "md":
        return report.sheet_markdown(*_table(found, dated=True)) if found else ""
    if form == "json":
        return exports.as_json([one.fields() for one in found])
    stages = _stages(found)
    head = ["model", "latest", *stages, "archived", "aliases", "metric", "value", "measured"]
    rows = [[*head, "changed", "by", "email", "contested_stages", "deprecated", "description"]]
    return exports.csv_rows([*rows, *(_row(one.fields(), stages) for one in found)])


def _row(told: dict[str, Any], stages: Sequence[str]) -> list[Any]:
    metric, changed = told["metric"] or {}, told["changed"] or {}
    return [
        told["model"], told["latest"], *(told["stages"].get(stage) for stage in stages),
        " ".join(told["archived"]),
        " ".join(f"{name}={version}" for name, version in told["aliases"].items()),
        metric.get("name"), metric.get("value"), metric.get("version"),
        changed.get("at"), changed.get("by"), changed.get("email"),
        " ".join(told["contested_stages"]), told["deprecated"] is not None, told["description"],
    ]  # fmt: skip


# -- what is ignored ------------------------------------------------------------------------------


def _torn(place: Place, known: Registry) -> list[Problem]:
    """The tags of the registry that Git does not list, and so `known` does not know of."""
    from gittrack import tagging, tags
    from gittrack.registry import Problem

    found = []
    for name in tags.torn(place):
        event = tagging.parse(name)
        model = tagging.resembled(name) if event is None else event.model
        if model is not None and (model in known.models or "@v" in name or "@de" in name):
            found.append(Problem(name, "its file is damaged, and Git leaves it out", True))
    return found


def _print_problems(place: Place, found: Sequence[Problem], form: str | None) -> None:
    from gittrack import exports, report

    if form == "json":
        page_data(place, exports.as_json([one._asdict() for one in found]))
        return
    if form == "csv":
        page_data(place, exports.csv_rows([["tag", "reason", "is_broken"], *found]))
        return
    columns = [report.Column("name", "TAG"), report.Column("name", "REASON")]
    values = [[one.tag for one in found], [one.reason for one in found]]
    if form == "md":
        page_data(place, report.sheet_markdown(columns, values) if found else "")
    elif found:
        shown = screen()
        page(place, report.sheet(columns, values, color=shown.color).text)
    if not found:
        say("no tag is ignored")
