"""How much a small forest of decision trees leans on each param: the door to scikit-learn.

Knows how values become numbers that a tree can split, and that a column of random numbers gets some
importance, too. Imports scikit-learn only when it is asked. Knows nothing of runs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from gittrack.effects import features, ranks
from gittrack.errors import LibraryMissing
from gittrack.meter import SILENT, Meter
from gittrack.summaries import Number, Value

__all__ = ["Forest", "forest"]

_TREES, _AT_ONCE = 50, 5
_MOST = 1000
_RANDOM_COLUMNS = 3
_SEED = 0


class Forest(NamedTuple):
    """The importance of each param: together, and with what chance took, they make 1.

    `chance` is the most that a param got whose values are random: less says nothing.
    """

    importances: Mapping[str, float]
    chance: float


def forest(
    target: Sequence[Number], params: Mapping[str, Sequence[Value]], *, meter: Meter = SILENT
) -> Forest:
    """Ask a forest, which is the same each time, what the ranks of a target depend on.

    Columns are as long as `target`, which holds no NaN; None is a param that is not set. Of more
    than 1,000 runs it sees 1,000. Importance is the decrease of impurity, so a param of many values
    gets a little more than its due.

    Raises:
        LibraryMissing: scikit-learn is not installed.
    """
    meter.start("planting a forest", _TREES, "trees")
    try:
        library: Any = import_module("sklearn.ensemble")
        numpy: Any = import_module("numpy")
    except ImportError as error:
        raise LibraryMissing(
            "scikit-learn is not installed",
            library="scikit-learn",
            hint="pip install 'gittrack[compare]'",
        ) from error
    source = random.Random(_SEED)
    everyone = range(len(target))
    seen = everyone if len(everyone) <= _MOST else sorted(source.sample(everyone, _MOST))
    columns: list[list[float]] = []
    owners: list[str | int] = []
    for name, values in params.items():
        made = features([values[place] for place in seen])
        columns += made
        owners += [name] * len(made)
    for number in range(_RANDOM_COLUMNS):
        columns.append([source.random() for _ in seen])
        owners.append(number)
    trees = library.RandomForestRegressor(
        min_samples_leaf=2, max_features=1.0, random_state=_SEED, n_jobs=1, warm_start=True
    )
    inputs = numpy.array(columns).T
    ranked = numpy.array(ranks([target[place] for place in seen]))
    for count in range(_AT_ONCE, _TREES + 1, _AT_ONCE):
        # The same trees as all at once: scikit-learn goes on where its random numbers were.
        trees.set_params(n_estimators=count).fit(inputs, ranked)
        meter.advance(_AT_ONCE)
    meter.end()
    found: dict[str | int, float] = {}
    for owner, weight in zip(owners, trees.feature_importances_.tolist(), strict=True):
        found[owner] = found.get(owner, 0.0) + weight
    return Forest(
        {name: found[name] for name in params}, max(found[n] for n in range(_RANDOM_COLUMNS))
    )
