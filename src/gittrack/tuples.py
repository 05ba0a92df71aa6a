"""Runs as the rows of the documented tables of SQL, put into a database or a file of their own.

Knows how a run's values become rows. Where runs are kept, a `Source` knows; what statements may do,
`selection`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gittrack.cells import jsonable
from gittrack.errors import WriteFailed
from gittrack.figures import moment, time_text
from gittrack.meter import SILENT, Meter
from gittrack.quoting import utf8
from gittrack.relations import EXTREMES, RELATIONS, Relation

if TYPE_CHECKING:
    from gittrack.records import Input, Row
    from gittrack.registry import Version
    from gittrack.summaries import Summary
    from gittrack.vocabulary import Vocabulary

__all__ = ["Source", "create", "fill", "store"]

_KEYS = 8

_Rows = Iterable[Sequence[Any]]


class Source(Protocol):
    """Where the runs come from that the tables show."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The keys of these runs; others may be among them."""

    @property
    def total(self) -> int:
        """How many runs there are."""

    def columns(self, keys: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Values by full key, as `Search.columns` gives them."""

    def batches(self) -> Iterator[Sequence[Summary]]:
        """The runs, some thousand at once."""

    def rows(self, run: Summary) -> Sequence[Row]:
        """The curves of a run; none where they cannot be read."""

    def curve(self, metric: str) -> Mapping[str, Sequence[Any]]:
        """`run`, `value` (the last one) and `EXTREMES` of a metric; None where a run has none."""

    def inputs(self, run: Summary) -> Sequence[Input]:
        """The runs that a run was built from; none where that cannot be read."""

    def packages(self, run: Summary) -> Mapping[str, str]:
        """The packages of a run's environment; none where they cannot be read."""

    def models(self) -> Iterable[tuple[Version, str | None]]:
        """Versions of models, and the id of the run that each is of; None where it is of none."""


# -- the rows --------------------------------------------------------------------------------------


def _value(value: Any) -> Any:
    """A value as SQLite takes it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 63:
            return value
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, str):
        return utf8(value)
    if value is None or isinstance(value, float):
        return value
    return utf8(json.dumps(jsonable(value), ensure_ascii=False, default=str))


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "json"


def _time(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    return time_text(moment(microseconds))


def _runs(source: Source, wanted: Sequence[str]) -> Iterator[_Rows]:
    found = source.columns(wanted)
    columns: list[Iterable[Any]] = []
    for name in wanted:
        values: Iterable[Any] = found[name]
        columns.append(map(_time if name in ("started", "ended") else _value, values))
    yield zip(*columns, strict=True)


def _keyed(group: str) -> Callable[[Source, Sequence[str]], Iterator[_Rows]]:
    """Rows of (run, key, value, type) for all keys of a group, a few keys at once."""

    def rows(source: Source, wanted: Sequence[str]) -> Iterator[_Rows]:
        keys = source.vocabulary.keys(group)
        for start in range(0, len(keys), _KEYS):
            part = keys[start : start + _KEYS]
            found = source.columns(["id", *(f"{group}.{key}" for key in part)])
            for key in part:
                name = utf8(key)
                yield (
                    (run, name, _value(value), _type(value))[: 4 if group == "params" else 3]
                    for run, value in zip(found["id"], found[f"{group}.{key}"], strict=True)
                    if value is not None
                )

    return rows


def _each(of: Callable[[Source, Summary], _Rows]) -> Callable[..., Iterator[_Rows]]:
    """Rows made run by run."""

    def rows(source: Source, wanted: Sequence[str]) -> Iterator[_Rows]:
        for batch in source.batches():
            for run in batch:
                yield of(source, run)

    return rows


def _metrics(source: Source, wanted: Sequence[str]) -> Iterator[_Rows]:
    if not set(wanted) & set(EXTREMES):
        yield from _keyed("metrics")(source, wanted)
        return
    for key in source.vocabulary.keys("metrics"):
        found, name = source.curve(key), utf8(key)
        columns = [map(_value, found[function]) for function in EXTREMES]
        yield (
            (run, name, _value(value), *known)
            for run, value, *known in zip(found["run"], found["value"], *columns, strict=True)
            if value is not None
        )


def _series(source: Source, run: Summary) -> Iterator[tuple[Any, ...]]:
    for row in source.rows(run):
        for key, value in row.values.items():
            yield run.id, utf8(key), row.step, row.time, _value(value)


def _notes(source: Source, run: Summary) -> _Rows:
    return ((run.id, number, utf8(text)) for number, text in enumerate(run.notes, 1))


def _data(source: Source, run: Summary) -> _Rows:
    return ((run.id, utf8(path), md5) for path, md5 in run.data.items())


def _artifacts(source: Source, run: Summary) -> _Rows:
    return ((run.id, utf8(path), md5) for path, md5 in run.artifacts.items())


def _inputs(source: Source, run: Summary) -> _Rows:
    return (
        (
            run.id,
            used.id,
            used.run.rpartition("/")[2],
            None if used.path is None else utf8(used.path),
        )
        for used in source.inputs(run)
    )


def _packages(source: Source, run: Summary) -> _Rows:
    return ((run.id, utf8(name), utf8(version)) for name, version in source.packages(run).items())


def _models(source: Source, wanted: Sequence[str]) -> Iterator[_Rows]:
    yield (
        (
            version.model,
            version.version,
            version.registered.tag,
            run,
            version.commit,
            None if (at := version.registered.moment) is None else _time(at * 1_000_000),
            int(not version.is_live),
            version.stage,
            " ".join(version.aliases) or None,
        )
        for version, run in source.models()
    )


_FILL: Mapping[str, Callable[[Source, Sequence[str]], Iterator[_Rows]]] = {
    "runs": _runs,
    "params": _keyed("params"),
    "metrics": _metrics,
    "series": _each(_series),
    "tags": _keyed("tags"),
    "notes": _each(_notes),
    "data": _each(_data),
    "artifacts": _each(_artifacts),
    "inputs": _each(_inputs),
    "packages": _each(_packages),
    "models": _models,
}


# -- the tables ------------------------------------------------------------------------------------


def create(connection: sqlite3.Connection, relation: Relation) -> None:
    """Make the table of a relation, without rows."""
    columns = ", ".join(f'"{column.name}" {column.type}'.rstrip() for column in relation.columns)
    connection.execute(f'CREATE TABLE "{relation.name}" ({columns})')


def _given(relation: Relation, wanted: Container[str]) -> list[str]:
    """The columns that are filled where a statement reads those that are wanted."""
    names = [column.name for column in relation.columns]
    if relation.name == "runs":
        return [name for name in names if name in wanted] or ["id"]
    if relation.name == "metrics" and not any(name in wanted for name in EXTREMES):
        return names[:3]
    return names


def fill(
    connection: sqlite3.Connection,
    source: Source,
    relation: Relation,
    wanted: Container[str],
    meter: Meter,
) -> None:
    """Put all rows of a relation into its table; columns that are not wanted may stay null.

    Raises:
        sqlite3.Error: the database does not take them.
    """
    given = _given(relation, wanted)
    names = ", ".join(f'"{name}"' for name in given)
    into = f'INSERT INTO "{relation.name}" ({names}) VALUES ({", ".join("?" * len(given))})'
    meter.start(f"reading {relation.name}", None, "rows")
    try:
        for rows in _FILL[relation.name](source, given):
            meter.advance(max(connection.executemany(into, rows).rowcount, 0))
    finally:
        meter.end()


# -- a file of all ---------------------------------------------------------------------------------


def store(
    source: Source,
    path: str | os.PathLike[str],
    *,
    without: Container[str] = (),
    meter: Meter = SILENT,
    named: str | None = None,
) -> None:
    """Write the tables into a new SQLite file, all but those left out, with indexes for joins.

    Errors speak of it as `named`, by default its path.

    Raises:
        WriteFailed: the disk is full, or refuses.
    """
    try:
        connection = sqlite3.connect(os.fspath(path), isolation_level=None)
    except sqlite3.Error as error:
        raise WriteFailed(f"cannot write '{named or os.fspath(path)}': {error}") from error
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536"):
            connection.execute(f"PRAGMA {pragma}").close()
        connection.execute("BEGIN")
        for relation in RELATIONS:
            if relation.name not in without:
                names = [column.name for column in relation.columns]
                create(connection, relation)
                fill(connection, source, relation, names, meter)
                _index(connection, relation)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise WriteFailed(f"cannot write '{named or os.fspath(path)}': {error}") from error
    finally:
        connection.close()


def _index(connection: sqlite3.Connection, relation: Relation) -> None:
    name = relation.name
    if name == "runs":
        connection.execute("CREATE INDEX runs_id ON runs (id)")
        return
    second = relation.columns[1].name
    connection.execute(f'CREATE INDEX "{name}_run" ON "{name}" (run, "{second}")')
