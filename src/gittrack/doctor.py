"""What is wrong or risky in a repository, in its DVC and on this machine, and what mends each.

Looks and changes nothing, except that runs which died are recorded, as any command does. Knows
nothing of how a finding is printed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from gittrack import journal, pointers, prune, recovery, refs, runs, sessions, setup, snapshot
from gittrack.annotations import ROOT as NOTES
from gittrack.annotations import overlay, problems
from gittrack.cache import Cache, open_cache
from gittrack.cells import size
from gittrack.errors import (
    BadFile,
    DataDamaged,
    DataFailed,
    DataMissing,
    GittrackError,
    UsageError,
)
from gittrack.git import Ref, Repo
from gittrack.meter import SILENT, Meter
from gittrack.quoting import one_line
from gittrack.records import Summary
from gittrack.refs import RunRef
from gittrack.runs import Listing
from gittrack.setup import Setup

__all__ = ["Finding", "Severity", "examine", "from_error"]

Severity = Literal["wrong", "risky", "note", "ok"]
"""`wrong` does not work now, or the next ordinary command destroys something; `risky` may cost
something one day; `note` is nothing to mend, but worth knowing; `ok` is said to those who want to
know what was looked at."""

_MOST = 5
_MOST_POINTERS = 2_000
_MOST_LISTINGS = 200
_LARGEST_POINTER = 1 << 20
_LITTLE, _TOO_LITTLE = 1 << 30, 100 << 20
_CLOCK_SLACK = 600.0
_SOON = 3_600.0


class Finding(NamedTuple):
    """One thing that was looked at: `about` is one word, `what` a sentence, `mend` a command."""

    severity: Severity
    about: str
    what: str
    mend: str | None = None


def from_error(about: str, error: GittrackError) -> Finding:
    """The finding that an error makes."""
    return Finding("wrong", about, error.message, error.hint)


def examine(
    repo: Repo, *, now: float, deep: bool = False, meter: Meter = SILENT
) -> Iterator[Finding]:
    """Look at everything, cheap things first; what cannot be looked at is a finding too.

    With `deep` every object of the cache is read and compared with its hash, and the data remote
    is asked what it lacks. `now` is seconds since the epoch.
    """
    case = _Case(repo, now, meter)
    said = set()
    for about, check in (*_CHECKS, *(_DEEP if deep else _SHALLOW), *_LAST):
        for finding in _looked(case, about, check):
            # What several checks stumble over is one thing.
            if finding.what not in said:
                said.add(finding.what)
                yield finding


def _looked(
    case: _Case, about: str, check: Callable[[_Case], Iterator[Finding]]
) -> Iterator[Finding]:
    try:
        yield from check(case)
    except GittrackError as error:
        yield from_error(about, error)
    except OSError as error:
        where = "" if error.filename is None else f"'{os.fsdecode(error.filename)}': "
        yield Finding("wrong", about, f"cannot be looked at: {where}{error.strerror}")


class _Case:
    """The repository that is examined, and what more than one check asks of it."""

    def __init__(self, repo: Repo, now: float, meter: Meter) -> None:
        self.repo, self.now, self.meter = repo, now, meter

    @cached_property
    def refs(self) -> tuple[list[RunRef], list[Ref]]:
        return refs.divided(self.repo)

    @cached_property
    def listing(self) -> Listing:
        return runs.listing(self.repo, self.refs[0])

    @cached_property
    def runs(self) -> list[Summary]:
        """The good runs that are not deleted."""
        return [run for run in overlay(self.repo, self.listing.runs) if not run.deleted]

    @cached_property
    def artifacts(self) -> dict[str, list[str]]:
        """MD5 of an artifact -> the names of the runs that kept it."""
        found: dict[str, list[str]] = {}
        for run in self.runs:
            for md5 in run.artifacts.values():
                found.setdefault(md5, []).append(run.name)
        return found

    @cached_property
    def remote(self) -> str | None:
        """The default data remote, if it has an address."""
        name = self.setup.remote
        return name if name in self.setup.remotes else None

    @cached_property
    def keepers(self) -> dict[str, tuple[str, str]]:
        """MD5 of an artifact or of a file in one -> a run that kept it, and the artifact's path."""
        found: dict[str, tuple[str, str]] = {}
        for run in self.runs:
            for path, md5 in run.artifacts.items():
                inner = _members(self.cache, md5) if md5.endswith(".dir") else []
                found.update(dict.fromkeys((md5, *inner), (run.name, path)))
        return found

    @cached_property
    def sizes(self) -> dict[str, int | None]:
        """MD5 of an artifact -> the bytes of its object in the cache, None if it is not there."""
        return {md5: self.cache.size(md5) for md5 in self.artifacts}

    @cached_property
    def setup(self) -> Setup:
        return setup.read(self.repo)

    @cached_property
    def cache(self) -> Cache:
        return open_cache(self.repo, self.setup)


def _ok(about: str, what: str) -> Finding:
    return Finding("ok", about, what)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _quoted(path: Path) -> str:
    return one_line(shlex.quote(os.fspath(path)))


# -- Git ----------------------------------------------------------------------------------------


def _git(case: _Case) -> Iterator[Finding]:
    case.repo.check_version()
    from importlib.metadata import version

    git = case.repo.git("version").decode("ascii", "replace").strip()
    yield _ok("repository", f"{git}, pygit2 {version('pygit2')}, gittrack {version('gittrack')}")


def _state(case: _Case) -> Iterator[Finding]:
    """Whether there is a place to write, and room in it."""
    state = case.repo.state
    place = next(path for path in (state, *state.parents) if path.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        what = f"'{place}' cannot be written: no run can be recorded"
        yield Finding("wrong", "disk", what, f"ls -ld {_quoted(place)}")
    for name, path in (("the repository", place), ("the data cache", case.cache.directory)):
        there = next(above for above in (path, *path.parents) if above.exists())
        free = shutil.disk_usage(there).free
        if free < _LITTLE:
            what = f"the disk of {name} has only {size(free)} left"
            yield Finding(
                "wrong" if free < _TOO_LITTLE else "risky", "disk", what, "git track gc --data"
            )
        else:
            yield _ok("disk", f"{name}: {size(free)} left")


def _settings(case: _Case) -> Iterator[Finding]:
    repo = case.repo
    mode = repo.config.get("track.snapshot", "all")
    if mode not in snapshot.MODES:
        yield Finding(
            "wrong",
            "settings",
            f"track.snapshot is {one_line(repr(mode))}: no run can be recorded",
            "git config track.snapshot all",
        )
    for ask in (
        lambda: repo.flag("track.sign", default=False),
        lambda: repo.expiry("track.gcGrace", default=prune.GRACE),
    ):
        try:
            ask()
        except UsageError as error:
            yield from_error("settings", error)
    if not repo.flag("track.fsync", default=True):
        what = "track.fsync is off: a power cut may cost the runs of the last seconds"
        yield Finding("risky", "settings", what, "git config --unset track.fsync")
    if repo.config.get("core.fsyncmethod") == "writeout-only":
        what = "core.fsyncMethod is writeout-only: a power cut may cost runs all the same"
        yield Finding("risky", "settings", what, "git config --unset core.fsyncMethod")
    prunes = repo.expiry("gc.pruneExpire", default="2.weeks.ago")
    if "gc.pruneexpire" in repo.config and prunes > case.now - _SOON:
        what = "gc.pruneExpire leaves no time: `git gc` may take parts of a run being recorded"
        yield Finding("risky", "settings", what, "git config gc.pruneExpire 2.weeks.ago")


def _hooks(case: _Case) -> Iterator[Finding]:
    named = case.repo.git("rev-parse", "--git-path", "hooks/reference-transaction")
    place = case.repo.root or case.repo.git_dir
    hook = place / os.fsdecode(named.removesuffix(b"\n"))
    if os.access(hook, os.X_OK):
        what = f"the hook '{hook}' may refuse what gittrack does to its refs"
        yield Finding("risky", "hooks", what, "let it pass refs/runs/, refs/gittrack/, refs/notes/")


# -- remotes ------------------------------------------------------------------------------------


def _remotes(case: _Case) -> Iterator[Finding]:
    """What pushes and fetches of plain Git would do to runs and to what was said of them."""
    keys = [key for key in case.repo.config if key.startswith("remote.") and key.count(".") > 1]
    for name in dict.fromkeys(key[len("remote.") : key.rindex(".")] for key in keys):
        yield from _remote(case.repo, name)


def _remote(repo: Repo, name: str) -> Iterator[Finding]:
    key = f"remote.{name}"
    shown = one_line(shlex.quote(name))
    if repo.flag(f"{key}.mirror", default=False):
        yield Finding(
            "wrong",
            "remotes",
            f"{shown} is a mirror: a push deletes there the runs that are not here, colleagues' "
            "too, and a fetch that prunes deletes here those that are not there",
            f"git config --unset {one_line(shlex.quote(key))}.mirror",
        )
    pruning = repo.flag(f"{key}.prune", default=repo.flag("fetch.prune", default=False))
    for spec in repo.config_all(f"{key}.fetch"):
        said = one_line(repr(spec))
        target = spec.rpartition(":")[2]
        if pruning and _covers(target, refs.ROOT):
            yield Finding(
                "wrong",
                "remotes",
                f"a fetch from {shown} with {said} deletes the runs that are only here",
                f"git config {one_line(shlex.quote(key))}.prune false",
            )
        elif spec.startswith("+") and _covers(target, NOTES):
            yield Finding(
                "risky",
                "remotes",
                f"a fetch from {shown} with {said} overwrites notes on runs; your own come back "
                "with the next one that you write",
                f"git config --unset-all {one_line(shlex.quote(key))}.fetch '^[+]refs/'"
                " and fetch branches alone",
            )
    for spec in repo.config_all(f"{key}.push"):
        if spec.startswith("+") and _covers(spec.rpartition(":")[2].lstrip("+"), refs.ROOT):
            yield Finding(
                "risky",
                "remotes",
                f"a push to {shown} with {one_line(repr(spec))} overwrites runs there",
                f"git config --unset-all {one_line(shlex.quote(key))}.push",
            )


def _covers(target: str, root: str) -> bool:
    """Whether the right side of a refspec takes in refs below `root`."""
    above, star, _ = target.partition("*")
    return (star == "*" and root.startswith(above)) or above.startswith(root)


# -- runs ---------------------------------------------------------------------------------------


def _refs(case: _Case) -> Iterator[Finding]:
    ours, others = case.refs
    unreadable = refs.unreadable(case.repo, [ref.full for ref in ours] + [r.name for r in others])
    for stray in runs.strays(case.repo, others, unreadable):
        # Git itself does not delete a ref that it cannot read.
        broken = case.repo.common_dir / stray.where
        mend = f"rm {_quoted(broken)}" if stray.where in unreadable else stray.hint
        yield Finding("wrong", "runs", one_line(stray.message), mend)
    for problem in case.listing.problems[:_MOST]:
        yield Finding("wrong", "runs", one_line(problem.message), problem.hint)
    more = len(case.listing.problems) - _MOST
    if more > 0:
        what = f"{_count(more, 'more run')} cannot be read as they should"
        yield Finding("wrong", "runs", what, "git track ls")
    if ours:
        yield _ok(
            "runs",
            f"{_count(len(case.listing.runs), 'run')}; `git log --all` shows them too, "
            "`git log --exclude='refs/runs/*' --all` does not",
        )


def _lost(case: _Case) -> Iterator[Finding]:
    """Runs whose processes are dead and which are not recorded."""
    odd = []
    for directory in sessions.live(case.repo.state):
        if journal.read(directory) is None and directory.exists():
            odd.append(directory)
            what = f"{one_line(directory.name)} is under way, and how it began cannot be read"
            yield Finding("wrong", "runs", what, f"rm -r {_quoted(directory)}")
    try:
        recovery.recover(case.repo)
    except GittrackError as error:
        # It says the first thing only, and that may be one of these.
        if not odd:
            yield from_error("runs", error)


def _annotations(case: _Case) -> Iterator[Finding]:
    there = NOTES.removesuffix("/")
    if case.repo.ref(there) is not None:
        yield Finding(
            "wrong",
            "notes",
            f"the notes ref {there} is in the way of {NOTES}*: nothing can be said of runs",
            f"git update-ref refs/notes/remarks {there} && git update-ref -d {there}",
        )
    # It reads all runs, which costs something; where there are no notes it finds nothing.
    found = problems(case.repo) if case.repo.refs(NOTES) else []
    for sentence in found[:_MOST]:
        yield Finding("risky", "notes", one_line(sentence), "git notes --ref=runs/WRITER edit RUN")
    if len(found) > _MOST:
        yield Finding("risky", "notes", f"{len(found) - _MOST} more lines in notes are ignored")


def _clock(case: _Case) -> Iterator[Finding]:
    ends = [(run.ended or run.started, run.name) for run in case.listing.runs]
    newest, name = max(ends, default=(None, ""))
    if isinstance(newest, datetime) and newest.timestamp() > case.now + _CLOCK_SLACK:
        here = time.strftime("%Y-%m-%d %H:%M", time.localtime(case.now))
        there = time.strftime("%Y-%m-%d %H:%M", time.localtime(newest.timestamp()))
        what = f"the clock here says {here}, and {name} ended {there}: one clock is wrong"
        yield Finding("risky", "clock", what, "timedatectl")


# -- data ---------------------------------------------------------------------------------------


def _dvc(case: _Case) -> Iterator[Finding]:
    found = case.setup
    kept = len({name for names in case.artifacts.values() for name in names})
    if found.directory is None and kept and not case.repo.is_bare:
        yield Finding(
            "risky",
            "dvc",
            f"{_count(kept, 'run keeps', 'runs keep')} artifacts and DVC is not set up here: they "
            "lie in the Git directory, and `dvc` sees none of them",
            "git track init",
        )
    if found.former is not None:
        what = f"objects are left in '{found.former}', where nobody looks for them"
        yield Finding("wrong", "dvc", what, "git track init")
    if setup.is_apart(case.repo, found) and found.directory is not None:
        yield _apart(found, found.directory)
    if found.remote is None and any(length is not None for length in case.sizes.values()):
        yield Finding(
            "risky",
            "dvc",
            f"no data remote is set: {_here(case)} of {_count(kept, 'run')} are on this disk only",
            "dvc remote add -d NAME URL" if found.directory else "git track init",
        )
    if found.remote is not None and found.remote not in found.remotes:
        what = f"the default data remote {one_line(found.remote)!r} has no URL"
        yield Finding("wrong", "dvc", what, f"dvc remote add -d {shlex.quote(found.remote)} URL")
    yield from _dvc_version(bool(case.artifacts or found.directory))


def _apart(found: Setup, directory: Path) -> Finding:
    """Two caches in a linked work tree, and what makes them one."""
    own = directory / "cache"
    what = f"in this work tree `dvc` keeps data in '{own}', gittrack and others in '{found.cache}'"
    mend = "git track init"
    if own.exists() or (directory / "config.local").exists():
        mend = f"dvc config --local cache.dir {_quoted(found.cache)}"
    if own.exists():
        # Objects are what they are called, so none is in the way of another.
        shared = _quoted(found.cache)
        mend = f"mkdir -p {shared} && cp -Rn {_quoted(own)}/. {shared}/ && {mend}"
    return Finding("wrong", "dvc", what, mend)


def _dvc_gc(case: _Case) -> Iterator[Finding]:
    """What no set-up changes: DVC's own cleaning looks at branches and tags at most."""
    kept = len({name for names in case.artifacts.values() for name in names})
    if case.setup.directory is not None and kept:
        what = f"never run `dvc gc` here: it deletes the artifacts of {_count(kept, 'run')}"
        yield Finding("note", "dvc", f"{what}; `git track gc --data` is the safe way")


def _dvc_version(needed: bool) -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("dvc")
    except PackageNotFoundError:
        if needed:
            what = "DVC is not installed beside gittrack: data remotes cannot be reached"
            yield Finding("risky", "dvc", what, "pip install 'dvc>=3'")
        return
    if installed.split(".")[0] in ("0", "1", "2"):
        what = f"DVC {installed} keeps data where DVC 3 does not look for it"
        yield Finding("wrong", "dvc", what, "pip install 'dvc>=3'")
    else:
        yield _ok("dvc", f"DVC {installed}")


def _here(case: _Case) -> str:
    """How many bytes of artifacts the cache holds, in words."""
    present = {md5: length for md5, length in case.sizes.items() if length is not None}
    listings = [md5 for md5 in present if md5.endswith(".dir")]
    for md5 in listings[:_MOST_LISTINGS]:
        for one in _members(case.cache, md5):
            present[one] = case.cache.size(one) or 0
    least = "at least " if len(listings) > _MOST_LISTINGS else ""
    return f"{least}{size(sum(present.values()))}"


def _members(cache: Cache, md5: str) -> list[str]:
    try:
        return [member.md5 for member in cache.members(md5)]
    except (BadFile, DataDamaged, DataMissing):
        return []


def _cache(case: _Case) -> Iterator[Finding]:
    cache, links = case.cache, case.setup.links
    place = cache.directory
    there = next(above for above in (place, *place.parents) if above.exists())
    if there not in (place, place.parent) and not _is_ours(case.repo, place):
        what = f"the data cache '{place}' is not there, nor is '{place.parent}'"
        mend = f"mount it, or mkdir -p {_quoted(place)}"
        yield Finding("wrong", "cache", what, mend)
        return
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = f"the data cache '{place}' cannot be written: no artifact can be kept"
        yield Finding("wrong", "cache", what, f"ls -ld {_quoted(there)}")
    if there != place:
        yield _ok("cache", f"'{place}' is made when there is something for it")
        return
    if risky := [link for link in links if link in ("hardlink", "symlink")]:
        yield Finding(
            "risky",
            "cache",
            f"cache.type has {' and '.join(risky)}: whoever writes into such a file in place "
            "damages the object in the cache",
            "dvc config --unset cache.type, or `dvc unprotect FILE` before writing",
        )
    root = case.repo.root
    if root is not None and os.stat(root).st_dev != os.stat(cache.directory).st_dev:
        yield _ok("cache", "it is on another disk than the work tree: files are copied out of it")


def _is_ours(repo: Repo, place: Path) -> bool:
    """Whether a path lies in this repository, or in the work tree here."""
    real = Path(os.path.realpath(place))
    own = [repo.common_dir, *([repo.root] if repo.root else [])]
    return any(real.is_relative_to(os.path.realpath(one)) for one in own)


def _absent(case: _Case) -> Iterator[Finding]:
    """Artifacts that are not in the cache; of a directory the listing is looked for."""
    gone = [md5 for md5, length in case.sizes.items() if length is None]
    if not gone:
        return
    names = sorted({name for md5 in gone for name in case.artifacts[md5]})
    what = f"{_count(len(gone), 'artifact')} of {_count(len(names), 'run')}"
    example = f"git track get {names[0]}"
    if case.setup.remote is not None:
        yield _ok("data", f"{what}: not here; `{example}` asks the data remote")
    else:
        what = f"{what} ({names[0]}{', ...' if len(names) > 1 else ''}) are not in the cache"
        yield Finding(
            "wrong", "data", f"{what}, and no data remote is set", "dvc remote add -d NAME URL"
        )


def _pointers(case: _Case) -> Iterator[Finding]:
    """Tracked pointers of the work tree whose data is neither there nor in the cache."""
    root = case.repo.root
    if root is None:
        return
    from gittrack.git.reachability import Reachability

    listed = Reachability(case.repo).staged_files(
        root, (":(glob)**/*.dvc", ":(glob)**/dvc.lock", ":(exclude,glob)**/.dvc/**")
    )
    gone = []
    for file in sorted(set(listed.values()))[:_MOST_POINTERS]:
        try:
            gone += [p for p in _named(root, file) if not _has(case, root, p)]
        except BadFile as error:
            yield from_error("data", error)
    if gone:
        example = f"'{one_line(gone[0].path)}'{', ...' if len(gone) > 1 else ''}"
        what = f"{_count(len(gone), 'path')} that DVC tracks ({example}): neither here nor in cache"
        yield Finding("risky", "data", what, "dvc pull")


def _named(root: Path, file: str) -> tuple[pointers.Pointer, ...]:
    try:
        with open(root / file, "rb") as opened:
            data = opened.read(_LARGEST_POINTER + 1)
    except OSError:
        return ()
    return pointers.parse(data, file)


def _has(case: _Case, root: Path, pointer: pointers.Pointer) -> bool:
    return os.path.lexists(root / pointer.path) or case.cache.path(pointer.md5).exists()


def _damaged(case: _Case) -> Iterator[Finding]:
    """Every object read and compared with its hash."""
    found = [(md5, status.st_size) for md5, status in case.cache.objects()]
    bad: dict[str, str] = {}
    case.meter.start("reading the cache", sum(size for _, size in found))
    try:
        for md5, length in found:
            try:
                case.cache.check(md5)
            except DataDamaged as error:
                bad[md5] = error.message
            except DataMissing:
                # Somebody cleans up meanwhile.
                pass
            case.meter.advance(length)
    finally:
        case.meter.end()
    there = _at_remote(case, list(bad)) if bad else set()
    for md5, message in bad.items():
        yield Finding("wrong", "cache", message, _mend_of(case, md5, md5 in there))
    yield _ok("cache", f"{_count(len(found), 'object')} read")


def _at_remote(case: _Case, md5s: list[str]) -> set[str]:
    """Which of these objects can be had again from the data remote."""
    if case.remote is None:
        return set()
    from gittrack.depot import open_depot

    try:
        return open_depot(case.setup, case.remote).there(md5s, case.meter)
    except DataFailed:
        # Another check says so.
        return set()


def _mend_of(case: _Case, md5: str, at_remote: bool) -> str:
    """What makes an object whole; never by way of removing the only one there is.

    A read-only object is trusted, by DVC as by us: with `chmod` it is looked at and replaced.
    """
    name, path = case.keepers.get(md5, ("", ""))
    if at_remote and name:
        # Into a new directory: where a file has the right content, nothing would be read.
        return f'git track get {name} {one_line(shlex.quote(path))} -o "$(mktemp -d)"'
    free = f"chmod u+w {_quoted(case.cache.path(md5))}"
    if at_remote:
        return f"{free} && dvc fetch"
    if name:
        return f"{free}, then run the step of {name} again, which kept it"
    return f"{free}, then `dvc add` the file again, or run again what made it"


def _lacking(case: _Case) -> Iterator[Finding]:
    """What the data remote lacks of the runs, as it says itself."""
    if case.remote is None:
        return
    from gittrack import shipment
    from gittrack.depot import open_depot

    where = f"data remote '{one_line(case.remote)}'"
    try:
        there = open_depot(case.setup, case.remote).is_there()
        packed = shipment.pack(case.repo, case.setup, case.runs, meter=case.meter)
    except DataFailed as error:
        yield Finding("wrong", "data", error.message, error.hint or "dvc remote list")
        return
    found = packed.lacking
    if found.md5s:
        what = f"{where} lacks {_count(len(found.md5s), 'object')} ({size(found.size)}) of runs"
        empty = "" if there else ": there is nothing at its address"
        yield Finding("risky", "data", what + empty, "git track send --all")
    for name, paths in list(packed.absent.items())[:_MOST]:
        what = f"{_count(len(paths), 'artifact')} of {name} ({one_line(paths[0])})"
        mend = f"`git track send {name}` in a clone that has it, or run it again"
        yield Finding("wrong", "data", f"{what}: neither here nor in {where}", mend)
    if not found.md5s and not packed.absent:
        yield _ok("data", f"{where} has what runs kept and read")


def _unasked(case: _Case) -> Iterator[Finding]:
    if case.remote is not None and case.artifacts:
        where = f"data remote '{one_line(case.remote)}'"
        yield _ok("data", f"whether {where} has what runs kept, only --deep asks")


# -- this machine -------------------------------------------------------------------------------


def _programs(case: _Case) -> Iterator[Finding]:
    """Whether Git would find more than one `git track`."""
    found: dict[str, str] = {}
    for place in os.environ.get("PATH", "").split(os.pathsep):
        program = os.path.join(place, "git-track")
        if place and os.access(program, os.X_OK) and not os.path.isdir(program):
            found.setdefault(os.path.realpath(program), program)
    if len(found) > 1:
        first, second = list(found.values())[:2]
        what = f"two git-track are on PATH: '{first}' is used, '{second}' is not"
        yield Finding("risky", "machine", one_line(what), "pip uninstall gittrack in one of them")


def _history(case: _Case) -> Iterator[Finding]:
    if (case.repo.common_dir / "shallow").exists():
        yield _ok("repository", "this clone is shallow: `git track gc --data` will not clean it")


_Check = tuple[str, Callable[[_Case], Iterator[Finding]]]
_CHECKS: tuple[_Check, ...] = (
    ("repository", _git),
    ("repository", _history),
    ("disk", _state),
    ("settings", _settings),
    ("hooks", _hooks),
    ("machine", _programs),
    ("remotes", _remotes),
    ("runs", _lost),
    ("runs", _refs),
    ("clock", _clock),
    ("notes", _annotations),
    ("dvc", _dvc),
    ("cache", _cache),
    ("data", _absent),
    ("data", _pointers),
)
_DEEP: tuple[_Check, ...] = (("cache", _damaged), ("data", _lacking))
_SHALLOW: tuple[_Check, ...] = (("data", _unasked),)
_LAST: tuple[_Check, ...] = (("dvc", _dvc_gc),)
