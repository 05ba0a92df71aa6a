"""How well-known training programs print their metrics: their lines and tables; pure.

Keras, XGBoost, LightGBM, fastai, Lightning, Ultralytics, scikit-learn, the Trainer of Hugging Face,
and tqdm. Knows those forms letter by letter, taken from real output, and nothing of what lines say
otherwise.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple, TypeAlias

from gittrack.points import STEPS, number
from gittrack.summaries import Number

__all__ = ["ENDS", "HEADING", "Trainers"]

Found: TypeAlias = tuple[int | None, dict[str, Number]]

ENDS = frozenset("].│┃".encode())
"""Bytes that end lines of these forms, and no others that may state a metric."""

HEADING = rb"[hHpPrR](?:\t|  )[ \t]*[A-Za-z_]"
"""What no line can do without that heads a table: the end of `epoch`, `step`, `iter` or `Box(P`."""

_FLOAT = r"[+-]?(?:[0-9]+\.?[0-9]*(?:e[+-]?[0-9]+)?|nan|inf)"
# Keras: "Epoch 3/5" stands on the line before. Up to version 2 with a bar of equals signs.
_KERAS = (
    r"[0-9]+/(?:[0-9]+|Unknown)\s+(?:━+\s+|\[[=>.]{1,100}\]\s+-\s+|-\s+)"
    r"[0-9.:]+(?:[hms]|[mun]s)?(?:\s+-)?\s+[0-9]+[mun]?s/(?:step|epoch|sample)(?:\s+-\s+|$)"
)
_KERAS_PAIR = rf"(?P<key>[A-Za-z_][\w.@/-]{{0,200}}): (?P<value>{_FLOAT})(?:\s+-\s+|$)"
# XGBoost and LightGBM; with a spread behind it, a number is the mean of several folds.
_ROUND = r"\[(?P<step>[0-9]{1,9})\]\t"
_ROUND_PAIR = (
    r"(?P<key>[^\t:]{1,200}?)(?:: |:)"
    rf"(?P<value>{_FLOAT})(?: ?\+ ?(?P<spread>{_FLOAT}))?(?:\t|$)"
)
_BAR = (
    r"(?:(?:Epoch|epoch) \[?(?P<step>[0-9]{1,18})(?:/[0-9]+)?\]?|[^%|]{0,200}?)(?:: ?|\s*)"
    r"100%\|[^|]{0,500}\| *(?P<done>[0-9.]+[a-zA-Z]?)/(?P<all>[0-9.]+[a-zA-Z]?) "
    r"\[[0-9:?]+<[0-9:?]+, +[^,\]]{1,40}, (?P<pairs>[^\[\]]{1,1000})\]"
)
_BAR_PAIR = rf"(?P<key>[A-Za-z_][\w.@/-]{{0,200}})=(?P<value>{_FLOAT})(?:, |$)"
_INERTIA = rf"Iteration (?P<step>[0-9]{{1,18}}), inertia (?P<value>{_FLOAT}?)\.?"
_QUOTED = rf"'(?P<key>[^'\\]{{1,200}})': '(?P<value>{_FLOAT})'(?:, |$)"
_COLUMNS = r"\s{2,}|\s*\t\s*"
_RULERS = frozenset("─━═│┃┌┐└┘├┤┬┴┼┏┓┗┛┡┩╇┳┻╋╞╡╪ -=+|")
_NO_COLUMNS = frozenset(("class", "images", "instances", "size", "gpu_mem", "time", "total_time"))
_NO_PAIRS = frozenset(("v_num",))
_PATIENCE = 20
_MOST_ROUNDS = 100_000


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """Compiled when first needed: most runs print no line that needs it."""
    return re.compile(pattern, re.IGNORECASE | re.ASCII)


class _Table(NamedTuple):
    """A table whose heading was printed: `kind` is its first column, in small letters."""

    kind: str
    columns: tuple[str, ...]


class Trainers:
    """Reads the lines of one stream, of which some mean something only after others."""

    def __init__(self) -> None:
        self._table: _Table | None = None
        self._patience = 0
        self._announced = False
        self._rounds: dict[int, str] = {}
        self._last_round = -1
        self._last_bar: Found | None = None

    @property
    def open(self) -> bool:
        """Whether a table has begun, so that any line may be a row of it."""
        return self._table is not None

    def announced(self) -> None:
        """An epoch or step stood alone on a line: what Keras prints next is of it."""
        self._announced = True

    def read(self, text: str) -> Found | None:
        """The step and the metrics of a line, None if it is none of these."""
        first = text[0]
        if self._table is not None and (row := self._row(text)) is not None:
            return row
        if first == "[":
            return self._round(text)
        if text[-1] == "]" and "%|" in text and (bar := self._bar(text)) is not None:
            return bar
        if "0" <= first <= "9":
            return self._keras(text)
        if first == "{":
            return _quoted(text)
        if first == "I" and (match := _pattern(_INERTIA).fullmatch(text)):
            return int(match["step"]), _numbers([("inertia", match["value"])]) or {}
        table = _heading(text)
        if table is not None:
            self._table, self._patience = table, _PATIENCE
        return None

    def _keras(self, text: str) -> Found | None:
        """Only what follows an announced epoch: `evaluate` prints its own with the same names."""
        match = _pattern(_KERAS).match(text)
        pairs = _pairs(_KERAS_PAIR, text[match.end() :]) if match else None
        if not pairs or not self._announced:
            return None
        self._announced = False
        values = _numbers(pairs)
        return None if values is None else (None, values)

    def _round(self, text: str) -> Found | None:
        """One round of boosting; the best is printed once more at the end, which is no other."""
        match = _pattern(_ROUND).match(text)
        if match is None:
            return None
        pairs = []
        at = match.end()
        while pair := _pattern(_ROUND_PAIR).match(text, at):
            at = pair.end()
            key = pair["key"].replace("'s ", "-")
            if pair["spread"] is None:
                pairs.append((key, pair["value"]))
            else:
                pairs += [(f"{key}-mean", pair["value"]), (f"{key}-std", pair["spread"])]
        values = _numbers(pairs) if at == len(text) else None
        if values is None:
            return None
        step = int(match["step"])
        if self._rounds.get(step) == text:
            return None
        if step <= self._last_round or len(self._rounds) >= _MOST_ROUNDS:
            self._rounds.clear()
        self._rounds[step], self._last_round = text, step
        return step, values

    def _bar(self, text: str) -> Found | None:
        """What tqdm shows behind a bar that is full; while it grows, it is redrawn all the time."""
        match = _pattern(_BAR).fullmatch(text)
        if match is None or match["done"] != match["all"]:
            return None
        pairs = _pairs(_BAR_PAIR, match["pairs"])
        values = _numbers([pair for pair in pairs or () if pair[0] not in _NO_PAIRS])
        if values is None:
            return None
        found = (None if match["step"] is None else int(match["step"])), values
        if found == self._last_bar:
            return None
        self._last_bar = found
        return found

    def _row(self, text: str) -> Found | None:
        """A row of the table that is open; after too many lines that are none, it is closed."""
        assert self._table is not None
        if not _RULERS.issuperset(text):
            found = _table_row(self._table, text)
            if found is not None:
                self._patience = _PATIENCE
                return found
            self._patience -= 1
            if not self._patience:
                self._table = None
        return None


def _numbers(pairs: list[tuple[str, str]]) -> dict[str, Number] | None:
    """Named numbers; None if there is none, a name stands twice, or something is no number."""
    values: dict[str, Number] = {}
    for key, text in pairs:
        value = number(text)
        if value is None or key in values:
            return None
        values[key] = value
    return values or None


def _pairs(pattern: str, text: str) -> list[tuple[str, str]] | None:
    """All pairs of a text that is nothing else."""
    pairs, at = [], 0
    while match := _pattern(pattern).match(text, at):
        pairs.append((match["key"], match["value"]))
        at = match.end()
    return pairs if at == len(text) else None


def _quoted(text: str) -> Found | None:
    """A log of the Trainer, which prints its numbers as texts; its epoch is a fraction, no step."""
    if text[-1] != "}" or "'epoch': '" not in text:
        return None
    values = _numbers(_pairs(_QUOTED, text[1:-1]) or [])
    return None if values is None else (None, {key: float(value) for key, value in values.items()})


# -- tables -------------------------------------------------------------------------------------


def _heading(text: str) -> _Table | None:
    """The table that a line heads, None if it heads none."""
    low = text[:40].lstrip("│┃| ").lower()
    if not low.startswith((*STEPS, "class", "test metric", "validate metric")):
        return None
    inner = _inside(text).partition(":")[0]
    columns = tuple(column.strip("()") for column in re.split(_COLUMNS, inner) if column)
    kind = columns[0].lower() if columns else ""
    if kind.endswith(" metric"):
        fits = len(columns) > 1 and all(name.startswith("DataLoader ") for name in columns[1:])
        return _Table("metric", columns) if fits else None
    if len(columns) < 2 or kind not in (*STEPS, "class"):
        return None
    names = tuple(column.rpartition("(")[2].replace(" ", "_") for column in columns)
    if kind == "class" and "Images" not in names:
        return None
    return _Table(kind, names) if all(_is_name(name) for name in names) else None


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][\w./@-]{0,100}", text) is not None and text.isascii()


def _inside(text: str) -> str:
    """A line of a table without its frame."""
    return re.sub(r"[│┃]", "  ", text).strip() if text[0] in "│┃" else text


def _table_row(table: _Table, text: str) -> Found | None:
    cells = _inside(text).split()
    if table.kind == "metric":
        value = number(cells[1]) if len(cells) == 2 else None
        return None if value is None else (None, {cells[0]: value})
    width = len(table.columns)
    # A progress bar may stand behind the last cell; while it grows, the row does not count.
    if len(cells) < width or (len(cells) > width and not cells[width].startswith("100%")):
        return None
    cells = [*cells[: width - 1], cells[width - 1].removesuffix(":")]
    if table.kind == "class":
        return _of_all(table, cells)
    step, _, of = cells[0].partition("/")
    if not step.isdecimal() or not (of or "0").isdecimal() or len(step) > 18:
        return None
    values = _measured(table.columns[1:], cells[1:])
    return (int(step), values) if values else None


def _of_all(table: _Table, cells: list[str]) -> Found | None:
    """The row of all classes together; those of single classes have names of their own."""
    values = _measured(table.columns, cells) if cells[0] == "all" else {}
    return (None, values) if values else None


def _measured(columns: tuple[str, ...], cells: list[str]) -> dict[str, Number]:
    """The cells that are numbers, less those that measure the machine or count things."""
    values = {}
    for name, cell in zip(columns, cells, strict=False):
        value = number(cell)
        if value is not None and name.lower() not in _NO_COLUMNS:
            values[name] = value
    return values
