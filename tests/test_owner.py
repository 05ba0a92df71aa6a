"""A process that cannot be mistaken for another."""

from __future__ import annotations

import os
import subprocess
import sys

from gittrack.owner import Owner


def test_another_process_with_the_same_pid_is_not_the_command() -> None:
    """Pids come again, sooner in a container; start time and boot tell them apart."""
    own = Owner.of(os.getpid())
    assert own.is_alive()
    assert not Owner(own.pid, own.start + "1", own.boot).is_alive()
    assert not Owner(own.pid, own.start, "another boot").is_alive()
    assert not Owner(own.pid, "", own.boot).is_alive()
    assert not Owner(2**22 + 1, "", own.boot).is_alive()


def test_a_zombie_does_not_live() -> None:
    """A parent that never waits must not keep the run of a dead child open."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(child.pid)
    assert owner.is_alive()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not owner.is_alive()
    child.communicate()
