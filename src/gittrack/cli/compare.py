"""`git track compare`: which params matter for a metric, and which of their values are best."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gittrack.cli import target as targets
from gittrack.cli.asking import asked, experiment_option, saved_option
from gittrack.cli.completing import columns as complete_columns
from gittrack.cli.completing import metrics as complete_metrics
from gittrack.cli.completing import queries as complete_queries
from gittrack.cli.keys import several, unquoted
from gittrack.cli.main import open_place
from gittrack.cli.output import Screen, format_options, page, page_data, say, screen
from gittrack.cli.progress import bar
from gittrack.errors import GittrackError, LibraryMissing, UnknownKey, UsageError

if TYPE_CHECKING:
    from gittrack.cli.target import Target
    from gittrack.effects import Effect, Level, Study
    from gittrack.meter import Meter
    from gittrack.report import Column
    from gittrack.vocabulary import Vocabulary

__all__ = ["compare"]

_PREFIX = "params."
_DETAILED = 6
_FEW = 20
_NAMED = 6
_BAR = 16
_EIGHTHS = " ▏▎▍▌▋▊▉"


@click.command()
@click.argument("query", nargs=-1, metavar="[QUERY]", shell_complete=complete_queries)
@click.option(
    "--target",
    "metric",
    metavar="METRIC",
    shell_complete=complete_metrics,
    help="What the runs are judged by: a metric, or max(acc), duration and the like.",
)
@targets.direction_options
@click.option(
    "-p",
    "--param",
    "names",
    metavar="PARAM,...",
    multiple=True,
    shell_complete=complete_columns,
    help="Look at these params only.",
)
@saved_option("Look at")
@experiment_option("Look at")
@click.option("--no-forest", is_flag=True, help="Leave the forest out, which takes a second.")
@format_options
@click.pass_context
def compare(
    ctx: click.Context,
    query: Sequence[str],
    metric: str | None,
    lowest: bool | None,
    names: Sequence[str],
    saved: Sequence[str],
    experiment: str | None,
    no_forest: bool,
    form: str | None,
) -> None:
    """Show which params matter for a metric.

    The weightiest comes first. QUERY says which runs are looked at, as in `git track ls`; running
    ones are not. RHO is the rank correlation (Spearman) of a param of numbers: 1 where more of it
    always means more of METRIC, -1 where less. SHARE is how much of the ranks' variance its values
    account for, 0 to 1, whatever their order. FOREST is how much a small forest leans on it, where
    scikit-learn is installed. BEST is the value, or the range of values, whose runs have the best
    mean; of two runs at least, where any value has two. (not set) are the runs without the param.

    All this is seen, not tried: params that were changed together cannot be told apart, and a few
    runs show anything.

    \b
    $ git track compare --target accuracy
    $ git track compare "status = 'finished'" --target loss --lowest
    $ git track compare --target 'max(acc)' -p lr,model.depth
    """
    from gittrack import effects
    from gittrack.search import Question, open_search

    if metric is None:
        raise _without_target(query)
    place = open_place(ctx)
    with bar() as meter, open_search(place, meter=meter) as search:
        known = search.vocabulary
        goal = targets.ask(place, known, metric, lowest)
        keys = [key for key in _params(known, names) if key != goal.key]
        text = asked(place, query, saved, typed=("compare", "--target", metric))
        question = Question(query=text, experiment=experiment, archived=False, live=False)
        columns = search.columns(question, [goal.key, *keys])
        targets.warn(search, question)
    values = columns[goal.key]
    params = {key.removeprefix(_PREFIX): columns[key] for key in keys}
    study = effects.study(values, params, lowest=goal.lowest)
    _check(study, goal, len(values))
    chance, without_forest = None, None
    if not no_forest:
        try:
            with bar() as meter:
                study, chance = _with_forest(study, values, params, meter)
        except LibraryMissing as error:
            without_forest = f"no forest: {error.message} ({error.hint})"
    answer = _Answer(goal, study, chance)
    if form is not None:
        page_data(place, _data(answer, form))
    else:
        page(place, _text(answer, screen()))
    if form in (None, "md"):
        for line in [*_remarks(study, chance), *([without_forest] if without_forest else [])]:
            say(line)


def _without_target(query: Sequence[str]) -> UsageError:
    """The error that names no metric: a word by itself is probably the one that is meant."""
    from gittrack.quoting import command_line

    is_word = len(query) == 1 and re.fullmatch(r"[\w.@/-]+", query[0])
    words = ["--target", query[0]] if is_word else [*query, "--target", "METRIC"]
    hint = f"`git track {command_line(['compare', *words])}` judges runs by a metric."
    return UsageError("missing option '--target'", hint=hint)


class _Answer(NamedTuple):
    """What was seen; `chance` is the importance that a forest gives to random numbers."""

    target: Target
    study: Study
    chance: float | None


def _params(known: Vocabulary, names: Sequence[str]) -> list[str]:
    """The full keys of the params to look at; a bare name is that of a param here.

    Raises:
        UnknownKey: no run has a param of that name.
    """
    there = known.keys("params")
    if not names:
        return [_PREFIX + key for key in there]
    from gittrack.keys import nearest

    found = []
    for name in several(names, known):
        bare = unquoted(name)
        bare = bare if bare in there else bare.removeprefix(_PREFIX)
        if bare not in there:
            near = nearest(bare, there)
            hint = f"did you mean '{near}'?" if near else "`git track ls` shows which there are."
            raise UnknownKey(f"no run has a param '{bare}'", key=bare, hint=hint)
        found.append(_PREFIX + bare)
    return list(dict.fromkeys(found))


def _check(study: Study, goal: Target, total: int) -> None:
    """Refuse to say anything where nothing can be said."""
    from gittrack.effects import LEAST

    if not study.runs:
        raise targets.without(goal, total)
    if study.runs < LEAST:
        raise GittrackError(
            f"{_runs(study.runs)} with {goal.title} {'are' if study.runs > 1 else 'is'} too few to "
            f"say which params matter, {LEAST} are the least",
            hint="`git track diff` shows how runs differ.",
        )
    if not study.varies:
        raise GittrackError(
            f"all {study.runs} runs have the same {goal.title}: no param makes a difference"
        )
    if not study.effects:
        but = f", but for {_listed(study.labels)}, different in each" if study.labels else ""
        raise GittrackError(f"no param varies among the {study.runs} runs with {goal.title}{but}")


def _with_forest(
    study: Study, values: Sequence[Any], params: Mapping[str, Sequence[Any]], meter: Meter
) -> tuple[Study, float]:
    from gittrack import effects, grouping, importance

    there = [place for place, value in enumerate(values) if grouping.comparable(value)]
    made = importance.forest(
        [values[place] for place in there],
        {e.param: [params[e.param][place] for place in there] for e in study.effects},
        meter=meter,
    )
    return effects.weighed(study, made.importances), made.chance


# -- for people -----------------------------------------------------------------------------------


def _text(answer: _Answer, shown: Screen) -> str:
    from gittrack import report
    from gittrack.quoting import one_line

    study, goal = answer.study, answer.target
    without = f", {study.without} more have none" if study.without else ""
    head = f"{one_line(goal.title)} of {_runs(study.runs)}, the {goal.extreme} is the best{without}"
    drawn = report.sheet(*_summary(answer), width=shown.width, color=shown.color, spare=(1, 3))
    parts = [f"{head}\n", drawn.text]
    low, high = _span(study)
    for effect in study.effects[:_DETAILED]:
        columns, values = _levels(effect)
        bars = [_bar(level.mean, low, high) for level in effect.levels]
        drawn = report.sheet(
            [*columns, report.Column("", "")], [*values, bars], width=shown.width,
            color=shown.color,
        )  # fmt: skip
        parts.append(drawn.text)
    return "\n".join(parts)


def _summary(answer: _Answer) -> tuple[list[Column], list[Sequence[Any]]]:
    """The table of all params."""
    from gittrack.report import Column

    found = answer.study.effects
    with_forest = answer.chance is not None
    parts: list[tuple[str, Sequence[Any]]] = [
        ("PARAM", [effect.param for effect in found]),
        ("VALUES", [effect.values for effect in found]),
        ("RHO", [_rounded(effect.correlation) for effect in found]),
        ("SHARE", [_rounded(effect.share) for effect in found]),
        ("FOREST", [_rounded(effect.importance) for effect in found] if with_forest else ()),
        ("", [_bar(effect.strength, 0.0, 1.0) for effect in found]),
        ("BEST", [_named(effect.best) for effect in found]),
        ("MEAN", [effect.best.mean for effect in found]),
        ("RUNS", [effect.best.runs for effect in found]),
    ]
    parts = [part for part in parts if part[1]]
    return [Column("", title) for title, _ in parts], [values for _, values in parts]


def _levels(effect: Effect) -> tuple[list[Column], list[Sequence[Any]]]:
    """The table of one param's values."""
    from gittrack.report import Column

    levels = effect.levels
    parts: list[tuple[str, Sequence[Any]]] = [
        (effect.param, [_named(level) for level in levels]),
        ("RUNS", [level.runs for level in levels]),
        ("MEAN", [level.mean for level in levels]),
        ("STD", [level.std for level in levels]),
        ("BEST", [level.best for level in levels]),
    ]
    return [Column("", title) for title, _ in parts], [values for _, values in parts]


def _named(level: Level) -> str:
    """What a level is called."""
    from gittrack.cells import cell

    if level.kind == "absent":
        return "(not set)"
    if level.kind == "others":
        return f"({level.low} others)"
    if level.kind == "range":
        return f"{cell(level.low)} to {cell(level.high)}"
    return cell(level.low)


def _span(study: Study) -> tuple[float, float]:
    """From where to where bars go: the means that are drawn, or a deviation to each side of them.

    So that means which differ by less than the runs of one level do look as much the same as they
    are.
    """
    from gittrack.cells import finite

    levels = [level for effect in study.effects[:_DETAILED] for level in effect.levels]
    means = [level.mean for level in levels if finite(level.mean)] or [0.0]
    stds = [level.std for level in levels if level.std is not None] or [0.0]
    low, high, half = min(means), max(means), sum(stds) / len(stds)
    middle = low / 2 + high / 2
    return min(low, middle - half), max(high, middle + half)


def _bar(value: float, low: float, high: float) -> str:
    """A value as a bar: nothing at `low`, at `high` all of it; none where it is not finite."""
    from gittrack.cells import finite

    spread = high - low
    if not finite(value) or not finite(spread) or not spread:
        return ""
    whole, part = divmod(round((value - low) / spread * _BAR * 8), 8)
    return ("█" * whole + _EIGHTHS[part]).rstrip()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _remarks(study: Study, chance: float | None) -> list[str]:
    """What these numbers cannot tell, a line each."""
    from gittrack import effects

    by_chance = f"by chance alone 1 param in 20 exceeds a rho of {effects.chance(study.runs):.2f}"
    few = f"warning: {_runs(study.runs)} are few" if study.runs < _FEW else _runs(study.runs)
    said = [f"{few}: {by_chance}; what goes together need not be a cause"]
    if chance is not None:
        said.append(f"a param of random numbers gets {chance:.2f} from the forest")
    once = [effect.param for effect in study.effects if effect.best.runs == 1]
    if once:
        said.append(f"the best value is that of a single run: {_listed(once)}")
    for names in study.together:
        said.append(f"{_listed(names, 'and')} always change together and cannot be told apart")
    if len(study.effects) > _DETAILED:
        rest = len(study.effects) - _DETAILED
        others = "1 more param" if rest == 1 else f"{rest} more params"
        said.append(f"the values of {others} are not shown (-p PARAM)")
    if study.labels:
        said.append(f"left out, being different in every run: {_listed(study.labels)}")
    if study.constant:
        said.append(f"left out, being the same in all runs: {_listed(study.constant)}")
    return said


def _listed(names: Sequence[str], last: str = "") -> str:
    shown = list(names[:_NAMED])
    if len(names) > _NAMED:
        return f"{', '.join(shown)} and {len(names) - _NAMED} more"
    if last and len(shown) > 1:
        return f"{', '.join(shown[:-1])} {last} {shown[-1]}"
    return ", ".join(shown)


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


# -- for programs ---------------------------------------------------------------------------------

_HEADS = ("param", "kind", "values", "runs", "correlation", "share", "importance")


def _data(answer: _Answer, form: str) -> str:
    from gittrack import exports, report

    study = answer.study
    if form == "md":
        tables = [_summary(answer), *map(_levels, study.effects)]
        return "\n".join(report.sheet_markdown(*_without_bars(*table)) for table in tables)
    if form == "csv":
        heads = [*_HEADS, "level", "low", "high", "level_runs", "mean", "std", "best"]
        return exports.csv_rows([heads, *_rows(study.effects)])
    record = {
        "target": answer.target.key,
        **study._asdict(),
        "effects": [_record(effect) for effect in study.effects],
        "chance": {"correlation": _chance(study), "importance": answer.chance},
    }
    return exports.as_json(record)


def _chance(study: Study) -> float:
    from gittrack import effects

    return effects.chance(study.runs)


def _without_bars(
    columns: Sequence[Column], values: Sequence[Sequence[Any]]
) -> tuple[list[Column], list[Sequence[Any]]]:
    kept = [place for place, column in enumerate(columns) if column.title]
    return [columns[place] for place in kept], [values[place] for place in kept]


def _rows(found: Iterable[Effect]) -> Iterable[Sequence[Any]]:
    for effect in found:
        for level in effect.levels:
            yield [*effect[: len(_HEADS)], *level]


def _record(effect: Effect) -> dict[str, Any]:
    return {
        **effect._asdict(),
        "levels": [level._asdict() for level in effect.levels],
        "best": effect.best._asdict(),
    }
