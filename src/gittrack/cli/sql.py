"""`git track sql`: a statement over the tables of all runs, which can only read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TextIO

import click

from gittrack.cli.asking import experiment_option
from gittrack.cli.completing import queries as complete_queries
from gittrack.cli.main import open_place
from gittrack.cli.output import format_options, page, page_data, say, screen
from gittrack.errors import UsageError

if TYPE_CHECKING:
    from gittrack.selection import Answer
    from gittrack.whereabouts import Place

__all__ = ["sql"]

_FIRST = 50
_AT_ONCE = 1000
_LONGEST = 1 << 20


@click.command()
@click.argument("statement", required=False)
@click.option(
    "--file",
    "file",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Read the statement from FILE; - is standard input.",
)
@click.option(
    "--where",
    "query",
    metavar="QUERY",
    shell_complete=complete_queries,
    help="Only of the runs that match QUERY.",
)
@experiment_option("Only of")
@click.option("--deleted", is_flag=True, help="Of deleted runs, too.")
@click.option("-n", "count", type=click.IntRange(min=0), metavar="N", help="Print at most N rows.")
@format_options
@click.pass_context
def sql(
    ctx: click.Context,
    statement: str | None,
    file: TextIO | None,
    query: str | None,
    experiment: str | None,
    deleted: bool,
    count: int | None,
    form: str | None,
) -> None:
    """Run a statement of SQL over all runs; it can only read.

    The statement is one select, in the words of SQLite. Without any, the tables and their columns
    are listed. Runs are joined by their id: runs.id is run elsewhere. Running and archived runs are
    among them. docs/sql.md has it all.

    \b
    $ git track sql
    $ git track sql "select name, duration from runs where status = 'failed'"
    $ git track sql "select key, count(*), max(value) from metrics group by key" --csv
    $ git track sql --file report.sql --where "experiment = 'default'" --json
    """
    if file is not None:
        if statement is not None:
            raise UsageError("a statement and --file do not go together")
        statement = _read(file)
    place = open_place(ctx)
    count = None if count is None else min(count, sys.maxsize)
    if statement is None:
        _list(place, form)
        return
    _answer(place, statement, query, experiment, deleted, count, form)


def _read(file: TextIO) -> str:
    try:
        text = file.read(_LONGEST + 1)
    except UnicodeDecodeError as error:
        raise UsageError(f"{file.name}: not UTF-8 ({error.reason})") from error
    if len(text) > _LONGEST:
        raise UsageError(f"{file.name}: a statement has at most {_LONGEST:,} characters")
    return text


def _answer(
    place: Place,
    statement: str,
    query: str | None,
    experiment: str | None,
    deleted: bool,
    count: int | None,
    form: str | None,
) -> None:
    from gittrack.cli.progress import bar
    from gittrack.extracts import Extract
    from gittrack.search import Question, open_search
    from gittrack.selection import Selection

    with bar() as meter, open_search(place, meter=meter) as search:
        if search.apology is not None:
            say(f"warning: {search.apology}")
        source = Extract(place, search, Question(query, experiment=experiment, deleted=deleted))
        with Selection(source, meter=meter) as selection:
            answer = selection.ask(statement)
            meter.end()
            _print(place, answer, count, form)
        for problem in source.problems:
            say(f"warning: {problem.message}")


def _print(place: Place, answer: Answer, count: int | None, form: str | None) -> None:
    first = next(answer.rows, None)
    if first is not None:
        answer = answer._replace(rows=chain([first], answer.rows))
    elif form is not None or not screen().is_terminal:
        say("no rows")
    rows = answer.rows if count is None else islice(answer.rows, count)
    if form == "csv":
        _write(place, _as_csv(answer.columns, rows))
    elif form == "json":
        _write(place, _as_json(answer.columns, rows))
    else:
        _draw(place, answer, count, form)


def _draw(place: Place, answer: Answer, count: int | None, form: str | None) -> None:
    from gittrack.report import Column, sheet, sheet_markdown

    shown = screen()
    limit = count if count is not None else _FIRST if shown.is_terminal and form is None else None
    rows = list(answer.rows if limit is None else islice(answer.rows, limit))
    more = limit is not None and next(answer.rows, None) is not None
    columns = [Column("", name) for name in answer.columns]
    values = [[_shown(row[place]) for row in rows] for place in range(len(columns))]
    if form == "md":
        page_data(place, sheet_markdown(columns, values))
        return
    drawn = sheet(columns, values, width=shown.width, color=shown.color)
    footer = f"{len(rows)} row{'s' * (len(rows) != 1)}"
    if more:
        footer = f"the first {footer} (-n shows more)"
    if drawn.dropped:
        footer += f" · too narrow for {', '.join(drawn.dropped[:6])}"
    if shown.is_terminal:
        page(place, f"{drawn.text}{footer}\n")
    else:
        page(place, drawn.text)
        if more or drawn.dropped:
            say(footer)


def _write(place: Place, pieces: Iterator[str]) -> None:
    """Data as it comes: onto a terminal page by page, else piece by piece."""
    if screen().is_terminal:
        page_data(place, "".join(pieces))
        return
    for piece in pieces:
        # Python has no `stdout` where it was closed before.
        if sys.stdout is not None:
            sys.stdout.write(piece)


def _as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    from gittrack.exports import csv_rows

    waiting = chain([columns], rows)
    while some := list(islice(waiting, _AT_ONCE)):
        yield csv_rows([[_shown(value) for value in row] for row in some])


def _as_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """One array with an object a row, as it comes; of two columns of one name one is `NAME:1`."""
    import json

    from gittrack.cells import jsonable

    keys: list[str] = []
    for name in columns:
        again = (f"{name}:{number}" for number in range(1, len(columns) + 1))
        keys.append(name if name not in keys else next(key for key in again if key not in keys))
    opened = False
    for row in rows:
        item = {key: jsonable(_shown(value)) for key, value in zip(keys, row, strict=True)}
        yield (",\n" if opened else "[\n") + "  " + json.dumps(item, allow_nan=False)
        opened = True
    yield "\n]\n" if opened else "[]\n"


def _shown(value: Any) -> Any:
    """A value of SQLite's as the formats take it: bytes, which no run has, as SQL writes them."""
    return f"x'{value.hex()}'" if isinstance(value, bytes) else value


def _list(place: Place, form: str | None) -> None:
    from gittrack.relations import RELATIONS
    from gittrack.report import Column, sheet_markdown

    rows = [
        (relation.name, column.name, column.type, column.about)
        for relation in RELATIONS
        for column in relation.columns
    ]
    head = ("table", "column", "type", "about")
    if form == "csv":
        _write(place, _as_csv(head, rows))
    elif form == "json":
        _write(place, _as_json(head, rows))
    elif form == "md":
        values = [[row[n] for row in rows] for n in range(len(head))]
        page_data(place, sheet_markdown([Column("", name) for name in head], values))
    else:
        page(place, "\n".join(_told()))


def _told() -> Iterator[str]:
    """The tables and columns for people."""
    from gittrack.cells import bold
    from gittrack.relations import RELATIONS

    color = screen().color
    width = max(len(column.name) for relation in RELATIONS for column in relation.columns)
    for relation in RELATIONS:
        yield f"{bold(relation.name, color)}: {relation.about}"
        for column in relation.columns:
            yield f"  {column.name:<{width}}  {column.type or 'ANY':<7}  {column.about}"
        yield ""
