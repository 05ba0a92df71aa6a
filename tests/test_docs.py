"""The documents that are generated say what the commands do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.cli.main import VERBS

ROOT = Path(__file__).parents[1]
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
    sections = re.findall(r"^## git track (\S+)$", (ROOT / "docs/cli.md").read_text(), re.MULTILINE)
    assert sections == list(VERBS)
    expected = {"git-track.1", *(f"git-track-{name}.1" for name in VERBS)}
    assert {page.name for page in PAGES} == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_manual_page_is_good_roff(page: Path) -> None:
    """What groff warns of is garbled on somebody's terminal."""
    if shutil.which("groff") is None:
        pytest.skip("no groff")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", str(page)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
