"""Signed runs, by Git's own configuration and a real SSH key; and runs whose signing fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Git, Track

RUN = ("run", "--", sys.executable, "-c", "print('acc: 0.5')")


@pytest.fixture
def signer(repo_dir: Path, git: Git, tmp_path: Path) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen here (Debian: openssh-client)")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    allowed = tmp_path / "allowed"
    allowed.write_text("ada@example.org " + key.with_suffix(".pub").read_text())
    git(repo_dir, "config", "gpg.format", "ssh")
    git(repo_dir, "config", "user.signingKey", str(key))
    git(repo_dir, "config", "gpg.ssh.allowedSignersFile", str(allowed))
    return key


@pytest.mark.parametrize("setting", ["commit.gpgSign", "track.sign"])
def test_a_run_is_signed_as_git_signs(
    repo_dir: Path, git: Git, track: Track, signer: Path, setting: str
) -> None:
    """An auditor verifies a run with plain Git; its dates are the run's own."""
    git(repo_dir, "config", setting, "true")
    track(repo_dir, *RUN, check=0)
    (name,) = git(repo_dir, "for-each-ref", "--format=%(refname)", "refs/runs").split()
    git(repo_dir, "verify-commit", name)
    (shown,) = json.loads(track(repo_dir, "ls", "--json", check=0).stdout)
    started = git(repo_dir, "show", "--no-patch", "--format=%at", name).strip()
    assert git(repo_dir, "show", "--no-patch", "--format=%G?", name).strip() == "G"
    assert shown["metrics"] == {"acc": 0.5} and int(started) > 1_700_000_000


def test_track_sign_decides_before_commit_gpgsign(
    repo_dir: Path, git: Git, track: Track, signer: Path
) -> None:
    """Who signs commits by hand, with a key that asks, may not want that for a sweep."""
    git(repo_dir, "config", "commit.gpgSign", "true")
    git(repo_dir, "config", "track.sign", "false")
    track(repo_dir, *RUN, check=0)
    (name,) = git(repo_dir, "for-each-ref", "--format=%(refname)", "refs/runs").split()
    assert git(repo_dir, "show", "--no-patch", "--format=%G?", name).strip() == "N"


def test_a_run_that_cannot_be_signed_waits_and_is_recorded_unsigned_on_demand(
    repo_dir: Path, git: Git, track: Track
) -> None:
    """The key is gone, the training was not for nothing; and nothing is unsigned by itself."""
    git(repo_dir, "config", "commit.gpgSign", "true")
    git(repo_dir, "config", "gpg.program", "false")
    refused = track(repo_dir, *RUN, check=125)
    assert "has ended and waits to be recorded" in refused.stderr
    assert "`git config track.sign false` records it unsigned" in refused.stderr

    listed = track(repo_dir, "ls", "--json", check=0)
    (waiting,) = json.loads(listed.stdout)
    assert (waiting["status"], waiting["exit_code"]) == ("finished", 0)
    assert waiting["metrics"] == {"acc": 0.5} and waiting["commit"] is None
    assert waiting["name"] in listed.stderr

    git(repo_dir, "config", "track.sign", "false")
    listed = track(repo_dir, "ls", "--json", check=0)
    (recorded,) = json.loads(listed.stdout)
    assert recorded["name"] == waiting["name"] and recorded["commit"]
    assert listed.stderr == ""


def test_a_run_whose_code_was_pruned_while_it_waited_is_recorded_on_its_base(
    repo_dir: Path, git: Git, track: Track
) -> None:
    """A run with a gap is a run; one that can never be recorded is a complaint for ever."""
    git(repo_dir, "config", "commit.gpgSign", "true")
    git(repo_dir, "config", "gpg.program", "false")
    (repo_dir / "train.py").write_text("changed = True\n")
    track(repo_dir, *RUN, check=125)
    held = git(repo_dir, "for-each-ref", "--format=%(refname)", "refs/gittrack/snapshots").split()
    assert len(held) == 1, "what waits must survive `git gc --prune=now`"

    git(repo_dir, "update-ref", "-d", held[0])
    (repo_dir / "train.py").write_text("other = True\n")
    git(repo_dir, "gc", "--quiet", "--prune=now")
    git(repo_dir, "config", "track.sign", "false")
    (shown,) = json.loads(track(repo_dir, "ls", "--json", check=0).stdout)
    assert shown["status"] == "finished" and shown["commit"]
    assert "its code is lost" in track(repo_dir, "show", check=0).stdout
    assert git(repo_dir, "for-each-ref", "refs/gittrack") == ""


@pytest.mark.parametrize("by", ["cli", "script"])
def test_a_run_whose_code_was_pruned_while_it_ran_breaks_no_repository(
    repo_dir: Path, git: Git, track: Track, by: str
) -> None:
    """A commit without its files would have each `git gc` fail from then on, and libgit2 remembers
    what it once read."""
    code = (
        "import gittrack, subprocess\n"
        "gittrack.log_metric('a', 1)\n"
        "subprocess.run(['git', 'gc', '--quiet', '--prune=now'], check=True)\n"
    )
    (repo_dir / "train.py").write_text(code)
    if by == "cli":
        track(repo_dir, "run", "--", sys.executable, "train.py", check=0)
    else:
        subprocess.run([sys.executable, "train.py"], cwd=repo_dir, check=True, timeout=60)
    shown = json.loads(track(repo_dir, "show", "latest", "--json", check=0).stdout)
    assert shown["status"] == "finished" and shown["metrics"]["a"] == 1
    assert "its code is lost" in shown["faults"][0]
    git(repo_dir, "fsck", "--connectivity-only")
    git(repo_dir, "gc", "--quiet", "--prune=now")


def test_a_setting_that_makes_no_sense_is_refused_before_the_command_starts(
    repo_dir: Path, git: Git, track: Track
) -> None:
    """Not after ten hours of training."""
    git(repo_dir, "config", "track.sign", "banana")
    done = track(repo_dir, "run", "--", "touch", "started", check=2)
    assert "track.sign" in done.stderr and not (repo_dir / "started").exists()
