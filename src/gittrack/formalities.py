"""What scripts of other trackers say of servers, accounts and displays, which there are not here.

Each does nothing, and says so once: a script is run with only its import changed. What would lose
something that was asked for is an error instead, which names what helps.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from gittrack.active import remark
from gittrack.errors import UsageError

__all__ = [
    "Formalities",
    "Settings",
    "define_metric",
    "disable_system_metrics_logging",
    "enable_system_metrics_logging",
    "get_registry_uri",
    "get_tracking_uri",
    "ignored",
    "set_registry_uri",
    "set_system_metrics_node_id",
    "set_system_metrics_samples_before_logging",
    "set_system_metrics_sampling_interval",
    "set_tracking_uri",
    "teardown",
    "unwatch",
    "watch",
]

_HERE = "runs are recorded in this repository"
_SYSTEM = "`git config track.system` says whether runs have system metrics"
_PLACE = "gittrack:."


def ignored(what: str, reason: str = _HERE) -> None:
    """Say, once in this process, that something has no effect, and why."""
    remark(what, f"{what} has no effect: {reason}")


# -- MLflow's -----------------------------------------------------------------------------------


def set_tracking_uri(uri: Any = None) -> None:
    """Do nothing: there is no server."""
    ignored("set_tracking_uri")


def set_registry_uri(uri: Any = None) -> None:
    """Do nothing: there is no registry."""
    ignored("set_registry_uri")


def get_tracking_uri() -> str:
    """Always the same text: this repository."""
    return _PLACE


def get_registry_uri() -> str:
    """Always the same text: this repository."""
    return _PLACE


def enable_system_metrics_logging() -> None:
    """Do nothing: runs longer than 10 s have system metrics, unless `track.system` is false."""
    ignored("enable_system_metrics_logging", _SYSTEM)


def disable_system_metrics_logging() -> None:
    """Say how that is done.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        "disable_system_metrics_logging: `git config track.system false` says that here"
    )


def set_system_metrics_sampling_interval(interval: Any = None) -> None:
    """Do nothing: there is a sample every few seconds."""
    ignored("set_system_metrics_sampling_interval", _SYSTEM)


def set_system_metrics_samples_before_logging(samples: Any = None) -> None:
    """Do nothing: each sample is logged."""
    ignored("set_system_metrics_samples_before_logging", _SYSTEM)


def set_system_metrics_node_id(node_id: Any = None) -> None:
    """Do nothing: the record of a run names its machine."""
    ignored("set_system_metrics_node_id", "the record of a run names its machine")


# -- W&B's --------------------------------------------------------------------------------------


class Settings(SimpleNamespace):
    """Settings as `init(settings=)` takes them: it looks at `mode`, `save_code`, `disable_code`."""


def teardown(exit_code: int | None = None) -> None:
    """Do nothing: a run ends with `finish`, or with the script."""
    ignored("teardown", "a run ends with finish(), or with the script")


def define_metric(
    name: str | None = None,
    step_metric: Any = None,
    step_sync: bool | None = None,
    hidden: bool | None = None,
    summary: str | None = None,
    goal: str | None = None,
    overwrite: bool | None = None,
) -> None:
    """Do nothing: how a curve is drawn is asked where it is drawn.

    Raises:
        UsageError: `summary` asks that another value than the last stands for the curve.
    """
    words = {word.strip() for word in (summary or "").split(",")} - {"", "last", "none", "copy"}
    if words:
        raise UsageError(
            f"define_metric(summary={summary!r}): the last value stands for a curve, unless "
            f"run.summary[{name!r}] = value says another"
        )
    ignored("define_metric", "the steps of a curve are those it is logged with")


def watch(models: Any = None, *args: Any, **options: Any) -> None:
    """Do nothing: log the norms of gradients by `log_metrics`, histograms by `log`."""
    ignored("watch", "gradients are not recorded; log({...: Histogram(gradient)}) keeps one")


def unwatch(models: Any = None) -> None:
    """Do nothing, as `watch` does."""
    ignored("unwatch", "nothing is watched")


_ABSENT = {
    "alert": "leave it out",
    "dir": "write the file where you like, and log_artifact keeps it",
    "link_artifact": "a tag on the run says what it is: `git track tag RUN candidate=yes`",
    "log_model": "save the model to a file, and log_artifact keeps it",
    "use_artifact": "gittrack.load_artifact(run, name) finds an artifact of another run",
}


class Formalities:
    """Those that are said to a run, and what else W&B's runs have."""

    define_metric = staticmethod(define_metric)
    watch = staticmethod(watch)
    unwatch = staticmethod(unwatch)

    def log_code(self, *args: Any, **options: Any) -> None:
        """Do nothing: a run is recorded with its code."""
        ignored("log_code", "a run is recorded with its code")

    def mark_preempting(self) -> None:
        """Do nothing: a run that is killed is recorded as that."""
        ignored("mark_preempting", "a run that is killed is recorded, and resume= goes on from it")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            said = f": {_ABSENT[name]}" if name in _ABSENT else ""
            where = {} if said else {"name": name, "obj": self}
            kind = type(self).__name__
            raise AttributeError(f"'{kind}' object has no attribute {name!r}{said}", **where)
