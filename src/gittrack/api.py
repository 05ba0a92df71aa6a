"""The public verbs for logging: thin names over the run that this context logs to.

Their arguments are called as MLflow's are; one that has no meaning here is an error that says so.
`dialects` has the verbs that begin and end a run. Knows nothing of how a run is recorded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from gittrack import live
from gittrack.errors import NoActiveRun, UsageError
from gittrack.live import Run, config, now, require, summary
from gittrack.summaries import Number

__all__ = [
    "config",
    "load_artifact",
    "log",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "save",
    "set_tag",
    "set_tags",
    "summary",
]

_Path: TypeAlias = str | os.PathLike[str]

# -- params, metrics, tags ----------------------------------------------------------------------


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Record one param of this run -> the value; a later value for the same key wins.

    Numbers, strings, booleans, None and lists keep their types. A mapping is a param for each of
    its entries, `opt.lr` and `opt.name`; an array of up to 1,000 items is a list. Anything else is
    recorded as its `str`, or as its type if that tells nothing but where it is in memory. Another
    value for a key is a fault of the run: MLflow raises.

    Where no run is under way, the first `log_...` of a process begins one; see `start_run` for what
    that raises. Once it has begun, nothing raises for a wrong value (but where `track.strict` is
    set): it is said once on stderr and is a fault of the run.

    Raises:
        GittrackError: no run is under way, and none can begin here.
    """
    _at_once(synchronous)
    return require().log_param(key, value)


def log_params(
    params: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> None:
    """Record several params at once; see `log_param`.

    Raises:
        GittrackError: as `log_param` says.
    """
    _at_once(synchronous)
    _run(run_id).log_params(params)


def log_metric(
    key: str,
    value: Number,
    step: int | None = None,
    timestamp: int | None = None,
    *,
    synchronous: bool | None = None,
    run_id: str | None = None,
) -> None:
    """Record one point of a metric, now, or at `timestamp` in milliseconds since the epoch.

    `value` is a number or what turns into one (NumPy, a tensor of one element); NaN and infinities
    are values, a bool is none. One append to a file: what was logged survives a SIGKILL at once
    and a power cut after a second. A wrong value or a full disk never raises into training: it is
    said once on stderr and kept as a fault of the run.

    Raises:
        GittrackError: as `log_param` says.
    """
    if timestamp is None and run_id is None and synchronous is None:
        now().log_metric(key, value, step)
        return
    _at_once(synchronous)
    _run(run_id).log_metric(key, value, step, timestamp)


def log_metrics(
    metrics: Mapping[str, Number],
    step: int | None = None,
    *,
    timestamp: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
) -> None:
    """Record a point of several metrics, with one time and step; see `log_metric`.

    Raises:
        GittrackError: as `log_param` says.
    """
    _at_once(synchronous)
    _run(run_id).log_metrics(metrics, step, timestamp)


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
    """Record what belongs to one step: numbers, nested mappings of them, figures, images, tables.

    Without `step` steps count up from 0, in a resumed run from where that ended; `commit=False`
    says that more of this step is to come. Figures and images of matplotlib, plotly and PIL and
    DataFrames become artifacts, `<key>/<step>.png` and so on. Text is a fault: it belongs into a
    tag, the summary or `log_text`.

    Raises:
        BadValue: `data` is no mapping.
        GittrackError: as `log_param` says.
    """
    require().log(data, step, commit)


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> None:
    """Tag this run with a text; a later value for the same key wins.

    Raises:
        GittrackError: as `log_param` says.
    """
    _at_once(synchronous)
    require().set_tag(key, value)


def set_tags(tags: Mapping[str, Any], synchronous: bool | None = None) -> None:
    """Set several tags at once; see `set_tag`.

    Raises:
        GittrackError: as `log_param` says.
    """
    _at_once(synchronous)
    require().set_tags(tags)


def _at_once(synchronous: bool | None) -> None:
    if synchronous is not None and not synchronous:
        raise UsageError(
            "synchronous=False: what is logged is in a local file when the call returns, within "
            "microseconds; leave it out"
        )


def _run(run_id: str | None) -> Run:
    """The run that is meant: the current one, or one under way in this process.

    Raises:
        NoActiveRun: none of them has this id.
    """
    if run_id is None:
        return require()
    found = live.find(run_id)
    if found is None:
        raise NoActiveRun(f"no run with the id {run_id!r} is under way in this process")
    return found


# -- files --------------------------------------------------------------------------------------


def log_artifact(
    local_path: _Path,
    to: _Path | None = None,
    *,
    name: _Path | None = None,
    artifact_path: _Path | None = None,
    run_id: str | None = None,
    allow_secret: bool = False,
) -> None:
    """Keep a file or a directory as an artifact of this run, as it is now.

    Its name among the run's artifacts is its path in the repository; outside of it, the last part
    of the path; or `name`. `artifact_path` is a directory to put it into. Without a keyword, `to`
    is a name, unless it ends with `/` or has no suffix where the file has one: then it is a
    directory, as MLflow's second argument. The last content under a name is the artifact; what was
    logged under it before stays in the cache until `git track gc --data`, so a checkpoint that is
    to stay needs a name of its own.

    The content is copied (or reflinked) into DVC's cache when the call returns; the same content is
    stored once. What looks like a secret, a file by its name or (up to 1 MiB) its content, a
    directory by the names in it, is not kept, which is a fault of the run, unless `allow_secret`.
    So is what the disk, or a file that changes meanwhile, does not let us keep: it is said once on
    stderr and does not raise.

    Raises:
        BadPath: there is no readable file or directory at `local_path`; or the name leads out of
            the run, or lies inside another artifact, or around it.
        UsageError: it is said in two ways how it is called.
        GittrackError: as `log_param` says.
    """
    _run(run_id).log_artifact(
        local_path, to, name=name, artifact_path=artifact_path, allow_secret=allow_secret
    )


def log_artifacts(
    local_dir: _Path,
    artifact_path: _Path | None = None,
    *,
    run_id: str | None = None,
    allow_secret: bool = False,
) -> None:
    """Keep each file below a directory as an artifact, called as it is seen from there.

    Or from `artifact_path`, a directory among the run's artifacts. `log_artifact` keeps a directory
    as one artifact, which is better for thousands of files.

    Raises:
        BadPath: as `log_artifact` says; or `local_dir` is no directory.
        GittrackError: as `log_param` says.
    """
    _run(run_id).log_artifacts(local_dir, artifact_path, allow_secret=allow_secret)


def save(
    glob_str: _Path | None = None, base_path: _Path | None = None, policy: str = "live"
) -> list[str]:
    """Keep each file that a pattern finds as an artifact, as it is now -> their paths.

    `base_path` is the directory that their names are seen from. W&B's word for `log_artifact`:
    where a file changes later, save it again.

    Raises:
        BadPath: there is none.
        UsageError: `policy` is `end`.
        GittrackError: as `log_param` says.
    """
    return require().save(glob_str, base_path, policy)


def log_text(
    text: str, artifact_file: _Path, *, run_id: str | None = None, allow_secret: bool = False
) -> None:
    """Keep a text as a file of this run, in UTF-8; see `log_artifact` for what holds of the name.

    What looks like a secret in it is masked (`***`), as in the run's output, unless `allow_secret`;
    a text of more than 16 MiB is not searched.

    Raises:
        BadPath: as `log_artifact` says, of the name.
        BadValue: `text` is no str.
        GittrackError: as `log_param` says.
    """
    _run(run_id).log_text(text, artifact_file, allow_secret=allow_secret)


def log_dict(
    dictionary: Any,
    artifact_file: _Path,
    *,
    run_id: str | None = None,
    allow_secret: bool = False,
) -> None:
    """Keep nested values as a YAML file (`.yaml`, `.yml`), else as a JSON file; see `log_text`.

    Equal values give equal bytes: keys are sorted, floats exact. Arrays are lists, sets sorted
    lists, other objects their text.

    Raises:
        BadPath: as `log_artifact` says, of the name.
        BadValue: `dictionary` is neither a mapping nor a list.
        GittrackError: as `log_param` says.
    """
    _run(run_id).log_dict(dictionary, artifact_file, allow_secret=allow_secret)


def log_figure(
    figure: Any, artifact_file: _Path, *, save_kwargs: Mapping[str, Any] | None = None
) -> None:
    """Keep a figure of matplotlib or plotly, or an image of PIL, in the format of its suffix.

    Plotly writes `.html` and `.json` by itself, and pictures where kaleido is installed. What is in
    `save_kwargs` goes to the library's function (`savefig`, `to_html`, `to_image`, `save`).

    Raises:
        BadPath: as `log_artifact` says, of the name.
        BadValue: it is none of these, or has no such format.
        GittrackError: as `log_param` says.
    """
    require().log_figure(figure, artifact_file, save_kwargs=save_kwargs)


def log_image(
    image: Any,
    artifact_file: _Path | None = None,
    key: str | None = None,
    step: int | None = None,
    *,
    synchronous: bool | None = None,
) -> None:
    """Keep an image of PIL, or an array, under a name; or as `<key>/<step>.png`.

    An array is height x width, alone or x 1, 3 (RGB) or 4 (RGBA): truth values, whole numbers from
    0 to 255, or floats from 0 to 1.

    Raises:
        BadPath: as `log_artifact` says, of the name.
        BadValue: it is none of these, or has no such format.
        UsageError: neither a name nor a key is given, or both.
        GittrackError: as `log_param` says.
    """
    _at_once(synchronous)
    require().log_image(image, artifact_file, key, step)


def log_table(
    data: Any, artifact_file: _Path, *, run_id: str | None = None, allow_secret: bool = False
) -> None:
    """Keep a DataFrame of pandas or polars, a list of dicts or a dict of columns; see `log_text`.

    `.csv` (also without a suffix), `.tsv`, `.json` (a list of rows) or, where pandas can,
    `.parquet`. Logging under a name again replaces the table: MLflow would append the rows.

    Raises:
        BadPath: as `log_artifact` says, of the name.
        BadValue: it is none of these, or the format is not known or needs a library.
        GittrackError: as `log_param` says.
    """
    _run(run_id).log_table(data, artifact_file, allow_secret=allow_secret)


def log_input(
    dataset: Any, context: str | None = None, tags: Mapping[str, Any] | None = None
) -> None:
    """Record that this run reads a file or directory, known by its content as it is now.

    `dataset` is a path, or an object that names one by its `path` or `source`, as MLflow's datasets
    do. `context`, such as `training`, becomes the tag `data.<path>`.

    Raises:
        BadValue: it names no file of this disk.
        BadPath: nothing is there, or it lies outside of the repository and `track.dataOutside` does
            not allow that.
        GittrackError: as `log_param` says.
    """
    require().log_input(dataset, context, tags)


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
    from gittrack import keeping

    return keeping.load_artifact(run, name, repo=repo)
