"""How this very process was started: its command line, as it would be typed again.

Knows Python's own account of it. Refuses to guess where there is none: a notebook or a prompt has
no command line.
"""

from __future__ import annotations

import os
import sys

__all__ = ["is_program", "words"]


def words() -> tuple[str, ...]:
    """The words of this process, the interpreter without its directory; none at a prompt.

    A process that multiprocessing started says the words of its program, not its own.
    """
    if hasattr(sys, "ps1"):
        return ()
    said = list(sys.orig_argv)
    if not said:
        return tuple(sys.argv)
    python = os.path.basename(said[0]) or "python"
    if "--multiprocessing-fork" in said:
        return (python, *sys.argv)
    return (python, *said[1:])


def is_program() -> bool:
    """Whether the main program is one of the user's own, so that its options are params.

    Not so where it is installed: pytest, a kernel's launcher, another console script.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if hasattr(sys, "ps1") or not isinstance(file, str):
        return False
    path = os.path.realpath(file)
    if {"site-packages", "dist-packages"} & set(path.split(os.sep)):
        return False
    standard = os.path.realpath(os.path.dirname(os.__file__))
    scripts = {os.path.realpath(os.path.join(top, "bin")) for top in (sys.prefix, sys.base_prefix)}
    scripts.add(os.path.realpath(os.path.expanduser("~/.local/bin")))
    return not path.startswith(standard + os.sep) and os.path.dirname(path) not in scripts
