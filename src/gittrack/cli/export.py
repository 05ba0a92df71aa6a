"""`git track export`: runs as files that other engines read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import click

from gittrack.cli.asking import experiment_option
from gittrack.cli.completing import queries as complete_queries
from gittrack.cli.main import open_place
from gittrack.cli.output import say, screen
from gittrack.errors import GittrackError, UsageError
from gittrack.extracts import Extract
from gittrack.meter import Meter

__all__ = ["export"]

_FORMS = ("parquet", "csv", "jsonl", "sqlite")
_STDOUT = "-"


class _Order(NamedTuple):
    """What to write, and where to."""

    form: str
    target: str
    curves: bool
    force: bool


@click.command()
@click.argument("query", required=False, shell_complete=complete_queries)
@click.option("--parquet", metavar="DIR", help="Write a directory of Parquet files.")
@click.option("--csv", metavar="FILE", help="Write CSV, a line a run; - is standard output.")
@click.option("--jsonl", metavar="FILE", help="Write an object of JSON a line; - as above.")
@click.option("--sqlite", metavar="FILE", help="Write the tables of `git track sql`.")
@click.option(
    "--curves/--no-curves",
    default=None,
    help="With every point of every metric, or without; with them into Parquet and SQLite.",
)
@experiment_option("Export")
@click.option("--deleted", is_flag=True, help="Export deleted runs, too.")
@click.option("-f", "--force", is_flag=True, help="Overwrite what is there.")
@click.pass_context
def export(
    ctx: click.Context,
    /,
    query: str | None,
    curves: bool | None,
    experiment: str | None,
    deleted: bool,
    force: bool,
    **targets: str | None,
) -> None:
    """Write runs into files that other engines read.

    Such as DuckDB, pandas, Spark and spreadsheets. All runs, or those that match QUERY, running and
    archived ones included. What is written appears whole or not at all. docs/scale.md shows more.

    Parquet becomes two data sets, DIR/runs and DIR/series, partitioned by experiment; a column has
    one type in all their files. It takes pyarrow: pip install 'gittrack[parquet]'.

    \b
    $ git track export --csv runs.csv
    $ git track export --sqlite runs.db "status = 'finished'"
    $ git track export --parquet runs -x default
    $ git track export --jsonl - --curves | gzip > runs.jsonl.gz
    """
    order = _order(targets, curves, force)
    if order.form == "parquet":
        from gittrack.parquet import require

        require()
    from gittrack.cli.progress import bar
    from gittrack.search import Question, open_search

    place = open_place(ctx)
    with bar() as meter, open_search(place, meter=meter) as search:
        if search.apology is not None:
            say(f"warning: {search.apology}")
        source = Extract(place, search, Question(query, experiment=experiment, deleted=deleted))
        if not source.total:
            raise GittrackError(
                "no run matches: nothing was written", hint="`git track ls` lists what there is."
            )
        _write(source, order, meter)
    for problem in source.problems:
        say(f"warning: {problem.message}")
    where = "standard output" if order.target == _STDOUT else order.target
    say(f"{source.total:,} run{'s' * (source.total != 1)} written to {where}")


def _order(targets: dict[str, str | None], curves: bool | None, force: bool) -> _Order:
    chosen = [(form, target) for form in _FORMS if (target := targets[form]) is not None]
    if len(chosen) != 1:
        raise UsageError(
            "one of --parquet, --csv, --jsonl and --sqlite is needed"
            if not chosen
            else f"--{chosen[0][0]} and --{chosen[1][0]} do not go together",
            hint="'git track export -h' shows its usage.",
        )
    form, target = chosen[0]
    if not target:
        raise UsageError(f"--{form} needs a name")
    if target == _STDOUT and form in ("parquet", "sqlite"):
        raise UsageError(f"--{form} cannot write to standard output", hint="name a file.")
    if form == "csv" and curves:
        raise UsageError(
            "CSV has a line a run, and no place for curves",
            hint="--jsonl, --sqlite and --parquet have; so has `git track sql`.",
        )
    wanted = form in ("parquet", "sqlite") if curves is None else curves
    return _Order(form, target, wanted, force)


def _write(source: Extract, order: _Order, meter: Meter) -> None:
    from gittrack import delivery, editions

    if order.form == "parquet":
        with delivery.directory(
            order.target, force=order.force, ours=editions.foreign
        ) as directory:
            editions.as_parquet(source, directory, curves=order.curves, meter=meter)
        return
    place = (
        nullcontext(None)
        if order.target == _STDOUT
        else delivery.file(order.target, force=order.force)
    )
    with place as path:
        if order.form == "sqlite":
            from gittrack.tuples import store

            assert path is not None
            without = () if order.curves else ("series",)
            store(source, path, without=without, meter=meter, named=order.target)
        else:
            _write_text(source, order, path, meter)


def _write_text(source: Extract, order: _Order, path: Path | None, meter: Meter) -> None:
    from gittrack import editions

    def through(write: Callable[[str], Any]) -> None:
        if order.form == "csv":
            editions.as_csv(source, write, meter=meter)
        else:
            editions.as_jsonl(source, write, curves=order.curves, meter=meter)

    if path is None:
        through(_to_terminal if screen().is_terminal else _to_stdout)
        return
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        through(file.write)


def _to_stdout(text: str) -> None:
    # Python has no `stdout` where it was closed before.
    if sys.stdout is not None:
        sys.stdout.write(text)


def _to_terminal(text: str) -> None:
    from gittrack.quoting import printable

    _to_stdout(printable(text.replace("\r\n", "\n")))
