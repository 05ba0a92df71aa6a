"""`git track ls` with --group-by, --pivot or --distinct: what runs have in common, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import grouping, report
from gittrack.cells import ABSENT, is_number, plain
from gittrack.cli.footer import foot
from gittrack.cli.keys import Told, is_expression, is_key, plain_key, resolved, told
from gittrack.cli.output import page, page_data, say, screen
from gittrack.errors import UsageError
from gittrack.figures import moment
from gittrack.report import Column
from gittrack.vocabulary import ATTRIBUTES

if TYPE_CHECKING:
    from gittrack.search import Question, Search
    from gittrack.vocabulary import Vocabulary
    from gittrack.whereabouts import Place

__all__ = ["Statistic", "Wanted", "show"]

_FIRST = 50
_MOST_METRICS = 12
_USUAL = ("mean", "std", "min", "max")
_SPARE = ("sum", "count", "median", "max", "min", "std")
_COUNTS = ("count", "runs")
"""Names of the number of a group's runs."""

_TIMES = ("started", "ended")


class Wanted(NamedTuple):
    """What to gather by, which of the three is not empty; `names` as in --columns."""

    by: Sequence[str]
    pivot: Sequence[str]
    distinct: Sequence[str]
    names: Sequence[str]
    sort: Sequence[str]
    most: int | None
    form: str | None


class Statistic(NamedTuple):
    """One of `grouping.AGGREGATES` of the values that a group's runs have under `key`."""

    function: str
    key: str

    def of(self, values: Sequence[Any]) -> Any:
        """Its value, of a time a moment."""
        return self.shown(grouping.aggregate(self.function, values))

    def shown(self, found: Any) -> Any:
        """A value of its, of a time a moment."""
        if self.key in _TIMES and found is not None and self.function not in ("count", "std"):
            return moment(found)
        return found


class _Grid(NamedTuple):
    """A table of anything: for people, and the same for programs."""

    columns: Sequence[Column]
    values: Sequence[Sequence[Any]]
    heads: Sequence[str]
    records: Sequence[Mapping[str, Any]]
    spare: Sequence[int]
    said: str


def show(place: Place, search: Search, question: Question, wanted: Wanted) -> bool:
    """Print the table; whether there were runs to make it of.

    Raises:
        UnknownKey: no run has a key that is asked for.
        UsageError: it has no numbers, or a pivot is not of three keys.
    """
    if wanted.pivot:
        grid, runs = _pivot(search, question, wanted)
    else:
        grid, runs = _groups(search, question, wanted)
    shown = screen()
    if wanted.form is not None:
        page_data(place, _data(grid, wanted.form))
    elif runs:
        now = datetime.now(timezone.utc) if shown.is_terminal else None
        drawn = report.sheet(
            grid.columns,
            grid.values,
            now=now,
            width=shown.width,
            color=shown.color,
            spare=grid.spare,
        )
        said = foot(grid.said, drawn.dropped, hides=False, width=shown.width)
        if shown.is_terminal:
            page(place, drawn.text + said + "\n")
        else:
            page(place, drawn.text)
            say(said)
    return runs > 0


def _data(grid: _Grid, form: str) -> str:
    if form == "md":
        return report.sheet_markdown(grid.columns, grid.values)
    from gittrack import exports

    if form == "json":
        return exports.as_json(grid.records)
    return exports.csv_rows([grid.heads, *zip(*grid.values, strict=True)])


# -- groups ---------------------------------------------------------------------------------------


def _groups(search: Search, question: Question, wanted: Wanted) -> tuple[_Grid, int]:
    known = search.vocabulary
    if _is_empty(search, known):
        return _Grid([], [], [], [], [], ""), 0
    by = _keys(wanted.distinct or wanted.by, known)
    if not by:
        raise UsageError(
            "no key is named to group by", hint="`git track ls --all-columns` shows them."
        )
    orders = [_order(text, by, known) for text in wanted.sort]
    asked = [] if wanted.distinct else _statistics(wanted.names, by, known)
    needed = [*asked, *(item for item, _ in orders if isinstance(item, Statistic))]
    columns = _load(search, question, [*by, *(statistic.key for statistic in needed)])
    if not wanted.distinct and not wanted.names:
        asked = _varying(asked, columns)
    for key in dict.fromkeys(statistic.key for statistic in asked):
        _check(key, columns, explicit=key in wanted.names)
    gathered = grouping.groups([columns[key] for key in by])
    for item, descending in reversed(orders):
        gathered = _sorted(gathered, item, descending, by, columns)
    limit = wanted.most
    if limit is None and wanted.form is None and screen().is_terminal:
        limit = _FIRST
    total, runs = len(gathered), len(columns[by[0]])
    gathered = gathered[:limit]
    values: list[list[Any]] = [
        [_present(key, group.values[place]) for group in gathered] for place, key in enumerate(by)
    ]
    values.append([len(group.rows) for group in gathered])
    values += _told_of(asked, gathered, columns)
    titles = _titles([*by, *(statistic.key for statistic in asked)], known)
    made = [_column(key, titles) for key in by]
    made += [Column("", "RUNS")]
    made += [
        Column("" if s.function == "count" else _look(s.key), f"{s.function}({titles[s.key]})")
        for s in asked
    ]
    heads = [*by, "count", *(f"{s.function}({s.key})" for s in asked)]
    first = len(by) + 1
    spare = [
        first + place
        for function in _SPARE
        for place in reversed(range(len(asked)))
        if asked[place].function == function
    ]
    records = [_record(by, asked, row) for row in zip(*values, strict=True)]
    said = _told(bool(wanted.distinct), by, (len(gathered), total, runs))
    return _Grid(made, values, heads, records, [] if wanted.names else spare, said), runs


def _told_of(
    asked: Sequence[Statistic],
    gathered: Sequence[grouping.Group],
    columns: Mapping[str, Sequence[Any]],
) -> list[list[Any]]:
    """A column for each statistic; those of one key are worked out together."""
    made: list[list[Any]] = [[] for _ in asked]
    for key in dict.fromkeys(statistic.key for statistic in asked):
        places = [place for place, statistic in enumerate(asked) if statistic.key == key]
        names = [asked[place].function for place in places]
        for group in gathered:
            found = grouping.aggregates(names, group.of(columns[key]))
            for place, value in zip(places, found, strict=True):
                made[place].append(asked[place].shown(value))
    return made


def _told(distinct: bool, by: Sequence[str], counts: tuple[int, int, int]) -> str:
    shown, total, runs = counts
    noun = "group" if not distinct else "value" if len(by) == 1 else "combination"
    whole = f"{total:,} {noun}{'s' * (total != 1)}"
    if shown < total:
        whole = f"{shown:,} of {whole} (-n shows more)"
    of = f" of {' and '.join(by)} in" if distinct else " of"
    return f"{whole}{of} {runs:,} run{'s' * (runs != 1)}"


def _record(by: Sequence[str], asked: Sequence[Statistic], row: Sequence[Any]) -> dict[str, Any]:
    """A line of the table as JSON has it: the statistics of one key are one object."""
    made: dict[str, Any] = dict(zip(by, row, strict=False))
    made["count"] = row[len(by)]
    for statistic, value in zip(asked, row[len(by) + 1 :], strict=True):
        made.setdefault(statistic.key, {})
        if isinstance(made[statistic.key], dict):
            made[statistic.key][statistic.function] = value
    return made


def _statistics(names: Sequence[str], by: Sequence[str], known: Vocabulary) -> list[Statistic]:
    """What to tell of each group: of the columns asked for, else of the leading metrics."""
    if not names:
        metrics = [f"metrics.{key}" for key in known.keys("metrics")]
        metrics.sort(key=lambda key: -known.count(key).numbers)
        leading = sorted(key for key in metrics[:_MOST_METRICS] if key not in by)
        return [Statistic(function, key) for key in leading for function in _USUAL]
    found: list[Statistic] = []
    for name in names:
        if name in _COUNTS and not is_key(name, known):
            # How many runs a group has is told in any case.
            continue
        call = _call(name, known)
        for key in _numeric(call.argument if call else name, known):
            if call is not None:
                found.append(Statistic(call.function, key))
            elif key not in by:
                usual = ("min", "max") if key in _TIMES else _USUAL
                found += [Statistic(function, key) for function in usual]
    return list(dict.fromkeys(found))


def _statistic(name: str, known: Vocabulary) -> Statistic | None:
    """The statistic that a text calls for; None if it is the name of a key, or another function."""
    call = _call(name, known)
    return None if call is None else Statistic(call.function, resolved(call.argument, known))


def _call(name: str, known: Vocabulary) -> Told | None:
    call = told(name) if is_expression(name, known) else None
    return call if call is not None and call.function in grouping.AGGREGATES else None


def _numeric(name: str, known: Vocabulary) -> list[str]:
    """The full keys of a name; of a pattern those that have numbers."""
    plain_name = plain_key(name, known)
    if is_expression(name, known) or known.has(plain_name) or not set("*?[") & set(plain_name):
        return [resolved(name, known)]
    fits = known.match(plain_name)
    if not fits:
        known.resolve(plain_name)
    return [key for key in fits if key == "duration" or known.count(key).numbers]


def _varying(asked: Sequence[Statistic], columns: Mapping[str, Sequence[Any]]) -> list[Statistic]:
    """Of these metrics those that are not the same in all runs, or all if none is."""
    keys = dict.fromkeys(statistic.key for statistic in asked)
    having = {key for key in keys if any(map(is_number, columns[key]))}
    varying = {key for key in having if grouping.varies(columns[key])} or having
    return [statistic for statistic in asked if statistic.key in varying]


def _order(text: str, by: Sequence[str], known: Vocabulary) -> tuple[str | Statistic, bool]:
    """What to sort groups by: `count`, one of the keys that they have in common, or a statistic."""
    words = text.rsplit(None, 1)
    descending = len(words) == 2 and words[1].lower() == "desc"
    if len(words) == 2 and words[1].lower() in ("asc", "desc"):
        text = words[0]
    if text.startswith(("-", "+")):
        descending ^= text[0] == "-"
        text = text[1:]
    if text in by:
        return text, descending
    if text == "count" or (text in _COUNTS and not is_key(text, known)):
        return "count", descending
    one = _statistic(text, known)
    if one is not None:
        return one, descending
    key = resolved(text, known)
    return (key if key in by else Statistic("mean", key)), descending


def _sorted(
    gathered: Sequence[grouping.Group],
    item: str | Statistic,
    descending: bool,
    by: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
) -> list[grouping.Group]:
    """Sort stably; what is absent or NaN last, always."""

    def value(group: grouping.Group) -> Any:
        if isinstance(item, Statistic):
            return item.of(group.of(columns[item.key]))
        return len(group.rows) if item == "count" else group.values[by.index(item)]

    last = (grouping.rank(None)[0], grouping.rank(float("nan"))[0])
    ranked = [(grouping.rank(value(group)), group) for group in gathered]
    having = [pair for pair in ranked if pair[0][0] not in last]
    having.sort(key=lambda pair: pair[0], reverse=descending)
    return [group for _, group in [*having, *(p for p in ranked if p[0][0] in last)]]


# -- pivots ---------------------------------------------------------------------------------------


def _pivot(search: Search, question: Question, wanted: Wanted) -> tuple[_Grid, int]:
    known = search.vocabulary
    _check_pivot(wanted)
    if _is_empty(search, known):
        return _Grid([], [], [], [], [], ""), 0
    down, across = (resolved(name, known) for name in wanted.pivot[:2])
    statistic = _told_by_pivot(wanted.pivot[2], known)
    columns = _load(search, question, [down, across, *([statistic.key] if statistic.key else [])])
    if statistic.key:
        _check(statistic.key, columns, explicit=True)
    table = grouping.pivot(columns[down], columns[across])
    values = columns.get(statistic.key)
    cells = [[_in_cell(statistic, values, rows) for rows in line] for line in table.cells]
    lines = [_present(down, one) for one in table.rows][: wanted.most]
    heads = [_present(across, one) for one in table.columns]
    titles = _titles([key for key in (down, across, statistic.key) if key], known)
    name = "count" if not statistic.key else f"{statistic.function}({statistic.key})"
    records = [
        {down: line, across: head, name: cells[r][c], "count": len(table.cells[r][c])}
        for r, line in enumerate(lines)
        for c, head in enumerate(heads)
        if table.cells[r][c]
    ]
    look = "" if statistic.function == "count" else _look(statistic.key)
    runs = len(columns[down])
    shown = "runs" if not statistic.key else f"{statistic.function}({titles[statistic.key]})"
    grid = _Grid(
        [_column(down, titles)]
        + [Column(look, ABSENT if head is None else plain(head)) for head in heads],
        [lines, *([line[n] for line in cells[: wanted.most]] for n in range(len(heads)))],
        [down, *("" if head is None else head for head in heads)],
        records,
        [],
        f"{shown} by {titles[down]} and {titles[across]}, {runs:,} run{'s' * (runs != 1)}",
    )
    return grid, runs


def _check_pivot(wanted: Wanted) -> None:
    """Raise UsageError unless a pivot can be made of what is asked."""
    if len(wanted.pivot) != 3:
        raise UsageError(
            f"a pivot is made of three keys, and here are {len(wanted.pivot)}",
            hint="`git track ls --pivot ROW,COLUMN,VALUE`, such as 'params.lr,params.opt,max(acc)'",
        )
    if wanted.sort:
        raise UsageError("--sort and --pivot do not go together")


def _told_by_pivot(what: str, known: Vocabulary) -> Statistic:
    """What is in the cells; `count` alone is of the runs, and has no key."""
    if what == "count":
        return Statistic("count", "")
    return _statistic(what, known) or Statistic("mean", resolved(what, known))


def _in_cell(statistic: Statistic, values: Sequence[Any] | None, rows: Sequence[int]) -> Any:
    """The statistic of some rows, or how many there are; None without any."""
    if not rows:
        return None
    return len(rows) if values is None else statistic.of([values[row] for row in rows])


# -- columns --------------------------------------------------------------------------------------


def _is_empty(search: Search, known: Vocabulary) -> bool:
    """Whether there are no runs at all, so that no name can be known."""
    from gittrack.search import Question

    if any(map(known.keys, ("params", "metrics", "tags"))):
        return False
    return not search.find(Question(deleted=True, limit=1)).total


def _keys(names: Sequence[str], known: Vocabulary) -> list[str]:
    """Full keys, a pattern's too, each once."""
    found: list[str] = []
    for name in names:
        key = plain_key(name, known)
        is_key = is_expression(name, known) or known.has(key) or not set("*?[") & set(key)
        found += [resolved(name, known)] if is_key else known.match(key) or [known.resolve(key)]
    return list(dict.fromkeys(found))


def _load(search: Search, question: Question, keys: Sequence[str]) -> dict[str, list[Any]]:
    return search.columns(question, list(dict.fromkeys(keys)))


def _check(key: str, columns: Mapping[str, Sequence[Any]], *, explicit: bool) -> None:
    """Refuse to calculate with texts.

    Raises:
        UsageError: there are values, and none is a number.
    """
    if any(map(is_number, columns[key])):
        return
    if any(value is not None for value in columns[key]):
        raise UsageError(
            f"'{key}' has no numbers to calculate with",
            hint=f"--group-by or --distinct {key} counts its values.",
        )


def _titles(keys: Sequence[str], known: Vocabulary) -> dict[str, str]:
    """What each key is called in the title of a column: in full where two would be called so."""
    columns = report.chosen_columns(list(dict.fromkeys(keys)), [], vocabulary=known, more=keys)
    return {c.key: c.title if "." in c.key else c.key for c in columns}


def _column(key: str, titles: Mapping[str, str]) -> Column:
    title = titles[key]
    return Column(_look(key), title.upper() if title in ATTRIBUTES else title)


def _present(key: str, value: Any) -> Any:
    """A value as people read it: times as moments."""
    if key in _TIMES and value is not None:
        return moment(value)
    return value


def _look(key: str) -> str:
    """How a column's values are drawn: a command is one line already."""
    return "" if key == "command" else key
