"""The Python door to the registry of models: register a run, promote a version, get what holds one.

Knows a version as a value, and what may be given for a run. Decides nothing and writes no tag: that
is `registrar`'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gittrack import recorded, refs, registry, whereabouts
from gittrack.errors import (
    BadName,
    BadPath,
    DataDamaged,
    GittrackError,
    RunNotFound,
    UsageError,
)
from gittrack.git import Repo
from gittrack.quoting import utf8
from gittrack.recorded import RecordedRun
from gittrack.refs import RunRef
from gittrack.registry import Registry, Version
from gittrack.summaries import Number, Value

if TYPE_CHECKING:
    from gittrack.live import Run
    from gittrack.semver import Bump

__all__ = ["ModelVersion", "model", "promote", "register_model"]

_Path: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ModelVersion:
    """A version of a model as it stood when it was asked for: later decisions do not change it.

    `version` is without `v`. `stage` is the one that it holds, None if none; `aliases` the movable
    names that point to it. `tag` registered it, upon `commit`; `is_live` is false once it was taken
    back. `artifact` is the path of its artifact in the run, `md5` its hash, each None where the tag
    says none. `registered_by` is a name, `registered_at` None where the tag has no date that makes
    sense. `description` is that of the version, else of the model. `contested` are sentences about
    decisions behind its stage or aliases that have to be looked at. Equal are two of one tag.
    """

    name: str
    version: str
    stage: str | None
    aliases: tuple[str, ...]
    tag: str
    commit: str
    artifact: str | None
    md5: str | None
    is_live: bool
    is_deprecated: bool
    registered_by: str
    registered_at: datetime | None
    description: str | None
    contested: tuple[str, ...]
    _id: str = field(repr=False)
    _place: Path = field(repr=False)

    @property
    def selector(self) -> str:
        """What names it wherever a run can be named: `churn@v1.2.0`."""
        return f"{self.name}@v{self.version}"

    @property
    def run(self) -> RecordedRun:
        """The run that it is, also where no ref leads to it, as in a clone by plain Git.

        Raises:
            RunNotFound: its commit is no run: another tool may have registered it.
            BrokenRecord: the run cannot be read.
        """
        from gittrack import commits, provenance

        repo = Repo.open(self._place)
        ref = commits.identify(repo, self.commit)
        if ref is None:
            raise provenance.no_run(self.selector, self.selector, self.commit)
        return recorded.found(repo, ref)

    @property
    def metrics(self) -> Mapping[str, Number]:
        """The last values of its run; raises as `run`."""
        return self.run.metrics

    @property
    def params(self) -> Mapping[str, Value]:
        """What its run was given; raises as `run`."""
        return self.run.params

    def path(self) -> Path:
        """Where its artifact lies on this disk, fetched if need be: for `joblib.load`.

        Only to be read. Inside of a run of the same repository, that run gets this one's as an
        input. A model that is deprecated is used with a warning.

        Raises:
            BadPath: it names no artifact, or its run kept no such.
            DataMissing: neither the cache nor the data remote has it.
            DataDamaged: its content is not what the run recorded, or that is not what the tag says.
            RunNotFound, BrokenRecord: as `run`.
        """
        if self.artifact is None:
            raise BadPath(
                f"{self.selector} names no artifact",
                path="",
                hint="run.load_artifact(NAME) finds what its run kept.",
            )
        run = self.run
        for kept in run.artifacts:
            if kept.path == self.artifact and self.md5 not in (None, kept.md5):
                raise DataDamaged(
                    f"{self.selector} says that '{kept.path}' is {self.md5}, its run kept"
                    f" {kept.md5}",
                    md5=kept.md5,
                    hint="somebody made this tag by hand; `git show` tells who.",
                )
        if self.is_deprecated:
            import warnings

            warnings.warn(f"model '{self.name}' is deprecated", stacklevel=2)
        return run.load_artifact(self.artifact)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModelVersion):
            return NotImplemented
        return (self.tag, self._id) == (other.tag, other._id)

    def __hash__(self) -> int:
        return hash((self.tag, self._id))

    def __repr__(self) -> str:
        held = "".join(f" {name}" for name in (*filter(None, [self.stage]), *self.aliases))
        return f"<ModelVersion {self.selector}{held}>"

    def _repr_html_(self) -> str:
        from gittrack import portrait

        names = [*filter(None, [self.stage]), *self.aliases]
        groups: list[tuple[str, Mapping[str, Any]]] = []
        try:
            run = self.run
            names.append(run.name)
            groups = [("params", run.params), ("metrics", run.metrics)]
        except GittrackError as error:
            names.append(error.message)
        return portrait.card(self.selector, names, self.description, groups)


def register_model(
    run: RecordedRun | Run | str,
    name: str,
    *,
    artifact: _Path | None = None,
    allow_none: bool = False,
    version: str | None = None,
    bump: Bump | None = None,
    message: str = "",
    directory: _Path | None = None,
) -> ModelVersion:
    """Make a run that has ended a version of a model: an annotated tag on its commit.

    `run` is what `runs` and `get_run` give, the object that a script logged to, or a text as `git
    track model register` takes it: `latest`, `best:accuracy`, `brave-crane:model.joblib`. The
    artifact is the run's only one unless it is named; of several the one with MLflow's `MLmodel`.
    With `allow_none` a run that kept nothing is itself the version: it has no `path()`.
    `version` is `1.2.0`, by default the first or the one after the highest, greater by `bump`:
    `major`, `minor` or `patch`. A run that is a version of the model already, with the same
    artifact, stays that.

    The repository is that of the run; for a text the one at or above `directory`, without it that
    of the run that this script belongs to, else the one at or above the current directory.

    Raises:
        RunNotFound, AmbiguousRun: no run answers, or it still runs: it is registered after its end.
        BadName: no model may be called so, or `version` is no version.
        BadPath: the run kept no such artifact, none, or several.
        VersionExists: the version was used before, or the run is another version of the model.
        StageRefused: the model is deprecated.
        UsageError: two artifacts are named, or one and `allow_none`, or `bump` makes no sense.
        RepositoryError: there is no repository, or it cannot be used.
    """
    from gittrack import registrar

    _check_texts(BadName, name=name, version="" if version is None else version)
    _check_texts(UsageError, message=message)
    if not isinstance(artifact, (str, os.PathLike, type(None))):
        raise UsageError(f"artifact is of type {type(artifact).__name__}, and no path")
    if bump not in (None, "major", "minor", "patch"):
        raise UsageError(f"bump is {bump!r}", hint="there are: major, minor, patch.")
    if version is not None and bump is not None:
        raise UsageError("version and bump do not go together")
    repo, ref, part = _meant(run, directory)
    if part is not None and artifact is not None:
        raise UsageError(f"the artifact is '{part}' and '{os.fspath(artifact)}': name it once")
    named = os.fspath(artifact) if artifact is not None else part
    if named is not None and allow_none:
        raise UsageError(f"the artifact is '{named}', and allow_none is for runs without one")
    outcome = registrar.register(
        repo,
        ref,
        name,
        artifact=named,
        allow_none=allow_none,
        version=version,
        bump=bump,
        message=message,
    )
    assert outcome.version is not None
    return _value(repo, outcome.known, outcome.version)


def promote(
    version: ModelVersion | str,
    stage: str,
    *,
    reason: str = "",
    require: str | Sequence[str] = (),
    archive_existing: bool = False,
    again: bool = False,
    directory: _Path | None = None,
) -> ModelVersion:
    """Give a stage to a version, which leaves the stage that it was in -> the version as it is now.

    `version` is what `model` gives, or its name: `churn@1.2.0`, `churn@staging`. Whoever held the
    stage loses it, and is archived with `archive_existing`. `require` are conditions that its run
    must meet, in the words of `git track ls`: `metrics.f1 >= 0.9 and not dirty`; the rules of the
    stage (`track.stage.*`) are asked, too. Nothing happens where the version holds the stage,
    unless `again`, which decides anew upon what is there.

    Raises:
        ModelNotFound: there is no such version.
        BadName: no stage may be called so.
        StageRefused: the version was taken back, or a rule or condition says no.
        RegistryChanged: somebody else decided about the stage or the version meanwhile.
        QueryError: a condition makes no sense.
        RepositoryError: there is no repository, or it cannot be used.
    """
    from gittrack import registrar

    conditions = (require,) if isinstance(require, str) else require
    if not isinstance(conditions, Sequence):
        raise UsageError(f"require is of type {type(require).__name__}, and no condition")
    _check_texts(BadName, stage=stage)
    _check_texts(
        UsageError, reason=reason, **{f"require[{n}]": c for n, c in enumerate(conditions)}
    )
    if isinstance(version, ModelVersion):
        repo = recorded.opened(version._place if directory is None else directory)
        selector = version.selector
    else:
        _check_texts(BadName, version=version)
        repo, selector = recorded.opened(directory), version
    found = registry.find_version(registry.read(whereabouts.of(repo)), selector)
    outcome = registrar.promote(
        repo,
        found,
        stage,
        reason=reason,
        require=tuple(conditions),
        archive_existing=archive_existing,
        again=again,
    )
    return _value(repo, outcome.known, outcome.version or found)


def model(selector: str, *, directory: _Path | None = None) -> ModelVersion:
    """The version of a model that `NAME@VERSION`, `NAME@STAGE`, `NAME@ALIAS` or `NAME@latest` is.

    `NAME` alone means the latest. Reads tags alone: a plain `git clone` is enough. `directory` as
    in `runs`.

    Raises:
        ModelNotFound: there is no such model or version, or nobody holds the stage.
        RepositoryError: there is no repository, or it cannot be used.
    """
    _check_texts(BadName, selector=selector)
    repo = recorded.opened(directory)
    known = registry.read(whereabouts.of(repo))
    return _value(repo, known, registry.find_version(known, selector))


def _check_texts(error: type[UsageError], **given: object) -> None:
    """Raise an error where what should be a text is none: a None that came from elsewhere."""
    for what, value in given.items():
        if not isinstance(value, str):
            raise error(f"{what} is of type {type(value).__name__}, and no text")


def _value(repo: Repo, known: Registry, version: Version) -> ModelVersion:
    from gittrack import catalog, descriptions

    place = whereabouts.of(repo)
    made = known.models[version.model]
    said = descriptions.read(place, known)
    held = [one for one in made.holdings if one.version == version.version]
    return ModelVersion(
        name=version.model,
        version=version.version,
        stage=version.stage,
        aliases=version.aliases,
        tag=version.registered.tag,
        commit=version.commit,
        artifact=version.artifact,
        md5=version.registered.trailers.get("artifact-hash"),
        is_live=version.is_live,
        is_deprecated=made.deprecated is not None,
        registered_by=version.registered.by,
        registered_at=catalog.moment(version.registered),
        description=said.get(version.name) or said.get(version.model),
        contested=tuple(f"{one.tag}: {one.contested}" for one in catalog.contests(held)),
        _id=version.registered.id,
        _place=repo.git_dir,
    )


def _meant(
    run: RecordedRun | Run | str, directory: _Path | None
) -> tuple[Repo, RunRef, str | None]:
    """The repository, the run, and its artifact where that was named with it."""
    from gittrack import parcel

    if isinstance(run, str):
        if utf8(run) != run:
            raise RunNotFound(f"no run can be called {utf8(run)}", selector=run)
        repo = recorded.opened(directory)
        return repo, *parcel.parted(repo, run)
    if isinstance(run, RecordedRun):
        repo, ref = recorded.place_of(run)
        if ref is None:
            raise _unfinished(run.name)
        return repo, ref, None
    where = _where(run)
    if where is None:
        raise UsageError(f"{run!r} is no run", hint="a run, or a text such as 'latest'.")
    repo = Repo.open(where)
    found = refs.find(repo, run.experiment, run.name)
    if found is None:
        raise _unfinished(run.name)
    return repo, found, None


def _where(run: Any) -> str | None:
    """The repository of a run that a script logs to, None if this is none."""
    from gittrack.live import Run

    if not isinstance(run, Run):
        return None
    if run.is_disabled:
        raise RunNotFound("nothing of this run is recorded: it is disabled", selector=run.name)
    return str(run._to.begin["where"])


def _unfinished(name: str) -> RunNotFound:
    return RunNotFound(
        f"'{name}' is still running",
        selector=name,
        hint="register it when it has ended: after the `with` block, or after gittrack.finish().",
    )
