"""Which run a version of a model is, and the runs that tags of the registry lead to.

A clone by plain Git brings tags and no refs of runs. Knows which text names a version of a model,
and which run is at a tag. In which order the readings of a selector are tried, `revisions` knows.
"""

from __future__ import annotations

import re

from gittrack import commits, names, registry, tagging, whereabouts
from gittrack.errors import BadName, BrokenRecord, ModelNotFound, RunNotFound
from gittrack.git import Repo
from gittrack.refs import RunRef
from gittrack.registry import Version
from gittrack.whereabouts import Place

__all__ = ["advice", "called", "check", "locate", "named", "no_run", "run", "version"]

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_TAGS = "refs/tags/"


def version(repo: Repo, selector: str) -> Version | None:
    """The version of a model that a selector names; None where nobody can have meant one.

    `MODEL@VERSION`, `MODEL@STAGE`, `MODEL@ALIAS` or `MODEL@latest`. None also where there is no
    such model, or nothing of it called so, and Git has a revision or a tag of that name.

    Raises:
        ModelNotFound: a model was meant, and it or what stands behind its `@` is not there.
        GitFailed: Git cannot list the tags.
    """
    named = registry.parse(selector)
    if named is None or not (_MODEL.fullmatch(named[0]) and _VERSION.fullmatch(named[1])):
        return None
    known = registry.read(whereabouts.of(repo))
    if named[0] not in known.models and repo.resolve(selector) is not None:
        return None
    try:
        return registry.find_version(known, selector)
    except ModelNotFound:
        if repo.ref(_TAGS + selector) is None:
            raise
        # `churn@deprecated`, or a tag that does not count: a name of its commit all the same.
        return None


def locate(place: Place, version: Version) -> RunRef | None:
    """The run that a version is: by its ref, else by its own record; None if it is none.

    Raises:
        BrokenRecord: it is a run, no ref leads to it, and its record does not say which one.
        GitFailed: the refs cannot be read.
    """
    from gittrack.index import open_index

    with open_index(place) as index:
        known = index.by_commits([version.commit]).get(version.commit)
    if known is not None:
        return RunRef(known.experiment, known.name, known.commit)
    return commits.identify(place.repo, version.commit)


def run(place: Place, version: Version) -> RunRef:
    """The run that a version is, as `locate` finds it.

    Raises:
        RunNotFound: it is none.
        BrokenRecord, GitFailed: as `locate`.
    """
    found = locate(place, version)
    if found is None:
        raise no_run(version.name, version.name, version.commit)
    return found


def named(place: Place, version: Version) -> RunRef | None:
    """The run as the version's tag names it, else as its record does; looks at no ref.

    None if its commit is no run, or cannot be read. For many at once: what is at the commit of a
    name that a tag says is not asked.
    """
    experiment, _, name = version.registered.trailers.get("run", "").partition("/")
    try:
        names.check(experiment, "experiment")
        return RunRef(experiment, names.check(name, "run"), version.commit)
    except BadName:
        pass
    try:
        return commits.identify(place.repo, version.commit)
    except BrokenRecord:
        return None


def check(repo: Repo, revision: str, commit: str) -> None:
    """Refuse a tag of the registry that is on a commit which is no run: its parents' are others.

    Raises:
        RunNotFound: `revision` is one.
    """
    name = revision.removeprefix("refs/").removeprefix("tags/")
    if tagging.parse(name) is not None and repo.ref(_TAGS + name) is not None:
        raise no_run(revision, name, commit)


def no_run(selector: str, name: str, commit: str) -> RunNotFound:
    """What is said of `selector`, the version or tag `name`, on a commit that is no run."""
    return RunNotFound(
        f"'{selector}' is on {commit[:7]}, which is no run",
        selector=selector,
        hint=f"`git show {name}` shows it; another tool than gittrack may have made the tag.",
    )


def called(repo: Repo, name: str) -> RunRef | None:
    """The run of exactly this name, also behind `EXPERIMENT/`, that a version's tag is on.

    None if no tag says so, or its commit is another run.

    Raises:
        GitFailed: Git cannot list the tags.
    """
    wanted = name.removeprefix("refs/").removeprefix("runs/")
    known = registry.read(whereabouts.of(repo))
    for model in known.models.values():
        for one in model.versions:
            said = one.registered.trailers.get("run", "")
            if wanted not in (said, said.rpartition("/")[2]):
                continue
            try:
                found = commits.identify(repo, one.commit)
            except BrokenRecord:
                continue
            if found is not None and wanted in (found.name, f"{found.experiment}/{found.name}"):
                return found
    return None


def advice(repo: Repo, name: str) -> str | None:
    """What to type where somebody typed a model's name alone; None if there is no such model."""
    known = registry.read(whereabouts.of(repo)).models.get(name)
    if known is None:
        return None
    stages = [one.stage for one in known.holdings if one.stage != tagging.ARCHIVED]
    return f"'{name}' is a model: `{name}@{stages[0] if stages else 'latest'}` is a run."
