"""Records for programs: JSON and CSV, numbers in full. Prints nothing.

Knows what the formats lack and how it is written all the same. Knows nothing of selectors, Git or
options.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.cells import is_number, jsonable, plain
from gittrack.quoting import command_line
from gittrack.report import Column, lookup

if TYPE_CHECKING:
    from gittrack.summaries import Summary

__all__ = ["as_json", "csv_rows", "csv_text"]


def as_json(value: Any) -> str:
    """Records as one JSON document in ASCII.

    A record is an object with the names of its fields, a run also has `duration` in seconds.
    Times are RFC 3339 in UTC. NaN and the infinities, which JSON has not, are the texts `NaN`,
    `Infinity` and `-Infinity`.
    """
    return json.dumps(jsonable(value), indent=2, allow_nan=False) + "\n"


def csv_text(
    found: Sequence[Summary],
    columns: Sequence[Column],
    more: Mapping[str, Sequence[Any]] | None = None,
) -> str:
    """Runs as CSV (RFC 4180), numbers in full; a text that a spreadsheet would run begins with `'`.

    What a run does not have is an empty field. `more` are columns of values that overrule the
    runs' own.
    """
    given = more or {}
    head = [column.key for column in columns]
    return csv_rows(
        [
            head,
            *(
                [given[key][row] if key in given else lookup(run, key) for key in head]
                for row, run in enumerate(found)
            ),
        ]
    )


def csv_rows(rows: Iterable[Sequence[Any]]) -> str:
    """Any rows as CSV by the rules of `csv_text`."""
    import csv
    import io

    sheet = io.StringIO()
    writer = csv.writer(sheet)
    for row in rows:
        writer.writerow([_field(value) for value in row])
    return sheet.getvalue()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if is_number(value):
        return repr(value)
    if isinstance(value, tuple):
        value = command_line(value)
    text = value if isinstance(value, str) else plain(value)
    # No reader of CSV agrees with another about NUL, and Python's writer refused it before 3.11.
    text = text.replace("\0", "\\x00")
    # Source: OWASP, "CSV Injection".
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
