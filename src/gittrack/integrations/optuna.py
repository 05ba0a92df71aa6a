"""Optuna's studies as runs: each trial a run within that of its study.

Knows what a trial has to say, and when it is over. Knows nothing of how a run begins and ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from threading import Lock
from typing import Any

from optuna import Study, Trial, TrialPruned
from optuna.trial import FrozenTrial, TrialState

from gittrack.frameworks import bounded, spared
from gittrack.live import Run, current, start

__all__ = ["GittrackCallback"]

_MANY = 1_000


class GittrackCallback:
    """Record each trial of a study as a run within the current one, which is the study's.

    For `callbacks=` of `Study.optimize`. Where no run is under way, the first trial begins one,
    called as the study; it ends with the script. `metric_name` is what the value of a trial is
    called, or the names of its values. Threads may share it.
    """

    def __init__(self, metric_name: str | Sequence[str] = "value") -> None:
        self._names = metric_name
        self._around = current()
        self._lock = Lock()
        self._tracked: set[tuple[str, int]] = set()
        self._best: dict[str, Any] = {}

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Record a trial that is over, and the best of the study so far."""
        with spared(f"trial {trial.number} not recorded"):
            if (study.study_name, trial.number) not in self._tracked:
                self._close(self._begin(study, trial.number), trial, trial.values, trial.state)
        with spared(f"the best trial after trial {trial.number} not logged"):
            self._tell_best(study, trial.number)

    def track_in_trial(self, objective: Callable[[Trial], Any]) -> Callable[[Trial], Any]:
        """Decorate an objective: what it logs goes to the run of its trial.

        Raises:
            GittrackError: in the objective: no run is under way, and none can begin.
        """

        @wraps(objective)
        def within(trial: Trial) -> Any:
            study = trial.study
            run = self._begin(study, trial.number)
            self._tracked.add((study.study_name, trial.number))
            state, values, failure = TrialState.FAIL, None, None
            try:
                values = objective(trial)
                state = _state(values, len(study.directions))
                return values
            except TrialPruned:
                state = TrialState.PRUNED
                raise
            except BaseException as error:
                failure = error
                raise
            finally:
                known = _known(study, trial.number)
                if state == TrialState.PRUNED and known is not None and known.intermediate_values:
                    values = known.intermediate_values[max(known.intermediate_values)]
                self._close(run, known, values, state, failure)

        return within

    def _begin(self, study: Study, number: int) -> Run:
        return start(name=f"trial-{number}", nested=True, parent=self._run(study).id)

    def _run(self, study: Study) -> Run:
        """The study's run; each thread has a current run of its own, so that it is kept here."""
        with self._lock:
            if self._around is None or self._around.status != "running":
                named = study.study_name
                self._around = current() or start(
                    name="study" if named.startswith("no-name-") else named
                )
            return self._around

    def _close(
        self,
        run: Run,
        trial: FrozenTrial | None,
        values: Any,
        state: TrialState,
        failure: BaseException | None = None,
    ) -> None:
        """Log what a trial has to say of itself, and end its run."""
        with spared("what the trial said of itself not logged"):
            run.set_tag("optuna.state", state.name.lower())
            if trial is not None:
                self._tell(run, trial)
            if state in (TrialState.COMPLETE, TrialState.PRUNED):
                run.log_metrics(self._named(values))
        failed = state == TrialState.FAIL and failure is None
        run.end("failed" if failed else None, error=failure)

    def _tell(self, run: Run, trial: FrozenTrial) -> None:
        run.log_params(bounded(trial.params))
        for step, value in trial.intermediate_values.items():
            run.log_metric("intermediate_value", value, step)
        if trial.datetime_start is not None:
            over = trial.datetime_complete or datetime.now()
            run.log_metric("duration", (over - trial.datetime_start).total_seconds())
        run.set_tags({"optuna.trial": trial.number, **bounded(trial.user_attrs)})

    def _named(self, values: Any) -> dict[str, Any]:
        if values is None:
            return {}
        several = list(values) if isinstance(values, Sequence) else [values]
        if not isinstance(self._names, str):
            return dict(zip(self._names, several, strict=False))
        if len(several) == 1:
            return {self._names: several[0]}
        return {f"{self._names}_{place}": value for place, value in enumerate(several)}

    def _tell_best(self, study: Study, number: int) -> None:
        run = self._run(study)
        if len(study.directions) > 1:
            if number > _MANY and number % 100:
                return  # each trial is compared with each other one
            best = ", ".join(str(trial.number) for trial in study.best_trials)
            run.set_tag("optuna.best_trials", best)
            return
        try:
            found = study.best_trial
        except ValueError:
            return  # no trial is complete
        run.log_metric("best_value", found.values[0], step=number)
        run.log_metric("best_trial", found.number, step=number)
        with self._lock:
            # A param that the best trial does not have any more is none of the best.
            told = {**dict.fromkeys(self._best), **bounded(found.params)}
            if told != self._best:
                self._best = told
                run.config.update({"best": told}, True)


def _state(values: Any, directions: int) -> TrialState:
    """What Optuna makes of a trial that returns this."""
    several = values if isinstance(values, Sequence) else [values]
    try:
        good = len(several) == directions and not any(math.isnan(float(one)) for one in several)
    except (TypeError, ValueError):
        good = False
    return TrialState.COMPLETE if good else TrialState.FAIL


def _known(study: Study, number: int) -> FrozenTrial | None:
    """What the study knows of a trial that goes on; None where its store does not answer."""
    try:
        return study.get_trials(deepcopy=False)[number]
    except Exception:
        # The store is Optuna's or its user's own, and may say no in any way.
        return None
