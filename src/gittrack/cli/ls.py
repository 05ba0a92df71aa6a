"""`git track ls`: the table of runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gittrack.cli.asking import asked, experiment_option, saved_option
from gittrack.cli.completing import columns as complete_columns
from gittrack.cli.completing import queries as complete_queries
from gittrack.cli.footer import counted, foot
from gittrack.cli.keys import is_expression, is_key, plain_key, several
from gittrack.cli.main import open_place
from gittrack.cli.output import Screen, format_options, page, page_data, say, screen
from gittrack.cli.progress import bar
from gittrack.errors import UnknownKey, UsageError
from gittrack.search import Question, Search, open_search

if TYPE_CHECKING:
    from gittrack.index import Known
    from gittrack.lineage import Stale
    from gittrack.report import Column
    from gittrack.summaries import Summary
    from gittrack.whereabouts import Place

__all__ = ["leading", "ls"]

Behind = Mapping[str, "Stale"]

_FIRST = 50
_TOO_MANY, _LEADING = 40, 12
_WHY = "stale"


@click.command()
@click.argument("query", nargs=-1, metavar="[QUERY]", shell_complete=complete_queries)
@click.option(
    "--sort",
    "sort",
    metavar="KEY,...",
    multiple=True,
    shell_complete=complete_columns,
    help="Sort by KEY, lowest first; -KEY highest first. Again for the next key.",
)
@click.option("-n", "count", type=click.IntRange(min=0), metavar="N", help="Show at most N runs.")
@experiment_option("Show")
@saved_option("Show")
@click.option(
    "--columns",
    "names",
    metavar="KEY,...",
    multiple=True,
    shell_complete=complete_columns,
    help="Show these columns, in this order; * and ? fit any letters: metrics.*, *loss*.",
)
@click.option("--all-columns", "everything", is_flag=True, help="Show what never varies, too.")
@click.option(
    "--group-by",
    metavar="KEY,...",
    multiple=True,
    shell_complete=complete_columns,
    help="Show a line for each value of KEY: how many runs, and mean, std, min, max of metrics.",
)
@click.option(
    "--pivot",
    metavar="ROW,COLUMN,VALUE",
    shell_complete=complete_columns,
    help="Show the mean of VALUE for each value of ROW and COLUMN.",
)
@click.option(
    "--distinct",
    metavar="KEY,...",
    multiple=True,
    shell_complete=complete_columns,
    help="Show which values KEY has, and in how many runs.",
)
@click.option("--archived", is_flag=True, help="Show archived runs, too.")
@click.option("--deleted", is_flag=True, help="Show deleted runs, too.")
@click.option("--tree", is_flag=True, help="Draw nested runs under those that they belong to.")
@click.option(
    "--stale", is_flag=True, help="Show only runs whose input runs have newer ones, and why."
)
@format_options
@click.pass_context
def ls(
    ctx: click.Context,
    query: Sequence[str],
    sort: Sequence[str],
    count: int | None,
    experiment: str | None,
    saved: Sequence[str],
    names: Sequence[str],
    everything: bool,
    group_by: Sequence[str],
    pivot: str | None,
    distinct: Sequence[str],
    archived: bool,
    deleted: bool,
    tree: bool,
    stale: bool,
    form: str | None,
) -> None:
    """List runs, newest first.

    With a query those that match it. It compares params, metrics, tags and attributes: and, or,
    not, in, like, is null, min(), max(). It is one argument, so quote it. docs/query.md has it all.

    Shown are the params and metrics that vary. On a terminal the newest 50 runs and the columns
    that fit, in data (--json, --csv, --md) everything. Where stdout is no terminal, and there were
    more than 40 columns, the 12 params and metrics that most runs have. What --sort sorts by has a
    column. The setting track.columns stands for --columns in tables.

    A column, and a sort key, may be a function of a curve: max(acc), first(loss), min_step(loss).

    With --group-by and --pivot such a function is that of the group's runs: mean(acc) is the mean
    of what they ended with, and so are std, min, max, median, sum and count; mean(max(acc)) is the
    mean of their best. Sort groups by what they show: --sort '-mean(acc)'; -acc means the same.

    With --tree a nested run stands below its parent, sorted among its siblings. A run whose parent
    is not in the listing stands by itself.

    With --stale those that were built from a run of which there is a newer one (same command, same
    experiment, finished, other bytes), or from a stale one.

    \b
    $ git track ls 'metrics.acc > 0.9 and not dirty' --sort -acc -n 5
    $ git track ls --columns 'name,lr,*loss*,max(acc)'
    $ git track ls --group-by params.model --sort -acc
    $ git track ls --pivot 'lr,optimizer,max(acc)'
    $ git track ls --distinct params.optimizer
    $ git config track.alias.good 'metrics.acc > 0.9' && git track ls -q good
    $ git track ls --csv > runs.csv
    """
    _refuse_both(
        {"--group-by": bool(group_by), "--pivot": bool(pivot), "--distinct": bool(distinct),
         "--tree": tree, "--stale": stale}
    )  # fmt: skip
    place = open_place(ctx)
    count = None if count is None else min(count, sys.maxsize)
    with bar() as meter, open_search(place, meter=meter) as search:
        _warn(search.apology)
        known = search.vocabulary
        question = Question(
            asked(place, query, saved, typed=("ls",)), experiment, archived, deleted
        )
        orders = several(sort, known)
        if group_by or pivot or distinct:
            from gittrack.cli import groups

            wanted = groups.Wanted(
                several(group_by, known), several([pivot or ""], known), several(distinct, known),
                several(names, known), orders, count, form,
            )  # fmt: skip
            if not groups.show(place, search, question, wanted):
                say(_nothing(search, question))
            return
        options = _Options(several(names, known), count, everything, tree, stale, form)
        _list(place, search, question._replace(sort=tuple(orders)), options)


class _Options(NamedTuple):
    """What was asked of the listing itself."""

    names: Sequence[str]
    most: int | None
    everything: bool
    tree: bool
    stale: bool
    form: str | None


def _refuse_both(given: Mapping[str, bool]) -> None:
    names = [name for name, there in given.items() if there and name != "--stale"]
    names += ["--stale"] if given["--stale"] and names != ["--tree"] else []
    if len(names) > 1:
        raise UsageError(f"{names[0]} and {names[1]} do not go together")


def _warn(text: str | None) -> None:
    if text:
        say(f"warning: {text}")


# -- the listing ----------------------------------------------------------------------------------


def _list(place: Place, search: Search, question: Question, options: _Options) -> None:
    shown = screen()
    limit = options.most
    if limit is None and shown.is_terminal and options.form is None:
        limit = _FIRST
    behind = _behind(place) if options.stale else None
    whole = options.tree or options.stale
    question = question._replace(limit=None if whole else limit)
    found = search.find(question)
    for problem in found.problems:
        say(f"warning: {problem.message}")
    runs, total, exact = found.runs, found.total, found.exact
    if behind is not None:
        runs = [run for run in runs if run.commit in behind]
    leads = _leads(runs) if options.tree else []
    if whole:
        runs, total, exact = [run for run, _ in leads] if leads else runs, len(runs), True
    part = runs if limit is None else runs[:limit]
    chosen = _chosen(place, search, part, options)
    keys = [key for key, _ in found.order]
    known = search.vocabulary
    texts = [column.key for column in chosen or () if is_expression(column.key, known)]
    texts += [key for key in keys if not is_key(key, known)]
    more = _computed(search, question, part, texts)
    if behind is not None:
        more[_WHY] = [_reason(behind[run.commit or ""]) for run in part]
    view = _View(chosen, keys, options.everything, behind, [lead for _, lead in leads], more)
    if options.form is not None:
        page_data(place, _data(part, options.form, view))
    elif part:
        count = counted(len(part), total, exact, matched=question.query is not None)
        _print(place, part, count, view, shown)
    if not total:
        stale = behind is not None and found.total > 0 and not question.query
        none = "no run is stale" if stale else None
        say(none or _nothing(search, question))


def _chosen(
    place: Place, search: Search, part: Sequence[Summary], options: _Options
) -> list[Column] | None:
    """The columns that are asked for, here or in the settings; None means those that vary."""
    from gittrack import report

    known = search.vocabulary
    if options.names:
        if not part and not any(map(known.keys, ("params", "metrics", "tags"))):
            return None
        names = [plain_key(name, known) for name in options.names]
        texts = [name for name in names if is_expression(name, known)]
        return report.chosen_columns(names, part, vocabulary=known, more=texts)
    if not part or options.everything or options.form in ("json", "csv"):
        return None
    found: list[Column] = []
    for name in several([place.setting("track.columns") or ""], known):
        full = plain_key(name, known)
        texts = [full] if is_expression(full, known) else []
        try:
            found += report.chosen_columns([full], part, vocabulary=known, more=texts)
        except UnknownKey as error:
            _warn(f"track.columns: {error.message}")
    return report.told_apart(found) or None


def _computed(
    search: Search, question: Question, part: Sequence[Summary], texts: Sequence[str]
) -> dict[str, Sequence[Any]]:
    """The values of expressions for the runs that are shown."""
    if not texts or not part:
        return {text: [] for text in texts}
    columns = search.columns(question, ["id", *dict.fromkeys(texts)])
    places = {run: place for place, run in enumerate(columns["id"])}
    rows = [places.get(run.id) for run in part]
    return {text: [None if row is None else columns[text][row] for row in rows] for text in texts}


class _View(NamedTuple):
    """What to show of the runs: the columns asked for, if any, the sort keys, or everything.

    `more` are columns of values beside the runs' own.
    """

    chosen: Sequence[Column] | None
    keys: Sequence[str]
    everything: bool
    behind: Behind | None
    leads: Sequence[str]
    more: Mapping[str, Sequence[Any]]

    def columns(self, part: Sequence[Summary]) -> Sequence[Column]:
        """The columns of a table for people; what it is sorted by is among them."""
        from gittrack import report

        columns = self.chosen
        if columns is None:
            columns = report.varying_columns(part, everything=self.everything, also=self.keys)
            # What is computed is called as it was written.
            columns = [report.Column(c.key, c.key) if c.key in self.more else c for c in columns]
        return columns if self.behind is None else [*columns, report.Column(_WHY, "STALE")]

    def drawn(self, part: Sequence[Summary]) -> Mapping[str, Sequence[Any]]:
        """What is drawn beside the runs' own values: in a tree names with the lines before them."""
        if not self.leads:
            return self.more
        names = [lead + run.name for run, lead in zip(part, self.leads, strict=False)]
        return {**self.more, "name": names}


def _leads(found: Sequence[Summary]) -> list[tuple[Summary, str]]:
    """The runs as a tree, in its order, each with the lines that lead to it.

    Of runs that are each other's parents the first one is on top.
    """
    from gittrack.cli.tree import walk

    here = {run.id for run in found}
    children: dict[str | None, list[int]] = {}
    for place, run in enumerate(found):
        nested = run.parent in here and run.parent != run.id
        children.setdefault(run.parent if nested else None, []).append(place)
    drawn: set[int] = set()

    def below(place: int) -> list[int]:
        drawn.add(place)
        fresh = [child for child in children.get(found[place].id, ()) if child not in drawn]
        drawn.update(fresh)
        return fresh

    lines = [(found[place], lead) for place, lead in walk(children.get(None, []), below)]
    for place in range(len(found)):
        if place not in drawn:
            lines += [(found[at], lead) for at, lead in walk([place], below)]
    return lines


def _behind(place: Place) -> Behind:
    from gittrack import lineage

    with bar() as meter:
        return lineage.stale(place.repo, meter=meter)


def _reason(why: Stale) -> str:
    """Why a run is stale, in the few words for which a column has room."""
    if why.again is not None:
        return f"run again as {why.again.name}"
    if why.newer is not None:
        return f"{why.newer.name} is newer"
    return f"{why.input.name} is stale"


def _nothing(search: Search, question: Question) -> str:
    """What is said where no run is shown, and by which options some would be."""
    more = question._replace(archived=True, deleted=False, limit=1, sort=())
    archived = search.find(more).total
    deleted = search.find(more._replace(deleted=True)).total - archived
    options = [name for name, there in (("--archived", archived), ("--deleted", deleted)) if there]
    none = "no runs" if question.query is None else "no run matches"
    if options:
        return f"{none} ({' and '.join(options)} show{'s'[len(options) - 1 :]} more)"
    if question.query is not None:
        return none
    return "no runs yet: git track run -- COMMAND records one"


def _print(place: Place, part: Sequence[Summary], count: str, view: _View, shown: Screen) -> None:
    from datetime import datetime, timezone

    from gittrack import report

    now = datetime.now(timezone.utc)
    columns: Sequence[Column] = view.columns(part)
    others: Sequence[Column] = ()
    hides = view.chosen is None and not view.everything
    if hides and shown.width is None:
        columns, others = leading(part, columns, keep=(_WHY, *view.keys))
    drawn = report.table(
        part,
        columns,
        now=now if shown.is_terminal else None,
        clock=now,
        width=shown.width,
        color=shown.color,
        fixed=view.chosen is not None,
        keep=("name", _WHY, *view.keys),
        more=view.drawn(part),
    )
    dropped = [*drawn.dropped, *(column.title for column in others)]
    hides = hides and report.hides(part, [*columns, *others])
    footer = foot(count, dropped, hides=hides, width=shown.width)
    if shown.is_terminal:
        page(place, drawn.text + footer + "\n")
    else:
        page(place, drawn.text)
        say(footer)


def leading(
    found: Sequence[Summary], columns: Sequence[Column], *, keep: Sequence[str] = ()
) -> tuple[list[Column], list[Column]]:
    """Of more than 40 columns those that people can take in, and the others.

    All but params, metrics and tags; of these the 12 that most runs have, about as many of each
    group, and those whose keys are in `keep`.
    """
    from gittrack import report

    if len(columns) <= _TOO_MANY:
        return list(columns), []
    ranked = {
        group: sorted(
            (c for c in columns if c.key.startswith(f"{group}.") and c.key not in keep),
            key=lambda column: sum(report.lookup(run, column.key) is None for run in found),
        )
        for group in ("params", "metrics", "tags")
    }
    others: set[Column] = set()
    while sum(map(len, ranked.values())) > _LEADING:
        others.add(max(ranked.values(), key=len).pop())
    return [c for c in columns if c not in others], [c for c in columns if c in others]


def _data(part: Sequence[Summary], form: str, view: _View) -> str:
    from gittrack import exports, report

    if form == "json":
        return exports.as_json(_records(part, view))
    if form == "csv":
        chosen = view.chosen if view.chosen is not None else report.full_columns(part)
        others = [key for key in view.more if key not in {column.key for column in chosen}]
        columns = [*chosen, *(report.Column(key, key) for key in others)]
        return exports.csv_text(part, columns, view.more)
    return report.markdown(part, view.columns(part), view.drawn(part)) if part else ""


def _records(part: Sequence[Summary], view: _View) -> Sequence[Any]:
    """Runs as JSON has them, with `values` of what was computed, and `stale`: what makes it so."""
    texts = [text for text in view.more if text != _WHY]
    if not texts and view.behind is None:
        return part
    from gittrack.cells import jsonable

    made = []
    for place, run in enumerate(part):
        record = jsonable(run)
        if texts:
            record["values"] = {text: view.more[text][place] for text in texts}
        if view.behind is not None:
            why = view.behind[run.commit or ""]
            record[_WHY] = {
                "input": _named(why.input),
                "newer": _named(why.newer),
                "again": _named(why.again),
            }
        made.append(record)
    return made


def _named(run: Known | None) -> dict[str, str] | None:
    return None if run is None else {"run": run.short, "id": run.id, "commit": run.commit}
