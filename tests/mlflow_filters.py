"""Ten runs, the filters that MLflow documents for `search_runs`, and what MLflow finds with each.

The answers lie beside this file. Where MLflow is installed, write them again with

    python tests/mlflow_filters.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["ANSWERS", "FILTERS", "RUNS", "START"]

ANSWERS = Path(__file__).with_name("mlflow_answers.json")
START = 1670628787000
"""When the first run started, in milliseconds; the others a minute apart."""

MODELS = ("GPT-2", "GPT-3", "GPT-3.5", "gpt-4")
STATUSES = ("FINISHED", "FAILED", "KILLED", "RUNNING")
NAMES = ("alpha-one", "Alpha two", "beta", "gamma_3", "100%", "it's", "", "delta", "alphabet", "z")


def _run(n: int) -> dict[str, Any]:
    params: dict[str, Any] = {
        "batch_size": 2 if n < 5 else 4,
        "learning_rate": (0.001, 0.01)[n % 2],
        "lambda": (0.1, 1.0, 1)[n % 3],
        "amp": n % 2 == 0,
    }
    tags: dict[str, str] = {"mlflow.user": "ada" if n % 2 else "", "release_version": f"2.0.{n}"}
    if n < 4:
        params["model"] = MODELS[n]
        tags["task"] = ("classification", "regression", "causal lm", "Logistic regression")[n]
    if n < 5:
        tags["my environment"] = "notebook"
    return {
        "name": NAMES[n] or f"unnamed-{n}",
        "user": ("ada", "grace")[n % 2],
        "status": STATUSES[n % 4],
        "start": START + 60_000 * n,
        "end": None if n % 4 == 3 else START + 60_000 * n + 4321,
        "params": params,
        "metrics": {"accuracy": n / 10, "f1 score": n / 10, "val/loss": 1 - n / 10, "step": n - 5},
        "tags": tags,
        "data": {"custom" if n < 5 else "also custom": ("s8ds293b", "jks834s2")[n % 2]},
    }


RUNS: list[dict[str, Any]] = [_run(n) for n in range(10)]

FILTERS = [
    "",
    "metrics.accuracy > 0.72",
    "metrics.accuracy>0.72",
    "metric.accuracy >= 0.7 AND metric.accuracy != 0.8",
    "metrics.accuracy = 0.5",
    "metrics.step < -2",
    "metrics.step <= 0 and metrics.step > -1e0",
    "metrics.`f1 score` > 0.5",
    'metrics."f1 score" >= .5',
    "metrics.`val/loss` < 0.35",
    "`metrics`.accuracy < 0.3",
    "params.batch_size = '2'",
    'params.batch_size = "2"',
    "param.batch_size != '2'",
    "parameter.batch_size = '2.0'",
    "parameters.learning_rate LIKE '0.0%'",
    "params.learning_rate = '0.001'",
    "params.learning_rate != '0.001'",
    "params.learning_rate LIKE '0.00_'",
    "params.lambda = '1'",
    "params.lambda = '1.0'",
    "params.lambda != '1'",
    "params.lambda like '1%'",
    "params.amp = 'True'",
    "params.amp != 'True'",
    "params.amp ILIKE 'true'",
    "params.model = 'GPT-3'",
    'params.model = "GPT-3"',
    "params.model != 'GPT-3'",
    "params.model LIKE 'GPT%'",
    "params.model ILIKE 'gpt%'",
    "params.model LIKE 'gpt%'",
    "params.model LIKE '%-3%'",
    "params.model LIKE 'GPT-_'",
    "params.model IS NULL",
    "params.model IS NOT NULL",
    "params.model is not null and params.batch_size = '2' and metrics.accuracy > 0.1",
    "params.model = 'GPT-3' and params.learning_rate = '0.01' and metrics.`val/loss` <= 0.95",
    "tags.task = 'regression'",
    "tag.task = 'regression'",
    "tags.task != 'regression'",
    "tags.task ILIKE '%Logistic%'",
    "tags.task LIKE 'class%'",
    "tags.task IS NULL",
    "tags.`my environment` = 'notebook'",
    'tags."my environment" = "notebook"',
    "tags.mlflow.user = 'ada'",
    "tags.`mlflow.user` = ''",
    "tags.release_version = '2.0.1'",
    "attributes.status = 'FINISHED'",
    'attributes.status = "FAILED"',
    "attribute.status != 'FINISHED'",
    "attr.status = 'KILLED'",
    "run.status = 'RUNNING'",
    "status = 'FINISHED'",
    "status ILIKE 'fin%'",
    "attributes.created > 1670628907000",
    "attributes.Created > 1670628907000",
    "attributes.start_time > 1670628907000",
    "start_time = 1670628907000",
    "start_time != 1670628907000",
    "created >= 1670628907000 and created <= 1670628967000",
    "attributes.end_time < 1670629087000",
    "attributes.run_name = 'beta'",
    'attributes.run_name ILIKE "%alpha%"',
    "attributes.`run name` ILIKE '%alpha%'",
    "attributes.`Run name` LIKE 'alpha%'",
    "attributes.`Run Name` != 'beta'",
    '"run name" = "beta"',
    "run_name LIKE 'gamma_3'",
    "run_name = '100%'",
    "run_name LIKE '100%'",
    'run_name = "it\'s"',
    "attributes.user_id = 'ada'",
    "user_id LIKE 'gr%'",
    "attributes.run_id = 'no-such-run'",
    "run_id IN ('no-such-run', 'nor-this')",
    "attributes.run_id NOT IN ('no-such-run')",
    "dataset.name = 'custom'",
    "datasets.name = 'also custom'",
    "dataset.name IN ('custom', 'also custom')",
    "dataset.name = 'cust'",
    "dataset.name != 'custom'",
    "dataset.name LIKE '%custom%'",
    "dataset.name LIKE 'Custom'",
    "dataset.name ILIKE 'Custom'",
    "dataset.name NOT IN ('custom', 'none')",
    "dataset.digest = 's8ds293b'",
    "dataset.digest != 's8ds293b'",
    "dataset.digest IN ('s8ds293b', 'jks834s2') and dataset.name LIKE 'also%'",
    "datasets.digest = 's8ds293b' and datasets.name = 'custom'",
]


def answers(store: str) -> dict[str, list[int]]:
    """What MLflow finds, by the numbers of the runs, in a database that is made at `store`."""
    from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunStatus, RunTag, ViewType
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database = SqlAlchemyStore(f"sqlite:///{store}/mlflow.db", f"{store}/artifacts")
    numbers = {}
    for n, run in enumerate(RUNS):
        made = database.create_run("0", run["user"], run["start"], [], run["name"]).info.run_id
        numbers[made] = n
        database.log_batch(
            made,
            [Metric(key, value, run["start"], 0) for key, value in run["metrics"].items()],
            [Param(key, str(value)) for key, value in run["params"].items()],
            [RunTag(key, value) for key, value in run["tags"].items()],
        )
        data = [
            DatasetInput(Dataset(name, digest, "code", "here", None, None), [])
            for name, digest in run["data"].items()
        ]
        database.log_inputs(made, data)
        status = RunStatus.from_string(run["status"])
        database.update_run_info(made, status, run["end"], run["name"])
    return {
        query: sorted(
            numbers[run.info.run_id]
            for run in database.search_runs(["0"], query, ViewType.ACTIVE_ONLY)
        )
        for query in FILTERS
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        found = answers(place)
    rows = ",\n".join(f"{json.dumps(query)}: {json.dumps(runs)}" for query, runs in found.items())
    ANSWERS.write_text(f"{{\n{rows}\n}}\n", "utf-8")
