"""gittrack: the experiment tracker that is just Git."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # what type checkers read as true; `typing` would double the import's cost
if TYPE_CHECKING:
    from gittrack.api import (
        config,
        load_artifact,
        log,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_image,
        log_input,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_table,
        log_text,
        save,
        set_tag,
        set_tags,
        summary,
    )
    from gittrack.dialects import (
        Experiment,
        Run,
        active_run,
        end_run,
        finish,
        init,
        login,
        set_experiment,
        start_run,
    )
    from gittrack.formalities import (
        Settings,
        define_metric,
        disable_system_metrics_logging,
        enable_system_metrics_logging,
        get_registry_uri,
        get_tracking_uri,
        set_registry_uri,
        set_system_metrics_node_id,
        set_system_metrics_samples_before_logging,
        set_system_metrics_sampling_interval,
        set_tracking_uri,
        teardown,
        unwatch,
        watch,
    )
    from gittrack.listing import RecordedRun, Runs, diff, get_run, runs
    from gittrack.media import Histogram, Image, Table
    from gittrack.models import ModelVersion, model, promote, register_model

    run: Run | None

__all__ = [
    "Experiment",
    "Histogram",
    "Image",
    "ModelVersion",
    "RecordedRun",
    "Run",
    "Runs",
    "Settings",
    "Table",
    "__version__",
    "active_run",
    "config",
    "define_metric",
    "diff",
    "disable_system_metrics_logging",
    "enable_system_metrics_logging",
    "end_run",
    "finish",
    "get_registry_uri",
    "get_run",
    "get_tracking_uri",
    "init",
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
    "login",
    "model",
    "promote",
    "register_model",
    "runs",
    "save",
    "set_experiment",
    "set_registry_uri",
    "set_system_metrics_node_id",
    "set_system_metrics_samples_before_logging",
    "set_system_metrics_sampling_interval",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
    "summary",
    "teardown",
    "unwatch",
    "watch",
]

__version__ = "0.1.0"

_DOORS = {
    "dialects": [
        *("Experiment", "Run", "active_run", "end_run", "finish", "init", "login"),
        *("set_experiment", "start_run"),
    ],
    "formalities": [
        "Settings",
        "define_metric",
        "disable_system_metrics_logging",
        "enable_system_metrics_logging",
        "get_registry_uri",
        "get_tracking_uri",
        "set_registry_uri",
        "set_system_metrics_node_id",
        "set_system_metrics_samples_before_logging",
        "set_system_metrics_sampling_interval",
        "set_tracking_uri",
        "teardown",
        "unwatch",
        "watch",
    ],
    "listing": ["RecordedRun", "Runs", "diff", "get_run", "runs"],
    "media": ["Histogram", "Image", "Table"],
    "models": ["ModelVersion", "model", "promote", "register_model"],
}

# What other trackers have, and what helps instead.
_ABSENT = {
    "search_runs": "gittrack.runs(...) finds them, and to_pandas() makes a table",
    "create_experiment": "an experiment begins with its first run: set_experiment names it",
    "get_experiment_by_name": "gittrack.runs(experiment=name) are the runs of an experiment",
    "log_batch": "log_metrics, log_params and set_tags take several",
    "get_artifact_uri": "load_artifact(run, name) gives the path of an artifact",
    "last_active_run": 'get_run("latest") is the run that was recorded last',
    **dict.fromkeys(
        ("autolog", "sklearn", "xgboost", "lightgbm", "keras", "tensorflow", "pytorch"),
        "gittrack.integrations has a module for each framework",
    ),
    "MlflowClient": "gittrack.runs(...) and get_run(name) read runs; log to the run that is active",
    "log_model": "save the model to a file, and log_artifact keeps it; register_model names it",
    "link_model": "register_model(run, name) makes a run's artifact a version of a model",
    "use_artifact": "load_artifact(run, name) finds an artifact of another run",
    "alert": "leave it out",
    "setup": "there is no service to start; leave it out",
    "Api": "gittrack.runs(...) and get_run(name) read runs",
    **dict.fromkeys(("sweep", "agent"), "gittrack.integrations.optuna records a search"),
    "Artifact": "log_artifact takes the path itself",
    **dict.fromkeys(("Audio", "Object3D", "Video"), "write the file, and log_artifact keeps it"),
    "Html": "log_text keeps a page: log_text(html, 'page.html')",
    "plot": "log the figure of matplotlib or plotly",
}


# Checkers do not see it, so that they find a name that is not there.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load the Python interface when it is first used: `import gittrack` costs nothing."""
        if name in __all__:
            from importlib import import_module

            door = next((door for door, names in _DOORS.items() if name in names), "api")
            value = globals()[name] = getattr(import_module(f"gittrack.{door}"), name)
            return value
        if name == "run":
            from gittrack.dialects import active_run

            return active_run()
        # Asked for each module of ours that is imported, too.
        instead = _ABSENT.get(name)
        said = "" if instead is None else f": {instead}"
        # What was meant by a name that is misspelt Python says, given these.
        where = {} if instead else {"name": name, "obj": sys.modules[__name__]}
        raise AttributeError(f"module 'gittrack' has no attribute {name!r}{said}", **where)


def __dir__() -> list[str]:
    return sorted(__all__)
