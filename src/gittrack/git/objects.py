"""Blobs and trees: stored, read and checked by libgit2, or gathered into one pack.

Commits build on it. Knows nothing of refs, so all that is stored here is out of anybody's sight
until something points to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pygit2

from gittrack.errors import GitFailed, WriteFailed
from gittrack.git.executable import Executable, text
from gittrack.git.values import Entry

if TYPE_CHECKING:
    import subprocess

    from gittrack.git.packs import Pack

__all__ = ["Objects", "again"]


class Objects(Executable):
    """The object store of a repository, through libgit2's `handle` on it."""

    def __init__(self, handle: pygit2.Repository, root: Path | None) -> None:
        super().__init__(Path(handle.path), root)
        self._handle = handle
        self._synced = True
        self._pack: Pack | None = None
        self._asked: tuple[int, subprocess.Popen[bytes]] | None = None

    def sync(self, on: bool) -> None:
        """Choose whether each object and ref is flushed to the disk before we go on."""
        pygit2.settings.enable_fsync_gitdir(on)
        self._synced = on

    @contextmanager
    def packed(self) -> Iterator[None]:
        """Gather the objects written meanwhile in memory, and store them at the end as one pack.

        For thousands of small objects: a file each costs five times as much. Git checks them when
        it takes the pack; until then they cannot be read, and nothing of them is on the disk. An
        exception throws them away. Signed commits cannot be gathered.

        Raises:
            WriteFailed: the pack could not be stored.
        """
        from gittrack.git.packs import Pack

        pack = self._pack = Pack()
        try:
            yield
        finally:
            self._pack = None
        if not len(pack):
            return
        settings = () if self._synced else ("core.fsync=none",)
        try:
            self.git("index-pack", "--stdin", "--strict", input=pack.data(), config=settings)
        except GitFailed as error:
            raise self._write_failed(error) from error

    def blob_id(self, data: bytes) -> str:
        """The id that a blob of these bytes has, stored or not."""
        return str(pygit2.hash(data))

    def write_blob(self, data: bytes) -> str:
        """Store bytes -> their id.

        Raises:
            WriteFailed: they could not be stored.
        """
        if self._pack is not None:
            return self._pack.add("blob", data)
        try:
            return again(lambda: str(self._handle.create_blob(data)))
        except (pygit2.GitError, OSError) as error:
            raise self._write_failed(error) from error

    def write_tree(self, entries: Mapping[str, tuple[str, int]], base: str | None = None) -> str:
        """Store `base` (None: an empty tree) with `entries` (name -> id, mode) put in -> its id.

        An entry whose id is empty is taken out.

        Raises:
            WriteFailed: it could not be stored.
        """
        if self._pack is not None:
            return self._pack_tree(self._pack, entries, base)
        try:
            if base is None:
                builder = self._handle.TreeBuilder()
            else:
                builder = self._handle.TreeBuilder(self._handle[base].peel(pygit2.Tree))
            for name, (oid, mode) in entries.items():
                if oid:
                    builder.insert(name, pygit2.Oid(hex=oid), mode)
                elif builder.get(name) is not None:
                    builder.remove(name)
            return again(lambda: str(builder.write()))
        except (pygit2.GitError, KeyError, OSError) as error:
            raise self._write_failed(error) from error

    def _pack_tree(
        self, pack: Pack, entries: Mapping[str, tuple[str, int]], base: str | None
    ) -> str:
        found = {} if base is None else {e.name: (e.id, e.mode) for e in self.tree(base)}
        for name, (oid, mode) in entries.items():
            found[os.fsencode(name)] = (oid, mode)
        return pack.add_tree({name: entry for name, entry in found.items() if entry[0]})

    def empty_tree(self) -> str:
        """The id of the tree without entries, stored."""
        return self.write_tree({})

    def verify(self, oids: Iterable[str]) -> None:
        """Read objects back from the store, their hashes checked; those gathered, Git will check.

        Raises:
            WriteFailed: one is missing or damaged.
        """
        for oid in oids:
            if self._pack is not None and oid in self._pack:
                continue
            try:
                self._handle.odb.read(oid)
            except (pygit2.GitError, KeyError, ValueError) as error:
                raise WriteFailed(
                    f"object {oid[:12]} cannot be read back: {_why(error)}",
                    hint="is the disk full? `df .` and `git fsck` tell more.",
                ) from error

    def read_blob(self, oid: str, *, limit: int) -> bytes:
        """The bytes of a blob.

        Raises:
            GitFailed: it is missing, damaged, no blob, or larger than `limit` bytes; the size is
                looked up first, because 400 KB on the wire can be a 400 MB blob.
        """
        return self._read(oid, pygit2.enums.ObjectType.BLOB, limit)

    def _read(self, oid: str, kind: pygit2.enums.ObjectType, limit: int) -> bytes:
        try:
            found, size = self._header(oid)
            if found != kind:
                raise GitFailed(f"object {oid[:12]} is no {kind.name.lower()}")
            if size > limit:
                raise GitFailed(f"object {oid[:12]} is too large: {size} bytes, at most {limit}")
            return bytes(self._handle.odb.read(oid)[1])
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise self._unread(f"object {oid[:12]}", error) from error

    def _header(self, oid: str) -> tuple[int, int]:
        if hasattr(self._handle.odb, "read_header"):
            kind, size = self._handle.odb.read_header(oid)[:2]
            return int(kind), int(size)
        found = self._asked_header(oid).split()
        if len(found) != 3:
            raise KeyError(oid)
        return int(pygit2.enums.ObjectType[found[1].upper()]), int(found[2])

    def _asked_header(self, oid: str) -> str:
        """What one `git cat-file`, kept for the next question, says of an object."""
        import weakref

        if self._asked is None or self._asked[0] != os.getpid():
            process = self.dialogue("cat-file", "--batch-check")
            self._asked = os.getpid(), process
            weakref.finalize(self, _end, process, os.getpid())
        process = self._asked[1]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(oid.encode() + b"\n")
        process.stdin.flush()
        return text(process.stdout.readline())

    def _unread(self, what: str, error: Exception) -> GitFailed:
        hint = self._promise if isinstance(error, KeyError) else None
        return GitFailed(f"{what} cannot be read: {_why(error)}", hint=hint)

    @cached_property
    def _promise(self) -> str | None:
        """How a partial clone gets what was left out of it; None in a whole one."""
        try:
            told = text(self.git("config", "--get-regexp", r"^remote\..*\.promisor$"))
        except GitFailed:
            return None
        key = told.partition("\n")[0].rpartition(" ")[0]
        remote = key.removeprefix("remote.").removesuffix(".promisor")
        return (
            f"this clone is partial: `git fetch --refetch --no-filter --tags {remote}` brings what"
            " was left out."
        )

    def size(self, oid: str) -> int:
        """The size of an object in bytes.

        Raises:
            GitFailed: it is missing or damaged.
        """
        try:
            return self._header(oid)[1]
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise self._unread(f"object {oid[:12]}", error) from error

    def exists(self, oid: str) -> bool:
        """Whether the object is in this repository."""
        try:
            return oid in self._handle
        except (pygit2.GitError, ValueError):
            return False

    def stored(self, oid: str) -> bool:
        """Whether the object is on the disk now; libgit2 remembers those that were pruned since."""
        try:
            return bool(pygit2.Odb(os.fspath(self.common_dir / "objects")).exists(oid))
        except (pygit2.GitError, ValueError):
            return False

    def tree(self, oid: str) -> tuple[Entry, ...]:
        """The entries of a tree, or of a commit's tree.

        Raises:
            GitFailed: it is missing, damaged or no tree.
        """
        try:
            found = self._handle[oid].peel(pygit2.Tree)
            return tuple(
                Entry(item.raw_name or b"", str(item.id), item.type_str, int(item.filemode))
                for item in found
            )
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise self._unread(f"tree {oid[:12]}", error) from error

    def entry(self, tree: str, name: str) -> Entry | None:
        """One entry of a tree (or of a commit's tree) by its name, None if there is none.

        Raises:
            GitFailed: the tree is missing, damaged or no tree.
        """
        try:
            found = self._handle[tree].peel(pygit2.Tree)
            if name not in found:
                return None
            item = found[name]
            return Entry(item.raw_name or b"", str(item.id), item.type_str, int(item.filemode))
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise self._unread(f"tree {tree[:12]}", error) from error

    def paths(self, tree: str) -> frozenset[str]:
        """The paths of all files in a tree, with `/`; undecodable bytes as surrogates.

        Raises:
            GitFailed: it, or a tree within it, is missing or damaged.
        """
        listed = self.git("ls-tree", "-r", "-z", "--name-only", "--full-tree", tree)
        return frozenset(os.fsdecode(path) for path in listed.split(b"\0") if path)

    def _write_failed(self, error: Exception) -> WriteFailed:
        return WriteFailed(
            f"cannot write to '{self.common_dir}': {error}",
            hint="is the disk full, or the repository read-only? Nothing was recorded in part.",
        )


def again(write: Callable[[], str]) -> str:
    """Store an object -> its id, trying again where `git gc` removed the emptied directory.

    Raises:
        pygit2.GitError: it failed six times, within a tenth of a second.
    """
    for pause in (0.0, 0.001, 0.005, 0.02, 0.05):
        try:
            return write()
        except pygit2.GitError:
            time.sleep(pause)
    return write()


def _why(error: Exception) -> str:
    """A missing object is a KeyError of its id, which says nothing."""
    return "it is missing" if isinstance(error, KeyError) else str(error)


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """End a dialogue; in a forked child it is the parent's."""
    if owner == os.getpid() and process.stdin is not None and process.stdout is not None:
        process.stdin.close()
        process.stdout.close()
        process.wait()
