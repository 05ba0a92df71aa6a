"""How a run begins: what was asked for is checked, hashed, stored and written down.

Knows the order, in which whatever can be refused is refused before anything is stored. Starts no
command.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack import names, params, secrets
from gittrack import snapshot as snapshots
from gittrack.errors import BadFile, GittrackError, RunExists, WriteFailed
from gittrack.git import Repo
from gittrack.keys import check_key
from gittrack.meter import SILENT, Meter
from gittrack.quoting import one_line, utf8
from gittrack.records import Data, Input, Run, Snapshot
from gittrack.refs import RunRef
from gittrack.sessions import Session
from gittrack.story import plain_code, plain_data, stamp
from gittrack.summaries import Value

if TYPE_CHECKING:
    from gittrack.artifacts import Outs

__all__ = ["Begun", "Prepared", "Request", "Reused", "begin", "prepare"]

DEFAULT_EXPERIMENT = "default"
_METRICS_FILES = ("metrics.json", "metrics.yaml", "metrics.yml", "metrics.csv", "metrics.tsv")
"""Files that count as metrics if the run wrote them and none was asked for, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to execute and how to record it.

    `params` are `key=value` texts; `params_files` and `metrics_files` None mean: the default files
    of the directory, if there are any. `directory` is where the command runs. `data` and `outs` are
    paths seen from there: what it reads, what is to be kept; `inputs` are runs named by hand.
    `trace` notices the files that Python opens. `reuse` takes a finished run that did the same
    instead, `code` being the paths of the code that counts (none: all of it).

    `source` says who asks: `cli`, `api`. `parent` is the id and the name of the run that this one
    is nested in, `continues` the run that it resumes: its first input. `live` publishes it while it
    runs. `scans` are regular expressions for metrics in its output, beside those of
    `track.scanPattern`. `notebook` is the path of the notebook that is the code. `job` is what the
    ranks of one parallel program have in common. `guess` takes params from the command line;
    `given` holds some as values, `inherited` those that count where nothing else names them.
    """

    argv: Sequence[str]
    directory: Path
    experiment: str | None = None
    name: str | None = None
    message: str | None = None
    params: Sequence[str] = ()
    params_files: Sequence[str] | None = None
    metrics_files: Sequence[str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    data: Sequence[str] = ()
    outs: Sequence[str] = ()
    inputs: Sequence[Input] = ()
    trace: bool = False
    reuse: bool = False
    code: Sequence[str] = ()
    source: str = "cli"
    title: str | None = None
    experiment_title: str | None = None
    parent: tuple[str, str] | None = None
    continues: Input | None = None
    live: bool = False
    scans: Sequence[str] = ()
    notebook: str | None = None
    job: str | None = None
    guess: bool = True
    given: Mapping[str, Value] = field(default_factory=dict)
    inherited: Mapping[str, Value] = field(default_factory=dict)


class Prepared(NamedTuple):
    """What is known of a run before anything is stored."""

    experiment: str
    argv: tuple[str, ...]
    params: Mapping[str, Value]
    files: Mapping[str, str]
    faults: tuple[str, ...]
    notices: tuple[str, ...]
    masked: bool


def prepare(repo: Repo, request: Request) -> Prepared:
    """Check a request, read its files of params and mask its secrets.

    Raises:
        UsageError: a name, key or setting is no good.
        BadFile: a file of params or metrics that was asked for makes no sense.
    """
    experiment = _experiment(repo, request)
    names.check(experiment, "experiment")
    if request.name is not None:
        names.generate(bytes(6), request.name)
    for key in request.tags:
        check_key(key)
    if patterns := _scans(repo, request):
        from gittrack.scanner import check_patterns

        check_patterns(patterns)
    masked, hidden = secrets.mask_argv(request.argv)
    assignments, hidden_assignments = secrets.mask_argv(request.params)
    from_files, faults = _params_files(repo, request)
    guessed = params.from_command(masked) if request.guess else {}
    assigned = params.from_assignments(assignments)
    merged = params.merge(request.inherited, from_files, guessed, request.given, assigned)
    hidden_words = ", ".join(dict.fromkeys((*hidden, *hidden_assignments)))
    notices = [f"masked in the record: {hidden_words}"] if hidden_words else []
    return Prepared(
        experiment=experiment,
        argv=tuple(masked),
        params=_storable(merged),
        files=_metrics_files(request),
        faults=tuple(faults),
        notices=tuple(notices),
        masked=bool(hidden_words),
    )


def _scans(repo: Repo, request: Request) -> list[str]:
    return [*repo.config_all("track.scanpattern"), *request.scans]


def _experiment(repo: Repo, request: Request) -> str:
    return request.experiment or repo.config.get("track.experiment") or DEFAULT_EXPERIMENT


def _params_files(repo: Repo, request: Request) -> tuple[dict[str, Value], list[str]]:
    """Params of the files asked for; where none was, those of `params.yaml` if it makes sense."""
    if request.params_files is not None:
        found = [
            params.from_file(path, directory=request.directory) for path in request.params_files
        ]
        return params.merge(*found), []
    default = request.directory / "params.yaml"
    if not default.is_file() or not repo.flag("track.params", default=True):
        return {}, []
    try:
        return params.from_file(default.name, directory=request.directory), []
    except BadFile as error:
        return {}, [f"params not read: {error.message}"]


def _metrics_files(request: Request) -> dict[str, str]:
    """The metrics files to look at afterwards, with what tells whether the run wrote them."""
    asked = request.metrics_files
    if asked:
        from gittrack import metrics, tfevents

        for path in asked:
            if not tfevents.is_asked(path, directory=request.directory):
                metrics.check_file(path, directory=request.directory)
    paths = _METRICS_FILES if asked is None else asked
    return {path: stamp(request.directory / path) for path in paths}


def _storable(values: Mapping[str, Value]) -> dict[str, Value]:
    return {utf8(key): utf8(v) if isinstance(v, str) else v for key, v in values.items()}


class Begun(NamedTuple):
    """A run that is on disk and waits for its command: `known` is what its journal begins with."""

    session: Session
    known: Mapping[str, Any]
    snapshot: Snapshot
    notices: tuple[str, ...]


class Reused(NamedTuple):
    """A finished run that did the same; nothing has begun.

    `restored` are the names of its artifacts that were put back in place.
    """

    ref: RunRef
    run: Run
    snapshot: Snapshot
    notices: tuple[str, ...]
    restored: tuple[str, ...]


def begin(
    repo: Repo,
    request: Request,
    prepared: Prepared,
    *,
    now: Callable[[], float],
    random: Callable[[int], bytes],
    meter: Meter = SILENT,
) -> Begun | Reused:
    """Take the snapshot, hash the data and write down how the run begins.

    From then on it is on disk: whoever finds it lost will record it. On any failure nothing stays
    behind but unreachable objects.

    Raises:
        GittrackError: the code cannot be stored, the data cannot be read, or nothing can be
            written.
    """
    notices = list(prepared.notices)
    session = _session(repo, request.name, random)
    try:
        outs = _outs(repo, request, meter)
        mode = repo.config.get("track.snapshot", "all")
        taken = snapshots.take(
            repo, mode=mode, scratch=session.directory, leave_out=_no_code(repo, request, outs)
        )
        faults: list[str] = []
        data = _data(repo, request, prepared, taken, faults, meter)
        known = _known(repo, request, prepared, taken, session, now(), random(16))
        known["faults"] += faults
        known |= _held(outs, data, request)
        known["fingerprint"] = _fingerprint(repo, request, known, data)
        unknown = _unknown(repo, request, prepared, taken)
        if unknown is not None:
            known["fingerprint"] = None
            notices += [f"nothing can be reused: {unknown}"] if request.reuse else []
        elif request.reuse:
            found = _same(repo, request, known["fingerprint"], data, outs, notices, meter)
            if found is not None:
                session.end()
                ref, run, restored = found
                return Reused(ref, run, taken, tuple(notices), restored)
        session.begin(known)
    except OSError as error:
        session.end()
        raise WriteFailed(
            f"cannot write to '{repo.state}': {error.strerror}",
            hint="is the disk full, or the repository read-only? The command was not started.",
        ) from error
    except BaseException:
        session.end()
        raise
    return Begun(session, known, taken, tuple(notices))


def _outs(repo: Repo, request: Request, meter: Meter) -> Outs | None:
    if not request.outs or repo.root is None:
        return None
    from gittrack import artifacts

    outs = artifacts.plan(request.outs, directory=request.directory, root=repo.root)
    if not outs.before:
        return outs
    from gittrack import setup
    from gittrack.cache import open_cache

    cache = open_cache(repo, setup.read(repo))
    linked = {"hardlink", "symlink"} & set(cache.links) or any(map(os.path.islink, outs.before))
    # Through a link the command would write into the cache.
    if linked and artifacts.free(cache, outs, meter=meter):
        return artifacts.plan(request.outs, directory=request.directory, root=repo.root)
    return outs


def _no_code(repo: Repo, request: Request, outs: Outs | None) -> set[Path]:
    """The places whose untracked files are data or artifacts, and so no part of the code."""
    places = {Path(os.path.realpath(request.directory / word)) for word in request.data}
    if outs is not None:
        places |= {Path(path) for path in (*outs.patterns, *outs.before)}
    return places - {Path(os.path.realpath(repo.root or "."))}


def _data(
    repo: Repo,
    request: Request,
    prepared: Prepared,
    taken: Snapshot,
    faults: list[str],
    meter: Meter,
) -> tuple[Data, ...]:
    """What the run reads, as it is now; costs nothing where there is neither data nor DVC."""
    if not (request.data or "track.data" in repo.config or _knows_dvc(repo, request.directory)):
        return ()
    from gittrack import inputs, setup

    words = [*request.argv, *(str(value) for value in prepared.params.values())]
    return inputs.begin(
        repo,
        setup.read(repo),
        paths=request.data,
        words=words,
        directory=request.directory,
        tree=taken.tree,
        faults=faults,
        meter=meter,
    )


def _knows_dvc(repo: Repo, directory: Path) -> bool:
    """Whether DVC is set up at the top of the work tree, or between there and `directory`."""
    assert repo.root is not None
    top, here = Path(os.path.realpath(repo.root)), Path(os.path.realpath(directory))
    inside = [place for place in (here, *here.parents) if place == top or top in place.parents]
    return any((place / ".dvc").is_dir() for place in inside)


def _held(outs: Outs | None, data: Sequence[Data], request: Request) -> dict[str, Any]:
    """What there is to gather at the end, as the beginning of a journal carries it."""
    held: dict[str, Any] = {}
    if outs is not None:
        held["outs"] = {"patterns": list(outs.patterns), "before": dict(outs.before)}
    if data:
        held["data"] = [plain_data(item) for item in data]
        # By the clock of the disk, whatever ours is: compared with times of files.
        held["looked"] = time.time_ns()
    given = [request.continues] if request.continues is not None else []
    given += [item for item in request.inputs if item not in given]
    if given:
        held["inputs"] = [asdict(item) for item in given]
    if request.trace:
        held["trace"] = True
    return held


def _counting(repo: Repo, request: Request) -> Sequence[str]:
    """The paths of the code that counts; none: all of it."""
    return request.code or repo.config_all("track.code")


def _unknown(repo: Repo, request: Request, prepared: Prepared, taken: Snapshot) -> str | None:
    """What goes into the run and is not in its record, so that nothing can be said to be the same.

    Masked words; code that the snapshot leaves out or Git hides, if it counts.
    """
    if prepared.masked:
        return "what is masked in the command may have been another"
    mode = repo.config.get("track.snapshot", "all")
    code = _counting(repo, request)
    if (mode == "off" and taken.code.dirty) or (mode == "tracked" and not code):
        return f"track.snapshot is {mode}, so not all code is known"
    for item in (*taken.code.skipped, *taken.code.hidden):
        if not code or any(_within(item.path, path) for path in code):
            return (
                f"'{one_line(item.path)}' is not in the snapshot ({item.reason}): "
                "ignore it, name it with --data, or say with --code which code counts"
            )
    return None


def _within(path: str, above: str) -> bool:
    above = above.rstrip("/")
    return path == above or path.startswith(f"{above}/")


def _fingerprint(
    repo: Repo,
    request: Request,
    known: Mapping[str, Any],
    data: Sequence[Data],
) -> str:
    from gittrack import reuse

    code = _counting(repo, request)
    return reuse.fingerprint(
        repo,
        tree=known["tree"],
        code=code,
        command=known["command"],
        directory=known["directory"],
        params=known["params"],
        data=data,
        inputs=request.inputs,
        trace=request.trace,
    )


def _same(
    repo: Repo,
    request: Request,
    fingerprint: str,
    data: Sequence[Data],
    outs: Outs | None,
    notices: list[str],
    meter: Meter,
) -> tuple[RunRef, Run, tuple[str, ...]] | None:
    """The finished run that did the same, and what of it was put back; None if there is none.

    A run whose files are gone cannot stand in for another.
    """
    from gittrack import reuse

    patterns = () if outs is None else outs.patterns
    found, reasons = reuse.find(repo, fingerprint, data=data, patterns=patterns, meter=meter)
    notices += reasons[:1]
    if found is None:
        return None
    try:
        restored = reuse.restore(repo, *found, patterns, meter=meter)
        notices += [
            f"'{one_line(path)}' also holds files that this run did not keep"
            for path in reuse.mixed(repo, found[1], restored, meter=meter)
        ]
    except GittrackError as error:
        notices.append(f"{found[1].name} did the same, but {error.message}: run again")
        return None
    asked = _experiment(repo, request)
    if found[1].experiment != asked:
        notices.append(f"it is a run of the experiment '{found[1].experiment}', not of '{asked}'")
    if request.message or request.tags:
        notices.append("nothing new is recorded: -m and --tag were not used")
    return *found, restored


def _session(repo: Repo, prefix: str | None, random: Callable[[int], bytes]) -> Session:
    for attempt in range(16):
        try:
            return Session.open(repo.state, names.generate(random(6), prefix))
        except RunExists:
            if attempt == 15:
                raise
    raise AssertionError("unreachable")


def _known(
    repo: Repo,
    request: Request,
    prepared: Prepared,
    taken: Snapshot,
    session: Session,
    started: float,
    random: bytes,
) -> dict[str, Any]:
    """How the run begins, as plain values: all that a later process needs to record it."""
    who = repo.identity()
    assert repo.root is not None
    directory = os.path.relpath(os.path.realpath(request.directory), os.path.realpath(repo.root))
    return {
        "id": names.run_id(random),
        "name": session.directory.name.removeprefix(".new-"),
        "prefix": request.name,
        "experiment": prepared.experiment,
        "started": started,
        "message": None if request.message is None else utf8(request.message),
        "command": [utf8(word) for word in prepared.argv],
        "directory": "" if directory == "." else utf8(directory),
        "user": who.name,
        "email": who.email,
        "host": os.uname().nodename,
        "tree": taken.tree,
        "code": plain_code(taken.code),
        "params": dict(prepared.params),
        "tags": {utf8(key): utf8(value) for key, value in request.tags.items()},
        "faults": [*prepared.faults, *taken.secrets],
        "files": dict(prepared.files),
        "where": os.path.abspath(request.directory),
        "asked": request.metrics_files is not None,
    } | _manner(repo, request)


def _manner(repo: Repo, request: Request) -> dict[str, Any]:
    """How the run is to be carried on and what it belongs to, what goes without saying left out."""
    title, group = request.title, request.experiment_title
    manner = {
        "source": None if request.source == "cli" else request.source,
        "title": None if title is None else utf8(title),
        "experiment_title": None if group is None else utf8(group),
        "experiment_given": request.experiment is not None,
        "parent": None if request.parent is None else request.parent[0],
        "parent_name": None if request.parent is None else request.parent[1],
        "continues": None if request.continues is None else request.continues.id,
        "live": request.live or repo.flag("track.live", default=False),
        "scans": _scans(repo, request),
        "notebook": request.notebook,
        "job": request.job,
        "strict": repo.flag("track.strict", default=False),
    }
    kept = {key: value for key, value in manner.items() if value not in (None, False, [])}
    told: dict[str, Any] = {"tensorboard": repo.flag("track.tensorboard", default=True)}
    # None: nothing is to be flushed.
    flushes = repo.flag("track.fsync", default=True)
    told["sync"] = repo.seconds("track.syncInterval", default=1) if flushes else None
    return kept | told
