"""What is known of a version, as fields: from its tags alone, or joined with the run that it is.

One spelling of each field's name, for every verb and for Python. Knows what a tag says that its run
does not bear out, and that a run of the index need not be opened. Knows nothing of how it looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack.registry import Change, Holding, Model, Registry, Version

if TYPE_CHECKING:
    from gittrack.mlmodel import Package
    from gittrack.refs import RunRef
    from gittrack.summaries import Summary
    from gittrack.whereabouts import Place

__all__ = [
    "Dossier",
    "Kept",
    "brief",
    "contests",
    "details",
    "moment",
    "open_dossier",
    "said",
    "told",
]

_LONGEST_NUMBER = 18


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
        "size": _number(version, "artifact-size"),
        "nfiles": _number(version, "artifact-files"),
        "flavors": [part for part in flavors if part],
    }


def _number(version: Version, trailer: str) -> int | None:
    text = version.registered.trailers.get(trailer, "")
    is_number = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_number else None


def contests(holdings: Iterable[Holding]) -> list[Change]:
    """The changes that have to be looked at, each once."""
    found: dict[str, Change] = {}
    for one in holdings:
        found.update((change.tag, change) for change in one.contested)
    return list(found.values())


# -- with its run ---------------------------------------------------------------------------------


class Kept(NamedTuple):
    """An artifact as a version's run kept it: a size in bytes, of a directory how many files.

    Both are None where neither the tag nor the run's record can say it.
    """

    path: str
    md5: str
    size: int | None
    nfiles: int | None


class Dossier(NamedTuple):
    """Everything of one version: the run that it is, and what its artifact says of itself.

    `run` is with what was said of it since, None where its commit is no run that can be read.
    `artifact` is the one that the version names, None if its run kept none of that path by itself.
    `doubts` say what is not as the tag says.
    """

    model: Model
    version: Version
    run: Summary | None
    artifact: Kept | None
    package: Package | None
    doubts: tuple[str, ...]
    description: str | None

    def fields(self) -> dict[str, Any]:
        """What a program wants to know."""
        made = brief(self.model, self.version)
        run = self.run
        if run is not None:
            made["run"] = {
                "id": run.id,
                "experiment": run.experiment,
                "name": run.name,
                "title": run.title,
                "status": run.status,
                "started": run.started,
                "ended": run.ended,
                "deleted": run.deleted,
            }
        if made["artifact"] is not None:
            made["artifact"] |= self._kept(made["artifact"]["flavors"])
        made |= {
            "metrics": None if run is None else dict(run.metrics),
            "params": None if run is None else dict(run.params),
            "data": None
            if run is None
            else {path: {"md5": md5} for path, md5 in sorted(run.data.items())},
            "code": None
            if run is None
            else {"base": run.base, "branch": run.branch, "dirty": run.dirty},
            "description": self.description,
            "package": None if self.package is None else self.package._asdict(),
            "require": None
            if self.version.since is None
            else self.version.since.trailers.get("require"),
            "promoted": None if self.version.since is None else said(self.version.since),
            "doubts": list(self.doubts),
        }
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
    """Everything of a version: its run comes from the index, else from the commit itself.

    Its record is opened only for the size of an artifact that the tag does not say, and for what a
    package of MLflow's says of itself.

    Raises:
        GitFailed: the refs cannot be read.
    """
    from gittrack import descriptions

    model = known.models[version.model]
    text = descriptions.read(place, known).get(version.name)
    doubts: list[str] = []
    run = _indexed(place, version) or _committed(place, version, doubts)
    if run is None:
        return Dossier(model, version, None, None, None, tuple(doubts), text)
    doubts += _doubts(version, run)
    kept = _kept(place, version, run, doubts)
    package = _package(place, version, run, doubts)
    return Dossier(model, version, run, kept, package, tuple(doubts), text)


def _indexed(place: Place, version: Version) -> Summary | None:
    from gittrack.index import open_index

    with open_index(place) as index:
        found = index.page(index.is_one_of("commit", [version.commit]), deleted=True)
    # Of two refs to one commit the first by name, as `provenance.locate` has it.
    return min(found, key=lambda run: (run.experiment, run.name), default=None)


def _committed(place: Place, version: Version, doubts: list[str]) -> Summary | None:
    """The run that no ref leads to; why there is none is a doubt."""
    from gittrack import commits
    from gittrack.annotations import overlay
    from gittrack.errors import BrokenRecord

    try:
        ref = commits.identify(place.repo, version.commit)
        if ref is not None:
            return overlay(place.repo, [commits.summarize(commits.load(place.repo, ref))])[0]
        doubts.append(f"its commit {version.commit[:7]} is no run")
    except BrokenRecord as error:
        doubts.append(f"its run cannot be read: {error.message}")
    return None


def _kept(place: Place, version: Version, run: Summary, doubts: list[str]) -> Kept | None:
    """The artifact: as its tag says where the run bears that out, else by the run's record."""
    path = version.artifact
    if path is None or path not in run.artifacts:
        return None
    md5 = run.artifacts[path]
    size, nfiles = _number(version, "artifact-size"), _number(version, "artifact-files")
    is_whole = size is not None and (nfiles is not None) == md5.endswith(".dir")
    if is_whole and version.registered.trailers.get("artifact-hash") == md5:
        return Kept(path, md5, size, nfiles)
    from gittrack import commits
    from gittrack.errors import BrokenRecord

    try:
        record = commits.load(place.repo, _ref(run))
    except BrokenRecord as error:
        doubts.append(f"its run cannot be read: {error.message}")
        return Kept(path, md5, None, None)
    found = next((one for one in record.artifacts if one.path == path), None)
    return None if found is None else Kept(path, found.md5, found.size, found.nfiles)


def _ref(run: Summary) -> RunRef:
    from gittrack.refs import RunRef

    return RunRef(run.experiment, run.name, run.commit or "")


def _doubts(version: Version, run: Summary) -> list[str]:
    """What the tag says and its run does not."""
    known = version.registered.trailers
    found = []
    if version.run_id is not None and version.run_id != run.id:
        found.append(f"its tag names the run {version.run_id[:7]}, its commit is {run.id[:7]}")
    path, md5 = version.artifact, known.get("artifact-hash")
    if path is None:
        return found
    kept = run.artifacts.get(path)
    if kept is not None and md5 is not None and md5 != kept:
        found.append(f"its tag says {path} is {md5[:7]}, its run kept {kept[:7]}")
    inside = any(
        kept.endswith(".dir") and path.startswith(one + "/") for one, kept in run.artifacts.items()
    )
    above = any(one.startswith(path + "/") for one in run.artifacts)
    if kept is None and not inside and not above:
        found.append(f"its tag says {path}, and its run kept no such artifact")
    return found


def _package(place: Place, version: Version, run: Summary, doubts: list[str]) -> Package | None:
    """What the artifact says of itself where the tag says that it does, and it is at hand."""
    if version.artifact is None or not version.registered.trailers.get("flavors"):
        return None
    from gittrack import mlmodel
    from gittrack.errors import BadFile, DataMissing, GittrackError

    try:
        return mlmodel.read(place.repo, _ref(run), version.artifact)
    except DataMissing:
        return None
    except BadFile as error:
        doubts.append(error.message)
    except GittrackError as error:
        doubts.append(f"{version.artifact} cannot be looked into: {error.message}")
    return None
