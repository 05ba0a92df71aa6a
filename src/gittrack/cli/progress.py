"""The bar that shows how far long work is: on stderr, on a terminal, after a second."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

__all__ = ["Bar", "bar"]

_PATIENCE = 1.0


def bar() -> Bar:
    """A meter for people; used in a `with` statement it is gone afterwards, whatever happens."""
    return Bar()


class Bar:
    """Shows what a `gittrack.meter.Meter` is told; where nobody watches, nothing."""

    def __init__(self) -> None:
        self._shown: Any = None
        self._watched = sys.stderr is not None and sys.stderr.isatty()
        self._what, self._unit = "", ""
        self._total: int | None = None
        self._done = 0
        self._began = 0.0

    def start(self, what: str, total: int | None, unit: str = "B") -> None:
        """A stretch of work begins; one that is over within a second is not shown."""
        self.end()
        self._what, self._total, self._unit = what, total, unit
        self._done = 0
        self._began = time.monotonic()

    def advance(self, count: int) -> None:
        """`count` units more are done."""
        self._done += count
        if not self._watched:
            return
        if self._shown is not None:
            self._shown.update(count)
        elif time.monotonic() - self._began >= _PATIENCE:
            self._shown = self._open()

    def end(self) -> None:
        """Take the bar away."""
        if self._shown is not None:
            self._shown.close()
            self._shown = None

    def _open(self) -> Any:
        from tqdm import tqdm

        from gittrack.quoting import one_line

        return tqdm(
            desc=one_line(self._what),
            total=self._total,
            initial=self._done,
            unit=self._unit if self._unit == "B" else f" {self._unit}",
            unit_scale=True,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
