"""Git notes: what is said of an object afterwards, without touching it.

Lists them by reading trees; writing is the executable's, which knows how a notes tree fans out.
Knows nothing of what a note says.
"""

from __future__ import annotations

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
