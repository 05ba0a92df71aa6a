"""XGBoost's training as a run: params, a curve for each metric, what mattered, the model.

Knows what a booster says of itself. Knows nothing of how a run begins and ends.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
from xgboost.callback import TrainingCallback

from gittrack.frameworks import bounded, spared
from gittrack.live import Run, require

__all__ = ["GittrackCallback"]

# What a training found out, and not what it was told.
_FOUND = ("learner_model_param", "gbtree_model_param", "updater", "metrics", "version")


class GittrackCallback(TrainingCallback):
    """Log a training to the current run; without one, the training begins it.

    For `callbacks=` of `xgboost.train`, `xgboost.cv` and of estimators such as `XGBClassifier`.
    `importance_type` is that of the artifact `feature_importance.json`; `log_model` keeps the
    booster as `model.json`.

    Raises:
        GittrackError: when the training begins: no run is under way, and none can begin.
    """

    def __init__(
        self,
        *,
        log_model: bool = False,
        log_feature_importance: bool = True,
        importance_type: str = "gain",
    ) -> None:
        super().__init__()
        self._log_model = log_model
        self._importance = importance_type if log_feature_importance else None

    def before_training(self, model: Any) -> Any:
        """Log what the booster was told."""
        run = require()
        with spared("params not logged"):
            run.log_params(bounded(_params(_booster(model))))
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Log each metric of each data set, with its standard deviation in cross-validation."""
        with spared(f"metrics of round {epoch} not logged"):
            require().log_metrics(_last(evals_log), step=epoch)
        return False

    def after_training(self, model: Any) -> Any:
        """Log what came out."""
        with spared("the end of the training not logged"):
            self._conclude(require(), _booster(model))
        if not hasattr(model, "cvfolds"):
            with spared("feature importance not logged"):
                self._log_importance(require(), model)
            with spared("model not kept"):
                self._keep(require(), model)
        return model

    def _conclude(self, run: Run, booster: Any) -> None:
        best = {key: booster.attr(key) for key in ("best_iteration", "best_score")}
        run.log_metrics({key: json.loads(text) for key, text in best.items() if text is not None})

    def _log_importance(self, run: Run, model: Any) -> None:
        if self._importance is not None:
            scores = model.get_score(importance_type=self._importance)
            run.log_dict(scores, "feature_importance.json")

    def _keep(self, run: Run, model: Any) -> None:
        if self._log_model:
            with tempfile.TemporaryDirectory() as place:
                path = Path(place) / "model.json"
                model.save_model(path)
                run.log_artifact(path, "model.json")


def _booster(model: Any) -> Any:
    """The model itself, or the first one of a cross-validation."""
    return model.cvfolds[0].bst if hasattr(model, "cvfolds") else model


def _params(booster: Any) -> dict[str, Any]:
    return dict(_leaves(json.loads(booster.save_config())["learner"]))


def _leaves(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and key not in _FOUND:
            yield from _leaves(value)
        elif isinstance(value, str) and key != "name":
            yield key, _number(value)


def _number(text: str) -> Any:
    """The number that was meant: XGBoost tells single precision with all its digits."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(str(numpy.float32(text)))
    except ValueError:
        return text


def _last(evals: Mapping[str, Mapping[str, list[Any]]]) -> dict[str, float]:
    values = {}
    for data, metrics in evals.items():
        for metric, series in metrics.items():
            if isinstance(series[-1], tuple):
                mean, deviation = series[-1]
                values.update({f"{data}-{metric}-mean": mean, f"{data}-{metric}-std": deviation})
            else:
                values[f"{data}-{metric}"] = series[-1]
    return values
