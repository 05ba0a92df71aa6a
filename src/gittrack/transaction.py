"""The tags of one decision about a model, written together: whole objects first, then their refs in
one transaction that takes no name which is there.

Decisions of this clone follow one another under a lock; whoever makes tags without it (plain Git,
GTO, a fetch) is noticed, and the decision is made anew upon what is there then. Who may decide what
is not its to know.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gittrack import inscriptions, registry, tagging, tags, whereabouts
from gittrack.errors import GitFailed, RegistryChanged, WriteFailed
from gittrack.git import Identity, Ref, Repo
from gittrack.registry import Registry
from gittrack.tagging import MOST_COUNTER, Event
from gittrack.tags import Tag

__all__ = ["LOCK", "Basis", "Draft", "Written", "write"]

LOCK = "registrar"
"""The file in the repository's `state` that is locked, with the names that are being written."""

_ROOT = "refs/tags/"
_ATTEMPTS = 50
_FARTHEST = 600
_STALE, _STALE_OTHERS = 1.0, 60.0
_LONGEST_JOURNAL = 1 << 20


class Draft(NamedTuple):
    """A tag that is to be: what it says, on which commit, in which words.

    The event of a stage has no counter yet: it gets the next one of the model.
    """

    event: Event
    commit: str
    subject: str
    body: str = ""
    trailers: tuple[tuple[str, str], ...] = ()
    is_consequence: bool = False
    """Of the first one: it gets the trailer `Because`."""


class Basis(NamedTuple):
    """The registry that is decided upon, and all tags that it follows from, by name."""

    known: Registry
    tags: dict[str, Tag]

    def of(self, model: str) -> dict[str, Tag]:
        """The tags whose names are of one model, whether they count or not."""
        mark = model.replace(":", "=")
        near = (one for one in self.tags.items() if one[0].startswith((f"{mark}@", f"{mark}#")))
        return {name: tag for name, tag in near if tagging.parse(name) is not None}


class Written(NamedTuple):
    """What became of a decision: the registry before and after, the names of its tags in order."""

    before: Registry
    after: Registry
    tags: tuple[str, ...]


def write(
    repo: Repo,
    decide: Callable[[Basis], Sequence[Draft]],
    *,
    model: str | None = None,
    now: float | None = None,
    dry_run: bool = False,
) -> Written:
    """Write the tags that `decide` makes of the registry as it is; without any nothing is written.

    Safe against other processes. `decide` is asked again where one of its names was taken
    meanwhile. With `model` it sees that one alone, which is quicker. A crash leaves the tags as
    they were, or all of the decision, or the first of them. `now` is in seconds since the epoch,
    the clock's if None; a model's tags are dated in the order of their counters as far as that is
    at most ten minutes ahead. With `dry_run` nothing is written.

    Raises:
        RegistryChanged: names were taken again and again.
        WriteFailed: the repository is read-only or full, or something is in the way.
        GitFailed: signing failed, a hook refused, or the tags cannot be listed.
    """
    place = whereabouts.of(repo)
    patterns = () if model is None else tagging.patterns(model)
    if dry_run:
        basis = _basis(tags.read(place, patterns))
        return _counted(basis, _planned(repo, basis, decide(basis), now))
    with _alone(repo) as journal:
        for _ in range(_ATTEMPTS):
            seen = _seen(repo, model)
            basis = _basis(tags.read(place, patterns))
            planned = _planned(repo, basis, decide(basis), now)
            if not planned:
                return Written(basis.known, basis.known, ())
            made = _stored(repo, planned)
            # Signing takes as long as somebody looks for a passphrase.
            if _seen(repo, model) != seen:
                continue
            refusal = _pointed(repo, journal, made)
            if refusal is None:
                return _counted(basis, made)
            there = {tag.name: tag.id for tag in tags.read(place, patterns)}
            # Git was killed, perhaps, after it had made the first of them.
            kept = [tag for tag in made if there.get(tag.name) == tag.id]
            if kept:
                return _counted(basis, kept)
            if not any(tag.name in there for tag in made):
                raise _translated(repo, refusal, made)
    raise RegistryChanged(
        f"the tags of '{made[0].name}' were made by others again and again",
        hint="something makes tags of this model in a loop.",
    )


def _seen(repo: Repo, model: str | None) -> tuple[object, ...]:
    """What is other after somebody made a tag of the model.

    Names alone do not tell: the tags of one decision share no name with those of another one about
    another stage, but the numbers are the model's.
    """
    mark = "" if model is None else model.replace(":", "=")
    above, _, start = mark.rpartition("/")
    found: list[object] = []
    try:
        names = os.listdir(repo.common_dir / _ROOT / above)
        found.append(frozenset(name for name in names if name.startswith(start)))
    except OSError:
        found.append(None)
    try:
        packed = os.stat(repo.common_dir / "packed-refs")
        found += [packed.st_mtime_ns, packed.st_size, packed.st_ino]
    except OSError:
        found.append(None)
    return tuple(found)


def _basis(found: Sequence[Tag]) -> Basis:
    return Basis(registry.fold(found), {tag.name: tag for tag in found})


def _counted(basis: Basis, made: Sequence[Tag]) -> Written:
    known = basis.known
    if not made:
        return Written(known, known, ())
    # The tags of other models add up to what they did.
    event = tagging.parse(made[0].name)
    own = basis.of(event.model if event else "")
    folded = registry.fold([*own.values(), *made])
    models = {**known.models, **folded.models}
    problems = [one for one in known.problems if one.tag not in own]
    after = Registry(
        {name: models[name] for name in sorted(models)},
        tuple(sorted([*problems, *folded.problems])),
    )
    return Written(known, after, tuple(tag.name for tag in made))


# -- the tags -------------------------------------------------------------------------------------


def _planned(repo: Repo, basis: Basis, asked: Sequence[Draft], now: float | None) -> list[Tag]:
    """The tags as they will be, but for their ids."""
    if not asked:
        return []
    model = basis.known.models.get(asked[0].event.model)
    who, moment = repo.identity("committer"), int(time.time() if now is None else now)
    if model is not None and model.latest_moment + 1 <= moment + _FARTHEST:
        # GTO orders by whole seconds.
        moment = max(moment, model.latest_moment + 1)
    counter = _top(basis, asked[0].event.model)
    made: list[Tag] = []
    for draft in asked:
        event = draft.event
        if event.stage is not None:
            counter += 1
            event = event._replace(counter=counter)
        name = tagging.compose(event)
        _check_name(basis, name, counter)
        cause = (("Because", made[0].name),) if draft.is_consequence else ()
        text = inscriptions.compose(draft.subject, draft.body, (*draft.trailers, *cause))
        made.append(
            Tag(
                name, "0" * 40, True, name, draft.commit, "commit", who.name, who.email, moment,
                text,
            )
        )  # fmt: skip
    return made


def _top(basis: Basis, model: str) -> int:
    """The greatest counter that a tag of the model has, whether it counts or not."""
    events = (tagging.parse(name) for name in basis.of(model))
    return max((one.counter or 0 for one in events if one), default=0)


def _check_name(basis: Basis, name: str, counter: int) -> None:
    if counter > MOST_COUNTER:
        raise WriteFailed(
            f"'{name}' cannot be: there is a tag of its model with the number {MOST_COUNTER}",
            hint=f"`git tag --list '*#{MOST_COUNTER}'` names it; whoever made it can delete it.",
        )
    if name in basis.tags:
        reasons = [one.reason for one in basis.known.problems if one.tag == name]
        raise WriteFailed(
            f"there is a tag '{name}' already, which does not count: {(*reasons, '?')[0]}",
            hint=f"`git show '{name}'` shows it, `git tag -d '{name}'` removes it here.",
        )


def _stored(repo: Repo, planned: Sequence[Tag]) -> list[Tag]:
    repo.sync(repo.flag("track.fsync", default=True))
    sign = any(
        repo.flag(key, default=False)
        for key in ("track.sign", "tag.gpgsign", "tag.forcesignannotated")
    )
    return [
        tag._replace(
            id=repo.write_tag(
                tag.name, tag.target, tag.message,
                tagger=Identity(tag.by, tag.email), moment=tag.moment or 0, sign=sign,
            )
        )
        for tag in planned
    ]  # fmt: skip


def _pointed(repo: Repo, journal: _Journal, made: Sequence[Tag]) -> GitFailed | None:
    """Make the refs, all or none -> why Git would not."""
    refs = [Ref(_ROOT + tag.name, tag.id) for tag in made]
    _remove_stale_locks(repo, [ref.name for ref in refs], _STALE_OTHERS)
    journal.begin([tag.name for tag in made])
    refusal = None
    try:
        repo.create_refs(refs)
    except GitFailed as error:
        refusal = error
    journal.end()
    return refusal


def _translated(repo: Repo, error: GitFailed, made: Sequence[Tag]) -> GitFailed | WriteFailed:
    """Why the tags are not there, in one line."""
    said, name = error.stderr, made[0].name
    words = [line for line in said.split("\n") if line.strip()]
    if "aborted by hook" in said:
        told = [line for line in words if "aborted by hook" not in line]
        return GitFailed(
            f"the hook 'reference-transaction' refused the tag '{name}'"
            + (f": {told[0].strip()}" if told else ""),
            stderr=said,
            hint="nothing was changed.",
        )
    if "File exists" in said and ".lock" in said:
        return WriteFailed(
            f"the tag '{name}' is locked: another process is writing it, or was killed",
            hint="try again in a minute: a lock that is older is nobody's, and is removed.",
        )
    reason = (words[0] if words else error.message).removeprefix("fatal: ").removeprefix("error: ")
    for start in ("prepare: ", "commit: "):
        reason = reason.removeprefix(start)
    hint = "nothing was changed."
    if "cannot create" in reason:
        hint = "Git keeps no tag under another one's name: nothing was changed."
    elif "No space" in said or "Read-only" in said or "Permission denied" in said:
        hint = "is the disk full, or the repository read-only? Nothing was changed."
    return WriteFailed(f"the tag '{name}' could not be written: {reason}", hint=hint)


# -- one after the other --------------------------------------------------------------------------


class _Journal:
    """The names that are being written, in the file that is locked meanwhile.

    Who finds names there after it got the lock knows that their writer was killed.
    """

    def __init__(self, repo: Repo, handle: int) -> None:
        self._repo = repo
        self._handle = handle

    def begin(self, names: Sequence[str]) -> None:
        data = "".join(f"{name}\n" for name in names).encode()
        try:
            os.ftruncate(self._handle, 0)
            if os.pwrite(self._handle, data, 0) != len(data):
                raise OSError(28, os.strerror(28))
        except OSError as error:
            raise _unwritable(self._repo, error) from error

    def end(self) -> None:
        os.ftruncate(self._handle, 0)

    def left(self) -> list[str]:
        """The names that a killed writer was at."""
        data = os.pread(self._handle, _LONGEST_JOURNAL, 0).decode("utf-8", "replace")
        return [name for name in data.split("\n") if tagging.parse(name) is not None]


@contextmanager
def _alone(repo: Repo) -> Iterator[_Journal]:
    """Be the only one in this clone who decides."""
    import fcntl

    try:
        repo.state.mkdir(parents=True, exist_ok=True)
        handle = os.open(repo.state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _unwritable(repo, error) from error
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX)
        journal = _Journal(repo, handle)
        left = journal.left()
        if left:
            _remove_stale_locks(repo, [_ROOT + name for name in left], _STALE, wait=True)
            journal.end()
        yield journal
    finally:
        os.close(handle)


def _remove_stale_locks(
    repo: Repo, refs: Sequence[str], seconds: float, *, wait: bool = False
) -> None:
    """Remove the locks of refs that are as old; `wait` for a younger one until it is, or gone.

    Git holds a lock on a tag that it makes for milliseconds; removed from under a living one, it is
    that one's tag that fails.
    """
    for ref in refs:
        lock = repo.common_dir / f"{ref}.lock"
        while True:
            try:
                age = abs(time.time() - lock.stat().st_mtime)
                if age >= seconds:
                    lock.unlink()
            except OSError:
                # It is gone, or Git will say what is in the way.
                break
            if age >= seconds or not wait:
                break
            time.sleep(0.02)


def _unwritable(repo: Repo, error: OSError) -> WriteFailed:
    return WriteFailed(
        f"cannot write to '{repo.state}': {error.strerror}",
        hint="is the disk full, or the repository read-only? Nothing was changed.",
    )
