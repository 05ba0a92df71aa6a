"""Columns as groups, pivots and distinct values; pure.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
