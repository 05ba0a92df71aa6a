"""A long sequence whose values are read when somebody looks at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gittrack.pages import Pages


class Shelf:
    """Squares of numbers, and which were asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def read(self, keys: Sequence[int]) -> Mapping[int, int]:
        self.asked += keys
        return {key: key * key for key in keys}


def test_only_what_is_looked_at_is_read_and_only_once() -> None:
    """A hundred thousand runs of which ten are shown cost as much as ten."""
    shelf = Shelf()
    pages = Pages(range(100_000), shelf.read, {7: -7})
    assert len(pages) == 100_000 and shelf.asked == []
    assert pages[7] == -7 and shelf.asked == []
    assert (pages[3], pages[999], pages[-1], pages[99_000]) == (9, 998_001, 99_999**2, 99_000**2)
    assert sorted(shelf.asked) == [*(n for n in range(1000) if n != 7), *range(99_000, 100_000)]


def test_it_is_a_sequence_as_any_other() -> None:
    """Slices, steps, iteration and membership as those of a list."""
    shelf = Shelf()
    pages = Pages(range(3000), shelf.read)
    every = [key * key for key in range(3000)]
    assert list(pages[1998:2003]) == every[1998:2003] and list(pages[::-700]) == every[::-700]
    assert list(pages) == every and 4 in pages and pages.index(9) == 3
    assert len(shelf.asked) == 3000
    assert list(pages[5:5]) == [] and not pages[3000:]
    for index in (3000, -3001):
        with pytest.raises(IndexError):
            pages[index]


def test_an_error_of_reading_reaches_who_looks() -> None:
    """And the next one who looks tries again."""
    tries = []

    def read(keys: Sequence[int]) -> Mapping[int, int]:
        tries.append(len(keys))
        if len(tries) == 1:
            raise LookupError("gone")
        return dict.fromkeys(keys, 0)

    pages = Pages(range(3), read)
    with pytest.raises(LookupError):
        pages[0]
    assert pages[0] == 0 and tries == [3, 3]
