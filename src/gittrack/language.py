"""The text of a query as a tree, by the grammar in `query.peg`.

Knows nothing yet.
"""

from __future__ import annotations

__all__ = []
