"""Refs, HEAD and the revisions of this repository: where names point.

libgit2 looks up one ref and creates one exclusively; lists and transactions are the executable's.
Knows nothing of which refs are runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pygit2

from gittrack.errors import GitFailed, RunChanged, RunExists, WriteFailed
from gittrack.git.executable import first_line, text
from gittrack.git.objects import Objects
from gittrack.git.values import Ref

__all__ = ["References"]

# `main@{1}`, `@{upstream}@{yesterday 10:00}`
_OF_REFLOG = re.compile(r"[^~^:]*?(?:@\{[^{}]*\})+")


class References(Objects):
    """The refs of a repository, and the objects that they must point to."""

    def refs(self, prefix: str) -> list[Ref]:
        """All refs below `prefix`, sorted by name; a broken ref is left out, as Git does."""
        listed = self.git("for-each-ref", "--format=%(objectname) %(refname)", prefix)
        found = []
        for line in text(listed).split("\n"):
            target, _, name = line.partition(" ")
            if name:
                found.append(Ref(name, target))
        return found

    def ref(self, name: str) -> str | None:
        """Where a ref points, None if there is none."""
        try:
            return str(self._handle.lookup_reference(name).resolve().target)
        except (KeyError, ValueError, pygit2.GitError):
            return None

    def create_ref(self, name: str, target: str) -> None:
        """Point a new ref at an object. Atomic and exclusive across processes.

        Raises:
            RunExists: the ref is there already.
            WriteFailed: it could not be written.
        """
        if not hasattr(self._handle, "transaction"):
            return self._create_ref_by_git(name, target)
        self._check_new_ref(name, target)
        for attempt in range(8):
            try:
                with self._handle.transaction() as transaction:
                    transaction.lock_ref(name)
                    there = self.ref(name)
                    if there is not None:
                        raise RunExists(f"{name} exists already", commit=there)
                    transaction.set_target(name, target)
                return None
            except (pygit2.GitError, KeyError, OSError) as error:
                there = self.ref(name)
                if there == target:
                    return None
                if there is not None:
                    raise RunExists(f"{name} exists already", commit=there) from error
                failure = error
                # `git pack-refs` removes the emptied directory between our mkdir and our lock.
                if attempt >= 2:
                    break
        # libgit2 gives up at once where Git waits for a lock that somebody else holds.
        try:
            return self._create_ref_by_git(name, target)
        except WriteFailed as error:
            raise error from failure

    def _check_new_ref(self, name: str, target: str) -> None:
        """What Git checks and a transaction of libgit2 does not: the object, packed refs above."""
        if not self.exists(target):
            raise WriteFailed(f"{name} could not be written: there is no object {target[:12]}")
        above = name.split("/")[:-1]
        for length in range(3, len(above) + 1):
            parent = "/".join(above[:length])
            if self.ref(parent) is not None:
                raise WriteFailed(f"{name} could not be written: '{parent}' exists")

    def _create_ref_by_git(self, name: str, target: str) -> None:
        try:
            self._update_refs([f"create {name} {target}"])
        except GitFailed as error:
            there = self.ref(name)
            if there is not None:
                raise RunExists(f"{name} exists already", commit=there) from error
            raise WriteFailed(f"{name} could not be written: {first_line(error.stderr)}") from error

    def create_refs(self, refs: Sequence[Ref]) -> None:
        """Create many refs in one transaction: all or none, those that are new only.

        Git makes them in this order, and none before it has locked all; none where we are killed
        while we tell it which. Who kills Git itself in the middle has some, the first ones.

        Raises:
            GitFailed: one exists, or could not be written.
        """
        if refs:
            lines = [f"create {ref.name} {ref.target}" for ref in refs]
            self._update_refs(["start", *lines, "prepare", "commit"])

    def set_ref(self, name: str, target: str) -> None:
        """Point a ref at an object, wherever it pointed before."""
        self._update_refs([f"update {name} {target}"])

    def move_ref(self, name: str, target: str, *, before: str | None) -> None:
        """Point a ref at an object if it is still at `before`, None where there is no ref yet.

        Raises:
            RunChanged: it is elsewhere, or could not be written.
        """
        seen = before or "0" * len(target)
        try:
            self._update_refs([f"update {name} {target} {seen}"])
        except GitFailed as error:
            raise RunChanged(f"{name} was not moved: {first_line(error.stderr)}") from error

    def delete_refs(self, refs: Sequence[Ref]) -> None:
        """Delete refs that still point where the caller saw them: all or none.

        Raises:
            RunChanged: one points elsewhere, or is gone.
        """
        try:
            self._update_refs([f"delete {ref.name} {ref.target}" for ref in refs])
        except GitFailed as error:
            raise RunChanged(f"a ref changed meanwhile: {first_line(error.stderr)}") from error

    def _update_refs(self, commands: Sequence[str]) -> None:
        lines = "\n".join(commands) + "\n"
        self.git(
            "update-ref",
            "--stdin",
            input=lines.encode("utf-8", "surrogateescape"),
            config=(
                f"core.fsync={'loose-object,reference' if self._synced else 'none'}",
                "core.filesRefLockTimeout=2000",
            ),
        )

    def head(self) -> tuple[str | None, str | None]:
        """The commit that HEAD points to and its branch; None where there is none."""
        handle = self._handle
        try:
            reference = handle.lookup_reference("HEAD")
        except (KeyError, pygit2.GitError):
            return None, None
        branch = None
        if isinstance(reference.target, str):
            branch = reference.target.removeprefix("refs/heads/")
        return (None if handle.head_is_unborn else str(handle.head.target)), branch

    def resolve(self, revision: str) -> str | None:
        """The commit that a Git revision names, None if it names none."""
        if "@{" in re.split("[~^:]", revision, maxsplit=1)[0]:
            found = _OF_REFLOG.match(revision)
            entry = found and self._verified(found[0])
            if not found or not entry:
                return None
            rest = revision[found.end() :]
            if rest[:1] not in ("", "~", "^", ":"):
                return None
            # Git looks for a date in all up to the last brace, and finds one: what `main` was then.
            revision = entry + rest
        return self._verified(revision + "^{commit}")

    def _verified(self, revision: str) -> str | None:
        """The object that a Git revision names, None if it names none."""
        said = self.git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", revision, accept=(0, 1, 128)
        )
        found = text(said).strip()
        # `^HEAD` names one as well: the commit that is not wanted.
        return found if found and not found.startswith("^") else None
