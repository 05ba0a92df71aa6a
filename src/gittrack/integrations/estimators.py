"""What an estimator of scikit-learn says of itself: params, scores, what a search tried.

Knows scikit-learn's estimators, and nothing of when they are fitted: `integrations.sklearn` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.base import is_classifier, is_regressor

from gittrack.frameworks import bounded, cut

__all__ = ["candidates", "findings", "metrics", "params", "predicts", "score", "tags"]

_MOST_CANDIDATES = 1_000


def predicts(estimator: Any) -> bool:
    """Whether it is a model, or looks for one: transformers alone are not."""
    return any(hasattr(estimator, name) for name in ("predict", "fit_predict", "_run_search"))


def params(estimator: Any) -> dict[str, Any]:
    """What it was told, and of a pipeline what its steps were; not what a search starts from."""
    return bounded(estimator.get_params(deep=not _is_search(estimator)), _told)


def tags(estimator: Any) -> dict[str, str]:
    """Of which class it is."""
    kind = type(estimator)
    return {
        "estimator_name": kind.__name__,
        "estimator_class": f"{kind.__module__}.{kind.__qualname__}",
    }


def score(estimator: Any, known: Mapping[str, Any]) -> dict[str, float]:
    """Its own score on the data that it was fitted to: `X`, `y`, `sample_weight`."""
    if not hasattr(estimator, "score") or not _is_ready(estimator):
        return {}
    if known.get("y") is None:
        return {"training_score": estimator.score(known["X"])}
    return {"training_score": estimator.score(known["X"], known["y"], **_weights(known))}


def metrics(estimator: Any, known: Mapping[str, Any]) -> dict[str, float]:
    """The usual metrics of a classifier or a regressor, called as MLflow calls them."""
    from sklearn import metrics as of

    x, y, weights = known["X"], known.get("y"), _weights(known)
    of_kind = is_classifier(estimator) or is_regressor(estimator)
    if y is None or not of_kind or not _is_ready(estimator):
        return {}
    guess = estimator.predict(x)
    if is_regressor(estimator):
        squared = of.mean_squared_error(y, guess, **weights)
        return {
            "training_mean_squared_error": squared,
            "training_root_mean_squared_error": squared**0.5,
            "training_mean_absolute_error": of.mean_absolute_error(y, guess, **weights),
            "training_r2_score": of.r2_score(y, guess, **weights),
        }
    averaged = {"average": "weighted", "zero_division": 0, **weights}
    found = {
        "training_accuracy_score": of.accuracy_score(y, guess, **weights),
        "training_precision_score": of.precision_score(y, guess, **averaged),
        "training_recall_score": of.recall_score(y, guess, **averaged),
        "training_f1_score": of.f1_score(y, guess, **averaged),
    }
    if hasattr(estimator, "predict_proba"):
        chances = estimator.predict_proba(x)
        found["training_log_loss"] = of.log_loss(y, chances, labels=estimator.classes_, **weights)
    return found


def findings(search: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """What a search chose, as params and metrics; empty where this is none, or chose nothing."""
    chosen = getattr(search, "best_params_", None) if _is_search(search) else None
    if chosen is None:
        return {}, {}
    best = {f"best_{key}": value for key, value in bounded(chosen, _told).items()}
    value = getattr(search, "best_score_", None)
    return best, {} if value is None else {"best_cv_score": value}


def candidates(search: Any) -> dict[str, list[Any]]:
    """What a search tried, as columns, the best first; empty where this is none."""
    results = getattr(search, "cv_results_", None) if _is_search(search) else None
    if results is None:
        return {}
    ranks = next((results[key] for key in results if key.startswith("rank_test_")), None)
    tried = range(len(results["params"]))
    order = tried if ranks is None else sorted(tried, key=lambda place: ranks[place])
    return {
        key: [cut(_told(values[place])) for place in order[:_MOST_CANDIDATES]]
        for key, values in ((key, results[key].tolist()) for key in results if key != "params")
    }


def _is_search(estimator: Any) -> bool:
    return hasattr(estimator, "_run_search")


def _is_ready(estimator: Any) -> bool:
    """Whether it can predict: a search that does not refit cannot."""
    return not _is_search(estimator) or hasattr(estimator, "best_estimator_")


def _weights(known: Mapping[str, Any]) -> dict[str, Any]:
    given = known.get("sample_weight")
    return {} if given is None else {"sample_weight": given}


def _told(value: Any) -> Any:
    """What stands for estimators among the params: the names of classes and of steps."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return type(value).__name__
    if isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        return [str(one[0]) for one in value]
    return value
