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
_FORMERS = ("dvc", "dvc.aside")
_LARGEST = 1 << 20


def sees(state: str, project: str | None, md5: str) -> bool:
    """Whether the object of a file certainly is in the cache; of others, and in doubt, False.

    `state` is the repository's, `project` the `.dvc` of its only work tree if there is one.
    """
    if _FILE.fullmatch(md5) is None:
        return False
    inner = os.path.join("files", "md5", md5[:2], md5[2:])
    if any(os.path.exists(os.path.join(state, former, inner)) for former in _FORMERS):
        return True
    if project is None or not os.path.exists(os.path.join(project, "cache", inner)):
        return False
    return _is_usual(project)


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
