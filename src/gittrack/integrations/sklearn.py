"""scikit-learn's fits as runs: those that the user asks for, not those that happen within them.

Knows when an estimator is fitted, by patching or by scikit-learn's callbacks (1.9 and later). What
is logged of it, `integrations.estimators` knows.
"""

from __future__ import annotations

import inspect
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator, ClusterMixin, OutlierMixin

from gittrack.active import complain
from gittrack.errors import GittrackError
from gittrack.frameworks import spared
from gittrack.integrations import estimators
from gittrack.live import Run, current, require, start

__all__ = ["GittrackCallback", "autolog"]


class _Wanted(NamedTuple):
    models: bool
    metrics: bool


_wanted: _Wanted | None = None
_patched: list[tuple[type, str, Any, Any]] = []
_fitting: ContextVar[bool] = ContextVar("gittrack fitting", default=False)


def autolog(
    log_models: bool = False, *, log_training_metrics: bool = True, disable: bool = False
) -> None:
    """Log each fit of an estimator that predicts, from now on; `disable` undoes it.

    A fit belongs to the current run; without one it is a run of its own. What scikit-learn itself
    fits within another fit, or for a cross-validation, is not logged, nor are transformers.
    `log_models` keeps each model as the artifact `model.joblib`; `log_training_metrics` takes a
    prediction of all the training data. Where no run can begin, that is said on stderr.
    """
    global _wanted
    _wanted = None if disable else _Wanted(log_models, log_training_metrics)
    while _patched:
        owner, name, original, ours = _patched.pop()
        if owner.__dict__.get(name) is ours:
            setattr(owner, name, original)
    if "__init_subclass__" in BaseEstimator.__dict__:
        del BaseEstimator.__init_subclass__
    if not disable:
        for family in (BaseEstimator, ClusterMixin, OutlierMixin):
            _patch(family)
            for one in _below(family):
                _patch(one)
        # Classes that come later: modules not imported yet, estimators of the user's own.
        BaseEstimator.__init_subclass__ = classmethod(_born)  # type: ignore[arg-type]


def _born(cls: type, **options: Any) -> None:
    super(BaseEstimator, cls).__init_subclass__(**options)
    _patch(cls)


def _below(family: type) -> Iterator[type]:
    one: type
    for one in family.__subclasses__():
        yield one
        yield from _below(one)


def _patch(owner: type) -> None:
    for name in ("fit", "fit_predict"):
        original = owner.__dict__.get(name)
        if inspect.isfunction(original) and not hasattr(original, "_gittrack"):
            ours = _logged(original)
            setattr(owner, name, ours)
            _patched.append((owner, name, original, ours))


def _logged(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fit(self: Any, *args: Any, **options: Any) -> Any:
        wanted = _wanted
        # Threads of joblib do not know the context, but then scikit-learn is who calls.
        asked = sys._getframe(1).f_globals.get("__name__", "").split(".")[0]
        inner = _fitting.get() or asked in ("sklearn", "joblib")
        if wanted is None or inner or not estimators.predicts(self):
            return original(self, *args, **options)
        token = _fitting.set(True)
        try:
            return _fit(wanted, original, self, *args, **options)
        finally:
            _fitting.reset(token)

    fit._gittrack = True  # type: ignore[attr-defined]
    return fit


def _fit(
    wanted: _Wanted, original: Callable[..., Any], estimator: Any, *args: Any, **options: Any
) -> Any:
    run = current()
    if run is None:
        try:
            run = start()
        except GittrackError as error:
            complain(f"fit of {type(estimator).__name__} not logged: {error.message}")
            return original(estimator, *args, **options)
        with run:
            return _log_fit(run, wanted, original, estimator, *args, **options)
    return _log_fit(run, wanted, original, estimator, *args, **options)


def _log_fit(
    run: Run,
    wanted: _Wanted,
    original: Callable[..., Any],
    estimator: Any,
    *args: Any,
    **options: Any,
) -> Any:
    _tell(run, estimator)
    result = original(estimator, *args, **options)
    if wanted.metrics:
        with spared("training score not logged"):
            known = _data(inspect.signature(original).bind(estimator, *args, **options).arguments)
            run.log_metrics(estimators.score(estimator, known))
            run.log_metrics(estimators.metrics(estimator, known))
    with spared("what the search found not logged"):
        params, metrics = estimators.findings(estimator)
        run.log_params(params)
        run.log_metrics(metrics)
        tried = estimators.candidates(estimator)
        if tried:
            run.log_table(tried, "cv_results.csv")
    if wanted.models:
        with spared("model not kept"):
            _keep(run, estimator)
    return result


def _data(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was fitted to, after the estimator itself, whatever its author calls it."""
    _, (_, x), *others = arguments.items()
    y = next((value for name, value in others if name.lower() in ("y", "target")), None)
    return {"X": x, "y": y, "sample_weight": arguments.get("sample_weight")}


def _tell(run: Run, estimator: Any) -> None:
    with spared("params not logged"):
        run.set_tags(estimators.tags(estimator))
        run.log_params(estimators.params(estimator))


def _keep(run: Run, estimator: Any) -> None:
    import joblib

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model.joblib"
        joblib.dump(estimator, path)
        run.log_artifact(path, "model.joblib")


class GittrackCallback:
    """Log the score on the training data after each iteration, for `set_callbacks`.

    `scoring` is what scikit-learn takes: a name, several, a function; None is the estimator's own
    score. Of a search the last fit, to all the data, has a curve, and its candidates have none.

    Raises:
        GittrackError: when the fit begins: no run is under way, and none can begin.
    """

    def __init__(self, scoring: Any = None) -> None:
        self.scoring = [scoring] if isinstance(scoring, str) else scoring

    def setup(self, estimator: Any, context: Any) -> None:
        """Log what the estimator was told."""
        run = require()
        if context.parent is None:
            _tell(run, estimator)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing."""

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any, y: Any, fitted_estimator: Any
    ) -> None:
        """Log the score of the model as it is after this iteration."""
        if fitted_estimator is None or context.max_subtasks != 0 or _beside(context):
            return
        with spared("training score not logged"):
            from sklearn.metrics import check_scoring

            found = check_scoring(fitted_estimator, self.scoring)(fitted_estimator, X, y)
            scores = found if isinstance(found, dict) else {"score": found}
            require().log_metrics(
                {f"training_{name}": value for name, value in scores.items()},
                step=None if context.parent is None else context.task_id,
            )


def _beside(context: Any) -> bool:
    """Whether others of its kind are fitted at the same time, as in a search."""
    while context.parent is not None:
        context = context.parent
        if not context.sequential_subtasks:
            return True
    return False
