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

from gittrack import (
    commits,
    descriptions,
    journal,
    prune,
    recovery,
    refs,
    registry,
    sessions,
    snapshot,
    storage,
    tags,
    whereabouts,
)
from gittrack.annotations import ROOT as NOTES
from gittrack.annotations import problems
from gittrack.cells import size
from gittrack.errors import (
    GittrackError,
    UsageError,
)
from gittrack.findings import Case, Finding, Severity, count, from_error, ok, quoted
from gittrack.git import Repo
from gittrack.meter import SILENT, Meter
from gittrack.quoting import one_line

__all__ = ["Finding", "Severity", "examine", "from_error"]

_MOST = 5
_LITTLE, _TOO_LITTLE = 1 << 30, 100 << 20
_CLOCK_SLACK = 600.0
_SOON = 3_600.0


def examine(
    repo: Repo, *, now: float, deep: bool = False, meter: Meter = SILENT
) -> Iterator[Finding]:
    """Look at everything, cheap things first; what cannot be looked at is a finding too.

    With `deep` every object of the cache is read and compared with its hash, and the data remote
    is asked what it lacks. `now` is seconds since the epoch.
    """
    case = Case(repo, now, meter)
    said = set()
    for about, check in (*_CHECKS, *(_DEEP if deep else _SHALLOW), *_LAST):
        for finding in _looked(case, about, check):
            # What several checks stumble over is one thing.
            if finding.what not in said:
                said.add(finding.what)
                yield finding


def _looked(
    case: Case, about: str, check: Callable[[Case], Iterator[Finding]]
) -> Iterator[Finding]:
    try:
        yield from check(case)
    except GittrackError as error:
        yield from_error(about, error)
    except OSError as error:
        where = "" if error.filename is None else f"'{os.fsdecode(error.filename)}': "
        yield Finding("wrong", about, f"cannot be looked at: {where}{error.strerror}")


# -- Git ----------------------------------------------------------------------------------------


def _git(case: Case) -> Iterator[Finding]:
    case.repo.check_version()
    from importlib.metadata import version

    git = case.repo.git("version").decode("ascii", "replace").strip()
    yield ok("repository", f"{git}, pygit2 {version('pygit2')}, gittrack {version('gittrack')}")


def _state(case: Case) -> Iterator[Finding]:
    """Whether there is a place to write, and room in it."""
    state = case.repo.state
    place = next(path for path in (state, *state.parents) if path.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        what = f"'{place}' cannot be written: no run can be recorded"
        yield Finding("wrong", "disk", what, f"ls -ld {quoted(place)}")
    for name, path in (("the repository", place), ("the data cache", case.cache.directory)):
        there = next(above for above in (path, *path.parents) if above.exists())
        free = shutil.disk_usage(there).free
        if free < _LITTLE:
            what = f"the disk of {name} has only {size(free)} left"
            yield Finding(
                "wrong" if free < _TOO_LITTLE else "risky", "disk", what, "git track gc --data"
            )
        else:
            yield ok("disk", f"{name}: {size(free)} left")


def _settings(case: Case) -> Iterator[Finding]:
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


def _hooks(case: Case) -> Iterator[Finding]:
    named = case.repo.git("rev-parse", "--git-path", "hooks/reference-transaction")
    place = case.repo.root or case.repo.git_dir
    hook = place / os.fsdecode(named.removesuffix(b"\n"))
    if os.access(hook, os.X_OK):
        what = f"the hook '{hook}' may refuse what gittrack does to its refs"
        yield Finding("risky", "hooks", what, "let it pass refs/runs/, refs/gittrack/, refs/notes/")


# -- remotes ------------------------------------------------------------------------------------


def _remotes(case: Case) -> Iterator[Finding]:
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


def _refs(case: Case) -> Iterator[Finding]:
    ours, others = case.refs
    unreadable = refs.unreadable(case.repo, [ref.full for ref in ours] + [r.name for r in others])
    for stray in commits.strays(case.repo, others, unreadable):
        # Git itself does not delete a ref that it cannot read.
        broken = case.repo.common_dir / stray.where
        mend = f"rm {quoted(broken)}" if stray.where in unreadable else stray.hint
        yield Finding("wrong", "runs", one_line(stray.message), mend)
    for problem in case.listing.problems[:_MOST]:
        yield Finding("wrong", "runs", one_line(problem.message), problem.hint)
    more = len(case.listing.problems) - _MOST
    if more > 0:
        what = f"{count(more, 'more run')} cannot be read as they should"
        yield Finding("wrong", "runs", what, "git track ls")
    if ours:
        yield ok(
            "runs",
            f"{count(len(case.listing.runs), 'run')}; `git log --all` shows them too, "
            "`git log --exclude='refs/runs/*' --all` does not",
        )


def _lost(case: Case) -> Iterator[Finding]:
    """Runs whose processes are dead and which are not recorded."""
    odd = []
    for directory in sessions.live(case.repo.state):
        if journal.read(directory, points=False) is None and directory.exists():
            odd.append(directory)
            what = f"{one_line(directory.name)} is under way, and how it began cannot be read"
            yield Finding("wrong", "runs", what, f"rm -r {quoted(directory)}")
    try:
        recovery.recover(case.repo)
    except GittrackError as error:
        # It says the first thing only, and that may be one of these.
        if not odd:
            yield from_error("runs", error)


def _models(case: Case) -> Iterator[Finding]:
    """Tags that Git does not list or cannot read, and what was said of models."""
    place = whereabouts.of(case.repo)
    torn = tags.torn(place)
    for name in torn[:_MOST]:
        file = case.repo.common_dir / "refs/tags" / name
        what = f"refs/tags/{one_line(name)}: a broken ref: it points nowhere"
        yield Finding("wrong", "tags", what, f"rm {quoted(file)}")
    broken = [one for one in registry.read(place).problems if one.is_broken]
    for one in broken[:_MOST]:
        what = f"refs/tags/{one_line(one.tag)}: {one_line(one.reason)}"
        yield Finding("wrong", "tags", what, "git fsck")
    more = len(torn[_MOST:]) + len(broken[_MOST:])
    if more:
        what = f"{count(more, 'more tag')} cannot be read"
        yield Finding("wrong", "tags", what, "git track model ls --problems")
    # That reads all notes; where there are none it finds nothing.
    found = descriptions.problems(case.repo) if case.repo.refs(descriptions.ROOT) else []
    for sentence in found[:_MOST]:
        mend = "git notes --ref=models/WRITER edit TAG"
        yield Finding("risky", "notes", one_line(sentence), mend)
    if len(found) > _MOST:
        what = f"{len(found) - _MOST} more lines in notes on models are ignored"
        yield Finding("risky", "notes", what)


def _annotations(case: Case) -> Iterator[Finding]:
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


def _clock(case: Case) -> Iterator[Finding]:
    ends = [(run.ended or run.started, run.name) for run in case.listing.runs]
    newest, name = max(ends, default=(None, ""))
    if isinstance(newest, datetime) and newest.timestamp() > case.now + _CLOCK_SLACK:
        here = time.strftime("%Y-%m-%d %H:%M", time.localtime(case.now))
        there = time.strftime("%Y-%m-%d %H:%M", time.localtime(newest.timestamp()))
        what = f"the clock here says {here}, and {name} ended {there}: one clock is wrong"
        yield Finding("risky", "clock", what, "timedatectl")


# -- this machine -------------------------------------------------------------------------------


def _programs(case: Case) -> Iterator[Finding]:
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


def _history(case: Case) -> Iterator[Finding]:
    if (case.repo.common_dir / "shallow").exists():
        yield ok("repository", "this clone is shallow: `git track gc --data` will not clean it")


_Check = tuple[str, Callable[[Case], Iterator[Finding]]]
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
    ("tags", _models),
    ("dvc", storage.dvc_state),
    ("cache", storage.cache_state),
    ("data", storage.absent),
    ("data", storage.unfilled),
)
_DEEP: tuple[_Check, ...] = (("cache", storage.damaged), ("data", storage.lacking))
_SHALLOW: tuple[_Check, ...] = (("data", storage.unasked),)
_LAST: tuple[_Check, ...] = (("dvc", storage.dvc_gc),)
