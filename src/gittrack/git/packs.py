"""Git objects gathered in memory into one pack: how many small objects are stored at little cost.

Knows how blobs, trees, commits and a pack are spelled in bytes (gitformat-pack(5)). Knows nothing
of the repository that will take it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["Pack"]

_TYPES = {"commit": 1, "tree": 2, "blob": 3}


class Pack:
    """Objects on their way into a repository; an object that comes twice is kept once."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._there: set[str] = set()

    def __contains__(self, oid: object) -> bool:
        return oid in self._there

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, kind: str, data: bytes) -> str:
        """Take a `commit`, `tree` or `blob` -> its id."""
        import hashlib
        import zlib

        oid = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)) + data).hexdigest()
        if oid not in self._there:
            self._there.add(oid)
            self._parts.append(_head(_TYPES[kind], len(data)) + zlib.compress(data))
        return oid

    def add_tree(self, entries: Mapping[bytes, tuple[str, int]]) -> str:
        """Take a tree of name -> (id, mode) -> its id."""
        ordered = sorted(entries.items(), key=_tree_order)
        return self.add(
            "tree",
            b"".join(
                b"%o %s\0%s" % (mode, name, bytes.fromhex(oid)) for name, (oid, mode) in ordered
            ),
        )

    def add_commit(
        self, *, tree: str, parents: Sequence[str], author: str, committer: str, message: str
    ) -> str:
        """Take a commit -> its id; `author` and `committer` as Git writes them, date included."""
        head = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        head += [f"author {author}", f"committer {committer}"]
        return self.add("commit", ("\n".join(head) + "\n\n" + message).encode())

    def data(self) -> bytes:
        """The whole pack, ready for `git index-pack`."""
        import hashlib

        head = b"PACK" + (2).to_bytes(4, "big") + len(self._parts).to_bytes(4, "big")
        body = b"".join([head, *self._parts])
        return body + hashlib.sha1(body).digest()


def _tree_order(item: tuple[bytes, tuple[str, int]]) -> bytes:
    """Git sorts a directory as if its name ended in a slash."""
    name, (_, mode) = item
    return name + b"/" if mode == 0o040000 else name


def _head(kind: int, size: int) -> bytes:
    """Type and size: three bits of type and four of size, then seven bits of size a byte."""
    head = bytearray([kind << 4 | size & 15])
    size >>= 4
    while size:
        head[-1] |= 128
        head.append(size & 127)
        size >>= 7
    return bytes(head)
