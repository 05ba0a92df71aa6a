"""`git track model show`: a model with its versions, or everything of one version."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from gittrack.cli.completing import versions as complete_versions
from gittrack.cli.main import open_place
from gittrack.cli.output import Screen, json_option, page, say, screen
from gittrack.cli.progress import bar
from gittrack.cli.standing import signed, who
from gittrack.tagging import ARCHIVED

if TYPE_CHECKING:
    from gittrack.catalog import Dossier
    from gittrack.inventory import Edition
    from gittrack.registry import Change, Model, Registry, Version
    from gittrack.report import Column
    from gittrack.whereabouts import Place

__all__ = ["show"]

_MOST_METRICS = 4
_MOST_ARCHIVED = 5
_SHORTEST = 20
_MOST_DATA = 40


@click.command()
@click.argument(
    "selector", metavar="NAME[@VERSION|@STAGE|@ALIAS]", shell_complete=complete_versions
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=0),
    default=50,
    metavar="N",
    help="Show the highest N versions of a model, 50 without this, and those that hold a stage.",
)
@json_option
@click.pass_context
def show(ctx: click.Context, selector: str, count: int, as_json: bool) -> None:
    """Show a model and its versions, or everything of one version.

    Of a version: who registered and promoted it, when and why, and the run that it is: its code,
    data, params and metrics, what it kept, and what came of the version since. NAME@latest is the
    highest version. 'git track show NAME@VERSION' has all of the run's record.

    \b
    $ git track model show churn
    $ git track model show churn@production
    $ git track model show churn@v1.2.0 --json
    """
    from gittrack import registry

    place = open_place(ctx)
    named = registry.parse(selector)
    known = registry.read_named(place, selector if named is None else named[0])
    if named is not None:
        _show_version(place, known, registry.find_version(known, selector), as_json)
        return
    model = registry.find_model(known, selector)
    from gittrack import descriptions, inventory

    texts = descriptions.read(place, known)
    slow: list[str] = []
    with bar() as meter:
        some = model.versions if as_json else _some(model, count)
        found = inventory.editions(place, some, meter=meter, warn=slow.append)
    for reason in slow:
        say(f"warning: {reason}")
    if as_json:
        from gittrack import exports

        page(place, exports.as_json(_fields(model, found, texts)))
        return
    page(place, _drawn(model, found, texts.get(model.name), screen()))


# -- a model --------------------------------------------------------------------------------------


def _fields(model: Model, found: Sequence[Edition], texts: Any) -> dict[str, Any]:
    from gittrack import catalog

    return {
        "model": model.name,
        "description": texts.get(model.name),
        "latest": None if model.latest is None else model.latest.version,
        "stages": {one.stage: one.version for one in model.holdings if not one.is_alias},
        "aliases": {one.stage: one.version for one in model.holdings if one.is_alias},
        "contested": [catalog.told(one) for one in model.contested],
        "deprecated": None if model.deprecated is None else catalog.said(model.deprecated),
        "versions": [
            catalog.brief(model, one.version)
            | ({} if one.run is None else {"run": _run(one), "metrics": dict(one.run.metrics)})
            | {"description": texts.get(one.version.name)}
            for one in found
        ],
    }


def _run(one: Edition) -> dict[str, Any]:
    assert one.run is not None
    run = one.run
    return {"id": run.id, "experiment": run.experiment, "name": run.name, "status": run.status}


def _some(model: Model, count: int) -> list[Version]:
    """The highest versions, and those that hold a stage or an alias."""
    return [
        one
        for place, one in enumerate(model.versions)
        if place < count or one.aliases or one.stage not in (None, ARCHIVED)
    ]


def _drawn(model: Model, found: Sequence[Edition], text: str | None, shown: Screen) -> str:
    from gittrack import report
    from gittrack.cells import bold

    live = sum(one.is_live for one in model.versions)
    count = f"{live:,} version{'s' * (live != 1)}"
    gone = len(model.versions) - live
    parts = [count, *([f"{gone:,} taken back"] if gone else [])]
    lines = [f"{bold(_line(model.name), shown.color)}  {', '.join(parts)}"]
    facts = list(_facts(model, text))
    width = max((len(key) for key, _ in facts), default=0)
    lines += [_cut(f"  {key:<{width}}  {value}", shown) for key, value in facts]
    blocks = ["\n".join(lines) + "\n"]
    if found:
        now = datetime.now(timezone.utc) if shown.is_terminal else None
        columns, values = _table(found, dated=now is None)
        spare = [n for n, column in enumerate(columns) if column.title in ("BY", "ALIASES")]
        drawn = report.sheet(
            columns, values, now=now, width=shown.width, color=shown.color, spare=spare[::-1]
        )
        more = len(model.versions) - len(found)
        blocks.append(drawn.text + (f"and {more:,} more (-n shows them)\n" if more else ""))
    if contested := _contested(model, shown):
        blocks.append(contested)
    return "\n".join(blocks)


def _facts(model: Model, text: str | None) -> Iterator[tuple[str, str]]:
    if text:
        yield "description", _words(text)
    if model.deprecated is not None:
        yield "deprecated", who(model.deprecated)
    for one in model.holdings:
        if one.stage != ARCHIVED and not one.is_alias:
            yield _line(one.stage), f"v{one.version}  {who(one.since)}"
    archived = [f"v{one.version}" for one in model.holdings if one.stage == ARCHIVED]
    if archived:
        more = len(archived) - _MOST_ARCHIVED
        others = f" and {more} more" if more > 0 else ""
        yield "archived", ", ".join(archived[-_MOST_ARCHIVED:]) + others
    for one in model.holdings:
        if one.is_alias:
            yield _line(one.stage), f"v{one.version}  (alias)"


def _table(found: Sequence[Edition], *, dated: bool) -> tuple[list[Column], list[Sequence[Any]]]:
    from gittrack.catalog import moment
    from gittrack.report import Column

    versions = [one.version for one in found]
    parts: list[tuple[str, str, Sequence[Any]]] = [
        ("", "VERSION", [f"v{one.version}" for one in versions]),
        ("", "STAGE", [one.stage if one.is_live else "(taken back)" for one in versions]),
    ]
    if any(one.aliases for one in versions):
        parts.append(("", "ALIASES", [", ".join(one.aliases) or None for one in versions]))
    parts += [
        ("name", "RUN", [one.run.name if one.run is not None else None for one in found]),
        ("", "WHEN" if dated else "AGE", [moment(one.registered) for one in versions]),
        ("", "BY", [one.registered.by for one in versions]),
    ]
    for key in _metrics(found):
        parts.append(("", key, [one.run and one.run.metrics.get(key) for one in found]))
    columns = [Column(key, title) for key, title, _ in parts]
    return columns, [values for _, _, values in parts]


def _metrics(found: Sequence[Edition]) -> list[str]:
    """The leading metrics of these versions, by name."""
    there = {key for one in found if one.run is not None for key in one.run.metrics}
    return sorted(there)[:_MOST_METRICS]


def _contested(model: Model, shown: Screen) -> str:
    from gittrack.cells import bold

    lines = []
    for one in model.contested:
        lines.append(f"{_line(one.stage or '')}: {_line(one.tag)}, {who(one)}")
        lines.append(f"  {_line(one.contested or '')}")
    if not lines:
        return ""
    lines.append(f"git track model promote {model.name}@VERSION STAGE --again decides anew")
    head = bold("contested", shown.color)
    return "\n".join([head, *(_cut(f"  {line}", shown) for line in lines)]) + "\n"


def _line(text: str) -> str:
    from gittrack.quoting import one_line

    return one_line(text.strip())


def _words(text: str) -> str:
    """What somebody wrote, its paragraphs on one line."""
    return _line(" ".join(text.split()))


def _cut(line: str, shown: Screen) -> str:
    from gittrack.cells import cut

    return line if shown.width is None else cut(line, max(shown.width, _SHORTEST))


# -- a version ------------------------------------------------------------------------------------


def _show_version(place: Place, known: Registry, version: Version, as_json: bool) -> None:
    from gittrack import catalog

    found = catalog.open_dossier(place, known, version)
    if as_json:
        from gittrack import chronicle, exports

        every = chronicle.deeds(found.model, full=True)
        own = [catalog.told(one.change) for one in every if one.change.version == version.version]
        here = _is_here(place, found)
        page(place, exports.as_json(found.fields() | {"here": here, "history": own}))
    else:
        page(place, _whole(place, found, screen()))
    for doubt in found.doubts:
        say(f"warning: {version.name}: {doubt}")


def _is_here(place: Place, found: Dossier) -> bool | None:
    """Whether the artifact is in the cache; None where it has none, or nobody can tell."""
    if found.artifact is None:
        return None
    from gittrack import glimpse

    md5 = found.artifact.md5
    # Of a linked work tree only `setup` knows the cache.
    own = place.root if place.git_dir == place.common_dir else None
    if glimpse.sees(place.state, own and os.path.join(own, ".dvc"), md5):
        return True
    from gittrack.cli.show import not_at_hand

    absent = not_at_hand(place.repo, [md5])
    return None if absent is None else not absent


def _whole(place: Place, found: Dossier, shown: Screen) -> str:
    from gittrack.cells import plain
    from gittrack.cli.show import block, listed

    run = found.run
    blocks = [_head(found, shown)]
    if run is not None:
        blocks += [
            listed("params", {key: plain(value) for key, value in run.params.items()}, shown),
            listed("metrics", {key: plain(value) for key, value in run.metrics.items()}, shown),
            block("data", _data(run.data), shown),
        ]
    blocks += [
        block("artifact", _artifact(place, found), shown),
        block("package", list(_package(found)), shown),
        block("history", _history(found), shown),
        block("next", _next(found), shown),
    ]
    return "\n".join(part for part in blocks if part)


def _head(found: Dossier, shown: Screen) -> str:
    from gittrack.cells import bold

    version = found.version
    marks = [version.stage or "", *(f"({name})" for name in version.aliases)]
    if not version.is_live:
        marks.append("taken back")
    if found.model.deprecated is not None:
        marks.append("of a deprecated model")
    words = "  ".join([bold(_line(version.name), shown.color), *(_line(m) for m in marks if m)])
    return "\n".join([words, *(f"  {key:<11} {value}" for key, value in _told(found))]) + "\n"


def _told(found: Dossier) -> Iterator[tuple[str, str]]:
    version = found.version
    if found.description:
        yield "description", _words(found.description)
    yield "registered", signed(version.registered)
    if version.registered.body:
        yield "message", _words(version.registered.body)
    if version.since is not None:
        yield _line(version.since.stage or ""), signed(version.since)
        if version.since.reason:
            yield "reason", _words(version.since.reason)
        if required := version.since.trailers.get("require"):
            yield "required", _line(required)
    if version.unregistered is not None:
        yield "taken back", signed(version.unregistered)
    if found.model.deprecated is not None:
        yield "deprecated", who(found.model.deprecated)
    for one in _doubtful(found):
        yield "contested", _line(f"{one.tag}: {one.contested}")
    yield "tag", _line(version.registered.tag)
    yield from _of_run(found)
    yield "commit", version.commit


def _doubtful(found: Dossier) -> list[Change]:
    from gittrack.catalog import contests

    own = [one for one in found.model.holdings if one.version == found.version.version]
    return contests(own)


def _of_run(found: Dossier) -> Iterator[tuple[str, str]]:
    run = found.run
    if run is None:
        return
    from gittrack.cells import status_text
    from gittrack.cli.show import when

    deleted = "  (deleted)" if run.deleted else ""
    title = f"  '{_line(run.title)}'" if run.title else ""
    status = status_text(run.status, False)
    yield "run", f"{_line(run.experiment)}/{_line(run.name)}  {status}{deleted}{title}"
    yield "ran", when(run)
    branch = f" on {_line(run.branch)}" if run.branch else ""
    changes = " + changes" if run.dirty else ""
    yield "code", (_line(run.base[:7]) if run.base else "no commit yet") + branch + changes


def _data(data: Mapping[str, str]) -> list[str]:
    """A line for each of the first files and directories that the run read, with its hash."""
    from gittrack.cells import align, cut, plain, width_of

    some = {path: cut(plain(path), 60) for path in sorted(data)[:_MOST_DATA]}
    wide = max(map(width_of, some.values()), default=0)
    lines = [f"{align(text, wide)}  {_line(data[path][:7])}" for path, text in some.items()]
    more = len(data) - len(some)
    return lines + ([f"and {more:,} more (--json lists them)"] if more else [])


def _artifact(place: Place, found: Dossier) -> list[str]:
    """Where the artifact is, and how large: a line, and what brings it if it is not here."""
    from gittrack.cells import size

    version, kept = found.version, found.artifact
    if version.artifact is None:
        return []
    if kept is None:
        return [_line(version.artifact)]
    amount = "" if kept.size is None else size(kept.size)
    if kept.nfiles is not None:
        amount += f" in {kept.nfiles:,} file{'s' * (kept.nfiles != 1)}"
    here = _is_here(place, found)
    where = {True: "in the cache", False: "not here", None: ""}[here]
    lines = ["  ".join(part for part in (_line(kept.path), kept.md5[:7], amount, where) if part)]
    if here is False:
        lines.append(f"git track model fetch {_line(version.name)} brings it from the data remote")
    return lines


def _package(found: Dossier) -> Iterator[str]:
    """What a model in MLflow's form says of itself; at least the flavours of the tag."""
    package = found.package
    if package is None:
        flavors = found.version.registered.trailers.get("flavors")
        if flavors:
            yield f"flavors       {_line(flavors)}"
        return
    named = (f"{name} {version}" if version else name for name, version in package.flavors.items())
    parts = {
        "flavors": ", ".join(named),
        "inputs": ", ".join(package.inputs or ()),
        "outputs": ", ".join(package.outputs or ()),
        "params": ", ".join(package.params or ()),
        "python": package.python or "",
        "requirements": ", ".join(package.requirements),
        "mlflow": package.mlflow_version or "",
    }
    for key, value in parts.items():
        if value:
            yield f"{key:<12}  {_line(value)}"


def _history(found: Dossier) -> list[str]:
    """The decisions that the version had a part in, the latest first."""
    from gittrack import chronicle

    number, lines = found.version.version, []
    by_tag = {one.tag: one for one in found.model.history}
    for deed in chronicle.deeds(found.model):
        change = deed.change
        replaced = by_tag.get(change.replaced or "")
        involved = {one.version for one in (change, replaced, *deed.consequences) if one}
        if number in involved:
            mark = "  (contested)" if change.contested else ""
            lines.append(f"{_line(deed.words)}, {who(change)}{mark}")
    return lines


def _next(found: Dossier) -> list[str]:
    """What is likely to be wanted of a version now."""
    version, model = found.version, found.model
    if not version.is_live:
        return [f"git track model history {_line(model.name)}"]
    lines = [f"git track model path {_line(version.name)}"] if version.artifact else []
    held = model.holding("production")
    if held is not None and held.version != version.version:
        lines.append(f"git track model diff {model.name}@production {version.name}")
    if version.stage != "production" and model.deprecated is None:
        lines.append(f"git track model promote {version.name} production")
    return [*lines, f"git track lineage {version.name}", f"git track show {version.name}"]
