"""What output lines and metrics files say the metrics are.

Knows the few shapes of line and file that mean a metric, and is strict: prose gives none, because
one false metric in a table costs more trust than one that must be asked for. Knows nothing of
processes, runs or the terminal.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from gittrack.documents import last_line_if_torn, load, parse_json, read_table, read_text, too_deep
from gittrack.errors import BadFile, BadName
from gittrack.keys import check_key, flatten
from gittrack.records import Number, Row

__all__ = [
    "DEFAULT_FILES",
    "LARGEST_FILE",
    "LONGEST_LINE",
    "Scanner",
    "check_file",
    "from_file",
    "last",
]

DEFAULT_FILES = ("metrics.json", "metrics.yaml", "metrics.yml", "metrics.csv", "metrics.tsv")
"""The files that count as metrics when a run wrote them, in the order of asking."""

LARGEST_FILE = 64 << 20
"""Bytes that a metrics file may have."""

LONGEST_LINE = 4096
"""Bytes of an output line that is still looked at."""

_STEPS = ("global_step", "step", "iteration", "iter", "epoch")
"""The names that count steps, the one that counts finest first."""


def last(rows: Iterable[Row]) -> dict[str, Number]:
    """The last value of each metric, in the order in which the metrics first appear."""
    values: dict[str, Number] = {}
    for row in rows:
        values.update(row.values)
    return values


# Numbers.

# Patterns are texts here, compiled when first needed: most runs print no line that needs them.
_NUMBER = (
    r"[+-]?(?:(?P<int>[0-9]+)|[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?"
    r"|[0-9]+[eE][+-]?[0-9]+|(?:nan|inf|infinity))"
)
_MOST_DIGITS = 308
_INF = float("inf")


@cache
def _pattern(pattern: str, flags: int = re.IGNORECASE | re.ASCII) -> re.Pattern[str]:
    return re.compile(pattern, flags)


def _number(text: str) -> Number | None:
    """Read a number exactly; None where it is none, or an int that no float can come near to."""
    match = _pattern(_NUMBER).fullmatch(text)
    if match is None:
        return None
    if match["int"] is None:
        return float(text)
    return int(text) if len(match["int"]) <= _MOST_DIGITS else None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**_MOST_DIGITS)


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


# Lines.

_ESCAPE = (
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?"
    rb"|[ -/]*[0-~])"
)
_ENDS = frozenset(b"0123456789nfyNFY}])=*#:-,;|")

_FLOAT = r"[+-]?(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?[0-9]+e[+-]?[0-9]+"
_ANY = rf"{_FLOAT}|[+-]?[0-9]+|[+-]?(?:nan|inf(?:inity)?)"
_WORD = r"[a-z_](?:[a-z0-9_./@%-]*[a-z0-9_%])?"
_QUALIFIERS = (
    "train|training|val|valid|validation|test|testing|eval|evaluation|dev|holdout|cv|mean|average"
    "|avg|median|best|final|total|running|max|min|std|macro|micro|weighted|balanced|absolute"
    "|squared|root|cross|entropy|f1|r2|roc|pr|top1|top5|top-1|top-5|log|explained|g"
)
_MEASURES = (
    "loss|acc|accuracy|precision|recall|f1|f1-score|score|auc|auroc|auprc|error|mse|rmse|mae|mape"
    "|r2|perplexity|ppl|bleu|rouge|wer|cer|iou|miou|dice|map|map50|reward|return|psnr|ssim|fid"
    "|entropy|likelihood|variance|ap|ndcg|mrr|logloss"
)
# A key of several words only where each is a word of the trade: prose has words, too.
_PHRASE = rf"(?:(?:{_QUALIFIERS})[ ]){{1,3}}(?:{_MEASURES})"
_END = r"(?=[\s,;|]|$)"
_PAIR = (
    rf"(?P<key>{_PHRASE}|{_WORD})(?:\s*=\s*(?P<equal>{_ANY})|\s*:\s+(?P<colon>{_ANY})"
    rf"|:(?P<tight>{_FLOAT})){_END}"
)
_STEP = (
    r"[\[(]?(?P<name>global[_ ]step|step|epoch|iteration|iter)(?:\s*[:=#]\s*|\s+|(?=\[))"
    r"\[?(?P<step>-?[0-9]+)(?:\s*(?:/|of)\s*[0-9]+)?\]?[\])]?(?P<stop>:?)" + _END
)
_SEPARATOR = r"\s*[,;|]\s*|\s+-\s+|\s+|$"
_QUOTED_PAIR = rf"'(?P<key>[^'\\]+)'\s*:\s*(?P<value>{_ANY})\s*"
_NO_METRICS = frozenset(("version", "port", "pid"))
# What tqdm and rich draw, up to where a printed line follows it on the same terminal line.
_BAR = (
    r"[0-9]%\|[^|]*\|\s*[0-9.?]+[a-z]?/[0-9.?]+[a-z]?\s*\[[^\[\]]{0,200}\]"
    r"|(?:^|:\s)[0-9]+[a-z]*\s\[[0-9:?]+,[^\[\]]{0,200}\]"
    r"|[━╸╺]\s+[0-9]+%\s+(?:-:--:--|[0-9]+:[0-9]{2}:[0-9]{2})"
)
# What no line can do without that states a metric or announces a step: a colon, an equals sign or
# the last letter of step, epoch, iteration or iter, then a number. Much faster than a look at each
# line; escape sequences may stand in between, so a line with one there is looked at.
_HINT = (
    rb"[:=pPhHnNrR][ \t\r\f\v#\[+-]*"
    rb"(?:[0-9.\x1b]|[nN](?:[aA][nN\x1b]|\x1b)|[iI](?:[nN][fF\x1b]|\x1b))"
)


@cache
def _bytes_pattern(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


class Scanner:
    """Finds metrics in a program's output as it comes, whatever the pieces it comes in.

    A line counts if it is nothing but `key: number` and `key=number`, one or several; a JSON
    object of numbers; or either after `epoch 3`, `Step [5/10]` or the like, which gives the step.
    A line that only announces a step gives it to the lines that follow, as does the step of a
    line with metrics. Of a line that overwrites itself, as progress bars do, the last state counts.
    A percentage, a number with a unit, a word in between: no metric. What tqdm or rich has drawn
    before a metric on its line is passed over.

    For one stream: each has a scanner of its own, because their pieces interleave, and so a step
    announced on one is not that of the other's metrics. Not for several threads. Keeps at most
    `LONGEST_LINE` bytes between calls.
    """

    def __init__(self) -> None:
        self._partial = b""
        self._skipping = False
        self._step: int | None = None

    def feed(self, data: bytes, time: float) -> list[Row]:
        """Take in the next bytes of output, at `time` seconds since the start; give new rows."""
        rows = []
        start = 0
        if self._partial or self._skipping:
            start = data.find(b"\n") + 1
            if not start:
                self._keep(data)
                return []
            self._keep(data[: start - 1])
            line, self._partial, self._skipping = self._partial, b"", False
            rows.append(self._scan(line, time))
        end = data.rfind(b"\n") + 1
        search = _bytes_pattern(_HINT).search
        while hint := search(data, start, end):
            start = data.find(b"\n", hint.end() - 1) + 1
            rows.append(self._scan(data[data.rfind(b"\n", 0, hint.start()) + 1 : start - 1], time))
        if end < len(data):
            self._keep(data[end:])
        return [row for row in rows if row is not None]

    def close(self, time: float) -> list[Row]:
        """Take what is left as the last line: programs die in the middle of one."""
        return self.feed(b"\n", time)

    def _keep(self, piece: bytes) -> None:
        """Append to the unfinished line, dropping what a carriage return has overwritten."""
        if self._skipping:
            # An overlong line is unreadable up to its next carriage return.
            _, found, piece = piece.partition(b"\r")
            if not found:
                return
            self._skipping = False
        line = self._partial + piece
        if b"\r" in line:
            line = line[_overwritten(line) :]
        bare = line.rstrip(b"\r")
        self._skipping = len(bare) > LONGEST_LINE
        self._partial = b"" if self._skipping else line[: len(bare) + 1]

    def _scan(self, line: bytes, time: float) -> Row | None:
        if b"\r" in line:
            line = line[_overwritten(line) :]
        line = line.rstrip(b"\r")
        if len(line) > LONGEST_LINE:
            return None
        line = line.rstrip()
        if b"\x1b" in line:
            line = _bytes_pattern(_ESCAPE).sub(b"", line).strip()
        if not line or line[-1] not in _ENDS:
            return None
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            return None
        found = _parse(text)
        return None if found is None else self._row(found, time)

    def _row(self, found: tuple[int | None, dict[str, Number]], time: float) -> Row | None:
        step, values = found
        if step is not None:
            self._step = step
        return Row(self._step, time, values) if values else None


def _overwritten(line: bytes) -> int:
    """Where the last state of a line begins; returns at its very end overwrite nothing yet."""
    return line.rstrip(b"\r\n").rfind(b"\r") + 1


def _parse(text: str) -> tuple[int | None, dict[str, Number]] | None:
    """The step and the metrics of a line; None if it is anything else."""
    if text[0] == "{":
        pairs = _object(text)
        return None if pairs is None else _divide(pairs)
    if text[0] not in "=*#-":
        return _tokens(text) or _after_bar(text)
    # Between rulers, as `=== Epoch 3 ===`, a step is announced, but no metric is: lists begin so.
    found = _tokens(text.strip("=*#- "))
    return found if found and not found[1] else None


def _after_bar(text: str) -> tuple[int | None, dict[str, Number]] | None:
    """What was printed while a progress bar stood on the line, which ends none of its own."""
    if "%|" not in text and "[" not in text and "━" not in text:
        return None
    bars = list(_pattern(_BAR).finditer(text))
    rest = text[bars[-1].end() :].strip() if bars else ""
    return _parse(rest) if rest else None


def _tokens(text: str) -> tuple[int | None, dict[str, Number]] | None:
    pairs: list[tuple[str, Number]] = []
    at = 0
    while at < len(text):
        if match := _pattern(_STEP).match(text, at):
            pairs.append((match["name"].lower().replace(" ", "_"), int(match["step"])))
        elif match := _pattern(_PAIR).match(text, at):
            value = _number(match["equal"] or match["colon"] or match["tight"])
            if value is None:
                return None
            pairs.append((match["key"].replace(" ", "_"), value))
        else:
            return _objects_tail(text, at, pairs)
        separator = _pattern(_SEPARATOR, 0).match(text, match.end())
        at = separator.end() if separator else match.end()
    return _divide(pairs) if pairs else None


def _objects_tail(
    text: str, at: int, pairs: list[tuple[str, Number]]
) -> tuple[int | None, dict[str, Number]] | None:
    """A step may announce an object, too: `epoch 3: {"loss": 0.2}`."""
    if not pairs or text[at] != "{" or any(name not in _STEPS for name, _ in pairs):
        return None
    tail = _object(text[at:])
    return None if tail is None else _divide(pairs + tail)


def _object(text: str) -> list[tuple[str, Number]] | None:
    """The pairs of a JSON object of numbers, or of a Python dict printed as such."""
    if text[-1] != "}":
        return None
    if text[1:].lstrip()[:1] == "'":
        return _python_dict(text)
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, _Pairs) or not all(_is_number(value) for _, value in pairs):
        return None
    return list(pairs)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, keys repeated and all."""


def _python_dict(text: str) -> list[tuple[str, Number]] | None:
    pairs: list[tuple[str, Number]] = []
    inner = text[1:-1].strip()
    at = 0
    while match := _pattern(_QUOTED_PAIR).match(inner, at):
        value = _number(match["value"])
        if value is None:
            return None
        pairs.append((match["key"], value))
        if match.end() == len(inner):
            return pairs
        comma = _pattern(r",\s*", 0).match(inner, match.end())
        if comma is None:
            return None
        at = comma.end()
    return None


def _divide(pairs: list[tuple[str, Number]]) -> tuple[int | None, dict[str, Number]] | None:
    """Part the step from the metrics; None if a key stands twice, or is none.

    Where only steps stand, nothing was measured: `Epoch [1/5], Step [3/90]` is no metric.
    """
    values = dict(pairs)
    if len(values) < len(pairs) or not all(_is_metric(key) for key in values):
        return None
    step = _take_step(values)
    return step, {} if all(key.lower() in _STEPS for key in values) else values


def _is_metric(key: str) -> bool:
    try:
        check_key(key)
    except BadName:
        return False
    return key.lower() not in _NO_METRICS


def _take_step(values: dict[str, Number]) -> int | None:
    """Take the finest step out of `values`; a coarser one, as an epoch's, stays a metric."""
    names = {key.lower(): key for key in values}
    for name in _STEPS:
        key = names.get(name)
        if key is not None and _is_step(values[key]):
            return int(values.pop(key))
    return None


# Files.

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
    number = float(text)
    return number if number - number == 0 else _TooLarge()


def _several(text: str) -> bool:
    """Whether a .json file holds JSON lines: its first two lines are whole objects."""
    heads = [line.strip() for line in text.lstrip()[: 1 << 20].split("\n", 2)[:2]]
    return len(heads) == 2 and all(head[:1] == "{" and head[-1:] == "}" for head in heads)


def _numbers(mapping: Mapping[Any, Any], file: _File, place: str) -> dict[str, Number]:
    values: dict[str, Number] = {}
    for key, value in flatten(mapping).items():
        if _is_number(value):
            try:
                values[check_key(key)] = value
            except BadName as error:
                file.leave_out(f"{place}{error.message}")
        elif isinstance(value, (int, _TooLarge)) and not isinstance(value, bool):
            file.leave_out(f"{place}the number of {key[:80]!r} is too large")
    return values


def _point(values: dict[str, Number], file: _File, place: str) -> Row | None:
    """One row of a series; None if nothing is left beside its step and time."""
    step = _take_step(values)
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
        value = _number(text)
        if value is None or (value in (_INF, -_INF) and text[-1].isdigit()):
            file.leave_out(f"line {line}, column '{name}': {text[:40]!r} is no number")
            continue
        if name.lower() in _STEPS and isinstance(value, float) and value.is_integer():
            value = int(value)  # pandas writes 3.0 in a column with gaps
        values[name] = value
    return values
