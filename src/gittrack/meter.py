"""How far a long piece of work is: what it is told while it goes on, by whoever does the work.

Knows no terminal: `gittrack.cli` has the bar that people see.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["SILENT", "Meter"]


class Meter(Protocol):
    """Is told about a piece of work; called from one thread at a time."""

    def start(self, what: str, total: int | None, unit: str = "B") -> None:
        """A stretch of work begins: `total` units of it, None if nobody knows; `B` is bytes."""

    def advance(self, count: int) -> None:
        """`count` units more are done."""

    def end(self) -> None:
        """The stretch is over, done or given up."""


class _Silent:
    """Takes it all in and shows nothing."""

    def start(self, what: str, total: int | None, unit: str = "B") -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def end(self) -> None:
        pass


SILENT: Meter = _Silent()
"""For work that nobody watches."""
