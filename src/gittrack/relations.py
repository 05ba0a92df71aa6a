"""The index as documented SQL views, only to be read.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
