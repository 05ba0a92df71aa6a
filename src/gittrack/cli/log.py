"""`git track log-param`, `log-metric`, `log-tag`, `log-artifact`: what a script says of its run.

For shell scripts, and for whatever can start a command. Writes to the journal of the run that
GITTRACK_RUN names, and opens no repository: a loop may call it. Knows the words of a command line,
and nothing of how a run is recorded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import click

from gittrack.errors import GittrackError, NoActiveRun, UsageError, WriteFailed

__all__ = ["log_artifact", "log_metric", "log_param", "log_tag"]

_HINT = "start the script with 'git track run -- sh train.sh'."
_LONGEST_LINE = 1 << 16


@click.command("log-param")
@click.argument("pairs", metavar="KEY=VALUE...", nargs=-1, required=True)
def log_param(pairs: tuple[str, ...]) -> None:
    """Record params of the run that a script belongs to.

    Values are typed as those of `run -P` are: 0.1 is a number, true a truth value, [1, 2] a list,
    {lr: 0.1} a param for each entry. '-' alone reads pairs from stdin, one a line.

    \b
        $ git track log-param lr=0.1 optimizer=adam
        $ git track log-param - < params.txt
    """
    from gittrack.params import from_assignments

    def event(words: list[str]) -> dict[str, Any]:
        return {"params": from_assignments(words)}

    _log("param", pairs, event, lambda line: [line])


@click.command("log-metric")
@click.argument("pairs", metavar="KEY=NUMBER...", nargs=-1, required=True)
@click.option("--step", metavar="N", type=int, help="The step that the numbers belong to.")
def log_metric(pairs: tuple[str, ...], step: int | None) -> None:
    """Record metrics of the run that a script belongs to.

    Their time is now. '-' alone reads stdin until it ends, each line a point: pairs with blanks
    between them, of which step=N is the step.

    \b
        $ git track log-metric loss=0.21 acc=0.93 --step 3
        $ awk '{ print "step=" NR, "loss=" $2; fflush() }' train.log | git track log-metric -
    """
    if pairs == ("-",) and step is not None:
        raise UsageError("--step does not go with '-'", hint="write step=N on each line.")

    def event(words: list[str]) -> dict[str, Any]:
        return _point(words, step)

    def line_event(words: list[str]) -> dict[str, Any]:
        steps = [word for word in words if word.startswith("step=")]
        rest = [word for word in words if word not in steps]
        if not rest:
            raise UsageError("the line has no metric")
        return _point(rest, _step(steps[-1]) if steps else None)

    _log("metric", pairs, line_event if pairs == ("-",) else event, str.split)


@click.command("log-tag")
@click.argument("pairs", metavar="KEY=VALUE...", nargs=-1, required=True)
def log_tag(pairs: tuple[str, ...]) -> None:
    """Set tags of the run that a script belongs to.

    A later value for a key wins; 'git track tag' changes those of a run that has ended. '-' alone
    reads pairs from stdin, one a line.

    \b
        $ git track log-tag stage=warmup
    """

    def event(words: list[str]) -> dict[str, Any]:
        from gittrack.quoting import utf8

        return {"tags": {key: utf8(value) for key, value in map(_pair, words)}}

    _log("tag", pairs, event, lambda line: [line])


@click.command("log-artifact")
@click.argument("path", metavar="PATH")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--allow-secret", is_flag=True, help="Keep it though it looks like a secret.")
def log_artifact(path: str, name: str | None, allow_secret: bool) -> None:
    """Keep a file as an artifact of the run that a script belongs to.

    Or a directory; as it is now, whatever is written there later. NAME is what the run calls it,
    by default its path in the repository; one that ends with '/' is a directory to put it into.

    \b
        $ git track log-artifact model.bin
        $ git track log-artifact /tmp/plots figures/
    """
    with _inside():
        from gittrack import keeping

        keeping.log_artifact(path, name, allow_secret=allow_secret)


# -- from words to the journal ------------------------------------------------------------------


def _log(
    what: str,
    pairs: tuple[str, ...],
    event: Callable[[list[str]], dict[str, Any]],
    words: Callable[[str], list[str]],
) -> None:
    """Append one event for all pairs, all or nothing, or one for each line of stdin.

    A bad line is a fault of the run, for the program that writes the lines must not be stopped.
    """
    if pairs != ("-",):
        made = event(list(pairs))
        with _inside() as active:
            active.append(made)
        return
    with _inside() as active:
        for line in _lines():
            try:
                made = event(words(line))
            except GittrackError as error:
                active.fault(f"{what} not recorded: {error.message}")
            else:
                active.append(made)


@contextmanager
def _inside() -> Iterator[ModuleType]:
    """The door to the run that this process belongs to: `gittrack.active`.

    Raises:
        NoActiveRun: there is none, or it has ended.
        WriteFailed: the disk did not take all.
    """
    from gittrack import active
    from gittrack.journal import RUN_VARIABLE

    if not os.environ.get(RUN_VARIABLE):
        raise NoActiveRun(f"no run is active: {RUN_VARIABLE} is not set", hint=_HINT)
    try:
        yield active
        ours = active.current()
    except NoActiveRun as error:
        raise NoActiveRun(error.message, hint=error.hint or _HINT) from error
    if ours is not None:
        active.leave(ours)
        if ours.lost:
            raise WriteFailed("not all of it was recorded", hint="is the disk full?")


def _lines() -> Iterator[str]:
    """The lines of stdin that hold anything, each as soon as it is there, cut where too long."""
    source = sys.stdin.buffer
    while line := source.readline(_LONGEST_LINE):
        text = line.decode("utf-8", "surrogateescape").strip()
        if text:
            yield text


def _point(words: list[str], step: int | None) -> dict[str, Any]:
    values = dict(_measure(word) for word in words)
    if step is None:
        return {"metrics": values}
    if not -(2**63) <= step < 2**63:
        raise UsageError("a step has at most 64 bits")
    return {"metrics": values, "step": step}


def _measure(word: str) -> tuple[str, int | float]:
    from gittrack.points import number

    key, text = _pair(word)
    value = number(text.strip())
    if value is None:
        raise UsageError(
            f"the metric '{word[:80]}' has no number", hint="write it as key=number, as loss=0.21."
        )
    return key, value


def _pair(word: str) -> tuple[str, str]:
    from gittrack.keys import check_key

    key, equals, value = word.partition("=")
    if not equals:
        raise UsageError(f"'{word[:80]}' is no KEY=VALUE", hint=f"`{word[:80]}=1` would be one.")
    return check_key(key.strip()), value


def _step(word: str) -> int:
    from gittrack.points import number

    step = number(word.partition("=")[2])
    if not isinstance(step, int):
        raise UsageError(f"'{word[:80]}' is no step", hint="a step is a whole number.")
    return step
