"""Cleaning takes what nobody needs, and never anything else: not in doubt, not when interrupted."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import annotations, commits, journal, prune, refs, sessions, setup
from gittrack.cache import Cache, open_cache
from gittrack.errors import CannotClean, GittrackError, UsageError, WriteFailed
from gittrack.events import Change
from gittrack.git import Identity, Repo
from gittrack.intake import TEMPORARY
from gittrack.records import Artifact, Code, Data, Input, Run
from gittrack.refs import RunRef

ADA = Identity("Ada Lovelace", "ada@example.org")
DAY = 86_400.0
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
Git = Callable[..., str]


@pytest.fixture
def repo(repo_dir: Path, git: Git) -> Repo:
    """A repository whose own Git does not sync, to be quick."""
    opened = Repo.open(repo_dir)
    opened.sync(False)
    git(repo_dir, "config", "track.fsync", "false")
    return opened


@pytest.fixture
def cache(repo: Repo) -> Cache:
    return open_cache(repo, setup.read(repo))


def keep(cache: Cache, text: str) -> str:
    """Put a file into the cache -> its MD5."""
    return cache.add_bytes(text.encode()).md5


def keep_directory(cache: Cache, place: Path, **files: str) -> str:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return cache.add(place).md5


def pointer(md5: str) -> str:
    return f"outs:\n- md5: {md5}\n  size: 4\n  hash: md5\n  path: data\n"


def record(repo: Repo, name: str, **fields: object) -> RunRef:
    """A recorded run; what it is given as `artifacts` are MD5s."""
    md5s = fields.pop("artifacts", ())
    kept = tuple(Artifact(f"model{number}", md5, 4) for number, md5 in enumerate(md5s))  # type: ignore[arg-type]
    base = repo.head()[0]
    run = Run(
        id=f"{abs(hash(name)):032x}"[:32],
        name=f"{name}-aaaaaa",
        experiment="default",
        status="finished",
        started=NOON,
        ended=NOON,
        code=Code(base=base),
        artifacts=kept,
        **fields,  # type: ignore[arg-type]
    )
    tree = repo.read_commit(base).tree if base else repo.empty_tree()
    return commits.write(repo, run, tree=tree, author=ADA)


def say(repo: Repo, ref: RunRef, what: str) -> None:
    summary = commits.listing(repo, [ref]).runs[0]
    annotations.append(repo, summary, [Change(what)], now=NOON, random=os.urandom)


def clean(repo: Repo, **options: object) -> prune.Outcome:
    """Clean as if it were a minute later and nothing had to be old."""
    given = {"data": True, "before": float("inf"), "now": time.time() + 60}
    return prune.gc(repo, **{**given, **options})  # type: ignore[arg-type]


def here(cache: Cache) -> set[str]:
    return {md5 for md5, _ in cache.objects()}


# -- data ---------------------------------------------------------------------------------------


def _in_branch(repo: Repo, git: Git, md5: str) -> None:
    _committed(repo, git, "deep/er/data.dvc", pointer(md5))


def _committed(repo: Repo, git: Git, name: str, text: str) -> None:
    file = repo.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    git(repo.root, "add", "-f", name)
    git(repo.root, "commit", "-q", "-m", name)


def _in_lock_file(repo: Repo, git: Git, md5: str) -> None:
    text = f"schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - path: p\n      md5: {md5}\n"
    _committed(repo, git, "pipe/dvc.lock", text)


def _in_history(repo: Repo, git: Git, md5: str) -> None:
    _in_branch(repo, git, md5)
    _in_branch(repo, git, "0" * 32)


def _under_tag_alone(repo: Repo, git: Git, md5: str) -> None:
    _in_branch(repo, git, md5)
    git(repo.root, "tag", "-a", "-m", "t", "v1")
    _forget_last_commit(repo, git)


def _forget_last_commit(repo: Repo, git: Git) -> None:
    git(repo.root, "reset", "-q", "--hard", "HEAD~1")
    git(repo.root, "reflog", "expire", "--expire=now", "--all")


def _on_remote_branch(repo: Repo, git: Git, md5: str) -> None:
    _in_branch(repo, git, md5)
    git(repo.root, "update-ref", "refs/remotes/origin/x", "HEAD")
    _forget_last_commit(repo, git)


def _in_reflog(repo: Repo, git: Git, md5: str) -> None:
    _in_branch(repo, git, md5)
    git(repo.root, "reset", "-q", "--hard", "HEAD~1")


def _in_stash(repo: Repo, git: Git, md5: str) -> None:
    (repo.root / "stashed.dvc").write_text(pointer(md5))
    git(repo.root, "stash", "-q", "-u")
    git(repo.root, "reflog", "expire", "--expire=now", "refs/heads/main", "HEAD")


def _in_index(repo: Repo, git: Git, md5: str) -> None:
    (repo.root / "staged.dvc").write_text(pointer(md5))
    git(repo.root, "add", "staged.dvc")
    (repo.root / "staged.dvc").write_text(pointer("0" * 32))


def _untracked(repo: Repo, git: Git, md5: str) -> None:
    (repo.root / "new.dvc").write_text(pointer(md5))


def _ignored(repo: Repo, git: Git, md5: str) -> None:
    (repo.root / ".gitignore").write_text("hidden/\n")
    (repo.root / "hidden").mkdir()
    _untracked(repo, git, "0" * 32)
    (repo.root / "hidden" / "new.dvc").write_text(pointer(md5))


def _in_conflict(repo: Repo, git: Git, md5: str) -> None:
    text = f"outs:\n<<<<<<< HEAD\n- md5: {'0' * 32}\n=======\n- md5: {md5}\n>>>>>>> x\n"
    (repo.root / "torn.dvc").write_text(text)


def _in_other_work_tree(repo: Repo, git: Git, md5: str) -> None:
    other = repo.root.parent / "other"
    git(repo.root, "worktree", "add", "-q", "--detach", str(other))
    (other / "new.dvc").write_text(pointer(md5))


def _artifact(repo: Repo, git: Git, md5: str) -> None:
    record(repo, "keeps", artifacts=[md5])


def _data_without_pointer(repo: Repo, git: Git, md5: str) -> None:
    record(repo, "reads", data=(Data("raw.csv", md5, 4),))


def _fetched_run(repo: Repo, git: Git, md5: str) -> None:
    ref = record(repo, "theirs", artifacts=[md5])
    git(repo.root, "update-ref", "refs/gittrack/in/theirs", ref.commit)
    git(repo.root, "update-ref", "-d", ref.full)


def _logged_by_live_run(repo: Repo, git: Git, md5: str) -> None:
    live = _live(repo)
    journal.Writer(live).append({"artifact": {"path": "m", "md5": md5, "size": 4}})


def _live(repo: Repo, started: float = 1e12, name: str = "live-aaaaaa") -> Path:
    directory = repo.state / "live" / name
    directory.mkdir(parents=True)
    begin = {"id": "1" * 32, "name": name, "started": started, "experiment": "default"}
    (directory / "begin").write_bytes(journal.frame(begin))
    return directory


def _read_by_live_run(repo: Repo, git: Git, md5: str) -> None:
    live = _live(repo)
    begin = {"started": 1e12, "data": [{"path": "raw.csv", "md5": md5, "size": 4}]}
    (live / "begin").write_bytes(journal.frame(begin))


def _in_snapshot_of_live_run(repo: Repo, git: Git, md5: str) -> None:
    _live(repo)
    tree = repo.write_tree({"new.dvc": (repo.write_blob(pointer(md5).encode()), 0o100644)})
    refs.hold_snapshot(repo, "live-aaaaaa", tree)


def _in_code_of_live_run(repo: Repo, git: Git, md5: str) -> None:
    """Between its beginning and its ref, or after a crash that took the ref."""
    tree = repo.write_tree({"new.dvc": (repo.write_blob(pointer(md5).encode()), 0o100644)})
    begin = {"started": 1e12, "tree": tree}
    (_live(repo) / "begin").write_bytes(journal.frame(begin))


def _lost_commit(repo: Repo, git: Git, md5: str) -> str:
    _in_branch(repo, git, md5)
    oid = git(repo.root, "rev-parse", "HEAD").strip()
    _forget_last_commit(repo, git)
    (repo.git_dir / "ORIG_HEAD").unlink(missing_ok=True)
    return oid


def _just_fetched(repo: Repo, git: Git, md5: str) -> None:
    """`git fetch URL BRANCH`, looked at before it is merged."""
    oid = _lost_commit(repo, git, md5)
    gone = f"{'1' * 40}\tnot-for-merge\tbranch 'y' of z\n"
    (repo.git_dir / "FETCH_HEAD").write_text(f"{gone}{oid}\t\tbranch 'x' of z\n")


def _in_other_work_trees_merge(repo: Repo, git: Git, md5: str) -> None:
    git(repo.root, "worktree", "add", "-q", "--detach", str(repo.root.parent / "merging"))
    oid = _lost_commit(repo, git, md5)
    (repo.common_dir / "worktrees" / "merging" / "MERGE_HEAD").write_text(f"{oid}\n")


CLAIMS = [
    _in_code_of_live_run,
    _just_fetched,
    _in_other_work_trees_merge,
    _in_branch,
    _in_lock_file,
    _in_history,
    _under_tag_alone,
    _on_remote_branch,
    _in_reflog,
    _in_stash,
    _in_index,
    _untracked,
    _ignored,
    _in_conflict,
    _in_other_work_tree,
    _artifact,
    _data_without_pointer,
    _fetched_run,
    _logged_by_live_run,
    _read_by_live_run,
    _in_snapshot_of_live_run,
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__[1:])
def test_what_is_named_anywhere_stays(repo: Repo, cache: Cache, git: Git, claim) -> None:
    """Whoever named it wants it back; the object beside it, which nobody names, goes."""
    wanted, forgotten = keep(cache, "wanted"), keep(cache, "forgotten")
    claim(repo, git, wanted)
    went = clean(repo)
    assert [item for item in went.items if item.kind == "object"] == [
        prune.Item("object", forgotten, len("forgotten"))
    ]
    assert here(cache) == {wanted}
    cache.check(wanted)


def test_a_directory_stays_whole_or_goes_whole(repo: Repo, cache: Cache, git, tmp_path) -> None:
    """Its files are named by its listing alone; the listing goes first, so none is ever a lie."""
    wanted = keep_directory(cache, tmp_path / "a", x="1", y="shared")
    forgotten = keep_directory(cache, tmp_path / "b", z="2", y="shared")
    _artifact(repo, git, wanted)
    went = [item.name for item in clean(repo).items]
    assert went[0] == forgotten and len(went) == 2
    assert here(cache) == {wanted, *(member.md5 for member in cache.members(wanted))}


def test_what_is_young_stays(repo: Repo, cache: Cache, until) -> None:
    """Somebody may be about to name it."""
    old = keep(cache, "old")

    def is_later() -> bool:
        keep(cache, "young")
        cache.discard(young)
        keep(cache, "young")
        return age("young") > age("old")

    def age(text: str) -> float:
        status = cache.path(keep_name(text)).stat()
        return max(status.st_mtime, status.st_ctime)

    young = keep_name("young")
    until(is_later)
    went = clean(repo, before=(age("old") + age("young")) / 2)
    assert [item.name for item in went.items] == [old]
    assert here(cache) == {young}


def keep_name(text: str) -> str:
    from hashlib import md5

    return md5(text.encode()).hexdigest()


def test_two_weeks_are_young_and_a_setting_says_otherwise(repo: Repo, cache: Cache, git) -> None:
    """As `gc.pruneExpire` does, and in its words."""
    keep(cache, "object")
    os.utime(cache.path(keep_name("object")), (0, 0))
    assert clean(repo, before=None).items == ()
    git(repo.root, "config", "track.gcGrace", "never")
    assert clean(Repo.open(repo.root), before=None).items == ()
    git(repo.root, "config", "track.gcGrace", "some day")
    with pytest.raises(UsageError):
        clean(Repo.open(repo.root), before=None)
    assert len(here(cache)) == 1
    git(repo.root, "config", "track.gcGrace", "now")
    assert len(clean(Repo.open(repo.root), before=None).items) == 1


def test_what_a_run_under_way_may_have_added_stays(repo: Repo, cache: Cache) -> None:
    """The first file of a large directory is there long before the directory is named."""
    began = time.time() - 60
    _live(repo, started=began)
    added = keep(cache, "added")
    assert [i for i in clean(repo).items if i.kind == "object"] == []
    assert here(cache) == {added}


def test_what_is_used_again_meanwhile_stays(repo: Repo, cache: Cache) -> None:
    """A run that begins after we have looked says so by a new time on the object."""
    again, forgotten = keep(cache, "again"), keep(cache, "forgotten")
    soon = time.time() + 30

    class Meanwhile:
        def start(self, what: str, total: int | None, unit: str = "B") -> None:
            if what == "removing":
                os.utime(cache.path(again), (soon + 60, soon + 60))

        def advance(self, count: int) -> None: ...

        def end(self) -> None: ...

    went = clean(repo, now=soon, meter=Meanwhile())
    assert [item.name for item in went.items] == [forgotten]
    assert here(cache) == {again}


def test_what_a_run_names_that_began_meanwhile_stays(repo: Repo, cache: Cache) -> None:
    """Its journal is read after the object was taken aside."""
    named, forgotten = keep(cache, "named"), keep(cache, "forgotten")

    class Meanwhile:
        def start(self, what: str, total: int | None, unit: str = "B") -> None:
            if what == "removing":
                journal = _live(repo) / "begin"
                journal.write_text(journal.read_text().replace("}", f', "x": "{named}"}}', 1))

        def advance(self, count: int) -> None: ...

        def end(self) -> None: ...

    went = clean(repo, meter=Meanwhile())
    assert [item.name for item in went.items] == [forgotten]
    assert here(cache) == {named}
    assert list(cache.leftovers()) == []


def test_what_a_killed_cleaning_had_taken_aside_comes_back(repo: Repo, cache: Cache, git) -> None:
    """A dry run changes nothing; a later cleaning puts it back if it is needed by then."""
    name = keep(cache, "object")
    child = os.fork()
    if not child:
        cache.discard(name, spare=lambda _: os._exit(0))
    os.waitpid(child, 0)
    _in_branch(repo, git, name)
    clean(repo, dry_run=True)
    assert here(cache) == set()
    clean(repo)
    assert here(cache) == {name}


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("after", range(5))
def test_interrupted_anywhere_nothing_needed_is_lost(
    repo: Repo, cache: Cache, git, tmp_path, after: int
) -> None:
    """And the next cleaning takes the rest."""
    wanted = keep_directory(cache, tmp_path / "a", x="1", y="shared")
    keep_directory(cache, tmp_path / "b", z="2", y="shared", w="3", v="4")
    _artifact(repo, git, wanted)
    before = len(here(cache))

    class Ends:
        left = -1

        def start(self, what: str, total: int | None, unit: str = "B") -> None:
            self.left = after if what == "removing" else -1

        def advance(self, count: int) -> None:
            self.left -= 1
            if self.left == -1:
                raise Interrupted

        def end(self) -> None: ...

    if after < 4:
        with pytest.raises(Interrupted):
            clean(repo, meter=Ends())
        assert len(here(cache)) == before - after - 1
    assert cache.missing([wanted]) == []
    for md5 in here(cache):
        if md5.endswith(".dir"):
            assert cache.missing([md5]) == []
    clean(repo)
    assert here(cache) == {wanted, *(member.md5 for member in cache.members(wanted))}


def test_half_written_objects_go(repo: Repo, cache: Cache) -> None:
    """What a killed writer left helps nobody."""
    half = cache.path(keep(cache, "object")).parent / f"{TEMPORARY}left"
    half.write_text("half")
    assert clean(repo, before=1.0).items == ()
    assert prune.Item("fragment", str(half), 4) in clean(repo).items
    assert not half.exists()


def test_what_a_killed_fetch_left_goes(repo: Repo, cache: Cache) -> None:
    """It may be many gigabytes, in a cache that nobody fetches into again."""
    left = cache.directory / ".fetching-left"
    left.mkdir(parents=True)
    (left / "part").write_text("half")
    assert clean(repo, before=1.0).items == ()
    assert prune.Item("fragment", str(left), 4) in clean(repo, dry_run=True).items
    assert left.exists()
    assert prune.Item("fragment", str(left), 4) in clean(repo).items
    assert not left.exists()


# -- refusing -----------------------------------------------------------------------------------


def _refused(
    repo: Repo, cache: Cache, match: str, error: type[GittrackError] = CannotClean
) -> None:
    before = here(cache) | {ref.full for ref in refs.all_runs(repo)}
    with pytest.raises(error, match=match) as caught:
        clean(repo)
    assert caught.value.hint
    assert here(cache) | {ref.full for ref in refs.all_runs(repo)} == before


def test_a_shallow_clone_is_not_cleaned(repo: Repo, git, tmp_path) -> None:
    """What its missing history names is not known."""
    git(tmp_path, "clone", "-q", "--depth=1", repo.root.as_uri(), "shallow")
    shallow = Repo.open(tmp_path / "shallow")
    cache = open_cache(shallow, setup.read(shallow))
    keep(cache, "object")
    _refused(shallow, cache, "shallow")


def test_a_clone_without_old_blobs_is_not_cleaned(repo: Repo, git, tmp_path) -> None:
    """Nor is what they name; and asking the remote for each would take for ever."""
    _in_history(repo, git, "1" * 32)
    git(repo.root, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", repo.root.as_uri(), "partial")
    partial = Repo.open(tmp_path / "partial")
    cache = open_cache(partial, setup.read(partial))
    keep(cache, "object")
    _refused(partial, cache, "deep/er/data.dvc.*missing")


@pytest.mark.parametrize("lost", ["HEAD", "HEAD:deep", "HEAD:deep/er/data.dvc"])
def test_a_damaged_repository_is_not_cleaned(repo: Repo, cache: Cache, git, lost: str) -> None:
    """Neither where a commit, nor a tree, nor a pointer is missing."""
    keep(cache, "object")
    _in_branch(repo, git, "1" * 32)
    oid = git(repo.root, "rev-parse", lost).strip()
    git(repo.root, "update-ref", "refs/runs/default/lost-aaaaaa", "HEAD")
    git(repo.root, "reset", "-q", "--hard", "HEAD~1")
    git(repo.root, "reflog", "expire", "--expire=now", "--all")
    (repo.common_dir / "objects" / oid[:2] / oid[2:]).unlink()
    _refused(Repo.open(repo.root), cache, "cannot be known")


def test_a_torn_ref_is_no_lost_claim(repo: Repo, cache: Cache) -> None:
    """Git leaves it out of its lists; what it pointed to it may still want."""
    keep(cache, "object")
    (repo.common_dir / "refs" / "heads" / "torn").write_bytes(b"")
    _refused(repo, cache, "refs/heads/torn is broken")


def test_a_damaged_listing_stops_the_cleaning(repo: Repo, cache: Cache, git, tmp_path) -> None:
    """Which files the directory has is not known any more."""
    md5 = keep_directory(cache, tmp_path / "a", x="1")
    _artifact(repo, git, md5)
    cache.path(md5).chmod(0o644)
    cache.path(md5).write_text("[]")
    _refused(repo, cache, md5)


def test_a_listing_that_is_not_here_does_not(repo: Repo, cache: Cache, git, tmp_path) -> None:
    """In a clone that never fetched that directory: it is not whole here whatever we do."""
    _artifact(repo, git, "1" * 32 + ".dir")
    keep(cache, "forgotten")
    assert len(clean(repo).items) == 1


def test_a_cache_that_others_may_use_is_cleaned_only_if_told(
    repo: Repo, cache: Cache, git, tmp_path
) -> None:
    """Their pointers are in repositories that we do not know."""
    outside = tmp_path / "team"
    (repo.root / ".dvc").mkdir()
    (repo.root / ".dvc" / "config").write_text(f"[cache]\n    dir = {outside}\n")
    cache = open_cache(repo, setup.read(repo))
    assert cache.directory == outside
    forgotten = keep(cache, "theirs")
    _refused(repo, cache, "outside of this repository")
    assert [item.name for item in clean(repo, shared=True).items] == [forgotten]


@pytest.mark.parametrize("setting", ["config", "config.local"])
def test_a_cache_that_a_repository_inside_uses_is_cleaned_only_if_told(
    repo: Repo, cache: Cache, git, setting: str
) -> None:
    """What a submodule's pointers name, no commit of this repository names."""
    forgotten = keep(cache, "theirs")
    inner = repo.root / "deep" / "sub"
    (inner / ".dvc").mkdir(parents=True)
    git(inner, "init", "-q")
    (inner / ".dvc" / "config").write_text("")
    assert [item.name for item in clean(repo, dry_run=True).items] == [forgotten]
    there = os.path.relpath(cache.directory, inner / ".dvc")
    (inner / ".dvc" / setting).write_text(f"[cache]\n    dir = {there}\n")
    _refused(repo, cache, "deep/sub' uses the same cache")
    assert [item.name for item in clean(repo, shared=True).items] == [forgotten]


def test_a_cache_behind_a_symlink_is_seen_as_outside(repo: Repo, tmp_path) -> None:
    """It is where it leads to that others use."""
    (tmp_path / "team").mkdir()
    (repo.root / ".dvc").mkdir()
    (repo.root / ".dvc" / "config").write_text("")
    (repo.root / ".dvc" / "cache").symlink_to(tmp_path / "team")
    cache = open_cache(repo, setup.read(repo))
    keep(cache, "theirs")
    _refused(repo, cache, "outside of this repository")


def test_dvc_at_work_is_waited_for(repo: Repo) -> None:
    """It puts objects into the cache before it writes the pointers."""
    (repo.root / ".dvc" / "tmp").mkdir(parents=True)
    (repo.root / ".dvc" / "config").write_text("")
    cache = open_cache(repo, setup.read(repo))
    keep(cache, "new")
    with open(repo.root / ".dvc" / "tmp" / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _refused(repo, cache, "DVC is at work")
    assert len(clean(repo).items) == 1


def test_dvc_waits_for_us(repo: Repo, cache: Cache, git) -> None:
    """The same lock, taken as DVC itself takes it."""
    zc = pytest.importorskip("zc.lockfile")
    (repo.root / ".dvc").mkdir()
    (repo.root / ".dvc" / "config").write_text("")
    keep(open_cache(repo, setup.read(repo)), "object")
    tried = []

    class Meanwhile:
        def start(self, what: str, total: int | None, unit: str = "B") -> None:
            with pytest.raises(zc.LockError):
                zc.LockFile(str(repo.root / ".dvc" / "tmp" / "lock"))
            tried.append(what)

        def advance(self, count: int) -> None: ...

        def end(self) -> None: ...

    clean(repo, meter=Meanwhile())
    assert tried
    zc.LockFile(str(repo.root / ".dvc" / "tmp" / "lock")).close()


def test_two_cleanings_do_not_meet(repo: Repo, cache: Cache) -> None:
    """What one has looked at the other must not change."""
    keep(cache, "object")
    repo.state.mkdir(exist_ok=True)
    program = (
        "import fcntl, os, sys\n"
        "h = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "fcntl.lockf(h, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(repo.state / "gc.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        _refused(repo, cache, "another", WriteFailed)
        assert clean(repo, dry_run=True).items
        other.communicate()
    assert clean(repo).items


def test_a_run_whose_beginning_is_unknown_stops_it(repo: Repo, cache: Cache) -> None:
    """Since when it may have added objects is unknown, too."""
    keep(cache, "object")
    (_live(repo) / "begin").write_bytes(b"torn")
    _refused(repo, cache, "cannot be read")


# -- runs and what they leave -------------------------------------------------------------------


def test_a_deleted_run_goes_after_a_while_with_its_data(repo: Repo, cache: Cache) -> None:
    """The while begins when this clone first sees it deleted: an event's time may be anything."""
    md5 = keep(cache, "its model")
    stays, goes = record(repo, "stays"), record(repo, "goes", artifacts=[md5])
    now = time.time() + 60
    say(repo, goes, "delete")
    two_weeks = {"before": now - 14 * DAY, "now": now}
    first = clean(repo, **two_weeks)
    assert first.items == () and "1 deleted run, until" in first.kept[0]
    later = clean(repo, before=now - 1, now=now + 14 * DAY - 1)
    assert later.items == ()
    assert {ref.name for ref in refs.all_runs(repo)} == {stays.name, goes.name}
    done = clean(repo, before=now + 1, now=now + 14 * DAY + 1)
    assert {(item.kind, item.name) for item in done.items} == {
        ("run", goes.short),
        ("object", md5),
    }
    assert refs.all_runs(repo) == [stays]


def test_a_run_that_was_restored_begins_anew(repo: Repo) -> None:
    """Deleted, restored, deleted: the first time does not count."""
    ref = record(repo, "back")
    say(repo, ref, "delete")
    now = time.time()
    clean(repo, before=0, now=now)
    say(repo, ref, "restore")
    clean(repo, before=0, now=now + 1)
    say(repo, ref, "delete")
    assert clean(repo, before=now + 10, now=now + 20).items == ()
    assert len(clean(repo, before=now + 30, now=now + 40).items) == 1


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b'{"a": "b"}', b'{"a": {}}', b"[" * 99999])
def test_a_damaged_memory_begins_anew(repo: Repo, garbage: bytes) -> None:
    """It keeps too long rather than too short."""
    ref = record(repo, "x")
    say(repo, ref, "delete")
    now = time.time()
    clean(repo, before=0, now=now)
    (repo.state / "deleted").write_bytes(garbage)
    assert clean(repo, before=now + 10, now=now + 20).items == ()
    assert len(clean(repo, before=now + 30, now=now + 40).items) == 1


def test_a_clock_that_was_ahead_keeps_nothing_for_ever(repo: Repo) -> None:
    """A mark of the year 2099 is one of now."""
    ref = record(repo, "x")
    say(repo, ref, "delete")
    now = time.time()
    clean(repo, before=0, now=now + 1e9)
    assert clean(repo, before=now, now=now).items == ()
    assert len(clean(repo, before=now + 1, now=now + 2).items) == 1


def _input(ref: RunRef, repo: Repo) -> Input:
    return Input(ref.name, commits.load(repo, ref).id, ref.commit, "model0")


def test_an_input_of_a_run_that_stays_stays(repo: Repo, cache: Cache) -> None:
    """Over any distance: else the lineage of what is in use would lead nowhere."""
    md5 = keep(cache, "loaded")
    load = record(repo, "load", artifacts=[md5])
    process = record(repo, "process", inputs=(_input(load, repo),))
    train = record(repo, "train", inputs=(_input(process, repo),))
    say(repo, load, "delete")
    say(repo, process, "delete")
    clean(repo, before=0)
    went = clean(repo, now=time.time() + 90)
    assert went.items == () and len(went.kept) == 2 and here(cache) == {md5}
    say(repo, train, "delete")
    clean(repo, before=0)
    went = clean(repo, now=time.time() + 120)
    assert [item.kind for item in went.items] == ["run", "run", "run", "object"]


def test_an_input_of_a_run_under_way_stays(repo: Repo) -> None:
    """It is not recorded yet, and will name it."""
    load = record(repo, "load")
    say(repo, load, "delete")
    clean(repo, before=0)
    given = _input(load, repo)
    begin = {"started": 1.0, "inputs": [{"run": given.run, "id": given.id, "commit": given.commit}]}
    (_live(repo) / "begin").write_bytes(journal.frame(begin))
    assert [i for i in clean(repo, now=time.time() + 90).items if i.kind == "run"] == []


@pytest.mark.parametrize("ref", ["refs/tags/wine@v1", "refs/heads/kept"])
def test_a_run_that_a_tag_points_to_stays(repo: Repo, git, ref: str) -> None:
    """A version in the registry is such a tag."""
    run = record(repo, "model")
    say(repo, run, "delete")
    clean(repo, before=0)
    git(repo.root, "update-ref", ref, run.commit)
    assert clean(repo, now=time.time() + 90).items == ()
    git(repo.root, "update-ref", "-d", ref)
    git(repo.root, "tag", "-a", "-m", "annotated", "t", run.commit)
    assert clean(repo, now=time.time() + 90).items == ()
    git(repo.root, "tag", "-d", "t")
    assert len(clean(repo, now=time.time() + 90).items) == 1


def test_snapshots_of_runs_that_are_over_go(repo: Repo) -> None:
    """A crash between the ref and the run's directory leaves one; those under way are held."""
    tree = repo.empty_tree()
    for name in ("over-aaaaaa", "live-aaaaaa", "soon-aaaaaa"):
        refs.hold_snapshot(repo, name, tree)
    _live(repo)
    session = sessions.Session.open(repo.state, "soon-aaaaaa")
    went = clean(repo, data=False)
    assert went.items == (prune.Item("snapshot", refs.SNAPSHOTS + "over-aaaaaa"),)
    assert {ref.name for ref in repo.refs(refs.SNAPSHOTS)} == {
        refs.SNAPSHOTS + "live-aaaaaa",
        refs.SNAPSHOTS + "soon-aaaaaa",
    }
    session.end()


def test_whole_outputs_of_runs_that_are_gone_go(repo: Repo) -> None:
    """Those of runs that are there are kept: the record has only parts of them."""
    stays, goes = record(repo, "stays"), record(repo, "goes")
    (repo.state / "output").mkdir(parents=True)
    places = [
        repo.state / "output" / f"{name}.log" for name in ("never-aaaaaa", stays.name, goes.name)
    ]
    for place in places:
        place.write_text("long")
    say(repo, goes, "delete")
    assert clean(repo, data=False, before=0).items == ()
    went = clean(repo, data=False, now=time.time() + 90)
    assert [item.kind for item in went.items] == ["run", "output", "output"]
    assert [place.exists() for place in places] == [False, True, False]


def test_old_memories_go(repo: Repo) -> None:
    """They are made again when needed; the index of now is in use."""
    record(repo, "x")
    (repo.state / "cache").mkdir(parents=True, exist_ok=True)
    gone = [repo.state / "cache" / "0a.json", repo.state / "index-1.sqlite"]
    kept = [repo.state / "index-2.sqlite", repo.state / "git-version"]
    for path in (*gone, *kept):
        path.write_text("x")
    assert clean(repo, data=False, before=1.0).items == ()
    assert [item.kind for item in clean(repo, data=False).items] == ["memory", "memory"]
    assert [path.exists() for path in (*gone, *kept)] == [False, False, True, True]


def test_a_dry_run_says_the_same_and_does_nothing(
    repo: Repo, cache: Cache, state_of, tmp_path
) -> None:
    """Down to the last byte and file of gittrack's own."""
    md5 = keep(cache, "its model")
    goes = record(repo, "goes", artifacts=[md5])
    keep_directory(cache, tmp_path / "a", x="1")
    say(repo, goes, "delete")
    clean(repo, before=0)
    refs.hold_snapshot(repo, "over-aaaaaa", repo.empty_tree())

    def everything() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in repo.common_dir.rglob("*")
            if path.is_file() and "objects" not in path.relative_to(repo.common_dir).parts[:1]
        }

    now = time.time() + 90
    before, work_tree = everything(), state_of(repo.root)
    would = clean(repo, dry_run=True, now=now)
    assert everything() == before and state_of(repo.root) == work_tree
    assert [item.kind for item in would.items] == ["run", "snapshot"] + ["object"] * 3
    assert clean(repo, now=now) == would
    assert state_of(repo.root) == work_tree
    assert clean(repo, now=now).items == ()


def test_a_directory_that_was_kept_in_the_git_directory_is_cleaned_too(
    repo: Repo, cache: Cache
) -> None:
    """What was there before DVC was set up counts, wherever it lies."""
    keep(cache, "before")
    (repo.root / ".dvc").mkdir()
    (repo.root / ".dvc" / "config").write_text("")
    keep(open_cache(repo, setup.read(repo)), "after")
    assert {item.name for item in clean(repo).items} == {keep_name("before"), keep_name("after")}


def test_nothing_to_clean_is_cheap_and_harmless(every_repo) -> None:
    """In every kind of repository, before the first run."""
    repo = Repo.open(every_repo.path)
    assert prune.gc(repo, data=True, now=time.time()).items == ()
    keep(open_cache(repo, setup.read(repo)), "object")
    if every_repo.kind != "shallow":
        assert len(clean(repo).items) == 1


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("graphs")
    yield root


@settings(max_examples=12, deadline=None)
@given(
    edges=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=10),
    deleted=st.sets(st.integers(0, 5)),
)
def test_of_any_graph_what_stays_keeps_its_inputs_and_data(
    graphs: Path, git: Git, edges: set[tuple[int, int]], deleted: set[int]
) -> None:
    """Runs, their inputs and their artifacts go together or not at all."""
    root = graphs / "repo"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    git(root, "init", "-q")
    repo = Repo.open(root)
    repo.sync(False)
    git(root, "config", "track.fsync", "false")
    cache = open_cache(repo, setup.read(repo))
    md5s = [keep(cache, str(number)) for number in range(6)]
    made: list[RunRef] = []
    for number in range(6):
        inputs = [_input(made[low], repo) for low, high in sorted(edges) if low < high == number]
        made.append(record(repo, f"r{number}", artifacts=[md5s[number]], inputs=tuple(inputs)))
    for number in deleted:
        say(repo, made[number], "delete")
    clean(repo, before=0)
    clean(repo, now=time.time() + 90)
    needed = set(range(6)) - deleted
    for low, high in sorted(edges, key=lambda edge: -edge[1]):
        if low < high and high in needed:
            needed.add(low)
    assert set(refs.all_runs(repo)) == {made[number] for number in needed}
    assert here(cache) == {md5s[number] for number in needed}
