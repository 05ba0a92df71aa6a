"""Why a change of a stage must be looked at, in a sentence: who decided what, upon which holder.

Which changes these are is the registry's to know; it asks here for the words. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gittrack.quoting import one_line
from gittrack.tagging import Action, parse

__all__ = ["Act", "mistaken", "rivals", "unfounded"]

_LONGEST_NAME = 40


class Act(NamedTuple):
    """What a tag did: who gave or took which version's stage; `tag` is its name.

    `previous` is what it says that it was decided upon, None if it says nothing; `holder` the
    version that held the stage by that, None where that is not known here, or nobody did.
    """

    tag: str
    by: str
    action: Action
    version: str
    stage: str
    is_alias: bool
    previous: str | None = None
    holder: str | None = None


def mistaken(own: Act, present: Act | None) -> str:
    """An act that was decided upon something else than `present`, which held the stage by then."""
    upon = _upon(own)
    if not upon:
        return f"{_deed(own)}; what it was decided upon is no tag of the registry"
    if present is None:
        return f"{_deed(own)}{upon}; nobody did by then"
    who = _who(present)
    if own.holder == present.version:
        return f"{_deed(own)}{upon}; it had been given it anew by then ({who})"
    return f"{_deed(own)}{upon}; v{present.version} did by then ({who})"


def rivals(own: Act, others: Sequence[Act]) -> str:
    """An act whose tag has the same number as others."""
    number = own.tag.rpartition("#")[2]
    those = ", ".join(_deed(one) for one in others)
    return f"{_deed(own)}{_upon(own)}; under the same number {number} {those}"


def unfounded(own: Act, cause: str) -> str:
    """An act that only follows from another one, which is not here or did something else."""
    if parse(cause) is None:
        return f"{_deed(own)}; what it follows from is no tag of the registry"
    return f"{_deed(own)} because of {cause}, which is missing here or says something else"


def _upon(own: Act) -> str:
    if own.holder is not None:
        return f" when v{own.holder} held it"
    if own.previous == "none":
        return " when nobody held it"
    if own.previous is None or parse(own.previous) is None:
        return ""
    return f" when the version of {own.previous} held it, a tag that does not count here"


def _deed(act: Act) -> str:
    who, version, stage = _who(act), f"v{act.version}", act.stage
    if act.action == "unassign":
        return f"{who} took {stage} from {version}"
    return (
        f"{who} pointed {stage} at {version}" if act.is_alias else f"{who} gave {version} {stage}"
    )


def _who(act: Act) -> str:
    name = one_line(act.by.strip()) or "somebody"
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."
