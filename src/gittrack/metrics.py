"""What metrics files say: one row, or a series of rows.

Knows the kinds of file that can hold metrics, and takes what makes sense in one, whatever else is
there. Knows nothing of runs, nor which files a run wrote.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from gittrack.documents import last_line_if_torn, load, parse_json, read_table, read_text, too_deep
from gittrack.errors import BadFile, BadName
from gittrack.keys import check_key, flatten
from gittrack.points import STEPS, is_number, number, take_step
from gittrack.records import Row
from gittrack.summaries import Number

__all__ = ["LARGEST_FILE", "check_file", "from_file"]

LARGEST_FILE = 64 << 20
"""Bytes that a metrics file may have."""

_INF = float("inf")
_TABLES = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".ndjson")
_KINDS = (".yaml", ".yml", ".json", ".toml", *_TABLES, *_JSON_LINES)


def check_file(path: str, *, directory: str | os.PathLike[str] = "") -> None:
    """Refuse what can never be a metrics file, before hours are spent; it need not exist yet.

    Raises:
        BadFile: it is a directory, or its suffix is none that `from_file` reads.
    """
    if os.path.isdir(os.path.join(directory, path)):
        raise BadFile(f"the metrics file '{path}' is a directory", path=path)
    if _suffix(path) not in _KINDS:
        raise BadFile(
            f"the metrics file '{path}' is no .yaml, .json, .csv or .tsv file",
            path=path,
            hint="its name tells what it holds",
        )


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def from_file(
    path: str | os.PathLike[str], *, time: float, directory: str | os.PathLike[str] = ""
) -> tuple[list[Row], list[str]]:
    """Read the metrics of a file, told apart by suffix: rows in its order, and what was left out.

    A YAML, JSON or TOML mapping is one row without a step, nested keys joined with dots; texts,
    truth values and lists in it are no metrics. A JSON or YAML list of mappings, and JSON lines,
    are a series; so is a CSV or TSV table with a header, whose cells are numbers or empty. In a
    series the finest of the columns global_step, step, iteration, iter and epoch is the step, and
    a column `time` the seconds since the start; without one, `time` is every row's. What cannot be
    read, such as a cell that is no number, costs only itself: a sentence says where the first one
    is and how many there are. A relative path is one in `directory`.

    Raises:
        BadFile: it is missing, too big, not UTF-8, of another kind, broken, or holds no number at
            all.
    """
    name = os.fspath(path)
    check_file(name, directory=directory)
    file = _File(name, os.fspath(directory), time)
    try:
        rows = _table(file) if _suffix(name) in _TABLES else _document(file)
    except BadName as error:
        raise BadFile(f"in the metrics file '{name}', {error.message}", path=name, hint=error.hint)
    except RecursionError as error:
        raise too_deep(name, "metrics") from error
    if not rows:
        nothing = file.left_out() or [f"the metrics file '{name}' holds no number"]
        hint = "write it as key: number, or as a table with a header"
        raise BadFile(nothing[0], path=name, hint=hint)
    return rows, file.left_out()


class _File:
    """A metrics file as it is read: where it is, and what of it makes no sense."""

    def __init__(self, path: str, directory: str, time: float) -> None:
        self.path = path
        self.directory = directory
        self.time = time
        self._first = ""
        self._count = 0

    def leave_out(self, sentence: str) -> None:
        self._first = self._first or sentence
        self._count += 1

    def left_out(self) -> list[str]:
        """One sentence, if there is anything to say."""
        if not self._count:
            return []
        much = "1 entry was" if self._count == 1 else f"{self._count} entries were"
        return [f"in the metrics file '{self.path}', {self._first}; {much} left out"]


def _document(file: _File) -> list[Row]:
    if _suffix(file.path) in (".json", *_JSON_LINES):
        content = _json(file)
    else:
        content = load(file.path, "metrics", LARGEST_FILE, directory=file.directory)
    if isinstance(content, Mapping):
        values = _numbers(content, file, "")
        return [Row(None, file.time, values)] if values else []
    items = content if isinstance(content, list) else []
    if not any(isinstance(item, Mapping) for item in items) and not file.left_out():
        raise BadFile(
            f"the metrics file '{file.path}' is neither a mapping nor a list of mappings",
            path=file.path,
            hint="write it as key: number",
        )
    rows = []
    for n, item in enumerate(items, start=1):
        if not isinstance(item, Mapping):
            file.leave_out(f"item {n} is no mapping")
        elif row := _point(_numbers(item, file, f"item {n}, "), file, f"item {n}"):
            rows.append(row)
    return rows


def _json(file: _File) -> Any:
    text = read_text(file.path, "metrics", LARGEST_FILE, directory=file.directory)
    if _suffix(file.path) == ".json" and not _several(text):
        return parse_json(text, file.path, "metrics", real=_real)
    content = []
    for n, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                content.append(parse_json(line, file.path, "metrics", real=_real))
            except BadFile:
                file.leave_out(f"line {n} cannot be read as JSON")
    return content


class _TooLarge:
    """Stands for a number that only rounding would make infinite."""


def _real(text: str) -> float | _TooLarge:
    real = float(text)
    return real if real - real == 0 else _TooLarge()


def _several(text: str) -> bool:
    """Whether a .json file holds JSON lines: its first two lines are whole objects."""
    heads = [line.strip() for line in text.lstrip()[: 1 << 20].split("\n", 2)[:2]]
    return len(heads) == 2 and all(head[:1] == "{" and head[-1:] == "}" for head in heads)


def _numbers(mapping: Mapping[Any, Any], file: _File, place: str) -> dict[str, Number]:
    values: dict[str, Number] = {}
    for key, value in flatten(mapping).items():
        if is_number(value):
            try:
                values[check_key(key)] = value
            except BadName as error:
                file.leave_out(f"{place}{error.message}")
        elif isinstance(value, (int, _TooLarge)) and not isinstance(value, bool):
            file.leave_out(f"{place}the number of {key[:80]!r} is too large")
    return values


def _point(values: dict[str, Number], file: _File, place: str) -> Row | None:
    """One row of a series; None if nothing is left beside its step and time."""
    step = take_step(values)
    time = file.time
    for key in [key for key in values if key.lower() == "time"][:1]:
        said = float(values.pop(key))
        if said - said == 0:
            time = said
        else:
            file.leave_out(f"{place}: its time is not finite")
    return Row(step, time, values) if values else None


def _table(file: _File) -> list[Row]:
    lines = read_table(
        file.path,
        "metrics",
        LARGEST_FILE,
        delimiter=_TABLES[_suffix(file.path)],
        directory=file.directory,
    )
    header = _header(next(lines, (0, []))[1], file)
    last = last_line_if_torn(file.path, directory=file.directory)
    rows = []
    try:
        for line, cells in lines:
            if line == last and len(cells) < len(header):
                # Its last number may lack digits: `0.` of what was to be `0.75`.
                file.leave_out(f"line {line} breaks off")
            elif len(cells) > len(header):
                file.leave_out(
                    f"line {line} has {len(cells)} cells, but there are {len(header)} columns"
                )
            elif row := _point(_cells(header, cells, file, line), file, f"line {line}"):
                rows.append(row)
    except BadFile:
        # A quote without an end: nothing after it can be told apart.
        if not rows:
            raise
        file.leave_out(f"what stands after line {line} is no table")
    return rows


def _header(cells: list[str], file: _File) -> list[str]:
    """The names of the columns; empty for one that has none, or one that cannot be a key."""
    names: list[str] = []
    for cell in cells:
        name = cell.strip()
        if name and name in names:
            raise BadFile(
                f"the metrics file '{file.path}' has two columns '{name}'", path=file.path
            )
        try:
            names.append(check_key(name) if name else "")
        except BadName as error:
            file.leave_out(error.message)
            names.append("")
    return names


def _cells(header: list[str], cells: list[str], file: _File, line: int) -> dict[str, Number]:
    values: dict[str, Number] = {}
    for n, (name, cell) in enumerate(zip(header, cells, strict=False)):
        text = cell.strip()
        if not text:
            continue
        if not name:
            # A nameless first column is the index that pandas writes.
            if n:
                file.leave_out(f"line {line}: column {n + 1} has no name")
            continue
        value = number(text)
        if value is None or (value in (_INF, -_INF) and text[-1].isdigit()):
            file.leave_out(f"line {line}, column '{name}': {text[:40]!r} is no number")
            continue
        if name.lower() in STEPS and isinstance(value, float) and value.is_integer():
            value = int(value)  # pandas writes 3.0 in a column with gaps
        values[name] = value
    return values
