"""What MLflow's `search_runs` accepts means the same here."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from mlflow_filters import ANSWERS, FILTERS, RUNS
from questions import find
from summaries import run

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FOUND: dict[str, list[int]] = json.loads(ANSWERS.read_text("utf-8"))


def _summary(number: int, told: dict[str, Any]) -> Any:
    """The run as gittrack would know it: typed values, and microseconds that MLflow never saw."""
    moments = [
        None if ms is None else EPOCH + timedelta(milliseconds=ms, microseconds=number * 100)
        for ms in (told["start"], told["end"])
    ]
    more = {key: told[key] for key in ("user", "params", "metrics", "tags", "data")}
    return run(
        str(number),
        id=f"{number:032x}",
        title=told["name"],
        status=told["status"].lower(),
        started=moments[0],
        ended=moments[1],
        **more,
    )


SUMMARIES = [_summary(number, told) for number, told in enumerate(RUNS)]


def test_each_filter_has_an_answer_of_mlflow() -> None:
    """The table is MLflow's, and whole."""
    assert list(FOUND) == FILTERS
    assert len({tuple(found) for found in FOUND.values()}) > 25


@pytest.mark.parametrize("query", FILTERS)
def test_a_filter_finds_what_it_finds_in_mlflow(query: str) -> None:
    """Whoever comes from MLflow brings filters along."""
    assert find(query, SUMMARIES) == [str(number) for number in FOUND[query]]
