"""`git track ls`: the table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import click

from gittrack.cli.completing import columns as complete_columns
from gittrack.cli.completing import experiments as complete_experiments
from gittrack.cli.main import open_repo
from gittrack.cli.output import Screen, format_options, page, page_data, say, screen
from gittrack.errors import UnknownKey
from gittrack.records import Summary

__all__ = ["ls"]

_FIRST = 50


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
    form: str | None,
) -> None:
    """List runs, newest first.

    Shown are the params and metrics that vary. On a terminal the newest 50 runs and the columns
    that fit, in data (--json, --csv, --md) everything.

    \b
    $ git track ls
    $ git track ls --sort -accuracy -n 5
    $ git track ls --columns name,lr,metrics.*
    $ git track ls --csv > runs.csv
    """
    from gittrack import revisions

    repo = open_repo(ctx)
    listing = revisions.catalogue(repo, deleted=deleted, archived=archived)
    for problem in listing.problems:
        say(f"warning: {problem.message}")
    found: Sequence[Summary] = listing.runs
    if experiment is not None:
        found = _of_experiment(found, experiment)
    found = _sorted(found, keys)
    shown = screen()
    limit = count if count is not None else _FIRST if shown.is_terminal and form is None else None
    part = found if limit is None else found[:limit]
    if form is None:
        page(repo, _drawn(part, len(found), names, everything, shown))
    else:
        page_data(repo, _data(part, form, names))
    if not found:
        say(_nothing(archived or deleted))


def _nothing(everything: bool) -> str:
    more = "" if everything else " (--archived and --deleted show more)"
    return f"no runs yet{more}: git track run -- COMMAND records one"


def _of_experiment(found: Sequence[Summary], experiment: str) -> list[Summary]:
    """Raises UnknownKey where no run is of it."""
    kept = [run for run in found if run.experiment == experiment]
    if not kept:
        from gittrack.keys import nearest

        known = sorted({run.experiment for run in found})
        near = nearest(experiment, known)
        hint = (
            f"did you mean '{near}'?" if near else f"there are: {', '.join(known[:10]) or 'none'}."
        )
        raise UnknownKey(f"no run is of experiment '{experiment}'", key=experiment, hint=hint)
    return kept


def _sorted(found: Sequence[Summary], keys: Sequence[str]) -> Sequence[Summary]:
    from gittrack import report

    known = report.keys_of(found) if keys and found else {}
    # The last key first: every sort is stable.
    for key in reversed(keys if found else ()):
        bare = key.removeprefix("+")
        try:
            full, descending = report.name_key(bare, known), False
        except UnknownKey:
            if not key.startswith("-"):
                raise
            full, descending = report.name_key(key[1:], known), True
        found = report.sort(found, full, descending=descending)
    return found


def _drawn(
    part: Sequence[Summary], total: int, names: str | None, everything: bool, shown: Screen
) -> str:
    from gittrack import report

    if not part:
        return ""
    chosen = report.chosen_columns(_split(names), part) if names else None
    columns = chosen or report.varying_columns(part, everything=everything)
    now = datetime.now(timezone.utc) if shown.is_terminal else None
    drawn = report.table(
        part, columns, now=now, width=shown.width, color=shown.color, fixed=chosen is not None
    )
    footer = _footer(part, total, drawn.dropped, hides=chosen is None and not everything)
    if shown.is_terminal:
        return drawn.text + footer + "\n"
    say(footer)
    return drawn.text


def _footer(part: Sequence[Summary], total: int, dropped: Sequence[str], *, hides: bool) -> str:
    count = f"{total} run{'s' * (total != 1)}"
    parts = [count if len(part) == total else f"{len(part)} of {count} (-n shows more)"]
    if dropped:
        columns = ", ".join(dropped[:6]) + (", ..." if len(dropped) > 6 else "")
        parts.append(f"too narrow for {columns} (--columns)")
    if hides and len(part) > 1:
        parts.append("params that never vary are hidden (--all-columns)")
    return " · ".join(parts)


def _data(part: Sequence[Summary], form: str, names: str | None) -> str:
    from gittrack import exports, report

    if form == "json":
        return exports.as_json(part)
    everything = report.full_columns(part)
    chosen = report.chosen_columns(_split(names), part) if names and part else everything
    if form == "csv":
        return exports.csv_text(part, chosen)
    if not part:
        return ""
    return report.markdown(part, chosen if names else report.varying_columns(part))


def _split(names: str | None) -> list[str]:
    return [name.strip() for name in (names or "").split(",") if name.strip()]
