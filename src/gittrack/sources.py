"""What a script says that it reads: files and directories, hashed as data of its run.

Knows the objects of other libraries that stand for a file, by what they offer. The bytes are
hashed, and not kept. Knows nothing of how the run is recorded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gittrack.active import Active
from gittrack.errors import BadPath, BadValue, GittrackError
from gittrack.foreign import shown
from gittrack.quoting import one_line, utf8
from gittrack.story import plain_data

__all__ = ["log_input"]

_DEEPEST = 4


def log_input(
    source: Any,
    context: str | None = None,
    tags: Mapping[str, Any] | None = None,
    *,
    run: Active,
) -> None:
    """Record that the run reads a file or directory, known by its content as it is now.

    `source` is a path, or an object that names one: with a `path`, a `source` or a `uri`, as
    MLflow's datasets and readers of several libraries have. `context`, such as `training`, becomes
    the tag `data.<path>`, and `tags` become `data.<path>.<key>`. What the disk refuses is a fault
    of the run.

    Raises:
        BadValue: `source` names no file.
        BadPath: nothing is there; it is the whole work tree; or it lies outside of the repository
            and `track.dataOutside` does not allow that.
    """
    path = _path(source)
    if run.ended or "where" not in run.begin:
        run.fault(f"data '{one_line(path)[:200]}' not recorded: run {run.name} has ended")
        return
    from gittrack import inputs, setup
    from gittrack.git import Repo

    repo = Repo.open(run.begin["where"])
    try:
        found = inputs.begin(
            repo,
            setup.read(repo),
            paths=[os.path.abspath(path)],
            words=(),
            directory=Path.cwd(),
            tree=run.begin["tree"],
        )
    except BadPath:
        raise
    except (GittrackError, OSError) as error:
        run.fault(f"data '{one_line(path)[:200]}' not recorded: {one_line(str(error))[:500]}")
        return
    mine = [item for item in found if _is(inputs.place(repo, item), path)]
    run.append({"data": [plain_data(item) for item in mine]})
    said = {"": context, **{f".{key}": value for key, value in (tags or {}).items()}}
    named = {f"data.{item.path}{key}"[:250]: value for item in mine for key, value in said.items()}
    kept = {utf8(key): utf8(str(value)) for key, value in named.items() if value is not None}
    if kept:
        run.append({"tags": kept})


def _is(place: Path, path: str) -> bool:
    return os.path.realpath(place) == os.path.realpath(path)


def _path(source: Any) -> str:
    """The file that an object stands for.

    Raises:
        BadValue: none.
    """
    at = source
    for _ in range(_DEEPEST):
        if isinstance(at, (str, bytes, os.PathLike)):
            path = os.fsdecode(at)
            local = path.removeprefix("file://")
            if "://" in local:
                raise BadValue(
                    f"'{one_line(path)[:200]}' is no local file: log_input hashes what is on this "
                    "disk"
                )
            return local
        at = next(
            (
                inner
                for name in ("local_path", "path", "source", "uri")
                if (inner := getattr(at, name, None)) is not None and not callable(inner)
            ),
            None,
        )
    raise BadValue(
        f"log_input takes a path, or an object with a path or source, not {shown(source)}"
    )
