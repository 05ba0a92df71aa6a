"""Giving and taking stages: the tags that this asks for, and what follows from it.

Knows what of a model's changes is still open, what a version was before, and in which words that is
said. Pure; whether it may be is not asked here.
"""

from __future__ import annotations

from collections.abc import Sequence

from gittrack import registry, tagging
from gittrack.registry import Change, Model, Version
from gittrack.tagging import ARCHIVED, Event
from gittrack.transaction import Basis, Draft

__all__ = [
    "about",
    "consequences",
    "given",
    "leftovers",
    "predecessor",
    "rolled_back",
    "taking",
]


def predecessor(model: Model, stage: str) -> Change | None:
    """The assignment to go back to: the one before the present holder's, as they stood first.

    What a rollback brought back counts where it was assigned first, so that the next one goes
    further back. Passed over are versions that were taken back, and the present holder.
    """
    given = [
        one
        for one in model.history
        if one.stage == stage and one.action == "assign" and not one.is_alias
    ]
    places = {one.tag: place for place, one in enumerate(given)}

    def first(place: int) -> int:
        """Where that was assigned first which an assignment brought back; else its own place."""
        while (back := places.get(given[place].trailers.get("restores", ""), place)) < place:
            place = back
        return place

    if stage == ARCHIVED:
        return None
    held = model.holding(stage)
    place = len(given) if held is None else first(places[held.since.tag])
    while place > 0:
        place = first(place - 1)
        version = model.version(given[place].version or "")
        if (
            version is not None
            and version.is_live
            and (not held or held.version != version.version)
        ):
            return given[place]
    return None


def rolled_back(model: Model, stage: str) -> dict[str, Change]:
    """By version, the rollback that took a stage from it, if nobody gave it that stage again."""
    given: dict[str, str] = {}
    found: dict[str, Change] = {}
    for one in model.history:
        if one.stage != stage or one.action != "assign" or one.version is None:
            continue
        given[one.tag] = one.version
        former = given.get(one.replaced or "")
        if former is not None and one.trailers.get("restores"):
            found[former] = one
        found.pop(one.version, None)
    return found


def about(version: Version, event: Event, verb: str, trailers: Sequence[tuple[str, str]]) -> Draft:
    """The tag that says something of a version, and nothing of a stage."""
    said = (("Version", version.version), ("Run-Id", version.run_id or ""), *trailers)
    return Draft(event, version.commit, f"{verb} {version.model} {version.version}", "", said)


def given(
    basis: Basis,
    model: Model,
    version: Version,
    stage: str,
    subject: str,
    trailers: Sequence[tuple[str, str]],
) -> Draft:
    """The tag that gives a stage or alias."""
    said = [
        ("Version", version.version),
        ("Run-Id", version.run_id or ""),
        ("Previous", _replaced(basis, model, version, stage)),
        *trailers,
    ]
    return Draft(Event(model.name, "assign", stage=stage), version.commit, subject, "", tuple(said))


def _replaced(basis: Basis, model: Model, version: Version, stage: str) -> str:
    """The assignment that one more would end: asked of the registry itself, as if it were there."""
    event = Event(model.name, "assign", stage=stage, counter=model.top + 1)
    name = tagging.compose(event)
    words = f"x\n\nVersion: {version.version}\n"
    own = [*basis.of(model.name).values()]
    tried = own[0]._replace(
        name=name, own_name=name, id="0" * 40, is_annotated=True, kind="commit",
        target=version.commit, message=words,
    )  # fmt: skip
    folded = registry.fold([*own, tried]).models[model.name]
    return next((one.replaced for one in folded.history if one.tag == name), None) or "none"


def taking(since: Change, version: Version, subject: str | None = None, reason: str = "") -> Draft:
    """The tag that takes away what an assignment gave; without a subject a mere consequence."""
    stage = since.stage or ""
    words = subject or (
        f"Take {stage} of {version.model} from {version.version}"
        if since.is_alias
        else f"Demote {version.model} {version.version} from {stage}"
    )
    said = [
        ("Version", version.version),
        ("Run-Id", version.run_id or ""),
        ("Previous", since.tag),
        ("Reason", reason),
        ("Kind", "alias" if since.is_alias else ""),
    ]
    event = Event(version.model, "unassign", stage=stage)
    return Draft(event, version.commit, words, "", tuple(said), subject is None)


def _open(model: Model) -> dict[tuple[str, str], Change]:
    """The assignments that no tag has taken away, by version and stage: what GTO goes by."""
    found: dict[tuple[str, str], Change] = {}
    for one in model.history:
        key = (one.version or "", one.stage or "")
        if one.action == "assign":
            found[key] = one
        elif one.action == "unassign":
            found.pop(key, None)
    return found


def consequences(model: Model, version: Version, stage: str, *, archive: bool) -> list[Draft]:
    """What follows from giving a stage: what the version was in ends, and whoever held it."""
    made = [
        taking(since, version)
        for (number, other), since in _open(model).items()
        if number == version.version and other != stage and not since.is_alias
    ]
    if stage == ARCHIVED:
        return made
    made += leftovers(model, version, stage)
    held = model.holding(stage)
    if archive and held is not None and held.version != version.version:
        former = model.version(held.version)
        assert former is not None, "only a version that is registered holds something"
        said = (
            ("Version", former.version), ("Run-Id", former.run_id or ""), ("Previous", "none"),
        )  # fmt: skip
        event = Event(model.name, "assign", stage=ARCHIVED)
        words = f"Archive {model.name} {former.version}"
        made.append(Draft(event, former.commit, words, "", said, is_consequence=True))
    return made


def leftovers(model: Model, version: Version, stage: str) -> list[Draft]:
    """What others still have of a stage or alias, now that it is decided about this version."""
    made = []
    for (number, other), since in _open(model).items():
        holder = model.version(number)
        if other == stage and number != version.version and holder and holder.is_live:
            made.append(taking(since, holder))
    return made
