"""What each integration needs: a training that goes on whatever we do, settings of any size.

Knows that code which is not ours runs between our calls. Imports no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from gittrack import active
from gittrack.errors import GittrackError
from gittrack.foreign import converted, plain, shown

__all__ = ["bounded", "cut", "spared"]

_LONGEST = 500
_MOST = 500


@contextmanager
def spared(what: str) -> Iterator[None]:
    """Go on after this block whatever it raises: that `what` failed is a fault of the current run.

    Where there is no run, it is said on stderr. A run that is strict (`track.strict`) raises.
    """
    try:
        yield
    except Exception as error:
        # As broad as it is because models, scorers and stores of others run in here.
        to = active.current()
        if to is not None and to.strict:
            raise
        said = error.message if isinstance(error, GittrackError) else shown(error)
        try:
            (active.complain if to is None else to.fault)(f"{what}: {said}")
        except GittrackError:
            active.complain(f"{what}: {said}")


def bounded(
    settings: Mapping[str, Any], told: Callable[[Any], Any] = lambda value: value
) -> dict[str, Any]:
    """The settings of a framework as params: at most 500, each of at most 500 characters.

    `told` may say what stands for a value that is an object. Longer lists and mappings are the
    beginning of their text. What cannot be read at all is its type.
    """
    return {str(key): cut(told(value)) for key, value in islice(settings.items(), _MOST)}


def cut(value: Any) -> Any:
    """A value as a param keeps it, or the beginning of its text where that is long."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple, set, frozenset, Mapping)) and len(value) > _LONGEST:
        return f"{type(value).__name__} of {len(value)} items"
    try:
        known = converted(plain, value)
        text = known if isinstance(known, str) else str(known)
    except GittrackError:
        return type(value).__name__
    return known if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
