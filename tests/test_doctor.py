"""The doctor finds what was planted, says what mends it, and finds nothing in good health."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import remotes
from gittrack import commits, data, doctor, refs, setup
from gittrack.cache import Cache, open_cache
from gittrack.cli.doctor import doctor as command
from gittrack.cli.main import VERBS
from gittrack.git import Identity, Repo
from gittrack.records import Artifact, Code, Run
from gittrack.refs import RunRef
from in_process import track_here


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


ADA = Identity("Ada Lovelace", "ada@example.org")
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
Git = Callable[..., str]


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    opened = Repo.open(repo_dir)
    opened.sync(False)
    return opened


def record(repo: Repo, name: str, *md5s: str, ended: datetime = NOON) -> RunRef:
    kept = tuple(Artifact(f"model{number}", md5, 4) for number, md5 in enumerate(md5s))
    base = repo.head()[0]
    run = Run(
        id=os.urandom(16).hex(),
        name=f"{name}-aaaaaa",
        experiment="default",
        status="finished",
        started=NOON,
        ended=ended,
        code=Code(base=base),
        artifacts=kept,
    )
    tree = repo.read_commit(base).tree if base else repo.empty_tree()
    return commits.write(repo, run, tree=tree, author=ADA)


def examined(repo: Repo, **options: object) -> list[doctor.Finding]:
    given = {"now": time.time(), **options}
    return list(doctor.examine(Repo.open(repo.root or repo.git_dir), **given))  # type: ignore[arg-type]


def ills(repo: Repo, **options: object) -> list[doctor.Finding]:
    return [one for one in examined(repo, **options) if one.severity != "ok"]


def begin_dvc(repo: Repo, config: str = "") -> None:
    assert repo.root is not None
    (repo.root / ".dvc").mkdir()
    (repo.root / ".dvc" / "config").write_text(config)


# -- good health --------------------------------------------------------------------------------


def test_in_good_health_nothing_is_said(every_repo) -> None:
    """In every kind of repository: a doctor who always finds something is not asked again."""
    repo = Repo.open(every_repo.path)
    record(repo, "x")
    assert ills(repo) == []
    assert len({one.what for one in examined(repo)}) == len(examined(repo)) >= 4


def test_a_bare_repository_is_in_good_health(bare_dir: Path) -> None:
    """It has no work tree, and needs no DVC in it."""
    repo = Repo.open(bare_dir)
    record(repo, "x")
    assert ills(repo) == []


# -- what is planted ----------------------------------------------------------------------------


def _mirror(repo: Repo, git: Git) -> None:
    git(repo.root, "config", "remote.hub.mirror", "true")


def _pruning_fetch(repo: Repo, git: Git) -> None:
    git(repo.root, "config", "--add", "remote.hub.fetch", "+refs/heads/*:refs/remotes/hub/*")
    git(repo.root, "config", "--add", "remote.hub.fetch", "refs/runs/*:refs/runs/*")
    git(repo.root, "config", "--add", "remote.hub.fetch", "+refs/tags/*:refs/tags/*")
    git(repo.root, "config", "fetch.prune", "true")


def _notes_fetch(repo: Repo, git: Git) -> None:
    git(repo.root, "config", "remote.a.b.fetch", "+refs/notes/*:refs/notes/*")


def _forced_push(repo: Repo, git: Git) -> None:
    git(repo.root, "config", "remote.hub.push", "+refs/*:refs/*")


def _prune_now(repo: Repo, git: Git) -> None:
    git(repo.root, "config", "gc.pruneExpire", "now")


def _no_fsync(repo: Repo, git: Git) -> None:
    git(repo.root, "config", "track.fsync", "false")


def _bad_snapshot(repo: Repo, git: Git) -> None:
    git(repo.root, "config", "track.snapshot", "everything")


def _bad_grace(repo: Repo, git: Git) -> None:
    git(repo.root, "config", "track.gcGrace", "soon")


def _bad_flag(repo: Repo, git: Git) -> None:
    git(repo.root, "config", "track.sign", "perhaps")


def _hook(repo: Repo, git: Git) -> None:
    hook = repo.git_dir / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)


def _torn_ref(repo: Repo, git: Git) -> None:
    (repo.common_dir / "refs/runs/default/torn-aaaaaa").write_bytes(b"")


def _odd_name(repo: Repo, git: Git) -> None:
    git(repo.root, "update-ref", "refs/runs/default/deeper/x", record(repo, "y").commit)


def _no_record(repo: Repo, git: Git) -> None:
    message = "x: finished\n\nGittrack-Run: 1\nRun-Id: " + "1" * 32 + "\n"
    commit = git(repo.root, "commit-tree", "-m", message, "HEAD^{tree}").strip()
    git(repo.root, "update-ref", "refs/runs/default/empty-aaaaaa", commit)


def _unreadable_live(repo: Repo, git: Git) -> None:
    (repo.state / "live" / "odd-aaaaaa").mkdir(parents=True)


def _notes_in_the_way(repo: Repo, git: Git) -> None:
    git(repo.root, "update-ref", "refs/notes/runs", "HEAD")


def _damaged_note(repo: Repo, git: Git) -> None:
    line = f"1 {'a' * 32} {'b' * 32} {{torn"
    git(repo.root, "notes", "--ref=runs/ada", "add", "-m", line, record(repo, "z").commit)


def _torn_tag(repo: Repo, git: Git) -> None:
    (repo.common_dir / "refs/tags/eu").mkdir()
    (repo.common_dir / "refs/tags/eu/churn#production#1").write_bytes(b"\0" * 41)


def _broken_tag(repo: Repo, git: Git) -> None:
    git(repo.root, "tag", "-a", "-m", "x", "churn@v1.0.0")
    tag = git(repo.root, "rev-parse", "churn@v1.0.0").strip()
    (repo.common_dir / "objects" / tag[:2] / tag[2:]).unlink()


def _damaged_description(repo: Repo, git: Git) -> None:
    git(repo.root, "tag", "-a", "-m", "x", "churn@v1.0.0")
    line = f"1 {'a' * 32} {'b' * 32} {{torn"
    git(repo.root, "notes", "--ref=models/ada", "add", "-m", line, "churn@v1.0.0")


def _clock(repo: Repo, git: Git) -> None:
    record(repo, "later", ended=datetime(2190, 1, 1, tzinfo=timezone.utc))


def _kept_without_dvc(repo: Repo, git: Git) -> None:
    md5 = open_cache(repo, setup.read(repo)).add_bytes(b"model").md5
    record(repo, "keeps", md5)


def _nowhere(repo: Repo, git: Git) -> None:
    begin_dvc(repo)
    open_cache(repo, setup.read(repo)).add_bytes(b"another")
    record(repo, "keeps", "1" * 32)


def _no_cache(repo: Repo, git: Git) -> None:
    begin_dvc(repo, "[cache]\n    dir = /nowhere/at/all\n")
    record(repo, "keeps", "1" * 32)


def _cache_in_a_file(repo: Repo, git: Git) -> None:
    begin_dvc(repo, "[cache]\n    dir = ../train.py\n")


def _links(repo: Repo, git: Git) -> None:
    begin_dvc(repo, "[cache]\n    type = hardlink,symlink\n")
    open_cache(repo, setup.read(repo)).add_bytes(b"model")


def _left_behind(repo: Repo, git: Git) -> None:
    open_cache(repo, setup.read(repo)).add_bytes(b"model")
    begin_dvc(repo)


def _broken_config(repo: Repo, git: Git) -> None:
    begin_dvc(repo, "[cache\n")


def _no_such_remote(repo: Repo, git: Git) -> None:
    begin_dvc(repo, "[core]\n    remote = gone\n")


def _no_content(repo: Repo, git: Git) -> None:
    begin_dvc(repo)
    text = f"outs:\n- md5: {'a1' * 16}\n  size: 4\n  hash: md5\n  path: raw.csv\n"
    (repo.root / "raw.csv.dvc").write_text(text)
    git(repo.root, "add", "raw.csv.dvc")


def _bad_pointer(repo: Repo, git: Git) -> None:
    begin_dvc(repo)
    (repo.root / "raw.csv.dvc").write_text("outs: [\n")
    git(repo.root, "add", "raw.csv.dvc")


PLANTED = [
    (_mirror, "wrong", "hub is a mirror", "git config --unset remote.hub.mirror"),
    (_pruning_fetch, "wrong", "'refs/runs/*:refs/runs/*' deletes", "remote.hub.prune false"),
    (_notes_fetch, "risky", "overwrites notes on runs", "remote.a.b.fetch"),
    (_forced_push, "risky", "overwrites runs there", "remote.hub.push"),
    (_prune_now, "risky", "gc.pruneExpire", "gc.pruneExpire 2.weeks.ago"),
    (_no_fsync, "risky", "track.fsync is off", "--unset track.fsync"),
    (_bad_snapshot, "wrong", "'everything'", "track.snapshot all"),
    (_bad_grace, "wrong", "'soon' for 'track.gcGrace'", "2.weeks.ago"),
    (_bad_flag, "wrong", "track.sign", "true or false"),
    (_hook, "risky", "reference-transaction", "refs/runs/"),
    (_torn_ref, "wrong", "torn-aaaaaa: a broken ref", "rm /"),
    (_odd_name, "wrong", "refs/runs/default/deeper/x", None),
    (_no_record, "wrong", "runs/default/empty-aaaaaa", "git show"),
    (_unreadable_live, "wrong", "odd-aaaaaa", "rm -r /"),
    (_notes_in_the_way, "wrong", "refs/notes/runs is in the way", "git update-ref"),
    (_damaged_note, "risky", "a damaged event", "git notes"),
    (_torn_tag, "wrong", "refs/tags/eu/churn#production#1: a broken ref", "rm '/"),
    (_broken_tag, "wrong", "refs/tags/churn@v1.0.0: it cannot be read", "git fsck"),
    (_damaged_description, "risky", "models/ada: a damaged event", "git notes --ref=models/"),
    (_clock, "risky", "later-aaaaaa ended 2190", "timedatectl"),
    (_kept_without_dvc, "risky", "1 run keeps artifacts and DVC is not set up", "git track init"),
    (_kept_without_dvc, "risky", "no data remote is set: 5 B of 1 run", "git track init"),
    (_nowhere, "wrong", "1 artifact of 1 run (keeps-aaaaaa) are not in the cache", "dvc remote"),
    (_nowhere, "note", "never run `dvc gc` here: it deletes the artifacts of 1 run;", None),
    (_no_cache, "wrong", "'/nowhere/at/all' is not there, nor is '/nowhere/at'", "mkdir -p "),
    (_cache_in_a_file, "wrong", "'{root}/train.py' cannot be written", "ls -ld "),
    (_links, "risky", "hardlink and symlink", "dvc config --unset cache.type"),
    (_left_behind, "risky", "are still to be moved", "git track init"),
    (_broken_config, "wrong", "config, line 1", "dvc config --list"),
    (_no_such_remote, "wrong", "the default data remote 'gone' has no URL", "-d gone URL"),
    (_no_content, "risky", "('raw.csv'): neither here nor in cache", "dvc pull"),
    (_bad_pointer, "wrong", "raw.csv.dvc", None),
]


@pytest.mark.parametrize(("plant", "severity", "what", "mend"), PLANTED)
def test_what_is_planted_is_found(
    repo: Repo, git: Git, plant, severity: str, what: str, mend: str | None
) -> None:
    """Once, as bad as it is, and with a way out."""
    record(repo, "good")
    assert ills(repo) == []
    plant(repo, git)
    [found] = [one for one in ills(repo) if what.format(root=repo.root) in one.what]
    assert found.severity == severity
    assert mend is None or (found.mend is not None and mend in found.mend)
    assert "\n" not in found.what


MENDED = [_mirror, _pruning_fetch, _notes_fetch, _forced_push, _prune_now, _no_fsync, _torn_ref]
MENDED += [_bad_snapshot, _unreadable_live, _notes_in_the_way, _torn_tag]


@pytest.mark.parametrize("plant", MENDED)
def test_what_mends_it_mends_it(repo: Repo, git: Git, plant) -> None:
    """The command is typed as it is printed."""
    record(repo, "good")
    plant(repo, git)
    [found] = ills(repo)
    assert found.mend is not None
    words = found.mend.split(" and fetch")[0]
    subprocess.run(words, shell=True, cwd=repo.root, check=True)
    assert ills(repo) == []


@pytest.mark.parametrize(
    "there", [(), ("config.local",), ("cache",), ("config.local", "cache")], ids=" and ".join
)
def test_one_cache_for_all_work_trees(repo_dir: Path, git: Git, there: tuple[str, ...]) -> None:
    """In a linked work tree DVC uses one of its own, until it is told; nothing in it is lost."""
    linked = repo_dir.parent / "linked"
    git(repo_dir, "worktree", "add", "-q", str(linked))
    main, repo = Repo.open(repo_dir), Repo.open(linked)
    begin_dvc(main)
    assert ills(repo) == []
    begin_dvc(repo)
    if "config.local" in there:
        (linked / ".dvc" / "config.local").write_text("[core]\n    autostage = true\n")
    if "cache" in there:
        held = Cache(linked / ".dvc" / "cache").add_bytes(b"added there").md5
    [found] = ills(repo)
    assert found.severity == "wrong" and f"'{repo_dir}/.dvc/cache'" in found.what
    subprocess.run(str(found.mend), shell=True, cwd=linked, check=True, env=_programs_at_hand())
    assert ills(repo) == []
    assert setup.read(repo).cache == setup.read(main).cache == repo_dir / ".dvc" / "cache"
    if "cache" in there:
        open_cache(main, setup.read(main)).check(held)


def _programs_at_hand() -> dict[str, str]:
    """An environment in which `git track` and `dvc` are those that are tested."""
    own = os.path.dirname(sys.executable)
    return {**os.environ, "PATH": f"{own}{os.pathsep}{os.environ['PATH']}"}


def test_a_cache_that_is_not_there_yet_is_no_fault(repo: Repo, git: Git, track) -> None:
    """A fresh clone has none: the first `get` or run makes it."""
    remote = "[core]\n    remote = hub\n['remote \"hub\"']\n    url = /srv/data\n"
    begin_dvc(repo, remote)
    record(repo, "keeps", "1" * 32)
    assert [one.severity for one in ills(repo)] == ["note"]
    assert f"'{setup.read(repo).cache}' is made when" in "".join(one.what for one in examined(repo))
    (repo.root / ".dvc" / "config").write_text(f"{remote}[cache]\n    dir = {repo.root}-data\n")
    assert [one.severity for one in ills(repo)] == ["note"]
    said = track(repo.root, "doctor", check=0).stdout.splitlines()
    assert len(said) == 2 and said[0].startswith("note: never run `dvc gc` here: ")
    assert said[1] == "nothing is wrong"


def test_a_run_that_waits_is_said_with_its_reason(repo: Repo, git: Git, track) -> None:
    """It has ended and cannot be recorded, here for want of a key."""
    git(repo.root, "config", "commit.gpgSign", "true")
    git(repo.root, "config", "gpg.program", "false")
    track(repo.root, "run", "--name", "waits", "--", "true")
    [found] = ills(repo)
    assert found.severity == "wrong" and found.what.startswith("waits-")
    assert "has ended and waits to be recorded" in found.what
    git(repo.root, "config", "commit.gpgSign", "false")
    assert ills(repo) == []
    assert [ref.name[:5] for ref in refs.all_runs(repo)] == ["waits"]


def test_a_broken_configuration_is_said_once(repo: Repo, git: Git) -> None:
    """Though every check about data stumbles over it; the others go on."""
    _broken_config(repo, git)
    _mirror(repo, git)
    assert len(ills(repo)) == 2


def spoil(cache: Cache, md5: str) -> None:
    """Another content of the same size, read-only as DVC leaves its objects."""
    place = cache.path(md5)
    size = place.stat().st_size
    place.chmod(0o644)
    place.write_bytes(b"x" * size)
    place.chmod(0o444)


def deeply(repo: Repo) -> list[doctor.Finding]:
    """What only a deep look finds."""
    known = examined(repo)
    return [one for one in examined(repo, deep=True) if one not in known]


def mend(repo: Repo, finding: doctor.Finding) -> None:
    subprocess.run(
        str(finding.mend), shell=True, cwd=repo.root, check=True, env=_programs_at_hand()
    )


def test_a_deep_look_finds_a_damaged_object(repo: Repo, tmp_path: Path) -> None:
    """The only copy there is may be damaged: what is said deletes nothing, and names the run."""
    made = remotes.fill(tmp_path / "made", {"a": "inner", "b": "other"})
    cache = open_cache(repo, setup.read(repo))
    good, whole = cache.add_bytes(b"good").md5, cache.add(made).md5
    bad = cache.members(whole)[0].md5
    ref = record(repo, "keeps", good, whole)
    spoil(cache, bad)
    [damaged, ok] = deeply(repo)
    assert damaged.severity == "wrong" and bad in damaged.what and ok.severity == "ok"
    first, _, second = str(damaged.mend).partition(", then ")
    assert first.startswith("chmod u+w /") and f"run the step of {ref.name} again" in second
    subprocess.run(first, shell=True, check=True)
    assert cache.path(bad).read_bytes() == b"xxxxx"
    cache.add(made)
    assert [one.severity for one in deeply(repo)] == ["ok"]


def test_damaged_data_that_no_run_kept_is_said_too(repo: Repo) -> None:
    """`dvc add` stored it."""
    cache = open_cache(repo, setup.read(repo))
    bad = cache.add_bytes(b"raw").md5
    spoil(cache, bad)
    assert "`dvc add` the file again" in str(deeply(repo)[0].mend)


@pytest.fixture
def store(repo: Repo, tmp_path: Path) -> Path:
    """A directory as data remote."""
    remotes.set_up(repo.root or tmp_path, remotes.directory_config(tmp_path / "store"))
    return tmp_path / "store"


def test_a_damaged_object_comes_back_from_the_data_remote(
    repo: Repo, store: Path, tmp_path: Path
) -> None:
    """By the command as it is printed; what a run kept, and what only a pointer names."""
    # Every object is of the size that `record` says.
    made = remotes.fill(tmp_path / "made", {"a": "in", "b": "ou"})
    cache = open_cache(repo, setup.read(repo))
    kept, raw = cache.add_bytes(b"kept").md5, cache.add_bytes(b"raw").md5
    whole = cache.add(made).md5
    inner = cache.members(whole)[0].md5
    text = f"outs:\n- md5: {raw}\n  size: 3\n  hash: md5\n  path: raw.csv\n"
    (repo.root / "raw.csv.dvc").write_text(text)
    record(repo, "keeps", kept, whole)
    data.send(repo, setup.read(repo), [kept, raw, whole])
    for md5 in (kept, raw, whole, inner):
        spoil(cache, md5)
        [damaged] = [one for one in deeply(repo) if one.severity != "ok"]
        assert md5 in damaged.what
        mend(repo, damaged)
        cache.check(md5)


def test_a_damaged_object_that_the_data_remote_lacks_stays(repo: Repo, store: Path) -> None:
    """A remote that is set does not mean that it has everything."""
    cache = open_cache(repo, setup.read(repo))
    bad = cache.add_bytes(b"kept").md5
    record(repo, "keeps", bad)
    spoil(cache, bad)
    assert "run the step of keeps-aaaaaa again" in str(deeply(repo)[0].mend)


def test_a_deep_look_asks_the_data_remote(repo: Repo, track, store: Path) -> None:
    """It may lack what only this disk has; without --deep that is said to who wants to know."""
    md5 = open_cache(repo, setup.read(repo)).add_bytes(b"model").md5
    record(repo, "keeps", md5)
    known = [one.what for one in examined(repo)]
    assert "whether data remote 'store' has what runs kept, only --deep asks" in known
    [found] = [one for one in deeply(repo) if one.about == "data"]
    assert found == doctor.Finding(
        "risky",
        "data",
        "data remote 'store' lacks 1 object (5 B) of runs: there is nothing at its address",
        "git track send --all",
    )
    mend(repo, found)
    [found] = [one for one in deeply(repo) if one.about == "data"]
    assert found == doctor.Finding("ok", "data", "data remote 'store' has what runs kept and read")
    track(repo.root, "doctor", "--deep", check=0)


def test_what_is_neither_here_nor_at_the_data_remote_is_wrong(repo: Repo, store: Path) -> None:
    """Without --deep it may be there."""
    record(repo, "keeps", "1" * 32)
    assert [one.severity for one in ills(repo)] == ["note"]
    [found] = [one for one in deeply(repo) if one.about == "data"]
    assert found.severity == "wrong" and "1 artifact of keeps-aaaaaa (model0)" in found.what
    assert "neither here nor in data remote 'store'" in found.what


@pytest.mark.parametrize("kept", [(), (b"model",)])
def test_a_data_remote_that_cannot_be_reached_is_wrong(
    repo: Repo, store: Path, kept: tuple[bytes, ...]
) -> None:
    """With and without anything to ask for."""
    cache = open_cache(repo, setup.read(repo))
    record(repo, "keeps", *(cache.add_bytes(content).md5 for content in kept))
    url = "[core]\n    remote = hub\n['remote \"hub\"']\n    url = nosuch://hub/data\n"
    (repo.root / ".dvc" / "config").write_text(url)
    [found] = [one for one in deeply(repo) if one.about == "data"]
    assert found.severity == "wrong" and found.what.startswith("data remote 'hub' (nosuch://hub/")
    assert found.mend


def test_a_deleted_run_misses_nothing(repo: Repo, track) -> None:
    """Who deleted it does not want its files."""
    ref = record(repo, "keeps", "1" * 32)
    assert len([one for one in ills(repo) if one.about == "data"]) == 1
    track(repo.root, "rm", ref.name, check=0)
    assert [one for one in ills(repo) if one.about == "data"] == []


def test_what_the_data_remote_may_have_is_not_missing(repo: Repo) -> None:
    """`git track get` asks it."""
    begin_dvc(repo, "[core]\n    remote = hub\n['remote \"hub\"']\n    url = /srv/data\n")
    open_cache(repo, setup.read(repo)).add_bytes(b"another")
    record(repo, "keeps", "1" * 32)
    assert {one.severity for one in examined(repo) if one.about == "data"} == {"ok"}


def test_two_programs_are_seen(repo: Repo, tmp_path: Path, monkeypatch) -> None:
    """Which one `git track` is, PATH alone says; a symlink to the same one is no other."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "git-track").write_text("#!/bin/sh\n")
        (tmp_path / name / "git-track").chmod(0o755)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "git-track").symlink_to(tmp_path / "a" / "git-track")
    git = os.path.dirname(shutil.which("git") or "")
    monkeypatch.setenv("PATH", f"{tmp_path}/a:{tmp_path}/c:{git}")
    assert [one for one in ills(repo) if one.about == "machine"] == []
    monkeypatch.setenv("PATH", f"{tmp_path}/a:{tmp_path}/b:{git}")
    [found] = [one for one in ills(repo) if one.about == "machine"]
    assert f"'{tmp_path}/a/git-track' is used" in found.what


def test_a_full_disk_is_seen(repo: Repo, monkeypatch) -> None:
    """Before a run is lost to it."""
    usage = shutil.disk_usage(repo.git_dir)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=500 << 20))
    assert {one.severity for one in ills(repo)} == {"risky"}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    assert {one.severity for one in ills(repo)} == {"wrong"}


def test_hostile_names_stay_on_their_line(repo: Repo, git: Git) -> None:
    """A remote's name is anybody's text, and what mends it is pasted into a shell."""
    git(repo.root, "config", "remote.$(touch owned);\x1b[2J.mirror", "true")
    [found] = [one for one in ills(repo) if one.about == "remotes"]
    assert "\x1b" not in found.what + str(found.mend)
    subprocess.run(str(found.mend), shell=True, cwd=repo.root, capture_output=True)
    assert not (repo.root / "owned").exists()


def test_it_changes_nothing(repo: Repo, git: Git, state_of) -> None:
    """Neither in the work tree nor among the refs."""
    record(repo, "x", "1" * 32)
    _torn_ref(repo, git)
    begin_dvc(repo)

    def listed() -> list[str]:
        return sorted(str(path) for path in repo.git_dir.rglob("*"))

    before, state = listed(), state_of(repo.root)
    examined(repo)
    assert state_of(repo.root) == state
    assert {path for path in listed() if path not in before} <= {
        str(repo.state),
        str(repo.state / "git-version"),
    }


def test_ten_thousand_runs_are_looked_through_quickly(repo: Repo) -> None:
    """As every listing is: DVC is not loaded, no record opened. Here a tenth of them."""
    made = []
    with repo.packed():
        for number in range(1_000):
            run = Run(
                id=f"{number:032x}",
                name=f"r{number}-aaaaaa",
                experiment="default",
                status="finished",
                started=NOON,
                ended=NOON,
                artifacts=(Artifact("m", f"{number:032x}", 4),),
            )
            commit = _stored(repo, run)
            made.append(RunRef("default", run.name, commit))
    refs.create_many(repo, made)
    began = time.process_time()
    found = [one for one in examined(repo) if one.about == "data"]
    assert "1000 artifacts of 1000 runs" in found[0].what
    assert time.process_time() - began < 2.0


def _stored(repo: Repo, run: Run) -> str:
    from gittrack import message, record

    files = record.encode(run)
    blobs = {n: (repo.write_blob(d), 0o100644) for n, d in files.items() if "/" not in n}
    inner = repo.write_tree(blobs)
    root = repo.write_tree({".gittrack": (inner, 0o040000)})
    return repo.write_commit(
        tree=root, parents=[], message=message.compose(run), author=ADA, started=0, ended=0
    )


# -- as typed -----------------------------------------------------------------------------------


def test_the_help_is_the_line_in_the_table() -> None:
    """One sentence, in both places."""
    assert command.help is not None and command.help.split("\n")[0] == VERBS["doctor"].line


def test_typed_it_ends_well_or_not(repo: Repo, git: Git, track) -> None:
    """0 where things are risky at most, 1 where something is wrong: a script can ask."""
    assert track(repo.root, "doctor", check=0).stdout == "nothing is wrong\n"
    verbose = track(repo.root, "doctor", "-v", check=0).stdout
    assert verbose.startswith("ok: git version 2") and verbose.endswith("\nnothing is wrong\n")
    _no_fsync(repo, git)
    said = track(repo.root, "doctor", check=0).stdout
    assert said == (
        "risky: track.fsync is off: a power cut may cost the runs of the last seconds\n"
        "  mend: git config --unset track.fsync\n"
        "nothing is wrong, 1 risky\n"
    )
    _mirror(repo, git)
    assert track(repo.root, "doctor", check=1).stdout.endswith("\n1 wrong, 1 risky\n")
    found = json.loads(track(repo.root, "doctor", "--json", check=1).stdout)
    assert [(one["severity"], one["about"]) for one in found] == [
        ("risky", "settings"),
        ("wrong", "remotes"),
    ]
    assert set(found[0]) == {"severity", "about", "what", "mend"}


def test_outside_of_a_repository_that_is_what_is_wrong(tmp_path: Path, track) -> None:
    """An answer like any other, also as JSON."""
    said = track(tmp_path, "doctor", check=1)
    assert said.stdout.startswith("wrong: ") and "git init" in said.stdout and said.stderr == ""
    [found] = json.loads(track(tmp_path, "doctor", "--json", check=1).stdout)
    assert found["severity"] == "wrong"


def test_dvc_is_not_loaded(repo: Repo, git: Git) -> None:
    """It alone would cost more than all that is looked at."""
    _kept_without_dvc(repo, git)
    program = (
        "import sys, time\n"
        "from gittrack import doctor\n"
        "from gittrack.git import Repo\n"
        "list(doctor.examine(Repo.open('.'), now=time.time(), deep=True))\n"
        "print([name for name in sys.modules if name.split('.')[0].startswith('dvc')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repo.root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
