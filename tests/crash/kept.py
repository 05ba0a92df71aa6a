"""What is killed where bytes are kept: gathering, logging, the cache, getting things back.

As in `scenarios`, a trial lets one child work, kills it at one point, and says what is wrong.
"""

from __future__ import annotations

import ast
import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gittrack
from crash.ptrace import Failed, isolated, kill_at
from crash.scenarios import Scenario, Trial
from crash.things import Thing, cache_of, damage, empty, lacking, thing
from crash.world import Expected, Fault, World, aftermath, begin, nothing, session_of, shown
from gittrack import cache as caches
from gittrack import commits, journal, names, outset, record, recovery, refs, retrieve, setup
from gittrack.cache import Cache
from gittrack.git import Repo
from gittrack.records import Data
from gittrack.refs import RunRef

__all__ = ["KEPT", "again", "faulty", "gathering"]

_START = 1_700_000_000.0

Tell = Callable[[bytes], None]


def faulty(said: str) -> list[str]:
    """What a child that raised says."""
    return [f"the child fails: {said}"] if said else []


def again(work: Callable[[], list[str]]) -> list[str]:
    """Do something once more in a fresh process -> what is wrong then."""
    try:
        return isolated(work)
    except Failed as failed:
        return [f"doing it again fails: {failed}"]


# -- a run, from its beginning -----------------------------------------------------------------


def beginning(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """A run that will read and keep something: it began and knows what, or nothing remains."""
    empty(world)
    before = shown(world)
    read, older = thing(f"{seed}", "input.bin"), thing(f"{seed}", "older.bin")
    request = replace(world.request, data=["input.bin"], outs=["none.bin", "older.bin"])
    for one in (read, older):
        one.write(world.path)
    prepared = outset.prepare(world.repo, request)

    def act(repo: Repo, tell: Tell) -> None:
        outset.begin(repo, request, prepared, now=lambda: _START + seed, random=os.urandom)
        tell(b"begun")

    death = kill_at(point, lambda: _opened(world, fault), act)
    faults = (
        "not kept: there is no 'none.bin'",
        "not kept: 'older.bin': it was there before, and this run did not write it",
    )
    facts = {
        "status": "killed",
        "included": "('features.py',)",
        "data": repr((Data(read.path, read.md5, read.artifact.size),)),
        "artifacts": "()",
        "faults": repr(faults),
    }
    expected, begun = Expected("", "", facts), bool(death.told)
    wrong = faulty(death.fault)
    wrong += aftermath(world, expected, before, fault=fault, optional=not begun)
    for one in (read, older):
        (world.path / one.path).unlink()
    return Trial(death, wrong)


# -- the end of a run ----------------------------------------------------------------------------


def gathering(kind: str, first: int | None = None) -> Scenario:
    """A run with data, `--out` and a long output is recorded, with each of them once.

    With `first` its writer was killed at that call, and recovery is what is killed now.
    """

    def trial(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
        empty(world)
        before = shown(world)
        expected, things = _begin(world, seed, kind)

        def finish() -> tuple[Repo, Any]:
            return session_of(world, expected, fault)

        if first is None:
            death = kill_at(point, finish, lambda ready, tell: recovery.finish(*ready))
        else:
            kill_at(first, finish, lambda ready, tell: recovery.finish(*ready))
            death = kill_at(
                point, lambda: _opened(world, fault), lambda repo, tell: recovery.recover(repo)
            )
        wrong = faulty(death.fault) + damage(cache_of(world))
        wrong += aftermath(world, expected, before, fault=fault)
        wrong += damage(cache_of(world)) + lacking([cache_of(world)], things)
        return Trial(death, wrong)

    return trial


def _opened(world: World, fault: Fault) -> Repo:
    fault()
    return Repo.open(world.path)


def _begin(world: World, seed: int, kind: str) -> tuple[Expected, list[Thing]]:
    """A run that read what the run before it made, and what it kept."""
    started, top = _START + seed, world.path
    model, parts = _made(seed)
    for made in (model, parts):
        made.write(top, when=started + 5)
    late = f"out/late-{seed}.bin"
    (top / late).write_bytes(b"another run wrote this")
    read, produced = _made(seed - 1)[0], _run_of(world, seed - 1, kind)
    source = f"input-{seed}.bin"
    changed = seed % 2 == 1
    (top / source).write_bytes(read.files[""] + b"!" * changed)
    data = Data(source, read.md5, len(read.files[""]))
    none = f"out/none-{seed}.bin"
    patterns = [
        os.path.join(os.path.realpath(top), p) for p in (model.path, parts.path, late, none)
    ]
    also: Mapping[str, Any] = {
        "outs": {"patterns": patterns, "before": {}},
        "data": [{"path": data.path, "md5": data.md5, "size": data.size}],
    }
    expected = begin(world, seed, kind, also=also, printed=_printed())
    faults = [
        f"not kept: there is no '{none}'",
        f"not kept: '{late}': it was written again after the run was lost",
        *([f"'{source}' changed since the last sign of this run"] if changed else ()),
    ]
    output = Thing("output.log", {"": ast.literal_eval(expected.facts["output"])})
    kept = sorted((model, parts, output), key=lambda one: one.path)
    facts = {
        **expected.facts,
        "faults": repr(tuple(faults)),
        "data": repr((data,)),
        "artifacts": repr(tuple(one.artifact for one in kept)),
        "inputs": repr([(produced, read.path)] if produced else []),
    }
    del facts["output"]
    return Expected(expected.id, expected.name, facts), kept


def _printed() -> bytes:
    """More than a record holds."""
    return b"a line of a long output\n" * (record.LOG_LIMIT // 23)


def _made(seed: int) -> tuple[Thing, Thing]:
    return thing(f"{seed}", f"out/model-{seed}.bin"), thing(f"{seed}", f"out/d-{seed}", count=5)


def _run_of(world: World, seed: int, kind: str) -> str | None:
    """The id of the run that this seed made, if it did."""
    if seed < 0:
        return None
    rand = random.Random(f"{kind} {seed}")
    name, id = names.generate(rand.randbytes(6)), names.run_id(rand.randbytes(16))
    there = refs.find(world.repo, world.known["experiment"], name)
    return None if there is None else id


# -- a script that logs --------------------------------------------------------------------------


def logging(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """Artifacts logged by a script: what the journal names is there, and what returned is named."""
    empty(world)
    before = shown(world)
    expected = begin(world, seed, "killed")
    directory = world.repo.state / "live" / expected.name
    logged = [
        thing(f"{seed} first", "model.bin"),
        thing(f"{seed}", "plots", count=5),
        thing(f"{seed} second", "model.bin"),
        thing(f"{seed}", "large.bin", size=1 << 20),
    ]
    sources = [one.write(world.path / "out" / f"{n}") for n, one in enumerate(logged)]

    def act(_: None, tell: Tell) -> None:
        for one, source in zip(logged, sources, strict=True):
            gittrack.log_artifact(source, one.path)
            tell(b".")

    def prepare() -> None:
        fault()
        os.environ[journal.RUN_VARIABLE] = os.fspath(directory)

    death = kill_at(point, prepare, act)
    told = [event["artifact"] for event in journal.logged(directory)[0] if "artifact" in event]
    wrong = faulty(death.fault) + damage(cache_of(world))
    if not len(death.told) <= len(told) <= len(death.told) + 1:
        wrong.append(f"{len(death.told)} calls returned, the journal has {told}")
    known = logged[: len(told)]
    wrong += lacking([cache_of(world)], known)
    wrong += aftermath(world, None, before, fault=fault)
    last = {one.path: one.artifact for one in known}
    for ref in (found for found in refs.all_runs(world.repo) if found.name == expected.name):
        run = commits.load(world.repo, ref)
        if {kept.path: kept for kept in run.artifacts} != last:
            wrong.append(f"the record has {run.artifacts} instead of {last}")
        if run.faults:
            wrong.append(f"faults without need: {run.faults}")
    return Trial(death, wrong)


# -- the cache -----------------------------------------------------------------------------------


def caching(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """Things put into the cache, one of which is there and spoilt: whole, or not there."""
    empty(world)
    things = [
        thing(f"{seed}", "small"),
        thing(f"{seed}", "large", size=1 << 20),
        thing(f"{seed}", "few", count=5),
        thing(f"{seed}", "many", count=20, size=100),
        thing(f"{seed}", "spoilt"),
    ]
    sources = [one.write(world.path / "in" / f"{seed % 2}") for one in things]
    spoilt = Cache(cache_of(world)).path(things[-1].md5)
    spoilt.parent.mkdir(parents=True)
    spoilt.write_bytes(b"x" * 3000)

    def act(cache: Cache, tell: Tell) -> None:
        for source in sources:
            cache.add(source)
            tell(b".")

    death = kill_at(point, lambda: _cache(world, fault), act)
    but = [spoilt] if spoilt.read_bytes() == b"x" * 3000 else []
    wrong = faulty(death.fault) + damage(cache_of(world), but=but)
    wrong += lacking([cache_of(world)], things[: len(death.told)])

    def add_again() -> list[str]:
        cache = _cache(world, fault)
        known = [one.artifact for one in things]
        found = [cache.add(source) for source in sources]
        return [
            f"{new} instead of {old}"
            for new, old in zip(found, known, strict=True)
            if (new.md5, new.size, new.nfiles) != (old.md5, old.size, old.nfiles)
        ]

    wrong += again(add_again)
    return Trial(death, wrong + damage(cache_of(world)) + lacking([cache_of(world)], things))


def _cache(world: World, fault: Fault) -> Cache:
    repo = _opened(world, fault)
    return caches.open_cache(repo, setup.read(repo))


_LINKS = ("copy", "hardlink", "symlink", "reflink")


def placing(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """An object put where another file stands, in each way: that file is old or new, never half."""
    empty(world)
    kept = thing(f"{seed}", "small", size=200_000)
    Cache(cache_of(world)).add(kept.write(world.path / "in"))
    place = _fresh(world.path / "placed")
    targets = {place / link: link for link in _LINKS}
    for target in targets:
        target.write_bytes(b"old")

    def put(tell: Tell) -> list[str]:
        for target, link in targets.items():
            links = ("reflink", "copy") if link == "reflink" else (link,)
            Cache(cache_of(world), links=links).place(kept.md5, target)
            tell(b".")
        return [f"{t.name} is not there" for t in targets if t.read_bytes() != kept.files[""]]

    def put_again() -> list[str]:
        fault()
        return put(lambda _: None)

    death = kill_at(point, fault, lambda _, tell: put(tell))
    new, old = kept.files[""], b"old"
    wrong = faulty(death.fault) + damage(cache_of(world)) + _odd(place, targets.keys(), new, old)
    for target in list(targets)[: len(death.told)]:
        if target.read_bytes() != new:
            wrong.append(f"{target.name} is not there though it was put there")
    return Trial(death, wrong + again(put_again) + damage(cache_of(world)))


def _fresh(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


def _odd(place: Path, targets: Any, new: bytes, old: bytes) -> list[str]:
    """What is neither old nor new, or was never asked for."""
    found = {path for path in place.rglob("*") if not path.is_dir()}
    stray = [path for path in found - set(targets) if not path.name.startswith(".tmp-gittrack-")]
    gone = [path for path in targets if path not in found]
    half = [path for path in found & set(targets) if path.read_bytes() not in (new, old)]
    return [
        *(f"{path} is a stranger" for path in stray),
        *(f"{path} is gone" for path in gone),
        *(f"{path} is half" for path in half),
    ]


def getting(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """Artifacts of a run got back, over older files: each is old or new, and then all are new."""
    things, ref = _recorded(world)
    place = _fresh(world.path / "got")
    older = [Thing(one.path, dict.fromkeys(one.files, b"old")) for one in things]
    older[0].write(place)
    Thing(older[1].path, {"part-0": b"old"}).write(place)
    shutil.rmtree(world.repo.state / "loaded", ignore_errors=True)

    def get(repo: Repo, tell: Tell) -> list[str]:
        retrieve.get(repo, ref, target=place, force=True)
        tell(b".")
        loaded = retrieve.load(repo, ref, things[1].path)
        tell(b".")
        return _differ(loaded.parent, Thing(loaded.name, things[1].files))

    death = kill_at(point, lambda: _opened(world, fault), get)
    wrong = faulty(death.fault) + damage(cache_of(world))
    for one in things:
        for name, data in one.files.items():
            path = place / one.path / name
            there = path.read_bytes() if path.exists() else None
            allowed = [data, *([b"old"] if name in ("", "part-0") else [None])]
            if there not in (allowed if not death.told else [data]):
                wrong.append(f"{path} is half")
    wrong += again(lambda: get(_opened(world, fault), lambda _: None))
    return Trial(death, wrong + [line for one in things for line in _differ(place, one)])


def _differ(top: Path, one: Thing) -> list[str]:
    paths = {name: top / one.path / name for name in one.files}
    return [f"{p} is wrong" for name, p in paths.items() if p.read_bytes() != one.files[name]]


def _recorded(world: World) -> tuple[list[Thing], RunRef]:
    """A run that kept a file and a directory; made once."""
    from gittrack.git import Identity
    from gittrack.message import moment
    from gittrack.records import Run

    things = [thing("got", "model.bin", size=50_000), thing("got", "plots", count=5)]
    there = refs.find(world.repo, "default", "kept")
    if there is not None:
        return things, there
    cache = Cache(cache_of(world))
    for one in things:
        cache.add(one.write(world.path / "in"))
    run = Run(
        id=names.run_id(b"kept" * 4),
        name="kept",
        experiment="default",
        status="finished",
        started=moment(_START),
        ended=moment(_START + 1),
        artifacts=tuple(one.artifact for one in things),
    )
    tree, author = world.known["tree"], Identity("Bob", "bob@example.org")
    return things, commits.write(world.repo, run, tree=tree, author=author)


KEPT: dict[str, Scenario] = {
    "beginning-with-data": beginning,
    "gathering": gathering("finished"),
    "gathering-again": gathering("killed", 120),
    "logging-artifacts": logging,
    "caching": caching,
    "placing": placing,
    "getting": getting,
}
