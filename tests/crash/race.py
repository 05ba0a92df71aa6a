"""Many processes that record runs in one repository at once, while Git tidies it up.

Names are drawn from the same random numbers in every process, so most of them clash.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from crash.ptrace import Failed, fork, isolated
from crash.world import Fault, World, cleanliness, leftovers, nothing, shown
from gittrack import commits, names, outset, records, recovery, refs
from gittrack.errors import GittrackError, RunExists
from gittrack.git import Identity, Repo
from gittrack.journal import Writer
from gittrack.message import moment

__all__ = ["run"]

_TIDY = (
    ("git", "pack-refs", "--all", "--prune"),
    ("git", "gc", "--quiet"),
)


def run(
    world: World, *, writers: int, each: int, fault: Fault = nothing, seed: int = 0
) -> list[str]:
    """Let `writers` processes record `each` runs at once -> what is wrong afterwards."""
    before = shown(world)
    wanted = {_id(seed, who, number) for who in range(writers) for number in range(each)}
    start, go = os.pipe()

    def worker(who: int) -> Callable[[], None]:
        def work() -> None:
            os.close(go)
            os.read(start, 1)
            fault()
            record = _write if who % 4 == 3 else _record
            for number in range(each):
                record(world, seed, who, number)

        return work

    pids = [fork(worker(who)) for who in range(writers)]
    tidy = fork(lambda: _tidy(world, go, start))
    os.close(go)
    os.close(start)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    os.killpg(tidy, 15)
    os.waitpid(tidy, 0)
    wrong = [f"{sum(map(bool, codes))} writers failed"] if any(codes) else []
    try:
        isolated(lambda: len(recovery.recover(Repo.open(world.path))))
    except Failed as failed:
        wrong.append(f"recovery fails: {failed}")
    return wrong + _wrong(world, before, wanted) + leftovers(world) + cleanliness(world)


def _id(seed: int, who: int, number: int) -> str:
    return names.run_id(random.Random(f"{seed} {who} {number}").randbytes(16))


def _record(world: World, seed: int, who: int, number: int) -> None:
    """Begin and finish one run; a refusal leaves it to the recovery, as `command` does."""
    rand = random.Random(f"{seed} {number}")
    repo = Repo.open(world.path)
    session = outset._session(repo, None, rand.randbytes)
    id = _id(seed, who, number)
    session.begin({**world.known, "id": id, "name": session.directory.name[5:], "files": {}})
    writer = Writer(session.directory)
    writer.append({"metrics": {"who": who, "number": number}, "end": ["finished", 0]})
    writer.close()
    try:
        if who % 2:
            refs.hold_snapshot(repo, session.directory.name, world.known["tree"])
        recovery.finish(repo, session)
    except GittrackError:
        session.release()
    recovery.recover(repo)


def _write(world: World, seed: int, who: int, number: int) -> None:
    """Write one run without a session, as an import does, under the first name that is free."""
    rand = random.Random(f"import {seed} {number}")
    repo = Repo.open(world.path)
    run = records.Run(
        id=_id(seed, who, number),
        name="",
        experiment=world.known["experiment"],
        status="finished",
        started=moment(1.7e9),
        ended=moment(1.7e9 + number),
        metrics={"who": who, "number": number},
    )
    while True:
        run = replace(run, name=names.generate(rand.randbytes(6)))
        try:
            commits.write(
                repo, run, tree=world.known["tree"], author=Identity("a", "a@example.org")
            )
        except RunExists:
            continue
        return


def _tidy(world: World, go: int, start: int) -> None:
    """Start the writers, then pack and collect until killed."""
    os.close(start)
    os.close(go)
    while True:
        for command in _TIDY:
            subprocess.run(command, cwd=world.path, capture_output=True)


def _wrong(world: World, before: dict[str, str], wanted: set[str]) -> list[str]:
    after = shown(world)
    wrong = [f"{ref} is gone or moved" for ref in before if after.get(ref) != before[ref]]
    held = [ref for ref in after if ref.startswith(refs.SNAPSHOTS)]
    wrong += [f"{ref} is left over" for ref in held]
    made = [ref for ref in refs.all_runs(world.repo) if ref.full not in before]
    found: Counter[str] = Counter()
    for ref in made:
        try:
            run = commits.load(world.repo, ref)
        except GittrackError as error:
            wrong.append(f"half: {error.message}")
            continue
        found[run.id] += 1
        who, number = run.metrics.get("who"), run.metrics.get("number")
        if run.status != "finished" or who is None or number is None:
            wrong.append(f"{ref.short} is {run.status} with {dict(run.metrics)}")
    wrong += [f"{id} is there {times} times" for id, times in found.items() if times > 1]
    if lost := wanted - found.keys():
        wrong.append(f"{len(lost)} of {len(wanted)} runs are lost")
    if more := found.keys() - wanted:
        wrong.append(f"{len(more)} runs were never made")
    return wrong
