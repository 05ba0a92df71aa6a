"""What a listing knows of a run: the frozen value that tables, queries and selectors pass around.

Knows what is known without opening a record. Apart from `records`, because a listing has to load in
no time. Knows nothing of Git, files or the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

__all__ = ["STATUSES", "Number", "Status", "Summary", "Value", "nothing"]

Number: TypeAlias = int | float
"""A metric's value. NaN and the infinities are values; a bool is none."""

Value: TypeAlias = Any
"""A param's value: str, int, float, bool, None, or a list or mapping of these."""

Status = Literal["running", "finished", "failed", "killed"]
STATUSES: tuple[Status, ...] = ("running", "finished", "failed", "killed")

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def nothing() -> Mapping[str, Any]:
    """A mapping that holds nothing and takes nothing."""
    # Before Python 3.12 a mapping proxy has no hash, and so can be no default of its own.
    return _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a listing knows of a run, without opening its record.

    `params` are flat, nested mappings joined with dots. `commit` is None while the run is running.
    `archived`, `deleted`, `notes`, and the current `title` and `tags` come from annotations.
    `data` and `artifacts` map the paths of what it read and kept to their md5. Runs with one
    `fingerprint` did the same: code that counts, command, params and data were equal. `parent` is
    the id of the run that it is nested in.
    """

    id: str
    name: str
    experiment: str
    status: Status
    started: datetime
    ended: datetime | None = None
    exit_code: int | None = None
    title: str | None = None
    experiment_title: str | None = None
    user: str = ""
    command: tuple[str, ...] = ()
    base: str | None = None
    branch: str | None = None
    dirty: bool = False
    parent: str | None = None
    params: Mapping[str, Value] = field(default_factory=nothing)
    metrics: Mapping[str, Number] = field(default_factory=nothing)
    tags: Mapping[str, str] = field(default_factory=nothing)
    data: Mapping[str, str] = field(default_factory=nothing)
    artifacts: Mapping[str, str] = field(default_factory=nothing)
    fingerprint: str | None = None
    source: str = "cli"
    commit: str | None = None
    archived: bool = False
    deleted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; None while it runs."""
        return None if self.ended is None else (self.ended - self.started).total_seconds()
