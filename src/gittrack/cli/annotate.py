"""`git track tag`, `note`, `rename`, `archive`, `rm`, `restore`: say something of a run that ended.

Turns words of the command line into changes. The record itself is never touched.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from gittrack.cli.completing import deleted_runs, run_names
from gittrack.cli.main import open_repo

if TYPE_CHECKING:
    from gittrack.events import Change
    from gittrack.git import Repo
    from gittrack.summaries import Summary

__all__ = ["archive", "content", "note", "rename", "restore", "rm", "tag"]

_NAMED = 3
_LARGEST = 1 << 20

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.command()
@click.argument("run", shell_complete=run_names)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-d", "--delete", "gone", metavar="KEY", multiple=True, help="Take this tag away.")
@click.pass_context
def tag(ctx: click.Context, run: str, pairs: tuple[str, ...], gone: tuple[str, ...]) -> None:
    """Set, remove or print the tags of a run.

    \b
        $ git track tag amber-otter team=vision reviewed=yes
        $ git track tag amber-otter -d reviewed
        $ git track tag amber-otter
    """
    from gittrack.events import set_tag

    changes = [set_tag(*_pair(pair)) for pair in pairs] + [set_tag(key, None) for key in gone]
    repo = open_repo(ctx)
    found = _run(repo, run)
    if not changes:
        for key, value in sorted(found.tags.items()):
            _print(f"{key}={value}")
        return
    absent = [key for key in gone if key not in found.tags]
    if absent:
        raise _no_tag(found, absent[0])
    set_ones = _say(repo, found, changes)[: len(pairs)]
    said = [f"{change.key} = {change.value}" for change in set_ones]
    said += [f"{key} taken away" for key in gone]
    _print(f"{found.name}: {', '.join(said)}")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        from gittrack.errors import UsageError

        raise UsageError(f"'{text}' is no KEY=VALUE", hint=f"`{text}=yes` would be one.")
    return key, value


def _no_tag(run: Summary, key: str) -> Exception:
    from gittrack.errors import UnknownKey
    from gittrack.keys import nearest

    near = nearest(key, run.tags)
    listed = ", ".join(sorted(run.tags)) or "none"
    hint = f"did you mean '{near}'?" if near else f"its tags: {listed}."
    return UnknownKey(f"'{run.name}' has no tag '{key}'", key=key, hint=hint)


@click.command()
@click.argument("run", shell_complete=run_names)
@click.option("-m", "--message", metavar="TEXT", multiple=True, help="The note; several: a blank "
              "line between them.")  # fmt: skip
@click.option("-F", "--file", metavar="FILE", help="Take the note from a file, '-' for stdin.")
@click.pass_context
def note(ctx: click.Context, run: str, message: tuple[str, ...], file: str | None) -> None:
    """Add a note to a run.

    Without -m or -F, Git's editor opens. Notes are added, never changed.

    \b
        $ git track note amber-otter -m "The learning rate was too high."
        $ git track note latest -F notes.txt
    """
    from gittrack.errors import UsageError
    from gittrack.events import take_note

    if message and file is not None:
        raise UsageError("-m and -F do not go together", hint="'git track note -h' shows both.")
    repo = open_repo(ctx)
    found = _run(repo, run)
    if message:
        text = "\n\n".join(message)
    elif file is not None:
        text = content(file)
    else:
        text = _edited(repo, found)
    _say(repo, found, [take_note(text)])
    _print(f"{found.name}: note added")


def content(file: str) -> str:
    """The text in a file, `-` for stdin.

    Raises:
        BadFile: it cannot be read, has more than 1 MiB, or is not UTF-8.
    """
    from gittrack.errors import BadFile

    try:
        if file == "-":
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with open(file, "rb") as opened:
                data = opened.read(_LARGEST + 1)
    except OSError as error:
        raise BadFile(f"'{file}' cannot be read: {error.strerror}", path=file) from error
    if len(data) > _LARGEST:
        raise BadFile(f"'{file}' has more than 1 MiB: that is no text for people", path=file)
    try:
        return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise BadFile(f"'{file}' is not UTF-8 ({error.reason})", path=file) from error


def _edited(repo: Repo, run: Summary) -> str:
    """What the user writes in Git's own editor, without the lines that begin with `#`."""
    from gittrack.cli.editing import edited
    from gittrack.errors import BadValue

    form = (
        f"\n# A note on {run.name}. Lines starting with '#' are left out; an empty note is none.\n"
    )
    text = edited(repo, form, what="note")
    kept = [line for line in text.split("\n") if not line.startswith("#")]
    words = "\n".join(kept).strip()
    if not words:
        raise BadValue("the note is empty: nothing was written", hint="-m TEXT needs no editor.")
    return words


@click.command()
@click.argument("run", shell_complete=run_names)
@click.argument("title")
@click.pass_context
def rename(ctx: click.Context, run: str, title: str) -> None:
    """Give a run a title.

    The title is free text for people; the name, which is a Git ref, stays. An empty title takes
    the present one away.

    \b
        $ git track rename amber-otter "Baseline with 100 trees"
    """
    from gittrack.events import set_title

    change = set_title(title)
    repo = open_repo(ctx)
    found = _run(repo, run)
    [change] = _say(repo, found, [change])
    _print(f"{found.name}: titled '{change.value}'" if change.value else f"{found.name}: no title")


def _of_runs(complete: Callable[..., Any]) -> Callable[[_Command], _Command]:
    """The argument and the options of a command that is about several runs."""

    given = click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=complete)
    where = click.option(
        "--where", "query", metavar="QUERY", help="The runs that match, without RUN."
    )
    dry = click.option("-n", "--dry-run", is_flag=True, help="Only say which runs.")
    return lambda command: given(where(dry(command)))


@click.command()
@_of_runs(run_names)
@click.option("--undo", is_flag=True, help="Put them back into the listing.")
@click.pass_context
def archive(
    ctx: click.Context, runs: tuple[str, ...], query: str | None, dry_run: bool, undo: bool
) -> None:
    """Take runs out of the usual listing.

    `git track ls --archived` still lists them, and their names still find them. --where takes the
    queries of `git track ls`.

    \b
        $ git track archive amber-otter blue-heron
        $ git track archive --undo amber-otter
        $ git track archive --where "status = 'failed'" --dry-run
    """
    verb = (
        _Verb("unarchive", "archived", False, "back from the archive", "bring back")
        if undo
        else _Verb("archive", "archived", True, "archived", "archive")
    )
    _flag(ctx, runs, query, verb, dry_run)


@click.command()
@_of_runs(run_names)
@click.pass_context
def rm(ctx: click.Context, runs: tuple[str, ...], query: str | None, dry_run: bool) -> None:
    """Mark runs as deleted.

    Their commits stay where they are: `git track restore` brings them back. --where takes the
    queries of `git track ls`, and means archived runs, too.

    \b
        $ git track rm amber-otter
        $ git track rm --where "metrics.acc < 0.5" --dry-run
    """
    said = "deleted; `git track restore {name}` brings it back"
    _flag(ctx, runs, query, _Verb("delete", "deleted", True, said, "delete"), dry_run)


@click.command()
@_of_runs(deleted_runs)
@click.pass_context
def restore(ctx: click.Context, runs: tuple[str, ...], query: str | None, dry_run: bool) -> None:
    """Bring deleted runs back.

    A deleted run is found by its full name; `git track ls --deleted` lists them. --where takes the
    queries of `git track ls`.

    \b
        $ git track restore amber-otter-7f3kq2
        $ git track restore --where "user = 'Ada'"
    """
    _flag(ctx, runs, query, _Verb("restore", "deleted", False, "restored", "restore"), dry_run)


class _Verb(NamedTuple):
    """What is said of runs: `what` makes `attribute` of a run be `on`, which is `said` of it."""

    what: str
    attribute: str
    on: bool
    said: str
    will: str


def _flag(
    ctx: click.Context, selectors: Sequence[str], query: str | None, verb: _Verb, dry_run: bool
) -> None:
    """Say it of each run, after all of them were found; one that is so already stays so."""
    from gittrack.errors import UsageError

    if selectors and query is not None:
        raise UsageError("--where and RUN do not go together")
    if not selectors and query is None:
        raise click.MissingParameter(ctx=ctx, param_hint="'RUN...'", param_type="argument")
    repo = open_repo(ctx)
    if query is not None:
        if not query.strip():
            raise UsageError("the query is empty: it would mean every run")
        _flag_all(repo, query, verb, dry_run)
        return
    for found in [_run(repo, selector) for selector in dict.fromkeys(selectors)]:
        if getattr(found, verb.attribute) is verb.on:
            already = verb.attribute if verb.on else f"not {verb.attribute}"
            _print(f"{found.name}: {already} already")
        elif dry_run:
            _print(f"would {verb.will} {found.name}")
        else:
            _say(repo, found, [_change(verb)])
            _print(f"{found.name}: {verb.said.format(name=found.name)}")


def _matching(repo: Repo, query: str, verb: _Verb) -> list[Summary]:
    """The recorded runs that match and are not so yet; deleted ones only if it is about that."""
    from gittrack import whereabouts
    from gittrack.search import Question, open_search

    deleted = verb.attribute == "deleted" and not verb.on
    with open_search(whereabouts.of(repo)) as search:
        found = search.find(Question(query, deleted=deleted, live=False)).runs
    return [
        run
        for run in found
        if getattr(run, verb.attribute) is not verb.on and run.commit is not None
    ]


def _flag_all(repo: Repo, query: str, verb: _Verb, dry_run: bool) -> None:
    """Say it of the runs that match a query, and of how many."""
    found = _matching(repo, query, verb)
    if not found:
        click.echo("no run matches", err=True)
        return
    if dry_run:
        for run in found:
            _print(f"would {verb.will} {run.name}")
    else:
        _say_all(repo, [(run, [_change(verb)]) for run in found])
    count = f"{len(found):,} run{'s' * (len(found) != 1)}"
    hidden = sum(run.archived for run in found) if verb.what == "delete" else 0
    more = f", {hidden:,} of them archived" if hidden else ""
    said = f"would be {verb.said}" if dry_run else verb.said
    undo = _undo(found, query) if verb.what == "delete" and not dry_run else ""
    _print(f"{count} {said.partition(';')[0]}{more}{undo}")


def _undo(found: Sequence[Summary], query: str) -> str:
    """How these runs are had back: by name, or where there are many by the query."""
    from gittrack.quoting import command_line

    names = [run.name for run in found] if len(found) <= _NAMED else ["--where", query]
    them = "it" if len(found) == 1 else "them"
    return f"; `git track {command_line(['restore', *names])}` brings {them} back"


def _change(verb: _Verb) -> Change:
    from gittrack.events import Change

    return Change(verb.what)


def _run(repo: Repo, selector: str) -> Summary:
    """The run that a selector names, as it stands after what was said of it before."""
    from gittrack import commits
    from gittrack.annotations import overlay
    from gittrack.errors import BrokenRecord
    from gittrack.revisions import resolve

    ref = resolve(repo, selector)
    listed = commits.listing(repo, [ref])
    if not listed.runs:
        for problem in listed.problems:
            raise problem
        raise BrokenRecord(
            f"{ref.short}: the commit is not a run that gittrack recorded", where=ref.short
        )
    return overlay(repo, listed.runs)[0]


def _say(repo: Repo, run: Summary, changes: Sequence[Change]) -> list[Change]:
    """Say it, without what looks like a secret -> what was said."""
    masked = [_masked(change) for change in changes]
    _say_all(repo, [(run, masked)])
    if masked != list(changes):
        click.echo("masked what looks like a secret", err=True)
    return masked


def _say_all(repo: Repo, said: Sequence[tuple[Summary, Sequence[Change]]]) -> None:
    from datetime import datetime, timezone

    from gittrack.annotations import append_all

    append_all(repo, said, now=datetime.now(timezone.utc), random=os.urandom)


def _masked(change: Change) -> Change:
    from dataclasses import replace

    from gittrack import secrets

    # Taking away must name the tag as it is.
    if change.what == "untag" or change.value is None:
        return change
    if change.key is None:
        return replace(change, value=secrets.mask_words(change.value))
    key = secrets.mask_words(change.key)
    return replace(change, key=key, value=str(secrets.mask_value(key, change.value)))


def _print(text: str) -> None:
    from gittrack.quoting import one_line

    click.echo(one_line(text))
