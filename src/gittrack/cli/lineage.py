"""`git track lineage`: what a run, a model or a file came from, and what was made from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from gittrack.cli.completing import run_names
from gittrack.cli.main import open_repo
from gittrack.cli.output import Screen, form_option, page, page_data, say, screen
from gittrack.cli.tree import walk

if TYPE_CHECKING:
    from gittrack.errors import RunNotFound
    from gittrack.git import Repo
    from gittrack.hashing import Hashed
    from gittrack.lineage import Graph, Link, Node, Way
    from gittrack.meter import Meter
    from gittrack.registry import Version

__all__ = ["lineage"]

_MOST_PATHS = 3
_MOST_METRICS = 4
_MD5 = 7
_NARROWEST = 20


def _targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What names a run, and the files that begin so once something is typed."""
    found = run_names(ctx, param, incomplete)
    above, slash, start = incomplete.rpartition("/")
    if not incomplete:
        return found
    try:
        with os.scandir(above + slash or ".") as entries:
            for entry in entries:
                hidden = entry.name.startswith(".") and not start.startswith(".")
                if entry.name.startswith(start) and not hidden:
                    end = "/" if entry.is_dir() else ""
                    found.append(CompletionItem(f"{above}{slash}{entry.name}{end}"))
    except OSError:
        pass
    return found


@click.command()
@click.argument(
    "target", metavar="[RUN|MODEL@VERSION|FILE]", default="latest", shell_complete=_targets
)
@click.option("--up", is_flag=True, help="Show what it came from. This is the default for a run.")
@click.option("--down", is_flag=True, help="Show what was made from it.")
@form_option("dot", "Print the graph in the language of Graphviz.")
@form_option("json", "Print the graph as JSON: nodes, and edges from cause to effect.")
@click.pass_context
def lineage(ctx: click.Context, target: str, up: bool, down: bool, form: str | None) -> None:
    """Show what a run or a file came from, or led to.

    Runs are linked where one read the bytes that another one kept, and by --input. A FILE is known
    by its content as it is now, and by its path in the records; ./NAME is always a file. Without
    --up and --down, a file that no run made is followed down: what must be run again when it
    changes. Of the runs of one step the newest comes first; older ones are marked.

    \b
    $ git track lineage
    $ git track lineage brave-crane --down
    $ git track lineage churn@production
    $ git track lineage --down data/raw.csv
    $ git track lineage model.joblib --dot | dot -Tsvg > model.svg
    """
    if up and down:
        raise click.UsageError("--up and --down do not go together", ctx)
    from gittrack.cli.progress import bar

    repo = open_repo(ctx)
    way: Way | None = "up" if up else "down" if down else None
    with bar() as meter:
        version, graph = _graph(repo, target, way, meter)
    if form == "json":
        page(repo, _as_json(repo, graph, version))
    elif form == "dot":
        page_data(repo, _as_dot(graph, version))
    else:
        shown = screen()
        lines = (
            _tree(repo, graph, shown) if version is None else _crowned(version, repo, graph, shown)
        )
        page(repo, "".join(line + "\n" for line in lines))
        if remark := _remark(repo, graph):
            say(remark)


# -- what is meant --------------------------------------------------------------------------------


def _graph(repo: Repo, target: str, way: Way | None, meter: Meter) -> tuple[Version | None, Graph]:
    """The graph of a file, if it is certainly one, else of a run, else of a file after all.

    With it the version of a model, if that is what was named: the graph is that of its run.

    Raises:
        RunNotFound, AmbiguousRun: neither a run nor a file that a run read or kept.
        ModelNotFound: a model was meant, and there is none, or no such version.
    """
    from gittrack import lineage, revisions
    from gittrack.errors import AmbiguousRun, RunNotFound

    said = target.startswith(("./", "../", "/"))
    there = os.path.lexists(target)
    found = _of_file(repo, target, way, meter) if said or (there and "/" in target) else None
    if found is not None:
        return None, found
    try:
        if said:
            raise RunNotFound("", selector=target)
        ref = revisions.resolve(repo, target)
    except (AmbiguousRun, RunNotFound) as error:
        found = _of_file(repo, target, way, meter)
        if found is not None:
            return None, found
        if not said and "@" not in target and (named := _latest(repo, target)):
            return _graph(repo, named, way, meter)
        if isinstance(error, AmbiguousRun) or not (there or said):
            raise
        raise _unknown(target, there) from error
    version = _version(repo, target, ref.commit)
    return version, lineage.of_run(repo, ref.commit, way or "up", meter=meter)


def _version(repo: Repo, target: str, commit: str) -> Version | None:
    """The version of a model that was named; None where it was the run itself."""
    if "@" not in target:
        return None
    from gittrack import provenance

    found = provenance.version(repo, target)
    return found if found is not None and found.commit == commit else None


def _latest(repo: Repo, name: str) -> str | None:
    """The latest version of the model of this name, None if there is none."""
    from gittrack import registry, whereabouts

    model = registry.read(whereabouts.of(repo)).models.get(name)
    return model.latest.name if model is not None and model.latest is not None else None


def _unknown(target: str, there: bool) -> RunNotFound:
    from gittrack.errors import RunNotFound
    from gittrack.quoting import command_line

    if not there:
        return RunNotFound(
            f"there is no '{target}', and no run here read or kept one",
            selector=target,
            hint="`git track show RUN` names the data and artifacts of a run.",
        )
    return RunNotFound(
        f"no run here read or kept '{target}'",
        selector=target,
        hint=f"`git track run --data {command_line([target])} -- COMMAND` records that a run "
        "reads it.",
    )


def _of_file(repo: Repo, target: str, way: Way | None, meter: Meter) -> Graph | None:
    from gittrack import lineage

    now = _content(repo, Path(target), meter)
    md5, size = (None, None) if now is None else (now.md5, now.size)
    for path in _names(repo, target):
        found = lineage.of_file(repo, path, md5, way or "up", size=size, meter=meter)
        if found is not None and way is None and len(found.nodes) == 1:
            return lineage.of_file(repo, path, md5, "down", size=size, meter=meter)
        if found is not None:
            return found
    return None


def _names(repo: Repo, target: str) -> list[str]:
    """What records call a path: relative to the top of the work tree, absolute outside of it."""
    from gittrack.quoting import utf8

    here = os.path.abspath(target)
    typed = utf8(os.path.normpath(target))
    if repo.root is None:
        return [typed]
    top = os.path.realpath(repo.root)
    above, name = os.path.split(here)
    place = os.path.join(os.path.realpath(above), name)
    relative = os.path.relpath(place, top)
    outside = relative == ".." or relative.startswith("../")
    names = [utf8(here if outside else relative)]
    # Also as a record has it, typed from a directory further down.
    return names if os.path.lexists(target) or outside else list(dict.fromkeys([*names, typed]))


def _content(repo: Repo, path: Path, meter: Meter) -> Hashed | None:
    """What is there now, None where nothing is that could be data."""
    if not os.path.lexists(path):
        return None
    from gittrack import hashing
    from gittrack.cache import open_stats
    from gittrack.errors import BadPath

    stats = open_stats(repo)
    try:
        return hashing.of(path.absolute(), stats=stats, meter=meter)
    except BadPath:
        return None
    finally:
        stats.flush()


# -- for people -----------------------------------------------------------------------------------


def _tree(repo: Repo, graph: Graph, shown: Screen) -> Iterator[str]:
    """The graph as a tree: what was drawn before is named again, and not drawn again."""
    steps = graph.steps()
    label = _Labels(graph)
    drawn: set[str] = set()
    roots: list[tuple[str, Link | None]] = [(graph.root, None)]

    def below(node: tuple[str, Link | None]) -> Sequence[tuple[str, Link | None]]:
        if node[0] in drawn:
            return ()
        drawn.add(node[0])
        return steps.get(node[0], ())

    for (key, link), lead in walk(roots, below):
        line = label.of(key, link)
        if link is None:
            line += _metrics(repo, graph.nodes[key])
        elif key in drawn and key in steps:
            line += "  (see above)"
        yield lead + _fitting(line, label.name(key), shown, len(lead))


def _crowned(version: Version, repo: Repo, graph: Graph, shown: Screen) -> Iterator[str]:
    """The tree beneath the version of a model whose run is its root."""
    from gittrack.cli.standing import standing
    from gittrack.quoting import one_line

    name = one_line(version.name)
    yield _fitting(f"{name}{standing(version)}", name, shown, 0)
    narrower = shown if shown.width is None else shown._replace(width=shown.width - 3)
    for place, line in enumerate(_tree(repo, graph, narrower)):
        yield f"{'└─ ' if place == 0 else '   '}{line}"


def _fitting(line: str, name: str, shown: Screen, used: int) -> str:
    """The line cut at the terminal's edge, its name bold if wanted."""
    from gittrack.cells import bold, cut

    if shown.width is not None:
        line = cut(line, max(shown.width - used, _NARROWEST))
    if shown.color and line.startswith(name):
        line = bold(name, True) + line[len(name) :]
    return line


class _Labels:
    """Nodes as lines of text; names with their experiment where there is more than one."""

    def __init__(self, graph: Graph) -> None:
        runs = [node.run for node in graph.nodes.values() if node.run is not None]
        self._whole = len({run.experiment for run in runs}) > 1
        self._graph = graph

    def of(self, key: str, link: Link | None = None) -> str:
        """A node's line; `link` is how it is reached."""
        from gittrack.cells import plain

        node = self._graph.nodes[key]
        parts = [node.md5[:_MD5]] if node.run is None and node.md5 else []
        if node.missing is not None:
            parts.append("not here")
        elif node.run is not None:
            parts = self._run_parts(node)
        if link is not None and link.paths and node.path is None:
            parts.append(f"({_listed(link.paths)})")
        return "  ".join([self.name(key), *(plain(part) for part in parts)])

    def name(self, key: str) -> str:
        """What a line begins with."""
        from gittrack.cells import plain

        node = self._graph.nodes[key]
        if node.run is not None:
            run = node.run
            name = f"{run.experiment}/{run.name}" if self._whole else run.name
        elif node.missing is not None:
            name = node.missing.run.removeprefix("runs/")
            name = name if self._whole else name.rpartition("/")[2]
        else:
            name = node.path or ""
        return plain(name)

    def _run_parts(self, node: Node) -> list[str]:
        from gittrack.quoting import command_line

        run = node.run
        assert run is not None
        parts = [] if run.status == "finished" else [str(run.status)]
        parts += ["deleted"] if run.deleted else []
        parts += ["older"] if node.older else []
        return [*parts, command_line(run.command)] if run.command else parts


def _metrics(repo: Repo, node: Node) -> str:
    """The leading metrics of a run, as its commit's subject has them."""
    if node.run is None:
        return ""
    from gittrack import commits
    from gittrack.cells import plain
    from gittrack.message import short
    from gittrack.refs import RunRef

    ref = RunRef(node.run.experiment, node.run.name, node.run.commit)
    for run in commits.listing(repo, [ref]).runs:
        leading = sorted(run.metrics.items())[:_MOST_METRICS]
        return "".join(f"  {plain(key)} {short(value)}" for key, value in leading)
    return ""


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - _MOST_PATHS
    text = ", ".join(paths[:_MOST_PATHS])
    return f"{text} and {more} more" if more > 0 else text


def _remark(repo: Repo, graph: Graph) -> str | None:
    """What the drawing alone does not say."""
    root = graph.nodes[graph.root]
    if any(node.missing for node in graph.nodes.values()):
        from gittrack import whereabouts
        from gittrack.cli.decisions import remote

        # A clone by plain Git brings no refs of runs.
        origin = remote(whereabouts.of(repo))
        return origin and f"git fetch {origin} 'refs/runs/*:refs/runs/*' brings all runs"
    if root.path is None:
        return None
    if graph.by_path:
        now = "it is not here" if root.md5 is None else "its content is another one now"
        return f"'{root.path}' was found by its path: {now}"
    if graph.way == "up" and len(graph.nodes) == 1:
        return f"no run here made '{root.path}'; --down shows what was made from it"
    if graph.way == "down" and len(graph.nodes) == 1:
        return f"no run here read '{root.path}'"
    return None


# -- for programs ---------------------------------------------------------------------------------


def _as_json(repo: Repo, graph: Graph, version: Version | None) -> str:
    from gittrack import exports

    return exports.as_json(
        {
            **({} if version is None else {"model": _fields(repo, version)}),
            "root": graph.root,
            "direction": graph.way,
            "nodes": [_node(node) for node in graph.nodes.values()],
            "edges": [
                {"source": link.source, "target": link.target, "paths": link.paths}
                for link in graph.links
            ],
        }
    )


def _fields(repo: Repo, version: Version) -> dict[str, Any]:
    from gittrack import catalog, registry, whereabouts

    known = registry.read(whereabouts.of(repo), version.model)
    return catalog.brief(known.models[version.model], version)


def _node(node: Node) -> dict[str, Any]:
    if node.run is not None:
        from gittrack.cells import jsonable

        return {"key": node.key, "kind": "run", **jsonable(node.run), "older": node.older}
    if node.missing is not None:
        given = node.missing
        named = {"run": given.run, "id": given.id, "commit": given.commit}
        return {"key": node.key, "kind": "missing", **named}
    return {"key": node.key, "kind": "file", "path": node.path, "md5": node.md5}


_SHAPES = {"run": "box", "missing": "box, style=dashed", "file": "note"}


def _as_dot(graph: Graph, version: Version | None = None) -> str:
    """The graph for Graphviz, from cause to effect. Source: its DOT language, quoted strings."""
    label = _Labels(graph)
    lines = ["digraph lineage {", "  rankdir=LR;"]
    for key, node in graph.nodes.items():
        words = "\\n".join(_escaped(part) for part in label.of(key).split("  ", 1))
        lines.append(f'  {_quoted(key)} [label="{words}", shape={_SHAPES[_kind(node)]}];')
    for link in graph.links:
        paths = f" [label={_quoted(_listed(link.paths))}]" if link.paths else ""
        lines.append(f"  {_quoted(link.source)} -> {_quoted(link.target)}{paths};")
    if version is not None:
        lines.append(f"  {_quoted(version.name)} [shape=component];")
        lines.append(f"  {_quoted(graph.root)} -> {_quoted(version.name)};")
    return "\n".join([*lines, "}"]) + "\n"


def _kind(node: Node) -> str:
    return "run" if node.run is not None else "missing" if node.missing is not None else "file"


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """In a label a backslash begins an escape, everywhere a quote ends the text."""
    from gittrack.quoting import one_line

    return one_line(text).replace("\\", "\\\\").replace('"', '\\"')
