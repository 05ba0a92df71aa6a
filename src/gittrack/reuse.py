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

from gittrack import commits, own, refs
from gittrack.errors import GittrackError, UsageError
from gittrack.git import Repo
from gittrack.meter import SILENT, Meter
from gittrack.quoting import one_line
from gittrack.records import Data, Input, Run
from gittrack.refs import RunRef

__all__ = ["find", "fingerprint", "mixed", "restore"]

_PARTIAL = (
    "not kept",
    "recorded in part",
    "not recorded",
    "' was read",
    "left out",
    "nothing was traced",
)
"""What the faults of a run say whose record is not all that it did."""


def fingerprint(
    repo: Repo,
    *,
    tree: str,
    code: Sequence[str],
    command: Sequence[str],
    directory: str,
    params: Mapping[str, Any],
    data: Sequence[Data],
    inputs: Sequence[Input] = (),
    trace: bool = False,
) -> str:
    """32 hexadecimal digits over all that goes into a run; equal ones did the same.

    `code` are the paths of the code that counts, relative to the root of `tree`; none: all of it.
    `inputs` are runs named by hand. A traced run (`trace`) has data that is not known before, so
    that only traced ones do the same. What a command reads besides (the environment, files that
    nobody named) is not in it.

    Raises:
        UsageError: there is no such path in the code.
    """
    said = [
        _code(repo, tree, code),
        list(command),
        directory,
        sorted((key, repr(value)) for key, value in params.items()),
        sorted((item.path, item.md5) for item in data),
        sorted(given.id for given in inputs),
        trace,
    ]
    text = json.dumps(said, separators=(",", ":"))
    # Git's own hash is at hand, where hashlib would first load a library.
    return repo.blob_id(text.encode("utf-8", "surrogateescape"))[:32]


def _code(repo: Repo, tree: str, code: Sequence[str]) -> list[tuple[str, str]]:
    if not code:
        if repo.entry(tree, commits.RECORD) is None:
            return [("", tree)]
        return [("", repo.write_tree({commits.RECORD: ("", 0)}, base=tree))]
    found = []
    for path in sorted(set(code)):
        entry = repo.entry(tree, path)
        if entry is None:
            raise UsageError(
                f"there is no '{path}' in the code of this run",
                hint="paths are relative to the top of the work tree; ignored files are no code.",
            )
        found.append((path, f"{entry.id} {entry.mode:o}"))
    return found


def find(
    repo: Repo,
    wanted: str,
    *,
    data: Sequence[Data],
    patterns: Sequence[str],
    meter: Meter = SILENT,
) -> tuple[tuple[RunRef, Run] | None, tuple[str, ...]]:
    """The newest finished run with this fingerprint that can stand in, and why others cannot.

    It was recorded by this clone, unless `track.reuseFetched` trusts those of others too; it is
    not deleted, its record is whole, it kept something for each of the `--out` patterns
    (absolute), and what it was seen to read besides `data` is still the same.
    """
    from gittrack import whereabouts
    from gittrack.index import open_index

    with open_index(whereabouts.of(repo)) as index:
        candidates = index.with_fingerprint(wanted)
    reasons = []
    trusts_all = repo.flag("track.reusefetched", default=False)
    for known in candidates:
        if not (trusts_all or own.is_own(repo, known.commit)):
            reasons.append(
                f"{known.name} did the same, but was not recorded here: run again "
                "(`git config track.reuseFetched true` trusts it)"
            )
            continue
        ref = refs.find(repo, known.experiment, known.name)
        run = None if ref is None else _finished(repo, ref, wanted)
        if ref is None or run is None:
            continue
        reason = _flaw(run) or _not_kept(repo, run, patterns) or _other(repo, run, data, meter)
        if reason is None:
            return (ref, run), ()
        reasons.append(f"{run.name} did the same, but {reason}: run again")
    return None, tuple(reasons)


def _finished(repo: Repo, ref: RunRef, wanted: str) -> Run | None:
    from gittrack.annotations import overlay

    try:
        run = commits.load(repo, ref)
    except GittrackError:
        # A record that cannot be read answers for nothing.
        return None
    if run.status != "finished" or run.fingerprint != wanted:
        return None
    return None if overlay(repo, [commits.summarize(run)])[0].deleted else run


def _flaw(run: Run) -> str | None:
    """Why the record of a run does not tell the whole."""
    if changed := next((item.path for item in run.data if item.changed), None):
        return f"'{one_line(changed)}' changed while it ran"
    fault = next((fault for fault in run.faults if any(word in fault for word in _PARTIAL)), None)
    return None if fault is None else f"of it is said: {one_line(fault)}"


def _not_kept(repo: Repo, run: Run, patterns: Sequence[str]) -> str | None:
    assert repo.root is not None
    top = os.path.realpath(repo.root)
    for pattern in patterns:
        if not any(_named(os.path.join(top, kept.path), [pattern]) for kept in run.artifacts):
            return f"kept no '{one_line(os.path.relpath(pattern, top))}'"
    return None


def _other(repo: Repo, run: Run, data: Sequence[Data], meter: Meter) -> str | None:
    """What it read without being told, and is another one now."""
    given = {item.path for item in data}
    seen = [item for item in run.data if item.path not in given]
    if not seen:
        return None
    from gittrack import inputs, setup

    again = inputs.again(repo, setup.read(repo), seen, meter=meter)
    changed = next((item.path for item in again if item.changed), None)
    return None if changed is None else f"'{one_line(changed)}' is another one now"


def restore(
    repo: Repo, ref: RunRef, run: Run, patterns: Sequence[str], *, meter: Meter = SILENT
) -> tuple[str, ...]:
    """Put the artifacts of a run that is reused where the command would have written them.

    Only what the `--out` patterns (absolute) name -> the names of these; running the command would
    have overwritten it too. The files are no links into the cache: a later step may write them.

    Raises:
        DataMissing: the bytes are nowhere to be had: the command must run after all.
    """
    from gittrack import retrieve

    assert repo.root is not None
    top = os.path.realpath(repo.root)
    names = [kept.path for kept in run.artifacts if _named(os.path.join(top, kept.path), patterns)]
    if names:
        links = ("reflink", "copy")
        retrieve.get(repo, ref, names, target=repo.root, force=True, links=links, meter=meter)
    return tuple(names)


def mixed(repo: Repo, run: Run, names: Sequence[str], *, meter: Meter = SILENT) -> tuple[str, ...]:
    """Of these restored artifacts those directories that hold more than the run kept."""
    from gittrack import hashing, setup
    from gittrack.cache import open_cache

    assert repo.root is not None
    stats = open_cache(repo, setup.read(repo)).stats
    found = []
    for kept in run.artifacts:
        if kept.path in names and kept.nfiles is not None:
            there = hashing.of(repo.root / kept.path, stats=stats, meter=meter)
            found += [kept.path] if there.md5 != kept.md5 else []
    return tuple(found)


def _named(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names this path or a directory above it, as `glob` means it."""
    parts = path.split(os.sep)
    above = [parts[:count] for count in range(1, len(parts) + 1)]
    return any(
        path == pattern or any(_fits(some, pattern.split(os.sep)) for some in above)
        for pattern in patterns
    )


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[count:], pattern[1:]) for count in range(len(parts) + 1))
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
