"""What is done for a run while it runs: by a clock of the test's own, then for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gittrack import checkpoint, commits, execute, heartbeat, series, tsv, vitals
from gittrack.errors import UsageError
from gittrack.execute import Request
from gittrack.git import Repo
from gittrack.heartbeat import Heartbeat
from gittrack.journal import Story
from gittrack.records import Row
from gittrack.sessions import Session
from gittrack.story import system_rows

_START = 1_700_000_000.0
_MASK = {key: value for key, value in vitals.UNITS.items() if "gpu" not in key}


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.time = _START

    def __call__(self) -> float:
        return self.time


class Heart:
    """A heartbeat of a real session, on a clock of its own, and all that it wrote."""

    def __init__(self, repo: Repo, session: Session, known: Mapping[str, Any], **more: Any) -> None:
        self.clock = Clock()
        self.events: list[Mapping[str, Any]] = []
        self.session = session
        self.made = Heartbeat(repo, session, known, self.events.append, now=self.clock, **more)

    def beat(self, seconds: float = 1.0) -> None:
        """Let time go by, beat, and wait for the sample that was begun, if one was."""
        self.clock.time += seconds
        self.made.beat()
        if self.made._thread is not None:
            self.made._thread.join(10)

    def beats(self, count: int, seconds: float = 1.0) -> None:
        for _ in range(count):
            self.beat(seconds)

    @property
    def samples(self) -> list[float]:
        """When samples were taken, in seconds since the start."""
        return [event["t"] - _START for event in self.events if "system" in event]


@pytest.fixture
def known(repo_dir: Path, git: Any) -> dict[str, Any]:
    """How the run began."""
    tree = git(repo_dir, "rev-parse", "HEAD^{tree}").strip()
    return {"name": "amber-otter-7f3kq2", "started": _START, "tree": tree}


@pytest.fixture
def session(repo_dir: Path, known: dict[str, Any]) -> Iterator[Session]:
    """The directory of a run under way."""
    opened = Session.open(Repo.open(repo_dir).state, known["name"])
    opened.begin(known)
    yield opened
    opened.end()


@pytest.fixture
def heart(repo_dir: Path, session: Session, known: dict[str, Any], sampled: Any) -> Heart:
    return Heart(Repo.open(repo_dir), session, known, pid=os.getpid())


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Samples cost nothing and say which they are; the pids of all samplers that were made."""
    made: list[int] = []

    class Counting:
        fault = None

        def __init__(self, pid: int, *, directory: Path) -> None:
            assert directory.is_dir()
            made.append(pid)
            self.count = 0

        def sample(self) -> dict[str, float]:
            self.count += 1
            return {"cpu": self.count}

    monkeypatch.setattr(vitals, "Sampler", Counting)
    return made


def _signed(session: Session) -> float:
    return (session.directory / "begin").stat().st_mtime


def _held(repo_dir: Path, git: Any) -> bool:
    return "refs/gittrack/snapshots/" in git(repo_dir, "for-each-ref", "--format=%(refname)")


# -- when what is due ---------------------------------------------------------------------------


def test_a_sign_of_life_every_five_seconds(heart: Heart) -> None:
    """One that is killed ended no earlier than its last sign."""
    signs = 0
    for _ in range(20):
        os.utime(heart.session.directory / "begin", (0, 0))
        heart.beat()
        signs += _signed(heart.session) > 0
    assert signs == 4


def test_the_code_is_held_after_a_minute(heart: Heart, repo_dir: Path, git: Any) -> None:
    """Short runs leave no ref behind that `git gc` would have to pass by."""
    heart.beats(60)
    assert not _held(repo_dir, git)
    heart.beats(2)
    assert _held(repo_dir, git)
    heart.beats(60)


def test_the_code_is_held_at_once_when_asked(heart: Heart, repo_dir: Path, git: Any) -> None:
    """A run that cannot be recorded now waits, and nobody knows how long."""
    heart.made.hold()
    heart.made.hold()
    assert _held(repo_dir, git)


def test_code_that_was_pruned_is_not_held(heart: Heart, repo_dir: Path, git: Any) -> None:
    """A ref to nothing makes each `git gc` fail while the run goes on."""
    heart.made._known = {**heart.made._known, "tree": "1" * 40}
    heart.made.hold()
    assert not _held(repo_dir, git)


def test_samples_begin_at_ten_seconds_and_come_every_five(heart: Heart) -> None:
    """What is over in ten seconds needs none, and psutil is not loaded for it."""
    heart.beats(9)
    assert heart.made._thread is None
    heart.beats(22)
    assert heart.samples == [10, 15, 20, 25, 30]
    assert [event["system"]["cpu"] for event in heart.events] == [1, 2, 3, 4, 5]


def test_a_week_has_fewer_than_2000_samples(heart: Heart) -> None:
    """The pace halves: a record does not grow with the days."""
    heart.beats(7 * 24 * 720, 5.0)
    assert 1500 < len(heart.samples) < 2000
    gaps = [b - a for a, b in zip(heart.samples, heart.samples[1:], strict=False)]
    assert gaps[:199] == [5.0] * 199 and gaps[199] == 10.0
    assert gaps == sorted(gaps) and gaps[-1] == 5 * 512


def test_what_was_sampled_last_is_written_at_the_end(heart: Heart) -> None:
    """A run of eleven seconds has a sample too."""
    heart.beats(10)
    assert heart.samples == []
    heart.made.finish()
    heart.made.finish()
    assert heart.samples == [10]


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, -_START, 1e10, 0.0])
def test_a_clock_that_jumps_stops_nothing(jump: float, heart: Heart) -> None:
    """Signs and samples go on, and do not come all at once."""
    heart.beats(12)
    heart.clock.time += jump
    heart.beat()
    os.utime(heart.session.directory / "begin", (0, 0))
    before = len(heart.events)
    heart.beats(20)
    assert _signed(heart.session) > 0
    assert 3 <= len(heart.events) - before <= 5


def test_a_clock_that_stands_still_stops_nothing(heart: Heart) -> None:
    """Each beat is a second then."""
    heart.beats(31, 0.0)
    assert len(heart.samples) == 5


@pytest.mark.parametrize("live", [True, False])
def test_a_live_run_is_published_every_minute(
    live: bool,
    repo_dir: Path,
    session: Session,
    known: dict[str, Any],
    sampled: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And one that did not ask for it never is."""
    repo = Repo.open(repo_dir)
    heart = Heart(repo, session, known | ({"live": True} if live else {}))
    published: list[float] = []

    def spawn(where: Repo, directory: Path) -> bool:
        assert (where, directory) == (repo, session.directory)
        published.append(heart.clock.time - _START)
        return True

    monkeypatch.setattr(checkpoint, "spawn", spawn)
    heart.beats(140)
    assert published == ([1, 61, 121] if live else [])


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 5.0),
        ({"track.systemInterval": "30"}, 30.0),
        ({"track.systemInterval": "1.5"}, 1.5),
        ({"track.system": "false"}, None),
        ({"track.system": "no", "track.systemInterval": "x"}, None),
    ],
)
def test_settings(settings: dict[str, str], expected: Any, repo_dir: Path, git: Any) -> None:
    """Off with one."""
    for key, value in settings.items():
        git(repo_dir, "config", key, value)
    assert heartbeat.sampling(Repo.open(repo_dir)) == expected


@pytest.mark.parametrize("value", ["0", "0.5", "-1", "often", "nan", "inf", "86401", "1e400", ""])
def test_an_interval_that_makes_no_sense_is_refused(value: str, repo_dir: Path, git: Any) -> None:
    """Before the command starts, not after the training."""
    git(repo_dir, "config", "track.systemInterval", value)
    with pytest.raises(UsageError, match="systemInterval"):
        heartbeat.sampling(Repo.open(repo_dir))


def test_a_refused_setting_leaves_no_run(repo_dir: Path, track: Any, git: Any) -> None:
    """And says which setting."""
    git(repo_dir, "config", "track.system", "perhaps")
    done = track(repo_dir, "run", "--", "touch", "begun", check=2)
    assert "track.system" in done.stderr
    assert not (repo_dir / "begun").exists()
    assert list((Repo.open(repo_dir).state / "live").glob("*")) == []


def test_without_samples_no_sampler_is_made(
    repo_dir: Path, session: Session, known: Any, sampled: list[int], git: Any
) -> None:
    """Nor is one before anybody says of which process."""
    Heart(Repo.open(repo_dir), session, known).beats(20)
    git(repo_dir, "config", "track.system", "false")
    heart = Heart(Repo.open(repo_dir), session, known, pid=1)
    heart.beats(20)
    heart.made.watch(2)
    heart.beats(20)
    assert sampled == [] and heart.samples == []


# -- nothing disturbs the run -------------------------------------------------------------------


def test_a_sample_that_hangs_holds_nothing_up(
    heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's driver may: the signs of life go on, and no second thread joins the first."""
    hangs = threading.Event()
    begun: list[threading.Thread] = []

    def hang() -> dict[str, float]:
        begun.append(threading.current_thread())
        hangs.wait(20)
        return {"cpu": 7}

    monkeypatch.setattr(heart.made._sampler, "sample", hang)
    for _ in range(40):
        heart.clock.time += 1
        os.utime(heart.session.directory / "begin", (0, 0))
        heart.made.beat()
    assert len(begun) == 1
    hangs.set()
    begun[0].join(10)
    heart.beats(5)
    assert heart.samples[0] == 10


def test_no_signal_is_heard_in_a_sampling_thread(
    heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a run is recorded its thread holds signals back; another would die of them."""
    masks: list[set[int]] = []

    def look() -> dict[str, float]:
        masks.append({int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])})
        return {}

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    monkeypatch.setattr(heart.made._sampler, "sample", look)
    heart.beats(10)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    ending = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1}
    assert masks and masks[0] >= ending


@pytest.mark.parametrize("broken", ["sign", "hold", "sample", "thread", "append", "publish"])
def test_whatever_fails_the_rest_goes_on(
    broken: str, heart: Heart, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper that raises into the training is worse than none."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(checkpoint, "spawn", lambda *_: True)
    known["live"] = True
    target, name = {
        "sign": (heart.session, "give_sign"),
        "hold": (heartbeat.refs, "hold_snapshot"),
        "sample": (heart.made._sampler, "sample"),
        "thread": (threading.Thread, "start"),
        "append": (heart.made, "_append"),
        "publish": (checkpoint, "spawn"),
    }[broken]
    with monkeypatch.context() as patch:
        patch.setattr(target, name, fail)
        # A thread's exception would be pytest's warning, and an error.
        patch.setattr(threading, "excepthook", lambda _: None)
        heart.beats(70)
        assert heart.made._held
        assert bool(heart.samples) == (broken not in ("sample", "thread", "append"))
    heart.beats(20)
    assert heart.samples


def test_a_directory_that_is_gone_is_no_error(heart: Heart) -> None:
    """Somebody cleaned up: `rm -rf .git/gittrack`."""
    moved = heart.session.directory.rename(heart.session.directory.with_name(".moved"))
    heart.beats(80)
    moved.rename(heart.session.directory)
    assert heart.samples


def test_why_there_are_no_samples_is_said_once(
    heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed question never gets an empty answer."""
    assert heart.made._sampler is not None
    heart.made._sampler.fault = "system metrics are not sampled: no psutil"
    monkeypatch.setattr(heart.made._sampler, "sample", dict)
    heart.beats(60)
    assert [event.get("fault") for event in heart.events] == [
        "system metrics are not sampled: no psutil"
    ]


# -- for real -----------------------------------------------------------------------------------


def test_a_long_run_has_its_samples_in_its_record(
    repo_dir: Path, git: Any, track: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a table of their own, which `plot` draws and `show` sums up; no metric of the run's."""
    monkeypatch.setattr(heartbeat, "_SAMPLE_AFTER", 0.5)
    git(repo_dir, "config", "track.systemInterval", "1")
    program = "import time\nend = time.time() + 3.3\nwhile time.time() < end: sum(range(9999))"
    outcome = execute.command(
        Repo.open(repo_dir), Request(argv=[sys.executable, "-c", program], directory=repo_dir)
    )
    rows = commits.load_series(Repo.open(repo_dir), outcome.ref, system=True)
    assert 2 <= len(rows) <= 4
    assert all(row.values.keys() >= {"cpu", "memory", "memory_machine"} for row in rows)
    assert rows[-1].values.keys() <= _MASK.keys() | {k for k in rows[-1].values if "gpu" in k}
    assert all(row.values["cpu"] > 5 and row.values["memory"] > 1e6 for row in rows)
    assert 0 < rows[0].time < 3 and rows[0].step is None
    assert outcome.run.metrics == {}
    table = git(repo_dir, "show", f"runs/default/{outcome.run.name}:.gittrack/system.tsv")
    assert table.startswith("step\ttime\tcpu\t")
    said = json.loads(track(repo_dir, "show", "--json", check=0).stdout)["system"]
    assert said["cpu"].keys() == {"mean", "peak", "unit"}
    assert said["cpu"]["peak"] == max(row.values["cpu"] for row in rows)
    shown = track(repo_dir, "show", check=0).stdout
    assert "\nsystem\n  cpu     " in shown and "(peak " in shown
    drawn = json.loads(track(repo_dir, "plot", "system/cpu", "--json", check=0).stdout)
    assert [point["value"] for point in drawn[0]["points"]] == [r.values["cpu"] for r in rows]
    assert track(repo_dir, "plot", "system/cpu", check=0).stdout.startswith("system/cpu (%)\n")
    done = track(repo_dir, "plot", "cpu", check=2)
    assert "did you mean 'system/cpu'?" in done.stderr
    done = track(repo_dir, "plot", "system/cpux", check=2)
    assert "did you mean 'system/cpu'?" in done.stderr


def test_a_short_run_has_none_and_loads_no_psutil(repo_dir: Path, git: Any, track: Any) -> None:
    """`git track run -- true` may not get slower."""
    program = (
        "import sys; from gittrack.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert 'gittrack.heartbeat' in sys.modules\n"
        "assert not {'psutil', 'pynvml', 'gittrack.checkpoint'} & sys.modules.keys()"
    )
    command = [sys.executable, "-c", program, "run", "--", "sleep", "1.5"]
    subprocess.run(command, cwd=repo_dir, check=True, capture_output=True)
    names = git(repo_dir, "ls-tree", "-r", "--name-only", _latest(repo_dir, git))
    assert ".gittrack/run.yaml" in names and "system.tsv" not in names
    assert json.loads(track(repo_dir, "show", "--json", check=0).stdout)["system"] == {}
    done = track(repo_dir, "plot", "system/cpu", check=2)
    assert "10 s" in done.stderr and "track.system" in done.stderr


def _latest(repo_dir: Path, git: Callable[..., str]) -> str:
    return git(repo_dir, "for-each-ref", "--format=%(refname)", "refs/runs").split()[-1]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({"cpu": 3, "memory": 4.5}, {"cpu": 3, "memory": 4.5}),
        ({"cpu": "3", "memory": True, "gpu_0": None, "x": [1]}, {}),
        ({"cpu": float("nan"), "a": float("inf"), "b": 10**400, "c": 1}, {"c": 1}),
        ({"a\tb": 1, "a\nb": 2, "": 3, "ü": 4, "a/b": 5, "ok": 6}, {"ok": 6}),
        ({}, {}),
        ("cpu", {}),
        (None, {}),
    ],
)
def test_samples_that_others_write_leave_a_table_that_can_be_read(written: Any, kept: Any) -> None:
    """The journal is open to every language, and to every mistake."""
    story = Story({"started": _START}, ({"t": _START + 10, "system": written},), 0)
    rows = system_rows(story)
    assert rows == ([Row(None, 10, kept)] if kept else [])
    assert list(tsv.load(series.dump(rows), "system.tsv")) == rows
