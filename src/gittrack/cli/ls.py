"""`git track ls`: the table of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gittrack.cli.completing import columns as complete_columns
from gittrack.cli.completing import experiments as complete_experiments
from gittrack.cli.main import open_repo
from gittrack.cli.output import Screen, format_options, page, page_data, say, screen
from gittrack.summary import Summary

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.index import Known
    from gittrack.lineage import Stale
    from gittrack.report import Column

__all__ = ["leading", "ls"]

Behind = Mapping[str, "Stale"]

_FIRST = 50
_NAMED = 12
_TOO_MANY, _LEADING = 40, 12
_WHY = "tags."
"""The key of a tag without a name, which no run has: there the reason stands to be shown."""


@click.command()
@click.option(
    "--sort",
    "keys",
    metavar="KEY",
    multiple=True,
    shell_complete=complete_columns,
    help="Sort by KEY, lowest first; -KEY highest first. Again for the next key.",
)
@click.option("-n", "count", type=click.IntRange(min=0), metavar="N", help="Show at most N runs.")
@click.option(
    "-x",
    "--experiment",
    metavar="EXPERIMENT",
    shell_complete=complete_experiments,
    help="Show the runs of one experiment.",
)
@click.option(
    "--columns",
    "names",
    metavar="KEY,...",
    shell_complete=complete_columns,
    help="Show these columns; params.*, metrics.* and tags.* stand for all of them.",
)
@click.option("--all-columns", "everything", is_flag=True, help="Show what never varies, too.")
@click.option("--archived", is_flag=True, help="Show archived runs, too.")
@click.option("--deleted", is_flag=True, help="Show deleted runs, too.")
@click.option("--tree", is_flag=True, help="Draw nested runs under those that they belong to.")
@click.option(
    "--stale", is_flag=True, help="Show only runs whose input runs have newer ones, and why."
)
@format_options
@click.pass_context
def ls(
    ctx: click.Context,
    keys: Sequence[str],
    count: int | None,
    experiment: str | None,
    names: str | None,
    everything: bool,
    archived: bool,
    deleted: bool,
    tree: bool,
    stale: bool,
    form: str | None,
) -> None:
    """List runs, newest first.

    Shown are the params and metrics that vary. On a terminal the newest 50 runs and the columns
    that fit, in data (--json, --csv, --md) everything. Where stdout is no terminal, and there were
    more than 40 columns, the 12 params and metrics that most runs have. What --sort sorts by has a
    column.

    With --tree a nested run stands below its parent, sorted among its siblings. A run whose parent
    is not in the listing stands by itself.

    With --stale those that were built from a run of which there is a newer one (same command, same
    experiment, finished, other bytes), or from a stale one.

    \b
    $ git track ls
    $ git track ls --sort -accuracy -n 5
    $ git track ls --columns name,lr,metrics.*
    $ git track ls --csv > runs.csv
    $ git track ls --tree
    $ git track ls --stale
    """
    from gittrack import report, revisions

    repo = open_repo(ctx)
    listing = revisions.catalogue(repo, deleted=True)
    for problem in listing.problems:
        say(f"warning: {problem.message}")
    whole = (
        listing.runs if experiment is None else revisions.of_experiment(listing.runs, experiment)
    )
    found: Sequence[Summary] = [
        run for run in whole if revisions.is_listed(run, deleted=deleted, archived=archived)
    ]
    behind = _behind(repo) if stale else None
    if behind is not None:
        found = [run for run in found if run.commit in behind]
    # A name means the same whatever part of the runs is shown.
    known = report.keys_of(listing.runs) if keys or names else {}
    order = report.order(keys, known) if listing.runs else []
    found = report.in_order(found, order)
    leads = _leads(found) if tree else []
    found = [run for run, _ in leads] if tree else found
    shown = screen()
    limit = count if count is not None else _FIRST if shown.is_terminal and form is None else None
    part = found if limit is None else found[:limit]
    chosen = (
        report.chosen_columns(_split(names), part, known=known) if names and listing.runs else None
    )
    view = _View(chosen, [key for key, _ in order], everything, behind, [lead for _, lead in leads])
    if form is not None:
        page_data(repo, _data(part, form, view))
    elif part:
        _print(repo, part, len(found), view, shown)
    if not found:
        say(_nothing(whole) if behind is None or not whole else "no run is stale")


class _View(NamedTuple):
    """What to show of the runs: the columns asked for, if any, the sort keys, or everything."""

    chosen: Sequence[Column] | None
    keys: Sequence[str]
    everything: bool
    behind: Behind | None
    leads: Sequence[str] = ()

    def columns(self, part: Sequence[Summary]) -> Sequence[Column]:
        """The columns of a table for people; what it is sorted by is among them."""
        from gittrack import report

        columns = self.chosen
        if columns is None:
            columns = report.varying_columns(part, everything=self.everything, also=self.keys)
        return columns if self.behind is None else [*columns, report.Column(_WHY, "STALE")]

    def rows(self, part: Sequence[Summary]) -> Sequence[Summary]:
        """The runs, where they are stale with the reason in the place that its column shows."""
        if self.behind is None:
            return part
        return [
            replace(run, tags={**run.tags, "": _reason(self.behind[run.commit or ""])})
            for run in part
        ]

    def drawn(self, part: Sequence[Summary]) -> Sequence[Summary]:
        """The rows of a table for people: in a tree with the lines before each name."""
        rows = self.rows(part)
        if not self.leads:
            return rows
        return [
            replace(run, name=lead + run.name) for run, lead in zip(rows, self.leads, strict=False)
        ]


def _leads(found: Sequence[Summary]) -> list[tuple[Summary, str]]:
    """The runs as a tree, in its order, each with the lines that lead to it.

    Of runs that are each other's parents the first one is on top.
    """
    from gittrack.cli.tree import walk

    here = {run.id for run in found}
    children: dict[str | None, list[int]] = {}
    for place, run in enumerate(found):
        nested = run.parent in here and run.parent != run.id
        children.setdefault(run.parent if nested else None, []).append(place)
    drawn: set[int] = set()

    def below(place: int) -> list[int]:
        drawn.add(place)
        fresh = [child for child in children.get(found[place].id, ()) if child not in drawn]
        drawn.update(fresh)
        return fresh

    lines = [(found[place], lead) for place, lead in walk(children.get(None, []), below)]
    for place in range(len(found)):
        if place not in drawn:
            lines += [(found[at], lead) for at, lead in walk([place], below)]
    return lines


def _behind(repo: Repo) -> Behind:
    from gittrack import lineage
    from gittrack.cli.progress import bar

    with bar() as meter:
        return lineage.stale(repo, meter=meter)


def _reason(why: Stale) -> str:
    """Why a run is stale, in the few words for which a column has room."""
    if why.again is not None:
        return f"run again as {why.again.name}"
    if why.newer is not None:
        return f"{why.newer.name} is newer"
    return f"{why.input.name} is stale"


def _nothing(hidden: Sequence[Summary]) -> str:
    """What is said where no run is shown; `hidden` are those that an option would show."""
    options = [
        option
        for option, there in (
            ("--archived", any(not run.deleted for run in hidden)),
            ("--deleted", any(run.deleted for run in hidden)),
        )
        if there
    ]
    if options:
        return f"no runs ({' and '.join(options)} show{'s'[len(options) - 1 :]} more)"
    return "no runs yet: git track run -- COMMAND records one"


def _print(repo: Repo, part: Sequence[Summary], total: int, view: _View, shown: Screen) -> None:
    from gittrack import report

    now = datetime.now(timezone.utc)
    columns: Sequence[Column] = view.columns(part)
    others: Sequence[Column] = ()
    hides = view.chosen is None and not view.everything
    if hides and shown.width is None:
        columns, others = leading(part, columns, keep=(_WHY, *view.keys))
    drawn = report.table(
        view.drawn(part),
        columns,
        now=now if shown.is_terminal else None,
        clock=now,
        width=shown.width,
        color=shown.color,
        fixed=view.chosen is not None,
        keep=("name", _WHY, *view.keys),
    )
    dropped = [*drawn.dropped, *(column.title for column in others)]
    footer = _footer(part, total, dropped, hides=hides, width=shown.width)
    if shown.is_terminal:
        page(repo, drawn.text + footer + "\n")
    else:
        page(repo, drawn.text)
        say(footer)


def leading(
    found: Sequence[Summary], columns: Sequence[Column], *, keep: Sequence[str] = ()
) -> tuple[list[Column], list[Column]]:
    """Of more than 40 columns those that people can take in, and the others.

    All but params, metrics and tags; of these the 12 that most runs have, about as many of each
    group, and those whose keys are in `keep`.
    """
    from gittrack import report

    if len(columns) <= _TOO_MANY:
        return list(columns), []
    ranked = {
        group: sorted(
            (c for c in columns if c.key.startswith(f"{group}.") and c.key not in keep),
            key=lambda column: sum(report.lookup(run, column.key) is None for run in found),
        )
        for group in ("params", "metrics", "tags")
    }
    others: set[Column] = set()
    while sum(map(len, ranked.values())) > _LEADING:
        others.add(max(ranked.values(), key=len).pop())
    return [c for c in columns if c not in others], [c for c in columns if c in others]


def _footer(
    part: Sequence[Summary], total: int, dropped: Sequence[str], *, hides: bool, width: int | None
) -> str:
    """What is not in the table, on as many lines as the terminal's width makes of it."""
    count = f"{total} run{'s' * (total != 1)}"
    parts = [count if len(part) == total else f"{len(part)} of {count} (-n shows more)"]
    if dropped:
        parts.append(_too_narrow(dropped, None if width is None else width - len(parts[0]) - 3))
    if hides and len(part) > 1:
        parts.append("params that never vary are hidden (--all-columns)")
    if width is None:
        return " · ".join(parts)
    from gittrack.cells import cut, width_of

    lines = parts[:1]
    for text in parts[1:]:
        joined = f"{lines[-1]} · {text}"
        if width_of(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(text)
    return "\n".join(cut(line, width) for line in lines)


def _too_narrow(dropped: Sequence[str], width: int | None) -> str:
    """Which columns there was no place for: the first six of them, or as many as fit."""
    from gittrack.cells import width_of

    if width is None:
        names = ", ".join([*dropped[:_NAMED], *["..."][: len(dropped) > _NAMED]])
        return f"{len(dropped)} more columns: {names} (--columns, --all-columns)"
    for count in range(min(6, len(dropped)), 0, -1):
        more = ", ..." if len(dropped) > count else ""
        text = f"too narrow for {', '.join(dropped[:count])}{more} (--columns)"
        if width_of(text) <= width:
            return text
    return f"{len(dropped)} more columns (--columns)"


def _data(part: Sequence[Summary], form: str, view: _View) -> str:
    from gittrack import exports, report

    rows = view.rows(part)
    if form == "json":
        return exports.as_json(part if view.behind is None else _with_reasons(part, view.behind))
    if form == "csv":
        chosen = view.chosen if view.chosen is not None else report.full_columns(part)
        if view.behind is None:
            return exports.csv_text(part, chosen)
        head = [*(column.key for column in chosen), "stale"]
        keys = [*(column.key for column in chosen), _WHY]
        return exports.csv_rows([head, *([report.lookup(r, key) for key in keys] for r in rows)])
    return report.markdown(view.drawn(part), view.columns(part)) if part else ""


def _with_reasons(part: Sequence[Summary], behind: Behind) -> list[dict[str, Any]]:
    """Runs as JSON has them, each with `stale`: the runs that make it so."""
    from gittrack.cells import jsonable

    def named(run: Known | None) -> dict[str, str] | None:
        return None if run is None else {"run": run.short, "id": run.id, "commit": run.commit}

    return [
        {
            **jsonable(run),
            "stale": {
                "input": named(behind[run.commit or ""].input),
                "newer": named(behind[run.commit or ""].newer),
                "again": named(behind[run.commit or ""].again),
            },
        }
        for run in part
    ]


def _split(names: str | None) -> list[str]:
    return [name.strip() for name in (names or "").split(",") if name.strip()]
