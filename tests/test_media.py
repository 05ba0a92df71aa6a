"""What `log` takes beside numbers, by W&B's names: which files it becomes."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from gittrack import media
from gittrack.errors import BadValue, UsageError
from gittrack.media import Histogram, Image, Table


def names(value: Any) -> list[tuple[str, str]]:
    return [(one.how, one.name) for one in media.kept(value, "k/3")]


class Tensor:
    """As torch's: channels first, and `permute` puts them last."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def permute(self, *order: int) -> Tensor:
        return Tensor(*(self.shape[place] for place in order))


# -- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Image("seen/cat.jpeg"), [("log_artifact", "k/3.jpeg")]),
        (Image(SimpleNamespace(savefig=print)), [("log_figure", "k/3.png")]),
        (Image(Tensor(2, 2)), [("log_image", "k/3.png")]),
        (Image(Tensor(2, 2), file_type="jpg"), [("log_image", "k/3.jpg")]),
        (Image(Tensor(2, 2), caption="a"), [("log_image", "k/3.png"), ("log_text", "k/3.txt")]),
        ([Image("a.png")] * 2, [("log_artifact", f"k/3/{place}.png") for place in (0, 1)]),
        (Table(columns=["a"]), [("log_table", "k/3.csv")]),
        ([Histogram([1]), Table()], [("log_table", "k/3/0.csv"), ("log_table", "k/3/1.csv")]),
        ([Image("a.png"), 1], []),
        ([], []),
        (1.5, []),
    ],
)  # fmt: skip
def test_which_files_it_becomes(given: Any, expected: list[tuple[str, str]]) -> None:
    """A name for each, by the step; what is none of these stays a number to be looked at."""
    assert names(given) == expected


def test_a_tensor_is_turned() -> None:
    """Torch's pictures are channels x height x width; an array's are as `log_image` takes them."""
    assert Image(Tensor(3, 5, 7)).data.shape == (5, 7, 3)
    assert Image(Tensor(5, 7)).data.shape == (5, 7)
    array = SimpleNamespace(shape=(3, 5, 3))
    assert media.bare(Image(array)) is array and media.bare(array) is array


@pytest.mark.parametrize("name", ["boxes", "masks", "classes"])
def test_what_would_be_drawn_over_it_is_refused(name: str) -> None:
    """It would be lost, and nobody would notice before the paper is written."""
    with pytest.raises(UsageError, match=f"{name}="):
        Image("a.png", **{name: {"a": 1}})  # type: ignore[arg-type]


# -- tables -------------------------------------------------------------------------------------


def test_rows_and_columns() -> None:
    """As W&B's: rows are added, columns too; without names there are three."""
    table = Table(columns=["a", 2], data=[(1, "x")])
    table.add_data(2, None)
    table.add_column("c", [True, False])
    assert table.by_column() == {"a": [1, 2], "2": ["x", None], "c": [True, False]}
    assert Table().columns == ["Input", "Output", "Expected"]
    empty = Table(columns=[])
    empty.add_column("a", [1, 2])
    empty.add_column("b", [3, 4])
    assert empty.by_column() == {"a": [1, 2], "b": [3, 4]}


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("where", ["data", "dataframe"])
def test_a_data_frame_keeps_its_types(library: str, where: str) -> None:
    """Whole numbers beside floats stay whole."""
    made = pytest.importorskip(library).DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    table = Table(**{where: made})
    assert repr(dict(table.by_column())) == "{'a': [1, 2], 'b': [0.5, 1.5]}"


def test_what_does_not_fit_is_refused() -> None:
    """At the line that is wrong."""
    table = Table(columns=["a", "b"], data=[[1, 2]])
    for wrong in (
        lambda: table.add_data(1),
        lambda: table.add_column("a", [1]),
        lambda: table.add_column("c", [1, 2]),
        lambda: Table(columns=["a", "a"]),
        lambda: Table(columns=["a"], data=[[1, 2]]),
    ):
        with pytest.raises(BadValue):
            wrong()
    assert table.by_column() == {"a": [1], "b": [2]}


def test_a_picture_in_a_cell_is_not_lost_in_silence() -> None:
    """A cell of a file holds text."""
    with pytest.raises(BadValue, match="by itself"):
        media.kept(Table(columns=["a"], data=[[Image("a.png")]]), "k")


# -- histograms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [False, True])
def test_counts_are_those_of_numpy(array: bool) -> None:
    """With it or without it: the same bounds, the same counts, nothing left out."""
    numpy = pytest.importorskip("numpy")
    values = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]
    given = numpy.array([*values, math.nan, math.inf]) if array else [*values, math.nan, math.inf]
    found = Histogram(given, num_bins=4).by_column()
    counts, bounds = numpy.histogram(values, bins=4)
    assert found["count"] == [*counts, 1, 1]
    assert found["from"][:4] == list(bounds[:-1]) and found["to"][:4] == list(bounds[1:])
    assert math.isnan(found["from"][4]) and found["from"][5] == math.inf


@pytest.mark.parametrize("values", [[], [3], [3, 3], [[1, 2], [3, 4]], (1,)])
def test_any_number_of_values(values: Any) -> None:
    """None, one, equal ones, nested ones."""
    numpy = pytest.importorskip("numpy")
    found = Histogram(values, num_bins=2).by_column()
    counts, bounds = numpy.histogram(values, bins=2)
    assert found["count"] == list(counts)
    assert [*found["from"], found["to"][-1]] == list(bounds)


def test_counts_and_bounds_of_ones_own() -> None:
    """As `numpy.histogram` gives them; what does not fit is refused."""
    found = Histogram(np_histogram=([1, 2], [0, 1, 2])).by_column()
    assert found == {"from": [0, 1], "to": [1, 2], "count": [1, 2]}
    with pytest.raises(BadValue, match="bounds"):
        Histogram(np_histogram=([1, 2], [0, 1])).by_column()
