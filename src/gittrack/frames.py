"""Columns as a DataFrame of pandas or polars, with the types that their values have.

The door to both, loaded when first asked. Knows what becomes of what is missing, of texts beside
numbers and of numbers that no machine word holds. Knows nothing of runs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import NoneType
from typing import Any, TypeAlias

from gittrack.errors import LibraryMissing

__all__ = ["pandas", "polars"]

_Column: TypeAlias = Sequence[Any]

_EXACT = 1 << 53
_WORD = 1 << 63
_NO_TIME = -_WORD


def pandas(columns: Mapping[str, _Column], *, moments: Collection[str] = ()) -> Any:
    """A pandas DataFrame of these columns, all of one length; None is what is missing.

    Numbers are int64, or float64 where one is missing (NaN) or none is whole; times are in UTC.
    Where float64 would not be exact, whole numbers are pandas' own Int64, as truth values with
    missing ones are boolean. A column of values of several kinds has them as objects. The columns
    of `moments` are times as whole microseconds since the epoch.

    Raises:
        LibraryMissing: pandas is not installed.
    """
    with _needed("pandas"):
        library = import_module("pandas")
    made = {
        name: (_pandas_moments if name in moments else _pandas_column)(library, values)
        for name, values in columns.items()
    }
    return library.DataFrame(made, copy=False)


def _pandas_moments(library: Any, values: _Column) -> Any:
    numbers = library.array([_NO_TIME if v is None else v for v in values], dtype="int64")
    times = numbers.to_numpy().view("datetime64[us]")
    return library.Series(times).dt.tz_localize("UTC")


def _pandas_column(library: Any, values: _Column) -> Any:
    kinds = set(map(type, values))
    present = kinds - {NoneType}
    kind = _pandas_kind(present, missing=NoneType in kinds, values=values)
    try:
        if kind == "times":
            return library.Series(library.to_datetime(values, utc=True))
        if kind == "float64":
            return library.Series(values, dtype="float64")
        return library.Series(values, dtype=kind)
    except (ValueError, OverflowError):
        # A time beyond what nanoseconds can count, a number beyond the largest float.
        return library.Series(values, dtype="object")


def _pandas_kind(present: set[type], *, missing: bool, values: _Column) -> str | None:
    """A dtype; None leaves it to pandas, which knows best what its texts are."""
    names = {kind.__name__ for kind in present}
    if names == {"str"}:
        return None
    if names == {"datetime"}:
        return "times"
    if names == {"bool"}:
        return "boolean" if missing else "bool"
    if names == {"int"}:
        largest = _largest(values)
        if largest >= _WORD:
            return "object"
        if missing:
            return "float64" if largest <= _EXACT else "Int64"
        return "int64"
    return "float64" if present and names <= {"int", "float"} else "object"


def polars(columns: Mapping[str, _Column], *, moments: Collection[str] = ()) -> Any:
    """A polars DataFrame of these columns, all of one length; None is null, NaN stays NaN.

    A number that 64 bits cannot hold makes its column Float64. Texts beside numbers are texts, as
    JSON writes them; so are lists and mappings. `moments` as for `pandas`.

    Raises:
        LibraryMissing: polars is not installed.
    """
    with _needed("polars"):
        library = import_module("polars")
    return library.DataFrame(
        [
            (_polars_moments if name in moments else _polars_column)(library, name, values)
            for name, values in columns.items()
        ]
    )


def _polars_moments(library: Any, name: str, values: _Column) -> Any:
    numbers = library.Series(name, values, dtype=library.Int64)
    return numbers.cast(library.Datetime("us", "UTC"))


def _polars_column(library: Any, name: str, values: _Column) -> Any:
    present = {kind.__name__ for kind in set(map(type, values)) - {NoneType}}
    if not present:
        return library.Series(name, values, dtype=library.Null)
    if present == {"str"}:
        return library.Series(name, values, dtype=library.String)
    if present == {"bool"}:
        return library.Series(name, values, dtype=library.Boolean)
    if present == {"datetime"}:
        return library.Series(name, values, dtype=library.Datetime("us", "UTC"))
    if present == {"int"} and _largest(values) < _WORD:
        return library.Series(name, values, dtype=library.Int64)
    if present <= {"int", "float"}:
        floats = [None if value is None else _float(value) for value in values]
        return library.Series(name, floats, dtype=library.Float64)
    texts = [None if value is None else _text(value) for value in values]
    return library.Series(name, texts, dtype=library.String)


def _largest(values: _Column) -> int:
    """How far from zero the whole numbers go."""
    return max((abs(value) for value in values if value is not None), default=0)


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


@contextmanager
def _needed(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise LibraryMissing(
            f"{name} is not installed", library=name, hint=f"pip install 'gittrack[{name}]'"
        ) from error
