"""`git track plot`: the curves of a metric, in the terminal or as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gittrack.cli.completing import metrics as complete_metrics
from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import form_option, page, page_data, say, screen
from gittrack.errors import UnknownKey

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.refs import RunRef
    from gittrack.summary import Number

__all__ = ["plot"]

Points = Sequence[tuple["int | None", float, "Number"]]

_WIDTH, _HEIGHT = 80, 24
_SAMPLED = "the first at 10 s"


@click.command()
@click.argument("metric", metavar="METRIC", shell_complete=complete_metrics)
@click.argument("selectors", metavar="[RUN]...", nargs=-1, shell_complete=run_names)
@click.option(
    "--x",
    "over",
    type=click.Choice(["step", "time"]),
    help="Draw over steps, or over seconds since the start. Default: steps where all have them.",
)
@click.option("--width", type=click.IntRange(24, 1000), help="Width in characters.")
@click.option("--height", type=click.IntRange(8, 1000), help="Height in lines.")
@form_option("json", "Print the points as JSON.")
@form_option("csv", "Print the points as CSV.")
@click.pass_context
def plot(
    ctx: click.Context,
    metric: str,
    selectors: Sequence[str],
    over: str | None,
    width: int | None,
    height: int | None,
    form: str | None,
) -> None:
    """Draw the curves of a metric.

    Without RUN the latest one; A..B are the runs from A to B. A run that logged the metric once
    has no curve: its value is said instead. The curve of a resumed run follows that of the run that
    it continues, whose times are negative. What a run cost its machine is drawn too: system/cpu,
    system/memory, system/gpu_0 and others.

    \b
    $ git track plot loss
    $ git track plot accuracy latest~3..latest
    $ git track plot loss amber blue --x time
    $ git track plot loss amber --csv > loss.csv
    $ git track plot system/cpu latest
    """
    from gittrack import revisions
    from gittrack.cells import plain

    repo = open_repo(ctx)
    found = revisions.resolve_many(repo, selectors or ["latest"])
    points = _collected(repo, found, metric)
    if form == "json":
        page(repo, _as_json(points))
        return
    if form == "csv":
        from gittrack import exports

        rows = [(name, *point) for name, series in points.items() for point in series]
        page_data(repo, exports.csv_rows([("run", "step", "time", metric), *rows]))
        return
    drawn = {name: series for name, series in points.items() if len(series) > 1}
    is_sampled = metric.startswith("system/")
    for name, series in points.items():
        if name not in drawn:
            value = plain(series[0][2])
            what = f"one sample, {_SAMPLED}" if is_sampled else "one point, no curve"
            click.echo(f"{name}  {plain(metric)} {value}  ({what})")
        elif is_sampled and len(series) == 2:
            say(f"note: {name} has 2 samples of {plain(metric)}, {_SAMPLED}")
    if drawn:
        page(repo, _picture(drawn, metric, over, width, height))


def _collected(repo: Repo, found: Sequence[RunRef], metric: str) -> dict[str, Points]:
    """The points of each run that has the metric; raises UnknownKey where none has it."""
    from gittrack import succession

    collected: dict[str, Points] = {}
    without = []
    for ref in found:
        points = succession.curve(repo, ref, metric)
        if points:
            collected[ref.name if ref.name not in collected else ref.short] = points
        else:
            without.append(ref.name)
    if not collected:
        known = {name for ref in found for name in succession.names_of(repo, ref)}
        raise succession.missing(metric, known, [ref.name for ref in found])
    if len(without) == 1:
        say(f"warning: {without[0]} has no metric '{metric}'")
    elif without:
        say(f"warning: {len(without)} of {len(found)} runs have no '{metric}'")
    return collected


def _as_json(points: dict[str, Points]) -> str:
    from gittrack import exports

    return exports.as_json(
        [
            {
                "run": name,
                "points": [
                    {"step": step, "time": seconds, "value": value}
                    for step, seconds, value in series
                ],
            }
            for name, series in points.items()
        ]
    )


def _picture(
    points: dict[str, Points], metric: str, over: str | None, width: int | None, height: int | None
) -> str:
    from gittrack.curves import draw

    stepped = all(step is not None for series in points.values() for step, _, _ in series)
    by_step = stepped if over is None else over == "step"
    if by_step and not stepped:
        raise UnknownKey(
            f"'{metric}' was logged without steps", key="step", hint="--x time draws it over time."
        )
    curves = {
        name: [
            (float(step if by_step and step is not None else at), value) for step, at, value in s
        ]
        for name, s in points.items()
    }
    shown = screen()
    return draw(
        {name: sorted(curve, key=lambda point: point[0]) for name, curve in curves.items()},
        _with_unit(metric),
        "step" if by_step else "time (seconds)",
        width or shown.width or _WIDTH,
        height or (shown.height - 2 if shown.is_terminal else _HEIGHT),
        color=shown.color,
    )


def _with_unit(metric: str) -> str:
    """What the curve is called: a system metric with its unit."""
    from gittrack.vitals import PREFIX, unit

    known = unit(metric.removeprefix(PREFIX)) if metric.startswith(PREFIX) else ""
    return f"{metric} ({known})" if known else metric
