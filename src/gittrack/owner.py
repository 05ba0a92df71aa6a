"""A process that cannot be mistaken for another, and whether it still lives.

Knows how the system tells when a process started and which boot this is. Knows nothing of runs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Owner"]


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that cannot be mistaken for another: pid, its start, and this boot of this host."""

    pid: int
    start: str
    boot: str

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The process that has this pid now."""
        return cls(pid, _start_of(pid), _boot())

    def is_alive(self) -> bool:
        """Whether that very process still runs here; a zombie does not."""
        return self.boot == _boot() and bool(self.start) and _start_of(self.pid) == self.start


def _start_of(pid: int) -> str:
    """When a process started, in its system's own words; empty if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    except OSError:
        pass
    if os.path.isdir("/proc/self"):
        return ""
    import subprocess

    said = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return said.stdout.strip()


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return os.uname().nodename
