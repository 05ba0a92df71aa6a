"""What Git keeps alive: the files in every commit, index and work tree of a repository.

For whoever must not overlook one, so that a doubt is an error and never a shorter answer. The
executable walks. Knows nothing of what the files hold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from gittrack.errors import GitFailed
from gittrack.git.executable import first_line, text
from gittrack.git.references import References
from gittrack.git.values import is_id

__all__ = ["Reachability"]

# One entry of a raw diff with -z: git-diff(1), Raw output format.
_RAW = re.compile(
    rb":[0-7]{6} ([0-7]{6}) [0-9a-f]{40,64} ([0-9a-f]{40,64}) [A-Z][0-9]*\0([^\0]+)\0"
)
_FILE_MODES = (b"100644", b"100755")
# The refs that are no refs: gitglossary(7), pseudoref; FETCH_HEAD and MERGE_HEAD have many lines.
_PASSING = re.compile("[A-Z]+_HEAD|AUTO_MERGE")
_ID = re.compile(rb"^(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])", re.M)
_OWN_OF_WORKTREES = ("refs/bisect/", "refs/worktree/", "refs/rewritten/")
# A lazy fetch would ask for one object after the other; and what is not here shall be said.
_ALONE = {"GIT_NO_LAZY_FETCH": "1"}
_ELSEWHERE: dict[str, str | None] = dict.fromkeys(
    ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise GitFailed(f"'{file}' cannot be read: {error.strerror}") from error


class Reachability:
    """The files that a repository keeps, wherever it does. Loaded by nobody who does not ask."""

    def __init__(self, repo: References) -> None:
        self._repo = repo

    @property
    def is_shallow(self) -> bool:
        """Whether history was cut off when it was fetched."""
        return (self._repo.common_dir / "shallow").exists()

    def kept_files(
        self,
        patterns: Sequence[str],
        *,
        without: Collection[str] = (),
        trees: Collection[str] = (),
    ) -> dict[str, str]:
        """Blob -> a path of it, for every file of every commit and tree that Git keeps.

        What refs point to (except those in `without`, full names), every HEAD and its like
        (`FETCH_HEAD`, `ORIG_HEAD`), all that reflogs, and so the stash, still name, and `trees`;
        the path is empty where that is the blob itself. `patterns` are pathspecs, in which `*`
        stands for directories too.

        Raises:
            GitFailed: a ref is broken, or a commit or tree is missing.
        """
        # `git rev-list --objects` with patterns is no way: it does not look into directories.
        ends = self._tips(without)
        ends["tree"] += trees
        given = "".join(f"{oid}\n" for oid in ends["commit"]).encode()
        listed = text(self._repo.git("rev-list", "--stdin", "--reflog", input=given, env=_ALONE))
        empty = text(self._repo.git("hash-object", "-t", "tree", "--stdin")).strip()
        pairs = "".join(f"{empty} {tree}\n" for tree in ends["tree"])
        words = ("diff-tree", "--stdin", "-r", "-m", "--root", "--raw", "-z", "--no-abbrev")
        raw = self._repo.git(
            *(*words, "--no-commit-id", "--no-renames", "--", *patterns),
            input=(listed + pairs).encode(),
            env=_ALONE,
        )
        found = dict.fromkeys(ends["blob"], "")
        for mode, oid, path in _RAW.findall(raw):
            if mode in _FILE_MODES:
                found[text(oid)] = text(path)
        return found

    def _tips(self, without: Collection[str]) -> dict[str, list[str]]:
        """Kind -> what of this kind is pointed to from outside of history, tags followed."""
        form = "%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname)"
        ends: dict[str, list[str]] = {"commit": [], "tree": [], "blob": []}
        names = set()
        for line in text(self._repo.git("for-each-ref", f"--format={form}", env=_ALONE)).split(
            "\n"
        ):
            if not line:
                continue
            kind, oid, inner, target, name = line.split(" ", 4)
            names.add(name)
            if name not in without:
                ends.setdefault(inner or kind, []).append(target or oid)
        for broken in self.broken_refs(names):
            raise GitFailed(f"{broken} is broken", hint="`git track doctor` tells more.")
        for kind, oid in self._passing():
            ends[kind].append(oid)
        # A tag of a tag: `git rev-list` follows it to its commit; to a tree nobody does.
        ends["commit"] += ends.pop("tag", [])
        ends["commit"] += [head for _, head in self._worktrees() if head]
        for tree in ends["tree"]:
            # Of a pair that it cannot read, `git diff-tree --stdin` says nothing.
            self._repo.tree(tree)
        return ends

    def _passing(self) -> Iterator[tuple[str, str]]:
        """Kind and id of what a fetch, merge, rebase or the like left a note of, if it is there."""
        noted = set()
        common = self._repo.common_dir
        for directory in (common, *sorted(common.glob("worktrees/*"))):
            for file in directory.glob("*_*"):
                if _PASSING.fullmatch(file.name):
                    noted |= set(_ID.findall(_content(file)))
        # Git itself does not keep these for ever: what is gone is no error.
        asked = b"".join(b"%s^{}\n" % oid for oid in sorted(noted))
        words = ("cat-file", "--batch-check=%(objecttype) %(objectname)")
        for line in text(self._repo.git(*words, input=asked, env=_ALONE)).splitlines():
            kind, _, oid = line.partition(" ")
            if kind in ("commit", "tree", "blob") and is_id(oid):
                yield kind, oid

    def broken_refs(self, listed: Collection[str]) -> Iterator[str]:
        """Full names of the refs that Git leaves out of its lists; `listed` are those in it.

        A symbolic ref whose target is gone is not broken: `origin/HEAD` often is one.
        """
        for directory, _, files in os.walk(self._repo.common_dir / "refs"):
            above = os.path.join(os.path.relpath(directory, self._repo.common_dir), "")
            for name in sorted(files):
                full = above + name
                if name.startswith(".") or name.endswith(".lock") or full in listed:
                    continue
                if not full.startswith(_OWN_OF_WORKTREES) and self._points_nowhere(full):
                    yield full

    def _points_nowhere(self, name: str) -> bool:
        try:
            said = (self._repo.common_dir / name).read_bytes()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return not said.startswith(b"ref:") and self._repo.ref(name) is None

    def targets(self, *prefixes: str) -> set[str]:
        """The ids that the refs below `prefixes` point to: of a tag its own, and what it tags."""
        form = "%(objectname) %(*objectname)"
        return set(text(self._repo.git("for-each-ref", f"--format={form}", *prefixes)).split())

    def trailers(self, prefix: str, key: str) -> dict[str, tuple[str, ...]]:
        """Full name of each ref below `prefix` -> the values of that trailer of its commit."""
        value = f"%(contents:trailers:key={key},valueonly,separator=%x1f)"
        listed = text(self._repo.git("for-each-ref", f"--format=%(refname)%1f{value}", prefix))
        fields = (line.split("\x1f") for line in listed.split("\n") if line)
        return {name: tuple(value for value in values if value) for name, *values in fields}

    # -- work trees -----------------------------------------------------------------------------

    def worktree_roots(self) -> list[Path]:
        """The roots of all work trees of this repository, ours among them.

        One whose directory is gone is none, unless it is locked: then it may come back.

        Raises:
            GitFailed: one cannot be looked into.
        """
        roots = [] if self._repo.root is None else [self._repo.root]
        known = {os.path.realpath(root) for root in roots}
        for path, _ in self._worktrees():
            if os.path.realpath(path) not in known and path != self._repo.common_dir:
                known.add(os.path.realpath(path))
                roots.append(path)
        return roots

    def _worktrees(self) -> Iterator[tuple[Path, str | None]]:
        """Each work tree's root and HEAD. Source: git-worktree(1), Porcelain Format."""
        listed = text(self._repo.git("worktree", "list", "--porcelain", "-z"))
        for number, block in enumerate(listed.split("\0\0")):
            fields = dict(line.partition(" ")[::2] for line in block.split("\0") if line)
            if not fields or "bare" in fields:
                continue
            path, head = Path(fields["worktree"]), fields.get("HEAD", "")
            if (
                number == 0
                and self._repo.root is not None
                and self._repo.git_dir == self._repo.common_dir
            ):
                # What Git says of a main work tree apart from its Git directory is a guess.
                path = self._repo.root
            elif not (path / ".git").exists():
                if number == 0 or "locked" in fields:
                    raise GitFailed(
                        f"the work tree '{path}' is not there, and may come back",
                        hint="is a disk not mounted? `git worktree list` shows all of them.",
                    )
                continue
            yield path, head if is_id(head) and head.strip("0") else None

    def staged_files(self, root: Path, patterns: Sequence[str]) -> dict[str, str]:
        """Blob -> path, for the files in the index of the work tree at `root`, all stages.

        Raises:
            GitFailed: the index cannot be read.
        """
        found = {}
        for line in self._list_files(root, "--stage", patterns):
            fields, _, path = line.partition("\t")
            mode, oid = fields.split(" ")[:2]
            if mode.encode() in _FILE_MODES:
                found[oid] = path
        return found

    def present_files(
        self, root: Path, patterns: Sequence[str], *, skip: Sequence[str] = ()
    ) -> list[Path]:
        """The files that stand in the work tree at `root`, ignored ones too.

        Not those of a repository nested in it, nor untracked ones that `skip` names as a
        `.gitignore` would.

        Raises:
            GitFailed: the work tree cannot be read.
        """
        tracked = self._list_files(root, "--cached", patterns)
        unseen = [f"--exclude={pattern}" for pattern in skip]
        others = self._list_files(root, "--others", patterns, *unseen)
        paths = (root / path for path in dict.fromkeys([*tracked, *others]))
        return [path for path in paths if os.path.lexists(path)]

    def _list_files(
        self, root: Path, which: str, patterns: Sequence[str], *options: str
    ) -> list[str]:
        env = None if root == self._repo.root else _ELSEWHERE
        place = () if root == self._repo.root else ("-C", os.fspath(root))
        words = ("ls-files", which, "-z", *options, "--", *patterns)
        try:
            listed = self._repo.git(*place, *words, env=env)
        except GitFailed as error:
            raise GitFailed(
                f"the work tree '{root}' cannot be looked into: {first_line(error.stderr)}",
                stderr=error.stderr,
            ) from error
        return [path for path in text(listed).split("\0") if path]
