"""Runs whose command is the process itself: what they are, which others they belong to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gittrack import sessions
from gittrack.git import Repo
from scripts import LOGS, begin, do, only, output, remembered, runs, write


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What has to be asked of an interpreter once, which takes half a second."""
    return remembered(tmp_path_factory.mktemp("asked"))


@pytest.fixture
def place(repo_dir: Path, asked: Path) -> Path:
    """A repository in which that is known."""
    shutil.copytree(asked, repo_dir / ".git" / "gittrack" / "cache")
    return repo_dir


# -- what is begun ------------------------------------------------------------------------------


def test_a_run_is_what_the_process_is(place: Path) -> None:
    """As `git track run -- python train.py --lr 0.1` would have recorded it."""
    do(
        place,
        """\
        run = lifetime.start(
            experiment="tuning", experiment_title="Tuning it", name="baseline", title="First",
            message="Why not", params={"opt": "adam"}, tags={"kind": "trial"},
        )
        print("seen")
        """,
        "--lr",
        "0.1",
    )
    run = only(place)
    assert run.command == ("python", "train.py", "--lr", "0.1")
    # params.yaml of the directory, the command line, the script
    assert run.params == {"epochs": 5, "lr": 0.1, "opt": "adam"}
    assert (run.experiment, run.experiment_title) == ("tuning", "Tuning it")
    assert run.name.startswith("baseline-") and run.title == "First" and run.message == "Why not"
    assert (run.tags, run.source, run.directory) == ({"kind": "trial"}, "api", "")
    assert run.code.included == ("train.py",) or run.code.dirty
    assert run.environment is not None and run.environment.python
    assert output(place, run) == "seen\n"


def test_a_module_is_a_program_and_a_tool_is_none(place: Path) -> None:
    """Options of a test runner are no params of a model."""
    (place / "test_it.py").write_text(
        "from gittrack import lifetime\ndef test_it(): lifetime.end(lifetime.start())\n"
    )
    subprocess.run([sys.executable, "-m", "pytest", "-q", "--tb", "no"], cwd=place, check=True)
    write(place, "lifetime.start()")
    subprocess.run([sys.executable, "-m", "train", "--lr", "0.1"], cwd=place, check=True)
    tool, program = runs(place)
    assert "tb" not in tool.params and tool.command[1:3] == ("-m", "pytest")
    assert program.params["lr"] == 0.1


def test_the_environment_names_the_run_while_it_lasts(place: Path) -> None:
    """A child process joins it; what was there before is there again."""
    program = """\
    import subprocess
    print(os.environ.get("GITTRACK_RUN"))
    outer = lifetime.start()
    inner = lifetime.start(nested=True)
    child = "from gittrack import active; active.require().log_metric('child', 2)"
    subprocess.run([sys.executable, "-c", child], check=True)
    print(os.environ["GITTRACK_RUN"] == str(inner.directory))
    lifetime.end(inner)
    print(os.environ["GITTRACK_RUN"] == str(outer.directory))
    lifetime.end(outer)
    print(os.environ.get("GITTRACK_RUN"))
    """
    assert do(place, program)[0].split() == ["None", "True", "True", "None"]
    outer, inner = runs(place)
    assert (outer.parent, outer.metrics) == (None, {})
    assert (inner.parent, inner.metrics) == (outer.id, {"child": 2})


def test_runs_end_out_of_order(place: Path) -> None:
    """Tasks come and go as they like; the environment names one that still is."""
    program = """\
    outer = lifetime.start()
    inner = lifetime.start(nested=True)
    lifetime.end(outer)
    print(os.environ["GITTRACK_RUN"] == str(inner.directory))
    lifetime.end(inner)
    lifetime.end(inner)
    print(os.environ.get("GITTRACK_RUN"))
    """
    assert do(place, program)[0].split() == ["True", "None"]
    assert [run.status for run in runs(place)] == ["finished", "finished"]


def test_a_second_run_beside_the_first_is_refused(place: Path) -> None:
    """It would take the first one's metrics without anybody noticing."""
    program = "\ntry:\n    lifetime.start()\nexcept GittrackError as e:\n    print(repr(e), e.name)"
    said, _ = do(place, LOGS + program)
    assert said == f"RunActive('the run {only(place).name} is active') {only(place).name}\n"


def test_runs_of_threads_and_tasks_stand_beside_each_other(place: Path) -> None:
    """Each logs to its own, though they log in turns."""
    program = """\
    def log(key):
        run = lifetime.start(name=key)
        barrier.wait()
        active.require().log_metric(key, 1)
        print(key)
        barrier.wait()
        lifetime.end(run)

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=log, args=(key,)) for key in ("one", "two")]
    [t.start() for t in threads], [t.join() for t in threads]

    async def task(key):
        run = lifetime.start(name=key)
        await asyncio.sleep(0)
        active.require().log_metric(key, 1)
        print(key)
        await asyncio.sleep(0)
        lifetime.end(run)

    async def tasks():
        await asyncio.gather(task("three"), task("four"))

    asyncio.run(tasks())
    """
    do(place, program)
    found = {run.name.rpartition("-")[0]: run for run in runs(place)}
    assert found.keys() == {"one", "two", "three", "four"}
    for key, run in found.items():
        assert run.metrics == {key: 1} and run.parent is None
        assert output(place, run) == f"{key}\n"


def test_a_run_begun_in_one_thread_takes_what_the_others_log(place: Path) -> None:
    """A server's pool, a loader's prefetcher: they know nothing of who began it."""
    program = """\
    begun = threading.Thread(target=lifetime.start)
    begun.start(), begun.join()
    active.require().log_metric("here", 1)
    other = threading.Thread(target=lambda: active.require().log_metric("there", 2))
    other.start(), other.join()
    """
    do(place, program)
    assert only(place).metrics == {"here": 1, "there": 2}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_process_has_a_run_of_its_own(method: str, place: Path) -> None:
    """multiprocessing leaves its children by `os._exit`: their runs end all the same."""
    program = """\
    def work(how):
        run = lifetime.start(nested=True, name=how)
        if how == "failing":
            1 / 0
        if how == "leaving":
            sys.exit(3)
        if how == "early":
            lifetime.end(run)
            1 / 0

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        run = lifetime.start(name="sweep")
        for how in ("good", "failing", "leaving", "early"):
            worker = context.Process(target=work, args=(how,))
            worker.start()
            worker.join()
    """
    do(place, program, method)
    found = {run.name.rpartition("-")[0]: run for run in runs(place)}
    assert {key: (run.status, run.exit_code) for key, run in found.items()} == {
        "sweep": ("finished", 0),
        "good": ("finished", 0),
        "failing": ("failed", 1),
        "leaving": ("failed", 3),
        "early": ("finished", 0),
    }
    assert output(place, found["failing"]).count("ZeroDivisionError: division by zero") == 1
    assert {run.parent for key, run in found.items() if key != "sweep"} == {found["sweep"].id}


def test_children_that_are_waited_for_still_log(place: Path) -> None:
    """multiprocessing waits for them when the process leaves, and so does its run."""
    program = """\
    def work():
        time.sleep(0.3)
        active.require().log_metric("late", 1)

    import multiprocessing.util
    lifetime.start()
    multiprocessing.Process(target=work).start()
    """
    do(place, program)
    assert only(place).metrics == {"late": 1}


def test_a_run_can_be_taken_back(place: Path) -> None:
    """`@start_run()` over a function begins with each call, not where it is written."""
    program = """\
    before = sys.exit, vars(sys.stdout).get("write"), os.environ.get("GITTRACK_RUN")
    run = lifetime.start()
    lifetime.discard(run)
    lifetime.discard(run)
    now = sys.exit, vars(sys.stdout).get("write"), os.environ.get("GITTRACK_RUN")
    print(before == now, active.current())
    """
    assert do(place, program) == ("True None\n", "")
    assert runs(place) == [] and sessions.live(Repo.open(place).state) == []


# -- joined -------------------------------------------------------------------------------------


def test_in_a_command_that_is_recorded_the_first_start_joins(track: Any, place: Path) -> None:
    """One run, not two; a second start after its end is a run of its own within it."""
    write(
        place,
        """\
        run = lifetime.start(
            title="By the script", message="Why", tags={"by": "script"}, params={"opt": "adam"}
        )
        print(run.owned)
        run.log_metric("loss", 0.5)
        try:
            lifetime.start()
        except GittrackError:
            print("refused")
        print(lifetime.end(run, status="failed"))
        second = lifetime.start()
        print(second.owned)
        """,
    )
    said = track(place, "run", "-x", "outer", "--", sys.executable, "train.py", check=0).stdout
    assert said.split() == ["False", "refused", "None", "True"]
    outer, inner = runs(place)
    assert (outer.title, outer.status, outer.experiment) == ("By the script", "failed", "outer")
    assert outer.metrics == {"loss": 0.5} and outer.params["opt"] == "adam"
    assert (outer.tags, outer.message) == ({"by": "script"}, "Why")
    assert (inner.parent, inner.status, inner.metrics) == (outer.id, "finished", {})


@pytest.mark.parametrize("command", [True, False])
def test_a_nested_run_is_of_the_experiment_that_it_is_nested_in(
    command: bool, track: Any, place: Path
) -> None:
    """`ls -x tuning --tree` would show a study without its trials."""
    outer = "lifetime.start(experiment='tuning', experiment_title='Tuning it')"
    write(
        place,
        f"""\
        {"lifetime.start()" if command else outer}
        inner = lifetime.start(nested=True)
        lifetime.end(lifetime.start(nested=True))
        lifetime.end(lifetime.start(nested=True, experiment="other"))
        lifetime.end(inner)
        """,
    )
    if command:
        track(place, "run", "-x", "tuning", "--", sys.executable, "train.py")
    else:
        subprocess.run([sys.executable, "train.py"], cwd=place, check=True)
    experiments = [run.experiment for run in runs(place)]
    assert sorted(experiments) == ["other", "tuning", "tuning", "tuning"]


def test_a_run_of_another_repository_is_no_parent(place: Path, tmp_path: Path) -> None:
    """Its id would lead nowhere."""
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", other], check=True)
    program = """\
    from pathlib import Path
    lifetime.start()
    lifetime.end(lifetime.start(nested=True, directory=Path(sys.argv[1])))
    """
    do(place, program, str(other))
    assert (only(other).parent, only(place).parent) == (None, None)


def test_a_run_that_is_gone_is_not_joined(place: Path) -> None:
    """A shell that outlived its run still names it."""
    do(place, LOGS, env={"GITTRACK_RUN": str(place / ".git/gittrack/live/gone-amber-7f3kq2")})
    assert only(place).metrics == {"loss": 0.5}


_RANKS = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500", "WORLD_SIZE": "2"}


def test_the_other_ranks_join_the_run_of_the_first(place: Path) -> None:
    """torchrun starts them all alike; one run comes of it, whoever is first to start."""
    program = """\
    run = lifetime.start()
    run.log_metric("of" + os.environ["RANK"], 1)
    print(run.owned, os.environ["GITTRACK_RUN"] == str(run.directory), flush=True)
    if run.owned:
        sys.stdin.read()
    """
    write(place, program)
    ranks = [
        subprocess.Popen(
            [sys.executable, "train.py"],
            cwd=place,
            env={**os.environ, **_RANKS, "RANK": rank},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("1", "0")
    ]
    other, first = ranks
    assert other.communicate(timeout=60)[0] == "False True\n"
    assert first.communicate(timeout=60)[0] == "True True\n"
    assert only(place).metrics == {"of0": 1, "of1": 1}


def test_a_rank_follows_the_first_from_run_to_run(place: Path) -> None:
    """A sweep inside of one launch: the run that a rank has left is not the next one."""
    program = """\
    for number in range(2):
        run = lifetime.start()
        run.log_metric(f"{number}of" + os.environ["RANK"], 1)
        print(run.directory.name, flush=True)
        sys.stdin.readline()
        lifetime.end(run)
    """
    write(place, program)
    first, other = [
        subprocess.Popen(
            [sys.executable, "train.py"],
            cwd=place,
            env={**os.environ, **_RANKS, "RANK": rank},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    names = []
    for _ in range(2):
        assert first.stdout and other.stdout and first.stdin and other.stdin
        names.append(first.stdout.readline())
        assert other.stdout.readline() == names[-1]
        # The other leaves first, and looks for the next while this one is still there.
        other.stdin.write("\n")
        other.stdin.flush()
        first.stdin.write("\n")
        first.stdin.flush()
    assert (first.communicate()[0], other.communicate()[0]) == ("", "")
    assert names[0] != names[1]
    assert [run.metrics for run in runs(place)] == [
        {"0of0": 1, "0of1": 1},
        {"1of0": 1, "1of1": 1},
    ]


def test_a_rank_does_not_wait_for_ever(place: Path) -> None:
    """Where the first one never begins a run, it is said how to have one for all."""
    subprocess.run(["git", "config", "track.rankTimeout", "0.2"], cwd=place, check=True)
    _, said = do(place, "lifetime.start()", code=1, env={**_RANKS, "RANK": "1"})
    assert "rank 0 began no run within 0.2 seconds" in said and "git track run" in said


# -- going on -----------------------------------------------------------------------------------


def test_a_killed_run_is_gone_on_with(place: Path) -> None:
    """As a new run, whose first input is the old one: nothing that was recorded changes."""
    first = """\
    run = lifetime.start(experiment="tuning", name="long", params={"lr": 0.1, "depth": 3})
    for step in range(7):
        run.log_metric("loss", 1 / (step + 1), step=step)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    begin(place, first).communicate(timeout=60)
    (name,) = [path.name for path in sessions.live(Repo.open(place).state)]
    second = f"""\
    run = lifetime.start(resume={name!r}, params={{"lr": 0.01}})
    print(run.begin["last_step"])
    """
    said, _ = do(place, second)
    old, new = runs(place)
    assert (old.status, old.name) == ("killed", name)
    assert (new.status, new.continues, new.experiment) == ("finished", old.id, "tuning")
    assert new.name.startswith("long-") and new.name != old.name
    assert new.inputs[0].id == old.id and new.inputs[0].path is None
    assert new.params == {"epochs": 5, "lr": 0.01, "depth": 3}
    assert said == "6\n"


def test_what_runs_cannot_be_gone_on_with(place: Path) -> None:
    """Its end is not known."""
    process = begin(place, "run = lifetime.start()\nprint(run.name, flush=True)\nwait()")
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    _, said = do(place, f"lifetime.start(resume={name!r})", code=1)
    process.terminate()
    process.communicate(timeout=60)
    assert "running" in said


@pytest.mark.parametrize("which", ["id", "name"])
def test_a_parent_is_named_by_id_or_name_while_it_runs(which: str, place: Path) -> None:
    """Another process's run, too: a sweep whose trials are started by a scheduler."""
    outer = begin(place, f"run = lifetime.start()\nprint(run.begin[{which!r}], flush=True)\nwait()")
    assert outer.stdout is not None
    named = outer.stdout.readline().strip()
    do(place, f"lifetime.start(parent={named!r})")
    outer.terminate()
    outer.communicate(timeout=60)
    first, second = runs(place)
    assert second.parent == first.id
    do(place, f"lifetime.start(parent={named!r})")
    assert runs(place)[-1].parent == first.id


# -- what goes wrong ----------------------------------------------------------------------------


def test_a_directory_that_is_gone_is_no_repository(place: Path) -> None:
    """A caller who takes our errors for what they are takes this one, too."""
    program = """\
    from gittrack.errors import NotARepository
    os.mkdir("sub")
    os.chdir("sub")
    os.rmdir("../sub")
    try:
        lifetime.start()
    except NotARepository as error:
        print(error)
    """
    said, _ = do(place, program)
    assert "the current directory cannot be used (No such file or directory)" in said


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("experiment='../x'", "BadName"),
        ("name='A B'", "BadName"),
        ("parent='nobody'", "RunNotFound"),
        ("resume='nobody'", "RunNotFound"),
        ("directory='/'", "NotARepository"),
    ],
)
def test_misuse_before_the_run_raises(given: str, error: str, place: Path) -> None:
    """And begins nothing: no run, no hook, no directory."""
    program = f"""\
    before = sys.exit, sys.stdout.write, os.environ.get("GITTRACK_RUN")
    try:
        lifetime.start({given})
    except GittrackError as e:
        print(type(e).__name__, active.current())
    print(before == (sys.exit, sys.stdout.write, os.environ.get("GITTRACK_RUN")))
    """
    assert do(place, program)[0] == f"{error} None\nTrue\n"
    assert runs(place) == [] and sessions.live(Repo.open(place).state) == []


def test_a_bare_repository_has_no_code_to_record(bare_dir: Path) -> None:
    """One clear line, with what helps."""
    _, said = do(bare_dir, "lifetime.start()", code=1)
    assert "is a bare repository: there is no code here to record" in said
    if sys.version_info >= (3, 11):
        assert "hint: record runs in a clone" in said


def test_what_cannot_be_written_is_said_at_once(place: Path) -> None:
    """A disk that is full, a directory that is none: before the training, not after it."""
    (place / ".git" / "gittrack" / "live").write_text("in the way")
    _, said = do(place, "lifetime.start()", code=1)
    assert "WriteFailed: cannot write to " in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_repository_is_said_at_once(place: Path) -> None:
    """Not after the training."""
    os.chmod(place / ".git", 0o555)
    os.chmod(place / ".git" / "gittrack", 0o555)
    try:
        _, said = do(place, "lifetime.start()", code=1)
    finally:
        os.chmod(place / ".git", 0o755)
        os.chmod(place / ".git" / "gittrack", 0o755)
    assert "cannot write" in said
