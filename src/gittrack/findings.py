"""What an examination finds, and the repository as it looks at it: each thing read once.

Knows what several checks ask, and how a finding is worded. Judges nothing.
"""

from __future__ import annotations

import os
import shlex
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from gittrack import commits, refs, setup
from gittrack.annotations import overlay
from gittrack.cache import Cache, open_cache
from gittrack.commits import Listing
from gittrack.errors import (
    BadFile,
    DataDamaged,
    DataMissing,
    GittrackError,
)
from gittrack.git import Ref, Repo
from gittrack.meter import Meter
from gittrack.quoting import one_line
from gittrack.refs import RunRef
from gittrack.setup import Setup
from gittrack.summaries import Summary

__all__ = ["Case", "Finding", "Severity", "count", "from_error", "members", "ok", "quoted"]

Severity = Literal["wrong", "risky", "note", "ok"]
"""`wrong` does not work now, or the next ordinary command destroys something; `risky` may cost
something one day; `note` is nothing to mend, but worth knowing; `ok` is said to those who want to
know what was looked at."""


class Finding(NamedTuple):
    """One thing that was looked at: `about` is one word, `what` a sentence, `mend` a command."""

    severity: Severity
    about: str
    what: str
    mend: str | None = None


def from_error(about: str, error: GittrackError) -> Finding:
    """The finding that an error makes."""
    return Finding("wrong", about, error.message, error.hint)


class Case:
    """The repository that is examined, and what more than one check asks of it."""

    def __init__(self, repo: Repo, now: float, meter: Meter) -> None:
        self.repo, self.now, self.meter = repo, now, meter

    @cached_property
    def refs(self) -> tuple[list[RunRef], list[Ref]]:
        """The refs of runs, and what stands beside them."""
        return refs.divided(self.repo)

    @cached_property
    def listing(self) -> Listing:
        """All runs, and those that cannot be read."""
        return commits.listing(self.repo, self.refs[0])

    @cached_property
    def runs(self) -> list[Summary]:
        """The good runs that are not deleted."""
        return [run for run in overlay(self.repo, self.listing.runs) if not run.deleted]

    @cached_property
    def artifacts(self) -> dict[str, list[str]]:
        """MD5 of an artifact -> the names of the runs that kept it."""
        found: dict[str, list[str]] = {}
        for run in self.runs:
            for md5 in run.artifacts.values():
                found.setdefault(md5, []).append(run.name)
        return found

    @cached_property
    def remote(self) -> str | None:
        """The default data remote, if it has an address."""
        name = self.setup.remote
        return name if name in self.setup.remotes else None

    @cached_property
    def keepers(self) -> dict[str, tuple[str, str]]:
        """MD5 of an artifact or of a file in one -> a run that kept it, and the artifact's path."""
        found: dict[str, tuple[str, str]] = {}
        for run in self.runs:
            for path, md5 in run.artifacts.items():
                inner = members(self.cache, md5) if md5.endswith(".dir") else []
                found.update(dict.fromkeys((md5, *inner), (run.name, path)))
        return found

    @cached_property
    def sizes(self) -> dict[str, int | None]:
        """MD5 of an artifact -> the bytes of its object in the cache, None if it is not there."""
        return {md5: self.cache.size(md5) for md5 in self.artifacts}

    @cached_property
    def setup(self) -> Setup:
        """How DVC is set up here."""
        return setup.read(self.repo)

    @cached_property
    def cache(self) -> Cache:
        """The cache of this repository."""
        return open_cache(self.repo, self.setup)


def ok(about: str, what: str) -> Finding:
    """A finding that all is well."""
    return Finding("ok", about, what)


def count(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def quoted(path: Path) -> str:
    """A path as a shell takes it, on one line."""
    return one_line(shlex.quote(os.fspath(path)))


def members(cache: Cache, md5: str) -> list[str]:
    """The hashes of a directory's files, none where its listing cannot be read."""
    try:
        return [member.md5 for member in cache.members(md5)]
    except (BadFile, DataDamaged, DataMissing):
        return []
