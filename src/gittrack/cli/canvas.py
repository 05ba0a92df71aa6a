"""The terminal as something to draw on: taken, redrawn without flicker, and given back whole.

Knows the alternate screen, the keyboard and the signals that a program has to do with which holds a
terminal for long. Knows nothing of what is drawn.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Canvas"]

# Source: XTerm Control Sequences (ctlseqs): 1049 the alternate screen, 25 the cursor, 2026 output
# that is shown at once (where it is not known it is ignored).
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_AT_ONCE, _SHOWN = "\x1b[?2026h", "\x1b[?2026l"
_HOME, _LINE_END, _REST = "\x1b[H", "\x1b[K", "\x1b[J"
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_KEYS = (b"q", b"Q", b"\x03")


class _Ended(BaseException):
    """A signal that ends us came; raised so that the terminal is given back first."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Canvas:
    """The terminal, ours within a `with` block; Ctrl-Z gives it back for as long as we are stopped.

    Left by a signal, the process dies of that signal afterwards.
    """

    def __init__(self) -> None:
        self._drawn: Sequence[str] | None = None
        self._keys = -1
        self._modes: list[Any] | None = None
        self._before: dict[int, Any] = {}
        self._wakeup = (-1, -1)
        self._former_wakeup = -1

    def __enter__(self) -> Canvas:
        self._wakeup = os.pipe()
        for end in self._wakeup:
            os.set_blocking(end, False)
        self._former_wakeup = signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        for number in _ENDING:
            self._before[number] = signal.signal(number, _end)
        self._before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._resized)
        self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stopped)
        try:
            self._take()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Nothing may come between us and the terminal's owner now.
        self._before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
        for number in (*_ENDING, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        self._give_back()
        signal.set_wakeup_fd(self._former_wakeup)
        for held, handler in self._before.items():
            signal.signal(held, handler)
        for end in self._wakeup:
            os.close(end)
        if isinstance(error, _Ended):
            signal.signal(error.number, signal.SIG_DFL)
            os.kill(os.getpid(), error.number)

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now: an exported COLUMNS says how it was once."""
        try:
            found = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return 80, 24
        return found.columns or 80, found.lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, each within the terminal's width; costs nothing where nothing changed.

        Raises:
            OSError: the terminal is gone.
        """
        if lines == self._drawn:
            return
        self._drawn = list(lines)
        text = f"{_LINE_END}\n".join(lines)
        self._write(f"{_AT_ONCE}{_HOME}{text}{_LINE_END}{_REST}{_SHOWN}")

    def wait(self, seconds: float) -> bool:
        """Wait for so long, or until the terminal has another size -> whether the user leaves."""
        import select

        sources = [self._wakeup[0], *([self._keys] if self._keys >= 0 else [])]
        ready, _, _ = select.select(sources, [], [], max(0.0, seconds))
        if self._wakeup[0] in ready:
            self._drain()
        if self._keys in ready:
            typed = os.read(self._keys, 64)
            if not typed:
                self._keys = -1
            return any(key in typed for key in _KEYS)
        return False

    def _drain(self) -> None:
        try:
            while os.read(self._wakeup[0], 64):
                continue
        except BlockingIOError:
            pass

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _take(self) -> None:
        from gittrack.terminal import in_foreground

        # In the background the keyboard is somebody else's.
        if sys.stdin is not None and sys.stdin.isatty() and in_foreground():
            import termios
            import tty

            self._keys = sys.stdin.fileno()
            self._modes = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys, termios.TCSADRAIN)
        self._drawn = None
        self._write(_ENTER)

    def _give_back(self) -> None:
        try:
            self._write(_LEAVE)
        except (OSError, ValueError):
            # The terminal is gone, and nobody is there to get it back.
            pass
        if self._modes is not None:
            import termios

            try:
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._modes)
            except (OSError, termios.error):
                pass
            self._modes = None

    def _resized(self, number: int, frame: FrameType | None) -> None:
        self._drawn = None

    def _stopped(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here we go on.
        signal.signal(signal.SIGTSTP, self._stopped)
        self._take()


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended(number)
