"""The names that runs know, and which one a user means.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
