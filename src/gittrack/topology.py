"""The functions over Git and lineage in a query, as sets of commits.

Knows what `commit in A..B`, `touches`, `ancestor`, `descendant`, `reads`, `keeps` and `uses` mean:
each is answered once for all runs when a query is bound, and becomes "the commit is one of these".
A name that nobody knows is an error; a known one to which no run answers is an empty set. Knows
nothing of what else a query says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from fnmatch import translate
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from gittrack import scalars
from gittrack.binding import Functions
from gittrack.conditions import Among
from gittrack.errors import GitFailed, RunNotFound, UnknownKey, UsageError
from gittrack.keys import nearest
from gittrack.quoting import one_line

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from gittrack.git import Commit, Repo
    from gittrack.index import Index, Known
    from gittrack.whereabouts import Place

__all__ = ["functions"]

_MD5 = re.compile(r"[0-9a-f]{1,32}(\.dir)?")
_RECORD = b".gittrack"
_LONGEST_PATTERN = 1_000


def functions(place: Place, index: Index) -> Functions:
    """What looks functions up for `binding`: a name and its arguments -> the runs, by commit.

    The repository is opened when a function needs it. What was answered is remembered, so that a
    function that stands twice in a query costs once; ask for a new one after the index has changed.

    Raises, when called:
        UsageError: an argument makes no sense, or there is no such function.
        UnknownKey: no run knows the path or package.
        RunNotFound, AmbiguousRun: an argument names no run.
        GitFailed: Git cannot read what it was asked for.
    """
    return _Functions(place, index)


class _Functions:
    """The functions by name, with what they have found so far."""

    def __init__(self, place: Place, index: Index) -> None:
        self._place = place
        self._index = index
        self._known: dict[tuple[str, tuple[str, ...]], Among] = {}
        self._told: dict[bool, dict[str, dict[str, str]]] = {}

    def __call__(self, name: str, arguments: tuple[str, ...]) -> Among:
        asked = (name, arguments)
        if asked not in self._known:
            self._known[asked] = self._answer(name, arguments)
        return self._known[asked]

    def _answer(self, name: str, arguments: tuple[str, ...]) -> Among:
        found = _FUNCTIONS.get(name)
        if found is None:
            raise UsageError(f"there is no function '{name}'", hint=f"there are: {_ALL}.")
        answer, least, most = found
        if not least <= len(arguments) <= most:
            many = "1 argument" if most == 1 else f"{least} or {most} arguments"
            raise UsageError(f"{name}() takes {many}, not {len(arguments)}")
        for argument in arguments:
            if not argument or "\0" in argument:
                raise UsageError(f"{name}() takes no {'NUL' if argument else 'empty text'}")
        return answer(self, *arguments)

    @cached_property
    def _repo(self) -> Repo:
        return self._place.repo

    # -- commits ------------------------------------------------------------------------------

    def within(self, text: str) -> Among:
        """The base commits in `A..B` or `A...B`, as `git rev-list` has them."""
        first, dots, last = text.partition("...")
        if not dots:
            first, dots, last = text.partition("..")
        if not dots or ".." in last or last.startswith("."):
            raise UsageError(
                f"'{one_line(text)}' is no range of commits",
                hint="write A..B, the commits of B that A lacks; `base = '...'` is one commit.",
            )
        ends = [self._commit(end or "HEAD") for end in (first, last)]
        listed = self._repo.git("rev-list", "--end-of-options", dots.join(ends), "--")
        return Among("base", frozenset(listed.decode("ascii").split()))

    def _commit(self, revision: str) -> str:
        found = self._repo.resolve(revision)
        if found is not None:
            return found
        raise UsageError(
            f"'{one_line(revision)}' is no commit of this repository", hint=self._near(revision)
        )

    def _near(self, revision: str) -> str:
        named: list[str] = []
        for prefix in ("refs/heads/", "refs/tags/", "refs/remotes/"):
            named += [ref.name.removeprefix(prefix) for ref in self._repo.refs(prefix)]
        near = nearest(revision, named)
        return f"did you mean '{near}'?" if near else "`git branch --all` lists the branches."

    # -- code ---------------------------------------------------------------------------------

    def touching(self, path: str, selector: str | None = None) -> Among:
        """The runs whose code at a path is not that of their base, or not that of another run."""
        parts = _parts(path)
        trees = _Trees(self._repo)
        other = None if selector is None else trees.at(self._run(selector).commit, parts)
        found, seen = set(), other is not None or not parts
        for commit in self._commits if selector else self._dirty():
            try:
                read = self._repo.read_commit(commit)
                own = trees.at(read.tree, parts)
            except GitFailed:
                # A run that cannot be read is among the problems of the listing.
                continue
            if selector is None:
                other = self._of_base(trees, read, parts)
            seen = seen or own is not None or other is not None
            if own != other:
                found.add(commit)
        if self._commits and not seen and not self._is_in_bases(trees, parts):
            raise UnknownKey(
                f"no run's code has '{one_line(path)}'",
                key=path,
                hint="paths begin at the top of the repository: `git ls-files --full-name`.",
            )
        return Among("commit", frozenset(found))

    def _dirty(self) -> list[str]:
        """The runs whose code may differ from their base's: of the others, it is that one."""
        columns = self._index.columns(keys=("commit", "dirty"), deleted=True)
        return [c for c, dirty in zip(columns["commit"], columns["dirty"], strict=True) if dirty]

    def _is_in_bases(self, trees: _Trees, parts: tuple[bytes, ...]) -> bool:
        """Whether the code of some run has the path, changed or not; where unsure, it may have."""
        bases = self._index.columns(keys=("base",), deleted=True)["base"]
        try:
            return any(base and trees.at(base, parts) is not None for base in dict.fromkeys(bases))
        except GitFailed:
            return True

    def _of_base(self, trees: _Trees, run: Commit, parts: tuple[bytes, ...]) -> object:
        try:
            return trees.at(run.parents[0], parts) if run.parents else None
        except GitFailed as error:
            raise GitFailed(
                f"what run {run.id[:7]} changed cannot be told: of its base"
                f" {run.parents[0][:7]} something is missing here",
                hint="`git fetch --unshallow` brings history; `git fsck` tells what is missing.",
            ) from error

    # -- lineage ------------------------------------------------------------------------------

    def _run(self, selector: str) -> Known:
        from gittrack import revisions

        ref = revisions.resolve(self._repo, selector)
        found = self._index.by_commits([ref.commit]).get(ref.commit)
        if found is None:
            raise RunNotFound(
                f"'{one_line(selector)}' cannot be read",
                selector=selector,
                hint="`git track show` says what is wrong with it.",
            )
        return found

    def ancestors(self, selector: str) -> Among:
        """The runs that a run was built from, however far away; not itself."""
        run = self._run(selector)
        found, waiting = {run.commit}, [run.commit]
        while waiting:
            given = [one for some in self._index.inputs(waiting).values() for one in some]
            known = self._index.by_commits(one.commit for one in given)
            gone = [one.id for one in given if one.commit not in known]
            above = {*known, *(other.commit for other in self._index.by_ids(gone).values())}
            waiting = sorted(above - found)
            found |= above
        return Among("commit", frozenset(found - {run.commit}))

    def descendants(self, selector: str) -> Among:
        """The runs that were built from a run, however far away; not itself."""
        run = self._run(selector)
        found, waiting = {run.commit}, [run]
        while waiting:
            below = {other.commit: other for other, _ in self._index.dependants(waiting)}
            waiting = [other for commit, other in below.items() if commit not in found]
            found |= below.keys()
        return Among("commit", frozenset(found - {run.commit}))

    # -- files and packages -------------------------------------------------------------------

    def reading(self, what: str) -> Among:
        """The runs that read a path, a directory above it or something below it; or these bytes."""
        if what.startswith("md5:"):
            digits = what[4:].lower()
            if not _MD5.fullmatch(digits):
                raise UsageError(f"'{one_line(what)}' is no hash", hint="md5: and up to 32 digits.")
            return self._having(False, lambda path, md5: md5.startswith(digits))
        path = _normal(what)
        found = self._having(
            False, lambda p, md5: p == path or p.startswith(path + "/") or path.startswith(p + "/")
        )
        return found if found.values else self._unknown("reads", path, False)

    def dataset(self, part: str, op: str, *texts: str) -> Among:
        """The runs that read a file whose path (`name`) or MD5 (`digest`) is, or is not, so."""
        if op in ("like", "ilike"):
            fits = scalars.like(texts[0], op == "ilike")
        else:
            among = frozenset(texts)

            def fits(text: str) -> bool:
                return (text in among) is (op in ("=", "in"))

        return self._having(False, lambda path, md5: fits(path if part == "name" else md5))

    def keeping(self, pattern: str) -> Among:
        """The runs that kept an artifact whose path, or without a slash whose name, fits."""
        whole = _normal(pattern)
        if len(whole) > _LONGEST_PATTERN:
            raise UsageError(f"the pattern has more than {_LONGEST_PATTERN:,} characters")
        fits = re.compile(translate(whole), re.DOTALL).match

        def is_kept(path: str, md5: str) -> bool:
            return bool(fits(path) or ("/" not in whole and fits(path.rpartition("/")[2])))

        found = self._having(True, is_kept)
        if found.values or any(sign in whole for sign in "*?["):
            return found
        return self._unknown("kept", whole, True)

    def _having(self, kept: bool, fits: Callable[[str, str], bool]) -> Among:
        known: dict[tuple[str, str], bool] = {}
        found = set()
        for commit, files in self._files(kept).items():
            for file in files.items():
                if file not in known:
                    known[file] = fits(*file)
                if known[file]:
                    found.add(commit)
                    break
        return Among("commit", frozenset(found))

    def _files(self, kept: bool) -> dict[str, dict[str, str]]:
        if kept not in self._told:
            self._told[kept] = self._index.files(self._commits, kept=kept)
        return self._told[kept]

    @cached_property
    def _commits(self) -> list[str]:
        return list(self._index.columns(keys=("commit",), deleted=True)["commit"])

    def _unknown(self, verb: str, path: str, kept: bool) -> Among:
        """Raise UnknownKey; but where there are no runs, none is a fine answer."""
        if not self._commits:
            return Among("commit", frozenset())
        paths = {name for files in self._files(kept).values() for name in files}
        near = nearest(path, paths)
        raise UnknownKey(
            f"no run {verb} '{one_line(path)}'",
            key=path,
            hint=f"did you mean '{one_line(near)}'?" if near else None,
        )

    def using(self, requirement: str) -> Among:
        """The runs that ran with a package, in a version that fits."""
        from packaging.requirements import InvalidRequirement, Requirement

        from gittrack import curvature

        try:
            asked = Requirement(requirement)
        except InvalidRequirement:
            raise UsageError(
                f"'{one_line(requirement)}' names no package and versions",
                hint="such as 'torch', 'numpy<2' or 'scikit-learn>=1.4,<1.6'.",
            ) from None
        if asked.url or asked.marker or asked.extras:
            raise UsageError(
                f"'{one_line(requirement)}' is more than a package and versions",
                hint="such as 'torch', 'numpy<2' or 'scikit-learn>=1.4,<1.6'.",
            )
        self._index.need([curvature.PACKAGES])
        installed = curvature.installed(self._index.database, asked.name)
        if not installed and self._commits:
            near = nearest(asked.name, curvature.names(self._index.database))
            raise UnknownKey(
                f"no run used a package '{asked.name}'",
                key=asked.name,
                hint=f"did you mean '{near}'?" if near else None,
            )
        good = {version: _fits(asked, version) for version in {v for _, v in installed}}
        return Among("commit", frozenset(commit for commit, v in installed if good[v]))


def _fits(asked: Requirement, version: str) -> bool:
    """Whether a version is asked for; one that is none fits only where any does."""
    from packaging.version import InvalidVersion

    if not asked.specifier:
        return True
    try:
        return asked.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _normal(path: str) -> str:
    """A path as records have it: without what leads nowhere.

    Raises:
        UsageError: it names nothing.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        raise UsageError(f"'{one_line(path)}' names no file or directory")
    return ("/" if path.startswith("/") else "") + "/".join(parts)


def _parts(path: str) -> tuple[bytes, ...]:
    """The names that a path of the code consists of; none of the whole tree.

    Raises:
        UsageError: it leaves the tree, or is none of the user's code.
    """
    parts: list[str] = []
    if path.startswith("/"):
        raise UsageError(
            f"'{one_line(path)}' is no path within the repository",
            hint="paths begin at the top of the repository: 'src/model.py'.",
        )
    for part in path.split("/"):
        if part == "..":
            if not parts:
                raise UsageError(f"'{one_line(path)}' leads out of the repository")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    names = tuple(os.fsencode(part) for part in parts)
    if names[:1] == (_RECORD,):
        raise UsageError(f"'{one_line(path)}' is no code: gittrack keeps the run's record there")
    return names


class _Trees:
    """What lies at paths in trees, each tree looked at once."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._found: dict[tuple[str, tuple[bytes, ...]], object] = {}

    def at(self, tree: str, parts: tuple[bytes, ...]) -> object:
        """What a tree (or a commit's tree) has at a path: equal where it is equal; None: nothing.

        Raises:
            GitFailed: a tree is missing or damaged.
        """
        key = (tree, parts)
        if key not in self._found:
            self._found[key] = self._look(tree, parts)
        return self._found[key]

    def _look(self, tree: str, parts: tuple[bytes, ...]) -> object:
        if not parts:
            return frozenset(e for e in self._repo.tree(tree) if e.name != _RECORD)
        entry = self._repo.entry(tree, os.fsdecode(parts[0]))
        if entry is None:
            return None
        if len(parts) == 1:
            return entry.id, entry.mode
        return self.at(entry.id, parts[1:]) if entry.kind == "tree" else None


_Answer: TypeAlias = "Callable[..., Among]"
_FUNCTIONS: dict[str, tuple[_Answer, int, int]] = {
    "commit": (_Functions.within, 1, 1),
    "touches": (_Functions.touching, 1, 2),
    "ancestor": (_Functions.ancestors, 1, 1),
    "descendant": (_Functions.descendants, 1, 1),
    "reads": (_Functions.reading, 1, 1),
    "dataset": (_Functions.dataset, 3, 100_000),
    "keeps": (_Functions.keeping, 1, 1),
    "uses": (_Functions.using, 1, 1),
}
_ALL = ", ".join(f"{name}()" for name in _FUNCTIONS if name not in ("commit", "dataset"))
