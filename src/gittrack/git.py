"""The one door to Git: objects, refs, notes, configuration, the private index.

Alone imports pygit2 and runs the `git` executable. libgit2 reads and writes objects and refs; the
executable does what only Git itself does right: filters, signatures, notes, patches, its own
configuration. Knows nothing of runs.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pygit2

from gittrack.errors import (
    GitFailed,
    GitTooOld,
    NotARepository,
    RepositoryError,
    RunChanged,
    RunExists,
    UnsupportedRepository,
    UntrustedRepository,
    WriteFailed,
)
from gittrack.quoting import quote_path

if TYPE_CHECKING:
    from gittrack.packs import Pack

__all__ = ["OLDEST_GIT", "ZERO", "Commit", "Entry", "Identity", "Ref", "Repo"]

OLDEST_GIT = (2, 36)
ZERO = "0" * 40
_COMMIT_LIMIT = 1 << 20
_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR")

# Git would answer from a replacement, libgit2 never does: both read the real object.
os.environ.setdefault("GIT_NO_REPLACE_OBJECTS", "1")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes a commit."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A full ref name and the 40-digit id of what it points to."""

    name: str
    target: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as it stands in the object store; bytes that are not UTF-8 are replaced."""

    id: str
    tree: str
    parents: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree: `kind` is `blob`, `tree` or `commit`; `mode` Git's octal number."""

    name: bytes
    id: str
    kind: str
    mode: int


class Repo:
    """An open repository. Cheap to pass around; not for use from several threads at once.

    `git_dir` is this work tree's own directory, `common_dir` the one that all work trees share,
    `root` the work tree, None in a bare repository. `state` is where gittrack keeps what is no
    Git object; it may not exist yet.
    """

    def __init__(self, handle: pygit2.Repository, root: Path | None) -> None:
        self._handle = handle
        self.git_dir = Path(handle.path)
        self.common_dir = _common_dir(self.git_dir)
        self.root = root
        self.state = self.common_dir / "gittrack"
        self._config: dict[str, str] | None = None
        self._synced = True
        self._pack: Pack | None = None

    @classmethod
    def open(cls, start: str | os.PathLike[str] = ".") -> Repo:
        """Open the repository at or above `start`, found as Git finds it (`GIT_DIR` included).

        Raises:
            NotARepository: there is none.
            UntrustedRepository: another user owns it and `safe.directory` does not name it.
            UnsupportedRepository: libgit2 cannot read it (SHA-256, reftable).
        """
        if any(os.environ.get(name) for name in _PLACES):
            return cls._open_as_git_says(start)
        ceilings = os.environ.get("GIT_CEILING_DIRECTORIES", "")
        try:
            found = pygit2.discover_repository(os.fspath(start), False, ceilings)
            handle = pygit2.Repository(found) if found else None
        except (pygit2.GitError, KeyError, ValueError, OSError):
            handle = None
        if handle is None:
            return cls._open_as_git_says(start)
        workdir = handle.workdir
        return cls(handle, Path(workdir) if workdir else None)

    @classmethod
    def _open_as_git_says(cls, start: str | os.PathLike[str]) -> Repo:
        git_dir = _ask(start, "--absolute-git-dir")
        bare = _ask(start, "--is-bare-repository") == "true"
        inside = not bare and _ask(start, "--is-inside-work-tree") == "true"
        root = Path(_ask(start, "--show-toplevel")) if inside else None
        try:
            handle = pygit2.Repository(git_dir)
        except pygit2.GitError:
            # Git has just accepted it: by a safe.directory that libgit2 does not see, or it is of
            # a kind that libgit2 does not know.
            pygit2.settings.owner_validation = False
            try:
                handle = pygit2.Repository(git_dir)
            except pygit2.GitError as error:
                raise _unsupported(start, git_dir, str(error)) from error
        return cls(handle, root)

    # -- what kind of repository ------------------------------------------------------------

    @property
    def is_bare(self) -> bool:
        """Whether there is no work tree to take code from."""
        return self.root is None

    def check_version(self) -> None:
        """Make sure that the installed Git is recent enough; asked once, then remembered.

        Raises:
            GitTooOld: it is older than `OLDEST_GIT`.
        """
        import shutil

        found = shutil.which("git")
        if found is None:
            raise GitTooOld("no 'git' on PATH", hint="install Git 2.36 or later.")
        seen = os.stat(found)
        key = f"{found} {seen.st_size} {seen.st_mtime_ns} "
        memory = self.state / "git-version"
        try:
            said = memory.read_text("utf-8")
        except (OSError, ValueError):
            said = ""
        if not said.startswith(key):
            said = key + _text(_spawn([found, "--version"]).stdout).strip()
            try:
                memory.write_text(said, "utf-8")
            except OSError:
                pass
        version = said[len(key) :].split()[2] if len(said[len(key) :].split()) > 2 else "0"
        if _version(version) < OLDEST_GIT:
            oldest = ".".join(map(str, OLDEST_GIT))
            raise GitTooOld(
                f"Git {version} is too old: gittrack needs {oldest} or later",
                hint="install a newer Git, or put one first on PATH.",
            )

    # -- the executable ---------------------------------------------------------------------

    def git(
        self,
        *arguments: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        config: Sequence[str] = (),
        accept: Sequence[int] = (0,),
    ) -> bytes:
        """Run `git` in the work tree's root (if bare: in the Git directory) -> its stdout.

        Raises:
            GitFailed: it ended with a status that is not in `accept`.
        """
        command = ["git"]
        for setting in config:
            command += ["-c", setting]
        command += arguments
        done = _spawn(command, cwd=self.root or self.git_dir, input=input, env=self._env(env))
        if done.returncode not in accept:
            words = _text(done.stderr).strip()
            raise GitFailed(
                f"git {arguments[0]} failed: {_first_line(words) or f'exit {done.returncode}'}",
                stderr=words,
            )
        return done.stdout

    def spawn(self, *arguments: str) -> None:
        """Start `git` in the background, detached from us and our terminal, and forget it."""
        subprocess.Popen(
            ["git", *arguments],
            cwd=self.root or self.git_dir,
            env=self._env(None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _env(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        env = dict(os.environ)
        # A hook's GIT_INDEX_FILE is relative to where the hook runs, and so is GIT_DIR.
        env["GIT_DIR"] = os.fspath(self.git_dir)
        if self.root is not None:
            env["GIT_WORK_TREE"] = os.fspath(self.root)
        if "GIT_INDEX_FILE" in env:
            env["GIT_INDEX_FILE"] = os.path.abspath(env["GIT_INDEX_FILE"])
        if extra:
            env.update(extra)
        return env

    def index_file(self) -> Path:
        """Where the index that Git would use lies; it may not exist."""
        named = os.environ.get("GIT_INDEX_FILE")
        return Path(os.path.abspath(named)) if named else self.git_dir / "index"

    # -- configuration ----------------------------------------------------------------------

    @property
    def config(self) -> Mapping[str, str]:
        """Git's configuration, the last value of each key; keys as `git config --list` prints them.

        Includes, `git -c` and the environment count, because Git itself reads them.
        """
        if self._config is None:
            self._config = {}
            for item in self.git("config", "--list", "-z", "--includes").split(b"\0"):
                key, _, value = _text(item).partition("\n")
                if key:
                    self._config[key] = value
        return self._config

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean setting by Git's rules: `true`, `yes`, `on`, `1` and a bare key are true."""
        value = self.config.get(key)
        if value is None:
            return default
        return value.lower() in ("", "true", "yes", "on", "1")

    def set_config(self, key: str, value: str) -> None:
        """Write one setting of this repository."""
        self.git("config", key, value)
        self._config = None

    def identity(self) -> Identity:
        """Who is working here: Git's environment and settings, else the login name and host.

        A run must not be lost for want of a name, so nothing here fails.
        """
        found = {}
        for part in ("name", "email"):
            found[part] = (
                os.environ.get(f"GIT_AUTHOR_{part.upper()}")
                or self.config.get(f"author.{part}")
                or self.config.get(f"user.{part}")
            )
        login = _login()
        name = _clean_identity(found["name"] or login) or "unknown"
        email = _clean_identity(found["email"] or f"{login}@{os.uname().nodename}")
        return Identity(name, email)

    # -- objects ----------------------------------------------------------------------------

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
        from gittrack.packs import Pack

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
            raise _write_failed(self, error) from error

    def write_blob(self, data: bytes) -> str:
        """Store bytes -> their id.

        Raises:
            WriteFailed: they could not be stored.
        """
        if self._pack is not None:
            return self._pack.add("blob", data)
        try:
            return _again(lambda: str(self._handle.create_blob(data)))
        except (pygit2.GitError, OSError) as error:
            raise _write_failed(self, error) from error

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
            return _again(lambda: str(builder.write()))
        except (pygit2.GitError, KeyError, OSError) as error:
            raise _write_failed(self, error) from error

    def _pack_tree(
        self, pack: Pack, entries: Mapping[str, tuple[str, int]], base: str | None
    ) -> str:
        found = {} if base is None else {e.name: (e.id, e.mode) for e in self.tree(base)}
        for name, (oid, mode) in entries.items():
            found[os.fsencode(name)] = (oid, mode)
        return pack.add_tree({name: entry for name, entry in found.items() if entry[0]})

    def write_commit(
        self,
        *,
        tree: str,
        parents: Sequence[str],
        message: str,
        author: Identity,
        started: float,
        ended: float,
        sign: bool = False,
    ) -> str:
        """Store a commit, pointed to by nothing, and read it back -> its id.

        `started` and `ended` (seconds since the epoch) are the author's and committer's dates, in
        the local time zone, as Git writes them.

        Raises:
            WriteFailed: it could not be stored; libgit2 alone reports success on a full disk.
            GitFailed: signing failed.
        """
        if sign:
            oid = self._signed_commit(tree, parents, message, author, started, ended)
        elif self._pack is not None:
            who = f"{author.name} <{author.email}>"
            oid = self._pack.add_commit(
                tree=tree,
                parents=parents,
                author=f"{who} {int(started)} {_offset_text(started)}",
                committer=f"{who} {int(ended)} {_offset_text(ended)}",
                message=message,
            )
        else:
            people = [_signature(author, moment) for moment in (started, ended)]
            try:
                oid = _again(
                    lambda: str(
                        self._handle.create_commit(
                            None, people[0], people[1], message, tree, list(parents)
                        )
                    )
                )
            except (pygit2.GitError, KeyError, OSError) as error:
                raise _write_failed(self, error) from error
        return oid

    def _signed_commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        author: Identity,
        started: float,
        ended: float,
    ) -> str:
        dates = [f"{int(moment)} {_offset_text(moment)}" for moment in (started, ended)]
        env = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": "@" + dates[0],
            "GIT_COMMITTER_NAME": author.name,
            "GIT_COMMITTER_EMAIL": author.email,
            "GIT_COMMITTER_DATE": "@" + dates[1],
        }
        ancestry = [word for parent in parents for word in ("-p", parent)]
        settings = ("core.fsync=loose-object",)
        said = self.git(
            "commit-tree",
            "-S",
            *ancestry,
            "-F",
            "-",
            tree,
            input=message.encode(),
            env=env,
            config=settings,
        )
        return _text(said).strip()

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
                    f"object {oid[:12]} cannot be read back: {error}",
                    hint="is the disk full? `df .` and `git fsck` tell more.",
                ) from error

    def read_blob(self, oid: str, *, limit: int) -> bytes:
        """The bytes of a blob.

        Raises:
            GitFailed: it is missing, damaged, no blob, or larger than `limit` bytes; the size is
                looked up first, because 400 KB on the wire can be a 400 MB blob.
        """
        return self._read(oid, pygit2.enums.ObjectType.BLOB, limit)

    def read_commit(self, oid: str) -> Commit:
        """A commit's parts, whatever encoding it claims: Git's own is UTF-8.

        Raises:
            GitFailed: it is missing, damaged, no commit, or larger than 1 MiB.
        """
        raw = self._read(oid, pygit2.enums.ObjectType.COMMIT, _COMMIT_LIMIT)
        head, _, message = raw.partition(b"\n\n")
        tree, parents = "", []
        for line in head.split(b"\n"):
            word, _, rest = line.partition(b" ")
            if word == b"tree":
                tree = _text(rest)
            elif word == b"parent":
                parents.append(_text(rest))
        return Commit(oid, tree, tuple(parents), message.decode("utf-8", "replace"))

    def _read(self, oid: str, kind: pygit2.enums.ObjectType, limit: int) -> bytes:
        try:
            found, size = self._header(oid)
            if found != kind:
                raise GitFailed(f"object {oid[:12]} is no {kind.name.lower()}")
            if size > limit:
                raise GitFailed(f"object {oid[:12]} is too large: {size} bytes, at most {limit}")
            return bytes(self._handle.odb.read(oid)[1])
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise GitFailed(f"object {oid[:12]} cannot be read: {error}") from error

    def _header(self, oid: str) -> tuple[int, int]:
        if hasattr(self._handle.odb, "read_header"):
            kind, size = self._handle.odb.read_header(oid)[:2]
            return int(kind), int(size)
        found = _text(self.git("cat-file", "--batch-check", input=oid.encode())).split()
        if len(found) != 3:
            raise KeyError(oid)
        return int(pygit2.enums.ObjectType[found[1].upper()]), int(found[2])

    def size(self, oid: str) -> int:
        """The size of an object in bytes.

        Raises:
            GitFailed: it is missing or damaged.
        """
        try:
            return self._header(oid)[1]
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise GitFailed(f"object {oid[:12]} cannot be read: {error}") from error

    def exists(self, oid: str) -> bool:
        """Whether the object is in this repository."""
        try:
            return oid in self._handle
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
            raise GitFailed(f"tree {oid[:12]} cannot be read: {error}") from error

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
            raise GitFailed(f"tree {tree[:12]} cannot be read: {error}") from error

    # -- refs -------------------------------------------------------------------------------

    def refs(self, prefix: str) -> list[Ref]:
        """All refs below `prefix`, sorted by name; a broken ref is left out, as Git does."""
        listed = self.git("for-each-ref", "--format=%(objectname) %(refname)", prefix)
        found = []
        for line in listed.decode("utf-8", "surrogateescape").split("\n"):
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
            raise WriteFailed(
                f"{name} could not be written: {_first_line(error.stderr)}"
            ) from error

    def create_refs(self, refs: Sequence[Ref]) -> None:
        """Create many refs in one transaction: all or none.

        Raises:
            GitFailed: one exists, or could not be written.
        """
        if refs:
            self._update_refs([f"create {ref.name} {ref.target}" for ref in refs])

    def set_ref(self, name: str, target: str) -> None:
        """Point a ref at an object, wherever it pointed before."""
        self._update_refs([f"update {name} {target}"])

    def delete_refs(self, refs: Sequence[Ref]) -> None:
        """Delete refs that still point where the caller saw them: all or none.

        Raises:
            RunChanged: one points elsewhere, or is gone.
        """
        try:
            self._update_refs([f"delete {ref.name} {ref.target}" for ref in refs])
        except GitFailed as error:
            raise RunChanged(f"a ref changed meanwhile: {_first_line(error.stderr)}") from error

    def _update_refs(self, commands: Sequence[str]) -> None:
        text = "\n".join(commands) + "\n"
        self.git(
            "update-ref",
            "--stdin",
            input=text.encode("utf-8", "surrogateescape"),
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
        said = self.git(
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            revision + "^{commit}",
            accept=(0, 1, 128),
        )
        found = _text(said).strip()
        # `^HEAD` names one as well: the commit that is not wanted.
        return found if found and not found.startswith("^") else None

    def first_parents(self, commit: str) -> Iterator[str]:
        """`commit`, its first parent, and so on to the root; a shallow history just ends."""
        seen: str | None = commit
        while seen is not None:
            yield seen
            try:
                parents = self.read_commit(seen).parents
            except GitFailed:
                return
            seen = parents[0] if parents else None

    # -- notes ------------------------------------------------------------------------------

    def notes(self, ref: str) -> dict[str, str]:
        """Annotated object -> blob of its note, for every note under one notes ref.

        Reads trees only. An absent ref gives none.

        Raises:
            GitFailed: the notes tree cannot be read.
        """
        commit = self.ref(ref)
        found: dict[str, str] = {}
        if commit is not None:
            self._collect_notes(commit, "", found)
        return found

    def _collect_notes(self, tree: str, prefix: str, found: dict[str, str]) -> None:
        for item in self.tree(tree):
            name = prefix + item.name.decode("ascii", "replace")
            if item.kind == "tree" and len(name) < 40:
                self._collect_notes(item.id, name, found)
            elif item.kind == "blob" and len(name) == 40:
                found[name] = item.id

    def set_note(self, ref: str, target: str, data: bytes, author: Identity) -> None:
        """Replace the note on `target` under `ref` with `data`, byte for byte.

        Not a compare-and-swap: the caller holds a lock.
        """
        blob = self.write_blob(data)
        people = {
            f"GIT_{who}_{part}": value
            for who in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", author.name), ("EMAIL", author.email))
        }
        self.git(
            "notes",
            "--ref",
            ref,
            "add",
            "-f",
            "-C",
            blob,
            target,
            env=people,
            config=("core.fsync=loose-object,reference",),
        )

    # -- comparing --------------------------------------------------------------------------

    def patch(self, old: str, new: str, *options: str, without: str) -> bytes:
        """`git diff` of two trees, leaving out the top-level entry `without`, as Git prints it."""
        return self.git(
            "diff", *options, old, new, "--", ".", f":(exclude,top){without}", accept=(0, 1)
        )

    def changes(self, old: str, new: str, *, without: str) -> list[tuple[str, str, int, int]]:
        """What differs between two trees: (status letter, path, lines added, lines removed).

        A binary file counts -1 and -1 lines. Renames are followed; paths as Git quotes them.
        """
        options = ("--no-color", "--no-ext-diff", "--raw", "--numstat", "-z", "--no-renames")
        return list(_parse_changes(self.patch(old, new, *options, without=without)))

    def empty_tree(self) -> str:
        """The id of the tree without entries, stored."""
        return self.write_tree({})


def _parse_changes(listed: bytes) -> Iterator[tuple[str, str, int, int]]:
    letters: dict[bytes, str] = {}
    fields = iter(listed.split(b"\0"))
    for item in fields:
        if item.startswith(b":"):
            letters[next(fields)] = item.split()[-1][:1].decode()
        elif item:
            added, removed, path = item.split(b"\t", 2)
            counts = [-1 if count == b"-" else int(count) for count in (added, removed)]
            yield letters.get(path, "M"), quote_path(path), counts[0], counts[1]


def _spawn(
    command: Sequence[str],
    *,
    cwd: str | os.PathLike[str] | None = None,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    try:
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, **given)
    except OSError as error:
        if cwd is not None and not (os.path.isdir(cwd) and os.access(cwd, os.X_OK)):
            raise NotARepository(f"cannot enter '{os.fspath(cwd)}': {error.strerror}") from error
        if not isinstance(error, FileNotFoundError):
            raise
        raise GitTooOld("no 'git' on PATH", hint="install Git 2.36 or later.") from error


def _ask(start: str | os.PathLike[str], question: str) -> str:
    """One answer of `git rev-parse`, or Git's refusal as our error."""
    done = _spawn(["git", "rev-parse", question], cwd=start)
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")
    raise _refusal(start, _text(done.stderr).strip())


def _refusal(start: str | os.PathLike[str], words: str) -> RepositoryError:
    first = _first_line(words).removeprefix("fatal: ")
    if "safe.directory" in words:
        command = next((line.strip() for line in words.split("\n") if "git config" in line), "")
        return UntrustedRepository(first, hint=f"if you trust its owner: `{command}`")
    if "extension" in words or "repository format" in words or "ref storage" in words:
        return UnsupportedRepository(first, hint="this Git cannot open it; a newer one may.")
    where = os.path.abspath(start)
    return NotARepository(
        f"'{where}' is not in a Git repository",
        hint="`git init` makes one; gittrack needs nothing else.",
    )


def _unsupported(start: str | os.PathLike[str], git_dir: str, words: str) -> Exception:
    config = _text(_spawn(["git", "config", "--list"], cwd=start).stdout).lower()
    for key, kind in (("extensions.objectformat=sha256", "SHA-256"), ("refstorage=", "reftable")):
        if key in config:
            return UnsupportedRepository(
                f"'{git_dir}' is a {kind} repository, which gittrack cannot open yet",
                hint="SHA-1 repositories with files as ref storage work: `git init "
                "--object-format=sha1`.",
            )
    return UnsupportedRepository(f"'{git_dir}' cannot be opened: {words}")


def _common_dir(git_dir: Path) -> Path:
    """The directory that linked work trees share. Source: gitrepository-layout(5), commondir."""
    try:
        text = (git_dir / "commondir").read_text("utf-8", "surrogateescape").strip()
    except OSError:
        return git_dir
    return Path(os.path.normpath(git_dir / text))


def _signature(who: Identity, moment: float) -> pygit2.Signature:
    return pygit2.Signature(who.name, who.email, int(moment), _offset(moment), "utf-8")


def _offset(moment: float) -> int:
    import time

    return time.localtime(moment).tm_gmtoff // 60


def _offset_text(moment: float) -> str:
    minutes = _offset(moment)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())


def _clean_identity(text: str) -> str:
    """What Git keeps of a name: no angle brackets, no line breaks (ident.c); always UTF-8."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c for c in text if c not in "<>\n\0").strip(" .,:;\"\\'")


def _again(write: Callable[[], str]) -> str:
    """Store an object, trying once more where `git gc` removed the emptied directory under us."""
    for _ in range(4):
        try:
            return write()
        except pygit2.GitError:
            continue
    return write()


def _write_failed(repo: Repo, error: Exception) -> WriteFailed:
    return WriteFailed(
        f"cannot write to '{repo.common_dir}': {error}",
        hint="is the disk full, or the repository read-only? Nothing was recorded in part.",
    )


def _version(text: str) -> tuple[int, ...]:
    parts = text.split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
