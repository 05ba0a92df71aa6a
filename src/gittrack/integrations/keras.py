"""Keras's training as a run: what it was told, a curve for each metric, the best epoch, the model.

Knows what a callback of Keras is told, with any of its backends.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import keras

from gittrack.frameworks import bounded, spared
from gittrack.keys import flatten
from gittrack.live import Run, require

__all__ = ["GittrackCallback"]

_UPWARD = ("acc", "auc", "f1", "precision", "recall", "r2")


class GittrackCallback(keras.callbacks.Callback):
    """Log a training to the current run; without one, the training begins it.

    For `callbacks=` of `Model.fit` and `Model.evaluate`. Metrics are logged for each epoch, and
    with `log_every` also for each so many batches, as `batch/loss` and so on. The best epoch is
    judged by `monitor` (`val_loss`, or `loss` where nothing is validated), in the direction `mode`:
    `min`, `max`, or `auto`, which goes by its name. `log_model` keeps the model as `model.keras`.

    Raises:
        GittrackError: when the training begins: no run is under way, and none can begin.
    """

    def __init__(
        self,
        *,
        log_every: int | None = None,
        monitor: str | None = None,
        mode: str = "auto",
        log_model: bool = False,
    ) -> None:
        super().__init__()
        self._every, self._monitor, self._mode = log_every, monitor, mode
        self._log_model = log_model
        self._run: Run | None = None
        self._training, self._batches = False, 0
        self._best: float | None = None
        if log_every:
            # Keras waits for each batch's metrics where a class has this method.
            self.on_train_batch_end = self._batch

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Log what the training was told."""
        run = self._run = require()
        self._training, self._best = True, None
        with spared("params not logged"):
            run.config.update(bounded(_params(self.model, self.params or {})), True)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log the metrics of an epoch, and the learning rate at its end."""
        with spared(f"metrics of epoch {epoch} not logged"):
            run, values = self._run or require(), dict(logs or {})
            self._compare(run, epoch, values)
            run.log_metrics({**values, "learning_rate": _rate(self.model)}, step=epoch)

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Log what `evaluate` found, called `test_loss` and so on."""
        if not self._training:
            run = require()
            with spared("metrics of the evaluation not logged"):
                run.log_metrics({f"test_{key}": value for key, value in (logs or {}).items()})

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Keep the model, where that was asked for."""
        self._training = False
        if self._log_model:
            with spared("model not kept"), tempfile.TemporaryDirectory() as place:
                path = Path(place) / "model.keras"
                self.model.save(path)
                (self._run or require()).log_artifact(path, path.name)

    def _batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._batches += 1
        if self._run is not None and self._every and self._batches % self._every == 0:
            with spared("metrics of a batch not logged"):
                values = {f"batch/{key}": value for key, value in (logs or {}).items()}
                self._run.log_metrics(values, step=self._batches)

    def _compare(self, run: Run, epoch: int, values: Mapping[str, Any]) -> None:
        name = self._monitor or ("val_loss" if "val_loss" in values else "loss")
        upward = any(part in name for part in _UPWARD) if self._mode == "auto" else None
        value, best = values.get(name), self._best
        if value is None:
            return
        if best is None or (value > best if upward or self._mode == "max" else value < best):
            self._best = value
            run.summary.update({"best_epoch": epoch, f"best_{name}": value})


def _params(model: Any, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the optimizer, the model and `fit` were told."""
    settings = {key: told[key] for key in ("epochs", "steps") if told.get(key) is not None}
    settings["batch_size"] = _batch_size()
    settings["model"] = {"name": model.name, "parameters": model.count_params()}
    settings["optimizer"] = model.optimizer.get_config()
    settings["loss"] = getattr(model.loss, "name", model.loss)
    return {key: value for key, value in flatten(settings).items() if value is not None}


def _batch_size() -> int | None:
    """That of the data being trained on: `fit` tells it to no callback, so we look at `fit`."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        data = getattr(frame.f_locals.get("epoch_iterator"), "data_adapter", None)
        if data is not None:
            return data.batch_size if isinstance(data.batch_size, int) else None
        frame = frame.f_back
    return None


def _rate(model: Any) -> float:
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
