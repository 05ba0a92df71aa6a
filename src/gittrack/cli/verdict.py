"""How an election looks: the winner in a line and a table of why the others lost, or JSON.

Knows nothing of how it was held, nor of what is made of the winner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gittrack.cli.output import screen

if TYPE_CHECKING:
    from gittrack.cli.target import Target
    from gittrack.election import Candidate, Election

__all__ = ["drawn", "fields"]

_WHY = "WHY NOT"


def drawn(goal: Target, found: Election) -> str:
    """The winner in a line, and why the others are not."""
    return _winner(goal, found) + (_others(goal, found) if found.others else "")


def _winner(goal: Target, found: Election) -> str:
    from gittrack.cells import bold
    from gittrack.figures import short
    from gittrack.quoting import one_line

    winner = found.winner
    if winner is None:
        return ""
    words = [bold(one_line(winner.name), screen().color)]
    if winner.version is not None and winner.run is not None:
        words.append(one_line(winner.run.name))
    words += [f"{one_line(goal.title)} {short(winner.value)}", f"({_how(goal, found)})"]
    return "  ".join(words) + "\n"


def _others(goal: Target, found: Election) -> str:
    from gittrack.report import Column, sheet

    shown = screen()
    names = [one.name for one in found.others]
    runs = [None if one.run is None else one.run.name for one in found.others]
    values = [one.value for one in found.others]
    made: list[tuple[Column, Sequence[Any]]] = [
        (Column("name", "NAME"), names),
        *([] if names == runs else [(Column("name", "RUN"), runs)]),
        (Column("", goal.title), values),
        (Column("name", _WHY), [one.reason for one in found.others]),
    ]
    spare = range(1, len(made) - 1)
    columns, table = zip(*made, strict=True)
    told = sheet(columns, table, width=shown.width, color=shown.color, spare=spare)
    if _WHY in told.dropped:
        # The reasons are what it is about: rather two lines each than without.
        told = sheet([columns[0], columns[-1]], [table[0], table[-1]], color=shown.color)
    return told.text


def _how(goal: Target, found: Election) -> str:
    """Of how many it is the best: `highest of 3, on the data of churn@v1.0.0`."""
    from gittrack import election
    from gittrack.quoting import one_line

    which = f"{goal.extreme} of {found.compared:,}"
    if found.compared == 1:
        alone = any((one.reason or "").startswith(election.OTHER_DATA) for one in found.others)
        which = "the only one on its data" if alone else "the only one that can win"
    if found.reference is None:
        return f"{which}, whatever the data"
    if not found.reference.data:
        return f"{which}; none says which data it read"
    if found.winner is not None and found.reference.name == found.winner.name:
        return which
    return f"{which}, on the data of {one_line(found.reference.name)}"


def fields(goal: Target, found: Election) -> dict[str, Any]:
    """All of it, for programs: what they were judged by, on which data, and each of them."""
    reference = found.reference
    data = None
    if reference is not None:
        data = {"of": reference.name, "files": dict(reference.data)}
    return {
        "metric": goal.key,
        "lowest": goal.lowest,
        "data": data,
        "winner": None if found.winner is None else _candidate(found.winner),
        "others": [_candidate(one) for one in found.others],
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    run, version = one.run, one.version
    return {
        "version": None if version is None else version.version,
        "tag": None if version is None else version.registered.tag,
        "stage": None if version is None else version.stage,
        "run": None
        if run is None
        else {"id": run.id, "name": run.name, "experiment": run.experiment, "status": run.status},
        "commit": run.commit if version is None and run is not None else version and version.commit,
        "value": one.value,
        "reason": one.reason,
    }
