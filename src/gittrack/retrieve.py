"""What a run kept or read, back on disk: from the cache, else from the data remote.

Knows which of a run's files a name means, and what may be written over. Knows nothing of selectors
and of the terminal. What comes out of a record or a listing is followed nowhere but down.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gittrack import commits, data, setup, shelf
from gittrack.cache import Cache, open_cache
from gittrack.enclosure import Enclosure
from gittrack.errors import BadPath, DataDamaged, DataMissing
from gittrack.git import Repo
from gittrack.manifest import Member, check_path, digest
from gittrack.meter import SILENT, Meter
from gittrack.placing import sweep
from gittrack.quoting import one_line
from gittrack.records import Artifact, Data, Run
from gittrack.refs import RunRef
from gittrack.setup import Setup

__all__ = ["Outcome", "Retrieved", "get", "get_data", "load"]

Outcome = Literal["new", "replaced", "up to date", "missing"]
"""What became of a file or directory; `missing`: nobody has its content."""

_MAGIC = frozenset("*?[")
_MOST_SAID = 5
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A file or directory that was asked for: `name` in the run, `path` on disk, `size` in bytes.

    `nfiles` is None for a file. A directory of which anything was written over is `replaced`.
    """

    name: str
    path: Path
    md5: str
    size: int
    nfiles: int | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Wish:
    """Something of a run: `path` is where it goes below the target; `files` path -> md5."""

    name: str
    path: str
    md5: str
    size: int
    nfiles: int | None
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """A file to write, without `md5` an empty directory; `seen` stands there now, None: nothing."""

    path: str
    md5: str
    seen: os.stat_result | None


# -- what is asked for --------------------------------------------------------------------------


def get(
    repo: Repo,
    ref: RunRef,
    names: Sequence[str] = (),
    *,
    target: Path,
    force: bool = False,
    dry_run: bool = False,
    remote: str | None = None,
    links: Sequence[str] | None = None,
    meter: Meter = SILENT,
) -> tuple[Retrieved, ...]:
    """Write artifacts of a run below `target`, each under its path among them.

    A name is an artifact's path, a directory that artifacts lie in, or a file or directory inside
    an artifact that is a directory; where there is none of that name, a pattern (`*`, which crosses
    `/`, `?`, `[...]`) of such paths. Without names it is all of them. What is there with the same
    content stays as it is; with another one it stays unless `force`, and then nothing is written.
    Each file appears whole, by the first kind of link in `links` that works, None: as DVC's
    `cache.type` says; its content has been checked. `dry_run` writes nothing, and fetches listings
    of directories at most.

    Raises:
        BadPath: the run kept nothing, or nothing of a name; a path leads out of `target` or into
            Git's own directory; something different is in the way.
        DataMissing, DataFailed, DataDamaged: the content could not be had; nothing was written, or
            with DataDamaged some of it.
        WriteFailed: something could not be written.
        BrokenRecord: the record cannot be read.
    """
    run = commits.load(repo, ref)
    if not run.artifacts:
        raise BadPath(
            f"'{run.name}' kept no artifacts",
            path="",
            hint="`git track run --out PATH` keeps files, `git track show` lists what a run has.",
        )
    _check_target(repo, target)
    work = _Work(repo, remote, meter, links)
    wishes = _each(names, lambda name: _artifacts(work, run, name, patterns=True))
    return _bring(work, wishes, target, force=force, dry_run=dry_run)


def get_data(
    repo: Repo,
    ref: RunRef,
    paths: Sequence[str] = (),
    *,
    root: Path,
    force: bool = False,
    remote: str | None = None,
    meter: Meter = SILENT,
) -> tuple[Retrieved, ...]:
    """Write data that a run read below `root`, as `get` does with artifacts.

    `paths` are those of `Run.data`; without any it is all inside of the work tree, and what nobody
    has is among the answers as `missing`, because of data that DVC does not hold only the hash was
    kept.

    Raises:
        BadPath: the run read nothing of this path, or it lies outside of the work tree; else as
            `get` does.
        DataMissing: nobody has what `paths` name.
        DataFailed, DataDamaged, WriteFailed, BrokenRecord: as `get` does.
    """
    run = commits.load(repo, ref)
    _check_target(repo, root)
    work = _Work(repo, remote, meter)
    if paths:
        wishes = _each(paths, lambda path: [_datum(run, path)])
        return _bring(work, wishes, root, force=force)
    inside = [_wish(item, _unquoted(item.path)) for item in run.data if not _is_outside(item.path)]
    at_hand, gone = work.divided(inside)
    found = _bring(work, at_hand, root, force=force)
    return (*found, *(_answer(wish, root, "missing") for wish in gone))


def load(
    repo: Repo, ref: RunRef, name: str, *, remote: str | None = None, meter: Meter = SILENT
) -> Path:
    """Where the content of an artifact can be read, under its own file name; checked.

    The files are symlinks into the cache, which is read-only: a copy is for changing. They stay
    until a cleaning takes them.

    Raises:
        BadPath: the run kept nothing of this name, or more than one artifact.
        DataMissing, DataFailed, DataDamaged, WriteFailed, BrokenRecord: as `get` does.
    """
    run = commits.load(repo, ref)
    work = _Work(repo, remote, meter)
    found = _artifacts(work, run, name)
    if len(found) > 1:
        raise BadPath(
            f"'{one_line(name)}' is no artifact of '{run.name}', but a directory of several",
            path=name,
            hint=_listed(run),
        )
    wish = work.complete(found)[0]
    work.fetch([wish])
    for _, md5 in wish.files:
        work.check(md5)
    inner = {path.removeprefix(wish.path).lstrip("/"): md5 for path, md5 in wish.files}
    name = wish.path.rpartition("/")[2]
    return shelf.put(work.cache, repo.state / "loaded", wish.md5, name, inner)


def _each(names: Iterable[str], find: Callable[[str], list[_Wish]]) -> list[_Wish]:
    """What the names mean, nothing twice; without names what the empty one means."""
    found: dict[str, _Wish] = {}
    for name in names or ("",):
        found.update((wish.path, wish) for wish in find(name))
    return list(found.values())


def _artifacts(work: _Work, run: Run, name: str, *, patterns: bool = False) -> list[_Wish]:
    """The artifact of this name, those below it, or the part of one that it names.

    Where there is none, with `patterns`, those that the name describes.
    """
    wanted = posixpath.normpath(name) if name else "."
    if wanted == ".":
        return [_wish(kept, kept.path) for kept in run.artifacts]
    check_path(wanted)
    for kept in run.artifacts:
        if kept.path == wanted:
            return [_wish(kept, kept.path)]
        if kept.nfiles is not None and wanted.startswith(kept.path + "/"):
            part = work.part(kept, wanted)
            if part is not None:
                return [part]
    found = [_wish(kept, kept.path) for kept in run.artifacts if kept.path.startswith(wanted + "/")]
    if not found and patterns and _MAGIC & set(wanted):
        found = [wish for kept in run.artifacts for wish in _matching(work, kept, wanted)]
    return found or _nothing(run, name)


def _matching(work: _Work, kept: Artifact, pattern: str) -> Iterator[_Wish]:
    """The artifact, or the files in it, that a pattern describes."""
    from fnmatch import fnmatchcase

    if fnmatchcase(kept.path, pattern):
        yield _wish(kept, kept.path)
    elif kept.nfiles is not None and _may_describe(pattern, kept.path + "/"):
        for file in work.complete([_wish(kept, kept.path)])[0].files:
            if fnmatchcase(file[0], pattern):
                yield _Wish(file[0], file[0], file[1], -1, None, (file,))


def _may_describe(pattern: str, folder: str) -> bool:
    """Whether something in the directory may be described: its listing may have to be fetched."""
    plain = pattern[: min(pattern.index(sign) for sign in _MAGIC if sign in pattern)]
    return folder.startswith(plain) or plain.startswith(folder)


def _nothing(run: Run, name: str) -> list[_Wish]:
    raise BadPath(f"'{run.name}' kept no '{one_line(name)}'", path=name, hint=_listed(run))


def _listed(run: Run) -> str:
    names = [one_line(kept.path) for kept in run.artifacts]
    if not names:
        return "it kept nothing."
    more = f" and {len(names) - _MOST_SAID} more" if len(names) > _MOST_SAID else ""
    return f"it kept {', '.join(names[:_MOST_SAID])}{more}."


def _datum(run: Run, path: str) -> _Wish:
    found = next((item for item in run.data if item.path == path), None)
    if found is None:
        raise BadPath(
            f"'{run.name}' read no data '{one_line(path)}'",
            path=path,
            hint="`git track show` lists what it read.",
        )
    if _is_outside(path):
        raise BadPath(
            f"'{one_line(path)}' lies outside of the work tree, where nothing is written", path=path
        )
    return _wish(found, _unquoted(path))


def _is_outside(path: str) -> bool:
    return _unquoted(path).startswith("/")


def _unquoted(path: str) -> str:
    """A recorded path as the file system has it: Git's quotes and escapes taken off."""
    if not path.startswith('"'):
        return path
    import ast

    try:
        # Git's escapes are those of a bytes literal (quote.c).
        return os.fsdecode(ast.literal_eval("b" + path))
    except (ValueError, SyntaxError) as error:
        raise BadPath(f"the path {path[:80]!a} is not quoted as Git does", path=path) from error


def _wish(item: Artifact | Data, path: str) -> _Wish:
    return _Wish(item.path, check_path(path), item.md5, item.size, item.nfiles)


def _check_target(repo: Repo, target: Path) -> None:
    """Refuse to write into Git's own directory, whatever it is called."""
    real = Path(os.path.realpath(target))
    own = {Path(os.path.realpath(place)) for place in (repo.git_dir, repo.common_dir)}
    if ".git" in (part.lower() for part in real.parts) or own & {real, *real.parents}:
        raise BadPath(
            f"'{target}' is Git's own directory",
            path=os.fspath(target),
            hint="-o DIR names another one.",
        )


# -- having it ----------------------------------------------------------------------------------


class _Work:
    """The cache and what fills it, for one piece of work."""

    def __init__(
        self,
        repo: Repo,
        remote: str | None,
        meter: Meter,
        links: Sequence[str] | None = None,
    ) -> None:
        self._repo = repo
        found = setup.read(repo)
        self._setup: Setup = found if links is None else replace(found, links=tuple(links))
        self._remote = remote
        self.meter = meter
        self.cache: Cache = open_cache(repo, self._setup)

    def complete(self, wishes: Sequence[_Wish]) -> list[_Wish]:
        """The wishes with their files; listings that are not here are fetched."""
        return [wish if wish.files else replace(wish, files=self._files(wish)) for wish in wishes]

    def _files(self, wish: _Wish) -> tuple[tuple[str, str], ...]:
        if wish.nfiles is None and not wish.md5.endswith(".dir"):
            return ((wish.path, wish.md5),)
        members = self._members(wish.md5)
        return tuple((f"{wish.path}/{member.path}", member.md5) for member in members)

    def _members(self, md5: str) -> tuple[Member, ...]:
        self._fetch([md5], files=False)
        self.check(md5)
        return self.cache.members(md5)

    def inside(self, wish: _Wish) -> list[str]:
        """The hashes of a wish's files, as far as they can be known without a remote."""
        known = wish.md5.endswith(".dir") and self.cache.size(wish.md5) is not None
        if wish.files or not known:
            return [md5 for _, md5 in wish.files]
        return [member.md5 for member in self.cache.members(wish.md5)]

    def part(self, kept: Artifact, wanted: str) -> _Wish | None:
        """A file or directory inside of a directory that was kept; None if there is none."""
        inner = wanted.removeprefix(kept.path + "/")
        members = self._members(kept.md5)
        for member in members:
            if member.path == inner:
                return _Wish(wanted, wanted, member.md5, -1, None, ((wanted, member.md5),))
        found = [
            Member(member.path.removeprefix(inner + "/"), member.md5)
            for member in members
            if member.path.startswith(inner + "/")
        ]
        if not found:
            return None
        files = tuple((f"{wanted}/{member.path}", member.md5) for member in found)
        return _Wish(wanted, wanted, digest(found), -1, len(found), files)

    def fetch(self, wishes: Sequence[_Wish]) -> None:
        """Bring all files of these wishes into the cache.

        Raises:
            DataDamaged: one is larger than the run's record says.
        """
        most: dict[str, int] = {}
        for wish in wishes:
            for _, md5 in wish.files if wish.size >= 0 else ():
                most[md5] = max(wish.size, most.get(md5, 0))
        self._fetch([md5 for wish in wishes for _, md5 in wish.files], most=most)
        for wish in wishes:
            size = sum(self.cache.size(md5) or 0 for _, md5 in wish.files)
            if size > wish.size >= 0:
                raise DataDamaged(
                    f"'{one_line(wish.name)}' has {size:,} bytes, "
                    f"and the run's record says {wish.size:,}",
                    md5=wish.md5,
                    hint="nothing was written; whoever recorded this may know more.",
                )

    def _fetch(
        self,
        md5s: Sequence[str],
        *,
        files: bool = True,
        most: Mapping[str, int] | None = None,
    ) -> None:
        data.fetch(
            self._repo,
            self._setup,
            md5s,
            remote=self._remote,
            files=files,
            most=most,
            meter=self.meter,
        )

    def check(self, md5: str) -> None:
        """Make sure that an object is whole; a damaged one is fetched anew.

        Raises:
            DataDamaged: it is not, and no data remote has it.
        """
        try:
            self.cache.check(md5)
        except DataDamaged as error:
            self.mend(error)

    def mend(self, error: DataDamaged) -> None:
        """Fetch a damaged object anew.

        Raises:
            DataDamaged: no data remote has it.
        """
        data.mend(self._repo, self._setup, error.md5, remote=self._remote, meter=self.meter)

    def divided(self, wishes: Sequence[_Wish]) -> tuple[list[_Wish], list[_Wish]]:
        """The wishes whose content is here after a try to fetch it, and the others."""
        here, gone = [], []
        for wish in wishes:
            try:
                self._fetch([wish.md5], most={wish.md5: wish.size})
            except DataMissing:
                gone.append(wish)
            else:
                here.append(wish)
        return here, gone


# -- writing it ---------------------------------------------------------------------------------


def _bring(
    work: _Work, wishes: Sequence[_Wish], target: Path, *, force: bool, dry_run: bool = False
) -> tuple[Retrieved, ...]:
    try:
        return _brought(work, wishes, target, force=force, dry_run=dry_run)
    except DataMissing as error:
        raise _named(error, wishes, work) from error


def _named(error: DataMissing, wishes: Sequence[_Wish], work: _Work) -> DataMissing:
    """The same error, with what the user calls the things that nobody has."""
    gone = set(error.md5s)
    names = [wish.name for wish in wishes if gone & {wish.md5, *work.inside(wish)}]
    if not names:
        return error
    said = ", ".join(f"'{one_line(name)}'" for name in names[:_MOST_SAID])
    more = f" and {len(names) - _MOST_SAID} more" if len(names) > _MOST_SAID else ""
    return DataMissing(f"{said}{more}: {error.message}", md5s=error.md5s, hint=error.hint)


def _brought(
    work: _Work, wishes: Sequence[_Wish], target: Path, *, force: bool, dry_run: bool
) -> tuple[Retrieved, ...]:
    whole = work.complete(wishes)
    with Enclosure(target) as place:
        planned = [_planned(work.cache, place, wish) for wish in whole]
        steps = _once([step for found in planned for step in found])
        _check_steps(place, steps, force=force)
        if not dry_run:
            work.fetch(whole)
            _write(work, place, steps, force=force)
    return tuple(
        _answer(_sized(work.cache, wish), target, _outcome(found))
        for wish, found in zip(whole, planned, strict=True)
    )


def _planned(cache: Cache, place: Enclosure, wish: _Wish) -> list[_Step]:
    """What to write: all but the files that are there with the same content."""
    if not wish.files:
        seen = place.look(wish.path)
        there = seen is not None and _is_directory(seen)
        return [] if there else [_Step(wish.path, "", seen)]
    steps = []
    for path, md5 in wish.files:
        seen = place.look(path)
        if seen is None or not _is_same(cache, place, path, md5, seen):
            steps.append(_Step(path, md5, seen))
    return steps


def _once(steps: Sequence[_Step]) -> list[_Step]:
    """Each file once, though an artifact may lie inside of another.

    Raises:
        BadPath: the two do not agree.
    """
    found: dict[str, _Step] = {}
    for step in steps:
        if found.setdefault(step.path, step).md5 != step.md5:
            raise BadPath(
                f"the run kept two different contents for '{one_line(step.path)}'",
                path=step.path,
                hint="name the artifact that is wanted, each with a directory of its own (-o).",
            )
    return list(found.values())


def _is_directory(seen: os.stat_result) -> bool:
    return stat.S_ISDIR(seen.st_mode)


def _is_same(cache: Cache, place: Enclosure, path: str, md5: str, seen: os.stat_result) -> bool:
    if stat.S_ISLNK(seen.st_mode):
        return place.link(path) == os.path.abspath(cache.path(md5))
    known = cache.size(md5)
    if known is not None and known != seen.st_size:
        return False
    with place.reading(path) as opened:
        return opened is not None and _hash(opened) == md5


def _hash(opened: int) -> str:
    from hashlib import md5

    digest = md5(usedforsecurity=False)
    while chunk := os.read(opened, _CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _check_steps(place: Enclosure, steps: Sequence[_Step], *, force: bool) -> None:
    """Refuse all if anything is in the way.

    Raises:
        BadPath: a directory is, or without `force` a file with another content.
    """
    directories = [s.path for s in steps if s.seen is not None and (_is_directory(s.seen))]
    if directories:
        raise BadPath(
            f"a directory is in the way of {_some(place, directories)}; nothing was written",
            path=directories[0],
            hint="move it away, or choose another directory with -o.",
        )
    different = [step.path for step in steps if step.seen is not None]
    if different and not force:
        verb = "exists with another content" if len(different) == 1 else "exist with other contents"
        raise BadPath(
            f"{_some(place, different)} {verb}; nothing was written",
            path=different[0],
            hint="--force replaces what is there, -o DIR writes elsewhere.",
        )


def _some(place: Enclosure, paths: Sequence[str]) -> str:
    said = ", ".join(f"'{one_line(str(place.root / path))}'" for path in paths[:_MOST_SAID])
    more = len(paths) - _MOST_SAID
    return f"{said} and {more} more" if more > 0 else said


def _write(work: _Work, place: Enclosure, steps: Sequence[_Step], *, force: bool) -> None:
    work.meter.start("writing", sum(work.cache.size(step.md5) or 0 for step in steps if step.md5))
    swept: set[str] = set()
    try:
        for step in steps:
            _write_one(work, place, step, swept, force=force)
    finally:
        work.meter.end()


def _write_one(work: _Work, place: Enclosure, step: _Step, swept: set[str], *, force: bool) -> None:
    if not step.md5:
        place.make(step.path)
        return
    opened, name = place.parent(step.path)
    directory = posixpath.dirname(step.path)
    if directory not in swept:
        swept.add(directory)
        sweep(opened)
    if not force and (seen := place.look(step.path)) is not None:
        # It came after the look at everything, while data was fetched: by another `get`, perhaps.
        if _is_same(work.cache, place, step.path, step.md5, seen):
            return
        _check_steps(place, [replace(step, seen=seen)], force=False)
        opened, name = place.parent(step.path)
    try:
        work.cache.place(step.md5, Path(name), dir_fd=opened, meter=work.meter)
    except DataDamaged as error:
        work.mend(error)
        work.cache.place(step.md5, Path(name), dir_fd=opened)


def _outcome(steps: Sequence[_Step]) -> Outcome:
    if not steps:
        return "up to date"
    return "replaced" if any(step.seen is not None for step in steps) else "new"


def _sized(cache: Cache, wish: _Wish) -> _Wish:
    """A part of a directory has the size of its files, as far as they are here."""
    if wish.size >= 0:
        return wish
    return replace(wish, size=sum(cache.size(md5) or 0 for _, md5 in wish.files))


def _answer(wish: _Wish, target: Path, outcome: Outcome) -> Retrieved:
    return Retrieved(wish.name, target / wish.path, wish.md5, wish.size, wish.nfiles, outcome)
