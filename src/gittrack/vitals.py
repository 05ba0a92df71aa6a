"""What a run costs its machine: CPU, memory, disk, network and GPUs, sampled while it runs.

The door to psutil and NVML (pynvml), imported with the first sample. Knows which processes belong
to a run, and how the counts of those that come and go add up. Knows nothing of journals and
records. What cannot be had is left out of a sample: no number is better than a wrong one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gittrack.records import Row
from gittrack.summaries import Number

if TYPE_CHECKING:
    import psutil

__all__ = ["PREFIX", "UNITS", "Sampler", "unit", "weigh"]

PREFIX = "system/"
"""What stands before a system metric's name wherever metrics of the user's own are named too."""

UNITS: Mapping[str, str] = {
    "cpu": "%",
    "cpu_machine": "%",
    "memory": "bytes",
    "memory_machine": "%",
    "disk_read": "bytes/s",
    "disk_written": "bytes/s",
    "disk_free": "bytes",
    "network_sent": "bytes/s",
    "network_received": "bytes/s",
    "gpu_N": "%",
    "gpu_N_memory": "bytes",
    "gpu_N_temperature": "°C",
    "gpu_N_power": "W",
}
"""All that is sampled, and its units; N counts the GPUs as NVML does, from 0.

`cpu`, `memory`, `disk_read` and `disk_written` are of the run's own processes, a core kept busy by
them being 100 % of `cpu`; pages that they share count in each. All else is of the whole machine.
"""

_MOST_GPUS = 64
_NO_MEASURE = 1e30
# A process's start is known to the clock's tick after a boot that is known to the second.
_SLACK = 2.0


def unit(key: str) -> str:
    """The unit of a system metric; empty for one that is not known."""
    number = key.split("_")[1] if key.startswith("gpu_") else ""
    return UNITS.get(key.replace(f"gpu_{number}", "gpu_N", 1) if number.isdigit() else key, "")


def weigh(rows: Iterable[Row]) -> dict[str, tuple[float, Number]]:
    """The mean and the peak of each column, by name: each sample counts for the time before it.

    Samples lie the further apart the longer a run goes on, so that an even mean would tell of its
    beginning.
    """
    sums: dict[str, tuple[float, float, Number]] = {}
    before = 0.0
    for row in rows:
        weight, before = max(row.time - before, 1e-6), row.time
        for key, value in row.values.items():
            if abs(value) < _NO_MEASURE:
                total, weights, peak = sums.get(key, (0.0, 0.0, value))
                sums[key] = (total + value * weight, weights + weight, max(peak, value))
    return {key: (total / weights, peak) for key, (total, weights, peak) in sums.items()}


class Sampler:
    """Samples what a process, all that it started, and their machine do.

    For one thread at a time. Making one costs a few microseconds. `fault` is a sentence about why
    there are no samples at all, None while there are.
    """

    def __init__(self, pid: int, *, directory: Path | None = None) -> None:
        """Watch the process `pid` from now on; `directory` is where free space is looked for."""
        self.fault: str | None = None
        self._tree = _Tree(pid)
        self._machine = _Machine(directory or Path.cwd())
        self._gpus: _Gpus | None = None

    def sample(self) -> dict[str, float]:
        """Measure everything that this machine tells, by the names of `UNITS`. Raises nothing.

        Rates are those since the last sample. `cpu`, `disk_read` and `disk_written` in the first
        are those since the sampler was made, the machine's rates begin with the second. The first
        loads psutil (some 30 ms); any may take long where a driver or a disk hangs.
        """
        try:
            import psutil  # noqa: F401
        except Exception as error:  # whatever a broken installation or an odd /proc raises
            self.fault = f"system metrics are not sampled: {error}"
            return {}
        if self._gpus is None:
            self._gpus = _Gpus()
        measures = (
            self._tree.sample,
            self._machine.cpu,
            self._machine.memory,
            self._machine.disk,
            self._machine.network,
            self._gpus.sample,
        )
        found: dict[str, float] = {}
        for measure in measures:
            found |= _asked(measure)
        return found


def _asked(measure: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
    """What a measure tells; nothing where the system refuses, in whichever way it does."""
    try:
        return measure()
    except Exception:  # psutil and NVML, on odd systems, raise nearly anything
        return {}


# -- the processes of a run ---------------------------------------------------------------------


class _Seen(NamedTuple):
    """A process as it was seen: counts are (its own, those of children that it waited for).

    None where the system refuses to tell. Linux counts what is read and written by children that
    were waited for as the parent's own (kernel/exit.c), so that there all stands in the second.
    """

    start: float
    parent: int
    cpu: tuple[float, float] | None
    read: tuple[float, float] | None
    written: tuple[float, float] | None
    resident: int | None


_Key = tuple[int, float]
_Count = Callable[[_Seen], "tuple[float, float] | None"]


class _Tree:
    """A process and all that it started, also what has lost its parent since it was seen."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looked = time.monotonic()
        self._wall = time.time()
        self._begun = _begun() if pid == os.getpid() else None
        self._processes: dict[int, psutil.Process] = {}
        self._before: dict[_Key, _Seen] = {}

    def sample(self) -> dict[str, float]:
        """CPU, memory and disk of all of them together."""
        began, wall = time.monotonic(), time.time()
        now = self._seen()
        if not now:
            return {}
        # Beside a thread that computes, each answer waits for the interpreter's lock.
        looked = (began + time.monotonic()) / 2
        if self._begun is not None:
            self._before = {key: self._begun for key in now if key[0] == self._pid}
            self._begun = None
        seconds = looked - self._looked
        found: dict[str, float] = {}
        for name, count, factor, digits in (
            ("cpu", lambda seen: seen.cpu, 100.0, 1),
            ("disk_read", lambda seen: seen.read, 1.0, 0),
            ("disk_written", lambda seen: seen.written, 1.0, 0),
        ):
            grown = _grown(self._before, now, count, since=self._wall)
            if grown is not None and seconds > 0:
                found[name] = _rounded(grown * factor / seconds, digits)
        resident = [seen.resident for seen in now.values()]
        if None not in resident:
            found["memory"] = sum(size for size in resident if size is not None)
        self._before, self._looked, self._wall = now, looked, wall
        return found

    def _seen(self) -> dict[_Key, _Seen]:
        import psutil

        seen: dict[_Key, _Seen] = {}
        living: dict[int, psutil.Process] = {}
        waiting = [self._pid, *self._processes]
        while waiting:
            pid = waiting.pop()
            if pid in living:
                continue
            try:
                process = self._process(pid)
                found = _look(process)
                seen[pid, found.start] = found
                living[pid] = process
                waiting += _children(process)
            except psutil.NoSuchProcess:
                continue
        self._processes = living
        return seen

    def _process(self, pid: int) -> psutil.Process:
        import psutil

        known = self._processes.get(pid)
        if known is None:
            return psutil.Process(pid)
        if not known.is_running():
            # Another process may have the number by now; if it is ours it is somebody's child.
            del self._processes[pid]
            raise psutil.NoSuchProcess(pid)
        return known


def _begun() -> _Seen:
    """This process as it is now, without psutil."""
    spent = os.times()
    cpu = (spent.user + spent.system, spent.children_user + spent.children_system)
    counts: dict[bytes, float] = {}
    with suppress(OSError, ValueError), open("/proc/self/io", "rb") as file:
        for line in file:
            name, _, count = line.partition(b":")
            counts[name] = float(count)
    read, written = counts.get(b"read_bytes"), counts.get(b"write_bytes")
    return _Seen(0.0, 0, cpu, _inherited(read), _inherited(written), None)


def _inherited(count: float | None) -> tuple[float, float] | None:
    return None if count is None else (0.0, count)


def _look(process: psutil.Process) -> _Seen:
    """Raises psutil.NoSuchProcess for one that is gone."""
    with process.oneshot():
        cpu = _told(lambda: process.cpu_times())
        disk = _told(lambda: process.io_counters()) if hasattr(process, "io_counters") else None
        memory = _told(lambda: process.memory_info())
        return _Seen(
            start=process.create_time(),
            parent=process.ppid(),
            cpu=cpu and (cpu.user + cpu.system, cpu.children_user + cpu.children_system),
            read=_inherited(disk and disk.read_bytes),
            written=_inherited(disk and disk.write_bytes),
            resident=memory and memory.rss,
        )


def _told(ask: Callable[[], Any]) -> Any:
    """What psutil tells of a process, None where it may not; one that is gone raises."""
    import psutil

    try:
        return ask()
    except psutil.NoSuchProcess:
        raise
    except (psutil.Error, OSError, NotImplementedError):
        return None


def _children(process: psutil.Process) -> Iterator[int]:
    """The pids of a process's children.

    Linux lists them by thread (proc(5), needs CONFIG_PROC_CHILDREN): psutil, which knows nothing of
    that, reads the state of every process of the machine.
    """
    try:
        tasks = os.listdir(f"/proc/{process.pid}/task")
        for task in tasks:
            with open(f"/proc/{process.pid}/task/{task}/children", "rb") as file:
                yield from map(int, file.read().split())
    except (OSError, ValueError):
        yield from (child.pid for child in process.children())


def _grown(
    before: Mapping[_Key, _Seen], now: Mapping[_Key, _Seen], count: _Count, *, since: float
) -> float | None:
    """By how much a count of all processes together grew; None where one of them does not tell.

    What a process counted that is gone stands in the second count of whoever waited for it, and
    must not be counted again. `since` is when `before` was seen, in seconds since the epoch.
    """
    inherited: dict[int, float] = {}
    parents = {pid: seen.parent for (pid, _), seen in before.items()}
    alive = {pid for pid, _ in now}
    for key, seen in before.items():
        counted = None if key in now else count(seen)
        if counted is not None:
            heir = _heir(seen.parent, parents, alive)
            inherited[heir] = inherited.get(heir, 0.0) + sum(counted)
    total = 0.0
    for (pid, start), seen in now.items():
        old = before.get((pid, start))
        if old is None and start < since - _SLACK:
            return None  # it has done something before we looked, nobody knows how much
        then = (0.0, 0.0) if old is None else count(old)
        counted = count(seen)
        if then is None or counted is None:
            return None
        total += max(0.0, counted[0] - then[0])
        total += max(0.0, counted[1] - then[1] - inherited.get(pid, 0.0))
    return total


def _heir(pid: int, parents: Mapping[int, int], alive: Container[int]) -> int:
    """Who among the living got the counts of a child of `pid`: it, or the nearest above it."""
    for _ in parents:
        if pid in alive or pid not in parents:
            break
        pid = parents[pid]
    return pid


def _rounded(value: float, digits: int) -> float:
    return round(value, digits) if digits else round(value)


# -- the machine --------------------------------------------------------------------------------


class _Machine:
    """What all processes of the machine do together, as far as this one may see."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cpu: tuple[float, float] | None = None
        self._net: tuple[float, Mapping[str, tuple[int, int]]] | None = None

    def cpu(self) -> dict[str, float]:
        """How busy all cores are. By our own difference: psutil keeps one for the whole process."""
        import psutil

        times = psutil.cpu_times()
        # Linux counts what guests take as the user's, too.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        busy = total - times.idle - getattr(times, "iowait", 0.0)
        before, self._cpu = self._cpu, (total, busy)
        if before is None or total <= before[0]:
            return {}
        share = (busy - before[1]) / (total - before[0])
        return {"cpu_machine": round(100 * min(max(share, 0.0), 1.0), 1)}

    def memory(self) -> dict[str, float]:
        """How much of its memory is in use."""
        import psutil

        return {"memory_machine": psutil.virtual_memory().percent}

    def disk(self) -> dict[str, float]:
        """How much space is free for who asks, where the repository is."""
        import psutil

        return {"disk_free": psutil.disk_usage(os.fspath(self._directory)).free}

    def network(self) -> dict[str, float]:
        """What goes out and comes in, by interfaces that were there at both ends."""
        import psutil

        looked = time.monotonic()
        told = psutil.net_io_counters(pernic=True, nowrap=False)
        counts = {name: (told[name].bytes_sent, told[name].bytes_recv) for name in _real(told)}
        before, self._net = self._net, (looked, counts)
        if before is None or looked <= before[0]:
            return {}
        pairs = [(before[1][name], count) for name, count in counts.items() if name in before[1]]
        # One that was reset, or whose counter wrapped around, tells nothing.
        if not pairs or any(
            then > count for pair in pairs for then, count in zip(*pair, strict=True)
        ):
            return {}
        sent, received = (
            round(sum(now[part] - then[part] for then, now in pairs) / (looked - before[0]))
            for part in (0, 1)
        )
        return {"network_sent": sent, "network_received": received}


def _real(names: Iterable[str]) -> Sequence[str]:
    """The interfaces that stand for a device: a bridge or a tunnel would count its bytes again.

    Where none does, as in a container, all but the loopback.
    """
    others = [name for name in names if name.rstrip("0123456789") != "lo"]
    return [n for n in others if os.path.exists(f"/sys/class/net/{n}/device")] or others


# -- its GPUs -----------------------------------------------------------------------------------


class _Gpus:
    """The GPUs that NVML knows; none where it, or its Python binding, is not installed."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._devices: list[tuple[int, Any]] = []
        with suppress(Exception):  # no binding, no driver, no permission: no GPUs
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            for number in range(min(pynvml.nvmlDeviceGetCount(), _MOST_GPUS)):
                with suppress(Exception):
                    self._devices.append((number, pynvml.nvmlDeviceGetHandleByIndex(number)))

    def sample(self) -> dict[str, float]:
        """What each tells; not every kind tells everything."""
        found: dict[str, float] = {}
        for number, device in self._devices:
            for suffix, ask in _GPU_FACTS.items():
                with suppress(Exception):  # this kind of device, or this user, is not told
                    found[f"gpu_{number}{suffix}"] = ask(self._nvml, device)
        return found


_GPU_FACTS: Mapping[str, Callable[[Any, Any], float]] = {
    "": lambda nvml, device: nvml.nvmlDeviceGetUtilizationRates(device).gpu,
    "_memory": lambda nvml, device: nvml.nvmlDeviceGetMemoryInfo(device).used,
    "_temperature": lambda nvml, device: nvml.nvmlDeviceGetTemperature(
        device, nvml.NVML_TEMPERATURE_GPU
    ),
    "_power": lambda nvml, device: nvml.nvmlDeviceGetPowerUsage(device) / 1000,
}
