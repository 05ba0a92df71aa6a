"""The names of tags that make up the registry of models, in GTO's grammar, written and read.

Knows which name says what of which model, and which names, stages and counters are refused when
they are new. Knows neither the repository nor what a tag's message says; pure.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

from gittrack.errors import BadName

__all__ = [
    "ARCHIVED",
    "MOST_COUNTER",
    "PRODUCTION",
    "STAGES",
    "Action",
    "Event",
    "check_model",
    "check_new_model",
    "check_stage",
    "compose",
    "parse",
    "patterns",
    "resembled",
]

Action: TypeAlias = Literal["register", "unregister", "assign", "unassign", "deprecate"]
"""What a tag says: a version begins, or is taken back; a stage is given, or taken; a model ends."""

PRODUCTION = "production"
"""The stage whose version serves."""

STAGES = ("staging", PRODUCTION, "archived")
"""The stages that are offered first; any other may be used."""

ARCHIVED = "archived"
"""The stage that any number of versions may be in; every other has one holder."""

MOST_COUNTER = 999_999_999

_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9/_-]*[a-zA-Z0-9])?"
_MODEL = rf"(?:[a-zA-Z0-9_./-]+=)?{_NAME}"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PART = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = r"[0-9a-zA-Z-]+"
_SEMANTIC = (
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PART}(?:\.{_PART})*)?(?:\+{_BUILD}(?:\.{_BUILD})*)?"
)
_EVENT = re.compile(
    rf"(?P<model>{_MODEL})"
    rf"(?:(?:@v(?P<version>{_SEMANTIC})|#(?P<stage>{_NAME}))(?P<ends>!?)"
    r"|@(?P<deprecated>deprecated))"
    r"(?:#(?P<counter>[1-9][0-9]{0,8}))?"
)
# Compiled where they are needed: reading the registry needs none of them as a rule.
_LIKE = rf"(?P<model>{_MODEL})(?:@v?[0-9]|@deprecated|@created|#[^/]*#)"
_STAGE = r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?"
_RESERVED = frozenset(["latest", "greatest", "deprecated", "created", "none", "head"])
_OF_GIT = ("refs/", "tags/", "heads/", "remotes/")
_VERSION_LIKE = r"v?[0-9].*"
_LONGEST = 100
_LONGEST_TAG = 1000


class Event(NamedTuple):
    """What the name of a tag says.

    `version` is set where it is registered or unregistered, `stage` where one is given or taken;
    `counter` is None where the name has none, as of tags that GTO calls simple.
    """

    model: str
    action: Action
    version: str | None = None
    stage: str | None = None
    counter: int | None = None


def parse(tag: str) -> Event | None:
    """What a tag's name (without `refs/tags/`) says, None if it is not of our form.

    `churn@v1.2.0` registers, `churn@v1.2.0!` takes back, `churn#production#7` gives a stage and
    `churn#production!#8` takes it, `churn@deprecated` retires. The `=` that stands for the colon of
    a name is a colon again.
    """
    found = _EVENT.fullmatch(tag) if len(tag) <= _LONGEST_TAG else None
    if found is None:
        return None
    action: Action
    if found["deprecated"]:
        action = "deprecate"
    elif found["version"]:
        action = "unregister" if found["ends"] else "register"
    else:
        action = "unassign" if found["ends"] else "assign"
    counter = int(found["counter"]) if found["counter"] else None
    model = found["model"].replace("=", ":")
    return Event(model, action, found["version"], found["stage"], counter)


def compose(event: Event) -> str:
    """The name of the tag that says it, without `refs/tags/`; what `parse` reads back."""
    model = event.model.replace(":", "=")
    end = "" if event.counter is None else f"#{event.counter}"
    if event.action == "deprecate":
        return f"{model}@deprecated{end}"
    mark = "!" if event.action in ("unregister", "unassign") else ""
    if event.version is not None and event.stage is None:
        return f"{model}@v{event.version}{mark}{end}"
    return f"{model}#{event.stage}{mark}{end}"


def patterns(model: str) -> tuple[str, ...]:
    """What the names of a model's tags match, for `git for-each-ref`; empty if it can have none."""
    mark = model.replace(":", "=")
    if re.fullmatch(_MODEL, mark) is None:
        return ()
    # A stage of GTO's may have a slash, which no asterisk crosses.
    return f"{mark}@*", f"{mark}#*", f"{mark}#*/**"


def resembled(tag: str) -> str | None:
    """The model that a name which `parse` refuses was meant for, None if it does not look so."""
    found = re.match(_LIKE, tag)
    return None if found is None else found["model"].replace("=", ":")


def check_model(name: str) -> None:
    """Make sure that a model may be called so.

    Raises:
        BadName: it may not.
    """
    parts = name.split(":")
    good = (
        len(name) <= _LONGEST
        and re.fullmatch(_MODEL, name.replace(":", "=")) is not None
        and len(parts) <= 2
        and "=" not in name
        and not any(
            not part or part[0] in ".-" or part.endswith((".", ".lock")) or ".." in part
            for path in parts
            for part in path.split("/")
        )
    )
    if not good:
        raise BadName(
            f"'{name}' is no name for a model",
            hint="letters, digits, '-', '_' and '/', at most 100; the first and the last of them"
            " a letter or digit.",
        )


def check_new_model(name: str) -> None:
    """Make sure that a new model may be called so: one that there is goes on under its name.

    Raises:
        BadName: it may not.
    """
    check_model(name)
    if name == "HEAD" or name.startswith(_OF_GIT):
        raise BadName(
            f"'{name}' is no name for a model: Git has another meaning for it",
            hint="any but HEAD, and what begins with refs/, tags/, heads/ or remotes/.",
        )


def check_stage(name: str) -> None:
    """Make sure that a stage or alias may be called so.

    Raises:
        BadName: it may not.
    """
    if name in _RESERVED or re.fullmatch(_VERSION_LIKE, name):
        raise BadName(
            f"'{name}' is no name for a stage: it would be taken for a version",
            hint=f"such as {', '.join(STAGES)}.",
        )
    if len(name) > _LONGEST or re.fullmatch(_STAGE, name) is None:
        raise BadName(
            f"'{name}' is no name for a stage",
            hint="lower-case letters, digits, '-' and '_'; such as " + ", ".join(STAGES) + ".",
        )
