"""The tags of a repository, all read at once, without libgit2: names, targets, people, messages.

Knows how Git is asked for them and nothing of what any of them is for. Whatever stands in them may
be hostile.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from gittrack.errors import GitFailed
from gittrack.whereabouts import Place

__all__ = ["Tag", "read", "torn"]

_ROOT = "refs/tags/"
_TARGET = re.compile(rb"ref:|(?!0+\s*$)(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40})(?:\s|$)")
_FIELDS = ("refname", "objectname", "object", "type", "tag", "taggername", "taggeremail")
_FORM = (
    "%00".join(f"%({field})" for field in _FIELDS)
    # Of what a lightweight tag is on, a run as a rule, nobody wants the message.
    + "%00%(taggerdate:raw)%00%(if:equals=tag)%(objecttype)%(then)1%00%(contents)%(else)%00%(end)"
    + "%00"
)
_WIDTH = len(_FIELDS) + 3
_LATEST = 253402300799  # the last second of the year 9999
_AT_ONCE = 300


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


def read(place: Place, patterns: Sequence[str] = ()) -> list[Tag]:
    """All tags, sorted by name; what is not UTF-8 is replaced, but in names kept (PEP 383).

    With patterns only those whose names match one, as `git for-each-ref` takes them.

    Raises:
        GitFailed: Git cannot list them.
    """
    where = [_ROOT + pattern for pattern in patterns] or [_ROOT]
    told = _ask(place, f"--format={_FORM}", *where)
    if told is not None:
        return _listed(told)
    # One object that cannot be read makes Git give up on all.
    told = _ask(place, "--format=%(refname)%00%(objectname)%00", *where)
    if told is None:
        raise GitFailed("git cannot list the tags", hint="`git for-each-ref refs/tags` says why.")
    parts = told.split(b"\0")
    named = [
        (_short(_kept(name)), id.decode())
        for name, id in zip(parts[0:-1:2], parts[1:-1:2], strict=True)
    ]
    return _one_by_one(place, named)


def torn(place: Place) -> list[str]:
    """Names, sorted, of tags whose files hold no id, as after a power cut: Git leaves them out.

    Reads every file of a tag; those that are packed are whole.
    """
    found = []
    root = os.path.join(place.common_dir, _ROOT)
    for directory, _, files in os.walk(root):
        for name in files:
            # Git takes neither a lock nor a hidden file for a ref.
            if name.startswith(".") or name.endswith(".lock"):
                continue
            path = os.path.join(directory, name)
            if not _is_whole(path):
                found.append(os.path.relpath(path, root))
    return sorted(found)


def _is_whole(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return _TARGET.match(file.read(256)) is not None
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _ask(place: Place, *arguments: str) -> bytes | None:
    return place.ask("--no-replace-objects", "for-each-ref", *arguments)


def _listed(told: bytes) -> list[Tag]:
    fields: list[list[str]]
    try:
        parts = told.decode().split("\0")
        fields = [parts[n::_WIDTH] for n in range(_WIDTH)]
    except UnicodeDecodeError:
        raw = told.split(b"\0")
        fields = [
            [(_kept if n in (0, 4) else _shown)(part) for part in raw[n::_WIDTH]]
            for n in range(_WIDTH)
        ]
    # Each line of Git's ends after our last NUL, and so the next name begins with it.
    return [
        Tag(
            _short(name), id, mark == "1", own, on, kind, by, email.strip("<>"), _moment(date), text
        )
        for name, id, on, kind, own, by, email, date, mark, text in zip(*fields, strict=False)
    ]


def _short(name: str) -> str:
    return name.lstrip("\n").removeprefix(_ROOT)


def _kept(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _moment(date: str) -> int | None:
    """The seconds in `1767268800 +0100`."""
    seconds = date.partition(" ")[0]
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 12):
        return None
    return int(seconds) if int(seconds) <= _LATEST else None


# -- where an object is broken --------------------------------------------------------------------


def _one_by_one(place: Place, named: Sequence[tuple[str, str]]) -> list[Tag]:
    ids = list(dict.fromkeys(id for _, id in named))
    kinds: dict[str, str] = {}
    bodies: dict[str, bytes] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        kinds.update(_kinds(place, some))
        bodies.update(_bodies(place, [id for id in some if kinds.get(id) == "tag"]))
    return [_told(name, id, kinds, bodies) for name, id in named]


def _told(name: str, id: str, kinds: Mapping[str, str], bodies: Mapping[str, bytes]) -> Tag:
    if kinds.get(id) == "tag" and id in bodies:
        found = _parsed(name, id, bodies[id])
    elif id in kinds and kinds[id] != "tag":
        found = Tag(name, id, False, "", "", "", "", "", None, "")
    else:
        found = None
    return found or Tag(name, id, False, "", "", "broken", "", "", None, "")


def _kinds(place: Place, ids: Sequence[str]) -> dict[str, str]:
    """What kind of object each is; those that are missing are left out."""
    told = _batch(place, "--batch-check", ids)
    if told is None:
        return _halves(_kinds, place, ids)
    lines = [line.split(" ") for line in told.decode().splitlines()]
    return {words[0]: words[1] for words in lines if len(words) == 3}


def _bodies(place: Place, ids: Sequence[str]) -> dict[str, bytes]:
    """The content of each; those that cannot be read are left out."""
    told = _batch(place, "--batch", ids)
    if told is None:
        return _halves(_bodies, place, ids)
    found, start = {}, 0
    while start < len(told):
        end = told.index(b"\n", start)
        words = told[start:end].split(b" ")
        start = end + 1
        if len(words) == 3:
            size = int(words[2])
            found[words[0].decode()] = told[start : start + size]
            start += size + 1
    return found


_T = TypeVar("_T")


def _halves(
    ask: Callable[[Place, Sequence[str]], dict[str, _T]], place: Place, ids: Sequence[str]
) -> dict[str, _T]:
    """Ask for each half, since one of all stops Git; of what is alone there is nothing."""
    if len(ids) < 2:
        return {}
    middle = len(ids) // 2
    return {**ask(place, ids[:middle]), **ask(place, ids[middle:])}


def _batch(place: Place, how: str, ids: Iterable[str]) -> bytes | None:
    text = "".join(f"{id}\n" for id in ids)
    if not text:
        return b""
    return place.ask("--no-replace-objects", "cat-file", how, input=text.encode())


def _parsed(name: str, id: str, body: bytes) -> Tag | None:
    """A tag's object as Git shows it; None where it is none."""
    head, _, message = body.partition(b"\n\n")
    lines = head.split(b"\n")
    keys = [line.partition(b" ")[0] for line in lines]
    if keys[:3] != [b"object", b"type", b"tag"]:
        return None
    target, kind, own = (line.partition(b" ")[2] for line in lines[:3])
    by = email = date = b""
    if keys[3:4] == [b"tagger"]:
        by, _, rest = lines[3].partition(b" ")[2].partition(b"<")
        email, _, date = rest.partition(b">")
        # Git reads a number as far as it is one.
        date = date[1 : len(date) - len(date[1:].lstrip(b"0123456789"))]
    return Tag(
        name, id, True, _kept(own), _shown(target), _shown(kind), _shown(by.strip()),
        _shown(email), _moment(date.decode()),
        _shown(message.lstrip(b"\n").partition(b"\0")[0]),
    )  # fmt: skip
