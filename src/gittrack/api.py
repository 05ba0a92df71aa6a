"""The Python door for scripts that `git track run` started: log params, metrics and tags.

Appends to a file of the running run; no Git, no network, no lock. Knows nothing of how the run is
recorded.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from gittrack.errors import BadName, BadValue, GittrackError, NoActiveRun
from gittrack.journal import RUN_VARIABLE, Writer
from gittrack.keys import check_key, flatten
from gittrack.quoting import one_line, utf8
from gittrack.records import Number, Value

__all__ = ["log_metric", "log_metrics", "log_param", "log_params", "set_tag"]

Converted = TypeVar("Converted")

_MOST_ITEMS = 1000
_START = "start the script with 'git track run -- python ...'"

_writer: Writer | None = None
_opening = Lock()
_complained = False


def log_param(key: str, value: Value) -> None:
    """Record one param of this run; a later value for the same key wins.

    Numbers, strings, booleans, None and lists keep their types. A mapping is a param for each of
    its entries, `opt.lr` and `opt.name`; an array of up to 1,000 items is a list. Anything else is
    recorded as its `str`, or as its type if that tells nothing but where it is in memory.

    Raises:
        NoActiveRun: this script was not started by `git track run`.
    """
    log_params({key: value})


def log_params(values: Mapping[str, Value]) -> None:
    """Record several params at once; see `log_param`.

    Raises:
        NoActiveRun: this script was not started by `git track run`.
    """
    good = {}
    for key, value in values.items():
        try:
            leaves = flatten({_key(key): _converted(_plain, value)})
            good.update({check_key(name): leaf for name, leaf in leaves.items()})
        except GittrackError as error:
            _fault(f"param {_shown(key)} not recorded: {error.message}")
    if good:
        _append({"params": good})


def log_metric(key: str, value: Number, step: int | None = None) -> None:
    """Record one point of a metric, now.

    `value` is a number or what turns into one (NumPy, a tensor of one element); NaN and infinities
    are values, a bool is none. One append to a file: what was logged survives a SIGKILL at once
    and a power cut after a second. A wrong value or a full disk never raises into training: it is
    said once on stderr and kept as a fault of the run.

    Raises:
        NoActiveRun: this script was not started by `git track run`.
    """
    log_metrics({key: value}, step=step)


def log_metrics(values: Mapping[str, Number], step: int | None = None) -> None:
    """Record a point of several metrics, with one time and step; see `log_metric`.

    Raises:
        NoActiveRun: this script was not started by `git track run`.
    """
    good: dict[str, Number] = {}
    for key, value in values.items():
        try:
            good[_key(key)] = _converted(_number, value)
        except GittrackError as error:
            _fault(f"metric {_shown(key)} not recorded: {error.message}")
    try:
        at = None if step is None else _converted(_step, step)
    except GittrackError as error:
        named = "metric " + ", ".join(map(_shown, good))
        if good:
            _fault(f"{named}: {error.message}; its value is kept without a step")
        at = None
    if good:
        _append({"metrics": good} if at is None else {"metrics": good, "step": at})


def set_tag(key: str, value: str) -> None:
    """Tag this run; a later value for the same key wins.

    Raises:
        NoActiveRun: this script was not started by `git track run`.
    """
    try:
        good = {_key(key): utf8(_converted(str, value))}
    except GittrackError as error:
        _fault(f"tag {_shown(key)} not set: {error.message}")
    else:
        _append({"tags": good})


def _append(event: Mapping[str, Any]) -> None:
    writer = _open()
    try:
        writer.append(event)
    except OSError as error:
        _complain(f"not recorded: {error.strerror}")


def _open() -> Writer:
    global _writer
    if _writer is None:
        with _opening:
            if _writer is None:
                _writer = _new_writer()
    return _writer


def _new_writer() -> Writer:
    directory = os.environ.get(RUN_VARIABLE)
    if not directory:
        # No hint: Python shows its user nothing but the message.
        raise NoActiveRun(f"no run is active: {_START}")
    try:
        return Writer(Path(directory))
    except OSError as error:
        raise NoActiveRun(
            f"the run in '{directory}' has ended, or cannot be written ({error.strerror}): {_START}"
        ) from error


def _forget() -> None:
    """A forked child writes a file of its own: its parent's buffer and offset are not its."""
    global _writer, _opening
    # A thread of the parent's may have held it; that thread is not here.
    _opening = Lock()
    if _writer is not None:
        _writer.abandon()
        _writer = None


def _close() -> None:
    global _writer
    if _writer is not None:
        try:
            _writer.close()
        except OSError:
            pass
        _writer = None


os.register_at_fork(after_in_child=_forget)
atexit.register(_close)


def _fault(sentence: str) -> None:
    _complain(sentence)
    _append({"fault": sentence})


def _complain(sentence: str) -> None:
    global _complained
    if not _complained:
        _complained = True
        print(f"gittrack: {sentence}", file=sys.stderr)


def _shown(value: object) -> str:
    """A value in a sentence, whatever its own `repr` does."""
    try:
        return one_line(repr(value)[:80])
    except Exception:
        return f"of type {type(value).__name__}"


def _converted(convert: Callable[[Any], Converted], value: object) -> Converted:
    """`convert(value)`, where all that a foreign object's own methods raise means a wrong value.

    As broad as it is because that code is not ours, and training must go on.

    Raises:
        BadValue: it cannot be converted.
    """
    try:
        return convert(value)
    except GittrackError:
        raise
    except Exception as error:
        raise BadValue(f"its value cannot be read ({type(error).__name__})") from error


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise BadName(f"a key is a string, not {type(key).__name__}")
    return check_key(key)


def _step(step: object) -> int:
    plain: Any = step.item() if hasattr(step, "item") else step
    if type(plain) is not int:
        try:
            exact = None if isinstance(plain, (bool, str, bytes)) else int(plain)
        except (TypeError, ValueError, OverflowError):
            exact = None
        if exact is None or exact != plain:
            raise BadValue(f"step {_shown(step)} is no whole number")
        plain = int(exact)
    if not -(2**63) <= plain < 2**63:
        raise BadValue("a step has at most 64 bits")
    return int(plain)


def _number(value: object) -> Number:
    """A Python number that is exactly what was given."""
    if type(value) in (float, int):
        return _bounded(value)  # type: ignore[arg-type]
    plain = value
    if hasattr(plain, "item"):
        try:
            plain = plain.item()
        except (TypeError, ValueError, RuntimeError) as error:
            raise BadValue(f"{_shown(value)} is no single number ({error})") from error
    if isinstance(plain, (bool, str, bytes)):
        raise BadValue(f"{_shown(value)} is no number")
    if isinstance(plain, int):
        return _bounded(int(plain))
    try:
        return float(plain)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise BadValue(f"{_shown(value)} is no number") from error


def _bounded(value: Number) -> Number:
    if isinstance(value, int) and value.bit_length() > 1024:
        raise BadValue("an integer of more than 1024 bits")
    return value


def _plain(value: Value, depth: int = 0) -> Value:
    """A value that YAML keeps as it is."""
    if value is None or type(value) in (bool, float):
        return value
    if type(value) is int:
        return _bounded(value)
    if isinstance(value, str):
        return utf8(str(value))
    if depth < 20 and isinstance(value, Mapping):
        return {utf8(str(k)): _plain(v, depth + 1) for k, v in value.items()}
    if depth < 20 and isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        return _plain(value.item(), depth + 1) if depth < 20 else str(value)
    if isinstance(value, (bool, int, float)):
        return float(value) if isinstance(value, float) else int(value)
    if hasattr(value, "tolist") and hasattr(value, "shape"):
        return _plain_array(value, depth)
    text = str(value)
    return utf8(text if not re.search(" at 0x[0-9a-fA-F]{4}", text) else _address(value))


def _plain_array(array: Any, depth: int) -> Value:
    items = 1
    for length in array.shape:
        items *= length
    if items <= _MOST_ITEMS and depth < 20:
        return _plain(array.tolist(), depth + 1)
    return f"{type(array).__name__} of shape {tuple(array.shape)}"


def _address(value: object) -> str:
    """Where a function or class is defined, else of which type a thing is: the same every run."""
    name = getattr(value, "__qualname__", None)
    return f"{getattr(value, '__module__', '')}.{name}" if name else str(type(value))
