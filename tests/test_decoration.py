"""Decorated functions: each call within a context of its own, however it runs and ends."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from gittrack.decoration import within

now: ContextVar[int] = ContextVar("now", default=0)


class Contexts:
    """Counts those that were entered, and how each was left."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self.entered = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.entered += 1
        token = now.set(self.entered)
        try:
            yield
        except BaseException as error:
            self.left.append(type(error).__name__)
            raise
        else:
            self.left.append("well")
        finally:
            now.reset(token)


@pytest.fixture
def contexts() -> Contexts:
    return Contexts()


def test_a_function(contexts: Contexts) -> None:
    """Its arguments, value, name and errors are what they were."""

    def train(a: int, *, b: int = 2) -> tuple[int, int, int]:
        """Train."""
        if b == 0:
            raise ValueError
        return a, b, now.get()

    made = within(train, contexts)
    assert contexts.entered == 0, "nothing begins where it is defined"
    assert made(1) == (1, 2, 1) and made(1, b=3) == (1, 3, 2)
    with pytest.raises(ValueError):
        made(1, b=0)
    assert contexts.left == ["well", "well", "ValueError"] and now.get() == 0
    assert (made.__name__, made.__doc__) == ("train", "Train.")
    assert inspect.signature(made) == inspect.signature(train)


def test_a_coroutine(contexts: Contexts) -> None:
    """Two at once have each their own."""

    async def train(n: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        return n, now.get()

    made = within(train, contexts)
    assert inspect.iscoroutinefunction(made)

    async def both() -> list[tuple[int, int]]:
        return list(await asyncio.gather(made(7), made(8)))

    assert asyncio.run(both()) == [(7, 1), (8, 2)] and contexts.left == ["well"] * 2


def test_a_generator(contexts: Contexts) -> None:
    """What it enters is not entered around whoever takes its items, nor around another one."""

    def steps(n: int) -> Any:
        got = yield n, now.get()
        yield got, now.get()
        return "done"

    made = within(steps, contexts)
    assert inspect.isgeneratorfunction(made)
    one, two = made(1), made(2)
    assert contexts.entered == 0
    assert next(one) == (1, 1) and now.get() == 0
    assert next(two) == (2, 2) and now.get() == 0
    assert one.send("x") == ("x", 1) and two.send("y") == ("y", 2)
    with pytest.raises(StopIteration) as stopped:
        next(one)
    assert stopped.value.value == "done"
    two.close()
    assert contexts.left == ["well", "GeneratorExit"] and now.get() == 0


def test_what_is_thrown_into_a_generator_arrives(contexts: Contexts) -> None:
    """And may be caught there, as without a decorator."""

    def steps() -> Any:
        try:
            yield 1
        except KeyError:
            yield "caught"

    running = within(steps, contexts)()
    assert next(running) == 1 and running.throw(KeyError()) == "caught"
    with pytest.raises(OSError):
        running.throw(OSError())
    assert contexts.left == ["OSError"]


def test_an_asynchronous_generator(contexts: Contexts) -> None:
    """Batches that arrive over time."""

    async def steps() -> AsyncIterator[int]:
        for _ in range(2):
            yield now.get()

    made = within(steps, contexts)
    assert inspect.isasyncgenfunction(made)

    async def gather() -> list[int]:
        return [item async for item in made()]

    assert asyncio.run(gather()) == [1, 1] and contexts.left == ["well"]


def test_a_method(contexts: Contexts) -> None:
    """`self` is found as ever."""

    class Trainer:
        def fit(self, n: int) -> tuple[Any, int]:
            return self, n

    decorated: Callable[..., Any] = within(Trainer.fit, contexts)
    Trainer.fit = decorated  # type: ignore[method-assign]
    trainer = Trainer()
    assert trainer.fit(3) == (trainer, 3) and contexts.entered == 1


@pytest.mark.parametrize("wrong", [int, 3, None])
def test_only_functions(wrong: Any) -> None:
    """A class would be replaced by a function, and its subclasses break."""
    with pytest.raises(TypeError, match="only a function"):
        within(wrong, Contexts())
