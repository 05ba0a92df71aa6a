"""Where the repository is and what is set there, found without libgit2.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
