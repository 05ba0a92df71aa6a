"""`git track model history` and `diff`: what was decided, and how two versions differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.completing import models as complete_models
from gittrack.cli.completing import versions as complete_versions
from gittrack.cli.diff import difference_options, present
from gittrack.cli.footer import foot
from gittrack.cli.main import open_place
from gittrack.cli.output import json_option, page, say, screen
from gittrack.errors import UsageError

if TYPE_CHECKING:
    from gittrack.chronicle import Deed
    from gittrack.registry import Change, Registry, Version
    from gittrack.report import Column
    from gittrack.whereabouts import Place

__all__ = ["diff", "history"]

_FIRST = 50
_WIDEST = 100
_NARROWEST = 24


@click.command()
@click.argument("name", metavar="[NAME]", required=False, shell_complete=complete_models)
@click.option("-n", "count", type=click.IntRange(min=0), metavar="N", help="Show N changes.")
@click.option("--full", is_flag=True, help="Show consequences of decisions by themselves, too.")
@json_option
@click.pass_context
def history(
    ctx: click.Context, name: str | None, count: int | None, full: bool, as_json: bool
) -> None:
    """Show what was decided about a model, or about all, the latest first.

    Changes of stages stand in the order in which they count, whatever their dates. One that is
    contested was decided upon something else than what came before it; below it stands why. What
    follows from a decision (the version leaves its former stage, the former holder this one) is
    told with it.

    \b
    $ git track model history churn
    $ git track model history -n 10 --json
    """
    from gittrack import chronicle, registry

    place = open_place(ctx)
    known = registry.read(place)
    if name is None:
        found = chronicle.all_deeds(known.models.values(), full=full)
    else:
        found = iter(chronicle.deeds(registry.find_model(known, name), full=full))
    shown = screen()
    if count is None and shown.is_terminal and not as_json:
        count = _FIRST
    deeds = list(islice(found, count))
    rest = sum(1 for _ in found)
    if as_json:
        from gittrack import exports

        page(place, exports.as_json([_fields(deed, full) for deed in deeds]))
    elif deeds:
        _print(place, deeds, rest, whose=name is None)
    if not deeds and not rest:
        say("no models yet: git track model register RUN NAME registers one")


def _fields(deed: Deed, full: bool) -> dict[str, Any]:
    from gittrack import catalog

    made = catalog.told(deed.change) | {"words": deed.words}
    if not full:
        made["consequences"] = [catalog.told(one) for one in deed.consequences]
    return made


def _print(place: Place, found: Sequence[Deed], rest: int, *, whose: bool) -> None:
    from datetime import datetime, timezone

    from gittrack import report

    shown = screen()
    now = datetime.now(timezone.utc) if shown.is_terminal else None
    columns, values = _table(found, whose=whose, dated=now is None, width=shown.width)
    drawn = report.sheet(columns, values, now=now, width=shown.width, color=shown.color)
    more = f" of {len(found) + rest:,} (-n shows more)" if rest else ""
    footer = foot(
        f"{len(found):,} change{'s' * (len(found) != 1)}{more}",
        drawn.dropped,
        hides=False,
        width=shown.width,
        more=" (--json)",
    )
    remarks = [line for deed in found for line in _doubts(deed)]
    if shown.is_terminal:
        page(place, drawn.text + "".join(f"{line}\n" for line in [*remarks, footer]))
        return
    page(place, drawn.text)
    for line in [*remarks, footer]:
        say(line)


def _doubts(deed: Deed) -> list[str]:
    from gittrack.quoting import one_line

    doubtful = [one for one in (deed.change, *deed.consequences) if one.contested]
    return [one_line(f"* contested: {one.tag}: {one.contested}") for one in doubtful]


def _table(
    found: Sequence[Deed], *, whose: bool, dated: bool, width: int | None = None
) -> tuple[list[Column], list[Sequence[Any]]]:
    """The columns and their values; what was done is cut to the `width`, as it must be seen."""
    from gittrack.catalog import moment
    from gittrack.cells import cut
    from gittrack.report import Column

    parts: list[tuple[str, str, Sequence[Any]]] = [
        ("", "WHEN" if dated else "AGE", [moment(deed.change) for deed in found])
    ]
    if whose:
        parts.append(("", "MODEL", [deed.change.model for deed in found]))
    room = _WIDEST
    if width is not None:
        before = len("just  ")
        if whose:
            before += 2 + max(len("MODEL"), *(len(deed.change.model) for deed in found))
        room = min(room, max(width - before, _NARROWEST))
    parts += [
        ("name", "WHAT", [cut(_what(deed), room) for deed in found]),
        ("", "BY", [deed.change.by for deed in found]),
        ("", "WHY", [_why(deed) for deed in found]),
    ]
    columns = [Column(key, title) for key, title, _ in parts]
    return columns, [values for _, _, values in parts]


def _what(deed: Deed) -> str:
    """What was done, a * where it is contested, and what followed from it."""
    contested = deed.change.contested or any(one.contested for one in deed.consequences)
    parts = [deed.words + "*" * bool(contested)]
    parts += [text for one in deed.consequences if (text := _consequence(one, deed.change))]
    if deed.cause is not None:
        parts.append(f"because of {deed.cause}")
    return "; ".join(parts)


def _consequence(change: Change, decision: Change) -> str | None:
    """What followed, if the words of the decision do not say it already."""
    if change.action == "assign":
        return f"v{change.version} {change.stage}"
    if change.version == decision.version:
        return f"left {change.stage}"
    return None


def _why(deed: Deed) -> str | None:
    said = deed.change.reason or deed.change.trailers.get("require")
    return said and " ".join(said.split())


# -- differences ----------------------------------------------------------------------------------


@click.command()
@click.argument("selectors", metavar="NAME@X NAME@Y", nargs=-1, shell_complete=complete_versions)
@difference_options
@json_option
@click.pass_context
def diff(
    ctx: click.Context, selectors: Sequence[str], code: bool, exit_code: bool, as_json: bool
) -> None:
    """Show what differs between the runs of versions: params, metrics, data, code.

    \b
    $ git track model diff churn@production churn@staging
    $ git track model diff churn@v1.1.0 churn@latest --code
    """
    from gittrack import provenance, registry

    if len(selectors) < 2:
        hint = "as in `git track model diff NAME@production NAME@staging`."
        raise UsageError("two versions are needed", hint=hint)
    place = open_place(ctx)
    known = registry.read(place)
    found = [registry.find_version(known, selector) for selector in selectors]
    runs = [provenance.run(place, version) for version in found]
    differs = present(place.repo, runs, code=code, as_json=as_json)
    if not as_json:
        for line in _meant(selectors, found, [run.name for run in runs], known):
            say(line)
    if exit_code and differs:
        ctx.exit(1)


def _meant(
    selectors: Sequence[str], found: Iterable[Version], names: Iterable[str], known: Registry
) -> list[str]:
    """Which version and run each selector means."""
    lines = []
    for selector, version, name in zip(selectors, found, names, strict=True):
        stage = f" ({version.stage})" if version.stage else ""
        called = "" if selector == version.name else f"{selector} is "
        lines.append(f"{called}{version.name}{stage}: {name}")
    return lines
