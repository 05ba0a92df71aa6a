"""Commits and annotated tags: written with the person and the dates that the caller names, signed
if asked, and read.

libgit2 writes them, or the pack that is being gathered; signing is the executable's. Knows nothing
of what a message means.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import pygit2

from gittrack.errors import GitFailed, WriteFailed
from gittrack.git.executable import text
from gittrack.git.objects import Objects, again
from gittrack.git.values import Commit, Identity, Tag

__all__ = ["Commits"]

_LIMIT = 1 << 20
_COMMIT = int(pygit2.enums.ObjectType.COMMIT)
_TAG = int(pygit2.enums.ObjectType.TAG)
_LATEST = 253402300799  # the last second of the year 9999
_SIGNING = ("gpg.", "user.", "tag.")


class Commits(Objects):
    """The commits of an object store."""

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
        """Store a commit, pointed to by nothing -> its id; `verify` reads it back.

        `started` and `ended` (seconds since the epoch) are the author's and committer's dates, in
        the local time zone, as Git writes them.

        Raises:
            WriteFailed: it could not be stored; on a full disk, libgit2 may report success.
            GitFailed: signing failed.
        """
        if sign:
            return self._signed_commit(tree, parents, message, author, started, ended)
        if self._pack is not None:
            who = f"{author.name} <{author.email}>"
            return self._pack.add_commit(
                tree=tree,
                parents=parents,
                author=f"{who} {int(started)} {_offset_text(started)}",
                committer=f"{who} {int(ended)} {_offset_text(ended)}",
                message=message,
            )
        began, done = _signature(author, started), _signature(author, ended)
        try:
            create = self._handle.create_commit
            return again(lambda: str(create(None, began, done, message, tree, list(parents))))
        except (pygit2.GitError, KeyError, OSError) as error:
            raise self._write_failed(error) from error

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
        return text(said).strip()

    def read_commit(self, oid: str) -> Commit:
        """A commit's parts, whatever encoding it claims: Git's own is UTF-8.

        Raises:
            GitFailed: it is missing, damaged, no commit, or larger than 1 MiB.
        """
        raw = self._read(oid, pygit2.enums.ObjectType.COMMIT, _LIMIT)
        head, _, message = raw.partition(b"\n\n")
        tree, parents = "", []
        for line in head.split(b"\n"):
            word, _, rest = line.partition(b" ")
            if word == b"tree":
                tree = text(rest)
            elif word == b"parent":
                parents.append(text(rest))
        return Commit(oid, tree, tuple(parents), message.decode("utf-8", "replace"))

    def messages(self, oids: Iterable[str]) -> Iterator[str | None]:
        """The message of each commit, as `read_commit` gives it; None where that would raise."""
        odb, limited = self._handle.odb, hasattr(self._handle.odb, "read_header")
        for oid in oids:
            try:
                if limited and odb.read_header(oid)[1] <= _LIMIT:
                    kind, raw = odb.read(oid)
                    is_commit = kind == _COMMIT
                    yield (
                        raw.partition(b"\n\n")[2].decode("utf-8", "replace") if is_commit else None
                    )
                else:
                    yield self.read_commit(oid).message
            except (pygit2.GitError, KeyError, ValueError, GitFailed):
                yield None

    def write_tag(
        self,
        name: str,
        target: str,
        message: str,
        *,
        tagger: Identity,
        moment: float,
        sign: bool = False,
    ) -> str:
        """Store an annotated tag, pointed to by nothing -> its id; it has been read back.

        `target` may be any object; `moment` is in seconds since the epoch, dated in the local time
        zone. With `sign` it is signed as Git's own configuration says.

        Raises:
            WriteFailed: the target is missing, or the tag could not be stored.
            GitFailed: signing failed.
        """
        try:
            kind = pygit2.enums.ObjectType(self._header(target)[0]).name.lower()
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise WriteFailed(
                f"the tag '{name}' cannot be made: object {target[:12]} is missing",
                hint="`git fsck` tells what else is.",
            ) from error
        date = f"{int(moment)} {_offset_text(moment)}"
        if sign:
            oid = self._signed_tag(name, target, message, tagger, date)
        else:
            data = (
                f"object {target}\ntype {kind}\ntag {name}\n"
                f"tagger {tagger.name} <{tagger.email}> {date}\n\n{message}"
            ).encode("utf-8", "surrogateescape")
            try:
                oid = again(lambda: str(self._handle.write(_TAG, data)))
            except (pygit2.GitError, OSError) as error:
                raise self._write_failed(error) from error
        self.verify([oid])
        return oid

    def _signed_tag(self, name: str, target: str, message: str, tagger: Identity, date: str) -> str:
        """Have `git tag` sign in a repository of no account, whose objects are this one's.

        It cannot make a tag without its ref, and we make the refs of several tags at once.
        """
        import tempfile

        settings = [f"{k}={v}" for k, v in self._own_settings().items() if k.startswith(_SIGNING)]
        with tempfile.TemporaryDirectory(prefix="gittrack-") as place:
            for inner in ("refs", "objects"):
                os.mkdir(os.path.join(place, inner))
            with open(os.path.join(place, "HEAD"), "w", encoding="ascii") as file:
                file.write("ref: refs/heads/none\n")
            env = {
                "GIT_DIR": place,
                "GIT_WORK_TREE": None,
                "GIT_COMMON_DIR": None,
                "GIT_OBJECT_DIRECTORY": os.fspath(self.common_dir / "objects"),
                "GIT_COMMITTER_NAME": tagger.name,
                "GIT_COMMITTER_EMAIL": tagger.email,
                "GIT_COMMITTER_DATE": "@" + date,
            }
            self.git(
                "tag", "-s", "--cleanup=verbatim", "-F", "-", "--", name, target,
                input=message.encode("utf-8", "surrogateescape"),
                env=env,
                config=(*settings, "core.fsync=loose-object", f"core.hooksPath={os.devnull}"),
            )  # fmt: skip
            with open(os.path.join(place, "refs", "tags", name), encoding="ascii") as file:
                oid = file.read().strip()
        # Where the file of an SSH key is missing, Git writes it unsigned and calls that success.
        written = self._read(oid, pygit2.enums.ObjectType.TAG, _LIMIT).partition(b"\n\n")[2]
        if len(written) <= len(message.encode("utf-8", "surrogateescape")):
            raise GitFailed(
                f"the tag '{name}' could not be signed",
                hint="is the key there that `git config user.signingKey` names?",
            )
        return oid

    def _own_settings(self) -> dict[str, str]:
        """Git's configuration as it counts in this repository, conditional includes followed."""
        told = self.git("config", "--list", "-z", "--includes")
        pairs = (text(item).partition("\n") for item in told.split(b"\0"))
        return {key: value for key, _, value in pairs if key}

    def read_tag(self, oid: str) -> Tag | None:
        """An annotated tag, None if the object is something else, as where a light tag points.

        Raises:
            GitFailed: it is missing, damaged, or larger than 1 MiB.
        """
        try:
            if self._header(oid)[0] != _TAG:
                return None
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise GitFailed(f"object {oid[:12]} cannot be read") from error
        raw = self._read(oid, pygit2.enums.ObjectType.TAG, _LIMIT)
        said: dict[bytes, bytes] = {}
        for line in raw.partition(b"\n\n")[0].split(b"\n"):
            word, _, rest = line.partition(b" ")
            said.setdefault(word, rest)
        return Tag(
            oid, text(said.get(b"object", b"")), text(said.get(b"type", b"")),
            _moment(said.get(b"tagger", b"")),
        )  # fmt: skip

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


def _moment(signature: bytes) -> int | None:
    """The seconds in `Ada <ada@example.org> 1767268800 +0100`."""
    seconds = signature.rpartition(b"> ")[2].partition(b" ")[0]
    if not seconds.isdigit() or len(seconds) > 12 or int(seconds) > _LATEST:
        return None
    return int(seconds)


def _signature(who: Identity, moment: float) -> pygit2.Signature:
    return pygit2.Signature(who.name, who.email, int(moment), _offset(moment), "utf-8")


def _offset(moment: float) -> int:
    import time

    return time.localtime(moment).tm_gmtoff // 60


def _offset_text(moment: float) -> str:
    minutes = _offset(moment)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
