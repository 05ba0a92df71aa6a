"""What came from what: the runs that a run was built from, and those that were built from it.

Knows how equal bytes link runs, how the links are followed, and when a run has fallen behind its
inputs. Asks the index, and opens no commit but that of a run which has no ref. Knows nothing of
drawing and of selectors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from gittrack import whereabouts
from gittrack.errors import GittrackError, RunNotFound
from gittrack.git import Repo
from gittrack.index import Index, Known, Used, open_index
from gittrack.message import time_text
from gittrack.meter import SILENT, Meter
from gittrack.records import Data, Input, Run

__all__ = [
    "Graph",
    "Link",
    "Node",
    "Stale",
    "Way",
    "inputs_of",
    "of_file",
    "of_run",
    "stale",
]

Way = Literal["up", "down"]
"""`up` to what something came from, `down` to what was made from it."""


_MOST_LISTINGS = 16
_MOST_MEMBERS = 10_000
_TINY = 16
"""Bytes below which content says little: `1`, `done` and `0.5` are made again and again."""
_EMPTY = frozenset({"d41d8cd98f00b204e9800998ecf8427e", "d751713988987e9331980363e24189ce.dir"})
"""No file and no directory is the work of anybody: all empty ones are alike."""


# -- inputs of a new run --------------------------------------------------------------------------


def inputs_of(
    repo: Repo, data: Sequence[Data], *, before: datetime | None = None
) -> tuple[Input, ...]:
    """The runs that kept the bytes which `data` says were read, in the order of `data`.

    Each run stands once for each artifact that was read of it. Of several runs that kept the same
    bytes it is the one that kept them under the path they were read from; then one that finished;
    then the one that began last, by name where two began at once. Runs that began after `before`,
    the moment of reading, cannot have made it. Deleted runs are left out, empty files lead
    nowhere, and content under 16 bytes only to what has the same last name. A run that read these
    bytes itself did not make them; it counts where it kept them under the path they were read from,
    and had them from another. A file is also found in a directory that a run kept, where this clone
    has the directory's listing and its last name stands in the file's path.

    Costs a millisecond once the index knows the runs.

    Raises:
        GitFailed: Git cannot list the refs.
    """
    wanted = [item for item in data if item.size and item.md5 not in _EMPTY]
    if not wanted:
        return ()
    with open_index(whereabouts.of(repo)) as index:
        makers = _Makers(repo, index, wanted, None if before is None else time_text(before))
        found: dict[tuple[str, str], Input] = {}
        for item in wanted:
            used = makers.of(item)
            if used is not None:
                run = used.run
                one = Input(run.short, run.id, run.commit, used.path)
                found.setdefault((run.commit, used.path), one)
    return tuple(found.values())


class _Makers:
    """Who made the bytes of some files: of several the likeliest, as `inputs_of` says."""

    def __init__(
        self, repo: Repo, index: Index, files: Sequence[Data], before: str | None = None
    ) -> None:
        self._repo = repo
        self._index = index
        self._files = files
        self._before = before
        self._kept = index.producers(item.md5 for item in files)
        self._folders: _Folders | None = None
        self._read: dict[str, Mapping[str, str]] = {}

    def of(self, item: Data) -> Used | None:
        """The run that made this, and what it called it; None if there is none."""
        same = self._kept.get(item.md5, [])
        if item.size < _TINY:
            same = [used for used in same if _last(used.path) == _last(item.path)]
        return self._likeliest(same, item) or self._likeliest(self._around(item), item)

    def _around(self, item: Data) -> list[Used]:
        """The directories that runs kept with this in them."""
        if self._folders is None:
            self._folders = _Folders(self._repo, self._index, self._files)
        return self._folders.with_file(item.path, item.md5)

    def _likeliest(self, candidates: Sequence[Used], item: Data) -> Used | None:
        """The first of equals, who come newest first."""

        def unlikely(used: Used) -> tuple[bool, bool]:
            return not _is_at(item.path, used.path), used.run.status != "finished"

        early = [u for u in candidates if self._before is None or u.run.started <= self._before]
        ordered = sorted(early, key=unlikely)
        return next((used for used in ordered if not self._passed_on(used, item)), None)

    def _passed_on(self, used: Used, item: Data) -> bool:
        """Whether the run had the bytes before, and did not bring them to where they were read."""
        commit = used.run.commit
        if commit not in self._read:
            self._read[commit] = self._index.files([commit], kept=False).get(commit, {})
        had = [path for path, md5 in self._read[commit].items() if md5 in (item.md5, used.md5)]
        if not had or not _is_at(item.path, used.path):
            return bool(had)
        return any(_is_at(item.path, path) for path in had)


def _is_at(path: str, place: str) -> bool:
    return path == place or path.startswith(place + "/")


def _last(path: str) -> str:
    return path.rpartition("/")[2]


class _Folders:
    """The directories that runs kept and that may hold some of these files."""

    def __init__(self, repo: Repo, index: Index, files: Sequence[Data]) -> None:
        names = {name for item in files for name in item.path.split("/")[:-1] if name}
        self._repo = repo
        self._known = index.folders(sorted(names)) if names else []
        self._listings: dict[str, dict[str, str]] = {}

    def with_file(self, path: str, md5: str) -> list[Used]:
        """Those that hold this file under this path."""
        return [
            used for used, inner in self._places(path) if self._listing(used.md5).get(inner) == md5
        ]

    def _places(self, path: str) -> list[tuple[Used, str]]:
        """Where the file would be in each: newest first, of 16 different listings at most."""
        found: list[tuple[Used, str]] = []
        seen: set[str] = set()
        for used in self._known:
            inner = _inner(path, used.path)
            if inner and (used.md5 in seen or len(seen) < _MOST_LISTINGS):
                seen.add(used.md5)
                found.append((used, inner))
        return found

    def _listing(self, md5: str) -> dict[str, str]:
        """The files of a directory, path -> md5; none where it is not here, or has too many."""
        if md5 not in self._listings:
            self._listings[md5] = {}
            try:
                from gittrack import cache, setup

                opened = cache.open_cache(self._repo, setup.read(self._repo))
                members = opened.members(md5)
            except GittrackError:
                return {}
            if len(members) <= _MOST_MEMBERS:
                self._listings[md5] = {member.path: member.md5 for member in members}
        return self._listings[md5]


def _inner(path: str, folder: str) -> str:
    """Where in a directory of that name the file would be, empty if it cannot be there."""
    if path.startswith(folder + "/"):
        return path[len(folder) + 1 :]
    last = folder.rpartition("/")[2]
    return f"/{path}".partition(f"/{last}/")[2]


# -- graphs ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """A run, a run that is not here (`missing`), or a file (`path`, `md5`) that no run here made.

    `key` tells it from the others of a graph. On the way down a run is `older` where a later one of
    the same step was made from the same thing, or where it has fallen behind and was run again, as
    `stale` says.
    """

    key: str
    run: Known | None = None
    missing: Input | None = None
    path: str | None = None
    md5: str | None = None
    older: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """`target` was made from `source`, both keys of nodes, by reading `paths`, sorted."""

    source: str
    target: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """What can be reached from `root` on one way, nodes in the order in which they were met.

    `by_path` says of a file that no run has its content of now, and that its path led on.
    """

    root: str
    way: Way
    nodes: Mapping[str, Node]
    links: tuple[Link, ...]
    by_path: bool = False

    def steps(self) -> dict[str, list[tuple[str, Link]]]:
        """From each node that leads on: the keys of the next ones, in their order."""
        found: dict[str, list[tuple[str, Link]]] = {}
        for link in self.links:
            here, there = link.source, link.target
            if self.way == "up":
                here, there = there, here
            found.setdefault(here, []).append((there, link))
        return found


@dataclass(slots=True)
class _Sketch:
    """A graph as it grows."""

    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def add(self, node: Node) -> bool:
        """Put a node in -> whether it is a new one."""
        new = node.key not in self.nodes
        self.nodes.setdefault(node.key, node)
        return new

    def mark(self, older: Collection[str]) -> None:
        """Say of the runs at these commits that there are later ones."""
        for key in older:
            if key in self.nodes:
                self.nodes[key] = replace(self.nodes[key], older=True)

    def link(self, source: str, target: str, paths: Iterable[str]) -> None:
        self.links.setdefault((source, target), set()).update(paths)

    def graph(self, root: str, way: Way, *, by_path: bool = False) -> Graph:
        links = (Link(*ends, tuple(sorted(paths))) for ends, paths in self.links.items())
        return Graph(root, way, self.nodes, tuple(links), by_path)


def of_run(repo: Repo, commit: str, way: Way, *, meter: Meter = SILENT) -> Graph:
    """What the run at `commit` came from, or what was made from it, however far away.

    Up, the files that no input run explains are leaves. Deleted runs are among what something came
    from, and not among what was made from it.

    Raises:
        RunNotFound: there is no run that can be read at this commit.
        GitFailed: Git cannot list the refs.
    """
    with open_index(whereabouts.of(repo), meter=meter) as index:
        run, record = index.by_commits([commit]).get(commit), None
        if run is None:
            record = _without_ref(repo, commit)
            run = _known(record, commit)
        sketch = _Sketch({commit: Node(commit, run)})
        if way == "up":
            _climb(index, sketch, [run], record)
        else:
            _descend(index, sketch, [run])
        return sketch.graph(commit, way)


def _without_ref(repo: Repo, commit: str) -> Run:
    """The record of a run that the index does not have: a clone by plain Git brings tags alone.

    Raises:
        RunNotFound: there is none, or a ref leads to it and it cannot be read.
    """
    from gittrack import commits

    try:
        ref = commits.identify(repo, commit)
        if ref is not None:
            return commits.load(repo, ref)
    except GittrackError:
        pass
    raise RunNotFound(
        f"no run that can be read at {commit[:7]}",
        selector=commit,
        hint="`git track show` says what is wrong with it.",
    )


def _known(run: Run, commit: str) -> Known:
    return Known(
        run.experiment, run.name, commit, run.id, run.status, time_text(run.started), run.command
    )


def of_file(
    repo: Repo,
    path: str,
    md5: str | None,
    way: Way,
    *,
    size: int | None = None,
    meter: Meter = SILENT,
) -> Graph | None:
    """What made a file, or what was made from it; None where no run of this repository names it.

    `path` is as records have it, `md5` its content now, None where there is none, `size` its bytes,
    None: enough of them to tell it from others. Up: the run that `inputs_of` would find by content,
    else the newest one that kept the path. Down: the runs that read these bytes, or this path
    whatever was in it then, a directory above it or a file below it; and all that was made from
    them.

    Raises:
        GitFailed: Git cannot list the refs.
    """
    with open_index(whereabouts.of(repo), meter=meter) as index:
        root = Node(f"file:{path}", path=path, md5=md5)
        sketch = _Sketch({root.key: root})
        now = (
            None
            if md5 is None or md5 in _EMPTY
            else Data(path, md5, _TINY if size is None else size)
        )
        maker = None if now is None else _Makers(repo, index, [now]).of(now)
        users = _users(index, path, now)
        kept = index.keepers_of(path)[:1] if maker is None else [maker]
        if not kept and not users:
            return None
        if way == "down":
            _descend(index, sketch, _place(sketch, [(root.key, *user) for user in users]))
            return sketch.graph(root.key, way)
        for used in kept:
            sketch.add(Node(used.run.commit, used.run))
            sketch.link(used.run.commit, root.key, [used.path])
        _climb(index, sketch, [used.run for used in kept])
        return sketch.graph(root.key, way, by_path=bool(kept) and maker is None)


def _users(index: Index, path: str, now: Data | None) -> list[tuple[Known, list[str]]]:
    """Who read the file, newest first, and under which paths."""
    found: dict[str, tuple[Known, list[str]]] = {}
    same = [] if now is None else index.readers([now.md5]).get(now.md5, [])
    if now is not None and now.size < _TINY:
        same = [used for used in same if _last(used.path) == _last(path)]
    for used in [*index.readers_of(path), *same]:
        found.setdefault(used.run.commit, (used.run, []))[1].append(used.path)
    return sorted(found.values(), key=lambda pair: pair[0].started, reverse=True)


def _climb(index: Index, sketch: _Sketch, runs: Sequence[Known], record: Run | None = None) -> None:
    """Add all that these runs came from, a generation at a time.

    `record` is of the only one of them where the index does not have it.
    """
    while runs:
        commits = [run.commit for run in runs]
        inputs = index.inputs(commits)
        read = index.files(commits, kept=False)
        if record is not None:
            inputs = {commits[0]: list(record.inputs)}
            read = {commits[0]: {item.path: item.md5 for item in record.data}}
            record = None
        found = _Resolved(index, [one for given in inputs.values() for one in given])
        above: list[Known] = []
        for run in runs:
            left = dict(read.get(run.commit, {}))
            links = []
            for one in inputs.get(run.commit, []):
                node = found.node(one)
                if node.key == run.commit:
                    continue
                paths = found.explained(one, left)
                links.append((node, paths))
            explained = {path for _, paths in links for path in paths}
            for path, md5 in left.items():
                if path not in explained:
                    leaf = Node(f"file:{path}:{md5}", path=path, md5=md5)
                    sketch.add(leaf)
                    sketch.link(leaf.key, run.commit, [path])
            for node, paths in links:
                sketch.link(node.key, run.commit, paths)
                if sketch.add(node) and node.run is not None:
                    above.append(node.run)
        runs = above


class _Resolved:
    """The runs that some inputs name, found by commit, else by id, and what they kept."""

    def __init__(self, index: Index, inputs: Sequence[Input]) -> None:
        self._commits = index.by_commits(one.commit for one in inputs)
        gone = [one.id for one in inputs if one.commit not in self._commits]
        self._ids = index.by_ids(gone)
        known = [*self._commits, *(run.commit for run in self._ids.values())]
        self._kept = index.files(known, kept=True)

    def run(self, one: Input) -> Known | None:
        return self._commits.get(one.commit) or self._ids.get(one.id)

    def node(self, one: Input) -> Node:
        run = self.run(one)
        return Node(f"missing:{one.id}", missing=one) if run is None else Node(run.commit, run)

    def explained(self, one: Input, read: Mapping[str, str]) -> list[str]:
        """Which of the files that were read came from this input: by content, else by place."""
        run = self.run(one)
        kept = {} if run is None else self._kept.get(run.commit, {})
        bytes_kept = set(kept.values())
        same = [path for path, md5 in read.items() if md5 in bytes_kept]
        if same:
            return same
        folders = [path for path, md5 in kept.items() if md5.endswith(".dir")]
        folders += [one.path] if one.path else []
        return [
            path
            for path in read
            if any(path == folder or path.startswith(folder + "/") for folder in folders)
        ]


def _descend(index: Index, sketch: _Sketch, runs: Sequence[Known]) -> None:
    """Add all that was made from these runs, a generation at a time."""
    while runs:
        commits = {run.commit for run in runs}
        ids = {run.id: run.commit for run in runs}
        pairs = index.dependants(runs)
        found = _Resolved(index, [one for _, one in pairs])
        read = index.files([run.commit for run, _ in pairs], kept=False)
        placed = []
        for run, one in pairs:
            source = one.commit if one.commit in commits else ids.get(one.id)
            if source is not None and source != run.commit:
                paths = found.explained(one, read.get(run.commit, {}))
                placed.append((source, run, paths))
        runs = _place(sketch, placed)
    behind = _Standing(index).stale()
    sketch.mark([commit for commit, why in behind.items() if why.again is not None])


def _place(sketch: _Sketch, placed: Sequence[tuple[str, Known, Sequence[str]]]) -> list[Known]:
    """Add runs below others, of each step the newest first -> those that are new.

    They come newest first.
    """
    first: set[tuple[str, object]] = set()
    newest: list[tuple[str, Known, Sequence[str], bool]] = []
    older: list[tuple[str, Known, Sequence[str], bool]] = []
    for source, run, paths in placed:
        again = (source, run.step) in first and (source, run.commit) not in first
        first |= {(source, run.step), (source, run.commit)}
        (older if again else newest).append((source, run, paths, again))
    new = []
    for source, run, paths, again in [*newest, *older]:
        if sketch.add(Node(run.commit, run, older=again)):
            new.append(run)
        sketch.link(source, run.commit, paths)
    return new


# -- what has fallen behind -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stale:
    """Why a run has fallen behind.

    `input` is the run that it was built from, `newer` the latest run of that step, None where it
    is `input` (or the run that made the same bytes since) that has fallen behind itself. `again`
    is the latest run of the stale run's own step, if there is one.
    """

    input: Known
    newer: Known | None = None
    again: Known | None = None


def stale(repo: Repo, *, meter: Meter = SILENT) -> dict[str, Stale]:
    """The runs that have fallen behind what they were built from, by commit.

    A run has, if one of its input runs has a newer run of the same step (same command and
    experiment) that finished and is neither deleted nor archived; or if an input run has fallen
    behind. Not, if that newer run kept the same bytes that were read, or was itself made from
    the run.

    Raises:
        GitFailed: Git cannot list the refs.
    """
    with open_index(whereabouts.of(repo), meter=meter) as index:
        return _Standing(index).stale()


class _Standing:
    """Every run and its inputs, to tell which have fallen behind."""

    def __init__(self, index: Index) -> None:
        self._index = index
        runs = index.all()
        self._runs = {run.commit: run for run in runs}
        ids = {run.id: run for run in reversed(runs)}
        self._inputs: dict[str, list[Known]] = {}
        for commit, given in index.inputs().items():
            known = [self._runs.get(one.commit) or ids.get(one.id) for one in given]
            found = {run.commit: run for run in known if run is not None and run.commit != commit}
            self._inputs[commit] = list(found.values())
        self._newest: dict[tuple[str, tuple[str, ...]], Known] = {}
        for run in runs:
            if run.status == "finished" and not run.deleted and not run.archived:
                self._newest.setdefault(run.step, run)
        self._above: dict[str, set[str]] = {}

    def stale(self) -> dict[str, Stale]:
        same = self._same_bytes()
        found: dict[str, Stale] = {}
        leads: dict[str, list[tuple[str, Known]]] = {}
        for commit, inputs in self._inputs.items():
            for given in inputs:
                newer = self._newer(commit, given)
                if newer is None or (commit, given.commit) in same:
                    leads.setdefault((newer or given).commit, []).append((commit, given))
                elif commit not in found:
                    found[commit] = Stale(given, newer, self._again(commit))
        waiting = list(found)
        while waiting:
            for commit, given in leads.get(waiting.pop(), ()):
                if commit not in found:
                    found[commit] = Stale(given, None, self._again(commit))
                    waiting.append(commit)
        return {commit: why for commit, why in found.items() if not self._runs[commit].deleted}

    def _newer(self, commit: str, given: Known) -> Known | None:
        """The latest run of the input's step, None where the input is it."""
        newest = self._newest.get(given.step)
        if newest is None or newest.started <= given.started or newest.commit == commit:
            return None
        return None if commit in self._ancestors(newest.commit) else newest

    def _ancestors(self, commit: str) -> set[str]:
        if commit not in self._above:
            above = self._above[commit] = set()
            waiting = [commit]
            while waiting:
                for run in self._inputs.get(waiting.pop(), ()):
                    if run.commit not in above:
                        above.add(run.commit)
                        waiting.append(run.commit)
        return self._above[commit]

    def _again(self, commit: str) -> Known | None:
        run = self._runs[commit]
        newest = self._newest.get(run.step)
        return newest if newest is not None and newest.started > run.started else None

    def _same_bytes(self) -> set[tuple[str, str]]:
        """The runs and inputs where a newer input would have given the same bytes."""
        asked = {
            (commit, given.commit): newer.commit
            for commit, inputs in self._inputs.items()
            for given in inputs
            if (newer := self._newer(commit, given)) is not None
        }
        read = self._index.files((commit for commit, _ in asked), kept=False)
        givers = {*(given for _, given in asked), *asked.values()}
        kept = self._index.files(givers, kept=True)
        found = set()
        for (commit, older), later in asked.items():
            before, after = (set(kept.get(run, {}).values()) for run in (older, later))
            used = before & set(read.get(commit, {}).values()) or before
            if used and used <= after:
                found.add((commit, older))
        return found
