"""Finding a finished run that did the same, so that it need not be done again.

Knows what makes two executions the same: code that counts, command, directory, params, data. Knows
nothing of how a run is executed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from gittrack import refs, runs
from gittrack.errors import GittrackError, UsageError
from gittrack.git import Repo
from gittrack.meter import SILENT, Meter
from gittrack.records import Data, Run
from gittrack.refs import RunRef

__all__ = ["find", "fingerprint", "restore"]


def fingerprint(
    repo: Repo,
    *,
    tree: str,
    code: Sequence[str],
    command: Sequence[str],
    directory: str,
    params: Mapping[str, Any],
    data: Sequence[Data],
) -> str:
    """32 hexadecimal digits over all that goes into a run; equal ones did the same.

    `code` are the paths of the code that counts, relative to the root of `tree`; none: all of it.
    What a command reads besides (the environment, files that nobody named) is not in it.

    Raises:
        UsageError: there is no such path in the code.
    """
    said = [
        _code(repo, tree, code),
        list(command),
        directory,
        sorted((key, repr(value)) for key, value in params.items()),
        sorted((item.path, item.md5) for item in data),
    ]
    text = json.dumps(said, separators=(",", ":"))
    # Git's own hash is at hand, where hashlib would first load a library.
    return repo.blob_id(text.encode("utf-8", "surrogateescape"))[:32]


def _code(repo: Repo, tree: str, code: Sequence[str]) -> list[tuple[str, str]]:
    if not code:
        if repo.entry(tree, runs.RECORD) is None:
            return [("", tree)]
        return [("", repo.write_tree({runs.RECORD: ("", 0)}, base=tree))]
    found = []
    for path in sorted(set(code)):
        entry = repo.entry(tree, path)
        if entry is None:
            raise UsageError(
                f"there is no '{path}' in the code of this run",
                hint="paths are relative to the top of the work tree; ignored files are no code.",
            )
        found.append((path, entry.id))
    return found


def find(repo: Repo, wanted: str) -> tuple[RunRef, Run] | None:
    """The newest finished run with this fingerprint that is not deleted, None if there is none."""
    from gittrack.annotations import overlay
    from gittrack.index import open_index

    with open_index(repo) as index:
        candidates = index.with_fingerprint(wanted)
    for known in candidates:
        ref = refs.find(repo, known.experiment, known.name)
        if ref is None:
            continue
        try:
            run = runs.load(repo, ref)
        except GittrackError:
            # A record that cannot be read answers for nothing.
            continue
        if run.status != "finished" or run.fingerprint != wanted:
            continue
        if not overlay(repo, [runs.summarize(run)])[0].deleted:
            return ref, run
    return None


def restore(
    repo: Repo, ref: RunRef, run: Run, patterns: Sequence[str], *, meter: Meter = SILENT
) -> None:
    """Put the artifacts of a run that is reused where the command would have written them.

    Only what the `--out` patterns (absolute) name; running the command would have overwritten it
    too.

    Raises:
        DataMissing: the bytes are nowhere to be had: the command must run after all.
    """
    from gittrack import retrieve

    assert repo.root is not None
    top = os.path.realpath(repo.root)
    names = [kept.path for kept in run.artifacts if _named(os.path.join(top, kept.path), patterns)]
    if names:
        retrieve.get(repo, ref, names, target=repo.root, force=True, meter=meter)


def _named(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names this path or a directory above it."""
    parents = [path]
    while (above := os.path.dirname(parents[-1])) != parents[-1]:
        parents.append(above)
    return any(fnmatchcase(place, pattern) for place in parents for pattern in patterns)
