"""The values that everything else passes around: a run and its parts, frozen, complete when built.

Knows what a run consists of. Knows nothing of Git, files, YAML or the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gittrack.summaries import Number, Status, Value, nothing

__all__ = [
    "Artifact",
    "Code",
    "Data",
    "Environment",
    "Input",
    "Row",
    "Run",
    "Skipped",
    "Snapshot",
]


@dataclass(frozen=True, slots=True)
class Row:
    """What one log call said: `time` in seconds since the run's start, `step` None if not given."""

    step: int | None
    time: float
    values: Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that the snapshot left out, and why: `too large`, `secret`, `ignored kind`, ..."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Code:
    """The code as it ran, seen from the commit that it stood on.

    `base` is None in a repository without commits, `branch` None on a detached HEAD.
    `included` are untracked files that went into the snapshot, `skipped` those that did not;
    `hidden` is what Git was told not to see. `notebook` is the path of the notebook that ran, None
    where it was none or nobody can tell.
    Paths are relative to the work tree's root, with `/`; bytes that are not UTF-8 are written as
    Git quotes them.
    """

    base: str | None = None
    branch: str | None = None
    dirty: bool = False
    included: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    hidden: tuple[Skipped, ...] = ()
    notebook: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The code as it is now: a stored tree and what it stands for.

    `changed` are the tracked files that differ from the base; `secrets` sentences about new content
    that looks secret and is in the tree because it is tracked.
    """

    tree: str
    code: Code
    changed: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """What the run ran on. `memory` in bytes; `lock_files` maps a path to its blob id.

    `python` is the version of the child's interpreter, None where the command is no Python one;
    `packages` are that interpreter's distributions.
    """

    python: str | None = None
    platform: str = ""
    cpu: str = ""
    cores: int = 0
    memory: int = 0
    gpus: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=nothing)
    lock_files: Mapping[str, str] = field(default_factory=nothing)
    variables: Mapping[str, str] = field(default_factory=nothing)


@dataclass(frozen=True, slots=True)
class Input:
    """A run whose artifact this run read: by id, which survives rewriting, and by commit."""

    run: str
    id: str
    commit: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """A file or directory that a run read, known by its content.

    `path` is relative to the work tree's root with `/`, absolute where it lies outside. `md5` is
    DVC's: 32 hexadecimal digits, for a directory those of its listing and `.dir`. `size` in bytes,
    of a directory all files together; `nfiles` is None for a file. `pointer` is the path of the
    `.dvc` file or `dvc.lock` that names it, and `modified` says that the content is not what that
    one says. `changed`: it was another one when the run ended.
    """

    path: str
    md5: str
    size: int
    nfiles: int | None = None
    pointer: str | None = None
    modified: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or directory that a run kept; `path` is its name among the run's artifacts, with `/`.

    `md5`, `size` and `nfiles` as in `Data`: DVC's cache holds the bytes under that hash.
    """

    path: str
    md5: str
    size: int
    nfiles: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recorded execution. Written once; `commit` is None until it is.

    Its curves and its output, which may be large, are read apart (`runs.series`, `runs.output`).

    `params` are flat, nested mappings joined with dots. `output_bytes` is the size of the whole
    output, of which the record may hold only the first and last parts. `faults` are sentences about
    what could not be recorded as asked, such as a metrics file that made no sense. `fingerprint` is
    32 hexadecimal digits over what went in: the code that counts, command, params and data.
    `parent` and `continues` are the ids of the run that it is nested in and of the one resumed.
    """

    id: str
    name: str
    experiment: str
    status: Status
    started: datetime
    ended: datetime | None = None
    exit_code: int | None = None
    title: str | None = None
    experiment_title: str | None = None
    message: str | None = None
    command: tuple[str, ...] = ()
    directory: str = ""
    user: str = ""
    host: str = ""
    code: Code = field(default_factory=Code)
    params: Mapping[str, Value] = field(default_factory=nothing)
    metrics: Mapping[str, Number] = field(default_factory=nothing)
    environment: Environment | None = None
    data: tuple[Data, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    inputs: tuple[Input, ...] = ()
    parent: str | None = None
    parent_name: str | None = None
    continues: str | None = None
    fingerprint: str | None = None
    tags: Mapping[str, str] = field(default_factory=nothing)
    faults: tuple[str, ...] = ()
    source: str = "cli"
    output_bytes: int = 0
    commit: str | None = None
