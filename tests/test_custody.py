"""How runs of a process end with it, in every way there is; what they keep of its output."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gittrack import commits, recovery, refs, sessions
from gittrack.git import Repo
from scripts import LOGS, begin, do, only, output, ready, remembered, runs, write


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What has to be asked of an interpreter once, which takes half a second."""
    return remembered(tmp_path_factory.mktemp("asked"))


@pytest.fixture
def place(repo_dir: Path, asked: Path) -> Path:
    """A repository in which that is known."""
    shutil.copytree(asked, repo_dir / ".git" / "gittrack" / "cache")
    return repo_dir


# -- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "status", "code"),
    [
        ("", "finished", 0),
        ("sys.exit()", "finished", 0),
        ("sys.exit(3)", "failed", 3),
        ("exit(4)", "failed", 4),
        ("sys.exit('no data')", "failed", 1),
        ("lifetime.end(run)", "finished", 0),
        ("lifetime.end(run, status='killed')\nsys.exit(1)", "killed", None),
        ("lifetime.end(run, error=SystemExit(2))", "failed", 2),
        ("lifetime.end(run, error=KeyboardInterrupt())", "killed", 130),
        ("lifetime.end(run, exit_code=5)", "failed", 5),
    ],
)
def test_the_status_is_how_the_process_ends(
    last: str, status: str, code: int | None, place: Path
) -> None:
    """Whoever forgets to end a run, or cannot, has it recorded as it ended."""
    process = begin(place, LOGS + last)
    process.communicate(timeout=60)
    run = only(place)
    assert (run.status, run.exit_code, run.metrics) == (status, code, {"loss": 0.5})


def test_an_exception_has_its_traceback_in_the_record_once(place: Path) -> None:
    """What went wrong is the first thing that is asked of a failed run."""
    _, said = do(place, LOGS + "print('before')\n1 / 0", code=1)
    run = only(place)
    assert (run.status, run.exit_code) == ("failed", 1)
    kept = output(place, run)
    assert kept.startswith("before\nTraceback (most recent call last):\n")
    assert kept.count("ZeroDivisionError: division by zero") == 1
    assert said.count("ZeroDivisionError") == 1 and f"{run.name}  failed" in said


def test_an_error_that_a_block_ended_with_is_kept(place: Path) -> None:
    """`with start_run():` ends the run before Python prints anything, or the caller catches it."""
    program = "\ntry:\n    1 / 0\nexcept ArithmeticError as e:\n    lifetime.end(run, error=e)\n"
    do(place, LOGS + program)
    run = only(place)
    assert (run.status, run.exit_code) == ("failed", 1)
    assert output(place, run).count("ZeroDivisionError: division by zero") == 1


def test_ctrl_c_ends_a_loop_of_the_shell(place: Path) -> None:
    """A shell goes on with its next command unless this one died of the signal, which CPython
    forgets where an `atexit` handler imports something, as ours do."""
    program = LOGS + "import atexit\natexit.register(lambda: eval('1'))\nwait()"
    process = begin(place, program)
    ready(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_kills(place: Path) -> None:
    """The most common end of all."""
    process = begin(place, LOGS + "wait()")
    ready(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    run = only(place)
    assert process.returncode == -signal.SIGINT
    assert (run.status, run.exit_code) == ("killed", 130)
    assert "KeyboardInterrupt" in output(place, run)


_SLOWLY = """\
from gittrack import recovery
finish = recovery.finish
def slowly(*given):
    print("ready", flush=True)
    time.sleep(0.3)
    return finish(*given)
recovery.finish = slowly
"""


_BESIDE = "import threading\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "last", ["lifetime.end(run)\nwait()", "", _BESIDE], ids=["end", "exit", "thread"]
)
def test_what_comes_while_a_run_is_recorded_comes_afterwards(
    last: str, signum: signal.Signals, place: Path
) -> None:
    """The run had ended when it came: it is recorded as it ended, and the signal is not lost."""
    process = begin(place, _SLOWLY + LOGS + last)
    ready(process)
    process.send_signal(signum)
    process.communicate(timeout=60)
    assert only(place).status == "finished"
    # At the exit of the interpreter there is nothing left that Ctrl-C could interrupt.
    at_exit = "end(" not in last
    assert process.returncode == (0 if at_exit and signum == signal.SIGINT else -signum)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_fatal_signal_is_recorded_and_kills(name: str, place: Path) -> None:
    """Preemption: a machine that is taken away says so with SIGTERM, and waits a little."""
    signum = getattr(signal, name)
    process = begin(place, LOGS + "wait()")
    ready(process)
    process.send_signal(signum)
    process.communicate(timeout=60)
    run = only(place)
    assert process.returncode == -signum
    assert (run.status, run.exit_code, run.metrics) == ("killed", 128 + signum, {"loss": 0.5})


def test_a_handler_of_the_users_goes_on_with_the_run(place: Path) -> None:
    """Who saves a checkpoint on SIGTERM and leaves the loop has finished."""
    program = """\
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    run = lifetime.start()
    print("ready", flush=True)
    while not stop:
        time.sleep(0.01)
    run.log_metric("loss", 0.25)
    """
    process = begin(place, program)
    ready(process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    run = only(place)
    assert (process.returncode, run.status, run.metrics) == (0, "finished", {"loss": 0.25})


@pytest.mark.parametrize("how", ["os._exit(9)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_leaves_no_time_is_recorded_by_the_next_command(how: str, place: Path) -> None:
    """Every point whose call had returned is there."""
    points = "for step in range(1000):\n    run.log_metric('x', step, step=step)\n"
    begin(place, f"{LOGS}{points}{how}").communicate(timeout=60)
    assert runs(place) == []
    repo = Repo.open(place)
    (ref,) = recovery.recover(repo)
    run = only(place)
    assert (run.status, run.exit_code) == ("killed", None)
    steps = [row.step for row in commits.load_series(repo, ref) if "x" in row.values]
    assert steps == list(range(1000))


def test_a_terminal_that_vanishes_kills(place: Path) -> None:
    """The connection was lost, the window closed: SIGHUP, and nowhere to write to."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, write(place, LOGS + "wait()").name],
        cwd=place,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(theirs)
    seen = b""
    while b"ready" not in seen:
        seen += os.read(ours, 1024)
    os.close(ours)
    assert process.wait(timeout=60) == -signal.SIGHUP
    run = only(place)
    assert (run.status, run.exit_code) == ("killed", 129)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_run_gives_signs_of_life(place: Path) -> None:
    """One that is lost later ended no earlier than its last one."""
    process = begin(place, LOGS + "wait()")
    ready(process)
    (directory,) = sessions.live(Repo.open(place).state)
    first = (directory / "begin").stat().st_mtime_ns
    deadline = time.monotonic() + 20
    while (directory / "begin").stat().st_mtime_ns == first:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)


def test_who_is_suspended_is_not_lost(place: Path) -> None:
    """A closed laptop: nothing moves, and nobody may take the run for dead."""
    process = begin(place, LOGS + "wait(0.2)\nrun.log_metric('loss', 0.25, step=2)")
    ready(process)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    repo = Repo.open(place)
    assert recovery.recover(repo) == []
    (known,) = recovery.running(repo)
    assert known.status == "running"
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)
    assert (only(place).status, only(place).metrics) == ("finished", {"loss": 0.25})


_FORK = "child = os.fork()\nif not child:\n"


@pytest.mark.parametrize(
    "child",
    [
        f"{_FORK}    sys.exit(3)\nos.waitpid(child, 0)",
        f"{_FORK}    lifetime.end(run)\n    os._exit(0)\nos.waitpid(child, 0)",
        f"{_FORK}    1 / 0\nos.waitpid(child, 0)",
        f"{_FORK}    time.sleep(9) or os._exit(0)\nos.kill(child, 15)\n"
        "assert os.waitpid(child, 0)[1] == 15",
        "p = multiprocessing.Process(target=sys.exit, args=(2,))\np.start()\np.join()",
    ],
    ids=["exit", "end", "exception", "signal", "multiprocessing"],
)
def test_a_forked_child_ends_no_run_of_its_parents(child: str, place: Path) -> None:
    """Data loaders come and go while the training goes on."""
    do(place, f"{LOGS}{child}\nrun.log_metric('loss', 0.125)\n")
    run = only(place)
    assert (run.exit_code, run.metrics) == (0, {"loss": 0.125})


# -- output -------------------------------------------------------------------------------------


def test_output_is_kept_and_passed_on(place: Path) -> None:
    """Of both streams, in order, a forked child's too; the streams are as before afterwards."""
    # Since Python 3.12 it warns of a fork where there are threads, as ours.
    program = """\
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    before = [vars(s).get("write") for s in (sys.stdout, sys.stderr)]
    print("early")
    run = lifetime.start()
    print("one", flush=True)
    print("two", file=sys.stderr)
    sys.stdout.writelines(["three\\n"])
    sys.stdout.flush()
    child = os.fork()
    if not child:
        print("four", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    lifetime.end(run)
    print("late", before == [vars(s).get("write") for s in (sys.stdout, sys.stderr)])
    """
    said, _ = do(place, program)
    assert said == "early\none\nthree\nfour\nlate True\n"
    assert output(place, only(place)) == "one\ntwo\nthree\nfour\n"


def test_output_is_not_kept_where_that_is_switched_off(place: Path) -> None:
    """The traceback is, all the same."""
    subprocess.run(["git", "config", "track.capture", "false"], cwd=place, check=True)
    do(place, LOGS + "print('one')\n1 / 0", code=1)
    kept = output(place, only(place))
    assert "one" not in kept and kept.count("ZeroDivisionError: division by zero") == 1


def test_the_end_is_one_line_which_can_be_silenced(place: Path) -> None:
    """As `git track run` says it, on stderr: stdout is the script's."""
    said, line = do(place, LOGS + "run.log_metric('acc', 0.9)")
    name = only(place).name
    assert said == ""
    assert line.startswith(f"{name}  finished  0.") and line.endswith("s  acc 0.9  loss 0.5\n")
    subprocess.run(["git", "config", "track.quiet", "true"], cwd=place, check=True)
    assert do(place, LOGS) == ("", "")


def test_the_end_lists_what_was_not_said_yet(place: Path) -> None:
    """Who reads the last lines only learns what is wrong with the run; nobody reads it twice."""
    wrong = "\n".join(f"run.log_metric('m{place}', 'x')" for place in range(6))
    lines = do(place, LOGS + wrong)[1].splitlines()
    assert lines[0] == "gittrack: metric 'm0' not recorded: 'x' is no number"
    name = only(place).name
    assert lines[1].startswith(f"{name}  finished")
    assert lines[2:] == [
        *(f"  metric 'm{place}' not recorded: 'x' is no number" for place in (1, 2, 3)),
        f"  2 more: git track show {name}",
    ]


# -- what goes wrong ----------------------------------------------------------------------------


def test_what_cannot_be_recorded_at_the_end_waits(place: Path) -> None:
    """The script ends as it would have; the next command records it."""
    program = """\
    run = lifetime.start()
    run.log_metric("loss", 0.5)
    os.rename(".git/objects", ".git/gone")
    """
    _, said = do(place, program)
    (directory,) = (place / ".git" / "gittrack" / "live").iterdir()
    assert said.startswith(f"gittrack: {directory.name} has ended and waits to be recorded: ")
    assert said.count("\n") == 1
    (place / ".git" / "gone").rename(place / ".git" / "objects")
    recovery.recover(Repo.open(place))
    run = only(place)
    assert (run.status, run.exit_code, run.metrics) == ("finished", 0, {"loss": 0.5})


def test_a_directory_that_vanishes_under_a_run_raises_nothing(place: Path) -> None:
    """Somebody tidied up .git: the training is worth more than its record."""
    program = """\
    import shutil
    run = lifetime.start()
    shutil.rmtree(run.directory)
    print("on")
    run.log_metric("loss", 0.5)
    print(lifetime.end(run))
    """
    said, complaint = do(place, program)
    assert said == "on\nNone\n"
    assert "Traceback" not in complaint
    # And nothing waits that a next command could record.
    assert "is not recorded: somebody removed its directory" in complaint
    assert "waits" not in complaint and recovery.recover(Repo.open(place)) == []


def test_a_bug_of_ours_at_the_end_is_not_the_scripts(place: Path) -> None:
    """It says what it was, and the run waits for a version without it."""
    program = """\
    from gittrack import recovery
    run = lifetime.start()
    def finish(*_):
        raise ZeroDivisionError("a bug")
    recovery.finish = finish
    lifetime.end(run)
    print("on")
    """
    said, complaint = do(place, program)
    assert said == "on\n"
    assert complaint.endswith("waits to be recorded: ZeroDivisionError: a bug\n")
    recovery.recover(Repo.open(place))
    assert only(place).status == "finished"


def test_a_signal_in_the_midst_of_logging_is_recorded(place: Path) -> None:
    """Wherever it comes, no lock is waited for; every point whose call had returned is there."""
    program = """\
    run = lifetime.start()
    print("ready", flush=True)
    step = 0
    while True:
        run.log_metric("x", step, step=step)
        os.write(int(sys.argv[1]), b"%d\\n" % step)
        step += 1
    """
    repo = Repo.open(place)
    for delay in (0.0, 0.01, 0.03, 0.1):
        reading, writing = os.pipe()
        process = begin(place, program, str(writing), pass_fds=[writing])
        os.close(writing)
        ready(process)
        threading.Timer(delay, process.terminate).start()
        with os.fdopen(reading) as pipe:
            returned = [int(line) for line in pipe]
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGTERM
        run = runs(place)[-1]
        (ref,) = [ref for ref in refs.all_runs(repo) if ref.name == run.name]
        steps = [row.step for row in commits.load_series(repo, ref)]
        assert run.status == "killed"
        assert steps[: len(returned)] == returned and len(steps) <= len(returned) + 1


def test_a_lost_run_is_recorded_by_the_next_one(place: Path) -> None:
    """Nobody has to type anything for it."""
    begin(place, LOGS + "os.kill(os.getpid(), signal.SIGKILL)").communicate(timeout=60)
    do(place, LOGS)
    assert [run.status for run in runs(place)] == ["killed", "finished"]
