"""Which runs answer a question: the one way in.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
