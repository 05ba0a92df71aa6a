"""Trees drawn with lines, as `tree` and `git log --graph` do: what stands before each line.

Knows the corners and the way through a tree, however deep. Knows nothing of what hangs on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["walk"]

Node = TypeVar("Node")

_NEXT, _LAST = "├─ ", "└─ "
_PASSING, _PASSED = "│  ", "   "
_DEEPEST = 40


def walk(
    roots: Sequence[Node], below: Callable[[Node], Sequence[Node]]
) -> Iterator[tuple[Node, str]]:
    """Each node with the lines that lead to it, from the top: a root has none, then its children.

    `below` is asked once for each node, after it was given out; where it goes round in circles it
    is for `below` to end that. What lies deeper than 40 levels is indented no further.
    """
    waiting = [(root, "", "") for root in reversed(roots)]
    while waiting:
        node, before, corner = waiting.pop()
        yield node, before + corner
        if len(before) < _DEEPEST * len(_PASSED):
            before += {"": "", _NEXT: _PASSING, _LAST: _PASSED}[corner]
        children = below(node)
        for place in range(len(children) - 1, -1, -1):
            last = place == len(children) - 1
            waiting.append((children[place], before, _LAST if last else _NEXT))
