"""What is known of a run beyond its message: the extremes of its curves, and its packages.

Read when it is first asked for, and kept in the index's file beside the rows of `runs`: a run's
record never changes, so it is read once. Knows nothing of what else the index keeps, but that
`runs` has a `number`, the commit's `oid` and an `id`, which is missing where the commit is no run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from gittrack import atoms
from gittrack.errors import BadFile, GitFailed
from gittrack.extremes import Extremes, extremes
from gittrack.meter import SILENT, Meter
from gittrack.quoting import utf8

if TYPE_CHECKING:
    from gittrack.git import Repo

__all__ = [
    "CURVES",
    "FUNCTIONS",
    "PACKAGES",
    "expression",
    "faults",
    "fill",
    "installed",
    "names",
    "normalised",
]

CURVES = "curves"
"""The need for curves."""
PACKAGES = "packages"
"""The need for packages."""
FUNCTIONS = (
    "count",
    "first",
    "first_step",
    "last",
    "last_step",
    "max",
    "max_step",
    "min",
    "min_step",
)
"""What is known of each curve."""

_Connection: TypeAlias = Any
_RECORD = ".gittrack"
_TABLE, _WHERE = "metrics.tsv", "environment.yaml"
_LARGEST_TABLE = 256 << 20
_BATCH = 500
_BEFORE_ALL = -(1 << 63)
_NAN = "x'6E616E'"
_HEX = "CASE typeof(runs.oid) WHEN 'blob' THEN lower(hex(runs.oid)) ELSE runs.oid END"
_PLAIN_FILE = (0o100644, 0o100755)
_BROKEN, _ONE_POINT, _TABLED = -1, 0, 1
_NO_ENVIRONMENT = 0
_SCHEMA = """
CREATE TABLE {in}.extras (run INTEGER PRIMARY KEY, points INTEGER, environment INTEGER);
CREATE INDEX {in}.extras_by_environment ON extras (environment);
CREATE TABLE {in}.faults (run INTEGER NOT NULL, file TEXT NOT NULL, words TEXT NOT NULL,
  PRIMARY KEY (run, file)) WITHOUT ROWID;
CREATE TABLE {in}.curve_keys (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE {in}.curves (run INTEGER NOT NULL, key INTEGER NOT NULL, first, last, min, max,
  count INTEGER, first_step, last_step, min_step, max_step, PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE {in}.environments (number INTEGER PRIMARY KEY, blob BLOB NOT NULL UNIQUE,
  read INTEGER NOT NULL DEFAULT 0, words TEXT);
CREATE TABLE {in}.packages (environment INTEGER NOT NULL, plain TEXT NOT NULL, name TEXT NOT NULL,
  version TEXT NOT NULL, PRIMARY KEY (plain, environment)) WITHOUT ROWID;
CREATE TABLE {in}.complete (what TEXT PRIMARY KEY) WITHOUT ROWID
"""
_FORGETTING = """
CREATE TRIGGER runs_came AFTER INSERT ON runs BEGIN DELETE FROM complete; END
CREATE TRIGGER runs_went AFTER DELETE ON runs BEGIN
  DELETE FROM extras WHERE run = old.number;
  DELETE FROM curves WHERE run = old.number;
  DELETE FROM faults WHERE run = old.number;
END
"""
_THERE = "SELECT 1 FROM {} WHERE name = 'extras'"
_WAITS = {
    CURVES: "extras.points IS NULL",
    PACKAGES: "extras.environment IS NULL",
}
_FROM_WAITING = (
    " FROM runs LEFT JOIN extras ON extras.run = runs.number"
    " WHERE runs.id IS NOT NULL AND ({}) AND runs.number > ?"
)


class _Seen(NamedTuple):
    """What was found out about a run; `points` None says that it is to be looked at again."""

    run: int
    oid: object
    points: int | None
    blob: str | None
    curves: Mapping[str, Extremes]
    faults: Sequence[tuple[str, str]]


# -- asked ----------------------------------------------------------------------------------------


def expression(
    database: _Connection, function: str, metric: str, last: str, *, run: str = "runs.number"
) -> str:
    """SQL for a curve's `function`, for the run of number `run`; values as `atoms` keeps them.

    `last` is SQL for the metric's last value: a metric without a table has that one point. NULL
    where the run has no such metric, where its table is broken, and where nothing was read yet.
    """
    if function not in FUNCTIONS:
        raise AssertionError(f"no function of a curve: {function}")
    _prepare(database)
    found = database.execute("SELECT number FROM curve_keys WHERE key = ?", [metric]).fetchone()
    number = found[0] if found else -1
    kept = f'SELECT "{function}" FROM curves WHERE curves.run = {run} AND curves.key = {number}'
    if function.endswith("_step"):
        return f"({kept})"
    alone = {
        "count": f"CASE WHEN {last} IS NOT NULL THEN 1 END",
        "min": f"nullif({last}, {_NAN})",
        "max": f"nullif({last}, {_NAN})",
    }.get(function, last)
    # A curve of NaN alone has no least value, and its last one is NaN: both ways NULL.
    return (
        f"(SELECT coalesce(({kept}), {alone}) FROM extras"
        f" WHERE extras.run = {run} AND extras.points >= {_ONE_POINT})"
    )


def installed(database: _Connection, package: str) -> list[tuple[str, str]]:
    """The commits of the runs that had a package, each with its version; as far as was read.

    Names are compared as PEP 503 says.
    """
    _prepare(database)
    rows = database.execute(
        f"SELECT {_HEX}, packages.version FROM packages"
        " JOIN extras ON extras.environment = packages.environment"
        " JOIN runs ON runs.number = extras.run WHERE packages.plain = ?",
        [normalised(package)],
    )
    return [(commit, version) for commit, version in rows]


def names(database: _Connection) -> list[str]:
    """Every package that a run had, as PEP 503 compares names; as far as was read."""
    _prepare(database)
    return [name for (name,) in database.execute("SELECT DISTINCT plain FROM packages")]


def normalised(package: str) -> str:
    """A package's name as PEP 503 compares it."""
    import re

    return re.sub(r"[-_.]+", "-", package).lower()


def faults(database: _Connection) -> list[tuple[int, str]]:
    """The numbers of the runs whose curves or packages could not be read, each with the reason."""
    _prepare(database)
    return list(
        database.execute(
            "SELECT run, words FROM faults UNION ALL SELECT extras.run, environments.words"
            " FROM environments JOIN extras ON extras.environment = environments.number"
            " WHERE environments.words IS NOT NULL ORDER BY 1, 2"
        )
    )


# -- read -----------------------------------------------------------------------------------------


def fill(
    database: _Connection,
    repo: Callable[[], Repo],
    *,
    curves: bool = False,
    packages: bool = False,
    meter: Meter = SILENT,
) -> None:
    """Read what is not known yet of the runs in `runs`: their curves, their packages, or both.

    `repo` is asked for only if there is something to read. What was read is committed every 500
    runs, so that whoever is interrupted goes on there; any number of processes may do so at once.
    A file that takes no rows (it is read-only, the disk is full) gets them beside it, for this
    connection alone. What cannot be read of one run is among the `faults`, and hides no other.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
    """
    what = [need for need, on in ((CURVES, curves), (PACKAGES, packages)) if on]
    _prepare(database)
    known = {need for (need,) in database.execute("SELECT what FROM complete")}
    if known.issuperset(what):
        return
    try:
        _fill(database, repo(), what, meter)
    except database.OperationalError:
        _make(database, "temp")
        _fill(database, repo(), what, meter)


def _fill(database: _Connection, repo: Repo, what: Sequence[str], meter: Meter) -> None:
    condition = _FROM_WAITING.format(" OR ".join(_WAITS[need] for need in what))
    count = database.execute("SELECT count(*)" + condition, [_BEFORE_ALL]).fetchone()[0]
    if count:
        meter.start("reading curves" if CURVES in what else "reading packages", count, "runs")
        try:
            for part in _parts(database, condition):
                seen = [_look(repo, *run, curves=CURVES in what) for run in part]
                with _transaction(database):
                    _keep(database, seen)
                meter.advance(len(part))
        finally:
            meter.end()
    if PACKAGES in what:
        _read_environments(database, repo)
    with _transaction(database):
        for need in what:
            if not database.execute(
                "SELECT 1" + _FROM_WAITING.format(_WAITS[need]) + " LIMIT 1", [_BEFORE_ALL]
            ).fetchone():
                database.execute("INSERT OR IGNORE INTO complete VALUES (?)", [need])


def _parts(database: _Connection, condition: str) -> Iterator[list[tuple[int, object, str]]]:
    """The runs that wait: number, oid as it is kept, commit."""
    query = f"SELECT runs.number, runs.oid, {_HEX}{condition} ORDER BY runs.number LIMIT {_BATCH}"
    reached = _BEFORE_ALL
    while part := database.execute(query, [reached]).fetchall():
        reached = part[-1][0]
        yield part


def _look(repo: Repo, run: int, oid: object, commit: str, *, curves: bool) -> _Seen:
    """Open a run's record, and its table of curves if these are asked for."""
    blob: str | None = None
    try:
        files = _files(repo, commit)
        blob = files.get(_WHERE, "")
        if not curves:
            return _Seen(run, oid, None, blob, {}, ())
        if _TABLE not in files:
            return _Seen(run, oid, _ONE_POINT, blob, {}, ())
        data = _read(repo, files[_TABLE], _TABLE, _LARGEST_TABLE)
        return _Seen(run, oid, _TABLED, blob, extremes(data, _TABLE), ())
    except BadFile as error:
        return _Seen(run, oid, _BROKEN, blob or "", {}, [(error.path or "", error.message)])
    except GitFailed as error:
        # What is missing today may be fetched tomorrow.
        return _Seen(run, oid, None, None, {}, [("", error.message)])


def _files(repo: Repo, commit: str) -> dict[str, str]:
    """The blobs of a run's record that are plain files, by name."""
    top = repo.entry(repo.read_commit(commit).tree, _RECORD)
    if top is None or top.kind != "tree":
        raise BadFile(f"its tree has no directory {_RECORD}", path=_RECORD)
    found = {}
    for item in repo.tree(top.id):
        if item.name in (b"metrics.tsv", b"environment.yaml"):
            name = item.name.decode()
            if item.kind != "blob" or item.mode not in _PLAIN_FILE:
                raise BadFile(f"{name}: it is no plain file", path=name)
            found[name] = item.id
    return found


def _read(repo: Repo, blob: str, name: str, limit: int) -> bytes:
    if (size := repo.size(blob)) > limit:
        raise BadFile(f"{name}: it has {size} bytes, at most {limit} are read", path=name)
    return repo.read_blob(blob, limit=limit)


# -- packages -------------------------------------------------------------------------------------


def _read_environments(database: _Connection, repo: Repo) -> None:
    """Read the environments that were not read yet; each once, however many runs share it."""
    query = "SELECT number, lower(hex(blob)) FROM environments WHERE read = 0 AND number > ?"
    reached = 0
    while part := database.execute(f"{query} ORDER BY number LIMIT 50", [reached]).fetchall():
        reached = part[-1][0]
        told = [(number, *_packages(repo, blob)) for number, blob in part]
        with _transaction(database):
            for number, there, found, words in told:
                database.executemany(
                    "INSERT OR REPLACE INTO packages VALUES (?, ?, ?, ?)",
                    [(number, normalised(name), name, version) for name, version in found.items()],
                )
                database.execute(
                    "UPDATE environments SET read = ?, words = ? WHERE number = ?",
                    [int(there), words, number],
                )


def _packages(repo: Repo, blob: str) -> tuple[bool, Mapping[str, str], str | None]:
    """Whether an environment was there to be read; its packages, or why they cannot be read."""
    from gittrack import formats

    try:
        content = formats.load_untrusted(_read(repo, blob, _WHERE, formats.LIMIT), _WHERE)
    except BadFile as error:
        return True, {}, error.message
    except GitFailed as error:
        return False, {}, f"{_WHERE}: {error.message}"
    found = content.get(PACKAGES, {}) if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping) or not all(
        isinstance(word, str) for item in found.items() for word in item
    ):
        return True, {}, f"{_WHERE}: its packages are no mapping of names to versions"
    return True, {utf8(name): utf8(version) for name, version in found.items()}, None


# -- kept -----------------------------------------------------------------------------------------


def _prepare(database: _Connection) -> None:
    """Make the tables where there are none: in the file if it takes them."""
    if _is_beside(database) or database.execute(_THERE.format("sqlite_master")).fetchone():
        return
    try:
        with _transaction(database):
            # Another process may have been faster.
            if not database.execute(_THERE.format("sqlite_master")).fetchone():
                _make(database, "main")
                for statement in _FORGETTING.strip().split("\nCREATE"):
                    words = statement if statement.startswith("CREATE") else f"CREATE{statement}"
                    database.execute(words)
    except database.OperationalError:
        _make(database, "temp")


def _is_beside(database: _Connection) -> bool:
    """Whether the tables are this connection's alone."""
    return bool(database.execute(_THERE.format("sqlite_temp_master")).fetchone())


def _make(database: _Connection, schema: str) -> None:
    for statement in _SCHEMA.split(";"):
        database.execute(statement.replace("{in}", schema))


@contextmanager
def _transaction(database: _Connection) -> Iterator[None]:
    # What stands beside the file needs no lock on it.
    database.execute("BEGIN" if _is_beside(database) else "BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _keep(database: _Connection, seen: Sequence[_Seen]) -> None:
    """Put what was seen into the tables; a run that went meanwhile is left out."""
    marks = ",".join("?" * len(seen))
    query = f"SELECT number, oid FROM runs WHERE number IN ({marks})"
    there = dict(database.execute(query, [one.run for one in seen]))
    seen = [one for one in seen if there.get(one.run) == one.oid]
    blobs = _numbers(
        database, "environments", "blob", {bytes.fromhex(one.blob) for one in seen if one.blob}
    )
    keys = _numbers(database, "curve_keys", "key", {key for one in seen for key in one.curves})
    extras, curves, said = [], [], []
    for one in seen:
        environment = None
        if one.blob is not None:
            environment = blobs[bytes.fromhex(one.blob)] if one.blob else _NO_ENVIRONMENT
        extras.append((one.run, one.points, environment))
        said += [(one.run, file, words) for file, words in one.faults]
        for key, curve in one.curves.items():
            values = atoms.encoded(curve)
            curves.append((one.run, keys[key], *values))
    database.executemany("DELETE FROM faults WHERE run = ?", [(one.run,) for one in seen])
    database.executemany("INSERT INTO faults VALUES (?, ?, ?)", said)
    # SQLite before 3.35 wants to be told which conflict.
    database.executemany(
        "INSERT INTO extras VALUES (?, ?, ?) ON CONFLICT (run) DO UPDATE SET"
        " points = coalesce(excluded.points, points),"
        " environment = coalesce(excluded.environment, environment)",
        extras,
    )
    marks = ",".join("?" * 11)
    database.executemany(f"INSERT OR REPLACE INTO curves VALUES ({marks})", curves)


def _numbers(
    database: _Connection, table: str, column: str, values: Iterable[object]
) -> dict[Any, int]:
    """The number of each value in a table of such; those that are new get one."""
    found: dict[Any, int] = {}
    for value in values:
        database.execute(f"INSERT OR IGNORE INTO {table} ({column}) VALUES (?)", [value])
        query = f"SELECT number FROM {table} WHERE {column} = ?"
        found[value] = database.execute(query, [value]).fetchone()[0]
    return found
