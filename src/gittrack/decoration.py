"""Functions each of whose calls happens within a context manager: plain, async and generators.

Knows how each kind begins and ends. Knows nothing of what the context is for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, TypeVar

__all__ = ["within"]

Function = TypeVar("Function", bound=Callable[..., Any])


def within(function: Function, begin: Callable[[], AbstractContextManager[Any]]) -> Function:
    """The function, each call of it within a context of its own that `begin()` makes.

    Of a coroutine or generator the context is entered when its body begins, not when it is made. A
    generator runs in a copy of the `contextvars` of its caller: what it enters is not entered
    around whoever asks for the next item.

    Raises:
        TypeError: a class, or something that cannot be called.
    """
    import inspect

    if isinstance(function, type) or not callable(function):
        raise TypeError(f"only a function can be decorated, not {function!r}")

    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def asking(*args: Any, **options: Any) -> Any:
            with begin():
                async for item in function(*args, **options):
                    yield item

        return asking  # type: ignore[return-value]

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def awaiting(*args: Any, **options: Any) -> Any:
            with begin():
                return await function(*args, **options)

        return awaiting  # type: ignore[return-value]

    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def giving(*args: Any, **options: Any) -> Any:
            def body() -> Generator[Any, Any, Any]:
                with begin():
                    return (yield from function(*args, **options))

            return (yield from _apart(body()))

        return giving  # type: ignore[return-value]

    @wraps(function)
    def calling(*args: Any, **options: Any) -> Any:
        with begin():
            return function(*args, **options)

    return calling  # type: ignore[return-value]


def _apart(inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run a generator in a copy of this context, which stays what it was between its items."""
    context = copy_context()
    step: Callable[[], Any] = partial(inner.send, None)
    while True:
        try:
            item = context.run(step)
        except StopIteration as stop:
            return stop.value
        try:
            sent = yield item
        except GeneratorExit:
            context.run(inner.close)
            raise
        except BaseException as error:
            step = partial(inner.throw, error)
        else:
            step = partial(inner.send, sent)
