"""What is known of the registry's models: versions, who holds which stage, and how that came about.

Values, and what a name such as `churn@production` means among them. How tags become these is
`registry`'s to know, through which others see them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gittrack.errors import ModelNotFound
from gittrack.keys import nearest
from gittrack.tagging import Action

__all__ = [
    "Change",
    "Holding",
    "Model",
    "Problem",
    "Registry",
    "Version",
    "find_model",
    "find_version",
    "parse",
]

_MOST_OFFERED = 5


class Change(NamedTuple):
    """A tag that counts: what was decided, by whom, when (seconds since the epoch), in which words.

    `version` is the one that it is about, None where a model is retired; `stage` the stage or alias
    that is given or taken. `replaced` is the tag of the assignment that this one ended in the same
    stage; `has_effect` is false where nobody holds anything else than before. `contested` says why
    it must be looked at: what it was decided upon is not what came before it.
    """

    tag: str
    id: str
    model: str
    action: Action
    version: str | None
    stage: str | None
    is_alias: bool
    counter: int | None
    commit: str
    moment: int | None
    by: str
    email: str
    subject: str
    body: str
    trailers: Mapping[str, str]
    replaced: str | None = None
    has_effect: bool = True
    contested: str | None = None

    @property
    def reason(self) -> str | None:
        """Why, in the words of whoever did it; None if nothing was said."""
        return self.trailers.get("reason") or self.body or None

    @property
    def cause(self) -> str | None:
        """The tag whose consequence this one is, as a demotion is of a promotion."""
        return self.trailers.get("because")


class Version(NamedTuple):
    """A version of a model: who registered it, what it holds now.

    `unregistered` is what took it back, then it holds nothing. `since` is the assignment of its
    stage.
    """

    model: str
    version: str
    registered: Change
    unregistered: Change | None = None
    stage: str | None = None
    aliases: tuple[str, ...] = ()
    since: Change | None = None

    @property
    def name(self) -> str:
        """As a selector: `churn@v1.2.0`."""
        return f"{self.model}@v{self.version}"

    @property
    def commit(self) -> str:
        """The commit that it is on: of a run, unless another tool made the tag."""
        return self.registered.commit

    @property
    def is_live(self) -> bool:
        """Whether it was not taken back."""
        return self.unregistered is None

    @property
    def artifact(self) -> str | None:
        """The path of its artifact in the run, None if it names none."""
        return self.registered.trailers.get("artifact")

    @property
    def run_id(self) -> str | None:
        """The id of its run, None if its tag does not say it."""
        return self.registered.trailers.get("run-id")


class Holding(NamedTuple):
    """Who holds a stage or alias: the version and its assignment.

    `contested` are the stage's changes that have to be looked at, until somebody decides anew.
    """

    stage: str
    version: str
    since: Change
    is_alias: bool
    contested: tuple[Change, ...]


class Model(NamedTuple):
    """A model: `versions` with the highest first, taken-back ones too; `holdings` by stage.

    `history` are the changes of stages in the order in which they count, then what has no place in
    it: registrations from the lowest version to the highest, and retirements. `top` is the greatest
    counter that any of its tags has, whether it counts or not; `latest_moment` the latest of their
    times. `contested` are the changes that have to be looked at, of stages that nobody holds too.
    `gaps` are the ranges of counters that no tag here has, below one that counts: tags are missing.
    """

    name: str
    versions: tuple[Version, ...]
    holdings: tuple[Holding, ...]
    history: tuple[Change, ...]
    deprecated: Change | None
    top: int
    latest_moment: int
    contested: tuple[Change, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def latest(self) -> Version | None:
        """The highest version that is live, releases before pre-releases of equal numbers."""
        return next((one for one in self.versions if one.is_live), None)

    @property
    def lacking(self) -> str | None:
        """Which numbers are missing, as `3 to 7, 9 and 2 more`; None if none is."""
        shown = [str(a) if a == b else f"{a} to {b}" for a, b in self.gaps[:3]]
        more = sum(last - first + 1 for first, last in self.gaps[3:])
        return ", ".join(shown) + (f" and {more:,} more" if more else "") if shown else None

    def version(self, number: str) -> Version | None:
        """The version of this number (without `v`), None if there never was one."""
        return next((one for one in self.versions if one.version == number), None)

    def holding(self, stage: str) -> Holding | None:
        """Who holds a stage or alias; of `archived` the last one; None if nobody."""
        found = [one for one in self.holdings if one.stage == stage]
        return found[-1] if found else None


class Problem(NamedTuple):
    """A tag that looks as if it belonged to the registry, and why it is ignored or doubtful.

    `is_broken`: nobody knows what it says.
    """

    tag: str
    reason: str
    is_broken: bool = False


class Registry(NamedTuple):
    """All models by name, in the order of their names, and the tags that are not right."""

    models: Mapping[str, Model]
    problems: tuple[Problem, ...]


def parse(selector: str) -> tuple[str, str] | None:
    """The model and what stands behind its `@`: a version, a stage, an alias, `latest`.

    None where a selector cannot name a version of a model, as Git's own `main@{1}` does not.
    """
    name, mark, what = selector.rpartition("@")
    return (name, what) if mark and name and what and "{" not in what else None


def find_model(known: Registry, name: str) -> Model:
    """The model of this name.

    Raises:
        ModelNotFound: there is none.
    """
    found = known.models.get(name)
    if found is not None:
        return found
    near = nearest(name, known.models)
    if near:
        hint = f"did you mean '{near}'?"
    elif known.models:
        hint = "`git track model ls` lists the models."
    else:
        hint = "`git track model register RUN NAME` registers one."
    raise ModelNotFound(f"there is no model '{name}'", selector=name, hint=hint)


def find_version(known: Registry, selector: str) -> Version:
    """The version that `NAME@VERSION`, `NAME@STAGE`, `NAME@ALIAS` or `NAME@latest` names.

    The version may have its `v`. `NAME` alone means `NAME@latest`. A version that was taken back
    answers to its number alone. No stage can be taken for a version, which has dots.

    Raises:
        ModelNotFound: there is no such model or version, or nobody holds the stage.
    """
    named = parse(selector)
    if named is None:
        named = (selector, "latest")
    model, what = find_model(known, named[0]), named[1]
    found: Version | None
    if what == "latest":
        found = model.latest
        missing = f"no version of '{model.name}' is left"
    elif held := model.holding(what):
        found = model.version(held.version)
        missing = ""
    else:
        found = model.version(what.removeprefix("v"))
        missing = f"there is no '{what}' of '{model.name}'"
        if any(one.stage == what for one in model.history):
            missing = f"no version of '{model.name}' holds '{what}' now"
    if found is None:
        raise ModelNotFound(missing, selector=selector, hint=_offered(model))
    return found


def _offered(model: Model) -> str:
    live = [f"v{one.version}" for one in model.versions if one.is_live]
    if not live:
        return "`git track model history` tells what became of them."
    stages = dict.fromkeys(one.stage for one in model.holdings)
    more = len(live) - _MOST_OFFERED
    rest = f", and {more:,} more" if more > 0 else ""
    return f"it has {', '.join([*stages, *live[:_MOST_OFFERED]])}{rest}."
