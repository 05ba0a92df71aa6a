"""Why a decision about a model cannot stand: what it was about is gone, was taken back, or is not
as it was when it was made.

Compares what was seen with what is there; pure. Rules of stages are the policy's.
"""

from __future__ import annotations

from gittrack import registry, tagging
from gittrack.errors import BadName, RegistryChanged, StageRefused
from gittrack.quoting import one_line
from gittrack.registry import Change, Model, Registry, Version
from gittrack.tagging import ARCHIVED, PRODUCTION

__all__ = [
    "changed",
    "check_holder",
    "check_live",
    "check_no_alias",
    "check_not_serving",
    "check_open",
    "check_same",
    "holder",
    "present",
    "retired",
]

_LONGEST_REASON = 200


def present(known: Registry, version: Version) -> tuple[Model, Version]:
    """The model and the version as they are now.

    Raises:
        ModelNotFound: one is gone.
    """
    found = registry.find_version(known, version.name)
    return known.models[version.model], found


def holder(model: Model, stage: str) -> str | None:
    """Who holds a stage or alias that one version at a time has; None of `archived`."""
    held = None if stage == ARCHIVED else model.holding(stage)
    return held and held.version


def check_same(seen: Version, current: Version, model: Model) -> None:
    """Make sure that nobody decided about the version since it was `seen`.

    Raises:
        RegistryChanged: somebody did.
    """
    if not seen.is_live or (current.is_live and current.stage == seen.stage):
        return
    last = current.unregistered or current.since
    if last is None:
        changes = (one for one in model.history if one.version == current.version and one.stage)
        last = ([*changes] or [current.registered])[-1]
    if not current.is_live:
        what = "was taken back"
    else:
        what = f"went to {current.stage}" if current.stage else f"lost {seen.stage}"
    raise _again(f"{current.name} {what} meanwhile, by {one_line(last.by)}", model)


def check_holder(expected: str | None, model: Model, stage: str) -> None:
    """Make sure that a stage or alias is still held by `expected`.

    Raises:
        RegistryChanged: it is not.
    """
    if holder(model, stage) != expected:
        raise changed(model, stage)


def changed(model: Model, stage: str) -> RegistryChanged:
    """The error for a stage or alias that is not held by whom it was: by whom, and who did that."""
    held = model.holding(stage)
    if held is not None:
        what, by = f"went to v{held.version}", held.since.by
    else:
        changes = [one for one in model.history if one.stage == stage]
        what, by = "was taken away", changes[-1].by if changes else "somebody"
    return _again(f"{stage} of {model.name} {what} meanwhile, by {one_line(by)}", model)


def _again(what: str, model: Model) -> RegistryChanged:
    return RegistryChanged(
        what,
        hint=f"`git track model history {model.name}` tells more; decide again upon what is there"
        " now.",
    )


def retired(change: Change) -> str:
    """By which tag a model was deprecated, by whom and why, for a sentence."""
    said = f"since {change.tag} by {one_line(change.by)}"
    reason = " ".join((change.reason or "").split())
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]}..."
    return f"{said}: {one_line(reason)}" if reason else said


def check_live(model: Model, version: Version) -> None:
    """Make sure that a version can be given anything.

    Raises:
        StageRefused: it was taken back, or the model is deprecated.
    """
    if version.unregistered is not None:
        raise StageRefused(
            f"{version.name} was taken back, by {one_line(version.unregistered.by)}",
            hint="register the run again, under a new number.",
        )
    if model.deprecated is not None:
        raise StageRefused(
            f"'{model.name}' is deprecated, {retired(model.deprecated)}",
            hint="its versions keep what they hold, and get no more.",
        )


def check_open(model: Model, version: Version, stage: str) -> None:
    """Make sure that a version can be given this stage, whatever the rules are.

    Raises:
        BadName: no stage may be called so, unless one is already; or it is an alias of the model.
        StageRefused: as `check_live`.
    """
    if not any(one.stage == stage for one in model.history):
        tagging.check_stage(stage)
    check_no_alias(model, stage, version.name)
    check_live(model, version)


def check_not_serving(version: Version, stage: str) -> None:
    """Make sure that going back to a version does not empty production behind anybody's back.

    Raises:
        StageRefused: it is in production, and another stage was to have it again.
    """
    if version.stage == PRODUCTION != stage:
        raise StageRefused(
            f"{stage} of '{version.model}' was v{version.version} before, which holds production"
            " now",
            hint=f"`git track model promote {version.name} {stage}` takes it out of production.",
        )


def check_no_alias(model: Model, name: str, version: str) -> None:
    """Make sure that a stage is no alias of the model; `version` is whose stage it was to be.

    Raises:
        BadName: it is one.
    """
    held = model.holding(name)
    if held is not None and held.is_alias:
        raise BadName(
            f"'{name}' is an alias of '{model.name}', and no stage",
            hint=f"`git track model alias {version} {name}` points it there.",
        )
