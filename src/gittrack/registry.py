"""The registry of models: what the tags of a repository add up to.

State is a pure function of the set of tags, whatever their order and dates: the table is in
docs/registry.md. Knows which tags count and why others do not. Who may promote what, and how tags
are made, is the registrar's to know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gittrack import inscriptions, semver, tagging, tags
from gittrack.errors import ModelNotFound
from gittrack.inscriptions import Inscription
from gittrack.keys import nearest
from gittrack.tagging import ARCHIVED, Action, Event
from gittrack.tags import Tag
from gittrack.whereabouts import Place

__all__ = [
    "Change",
    "Holding",
    "Model",
    "Problem",
    "Registry",
    "Version",
    "find_model",
    "find_version",
    "fold",
    "parse",
    "read",
]


class Change(NamedTuple):
    """A tag that counts: what was decided, by whom, when (seconds since the epoch), in which words.

    `version` is the one that it is about, None where a model is retired; `stage` the stage or alias
    that is given or taken. `replaced` is the tag of the assignment that this one ended in the same
    stage; `has_effect` is false where it changed nothing. `contested` says why it must be looked
    at: what it was decided upon is not what came before it.
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

    `contested` are its changes that have to be looked at, until somebody decides anew.
    """

    stage: str
    version: str
    since: Change
    is_alias: bool
    contested: tuple[Change, ...]


class Model(NamedTuple):
    """A model: `versions` with the highest first, taken-back ones too; `holdings` by stage.

    `history` are the changes of stages in the order in which they count, then what has no place in
    it: registrations. `top` is the greatest counter that any of its tags has, whether it counts or
    not; `latest_moment` the latest of their times.
    """

    name: str
    versions: tuple[Version, ...]
    holdings: tuple[Holding, ...]
    history: tuple[Change, ...]
    deprecated: Change | None
    top: int
    latest_moment: int

    @property
    def latest(self) -> Version | None:
        """The highest version that is live, releases before pre-releases of equal numbers."""
        return next((one for one in self.versions if one.is_live), None)

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


def read(place: Place) -> Registry:
    """The registry of a repository as it is now.

    Raises:
        GitFailed: its tags cannot be listed.
    """
    return fold(tags.read(place))


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
    answers to its number alone.

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
    if found is None:
        raise ModelNotFound(missing, selector=selector, hint=_offered(model))
    return found


def _offered(model: Model) -> str:
    live = [f"v{one.version}" for one in model.versions if one.is_live]
    if not live:
        return "`git track model history` tells what became of them."
    stages = dict.fromkeys(one.stage for one in model.holdings)
    more = ", ..." if len(live) > 5 else ""
    return f"it has {', '.join([*stages, *live[:5]])}{more}."


def fold(found: Iterable[Tag]) -> Registry:
    """What tags add up to; their order is of no account."""
    problems: list[Problem] = []
    groups: dict[str, list[_Said]] = defaultdict(list)
    tops: dict[str, int] = defaultdict(int)
    for tag in sorted(set(found)):
        event = tagging.parse(tag.name)
        if event is None:
            if tagging.resembles(tag.name):
                problems.append(Problem(tag.name, "its name is not of the registry's form"))
            continue
        tops[event.model] = max(tops[event.model], event.counter or 0)
        fault = _fault(tag)
        if fault is not None:
            problems.append(Problem(tag.name, fault, tag.kind == "broken"))
            continue
        groups[event.model].append(_Said(tag, event, inscriptions.read(tag.message)))
    models = {}
    for name in sorted(groups):
        model = _Folding(name, groups[name], tops[name], problems).model()
        if model is not None:
            models[name] = model
    return Registry(models, tuple(sorted(problems)))


class _Said(NamedTuple):
    tag: Tag
    event: Event
    inscription: Inscription


def _fault(tag: Tag) -> str | None:
    """Why a tag of the right name does not count, whatever it says."""
    if tag.kind == "broken":
        return "it cannot be read"
    if not tag.is_annotated:
        return "it is a lightweight tag: nobody says who made it, and when"
    if tag.kind != "commit":
        return f"it is on a {tag.kind}, not on a commit"
    if tag.own_name != tag.name:
        return f"it is a copy of the tag '{tag.own_name}'"
    if len(tag.message) > inscriptions.LARGEST:
        return f"its message is longer than {inscriptions.LARGEST >> 10} KiB"
    return None


class _Folding:
    """The tags of one model, put together."""

    def __init__(self, name: str, said: Sequence[_Said], top: int, problems: list[Problem]) -> None:
        self._name = name
        self._said = said
        self._top = top
        self._problems = problems
        self._holders: dict[str, list[Change]] = defaultdict(list)
        self._contested: dict[str, list[Change]] = defaultdict(list)

    def model(self) -> Model | None:
        """None where no tag that counts is left."""
        registered = self._registered()
        ended = self._ended(registered)
        retired = sorted(
            (self._change(one, None) for one in self._said if one.event.action == "deprecate"),
            key=_order,
        )
        history = self._staged(registered, ended)
        if not registered and not retired:
            return None
        holdings = self._holdings(ended)
        versions = sorted(
            (self._version(one, ended.get(number), holdings) for number, one in registered.items()),
            key=lambda one: semver.key(one.version),
            reverse=True,
        )
        others = [*registered.values(), *ended.values(), *retired]
        others.sort(key=lambda one: (one.moment or 0, one.tag))
        return Model(
            self._name, tuple(versions), tuple(holdings), (*history, *others),
            retired[0] if retired else None, self._top,
            max(one.tag.moment or 0 for one in self._said),
        )  # fmt: skip

    # -- versions ---------------------------------------------------------------------------------

    def _registered(self) -> dict[str, Change]:
        """The registrations by version: of two of one number, the one with the lesser counter."""
        found: dict[str, Change] = {}
        named = [one for one in self._said if one.event.action == "register"]
        for one in sorted(named, key=lambda one: (one.event.counter or 0, one.tag.name)):
            number = one.event.version or ""
            if number in found:
                reason = f"version {number} is registered already, by '{found[number].tag}'"
                self._problems.append(Problem(one.tag.name, reason))
            else:
                found[number] = self._change(one, number)
        return found

    def _ended(self, registered: Mapping[str, Change]) -> dict[str, Change]:
        found: dict[str, Change] = {}
        named = [one for one in self._said if one.event.action == "unregister"]
        for one in sorted(named, key=lambda one: (one.event.counter or 0, one.tag.name)):
            number = one.event.version or ""
            if number not in registered:
                reason = f"it takes back version {number}, which is not registered"
                self._problems.append(Problem(one.tag.name, reason))
            else:
                found.setdefault(number, self._change(one, number))
        return found

    def _version(
        self, registered: Change, ended: Change | None, holdings: Sequence[Holding]
    ) -> Version:
        number = registered.version or ""
        own = [one for one in holdings if one.version == number]
        stage = next((one for one in own if not one.is_alias), None)
        return Version(
            self._name, number, registered, ended,
            stage.stage if stage else None,
            tuple(one.stage for one in own if one.is_alias),
            stage.since if stage else None,
        )  # fmt: skip

    # -- stages -----------------------------------------------------------------------------------

    def _staged(
        self, registered: Mapping[str, Change], ended: Mapping[str, Change]
    ) -> list[Change]:
        """The changes of stages, one after the other."""
        places: dict[str, list[str]] = defaultdict(list)
        for version, one in registered.items():
            places[one.commit].append(version)
        found = []
        for said in self._said:
            if said.event.stage is None:
                continue
            number = _meant(said, places[said.tag.target], ended)
            if number is None:
                reason = f"no version of '{self._name}' is registered on the commit that it is on"
                self._problems.append(Problem(said.tag.name, reason))
                continue
            found.append(self._change(said, number))
        found.sort(key=_order)
        counters = defaultdict(list)
        for one in found:
            if one.counter is not None:
                counters[one.counter].append(one.tag)
        return [self._apply(one, counters.get(one.counter or 0, ())) for one in found]

    def _apply(self, change: Change, equals: Sequence[str]) -> Change:
        stage = change.stage or ""
        holders = self._holders[stage]
        mine = next((one for one in holders if one.version == change.version), None)
        replaced = mine if mine or stage == ARCHIVED else holders[-1] if holders else None
        change = change._replace(
            replaced=replaced and replaced.tag, contested=_doubt(change, replaced, equals)
        )
        if change.action == "assign":
            change = change._replace(has_effect=mine is None)
            self._assign(change, mine)
            if change.contested is None:
                self._contested[stage].clear()
        elif mine is not None:
            holders.remove(mine)
        else:
            change = change._replace(has_effect=False)
        if change.contested is not None:
            self._contested[stage].append(change)
        return change

    def _assign(self, change: Change, mine: Change | None) -> None:
        stage = change.stage or ""
        holders = self._holders[stage]
        if mine is not None:
            holders.remove(mine)
        if stage != ARCHIVED or change.is_alias:
            holders.clear()
        if not change.is_alias:
            # A version is in one stage at a time.
            for other in self._holders.values():
                for one in other[:]:
                    if one.version == change.version and not one.is_alias:
                        other.remove(one)
        holders.append(change)

    def _holdings(self, ended: Mapping[str, Change]) -> list[Holding]:
        return [
            Holding(stage, one.version or "", one, one.is_alias, tuple(self._contested[stage]))
            for stage in sorted(self._holders)
            for one in self._holders[stage]
            if one.version not in ended
        ]

    def _change(self, said: _Said, version: str | None) -> Change:
        tag, event, text = said
        return Change(
            tag.name, tag.id, self._name, event.action, version, event.stage,
            event.stage is not None and text.trailers.get("kind") == "alias",
            event.counter, tag.target, tag.moment, tag.by, tag.email,
            text.subject, text.body, text.trailers,
        )  # fmt: skip


def _order(change: Change) -> tuple[int, bool, str]:
    """The counter; of equal ones giving comes before taking, then the tag's name decides."""
    return change.counter or 0, change.action == "unassign", change.tag


def _meant(said: _Said, there: Sequence[str], ended: Mapping[str, Change]) -> str | None:
    """Which of the versions on its commit a change of a stage is about.

    The one that it names; else the highest live one, else the highest.
    """
    named = said.inscription.trailers.get("version", "").removeprefix("v")
    if named in there:
        return named
    return max(there, key=lambda one: (one not in ended, semver.key(one)), default=None)


def _doubt(change: Change, replaced: Change | None, equals: Sequence[str]) -> str | None:
    """Why a change has to be looked at, None if it need not."""
    others = [tag for tag in equals if tag != change.tag]
    if others:
        return f"it has the same number as {', '.join(others[:3])}"
    decided = change.trailers.get("previous")
    actual = "none" if replaced is None else replaced.tag
    if decided is None or change.cause is not None or change.stage == ARCHIVED:
        return None
    return None if decided == actual else f"it was decided upon {decided}, but {actual} came before"
