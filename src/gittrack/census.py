"""Commits, refs and annotations as the rows of the index, kept fresh.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
