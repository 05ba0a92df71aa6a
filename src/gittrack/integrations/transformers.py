"""Trainings of Hugging Face's `Trainer` as runs: its arguments, its curves, its checkpoints.

Knows what a callback of the Trainer is told, and logs in the main process alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from gittrack.frameworks import bounded, spared
from gittrack.keys import flatten
from gittrack.live import Run, current, start

__all__ = ["GittrackCallback"]

_SINGLE = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss")


class GittrackCallback(TrainerCallback):
    """Log a training to the current run; without one, it begins the run, named by `run_name`.

    For `callbacks=` of a Trainer. Metrics are called as Hugging Face's other integrations call
    them: `train/loss`, `eval/loss`; the step is the trainer's global step. `log_model` keeps the
    trained model (the best one, with `load_best_model_at_end`), `"checkpoint"` each checkpoint too.
    Each trial of `Trainer.hyperparameter_search` is a run within the current one.

    Raises:
        GittrackError: when the training begins: no run is under way, and none can begin.
    """

    def __init__(self, *, log_model: bool | str = False) -> None:
        self._log_model = log_model
        self._run: Run | None = None
        self._trial: Run | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Log what the training and the model were told."""
        if not state.is_world_process_zero:
            return
        self._end_trial()
        self._run = None
        if state.is_hyper_param_search:
            _begun(args)
            self._run = self._trial = start(name=state.trial_name or "trial", nested=True)
        run = self._found(args)
        with spared("params not logged"):
            run.config.update(bounded(_params(args, state, more.get("model"))), True)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Log a point of each metric; what a training says once, at its end, is in the summary."""
        if state.is_world_process_zero and logs:
            self._log(args, state, logs)

    def on_predict(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **_: Any
    ) -> None:
        """Log what `Trainer.predict` found, which it logs nowhere else: `test/loss` and so on."""
        if state.is_world_process_zero and metrics:
            self._log(args, state, metrics)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the checkpoint, where that was asked for."""
        if state.is_world_process_zero and self._log_model == "checkpoint":
            name = f"checkpoint-{state.global_step}"
            run = self._found(args)
            with spared(f"{name} not kept"):
                run.log_artifact(Path(args.output_dir) / name, name=name)

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Say which step was the best, and keep the model, where that was asked for."""
        if not state.is_world_process_zero:
            return
        run = self._found(args)
        with spared("the best step not logged"):
            best = {"best_metric": state.best_metric, "best_step": state.best_global_step}
            run.summary.update({key: value for key, value in best.items() if value is not None})
        if self._log_model:
            with spared("model not kept"), tempfile.TemporaryDirectory() as place:
                for part in (more.get("model"), more.get("processing_class")):
                    if part is not None:
                        part.save_pretrained(place)
                run.log_artifact(place, name="model")
        self._end_trial()

    def _log(self, args: Any, state: Any, values: Mapping[str, Any]) -> None:
        run = self._found(args)
        with spared(f"metrics of step {state.global_step} not logged"):
            run.summary.update({key: values[key] for key in _SINGLE if key in values})
            curves = {_named(key): values[key] for key in values if key not in _SINGLE}
            run.log_metrics(curves, step=state.global_step)

    def _found(self, args: Any) -> Run:
        if self._run is None or self._run.status != "running":
            self._run = _begun(args)
        return self._run

    def _end_trial(self) -> None:
        # One that Optuna pruned has told nobody that it is over.
        if self._trial is not None:
            self._trial.end()
        self._trial = None


def _begun(args: Any) -> Run:
    return current() or start(name=getattr(args, "run_name", None))


def _named(key: str) -> str:
    kind, _, rest = key.partition("_")
    return f"{kind}/{rest}" if kind in ("eval", "test") and rest else f"train/{key}"


def _params(args: Any, state: Any, model: Any) -> dict[str, Any]:
    """The arguments that say something, without tokens; the model's own below `model`."""
    config = getattr(model, "config", None)
    settings = dict(args.to_dict())
    if config is not None and hasattr(config, "to_dict"):
        settings["model"] = {**config.to_dict(), "parameters": model.num_parameters()}
    if state.global_step:
        settings["resumed_at_step"] = state.global_step
    settings |= {"trial": state.trial_params} if state.trial_params else {}
    said = flatten(settings).items()
    return {k: v for k, v in said if v is not None and not k.endswith("_token")}
