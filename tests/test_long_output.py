"""An output longer than a record holds: the record has its ends, this clone has all of it."""

from __future__ import annotations

import sys
from pathlib import Path

from conftest import Track

SCRIPT = "for i in range(300000): print(f'line {i}')"


def test_a_long_output_is_kept_in_part_by_the_record_and_whole_by_the_clone(
    repo_dir: Path, track: Track
) -> None:
    """Nothing that was printed is lost, and no record grows beyond a megabyte."""
    track(repo_dir, "run", "--", sys.executable, "-c", SCRIPT, check=0)
    whole = track(repo_dir, "logs", check=0).stdout
    assert whole == "".join(f"line {i}\n" for i in range(300000))

    kept = track(repo_dir, "show", "--log", check=0).stdout
    assert len(kept) <= 1 << 20
    lines = kept.splitlines()
    assert lines[0] == "line 0" and lines[-1] == "line 299999"
    left_out = next(line for line in lines if line.startswith("[..."))
    assert left_out == f"[... {len(whole) - len(kept) + len(left_out) + 1} bytes left out ...]"


def test_without_the_clones_own_copy_the_record_answers(repo_dir: Path, track: Track) -> None:
    """The copy may be deleted at any time; a colleague never had it."""
    track(repo_dir, "run", "--", sys.executable, "-c", SCRIPT, check=0)
    (copy,) = (repo_dir / ".git" / "gittrack" / "output").iterdir()
    copy.unlink()
    assert track(repo_dir, "logs", check=0).stdout == track(repo_dir, "show", "--log").stdout
