"""A query as a clause of SQL.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
