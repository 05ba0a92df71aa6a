"""Crashes made on purpose: killed at every system call, on a full disk, among racing processes.

`ptrace` kills, `world` prepares a run and looks at what is left of it, `faults` are mistakes that
the tests must notice.
"""
