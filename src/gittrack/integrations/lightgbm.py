"""LightGBM's training as a run: params, a curve for each metric, the best iteration, the model.

Knows what a callback of LightGBM is told, which is nothing of the end of the training.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from gittrack.frameworks import bounded, spared
from gittrack.live import Run, require

__all__ = ["GittrackCallback", "log_summary"]


class GittrackCallback:
    """Log a training to the current run; without one, the training begins it.

    For `callbacks=` of `lightgbm.train`, `lightgbm.cv` and of `fit` of estimators such as
    `LGBMClassifier`. The best iteration counts from 1, as LightGBM's does.

    Raises:
        GittrackError: in the first iteration: no run is under way, and none can begin.
    """

    def __init__(self) -> None:
        # Before early stopping (30), which leaves out whoever comes after it. LightGBM looks into
        # the instance only.
        self.order = 25
        self.before_iteration = False
        self._best: float | None = None

    def __call__(self, env: Any) -> None:
        """Log the iteration that `env` tells of."""
        run = require()
        if env.iteration == env.begin_iteration:
            self._best = None
            with spared("params not logged"):
                run.log_params(bounded(env.params))
        with spared(f"metrics of iteration {env.iteration} not logged"):
            results = [tuple(result) for result in env.evaluation_result_list or ()]
            values: dict[str, float] = {}
            for data, metric, value, _, *deviation in results:
                several = any(one is not None for one in deviation)
                values[f"{data}-{metric}-mean" if several else f"{data}-{metric}"] = value
                if several:
                    values[f"{data}-{metric}-stdv"] = deviation[0]
            run.log_metrics(values, step=env.iteration)
            self._compare(run, env.iteration + 1, results)

    def _compare(self, run: Run, iteration: int, results: list[tuple[Any, ...]]) -> None:
        held_out = [result for result in results if not result[0].startswith("train")]
        for _, _, value, higher_is_better, *_ in held_out[:1]:
            best = self._best
            if best is None or (value > best if higher_is_better else value < best):
                self._best = value
                run.summary.update({"best_iteration": iteration, "best_score": value})


def log_summary(model: Any, *, feature_importance: bool = True, log_model: bool = False) -> None:
    """Log what a trained booster or estimator says of itself: its best iteration and scores.

    `feature_importance` (by gain) becomes an artifact, with `log_model` the model does too, as
    `model.txt`.

    Raises:
        GittrackError: no run is under way, and none can begin.
    """
    run = require()
    booster = getattr(model, "booster_", model)
    with spared("the end of the training not logged"):
        scores = {f"best_{data}-{metric}": value for data, of in booster.best_score.items()
                  for metric, value in of.items()}  # fmt: skip
        if booster.best_iteration > 0:
            scores["best_iteration"] = booster.best_iteration
        run.summary.update(scores)
    if feature_importance:
        with spared("feature importance not logged"):
            gains = booster.feature_importance("gain").tolist()
            run.log_dict(
                dict(zip(booster.feature_name(), gains, strict=True)), "feature_importance.json"
            )
    if log_model:
        with spared("model not kept"), tempfile.TemporaryDirectory() as place:
            path = Path(place) / "model.txt"
            booster.save_model(path)
            run.log_artifact(path, "model.txt")
