"""Runs as documented tables of SQL: which there are, their columns, and what stands in them.

Read by the documentation and its tests, too. Knows nothing of how the rows are made: `tuples` does.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EXTREMES", "RELATIONS", "Column", "Relation"]


class Column(NamedTuple):
    """A column of a relation: its type in SQLite, and what stands there."""

    name: str
    type: str
    about: str


class Relation(NamedTuple):
    """A table that statements may read."""

    name: str
    about: str
    columns: tuple[Column, ...]


EXTREMES = ("first", "min", "max", "count", "first_step", "last_step", "min_step", "max_step")
"""What is known of a metric's curve besides its last value."""

_RUN = Column("run", "TEXT", "the id of the run: `runs.id`")
_PATH = Column("path", "TEXT", "its path, relative to the top of the work tree")
_MD5 = Column("md5", "TEXT", "DVC's hash of the content; of a directory it ends in `.dir`")

RELATIONS: tuple[Relation, ...] = (
    Relation(
        "runs",
        "a row a run",
        (
            Column("id", "TEXT", "what identifies it: 32 hexadecimal digits"),
            Column("name", "TEXT", "its name, which runs of other experiments may have, too"),
            Column("experiment", "TEXT", "the experiment"),
            Column("experiment_title", "TEXT", "the experiment as it was spelled"),
            Column("title", "TEXT", "its title"),
            Column("status", "TEXT", "`running`, `finished`, `failed` or `killed`"),
            Column("started", "TEXT", "when, in UTC: `2026-01-31T12:00:00.000000Z`"),
            Column("ended", "TEXT", "likewise; null while it runs"),
            Column("duration", "REAL", "seconds; null while it runs"),
            Column("exit_code", "INTEGER", "what the command ended with"),
            Column("user", "TEXT", "who ran it"),
            Column("command", "TEXT", "the command as one line for a shell"),
            Column("source", "TEXT", "what recorded it: `cli`, `api`, `mlflow`, `import:...`"),
            Column("base", "TEXT", "the commit that the code stood on"),
            Column("branch", "TEXT", "the branch"),
            Column("dirty", "INTEGER", "1: the code differed from its base"),
            Column("commit", "TEXT", "the commit of the run; null while it runs"),
            Column("parent", "TEXT", "the id of the run that it is nested in"),
            Column("archived", "INTEGER", "1: archived"),
            Column("deleted", "INTEGER", "1: deleted"),
        ),
    ),
    Relation(
        "params",
        "a row a param of a run",
        (
            _RUN,
            Column("key", "TEXT", "the param, nested ones joined with dots"),
            Column("value", "", "a number, a text, 0 or 1 for a boolean; JSON for lists"),
            Column("type", "TEXT", "`number`, `text`, `boolean` or `json`"),
        ),
    ),
    Relation(
        "metrics",
        "a row a metric of a run",
        (
            _RUN,
            Column("key", "TEXT", "the metric"),
            Column("value", "REAL", "the last value; null where it is NaN"),
            Column("first", "REAL", "the first value of its curve"),
            Column("min", "REAL", "the lowest, NaN left out"),
            Column("max", "REAL", "the highest, NaN left out"),
            Column("count", "INTEGER", "how many points the curve has"),
            Column("first_step", "INTEGER", "the step of the first point, null if it has none"),
            Column("last_step", "INTEGER", "the step of the last point"),
            Column("min_step", "INTEGER", "the earliest step with the lowest value"),
            Column("max_step", "INTEGER", "the earliest step with the highest value"),
        ),
    ),
    Relation(
        "series",
        "a row a point of a curve",
        (
            _RUN,
            Column("key", "TEXT", "the metric"),
            Column("step", "INTEGER", "the step, null if none was given"),
            Column("time", "REAL", "seconds since the run began"),
            Column("value", "REAL", "the value; null where it is NaN"),
        ),
    ),
    Relation(
        "tags",
        "a row a tag of a run",
        (_RUN, Column("key", "TEXT", "the tag"), Column("value", "TEXT", "its text")),
    ),
    Relation(
        "notes",
        "a row a note on a run",
        (
            _RUN,
            Column("number", "INTEGER", "1 for the oldest"),
            Column("text", "TEXT", "what it says"),
        ),
    ),
    Relation("data", "a row a file or directory that a run read", (_RUN, _PATH, _MD5)),
    Relation(
        "artifacts",
        "a row a file or directory that a run kept",
        (_RUN, Column("path", "TEXT", "its name among the artifacts of the run"), _MD5),
    ),
    Relation(
        "inputs",
        "a row a run that a run was built from",
        (
            _RUN,
            Column("input", "TEXT", "the id of the run that it read from"),
            Column("name", "TEXT", "the name of that run"),
            Column("path", "TEXT", "what it read of it; null if that is not known"),
        ),
    ),
    Relation(
        "packages",
        "a row a Python package of a run's environment",
        (
            _RUN,
            Column("name", "TEXT", "the package"),
            Column("version", "TEXT", "its version"),
        ),
    ),
    Relation(
        "models",
        "a row a registered version of a model",
        (
            Column("model", "TEXT", "the model"),
            Column("version", "TEXT", "its version: `1.2.0`"),
            Column("tag", "TEXT", "the tag that registers it: `churn@v1.2.0`"),
            Column("run", "TEXT", "the id of the run that is tagged; null if the commit is none"),
            Column("commit", "TEXT", "the commit that is tagged"),
            Column("registered", "TEXT", "when, in UTC; null if the tag does not say"),
            Column("deregistered", "INTEGER", "1: taken back, by a tag `churn@v1.2.0!`"),
            Column("stage", "TEXT", "the stage that it holds now; null if none"),
            Column("aliases", "TEXT", "the aliases that it holds now, with blanks between them"),
        ),
    ),
)
"""Every table, in the order of the documentation."""
