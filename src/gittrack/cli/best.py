"""`git track best`: the run that won, in all or in each group, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gittrack.cli import target as targets
from gittrack.cli.asking import asked, experiment_option, saved_option
from gittrack.cli.completing import columns as complete_columns
from gittrack.cli.completing import metrics as complete_metrics
from gittrack.cli.completing import queries as complete_queries
from gittrack.cli.footer import foot
from gittrack.cli.keys import resolved, several
from gittrack.cli.main import open_place
from gittrack.cli.output import format_options, page, page_data, say, screen
from gittrack.cli.progress import bar

if TYPE_CHECKING:
    from gittrack.cli.target import Target
    from gittrack.ranking import Winner
    from gittrack.summaries import Summary
    from gittrack.whereabouts import Place

__all__ = ["best"]


@click.command()
@click.argument("metric", metavar="METRIC", shell_complete=complete_metrics)
@click.argument("query", nargs=-1, metavar="[QUERY]", shell_complete=complete_queries)
@click.option(
    "--group-by",
    metavar="KEY,...",
    multiple=True,
    shell_complete=complete_columns,
    help="Show the best of each group of runs with the same KEY.",
)
@targets.direction_options
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=1, metavar="N", help="Show the N best."
)
@saved_option("Look at")
@experiment_option("Look at")
@format_options
@click.pass_context
def best(
    ctx: click.Context,
    metric: str,
    query: Sequence[str],
    group_by: Sequence[str],
    lowest: bool | None,
    count: int,
    saved: Sequence[str],
    experiment: str | None,
    form: str | None,
) -> None:
    """Show the run that has the best value of a metric.

    Its params, too, and by how much it is the best. METRIC is a metric, or anything else that is a
    number: a param, duration, max(acc). The highest is the best, unless --lowest or the setting
    track.lowest says otherwise. QUERY says which runs are looked at, as in `git track ls`. NaN
    never wins; of equal runs the newest does.

    \b
    $ git track best accuracy
    $ git track best 'max(acc)' 'params.opt = "adam"' -n 5
    $ git track best loss --lowest --group-by params.model
    $ git config --add track.lowest '*loss'
    """
    from gittrack import ranking
    from gittrack.search import Question, open_search

    place = open_place(ctx)
    with bar() as meter, open_search(place, meter=meter) as search:
        known = search.vocabulary
        goal = targets.ask(place, known, metric, lowest)
        keys = [resolved(key, known) for key in several(group_by, known)]
        text = asked(place, query, saved, typed=("best", metric))
        question = Question(query=text, experiment=experiment, archived=False)
        columns = search.columns(question, list(dict.fromkeys([goal.key, *keys, "id"])))
        values = columns[goal.key]
        winners = ranking.best(
            values, [columns[key] for key in keys], lowest=goal.lowest, count=count
        )
        if not winners:
            raise targets.without(goal, len(values))
        ids = {place: columns["id"][place] for winner in winners for place in _places(winner)}
        by_id = {run.id: run for run in search.by_ids(frozenset(ids.values()))}
        targets.warn(search, question)
    runs = {place: by_id[ids[place]] for place in ids}
    titles = {key: _title(key) if known.has(key) else key for key in keys}
    answer = _Answer(goal, keys, titles, winners, runs, len(values))
    if form is not None:
        page_data(place, _data(answer, form))
    elif len(winners) == 1 and not keys:
        page(place, _alone(answer))
    else:
        _print(place, answer)


def _places(winner: Winner) -> list[int]:
    return [place for place in (winner.place, winner.next) if place is not None]


def _title(key: str) -> str:
    return key.partition(".")[2] or key.upper()


class _Answer(NamedTuple):
    """The winners and who they are, by their places, and how many runs were looked at."""

    target: Target
    keys: Sequence[str]
    titles: Mapping[str, str]
    winners: Sequence[Winner]
    runs: Mapping[int, Summary]
    total: int

    def run(self, winner: Winner) -> Summary:
        return self.runs[winner.place]

    def next(self, winner: Winner) -> Summary | None:
        return None if winner.next is None else self.runs[winner.next]


def _alone(answer: _Answer) -> str:
    """One winner for people: how it won, and its params."""
    from gittrack.cells import align, bold, plain, width_of
    from gittrack.figures import short
    from gittrack.quoting import one_line

    (winner,) = answer.winners
    run, after, target = answer.run(winner), answer.next(winner), answer.target
    status = "" if run.status == "finished" else f"  {run.status}"
    title = one_line(target.title)
    head = f"{bold(one_line(run.name), screen().color)}{status}  {title} {short(winner.value)}"
    lines = [f"{head}  ({_how(answer, winner, after)})"]
    params = {one_line(key): plain(value) for key, value in sorted(run.params.items())}
    width = max(map(width_of, params), default=0)
    lines += [f"  {align(key, width)}  {value}" for key, value in params.items()]
    return "\n".join(lines) + "\n"


def _how(answer: _Answer, winner: Winner, after: Summary | None) -> str:
    """How it won: `highest of 12 runs, 0.047 above blue-heron-q2zm8d`."""
    from gittrack.figures import short
    from gittrack.quoting import one_line

    if after is None or winner.margin is None:
        return "the only run that has one"
    which = f"{answer.target.extreme} of {winner.runs:,} runs"
    if not winner.margin:
        return f"{which}, as good as {one_line(after.name)}"
    side = "below" if answer.target.lowest else "above"
    return f"{which}, {short(winner.margin)} {side} {one_line(after.name)}"


def _columns(answer: _Answer, *, full: bool) -> tuple[list[Any], list[Sequence[Any]]]:
    """The table of several winners: what they have in common, who they are, their params.

    For people only the params that vary.
    """
    from gittrack.report import Column, told_apart

    winners, runs = answer.winners, [answer.run(winner) for winner in answer.winners]
    groups = list(zip(*(winner.group for winner in winners), strict=True))
    afters = [answer.next(winner) for winner in winners]
    made: list[tuple[Any, Sequence[Any]]] = [
        (Column(key, key if full else answer.titles[key]), values)
        for key, values in zip(answer.keys, groups, strict=True)
    ]
    title = answer.target.key if full else answer.target.title
    made += [
        (Column("name", "name" if full else "NAME"), [run.name for run in runs]),
        (Column(answer.target.key, title), [winner.value for winner in winners]),
        (Column("", "margin" if full else "MARGIN"), [winner.margin for winner in winners]),
        (Column("name", "next" if full else "NEXT"), [run and run.name for run in afters]),
    ]
    if answer.keys:
        made.append((Column("", "runs" if full else "RUNS"), [winner.runs for winner in winners]))
    for key in sorted({key for run in runs for key in run.params}):
        values = [run.params.get(key) for run in runs]
        if f"params.{key}" in answer.keys:
            continue
        if full or len(runs) == 1 or len({repr(value) for value in values}) > 1:
            made.append((Column(f"params.{key}", f"params.{key}" if full else key), values))
    columns, values_of = zip(*made, strict=True)
    return list(columns) if full else told_apart(columns), list(values_of)


def _print(place: Place, answer: _Answer) -> None:
    from gittrack import report

    shown = screen()
    columns, values = _columns(answer, full=False)
    drawn = report.sheet(columns, values, width=shown.width, color=shown.color)
    count = sum(winner.runs for winner in answer.winners if winner.rank == 1)
    said = f"{answer.target.extreme} {answer.target.title} of {count:,} runs"
    if answer.total > count:
        said += f" · {answer.total - count:,} without"
    page(place, drawn.text)
    say(foot(said, drawn.dropped, hides=False, width=shown.width, more=""))


def _data(answer: _Answer, form: str) -> str:
    from gittrack import exports, report

    if form == "md":
        return report.sheet_markdown(*_columns(answer, full=False))
    if form == "csv":
        columns, values = _columns(answer, full=True)
        return exports.csv_rows([[c.title for c in columns], *zip(*values, strict=True)])
    return exports.as_json([_record(answer, winner) for winner in answer.winners])


def _record(answer: _Answer, winner: Winner) -> dict[str, Any]:
    run, after = answer.run(winner), answer.next(winner)
    return {
        "name": run.name,
        "experiment": run.experiment,
        "id": run.id,
        "commit": run.commit,
        "status": run.status,
        "metric": answer.target.key,
        "lowest": answer.target.lowest,
        "value": winner.value,
        "rank": winner.rank,
        "margin": winner.margin,
        "next": None if after is None else after.name,
        "group": dict(zip(answer.keys, winner.group, strict=True)),
        "runs": winner.runs,
        "params": run.params,
    }
