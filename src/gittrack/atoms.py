"""One value as SQLite keeps it, and back; pure.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
