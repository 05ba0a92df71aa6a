"""`git track run`: execute a command and record it.

Turns options into a request and an outcome into two lines; `gittrack.execute` does the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gittrack.cli.main import circumstance, open_repo

if TYPE_CHECKING:
    from gittrack.execute import Outcome
    from gittrack.git import Repo
    from gittrack.process import Exit
    from gittrack.records import Artifact, Data, Input, Run
    from gittrack.succession import Inheritance

__all__ = ["run"]

_MOST_NAMED = 3


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("-x", "--experiment", metavar="NAME", help="The group of runs that it belongs to.")
@click.option("--name", metavar="NAME", help="A name to begin with; a random ending is added.")
@click.option("-m", "--message", metavar="TEXT", help="What this run is about.")
@click.option("-P", "--param", "params", metavar="KEY=VALUE", multiple=True, help="A param.")
@click.option(
    "--params",
    "params_files",
    metavar="FILE",
    multiple=True,
    help="A file of params: YAML, JSON or TOML. By default params.yaml, if there is one.",
)
@click.option(
    "--metrics",
    "metrics_files",
    metavar="FILE",
    multiple=True,
    help="A file of metrics that the command writes: YAML, JSON, CSV or TSV. By default "
    "metrics.json, .yaml, .csv or .tsv, if it wrote one.",
)
@click.option(
    "--data",
    metavar="PATH",
    multiple=True,
    help="A file or directory that the command reads; its hash becomes part of the run.",
)
@click.option(
    "--out",
    "outs",
    metavar="PATH",
    multiple=True,
    help="A file, directory or pattern that the command writes, kept as an artifact.",
)
@click.option("--input", "given", metavar="RUN", multiple=True, help="A run that it builds on.")
@click.option("--trace", is_flag=True, help="Notice the files that Python opens, and record them.")
@click.option(
    "--reuse", is_flag=True, help="Take a finished run that did the same, if there is one."
)
@click.option(
    "--code",
    metavar="PATH",
    multiple=True,
    help="The code that counts for --reuse, from the top of the work tree; by default all of it.",
)
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="A tag.")
@click.option(
    "--scan",
    "scans",
    metavar="REGEX",
    multiple=True,
    help="Metrics in the output: the named groups of an expression, (?P<loss>[0-9.]+).",
)
@click.option(
    "--resume", metavar="RUN", help="Go on from RUN, which was killed: its params, its curves."
)
@click.option("--live", is_flag=True, help="Publish the run on refs/gittrack/live while it runs.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def run(
    ctx: click.Context,
    experiment: str | None,
    name: str | None,
    message: str | None,
    params: tuple[str, ...],
    params_files: tuple[str, ...],
    metrics_files: tuple[str, ...],
    data: tuple[str, ...],
    outs: tuple[str, ...],
    given: tuple[str, ...],
    trace: bool,
    reuse: bool,
    code: tuple[str, ...],
    tags: tuple[str, ...],
    scans: tuple[str, ...],
    resume: str | None,
    live: bool,
    command: tuple[str, ...],
) -> None:
    """Run a command and record it.

    The code as it is now (uncommitted changes too), the command's params and metrics, its output
    and environment become one commit on refs/runs. HEAD, index and work tree stay untouched.

    The exit code is the command's own; 125 if the run could not be recorded.

    \b
        $ git track run -- python train.py --lr 0.1
        $ git track run -x tuning --name baseline -m "larger batches" -- ./train.sh
        $ git track run -P seed=3 --metrics results.json -- make train
        $ git track run --data data/train.csv --out model.joblib -- python train.py
    """
    from gittrack import execute, upkeep
    from gittrack.cli.output import say
    from gittrack.cli.progress import bar
    from gittrack.errors import BadFile, GittrackError
    from gittrack.process import die_as

    try:
        repo = open_repo(ctx)
        before = None if resume is None else _before(repo, resume)
        outcome = execute.command(
            repo,
            execute.Request(
                argv=command,
                directory=Path.cwd(),
                experiment=experiment or (before and before.run.experiment),
                experiment_title=None if experiment or not before else before.run.experiment_title,
                name=name or (before and before.prefix),
                message=message,
                params=params,
                params_files=params_files or None,
                metrics_files=metrics_files or None,
                tags=_pairs(tags),
                data=data,
                outs=outs,
                inputs=[_input(repo, text) for text in given],
                trace=trace,
                reuse=reuse,
                code=code,
                parent=_parent(repo),
                continues=before and before.input,
                inherited=before.run.params if before else {},
                scans=scans,
                live=live,
            ),
            meter=bar(),
        )
    except GittrackError as error:
        # `git bisect run` reads 125 as "skip": the command's own answer is not known.
        if error.exit_code == 1:
            error.exit_code = 2 if isinstance(error, BadFile) else 125
        raise
    except OSError as error:
        known = circumstance(error)
        if known is None:
            raise
        known.exit_code = 125
        raise known from error
    for line in _closing_lines(outcome, named=name is not None):
        say(line)
    upkeep.maintain(repo)
    sys.exit(die_as(outcome.exit))


def _before(repo: Repo, resume: str) -> Inheritance:
    from gittrack import revisions, succession

    return succession.inherit(repo, revisions.resumable(repo, resume))


def _parent(repo: Repo) -> tuple[str, str] | None:
    """The id and the name of the run of this repository in which this one begins."""
    from gittrack.journal import RUN_VARIABLE

    if RUN_VARIABLE not in os.environ:
        return None
    from gittrack import active

    outer = active.current()
    if outer is None or "id" not in outer.begin or not outer.directory.is_relative_to(repo.state):
        return None
    return outer.begin["id"], outer.begin["name"]


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    from gittrack.errors import UsageError

    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"tag {text!r} has no '='", hint="`--tag key=value`")
        pairs[key] = value
    return pairs


def _closing_lines(outcome: Outcome, *, named: bool) -> list[str]:
    """One line of result, one of what was kept, then what the user should know.

    `named`: the user chose the name's beginning, which may well be that of other runs.
    """
    from gittrack.cells import closing
    from gittrack.names import SUFFIX

    run = outcome.run
    first = closing(run, _reused(run) if outcome.reused else None)
    # The beginning of a name finds it, unless others may well have the same.
    name = run.name if named or outcome.reused else SUFFIX.sub("", run.name)
    kept = [] if outcome.reused else [_code_words(outcome)]
    if run.params and not outcome.reused:
        kept.append(f"{len(run.params)} param{'s' if len(run.params) > 1 else ''}")
    data = _restored_words(outcome) if outcome.reused else _data_words(run)
    notices = [*_lost(outcome.exit), *outcome.notices]
    lines = [[*kept, f"git track show {name}"], data]
    drawn = ["  " + "  \u00b7  ".join(words) for words in lines if words]
    return [first, *drawn, *(f"  {line}" for line in notices)]


def _restored_words(outcome: Outcome) -> list[str]:
    from gittrack.quoting import one_line

    there = [kept for kept in outcome.run.artifacts if kept.path in outcome.restored]
    back = [f"{one_line(kept.path)} ({_extent(kept)})" for kept in there]
    return [f"there again: {_few(back)}"] if back else []


def _reused(run: Run) -> list[str]:
    from datetime import datetime, timezone

    from gittrack.cells import age

    ago = age(run.started, datetime.now(timezone.utc))
    return ["reused", f"(did the same {'just now' if ago == 'just' else f'{ago} ago'})"]


def _data_words(run: Run) -> list[str]:
    """What it read, kept and was built from, a few of each."""
    if not (run.data or run.artifacts or run.inputs):
        return []
    from gittrack.quoting import one_line

    read = [f"{one_line(d.path)} {d.md5[:7]} ({_extent(d)})" for d in run.data]
    kept = [f"{one_line(a.path)} ({_extent(a)})" for a in run.artifacts]
    built = list(dict.fromkeys(one_line(i.run.rpartition("/")[2]) for i in run.inputs))
    words = [_few(read)] if read else []
    words += [f"kept {_few(kept)}"] if kept else []
    words += [f"built on {_few(built)}"] if built else []
    return words


def _extent(item: Data | Artifact) -> str:
    from gittrack.cells import size

    if item.nfiles is None:
        return size(item.size)
    return f"{item.nfiles} file{'s' * (item.nfiles != 1)}, {size(item.size)}"


def _few(words: Sequence[str]) -> str:
    more = f", {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return ", ".join(words[:_MOST_NAMED]) + more


def _input(repo: Repo, text: str) -> Input:
    """A run named by hand."""
    from gittrack import commits, revisions
    from gittrack.records import Input

    ref = revisions.resolve(repo, text)
    return Input(ref.short, commits.load(repo, ref).id, ref.commit)


def _lost(exit: Exit) -> list[str]:
    """What is said where our own output took less than the command wrote."""
    if not exit.undelivered or exit.refusal is None:
        return []
    reason = os.strerror(exit.refusal)
    return [f"{exit.undelivered} bytes of its output could not be passed on: {reason}"]


def _code_words(outcome: Outcome) -> str:
    code, changed = outcome.snapshot.code, outcome.snapshot.changed
    words = f"code {code.base[:7]}" if code.base else "no commit yet"
    parts = []
    if changed:
        parts.append(f"{len(changed)} changed")
    if code.included:
        names = ", ".join(code.included[:2]) + (", ..." if len(code.included) > 2 else "")
        parts.append(f"{len(code.included)} new file{'s'[: len(code.included) > 1]} ({names})")
    return f"{words} + {', '.join(parts)}" if parts else words
