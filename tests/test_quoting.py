"""Text that is hostile or no text at all comes out as something that can be stored and shown."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.quoting import command_line, one_line, printable, quote_path, shortened, utf8

any_text = st.text(st.characters(exclude_categories=()), max_size=20)


@given(any_text)
@settings(deadline=None)
def test_whatever_comes_can_be_stored_as_utf8(text: str) -> None:
    """Arguments bring lone surrogates, and so does JSON's \\ud800; neither may cost a run."""
    stored = utf8(text)
    stored.encode()
    assert utf8(stored) == stored
    if not any(0xD800 <= ord(char) < 0xE000 for char in text):
        assert stored == text


@given(any_text)
@settings(deadline=None)
def test_one_line_is_one_and_moves_no_cursor(text: str) -> None:
    """A fetched title must not clear the screen, reverse the line, or pretend to be two."""
    shown = one_line(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1 and one_line(shown) == shown
    assert not set(shown) & set("\x1b\x07\x08\r\n\x9b\u202e\u200b\u2028")


def test_printable_keeps_lines_and_tabs_only() -> None:
    """Notes have lines; a carriage return would overwrite one."""
    assert printable("a\tb\nc\rd\x1b[2J\u202e") == "a\tb\nc\\rd\\x1b[2J\\u202e"


@pytest.mark.parametrize(
    "raw",
    [b"plain/x.py", "caf\u00e9".encode(), b"caf\xe9", b'a"b', b"a\nb", b"a\\b", b"\x1b", b"a b"],
)
def test_paths_are_written_as_git_writes_them(repo_dir, git, raw: bytes) -> None:
    """UTF-8 as with core.quotePath=false; other bytes as with true, for a record is UTF-8."""
    import os

    (repo_dir / os.fsdecode(raw)).parent.mkdir(exist_ok=True)
    (repo_dir / os.fsdecode(raw)).write_text("x")
    quoted = b"\xe9" in raw
    args = ["-c", f"core.quotePath={quoted}", "ls-files", "-o"]
    assert quote_path(raw) == git(repo_dir, *args).rstrip("\n")


@given(
    st.lists(st.text(st.characters(exclude_characters="\0"), max_size=8), min_size=1, max_size=3)
)
@settings(deadline=None, max_examples=60)
def test_a_shell_reads_a_command_line_back(words: list[str]) -> None:
    """The command in a record is for pasting."""
    if any(0xD800 <= ord(char) < 0xE000 for word in words for char in word):
        return
    script = "printf '%s\\0' " + command_line(words)
    done = subprocess.run(["bash", "-c", script], capture_output=True, env={"LC_ALL": "C.UTF-8"})
    assert done.stdout.decode().split("\0")[:-1] == words


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"no run named '{'x' * 30_000}' here", f"no run named '{'x' * 40}...{'x' * 17}' here"),
        (f"'{'x y ' * 9_000}' and 'b'", f"'{'x y ' * 10}...{('x y ' * 9)[-17:]}' and 'b'"),
        (f"no such column: {'x' * 300}, sorry", f"no such column: {'x' * 40}...{'x' * 16}, sorry"),
        (f"'{'x' * 250}'", f"'{'x' * 250}'"),
        ("a word " * 200, "a word " * 200),
    ],
    ids=["quoted", "blanks", "bare", "short", "words"],
)
def test_an_error_repeats_no_name_that_nobody_reads(text: str, told: str) -> None:
    """A file pasted as an argument leaves the reason on the screen."""
    assert shortened(text) == told
