"""The documents that are generated say what the commands do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.cli.main import VERBS
from gittrack.cli.model import SUBVERBS

ROOT = Path(__file__).parents[1]
COMMANDS = [
    command
    for verb in VERBS
    for command in [verb, *(f"{verb} {below}" for below in SUBVERBS if verb == "model")]
]
PAGES = sorted((ROOT / "man").glob("*.1"))


def test_what_is_committed_is_what_the_commands_say() -> None:
    """`scripts/make-docs` writes them anew."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make-docs"), "--check"],
        capture_output=True, text=True, env={"COLUMNS": "40", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_verb_has_its_page_and_section() -> None:
    """A verb without a manual is found by nobody."""
    text = (ROOT / "docs/cli.md").read_text()
    sections = re.findall(r"^(##+) git track (.+)$", text, re.MULTILINE)
    assert sections == [("#" * (2 + name.count(" ")), name) for name in COMMANDS]
    expected = {"git-track.1"} | {
        f"{git}-{name.replace(' ', '-')}.1"
        for git in ("git-track", "gittrack")
        for name in COMMANDS
    }
    assert {page.name for page in PAGES} == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_manual_page_is_good_roff(page: Path, tmp_path: Path) -> None:
    """What groff warns of is garbled on somebody's terminal."""
    if shutil.which("groff") is None:
        pytest.skip("no groff")
    # Where it is installed the directory is called man1, and aliases say so.
    manual = tmp_path / "man"
    manual.mkdir()
    (manual / "man1").symlink_to(ROOT / "man")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", str(page)],
        cwd=manual, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_git_help_of_a_verb_finds_its_page(tmp_path: Path) -> None:
    """`git help track-run` asks man for `gittrack-run`."""
    if shutil.which("man") is None:
        pytest.skip("no man")
    (tmp_path / "man1").symlink_to(ROOT / "man")
    for name in [command.replace(" ", "-") for command in COMMANDS]:
        done = subprocess.run(
            ["git", "help", f"track-{name}"], capture_output=True, text=True,
            env=os.environ | {"MANPATH": str(tmp_path), "MANPAGER": "cat", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert re.search(f"git-track-{name} +- ", done.stdout)


def test_every_link_of_the_reference_leads_somewhere() -> None:
    """The heading of a verb of `model` has three words."""
    text = (ROOT / "docs/cli.md").read_text()
    titles = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    there = {title.lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= there


def test_the_short_form_of_help_is_documented() -> None:
    """`git track ls --help` opens the manual, `-h` prints."""
    assert (ROOT / "docs/cli.md").read_text().count("| `-h, --help` |") == len(COMMANDS)
