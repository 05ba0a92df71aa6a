"""The functions over Git and lineage in a query, as sets of commits.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
