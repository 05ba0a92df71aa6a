"""Which outputs end with a traceback, and what ended them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Track
from gittrack.cli.tracebacks import last_line

BEGIN = "Traceback (most recent call last):\n"
FRAME = '  File "train.py", line 3, in <module>\n    main()\n    ~~~~^^\n'


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise ValueError('bad input')", "ValueError: bad input"),
        ("import json; json.loads('{')", "json.decoder.JSONDecodeError: "),
        ("assert 0", "AssertionError"),
        ("x = (", "SyntaxError: "),
        ("try:\n 1/0\nexcept Exception as e:\n raise KeyError('k') from e", "KeyError: 'k'"),
        ("def f(): f()\nf()", "RecursionError: "),
        ("def f():\n class E(Exception): pass\n raise E('x')\nf()", "f.<locals>.E: x"),
    ],
)
def test_what_python_prints_is_understood(code: str, expected: str) -> None:
    """Python is asked, not remembered: each version prints more marks than the one before it."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    for output in (done.stderr, b"epoch 1\n" + done.stderr.replace(b"\n", b"\r\n")):
        found = last_line(output)
        assert found is not None
        assert found.startswith(expected)
        assert "\r" not in found


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", None),
        ("\n", None),
        ("done\n", None),
        ("ValueError: said by nobody\n", None),
        (f"{BEGIN}{FRAME}ValueError: caught\nepoch 2\n", None),
        (f"{BEGIN}{FRAME}ValueError: caught\nResult: good\n", None),
        (f"{BEGIN}{FRAME}", None),
        (f"{BEGIN}ValueError: no frame\n", None),
        (f"{BEGIN}{FRAME}not an error\n", None),
        ("settings:\n  lr: 1\nDone: yes\n", None),
        (f"{BEGIN}{FRAME}ValueError: bad input", "ValueError: bad input"),
        (f"{BEGIN}{FRAME}ValueError: bad input\n\n\n", "ValueError: bad input"),
        (f" 50%|#####\r{BEGIN}{FRAME}KeyError: 'k'\n", "KeyError: 'k'"),
        (f"\r 50%|#####     | 5/10{BEGIN}{FRAME}KeyError: 'k'\n", "KeyError: 'k'"),
        (f"\x1b[1m{BEGIN}{FRAME}\x1b[1;35mValueError\x1b[0m: \x1b[35mbad\x1b[0m\n",
         "ValueError: bad"),
    ],
)  # fmt: skip
def test_only_a_traceback_at_the_very_end_counts(output: str, expected: str | None) -> None:
    """A program that printed one and went on did not end by it."""
    assert last_line(output.encode()) == expected


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_output_is_too_strange(output: bytes) -> None:
    """It is whatever a command printed."""
    last_line(output)
    last_line((BEGIN + FRAME).encode() + output)


def test_show_says_which_exception_ended_a_run(repo_dir: Path, track: Track) -> None:
    """On one line and harmless, however long it is and whatever is in it."""
    (repo_dir / "bad.py").write_text("raise ValueError('bad \\x1b[2J input ' + 'x' * 500)\n")
    track(repo_dir, "run", "--", sys.executable, "bad.py", check=1)
    text = track(repo_dir, "show", check=0).stdout
    (line,) = [line for line in text.splitlines() if line.startswith("  ended by")]
    assert line.startswith("  ended by    ValueError: bad \\x1b[2J input xxx")
    assert len(line) < 220
    track(repo_dir, "run", "--", sys.executable, "-c", "raise SystemExit(3)", check=3)
    assert "ended by" not in track(repo_dir, "show", check=0).stdout
