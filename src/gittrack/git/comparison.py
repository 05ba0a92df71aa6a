"""Two trees compared, by the executable alone: its attributes, filters and diff settings count.

Knows nothing of where the trees come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gittrack.errors import GitFailed
from gittrack.git.executable import Executable
from gittrack.git.values import is_id
from gittrack.quoting import quote_path

__all__ = ["Comparison"]


class Comparison(Executable):
    """What differs between the trees of a repository."""

    def patch(
        self, old: str, new: str, *options: str, without: str, also: Sequence[str] = ()
    ) -> bytes:
        """`git diff` of two trees, leaving out the top-level entry `without`, as Git prints it.

        `also` are paths from the top that are left out, too.

        `old` and `new` are ids, of trees or commits, and nothing else: they may come from a record
        that somebody else wrote.

        Raises:
            GitFailed: one is no id, or is not here.
        """
        for oid in (old, new):
            if not is_id(oid):
                raise GitFailed(f"{oid[:60]!r} is no object id")
        left_out = [f":(exclude,top){path}" for path in (without, *also)]
        words = ("diff", *options, "--end-of-options", old, new, "--", ".", *left_out)
        return self.git(*words, accept=(0, 1))

    def changes(self, old: str, new: str, *, without: str) -> list[tuple[str, str, int, int]]:
        """What differs between two trees: (status letter, path, lines added, lines removed).

        A binary file counts -1 and -1 lines. Renames are followed; paths as Git quotes them.
        """
        options = ("--no-color", "--no-ext-diff", "--raw", "--numstat", "-z", "--no-renames")
        return list(_parse_changes(self.patch(old, new, *options, without=without)))


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
