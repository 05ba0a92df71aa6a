"""What fits into a record: it must stay small enough to be read back, whatever was logged.

Knows how much that is, and what is left out. Knows nothing of files or journals. Pure.
"""

from __future__ import annotations

from itertools import islice

from gittrack.quoting import one_line
from gittrack.summaries import Value

__all__ = ["LONGEST_TITLE", "text", "values"]

LONGEST_TITLE = 1000

_MOST_KEYS = 20_000
# What is read back of a file is 8 MiB, and of a commit's message 1 MiB.
_LARGEST = 1 << 20
_ROOM = {"params": 6 << 20, "metrics": 6 << 20, "tags": 4 << 20}


def text(told: str | None, most: int = 100_000) -> str | None:
    """A text of the user's, its beginning where it is too long."""
    return told if told is None or len(told) <= most else f"{told[:most]}..."


def values(said: dict[str, Value], what: str, faults: list[str]) -> dict[str, Value]:
    """As many as a record holds and can be read back, the first; what is too large is left out."""
    some = said
    where = "; all stand in metrics.tsv" if what == "metrics" else ""
    if len(said) > _MOST_KEYS:
        faults.append(f"the first {_MOST_KEYS:,} of {len(said):,} {what} are recorded{where}")
        some = dict(islice(said.items(), _MOST_KEYS))
    room, kept = _ROOM[what], {}
    for key, value in some.items():
        size = _size(key, value)
        if size <= min(room, _LARGEST):
            room -= size
            kept[key] = value
    left = [key for key in some if key not in kept]
    if left:
        named = ", ".join(f"'{one_line(key)[:80]}'" for key in left[:10])
        more = f" and {len(left) - 10:,} more" if len(left) > 10 else ""
        faults.append(f"too large for a record, and left out of its {what}: {named}{more}{where}")
    return kept if left else some


def _size(key: str, value: Value) -> int:
    """About how many bytes it takes in a record."""
    import json

    plain = type(value) in (bool, float, type(None))
    return len(key.encode()) + (24 if plain else len(json.dumps(value)))
