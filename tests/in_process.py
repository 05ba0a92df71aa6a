"""`git track` within the process of the tests: the same answers, without what starting one costs.

For verbs that only read, and write tags and notes. What a real process alone can show (signals,
terminals, closed streams, what children print) is tested with the fixture `track`.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

import pytest

from conftest import Place, _directory, _run_track
from gittrack.cli.main import main

__all__ = ["track_here"]

_REAL = ("run",)
"""Verbs that have children, who must print somewhere."""


def track_here(
    place: Place,
    *arguments: str,
    check: int | None = None,
    input: str | None = None,
    env: Mapping[str, str | None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """As the fixture `track`."""
    if arguments[:1] == _REAL:
        return _run_track(place, *arguments, check=check, input=input, env=env)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace", newline="") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace", newline="") as err,
        _standing(place, env or {}),
        _streams(io.TextIOWrapper(io.BytesIO((input or "").encode())), out, err),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        code = end.value.code
        assert isinstance(code, int)
        told, said = _all_of(out), _all_of(err)
    if check is not None and code != check:
        pytest.fail(f"git track {' '.join(arguments)} ended with {code}, not {check}\n{told}{said}")
    return subprocess.CompletedProcess(arguments, code, told, said)


@contextmanager
def _standing(place: Place, env: Mapping[str, str | None]) -> Iterator[None]:
    here, before = os.getcwd(), dict(os.environ)
    os.chdir(_directory(place))
    for name, value in env.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    try:
        yield
    finally:
        os.chdir(here)
        if dict(os.environ) != before:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def _streams(stdin: IO[str], stdout: IO[str], stderr: IO[str]) -> Iterator[None]:
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = stdin, stdout, stderr
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _all_of(stream: IO[str]) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()
