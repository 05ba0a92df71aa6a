"""What is killed where bytes are moved, cleaned away, or looked up: `init`, `gc`, the index.

As in `scenarios`, a trial lets one child work, kills it at one point, and says what is wrong.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from crash.kept import again, faulty
from crash.ptrace import isolated, kill_at
from crash.scenarios import Scenario, Trial
from crash.things import Thing, cache_of, damage, empty, lacking, remains, thing
from crash.world import Fault, World, leftovers, nothing, shown
from gittrack import commits, groundwork, index, names, prune, setup, whereabouts
from gittrack.annotations import append
from gittrack.cache import Cache
from gittrack.events import Change
from gittrack.git import Identity, Repo
from gittrack.message import moment
from gittrack.records import Data, Run
from gittrack.refs import RunRef

__all__ = ["SWEPT"]

_START = 1_700_000_000.0
_BEGUN = (".dvc/config", ".dvc/.gitignore", ".dvcignore")


def _recorded(
    world: World, name: str, seed: int, kept: Sequence[Thing], read: Sequence[Thing] = ()
) -> tuple[Run, RunRef]:
    """A run that kept and read these things; their bytes are elsewhere."""
    run = Run(
        id=names.run_id(random.Random(f"{name} {seed}").randbytes(16)),
        name=f"{name}-{seed}",
        experiment="default",
        status="finished",
        started=moment(_START + seed),
        ended=moment(_START + seed + 1),
        artifacts=tuple(one.artifact for one in kept),
        data=tuple(Data(one.path, one.md5, one.artifact.size, one.artifact.nfiles) for one in read),
    )
    author = Identity("Bob", "bob@example.org")
    ref = commits.write(world.repo, run, tree=world.known["tree"], author=author)
    return replace(run, commit=ref.commit), ref


def _store(world: World, things: Sequence[Thing], *, cache: Path | None = None) -> None:
    store = Cache(cache or cache_of(world), sync=False)
    for one in things:
        store.add(one.write(world.path / "in"))


# -- init ----------------------------------------------------------------------------------------


def moving(*, elsewhere: bool) -> Scenario:
    """The objects move into DVC's own cache, `elsewhere` on another disk; all are always there."""

    def trial(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
        things = [
            thing("moved", "one"),
            thing("moved", "two", size=300_000),
            thing("moved", "few", count=5),
            thing("moved", "there"),
        ]
        _not_begun(world)
        _store(world, things)
        # Somebody who used DVC by hand has this one already.
        _store(world, things[3:], cache=world.path / ".dvc" / "cache")

        def prepare() -> Repo:
            fault()
            if elsewhere:
                _part(world.repo.state)
            return Repo.open(world.path)

        death = kill_at(point, prepare, lambda repo, _: groundwork.initialize(repo))
        found = isolated(lambda: setup.read(Repo.open(world.path)))
        places = [found.cache, *getattr(found, "formers", filter(None, [found.former]))]
        wrong = faulty(death.fault) + lacking(places, things)
        # Where an object is looked for that a directory names, both places count.
        wrong += [line for line in _apart(places) if " names " not in line]

        def begin_again() -> list[str]:
            repo = prepare()
            groundwork.initialize(repo)
            more = groundwork.initialize(repo)
            return [f"there is still something to do: {more}"] if more else []

        wrong += again(begin_again)
        found = isolated(lambda: setup.read(Repo.open(world.path)))
        wrong += lacking([found.cache], things) + damage(found.cache)
        # Held by `fcntl`: the file alone keeps nobody out.
        wrong += [line for line in leftovers(world) if "setup.lock" not in line]
        wrong += [f"{name} is missing" for name in _BEGUN if not (world.path / name).is_file()]
        wrong += [f"{p} is left" for p in world.path.rglob("*.new-*")] if point is None else []
        if found.former is not None or not cache_of(world).samefile(found.cache):
            wrong.append(f"{cache_of(world)} is not another name of {found.cache}")
        return Trial(death, wrong)

    return trial


def _apart(places: Sequence[Path]) -> list[str]:
    real = {Path(os.path.realpath(place)) for place in places}
    return [line for place in sorted(real) for line in damage(place)]


def _not_begun(world: World) -> None:
    """As it was before DVC was set up."""
    shutil.rmtree(world.path / ".dvc", ignore_errors=True)
    (world.path / ".dvcignore").unlink(missing_ok=True)
    former = cache_of(world)
    if former.is_symlink():
        former.unlink()
    empty(world)


def _part(disk: Path) -> None:
    """Let nothing be renamed out of a directory, as if it were another disk."""
    rename = os.replace

    def replace(source: os.PathLike[str] | str, target: os.PathLike[str] | str) -> None:
        if disk in Path(source).parents and disk not in Path(target).parents:
            raise OSError(errno.EXDEV, "that is another disk")
        rename(source, target)

    os.replace = replace  # type: ignore[assignment]


# -- gc ------------------------------------------------------------------------------------------


def cleaning(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """Old data goes with a deleted run: what is needed stays, the rest goes then or next time."""
    shared = thing(f"{seed}", "shared")
    folder = Thing("folder", {**thing(f"{seed}", "f", count=12).files, "same": shared.files[""]})
    needed = [shared, thing(f"{seed}", "kept", count=3)]
    useless = [thing(f"{seed}", "useless"), thing(f"{seed}", "heap", count=12)]
    _store(world, [*needed, folder, *useless])
    (cache_of(world) / "files" / "md5" / f"tmp-gittrack-{seed}-1").write_bytes(b"half")
    _, stays = _recorded(world, "stays", seed, needed)
    run, goes = _recorded(world, "goes", seed, [folder])
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    append(world.repo, commits.summarize(run), [Change("delete")], now=now, random=os.urandom)
    isolated(lambda: prune.gc(Repo.open(world.path), now=1.0, before=0.0) and None)
    before = shown(world)
    late = time.time() + 1e6

    def prepare() -> Repo:
        fault()
        return Repo.open(world.path)

    def clean(repo: Repo) -> None:
        prune.gc(repo, data=True, now=late, before=late - 10)

    death = kill_at(point, prepare, lambda repo, _: clean(repo))
    wrong = faulty(death.fault) + damage(cache_of(world)) + lacking([cache_of(world)], needed)
    if goes.full in shown(world):
        wrong += lacking([cache_of(world)], [folder])
    wrong += again(lambda: clean(prepare()) or [])
    after = shown(world)
    moved = [ref for ref in before if after.get(ref) != before[ref]]
    if moved != [goes.full] or goes.full in after:
        wrong.append(f"{moved} went instead of {goes.full}")
    wrong += damage(cache_of(world)) + lacking([cache_of(world)], needed)
    there = {path.parent.name + path.name for path in cache_of(world).glob("files/md5/??/*")}
    useful = {md5 for one in needed for md5 in one.objects}
    if stays.full in after:
        wrong += [f"{md5} is still there" for md5 in sorted(there - useful)]
    world.repo.git("update-ref", "-d", stays.full)
    empty(world)
    return Trial(death, wrong + [f"{path} is left" for path in remains(cache_of(world))])


# -- the index -----------------------------------------------------------------------------------


def indexing(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """Runs that came and went are read into the index: what is asked next is answered right."""
    known = [(number, _files(seed, number)) for number in range(3)]
    made = {}
    for number, (kept, read) in known:
        _, ref = _recorded(world, f"run-{number}", seed, kept, read)
        made[ref] = kept, read
    gone = [name for name in shown(world) if name.endswith(f"-{seed - 1}") and "run-0" in name]
    for name in gone:
        world.repo.git("update-ref", "-d", name)

    def prepare() -> Repo:
        fault()
        return Repo.open(world.path)

    def refresh(repo: Repo) -> None:
        index.open_index(whereabouts.of(repo)).close()

    death = kill_at(point, prepare, lambda repo, _: refresh(repo))

    def ask() -> list[str]:
        wrong = []
        with index.open_index(whereabouts.of(prepare())) as found:
            listed = {run.short for run in found.all() if run.name.startswith("run-")}
            there = {name.removeprefix("refs/") for name in shown(world) if "/run-" in name}
            if listed != there:
                wrong.append(f"the index has {sorted(listed ^ there)} too many or too few")
            for ref, (kept, read) in made.items():
                wrong += _answers(found.producers, ref, kept) + _answers(found.readers, ref, read)
            if gone and found.producers([_files(seed - 1, 0)[0][0].md5]):
                wrong.append(f"the index still knows {gone}")
        return wrong

    return Trial(death, faulty(death.fault) + again(ask))


def _files(seed: int, number: int) -> tuple[list[Thing], list[Thing]]:
    kept = [thing(f"{seed} {number}", f"kept-{n}", size=10) for n in range(20)]
    return kept, [thing(f"{seed} {number}", f"read-{n}", size=10) for n in range(5)]


def _answers(
    ask: Callable[[list[str]], dict[str, list[index.Used]]], ref: RunRef, files: Sequence[Thing]
) -> list[str]:
    found = ask([one.md5 for one in files])
    given = {
        (md5, used.run.commit, used.path) for md5, several in found.items() for used in several
    }
    right = {(one.md5, ref.commit, one.path) for one in files}
    return [] if given == right else [f"of {ref.name} the index says {len(given & right)} files"]


SWEPT: dict[str, Scenario] = {
    "moving": moving(elsewhere=False),
    "moving-elsewhere": moving(elsewhere=True),
    "cleaning": cleaning,
    "indexing": indexing,
}
