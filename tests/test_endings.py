"""How a process's end is told: in real processes, by what they say as they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack import endings

_WATCHING = """\
import atexit, os, signal, sys, time
from gittrack import endings

def told(error):
    return "nothing" if error is None else f"{type(error).__name__} {error}"

atexit.register(lambda: print("reason:", told(endings.reason())))
endings.watch(lambda signum: print("fatal:", signum), lambda: print("signal"))
"""


_KEPT = """\
try:
    sys.exit(3)
except SystemExit as error:
    kept = [error]
    raise
"""

_IN_A_THREAD = """\
import threading
thread = threading.Thread(target=sys.exit, args=(3,))
thread.start()
thread.join()
"""


def ending(tmp_path: Path, program: str, *options: str) -> tuple[int, list[str]]:
    """Run a program that watches how it ends -> its exit code, and what it said."""
    script = tmp_path / "program.py"
    script.write_text(_WATCHING + program)
    done = subprocess.run(
        [sys.executable, *options, script], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout.strip().split("\n")


@pytest.mark.parametrize(
    ("program", "code", "reason"),
    [
        ("pass", 0, "nothing"),
        ("sys.exit()", 0, "SystemExit None"),
        ("sys.exit(0)", 0, "SystemExit 0"),
        ("sys.exit(3)", 3, "SystemExit 3"),
        ("sys.exit('no data')", 1, "SystemExit no data"),
        ("exit(4)", 4, "SystemExit 4"),
        ("quit(5)", 5, "SystemExit 5"),
        ("1 / 0", 1, "ZeroDivisionError division by zero"),
        ("raise KeyboardInterrupt", -2, "KeyboardInterrupt"),
        ("def main():\n    1 / 0\nmain()", 1, "ZeroDivisionError division by zero"),
        ("try:\n    sys.exit(3)\nexcept SystemExit:\n    pass", 0, "nothing"),
        ("try:\n    1 / 0\nexcept ArithmeticError:\n    pass", 0, "nothing"),
        ("try:\n    sys.exit(3)\nexcept SystemExit:\n    pass\n1 / 0", 1, "ZeroDivisionError d"),
        ("try:\n    1 / 0\nexcept ArithmeticError:\n    sys.exit(6)", 6, "SystemExit 6"),
        (_KEPT, 3, "SystemExit 3"),
        ("sys.excepthook = lambda *_: None\n1 / 0", 1, "ZeroDivisionError division by zero"),
        (_IN_A_THREAD, 0, "nothing"),
    ],
)
def test_the_reason_is_what_ended_the_program(
    program: str, code: int, reason: str, tmp_path: Path
) -> None:
    """A status must not be guessed: what was handled is over, what was not is the end."""
    found, said = ending(tmp_path, program)
    assert found == code
    assert said[-1].startswith(f"reason: {reason}")


def test_an_exit_that_the_script_imported_is_seen(tmp_path: Path) -> None:
    """`from sys import exit` stands at the top of many a script."""
    program = f"from sys import exit\n{_WATCHING}\nexit(7)"
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (7, "reason: SystemExit 7")


def test_at_a_prompt_an_exception_is_not_the_end(tmp_path: Path) -> None:
    """People mistype, and go on."""
    script = tmp_path / "program.py"
    script.write_text(_WATCHING)
    done = subprocess.run(
        [sys.executable, "-i", script],
        input="1 / 0\nprint('on')\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "ZeroDivisionError" in done.stderr
    assert done.stdout.strip().split("\n") == ["on", "reason: nothing"]


# -- signals ------------------------------------------------------------------------------------

_KILL = "\nos.kill(os.getpid(), signal.{name})\ntime.sleep(0.01)\nprint('on')\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_fatal_signal_is_told_and_kills(name: str, tmp_path: Path) -> None:
    """Who waits for us must see of what we died; what was to be done was done before."""
    code, said = ending(tmp_path, _KILL.format(name=name), "-u")
    assert code == -getattr(signal, name)
    assert said == [f"fatal: {int(getattr(signal, name))}"]


def test_a_handler_of_the_users_decides(tmp_path: Path) -> None:
    """Preemption is often handled: a checkpoint, and an end of its own."""
    script = tmp_path / "program.py"
    handler = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: print('mine'))\n"
    script.write_text(handler + _WATCHING + _KILL.format(name="SIGTERM"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.split("\n")[:4] == ["signal", "mine", "on", "reason: nothing"]


def test_a_handler_installed_later_is_the_users_alone(tmp_path: Path) -> None:
    """It may call what it found before it, as Lightning's does, and nobody dies of that."""
    later = (
        "\nbefore = signal.getsignal(signal.SIGTERM)\n"
        "def mine(signum, frame):\n"
        "    print('mine')\n"
        "    before(signum, frame)\n"
        "signal.signal(signal.SIGTERM, mine)\n"
    )
    code, said = ending(tmp_path, later + _KILL.format(name="SIGTERM"))
    assert code == 0
    assert said == ["mine", "signal", "on", "reason: nothing"]


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """`nohup python train.py` says so."""
    script = tmp_path / "program.py"
    ignoring = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    script.write_text(ignoring + _WATCHING + _KILL.format(name="SIGHUP"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split("\n")[0]) == (0, "on")


def test_a_handler_that_python_does_not_know_stays(tmp_path: Path) -> None:
    """faulthandler shows where a training hangs: asking that must not kill it."""
    script = tmp_path / "program.py"
    asking = "import faulthandler, signal\nfaulthandler.register(signal.SIGUSR1)\n"
    script.write_text(asking + _WATCHING + _KILL.format(name="SIGUSR1"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split("\n")[0]) == (0, "on")
    assert "program.py" in done.stderr


def test_signals_are_noticed_from_the_first_call_in_the_main_thread(tmp_path: Path) -> None:
    """A run that a thread begins cannot have them; the next one in the main thread can."""
    program = (
        "\nimport threading\n"
        "endings.unwatch()\n"
        "def begin(): endings.watch(lambda s: print('fatal:', s), lambda: None)\n"
        "thread = threading.Thread(target=begin)\nthread.start()\nthread.join()\n"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
        "begin()\n"
    )
    code, said = ending(tmp_path, program + _KILL.format(name="SIGTERM"), "-u")
    assert (code, said) == (-signal.SIGTERM, ["True", "fatal: 15"])


def test_what_slurm_requeues_with_is_left_alone(tmp_path: Path) -> None:
    """Lightning takes SIGUSR1 to requeue its job, but only where nobody has it yet."""
    program = (
        "\nprint(signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL,"
        " signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
    )
    script = tmp_path / "program.py"
    script.write_text(_WATCHING + program)
    said = [
        subprocess.run(
            [sys.executable, script],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **extra},
        ).stdout.split("\n")[0]
        for extra in ({}, {"SLURM_JOB_ID": "17"})
    ]
    assert said == ["False False", "True False"]


def test_a_forked_child_dies_as_ever(tmp_path: Path) -> None:
    """A data loader that is terminated is not the end of the training."""
    program = (
        "\nchild = os.fork()\n"
        "if not child:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(5)\n"
        "print('child', os.WTERMSIG(os.waitpid(child, 0)[1]))\n"
    )
    assert ending(tmp_path, program) == (0, ["child 15", "reason: nothing"])


def test_what_is_deferred_comes_when_the_block_is_left(tmp_path: Path) -> None:
    """A record is not to be cut off half-way; nor is a signal to be lost."""
    program = (
        "\ntry:\n"
        "    with endings.deferred(interrupts=True):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(0.01)\n"
        "        print('within', flush=True)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
        "time.sleep(5)\n"
    )
    code, said = ending(tmp_path, program, "-u")
    assert code == -signal.SIGTERM
    assert said == ["within", "fatal: 15"]


def test_a_second_ctrl_c_is_not_held_back(tmp_path: Path) -> None:
    """Who presses it twice means it."""
    program = (
        "\ntry:\n"
        "    with endings.deferred(interrupts=True):\n"
        "        for _ in 'ab':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            time.sleep(0.01)\n"
        "        print('within')\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    assert ending(tmp_path, program)[1][0] == "interrupted"


def test_everything_is_put_back() -> None:
    """A library that is done leaves no trace in its host."""
    hooks = (sys.exit, exit, type(exit).__call__)
    handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)]
    endings.watch(lambda _: None, lambda: None)
    assert sys.exit is not hooks[0]
    assert signal.getsignal(signal.SIGTERM) is not handlers[0]
    endings.unwatch()
    assert (sys.exit, exit, type(exit).__call__) == hooks
    assert [
        signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    ] == handlers


def test_what_somebody_put_over_ours_stays() -> None:
    """Another tracker hooks `sys.exit` too; taking ours away must not take away his."""
    before, handler = sys.exit, signal.getsignal(signal.SIGUSR1)
    endings.watch(lambda _: None, lambda: None)
    try:
        theirs = lambda *_: None  # noqa: E731
        sys.exit = theirs  # type: ignore[assignment]
        signal.signal(signal.SIGUSR1, theirs)
        endings.unwatch()
        assert sys.exit is theirs and signal.getsignal(signal.SIGUSR1) is theirs
    finally:
        sys.exit = before
        signal.signal(signal.SIGUSR1, handler)
