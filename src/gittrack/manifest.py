"""DVC's listing of a directory, the object that a `.dir` hash names: written, read, distrusted.

Knows the bytes that DVC writes, and which paths may never be followed. Opens no file.

A listing is what `dvc_data.hashfile.tree.Tree.as_bytes` makes (DVC 3): a JSON array of
`{"md5": ..., "relpath": ...}` in the order of the paths' characters, ASCII, `, ` and `: ` between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from gittrack.errors import BadFile, BadPath
from gittrack.quoting import one_line, utf8

__all__ = [
    "LARGEST",
    "MOST",
    "MOST_ARTIFACTS",
    "Member",
    "check_artifact",
    "check_md5",
    "check_path",
    "decode",
    "digest",
    "encode",
    "name",
]

MOST = 5_000_000
"""Files that a listing may name."""

LARGEST = 1 << 30
"""Bytes that a listing may have."""

MOST_ARTIFACTS = 10_000
"""How many artifacts a record may have; a directory is one."""

_LONGEST = 4096
_MOST_PARTS = 32
_LONGEST_PART = 240
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
# A part that is empty, climbs, or is one of the spellings under which a file system may find
# `.git` and the like: any case (macOS), `git~1`, dots, blanks and streams at its end (NTFS).
_BAD_PART = re.compile(
    r"(?:^|[/\\])(?:\.{0,2}|(?:\.(?:git|dvc|gittrack)|(?:git|dvc|gittra)~[0-9]+)[ .]*(?::[^/\\]*)?)"
    r"(?=$|[/\\])",
    re.I,
)
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
# What HFS+ does not see in a name (Git's utf8.c, next_hfs_char).
_UNSEEN = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")


class Member(NamedTuple):
    """A file of a directory; `path` relative to it, with `/`, undecodable bytes as surrogates."""

    path: str
    md5: str


def check_md5(md5: str) -> str:
    """Give `md5` back if it is 32 hexadecimal digits, or those and `.dir`.

    Raises:
        BadFile: it is anything else.
    """
    if not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise BadFile(f"{str(md5)[:60]!a} is no MD5", path=str(md5)[:60])
    return md5


def check_path(path: str) -> str:
    """Give `path` back if it stays inside its directory, and out of `.git`, `.dvc`, `.gittrack`.

    Whoever writes into these decides what Git and DVC do next. Refused whatever the system here:
    what is harmless on one may leave the directory on another.

    Raises:
        BadPath: it is empty, absolute, climbs (`..`), has an empty or `.` part, also behind a
            backslash, names one of these under any of its spellings, holds a NUL or what is
            neither Unicode nor a byte, or is longer than 4,096 characters.
    """
    if (
        len(path) > _LONGEST
        or "\0" in path
        or _BAD_PART.search(path)
        or _DRIVE.match(path)
        or not (path.isascii() or _plain(path))
    ):
        raise BadPath(
            f"the path {path[:80]!a} is refused: it could lead out of its directory",
            path=path,
            hint="only relative paths with '/' that stay below, and out of .git, .dvc and "
            ".gittrack, are followed.",
        )
    return path


def check_artifact(path: str) -> str:
    """Give the name of an artifact back if a record can hold it.

    Raises:
        BadPath: it could leave its directory, is not UTF-8, or has more than 32 parts or 240 bytes
            in one (its pointer is a file of that name, and `.dvc`).
    """
    parts = check_path(path).split("/")
    if path != utf8(path):
        raise BadPath(f"the name '{one_line(path)[:80]}' is not UTF-8: give another", path=path)
    if len(parts) > _MOST_PARTS or max(len(part.encode()) for part in parts) > _LONGEST_PART:
        raise BadPath(
            f"the name '{one_line(path)[:80]}' is too long: it may have {_MOST_PARTS} parts of "
            f"{_LONGEST_PART} bytes",
            path=path,
        )
    return path


def _plain(path: str) -> bool:
    """Whether the text is one spelling of one name, and no `.git` for a file system that skips."""
    try:
        again = path.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return again == path and not _BAD_PART.search(_UNSEEN.sub("", path))


def encode(members: Iterable[Member]) -> bytes:
    """Write the listing that DVC would write for these files, whatever their order."""
    quote = json.encoder.encode_basestring_ascii
    entries = [f'{{"md5": "{md5}", "relpath": {quote(path)}}}' for path, md5 in sorted(members)]
    return f"[{', '.join(entries)}]".encode("ascii")


def digest(members: Iterable[Member]) -> str:
    """Name the listing of these files as DVC does: the MD5 of its bytes, and `.dir`."""
    return name(encode(members))


def name(listing: bytes) -> str:
    """Name an encoded listing: its MD5, and `.dir`."""
    from hashlib import md5

    return md5(listing, usedforsecurity=False).hexdigest() + ".dir"


def decode(data: bytes) -> tuple[Member, ...]:
    """Read a listing; in the order of its paths, each of which `check_path` lets pass.

    Raises:
        BadFile: it is no listing, names too many files, a hash that is none, a path that could
            lead out of the directory, the same path twice, or a file below another file.
    """
    members = sorted(_entries(data))
    files = {member.path for member in members}
    if len(files) < len(members):
        raise _bad("names a path twice")
    for path in files:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in files:
                raise _bad(f"names {parent[:60]!a} as a file and as a directory")
            parent = parent.rpartition("/")[0]
    return tuple(members)


def _entries(data: bytes) -> list[Member]:
    if len(data) > LARGEST or data.count(b'"relpath"') > MOST:
        raise _bad(f"names more than {MOST:,} files, or has more than {LARGEST:,} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad("is no JSON") from error
    if not isinstance(found, list):
        raise _bad("is no JSON array")
    return [_member(entry) for entry in found]


def _member(entry: object) -> Member:
    if not isinstance(entry, dict):
        raise _bad("has an entry that is no mapping")
    path, md5 = entry.get("relpath"), entry.get("md5")
    if not isinstance(path, str) or not isinstance(md5, str):
        raise _bad("has an entry without a path or a hash")
    if not _MD5.fullmatch(md5) or md5.endswith(".dir"):
        raise _bad(f"names the hash {md5[:60]!a}, which is no MD5")
    try:
        return Member(check_path(path), md5)
    except BadPath as error:
        raise _bad(f"names the path {path[:60]!a}, which could lead out of it") from error


def _bad(what: str) -> BadFile:
    return BadFile(f"the listing of a directory {what}", path="")
