"""Repositories made once and copied for each test: making them anew starts Git a dozen times."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["copied"]


def copied(source: Path, place: Path) -> Path:
    """Copy a repository, with all times, to where nothing or an empty directory is -> `place`.

    The hooks that Git gives as examples are left out.
    """
    ignored = shutil.ignore_patterns("*.sample")
    shutil.copytree(source, place, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    return place
