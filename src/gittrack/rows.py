"""One run as a row of the index, and the row as a run again: which column says what.

Knows the columns that every run has, and what SQL gives the values of them. Columns of params,
metrics and tags are named after their keys. Pure: knows nothing of files, Git or transactions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gittrack import atoms
from gittrack.atoms import Stored
from gittrack.figures import moment, since_epoch
from gittrack.quoting import command_line

if TYPE_CHECKING:
    from gittrack.summaries import Summary

try:
    # All of hashlib takes longer to load than a listing to answer; Python's random does likewise.
    from _md5 import md5  # type: ignore[import-not-found]
except ImportError:
    from hashlib import md5

__all__ = [
    "ATTRIBUTES",
    "COLUMNS",
    "GROUPS",
    "Words",
    "column",
    "command",
    "digest",
    "fixed",
    "hashed",
    "hexadecimal",
    "known",
    "microseconds",
    "notes",
    "packed",
    "shell",
    "summary",
    "undigested",
    "unpacked",
]

GROUPS = ("params", "metrics", "tags")
"""Whose keys have columns."""

COLUMNS = (
    "experiment",
    "name",
    "oid",
    "id",
    "status",
    "started",
    "lasted",
    "exit_code",
    "title",
    "experiment_title",
    "user",
    "command",
    "blanks",
    "base",
    "branch",
    "dirty",
    "parent",
    "fingerprint",
    "source",
    "archived",
    "deleted",
    "notes",
    "more",
    "stamp",
)
"""What every row has: `lasted` in microseconds, `more` tells what stands in other tables."""

_STATUSES = ("finished", "failed", "killed", "running")
_SOURCE = "cli"
_STATUS_NUMBERS = {name: number for number, name in enumerate(_STATUSES)}
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_HEX = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{8})?")
_SIZES = (16, 17, 20)
_LARGEST = (1 << 63) - 1
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?")
_BLANK = "\x01"


def _hex_sql(name: str) -> str:
    return f"CASE typeof(runs.{name}) WHEN 'blob' THEN lower(hex(runs.{name})) ELSE runs.{name} END"


def _word_sql(name: str) -> str:
    return (
        f"CASE typeof(runs.{name}) WHEN 'integer' THEN"
        f" (SELECT words.text FROM words WHERE words.number = runs.{name})"
        f" WHEN 'blob' THEN lower(hex(runs.{name})) ELSE runs.{name} END"
    )


_STATUS_SQL = " ".join(f"WHEN {number} THEN '{name}'" for number, name in enumerate(_STATUSES))

ATTRIBUTES: Mapping[str, str] = {
    "name": "runs.name",
    "experiment": "runs.experiment",
    "status": f"(CASE runs.status {_STATUS_SQL} END)",
    "started": "runs.started",
    "ended": "(runs.started + runs.lasted)",
    "duration": "(runs.lasted / 1000000.0)",
    "exit_code": "runs.exit_code",
    "title": "runs.title",
    "user": "runs.user",
    "command": (
        "gittrack_command((SELECT words.text FROM words WHERE words.number = runs.command),"
        " runs.blanks)"
    ),
    "base": f"({_word_sql('base')})",
    "branch": "runs.branch",
    "dirty": "runs.dirty",
    "source": f"coalesce(runs.source, '{_SOURCE}')",
    "id": f"({_hex_sql('id')})",
    "commit": "lower(hex(runs.oid))",
    "archived": "runs.archived",
    "deleted": "runs.deleted",
    "notes": "gittrack_notes(runs.notes)",
    "experiment_title": f"({_word_sql('experiment_title')})",
    "parent": f"({_hex_sql('parent')})",
    "fingerprint": f"({_hex_sql('fingerprint')})",
}
"""SQL for the value of each attribute: texts, times in microseconds, booleans as 0 and 1."""


def column(group: str, key: str) -> str:
    """The name of a key's column, the same in every index."""
    return f"{group[0]}_{hashed(f'{group}.{key}', 12)}"


def hashed(text: str, digits: int) -> str:
    """The first hexadecimal digits of a text's MD5."""
    made = md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False)
    return str(made.hexdigest())[:digits]


# -- words ----------------------------------------------------------------------------------------


class Words:
    """Texts that many runs share, by number; beyond `limit` texts, new ones have none."""

    def __init__(self, known: Mapping[str, int], limit: int) -> None:
        self._numbers = dict(known)
        self._limit = limit
        self.new: list[tuple[int, str]] = []

    def number(self, text: str) -> int | None:
        """The number of a text, given to it if there is room."""
        found = self._numbers.get(text)
        if found is None and len(self._numbers) < self._limit and type(atoms.encode(text)) is str:
            found = len(self._numbers) + 1
            self._numbers[text] = found
            self.new.append((found, text))
        return found

    def taken(self) -> list[tuple[int, str]]:
        """The texts that got a number since the last call."""
        new, self.new = self.new, []
        return new


# -- values ---------------------------------------------------------------------------------------


def microseconds(text: object) -> int:
    """A moment as `figures.time_text` writes it, in microseconds since the epoch.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str) or not text.endswith("Z"):
        raise ValueError(f"no moment in UTC: {str(text)[:40]!r}")
    found = datetime.fromisoformat(text[:-1])
    days = found.toordinal() - _EPOCH_DAY
    seconds = (days * 24 + found.hour) * 3600 + found.minute * 60 + found.second
    return seconds * 1_000_000 + found.microsecond


def hexadecimal(stored: Any) -> Any:
    """A text that may be kept as the bytes that its digits stand for."""
    return stored.hex() if type(stored) is bytes else stored


def packed(text: str | None) -> Any:
    """An id of 16 or 20 bytes as such, any other text as `atoms` has it; None is absent."""
    if text is None:
        return None
    return bytes.fromhex(text) if _HEX.fullmatch(text) else _apart(text)


def _apart(text: str) -> Stored:
    """A text as `atoms` has it, but never as long as the bytes of an id."""
    stored = atoms.encode(text)
    while type(stored) is bytes and len(stored) in _SIZES:
        stored += b" "
    return stored


def digest(md5: str) -> Stored:
    """A hash as DVC writes it: 16 bytes, and one more for a directory; any other text as it is."""
    digits = md5.removesuffix(".dir")
    if len(digits) != 32 or not _HEX.fullmatch(digits):
        return _apart(md5)
    return bytes.fromhex(digits) + (b"d" if len(digits) < len(md5) else b"")


def undigested(stored: Stored) -> str:
    """The hash again."""
    if type(stored) is not bytes:
        return str(stored)
    if len(stored) in _SIZES:
        return stored[:16].hex() + (".dir" if len(stored) == 17 else "")
    return str(atoms.decode(stored))


def _command(words: Sequence[str], known: Words) -> tuple[int | None, str | None]:
    """A command as the number of what it shares with others, and the numbers in it."""
    if not words:
        return None, None
    whole = "\0".join(words)
    if _BLANK not in whole and whole.isascii() and whole.count("\0") == len(words) - 1:
        number = known.number(_NUMBER.sub(_BLANK, whole))
        if number is not None:
            return number, " ".join(_NUMBER.findall(whole)) or None
    return None, json.dumps(list(words))


def command(template: str | None, blanks: str | None) -> tuple[str, ...]:
    """The words of a command that was kept in two parts.

    Raises:
        ValueError: they do not fit.
    """
    if template is None:
        return () if blanks is None else tuple(json.loads(blanks))
    parts = template.split(_BLANK)
    numbers = blanks.split(" ") if blanks else []
    if len(parts) != len(numbers) + 1:
        raise ValueError("a command and its numbers do not fit")
    whole = "".join(a + b for a, b in zip(parts, [*numbers, ""], strict=True))
    return tuple(whole.split("\0"))


def shell(template: str | None, blanks: str | None) -> str | None:
    """A command as one line of shell, None if there is none: for SQL."""
    line = None if template is None else _line(template)
    if line is None:
        words = command(template, blanks)
        return command_line(words) if words else None
    numbers = blanks.split(" ") if blanks else []
    if len(line) != len(numbers) + 1:
        raise ValueError("a command and its numbers do not fit")
    return "".join([a + b for a, b in zip(line, [*numbers, ""], strict=True)])


@lru_cache(256)
def _line(template: str) -> list[str] | None:
    """What stands around the numbers of a command's line; None where a word needs quotes."""
    # A number needs none, so that any number tells whether its word does.
    words = template.replace(_BLANK, "0").split("\0")
    if command_line(words) != " ".join(words):
        return None
    return template.replace("\0", " ").split(_BLANK)


def notes(kept: str | None) -> str | None:
    """Notes as one text, None if there are none: for SQL."""
    return None if kept is None else "\n".join(json.loads(kept))


# -- a run as a row -------------------------------------------------------------------------------


def known(run: Summary) -> dict[str, Any]:
    """A run as `fixed` takes it."""
    from gittrack.summaries import Summary

    made = {name: getattr(run, name) for name in Summary.__slots__}
    made["started"] = since_epoch(run.started)
    made["ended"] = None if run.ended is None else since_epoch(run.ended)
    return made


def fixed(runs: Sequence[Mapping[str, Any]], words: Words) -> list[Sequence[Stored]]:
    """The values of `COLUMNS` between the place of a run and `more`, column by column.

    Of the runs, times are microseconds since the epoch.
    """
    started, ended = [run["started"] for run in runs], _all(runs, "ended")
    commands = [_command(run.get("command") or (), words) for run in runs]
    bases, titles = _all(runs, "base"), _all(runs, "experiment_title")
    sources, said = _all(runs, "source"), _all(runs, "notes")
    return [
        [packed(run["id"]) for run in runs],
        [_STATUS_NUMBERS[run["status"]] for run in runs],
        started,
        [None if end is None else end - start for start, end in zip(started, ended, strict=True)],
        atoms.encoded(_all(runs, "exit_code")),
        atoms.encoded(_all(runs, "title")),
        [None if title is None else words.number(title) or _apart(title) for title in titles],
        atoms.encoded([run.get("user", "") for run in runs]),
        [template for template, _ in commands],
        [blanks for _, blanks in commands],
        [None if base is None else words.number(base) or packed(base) for base in bases],
        atoms.encoded(_all(runs, "branch")),
        [1 if run.get("dirty") else 0 for run in runs],
        [packed(parent) for parent in _all(runs, "parent")],
        [packed(fingerprint) for fingerprint in _all(runs, "fingerprint")],
        atoms.encoded([None if source == _SOURCE else source for source in sources]),
        [1 if run.get("archived") else 0 for run in runs],
        [1 if run.get("deleted") else 0 for run in runs],
        [json.dumps(notes) if notes else None for notes in said],
    ]


def _all(runs: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [run.get(name) for run in runs]


def summary(
    row: Sequence[Any],
    groups: Sequence[Mapping[str, Any]],
    files: Sequence[Mapping[str, str]],
    words: Callable[[int], str],
) -> Summary:
    """The run that a row is of: values of `COLUMNS`, params, metrics and tags, data and artifacts.

    Raises:
        ValueError, TypeError, LookupError, OverflowError: it is no such row.
    """
    # Apart: a model is listed without its run, and a dataclass takes long to define.
    from gittrack.summaries import Summary

    experiment, name, oid, run_id, status, started, lasted = row[:7]
    exit_code, title, experiment_title, user, template, blanks = row[7:13]
    base, branch, dirty, parent, fingerprint, source = row[13:19]
    archived, deleted, said = row[19:22]
    return Summary(
        id=unpacked(run_id),
        name=name,
        experiment=experiment,
        status=_STATUSES[status],  # type: ignore[arg-type]
        started=moment(started),
        ended=None if lasted is None else moment(started + lasted),
        exit_code=atoms.decode(exit_code),
        title=atoms.decode(title),
        experiment_title=_word(experiment_title, words),
        user=atoms.decode(user),
        command=command(None if template is None else words(template), blanks),
        base=_word(base, words),
        branch=atoms.decode(branch),
        dirty=bool(dirty),
        parent=unpacked(parent),
        params=groups[0],
        metrics=groups[1],
        tags=groups[2],
        data=files[0],
        artifacts=files[1],
        fingerprint=unpacked(fingerprint),
        source=_SOURCE if source is None else atoms.decode(source),
        commit=oid.hex(),
        archived=bool(archived),
        deleted=bool(deleted),
        notes=tuple(json.loads(said)) if said is not None else (),
    )


def unpacked(stored: Any) -> Any:
    """The text again."""
    is_id = type(stored) is bytes and len(stored) in _SIZES
    return stored.hex() if is_id else atoms.decode(stored)


def _word(stored: Any, words: Callable[[int], str]) -> Any:
    return words(stored) if type(stored) is int else unpacked(stored)
