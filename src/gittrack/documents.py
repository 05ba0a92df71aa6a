"""Documents that people and programs write: YAML, JSON, TOML and text, as plain values.

Knows how to read a file whole, within bounds, and how to say in one line what is wrong with it.
Refuses to know what a document means: the caller names its role, which the messages repeat, as
they do the path as it was given: relative to `directory`, which they leave out.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from gittrack.errors import BadFile

__all__ = ["last_line_if_torn", "load", "parse_json", "read", "read_table", "read_text", "too_deep"]


def load(path: str, what: str, largest: int, *, directory: str = "") -> Any:
    """Read a YAML, JSON or TOML file into plain values; `what` names its role in messages.

    Raises:
        BadFile: it is missing, over `largest` bytes, not UTF-8, of another kind, or broken.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".yaml", ".yml", ".json", ".toml"):
        read(path, what, largest, directory=directory)
        raise BadFile(
            f"the {what} file '{path}' is no .yaml, .json or .toml file",
            path=path,
            hint="its name tells what it holds",
        )
    if suffix in (".yaml", ".yml"):
        from gittrack.formats import load_untrusted

        return load_untrusted(read(path, what, largest, directory=directory), where=path)
    text = read_text(path, what, largest, directory=directory)
    return parse_json(text, path, what) if suffix == ".json" else _parse_toml(text, path, what)


def read(path: str, what: str, largest: int, *, directory: str = "") -> bytes:
    """Read a whole ordinary file.

    Raises:
        BadFile: it is missing, unreadable, no ordinary file, or over `largest` bytes.
    """
    try:
        there = os.path.join(directory, path)
        status = os.stat(there)
        if stat.S_ISDIR(status.st_mode):
            raise BadFile(f"the {what} file '{path}' is a directory", path=path)
        # A named pipe would wait for a writer for ever.
        if not stat.S_ISREG(status.st_mode):
            raise BadFile(f"the {what} file '{path}' is no ordinary file", path=path)
        with open(there, "rb") as file:
            data = file.read(largest + 1)
    except FileNotFoundError as error:
        raise BadFile(
            f"there is no {what} file '{path}'", path=path, hint="paths are relative to here"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadFile(f"cannot read the {what} file '{path}': {reason}", path=path) from error
    if len(data) > largest:
        raise BadFile(
            f"the {what} file '{path}' is larger than {largest >> 20} MB",
            path=path,
            hint=f"is it really a {what} file",
        )
    return data


def read_text(path: str, what: str, largest: int, *, directory: str = "") -> str:
    """Read a whole ordinary file as UTF-8, with or without a byte order mark.

    Raises:
        BadFile: as `read` does, or it is not UTF-8.
    """
    data = read(path, what, largest, directory=directory)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadFile(
            f"the {what} file '{path}' is not UTF-8 (line {line})",
            path=path,
            hint="save it as UTF-8",
        ) from error


def read_table(
    path: str, what: str, largest: int, *, delimiter: str, directory: str = ""
) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of a CSV file one by one, each with the number of the line that it ends on.

    Raises:
        BadFile: as `read_text` does, or a quote or a cell has no end.
    """
    import csv
    import io

    text = io.StringIO(read_text(path, what, largest, directory=directory), newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise BadFile(
            f"the {what} file '{path}' is no table: {error} (line {reader.line_num})", path=path
        ) from error


def last_line_if_torn(path: str, *, directory: str = "") -> int | None:
    """The number of the last line if no line feed ends it: its writer may have been killed."""
    try:
        with open(os.path.join(directory, path), "rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return None
            file.seek(-1, os.SEEK_END)
            if file.read(1) in b"\r\n":
                return None
            file.seek(0)
            return 1 + sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except OSError:
        return None


def parse_json(text: str, path: str, what: str, *, real: Callable[[str], Any] | None = None) -> Any:
    """Read JSON as it is written in practice: with NaN and infinities, but no key twice.

    `real` reads a number with a point or an exponent; by default, one out of range is an error.

    Raises:
        BadFile: it is no JSON, a key stands twice in one mapping, or a number is out of range.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_float=real or _finite)
    except json.JSONDecodeError as error:
        raise BadFile(
            f"the {what} file '{path}' is no JSON: {error.msg} (line {error.lineno})", path=path
        ) from error
    except RecursionError as error:
        raise too_deep(path, what) from error
    except ValueError as error:
        raise BadFile(f"in the {what} file '{path}', {error}", path=path) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return mapping


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _parse_toml(text: str, path: str, what: str) -> dict[str, Any]:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise too_deep(path, what) from error
    except ValueError as error:
        reason = str(error).replace("\n", " ")
        raise BadFile(f"the {what} file '{path}' is no TOML: {reason}", path=path) from error


def too_deep(path: str, what: str) -> BadFile:
    """The error for a file that nests deeper than Python can follow."""
    return BadFile(
        f"the {what} file '{path}' nests too deep", path=path, hint="flatten it: a.b.c: value"
    )
