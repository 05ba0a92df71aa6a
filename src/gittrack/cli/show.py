"""`git track show`: everything of one run."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import Screen, json_option, page, say, screen

if TYPE_CHECKING:
    from gittrack.cli.subject import Subject
    from gittrack.git import Repo
    from gittrack.records import Artifact, Data, Run
    from gittrack.summaries import Number, Summary

__all__ = ["block", "listed", "not_at_hand", "show", "when"]

_MOST_FILES = 10
_MOST_LISTED = 40
_LONGEST = 200


@click.command()
@click.argument("selectors", metavar="[RUN]...", nargs=-1, shell_complete=run_names)
@click.option("-p", "--patch", is_flag=True, help="Show the code that the run changed, as a patch.")
@click.option("--log", is_flag=True, help="Show what the run wrote to the terminal.")
@json_option
@click.pass_context
def show(
    ctx: click.Context, selectors: Sequence[str], patch: bool, log: bool, as_json: bool
) -> None:
    """Show everything that is known of a run.

    Without RUN the latest one. Of a run that is running, called by its name or the beginning of
    it, what is known so far.

    \b
    $ git track show
    $ git track show amber-otter --patch
    $ git track show best:accuracy --json
    """
    from gittrack.cli.subject import subjects

    repo = open_repo(ctx)
    found = subjects(repo, selectors)
    if as_json:
        from gittrack import exports

        whole = [_fields(one, log=log, patch=patch) for one in found]
        page(repo, exports.as_json(whole if len(whole) > 1 else whole[0]))
        return
    shown = screen()
    if log or patch:
        from gittrack.cli.logs import drawn

        texts = []
        for one in found:
            texts += [drawn(one.output(), shown)] if log else []
            texts += [_patch(one, shown)] if patch else []
        page(repo, "".join(texts))
        return
    page(repo, "\n".join(_drawn(one, shown) for one in found))


def _patch(one: Subject, shown: Screen) -> str:
    base = one.run.code.base or one.repo.empty_tree()
    if not one.repo.exists(base):
        from gittrack.errors import GitFailed

        raise GitFailed(
            f"{one.short}: the base commit {base[:7]} is not here, so there is nothing to compare",
            hint="in a shallow clone, `git fetch --unshallow` brings it.",
        )
    from gittrack.cli.diff import patch

    refs = () if one.ref is None else (one.ref,)
    return patch(one.repo, base, one.code, *refs, color=shown.color)


def _fields(one: Subject, *, log: bool, patch: bool) -> dict[str, Any]:
    import json

    from gittrack import exports, vitals

    run, now = one.run, one.now
    made: dict[str, Any] = json.loads(exports.as_json(run))

    made |= {
        "system": {
            key: {"mean": mean, "peak": peak, "unit": vitals.unit(key)}
            for key, (mean, peak) in _system(one).items()
        },
        "title": now.title,
        "tags": dict(now.tags),
        "notes": list(now.notes),
        "archived": now.archived,
        "deleted": now.deleted,
        "ended_by": one.ended_by(),
    }
    absent = _absent(one)
    for item in made["artifacts"]:
        item["here"] = None if absent is None else item["md5"] not in absent
    if log:
        made["output"] = one.output().decode("utf-8", "backslashreplace")
    if patch:
        made["patch"] = _patch(one, Screen(None, 0, False))
    return made


def _drawn(one: Subject, shown: Screen) -> str:
    from gittrack.cells import plain
    from gittrack.quoting import printable

    run, now = one.run, one.now
    blocks = [
        _head(one, shown),
        listed("params", {key: plain(value) for key, value in run.params.items()}, shown),
        listed("metrics", _metrics(one), shown),
        listed("system", _costs(one), shown),
        listed("tags", {key: plain(value) for key, value in now.tags.items()}, shown),
        block("data", _contents(run.data), shown),
        _artifacts(run, _absent(one), shown),
        listed("inputs", {_input(given): given.id[:7] for given in run.inputs}, shown),
        listed("environment", _environment(run), shown),
        *(block("note", printable(note).split("\n"), shown) for note in now.notes),
        block("faults", [plain(fault) for fault in run.faults], shown),
    ]
    return "\n".join(block for block in blocks if block)


def _head(one: Subject, shown: Screen) -> str:
    from gittrack.cells import bold, duration, status_text

    run, now = one.run, one.now
    name = bold(run.name, shown.color)
    flags = "".join(f"  ({word})" for word in ("archived", "deleted") if getattr(now, word))
    status = status_text(run.status, shown.color)
    code = f" (exit {run.exit_code})" if run.exit_code else ""
    lines = [f"{name}  {status}{code}  {duration(_seconds(now))}{flags}"]
    lines += [f"  {key:<11} {value}" for key, value in _facts(one)]
    return "\n".join(lines) + "\n"


def _seconds(now: Summary) -> float | None:
    if now.status != "running":
        return now.duration
    return (datetime.now(timezone.utc) - now.started).total_seconds()


def _facts(one: Subject) -> Iterator[tuple[str, str]]:
    from gittrack.cells import cut
    from gittrack.quoting import command_line, one_line

    run, now = one.run, one.now
    if now.title:
        yield "title", one_line(now.title)
    if run.message:
        yield "message", one_line(run.message.strip())
    yield "experiment", one_line(run.experiment_title or run.experiment)
    yield "when", when(run)
    if error := one.ended_by():
        yield "ended by", cut(one_line(error), _LONGEST)
    yield "who", one_line(f"{run.user}@{run.host}" if run.host else run.user)
    if run.command:
        yield "command", command_line(run.command)
    if run.directory:
        yield "directory", one_line(run.directory)
    yield from _code_facts(one)
    yield from _notebook(one)
    if run.parent:
        yield "parent", one_line(run.parent_name or run.parent)
    if run.continues:
        yield "continues", one_line(run.continues)
    if run.output_bytes:
        from gittrack.cells import size

        yield "output", f"{size(run.output_bytes)} (--log shows it)"
    yield "id", one_line(run.id)
    if run.commit:
        yield "commit", run.commit


def when(run: Run | Summary) -> str:
    """From when to when a run ran, in local time, and how long ago."""
    from gittrack.cells import age

    local = run.started.astimezone()
    ago = age(run.started, datetime.now(timezone.utc))
    ended = f", ended {run.ended.astimezone():%H:%M:%S}" if run.ended else ""
    since = "just now" if ago == "just" else f"{ago} ago"
    return f"{local:%Y-%m-%d %H:%M:%S %z}{ended} ({since})"


def _code_facts(one: Subject) -> Iterator[tuple[str, str]]:
    """What code a run ran, as titles and lines: the base commit and what was changed upon it."""
    from gittrack.quoting import one_line

    run = one.run
    base = run.code.base[:7] if run.code.base else "no commit yet,"
    branch = f" on {run.code.branch}" if run.code.branch else ""
    base = base if branch else base.removesuffix(",")
    yield "code", one_line(base + branch) + _changes(one)
    for key, files in (
        ("new files", list(run.code.included)),
        ("left out", [f"{item.path} ({item.reason})" for item in run.code.skipped]),
        ("hidden", [f"{item.path} ({item.reason})" for item in run.code.hidden]),
    ):
        if files:
            more = f", and {len(files) - _MOST_FILES} more" if len(files) > _MOST_FILES else ""
            yield key, one_line(", ".join(files[:_MOST_FILES])) + more


def _notebook(one: Subject) -> Iterator[tuple[str, str]]:
    """The notebook, and where its cells are; at a prompt there are cells and no notebook."""
    from gittrack.quoting import one_line

    path = one.run.code.notebook
    count = one.cells() if one.run.source == "api" else 0
    if path:
        yield "notebook", one_line(path)
    if count:
        cells = f"{count} cell{'s' * (count != 1)}"
        yield "cells", f"{cells} (git show {one.short}:.gittrack/cells.py)"


def _changes(one: Subject) -> str:
    from gittrack.cli.diff import changes, stat
    from gittrack.errors import GitFailed

    run = one.run
    if not run.code.dirty or run.code.base is None:
        return ""
    try:
        refs = () if one.ref is None else (one.ref,)
        changed = changes(one.repo, run.code.base, one.code, *refs)
    except GitFailed:
        # A shallow clone may not have the base; the rest of the run is there.
        return " + changes (the base commit is not here)"
    # The new files have a line of their own.
    listed = set(run.code.included)
    others = [change for change in changed if change[0] != "A" or change[1] not in listed]
    parts = [stat(others)] if others else []
    if added := len(changed) - len(others):
        parts.append(f"{added} new file{'s' * (added != 1)}")
    return f" + {', '.join(parts)} (--patch shows it)" if parts else ""


def _metrics(one: Subject) -> dict[str, str]:
    from gittrack import series
    from gittrack.cells import cell, plain

    rows = series.Table.of(one.rows() if one.run.metrics else ())
    counts = rows.counts()
    made = {}
    for key, last in one.run.metrics.items():
        made[key] = plain(last)
        if counts.get(key, 0) < 2:
            continue
        values = [value for _, _, value in series.points(rows, key) if value == value]
        if len(values) > 1:
            low, high = (cell(pick(values)) for pick in (min, max))
            made[key] += f"  ({len(values)} points, {low} to {high})"
    return made


def _system(one: Subject) -> dict[str, tuple[float, Number]]:
    """The mean and the peak of each system metric that was sampled."""
    rows = one.rows(system=True)
    if not rows:
        return {}
    from gittrack import vitals

    return vitals.weigh(rows)


def _costs(one: Subject) -> dict[str, str]:
    """What the run cost its machine, in short: CPU, memory and GPUs; `plot` has it all."""
    import re

    made = {}
    for key, values in _system(one).items():
        if re.fullmatch(r"cpu|memory|gpu_[0-9]+(_memory)?", key):
            mean, peak = (_measured(key, value) for value in values)
            made[key] = f"{mean}  (peak {peak})"
    return made


def _measured(key: str, value: Number) -> str:
    from gittrack import vitals
    from gittrack.cells import cell, finite, size

    unit = vitals.unit(key)
    if unit == "bytes" and finite(value) and value >= 0:
        return size(round(value))
    return f"{cell(value)} {unit}".rstrip()


def _artifacts(run: Run, absent: frozenset[str] | None, shown: Screen) -> str:
    lines = _contents(run.artifacts, absent or ())
    if absent:
        lines.append(f"git track get {run.name} brings what is not here")
    return block("artifacts", lines, shown)


def _contents(found: Sequence[Data | Artifact], absent: Container[str] = ()) -> list[str]:
    """A line for each file or directory: its path, hash, size, and what else there is to say."""
    from gittrack.cells import align, cut, plain, size, width_of

    some = sorted(found, key=lambda item: item.path)[:_MOST_LISTED]
    paths = [cut(plain(item.path), 60) for item in some]
    sizes = [size(item.size) for item in some]
    wide, long = max(map(width_of, paths), default=0), max(map(len, sizes), default=0)
    lines = []
    for item, path, text in zip(some, paths, sizes, strict=True):
        notes = [f"{item.nfiles} file{'s' * (item.nfiles != 1)}"] if item.nfiles is not None else []
        notes += _data_notes(item)
        notes += ["not here"] if item.md5 in absent else []
        said = f"  ({plain(', '.join(notes))})" if notes else ""
        lines.append(f"{align(path, wide)}  {item.md5[:7]}  {text:>{long}}{said}")
    if more := len(found) - len(some):
        lines.append(f"and {more} more (--json lists them)")
    return lines


def _data_notes(item: Data | Artifact) -> list[str]:
    from gittrack.records import Data

    if not isinstance(item, Data):
        return []
    notes = [item.pointer] if item.pointer else []
    notes += ["modified"] if item.modified else []
    return notes + (["changed while it ran"] if item.changed else [])


def _absent(one: Subject) -> frozenset[str] | None:
    return not_at_hand(one.repo, [kept.md5 for kept in one.run.artifacts])


def not_at_hand(repo: Repo, md5s: Collection[str]) -> frozenset[str] | None:
    """Those hashes whose content is not whole in the cache: a look at the disk, no more.

    None where nobody can tell, because DVC's configuration makes no sense.
    """
    if not md5s:
        return frozenset()
    from gittrack import setup
    from gittrack.cache import open_cache
    from gittrack.errors import BadFile

    try:
        cache = open_cache(repo, setup.read(repo))
    except BadFile as error:
        say(f"warning: {error.message}")
        return None
    return frozenset(md5 for md5 in md5s if not cache.holds(md5))


def _input(given: Any) -> str:
    return f"{given.run}:{given.path}" if given.path else str(given.run)


def _environment(run: Run) -> dict[str, str]:
    from gittrack.cells import plain, size

    there = run.environment
    if there is None:
        return {}
    made = {
        "python": there.python or "",
        "platform": there.platform,
        "cpu": f"{there.cpu} ({there.cores} cores)" if there.cores else there.cpu,
        "memory": size(there.memory) if there.memory else "",
        "gpus": ", ".join(there.gpus),
        "packages": f"{len(there.packages)} (--json lists them)" if there.packages else "",
        "lock files": ", ".join(there.lock_files),
    }
    made |= {f"${name}": value for name, value in there.variables.items()}
    return {key: plain(value) for key, value in made.items() if value}


def listed(title: str, values: dict[str, str], shown: Screen) -> str:
    """A block of keys and values, sorted and aligned; nothing where there are none."""
    from gittrack.cells import align, cut, plain, width_of

    keys = {key: cut(plain(key), 60) for key in sorted(values)}
    width = max(map(width_of, keys.values()), default=0)
    lines = [f"{align(text, width)}  {values[key]}" for key, text in keys.items()]
    return block(title, lines, shown)


def block(title: str, lines: Sequence[str], shown: Screen) -> str:
    """Lines beneath a title, cut at the terminal's edge; nothing where there are none."""
    from gittrack.cells import bold, cut

    if not lines:
        return ""
    width = shown.width
    fitting = [cut(f"  {line}", width) if width else f"  {line}" for line in lines]
    return "\n".join([bold(title, shown.color), *fitting]) + "\n"
