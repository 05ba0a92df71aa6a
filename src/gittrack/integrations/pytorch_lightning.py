"""Trainings of `pytorch_lightning` as runs: a Logger, and the callback that every trainer gets.

What they do is written in `integrations.loggers`, for both names of Lightning.
"""

from __future__ import annotations

from typing import Any

from gittrack.integrations.loggers import classes

__all__ = ["GittrackCallback", "GittrackLogger", "callbacks"]

GittrackLogger, GittrackCallback = classes("pytorch_lightning", __name__)


def callbacks() -> list[Any]:
    """What every trainer gets by the entry point `callbacks_factory`."""
    return [GittrackCallback()]
