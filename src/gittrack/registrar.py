"""Decisions about models become tags: registered, promoted, demoted, taken back, brought back.

Knows what a decision asks for and what follows from it, and refuses one that no longer fits what is
there. Rules are the policy's, conditions the gate's; how tags are written, the transaction's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from gittrack import assignments, objections, policy, registry, tagging, transaction, whereabouts
from gittrack.errors import BadName, StageRefused
from gittrack.git import Repo
from gittrack.quoting import utf8
from gittrack.registry import Change, Model, Registry, Version
from gittrack.tagging import ARCHIVED, STAGES, Event
from gittrack.transaction import Basis, Draft

if TYPE_CHECKING:
    from gittrack.refs import RunRef
    from gittrack.semver import Bump

__all__ = [
    "Outcome",
    "alias",
    "demote",
    "deprecate",
    "promote",
    "register",
    "rollback",
    "unalias",
    "unregister",
]


class Outcome(NamedTuple):
    """What became of a decision.

    `status` is `notneeded` where all was as it was asked for; then nothing was written. `version`
    and `former`, who held the `stage` before, are as they are now. `tags` are the names that were
    written, in order: the first is the decision, the others what follows from it. `known` is the
    registry afterwards, as far as it is about the model.
    """

    status: Literal["done", "notneeded"]
    version: Version | None
    tags: tuple[str, ...]
    former: Version | None
    stage: str | None
    known: Registry


# -- versions -------------------------------------------------------------------------------------


def register(
    repo: Repo,
    ref: RunRef,
    model: str,
    *,
    artifact: str | None = None,
    allow_none: bool = False,
    version: str | None = None,
    bump: Bump | None = None,
    message: str = "",
    now: float | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Make a run a version of a model: `version`, else the first, or the one after the highest.

    The artifact is the run's only one unless it is named: see `registration.candidate`. `bump` is
    by how much the number grows, None: a patch. What looks like a secret in `message` is masked.
    It is not needed where the run is that version already, with the same artifact.

    Raises:
        BadName: no model may be called so, or `version` is no version.
        BadPath, RunNotFound, BrokenRecord, DataMissing: as `registration.candidate`.
        VersionExists: the number was used before, or the run is another version of the model.
        StageRefused: the model is deprecated.
        RegistryChanged, WriteFailed, GitFailed: as `transaction.write`.
    """
    from gittrack import registration, semver

    number = None if version is None else semver.parse(version)
    candidate = registration.candidate(repo, ref, artifact, allow_none=allow_none)
    body, found = _masked(message), ""

    def decide(basis: Basis) -> list[Draft]:
        nonlocal found
        there = registration.existing(basis, candidate, model, number)
        if there is not None:
            found = there.version
            return []
        made = registration.draft(basis, candidate, model, version=number, bump=bump, body=body)
        found = made.event.version or ""
        return [made]

    written = transaction.write(repo, decide, now=now, dry_run=dry_run)
    return _outcome(written, model, found)


def unregister(
    repo: Repo,
    version: Version,
    *,
    reason: str = "",
    now: float | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Take a version back, for ever: it holds nothing any more, and its number is used up.

    Raises:
        RegistryChanged: what it holds is not what `version` says.
        ModelNotFound: it is gone; else as `transaction.write`.
    """

    def decide(basis: Basis) -> list[Draft]:
        model, current = objections.present(basis.known, version)
        if not current.is_live:
            return []
        objections.check_same(version, current, model)
        event = Event(model.name, "unregister", current.version)
        first = assignments.about(current, event, "Unregister", [("Reason", _reason(reason))])
        held = [one for one in model.holdings if one.version == current.version]
        return [first, *(assignments.taking(one.since, current) for one in held)]

    written = transaction.write(repo, decide, model=version.model, now=now, dry_run=dry_run)
    return _outcome(written, version.model, version.version, version.stage)


def deprecate(
    repo: Repo, model: Model, *, reason: str = "", now: float | None = None, dry_run: bool = False
) -> Outcome:
    """Retire a model: nothing is registered for it any more, and no stage given.

    Raises:
        ModelNotFound: it is gone; else as `transaction.write`.
    """

    def decide(basis: Basis) -> list[Draft]:
        known = registry.find_model(basis.known, model.name)
        if known.deprecated is not None:
            return []
        upon = known.latest or known.versions[0]
        event = Event(known.name, "deprecate")
        trailers = (("Reason", _reason(reason)),)
        return [Draft(event, upon.commit, f"Deprecate {known.name}", "", trailers)]

    written = transaction.write(repo, decide, model=model.name, now=now, dry_run=dry_run)
    return _outcome(written, model.name, None)


# -- stages ---------------------------------------------------------------------------------------


def promote(
    repo: Repo,
    version: Version,
    stage: str,
    *,
    reason: str = "",
    require: Sequence[str] = (),
    archive_existing: bool = False,
    again: bool = False,
    upon: Registry | None = None,
    now: float | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Give a stage to a version, which leaves the stage that it was in.

    Whoever held it loses it, and is archived with `archive_existing`. The rules of the stage and
    the conditions in `require` are asked first; what they found stands in the tag. It is not needed
    where the version holds the stage: `require` is asked then, too, the rules are not. With `again`
    it gets it anew, upon whatever is there now.
    `upon` is the registry that `version` was found in, read a moment ago; None: read here.

    Raises:
        BadName: no stage may be called so, or it is an alias of the model.
        StageRefused: the version was taken back, the model is deprecated, or a rule or condition
            says no.
        RegistryChanged: since this began, or since `version` was read, somebody else decided about
            the stage or the version.
        QueryError: a condition makes no sense.
        ModelNotFound: the version is gone; else as `transaction.write`.
    """
    archives = stage == ARCHIVED
    return _give(
        repo, version, stage,
        "Archive {model} {version}" if archives else "Promote {model} {version} to {stage}",
        reason=reason, require=require, archive_existing=archive_existing, again=again, upon=upon,
        now=now, dry_run=dry_run,
    )  # fmt: skip


def _give(
    repo: Repo,
    version: Version,
    stage: str,
    subject: str,
    *,
    reason: str,
    require: Sequence[str] = (),
    archive_existing: bool = False,
    again: bool = False,
    restores: Change | None = None,
    now: float | None,
    dry_run: bool,
    upon: Registry | None = None,
) -> Outcome:
    place = whereabouts.of(repo)
    began = upon or registry.read(place, version.model)
    model, current = objections.present(began, version)
    if not again:
        objections.check_same(version, current, model)
    if current.stage == stage and not again:
        if require:
            # Whoever asks wants to know, whatever is decided: a job that ends well says yes.
            from gittrack import gate

            gate.evidence(place, current.commit, require, called=current.name)
        return Outcome("notneeded", current, (), current, stage, began)
    objections.check_open(model, current, stage)
    rules = policy.read(place)
    evidence: list[str] = []
    if restores is None:
        rules.check(current.version, stage, current.stage)
        conditions = [*rules.rule(stage).require, *require]
        if conditions:
            from gittrack import gate

            evidence = gate.evidence(place, current.commit, conditions, called=current.name)
    else:
        rules.check_version(current.version, stage)
    trailers = [
        ("Restores", "" if restores is None else restores.tag),
        ("Reason", _reason(reason)),
        ("Require", _masked("; ".join(evidence))),
    ]
    expected, former = objections.holder(model, stage), ""

    def decide(basis: Basis) -> list[Draft]:
        nonlocal former
        model, current = objections.present(basis.known, version)
        if not again:
            objections.check_same(version, current, model)
            objections.check_holder(expected, model, stage)
        objections.check_open(model, current, stage)
        former = objections.holder(model, stage) or ""
        if current.stage == stage and not again:
            return []
        words = subject.format(model=model.name, version=current.version, stage=stage)
        given = assignments.given(basis, model, current, stage, words, trailers)
        return [given, *assignments.consequences(model, current, stage, archive=archive_existing)]

    written = transaction.write(repo, decide, model=version.model, now=now, dry_run=dry_run)
    return _outcome(written, version.model, version.version, stage, former)


def demote(
    repo: Repo,
    version: Version,
    *,
    reason: str = "",
    now: float | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Take from a version the stage that it is in; it is not needed where it is in none.

    Raises:
        RegistryChanged: it is not in the stage that `version` says.
        ModelNotFound: it is gone; else as `transaction.write`.
    """

    def decide(basis: Basis) -> list[Draft]:
        model, current = objections.present(basis.known, version)
        objections.check_same(version, current, model)
        if current.since is None:
            return []
        stage = current.stage or ""
        words = f"Demote {model.name} {current.version} from {stage}"
        first = assignments.taking(current.since, current, words, _reason(reason))
        return [first, *assignments.leftovers(model, current, stage)]

    written = transaction.write(repo, decide, model=version.model, now=now, dry_run=dry_run)
    return _outcome(written, version.model, version.version, version.stage, version.version)


def rollback(
    repo: Repo,
    model: Model,
    stage: str,
    *,
    reason: str = "",
    now: float | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Give a stage back to the version that held it before the present holder.

    A second rollback goes further back: what was brought back counts where it stood first. Versions
    that were taken back since are passed over. The range of the stage is asked, its other rules and
    conditions are not: the version had met them.

    Raises:
        StageRefused: nobody held it before, who did is in production now, the model is deprecated,
            or a rule says no.
        RegistryChanged: somebody else decided about the stage meanwhile.
        BadName: it is an alias.
        ModelNotFound: the model is gone; else as `transaction.write`.
    """
    known = registry.read(whereabouts.of(repo), model.name)
    current = registry.find_model(known, model.name)
    if objections.holder(current, stage) != objections.holder(model, stage):
        raise objections.changed(current, stage)
    objections.check_no_alias(current, stage, f"{current.name}@VERSION")
    before = assignments.predecessor(current, stage)
    version = before and current.version(before.version or "")
    if before is None or version is None:
        raise StageRefused(
            f"nobody held {stage} of '{model.name}' before"
            + (f" v{now_in}" if (now_in := objections.holder(current, stage)) else ""),
            hint=f"`git track model history {model.name}` tells who held what.",
        )
    objections.check_not_serving(version, stage)
    return _give(
        repo, version, stage, "Roll {stage} of {model} back to {version}",
        reason=reason, restores=before, now=now, dry_run=dry_run, upon=known,
    )  # fmt: skip


# -- aliases --------------------------------------------------------------------------------------


def alias(
    repo: Repo,
    version: Version,
    name: str,
    *,
    reason: str = "",
    now: float | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Point an alias at a version; whichever had it loses it.

    Raises:
        BadName: no alias may be called so, or it is a stage.
        StageRefused: the version was taken back, or the model is deprecated.
        RegistryChanged: somebody else moved the alias meanwhile.
        ModelNotFound: the version is gone; else as `transaction.write`.
    """
    tagging.check_stage(name)
    place = whereabouts.of(repo)
    stages = {one.lower() for one in (*STAGES, *policy.read(place).stages)}
    expected = objections.holder(
        objections.present(registry.read(place, version.model), version)[0], name
    )
    former = ""

    def decide(basis: Basis) -> list[Draft]:
        nonlocal former
        model, current = objections.present(basis.known, version)
        held = model.holding(name)
        if name in stages or (held is not None and not held.is_alias):
            raise BadName(
                f"'{name}' is a stage, so it is no name for an alias",
                hint=f"`git track model promote {current.name} {name}` gives it the stage.",
            )
        objections.check_live(model, current)
        objections.check_holder(expected, model, name)
        former = held.version if held else ""
        if former == current.version:
            return []
        words = f"Point {name} of {model.name} at {current.version}"
        trailers = [("Reason", _reason(reason)), ("Kind", "alias")]
        given = assignments.given(basis, model, current, name, words, trailers)
        return [given, *assignments.leftovers(model, current, name)]

    written = transaction.write(repo, decide, model=version.model, now=now, dry_run=dry_run)
    return _outcome(written, version.model, version.version, name, former)


def unalias(
    repo: Repo,
    model: Model,
    name: str,
    *,
    reason: str = "",
    now: float | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Take an alias from the version that has it; it is not needed where none has.

    Raises:
        BadName: it is a stage.
        RegistryChanged: somebody else moved the alias meanwhile.
        ModelNotFound: the model is gone; else as `transaction.write`.
    """
    expected = objections.holder(model, name)

    def decide(basis: Basis) -> list[Draft]:
        known = registry.find_model(basis.known, model.name)
        held = known.holding(name)
        if held is None:
            return []
        if not held.is_alias:
            raise BadName(
                f"'{name}' is a stage of '{known.name}', and no alias",
                hint=f"`git track model demote {known.name}@{name}` takes the stage away.",
            )
        objections.check_holder(expected, known, name)
        current = registry.find_version(basis.known, f"{known.name}@{held.version}")
        words = f"Take {name} of {known.name} from {held.version}"
        first = assignments.taking(held.since, current, words, _reason(reason))
        return [first, *assignments.leftovers(known, current, name)]

    written = transaction.write(repo, decide, model=model.name, now=now, dry_run=dry_run)
    return _outcome(written, model.name, expected, name, expected or "")


# -- what became of it ----------------------------------------------------------------------------


def _outcome(
    written: transaction.Written,
    model: str,
    version: str | None,
    stage: str | None = None,
    former: str = "",
) -> Outcome:
    known = written.after.models.get(model)
    return Outcome(
        "done" if written.tags else "notneeded",
        known.version(version) if known and version else None,
        written.tags,
        known.version(former) if known and former else None,
        stage,
        written.after,
    )


def _masked(text: str) -> str:
    """A user's own words without what looks like a secret."""
    if not text:
        return text
    from gittrack import secrets

    return secrets.mask_words(utf8(text))


def _reason(text: str) -> str:
    return _masked(" ".join(text.split()))
