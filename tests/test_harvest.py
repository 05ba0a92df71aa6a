"""What a lost run read and kept is gathered by whoever finds it, whenever and wherever that is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Git
from gittrack import artifacts, commits, execute, harvest, journal, outset, recovery, refs, sessions
from gittrack.errors import WriteFailed
from gittrack.git import Repo
from gittrack.journal import Writer
from gittrack.message import moment
from gittrack.records import Run

HOURS = 8 * 3600


def lost(place: Path) -> Path:
    """A run that read `in.csv`, wrote `out/model.bin` and was killed -> its directory."""
    (place / "in.csv").write_text("a,b\n")
    repo = Repo.open(place)
    request = outset.Request(argv=["true"], directory=place, data=["in.csv"], outs=["out/*"])
    prepared = outset.prepare(repo, request)
    started = time.time() - 2 * HOURS
    begun = outset.begin(repo, request, prepared, now=lambda: started, random=os.urandom)
    assert isinstance(begun, outset.Begun)
    (place / "out").mkdir(exist_ok=True)
    (place / "out" / "model.bin").write_bytes(b"a model")
    begun.session.release()
    return begun.session.directory


def earlier(*paths: Path) -> float:
    """Let these files, and those in them, be hours old -> since when."""
    when = time.time() - HOURS
    for path in (inner for top in paths for inner in (top, *top.rglob("*"))):
        os.utime(path, (when, when))
    return when


def recovered(place: Path) -> Run:
    repo = Repo.open(place)
    (ref,) = recovery.recover(repo)
    return commits.load(repo, ref)


@pytest.fixture
def worktree(repo_dir: Path, git: Git) -> Path:
    """A linked work tree beside the repository."""
    place = repo_dir.with_name("linked")
    git(repo_dir, "worktree", "add", "-q", os.fspath(place))
    return place


def test_a_run_lost_in_another_work_tree_keeps_what_it_made(repo_dir: Path, worktree: Path) -> None:
    """The next command may be given anywhere: paths are those of the run's own work tree."""
    lost(worktree)
    run = recovered(repo_dir)
    assert [kept.path for kept in run.artifacts] == ["out/model.bin"]
    assert [(read.path, read.changed) for read in run.data] == [("in.csv", False)]
    assert run.faults == ()


def test_a_run_below_the_root_is_found_from_another_work_tree(
    repo_dir: Path, worktree: Path
) -> None:
    """Where it was started is not where its work tree begins."""
    inner = worktree / "sub" / "dir"
    inner.mkdir(parents=True)
    lost(inner)
    assert [kept.path for kept in recovered(repo_dir).artifacts] == ["sub/dir/out/model.bin"]


def test_a_run_whose_work_tree_is_gone_is_recorded_all_the_same(
    repo_dir: Path, worktree: Path, git: Git
) -> None:
    """Its files went with it; that is said, and nothing waits for ever."""
    lost(worktree)
    git(repo_dir, "worktree", "remove", "--force", os.fspath(worktree))
    run = recovered(repo_dir)
    assert run.status == "killed"
    assert run.artifacts == ()
    assert [fault for fault in run.faults if "recorded in part" in fault]


def test_files_of_another_repository_are_not_taken_for_the_runs(
    repo_dir: Path, worktree: Path, git: Git
) -> None:
    """Somebody cloned something else to where the work tree was."""
    lost(worktree)
    shutil.rmtree(worktree)
    git(repo_dir, "clone", "-q", ".", os.fspath(worktree))
    (worktree / "out").mkdir()
    (worktree / "out" / "model.bin").write_bytes(b"another model")
    run = recovered(repo_dir)
    assert run.artifacts == ()
    assert [fault for fault in run.faults if "is not the work tree any more" in fault]


def test_a_lost_run_ended_when_it_last_gave_a_sign(repo_dir: Path) -> None:
    """It is found hours later; what recovery writes in its directory is no sign of life."""
    directory = lost(repo_dir)
    when = earlier(directory, repo_dir / "out")
    run = recovered(repo_dir)
    assert run.ended is not None
    assert abs((run.ended - moment(when)).total_seconds()) < 60
    assert [kept.path for kept in run.artifacts] == ["out/model.bin"]


def test_a_second_recovery_knows_when_the_run_was_lost(repo_dir: Path) -> None:
    """The first was killed too: what others wrote between the two is not the run's."""
    directory = lost(repo_dir)
    earlier(directory, repo_dir / "out")
    recovery._pin_last_sign(directory)
    Writer(directory).close()
    (repo_dir / "out" / "late.bin").write_bytes(b"of another run")
    run = recovered(repo_dir)
    assert [kept.path for kept in run.artifacts] == ["out/model.bin"]
    assert [fault for fault in run.faults if "out/late.bin" in fault]


def test_data_that_changed_after_a_run_was_lost_did_not_change_under_it(repo_dir: Path) -> None:
    """Whoever edits the data the next morning has not spoilt what the run read."""
    directory = lost(repo_dir)
    earlier(directory)
    (repo_dir / "in.csv").write_text("edited\n")
    run = recovered(repo_dir)
    assert not run.data[0].changed
    assert "'in.csv' changed since the last sign of this run" in run.faults


def test_data_that_was_removed_after_a_run_was_lost_did_not_change_under_it(
    repo_dir: Path,
) -> None:
    """That it is gone tells nothing of the run either."""
    earlier(lost(repo_dir))
    (repo_dir / "in.csv").unlink()
    run = recovered(repo_dir)
    assert not run.data[0].changed
    assert "'in.csv' changed since the last sign of this run" in run.faults


def ran(place: Path, program: str, data: str, **options: Any) -> Run:
    """A run of a program that reads `data`, recorded."""
    argv = [sys.executable, "-c", f"import os, shutil; {program}"]
    request = outset.Request(argv=argv, directory=place, data=[data], **options)
    return execute.command(Repo.open(place), request).run


def test_a_traced_file_that_changed_after_it_was_read_has_no_hash(repo_dir: Path) -> None:
    """The hash of what somebody wrote later is not that of what was read."""
    (repo_dir / "a.csv").write_text("a")
    (repo_dir / "d").mkdir()
    (repo_dir / "d" / "x").write_text("x")
    program = "open('a.csv').read(); open('d/x').read(); open('a.csv').read(); "
    # A file system tells times by ticks of up to 10 ms.
    program += "os.system('sleep 0.03; echo other > a.csv')"
    (repo_dir / "no").touch()
    run = ran(repo_dir, program, "no", trace=True)
    assert [item.path for item in run.data] == ["d/x", "no"]
    assert run.faults == ("'a.csv' changed after it was read: what was read is not known",)


def test_a_traced_file_that_changed_after_a_run_was_lost_has_no_hash(repo_dir: Path) -> None:
    """Nor is that of what somebody wrote before it was found."""
    (repo_dir / "a.csv").write_text("a")
    (repo_dir / "b.csv").write_text("b")
    program = "import os, signal; open('a.csv').read(); open('b.csv').read(); "
    program += "[os.kill(pid, signal.SIGKILL) for pid in (os.getppid(), os.getpid())]"
    words = [sys.executable, "-m", "gittrack", "run", "--trace", "--", sys.executable, "-c"]
    subprocess.run([*words, program], cwd=repo_dir, capture_output=True)
    (directory,) = sessions.live(Repo.open(repo_dir).state)
    while not sessions.is_lost(directory):
        time.sleep(0.01)
    (repo_dir / "a.csv").write_text("after its death")
    run = recovered(repo_dir)
    assert [item.path for item in run.data] == ["b.csv"]
    assert "'a.csv' changed after it was read: what was read is not known" in run.faults


_SWAP = "shutil.copy('d/x', 'y'); open('d/x', 'w').write('other'); "


@pytest.mark.parametrize("data", ["d", "d/x"])
@pytest.mark.parametrize(
    "program",
    [
        _SWAP + "shutil.copy('y', 'd/x')",
        "s = os.stat('d/x'); " + _SWAP + "shutil.copy('y', 'd/x'); "
        "os.utime('d/x', ns=(s.st_atime_ns, s.st_mtime_ns))",
        _SWAP + "os.replace('y', 'd/x')",
    ],
    ids=["rewritten", "with its old time", "replaced"],
)
def test_data_that_was_another_for_a_while_is_said(repo_dir: Path, program: str, data: str) -> None:
    """What the run read may have been the other: equal content at both ends proves nothing."""
    (repo_dir / "d").mkdir()
    (repo_dir / "d" / "x").write_text("same")
    run = ran(repo_dir, program, data)
    assert not run.data[0].changed
    assert run.faults == (f"'{data}' was written while the run ran, and is the same now",)


@pytest.mark.parametrize(
    "program",
    [
        "open('d/x').read()",
        "os.link('d/x', 'y')",
        "open('d/new', 'w').close(); os.remove('d/new')",
        "os.chmod('link', 0o444); os.utime('link')",
    ],
    ids=["read", "linked", "a file beside it", "an object of the cache"],
)
@pytest.mark.parametrize("data", ["d", "d/x", "link"])
def test_data_that_stays_is_not_said_to_be_written(repo_dir: Path, program: str, data: str) -> None:
    """A new link, a scratch file or a cleaning's grace writes no content."""
    (repo_dir / "d").mkdir()
    (repo_dir / "d" / "x").write_text("same")
    (repo_dir / "object").write_text("same")
    (repo_dir / "object").chmod(0o444)
    (repo_dir / "link").symlink_to("object")
    run = ran(repo_dir, program, data)
    assert run.faults == () and not run.data[0].changed


def test_a_broken_configuration_makes_a_run_wait_and_loses_nothing(repo_dir: Path) -> None:
    """Somebody saved half of `.dvc/config` while the command ran: once mended, all is kept."""
    program = "import pathlib as p; p.Path('m').write_text('kept'); p.Path('.dvc').mkdir();"
    program += "p.Path('.dvc/config').write_text('[cache\\n')"
    request = outset.Request(argv=[sys.executable, "-c", program], directory=repo_dir, outs=["m"])
    repo = Repo.open(repo_dir)
    with pytest.raises(WriteFailed, match=r"waits to be recorded: .*config, line 1"):
        execute.command(repo, request)
    with pytest.raises(WriteFailed, match=r"waits to be recorded: .*config, line 1"):
        recovery.recover(repo)
    (repo_dir / ".dvc" / "config").write_text("")
    run = recovered(repo_dir)
    assert [kept.path for kept in run.artifacts] == ["m"] and run.faults == ()
    assert run.status == "finished"


def test_what_is_said_twice_stands_once(repo_dir: Path) -> None:
    """Who was killed while gathering may have said all of it but that it is done."""
    directory = lost(repo_dir)
    (repo_dir / "in.csv").write_text("changed\n")
    repo = Repo.open(repo_dir)
    harvest.gather(repo, directory)
    harvest.gather(repo, directory)
    story = journal.read(directory)
    assert story is not None
    said = [event["fault"] for event in story.events if "fault" in event]
    assert said == ["'in.csv' changed while the run ran"]
    assert sessions.is_lost(directory)
    assert recovered(repo_dir).faults == tuple(said)
    assert len(list(refs.all_runs(repo))) == 1


def test_a_recovery_that_is_interrupted_leaves_all_to_the_next(
    repo_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copying a hundred gigabytes for somebody who only wants a list must be possible to stop."""
    lost(repo_dir)
    blocked = []

    def stopped(*_: object, **__: object) -> None:
        blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "collect", stopped)
        with pytest.raises(KeyboardInterrupt):
            recovery.recover(Repo.open(repo_dir))
    assert blocked == [set()]
    run = recovered(repo_dir)
    assert [kept.path for kept in run.artifacts] == ["out/model.bin"]
    assert run.faults == ()
