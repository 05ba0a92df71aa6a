"""The Python door for scripts that `git track run` started: log params, metrics and tags.

Appends to a file of the running run; no Git, no network, no lock. Knows nothing of how the run is
recorded.
"""

from __future__ import annotations

from collections.abc import Mapping

from gittrack.active import append, fault
from gittrack.errors import BadName, BadValue, GittrackError
from gittrack.foreign import converted, number, plain, shown, whole_number
from gittrack.keys import check_key, flatten
from gittrack.quoting import utf8
from gittrack.records import Number, Value

__all__ = ["log_metric", "log_metrics", "log_param", "log_params", "set_tag"]


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
            leaves = flatten({_key(key): converted(plain, value)})
            good.update({check_key(name): leaf for name, leaf in leaves.items()})
        except GittrackError as error:
            fault(f"param {shown(key)} not recorded: {error.message}")
    if good:
        append({"params": good})


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
            good[_key(key)] = converted(number, value)
        except GittrackError as error:
            fault(f"metric {shown(key)} not recorded: {error.message}")
    try:
        at = None if step is None else converted(_step, step)
    except GittrackError as error:
        named = "metric " + ", ".join(map(shown, good))
        if good:
            fault(f"{named}: {error.message}; its value is kept without a step")
        at = None
    if good:
        append({"metrics": good} if at is None else {"metrics": good, "step": at})


def set_tag(key: str, value: str) -> None:
    """Tag this run; a later value for the same key wins.

    Raises:
        NoActiveRun: this script was not started by `git track run`.
    """
    try:
        good = {_key(key): utf8(converted(str, value))}
    except GittrackError as error:
        fault(f"tag {shown(key)} not set: {error.message}")
    else:
        append({"tags": good})


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise BadName(f"a key is a string, not {type(key).__name__}")
    return check_key(key)


def _step(step: object) -> int:
    exact = whole_number(step)
    if exact is None:
        raise BadValue(f"step {shown(step)} is no whole number")
    if not -(2**63) <= exact < 2**63:
        raise BadValue("a step has at most 64 bits")
    return exact
