"""Trainings of `lightning.pytorch` as runs: a Logger, and the callback that every trainer gets.

Knows by which methods a trainer speaks; what they log is known by `integrations.loggers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from gittrack.integrations.loggers import Joining, Logging
from gittrack.live import Run

__all__ = ["GittrackCallback", "GittrackLogger", "callbacks"]


class GittrackLogger(Logging, Logger):
    """The logger for `Trainer(logger=...)`; see `integrations.loggers.Logging`."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Run:
        """The run, in the first rank; elsewhere an object that takes every call."""
        return self.begun()

    @property
    def name(self) -> str | None:
        """What the run's experiment is called, in the first rank."""
        return self.known.experiment if rank_zero_only.rank == 0 else None

    @property
    def version(self) -> str | None:
        """What the run is called, in the first rank."""
        return self.known.name if rank_zero_only.rank == 0 else None

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Log what a module was made with as params, those of nested settings by dotted keys."""
        self.hyperparameters(params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log a point of each metric."""
        self.values(metrics, step)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Keep the checkpoint as an artifact, where that was asked for."""
        self.saved(checkpoint_callback)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Hear that a training or a test is over, `success` or `failed`."""
        self.over(status)


class GittrackCallback(Joining, Callback):
    """Log to the run under way, where the trainer has no logger of ours; else do nothing."""

    def made(self) -> GittrackLogger:
        """A new logger."""
        return GittrackLogger()

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


def callbacks() -> list[Any]:
    """What every trainer gets by the entry point `callbacks_factory`."""
    return [GittrackCallback()]
