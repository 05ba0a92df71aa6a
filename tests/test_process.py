"""Real children under real terminals: what they see and do must be the same without us.

Nothing here waits for ever: the driver and every child of Python's end themselves after `LIMIT`
seconds, and what a test started is killed with its process group.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest

LIMIT = 60
FINITE = f"import resource, signal; signal.alarm({LIMIT}); "
FINITE += f"resource.setrlimit(resource.RLIMIT_CPU, ({LIMIT}, {LIMIT}))\n"

DRIVER = """
import json, os, resource, select, signal, subprocess, sys
from gittrack import process
from gittrack.errors import CommandNotStarted

where = os.environ["RECORD"]
both = open(where, "ab", buffering=0)
apart = {n: open(f"{where}.{n}", "ab", buffering=0) for n in (1, 2)}
count = ticks = 0
cpu = 0.0

def keep(data, stream):
    global count
    count += len(data)
    if "COUNT_ONLY" not in os.environ:
        both.write(data)
        apart[stream].write(data)
    if "SLOW" in os.environ:
        select.select([], [], [], 0.01)
    if "FAULT" in os.environ:
        raise RuntimeError("recorder's fault")

def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

def started(pid):
    global cpu
    cpu = used()
    with open(f"{where}.pid", "w") as file:
        file.write(f"{os.getpid()} {pid}")

def ticked():
    global ticks
    ticks += 1
    open(f"{where}.tick", "w").close()

if "EARLY" in os.environ:
    start = subprocess.Popen
    def late(*args, **kwargs):
        os.kill(os.getpid(), int(os.environ["EARLY"]))
        return start(*args, **kwargs)
    subprocess.Popen = late

before = {s: signal.getsignal(s) for s in signal.valid_signals() if s not in (9, 19)}
try:
    end = process.run(sys.argv[1:], env=os.environ, cwd=os.environ.get("CWD"), on_output=keep,
                      on_tick=ticked, tick=float(os.environ.get("TICK", 1)), on_start=started)
except CommandNotStarted as error:
    print(error.message, error.hint, file=sys.stderr)
    sys.exit(error.exit_code)
after = {s: signal.getsignal(s) for s in before}
if end.foreground:  # git may pass the keyboard's signal on as late as now
    for number in {signal.SIGINT, signal.SIGQUIT}.intersection(end.seen):
        os.kill(os.getpid(), number)
        after[number] = before[number]
with open(f"{where}.json", "w") as file:
    json.dump({"code": end.code, "signal": end.signal, "seen": end.seen, "count": count,
               "foreground": end.foreground, "undelivered": end.undelivered, "ticks": ticks,
               "cpu": used() - cpu, "restored": before == after,
               "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}, file)
sys.exit(process.die_as(end))
"""

PYTHON = sys.executable


class World:
    """A driver that calls `process.run` and writes down what it recorded."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.record = where / "record"
        self.driver = where / "driver.py"
        self.driver.write_text(FINITE + DRIVER)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHON"))}
        self.env = {**clean, "RECORD": str(self.record), "TERM": "xterm", "PS1": "$ "}
        self._spawned: list[pexpect.spawn] = []
        self._bells: list[int] = []
        self._started: list[subprocess.Popen[bytes]] = []

    def child(self, source: str) -> list[str]:
        path = self.where / f"child{len(list(self.where.glob('child*')))}.py"
        path.write_text(FINITE + source)
        return [PYTHON, str(path)]

    def argv(self, *command: str) -> list[str]:
        return [PYTHON, str(self.driver), *command]

    def line(self, *command: str) -> str:
        return shlex.join(self.argv(*command))

    def run(self, *command: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Run without a controlling terminal."""
        env = {**self.env, **more.pop("env", {})}
        return self._finish(self.argv(*command), env=env, **more)

    def shell(self, line: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        """Run a line of bash without a controlling terminal."""
        env = {**self.env, **env}
        return self._finish(["bash", "-c", line], env=env, cwd=self.where, stdin=subprocess.DEVNULL)

    def _finish(self, argv: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Like `subprocess.run`, which would wait for ever for a grandchild that holds a pipe."""
        child = self._popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        out, err = child.communicate(timeout=LIMIT)
        return subprocess.CompletedProcess(argv, child.returncode, out, err)

    def _popen(self, argv: list[str], **more: Any) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(argv, start_new_session=True, **more)
        self._started.append(child)
        return child

    def spawn(self, *argv: str, **env: str) -> pexpect.spawn:
        """Run `argv` as the session leader of a terminal of 31 x 97."""
        terminal = pexpect.spawn(
            argv[0], list(argv[1:]), env={**self.env, **env}, cwd=str(self.where), timeout=20,
            dimensions=(31, 97), preexec_fn=keep_what_is_written,
        )  # fmt: skip
        terminal.delaybeforesend = None
        self._spawned.append(terminal)
        return terminal

    def start(self, *command: str, **more: Any) -> subprocess.Popen[bytes]:
        """Start without a controlling terminal, with pipes to stdin and from stdout."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        env = {**self.env, **more.pop("env", {})}
        return self._popen(self.argv(*command), env=env, **{**pipes, **more})

    def terminal(self, *command: str, **env: str) -> pexpect.spawn:
        return self.spawn(*self.argv(*command), **env)

    def bash(self, **env: str) -> pexpect.spawn:
        """Start an interactive bash with job control, at its prompt `$ `."""
        bash = self.spawn("bash", "--norc", "--noprofile", "-i", **env)
        bash.sendline("bind 'set enable-bracketed-paste off'; stty -echo; PS1='>''> '")
        bash.expect_exact(">> ")
        return bash

    def end(self, terminal: pexpect.spawn) -> dict[str, Any]:
        """Wait for the driver to end; what it says about the child."""
        terminal.expect(pexpect.EOF)
        terminal.wait()
        return self.told()

    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.record.with_suffix(".json").read_text())
        assert told["restored"], "signal handlers were not given back"
        return told

    @property
    def recorded(self) -> bytes:
        return self.record.read_bytes()

    def stream(self, number: int) -> bytes:
        return self.record.with_suffix(f".{number}").read_bytes()

    @property
    def recorder(self) -> int:
        return int(self.record.with_suffix(".pid").read_text().split()[0])

    def bell(self, name: str) -> int:
        """Make a FIFO that a child writes to, to tell the test something past the driver."""
        os.mkfifo(self.where / name)
        self._bells.append(os.open(self.where / name, os.O_RDWR))
        return self._bells[-1]

    def close(self) -> None:
        for bell in self._bells:
            os.close(bell)
        for terminal in self._spawned:
            terminal.close(force=True)
        for child in self._started:
            with child:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)


def keep_what_is_written() -> None:
    """Let Ctrl-C and the like discard no output that is under way.

    The kernel sends the signal first and empties the terminal's buffers after: a child that
    answers between the two is not heard.
    """
    settings = termios.tcgetattr(0)
    settings[3] |= termios.NOFLSH
    termios.tcsetattr(0, termios.TCSANOW, settings)


def rings(bell: int) -> bool:
    """Wait for a bell, 20 seconds at most."""
    return bool(select.select([bell], [], [], 20)[0])


@pytest.fixture
def world(tmp_path: Path) -> Any:
    world = World(tmp_path)
    yield world
    world.close()


# ---- what the child sees

SEES = "import os\nprint(*(os.isatty(n) for n in (0, 1, 2)), file=open('sees', 'w'))"


@pytest.mark.parametrize(
    ("redirection", "sees"),
    [
        ("", "True True True"),
        (">out", "True False True"),
        ("2>err", "True True False"),
        ("</dev/null", "False True True"),
        (">out 2>&1", "True False False"),
        ("| cat", "True False True"),
        ("2>/dev/tty", "True True True"),
    ],
)
def test_each_stream_is_a_terminal_for_the_child_when_it_is_for_us(
    world: World, redirection: str, sees: str
) -> None:
    """Colours, progress bars and prompts hang on isatty, stream by stream."""
    shell = world.spawn("bash", "-c", f"{world.line(*world.child(SEES))} {redirection}")
    world.end(shell)
    assert (world.where / "sees").read_text().strip() == sees


def test_a_terminals_bytes_are_kept_as_the_child_wrote_them(world: World) -> None:
    """The record is the child's bytes: no carriage return that only the terminal adds."""
    terminal = world.terminal("printf", r"\033[31mred\033[0m\n50%%\r100%%\n")
    terminal.expect_exact("\x1b[31mred\x1b[0m\r\n50%\r100%\r\n")
    world.end(terminal)
    assert world.recorded == b"\x1b[31mred\x1b[0m\n50%\r100%\n"


def test_every_byte_value_passes_a_pipe_and_a_terminal_unchanged(world: World) -> None:
    """Images and archives are printed too; a record that changes them is none."""
    source = "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 1000)"
    command = world.child(source)
    assert world.run(*command).stdout == world.recorded == bytes(range(256)) * 1000
    world.record.unlink()
    terminal = world.terminal(*command)
    world.end(terminal)
    assert world.recorded == bytes(range(256)) * 1000


def test_window_size_is_ours_and_follows_ours(world: World) -> None:
    """A progress bar is as wide as the window, also after the window was dragged."""
    source = """
import os, signal
def show(*_): os.write(1, b"size %d %d\\n" % os.get_terminal_size(1))
signal.signal(signal.SIGWINCH, show)
show()
input()
"""
    terminal = world.terminal("sh", "-c", shlex.join(world.child(source)) + "; true")
    terminal.expect_exact("size 97 31")
    terminal.setwinsize(40, 111)
    terminal.expect_exact("size 111 40")
    terminal.sendline("")
    assert world.end(terminal)["code"] == 0


def test_inherited_descriptors_reach_the_child(world: World) -> None:
    """bash's <(...) and make's job server are descriptors above 2."""
    result = world.shell(f"{world.line('cat')} <(echo from above)")
    assert result.stdout == b"from above\n", result.stderr


def test_closed_streams_stay_closed(world: World) -> None:
    """Without us the child would find them closed; and our own files must not land there."""
    source = """
import os
def closed(n):
    try: os.fstat(n)
    except OSError: return True
    return False
saw = [closed(n) for n in (0, 1, 2)]
print(*saw, file=open(os.environ["SAW"], "w"))
"""
    line = world.line(*world.child(source))
    for redirections, saw in ((">&-", "False True False"), ("<&- 2>&-", "True False True")):
        result = world.shell(f"{line} {redirections}", SAW=str(world.where / "saw"))
        assert (result.returncode, result.stderr) == (0, b"")
        assert (world.where / "saw").read_text().strip() == saw


# ---- the keyboard

COUNTS = """
import os, signal
count = 0
def heard(*_):
    global count
    count += 1
    os.write(1, b"heard %d\\n" % count)
signal.signal(signal.SIGINT, heard)
print("ready", flush=True)
while input() != "end": pass
print("total", count)
"""


def test_ctrl_c_reaches_the_child_once_each_time(world: World) -> None:
    """Many programs save at the first Ctrl-C and drop everything at the second."""
    terminal = world.terminal(*world.child(COUNTS))
    terminal.expect_exact("ready")
    for n in (1, 2):
        terminal.sendintr()
        terminal.expect_exact(f"heard {n}")
    terminal.sendline("end")
    terminal.expect_exact("total 2")
    told = world.end(terminal)
    assert (told["code"], told["signal"], told["seen"]) == (0, None, [signal.SIGINT])


@pytest.mark.parametrize(
    ("key", "number"), [("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)], ids=["INT", "QUIT"]
)
def test_a_key_that_ends_the_child_ends_us_the_same_way(
    world: World, key: str, number: signal.Signals
) -> None:
    """A shell looks at how we died to decide whether to go on."""
    terminal = world.terminal("sh", "-c", "ulimit -c 0; echo ready; exec cat")
    terminal.expect_exact("ready")
    terminal.send(key)
    told = world.end(terminal)
    assert (told["code"], told["signal"]) == (128 + number, number)
    assert told["foreground"] and told["seen"] == [number]
    assert terminal.signalstatus == number


@pytest.mark.parametrize("through_git", [False, True], ids=["direct", "git track"])
def test_ctrl_c_ends_a_loop_in_the_shell(world: World, repo_dir: Path, through_git: bool) -> None:
    """`for seed in 1 2 3; do git track run ...` must stop as it does without git track."""
    tool = Path(PYTHON).with_name("git-track")
    child = ["sh", "-c", "echo ready; exec cat"]
    command = (
        shlex.join(["git", "track", "run", "--", *child]) if through_git else world.line(*child)
    )
    bash = world.bash(GIT_CONFIG_GLOBAL=os.environ["GIT_CONFIG_GLOBAL"])
    bash.sendline(f"cd {shlex.quote(str(repo_dir))}; type -p git-track")
    bash.expect_exact(f"{tool}\r\n>> ")
    bash.sendline(f"for i in 1 2 3; do echo round $i; {command}; done; echo over")
    bash.expect_exact("ready")
    bash.sendintr()
    assert bash.expect_exact([">> ", "round 2", "over"]) == 0
    assert (b"killed" in bash.before) == through_git  # a SIGINT that git passes on late is no harm
    bash.sendline("echo status $?")
    bash.expect_exact("status 130")


def test_ctrl_c_reaches_the_child_once_through_git(world: World) -> None:
    """git passes the SIGINT on that the terminal has given to us and the child already."""
    tool = world.where / "git-track"
    tool.write_text(f'#!/bin/sh\nexec {world.line()} "$@"\n')
    tool.chmod(0o755)
    terminal = world.spawn(
        "git", "track", *world.child(COUNTS), PATH=f"{world.where}:{os.environ['PATH']}"
    )
    terminal.expect_exact("ready")
    terminal.sendintr()
    terminal.expect_exact("heard 1")
    terminal.sendline("end")
    terminal.expect_exact("total 1")
    assert world.end(terminal)["code"] == 0


def test_ctrl_z_and_fg_work(world: World) -> None:
    """Stopping a training to free the GPU for a minute is everyday work."""
    bash = world.bash()
    source = "print('ready', flush=True)\nprint('got', input())"
    bash.sendline(world.line(*world.child(source)))
    bash.expect_exact("ready")
    bash.send("\x1a")
    bash.expect_exact("Stopped")
    bash.expect_exact(">> ")
    bash.sendline("fg")
    bash.expect_exact("driver.py")
    bash.sendline("hello")
    bash.expect_exact("got hello")
    bash.expect_exact(">> ")
    assert world.told()["code"] == 0


def test_settings_are_made_again_when_we_continue(world: World) -> None:
    """A shell resets the terminal when a job stops, and not every shell remembers for `fg`."""
    source = """
import select, termios
def wait_for(echo):
    while bool(termios.tcgetattr(0)[3] & termios.ECHO) != echo: select.select([], [], [], 0.001)
new = termios.tcgetattr(1)
new[3] &= ~termios.ECHO
termios.tcsetattr(1, termios.TCSANOW, new)
wait_for(False)
print("hidden", flush=True)
wait_for(True)
open("shown", "w").write("!")
wait_for(False)
print("again", flush=True)
"""
    shown = world.bell("shown")
    terminal = world.terminal(*world.child(source))
    terminal.expect_exact("hidden")
    os.kill(terminal.pid, signal.SIGSTOP)
    os.waitpid(terminal.pid, os.WUNTRACED)
    settings = termios.tcgetattr(terminal.child_fd)
    settings[3] |= termios.ECHO
    termios.tcsetattr(terminal.child_fd, termios.TCSANOW, settings)
    assert rings(shown)
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.expect_exact("again")
    assert world.end(terminal)["code"] == 0


def test_a_window_that_changed_while_we_were_stopped_is_seen(world: World) -> None:
    """The kernel tells only the foreground: nobody else will say it to us and to the child."""
    source = """
import os, signal
signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b"size %d %d\\n" % os.get_terminal_size(1)))
print("ready", flush=True)
input()
"""
    bash = world.bash()
    bash.sendline(world.line(*world.child(source)))
    bash.expect_exact("ready")
    bash.send("\x1a")
    bash.expect_exact("Stopped")
    bash.expect_exact(">> ")
    bash.setwinsize(40, 111)
    bash.sendline("fg")
    bash.expect_exact("size 111 40")
    bash.sendline("")
    bash.expect_exact(">> ")
    assert world.told()["code"] == 0


def test_the_childs_last_words_before_it_stops_are_shown_first(world: World) -> None:
    """A full-screen program leaves the screen when stopped; the shell's prompt comes after."""
    source = """
import os, signal
def stop(*_):
    os.write(1, b"leaving\\n")
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    os.write(1, b"back\\n")
signal.signal(signal.SIGTSTP, stop)
print("ready", flush=True)
print("got", input())
"""
    bash = world.bash()
    bash.sendline(world.line(*world.child(source)))
    bash.expect_exact("ready")
    bash.send("\x1a")
    assert bash.expect_exact(["leaving", "Stopped"]) == 0
    bash.expect_exact("Stopped")
    bash.sendline("fg")
    bash.expect_exact("back")
    bash.sendline("x")
    bash.expect_exact("got x")


def test_we_do_not_stop_when_the_child_does_not(world: World) -> None:
    """A child that refuses Ctrl-Z keeps the terminal, as it does without us."""
    source = """
import os, signal
signal.signal(signal.SIGTSTP, lambda *_: os.write(1, b"refused\\n"))
print("ready", flush=True)
print("got", input())
"""
    bash = world.bash()
    bash.sendline(world.line(*world.child(source)))
    bash.expect_exact("ready")
    bash.send("\x1a")
    bash.expect_exact("refused")
    bash.sendline("on")
    assert bash.expect_exact(["got on", "Stopped"]) == 0


# ---- prompts and full screens


def test_readline_edits_and_getpass_hides(world: World) -> None:
    """input() has its line editing, a password is not shown."""
    source = """
import getpass, readline
print("said", input("name? "))
print("secret of", len(getpass.getpass("password? ")))
"""
    terminal = world.terminal(*world.child(source))
    terminal.expect_exact("name? ")
    terminal.send("world\x01hello \r")
    terminal.expect_exact("password? ")
    terminal.sendline("hunter22")
    assert terminal.expect_exact(["hunter22", "secret of 8"]) == 1
    world.end(terminal)
    assert b"said hello world" in world.recorded


def test_the_debugger_stops_and_goes_on(world: World) -> None:
    """breakpoint() in a recorded script is as good as in another."""
    terminal = world.terminal(*world.child("x = 41\nbreakpoint()\nprint('x is', x)\n"))
    terminal.expect_exact("(Pdb) ")
    terminal.sendline("x = x + 1")
    terminal.expect_exact("(Pdb) ")
    terminal.sendline("continue")
    terminal.expect_exact("x is 42")
    assert world.end(terminal)["code"] == 0


def test_settings_made_on_stdout_hold_for_the_keyboard(world: World) -> None:
    """The keyboard belongs to the real terminal; nothing is printed after the change here."""
    source = """
import select, sys, termios
print("password", flush=True)
new = termios.tcgetattr(1)
new[3] &= ~termios.ECHO
termios.tcsetattr(1, termios.TCSANOW, new)
while termios.tcgetattr(0)[3] & termios.ECHO: select.select([], [], [], 0.001)
print("hidden", flush=True)
input()
"""
    terminal = world.terminal(*world.child(source))
    terminal.expect_exact("hidden")
    before = termios.tcgetattr(terminal.child_fd)
    assert not before[3] & termios.ECHO
    terminal.sendline("hunter22")
    terminal.expect(pexpect.EOF)
    assert b"hunter22" not in terminal.before
    world.told()


CURSES = """
import curses, select, termios
def main(screen):
    cooked = termios.ICANON | termios.ECHO
    while termios.tcgetattr(0)[3] & cooked: select.select([], [], [], 0.001)
    screen.addstr(2, 4, "%d x %d" % screen.getmaxyx())
    screen.addstr(4, 4, "press")
    screen.refresh()
    key = screen.getkey()
    screen.addstr(6, 4, "key " + key)
    screen.move(7, 0)
    screen.refresh()
    screen.getkey()
curses.wrapper(main)
print("after")
print("wards")
"""


def test_a_curses_child_draws_and_reads_single_keys(world: World) -> None:
    """curses changes the terminal through stdout and reads keys through stdin."""
    shell = world.spawn("bash", "-c", f"{world.line(*world.child(CURSES))}; stty -a")
    screen = pyte.Screen(97, 31)
    stream = pyte.ByteStream(screen)
    before = termios.tcgetattr(shell.child_fd)
    for awaited, key in (("press", "a"), ("key", "b")):
        shell.expect_exact(awaited)
        stream.feed(shell.before + shell.after)
        if awaited == "key":
            shell.expect_exact("a")
            stream.feed(shell.before + shell.after)
            assert screen.display[2].rstrip() == "    31 x 97"
            assert screen.display[4].rstrip() == "    press"
            assert screen.display[6].rstrip() == "    key a"
        shell.send(key)
    shell.expect_exact("after\r\nwards\r\n")
    shell.expect_exact(" icanon")
    shell.expect(pexpect.EOF)
    assert before[3] & termios.ECHO
    world.told()


def test_the_terminal_is_given_back_when_a_curses_child_is_killed(world: World) -> None:
    """A shell after us must find echo and line editing on, and newlines mapped."""
    line = world.line(*world.child(CURSES))
    shell = world.spawn("bash", "-c", f"stty -a >before; {line}; stty -a >after; cmp before after")
    shell.expect_exact("press")
    now = termios.tcgetattr(shell.child_fd)
    assert not now[3] & (termios.ECHO | termios.ICANON)
    os.kill(int((world.where / "record.pid").read_text().split()[1]), signal.SIGKILL)
    assert world.end(shell)["code"] == 137
    assert shell.exitstatus == 0


def test_a_killed_recorder_leaves_the_terminal_sane(world: World) -> None:
    """SIGKILL asks nobody: so the terminal is never made raw in the first place."""
    line = world.line("sh", "-c", "echo ready; exec cat")
    shell = world.spawn("bash", "-c", f"stty -a >before; {line}; stty -a >after; cmp before after")
    shell.expect_exact("ready")
    os.kill(world.recorder, signal.SIGKILL)
    shell.expect(pexpect.EOF)
    shell.wait()
    assert shell.exitstatus == 0


# ---- streams

TWO = "import os\nfor n in range(200): os.write(1 + n % 2, b'%d\\n' % n)"
IN_ORDER = b"".join(b"%d\n" % n for n in range(200))


def test_errors_stay_apart_where_they_go_apart(world: World) -> None:
    """`2>err` is a promise of the shell."""
    result = world.run(*world.child(TWO))
    assert result.stdout == world.stream(1) == b"".join(b"%d\n" % n for n in range(0, 200, 2))
    assert result.stderr == world.stream(2) == b"".join(b"%d\n" % n for n in range(1, 200, 2))


@pytest.mark.parametrize("redirection", [">log 2>&1", "2>&1 | cat >log", ">log 2>>log"])
def test_streams_to_one_place_keep_their_exact_order(world: World, redirection: str) -> None:
    """A traceback stands where it happened, in the user's log and in the record."""
    world.shell(f"{world.line(*world.child(TWO))} {redirection}")
    assert (world.where / "log").read_bytes() == world.recorded == IN_ORDER


def test_a_terminal_shows_both_streams_in_exact_order(world: World) -> None:
    """One pseudo-terminal for both: two would race."""
    terminal = world.terminal(*world.child(TWO))
    terminal.expect_exact(IN_ORDER.replace(b"\n", b"\r\n"))
    world.end(terminal)
    assert world.recorded == IN_ORDER


def test_output_is_passed_on_at_once(world: World) -> None:
    """A line without its end is shown when it is written, also into a pipe."""
    child = world.start("sh", "-c", "printf part; read x; echo $x")
    assert child.stdout is not None
    assert os.read(child.stdout.fileno(), 100) == b"part"
    assert child.communicate(b"rest\n", timeout=20)[0] == b"rest\n"


def test_a_reader_that_leaves_ends_the_child(world: World) -> None:
    """`| head` must end an endless child with SIGPIPE, not fill the disk with its record."""
    result = world.shell(f"{world.line('yes')} | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert result.stdout == b"y\n141\n"
    assert world.told()["signal"] == signal.SIGPIPE


def test_a_reader_at_a_socket_that_leaves_ends_the_child(world: World) -> None:
    """Where nobody tells that the reader left (sockets; pipes on macOS), a refused write does."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = world.start("head", "-c", "100000000", "/dev/zero", stdout=theirs)
        theirs.close()
        assert ours.recv(1) == b"\0"
        ours.close()
        assert child.wait(timeout=20) == 128 + signal.SIGPIPE
    assert world.told()["signal"] == signal.SIGPIPE


@pytest.mark.skipif(sys.platform == "darwin", reason="its poll does not tell of lost readers")
def test_the_first_write_after_the_reader_left_fails_already(world: World) -> None:
    """Without us it would; a child that writes once an hour must not compute for another hour."""
    source = """
import os, select, sys
print("first", flush=True)
poll = select.poll()
poll.register(1, 0)
poll.poll()
try: os.write(1, b"second")
except BrokenPipeError: sys.exit(9)
"""
    child = world.start(*world.child(source))
    assert child.stdout is not None
    assert child.stdout.readline() == b"first\n"
    child.stdout.close()
    assert child.wait(timeout=20) == 9
    assert world.told()["cpu"] < 0.1


@pytest.mark.parametrize("way", [">/dev/null", "| wc -c >&2"])
def test_memory_stays_bounded_by_100_megabytes_of_output(world: World, way: str) -> None:
    """A chatty training of a week must not eat the machine."""
    line = world.line("head", "-c", "100000000", "/dev/zero")
    result = world.shell(f"{line} {way}", COUNT_ONLY="1")
    assert result.returncode == 0
    told = world.told()
    assert told["count"] == 100_000_000
    assert told["peak"] < 60_000 * (1024 if sys.platform == "darwin" else 1)


@pytest.mark.parametrize("noise", ["sleep 60", "yes"])
def test_a_grandchild_in_the_background_does_not_hold_us(world: World, noise: str) -> None:
    """`server &` keeps the pipe open for ever, and may go on writing."""
    result = world.shell(f"{world.line('sh', '-c', f'{noise} & echo $!')} >log")
    assert result.returncode == 0
    pid = next(int(word) for word in world.recorded.split() if word.isdigit())
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        assert noise == "yes"


def test_noise_after_the_end_stops_while_other_output_waits_for_its_reader(world: World) -> None:
    """`noise & ` on stdout, stderr in a pager: else we would spin and record noise for ever."""
    source = """
import os
def ring(name): open(name, "w").write("!\\n")
try:
    for n in range(1 << 40):
        os.write(1, bytes(1 << 16))
        if n == 20: ring("noisy")
except BrokenPipeError: ring("gone")
"""
    noise = shlex.join(world.child(source))
    gone, _ = world.bell("gone"), world.bell("noisy")
    child = world.start(
        "sh", "-c", f"{noise} & read x <noisy; head -c 120000 /dev/zero >&2", cwd=world.where,
        env={"SLOW": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert rings(gone), "the noise is still listened to"
    assert child.communicate(timeout=20)[1] == bytes(120_000)
    assert child.returncode == 0 and world.told()["cpu"] < 1


def test_a_full_disk_under_our_stdout_does_not_harm_child_or_record(world: World) -> None:
    """The record is elsewhere; what did not get out is counted."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    assert world.shell(f"{world.line('echo', 'hello')} >/dev/full").returncode == 0
    assert world.recorded == b"hello\n"
    assert world.told()["undelivered"] == 6


# ---- signals


@pytest.mark.parametrize("name", ["TERM", "HUP", "USR1", "USR2", "INT", "QUIT"])
def test_a_signal_sent_to_us_alone_is_passed_on_once(world: World, name: str) -> None:
    """Schedulers warn the process that they started, and that is us."""
    source = f"""
import os, signal, sys
heard = []
signal.signal(signal.SIG{name}, lambda *_: (heard.append(1), os.write(1, b"heard\\n")))
print("ready", flush=True)
sys.stdin.readline()
sys.exit(20 + len(heard))
"""
    child = world.start(*world.child(source))
    assert child.stdin is not None and child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    number = signal.Signals[f"SIG{name}"]
    child.send_signal(number)
    assert child.stdout.readline() == b"heard\n"
    child.communicate(b"\n", timeout=20)
    assert child.returncode == 21
    assert world.told()["seen"] == [number]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_just_before_the_start_is_not_lost(world: World, number: int) -> None:
    """The child was not there to hear it, not even from the keyboard."""
    terminal = world.terminal("cat", EARLY=str(int(number)))
    told = world.end(terminal)
    assert (told["signal"], told["seen"]) == (number, [number])


def test_exit_code_of_a_signal_that_we_saw_counts_as_that_signal(world: World) -> None:
    """A shell in between turns a death by SIGTERM into 143."""
    child = world.start("bash", "-c", "trap 'exit 143' TERM; echo ready; read x")
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.terminate()
    assert child.wait(timeout=20) == 143
    assert world.told()["signal"] == signal.SIGTERM


def test_output_after_the_terminal_was_closed_is_recorded(world: World) -> None:
    """Closing the laptop's window must not lose the last checkpoint's line."""
    source = """
import os, signal, sys
def hung_up(*_):
    for n in range(1000): os.write(1, b"after %d\\n" % n)
    sys.exit(5)
signal.signal(signal.SIGHUP, hung_up)
print("ready", flush=True)
signal.pause()
signal.pause()
"""
    terminal = world.terminal(*world.child(source))
    terminal.expect_exact("ready")
    terminal.ptyproc.fileobj.close()
    terminal.closed = terminal.ptyproc.closed = True
    os.waitpid(terminal.pid, 0)
    terminal.ptyproc.terminated = terminal.terminated = True
    told = world.told()
    assert told["code"] == 5 and told["seen"] == [signal.SIGHUP]
    assert world.recorded.endswith(b"after 999\n")


def test_sighup_that_nohup_ignores_stays_ignored(world: World) -> None:
    """`nohup git track run ...` is how people leave for the night."""
    source = "import signal\nprint(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"
    assert world.shell(f"nohup {world.line(*world.child(source))}").stdout == b"True\n"


def test_the_child_has_the_usual_signal_handling(world: World) -> None:
    """Python ignores SIGPIPE and we catch the rest: nothing of it is inherited."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    world.run("grep", "-E", "Sig(Ign|Blk)", "/proc/self/status")
    assert [int(line.split()[1], 16) for line in world.recorded.splitlines()] == [0, 0]


def test_a_signal_is_passed_on_while_nobody_reads_our_output(world: World) -> None:
    """`| less` that waits for a key must not make the child immortal."""
    child = world.start("yes")
    assert child.stdout is not None
    assert child.stdout.read(2) == b"y\n"
    child.terminate()
    assert child.wait(timeout=20) == 143
    child.stdout.close()
    assert world.told()["signal"] == signal.SIGTERM


# ---- the end


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        ("exit 0", 0, None),
        ("exit 3", 3, None),
        ("kill -TERM $$", 143, signal.SIGTERM),
        ("kill -KILL $$", 137, signal.SIGKILL),
        ("exit 143", 143, None),
        ("exit 255", 255, None),
    ],
)
def test_the_exit_code_is_the_shells(
    world: World, line: str, code: int, number: int | None
) -> None:
    """`&&`, make and CI decide by it."""
    assert world.run("sh", "-c", line).returncode == code
    assert world.told()["signal"] == number


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("no-such-program", 127, "command 'no-such-program' not found"),
        ("./no-such-file", 127, "not found"),
        ("plain.py", 127, "start it as 'python plain.py'"),
        ("./plain.py", 126, "chmod +x"),
        ("./text", 126, "first line"),
        ("./broken", 126, "first line names"),
        ("./folder", 126, "It is a directory."),
    ],
)
def test_a_command_that_cannot_start_says_why(
    world: World, command: str, code: int, says: str
) -> None:
    """The shell's codes, and a hint that helps."""
    (world.where / "folder").mkdir()
    (world.where / "plain.py").write_text("print()")
    for name, content in (("text", "hello"), ("broken", "#!/no/such/interpreter\n")):
        (world.where / name).write_text(content)
        (world.where / name).chmod(0o755)
    result = world.run(command, env={"CWD": str(world.where)})
    assert result.returncode == code
    assert says in result.stderr.decode()
    assert not world.record.with_suffix(".pid").exists()


def test_relative_programs_are_seen_from_the_childs_directory(world: World) -> None:
    """As if the user had changed there first; PATH is the child's."""
    (world.where / "bin").mkdir()
    program = world.where / "bin" / "tool"
    program.write_text("#!/bin/sh\npwd\n")
    program.chmod(0o755)
    for command, path in (("bin/tool", "/usr/bin:/bin"), ("tool", f"{program.parent}:/bin")):
        result = world.run(command, env={"CWD": str(world.where), "PATH": path})
        assert result.stdout.decode().strip() == str(world.where), result.stderr


def test_waiting_costs_no_cpu(world: World) -> None:
    """A recorder that spins steals a core from the training."""
    terminal = world.terminal("sh", "-c", "echo started; sleep 0.5; (sleep 0.3 &); echo done")
    terminal.expect_exact("started")
    assert world.end(terminal)["cpu"] < 0.1


def test_ticks_come_without_output(world: World) -> None:
    """A silent training gives signs of life too, and its code is kept from `git gc`."""
    script = "until [ -e record.tick ]; do read -t 0.02 x <>fifo; done; rm record.tick; "
    os.mkfifo(world.where / "fifo")
    terminal = world.terminal("bash", "-c", script * 3, TICK="0.01")
    assert world.end(terminal)["ticks"] >= 3


def test_a_fault_of_the_recorder_does_not_harm_the_child(world: World) -> None:
    """The training goes on to its end; then the fault is ours to tell."""
    source = "import os\nfor n in range(5): os.write(1, b'%d' % n)\nopen('whole', 'w').close()"
    result = world.run(*world.child(source), env={"FAULT": "1"}, cwd=world.where)
    assert (world.where / "whole").exists()
    assert result.stdout == b"01234"
    assert b"RuntimeError: recorder's fault" in result.stderr
