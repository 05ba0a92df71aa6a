"""A repository, runs that have begun in it, and what must be true of it after a crash.

Expectations are built from what was logged, never by the code that is tested.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash.ptrace import Failed, isolated
from gittrack import commits, names, outset, records, recovery, refs, sessions
from gittrack.errors import GittrackError
from gittrack.git import Identity, Repo
from gittrack.journal import Writer
from gittrack.message import moment
from gittrack.refs import RunRef
from gittrack.sessions import Session

__all__ = [
    "KINDS",
    "Expected",
    "Fault",
    "World",
    "aftermath",
    "begin",
    "cleanliness",
    "facts",
    "leftovers",
    "make_world",
    "nothing",
    "session_of",
    "shown",
]

Fault = Callable[[], object]
"""Applied in each forked child before it works."""

KINDS = ("finished", "held", "taken", "killed")
"""A run that came to its end; one whose snapshot is held by a ref; one whose name somebody else's
run took meanwhile; one whose recorder was killed with its command."""

_START = 1_700_000_000.0
_DEAD = [2**22 + 1, "1", "no boot of this machine"]


def nothing() -> None:
    """The fault that is none."""


@dataclass(frozen=True, slots=True)
class World:
    """A repository; `known` is how a real run began in it, `request` what it was asked to do."""

    path: Path
    repo: Repo
    known: Mapping[str, Any]
    request: outset.Request


@dataclass(frozen=True, slots=True)
class Expected:
    """All that must be in a run's record, as text, so that NaN equals NaN."""

    id: str
    name: str
    facts: Mapping[str, str] = field(default_factory=dict)


def make_world(path: Path) -> World:
    """A repository with one commit and an uncommitted change."""
    path.mkdir(parents=True)
    _git(path, "init", "-q", "--template=")
    (path / "train.py").write_text("print('accuracy: 0.5')\n")
    _git(path, "add", "-A")
    _git(path, "commit", "-q", "-m", "Train")
    (path / "train.py").write_text("print('accuracy: 0.75')\n")
    (path / "features.py").write_text("DEPTH = 3\n")
    repo = Repo.open(path)
    request = outset.Request(
        argv=["python", "train.py", "--lr", "0.5"], directory=path, tags={"team": "blue"}
    )
    prepared = outset.prepare(repo, request)
    begun = outset.begin(repo, request, prepared, now=lambda: _START, random=os.urandom)
    assert isinstance(begun, outset.Begun)
    begun.session.end()
    world = World(path, repo, dict(begun.known), request)
    # Children are forked warm: what is imported on first use is imported here.
    begin(world, -1)
    recovery.recover(repo)
    return world


def begin(
    world: World,
    seed: int,
    kind: str = "finished",
    *,
    also: Mapping[str, Any] | None = None,
    printed: bytes = b"",
) -> Expected:
    """Leave behind a run that is ready to be recorded, as its writer would find it.

    `also` joins how it began, `printed` its output.
    """
    rand = random.Random(f"{kind} {seed}")
    name, id = names.generate(rand.randbytes(6)), names.run_id(rand.randbytes(16))
    started = _START + seed
    params = {"lr": rand.random(), "seed": seed, "kind": kind}
    session = Session.open(world.repo.state, name)
    own = {"id": id, "name": name, "started": started, "params": params, "files": {}}
    session.begin({**world.known, **own, **(also or {})})
    values = [rand.random(), math.nan, -1e-300, 3]
    script = Writer(session.directory)
    for step, value in enumerate(values):
        script.append({"t": started + step, "metrics": {"loss": value}, "step": step})
    script.append({"t": started + 5, "params": {"late": "yes"}, "tags": {"stage": "two"}})
    script.close()
    output = b"epoch %d\n" % seed + bytes(rand.choices(b"abcdefgh \n", k=300)) + printed
    session.keep_output(output)
    recorder = Writer(session.directory)
    recorder.append({"t": started + 0.5, "child": _DEAD})
    if kind != "killed":
        recorder.append({"t": started + 9, "end": ["failed", 3]})
    recorder.close()
    session.release()
    for path in session.directory.iterdir():
        os.utime(path, (started + 9, started + 9))
    if kind == "held":
        refs.hold_snapshot(world.repo, name, world.known["tree"])
    if kind == "taken":
        _take(world, name, rand)
    facts = {
        "id": id,
        "status": "killed" if kind == "killed" else "failed",
        "exit_code": repr(None if kind == "killed" else 3),
        "ended": repr(moment(started + 9)),
        "params": repr({"kind": kind, "late": "yes", "lr": params["lr"], "seed": seed}),
        "tags": repr({"stage": "two", "team": "blue"}),
        "metrics": repr({"loss": 3}),
        "rows": repr([(step, float(step), {"loss": value}) for step, value in enumerate(values)]),
        "output": repr(output),
        "faults": "()",
        "included": "('features.py',)",
        "data": "()",
        "artifacts": "()",
        "inputs": "[]",
    }
    return Expected(id, name, facts)


def _take(world: World, name: str, rand: random.Random) -> None:
    other = records.Run(
        id=names.run_id(rand.randbytes(16)),
        name=name,
        experiment=world.known["experiment"],
        status="finished",
        started=moment(_START),
        ended=moment(_START + 1),
    )
    tree = world.known["tree"]
    commits.write(world.repo, other, tree=tree, author=Identity("Bob", "bob@example.org"))


def facts(repo: Repo, ref: RunRef) -> dict[str, str]:
    """What the record at a ref says, in the terms of `Expected`."""
    run = commits.load(repo, ref)
    rows = [
        (row.step, row.time, dict(sorted(row.values.items())))
        for row in commits.load_series(repo, ref)
    ]
    return {
        "id": run.id,
        "status": run.status,
        "exit_code": repr(run.exit_code),
        "ended": repr(run.ended),
        "params": repr(dict(sorted(run.params.items()))),
        "tags": repr(dict(sorted(run.tags.items()))),
        "metrics": repr(dict(sorted(run.metrics.items()))),
        "rows": repr(rows),
        "output": repr(commits.output(repo, ref)),
        "faults": repr(run.faults),
        "included": repr(run.code.included),
        "data": repr(run.data),
        "artifacts": repr(run.artifacts),
        "inputs": repr([(given.id, given.path) for given in run.inputs]),
    }


def session_of(world: World, expected: Expected, fault: Fault = nothing) -> tuple[Repo, Session]:
    """Take over a prepared run, in a child, as its writer."""
    fault()
    repo = Repo.open(world.path)
    repo.sync(True)
    session = sessions.adopt(repo.state / "live" / expected.name)
    assert session is not None
    return repo, session


def shown(world: World) -> dict[str, str]:
    """Every ref and where it points."""
    return {ref.name: ref.target for ref in world.repo.refs("refs/")}


def aftermath(
    world: World,
    expected: Expected | None,
    before: Mapping[str, str],
    *,
    fault: Fault = nothing,
    optional: bool = False,
) -> list[str]:
    """Recover in a fresh process, then say what is wrong: the run is to be there once, whole.

    `before` are the refs that were there; they must be there still. `optional`: the run may be
    missing, if nothing at all is left of it.
    """
    wrong = []
    try:
        again = isolated(lambda: _recover_twice(world, fault))
        if again:
            wrong.append(f"a second recovery finds {again}")
    except Failed as failed:
        wrong.append(f"recovery fails: {failed}")
    after = shown(world)
    wrong += [f"{ref} is gone or moved" for ref in before if after.get(ref) != before[ref]]
    new = [ref for ref in after if ref not in before]
    wrong += [f"{ref} is left over" for ref in new if not ref.startswith(refs.ROOT)]
    made = [ref for ref in new if ref.startswith(refs.ROOT)]
    if len(made) > 1 or (not made and not optional):
        wrong.append(f"{len(made)} runs instead of one: {made}")
    if expected is not None:
        for ref in made:
            wrong += _differences(world, ref, after[ref], expected)
    _prune(world)
    return wrong + leftovers(world)


def _prune(world: World) -> None:
    """Remove the temporary objects of killed writers, as `git prune` does.

    Our children share one sequence of random names, and libgit2 tries only 32 of them.
    """
    for path in (world.path / ".git" / "objects").glob("tmp_*"):
        if path.is_file():
            path.unlink()


def _recover_twice(world: World, fault: Fault) -> list[RunRef]:
    fault()
    recovery.recover(Repo.open(world.path))
    return recovery.recover(Repo.open(world.path))


def _differences(world: World, ref: str, commit: str, expected: Expected) -> list[str]:
    experiment, name = ref.removeprefix(refs.ROOT).split("/")
    try:
        found = facts(world.repo, RunRef(experiment, name, commit))
    except GittrackError as error:
        return [f"{ref} is half: {error.message}"]
    return [
        f"{key} is {found[key]} instead of {value}"
        for key, value in expected.facts.items()
        if found[key] != value
    ]


def leftovers(world: World) -> list[str]:
    """Locks and directories that nobody will ever remove."""
    locks = []
    for place, inner, files in os.walk(world.path / ".git"):
        inner[:] = [name for name in inner if len(name) > 2]
        locks += [os.path.join(place, name) for name in files if name.endswith(".lock")]
    live = world.repo.state / "live"
    left = sorted(os.listdir(live)) if live.is_dir() else []
    return [f"a lock is left: {path}" for path in locks] + [f"live/{name} is left" for name in left]


def cleanliness(world: World) -> list[str]:
    """What `git fsck` finds."""
    done = subprocess.run(
        ["git", "fsck", "--full", "--strict", "--no-dangling", "--no-progress"],
        cwd=world.path,
        capture_output=True,
        text=True,
    )
    said = (done.stdout + done.stderr).strip()
    return [f"git fsck: {said}"] if done.returncode or said else []


def _git(path: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True)
