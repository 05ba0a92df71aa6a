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

from gittrack.errors import BadValue
from gittrack.foreign import whole
from gittrack.quoting import utf8

__all__ = ["Render", "document", "figure", "table"]

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


# -- tables -------------------------------------------------------------------------------------


def table(value: Any, suffix: str) -> Render:
    """A pandas DataFrame, a list of mappings (rows) or a mapping of lists (columns), as a table.

    `.csv`, also where there is no suffix; `.tsv`, the same with tabs; `.json`, a list of rows,
    where what is missing is null; `.parquet`, by pandas. A DataFrame's index is a column unless it
    only counts.

    Raises:
        BadValue: it is none of these, or `suffix` is another one, or `.parquet` needs a library.
    """
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
    from importlib import import_module

    frame = value if hasattr(value, "to_parquet") else import_module("pandas").DataFrame(value)
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()
