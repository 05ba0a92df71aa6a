"""What looks as if it held a secret is not kept unasked, whichever way it would be kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gittrack.vetting import suspicion

KEY = "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYzz9+3kLmQ2Xa\n"


def test_a_name_is_enough(tmp_path: Path) -> None:
    """Its own, or the one that it gets; what is in it does not matter."""
    for name in ("id_rsa", "notes"):
        (tmp_path / name).write_text("x")
    reason = "its name looks like that of a secret"
    assert suspicion(tmp_path / "id_rsa", "id_rsa", "settings") == reason
    assert suspicion(tmp_path / "notes", "notes", ".env") == reason
    assert suspicion(tmp_path / "notes", "notes", "settings") is None


def test_content_counts_up_to_a_size(tmp_path: Path) -> None:
    """A model of gigabytes is not searched; the line is named, never the secret."""
    (tmp_path / "a").write_text("\n" + KEY)
    (tmp_path / "b").write_text(KEY + "x" * (1 << 20))
    assert suspicion(tmp_path / "a", "a") == (
        "line 2 looks like a secret (value of aws_secret_access_key)"
    )
    assert suspicion(tmp_path / "b", "b") is None


def test_of_a_directory_the_names_count(tmp_path: Path) -> None:
    """Those of files that would be stored: DVC follows no link to a directory."""
    top = tmp_path / "out"
    (top / "deep").mkdir(parents=True)
    (top / "deep" / "notes").write_text(KEY)
    (top / ".env").symlink_to(tmp_path)
    assert suspicion(top, "out") is None
    (top / "deep" / ".env").write_text("x")
    assert suspicion(top, "out") == "'out/deep/.env' looks like a secret"


def test_a_directory_whose_name_makes_secrets_of_its_files(tmp_path: Path) -> None:
    """Whatever lies in `.ssh` is one."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "work").write_text("x")
    assert suspicion(tmp_path / ".ssh", "ssh") == "'ssh/work' looks like a secret"


@pytest.mark.parametrize("kind", ["nothing", "a pipe", "a link to nothing", "unreadable"])
def test_of_what_cannot_be_read_nothing_is_said(tmp_path: Path, kind: str) -> None:
    """Who stores it says what is wrong; above all nobody waits for a pipe."""
    path = tmp_path / "x"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link to nothing":
        path.symlink_to("nowhere")
    elif kind == "unreadable":
        path.mkdir()
        os.mkfifo(path / "pipe")
    assert suspicion(path, "x") is None
