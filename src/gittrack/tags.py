"""The tags of a repository, all read at once, without libgit2: names, targets, people, messages.

Knows how Git is asked for them and nothing of what any of them is for. Whatever stands in them may
be hostile.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from gittrack.errors import GitFailed
from gittrack.whereabouts import Place

__all__ = ["Tag", "read"]

_ROOT = "refs/tags/"
_FIELDS = (
    "refname",
    "objectname",
    "objecttype",
    "tag",
    "object",
    "type",
    "taggername",
    "taggeremail",
    "taggerdate:raw",
    "contents",
)
_LATEST = 253402300799  # the last second of the year 9999


class Tag(NamedTuple):
    """A tag: `name` without `refs/tags/`, `id` of what the ref points to.

    `is_annotated` says whether that is a tag object; of others the rest is empty. `own_name` is the
    name that the object itself has, `target` what it is on, `kind` of that `commit`, `tree`, `blob`
    or `tag`, or `broken` where it cannot be read. `moment` is in seconds since the epoch, None if
    it has none that makes sense.
    """

    name: str
    id: str
    is_annotated: bool
    own_name: str
    target: str
    kind: str
    by: str
    email: str
    moment: int | None
    message: str


def read(place: Place) -> list[Tag]:
    """All tags, sorted by name; what is not UTF-8 is replaced, but in names kept (PEP 383).

    Raises:
        GitFailed: Git cannot list them.
    """
    told = _asked(place, _ROOT)
    if told is not None:
        return told
    # One object that cannot be read makes Git give up on all.
    names = place.ask("for-each-ref", "--format=%(refname)%00%(objectname)%00", _ROOT)
    if names is None:
        raise GitFailed("git cannot list the tags", hint="`git for-each-ref refs/tags` says why.")
    found = []
    parts = names.split(b"\0")
    for name, id in zip(parts[0:-1:2], parts[1:-1:2], strict=True):
        full = os.fsdecode(name.lstrip(b"\n"))
        one = _asked(place, full)
        short = full.removeprefix(_ROOT)
        broken = Tag(short, id.decode(), False, "", "", "broken", "", "", None, "")
        found += [broken] if one is None else [tag for tag in one if tag.name == short]
    return found


def _asked(place: Place, pattern: str) -> list[Tag] | None:
    form = "%00".join(f"%({field})" for field in _FIELDS) + "%00"
    told = place.ask("for-each-ref", f"--format={form}", pattern)
    if told is None:
        return None
    parts = told.split(b"\0")
    width = len(_FIELDS)
    # Each line of Git's ends after our last NUL, and so the next name begins with it.
    return [_tag(parts[start : start + width]) for start in range(0, len(parts) - width, width)]


def _tag(parts: list[bytes]) -> Tag:
    name = parts[0].lstrip(b"\n").decode("utf-8", "surrogateescape").removeprefix(_ROOT)
    own = parts[3].decode("utf-8", "surrogateescape")
    id, kind, target, of, by, email, date, message = (
        part.decode("utf-8", "replace") for part in (*parts[1:3], *parts[4:])
    )
    return Tag(
        name, id, kind == "tag", own, target, of, by, email.strip("<>"), _moment(date), message
    )


def _moment(date: str) -> int | None:
    """The seconds in `1767268800 +0100`."""
    seconds = date.partition(" ")[0]
    if not seconds.isdigit() or len(seconds) > 12 or int(seconds) > _LATEST:
        return None
    return int(seconds)
