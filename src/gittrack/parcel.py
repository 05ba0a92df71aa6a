"""`RUN:ARTIFACT`: a run and one of the things that it kept, as a user types them together.

Knows that both may hold colons, and that no reading is taken where there are two. Which run a name
means is for `revisions`, whether the artifact can be had for whoever wants it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from gittrack import commits, revisions
from gittrack.errors import (
    AmbiguousRun,
    BadPath,
    GittrackError,
    ModelNotFound,
    RunNotFound,
    UnknownKey,
    UsageError,
)
from gittrack.git import Repo
from gittrack.keys import nearest
from gittrack.records import Artifact
from gittrack.refs import RunRef

__all__ = ["parted"]

_MOST_COLONS = 16
_SHOWN = 5


def parted(repo: Repo, text: str) -> tuple[RunRef, str | None]:
    """The run that `RUN` or `RUN:ARTIFACT` names, and the artifact's path, None if it names none.

    Each colon may be the one between them, or none. A reading counts where its run is there and,
    if it names an artifact, kept that, or a directory that it may lie in; the only one that counts
    is taken. A run's own name, which has no colon, always does.

    Raises:
        RunNotFound, AmbiguousRun, ModelNotFound, UnknownKey: no run answers.
        AmbiguousRun: two readings count.
        BadPath: the run kept no such thing.
        UsageError: it has too many colons, or is none of either.
        BrokenRecord: the record of a run that it may mean cannot be read.
    """
    if ":" not in text:
        return revisions.resolve(repo, text), None
    if text.count(":") > _MOST_COLONS:
        raise UsageError(
            f"'{text}' has more than {_MOST_COLONS} colons",
            hint="RUN:ARTIFACT with the run's own name.",
        )
    found: list[tuple[RunRef, str | None]] = []
    lacking: list[tuple[RunRef, str]] = []
    refused: dict[str, GittrackError] = {}
    for run, artifact in _readings(text):
        try:
            ref = revisions.resolve(repo, run)
        except (AmbiguousRun, ModelNotFound, RunNotFound, UnknownKey) as error:
            refused[run] = error
            continue
        if artifact is None or _keeps(_kept(repo, ref), artifact):
            found.append((ref, artifact))
        else:
            lacking.append((ref, artifact))
    if len(found) == 1:
        return found[0]
    if found:
        raise _two(text, found)
    if lacking:
        raise _lacks(repo, *lacking[-1])
    raise _meant(text, refused)


def _readings(text: str) -> Iterator[tuple[str, str | None]]:
    """What may be the run and what the artifact: cut at each colon, then not at all."""
    places = [place for place, char in enumerate(text) if char == ":"]
    for place in places:
        if 0 < place < len(text) - 1 and _may_be_run(text[:place]):
            yield text[:place], text[place + 1 :]
    if _may_be_run(text):
        yield text, None


def _may_be_run(text: str) -> bool:
    """Names, ids and refs have no colon; a metric may have one, and so may a model.

    In Git's revisions it stands within braces: behind them follows a path, though Git itself takes
    `main@{0}:x^{commit}` for a moment in the reflog of main.
    """
    if ":" not in text or text.startswith(("best:", "worst:")):
        return True
    if "{" in text:
        return ":" not in re.sub(r"\{[^{}]*\}", "", text)
    return "@" in text


def _kept(repo: Repo, ref: RunRef) -> Sequence[Artifact]:
    return commits.load(repo, ref).artifacts


def _keeps(kept: Sequence[Artifact], path: str) -> bool:
    """Whether an artifact is called so, or is a directory that this may lie in."""
    wanted = posixpath.normpath(path)
    return any(
        one.path == wanted or (one.nfiles is not None and wanted.startswith(one.path + "/"))
        for one in kept
    )


def _two(text: str, found: Sequence[tuple[RunRef, str | None]]) -> AmbiguousRun:
    said = [ref.name if path is None else f"{path} of {ref.name}" for ref, path in found]
    return AmbiguousRun(
        f"'{text}' could mean {' or '.join(said)}",
        selector=text,
        candidates=[ref.name for ref, _ in found],
        hint="the name of the run itself leaves no doubt.",
    )


def _lacks(repo: Repo, ref: RunRef, path: str) -> BadPath:
    names = [one.path for one in _kept(repo, ref)]
    near = nearest(path, names)
    if near:
        hint = f"did you mean '{near}'?"
    elif names:
        more = ", ..." if len(names) > _SHOWN else ""
        hint = f"it kept {', '.join(names[:_SHOWN])}{more}."
    else:
        hint = "it kept none; `git track run --out PATH` does."
    return BadPath(f"'{ref.name}' has no artifact '{path}'", path=path, hint=hint)


def _meant(text: str, refused: dict[str, GittrackError]) -> GittrackError:
    """The error about the run that was meant most probably."""
    whole = refused.get(text)
    if isinstance(whole, ModelNotFound):
        return whole
    head, _, rest = text.partition(":")
    if head in ("best", "worst"):
        head = f"{head}:{rest.partition(':')[0]}"
    return (
        refused.get(head)
        or whole
        or UsageError(
            f"'{text}' is no RUN:ARTIFACT", hint="the name of a run and the path of what it kept."
        )
    )
