"""What a Logger of Lightning logs, under whichever of its two names Lightning is installed.

Knows what a trainer tells its loggers, and by which methods. Imports neither package by itself:
`integrations.lightning` and `integrations.pytorch_lightning` each have it make their classes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from gittrack.frameworks import bounded, spared
from gittrack.keys import flatten
from gittrack.live import Run, current, start
from gittrack.views import settings

__all__ = ["Joining", "Logging", "classes", "joined"]

_begun: Run | None = None
"""The run that the last logger began."""


class Logging:
    """Log to the current run; without one, begin one when the training starts.

    `experiment`, `name` and `tags` are those of a run that it begins; the next logger to begin one
    ends it, and so does a training that fails. `prefix` stands before each metric. `log_model`
    keeps the best checkpoint at the end, `"all"` each as it is saved. Checkpoints are saved below
    `save_dir`. Only the first rank logs.

    Raises:
        GittrackError: when it is first used: no run is under way, and none can begin.
    """

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        *,
        tags: Mapping[str, Any] | None = None,
        prefix: str = "",
        log_model: bool | str = False,
        save_dir: str | os.PathLike[str] = "lightning_logs",
    ) -> None:
        super().__init__()
        self._asked: dict[str, Any] = {"experiment": experiment, "name": name, "tags": tags}
        self._prefix = f"{prefix}/" if prefix else ""
        self._log_model = log_model
        self._save_dir = os.fspath(save_dir)
        self._run: Run | None = None
        self._best: dict[int, str] = {}
        self._kept: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the run: a process that it is sent to finds that by itself."""
        return {**self.__dict__, "_run": None}

    def begun(self) -> Run:
        """The run that it logs to, begun if need be."""
        global _begun
        if self._run is None or self._run.status != "running":
            around = current()
            if around is not None and around is _begun:
                around.end()
                around = current()
            if around is None:
                around = _begun = start(**self._asked)
            self._run = around
        return self._run

    @property
    def known(self) -> Run:
        """The run that it logs to or, after its end, has logged to."""
        return self._run or self.begun()

    @property
    def save_dir(self) -> str:
        """Where Lightning saves checkpoints: below it, by experiment and run."""
        return self._save_dir

    def hyperparameters(self, params: Any) -> None:
        """Log what a module or a data module was made with: a mapping, a namespace."""
        run = self.begun()
        with spared("hyperparameters not logged"):
            run.config.update(bounded(flatten(settings(params))), True)

    def values(self, metrics: Mapping[str, Any], step: int | None) -> None:
        """Log what Lightning has at a step, `epoch` among it."""
        run = self.begun()
        with spared("metrics not logged"):
            run.log_metrics({self._prefix + key: value for key, value in metrics.items()}, step)

    def saved(self, checkpoint: Any) -> None:
        """Keep what a checkpoint callback has just saved, or remember which is its best."""
        if self._log_model == "all":
            scored = getattr(checkpoint, "best_k_models", None) or ()
            last = getattr(checkpoint, "last_model_path", "")
            self._keep(*scored, checkpoint.best_model_path, last)
        elif self._log_model:
            self._best[id(checkpoint)] = checkpoint.best_model_path

    def over(self, status: str) -> None:
        """Keep the best checkpoints; a run that this began fails with its training."""
        if self._run is None:
            return
        self._keep(*self._best.values())
        if status == "failed" and self._run is _begun:
            self._run.end("failed" if (error := sys.exc_info()[1]) is None else None, error=error)

    def _keep(self, *paths: str) -> None:
        for path in map(Path, filter(None, dict.fromkeys(paths))):
            with spared(f"checkpoint {path.name} not kept"):
                if path.exists() and self._kept.get(str(path)) != path.stat().st_mtime:
                    self.begun().log_artifact(path, f"checkpoints/{path.name}")
                    self._kept[str(path)] = path.stat().st_mtime


class Joining:
    """Log to the run that is under way, if there is one and the trainer has no logger of ours."""

    def __init__(self, made: Callable[[], Any]) -> None:
        """`made` gives a new logger."""
        super().__init__()
        self._made = made
        self._logger: Any = None

    def join(self, trainer: Any) -> None:
        """Add a logger to those of a trainer, for as long as it works."""
        with spared("not logged to the current run"):
            ours = any(isinstance(logger, Logging) for logger in trainer.loggers)
            if not ours and not trainer.fast_dev_run and joined() is not None:
                self._logger = self._made()
                self._logger._save_dir = os.fspath(trainer.default_root_dir)
                trainer.loggers = [*trainer.loggers, self._logger]

    def part(self, trainer: Any) -> None:
        """Take the logger back."""
        if self._logger is not None:
            trainer.loggers = [one for one in trainer.loggers if one is not self._logger]
            self._logger = None


def joined() -> Run | None:
    """The run under way that trainings log to unasked: not one that a logger began."""
    run = current()
    return None if run is None or run is _begun else run


def classes(package: str, module: str) -> tuple[Any, Any]:
    """The Logger and the Callback for `package`, a name of Lightning, as classes of `module`."""
    lightning: Any = import_module(package)
    loggers: Any = import_module(f"{package}.loggers")
    logger: Any = import_module(f"{package}.loggers.logger")
    first: Any = import_module(f"{package}.utilities").rank_zero_only

    class GittrackLogger(Logging, loggers.Logger):
        """The logger for `Trainer(logger=...)`; see `integrations.loggers.Logging`."""

        @property
        @logger.rank_zero_experiment
        def experiment(self) -> Run:
            """The run, in the first rank; elsewhere an object that takes every call."""
            return self.begun()

        @property
        def name(self) -> str | None:
            """What the run's experiment is called, in the first rank."""
            return self.known.experiment if first.rank == 0 else None

        @property
        def version(self) -> str | None:
            """What the run is called, in the first rank."""
            return self.known.name if first.rank == 0 else None

        @first
        def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
            """Log what a module was made with as params, nested settings by dotted keys."""
            self.hyperparameters(params)

        @first
        def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
            """Log a point of each metric."""
            self.values(metrics, step)

        @first
        def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
            """Keep the checkpoint as an artifact, where that was asked for."""
            self.saved(checkpoint_callback)

        @first
        def finalize(self, status: str) -> None:
            """Hear that a training or a test is over, `success` or `failed`."""
            self.over(status)

    class GittrackCallback(Joining, lightning.Callback):
        """Log to the run under way, where the trainer has no logger of ours; else do nothing."""

        def __init__(self) -> None:
            super().__init__(GittrackLogger)

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            """Join before the hyperparameters are logged."""
            self.join(trainer)

        on_validation_start = on_test_start = on_fit_start

        def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
            """Part when the trainer is done."""
            self.part(trainer)

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            """Part when it fails."""
            self.part(trainer)

    for made in (GittrackLogger, GittrackCallback):
        # As if they were written there: a process that gets one by pickle looks it up.
        made.__module__, made.__qualname__ = module, made.__name__
    return GittrackLogger, GittrackCallback
