"""Extremes of curves, and packages: read when first asked for.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
