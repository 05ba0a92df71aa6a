"""What an output that ends with a Python traceback says of the end. Pure.

Knows how Python writes one, in colours too. Knows nothing of runs.
"""

from __future__ import annotations

import re

__all__ = ["last_line"]

_TAIL = 64 << 10
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"[^\W\d][\w.<>]*(?:: .*)?")
_BEGIN = "Traceback (most recent call last):"
_OF_SYNTAX = ("SyntaxError", "IndentationError", "TabError")


def last_line(output: bytes) -> str | None:
    """`ValueError: bad input`, where such a line and the traceback before it are the last there is.

    None where they are not: what was printed after a traceback may mean that the program went on.
    Looks at the last 64 KiB; the line is as it was printed, without colours.
    """
    text = _COLOR.sub("", output[-_TAIL:].decode("utf-8", "backslashreplace"))
    lines = text.replace("\r\n", "\n").rstrip().split("\n")
    error = lines.pop().rpartition("\r")[2]
    if not _ERROR.fullmatch(error):
        return None
    first = None
    # Where a progress bar was, the first line of a traceback stands behind it.
    while lines and lines[-1][:1].isspace() and not lines[-1].endswith(_BEGIN):
        first = lines.pop()
    if first is None:
        return None
    # Of a file that Python could not even read there is no more than the place.
    is_place = first.startswith('  File "') and error.startswith(_OF_SYNTAX)
    begins = bool(lines) and lines[-1].endswith(_BEGIN)
    return error if begins or is_place else None
