"""A run's record says what it ran on, and what could not be found out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gittrack import environment
from gittrack.environment import begin, is_lock_file
from pythons import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.age()
    return world


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interpreter_that_never_answers_is_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's record may not wait for ever; what the wrapper started must go as well."""
    monkeypatch.setattr(environment, "_PROBE_SECONDS", 0.2)
    ready = world.cwd / "pid"
    os.mkfifo(ready)
    stand_in = f"#!/bin/sh\nsleep 1000 &\necho $! > {ready}\nwait\n"
    pending = world.begin(world.script("python", stand_in), "x")
    grandchild = int(ready.read_text())
    assert os.getsid(grandchild) != os.getsid(0)
    result = pending.result()
    assert (result.python, result.packages) == (None, {})
    assert "did not answer within" in (pending.fault or "")
    assert pending.result() is result
    deadline = time.monotonic() + 5
    while _alive(grandchild) and _state(grandchild) != "Z" and time.monotonic() < deadline:
        os.sched_yield()
    assert not _alive(grandchild) or _state(grandchild) == "Z"


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_a_directory_that_is_not_there_gives_a_fault(world: World, tmp_path: Path) -> None:
    """The command will not start either; the record of that must still be written."""
    missing = tmp_path / "missing"
    pending = begin([str(world.python)], env=world.env, cwd=missing, cache=world.cache)
    assert pending.result().python is None
    assert pending.fault


def test_cancel_leaves_no_process(world: World) -> None:
    """A command that could not be started has no record to wait for."""
    pending = world.begin(world.python)
    process = pending._questions["python"]._process
    assert process is not None
    pending.cancel()
    assert process.returncode is not None


GPUS = [
    ("echo 'A100, 81920 MiB, 535.1'; echo; echo 'A100, 81920 MiB, 535.1'", 2, None),
    ("echo no devices; exit 6", 0, None),
    ("exit 9", 0, None),
    ("echo trouble; exit 15", 0, "exit code 15"),
    ("exec sleep 1000", 0, "did not answer"),
]


@pytest.mark.parametrize(("stand_in", "count", "fault"), GPUS)
def test_a_stand_in_for_nvidia_smi_tells_the_gpus(
    world: World, monkeypatch: pytest.MonkeyPatch, stand_in: str, count: int, fault: str | None
) -> None:
    """A stand-in, since the hardware is not here; no driver and no device are no fault."""
    monkeypatch.setattr(environment, "_GPU_SECONDS", 0.3)
    world.script("nvidia-smi", f"#!/bin/sh\n{stand_in}\n")
    pending = world.begin("true")
    assert pending.result().gpus == ("A100, 81920 MiB, 535.1",) * count
    assert (fault or "") in (pending.fault or "") and bool(fault) == bool(pending.fault)


def test_variables_are_only_those_listed_and_as_the_command_sees_them(world: World) -> None:
    """Environment variables hold secrets; `env X=1` in front of the command sets some."""
    result = world.capture(
        *("env", "OMP_NUM_THREADS=4", "-u", "RANK", "true"),
        OMP_NUM_THREADS="8",
        RANK="1",
        API_KEY="secret",
        PYTHONHASHSEED=os.fsdecode(b"\xff"),
    )
    assert result.variables == {"OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "\ufffd"}


def test_the_machine_is_described(world: World) -> None:
    """Cores are those that this process may use, memory is in bytes."""
    result = world.capture("true")
    name = os.uname()
    assert result.platform.startswith(f"{name.sysname}-{name.release}-{name.machine}")
    assert 0 < result.cores <= (os.cpu_count() or 0)
    assert result.memory > 2**26
    assert (result.python, result.packages, result.lock_files) == (None, {}, {})


LOCKS = {
    "uv.lock": True,
    "requirements.txt": True,
    "requirements-dev.txt": True,
    "requirements.in": False,
    "conda-lock.yml": True,
    "environment.yml": True,
    "environment.gpu.yaml": True,
    "pylock.toml": True,
    "Pipfile.lock": True,
    "pipfile.lock": False,
    "sub/uv.lock": False,
    "my-requirements.txt": False,
    "": False,
}


@pytest.mark.parametrize(("path", "expected"), LOCKS.items())
def test_lock_files_are_known_by_name_at_the_root(path: str, expected: bool) -> None:
    """A lock file of some other project deeper in the tree says nothing about this run."""
    assert is_lock_file(path) is expected
