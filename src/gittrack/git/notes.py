"""Git notes: what is said of an object afterwards, without touching it.

Lists them by reading trees; writing is the executable's, which knows how a notes tree fans out.
Knows nothing of what a note says.
"""

from __future__ import annotations

from collections.abc import Mapping

from gittrack.git.references import References
from gittrack.git.values import Identity

__all__ = ["Notes"]


class Notes(References):
    """The notes of a repository, each under a ref of the caller's."""

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

    def set_notes(self, ref: str, notes: Mapping[str, bytes], author: Identity) -> None:
        """Replace the notes on many commits at once, each byte for byte: all of them or none.

        In one commit under `ref`. Not a compare-and-swap: the caller holds a lock.

        Raises:
            GitFailed: Git refused, as it does where one of them is no commit.
        """
        who = f"{_plain(author.name)} <{_plain(author.email)}> now".encode()
        words = [
            b"commit %b\ncommitter %b\n" % (ref.encode(), who.lstrip()),
            _data(b"Notes added by gittrack\n"),
        ]
        if self.ref(ref) is not None:
            words.append(b"from %b^0\n" % ref.encode())
        for target, data in notes.items():
            words += [b"N inline %b\n" % target.encode(), _data(data)]
        self.git(
            "fast-import",
            "--quiet",
            "--date-format=now",
            "--done",
            input=b"".join([*words, b"done\n"]),
            config=("core.fsync=loose-object,pack,pack-metadata,reference",),
        )


def _plain(words: str) -> str:
    """A part of an identity without what Git takes out, too."""
    return "".join(char for char in words if char not in "<>\n\0").strip()


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)
