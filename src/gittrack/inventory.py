"""Many models or versions at once, with their runs: how each stands, in a row.

Knows where what a listing says of a run is to be had: the index, or the commit where no ref here
leads to it. Knows nothing of how it looks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import chronicle
from gittrack.catalog import said
from gittrack.meter import SILENT, Meter
from gittrack.registry import Change, Model, Registry, Version
from gittrack.tagging import ARCHIVED

if TYPE_CHECKING:
    from gittrack.index import Index
    from gittrack.summaries import Number
    from gittrack.whereabouts import Place

__all__ = ["Edition", "Maker", "Overview", "board", "editions", "makers"]

_FIRST_KEYS = 8


class Maker(NamedTuple):
    """The run that a version is, as far as a listing needs it.

    `metrics` are the leading ones, by name. `is_here`: a ref of this repository leads to it.
    """

    experiment: str
    name: str
    id: str
    status: str
    metrics: Mapping[str, Number]
    is_here: bool = True


class Edition(NamedTuple):
    """A version, and the run that it is; None where its commit is no run that can be read."""

    version: Version
    run: Maker | None


class Overview(NamedTuple):
    """How a model stands: who holds what, by stage; `archived` are versions, the latest last.

    `metric` is the leading one of `measured`, the holder of production or else the latest version.
    `changed` is the last decision. `contested` are the stages and aliases of which somebody has to
    decide anew.
    """

    model: Model
    latest: str | None
    holders: Mapping[str, str]
    aliases: Mapping[str, str]
    archived: tuple[str, ...]
    measured: str | None
    metric: tuple[str, Number] | None
    changed: Change | None
    contested: tuple[str, ...]
    description: str | None = None

    def fields(self) -> dict[str, Any]:
        """What a program wants to know."""
        return {
            "model": self.model.name,
            "latest": self.latest,
            "stages": dict(self.holders),
            "archived": list(self.archived),
            "aliases": dict(self.aliases),
            "versions": sum(one.is_live for one in self.model.versions),
            "metric": None
            if self.metric is None
            else {"name": self.metric[0], "value": self.metric[1], "version": self.measured},
            "changed": None if self.changed is None else said(self.changed),
            "contested_stages": list(self.contested),
            "deprecated": None if self.model.deprecated is None else said(self.model.deprecated),
            "description": self.description,
        }


# -- rows -----------------------------------------------------------------------------------------


def board(
    place: Place,
    known: Registry,
    names: Collection[str] | None = None,
    *,
    deprecated: bool = False,
    meter: Meter = SILENT,
    warn: Callable[[str], object] | None = None,
) -> list[Overview]:
    """How each model stands, in the order of their names; `names` are those wanted, None: all.

    Of all, deprecated ones only if asked for. `meter` shows how runs that are new are read; `warn`
    is told why that took long where the index cannot be used.

    Raises:
        GitFailed: the refs cannot be read.
    """
    from gittrack import descriptions

    models = [
        one
        for name, one in known.models.items()
        if (deprecated or one.deprecated is None if names is None else name in names)
    ]
    leading = {model.name: _leading(model) for model in models}
    judged = [one for one in leading.values() if one is not None]
    runs = makers(place, judged, meter=meter, warn=warn)
    texts = descriptions.read(place, known)
    return [
        _overview(model, leading[model.name], runs)._replace(description=texts.get(model.name))
        for model in models
    ]


def _leading(model: Model) -> Version | None:
    """The version that a model is judged by."""
    held = model.holding("production")
    return model.latest if held is None or held.is_alias else model.version(held.version)


def _overview(model: Model, leading: Version | None, runs: Mapping[str, Maker]) -> Overview:
    run = None if leading is None else runs.get(leading.commit)
    latest = model.latest
    stages = [one for one in model.holdings if not one.is_alias]
    return Overview(
        model,
        None if latest is None else latest.version,
        {one.stage: one.version for one in stages if one.stage != ARCHIVED},
        {one.stage: one.version for one in model.holdings if one.is_alias},
        tuple(one.version for one in stages if one.stage == ARCHIVED),
        None if leading is None else leading.version,
        next(iter(run.metrics.items()), None) if run is not None else None,
        chronicle.last(model),
        tuple(dict.fromkeys(one.stage or "" for one in model.contested)),
    )


def editions(
    place: Place,
    versions: Sequence[Version],
    *,
    meter: Meter = SILENT,
    warn: Callable[[str], object] | None = None,
) -> list[Edition]:
    """These versions with their runs, in their order; `meter` and `warn` as for `board`.

    Raises:
        GitFailed: the refs cannot be read.
    """
    runs = makers(place, versions, meter=meter, warn=warn)
    return [Edition(one, runs.get(one.commit)) for one in versions]


# -- runs -----------------------------------------------------------------------------------------


def makers(
    place: Place,
    versions: Sequence[Version],
    *,
    meter: Meter = SILENT,
    warn: Callable[[str], object] | None = None,
) -> dict[str, Maker]:
    """The runs that versions are, by commit: from the index, else from the commits themselves.

    `meter` and `warn` as for `board`.

    Raises:
        GitFailed: the refs cannot be read.
    """
    if not versions:
        return {}
    from gittrack.index import open_index

    with open_index(place, meter=meter) as index:
        found = _indexed(index, {one.commit for one in versions})
        if warn is not None and index.apology is not None:
            warn(index.apology)
    others = {one.commit: one for one in versions if one.commit not in found}
    return {**found, **_committed(place, others)} if others else found


def _indexed(index: Index, commits: Collection[str]) -> dict[str, Maker]:
    """Those that have a row. A few metrics are asked for; whole rows cost twice as much."""
    keys = index.vocabulary.keys("metrics")[:_FIRST_KEYS]
    wanted = ["commit", "experiment", "name", "id", "status", *(f"metrics.{key}" for key in keys)]
    where = index.is_one_of("commit", sorted(commits))
    columns = index.columns(where, keys=wanted, deleted=True)
    found: dict[str, Maker] = {}
    for commit, experiment, name, id, status, *values in zip(*columns.values(), strict=True):
        metrics = {k: v for k, v in zip(keys, values, strict=True) if v is not None}
        found.setdefault(commit, Maker(experiment, name, id, status, metrics))
    without = [commit for commit, maker in found.items() if not maker.metrics]
    if without and len(keys) == _FIRST_KEYS:
        for run in index.page(index.is_one_of("commit", without), deleted=True):
            leading = dict(sorted(run.metrics.items())[:_FIRST_KEYS])
            found[run.commit or ""] = found[run.commit or ""]._replace(metrics=leading)
    return found


def _committed(place: Place, versions: Mapping[str, Version]) -> dict[str, Maker]:
    """Those to which no ref of this repository leads, as in a plain clone."""
    from gittrack import commits, provenance

    named = (provenance.named(place, one) for one in versions.values())
    found = {}
    for run in commits.listing(place.repo, [ref for ref in named if ref is not None]).runs:
        leading = dict(sorted(run.metrics.items())[:_FIRST_KEYS])
        found[run.commit or ""] = Maker(
            run.experiment, run.name, run.id, run.status, leading, is_here=False
        )
    return found
