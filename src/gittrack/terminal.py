"""The terminal that we stand on, and the pseudo-terminal that a child gets in its stead.

Knows settings and sizes and how they are carried from one to the other, and whose the keyboard is.
Knows no child, and writes no output.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["Terminal", "in_foreground"]

_DOUBTFUL = 65536
"""Bytes of output after which a change of settings is followed at the latest."""

_TIOCPKT_STATUS = b"\0"
_EXTPROC = {"linux": 0o200000, "darwin": 0x800}.get(sys.platform, 0)

Modes = tuple[int, int, int, tuple[bytes | int, ...]]
"""Input, output and local flags and control characters, as termios has them."""


def in_foreground() -> bool:
    """Tell whether the keyboard's signals go to our process group."""
    try:
        tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(tty) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(tty)


class Terminal:
    """The pseudo-terminal that stands in for the terminal on descriptor `real`.

    It starts with the real one's settings, except that it changes no byte of the output: the real
    terminal maps newlines. Nothing is ever typed into it, so its echo flag may stay as it is, and
    a child that clears it is noticed.
    """

    def __init__(self, real: int) -> None:
        import fcntl
        import struct
        import termios

        self.real = real
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        attributes = termios.tcgetattr(real)
        self._maps_output = bool(attributes[1] & termios.OPOST)
        attributes[1] &= ~termios.OPOST
        # With EXTPROC and packet mode the master is told of each tcsetattr; nothing else changes.
        attributes[3] |= _EXTPROC
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        fcntl.ioctl(self.master, termios.TIOCPKT, struct.pack("i", 1))
        self.unsettled = 0
        self._size = b""
        self.resize()
        self._first = self._last = self._modes()

    def _modes(self) -> Modes:
        """Return what the child wants of the terminal, our own changes taken out."""
        import termios

        iflag, oflag, _, lflag, _, _, cc = termios.tcgetattr(self.slave)
        # OPOST is ours, so a child that clears it is known by all else that cfmakeraw clears.
        cooked = lflag & (termios.ICANON | termios.ISIG | termios.IEXTEN) or iflag & termios.ICRNL
        oflag &= ~termios.OPOST
        if self._maps_output and cooked:
            oflag |= termios.OPOST
        return iflag, oflag, lflag & ~_EXTPROC, tuple(cc)

    def unpack(self, packet: bytes) -> bytes | None:
        """Return the output in what was read from the master; None: it told of new settings."""
        if packet[:1] == _TIOCPKT_STATUS:
            return packet[1:]
        self._changed()
        return None

    def _changed(self) -> None:
        """Follow a change now, or after what is readable now.

        The news overtakes the output written before, and nobody knows how much of the output came
        after. A child that gives the mapping of newlines back is about to print plain lines; one
        that takes it away has printed plain lines.
        """
        if self._modes()[1] & ~self._last[1]:
            self._follow()
        else:
            self.unsettled = _DOUBTFUL

    def passed(self, count: int) -> None:
        """Count output, so that a child that never pauses has its settings followed as well."""
        if self.unsettled or not _EXTPROC:
            self.unsettled -= count
            if self.unsettled <= 0:
                self._follow()

    def settle(self) -> None:
        """Follow a change that waited for the output before it, of which nothing is left."""
        if self.unsettled:
            self._follow()

    def _follow(self) -> None:
        """Do to the real terminal what the child did to this one since the last look."""
        import termios

        self.unsettled = 0
        now = self._modes()
        before, self._last = self._last, now
        self._impose(before, now)
        attributes = termios.tcgetattr(self.slave)
        if attributes[1] & termios.OPOST or attributes[3] & _EXTPROC != _EXTPROC:
            attributes[1] &= ~termios.OPOST
            attributes[3] |= _EXTPROC
            termios.tcsetattr(self.slave, termios.TCSANOW, attributes)

    def again(self) -> None:
        """Make the real terminal once more what the child made it: a shell may have reset it."""
        self._impose(self._first, self._last)

    def restore(self) -> None:
        """Take back what the child changed through us and left changed."""
        self._impose(self._last, self._first)

    def _impose(self, before: Modes, after: Modes) -> None:
        """Set in the real terminal what differs between the two, and nothing else."""
        import termios

        if before == after:
            return
        with suppress(termios.error):  # the terminal is gone, or not ours any more
            real = termios.tcgetattr(self.real)
            real[0] ^= (real[0] ^ after[0]) & (before[0] ^ after[0])
            real[1] ^= (real[1] ^ after[1]) & (before[1] ^ after[1])
            real[3] ^= (real[3] ^ after[2]) & (before[2] ^ after[2])
            for i, (old, new) in enumerate(zip(before[3], after[3], strict=True)):
                if old != new:
                    real[6][i] = new
            termios.tcsetattr(self.real, termios.TCSANOW, real)

    def resize(self) -> bool:
        """Take over the real terminal's size in characters and pixels; tell whether it is new."""
        import fcntl
        import termios

        with suppress(OSError):
            size = fcntl.ioctl(self.real, termios.TIOCGWINSZ, bytes(8))
            if size != self._size:
                fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
                self._size = size
                return True
        return False
