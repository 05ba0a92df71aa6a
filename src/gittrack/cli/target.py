"""What runs are judged by: which metric a user means, and whether high or low is good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gittrack.cli.keys import is_expression, told, unquoted
from gittrack.cli.output import Command, say
from gittrack.errors import GittrackError, UnknownKey, UsageError

if TYPE_CHECKING:
    from gittrack.search import Question, Search
    from gittrack.vocabulary import Vocabulary
    from gittrack.whereabouts import Place

__all__ = ["Target", "ask", "direction_options", "warn", "without"]

_SETTING = "track.lowest"
_OF_A_CURVE = ("min", "max", "first", "last")


class Target(NamedTuple):
    """A full key or an expression, how a table calls it, and whether its lowest value is best."""

    key: str
    title: str
    lowest: bool

    @property
    def extreme(self) -> str:
        """What the best one is: highest or lowest."""
        return "lowest" if self.lowest else "highest"


def direction_options(
    command: Command,
    *,
    low: tuple[str, ...] = ("--lowest",),
    high: tuple[str, ...] = ("--highest",),
) -> Command:
    """Add `--lowest` and `--highest` to a command, as `lowest`: None where neither is given."""
    for names, is_low, help_text in (
        (high, False, "The highest is the best, whatever track.lowest says."),
        (low, True, "The lowest is the best; track.lowest lists metrics that are always so."),
    ):
        both = f"{low[0]} and {high[0]}"
        command = click.option(
            *names,
            is_flag=True,
            expose_value=False,
            callback=_direction(is_low, both),
            help=help_text,
        )(command)
    return command


def _direction(is_low: bool, both: str) -> Any:
    def take(ctx: click.Context, param: click.Parameter, chosen: bool) -> None:
        before = ctx.params.setdefault("lowest", None)
        if chosen and before is not None:
            raise click.UsageError(f"{both} do not go together", ctx)
        if chosen:
            ctx.params["lowest"] = is_low

    return take


def ask(place: Place, known: Vocabulary, name: str, lowest: bool | None) -> Target:
    """What a user means by `name`: a metric rather than anything else that is called so.

    Without an answer in `lowest` the setting `track.lowest` has one, else the highest is best; a
    name that sounds otherwise gets a note.

    Raises:
        UnknownKey: no run has anything of that name.
        UsageError: it is a text in all runs that have it, or an attribute that is no number.
    """
    key = _key(known, name)
    metric = _metric(known, key)
    title = key.removeprefix("metrics.")
    if lowest is None and metric is not None:
        from gittrack import ranking

        lowest = ranking.is_lowest(metric, place.repo.config_all(_SETTING))
        if not lowest and ranking.sounds_low(metric):
            say(
                f"note: the highest {title} is taken for the best; --lowest takes the lowest, and "
                f"`git config --add {_SETTING} '{metric}'` always"
            )
    return Target(key, title, bool(lowest))


def _key(known: Vocabulary, name: str) -> str:
    bare = unquoted(name)
    if known.has(f"metrics.{bare}"):
        return f"metrics.{bare}"
    try:
        key = known.resolve(bare)
    except UnknownKey:
        if is_expression(name, known):
            return name
        raise
    count = known.count(key)
    numeric = key in ("duration", "exit_code") if "." not in key else count.numbers > 0
    if not numeric:
        raise UsageError(f"'{key}' is no number in any run, so none of them is the best by it")
    return key


def _metric(known: Vocabulary, key: str) -> str | None:
    """The bare name of the metric that is judged by; None where it is a computation, or none."""
    call = told(key) if is_expression(key, known) else None
    if call is not None and call.function in _OF_A_CURVE:
        bare = unquoted(call.argument).removeprefix("metrics.")
        return bare if known.has(f"metrics.{bare}") else None
    return key.removeprefix("metrics.") if key.startswith("metrics.") else None


def warn(search: Search, question: Question) -> None:
    """Say which runs cannot be read, and why the answer was slow if it was."""
    apology = search.apology
    problems = search.find(question._replace(limit=1, counted=False)).problems
    for text in [*([apology] if apology else []), *(problem.message for problem in problems)]:
        say(f"warning: {text}")


def without(target: Target, total: int) -> GittrackError:
    """The error for `total` runs none of which has a value of the target."""
    if not total:
        return GittrackError("no run matches")
    which = "the one run has no" if total == 1 else f"none of the {total} runs has a"
    return GittrackError(f"{which} number as {target.title}")
