"""Columns as DataFrames, with the real pandas and the real polars."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import frames
from gittrack.errors import LibraryMissing

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
FAR = datetime(9999, 1, 1, tzinfo=timezone.utc)
BIG = 2**60 + 1


@pytest.mark.parametrize(
    ("values", "of_pandas", "of_polars"),
    [
        ([1, 2], "int64", pl.Int64),
        ([1, None], "float64", pl.Int64),
        ([BIG, None], "Int64", pl.Int64),
        ([2**70, 1], "object", pl.Float64),
        ([2**70, None], "object", pl.Float64),
        ([1, 0.5], "float64", pl.Float64),
        ([0.5, None], "float64", pl.Float64),
        ([math.nan, math.inf], "float64", pl.Float64),
        ([2**1023 * 2 - 1, 0.5], "object", pl.Float64),
        ([True, False], "bool", pl.Boolean),
        ([True, None], "boolean", pl.Boolean),
        ([True, 1], "object", pl.String),
        ([1, "one"], "object", pl.String),
        ([[1, 2], None], "object", pl.String),
        ([NOON, None], "datetime64", pl.Datetime("us", "UTC")),
        ([None, None], "object", pl.Null),
    ],
)
def test_a_column_has_the_type_of_its_values(
    values: list[Any], of_pandas: str, of_polars: Any
) -> None:
    """Who has to convert columns first has not got a DataFrame."""
    assert str(frames.pandas({"k": values}).dtypes["k"]).startswith(of_pandas)
    assert frames.polars({"k": values}).schema["k"] == of_polars


def test_texts_are_texts_and_what_is_missing_is_missing() -> None:
    """In pandas the type of texts is that of its version; missing is missing in both."""
    made = frames.pandas({"k": ["a", None]})
    assert made["k"].isna().tolist() == [False, True] and made["k"][0] == "a"
    assert made["k"].dtype == pd.Series(["a", None]).dtype
    assert frames.polars({"k": ["a", None]})["k"].to_list() == ["a", None]


def test_a_seed_of_64_bits_stays_exact_beside_a_missing_one() -> None:
    """A float would round it, and the run could not be repeated."""
    assert frames.pandas({"k": [BIG, None]})["k"][0] == BIG
    assert frames.pandas({"k": [2**70, None]})["k"][0] == 2**70
    assert frames.polars({"k": [BIG, None]})["k"][0] == BIG


def test_times_are_in_utc_and_those_beyond_are_kept() -> None:
    """The start of a run is a moment, not a text; a record may say the year 9999."""
    made = frames.pandas({"k": [NOON, None]})["k"]
    assert made[0] == NOON and made.isna()[1]
    assert frames.pandas({"k": [NOON, FAR]})["k"].tolist() == [NOON, FAR]
    assert frames.polars({"k": [NOON, None]})["k"].to_list() == [NOON, None]


def test_nan_is_a_value_to_polars_and_missing_is_null() -> None:
    """A diverged loss is not one that was never logged."""
    made = frames.polars({"k": [math.nan, None]})["k"]
    assert made.is_null().to_list() == [False, True] and math.isnan(made[0])


def test_values_of_several_kinds_keep_theirs_in_pandas_and_are_json_in_polars() -> None:
    """polars has one type a column; a text beside a list must not look like one."""
    values = ["x", 1, True, [1, "ü"], None]
    assert frames.pandas({"k": values})["k"].tolist() == values
    assert frames.polars({"k": values})["k"].to_list() == ["x", "1", "true", '[1, "ü"]', None]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(SCALARS, max_size=6))
def test_any_column_makes_a_frame_of_its_length(values: list[Any]) -> None:
    """Params are whatever people log; none of them may cost the table."""
    assert len(frames.pandas({"a": values, "b": values})) == len(values)
    assert frames.polars({"a": values, "b": values}).height == (len(values) if values else 0)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.none() | st.floats() | st.integers(-(2**63) + 1, 2**63 - 1), max_size=6))
def test_numbers_come_back_equal(values: list[Any]) -> None:
    """A whole number that shares its column with a fraction is the nearest float."""
    inexact = any(isinstance(v, float) for v in values)
    for made in (frames.pandas({"k": values})["k"], frames.polars({"k": values})["k"]):
        for value, got in zip(values, made.to_list(), strict=True):
            if value is None:
                assert got is None or got is pd.NA or math.isnan(got)
            elif value != value:
                assert math.isnan(got)
            else:
                assert got == (float(value) if inexact else value)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_named_with_its_extra(library: str) -> None:
    """In a process of its own: here both are installed."""
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from gittrack import frames\n"
        f"try:\n    frames.{library}({{}})\n"
        "except frames.LibraryMissing as error:\n"
        "    print(error.message, error.hint, error.library, sep='|')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    said = f"{library} is not installed|pip install 'gittrack[{library}]'|{library}\n"
    assert (done.stdout, done.stderr) == (said, "")
    assert issubclass(LibraryMissing, Exception)


def test_importing_the_door_opens_none() -> None:
    """pandas alone takes longer than a whole listing."""
    program = "import sys, gittrack.frames; print({'pandas', 'polars', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("make", [frames.pandas, frames.polars], ids=["pandas", "polars"])
def test_a_hundred_thousand_rows_cost_little(make: Any) -> None:
    """Columns are built, not rows: a row at a time takes half a minute."""
    columns = {f"k{n}": [n * 0.5 if i % 7 else None for i in range(100_000)] for n in range(20)}
    make({"k": [1]})
    began = time.process_time()
    assert len(make(columns)) == 100_000
    assert time.process_time() - began < 2


@pytest.mark.parametrize("moment", [NOON, FAR, datetime(1, 1, 1, tzinfo=timezone.utc)])
def test_microseconds_are_the_times_that_they_count(moment: datetime) -> None:
    """An index keeps times as numbers: any year, to the microsecond, missing ones too."""
    count = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) + 1
    columns = {"at": [count, None], "n": [1, 2]}
    made = frames.pandas(columns, moments=("at", "else"))
    assert str(made.dtypes["at"]) == "datetime64[us, UTC]" and made.dtypes["n"] == "int64"
    assert made["at"][0].to_pydatetime() == moment + timedelta(microseconds=1)
    assert made["at"].isna().tolist() == [False, True]
    lazy = frames.polars(columns, moments=("at", "else"))
    assert lazy["at"].to_list() == [moment + timedelta(microseconds=1), None]
    assert frames.pandas({"at": []}, moments=("at",))["at"].dt.tz is not None
    assert frames.polars({"at": []}, moments=("at",)).height == 0
