"""The query of a command line: one argument, and what is saved in the settings.

Knows where its text comes from, and the options beside it. What it means is for others to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from gittrack.cli.completing import ALIAS
from gittrack.cli.completing import experiments as complete_experiments
from gittrack.cli.completing import saved as complete_saved
from gittrack.cli.output import Command
from gittrack.errors import UsageError
from gittrack.keys import nearest
from gittrack.quoting import command_line

if TYPE_CHECKING:
    from gittrack.whereabouts import Place

__all__ = ["asked", "experiment_option", "saved_option"]


def experiment_option(verb: str) -> Callable[[Command], Command]:
    """The option `-x`, as `experiment`; `verb` is what is done with the runs."""
    return click.option(
        "-x",
        "--experiment",
        metavar="EXPERIMENT",
        shell_complete=complete_experiments,
        help=f"{verb} the runs of one experiment.",
    )


def saved_option(verb: str) -> Callable[[Command], Command]:
    """The option `-q`, any number of times, as `saved`; `verb` is what is done with the runs."""
    return click.option(
        "-q",
        "--saved",
        metavar="NAME",
        multiple=True,
        shell_complete=complete_saved,
        help=f"{verb} the runs that match the query saved as {ALIAS}NAME.",
    )


def asked(
    place: Place, words: Sequence[str], saved: Sequence[str], *, typed: Sequence[str]
) -> str | None:
    """The query of the command line and the saved ones, all of which must hold.

    `typed` is what stands before the query: the verb, and what it cannot do without.

    Raises:
        UsageError: there are several arguments, or no query is saved under a name.
    """
    if len(words) > 1:
        whole = "git track " + command_line([*typed, " ".join(words)])
        raise UsageError(
            f"a query is one argument, and here are {len(words)}",
            hint=f"put quotes around it: `{whole}`",
        )
    texts = [_alias(place, name) for name in saved] + [text for text in words if text.strip()]
    if len(texts) < 2:
        return texts[0] if texts else None
    from gittrack import language

    for text in texts:
        # Each must be whole by itself, or the brackets around it would mean something else.
        language.parse(text)
    return " and ".join(f"({text})" for text in texts)


def _alias(place: Place, name: str) -> str:
    query = place.setting(ALIAS + name.lower())
    if query is not None:
        return query
    there = [key.removeprefix(ALIAS) for key in place.settings if key.startswith(ALIAS)]
    near = nearest(name, there)
    example = f"`git config {ALIAS}NAME 'metrics.acc > 0.9'` saves one."
    raise UsageError(
        f"no query is saved as '{name}'",
        hint=f"did you mean '{near}'? {example}" if near else example,
    )
