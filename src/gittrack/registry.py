"""The registry of models: what the tags of a repository add up to.

State is a pure function of the set of tags, whatever their order and dates: the table is in
docs/registry.md. Knows which tags count and why others do not. Who may promote what, and how tags
are made, is the registrar's to know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gittrack import inscriptions, semver, tagging, tags
from gittrack.inscriptions import Inscription
from gittrack.tagging import ARCHIVED, STAGES, Event
from gittrack.tags import Tag
from gittrack.versions import (
    Change,
    Holding,
    Model,
    Problem,
    Registry,
    Version,
    find_model,
    find_version,
    parse,
)
from gittrack.whereabouts import Place

if TYPE_CHECKING:
    from gittrack import disputes

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
    "read_named",
]


def read(place: Place, model: str | None = None) -> Registry:
    """The registry of a repository as it is now; with `model` of that one alone, which is quicker.

    Raises:
        GitFailed: its tags cannot be listed.
    """
    return fold(tags.read(place, () if model is None else tagging.patterns(model)))


def read_named(place: Place, model: str) -> Registry:
    """The registry of the model of this name alone; all of it where there is none, to say so.

    Raises:
        GitFailed: its tags cannot be listed.
    """
    known = read(place, model) if tagging.patterns(model) else None
    return known if known is not None and model in known.models else read(place)


# -- what a user names ---------------------------------------------------------------------------


class _Said(NamedTuple):
    tag: Tag
    event: Event
    inscription: Inscription


class _Step(NamedTuple):
    """A tag about a stage: of which version it is, and from which ones it takes.

    `is_void` where the version's registration is on another commit than the tag.
    """

    said: _Said
    version: str
    affected: Collection[str]
    is_void: bool


def fold(found: Iterable[Tag]) -> Registry:
    """What tags add up to; their order is of no account."""
    doubtful: list[tuple[str, Problem]] = []
    groups: dict[str, list[_Said]] = defaultdict(list)
    counters: dict[str, set[int]] = defaultdict(set)
    # A repository has one tag of a name.
    for tag in {tag.name: tag for tag in sorted(found, key=_total, reverse=True)}.values():
        event = tagging.parse(tag.name)
        if event is None:
            model = tagging.resembled(tag.name)
            if model is not None:
                fault = Problem(tag.name, "its name is not of the registry's form")
                doubtful.append((model, fault))
            continue
        if event.counter is not None:
            counters[event.model].add(event.counter)
        reason = _fault(tag)
        if reason is None:
            groups[event.model].append(_Said(tag, event, inscriptions.read(tag.message)))
        else:
            doubtful.append((event.model, Problem(tag.name, reason, tag.kind == "broken")))
    models = {}
    for name in sorted(groups):
        folding = _Folding(name, groups[name], counters[name])
        folded = folding.model()
        if folded is not None:
            models[name] = folded
        doubtful += [(name, problem) for problem in folding.problems]
    # Where no model is called `fix`, tags such as `fix#123` and `fix@2.0` are somebody else's.
    ours = [one for name, one in doubtful if name in models or "@v" in one.tag or "@de" in one.tag]
    return Registry(models, tuple(sorted(ours)))


def _total(tag: Tag) -> tuple[object, ...]:
    return *tag[:8], -1 if tag.moment is None else tag.moment, tag.message


def _fault(tag: Tag) -> str | None:
    """Why a tag of the right name does not count, whatever it says."""
    if tag.kind == "broken":
        return "it cannot be read"
    if not tag.is_annotated:
        return "it is a lightweight tag: nobody says who made it, and when"
    if tag.kind != "commit":
        return f"it is on a {tag.kind}, not on a commit"
    if tag.own_name != tag.name:
        return "the tag was made under another name"
    if len(tag.message) > inscriptions.LARGEST:
        return f"its message is longer than {inscriptions.LARGEST >> 10} KiB"
    return None


class _Folding:
    """The tags of one model, put together."""

    def __init__(self, name: str, said: Sequence[_Said], counters: Collection[int]) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._said = said
        self._counters = counters
        # Who holds what: by stage and version; and the one stage, aliases apart, of a version.
        self._holders: dict[str, dict[str, Change]] = defaultdict(dict)
        self._stages: dict[str, str] = {}
        self._contested: dict[str, list[Change]] = defaultdict(list)
        self._taken_back: Collection[str] = ()
        self._steps: dict[str, _Step] = {}

    def model(self) -> Model | None:
        """None where no tag that counts is left."""
        registered, places = self._registered()
        self._taken_back = ended = self._ended(registered)
        retired = sorted(
            (self._change(one, None) for one in self._said if one.event.action == "deprecate"),
            key=lambda one: (one.counter or 0, one.tag),
        )
        history = self._staged(registered, places)
        if not registered and not retired:
            return None
        holdings = self._holdings(ended)
        own: dict[str, list[Holding]] = defaultdict(list)
        for one in holdings:
            own[one.version].append(one)
        order = sorted(registered, key=semver.key)
        versions = [self._version(registered[v], ended.get(v), own[v]) for v in reversed(order)]
        others = [one[v] for v in order for one in (registered, ended) if v in one]
        contested = [one for _, some in sorted(self._contested.items()) for one in some]
        return Model(
            self._name, tuple(versions), tuple(holdings), (*history, *others, *retired),
            retired[0] if retired else None, max(self._counters, default=0),
            max(one.tag.moment or 0 for one in self._said), tuple(contested),
            _gaps(self._counters, max([one.counter or 0 for one in history], default=0)),
        )  # fmt: skip

    def _doubt(self, tag: str, reason: str) -> None:
        self.problems.append(Problem(tag, reason))

    # -- versions ---------------------------------------------------------------------------------

    def _registered(self) -> tuple[dict[str, Change], dict[str, dict[str, None]]]:
        """The registrations by version, and the versions that any tag registers on a commit.

        Of two registrations of one number the one with the lesser counter counts.
        """
        found: dict[str, Change] = {}
        places: dict[str, dict[str, None]] = defaultdict(dict)
        for one in self._numbered("register"):
            number = one.event.version or ""
            places[one.tag.target][number] = None
            if number in found:
                reason = f"version {number} is registered already, by '{found[number].tag}'"
                self._doubt(one.tag.name, reason)
            else:
                found[number] = self._change(one, number)
        return found, {
            commit: dict.fromkeys(sorted(there, key=semver.key) if len(there) > 1 else there)
            for commit, there in places.items()
        }

    def _ended(self, registered: Mapping[str, Change]) -> dict[str, Change]:
        found: dict[str, Change] = {}
        for one in self._numbered("unregister"):
            number = one.event.version or ""
            if number not in registered:
                reason = f"it takes back version {number}, which is not registered"
                self._doubt(one.tag.name, reason)
            else:
                found.setdefault(number, self._change(one, number))
        return found

    def _numbered(self, action: str) -> list[_Said]:
        named = [one for one in self._said if one.event.action == action]
        return sorted(named, key=lambda one: (one.event.counter or 0, one.tag.name, one.tag.id))

    def _version(self, registered: Change, ended: Change | None, own: Sequence[Holding]) -> Version:
        stage = next((one for one in own if not one.is_alias), None)
        return Version(
            self._name, registered.version or "", registered, ended,
            stage.stage if stage else None,
            tuple(one.stage for one in own if one.is_alias),
            stage.since if stage else None,
        )  # fmt: skip

    # -- stages -----------------------------------------------------------------------------------

    def _staged(
        self, registered: Mapping[str, Change], places: Mapping[str, dict[str, None]]
    ) -> list[Change]:
        """The changes of stages, one after the other."""
        steps = []
        for said in self._said:
            if said.event.stage is not None:
                step = self._step(said, registered, places.get(said.tag.target, {}))
                if step is not None:
                    steps.append(step)
        steps.sort(key=_order)
        self._steps = {one.said.tag.name: one for one in steps}
        rivals = _rivals(steps)
        return [self._apply(one, rivals.get(one.said.tag.name, ())) for one in steps]

    def _step(
        self, said: _Said, registered: Mapping[str, Change], there: dict[str, None]
    ) -> _Step | None:
        """What a tag about a stage is about; None, and a problem, where that cannot be known."""
        tag, event, text = said
        named = text.trailers.get("version", "").removeprefix("v")
        if named in there:
            version, affected = named, {named: None}
        elif not there:
            self._doubt(tag.name, f"no version of '{self._name}' is on its commit")
            return None
        elif semver.is_version(named):
            self._doubt(tag.name, f"it names version {named}, which is not on its commit")
            return None
        else:
            # What it takes away it takes from all: a version that is registered on this commit
            # later must not turn a decision of today into one about somebody else.
            version, affected = next(reversed(there)), there
            if len(there) > 1 and event.action == "assign":
                those = ", ".join(list(there)[-3:])
                self._doubt(tag.name, f"on its commit are versions {those}: {version} is meant")
        is_void = registered[version].commit != tag.target
        if is_void and event.action == "assign":
            reason = f"version {version} is what '{registered[version].tag}' is on, another commit"
            self._doubt(tag.name, reason)
        return _Step(said, version, affected, is_void)

    def _apply(self, step: _Step, rivals: Sequence[str]) -> Change:
        event, version = step.said.event, step.version
        stage = event.stage or ""
        holders = self._holders[stage]
        own = _common(holders, step.affected)
        mine = present = holders[own[0]] if own else None
        if mine is None and holders and stage != ARCHIVED:
            present = holders[next(reversed(holders))]
        if event.action == "assign":
            replaced = present
            has_effect = present is not None if step.is_void else version not in holders
        else:
            replaced, has_effect = mine, mine is not None
            version = version if mine is None else mine.version or version
        contested, trailers = None, step.said.inscription.trailers
        if rivals:
            contested = self._rivalry(step, rivals)
        elif stage != ARCHIVED:
            is_free = event.action == "assign" or version in self._taken_back or not has_effect
            contested = self._mistaken(step, version, present, is_free=is_free)
        change = self._change(
            step.said, version, None if replaced is None else replaced.tag, has_effect, contested
        )
        for one in own:
            self._remove(stage, one)
        if event.action == "assign":
            self._assign(change, step)
        if contested is not None:
            self._contested[stage].append(change)
        elif "because" not in trailers and (has_effect or event.action == "assign"):
            self._contested.pop(stage, None)
        return change

    def _mistaken(
        self, step: _Step, version: str, present: Change | None, *, is_free: bool
    ) -> str | None:
        """Whether a change was decided upon something else than what is there, in words."""
        trailers = step.said.inscription.trailers
        cause, decided = trailers.get("because"), trailers.get("previous")
        actual = "none" if present is None else present.tag
        # A consequence ends nothing: where the tag that it follows from counts, that did.
        if is_free if cause is not None else decided in (None, actual):
            return None
        from gittrack import disputes

        own = self._act(step, version)
        if cause is not None:
            return disputes.unfounded(own, cause)
        return disputes.mistaken(own, present and self._act(self._steps[present.tag]))

    def _rivalry(self, step: _Step, others: Sequence[str]) -> str:
        from gittrack import disputes

        return disputes.rivals(self._act(step), [self._act(self._steps[one]) for one in others])

    def _act(self, step: _Step, version: str | None = None) -> disputes.Act:
        """What a step did, for a sentence."""
        from gittrack import disputes

        tag, event, text = step.said
        previous = text.trailers.get("previous")
        upon = self._steps.get(previous or "")
        holder = None
        if upon and upon.said.event.action == "assign" and upon.said.event.stage == event.stage:
            holder = upon.version
        return disputes.Act(
            tag.name, tag.by, event.action, version or step.version, event.stage or "",
            _is_alias(step.said), previous, holder,
        )  # fmt: skip

    def _assign(self, change: Change, step: _Step) -> None:
        stage = change.stage or ""
        if stage != ARCHIVED:
            for version in list(self._holders[stage]):
                self._remove(stage, version)
        if not change.is_alias:
            # A version is in one stage at a time.
            for version in _common(self._stages, step.affected):
                self._remove(self._stages[version], version)
        if not step.is_void:
            self._holders[stage][step.version] = change
            if not change.is_alias:
                self._stages[step.version] = stage

    def _remove(self, stage: str, version: str) -> None:
        held = self._holders[stage].pop(version, None)
        if held is not None and not held.is_alias:
            self._stages.pop(version, None)

    def _holdings(self, ended: Mapping[str, Change]) -> list[Holding]:
        return [
            Holding(stage, version, one, one.is_alias, tuple(self._contested.get(stage, ())))
            for stage in sorted(self._holders)
            for version, one in self._holders[stage].items()
            if version not in ended
        ]

    def _change(
        self,
        said: _Said,
        version: str | None,
        replaced: str | None = None,
        has_effect: bool = True,
        contested: str | None = None,
    ) -> Change:
        tag, event, text = said
        return Change(
            tag.name, tag.id, self._name, event.action, version, event.stage, _is_alias(said),
            event.counter, tag.target, tag.moment, tag.by, tag.email,
            text.subject, text.body, text.trailers, replaced, has_effect, contested,
        )  # fmt: skip


def _gaps(counters: Collection[int], top: int) -> tuple[tuple[int, int], ...]:
    """The ranges up to the greatest counter that counts which no tag has, counting or not."""
    if len(counters) == top:
        return ()
    there = sorted(one for one in counters if one <= top)
    steps = zip([0, *there], there, strict=False)
    return tuple((before + 1, after - 1) for before, after in steps if after - before > 1)


def _is_alias(said: _Said) -> bool:
    stage = said.event.stage
    if stage is None or stage in STAGES:
        return False
    return said.inscription.trailers.get("kind") == "alias"


def _order(step: _Step) -> tuple[int, bool, str, str]:
    """The counter; of equal ones giving comes before taking, then the tag's name decides."""
    tag, event, _ = step.said
    return event.counter or 0, event.action == "unassign", tag.name, tag.id


def _common(some: Collection[str], others: Collection[str]) -> list[str]:
    """What is in both, sorted; as fast as the smaller one lets it be."""
    few, many = (others, some) if len(others) < len(some) or len(others) == 1 else (some, others)
    found = [one for one in few if one in many]
    return sorted(found) if len(found) > 1 else found


def _rivals(steps: Sequence[_Step]) -> dict[str, list[str]]:
    """By tag, up to three others that have its counter, where their order makes a difference.

    That is where they are about one stage, or about the stage of one version.
    """
    counters = [step.said.event.counter for step in steps]
    groups: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    # They are in the order of their counters.
    before, after = [None, *counters], [*counters[1:], None]
    for step, counter, *beside in zip(steps, counters, before, after, strict=False):
        if counter is not None and counter in beside:
            stage = step.said.event.stage or ""
            groups[counter, stage, ""].append(step.said.tag.name)
            if not _is_alias(step.said):
                groups[counter, "", step.version].append(step.said.tag.name)
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for names in groups.values():
        if len(names) > 1:
            for name in names:
                found[name].update(dict.fromkeys(names[:4]))
    return {name: [one for one in others if one != name][:3] for name, others in found.items()}
