"""Columns as a data set of Parquet files, partitioned as Hive does it; the door to pyarrow.

Knows types, parts and the names of directories. A column has one type in all files. Knows nothing
of runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gittrack.errors import LibraryMissing

__all__ = ["Dataset", "require"]

_MOST_BYTES = 64 << 20
"""How much may wait in memory to be written."""


def require() -> None:
    """Load pyarrow.

    Raises:
        LibraryMissing: it is not installed.
    """
    _load("pyarrow")


def _load(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise LibraryMissing(
            "pyarrow is not installed",
            library="pyarrow",
            hint="pip install 'gittrack[parquet]'",
        ) from error


class Dataset:
    """A directory of Parquet files, written part by part: `KEY=VALUE/part-N.parquet`.

    A part waits in memory until there are some 64 MiB, so that its file has many rows. What is
    missing is null; NaN and the infinities are values. `close` writes what waits.
    """

    def __init__(self, directory: Path, types: Mapping[str, str], *, key: str) -> None:
        """Columns and their types: boolean, integer, number, text or time (UTC, microseconds)."""
        library = _load("pyarrow")
        made = {
            "boolean": library.bool_(),
            "integer": library.int64(),
            "number": library.float64(),
            "text": library.string(),
            "time": library.timestamp("us", tz="UTC"),
        }
        self._library = library
        self._schema = library.schema([(name, made[kind]) for name, kind in types.items()])
        self._directory = directory
        self._key = key
        self._waiting: dict[str, list[Any]] = {}
        self._bytes = 0
        self._parts: dict[str, int] = {}
        directory.mkdir()

    def add(self, value: str, columns: Sequence[Sequence[Any]]) -> None:
        """Append rows to the partition of `value`, by column, in the order of the types.

        Raises:
            OSError: a file cannot be written.
        """
        library = self._library
        arrays = [
            library.array(values, type=field.type, from_pandas=False)
            for values, field in zip(columns, self._schema, strict=True)
        ]
        table = library.Table.from_arrays(arrays, schema=self._schema)
        self._waiting.setdefault(value, []).append(table)
        self._bytes += table.nbytes
        if self._bytes > _MOST_BYTES:
            self.close()

    def close(self) -> None:
        """Write what waits.

        Raises:
            OSError: as `add`.
        """
        write = _load("pyarrow.parquet").write_table
        for value, tables in self._waiting.items():
            number = self._parts.get(value, 0)
            self._parts[value] = number + 1
            place = self._directory / f"{self._key}={quote(value, safe='')}"
            place.mkdir(exist_ok=True)
            path = os.fspath(place / f"part-{number}.parquet")
            write(self._library.concat_tables(tables), path, compression="zstd")
        self._waiting.clear()
        self._bytes = 0
