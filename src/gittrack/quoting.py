"""How bytes and text that are not plain are written: for records, for one line, for a terminal.

Pure. Knows escapes, and nothing about what the text says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["command_line", "one_line", "printable", "quote_path", "shortened", "utf8"]

# C0, DEL and C1 controls; zero-width and bidirectional marks; line and paragraph separators;
# lone surrogates and the byte-order mark: whatever moves the cursor or hides text.
_UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_UNSAFE_BUT_LINES = _UNSAFE.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f")
_SPECIAL = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
_LONGEST = 250
_SHELL_SAFE = r"[A-Za-z0-9@%+=:,./_-]+"


def quote_path(raw: bytes) -> str:
    """A path as Git shows it: UTF-8 as it is, anything else in double quotes with octal escapes.

    Source: `core.quotePath` in git-config(1), with its value false.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text and not re.search(_UNSAFE, text) and '"' not in text and "\\" not in text:
        return text
    parts = []
    for byte in raw:
        if byte in _SPECIAL:
            parts.append("\\" + _SPECIAL[byte])
        elif 32 <= byte < 127:
            parts.append(chr(byte))
        else:
            parts.append(f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'


def utf8(text: str) -> str:
    """Text that can be stored as UTF-8: as it is, or quoted as Git quotes a path.

    Arguments and file names whose bytes are not UTF-8 reach Python as lone surrogates (PEP 383).
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return quote_path(_raw(text))
    return text


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # JSON's "\ud800" stands for no byte at all.
        return text.encode("utf-8", "surrogatepass")


def one_line(text: str) -> str:
    """The text with control, invisible and bidirectional characters escaped, and line breaks."""
    return text if _is_plain(text) else re.sub(_UNSAFE, _escape, text)


def printable(text: str) -> str:
    """The text made safe for a terminal: escaped like `one_line`, tabs and line breaks kept."""
    if _is_plain(text.replace("\n", "")):
        return text
    return re.sub(_UNSAFE_BUT_LINES, _escape, text)


def shortened(text: str) -> str:
    """The text of an error, with the middle left out of whatever is longer than a name can be.

    That is what stands between single quotes, or has no blanks, and has more than 250 characters.
    """
    if len(text) <= _LONGEST:
        return text
    long = rf"(?<=')[^'\n]{{{_LONGEST + 1},}}(?=')|[^\s']{{{_LONGEST + 1},}}"
    return re.sub(long, lambda found: f"{found[0][:40]}...{found[0][-17:]}", text)


def _is_plain(text: str) -> bool:
    """Whether there is nothing to escape, seen without the expressions, which are slow to compile.

    Below the combining marks Python's own word for printable is enough.
    """
    return text.isprintable() and (text.isascii() or max(text) < "\u0300")


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in (9, 10, 13):
        return {9: "\\t", 10: "\\n", 13: "\\r"}[code]
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def command_line(argv: Sequence[str]) -> str:
    """An argument list as one line that a shell (with `$'...'`) reads back as the same list."""
    return " ".join(_shell_word(utf8(word)) for word in argv)


def _shell_word(word: str) -> str:
    if re.fullmatch(_SHELL_SAFE, word):
        return word
    if _is_plain(word) or not re.search(_UNSAFE, word):
        return "'" + word.replace("'", "'\"'\"'") + "'"
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + re.sub(_UNSAFE, _escape_for_shell, escaped) + "'"


def _escape_for_shell(found: re.Match[str]) -> str:
    """Escape as `_escape` does, but to a shell `\\x80` is a byte and no character."""
    code = ord(found[0])
    return f"\\u{code:04x}" if 127 < code < 256 else _escape(found)
