"""What is registered as a version of a model: the run, which of its artifacts, under which number.

Reads the run's record, and decides about names and numbers upon the registry as it is. Writes
nothing; knows nothing of stages.
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from gittrack import commits, message, semver, tagging
from gittrack.annotations import overlay
from gittrack.errors import (
    BadName,
    BadPath,
    DataMissing,
    GittrackError,
    RunNotFound,
    StageRefused,
    VersionExists,
)
from gittrack.git import Repo
from gittrack.manifest import Member, digest
from gittrack.objections import retired
from gittrack.quoting import one_line
from gittrack.records import Artifact, Run
from gittrack.refs import RunRef
from gittrack.registry import Version
from gittrack.semver import Bump
from gittrack.tagging import Event
from gittrack.transaction import Basis, Draft

__all__ = ["Candidate", "candidate", "draft", "existing"]

_MOST_SAID = 5
_MLMODEL = "MLmodel"


class Candidate(NamedTuple):
    """A run that is to be a version; `artifact` is its path and hash, None if it has none.

    `trailers` are what its tag says of it, all but the version.
    """

    ref: RunRef
    artifact: tuple[str, str] | None
    trailers: tuple[tuple[str, str], ...]


def candidate(repo: Repo, ref: RunRef, artifact: str | None, *, allow_none: bool) -> Candidate:
    """Look at a run that is to be registered.

    Without `artifact` it is the run's only one; of several the only one that is a package of
    MLflow's. It may also be a file or directory in one that is a directory.

    Raises:
        BadPath: the run has no such artifact, none at all (but with `allow_none`), or several.
        RunNotFound: the run was deleted, or still runs.
        BrokenRecord: its record cannot be read.
        DataMissing: the listing of the directory in which the artifact lies is not here.
    """
    run = commits.load(repo, ref)
    _check_state(repo, run, ref)
    found = _chosen(repo, run, artifact, allow_none=allow_none)
    said = _said(run, *found) if found else []
    said += [("Run", f"{ref.experiment}/{ref.name}"), ("Run-Id", run.id)]
    if found:
        from gittrack import mlmodel

        said.append(("Flavors", ", ".join(mlmodel.flavors(repo, run, found[0]))))
    for line in message.scalars("Metric", run.metrics):
        key, _, value = line.partition(": ")
        said.append((key, value))
    return Candidate(ref, found, tuple(said))


def _said(run: Run, path: str, md5: str) -> list[tuple[str, str]]:
    """The artifact; how large it is where the record says so, so that looking need not open it."""
    said = [("Artifact", path), ("Artifact-Hash", md5)]
    kept = next((one for one in run.artifacts if one.path == path), None)
    if kept is not None:
        said.append(("Artifact-Size", str(kept.size)))
        said.append(("Artifact-Files", "" if kept.nfiles is None else str(kept.nfiles)))
    return said


def _check_state(repo: Repo, run: Run, ref: RunRef) -> None:
    if run.status == "running":
        raise RunNotFound(
            f"'{ref.name}' still runs", selector=ref.name, hint="register it when it has ended."
        )
    if overlay(repo, [commits.summarize(run)])[0].deleted:
        raise RunNotFound(
            f"'{ref.name}' was deleted",
            selector=ref.name,
            hint=f"`git track restore {ref.name}` brings it back.",
        )


# -- which artifact -------------------------------------------------------------------------------


def _chosen(
    repo: Repo, run: Run, artifact: str | None, *, allow_none: bool
) -> tuple[str, str] | None:
    kept = run.artifacts
    if artifact is not None:
        return _named(repo, run, artifact)
    if len(kept) == 1:
        return kept[0].path, kept[0].md5
    if not kept:
        if allow_none:
            return None
        raise BadPath(
            f"'{run.name}' kept no artifacts",
            path="",
            hint="`git track run --out PATH` keeps files; --no-artifact registers the run alone.",
        )
    packages = [one for one in kept if one.nfiles is not None and _is_package(repo, one)]
    if len(packages) == 1:
        return packages[0].path, packages[0].md5
    raise BadPath(
        f"'{run.name}' kept {len(kept)} artifacts, and which of them is the model is not said",
        path="",
        hint=f"name it, such as {run.name}:{one_line(kept[0].path)}; it kept {_listed(run)}",
    )


def _named(repo: Repo, run: Run, artifact: str) -> tuple[str, str]:
    wanted = posixpath.normpath(artifact)
    for one in run.artifacts:
        if one.path in (artifact, wanted):
            return one.path, one.md5
    for one in run.artifacts:
        if one.nfiles is not None and wanted.startswith(one.path + "/"):
            inner = wanted.removeprefix(one.path + "/")
            md5 = _inside(_members(repo, one), inner)
            if md5 is not None:
                return wanted, md5
    raise BadPath(
        f"'{run.name}' kept no '{one_line(artifact)}'",
        path=artifact,
        hint=f"it kept {_listed(run)}",
    )


def _inside(members: tuple[Member, ...], inner: str) -> str | None:
    """The hash of a file or directory in a directory, None if there is none."""
    for member in members:
        if member.path == inner:
            return member.md5
    below = [one for one in members if one.path.startswith(inner + "/")]
    found = [Member(one.path.removeprefix(inner + "/"), one.md5) for one in below]
    return digest(found) if found else None


def _members(repo: Repo, kept: Artifact) -> tuple[Member, ...]:
    """The files of a directory that is an artifact.

    Raises:
        DataMissing: its listing is not in the cache.
    """
    from gittrack import setup
    from gittrack.cache import open_cache

    try:
        return open_cache(repo, setup.read(repo)).members(kept.md5)
    except DataMissing as error:
        raise DataMissing(
            f"what is in '{one_line(kept.path)}' is not known here",
            md5s=error.md5s,
            hint="`git track get` fetches it; then register again.",
        ) from error


def _is_package(repo: Repo, kept: Artifact) -> bool:
    try:
        return any(member.path == _MLMODEL for member in _members(repo, kept))
    except GittrackError:
        return False


def _listed(run: Run) -> str:
    names = [one_line(kept.path) for kept in run.artifacts]
    if not names:
        return "nothing."
    more = f" and {len(names) - _MOST_SAID} more" if len(names) > _MOST_SAID else ""
    return f"{', '.join(names[:_MOST_SAID])}{more}."


# -- under which number ---------------------------------------------------------------------------


def existing(basis: Basis, found: Candidate, model: str, version: str | None) -> Version | None:
    """The live version of the model that the run is already, None if it is none.

    Raises:
        VersionExists: it is one of another number, or with another artifact.
    """
    known = basis.known.models.get(model)
    for one in known.versions if known else ():
        if one.commit == found.ref.commit and one.is_live:
            path = found.artifact and found.artifact[0]
            if one.artifact == path and version in (None, one.version):
                return one
            what = f", with {one_line(one.artifact)}" if one.artifact else ""
            raise VersionExists(
                f"'{found.ref.name}' is {one.name} already{what}",
                hint="a run is one version of a model at a time: `git track model unregister"
                f" {one.name}` takes that one back.",
            )
    return None


def draft(
    basis: Basis,
    found: Candidate,
    model: str,
    *,
    version: str | None,
    bump: Bump | None,
    body: str,
) -> Draft:
    """The tag that registers a version: of this number, else the one after the highest ever used.

    Raises:
        BadName: no model may be called so, or another one is, but for the case of letters.
        VersionExists: the number was used before.
        StageRefused: the model is deprecated.
    """
    known = basis.known.models.get(model)
    if known is None:
        tagging.check_new_model(model)
        _check_case(basis, model)
    elif known.deprecated is not None:
        raise StageRefused(
            f"'{model}' is deprecated, {retired(known.deprecated)}",
            hint="register the run under another name.",
        )
    used = _used(basis, model)
    if version is None:
        highest = max(used, key=semver.key, default=None)
        version = semver.FIRST if highest is None else semver.following(highest, bump or "patch")
    if version in used:
        there = known and known.version(version)
        gone = "" if there is None or there.is_live else ", and was taken back"
        raise VersionExists(
            f"there is a version {version} of '{model}' already{gone}",
            hint="a number is used once; --bump patch, minor or major takes the next.",
        )
    what = f"{found.artifact[0]} of " if found.artifact else ""
    trailers = list(found.trailers)
    place = next(n for n, (key, _) in enumerate(trailers) if key == "Run-Id") + 1
    trailers.insert(place, ("Version", version))
    return Draft(
        Event(model, "register", version),
        found.ref.commit,
        f"Register {model} {version}: {what}{found.ref.name}",
        body,
        tuple(trailers),
    )


def _used(basis: Basis, model: str) -> set[str]:
    """The numbers that any tag of the model ever had, also those that do not count."""
    events = (tagging.parse(name) for name in basis.of(model))
    return {one.version for one in events if one and one.version}


def _check_case(basis: Basis, model: str) -> None:
    """Raise BadName where a disk that folds case would take the model for another one."""
    parts = model.split("/")
    new = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for other in basis.known.models:
        above = other.split("/")
        there = {"/".join(above[: n + 1]) for n in range(len(above))}
        folded = {path.lower(): path for path in there}
        for path in new:
            twin = folded.get(path.lower())
            if twin is not None and path not in there:
                raise BadName(
                    f"'{model}' and the model '{other}' differ in case alone",
                    hint=f"where '{twin}' and '{path}' are one file, one would hide the other.",
                )
