"""Scripts that begin runs of their own, as real processes, and what is recorded of them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gittrack import commits, refs, sessions
from gittrack.git import Repo
from gittrack.records import Run

_HEAD = """\
import asyncio, contextvars, multiprocessing, os, signal, sys, threading, time
from gittrack import active, lifetime
from gittrack.errors import GittrackError


def wait(seconds=30):
    print("ready", flush=True)
    time.sleep(seconds)

"""


LOGS = """\
run = lifetime.start()
run.log_metric("loss", 0.5, step=1)
"""


def remembered(place: Path) -> Path:
    """What gittrack remembers of this interpreter, once it was asked in a new repository."""
    subprocess.run(["git", "init", "-q"], cwd=place, check=True)
    do(place, "lifetime.start()")
    return place / ".git" / "gittrack" / "cache"


def write(place: Path, program: str) -> Path:
    """The script `program`, with what it needs before it."""
    script = place / "train.py"
    script.write_text(_HEAD + textwrap.dedent(program))
    return script


def begin(
    place: Path, program: str, *words: str, env: Mapping[str, str] | None = None, **given: Any
) -> subprocess.Popen[str]:
    """Start a script in `place`."""
    write(place, program)
    return subprocess.Popen(
        [sys.executable, "train.py", *words],
        cwd=place,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=given.pop("stdout", subprocess.PIPE),
        stderr=given.pop("stderr", subprocess.PIPE),
        text=True,
        **given,
    )


def do(
    place: Path, program: str, *words: str, code: int = 0, env: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Run a script to its end, `code` -> its stdout and stderr."""
    process = begin(place, program, *words, env=env)
    said = process.communicate(timeout=60)
    assert process.returncode == code, said
    return said


def ready(process: subprocess.Popen[str]) -> None:
    """Wait until a script says that it is."""
    assert process.stdout is not None
    for line in process.stdout:
        if line == "ready\n":
            return
    pytest.fail(f"never ready: {process.communicate()}")


def runs(place: Path) -> list[Run]:
    """What is recorded there, the oldest first."""
    repo = Repo.open(place)
    found = [commits.load(repo, ref) for ref in refs.all_runs(repo)]
    return sorted(found, key=lambda run: run.started)


def only(place: Path) -> Run:
    """The one run that is recorded there; nothing of it is left behind."""
    (run,) = runs(place)
    assert sessions.live(Repo.open(place).state) == []
    return run


def output(place: Path, run: Run) -> str:
    """What is kept of its output."""
    repo = Repo.open(place)
    (ref,) = [ref for ref in refs.all_runs(repo) if ref.name == run.name]
    return commits.output(repo, ref).decode()
