"""`git track watch`: running runs on a real terminal, drawn anew, and the terminal given back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Track
from gittrack import checkpoint, journal, recovery, refs, sessions
from gittrack.cells import width_of
from gittrack.cli.board import Board, Line
from gittrack.cli.output import Screen
from gittrack.cli.watch import _frame, _table
from gittrack.curves import spark
from gittrack.execute import Request
from gittrack.git import Repo
from gittrack.message import moment
from gittrack.outset import Begun, begin, prepare
from gittrack.owner import Owner
from summaries import HOSTILE, UNSAFE

Until = Callable[..., None]
NOON = 1_770_000_000.0


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    found = Repo.open(repo_dir)
    found.sync(False)
    return found


class Runs:
    """Running runs that this process owns."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.made: dict[str, Begun] = {}

    def start(self, name: str, **more: Any) -> Begun:
        assert self.repo.root is not None
        request = Request(argv=["true"], directory=self.repo.root, name=name, **more)
        prepared = prepare(self.repo, request)
        made = begin(self.repo, request, prepared, now=time.time, random=os.urandom)
        assert isinstance(made, Begun)
        self.made[name] = made
        return made

    def log(self, name: str, *events: dict[str, Any]) -> None:
        with open(self.made[name].session.directory / "1-a.journal", "ab") as file:
            for event in events:
                file.write(journal.frame({"t": time.time(), **event}))

    def points(self, name: str, metric: str, *values: float, first: int = 0) -> None:
        self.log(
            name,
            *({"metrics": {metric: value}, "step": n} for n, value in enumerate(values, first)),
        )

    def end(self, name: str, status: str = "finished", code: int = 0) -> None:
        self.log(name, {"end": [status, code]})
        recovery.finish(self.repo, self.made.pop(name).session)


@pytest.fixture
def runs(repo: Repo) -> Iterator[Runs]:
    made = Runs(repo)
    yield made
    for begun in made.made.values():
        begun.session.end()


class Terminal:
    """`git track watch` on a pseudo-terminal, and what it looks like."""

    def __init__(self, place: Path, *words: str, rows: int = 12, columns: int = 80) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child = pexpect.spawn(
            sys.executable, ["-m", "gittrack", "watch", *words],
            cwd=os.fspath(place), dimensions=(rows, columns), timeout=20,
        )  # fmt: skip
        self.child.delaybeforesend = None

    def take(self) -> None:
        """Take in what it has drawn."""
        try:
            data = self.child.read_nonblocking(65536, timeout=0.05)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.raw += data
        self.stream.feed(data)

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def shows(self, *texts: str) -> bool:
        self.take()
        return all(text in "\n".join(self.lines()) for text in texts)

    def end(self) -> tuple[int | None, int | None]:
        """Wait for it to end -> exit status, signal."""
        self.child.expect(pexpect.EOF)
        self.raw += self.child.before
        self.child.close()
        return self.child.exitstatus, self.child.signalstatus


# -- the line of bars ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([], 8, ""),
        ([1], 8, "▄"),
        ([1, 2, 3, 4, 5, 6, 7, 8], 8, "▁▂▃▄▅▆▇█"),
        ([3, 3, 3], 8, "▄▄▄"),
        ([1, float("nan"), 3], 8, "▁ █"),
        ([float("inf"), 10**400, float("nan")], 8, "   "),
        ([0, 0, 0, 0, 8, 8, 8, 8], 2, "▁█"),
        ([-9e299, 9e299], 4, "▁█"),
    ],
)
def test_values_become_bars(values: list[float], width: int, expected: str) -> None:
    """The lowest stands on the ground, the highest reaches the top, what is no number is blank."""
    assert spark(values, width) == expected


@given(st.lists(st.floats() | st.integers(), max_size=80), st.integers(1, 30))
@settings(deadline=None)
def test_bars_are_as_many_as_fit(values: list[float], width: int) -> None:
    """No value, however odd, makes the line longer or fails."""
    drawn = spark(values, width)
    assert len(drawn) == min(width, len(values)) and set(drawn) <= set(" ▁▂▃▄▅▆▇█")


# -- the table ----------------------------------------------------------------------------------


def line(name: str, **more: Any) -> Line:
    fields: dict[str, Any] = {"experiment": "default", "status": "running"}
    return Line(name=name, started=moment(NOON), **fields | more)


def test_each_run_has_its_time_step_values_and_bars() -> None:
    """The table of two runs, as it is printed."""
    lines = [
        line("amber-otter-7f3kq2", step=7, metrics={"loss": 0.5, "acc": 0.25},
             recent={"loss": [3, 2, 1], "acc": [0.25]}),
        line("blue-heron-q2zm8d", status="finished", ended=moment(NOON + 4.2), step=19,
             metrics={"loss": 0.125}, recent={"loss": [1, 2]}),
    ]  # fmt: skip
    assert _table(lines, Screen(None, 24, False), NOON + 65) == [
        "NAME                STATUS     TIME  STEP   loss       acc",
        "amber-otter-7f3kq2  running   1m05s     7  0.500 █▅▁  0.25",
        "blue-heron-q2zm8d   finished   4.2s    19  0.125 ▁█      ·",
    ]


@pytest.mark.parametrize("width", [1, 10, 30, 45, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """A line that wraps would push the table off the screen, again and again."""
    metrics = {f"metric-{n}": n / 7 for n in range(12)}
    recent = {key: list(range(50)) for key in metrics}
    lines = [line(f"run-{n}", metrics=metrics, recent=recent, host="模型" * 9) for n in range(30)]
    frame = _frame(lines, Screen(width, 10, False), NOON)
    assert len(frame) <= 10 and all(width_of(text) <= width for text in frame)


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 10_000, "模" * 10_000])
def test_no_name_harms_the_terminal(text: str) -> None:
    """Metrics are named by scripts, hosts and statuses by whoever publishes."""
    lines = [line("r", host=text, metrics={text: 1.5}, recent={text: [1, 2]})]
    for shown in (Screen(100, 24, True), Screen(None, 24, False)):
        drawn = "".join(_frame(lines, shown, NOON) + _table(lines, shown, NOON))
        plain = drawn.replace("\x1b[1m", "").replace("\x1b[m", "").replace("\x1b[33m", "")
        assert not UNSAFE.search(plain)


# -- what is shown ------------------------------------------------------------------------------


def test_running_runs_are_shown_newest_first_and_stay_when_they_end(runs: Runs) -> None:
    """Who looks away for a minute must see how it went."""
    runs.start("old")
    runs.start("new")
    runs.points("old", "loss", 3.0, 2.0)
    board = Board(runs.repo)
    found = board.look(time.time())
    assert [seen.name.split("-")[0] for seen in found] == ["new", "old"]
    assert (found[1].status, found[1].step) == ("running", 1)
    assert dict(found[1].metrics) == {"loss": 2.0}
    runs.points("old", "loss", 1.0, first=2)
    runs.log("old", {"end": ["failed", 3]})
    ending = board.look(time.time())[1]
    assert (ending.status, ending.step) == ("failed", 2)
    recovery.finish(runs.repo, runs.made.pop("old").session)
    ended = board.look(time.time())[1]
    assert (ended.status, ended.step, dict(ended.metrics)) == ("failed", 2, {"loss": 1.0})
    assert ended.ended is not None and list(ended.recent["loss"]) == [3.0, 2.0, 1.0]


def test_only_the_owner_of_a_run_says_that_it_has_ended(runs: Runs) -> None:
    """Any process that logs can write a line; who looks at the table leaves the machine alone."""
    runs.start("own", source="api")
    runs.start("other")
    me = Owner.of(os.getpid())
    runs.log("other", {"child": [me.pid, me.start, me.boot]})
    board = Board(runs.repo)
    for name in ("own", "other"):
        runs.log(name, {"end": ["finished", 0]})
    assert [seen.status for seen in board.look(time.time())] == ["running", "running"]
    runs.made["own"].session.keep_end({"end": ["failed", 1]})
    assert {seen.status for seen in board.look(time.time())} == {"running", "failed"}


def test_named_ones_alone_are_shown(runs: Runs, track: Track) -> None:
    """One of twenty; one that has ended may be named as well."""
    runs.start("amber")
    runs.start("blue")
    runs.start("gone")
    runs.points("gone", "loss", 2.0, 1.0)
    runs.end("gone")
    place = runs.repo.root
    assert place is not None
    text = track(place, "watch", "amber", "gone", check=0).stdout
    assert [row.split("-")[0] for row in text.splitlines()[1:]] == ["gone", "amber"]
    done = track(place, "watch", "grey", check=1)
    assert done.stderr.startswith("error: no run named 'grey'")


def test_a_colleagues_run_is_shown_with_its_host(
    runs: Runs, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came by fetch: a commit, and nothing else of it is here."""
    begun = runs.start("theirs", live=True)
    runs.points("theirs", "loss", 3.0, 2.0, 1.0)
    there = checkpoint.publish(repo, begun.session.directory)
    assert there is not None
    runs.made.pop("theirs").session.end()
    now = time.time()
    board = Board(repo)
    (seen,) = board.look(now)
    assert (seen.name, seen.host, seen.status) == (there.run.name, os.uname().nodename, "running")
    assert (seen.step, list(seen.recent["loss"])) == (2, [3.0, 2.0, 1.0])
    (seen,) = board.look(now + 3600)
    assert seen.status == "silent"
    (named,) = Board(repo, ["theirs"]).look(now)
    assert named.name == there.run.name
    refs.drop_live(repo, [there])
    assert board.look(now + 3610) == []


def test_a_run_of_ours_is_shown_once_though_it_is_published(runs: Runs, repo: Repo) -> None:
    """The journal is fresher than the checkpoint."""
    begun = runs.start("ours", live=True)
    assert checkpoint.publish(repo, begun.session.directory)
    (seen,) = Board(repo).look(time.time())
    assert seen.host is None


def test_without_a_terminal_one_table_is_printed(runs: Runs, track: Track) -> None:
    """A script or `watch -n 5` of the shell's gets plain text and an end."""
    runs.start("slow")
    runs.points("slow", "loss", 3.0, 2.0, 1.0)
    place = runs.repo.root
    assert place is not None
    done = track(place, "watch", check=0)
    head, row = done.stdout.splitlines()
    assert head.split() == ["NAME", "STATUS", "TIME", "STEP", "loss"]
    assert row.startswith("slow-") and row.split()[-3:] == ["2", "1.0", "█▅▁"]
    (found,) = json.loads(track(place, "watch", "--json", check=0).stdout)
    assert (found["status"], found["step"], found["metrics"]) == ("running", 2, {"loss": 1.0})


def test_where_nothing_runs_that_is_said(repo_dir: Path, track: Track) -> None:
    """On stderr: the answer is empty."""
    done = track(repo_dir, "watch", check=0)
    assert (done.stdout, done.stderr) == ("", "no run is running\n")
    assert json.loads(track(repo_dir, "watch", "--json", check=0).stdout) == []


# -- on a terminal ------------------------------------------------------------------------------


def test_it_is_drawn_anew_as_runs_begin_log_and_end(runs: Runs, until: Until) -> None:
    """On the alternate screen, without a blank in between, and left by q."""
    place = runs.repo.root
    assert place is not None
    terminal = Terminal(place, "-i", "0.2")
    until(lambda: terminal.shows("no run is running; waiting for one"))
    runs.start("slow")
    runs.points("slow", "loss", 2.0, 1.5)
    until(lambda: terminal.shows("slow-", "running", "1.5 █▁", "1 running"))
    runs.points("slow", "loss", 0.25, first=2)
    until(lambda: terminal.shows("0.25 █"))
    runs.end("slow")
    until(lambda: terminal.shows("finished", "0 running"))
    terminal.child.send("q")
    assert terminal.end() == (0, None)
    assert terminal.raw.startswith(b"\x1b[?1049h\x1b[?25l")
    assert terminal.raw.endswith(b"\x1b[?25h\x1b[?1049l")
    # Clearing the whole screen is what flickers.
    assert b"\x1b[2J" not in terminal.raw


def test_another_size_is_followed_at_once(runs: Runs, until: Until) -> None:
    """Not after the next look, which may be in a minute."""
    runs.start("slow")
    metrics = {f"metric-{n}": 0.5 for n in range(6)}
    runs.log("slow", {"metrics": metrics, "step": 1}, {"metrics": metrics, "step": 2})
    place = runs.repo.root
    assert place is not None
    terminal = Terminal(place, "-i", "60", columns=60)
    until(lambda: terminal.shows("slow-", "metric-0"))
    assert not terminal.shows("metric-5")
    terminal.screen.resize(12, 200)
    terminal.child.setwinsize(12, 200)
    until(lambda: terminal.shows("metric-5"))
    terminal.screen.resize(12, 40)
    terminal.child.setwinsize(12, 40)
    until(lambda: terminal.shows("slow-") and not terminal.shows("metric-5"))
    terminal.child.send("q")
    assert terminal.end() == (0, None)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGINT, (130, None)), (signal.SIGTERM, (None, 15)), (signal.SIGHUP, (None, 1))],
)
def test_however_it_ends_the_terminal_is_given_back(
    runs: Runs, until: Until, number: int, expected: tuple[int | None, int | None]
) -> None:
    """A shell without echo or cursor is what people remember of a tool."""
    place = runs.repo.root
    assert place is not None
    terminal = Terminal(place)
    before = _modes(terminal)
    until(lambda: terminal.shows("no run is running"))
    assert _modes(terminal) != before
    terminal.child.kill(number)
    assert terminal.end() == expected
    assert terminal.raw.endswith(b"\x1b[?25h\x1b[?1049l")


def _modes(terminal: Terminal) -> list[Any]:
    import termios

    return list(termios.tcgetattr(terminal.child.child_fd))[:4]


@pytest.mark.parametrize("way", ["q", "term"])
def test_echo_and_line_editing_are_on_again(runs: Runs, until: Until, way: str) -> None:
    """The next program on this terminal may be no shell that mends it."""
    place = runs.repo.root
    assert place is not None
    command = f"{sys.executable} -m gittrack watch"
    line = f"echo $$; stty -a >before; {command}; stty -a >after; cmp before after && echo same"
    shell = pexpect.spawn("bash", ["-c", line], cwd=os.fspath(place), timeout=20)
    shell.expect_exact("waiting for one")
    if way == "q":
        shell.send("q")
    else:
        with open(f"/proc/{shell.pid}/task/{shell.pid}/children") as file:
            os.kill(int(file.read()), signal.SIGTERM)
    shell.expect_exact("same\r\n")
    shell.expect(pexpect.EOF)


def test_the_settings_are_those_of_before(runs: Runs, until: Until) -> None:
    """For the shell that one comes back to, after Ctrl-C as after Ctrl-Z."""
    place = runs.repo.root
    assert place is not None
    shell = pexpect.spawn(
        "bash", ["--norc", "--noprofile", "-i"], cwd=os.fspath(place), timeout=20,
        env={**os.environ, "PS1": "$ "}, dimensions=(12, 80),
    )  # fmt: skip
    shell.delaybeforesend = None
    shell.sendline("bind 'set enable-bracketed-paste off'; PS1='>''> '; stty -a >before")
    shell.expect_exact(">> ")
    shell.sendline(f"{sys.executable} -m gittrack watch")
    shell.expect_exact("waiting for one")
    shell.sendcontrol("z")
    shell.expect_exact("\x1b[?1049l")
    shell.expect_exact(">> ")
    shell.sendline("stty -a >stopped; cmp before stopped && echo sa''me")
    shell.expect_exact("same")
    shell.expect_exact(">> ")
    shell.sendline("fg")
    shell.expect_exact("\x1b[?1049h")
    shell.expect_exact("waiting for one")
    shell.sendcontrol("c")
    shell.expect_exact(">> ")
    shell.sendline("echo code $?; stty -a >after; cmp before after && echo sa''me")
    shell.expect_exact("code 130")
    shell.expect_exact("same")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)


def test_a_terminal_that_vanishes_ends_it(runs: Runs, until: Until) -> None:
    """Nobody closes what nobody sees: it must not stay, nor eat the CPU."""
    place = runs.repo.root
    assert place is not None
    terminal = Terminal(place, "-i", "0.1")
    until(lambda: terminal.shows("no run is running"))
    os.close(terminal.child.child_fd)
    pid = terminal.child.pid
    until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)


def test_waiting_costs_next_to_nothing(runs: Runs, until: Until) -> None:
    """A table that stands open all night, beside a training that needs the CPU."""
    place = runs.repo.root
    assert place is not None
    runs.start("slow")
    runs.points("slow", "loss", *(1 / (n + 1) for n in range(5000)))
    terminal = Terminal(place)
    until(lambda: terminal.shows("slow-"))

    def used() -> float:
        with open(f"/proc/{terminal.child.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    if not os.path.exists("/proc/self/stat"):
        pytest.skip("no /proc here")
    # Whoever was woken once must sleep again.
    terminal.child.setwinsize(12, 79)
    before, began = used(), time.monotonic()
    end = began + 4
    until(lambda: terminal.shows("slow-") and time.monotonic() > end)
    assert used() - before <= 0.04 * (time.monotonic() - began)
    terminal.child.send("q")
    assert terminal.end() == (0, None)


def test_a_lost_run_is_not_called_running(runs: Runs, repo: Repo, until: Until) -> None:
    """Its recorder was killed: nobody will log to it any more."""
    assert repo.root is not None
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from gittrack.git import Repo\n"
        "from gittrack.outset import Request, begin, prepare\n"
        "repo = Repo.open('.')\n"
        "asked = Request(argv=['true'], directory=Path('.'), name='lost')\n"
        "begin(repo, asked, prepare(repo, asked), now=time.time, random=os.urandom)\n"
        "print('begun', flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=repo.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None and child.stdout.readline() == b"begun\n"
    board = Board(repo)
    assert [seen.status for seen in board.look(time.time())] == ["running"]
    child.kill()
    child.communicate()
    assert [seen.status for seen in board.look(time.time())] == ["killed"]
    recovery.recover(repo)
    assert sessions.live(repo.state) == []
    assert [seen.status for seen in board.look(time.time())] == ["killed"]
