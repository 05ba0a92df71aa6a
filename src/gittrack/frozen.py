"""Frozen values that cost little to define.

A command that answers a query loads some thirty of them, each time anew; a dataclass takes half a
millisecond to make, a NamedTuple a fifth. Knows nothing of what the values are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["Frozen"]

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        return lambda made: made


_F = TypeVar("_F", bound="Frozen")


@dataclass_transform(frozen_default=True)
class Frozen:
    """A value with the fields that its class annotates, in that order; none has a default.

    Equal to another of the very same class with equal fields.
    """

    __match_args__: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        names = tuple(cls.__annotations__)
        cls.__match_args__ = names  # type: ignore[misc]  # as a dataclass has it

    def __init__(self, *fields: Any) -> None:
        self.__dict__.update(zip(self.__match_args__, fields, strict=True))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"'{name}' of a {type(self).__name__} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"'{name}' of a {type(self).__name__} cannot be removed")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({shown})"

    def fields(self) -> tuple[Any, ...]:
        """The values of the fields, in their order."""
        return tuple(self.__dict__.values())

    def changed(self: _F, **fields: Any) -> _F:
        """The same value but for these fields."""
        return type(self)(*(self.__dict__ | fields).values())
