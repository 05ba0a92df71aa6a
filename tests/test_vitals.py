"""What a run costs its machine: real processes, and counts that come and go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import vitals
from gittrack.records import Row
from gittrack.vitals import Sampler

_CPU_KEYS = {"cpu", "memory", "memory_machine", "disk_free"}
_LINUX = sys.platform == "linux"


@pytest.fixture
def python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python programs that say what they did on stdout, and ends them."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _BURN + textwrap.dedent(program)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, start_new_session=True, **pipes))
        return started[-1]

    yield start
    for child in started:
        try:
            os.killpg(child.pid, 9)
        except OSError:
            pass
        child.communicate()


_BURN = """
import os, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
def say(*words):
    print(*words, flush=True)
    sys.stdin.readline()
"""


def told(child: subprocess.Popen[str]) -> str:
    """The next line that a program says."""
    assert child.stdout is not None
    return child.stdout.readline().strip()


def go_on(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


class Spent:
    """Adds up the CPU seconds that a sampler tells of."""

    def __init__(self, pid: int) -> None:
        self.sampler = Sampler(pid)
        self.last = time.monotonic()
        self.seconds = 0.0

    def sample(self) -> dict[str, float]:
        looked = time.monotonic()
        found = self.sampler.sample()
        self.seconds += found["cpu"] / 100 * (looked - self.last)
        self.last = looked
        return found


# -- what is in a sample ------------------------------------------------------------------------


def test_a_sample_has_what_this_machine_tells(tmp_path: Path) -> None:
    """And only names that are documented, with finite numbers."""
    sampler = Sampler(os.getpid(), directory=tmp_path)
    first, second = sampler.sample(), sampler.sample()
    assert first.keys() >= _CPU_KEYS
    assert not first.keys() & {"cpu_machine", "network_sent", "network_received"}
    for key, value in {**first, **second}.items():
        assert vitals.unit(key), key
        assert isinstance(value, (int, float)) and 0 <= value < 1e15
    free = shutil.disk_usage(tmp_path).free
    assert abs(first["disk_free"] - free) < 1 << 30
    assert sampler.fault is None


@pytest.mark.skipif(not _LINUX, reason="elsewhere the system may not tell")
def test_on_linux_nothing_but_gpus_is_missing() -> None:
    """What is never there would not be noticed by anybody."""
    sampler = Sampler(os.getpid())
    sampler.sample()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = {key for key in sampler.sample() if not key.startswith("gpu_")}
        if found == {key for key in vitals.UNITS if not key.startswith("gpu_")}:
            return
        time.sleep(0.05)
    raise AssertionError(found)


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("cpu", "%"),
        ("gpu_0", "%"),
        ("gpu_11_memory", "bytes"),
        ("gpu_x", ""),
        ("gpu_", ""),
        ("", ""),
    ],
)
def test_units(key: str, unit: str) -> None:
    """Each GPU has a number of its own, the table has none."""
    assert vitals.unit(key) == unit


def test_making_a_sampler_loads_nothing() -> None:
    """It is made for `git track run -- true` too, which never takes a sample."""
    program = (
        "import sys, os; from gittrack.vitals import Sampler; Sampler(os.getpid());"
        "assert not {'psutil', 'pynvml'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# -- the processes of a run ---------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False], ids=["own", "child"])
def test_cpu_of_processes_that_come_and_go_adds_up(own: bool, python: Any) -> None:
    """Neither lost with a process that ended, nor counted again by the one that waited for it."""
    program = """
    if {own}:
        # What was spent before it began is not the run's.
        burn(0.3)
        from gittrack.vitals import Sampler
        sampler, last, seconds = Sampler(os.getpid()), time.monotonic(), 0.0
        begun = time.process_time()
    say()
    for _ in range(3):
        if (pid := os.fork()) == 0:
            if (inner := os.fork()) == 0:
                burn(0.15)
                os._exit(0)
            os.waitpid(inner, 0)
            burn(0.1)
            os._exit(0)
        for _ in range(4):
            time.sleep(0.05)
            if {own}:
                looked = time.monotonic()
                seconds += sampler.sample()["cpu"] / 100 * (looked - last)
                last = looked
        os.waitpid(pid, 0)
    if {own}:
        looked = time.monotonic()
        seconds += sampler.sample()["cpu"] / 100 * (looked - last)
        children = os.times()
        spent = time.process_time() - begun + children.children_user + children.children_system
        say(seconds, spent)
    burn(0.2)
    say()
    """
    child = python(program.format(own=own))
    spent = Spent(child.pid)
    told(child)
    go_on(child)
    if own:
        seconds, really = map(float, told(child).split())
        assert really > 0.7
        assert seconds == pytest.approx(really, abs=0.12)
        return
    end = time.monotonic() + 10
    while sum(psutil.Process(child.pid).cpu_times()[:2]) < 0.2 and time.monotonic() < end:
        spent.sample()
        time.sleep(0.04)
    told(child)
    spent.sample()
    times = psutil.Process(child.pid).cpu_times()
    really = times.user + times.system + times.children_user + times.children_system
    assert really > 0.9
    assert spent.seconds == pytest.approx(really, abs=0.12)


def test_a_process_that_lost_its_parent_still_counts(python: Any) -> None:
    """A shell that starts a server in the background, or a data loader whose starter ended."""
    child = python(
        """
        if os.fork() == 0:
            if (pid := os.fork()) == 0:
                held = bytearray(60_000_000)
                burn(60)
            say(pid)
            os._exit(0)
        time.sleep(60)
        """
    )
    spent = Spent(child.pid)
    orphan = int(told(child))
    spent.sample()
    assert psutil.Process(orphan).ppid() != child.pid
    go_on(child)
    end = time.monotonic() + 10
    while psutil.Process(orphan).ppid() == os.getpid() and time.monotonic() < end:
        time.sleep(0.02)
    before = sum(psutil.Process(orphan).cpu_times()[:2])
    spent.sample()
    while sum(psutil.Process(orphan).cpu_times()[:2]) < before + 0.3:
        time.sleep(0.05)
    found = spent.sample()
    assert found["cpu"] > 10
    assert found["memory"] > 60_000_000


def test_memory_is_that_of_the_tree_and_of_nobody_else(python: Any) -> None:
    """A recorder that counts itself would tell of gittrack."""
    child = python(
        """
        say()
        held = bytearray(80_000_000)
        if os.fork() == 0:
            more = bytearray(50_000_000)
            say()
        time.sleep(60)
        """
    )
    told(child)
    sampler = Sampler(child.pid)
    small = sampler.sample()["memory"]
    ours = psutil.Process().memory_info().rss
    assert small == pytest.approx(psutil.Process(child.pid).memory_info().rss, rel=0.2)
    go_on(child)
    told(child)
    assert 120_000_000 < sampler.sample()["memory"] - small < 250_000_000
    assert small < ours


@pytest.mark.skipif(not hasattr(psutil.Process, "io_counters"), reason="the system does not tell")
def test_what_was_written_by_a_process_that_ended_is_counted_once(
    python: Any, tmp_path: Path
) -> None:
    """A data loader's bytes are the run's, also once they are its parent's."""
    child = python(
        f"""
        say()
        if (pid := os.fork()) == 0:
            with open({os.fspath(tmp_path / "big")!r}, "wb") as file:
                file.write(os.urandom(8_000_000))
                file.flush()
                os.fsync(file.fileno())
            say()
            os._exit(0)
        os.waitpid(pid, 0)
        say(open("/proc/self/io").read().split("write_bytes: ")[1].split()[0])
        """
    )
    told(child)
    sampler = Sampler(child.pid)
    last, total = time.monotonic(), 0.0
    for step in range(3):
        looked = time.monotonic()
        total += sampler.sample()["disk_written"] * (looked - last)
        last = looked
        go_on(child)
        said = told(child) if step < 2 else ""
        really = int(said) if said else 0
        if step == 1 and not really:
            pytest.skip("this file system's writes are not counted")
        if step == 1:
            looked = time.monotonic()
            total += sampler.sample()["disk_written"] * (looked - last)
            assert total == pytest.approx(really, rel=0.02, abs=200_000)
            return


def test_a_process_that_is_gone_is_no_error(python: Any) -> None:
    """It may end between any two questions."""
    child = python("say()")
    told(child)
    sampler = Sampler(child.pid)
    assert "cpu" in sampler.sample()
    child.kill()
    child.wait()
    found = sampler.sample()
    assert not found.keys() & {"cpu", "memory", "disk_read", "disk_written"}
    assert "memory_machine" in found


def test_processes_that_vanish_at_any_moment_are_no_error(python: Any) -> None:
    """A build starts and ends hundreds while one sample is taken."""
    child = python(
        """
        say()
        while True:
            pids = [os.spawnl(os.P_NOWAIT, '/bin/true', 'true') for _ in range(8)]
            for pid in pids: os.waitpid(pid, 0)
        """
    )
    told(child)
    go_on(child)
    spent = Spent(child.pid)
    for _ in range(60):
        found = spent.sample()
        assert 0 <= found["cpu"] < 100 * (os.cpu_count() or 1) * 20
    times = psutil.Process(child.pid).cpu_times()
    really = times.user + times.system + times.children_user + times.children_system
    assert spent.seconds == pytest.approx(really, abs=0.25)


# -- how counts add up --------------------------------------------------------------------------


def seen(own: float, inherited: float = 0.0, *, parent: int = 1, start: float = 100.0) -> Any:
    return vitals._Seen(start, parent, (own, inherited), None, None, 0)


def grown(before: Mapping[int, Any], now: Mapping[int, Any]) -> float | None:
    def keyed(found: Mapping[int, Any]) -> Any:
        return {(pid, one.start): one for pid, one in found.items()}

    return vitals._grown(keyed(before), keyed(now), lambda one: one.cpu, since=100.0)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {2: seen(3)}, 3),
        ({2: seen(3)}, {2: seen(5)}, 2),
        ({2: seen(3)}, {2: seen(5), 3: seen(1, parent=2)}, 3),
        # Waited for: the parent has the child's 4, of which 1 was counted before.
        ({2: seen(3), 3: seen(1, parent=2)}, {2: seen(3, 4)}, 3),
        # Not waited for, or by somebody else: nothing is taken from what the parent did.
        ({2: seen(3), 3: seen(1, parent=2)}, {2: seen(5)}, 2),
        ({2: seen(3), 3: seen(9, parent=1)}, {2: seen(5, 1)}, 3),
        # Through one that is gone too.
        ({2: seen(3), 3: seen(1, parent=2), 4: seen(6, parent=3)}, {2: seen(3, 8)}, 1),
        # Another process with the number of the first.
        ({2: seen(3), 3: seen(9, parent=2)}, {2: seen(3, 9), 3: seen(1, start=101, parent=2)}, 1),
        # It has done something before we looked, and a count that nobody may know.
        ({2: seen(3)}, {2: seen(5), 3: seen(50, parent=2, start=50)}, None),
        ({2: seen(3)}, {2: vitals._Seen(100.0, 1, None, None, None, 0)}, None),
        ({2: vitals._Seen(100.0, 1, None, None, None, 0)}, {2: seen(3)}, None),
        # Parents in a circle, as reused numbers may look.
        ({2: seen(3), 3: seen(1, parent=4), 4: seen(1, parent=3)}, {2: seen(4)}, 1),
    ],
)
def test_a_count_of_all_together_grows_by(before: Any, now: Any, expected: float | None) -> None:
    """Never by what was counted before, never by less than nothing."""
    assert grown(before, now) == expected


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_whatever_forks_and_ends_the_sum_is_what_was_spent(data: st.DataObject) -> None:
    """A model of a kernel: parents get the counts of children that they wait for."""
    kernel: dict[int, list[float]] = {2: [0.0, 0.0]}
    parents = {2: 1}
    spent = total = 0.0
    before: dict[int, Any] = {}
    for pid in range(3, 3 + data.draw(st.integers(1, 25))):
        match data.draw(st.sampled_from(["work", "fork", "end", "look"])):
            case "work":
                worked = float(data.draw(st.integers(1, 9)))
                kernel[data.draw(st.sampled_from(sorted(kernel)))][0] += worked
                spent += worked
            case "fork":
                parents[pid] = data.draw(st.sampled_from(sorted(kernel)))
                kernel[pid] = [0.0, 0.0]
            case "end":
                leaves = [p for p in kernel if p != 2 and p not in map(parents.get, kernel)]
                if leaves:
                    gone = data.draw(st.sampled_from(sorted(leaves)))
                    kernel[parents[gone]][1] += sum(kernel.pop(gone))
            case "look":
                now = {p: seen(*counts, parent=parents[p]) for p, counts in kernel.items()}
                total += grown(before, now) or 0.0
                before = now
    now = {p: seen(*counts, parent=parents[p]) for p, counts in kernel.items()}
    assert total + (grown(before, now) or 0.0) == spent


# -- systems that refuse ------------------------------------------------------------------------


def _refusing(error: type[Exception]) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error(*([1] if issubclass(error, psutil.NoSuchProcess) else []))

    return refuse


@pytest.mark.parametrize(
    "error", [psutil.AccessDenied, PermissionError, FileNotFoundError, NotImplementedError]
)
@pytest.mark.parametrize(
    ("question", "lost"),
    [
        ("cpu_times", {"cpu"}),
        ("memory_info", {"memory"}),
        ("io_counters", {"disk_read", "disk_written"}),
    ],
)
def test_what_a_process_may_not_tell_is_left_out(
    question: str, lost: set[str], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a sum would be a wrong number."""
    if not hasattr(psutil.Process, question):
        pytest.skip("the system never tells")
    sampler = Sampler(os.getpid())
    whole = sampler.sample().keys()
    system = type(psutil.Process()._proc)  # type: ignore[attr-defined]
    monkeypatch.setattr(system, question, _refusing(error))
    found = sampler.sample().keys()
    assert whole - found == lost
    monkeypatch.undo()
    # Nobody knows since when it counts; the sample after is right again.
    assert not sampler.sample().keys() & (lost - {"memory"})
    assert sampler.sample().keys() >= lost


@pytest.mark.parametrize(
    ("question", "lost"),
    [
        ("cpu_times", {"cpu_machine"}),
        ("virtual_memory", {"memory_machine"}),
        ("disk_usage", {"disk_free"}),
        ("net_io_counters", {"network_sent", "network_received"}),
        ("Process", {"cpu", "memory", "disk_read", "disk_written"}),
    ],
)
@pytest.mark.parametrize("error", [psutil.NoSuchProcess, OSError, RuntimeError, IndexError])
def test_what_the_machine_does_not_tell_is_left_out(
    question: str, lost: set[str], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Odd containers and a missing /proc raise nearly anything; the rest is still sampled."""
    monkeypatch.setattr(psutil, question, _refusing(error))
    sampler = Sampler(os.getpid())
    sampler.sample()
    found = sampler.sample()
    assert found and not found.keys() & lost


def test_without_psutil_there_is_a_sentence_and_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed question never gets an empty answer."""
    monkeypatch.setitem(sys.modules, "psutil", None)
    sampler = Sampler(os.getpid())
    assert sampler.sample() == {}
    assert sampler.fault is not None and "psutil" in sampler.fault


def test_without_the_kernels_lists_of_children_psutil_finds_them(
    python: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONFIG_PROC_CHILDREN may be off, and no other system has them."""
    child = python("pid = os.fork()\nsay() if pid else time.sleep(60)")
    told(child)

    def tree() -> set[int]:
        sampler = Sampler(child.pid)
        sampler.sample()
        return set(sampler._tree._processes)

    with_lists = tree()
    monkeypatch.setattr(vitals, "open", _refusing(FileNotFoundError), raising=False)
    assert tree() == with_lists and len(with_lists) == 2


def _counts(**interfaces: tuple[int, int]) -> Any:
    return {
        name: SimpleNamespace(bytes_sent=sent, bytes_recv=received)
        for name, (sent, received) in interfaces.items()
    }


@pytest.mark.parametrize(
    ("first", "second", "sent"),
    [
        (_counts(lo=(0, 0), e=(100, 0)), _counts(lo=(5000, 0), e=(300, 0)), 200),
        (_counts(lo0=(0, 0), e=(100, 0)), _counts(lo0=(5000, 0), e=(300, 0)), 200),
        # One that appears, one that goes.
        (_counts(e=(100, 0)), _counts(e=(300, 0), f=(10**9, 0)), 200),
        (_counts(e=(100, 0), f=(9, 9)), _counts(e=(300, 0)), 200),
        # Reset, wrapped around, and nothing to be seen.
        (_counts(e=(100, 0)), _counts(e=(3, 0)), None),
        (_counts(e=(100, 5)), _counts(e=(300, 4)), None),
        (_counts(e=(100, 0)), {}, None),
        (_counts(e=(100, 0)), _counts(f=(300, 0)), None),
    ],
)
def test_network_is_that_of_the_devices(
    first: Any, second: Any, sent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process says to another on this machine is no traffic; a reset is no rate."""
    machine = vitals._Machine(Path.cwd())
    clock = iter([10.0, 11.0])
    monkeypatch.setattr(vitals.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(psutil, "net_io_counters", lambda **_: first)
    assert machine.network() == {}
    monkeypatch.setattr(psutil, "net_io_counters", lambda **_: second)
    assert machine.network().get("network_sent") == sent


def test_bridges_and_tunnels_do_not_count_bytes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's packet passes its own end, the bridge, and the card."""
    names = ["lo", "eth0", "docker0", "veth12", "tun0"]
    assert set(vitals._real(names)) >= {"eth0"}
    devices = {"/sys/class/net/eth0/device"}
    monkeypatch.setattr(vitals.os.path, "exists", lambda path: path in devices)
    assert vitals._real(names) == ["eth0"]
    devices.clear()
    assert vitals._real(names) == names[1:]


# -- GPUs ---------------------------------------------------------------------------------------

_PYNVML = """
NVML_TEMPERATURE_GPU = 0
class NVMLError(Exception): pass
class _Rates: gpu, memory = 87, 40
class _Memory: used, free, total = 5_000_000_000, 1, 6
def nvmlInit():
    if {broken}: raise NVMLError("Driver Not Loaded")
def nvmlDeviceGetCount(): return 3
def nvmlDeviceGetHandleByIndex(number):
    if number == 1: raise NVMLError("No Permission")
    return number
def nvmlDeviceGetUtilizationRates(device):
    if device == 2: raise NVMLError("Not Supported")
    return _Rates
def nvmlDeviceGetMemoryInfo(device): return _Memory
def nvmlDeviceGetTemperature(device, sensor): return 61
def nvmlDeviceGetPowerUsage(device): return 250_500
"""


@pytest.mark.parametrize("broken", [False, True])
def test_gpus_tell_what_their_kind_tells(broken: bool, tmp_path: Path) -> None:
    """A slice of a GPU has no utilisation; a machine may have the binding and no driver."""
    (tmp_path / "pynvml.py").write_text(_PYNVML.format(broken=broken))
    program = (
        "import os, json; from gittrack.vitals import Sampler;"
        "print(json.dumps(Sampler(os.getpid()).sample()))"
    )
    path = os.pathsep.join([os.fspath(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    gpus = {key: value for key, value in found.items() if key.startswith("gpu_")}
    both = {"memory": 5_000_000_000, "temperature": 61, "power": 250.5}
    expected = {f"gpu_{n}_{key}": value for n in (0, 2) for key, value in both.items()}
    assert gpus == ({} if broken else {"gpu_0": 87, **expected})
    assert found.keys() >= _CPU_KEYS
    assert all(vitals.unit(key) for key in found)


# -- a mean that tells of the whole -------------------------------------------------------------


def test_a_sample_counts_for_the_time_before_it() -> None:
    """Samples lie further apart the longer a run goes on."""
    rows = [Row(None, 10, {"cpu": 100}), Row(None, 100, {"cpu": 0, "memory": 5})]
    assert vitals.weigh(rows) == {"cpu": (pytest.approx(10), 100), "memory": (5, 5)}


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_what_is_no_measure_has_no_weight(odd: float) -> None:
    """A record may come from anybody."""
    assert vitals.weigh([Row(None, 1, {"cpu": odd}), Row(None, 2, {"cpu": 3})]) == {"cpu": (3, 3)}
    assert vitals.weigh([Row(None, 1, {"cpu": odd})]) == {}
