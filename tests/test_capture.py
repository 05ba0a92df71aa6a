"""Listening to what a process prints, whatever its streams are, and leaving them as they were."""

from __future__ import annotations

import io
import sys
import threading
from typing import Any

import pytest

from gittrack.capture import Capture


class _Slotted:
    """A stream that takes no attributes, as some libraries put in place of the real one."""

    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


def test_both_streams_are_heard_and_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which they were written."""
    out, err, heard = io.StringIO(), io.StringIO(), []
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    capture = Capture(heard.append)
    print("one")
    print("two", file=sys.stderr)
    assert capture.hears(out) and capture.hears(err)
    capture.stop()
    print("three")
    assert "".join(heard) == "one\ntwo\n"
    assert (out.getvalue(), err.getvalue()) == ("one\nthree\n", "two\n")
    assert "write" not in vars(out) and not capture.hears(out)


@pytest.mark.parametrize("stream", [None, _Slotted()], ids=["none", "slots"])
def test_what_cannot_be_listened_to_is_left_alone(
    stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without a terminal has no streams at all."""
    heard: list[str] = []
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    capture = Capture(heard.append)
    print("one")
    print("two", file=sys.stderr)
    capture.stop()
    assert "".join(heard) == "two\n" and not capture.hears(stream)


def test_what_the_sink_prints_itself_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would go round for ever."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    heard: list[str] = []

    def sink(text: str) -> None:
        heard.append(text)
        print("said")

    capture = Capture(sink)
    print("one", end="")
    with capture.unheard():
        print("ours")
    other = threading.Thread(target=print, args=("two",), kwargs={"end": ""})
    other.start()
    other.join()
    capture.stop()
    assert "".join(heard) == "onetwo"


def test_somebody_who_listens_after_us_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking ours away must not take away another tracker's; ours hears nothing any more."""
    out, heard, theirs = io.StringIO(), [], []
    monkeypatch.setattr(sys, "stdout", out)
    capture = Capture(heard.append)
    inner = out.write
    out.write = lambda text: (theirs.append(text), inner(text))[1]  # type: ignore[method-assign]
    capture.stop()
    print("one", end="")
    assert (out.getvalue(), heard, "".join(theirs)) == ("one", [], "one")


def test_a_stream_in_the_place_of_another_is_heard_from_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A notebook's streams come and go with its cells; nothing is heard twice."""
    heard: list[str] = []
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", first)
    capture = Capture(heard.append)
    monkeypatch.setattr(sys, "stdout", second)
    print("missed", end="")
    capture.renew()
    print("one", end="")
    capture.renew()
    print("two", end="")
    capture.stop()
    assert "".join(heard) == "onetwo"
    assert "write" not in vars(first) and "write" not in vars(second)
