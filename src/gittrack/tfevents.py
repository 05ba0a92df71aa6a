"""What TensorBoard's event files say: their scalars as rows, straight from the format.

Knows the frames of TFRecord and where such files lie, distrusts every length in them, and uses
none of TensorBoard's own code. Knows nothing of runs.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import BinaryIO

from gittrack import tfproto
from gittrack.errors import BadFile, BadName
from gittrack.keys import check_key
from gittrack.records import Row
from gittrack.summaries import Number

__all__ = [
    "LARGEST_RECORD",
    "MOST_FILES",
    "found",
    "gather",
    "is_asked",
    "named",
    "read",
]

LARGEST_RECORD = 16 << 20
"""Bytes of a record that is looked into; larger ones, as graphs and images are, are passed over."""

MOST_FILES = 1000
"""Event files of one run that are read."""

_CHECKED = 64 << 20
_MOST_KEYS = 10_000
_DEEPEST = 8
_MOST_DIRECTORIES = 10_000
_SKIPPED = frozenset(("node_modules", "__pycache__", "site-packages", "venv", "env"))
_MARK = "tfevents"
_OTHERS = (".yaml", ".yml", ".json", ".toml", ".csv", ".tsv", ".jsonl", ".ndjson")

_SMALL = 4096
_MOST_FAULTS = 10
_HEADER = struct.Struct("<QI")
_WORD = struct.Struct("<I")


# -- where they are -----------------------------------------------------------------------------


def is_asked(name: str, *, directory: str | os.PathLike[str] = "") -> bool:
    """Whether a word for metrics files means event files: one, a directory of them, or a pattern.

    The directory need not exist yet where the word ends with a slash.
    """
    if _MARK in os.path.basename(name) or name.endswith("/"):
        return True
    pattern = any(char in name for char in "*?[") and not name.lower().endswith(_OTHERS)
    return pattern or os.path.isdir(os.path.join(directory, name))


def named(name: str, since: float, *, directory: str | os.PathLike[str] = "") -> list[Path]:
    """The event files that such a word means, if they were written since; see `found`."""
    place = os.path.join(os.fspath(directory), name)
    if any(char in name for char in "*?["):
        import glob
        from itertools import islice

        places = sorted(islice(glob.iglob(place, recursive=True), _MOST_DIRECTORIES))
    else:
        places = [place]
    paths: dict[Path, None] = {}
    for place in places:
        if os.path.isdir(place):
            paths.update(dict.fromkeys(found(place, since)))
        elif _MARK in os.path.basename(place) and _is_fresh(place, since):
            paths[Path(place)] = None
    return list(paths)[:MOST_FILES]


def found(
    root: str | os.PathLike[str], since: float, *, ignore: Collection[str] = ()
) -> list[Path]:
    """The event files below a directory that were made and written since, sorted by path.

    `since` is in seconds since the epoch. Looks at most 8 levels deep and into 10,000 directories;
    never into hidden ones, virtual environments, `node_modules`, those called as `ignore` says, or
    through links. At most `MOST_FILES`.
    """
    paths: list[Path] = []
    waiting = [(os.fspath(root), 0)]
    seen = 0
    while waiting and seen < _MOST_DIRECTORIES:
        place, depth = waiting.pop()
        seen += 1
        try:
            with os.scandir(place) as entries:
                inside = list(entries)
        except OSError:
            continue
        if depth and any(entry.name == "pyvenv.cfg" for entry in inside):
            continue
        for entry in inside:
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEEPEST and _is_looked_into(entry.name, ignore):
                    waiting.append((entry.path, depth + 1))
            elif _MARK in entry.name and _is_fresh(entry.path, since):
                paths.append(Path(entry.path))
    return sorted(paths)[:MOST_FILES]


def _is_looked_into(name: str, ignore: Collection[str]) -> bool:
    return not name.startswith(".") and name not in _SKIPPED and name not in ignore


def _is_fresh(path: str, since: float) -> bool:
    """Whether a regular file was written since, and made since as far as its name tells."""
    try:
        seen = os.lstat(path)
    except OSError:
        return False
    # The clock of files lags behind by some milliseconds, or has whole seconds.
    late = 0.05 if seen.st_mtime % 1 else 1
    if not stat.S_ISREG(seen.st_mode) or seen.st_mtime < since - late:
        return False
    made = re.search(rf"{_MARK}\.([0-9]{{9,11}})(?:\.|$)", os.path.basename(path))
    return made is None or int(made[1]) >= int(since)


# -- what they say ------------------------------------------------------------------------------


def gather(paths: Sequence[Path], *, started: float) -> tuple[list[Row], list[str]]:
    """The scalars of several event files as rows in order of time, and what was left out.

    Where they lie in several directories, the path of each below the one that they share comes
    before its names, as TensorBoard shows it: `validation/loss`. A directory that is called by a
    time, as `add_hparams` makes them, adds nothing: it would be another in each run.
    """
    rows: list[Row] = []
    faults: list[str] = []
    top = os.path.commonpath([path.parent for path in paths]) if paths else ""
    for path in paths:
        try:
            own, left_out = read(path, started=started, prefix=_prefix(path, top))
        except BadFile as error:
            faults.append(f"metrics not read: {error.message}")
        else:
            rows += own
            faults += left_out
    rows.sort(key=lambda row: row.time)
    return rows, faults


def _prefix(path: Path, top: str) -> str:
    parts = Path(os.path.relpath(path.parent, top)).parts
    return "".join(f"{part}/" for part in parts if not re.fullmatch(r"[0-9]{9,11}\.[0-9]+", part))


def read(path: Path, *, started: float, prefix: str = "") -> tuple[list[Row], list[str]]:
    """The scalars of one event file, in its order, and sentences about what was left out.

    A row has all that follows each other with one step; its time is in seconds since `started`
    (epoch), its values are what the file holds: of most writers, floats of 32 bits. Other kinds of
    summary are passed over. A file that ends in the middle of a record ends there, for its writer
    may have been killed; so does a damaged one, which is said.

    Raises:
        BadFile: it cannot be opened, or is no regular file.
    """
    reader = _Reader(os.fspath(path), started, prefix)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=1 << 18) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadFile(f"'{path}' is no regular file", path=os.fspath(path))
            for record, checksum in reader.records(file, os.fstat(descriptor).st_size):
                if not reader.take(record, checksum):
                    break
    except OSError as error:
        message = f"cannot read '{path}': {error.strerror}"
        raise BadFile(message, path=os.fspath(path)) from error
    return reader.rows, reader.faults()


class _Reader:
    """One event file as it is read: its rows, and what of it makes no sense."""

    def __init__(self, path: str, started: float, prefix: str) -> None:
        self.rows: list[Row] = []
        self._path = path
        self._started = started
        self._prefix = prefix
        self._plugins: dict[str, str] = {}
        self._keys: dict[str, str | None] = {}
        self._values: dict[str, Number] = {}
        self._faults: dict[str, int] = {}
        self._left = _CHECKED

    def faults(self) -> list[str]:
        """What was left out, each kind once."""
        return [
            f"in the event file '{self._path}', {what}" + (f" ({count} times)" if count > 1 else "")
            for what, count in self._faults.items()
        ]

    def records(self, file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
        """The records and their checksums, until the end, a stump, or a damaged length."""
        at = 0
        while at + 12 <= size:
            header = file.read(12)
            if len(header) < 12:
                return
            length, checksum = _HEADER.unpack(header)
            if tfproto.checksum(header[:8]) != checksum:
                self._leave_out(f"byte {at} begins no record: what follows was left out")
                return
            at += 16 + length
            if at > size:
                return
            if length > LARGEST_RECORD:
                file.seek(at)
                continue
            data = file.read(length + 4)
            if len(data) < length + 4:
                return
            yield data[:length], _WORD.unpack_from(data, length)[0]

    def take(self, record: bytes, checksum: int) -> bool:
        """Make a row of a record, if it has scalars; False where the file is not to be read on.

        A checksum in pure Python takes its time: of a large record, only if something comes of it.
        """
        small = len(record) <= _SMALL
        if small and not self._is_whole(record, checksum):
            return False
        try:
            wall, step, said = tfproto.event(record)
            points = [point for value in said if (point := self._point(value)) is not None]
        except (ValueError, struct.error):
            self._leave_out("an event makes no sense")
            return True
        if points and not small and not self._is_whole(record, checksum):
            return False
        self._add(wall, step, points)
        return True

    def _is_whole(self, record: bytes, checksum: int) -> bool:
        self._left -= len(record)
        if self._left < 0:
            self._leave_out("there is too much: the rest was left out")
        elif tfproto.checksum(record) != checksum:
            self._leave_out("a record is damaged: what follows was left out")
        else:
            return True
        return False

    def _point(self, data: bytes) -> tuple[str, Number] | None:
        """The name and number of a Summary.Value, if it is a scalar's."""
        tag, plugin, simple, tensor = tfproto.value(data)
        if plugin is not None and len(self._plugins) < _MOST_KEYS:
            # Only the first value of a tag has to carry it.
            self._plugins.setdefault(tag, plugin)
        number: Number | None = simple
        if number is None and tensor is not None and self._plugins.get(tag) in (None, "scalars"):
            number = tfproto.scalar(tensor)
        key = None if number is None else self._key(tag)
        return None if key is None or number is None else (key, number)

    def _key(self, tag: str) -> str | None:
        """What a metric is called here, None if it cannot be called so."""
        if tag not in self._keys:
            try:
                key: str | None = check_key(self._prefix + tag)
            except BadName as error:
                self._leave_out(error.message)
                return None
            if len(self._keys) >= _MOST_KEYS:
                self._leave_out(f"there are more than {_MOST_KEYS:,} metrics")
                return None
            self._keys[tag] = key
        return self._keys[tag]

    def _add(self, wall: float, step: int, points: Iterable[tuple[str, Number]]) -> None:
        for key, number in points:
            if self.rows and self.rows[-1].step == step and key not in self._values:
                self._values[key] = number
            else:
                self._values = {key: number}
                time = max(0.0, round(wall - self._started, 6)) if isfinite(wall) else 0.0
                self.rows.append(Row(step, time, self._values))

    def _leave_out(self, what: str) -> None:
        if what in self._faults or len(self._faults) < _MOST_FAULTS:
            self._faults[what] = self._faults.get(what, 0) + 1
