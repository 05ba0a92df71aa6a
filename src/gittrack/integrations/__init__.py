"""What ties gittrack to frameworks: one module for each, named after it, imported by who uses it.

Each knows its framework's way of being told of, and logs through the public interface to the run
that is under way. Nothing of ours raises into a training; `frameworks` holds that.
"""

from __future__ import annotations

__all__ = ()
