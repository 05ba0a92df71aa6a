"""A long sequence whose values are read when somebody looks at them, many at a time; pure.

Knows the keys of its values, and nothing of what reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, overload

__all__ = ["Pages"]

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

_SIZE = 1000


class Pages(Sequence[_Value], Generic[_Key, _Value]):
    """The values of `keys`, in their order; `read` gets those of some keys.

    Of several keys `read` may leave some out; of such a one alone it raises, when somebody looks at
    that. `known` are values that need not be read; what was read is put beside them. A slice is
    such a sequence, too, and shares what is known. Errors of `read` reach whoever looks.
    """

    def __init__(
        self,
        keys: Sequence[_Key],
        read: Callable[[Sequence[_Key]], Mapping[_Key, _Value]],
        known: dict[_Key, _Value] | None = None,
    ) -> None:
        self.keys = keys
        self._read = read
        self._known: dict[_Key, _Value] = {} if known is None else known

    @overload
    def __getitem__(self, index: int) -> _Value: ...

    @overload
    def __getitem__(self, index: slice) -> Pages[_Key, _Value]: ...

    def __getitem__(self, index: int | slice) -> _Value | Pages[_Key, _Value]:
        if isinstance(index, slice):
            return Pages(self.keys[index], self._read, self._known)
        key = self.keys[index]
        if key not in self._known:
            first = range(len(self.keys))[index] // _SIZE * _SIZE
            page = self.keys[first : first + _SIZE]
            self._known.update(self._read([one for one in page if one not in self._known]))
        if key not in self._known:
            self._known.update(self._read([key]))
        return self._known[key]

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[_Value]:
        return (self[index] for index in range(len(self.keys)))
