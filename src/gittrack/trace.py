"""Which files a run's Python processes opened, noticed by an audit hook in each of them.

Knows how the hook (tracer/sitecustomize.py) gets into the interpreters, and what its notes mean.
What it cannot notice: what other languages open, or libraries that open files in their own code
(pyarrow, polars, HDF5, OpenCV, `torch.save`); `python -I`, `-E` and `-S`; a child with a PYTHONPATH
of its own; files that were open before, and memory mapped from them; a path relative to a `dir_fd`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gittrack.errors import WriteFailed
from gittrack.git import Repo

__all__ = ["Seen", "environment", "read", "roots"]

_VARIABLE = "GITTRACK_TRACE"
_TRACER = os.path.join(os.path.dirname(__file__), "tracer")
_DIRECTORY, _ROOTS = "trace", "roots"

_TOOLS = (".git", ".gittrack", ".dvc", "node_modules", ".tox", ".nox", ".eggs", ".hypothesis")
_CACHES = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints")
_APART = frozenset((*_TOOLS, *_CACHES, "site-packages"))
_ENVIRONMENTS = ("pyvenv.cfg", "conda-meta")
_PYTHON = (".py", ".pyi", ".pyx", ".pxd", ".pyc", ".pyo", ".pyz", ".egg", ".whl", ".pth")
_BUILT = (".so", ".dylib", ".pyd", ".dll", ".o", ".a")
_LANGUAGES = (".c", ".h", ".cc", ".cpp", ".hpp", ".cu", ".rs", ".go", ".sh", ".jl", ".js", ".ts")
_ASIDE = (".lock", ".dvc", ".dvcignore", ".gitignore", "dvc.yaml")
_SOURCE = frozenset((*_PYTHON, *_BUILT, *_LANGUAGES, ".r", ".java", *_ASIDE))
_NOTEBOOK = ".ipynb"
_SETTINGS = frozenset((".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf"))

_CLOCK_GRAIN = 20_000_000
"""By how many ns a file's time may lie before the moment of writing: Linux counts in ticks."""

_END = 1 << 63


@dataclass(frozen=True, slots=True)
class Seen:
    """The files that a run opened: absolute paths in order of the alphabet, each below a root.

    `read` was opened for reading before this run wrote it, `written` is what this run wrote; both
    are regular files that are there now. One that is in both is not any more what was read. `gone`
    was read and is not there any more. `read_at` is when a file of `read` had been opened for the
    first time at the latest, in nanoseconds since the epoch, where that is known. `complete` is
    false where more was opened than was noted. `processes` counts the interpreters that noted
    anything.
    """

    read: tuple[Path, ...] = ()
    written: tuple[Path, ...] = ()
    gone: tuple[Path, ...] = ()
    complete: bool = True
    processes: int = 0
    read_at: Mapping[Path, int] = field(default_factory=dict)


def roots(repo: Repo) -> tuple[Path, ...]:
    """The directories whose files count: the work tree, and those of `track.traceRoots`.

    A relative one is relative to the work tree; `~` is the home directory. None in a bare
    repository without such a setting.
    """
    found = [repo.root] if repo.root is not None else []
    for value in repo.config_all("track.traceroots"):
        found.append((repo.root or repo.git_dir) / os.path.expanduser(value))
    return tuple(found)


def environment(env: Mapping[str, str], directory: Path, roots: Sequence[Path]) -> dict[str, str]:
    """Make `directory`, that of a running run, ready for notes -> the variables to add to `env`.

    Files below `roots` will count. The user's own PYTHONPATH and sitecustomize go on to work.

    Raises:
        WriteFailed: the directory cannot be written to.
    """
    notes = directory / _DIRECTORY
    listed = b"".join(os.fsencode(os.path.abspath(root)) + b"\0" for root in roots)
    try:
        notes.mkdir(exist_ok=True)
        (notes / _ROOTS).write_bytes(listed)
    except OSError as error:
        raise WriteFailed(f"cannot write to '{notes}': {error.strerror}") from error
    # An empty PYTHONPATH means nothing, an empty part of it the current directory.
    given = env.get("PYTHONPATH")
    places = given.split(os.pathsep) if given else []
    places = [_TRACER, *(place for place in places if place != _TRACER)]
    return {"PYTHONPATH": os.pathsep.join(places), _VARIABLE: os.fspath(notes)}


def read(directory: Path, *, tracked: Collection[str] = frozenset()) -> Seen:
    """What the processes of the run in `directory` opened, without code; nothing if not traced.

    Also after a SIGKILL, and while processes go on. Code is what has the suffix of source, bytecode
    or a library, a script without suffix, and, of `tracked` (the '/'-separated paths of the
    snapshot below the first root), YAML, TOML and INI files. Left out as well: what is in `.git`,
    `.dvc`, caches of tools, and virtual environments. A notebook counts as code only where it was
    read. Opening a file for appending or updating counts as writing if its time says so.
    """
    notes = directory / _DIRECTORY
    try:
        files = sorted(entry.name for entry in os.scandir(notes))
        listed = (notes / _ROOTS).read_bytes().split(b"\0")[:-1]
    except OSError:
        return Seen()
    ground = _Ground([os.fsdecode(root) for root in listed], tracked)
    history = _History(ground)
    for name in files:
        if name != _ROOTS:
            history.add(name, _bytes(notes / name))
    return replace(history.seen(), processes=len(files) - (_ROOTS in files))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b"!\0"


# -- what the notes say -------------------------------------------------------------------------
# A note ends with NUL and begins with a letter. All have a time, nanoseconds since the epoch, but
# the quick one, R, which lies between those around it.
#
#     c<time> PATH      relative paths are relative to this from here on
#     r<time> PATH      opened for reading          RPATH   the same
#     w<time> PATH      written anew
#     a<time> PATH      perhaps written: opened for appending or updating
#     m<time> PATH      renamed, the next note being >PATH, its new name
#     t<time>           nothing but the time
#     !                 not everything could be noted


@dataclass(frozen=True, slots=True)
class _Note:
    kind: str
    path: str
    target: str
    earliest: int
    latest: int


def _notes(data: bytes) -> Iterator[_Note]:
    """The notes of one process in their order; a torn one at the end is left out."""
    where, now = "", 0
    waiting: list[str] = []
    moved: tuple[int, str] | None = None
    written = data.rstrip(b"\0")
    notes = written.split(b"\0")
    for note in notes if len(written) < len(data) else notes[:-1]:
        kind, rest = note[:1], note[1:]
        if kind == b"R":
            waiting.append(_joined(where, rest))
        elif kind == b">" and moved is not None:
            yield _Note("m", moved[1], _joined(where, rest), moved[0], moved[0])
            moved = None
        elif kind == b"!":
            yield _Note("!", "", "", now, now)
        elif kind in (b"c", b"r", b"w", b"a", b"m", b"t"):
            time, space, path = rest.partition(b" ")
            if not space or not time.isdigit():
                continue
            before, now = now, int(time)
            yield from (_Note("r", path, "", before, now) for path in waiting)
            waiting.clear()
            if kind == b"c":
                where = os.fsdecode(path)
            elif kind == b"m":
                moved = now, _joined(where, path)
            elif kind != b"t":
                yield _Note(kind.decode(), _joined(where, path), "", now, now)
    yield from (_Note("r", path, "", now, _END) for path in waiting)


def _joined(where: str, path: bytes) -> str:
    """An absolute path; empty where it was relative to a directory that had been removed."""
    text = os.fsdecode(path)
    return text if text.startswith("/") else f"{where}/{text}" if where else ""


@dataclass(slots=True)
class _History:
    """What all processes did, brought together: a file is known by its real path."""

    ground: _Ground
    complete: bool = True
    shown: dict[str, str] = field(default_factory=dict)
    reads: dict[str, list[tuple[str, int, int, int]]] = field(default_factory=dict)
    writes: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    moves: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, process: str, data: bytes) -> None:
        for number, note in enumerate(_notes(data)):
            if note.kind == "!":
                self.complete = False
                continue
            path = self._real(note.path)
            if note.kind == "m":
                target = self._real(note.target)
                if path and target:
                    self.moves.append((note.earliest, path, target))
                path = target
            if not path:
                continue
            if note.kind == "r":
                told = (process, number, note.earliest, note.latest)
                self.reads.setdefault(path, []).append(told)
            elif note.kind != "a" or _changed(path, note.earliest):
                self._wrote(path, process, note.earliest, number)

    def _real(self, path: str) -> str | None:
        found = self.ground.find(path) if path else None
        if found is None:
            return None
        shown, real = found
        self.shown.setdefault(real, shown)
        return real

    def _wrote(self, path: str, process: str, time: int, number: int) -> None:
        self.writes.setdefault(path, {}).setdefault(process, (time, number))

    def seen(self) -> Seen:
        self._move_directories()
        read = [path for path, told in self.reads.items() if self._is_input(path, told)]
        there = [path for path in read if self.ground.is_data(self.shown[path])]
        gone = [path for path in read if self.ground.is_gone(self.shown[path])]
        written = [path for path in self.writes if self.ground.is_output(self.shown[path])]
        times = {
            Path(self.shown[path]): when
            for path in there
            if (when := min(latest for *_, latest in self.reads[path])) < _END
        }
        return Seen(
            self._paths(there),
            self._paths(written),
            self._paths(gone),
            self.complete,
            read_at=times,
        )

    def _paths(self, found: list[str]) -> tuple[Path, ...]:
        return tuple(sorted(Path(self.shown[path]) for path in found))

    def _is_input(self, path: str, told: list[tuple[str, int, int, int]]) -> bool:
        """Whether one of the processes read it before any had written it.

        In doubt none did: what passes between processes at work is what makes the doubt.
        """
        writes = self.writes.get(path, {})
        return any(
            not any(
                later < number if writer == process else time < latest
                for writer, (time, later) in writes.items()
            )
            for process, number, _, latest in told
        )

    def _move_directories(self) -> None:
        """What was written into a directory that then got another name is there now."""
        for time, source, target in sorted(self.moves):
            if not os.path.isdir(target):
                continue
            below = source + "/"
            for path in [path for path in self.writes if path.startswith(below)]:
                moved = self._real(f"{target}/{path[len(below) :]}")
                if moved:
                    self._wrote(moved, "", time, 0)


def _changed(path: str, time: int) -> bool:
    try:
        return os.stat(path).st_mtime_ns >= time - _CLOCK_GRAIN
    except OSError:
        return False


class _Ground:
    """Where files count, and which of them are code."""

    def __init__(self, roots: Sequence[str], tracked: Collection[str]) -> None:
        self._roots = {}
        for root in roots:
            self._roots[os.path.realpath(root)] = self._roots[root] = root
        self._order = sorted(self._roots, key=len, reverse=True)
        self._first = roots[0] if roots else ""
        self._tracked = tracked
        self._real: dict[str, str] = {}
        self._apart: dict[str, bool] = {}

    def find(self, path: str) -> tuple[str, str] | None:
        """The path as it is shown and its real one; None if it does not count."""
        directory, name = os.path.split(path)
        if name in ("", ".", ".."):
            return None
        real = self._real.get(directory)
        if real is None:
            real = self._real[directory] = os.path.realpath(directory)
        if ".." in directory.split("/"):
            directory = real
        spelled = f"{os.path.normpath(directory).rstrip('/')}/{name}"
        whole = f"{real.rstrip('/')}/{name}"
        shown = self._below(spelled) or self._below(whole)
        if os.path.islink(whole):
            whole = os.path.realpath(whole)
            shown = shown or self._below(whole)
        return None if shown is None else (shown, whole)

    def _below(self, path: str) -> str | None:
        for root in self._order:
            if path.startswith(root.rstrip("/") + "/"):
                inside = path[len(root.rstrip("/")) + 1 :]
                if not _APART.isdisjoint(inside.split("/")):
                    return None
                return None if self._is_apart(root, path) else f"{self._roots[root]}/{inside}"
        return None

    def _is_apart(self, root: str, path: str) -> bool:
        """Whether it is in a virtual environment that is inside a root."""
        directory = os.path.dirname(path)
        if len(directory) <= len(root):
            return False
        known = self._apart.get(directory)
        if known is None:
            marks = any(os.path.exists(f"{directory}/{mark}") for mark in _ENVIRONMENTS)
            known = self._apart[directory] = marks or self._is_apart(root, directory)
        return known

    def is_data(self, path: str) -> bool:
        """Whether it is a regular file that is no code."""
        return not self._is_code(path) and not path.endswith(_NOTEBOOK) and self._is_file(path)

    def is_output(self, path: str) -> bool:
        """Whether it is a regular file that is no code, notebooks being none here."""
        return not self._is_code(path) and self._is_file(path)

    def is_gone(self, path: str) -> bool:
        """Whether there is no such file any more, which was no code."""
        return not self._is_code(path) and not os.path.lexists(path)

    def _is_code(self, path: str) -> bool:
        name = os.path.basename(path)
        suffix = os.path.splitext(name)[1].lower()
        if suffix in _SOURCE or name in _SOURCE:
            return True
        if suffix in _SETTINGS:
            return path.removeprefix(f"{self._first}/") in self._tracked
        return not suffix and self._is_script(path)

    def _is_script(self, path: str) -> bool:
        try:
            # A pipe that took the file's place meanwhile must not make us wait.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return stat.S_ISREG(os.fstat(descriptor).st_mode) and os.read(descriptor, 2) == b"#!"
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def _is_file(self, path: str) -> bool:
        try:
            return stat.S_ISREG(os.stat(path).st_mode)
        except OSError:
            return False
