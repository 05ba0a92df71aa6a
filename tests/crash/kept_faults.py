"""Mistakes in keeping, moving, cleaning and looking up bytes, each to be noticed by a scenario.

As in `faults`, each is applied in a forked child and nowhere else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crash.faults import buffered, empty_directories_stay, leftovers_stay
from crash.world import Fault
from gittrack import (
    census,
    groundwork,
    harvest,
    hashing,
    intake,
    keeping,
    manifest,
    placing,
    prune,
    recovery,
    refs,
    retrieve,
    tables,
)
from gittrack.active import Active
from gittrack.cache import Cache
from gittrack.errors import WriteFailed
from gittrack.git import Repo
from gittrack.hashing import Hashed
from gittrack.intake import Intake
from gittrack.journal import Story, frame
from gittrack.placing import Placing
from gittrack.records import Artifact
from gittrack.refs import RunRef
from gittrack.sessions import Session

__all__ = ["NOTICED_BY"]


def _replace(owner: Any, **functions: Any) -> None:
    for name, function in functions.items():
        setattr(owner, name, function)


# -- a run, from its beginning -----------------------------------------------------------------


def data_later() -> None:
    """What it reads is written down when it has begun already."""
    original, held = Session.begin, ("data", "outs")

    def begin(self: Session, known: Mapping[str, Any]) -> None:
        original(self, {key: value for key, value in known.items() if key not in held})
        for _ in range(50):
            os.getppid()
        (self.directory / "begin").write_bytes(frame(known))

    _replace(Session, begin=begin)


# -- the end of a run ----------------------------------------------------------------------------


def told_before_done() -> None:
    """The journal says that all was gathered before it was."""
    original = harvest._events

    def events(*arguments: Any) -> Iterator[dict[str, Any]]:
        yield {"gathered": True}
        yield from original(*arguments)

    _replace(harvest, _events=events)


def one_is_enough() -> None:
    """Where something was kept, recovery thinks that all was."""
    _dawdle()
    original = recovery._is_due

    def is_due(story: Story) -> bool:
        return original(story) and not any("artifact" in event for event in story.events)

    _replace(recovery, _is_due=is_due)


def _dawdle() -> None:
    """Take long between what is gathered, so that few kills are enough to hit it."""
    original = harvest._events

    def events(*arguments: Any) -> Iterator[dict[str, Any]]:
        for event in original(*arguments):
            yield event
            for _ in range(200):
                os.getppid()

    _replace(harvest, _events=events)


def in_place() -> None:
    """Objects are written under their own names."""

    def add(self: Intake, md5: str, data: bytes) -> None:
        self._make(md5[:2])
        path = f"{self._objects}/{md5[:2]}/{md5[2:]}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.fchmod(descriptor, 0o444)
        _trickle(descriptor, data)
        os.close(descriptor)

    _replace(Intake, add=add)


def _trickle(descriptor: int, data: bytes) -> None:
    """Write slowly, so that few kills are enough to hit it."""
    size = len(data) // 200 + 1
    for start in range(0, len(data), size):
        os.write(descriptor, data[start : start + size])


def lost_now() -> None:
    """A run ended when somebody found it dead."""
    _replace(recovery, _pin_last_sign=lambda directory: (directory / "lost").touch())


def said_each_time() -> None:
    """What was said before a crash is said again after it."""
    _dawdle()
    original = harvest._events

    def events(*arguments: Any) -> Iterator[dict[str, Any]]:
        for event in original(*arguments):
            yield event | ({"fault": _Anew(event["fault"])} if "fault" in event else {})

    _replace(harvest, _events=events)


class _Anew(str):
    """A sentence that nobody has heard."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


# -- a script that logs --------------------------------------------------------------------------


def said_before_kept() -> None:
    """The journal names what the cache does not have yet."""

    def keep(run: Active, name: str, add: Callable[[Cache], Hashed]) -> None:
        cache = keeping._cache(run.begin)
        made = add(Cache(cache.directory.with_name("scratch")))
        run.append({"artifact": asdict(Artifact(name, made.md5, made.size, made.nfiles))})
        add(cache)

    _replace(keeping, _keep=keep)


# -- the cache -----------------------------------------------------------------------------------


def listing_first() -> None:
    """A directory's listing is there before its files are."""
    original = Cache._add_directory

    def add(self: Cache, path: Path, meter: Any) -> Hashed:
        whole = hashing.directory(path)
        with self._intake() as taking:
            taking.add(whole.md5, manifest.encode(whole.members))
        return original(self, path, meter)

    _replace(Cache, _add_directory=add)


def protected_late() -> None:
    """Objects can be written to for a moment."""
    original = Intake._finish

    def finish(self: Intake) -> None:
        names = list(self._waiting)
        original(self)
        for md5 in names:
            os.chmod(f"{self._objects}/{md5[:2]}/{md5[2:]}", 0o444)

    _replace(intake, _MODE=0o644)
    _replace(Intake, _finish=finish)


def taken_away_first() -> None:
    """What stands at the target goes before the new content is there."""
    original = Placing.run

    def run(self: Placing) -> None:
        try:
            os.unlink(self.target, dir_fd=self.dir_fd)
        except FileNotFoundError:
            pass
        original(self)

    _replace(Placing, run=run)


def written_over() -> None:
    """The target is opened and written."""

    def run(self: Placing) -> None:
        self._source, self._status = self._open_object()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(self.target, flags, 0o666, dir_fd=self.dir_fd)
        _trickle(descriptor, os.read(self._source, self._status.st_size))
        os.close(descriptor)
        os.close(self._source)

    _replace(Placing, run=run)


def strange_files() -> None:
    """What a killed one leaves at the target cannot be told from what people have there."""
    _replace(placing, UNFINISHED="copy-", _NAMELESS=0)


def shelf_by_shelf() -> None:
    """What is loaded is linked in its final place, and taken for whole if it is there."""

    def shelve(cache: Cache, found: Path, inner: Mapping[str, str]) -> None:
        for path, md5 in inner.items():
            link = found / path if path else found
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.abspath(cache.path(md5)))

    _replace(retrieve, _shelve=shelve, _is_whole=lambda cache, found, inner: found.exists())


# -- init ----------------------------------------------------------------------------------------


def copied_in_place() -> None:
    """An object is copied under its own name."""

    def move(source: Path, target: Path) -> int:
        if not target.exists():
            target.touch()
            target.write_bytes(source.read_bytes())
            target.chmod(0o444)
        source.unlink()
        return 1

    _replace(groundwork, _move_object=move)


def taken_out_first() -> None:
    """An object is for a moment in neither cache."""

    def move(source: Path, target: Path) -> int:
        away = source.with_name("away")
        shutil.move(source, away)
        shutil.move(away, target)
        return 1

    _replace(groundwork, _move_object=move)


def half_begun() -> None:
    """A `.dvc` that is there is taken for complete."""
    _replace(groundwork, _is_begun=lambda found, root: False)


def strange_copies() -> None:
    """What a killed copy leaves in the cache has a name that nobody cleans away."""

    def carry(source: Path, target: Path) -> None:
        new = target.with_name(f".{target.name}.copy")
        shutil.copyfile(source, new)
        new.chmod(0o444)
        os.rename(new, target)

    _replace(groundwork, _carry=carry)


# -- gc ------------------------------------------------------------------------------------------


def files_first() -> None:
    """Files go before the listings that name them."""
    original = prune._data

    def data(*arguments: Any, **named: Any) -> list[Any]:
        return original(*arguments, **named)[::-1]

    _replace(prune, _data=data)


def refs_last() -> None:
    """Runs stay for a moment after their data has gone."""
    original, deletion, waiting = prune._data, refs.delete, []

    def data(*arguments: Any, **named: Any) -> list[Any]:
        steps = original(*arguments, **named)
        item = prune.Item("run", "at last")
        last = prune._Step(item, lambda: [deletion(*some) for some in waiting] != [])
        return [*steps, last]

    def delete(repo: Repo, gone: list[RunRef]) -> None:
        waiting.append((repo, gone))

    _replace(prune, _data=data)
    _replace(refs, delete=delete)


def alone_by_existence() -> None:
    """The lock is a file whose existence counts, which a crash leaves behind."""

    @contextmanager
    def alone(repo: Repo) -> Iterator[None]:
        place = repo.state / "gc-at-work"
        try:
            os.close(os.open(place, os.O_CREAT | os.O_EXCL))
        except FileExistsError as error:
            raise WriteFailed("another one is at work") from error
        yield
        place.unlink()

    _replace(prune, _alone=alone)


# -- the index -----------------------------------------------------------------------------------


def row_by_row() -> None:
    """Each row is there by itself, and those of a run that was begun are taken for all."""
    _replace(tables, transaction=lambda database: nullcontext())


def stamped_first() -> None:
    """What was looked at is written down before what was seen."""
    original = census._Census._read_all

    def read(self: Any, survey: Any, waiting: Any) -> None:
        tables.set_places(self._database, survey.looked)
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")
        original(self, survey, waiting)

    _replace(census._Census, _read_all=read)


NOTICED_BY: Mapping[str, tuple[Fault, ...]] = {
    "beginning-with-data": (data_later, empty_directories_stay, leftovers_stay),
    "gathering": (told_before_done, one_is_enough, in_place, said_each_time),
    "gathering-again": (lost_now, told_before_done, in_place),
    "logging-artifacts": (said_before_kept, in_place, buffered),
    "caching": (listing_first, in_place, protected_late),
    "placing": (taken_away_first, written_over, strange_files),
    "getting": (taken_away_first, written_over, shelf_by_shelf),
    "moving": (copied_in_place, taken_out_first, half_begun),
    "moving-elsewhere": (copied_in_place, taken_out_first, strange_copies),
    "cleaning": (alone_by_existence, files_first, refs_last),
    "indexing": (row_by_row, stamped_first),
}
"""The name of a scenario -> the faults that it must notice; the suite tries the first."""
