"""`git track plot`: the curves of metrics, in the terminal, as a picture in a file, or as data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from gittrack.cli.completing import metrics as complete_metrics
from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import form_option, page, page_data, say, screen
from gittrack.errors import GittrackError, UnknownKey, UsageError

if TYPE_CHECKING:
    from gittrack.git import Repo
    from gittrack.panels import Panel, Point
    from gittrack.refs import RunRef
    from gittrack.summaries import Value

__all__ = ["plot"]

_WIDTH, _HEIGHT, _LEAST_HEIGHT = 80, 24, 12
_SAMPLED = "the first at 10 s"
_MOST_METRICS = 20
_NAMED_PARAMS = 4


@click.command()
@click.argument("metric", metavar="METRIC", shell_complete=complete_metrics)
@click.argument("selectors", metavar="[RUN]...", nargs=-1, shell_complete=run_names)
@click.option("--where", "query", metavar="QUERY", help="Draw the runs that match, without RUN.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(),
    help="Write a picture into FILE: .svg, .png or .pdf. Takes matplotlib.",
)
@click.option(
    "--x",
    "over",
    type=click.Choice(["step", "time"]),
    help="Draw over steps, or over seconds since the start. Default: steps where all have them.",
)
@click.option("--log", is_flag=True, help="Draw on a logarithmic scale.")
@click.option(
    "--smooth",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    metavar="WEIGHT",
    help="Draw the moving average, with the WEIGHT of what was before: 0.9 is smooth.",
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
    query: str | None,
    output: str | None,
    over: str | None,
    log: bool,
    smooth: float,
    width: int | None,
    height: int | None,
    form: str | None,
) -> None:
    """Draw the curves of metrics.

    Several metrics stand with commas between them. Without RUN the latest one is drawn; A..B are
    the runs from A to B. A run that logged the metric once has no curve: its value is said instead.
    The curve of a resumed run follows that of the run that it continues, whose times are negative.
    What a run cost its machine is drawn too: system/cpu, system/memory, system/gpu_0 and others.
    Curves of several runs are called by their params that differ, too.

    With -o the same picture as a file. An existing FILE is replaced once the picture is whole.

    \b
    $ git track plot loss
    $ git track plot accuracy latest~3..latest
    $ git track plot loss,val_loss amber blue --x time
    $ git track plot loss --where 'params.opt = "adam"' --log -o loss.svg
    $ git track plot loss amber --csv > loss.csv
    $ git track plot system/cpu latest
    """
    if query is not None and selectors:
        raise UsageError("--where and RUN do not go together")
    if output is not None and form is not None:
        raise UsageError(f"--{form} and -o do not go together")
    suffix = None if output is None else _suffix(output)
    repo = open_repo(ctx)
    found = _found(repo, selectors, query)
    drawn = _all_points(repo, found, metric)
    if form is not None:
        page_data(repo, _as_csv(drawn)) if form == "csv" else page(repo, _as_json(drawn))
        return
    curves = {name: _curves(name, points) for name, points in drawn.items()}
    labels = _labels(repo, found, {name for points in curves.values() for name in points})
    panels = _panels(curves, labels, over, log, smooth)
    if output is not None and suffix is not None:
        _write_picture(panels, output, suffix, list(drawn))
    elif panels:
        page(repo, _picture(panels, width, height))


def _found(repo: Repo, selectors: Sequence[str], query: str | None) -> Sequence[_Named]:
    """The runs to draw, each under a name that no other has."""
    from gittrack import refs, revisions

    if query is None:
        chosen = revisions.resolve_many(repo, selectors or ["latest"])
    else:
        from gittrack import search, whereabouts

        with search.open_search(whereabouts.of(repo)) as asked:
            answer = asked.find(search.Question(query=query, archived=False, live=False))
        chosen = [refs.RunRef(r.experiment, r.name, r.commit) for r in answer.runs if r.commit]
        if not chosen:
            raise GittrackError("no recorded run matches")
    taken: set[str] = set()
    found = []
    for ref in chosen:
        found.append(_Named(ref.short if ref.name in taken else ref.name, ref))
        taken.add(ref.name)
    return found


class _Named(NamedTuple):
    name: str
    ref: RunRef


Drawn = Mapping[str, Mapping[str, "Sequence[Point]"]]
"""The points by the name of their metric and of their run."""


def _all_points(repo: Repo, found: Sequence[_Named], metric: str) -> Drawn:
    """The points of each metric; a name with a comma in it is one if some run has that."""
    if "," not in metric:
        return {metric: _collected(repo, found, metric)}
    try:
        return {metric: _collected(repo, found, metric)}
    except UnknownKey:
        names = list(dict.fromkeys(name.strip() for name in metric.split(",") if name.strip()))
    if not names:
        raise UsageError(f"'{metric}' names no metrics")
    if len(names) > _MOST_METRICS:
        raise UsageError(
            f"{len(names)} metrics cannot be drawn together, at most {_MOST_METRICS} can"
        )
    return {name: _collected(repo, found, name) for name in names}


def _collected(repo: Repo, found: Sequence[_Named], metric: str) -> dict[str, Sequence[Point]]:
    """The points of each run that has the metric; raises UnknownKey where none has it."""
    from gittrack import succession

    collected: dict[str, Sequence[Point]] = {}
    without = []
    for name, ref in found:
        points = succession.curve(repo, ref, metric)
        if points:
            collected[name] = points
        else:
            without.append(name)
    if not collected:
        known = {name for _, ref in found for name in succession.names_of(repo, ref)}
        raise succession.missing(metric, known, [ref.name for _, ref in found])
    if len(without) == 1:
        say(f"warning: {without[0]} has no metric '{metric}'")
    elif without:
        say(f"warning: {len(without)} of {len(found)} runs have no '{metric}'")
    return collected


def _curves(metric: str, points: Mapping[str, Sequence[Point]]) -> dict[str, Sequence[Point]]:
    """What has more than one point; of the others the value is said."""
    from gittrack.cells import plain

    drawn = {name: series for name, series in points.items() if len(series) > 1}
    is_sampled = metric.startswith("system/")
    for name, series in points.items():
        if name not in drawn:
            value = plain(series[0][2])
            what = f"one sample, {_SAMPLED}" if is_sampled else "one point, no curve"
            click.echo(f"{name}  {plain(metric)} {value}  ({what})")
        elif is_sampled and len(series) == 2:
            say(f"note: {name} has 2 samples of {plain(metric)}, {_SAMPLED}")
    return drawn


def _labels(repo: Repo, found: Sequence[_Named], drawn: set[str]) -> dict[str, str]:
    """What each run is called in the legend: its name, and the params that tell it apart."""
    from gittrack import commits

    shown = [named for named in found if named.name in drawn]
    if len(shown) < 2:
        return {named.name: named.name for named in shown}
    params = {
        (run.experiment, run.name): run.params
        for run in commits.listing(repo, [ref for _, ref in shown]).runs
    }
    own = {name: params.get((ref.experiment, ref.name), {}) for name, ref in shown}
    texts = {
        key: _texts({name: values[key] for name, values in own.items() if key in values})
        for key in sorted({key for values in own.values() for key in values})
    }
    varied = {
        key: len(set(values.values())) + (len(values) < len(own)) for key, values in texts.items()
    }
    keys = sorted((key for key in texts if varied[key] > 1), key=lambda key: -varied[key])
    return {
        name: "  ".join(
            [name, *(f"{key} {texts[key][name]}" for key in keys[:_NAMED_PARAMS] if key in values)]
        )
        for name, values in own.items()
    }


def _texts(values: Mapping[str, Value]) -> dict[str, str]:
    """Values as short as tells them apart."""
    from gittrack.cells import cell, plain

    short, full = ({name: write(v) for name, v in values.items()} for write in (cell, plain))
    return short if len(set(short.values())) == len(set(full.values())) else full


def _panels(
    curves: Drawn, labels: Mapping[str, str], over: str | None, log: bool, smooth: float
) -> list[Panel]:
    """A panel for each metric that has a curve at all."""
    from gittrack.panels import panel

    made = []
    for metric, points in curves.items():
        if points:
            named = {labels[name]: series for name, series in points.items()}
            made.append(panel(metric, named, over=over, log=log, smooth=smooth))
            if made[-1].lost:
                lost = made[-1].lost
                many = (
                    f"{lost} points of '{metric}' are" if lost > 1 else f"1 point of '{metric}' is"
                )
                say(f"note: {many} not above 0, and so not on a logarithmic scale")
    return made


def _picture(panels: Sequence[Panel], width: int | None, height: int | None) -> str:
    from gittrack.curves import draw

    shown = screen()
    lines = height or (shown.height - 2 if shown.is_terminal else _HEIGHT)
    least = min(lines, _LEAST_HEIGHT + max(len(panel.lines) for panel in panels))
    return "\n".join(
        draw(panel, width or shown.width or _WIDTH, max(lines // len(panels), least),
             color=shown.color)
        for panel in panels
    )  # fmt: skip


# -- data -----------------------------------------------------------------------------------------


def _as_json(drawn: Drawn) -> str:
    from gittrack import exports

    return exports.as_json(
        [
            {
                "run": name,
                "metric": metric,
                "points": [
                    {"step": step, "time": seconds, "value": value}
                    for step, seconds, value in series
                ],
            }
            for metric, points in drawn.items()
            for name, series in points.items()
        ]
    )


def _as_csv(drawn: Drawn) -> str:
    """One metric has a column of its name, several have one of names and one of values."""
    from gittrack import exports

    if len(drawn) == 1:
        ((metric, points),) = drawn.items()
        rows = [(name, *point) for name, series in points.items() for point in series]
        return exports.csv_rows([("run", "step", "time", metric), *rows])
    long = [
        (name, metric, *point)
        for metric, points in drawn.items()
        for name, series in points.items()
        for point in series
    ]
    return exports.csv_rows([("run", "metric", "step", "time", "value"), *long])


# -- files ----------------------------------------------------------------------------------------


def _suffix(output: str) -> str:
    from gittrack.pictures import SUFFIXES

    suffix = os.path.splitext(output)[1].removeprefix(".").lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"what kind of picture '{output}' is to be is not known",
            hint=f"its name should end in {', '.join(f'.{known}' for known in SUFFIXES)}.",
        )
    return suffix


def _write_picture(
    panels: Sequence[Panel], output: str, suffix: str, metrics: Sequence[str]
) -> None:
    from gittrack import pictures

    if not panels:
        raise GittrackError(f"no run has a curve of '{metrics[0]}', so there is no picture")
    _write_whole(output, pictures.draw(panels, suffix))
    count = len({line.label for panel in panels for line in panel.lines})
    say(f"{output}: {', '.join(metrics)} of {count} run{'s' * (count != 1)}")


def _write_whole(path: str, data: bytes) -> None:
    """Write a file, or leave the one that is there as it was. A device is written to as it is."""
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        with open(target, "wb") as file:
            file.write(data)
        return
    temporary = os.path.join(os.path.dirname(target), f".{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, target)
    except OSError as error:
        # What was asked for is the file, not what it is first called.
        error.filename, error.filename2 = path, None
        raise
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
