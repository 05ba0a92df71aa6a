"""What was decided about a model, told: in a sentence or as JSON, and how others get to know it.

Finds what a decision is about, and tells a name that nothing can have from one that nothing has.
Knows nothing of the rules; the registrar decides.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from gittrack.cli.output import wants_color
from gittrack.errors import ModelNotFound, UsageError

if TYPE_CHECKING:
    from gittrack.registrar import Outcome
    from gittrack.registry import Model, Registry, Version
    from gittrack.whereabouts import Place

__all__ = [
    "dry_option",
    "fields",
    "found_version",
    "masked",
    "model_named",
    "number",
    "reason_option",
    "remote",
    "share",
    "tell",
    "version_named",
]

# GitHub makes no event for tags where more of them arrive in one push.
_MOST_AT_ONCE = 3

Command = TypeVar("Command", bound=Callable[..., Any])


def reason_option(command: Command) -> Command:
    """Add `--reason` to a command."""
    return click.option(
        "--reason",
        metavar="TEXT",
        default="",
        callback=masked,
        help="Why, for those who read the history.",
    )(command)


def masked(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """The user's words, one text or several, without what looks like a secret, which is said."""
    from gittrack import secrets

    texts = [value] if isinstance(value, str) else value
    safe = [secrets.mask_words(text) for text in texts]
    if safe != list(texts):
        click.echo("masked what looks like a secret", err=True)
    return safe[0] if isinstance(value, str) else tuple(safe)


def dry_option(command: Command) -> Command:
    """Add `-n` and `--dry-run` to a command."""
    return click.option(
        "-n", "--dry-run", is_flag=True, help="Only say what would be decided; all rules are asked."
    )(command)


# -- what it is about -----------------------------------------------------------------------------


def model_named(place: Place, name: str) -> Model:
    """The model of this name.

    Raises:
        BadName: no model can be called so.
        ModelNotFound: there is none.
    """
    from gittrack import registry, tagging

    known = _known(place, name)
    try:
        return registry.find_model(known, name)
    except ModelNotFound:
        tagging.check_model(name)
        raise


def version_named(place: Place, selector: str, *, by_number: bool = False) -> Version:
    """The version that NAME@VERSION, NAME@STAGE, NAME@ALIAS or NAME@latest names.

    As `found_version`.
    """
    return found_version(place, selector, by_number=by_number)[0]


def found_version(
    place: Place, selector: str, *, by_number: bool = False
) -> tuple[Version, Registry]:
    """The version that NAME@VERSION, NAME@STAGE, NAME@ALIAS or NAME@latest names, and in what.

    The name of a model alone, which elsewhere means its latest version, is too little to decide
    upon. `by_number`: only NAME@VERSION will do, as what it means can never change.

    Raises:
        UsageError: it names no version, or not by its number.
        BadName: no model, version or stage can be called so.
        ModelNotFound: there is none.
    """
    from gittrack import registry

    named = registry.parse(selector)
    if named is None:
        raise UsageError(
            f"'{selector}' names no version of a model", hint="NAME@VERSION, such as churn@v1.0.0."
        )
    known = _known(place, named[0])
    try:
        found = registry.find_version(known, selector)
    except ModelNotFound:
        _check(known.models, *named)
        raise
    if by_number and named[1].removeprefix("v") != found.version:
        raise UsageError(
            f"'{selector}' may be another version tomorrow, and this is for ever",
            hint=f"it is {found.name} now.",
        )
    return found, known


def _known(place: Place, name: str) -> Registry:
    """The registry as far as it is about a model; where there is none of the name, all of it."""
    from gittrack import registry

    found = registry.read(place, name)
    return found if name in found.models else registry.read(place)


def _check(models: Container[str], name: str, what: str) -> None:
    """Raise BadName where a model, version or stage that is not there cannot be."""
    from gittrack import semver, tagging

    if name not in models:
        tagging.check_model(name)
    if what[:1].isdigit() or (what[:1] == "v" and what[1:2].isdigit()):
        semver.parse(what)
    elif what != "latest":
        tagging.check_stage(what)


# -- what became of it ----------------------------------------------------------------------------


def number(version: Version | None) -> str:
    """A version in a sentence about its model: `v1.2.0`, or `nobody`."""
    return "nobody" if version is None else f"v{version.version}"


def tell(
    place: Place, outcome: Outcome, sentence: str, *, as_json: bool, dry_run: bool = False
) -> None:
    """Print what became of a decision, and on stderr how the tags get to others."""
    from gittrack.quoting import one_line

    if as_json:
        from gittrack.exports import as_json as document

        click.echo(document(fields(outcome, dry_run)), nl=False)
    else:
        click.echo(one_line(sentence))
    if outcome.tags and not dry_run:
        share(place, outcome.tags)


def fields(outcome: Outcome, dry_run: bool) -> dict[str, object]:
    """What became of a decision, for a program; `planned` is what `--dry-run` says."""
    status: Literal["done", "notneeded", "planned"] = outcome.status
    if dry_run and status == "done":
        status = "planned"
    return {
        "status": status,
        "stage": outcome.stage,
        "tags": list(outcome.tags),
        "version": _said(outcome.known, outcome.version),
        "former": _said(outcome.known, outcome.former),
    }


def _said(known: Registry, version: Version | None) -> dict[str, object] | None:
    from gittrack import catalog

    return None if version is None else catalog.brief(known.models[version.model], version)


def share(place: Place, tags: Sequence[str], leading: int = 1) -> None:
    """Say on stderr how tags get to others, where there is a remote.

    The first `leading` ones are decisions, the others what follows from them. Where they are too
    many for hosts to start a pipeline by, decisions go first: without the others all is as decided.
    """
    from gittrack.quoting import printable

    where = remote(place)
    if where is None:
        return
    # A consequence without its decision would take a stage away: all or none, or not before it.
    parts = [tags[:leading], tags[leading:]] if len(tags) > _MOST_AT_ONCE else [tags]
    commands = " && ".join(_push(where, part) for part in parts if part)
    text = f"only here so far: {printable(commands)}"
    sys.stdout.flush()
    click.echo(f"\x1b[2m{text}\x1b[m" if wants_color(sys.stderr) else text, err=True)


def _push(where: str, tags: Sequence[str]) -> str:
    from gittrack.quoting import command_line

    together = ["--atomic"] if len(tags) > 1 else []
    return f"git push {command_line([*together, where, *tags])}"


def remote(place: Place) -> str | None:
    """The remote that tags would go to: the one that is set, else `origin`, else the only one."""
    known = sorted(
        {key[7:-4] for key in place.settings if key.startswith("remote.") and key.endswith(".url")}
    )
    chosen = place.setting("track.remote")
    for name in (chosen, "origin"):
        if name in known:
            return name
    return known[0] if len(known) == 1 else None
