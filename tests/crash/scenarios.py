"""What is killed: the finishing writer, the beginning, logging, annotating, recovery itself.

A trial lets one child work on one run, kills it at one point, recovers, and says what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from crash.ptrace import Death, isolated, kill_at
from crash.world import (
    Expected,
    Fault,
    World,
    aftermath,
    begin,
    cleanliness,
    leftovers,
    nothing,
    session_of,
    shown,
)
from gittrack import commits, outset, recovery, refs
from gittrack.annotations import append, overlay
from gittrack.events import set_tag
from gittrack.git import Repo
from gittrack.journal import Writer
from gittrack.summaries import Summary

__all__ = ["SCENARIOS", "Scenario", "Trial", "recovering", "spread", "sweep"]

_LOGGED = 20
_FIRST = 12
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Trial:
    """How the child died, and what was wrong afterwards."""

    death: Death
    wrong: list[str]


Scenario = Callable[[World, int, "int | None", Fault], Trial]
"""World, seed, the point at which to kill (None: not at all) and a fault -> a trial."""


def finishing(kind: str) -> Scenario:
    """From the journal to the commit."""

    def trial(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
        before = shown(world)
        expected = begin(world, seed, kind)
        kept = {**before, **_run_refs(shown(world))}
        death = kill_at(
            point,
            lambda: session_of(world, expected, fault),
            lambda ready, tell: recovery.finish(*ready),
        )
        return Trial(death, _faulty(death) + aftermath(world, expected, kept, fault=fault))

    return trial


def beginning(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """Up to the moment from which a run will be recorded: it began, or nothing remains."""
    before = shown(world)
    request = world.request
    prepared = outset.prepare(world.repo, request)

    def prepare() -> Repo:
        fault()
        return Repo.open(world.path)

    def act(repo: Repo, tell: Callable[[bytes], None]) -> None:
        outset.begin(repo, request, prepared, now=lambda: 1.7e9 + seed, random=os.urandom)
        tell(b"begun")

    death = kill_at(point, prepare, act)
    facts = {
        "status": "killed",
        "params": repr({"lr": 0.5}),
        "tags": repr({"team": "blue"}),
        "included": "('features.py',)",
    }
    begun = bool(death.told)
    expected = Expected("", "", facts)
    return Trial(
        death,
        _faulty(death) + aftermath(world, expected, before, fault=fault, optional=not begun),
    )


def logging(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """A script that logs: every call that returned is in the record, in order, once."""
    before = shown(world)
    expected = begin(world, seed, "killed")
    directory = world.repo.state / "live" / expected.name

    def prepare() -> Writer:
        fault()
        return Writer(directory)

    def act(writer: Writer, tell: Callable[[bytes], None]) -> None:
        for step in range(_LOGGED):
            writer.append({"t": 1.8e9 + step, "metrics": {"acc": step / 8}, "step": step})
            tell(b".")

    death = kill_at(point, prepare, act)
    wrong = _faulty(death) + aftermath(world, None, before, fault=fault)
    for ref in (found for found in refs.all_runs(world.repo) if found.name == expected.name):
        rows = commits.load_series(world.repo, ref)
        logged = [row.values["acc"] for row in rows if "acc" in row.values]
        if logged != [step / 8 for step in range(len(logged))] or len(logged) < len(death.told):
            wrong.append(f"{len(death.told)} calls returned, the record has {logged}")
        if faults := commits.load(world.repo, ref).faults:
            wrong.append(f"damaged without need: {faults}")
    return Trial(death, wrong)


def annotating(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
    """Tags set on a run: each that was said counts, and the next one can be said."""
    expected = begin(world, seed)
    isolated(lambda: len(recovery.recover(Repo.open(world.path))))
    ref = refs.find(world.repo, world.known["experiment"], expected.name)
    assert ref is not None
    run = commits.summarize(commits.load(world.repo, ref))

    def prepare() -> Repo:
        fault()
        return Repo.open(world.path)

    def act(repo: Repo, tell: Callable[[bytes], None]) -> None:
        for number in range(2):
            _say(repo, run, str(number))
            tell(b".")

    death = kill_at(point, prepare, act)
    wrong = _faulty(death)
    said = _tag(world, run)
    likely = [None, "0", "1"][len(death.told) : len(death.told) + 2]
    if said not in likely:
        wrong.append(f"the tag is {said} after {len(death.told)} calls")

    def say() -> None:
        fault()
        _say(Repo.open(world.path), run, "last")

    try:
        isolated(say)
    except Exception as error:
        wrong.append(f"the next one cannot be said: {error}")
    if _tag(world, run) != "last":
        wrong.append(f"the next one does not count: {_tag(world, run)}")
    wrong += [line for line in leftovers(world) if "annotations.lock" not in line]
    return Trial(death, wrong)


def _say(repo: Repo, run: Summary, value: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    append(repo, run, [set_tag("said", value)], now=now, random=os.urandom)


def _tag(world: World, run: Summary) -> str | None:
    return isolated(lambda: overlay(Repo.open(world.path), [run])[0].tags.get("said"))


def recovering(kind: str, first: int | None) -> Scenario:
    """Recovery, after the writer was killed at its `first` call (None: before it began)."""

    def trial(world: World, seed: int, point: int | None, fault: Fault = nothing) -> Trial:
        before = shown(world)
        expected = begin(world, seed, kind)
        kept = {**before, **_run_refs(shown(world))}
        if first is not None:
            kill_at(
                first,
                lambda: session_of(world, expected, fault),
                lambda ready, tell: recovery.finish(*ready),
            )

        def prepare() -> Repo:
            fault()
            return Repo.open(world.path)

        death = kill_at(point, prepare, lambda repo, tell: recovery.recover(repo))
        return Trial(death, _faulty(death) + aftermath(world, expected, kept, fault=fault))

    return trial


def _run_refs(found: dict[str, str]) -> dict[str, str]:
    return {name: target for name, target in found.items() if name.startswith(refs.ROOT)}


def _faulty(death: Death) -> list[str]:
    return [f"the writer fails: {death.fault}"] if death.fault else []


SCENARIOS: dict[str, Scenario] = {
    "finishing": finishing("finished"),
    "finishing-held": finishing("held"),
    "finishing-taken": finishing("taken"),
    "finishing-killed": finishing("killed"),
    "beginning": beginning,
    "logging": logging,
    "annotating": annotating,
    "recovering": recovering("held", None),
    "recovering-again": recovering("taken", 300),
}


def spread(calls: int, wanted: int | None) -> list[int]:
    """`wanted` points among `calls`, in an order that meets every region soon; all if None.

    The first few calls make a directory and lock it; half of the points are in the last quarter,
    where a run comes to exist and its directory goes.
    """
    if wanted is None or wanted >= calls:
        return list(range(1, calls + 1))
    first, late = min(_FIRST, wanted // 4), calls - calls // 4
    half = (wanted - first + 1) // 2
    early = {round(first + 1 + index * (late - first - 1) / half) for index in range(half)}
    last = {round(calls - index * (calls - late) / half) for index in range(half)}
    points = sorted({*range(1, first + 1), *early, *last})
    return sorted(points, key=lambda point: points.index(point) * _GOLDEN % 1)


def sweep(
    world: World, scenario: Scenario, wanted: int | None, *, fault: Fault = nothing
) -> tuple[int, list[str]]:
    """Kill at `wanted` points -> how often that killed, and what went wrong; ends when it does.

    For a fresh world.
    """
    first, dry = scenario(world, 0, None, fault), scenario(world, 1, None, fault)
    killed = 0
    wrong = [f"not killed at all: {line}" for line in first.wrong + dry.wrong]
    for seed, point in enumerate(spread(dry.death.calls, wanted), 2):
        if wrong:
            break
        trial = scenario(world, seed, point, fault)
        killed += trial.death.killed
        wrong = [f"killed at call {point} of {dry.death.calls}: {line}" for line in trial.wrong]
    return killed, wrong or cleanliness(world)
