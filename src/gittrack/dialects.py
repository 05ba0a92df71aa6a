"""The public verbs that begin and end a run, in the dialects that people know: MLflow's and W&B's.

Knows what their words mean here. One that means nothing is an error that says so, and says what
helps instead. Knows nothing of how a run begins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, overload

from gittrack import live
from gittrack.errors import RunActive, RunNotFound, UsageError
from gittrack.formalities import ignored
from gittrack.live import Run
from gittrack.summaries import STATUSES, Status

__all__ = [
    "Experiment",
    "Run",
    "active_run",
    "end_run",
    "finish",
    "init",
    "login",
    "set_experiment",
    "start_run",
]

Function = TypeVar("Function", bound=Callable[..., Any])

_UNKNOWN: Mapping[str, str] = {
    "fork_from": "resume= goes on from the end of a run",
    "resume_from": "resume= goes on from the end of a run",
}
_IDLE: Mapping[str, str] = {
    "allow_val_change": "the last value of a param counts",
    "anonymous": "there is no account",
    "dir": "runs are recorded in this repository",
    "force": "there is no account",
    "monitor_gym": "videos are not looked for; log_artifact keeps one",
}
_LOOKED_AT = {"mode", "save_code", "disable_code"}


@dataclass(frozen=True, slots=True)
class Experiment:
    """A group of runs: `experiment_id` is its name, `name` the free text that was given."""

    experiment_id: str
    name: str


# -- beginning and ending: MLflow's words -------------------------------------------------------


@overload
def start_run(run_id: Function, /) -> Function: ...
@overload
def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
    *,
    experiment: str | None = None,
    name: str | None = None,
    parent: str | None = None,
    message: str | None = None,
    params: Any = None,
    resume: str | None = None,
) -> Run: ...
def start_run(
    run_id: Any = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
    *,
    experiment: str | None = None,
    name: str | None = None,
    parent: str | None = None,
    message: str | None = None,
    params: Any = None,
    resume: str | None = None,
) -> Any:
    """Begin a run; as a context manager it ends with the block, `failed` if that raises.

    In a script that `git track run` started, the first one is that run, which this joins. As a
    decorator, `@start_run` or `@start_run(...)`, each call of the function (also `async`, or a
    generator) is a run of its own.

    `experiment` (`experiment_id`) and `name` (`run_name`) may be free texts, which then are titles.
    `nested` begins the run within the current one, `parent` (`parent_run_id`) within another.
    `resume` names a recorded run to go on from, in a new run whose first input it is, and so does
    `run_id`. `message` (`description`) is the message of the run's commit. `params` may be nested,
    a dataclass or an `argparse.Namespace`.

    Raises:
        RunActive: a run is under way in this context, and this one is not nested.
        RunNotFound: no run answers to `parent` or `resume`.
        UsageError: a name is empty, one thing is named twice, or `log_system_metrics` is False.
        GittrackError: this is no Git repository, or one that cannot be used.
    """
    if callable(run_id):
        from gittrack import decoration

        return decoration.within(run_id, live.start)
    if log_system_metrics is False:
        raise UsageError("log_system_metrics=False: `git config track.system false` says that here")
    joined = live.current()
    if run_id is not None and joined is not None and joined.id == run_id:
        run_id = None
    begin = partial(
        live.start,
        experiment=_one("experiment", experiment, experiment_id),
        name=_one("name", name, run_name),
        message=_one("message", message, description),
        params=params,
        tags=tags,
        nested=nested,
        parent=_one("parent", parent, parent_run_id),
        resume=_one("resume", resume, run_id),
    )
    return live.undoable(begin)


def _one(what: str, ours: str | None, theirs: str | None) -> str | None:
    if ours is not None and theirs is not None and ours != theirs:
        raise UsageError(f"the {what} of the run is given twice: {ours!r} and {theirs!r}")
    return theirs if ours is None else ours


def end_run(status: str = "FINISHED") -> None:
    """End the current run, if there is one; it is recorded when this returns.

    `status` is `finished`, `failed` or `killed`, in either case.

    Raises:
        UsageError: it is another word.
    """
    said = next((known for known in STATUSES[1:] if known == str(status).lower()), None)
    if said is None:
        raise UsageError(f"a run ends as finished, failed or killed, not as {status!r}")
    run = live.current()
    if run is not None:
        run.end(said if said != "finished" else _finished(run))


def _finished(run: Run) -> Status | None:
    # A run of another process may fail yet: that this part of it went well says nothing.
    return None if run.is_joined else "finished"


def active_run() -> Run | None:
    """The run that this context logs to, None if there is none."""
    return live.current()


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None
) -> Experiment:
    """Name the experiment of the runs that this process begins from now on.

    Free text is its title: `My Churn Model` is the experiment `my-churn-model`. A run that
    `git track run` began is moved there, unless its user named one with `-x`.

    Raises:
        UsageError: it is empty, or given twice.
    """
    title = _one("experiment", experiment_name, experiment_id)
    if title is None:
        raise UsageError("set_experiment takes the name of an experiment")
    return Experiment(live.set_experiment(title), title)


# -- beginning and ending: W&B's words ----------------------------------------------------------


def init(
    project: str | None = None,
    config: Any = None,
    name: str | None = None,
    tags: Iterable[str] | Mapping[str, Any] | None = None,
    notes: str | None = None,
    *,
    group: str | None = None,
    job_type: str | None = None,
    entity: str | None = None,
    id: str | None = None,
    resume: bool | str | None = None,
    mode: str | None = None,
    reinit: bool | str | None = None,
    config_include_keys: Iterable[str] | None = None,
    config_exclude_keys: Iterable[str] | None = None,
    save_code: bool | None = None,
    sync_tensorboard: bool | None = None,
    settings: Any = None,
    **others: Any,
) -> Run:
    """Begin a run, as `start_run` does; `project` is its experiment, `config` its params.

    `config` is a mapping, a dataclass, an `argparse.Namespace` or the path of a YAML file. `tags`
    in a list have the value `true`; `group`, `job_type` and `entity` are tags; `notes` are the
    message of the run's commit. `resume` names a run to go on from; with `id`, a name that
    you chose, `must` goes on from the newest run of that name and `allow` does if there is one.
    `mode="disabled"` gives a run of which nothing is recorded; the other modes do not differ:
    `git track push` is what sends runs. What W&B says of a server, an account or a display has no
    effect, which is said once.

    Where a run is under way, a notebook ends it first; so does `reinit=True`.

    Raises:
        RunActive: a run is under way.
        UsageError: a name is empty, or an argument means nothing here.
        GittrackError: as `start_run` says.
    """
    told = _told(settings)
    mode = told.get("mode") if mode is None else mode
    save_code = told.get("save_code") if save_code is None else save_code
    if told.get("disable_code"):
        save_code = False
    _refuse(others, mode=mode, save_code=save_code)
    if sync_tensorboard is False:
        ignored("init(sync_tensorboard=False)", "event files that a run writes are always read")
    params = _params(config, config_include_keys, config_exclude_keys)
    if mode == "disabled":
        run = live.disable()
        run.config.update(params)
        return run
    before = live.current()
    if before is not None and before.is_disabled:
        before.end()
        before = live.current()
    if before is not None and before.is_begun:
        if reinit == "return_previous":
            return before
        _make_room(before, reinit)
    said = {"group": group, "job_type": job_type, "entity": entity}
    begin = partial(
        live.start,
        experiment=project,
        name=name or id,
        message=notes,
        params=params,
        tags={**_tags(tags), **{key: value for key, value in said.items() if value is not None}},
    )
    return live.undoable(partial(_resumed, begin, id, resume))


def _refuse(others: Mapping[str, Any], **given: Any) -> None:
    """Say which arguments cannot be honoured; what is None asks for nothing.

    Raises:
        UsageError: there are some.
    """
    for key, value in others.items():
        if key in _IDLE:
            if value is not None and value is not False:
                ignored(f"init({key}=)", _IDLE[key])
        elif value is not None:
            reason = _UNKNOWN.get(key, "it means nothing here")
            raise UsageError(f"init does not take {key}=: {reason}")
    if given["mode"] not in (None, "online", "offline", "disabled"):
        raise UsageError(f"mode is online, offline or disabled, not {given['mode']!r}")
    if given["save_code"] is False:
        raise UsageError("save_code=False: `git config track.snapshot off` says that here")


def _told(settings: Any) -> Mapping[str, Any]:
    """What `init(settings=)` says, in a mapping or an object."""
    if settings is None:
        return {}
    given = settings if isinstance(settings, Mapping) else getattr(settings, "__dict__", {})
    if given.keys() - _LOOKED_AT:
        ignored("init(settings=)", "`git config track.KEY` sets what there is to set")
    return given


def _make_room(before: Run, reinit: bool | str | None) -> None:
    """End the run that is under way, where that is asked or usual.

    Raises:
        RunActive: it is not.
    """
    from gittrack import notebooks

    if reinit in (True, "finish_previous") or (reinit is None and notebooks.here() is not None):
        before.end()
    elif reinit == "create_new":
        raise UsageError("reinit='create_new': start_run(nested=True) begins a run within another")
    else:
        raise RunActive(
            f"the run {before.name} is active",
            name=before.name,
            hint="init(reinit=True) ends it first; start_run(nested=True) begins one within it.",
        )


def _params(
    config: Any, include: Iterable[str] | None, exclude: Iterable[str] | None
) -> dict[str, Any] | None:
    if config is None:
        return None
    if isinstance(config, (str, os.PathLike)):
        from gittrack.keys import nest
        from gittrack.params import from_file

        config = nest(from_file(os.fspath(config), directory=Path.cwd()))
    from gittrack.views import settings

    found = settings(config)
    left_out = set(exclude or ())
    wanted = found.keys() if include is None else set(include)
    return {key: value for key, value in found.items() if key in wanted and key not in left_out}


def _tags(given: Iterable[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    return dict.fromkeys([given] if isinstance(given, str) else given, "true")


def _resumed(begin: Callable[..., Run], id: str | None, resume: bool | str | None) -> Run:
    """Begin a run, going on from the one that W&B's words mean.

    Raises:
        UsageError: nothing says which one.
        RunNotFound: there is none, and there must be.
    """
    if resume in (None, False, "never"):
        return begin()
    if resume not in (True, "allow", "must", "auto"):
        return begin(resume=resume)
    if id is None:
        raise UsageError(
            f"resume={resume!r} takes an id=; resume='latest' goes on from the newest run"
        )
    newest = _newest(id)
    if newest is None and resume == "must":
        raise RunNotFound(
            f"no run begins with the name {id!r}",
            selector=id,
            hint="resume='allow' begins one then.",
        )
    return begin() if newest is None else begin(resume=newest)


def _newest(id: str) -> str | None:
    """The newest run whose name begins with what `id` makes of it, and is generated after that."""
    from gittrack import names
    from gittrack.git import Repo
    from gittrack.roster import Roster

    with Roster(Repo.open(".")) as roster:
        found = roster.of_stem(names.suggest(id))
    return f"{found[0].experiment}/{found[0].name}" if found else None


def finish(exit_code: int | None = None) -> None:
    """End the current run, if there is one, `failed` where the exit code is not 0."""
    run = live.current()
    if run is not None:
        run.finish(exit_code)


def login(*keys: Any, **others: Any) -> bool:
    """True: there is no account to log in to."""
    if any(value is not None for value in (*keys, *others.values())):
        ignored("login")
    return True
