"""What `stat` says of refs and notes, so that a change is seen.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
