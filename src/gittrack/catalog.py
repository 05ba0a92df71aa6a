"""What is known of a version, as fields: from its tags alone, or joined with the run that it is.

One spelling of each field's name, for every verb and for Python. Knows what a tag says that its run
does not bear out. Knows nothing of how it looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack.registry import Change, Holding, Model, Registry, Version

if TYPE_CHECKING:
    from gittrack.mlmodel import Package
    from gittrack.records import Artifact, Run
    from gittrack.refs import RunRef
    from gittrack.summaries import Summary
    from gittrack.whereabouts import Place

__all__ = [
    "Dossier",
    "brief",
    "contests",
    "details",
    "locate",
    "moment",
    "open_dossier",
    "said",
    "told",
]


def moment(change: Change) -> datetime | None:
    """When a change was made, None if its tag has no date that makes sense."""
    return None if change.moment is None else datetime.fromtimestamp(change.moment, timezone.utc)


def said(change: Change) -> dict[str, Any]:
    """Who made a change, when, why, by which tag."""
    return {
        "by": change.by,
        "email": change.email,
        "at": moment(change),
        "reason": change.reason,
        "tag": change.tag,
    }


def told(change: Change) -> dict[str, Any]:
    """All of a change, for programs."""
    return {
        "model": change.model,
        "action": change.action,
        "version": change.version,
        "stage": change.stage,
        "alias": change.is_alias,
        "counter": change.counter,
        **said(change),
        "commit": change.commit,
        "subject": change.subject,
        "require": change.trailers.get("require"),
        "replaced": change.replaced,
        "because": change.cause,
        "restores": change.trailers.get("restores"),
        "has_effect": change.has_effect,
        "contested": change.contested,
    }


def brief(model: Model, version: Version) -> dict[str, Any]:
    """What the tags alone say of a version; the names of fields are those of `details`."""
    known = version.registered.trailers
    experiment, _, name = known.get("run", "").partition("/")
    run = {"id": version.run_id, "experiment": experiment or None, "name": name or None}
    held = [one for one in model.holdings if one.version == version.version]
    return {
        "model": version.model,
        "version": version.version,
        "tag": version.registered.tag,
        "stage": version.stage,
        "since": None if version.since is None else moment(version.since),
        "aliases": list(version.aliases),
        "is_live": version.is_live,
        "registered": said(version.registered),
        "unregistered": None if version.unregistered is None else said(version.unregistered),
        "run": run if any(run.values()) else None,
        "commit": version.commit,
        "artifact": _artifact(version),
        "contested": [told(one) for one in contests(held)],
    }


def _artifact(version: Version) -> dict[str, Any] | None:
    if version.artifact is None:
        return None
    known = version.registered.trailers
    flavors = [part.strip() for part in known.get("flavors", "").split(",")]
    return {
        "path": version.artifact,
        "md5": known.get("artifact-hash"),
        "size": None,
        "nfiles": None,
        "flavors": [part for part in flavors if part],
    }


def contests(holdings: Iterable[Holding]) -> list[Change]:
    """The changes that have to be looked at, each once."""
    found: dict[str, Change] = {}
    for one in holdings:
        found.update((change.tag, change) for change in one.contested)
    return list(found.values())


# -- with its run ---------------------------------------------------------------------------------


class Dossier(NamedTuple):
    """Everything of one version: the run that it is, and what its artifact says of itself.

    `run` is the record, `now` what was said of it since; both None where its commit is no run that
    can be read. `artifact` is the one that the version names, None if its run kept none of that
    path by itself. `doubts` say what is not as the tag says.
    """

    model: Model
    version: Version
    ref: RunRef | None
    run: Run | None
    now: Summary | None
    artifact: Artifact | None
    package: Package | None
    doubts: tuple[str, ...]
    description: str | None

    def fields(self) -> dict[str, Any]:
        """What a program wants to know."""
        made = brief(self.model, self.version)
        run, now = self.run, self.now
        if run is not None and now is not None:
            made["run"] = {
                "id": run.id,
                "experiment": run.experiment,
                "name": run.name,
                "title": now.title,
                "status": run.status,
                "started": run.started,
                "ended": run.ended,
                "deleted": now.deleted,
            }
        if made["artifact"] is not None:
            made["artifact"] |= self._kept(made["artifact"]["flavors"])
        made |= {
            "metrics": None if run is None else dict(run.metrics),
            "params": None if run is None else dict(run.params),
            "data": None
            if run is None
            else {one.path: {"md5": one.md5, "size": one.size, "nfiles": one.nfiles}
                  for one in run.data},
            "code": None
            if run is None
            else {"base": run.code.base, "branch": run.code.branch, "dirty": run.code.dirty},
            "description": self.description,
            "package": None if self.package is None else self.package._asdict(),
            "require": None
            if self.version.since is None
            else self.version.since.trailers.get("require"),
            "promoted": None if self.version.since is None else said(self.version.since),
            "doubts": list(self.doubts),
        }  # fmt: skip
        return made

    def _kept(self, flavors: list[str]) -> dict[str, Any]:
        kept = self.artifact
        told = {} if kept is None else {"md5": kept.md5, "size": kept.size, "nfiles": kept.nfiles}
        package = self.package
        return {**told, "flavors": flavors if package is None else sorted(package.flavors)}


def details(place: Place, known: Registry, version: Version) -> dict[str, Any]:
    """All that is known of a version, as fields; what `brief` gives is among them.

    Raises:
        GitFailed: the refs cannot be read.
    """
    return open_dossier(place, known, version).fields()


def open_dossier(place: Place, known: Registry, version: Version) -> Dossier:
    """Everything of a version: its run comes from the commit, whether a ref leads to it or not.

    Raises:
        GitFailed: the refs cannot be read.
    """
    from gittrack import descriptions

    model = known.models[version.model]
    text = descriptions.read(place, known).get(version.name)
    doubts: list[str] = []
    ref, run = _run(place, version, doubts)
    if run is None or ref is None:
        return Dossier(model, version, None, None, None, None, None, tuple(doubts), text)
    from gittrack import commits
    from gittrack.annotations import overlay

    now = overlay(place.repo, [commits.summarize(run)])[0]
    artifact = next((one for one in run.artifacts if one.path == version.artifact), None)
    doubts += _doubts(version, run, artifact)
    package = _package(place, ref, version, doubts)
    return Dossier(model, version, ref, run, now, artifact, package, tuple(doubts), text)


def _run(place: Place, version: Version, doubts: list[str]) -> tuple[RunRef | None, Run | None]:
    """The run that a version is; why there is none is a doubt."""
    from gittrack import commits
    from gittrack.errors import BrokenRecord

    try:
        ref = locate(place, version)
        if ref is not None:
            return ref, commits.load(place.repo, ref)
        doubts.append(f"its commit {version.commit[:7]} is no run")
    except BrokenRecord as error:
        doubts.append(f"its run cannot be read: {error.message}")
    return None, None


def locate(place: Place, version: Version) -> RunRef | None:
    """The run that a version is: by its ref, else by its own record; None if it is none.

    Raises:
        BrokenRecord: it is a run, no ref leads to it, and its record does not say which one.
        GitFailed: the refs cannot be read.
    """
    from gittrack import commits
    from gittrack.index import open_index
    from gittrack.refs import RunRef

    with open_index(place) as index:
        known = index.by_commits([version.commit]).get(version.commit)
    if known is not None:
        return RunRef(known.experiment, known.name, known.commit)
    return commits.identify(place.repo, version.commit)


def _doubts(version: Version, run: Run, artifact: Artifact | None) -> list[str]:
    """What the tag says and the run's record does not."""
    known = version.registered.trailers
    found = []
    if version.run_id is not None and version.run_id != run.id:
        found.append(f"its tag names the run {version.run_id[:7]}, its commit is {run.id[:7]}")
    path, md5 = version.artifact, known.get("artifact-hash")
    if path is None:
        return found
    if artifact is not None and md5 is not None and md5 != artifact.md5:
        found.append(f"its tag says {path} is {md5[:7]}, its run kept {artifact.md5[:7]}")
    inside = any(
        one.nfiles is not None and path.startswith(one.path + "/") for one in run.artifacts
    )
    above = any(one.path.startswith(path + "/") for one in run.artifacts)
    if artifact is None and not inside and not above:
        found.append(f"its tag says {path}, and its run kept no such artifact")
    return found


def _package(place: Place, ref: RunRef, version: Version, doubts: list[str]) -> Package | None:
    """What the artifact says of itself where the tag says that it does, and it is at hand."""
    if version.artifact is None or not version.registered.trailers.get("flavors"):
        return None
    from gittrack import mlmodel
    from gittrack.errors import BadFile, DataMissing, GittrackError

    try:
        return mlmodel.read(place.repo, ref, version.artifact)
    except DataMissing:
        return None
    except BadFile as error:
        doubts.append(error.message)
    except GittrackError as error:
        doubts.append(f"{version.artifact} cannot be looked into: {error.message}")
    return None
