"""What `log` takes beside numbers: figures, images, tables, histograms; each a file of its step.

Knows W&B's words for some of them, as values that only hold what was given. Keeps nothing: it says
which function of `keeping` takes what, and under which name.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import renderings
from gittrack.errors import BadValue, UsageError
from gittrack.foreign import whole

__all__ = ["Histogram", "Image", "Kept", "Table", "bare", "kept"]

_USUAL_COLUMNS = ("Input", "Output", "Expected")


class Image:
    """A picture for `log`: an array, an image of PIL, a figure, or the path of a file.

    A tensor may be channels x height x width. `caption` is kept beside it, as a text. What W&B
    draws over a picture (`boxes`, `masks`) has to be drawn into it. `mode`, `grouping` and
    `normalize` mean nothing here: the shape of an array says what it is.

    Raises:
        UsageError: there are boxes, masks or classes.
    """

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Any = None,
        boxes: Any = None,
        masks: Any = None,
        file_type: str | None = None,
        normalize: bool = True,
    ) -> None:
        for name, given in (("classes", classes), ("boxes", boxes), ("masks", masks)):
            if given:
                raise UsageError(f"Image does not take {name}=: draw them into the picture")
        self.data = _upright(data_or_path)
        self.caption = caption
        self.suffix = f".{file_type or 'png'}"

    def __repr__(self) -> str:
        return f"<Image {self.caption}>" if self.caption else "<Image>"


class Table:
    """Rows for `log`: lists of cells, or a DataFrame. A picture in a cell is logged by itself.

    `dtype`, `optional`, `allow_mixed_types` and `log_mode` mean nothing here: any cell may hold
    any value, and each time that a table is logged it is another file.

    Raises:
        BadValue: rows and columns do not fit, or two columns have one name.
    """

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: Any = True,
        allow_mixed_types: bool = False,
        log_mode: str | None = None,
    ) -> None:
        frame = data if dataframe is None and renderings.is_table(data) else dataframe
        given = rows if data is None else data
        self.data: list[list[Any]] = []
        if frame is None:
            self.columns = [str(name) for name in (columns or _USUAL_COLUMNS)]
        else:
            self.columns = [str(name) for name in frame.columns]
        if len({*self.columns}) < len(self.columns):
            raise BadValue("two columns of the table have one name")
        if frame is not None:
            columns_of = [frame[name].to_list() for name in frame.columns]
            given = zip(*columns_of, strict=True)
        for row in () if given is None else given:
            self.add_data(*row)

    def add_data(self, *cells: Any) -> None:
        """Add a row.

        Raises:
            BadValue: it has more cells than there are columns, or fewer.
        """
        if len(cells) != len(self.columns):
            raise BadValue(f"a row of {len(cells)} cells, where there are {len(self.columns)}")
        self.data.append(list(cells))

    def add_column(self, name: str, data: Sequence[Any]) -> None:
        """Add a column with a cell for each row.

        Raises:
            BadValue: it has another length, or there is one of this name.
        """
        if str(name) in self.columns:
            raise BadValue("two columns of the table have one name")
        cells = list(data)
        if self.data and len(cells) != len(self.data):
            raise BadValue(f"a column of {len(cells)} cells, where there are {len(self.data)}")
        rows = self.data or [[] for _ in cells]
        self.columns, self.data = (
            [*(self.columns if self.data else ()), str(name)],
            [[*row, cell] for row, cell in zip(rows, cells, strict=True)],
        )

    def get_column(self, name: str) -> list[Any]:
        """The cells of one column."""
        place = self.columns.index(name)
        return [row[place] for row in self.data]

    def by_column(self) -> Mapping[str, Sequence[Any]]:
        """What `log_table` takes.

        Raises:
            BadValue: a cell holds what no cell of a file can.
        """
        for row in self.data:
            for cell in row:
                if isinstance(cell, (Image, Table, Histogram)) or renderings.is_drawn(cell):
                    kind = type(cell).__name__
                    raise BadValue(f"a cell holds something of type {kind}: log it by itself")
        return {name: self.get_column(name) for name in self.columns}


class Histogram:
    """How often values fall between which bounds, for `log`: kept as a table of counts.

    Made of the values, or of counts and bounds as `numpy.histogram` gives them. The values that
    are not finite have rows of their own.
    """

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        """Of `sequence`, with equal widths between the smallest and the largest value.

        Raises:
            UsageError: there is neither a sequence nor counts and bounds, or no bin.
        """
        if (sequence is None) == (np_histogram is None) or num_bins < 1:
            raise UsageError("Histogram takes values, or np_histogram=(counts, bounds)")
        self._values = sequence
        self._told = np_histogram
        self._bins = num_bins

    def by_column(self) -> Mapping[str, Sequence[Any]]:
        """What `log_table` takes.

        Raises:
            BadValue: counts and bounds do not fit.
        """
        counts, bounds, other = self._counted()
        if len(bounds) != len(counts) + 1:
            raise BadValue(f"{len(counts)} counts have {len(counts) + 1} bounds")
        return {
            "from": [*bounds[:-1], *other],
            "to": [*bounds[1:], *other],
            "count": [*counts, *other.values()],
        }

    def _counted(self) -> tuple[list[Any], list[Any], dict[float, int]]:
        if self._told is not None:
            counts, bounds = map(whole, self._told)
            return counts, bounds, {}
        values = self._values.detach().cpu() if hasattr(self._values, "detach") else self._values
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None and hasattr(values, "__array__"):
            array = numpy.asarray(values, dtype=float).ravel()
            finite = numpy.isfinite(array)
            counts, bounds = numpy.histogram(array[finite], bins=self._bins)
            return counts.tolist(), bounds.tolist(), _tally(array[~finite].tolist())
        flat = list(_flat(whole(values)))
        return *_spread([v for v in flat if math.isfinite(v)], self._bins), _tally(flat)


def _tally(values: Sequence[float]) -> dict[float, int]:
    """How many are NaN and infinite."""
    found = {math.nan: sum(map(math.isnan, values))}
    found.update((bound, values.count(bound)) for bound in (-math.inf, math.inf))
    return {value: count for value, count in found.items() if count}


def _spread(values: Sequence[float], bins: int) -> tuple[list[int], list[float]]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = [0] * bins
    for value in values:
        counts[min(int((value - low) / (high - low) * bins), bins - 1)] += 1
    return counts, [low + (high - low) * place / bins for place in range(bins)] + [high]


def _flat(values: Any) -> Iterator[float]:
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _flat(value)
    else:
        yield float(values)


def _upright(data: Any) -> Any:
    """A tensor, whose channels come first, as a picture, whose channels come last."""
    shape = tuple(getattr(data, "shape", ()))
    if hasattr(data, "permute") and len(shape) == 3 and shape[0] in (1, 3, 4):
        return data.permute(1, 2, 0)
    return data


class Kept(NamedTuple):
    """What one thing that was logged becomes: the function that keeps it, and its name."""

    how: str
    value: Any
    name: str


def kept(value: Any, name: str) -> list[Kept]:
    """The files that a value becomes, called `name` and a suffix; none: it is no such thing.

    Raises:
        BadValue: it is one, and cannot be kept.
    """
    if isinstance(value, (list, tuple)):
        if not value or not all(map(_is_thing, value)):
            return []
        return [one for place, item in enumerate(value) for one in kept(item, f"{name}/{place}")]
    if isinstance(value, (Table, Histogram)):
        return [Kept("log_table", value.by_column(), f"{name}.csv")]
    if isinstance(value, Image):
        caption = [Kept("log_text", f"{value.caption}\n", f"{name}.txt")] if value.caption else []
        return [_picture(value, name), *caption]
    if renderings.is_table(value):
        return [Kept("log_table", value, f"{name}.csv")]
    if renderings.is_drawn(value):
        return [_drawn(value, name)]
    return []


def bare(value: Any) -> Any:
    """The picture in an `Image`; anything else as it is."""
    return value.data if isinstance(value, Image) else value


def _is_thing(value: object) -> bool:
    return isinstance(value, (Image, Table, Histogram)) or renderings.is_drawn(value)


def _picture(image: Image, name: str) -> Kept:
    if isinstance(image.data, (str, os.PathLike)):
        return Kept("log_artifact", image.data, name + os.path.splitext(image.data)[1])
    if renderings.is_drawn(image.data):
        return _drawn(image.data, name, image.suffix)
    return Kept("log_image", image.data, name + image.suffix)


def _drawn(value: Any, name: str, suffix: str = ".png") -> Kept:
    return Kept("log_figure", value, name + (".html" if hasattr(value, "to_html") else suffix))
