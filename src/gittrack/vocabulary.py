"""The names that runs know, how many values of which type each has, and which one a user means.

Knows attributes, params, metrics and tags by their full keys (`params.lr`), bare names, patterns,
and which are near. Knows nothing of values, queries or where runs are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack.errors import UnknownKey
from gittrack.keys import nearest

if TYPE_CHECKING:
    from gittrack.summaries import Summary

__all__ = ["ALIASES", "ATTRIBUTES", "GROUPS", "Count", "Vocabulary", "of_summaries"]

ATTRIBUTES: tuple[str, ...] = (
    "name",
    "experiment",
    "status",
    "started",
    "ended",
    "duration",
    "exit_code",
    "title",
    "user",
    "command",
    "base",
    "branch",
    "dirty",
    "source",
    "id",
    "commit",
    "archived",
    "deleted",
    "notes",
    "experiment_title",
    "parent",
)
"""What a run has besides params, metrics and tags, in the order of a full table."""

GROUPS = ("params", "metrics", "tags")

ALIASES = {"age": "started", "time": "duration"}
"""Other words for attributes."""


class Count(NamedTuple):
    """In how many runs a key has a value of each type; `others` are lists, mappings and None."""

    numbers: int = 0
    texts: int = 0
    booleans: int = 0
    others: int = 0

    @property
    def total(self) -> int:
        """How many runs have the key."""
        return self.numbers + self.texts + self.booleans + self.others


_NONE = Count()

_SHORT = 3
_LONGEST_PATTERN = 1_000


class Vocabulary:
    """The keys of some runs: a mapping of group to key to `Count`."""

    __slots__ = ("_groups",)

    def __init__(self, groups: Mapping[str, Mapping[str, Count]]) -> None:
        self._groups = groups

    def keys(self, group: str) -> list[str]:
        """The keys of a group, sorted."""
        return sorted(self._groups.get(group, ()))

    def count(self, key: str) -> Count:
        """What is known of a full key; nothing of one that no run has, or of an attribute."""
        group, _, name = key.partition(".")
        return self._groups.get(group, {}).get(name, Count())

    def has(self, key: str) -> bool:
        """Whether `key` is a full key: an attribute, or `params.K` and the like of some run."""
        group, dot, name = key.partition(".")
        return key in ATTRIBUTES or (bool(dot) and name in self._groups.get(group, ()))

    def joined(self, other: Vocabulary) -> Vocabulary:
        """The vocabulary of the runs of both."""
        groups = {}
        for group in GROUPS:
            mine, theirs = self._groups.get(group, {}), other._groups.get(group, {})
            pairs = {
                key: (mine.get(key, _NONE), theirs.get(key, _NONE)) for key in {**mine, **theirs}
            }
            groups[group] = {
                k: Count(*map(sum, zip(a, b, strict=True))) for k, (a, b) in pairs.items()
            }
        return Vocabulary(groups)

    def resolve(self, name: str) -> str:
        """The full key that a name stands for: `lr` is `params.lr` if nothing else is called so.

        Attributes come first, then full keys, then what is called so in one group.

        Raises:
            UnknownKey: no run has it, or a bare name means more than one thing; the hint says
                which.
        """
        if name in ATTRIBUTES:
            return name
        if name in ALIASES:
            return ALIASES[name]
        if self.has(name):
            return name
        meant = self._meant(name)
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise UnknownKey(
                f"'{name}' is ambiguous: {' and '.join(meant)}",
                key=name,
                hint="write one in full.",
            )
        raise UnknownKey(
            f"no param, metric, tag or attribute named '{name}'", key=name, hint=self._near(name)
        )

    def knows(self, name: str) -> bool:
        """Whether `resolve` finds something of that name, if only more than one; costs nothing."""
        return name in ATTRIBUTES or name in ALIASES or self.has(name) or bool(self._meant(name))

    def _meant(self, name: str) -> list[str]:
        return [f"{group}.{name}" for group in GROUPS if name in self._groups.get(group, ())]

    def _near(self, name: str) -> str:
        spelled = {key: key for key in ATTRIBUTES}
        for group in GROUPS:
            keys = self._groups.get(group, ())
            spelled |= {key: f"{group}.{key}" for key in keys if key not in spelled}
            spelled |= {f"{group}.{key}": f"{group}.{key}" for key in keys}
        near = nearest(name, spelled) or self._alike(name)
        if near is None:
            return "`git track ls --all-columns` shows them all."
        full = spelled[near]
        return f"did you mean '{full}'{self._told(full)}?"

    def _alike(self, name: str) -> str | None:
        """What a name of three letters may be, one of which is right: `akk` is `acc`."""
        if len(name) > _SHORT:
            return None
        keys = [key for group in GROUPS for key in self._groups.get(group, ())]
        near = [key for key in keys if len(key) == len(name) and key[:1] == name[:1]]
        return min(near, key=lambda key: -sum(map(str.__eq__, key, name)), default=None)

    def _told(self, key: str) -> str:
        group, dot, _ = key.partition(".")
        if not dot:
            return ""
        total = self.count(key).total
        return f" ({group.removesuffix('s')}, {total} run{'s' * (total != 1)})"

    def match(self, pattern: str) -> list[str]:
        """The full keys that a shell pattern fits, attributes first, then group by group, sorted.

        `*` fits all, `metrics.*` a group, `*loss*` every key with `loss` in it, with or without its
        group; letters count as they are.
        """
        from fnmatch import fnmatchcase

        # A thousand brackets that do not close keep it busy for minutes.
        if len(pattern) > _LONGEST_PATTERN:
            return []
        found = [key for key in ATTRIBUTES if fnmatchcase(key, pattern)]
        for group in GROUPS:
            for key in self.keys(group):
                if fnmatchcase(f"{group}.{key}", pattern) or fnmatchcase(key, pattern):
                    found.append(f"{group}.{key}")
        return found


def of_summaries(found: Iterable[Summary]) -> Vocabulary:
    """The vocabulary of runs at hand."""
    seen: dict[str, dict[str, list[int]]] = {group: {} for group in GROUPS}
    for run in found:
        for group in GROUPS:
            counts = seen[group]
            for key, value in getattr(run, group).items():
                counts.setdefault(key, [0, 0, 0, 0])[_kind(value)] += 1
    return Vocabulary(
        {group: {key: Count(*count) for key, count in keys.items()} for group, keys in seen.items()}
    )


def _kind(value: Any) -> int:
    if isinstance(value, bool):
        return 2
    if isinstance(value, (int, float)):
        return 0
    return 1 if isinstance(value, str) else 3
