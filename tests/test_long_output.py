"""An output longer than a record holds: the record has its ends, an artifact is all of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from conftest import Track

SCRIPT = "for i in range(300000): print(f'line {i}')"


def test_a_long_output_is_kept_in_part_by_the_record_and_whole_by_an_artifact(
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


def test_without_the_artifact_the_record_answers(repo_dir: Path, track: Track) -> None:
    """The cache may be empty here; a colleague has what the data remote had."""
    track(repo_dir, "run", "--", sys.executable, "-c", SCRIPT, check=0)
    copies = [f for f in (repo_dir / ".git/gittrack/dvc/files").rglob("*") if f.is_file()]
    assert len(copies) == 1
    copies[0].unlink()
    assert track(repo_dir, "logs", check=0).stdout == track(repo_dir, "show", "--log").stdout


def test_the_whole_is_an_artifact_without_the_secrets(repo_dir: Path, track: Track) -> None:
    """It is pushed with the others, so what the record masks it masks, wherever it stands."""
    secret = "ghp_" + "x7Kd92mQpL4vTz8RwB3nYc6HjF5sGa1eUo0i"
    script = f"for i in range(300000): print(f'line {{i}}', {secret!r} * (i % 90000 == 7))"
    track(repo_dir, "run", "--", sys.executable, "-c", script, check=0)
    fields = json.loads(track(repo_dir, "show", "--json", check=0).stdout)
    assert [kept["path"] for kept in fields["artifacts"]] == ["output.log"]
    whole = track(repo_dir, "logs", check=0).stdout
    assert secret not in whole and whole.count("***") == 4
    assert whole.count("\n") == 300000
