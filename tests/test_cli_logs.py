"""`git track logs`: of recorded runs, and of running ones, followed to their end and beyond."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Track
from gittrack.cli import logs
from test_index import record

Until = Callable[..., None]

SCRIPT = """
import os, pathlib, sys, time
gates = pathlib.Path(sys.argv[1])
for part in sys.argv[2:]:
    name, _, text = part.partition(":")
    end = time.monotonic() + 60
    while not (gates / name).exists():
        if time.monotonic() > end:
            sys.exit("nobody opened " + name)
        time.sleep(0.005)
    sys.stdout.write(text.encode().decode("unicode_escape"))
    sys.stdout.flush()
"""


class Stage:
    """A repository with runs whose output comes when a gate is opened, and their followers."""

    def __init__(self, place: Path, gates: Path, until: Until) -> None:
        self.place = place
        self.gates = gates
        self.until = until
        self.children: list[subprocess.Popen[bytes]] = []

    def run(self, *parts: str, name: str = "slow") -> subprocess.Popen[bytes]:
        """Start a run which prints `text` of each `gate:text` when the gate is open."""
        command = [sys.executable, "-c", SCRIPT, os.fspath(self.gates), *parts]
        child = self.track("run", "--name", name, "--", *command, stdout=subprocess.DEVNULL)
        self.until(lambda: self.directory(name) is not None)
        return child

    def directory(self, name: str = "slow") -> Path | None:
        live = self.place / ".git" / "gittrack" / "live"
        return next(iter(live.glob(f"{name}-*")), None)

    def open(self, *gates: str) -> None:
        for gate in gates:
            (self.gates / gate).touch()

    def track(self, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-m", "gittrack", *words],
            cwd=self.place, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.children.append(child)
        return child

    def written(self, text: bytes, name: str = "slow") -> None:
        """Wait until the run has printed this."""

        def there() -> bool:
            directory = self.directory(name)
            return directory is not None and text in (directory / "output").read_bytes()

        self.until(there)


def read(child: subprocess.Popen[bytes], length: int) -> bytes:
    """Exactly so many bytes of a child's output."""
    assert child.stdout is not None
    return child.stdout.read(length)


@pytest.fixture
def stage(repo_dir: Path, tmp_path: Path, until: Until) -> Iterator[Stage]:
    gates = tmp_path / "gates"
    gates.mkdir()
    made = Stage(repo_dir, gates, until)
    yield made
    for child in made.children:
        if child.poll() is None:
            child.kill()
        child.communicate()


# -- followed ---------------------------------------------------------------------------------


def test_what_is_written_is_followed_until_the_run_ends(stage: Stage, track: Track) -> None:
    """Each part comes when it is written, all of it once, and the end of the run is ours."""
    stage.run("a:one\\n", "b:two\\nthr", "c:ee\\n")
    follower = stage.track("logs", "-f", "slow")
    stage.open("a")
    assert read(follower, 4) == b"one\n"
    stage.open("b")
    assert read(follower, 7) == b"two\nthr"
    stage.open("c")
    rest, talk = follower.communicate(timeout=20)
    assert (rest, talk, follower.returncode) == (b"ee\n", b"", 0)
    assert track(stage.place, "logs", check=0).stdout == "one\ntwo\nthree\n"


def test_a_run_that_is_recorded_meanwhile_has_no_gap_and_no_repetition(
    stage: Stage, until: Until
) -> None:
    """The directory is gone before the follower looks again: the open file still has the rest."""
    runner = stage.run("a:one\\n", "b:two\\n")
    follower = stage.track("logs", "-f")
    stage.open("a")
    assert read(follower, 4) == b"one\n"
    follower.send_signal(signal.SIGSTOP)
    stage.open("b")
    assert runner.wait(20) == 0 and stage.directory() is None
    follower.send_signal(signal.SIGCONT)
    rest, talk = follower.communicate(timeout=20)
    assert (rest, talk, follower.returncode) == (b"two\n", b"", 0)


def test_a_follower_outlives_a_killed_recorder(stage: Stage, until: Until) -> None:
    """Nobody will write to it any more: what is there is printed, and that was all."""
    runner = stage.run("a:one\\n", "never:x")
    stage.open("a")
    stage.written(b"one\n")
    directory = stage.directory()
    assert directory is not None
    follower = stage.track("logs", "-f", "slow")
    assert read(follower, 4) == b"one\n"
    runner.kill()
    stage.open("never")
    rest, talk = follower.communicate(timeout=20)
    assert (rest, talk, follower.returncode) == (b"", b"", 0)


def test_a_run_that_has_ended_is_printed_whole(stage: Stage, track: Track) -> None:
    """Whoever comes too late gets what the others got."""
    stage.open("a")
    stage.run("a:one\\ntwo\\n").wait(20)
    assert track(stage.place, "logs", "-f", "slow", check=0).stdout == "one\ntwo\n"


def test_ctrl_c_ends_it_quietly(stage: Stage) -> None:
    """As it ends `tail -f`; the run goes on."""
    runner = stage.run("a:one\\n", "b:two\\n")
    stage.open("a")
    follower = stage.track("logs", "-f", "slow")
    assert read(follower, 4) == b"one\n"
    follower.send_signal(signal.SIGINT)
    rest, talk = follower.communicate(timeout=20)
    assert (rest, talk, follower.returncode) == (b"", b"", 130)
    stage.open("b")
    assert runner.wait(20) == 0


def test_a_reader_that_goes_takes_the_follower_along(stage: Stage) -> None:
    """`logs -f | head -1` must not wait for a line that comes in an hour."""
    stage.run("a:one\\n", "never:x")
    stage.open("a")
    follower = stage.track("logs", "-f", "slow")
    assert read(follower, 4) == b"one\n"
    assert follower.stdout is not None and follower.stderr is not None
    follower.stdout.close()
    assert follower.wait(20) == -signal.SIGPIPE
    assert follower.stderr.read() == b""


def test_a_run_of_a_python_process_is_followed_too(
    stage: Stage, tmp_path: Path, until: Until
) -> None:
    """What the script prints after `start_run` is the run's output, whoever records it."""
    script = tmp_path / "own.py"
    script.write_text(
        "import pathlib, sys, time, gittrack\n"
        "with gittrack.start_run(run_name='slow'):\n"
        "    print('one', flush=True)\n"
        "    end = time.monotonic() + 60\n"
        "    while not pathlib.Path(sys.argv[1]).exists() and time.monotonic() < end:\n"
        "        time.sleep(0.005)\n"
        "    print('two', flush=True)\n"
    )
    runner = subprocess.Popen(
        [sys.executable, os.fspath(script), os.fspath(stage.gates / "b")],
        cwd=stage.place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    stage.children.append(runner)
    until(lambda: stage.directory() is not None or runner.poll() is not None)
    stage.written(b"one\n")
    follower = stage.track("logs", "-f")
    assert read(follower, 4) == b"one\n"
    stage.open("b")
    rest, talk = follower.communicate(timeout=20)
    assert (rest, talk, follower.returncode) == (b"two\n", b"", 0)


# -- which run, and which lines -----------------------------------------------------------------


def test_without_a_name_the_running_one_is_meant_else_the_latest(
    stage: Stage, track: Track
) -> None:
    """What one wants to see is what goes on now."""
    stage.open("a")
    stage.run("a:old\\n", name="old").wait(20)
    assert track(stage.place, "logs", check=0).stdout == "old\n"
    runner = stage.run("a:new\\n", "b:er\\n", name="new")
    stage.written(b"new\n", "new")
    assert track(stage.place, "logs", check=0).stdout == "new\n"
    assert track(stage.place, "logs", "latest", check=0).stdout == "old\n"
    assert track(stage.place, "logs", "default/new", check=0).stdout == "new\n"
    stage.open("b")
    runner.wait(20)
    assert track(stage.place, "logs", check=0).stdout == "new\ner\n"


def test_a_prefix_of_a_running_and_a_recorded_run_is_ambiguous(stage: Stage, track: Track) -> None:
    """Guessing would show the wrong one to somebody."""
    record(stage.place, 1, "blue-heron-q2zm8d")
    stage.run("never:x", name="blue")
    done = track(stage.place, "logs", "blu", check=1)
    assert done.stderr.startswith("error: 'blu' could be any of 2 runs\nhint: blue-")
    assert "blue-heron-q2zm8d" in done.stderr


def test_the_last_lines(stage: Stage, track: Track) -> None:
    """Of a running run as of a recorded one."""

    def last(count: int, *more: str) -> str:
        return track(stage.place, "logs", "-n", str(count), *more, check=0).stdout

    runner = stage.run("a:one\\ntwo\\nthree\\n", "b:")
    stage.open("a")
    stage.written(b"three\n")
    expected = {0: "", 2: "two\nthree\n", 9: "one\ntwo\nthree\n"}
    assert {count: last(count) for count in expected} == expected
    stage.open("b")
    runner.wait(20)
    assert {count: last(count) for count in expected} == expected
    assert last(1, "-f", "slow") == "three\n"


@given(st.lists(st.sampled_from([b"\n", b"a", b"bc\n", b"\r", b"x" * 40]), max_size=30), st.data())
@settings(deadline=None)
def test_the_last_lines_begin_where_tail_would_begin(
    parts: list[bytes], data: st.DataObject
) -> None:
    """Whatever the sizes of the blocks in which a file is read backwards."""
    text = b"".join(parts)
    count = data.draw(st.integers(0, 12))
    lines = text.splitlines(keepends=True) if b"\r" not in text else _split(text)
    patched, logs._BLOCK = logs._BLOCK, data.draw(st.sampled_from([1, 3, 16, 1 << 16]))
    try:
        start = logs._start_of_last(io.BytesIO(text), count)
    finally:
        logs._BLOCK = patched
    assert text[start:] == b"".join(lines[len(lines) - min(count, len(lines)) :])


def _split(text: bytes) -> list[bytes]:
    return [part for part in re.split(rb"(?<=\n)", text) if part]


# -- silence ----------------------------------------------------------------------------------


def test_a_follower_of_a_silent_run_says_so_once(stage: Stage) -> None:
    """Nothing on the screen looks like a command that hangs; stdout stays what the run prints."""
    stage.run("a:")
    follower = stage.track("logs", "-f", "slow")
    assert follower.stderr is not None
    assert re.fullmatch(rb"slow-\w{6} has no output yet\n", follower.stderr.readline())
    stage.open("a")
    assert follower.communicate(timeout=20) == (b"", b"")
    assert follower.returncode == 0


def test_logs_of_a_run_without_output_say_so(stage: Stage, track: Track) -> None:
    """While it runs, and when it has ended; an empty answer could be one that got lost."""
    runner = stage.run("a:")
    done = track(stage.place, "logs", "slow", check=0)
    assert done.stdout == "" and done.stderr.endswith(" has no output yet\n")
    stage.open("a")
    assert runner.wait(20) == 0
    for option in ((), ("-f",)):
        done = track(stage.place, "logs", "slow", *option, check=0)
        assert done.stdout == ""
        assert re.fullmatch(r"slow-\w{6} has no output\n", done.stderr)


# -- on a terminal ----------------------------------------------------------------------------


def test_a_terminal_gets_lines_that_cannot_harm_it(stage: Stage) -> None:
    """A progress bar is drawn anew in its line; whatever else would move the cursor is escaped."""
    stage.run(
        "a:plain\\n10%\\r20%", "b:\\r100%\\ntitle \\x1b]0;evil\\x07\\n", "c:\\x9b2J end"
    )  # fmt: skip
    terminal = pexpect.spawn(
        sys.executable, ["-m", "gittrack", "logs", "-f", "slow"],
        cwd=os.fspath(stage.place), timeout=20, dimensions=(24, 80),
    )  # fmt: skip
    stage.open("a")
    terminal.expect_exact(b"plain\r\n20%")
    stage.open("b")
    terminal.expect_exact(b"\r\x1b[K100%\r\n")
    terminal.expect_exact(b"title \\x1b]0;evil\\x07\r\n")
    stage.open("c")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert b"\x9b" not in terminal.before and b"end\r\n" in terminal.before
    assert terminal.exitstatus == 0


def test_a_recorded_run_is_followed_on_a_terminal_without_a_pager(stage: Stage) -> None:
    """`-f` means: print and go."""
    stage.open("a")
    stage.run("a:" + "line\\n" * 60 + "last\\n").wait(20)
    text, code = pexpect.run(
        f"{sys.executable} -m gittrack logs -f -n 50 slow",
        cwd=os.fspath(stage.place), withexitstatus=True, timeout=20,
    )  # fmt: skip
    assert (text, code) == (b"line\r\n" * 49 + b"last\r\n", 0)
