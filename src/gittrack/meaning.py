"""What one tag of the registry says, and whether that still holds: what a pipeline is told.

Knows that a pipeline's clone may lack other tags, and then says which instead of guessing. Knows
nothing of the hosts that run pipelines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gittrack import catalog, inscriptions, registry, tagging, tags
from gittrack.errors import ModelNotFound
from gittrack.registry import Change, Model, Registry, Version
from gittrack.tagging import Event
from gittrack.tags import Tag
from gittrack.whereabouts import Place

__all__ = ["Meaning", "read"]

_ROOT = "refs/tags/"
_FETCH = "`git fetch --force origin 'refs/tags/*:refs/tags/*'`"
_LIGHTWEIGHT = f"if CI made it so while it checked out, {_FETCH} brings the tag as it was pushed."
_ABSENT = ("", "none")


class Meaning(NamedTuple):
    """A tag that counts: `change` is what it says, `model` and `version` what that is about now.

    They are None where the tags that tell it are not here. `former` is the assignment that it ended
    in its stage. `current`: what it says holds now, as far as the tags here tell; None where they
    do not, as where later ones are missing. `missing` are tags that it speaks of and that are not
    here; `lacking` says which numbers of the model's no tag here has. `about` are the fields of
    the version, as `catalog.details` gives them.
    """

    change: Change
    model: Model | None
    version: Version | None
    former: Change | None
    current: bool | None
    missing: tuple[str, ...]
    about: Mapping[str, Any]

    @property
    def holder(self) -> str | None:
        """The version that holds the stage now; None if nobody does, or it is about no stage."""
        held = self.model and self.change.stage and self.model.holding(self.change.stage)
        return held.version if held else None

    @property
    def lacking(self) -> str | None:
        """The numbers of the model's that are missing here, None if none is."""
        return self.model and self.model.lacking

    @property
    def contested(self) -> str | None:
        """Why somebody has to look at it: at this change, at who holds its stage now, or at what
        our tag says of the run and its record does not.
        """
        held = self.model and self.change.stage and self.model.holding(self.change.stage)
        changes = [self.change, *(held.contested if held else ())]
        why = next((f"{one.tag}: {one.contested}" for one in changes if one.contested), None)
        is_ours = self.version is not None and self.version.run_id is not None
        return why or (next(iter(self.about.get("doubts", ())), None) if is_ours else None)

    def fields(self) -> dict[str, Any]:
        """All of it, for programs; names as everywhere in the registry."""
        return {
            **catalog.told(self.change),
            "contested": self.contested,
            "current": self.current,
            "holder": self.holder,
            "former": self._former(),
            "run": self.about.get("run") or _run(self.change),
            "artifact": self.about.get("artifact"),
            "metrics": self.about.get("metrics"),
            "missing": list(self.missing),
            "gaps": [list(one) for one in self.model.gaps] if self.model else [],
        }

    def _former(self) -> dict[str, Any] | None:
        if self.former is not None:
            return {"version": self.former.version, "tag": self.former.tag}
        before = self.change.trailers.get("previous", "")
        if self.model is None and before not in _ABSENT:
            return {"version": None, "tag": before}
        return None


def _run(change: Change) -> dict[str, Any] | None:
    known = change.trailers.get("run-id")
    return {"id": known, "experiment": None, "name": None} if known else None


def read(place: Place, tag: str) -> Meaning:
    """What the tag says, which may be named with its `refs/tags/`.

    Raises:
        ModelNotFound: it is not here, is no tag of the registry, or does not count; why is said.
        GitFailed: the tags cannot be listed.
    """
    name = tag.removeprefix(_ROOT)
    event = tagging.parse(name)
    found = tags.read(place)
    own = next((one for one in found if one.name == name), None)
    if event is None:
        raise ModelNotFound(
            f"'{name}' is no tag of the registry",
            selector=name,
            hint="such as churn@v1.2.0, churn#production#7 or churn@deprecated.",
        )
    if own is None:
        hint = f"{_FETCH} brings the tags."
        raise ModelNotFound(f"there is no tag '{name}' here", selector=name, hint=hint)
    known = registry.fold(found)
    model = known.models.get(event.model)
    here = {one.name for one in found}
    change = next((one for one in model.history if one.tag == name), None) if model else None
    if model is None or change is None:
        return _alone(known, own, event, here)
    version = model.version(change.version) if change.version else None
    return Meaning(
        change,
        model,
        version,
        next((one for one in model.history if one.tag == change.replaced), None),
        _holds(model, change),
        _missing(change, here),
        {} if version is None else catalog.details(place, known, version),
    )


def _holds(model: Model, change: Change) -> bool | None:
    """Whether what a change says is so now; None where a later change may be missing here."""
    if change.action == "deprecate":
        return model.deprecated is not None
    version = model.version(change.version or "")
    if change.stage is None:
        return version is not None and version.is_live == (change.action == "register")
    known = change.counter or 0
    if change.stage != tagging.ARCHIVED:
        # Whoever was given it last holds it, whatever came before.
        present = model.holding(change.stage)
        known = max(known, (present and present.since.counter) or 0)
    if model.gaps and model.gaps[-1][1] > known:
        return None
    held = any(
        one.stage == change.stage and one.version == change.version for one in model.holdings
    )
    return held == (change.action == "assign")


def _missing(change: Change, here: set[str]) -> tuple[str, ...]:
    named = [change.trailers.get(key, "") for key in ("previous", "because", "restores")]
    spoken = [one for one in named if one not in _ABSENT and tagging.parse(one)]
    if change.version is not None:
        spoken.append(tagging.compose(Event(change.model, "register", change.version)))
    elif change.action != "deprecate":
        spoken.append(f"{change.model}@v...")
    return tuple(dict.fromkeys(one for one in spoken if one not in here))


def _alone(known: Registry, tag: Tag, event: Event, here: set[str]) -> Meaning:
    """What a tag says by itself, where that of the version that it is about may not have come.

    Raises:
        ModelNotFound: it does not count.
    """
    faults = {one.tag: one.reason for one in known.problems}
    is_whole = tag.own_name == tag.name and len(tag.message) <= inscriptions.LARGEST
    is_sound = tag.is_annotated and tag.kind == "commit" and is_whole
    has_versions = any(_registers(name, event.model) for name in here)
    if not is_sound or has_versions or event.action in ("register", "deprecate"):
        said = "nobody says who made it" if not tag.is_annotated else "nothing follows from it"
        reason = faults.get(tag.name, said)
        hint = (
            _LIGHTWEIGHT if not tag.is_annotated else "`git track model ls --problems` lists all."
        )
        raise ModelNotFound(
            f"the tag '{tag.name}' does not count: {reason}", selector=tag.name, hint=hint
        )
    text = inscriptions.read(tag.message)
    version = event.version or text.trailers.get("version", "").removeprefix("v") or None
    change = Change(
        tag.name, tag.id, event.model, event.action, version, event.stage,
        text.trailers.get("kind") == "alias", event.counter, tag.target, tag.moment,
        tag.by, tag.email, text.subject, text.body, text.trailers,
    )  # fmt: skip
    return Meaning(change, None, None, None, None, _missing(change, here), {})


def _registers(name: str, model: str) -> bool:
    event = tagging.parse(name)
    return event is not None and event.action == "register" and event.model == model
