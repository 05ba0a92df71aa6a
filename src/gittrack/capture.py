"""What this process writes through `sys.stdout` and `sys.stderr`, passed on and seen.

Knows how the two objects are listened to and left as they were. What goes past them, a child's
output or `os.write`, is not seen. Knows nothing of runs.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Capture"]


class Capture:
    """Listens to both streams from when it is made until `stop`; forked children do, too.

    `sink` is called with each text after it was written, in the thread that wrote it, and must not
    raise; what it writes itself is not heard. A stream that cannot be listened to is left alone.
    """

    def __init__(self, sink: Callable[[str], None]) -> None:
        self._sink: Callable[[str], None] | None = sink
        self._busy = threading.local()
        self._taps = [self._tap(stream) for stream in (sys.stdout, sys.stderr)]

    def hears(self, stream: object) -> bool:
        """Whether what is written to this stream still comes by us."""
        return self._sink is not None and any(
            tap is not None and tap[0] is stream and vars(stream).get("write") is tap[1]
            for tap in self._taps
        )

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """Pass on what this thread writes within the block without hearing it."""
        before = getattr(self._busy, "now", False)
        self._busy.now = True
        try:
            yield
        finally:
            self._busy.now = before

    def renew(self) -> None:
        """Listen again where somebody put a stream's `write` back over us, as IPython does at the
        end of each cell, or put another stream in its place.
        """
        streams = (sys.stdout, sys.stderr)
        for number, (tap, stream) in enumerate(zip(self._taps, streams, strict=True)):
            if tap is None or tap[0] is not stream or vars(stream).get("write") is not tap[1]:
                self._untap(tap)
                self._taps[number] = self._tap(stream)

    def stop(self) -> None:
        """Listen no more; the streams get back what they had, unless somebody wrapped it again."""
        self._sink = None
        for tap in self._taps:
            self._untap(tap)

    def _untap(self, tap: tuple[Any, Any, Any] | None) -> None:
        if tap is None:
            return
        stream, write, before = tap
        if vars(stream).get("write") is write:
            try:
                if before is None:
                    del stream.write
                else:
                    stream.write = before
            except (AttributeError, TypeError):
                pass

    def _tap(self, stream: Any) -> tuple[Any, Any, Any] | None:
        """Wrap a stream's `write` -> the stream, our function, what its own attributes had."""
        try:
            before, pass_on = vars(stream).get("write"), stream.write
        except (AttributeError, TypeError):
            return None

        def write(text: Any, /) -> Any:
            if getattr(self._busy, "now", False):
                return pass_on(text)
            # Further down there may be an earlier one of ours: it is to hear nothing.
            with self.unheard():
                written = pass_on(text)
            self._heard(text)
            return written

        try:
            stream.write = write
        except (AttributeError, TypeError):
            return None
        return stream, write, before

    def _heard(self, text: Any) -> None:
        sink = self._sink
        if sink is None or not isinstance(text, str) or getattr(self._busy, "now", False):
            return
        with self.unheard():
            sink(text)
