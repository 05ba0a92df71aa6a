"""Whether a query holds for a run; pure.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
