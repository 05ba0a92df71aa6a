"""What this process writes through its streams is heard once, whoever else listens."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gittrack.capture import Capture


class Stream(io.StringIO):
    """A stream with attributes, as those of Python and of IPython have."""


class Heard(list[str]):
    """What the taps on two streams of our own hear; `capture` is what listens."""

    capture: Capture


@contextmanager
def listening() -> Iterator[Heard]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Stream(), Stream()
    texts = Heard()
    texts.capture = Capture(texts.append)
    try:
        yield texts
    finally:
        texts.capture.stop()
        sys.stdout, sys.stderr = before


def wrapped(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda text: write(text)


def test_who_is_put_aside_listens_again_when_asked() -> None:
    """IPython wraps a stream for each cell and puts back at its end what it found before it."""
    with listening() as heard:
        stream: Any = sys.stdout
        stream.write("one")
        stream.write = Stream.write.__get__(stream)
        stream.write("two")
        heard.capture.renew()
        stream.write("three")
        assert heard == ["one", "three"] and stream.getvalue() == "onetwothree"


def test_two_taps_of_ours_hear_once() -> None:
    """Where somebody wrapped over us, the one that listens again is above, the first one below."""
    with listening() as heard:
        stream: Any = sys.stdout
        stream.write = wrapped(stream.write)
        heard.capture.renew()
        stream.write("one")
        assert heard == ["one"] and stream.getvalue() == "one"


def test_another_stream_is_listened_to_instead() -> None:
    """The one before is as it was."""
    with listening() as heard:
        before: Any = sys.stdout
        sys.stdout = Stream()
        heard.capture.renew()
        before.write("one")
        sys.stdout.write("two")
        assert heard == ["two"] and "write" not in vars(before)


def test_in_the_end_all_is_as_it_was() -> None:
    """However often it was asked to listen again."""
    with listening() as heard:
        stream: Any = sys.stderr
        for _ in range(3):
            heard.capture.renew()
        heard.capture.stop()
        stream.write("one")
        assert heard == [] and "write" not in vars(stream)
