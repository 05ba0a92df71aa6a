"""What the lines of a program's output say the metrics are.

Knows the few shapes of line that mean a metric, and is strict: prose gives none, because one false
metric in a table costs more trust than one that must be asked for. The user's own expressions come
first. Knows nothing of processes, runs or the terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from gittrack.errors import BadName, UsageError
from gittrack.keys import check_key
from gittrack.points import STEPS, is_number, number, take_step
from gittrack.quoting import one_line
from gittrack.records import Row
from gittrack.summaries import Number
from gittrack.trainers import ENDS, HEADING, Trainers

if TYPE_CHECKING:
    from gittrack.expressions import Expression

__all__ = ["LONGEST_LINE", "Scanner", "check_patterns"]

LONGEST_LINE = 4096
"""Bytes of an output line that is still looked at."""

# Patterns are texts here, compiled when first needed: most runs print no line that needs them.
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
    r"|avg\.?|median|best|final|total|running|max|min|std|macro|micro|weighted|balanced|absolute"
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
# the last letter of step, epoch, iteration or iter, then a number; or, at the head of a table, two
# blanks. Much faster than a look at each line; escape sequences may stand in between, so a line
# with one there is looked at.
_HINT = (
    rb"[:=pPhHnNrR](?:[ \t\r\f\v#\['+-]*"
    rb"(?:[0-9.\x1b]|[nN](?:[aA][nN\x1b]|\x1b)|[iI](?:[nN][fF\x1b]|\x1b))"
    rb"|(?:\t|  )[ \t]*[A-Za-z_])"
)
_MOST_MATCHES = 100
_MOST_TOO_LONG = 10
# Lines that each take a little too long: whoever prints many of them waits for us.
_MOST_SECONDS, _MOST_SHARE, _SLOW_LINE = 5.0, 0.2, 1e-4


@cache
def _pattern(pattern: str, flags: int = re.IGNORECASE | re.ASCII) -> re.Pattern[str]:
    return re.compile(pattern, flags)


@cache
def _bytes_pattern(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


def check_patterns(patterns: Iterable[str]) -> None:
    """Refuse expressions of the user's that no metric can come from, before the command starts.

    Raises:
        UsageError: one cannot be read, has no named group, or no time can be promised for it.
    """
    for pattern in patterns:
        _Pattern(pattern)


class Scanner:
    """Finds metrics in a program's output as it comes, whatever the pieces it comes in.

    A line counts if it is nothing but `key: number` and `key=number`, one or several; a JSON
    object of numbers; or either after `epoch 3`, `Step [5/10]` or the like, which gives the step.
    A line that only announces a step gives it to the lines that follow, as does the step of a
    line with metrics. Of a line that overwrites itself, as progress bars do, the last state counts.
    A percentage, a number with a unit, a word in between: no metric. What tqdm or rich has drawn
    before a metric on its line is passed over. The lines and tables of well-known trainers count
    too (`trainers`).

    `patterns` are regular expressions of the user's, looked for anywhere in a line; where one gives
    a metric, the line means nothing else. A named group is a metric, those called as a step is
    (`step`, `epoch`, ...) the step; groups `name` and `value` together are a metric and its number.
    One that takes too long on some lines is given up; `troubles` says so.

    For one stream: each has a scanner of its own, because their pieces interleave, and so a step
    announced on one is not that of the other's metrics. Not for several threads. Keeps at most
    `LONGEST_LINE` bytes between calls.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Begin at the first byte of a stream.

        Raises:
            UsageError: as `check_patterns` says.
        """
        self._partial = b""
        self._skipping = False
        self._step: int | None = None
        self._patterns = [_Pattern(pattern) for pattern in patterns]
        self._trainers = Trainers()

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
        while start < end:
            if self._patterns or self._trainers.open:
                begin = start
            elif hint := search(data, start, end):
                begin, start = data.rfind(b"\n", 0, hint.start()) + 1, hint.end() - 1
            else:
                break
            stop = data.find(b"\n", start)
            rows.append(self._scan(data[begin:stop], time))
            start = stop + 1
        if end < len(data):
            self._keep(data[end:])
        return [row for row in rows if row is not None]

    def close(self, time: float) -> list[Row]:
        """Take what is left as the last line: programs die in the middle of one."""
        return self.feed(b"\n", time)

    def troubles(self) -> list[str]:
        """What went wrong with the user's expressions since the last call, each thing once."""
        said = [sentence for pattern in self._patterns for sentence in pattern.troubles]
        for pattern in self._patterns:
            pattern.troubles = []
        self._patterns = [pattern for pattern in self._patterns if not pattern.given_up]
        return said

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
        if not line:
            return None
        own = self._own(line) if self._patterns else None
        if own is not None and (row := self._row(own, time)) is not None:
            return row
        if not self._may_mean(line):
            return None
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            return None
        found = _parse(text) if text and line[-1] in _ENDS else None
        if found is None and text:
            found = self._trainers.read(text)
        elif found is not None and not found[1]:
            self._trainers.announced()
        return None if found is None else self._row(found, time)

    def _may_mean(self, line: bytes) -> bool:
        last = line[-1]
        if last in _ENDS or last in ENDS or self._trainers.open:
            return True
        return _bytes_pattern(HEADING).search(line) is not None

    def _own(self, line: bytes) -> tuple[int | None, dict[str, Number]] | None:
        """What the user's expressions find; of a metric that several of them find, the last."""
        text = line.decode("utf-8", "replace").strip()
        values: dict[str, Number] = {}
        for pattern in self._patterns:
            values.update(pattern.find(text))
        if not values:
            return None
        step = take_step(values)
        return step, {} if all(key.lower() in STEPS for key in values) else values

    def _row(self, found: tuple[int | None, dict[str, Number]], time: float) -> Row | None:
        step, values = found
        if step is not None:
            self._step = step
        return Row(self._step, time, values) if values else None


class _Pattern:
    """One expression of the user's, and what is wrong with it."""

    def __init__(self, text: str) -> None:
        from gittrack.expressions import expression

        self._expression: Expression = expression(text)
        names = self._expression.names
        self._pairs = "name" in names and "value" in names
        self._keys = [key for key in names if not self._pairs or key not in ("name", "value")]
        if not names:
            raise UsageError(
                f"the expression {text[:80]!r} has no named group",
                hint="a metric is one, as in 'loss=(?P<loss>[0-9.]+)'.",
            )
        self.troubles: list[str] = []
        self.given_up = False
        self._too_long = 0
        self._complained = False
        self._spent, self._lines, self._first = 0.0, 0, 0.0

    def find(self, text: str) -> dict[str, Number]:
        """The metrics and steps in a line."""
        if self.given_up:
            return {}
        start = perf_counter()
        values = self._search(text)
        end = perf_counter()
        self._first = self._first or start
        self._spent += end - start
        self._lines += 1
        if (
            self._spent > _MOST_SECONDS
            and self._spent > _SLOW_LINE * self._lines
            and self._spent > _MOST_SHARE * (end - self._first)
        ):
            self._give_up()
        return values

    def _search(self, text: str) -> dict[str, Number]:
        from gittrack.expressions import TooLong

        values: dict[str, Number] = {}
        try:
            for count, groups in enumerate(self._expression.search(text)):
                if count >= _MOST_MATCHES:
                    break
                pairs = [(key, groups[key]) for key in self._keys if key in groups]
                if self._pairs and "name" in groups and "value" in groups:
                    pairs.append((groups["name"], groups["value"]))
                for key, told in pairs:
                    self._take(values, key, told)
        except TooLong:
            self._too_long += 1
            if self._too_long >= _MOST_TOO_LONG:
                self._give_up()
        return values

    def _give_up(self) -> None:
        if not self.given_up:
            self.given_up = True
            self._complain("takes too long on this output: it is not looked for any more")

    def _take(self, values: dict[str, Number], key: str, told: str) -> None:
        value = number(told.strip())
        if value is not None and _is_key(key):
            values[key] = value
        elif not self._complained:
            self._complained = True
            what = f"found '{one_line(told)[:40]}' for '{one_line(key)[:40]}', which is no number"
            self._complain(
                what if value is None else f"found '{one_line(key)[:40]}', which is no name"
            )

    def _complain(self, what: str) -> None:
        self.troubles.append(f"the expression '{one_line(self._expression.text)[:80]}' {what}")


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
            value = number(match["equal"] or match["colon"] or match["tight"])
            if value is None:
                return None
            pairs.append((match["key"].replace(". ", "_").replace(" ", "_"), value))
        else:
            return _objects_tail(text, at, pairs)
        separator = _pattern(_SEPARATOR, 0).match(text, match.end())
        at = separator.end() if separator else match.end()
    return _divide(pairs) if pairs else None


def _objects_tail(
    text: str, at: int, pairs: list[tuple[str, Number]]
) -> tuple[int | None, dict[str, Number]] | None:
    """A step may announce an object, too: `epoch 3: {"loss": 0.2}`."""
    if not pairs or text[at] != "{" or any(name not in STEPS for name, _ in pairs):
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
    if not isinstance(pairs, _Pairs) or not all(is_number(value) for _, value in pairs):
        return None
    return list(pairs)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, keys repeated and all."""


def _python_dict(text: str) -> list[tuple[str, Number]] | None:
    pairs: list[tuple[str, Number]] = []
    inner = text[1:-1].strip()
    at = 0
    while match := _pattern(_QUOTED_PAIR).match(inner, at):
        value = number(match["value"])
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
    step = take_step(values)
    return step, {} if all(key.lower() in STEPS for key in values) else values


def _is_metric(key: str) -> bool:
    return _is_key(key) and key.lower() not in _NO_METRICS


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except BadName:
        return False
    return True
