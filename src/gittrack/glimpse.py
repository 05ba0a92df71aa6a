"""Whether an object surely is in the cache, by a look at a few files: for who shows one in no time.

Knows where DVC's configuration lies and which caches are read whatever it says. What it does not
see may be there all the same: that `setup` and `cache` know.
"""

from __future__ import annotations

import os
import re
import sys

__all__ = ["config_dirs", "sees"]

_FILE = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
_FORMERS = ("dvc", "dvc.aside")
_LARGEST = 1 << 20


def sees(state: str, project: str | None, md5: str) -> bool:
    """Whether an object certainly is in the cache, of a directory all its files; in doubt False.

    `state` is the repository's, `project` the `.dvc` of its only work tree if there is one.
    """
    if _HASH.fullmatch(md5) is None:
        return False
    if any(_holds(os.path.join(state, former), md5) for former in _FORMERS):
        return True
    if project is None or not _holds(os.path.join(project, "cache"), md5):
        return False
    return _is_usual(project)


def _holds(cache: str, md5: str) -> bool:
    objects = os.path.join(cache, "files", "md5")
    path = os.path.join(objects, md5[:2], md5[2:])
    return _is_whole(objects, path, md5) if md5.endswith(".dir") else os.path.exists(path)


def _is_whole(objects: str, listing: str, md5: str) -> bool:
    """Whether a directory's listing is what its hash says, and its files are beside it."""
    try:
        with open(listing, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError:
        return False
    from hashlib import md5 as digest
    from json import loads

    if digest(data, usedforsecurity=False).hexdigest() != md5.removesuffix(".dir"):
        return False
    try:
        members = [one["md5"] for one in loads(data)]
        return all(
            _FILE.fullmatch(one) and os.path.exists(os.path.join(objects, one[:2], one[2:]))
            for one in members
        )
    except (ValueError, TypeError, LookupError, RecursionError):
        return False


def config_dirs() -> tuple[str, str]:
    """The directories of the system's and the user's configuration, as dvc/dirs.py has them."""
    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR")
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR")
    if sys.platform == "darwin":
        import platformdirs

        system = system or platformdirs.site_config_dir("dvc", "iterative")
        user = user or platformdirs.user_config_dir("dvc", "iterative")
    if not system:
        shared = os.environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep)
        first = next((place for place in shared if place.strip()), "/etc/xdg")
        system = os.path.join(os.path.expanduser(first), "dvc")
    if not user:
        home = os.environ.get("XDG_CONFIG_HOME", "")
        user = os.path.join(os.path.expanduser(home if home.strip() else "~/.config"), "dvc")
    return system, user


def _is_usual(project: str) -> bool:
    """Whether no configuration can name another cache than the one in `.dvc`."""
    files = [os.path.join(place, "config") for place in (*config_dirs(), project)]
    for path in [*files, os.path.join(project, "config.local")]:
        try:
            with open(path, "rb") as file:
                data = file.read(_LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return False
        if len(data) > _LARGEST or b"dir" in data.lower():
            return False
    return True
