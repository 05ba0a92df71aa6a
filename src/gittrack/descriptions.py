"""What people say of models and of their versions: notes on the tags of versions.

Knows where such a note is and to whom it belongs: the same lines say the same, whichever note holds
them. How notes are written and lines add up is `ledger`'s and `events`' to know. Where nothing was
said, that costs a look at files; else Git is asked, without libgit2.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from gittrack.events import Event
    from gittrack.git import Repo
    from gittrack.registry import Model, Registry, Version
    from gittrack.whereabouts import Place

__all__ = ["OWN", "ROOT", "describe", "problems", "read"]

ROOT = "refs/notes/models/"
OWN = "descriptions"
"""The file in the repository's `state` with what this clone said: `TAG EVENT`, a line each."""

_LARGEST = 1 << 20
_AT_ONCE = 1_000
_GREP = (
    *("grep", "-a", "-h", "-G", "--no-color", "--no-line-number", "--no-column"),
    *("--no-textconv", "--no-recurse-submodules", "-e", "^[1-9]"),
)


def read(place: Place, known: Registry) -> Mapping[str, str]:
    """The descriptions of models by their names, and of versions by `NAME@vVERSION`.

    What has none is not there. A note that cannot be read says nothing.

    Raises:
        GitFailed: there is no Git.
    """
    if _is_silent(place):
        return {}
    from gittrack.events import fold

    wanted = {_about(name): name for name in _names(known.models.values())}
    said: dict[str, list[Event]] = {}
    for event in _events(place):
        if event.run in wanted:
            said.setdefault(event.run, []).append(event)
    told = {name: fold(said[about]).description for about, name in wanted.items() if about in said}
    return {name: text for name, text in told.items() if text}


def problems(repo: Repo) -> list[str]:
    """Sentences about what cannot be read: notes, and lines in them that are damaged."""
    from gittrack.ledger import Ledger

    faults: list[str] = []
    said = Ledger(ROOT, OWN, on_commits=False).gather(repo, None, faults)
    faults += [f"models/{fault}" for one in said.values() for fault in one.faults]
    return sorted(dict.fromkeys(faults))


def describe(
    repo: Repo,
    what: Model | Version,
    text: str,
    *,
    now: datetime,
    random: Callable[[int], bytes],
) -> None:
    """Describe a model or a version; an empty text takes the description away.

    Safe against other processes and crashes, as `Ledger.append`. Of a model it is written on the
    tag of its lowest version.

    Raises:
        BadValue: the text has more than 32 KiB, or more was said than a note may hold.
        BadName: `track.writer` is no name.
        WriteFailed: the repository is read-only or full, or `refs/notes/models` is in the way.
        GitFailed: Git refused to write the note.
    """
    from gittrack.events import set_description
    from gittrack.ledger import Entry, Ledger

    tag = _tag(what)
    entry = Entry(_about(what.name), tag, [set_description(text)], what.name, None, what.name)
    Ledger(ROOT, OWN, on_commits=False).append(repo, [entry], now=now, random=random)


def _tag(what: Model | Version) -> str:
    """The id of the tag that the note is on."""
    from gittrack.registry import Version

    if isinstance(what, Version):
        return what.registered.id
    if what.versions:
        return what.versions[-1].registered.id
    assert what.deprecated is not None
    return what.deprecated.id


def _names(models: Iterable[Model]) -> list[str]:
    """What may be described: models and their versions."""
    models = list(models)
    return [
        *(model.name for model in models),
        *(version.name for model in models for version in model.versions),
    ]


def _about(name: str) -> str:
    """What stands in a line where of a run its id would: it outlives a change of all tags' ids."""
    import hashlib

    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


# -- reading without libgit2 ----------------------------------------------------------------------


def _is_silent(place: Place) -> bool:
    """Whether nothing was ever said: there is neither a note nor a line of our own."""
    if os.path.exists(os.path.join(place.state, OWN)):
        return False
    if os.path.exists(os.path.join(place.common_dir, ROOT)):
        return False
    try:
        with open(os.path.join(place.common_dir, "packed-refs"), "rb") as packed:
            return not _is_packed(packed)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _is_packed(lines: Iterable[bytes]) -> bool:
    """Whether a ref in a file `packed-refs` is a note of ours; stops where none can follow."""
    root = ROOT.encode()
    is_sorted = False
    for line in lines:
        name = line[41:]
        if line.startswith(b"#"):
            is_sorted = b" sorted" in line
        elif name.startswith(root):
            return True
        elif is_sorted and not line.startswith(b"^") and name > root:
            return False
    return False


def _events(place: Place) -> list[Event]:
    """Every event in every note, and those of this clone."""
    from gittrack.events import parse

    lines = _noted(place)
    if lines is None:
        return _slowly(place)
    try:
        with open(os.path.join(place.state, OWN), encoding="utf-8", errors="replace") as file:
            lines += [line.partition(" ")[2] for line in file]
    except OSError:
        pass
    found = (parse(line) for line in lines)
    return [event for event in found if event is not None]


def _noted(place: Place) -> list[str] | None:
    """The lines in the notes that may be events; None where Git cannot say."""
    told = place.ask(
        *("rev-list", "--objects", "--no-walk"),
        *(f"--filter=blob:limit={_LARGEST + 1}", f"--glob={ROOT}*"),
    )
    if told is None:
        return None
    notes = []
    for line in told.decode("utf-8", "replace").splitlines():
        id, _, path = line.partition(" ")
        # The trees in which notes fan out have shorter paths.
        if len(path.replace("/", "")) == len(id):
            notes.append(id)
    lines = []
    for start in range(0, len(notes), _AT_ONCE):
        found = place.ask(*_GREP, *notes[start : start + _AT_ONCE])
        if found is None:
            return None
        lines += found.decode("utf-8", "replace").split("\n")
    return lines


def _slowly(place: Place) -> list[Event]:
    """The same with libgit2, where something cannot be read or no note has a line."""
    from gittrack.ledger import Ledger

    said = Ledger(ROOT, OWN, on_commits=False).gather(place.repo, None, [])
    return [event for one in said.values() for event in one.events.values()]
