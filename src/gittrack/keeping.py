"""The Python door for files: keep them as artifacts of the run, get those of other runs back.

The bytes are in the cache before the run says that it has them, so a file that is written over
later stays as it was when it was logged. Knows nothing of how the run is recorded.

What a call can never do is raised at once: a path where nothing is, a name, a format, a type. What
goes wrong with the content or the machine never ends a training: it is a fault of the run. `run` is
the run to keep it for; None is the current one (`active.current`).
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from gittrack import active, renderings, secrets
from gittrack.active import Active
from gittrack.cache import Cache, open_cache
from gittrack.errors import BadPath, BadValue, GittrackError, NoActiveRun
from gittrack.hashing import Hashed
from gittrack.manifest import MOST_ARTIFACTS, check_artifact
from gittrack.quoting import one_line
from gittrack.records import Artifact, Input
from gittrack.stats import Stats
from gittrack.vetting import suspicion

__all__ = [
    "load_artifact",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_table",
    "log_text",
]

_Path: TypeAlias = str | os.PathLike[str]

_MASKED = 16 << 20

_names: defaultdict[str, set[str]] = defaultdict(set)
"""What this process has kept, by the id of the run."""

_caches: dict[tuple[str, int], Cache] = {}
"""By the id of the run and that of the process."""


def log_artifact(
    path: _Path,
    name: _Path | None = None,
    *,
    allow_secret: bool = False,
    run: Active | None = None,
) -> None:
    """Keep a file or a directory as an artifact of a run, as it is now.

    Its `name` among the run's artifacts is its path in the repository; outside of it, the last part
    of the path. A `name` that ends with `/` is a directory to put it into. The last content under a
    name is the artifact; what was logged under it before stays in the cache until `git track gc
    --data`, so a checkpoint that is to stay needs a name of its own.

    The content is copied (or reflinked) into DVC's cache when the call returns; the same content is
    stored once. What looks like a secret, a file by its name or (up to 1 MiB) its content, a
    directory by the names in it, is not kept, which is a fault of the run, unless `allow_secret`.
    So is what the disk, or a file that changes meanwhile, does not let us keep: it is said once on
    stderr and does not raise.

    Raises:
        NoActiveRun: `run` is None, and there is no current one.
        BadPath: there is no readable file or directory at `path`; or `name` leads out of the run,
            or lies inside another artifact, or around it.
    """
    to = _open(run)
    source = Path(os.fsdecode(path))
    _look(source)
    called = _free(to, _called(source, name, to.begin))
    _keep_file(to, source, called, allow_secret=allow_secret)


def log_artifacts(
    directory: _Path,
    name: _Path | None = None,
    *,
    allow_secret: bool = False,
    run: Active | None = None,
) -> None:
    """Keep each file below a directory as an artifact of its own, called as it is seen from there.

    Or from `name`, a directory among the run's artifacts. Symbolic links to directories are not
    followed. See `log_artifact`, which keeps a directory as one artifact.

    Raises:
        NoActiveRun: as `log_artifact` says.
        BadPath: as `log_artifact` says; or `directory` is none.
    """
    to = _open(run)
    top = Path(os.fsdecode(directory))
    _look(top)
    if not top.is_dir():
        raise BadPath(f"'{_shown(top)}' is no directory", path=os.fspath(top))
    above = "" if name is None else f"{_said(name).rstrip('/')}/"
    for here, inner, files in os.walk(top):
        inner.sort()
        for file in sorted(files):
            source = Path(here, file)
            called = above + source.relative_to(top).as_posix()
            try:
                _look(source)
                check_artifact(called)
            except BadPath as error:
                _fault(to, called, error.message)
            else:
                _keep_file(to, source, _free(to, called), allow_secret=allow_secret)


def log_text(
    text: str, name: _Path, *, allow_secret: bool = False, run: Active | None = None
) -> None:
    """Keep a text as a file of this run, in UTF-8; see `log_artifact` for what holds of the name.

    What looks like a secret in it is masked (`***`), as in the run's output, unless `allow_secret`;
    a text of more than 16 MiB is not searched.

    Raises:
        NoActiveRun: as `log_artifact` says.
        BadPath: as `log_artifact` says, of the name.
        BadValue: `text` is no str.
    """
    if not isinstance(text, str):
        raise BadValue(f"log_text takes a str, not something of type {type(text).__name__}")
    _log(run, name, lambda: text.encode("utf-8", "surrogateescape"), allow_secret=allow_secret)


def log_dict(
    value: Mapping[str, Any] | Sequence[Any],
    name: _Path,
    *,
    allow_secret: bool = False,
    run: Active | None = None,
) -> None:
    """Keep nested values as a YAML file (`.yaml`, `.yml`), else as a JSON file; see `log_text`.

    Equal values give equal bytes: keys are sorted, floats exact. Arrays are lists, sets sorted
    lists, other objects their text.

    Raises:
        NoActiveRun: as `log_artifact` says.
        BadPath: as `log_artifact` says, of the name.
        BadValue: `value` is neither a mapping nor a list.
    """
    if not isinstance(value, (Mapping, list, tuple)):
        raise BadValue(f"log_dict takes a dict or a list, not something of type {_type(value)}")
    _log(run, name, renderings.document(value, _suffix(name)), allow_secret=allow_secret)


def log_figure(
    figure: Any,
    name: _Path,
    *,
    save_kwargs: Mapping[str, Any] | None = None,
    run: Active | None = None,
) -> None:
    """Keep a figure of matplotlib or plotly, or an image of PIL, in the format of its suffix.

    Plotly writes `.html` and `.json` by itself, and pictures where kaleido is installed. What is in
    `save_kwargs` goes to the library's function (`savefig`, `to_html`, `to_image`, `save`).

    Raises:
        NoActiveRun: as `log_artifact` says.
        BadPath: as `log_artifact` says, of the name.
        BadValue: it is none of these, or has no such format.
    """
    render = renderings.figure(figure, _suffix(name), save_kwargs or {})
    _log(run, name, render, allow_secret=True)


def log_image(image: Any, name: _Path, *, run: Active | None = None) -> None:
    """Keep an image of PIL, or an array, in the format of its suffix; without PIL that is `.png`.

    An array is height x width, alone or x 1, 3 (RGB) or 4 (RGBA): truth values, whole numbers from
    0 to 255, or floats from 0 to 1.

    Raises:
        NoActiveRun: as `log_artifact` says.
        BadPath: as `log_artifact` says, of the name.
        BadValue: it is none of these, or has no such format.
    """
    _log(run, name, renderings.image(image, _suffix(name)), allow_secret=True)


def log_table(
    table: Any, name: _Path, *, allow_secret: bool = False, run: Active | None = None
) -> None:
    """Keep a DataFrame of pandas or polars, a list of dicts or a dict of columns; see `log_text`.

    `.csv` (also without a suffix), `.tsv`, `.json` (a list of rows) or, where pandas can,
    `.parquet`.
    Logging under a name again replaces the table: MLflow would append the rows.

    Raises:
        NoActiveRun: as `log_artifact` says.
        BadPath: as `log_artifact` says, of the name.
        BadValue: it is none of these, or the format is not known or needs a library.
    """
    suffix = _suffix(name)
    render = renderings.table(table, suffix)
    _log(run, name, render, allow_secret=allow_secret, masks=suffix != "parquet")


def load_artifact(run: str, name: _Path, *, repo: _Path | None = None) -> Path:
    """Find an artifact of a run -> where it lies on this disk, fetched if need be; only to be read.

    `run` is what `git track show` takes: a name, `latest`, `best:METRIC`, a branch. The repository
    is the one at or above `repo`; without it, that of the run that this script belongs to, else the
    one at or above the current directory. Inside of a run, that run gets the other as an input.

    Raises:
        RunNotFound: no run answers to `run` (`revisions.resolve` says what else can be wrong).
        BadPath: the run has no such artifact.
        DataMissing: neither the cache nor the data remote has it.
        DataDamaged: its content is not what the run recorded.
    """
    from gittrack import commits, retrieve, revisions
    from gittrack.git import Repo

    wanted = _said(name)
    now = active.current()
    begin = now.begin if now is not None and "where" in now.begin else None
    opened = Repo.open(repo or (begin["where"] if begin else "."))
    ref = revisions.resolve(opened, run)
    place = Path(retrieve.load(opened, ref, wanted))
    if now is not None and begin is not None and repo is None:
        for read in commits.listing(opened, [ref]).runs:
            told = Input(ref.short, read.id, ref.commit, wanted)
            now.append({"inputs": [asdict(told)]})
    return place


def _open(run: Active | None) -> Active:
    """The run to keep something for.

    Raises:
        NoActiveRun: there is none, or how it began cannot be read: its directory is gone.
    """
    to = run or active.require()
    if "id" not in to.begin:
        raise NoActiveRun(f"the run in '{to.directory}' has ended, or cannot be read")
    return to


# -- names --------------------------------------------------------------------------------------


def _called(source: Path, name: _Path | None, begin: Mapping[str, Any]) -> str:
    """What an artifact is called whose name the user gave in part, or not at all."""
    whole = os.path.abspath(source)
    if name is not None:
        given = _said(name)
        return given + os.path.basename(whole) if given.endswith("/") else given
    root = _root(begin)
    real = os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))
    for place, top in ((whole, root), (real, os.path.realpath(root))):
        below = os.path.relpath(place, top)
        if below == os.curdir:
            raise BadPath(
                f"'{_shown(source)}' is the whole work tree: to keep all of it, give it a name",
                path=os.fspath(source),
            )
        if below.split(os.sep)[0] != os.pardir:
            return below.replace(os.sep, "/")
    return os.path.basename(whole)


def _root(begin: Mapping[str, Any]) -> str:
    """The top of the work tree that the run stands in: `where` it was started, less that path."""
    inside = begin.get("directory") or ""
    place: str = os.path.realpath(begin["where"])
    for _ in inside.split("/") if inside else ():
        place = os.path.dirname(place)
    return place


def _free(run: Active, name: str) -> str:
    """Give `name` back if an artifact may be called so.

    Raises:
        BadPath: it may not, or not beside what this process has kept.
    """
    check_artifact(name)
    other = next((kept for kept in _names[run.begin["id"]] if _overlap(kept, name)), None)
    if other is not None:
        raise BadPath(
            f"no artifact can be called '{_shown(name)}' beside '{_shown(other)}': one would lie "
            "inside of the other",
            path=name,
        )
    return name


def _overlap(one: str, other: str) -> bool:
    """Whether one would lie inside of the other, or where the other's pointer, `NAME.dvc`, is."""
    short, long = sorted((one, other), key=len)
    return long.startswith((f"{short}/", f"{short}.dvc/"))


def _said(name: _Path) -> str:
    """The name that the user gave.

    Raises:
        BadPath: it is empty.
    """
    said = os.fspath(name)
    if not said:
        raise BadPath("the name of an artifact is empty", path="")
    return said


def _suffix(name: _Path) -> str:
    return os.path.splitext(_said(name))[1].lower().removeprefix(".")


def _shown(name: object) -> str:
    return one_line(os.fspath(name) if isinstance(name, os.PathLike) else str(name))[:200]


def _type(value: object) -> str:
    return type(value).__name__


# -- what may be kept ---------------------------------------------------------------------------


def _look(source: Path) -> None:
    """See that a readable file or directory is there.

    Raises:
        BadPath: it is not.
    """
    shown = _shown(source)
    try:
        seen = source.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadPath(f"cannot keep '{shown}': {reason}", path=os.fspath(source)) from None
    if not stat.S_ISREG(seen.st_mode) and not stat.S_ISDIR(seen.st_mode):
        raise BadPath(
            f"cannot keep '{shown}': it is neither a file nor a directory", path=os.fspath(source)
        )
    if not os.access(source, os.R_OK):
        raise BadPath(f"cannot keep '{shown}': Permission denied", path=os.fspath(source))


# -- keeping ------------------------------------------------------------------------------------


def _log(
    run: Active | None,
    called: _Path,
    render: renderings.Render,
    *,
    allow_secret: bool,
    masks: bool = True,
) -> None:
    """Keep what `render` makes; what it raises is a fault, because content can do that too."""
    to = _open(run)
    name = _free(to, _said(called))
    if not allow_secret and secrets.secret_filename(name):
        _fault(to, name, "its name looks like that of a secret (keep it with allow_secret=True)")
        return
    try:
        data = render()
    except GittrackError as error:
        _fault(to, name, error.message)
        return
    except Exception as error:
        # The library that draws is not ours, and training must go on.
        _fault(to, name, f"{_type(error)}: {error}")
        return
    if masks and not allow_secret and len(data) <= _MASKED:
        data, count = secrets.mask_text(data)
        if count:
            places = "1 place" if count == 1 else f"{count} places"
            to.fault(
                f"artifact '{_shown(name)}': masked what looks like a secret in {places} "
                "(keep it with allow_secret=True)"
            )
    _keep(to, name, lambda cache: cache.add_bytes(data))


def _keep_file(run: Active, source: Path, called: str, *, allow_secret: bool) -> None:
    reason = None if allow_secret else suspicion(source, os.fspath(source), called)
    if reason is not None:
        _fault(run, called, f"{reason} (keep it with allow_secret=True)")
    else:
        _keep(run, called, lambda cache: cache.add(source))


def _keep(run: Active, name: str, add: Callable[[Cache], Hashed]) -> None:
    """Put the bytes into the cache, then say so: whoever reads the journal finds them there."""
    if run.ended:
        _fault(run, name, f"run {run.name} has ended")
        return
    names = _names[run.begin["id"]]
    if name not in names and len(names) >= MOST_ARTIFACTS:
        _fault(run, name, f"there are {MOST_ARTIFACTS:,} already; a directory is kept as one")
        return
    try:
        made = add(_cache(run.begin))
    except GittrackError as error:
        _fault(run, name, error.message)
    except OSError as error:
        _fault(run, name, error.strerror or str(error))
    else:
        names.add(name)
        run.append({"artifact": asdict(Artifact(name, made.md5, made.size, made.nfiles))})


def _fault(run: Active, name: str, reason: str) -> None:
    run.fault(f"artifact '{_shown(name)}' not kept: {one_line(reason)[:500]}")


def _cache(begin: Mapping[str, Any]) -> Cache:
    """The run's cache, one object for each process: a forked child shares no lock and no file."""
    key = begin["id"], os.getpid()
    if key not in _caches:
        _caches[key] = _opened(begin)
    return _caches[key]


def _opened(begin: Mapping[str, Any]) -> Cache:
    told = begin.get("cache")
    if told is None:
        # Most runs keep nothing, and do not pay for asking how DVC is set up when they begin.
        from gittrack import setup
        from gittrack.git import Repo

        repo = Repo.open(begin["where"])
        return open_cache(repo, setup.read(repo))
    return Cache(
        Path(told["dir"]),
        links=told["links"],
        stats=Stats(Path(told["stats"])),
        sync=told["sync"],
    )
