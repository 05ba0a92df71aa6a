"""A query's tree with the names and types of these runs.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
