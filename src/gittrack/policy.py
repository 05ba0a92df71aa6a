"""The rules of stages: which there are, and which versions may have them.

Knows where rules are written (Git's settings; before them the file `.gittrackconfig` that a team
commits, in the syntax of Git's configuration; GTO's `.gto`) and what they say of one version.
Conditions on its run are the gate's to judge.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from gittrack import semver
from gittrack.errors import BadFile, StageRefused, UsageError
from gittrack.tagging import ARCHIVED
from gittrack.whereabouts import Place

__all__ = ["FILE", "LARGEST", "Policy", "Rule", "read"]

FILE = ".gittrackconfig"
"""The file of rules in the work tree's root; in a bare repository that of HEAD."""

LARGEST = 64 << 10
"""The most bytes that a file of rules may have."""

_GTO = ".gto"
_STAGES = "track.stages"
_PREFIX = "track.stage."
_OURS = ("allow", "from", "require")
_NONE = "none"
_VALUELESS = "is a rule without a value"


class Rule(NamedTuple):
    """What is asked of a version that is to have a stage.

    `allow` is a range of versions, None: any. `sources` are the stages that it may come from, of
    which `none` is being in no stage, None: from anywhere. `require` are conditions on its run, in
    the language of queries, all of which must hold.
    """

    allow: str | None = None
    sources: tuple[str, ...] | None = None
    require: tuple[str, ...] = ()


class Policy:
    """The rules of a repository. Stages are compared without case, as Git compares settings."""

    def __init__(
        self, values: Mapping[str, tuple[str, ...]], origins: Mapping[str, str] | None = None
    ) -> None:
        """`values` are those of each setting, by its key in lower case; `origins` their files."""
        self._values = values
        self._origins = origins or {}
        words = _words(self._values.get(_STAGES, ()))
        self.stages: tuple[str, ...] = tuple(dict.fromkeys(words))
        """The stages that there may be, as they were named; empty if any may."""

    def rule(self, stage: str) -> Rule:
        """What is asked of a version that is to have this stage.

        Raises:
            UsageError: its range is none; the message names the setting.
        """
        found = {name: self._setting(stage, name) for name in _OURS}
        allow = found["allow"][-1].strip() if found["allow"] else ""
        if allow:
            self._check_range(stage, allow)
        sources = tuple(dict.fromkeys(_words(found["from"])))
        require = tuple(text.strip() for text in found["require"])
        return Rule(allow or None, sources or None, require)

    def check(self, version: str, stage: str, former_stage: str | None) -> None:
        """Make sure that a version, which is in `former_stage`, may have a stage.

        Raises:
            StageRefused: it may not; the message names the rule.
            UsageError: a rule makes no sense.
        """
        self.check_version(version, stage)
        sources = self.rule(stage).sources
        came = former_stage or _NONE
        known = {source.lower() for source in sources or ()}
        if sources is None or came == stage or came.lower() in known:
            return
        where = f"is in {former_stage}" if former_stage else "is in no stage"
        raise StageRefused(
            f"version {version} {where}, and {stage} is open to those from {_either(sources)} only",
            hint=f"{self._said(stage, 'from')} says so.",
        )

    def check_stage(self, stage: str) -> None:
        """Make sure that there may be such a stage.

        Raises:
            StageRefused: it is not among those that are allowed.
        """
        allowed = {name.lower() for name in self.stages}
        if allowed and stage != ARCHIVED and stage.lower() not in allowed:
            raise StageRefused(
                f"'{stage}' is no stage of this repository",
                hint=f"{self._origin(_STAGES)} has: {', '.join(self.stages)}.",
            )

    def check_version(self, version: str, stage: str) -> None:
        """Make sure that a version may have a stage, wherever it comes from.

        Raises:
            StageRefused: there is no such stage, or the version is not in its range.
            UsageError: the range makes no sense.
        """
        self.check_stage(stage)
        allow = self.rule(stage).allow
        if allow is not None and not semver.is_within(version, allow):
            raise StageRefused(
                f"version {version} may not have {stage}: it is not within '{allow}'",
                hint=f"{self._said(stage, 'allow')} says so.",
            )

    def _setting(self, stage: str, name: str) -> tuple[str, ...]:
        return self._values.get(f"{_PREFIX}{stage.lower()}.{name}", ())

    def _check_range(self, stage: str, allow: str) -> None:
        try:
            semver.check_range(allow)
        except UsageError as error:
            raise UsageError(
                f"{self._said(stage, 'allow')}: {error.message}", hint=error.hint
            ) from error

    def _said(self, stage: str, name: str) -> str:
        return self._origin(f"{_PREFIX}{stage}.{name}")

    def _origin(self, key: str) -> str:
        """A setting as a user finds it again: its name, and the file unless it is one of Git's."""
        file = self._origins.get(key.lower())
        return f"'stages' in {_GTO}" if file == _GTO else f"{key} in {file}" if file else key


def read(place: Place) -> Policy:
    """The rules of a repository: a setting of Git's stands before one of the file.

    Other keys in the file are ignored and what it includes is not followed. GTO's `stages` count
    where nothing else says which there are.

    Raises:
        BadFile: a file cannot be understood, is no plain file, or is too large; or a rule in it has
            no value.
        UsageError: a setting has none.
        GitFailed: Git cannot read its configuration.
    """
    values: dict[str, tuple[str, ...]] = {}
    origins: dict[str, str] = {}
    for key, value in _committed(place):
        values[key] = (*values.get(key, ()), value)
        origins[key] = FILE
    own = _configured(place)
    for key in own:
        origins.pop(key, None)
    values.update(own)
    if _STAGES not in values:
        stages = _of_gto(place)
        if stages:
            values[_STAGES], origins[_STAGES] = stages, _GTO
    return Policy({key: _effective(found) for key, found in values.items()}, origins)


# -- where rules are written ----------------------------------------------------------------------


def _configured(place: Place) -> dict[str, tuple[str, ...]]:
    """The rules among Git's settings, each with all of its values."""
    if not any(_is_rule(key) for key in place.settings):
        return {}
    told = place.ask("config", "--includes", "-z", "--get-regexp", r"^track\.stages?(\.|$)") or b""
    found: dict[str, tuple[str, ...]] = {}
    for key, value in _listed(told):
        if value is None:
            raise UsageError(f"{key} {_VALUELESS}", hint=f"`{key}=` says that there is none.")
        found[key] = (*found.get(key, ()), value)
    return found


def _committed(place: Place) -> Iterator[tuple[str, str]]:
    """The rules in the file that is committed; nothing if there is none."""
    if not _is_there(place, FILE):
        return
    if place.root is not None:
        source = ("--file", os.path.join(place.root, FILE))
    else:
        source = ("--blob", f"HEAD:{FILE}")
    words = ("config", *source, "--no-includes", "-z", "--list")
    told = place.ask(*words)
    if told is None:
        raise BadFile(f"{FILE}: {_reason(place, words)}", path=FILE)
    for key, value in _listed(told):
        if value is None:
            name = key.rpartition(".")[2]
            raise BadFile(
                f"{FILE}: {key} {_VALUELESS}",
                path=FILE,
                hint=f"`{name} =` says that there is none.",
            )
        yield key, value


def _listed(told: bytes) -> Iterator[tuple[str, str | None]]:
    """Rules with their values; None where only a name stands, or commas."""
    for item in told.split(b"\0"):
        key, has_value, value = item.decode("utf-8", "replace").partition("\n")
        if _is_rule(key):
            is_one = has_value and (not value.strip() or value.strip(", \t\n"))
            yield key.lower(), value if is_one else None


def _is_rule(key: str) -> bool:
    folded = key.lower()
    if not folded.startswith(_PREFIX):
        return folded == _STAGES
    return folded.removeprefix(_PREFIX).rpartition(".")[2] in _OURS


def _reason(place: Place, words: tuple[str, ...]) -> str:
    """Why Git could not read the file, with the line."""
    from gittrack.errors import GitFailed

    try:
        place.repo.git(*words)
    except GitFailed as error:
        _, found, line = error.stderr.partition("bad config line ")
        if found:
            return f"line {line.split()[0]} is not in the syntax of Git's configuration"
        return error.message
    return "it was changed while it was read"


def _is_there(place: Place, name: str) -> bool:
    """Whether there is such a file to be read.

    Raises:
        BadFile: it is something else, or larger than `LARGEST`.
    """
    if place.root is None:
        told = place.ask("cat-file", "-s", f"HEAD:{name}")
        if told is None:
            return False
        size, is_file = int(told), True
    else:
        try:
            seen = os.lstat(os.path.join(place.root, name))
        except OSError:
            return False
        size, is_file = seen.st_size, stat.S_ISREG(seen.st_mode)
    if not is_file:
        raise BadFile(f"{name}: it is no plain file", path=name)
    if size > LARGEST:
        raise BadFile(f"{name}: too large ({size} bytes, at most {LARGEST})", path=name)
    return True


def _of_gto(place: Place) -> tuple[str, ...]:
    """The stages that GTO's own file allows; none if it does not say."""
    if not _is_there(place, _GTO):
        return ()
    from gittrack import formats

    if place.root is None:
        data = place.ask("cat-file", "blob", f"HEAD:{_GTO}") or b""
    else:
        try:
            with open(os.path.join(place.root, _GTO), "rb") as file:
                data = file.read(LARGEST)
        except OSError as error:
            raise BadFile(f"{_GTO}: {error.strerror}", path=_GTO) from error
    told = formats.load_untrusted(data, _GTO)
    stages = told.get("stages") if isinstance(told, Mapping) else None
    if stages is None:
        return ()
    if not isinstance(stages, list) or not all(isinstance(stage, str) for stage in stages):
        raise BadFile(f"{_GTO}: 'stages' is no list of names", path=_GTO)
    return tuple(stages)


# -- values ---------------------------------------------------------------------------------------


def _effective(values: tuple[str, ...]) -> tuple[str, ...]:
    """The values that count: an empty one throws away those before it."""
    last = max((i for i, value in enumerate(values) if not value.strip()), default=-1)
    return values[last + 1 :]


def _words(values: Iterable[str]) -> list[str]:
    return [word for value in values for word in value.replace(",", " ").split()]


def _either(names: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`; being in no stage in words."""
    said = ["no stage" if name.lower() == _NONE else name for name in names]
    return " or ".join(part for part in (", ".join(said[:-1]), said[-1]) if part)
