"""What on this disk looks as if it held a secret, and so is not kept unless somebody insists.

One rule for all that becomes an artifact: names, and the content of files that are not large. Knows
nothing of runs; what looks like a secret, `secrets` knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gittrack import hashing
from gittrack.errors import BadPath
from gittrack.quoting import one_line
from gittrack.reading import open_source
from gittrack.secrets import find, secret_filename

__all__ = ["suspicion"]

_SCANNED = 1 << 20


def suspicion(path: Path, called: str, *names: str) -> str | None:
    """Why a file or directory looks as if it held a secret; None if it does not.

    `called` is what the user knows it by, `names` what else it is to be called. A directory is
    judged by the names of the files that would be stored of it, a file by its own names and, up to
    1 MiB, by its content. Of what cannot be read nothing is said: who stores it will.
    """
    whole = Path(os.path.abspath(path)).as_posix()
    if any(map(secret_filename, (whole, called, *names))):
        return "its name looks like that of a secret"
    if path.is_dir():
        inner = next((name for name in _stored(path) if secret_filename(f"{whole}/{name}")), None)
        shown = one_line(os.path.join(called, inner or ""))
        return None if inner is None else f"'{shown}' looks like a secret"
    found = find(_content(path))
    return f"line {found[0].line} looks like a secret ({found[0].kind})" if found else None


def _content(path: Path) -> bytes:
    """The bytes of a file that is not large."""
    try:
        descriptor, status = open_source(path)
    except BadPath:
        return b""
    with open(descriptor, "rb") as file:
        try:
            return file.read() if status.st_size <= _SCANNED else b""
        except OSError:
            return b""


def _stored(top: Path) -> Iterator[str]:
    """The files of a directory that DVC would store, as paths inside of it."""
    try:
        yield from (inner for inner, _ in hashing.scan(top).rows())
    except BadPath:
        return
