"""Figures and tables of other libraries as the bytes of a file, in the format of its suffix.

Knows them by where their types come from, and imports none of these libraries. Opens no file.

What can never work, a format or a type that is not known, is found before anything is drawn: each
function here gives back the one that makes the bytes.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from gittrack import frames
from gittrack.errors import BadValue
from gittrack.foreign import whole
from gittrack.quoting import utf8

__all__ = ["Render", "document", "figure", "image", "is_drawn", "is_table", "table"]

Render: TypeAlias = Callable[[], bytes]
"""Makes the bytes; raises what the library, or the content, makes it raise."""

_Columns: TypeAlias = Mapping[str, Sequence[Any]]


def document(value: Any, suffix: str) -> Render:
    """Nested values as YAML (`.yaml`, `.yml`), else as JSON: keys sorted, floats exact.

    NaN and the infinities are written in JSON as Python does, `NaN` and `Infinity`.
    """
    if suffix in ("yaml", "yml"):
        from gittrack import formats

        return lambda: formats.dump(whole(value))
    return lambda: _json(whole(value), indent=2, sort_keys=True)


def _json(value: Any, **options: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, **options) + "\n").encode("utf-8")


# -- figures ------------------------------------------------------------------------------------


def figure(drawn: Any, suffix: str, options: Mapping[str, Any]) -> Render:
    """A figure of matplotlib (or what has one, such as seaborn's) or plotly, or an image of PIL.

    `options` go to the library's own function. Plotly's `.html` loads plotly.js from the network
    unless `include_plotlyjs` says otherwise.

    Raises:
        BadValue: it is none of these, or its library does not write `suffix`.
    """
    if _comes_from(drawn, "PIL") and hasattr(drawn, "save"):
        return _image(drawn, suffix, options)
    if _comes_from(drawn, "plotly") and hasattr(drawn, "to_html"):
        return _plotly(drawn, suffix, options)
    for candidate in (drawn, getattr(drawn, "figure", None)):
        if hasattr(candidate, "savefig"):
            return _matplotlib(candidate, suffix, options)
    raise BadValue(
        "log_figure takes a figure of matplotlib or plotly, or an image of PIL, not one of type "
        f"{type(drawn).__name__}"
    )


def _comes_from(value: object, package: str) -> bool:
    return any(kind.__module__.split(".")[0] == package for kind in type(value).__mro__)


def _unknown(suffix: str, library: str, known: Sequence[str]) -> BadValue:
    listed = ", ".join(f".{name}" for name in sorted(known))
    return BadValue(f"{library} cannot write '.{suffix}': the name should end in one of {listed}")


def _matplotlib(drawn: Any, suffix: str, options: Mapping[str, Any]) -> Render:
    canvas = getattr(getattr(drawn, "figure", drawn), "canvas", None)
    known = canvas.get_supported_filetypes() if canvas is not None else {suffix: ""}
    if suffix not in known:
        raise _unknown(suffix, "matplotlib", list(known))

    def render() -> bytes:
        buffer = io.BytesIO()
        drawn.savefig(buffer, **{"format": suffix, **options})
        return buffer.getvalue()

    return render


def _image(drawn: Any, suffix: str, options: Mapping[str, Any]) -> Render:
    pil: Any = sys.modules["PIL.Image"]
    known = {
        name.removeprefix("."): kind
        for name, kind in pil.registered_extensions().items()
        if kind in pil.SAVE
    }
    if suffix not in known:
        raise _unknown(suffix, "PIL", list(known))

    def render() -> bytes:
        buffer = io.BytesIO()
        drawn.save(buffer, **{"format": known[suffix], **options})
        return buffer.getvalue()

    return render


def _plotly(drawn: Any, suffix: str, options: Mapping[str, Any]) -> Render:
    if suffix == "html":
        # Without an id of its own, equal figures would differ in a random one.
        given = {"include_plotlyjs": "cdn", "div_id": "figure", **options}
        return lambda: utf8(drawn.to_html(**given)).encode("utf-8")
    if suffix == "json":
        return lambda: utf8(drawn.to_json(**options)).encode("utf-8")
    if not _is_installed("kaleido"):
        raise BadValue(
            f"plotly writes '.{suffix}' only where kaleido is installed: name it .html or .json, "
            "or install kaleido"
        )
    return lambda: bytes(drawn.to_image(**{"format": suffix, **options}))


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec

    return package in sys.modules or find_spec(package) is not None


def is_drawn(value: object) -> bool:
    """Whether `figure` takes it: a figure of matplotlib or plotly, or an image of PIL."""
    if _comes_from(value, "PIL"):
        return hasattr(value, "save")
    if _comes_from(value, "plotly"):
        return hasattr(value, "to_html")
    return hasattr(value, "savefig")


def image(drawn: Any, suffix: str) -> Render:
    """An image of PIL, or an array (NumPy's, or what turns into one), as a picture.

    An array is height x width, alone or x 1, 3 (RGB) or 4 (RGBA): truth values, whole numbers from
    0 to 255, or floats from 0 to 1. PNG is written here, other formats by PIL.

    Raises:
        BadValue: it is none of these, or `suffix` is no picture's.
    """
    if _comes_from(drawn, "PIL") and hasattr(drawn, "save"):
        return _image(drawn, suffix, {})
    if hasattr(drawn, "detach"):
        drawn = drawn.detach().cpu()
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not hasattr(drawn, "__array__"):
        raise BadValue(
            "log_image takes an image of PIL or an array, not something of type "
            f"{type(drawn).__name__}"
        )
    pixels = numpy.asarray(drawn)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise BadValue(
            "the array of an image is height x width, alone or x 1, 3 or 4, not of shape "
            f"{pixels.shape}"
        )
    if pixels.size == 0:
        raise BadValue("the array of an image is empty")
    if suffix == "png":
        return lambda: _png(numpy, pixels)
    if not _is_installed("PIL"):
        raise BadValue(f"an image is written as '.{suffix}' only where PIL is installed: use .png")
    return _image(_pil(numpy, pixels), suffix, {})


def _bytes_of(numpy: Any, pixels: Any) -> Any:
    """The array as whole numbers from 0 to 255.

    Raises:
        BadValue: values outside of what its type allows.
    """
    if pixels.dtype == bool:
        return pixels.astype(numpy.uint8) * 255
    low, high = pixels.min(), pixels.max()
    if pixels.dtype.kind == "f":
        if not (low >= 0 and high <= 1):
            raise BadValue(f"floats of an image are from 0 to 1, not from {low:g} to {high:g}")
        return (pixels * 255).round().astype(numpy.uint8)
    if pixels.dtype.kind not in "iu" or not (low >= 0 and high <= 255):
        raise BadValue("the array of an image has whole numbers from 0 to 255, or floats")
    return pixels.astype(numpy.uint8)


def _png(numpy: Any, pixels: Any) -> bytes:
    """The array as PNG: equal arrays give equal bytes."""
    import struct
    import zlib

    array = _bytes_of(numpy, pixels)
    height, width = array.shape[:2]
    kind = {1: 0, 3: 2, 4: 6}[array.shape[2] if array.ndim == 3 else 1]
    lines = array.reshape(height, -1)
    # Each line begins with the filter that it went through: none.
    raw = numpy.hstack([numpy.zeros((height, 1), numpy.uint8), lines]).tobytes()

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _pil(numpy: Any, pixels: Any) -> Any:
    from importlib import import_module

    array = _bytes_of(numpy, pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return import_module("PIL.Image").fromarray(array)


# -- tables -------------------------------------------------------------------------------------


def is_table(value: object) -> bool:
    """Whether it is a table by its type: a DataFrame of pandas or polars."""
    return type(value).__name__ == "DataFrame" and (
        _comes_from(value, "pandas") or _comes_from(value, "polars")
    )


def table(value: Any, suffix: str) -> Render:
    """A DataFrame of pandas or polars, a list of rows (mappings), or a mapping of lists (columns).

    `.csv`, also where there is no suffix; `.tsv`, the same with tabs; `.json`, a list of rows,
    where what is missing is null; `.parquet`, by pandas. A DataFrame's index is a column unless it
    only counts.

    Raises:
        BadValue: it is none of these, or `suffix` is another one, or `.parquet` needs a library.
    """
    if _comes_from(value, "polars") and hasattr(value, "to_dict"):
        value = value.to_dict(as_series=False)
    is_frame = _comes_from(value, "pandas") and hasattr(value, "to_csv")
    if is_frame and hasattr(value, "to_frame"):
        value = value.to_frame()
    if not is_frame and not isinstance(value, (Mapping, list, tuple)):
        raise BadValue(
            "log_table takes a pandas DataFrame, a list of dicts or a dict of columns, not "
            f"something of type {type(value).__name__}"
        )
    if suffix not in ("", "csv", "tsv", "json", "parquet"):
        raise _unknown(suffix, "log_table", ["csv", "tsv", "json", "parquet"])
    if suffix == "parquet":
        if not _is_installed("pandas") or not any(map(_is_installed, ("pyarrow", "fastparquet"))):
            raise BadValue(
                "log_table writes '.parquet' only where pandas and pyarrow are installed"
            )
        return lambda: _parquet(value if is_frame else _columns(value))
    separator = "\t" if suffix == "tsv" else ","
    if is_frame:
        return lambda: _frame_json(value) if suffix == "json" else _frame_csv(value, separator)
    if suffix == "json":
        return lambda: _rows_json(_columns(value))
    return lambda: _csv(_columns(value), separator)


def _columns(value: Any) -> _Columns:
    """The columns by name, all of one length; None where a row has nothing."""
    if isinstance(value, Mapping):
        found = {utf8(str(name)): whole(column) for name, column in value.items()}
        if found and not any(isinstance(column, list) for column in found.values()):
            return {name: [column] for name, column in found.items()}
    else:
        rows = [whole(row) for row in value]
        if not all(isinstance(row, dict) for row in rows):
            raise BadValue("a row of a table is a mapping of column names to values")
        names = dict.fromkeys(name for row in rows for name in row)
        found = {name: [row.get(name) for row in rows] for name in names}
    if not all(isinstance(column, list) for column in found.values()):
        raise BadValue("a column of a table is a list of values")
    if len({len(column) for column in found.values()}) > 1:
        raise BadValue("the columns of a table have one length")
    return found


def _csv(columns: _Columns, separator: str) -> bytes:
    import csv

    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    if columns:
        writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([json.dumps(v) if isinstance(v, (list, dict)) else v for v in row])
    return text.getvalue().encode("utf-8")


def _rows_json(columns: _Columns) -> bytes:
    rows = zip(*columns.values(), strict=True)
    return _json([dict(zip(columns, row, strict=True)) for row in rows], indent=1)


def _counts_only(frame: Any) -> bool:
    index = getattr(frame, "index", None)
    return type(index).__name__ == "RangeIndex" and getattr(index, "name", None) is None


def _frame_csv(frame: Any, separator: str) -> bytes:
    text = frame.to_csv(sep=separator, index=not _counts_only(frame), lineterminator="\n")
    return utf8(text).encode("utf-8")


def _frame_json(frame: Any) -> bytes:
    # pandas' own `to_json` rounds floats.
    flat = frame if _counts_only(frame) else frame.reset_index()
    if not flat.columns.is_unique:
        raise BadValue("two columns of the table have one name")
    known = flat.astype(object).where(flat.notna(), None)
    return _json(whole(known.to_dict("records")), indent=1)


def _parquet(value: Any) -> bytes:
    frame = value if hasattr(value, "to_parquet") else frames.pandas(value)
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()
