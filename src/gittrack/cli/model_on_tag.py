"""`git track model on-tag`: what a pushed tag means, for a pipeline and its next steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from gittrack.cli.main import open_place
from gittrack.cli.output import json_option, say

if TYPE_CHECKING:
    from gittrack.meaning import Meaning

__all__ = ["on_tag"]

_MD5 = 7
_SAID = 200
_FREE = ("by", "email", "reason", "contested")


def _tags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The tags of the registry that begin so."""
    from gittrack import tagging, tags, whereabouts
    from gittrack.errors import GittrackError

    try:
        names = [tag.name for tag in tags.read(whereabouts.find())]
    except GittrackError:
        return []
    return [
        CompletionItem(name)
        for name in names
        if name.startswith(incomplete) and tagging.parse(name) is not None
    ]


@click.command("on-tag")
@click.argument("tag", metavar="TAG", shell_complete=_tags)
@click.option(
    "--dotenv",
    metavar="FILE",
    help="Also write a file of variables, MODEL and MODEL_VERSION among them, for GitLab.",
)
@json_option
@click.pass_context
def on_tag(ctx: click.Context, tag: str, dotenv: str | None, as_json: bool) -> None:
    """Say what a tag that was pushed means: for a pipeline that runs on tags.

    Says which model and version it is about, what was decided, and whether that still holds. TAG
    may begin with refs/tags/. Where GITHUB_OUTPUT names a file, as in GitHub Actions, the values
    are appended to it as outputs of the step. A tag that is none of the registry's, or does not
    count, is an error that says why.

    \b
    $ git track model on-tag churn@v1.2.0
    $ git track model on-tag "$GITHUB_REF" --json
    $ git track model on-tag "$CI_COMMIT_TAG" --dotenv model.env
    """
    from gittrack import meaning, outputs

    place = open_place(ctx)
    found = meaning.read(place, tag)
    _warn(found)
    asked = os.environ.get("GITHUB_OUTPUT")
    if asked:
        _append(asked, outputs.github(_values(found), mark=lambda: os.urandom(16).hex()))
    if dotenv is not None:
        named = {_variable(key): value[:_SAID] if key in _FREE else value
                 for key, value in _values(found).items()}  # fmt: skip
        _write(dotenv, outputs.dotenv(named))
    if as_json:
        from gittrack.exports import as_json as document

        click.echo(document(found.fields()), nl=False)
    else:
        click.echo("\n".join(_lines(found)))


def _warn(found: Meaning) -> None:
    """Say which tags are not here."""
    absent = []
    if found.missing:
        more = f" and {len(found.missing) - 3} more" if len(found.missing) > 3 else ""
        absent.append(f"{', '.join(found.missing[:3])}{more} did not come with this clone")
    if found.lacking is not None:
        absent.append(f"numbers {found.lacking} of {found.change.model} are missing here")
    if absent:
        say(
            f"warning: {'; '.join(absent)}: what holds now may not be what is said here\n"
            "hint: `git fetch --force origin 'refs/tags/*:refs/tags/*'` brings all tags."
        )


# -- for programs ---------------------------------------------------------------------------------


def _values(found: Meaning) -> dict[str, str]:
    """What the next steps get; text of any author last. What is not known is empty."""
    told = found.fields()
    run, artifact, former = (told[key] or {} for key in ("run", "artifact", "former"))
    names = [run.get("experiment") or "", run.get("name") or ""]
    values = {
        "model": told["model"],
        "action": told["action"],
        "version": told["version"],
        "stage": told["stage"],
        "alias": told["alias"],
        "current": told["current"],
        "holder": told["holder"],
        "former": former.get("version"),
        "tag": told["tag"],
        "because": told["because"],
        "commit": told["commit"],
        "run": "/".join(names) if all(names) else None,
        "run_id": run.get("id"),
        "artifact": artifact.get("path"),
        "artifact_md5": artifact.get("md5"),
        **{key: told[key] for key in _FREE},
    }
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _variable(key: str) -> str:
    return "MODEL" if key == "model" else f"MODEL_{key.upper()}"


def _append(path: str, text: str) -> None:
    """Add lines to a file that other steps may have written to, and not ended their line."""
    data = text.encode()
    with open(path, "a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            data = data if file.read(1) == b"\n" else b"\n" + data
        file.write(data)


def _write(path: str, text: str) -> None:
    Path(path).write_bytes(text.encode())


# -- for people -----------------------------------------------------------------------------------


def _lines(found: Meaning) -> list[str]:
    from datetime import datetime

    from gittrack.quoting import one_line

    told = found.fields()
    lines = [_sentence(found)]
    who = one_line(told["by"]) or "nobody says who"
    when = told["at"]
    day = f", {when:%Y-%m-%d %H:%M} UTC" if isinstance(when, datetime) else ""
    reason = f": {one_line(told['reason'])}" if told["reason"] else ""
    lines.append(f"  by {who}{day}{reason}")
    if told["artifact"]:
        md5 = (told["artifact"]["md5"] or "")[:_MD5]
        parts = [one_line(told["artifact"]["path"]), one_line(md5)]
        if told["run"] and told["run"]["name"]:
            parts += ["of", one_line(told["run"]["name"])]
        lines.append("  " + " ".join(part for part in parts if part))
    if told["contested"]:
        lines.append(f"  contested: {one_line(told['contested'])}")
    return lines


def _sentence(found: Meaning) -> str:
    """What the tag says, and what became of it."""
    change = found.change
    name = change.model if change.version is None else f"{change.model}@v{change.version}"
    if change.action == "deprecate":
        return f"{name} is deprecated"
    if change.action == "unregister":
        return f"{name} was taken back"
    if change.action == "register":
        return f"{name} is registered" if found.current else f"{name} was taken back since"
    holder = f"v{found.holder} does" if found.holder else "nobody does"
    unknown = f"whether it holds {'it' if change.action == 'assign' else change.stage} now is not"
    if change.action == "unassign" and found.current is None:
        return f"{change.stage} was taken from {name}; {unknown} known here"
    if change.action == "unassign":
        was = f"{name} does not hold {change.stage} any more"
        return was if found.current else f"{name} holds {change.stage} again"
    if found.current is None:
        return f"{name} was given {change.stage}; {unknown} known here"
    if not found.current:
        return f"{name} held {change.stage}; now {holder}"
    before = f"v{found.former.version}" if found.former else "nobody"
    return f"{name} holds {change.stage} (before: {before})"
