"""A run without what looks like secrets, and with no more faults than people read.

Knows which fields of a run hold words of the user's. Knows nothing of what a secret looks like, nor
of how a run is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gittrack import secrets
from gittrack.records import Run
from gittrack.series import Table
from gittrack.summaries import Number

__all__ = ["masked"]

_MOST_FAULTS, _LONGEST_FAULT = 200, 1000


def masked(run: Run, rows: Table) -> tuple[Run, Table]:
    """The run without what looks like secrets in keys, values and words, and a fault for each.

    Wherever they came from: a file, an option, the script itself. Of many faults the first and the
    last are kept, each once.
    """
    notes: list[str] = []
    params = _masked_values(run.params, "a param", notes)
    tags = _masked_values(run.tags, "a tag", notes)
    message = run.message and secrets.mask_words(run.message)
    if message != run.message:
        notes.append("the message")
    title, group = _masked_title(run.title, notes), _masked_title(run.experiment_title, notes)
    renamed = {key: new for key in run.metrics if (new := secrets.mask_words(key)) != key}
    if renamed:
        notes.append("the name of a metric")
        rows = rows.mapped(lambda name: renamed.get(name, name))
    faults = [_readable(fault) for fault in _some(run.faults)]
    faults += [f"masked a secret in {note}" for note in dict.fromkeys(notes)]
    run = replace(run, params=params, tags=tags, message=message, faults=tuple(faults))
    run = replace(run, title=title, experiment_title=group)
    return replace(run, metrics=_renamed(run.metrics, renamed)), rows


def _some(faults: Sequence[str]) -> list[str]:
    """Each once, and of many the first and the last: a record must stay small enough to be read.

    The last are those that the recording itself found.
    """
    once = [*dict.fromkeys(faults)]
    left = len(once) - _MOST_FAULTS
    if left <= 0:
        return once
    end = _MOST_FAULTS // 4
    return [*once[: _MOST_FAULTS - end], f"{left:,} more faults are left out", *once[-end:]]


def _readable(fault: str) -> str:
    text = secrets.mask_words(fault)
    return text if len(text) <= _LONGEST_FAULT else f"{text[: _LONGEST_FAULT - 3]}..."


def _masked_title(title: str | None, notes: list[str]) -> str | None:
    text = title and secrets.mask_words(title)
    if text != title:
        notes.append("a title")
    return text


def _masked_values(values: Mapping[str, Any], what: str, notes: list[str]) -> dict[str, Any]:
    made = {}
    for key, value in values.items():
        name = secrets.mask_words(key)
        kept = secrets.mask_value(name, value)
        if name != key:
            notes.append(f"the name of {what}")
        # Not `!=`: a NaN differs from itself.
        if kept is not value and repr(kept) != repr(value):
            notes.append(name)
        made[name] = kept
    return made


def _renamed(values: Mapping[str, Number], names: Mapping[str, str]) -> dict[str, Number]:
    return {names.get(key, key): value for key, value in values.items()}
