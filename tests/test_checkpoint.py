"""Running runs on `refs/gittrack/live/*`: what is published, when it moves, and when it goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack import checkpoint, commits, journal, prune, recovery, refs, revisions, sessions
from gittrack.errors import RunChanged, RunNotFound
from gittrack.execute import Request
from gittrack.git import Repo
from gittrack.outset import Begun, begin, prepare

Until = Callable[..., None]
SECRET = "ghp_" + "x7Kd92mQpL4vTz8RwB3nYc6HjF5sGa1eUo0i"


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    found = Repo.open(repo_dir)
    found.sync(False)
    return found


@pytest.fixture
def begun(repo: Repo) -> Iterator[Begun]:
    """A run that this process owns, with a param, 100 points, a secret tag and some output."""
    assert repo.root is not None
    (repo.root / "train.py").write_text("print('changed')\n")
    request = Request(argv=["python", "train.py"], directory=repo.root, name="slow", live=True)
    made = begin(repo, request, prepare(repo, request), now=time.time, random=os.urandom)
    assert isinstance(made, Begun)
    log(made, {"params": {"lr": 0.1}}, {"tags": {"token": SECRET}})
    log(made, *({"metrics": {"loss": 1 / (step + 1)}, "step": step} for step in range(100)))
    made.session.keep_output(f"begun with {SECRET}\n".encode())
    yield made
    made.session.end()


def log(made: Begun, *events: dict[str, Any]) -> None:
    with open(made.session.directory / "1-a.journal", "ab") as file:
        for event in events:
            file.write(journal.frame({"t": time.time(), **event}))


def ended(made: Begun) -> None:
    log(made, {"end": ["finished", 0]})


def live(repo: Repo) -> list[str]:
    return [ref.name for ref in repo.refs(refs.LIVE)]


# -- what is published --------------------------------------------------------------------------


def test_what_is_published_is_what_a_finished_run_would_have(repo: Repo, begun: Begun) -> None:
    """A colleague reads it with what reads runs: same tree, same record, another status."""
    moment = time.time()
    there = checkpoint.publish(repo, begun.session.directory, now=lambda: moment)
    assert there is not None
    name = begun.known["name"]
    assert there.full == f"refs/gittrack/live/default/{name}" and live(repo) == [there.full]
    shown = commits.load(repo, there.run)
    assert (shown.status, shown.ended, shown.exit_code) == ("running", None, None)
    assert shown.tags == {"token": "***"}
    assert dict(shown.metrics) == {"loss": 1 / 100} and shown.params["lr"] == 0.1
    assert SECRET.encode() not in commits.output(repo, there.run)
    (listed,) = refs.live(repo)
    assert listed.run == there.run and listed.moment == int(moment)

    ended(begun)
    _, ref = recovery.finish(repo, begun.session)
    final = commits.load(repo, ref)
    assert (final.id, final.name, final.code) == (shown.id, shown.name, shown.code)
    ours, theirs = (repo.tree(repo.read_commit(c).tree) for c in (there.run.commit, ref.commit))
    assert [e for e in ours if e.name != b".gittrack"] == [
        e for e in theirs if e.name != b".gittrack"
    ]
    assert {row.step for row in commits.load_series(repo, there.run)} == set(range(100))


def test_the_ref_goes_when_the_run_is_recorded(repo: Repo, begun: Begun) -> None:
    """From then on the run itself is there; two of it would be one too many."""
    checkpoint.publish(repo, begun.session.directory)
    assert live(repo)
    ended(begun)
    recovery.finish(repo, begun.session)
    assert live(repo) == []


def test_it_moves_with_the_run_and_touches_nothing_else(
    repo: Repo, begun: Begun, state_of: Callable[[Path], Any]
) -> None:
    """Work tree, index, branches and the run's own directory are as they were."""
    assert repo.root is not None
    first = checkpoint.publish(repo, begun.session.directory)
    log(begun, {"metrics": {"loss": 0.001}, "step": 100})
    before = state_of(repo.root)
    signs = {p.name: p.stat().st_mtime_ns for p in begun.session.directory.iterdir()}
    second = checkpoint.publish(repo, begun.session.directory)
    assert first is not None and second is not None
    assert first.run.commit != second.run.commit and live(repo) == [second.full]
    assert dict(commits.load(repo, second.run).metrics) == {"loss": 0.001}
    assert state_of(repo.root) == before
    assert {p.name: p.stat().st_mtime_ns for p in begun.session.directory.iterdir()} == signs


def test_long_curves_are_published_thinned_with_their_ends(repo: Repo, begun: Begun) -> None:
    """Once a minute for a week: it must not be the whole of it each time."""
    log(begun, *({"metrics": {"acc": step / 9}, "step": step} for step in range(100, 9000)))
    there = checkpoint.publish(repo, begun.session.directory)
    assert there is not None
    rows = commits.load_series(repo, there.run)
    assert 1500 < len(rows) <= 3100
    assert rows[0].step == 0 and rows[-1].step == 8999


def test_a_run_that_goes_over_to_another_experiment_is_published_once(
    repo: Repo, begun: Begun
) -> None:
    """`set_experiment` comes after the start."""
    checkpoint.publish(repo, begun.session.directory)
    log(begun, {"experiment": "trees", "experiment_title": None})
    there = checkpoint.publish(repo, begun.session.directory)
    assert there is not None and there.run.experiment == "trees"
    assert live(repo) == [there.full]


# -- one at a time, and never too late ----------------------------------------------------------


def test_while_one_is_at_it_nobody_else_is(
    repo: Repo, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk must not gather publishers."""
    store = recovery.store_as_it_stands
    others: list[object] = []

    def slow(*words: Any, **more: Any) -> Any:
        others.append(checkpoint.publish(Repo.open(repo.git_dir), begun.session.directory))
        return store(*words, **more)

    monkeypatch.setattr(recovery, "store_as_it_stands", slow)
    assert checkpoint.publish(repo, begun.session.directory) is not None
    assert others == [None]


def test_the_ref_moves_only_from_where_it_was_seen(repo: Repo, begun: Begun) -> None:
    """Two hosts on one disk may not know of each other's locks: the newer must not be lost."""
    first = checkpoint.publish(repo, begun.session.directory)
    assert first is not None
    head = repo.head()[0]
    assert head is not None
    with pytest.raises(RunChanged):
        repo.move_ref(first.full, head, before=None)
    with pytest.raises(RunChanged):
        repo.move_ref(first.full, head, before=head)
    assert repo.ref(first.full) == first.run.commit
    repo.move_ref(first.full, head, before=first.run.commit)
    with pytest.raises(RunChanged):
        refs.drop_live(repo, [first])
    assert repo.ref(first.full) == head


def test_a_run_that_is_gone_is_not_published(repo: Repo, begun: Begun) -> None:
    """The minute may be over when the run is."""
    ended(begun)
    directory = begun.session.directory
    recovery.finish(repo, begun.session)
    assert checkpoint.publish(repo, directory) is None and live(repo) == []


def test_one_recorded_while_it_is_published_leaves_no_ref(
    repo: Repo, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who records it takes the ref away; a publisher that comes later finds its own mistake."""
    store = recovery.store_as_it_stands
    directory = begun.session.directory

    def slow(*words: Any, **more: Any) -> Any:
        made = store(*words, **more)
        ended(begun)
        recovery.finish(Repo.open(repo.git_dir), begun.session)
        return made

    monkeypatch.setattr(recovery, "store_as_it_stands", slow)
    assert checkpoint.publish(repo, directory) is None
    assert live(repo) == [] and len(refs.all_runs(repo)) == 1


def test_spawned_it_is_published_by_a_process_of_its_own(
    repo: Repo, begun: Begun, until: Until, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The training goes on meanwhile, wherever it stands and whatever lies there."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(tmp_path)
    assert checkpoint.spawn(repo, begun.session.directory)
    again = checkpoint.spawn(repo, begun.session.directory)
    assert not again
    until(lambda: live(repo))
    until(lambda: checkpoint._started[begun.session.directory].poll() is not None)
    assert checkpoint._started[begun.session.directory].returncode == 0


def test_a_run_with_live_is_published_from_its_start_on(
    repo_dir: Path, tmp_path: Path, until: Until, track: Track
) -> None:
    """The real command, the real ref, and nothing left of it in the end."""
    gate = tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    child = subprocess.Popen(
        [sys.executable, "-m", "gittrack", "run", "--live", "--", "sh", "-c", wait],
        cwd=repo_dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    repo = Repo.open(repo_dir)
    try:
        until(lambda: live(repo))
    finally:
        gate.touch()
        assert child.wait(20) == 0
    until(lambda: not live(repo))
    assert json.loads(track(repo_dir, "ls", "--json", check=0).stdout)[0]["status"] == "finished"


# -- for those who read -------------------------------------------------------------------------


def test_it_is_no_recorded_run(repo: Repo, begun: Begun, track: Track) -> None:
    """It may be gone in a minute; what one records must not be built on it."""
    there = checkpoint.publish(repo, begun.session.directory)
    assert there is not None and repo.root is not None
    assert refs.all_runs(repo) == []
    for selector in (there.full, there.run.commit, there.run.commit[:10], "latest"):
        with pytest.raises(RunNotFound):
            revisions.resolve(repo, selector)
    done = track(repo.root, "show", there.full, check=1)
    assert "still runs" in done.stderr
    listed = json.loads(track(repo.root, "ls", "--json", check=0).stdout)
    assert [(run["name"], run["commit"]) for run in listed] == [(there.run.name, None)]


def test_gc_removes_what_was_silent_for_a_day(repo: Repo, begun: Begun, git: Git) -> None:
    """A host that died never takes its ref away; one that works does so itself."""
    now = time.time()
    directory = begun.session.directory
    ours = checkpoint.publish(repo, directory, now=lambda: now - 90_000)
    assert ours is not None
    theirs = f"{refs.LIVE}default/dead-host-aaaaaa"
    young = f"{refs.LIVE}default/busy-host-bbbbbb"
    repo.move_ref(theirs, ours.run.commit, before=None)
    fresh = recovery.store_as_it_stands(repo, directory, at=now - 80_000)
    assert fresh is not None and fresh.commit is not None
    repo.move_ref(young, fresh.commit, before=None)
    assert prune.gc(repo, dry_run=True, now=now).items == (prune.Item("live", theirs),)
    assert sorted(live(repo)) == sorted([ours.full, theirs, young])
    assert prune.gc(repo, now=now).items == (prune.Item("live", theirs),)
    assert sorted(live(repo)) == sorted([ours.full, young])


def test_many_publishers_at_once_leave_one_whole_ref(repo: Repo, begun: Begun) -> None:
    """Whoever wins: the ref points to a commit that is all there."""
    found: list[object] = []

    def one() -> None:
        try:
            found.append(checkpoint.publish(Repo.open(repo.git_dir), begun.session.directory))
        except RunChanged:
            found.append(None)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(found)
    (there,) = refs.live(repo)
    assert commits.load(repo, there.run).status == "running"


def test_a_killed_publisher_is_no_obstacle(repo: Repo, begun: Begun) -> None:
    """Its lock ends with it."""
    script = (
        "import fcntl, os, sys\n"
        "h = os.open(sys.argv[1], os.O_RDONLY)\n"
        "fcntl.flock(h, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, os.fspath(begun.session.directory)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == b"held\n"
    assert checkpoint.publish(repo, begun.session.directory) is None
    child.kill()
    child.communicate()
    assert checkpoint.publish(repo, begun.session.directory) is not None
    assert sessions.live(repo.state) == [begun.session.directory]
