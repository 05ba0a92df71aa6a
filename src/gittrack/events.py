"""What may be said of a run after it ended, and what it all adds up to.

Knows the event line, the order of events and what each does to a run: the state is a function of
the set of lines. Pure: knows nothing of notes, files and repositories.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from gittrack.errors import BadValue
from gittrack.keys import check_key
from gittrack.quoting import utf8

__all__ = [
    "LARGEST_COUNTER",
    "Change",
    "Event",
    "State",
    "compose",
    "fold",
    "parse",
    "resembles",
    "set_description",
    "set_tag",
    "set_title",
    "take_note",
]

LARGEST_COUNTER = 10**16 - 1
"""What the line has room for."""

_LONGEST_TEXT = 32 << 10
_LONGEST_JUMP = 1_000_000
_LINE = re.compile(r"([1-9][0-9]{0,15}) ([0-9a-f]{32}) ([0-9a-f]{32}) ([ -~]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody says of a run or model: a verb, and its `key` or `value` where it has one.

    Verbs: `tag` (key, value), `untag` (key), `note` (value), `title` (value, empty for none),
    `describe` (likewise), `archive`, `unarchive`, `delete`, `restore`.
    """

    what: str
    key: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One valid line: `counter` orders, `id` breaks ties, `run` says of which run, `body` what.

    `line` is the line itself: two lines are one event only if they are equal.
    """

    counter: int
    id: str
    run: str
    line: str
    body: Mapping[str, Any] = field(compare=False)


@dataclass(frozen=True, slots=True)
class State:
    """What the events of one run, or of one model, add up to.

    `title` is None where no event named one, empty where it was taken away. `tags` are the changes
    to the record's own tags; None stands for a tag that was taken away. `top` is the greatest
    counter in use. `faults` are sentences about events that were ignored. `description` is empty
    where there is none.
    """

    title: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    archived: bool = False
    deleted: bool = False
    notes: tuple[str, ...] = ()
    top: int = 0
    faults: tuple[str, ...] = ()
    description: str = ""


# -- what may be said ---------------------------------------------------------------------------


def set_tag(key: str, value: str | None) -> Change:
    """Give a tag a value, or take it away with None.

    Raises:
        BadName: the key is none.
        BadValue: the value has more than 32 KiB.
    """
    check_key(key)
    return Change("untag", key) if value is None else Change("tag", key, _bounded(value))


def take_note(text: str) -> Change:
    """Add a note to a run.

    Raises:
        BadValue: the text is empty or has more than 32 KiB.
    """
    if not text.strip():
        raise BadValue("the note is empty: nothing was written")
    return Change("note", value=_bounded(text.strip("\n")))


def set_title(text: str) -> Change:
    """Name a run for people, or with an empty text take its title away.

    Raises:
        BadValue: the text has a line break or more than 32 KiB.
    """
    if "\n" in text or "\r" in text:
        raise BadValue("a title is one line", hint="longer text: `git track note RUN -m TEXT`.")
    return Change("title", value=_bounded(text.strip()))


def set_description(text: str) -> Change:
    """Describe a model for people, or with an empty text take its description away.

    Raises:
        BadValue: the text has more than 32 KiB.
    """
    return Change("describe", value=_bounded(text.strip()))


def _bounded(text: str) -> str:
    text = utf8(text)
    if len(text.encode()) > _LONGEST_TEXT:
        raise BadValue(
            f"the text has {len(text.encode())} bytes, at most {_LONGEST_TEXT} are kept with a run",
            hint="keep long texts in a file of the repository, or log them as the run's output.",
        )
    return text


# -- the event line -----------------------------------------------------------------------------


def parse(line: str) -> Event | None:
    """Read one line: `<counter> <event id> <run id> <a JSON object in ASCII>`.

    None if it is no event: a remark by a person, or damaged. An event whose verb is not known is
    one all the same, for a later version to understand.
    """
    text = line.rstrip()
    parts = _LINE.fullmatch(text)
    if parts is None:
        return None
    try:
        body = json.loads(parts[4])
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("what"), str):
        return None
    return Event(int(parts[1]), parts[2], parts[3], text, body)


def resembles(line: str) -> bool:
    """Whether a line begins as events do: a counter, two ids, then nothing but ASCII.

    One that does and is none to `parse` is damaged; any other that is none is a remark.
    """
    return _LINE.fullmatch(line.rstrip()) is not None


def compose(
    counter: int,
    event: str,
    run: str,
    change: Change,
    *,
    by: str,
    at: str,
    of: str | None = None,
) -> str:
    """The line that `parse` reads: `change` said of the run `run` at `at`, an RFC 3339 time.

    `of` says for people what it is about where that is no run.
    """
    body: dict[str, Any] = {"what": change.what, "by": utf8(by), "at": at}
    if of is not None:
        body["of"] = of
    if change.key is not None:
        body["key"] = change.key
    if change.value is not None:
        body["value"] = change.value
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return f"{counter} {event} {run} {text}"


# -- folding ------------------------------------------------------------------------------------


def fold(events: Iterable[Event]) -> State:
    """Apply one run's events in the order of (counter, event id); times play no part.

    The same set gives the same state, whatever its order and however often an event stands in it.
    Where counters jump by more than 1,000,000, that event and all beyond it are quarantined:
    ignored and reported, so that one bad line cannot use the counter up.
    """
    ordered = sorted({event.line: event for event in events}.values(), key=_order)
    faults: list[str] = []
    tags: dict[str, str | None] = {}
    flags = {"archived": False, "deleted": False}
    title: str | None = None
    description = ""
    notes: list[str] = []
    top = 0
    for number, event in enumerate(ordered):
        if event.counter - top > _LONGEST_JUMP:
            faults.append(
                f"{len(ordered) - number} events ignored: their counter jumps from {top} to "
                f"{event.counter}"
            )
            break
        top = event.counter
        what: str = event.body["what"]
        key, value = event.body.get("key"), event.body.get("value")
        if what in _FLAGS:
            name, on = _FLAGS[what]
            flags[name] = on
        elif what == "untag" and _is_text(key):
            tags[key] = None
        elif what == "tag" and _is_text(key) and _is_text(value):
            tags[key] = value
        elif what == "note" and _is_text(value):
            notes.append(value)
        elif what == "title" and _is_text(value):
            title = value
        elif what == "describe" and _is_text(value):
            description = value
        elif what in _VERBS:
            faults.append(f"event {event.id[:8]} ignored: '{what}' without what it needs")
    return State(
        title,
        tags,
        **flags,
        notes=tuple(notes),
        top=top,
        faults=tuple(faults),
        description=description,
    )


_FLAGS: Mapping[str, tuple[str, bool]] = {
    "archive": ("archived", True),
    "unarchive": ("archived", False),
    "delete": ("deleted", True),
    "restore": ("deleted", False),
}
_VERBS = frozenset(["tag", "untag", "note", "title", "describe"])


def _order(event: Event) -> tuple[int, str, str]:
    return event.counter, event.id, event.line


def _is_text(value: object) -> TypeGuard[str]:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
