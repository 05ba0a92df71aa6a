"""scikit-learn itself, patched and called back: what its users fit is in the record."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from trainings import Trained, train

pytest.importorskip("sklearn")

HEAD = """\
import os
import numpy, sklearn
import gittrack
from gittrack.integrations.sklearn import GittrackCallback, autolog
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

x, y = load_wine(return_X_y=True)
x = StandardScaler().fit_transform(x)
"""

FITS = """\
original = LogisticRegression.fit
autolog(log_models=True)
autolog(log_models=True)
weights = numpy.where(y == 0, 2.0, 1.0)
run = gittrack.start_run
with run(name="classifier"):
    assert LogisticRegression(C=0.5).fit(x, y, sample_weight=weights).C == 0.5
with run(name="regressor"):
    LinearRegression().fit(*load_diabetes(return_X_y=True))
with run(name="pipeline"):
    make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(x, y)
with run(name="search"):
    steps = make_pipeline(StandardScaler(), LogisticRegression())
    GridSearchCV(steps, {"logisticregression__C": [0.001, 1.0]}, n_jobs=2).fit(x, y)
with run(name="threads"):
    import joblib
    with joblib.parallel_backend("threading", n_jobs=2):
        RandomizedSearchCV(LogisticRegression(), {"C": [0.1, 1, 10]}, n_iter=2).fit(x, y)
with run(name="several"):
    search = GridSearchCV(
        LogisticRegression(), {"C": [1]}, scoring=["accuracy", "f1_macro"], refit=False
    )
    search.fit(x, y)
with run(name="bag"):
    BaggingClassifier(LogisticRegression(C=0.25), n_estimators=3).fit(x, y)
with run(name="clusters"):
    KMeans(3, random_state=0).fit_predict(x)
with run(name="density"):
    DBSCAN(eps=2).fit_predict(x)
with run(name="nothing"):
    StandardScaler().fit(x)
    cross_val_score(LogisticRegression(), x, y)

class Mine(ClassifierMixin, BaseEstimator):
    def __init__(self, inner=None, words=None, big=None):
        self.inner, self.words, self.big = inner, words, big
    def fit(self, x, y):
        self.fitted_ = LogisticRegression().fit(x, y)
        self.classes_ = self.fitted_.classes_
        return self
    def predict(self, x):
        return self.fitted_.predict(x)

with run(name="mine"):
    Mine(inner=LogisticRegression(), words="x" * 9000, big=numpy.arange(9000)).fit(x, y)
with run(name="quiet"):
    autolog(log_training_metrics=False)
    LogisticRegression().fit(x, y)
with run(name="undone"):
    autolog(disable=True)
    assert LogisticRegression.fit is original and "fit" in vars(Mine)
    Mine().fit(x, y)
    class Later(Mine):
        def fit(self, x, y):
            return super().fit(x, y)
    Later().fit(x, y)
"""


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("fits"), HEAD + FITS)


def test_a_classifier_is_logged_as_its_user_gave_it(fits: Trained) -> None:
    """Params with their types, its class, what it makes of the training data, the model."""
    run = fits["classifier"]
    assert run.params["C"] == 0.5 and run.params["max_iter"] == 100
    assert run.params["class_weight"] is None and run.params["fit_intercept"] is True
    assert run.tags == {
        "estimator_name": "LogisticRegression",
        "estimator_class": "sklearn.linear_model._logistic.LogisticRegression",
    }
    named = "training_{}_score"
    assert set(run.metrics) == {
        "training_score", "training_log_loss",
        *(named.format(of) for of in ("accuracy", "precision", "recall", "f1")),
    }  # fmt: skip
    assert run.metrics["training_score"] == run.metrics["training_accuracy_score"] > 0.9
    import joblib

    assert joblib.load(fits.kept("classifier", "model.joblib")).C == 0.5


def test_a_regressor_has_errors(fits: Trained) -> None:
    """And no accuracy."""
    metrics = fits["regressor"].metrics
    assert set(metrics) == {
        "training_score", "training_r2_score", "training_mean_absolute_error",
        "training_mean_squared_error", "training_root_mean_squared_error",
    }  # fmt: skip
    squared = metrics["training_mean_squared_error"]
    assert metrics["training_root_mean_squared_error"] == squared**0.5


def test_a_pipeline_tells_the_params_of_its_steps(fits: Trained) -> None:
    """As `set_params` takes them."""
    params = fits["pipeline"].params
    assert params["steps"] == ["standardscaler", "logisticregression"]
    assert params["logisticregression"] == "LogisticRegression"
    assert params["logisticregression__C"] == 0.5 and params["standardscaler__with_std"] is True


@pytest.mark.parametrize("name, key", [("search", "logisticregression__C"), ("threads", "C")])
def test_a_search_tells_what_it_found_and_all_that_it_tried(
    fits: Trained, name: str, key: str
) -> None:
    """The candidates are a table; their fits, in processes or threads, are not logged."""
    run = fits[name]
    with fits.kept(name, "cv_results.csv").open() as file:
        tried = list(csv.DictReader(file))
    assert [row["rank_test_score"] for row in tried] == ["1", "2"]
    assert run.params[f"best_{key}"] == float(tried[0][f"param_{key}"])
    assert run.metrics["best_cv_score"] == float(tried[0]["mean_test_score"])
    assert "C" not in run.params and "estimator__C" not in run.params
    assert run.params["estimator"] in ("Pipeline", "LogisticRegression")
    assert len(fits.curve(name, "training_score")) == 1


def test_a_search_without_a_best_has_its_candidates(fits: Trained) -> None:
    """Several scores and no refit: there is no model, and nothing is wrong with that."""
    run = fits["several"]
    assert [item.path for item in run.artifacts] == ["cv_results.csv", "model.joblib"]
    assert "best_cv_score" not in run.metrics


def test_fits_within_a_fit_are_not_logged(fits: Trained) -> None:
    """A forest of a thousand trees is one fit."""
    assert fits["bag"].params["n_estimators"] == 3
    assert fits["bag"].params["estimator__C"] == 0.25 and "C" not in fits["bag"].params
    assert len(fits.curve("bag", "training_score")) == 1
    assert "C" not in fits["mine"].params


def test_clusters_are_models_and_transformers_are_not(fits: Trained) -> None:
    """What scikit-learn fits for a cross-validation is nobody's model either."""
    assert fits["clusters"].params["n_clusters"] == 3
    assert set(fits["clusters"].metrics) == {"training_score"}
    assert fits["density"].params["eps"] == 2 and fits["density"].metrics == {}
    nothing = fits["nothing"]
    assert (nothing.params, nothing.metrics, nothing.tags) == ({}, {}, {})


def test_a_class_that_comes_later_is_logged_too(fits: Trained) -> None:
    """Within bounds: a param is for comparing runs."""
    run = fits["mine"]
    assert run.params["inner"] == "LogisticRegression"
    assert run.params["words"] == "x" * 497 + "..."
    assert run.params["big"] == "ndarray of shape (9000,)"
    assert run.metrics["training_accuracy_score"] > 0.9


def test_it_can_be_undone(fits: Trained) -> None:
    """Wholly; and the scores, which cost a prediction, by themselves."""
    assert set(fits["quiet"].params) > {"C"} and fits["quiet"].metrics == {}
    undone = fits["undone"]
    assert (undone.params, undone.metrics, undone.tags) == ({}, {}, {})


def test_nothing_went_wrong(fits: Trained) -> None:
    """No fault in any of these runs, and no run that nobody asked for."""
    assert {run.name: run.faults for run in fits.all if run.faults} == {}
    assert len(fits.all) == 13


OWN = """\
autolog()
LogisticRegression(C=0.5).fit(x, y)
assert gittrack.active_run() is None
try:
    LogisticRegression(C="much").fit(x, y)
except ValueError as error:
    print(type(error).__name__)
class Broken(BaseEstimator):
    def fit(self, x, y):
        return self
    def predict(self, x):
        raise KeyError("cannot")
    score = predict
    def score(self, x, y):
        raise KeyError("cannot")
Broken().fit(x, y)

os.chdir(os.environ["HOME"])
for strength in (0.1, 1):
    print(LogisticRegression(C=strength).fit(x, y).score(x, y) > 0.9)
"""


def test_without_a_run_each_fit_is_one(tmp_path: Path) -> None:
    """It ends with the fit, `failed` if that raises, which its user still sees.

    Where none can begin, the fit goes on.
    """
    found = train(tmp_path, HEAD + OWN)
    good, bad, broken = found.all
    assert (good.status, good.params["C"]) == ("finished", 0.5)
    assert (bad.status, bad.params["C"]) == ("failed", "much")
    assert found.out == "InvalidParameterError\nTrue\nTrue\n"
    assert broken.status == "finished"
    assert broken.faults == ("training score not logged: KeyError('cannot')",)
    assert found.err.count("gittrack: ") == 1 and "KeyError" in found.err


def test_in_a_run_of_the_command_the_fit_is_its(tmp_path: Path) -> None:
    """`git track run` needs no other word in the script."""
    (run,) = train(tmp_path, HEAD + "autolog()\nLogisticRegression().fit(x, y)", track=True).all
    assert run.source == "cli" and run.metrics["training_accuracy_score"] > 0.9


CALLED = """\
with gittrack.start_run(name="plain"):
    LogisticRegression(max_iter=9).set_callbacks(GittrackCallback()).fit(x, y)
with gittrack.start_run(name="scored"):
    callback = GittrackCallback(["accuracy", "neg_log_loss"])
    make_pipeline(StandardScaler(), LogisticRegression().set_callbacks(callback)).fit(x, y)
with gittrack.start_run(name="search"):
    model = LogisticRegression().set_callbacks(GittrackCallback("accuracy"))
    GridSearchCV(model, {"C": [0.1, 1]}).fit(x, y)
with gittrack.start_run(name="wrong"):
    def scorer(model, x, y):
        raise KeyError("cannot")
    LogisticRegression(max_iter=3).set_callbacks(GittrackCallback(scorer)).fit(x, y)
"""


def test_callbacks_log_curves(tmp_path: Path) -> None:
    """Of scikit-learn 1.9, where estimators tell how far they are; candidates would overlap."""
    pytest.importorskip("sklearn.callback")
    found = train(tmp_path, HEAD + CALLED)
    plain = found.curve("plain", "training_score")
    assert [step for step, _ in plain] == list(range(9))
    assert plain[-1][1] > plain[0][1] and found["plain"].params["max_iter"] == 9
    losses = [value for _, value in found.curve("scored", "training_neg_log_loss")]
    assert len(losses) > 5 and losses[-1] > losses[0]
    assert len(found.curve("scored", "training_accuracy")) == len(losses)
    refit = found.curve("search", "training_accuracy")
    assert [step for step, _ in refit] == list(range(len(refit))) and len(refit) > 5
    assert set(found["wrong"].faults) == {"training score not logged: KeyError('cannot')"}
    assert [run.faults for run in found.all if run.name[:5] != "wrong"] == [(), (), ()]
