"""Regular expressions of the user's, searched for in bounded time; the door to `regex`.

`re` itself may need hours for a line, holds the interpreter's lock meanwhile, and knows no limit:
in a training process that would stop the training. Knows nothing of what the expressions look for.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache

from gittrack.errors import UsageError

__all__ = ["MOST_SECONDS", "Expression", "TooLong", "expression"]

MOST_SECONDS = 0.25
"""How long one text is searched before it is given up."""

_LONGEST = 10_000


class TooLong(Exception):
    """A text in which the search was given up."""


@cache
def expression(text: str) -> Expression:
    """Compile an expression, once.

    Raises:
        UsageError: it is none.
    """
    return Expression(text)


class Expression:
    """A compiled expression: what `re` reads means the same; `names` are its named groups."""

    def __init__(self, text: str) -> None:
        import regex

        self.text = text
        try:
            if len(text) > _LONGEST:
                raise ValueError(f"it has more than {_LONGEST:,} characters")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._compiled = regex.compile(text, regex.VERSION0, cache_pattern=False)
        except (regex.error, ValueError, OverflowError, RecursionError, MemoryError) as error:
            raise UsageError(
                f"the expression {text[:80]!r} cannot be read: {str(error)[:120]}",
                hint="it is one of Python's: docs.python.org/3/library/re.html.",
            ) from error
        self.names: tuple[str, ...] = tuple(self._compiled.groupindex)

    def search(self, text: str) -> Iterator[dict[str, str]]:
        """What the named groups are in each match, from left to right, as `re.finditer` has it.

        A group that takes no part in a match is not there.

        Raises:
            TooLong: after `MOST_SECONDS` for all of them.
        """
        # Other threads go on meanwhile: a search for nothing may take all the time there is.
        found = self._compiled.finditer(text, timeout=MOST_SECONDS, concurrent=True)
        try:
            for match in found:
                groups = match.groupdict().items()
                yield {name: value for name, value in groups if value is not None}
        except TimeoutError as error:
            raise TooLong(self.text) from error
